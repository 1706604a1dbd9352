//! Protected persons: what is theirs is not found by who does not see them, by any way, and is revoked by everybody (DAT-01).

use std::collections::BTreeSet;

use ca::audit::EventCode;
use ca::key_holder::HolderName;
use ca::protection::ProtectionClass;
use ca::revocation::RevocationWish;
use ca::role::Protected::{self, Seen, Unseen};
use status::RevocationReason;
use store::{
    Alone, BoundChange, BoundTo, CertificateFilter, CertificateId, CertificateLookup, EidFilter,
    IndexTag, IndexTerm, IssuedCertificate, JobSelector, ProtectionChange, Subject,
};

use super::Backend;
use super::bound::binding;
use super::jobs::{frozen, issue_as, plan, planned};
use super::world::{PERSON, World, at, audit};

const CARD: &str = "9752269874512325436";
const OTHER_CARD: &str = "9752269874512325444";
const SOMEBODY: &str = "191003229802";

fn change(person: &str, class: Option<ProtectionClass>) -> ProtectionChange {
    ProtectionChange {
        holder: HolderName::number(person),
        number: Some(IndexTerm::new(IndexTag::PersonalNumber, person)),
        class,
        subject: Subject::Holder(person.to_owned()),
        person: person.as_bytes().to_vec(),
    }
}

pub(super) fn put(
    world: &World,
    person: &str,
    class: Option<ProtectionClass>,
    now: u64,
) -> Option<u64> {
    let (change, leaf) = (change(person, class), audit(EventCode::ProtectionChanged));
    let since = world.store.put_protection(&change, &leaf, at(now)).unwrap();
    since.map(|since| since.secs() - at(0).secs())
}

/// Issues to `holder` on a card, or, of no card, to nobody's eID with the number in its index.
fn issue(world: &World, holder: &str, mark: Option<&str>) -> CertificateId {
    let binding = mark.map(|mark| binding(Some(mark), holder, "2321000131"));
    let mut index = vec![IndexTerm::new(IndexTag::PersonalNumber, holder)];
    index.extend(mark.map(|mark| IndexTerm::new(IndexTag::CardNumber, mark)));
    let facts = IssuedCertificate { binding, index, ..world.facts() };
    issue_as(world, &facts, at(5)).certificate
}

pub(crate) fn a_class_is_recorded_once_and_ends(backend: &dyn Backend) {
    let world = World::new(backend);
    let leaves = || world.store.log_head(store::Log::Audit).unwrap().size;
    let is_protected = || world.store.is_protected(&HolderName::number(PERSON)).unwrap();
    let before = leaves();
    assert!(!is_protected());
    assert_eq!(put(&world, PERSON, None, 1), None);
    assert_eq!(leaves(), before, "nothing happened");

    assert_eq!(put(&world, PERSON, Some(ProtectionClass::Marked), 2), Some(2));
    assert_eq!(put(&world, PERSON, Some(ProtectionClass::Marked), 3), Some(2));
    assert_eq!(put(&world, SOMEBODY, Some(ProtectionClass::Marked), 4), Some(4));
    assert_eq!(put(&world, PERSON, Some(ProtectionClass::Relocated), 5), Some(5));
    assert_eq!(leaves(), before + 3);
    assert!(is_protected());

    let store = &world.store;
    let first = store.protected_persons(None, 1).unwrap();
    let rest = store.protected_persons(Some(first[0].cursor), 9).unwrap();
    let told: Vec<_> =
        first.iter().chain(&rest).map(|row| (row.class, row.since, row.person.clone())).collect();
    assert_eq!(
        told,
        [
            (ProtectionClass::Relocated, at(5), Some(PERSON.as_bytes().to_vec())),
            (ProtectionClass::Marked, at(4), Some(SOMEBODY.as_bytes().to_vec())),
        ]
    );
    assert!(!format!("{:?} {first:?}", change(PERSON, None)).contains(PERSON));
    let (holder, erased) = (Subject::Holder(SOMEBODY.to_owned()), EventCode::SubjectErased);
    store.forget(&holder, &audit(erased), at(6)).unwrap();
    assert_eq!(store.protected_persons(None, 9).unwrap()[1].person, None);

    assert_eq!(put(&world, PERSON, None, 7), None);
    assert!(!is_protected() && store.protected_persons(None, 9).unwrap().len() == 1);
}

/// Everything of these certificates that questions with `protected` find.
fn found(world: &World, of: &[CertificateId], protected: Protected) -> BTreeSet<String> {
    let store = &world.store;
    let mut found = BTreeSet::new();
    for id in of {
        let record = store.certificate(&CertificateLookup::Id(*id)).unwrap().unwrap();
        let fingerprint = CertificateLookup::Fingerprint(record.row.sha256);
        let serial = CertificateLookup::Serial(record.row.issuer, record.row.serial);
        for lookup in [CertificateLookup::Id(*id), fingerprint, serial] {
            let side = store.certificate_side(&lookup, protected).unwrap();
            found.extend(side.map(|side| format!("side {lookup:?} {}", side.certificate)));
        }
        if store.sees_serial(record.row.issuer, &record.row.serial, protected).unwrap() {
            found.insert(format!("serial {}", record.row.serial));
        }
    }
    let listed = CertificateFilter { protected, ..CertificateFilter::default() };
    let listed = store.list_certificates(&listed, None, 100).unwrap().rows;
    found.extend(
        listed.iter().filter(|row| of.contains(&row.id)).map(|row| format!("list {}", row.id)),
    );
    let profile = world.facts().profile.name;
    let issuances = store.issuances(&profile, None, 100, protected).unwrap().issuances;
    let issuances = issuances.iter().filter(|one| of.contains(&one.certificate));
    found.extend(issuances.map(|one| format!("issuance {}", one.certificate)));
    for certificate in of {
        let of_it = || EidFilter { certificate: Some(*certificate), ..EidFilter::default() };
        for eid in store.eids(&EidFilter { protected: Seen, ..of_it() }, None, 9).unwrap().rows {
            let shown = store.eids(&EidFilter { protected, ..of_it() }, None, 9).unwrap().rows;
            found.extend(shown.iter().map(|row| format!("eids {}", row.id)));
            found
                .extend(store.eid(eid.id, protected).unwrap().map(|row| format!("eid {}", row.id)));
            let carrier = store.carrier(eid.carrier, protected).unwrap();
            found.extend(carrier.map(|row| format!("carrier {}", row.id)));
        }
    }
    let holder = Some(HolderName::number(PERSON));
    let searched = EidFilter { holder, protected, ..EidFilter::default() };
    let searched = store.eids(&searched, None, 9).unwrap().rows;
    found.extend(searched.iter().map(|row| format!("search {}", row.id)));
    let card = IndexTerm::new(IndexTag::CardNumber, CARD);
    let carrier = store.carrier_of_card(&card, protected).unwrap();
    found.extend(carrier.map(|row| format!("card {}", row.id)));
    found
}

pub(crate) fn what_is_a_protected_persons_is_not_found_by_who_does_not_see_him(
    backend: &dyn Backend,
) {
    let world = World::new(backend);
    // Of an eID, and of none: the number of a person stands in its index. The other's subject is another one.
    let own = [issue(&world, PERSON, Some(CARD)), issue(&world, PERSON, None)];
    let others = [issue(&world, SOMEBODY, Some(OTHER_CARD))];
    let all = found(&world, &own, Seen);
    assert_eq!(found(&world, &own, Unseen), all);
    assert!(all.len() >= 17, "{all:?}");
    let bystander = found(&world, &others, Unseen);

    // The world's certificates all have PERSON in their subjects; whose SOMEBODY's is, is said by no order.
    put(&world, SOMEBODY, Some(ProtectionClass::Relocated), 6);
    let left = found(&world, &others, Unseen);
    assert!(left.iter().all(|one| one.contains("search") || one.contains("card")), "{left:?}");
    put(&world, SOMEBODY, None, 7);
    assert_eq!(found(&world, &others, Unseen), bystander);

    put(&world, PERSON, Some(ProtectionClass::Marked), 8);
    assert_eq!(found(&world, &own, Unseen), BTreeSet::new());
    assert_eq!(found(&world, &own, Seen), all);
    let unknown = world.store.sees_serial(world.issuer.id(), &super::world::serial(), Unseen);
    assert!(unknown.unwrap(), "nothing hidden has it");

    // A job reaches him, and its listing does not show him.
    let selector = JobSelector { issuer: Some(world.issuer.id()), ..JobSelector::default() };
    let job = planned(&world, plan(selector), &[]);
    let forecast = frozen(&world, job);
    let items = |protected| world.store.job_items(job, 0, 100, protected).unwrap().items.len();
    assert_eq!(forecast.items, 3);
    assert_eq!((items(Seen), items(Unseen)), (3, 0));
    // So does the revocation of his card.
    let carrier = world.store.carrier_of_card(&IndexTerm::new(IndexTag::CardNumber, CARD), Seen);
    let change = BoundChange {
        to: BoundTo::Carrier(carrier.unwrap().unwrap().id),
        wish: RevocationWish::Revoke(Some(RevocationReason::KeyCompromise)),
        requested_at: None,
        alone: Some(Alone { client: "portal".to_owned(), most: 500 }),
    };
    let leaf = Box::new(|_: &[_]| audit(EventCode::CertificateRevoked));
    assert_eq!(world.store.revoke_bound(&change, leaf, at(9)).unwrap().len(), 1);
}

/// A person is known by what orders have said of him: a certificate that names an HSA-id alone is his whose order named him.
pub(crate) fn an_hsa_id_is_the_persons_whom_an_order_named(backend: &dyn Backend) {
    let world = World::new(backend);
    let hsa_id = HolderName::number("TST2321000016-1002");
    let intend = |person: Option<&str>| {
        let (order, serial) = (world.order(), super::world::serial());
        let pending = world.pending(serial);
        let mut facts = world.intent_facts(order, serial);
        facts.key.holder.subject = hsa_id.clone();
        facts.key.holder.person = person.map(HolderName::number);
        let leaf = audit(EventCode::CertificateIntent);
        let recorded = world.store.record_intent(&pending, &facts, &leaf, at(3)).unwrap();
        let signed = world.issuer.sign(pending, &recorded);
        let facts = IssuedCertificate { index: Vec::new(), ..world.facts() };
        let leaf = audit(EventCode::CertificateIssued);
        world.store.record_issued(&signed, &facts, &leaf, at(4)).unwrap().certificate
    };
    let ids = [intend(Some(SOMEBODY)), intend(None)];
    put(&world, SOMEBODY, Some(ProtectionClass::Marked), 5);

    assert!(world.store.is_protected(&hsa_id).unwrap());
    for id in ids {
        let side = world.store.certificate_side(&CertificateLookup::Id(id), Unseen).unwrap();
        assert_eq!(side, None);
        assert!(world.store.certificate_side(&CertificateLookup::Id(id), Seen).unwrap().is_some());
    }
}
