//! Orders for eIDs in several steps, against a server that takes no client's word: each step is signed for by who takes it (ISS-14, ISS-15, API-02).
//!
//! The card is OpenSSL: it makes the requests, and signs the holder's receipt as docs/formats/holder-receipt.md says.

use std::fs;
use std::process::Command;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::suite::Check;
use support::{program, spoken};

use crate::World;
use crate::home::CONFIG;
use crate::ordered::{AUTHENTICATED, order};
use crate::requests::{self, base64};
use crate::running::{Answer, Call};
use crate::signed::{Desk, P256, Pen, hexadecimal, key, refused};
use crate::stepwise::now;

pub const CHECKS: &[Check<World>] = &[
    ("an_eid_is_made_step_by_step_by_several_who_signed", made),
    ("an_order_that_is_taken_back_revokes_what_was_issued", taken_back),
];

const SIGNATURE: &str = "person-hsaid-3-signature";
/// Whose eID it is to be.
const HOLDER: &str = "TST2321000016-1009";
const TOLVANSSON: &str = "191003229802";
/// How long a server may take to come to a point.
const LIMIT: Duration = Duration::from_secs(120);

/// A card with two keys.
struct Card {
    authentication: (String, String, Vec<u8>),
    signature: (String, String, Vec<u8>),
}

impl Card {
    fn new() -> Self {
        Self { authentication: key(P256), signature: key(P256) }
    }

    /// DER of the subject public key info of its key for authentication.
    fn spki(&self) -> Vec<u8> {
        let pem = &self.authentication.1;
        let text: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
        let mut command = Command::new("openssl");
        command.args(["base64", "-d", "-A"]);
        spoken::run(&mut command, text.as_bytes()).out
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("key.pem"), &self.authentication.0).expect("a file");
        let mut command = Command::new("openssl");
        command.args(["dgst", "-sha256", "-sign", "key.pem"]).current_dir(&folder);
        spoken::run(&mut command, text.as_bytes()).out
    }

    fn requests(&self) -> Value {
        json!([
            { "profile": AUTHENTICATED, "csr": base64(&self.authentication.2) },
            { "profile": SIGNATURE, "csr": base64(&self.signature.2) },
        ])
    }
}

/// Somebody whom the identity provider knows.
fn pen(desk: &Desk, hsa_id: &str) -> Pen {
    desk.provider.claiming("sub", json!(hsa_id))
}

fn prepared() -> Value {
    let call = order();
    let mut subject = call["subject"].clone();
    subject["hsa_id"] = json!(HOLDER);
    subject.as_object_mut().expect("an object").remove("personal_identity_number");
    let of = &call["order"];
    json!({
        "routine": "office-visit",
        "role": "id-administrator",
        "holder": "holder-9",
        "identity": { "kind": "personnummer", "number": TOLVANSSON },
        "carrier": of["carrier"],
        "organisations": of["organisations"],
        "profiles": [AUTHENTICATED, SIGNATURE],
        "subject": subject,
    })
}

fn evidence(method: &str) -> Value {
    json!({ "method": method, "at": now(), "place": "kontor-17" })
}

fn step(id: &str, step: &str, body: &Value) -> Call {
    Call::post(&format!("/v1/orders/{id}/{step}"), body.to_string())
}

/// So many leaves of an event come to the audit log, and no more.
fn audited(desk: &Desk, event: &str, expected: usize) {
    let since = Instant::now();
    let mut found = desk.server.home.audited(event).len();
    while found < expected && since.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(100));
        found = desk.server.home.audited(event).len();
    }
    assert_eq!(found, expected, "{event}");
}

fn stands(answer: &Answer, status: u16, stage: &str) {
    let found = (answer.status, answer.json["stage"].as_str().unwrap_or_default());
    assert_eq!(found, (status, stage), "{answer:?}");
}

/// Brings an order so far that it is approved; its id.
fn approved(desk: &Desk, orders: &Pen, approves: &Pen) -> String {
    let answer = desk.call(orders, Call::post("/v1/orders", prepared().to_string()));
    stands(&answer, 201, "ordered");
    let id = answer.json["id"].as_str().expect("an id").to_owned();
    stands(
        &desk.call(orders, step(&id, "evidence", &evidence("swedish-passport"))),
        200,
        "identified",
    );
    stands(&desk.call(approves, step(&id, "approvals", &json!({}))), 200, "approved");
    id
}

fn receipt(id: &str, card: &Card, terms: &str) -> Value {
    let spki = card.spki();
    let text = format!(
        "sigill-holder-receipt/1\norder {id}\ncard 9752269874512325436\nkey {}\nserials -\nterms 2026-1\naddition -\n",
        hexadecimal(&Sha256::digest(&spki)),
    );
    let signature = card.sign(&text);
    json!({
        "form": "electronic",
        "terms": terms,
        "key": base64(&spki),
        "signature": base64(&signature),
    })
}

/// Its position is that of the last of its certificates.
fn stands_in_the_log(order: &Value) {
    let mut certificates = order["certificates"].as_array().expect("certificates").iter();
    assert!(order["position"].is_string(), "{order}");
    assert!(certificates.any(|one| one["position"] == order["position"]), "{order}");
}

/// From the order to the activation, with each thing that somebody may not do on the way, and a kill between two certificates.
fn made(world: &World) {
    let mut desk = Desk::open(world);
    let (first, second) = (pen(&desk, "TST2321000016-1001"), pen(&desk, "TST2321000016-1005"));
    let (own, card) = (pen(&desk, HOLDER), Card::new());
    let before = desk.server.home.rows("certificate");

    // What could never be issued is not begun; a holder orders in one call.
    for (pointer, value, code) in [
        ("/routine", json!("parcel"), "order-unknown-name"),
        ("/role", json!("holder"), "order-in-one-call"),
        ("/role", json!("reserve-card-administrator-2"), "routine-refused"),
        ("/identity/number", json!("191003229801"), "identity-malformed"),
        ("/profiles", json!([]), "order-malformed"),
        ("/profiles", json!([SIGNATURE, SIGNATURE]), "order-malformed"),
        ("/carrier/family", json!("telephone"), "carrier-refused"),
    ] {
        let mut body = prepared();
        *body.pointer_mut(pointer).expect("a field") = value;
        let answer = desk.call(&first, Call::post("/v1/orders", body.to_string()));
        if code == "identity-malformed" {
            assert_eq!(answer.status, 422, "{answer:?}");
        } else {
            refused(&answer, 422, code);
        }
    }
    let foreign = json!({ "by": "TST2321000016-1005" });
    let mut body = prepared();
    body["by"] = foreign["by"].clone();
    let answer = desk.call(&first, Call::post("/v1/orders", body.to_string()));
    refused(&answer, 403, "order-by-another");
    let answer = desk.call(&own, Call::post("/v1/orders", prepared().to_string()));
    refused(&answer, 403, "order-own-eid");

    // Made once, however often the call comes.
    let call = desk.signed(&first, Call::post("/v1/orders", prepared().to_string()));
    let answer = desk.server.call(&call);
    stands(&answer, 201, "ordered");
    assert_eq!(desk.server.call(&call).json, answer.json);
    let id = answer.json["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer.json["due"]["term"], "unused", "{answer:?}");
    refused(
        &desk.server.call(&Call::get(&format!("/v1/orders/{id}"))),
        401,
        "actor-statement-required",
    );

    // Evidence by the closed list of the day, and by the routine's part of it.
    let say =
        |desk: &Desk, pen: &Pen, name: &str, body: &Value| desk.call(pen, step(&id, name, body));
    refused(
        &say(&desk, &first, "issuance", &json!({ "requests": card.requests() })),
        409,
        "order-stage",
    );
    refused(&say(&desk, &first, "evidence", &evidence("library-card")), 422, "order-unknown-name");
    refused(&say(&desk, &first, "evidence", &evidence("foreign-passport")), 422, "routine-refused");
    let mut later = evidence("swedish-passport");
    later["at"] = json!("2031-01-01T00:00:00Z");
    refused(&say(&desk, &first, "evidence", &later), 422, "order-time-ahead");
    let answer = say(&desk, &first, "evidence", &evidence("swedish-passport"));
    stands(&answer, 200, "identified");
    assert_eq!(answer.json["due"]["term"], "activation", "{answer:?}");

    // Duties and roles.
    refused(&say(&desk, &first, "approvals", &json!({})), 403, "order-duties");
    refused(&say(&desk, &own, "approvals", &json!({})), 403, "order-own-eid");
    let revoker = second.claiming("roles", json!(["global-revoker"]));
    refused(&say(&desk, &revoker, "approvals", &json!({})), 403, "actor-role-refused");
    stands(&say(&desk, &second, "approvals", &json!({})), 200, "approved");
    refused(&say(&desk, &second, "approvals", &json!({})), 409, "order-stage");

    // The receipt is this card's, about this order and these terms; the certificate is this key's.
    let good = receipt(&id, &card, "2026-1");
    refused(
        &say(&desk, &second, "receipt", &receipt(&id, &card, "2025-9")),
        422,
        "receipt-signature",
    );
    let another = Card::new();
    let mut mixed = good.clone();
    mixed["key"] = json!(base64(&another.spki()));
    refused(&say(&desk, &second, "receipt", &mixed), 422, "receipt-signature");
    let posted = json!({ "form": "registered-post", "terms": "2026-1", "sha256": "ab".repeat(32) });
    refused(&say(&desk, &second, "receipt", &posted), 422, "routine-refused");
    stands(&say(&desk, &second, "receipt", &good), 200, "receipted");
    let mut requests = another.requests();
    refused(
        &say(&desk, &second, "issuance", &json!({ "requests": requests })),
        422,
        "receipt-key-differs",
    );
    requests = card.requests();
    let half = json!({ "requests": [requests[0]] });
    refused(&say(&desk, &second, "issuance", &half), 422, "order-malformed");
    requests[1]["csr"] = json!(base64(&requests::wrongly_signed()));
    let answer = say(&desk, &second, "issuance", &json!({ "requests": requests }));
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(desk.server.home.rows("certificate"), before, "all or nothing");

    // Killed between two certificates: the same call goes on, and there are two.
    let answer = killed_in_the_middle(&mut desk, &second, &id, &card);
    stands(&answer, 201, "issued");
    // API-02: where a repeated call waits for it, too.
    stands_in_the_log(&answer.json);
    let issued: Vec<String> = answer.json["certificates"]
        .as_array()
        .expect("certificates")
        .iter()
        .map(|one| one["id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!((issued.len(), desk.server.home.rows("certificate")), (2, before + 2));

    // Handed over, taken into use; nothing follows.
    refused(&say(&desk, &second, "activation", &json!({})), 409, "order-stage");
    stands(&say(&desk, &second, "delivery", &json!({})), 200, "delivered");
    let answer = say(&desk, &second, "activation", &json!({}));
    stands(&answer, 200, "completed");
    stands_in_the_log(&answer.json);
    for one in answer.json["certificates"].as_array().expect("certificates") {
        assert_eq!(one["state"], "activated", "{one}");
    }
    refused(&say(&desk, &second, "cancellation", &json!({})), 409, "order-stage");

    // Who did what stands in its history, and the receipt is shown as it was given.
    let shown = desk.call(&first, Call::get(&format!("/v1/orders/{id}")));
    let acts: Vec<_> = shown.json["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|one| (one["act"].as_str().expect("an act"), one["by"].as_str().expect("an id")))
        .collect();
    let (one, two) = ("TST2321000016-1001", "TST2321000016-1005");
    assert_eq!(
        acts,
        [
            ("order", one),
            ("identify", one),
            ("approve", two),
            ("take-receipt", two),
            ("issue", two),
            ("deliver", two),
            ("activate", two)
        ]
    );
    assert_eq!(shown.json["receipt"]["signature"], good["signature"], "{shown:?}");
    assert!(shown.json["due"].is_null(), "{shown:?}");
    let unknown = "/v1/orders/ord_00000000-0000-7000-8000-000000000000";
    refused(&desk.call(&first, Call::get(unknown)), 404, "order-not-known");
    let listed = desk.call(&first, Call::get("/v1/orders?due_before=2099-01-01T00:00:00Z"));
    assert_eq!(listed.json["items"], json!([]), "{listed:?}");
    by_the_command_line(&desk);
    audited(&desk, "certificate.activated", 1);
    audited(&desk, "order.step", 5);
}

/// Has the order issued by a server that is killed when its first certificate is recorded, and once more by the same call after a restart.
fn killed_in_the_middle(desk: &mut Desk, pen: &Pen, id: &str, card: &Card) -> Answer {
    let home = Rc::clone(&desk.server.home);
    let (config, mark) = (home.config(), home.beside("mark"));
    let danger = format!(
        "{config}\n[danger-test]\npause-at = \"issued-released\"\npause-ms = 60000\nmark = \"{}\"\n",
        mark.display()
    );
    home.write(CONFIG, danger);
    desk.restart();
    let call = desk.signed(pen, step(id, "issuance", &json!({ "requests": card.requests() })));
    let mut begun = desk.server.begin(&call);
    let since = Instant::now();
    while !fs::read_to_string(&mark).is_ok_and(|text| text.len() == 40) {
        assert!(since.elapsed() < LIMIT, "no certificate came to the mark");
        thread::sleep(Duration::from_millis(50));
    }
    desk.server.kill();
    begun.wait().expect("curl ends");
    home.write(CONFIG, config);
    desk.restart();
    let answer = desk.server.call(&call);
    assert_eq!(desk.server.call(&call).json, answer.json, "and once more");
    answer
}

/// `sigill order` shows the history, lists what is due, and makes an order that nobody signed for in vain.
fn by_the_command_line(desk: &Desk) {
    let home = &desk.server.home;
    let file = home.beside("order.json");
    fs::write(&file, prepared().to_string()).expect("a file");
    let mut command = Command::new(program::built("sigill"));
    command.args(["--json", "--url", &format!("https://{}", home.api)]);
    for (option, name) in
        [("--cert", "portal.pem"), ("--key", "portal.key"), ("--ca", "management-ca.pem")]
    {
        command.arg(option).arg(home.path(&format!("tls/{name}")));
    }
    let said = spoken::run(command.args(["order", "prepare"]).arg(&file), &[]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("actor-statement-required"), "{}", said.text);
}

/// ISS-14: what was issued for an order that is taken back is revoked in the act that takes it back; on paper the receipt is a hash.
fn taken_back(world: &World) {
    let desk = Desk::open(world);
    let (first, second) = (pen(&desk, "TST2321000016-1001"), pen(&desk, "TST2321000016-1005"));
    let id = approved(&desk, &first, &second);
    let paper = json!({ "form": "on-paper", "terms": "2026-1", "addition": "VGR 3", "sha256": "ab".repeat(32) });
    let mut bare = paper.clone();
    bare.as_object_mut().expect("an object").remove("sha256");
    refused(&desk.call(&second, step(&id, "receipt", &bare)), 422, "order-malformed");
    stands(&desk.call(&second, step(&id, "receipt", &paper)), 200, "receipted");
    let card = Card::new();
    let body = json!({ "requests": card.requests() });
    let answer = desk.call(&second, step(&id, "issuance", &body));
    stands(&answer, 201, "issued");

    let answer = desk.call(&first, step(&id, "cancellation", &json!({})));

    stands(&answer, 200, "cancelled");
    for one in answer.json["certificates"].as_array().expect("certificates") {
        assert_eq!(
            (&one["state"], &one["reason"]),
            (&json!("revoked"), &json!("cessationOfOperation"))
        );
    }
    refused(&desk.call(&second, step(&id, "delivery", &json!({}))), 409, "order-stage");
    // Taken back before anything was issued, it yields nothing more.
    let id = approved(&desk, &first, &second);
    stands(&desk.call(&first, step(&id, "cancellation", &json!({}))), 200, "cancelled");
    refused(&desk.call(&second, step(&id, "issuance", &body)), 409, "order-stage");
    audited(&desk, "order.closed", 1);
}
