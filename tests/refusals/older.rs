//! What is older than the rest of its home: a database that was set back, and profiles of before the policy table.

use std::fs;

use support::suite::Check;

use crate::World;
use crate::requests::{self, base64, function_ec, p256};
use crate::running::Call;
use crate::starts::{last_line, not_told};
use crate::state::State;

pub const CHECKS: &[Check<World>] = &[
    ("a_database_older_than_the_published_log_signs_nothing", an_older_database_is_refused),
    ("profiles_older_than_the_policy_table_stop_no_revocation", older_profiles_are_closed),
];

/// A home whose profiles of persons were kept, and that got the folders of the policy table beside them: it starts, revokes
/// and issues under what agrees, and says what does not.
fn older_profiles_are_closed(world: &World) {
    let home = world.template.copy();
    let folder = home.path("config/profiles");
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if text.contains("from = \"table\"") {
            let policy = format!("oid = \"1.3.6.1.4.1.32473.1.99.{}\"", kept.len());
            fs::write(&path, text.replacen("from = \"table\"", &policy, 1)).expect("a file");
            kept.push(path.file_stem().expect("a name").to_string_lossy().into_owned());
        }
    }
    kept.sort();
    assert!(kept.len() > 8, "{kept:?}");

    let server = home.serve();

    let (status, text) = server.observed("/readyz");
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((status, &told["closed-profiles"]), (200, &serde_json::json!(kept)));
    let closed = server.call(&Call::order(&requests::person(&base64(&p256()))));
    assert_eq!((closed.status, closed.code()), (503, "profile-closed"), "{closed:?}");
    let issued = server.call(&Call::order(&function_ec(&base64(&p256()))));
    assert_eq!(issued.status, 201, "{issued:?}");
    let id = issued.json["id"].as_str().expect("an id");
    let body = serde_json::json!({ "reason": "superseded" });
    let revoked = server.call(&Call::revocation(id, &body));
    assert_eq!(revoked.status, 200, "{revoked:?}");
    server.settle();
}

/// A restored database whose log is shorter than the published one: nothing is signed.
fn an_older_database_is_refused(world: &World) {
    let home = world.template.copy();
    let old = fs::read(home.path("state/ca.sqlite")).expect("the database is readable");
    let server = home.serve();
    let order = function_ec(&base64(&p256()));
    let answer = server.call(&Call::order(&order));
    assert_eq!(answer.status, 201, "{answer:?}");
    server.settle();
    let (published, _) = State::of(&server.home).logs;
    let home = server.stop();
    fs::write(home.path("state/ca.sqlite"), old).expect("the old database is put back");
    let before = State::of(&home);
    let refused = home.serve_refused();
    println!("older database: {}", last_line(&refused.text));
    assert_eq!(not_told(&refused, "published-ahead"), None);
    assert!(refused.code.is_some_and(|code| code != 0), "{}", refused.text);
    for size in [published, before.logs.0] {
        assert!(refused.text.contains(&size.to_string()), "no {size}: {}", refused.text);
    }
    assert_ne!(published, before.logs.0);
    assert_eq!(before.difference(&State::of(&home)), "");
}
