//! AUD-06, AUD-08: what was shown is found by whose it is, names nobody, and stays when he is forgotten.

use ca::audit::{AuditLeaf, EventCode};
use ca::key_holder::HolderName;
use ca::life::{OrderAct, OrderStage};
use ca::protection::ProtectionClass;
use ca::role::Protected::{self, Seen, Unseen};
use status::Position;
use store::{
    CertificateId, EidFilter, EidId, EidOrderChange, EidOrderHolder, IndexTag, IndexTerm,
    IssuedCertificate, Log, OrderId, Privacy, ReadRow, Reader, ReadsWanted, Shown, ShownId,
    StoreError, Subject,
};

use super::Backend;
use super::bound::binding;
use super::eid_orders::step;
use super::protection::put;
use super::world::{PERSON, World, at, audit, fresh, serial, sizes, verified};

const SOMEBODY: &str = "191003229802";
const HSA_ID: &str = "TST2321000016-1002";

/// Issues for an order that names a subject, and a person or nobody.
pub(crate) fn issue(
    world: &World,
    subject: &str,
    person: Option<&str>,
    facts: IssuedCertificate,
) -> CertificateId {
    let (order, serial) = (world.order(), serial());
    let pending = world.pending(serial);
    let mut intent = world.intent_facts(order, serial);
    intent.key.holder.subject = HolderName::number(subject);
    intent.key.holder.person = person.map(HolderName::number);
    let leaf = audit(EventCode::CertificateIntent);
    let recorded = world.store.record_intent(&pending, &intent, &leaf, at(3)).unwrap();
    let signed = world.issuer.sign(pending, &recorded);
    let leaf = audit(EventCode::CertificateIssued);
    world.store.record_issued(&signed, &facts, &leaf, at(4)).unwrap().certificate
}

pub(crate) fn bare(world: &World) -> IssuedCertificate {
    IssuedCertificate { index: Vec::new(), ..world.facts() }
}

/// A certificate of an eID of this person, and the eID.
fn bound(world: &World, holder: &str, card: &str) -> (CertificateId, EidId) {
    let binding = Some(binding(Some(card), holder, "2321000131"));
    let certificate = issue(world, holder, None, IssuedCertificate { binding, ..bare(world) });
    let filter =
        EidFilter { certificate: Some(certificate), protected: Seen, ..EidFilter::default() };
    let eid = world.store.eids(&filter, None, 1).unwrap().rows[0].id;
    (certificate, eid)
}

fn reader(client: &str, most: u64) -> Reader {
    Reader { client: client.to_owned(), most }
}

fn show(world: &World, shown: &[Shown]) -> Option<Position> {
    let leaf = audit(EventCode::SealedRead);
    world.store.record_read(shown, &reader("portal", 10_000), &leaf, at(10)).unwrap()
}

fn reads(world: &World, person: &str, protected: Protected) -> Vec<ReadRow> {
    world.store.reads_of(&wanted(person, protected), None, 100).unwrap()
}

fn wanted(person: &str, protected: Protected) -> ReadsWanted {
    ReadsWanted {
        holder: HolderName::number(person),
        number: Some(IndexTerm::new(IndexTag::PersonalNumber, person)),
        protected,
    }
}

fn told(rows: &[ReadRow]) -> Vec<(Position, Vec<ShownId>)> {
    rows.iter().map(|row| (row.position, row.shown.clone())).collect()
}

pub(crate) fn what_was_shown_is_found_by_whose_it_is(backend: &dyn Backend) {
    let world = World::new(backend);
    let (own, eid) = bound(&world, PERSON, "9752269874512325436");
    let (others, another) = bound(&world, SOMEBODY, "9752269874512325444");
    let public = IssuedCertificate { privacy: Privacy::Public, ..bare(&world) };
    let function = issue(&world, "www.example.org", None, public);
    let before = sizes(&*world.store);

    // Nobody's: nothing is recorded, and there is no leaf.
    assert_eq!(show(&world, &[]), None);
    assert_eq!(show(&world, &[Shown::Certificate(function)]), None);
    assert_eq!(show(&world, &[Shown::Certificate(CertificateId::from_bytes(fresh()))]), None);
    assert_eq!(sizes(&*world.store), before);

    let first = show(&world, &[Shown::Certificate(own), Shown::Certificate(others)]).unwrap();
    let second = show(&world, &[Shown::Eid(eid), Shown::Eid(eid)]).unwrap();
    let third = show(&world, &[Shown::Person(HolderName::number(PERSON))]).unwrap();
    let page: Vec<Shown> = std::iter::repeat_with(|| Shown::Eid(EidId::from_bytes(fresh())))
        .take(70)
        .chain([Shown::Eid(another), Shown::Certificate(own), Shown::Certificate(function)])
        .collect();
    let fourth = show(&world, &page).unwrap();

    let certificate = vec![ShownId::Certificate(own)];
    let all = [
        (fourth, certificate.clone()),
        (third, vec![ShownId::Person]),
        (second, vec![ShownId::Eid(eid)]),
        (first, certificate),
    ];
    let found = reads(&world, PERSON, Unseen);
    assert_eq!(told(&found), all);
    let leaves = verified(&*world.store, Log::Audit);
    for row in &found {
        assert_eq!(leaves[usize::try_from(row.position.index).unwrap()], row.leaf);
        assert_eq!(AuditLeaf::decode(&row.leaf).unwrap().event.code, EventCode::SealedRead);
    }
    assert_eq!(
        told(&reads(&world, SOMEBODY, Unseen)),
        [(fourth, vec![ShownId::Eid(another)]), (first, vec![ShownId::Certificate(others)])]
    );
    assert_eq!(reads(&world, "198112289874", Unseen), []);

    // Page by page, what is recorded meanwhile is not in what is left.
    let page = |before| world.store.reads_of(&wanted(PERSON, Unseen), before, 3).unwrap();
    let newest = page(None);
    show(&world, &[Shown::Eid(eid)]).unwrap();
    let rest = page(newest.last().map(|row| row.position));
    assert_eq!(told(&[newest, rest].concat()), all);
}

/// A client that reads without end is shown so much in an hour, and nothing of what is past that is on record as shown.
pub(crate) fn a_client_is_shown_so_much_in_an_hour(backend: &dyn Backend) {
    let world = World::new(backend);
    let (own, eid) = bound(&world, PERSON, "9752269874512325436");
    let (others, _) = bound(&world, SOMEBODY, "9752269874512325444");
    let reads = |client: &str, shown: &[Shown], now| {
        let leaf = audit(EventCode::SealedRead);
        world.store.record_read(shown, &reader(client, 3), &leaf, at(now))
    };
    let two = [Shown::Certificate(own), Shown::Eid(eid), Shown::Eid(eid)];
    assert!(reads("portal", &two, 10).unwrap().is_some());
    let before = sizes(&*world.store);

    let refused = reads("portal", &[two.as_slice(), &[Shown::Certificate(others)]].concat(), 11);

    let Err(StoreError::ReadsSpent { per_hour: 3, ends }) = refused else { panic!("{refused:?}") };
    assert_eq!((ends.secs() % 3600, ends > at(11), sizes(&*world.store)), (0, true, before));
    assert_eq!(world.store.reads_of(&wanted(SOMEBODY, Unseen), None, 10).unwrap(), []);
    // What is left is shown, and nobody's is shown without end; another client and the next hour have their own.
    assert!(reads("portal", &two[..1], 12).unwrap().is_some());
    assert!(reads("portal", &two[..1], 13).is_err());
    assert_eq!(reads("portal", &[], 13).unwrap(), None);
    assert!(reads("other", &two, 13).unwrap().is_some());
    assert!(reads("portal", &two, 13 + 3600).unwrap().is_some());
}

/// By each of the ways in which something is known to be a person's.
pub(crate) fn what_is_a_persons_is_found_however_that_is_known(backend: &dyn Backend) {
    let world = World::new(backend);
    let by_number = IssuedCertificate { ..world.facts() };
    let certificates = [
        issue(&world, HSA_ID, Some(PERSON), bare(&world)),
        issue(&world, HSA_ID, None, bare(&world)),
        issue(&world, PERSON, None, bare(&world)),
        issue(&world, "TST2321000016-1009", None, by_number),
    ];
    let stranger = issue(&world, HSA_ID, Some(SOMEBODY), bare(&world));
    let order = |person: Option<&str>, subject: Option<&str>| {
        let id = OrderId::from_bytes(fresh());
        let holder = EidOrderHolder {
            person: person.map(HolderName::number),
            hsa_id: subject.map(HolderName::number),
        };
        let change = EidOrderChange { holder, ..step(id, 0, OrderAct::Order, OrderStage::Ordered) };
        let leaf = Box::new(|_: &[_]| vec![audit(EventCode::OrderStep)]);
        world.store.take_eid_order_step(&change, leaf, at(5)).unwrap();
        id
    };
    let orders = [order(Some(PERSON), Some(HSA_ID)), order(None, Some(HSA_ID))];
    let others = order(Some(SOMEBODY), Some(HSA_ID));
    let every = certificates.iter().chain([&stranger]).copied().map(Shown::Certificate);
    let every: Vec<_> =
        every.chain(orders.iter().chain([&others]).copied().map(Shown::Order)).collect();
    show(&world, &every).unwrap();

    let shown = &reads(&world, PERSON, Unseen)[0].shown;

    let mut expected: Vec<_> = certificates.into_iter().map(ShownId::Certificate).collect();
    expected.extend(orders.into_iter().map(ShownId::Order));
    expected.sort_unstable();
    assert_eq!(shown, &expected);
}

/// DAT-01, DAT-07: as nobody's for who does not see him; and what was shown of him stays on record when he is forgotten.
pub(crate) fn reads_of_the_protected_and_the_forgotten(backend: &dyn Backend) {
    let world = World::new(backend);
    let (own, eid) = bound(&world, PERSON, "9752269874512325436");
    let one = show(&world, &[Shown::Certificate(own), Shown::Eid(eid)]).unwrap();
    let all = reads(&world, PERSON, Unseen);
    assert_eq!(told(&all), [(one, vec![ShownId::Certificate(own), ShownId::Eid(eid)])]);

    put(&world, PERSON, Some(ProtectionClass::Marked), 11);
    assert_eq!(reads(&world, PERSON, Unseen), []);
    assert_eq!(reads(&world, PERSON, Seen), all);
    put(&world, PERSON, None, 12);
    assert_eq!(reads(&world, PERSON, Unseen), all);

    let holder = Subject::Holder(PERSON.to_owned());
    assert!(world.store.forget(&holder, &audit(EventCode::SubjectErased), at(13)).unwrap());
    assert_eq!(reads(&world, PERSON, Unseen), all);
    assert_eq!(world.store.audit_payload(one).unwrap(), Some(b"payload".to_vec()));
    verified(&*world.store, Log::Audit);
    assert!(!format!("{:?}", wanted(PERSON, Seen)).contains(PERSON));
}
