//! CER-10: what two persons do: asked for by one, decided on by another, done once; and configurations, one after the other.

use ca::audit::EventCode;
use ca::four_eyes::CallHash;
use ca::life::{ApprovalAct, ApprovalStage};
use ca::role::Protected;
use store::{
    ActivatedConfiguration, Again, ApprovalFault, ApprovalId, ApprovalMove, ApprovalRow,
    ApprovalUse, CertificateId, IndexTag, IndexTerm, NewApproval, OrderId, OrganisationId,
    StatementUse, StatusAct, Subject,
};

use super::Backend;
use super::keys::{issue, key, ordered};
use super::world::{PERSON, REVOKE, World, at, audit, fresh, sizes};

const ANNA: &str = "TST2321000016-1001";
const BO: &str = "TST2321000016-1002";
const ENDS: u64 = 100;

fn term(hsa_id: &str) -> IndexTerm {
    IndexTerm::new(IndexTag::HsaId, hsa_id)
}

/// Somebody of whom a statement has been taken.
fn signs(world: &World, hsa_id: &str, eid: Option<CertificateId>) {
    let used = StatementUse {
        name: [fresh(), fresh()].concat().try_into().unwrap(),
        signed: [7; 32],
        eid,
        administrator: term(hsa_id),
        drawn: fresh(),
        again: Again::Never,
        reads: false,
        until: at(ENDS),
    };
    world.store.take_statement(&used, &audit(EventCode::ActorStated), at(4)).unwrap();
}

fn hash(octet: u8) -> CallHash {
    CallHash::from_bytes([octet; 32])
}

fn new(eid: Option<CertificateId>) -> NewApproval {
    NewApproval {
        id: ApprovalId::from_bytes(fresh()),
        operation: "setProtection".to_owned(),
        hash: hash(1),
        organisations: Some(vec![
            OrganisationId::from_bytes([1; 16]),
            OrganisationId::from_bytes([2; 16]),
        ]),
        protected: Protected::Seen,
        by: term(ANNA),
        eid,
        ends: at(ENDS),
        said: b"asked".to_vec(),
        subject: Subject::Holder(PERSON.to_owned()),
    }
}

fn ask(world: &World, new: &NewApproval) -> ApprovalRow {
    world.store.ask_approval(new, &audit(EventCode::ApprovalAsked), at(5)).unwrap()
}

fn moves(new: &NewApproval, act: ApprovalAct, by: &str) -> ApprovalMove {
    ApprovalMove {
        id: new.id,
        act,
        call: OrderId::from_bytes(fresh()),
        by: term(by),
        eid: None,
        said: b"decided".to_vec(),
        subject: new.subject.clone(),
    }
}

fn moved(world: &World, change: &ApprovalMove, now: u64) -> Result<ApprovalRow, ApprovalFault> {
    world.store.move_approval(change, &audit(EventCode::ApprovalGiven), at(now)).unwrap()
}

fn uses(new: &NewApproval) -> ApprovalUse {
    ApprovalUse { id: new.id, order: OrderId::from_bytes(fresh()), hash: new.hash, by: term(ANNA) }
}

fn used(world: &World, used: &ApprovalUse, now: u64) -> Result<(), ApprovalFault> {
    world.store.use_approval(used, &audit(EventCode::ApprovalUsed), at(now)).unwrap()
}

/// A world in which two persons have signed.
fn two(backend: &dyn Backend) -> World {
    let world = World::new(backend);
    signs(&world, ANNA, None);
    signs(&world, BO, None);
    world
}

pub(crate) fn what_is_approved_is_used_once(backend: &dyn Backend) {
    let world = two(backend);
    let new = new(None);
    let row = ask(&world, &new);
    assert_eq!(
        (row.stage, row.hash, row.protected),
        (ApprovalStage::Waiting, hash(1), Protected::Seen)
    );
    assert_eq!((&row.organisations, row.created, row.ends), (&new.organisations, at(5), at(ENDS)));
    assert_eq!((row.said.as_deref(), row.decision), (Some(&b"asked"[..]), None));
    let asked = sizes(&*world.store);
    assert_eq!(ask(&world, &new).stage, ApprovalStage::Waiting);
    assert_eq!(sizes(&*world.store), asked, "the same call again");
    assert_eq!(used(&world, &uses(&new), 6), Err(ApprovalFault::Stage(ApprovalStage::Waiting)));

    let approve = moves(&new, ApprovalAct::Approve, BO);
    let row = moved(&world, &approve, 6).unwrap();
    assert_eq!((row.stage, row.moved), (ApprovalStage::Approved, Some(at(6))));
    assert_eq!(row.decision.as_deref(), Some(&b"decided"[..]));
    let before = sizes(&*world.store);
    assert_eq!(moved(&world, &approve, 7).unwrap(), row, "the same call again");
    let again = moves(&new, ApprovalAct::Approve, BO);
    assert_eq!(moved(&world, &again, 7), Err(ApprovalFault::Stage(ApprovalStage::Approved)));
    // Another call, another person; none of it leaves a trace.
    let other = ApprovalUse { hash: hash(2), ..uses(&new) };
    assert_eq!(used(&world, &other, 7), Err(ApprovalFault::Differs(hash(1))));
    let approver = ApprovalUse { by: term(BO), ..uses(&new) };
    assert_eq!(used(&world, &approver, 7), Err(ApprovalFault::NotAsker));
    let unknown = ApprovalUse { id: ApprovalId::from_bytes(fresh()), ..uses(&new) };
    assert_eq!(used(&world, &unknown, 7), Err(ApprovalFault::Unknown));
    assert_eq!(sizes(&*world.store), before);

    let first = uses(&new);
    used(&world, &first, 8).unwrap();
    assert_eq!(sizes(&*world.store), (before.0, before.1 + 1));
    used(&world, &first, 9).unwrap();
    used(&world, &first, ENDS + 1).unwrap();
    assert_eq!(used(&world, &uses(&new), 9), Err(ApprovalFault::UsedBefore));
    let late = moves(&new, ApprovalAct::Reject, BO);
    assert_eq!(moved(&world, &late, 9), Err(ApprovalFault::Stage(ApprovalStage::Used)));
    assert_eq!(sizes(&*world.store), (before.0, before.1 + 1));
    let row = world.store.approval(new.id).unwrap().unwrap();
    assert_eq!(
        (row.stage, row.used, row.used_by),
        (ApprovalStage::Used, Some(at(8)), Some(first.order))
    );
}

pub(crate) fn one_person_is_not_two(backend: &dyn Backend) {
    let world = two(backend);
    let eid = |hsa_id| issue(&world, ordered(key(), hsa_id, PERSON)).unwrap();
    let (own, second) = (eid(ANNA), eid(BO));
    let stranger = issue(&world, ordered(key(), BO, "191003229802")).unwrap();
    let asked = new(Some(own));
    ask(&world, &asked);
    let before = sizes(&*world.store);

    let spelt = moves(&asked, ApprovalAct::Approve, &ANNA.to_lowercase());
    assert_eq!(moved(&world, &spelt, 6), Err(ApprovalFault::Own));
    let no = moves(&asked, ApprovalAct::Reject, ANNA);
    assert_eq!(moved(&world, &no, 6), Err(ApprovalFault::Own));
    // Another name of the same person.
    let by = |eid| ApprovalMove { eid: Some(eid), ..moves(&asked, ApprovalAct::Approve, BO) };
    assert_eq!(moved(&world, &by(second), 6), Err(ApprovalFault::Own));
    let foreign = moves(&asked, ApprovalAct::Withdraw, BO);
    assert_eq!(moved(&world, &foreign, 6), Err(ApprovalFault::NotAsker));
    assert_eq!(sizes(&*world.store), before);

    assert_eq!(moved(&world, &by(stranger), 6).unwrap().stage, ApprovalStage::Approved);
    let withdrawn = moved(&world, &moves(&asked, ApprovalAct::Withdraw, ANNA), 7).unwrap();
    assert_eq!(withdrawn.stage, ApprovalStage::Withdrawn);
    let gone = used(&world, &uses(&asked), 8);
    assert_eq!(gone, Err(ApprovalFault::Stage(ApprovalStage::Withdrawn)));
}

pub(crate) fn an_approval_ends_with_its_time_and_with_the_eid_of_who_gave_it(
    backend: &dyn Backend,
) {
    let world = two(backend);
    let eid = issue(&world, ordered(key(), BO, PERSON)).unwrap();
    let approved = || {
        let new = new(None);
        ask(&world, &new);
        let by = ApprovalMove { eid: Some(eid), ..moves(&new, ApprovalAct::Approve, BO) };
        moved(&world, &by, 6).unwrap();
        new
    };
    let (late, held, revoked) = (approved(), approved(), approved());

    assert_eq!(used(&world, &uses(&late), ENDS), Err(ApprovalFault::Stage(ApprovalStage::Expired)));
    let gone = moved(&world, &moves(&late, ApprovalAct::Reject, BO), ENDS);
    assert_eq!(gone, Err(ApprovalFault::Stage(ApprovalStage::Expired)));
    world.change(eid, StatusAct::Hold, at(7)).unwrap();
    assert_eq!(used(&world, &uses(&held), 8), Err(ApprovalFault::ApproverEnded));
    world.change(eid, StatusAct::Release, at(9)).unwrap();
    used(&world, &uses(&held), 10).unwrap();
    world.change(eid, REVOKE, at(11)).unwrap();
    assert_eq!(used(&world, &uses(&revoked), 12), Err(ApprovalFault::ApproverEnded));
    // What was used goes on, whoever approved it.
    let again = world.store.approval(held.id).unwrap().unwrap().used_by.unwrap();
    used(&world, &ApprovalUse { order: again, ..uses(&held) }, 12).unwrap();
}

pub(crate) fn requests_are_listed_newest_first_and_forgotten_with_their_person(
    backend: &dyn Backend,
) {
    let world = two(backend);
    let all: Vec<_> = (0..3).map(|_| new(None)).collect();
    for one in &all {
        ask(&world, one);
    }
    let page = world.store.approvals(None, 2).unwrap();
    assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [all[2].id, all[1].id]);
    let rest = world.store.approvals(Some(page[1].cursor), 2).unwrap();
    assert_eq!(rest.iter().map(|row| row.id).collect::<Vec<_>>(), [all[0].id]);

    let person = Subject::Holder(PERSON.to_owned());
    assert!(world.store.forget(&person, &audit(EventCode::SubjectErased), at(9)).unwrap());
    let row = world.store.approval(all[0].id).unwrap().unwrap();
    assert_eq!((row.said, row.stage), (None, ApprovalStage::Waiting));
}

pub(crate) fn a_configuration_follows_the_one_before(backend: &dyn Backend) {
    let world = World::new(backend);
    let of = |octet: u8| ActivatedConfiguration {
        hash: [octet; 32],
        manifest: format!("part {octet}"),
        persons: "persons".to_owned(),
        statements: "statements".to_owned(),
        at: at(5),
    };
    let activate = |octet: u8, after: Option<u8>| {
        let audit = audit(EventCode::ConfigurationActivated);
        let after = after.map(|octet| [octet; 32]);
        world.store.activate_configuration(&of(octet), after, &audit, at(5)).unwrap()
    };
    assert_eq!(world.store.activated_configuration().unwrap(), None);
    let before = sizes(&*world.store);

    assert!(!activate(1, Some(9)));
    assert!(activate(1, None));
    assert!(!activate(2, None), "there is one");
    assert!(activate(2, Some(1)));
    assert!(!activate(3, Some(1)), "that is over");
    // Back to what was there before, by an act of its own.
    assert!(activate(1, Some(2)));
    assert_eq!(sizes(&*world.store), (before.0, before.1 + 3));
    assert_eq!(world.store.activated_configuration().unwrap(), Some(of(1)));
}
