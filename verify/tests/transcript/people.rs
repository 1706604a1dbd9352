//! Who was in the room, by the plan; and the shape, by the rehearsal (N1, N2, N33).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use ceremony_core::attendance::{
    Attendance, DECLARATION, PRESENCE, PRODUCTION, REHEARSAL, TO_BE_SIGNED,
};
use ceremony_core::plan::Plan;
use ceremony_core::transcript::{Chain, FORMAT, Fact, Kind, Record};
use ceremony_core::words::Fingerprint;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::Value;
use tempfile::TempDir;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::statement::{SignedStatement, Statement};
use x509::time::UnixTime;

pub(super) const ALL: [&str; 7] = [
    "kerstin-lund",
    "olle-dahl",
    "vera-sund",
    "ragnar-holm",
    "anna-berg",
    "bo-lind",
    "cecilia-ros",
];

fn key(person: &str) -> SigningKey {
    SigningKey::from_bytes(Fingerprint::of(person.as_bytes()).as_bytes())
}

fn public(person: &str) -> PublicKey {
    PublicKey::from_ed25519(&key(person).verifying_key().to_bytes()).unwrap()
}

fn sign(person: &str, statement: &Statement) -> SignedStatement {
    let signature = key(person).sign(statement.as_str().as_bytes()).to_bytes();
    SignedStatement::assemble(statement, &public(person), SignatureAlgorithm::Ed25519, &signature)
        .unwrap()
}

/// Lines that nobody asks whether they may be so.
pub(super) struct Lines<'a> {
    chain: Chain,
    attendance: Attendance<'a>,
    octets: Vec<u8>,
    number: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn begun(plan: &'a Plan, purpose: &str) -> Self {
        let (chain, attendance) = (Chain::new(), Attendance::new(plan));
        let mut lines = Self { chain, attendance, octets: Vec::new(), number: 0 };
        let (hash, deployment) = (plan.hash.to_string(), plan.deployment.to_string());
        let genesis = [
            ("format", FORMAT),
            ("deployment", &deployment),
            ("plan", &hash),
            ("program", "1"),
            ("purpose", purpose),
            ("nonce", "000102030405060708090a0b0c0d0e0f"),
        ];
        lines.write("begin", Kind::Genesis, &[], &genesis);
        lines
    }

    pub(super) fn write(&mut self, step: &str, kind: Kind, who: &[&str], facts: &[(&str, &str)]) {
        self.number += 1;
        let text = |(name, text): &(&str, &str)| ((*name).to_owned(), Fact::from(*text));
        let mut record = Record {
            time: UnixTime::from_secs(1_795_000_000 + self.number).unwrap(),
            run_ms: self.number * 1000,
            step: step.to_owned(),
            kind,
            who: who.iter().map(|id| (*id).to_owned()).collect(),
            body: facts.iter().map(text).collect(),
        };
        if kind == Kind::Close {
            record.body.extend(self.chain.head_facts());
        }
        if record.text("what") == Some(PRESENCE) {
            let challenge = self.attendance.challenge(self.chain.head(), step);
            let answer = sign(who[0], &challenge.statement(who[0]).unwrap());
            record.body.insert("statement".to_owned(), answer.as_str().into());
        }
        // Whoever writes a transcript by hand asks nobody whether it may be so.
        let _ = self.attendance.take(self.chain.head(), &record);
        let (line, after) = self.chain.next(&record).unwrap();
        self.octets.extend(line.iter().chain(b"\n"));
        self.chain = after;
    }

    pub(super) fn closed(mut self, path: &Path) -> PathBuf {
        self.write("end", Kind::Close, &[], &[]);
        fs::write(path, self.octets).unwrap();
        path.to_owned()
    }
}

/// A shipped plan with keys that we have.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) plan: Plan,
}

impl World {
    fn new() -> Self {
        Self::of("c1-root-key")
    }

    pub(super) fn of(plan: &str) -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
        let shipped = shipped.join(format!("../docs/ceremonies/plans/{plan}.toml"));
        let mut text = fs::read_to_string(shipped).unwrap();
        for person in &Plan::read(text.as_bytes()).unwrap().people.persons {
            let ours = public(person.id.as_str()).spki_hash().to_string();
            text = text.replace(&person.keys[0].to_string(), &ours);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plan.toml"), &text).unwrap();
        Self { folder, plan: Plan::read(text.as_bytes()).unwrap() }
    }

    /// A transcript in which these people answer, a key is made by the name of `what`, and all else that the plan has is done.
    fn held(&self, purpose: &str, people: &[&str], what: &str) -> PathBuf {
        self.held_with(purpose, people, ("generate-key", what), true)
    }

    /// As [`Self::held`], with another act in the step of the key, or with that step alone.
    fn held_with(
        &self,
        purpose: &str,
        people: &[&str],
        (act, what): (&str, &str),
        all: bool,
    ) -> PathBuf {
        let mut lines = Lines::begun(&self.plan, purpose);
        let hash = self.plan.hash.to_string();
        let mut write = |step: &str, kind: Kind, who: &[&str], facts: &[(&str, &str)]| {
            lines.write(step, kind, who, facts);
        };
        for id in people {
            write("root-key", Kind::Attest, &[id], &[("what", PRESENCE)]);
        }
        let key = [("act", act), ("what", what), ("intent", "k1")];
        write("root-key", Kind::Intent, &[], &key);
        write("root-key", Kind::Result, &[], &[("intent", "k1"), ("spki_sha256", &hash)]);
        if all {
            write("safe", Kind::Attest, &["maria-stal"], &[("what", PRESENCE)]);
            let declared = [("what", DECLARATION), ("text", "whole")];
            write("safe", Kind::Attest, &["maria-stal"], &declared);
            for (step, act) in
                [("root-certificate", "sign"), ("first-crl", "sign"), ("root-backup", "backup")]
            {
                let compared = [("what", TO_BE_SIGNED), ("sha256", hash.as_str())];
                write(step, Kind::Readback, &["vera-sund"], &compared);
                let announced = [("act", act), ("intent", step), ("tbs_sha256", hash.as_str())];
                write(step, Kind::Intent, &[], &announced);
                write(step, Kind::Result, &[], &[("intent", step)]);
            }
        }
        lines.closed(&self.folder.path().join(format!("{purpose}.jsonl")))
    }

    pub(super) fn judged(&self, transcript: &Path, more: &[&str]) -> Output {
        let plan = self.folder.path().join("plan.toml");
        super::verify(transcript, &[&["--plan", plan.to_str().unwrap()], more].concat())
    }
}

#[track_caller]
pub(super) fn refused(output: &Output, code: i32, said: &str) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.starts_with("refused: R") && text.contains(said), "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_ceremony_that_had_its_people_and_its_rehearsal_holds() {
    let world = World::new();
    let rehearsal = world.held(REHEARSAL, &ALL, "root-key");
    let rehearsal = rehearsal.to_str().unwrap();
    // Another custodian than at the rehearsal, and somebody who need not be there.
    let mut people = ALL.to_vec();
    people[4] = "eva-falk";
    people.push("sara-nyman");
    let held = world.held(PRODUCTION, &people, "root-key");

    let output = world.judged(&held, &["--rehearsal", rehearsal]);

    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let names = "people      bo-lind, cecilia-ros, eva-falk, kerstin-lund";
    assert!(text.contains(names), "{text}");
    let shape = |path: &Path| {
        let found: Value = serde_json::from_slice(&world.judged(path, &["--json"]).stdout).unwrap();
        assert_eq!(found["people"].as_array().unwrap().len(), if path == held { 9 } else { 8 });
        found["shape"].as_str().unwrap().to_owned()
    };
    assert_eq!(shape(&held), shape(Path::new(rehearsal)));
}

/// N1, N2: by the answers in the transcript, whoever wrote it.
#[test]
fn a_key_that_was_made_by_too_few_is_refused() {
    let world = World::new();
    for (left_out, said) in [
        ("anna-berg", "line 8, step root-key: step root-key requires 3 of role custodian, and 2"),
        ("vera-sund", "requires 1 of role witness, and 0"),
    ] {
        let people: Vec<&str> = ALL.into_iter().filter(|id| *id != left_out).collect();
        let held = world.held(PRODUCTION, &people, "root-key");
        refused(&world.judged(&held, &[]), 12, said);
    }
    // An answer of another place, put in by whoever chains the lines anew.
    let held = world.held(PRODUCTION, &ALL, "root-key");
    let text = fs::read_to_string(&held).unwrap().replacen("\"plan\":\"", "\"plan\":\"0", 1);
    fs::write(&held, text).unwrap();
    refused(&world.judged(&held, &[]), 18, "it continues other lines");
    let other = World::new();
    fs::write(other.folder.path().join("plan.toml"), "format = \"another\"\n").unwrap();
    let held = world.held(PRODUCTION, &ALL, "root-key");
    refused(&other.judged(&held, &[]), 10, "plan.toml");
}

/// N34: a step announces what its operation is, by whose people it was judged.
#[test]
fn work_that_the_plan_does_not_have_in_its_step_is_refused() {
    let world = World::new();
    let held = world.held_with(PRODUCTION, &ALL, ("backup", "root-key"), true);
    let said = "R14: line 9: step \"root-key\" announces \"backup\", and the plan has generate-key";
    refused(&world.judged(&held, &[]), 14, said);
}

/// Nothing is closed of which something is not done.
#[test]
fn a_ceremony_that_closed_before_its_end_is_refused() {
    let world = World::new();
    let held = world.held_with(PRODUCTION, &ALL, ("generate-key", "root-key"), false);
    let said = "R14: line 11: step \"safe\" has 0 of the 1 results or declarations";
    refused(&world.judged(&held, &[]), 14, said);
}

/// N33.
#[test]
fn a_ceremony_of_another_shape_than_its_rehearsal_is_refused() {
    let world = World::new();
    let rehearsal = world.held(REHEARSAL, &ALL, "another-key");
    let held = world.held(PRODUCTION, &ALL, "root-key");
    let as_rehearsed = |transcript: &Path, rehearsal: &Path| {
        world.judged(transcript, &["--rehearsal", rehearsal.to_str().unwrap()])
    };
    refused(&as_rehearsed(&held, &rehearsal), 13, "line 2 of the shape is {");
    refused(&as_rehearsed(&held, &held), 13, "the rehearsal is of purpose \"production\"");
    refused(&as_rehearsed(&rehearsal, &rehearsal), 13, "the transcript is of purpose");

    let cut = fs::read_to_string(&rehearsal).unwrap();
    let (cut, _) = cut.trim_end().rsplit_once('\n').unwrap();
    fs::write(&rehearsal, format!("{cut}\n")).unwrap();
    refused(&as_rehearsed(&held, &rehearsal), 13, "did not come to its end");
}
