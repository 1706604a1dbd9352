//! The published set of test certificates (PRO-21) across the zones, and through a `kill -9` of the CA that is making the
//! next one. That each certificate is what it is named is judged in the suite interop, that it is made anew in time in
//! `ca-server` by a clock of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use support::demo::until;
use support::spoken;
use support::suite::Check;

use crate::accounts::Received;
use crate::deployment::{AUTHORITY, Deployment, Template};
use crate::feed::{Outer, PUSH};

pub(crate) const CHECKS: &[Check<Template>] = &[(
    "test_certificates::a_killed_ca_leaves_a_whole_set_and_makes_the_next",
    a_killed_ca_leaves_a_whole_set_and_makes_the_next,
)];

/// A busy machine may begin a set more than once: it is given up when it takes half of its life.
const WITHIN: Duration = Duration::from_secs(240);
const SECTION: &str = "\n[test-certificates]\nlife = 40\n";

/// The set that the responder serves.
fn served(deployment: &Deployment) -> Option<Value> {
    let url = format!("{}/test-certificates.json", deployment.ocsp_url());
    let asked = ["--silent", "--fail", "--max-time", "30", &url];
    let said = spoken::run(std::process::Command::new("curl").args(asked), &[]);
    (said.code == 0).then(|| serde_json::from_slice(&said.out).expect("JSON"))
}

/// The serial numbers of a whole set, by state.
fn is_whole(set: &Value) -> BTreeMap<String, String> {
    let certificates = set["certificates"].as_array().expect("certificates");
    let of = |one: &Value| {
        assert_eq!(
            (&one["profile"], &one["authority"]),
            (&"function-ec".into(), &AUTHORITY.into())
        );
        let text = |key: &str| one[key].as_str().expect("a text").to_owned();
        (text("state"), text("certificate"))
    };
    let found: BTreeMap<String, String> = certificates.iter().map(of).collect();
    let states: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(states, ["expired", "good", "revoked"], "{set}");
    found
}

fn a_killed_ca_leaves_a_whole_set_and_makes_the_next(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let outer = Outer::at(&deployment, support::ports::free_address());
    let ocsp = deployment.home.join("config/ocsp.toml");
    let text = fs::read_to_string(&ocsp).expect("a configuration");
    let route = "\n[[serve]]\npath = \"/test-certificates.json\"\nobject = \"test-certificates\"\n";
    fs::write(&ocsp, text + route).expect("a configuration");
    let more = format!("{SECTION}{PUSH}{}", outer.host("ocsp1"));
    let responder = deployment.responder();
    deployment.start_with(&more);
    let first = until(WITHIN, || served(&deployment));
    let first = first.unwrap_or_else(|| panic!("no set: {}", responder.printed()));
    is_whole(&first);
    deployment.stop();

    // As if its time had come: the next set is begun at once. On a slow machine it may be the next one already.
    let file: PathBuf = deployment.home.join("publish/test-certificates.json");
    let text = fs::read_to_string(&file).expect("the set");
    let first: Value = text.parse().expect("JSON");
    let whole = is_whole(&first);
    let refresh_at = first["refresh_at"].as_str().expect("a time");
    let due = text.replace(refresh_at, "2026-01-01T00:00:00Z");
    assert_ne!(due, text);
    fs::write(&file, &due).expect("the set");
    deployment.start_with(&more);
    let issued = || {
        let metrics = deployment.metrics();
        let counted = "sigill_certificates_issued_total{profile=\"function-ec\"} ";
        let found = metrics.lines().find_map(|line| line.strip_prefix(counted));
        found.is_some_and(|count| count != "0").then_some(())
    };
    assert!(until(WITHIN, issued).is_some(), "the next set is begun");
    deployment.kill();
    let left = fs::read_to_string(&file).expect("the set");
    assert!(left == due || is_whole(&left.parse().expect("JSON")) != whole, "{left}");
    assert_eq!(served(&deployment).map(|set| is_whole(&set).len()), Some(3));

    deployment.start_with(&more);
    let next = until(WITHIN, || {
        served(&deployment)
            .filter(|set| set["made_at"] != first["made_at"] && is_whole(set) != whole)
    });
    assert!(next.is_some(), "no next set: {}", deployment.printed());
    // What was left over keeps nothing from going on.
    let answer = deployment.api().ask(&deployment.order("after"));
    Received::read("after", &answer);
    deployment.stop();
}
