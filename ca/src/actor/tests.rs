//! API-01, API-05, ISS-14: who acts behind a client.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use x509::jws::{self, JwsAlgorithm};

use super::statement::{ActorStatement, CallFacts, Claims, ProviderTerms, SignedBy};
use super::*;
use crate::admit::tests::text;
use crate::deployment::Environment;
use crate::eid::EidHolder;
use crate::operation::Operation;
use crate::order::OrderText;
use crate::role::{Protected, Role};
use crate::testing::{NOW, TestKey, at, book_files, read_book};

const AUDIENCE: &str = "urn:sigill:test:demo:ab12:api";

fn claims() -> Claims {
    Claims {
        aud: AUDIENCE.to_owned(),
        client: "portal".to_owned(),
        method: "POST".to_owned(),
        target: "/v1/certificates".to_owned(),
        body_sha256: "ab".repeat(32),
        idempotency_key: Some("order-17".to_owned()),
        jti: "0123456789abcdef".to_owned(),
        iat: NOW - 5,
        exp: NOW + 60,
        roles: Vec::new(),
        organisation: None,
        iss: None,
        sub: None,
        acr: None,
        auth_time: None,
    }
}

fn call() -> CallFacts<'static> {
    CallFacts {
        audience: AUDIENCE,
        client: "portal",
        method: "POST",
        target: "/v1/certificates",
        body_sha256: [0xab; 32],
        idempotency_key: Some("order-17"),
        now: at(NOW),
        age: Duration::from_secs(300),
    }
}

/// A statement with these claims, signed by nobody.
fn unsigned(claims: &Claims) -> String {
    let signed_by = SignedBy::Eid([7; 32]);
    let input = statement::signing_input(JwsAlgorithm::Es256, &signed_by, claims).unwrap();
    jws::compact(&input, &[1; 64])
}

fn of(header: &str, payload: &str) -> String {
    jws::compact(&jws::signing_input(header.as_bytes(), payload.as_bytes()), &[1; 64])
}

fn code_of(text: &str) -> &'static str {
    ActorStatement::parse(text).unwrap_err().code
}

fn judged(claims: &Claims, call: &CallFacts<'_>) -> Result<(), &'static str> {
    ActorStatement::parse(&unsigned(claims)).unwrap().judge(call).map_err(|refused| {
        assert!(!refused.seen.is_empty() && !refused.limit.is_empty(), "{refused:?}");
        refused.code
    })
}

#[test]
fn a_statement_about_exactly_this_call_is_taken() {
    assert_eq!(judged(&claims(), &call()), Ok(()));
}

/// API-01: one thing of the call is another, and the statement is not about it.
#[test]
fn a_statement_about_another_call_is_refused_by_a_code_of_its_own() {
    let with = |wishes: &dyn Fn(&mut Claims)| {
        let mut claims = claims();
        wishes(&mut claims);
        judged(&claims, &call())
    };
    let foreign = "urn:sigill:test:demo:zz99:api";

    assert_eq!(with(&|it| foreign.clone_into(&mut it.aud)), Err("actor-statement-audience"));
    assert_eq!(with(&|it| it.client = "other".to_owned()), Err("actor-statement-client"));
    assert_eq!(with(&|it| it.method = "GET".to_owned()), Err("actor-statement-target"));
    assert_eq!(with(&|it| it.target.push('/')), Err("actor-statement-target"));
    assert_eq!(with(&|it| it.target.push_str("?x=1")), Err("actor-statement-target"));
    assert_eq!(with(&|it| it.body_sha256 = "ac".repeat(32)), Err("actor-statement-body"));
    assert_eq!(with(&|it| it.body_sha256.make_ascii_uppercase()), Err("actor-statement-body"));
    assert_eq!(with(&|it| it.idempotency_key = None), Err("actor-statement-key"));
    let other = Some("order-18".to_owned());
    assert_eq!(with(&|it| it.idempotency_key.clone_from(&other)), Err("actor-statement-key"));
    let keyless = CallFacts { idempotency_key: None, ..call() };
    assert_eq!(judged(&claims(), &keyless), Err("actor-statement-key"));
}

/// API-01: it counts from its signature on, for as long as the CA lets it and no longer than it says.
#[test]
fn a_statement_counts_for_its_time_and_not_a_second_more() {
    let timed = |iat, exp| judged(&Claims { iat, exp, ..claims() }, &call());
    let (early, late) = (Err("actor-statement-early"), Err("actor-statement-late"));

    assert_eq!(timed(NOW + 30, NOW + 60), Ok(()));
    assert_eq!(timed(NOW + 31, NOW + 60), early);
    assert_eq!(timed(NOW - 300, NOW + 1), Ok(()));
    assert_eq!(timed(NOW - 301, NOW + 1), late);
    assert_eq!(timed(NOW - 5, NOW), late);
    assert_eq!(timed(0, u64::MAX), late);
    assert_eq!(timed(u64::MAX, u64::MAX), early);
    let read = ActorStatement::parse(&unsigned(&claims())).unwrap();
    assert_eq!(read.until(Duration::from_secs(300)), Some(at(NOW + 59)));
    assert_eq!(read.until(Duration::from_secs(10)), Some(at(NOW + 5)));
}

/// RFC 8725 §3: no algorithm but the three, no key from the message, nothing that is not understood.
#[test]
fn what_is_no_statement_is_refused() {
    let payload = serde_json::to_string(&claims()).unwrap();
    let hash = jws::text(&[7; 32]);
    let header = |text: &str| text.replace('#', &format!("\"x5t#S256\":\"{hash}\""));
    let sound = header(r#"{"alg":"ES256","typ":"sigill-actor+jwt",#}"#);
    assert!(ActorStatement::parse(&of(&sound, &payload)).is_ok());
    for alg in ["none", "None", "HS256", "ES384", "EdDSA", ""] {
        let text = of(&sound.replace("ES256", alg), &payload);
        assert_eq!(code_of(&text), "actor-statement-algorithm", "{alg}");
    }
    for other in [
        header(r#"{"alg":"ES256",#}"#),
        header(r#"{"alg":"ES256","typ":"JWT",#}"#),
        header(r#"{"alg":"ES256","typ":"sigill-actor+jwt","kid":"idp",#}"#),
        r#"{"alg":"ES256","typ":"sigill-actor+jwt"}"#.to_owned(),
        r#"{"alg":"ES256","typ":"sigill-actor+jwt","x5t#S256":"AAAA"}"#.to_owned(),
        header(r#"{"alg":"ES256","alg":"ES256","typ":"sigill-actor+jwt",#}"#),
        header(r#"{"alg":"ES256","typ":"sigill-actor+jwt","crit":["b64"],"b64":false,#}"#),
        header(r#"{"alg":"ES256","typ":"sigill-actor+jwt","x5c":["MIIB"],#}"#),
        header(r#"{"alg":"ES256","typ":"sigill-actor+jwt","jwk":{"kty":"EC"},#}"#),
        header(r#"{"alg":"ES256","typ":"sigill-actor+jwt","jku":"https://example.org",#}"#),
        header(r#"{"alg":"ES256","typ":"sigill-actor+jwt",#} "#) + "x",
        "[]".to_owned(),
        String::new(),
    ] {
        assert_eq!(code_of(&of(&other, &payload)), "actor-statement-malformed", "{other}");
    }
    let claimed = payload.strip_suffix('}').unwrap();
    for other in [
        "{}".to_owned(),
        "x".to_owned(),
        format!("{claimed},\"role\":\"au\"}}"),
        format!("{claimed},\"roles\":\"reader\"}}"),
        format!("{claimed},\"aud\":\"{AUDIENCE}\"}}"),
        payload.replace(&NOW.saturating_add(60).to_string(), "1.5e9"),
        payload.replace("0123456789abcdef", "0123456789abcde"),
        payload.replace("0123456789abcdef", "0123456789 abcdef"),
        payload.replace("0123456789abcdef", &"x".repeat(129)),
    ] {
        assert_eq!(code_of(&of(&sound, &other)), "actor-statement-malformed", "{other}");
    }
    for other in ["", "a.b", "a.b.c", "....", &"a".repeat(9000)] {
        assert_eq!(code_of(other), "actor-statement-malformed", "{other}");
    }
}

/// RFC 8725 §3.1: whose key is named signed it, by the algorithm of its kind, and not a bit of it is another.
#[test]
fn a_statement_is_verified_with_the_key_that_it_names() {
    let key = TestKey::new();
    let input =
        statement::signing_input(JwsAlgorithm::Es256, &SignedBy::Eid([7; 32]), &claims()).unwrap();
    let signed = ActorStatement::parse(&jws::compact(&input, &key.raw(input.as_bytes()))).unwrap();
    let refused = |text: &str, key: &TestKey| {
        ActorStatement::parse(text).unwrap().verify(&key.public).unwrap_err().code
    };

    assert_eq!(signed.verify(&key.public), Ok(()));
    assert_eq!(signed.signed(), input);
    let text = jws::compact(&input, &key.raw(input.as_bytes()));
    assert_eq!(refused(&text, &TestKey::new()), "actor-statement-signature");
    let other = statement::signing_input(
        JwsAlgorithm::Es256,
        &SignedBy::Eid([7; 32]),
        &Claims { client: "other".to_owned(), ..claims() },
    );
    let text = jws::compact(&other.unwrap(), &key.raw(input.as_bytes()));
    assert_eq!(refused(&text, &key), "actor-statement-signature");
    // A key on P-256 makes no signatures of RSA, whatever the header says.
    let confused =
        statement::signing_input(JwsAlgorithm::Rs256, &SignedBy::Eid([7; 32]), &claims()).unwrap();
    let text = jws::compact(&confused, &key.raw(confused.as_bytes()));
    assert_eq!(refused(&text, &key), "actor-statement-algorithm");
}

/// The vector of docs/formats/actor-statement.md, which another library signed with the key of RFC 7515 A.3.
#[test]
fn the_example_of_the_format_is_a_statement() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/formats/vectors/actor-statement.jws"
    ));
    let octets = |text| jws::octets(text).unwrap();
    let x = octets("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    let y = octets("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let key = x509::key::PublicKey::from_ec_point(&[&[4][..], &x, &y].concat()).unwrap();

    let statement = ActorStatement::parse(text.trim_end()).unwrap();

    assert_eq!(statement.verify(&key), Ok(()));
    assert_eq!(*statement.signed_by(), SignedBy::Eid(Sha256::digest([0]).into()));
    let about = CallFacts { body_sha256: Sha256::digest(b"{}").into(), ..call() };
    assert_eq!(statement.judge(&about), Ok(()));
    let page =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/actor-statement.md"));
    let (_, shown) = page.split_once("## Claims\n").unwrap();
    let (shown, _) = shown.split_once("\n\n|").unwrap();
    let shown: Claims = serde_json::from_str(shown.trim()).unwrap();
    assert_eq!(*statement.claims(), shown, "the page shows it");
    assert_eq!(statement.judge_role(Some(Operation::IssueCertificate)), Ok(DESK));
}

/// A statement is one by its key and its jti: neither alone.
#[test]
fn the_name_of_a_statement_is_that_of_its_key_and_its_jti() {
    let name = |signed_by: &SignedBy, jti: &str| {
        let claims = Claims { jti: jti.to_owned(), ..claims() };
        let input = statement::signing_input(JwsAlgorithm::Es256, signed_by, &claims).unwrap();
        ActorStatement::parse(&jws::compact(&input, &[1; 64])).unwrap().name()
    };
    let (one, other) = ("0123456789abcdef", "0123456789abcdeg");
    let eid = SignedBy::Eid([7; 32]);
    let provider = |kid: &str| SignedBy::Provider(kid.to_owned());

    assert_eq!(name(&eid, one), name(&eid, one));
    let names = [
        name(&eid, one),
        name(&eid, other),
        name(&SignedBy::Eid([8; 32]), one),
        name(&provider("idp-1"), one),
        name(&provider("idp-10"), one),
    ];
    let distinct: std::collections::BTreeSet<_> = names.into_iter().collect();
    assert_eq!(distinct.len(), names.len());
}

fn provided() -> Claims {
    Claims {
        iss: Some("https://idp.example.org".to_owned()),
        sub: Some("TSTNMT2321000156-1001".to_owned()),
        acr: Some("http://id.sambi.se/loa/loa3".to_owned()),
        auth_time: Some(NOW - 3600),
        ..claims()
    }
}

/// API-03: an identity provider says who it is, at which level, and when he last proved it.
#[test]
fn an_identity_provider_is_believed_for_what_it_is_trusted_for() {
    let terms = ProviderTerms {
        issuer: "https://idp.example.org".to_owned(),
        level: "http://id.sambi.se/loa/loa3".to_owned(),
        session: Duration::from_secs(3600),
    };
    let with = |wishes: &dyn Fn(&mut Claims)| {
        let mut claims = provided();
        wishes(&mut claims);
        let read = ActorStatement::parse(&unsigned(&claims)).unwrap();
        read.judge_provider(&terms, at(NOW)).map_err(|refused| refused.code)
    };

    assert_eq!(with(&|_| {}).unwrap().as_str(), "TSTNMT2321000156-1001");
    let other = |text: &str| Some(text.to_owned());
    assert_eq!(with(&|it| it.iss = other("idp")), Err("actor-statement-issuer"));
    let level = with(&|it| it.acr = other("http://id.sambi.se/loa/loa2"));
    assert_eq!(level, Err("actor-level"));
    assert_eq!(with(&|it| it.auth_time = Some(NOW - 3601)), Err("actor-session"));
    assert_eq!(with(&|it| it.auth_time = Some(NOW + 31)), Err("actor-session"));
    for missing in [
        |it: &mut Claims| it.sub = None,
        |it: &mut Claims| it.iss = None,
        |it: &mut Claims| it.acr = None,
        |it: &mut Claims| it.auth_time = None,
        |it: &mut Claims| it.sub = Some(String::new()),
    ] {
        assert_eq!(with(&missing), Err("actor-statement-malformed"));
    }
    let read = ActorStatement::parse(&unsigned(&provided())).unwrap();
    assert_eq!(read.judge_eid_claims().unwrap_err().code, "actor-statement-malformed");
    assert_eq!(ActorStatement::parse(&unsigned(&claims())).unwrap().judge_eid_claims(), Ok(()));
}

/// Policies of rows: eIDs with an HSA-id on an ordinary card, and what else there is.
const CARD_EID: &str = "1.3.6.1.4.1.32473.1.3.1";
const CARD_SIGNATURE: &str = "1.3.6.1.4.1.32473.1.3.2";
const PERSON_ID: &str = "1.3.6.1.4.1.32473.1.5.1";
const LEVEL_2_EID: &str = "1.3.6.1.4.1.32473.1.2.1";
const WITHOUT_ORDER: &str = "1.3.6.1.4.1.32473.1.9.1";

fn eid() -> KnownEid {
    KnownEid {
        profile: Some("person-hsaid-3-authentication".parse().unwrap()),
        policy: Some(CARD_EID.parse().unwrap()),
        not_before: at(NOW - 86_400),
        not_after: at(NOW),
        state: EidState::Active,
        since: at(NOW - 86_400),
        holder: EidHolder::Unknown,
    }
}

/// API-03, API-05: an administrator signs with an eID of trust level 3 that holds at this second, and with nothing else.
#[test]
fn each_eid_that_is_no_administrators_is_refused_by_a_code_of_its_own() {
    let book = read_book(&book_files()).unwrap();
    let of = |wishes: &dyn Fn(&mut KnownEid)| {
        let mut eid = eid();
        wishes(&mut eid);
        judge_eid(&eid, &book, at(NOW)).map_err(|refused| refused.code)
    };
    let policy = |text: &'static str| of(&move |it| it.policy = Some(text.parse().unwrap()));
    let state = |state| of(&move |it| it.state = state);

    assert_eq!(of(&|_| {}), Ok(()));
    assert_eq!(policy(CARD_SIGNATURE), Err("actor-eid-kind"));
    assert_eq!(policy(PERSON_ID), Err("actor-eid-kind"), "roles are a service identity's");
    assert_eq!(policy(LEVEL_2_EID), Err("actor-eid-level"));
    assert_eq!(policy(WITHOUT_ORDER), Err("actor-eid-level"), "nobody said how he was identified");
    assert_eq!(policy("2.999.1"), Err("actor-eid-level"));
    let nobodys = |it: &mut KnownEid| (it.policy, it.profile) = (None, None);
    assert_eq!(of(&nobodys), Err("actor-eid-kind"), "taken over from another operator");
    let function = |it: &mut KnownEid| {
        (it.policy, it.profile) = (None, Some("function".parse().unwrap()));
    };
    assert_eq!(of(&function), Err("actor-eid-kind"));
    assert_eq!(state(EidState::Revoked), Err("actor-eid-revoked"));
    assert_eq!(state(EidState::Held), Err("actor-eid-held"));
    assert_eq!(state(EidState::NotActivated), Err("actor-eid-not-activated"));
    assert_eq!(of(&|it| it.not_after = at(NOW - 1)), Err("actor-eid-expired"));
    assert_eq!(of(&|it| it.not_before = at(NOW + 1)), Err("actor-eid-not-begun"));
}

fn order(wishes: impl FnOnce(&mut OrderText)) -> Order {
    let mut order = text();
    wishes(&mut order);
    Order::read(&order, &read_book(&book_files()).unwrap(), Environment::Test).unwrap()
}

/// *Handläggare*.
const DESK: ActsAs = ActsAs::Administrator(Role::IdAdministrator, Protected::Unseen);

/// API-04: who signs orders in a role that he has.
#[test]
fn an_order_is_signed_in_a_role_that_orders_so() {
    let acting = ActorId::new("actor-1").unwrap();
    let judged = |role, orderer: &str| {
        let order = order(|it| it.orderer = (orderer.to_owned(), "actor-1".to_owned()));
        let acts = ActsAs::Administrator(role, Protected::Unseen);
        judge_order(&acting, acts, &order, ActsFor::Another).map_err(|e| e.refusal().code)
    };

    assert_eq!(judged(Role::IdAdministrator, "id-administrator"), Ok(()));
    assert_eq!(judged(Role::ResponsibleIssuer, "id-administrator"), Ok(()));
    for (role, orderer) in [
        (Role::ReserveCardAdministrator2, "id-administrator"),
        (Role::ReserveCardAdministrator2, "reserve-card-administrator-3"),
        (Role::IdAdministrator, "reserve-card-administrator-2"),
        (Role::IdAdministrator, "responsible-issuer"),
        (Role::Reader, "id-administrator"),
        (Role::Operator, "id-administrator"),
    ] {
        assert_eq!(judged(role, orderer), Err("actor-role-refused"), "{role} as {orderer}");
    }
    let order = order(|_| {});
    let as_holder = judge_order(&acting, ActsAs::Holder, &order, ActsFor::Another);
    assert_eq!(as_holder.unwrap_err().refusal().code, "actor-role-refused");
}

/// API-04: one role, on one organisation where it is on one; what it may not do is refused by its name.
#[test]
fn a_statement_claims_one_role_and_where_it_is() {
    let judged = |roles: &[&str], organisation: Option<&str>, operation| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let claims = Claims { roles, organisation: organisation.map(str::to_owned), ..claims() };
        let read = ActorStatement::parse(&unsigned(&claims)).unwrap();
        read.judge_role(operation).map_err(|refused| refused.code)
    };
    let (issue, list) = (Some(Operation::IssueCertificate), Some(Operation::ListEids));
    let somewhere = Some("org_019f0000-0000-7000-8000-000000000001");

    assert_eq!(judged(&[], None, issue), Ok(ActsAs::Holder));
    assert_eq!(judged(&["id-administrator"], somewhere, issue), Ok(DESK));
    assert!(judged(&["global-reader", "confidentiality"], None, list).is_ok());
    assert_eq!(judged(&[], None, list), Err("actor-role-refused"));
    assert_eq!(judged(&["reader"], somewhere, issue), Err("actor-role-refused"));
    assert!(judged(&["reader"], somewhere, None).is_ok(), "what needs nobody");
    for (roles, organisation) in [
        (&["id-administrator"][..], None),
        (&["global-reader"], somewhere),
        (&[], somewhere),
        (&["reader", "revoker"], somewhere),
        (&["confidentiality"], None),
        (&["root"], None),
    ] {
        assert_eq!(judged(roles, organisation, list), Err("actor-roles"), "{roles:?}");
    }
}

/// ISS-14: who signs is who ordered, under one spelling of his id, and not whom it is for.
#[test]
fn one_person_in_two_duties_is_refused() {
    let acting = ActorId::new("actor-1").unwrap();
    let judged = |order: &Order, holder| {
        judge_order(&acting, DESK, order, holder).map_err(|refused| refused.refusal().code)
    };

    assert_eq!(judged(&order(|_| {}), ActsFor::Another), Ok(()));
    assert_eq!(judged(&order(|_| {}), ActsFor::Himself), Err("actor-own-eid"));
    let own = order(|it| it.holder = Some("actor-1".to_owned()));
    assert_eq!(judged(&own, ActsFor::Another), Err("actor-own-eid"));
    for role in ["id-administrator", "system"] {
        let of_another = order(|it| it.orderer = (role.to_owned(), "actor-3".to_owned()));
        assert_eq!(judged(&of_another, ActsFor::Another), Err("actor-not-orderer"), "{role}");
    }
    let by_system = order(|it| it.orderer.0 = "system".to_owned());
    assert_eq!(judged(&by_system, ActsFor::Another), Err("actor-not-orderer"));
    for spelt in [
        order(|it| it.orderer.1 = "Actor-1".to_owned()),
        order(|it| it.holder = Some("ACTOR-1".to_owned())),
        order(|it| it.proofing_by = "ACTOR-1".to_owned()),
        order(|it| it.approvals[0].0 = "aCtor-1".to_owned()),
    ] {
        assert_eq!(judged(&spelt, ActsFor::Another), Err("actor-spelling"));
    }
}

/// Self-service: the holder signs with an eID of his own, whoever the client says that he is.
#[test]
fn what_a_holder_orders_himself_he_signs_himself() {
    let acting = ActorId::new("holder-7").unwrap();
    let own = order(|it| it.orderer = ("holder".to_owned(), "holder-7".to_owned()));
    let judged =
        |acts, holder| judge_order(&acting, acts, &own, holder).map_err(|e| e.refusal().code);

    assert_eq!(judged(ActsAs::Holder, ActsFor::Himself), Ok(()));
    assert_eq!(judged(ActsAs::Holder, ActsFor::Another), Err("actor-not-holder"));
    assert_eq!(
        judged(DESK, ActsFor::Himself),
        Err("actor-role-refused"),
        "not as an administrator"
    );
}
