//! A database that was set back: its log is shorter than the published one.

use std::fs;

use support::suite::Check;

use crate::World;
use crate::requests::{base64, function_ec, p256};
use crate::running::Call;
use crate::starts::{last_line, not_told};
use crate::state::State;

pub const CHECKS: &[Check<World>] =
    &[("a_database_older_than_the_published_log_signs_nothing", an_older_database_is_refused)];

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
