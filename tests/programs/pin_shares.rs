//! `sigill-ceremony shares`, asked of the program: a PIN of a token among five custodians, and back.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::spoken::Spoken;
use support::{program, spoken};
use tempfile::TempDir;

const CUSTODIANS: [&str; 3] = ["anna", "bo", "cecilia"];

struct Set {
    home: TempDir,
    made: Spoken,
}

impl Set {
    /// Two of three.
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let mut words =
            vec!["make", "--token", "sg-td-ab12-root", "--pin", "user", "--threshold", "2"];
        CUSTODIANS.iter().for_each(|name| words.extend(["--custodian", *name]));
        let made =
            shares(home.path(), &[&words[..], &["--pin-file", "pin", "--out", "set"]].concat());
        assert_eq!(made.code, 0, "{}", made.text);
        Self { home, made }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn sheet(&self, number: usize) -> String {
        fs::read_to_string(self.path(&format!("set/share-{number}-{}.txt", CUSTODIANS[number - 1])))
            .unwrap()
    }

    fn run(&self, words: &[&str]) -> Spoken {
        shares(self.home.path(), words)
    }
}

fn shares(folder: &Path, words: &[&str]) -> Spoken {
    let mut command = Command::new(program::built("sigill-ceremony"));
    command.arg("shares").args(words).current_dir(folder).env_clear();
    spoken::run(&mut command, &[])
}

fn words_of(sheet: &str) -> Vec<&str> {
    sheet.lines().filter_map(|line| line.strip_prefix("  ")).collect()
}

/// Section 2.4 of the ceremonies: each pair of the three gives the PIN, one alone does not, and what is secret is its owner's only.
#[test]
fn two_of_three_give_the_pin_of_the_token() {
    let set = Set::new();
    let pin = fs::read_to_string(set.path("pin")).unwrap();
    assert_eq!(pin.trim_end().len(), 32);
    for name in ["pin", "set/share-1-anna.txt", "set/share-3-cecilia.txt"] {
        assert_eq!(
            fs::metadata(set.path(name)).unwrap().permissions().mode() & 0o777,
            0o600,
            "{name}"
        );
    }
    for (one, other) in [(1, 2), (1, 3), (3, 2)] {
        let [one, other] = [one, other].map(|n| format!("set/share-{n}-{}.txt", CUSTODIANS[n - 1]));
        let out = format!("again-{}", one.len() + other.len());
        let _ = fs::remove_file(set.path(&out));
        let joined = set.run(&[
            "join",
            "--set",
            "set/set.json",
            "--share",
            &one,
            "--share",
            &other,
            "--pin-file",
            &out,
        ]);
        assert_eq!(joined.code, 0, "{}", joined.text);
        assert_eq!(fs::read_to_string(set.path(&out)).unwrap(), pin);
    }
    let alone = set.run(&[
        "join",
        "--set",
        "set/set.json",
        "--share",
        "set/share-1-anna.txt",
        "--pin-file",
        "alone",
    ]);
    assert_eq!(alone.code, 1);
    assert!(
        alone.text.contains("share-missing") && alone.text.contains("1 shares, 2 put"),
        "{}",
        alone.text
    );
    assert!(!set.path("alone").exists());
    // Nothing of it is said.
    for said in [&set.made.text, &alone.text] {
        assert!(!said.contains(pin.trim_end()));
        assert!(
            (1..=3)
                .all(|number| words_of(&set.sheet(number)).iter().all(|line| !said.contains(line)))
        );
    }
}

/// N19: whose share is wrong is named, and no PIN is written; a sheet is checked without the others.
#[test]
fn a_wrong_sheet_is_named() {
    let set = Set::new();
    let good =
        set.run(&["check", "--set", "set/set.json", "--share", "set/share-2-bo.txt", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&good.out).unwrap();
    assert_eq!((&found["number"], &found["custodian"]), (&2.into(), &"bo".into()));

    let other = Set::new();
    fs::write(set.path("other.txt"), other.sheet(2)).unwrap();
    let lines = set.sheet(2);
    let lines = words_of(&lines);
    fs::write(set.path("misread.txt"), [&lines[..6], &[lines[7], lines[6]]].concat().join("\n"))
        .unwrap();
    fs::write(set.path("short.txt"), lines[..7].join("\n")).unwrap();
    for (file, code, said) in [
        ("other.txt", "share-of-another-set", "is of set"),
        ("misread.txt", "share-misread", "the checksum does not fit"),
        ("short.txt", "share-misread", "28 words"),
    ] {
        for words in [
            &["check", "--set", "set/set.json", "--share", file][..],
            &[
                "join",
                "--set",
                "set/set.json",
                "--share",
                "set/share-1-anna.txt",
                "--share",
                file,
                "--pin-file",
                "no",
            ],
        ] {
            let refused = set.run(words);
            assert_eq!(refused.code, 1, "{}", refused.text);
            assert!(refused.text.contains(code) && refused.text.contains(said), "{}", refused.text);
            assert!(refused.text.contains("next: "), "{}", refused.text);
        }
        assert!(!set.path("no").exists());
    }
    // The record of another set does not make it good: its token and custodians stand in it.
    fs::write(set.path("other.json"), fs::read_to_string(other.path("set/set.json")).unwrap())
        .unwrap();
    let refused = set.run(&["check", "--set", "other.json", "--share", "set/share-2-bo.txt"]);
    assert!(refused.text.contains("share-of-another-set"), "{}", refused.text);
}

/// The record alone says whose share is wrong: it is bound to the sheets by its hash, so that one in which names were exchanged is refused.
#[test]
fn an_exchanged_record_is_refused_by_the_hash_on_the_sheets() {
    let set = Set::new();
    let on_sheet = |number: usize| {
        let sheet = set.sheet(number);
        let lines = sheet.lines().skip_while(|line| *line != "SHA-256 av/of set.json:");
        lines.skip(1).take(2).collect::<Vec<_>>().join(" ")
    };
    let hash = on_sheet(1);
    assert_eq!((hash.len(), &on_sheet(3)), (79, &hash));
    assert!(set.made.text.contains(&hash), "{}", set.made.text);
    let check = |record: &str, more: &[&str]| {
        let words = ["check", "--set", record, "--share", "set/share-2-bo.txt"];
        set.run(&[&words[..], more].concat())
    };
    let good = check("set/set.json", &["--record", &hash]);
    assert!(good.code == 0 && good.text.contains(&hash), "{}", good.text);

    let record = fs::read_to_string(set.path("set/set.json")).unwrap();
    assert!(record.contains("\"bo\""), "{record}");
    fs::write(set.path("forged.json"), record.replace("\"bo\"", "\"eva\"")).unwrap();
    let unseen = check("forged.json", &[]);
    assert!(unseen.code == 0 && !unseen.text.contains(&hash), "{}", unseen.text);
    let join = ["join", "--set", "forged.json", "--share", "set/share-1-anna.txt"];
    let more = ["--share", "set/share-2-bo.txt", "--pin-file", "no", "--record", &hash];
    for refused in
        [check("forged.json", &["--record", &hash]), set.run(&[&join[..], &more].concat())]
    {
        assert_eq!(refused.code, 1, "{}", refused.text);
        assert!(refused.text.contains("share-record"), "{}", refused.text);
    }
    assert!(!set.path("no").exists());
}

#[test]
fn nothing_that_is_there_is_replaced() {
    let set = Set::new();
    let make = |pin: &str, out: &str| {
        set.run(&[
            "make",
            "--token",
            "sg-td-ab12-root",
            "--pin",
            "security-officer",
            "--custodian",
            "a",
            "--custodian",
            "b",
            "--threshold",
            "2",
            "--pin-file",
            pin,
            "--out",
            out,
        ])
    };
    let pin = fs::read(set.path("pin")).unwrap();
    let sheet = set.sheet(1);
    assert_eq!(make("other-pin", "set").code, 1);
    assert!(!set.path("other-pin").exists());
    assert_eq!(make("pin", "other-set").code, 1);
    assert!(!set.path("other-set").exists());
    // A PIN that cannot be written, and one whose set cannot: the sheets are there before the PIN is.
    assert_eq!(make("nowhere/pin", "third-set").code, 1);
    for name in ["set.json", "share-1-a.txt", "share-2-b.txt"] {
        assert!(set.path("third-set").join(name).exists(), "{name}");
    }
    assert_eq!(make("third-pin", "nowhere/set").code, 1);
    assert!(!set.path("third-pin").exists());
    assert_eq!((fs::read(set.path("pin")).unwrap(), set.sheet(1)), (pin, sheet));
    let refused = set.run(&[
        "make",
        "--token",
        "sg-td-ab12-root",
        "--pin",
        "user",
        "--custodian",
        "a",
        "--custodian",
        "a",
        "--threshold",
        "2",
        "--pin-file",
        "p",
        "--out",
        "o",
    ]);
    assert!(refused.text.contains("share-order"), "{}", refused.text);
    assert!(!set.path("o").exists() && !set.path("p").exists());
}

/// Custodians read their sheets at the terminal: one misreads a word, and nothing that is typed is shown.
#[test]
fn shares_are_read_at_a_terminal_and_not_shown() {
    let set = Set::new();
    let (first, third) = (set.sheet(1), set.sheet(3));
    let (first, third) = (words_of(&first), words_of(&third));
    let mut typed: Vec<&str> = [&first[..7], &[first[0]]].concat();
    typed.extend(&first);
    typed.extend(&third);
    let command = format!(
        "{} shares join --set set/set.json --pin-file typed",
        program::built("sigill-ceremony").display()
    );
    let mut child = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .current_dir(set.home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut shown, mut octet, mut lines) = (Vec::new(), [0], typed.iter());
    while output.read(&mut octet).unwrap_or(0) == 1 {
        shown.push(octet[0]);
        if shown.ends_with(b"(four words): ") {
            writeln!(input, "{}", lines.next().unwrap()).unwrap();
        }
    }
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(child.wait().unwrap().success(), "{shown}");
    assert!(shown.contains("read the sheet again"), "{shown}");
    assert!(shown.contains("share of anna is") && shown.contains("share of cecilia is"), "{shown}");
    assert!(typed.iter().all(|line| !shown.contains(line)), "{shown}");
    assert_eq!(fs::read(set.path("typed")).unwrap(), fs::read(set.path("pin")).unwrap());
}
