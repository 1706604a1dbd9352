//! Limits by client, profile and hour, against a running server (ISS-22).

use std::panic::{self, AssertUnwindSafe};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::suite::Check;
use support::{program, spoken};

use crate::World;
use crate::requests::{self, base64};
use crate::running::{Answer, Call, Running};

pub const CHECKS: &[Check<World>] = &[
    ("past_its_hour_a_client_is_told_when_to_come_back", hour),
    ("a_sudden_change_pauses_until_an_operator_ends_it", sudden),
    ("a_limit_that_cannot_be_keeps_the_server_from_starting", refused),
];

/// What `auditor` of the homes is here.
const OPERATOR: &str = "name = \"auditor\"";

/// Judges by a check whose counts are of one hour of UTC: once more where the hour has turned meanwhile.
fn in_one_hour(world: &World, check: fn(&World)) {
    let hour = || {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        since_1970.as_secs() / 3600
    };
    let begun = hour();
    let judged = panic::catch_unwind(AssertUnwindSafe(|| check(world)));
    if hour() != begun {
        check(world);
    } else if let Err(failed) = judged {
        panic::resume_unwind(failed);
    }
}

fn hour(world: &World) {
    in_one_hour(world, past_its_hour);
}

fn sudden(world: &World) {
    in_one_hour(world, sudden_change);
}

/// A server of its own under a limit, with an operator.
fn limited(world: &World, limit: &str) -> Running {
    let home = world.template.copy();
    home.edit_config(OPERATOR, &format!("{OPERATOR}\noperator = true"));
    home.write("config/ca.toml", format!("{}\n[[limit]]\n{limit}\n", home.config()));
    home.serve()
}

fn function() -> Call {
    Call::order(&requests::function_ec(&base64(&requests::p256())))
}

fn issued(server: &Running, call: &Call) -> Answer {
    let answer = server.call(call);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

/// ISS-22: the third is refused with the time to come back; other profiles, revoking and reading go on.
fn past_its_hour(world: &World) {
    let server = limited(
        world,
        "client = \"portal\"\nprofile = \"function-*\"\nper-hour = 2\n\
         [[limit]]\nclient = \"gone\"\nprofile = \"*\"\nper-hour = 1",
    );
    // A client that was taken away is no reason not to start: its limit is told of.
    assert!(server.log().contains("no [[client]] has this name"), "{}", server.log());
    let first = function();
    let id = issued(&server, &first).json["id"].clone();
    issued(&server, &function());
    issued(&server, &first);

    let refused = server.call(&function());

    assert_eq!((refused.status, refused.code()), (429, "limit-hour"), "{refused:?}");
    refused.must_be_whole();
    let wait = refused.headers.split("retry-after: ").nth(1).expect("Retry-After");
    let wait: u64 = wait.lines().next().unwrap_or_default().trim().parse().expect("seconds");
    assert!((1..=3600).contains(&wait), "{wait}");
    issued(&server, &Call::order(&requests::person(&base64(&requests::p256()))));
    let id = id.as_str().expect("an id");
    let revoked = server.call(&Call::revocation(id, &json!({ "reason": "superseded" })));
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let own = server.call(&Call::get("/v1/limits"));
    assert_eq!(own.json["items"][0]["issued"], 2, "{own:?}");
    assert_eq!(own.json["items"][0]["per_hour"], 2, "{own:?}");
    let (_, metrics) = server.observed("/metrics");
    assert!(metrics.contains("sigill_limit_refusals_total{code=\"limit-hour\"} 1\n"), "{metrics}");
    // Counts are in the database: a restart gives nothing back.
    let server = Running::start(server.stop());
    assert_eq!(server.call(&function()).code(), "limit-hour");
}

/// ISS-22: paused over a restart, told of in readiness and metrics, ended by an operator's command alone.
fn sudden_change(world: &World) {
    let limit = "client = \"*\"\nprofile = \"*\"\nsudden = { times = 5, at-least = 3 }";
    let server = limited(world, limit);
    let id = issued(&server, &function()).json["id"].clone();
    issued(&server, &function());
    let third = function();

    let refused = server.call(&third);

    assert_eq!((refused.status, refused.code()), (403, "limit-paused"), "{refused:?}");
    refused.must_be_whole();
    let server = Running::start(server.stop());
    assert_eq!(server.call(&third).code(), "limit-paused");
    issued(&server, &Call::order(&requests::person(&base64(&requests::p256()))));
    let id = id.as_str().expect("an id");
    let revoked = server.call(&Call::revocation(id, &json!({ "reason": "superseded" })));
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let (ready, text) = server.observed("/readyz");
    assert!(ready == 200 && text.contains("\"profile\":\"function-ec\""), "{ready} {text}");
    let (_, metrics) = server.observed("/metrics");
    assert!(metrics.contains("sigill_limits_paused 1\n"), "{metrics}");

    let by_portal = resume(&server, "portal", "r-0");
    assert_eq!(by_portal.code, 1, "{}", by_portal.text);
    assert!(by_portal.text.contains("client-not-allowed"), "{}", by_portal.text);
    let listed = cli(&server, "auditor", &["limit", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.out).expect("JSON");
    let paused =
        listed["items"].as_array().expect("items").iter().filter(|one| one.get("paused").is_some());
    assert_eq!(paused.count(), 1, "{listed}");
    let resumed = resume(&server, "auditor", "r-1");
    assert_eq!(resumed.code, 0, "{}", resumed.text);

    issued(&server, &third);
    let (_, text) = server.observed("/readyz");
    assert!(!text.contains("paused"), "{text}");
    // As an operator does who got no answer.
    let repeated = resume(&server, "auditor", "r-1");
    assert_eq!((repeated.code, repeated.out), (0, resumed.out), "{}", repeated.text);
    let again = resume(&server, "auditor", "r-2");
    assert!(again.code == 1 && again.text.contains("limit-not-paused"), "{}", again.text);
}

fn resume(server: &Running, client: &str, key: &str) -> spoken::Spoken {
    let arguments = ["limit", "resume", "--client", "portal", "--profile", "function-ec"];
    let said = ["--actor", "op-7", "--note", "the exchange that was announced"];
    let said = [&said[..], &["--idempotency-key", key]].concat();
    cli(server, client, &[&arguments[..], &said[..]].concat())
}

/// The command line, as a client.
pub fn cli(server: &Running, client: &str, arguments: &[&str]) -> spoken::Spoken {
    let mut command = Command::new(program::built("sigill"));
    command.args(arguments).arg("--url").arg(format!("https://{}", server.home.api));
    for (option, file) in [
        ("--cert", format!("tls/{client}.pem")),
        ("--key", format!("tls/{client}.key")),
        ("--ca", "tls/management-ca.pem".to_owned()),
    ] {
        command.arg(option).arg(server.home.path(&file));
    }
    spoken::run(&mut command, &[])
}

/// ISS-22: a limit that cannot be is no start.
fn refused(world: &World) {
    let home = world.template.copy();
    let limit = "[[limit]]\nclient = \"portal\"\nprofile = \"*\"\nper-hour = 0\n";
    home.write("config/ca.toml", format!("{}\n{limit}", home.config()));

    let refused = home.serve_refused();

    assert_eq!(refused.code, Some(1), "{}", refused.text);
    assert!(refused.text.contains("config-value"), "{}", refused.text);
    assert!(refused.text.contains("per-hour = 0"), "{}", refused.text);
}
