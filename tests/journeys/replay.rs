//! `sigill profile replay` over everything that a demo has issued: profiles as they are change nothing, and
//! changed ones say what would differ, without a word about a person.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::program;
use support::spoken::{self, Spoken};

use crate::deployment::Deployment;

/// A profile of persons, and the line of its file that is changed.
pub(crate) const PERSON: &str = "person-hsaid-3-authentication";
const BACKDATE: &str = "backdate    = \"5m\"";

/// PRO-19: `issued` certificates of each profile are the same under it, octet for octet.
pub(crate) fn of_everything(deployment: &Deployment, issued: &BTreeMap<&str, u64>) {
    let mut all = 0;
    for (name, count) in issued {
        let said = replay(deployment, "operator", &profile(deployment, name), &[]);
        assert_eq!(said.code, 0, "{name}: {}", said.text);
        let report = report(&said);
        assert_eq!(
            (&report["replayed"], &report["same"]),
            (&Value::from(*count), &report["replayed"])
        );
        all += count;
    }
    println!("measured: replayed to the same octets = {all}");
    a_change_is_told_without_the_person(deployment, issued[PERSON]);
    nobody_else_may(deployment);
}

/// PRO-19, DAT-06: which certificates and which fields, and no value of them.
fn a_change_is_told_without_the_person(deployment: &Deployment, issued: u64) {
    let version = ("version     = 2", "version     = 3");
    let sooner = edited(deployment, PERSON, &[version, (BACKDATE, "backdate    = \"6m\"")]);
    let said = replay(deployment, "operator", &sooner, &["--samples", "1000000"]);
    let told = report(&said);
    assert_eq!((said.code, &told["differs"]), (1, &Value::from(issued)), "{}", said.text);
    assert_eq!(told["fields"]["validity"], issued, "{told}");
    let samples = told["samples"].as_array().expect("samples");
    assert_eq!(u64::try_from(samples.len()).expect("a count"), issued);
    says_nothing_of_persons(&said);
    for word in ["9752", "20"] {
        let values = samples.iter().flat_map(|one| one["differences"].as_array()).flatten();
        let text: String = values.map(ToString::to_string).collect();
        assert!(!text.contains(word), "{word}: {text}");
    }
    let named = samples[0]["certificate"].as_str().expect("an id");
    assert!(named.starts_with("crt_"), "{named}");

    let text = fs::read_to_string(profile(deployment, PERSON)).expect("a profile");
    let keys = text.lines().find(|line| line.starts_with("allow = [")).expect("its keys");
    let narrower = edited(deployment, PERSON, &[version, (keys, "allow = [\"ec-p384\"]")]);
    let said = replay(deployment, "operator", &narrower, &["--last", "5"]);
    let told = report(&said);
    assert_eq!(said.code, 1, "{}", said.text);
    assert_eq!(told["replayed"], 5, "{told}");
    assert_eq!(
        told["same"].as_u64().zip(told["now_refused"].as_u64()).map(|(a, b)| a + b),
        Some(5)
    );
    says_nothing_of_persons(&said);
    let refusals = told["refusals"].as_object().expect("refusals");
    assert!(refusals.keys().all(|one| one.starts_with("key-not-allowed: ")), "{told}");
}

/// Names and numbers of the persons of the demo stand nowhere in what is printed: not in a value, a rule or a reason.
fn says_nothing_of_persons(said: &Spoken) {
    for word in ["Tolvan", "Öberg", "191212121212", "TST2321000016"] {
        assert!(!said.text.contains(word), "{word}: {}", said.text);
    }
}

/// API-04: an operator asks; and a file that is no profile is no answer.
fn nobody_else_may(deployment: &Deployment) {
    let shipped = profile(deployment, PERSON);
    let said = replay(deployment, "portal", &shipped, &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    assert!(said.text.contains("client-not-allowed"), "{}", said.text);
    let none = deployment.folder().join("none.toml");
    fs::write(&none, "name = 1\n").expect("a file");
    let said = replay(deployment, "operator", &none, &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    assert!(said.text.contains("none.toml"), "{}", said.text);
}

fn profile(deployment: &Deployment, name: &str) -> PathBuf {
    deployment.home.join(format!("config/profiles/{name}.toml"))
}

/// The profile in which each pair's first reads its second.
fn edited(deployment: &Deployment, name: &str, edits: &[(&str, &str)]) -> PathBuf {
    let mut text = fs::read_to_string(profile(deployment, name)).expect("a profile");
    for (from, to) in edits {
        assert!(text.contains(from), "{from}: {text}");
        text = text.replacen(from, to, 1);
    }
    let path = deployment.folder().join(format!("{name}.toml"));
    fs::write(&path, text).expect("a file");
    path
}

fn replay(deployment: &Deployment, client: &str, profile: &Path, more: &[&str]) -> Spoken {
    let tls = deployment.home.join("tls");
    let mut command = Command::new(program::built("sigill"));
    command.args(["profile", "replay", "--json"]).arg(profile).args(more);
    command.arg("--url").arg(format!("https://{}", deployment.api_address()));
    command.arg("--ca").arg(tls.join("management-ca.pem"));
    command.arg("--cert").arg(tls.join(format!("{client}.pem")));
    command.arg("--key").arg(tls.join(format!("{client}.key")));
    spoken::run(&mut command, &[])
}

fn report(said: &Spoken) -> Value {
    serde_json::from_slice(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.text))
}
