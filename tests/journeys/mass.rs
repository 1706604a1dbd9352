//! A mass event with the programs as they are: two operators at the command line, a CA that is killed in the middle, and a world
//! that sees every certificate revoked.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::demo::until;
use support::program;
use support::spoken::{self, Spoken};
use support::suite::Check;

use crate::accounts::Received;
use crate::deployment::{Deployment, Template};
use crate::revocation::{ocsp, revoke};

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("mass::two_operators_revoke_through_a_kill", two_operators_revoke_through_a_kill),
    ("mass::a_portal_is_stopped_at_what_it_may_alone", a_portal_is_stopped_at_what_it_may_alone),
];

/// How long a job, and OCSP after it, may take.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// The command line, as a client.
fn sigill(deployment: &Deployment, client: &str, arguments: &[&str]) -> Spoken {
    let mut command = Command::new(program::built("sigill"));
    command
        .args(arguments)
        .arg("--json")
        .arg("--url")
        .arg(format!("https://{}", deployment.api_address()));
    for (option, file) in [
        ("--cert", format!("tls/{client}.pem")),
        ("--key", format!("tls/{client}.key")),
        ("--ca", "tls/management-ca.pem".to_owned()),
    ] {
        command.arg(option).arg(deployment.home.join(file));
    }
    spoken::run(&mut command, &[])
}

fn shown(said: &Spoken) -> Value {
    assert_eq!(said.code, 0, "{}", said.text);
    serde_json::from_slice(&said.out).expect("JSON")
}

/// The auditor's client is a second operator's, and one client may revoke two certificates alone in an hour.
fn with_two_operators(deployment: &mut Deployment) {
    deployment.configure(|config| {
        let (before, auditor) =
            config.split_once("name = \"auditor\"").expect("the demo has an auditor");
        let auditor = auditor.replacen("revoke = false", "revoke = true", 1);
        let auditor = auditor.replacen("operator = false", "operator = true", 1);
        format!("{before}name = \"auditor\"{auditor}\n[revocation]\nalone = 2\n")
    });
}

/// REV-09, REV-11: planned and counted by one, approved by another, killed in the middle, done once.
fn two_operators_revoke_through_a_kill(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    with_two_operators(&mut deployment);
    deployment.start();
    let responder = deployment.responder();
    let cards: Vec<Received> = ["one", "two", "three", "four"]
        .map(|key| Received::read(key, &deployment.api().ask(&deployment.order(key))))
        .into();
    let list = deployment.folder().join("cards.txt");
    let ids: String = cards.iter().map(|card| format!("{}\n", card.id)).collect();
    std::fs::write(&list, format!("# a batch\n{ids}")).expect("the list can be written");
    let list = list.to_str().expect("UTF-8");

    let plan = ["revoke", "--certificates", list, "--reason", "keyCompromise", "--wave", "1"];
    let rest = ["--pause", "1", "--actor", "op-1", "--note", "a drill"];
    let job = shown(&sigill(&deployment, "operator", &[&plan[..], &rest[..]].concat()));
    let told = &job["forecast"];
    assert_eq!((&told["certificates"], &told["unmatched_terms"]), (&json!(4), &json!(0)), "{job}");
    let id = job["id"].as_str().expect("an id");
    let operation = told["operation"].as_str().expect("a hash");
    let decide = |act: &str, client: &str, actor: &str| {
        let said = ["job", act, id, "--operation", operation, "--actor", actor];
        sigill(&deployment, client, &said)
    };
    assert_eq!(shown(&decide("start", "operator", "op-1"))["state"], "waiting");
    let own = decide("approve", "operator", "op-2");
    assert!(own.code == 1 && own.text.contains("job-approval-own"), "{}", own.text);
    assert_eq!(shown(&decide("approve", "auditor", "op-2"))["state"], "running");
    let begun = until(DONE_WITHIN, || {
        let job = shown(&sigill(&deployment, "operator", &["job", "show", id]));
        (job["progress"]["done"].as_u64()? > 0).then_some(())
    });
    assert!(begun.is_some(), "the job did not begin");

    deployment.kill();
    deployment.start();
    let done = shown(&sigill(&deployment, "operator", &["job", "watch", id]));

    assert_eq!(
        (&done["state"], &done["progress"]["revoked"]),
        (&json!("done"), &json!(4)),
        "{done}"
    );
    let items = shown(&sigill(&deployment, "auditor", &["job", "items", id]));
    let items = items["items"].as_array().expect("items");
    assert!(items.len() == 4 && items.iter().all(|one| one["state"] == "revoked"), "{items:?}");
    for card in &cards {
        let seen = until(DONE_WITHIN, || {
            ocsp(&deployment, card.serial).contains("Reason: keyCompromise").then_some(())
        });
        assert!(seen.is_some(), "{}", ocsp(&deployment, card.serial));
    }
    drop(responder);
}

/// REV-09: what the limit stops, a job of two goes past, and somebody is told.
fn a_portal_is_stopped_at_what_it_may_alone(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    with_two_operators(&mut deployment);
    deployment.start();
    let mut stopped = None;
    // The hour may end once meanwhile: of five one is stopped.
    for number in 0..5 {
        let key = format!("card-{number}");
        let card = Received::read(&key, &deployment.api().ask(&deployment.order(&key)));
        let answer = revoke(&deployment, &card.id, "superseded", &format!("revoke-{number}"));
        if answer.status != 200 {
            stopped = Some(answer);
            break;
        }
    }

    let stopped = stopped.expect("one of five is stopped");
    assert_eq!(stopped.status, 429, "{}", stopped.text());
    assert_eq!(stopped.json()["code"], "revocations-alone-spent");
    assert!(stopped.header("retry-after").is_some());
    assert!(deployment.metrics().contains("sigill_revocations_stopped_total 1\n"));
    assert!(deployment.printed().contains("revocations-alone-spent"));
}
