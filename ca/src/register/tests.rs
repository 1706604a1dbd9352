//! ISS-04, ISS-18: each way in which a register keeps a certificate from being issued, and none that lets one through.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::admit::tests::text;
use crate::deployment::Environment;
use crate::order::Order;
use crate::testing::{NOW, at, book_files, read_book};

const HSA_ID: &str = "TST2321000016-1009";

fn demand() -> Demand {
    Demand {
        register: RegisterKind::Employment,
        agree: vec![
            Attribute::Identity,
            Attribute::GivenName,
            Attribute::Surname,
            Attribute::OrganisationNumber,
            Attribute::Email,
        ],
        age: Duration::from_secs(86_400),
        withheld: IfWithheld::ByRole,
    }
}

fn order() -> Order {
    let book = read_book(&book_files()).unwrap_or_else(|errors| panic!("{errors}"));
    Order::read(&text(), &book, Environment::Test).unwrap()
}

fn fields() -> RequestedFields {
    RequestedFields {
        given_name: Some("Tolvan".to_owned()),
        surname: Some("Tolvansson".to_owned()),
        hsa_id: Some(HSA_ID.to_owned()),
        ..RequestedFields::default()
    }
}

/// What the register says of the person of the order.
fn sent() -> Value {
    json!({
        "format": "sigill/register-answer/1",
        "register": "employment",
        "key": HSA_ID,
        "as-of": at(NOW - 60).to_string(),
        "answer": "found",
        "protection": "none",
        "attributes": {
            "personal-identity-number": ["19121212-1212"],
            "given-name": ["Tolvan Adam", "Tolvan"],
            "surname": ["Tolvansson"],
            "organisation-number": ["232100-0131"],
        },
    })
}

fn question() -> Question {
    Question::new(RegisterKind::Employment, HSA_ID.to_owned())
}

fn read(sent: &Value) -> Result<Answer, MalformedAnswer> {
    Answer::parse(sent.to_string().as_bytes(), &question())
}

/// What an answer with `value` at `place` comes to; `null` takes the member away.
fn judged(place: &str, value: Value) -> Result<Agreed, RegisterFault> {
    judged_by(place, value, StandsFor::Nobody)
}

fn judged_by(place: &str, value: Value, by: StandsFor) -> Result<Agreed, RegisterFault> {
    let answer = read(&with(place, value)).map_err(|_| RegisterFault::Malformed)?;
    let (order, fields) = (order(), fields());
    demand().judge(&answer, Ordered { order: &order, fields: &fields }, by, at(NOW))
}

fn with(place: &str, value: Value) -> Value {
    let mut sent = sent();
    let (of, member) = place.rsplit_once('/').unwrap();
    let of = sent.pointer_mut(of).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        of.remove(member)
    } else {
        of.insert(member.to_owned(), value)
    };
    sent
}

#[test]
fn a_register_that_says_the_same_agrees() {
    let agreed = judged("/as-of", json!(at(NOW - 86_400).to_string())).unwrap();

    let compared = ["identity", "given-name", "surname", "organisation-number"];
    assert_eq!(agreed.attributes.iter().map(|one| one.name()).collect::<Vec<_>>(), compared);
    assert_eq!((agreed.as_of, agreed.withheld), (at(NOW - 86_400), false));
    assert_ne!(agreed.sha256, judged("/protection", json!("none")).unwrap().sha256);
    let ahead = at(NOW + 300).to_string();
    assert!(judged("/as-of", json!(ahead)).is_ok(), "clocks are never quite alike");
}

#[test]
fn whatever_differs_is_named_and_not_quoted() {
    let cases = [
        ("personal-identity-number", json!(["191003229802"]), Attribute::Identity, true),
        ("personal-identity-number", Value::Null, Attribute::Identity, false),
        ("given-name", json!(["Elvan"]), Attribute::GivenName, true),
        ("given-name", json!(["tolvan"]), Attribute::GivenName, true),
        ("surname", json!(["Elvansson"]), Attribute::Surname, true),
        ("surname", json!([]), Attribute::Surname, false),
        ("organisation-number", json!(["2321000016"]), Attribute::OrganisationNumber, true),
    ];
    for (member, value, attribute, known) in cases {
        let fault = judged(&format!("/attributes/{member}"), value.clone()).unwrap_err();
        assert_eq!(fault, RegisterFault::Mismatch { attribute, known }, "{member} {value}");
        let refusal = fault.refusal(RegisterKind::Employment, Some("office-visit")).to_string();
        assert!(refusal.contains(attribute.name()), "{refusal}");
        assert!(!refusal.contains("lvan") && !refusal.contains("232100"), "{refusal}");
    }
}

/// What the certificate does not say need not be known; what it says must be.
#[test]
fn an_address_in_the_certificate_is_the_registers() {
    let mut fields = fields();
    fields.email = Some("tolvan@example.org".to_owned());
    let order = order();
    let judge = |sent: &Value| {
        let answer = read(sent).unwrap();
        let ordered = Ordered { order: &order, fields: &fields };
        demand().judge(&answer, ordered, StandsFor::Nobody, at(NOW))
    };

    let none = RegisterFault::Mismatch { attribute: Attribute::Email, known: false };
    assert_eq!(judge(&sent()).unwrap_err(), none);
    let other = judge(&with("/attributes/email", json!(["elvan@example.org"]))).unwrap_err();
    assert_eq!(other, RegisterFault::Mismatch { attribute: Attribute::Email, known: true });
    let same = judge(&with("/attributes/email", json!(["tolvan@example.org"]))).unwrap();
    assert!(same.attributes.contains(&Attribute::Email));
}

#[test]
fn an_answer_that_is_too_old_or_of_tomorrow_is_none() {
    let old = judged("/as-of", json!(at(NOW - 86_401).to_string())).unwrap_err();
    let limit = Duration::from_secs(86_400);
    assert_eq!(old, RegisterFault::Stale { age: Duration::from_secs(86_401), limit });
    let late = judged("/as-of", json!(at(NOW + 301).to_string())).unwrap_err();
    assert_eq!(late, RegisterFault::Malformed);
    // Nor is an old answer believed that says of somebody that he is not there.
    let mut missing = bare("missing", None);
    missing["as-of"] = json!(at(NOW - 86_401).to_string());
    let (order, fields) = (order(), fields());
    let ordered = Ordered { order: &order, fields: &fields };
    let answer = read(&missing).unwrap();
    let fault = demand().judge(&answer, ordered, StandsFor::Nobody, at(NOW)).unwrap_err();
    assert!(matches!(fault, RegisterFault::Stale { .. }), "{fault:?}");
}

/// An answer without attributes, and without a word on protection where `protection` is none.
fn bare(answer: &str, protection: Option<&str>) -> Value {
    let mut sent = with("/attributes", Value::Null);
    sent["answer"] = json!(answer);
    match protection {
        Some(word) => sent["protection"] = json!(word),
        None => _ = sent.as_object_mut().unwrap().remove("protection"),
    }
    sent
}

#[test]
fn who_is_not_there_or_no_more_gets_nothing() {
    let (order, fields) = (order(), fields());
    let judge = |sent: &Value, demand: &Demand, by| {
        let ordered = Ordered { order: &order, fields: &fields };
        demand.judge(&read(sent).unwrap(), ordered, by, at(NOW))
    };
    let missing = judge(&bare("missing", None), &demand(), StandsFor::Protected);
    assert_eq!(missing.unwrap_err(), RegisterFault::Missing);
    let ended = judge(&bare("ended", Some("none")), &demand(), StandsFor::Protected);
    assert_eq!(ended.unwrap_err(), RegisterFault::Ended);
    // Of a protected person who acts stands for what is not given out, where the routine says so and he may.
    let withheld = bare("withheld", Some("confidentiality-marking"));
    assert_eq!(read(&withheld).unwrap().protection(), Some(ProtectionClass::Marked));
    let refused = judge(&withheld, &demand(), StandsFor::Nobody).unwrap_err();
    assert_eq!(refused, RegisterFault::Withheld);
    let strict = Demand { withheld: IfWithheld::Refuse, ..demand() };
    let refused = judge(&withheld, &strict, StandsFor::Protected).unwrap_err();
    assert_eq!(refused, RegisterFault::Withheld);
    let stood_for = judge(&withheld, &demand(), StandsFor::Protected).unwrap();
    assert!(stood_for.withheld && stood_for.attributes.is_empty());
}

#[test]
fn what_is_no_answer_is_refused_without_being_quoted() {
    let long = "x".repeat(257);
    let wrong = [
        with("/format", json!("sigill/register-answer/2")),
        with("/register", json!("person")),
        with("/key", json!("TST2321000016-1010")),
        with("/as-of", json!("yesterday")),
        with("/as-of", Value::Null),
        with("/answer", json!("perhaps")),
        with("/answer", json!("missing")),
        with("/answer", json!("ended")),
        with("/answer", json!("withheld")),
        with("/protection", Value::Null),
        with("/protection", json!("somewhat")),
        with("/attributes", Value::Null),
        with("/attributes", json!({})),
        with("/attributes/surname", json!("Tolvansson")),
        with("/attributes/surname", json!([""])),
        with("/attributes/surname", json!([long])),
        with("/attributes/surname", json!(vec!["Tolvansson"; 17])),
        with("/attributes/colour", json!(["red"])),
        with("/colour", json!("red")),
        bare("withheld", Some("none")),
        bare("withheld", None),
        bare("ended", None),
        bare("missing", Some("none")),
        bare("found", Some("none")),
        json!("Tolvansson"),
    ];
    for sent in wrong {
        let error = read(&sent).expect_err(&sent.to_string()).to_string();
        assert!(!error.contains("olvan") && !error.contains("red"), "{error}");
    }
    let sent = sent().to_string();
    for cut in 0..sent.len() {
        assert!(Answer::parse(&sent.as_bytes()[..cut], &question()).is_err(), "{cut}");
    }
    let twice = sent.replacen('{', "{\"key\":\"TST2321000016-1009\",", 1);
    assert!(Answer::parse(twice.as_bytes(), &question()).is_err());
}

#[test]
fn a_file_says_as_of_when_and_how_many() {
    let header = json!({
        "format": "sigill/register-file/1",
        "register": "person",
        "as-of": at(NOW).to_string(),
        "records": 7,
    });
    let read = |header: &Value| FileHeader::parse(header.to_string().as_bytes());
    let expected = FileHeader { register: RegisterKind::Person, as_of: at(NOW), records: 7 };
    assert_eq!(read(&header).unwrap(), expected);
    for (member, value) in [
        ("format", json!("sigill/register-answer/1")),
        ("register", json!("patients")),
        ("as-of", json!(7)),
        ("records", json!(-1)),
        ("colour", json!("red")),
    ] {
        let mut wrong = header.clone();
        wrong[member] = value;
        assert!(read(&wrong).is_err(), "{member}");
    }
    let line = br#"{"key":"191212121212","answer":"ended","protection":"none"}"#;
    let record = Record::parse(line).unwrap();
    assert_eq!((record.key.as_str(), record.said), ("191212121212", Said::Ended(None)));
}

/// The personal-data service is asked by a number, the catalogue by an HSA-id: who has none is in neither.
#[test]
fn a_register_is_asked_by_its_own_key() {
    let (order, mut fields) = (order(), fields());
    let key = |register, fields: &RequestedFields| {
        Question::of_order(register, &order, fields).map(|one| one.key().to_owned())
    };
    assert_eq!(key(RegisterKind::Employment, &fields).as_deref(), Some(HSA_ID));
    assert_eq!(key(RegisterKind::Person, &fields).as_deref(), Some("191212121212"));
    fields.hsa_id = None;
    assert_eq!(key(RegisterKind::Employment, &fields), None);
    let question = format!("{:?}", question());
    assert!(!question.contains("TST"), "{question}");
}

#[test]
fn each_fault_has_a_code_of_its_own_and_names_its_rule() {
    let codes: BTreeSet<_> = RegisterFault::EXAMPLES.iter().map(|one| one.code()).collect();
    assert_eq!(codes.len(), RegisterFault::EXAMPLES.len());
    for fault in RegisterFault::EXAMPLES {
        let refusal = fault.refusal(RegisterKind::Person, Some("office-visit"));
        assert_eq!(refusal.code, fault.code());
        assert!(refusal.rule.starts_with("routine/office-visit/registers/person"), "{refusal}");
    }
}

/// The shipped routines ask both registers, and never anything that one does not know.
#[test]
fn the_shipped_routines_demand_what_registers_know() {
    let book = read_book(&book_files()).unwrap_or_else(|errors| panic!("{errors}"));
    let demands = |routine: &str| {
        let demands = &book.routine(routine).unwrap().registers;
        demands.iter().map(|one| (one.register, one.withheld)).collect::<Vec<_>>()
    };
    let both = [
        (RegisterKind::Employment, IfWithheld::ByRole),
        (RegisterKind::Person, IfWithheld::ByRole),
    ];
    for routine in ["office-visit", "office-visit-2", "reserve-card-2", "reserve-card-3"] {
        assert_eq!(demands(routine), both, "{routine}");
    }
    let own = [(RegisterKind::Person, IfWithheld::Refuse)];
    assert_eq!(demands("mobile-self-service"), own);
    assert!(demands("demo-direct").is_empty());
}

#[test]
fn every_mutant_of_a_demand_is_refused() {
    let read = |text: &str| super::read(toml::from_str::<RegistersFile>(text).ok()?).ok();
    let person = |text: &str| read(&format!("[person]\n{text}"));
    let good = "agree = [\"identity\", \"surname\"]\nage = \"7d\"";
    let demand = &person(good).unwrap()[0];
    assert_eq!(
        (demand.age, demand.withheld),
        (Duration::from_secs(7 * 86_400), IfWithheld::Refuse)
    );
    assert!(person(&good.replace("7d", "30d")).is_some());
    for (from, to) in [
        ("[\"identity\", \"surname\"]", "[]"),
        ("\"surname\"", "\"identity\""),
        ("\"surname\"", "\"email\""),
        ("\"surname\"", "\"shoe-size\""),
        ("7d", "31d"),
        ("7d", "0d"),
        ("7d", "a week"),
        ("age = \"7d\"", ""),
        ("age", "withheld = \"perhaps\"\nage"),
        ("age", "colour = \"red\"\nage"),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(person(&good.replace(from, to)).is_none(), "{to}");
    }
    assert!(read(&format!("[patients]\n{good}")).is_none());
    assert!(read(&format!("[employment]\n{}", good.replace("surname", "email"))).is_some());
}

/// The examples of docs/formats/register-answer.md are read as the page says.
#[test]
fn the_page_says_what_is_read() {
    let page = include_str!("../../../docs/formats/register-answer.md");
    let blocks = |kind: &str| {
        let fence = format!("```{kind}\n");
        let parts = page.split(&fence).skip(1).map(|part| part.split("```").next().unwrap());
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    let examples = blocks("json");
    let read = examples.iter().skip(1).map(|text| {
        let value: Value = serde_json::from_str(text).unwrap();
        let register = RegisterKind::from_name(value["register"].as_str().unwrap()).unwrap();
        let question = Question::new(register, value["key"].as_str().unwrap().to_owned());
        Answer::parse(text.as_bytes(), &question).unwrap().said
    });
    let read: Vec<Said> = read.collect();
    assert!(matches!(read[0], Said::Found(None, _)));
    assert_eq!(read[1..], [Said::Missing, Said::Withheld(ProtectionClass::Marked)]);
    let file = &blocks("jsonl")[0];
    let lines: Vec<&str> = file.lines().collect();
    assert_eq!(FileHeader::parse(lines[0].as_bytes()).unwrap().records, 2);
    let said = [1, 2].map(|at| Record::parse(lines[at].as_bytes()).unwrap().said);
    assert!(matches!(said[0], Said::Found(None, _)) && said[1] == Said::Ended(None));
}
