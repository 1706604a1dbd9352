//! `sigill-verify ceremony` as an auditor runs it, over the shipped bundle.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ceremony_core::words::Fingerprint;
use serde_json::Value;

/// The bundle, and the two hashes on paper.
fn shipped() -> (String, [Fingerprint; 2]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/vectors");
    let told = fs::read_to_string(folder.join("ceremony-bundle.json")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let paper = ["plan", "head"].map(|name| told[name].as_str().unwrap().parse().unwrap());
    (folder.join("ceremony-bundle.tar").display().to_string(), paper)
}

fn judged(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigill-verify"));
    command.arg("ceremony").args(words).output().unwrap()
}

/// A14: from words on paper it prints what holds, and writes the report twice the same; over nothing.
#[test]
fn an_auditor_judges_a_bundle_and_gets_its_report() {
    let (bundle, [plan, head]) = shipped();
    let (plan, head) = (plan.words().join(" "), head.words().join(" ").to_uppercase());
    let paper = [bundle.as_str(), "--plan", &plan, "--head", &head];
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name).display().to_string();
    for (name, language) in [("plans.html", None), ("sv.html", Some("sv")), ("sv.html", Some("sv"))]
    {
        let name = out(name);
        let mut words = paper.to_vec();
        words.extend(["--report", name.as_str()]);
        words.extend(language.into_iter().flat_map(|language| ["--language", language]));
        let said = judged(&words);
        assert!(said.status.success(), "{said:?}");
        let text = String::from_utf8(said.stdout).unwrap();
        assert!(text.starts_with("! nobody sat at it"), "{text}");
        assert!(text.ends_with(" holds\n") && text.contains("\nas-planned   holds"), "{text}");
    }
    for (name, tag) in [("plans.html", "en"), ("sv.html", "sv")] {
        let html = fs::read_to_string(out(name)).unwrap();
        assert!(html.contains(&format!("<html lang=\"{tag}\">")), "{name}");
    }
    let named = out("plans.html");
    let over = judged(&[&paper[..], &["--report", &named, "--language", "sv"]].concat());
    assert_eq!(over.status.code(), Some(1), "{over:?}");
    assert!(String::from_utf8(over.stderr).unwrap().contains("name a new file"));
}

/// What does not hold is told by its row, and has no report; what cannot be used is wrong use.
#[test]
fn a_bundle_that_does_not_hold_has_no_report() {
    let (bundle, [plan, head]) = shipped();
    let (plan, head) = (plan.to_string(), head.to_string());
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.html").display().to_string();
    let said = judged(&[&bundle, "--plan", &plan, "--head", &plan, "--report", &report, "--json"]);
    assert_eq!(said.status.code(), Some(18), "{said:?}");
    assert!(String::from_utf8(said.stderr).unwrap().starts_with("refused: R17: head: "));
    let found: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&found["holds"], &found["code"]), (&false.into(), &"R17".into()));
    let results: Vec<&str> = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["result"].as_str().unwrap())
        .collect();
    assert_eq!(results[..4], ["holds", "holds", "holds", "refused"]);
    assert!(results[4..].iter().all(|result| *result == "not judged"));
    assert!(!Path::new(&report).exists());

    let missing = judged(&["/nowhere", "--plan", &plan, "--head", &head]);
    assert_eq!(missing.status.code(), Some(1));
    let wrong: [&[&str]; 2] =
        [&[&bundle, "--plan", &plan], &[&bundle, "--plan", "optic", "--head", &head]];
    for wrong in wrong {
        assert_eq!(judged(wrong).status.code(), Some(2));
    }
}
