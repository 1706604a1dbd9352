//! The published contract against the server, judged by Schemathesis over mutual TLS: calls that it makes of the contract, good and broken ones, and
//! what their answers must be by the same contract (API-11).
//!
//! It is run on one server as a client that may do everything, so that calls reach far in, and as one that is limited to another organisation
//! than the one whose canaries must be in none of its answers (API-04). Decision 0054 tells how it is set, and why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::suite::Check;
use support::{budget, spoken, tool, workspace};

use crate::World;
use crate::organised::{CANARIES, CARD, OTHER, OWN, Organised};
use crate::running::Call;

pub const CHECKS: &[Check<World>] = &[
    ("no_answer_to_a_call_made_of_the_contract_is_against_it", as_everybody),
    ("no_call_made_of_the_contract_shows_another_organisation", as_another),
];

/// Makes of a failed run one that can be repeated.
const SEED: &str = "54";

/// API-11.
fn as_everybody(world: &World) {
    let organised = world.organised();
    let Some(answers) = judged(organised, "portal", "examples,coverage,fuzzing,stateful") else {
        return;
    };
    // It reaches what is there.
    let theirs = &organised.theirs;
    for thing in [
        &theirs.eid,
        &theirs.carrier,
        &theirs.organisation,
        &theirs.job,
        &theirs.domain,
        &theirs.order,
    ] {
        let shown = answers.iter().any(|one| one.status == 200 && one.text.contains(thing));
        assert!(shown, "{thing} was never reached");
    }
}

/// API-04.
fn as_another(world: &World) {
    let organised = world.organised();
    let Some(answers) = judged(organised, "reckless", "examples,fuzzing,stateful") else { return };
    let of_certificate = |field| organised.theirs.certificate[field].as_str().expect("a text");
    // Of a certificate the middle of its text, which is of no other.
    let lines: Vec<&str> = of_certificate("certificate").lines().collect();
    let own = [of_certificate("order"), lines[lines.len() / 2]];
    for canary in CANARIES.iter().chain(&own) {
        let shown = answers.iter().find(|one| one.text.contains(canary));
        assert!(shown.is_none(), "{canary} is shown: {}", shown.map_or("", |one| &one.text));
    }
}

/// What came back.
struct Answered {
    status: u64,
    text: String,
}

/// Has Schemathesis judge the server as this client, and gives all answers; `None` where it is not installed.
fn judged(organised: &Organised, client: &str, phases: &str) -> Option<Vec<Answered>> {
    let program = tool::find("schemathesis")?;
    let (server, folder) = (&organised.server, tempfile::tempdir().expect("a temporary folder"));
    let file = |name: &str| folder.path().join(name);
    fs::write(file("contract.json"), contract(organised).to_string()).expect("a file");
    fs::write(file("settings.toml"), settings(organised)).expect("a file");
    let tls = |name: &str| server.home.path(&format!("tls/{name}"));
    let option = |name: &str, path: PathBuf| [name.into(), path.into_os_string()];
    let mut command = Command::new(program);
    command
        .args(option("--config-file", file("settings.toml")))
        .arg("run")
        .arg(file("contract.json"))
        .args(["--url", &format!("https://{}", server.home.api)])
        .args(option("--tls-verify", tls("management-ca.pem")))
        .args(option("--request-cert", tls(&format!("{client}.pem"))))
        .args(option("--request-cert-key", tls(&format!("{client}.key"))))
        .args(["--checks", "all", "--phases", phases, "--continue-on-failure", "--seed", SEED])
        .args(["--max-examples", &budget::count("schemathesis-examples").to_string()])
        // A busy machine is no fault of the server.
        .args(["--suppress-health-check", "all", "--request-timeout", "60"])
        .args(["--generation-database", "none", "--no-color", "--output-sanitize", "false"])
        .args(option("--report-har-path", file("answers.har")))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(&folder);
    let said = spoken::run(&mut command, &[]);
    // Of a failed run the failures come before the summary.
    let told: String = said.text.chars().take(20_000).collect();
    assert_eq!(said.code, 0, "as {client}: {told}");
    let answers = answers(&file("answers.har"));
    println!("measured: calls as {client} = {}", answers.len());
    let done = answers.iter().filter(|one| one.status < 300).count();
    println!("measured: of these answered 2xx as {client} = {done}");
    assert!(answers.len() > 100 && done > 10, "{} calls, {done} of them done", answers.len());
    Some(answers)
}

fn answers(har: &Path) -> Vec<Answered> {
    let text = fs::read_to_string(har).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let entries = report["log"]["entries"].as_array().expect("entries");
    let answers = entries.iter().map(|entry| &entry["response"]);
    answers
        .map(|one| Answered {
            status: one["status"].as_u64().unwrap_or_default(),
            text: format!("{} {}", one["headers"], one["content"]["text"]),
        })
        .collect()
}

/// The contract as it is published, but for the header of statements: a drawn one is no statement, and all such calls end there (`signed` judges it).
fn contract(organised: &Organised) -> Value {
    let mut contract = organised.server.call(&Call::get("/openapi.json")).json;
    let paths = contract["paths"].as_object_mut().expect("paths").values_mut();
    for operation in paths.flat_map(|item| item.as_object_mut().expect("methods").values_mut()) {
        if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
            parameters.retain(|one| one["name"] != json!("Sigill-Actor-Statement"));
        }
    }
    contract
}

/// What is drawn often in place of chance: ids and names of the other organisation's things.
fn settings(organised: &Organised) -> String {
    let theirs = &organised.theirs;
    let certificate = |field| theirs.certificate[field].as_str().expect("a text");
    let hooks = workspace::root().join("tests/refusals/schemathesis_hooks.py");
    let mut text = format!("hooks = {hooks:?}\n");
    // A rule that no schema can say refuses with 422; what the contract can say must be accepted.
    text += "[checks.positive_data_acceptance]\n\
             expected-statuses = [\"2xx\", \"401\", \"403\", \"404\", \"409\", \"422\", \"429\"]\n";
    let mut bound = String::from("[parameters]\n");
    let mut of_paths = String::new();
    let values: &[(&str, &[&str], &str)] = &[
        ("authority", &[certificate("authority")], "path.name query.authority"),
        ("serial", &[certificate("serial")], "path.serial query.serial"),
        ("sha256", &[certificate("sha256")], "query.sha256"),
        ("number", &[OWN, OTHER], "query.organisation"),
        ("card", &[CARD], ""),
        ("certificates", &[certificate("id")], "query.certificate"),
        ("eids", &[&theirs.eid], "query.eid"),
        ("carriers", &[&theirs.carrier], "query.carrier"),
        ("organisations", &[&theirs.organisation], "query.under"),
        ("jobs", &[&theirs.job], ""),
        ("orders", &[&theirs.order], ""),
    ];
    for (name, values, places) in values {
        text += &format!("[dictionaries.{name}]\nvalues = {values:?}\n");
        let draw = format!("{{ dictionary = {name:?}, probability = 0.5 }}");
        for place in places.split_whitespace() {
            bound += &format!("{place:?} = {draw}\n");
        }
        // The ids in paths are of what the paths are about.
        if name.ends_with('s') {
            of_paths += &format!(
                "[[operations]]\ninclude-path-regex = \"^/v1/{name}/\"\n[operations.parameters]\n\"path.id\" = {draw}\n"
            );
        }
    }
    // In other bodies a number that is put in would stand beside what is there in its place.
    let lookup =
        "[[operations]]\ninclude-path = \"/v1/carriers/lookup\"\n[operations.parameters]\n";
    let card = "\"body.card_number\" = { dictionary = \"card\", probability = 0.5 }\n";
    text + &bound + &of_paths + lookup + card
}
