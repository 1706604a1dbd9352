//! API-01, API-05: whose word about who acts is taken. eIDs are in the refusals, where an API issues them.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use ca::actor::statement::{Claims, ProviderTerms, signing_input};
use ca::audit::Actor;
use ca::operation::Business;
use ca::role::{Protected, Reach, Role};
use x509::jws::{self, JwsAlgorithm};

use super::*;
use crate::service::testing::World;
use crate::statements::Provider;

const ADMINISTRATOR: &str = "TSTNMT2321000156-1001";
const BODY: [u8; 32] = [0xab; 32];

/// An operator of the CA of this HSA-id, of whom a statement has been taken.
pub(crate) fn who_has_signed(world: &World, hsa_id: &str, number: u8) -> Arc<Acting> {
    let acts = ActsAs::Administrator(Role::Operator, Protected::Unseen);
    let id = ActorId::new(hsa_id).unwrap();
    let used = StatementUse {
        reads: false,
        name: [number; 32],
        signed: [number; 32],
        eid: None,
        administrator: term_of(&id),
        drawn: [number; 16],
        again: Again::Never,
        until: world.now(),
    };
    let record = Service::record(
        EventCode::ActorStated,
        EventResult::Done,
        world.service.system(),
        ObjectIds::of_act([Some(client_object("portal"))]),
        None,
        &json!({}),
        Subject::Deployment,
    );
    let stated = world.service.store().take_statement(&used, &record, world.now()).unwrap();
    Arc::new(Acting { id, eid: None, acts, organisation: None, stated })
}

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
            roles: vec!["management-administrator".to_owned()],
            organisation: None,
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
            operation: Some(Operation::IssueCertificate),
            limited_to: None,
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
    desk.acting(&order, Again::SameCall).unwrap();

    assert_eq!(desk.acting(&read, Again::Never), Err("actor-statement-replayed"));
    desk.acting(&order, Again::SameCall).unwrap();
    // Signed anew, it is the same statement; about anything else it is another one.
    let anew = desk.signed("idp-1", &desk.claims("order-0123456789abcdef"));
    assert_eq!(desk.acting(&anew, Again::Never), Err("actor-statement-replayed"));
    let mut claims = desk.claims("order-0123456789abcdef");
    claims.exp += 1;
    let other = desk.signed("idp-1", &claims);
    assert_eq!(desk.acting(&other, Again::SameCall), Err("actor-statement-replayed"));
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

/// *Handläggare*.
const DESK: ActsAs = ActsAs::Administrator(Role::IdAdministrator, Protected::Unseen);

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
        let acting = id.map(|id| {
            Arc::new(Acting {
                id: ActorId::new(id).unwrap(),
                eid: None,
                acts: DESK,
                organisation: None,
                stated: Position { epoch: 1, index: 0 },
            })
        });
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
    // ISS-14: that another has approved it is not for one to say.
    assert_eq!(judged(&desk, Some(&orderer), &ordered), Err("order-in-steps"));
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
    assert_eq!(judged(&desk, Some(&orderer), &ordered), Ok(()), "the demo's setting");
    assert_eq!(judged(&desk, Some("administrator-9"), &ordered), Err("actor-not-orderer"));
}

/// API-04: every role against every operation of the API, by statements that are signed: what the table has no cell for is refused by its
/// code, and nothing is taken of it.
#[test]
fn every_role_does_what_its_row_says_and_nothing_else() {
    let desk = Desk::new();
    let here = organisation(&desk);
    let mut taken = 0;
    for role in Role::ALL {
        for operation in Operation::ALL.iter().filter(|one| one.business() != Business::Own) {
            let mut claims = desk.claims(&format!("{}-{role}-0123456789", operation.id()));
            claims.method = operation.method().to_owned();
            claims.target = operation.path().to_owned();
            claims.roles = vec![role.name().to_owned()];
            claims.organisation = (role.reach() == Reach::Organisation).then(|| here.to_string());
            let text = desk.signed("idp-1", &claims);

            let acting = desk.world.service.acting(&Stated {
                text: &text,
                operation: Some(*operation),
                limited_to: None,
                client: "portal",
                method: operation.method(),
                target: operation.path(),
                body_sha256: BODY,
                idempotency_key: Some("order-1"),
                again: Again::Never,
                correlation_id: "000102030405060708090a0b0c0d0e0f",
                now: desk.now(),
            });

            let code = acting.map_err(|denied| denied.refusal.code).map(|_| ());
            // Without the additional role: what is about protected persons is nobody's.
            let may = role.may(*operation) && !operation.is_about_protected_persons();
            let expected = match (role, may) {
                // By itself it is no role.
                (Role::Confidentiality, _) => Err("actor-roles"),
                (_, true) => Ok(()),
                (_, false) => Err("actor-role-refused"),
            };
            assert_eq!(code, expected, "{role}: {operation:?}");
            taken += usize::from(expected.is_ok());
        }
    }
    assert_eq!(desk.world.leaves(EventCode::ActorStated), taken);
}

/// An area in the tree.
fn organisation(desk: &Desk) -> OrganisationId {
    let id = OrganisationId::from_bytes([0x0f; 16]);
    let text =
        ca::organisation::OrganisationText { name: "Exempellän", number: None, office: None };
    let days = ca::organisation::Days::new("2020-01-01".parse().unwrap(), None).unwrap();
    let kind = ca::organisation::OrganisationKind::IssuingArea;
    let organisation = ca::organisation::Organisation::new(id, None, kind, days, &text).unwrap();
    let change = store::OrganisationChange {
        organisation,
        rests_on: None,
        order: store::OrderId::from_bytes([1; 16]),
        scope: Scope::All,
        today: "2026-11-23".parse().unwrap(),
    };
    let record = Service::record(
        EventCode::OrganisationAdded,
        EventResult::Done,
        desk.world.service.system(),
        ObjectIds::default(),
        None,
        &json!({}),
        Subject::Deployment,
    );
    desk.world.service.store().put_organisation(&change, &record, desk.now()).unwrap();
    id
}

/// API-04: a role on an organisation makes the call one of that organisation, whatever the client may; and the client must reach it.
#[test]
fn a_role_reaches_its_organisation_and_through_a_client_that_does() {
    let desk = Desk::new();
    let here = organisation(&desk);
    let elsewhere = OrganisationId::from_bytes([9; 16]);
    let judged = |on: &str, limited_to: Option<&[OrganisationId]>| {
        let mut claims =
            desk.claims(&format!("statement-of-{on}-{}", limited_to.map_or(0, <[_]>::len)));
        claims.roles = vec!["id-administrator".to_owned()];
        claims.organisation = Some(on.to_owned());
        let text = desk.signed("idp-1", &claims);
        let acting = desk.world.service.acting(&Stated { limited_to, ..stated(&desk, &text) });
        acting.map_err(|denied| (denied.kind, denied.refusal.code))
    };
    let refused = Err((Kind::Forbidden, "actor-organisation-refused"));

    let acting = judged(&here.to_string(), None).unwrap();
    assert!(judged(&here.to_string(), Some(&[here])).is_ok());
    for (on, limited_to) in [
        (here.to_string(), Some(&[elsewhere, elsewhere][..])),
        (elsewhere.to_string(), None),
        ("2321000131".to_owned(), None),
    ] {
        assert_eq!(judged(&on, limited_to), refused, "{on}");
    }
    let mut caller = Caller { revoker: ca::revocation::Revoker::Operator, ..desk.world.caller() };
    caller.act_by(acting);
    assert_eq!(caller.limited_to(), Some(&[here][..]), "also of an operator's client");
}

fn stated<'a>(desk: &Desk, text: &'a str) -> Stated<'a> {
    Stated {
        text,
        operation: Some(Operation::IssueCertificate),
        limited_to: None,
        client: "portal",
        method: "POST",
        target: "/v1/certificates",
        body_sha256: BODY,
        idempotency_key: Some("order-1"),
        again: Again::Never,
        correlation_id: "000102030405060708090a0b0c0d0e0f",
        now: desk.now(),
    }
}
