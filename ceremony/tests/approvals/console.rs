//! A ceremony held by keystrokes at a console of 80 columns and 24 rows, in `tmux`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ceremony_core::plan::Plan;
use ceremony_core::transcript::Kind;
use ceremony_core::words::Fingerprint;
use support::softhsm::{SoftHsm, alone};
use support::test_name;

use super::attended::{ALL, words};
use super::rehearsal::texts;
use super::run::Ready;

/// A console in `tmux`.
struct Console {
    socket: String,
}

impl Console {
    /// Of 80 columns and 24 rows, with this command; none where there is no `tmux`.
    fn begin(softhsm: &SoftHsm, folder: &Path, words: &[String]) -> Option<Self> {
        let socket = folder.join("tmux").display().to_string();
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let program = env!("CARGO_BIN_EXE_sigill-ceremony");
        // The pane stays, with the exit code, until it was read.
        let line = format!(
            "'{program}' {}; code=$?; echo; echo \"ended $code\"; sleep 600",
            quoted.join(" ")
        );
        let mut tmux = Command::new("tmux");
        // A server that is ending takes no session any more.
        let _gone = fs::remove_file(&socket);
        tmux.args([
            "-S",
            &socket,
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            &line,
        ]);
        let begun =
            softhsm.environment(tmux.env("TERM", "xterm").env("LC_ALL", "C.UTF-8")).status();
        match begun {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            begun => {
                assert!(begun.unwrap().success());
                Some(Self { socket })
            }
        }
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.env("LC_ALL", "C.UTF-8").args(["-u", "-S", &self.socket]).args(words);
        String::from_utf8(tmux.output().unwrap().stdout).unwrap()
    }

    /// The screen, once this stands on it.
    #[track_caller]
    fn shows(&self, wanted: &str) -> String {
        let began = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if screen.contains(wanted) {
                let rows: Vec<&str> = screen.trim_end().lines().collect();
                assert!(
                    rows.len() <= 24 && rows.iter().all(|row| row.chars().count() <= 80),
                    "{screen}"
                );
                return screen;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "{wanted:?} is not on:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn types(&self, text: &str) {
        if !text.is_empty() {
            self.tmux(&["send-keys", "-l", text]);
        }
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Waits for this, keeps the screen below a number, and types.
    #[track_caller]
    fn answers(&self, kept: &mut Vec<String>, wanted: &str, text: &str) {
        kept.push(self.shows(wanted));
        self.types(text);
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// The places that a screen asks for, from 1.
fn places(screen: &str, before: &str) -> Vec<usize> {
    let line = screen.lines().find_map(|line| line.strip_prefix(before)).unwrap();
    line.split(',').map(|place| place.trim().parse().unwrap()).collect()
}

fn picked(words: &[&str], places: &[usize]) -> String {
    places.iter().filter_map(|place| words.get(place - 1)).copied().collect::<Vec<_>>().join(" ")
}

/// CER-06: held by keystrokes on a console of 80 by 24; each screen says where one is, what is asked and what to type, and shows no expected value.
#[test]
fn a_ceremony_is_held_by_keystrokes_on_80_by_24() {
    alone(test_name!(a_ceremony_is_held_by_keystrokes_on_80_by_24), |softhsm| {
        let ready = Ready::new(softhsm);
        let words = words(&ready, "root", None);
        let Some(console) = Console::begin(softhsm, &ready.0.folder, &words) else {
            return println!("skipped: tmux is not installed");
        };
        let mut kept = Vec::new();
        console.answers(&mut kept, "Enter: begin", "");
        read_back(&console, &mut kept, "plan", Path::new(&ready.0.path("plan.toml")));
        for who in ["1/2", "2/2"] {
            let screen = console.shows(&format!("The clock {who}"));
            kept.push(screen);
            let now = Command::new("date").args(["-u", "+%H:%M:%S"]).output().unwrap();
            console.types(String::from_utf8(now.stdout).unwrap().trim());
        }
        let plan = Plan::read(&fs::read(ready.0.path("plan.toml")).unwrap()).unwrap();
        let name = |id: &str| {
            let person = plan.people.persons.iter().find(|one| one.id.as_str() == id);
            person.unwrap().name.to_string()
        };
        for person in ALL {
            console.answers(&mut kept, &format!("Is {} here?", name(person)), "");
        }
        step(&console, &mut kept, "Step 1/4");
        for custodian in ALL[8..13].iter().chain(&ALL[3..8]) {
            let name = name(custodian);
            console.answers(&mut kept, &format!("{name} sits down at the screen alone"), "");
            let screen = console.shows("Enter: written, clear");
            kept.push(screen.clone());
            console.types("");
            let rows = screen.lines().filter(|line| line.starts_with("  "));
            let share: Vec<&str> = rows.flat_map(|row| row.split_whitespace().skip(1)).collect();
            assert_eq!(share.len(), 32, "{screen}");
            // What is typed before is not taken.
            let asked = console.shows("\n>");
            assert!(asked.contains(&format!("{name}: read from your sheet")), "{asked}");
            assert!(!asked.contains(share[0]) || !asked.contains(share[1]), "the share is away");
            console.types(&picked(&share, &places(&asked, "Words ")));
            kept.push(asked);
        }
        console.answers(&mut kept, "Enter: ticked off", "");
        console.answers(&mut kept, "Head of the transcript: token", "");
        for (number, step_id, file) in [
            (2, "root-key", "root-key.spki"),
            (3, "root-certificate", "training.cer.tbs"),
            (4, "first-crl", "training.crl.tbs"),
        ] {
            step(&console, &mut kept, &format!("Step {number}/4"));
            let path = ready.0.path(&format!("root/ceremony/{file}"));
            if file.ends_with(".tbs") {
                let title = format!("This will be signed: {file}");
                agreed(&console, &mut kept, &title, "Enter: read aloud");
            }
            read_back(&console, &mut kept, file, Path::new(&path));
            console.answers(&mut kept, "Enter: ticked off", "");
            console.answers(&mut kept, &format!("Head of the transcript: {step_id}"), "");
        }
        console.answers(&mut kept, "Head of the transcript: end", "");
        let end = console.shows("ended 0");
        assert!(end.contains("head"), "{end}");
        kept.push(end);
        let records = ready.judge_transcript("root");
        assert!(texts(&records, "reason").is_empty());
        if let Some(folder) = std::env::var_os("SIGILL_SCREENS") {
            let all: String =
                kept.iter().map(|screen| format!("{screen}\n{}\n", "=".repeat(80))).collect();
            fs::write(Path::new(&folder).join("screens.txt"), all).unwrap();
        }
    });
}

/// CER-06: Ctrl-C, an end of input and a closed terminal are a pause, and a terminal that was made too small is waited for; nothing of what was shown stays on the
/// screen, and the same command goes on.
#[test]
fn what_ends_a_program_elsewhere_pauses_a_ceremony() {
    alone(test_name!(what_ends_a_program_elsewhere_pauses_a_ceremony), |softhsm| {
        let ready = Ready::new(softhsm);
        let words = words(&ready, "root", None);
        let Some(console) = Console::begin(softhsm, &ready.0.folder, &words) else {
            return println!("skipped: tmux is not installed");
        };
        console.shows("Enter: begin");
        console.tmux(&["resize-window", "-x", "70", "-y", "20"]);
        thread::sleep(Duration::from_secs(1));
        console.types("");
        console.shows("Make the terminal larger");
        console.types("");
        console.shows("70 x 20 < 80 x 24");
        console.tmux(&["resize-window", "-x", "80", "-y", "24"]);
        // The pane hears of it a moment later.
        thread::sleep(Duration::from_secs(1));
        console.types("");
        console.shows("Read back blindly: plan");
        console.tmux(&["send-keys", "C-c"]);
        let end = console.shows("ended 3");
        assert!(!end.contains("Read back"), "{end}");
        assert!(end.contains("interrupted at the keyboard"), "{end}");
        drop(console);
        let paused = |times: usize| {
            let records = ready.records("root");
            let pauses = records.iter().filter(|record| record.kind == Kind::Pause);
            assert_eq!(pauses.count(), times);
            assert_eq!(records.last().unwrap().kind, Kind::Pause);
        };
        paused(1);
        for (times, key) in [(2, "C-d"), (3, "C-z")] {
            let console = Console::begin(softhsm, &ready.0.folder, &words).unwrap();
            console.shows("Enter: begin");
            console.tmux(&["send-keys", key]);
            console.shows("ended 3");
            drop(console);
            paused(times);
        }
        // The terminal itself is closed.
        let console = Console::begin(softhsm, &ready.0.folder, &words).unwrap();
        console.shows("Enter: begin");
        drop(console);
        let began = Instant::now();
        while ready.records("root").iter().filter(|one| one.kind == Kind::Pause).count() < 4 {
            assert!(began.elapsed() < Duration::from_secs(60), "no pause was written");
            thread::sleep(Duration::from_millis(50));
        }
    });
}

/// Agrees to a step.
#[track_caller]
fn step(console: &Console, kept: &mut Vec<String>, title: &str) {
    agreed(console, kept, title, "Enter: all agree, do it");
}

/// Turns pages until the last, which asks this, and says yes.
#[track_caller]
fn agreed(console: &Console, kept: &mut Vec<String>, title: &str, asks: &str) {
    loop {
        let screen = console.shows(title);
        let is_last = screen.contains(asks);
        let page = screen.lines().next().unwrap().to_owned();
        kept.push(screen);
        console.types("");
        if is_last {
            return;
        }
        let began = Instant::now();
        while console.tmux(&["capture-pane", "-p"]).starts_with(&page) {
            assert!(began.elapsed() < Duration::from_secs(120), "the page is not turned: {page}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Reads from the paper of the second machine: first something else, which is not taken, then what is asked for.
#[track_caller]
fn read_back(console: &Console, kept: &mut Vec<String>, what: &str, path: &Path) {
    let title = format!("Read back blindly: {what}");
    kept.push(console.shows(&title));
    console.types("optic onlooker ringbolt recover");
    let screen = console.shows("THAT IS NOT IT");
    let hash = Fingerprint::of(&fs::read(path).unwrap());
    assert!(screen.starts_with(&title) && !screen.contains(&hash.groups()[..9]), "{screen}");
    console.types(&picked(&hash.words(), &places(&screen, "Words ")));
    kept.push(screen);
    let screen = console.shows("Enter: everybody has ticked it off");
    assert!(screen.contains(hash.lines_of_groups().first().unwrap()), "{screen}");
    kept.push(screen);
    console.types("");
}
