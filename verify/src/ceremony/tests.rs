//! The ceremony of docs/formats/vectors holds; with one thing changed it is refused by the rule that is for it.
//!
//! Whoever changes a bundle makes its manifest anew and the lines of its transcript follow one another again: nothing prevents that but
//! the two hashes on paper. The transcript has no answer of a person after its first step, so what comes later can be told anew here, under the head
//! that it then has.

use std::fs;
use std::path::Path;

use ceremony_core::transcript::{Chain, Fact};
use serde_json::Value;
use x509::time::UnixTime;

use super::*;

/// What a change is refused with, and the change.
type Change<'a> = (&'a str, &'a dyn Fn(&mut Made));

struct Case {
    bundle: Bundle,
    paper: Paper,
}

fn vector(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/vectors");
    fs::read(folder.join(name)).unwrap()
}

fn case() -> Case {
    let told: Value = serde_json::from_slice(&vector("ceremony-bundle.json")).unwrap();
    let of = |name: &str| told[name].as_str().unwrap().parse().unwrap();
    Case {
        bundle: Bundle::from_archive(&vector("ceremony-bundle.tar")).unwrap(),
        paper: Paper { plan: of("plan"), head: of("head") },
    }
}

/// The bundle with other files; `None` takes one away.
fn with(bundle: &Bundle, changes: &[(&str, Option<Vec<u8>>)]) -> Bundle {
    let mut made = Bundle::new();
    for (name, octets) in bundle.files() {
        if changes.iter().all(|(changed, _)| *changed != name) {
            made.put(name, octets.to_vec()).unwrap();
        }
    }
    for (name, octets) in changes {
        if let Some(octets) = octets {
            made.put(name, octets.clone()).unwrap();
        }
    }
    made
}

fn judged(bundle: &Bundle, paper: Paper) -> Judged {
    judge(&bundle.to_archive().unwrap(), paper)
}

#[track_caller]
fn refused(bundle: &Bundle, paper: Paper, check: Check, code: &str, exit: u8, said: &str) {
    let refused = judged(bundle, paper).verdict.unwrap_err();
    let seen = (refused.check, refused.code(), refused.exit_code());
    assert_eq!(seen, (check, code, exit), "{refused}");
    assert!(refused.to_string().contains(said), "{refused}");
}

/// The lines of a transcript after a change, following one another as if they had been written so; and the head that they have.
fn told_anew(octets: &[u8], change: impl Fn(&mut Vec<Record>)) -> (Vec<u8>, Fingerprint) {
    let mut records = Whole::read(octets).unwrap().records;
    change(&mut records);
    let (mut chain, mut lines) = (Chain::new(), Vec::new());
    for mut record in records {
        if matches!(record.kind, Kind::Checkpoint | Kind::Close) {
            record.body.extend(chain.head_facts());
        }
        let (line, after) = chain.next(&record).unwrap();
        lines.extend(line);
        lines.push(b'\n');
        chain = after;
    }
    (lines, Fingerprint::from_bytes(*chain.head().1.as_bytes()))
}

/// A case whose transcript was told anew, with the head that is then on paper.
fn transcript_of(case: &Case, change: impl Fn(&mut Vec<Record>)) -> Case {
    let (lines, head) = told_anew(case.bundle.file(bundle::TRANSCRIPT), change);
    let bundle = with(&case.bundle, &[(bundle::TRANSCRIPT, Some(lines))]);
    Case { bundle, paper: Paper { head, ..case.paper } }
}

/// The last line, that it is changed or that something stands before it.
fn last(records: &[Record]) -> usize {
    records.len() - 1
}

fn like(record: &Record, kind: Kind, who: &[&str], facts: &[(&str, &str)]) -> Record {
    let facts = facts.iter().map(|(name, text)| ((*name).to_owned(), Fact::from(*text)));
    let who = who.iter().map(|id| (*id).to_owned()).collect();
    Record { kind, who, body: facts.collect(), ..record.clone() }
}

fn set(record: &mut Record, name: &str, value: &str) {
    record.body.insert(name.to_owned(), value.into());
}

/// Somebody goes before a line, and takes part in nothing after it.
fn leaves(records: &mut Vec<Record>, at: usize, person: &str) {
    let line = like(&records[at], Kind::Check, &[person], &[("what", "leaves")]);
    for record in &mut records[at..] {
        record.who.retain(|id| id != person);
    }
    records.insert(at, line);
}

fn place(records: &[Record], kind: Kind, name: &str, value: &str) -> usize {
    let is_it = |record: &Record| record.kind == kind && record.text(name) == Some(value);
    records.iter().position(is_it).unwrap()
}

/// CER-06: every row holds, in its order, and what was made is told.
#[test]
fn the_shipped_ceremony_holds() {
    let case = case();
    let Judged { rows, verdict } = judged(&case.bundle, case.paper);
    let held = verdict.unwrap();
    let checks: Vec<Check> = rows.iter().map(|(check, _)| *check).collect();
    assert_eq!(checks, Check::ALL);
    assert!(held.is_unattended());
    assert_eq!((held.approvals.len(), held.came.len(), held.made.keys.len()), (2, 14, 1));
    let files: Vec<&str> = held.artefacts.iter().map(|one| one.file.as_str()).collect();
    assert_eq!(files, ["out/training.cer", "out/training.crl"]);
}

/// Form, plan, head: the two hashes on paper, and nothing in the place of a file.
#[test]
fn what_is_not_on_paper_is_refused() {
    let Case { bundle, paper } = case();
    let refuse = judge(b"no archive", paper).verdict.unwrap_err();
    assert_eq!((refuse.check, refuse.code(), refuse.exit_code()), (Check::Bundle, "R19", 13));
    let other = Fingerprint::of(b"another");
    let (plan, head) = (Paper { plan: other, ..paper }, Paper { head: other, ..paper });
    refused(&bundle, plan, Check::Plan, "R01", 11, "on paper is");
    refused(&bundle, head, Check::Head, "R17", 18, "on paper is");
    let none = with(&bundle, &[(bundle::PLAN, Some(b"id = 1\n".to_vec()))]);
    let paper_of = Paper { plan: Fingerprint::of(b"id = 1\n"), ..paper };
    refused(&none, paper_of, Check::Plan, "R01", 10, "expected a string");

    let lines = bundle.file(bundle::TRANSCRIPT);
    let cut = lines[..lines.len() - 1].iter().rposition(|octet| *octet == b'\n').unwrap();
    let cut = with(&bundle, &[(bundle::TRANSCRIPT, Some(lines[..=cut].to_vec()))]);
    refused(&cut, paper, Check::Transcript, "R17", 18, "did not come to its end");
    let rehearsal = bundle.file(bundle::REHEARSAL).to_vec();
    let swapped = with(&bundle, &[(bundle::TRANSCRIPT, Some(rehearsal))]);
    refused(&swapped, paper, Check::Transcript, "R17", 18, "of purpose \"rehearsal\"");
}

/// N2, N3, N4, N33: approvals are of this plan and this rehearsal's shape, by different people, and each file counts.
#[test]
fn approvals_and_rehearsal_are_those_of_this_ceremony() {
    let Case { bundle, paper } = case();
    let approvals: Vec<(String, Vec<u8>)> = bundle
        .below(bundle::APPROVALS)
        .map(|(name, octets)| (name.to_owned(), octets.to_vec()))
        .collect();
    let [(one, signed), (two, _)] = approvals.as_slice() else { panic!("two approve") };
    let refuse = |changes: &[(&str, Option<Vec<u8>>)], said: &str| {
        refused(&with(&bundle, changes), paper, Check::Approvals, "R02", 11, said);
    };
    refuse(&[(one, None)], "1 of the 2 people");
    refuse(&[(two, Some(signed.clone()))], "it is of per-brandt");
    let text = String::from_utf8(signed.clone()).unwrap();
    let forged = text.replacen("person: per-brandt", "person: vera-sund", 1);
    refuse(&[(one, Some(forged.into_bytes()))], "signature");
    refuse(&[(one, Some(b"none".to_vec()))], "no statement");

    let rehearsed = |change: &dyn Fn(&mut Vec<Record>)| {
        let (lines, _) = told_anew(bundle.file(bundle::REHEARSAL), change);
        with(&bundle, &[(bundle::REHEARSAL, Some(lines))])
    };
    let another = rehearsed(&|records| {
        let at = last(records);
        let line = like(&records[at], Kind::Check, &[], &[("what", "room"), ("result", "warm")]);
        records.insert(at, line);
    });
    refused(&another, paper, Check::Approvals, "R02", 11, "approves shape");
    let later = rehearsed(&|records| {
        let at = last(records);
        records[at].time = UnixTime::from_secs(records[at].time.secs() + 50).unwrap();
    });
    refused(&later, paper, Check::Window, "R16", 13, "it is to end before");
    let alone = rehearsed(&|records| {
        let at = place(records, Kind::Intent, "act", "sign");
        leaves(records, at, "vera-sund");
    });
    refused(&alone, paper, Check::Rehearsal, "R16", 13, "requires 1 of role witness");
    let transcript = bundle.file(bundle::TRANSCRIPT).to_vec();
    let same = with(&bundle, &[(bundle::REHEARSAL, Some(transcript))]);
    refused(&same, paper, Check::Rehearsal, "R16", 13, "of purpose \"production\"");
}

/// N1, N17, N23, N33, N34: told anew under its own head, a transcript breaks the rule that is for it.
#[test]
fn a_transcript_that_was_told_anew_breaks_its_rule() {
    let case = case();
    let refuse =
        |change: &dyn Fn(&mut Vec<Record>), check: Check, code: &str, exit: u8, said: &str| {
            let Case { bundle, paper } = transcript_of(&case, change);
            refused(&bundle, paper, check, code, exit, said);
        };
    // Told anew as it was it holds.
    let same = transcript_of(&case, |_| {});
    assert_eq!(same.paper.head, case.paper.head);

    let began_anew = |records: &mut Vec<Record>| {
        let at = last(records);
        let mut lines = [
            like(&records[at], Kind::Pause, &[], &[("reason", "lunch")]),
            like(&records[at], Kind::Resume, &[], &[("nonce", "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f")]),
        ];
        let later = UnixTime::from_secs(records[at].time.secs() + 10 * 86_400).unwrap();
        lines[1].time = later;
        records[at].time = later;
        records.splice(at..at, lines);
    };
    refuse(&began_anew, Check::Window, "R03", 13, "a run began at");
    let without_witness = |records: &mut Vec<Record>| {
        let at = place(records, Kind::Intent, "what", "training.crl");
        leaves(records, at, "vera-sund");
    };
    refuse(&without_witness, Check::People, "R08", 12, "requires 1 of role witness");
    let forged = |records: &mut Vec<Record>| {
        let at = place(records, Kind::Attest, "what", PRESENCE);
        records.remove(at);
    };
    refuse(&forged, Check::People, "R08", 12, "answers for");
    let once_more = |records: &mut Vec<Record>| {
        let from = place(records, Kind::Intent, "what", "training.crl");
        let mut again = records[from - 1..from + 2].to_vec();
        for record in &mut again {
            if record.body.contains_key("intent") {
                set(record, "intent", "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f");
            }
        }
        let at = from + 2;
        for record in &mut again {
            (record.time, record.run_ms) = (records[at].time, records[at].run_ms);
        }
        records.splice(at + 1..at + 1, again);
        let (time, run_ms) = (records[at].time, records[at].run_ms);
        for record in &mut records[at + 1..] {
            if record.run_ms < run_ms {
                (record.time, record.run_ms) = (time, run_ms);
            }
        }
    };
    refuse(&once_more, Check::Budget, "R14", 14, "as often as the plan allows");
    let warm = |records: &mut Vec<Record>| {
        let at = last(records);
        let line = like(&records[at], Kind::Check, &[], &[("what", "room"), ("result", "warm")]);
        records.insert(at, line);
    };
    refuse(&warm, Check::Shape, "R16", 13, "\"result\":\"warm\"");
    for (member, check, code, exit, said) in [
        ("key", Check::Signatures, "R12", 16, "announced was 0f0f"),
        ("tbs_sha256", Check::Signatures, "R11", 15, "announced was 0f0f"),
        ("sha256", Check::Outputs, "R19", 13, "the transcript tells of 0f0f"),
    ] {
        let lies = |records: &mut Vec<Record>| {
            let at = place(records, Kind::Intent, "what", "training.crl");
            let value = "0f".repeat(32);
            if member == "sha256" {
                set(&mut records[at + 1], member, &value);
                return;
            }
            set(&mut records[at], member, &value);
            if member == "tbs_sha256" {
                set(&mut records[at - 1], "sha256", &value);
            }
        };
        refuse(&lies, check, code, exit, said);
    }
}

/// A signature that does not hold is found though its file's hash is told; so is a certificate that another key signed.
#[test]
fn a_signature_that_does_not_hold_is_refused() {
    let case = case();
    for (file, what) in [("out/training.cer", "training.cer"), ("out/training.crl", "training.crl")]
    {
        let mut octets = case.bundle.file(file).to_vec();
        *octets.last_mut().unwrap() ^= 1;
        let sha256 = Fingerprint::of(&octets).to_string();
        let changed = transcript_of(&case, |records| {
            let at = place(records, Kind::Intent, "what", what);
            set(&mut records[at + 1], "sha256", &sha256);
        });
        let bundle = with(&changed.bundle, &[(file, Some(octets))]);
        refused(&bundle, changed.paper, Check::Signatures, "R12", 16, file);
    }
}

/// N31, N32: each file is the plan's or the transcript's, and no file is a secret.
#[test]
fn other_files_are_refused() {
    let Case { bundle, paper } = case();
    let changed = |name: &str| {
        let mut octets = bundle.file(name).to_vec();
        octets[0] ^= 1;
        Some(octets)
    };
    let pem = b"-----BEGIN PRIVATE KEY-----\n".to_vec();
    for (name, octets, check, code, exit, said) in [
        ("in/device.json", changed("in/device.json"), Check::Inputs, "R09", 13, "the plan has"),
        ("in/device.json", None, Check::Inputs, "R09", 13, "is missing"),
        ("in/other.json", Some(Vec::new()), Check::Inputs, "R09", 13, "is no input"),
        ("out/training.crl", changed("out/training.crl"), Check::Outputs, "R19", 13, "tells of"),
        ("out/training.crl", None, Check::Outputs, "R19", 13, "is missing"),
        ("out/other.cer", Some(Vec::new()), Check::Outputs, "R19", 13, "tells of no out/other.cer"),
        ("out/key.pem", Some(pem), Check::Secrets, "secret-found", 22, "a private key in PEM"),
    ] {
        refused(&with(&bundle, &[(name, octets)]), paper, check, code, exit, said);
    }
}

/// What the transcript tells of program and inputs is the plan's, and whom it counts has approved.
#[test]
fn program_and_inputs_are_told_as_the_plan_has_them() {
    let held = judged(&case().bundle, case().paper).verdict.unwrap();
    let text = String::from_utf8(held.bundle.file(bundle::PLAN).to_vec()).unwrap();
    let other = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Plan::read(text.replacen(from, to, 1).as_bytes()).unwrap()
    };
    let zeros = "0".repeat(64);
    for plan in [
        other(&held.plan.program.sha256.to_string(), &zeros),
        other("version = \"0.1.0\"", "version = \"0.1.1\""),
    ] {
        let fault = program(&plan, &held.whole, &held.approvals).unwrap_err();
        assert_eq!(Refused { check: Check::Program, fault }.code(), "R04");
    }
    let fault = program(&held.plan, &held.whole, &held.approvals[..1]).unwrap_err();
    assert!(fault.why.contains("counts sara-nyman among the approvers"), "{}", fault.why);
    let input = held.plan.inputs[0].clone();
    assert!(tells(&held.whole, "input device", input.sha256).is_ok());
    assert!(tells(&held.whole, "input device", held.plan.program.sha256).is_err());
    assert!(tells(&held.whole, "input other", input.sha256).unwrap_err().contains("does not tell"));
}

/// What is signed after it is done is no approval; nor is one that says no time.
#[test]
fn approvals_are_from_before_the_ceremony() {
    let held = judged(&case().bundle, case().paper).verdict.unwrap();
    let judged = |time: &str| {
        let mut approvals = held.approvals.clone();
        time.clone_into(&mut approvals[1].time);
        window(&held.plan, &held.whole, &held.rehearsal, &approvals)
    };
    let began = held.whole.records[0].time;
    assert!(judged(&began.to_string()).is_ok());
    let later = UnixTime::from_secs(began.secs() + 1).unwrap().to_string();
    for time in [later.as_str(), "", "2026", "2026-11-23 20:42:37Z", "2026-11-23T20:42:37+01"] {
        let fault = judged(time).unwrap_err();
        assert_eq!(fault, Fault::new(Refusal::Approvals, fault.why.clone()), "{time}");
        assert!(fault.why.contains("approved at"), "{}", fault.why);
    }
}

/// What was made is held against a plan that has something else, field by field.
#[test]
fn what_the_plan_has_otherwise_is_refused() {
    let held = judged(&case().bundle, case().paper).verdict.unwrap();
    let text = String::from_utf8(held.bundle.file(bundle::PLAN).to_vec()).unwrap();
    let refusal = |made: &Made, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let plan = Plan::read(text.replace(from, to).as_bytes()).unwrap();
        let told = Told(&held.whole.records);
        let works = artefacts::Works { plan: &plan, bundle: &held.bundle, made, told };
        let (read, _) = match works.signatures() {
            Ok(read) => read,
            Err(fault) => return fault,
        };
        works.as_planned(&read).map(drop).unwrap_err()
    };
    for (from, to, said) in [
        (
            "SIGILL TRAINING Root CA v1",
            "SIGILL TRAINING Root CA v2",
            "the plan has \"SIGILL TRAINING Root CA v2\"",
        ),
        (
            "organization = \"Sigill Test\"",
            "organization = \"Sigill Prov\"",
            "the plan has \"Sigill Prov\"",
        ),
        (
            "not-after    = 2030-01-01T00:00:00Z",
            "not-after    = 2030-01-01T00:00:01Z",
            "it ends at",
        ),
        (
            "{ floor = 0, gap = 1 }",
            "{ floor = 4711, gap = 1 }",
            "hexadecimal; by the plan it is 1268",
        ),
        ("lifetime  = \"180d\"", "lifetime  = \"181d\"", "the plan has 181 days"),
        (
            "revoke    = []",
            "revoke    = [{ serial = \"4c9f03aa5b1e77d0812f6c3344556677\", reason = \"ca-compromise\", date = 2026-02-01T21:15:00Z }]",
            "serial number 4C9F",
        ),
    ] {
        let fault = refusal(&held.made, from, to);
        assert!(fault.why.contains(said), "{said}: {}", fault.why);
    }

    let works = |made: &Made| {
        let told = Told(&held.whole.records);
        let works = artefacts::Works { plan: &held.plan, bundle: &held.bundle, made, told };
        works.keys().map(drop).and_then(|()| works.signatures().map(drop))
    };
    assert_eq!(works(&held.made), Ok(()));
    let changed: [Change<'_>; 7] = [
        ("it made not one key", &|made| made.keys.clear()),
        ("of this plan and step is", &|made| made.keys[0].cka_id = "0f".repeat(20)),
        ("the plan has ec-p384", &|made| made.keys[0].key_type = "ec-p256".to_owned()),
        ("the plan has root", &|made| {
            made.keys[0].token = "sg-td-tr01-other (serial 1)".to_owned()
        }),
        ("step root-key made 0f0f", &|made| made.keys[0].spki_sha256 = "0f".repeat(32)),
        ("announced was ed25519", &|made| made.signatures[0].algorithm = "ed25519".to_owned()),
        ("cannot be read", &|made| made.signatures[0].what = "training.crl".to_owned()),
    ];
    for (said, change) in changed {
        let mut made = held.made.clone();
        change(&mut made);
        let fault = works(&made).unwrap_err();
        assert!(fault.why.contains(said), "{said}: {}", fault.why);
    }
}

/// One octet of any file changed, and the manifest made anew: refused, or it changes nothing that anybody relies on. That is so of the last line of
/// the rehearsal alone, whose time and head no approval names.
#[test]
fn one_changed_octet_of_any_file_is_refused() {
    let Case { bundle, paper } = case();
    let rehearsal = bundle.file(bundle::REHEARSAL);
    let last_line =
        rehearsal[..rehearsal.len() - 1].iter().rposition(|octet| *octet == b'\n').unwrap();
    let (mut tried, mut harmless) = (0, 0);
    let count = usize::try_from(support::budget::count("ceremony-octets")).unwrap();
    let all: usize = bundle.files().map(|(_, octets)| octets.len()).sum();
    for (name, octets) in bundle.files() {
        // Of a short file some too.
        let every = (all / count).max(1).min(octets.len() / 4 + 1);
        for place in (0..octets.len()).step_by(every) {
            let mut changed = octets.to_vec();
            changed[place] ^= 1;
            let other = with(&bundle, &[(name, Some(changed))]);
            tried += 1;
            match judged(&other, paper).verdict {
                Err(_) => {}
                Ok(held) => {
                    assert_eq!(name, bundle::REHEARSAL, "octet {place}");
                    assert!(place > last_line, "octet {place}");
                    let approved = Shape::of(&held.rehearsal.records).unwrap().hash();
                    assert_eq!(approved, held.shape);
                    harmless += 1;
                }
            }
        }
    }
    println!("measured: {tried} octets changed, {harmless} of them harmless");
}
