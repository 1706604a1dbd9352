//! Rounds, and whose turn they are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ca::audit::{Actor, AuditEvent, EventCode, EventResult, ObjectIds};
use ca::deployment::Deployment;
use hsm::note::SoftwareNoteKey;
use ledger::origin::{DeploymentName, LogName, LogOrigin};
use ledger::signer::NoteSigner;
use status::AnswerClasses;
use store::{
    AuditRecord, BootId, FileKeySource, Import, ImportedChange, ImportedState, IssuerKeeping,
    NewIssuer, Origin, SqliteStore, Subject,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::files::LogFolder;
use super::*;

fn log(folder: &Path, name: LogName, deployment: &DeploymentName) -> LogPublisher {
    let key = folder.join(format!("{name:?}.key"));
    let key: Arc<dyn NoteSigner> = Arc::new(SoftwareNoteKey::create(&key, deployment).unwrap());
    let origin = LogOrigin { deployment: deployment.clone(), log: name, epoch: 1 };
    let tree = LogFolder(folder.join(format!("{name:?}")));
    LogPublisher::resume(origin, tree, key, &|_, _| Ok(Vec::new())).unwrap()
}

fn publisher(folder: &Path) -> Publisher {
    let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
    let keys = FileKeySource::create(&folder.join("seal.key")).unwrap();
    let now = UnixTime::from_secs(1_800_000_000).unwrap();
    let store = SqliteStore::open_or_create(&folder.join("ca.db"), deployment, &keys, now);
    let name = deployment.to_string().parse().unwrap();
    Publisher {
        store: Arc::new(store.unwrap()),
        clock: Arc::new(Clock::start()),
        node: Node { name: "ca1".to_owned(), boot: BootId::from_bytes([1; 16]) },
        status: log(folder, LogName::Status, &name),
        audit: log(folder, LogName::Audit, &name),
        state: Arc::default(),
        readiness: Arc::default(),
        followed: None,
        changes: Changes::default(),
        failing: None,
        left: None,
    }
}

fn record() -> AuditRecord {
    let event = AuditEvent {
        code: EventCode::ServerStarted,
        result: EventResult::Done,
        actor: Actor::System([0; 16]),
        objects: ObjectIds::default(),
        policy: None,
    };
    AuditRecord { event, payload: Vec::new(), subject: Subject::Deployment }
}

/// Architecture §2.2: commits that come close share a checkpoint, and not as long for one who waits.
#[test]
fn rounds_are_apart_unless_somebody_waits() {
    let state = PublicationState::default();
    let started = Instant::now();
    state.wake();
    state.pause_since(started);
    assert!(started.elapsed() >= USUAL_GAP);

    let position = Position { epoch: 1, index: 0 };
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| state.wait_for(position, Duration::from_secs(60)));
        while state.lock().waiting == 0 {
            std::thread::yield_now();
        }
        assert_eq!(state.lock().gap(), SHORTEST_GAP);
        state.pause_since(Instant::now());
        state.has_published(1);

        assert!(waiter.join().unwrap().is_ok());
    });
    assert_eq!(state.lock().gap(), USUAL_GAP);
    state.stop();
    // So often that a machine that stands still for a moment makes no difference.
    let started = Instant::now();
    (0..40).for_each(|_| state.pause_since(Instant::now()));
    assert!(started.elapsed() < 40 * USUAL_GAP, "the end does not wait");
}

/// Architecture §2.2: the delay of a checkpoint is counted from the first commit that it covers, and on through
/// rounds that fail.
#[test]
fn the_delay_of_a_checkpoint_begins_with_the_first_commit_that_waits() {
    let state = PublicationState::default();
    let before = Instant::now();
    state.wake();
    let first = state.lock().wanted;
    assert!(first.is_some_and(|first| first >= before));
    state.wake();

    let (_, since) = state.wait_for_work();

    assert_eq!(since, first);
    assert_eq!(state.lock().wanted, None);
    state.wake();
    state.wait_on(since);
    assert_eq!(state.wait_for_work().1, first);
}

/// A tree that was emptied or put back to an older state is whole again at the next checkpoint.
#[test]
fn a_tree_that_was_taken_away_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut publisher = publisher(folder.path());
    let now = publisher.clock.read().now;
    publisher.store.record_audit(&record(), now).unwrap();
    let mut lease = None;
    publisher.round(&mut lease).unwrap();
    let tree = folder.path().join("Audit");
    let entries = tree.join("tile/entries/000.p/1");
    assert!(entries.exists());
    fs::remove_dir_all(&tree).unwrap();

    publisher.round(&mut lease).unwrap();

    assert!(tree.join("checkpoint").exists() && entries.exists());
}

/// CRL-02: CRLs are made by the node that publishes, and it knows when another does.
#[test]
fn the_tree_is_ours_while_the_lease_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let publisher = publisher(folder.path());
    assert!(!publisher.state.is_ours());
    publisher.lease(&mut None).unwrap();
    assert!(publisher.state.is_ours());

    let later = publisher.clock.read().now.checked_add(LEASE * 2).unwrap();
    let other = Node { name: "ca2".to_owned(), boot: BootId::from_bytes([2; 16]) };
    let taken = publisher.store.lease(&LeaseName::Publication, &other, later).unwrap();
    assert!(matches!(taken, LeaseOutcome::Held { .. }), "{taken:?}");

    assert!(matches!(publisher.lease(&mut None), Ok(Turn::Theirs { by }) if by == "ca2"));
    assert!(!publisher.state.is_ours());
    publisher.state.tell_held(SinceBoot::now(), Fencing(3));
    assert!(!publisher.state.is_ours() && publisher.state.held_under().is_none(), "it has ended");
}

/// Architecture §2.2: the folder knows of no fencing, so a program that stood still while it published leaves it alone when it
/// wakes: what another node has published since may be newer.
#[test]
fn a_checkpoint_whose_lease_has_ended_is_not_put_where_followers_see_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut publisher = publisher(folder.path());
    let Turn::Ours(held) = publisher.lease(&mut None).unwrap() else { panic!("it is ours") };
    let ended = Held { until: SinceBoot::now(), ..held };

    for log in [Log::Status, Log::Audit] {
        let refused = publisher.publish(log, ended).unwrap_err();
        assert!(matches!(refused, PublishError::LeaseEnded), "{refused:?}");
    }

    assert!(!folder.path().join("Status/checkpoint").exists());
    assert!(!folder.path().join("Audit/checkpoint").exists());
    publisher.publish(Log::Status, held).unwrap();
    assert!(folder.path().join("Status/checkpoint").exists());
}

/// CRL-03: who publishes learns from the log what changed of each CA's certificates, whichever node wrote it.
#[test]
fn what_is_published_tells_of_the_changes_in_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut publisher = publisher(folder.path());
    let now = publisher.clock.read().now;
    let issuer = IssuerId::of(b"a name", b"a key");
    let declared = NewIssuer {
        id: issuer,
        name: "issuing".to_owned(),
        certificate_der: b"a certificate".to_vec(),
        subject_der: b"a name".to_vec(),
        spki_der: b"a key".to_vec(),
        ski: None,
        not_before: now,
        not_after: now,
        origin: Origin::Ceremony,
        keeping: IssuerKeeping::Online,
        crl_number_floor: None,
        crl_settings: String::new(),
    };
    let import = Import { issuers: vec![declared], ..Import::default() };
    publisher.store.import(&import, &record(), now).unwrap();
    publisher.round(&mut None).unwrap();
    assert!(publisher.state.take_changes().is_empty(), "nothing has changed");

    let states = (1..=2).map(|octet| ImportedState {
        issuer,
        serial: SerialNumber::from_random([octet; 16]),
        not_after: now,
        answers: AnswerClasses::USUAL,
        change: ImportedChange::Revoked { reason: None, effective: now, invalidity: None },
    });
    let import = Import { states: states.collect(), ..Import::default() };
    publisher.store.import(&import, &record(), now).unwrap();
    let size = publisher.store.log_head(Log::Status).unwrap().size;
    publisher.round(&mut None).unwrap();

    let last = Position { epoch: 1, index: size - 1 };
    assert_eq!(publisher.state.take_changes(), BTreeMap::from([(issuer, last)]));
    assert!(publisher.state.take_changes().is_empty(), "it is told once");
    publisher.round(&mut None).unwrap();
    assert!(publisher.state.take_changes().is_empty());

    // A round that comes to nothing has looked at the entries, and the next one does not look again.
    let revoked = ImportedState {
        issuer,
        serial: SerialNumber::from_random([3; 16]),
        not_after: now,
        answers: AnswerClasses::USUAL,
        change: ImportedChange::Revoked { reason: None, effective: now, invalidity: None },
    };
    let import = Import { states: vec![revoked], ..Import::default() };
    publisher.store.import(&import, &record(), now).unwrap();
    let Turn::Ours(held) = publisher.lease(&mut None).unwrap() else { panic!("it is ours") };
    publisher.publish(Log::Status, Held { until: SinceBoot::now(), ..held }).unwrap_err();
    assert!(publisher.state.take_changes().is_empty(), "it is not published");
    publisher.publish(Log::Status, held).unwrap();
    let size = publisher.store.log_head(Log::Status).unwrap().size;
    let last = Position { epoch: 1, index: size - 1 };
    assert_eq!(publisher.state.take_changes(), BTreeMap::from([(issuer, last)]));
}

/// Promise 2 on a node that does not publish: what the other has published is published, as long as it goes on.
#[test]
fn a_node_that_does_not_publish_follows_the_one_that_does() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut publisher = publisher(folder.path());
    let other = Node { name: "ca2".to_owned(), boot: BootId::from_bytes([2; 16]) };
    let now = publisher.clock.read().now;
    let taken = publisher.store.lease(&LeaseName::Publication, &other, now).unwrap();
    let LeaseOutcome::Held { fencing, .. } = taken else { panic!("{taken:?}") };
    let silent = publisher.round(&mut None).unwrap_err();
    assert!(matches!(silent, PublishError::Lease { by } if by == "ca2"));

    let note = b"a note".to_vec();
    let (log, epoch, size) = (Log::Status, 1, 0);
    let checkpoint = SignedCheckpoint { log, epoch, size, note, fencing };
    publisher.store.store_signed_checkpoint(&checkpoint).unwrap();
    publisher.round(&mut None).unwrap();
    assert_eq!(publisher.state.lock().published, Some((1, 0)));
    assert!(!folder.path().join("Status/checkpoint").exists(), "it publishes nothing itself");

    let (_, since) = publisher.followed.as_mut().unwrap();
    *since = since.checked_sub(SILENCE).unwrap();
    let silent = publisher.round(&mut None).unwrap_err();
    assert!(matches!(silent, PublishError::Lease { .. }), "{silent:?}");
}

/// Promise 4: who cannot publish lets another node do it, and asks again when nobody did.
#[test]
fn a_node_that_cannot_publish_leaves_it_to_another() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut publisher = publisher(folder.path());
    let in_the_way = folder.path().join("Status");
    fs::write(&in_the_way, "in the way").unwrap();
    let mut lease = None;
    publisher.round(&mut lease).unwrap_err();
    assert!(publisher.state.is_ours() && publisher.left.is_none(), "it tries again");

    publisher.failing = Instant::now().checked_sub(FAILING);
    publisher.round(&mut lease).unwrap_err();
    assert!(lease.is_none() && !publisher.state.is_ours());
    let left = publisher.round(&mut lease).unwrap_err();
    assert!(matches!(left, PublishError::LeftToOthers), "{left:?}");
    let other = Node { name: "ca2".to_owned(), boot: BootId::from_bytes([2; 16]) };
    let now = publisher.clock.read().now;
    let taken = publisher.store.lease(&LeaseName::Publication, &other, now).unwrap();
    assert!(matches!(taken, LeaseOutcome::Held { .. }), "{taken:?}");

    publisher.left = Instant::now().checked_sub(LEFT_TO_OTHERS);
    let theirs = publisher.round(&mut lease).unwrap_err();
    assert!(matches!(theirs, PublishError::Lease { by } if by == "ca2"));
    publisher.store.release_lease(&LeaseName::Publication, &other).unwrap();
    fs::remove_file(&in_the_way).unwrap();
    assert!(!publisher.state.take_takeover(), "it had it first");
    publisher.round(&mut lease).unwrap();
    assert!(publisher.state.is_ours());
    assert!(publisher.state.take_takeover() && !publisher.state.take_takeover(), "told once");
}

/// Promise 4 where nodes are upgraded one after the other: nobody waits for the lease of one that has stopped.
#[test]
fn a_node_that_stops_gives_the_lease_back() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let publisher = publisher(folder.path());
    let (store, state) = (Arc::clone(&publisher.store), Arc::clone(&publisher.state));
    let now = publisher.clock.read().now;
    let publishing = publisher.start().unwrap();
    state.stop();
    let ended = publishing.join().unwrap();
    assert!(state.is_ours(), "until the outer hosts have its last checkpoint");
    ended.leave();

    let other = Node { name: "ca2".to_owned(), boot: BootId::from_bytes([2; 16]) };
    let taken = store.lease(&LeaseName::Publication, &other, now).unwrap();
    assert!(matches!(taken, LeaseOutcome::Held { .. }), "{taken:?}");
    assert!(!state.is_ours());
    assert!(folder.path().join("Status/checkpoint").exists(), "after the last checkpoint");
}

/// Promise 4: a revocation travels, whatever ails the place of the audit log.
#[test]
fn the_status_log_is_published_when_the_audit_log_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut publisher = publisher(folder.path());
    fs::write(folder.path().join("Audit"), "in the way").unwrap();

    let outcome = publisher.round(&mut None);

    assert!(outcome.is_err());
    assert!(folder.path().join("Status/checkpoint").exists());
    assert_eq!(publisher.state.lock().published, Some((1, 0)));
}
