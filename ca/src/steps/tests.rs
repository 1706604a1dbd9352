//! ISS-14, ISS-15: who takes which step of an order, and until when.

use std::collections::BTreeMap;

use x509::key::PublicKey;

use super::*;
use crate::calendar::tests::{free_days, offsets};
use crate::testing::{NOW, TestKey, at, book_files, read_book};
use OrderAct::{Activate, Approve, Cancel, Deliver, Expire, Identify, Issue, Order, TakeReceipt};

fn id(name: &str) -> ActorId {
    ActorId::new(name).unwrap()
}

fn shipped() -> Book {
    read_book(&book_files()).unwrap()
}

/// The shipped routine in which `from` reads `to`.
fn routine(name: &str, from: &str, to: &str) -> Routine {
    let path = format!("routines/{name}.toml");
    let files = book_files();
    let (_, text) = files.iter().find(|(file, _)| file.ends_with(&path)).unwrap();
    assert!(text.contains(from), "{from}");
    Routine::parse(text.replacen(from, to, 1).as_bytes()).unwrap()
}

fn taken(steps: &[(OrderAct, &str)]) -> Vec<Taken> {
    steps.iter().map(|(act, by)| Taken { act: *act, by: id(by), at: at(NOW) }).collect()
}

/// What one who is not the holder is told who takes a step after these.
fn judged(routine: &Routine, steps: &[(OrderAct, &str)], act: OrderAct, by: &str) -> String {
    let (by, taken, holder) = (id(by), taken(steps), id("holder-7"));
    let step = Step {
        act,
        by: &by,
        holder: ActsFor::Another,
        named_holder: Some(&holder),
        routine,
        taken: &taken,
    };
    step.judge().map_or_else(|refused| refused.rule().to_owned(), |()| "taken".to_owned())
}

#[test]
fn nobody_holds_two_duties_that_the_routine_keeps_apart() {
    let office = routine("office-visit", "approvals", "approvals");
    let begun = [(Order, "a"), (Identify, "a")];

    assert_eq!(judged(&office, &begun, Approve, "b"), "taken");
    assert_eq!(judged(&office, &begun, Approve, "a"), "routine/office-visit/separate");
    // Another spelling is not another person.
    assert_eq!(judged(&office, &begun, Approve, "A"), "routine/office-visit/separate");
    for act in [Order, Identify, Approve, TakeReceipt, Issue, Deliver, Activate, Cancel] {
        assert_eq!(judged(&office, &[], act, "Holder-7"), "order/holder", "{act:?}");
    }
    let reserve = routine("reserve-card-3", "approvals", "approvals");
    let once = [(Order, "a"), (Identify, "a"), (Approve, "b")];
    assert_eq!(judged(&reserve, &once, Approve, "B"), "routine/reserve-card-3/approvals");
    assert_eq!(judged(&reserve, &once, Approve, "c"), "taken");
}

#[test]
fn a_holder_who_is_known_by_his_eid_is_refused_without_being_named() {
    let office = routine("office-visit", "approvals", "approvals");
    let by = id("a");
    let step = |holder| Step {
        act: Deliver,
        by: &by,
        holder,
        named_holder: None,
        routine: &office,
        taken: &[],
    };
    let refused = step(ActsFor::Himself).judge().unwrap_err();

    assert_eq!(refused.refusal().code, "order-own-eid");
    assert_eq!(step(ActsFor::Another).judge(), Ok(()));
}

/// K3.4: also where a routine keeps nothing apart, one person alone makes no eID that somebody has to approve.
#[test]
fn nobody_takes_an_order_through_alone() {
    let apart = "separate = [[\"order\", \"approval\"], [\"order\", \"holder\"], [\"approval\", \"holder\"], [\"proofing\", \"holder\"]]";
    let loose = routine("office-visit", apart, "");
    let alone = [(Order, "a"), (Identify, "a"), (Approve, "a")];
    let two = [(Order, "a"), (Identify, "b"), (Approve, "a")];

    for act in [Issue, Activate] {
        assert_eq!(judged(&loose, &alone, act, "a"), "routine/office-visit/alone");
        assert_eq!(judged(&loose, &alone, act, "b"), "taken");
        assert_eq!(judged(&loose, &two, act, "a"), "taken");
    }
    let lesser = routine("office-visit-2", "approvals", "approvals");
    assert_eq!(judged(&lesser, &[(Order, "a"), (Identify, "a")], Activate, "a"), "taken");
}

#[test]
fn approvals_are_counted_by_persons_and_none_needs_none() {
    let leads = |routine: &Routine, from, steps: &[(OrderAct, &str)], act, by: &str| {
        let (by, taken) = (id(by), taken(steps));
        let holder = ActsFor::Another;
        let step = Step { act, by: &by, holder, named_holder: None, routine, taken: &taken };
        step.leads(from).map_err(|refused| refused.refusal().code)
    };
    let reserve = routine("reserve-card-3", "approvals", "approvals");
    let lesser = routine("office-visit-2", "approvals", "approvals");
    let identified = Some(OrderStage::Identified);

    assert_eq!(leads(&reserve, None, &[], Order, "a"), Ok(OrderStage::Ordered));
    assert_eq!(
        leads(&reserve, Some(OrderStage::Ordered), &[], Identify, "a"),
        Ok(OrderStage::Identified)
    );
    assert_eq!(leads(&reserve, identified, &[], Approve, "b"), Ok(OrderStage::Identified));
    assert_eq!(
        leads(&reserve, identified, &[(Approve, "b")], Approve, "c"),
        Ok(OrderStage::Approved)
    );
    assert_eq!(
        leads(&lesser, Some(OrderStage::Ordered), &[], Identify, "a"),
        Ok(OrderStage::Approved)
    );
    assert_eq!(leads(&reserve, identified, &[], Issue, "a"), Err("order-stage"));
    assert_eq!(leads(&lesser, Some(OrderStage::Completed), &[], Cancel, "a"), Err("order-stage"));
    assert_eq!(leads(&lesser, None, &[], Expire, "a"), Err("order-stage"));
}

#[test]
fn orders_of_holders_come_in_one_call() {
    for role in [OrdererRole::Holder, OrdererRole::System] {
        assert_eq!(judge_orderer(role).unwrap_err().refusal().code, "order-in-one-call");
    }
    assert_eq!(judge_orderer(OrdererRole::IdAdministrator), Ok(()));
}

/// ISS-14: nobody passes by those who approve, are kept apart or hand over by sending all of it himself.
#[test]
fn what_several_take_part_in_does_not_come_in_one_call() {
    let (two, three) = (Some(TrustLevel::Loa2), Some(TrustLevel::Loa3));
    let judged = |routine: &Routine, role, level| {
        judge_one_call(role, routine, level).map_err(|refused| refused.rule().to_owned())
    };
    let refused = |rule: &str| Err(format!("routine/{rule}"));
    let desk = OrdererRole::IdAdministrator;
    let office = routine("office-visit", "approvals", "approvals");
    let lesser = routine("office-visit-2", "approvals", "approvals");
    let apart = routine(
        "office-visit-2",
        "[[\"order\", \"holder\"]",
        "[[\"order\", \"proofing\"], [\"order\", \"holder\"]",
    );
    let own = routine("mobile-self-service", "levels", "levels");

    assert_eq!(judged(&office, desk, three), refused("office-visit/approvals"));
    assert_eq!(judged(&apart, desk, two), refused("office-visit-2/separate"));
    assert_eq!(judged(&lesser, desk, three), refused("office-visit-2/receipt"));
    assert_eq!(judged(&lesser, desk, two), Ok(()));
    assert_eq!(judged(&own, OrdererRole::Holder, three), Ok(()));
    assert_eq!(judged(&lesser, OrdererRole::Holder, three), Ok(()), "he signs for himself");
}

/// The list is closed, dated, and the routine's part of it.
#[test]
fn evidence_is_held_against_the_list_of_the_day() {
    let (book, office) = (shipped(), routine("office-visit", "approvals", "approvals"));
    let code = |method, at_second: u64, now: u64| {
        let judged = judge_evidence(method, at(at_second), &office, &book, at(now));
        judged.map_err(|refused| refused.refusal().code)
    };

    assert_eq!(code("swedish-passport", NOW, NOW), Ok(()));
    assert_eq!(code("swedish-passport", NOW + 300, NOW), Ok(()));
    assert_eq!(code("swedish-passport", NOW + 301, NOW), Err("order-time-ahead"));
    assert_eq!(code("library-card", NOW, NOW), Err("order-unknown-name"));
    assert_eq!(code("foreign-passport", NOW, NOW), Err("routine-refused"));
    let before_the_list = 1_500_000_000;
    assert_eq!(code("swedish-passport", before_the_list, before_the_list), Err("identity-refused"));
}

/// A wall calendar of Stockholm that shares nothing with the code: offsets of the time zone database and another calendar's free days.
struct Wall {
    offsets: Vec<(u64, u64)>,
    free: BTreeMap<String, &'static str>,
}

const DAY: u64 = 86_400;

impl Wall {
    fn day(&self, second: u64) -> u64 {
        let offset = self.offsets.iter().rev().find(|(from, _)| *from <= second).unwrap().1;
        (second + offset) / DAY
    }

    fn is_worked(&self, day: u64) -> bool {
        // 1970-01-01 was a Thursday.
        (day + 3) % 7 < 5 && !self.free.contains_key(&name(day))
    }

    /// The second at which the day after `day` begins.
    fn over(&self, day: u64) -> u64 {
        let utc = (day + 1) * DAY;
        // Clocks change at 01:00 UTC, never around midnight in Stockholm.
        utc - self.offsets.iter().rev().find(|(from, _)| *from <= utc).unwrap().1
    }

    fn working_days(&self, from: u64, count: u64) -> u64 {
        let mut day = self.day(from);
        let mut left = count;
        while left > 0 {
            day += 1;
            left -= u64::from(self.is_worked(day));
        }
        self.over(day)
    }

    fn days(&self, from: u64, count: u64) -> u64 {
        self.over(self.day(from) + count)
    }
}

/// The name of a day since 1970, reckoned by counting years and months.
fn name(mut day: u64) -> String {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    for (month, days) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        if day < days {
            return format!("{year}-{month:02}-{:02}", day + 1);
        }
        day -= days;
    }
    unreachable!("a year has twelve months")
}

/// ISS-15: a year of orders, one begun every five hours: at each stage the first deadline of the three is the one that another reckoning
/// finds, over Easter, midsummer, Christmas and both changes of the clock.
#[test]
fn through_a_year_each_deadline_is_that_of_another_reckoning() {
    let wall = Wall { offsets: offsets(), free: free_days() };
    let office = routine("office-visit", "approvals", "approvals");
    let posted = routine("office-visit", "activation  = \"5 working-days\"", "");
    let book = shipped();
    let calendar = book.rules().unwrap().calendar();
    let first = 1_767_225_600; // 2026-01-01 in UTC
    let mut terms = BTreeMap::<&str, u32>::new();
    for ordered in (first..first + 365 * DAY).step_by(5 * 3600) {
        let (identified, issued) = (ordered + 3 * DAY + 3600, ordered + 91 * DAY);
        let step = |act, second| Taken { act, by: id("a"), at: at(second) };
        let taken = [step(Order, ordered), step(Identify, identified), step(Issue, issued)];
        let unused = (TermKind::Unused, wall.days(ordered, 100));
        let activation = (TermKind::Activation, wall.working_days(identified, 5));
        let claim = (TermKind::Claim, wall.days(issued, 14));
        let found = |routine: &Routine, stage, steps: usize| {
            let (term, at) = due(stage, routine, calendar, &taken[..steps]).unwrap();
            (term, at.secs())
        };

        assert_eq!(found(&office, OrderStage::Ordered, 1), unused, "{ordered}");
        assert_eq!(found(&office, OrderStage::Approved, 2), activation, "{ordered}");
        assert_eq!(found(&office, OrderStage::Delivered, 3), activation, "{ordered}");
        let late = found(&posted, OrderStage::Issued, 3);
        assert_eq!(late, [unused, claim].into_iter().min_by_key(|(_, end)| *end).unwrap());
        assert_eq!(found(&posted, OrderStage::Delivered, 3), unused, "{ordered}");
        *terms.entry(late.0.name()).or_default() += 1;
        for stage in [OrderStage::Completed, OrderStage::Cancelled, OrderStage::Expired] {
            assert_eq!(due(stage, &office, calendar, &taken), None);
        }
    }
    assert_eq!(terms.values().sum::<u32>(), 1752);
    let reserve = routine("reserve-card-3", "approvals", "approvals");
    assert_eq!(due(OrderStage::Ordered, &reserve, calendar, &taken(&[(Order, "a")])), None);
}

#[test]
fn what_ends_an_order_has_an_event_and_revokes() {
    let event = |term| ending(term).0.rule().name;

    assert_eq!(event(None), "not-wanted");
    assert_eq!(event(Some(TermKind::Claim)), "unclaimed");
    assert_eq!(event(Some(TermKind::Activation)), "not-activated");
    assert_eq!(event(Some(TermKind::Unused)), "not-activated");
    for term in [None, Some(TermKind::Claim), Some(TermKind::Unused)] {
        assert!(matches!(ending(term).1, RevocationWish::Revoke(Some(_))));
    }
}

/// docs/formats/holder-receipt.md has the same octets.
#[test]
fn a_receipt_is_about_this_order_card_key_and_these_terms() {
    let (signer, other) = (TestKey::new(), TestKey::new());
    let key = PublicKey::from_spki_der(signer.public.spki_der()).unwrap();
    let (terms, addition) =
        (ReceiptWords::new("2026-1").unwrap(), ReceiptWords::new("VGR 3").unwrap());
    let serials = ["4B".to_owned(), "4A".to_owned()];
    let receipt = HolderReceipt {
        order: "ord_0190b6f0-0000-7000-8000-000000000001",
        card: Some("9752269874512325436"),
        key: &key,
        serials: &serials,
        terms: &terms,
        addition: Some(&addition),
    };
    let text = receipt.text();
    let hash = key.spki_hash().to_string();
    let page = include_str!("../../../docs/formats/holder-receipt.md");
    let (_, block) = page.split_once("```text\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    assert_eq!(text.replace(&hash, "HASH"), block);

    let signature = signer.sign_bytes(text.as_bytes());
    assert_eq!(receipt.verify(&signature), Ok(()));
    let foreign = other.sign_bytes(text.as_bytes());
    assert_eq!(receipt.verify(&foreign), Err(ReceiptFault::Signature));
    let altered = [
        HolderReceipt { order: "ord_0190b6f0-0000-7000-8000-000000000002", ..receipt.clone() },
        HolderReceipt { card: None, ..receipt.clone() },
        HolderReceipt { key: &other.public, ..receipt.clone() },
        HolderReceipt { serials: &serials[..1], ..receipt.clone() },
        HolderReceipt { terms: &addition, ..receipt.clone() },
        HolderReceipt { addition: None, ..receipt.clone() },
    ];
    for one in altered {
        assert_eq!(one.verify(&signature), Err(ReceiptFault::Signature), "{}", one.text());
    }
    for text in ["", "-", " 1", "1 ", "a\nkey b", "å", &"x".repeat(65)] {
        assert_eq!(ReceiptWords::new(text), None, "{text:?}");
    }
}

/// ISS-14: who signs by another of his ids is the same person, in every duty.
#[test]
fn one_person_with_two_ids_holds_no_two_duties() {
    let office = routine("office-visit", "approvals", "approvals");
    let before = taken(&[(Order, "a-1"), (Identify, "c")]);
    let judged = |by: &str| {
        let by = id(by);
        let same = |other: &ActorId| Ok::<_, ()>(other.as_str() == "a-1" && by.as_str() == "a-2");
        let named = by_one_name(&before, &by, same).unwrap();
        let holder = id("holder-7");
        let step = Step {
            act: Approve,
            by: &by,
            holder: ActsFor::Another,
            named_holder: Some(&holder),
            routine: &office,
            taken: &named,
        };
        step.judge().map_err(|refused| refused.rule().to_owned())
    };

    assert_eq!(judged("a-2"), Err("routine/office-visit/separate".to_owned()));
    assert_eq!(judged("b"), Ok(()));
    assert_eq!(by_one_name(&before, &id("b"), |_| Err("storage")), Err("storage"));
}

/// API-04: what ends with the order is revoked by who may revoke; reserve-card administrators order and revoke nothing.
#[test]
fn who_orders_revokes_only_in_a_role_that_revokes() {
    use crate::operation::Operation;
    use crate::role::{ActsAs, Protected, Role};
    let mut both = [0, 0];
    for role in Role::ALL.iter().copied().filter(|role| role.may(Operation::PrepareOrder)) {
        let judged = judge_revoker(ActsAs::Administrator(role, Protected::Unseen));
        assert_eq!(judged.is_ok(), role.may(Operation::RevokeCarrier), "{role}");
        both[usize::from(judged.is_ok())] += 1;
    }
    assert!(both.iter().all(|count| *count > 1), "{both:?}");
    assert_eq!(judge_revoker(ActsAs::Holder).unwrap_err().refusal().code, "actor-role-refused");
}

/// ISS-17: what an order replaces ends with the step that the routine says, or so long after it, and not before.
#[test]
fn what_is_replaced_ends_with_the_step_of_the_rule() {
    use crate::revocation::BusinessEvent::{Damaged, Lost, NameChanged, Replaced};
    use Struck::{At, Now, Spared};
    let office =
        routine("office-visit", "replaced      = { at", "replaced = { after = \"7 days\", at");
    let calendar = Calendar::new([]);
    let day = |days: u64| at(NOW + days * 86_400);
    let told = |event, act, due| {
        let rule = succession(&office, event).unwrap();
        struck(rule, &office, act, (at(NOW), day(2)), due, &calendar)
    };
    let seven = crate::calendar::Deadline::Days(7).ends(day(2), &calendar);
    let three = crate::calendar::Deadline::Months(3).ends(at(NOW), &calendar);

    assert_eq!(told(Lost, Order, None), Some(Now));
    assert_eq!(told(Damaged, Order, None), Some(Spared));
    assert_eq!(told(Damaged, Deliver, None), Some(Now));
    assert_eq!(told(Damaged, Activate, None), None);
    assert_eq!(told(Replaced, Deliver, None), None);
    assert_eq!(told(Replaced, Activate, None), Some(At(seven)));
    assert_eq!(told(Replaced, Activate, Some(day(3))), Some(At(day(3))), "sooner stays sooner");
    // A former name ends by itself, and with the new eID before that.
    assert_eq!(told(NameChanged, Order, None), Some(At(three)));
    for act in [Identify, Approve, TakeReceipt, Issue, Deliver, Expire] {
        assert_eq!(told(NameChanged, act, Some(three)), None, "{act:?}");
    }
    assert_eq!(told(NameChanged, Activate, Some(three)), Some(Now));
    assert_eq!(told(NameChanged, Cancel, Some(three)), Some(Spared));
    // What is over already is not left to a schedule that asks nobody: it strikes in the act, and whoever orders must be able to revoke.
    let renamed = succession(&office, NameChanged).unwrap();
    let ordered = |now| struck(renamed, &office, Order, (at(NOW), now), None, &calendar).unwrap();
    let before = at(three.secs() - 1);
    assert_eq!((ordered(before), ordered(three)), (At(three), Now));
    assert!(At(three).revokes() && Now.revokes() && !Spared.revokes());

    let refused = succession(&office, BusinessEvent::NotWanted).unwrap_err();
    assert_eq!(refused.rule(), "routine/office-visit/replaces");
}
