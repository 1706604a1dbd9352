//! API-04: the tree, its rules, and how far a role reaches.

use super::*;

const NUMBERS: [&str; 4] = ["2321000131", "5565594230", "2321000016", "5565594255"];

fn day(text: &str) -> Day {
    let mut parts = text.split('-').map(|part| part.parse::<u16>().unwrap());
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let small = |part: Option<u16>| u8::try_from(part.unwrap()).unwrap();
    Day::new(year.unwrap(), small(month), small(day)).unwrap()
}

fn days(from: &str, until: Option<&str>) -> Days {
    Days::new(day(from), until.map(day)).unwrap()
}

fn node(id: u8, parent: Option<u8>, kind: OrganisationKind, days: Days) -> Organisation<u8> {
    let office = format!("office-{id}");
    let text = OrganisationText {
        name: "Region Exempel",
        number: matches!(kind, DirectlyConnected | ThirdParty)
            .then(|| NUMBERS[usize::from(id) % NUMBERS.len()]),
        office: (kind == Office).then_some(office.as_str()),
    };
    Organisation::new(id, parent, kind, days, &text).unwrap()
}

use OrganisationKind::{DirectlyConnected, IssuingArea, Office, SubOrganisation, ThirdParty};

const TODAY: &str = "2026-11-23";

/// An area (0) with two organisations (1, 2); under 1 a sub-organisation (3) with an office (4), under 2 an office (5).
fn tree() -> Tree<u8> {
    let always = days("2020-01-01", None);
    [
        node(0, None, IssuingArea, always),
        node(1, Some(0), DirectlyConnected, always),
        node(2, Some(0), ThirdParty, days("2024-01-01", Some("2027-12-31"))),
        node(3, Some(1), SubOrganisation, always),
        node(4, Some(3), Office, always),
        node(5, Some(2), Office, days("2024-01-01", Some("2026-12-31"))),
    ]
    .into_iter()
    .collect()
}

fn judged(wanted: &Organisation<u8>, scope: &Scope<u8>) -> Result<(), &'static str> {
    tree().judge(wanted, scope, day(TODAY)).map_err(|fault| fault.code())
}

fn by_all(wanted: &Organisation<u8>) -> Result<(), &'static str> {
    judged(wanted, &Scope::All)
}

fn changed(id: u8, change: impl FnOnce(&mut Organisation<u8>)) -> Organisation<u8> {
    let mut wanted = tree().find(id).unwrap().clone();
    change(&mut wanted);
    wanted
}

/// A role covers its organisation and what lies under it, and nothing above or beside.
#[test]
fn a_role_covers_what_lies_under_and_not_the_reverse() {
    let (tree, today) = (tree(), day(TODAY));
    for (own, covered) in
        [(0, vec![0, 1, 2, 3, 4, 5]), (1, vec![1, 3, 4]), (3, vec![3, 4]), (5, vec![5])]
    {
        let scope = Scope::Under(vec![own]);
        let seen: Vec<u8> = (0..9).filter(|id| tree.sees(&scope, *id, today)).collect();
        assert_eq!(seen, covered, "role on {own}");
    }
    assert!(!tree.sees(&Scope::Under(Vec::new()), 1, today));
    assert!(!tree.sees(&Scope::All, 9, today));
}

#[test]
fn a_role_ends_with_its_organisation() {
    let tree = tree();
    let scope = Scope::Under(vec![2]);

    assert!(tree.sees(&scope, 5, day("2027-12-31")));
    assert!(!tree.sees(&scope, 5, day("2028-01-01")));
    assert!(!tree.sees(&scope, 5, day("2023-12-31")), "it has not begun");
}

/// Every pair of kinds: what does not lie under the other is refused.
#[test]
fn kinds_lie_under_each_other_in_one_order() {
    let always = days("2020-01-01", None);
    let above = [
        (None, "nothing"),
        (Some(0), "area"),
        (Some(1), "direct"),
        (Some(3), "sub"),
        (Some(4), "office"),
    ];
    let legal = [
        (IssuingArea, [true, false, false, false, false]),
        (DirectlyConnected, [false, true, false, false, false]),
        (ThirdParty, [false, true, false, false, false]),
        (SubOrganisation, [false, false, true, true, false]),
        (Office, [false, false, true, true, false]),
    ];
    for (kind, legal) in legal {
        for ((parent, named), legal) in above.iter().zip(legal) {
            let judged = by_all(&node(7, *parent, kind, always));
            let expected = if legal { Ok(()) } else { Err("organisation-kind") };
            assert_eq!(judged, expected, "{kind} under {named}");
        }
    }
    assert_eq!(by_all(&node(6, Some(9), Office, always)), Err("organisation-above-unknown"));
}

#[test]
fn nothing_lies_under_itself() {
    let deeper = changed(3, |it| it.parent = Some(3));
    assert_eq!(by_all(&deeper), Err("organisation-cycle"));
    let mut tree = tree();
    let below = node(6, Some(3), SubOrganisation, days("2020-01-01", None));
    tree = tree.iter().cloned().chain([below]).collect();
    let moved = changed(3, |it| it.parent = Some(6));
    let refused = tree.judge(&moved, &Scope::All, day(TODAY));
    assert_eq!(refused, Err(OrganisationFault::Cycle));
}

#[test]
fn a_tree_is_so_deep_at_most() {
    let always = days("2020-01-01", None);
    let chain = |last: u8| {
        (6..=last).map(move |id| {
            let above = if id == 6 { 3 } else { id - 1 };
            node(id, Some(above), SubOrganisation, always)
        })
    };
    // Nodes 0, 1, 3 and nine more are twelve.
    let deep: Tree<u8> = tree().iter().cloned().chain(chain(14)).collect();
    let judge = |wanted: &Organisation<u8>| deep.judge(wanted, &Scope::All, day(TODAY));

    assert_eq!(judge(&node(20, Some(13), Office, always)), Ok(()));
    assert_eq!(
        judge(&node(20, Some(14), Office, always)).unwrap_err().code(),
        "organisation-depth"
    );
    // A move takes what lies under it along.
    let sub = node(21, Some(1), SubOrganisation, always);
    let deep: Tree<u8> = deep.iter().cloned().chain([sub]).collect();
    let moved = Organisation { parent: Some(21), ..deep.find(3).unwrap().clone() };
    let refused = deep.judge(&moved, &Scope::All, day(TODAY)).unwrap_err();
    assert_eq!(refused.code(), "organisation-depth");
}

#[test]
fn days_lie_within_those_above_and_around_those_below() {
    let office = |from, until| node(6, Some(2), Office, days(from, until));
    assert_eq!(by_all(&office("2024-01-01", Some("2027-12-31"))), Ok(()));
    for outside in [
        office("2023-12-31", Some("2027-12-31")),
        office("2024-01-01", Some("2028-01-01")),
        office("2024-01-01", None),
    ] {
        assert_eq!(by_all(&outside), Err("organisation-outside"), "{}", outside.days);
    }
    let until = |last| changed(2, |it| it.days = days("2024-01-01", Some(last)));
    assert_eq!(by_all(&until("2026-12-31")), Ok(()));
    assert_eq!(by_all(&until("2026-12-30")), Err("organisation-still-used"));
    assert_eq!(Days::new(day("2026-01-02"), Some(day("2026-01-01"))), None);
}

#[test]
fn what_has_ended_stays_as_it_was() {
    let judge = |wanted: &Organisation<u8>, on| {
        tree().judge(wanted, &Scope::All, day(on)).map_err(|fault| fault.code())
    };
    let longer = changed(5, |it| it.days = days("2024-01-01", Some("2027-12-31")));
    assert_eq!(judge(&longer, "2026-12-31"), Ok(()));
    assert_eq!(judge(&longer, "2027-01-01"), Err("organisation-ended"));
    // An end is not dated back, and nothing is put under what has ended.
    let ended = |last| changed(4, |it| it.days = days("2020-01-01", Some(last)));
    assert_eq!(judge(&ended("2026-11-22"), TODAY), Err("organisation-past"));
    assert_eq!(judge(&ended(TODAY), TODAY), Ok(()));
    let late = node(6, Some(2), Office, days("2028-01-01", None));
    assert_eq!(judge(&late, "2028-01-01"), Err("organisation-outside"));
}

#[test]
fn a_number_and_an_office_id_are_of_one_at_a_time() {
    let named = |id, kind, number, office, from| {
        let text = OrganisationText { name: "Annan", number, office };
        let parent = if kind == Office { 1 } else { 0 };
        Organisation::new(id, Some(parent), kind, days(from, None), &text).unwrap()
    };
    // That of 2 is taken until 2027-12-31.
    let number = Some(NUMBERS[2]);
    let direct = |from| by_all(&named(7, DirectlyConnected, number, None, from));
    assert_eq!(direct("2027-12-31"), Err("organisation-taken"));
    assert_eq!(direct("2028-01-01"), Ok(()));
    let office = |id| by_all(&named(7, Office, None, Some(id), "2026-01-01"));
    assert_eq!(office("office-5"), Err("organisation-taken"));
    assert_eq!(office("office-6"), Ok(()));
}

/// Deny by default: outside its organisations a role meets what it would meet if nothing were there.
#[test]
fn what_a_role_does_not_cover_is_not_there() {
    let own = Scope::Under(vec![1]);
    let foreign = changed(5, |it| it.days = days("2024-01-01", Some("2026-12-30")));
    let missing = node(9, Some(2), Office, days("2024-01-01", Some("2026-12-30")));

    assert_eq!(judged(&foreign, &own), Err("organisation-unknown"));
    assert_eq!(judged(&missing, &own), Err("organisation-above-unknown"));
    let nowhere = node(9, Some(8), Office, days("2024-01-01", None));
    assert_eq!(judged(&nowhere, &own), Err("organisation-above-unknown"));
    assert_eq!(
        judged(&node(9, None, IssuingArea, days("2024-01-01", None)), &own),
        Err("organisation-above-unknown")
    );
    // Its own organisation is changed from above; what lies under it, by the role.
    assert_eq!(judged(tree().find(1).unwrap(), &own), Err("organisation-own"));
    assert_eq!(judged(tree().find(3).unwrap(), &own), Ok(()));
    assert_eq!(
        judged(&changed(4, |it| it.parent = Some(2)), &own),
        Err("organisation-above-unknown")
    );
    assert_eq!(
        judged(tree().find(3).unwrap(), &Scope::Under(Vec::new())),
        Err("organisation-unknown")
    );
}

/// A role on an organisation cannot give a part of it the name and number that certificates show.
#[test]
fn what_has_a_number_is_named_by_a_role_on_the_issuing_area() {
    let part = |name, number| {
        let text = OrganisationText { name, number, office: None };
        let always = days("2020-01-01", None);
        Organisation::new(6, Some(1), SubOrganisation, always, &text).unwrap()
    };
    let number = Some(NUMBERS[3]);
    let known = part("Region Exempel Syd", number);
    let tree: Tree<u8> = tree().iter().cloned().chain([known.clone()]).collect();
    let judge = |wanted: &Organisation<u8>, scope: &Scope<u8>| {
        tree.judge(wanted, scope, day(TODAY)).map_err(|fault| fault.code())
    };
    let (own, area) = (Scope::Under(vec![1]), Scope::Under(vec![0]));
    let renamed = part("Region Stockholm", number);
    let another = part("Region Exempel Syd", Some(NUMBERS[0]));

    for named in [&renamed, &another] {
        assert_eq!(judge(named, &own), Err("organisation-numbered"));
        assert_eq!((judge(named, &area), judge(named, &Scope::All)), (Ok(()), Ok(())));
    }
    assert_eq!(judged(&part("Region Stockholm", number), &own), Err("organisation-numbered"));
    assert_eq!(judge(&part("Region Stockholm", None), &own), Ok(()));
    assert_eq!(judge(&known.on(days("2020-01-01", Some("2027-12-31"))), &own), Ok(()));
}

#[test]
fn a_node_has_what_its_kind_has() {
    let new = |kind, name: &str, number, office| {
        let text = OrganisationText { name, number, office };
        Organisation::new(0_u8, None, kind, days(TODAY, None), &text).map(|_| ())
    };
    let (number, office) = (Some(NUMBERS[0]), Some("kontor-1"));
    assert_eq!(new(SubOrganisation, "Ambulans", None, None), Ok(()));
    assert_eq!(new(SubOrganisation, "Ambulans", number, None), Ok(()));
    let long = "å".repeat(121);
    for (kind, name, number, office, field) in [
        (IssuingArea, "Väst", number, None, "number"),
        (IssuingArea, "Väst", None, office, "office"),
        (DirectlyConnected, "Region", None, None, "number"),
        (ThirdParty, "Bolag", Some("2321000132"), None, "number"),
        (ThirdParty, "Bolag", Some("191212121212"), None, "number"),
        (Office, "Kontor", None, None, "office"),
        (Office, "Kontor", None, Some("Kontor 1"), "office"),
        (Office, "Kontor", number, office, "number"),
        (IssuingArea, "", None, None, "name"),
        (IssuingArea, " Väst", None, None, "name"),
        (IssuingArea, "V\nst", None, None, "name"),
        (IssuingArea, &long, None, None, "name"),
    ] {
        match new(kind, name, number, office) {
            Err(OrganisationFault::Malformed { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{kind} {name}: {other:?}"),
        }
    }
}

#[test]
fn kinds_read_back_and_others_are_none() {
    for kind in OrganisationKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert!("region".parse::<OrganisationKind>().is_err());
}

/// Promise 9: every refusal has a code of its own, a rule, a limit and a next step.
#[test]
fn every_refusal_says_what_to_do() {
    let days = days(TODAY, None);
    let faults = [
        OrganisationFault::Malformed { field: "name", limit: "x".to_owned() },
        OrganisationFault::Unknown,
        OrganisationFault::UnknownAbove,
        OrganisationFault::Own,
        OrganisationFault::Numbered,
        OrganisationFault::Above { kind: Office, above: "nothing" },
        OrganisationFault::Cycle,
        OrganisationFault::Depth { most: 12 },
        OrganisationFault::OutsideAbove { days, above: days },
        OrganisationFault::OutsideBelow { count: 1, days },
        OrganisationFault::Ended { until: day(TODAY) },
        OrganisationFault::Past { until: day(TODAY) },
        OrganisationFault::Taken { field: "number" },
        OrganisationFault::Revision { revision: 2 },
    ];
    let codes: std::collections::BTreeSet<_> = faults.iter().map(OrganisationFault::code).collect();
    assert_eq!(codes.len(), faults.len());
    for fault in faults {
        let refusal = fault.refusal();
        assert!(!refusal.rule.is_empty() && !refusal.limit.is_empty() && !refusal.next.is_empty());
    }
}
