//! What two persons do, against a server (CER-10): each way round the second one is refused, and what is approved is done once.

use serde_json::{Value, json};
use support::suite::Check;

use crate::World;
use crate::running::{Answer, Call};
use crate::signed::{Desk, Pen, refused};

pub const CHECKS: &[Check<World>] = &[("what_two_persons_do_is_done_by_no_one_alone", done_by_two)];

const PATH: &str = "/v1/protected-persons";
const SECOND: &str = "TSTNMT2321000156-1777";

fn ends(number: &str) -> String {
    json!({ "person": number, "class": "none", "actor": "op-1" }).to_string()
}

fn named(call: Call, id: &str) -> Call {
    call.with(&format!("Sigill-Approval: {id}"))
}

fn decide(id: &str, sha256: &Value, decision: &str) -> Call {
    let body = json!({ "decision": decision, "sha256": sha256 });
    Call::post(&format!("/v1/approvals/{id}/decision"), body.to_string())
}

fn well(answer: &Answer, status: u16) -> &Value {
    assert_eq!(answer.status, status, "{answer:?}");
    &answer.json
}

fn done_by_two(world: &World) {
    let home = world.template.copy();
    home.edit_config(
        "[actor-statements]\ndirect = true\n",
        "[four-eyes]\ndemand = [\"end-protection\"]\n\n[actor-statements]\ndirect = true\n",
    );
    let desk = Desk::of(home);
    let roles = |words: &[&str]| desk.provider.claiming("roles", json!(words));
    let anna = roles(&["management-administrator", "confidentiality"]);
    let bo = anna.claiming("sub", json!(SECOND));
    let call = |pen: &Pen, call: Call| desk.call(pen, call);
    let body = ends("191212121212");

    refused(&call(&anna, Call::post(PATH, body.clone())), 403, "approval-required");
    let ask = |path: &str, body: &str| {
        let asked = json!({ "method": "POST", "path": path, "body": body, "why": "moved" });
        Call::post("/v1/approvals", asked.to_string())
    };
    refused(&call(&anna, ask("/v1/certificates", &body)), 422, "approval-malformed");
    refused(&desk.server.call(&ask(PATH, &body)), 401, "actor-statement-required");
    refused(&call(&roles(&["global-reader"]), ask(PATH, &body)), 403, "actor-role-refused");
    let asked = call(&anna, ask(PATH, &body));
    let asked = well(&asked, 201);
    let (id, sha256) = (asked["id"].as_str().expect("an id"), &asked["sha256"]);

    // Not by himself, by whichever client; not by who may not, or does not see whom it is about; not by nobody.
    refused(&call(&anna, decide(id, sha256, "approve")), 403, "approval-own");
    let by_auditor = anna.claiming("client", json!("auditor"));
    let own = desk.signed(&by_auditor, decide(id, sha256, "approve").by("auditor"));
    refused(&desk.server.call(&own), 403, "approval-own");
    let reader = bo.claiming("roles", json!(["global-reader", "confidentiality"]));
    refused(&call(&reader, decide(id, sha256, "approve")), 403, "actor-role-refused");
    let auditor = bo.claiming("roles", json!(["ca-auditor", "confidentiality"]));
    refused(&call(&auditor, decide(id, sha256, "approve")), 403, "actor-role-refused");
    let blind = bo.claiming("roles", json!(["management-administrator"]));
    refused(&call(&blind, decide(id, sha256, "approve")), 404, "approval-unknown");
    refused(&call(&blind, Call::get(&format!("/v1/approvals/{id}"))), 404, "approval-unknown");
    refused(&desk.server.call(&decide(id, sha256, "approve")), 401, "actor-statement-required");
    refused(&call(&bo, decide(id, &json!("0".repeat(64)), "approve")), 409, "approval-differs");
    refused(&call(&anna, named(Call::post(PATH, body.clone()), id)), 409, "approval-stage");

    let shown = call(&bo, Call::get(&format!("/v1/approvals/{id}")));
    assert_eq!(well(&shown, 200)["body"], json!(body));
    well(&call(&bo, decide(id, sha256, "approve")), 200);

    // That very call, by who asked, once.
    let other = named(Call::post(PATH, ends("197001019876")), id);
    refused(&call(&anna, other), 409, "approval-differs");
    refused(&call(&bo, named(Call::post(PATH, body.clone()), id)), 403, "approval-not-asker");
    let twice = named(named(Call::post(PATH, body.clone()), id), id);
    refused(&call(&anna, twice), 400, "approval-malformed");
    let elsewhere = named(Call::post("/v1/certificates", body.clone()), id);
    refused(&call(&anna, elsewhere), 422, "approval-malformed");
    let done = named(Call::post(PATH, body.clone()), id);
    assert_eq!(well(&call(&anna, done.clone()), 200)["class"], json!("none"));
    assert_eq!(well(&call(&anna, done), 200)["class"], json!("none"), "replayed");
    refused(&call(&anna, named(Call::post(PATH, body), id)), 409, "approval-used");

    desk.server.settle();
    let home = &desk.server.home;
    for (event, leaves) in [("approval.asked", 1), ("approval.given", 1), ("approval.used", 1)] {
        assert_eq!(home.audited(event).len(), leaves, "{event}");
    }
    assert!(home.audited("call.refused").len() >= 15);
}
