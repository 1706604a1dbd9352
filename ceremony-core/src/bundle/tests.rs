use std::collections::BTreeMap;

use super::*;
use crate::plan::Plan;
use crate::transcript::{Fact, Kind, Record};

fn bundle() -> Bundle {
    let mut bundle = Bundle::new();
    for (name, octets) in [
        (PLAN, "id = 1\n"),
        (TRANSCRIPT, "{}\n"),
        (REHEARSAL, ""),
        ("approvals/anna-berg.approval", "signed"),
        ("in/profiles/root.toml", "version = 1\n"),
        ("out/root.cer", "0123"),
    ] {
        bundle.put(name, octets.as_bytes().to_vec()).unwrap();
    }
    bundle
}

/// A18: packed twice it is the same, octet for octet; and it is read as what was packed.
#[test]
fn the_same_files_give_the_same_octets() {
    let octets = bundle().to_archive().unwrap();
    assert_eq!(bundle().to_archive().unwrap(), octets);
    let read = Bundle::from_archive(&octets).unwrap();
    assert_eq!(read, bundle());
    assert_eq!(read.file("out/root.cer"), b"0123");
    let names: Vec<&str> = read.below(INPUTS).map(|(name, _)| name).collect();
    assert_eq!(names, ["in/profiles/root.toml"]);
    let manifest = read.manifest();
    assert!(manifest.starts_with("# sigill-ceremony-bundle/1\n"));
    assert_eq!(manifest.lines().count(), 7);
}

/// Each octet counts, those between the files too; and each length.
#[test]
fn one_changed_octet_makes_no_bundle() {
    let octets = bundle().to_archive().unwrap();
    for place in 0..octets.len() {
        let mut changed = octets.clone();
        changed[place] ^= 1;
        assert!(Bundle::from_archive(&changed).is_err(), "octet {place}");
    }
    for length in 0..octets.len() {
        assert!(Bundle::from_archive(&octets[..length]).is_err(), "{length} octets");
    }
    assert!(Bundle::from_archive(&[octets.as_slice(), &[0; 512]].concat()).is_err());
}

#[test]
fn each_rule_of_the_form_refuses_by_its_name() {
    let mut twice = bundle();
    assert!(matches!(twice.put(PLAN, Vec::new()), Err(BundleFault::Twice { .. })));
    let long = format!("in/{}", "a".repeat(101));
    for name in [
        "MANIFEST",
        "plan2.toml",
        "in/../plan.toml",
        "/in/a",
        "in//a",
        "in/.a",
        "in/å",
        "approvals/a/b.approval",
        "approvals/anna",
        "pins/user.pin",
        long.as_str(),
    ] {
        let fault = Bundle::new().put(name, Vec::new());
        assert!(matches!(fault, Err(BundleFault::Name { .. })), "{name}");
    }
    let empty = Bundle::new().to_archive();
    assert_eq!(empty, Err(BundleFault::Missing { name: PLAN }));

    // The file that is another is named, one that was taken out, and one that was put in.
    let octets = bundle().to_archive().unwrap();
    let at = octets.windows(6).position(|six| six == b"signed").unwrap();
    let mut changed = octets.clone();
    changed[at] = b'S';
    let named = |file: &str| BundleFault::Manifest { file: Some(file.to_owned()) };
    assert_eq!(Bundle::from_archive(&changed), Err(named("approvals/anna-berg.approval")));
    let header = octets.windows(9).position(|nine| nine == b"root.cer\0").unwrap();
    let without = [&octets[..header], &octets[header + 1024..]].concat();
    assert_eq!(Bundle::from_archive(&without), Err(named("out/root.cer")));
    let mut doubled = octets.clone();
    doubled.splice(header..header, octets[header..header + 1024].to_vec());
    assert!(matches!(Bundle::from_archive(&doubled), Err(BundleFault::Twice { .. })));
    let headless = Bundle::from_archive(&octets[octets.len() - 1024..]);
    assert_eq!(headless, Err(BundleFault::Missing { name: MANIFEST }));
    assert!(matches!(Bundle::from_archive(b""), Err(BundleFault::NoArchive { octet: 0 })));
}

/// Hostile octets end in a fault, whatever they say of their lengths.
#[test]
fn lengths_that_lie_are_refused() {
    let octets = bundle().to_archive().unwrap();
    for size in ["77777777777", "00000000000", "99999999999", "           ", "-0000000001"] {
        let mut changed = octets.clone();
        changed[124..135].copy_from_slice(size.as_bytes());
        assert!(Bundle::from_archive(&changed).is_err(), "{size}");
    }
}

fn record(kind: Kind, facts: &[(&str, &str)]) -> Record {
    let facts = facts.iter().map(|(name, text)| ((*name).to_owned(), Fact::from(*text)));
    let body: BTreeMap<String, Fact> = facts.collect();
    let step = "step".to_owned();
    Record { time: x509::time::UnixTime::EPOCH, run_ms: 0, step, kind, who: Vec::new(), body }
}

/// What was announced and came to an end is made; what an exception ended is told apart.
#[test]
fn what_was_made_is_what_came_to_its_end() {
    let sign = [("act", "sign"), ("what", "root.cer"), ("intent", "s1"), ("tbs_sha256", "aa")];
    let again = [sign.as_slice(), &[("again", "lost")]].concat();
    let records = [
        record(Kind::Intent, &[("act", "generate-key"), ("intent", "k1"), ("token", "t")]),
        record(Kind::Exception, &[("intent", "k1"), ("reason", "no effect")]),
        record(Kind::Intent, &[("act", "generate-key"), ("intent", "k2"), ("token", "t")]),
        record(Kind::Exception, &[("reason", "a medium is lost")]),
        record(Kind::Result, &[("intent", "k2"), ("spki_sha256", "0f")]),
        record(Kind::Intent, &sign),
        record(Kind::Exception, &[("intent", "s1"), ("reason", "not kept")]),
        record(Kind::Intent, &sign),
        record(Kind::Intent, &again),
        record(Kind::Result, &[("intent", "s1"), ("sha256", "bb"), ("adopted", "later")]),
    ];
    let made = Made::of(&records);
    assert_eq!(made.keys.len(), 1);
    assert_eq!((made.keys[0].spki_sha256.as_str(), made.keys[0].adopted), ("0f", false));
    assert_eq!(made.signatures.len(), 1);
    let signature = &made.signatures[0];
    assert_eq!((signature.announced, signature.sha256.as_str()), (2, "bb"));
    assert_eq!((made.given_up.len(), made.given_up[0].reason.as_str()), (1, "not kept"));
}

/// Every file that a plan can name has a place, but for names that no archive of this form holds.
#[test]
fn the_files_of_every_shipped_plan_have_a_place() {
    let text = include_str!("../../../docs/ceremonies/plans/c1-root-key.toml");
    let plan = Plan::read(text.as_bytes()).unwrap();
    let outs = plan.steps.iter().filter_map(|step| step.operation.out());
    for file in plan.inputs.iter().map(|input| &input.file).chain(outs) {
        assert!(has_place(file.as_str()), "{file}");
    }
}
