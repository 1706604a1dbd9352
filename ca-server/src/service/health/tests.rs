//! KEY-09, ISS-07: nothing is recorded for a signature that is known not to come, and no refusal lasts
//! longer than its cause.

use ca::audit::EventCode;
use hsm::SigningService as _;

use super::*;
use crate::service::crl::List;
use crate::service::testing::World;

fn probe(world: &World) -> Result<(), Denied> {
    world.service.probe_signing(Instant::now())
}

fn intents(world: &World) -> usize {
    world.leaves(EventCode::CertificateIntent)
}

/// An idle CA becomes ready again without a certificate being issued.
#[test]
fn readiness_to_sign_heals_without_an_order() {
    let world = World::new();
    world.signer.works(false);
    assert!(world.issue("one").is_err());
    assert!(!world.is_ready_to_sign());

    assert_eq!(probe(&world).unwrap_err().refusal.code, "hsm-unanswered");
    assert!(!world.is_ready_to_sign());
    world.signer.works(true);
    let before = world.counts();
    probe(&world).unwrap();

    assert!(world.is_ready_to_sign());
    assert_eq!(world.counts(), before, "nothing was issued or recorded");
}

#[test]
fn a_key_that_signs_is_not_asked_for_proofs() {
    let world = World::new();

    probe(&world).unwrap();

    assert!(!world.service.wants_proofs(Instant::now()));
    assert_eq!(world.signer.proofs(), 0);
}

/// An idle CA learns that its token is dead before an order or a CRL meets it.
#[test]
fn a_key_that_nobody_uses_is_asked_for_a_proof_each_minute() {
    let world = World::new();
    world.signer.works(false);
    let later = Instant::now() + PROVE_AFTER;
    assert!(world.service.wants_proofs(later));

    assert!(world.service.probe_signing(later).is_err());

    assert!(!world.is_ready_to_sign());
    assert_eq!(world.signer.proofs(), 1);
}

/// A call waits once: what it waited for its token is taken from the time of the signature.
#[test]
fn a_call_has_one_deadline_for_a_token_that_comes_back_and_its_signature() {
    const AWAY: Duration = Duration::from_millis(600);
    let shortened = || {
        let world = World::new();
        world.signer.goes_away();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(AWAY);
                world.signer.is_lost(false);
            });
            world.issue("one").unwrap();
        });
        let given = world.signer.given.lock().unwrap().unwrap();
        given <= world.signer.deadline() - AWAY / 2
    };

    // On a machine that stalls the token may be back before the call begins to wait: then again.
    assert!((0..10).any(|_| shortened()), "no wait was taken from a signature's time");
}

/// Callers that come again and again during an outage cost no serial numbers.
#[test]
fn nothing_is_recorded_while_the_token_is_known_to_be_away() {
    let world = World::new();
    world.signer.is_lost(true);
    let before = world.counts().0;

    for _ in 0..20 {
        for key in ["one", "two"] {
            let denied = world.issue_again(key).unwrap_err();
            assert_eq!(denied.refusal.code, "hsm-token-missing");
            assert!(denied.retry_after.is_some(), "{denied}");
        }
    }

    assert_eq!((intents(&world), world.leaves(EventCode::SignatureTried)), (0, 0));
    assert_eq!(world.counts().0, before, "nothing entered the status log");
    world.service.tell_readiness_to_sign();
    assert!(!world.is_ready_to_sign());
    let told = || world.service.readiness.answer().1.0["not-signing"].clone();
    assert_eq!(told(), serde_json::json!(["issuing"]));
    world.signer.is_lost(false);
    world.issue_again("one").unwrap();
    assert_eq!(told(), serde_json::Value::Null);
    assert_eq!(world.leaves(EventCode::CertificateVoided), 0);
}

/// An intent that met the outage is voided once, when its order goes on.
#[test]
fn an_intent_that_met_the_outage_is_the_only_one_that_is_voided() {
    let world = World::new();
    world.signer.works(false);
    assert!(world.issue_again("one").is_err());
    world.signer.is_lost(true);

    for _ in 0..20 {
        assert!(world.issue_again("one").is_err());
    }

    world.signer.works(true);
    world.signer.is_lost(false);
    world.issue_again("one").unwrap();
    assert_eq!((intents(&world), world.leaves(EventCode::CertificateVoided)), (2, 1));
}

/// A token that knows of nothing and signs nothing is found out by its calls.
#[test]
fn calls_that_come_to_nothing_end_until_the_key_has_proven_itself() {
    let world = World::new();
    world.signer.works(false);

    for _ in 0..20 {
        assert_eq!(world.issue_again("one").unwrap_err().refusal.code, "hsm-unanswered");
    }

    assert_eq!(intents(&world), usize::try_from(FAILED_IN_A_ROW).unwrap());
    world.signer.works(true);
    assert!(world.issue_again("one").is_err(), "the proof comes first");
    probe(&world).unwrap();
    world.issue_again("one").unwrap();
}

#[test]
fn one_call_that_comes_to_nothing_ends_nothing() {
    let world = World::new();
    for round in ["one", "two", "three", "four", "five"] {
        world.signer.works(false);
        assert!(world.issue_again(round).is_err());
        world.signer.works(true);
        world.issue_again(round).unwrap();
        assert!(world.is_ready_to_sign());
    }
}

/// Calls that hang side by side, while others get their signatures.
#[test]
fn calls_that_hang_beside_others_that_do_not_end_nothing() {
    let world = World::new();
    let begun = Instant::now();
    world.issue("meanwhile").unwrap();
    let key = world.authority().key();
    let denied = unsigned(&SignError::UnknownKey { key });

    for _ in 0..20 {
        world.service.note_signing::<()>(key, begun, &Err(denied.clone()));
    }

    assert!(world.is_ready_to_sign());
    world.issue("later").unwrap();
}

/// KEY-10.
#[test]
fn a_signature_that_does_not_verify_ends_being_ready() {
    let world = World::new();
    world.signer.gives_rubbish(true);

    for key in ["one", "two", "three"] {
        assert_eq!(world.issue(key).unwrap_err().kind, Kind::Internal);
        assert!(!world.is_ready_to_sign());
    }

    // No more serials are spent on it, and who comes is to come again.
    let before = intents(&world);
    let denied = world.issue("four").unwrap_err();
    assert_eq!((denied.kind, denied.refusal.code), (Kind::Unavailable, "signature-invalid"));
    assert!(denied.retry_after.is_some());
    assert_eq!(intents(&world), before);
}

/// A token that refuses the mechanism of the signature, or spoils what it signs, and proves its keys all the
/// same: the proofs keep no serial numbers flowing, and the key is tried once a minute.
#[test]
fn a_proof_says_nothing_of_signatures_that_come_to_nothing() {
    let world = World::new();
    world.signer.gives_rubbish(true);

    for _ in 0..20 {
        assert!(world.issue_again("one").is_err());
        probe(&world).unwrap();
    }

    assert_eq!(intents(&world), usize::try_from(FAILED_IN_A_ROW).unwrap());
    assert!(!world.is_ready_to_sign(), "it proves itself and does not sign");
    assert!(!world.service.is_within_reach(world.authority()));
    let (health, key) = (&world.service.health, world.authority().key());
    let later = Instant::now() + TRIAL_EVERY;
    let try_at = |now| {
        health.trial(&key, now).map(|trial| Leave { within: TRIAL_EVERY, trial: Some(trial) })
    };
    assert!(try_at(Instant::now()).is_none());
    // Whoever comes to nothing before the key is asked leaves it to the next.
    drop(try_at(later).unwrap());
    try_at(later).unwrap().used();
    assert!(try_at(later).is_none(), "one in so long");
    // A signature that verifies ends it at once.
    world.service.note_signing(key, Instant::now(), &Ok(()));
    world.signer.gives_rubbish(false);
    world.issue_again("one").unwrap();
    assert!(world.is_ready_to_sign());
}

/// The one trial is not spent by an order that the database refuses, or that another call was faster with.
#[test]
fn an_order_that_never_reaches_the_key_leaves_the_trial_to_the_next() {
    let world = World::new();
    world.issue_with_its_request("TSTNMT2321000156-B01", "first").unwrap();
    world.signer.gives_rubbish(true);
    for key in ["one", "two", "three"] {
        assert!(world.issue(key).is_err());
    }
    world.signer.gives_rubbish(false);
    let key = world.authority().key();
    let long_ago = Instant::now().checked_sub(TRIAL_EVERY).unwrap();
    world.service.health.keys().get_mut(&key).unwrap().tried = long_ago;

    let refused = world.issue_again("of another").unwrap();
    assert_eq!(refused.response.body, b"key-of-another");

    assert_eq!(world.issue("next").unwrap().response.status, 1);
    assert!(world.is_ready_to_sign());
}

/// The key of one authority says nothing of another's.
#[test]
fn ready_is_a_ca_all_of_whose_keys_sign() {
    let world = World::new().with_another_authority();
    let keys: Vec<SpkiHash> = world.service.authorities.values().map(Authority::key).collect();
    let [one, other] = keys[..] else { panic!("two authorities") };
    let denied = unsigned(&SignError::UnknownKey { key: one });
    world.service.note_signing::<()>(one, Instant::now(), &Err(denied));

    world.service.note_signing(other, Instant::now(), &Ok(()));

    assert!(!world.is_ready_to_sign());
    world.service.note_signing(one, Instant::now(), &Ok(()));
    assert!(world.is_ready_to_sign());
}

/// A CRL that is due while the token is away costs no number, no leaf and no reading of all rows.
#[test]
fn no_crl_is_begun_while_the_token_is_known_to_be_away() {
    let world = World::new();
    world.signer.is_lost(true);
    let before = world.counts();

    let denied = world.service.make_list(world.authority(), List::Full).unwrap_err();

    assert_eq!(denied.refusal.code, "hsm-token-missing");
    assert_eq!(world.counts(), before);
    world.signer.is_lost(false);
    world.service.make_list(world.authority(), List::Full).unwrap();
}
