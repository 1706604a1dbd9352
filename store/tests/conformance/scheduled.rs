//! REV-10, REV-01: a revocation of later strikes once, at its second or when somebody comes by, and hits what is there then; a request that was taken
//! elsewhere is carried out once.

use ca::audit::EventCode;
use ca::protection::ProtectionClass;
use ca::revocation::{BusinessEvent, RevocationWish};
use ca::role::Protected::{Seen, Unseen};
use status::{CertificateState, RevocationReason};
use store::{
    Alone, BoundAudit, BoundTo, CertificateId, CertificateLookup, CertificateRow, NewScheduled,
    RevocationTarget, ScheduledFilter, ScheduledId, ScheduledRow, ScheduledState, TakenRequest,
};

use super::Backend;
use super::bound::{binding, issue_on, try_issue};
use super::world::{PERSON, World, at, audit, followed, fresh, sizes};

const CARD: &str = "9752269874512325436";
const OTHER_CARD: &str = "9752269874512325444";
const HERE: &str = "2321000131";
const ELSEWHERE: &str = "5565594230";
const ENDED: Option<RevocationReason> = Some(RevocationReason::AffiliationChanged);

fn alone(most: u64) -> Alone {
    Alone { client: "portal".to_owned(), most }
}

fn later(target: RevocationTarget, strikes: u64) -> NewScheduled {
    NewScheduled {
        id: ScheduledId::from_bytes(fresh()),
        target,
        organisation: Some(HERE.to_owned()),
        reason: ENDED,
        event: Some(BusinessEvent::EmploymentEnded),
        strikes: at(strikes),
        alone: alone(500),
    }
}

fn schedule(world: &World, new: &NewScheduled, now: u64) -> ScheduledRow {
    let leaf = audit(EventCode::RevocationScheduled);
    world.store.schedule_revocation(new, &leaf, at(now)).unwrap()
}

fn leaf() -> BoundAudit {
    Box::new(|_| audit(EventCode::CertificateRevoked))
}

fn strike(world: &World, id: ScheduledId, now: u64) -> Option<Vec<CertificateId>> {
    let all = world.store.strike_scheduled(id, leaf(), at(now)).unwrap()?;
    Some(all.iter().filter(|one| one.done.is_some()).map(|one| one.certificate).collect())
}

fn state(world: &World, id: ScheduledId) -> ScheduledState {
    world.store.scheduled_revocation(id, Seen).unwrap().unwrap().state
}

fn row(world: &World, id: CertificateId) -> CertificateRow {
    world.store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap().row
}

/// How a certificate stands, by its row and by the published log.
fn stands(world: &World, id: CertificateId) -> CertificateState {
    let row = row(world, id);
    let index = followed(&*world.store);
    let logged = index.lookup(index.issuer(&row.issuer).unwrap(), &row.serial).unwrap();
    assert_eq!(logged.state, row.status.status.state, "{id}");
    logged.state
}

fn due(world: &World, now: u64) -> Vec<ScheduledId> {
    let filter = ScheduledFilter { due_at: Some(at(now)), protected: Seen, ..Default::default() };
    let page = world.store.scheduled_revocations(&filter, None, 10).unwrap();
    page.rows.iter().map(|row| row.id).collect()
}

pub(crate) fn a_revocation_of_later_strikes_once_at_its_second(backend: &dyn Backend) {
    let world = World::new(backend);
    let (old, eid) = issue_on(&world, CARD, PERSON, HERE);
    let new = later(RevocationTarget::Eid(eid.id), 500);
    let recorded = schedule(&world, &new, 6);
    assert_eq!((recorded.created, recorded.state), (at(6), ScheduledState::Waiting));
    let before = sizes(&*world.store);
    assert_eq!(schedule(&world, &later_again(&new), 7), recorded, "the same call");
    assert_eq!(sizes(&*world.store), before);
    // What is issued for the eID meanwhile is hit with it.
    let bound = binding(Some(CARD), PERSON, HERE);
    let meanwhile = try_issue(&world, "signature", bound, 8).unwrap();

    assert_eq!((due(&world, 499), due(&world, 500)), (vec![], vec![new.id]));
    assert_eq!(
        (strike(&world, new.id, 499), stands(&world, old)),
        (None, CertificateState::Issued)
    );
    // The CA was away over its second: it is as asked for then, and dated when it is done.
    assert_eq!(strike(&world, new.id, 900), Some(vec![old, meanwhile]));
    let struck = row(&world, meanwhile).status;
    assert_eq!(struck.requested_at, Some(at(500)));
    assert_eq!((struck.status.effective_time, struck.status.reason), (at(900), ENDED));
    assert_eq!([stands(&world, old), stands(&world, meanwhile)], [CertificateState::Revoked; 2]);
    let done = ScheduledState::Done { at: at(900), revoked: 2 };
    assert_eq!(state(&world, new.id), done);

    let before = sizes(&*world.store);
    assert_eq!(strike(&world, new.id, 901), None);
    assert!(!world.store.cancel_scheduled(new.id, &leaf_of_cancelling(), at(902)).unwrap());
    assert_eq!((due(&world, 902), state(&world, new.id)), (vec![], done));
    assert_eq!(sizes(&*world.store), before);
}

/// The same id with other words: what is recorded stands.
fn later_again(new: &NewScheduled) -> NewScheduled {
    NewScheduled { strikes: at(600), ..new.clone() }
}

fn leaf_of_cancelling() -> store::AuditRecord {
    audit(EventCode::RevocationUnscheduled)
}

pub(crate) fn of_two_that_come_by_at_once_one_strikes(backend: &dyn Backend) {
    let world = World::new(backend);
    let (old, eid) = issue_on(&world, CARD, PERSON, HERE);
    let new = later(RevocationTarget::Carrier(eid.carrier), 500);
    schedule(&world, &new, 6);
    let before = sizes(&*world.store);
    let struck: Vec<_> = std::thread::scope(|threads| {
        let all: Vec<_> = (0..8).map(|_| threads.spawn(|| strike(&world, new.id, 500))).collect();
        all.into_iter().filter_map(|one| one.join().unwrap()).collect()
    });

    assert_eq!(struck, [vec![old]]);
    let carrier = world.store.carrier(eid.carrier, Seen).unwrap().unwrap();
    assert_eq!(carrier.revoked, Some(at(500)), "nothing more comes onto it");
    let after = sizes(&*world.store);
    assert_ne!(after, before);
    assert_eq!((strike(&world, new.id, 501), sizes(&*world.store)), (None, after));
}

pub(crate) fn what_is_taken_back_before_its_second_never_strikes(backend: &dyn Backend) {
    let world = World::new(backend);
    let (old, eid) = issue_on(&world, CARD, PERSON, HERE);
    let new = later(RevocationTarget::Eid(eid.id), 500);
    schedule(&world, &new, 6);
    let cancel =
        |now| world.store.cancel_scheduled(new.id, &leaf_of_cancelling(), at(now)).unwrap();
    // Its second counts, also where nobody has come by.
    assert!(!cancel(500));
    assert!(cancel(499));
    let before = sizes(&*world.store);
    assert!(!cancel(498));
    assert_eq!((strike(&world, new.id, 600), due(&world, 600)), (None, vec![]));
    assert_eq!(state(&world, new.id), ScheduledState::Cancelled { at: at(499) });
    assert_eq!((stands(&world, old), sizes(&*world.store)), (CertificateState::Issued, before));
}

pub(crate) fn the_end_of_an_employment_hits_the_holder_in_that_organisation(backend: &dyn Backend) {
    let world = World::new(backend);
    let (first, eid) = issue_on(&world, CARD, PERSON, HERE);
    let (elsewhere, _) = issue_on(&world, CARD, PERSON, ELSEWHERE);
    let (colleague, _) = issue_on(&world, CARD, "191003229802", HERE);
    let new = later(RevocationTarget::HolderOf(eid.id), 500);
    schedule(&world, &new, 6);
    let (second, _) = issue_on(&world, OTHER_CARD, PERSON, HERE);
    let own = world.store.target_certificates(&new.target).unwrap();
    assert_eq!(own.iter().map(|(_, row)| row.id).collect::<Vec<_>>(), [first, second]);

    assert_eq!(strike(&world, new.id, 500), Some(vec![first, second]));
    for kept in [elsewhere, colleague] {
        assert_eq!(stands(&world, kept), CertificateState::Issued);
    }
}

pub(crate) fn a_revocation_of_later_counts_when_it_is_asked_for(backend: &dyn Backend) {
    let world = World::new(backend);
    let (old, eid) = issue_on(&world, CARD, PERSON, HERE);
    let one = later(RevocationTarget::Certificate(old), 500);
    let last = later(RevocationTarget::Eid(eid.id), 501);
    schedule(&world, &NewScheduled { alone: alone(1), ..one.clone() }, 6);
    let past = NewScheduled { alone: alone(1), ..last.clone() };
    let before = sizes(&*world.store);
    let refused = world.store.schedule_revocation(&past, &leaf_of_cancelling(), at(7));
    assert_eq!(refused.unwrap_err().code(), "revocations-alone-spent");
    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.scheduled_revocation(past.id, Seen).unwrap(), None);

    // What an hour allows is spent, and it strikes all the same; the second of two finds nothing to do, and is done.
    schedule(&world, &last, 8);
    assert_eq!(strike(&world, one.id, 501), Some(vec![old]));
    assert_eq!(strike(&world, last.id, 501), Some(vec![]));
    assert_eq!(state(&world, last.id), ScheduledState::Done { at: at(501), revoked: 0 });
}

pub(crate) fn revocations_of_later_are_listed_without_what_is_not_seen(backend: &dyn Backend) {
    let world = World::new(backend);
    let (certificate, eid) = issue_on(&world, CARD, PERSON, HERE);
    let (_, free) = issue_on(&world, OTHER_CARD, "191003229802", HERE);
    let targets = [
        RevocationTarget::Certificate(certificate),
        RevocationTarget::Eid(eid.id),
        RevocationTarget::Carrier(eid.carrier),
        RevocationTarget::HolderOf(eid.id),
        RevocationTarget::Eid(free.id),
    ];
    let all = targets.map(|target| schedule(&world, &later(target, 500), 6).id);
    let listed = |protected, organisation: &str| {
        let organisation = Some(organisation.to_owned());
        let filter = ScheduledFilter { organisation, protected, ..Default::default() };
        let first = world.store.scheduled_revocations(&filter, None, 2).unwrap();
        let mut ids: Vec<_> = first.rows.iter().map(|row| row.id).collect();
        if let Some(next) = first.next {
            let rest = world.store.scheduled_revocations(&filter, Some(next), 10).unwrap();
            ids.extend(rest.rows.iter().map(|row| row.id));
        }
        ids
    };
    assert_eq!(listed(Unseen, HERE), all);
    assert!(listed(Unseen, ELSEWHERE).is_empty());

    super::protection::put(&world, PERSON, Some(ProtectionClass::Marked), 7);
    assert_eq!((listed(Unseen, HERE), listed(Seen, HERE)), (vec![all[4]], all.to_vec()));
    assert_eq!(world.store.scheduled_revocation(all[0], Unseen).unwrap(), None);
    // They strike whoever sees them.
    assert_eq!(strike(&world, all[0], 500), Some(vec![certificate]));
}

pub(crate) fn a_request_that_was_taken_elsewhere_is_registered_once(backend: &dyn Backend) {
    let world = World::new(backend);
    let (certificate, eid) = issue_on(&world, CARD, PERSON, HERE);
    let (other, other_eid) = issue_on(&world, OTHER_CARD, PERSON, HERE);
    let taken = TakenRequest {
        reference: "B-17".to_owned(),
        said: [1; 32],
        target: RevocationTarget::Carrier(eid.carrier),
        wish: RevocationWish::Revoke(Some(RevocationReason::Superseded)),
        requested_at: at(3),
        alone: alone(2),
    };
    let register =
        |taken: &TakenRequest, now| world.store.register_request(taken, leaf(), at(now)).unwrap();
    let first = register(&taken, 10).unwrap();
    assert_eq!((first.registered, first.revoked, first.already), (at(10), 1, 0));
    let stood = row(&world, certificate).status;
    assert_eq!((stood.requested_at, stood.status.effective_time), (Some(at(3)), at(10)));
    let states = world.store.bound_certificates(BoundTo::Carrier(eid.carrier)).unwrap();
    assert_eq!(states.len(), 1);

    let before = sizes(&*world.store);
    let again = register(&taken, 11).unwrap();
    assert_eq!((again.registered, again.revoked, again.changed), (at(10), 1, None));
    assert_eq!(register(&TakenRequest { said: [2; 32], ..taken.clone() }, 12), None);
    assert_eq!(sizes(&*world.store), before);
    // Another form about the same card; a graver reason is noted, and counts.
    let second = TakenRequest { reference: "B-18".to_owned(), ..taken.clone() };
    let stood = register(&second, 13).unwrap();
    assert_eq!((stood.revoked, stood.corrected, stood.already), (0, 0, 1));
    let wish = RevocationWish::Revoke(Some(RevocationReason::KeyCompromise));
    let graver = TakenRequest { reference: "B-19".to_owned(), wish, ..taken.clone() };
    assert_eq!(register(&graver, 14).unwrap().corrected, 1);
    // The hour is spent: nothing is revoked, and the reference is free.
    let target = RevocationTarget::Eid(other_eid.id);
    let spent = TakenRequest { reference: "B-20".to_owned(), target, ..taken };
    let refused = world.store.register_request(&spent, leaf(), at(15)).unwrap_err();
    assert_eq!(refused.code(), "revocations-alone-spent");
    assert_eq!(stands(&world, other), CertificateState::Issued);
    let enough = TakenRequest { alone: alone(3), ..spent };
    assert_eq!(register(&enough, 16).unwrap().revoked, 1);
}
