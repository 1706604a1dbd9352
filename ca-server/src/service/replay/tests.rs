use ca::audit::{Actor, EventCode, EventResult, ObjectIds};
use store::{CertificateId, OrderId, Subject};

use super::*;
use crate::service::testing::World;

const PROFILE: &str = include_str!("../../../../profiles/function-ec.toml");

/// A world that has registered its profiles and issued `count` certificates.
fn world(count: usize) -> World {
    let world = World::new();
    world.service.register_profiles().unwrap();
    for number in 0..count {
        world.issue(&number.to_string()).unwrap();
    }
    world
}

fn asked(profile: &str) -> ReplayRequest {
    ReplayRequest { profile: profile.to_owned(), cursor: None, limit: None }
}

/// The shipped profile with this in place of that, as its next version.
fn edited(from: &str, to: &str) -> String {
    assert!(PROFILE.contains(from), "{PROFILE}");
    PROFILE.replacen(from, to, 1).replacen("version     = 1", "version     = 2", 1)
}

/// PRO-19: under the version that it was issued by, every issuance is the same; also page by page.
#[test]
fn an_unchanged_profile_changes_nothing() {
    let world = world(7);
    let sizes = world.counts();

    let page = world.service.replay(&asked(PROFILE), Protected::Unseen).unwrap();

    assert_eq!((page.replayed, page.same, page.items.len()), (7, 7, 0), "{:?}", page.items);
    assert_eq!((page.profile.as_str(), page.version, page.next), ("function-ec", 1, None));
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let asked = ReplayRequest { cursor: cursor.take(), limit: Some(3), ..asked(PROFILE) };
        let page = world.service.replay(&asked, Protected::Unseen).unwrap();
        seen.push((page.replayed, page.same));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [(3, 3), (3, 3), (1, 1)]);
    assert_eq!(world.counts(), sizes, "nothing was recorded");
}

/// AUD-02: that sealed fields were opened is in the audit log, by page and client.
#[test]
fn each_page_is_in_the_audit_log() {
    let world = world(3);
    let asked = ReplayRequest { limit: Some(2), ..asked(PROFILE) };

    let operator = Caller {
        name: "operator".to_owned(),
        revoker: ca::revocation::Revoker::Operator,
        ..world.caller()
    };
    let replay = |caller: &Caller| world.service.replay_for(caller, "call-1", &asked);

    // API-04: whoever asks is judged where the work is done.
    let blind = Caller { read: false, ..operator.clone() };
    for caller in [world.caller(), blind] {
        assert_eq!(replay(&caller).unwrap_err().refusal.code, "client-not-allowed");
    }
    assert_eq!(world.leaves(EventCode::SealedRead), 0);
    let page = replay(&operator).unwrap();

    assert_eq!((page.replayed, page.same), (2, 2));
    assert_eq!(world.leaves(EventCode::SealedRead), 1);
    let leaf = world.last_payload(EventCode::SealedRead);
    assert_eq!((leaf["client"].as_str(), leaf["replayed"].as_u64()), (Some("operator"), Some(2)));
    assert_eq!(leaf["profile"], "function-ec");
}

/// A changed one says which certificates differ and in what, with values: they are of functions.
#[test]
fn a_changed_profile_says_what_would_differ() {
    let world = world(3);
    let changed = edited("lifetime    = \"730d\"", "lifetime    = \"365d\"");

    let page = world.service.replay(&asked(&changed), Protected::Unseen).unwrap();

    assert_eq!((page.replayed, page.same, page.items.len()), (3, 0, 3));
    for item in &page.items {
        assert_eq!(item.outcome, ReplayOutcome::Differs);
        let [difference] = item.differences.as_slice() else { panic!("{item:?}") };
        assert_eq!(difference.field, "validity");
        assert!(difference.was.is_some() && difference.was != difference.would_be);
        assert!(world.service.show(&item.certificate).is_ok());
    }
}

/// What the changed profile refuses is told by code and rule, and not by what was seen.
#[test]
fn what_is_refused_now_says_so() {
    let world = world(2);
    let keys = "allow = [\"rsa-3072\", \"rsa-4096\", \"rsa-2048\", \"ec-p256\", \"ec-p384\"]";
    let changed = edited(keys, "allow = [\"ec-p384\"]");

    let page = world.service.replay(&asked(&changed), Protected::Unseen).unwrap();

    assert_eq!((page.replayed, page.same, page.items.len()), (2, 0, 2));
    let refused = page.items[0].refusal.as_ref().unwrap();
    assert_eq!(page.items[0].outcome, ReplayOutcome::NowRefused);
    assert_eq!(refused.code, "key-not-allowed");
}

/// DAT-06: an order whose data key was deleted is counted, and nothing of it is told.
#[test]
fn a_forgotten_order_is_counted_as_such() {
    let world = world(2);
    let newest = &world
        .service
        .store()
        .issuances("function-ec", None, 1, Protected::Seen)
        .unwrap()
        .issuances[0];
    let order = order_of(&world, newest.certificate);
    let record = Service::record(
        EventCode::SubjectErased,
        EventResult::Done,
        Actor::System([0; 16]),
        ObjectIds::default(),
        None,
        &serde_json::json!({}),
        Subject::Deployment,
    );
    world.service.store().forget(&Subject::Order(order), &record, world.now()).unwrap();
    let changed = edited("lifetime    = \"730d\"", "lifetime    = \"365d\"");

    let page = world.service.replay(&asked(&changed), Protected::Unseen).unwrap();

    let outcomes: Vec<_> = page.items.iter().map(|item| item.outcome).collect();
    assert_eq!(outcomes, [ReplayOutcome::Forgotten, ReplayOutcome::Differs]);
    assert!(page.items[0].differences.is_empty());
}

fn order_of(world: &World, certificate: CertificateId) -> OrderId {
    let lookup = store::CertificateLookup::Id(certificate);
    world.service.store().certificate(&lookup).unwrap().unwrap().row.order.unwrap()
}

/// What was issued by a version whose file nobody kept cannot be replayed, and says why.
#[test]
fn an_issuance_of_an_unknown_version_is_unreadable() {
    let world = World::new();
    world.issue("one").unwrap();

    let page = world.service.replay(&asked(PROFILE), Protected::Unseen).unwrap();

    let [item] = page.items.as_slice() else { panic!("{:?}", page.items) };
    assert_eq!(item.outcome, ReplayOutcome::Unreadable);
    assert!(item.why.as_ref().unwrap().contains("not kept"), "{item:?}");
}

/// A retired authority issues no more; what it has issued is replayed all the same.
#[test]
fn what_a_retired_authority_issued_is_replayed() {
    let mut world = world(1);
    let authority = world.service.authorities.get_mut("issuing").unwrap();
    let section = &authority.section;
    let retired = ca::key_period::KeyPeriod::new(None, None, ca::key_period::KeyState::Retired);
    let settings = ca::issuer::IssuerSettings {
        name: section.name.clone(),
        algorithm: authority.issuer.algorithm(),
        crl_url: section.crl_url.clone(),
        ocsp_url: section.ocsp_url.clone(),
        aia_url: section.aia_url.clone(),
        profiles: authority.issuer.profiles().to_vec(),
        crl_scope_stated: ca::issuer::CrlScopeStated::No,
        period: retired.unwrap(),
    };
    authority.issuer = Issuer::new(authority.certificate.clone(), settings).unwrap();

    let page = world.service.replay(&asked(PROFILE), Protected::Unseen).unwrap();

    assert_eq!((page.replayed, page.same), (1, 1), "{:?}", page.items);
}

#[test]
fn refuses_what_is_no_profile_of_subscribers_and_no_page() {
    let world = World::new();
    let code = |asked: &ReplayRequest| {
        world.service.replay(asked, Protected::Unseen).unwrap_err().refusal.code
    };

    assert_eq!(code(&asked("name = 1")), "profile-not-replayable");
    let root = include_str!("../../../../profiles/root.toml");
    assert_eq!(code(&asked(root)), "profile-not-replayable");
    assert_eq!(code(&ReplayRequest { limit: Some(501), ..asked(PROFILE) }), "query-malformed");
    assert_eq!(code(&ReplayRequest { limit: Some(0), ..asked(PROFILE) }), "query-malformed");
    let cursor = Some("yesterday".to_owned());
    assert_eq!(code(&ReplayRequest { cursor, ..asked(PROFILE) }), "query-malformed");
}
