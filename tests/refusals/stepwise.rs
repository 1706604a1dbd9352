//! Orders that are given in the words of a call for one certificate, and go through their steps: what several take part in does not come in one
//! call (ISS-14).

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use x509::time::UnixTime;

use crate::running::{Answer, Call};
use crate::signed::{Desk, Pen};

/// Who approves what another has ordered.
const APPROVER: &str = "TST2321000016-1099";

/// What `POST /v1/orders` takes of such a call.
pub fn prepared(call: &Value) -> Value {
    let of = &call["order"];
    json!({
        "routine": of["routine"],
        "role": of["orderer"]["role"],
        "holder": of["holder"],
        "identity": of["identity"],
        "carrier": of["carrier"],
        "organisations": of["organisations"],
        "profiles": [call["profile"]],
        "subject": call["subject"],
    })
}

/// Now, as the API has times.
pub fn now() -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    UnixTime::from_secs(since_1970.as_secs()).expect("a time").to_string()
}

fn done(answer: &Answer) -> &Value {
    assert!(answer.status == 200 || answer.status == 201, "{answer:?}");
    &answer.json
}

/// Makes such an order and takes it by `orders`, and by another in the same roles, to its activation; its certificate as the API shows it.
pub fn issued(desk: &Desk, orders: &Pen, call: &Value) -> Value {
    let answer = desk.call(orders, Call::post("/v1/orders", prepared(call).to_string()));
    let id = done(&answer)["id"].as_str().expect("an id");
    finished(desk, orders, id, call)["certificates"][0].clone()
}

/// Takes an order that is made to its activation; the order as it stands then.
pub fn finished(desk: &Desk, orders: &Pen, id: &str, call: &Value) -> Value {
    receipted(desk, orders, id, call);
    let issued = desk.call(&approver(orders), issuance(id, call));
    done(&issued);
    say(desk, &approver(orders), id, ("delivery", &json!({})));
    say(desk, &approver(orders), id, ("activation", &json!({})))
}

/// Takes an order that is made so far that it can be issued.
pub fn receipted(desk: &Desk, orders: &Pen, id: &str, call: &Value) {
    let approves = approver(orders);
    let method = &call["order"]["proofing"]["method"];
    let evidence = json!({ "method": method, "at": now(), "place": "kontor-17" });
    say(desk, orders, id, ("evidence", &evidence));
    say(desk, &approves, id, ("approvals", &json!({})));
    let receipt = json!({ "form": "on-paper", "terms": "2026-1", "sha256": "ab".repeat(32) });
    say(desk, &approves, id, ("receipt", &receipt));
}

/// Who approves what `orders` has ordered, and does the rest.
pub fn approver(orders: &Pen) -> Pen {
    orders.claiming("sub", json!(APPROVER))
}

/// The call that has it issued.
pub fn issuance(id: &str, call: &Value) -> Call {
    let request = json!({ "profile": call["profile"], "csr": call["csr"] });
    let body = json!({ "requests": [request] }).to_string();
    Call::post(&format!("/v1/orders/{id}/issuance"), body)
}

fn say(desk: &Desk, pen: &Pen, id: &str, (step, body): (&str, &Value)) -> Value {
    let path = format!("/v1/orders/{id}/{step}");
    done(&desk.call(pen, Call::post(&path, body.to_string()))).clone()
}
