//! PRO-20: domains are kept with their proofs, and judged in the act that writes them.

use ca::audit::EventCode;
use ca::day::Day;
use ca::domain::{DomainName, DomainProofId, DomainProofMethod, DomainProofs, Proof};
use ca::organisation::{Days, Organisation, OrganisationKind, OrganisationText, Scope};
use store::{
    DomainAct, DomainId, DomainRow, DomainStep, OrderId, OrganisationChange, OrganisationId,
    StoreError,
};
use x509::time::UnixTime;

use super::Backend;
use super::world::{World, audit, fresh, sizes};

const DAY: u64 = 86_400;

fn time(secs: u64) -> UnixTime {
    UnixTime::from_secs(1_796_000_000 + secs).unwrap()
}

fn method(id: &str) -> DomainProofMethod {
    let list = include_bytes!("../../../profiles/lists/domain-proofs.toml");
    DomainProofs::parse(list).unwrap().by_id(id).unwrap().clone()
}

/// An organisation of this number, on days that end when it says.
fn organisation(world: &World, number: &str, until: Option<&str>) -> OrganisationId {
    let day = |text: &str| text.parse::<Day>().unwrap();
    let put = |parent, kind, number: Option<&str>, until: Option<&str>| {
        let id = OrganisationId::from_bytes(fresh());
        let days = Days::new(day("2020-01-01"), until.map(day)).unwrap();
        let text = OrganisationText { name: "Region", number, office: None };
        let change = OrganisationChange {
            organisation: Organisation::new(id, parent, kind, days, &text).unwrap(),
            rests_on: None,
            order: OrderId::from_bytes(fresh()),
            scope: Scope::All,
            today: day("2020-01-01"),
        };
        world
            .store
            .put_organisation(&change, &audit(EventCode::OrganisationAdded), time(0))
            .unwrap();
        id
    };
    let area = put(None, OrganisationKind::IssuingArea, None, None);
    put(Some(area), OrganisationKind::ThirdParty, Some(number), until)
}

fn wanted(domain: DomainId, step: DomainStep) -> DomainAct {
    DomainAct { domain, step, order: OrderId::from_bytes(fresh()), scope: Scope::All }
}

fn act(world: &World, wanted: &DomainAct, now: UnixTime) -> Result<DomainRow, &'static str> {
    let done = world.store.act_on_domain(wanted, &audit(EventCode::DomainStated), now);
    done.map_err(|error: StoreError| error.code())
}

fn stated(organisation: OrganisationId, name: &str) -> DomainAct {
    let name = DomainName::parse(name).unwrap();
    let step = DomainStep::State { organisation, name, token: "one".to_owned() };
    wanted(DomainId::from_bytes(fresh()), step)
}

fn proved(domain: DomainId, by: &str, seen: u64, until: u64) -> DomainAct {
    let proof = Proof {
        method: DomainProofId::new(by).unwrap(),
        seen_at: time(seen),
        valid_until: time(until),
    };
    let evidence = b"{\"seen_by\":\"op-1\"}".to_vec();
    wanted(domain, DomainStep::Prove { proof, method: Some(method(by)), evidence })
}

pub(crate) fn a_domain_is_kept_with_all_its_proofs(backend: &dyn Backend) {
    let world = World::new(backend);
    let region = organisation(&world, "2321000131", None);
    let before = sizes(&*world.store);
    let first = stated(region, "example.se");
    let id = first.domain;

    let row = act(&world, &first, time(0)).unwrap();
    assert_eq!(row.token, Some(("one".to_owned(), time(0))));
    assert_eq!((row.proof.clone(), row.withdrawn, row.hold().unwrap().until), (None, None, None));
    // The same order again does nothing again.
    assert_eq!(act(&world, &first, time(5)).unwrap(), row);
    let by_token = proved(id, "dns-txt", 10, 10 + 300 * DAY);
    let row = act(&world, &by_token, time(20)).unwrap();
    assert_eq!(row.token, None, "a token is for one proof");
    assert_eq!(act(&world, &by_token, time(30)).unwrap(), row);
    let again = proved(id, "dns-txt", 40, 40 + 300 * DAY);
    assert_eq!(act(&world, &again, time(40)), Err("domain-proof-token"));
    let token = wanted(id, DomainStep::Token("two".to_owned()));
    assert_eq!(act(&world, &token, time(50)).unwrap().token, Some(("two".to_owned(), time(50))));
    let renewed = proved(id, "owner-form", 60, 60 + 398 * DAY);
    let row = act(&world, &renewed, time(70)).unwrap();
    assert_eq!(row.hold().unwrap().until, Some(time(60 + 398 * DAY)));

    assert_eq!(world.store.domain(id).unwrap(), Some(row.clone()));
    assert_eq!(
        world.store.domains_named(&["example.se", "se"]).unwrap(),
        std::slice::from_ref(&row)
    );
    let proofs = world.store.domain_proofs(id).unwrap();
    let told: Vec<_> = proofs.iter().map(|one| (one.proof.method.as_str(), one.recorded)).collect();
    assert_eq!(told, [("dns-txt", time(20)), ("owner-form", time(70))]);
    assert_eq!(proofs[0].evidence.as_deref(), Some(&b"{\"seen_by\":\"op-1\"}"[..]));

    let gone = act(&world, &wanted(id, DomainStep::Withdraw), time(80)).unwrap();
    assert_eq!((gone.withdrawn, gone.hold()), (Some(time(80)), None));
    assert_eq!(act(&world, &proved(id, "owner-form", 81, 90), time(81)), Err("domain-withdrawn"));
    assert_eq!(world.store.domains_named(&["example.se"]).unwrap(), []);
    let anew = act(&world, &stated(region, "example.se"), time(90)).unwrap();
    let after = sizes(&*world.store);
    assert_eq!((after.0, after.1), (before.0, before.1 + 6), "a leaf an act, and no status entry");
    drop(world);
    let mut expected = vec![gone, anew];
    expected.sort_by_key(|one| one.id);
    assert_eq!(backend.open().domains().unwrap(), expected);
}

pub(crate) fn what_a_rule_about_domains_refuses_leaves_no_trace(backend: &dyn Backend) {
    let world = World::new(backend);
    let (one, other) =
        (organisation(&world, "2321000131", None), organisation(&world, "5565594230", None));
    let ended = organisation(&world, "2321000016", Some("2021-12-31"));
    let own = act(&world, &stated(one, "example.se"), time(0)).unwrap().id;
    let theirs = act(&world, &stated(other, "example.se"), time(0)).unwrap().id;
    act(&world, &proved(own, "owner-form", 1, DAY), time(1)).unwrap();
    let before = (sizes(&*world.store), world.store.domains().unwrap());
    let unknown = DomainId::from_bytes(fresh());
    let of_other = |wanted: DomainAct| DomainAct { scope: Scope::Under(vec![other]), ..wanted };
    let late = proved(own, "owner-form", 1, 2 + 398 * DAY);

    for (refused, expected) in [
        (stated(one, "example.se"), "domain-known"),
        (stated(ended, "example.org"), "organisation-ended"),
        (stated(OrganisationId::from_bytes(fresh()), "example.org"), "organisation-unknown"),
        (of_other(stated(one, "example.org")), "organisation-unknown"),
        (proved(theirs, "owner-form", 1, DAY), "domain-taken"),
        (of_other(proved(own, "owner-form", 1, DAY)), "domain-unknown"),
        (of_other(wanted(own, DomainStep::Withdraw)), "domain-unknown"),
        (of_other(wanted(own, DomainStep::Token("x".to_owned()))), "domain-unknown"),
        (wanted(unknown, DomainStep::Withdraw), "domain-unknown"),
        (late, "domain-proof-until"),
        (proved(own, "owner-form", 99, DAY), "domain-proof-seen"),
    ] {
        assert_eq!(act(&world, &refused, time(2)), Err(expected));
    }

    assert_eq!((sizes(&*world.store), world.store.domains().unwrap()), before);
    // When the proof has run out, the other may have it.
    let taken_over = proved(theirs, "owner-form", DAY, 2 * DAY);
    assert_eq!(act(&world, &taken_over, time(DAY)), Err("domain-taken"));
    assert!(act(&world, &taken_over, time(DAY + 1)).is_ok());
}
