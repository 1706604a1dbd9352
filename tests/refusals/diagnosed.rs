//! Why a card does not work, through the API.

use serde_json::{Value, json};
use support::suite::Check;

use crate::World;
use crate::ordered;
use crate::requests::{self, base64};
use crate::running::{Answer, Call};

pub const CHECKS: &[Check<World>] =
    &[("a_card_says_why_it_does_not_work_and_what_to_do", diagnosed)];

/// A card that no other check has.
const CARD: &str = "9752269874512325458";

/// Item by item: no certificate for signatures, too low a level, on hold, revoked, and the card with all on it.
fn diagnosed(world: &World) {
    let server = &world.server;
    let ask =
        |asked: &Value| server.call(&Call::post("/v1/diagnosis", asked.to_string()).headers(&[]));
    let codes = |answer: &Answer| -> Vec<String> {
        assert_eq!(answer.status, 200, "{answer:?}");
        let obstacles = answer.json["obstacles"].as_array().expect("obstacles");
        assert_eq!(answer.json["works"], json!(obstacles.is_empty()), "{answer:?}");
        for one in obstacles {
            for field in ["reason", "reason_sv", "remedy", "remedy_sv"] {
                assert!(one[field].as_str().is_some_and(|text| text.ends_with('.')), "{one}");
            }
        }
        obstacles.iter().map(|one| one["code"].as_str().expect("a code").to_owned()).collect()
    };
    let issue = |profile: &str| -> String {
        let mut call = ordered::order();
        call["profile"] = json!(profile);
        call["csr"] = json!(base64(&requests::p256()));
        call["subject"] = json!({ "given_name": "Tolvan", "surname": "Tolvansson" });
        call["order"]["carrier"]["card_number"] = json!(CARD);
        let answer = server.call(&Call::order(&call));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json["id"].as_str().expect("an id").to_owned()
    };
    let card = |to: &str| json!({ "card_number": CARD, "use": to });
    let change = |path: &str, body: Value| {
        let answer = server.call(&Call::post(path, body.to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
    };

    let unknown = ask(&card("login"));
    assert_eq!((unknown.status, unknown.code()), (404, "carrier-not-known"), "{unknown:?}");
    let login = issue(ordered::AUTHENTICATION);
    assert!(codes(&ask(&card("login"))).is_empty());
    assert_eq!(codes(&ask(&card("signature"))), ["no-signature-certificate"]);
    let of_login = |to: &str| json!({ "certificate": login, "use": to });
    assert_eq!(codes(&ask(&of_login("signature"))), ["for-logins"]);
    assert!(codes(&ask(&json!({ "card_number": CARD, "level": 3 }))).is_empty());

    let signature = issue("person-id-3-signature");
    assert!(codes(&ask(&card("signature"))).is_empty());
    change(
        &format!("/v1/certificates/{signature}/revocation"),
        json!({ "reason": "certificateHold" }),
    );
    assert_eq!(codes(&ask(&card("signature"))), ["held"]);
    assert!(codes(&ask(&card("login"))).is_empty(), "the other one is on no hold");

    let carrier = server.call(
        &Call::post("/v1/carriers/lookup", json!({ "card_number": CARD }).to_string()).headers(&[]),
    );
    let carrier = carrier.json["id"].as_str().expect("an id").to_owned();
    change(&format!("/v1/carriers/{carrier}/revocation"), json!({ "event": "stolen" }));
    assert_eq!(codes(&ask(&json!({ "carrier": carrier }))), ["carrier-revoked", "revoked"]);
    assert_eq!(codes(&ask(&of_login("login"))), ["revoked"]);
    server.settle();
}
