//! `sigill-ceremony rehearse`: the same shape every time, by other keys; and what stops it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ceremony_core::attendance::{Attendance, READ_BY_NOBODY};
use ceremony_core::plan::Plan;
use ceremony_core::shape::Shape;
use ceremony_core::transcript::{Kind, Record, Whole};
use ceremony_core::words::Fingerprint;
use support::softhsm::{MODULE, SoftHsm, alone};
use support::{test_name, workspace};
use x509::time::UnixTime;

use super::ceremony;

/// A training plan for this very program and module and these days, approved by two people, with its inputs beside it and a software
/// key of everybody.
pub(crate) struct Rehearsed<'a> {
    pub(crate) softhsm: &'a SoftHsm,
    pub(crate) folder: PathBuf,
    shipped: &'static str,
    /// What else of the shipped plan is another.
    more: Vec<(String, String)>,
    /// When the test began, Unix seconds.
    now: u64,
}

impl<'a> Rehearsed<'a> {
    pub(crate) fn new(softhsm: &'a SoftHsm) -> Self {
        Self::training(softhsm, Vec::new())
    }

    /// The root's training, with so much changed.
    pub(crate) fn training(softhsm: &'a SoftHsm, more: Vec<(String, String)>) -> Self {
        let profile = fs::read_to_string(workspace::root().join("profiles/root.toml")).unwrap();
        let profile = profile.replace("rsa-4096", "ec-p384").into_bytes();
        let inputs = [("in/profiles/root.toml", profile)];
        Self::of(softhsm, "c1-training", &inputs, more)
    }

    /// The shipped plan of this name with these inputs and so much changed, in a folder of its own.
    pub(crate) fn of(
        softhsm: &'a SoftHsm,
        shipped: &'static str,
        inputs: &[(&str, Vec<u8>)],
        more: Vec<(String, String)>,
    ) -> Self {
        let folder = softhsm.state().join(shipped);
        fs::create_dir_all(folder.join("in/profiles")).unwrap();
        fs::write(folder.join("in/device.json"), "{}\n").unwrap();
        for (name, octets) in inputs {
            fs::write(folder.join(name), octets).unwrap();
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let world = Self { softhsm, folder, shipped, more, now };
        world.plan("", "");
        world
    }

    /// What the plan expects of a token.
    pub(crate) fn expected(&self) -> String {
        let (_, hash) = self.more.last().unwrap();
        hash.clone()
    }

    /// Writes the plan with one change, and has it approved for rehearsal.
    pub(crate) fn plan(&self, from: &str, to: &str) {
        self.plan_twice((from, to), ("", ""));
    }

    /// As [`Self::plan`], with two.
    pub(crate) fn plan_twice(&self, one: (&str, &str), other: (&str, &str)) {
        let shipped = format!("docs/ceremonies/plans/{}.toml", self.shipped);
        let mut text = fs::read_to_string(workspace::root().join(shipped)).unwrap();
        let plan = Plan::read(text.as_bytes()).unwrap();
        let hash = |path: &Path| Fingerprint::of(&fs::read(path).unwrap()).to_string();
        let program = hash(Path::new(env!("CARGO_BIN_EXE_sigill-ceremony")));
        text = text.replace(&plan.program.sha256.to_string(), &program);
        for token in &plan.tokens {
            let module = format!("module-sha256  = \"{}\"", token.module_sha256);
            let ours = format!("module-sha256  = \"{}\"", hash(Path::new(MODULE)));
            text = text.replace(&module, &ours);
        }
        for input in &plan.inputs {
            let ours = hash(&self.folder.join(input.file.as_str()));
            text = text.replace(&input.sha256.to_string(), &ours);
        }
        let day = |days: u64| {
            let secs = self.now - 86_400 + days * 86_400;
            UnixTime::from_secs(secs).unwrap().to_string()
        };
        for (window, days) in [(plan.window.not_before, 0), (plan.window.not_after, 2)] {
            text = text.replace(&window.to_string(), &day(days));
        }
        for person in &plan.people.persons {
            let key = self.key(person.id.as_str());
            if !key.exists() {
                let made = self.says(&["person", "make-key", "--out", key.to_str().unwrap()]);
                fs::write(key.with_extension("hash"), made.1.trim()).unwrap();
            }
            let ours = fs::read_to_string(key.with_extension("hash")).unwrap();
            text = text.replace(&person.keys.first().unwrap().to_string(), &ours);
        }
        for (from, to) in &self.more {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        for (from, to) in [one, other] {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, usize::from(!from.is_empty()));
        }
        fs::write(self.path("plan.toml"), text).unwrap();
        self.approve(&["--purpose", "rehearsal"], "");
    }

    /// Has both approvers sign the plan as it stands; their files end so.
    pub(crate) fn approve(&self, purpose: &[&str], end: &str) {
        for person in BOTH {
            let (key, out) = (self.key(person), self.path(&format!("{person}{end}")));
            let plan = self.path("plan.toml");
            let words = ["plan", "approve", &plan, "--person", person, "--out", &out];
            let key = ["--key", key.to_str().unwrap()];
            let (code, said) = self.says(&[words.as_slice(), &key, purpose].concat());
            assert_eq!(code, 0, "{said}");
        }
    }

    pub(crate) fn key(&self, person: &str) -> PathBuf {
        self.softhsm.pins().join(format!("{person}.key"))
    }

    pub(crate) fn says(&self, words: &[&str]) -> (i32, String) {
        let said = ceremony(self.softhsm, words);
        let text = [said.stdout, said.stderr].concat();
        (said.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub(crate) fn rehearse(&self, out: &str, approvers: &[&str]) -> (i32, String) {
        let (plan, out) = (self.path("plan.toml"), self.path(out));
        let mut words = vec!["rehearse".to_owned(), plan, "--out".to_owned(), out];
        for person in approvers {
            words.extend(["--approval".to_owned(), self.path(person)]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.says(&words)
    }

    #[track_caller]
    pub(crate) fn refused(
        &self,
        approvers: &[&str],
        code: &str,
        exit: i32,
        wanted: &str,
    ) -> Vec<Record> {
        let out = format!("refused-{code}.jsonl");
        let _ = fs::remove_file(self.path(&out));
        let (seen, said) = self.rehearse(&out, approvers);
        assert_eq!(seen, exit, "{said}");
        assert!(said.contains(&format!("error: {code}: ")) && said.contains(wanted), "{said}");
        match fs::read(self.path(&out)) {
            Ok(octets) => Whole::read(&octets).unwrap().records,
            Err(_) => Vec::new(),
        }
    }
}

pub(crate) const BOTH: &[&str] = &["per-brandt", "sara-nyman"];

pub(crate) fn texts(records: &[Record], name: &str) -> Vec<String> {
    records.iter().filter_map(|record| record.text(name).map(str::to_owned)).collect()
}

/// A4, CER-03: twice, with other keys and the same shape; each step had its people, and nothing is left behind.
#[test]
fn a_rehearsal_has_the_same_shape_every_time() {
    alone(test_name!(a_rehearsal_has_the_same_shape_every_time), |softhsm| {
        let world = Rehearsed::new(softhsm);
        let plan = Plan::read(&fs::read(world.path("plan.toml")).unwrap()).unwrap();
        let mut shapes = Vec::new();
        let mut keys = Vec::new();
        for out in ["one.jsonl", "two.jsonl"] {
            let (code, said) = world.rehearse(out, BOTH);
            assert_eq!(code, 0, "{said}");
            let octets = fs::read(world.path(out)).unwrap();
            let whole = Whole::read(&octets).unwrap();
            let shape = Shape::of(&whole.records).unwrap();
            assert!(said.starts_with(&format!("{}\n", shape.hash())), "{said}");
            shapes.push(shape);
            keys.extend(texts(&whole.records, "spki_sha256"));

            let attendance = Attendance::judge(&plan, &octets).unwrap();
            // Whom the steps require: neither deputies nor who only approves.
            assert_eq!(attendance.came().len(), 14);
            let acts = texts(&whole.records, "act");
            assert_eq!(acts, ["prepare-token", "generate-key", "sign", "sign"]);
            let compared: Vec<&Record> =
                whole.records.iter().filter(|record| record.kind == Kind::Readback).collect();
            assert_eq!(compared.len(), 2);
            let nobody = |record: &&Record| {
                record.who.is_empty() && record.text("what") == Some(READ_BY_NOBODY)
            };
            assert!(compared.iter().all(nobody));
            let hashes = texts(&whole.records, "tbs_sha256");
            assert!(compared.iter().zip(&hashes).all(|(one, tbs)| one.text("sha256") == Some(tbs)));
        }
        shapes[0].equals(&shapes[1]).unwrap();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "a key came twice");

        let (code, said) = world.rehearse("one.jsonl", BOTH);
        assert_eq!((code, said.starts_with("error: R19: ")), (13, true), "{said}");
    });
}

/// N3, N4, N24, N28, N32: what the plan does not have is refused, with its code, and nothing is signed.
#[test]
fn a_rehearsal_of_something_else_than_the_plan_has_is_refused() {
    alone(test_name!(a_rehearsal_of_something_else_than_the_plan_has_is_refused), |softhsm| {
        let world = Rehearsed::new(softhsm);
        world.refused(&BOTH[..1], "R02", 11, "1 of the 2 people");

        let unlisted = world.path("in/profiles/other.toml");
        fs::write(&unlisted, "").unwrap();
        world.refused(BOTH, "R09", 13, "other.toml lies among the inputs");
        fs::remove_file(unlisted).unwrap();
        fs::write(world.path("in/device.json"), "{ }\n").unwrap();
        world.refused(BOTH, "R09", 13, "the plan names");
        fs::remove_file(world.path("in/device.json")).unwrap();
        world.refused(BOTH, "R09", 13, "input device at");
        fs::write(world.path("in/device.json"), "{}\n").unwrap();

        world.plan("version = \"0.1.0\"", "version = \"0.1.1\"");
        world.refused(BOTH, "R04", 13, "this program is version 0.1.0");

        // The key is made, and the trial finds out that the profile does not allow what it would certify.
        world.plan("not-after    = 2030-01-01T00:00:00Z", "not-after    = 2099-01-01T00:00:00Z");
        let records = world.refused(BOTH, "R11", 15, "the key has signed nothing");
        assert_eq!(texts(&records, "act"), ["prepare-token", "generate-key"]);

        // As approved, but changed since.
        let text = fs::read_to_string(world.path("plan.toml")).unwrap();
        fs::write(world.path("plan.toml"), text.replacen("# An example", "# One example", 1))
            .unwrap();
        world.refused(BOTH, "R01", 11, "approves plan");
    });
}

/// An operation that is not held yet is named, and nothing is made.
#[test]
fn what_is_not_rehearsed_yet_is_named() {
    alone(test_name!(what_is_not_rehearsed_yet_is_named), |softhsm| {
        let world = Rehearsed::new(softhsm);
        let shipped = workspace::root().join("docs/ceremonies/plans/c1-root-key.toml");
        fs::copy(shipped, world.path("plan.toml")).unwrap();
        let (code, said) = world.rehearse("none.jsonl", BOTH);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("step root-backup: backup is not held"), "{said}");
        assert!(!Path::new(&world.path("none.jsonl")).exists());
    });
}

/// The folder that is removed afterwards is one that the program made.
#[test]
fn a_rehearsal_removes_no_folder_that_it_did_not_make() {
    alone(test_name!(a_rehearsal_removes_no_folder_that_it_did_not_make), |softhsm| {
        let world = Rehearsed::new(softhsm);
        let named = std::env::temp_dir().join(format!("sigill-rehearsal-{}", std::process::id()));
        fs::create_dir(&named).unwrap();
        for folder in [world.folder.clone(), named.clone()] {
            fs::write(folder.join("kept"), "").unwrap();
            let (plan, out) = (world.path("plan.toml"), world.path("none.jsonl"));
            let folder_text = folder.display().to_string();
            let words = ["rehearse", &plan, "--out", &out, "--approval", "none"];
            let (code, said) =
                world.says(&[&words[..], &["--throw-away", folder_text.as_str()]].concat());
            assert_eq!(code, 1, "{said}");
            assert!(said.contains("is no folder that a rehearsal made"), "{said}");
            assert!(folder.join("kept").exists());
        }
        fs::remove_dir_all(named).unwrap();
    });
}
