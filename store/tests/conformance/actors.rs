//! API-01, API-05: what administrators sign is taken once, on whichever node, while their eID holds.

use ca::audit::{Actor, AuditLeaf, EventCode};
use ca::job::JobState;
use store::{
    Again, CertificateId, IndexTag, IndexTerm, JobChange, JobError, JobId, JobStart, Log, NewJob,
    StatementUse, StatusAct, StoreError,
};
use x509::time::UnixTime;

use super::Backend;
use super::jobs::{every, frozen, plan};
use super::keys::{issue, key, ordered};
use super::world::{PERSON, REVOKE, World, at, audit, fresh, sizes, verified};

const HSA_ID: &str = "TST2321000016-1002";

fn statement(name: u8, eid: Option<CertificateId>) -> StatementUse {
    StatementUse {
        reads: false,
        name: [name; 32],
        signed: [name; 32],
        eid,
        administrator: IndexTerm::new(IndexTag::HsaId, HSA_ID),
        drawn: fresh(),
        again: Again::Never,
        until: at(100),
    }
}

fn take(world: &World, used: &StatementUse, now: UnixTime) -> Result<(), StoreError> {
    world.store.take_statement(used, &audit(EventCode::ActorStated), now).map(|_| ())
}

/// The actors of the leaves about statements.
fn actors(world: &World) -> Vec<Actor> {
    let leaves = verified(&*world.store, Log::Audit);
    let leaves = leaves.iter().map(|leaf| AuditLeaf::decode(leaf).unwrap().event);
    leaves.filter(|event| event.code == EventCode::ActorStated).map(|event| event.actor).collect()
}

/// Another call never has it; the same order may, and each time is a leaf.
pub(crate) fn a_statement_is_taken_once(backend: &dyn Backend) {
    let world = World::new(backend);
    let (once, again) =
        (statement(1, None), StatementUse { again: Again::SameCall, ..statement(2, None) });
    let before = sizes(&*world.store);

    take(&world, &once, at(5)).unwrap();
    take(&world, &again, at(5)).unwrap();
    take(&world, &again, at(6)).unwrap();

    assert_eq!(sizes(&*world.store), (before.0, before.1 + 3));
    let other = StatementUse { signed: [9; 32], ..again.clone() };
    let elsewhere = StatementUse { again: Again::Never, ..again };
    // After a restart, too.
    drop(world.store);
    let world = World::without_import(backend.open());
    for replayed in [&once, &other, &elsewhere] {
        let refused = take(&world, replayed, at(7)).unwrap_err();
        assert!(matches!(refused, StoreError::StatementReplayed), "{refused}");
        assert_eq!(refused.code(), "actor-statement-replayed");
    }
    assert_eq!(sizes(&*world.store), (before.0, before.1 + 3), "refused acts leave nothing");
}

/// The leaf says who it was by an id that says nothing else: one for each administrator, whatever he signs with.
pub(crate) fn an_administrator_has_one_opaque_id(backend: &dyn Backend) {
    let world = World::new(backend);
    let (first, second) = (statement(1, None), statement(2, None));
    let spelt = IndexTerm::new(IndexTag::HsaId, &HSA_ID.to_lowercase());
    let another = IndexTerm::new(IndexTag::HsaId, "TST2321000016-1003");
    for used in [
        first.clone(),
        StatementUse { administrator: spelt, ..second },
        StatementUse { administrator: another, ..statement(3, None) },
    ] {
        take(&world, &used, at(5)).unwrap();
    }

    let actors = actors(&world);

    assert_eq!(actors[0], Actor::Person(first.drawn));
    assert_eq!(actors[1], actors[0]);
    assert!(matches!(actors[2], Actor::Person(_)) && actors[2] != actors[0], "{actors:?}");
}

/// The eID is asked for in the act: no revocation before it goes unseen.
pub(crate) fn a_statement_rests_on_an_eid_that_holds(backend: &dyn Backend) {
    let mut world = World::new(backend);
    let eid = |world: &World| issue(world, ordered(key(), HSA_ID, PERSON)).unwrap();
    let (held, revoked) = (eid(&world), eid(&world));
    world.not_after = at(1_000);
    let short = eid(&world);
    let refused = |name, eid, now| {
        let before = sizes(&*world.store);
        let refused = take(&world, &statement(name, Some(eid)), at(now)).unwrap_err();
        assert!(matches!(refused, StoreError::EidNotActive { certificate } if certificate == eid));
        assert_eq!(sizes(&*world.store), before);
    };

    take(&world, &statement(1, Some(held)), at(4)).unwrap();
    world.change(held, StatusAct::Hold, at(5)).unwrap();
    refused(2, held, 6);
    world.change(held, StatusAct::Release, at(7)).unwrap();
    take(&world, &statement(2, Some(held)), at(8)).unwrap();
    take(&world, &statement(3, Some(revoked)), at(8)).unwrap();
    world.change(revoked, REVOKE, at(9)).unwrap();
    refused(4, revoked, 10);
    take(&world, &statement(5, Some(short)), at(1_000)).unwrap();
    refused(6, short, 1_001);
}

/// What nobody could send again is forgotten; the administrator's id is not.
pub(crate) fn statements_are_forgotten_when_they_count_no_more(backend: &dyn Backend) {
    let world = World::new(backend);
    let old = StatementUse { until: at(10), ..statement(1, None) };
    let new = StatementUse { until: at(11), ..statement(2, None) };
    take(&world, &old, at(5)).unwrap();
    take(&world, &new, at(5)).unwrap();

    let forgotten = world.store.forget_statements(at(11)).unwrap();

    assert_eq!(forgotten, 1);
    assert_eq!(world.store.forget_statements(at(11)).unwrap(), 0);
    assert!(take(&world, &new, at(12)).is_err());
    take(&world, &old, at(12)).unwrap();
    let actors = actors(&world);
    assert_eq!(actors.first(), actors.last());
}

/// REV-09: who signed for the plan or for the start does not sign for the approval, through whatever client and under whatever name.
pub(crate) fn one_administrator_is_one_hand(backend: &dyn Backend) {
    let world = World::new(backend);
    world.issue(at(1));
    let [planner, starter, third] = [1, 2, 3].map(|number| {
        let term = IndexTerm::new(IndexTag::HsaId, &format!("TST2321000016-100{number}"));
        let used = StatementUse { administrator: term.clone(), ..statement(number, None) };
        take(&world, &used, at(2)).unwrap();
        term
    });
    let job = JobId::from_bytes(fresh());
    let new = NewJob {
        id: job,
        client: "desk".to_owned(),
        signed_by: Some(planner.clone()),
        plan: plan(every()),
    };
    world.store.plan_job(&new, &audit(EventCode::JobPlanned), at(2)).unwrap();
    let operation = frozen(&world, job).operation;
    let start = JobStart { operation, alone: 0 };
    let by = |client: &str, actor: &str, who: &IndexTerm| JobChange {
        job,
        client: client.to_owned(),
        actor: actor.to_owned(),
        signed_by: Some(who.clone()),
    };
    let approve = |who: &IndexTerm| {
        let (change, record) = (by("board", "op-2", who), audit(EventCode::JobApproved));
        world.store.approve_job(&change, operation, &record, at(6))
    };
    let change = by("desk", "op-1", &starter);
    world.store.start_job(&change, &start, &audit(EventCode::JobStarted), at(5)).unwrap();
    let before = sizes(&*world.store);

    for own in [&planner, &starter] {
        let refused = approve(own).unwrap_err();
        assert!(matches!(refused, StoreError::Job(JobError::SameHand { .. })), "{refused}");
    }
    assert_eq!(world.store.job(job).unwrap().unwrap().state, JobState::Waiting);
    assert_eq!(sizes(&*world.store), before, "refused acts leave nothing");

    approve(&third).unwrap();
    assert_eq!(world.store.job(job).unwrap().unwrap().state, JobState::Running);
}
