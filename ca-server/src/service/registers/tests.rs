//! ISS-04, ISS-18, DAT-01: no certificate by an order that a register does not agree with, in one call and in steps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ca::audit::EventCode;
use ca::deployment::Deployment;
use ca::key_holder::HolderName;
use ca::operation::Operation;
use ca::revocation::Revoker;
use ca::role::{ActsAs, Role};
use serde_json::{Value, json};
use x509::time::UnixTime;

use super::*;
use crate::registers::tests::{files, hanging, put_of};
use crate::service::actor::Acting;
use crate::service::actor::tests::who_has_signed;
use crate::service::order::{Act, Answered, OrderAnswered, OrderWork, Replies};
use crate::service::reads::ReadCall;
use crate::service::testing::{Key, Words, World};

const PROFILE: &str = "person-hsaid-3-authentication";
const HSA_ID: &str = "TST2321000016-1002";
const NUMBER: &str = "191212121212";
const ADMINISTRATOR: &str = "TSTNMT2321000156-1001";

/// A CA that issues to persons, with both registers in files.
struct Office {
    world: World,
    employment: PathBuf,
    person: PathBuf,
}

impl Office {
    fn new() -> Self {
        let mut world = World::new();
        world.issues("person-hsaid-3", &[PROFILE, "ocsp"]);
        let (employment, person) = (world.folder("employment.jsonl"), world.folder("person.jsonl"));
        world.service.registers = files(&employment, &person);
        let office = Self { world, employment, person };
        office.say(&json!({}));
        office
    }

    /// What the registers say from now on: the holder as he is, but for `changes` of the catalogue's record.
    fn say(&self, changes: &Value) {
        self.say_as_of(self.world.now(), changes);
    }

    fn say_as_of(&self, as_of: UnixTime, changes: &Value) {
        let mut record = json!({
            "key": HSA_ID,
            "answer": "found",
            "protection": "none",
            "attributes": {
                "personal-identity-number": [NUMBER],
                "given-name": ["Tolvan"],
                "surname": ["Tolvansson"],
                "organisation-number": ["232100-0131"],
            },
        });
        for (place, value) in changes.as_object().unwrap() {
            let (of, member) = place.rsplit_once('/').unwrap();
            let of = record.pointer_mut(of).unwrap().as_object_mut().unwrap();
            match value {
                Value::Null => _ = of.remove(member),
                value => _ = of.insert(member.to_owned(), value.clone()),
            }
        }
        put_of("employment", &self.employment, as_of, &[record]);
        put_of("person", &self.person, self.world.now(), &[citizen("Tolvansson")]);
    }

    fn order(&self) -> Value {
        let now = self.world.now().to_string();
        let csr = Key::new().request();
        json!({
            "profile": PROFILE,
            "csr": x509::pem::encode(x509::pem::Label::CertificateRequest, &csr),
            "subject": {
                "given_name": "Tolvan",
                "surname": "Tolvansson",
                "hsa_id": HSA_ID,
                "organization": "Sigill Test",
            },
            "order": {
                "routine": "office-visit",
                "orderer": { "role": "id-administrator", "id": ADMINISTRATOR },
                "holder": "holder-7",
                "identity": { "kind": "personnummer", "number": NUMBER },
                "proofing": { "method": "swedish-passport", "at": now, "by": ADMINISTRATOR },
                "carrier": { "family": "nls-card-2023", "card_number": "9752269874512325436" },
                "organisations": { "user": { "name": "Sigill Test", "number": "2321000131" } },
                "approvals": [{ "by": "administrator-2", "at": now }],
                "receipt": { "form": "electronic", "sha256": "ab".repeat(32), "at": now },
            },
        })
    }

    fn caller(&self, acting: Option<Arc<Acting>>) -> Caller {
        Caller { profiles: vec![PROFILE.to_owned()].into(), acting, ..self.world.caller() }
    }

    /// Who orders ordinary cards, with protected persons or without.
    fn administrator(&self, number: u8, protected: Protected) -> Caller {
        let signed = who_has_signed(&self.world, ADMINISTRATOR, number);
        let acts = ActsAs::Administrator(Role::IdAdministrator, protected);
        self.caller(Some(Arc::new(Acting { acts, ..(*signed).clone() })))
    }

    fn send(&self, caller: &Caller, key: &str, order: &Value) -> Result<OrderAnswered, Denied> {
        let call = self.world.call("/v1/certificates", key, order);
        let words: Arc<dyn Replies> = Arc::new(Words);
        self.world.service.issue_under_key(caller, &call, &words)
    }

    /// What an order in one call comes to: a certificate, or a refusal.
    fn ordered(&self, key: &str) -> Result<(), Denied> {
        let answered = self.send(&self.caller(None), key, &self.order())?;
        assert_eq!(answered.response.content_type, "done", "{answered:?}");
        Ok(())
    }

    fn refused(&self, key: &str) -> Denied {
        let before = self.certificates();
        let denied = self.ordered(key).unwrap_err();
        assert_eq!(self.certificates(), before, "nothing is issued");
        assert!(!denied.is_final(), "the same call is free when the register says otherwise");
        let text = denied.to_string();
        assert!(
            !text.contains("Elvan") && !text.contains(NUMBER) && !text.contains(HSA_ID),
            "{text}"
        );
        denied
    }

    fn certificates(&self) -> usize {
        self.world.leaves(EventCode::CertificateIssued)
    }
}

/// What the personal-data service says of the holder.
fn citizen(surname: &str) -> Value {
    json!({
        "key": NUMBER,
        "answer": "found",
        "protection": "none",
        "attributes": {
            "personal-identity-number": [NUMBER], "given-name": ["Tolvan"], "surname": [surname],
        },
    })
}

#[test]
fn what_the_registers_said_stands_in_the_record_of_the_certificate() {
    let office = Office::new();

    office.ordered("one").unwrap();

    let payload = office.world.last_payload(EventCode::CertificateIntent);
    let said = payload["registers"].as_array().unwrap();
    let (employment, person) = (&said[0], &said[1]);
    assert_eq!(employment["register"], "employment");
    assert_eq!(employment["source"], "employment-file");
    assert_eq!(employment["sha256"].as_str().unwrap().len(), 64);
    let agreed = json!(["identity", "given-name", "surname", "organisation-number"]);
    assert_eq!((&employment["agreed"], &employment["withheld"]), (&agreed, &json!(false)));
    assert_eq!(person["agreed"], json!(["identity", "given-name", "surname"]));
    let as_of = employment["as_of"].as_str().unwrap();
    assert!(as_of.ends_with('Z') && as_of.len() == 20, "{as_of}");
    let text = payload["registers"].to_string();
    assert!(!text.contains("Tolvan") && !text.contains(NUMBER), "{text}");
}

/// What is not so any more when the certificate is made is not certified, whatever the order says (ISS-04).
#[test]
fn each_thing_that_a_register_says_otherwise_stops_the_certificate() {
    let office = Office::new();
    let cases = [
        (json!({ "/attributes/surname": ["Elvansson"] }), "register-mismatch", "surname"),
        (json!({ "/attributes/given-name": ["Elvan"] }), "register-mismatch", "given-name"),
        (
            json!({ "/attributes/personal-identity-number": ["191003229802"] }),
            "register-mismatch",
            "identity",
        ),
        (
            json!({ "/attributes/organisation-number": ["2321000016"] }),
            "register-mismatch",
            "organisation-number",
        ),
        (json!({ "/attributes/surname": null }), "register-mismatch", "surname"),
        (json!({ "/key": "TST2321000016-1003" }), "register-missing", "nobody"),
        (json!({ "/answer": "ended", "/attributes": null }), "register-ended", "ended"),
        (json!({ "/protection": null }), "register-malformed", "no answer"),
    ];
    for (number, (changes, code, seen)) in cases.into_iter().enumerate() {
        office.say(&changes);
        let denied = office.refused(&format!("case {number}"));
        assert_eq!(denied.refusal.code, code, "{changes}");
        assert!(denied.refusal.seen.contains(seen), "{denied}");
        assert!(
            denied.refusal.rule.contains("routine/office-visit/registers/employment"),
            "{denied}"
        );
    }

    // The same call is answered with a certificate when it is so again.
    let order = office.order();
    office.say(&json!({ "/attributes/surname": ["Elvansson"] }));
    assert!(office.send(&office.caller(None), "again", &order).is_err());
    office.say(&json!({}));
    let answered = office.send(&office.caller(None), "again", &order).unwrap();
    assert_eq!((answered.response.content_type.as_str(), answered.replayed), ("done", false));
    // What is done is answered without asking anybody.
    std::fs::remove_file(&office.employment).unwrap();
    assert!(office.send(&office.caller(None), "again", &order).unwrap().replayed);
}

#[test]
fn either_register_can_stop_it() {
    let office = Office::new();
    put_of("person", &office.person, office.world.now(), &[citizen("Elvansson")]);

    let denied = office.refused("one");

    assert_eq!(denied.refusal.code, "register-mismatch");
    assert!(denied.refusal.rule.contains("registers/person"), "{denied}");
}

#[test]
fn old_data_stop_issuing_until_they_are_new() {
    let office = Office::new();
    let earlier = |seconds| office.world.now().saturating_sub(Duration::from_secs(seconds));
    office.say_as_of(earlier(86_400 + 60), &json!({}));

    let denied = office.refused("one");
    assert_eq!((denied.refusal.code, denied.kind), ("register-stale", Kind::Unavailable));
    assert_eq!(denied.retry_after, Some(Duration::from_secs(60)));

    office.say_as_of(earlier(86_400 - 600), &json!({}));
    office.ordered("two").unwrap();
    office
        .say_as_of(office.world.now().checked_add(Duration::from_secs(3_600)).unwrap(), &json!({}));
    assert_eq!(office.refused("three").refusal.code, "register-malformed", "of tomorrow");
}

/// A register that is gone or hangs stops what demands it with a time to come back, and nothing else.
#[test]
fn a_register_that_is_gone_stops_who_must_ask_it_and_nobody_else() {
    let mut office = Office::new();
    std::fs::remove_file(&office.employment).unwrap();
    let denied = office.refused("one");
    assert_eq!((denied.refusal.code, denied.kind), ("register-unavailable", Kind::Unavailable));
    assert_eq!(denied.retry_after, Some(COME_BACK));
    office.say(&json!({}));
    office.ordered("two").unwrap();

    let (registers, release) = hanging(Duration::from_millis(50));
    office.world.service.registers = registers;
    let codes = ["three", "four", "five"].map(|key| {
        let denied = office.refused(key);
        assert_eq!(denied.kind, Kind::Unavailable);
        assert!(denied.retry_after.is_some());
        denied.refusal.code
    });
    assert_eq!(codes, ["register-timeout", "register-timeout", "register-busy"]);
    // Revoking, and a call of no order, ask no register.
    let begun = Instant::now();
    let issued = office.send(&office.caller(None), "two again", &without_order(&office)).unwrap();
    let shown: Value = serde_json::from_slice(&issued.response.body).unwrap();
    let id = shown["id"].as_str().unwrap().to_owned();
    let body = json!({ "reason": "superseded" });
    let call = office.world.call(&format!("/v1/certificates/{id}/revocation"), "end", &body);
    let revoked =
        office.world.run(&call, |service, work| service.revoke(Revoker::Client, &id, work));
    assert_eq!(revoked.unwrap().response.content_type, "done");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(release);
}

/// A direct call, of environment test.
fn without_order(office: &Office) -> Value {
    let mut order = office.order();
    order.as_object_mut().unwrap().remove("order");
    order["subject"]["personal_identity_number"] = json!(NUMBER);
    order
}

/// Where the deployment has no register environment test goes on and says so in the record; every other issues nothing by the routine.
#[test]
fn without_a_register_environment_test_alone_goes_on() {
    let mut office = Office::new();
    office.world.service.registers = crate::registers::Registers::default();
    office.ordered("one").unwrap();
    let payload = office.world.last_payload(EventCode::CertificateIntent);
    let unasked = json!([
        { "register": "employment", "asked": false }, { "register": "person", "asked": false },
    ]);
    assert_eq!(payload["registers"], unasked);

    office.world.service.deployment = Deployment::from_parts("qa", "test", "abcd").unwrap();
    let denied = office.refused("two");
    assert_eq!((denied.refusal.code, denied.kind), ("register-not-configured", Kind::Rule));
}

/// DAT-01: whom a register says to be protected is so from then on, and who may not see him learns nothing more of him.
#[test]
fn whom_a_register_says_to_be_protected_is_protected_from_then_on() {
    let office = Office::new();
    let holder = HolderName::number(NUMBER);
    let store = office.world.service.store();
    assert!(!store.is_protected(&holder).unwrap());
    // What he is called differs, too: nothing is said of that to who may not see him.
    office.say(&json!({
        "/protection": "confidentiality-marking", "/attributes/surname": ["Elvansson"],
    }));

    let denied = office.refused("one");

    assert_eq!((denied.refusal.code, denied.kind), ("holder-not-for-role", Kind::Forbidden));
    assert!(!denied.to_string().contains("surname"), "{denied}");
    assert!(store.is_protected(&holder).unwrap());
    let payload = office.world.last_payload(EventCode::ProtectionChanged);
    assert_eq!(payload["source"], "employment-file");
    assert_eq!(payload["class"], "confidentiality-marking");
    // Whatever the register says of him later: a class is taken away by an administrator.
    office.say(&json!({}));
    assert_eq!(office.refused("two").refusal.code, "holder-not-for-role");

    // Who may see him orders, and the record of his protection is written once.
    office.say(&json!({ "/protection": "confidentiality-marking" }));
    let privy = office.administrator(1, Protected::Seen);
    let answered = office.send(&privy, "three", &office.order()).unwrap();
    assert_eq!(answered.response.content_type, "done", "{answered:?}");
    assert_eq!(office.world.leaves(EventCode::ProtectionChanged), 1);
    let unprivy = office.administrator(2, Protected::Unseen);
    let denied = office.send(&unprivy, "four", &office.order()).unwrap_err();
    assert_eq!(denied.refusal.code, "holder-not-for-role");
}

/// Who orders for one person with another's HSA-id protects nobody but the other, and hears nothing of what that one is called.
#[test]
fn an_order_with_another_ones_hsa_id_protects_the_other_one() {
    let office = Office::new();
    let store = office.world.service.store();
    let is_protected = |name: &str| store.is_protected(&HolderName::number(name)).unwrap();
    let other = json!({
        "/protection": "confidentiality-marking",
        "/attributes/personal-identity-number": ["191003229802"],
        "/attributes/surname": ["Elvansson"],
    });
    office.say(&other);

    assert_eq!(office.refused("one").refusal.code, "holder-not-for-role");

    assert!(is_protected("191003229802") && is_protected(HSA_ID));
    assert!(!is_protected(NUMBER));
    let privy = office.administrator(1, Protected::Seen);
    let denied = office.send(&privy, "two", &office.order()).unwrap_err();
    assert_eq!(denied.refusal.code, "register-mismatch");
    assert!(denied.refusal.seen.starts_with("identity"), "{denied}");
}

/// ISS-18: the other way for protected persons is on record.
#[test]
fn for_what_a_register_does_not_give_out_who_acts_stands_where_he_may() {
    let office = Office::new();
    office.say(&json!({
        "/answer": "withheld", "/protection": "protected-registration", "/attributes": null,
    }));
    assert_eq!(office.refused("one").refusal.code, "holder-not-for-role");
    let holder = HolderName::number(NUMBER);
    assert!(
        !office.world.service.store().is_protected(&holder).unwrap(),
        "whose HSA-id it is nobody has said"
    );

    let privy = office.administrator(1, Protected::Seen);
    let answered = office.send(&privy, "two", &office.order()).unwrap();

    assert_eq!(answered.response.content_type, "done", "{answered:?}");
    let payload = office.world.last_payload(EventCode::CertificateIntent);
    let said = &payload["registers"][0];
    assert_eq!((&said["withheld"], &said["agreed"]), (&json!(true), &json!([])));
    assert!(office.world.service.store().is_protected(&holder).unwrap());
}

/// What is no HSA-id is sent to nobody.
#[test]
fn what_is_no_hsa_id_is_refused_before_anybody_is_asked() {
    let mut office = Office::new();
    let (registers, _release) = hanging(Duration::from_secs(30));
    office.world.service.registers = registers;
    let mut order = office.order();
    order["subject"]["hsa_id"] = json!("TST2321000016-1002\r\nX: y");

    let answered = office.send(&office.caller(None), "one", &order).unwrap();

    assert_eq!(answered.response.content_type, "refused");
    let code = String::from_utf8(answered.response.body).unwrap();
    assert!(code.starts_with("field-"), "{code}");
}

type Step = fn(&Service, &Caller, &str, &OrderWork<'_>) -> Result<Answered, Denied>;

impl Office {
    fn step(&self, path: &str, body: &Value, step: Step, id: &str) -> Result<Value, Denied> {
        let act = Act::Step;
        let call = OrderCall { act, ..self.world.call(path, &format!("{id}{path}"), body) };
        let caller = self.caller(None);
        let answered = self.world.run(&call, |service, work| step(service, &caller, id, work))?;
        assert_eq!(answered.response.content_type, "done", "{answered:?}");
        Ok(serde_json::from_slice(&answered.response.body).unwrap())
    }

    /// An order in steps that may issue: its id.
    fn approved(&self) -> String {
        let order = self.order();
        let now = self.world.now().to_string();
        let prepared = json!({
            "routine": "office-visit",
            "role": "id-administrator",
            "holder": "holder-7",
            "identity": order["order"]["identity"],
            "carrier": order["order"]["carrier"],
            "organisations": order["order"]["organisations"],
            "profiles": [PROFILE],
            "subject": order["subject"],
            "by": "administrator-1",
        });
        let made =
            self.step("/v1/orders", &prepared, |s, c, _, w| s.prepare_order(c, w), "").unwrap();
        let id = made["id"].as_str().unwrap().to_owned();
        let evidence = json!({
            "method": "swedish-passport", "at": now, "place": "office-1", "by": "administrator-1",
        });
        let by = json!({ "by": "administrator-2" });
        let receipt = json!({
            "form": "on-paper", "terms": "2026-1", "sha256": "ab".repeat(32), "by": "administrator-1",
        });
        self.step("/evidence", &evidence, |s, c, id, w| s.add_order_evidence(c, id, w), &id)
            .unwrap();
        let approve: Step = |s, c, id, w| s.say_of_order(c, id, ca::life::OrderAct::Approve, w);
        self.step("/approvals", &by, approve, &id).unwrap();
        self.step("/receipt", &receipt, |s, c, id, w| s.take_order_receipt(c, id, w), &id).unwrap();
        id
    }
}

/// The order was right when it was made; what counts is what is so when it issues.
#[test]
fn an_order_in_steps_asks_when_it_issues() {
    let office = Office::new();
    let id = office.approved();
    let csr = &office.order()["csr"];
    let body = json!({ "requests": [{ "profile": PROFILE, "csr": csr }], "by": "administrator-2" });
    let issue = || office.step("/issuance", &body, |s, c, id, w| s.issue_order(c, id, w), &id);

    office.say(&json!({ "/attributes/surname": ["Elvansson"] }));
    let denied = issue().unwrap_err();
    assert_eq!((denied.refusal.code, denied.is_final()), ("register-mismatch", false));
    std::fs::remove_file(&office.employment).unwrap();
    let denied = issue().unwrap_err();
    assert_eq!((denied.refusal.code, denied.kind), ("register-unavailable", Kind::Unavailable));
    assert_eq!(office.certificates(), 0);

    office.say(&json!({}));
    let issued = issue().unwrap();
    assert_eq!(issued["certificates"].as_array().unwrap().len(), 1, "{issued}");
    let payload = office.world.last_payload(EventCode::CertificateIntent);
    assert_eq!(payload["registers"][0]["asked"], true);
}

/// What an operator sees of a register is a read of whom it is about (AUD-06), and a protected person is not in it for who does not see him.
#[test]
fn what_a_register_says_is_shown_to_who_may_and_put_on_record() {
    let office = Office::new();
    let service = &office.world.service;
    let operator = Caller { revoker: Revoker::Operator, ..office.world.caller() };
    let of = |fields: Value| serde_json::from_value::<api::RegisterLookup>(fields).unwrap();
    let call =
        ReadCall { id: "00000000000000000000000000000003", operation: Operation::LookUpInRegister };
    let look = |caller: &Caller, asked: Value| {
        let asked = of(asked);
        let read =
            service.reading(caller, call, |service| service.look_up_in_register(caller, &asked));
        read.map(|read| serde_json::to_value(&read).unwrap())
    };

    let says = look(&operator, json!({ "hsa_id": HSA_ID })).unwrap();
    assert_eq!((&says["register"], &says["answer"]), (&json!("employment"), &json!("found")));
    assert_eq!((&says["source"], &says["protection"]), (&json!("employment-file"), &json!("none")));
    assert_eq!(says["attributes"]["surname"], json!(["Tolvansson"]));
    assert_eq!(office.world.leaves(EventCode::SealedRead), 1);
    assert_eq!(office.world.last_payload(EventCode::SealedRead)["operation"], "lookUpInRegister");
    let says = look(&operator, json!({ "person": "19121212-1212" })).unwrap();
    assert_eq!((&says["register"], &says["source"]), (&json!("person"), &json!("person-file")));
    let reads =
        service.reads_of(&operator, &serde_json::from_value(json!({ "person": NUMBER })).unwrap());
    let reads = serde_json::to_value(reads.unwrap()).unwrap();
    assert_eq!(reads["items"].as_array().unwrap().len(), 2, "{reads}");
    let missing = look(&operator, json!({ "person": "191003229802" })).unwrap();
    assert_eq!(missing["answer"], "missing");
    assert_eq!(office.world.leaves(EventCode::SealedRead), 3, "that he is in none is told of him");

    let code = |caller: &Caller, asked: Value| look(caller, asked).unwrap_err().refusal.code;
    assert_eq!(code(&operator, json!({})), "query-malformed");
    assert_eq!(code(&operator, json!({ "hsa_id": HSA_ID, "person": NUMBER })), "query-malformed");
    assert!(code(&operator, json!({ "hsa_id": "no id" })).starts_with("field-"));
    assert!(code(&operator, json!({ "person": "191212121213" })).starts_with("field-"));
    assert_eq!(code(&office.world.caller(), json!({ "person": NUMBER })), "client-not-allowed");
    std::fs::remove_file(&office.employment).unwrap();
    assert_eq!(code(&operator, json!({ "hsa_id": HSA_ID })), "register-unavailable");

    // Protected from the answer on; who does not see him is told what is told of nobody.
    office.say(&json!({ "/protection": "confidentiality-marking" }));
    let hidden = look(&operator, json!({ "hsa_id": HSA_ID })).unwrap();
    let mut nobody = look(&operator, json!({ "hsa_id": "TST2321000016-1999" })).unwrap();
    nobody["as_of"] = hidden["as_of"].clone();
    assert_eq!(hidden, nobody);
    assert!(service.store().is_protected(&HolderName::number(NUMBER)).unwrap());
    let person = look(&operator, json!({ "person": NUMBER })).unwrap();
    assert_eq!((&person["answer"], person.get("protection")), (&json!("missing"), None));
    let signed = who_has_signed(&office.world, ADMINISTRATOR, 9);
    let acts = ActsAs::Administrator(Role::Operator, Protected::Seen);
    let acting = Some(Arc::new(Acting { acts, ..(*signed).clone() }));
    let seen = look(&Caller { acting, ..operator.clone() }, json!({ "hsa_id": HSA_ID })).unwrap();
    assert_eq!(
        (&seen["answer"], &seen["protection"]),
        (&json!("found"), &json!("confidentiality-marking"))
    );
}
