//! API-01, API-05: whose word about who acts is taken. eIDs are in the refusals, where an API issues them.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use ca::actor::statement::{Claims, ProviderTerms, signing_input};
use ca::audit::Actor;
use x509::jws::{self, JwsAlgorithm};

use super::*;
use crate::service::testing::World;
use crate::statements::Provider;

const ADMINISTRATOR: &str = "TSTNMT2321000156-1001";
const BODY: [u8; 32] = [0xab; 32];

/// A service that trusts an identity provider, and takes no direct calls.
struct Desk {
    world: World,
    provider: EcdsaKeyPair,
}

impl Desk {
    fn new() -> Self {
        let provider = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let mut world = World::new();
        let key = PublicKey::from_ec_point(provider.public_key().as_ref()).unwrap();
        let terms = ProviderTerms {
            issuer: "https://idp.example.org".to_owned(),
            level: "loa3".to_owned(),
            session: Duration::from_secs(3600),
        };
        world.service.actors.direct = DirectCalls::Refused;
        world.service.actors.providers.insert("idp-1".to_owned(), Provider { key, terms });
        Self { world, provider }
    }

    fn now(&self) -> UnixTime {
        self.world.service.clock().read().now
    }

    fn claims(&self, jti: &str) -> Claims {
        let now = self.now().secs();
        Claims {
            aud: self.world.service.deployment().audience(),
            client: "portal".to_owned(),
            method: "POST".to_owned(),
            target: "/v1/certificates".to_owned(),
            body_sha256: "ab".repeat(32),
            idempotency_key: Some("order-1".to_owned()),
            jti: jti.to_owned(),
            iat: now,
            exp: now + 300,
            iss: Some("https://idp.example.org".to_owned()),
            sub: Some(ADMINISTRATOR.to_owned()),
            acr: Some("loa3".to_owned()),
            auth_time: Some(now),
        }
    }

    fn signed(&self, kid: &str, claims: &Claims) -> String {
        let signed_by = SignedBy::Provider(kid.to_owned());
        let input = signing_input(JwsAlgorithm::Es256, &signed_by, claims).unwrap();
        let signature = self.provider.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        jws::compact(&input, signature.as_ref())
    }

    fn acting(&self, text: &str, again: Again) -> Result<Acting, &'static str> {
        let acting = self.world.service.acting(&Stated {
            text,
            client: "portal",
            method: "POST",
            target: "/v1/certificates",
            body_sha256: BODY,
            idempotency_key: Some("order-1"),
            again,
            correlation_id: "000102030405060708090a0b0c0d0e0f",
            now: self.now(),
        });
        acting.map_err(|denied| {
            assert_eq!(denied.kind, Kind::Unauthenticated);
            denied.refusal.code
        })
    }
}

/// AUD-04: who signed is on record, with all that he signed, behind an id that says nothing.
#[test]
fn who_acts_is_on_record() {
    let desk = Desk::new();
    let text = desk.signed("idp-1", &desk.claims("0123456789abcdef"));

    let acting = desk.acting(&text, Again::Never).unwrap();

    assert_eq!((acting.id.as_str(), acting.eid), (ADMINISTRATOR, None));
    let leaf = desk.world.leaf(EventCode::ActorStated);
    assert!(matches!(leaf.event.actor, Actor::Person(_)), "{leaf:?}");
    let call = call_of("000102030405060708090a0b0c0d0e0f");
    assert!(leaf.event.objects.iter().any(|one| one == call), "{leaf:?}");
    assert!(leaf.event.objects.iter().any(|one| one == client_object("portal")), "{leaf:?}");
    let payload = desk.world.last_payload(EventCode::ActorStated);
    assert_eq!(payload["administrator"], ADMINISTRATOR);
    assert_eq!(payload["statement"], text);
}

/// API-01: no second call with it, but the same order again.
#[test]
fn a_replayed_statement_is_refused_and_a_repeated_order_is_not() {
    let desk = Desk::new();
    let read = desk.signed("idp-1", &desk.claims("read-0123456789abcdef"));
    let order = desk.signed("idp-1", &desk.claims("order-0123456789abcdef"));

    desk.acting(&read, Again::Never).unwrap();
    desk.acting(&order, Again::SameOrder).unwrap();

    assert_eq!(desk.acting(&read, Again::Never), Err("actor-statement-replayed"));
    desk.acting(&order, Again::SameOrder).unwrap();
    // Signed anew, it is the same statement; about anything else it is another one.
    let anew = desk.signed("idp-1", &desk.claims("order-0123456789abcdef"));
    assert_eq!(desk.acting(&anew, Again::Never), Err("actor-statement-replayed"));
    let mut claims = desk.claims("order-0123456789abcdef");
    claims.exp += 1;
    let other = desk.signed("idp-1", &claims);
    assert_eq!(desk.acting(&other, Again::SameOrder), Err("actor-statement-replayed"));
}

#[test]
fn a_key_that_is_not_trusted_says_nothing_of_anybody() {
    let desk = Desk::new();
    let claims = desk.claims("0123456789abcdef");

    let unknown = desk.signed("idp-2", &claims);
    assert_eq!(desk.acting(&unknown, Again::Never), Err("actor-key-unknown"));
    let input = signing_input(JwsAlgorithm::Es256, &SignedBy::Eid([1; 32]), &claims).unwrap();
    let nobodys = jws::compact(&input, &[1; 64]);
    assert_eq!(desk.acting(&nobodys, Again::Never), Err("actor-key-unknown"));
    let other = Desk::new().signed("idp-1", &claims);
    assert_eq!(desk.acting(&other, Again::Never), Err("actor-statement-signature"));
    assert_eq!(desk.acting("none", Again::Never), Err("actor-statement-malformed"));
    assert_eq!(desk.world.leaves(EventCode::ActorStated), 0);
}

fn request(order: bool) -> api::IssueRequest {
    let page = include_str!("../../../../docs/operations/run.md");
    let (_, section) = page.split_once("\n## Orders for persons\n").unwrap();
    let (_, block) = section.split_once("```json\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let example: serde_json::Value = serde_json::from_str(block).unwrap();
    serde_json::from_value(json!({
        "profile": "person-hsaid-3-authentication",
        "csr": "",
        "subject": { "hsa_id": "TSTNMT2321000156-1002" },
        "order": order.then_some(example),
    }))
    .unwrap()
}

/// API-05, ISS-14: the last door before a person's certificate, whatever came before it.
#[test]
fn nothing_is_issued_to_a_person_that_nobody_signed_for() {
    let mut desk = Desk::new();
    let judged = |desk: &Desk, id: Option<&str>, request: &api::IssueRequest| {
        let service = &desk.world.service;
        let acting = id.map(|id| Arc::new(Acting { id: ActorId::new(id).unwrap(), eid: None }));
        let caller = Caller { acting, ..desk.world.caller() };
        let profile = service.book.profiles().by_name(&request.profile).unwrap();
        let order = request.order.as_ref().map(|order| service.order_of(order).unwrap());
        let judged = service.must_act_for(&caller, profile, request, order.as_ref());
        judged.map_err(|denied| denied.refusal.code)
    };
    let (ordered, bare) = (request(true), request(false));
    let orderer = ordered.order.as_ref().unwrap().orderer.id.clone();

    assert_eq!(judged(&desk, None, &ordered), Err("actor-statement-required"));
    assert_eq!(judged(&desk, None, &bare), Err("actor-statement-required"));
    assert_eq!(judged(&desk, Some(&orderer), &bare), Err("actor-order-missing"));
    assert_eq!(judged(&desk, Some(&orderer), &ordered), Ok(()));
    assert_eq!(judged(&desk, Some("administrator-9"), &ordered), Err("actor-not-orderer"));
    let mut own = request(true);
    own.subject.hsa_id = Some(orderer.to_uppercase());
    assert_eq!(judged(&desk, Some(&orderer), &own), Err("actor-own-eid"));
    // A function is nobody's eID.
    let function =
        api::IssueRequest { profile: "function-ec".to_owned(), order: None, ..request(false) };
    assert_eq!(judged(&desk, None, &function), Ok(()));
    desk.world.service.actors.direct = DirectCalls::Taken;
    assert_eq!(judged(&desk, None, &bare), Ok(()), "the demo's setting");
    assert_eq!(judged(&desk, Some("administrator-9"), &ordered), Err("actor-not-orderer"));
}
