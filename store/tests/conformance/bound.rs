//! eIDs and carriers: what an order binds together is revoked together, all of it or nothing.

use std::sync::Arc;

use ca::audit::EventCode;
use ca::carrier::CarrierKind;
use ca::key_holder::HolderName;
use ca::life::{OrderAct, OrderStage};
use ca::revocation::{BusinessEvent, RevocationWish};
use ca::role::Protected::{Seen, Unseen};
use ca::steps::Struck;
use status::{CertificateState, RevocationReason};
use store::{
    Alone, Binding, BoundAudit, BoundChange, BoundChanged, BoundTo, CarrierId, CertificateFilter,
    CertificateId, CertificateLookup, CertificateSide, CrlIntent, EidFilter, EidId, EidOrderChange,
    EidOrderStrike, EidRow, EidWanted, Import, IndexTag, IndexTerm, IssuedCertificate,
    IssuerKeeping, OrderId, Privacy, ProfileVersion, StatusAct, StoreError,
};
use x509::signing::{Pending, Recorded};
use x509::time::UnixTime;

use super::Backend;
use super::crls::{facts, intend, next};
use super::eid_orders::{step, take};
use super::world::{Issuer, PERSON, World, at, audit, audit_of, fresh, sizes};

const CARD: &str = "9752269874512325436";
const HOME: &str = "2321000131";
const OTHER: &str = "5565594230";

fn card(number: &str) -> IndexTerm {
    IndexTerm::new(IndexTag::CardNumber, number)
}

pub(crate) fn binding(card: Option<&str>, holder: &str, organisation: &str) -> Binding {
    Binding {
        eid: EidId::from_bytes(fresh()),
        carrier: CarrierId::from_bytes(fresh()),
        kind: if card.is_some() { CarrierKind::OrdinaryCard } else { CarrierKind::MobileDevice },
        family: "nls-card-2023".to_owned(),
        mark: card.map(self::card),
        holder: HolderName::number(holder),
        proof: None,
        organisation: organisation.to_owned(),
        issuing: None,
    }
}

pub(crate) fn try_issue(
    world: &World,
    profile: &str,
    binding: Binding,
    now: u64,
) -> Result<CertificateId, StoreError> {
    let (_, pending, recorded) = world.intend(at(now)).unwrap();
    record(world, pending, &recorded, profile, binding, now)
}

pub(crate) fn record(
    world: &World,
    pending: Pending,
    recorded: &Recorded,
    profile: &str,
    binding: Binding,
    now: u64,
) -> Result<CertificateId, StoreError> {
    let signed = world.issuer.sign(pending, recorded);
    let profile = ProfileVersion { name: profile.to_owned(), sha256: [2; 32] };
    let facts = IssuedCertificate { profile, binding: Some(binding), ..world.facts() };
    let audit = audit_of(EventCode::CertificateIssued, world.subject(), PERSON);
    world.store.record_issued(&signed, &facts, &audit, at(now)).map(|issued| issued.certificate)
}

/// Issues one certificate on a card of this number; of which eID it is.
pub(crate) fn issue_on(
    world: &World,
    number: &str,
    holder: &str,
    organisation: &str,
) -> (CertificateId, EidRow) {
    let bound = binding(Some(number), holder, organisation);
    let id = try_issue(world, "authentication", bound, 5).unwrap();
    (id, eid_of(world, id))
}

/// Issues one certificate on the card; of which eID it is.
fn issue(
    world: &World,
    profile: &str,
    holder: &str,
    organisation: &str,
) -> (CertificateId, EidRow) {
    let bound = binding(Some(CARD), holder, organisation);
    let id = try_issue(world, profile, bound, 5).unwrap();
    (id, eid_of(world, id))
}

fn eid_of(world: &World, certificate: CertificateId) -> EidRow {
    let filter = EidFilter { certificate: Some(certificate), ..EidFilter::default() };
    let mut page = world.store.eids(&filter, None, 10).unwrap();
    assert_eq!((page.rows.len(), page.next), (1, None));
    page.rows.remove(0)
}

fn leaf() -> BoundAudit {
    Box::new(|_| audit(EventCode::CertificateRevoked))
}

fn change(to: BoundTo, wish: RevocationWish) -> BoundChange {
    let alone = Alone { client: "portal".to_owned(), most: 500 };
    BoundChange { to, wish, requested_at: Some(at(1)), alone: Some(alone) }
}

const COMPROMISED: RevocationWish = RevocationWish::Revoke(Some(RevocationReason::KeyCompromise));
const SUPERSEDED: RevocationWish = RevocationWish::Revoke(Some(RevocationReason::Superseded));

/// Which of them something was done to.
fn outcomes(changed: &[BoundChanged]) -> Vec<(CertificateId, Done)> {
    let done = |one: &BoundChanged| if one.done.is_some() { Done::Now } else { Done::Before };
    changed.iter().map(|one| (one.certificate, done(one))).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Now,
    Before,
}

fn states(world: &World, to: BoundTo) -> Vec<CertificateState> {
    let bound = world.store.bound_certificates(to).unwrap();
    bound.iter().map(|(_, row)| row.status.status.state).collect()
}

pub(crate) fn a_holder_in_an_organisation_on_a_carrier_is_one_eid(backend: &dyn Backend) {
    let world = World::new(backend);
    let (first, eid) = issue(&world, "authentication", PERSON, HOME);
    let (second, same) = issue(&world, "signature", PERSON, HOME);
    assert_eq!(eid, same);
    let (_, extra) = issue(&world, "authentication", PERSON, OTHER);
    let (_, another) = issue(&world, "authentication", "191003229802", HOME);
    assert_eq!((extra.carrier, another.carrier), (eid.carrier, eid.carrier));
    // The same profile again is another eID, and so is what comes after a revoked one.
    let (_, renewed) = issue(&world, "authentication", PERSON, HOME);
    let ids = [eid.id, extra.id, another.id, renewed.id];
    assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)), "{ids:?}");
    let telephone = || {
        let bound = binding(None, PERSON, HOME);
        eid_of(&world, try_issue(&world, "mobile", bound, 5).unwrap())
    };
    assert_ne!(telephone().carrier, telephone().carrier);

    let bound: Vec<_> = world.store.bound_certificates(BoundTo::Eid(eid.id)).unwrap();
    let bound: Vec<_> = bound.into_iter().map(|(of, row)| (of, row.id)).collect();
    assert_eq!(bound, [(eid.id, first), (eid.id, second)]);
    let carrier =
        world.store.carrier_of_card(&card("9752 2698 7451 2325 436"), Unseen).unwrap().unwrap();
    assert_eq!((carrier.id, carrier.kind), (eid.carrier, CarrierKind::OrdinaryCard));
    assert_eq!((carrier.revoked, carrier.created), (None, at(5)));
    assert_eq!(world.store.carrier(eid.carrier, Unseen).unwrap().unwrap(), carrier);
    assert_eq!(world.store.carrier_of_card(&card("9752269874512325444"), Seen).unwrap(), None);
    assert_eq!(world.store.eid(EidId::from_bytes(fresh()), Seen).unwrap(), None);

    // Listed page by page, by organisation and by carrier.
    let on = EidFilter { carrier: Some(eid.carrier), ..EidFilter::default() };
    let page = world.store.eids(&on, None, 3).unwrap();
    let rest = world.store.eids(&on, page.next, 3).unwrap();
    let walked: Vec<_> = page.rows.iter().chain(&rest.rows).map(|row| row.id).collect();
    assert_eq!((walked, rest.next), (ids.to_vec(), None));
    let of = EidFilter { organisation: Some(OTHER.to_owned()), ..EidFilter::default() };
    assert_eq!(world.store.eids(&of, None, 10).unwrap().rows, [extra]);
    drop(world);
    assert_eq!(backend.open().eid(eid.id, Unseen).unwrap(), Some(eid));
}

pub(crate) fn an_eid_is_revoked_with_all_its_certificates_and_no_other(backend: &dyn Backend) {
    let world = World::new(backend);
    let (first, eid) = issue(&world, "authentication", PERSON, HOME);
    let (second, _) = issue(&world, "signature", PERSON, HOME);
    let (_, extra) = issue(&world, "authentication", PERSON, OTHER);
    let to = BoundTo::Eid(eid.id);
    world.change(second, StatusAct::Hold, at(6)).unwrap();
    let before = sizes(&*world.store);

    let held = world.store.revoke_bound(&change(to, RevocationWish::Hold), leaf(), at(7)).unwrap();
    let (changed, already) = (Done::Now, Done::Before);
    assert_eq!(outcomes(&held), [(first, changed), (second, already)]);
    assert_eq!(sizes(&*world.store), (before.0 + 1, before.1 + 1), "one leaf for all");
    let revoked = world.store.revoke_bound(&change(to, SUPERSEDED), leaf(), at(8)).unwrap();
    assert_eq!(outcomes(&revoked), [(first, changed), (second, changed)]);
    assert_eq!(revoked[0].status.requested_at, Some(at(1)));
    let before = sizes(&*world.store);
    let again = world.store.revoke_bound(&change(to, SUPERSEDED), leaf(), at(9)).unwrap();
    assert_eq!(outcomes(&again), [(first, already), (second, already)]);
    assert_eq!(sizes(&*world.store), before, "nothing changed");
    // A graver reason is noted, and the time stays.
    let graver = world.store.revoke_bound(&change(to, COMPROMISED), leaf(), at(10)).unwrap();
    assert_eq!(outcomes(&graver), [(first, changed), (second, changed)]);
    assert_eq!(graver[0].status.status.reason, Some(RevocationReason::KeyCompromise));
    assert_eq!(graver[0].status.status.effective_time, at(8));

    assert_eq!(states(&world, to), [CertificateState::Revoked; 2]);
    assert_eq!(states(&world, BoundTo::Eid(extra.id)), [CertificateState::Issued]);
    let bound = binding(Some(CARD), PERSON, HOME);
    let next = try_issue(&world, "authentication", bound, 11).unwrap();
    assert_ne!(eid_of(&world, next).id, eid.id, "what was revoked is not gone on with");
}

pub(crate) fn a_carrier_is_revoked_with_the_eids_of_all_organisations(backend: &dyn Backend) {
    let world = World::new(backend);
    let (_, eid) = issue(&world, "authentication", PERSON, HOME);
    issue(&world, "signature", PERSON, HOME);
    issue(&world, "authentication", PERSON, OTHER);
    let to = BoundTo::Carrier(eid.carrier);
    // All or nothing: past what the client may alone none of them is revoked, nor the carrier.
    let before = sizes(&*world.store);
    let mut wanted = change(to, COMPROMISED);
    wanted.alone = Some(Alone { client: "portal".to_owned(), most: 2 });
    let refused = world.store.revoke_bound(&wanted, leaf(), at(7)).unwrap_err();
    assert!(matches!(refused, StoreError::AloneSpent { alone: 2, .. }), "{refused}");
    assert_eq!(
        (sizes(&*world.store), states(&world, to)),
        (before, vec![CertificateState::Issued; 3])
    );
    assert_eq!(world.store.carrier(eid.carrier, Unseen).unwrap().unwrap().revoked, None);
    issue(&world, "authentication", "191003229802", HOME);

    let revoked = world.store.revoke_bound(&change(to, COMPROMISED), leaf(), at(8)).unwrap();

    assert_eq!(revoked.len(), 4);
    assert_eq!(states(&world, to), [CertificateState::Revoked; 4]);
    assert_eq!(world.store.carrier(eid.carrier, Unseen).unwrap().unwrap().revoked, Some(at(8)));
    let unknown = BoundTo::Carrier(CarrierId::from_bytes(fresh()));
    for unknown in [unknown, BoundTo::Eid(EidId::from_bytes(fresh()))] {
        let refused = world.store.revoke_bound(&change(unknown, COMPROMISED), leaf(), at(9));
        assert!(matches!(refused, Err(StoreError::UnknownBound { what }) if what == unknown));
    }
}

/// REV-11: a certificate of a CA that has ended, expired or revoked, keeps nobody from revoking the living ones.
pub(crate) fn what_a_ca_left_that_has_ended_holds_up_no_revocation(backend: &dyn Backend) {
    let mut first = World::new(backend);
    let (old, eid) = issue(&first, "authentication", PERSON, HOME);
    first.not_after = at(6);
    let (expired, _) = issue(&first, "signature", PERSON, HOME);
    let to = BoundTo::Carrier(eid.carrier);
    first.store.revoke_bound(&change(BoundTo::Eid(eid.id), SUPERSEDED), leaf(), at(7)).unwrap();
    let last = CrlIntent {
        next_update: UnixTime::LAST,
        ..facts(&first, &next(&first), sizes(&*first.store).0)
    };
    let (pending, intended) = intend(&first, &last).unwrap();
    let signed = first.issuer.sign(pending, &intended);
    let issued = audit(EventCode::CrlIssued);
    first.store.record_crl_issued(&signed, [6; 32], 700, &issued, at(11)).unwrap();
    let issuer = Arc::new(Issuer::new("CN=SIGILL TEST issuing v2", IssuerKeeping::Online));
    let import = Import { issuers: vec![issuer.declared.clone()], ..Import::default() };
    first.store.import(&import, &audit(EventCode::ImportCeremony), at(11)).unwrap();
    let second = World { issuer, not_after: at(100_000_000), ..first };
    let bound = binding(Some(CARD), PERSON, HOME);
    let living = try_issue(&second, "authentication", bound, 12).unwrap();

    let revoked = second.store.revoke_bound(&change(to, COMPROMISED), leaf(), at(13)).unwrap();

    assert_eq!(outcomes(&revoked), [(old, Done::Before), (living, Done::Now)], "not {expired}");
    assert_eq!((revoked[0].ended, revoked[1].ended), (true, false));
    assert_eq!(revoked[0].status.status.reason, Some(RevocationReason::Superseded));

    // By a clock that was set back what had expired before the last list lives again: nothing is done to it, and it is in nobody's way.
    let back = BoundTo::Eid(eid_of(&second, expired).id);
    let passed = second.store.revoke_bound(&change(back, COMPROMISED), leaf(), at(5)).unwrap();
    assert_eq!(outcomes(&passed), [(old, Done::Before), (expired, Done::Before)]);
    assert!(passed.iter().all(|one| one.ended), "{passed:?}");
    let order = OrderId::from_bytes(fresh());
    let strike = EidOrderStrike { what: to, event: BusinessEvent::Lost, struck: Struck::Now };
    let ordered = step(order, 0, OrderAct::Order, OrderStage::Ordered);
    let taken = take(&second, &EidOrderChange { strike: Some(strike), ..ordered }, at(5)).unwrap();
    assert_eq!(taken, [], "an order for another card is not held up");
}

/// What was signed for a carrier that was revoked meanwhile is not released.
pub(crate) fn a_revoked_carrier_takes_no_certificate(backend: &dyn Backend) {
    let world = World::new(backend);
    let (_, eid) = issue(&world, "authentication", PERSON, HOME);
    let to = BoundTo::Carrier(eid.carrier);
    world.store.revoke_bound(&change(to, COMPROMISED), leaf(), at(8)).unwrap();

    let bound = binding(Some(CARD), PERSON, OTHER);
    let refused = try_issue(&world, "signature", bound, 9).unwrap_err();

    assert!(matches!(refused, StoreError::CarrierRevoked { carrier } if carrier == eid.carrier));
    assert_eq!(refused.code(), "carrier-revoked");
    assert_eq!(states(&world, to), [CertificateState::Revoked]);
    assert_eq!(world.store.open_intents().unwrap().len(), 1, "to be voided as any other");
}

/// What was being signed for an eID that was revoked meanwhile is no other eID's.
pub(crate) fn an_eid_is_revoked_with_what_is_being_signed_for_it(backend: &dyn Backend) {
    let world = World::new(backend);
    let (_, eid) = issue(&world, "authentication", PERSON, HOME);
    let (_, pending, recorded) = world.intend(at(6)).unwrap();
    let (_, another, intended) = world.intend(at(6)).unwrap();
    let to = BoundTo::Eid(eid.id);
    world.store.revoke_bound(&change(to, COMPROMISED), leaf(), at(7)).unwrap();
    // Another organisation's is not touched.
    let other = binding(Some(CARD), PERSON, OTHER);
    record(&world, another, &intended, "signature", other, 8).unwrap();
    let before = sizes(&*world.store);

    let bound = || binding(Some(CARD), PERSON, HOME);
    let refused = record(&world, pending, &recorded, "signature", bound(), 8).unwrap_err();

    assert!(matches!(refused, StoreError::EidRevoked { eid: of } if of == eid.id), "{refused}");
    assert_eq!(refused.code(), "eid-revoked-meanwhile");
    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.open_intents().unwrap().len(), 1, "to be voided as any other");
    // What is ordered afterwards begins another eID.
    let next = try_issue(&world, "signature", bound(), 9).unwrap();
    assert_ne!(eid_of(&world, next).id, eid.id);
}

/// What came before eIDs were kept is not revoked with the carrier: it is counted.
pub(crate) fn certificates_of_a_card_that_belong_to_no_eid_are_counted(backend: &dyn Backend) {
    let world = World::new(backend);
    let unbound = |number: &str| {
        let (_, pending, recorded) = world.intend(at(3)).unwrap();
        let signed = world.issuer.sign(pending, &recorded);
        let facts = IssuedCertificate { index: vec![card(number)], ..world.facts() };
        let audit = audit_of(EventCode::CertificateIssued, world.subject(), PERSON);
        world.store.record_issued(&signed, &facts, &audit, at(3)).unwrap().certificate
    };
    let (first, _, _) = (unbound(CARD), unbound(CARD), unbound("9752269874512325444"));
    let (_, eid) = issue(&world, "authentication", PERSON, HOME);
    let count = |now| world.store.unbound_on(eid.carrier, now).unwrap();

    assert_eq!(count(at(6)), 2);
    world.revoke(first, at(6));
    world
        .store
        .revoke_bound(&change(BoundTo::Carrier(eid.carrier), COMPROMISED), leaf(), at(7))
        .unwrap();
    assert_eq!(count(at(8)), 1);
    assert_eq!(count(UnixTime::LAST), 0, "what has expired");
    assert_eq!(world.store.unbound_on(CarrierId::from_bytes(fresh()), at(8)).unwrap(), 0);
}

fn by_device(device: &str, holder: &str) -> Binding {
    let mark = Some(IndexTerm::new(IndexTag::Device, device));
    Binding { mark, ..binding(None, holder, HOME) }
}

/// A telephone that says which it is is the same carrier each time, and nobody else's while an eID lives on it.
pub(crate) fn a_telephone_is_one_carrier_and_bears_one_holder(backend: &dyn Backend) {
    let world = World::new(backend);
    let issue = |device: &str, holder: &str| {
        let issued = try_issue(&world, "mobile", by_device(device, holder), 5);
        issued.map(|id| eid_of(&world, id))
    };
    let first = issue("aGVq", PERSON).unwrap();
    let renewed = issue("aGVq", PERSON).unwrap();
    let another = issue("aGVQ", PERSON).unwrap();
    assert_eq!(first.carrier, renewed.carrier);
    assert_ne!(first.id, renewed.id, "the same profile again is another eID");
    assert_ne!(first.carrier, another.carrier);

    let somebody = "191003229802";
    let may = |now: u64| world.store.may_bind(&by_device("aGVq", somebody), "mobile", at(now));
    let refused = [may(6).unwrap_err(), issue("aGVq", somebody).unwrap_err()];
    for refused in refused {
        let carrier = first.carrier;
        assert!(matches!(refused, StoreError::CarrierOfAnother { carrier: of } if of == carrier));
        assert_eq!(refused.code(), "carrier-of-another");
    }
    // Once no eID of the first holder lives on it, it may be somebody else's.
    for eid in [first.id, renewed.id] {
        assert!(may(7).is_err());
        world.store.revoke_bound(&change(BoundTo::Eid(eid), SUPERSEDED), leaf(), at(7)).unwrap();
    }
    may(8).unwrap();
    assert_eq!(issue("aGVq", somebody).unwrap().carrier, first.carrier);
    // A stolen telephone takes nothing any more.
    let to = BoundTo::Carrier(first.carrier);
    world.store.revoke_bound(&change(to, COMPROMISED), leaf(), at(9)).unwrap();
    let refused = world.store.may_bind(&by_device("aGVq", PERSON), "mobile", at(10)).unwrap_err();
    assert_eq!(refused.code(), "carrier-revoked");
}

/// The second call of an order that comes after its eID was revoked begins no other eID.
pub(crate) fn what_is_left_of_an_order_is_not_issued_once_its_eid_is_revoked(
    backend: &dyn Backend,
) {
    let world = World::new(backend);
    let proven = |how: &str| Binding {
        proof: Some(IndexTerm::new(IndexTag::Proof, how)),
        ..binding(Some(CARD), PERSON, HOME)
    };
    let (first, second) = ("passport 09:00 administrator-1", "passport 14:00 administrator-1");
    let issue = |profile: &str, how: &str, now: u64| {
        let issued = try_issue(&world, profile, proven(how), now);
        issued.map(|id| eid_of(&world, id))
    };
    let eid = issue("authentication", first, 5).unwrap();
    let to = BoundTo::Eid(eid.id);
    world.store.revoke_bound(&change(to, COMPROMISED), leaf(), at(6)).unwrap();
    let before = world.store.eids(&EidFilter::default(), None, 10).unwrap().rows;

    let may = |profile: &str, how: &str| world.store.may_bind(&proven(how), profile, at(20));
    let refused =
        [may("signature", first).unwrap_err(), issue("signature", first, 20).unwrap_err()];

    for refused in refused {
        assert!(matches!(refused, StoreError::EidOfOrderRevoked { eid: of } if of == eid.id));
        assert_eq!(refused.code(), "eid-of-order-revoked");
    }
    assert_eq!(world.store.eids(&EidFilter::default(), None, 10).unwrap().rows, before);
    // What it was issued wrongly for may be issued again, and a holder who was identified since has another eID.
    may("authentication", first).unwrap();
    let other = Binding { organisation: OTHER.to_owned(), ..proven(first) };
    world.store.may_bind(&other, "signature", at(20)).unwrap();
    may("signature", second).unwrap();
    let next = issue("signature", second, 21).unwrap();
    assert_ne!(next.id, eid.id);
    assert_eq!(issue("authentication", second, 22).unwrap().id, next.id);
}

/// Search: by a holder, by what a carrier is known by, and by a term of a certificate, in one order and page by page.
pub(crate) fn eids_are_found_by_what_is_kept_as_hashes(backend: &dyn Backend) {
    let world = World::new(backend);
    let end = |text: &str| IndexTerm::new(IndexTag::HsaIdEnd, text);
    let issue = |mark: &str, holder: &str, organisation: &str, ends: &str| {
        let (_, pending, recorded) = world.intend(at(4)).unwrap();
        let signed = world.issuer.sign(pending, &recorded);
        let binding = Some(binding(Some(mark), holder, organisation));
        let facts = IssuedCertificate { binding, index: vec![end(ends)], ..world.facts() };
        let audit = audit_of(EventCode::CertificateIssued, world.subject(), PERSON);
        let issued = world.store.record_issued(&signed, &facts, &audit, at(5)).unwrap();
        eid_of(&world, issued.certificate).id
    };
    let (other_card, somebody) = ("9752269874512325444", "191003229802");
    let home = issue(CARD, PERSON, HOME, "002");
    let extra = issue(CARD, PERSON, OTHER, "0a7");
    let reserve = issue(other_card, PERSON, HOME, "002");
    let another = issue(other_card, somebody, HOME, "002");
    let found = |filter: EidFilter| -> Vec<EidId> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = world.store.eids(&filter, after, 1).unwrap();
            all.extend(page.rows.iter().map(|row| row.id));
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    };
    let any = EidFilter::default;
    let of = |holder: &str| EidFilter { holder: Some(HolderName::number(holder)), ..any() };
    let on = |number: &str| EidFilter { mark: Some(card(number)), ..any() };
    let ending = |text: &str| EidFilter { term: Some(end(text)), ..any() };

    assert_eq!(found(of(PERSON)), [home, extra, reserve]);
    assert_eq!(found(of("195401812390")), []);
    assert_eq!(found(on("9752 2698 7451 2325 436")), [home, extra]);
    assert_eq!(found(on("9752269874512325450")), []);
    assert_eq!(found(ending("002")), [home, reserve, another]);
    assert_eq!(found(ending("0A7")), [extra], "in whatever case");
    let organisation = Some(OTHER.to_owned());
    assert_eq!(found(EidFilter { organisation, ..of(PERSON) }), [extra]);
}

/// API-04: by whom certificates are seen that is limited to organisations.
pub(crate) fn certificates_are_told_apart_by_whose_they_are(backend: &dyn Backend) {
    let world = World::new(backend);
    let (first, eid) = issue(&world, "authentication", PERSON, HOME);
    let (second, _) = issue(&world, "signature", PERSON, HOME);
    let (extra, _) = issue(&world, "authentication", PERSON, OTHER);
    let unbound = |privacy: Option<Privacy>| {
        let (_, pending, recorded) = world.intend(at(3)).unwrap();
        let signed = world.issuer.sign(pending, &recorded);
        let facts = world.facts();
        let facts =
            IssuedCertificate { privacy: privacy.unwrap_or(facts.privacy), ..world.facts() };
        let audit = audit_of(EventCode::CertificateIssued, world.subject(), PERSON);
        world.store.record_issued(&signed, &facts, &audit, at(5)).unwrap().certificate
    };
    let (function, person) = (unbound(Some(Privacy::Public)), unbound(None));
    let side_of = |id| world.store.certificate_side(&CertificateLookup::Id(id), Unseen).unwrap();
    let side = |id| side_of(id).unwrap();
    let of = |certificate, organisation: Option<&str>| CertificateSide {
        certificate,
        organisation: organisation.map(str::to_owned),
        function_of: None,
    };
    assert_eq!((side(first), side(extra)), (of(first, Some(HOME)), of(extra, Some(OTHER))));
    assert_eq!(side(person), of(person, None), "of no eID, and of a person");
    let client = side(function).function_of.unwrap();
    assert_eq!(client, "portal");
    assert_eq!(side_of(CertificateId::from_bytes(fresh())), None);

    let listed = |filter: CertificateFilter| -> Vec<CertificateId> {
        let first = world.store.list_certificates(&filter, None, 1).unwrap();
        let rest = world.store.list_certificates(&filter, first.next, 10).unwrap();
        let rest = if first.next.is_some() { rest.rows } else { Vec::new() };
        first.rows.iter().chain(&rest).map(|row| row.id).collect()
    };
    let in_organisation = |number: &str| {
        let organisation = Some(number.to_owned());
        listed(CertificateFilter { organisation, ..CertificateFilter::default() })
    };
    let of_eid = |eid| listed(CertificateFilter { eid: Some(eid), ..CertificateFilter::default() });
    assert_eq!(in_organisation(HOME), [first, second]);
    assert_eq!(in_organisation(OTHER), [extra]);
    assert_eq!(in_organisation("2321000016"), []);
    assert_eq!(of_eid(EidWanted::This(eid.id)), [first, second]);
    assert_eq!(of_eid(EidWanted::This(EidId::from_bytes(fresh()))), []);
    assert_eq!(of_eid(EidWanted::None), [function, person]);
}
