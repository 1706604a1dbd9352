//! Orders that replace a card or an eID, against a server (ISS-17): what is replaced ends by the rule of the routine, and nobody has more cards than he may.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::suite::Check;
use x509::time::UnixTime;

use crate::World;
use crate::hold::crl_entry;
use crate::ordered::AUTHENTICATED;
use crate::requests::{self, base64};
use crate::running::{Answer, Call};
use crate::signed::{Desk, FIRST, ordered, refused};
use crate::stepwise;

pub const CHECKS: &[Check<World>] = &[
    ("what_an_order_replaces_ends_by_the_rule_of_its_routine", replaced),
    ("an_update_and_an_extra_eid_are_orders_like_others", on_the_same_card),
];

const HOLDER: &str = "TST2321000016-1009";
const TOLVANSSON: &str = "191003229802";
const TOLVAN: &str = "191212121212";
const CARDS: [&str; 4] =
    ["9752269874512326001", "9752269874512326019", "9752269874512326027", "9752269874512326035"];
/// How long a server may take to come to a point.
const LIMIT: Duration = Duration::from_secs(120);

/// The words of an order for the holder on a card.
pub fn on(card: &str) -> Value {
    let csr = base64(&requests::p256());
    let mut call = ordered(&csr, AUTHENTICATED, FIRST, TOLVANSSON, HOLDER);
    call["order"]["carrier"]["card_number"] = json!(card);
    call
}

/// The same, as it is made, with what it replaces.
fn replacing(call: &Value, replaces: &Value) -> Call {
    let mut body = stepwise::prepared(call);
    body["replaces"] = replaces.clone();
    Call::post("/v1/orders", body.to_string())
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

pub fn made(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    text(&answer.json["id"])
}

/// The eID on a card, and its carrier.
fn eid_on(desk: &Desk, card: &str) -> (String, String) {
    let body = json!({ "card_number": card }).to_string();
    let call = Call::post("/v1/eids/search", body).headers(&[]);
    let found = desk.call(&desk.provider, call);
    let eid = &found.json["items"][0];
    (text(&eid["id"]), text(&eid["carrier"]))
}

fn certificate(desk: &Desk, id: &str) -> Value {
    desk.call(&desk.provider, Call::get(&format!("/v1/certificates/{id}"))).json
}

fn stands(desk: &Desk, id: &str, state: &str, reason: &Value) {
    let shown = certificate(desk, id);
    assert_eq!((&shown["state"], &shown["reason"]), (&json!(state), reason), "{shown}");
}

fn days_ago(days: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    UnixTime::from_secs(now.as_secs() - days * 86_400).expect("a time").to_string()
}

fn replaced(world: &World) {
    let mut desk = Desk::open(world);
    let first = on(CARDS[0]);
    let old = text(&stepwise::issued(&desk, &desk.provider, &first)["id"]);
    let (eid, carrier) = eid_on(&desk, CARDS[0]);
    let call = |desk: &Desk, call: Call| desk.call(&desk.provider, call);
    let none = &Value::Null;

    // One ordinary card of an organisation, unless the order replaces it; and it replaces what is the same holder's, by a rule.
    let second = on(CARDS[1]);
    refused(&call(&desk, replacing(&second, none)), 409, "order-enough-carriers");
    let unknown = "eid_00000000-0000-7000-8000-000000000000";
    for (replaces, status, code) in [
        (json!({ "eid": unknown, "event": "replaced" }), 404, "eid-not-known"),
        (json!({ "event": "replaced" }), 422, "order-malformed"),
        (json!({ "eid": eid, "carrier": carrier, "event": "replaced" }), 422, "order-malformed"),
        (json!({ "carrier": carrier, "event": "name-changed" }), 422, "order-malformed"),
        (json!({ "eid": eid, "event": "mislaid" }), 422, "routine-refused"),
        (
            json!({ "eid": eid, "event": "replaced", "since": "2031-01-01T00:00:00Z" }),
            422,
            "order-malformed",
        ),
    ] {
        refused(&call(&desk, replacing(&second, &replaces)), status, code);
    }
    let renewed = json!({ "eid": eid, "event": "replaced" });
    refused(&call(&desk, replacing(&first, &renewed)), 422, "order-replaces-itself");
    let mut another = second.clone();
    another["order"]["identity"]["number"] = json!(TOLVAN);
    let answer = call(&desk, replacing(&another, &renewed));
    refused(&answer, 422, "order-replaces-another");
    assert!(text(&answer.json["warning_sv"]).contains("INTE spärrad"), "{answer:?}");
    stands(&desk, &old, "activated", none);

    // Taken back, it leaves the old card as it was.
    let answer = call(&desk, replacing(&second, &renewed));
    let id = made(&answer);
    assert_eq!(answer.json["replaces"]["carrier"], json!(carrier), "{answer:?}");
    let back = call(&desk, Call::post(&format!("/v1/orders/{id}/cancellation"), "{}"));
    assert_eq!(back.json["stage"], "cancelled", "{back:?}");
    stands(&desk, &old, "activated", none);

    // Renewed: the old card works until the new one does, and ends in the act that takes that into use.
    let answer = call(&desk, replacing(&second, &renewed));
    let id = made(&answer);
    let waits = &answer.json["replaces"];
    assert_eq!(
        (&waits["stage"], &waits["stage_sv"]),
        (&json!("active"), &json!("Aktiv")),
        "{waits}"
    );
    assert!(text(&waits["warning_sv"]).contains("INTE spärrat"), "{waits}");
    stands(&desk, &old, "activated", none);
    let order = stepwise::finished(&desk, &desk.provider, &id, &second);
    stands(&desk, &old, "revoked", &json!("superseded"));
    assert!(order["replaces"]["done"].is_string(), "{order}");
    let ended = &order["replaces"];
    assert_eq!((&ended["stage"], &ended["warning"]), (&json!("revoked"), none), "{order}");
    assert_eq!(order["position"], certificate(&desk, &old)["position"], "{order}");
    assert_eq!(order["certificates"][0]["state"], "activated", "{order}");
    let ended = certificate(&desk, &old);
    let (authority, serial) = (text(&ended["authority"]), text(&ended["serial"]));
    // It was there before, on hold until it was activated.
    let since = Instant::now();
    while !crl_entry(&desk.server.home, &authority, &serial, true).contains("Superseded") {
        assert!(since.elapsed() < LIMIT, "the list does not say that it is superseded");
        thread::sleep(Duration::from_millis(200));
    }

    // Lost: it ends with the order, before there is another.
    let lost = text(&order["certificates"][0]["id"]);
    let (eid, _) = eid_on(&desk, CARDS[1]);
    let third = on(CARDS[2]);
    let answer = call(&desk, replacing(&third, &json!({ "eid": eid, "event": "lost" })));
    let id = made(&answer);
    stands(&desk, &lost, "revoked", &json!("keyCompromise"));
    assert_eq!(answer.json["position"], certificate(&desk, &lost)["position"], "{answer:?}");
    let order = stepwise::finished(&desk, &desk.provider, &id, &third);

    // Another name: the old eID ends by itself three months after that, and is listed until then.
    let former = text(&order["certificates"][0]["id"]);
    let (eid, _) = eid_on(&desk, CARDS[2]);
    let fourth = on(CARDS[3]);
    let renamed = |days| json!({ "eid": eid, "event": "name-changed", "since": days_ago(days) });
    let answer = call(&desk, replacing(&fourth, &renamed(0)));
    let id = made(&answer);
    assert_eq!(answer.json["replaces"]["eid"], json!(eid), "{answer:?}");
    assert!(answer.json["replaces"]["due"].is_string(), "{answer:?}");
    let listed = call(&desk, Call::get("/v1/orders?strikes_before=2099-01-01T00:00:00Z"));
    let ids: Vec<&Value> =
        listed.json["items"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(id)], "{listed:?}");
    let listed = call(&desk, Call::get(&format!("/v1/orders?strikes_before={}", days_ago(0))));
    assert_eq!(listed.json["items"], json!([]), "{listed:?}");
    call(&desk, Call::post(&format!("/v1/orders/{id}/cancellation"), "{}"));
    stands(&desk, &former, "activated", none);
    made(&call(&desk, replacing(&fourth, &renamed(125))));
    desk.restart();
    let since = Instant::now();
    while certificate(&desk, &former)["state"] != "revoked" {
        assert!(since.elapsed() < LIMIT, "a former name is not ended");
        thread::sleep(Duration::from_millis(200));
    }
    stands(&desk, &former, "revoked", &json!("affiliationChanged"));
    // Each by a leaf of its own.
    desk.server.settle();
    assert_eq!(desk.server.home.audited("certificate.revoked").len(), 3);
}

/// *Uppdatera SITHS eID* and *Extra SITHS eID*: on the card that the holder has, by the steps that all take. The update ends the old eID and nothing
/// else; with the card the extra eID of another organisation ends, too.
fn on_the_same_card(world: &World) {
    let desk = Desk::open(world);
    let first = on(CARDS[0]);
    let old = text(&stepwise::issued(&desk, &desk.provider, &first)["id"]);
    let (eid, carrier) = eid_on(&desk, CARDS[0]);
    let none = &Value::Null;

    // An extra eID: of another organisation, which the routine's number of cards says nothing of.
    let mut extra = on(CARDS[0]);
    extra["profile"] = json!("extra-hsaid-3-authentication");
    extra["subject"]["hsa_id"] = json!("TST5565594230-2009");
    extra["subject"]["organization"] = json!("Sigill Extra");
    extra["order"]["organisations"] = json!({
        "user": { "name": "Sigill Extra", "number": "5565594230" },
        "issuing": first["order"]["organisations"]["user"],
    });
    let more = text(&stepwise::issued(&desk, &desk.provider, &extra)["id"]);
    stands(&desk, &more, "activated", none);
    // It is replaced by an order of its own organisation alone.
    let other = json!({ "eid": eid, "event": "updated" });
    let answer = desk.call(&desk.provider, replacing(&extra, &other));
    refused(&answer, 422, "order-replaces-another");

    // An update: the same card, another eID.
    let mut anew = on(CARDS[0]);
    anew["subject"]["surname"] = json!("Nyman");
    let answer = desk.call(&desk.provider, replacing(&anew, &other));
    let id = made(&answer);
    assert_eq!(answer.json["replaces"]["eid"], json!(eid), "{answer:?}");
    let order = stepwise::finished(&desk, &desk.provider, &id, &anew);
    let new = text(&order["certificates"][0]["id"]);
    stands(&desk, &old, "revoked", &json!("superseded"));
    stands(&desk, &new, "activated", none);
    stands(&desk, &more, "activated", none);
    let card = desk.call(&desk.provider, Call::get(&format!("/v1/carriers/{carrier}")));
    let stages: Vec<&str> = card.json["eids"]
        .as_array()
        .expect("eIDs")
        .iter()
        .map(|eid| eid["stage"].as_str().expect("a stage"))
        .collect();
    assert_eq!(
        (&card.json["stage"], stages),
        (&json!("active"), vec!["revoked", "active", "active"])
    );

    // The card is stolen: all that is on it ends with the order for another one.
    let second = on(CARDS[1]);
    let stolen = json!({ "carrier": carrier, "event": "stolen" });
    made(&desk.call(&desk.provider, replacing(&second, &stolen)));
    for id in [&new, &more] {
        stands(&desk, id, "revoked", &json!("keyCompromise"));
    }
}
