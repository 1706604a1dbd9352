//! `sigill-ceremony run`: a ceremony that goes as it was rehearsed, whenever it is broken off; and what stops it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ceremony_core::attendance::Attendance;
use ceremony_core::plan::Plan;
use ceremony_core::shape::Shape;
use ceremony_core::transcript::{Kind, Record, Whole};
use support::softhsm::{SoftHsm, alone};
use support::{budget, spoken, test_name};
use x509::certificate::Certificate;
use x509::pem;

use super::bundle;
use super::rehearsal::{BOTH, Rehearsed, texts};

/// A plan that was rehearsed, and approved with the shape that it had.
pub(crate) struct Ready<'a>(pub(crate) Rehearsed<'a>, Option<PathBuf>);

impl<'a> Ready<'a> {
    pub(crate) fn new(softhsm: &'a SoftHsm) -> Self {
        Self::of(Rehearsed::new(softhsm), None)
    }

    /// With tokens of that home, where there are some before.
    pub(crate) fn of(world: Rehearsed<'a>, tokens: Option<PathBuf>) -> Self {
        let ready = Self(world, tokens);
        ready.rehearsed();
        ready
    }

    pub(crate) fn rehearsed(&self) {
        let _ = fs::remove_file(self.0.path("rehearsal.jsonl"));
        let (code, said) = self.0.rehearse("rehearsal.jsonl", BOTH);
        assert_eq!(code, 0, "{said}");
        let shape = said.lines().next().unwrap();
        self.0.approve(&["--purpose", "production", "--shape", shape], ".production");
    }

    pub(crate) fn words(&self, home: &str, end: &str) -> Vec<String> {
        let people = self.0.softhsm.pins().display().to_string();
        let mirror = self.0.path(&format!("{home}.mirror"));
        let mut words = vec!["run".to_owned(), self.0.path("plan.toml"), "--unattended".to_owned()];
        for (option, value) in [
            ("--home", self.0.path(home)),
            ("--people", people),
            ("--rehearsal", self.0.path("rehearsal.jsonl")),
            ("--mirror", mirror),
            ("--approval", self.0.path(&format!("per-brandt{end}"))),
            ("--approval", self.0.path(&format!("sara-nyman{end}"))),
        ] {
            words.extend([option.to_owned(), value]);
        }
        if let Some(tokens) = &self.1 {
            words.extend(["--tokens".to_owned(), tokens.display().to_string()]);
        }
        words
    }

    pub(crate) fn run(&self, home: &str) -> (i32, String) {
        let words = self.words(home, ".production");
        self.0.says(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Begins it, to be killed.
    fn begun(&self, home: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigill-ceremony"));
        let command = self.0.softhsm.environment(command.args(self.words(home, ".production")));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    #[track_caller]
    pub(crate) fn refused(&self, home: &str, code: &str, exit: i32, wanted: &str) {
        let (seen, said) = self.run(home);
        assert_eq!(seen, exit, "{said}");
        assert!(said.contains(&format!("error: {code}: ")) && said.contains(wanted), "{said}");
    }

    pub(crate) fn octets(&self, home: &str) -> Vec<u8> {
        fs::read(self.0.path(&format!("{home}/ceremony/transcript.jsonl"))).unwrap()
    }

    pub(crate) fn records(&self, home: &str) -> Vec<Record> {
        Whole::read(&self.octets(home)).unwrap().records
    }

    /// Before which line it announced this.
    pub(crate) fn announced(&self, home: &str, act: &str, what: &str) -> usize {
        let is_it = |record: &Record| {
            record.kind == Kind::Intent
                && record.text("act") == Some(act)
                && record.text("what") == Some(what)
        };
        self.records(home).iter().position(is_it).unwrap()
    }

    /// Keeps so many lines, and takes these outputs away.
    pub(crate) fn cut(&self, home: &str, lines: usize, gone: &[&str]) {
        let octets = self.octets(home);
        let kept = octets.split_inclusive(|octet| *octet == b'\n').take(lines);
        let kept = kept.collect::<Vec<_>>().concat();
        for copy in [format!("{home}/ceremony/transcript.jsonl"), format!("{home}.mirror")] {
            fs::write(self.0.path(&copy), &kept).unwrap();
        }
        let out = self.0.folder.join(home).join("ceremony/out");
        gone.iter().for_each(|name| fs::remove_file(out.join(name)).unwrap());
    }

    /// What came to its end is a transcript that holds by itself, by its plan, and against its rehearsal: what the auditor's rules say.
    pub(crate) fn judge_transcript(&self, home: &str) -> Vec<Record> {
        let plan = Plan::read(&fs::read(self.0.path("plan.toml")).unwrap()).unwrap();
        let octets = self.octets(home);
        Attendance::judge(&plan, &octets).unwrap();
        let records = self.records(home);
        assert_eq!(records.last().unwrap().kind, Kind::Close);
        let rehearsal = fs::read(self.0.path("rehearsal.jsonl")).unwrap();
        let rehearsal = Shape::of(&Whole::read(&rehearsal).unwrap().records).unwrap();
        Shape::of(&records).unwrap().equals(&rehearsal).unwrap();
        assert_eq!(fs::read(self.0.path(&format!("{home}.mirror"))).unwrap(), octets);
        records
    }

    /// Judges what came to its end as the auditor does, and by OpenSSL; whether that is there.
    fn judge(&self, home: &str) -> bool {
        let records = self.judge_transcript(home);
        let out = self.0.folder.join(home).join("ceremony/out");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
        let der = fs::read(out.join("training.cer")).unwrap();
        let root = Certificate::from_der(&der).unwrap();
        let spki = root.public_key().spki_hash().to_string();
        assert_eq!(texts(&records, "spki_sha256"), [spki], "one key, and the one that was made");
        fs::write(out.join("root.pem"), pem::encode(pem::Label::Certificate, &der)).unwrap();
        for words in [
            &["verify", "-x509_strict", "-check_ss_sig", "-CAfile", "root.pem", "root.pem"][..],
            &["crl", "-inform", "DER", "-in", "training.crl", "-CAfile", "root.pem", "-noout"],
        ] {
            let Some(judged) = spoken::openssl(&out, words) else {
                return false;
            };
            assert_eq!(judged.code, 0, "{}", judged.text);
            assert!(judged.text.to_lowercase().contains("ok"), "{}", judged.text);
        }
        fs::remove_file(out.join("root.pem")).unwrap();
        true
    }
}

/// A5, A13, A18, N1, N4, N33: as rehearsed it comes to its end, and the auditor's program judges what was packed; not with too few people, another approval, another rehearsal or at another time.
#[test]
fn a_ceremony_is_held_as_it_was_rehearsed() {
    alone(test_name!(a_ceremony_is_held_as_it_was_rehearsed), |softhsm| {
        let ready = Ready::new(softhsm);
        let words = ready.words("root", "");
        let (code, said) = ready.0.says(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(code, 11, "{said}");
        assert!(said.contains("approves purpose rehearsal, not production"), "{said}");
        let rehearsal = ready.0.path("rehearsal.jsonl");
        let whole = fs::read_to_string(&rehearsal).unwrap();
        let (cut, _) = whole.trim_end().rsplit_once('\n').unwrap();
        fs::write(&rehearsal, format!("{cut}\n")).unwrap();
        ready.refused("root", "R16", 13, "did not come to its end");
        fs::remove_file(&rehearsal).unwrap();
        ready.refused("root", "R16", 13, "No such file");
        fs::write(&rehearsal, &whole).unwrap();
        assert!(!Path::new(&ready.0.path("root")).exists(), "nothing was made");

        // All custodians are needed to prepare a token; one is ill, and comes later.
        let key = ready.0.key("eva-falk");
        fs::rename(&key, key.with_extension("ill")).unwrap();
        ready.refused("root", "R08", 12, "step token requires 5 of role custodian, and 4");
        assert!(texts(&ready.records("root"), "act").is_empty(), "no token was touched");
        fs::rename(key.with_extension("ill"), &key).unwrap();

        let (code, said) = ready.run("root");
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("training.cer") && said.contains("head\n"), "{said}");
        if !ready.judge("root") {
            println!("skipped: openssl is not installed");
        }
        // Run again it tells the same, and changes nothing.
        let octets = ready.octets("root");
        assert_eq!(ready.run("root"), (0, said));
        assert_eq!(ready.octets("root"), octets);
        // Only of what it made.
        let output = ready.0.folder.join("root/ceremony/out/training.crl");
        let der = fs::read(&output).unwrap();
        fs::write(&output, &der[1..]).unwrap();
        ready.refused("root", "R19", 13, "is not what the transcript tells of");
        fs::write(&output, der).unwrap();
        if !bundle::is_packed_and_judged(&ready) {
            println!("skipped: openssl is not installed");
        }

        // Rehearsed anew the shape and its approvals are the same, and it is not the rehearsal with which the ceremony began.
        ready.rehearsed();
        ready.refused("root", "R16", 13, "and the ceremony began with the rehearsal");
        bundle::is_not_packed(&ready, "root", "R16", 13);

        // The transcript of another plan is not gone on with.
        ready.0.plan("# An example:", "# One example:");
        ready.rehearsed();
        ready.refused("root", "R01", 11, "the transcript is of plan");
    });
}

/// Runs a program under a tracer, which looks at nothing: ends as it does, or with 98 where nothing may be traced.
const TRACER: &str = "
import ctypes, os, signal, sys
trace = ctypes.CDLL(None).ptrace
pid = os.fork()
if pid == 0:
    if trace(0, 0, None, None) == -1:
        os._exit(98)
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):
        sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
    sent = os.WSTOPSIG(status)
    trace(7, pid, None, ctypes.c_void_p(0 if sent == signal.SIGTRAP else sent))
";

/// R20: with nobody at it, too, a process that another looks into holds no ceremony; what is waived is the terminal alone.
#[test]
fn a_ceremony_that_nobody_sits_at_is_not_held_under_a_debugger() {
    alone(test_name!(a_ceremony_that_nobody_sits_at_is_not_held_under_a_debugger), |softhsm| {
        let ready = Ready::new(softhsm);
        let mut traced = Command::new("python3");
        traced.args(["-c", TRACER, env!("CARGO_BIN_EXE_sigill-ceremony")]);
        let said = softhsm.environment(traced.args(ready.words("root", ".production"))).output();
        let said = said.unwrap();
        if said.status.code() == Some(98) {
            return println!("skipped: no process may be traced here");
        }
        let text = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(13), "{text}");
        assert!(text.contains("error: R20: ") && text.contains("traces this one"), "{text}");
        assert!(!Path::new(&ready.0.path("root")).exists(), "nothing was made");

        assert_eq!(ready.run("root").0, 0);
    });
}

/// N24: time, module and token are those of the plan.
#[test]
fn a_ceremony_with_other_means_than_the_plan_has_is_refused() {
    alone(test_name!(a_ceremony_with_other_means_than_the_plan_has_is_refused), |softhsm| {
        let ready = Ready::new(softhsm);
        let text = fs::read_to_string(ready.0.path("plan.toml")).unwrap();
        let plan = Plan::read(text.as_bytes()).unwrap();
        let module = plan.tokens.first().unwrap().module_sha256.to_string();
        let end = plan.window.not_before.checked_add(Duration::from_secs(60)).unwrap();
        let ended = [plan.window.not_after, end].map(|end| format!("not-after  = {end}"));
        for (from, to, code, exit, wanted) in [
            (ended[0].as_str(), ended[1].as_str(), "R03", 13, "the plan may be carried out from"),
            (&module, &"00".repeat(32), "R04", 13, "the plan names 0000"),
            ("\"SoftHSM v2\"", "\"SoftHSM v3\"", "R06", 14, "has model \"SoftHSM v2\", the plan"),
        ] {
            ready.0.plan(from, to);
            ready.rehearsed();
            ready.refused("root", code, exit, wanted);
            let _ = fs::remove_dir_all(ready.0.path("root"));
            let _ = fs::remove_file(ready.0.path("root.mirror"));
        }
    });
}

/// N20, N22: killed at any point it goes on: one key, one certificate, and the shape of its rehearsal. Killed within the making of the key, it may find half of one:
/// then nothing more is done with that token.
#[test]
fn killed_at_any_point_it_goes_on_and_makes_nothing_twice() {
    alone(test_name!(killed_at_any_point_it_goes_on_and_makes_nothing_twice), |softhsm| {
        let ready = Ready::new(softhsm);
        let began = Instant::now();
        assert_eq!(ready.run("whole").0, 0);
        let whole = began.elapsed();
        let kills = u32::try_from(budget::count("ceremony-kills")).unwrap();
        let (mut went_on, mut stopped) = (0, 0);
        for kill in 0..kills {
            let home = format!("killed-{kill}");
            let mut run = ready.begun(&home);
            // Spread over the whole of it; where the machine is slower now it is killed earlier.
            thread::sleep(whole.saturating_mul(2 * kill + 1) / (2 * kills));
            run.kill().unwrap();
            run.wait().unwrap();

            let (code, said) = ready.run(&home);

            let made = ready.records(&home);
            let results = made.iter().filter(|record| record.kind == Kind::Result);
            let keys = results.filter(|record| record.text("spki_sha256").is_some()).count();
            assert!(keys <= 1, "{keys} keys");
            if code == 0 {
                let _ = ready.judge(&home);
                went_on += 1;
            } else {
                // By its own count of objects, or because the token lists none any more.
                assert!([1, 14].contains(&code) && said.contains("error: "), "{code}: {said}");
                assert!(!texts(&made, "act").contains(&"sign".to_owned()), "{said}");
                stopped += 1;
            }
        }
        println!(
            "measured: {kills} kills: {went_on} went on, {stopped} found half of what was made"
        );
    });
}

/// N20, N21, N22: cut off right after what was announced, with what came of it there or gone. A key is taken up, the same octets are signed once more, and
/// each is told; a key that nobody announced, and a file that was changed, end it.
#[test]
fn what_was_announced_is_taken_up_and_nothing_else() {
    alone(test_name!(what_was_announced_is_taken_up_and_nothing_else), |softhsm| {
        let ready = Ready::new(softhsm);
        assert_eq!(ready.run("root").0, 0);
        let out = |name: &str| ready.0.folder.join("root/ceremony/out").join(name);
        let announced = |act: &str, what: &str| ready.announced("root", act, what);
        let cut = |lines: usize, gone: &[&str]| ready.cut("root", lines, gone);
        let goes_on = || {
            let (code, said) = ready.run("root");
            assert_eq!(code, 0, "{said}");
            let _ = ready.judge("root");
            ready.records("root")
        };

        cut(announced("generate-key", "root-key") + 1, &["training.cer", "training.crl"]);
        let records = goes_on();
        assert_eq!(texts(&records, "adopted"), ["found by a later run"]);

        cut(announced("sign", "training.cer") + 1, &["training.cer", "training.crl"]);
        let records = goes_on();
        twice(&records, "training.cer");

        cut(announced("sign", "training.crl") + 1, &["training.crl"]);
        let records = goes_on();
        twice(&records, "training.crl");
        assert!(texts(&records, "reason").is_empty());

        let steps = ready.records("root");
        let last = steps.iter().rposition(|record| record.kind == Kind::Checkpoint).unwrap();
        cut(last + 1, &[]);
        let der = fs::read(out("training.cer")).unwrap();
        fs::write(out("training.cer"), &der[1..]).unwrap();
        ready.refused("root", "R19", 13, "is not what the transcript tells of");
        fs::write(out("training.cer"), der).unwrap();
        let tokens = ready.0.folder.join("root/tokens");
        fs::rename(&tokens, tokens.with_extension("away")).unwrap();
        ready.refused("root", "R06", 14, "is not there");
        assert_eq!(fs::read_dir(&tokens).unwrap().count(), 0, "no other was made");
        fs::remove_dir(&tokens).unwrap();
        fs::rename(tokens.with_extension("away"), &tokens).unwrap();
        goes_on();

        cut(announced("generate-key", "root-key"), &["training.cer", "training.crl"]);
        ready.refused("root", "R06", 14, "a key was made that nobody announced");
        assert!(!texts(&ready.records("root"), "act").contains(&"sign".to_owned()));
    });
}

/// Announced once, and once more with the same octets.
#[track_caller]
pub(crate) fn twice(records: &[Record], file: &str) {
    let intents = records.iter().filter(|record| record.kind == Kind::Intent);
    let of_file: Vec<&Record> =
        intents.filter(|record| record.text("what") == Some(file)).collect();
    let of = |name: &str| of_file.iter().map(|record| record.text(name)).collect::<Vec<_>>();
    for same in ["intent", "tbs_sha256"] {
        let of_both = of(same);
        assert!(of_both.len() == 2 && of_both.first() == of_both.last(), "{same}: {of_both:?}");
    }
    let is_again: Vec<bool> = of("again").iter().map(Option::is_some).collect();
    assert_eq!(is_again, [false, true]);
}
