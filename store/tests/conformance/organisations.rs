//! API-04: the tree of organisations is kept, and judged in the act that writes it.

use ca::audit::EventCode;
use ca::day::Day;
use ca::identity::OrganisationNumber;
use ca::organisation::{Days, Organisation, OrganisationKind, OrganisationText, Scope, Tree};
use store::{OrderId, OrganisationChange, OrganisationId, OrganisationRow, Store, StoreError};

use super::Backend;
use super::world::{World, at, audit, fresh, sizes};

use OrganisationKind::{DirectlyConnected, IssuingArea, Office, SubOrganisation};

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn node(parent: Option<OrganisationId>, kind: OrganisationKind) -> Organisation<OrganisationId> {
    node_of(parent, kind, "2321000131", Days::new(day("2026-01-01"), None).unwrap())
}

fn node_of(
    parent: Option<OrganisationId>,
    kind: OrganisationKind,
    number: &str,
    days: Days,
) -> Organisation<OrganisationId> {
    let text = OrganisationText {
        name: "Région Väst",
        number: (kind == DirectlyConnected).then_some(number),
        office: (kind == Office).then_some("kontor-1"),
    };
    Organisation::new(OrganisationId::from_bytes(fresh()), parent, kind, days, &text).unwrap()
}

fn change(
    organisation: &Organisation<OrganisationId>,
    rests_on: Option<u32>,
) -> OrganisationChange {
    OrganisationChange {
        organisation: organisation.clone(),
        rests_on,
        order: OrderId::from_bytes(fresh()),
        scope: Scope::All,
        today: day("2026-11-23"),
    }
}

fn put(world: &World, change: &OrganisationChange) -> Result<OrganisationRow, StoreError> {
    world.store.put_organisation(change, &audit(EventCode::OrganisationAdded), at(7))
}

fn added(
    world: &World,
    organisation: Organisation<OrganisationId>,
) -> Organisation<OrganisationId> {
    let row = put(world, &change(&organisation, None)).unwrap();
    assert_eq!((&row.organisation, row.revision), (&organisation, 1));
    organisation
}

fn code(refused: Result<OrganisationRow, StoreError>) -> &'static str {
    refused.unwrap_err().code()
}

fn all(store: &dyn Store) -> Vec<Organisation<OrganisationId>> {
    store.organisations().unwrap().into_iter().map(|row| row.organisation).collect()
}

pub(crate) fn a_tree_is_kept_with_its_days_and_revisions(backend: &dyn Backend) {
    let world = World::new(backend);
    let before = sizes(&*world.store);
    let area = added(&world, node(None, IssuingArea));
    let region = added(&world, node(Some(area.id), DirectlyConnected));
    let part = added(&world, node(Some(region.id), SubOrganisation));
    let office = added(&world, node(Some(part.id), Office));
    let moved =
        office.under(region.id).on(Days::new(day("2026-01-01"), Some(day("2026-12-31"))).unwrap());

    let row = put(&world, &change(&moved, Some(1))).unwrap();

    assert_eq!((row.revision, row.created, row.updated), (2, at(7), at(7)));
    let after = sizes(&*world.store);
    assert_eq!((after.0, after.1), (before.0, before.1 + 5), "a leaf each, and no status entry");
    let mut expected = vec![area, region, part, moved];
    expected.sort_by_key(|one| one.id);
    drop(world);
    assert_eq!(all(&*backend.open()), expected);
}

pub(crate) fn what_the_tree_refuses_leaves_no_trace(backend: &dyn Backend) {
    let world = World::new(backend);
    let area = added(&world, node(None, IssuingArea));
    let region = added(&world, node(Some(area.id), DirectlyConnected));
    let part = added(&world, node(Some(region.id), SubOrganisation));
    let below = added(&world, node(Some(part.id), SubOrganisation));
    let (before, rows) = (sizes(&*world.store), all(&*world.store));
    let cycle = part.clone().under(below.id);
    let nowhere = node(Some(OrganisationId::from_bytes(fresh())), SubOrganisation);
    let early = node_of(
        Some(area.id),
        DirectlyConnected,
        "5565594230",
        Days::new(day("2025-12-31"), None).unwrap(),
    );
    for (wanted, rests_on, expected) in [
        (&cycle, Some(1), "organisation-cycle"),
        (&nowhere, None, "organisation-above-unknown"),
        (&early, None, "organisation-outside"),
        (&node(Some(area.id), Office), None, "organisation-kind"),
        (&node(Some(area.id), DirectlyConnected), None, "organisation-taken"),
        (&node(Some(part.id), Office), Some(1), "organisation-unknown"),
    ] {
        assert_eq!(code(put(&world, &change(wanted, rests_on))), expected);
    }
    // Of another role's it hears what it would hear if nothing were there, also with an old revision.
    let foreign = OrganisationChange {
        scope: Scope::Under(vec![OrganisationId::from_bytes(fresh())]),
        ..change(&part, Some(9))
    };
    assert_eq!(code(put(&world, &foreign)), "organisation-unknown");

    assert_eq!((sizes(&*world.store), all(&*world.store)), (before, rows));
}

pub(crate) fn a_change_is_made_once_and_rests_on_the_newest_state(backend: &dyn Backend) {
    let world = World::new(backend);
    let area = node(None, IssuingArea);
    let first = change(&area, None);
    put(&world, &first).unwrap();
    let ended = area.clone().on(Days::new(day("2026-01-01"), Some(day("2027-01-01"))).unwrap());
    let second = change(&ended, Some(1));
    put(&world, &second).unwrap();
    let before = sizes(&*world.store);

    let again = put(&world, &second).unwrap();
    assert_eq!((again.revision, again.organisation), (2, ended));
    assert_eq!(code(put(&world, &change(&area, Some(1)))), "organisation-changed");
    assert_eq!(code(put(&world, &first)), "organisation-changed", "it has been changed since");

    assert_eq!(sizes(&*world.store), before);
}

pub(crate) fn a_number_leads_to_its_way_up(backend: &dyn Backend) {
    let world = World::new(backend);
    let area = added(&world, node(None, IssuingArea));
    let region = added(&world, node(Some(area.id), DirectlyConnected));
    added(&world, node(Some(region.id), SubOrganisation));
    let number = |text| OrganisationNumber::parse(text).unwrap();
    let found = |text| -> Vec<OrganisationId> {
        let rows = world.store.organisations_of_number(&number(text)).unwrap();
        rows.into_iter().map(|row| row.organisation.id).collect()
    };

    let mut expected = vec![area.id, region.id];
    expected.sort();
    assert_eq!(found("2321000131"), expected);
    assert_eq!(found("5565594230"), []);
}

/// What is read of the tree for a change is all that its verdict rests on.
pub(crate) fn a_change_is_judged_by_its_part_of_the_tree_as_by_all_of_it(backend: &dyn Backend) {
    let world = World::new(backend);
    let days = |until: Option<&str>| Days::new(day("2026-01-01"), until.map(day)).unwrap();
    let area = added(&world, node(None, IssuingArea));
    let numbers = ["2321000131", "5565594230", "2321000016"];
    let mut nodes = vec![area.clone()];
    for number in &numbers[..2] {
        let region = node_of(Some(area.id), DirectlyConnected, number, days(None));
        nodes.push(added(&world, region.clone()));
        let mut above = region.id;
        for _ in 0..3 {
            let part = added(&world, node(Some(above), SubOrganisation));
            above = part.id;
            nodes.push(part);
        }
    }
    let office = added(&world, node(Some(nodes[2].id), Office));
    nodes.push(office);
    let whole = |store: &dyn Store| -> Tree<OrganisationId> { all(store).into_iter().collect() };
    let (mut refused, mut taken) = (0, 0);
    for at_node in 0..nodes.len() {
        for above in &nodes {
            // Under each other one, on fewer days, and beside one of the same number or office.
            let moved = nodes[at_node].clone().under(above.id);
            let shorter = nodes[at_node].clone().on(days(Some("2030-01-01")));
            let number = numbers[at_node % numbers.len()];
            let beside = node_of(Some(above.id), DirectlyConnected, number, days(None));
            let office = node(Some(above.id), Office);
            for (wanted, is_new) in [(moved, 0), (shorter, 0), (beside, 1), (office, 1)] {
                let scope =
                    if at_node % 2 == 0 { Scope::All } else { Scope::Under(vec![nodes[1].id]) };
                let revision = world.store.organisations().unwrap().into_iter();
                let revision = revision.clone().find(|row| row.organisation.id == wanted.id);
                let rests_on = revision.map(|row| row.revision).filter(|_| is_new == 0);
                let change = OrganisationChange { scope, ..change(&wanted, rests_on) };
                let by_all = whole(&*world.store).judge(&wanted, &change.scope, change.today);
                let by_part = put(&world, &change);
                match (by_all, by_part) {
                    (Ok(()), Ok(row)) => {
                        assert_eq!(row.organisation, wanted);
                        taken += 1;
                    }
                    (Err(expected), Err(found)) => {
                        assert_eq!(found.code(), expected.code(), "{wanted:?}");
                        refused += 1;
                    }
                    (by_all, by_part) => panic!("{wanted:?}: {by_all:?} of all, {by_part:?}"),
                }
            }
        }
        // As it stands now.
        nodes =
            nodes.iter().map(|one| whole(&*world.store).find(one.id).unwrap().clone()).collect();
    }
    assert!(refused > 50 && taken > 20, "{refused} refused, {taken} taken");
}
