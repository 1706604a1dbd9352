//! A card with eIDs of two organisations, as a client of one of them meets it.

use serde_json::{Value, json};
use support::suite::Check;

use crate::World;
use crate::ordered::{AUTHENTICATION, order};
use crate::organised::{OTHER, OWN};
use crate::requests::{self, base64};
use crate::running::{Answer, Call};

pub const CHECKS: &[Check<World>] =
    &[("a_client_of_one_organisation_sees_its_part_of_a_shared_card", shared)];

/// API-04: on a card with an eID of another organisation a limited client sees its own, and of the other that it is there. Its certificates
/// are not there for it, by whatever name it asks. What is left of an order whose eID was revoked is not issued.
fn shared(world: &World) {
    const SHARED_CARD: &str = "9752269874512325474";
    let server = &world.organised().server;
    let issue = |profile: &str, organisation: &str| {
        let mut call = order();
        call["profile"] = json!(profile);
        call["csr"] = json!(base64(&requests::p256()));
        call["subject"] = json!({ "given_name": "Tolvan", "surname": "Tolvansson" });
        call["order"]["carrier"]["card_number"] = json!(SHARED_CARD);
        call["order"]["organisations"]["user"]["number"] = json!(organisation);
        server.call(&Call::order(&call))
    };
    let (own, other) = (issue(AUTHENTICATION, OWN), issue(AUTHENTICATION, OTHER));
    assert_eq!((own.status, other.status), (201, 201), "{own:?} {other:?}");
    let find = |client: &str| {
        let asked = json!({ "card_number": SHARED_CARD }).to_string();
        server.call(&Call::post("/v1/carriers/lookup", asked).headers(&[]).by(client)).json
    };
    let organisations = |card: &Value| -> Vec<Value> {
        let eids = card["eids"].as_array().expect("eIDs");
        eids.iter().map(|eid| eid["organisation"].clone()).collect()
    };
    let (seen, all) = (find("reckless"), find("portal"));
    assert_eq!(organisations(&seen), [json!(OWN)], "{seen}");
    assert_eq!(seen["foreign"], json!(true), "{seen}");
    assert_eq!(organisations(&all), [json!(OWN), json!(OTHER)]);
    assert_eq!(all["foreign"], Value::Null, "{all}");
    assert!(!seen.to_string().contains(other.json["id"].as_str().expect("an id")), "{seen}");

    // Searched for, it finds its own; others find both, and what was shown stands in the audit log by its ids.
    let search = |client: &str, fields: &Value| {
        let call = Call::post("/v1/eids/search", fields.to_string()).headers(&[]);
        let answer = server.call(&call.by(client));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["items"].as_array().expect("a list").clone()
    };
    for fields in [json!({ "person": "19121212-1212" }), json!({ "card_number": SHARED_CARD })] {
        let of = |client: &str| organisations(&json!({ "eids": search(client, &fields) }));
        assert_eq!(of("reckless"), [json!(OWN)], "{fields}");
        assert_eq!(of("portal"), [json!(OWN), json!(OTHER)], "{fields}");
        // Where the list goes on is not told to who does not see it.
        let mut one = fields.clone();
        one["limit"] = json!(1);
        let next = |client: &str| {
            let call = Call::post("/v1/eids/search", one.to_string()).headers(&[]);
            server.call(&call.by(client)).json["next"].clone()
        };
        assert_eq!(next("reckless"), Value::Null, "{fields}");
        assert!(next("portal").is_string(), "{fields}");
    }
    assert!(search("reckless", &json!({ "person": "191003229802" })).is_empty());
    let by_number = json!({ "person": "191212121212" }).to_string();
    let nobody = Call::post("/v1/eids/search", json!({ "hsa_id_end": "02" }).to_string());
    assert_eq!(server.call(&nobody.headers(&[])).code(), "query-malformed");
    assert!(!server.log().contains("191212121212"), "a search by {by_number} stands in the log");

    // By no name.
    let id = |one: &Answer| one.json["id"].as_str().expect("an id").to_owned();
    let get = |path: &str| server.call(&Call::get(path).by("reckless"));
    assert_eq!(get(&format!("/v1/certificates/{}", id(&own))).status, 200);
    let hidden = get(&format!("/v1/certificates/{}", id(&other)));
    assert_eq!((hidden.status, hidden.code()), (404, "certificate-unknown"), "{hidden:?}");
    let listed = get(&format!("/v1/certificates?organisation={OWN}"));
    let ids: Vec<&Value> =
        listed.json["items"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&own.json["id"]], "{listed:?}");
    let foreign = get(&format!("/v1/certificates?organisation={OTHER}"));
    assert_eq!((foreign.status, foreign.code()), (404, "organisation-unknown"));
    assert_eq!(get("/v1/certificates").code(), "query-malformed");
    let sha256 = other.json["sha256"].as_str().expect("a hash");
    assert_eq!(get(&format!("/v1/certificates?sha256={sha256}")).json["items"], json!([]));
    let (authority, serial) = (
        other.json["authority"].as_str().expect("a name"),
        other.json["serial"].as_str().expect("a number"),
    );
    let by_serial = get(&format!("/v1/certificates?authority={authority}&serial={serial}"));
    assert_eq!(by_serial.json["items"], json!([]));
    assert_eq!(get("/v1/jobs").status, 403);
    let reason = json!({ "reason": "superseded" });
    let revoked = server.call(&Call::revocation(&id(&other), &reason).by("reckless"));
    assert_eq!((revoked.status, revoked.code()), (404, "certificate-unknown"), "{revoked:?}");

    // Its own eID it revokes; and then the order's signature certificate comes too late.
    let eid = seen["eids"][0]["id"].as_str().expect("an id");
    let revoke = json!({ "event": "not-wanted" }).to_string();
    let revoked =
        server.call(&Call::post(&format!("/v1/eids/{eid}/revocation"), revoke).by("reckless"));
    assert_eq!(revoked.status, 200, "{revoked:?}");
    // An HSA-id by its end, in whatever case; a longer end of the same three characters is another's.
    let mut call = order();
    call["profile"] = json!("person-hsaid-3-authentication");
    call["csr"] = json!(base64(&requests::p256()));
    call["subject"] = json!({
        "given_name": "Tolvan", "surname": "Tolvansson", "hsa_id": "TST2321000131-7KXZ", "organization": "Sigill Test",
    });
    call["order"]["carrier"]["card_number"] = json!("9752269874512325482");
    let employed = server.call(&Call::order(&call));
    assert_eq!(employed.status, 201, "{employed:?}");
    for (end, found) in
        [("kxz", 1), ("-7KXZ", 1), ("TST2321000131-7kxz", 1), ("8KXZ", 0), ("KXY", 0)]
    {
        assert_eq!(search("reckless", &json!({ "hsa_id_end": end })).len(), found, "{end}");
    }
    let late = issue("person-id-3-signature", OWN);
    assert_eq!((late.status, late.code()), (409, "eid-of-order-revoked"), "{late:?}");
    late.must_be_whole();
    assert_eq!(issue("person-id-3-signature", OTHER).status, 201);
}
