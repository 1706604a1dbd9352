//! Texts that answers hold in common, as they lie in the database.

use store::{BegunOrder, HeldOrder, OrderAnswer, SharedText, StoredResponse};

use crate::conformance::world::{World, at};
use crate::{Sqlite, sqlite};

const CHAIN: &str = "[\"-----BEGIN CERTIFICATE-----\"]";
const OTHER: &str = "[\"-----BEGIN X509 CRL-----\"]";

/// A world with two answers that end with the same chain, and one that ends with another.
fn three_answers(sqlite: &Sqlite) -> World {
    let world = World::new(sqlite);
    for (key, chain) in [("a", CHAIN), ("b", CHAIN), ("c", OTHER)] {
        let order = world.new_order(key);
        world.store.begin_order(&order, at(1)).unwrap();
        let response = StoredResponse {
            status: 201,
            content_type: "application/json".to_owned(),
            body: format!("{{\"chain\":{chain}}}").into_bytes(),
        };
        let shared = SharedText::new(chain.as_bytes().to_vec()).into_iter().collect();
        let answer = OrderAnswer { response, subject: world.subject(), shared };
        world.store.finish_order(HeldOrder::first(order.id), &world.node, &answer, at(2)).unwrap();
    }
    world
}

#[test]
fn a_chain_is_kept_once_and_is_in_no_sealed_answer() {
    let sqlite = sqlite();
    let _world = three_answers(&sqlite);
    let raw = sqlite.raw();

    let text = "SELECT CAST(text AS TEXT) FROM shared_text WHERE row = 1";
    let kept: String = raw.query_row(text, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, CHAIN);
    let count = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM shared_text"), 2);
    // A sealed value is 37 octets longer than what it holds (docs/formats/sealed-fields.md).
    assert_eq!(count("SELECT max(length(sealed)) FROM order_response") - 37, 10);
}

/// What no answer of ours can be is told as that, and nothing else is shown instead: neither another text, nor the text elsewhere, nor that
/// of another answer, nor none.
#[test]
fn a_damaged_cut_or_text_is_refused() {
    let (unreadable, unsealed) = ("stored-data-unreadable", "sealed-data-unreadable");
    for (damage, code) in [
        ("UPDATE order_response SET cuts = x'00'", unreadable),
        ("UPDATE order_response SET cuts = x'000000090000000000000063'", unreadable),
        ("UPDATE shared_text SET text = CAST('[]' AS BLOB)", unreadable),
        (
            "UPDATE shared_text SET row = 9 WHERE row = 1; UPDATE shared_text SET row = 1 WHERE row = 2",
            unsealed,
        ),
        ("UPDATE order_response SET cuts = x'000000090000000000000002'", unsealed),
        ("UPDATE order_response SET cuts = x'000000080000000000000001'", unsealed),
        ("UPDATE order_response SET cuts = x'ffffffff0000000000000001'", unsealed),
        (
            "UPDATE order_response SET cuts = x'000000090000000000000001000000000000000000000001'",
            unsealed,
        ),
        ("UPDATE order_response SET cuts = NULL", unsealed),
        (
            "UPDATE order_response SET cuts = \
                 (SELECT cuts FROM order_response ORDER BY order_row DESC LIMIT 1)",
            unsealed,
        ),
    ] {
        let sqlite = sqlite();
        let world = three_answers(&sqlite);
        let replayed = || world.store.begin_order(&world.new_order("a"), at(3));
        assert!(matches!(replayed(), Ok(BegunOrder::Replay { .. })));
        sqlite.raw().execute_batch(damage).unwrap();

        assert_eq!(replayed().map(drop).map_err(|e| e.code()), Err(code), "{damage}");
    }
}
