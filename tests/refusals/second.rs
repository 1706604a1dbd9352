//! A second copy of `sigill-ca`, and a database that another process holds.

use std::fs;

use support::ports::free_address;
use support::suite::Check;

use crate::World;
use crate::database::Lock;
use crate::spy::TokenCalls;
use crate::starts::{judge, last_line, not_told, row};
use crate::state::State;

pub const CHECKS: &[Check<World>] = &[("a_second_copy_is_refused", second_copies_are_refused)];

/// Ports and database belong to one program at a time.
fn second_copies_are_refused(world: &World) {
    let running = &world.server.home;
    let api = running.api.to_string();
    let observe = running.observe.to_string();
    judge(
        world,
        &[
            row(
                "the API's port",
                "address-in-use",
                {
                    let api = api.clone();
                    move |home| home.edit_config(&home.api.to_string(), &api)
                },
                &[&api, "another copy"],
            ),
            row(
                "the port of health",
                "address-in-use",
                {
                    let observe = observe.clone();
                    move |home| home.edit_config(&home.observe.to_string(), &observe)
                },
                &[&observe, "another copy"],
            ),
        ],
    );
    let before = State::of(running);
    let config = running.config();
    let moved = config
        .replace(&api, &free_address().to_string())
        .replace(&observe, &free_address().to_string());
    running.write("config/second.toml", moved);
    let refused = running.serve_refused_by("config/second.toml");
    fs::remove_file(running.path("config/second.toml")).expect("removed");
    println!("the database: {}", last_line(&refused.text));
    assert_eq!(not_told(&refused, "database-in-use"), None);
    assert!(refused.code.is_some_and(|code| code != 0), "{}", refused.text);
    assert!(refused.text.contains("ca.sqlite"), "{}", refused.text);
    assert!(refused.text.contains("in use by another program"), "{}", refused.text);
    assert_eq!(before.difference(&State::of(running)), "");

    let home = world.template.copy();
    let lock = Lock::take(&home.path("state/ca.sqlite"));
    let refused = home.serve_refused();
    println!("the database, locked: {}", last_line(&refused.text));
    assert_eq!(not_told(&refused, "database-busy"), None);
    assert!(refused.code.is_some_and(|code| code != 0), "{}", refused.text);
    assert!(refused.text.contains("locked by another process"), "{}", refused.text);
    assert_eq!(TokenCalls::of(&home).signatures, 0);
    drop(lock);
    drop(home.serve());
}
