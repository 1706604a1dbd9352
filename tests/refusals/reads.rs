//! AUD-06, AUD-08: whoever is shown something of a person, by whichever call, is found by that person later: client, administrator, call, what and
//! when; and asking that is a read, too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use support::suite::Check;

use crate::World;
use crate::limits::cli;
use crate::ordered::{AUTHENTICATED, order};
use crate::requests::{self, base64};
use crate::running::{Answer, Call};
use crate::signed::{Desk, FIRST, Pen, ordered, refused, with_claim};
use crate::stepwise;

pub const CHECKS: &[Check<World>] = &[
    ("who_was_shown_a_person_is_found_by_that_person", on_record),
    ("reads_of_a_person_are_told_at_a_terminal", at_a_terminal),
];

/// The person, who is in no other check.
const NUMBER: &str = "196408239819";
const CARD: &str = "9752269874512329999";
const HSA_ID: &str = "TST2321000016-RZWK";
/// Another one.
const OTHER: &str = "198403229829";

fn acting(desk: &Desk, roles: &[&str]) -> Pen {
    let mut pen = desk.provider.clone();
    pen.more = with_claim(&desk.provider, "roles", json!(roles));
    pen
}

fn ask(path: &str, body: &Value) -> Call {
    Call::post(path, body.to_string()).headers(&[])
}

fn reads(desk: &Desk, pen: &Pen, more: &Value) -> Value {
    let mut body = json!({ "person": NUMBER });
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let answer = desk.call(pen, ask("/v1/reads/search", &body));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json
}

fn call_of(answer: &Answer) -> String {
    let line = answer.headers.lines().find_map(|one| one.strip_prefix("sigill-correlation-id:"));
    line.expect("an id").trim().to_owned()
}

/// All calls that show something of the person, with what of him they show.
fn looks(
    certificate: &Value,
    order: &str,
    eid: &str,
    carrier: &str,
) -> Vec<(Call, &'static str, Vec<String>)> {
    let text = |field: &str| certificate[field].as_str().expect("a text").to_owned();
    let id = text("id");
    let get = |path: String| Call::get(&path);
    let by_serial =
        format!("/v1/certificates?authority={}&serial={}", text("authority"), text("serial"));
    let (of_certificate, of_eid) = (vec![id.clone()], vec![eid.to_owned()]);
    let with_order = vec![id.clone(), order.to_owned()];
    let diagnosis = |field: &str, name: &str| ask("/v1/diagnosis", &json!({ field: name }));
    let search = |field: &str, name: &str| ask("/v1/eids/search", &json!({ field: name }));
    vec![
        (get(format!("/v1/certificates/{id}")), "showCertificate", of_certificate.clone()),
        (get(by_serial), "listCertificates", of_certificate.clone()),
        (
            get(format!("/v1/certificates?sha256={}", text("sha256"))),
            "listCertificates",
            of_certificate.clone(),
        ),
        (get(format!("/v1/certificates?eid={eid}")), "listCertificates", of_certificate.clone()),
        (get(format!("/v1/orders/{order}")), "showOrder", with_order),
        (get(format!("/v1/eids/{eid}")), "showEid", of_eid.clone()),
        (get(format!("/v1/eids?certificate={id}")), "listEids", of_eid.clone()),
        (get(format!("/v1/carriers/{carrier}")), "showCarrier", of_eid.clone()),
        (
            ask("/v1/carriers/lookup", &json!({ "card_number": CARD })),
            "lookUpCarrier",
            of_eid.clone(),
        ),
        (search("person", NUMBER), "searchEids", of_eid.clone()),
        (search("hsa_id_end", "RZWK"), "searchEids", of_eid.clone()),
        (search("card_number", CARD), "searchEids", of_eid),
        (diagnosis("certificate", &id), "diagnose", of_certificate.clone()),
        (diagnosis("card_number", CARD), "diagnose", of_certificate),
    ]
}

fn on_record(world: &World) {
    let mut desk = Desk::open(world);
    let administrator = acting(&desk, &["management-administrator"]);
    let auditor = acting(&desk, &["ca-auditor"]);
    let mut body = ordered(&base64(&requests::p256()), AUTHENTICATED, FIRST, NUMBER, HSA_ID);
    body["order"]["carrier"]["card_number"] = json!(CARD);
    let made = stepwise::issued(&desk, &administrator, &body);
    assert_eq!(reads(&desk, &auditor, &json!({})), json!({ "items": [] }), "issuing is no read");
    let listed = desk.call(&administrator, Call::get("/v1/orders"));
    let order = listed.json["items"][0]["id"].as_str().expect("an id").to_owned();
    let found = desk.call(&administrator, ask("/v1/eids/search", &json!({ "card_number": CARD })));
    let eid = found.json["items"][0]["id"].as_str().expect("an id").to_owned();
    let carrier = found.json["items"][0]["carrier"].as_str().expect("an id").to_owned();

    let mut expected = BTreeMap::from([
        (call_of(&listed), ("listOrders", vec![order.clone()])),
        (call_of(&found), ("searchEids", vec![eid.clone()])),
    ]);
    for (call, operation, shown) in looks(&made, &order, &eid, &carrier) {
        let answer = desk.call(&administrator, call.clone());
        assert_eq!(answer.status, 200, "{call:?}: {answer:?}");
        expected.insert(call_of(&answer), (operation, shown));
    }
    // What shows nobody leaves no trace: a function, and nothing.
    let function =
        desk.call(&administrator, Call::order(&requests::function_ec(&base64(&requests::p256()))));
    let id = function.json["id"].as_str().expect("an id");
    for path in [format!("/v1/certificates/{id}"), "/v1/certificates?eid=none&limit=1".to_owned()] {
        assert_eq!(desk.call(&administrator, Call::get(&path)).status, 200);
    }

    // It is there after a crash, too.
    desk.restart();
    let told = reads(&desk, &auditor, &json!({}));
    let items = told["items"].as_array().expect("items");
    assert_eq!(items.len(), expected.len(), "{told}");
    for item in items {
        let call = item["call"].as_str().expect("a call");
        let (operation, shown) = expected.remove(call).unwrap_or_else(|| panic!("{item}"));
        let seen = (&item["operation"], &item["shown"]);
        assert_eq!(seen, (&json!(operation), &json!(shown)), "{item}");
        let who = (&item["client"], &item["administrator"], &item["role"]);
        assert_eq!(
            who,
            (&json!("portal"), &json!(FIRST), &json!("management-administrator")),
            "{item}"
        );
        assert_eq!(item["by"].is_string(), operation == "searchEids", "{item}");
    }
    assert!(items.is_sorted_by(|a, b| a["at"].as_str() >= b["at"].as_str()), "newest first");

    // Who asked is on record, too; and the list goes on where it was left.
    let again = reads(&desk, &auditor, &json!({ "limit": 2 }));
    let first = &again["items"][0];
    assert_eq!(
        (&first["operation"], &first["shown"], &first["role"]),
        (&json!("searchReads"), &json!(["person"]), &json!("ca-auditor"))
    );
    assert_eq!(again["items"][1], items[0]);
    let rest = reads(&desk, &auditor, &json!({ "cursor": again["next"] }));
    assert_eq!(rest["items"].as_array().expect("items")[..], items[1..]);

    for role in ["global-reader", "global-revoker", "ca-operator", "security-officer"] {
        let call = ask("/v1/reads/search", &json!({ "person": NUMBER }));
        refused(&desk.call(&acting(&desk, &[role]), call), 403, "actor-role-refused");
    }
    protected(&desk, &auditor);
    desk.server.settle();
    let leaves = desk.server.home.audited("sealed.read");
    assert!(leaves.len() > items.len(), "{}", leaves.len());
    let said = format!("{leaves:?} {}", desk.server.log()).to_lowercase();
    for canary in [NUMBER, "640823-9819", CARD, "rzwk"] {
        assert!(!said.contains(canary), "{canary}");
    }
}

/// DAT-01: of a protected person there are reads for who sees him alone.
fn protected(desk: &Desk, auditor: &Pen) {
    let privy = acting(desk, &["ca-auditor", "confidentiality"]);
    let class = |class: &str| {
        let pen = acting(desk, &["management-administrator", "confidentiality"]);
        let body = json!({ "person": NUMBER, "class": class, "actor": FIRST });
        let answer = desk.call(&pen, Call::post("/v1/protected-persons", body.to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let before = reads(desk, auditor, &json!({}));
    class("confidentiality-marking");
    assert_eq!(reads(desk, auditor, &json!({})), json!({ "items": [] }));
    let seen = reads(desk, &privy, &json!({}));
    let items = |told: &Value| told["items"].as_array().expect("items").clone();
    assert_eq!(items(&seen)[1..], items(&before)[..], "one more: the one before");
    class("none");
    assert!(items(&reads(desk, auditor, &json!({}))).len() > items(&seen).len());
}

/// `sigill reads` as an operator runs it, in JSON and as a table.
fn at_a_terminal(world: &World) {
    let server = &world.organised().server;
    let orderer = order()["order"]["orderer"]["id"].clone();
    let orderer = orderer.as_str().expect("an id");
    let csr = base64(&requests::p256());
    let mut body = ordered(&csr, AUTHENTICATED, orderer, OTHER, "TST2321000016-RZWL");
    body["order"]["carrier"]["card_number"] = json!("9752269874512329981");
    let made = server.call(&Call::order(&body));
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.json["id"].as_str().expect("an id");
    assert_eq!(server.call(&Call::get(&format!("/v1/certificates/{id}"))).status, 200);
    let run = |more: &[&str]| {
        let said = cli(server, "auditor", &[&["reads", "--person", OTHER][..], more].concat());
        assert_eq!(said.code, 0, "{}", said.text);
        String::from_utf8_lossy(&said.out).into_owned()
    };

    let told: Value = run(&["--json"]).parse().expect("JSON");
    let table = run(&[]);

    let [one] = &told["items"].as_array().expect("items")[..] else { panic!("{told}") };
    assert_eq!((&one["operation"], &one["shown"]), (&json!("showCertificate"), &json!([id])));
    let lines: BTreeSet<&str> = table.lines().collect();
    assert!(lines.iter().any(|line| line.contains("showCertificate") && line.contains(id)));
    assert!(lines.iter().any(|line| line.contains("searchReads")), "{table}");
    server.settle();
}
