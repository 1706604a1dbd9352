//! Orders for persons' certificates: what the book admits is issued under the policy of its row, and
//! each rule that refuses says so by its code and its name.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::suite::Check;
use support::{spoken, workspace};
use x509::time::UnixTime;

use crate::World;
use crate::home::Home;
use crate::requests::{self, base64};
use crate::running::{Answer, Call};

pub const CHECKS: &[Check<World>] = &[
    ("an_order_is_issued_under_the_policy_of_its_row", admitted),
    ("each_rule_of_the_book_refuses_by_its_name", refused),
    ("a_call_without_an_order_has_a_policy_of_its_own", without),
    ("a_makers_statement_is_about_this_key_and_this_card", attested),
    ("the_facts_of_an_order_lie_sealed", sealed),
    ("the_keys_of_a_card_are_the_ordered_persons", one_key_of_a_card),
    ("an_eid_of_ours_that_holds_proves_its_holder", by_an_eid),
    ("what_an_order_binds_is_revoked_together", bound),
    ("an_eid_that_proves_too_little_is_refused_by_its_code", by_a_poor_eid),
];

/// The number of the card of [`order`].
const CARD: &str = "9752269874512325436";

/// The eID of a card, and whose it is in the checks by an eID.
pub const AUTHENTICATION: &str = "person-id-3-authentication";
const TOLVAN: &str = "191212121212";

/// The eID of a service identity.
pub const AUTHENTICATED: &str = "person-hsaid-3-authentication";

/// What no other check of this suite sends.
const APPROVER: &str = "approver-5531970";

/// An order by a visit to an administrator: the one that docs/operations/run.md explains.
pub fn order() -> Value {
    let page = workspace::root().join("docs/operations/run.md");
    let page = fs::read_to_string(page).expect("the page");
    let (_, section) = page.split_once("\n## Orders for persons\n").expect("the section");
    let (_, block) = section.split_once("```json\n").expect("an example");
    let (block, _) = block.split_once("```").expect("its end");
    let mut call = requests::person(&base64(&requests::p256()));
    call["order"] = serde_json::from_str(block).expect("JSON");
    call["order"]["approvals"][0]["by"] = json!(APPROVER);
    call
}

fn sent(world: &World, call: &Value) -> Answer {
    world.server.call(&Call::order(call))
}

/// What OpenSSL shows of an issued certificate.
fn shown(answer: &Answer) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pem = answer.json["certificate"].as_str().expect("a certificate");
    fs::write(folder.path().join("cer.pem"), pem).expect("a file");
    let arguments =
        ["x509", "-in", "cer.pem", "-noout", "-text", "-enddate", "-dateopt", "iso_8601"];
    spoken::openssl(folder.path(), &arguments).expect("openssl is installed").text
}

/// PRO-10: the policy is that of the row; ISS-09: the end is the order's.
fn admitted(world: &World) {
    let mut call = order();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let minute = (since_1970.as_secs() / 60 + 200 * 24 * 60) * 60;
    let end = UnixTime::from_secs(minute).expect("a time").to_string();
    call["order"]["valid_until"] = json!(end);

    let answer = sent(world, &call);

    assert_eq!(answer.status, 201, "{answer:?}");
    let text = shown(&answer);
    assert!(text.contains("Policy: 1.3.6.1.4.1.32473.1.3.1\n"), "{text}");
    assert!(text.contains(&format!("notAfter={}", end.replace('T', " "))), "{text}");
    world.server.settle();
}

/// A call without an order is for environment test, under a policy that no order leads to.
fn without(world: &World) {
    let answer = sent(world, &requests::person(&base64(&requests::p256())));

    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(shown(&answer).contains("Policy: 1.3.6.1.4.1.32473.1.9.1\n"), "{answer:?}");
    world.server.settle();
}

/// One refusal each of routine, lists, family, table and order, through the API.
fn refused(world: &World) {
    let with = |pointer: &str, value: Value| {
        let mut call = order();
        *call.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        call
    };
    let mut unholding = order();
    unholding["order"].as_object_mut().expect("an object").remove("holder");
    let mut unreceipted = order();
    unreceipted["order"].as_object_mut().expect("an object").remove("receipt");
    let mut of_function = requests::function_ec(&base64(&requests::p256()));
    of_function["order"] = order()["order"].clone();
    let mut telephone = with("/order/carrier/family", json!("telephone"));
    telephone["order"]["carrier"].as_object_mut().expect("an object").remove("card_number");
    let mut spaced = order();
    spaced["order"]["carrier"]["device"] = json!("no device");
    let cases = [
        (with("/order/routine", json!("parcel")), "order-unknown-name", "order/routine"),
        (with("/order/carrier/family", json!("wallet")), "order-unknown-name", "order/carrier"),
        (with("/order/proofing/at", json!("yesterday")), "order-malformed", "order/proofing"),
        (with("/order/orderer/role", json!("postman")), "order-malformed", "order/orderer"),
        (
            with("/order/orderer/role", json!("holder")),
            "routine-refused",
            "routine/office-visit/ordered-by",
        ),
        (
            with("/order/proofing/method", json!("own-siths-eid")),
            "routine-refused",
            "routine/office-visit/proofing",
        ),
        (
            with("/order/approvals/0/by", json!("administrator-1")),
            "routine-refused",
            "routine/office-visit/separate",
        ),
        (unholding, "routine-refused", "routine/office-visit/holder"),
        (unreceipted, "routine-refused", "routine/office-visit/receipt"),
        (with("/order/approvals", json!([])), "routine-refused", "routine/office-visit/approvals"),
        (telephone, "carrier-refused", "carrier/telephone/routine"),
        (
            with("/subject/personal_identity_number", json!("191003229802")),
            "order-differs",
            "order/identity",
        ),
        (with("/subject/organization", json!("Another")), "order-differs", "order/organisation"),
        (of_function, "order-not-taken", "order/profile"),
        (spaced, "order-malformed", "order/carrier/device"),
    ];
    for (call, code, rule) in cases {
        let answer = sent(world, &call);

        let found = (answer.status, &answer.json["code"], &answer.json["rule"]);
        assert_eq!(found, (422, &json!(code), &json!(rule)), "{answer:?}");
    }
    world.server.settle();
}

/// ISS-12: a key is the person's whom the order names: under the HSA-id and under the number, and nobody
/// else's, not even under the same HSA-id.
fn one_key_of_a_card(world: &World) {
    let csr = base64(&requests::p256());
    let of = |profile: &str, hsa_id: Option<&str>, number: &str| {
        let mut call = order();
        call["profile"] = json!(profile);
        call["csr"] = json!(csr);
        call["subject"] = json!({ "given_name": "Tolvan", "surname": "Tolvansson" });
        if let Some(hsa_id) = hsa_id {
            call["subject"]["hsa_id"] = json!(hsa_id);
            call["subject"]["organization"] = json!("Sigill Test");
        }
        call["order"]["identity"]["number"] = json!(number);
        call
    };
    let (employment, person) = ("person-hsaid-3-authentication", "person-id-3-authentication");
    let (hsa_id, number, another) = ("TST2321000016-7741", "191212121212", "191003229802");

    for call in [of(employment, Some(hsa_id), number), of(person, None, number)] {
        let answer = sent(world, &call);
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    for call in [
        of(person, None, another),
        of(employment, Some("TST2321000016-7742"), another),
        of(employment, Some(hsa_id), another),
    ] {
        let answer = sent(world, &call);
        let found = (answer.status, &answer.json["code"]);
        assert_eq!(found, (422, &json!("key-of-another")), "{answer:?}");
    }
    world.server.settle();
}

/// Adds a card family with a maker to the book: the public key that its file names is OpenSSL's.
pub fn add_maker(home: &Home) {
    let folder = home.path("");
    for name in ["maker.key", "forger.key"] {
        openssl(&folder, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name]);
    }
    openssl(
        &folder,
        &["ec", "-in", "maker.key", "-pubout", "-outform", "DER", "-out", "maker.spki"],
    );
    let said = openssl(&folder, &["dgst", "-sha256", "-r", "maker.spki"]);
    let hash = said.split_whitespace().next().expect("a hash");
    let family = fs::read_to_string(home.path("config/profiles/carriers/nls-card-2023.toml"))
        .expect("the family is readable")
        .replace("\"nls-card-2023\"", "\"attested-card\"")
        .replace("kind = \"none\"", &format!("kind = \"signed-statement\"\nkeys = [\"{hash}\"]"));
    fs::write(home.path("config/profiles/carriers/attested-card.toml"), family).expect("a file");
}

fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let said = spoken::openssl(folder, arguments).expect("openssl is installed");
    assert_eq!(said.code, 0, "openssl {arguments:?}: {}", said.text);
    said.text
}

/// What `key` of the home's folder says of the key in a request and a card, as OpenSSL signs it.
fn evidence(home: &Path, key: &str, csr: &[u8], card: &str) -> Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let key = home.join(key).display().to_string();
    fs::write(at("csr.der"), csr).expect("a file");
    let request =
        ["req", "-inform", "DER", "-in", "csr.der", "-noout", "-pubkey", "-out", "key.pem"];
    openssl(folder.path(), &request);
    let spki = ["ec", "-pubin", "-in", "key.pem", "-outform", "DER", "-out", "key.spki"];
    openssl(folder.path(), &spki);
    let spki = fs::read(at("key.spki")).expect("a key");
    let statement = [b"sigill-attestation/1", spki.as_slice(), card.as_bytes()].concat();
    fs::write(at("statement"), statement).expect("a file");
    openssl(folder.path(), &["dgst", "-sha256", "-sign", &key, "-out", "signature", "statement"]);
    openssl(
        folder.path(),
        &["ec", "-in", &key, "-pubout", "-outform", "DER", "-out", "maker.spki"],
    );
    let octets = |name: &str| base64(&fs::read(at(name)).expect("a file"));
    json!({ "key": octets("maker.spki"), "signature": octets("signature") })
}

/// ISS-10: a card family with a maker takes its statement about this key and this card, and nothing else.
fn attested(world: &World) {
    let (csr, other) = (requests::p256(), requests::p256());
    let home = world.server.home.path("");
    let with = |evidence: Option<Value>| {
        let mut call = order();
        call["csr"] = json!(base64(&csr));
        call["order"]["carrier"]["family"] = json!("attested-card");
        if let Some(evidence) = evidence {
            call["order"]["evidence"] = evidence;
        }
        sent(world, &call)
    };
    let mut altered = evidence(&home, "maker.key", &csr, CARD);
    altered["key"] = evidence(&home, "forger.key", &csr, CARD)["key"].clone();
    for (what, evidence) in [
        ("none", None),
        ("of another maker", Some(evidence(&home, "forger.key", &csr, CARD))),
        ("under another maker's key", Some(altered)),
        ("about another key", Some(evidence(&home, "maker.key", &other, CARD))),
        ("about another card", Some(evidence(&home, "maker.key", &csr, "9752269874512325444"))),
    ] {
        let answer = with(evidence);

        let found = (answer.status, &answer.json["code"], &answer.json["rule"]);
        let rule = json!("carrier/attested-card/attestation");
        assert_eq!(found, (422, &json!("carrier-refused"), &rule), "{what}: {answer:?}");
    }
    let answer = with(Some(evidence(&home, "maker.key", &csr, CARD)));
    assert_eq!(answer.status, 201, "{answer:?}");
    world.server.settle();
}

/// DAT-06: what the order says of people lies in no file in clear.
fn sealed(world: &World) {
    let answer = sent(world, &order());
    assert_eq!(answer.status, 201, "{answer:?}");
    world.server.settle();
    let folder = world.server.home.path("state");
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if !path.is_file() {
            continue;
        }
        let octets = fs::read(&path).expect("a file");
        let mut windows = octets.windows(APPROVER.len());
        assert!(windows.all(|window| window != APPROVER.as_bytes()), "{}", path.display());
    }
}

/// REV-02, REV-05: the certificates of one order's eID, and all on one card, are revoked by one call; a client of another organisation does not
/// see them; a revoked card takes no further certificate.
fn bound(world: &World) {
    const OTHER_CARD: &str = "9752269874512325444";
    let home = world.template.copy();
    // A role over an organisation that is not there covers nothing.
    let none = "organisations = [\"org_019f0000-0000-7000-8000-000000000001\"]";
    let may = format!("read = true\nrevoke = true\n{none}");
    home.edit_config("read = false\nrevoke = false", &may);
    let server = home.serve();
    let issue = |profile: &str, organisation: &str| {
        let mut call = order();
        call["profile"] = json!(profile);
        call["csr"] = json!(base64(&requests::p256()));
        call["subject"] = json!({ "given_name": "Tolvan", "surname": "Tolvansson" });
        call["order"]["carrier"]["card_number"] = json!(OTHER_CARD);
        call["order"]["organisations"]["user"]["number"] = json!(organisation);
        server.call(&Call::order(&call))
    };
    let first = issue(AUTHENTICATION, "2321000131");
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(issue("person-id-3-signature", "2321000131").status, 201);
    assert_eq!(issue(AUTHENTICATION, "5565594230").status, 201);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let find = || {
        let asked = json!({ "card_number": OTHER_CARD }).to_string();
        Call::post("/v1/carriers/lookup", asked).headers(&[])
    };
    let card = server.call(&find());
    assert_eq!((card.status, &card.json["stage"]), (200, &json!("activating")), "{card:?}");
    let eids = card.json["eids"].as_array().expect("eIDs").clone();
    let counts: Vec<usize> =
        eids.iter().map(|eid| eid["certificates"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(counts, [2, 1], "{card:?}");
    let named = format!("/v1/eids?certificate={}", text(&first.json["id"]));
    let listed = server.call(&Call::get(&named));
    assert_eq!(listed.json["items"][0]["id"], eids[0]["id"], "{listed:?}");

    // Another organisation's client hears what it hears of nothing.
    let (eid, card) = (text(&eids[0]["id"]), text(&card.json["id"]));
    let nothing = "00000000-0000-7000-8000-000000000000";
    let revoke =
        |path: &str, body: Value| Call::post(&format!("{path}/revocation"), body.to_string());
    let said = |answer: &Answer| {
        let of = |field: &str| answer.json[field].clone();
        (answer.status, of("code"), of("rule"), of("seen"), of("limit"), of("next"), of("detail"))
    };
    let pairs = [
        (Call::get(&format!("/v1/eids/{eid}")), Call::get(&format!("/v1/eids/eid_{nothing}"))),
        (
            Call::get(&format!("/v1/carriers/{card}")),
            Call::get(&format!("/v1/carriers/car_{nothing}")),
        ),
        (
            revoke(&format!("/v1/eids/{eid}"), json!({ "event": "not-wanted" })),
            revoke(&format!("/v1/eids/eid_{nothing}"), json!({ "event": "not-wanted" })),
        ),
        (
            revoke(&format!("/v1/carriers/{card}"), json!({ "event": "stolen" })),
            revoke(&format!("/v1/carriers/car_{nothing}"), json!({ "event": "stolen" })),
        ),
    ];
    for (theirs, none) in pairs {
        let (theirs, none) =
            (server.call(&theirs.by("reckless")), server.call(&none.by("reckless")));
        assert_eq!(theirs.status, 404, "{theirs:?}");
        assert_eq!(said(&theirs), said(&none));
    }
    assert_eq!(server.call(&find().by("reckless")).code(), "carrier-not-known");
    let unlimited = server.call(&Call::get("/v1/eids").by("reckless"));
    assert_eq!((unlimited.status, unlimited.code()), (422, "query-malformed"));

    // One eID, and what its event asks for beyond it.
    let wrong =
        server.call(&revoke(&format!("/v1/carriers/{card}"), json!({ "event": "name-changed" })));
    assert_eq!((wrong.status, wrong.code()), (422, "event-reaches-less"), "{wrong:?}");
    let other = server
        .call(&revoke(&format!("/v1/carriers/{card}"), json!({ "event": "employment-ended" })));
    assert_eq!((other.status, other.code()), (422, "event-of-one-organisation"), "{other:?}");
    let silent = server.call(&revoke(&format!("/v1/eids/{eid}"), json!({})));
    assert_eq!((silent.status, silent.code()), (400, "reason-missing"), "{silent:?}");
    let held = server.call(&revoke(&format!("/v1/eids/{eid}"), json!({ "event": "mislaid" })));
    assert_eq!((held.status, &held.json["stage"]), (200, &json!("held")), "{held:?}");
    assert_eq!(held.json["reach"], json!("carrier"));
    let call = revoke(&format!("/v1/eids/{eid}"), json!({ "event": "name-changed" }));
    let revoked = server.call(&call);
    assert_eq!((revoked.status, &revoked.json["stage"]), (200, &json!("revoked")), "{revoked:?}");
    assert_eq!(revoked.json["reach"], Value::Null);
    for one in revoked.json["certificates"].as_array().expect("certificates") {
        let found = (&one["outcome"], &one["reason"]);
        assert_eq!(found, (&json!("changed"), &json!("affiliationChanged")), "{one}");
    }
    assert_eq!(server.call(&call).json, revoked.json, "the same key, the same answer");

    // The card, with the eID of the other organisation, and nothing after it.
    let stolen =
        server.call(&revoke(&format!("/v1/carriers/{card}"), json!({ "event": "stolen" })));
    assert_eq!((stolen.status, &stolen.json["stage_sv"]), (200, &json!("Spärrad")), "{stolen:?}");
    for eid in stolen.json["eids"].as_array().expect("eIDs") {
        assert_eq!(eid["stage"], json!("revoked"), "{eid}");
        for one in eid["certificates"].as_array().expect("certificates") {
            assert_eq!(one["reason"], json!("keyCompromise"), "{one}");
        }
    }
    let late = issue(AUTHENTICATION, "5565594230");
    assert_eq!((late.status, late.code()), (409, "carrier-revoked"), "{late:?}");
    late.must_be_whole();
}

/// The eID on his card of the person with this number, issued by an order; the body of the answer.
fn eid_of(world: &World, profile: &str, number: &str) -> Value {
    let mut call = order();
    call["profile"] = json!(profile);
    call["csr"] = json!(base64(&requests::p256()));
    call["subject"] = json!({ "given_name": "Tolvan", "surname": "Tolvansson" });
    call["order"]["identity"]["number"] = json!(number);
    let answer = sent(world, &call);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json
}

/// An order of Mobilt SITHS for Tolvan, who proves himself by the eID of this name now.
fn mobile(named: &Value) -> Value {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    mobile_at(named, &UnixTime::from_secs(since_1970.as_secs()).expect("a time").to_string())
}

/// The same, proven at this time.
fn mobile_at(named: &Value, proven: &str) -> Value {
    let mut call = order();
    call["profile"] = json!("mobile-authentication");
    call["csr"] = json!(base64(&requests::p256()));
    call["subject"] = json!({ "given_name": "Tolvan", "surname": "Tolvansson" });
    let order = call["order"].as_object_mut().expect("an object");
    order.remove("approvals");
    order.remove("receipt");
    order.insert("routine".to_owned(), json!("mobile-self-service"));
    order.insert("orderer".to_owned(), json!({ "role": "holder", "id": "holder-7" }));
    order.insert("holder".to_owned(), json!("holder-7"));
    order.insert("carrier".to_owned(), json!({ "family": "telephone" }));
    order["proofing"]["method"] = json!("own-siths-eid");
    order["proofing"]["at"] = json!(proven);
    order["proofing"]["eid"] = named.clone();
    call
}

/// An eID by its certificate.
fn by_certificate(eid: &Value) -> Value {
    json!({ "certificate": eid["certificate"] })
}

/// ISS-20: an eID on a card leads to one in a telephone, under the policy of Mobilt SITHS, however it is named.
fn by_an_eid(world: &World) {
    let eid = eid_of(world, AUTHENTICATION, TOLVAN);
    let by_serial = json!({ "authority": eid["authority"], "serial": eid["serial"] });

    for named in [by_certificate(&eid), by_serial] {
        let answer = sent(world, &mobile(&named));

        assert_eq!(answer.status, 201, "{answer:?}");
        let text = shown(&answer);
        assert!(text.contains("Policy: 1.2.752.74.8.512\n"), "{text}");
        assert!(text.contains("serialNumber = 191212121212"), "{text}");
    }
    world.server.settle();
}

/// ISS-20: held, revoked, another person's, for signatures, of a telephone, unknown, not named: each by its own code,
/// and nothing is issued.
fn by_a_poor_eid(world: &World) {
    let eid = eid_of(world, AUTHENTICATION, TOLVAN);
    let refused = |named: &Value, code: &str| {
        let answer = sent(world, &mobile(named));
        assert_eq!((answer.status, &answer.json["code"]), (422, &json!(code)), "{answer:?}");
        for part in ["rule", "seen", "limit", "next"] {
            assert!(answer.json[part].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
        }
    };
    let change = |eid: &Value, reason: &str| {
        let id = eid["id"].as_str().expect("an id");
        let answer = world.server.call(&Call::revocation(id, &json!({ "reason": reason })));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let telephone = sent(world, &mobile(&by_certificate(&eid))).json;

    refused(&Value::Null, "eid-missing");
    refused(&json!({ "authority": eid["authority"], "serial": "7A01" }), "eid-unknown");
    refused(&json!({ "authority": "nobody", "serial": eid["serial"] }), "eid-unknown");
    refused(&json!({ "authority": eid["authority"] }), "order-malformed");
    let signature = eid_of(world, "person-id-3-signature", TOLVAN);
    refused(&by_certificate(&signature), "eid-kind");
    let another = eid_of(world, AUTHENTICATION, "191003229802");
    refused(&by_certificate(&another), "eid-of-another");
    refused(&by_certificate(&telephone), "eid-carrier");
    let early = eid["not_before"].as_str().expect("a time");
    let answer = sent(world, &mobile_at(&by_certificate(&eid), early));
    let found = (answer.status, &answer.json["code"], &answer.json["rule"]);
    assert_eq!(found, (422, &json!("eid-not-begun"), &json!("eid/state")), "{answer:?}");
    let mut somebody = mobile(&by_certificate(&eid));
    somebody["order"]["orderer"]["id"] = json!("administrator-1");
    let answer = sent(world, &somebody);
    assert_eq!(
        (answer.status, &answer.json["code"]),
        (422, &json!("routine-refused")),
        "{answer:?}"
    );
    change(&eid, "certificateHold");
    refused(&by_certificate(&eid), "eid-held");
    change(&eid, "keyCompromise");
    refused(&by_certificate(&eid), "eid-revoked");
    world.server.settle();
}
