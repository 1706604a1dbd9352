//! REV-11: jobs about persons and organisations.

use std::collections::BTreeSet;

use ca::key_holder::HolderName;
use store::{Binding, IndexTag, IndexTerm, IssuedCertificate, JobSelector, JobTerm};

use super::Backend;
use super::bound::binding;
use super::jobs::{frozen, issue_as, plan, planned, selected};
use super::world::{PERSON, World, at};

/// REV-11: a person by the number, whatever his certificates show; an HSA-id; organisations.
pub(crate) fn holders_and_organisations_are_selected(backend: &dyn Backend) {
    let world = World::new(backend);
    let (home, other, nobody) = ("2321000131", "5565594230", "191003229802");
    let number = |text: &str| IndexTerm::new(IndexTag::PersonalNumber, text);
    let hsa_id = |text: &str| IndexTerm::new(IndexTag::HsaId, text);
    let issue = |binding: Option<Binding>, index: Vec<IndexTerm>, now: u64| {
        let facts = IssuedCertificate { binding, index, ..world.facts() };
        issue_as(&world, &facts, at(now)).certificate
    };
    let of = |holder: &str, organisation: &str| Some(binding(None, holder, organisation));
    // By his eID, which shows an HSA-id; by the number that it shows, without an eID; and somebody else's.
    let employed = issue(of(PERSON, home), vec![hsa_id("TST2321000131-1002")], 1);
    let extra = issue(of(PERSON, other), vec![hsa_id("TST5565594230-1")], 2);
    let old = issue(None, vec![number(PERSON)], 3);
    let another = issue(of(nobody, home), vec![number(nobody)], 4);
    let holder = |text: &str| JobTerm::Holder(HolderName::number(text), number(text));
    let in_organisations = |numbers: &[&str]| JobSelector {
        organisations: numbers.iter().map(|number| (*number).to_owned()).collect(),
        ..JobSelector::default()
    };

    for (selector, terms, expected) in [
        (JobSelector::default(), vec![holder(PERSON)], vec![employed, extra, old]),
        (JobSelector::default(), vec![holder(nobody)], vec![another]),
        (JobSelector::default(), vec![holder("195401812390")], vec![]),
        (
            JobSelector::default(),
            vec![JobTerm::HsaId(hsa_id("tst2321000131-1002"))],
            vec![employed],
        ),
        (in_organisations(&[home]), vec![], vec![employed, another]),
        (in_organisations(&[home, other]), vec![], vec![employed, extra, another]),
        (in_organisations(&["2321000016"]), vec![], vec![]),
        (in_organisations(&[home]), vec![holder(PERSON)], vec![employed]),
    ] {
        let expected: BTreeSet<_> = expected.into_iter().collect();
        assert_eq!(selected(&world, selector.clone(), &terms), expected, "{selector:?} {terms:?}");
    }
    // A term that one of its ways finds is not among those that name nothing.
    let terms = [holder(nobody), holder("195401812390"), JobTerm::HsaId(hsa_id("TST1-1"))];
    let job = planned(&world, plan(JobSelector::default()), &terms);
    let forecast = frozen(&world, job);
    assert_eq!((forecast.items, forecast.unmatched), (1, 2));
    assert_eq!(world.store.job(job).unwrap().unwrap().plan.selector, JobSelector::default());
    // What comes after the selection is told.
    let late = |selector: JobSelector, terms: &[JobTerm]| {
        let job = planned(&world, plan(selector), terms);
        frozen(&world, job);
        job
    };
    let jobs = [
        late(JobSelector::default(), &[holder(PERSON)]),
        late(JobSelector::default(), &[JobTerm::HsaId(hsa_id("TST2321000131-1002"))]),
        late(in_organisations(&[home]), &[]),
        late(in_organisations(&[other]), &[]),
    ];
    issue(of(PERSON, home), vec![hsa_id("TST2321000131-1002")], 50);
    issue(None, vec![number(PERSON)], 51);
    let rest = jobs.map(|job| world.store.job_rest(job, at(60)).unwrap());
    assert_eq!(rest, [2, 1, 1, 0]);
    let kept = world.store.job(jobs[2]).unwrap().unwrap().plan.selector.organisations;
    assert_eq!(kept, [home]);
}
