//! Texts that answers hold in common, as they lie in the database.

use store::{BegunOrder, HeldOrder, OrderAnswer, SharedText, StoreError, StoredResponse};

use crate::conformance::world::{World, at};
use crate::{Sqlite, sqlite};

const CHAIN: &str = "[\"-----BEGIN CERTIFICATE-----\"]";

/// A world with two answers that end with the same chain.
fn two_answers(sqlite: &Sqlite) -> World {
    let world = World::new(sqlite);
    for key in ["a", "b"] {
        let order = world.new_order(key);
        world.store.begin_order(&order, at(1)).unwrap();
        let response = StoredResponse {
            status: 201,
            content_type: "application/json".to_owned(),
            body: format!("{{\"chain\":{CHAIN}}}").into_bytes(),
        };
        let shared = SharedText::new(CHAIN.as_bytes().to_vec()).into_iter().collect();
        let answer = OrderAnswer { response, subject: world.subject(), shared };
        world.store.finish_order(HeldOrder::first(order.id), &world.node, &answer, at(2)).unwrap();
    }
    world
}

#[test]
fn a_chain_is_kept_once_and_is_in_no_sealed_answer() {
    let sqlite = sqlite();
    let _world = two_answers(&sqlite);
    let raw = sqlite.raw();

    let kept: String =
        raw.query_row("SELECT CAST(text AS TEXT) FROM shared_text", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, CHAIN);
    let count = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM shared_text"), 1);
    // A sealed value is 37 octets longer than what it holds (docs/formats/sealed-fields.md).
    assert_eq!(count("SELECT max(length(sealed)) FROM order_response") - 37, 10);
}

/// What no answer of ours can be is told as that, and nothing else is shown instead.
#[test]
fn a_damaged_cut_is_refused() {
    for damage in [
        "UPDATE order_response SET cuts = x'00'",
        "UPDATE order_response SET cuts = x'ffffffff0000000000000001'",
        "UPDATE order_response SET cuts = x'000000090000000000000063'",
        "UPDATE order_response SET cuts = x'000000090000000000000001000000000000000000000001'",
    ] {
        let sqlite = sqlite();
        let world = two_answers(&sqlite);
        let replayed = || world.store.begin_order(&world.new_order("a"), at(3));
        assert!(matches!(replayed(), Ok(BegunOrder::Replay { .. })));
        sqlite.raw().execute_batch(damage).unwrap();

        assert!(matches!(replayed(), Err(StoreError::Stored { .. })), "{damage}");
    }
}
