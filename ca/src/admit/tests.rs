mod edges;
mod eid;

use std::collections::BTreeMap;

use super::*;
use crate::order::OrderText;
use crate::prepare::{EndedBy, KeySource, PrepareError, Prepared, Signer, Way};
use crate::testing::{
    Ask, Hierarchy, NOW, TestKey, at, book_files, profile, profile_text, read_book,
};

const AUTHENTICATION: &str = "person-hsaid-3-authentication";
const RESERVE: &str = "reserve-hsaid-3-authentication";
const CARD: &str = "9752269874512325436";
const NUMBER: &str = "191212121212";

/// An hour before the issuing time.
const EARLIER: u64 = NOW - 3_600;

fn shipped() -> Book {
    read_book(&book_files()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// An order that the shipped book admits.
pub(crate) fn text() -> OrderText {
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    OrderText {
        routine: "office-visit".to_owned(),
        orderer: pair("id-administrator", "actor-1"),
        holder: Some("holder-7".to_owned()),
        identity_kind: "personnummer".to_owned(),
        identity_number: Some(NUMBER.to_owned()),
        passport: None,
        proofing: "swedish-passport".to_owned(),
        proofing_at: at(EARLIER),
        proofing_by: "actor-1".to_owned(),
        eid: None,
        carrier: "nls-card-2023".to_owned(),
        card_number: Some(CARD.to_owned()),
        device: None,
        carrier_ends: None,
        user_organisation: pair("Sigill Test", "2321000131"),
        issuing_organisation: None,
        valid_until: None,
        approvals: vec![("actor-2".to_owned(), at(EARLIER))],
        receipt: Some(("electronic".to_owned(), "ab".repeat(32), at(EARLIER))),
        evidence: None,
    }
}

struct Desk {
    book: Book,
    issuer: Issuer,
    profile: Profile,
    key: TestKey,
    moment: Moment,
}

impl Desk {
    fn new(book: Book) -> Self {
        Self::of(AUTHENTICATION, book)
    }

    fn of(name: &str, book: Book) -> Self {
        let hierarchy = Hierarchy::new(&[name]);
        let class = IssuerClass::new("person-hsaid-3").unwrap();
        Self {
            book,
            issuer: hierarchy.issuing.clone().of_class(class),
            profile: profile(name),
            key: TestKey::new(),
            moment: Moment { now: at(NOW), environment: Environment::Test },
        }
    }

    fn admit(&self, text: &OrderText) -> Result<Admitted, RuleRefusal> {
        let order = Order::read(text, &self.book, self.moment.environment)?;
        admit(&order, None, &self.profile, &self.issuer, &self.book, self.moment)
    }

    /// What its order is prepared to, with this end.
    fn prepared(&self, until: Option<u64>) -> Result<Prepared, PrepareError> {
        let lives = Some(at(NOW + 9_999 * 86_400));
        let ordered = with(|it| (it.valid_until, it.carrier_ends) = (until.map(at), lives));
        let admitted = self.admit(&ordered).unwrap();
        let request = self.key.request(|_| {});
        let source = KeySource::Request(&request);
        let mut ask = Ask::new(&self.profile, Signer::Issuer(&self.issuer), source);
        ask.admitted = Some(admitted);
        ask.prepare()
    }

    fn rule(&self, text: &OrderText) -> String {
        match self.admit(text) {
            Ok(_) => "admitted".to_owned(),
            Err(refusal) => refusal.rule().to_owned(),
        }
    }

    fn prepare(
        &self,
        admitted: Option<Admitted>,
        wishes: impl FnOnce(&mut Ask<'_>),
    ) -> Result<ObjectIdentifier, PrepareError> {
        let request = self.key.request(|_| {});
        let mut ask =
            Ask::new(&self.profile, Signer::Issuer(&self.issuer), KeySource::Request(&request));
        ask.way = Way::Order;
        ask.admitted = admitted;
        wishes(&mut ask);
        Ok(ask.prepare()?.facts().policy.unwrap())
    }
}

fn with(wishes: impl FnOnce(&mut OrderText)) -> OrderText {
    let mut text = text();
    wishes(&mut text);
    text
}

fn edited(path: &str, from: &str, to: &str) -> Book {
    let mut files = book_files();
    let file = files.iter_mut().find(|(name, _)| name == path).unwrap();
    assert!(file.1.contains(from), "{path}: {from}");
    file.1 = file.1.replacen(from, to, 1);
    read_book(&files).unwrap_or_else(|errors| panic!("{errors}"))
}

/// ISS-01, PRO-10: an order that everything agrees with gets the policy of its row, and says by what.
#[test]
fn an_order_that_the_book_admits_is_issued_under_the_policy_of_its_row() {
    let desk = Desk::new(shipped());
    let admitted = desk.admit(&text()).unwrap();

    assert_eq!(admitted.policy().to_string(), "1.3.6.1.4.1.32473.1.3.1");
    assert_eq!(admitted.rules(), ["routine/office-visit", "carrier/nls-card-2023"]);
    assert_eq!(admitted.book(), desk.book.sha256());
    let policy = desk.prepare(Some(admitted), |_| {}).unwrap();
    assert_eq!(policy.to_string(), "1.3.6.1.4.1.32473.1.3.1");
}

/// ISS-14, ISS-19: each check refuses by its own name.
#[test]
fn every_mutant_of_an_order_is_refused_by_its_rule() {
    let desk = Desk::new(shipped());
    let later = at(NOW + 3_600);
    let mutants: Vec<(&str, OrderText)> = vec![
        ("order/routine", with(|it| it.routine = "parcel".to_owned())),
        ("order/carrier", with(|it| it.carrier = "wallet".to_owned())),
        ("order/identity", with(|it| it.identity_kind = "shoe-size".to_owned())),
        ("order/identity", with(|it| it.identity_number = None)),
        ("order/proofing", with(|it| it.proofing = "library-card".to_owned())),
        ("order/proofing", with(|it| it.proofing_by = "två ord".to_owned())),
        ("order/proofing", with(|it| it.proofing_at = later)),
        ("order/orderer", with(|it| it.orderer.0 = "postman".to_owned())),
        ("order/orderer", with(|it| it.orderer.1 = String::new())),
        ("order/holder", with(|it| it.holder = Some(" ".to_owned()))),
        ("order/approvals", with(|it| it.approvals[0].0 = "a b".to_owned())),
        ("order/approvals", with(|it| it.approvals[0].1 = later)),
        ("order/receipt", with(|it| it.receipt.as_mut().unwrap().0 = "by-mouth".to_owned())),
        ("order/receipt", with(|it| it.receipt.as_mut().unwrap().1 = "ab".to_owned())),
        ("order/receipt", with(|it| it.receipt.as_mut().unwrap().2 = later)),
        ("order/evidence", with(|it| it.evidence = Some((vec![0x30, 0], vec![])))),
        ("order/valid-until", with(|it| it.valid_until = Some(at(EARLIER)))),
        ("routine/office-visit/ordered-by", with(|it| it.orderer.0 = "holder".to_owned())),
        ("routine/office-visit/proofing", with(|it| it.proofing = "own-siths-eid".to_owned())),
        (
            "routine/office-visit/identity",
            with(|it| {
                it.identity_kind = "samordningsnummer".to_owned();
                it.identity_number = Some("195401812390".to_owned());
            }),
        ),
        (
            "routine/office-visit/minimum-age",
            with(|it| it.identity_number = Some("201503172387".to_owned())),
        ),
        ("routine/office-visit/receipt", with(|it| it.receipt = None)),
        (
            "routine/office-visit/receipt-form",
            with(|it| it.receipt.as_mut().unwrap().0 = "registered-post".to_owned()),
        ),
        ("routine/office-visit/approvals", with(|it| it.approvals.clear())),
        ("routine/office-visit/holder", with(|it| it.holder = None)),
        ("routine/office-visit/separate", with(|it| it.approvals[0].0 = "actor-1".to_owned())),
        ("routine/office-visit/separate", with(|it| it.orderer.1 = "holder-7".to_owned())),
        ("routine/office-visit/separate", with(|it| it.approvals[0].0 = "holder-7".to_owned())),
        ("routine/office-visit/separate", with(|it| it.proofing_by = "holder-7".to_owned())),
        ("routine/reserve-card-3/ordered-by", with(|it| it.routine = "reserve-card-3".to_owned())),
        (
            "routine/reserve-card-3/approvals",
            with(|it| {
                it.routine = "reserve-card-3".to_owned();
                it.orderer.0 = "reserve-card-administrator-3".to_owned();
                it.carrier = "reserve-card-2023".to_owned();
                it.approvals.push(it.approvals[0].clone());
            }),
        ),
        ("routine/demo-direct/order", with(|it| it.routine = "demo-direct".to_owned())),
        (
            "carrier/reserve-card-2023/routine",
            with(|it| it.carrier = "reserve-card-2023".to_owned()),
        ),
        ("carrier/nls-card-2023/card-number", with(|it| it.card_number = None)),
        ("carrier/nls-card-2023/device", with(|it| it.device = Some("device-1".to_owned()))),
    ];
    for (rule, text) in mutants {
        assert_eq!(desk.rule(&text), rule);
    }
}

/// Each check whose side is the book's: the order stands, the book is another one.
#[test]
fn every_mutant_of_the_book_refuses_by_its_rule() {
    let routine = "routines/office-visit.toml";
    let name = "name       = \"office-visit\"";
    let book = edited(routine, name, &format!("{name}\nenvironments = [\"prod\"]"));
    assert_eq!(Desk::new(book).rule(&text()), "routine/office-visit/environment");

    // One file ends on a day, and every row with it.
    let ending = |day: &str, path: &str, from: &str| {
        let mut files = book_files();
        for (name, text) in &mut files {
            if name == path {
                *text = text.replacen(from, &format!("{from}\nuntil = {day}"), 1);
            }
            if name == "tables/policies.toml" {
                let row = "from     = 2024-01-25";
                *text = text.replace(row, &format!("{row}\nto = {day}"));
            }
        }
        Desk::new(read_book(&files).unwrap_or_else(|errors| panic!("{errors}"))).rule(&text())
    };
    let begun = "ordered-by = [\"id-administrator\"]";
    let cards = "from               = 2023-05-31";
    assert_eq!(at(NOW).to_string(), "2026-11-21T22:00:00Z");
    assert_eq!(ending("2026-11-21", routine, begun), "admitted");
    assert_eq!(ending("2026-11-20", routine, begun), "routine/office-visit/days");
    let family = "carriers/nls-card-2023.toml";
    assert_eq!(ending("2026-11-20", family, cards), "carrier/nls-card-2023/days");
    assert_eq!(ending("2026-11-20", "no file", ""), "table/no-row");
}

/// PRO-11: the row is of another class of issuers.
#[test]
fn an_issuer_of_another_class_is_refused_by_the_table() {
    let mut desk = Desk::new(shipped());
    desk.issuer = desk.issuer.of_class(IssuerClass::new("person-id-3").unwrap());

    assert_eq!(desk.rule(&text()), "table/issuer");
}

/// An order for a profile that is no person's, and one of another trust level than the profile's.
#[test]
fn an_order_reaches_no_profile_of_another_level() {
    let mut desk = Desk::new(shipped());
    let lower = profile_text(AUTHENTICATION).replace("\"loa3\"", "\"loa2\"");
    desk.profile = Profile::parse(lower.as_bytes()).unwrap();
    assert_eq!(desk.rule(&text()), "routine/office-visit/level");

    desk.profile = profile("function");
    assert_eq!(desk.rule(&text()), "order/profile");
}

/// ISS-10: trust level 3 without a maker's evidence is of environment test alone.
#[test]
fn trust_level_3_needs_a_maker_outside_environment_test() {
    let mut desk = Desk::new(shipped());
    desk.moment.environment = Environment::Qa;

    assert_eq!(desk.rule(&text()), "carrier/nls-card-2023/attestation");
}

/// ISS-10: with a maker, the key that is certified is the one that the evidence is about.
#[test]
fn the_certified_key_is_the_one_that_the_maker_vouches_for() {
    let maker = TestKey::new();
    let hash = maker.public.spki_hash().to_string();
    let rule = format!("[attestation]\nkind = \"signed-statement\"\nkeys = [\"{hash}\"]\n");
    let book = edited("carriers/nls-card-2023.toml", "[attestation]\nkind = \"none\"\n", &rule);
    let desk = Desk::new(book);
    let card = crate::identity::CardNumber::parse(CARD).unwrap();
    let evidence = |key: &TestKey| {
        let statement = crate::carrier::KeyEvidence::statement(&key.public, Some(&card));
        Some((maker.public.spki_der().to_vec(), maker.sign_bytes(&statement)))
    };
    let good = with(|it| it.evidence = evidence(&desk.key));
    let of_other = with(|it| it.evidence = evidence(&TestKey::new()));
    let code = |desk: &Desk, text: &OrderText| {
        let admitted = desk.admit(text).unwrap();
        desk.prepare(Some(admitted), |_| {}).map_err(|error| error.refusal().rule.into_string())
    };

    let attestation = "carrier/nls-card-2023/attestation".to_owned();
    assert!(code(&desk, &good).is_ok());
    assert_eq!(code(&desk, &of_other), Err(attestation.clone()));
    assert_eq!(code(&desk, &text()), Err(attestation));
}

/// Nothing but `admit` makes an `Admitted`, and what it made holds for its profile, issuer and time.
#[test]
fn no_person_is_issued_to_without_leave_for_this() {
    let desk = Desk::new(shipped());
    let admitted = desk.admit(&text()).unwrap();
    let code = |result: Result<_, PrepareError>| result.map_err(|error| error.refusal().code);
    let late = desk.prepare(Some(admitted.clone()), |ask| ask.now = NOW + 1);
    assert_eq!(code(late), Err("not-admitted"));

    let signature = profile("person-hsaid-3-signature");
    let hierarchy = Hierarchy::new(&[AUTHENTICATION, "person-hsaid-3-signature"]);
    let request = desk.key.request(|_| {});
    let mut ask =
        Ask::new(&signature, Signer::Issuer(&hierarchy.issuing), KeySource::Request(&request));
    ask.admitted = Some(admitted);
    assert_eq!(ask.refusal(), "not-admitted");
}

/// The names in the certificate are those of the order.
#[test]
fn a_certificate_says_what_its_order_says() {
    let desk = Desk::new(shipped());
    let rule = |wishes: fn(&mut Ask<'_>)| {
        let admitted = desk.admit(&text()).unwrap();
        desk.prepare(Some(admitted), wishes).map_err(|error| error.refusal().rule.into_string())
    };
    let refused = |rule: &str| Err(format!("order/{rule}"));

    assert!(rule(|_| {}).is_ok());
    let number = rule(|ask| ask.fields.personal_identity_number = Some("191003229802".to_owned()));
    assert_eq!(number, refused("identity"));
    let card = rule(|ask| ask.fields.card_number = Some("9752269874512325437".to_owned()));
    assert_eq!(card, refused("card-number"));
    let organisation = rule(|ask| ask.fields.organization = Some("Another".to_owned()));
    assert_eq!(organisation, refused("organisation"));
}

/// A reserve card ends when its order says, and not without; of an order's two organisations the profile says
/// which one the certificate names.
#[test]
fn a_reserve_card_has_the_end_and_the_organisation_of_its_order() {
    let day = 86_400;
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let order = |until: Option<u64>| {
        with(|it| {
            it.routine = "reserve-card-3".to_owned();
            it.orderer = pair("reserve-card-administrator-3", "actor-1");
            it.carrier = "reserve-card-2023".to_owned();
            it.approvals = ["actor-2", "actor-3"].map(|who| (who.to_owned(), at(EARLIER))).into();
            it.issuing_organisation = Some(pair("Utgivare", "5565594230"));
            it.valid_until = until.map(at);
        })
    };
    let desk = |source: &str| {
        let text = profile_text(RESERVE).replacen("user-organization", source, 1);
        Desk { profile: Profile::parse(text.as_bytes()).unwrap(), ..Desk::of(RESERVE, shipped()) }
    };
    let outcome = |source: &str, until: Option<u64>| {
        let desk = desk(source);
        let text = order(until);
        let read = Order::read(&text, &desk.book, Environment::Test).unwrap();
        let admitted = desk.admit(&text).unwrap();
        let request = desk.key.request(|_| {});
        let mut ask =
            Ask::new(&desk.profile, Signer::Issuer(&desk.issuer), KeySource::Request(&request));
        (ask.way, ask.ends_at, ask.fields.organization) = (Way::Order, None, None);
        ask.admitted = Some(admitted);
        read.fill(&mut ask.fields, &desk.profile);
        let prepared = ask.prepare().map_err(|error| error.refusal().code)?;
        let facts = prepared.facts();
        let organisation = facts.subject.text_of(x509::oid::attribute::ORGANIZATION).unwrap();
        Ok((organisation, facts.validity.not_after(), facts.policy.unwrap().to_string()))
    };
    let policy = "1.3.6.1.4.1.32473.1.3.11".to_owned();
    let until = NOW + 14 * day;

    let issued = outcome("user-organization", Some(until));
    assert_eq!(issued, Ok(("Sigill Test".to_owned(), at(until), policy.clone())));
    let issued = outcome("issuing-organization", Some(until));
    assert_eq!(issued, Ok(("Utgivare".to_owned(), at(until), policy)));
    assert_eq!(outcome("user-organization", None), Err("end-missing"));
    assert_eq!(outcome("user-organization", Some(NOW + 91 * day)), Err("end-not-allowed"));
}

/// ISS-09: the earliest of what could end a certificate does, and is named.
#[test]
fn a_certificate_ends_with_its_order_and_its_carrier() {
    let day = 86_400;
    let ended = |book: &Book, until: Option<u64>| {
        let prepared = Desk::new(book.clone()).prepared(until).unwrap();
        let facts = prepared.facts();
        (facts.validity.not_after(), facts.ended_by.clone())
    };
    let long = shipped();
    assert_eq!(ended(&long, Some(NOW + 14 * day)), (at(NOW + 14 * day), EndedBy::Order));
    assert_eq!(ended(&long, None), (at(NOW - 300 + 730 * day - 1), EndedBy::Profile));
    let short = edited("carriers/nls-card-2023.toml", "\"1826d\"", "\"30d\"");
    assert_eq!(ended(&short, None), (at(NOW + 30 * day), EndedBy::Carrier));
    assert_eq!(ended(&short, Some(NOW + 60 * day)), (at(NOW + 30 * day), EndedBy::Carrier));
    assert_eq!(ended(&short, Some(NOW + 30 * day)), (at(NOW + 30 * day), EndedBy::Order));
    let scope = "scope  = { levels = [\"loa2\"] }\n";
    let ninety = "[[restriction]]\nid = \"ninety-days\"\nsays = \"new cards end soon\"\nsource = \"a test\"\n\
                  from = 2020-01-01\nscope = { levels = [\"loa3\"] }\nlongest = \"90d\"\n";
    let limited = edited("rules/loa2.toml", scope, &format!("{scope}\n{ninety}"));
    let by_rule = EndedBy::Rule("rules/ninety-days".to_owned());
    assert_eq!(ended(&limited, None), (at(NOW + 90 * day), by_rule));
}

/// ISS-09: a profile may want that nothing is ordered past the life of the carrier.
#[test]
fn an_order_past_its_carrier_is_refused_where_the_profile_says_so() {
    let short = edited("carriers/nls-card-2023.toml", "\"1826d\"", "\"30d\"");
    let ordered = |past: &str, until: u64| {
        let mut desk = Desk::new(short.clone());
        let issuer = "past-issuer = \"refuse\"";
        let text = profile_text(AUTHENTICATION);
        let text = text.replace(issuer, &format!("{issuer}\npast-carrier = \"{past}\""));
        desk.profile = Profile::parse(text.as_bytes()).unwrap();
        desk.prepared(Some(until)).map(|prepared| prepared.facts().ended_by.clone())
    };
    let last = NOW + 30 * 86_400;

    assert_eq!(ordered("refuse", last).unwrap(), EndedBy::Order);
    let refused = ordered("refuse", last + 1).unwrap_err();
    assert_eq!((refused.refusal().code, refused.is_for_now()), ("outlives-carrier", true));
    assert_eq!(ordered("cap", last + 1).unwrap(), EndedBy::Carrier);
}

/// The dated rules hold for orders and for calls without one, and are named.
#[test]
fn a_dated_rule_refuses_by_its_name() {
    let mut desk = Desk::new(shipped());
    desk.profile = profile("person-hsaid-2-authentication");
    desk.issuer = desk.issuer.of_class(IssuerClass::new("person-hsaid-2").unwrap());
    let of_level_2 = |now: UnixTime| {
        with(|it| {
            it.routine = "office-visit-2".to_owned();
            it.identity_kind = "samordningsnummer".to_owned();
            it.identity_number = Some("195401812390".to_owned());
            it.proofing_at = now;
            it.approvals[0].1 = now;
            it.receipt.as_mut().unwrap().2 = now;
        })
    };

    assert_eq!(desk.rule(&of_level_2(desk.moment.now)), "rules/loa2-ended");
    let direct = admit_direct(&desk.profile, &desk.issuer, &desk.book, desk.moment);
    assert_eq!(direct.unwrap_err().rule(), "rules/loa2-ended");
    // A year before it was admitted.
    desk.moment.now = at(NOW - 366 * 86_400);
    assert_eq!(desk.rule(&of_level_2(desk.moment.now)), "admitted");
}

/// A call without an order has a row of its own, in environment test alone.
#[test]
fn a_call_without_an_order_is_of_environment_test_alone() {
    let mut desk = Desk::new(shipped());
    let direct = |desk: &Desk| {
        let admitted = admit_direct(&desk.profile, &desk.issuer, &desk.book, desk.moment);
        admitted.map(|it| it.policy().to_string()).map_err(|error| error.rule().to_owned())
    };
    assert_eq!(direct(&desk), Ok("1.3.6.1.4.1.32473.1.9.1".to_owned()));
    for environment in [Environment::Qa, Environment::Prod] {
        desk.moment.environment = environment;
        assert_eq!(direct(&desk), Err("table/no-row".to_owned()));
    }
}

/// A desk that issues to functions, whose policy the table says.
fn function_desk() -> Desk {
    let own = "[[policy]]\noid = \"1.3.6.1.4.1.32473.1.1.2\"";
    let text = profile_text("function-ec");
    assert!(text.contains(own));
    let text = text.replace(own, "[[policy]]\nfrom = \"table\"");
    let mut files = book_files();
    files.iter_mut().find(|(name, _)| name == "function-ec.toml").unwrap().1.clone_from(&text);
    let rule = "version = 1\n\n[[restriction]]\nid = \"pause\"\nsays = \"nothing\"\nsource = \"none\"\n\
        from = 2030-01-01\nscope = { profiles = [\"function-ec\", \"function\"] }\n";
    files.push(("rules/pause.toml".to_owned(), rule.to_owned()));
    let hierarchy = Hierarchy::new(&["function-ec"]);
    Desk {
        book: read_book(&files).unwrap_or_else(|errors| panic!("{errors}")),
        issuer: hierarchy.issuing.clone().of_class(IssuerClass::new("function-ec").unwrap()),
        profile: Profile::parse(text.as_bytes()).unwrap(),
        key: TestKey::new(),
        moment: Moment { now: at(NOW), environment: Environment::Prod },
    }
}

/// PRO-10, PRO-11: a function's profile may take its policy from the table as a person's does, in every
/// environment: by its issuer's class and the day.
#[test]
fn a_function_has_the_policy_of_its_row() {
    let mut desk = function_desk();
    let direct = |desk: &Desk| {
        let admitted = admit_direct(&desk.profile, &desk.issuer, &desk.book, desk.moment);
        admitted.map(|it| it.policy().to_string()).map_err(|error| error.rule().to_owned())
    };
    let policy = "1.3.6.1.4.1.32473.1.1.2".to_owned();
    assert_eq!(direct(&desk), Ok(policy.clone()));
    let admitted = admit_direct(&desk.profile, &desk.issuer, &desk.book, desk.moment).unwrap();
    let issued = desk.prepare(Some(admitted), |ask| ask.way = Way::Direct).unwrap();
    assert_eq!(issued.to_string(), policy);

    // A sample of it can be made too.
    let sample = crate::profile::example(&desk.profile, desk.key.public.key_type(), at(NOW));
    assert!(sample.is_ok(), "{sample:?}");

    let before_its_row = Moment { now: at(1_700_000_000), ..desk.moment };
    let early = admit_direct(&desk.profile, &desk.issuer, &desk.book, before_its_row);
    assert_eq!(early.unwrap_err().rule(), "table/no-row");
    desk.issuer = desk.issuer.of_class(IssuerClass::new("function").unwrap());
    assert_eq!(direct(&desk), Err("table/issuer".to_owned()));
    desk.profile = profile("ocsp");
    assert_eq!(direct(&desk), Err("table/no-row".to_owned()));
}

/// A dated rule that names a function's profile holds for it, also where the profile states its policy itself.
#[test]
fn a_dated_rule_holds_for_functions() {
    let mut desk = function_desk();
    let in_2030 = Moment { now: at(1_900_000_000), ..desk.moment };
    for name in ["function-ec", "function"] {
        desk.profile = if name == "function" { profile(name) } else { desk.profile };
        let now = admit_direct(&desk.profile, &desk.issuer, &desk.book, desk.moment);
        assert!(now.is_ok(), "{name}: {now:?}");
        let then = admit_direct(&desk.profile, &desk.issuer, &desk.book, in_2030);
        assert_eq!(then.unwrap_err().rule(), "rules/pause", "{name}");
    }
}

/// A routine of the future: an eID in exchange for another approved e-legitimation. Two files and two
/// rows, no code.
#[test]
fn a_new_routine_is_two_files() {
    let mut files: BTreeMap<_, _> = book_files().into_iter().collect();
    let methods = files.get_mut("lists/proofing-methods.toml").unwrap();
    methods.push_str(
        r#"
[[method]]
id       = "approved-e-legitimation"
title    = { sv = "Annan godkänd e-legitimation", en = "Another approved e-legitimation" }
levels   = ["loa3"]
presence = "remote"
from     = 2026-01-01
"#,
    );
    files.insert(
        "routines/exchange-from-e-legitimation.toml".to_owned(),
        r#"
name       = "exchange-from-e-legitimation"
version    = 1
title      = { sv = "Byte från annan e-legitimation", en = "Exchange of another e-legitimation" }
source     = "made for this test"
from       = 2026-01-01
ordered-by = ["holder"]
proofing   = ["approved-e-legitimation"]
carriers   = ["mobile-device"]
levels     = ["loa3"]
identities = ["personnummer"]
minimum-age = 18
receipt    = "after-issuing"
receipt-forms = ["electronic"]
"#
        .to_owned(),
    );
    let table = files.get_mut("tables/policies.toml").unwrap();
    for (number, profile) in [(41, AUTHENTICATION), (42, "person-hsaid-3-signature")] {
        table.push_str(&format!(
            r#"
[[row]]
policy   = "1.3.6.1.4.1.32473.1.3.{number}"
profile  = "{profile}"
issuer   = "person-hsaid-3"
carrier  = "mobile-device"
identity = "personnummer"
level    = "loa3"
routine  = "exchange-from-e-legitimation"
from     = 2026-01-01
"#
        ));
    }
    let book = read_book(&files.into_iter().collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{e}"));
    let desk = Desk::new(book);
    let order = with(|it| {
        it.routine = "exchange-from-e-legitimation".to_owned();
        it.orderer = ("holder".to_owned(), "holder-7".to_owned());
        it.proofing = "approved-e-legitimation".to_owned();
        it.carrier = "telephone".to_owned();
        it.card_number = None;
        it.approvals.clear();
        it.receipt = None;
    });

    let admitted = desk.admit(&order).unwrap_or_else(|refusal| panic!("{refusal}"));
    let policy = desk.prepare(Some(admitted), |ask| ask.fields.card_number = None).unwrap();

    assert_eq!(policy.to_string(), "1.3.6.1.4.1.32473.1.3.41");
    assert_eq!(Desk::new(shipped()).rule(&order), "order/routine");
}
