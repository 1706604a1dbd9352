//! A profile that is changed and not counted up: nothing is issued under it, and nothing else stops.

use std::rc::Rc;

use serde_json::{Value, json};
use support::spoken;
use support::suite::Check;

use crate::World;
use crate::home::CONFIG;
use crate::requests::{self, base64};
use crate::running::{Call, Running};

pub const CHECKS: &[Check<World>] =
    &[("a_profile_changed_under_its_version_issues_nothing", changed_profile)];

const FILE: &str = "config/profiles/function-ec.toml";
const CODE: &str = "profile-changed-under-version";

/// PRO-19: what was issued under the profile is revoked all the same, the others issue, and the next number of
/// the version opens it again.
fn changed_profile(world: &World) {
    let function = || Call::order(&requests::function_ec(&base64(&requests::p256())));
    let server = world.template.copy().serve();
    let issued = server.call(&function());
    assert_eq!(issued.status, 201, "{issued:?}");
    let id = issued.json["id"].as_str().expect("an id").to_owned();
    let home = server.stop();
    let checked = || spoken::run(&mut home.command("check-config", CONFIG), &[]);
    assert_eq!(checked().code, 0, "{}", checked().text);
    home.edit(FILE, "backdate    = \"5m\"", "backdate    = \"6m\"");
    let told = |said: spoken::Spoken| {
        assert_eq!(said.code, 1, "{}", said.text);
        let line = format!("error: {CODE}: ");
        let told = said.text.lines().filter(|one| one.starts_with(&line)).count();
        assert!(told == 1 && said.text.contains("profile function-ec version 1"), "{}", said.text);
    };
    told(checked());

    let server = Running::start(Rc::clone(&home));
    // It asks beside the program that has the database open.
    told(checked());

    let refused = server.call(&function());
    assert_eq!((refused.status, refused.code()), (503, CODE), "{refused:?}");
    refused.must_be_whole();
    let (status, readiness) = server.observed("/readyz");
    assert_eq!(status, 200, "{readiness}");
    let readiness: Value = serde_json::from_str(&readiness).expect("JSON");
    assert_eq!(readiness["closed-profiles"], json!(["function-ec"]));
    assert!(server.observed("/metrics").1.contains("sigill_profiles_closed 1"));
    assert!(server.log().contains(CODE), "{}", server.log());
    let person = server.call(&Call::order(&requests::person(&base64(&requests::p256()))));
    assert_eq!(person.status, 201, "{person:?}");
    let revoked = server.call(&Call::revocation(&id, &json!({ "reason": "superseded" })));
    assert_eq!(revoked.status, 200, "{revoked:?}");
    drop(server.stop());

    home.edit(FILE, "version     = 1", "version     = 2");
    let server = Running::start(home);
    let issued = server.call(&function());
    assert_eq!(issued.status, 201, "{issued:?}");
    drop(server.stop());
}
