//! Promise 3: two ordered logs, dense and verifiable; §2.2: what is published of them.

use ca::audit::{AuditLeaf, EventCode};
use ledger::{Frontier, Hash, leaf_hash};
use status::{CertificateState, StatusEntry};
use store::{
    BegunOrder, BegunWithIntent, CertificateLookup, Import, IssuerKeeping, LeaseName, LeaseOutcome,
    Log, NewIssuer, PublishedHead, SignedCheckpoint, StatusAct, Store, StoreError,
};

use super::Backend;
use super::world::{Issuer, World, at, audit, followed, node, serial, sizes, verified};

pub(crate) fn positions_are_dense_and_both_logs_verify(backend: &dyn Backend) {
    let world = World::new(backend);
    for n in 0..20 {
        let issued = world.issue(at(n));
        assert_eq!(issued.position.index + 1, sizes(&*world.store).0);
    }
    let audit_position =
        world.store.record_audit(&audit(EventCode::ServerStarted), at(30)).unwrap();
    assert_eq!(audit_position.index + 1, sizes(&*world.store).1);

    assert_eq!(verified(&*world.store, Log::Status).len(), 21);
    for leaf in verified(&*world.store, Log::Audit) {
        AuditLeaf::decode(&leaf).unwrap();
    }
    let beyond = world.store.log_entries(Log::Status, 1, 15..1000).unwrap();
    assert_eq!(beyond.len(), 6);
    assert!(world.store.log_entries(Log::Status, 2, 0..9).unwrap().is_empty());
}

/// Both logs share one time, so that a leaf that says that a CRL was begun is not later than any
/// entry the CRL lacks.
pub(crate) fn log_times_never_run_back(backend: &dyn Backend) {
    let world = World::new(backend);
    let id = world.issue(at(10)).certificate;
    let begun = audit(EventCode::CrlIntent);
    world.store.record_audit(&begun, at(50)).unwrap();

    let revoked = world.revoke(id, at(49));

    assert_eq!(revoked.status.status.effective_time, at(50));
    world.store.record_audit(&begun, at(40)).unwrap();
    let mut last = at(0);
    for entry in verified(&*world.store, Log::Status) {
        let time = StatusEntry::decode(&entry).unwrap().log_time();
        assert!(time >= last);
        last = time;
    }
    let mut last = at(0);
    for leaf in verified(&*world.store, Log::Audit) {
        let time = AuditLeaf::decode(&leaf).unwrap().time;
        assert!(time >= last);
        last = time;
    }
    assert_eq!(last, at(50));
}

pub(crate) fn a_refused_act_takes_no_position(backend: &dyn Backend) {
    let world = World::new(backend);
    let ids: Vec<_> = (0..4).map(|_| world.issue(at(1)).certificate).collect();
    let correct = StatusAct::CorrectReason { from: None, reason: None, invalidity: None };
    let refused = |id| world.change(id, correct, at(2)).is_err();

    // Refused and accepted acts in the same groups.
    std::thread::scope(|scope| {
        for id in &ids {
            scope.spawn(|| {
                for _ in 0..25 {
                    assert!(refused(*id));
                    world.change(*id, StatusAct::Hold, at(3)).unwrap();
                    world.change(*id, StatusAct::Release, at(3)).unwrap();
                }
            });
        }
    });

    assert_eq!(verified(&*world.store, Log::Status).len(), 1 + 4 + 4 * 50);
    followed(&*world.store);
}

fn lease(store: &dyn Store, who: &store::Node, now: u64) -> LeaseOutcome {
    store.lease(&LeaseName::Publication, who, at(now)).unwrap()
}

fn checkpoint(size: u64, fencing: store::Fencing) -> SignedCheckpoint {
    let note = format!("note of {size}").into_bytes();
    SignedCheckpoint { log: Log::Status, epoch: 1, size, note, fencing }
}

pub(crate) fn a_smaller_checkpoint_never_follows_a_larger(backend: &dyn Backend) {
    let world = World::new(backend);
    (0..3).for_each(|n| {
        world.issue(at(n));
    });
    let LeaseOutcome::Held { fencing, .. } = lease(&*world.store, &world.node, 1) else {
        panic!("no lease")
    };
    let store = |size| world.store.store_signed_checkpoint(&checkpoint(size, fencing));

    store(3).unwrap();
    store(3).unwrap();
    assert!(matches!(
        store(2),
        Err(StoreError::CheckpointSize { found: 2, published: 3, ours: 4 })
    ));
    assert!(matches!(
        store(5),
        Err(StoreError::CheckpointSize { found: 5, published: 3, ours: 4 })
    ));
    let last = world.store.last_checkpoint(Log::Status).unwrap().unwrap();
    assert_eq!(last, checkpoint(3, fencing));
    assert_eq!(world.store.last_checkpoint(Log::Audit).unwrap(), None);
    let other = SignedCheckpoint { epoch: 2, ..checkpoint(3, fencing) };
    assert!(matches!(
        world.store.store_signed_checkpoint(&other),
        Err(StoreError::OtherEpoch { ours: 1, published: 2 })
    ));
}

pub(crate) fn only_the_holder_of_the_lease_stores_checkpoints(backend: &dyn Backend) {
    let world = World::new(backend);
    let (one, two) = (node("a", 1), node("b", 1));
    let LeaseOutcome::Held { fencing: first, until } = lease(&*world.store, &one, 0) else {
        panic!("no lease")
    };
    assert_eq!(until, at(30));
    assert_eq!(
        lease(&*world.store, &two, 29),
        LeaseOutcome::Taken { by: one.clone(), until: at(30) }
    );
    let renewed = lease(&*world.store, &one, 20);
    assert_eq!(renewed, LeaseOutcome::Held { fencing: first, until: at(50) });

    let LeaseOutcome::Held { fencing: second, .. } = lease(&*world.store, &two, 50) else {
        panic!("no lease")
    };
    assert!(second > first);
    assert!(matches!(
        world.store.store_signed_checkpoint(&checkpoint(0, first)),
        Err(StoreError::Fenced { .. })
    ));
    world.store.store_signed_checkpoint(&checkpoint(1, second)).unwrap();

    world.store.release_lease(&LeaseName::Publication, &one).unwrap();
    assert!(matches!(lease(&*world.store, &one, 51), LeaseOutcome::Taken { .. }));
    world.store.release_lease(&LeaseName::Publication, &two).unwrap();
    let LeaseOutcome::Held { fencing: third, .. } = lease(&*world.store, &one, 51) else {
        panic!("no lease")
    };
    assert!(third > second);
}

pub(super) fn head_of(entries: &[Vec<u8>]) -> PublishedHead {
    let mut frontier = Frontier::new();
    entries.iter().for_each(|entry| {
        frontier.append(leaf_hash(entry)).unwrap();
    });
    PublishedHead { epoch: 1, size: frontier.size(), root: frontier.root() }
}

/// §2.2, MIG-07: a restored database signs nothing and says why.
pub(crate) fn an_older_database_is_refused_with_both_sizes(backend: &dyn Backend) {
    let world = World::new(backend);
    world.issue(at(1));
    let older = backend.backup();
    world.issue(at(2));
    world.issue(at(3));
    let published = head_of(&verified(&*world.store, Log::Status));
    world.store.compare_with_published(&published).unwrap();

    let restored = older.open();

    let refused = restored.compare_with_published(&published).unwrap_err();
    assert!(matches!(refused, StoreError::PublishedAhead { ours: 2, published: 4 }));
    let told = refused.to_string();
    assert!(told.contains('2') && told.contains('4'), "{told}");
}

pub(crate) fn a_different_history_is_refused(backend: &dyn Backend) {
    let world = World::new(backend);
    (0..5).for_each(|n| {
        world.issue(at(n));
    });
    let entries = verified(&*world.store, Log::Status);
    let compare = |head: &PublishedHead| world.store.compare_with_published(head);

    for size in 0..=entries.len() {
        let head = head_of(&entries[..size]);
        compare(&head).unwrap();
        let other = PublishedHead { root: Hash::from_bytes([9; 32]), ..head };
        assert!(matches!(
            compare(&other),
            Err(StoreError::LogsDisagree { size: found }) if found == head.size
        ));
    }
    let other = PublishedHead { epoch: 2, ..head_of(&entries) };
    assert!(matches!(compare(&other), Err(StoreError::OtherEpoch { ours: 1, published: 2 })));
}

pub(crate) fn an_older_database_takes_back_what_it_lost(backend: &dyn Backend) {
    let world = World::new(backend);
    let kept = world.issue(at(1)).certificate;
    let (order, lost_serial) = (world.new_order("k"), serial());
    let pending = world.pending(lost_serial);
    let begun = world.begin_with_intent(&order, lost_serial, &pending, at(2)).unwrap();
    let BegunWithIntent::Recorded(recorded) = begun else { panic!("{begun:?}") };
    let older = backend.backup();
    let lost = world.record_issued(pending, &recorded, at(3)).unwrap();
    let unseen = world.issue(at(4)).certificate;
    world.revoke(kept, at(5));
    world.revoke(lost.certificate, at(6));
    let entries = verified(&*world.store, Log::Status);
    let published = head_of(&entries);
    let unseen = world.store.certificate(&CertificateLookup::Id(unseen)).unwrap().unwrap().row;

    let restored = world.over(older.open(), node("a", 2));
    let have = sizes(&*restored.store).0;
    let recovered = audit(EventCode::LogRecovered);
    let take = |head: &PublishedHead, missing: &[Vec<u8>]| {
        let mut missing = missing.iter().cloned();
        restored.store.take_over_published(head, &mut missing, &recovered, at(7))
    };
    let missing = &entries[usize::try_from(have).unwrap()..];
    let forged = PublishedHead { root: Hash::from_bytes([9; 32]), ..published };
    assert!(matches!(take(&forged, missing), Err(StoreError::LogsDisagree { .. })));
    assert!(take(&published, &missing[1..]).is_err());
    let mut swapped = missing.to_vec();
    swapped.swap(0, 3);
    assert!(take(&published, &swapped).is_err());
    assert_eq!(sizes(&*restored.store).0, have);

    let taken = take(&published, missing).unwrap();

    assert_eq!(taken.entries, 4);
    let issuer = world.issuer.id();
    assert_eq!(taken.only_by_serial, [(issuer, lost_serial), (issuer, unseen.serial)]);
    restored.store.compare_with_published(&published).unwrap();
    assert_eq!(verified(&*restored.store, Log::Status), entries);
    let index = followed(&*restored.store);
    let reference = index.issuer(&issuer).unwrap();
    assert_eq!(index.lookup(reference, &lost_serial).unwrap().state, CertificateState::Revoked);
    let row = restored.store.certificate(&CertificateLookup::Id(kept)).unwrap().unwrap().row;
    assert_eq!(row.status.status.state, CertificateState::Revoked);
    // The order that had its certificate does not get a second one, and no serial is used again.
    assert!(restored.store.open_intents().unwrap().is_empty());
    let again =
        restored.record(restored.order(), unseen.serial, &world.pending(unseen.serial), at(8));
    assert!(matches!(again, Err(StoreError::SerialTaken)));
    restored.issue(at(8));
    // Its key can be answered: the store says which certificate was lost, and keeps the answer.
    let resumed = restored.store.begin_order(&restored.new_order("k"), at(9)).unwrap();
    let BegunOrder::Resume(progress) = resumed else { panic!("{resumed:?}") };
    assert_eq!((progress.certificate, progress.open_intent), (None, None));
    assert_eq!(progress.lost, Some(lost_serial));
    let another = serial();
    let refused = restored.record(order.id, another, &restored.pending(another), at(9));
    assert!(matches!(
        refused,
        Err(StoreError::CertificateLost { order: lost, serial }) if (lost, serial) == (order.id, lost_serial)
    ));
}

/// The status log gives back the id of an issuer alone; everything else comes with its next import.
pub(crate) fn a_lost_issuer_comes_back_with_its_import_under_a_name_of_its_own(
    backend: &dyn Backend,
) {
    let world = World::new(backend);
    let older = backend.backup();
    let other = Issuer::new("CN=other", IssuerKeeping::Offline).declared;
    let import = |store: &dyn Store, issuer: &NewIssuer| {
        let import = Import { issuers: vec![issuer.clone()], ..Import::default() };
        store.import(&import, &audit(EventCode::ImportCeremony), at(1))
    };
    import(&*world.store, &other).unwrap();
    let entries = verified(&*world.store, Log::Status);
    let restored = world.over(older.open(), node("a", 2));
    let have = usize::try_from(sizes(&*restored.store).0).unwrap();
    let mut missing = entries[have..].iter().cloned();
    let recovered = audit(EventCode::LogRecovered);
    restored
        .store
        .take_over_published(&head_of(&entries), &mut missing, &recovered, at(2))
        .unwrap();

    let taken = NewIssuer { name: world.issuer.declared.name.clone(), ..other.clone() };
    let refused = import(&*restored.store, &taken);
    assert!(matches!(refused, Err(StoreError::IssuerDiffers)), "{refused:?}");
    import(&*restored.store, &other).unwrap();

    let issuers = restored.store.issuers().unwrap();
    let found = issuers.iter().find(|row| row.declared.id == other.id).unwrap();
    assert_eq!(found.declared, other);
    assert_eq!(verified(&*restored.store, Log::Status), entries);
}
