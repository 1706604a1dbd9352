//! Certificates of the management plane: recorded like all others, and in no status log.

use std::sync::Mutex;

use ca::audit::EventCode;
use store::{
    IntentBook, IntentNumber, IntentState, ManagementCertificate, ManagementHolder,
    ManagementIntent, ManagementScope, OpenManagementIntent, OrderId, StoreError,
};
use x509::key::SpkiHash;
use x509::signing::{Pending, Recorded, SigningKind};

use super::Backend;
use super::world::{World, at, audit, node, serial, sizes};

fn key(octet: u8) -> SpkiHash {
    SpkiHash::from_bytes([octet; 32])
}

fn intent(world: &World, order: Option<OrderId>, octet: u8) -> ManagementIntent {
    ManagementIntent {
        order,
        holder: ManagementHolder::Client { pinned: key(200) },
        name: "portal".to_owned(),
        serial: serial(),
        key: key(octet),
        not_after: at(1_000),
        node: world.node.clone(),
    }
}

fn record(
    world: &World,
    facts: &ManagementIntent,
    now: u64,
) -> Result<(Pending, Recorded), StoreError> {
    let pending = world.issuer.pending(SigningKind::Certificate, b"to be signed");
    let leaf = audit(EventCode::ManagementIntent);
    let recorded = world.store.record_management_intent(&pending, facts, &leaf, at(now))?;
    Ok((pending, recorded))
}

fn issue(
    world: &World,
    (pending, recorded): (Pending, Recorded),
    now: u64,
) -> Result<ManagementCertificate, StoreError> {
    let signed = world.issuer.sign(pending, &recorded);
    let leaf = audit(EventCode::ManagementIssued);
    world.store.record_management_issued(&signed, &leaf, at(now))
}

/// KEY-14: what became of the intents; the key that signs them is not theirs to tell.
fn outcomes(world: &World) -> Vec<(IntentState, Option<SpkiHash>)> {
    let first = IntentNumber::default();
    let outcomes = world.store.intents_after(IntentBook::Management, first).unwrap();
    outcomes.into_iter().map(|outcome| (outcome.state, outcome.key)).collect()
}

/// Promise 2 holds for them too, with an audit leaf each time; promise 7: no status entry.
pub(crate) fn a_management_certificate_is_recorded_before_and_after_it_is_signed(
    backend: &dyn Backend,
) {
    let world = World::new(backend);
    let (order, before) = (world.order(), sizes(&*world.store));

    let intended = record(&world, &intent(&world, Some(order), 1), 2).unwrap();
    assert_eq!(world.store.management_certificates().unwrap(), []);
    assert_eq!(outcomes(&world), [(IntentState::Open, None)]);
    let made = issue(&world, intended, 3).unwrap();
    assert_eq!(outcomes(&world), [(IntentState::Fulfilled, None)]);

    assert_eq!((made.order, made.key, made.issued), (Some(order), key(1), at(3)));
    assert_eq!(world.store.management_certificates().unwrap(), [made]);
    assert_eq!(sizes(&*world.store), (before.0, before.1 + 2));
}

/// One key names one client, once; one order has one certificate.
pub(crate) fn a_management_key_and_order_are_used_once(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.order();
    let racing = record(&world, &intent(&world, None, 1), 1).unwrap();
    let intended = record(&world, &intent(&world, Some(order), 1), 1).unwrap();
    issue(&world, intended, 2).unwrap();
    let before = sizes(&*world.store);

    assert!(matches!(issue(&world, racing, 3), Err(StoreError::Pinned)));
    let again = record(&world, &intent(&world, None, 1), 3);
    assert!(matches!(again, Err(StoreError::Pinned)));
    let second = record(&world, &intent(&world, Some(order), 2), 3);
    assert!(matches!(second, Err(StoreError::OrderFulfilled { .. })));
    let unknown = OrderId::from_bytes([9; 16]);
    let stray = record(&world, &intent(&world, Some(unknown), 3), 3);
    assert!(matches!(stray, Err(StoreError::UnknownOrder { .. })));
    assert_eq!(sizes(&*world.store), before);
}

/// What was given up never becomes a certificate, and its order goes on with another.
pub(crate) fn a_management_intent_that_was_given_up_yields_nothing(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.order();
    let scopes = [
        ManagementScope::Order(order),
        ManagementScope::EarlierBoots(node("a", 2)),
        ManagementScope::EarlierBoots(world.node.clone()),
    ];
    for (scope, wanted) in scopes.into_iter().zip([1, 1, 0]) {
        let facts = intent(&world, Some(order), 1);
        let (pending, recorded) = record(&world, &facts, 1).unwrap();
        let seen = Mutex::new(Vec::new());
        let leaf = |open: &OpenManagementIntent| {
            seen.lock().unwrap().push((open.intent, open.serial, open.order, open.key));
            audit(EventCode::CertificateVoided)
        };
        let before = sizes(&*world.store);
        let voided = world.store.void_management_intents(&scope, &leaf, at(2)).unwrap();

        assert_eq!(voided, wanted, "{scope:?}");
        let told = vec![(recorded.intent_id(), facts.serial, Some(order), key(1))];
        let told = if wanted == 1 { told } else { Vec::new() };
        assert_eq!(seen.into_inner().unwrap(), told, "{scope:?}");
        assert_ne!(sizes(&*world.store) == before, wanted == 1, "one leaf for each");
        let late = issue(&world, (pending, recorded), 3);
        match wanted {
            0 => assert!(late.is_ok(), "an intent of this start stands"),
            _ => assert!(matches!(late, Err(StoreError::IntentVoided)), "{scope:?}"),
        }
    }
    assert_eq!(world.store.management_certificates().unwrap().len(), 1);
}
