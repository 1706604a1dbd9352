//! A token is the plan's by label and serial number, and holds what the plan has.

use std::path::Path;

use x509::time::UnixTime;

use super::*;

fn plan(name: &str, change: &dyn Fn(&str) -> String) -> Plan {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ceremonies/plans");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    Plan::read(change(&text).as_bytes()).unwrap()
}

fn line(kind: Kind, step: &str, facts: &[(&str, &str)]) -> Record {
    let body = facts.iter().map(|(name, text)| ((*name).to_owned(), (*text).into()));
    let (step, body) = (step.to_owned(), body.collect());
    Record { time: UnixTime::EPOCH, run_ms: 0, step, kind, who: Vec::new(), body }
}

fn opened(token: &str, content: &str) -> Record {
    let facts = [("result", "there"), ("seen", content), ("token", token), ("what", "token root")];
    line(Kind::Check, "begin", &facts)
}

#[track_caller]
fn refused(plan: &Plan, records: &[Record], said: &str) {
    let fault = judge(plan, records).unwrap_err();
    assert_eq!(fault, Fault::new(Refusal::Token, fault.why.clone()));
    assert!(fault.why.contains(said), "{said}: {}", fault.why);
}

/// R06: a token that was there before.
#[test]
fn a_token_that_signs_is_the_one_of_the_plan() {
    let plan_of = plan("c5-root-crl.toml", &ToOwned::to_owned);
    let Content::Inventory(wanted) = plan_of.tokens[0].expect else { panic!("an inventory") };
    let (name, wanted) = ("sg-pp-ex01-root (serial 4711001)", wanted.to_string());
    let right = opened(name, &wanted);
    assert_eq!(judge(&plan_of, &[right.clone(), right.clone()]), Ok(()));
    for (records, said) in [
        (vec![], "no line tells that it was seen"),
        (vec![opened("sg-pp-ex01-root (serial 4711002)", &wanted)], "serial 4711002"),
        (vec![opened("sg-pp-ex01-root", &wanted)], "the plan has sg-pp-ex01-root (serial 4711001)"),
        (vec![opened("sg-pp-ex02-root (serial 4711001)", &wanted)], "seen was sg-pp-ex02-root"),
        (vec![right.clone(), opened(name, &"0f".repeat(32))], "it held 0f0f"),
        (
            vec![line(Kind::Check, "begin", &[("token", name), ("what", "token root")])],
            "it held nothing that is told",
        ),
    ] {
        refused(&plan_of, &records, said);
    }

    let hash = format!("\"{wanted}\"");
    let empty = plan("c5-root-crl.toml", &|text| text.replace(&hash, "\"empty\""));
    let nothing = Fingerprint::of(b"").to_string();
    assert_eq!(judge(&empty, &[opened(name, &nothing), opened(name, &wanted)]), Ok(()));
    refused(&empty, &[opened(name, &wanted)], "the plan has nothing in it");
}

/// R06: one that the ceremony prepares gets its serial number then, and is the same from then on.
#[test]
fn a_token_that_is_prepared_is_one_token() {
    let plan = plan("c1-training.toml", &ToOwned::to_owned);
    let planned = &plan.tokens[0];
    assert_eq!(planned.serial, None);
    let prepares = |operation: &Operation| matches!(operation, Operation::PrepareToken { .. });
    let step = plan.steps.iter().find(|step| prepares(&step.operation)).unwrap();
    let of = |serial: u8| {
        let name = format!("{} (serial {serial})", planned.label);
        line(Kind::Result, step.id.as_str(), &[("intent", "0f"), ("token", &name)])
    };
    assert_eq!(judge(&plan, &[of(1)]), Ok(()));
    refused(&plan, &[], "no line tells that it was seen");
    refused(&plan, &[of(1), of(2)], "(serial 2), and before");
    let other = line(Kind::Result, step.id.as_str(), &[("token", "another (serial 1)")]);
    refused(&plan, &[other], "seen was another");
}
