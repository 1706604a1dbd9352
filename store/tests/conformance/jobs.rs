//! REV-09, REV-11: many certificates by one decision, and what one client may revoke alone.

use std::collections::BTreeSet;
use std::time::Duration;

use ::crl::CrlNumber;
use ca::audit::EventCode;
use ca::job::{JobAct, JobState, JobTerms, OperationHash, OperationHasher};
use ca::role::Protected;
use status::{CertificateState, RevocationReason, StatusEntry};
use store::{
    Alone, CertificateId, CertificateLookup, CrlIntent, IndexTag, IndexTerm, Issued,
    IssuedCertificate, JobChange, JobError, JobForecast, JobId, JobPlan, JobSelector, JobStart,
    JobStep, JobTerm, Log, NewJob, SelectionStep, StatusAct, StatusChange, StatusTarget, Store,
    StoreError,
};
use x509::key::SpkiHash;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::Backend;
use super::crls::{facts, intend};
use super::logs::head_of;
use super::world::{REVOKE, World, at, audit, followed, fresh, node, serial, sizes, verified};

pub(crate) const REASON: Option<RevocationReason> = Some(RevocationReason::Superseded);

pub(crate) fn plan(selector: JobSelector) -> JobPlan {
    JobPlan {
        reason: REASON,
        corrects: vec![None],
        wave: 2,
        pause: Duration::from_secs(60),
        actor: "op-1".to_owned(),
        note: "a drill".to_owned(),
        selector,
    }
}

/// Says something, and it is so of every certificate.
pub(crate) fn every() -> JobSelector {
    JobSelector { issued_from: Some(at(0)), ..JobSelector::default() }
}

/// A job that has been planned by the client `desk`.
pub(crate) fn planned(world: &World, plan: JobPlan, terms: &[JobTerm]) -> JobId {
    let job = JobId::from_bytes(fresh());
    let new = NewJob { id: job, client: "desk".to_owned(), signed_by: None, plan };
    world.store.plan_job(&new, &audit(EventCode::JobPlanned), at(2)).unwrap();
    world.store.add_job_terms(job, "desk", terms, at(2)).unwrap();
    job
}

fn by(client: &str, actor: &str, job: JobId) -> JobChange {
    JobChange { job, client: client.to_owned(), actor: actor.to_owned(), signed_by: None }
}

/// Selects and freezes.
pub(crate) fn frozen(world: &World, job: JobId) -> JobForecast {
    let change = by("desk", "op-1", job);
    world.store.begin_selection(&change, &audit(EventCode::JobSelecting), at(3)).unwrap();
    while world.store.select_some(job, at(3)).unwrap() == SelectionStep::More {}
    let record = |_: &JobForecast| audit(EventCode::JobForecast);
    world.store.freeze_job(job, &record, at(4)).unwrap()
}

pub(crate) fn started(world: &World, job: JobId, operation: OperationHash, alone: u64) -> JobState {
    let start = JobStart { operation, alone };
    let change = by("desk", "op-1", job);
    world.store.start_job(&change, &start, &audit(EventCode::JobStarted), at(5)).unwrap()
}

fn approved(world: &World, by: &JobChange, operation: OperationHash) -> Result<(), StoreError> {
    world.store.approve_job(by, operation, &audit(EventCode::JobApproved), at(6))
}

pub(crate) fn step(store: &dyn Store, job: JobId, most: u32, now: UnixTime) -> JobStep {
    store.run_job(job, most, Box::new(|_| audit(EventCode::JobRevoked)), now).unwrap()
}

fn state_of(world: &World, id: CertificateId) -> CertificateState {
    let record = world.store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap();
    record.row.status.status.state
}

fn state(world: &World, job: JobId) -> JobState {
    world.store.job(job).unwrap().unwrap().state
}

pub(crate) fn selected(
    world: &World,
    selector: JobSelector,
    terms: &[JobTerm],
) -> BTreeSet<CertificateId> {
    let job = planned(world, plan(selector), terms);
    frozen(world, job);
    let items = world.store.job_items(job, 0, 1000, Protected::Seen).unwrap().items;
    items.into_iter().map(|item| item.certificate.unwrap()).collect()
}

/// Issues with these facts.
pub(crate) fn issue_as(world: &World, facts: &IssuedCertificate, now: UnixTime) -> Issued {
    let (_, pending, recorded) = world.intend(now).unwrap();
    let signed = world.issuer.sign(pending, &recorded);
    let record = audit(EventCode::CertificateIssued);
    world.store.record_issued(&signed, facts, &record, now).unwrap()
}

fn card(number: &str) -> IndexTerm {
    IndexTerm::new(IndexTag::CardNumber, number)
}

fn serial_of(world: &World, id: CertificateId) -> SerialNumber {
    world.store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap().row.serial
}

pub(crate) fn a_job_revokes_its_frozen_selection_in_waves(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued: Vec<_> = (0..5).map(|_| world.issue(at(1)).certificate).collect();
    let job = planned(&world, plan(every()), &[]);
    let forecast = frozen(&world, job);
    let late = world.issue(at(4)).certificate;
    let before = sizes(&*world.store);

    assert_eq!((forecast.items, forecast.holders, forecast.unmatched), (5, 1, 0));
    let [part] = &*forecast.parts else { panic!("{forecast:?}") };
    // A serial of 16 octets: SEQUENCE, INTEGER, UTCTime and the extension with its reason (RFC 5280 §5.3.1).
    assert_eq!((part.items, part.unlisted, part.octets), (5, 5, 5 * (2 + 18 + 15 + 14)));
    assert_eq!(started(&world, job, forecast.operation, 5), JobState::Running);
    assert!(matches!(
        step(&*world.store, job, 1, at(10)),
        JobStep::Taken { items: 1, wave_ended: None, .. }
    ));
    assert!(matches!(
        step(&*world.store, job, 9, at(10)),
        JobStep::Taken { items: 1, wave_ended: Some(1), .. }
    ));
    assert_eq!(step(&*world.store, job, 9, at(69)), JobStep::Waits(at(70)));
    assert!(matches!(
        step(&*world.store, job, 9, at(70)),
        JobStep::Taken { items: 2, wave_ended: Some(2), .. }
    ));
    assert!(matches!(
        step(&*world.store, job, 9, at(130)),
        JobStep::Taken { items: 1, wave_ended: Some(3), .. }
    ));
    assert_eq!(step(&*world.store, job, 9, at(999)), JobStep::Elsewhere(JobState::Done));

    for id in &issued {
        assert_eq!(state_of(&world, *id), CertificateState::Revoked);
    }
    assert_eq!(state_of(&world, late), CertificateState::Issued, "what is frozen does not grow");
    assert_eq!(world.store.job_rest(job, at(999)).unwrap(), 1, "and what came is told of");
    // One start, four steps.
    assert_eq!(sizes(&*world.store), (before.0 + 5, before.1 + 5));
    let shown = world.store.job(job).unwrap().unwrap();
    assert_eq!((shown.progress.revoked, shown.progress.already, shown.progress.wave), (5, 0, 3));
    let waves = world.store.job_waves(job).unwrap();
    let items: Vec<_> = waves.iter().map(|wave| (wave.items, wave.ended.unwrap())).collect();
    assert_eq!(items, [(2, at(10)), (2, at(70)), (1, at(130))]);
    assert_eq!(waves[2].last.unwrap().index, before.0 + 4);
    followed(&*world.store);
}

pub(crate) fn the_hash_of_a_job_is_that_of_its_list(backend: &dyn Backend) {
    let world = World::new(backend);
    let serials: BTreeSet<_> =
        (0..7).map(|_| serial_of(&world, world.issue(at(1)).certificate)).collect();
    let job = planned(&world, plan(every()), &[]);

    let forecast = frozen(&world, job);

    let terms = JobTerms { job: *job.as_bytes(), reason: REASON, wave: 2, pause: 60 };
    let mut hasher = OperationHasher::new("test/demo/ab12".parse().unwrap(), &terms, 7);
    for number in serials {
        hasher.push(world.issuer.id(), number).unwrap();
    }
    assert_eq!(forecast.operation, hasher.finish());
}

pub(crate) fn a_selection_is_what_every_part_of_it_says(backend: &dyn Backend) {
    let world = World::new(backend);
    let facts = world.facts();
    let mut other = facts.clone();
    other.profile.name = "function".to_owned();
    other.profile.sha256 = [3; 32];
    other.policy = None;
    other.spki = SpkiHash::from_bytes([9; 32]);
    other.index = vec![card("9752 2698 0000 0000 001")];
    let first = issue_as(&world, &facts, at(1)).certificate;
    let second = issue_as(&world, &other, at(100)).certificate;
    let (one, two, both) =
        (BTreeSet::from([first]), BTreeSet::from([second]), BTreeSet::from([first, second]));
    let none = BTreeSet::new();
    let all = JobSelector::default;
    let text = |text: &str| Some(text.to_owned());

    for (selector, expected) in [
        (every(), &both),
        (JobSelector { profile: text("function"), ..all() }, &two),
        (JobSelector { profile_sha256: Some([2; 32]), ..all() }, &one),
        (JobSelector { policy: text("2.999.1"), ..all() }, &one),
        (JobSelector { algorithm: text("ecdsa-p256-sha256"), ..all() }, &both),
        (JobSelector { algorithm: text("rsa-pkcs1-sha256"), ..all() }, &none),
        (JobSelector { orderer: text("portal"), ..all() }, &both),
        (JobSelector { orderer: text("desk"), ..all() }, &none),
        (JobSelector { issuer: Some(world.issuer.id()), ..all() }, &both),
        (JobSelector { issuer: Some(status::IssuerId::from_bytes([1; 32])), ..all() }, &none),
        (JobSelector { issued_from: Some(at(100)), ..all() }, &two),
        (JobSelector { issued_until: Some(at(100)), ..all() }, &one),
        (JobSelector { excluded: vec!["function".to_owned()], ..every() }, &one),
        (JobSelector { profile: text("function"), policy: text("2.999.1"), ..all() }, &none),
    ] {
        assert_eq!(selected(&world, selector.clone(), &[]), *expected, "{selector:?}");
    }
    let number = serial_of(&world, first);
    for (terms, expected) in [
        (vec![JobTerm::Card(card("9752269800000000001"))], &two),
        (vec![JobTerm::Key(SpkiHash::from_bytes([9; 32]))], &two),
        (vec![JobTerm::Certificate(first)], &one),
        (vec![JobTerm::Serial(world.issuer.id(), number)], &one),
        (vec![JobTerm::Certificate(first), JobTerm::Certificate(second)], &both),
        (vec![JobTerm::Key(SpkiHash::from_bytes([8; 32]))], &none),
    ] {
        assert_eq!(selected(&world, all(), &terms), *expected, "{terms:?}");
    }
    let person = JobSelector { profile: text("person-auth"), ..all() };
    let terms = [JobTerm::Certificate(first), JobTerm::Certificate(second)];
    assert_eq!(selected(&world, person, &terms), one, "a list and a condition hold together");
}

pub(crate) fn a_list_tells_what_it_names_that_is_not_here(backend: &dyn Backend) {
    let world = World::new(backend);
    let here = world.issue(at(1)).certificate;
    let terms = [
        JobTerm::Certificate(here),
        JobTerm::Certificate(CertificateId::from_bytes(fresh())),
        JobTerm::Card(card("1")),
        JobTerm::Key(SpkiHash::from_bytes([8; 32])),
        JobTerm::Serial(world.issuer.id(), serial()),
    ];
    let job = planned(&world, plan(JobSelector::default()), &terms);
    assert_eq!(world.store.add_job_terms(job, "desk", &terms, at(2)).unwrap(), 5, "each term once");

    let forecast = frozen(&world, job);

    assert_eq!((forecast.items, forecast.unmatched), (1, 4));
    let late = world.store.add_job_terms(job, "desk", &terms, at(5)).unwrap_err();
    assert!(
        matches!(late, StoreError::Job(JobError::State { state: JobState::Forecast })),
        "{late}"
    );
}

pub(crate) fn expired_and_revoked_certificates_are_not_selected(backend: &dyn Backend) {
    let mut world = World::new(backend);
    world.not_after = at(2);
    world.issue(at(1));
    world.not_after = at(100_000_000);
    let revoked = world.issue(at(1)).certificate;
    world.revoke(revoked, at(1));
    let vaguely = world.issue(at(1)).certificate;
    let unspecified = StatusAct::Revoke { reason: None, invalidity: None };
    world.change(vaguely, unspecified, at(1)).unwrap();
    let held = world.issue(at(1)).certificate;
    world.change(held, StatusAct::Hold, at(1)).unwrap();

    assert_eq!(
        selected(&world, every(), &[]),
        BTreeSet::from([vaguely, held]),
        "a reason is corrected to a graver one (REV-06)"
    );
    let job = planned(&world, JobPlan { wave: 9, ..plan(every()) }, &[]);
    let forecast = frozen(&world, job);
    started(&world, job, forecast.operation, 9);
    // Somebody is faster.
    world.revoke(held, at(6));
    step(&*world.store, job, 9, at(7));

    let progress = world.store.job(job).unwrap().unwrap().progress;
    assert_eq!((progress.revoked, progress.corrected, progress.already), (0, 1, 1));
    let shown =
        world.store.certificate(&CertificateLookup::Id(vaguely)).unwrap().unwrap().row.status;
    assert_eq!((shown.status.reason, shown.status.effective_time), (REASON, at(1)));
}

pub(crate) fn a_job_past_the_limit_waits_for_another_hand(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued: Vec<_> = (0..3).map(|_| world.issue(at(1)).certificate).collect();
    let job = planned(&world, plan(every()), &[]);
    let forecast = frozen(&world, job);
    let operation = forecast.operation;

    let early = approved(&world, &by("board", "op-2", job), operation).unwrap_err();
    assert!(matches!(early, StoreError::Job(JobError::State { .. })), "{early}");
    assert_eq!(started(&world, job, operation, 2), JobState::Waiting);
    assert_eq!(started(&world, job, operation, 99), JobState::Waiting, "the limit is asked once");
    let before = sizes(&*world.store);
    assert_eq!(step(&*world.store, job, 9, at(10)), JobStep::Elsewhere(JobState::Waiting));
    for (client, actor) in [("desk", "op-2"), ("board", "op-1"), ("desk", "op-1")] {
        let own = approved(&world, &by(client, actor, job), operation).unwrap_err();
        assert!(matches!(own, StoreError::Job(JobError::SameHand { .. })), "{own}");
    }
    let other = OperationHash::from_bytes([1; 32]);
    let differs = approved(&world, &by("board", "op-2", job), other).unwrap_err();
    assert!(matches!(differs, StoreError::Job(JobError::Operation { .. })), "{differs}");
    assert_eq!(sizes(&*world.store), before);
    assert_eq!(state_of(&world, issued[0]), CertificateState::Issued);

    approved(&world, &by("board", "op-2", job), operation).unwrap();
    approved(&world, &by("board", "op-2", job), operation).unwrap();

    assert_eq!(sizes(&*world.store), (before.0, before.1 + 1), "once");
    assert_eq!(state(&world, job), JobState::Running);
    assert_eq!(world.store.job(job).unwrap().unwrap().approval.unwrap().actor, "op-2");
}

/// REV-09: past the limit a job is started by one client and approved by another, never both by one.
pub(crate) fn a_job_is_made_and_started_by_its_planner_alone(backend: &dyn Backend) {
    let world = World::new(backend);
    let id = world.issue(at(1)).certificate;
    let terms = [JobTerm::Certificate(id)];
    let job = planned(&world, plan(every()), &[]);
    let board = by("board", "op-2", job);
    let refused = |result: Result<(), StoreError>| {
        let error = result.unwrap_err();
        let other =
            matches!(&error, StoreError::Job(JobError::OtherHand { client }) if client == "desk");
        assert!(other, "{error}");
    };
    refused(world.store.add_job_terms(job, "board", &terms, at(2)).map(|_| ()));
    refused(world.store.begin_selection(&board, &audit(EventCode::JobSelecting), at(3)));
    let operation = frozen(&world, job).operation;
    let before = sizes(&*world.store);

    for alone in [0, 99] {
        let (start, record) = (JobStart { operation, alone }, audit(EventCode::JobStarted));
        refused(world.store.start_job(&board, &start, &record, at(5)).map(|_| ()));
    }

    assert_eq!(state(&world, job), JobState::Forecast);
    assert_eq!(sizes(&*world.store), before);
    assert_eq!(started(&world, job, operation, 0), JobState::Waiting);
    refused(
        world
            .store
            .start_job(
                &board,
                &JobStart { operation, alone: 99 },
                &audit(EventCode::JobStarted),
                at(5),
            )
            .map(|_| ()),
    );
    approved(&world, &board, operation).unwrap();
}

/// REV-11: a list that was left out does not make a job about everything.
pub(crate) fn a_job_that_says_nothing_selects_nothing(backend: &dyn Backend) {
    let world = World::new(backend);
    let id = world.issue(at(1)).certificate;
    let selector = JobSelector { excluded: vec!["ocsp".to_owned()], ..JobSelector::default() };
    let job = planned(&world, plan(selector), &[]);
    let change = by("desk", "op-1", job);
    let record = audit(EventCode::JobSelecting);

    let refused = world.store.begin_selection(&change, &record, at(3)).unwrap_err();

    assert!(matches!(refused, StoreError::Job(JobError::SelectsAll)), "{refused}");
    assert_eq!(state(&world, job), JobState::Draft);
    world.store.add_job_terms(job, "desk", &[JobTerm::Certificate(id)], at(3)).unwrap();
    assert_eq!(frozen(&world, job).items, 1);
}

pub(crate) fn another_operation_than_the_frozen_one_is_not_started(backend: &dyn Backend) {
    let world = World::new(backend);
    world.issue(at(1));
    let job = planned(&world, plan(every()), &[]);
    let start = JobStart { operation: OperationHash::from_bytes([1; 32]), alone: 99 };
    let change = by("desk", "op-1", job);
    let record = audit(EventCode::JobStarted);
    let unfrozen = world.store.start_job(&change, &start, &record, at(5)).unwrap_err();
    assert!(matches!(unfrozen, StoreError::Job(JobError::State { .. })), "{unfrozen}");
    frozen(&world, job);

    let differs = world.store.start_job(&change, &start, &record, at(5)).unwrap_err();

    assert!(matches!(differs, StoreError::Job(JobError::Operation { .. })), "{differs}");
    assert_eq!(state(&world, job), JobState::Forecast);
    let unknown = by("desk", "op-1", JobId::from_bytes(fresh()));
    let unknown = world.store.start_job(&unknown, &start, &record, at(5)).unwrap_err();
    assert!(matches!(unknown, StoreError::Job(JobError::Unknown { .. })), "{unknown}");
}

pub(crate) fn a_paused_job_revokes_nothing_and_a_cancelled_one_nothing_more(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued: Vec<_> = (0..4).map(|_| world.issue(at(1)).certificate).collect();
    let job = planned(&world, plan(every()), &[]);
    let forecast = frozen(&world, job);
    started(&world, job, forecast.operation, 9);
    step(&*world.store, job, 1, at(7));
    let turn =
        |act, code| world.store.turn_job(&by("board", "op-2", job), act, &audit(code), at(8));

    turn(JobAct::Pause, EventCode::JobPaused).unwrap();
    let before = sizes(&*world.store);
    turn(JobAct::Pause, EventCode::JobPaused).unwrap();
    assert_eq!(step(&*world.store, job, 9, at(9)), JobStep::Elsewhere(JobState::Paused));
    assert_eq!(sizes(&*world.store), before);
    assert!(world.store.jobs_at_work().unwrap().is_empty());
    turn(JobAct::Resume, EventCode::JobResumed).unwrap();
    assert_eq!(world.store.jobs_at_work().unwrap(), [job]);
    step(&*world.store, job, 9, at(10));
    turn(JobAct::Cancel, EventCode::JobCancelled).unwrap();
    assert_eq!(step(&*world.store, job, 9, at(999)), JobStep::Elsewhere(JobState::Cancelled));

    let states: Vec<_> = issued.iter().map(|id| state_of(&world, *id)).collect();
    let revoked = states.iter().filter(|state| **state == CertificateState::Revoked).count();
    assert_eq!(revoked, 2, "{states:?}");
    let ended = turn(JobAct::Resume, EventCode::JobResumed).unwrap_err();
    assert!(matches!(ended, StoreError::Job(JobError::State { .. })), "{ended}");
}

/// §2.2: a backup from before a job was cancelled does not go on with it, whichever log tells that it is old.
pub(crate) fn a_restored_job_waits_for_an_operator(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued: Vec<_> = (0..4).map(|_| world.issue(at(1)).certificate).collect();
    let job = planned(&world, plan(every()), &[]);
    let forecast = frozen(&world, job);
    started(&world, job, forecast.operation, 9);
    step(&*world.store, job, 1, at(7));
    let older = backend.backup();
    let cancelled = by("board", "op-2", job);
    step(&*world.store, job, 1, at(8));
    let cancel = audit(EventCode::JobCancelled);
    world.store.turn_job(&cancelled, JobAct::Cancel, &cancel, at(9)).unwrap();
    let since = |log, from: u64| {
        let entries = verified(&*world.store, log);
        (head_of(&entries), entries[usize::try_from(from).unwrap()..].to_vec())
    };
    let restored = world.over(older.open(), node("a", 2));
    let have = sizes(&*restored.store);
    assert_eq!(state(&restored, job), JobState::Running);

    let (head, missing) = since(Log::Audit, have.1);
    restored.store.take_over_audit(&head, &missing).unwrap();

    assert_eq!(state(&restored, job), JobState::Paused);
    let resume = (by("board", "op-2", job), audit(EventCode::JobResumed));
    restored.store.turn_job(&resume.0, JobAct::Resume, &resume.1, at(10)).unwrap();
    let (head, missing) = since(Log::Status, have.0);
    let recovered = audit(EventCode::LogRecovered);
    restored
        .store
        .take_over_published(&head, &mut missing.into_iter(), &recovered, at(11))
        .unwrap();
    assert_eq!(state(&restored, job), JobState::Paused);
    let revoked = |world| {
        issued.iter().filter(|id| state_of(world, **id) == CertificateState::Revoked).count()
    };
    assert_eq!(step(&*restored.store, job, 9, at(999)), JobStep::Elsewhere(JobState::Paused));
    assert_eq!((revoked(&restored), revoked(&world)), (2, 2));
}

/// CRL-05: what an issuer's last list says is not corrected by a job that was frozen before it.
pub(crate) fn a_job_changes_nothing_of_an_issuer_that_has_ended(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued = world.issue(at(1)).certificate;
    let unspecified = StatusAct::Revoke { reason: None, invalidity: None };
    world.change(issued, unspecified, at(2)).unwrap();
    let job = planned(&world, plan(every()), &[]);
    let forecast = frozen(&world, job);
    assert_eq!(forecast.items, 1);
    started(&world, job, forecast.operation, 9);
    let list = facts(&world, &CrlNumber::first(), sizes(&*world.store).0);
    let last = CrlIntent { next_update: UnixTime::LAST, ..list };
    let _last = intend(&world, &last).unwrap();
    let before = sizes(&*world.store).0;

    let taken = step(&*world.store, job, 9, at(11));

    assert!(matches!(taken, JobStep::Taken { items: 1, entries: None, .. }), "{taken:?}");
    assert_eq!((sizes(&*world.store).0, state(&world, job)), (before, JobState::Done));
    let progress = world.store.job(job).unwrap().unwrap().progress;
    assert_eq!((progress.corrected, progress.already), (0, 1));
}

pub(crate) fn a_job_goes_on_where_it_was(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued: Vec<_> = (0..9).map(|_| world.issue(at(1)).certificate).collect();
    let job = planned(&world, JobPlan { wave: 100, ..plan(every()) }, &[]);
    let change = by("desk", "op-1", job);
    world.store.begin_selection(&change, &audit(EventCode::JobSelecting), at(3)).unwrap();
    let node = world.node.clone();
    let classes = world.classes;
    // Each step in another opening of the database.
    let reopened = |world: World| {
        let issuer = std::sync::Arc::clone(&world.issuer);
        let not_after = world.not_after;
        drop(world);
        World { store: backend.open(), issuer, node: node.clone(), classes, not_after }
    };
    let mut world = reopened(world);
    let forecast = frozen(&world, job);
    started(&world, job, forecast.operation, 9);
    while state(&world, job) == JobState::Running {
        step(&*world.store, job, 2, at(10));
        world = reopened(world);
    }

    for id in issued {
        assert_eq!(state_of(&world, id), CertificateState::Revoked);
    }
    let entries = verified(&*world.store, Log::Status);
    let revocations = entries.iter().filter(|entry| {
        matches!(
            StatusEntry::decode(entry),
            Ok(StatusEntry::Certificate(entry)) if matches!(entry.change, status::Change::Revoked { .. })
        )
    });
    assert_eq!(revocations.count(), 9, "none twice");
}

pub(crate) fn an_hour_alone_has_what_it_may(backend: &dyn Backend) {
    let world = World::new(backend);
    let ids: Vec<_> = (0..6).map(|_| world.issue(at(1)).certificate).collect();
    let alone = |client: &str| Some(Alone { client: client.to_owned(), most: 2 });
    let revoke = |client: &str, id, act, now| {
        let target = StatusTarget::Certificate(id);
        let change = StatusChange { target, act, requested_at: None, alone: alone(client) };
        world.store.change_status(&change, &audit(EventCode::CertificateRevoked), now)
    };

    revoke("desk", ids[0], REVOKE, at(2)).unwrap();
    revoke("desk", ids[0], REVOKE, at(2)).unwrap();
    revoke("desk", ids[1], StatusAct::Hold, at(2)).unwrap();
    revoke("desk", ids[1], StatusAct::Release, at(2)).unwrap();
    let before = sizes(&*world.store);
    let refused = revoke("desk", ids[2], REVOKE, at(3)).unwrap_err();

    // `at(0)` is 800 s into its hour.
    let StoreError::AloneSpent { alone: 2, ends } = refused else { panic!("{refused}") };
    assert_eq!(ends, at(2800));
    assert_eq!(sizes(&*world.store), before, "a refused revocation leaves nothing");
    revoke("board", ids[2], REVOKE, at(3)).unwrap();
    // A job of the same client is counted with them.
    let job = planned(&world, plan(JobSelector::default()), &[JobTerm::Certificate(ids[3])]);
    let forecast = frozen(&world, job);
    assert_eq!(started(&world, job, forecast.operation, 2), JobState::Waiting);
    revoke("desk", ids[4], REVOKE, at(2800)).unwrap();
}
