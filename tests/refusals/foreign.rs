//! What belongs to another organisation, asked for by its ids: each operation of the API that has one in its path answers as if there were no such
//! thing (API-04).
//!
//! The operations are those of the table that the server's routes are made from. A new one is judged here without a line, unless it is about a kind
//! of thing that has none yet ([`named`]) or needs a body that says something ([`body`]).

use ca::operation::Operation;
use serde_json::{Value, json};
use support::suite::Check;

use crate::World;
use crate::organised::{CANARIES, CARD, Theirs};
use crate::running::{Answer, Call};

pub const CHECKS: &[Check<World>] =
    &[("what_is_anothers_is_not_there_for_any_operation", answers_as_for_nothing)];

/// What a name in braces stands for in a path, where it says whose it is; `None` for names of authorities, which everybody
/// knows, and for what only who has signed may see.
fn named(theirs: &Theirs, path: &str, name: &str) -> Option<String> {
    let text = |field: &str| theirs.certificate[field].as_str().expect("a text").to_owned();
    match (path.split('/').nth(2), name) {
        (Some("authorities"), "name") => None,
        (Some("authorities"), "serial") => Some(text("serial")),
        (Some("certificates"), "id") => Some(text("id")),
        (Some("orders"), "id") => Some(theirs.order.clone()),
        (Some("eids"), "id") => Some(theirs.eid.clone()),
        (Some("carriers"), "id") => Some(theirs.carrier.clone()),
        (Some("organisations"), "id") => Some(theirs.organisation.clone()),
        (Some("scheduled-revocations"), "id") => Some(theirs.scheduled.clone()),
        (Some("domains"), "id") => Some(theirs.domain.clone()),
        (Some("jobs"), "id") => Some(theirs.job.clone()),
        // Asked for by persons who sign, of whom this server has none: judged where they do (four_eyes.rs).
        (Some("approvals"), "id") => None,
        _ => panic!("{path}: say here which thing of another organisation {{{name}}} is"),
    }
}

/// A body that the operation would take.
fn body(operation: Operation) -> Value {
    match operation {
        Operation::AddOrderEvidence => {
            json!({ "method": "swedish-passport", "at": "2026-11-20T09:00:00Z", "place": "kontor-1" })
        }
        Operation::TakeOrderReceipt => json!({ "form": "on-paper", "terms": "2026-1" }),
        Operation::IssueOrder => json!({ "requests": [] }),
        Operation::MoveCarrier => json!({ "act": "deregister" }),
        Operation::SignReceipt => json!({ "method": "ocsp", "observations": [] }),
        Operation::AddJobTerms => json!({ "cards": [CARD] }),
        Operation::ActOnJob => json!({ "act": "cancel", "actor": "op-2" }),
        Operation::ChangeOrganisation => json!({ "revision": 1, "name": "Mitt", "actor": "op-2" }),
        Operation::EndOrganisation => json!({ "revision": 1, "actor": "op-2" }),
        Operation::TokenOfDomain | Operation::WithdrawDomain => json!({ "actor": "op-2" }),
        Operation::ProveDomain => json!({
            "method": "owner-form", "seen_at": "2026-11-20T09:00:00Z", "seen_by": "op-2", "reference": "form 17",
            "valid_until": "2027-11-20T09:00:00Z", "actor": "op-2",
        }),
        _ if operation.path().ends_with("/revocation") => json!({ "reason": "superseded" }),
        _ => json!({}),
    }
}

/// An id of the same form that nothing has.
fn of_nothing(id: &str) -> String {
    let (kept, last) = id.split_at(id.len() - 4);
    let other = if last.eq_ignore_ascii_case("0000") { "FFFF" } else { "0000" };
    format!("{kept}{other}")
}

/// All of an answer but what is of this call alone.
fn told(answer: &Answer, id: &str) -> (u16, Vec<String>, String) {
    let mut json = answer.json.clone();
    for field in ["correlation_id", "time"] {
        json.as_object_mut().and_then(|fields| fields.remove(field));
    }
    let of_the_call = ["sigill-correlation-id:", "date:"];
    let headers =
        answer.headers.lines().filter(|line| !of_the_call.iter().any(|one| line.starts_with(one)));
    (answer.status, headers.map(str::to_owned).collect(), json.to_string().replace(id, "ID"))
}

/// API-04: octet for octet but for the id; and whoever may see the thing is told of it by the same call.
fn answers_as_for_nothing(world: &World) {
    let organised = world.organised();
    let server = &organised.server;
    let theirs = &organised.theirs;
    let authority = theirs.certificate["authority"].as_str().expect("a name");
    let mut judged = 0;
    for operation in Operation::ALL {
        let path = operation.path().replace("{name}", authority);
        let Some((before, rest)) = path.split_once('{') else { continue };
        let (name, after) = rest.split_once('}').expect("a brace more");
        assert!(!after.contains('{'), "{path}: two things in one path");
        let Some(thing) = named(theirs, operation.path(), name) else { continue };
        let call = |id: &str| {
            let path = format!("{before}{id}{after}");
            match operation.method() {
                "GET" => Call::get(&path),
                _ => Call::post(&path, body(*operation).to_string()),
            }
        };
        let nothing = of_nothing(&thing);
        assert_ne!(nothing, thing);
        let foreign = server.call(&call(&thing).by("reckless"));
        let absent = server.call(&call(&nothing).by("reckless"));
        let found = told(&foreign, &thing);
        println!("{operation:?}: {} {}", found.0, found.2);
        assert_eq!(found, told(&absent, &nothing), "{operation:?}");
        let shown = CANARIES.iter().find(|canary| foreign.text.contains(**canary));
        assert_eq!(shown, None, "{operation:?}: {foreign:?}");
        // What refuses the body says nothing of the thing.
        assert!(
            [200, 403, 404].contains(&found.0),
            "{operation:?} needs another body: {foreign:?}"
        );
        assert_eq!(found.0 == 200, *operation == Operation::ListReceiptsOfSerial, "{foreign:?}");
        let seen = server.call(&call(&thing));
        assert!(![401, 403, 404].contains(&seen.status), "{operation:?}: {seen:?}");
        judged += 1;
    }
    assert!(judged >= 16, "{judged}");
    // Nothing was done to it on the way: its owner was the first to.
    let shown = server.call(&Call::get(&format!("/v1/organisations/{}", theirs.organisation)));
    assert_eq!(shown.json["name"], json!("Mitt"), "{shown:?}");
}
