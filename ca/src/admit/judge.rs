//! The checks of an order, in the order in which they are made.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use x509::time::UnixTime;

use super::{Moment, RuleRefusal};
use crate::book::{Book, spoken};
use crate::carrier::{AttestationRule, CarrierFamily, CarrierKind};
use crate::deployment::Environment;
use crate::order::{ActorId, Order};
use crate::profile::{PastEnd, Profile, TrustLevel};
use crate::routine::{Duty, OrderFacts, OrdererRole, ReceiptRule, Routine};
use crate::rules::Facts;
use crate::table::{IssuerClass, Tuple};

/// How far the clocks of those who order may be ahead of ours: what Kerberos takes (RFC 4120 §8.2), so that a machine
/// in a domain is within it.
const AHEAD: Duration = Duration::from_secs(300);

/// What an order is held against its routine with.
struct Check<'a> {
    routine: &'a Routine,
}

impl Check<'_> {
    fn holds(
        &self,
        check: &str,
        holds: bool,
        seen: &impl fmt::Display,
        limit: impl Into<String>,
    ) -> Result<(), RuleRefusal> {
        if holds {
            return Ok(());
        }
        Err(RuleRefusal::new(
            "routine-refused",
            format!("routine/{}/{check}", self.routine.name),
            seen,
            limit,
            "order as the routine says, or by another one",
        ))
    }
}

/// The trust level of a person profile.
pub(super) fn level(profile: &Profile) -> Result<TrustLevel, RuleRefusal> {
    profile.trust_level().filter(|_| profile.kind().is_person()).ok_or_else(|| {
        RuleRefusal::new(
            "order-not-taken",
            "order/profile".to_owned(),
            profile.name(),
            "a profile of persons",
            "leave the order out",
        )
        .for_ever()
    })
}

/// The order against its routine; gives the trust level.
pub(super) fn routine(
    order: &Order,
    profile: &Profile,
    routine: &Routine,
    at: Moment,
) -> Result<TrustLevel, RuleRefusal> {
    let level = level(profile)?;
    let check = Check { routine };
    let day = at.day();
    check.holds("days", routine.days.contain(day), &day, spoken(routine.days))?;
    let environments = listed(&routine.environments);
    check.holds("environment", routine.is_for(at.environment), &at.environment, environments)?;
    let ordered = routine.order == OrderFacts::Required;
    check.holds("order", ordered, &"an order", "a call without one")?;
    let by = listed(&routine.ordered_by);
    check.holds("ordered-by", routine.ordered_by.contains(&order.role), &order.role, by)?;
    let himself =
        order.role != OrdererRole::Holder || order.holder.as_ref() == Some(&order.orderer);
    let limit = "the holder, by the same id, where the holder orders himself";
    check.holds("holder", himself, &"another orderer in the role of holder", limit)?;
    let levels = listed(&routine.levels);
    check.holds("level", routine.levels.contains(&level), &level, levels)?;
    let kinds = listed(&routine.identities);
    let kind = &order.identity_kind;
    check.holds("identity", routine.identities.contains(kind), kind, kinds)?;
    let methods = listed(&routine.proofing);
    let method = &order.proofing;
    check.holds("proofing", routine.proofing.contains(method), method, methods)?;
    if let Some(least) = routine.minimum_age {
        let age = order.identity.birth().age_on(day);
        let limit = format!("{least} years on the day of issuing");
        check.holds("minimum-age", age >= least, &"a younger person", limit)?;
    }
    receipt(order, &check)?;
    let approvers: BTreeSet<&ActorId> = order.approvals.iter().map(|(by, _)| by).collect();
    let enough = approvers.len() >= usize::from(routine.approvals);
    let limit = format!("{} by different persons", routine.approvals);
    check.holds("approvals", enough, &approvers.len(), limit)?;
    for &(one, other) in &routine.separate {
        let nobody = "nobody holds both";
        if [one, other].contains(&Duty::Holder) {
            check.holds("holder", order.holder.is_some(), &"no holder named", "who it is for")?;
        }
        let apart = holders(order, one).is_disjoint(&holders(order, other));
        let seen = format!("one person holds {one} and {other}");
        check.holds("separate", apart, &seen, nobody)?;
    }
    Ok(level)
}

fn receipt(order: &Order, check: &Check<'_>) -> Result<(), RuleRefusal> {
    let rule = check.routine.receipt;
    let forms = listed(&check.routine.receipt_forms);
    match (&order.receipt, rule) {
        (None, ReceiptRule::BeforeIssuing) => {
            check.holds("receipt", false, &"no receipt", "the receipt before issuing")
        }
        (Some(_), ReceiptRule::None) => check.holds("receipt", false, &"a receipt", "none"),
        (Some(receipt), _) => {
            let taken = check.routine.receipt_forms.contains(&receipt.form);
            check.holds("receipt-form", taken, &receipt.form, forms)
        }
        (None, _) => Ok(()),
    }
}

/// Who holds a duty in an order.
fn holders(order: &Order, duty: Duty) -> BTreeSet<&ActorId> {
    match duty {
        Duty::Order => [&order.orderer].into(),
        Duty::Proofing => [&order.proofing_by].into(),
        Duty::Approval => order.approvals.iter().map(|(by, _)| by).collect(),
        Duty::Holder => order.holder.iter().collect(),
    }
}

/// Identity kind and proofing method against their lists.
pub(super) fn identity(
    order: &Order,
    level: TrustLevel,
    book: &Book,
    at: Moment,
) -> Result<(), RuleRefusal> {
    let refused = |list: &str, id: &dyn fmt::Display, check: &str, limit: String| {
        RuleRefusal::new(
            "identity-refused",
            format!("{list}/{id}/{check}"),
            &id,
            limit,
            "state another kind of identity or proof, or order a profile of another trust level",
        )
    };
    let kind = book
        .identity_kind(order.identity_kind.as_str())
        .ok_or_else(|| gone("identity", order.identity_kind.as_str()))?;
    if !kind.holds_on(at.day()) {
        return Err(refused("identity", kind.id(), "days", spoken(kind.days())));
    }
    if !kind.levels().contains(&level) {
        return Err(refused("identity", kind.id(), "level", listed(kind.levels())));
    }
    let method = book
        .proofing_method(order.proofing.as_str())
        .ok_or_else(|| gone("proofing", order.proofing.as_str()))?;
    if !method.holds_on(at.day()) {
        return Err(refused("proofing", method.id(), "days", spoken(method.days())));
    }
    if !method.levels().contains(&level) {
        return Err(refused("proofing", method.id(), "level", listed(method.levels())));
    }
    Ok(())
}

/// The order's carrier against its family and routine.
pub(super) fn carrier<'a>(
    order: &Order,
    level: TrustLevel,
    routine: &Routine,
    book: &'a Book,
    at: Moment,
) -> Result<&'a CarrierFamily, RuleRefusal> {
    let name = order.carrier.as_str();
    let family = book.carrier(name).ok_or_else(|| gone("carrier", name))?;
    let refused = |check: &str, seen: &dyn fmt::Display, limit: String| {
        RuleRefusal::new(
            "carrier-refused",
            format!("carrier/{name}/{check}"),
            &seen,
            limit,
            "use a carrier that the routine and the trust level allow",
        )
    };
    if !routine.carriers.contains(&family.kind()) {
        return Err(refused("routine", &family.kind(), listed(&routine.carriers)));
    }
    if !family.days().contain(at.day()) {
        return Err(refused("days", &at.day(), spoken(family.days())));
    }
    if !family.levels().contains(&level) {
        return Err(refused("level", &level, listed(family.levels())));
    }
    if order.card.is_some() != family.kind().is_card() {
        let limit = if family.kind().is_card() { "a card number" } else { "no card number" };
        return Err(refused("card-number", &family.kind(), limit.to_owned()));
    }
    if order.device.is_some() && family.kind() != CarrierKind::MobileDevice {
        return Err(refused("device", &family.kind(), "no device".to_owned()));
    }
    if let Some(end) = order.carrier_ends.filter(|end| *end <= at.now) {
        return Err(refused("ended", &end, format!("a carrier that lives after {}", at.now)));
    }
    let unproven = *family.attestation() == AttestationRule::None;
    if unproven && level == TrustLevel::Loa3 && at.environment != Environment::Test {
        let seen = "a family whose maker proves nothing";
        return Err(refused("attestation", &seen, "evidence of where the key was made".to_owned()));
    }
    Ok(family)
}

/// A profile that refuses orders past their carrier needs to know when that ends: counted from issuing, its life would
/// begin anew with each certificate.
pub(super) fn carrier_told(order: &Order, profile: &Profile) -> Result<(), RuleRefusal> {
    if profile.validity().past_carrier != Some(PastEnd::Refuse) || order.carrier_ends.is_some() {
        return Ok(());
    }
    Err(RuleRefusal::new(
        "carrier-refused",
        format!("carrier/{}/ends", order.carrier),
        &"an order that does not say when its carrier ends",
        format!("the end of the carrier, for profile {}", profile.name()),
        "send `ends` of the carrier",
    ))
}

/// The last second of a carrier's life: as the order says, and no longer than its family has from now on.
pub(super) fn carrier_end(order: &Order, family: &CarrierFamily, at: Moment) -> Option<UnixTime> {
    let of_family = at.now.checked_add(family.longest_life());
    order.carrier_ends.into_iter().chain(of_family).min()
}

/// Nothing in the order has happened after now.
pub(super) fn times(order: &Order, at: Moment) -> Result<(), RuleRefusal> {
    let told = |field: &'static str, time: UnixTime| (field, time);
    let times = std::iter::once(told("proofing", order.proofing_at))
        .chain(order.approvals.iter().map(|(_, at)| told("approvals", *at)))
        .chain(order.receipt.iter().map(|receipt| told("receipt", receipt.at)));
    let latest = at.now.checked_add(AHEAD).unwrap_or(at.now);
    for (field, time) in times {
        if time > latest {
            return Err(RuleRefusal::new(
                "order-time-ahead",
                format!("order/{field}"),
                &time,
                format!("a time until now, {}", at.now),
                "set the clocks right, or send when it was done",
            ));
        }
    }
    match order.end {
        Some(end) if end <= at.now => Err(RuleRefusal::new(
            "order-malformed",
            "order/valid-until".to_owned(),
            &end,
            format!("a time after now, {}", at.now),
            "send when the certificate is to end",
        )
        .for_ever()),
        _ => Ok(()),
    }
}

/// What the dated rules leave.
pub(super) struct LeftByRules {
    /// Until when, and the rule that leaves no more.
    pub(super) latest: Option<(UnixTime, String)>,
    pub(super) names: Vec<String>,
}

/// The dated rules: what they let through, by which names, and until when.
pub(super) fn dated(
    facts: &Facts<'_>,
    end: Option<UnixTime>,
    book: &Book,
    at: Moment,
) -> Result<LeftByRules, RuleRefusal> {
    let Some(rules) = book.rules() else {
        if book.lacks_rules() {
            return Err(RuleRefusal::new(
                "rules-missing",
                "rules".to_owned(),
                &"a book without a file of dated rules",
                "a file in profiles/rules, if only one with the calendar",
                "have the operator put the files of profiles/rules back",
            ));
        }
        return Ok(LeftByRules { latest: None, names: Vec::new() });
    };
    let judged = rules.judge(facts, at.now).map_err(|error| {
        let refusal = error.refusal();
        RuleRefusal::new(
            refusal.code,
            error.restriction().to_string(),
            &refusal.seen,
            refusal.limit,
            refusal.next,
        )
    })?;
    let rule = judged.shortened_by.as_ref().map(ToString::to_string).unwrap_or_default();
    let latest = judged.longest.and_then(|longest| at.now.checked_add(longest));
    let latest = latest.map(|latest| (latest, rule));
    if let (Some(end), Some((latest, rule))) = (end, &latest)
        && end > *latest
    {
        return Err(RuleRefusal::new(
            "restricted-by-rule",
            rule.clone(),
            &format!("an order until {end}"),
            format!("until {latest}"),
            "order until the rule's end, or leave the end out",
        ));
    }
    Ok(LeftByRules { latest, names: judged.rules.iter().map(ToString::to_string).collect() })
}

/// What an order names and the book has no more.
pub(super) fn gone(what: &str, name: &str) -> RuleRefusal {
    RuleRefusal::new(
        "order-unknown-name",
        format!("order/{what}"),
        &name,
        "a name in the book of this deployment",
        "correct the name, or have the operator add the file",
    )
}

/// No row joins what the order says.
pub(super) fn no_row(tuple: &Tuple) -> RuleRefusal {
    let routine = tuple.routine.as_ref().map_or("no order", |name| name.as_str());
    let carrier = tuple.carrier.map_or("no carrier", |kind| kind.name());
    let identity = tuple.identity.as_ref().map_or("no identity", |id| id.as_str());
    RuleRefusal::new(
        "table-no-row",
        "table/no-row".to_owned(),
        &format!("profile {}, {carrier}, {identity}, {routine}", tuple.profile),
        "what a row of the policy table says on this day",
        "order a profile, carrier and routine that belong together; `sigill profile table` lists them",
    )
}

/// The row is of another class of issuers.
pub(super) fn other_issuer(tuple: &Tuple, other: &IssuerClass) -> RuleRefusal {
    RuleRefusal::new(
        "table-issuer",
        "table/issuer".to_owned(),
        &format!("profile {} from issuer class {}", tuple.profile, tuple.issuer),
        format!("issuers of class {other}"),
        "name another authority, or have the operator correct its `class`",
    )
}

pub(crate) fn listed<T: fmt::Display>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
