//! Cards before the first certificate on them, against a server (ISS-15): registered in batches, sent, given up; and nothing is issued onto what is not
//! there to be activated.

use serde_json::{Value, json};
use support::suite::Check;

use crate::World;
use crate::replacing::{made, on, text};
use crate::running::Call;
use crate::signed::{Desk, refused};
use crate::stepwise;

pub const CHECKS: &[Check<World>] =
    &[("a_card_is_registered_and_sent_before_anything_is_issued_onto_it", carried)];

const HERE: &str = "2321000131";
const CARDS: [&str; 3] = ["9752269874512326001", "9752269874512326019", "9752269874512326027"];

fn registration(family: &str, cards: &Value) -> Call {
    let body = json!({ "family": family, "organisation": HERE, "card_numbers": cards });
    Call::post("/v1/carriers", body.to_string())
}

fn moved(id: &str, act: &str) -> Call {
    Call::post(&format!("/v1/carriers/{id}/moves"), json!({ "act": act }).to_string())
}

fn carried(world: &World) {
    let desk = Desk::open(world);
    let call = |call: Call| desk.call(&desk.provider, call);

    // A batch of blank reserve cards: all of them or none, once.
    for (family, cards) in [
        ("parcel", json!([CARDS[1]])),
        ("telephone", json!([CARDS[1]])),
        ("reserve-card-2023", json!([])),
        ("reserve-card-2023", json!([CARDS[1], CARDS[1]])),
    ] {
        refused(&call(registration(family, &cards)), 422, "carrier-malformed");
    }
    let wrong = call(registration("reserve-card-2023", &json!(["975226987451232600"])));
    assert_eq!(wrong.status, 422, "{wrong:?}");
    let batch = desk
        .signed(&desk.provider, registration("reserve-card-2023", &json!([CARDS[1], CARDS[2]])));
    let answer = desk.server.call(&batch);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(desk.server.call(&batch).json, answer.json);
    let blank: Vec<String> = answer.json["carriers"]
        .as_array()
        .expect("carriers")
        .iter()
        .map(|one| text(&one["id"]))
        .collect();
    assert_eq!(answer.json["carriers"][0]["stage_sv"], "Oanvänt", "{answer:?}");
    let known = registration("reserve-card-2023", &json!([CARDS[0], CARDS[2]]));
    refused(&call(known), 409, "carrier-known");
    let reader = desk.provider.claiming("roles", json!(["global-reader"]));
    let refusal = desk.call(&reader, registration("reserve-card-2023", &json!([CARDS[0]])));
    refused(&refusal, 403, "actor-role-refused");
    let listed = |stage: &str| -> Vec<String> {
        let path = format!("/v1/carriers?organisation={HERE}&stage={stage}");
        let page = desk.call(&reader, Call::get(&path));
        let items = page.json["items"].as_array().unwrap_or_else(|| panic!("{page:?}"));
        items.iter().map(|one| text(&one["id"])).collect()
    };
    assert_eq!(listed("blank"), blank);

    // By the table of stages, and no other way.
    refused(&call(moved(&blank[0], "send")), 409, "carrier-stage");
    refused(&call(moved(&blank[0], "activate")), 422, "carrier-malformed");
    for _ in 0..2 {
        let answer = call(moved(&blank[0], "deregister"));
        assert_eq!((answer.status, &answer.json["stage"]), (200, &json!("deregistered")));
    }
    assert_eq!(listed("blank"), blank[1..]);

    // An ordinary card is ordered, and sent before it is activated.
    let answer = call(registration("nls-card-2023", &json!([CARDS[0]])));
    assert_eq!(answer.status, 201, "{answer:?}");
    let card = text(&answer.json["carriers"][0]["id"]);
    assert_eq!(answer.json["carriers"][0]["stage"], "ordered", "{answer:?}");
    let wanted = on(CARDS[0]);
    let id = made(&call(Call::post("/v1/orders", stepwise::prepared(&wanted).to_string())));
    stepwise::receipted(&desk, &desk.provider, &id, &wanted);
    let approver = stepwise::approver(&desk.provider);
    let issuance = || desk.call(&approver, stepwise::issuance(&id, &wanted));
    refused(&issuance(), 409, "carrier-stage");
    let answer = call(moved(&card, "send"));
    assert_eq!((answer.status, &answer.json["stage_sv"]), (200, &json!("Skickat")), "{answer:?}");
    assert_eq!(issuance().status, 201);
    let shown = call(Call::get(&format!("/v1/carriers/{card}")));
    assert_eq!(shown.json["stage"], "activating", "{shown:?}");
    refused(&call(moved(&card, "deregister")), 409, "carrier-stage");
    assert_eq!(desk.server.home.audited("carrier.moved").len(), 2);
    assert_eq!(desk.server.home.audited("carriers.registered").len(), 2);

    // One that was given up, or is of another family, takes nothing.
    let other = on(CARDS[1]);
    let mut body = stepwise::prepared(&other);
    body["identity"]["number"] = json!("191212121212");
    body["subject"]["hsa_id"] = json!("TST2321000016-1010");
    let id = made(&call(Call::post("/v1/orders", body.to_string())));
    stepwise::receipted(&desk, &desk.provider, &id, &other);
    refused(&desk.call(&approver, stepwise::issuance(&id, &other)), 409, "carrier-stage");
}
