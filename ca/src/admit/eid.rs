//! The eID by which the holder proved who he is (ISS-20; EN 319 411-1 REG-6.3.7-03: an old certificate that
//! authenticates its holder must exist, hold and have the level at that moment).

use std::fmt;

use super::judge::listed;
use super::{Moment, RuleRefusal};
use crate::book::Book;
use crate::eid::{EidHolder, EidState, KnownEid};
use crate::identity::Means;
use crate::order::Order;
use crate::profile::{Profile, ProfileKind, TrustLevel};
use crate::routine::Routine;

/// The next step where another eID, or none, would do.
const ANOTHER: &str = "have the holder prove himself with another eID, or at a visit";

/// Holds the eID that an order names against its routine, and against the level that is ordered; an order that
/// needs none names none.
///
/// `known` is what the CA has under the name that the order gives. What it says of the state holds for the moment at
/// which it was read: who records the intent, and later the certificate, asks for the state again.
pub(super) fn judge(
    order: &Order,
    known: Option<&KnownEid>,
    level: TrustLevel,
    routine: &Routine,
    book: &Book,
    at: Moment,
) -> Result<(), RuleRefusal> {
    let method = book.proofing_method(order.proofing.as_str());
    let wanted = method.is_some_and(|method| method.means() == Means::OwnEid);
    let proofing = &order.proofing;
    let eid = match (&order.eid, known) {
        (None, _) if !wanted => return Ok(()),
        (None, _) => {
            let limit = "the certificate of the eID, or its authority and serial number";
            let next = "send `eid` of the proofing";
            return Err(refused("eid-missing", "named", &"no eID", limit, next));
        }
        (Some(_), _) if !wanted => {
            let limit = format!("no eID: {proofing} is proven by something else");
            let next = "leave `eid` of the proofing out, or state the method own-siths-eid";
            return Err(refused("eid-not-taken", "named", &"an eID", limit, next));
        }
        (Some(_), None) => {
            let limit = "a certificate that this CA has issued or taken over";
            return Err(refused("eid-unknown", "known", &"no such certificate", limit, ANOTHER));
        }
        (Some(_), Some(eid)) => eid,
    };
    issued_as(eid, level, routine, book)?;
    holds(eid, order, at)
}

/// What it was issued as: facts that never change.
fn issued_as(
    eid: &KnownEid,
    level: TrustLevel,
    routine: &Routine,
    book: &Book,
) -> Result<(), RuleRefusal> {
    let policy = eid.policy.as_ref();
    let row = book.table().rows().iter().find(|row| Some(&row.policy) == policy);
    let profile = row.map(|row| &row.tuple.profile).or(eid.profile.as_ref());
    if let Some(name) = profile {
        let kind = book.profiles().by_name(name.as_str()).map(Profile::kind);
        if kind != Some(ProfileKind::PersonAuthentication) {
            let seen =
                kind.map_or_else(|| format!("of {name}, not in the book"), |it| it.to_string());
            let limit = ProfileKind::PersonAuthentication.to_string();
            return Err(refused("eid-kind", "kind", &seen, limit, ANOTHER));
        }
    }
    match eid.holder {
        EidHolder::Same => {}
        EidHolder::Another => {
            let limit = "an eID of the person whom the order names";
            return Err(refused(
                "eid-of-another",
                "holder",
                &"another person's eID",
                limit,
                ANOTHER,
            )
            .for_ever());
        }
        EidHolder::Unknown => {
            let limit = "an eID of which an order or an import has said whose it is";
            let seen = "an eID that names no person";
            return Err(refused("eid-of-unknown", "holder", &seen, limit, ANOTHER));
        }
    }
    let Some(row) = row else {
        let seen = "an eID of a policy that is in no row of the table";
        return Err(refused("eid-level", "level", &seen, level.to_string(), ANOTHER));
    };
    if !row.tuple.carrier.is_some_and(|carrier| routine.eid_carriers.contains(&carrier)) {
        let seen =
            row.tuple.carrier.map_or("an eID that was issued without an order", |it| it.name());
        let limit = format!("{}, of routine {}", listed(&routine.eid_carriers), routine.name);
        return Err(refused("eid-carrier", "carrier", &seen, limit, ANOTHER));
    }
    match row.tuple.level {
        Some(own) if own >= level => Ok(()),
        own => {
            let seen = own.map_or_else(|| "none".to_owned(), |own| own.to_string());
            let limit = format!("{level}: an eID leads to no higher level than its own");
            Err(refused("eid-level", "level", &seen, limit, ANOTHER))
        }
    }
}

/// Whether it holds: now, and when it was used as a proof.
fn holds(eid: &KnownEid, order: &Order, at: Moment) -> Result<(), RuleRefusal> {
    let (code, seen, next) = match eid.state {
        EidState::Revoked => {
            let limit = "an eID that is active";
            return Err(refused("eid-revoked", "state", &"revoked", limit, ANOTHER).for_ever());
        }
        EidState::Held => ("eid-held", "held", "have the hold ended first, or use another eID"),
        EidState::NotActivated => {
            ("eid-not-activated", "not activated", "have the holder activate it first")
        }
        EidState::Active if at.now > eid.not_after => {
            let limit = format!("an eID that is valid at {}", at.now);
            let seen = eid.not_after;
            return Err(refused("eid-expired", "validity", &seen, limit, ANOTHER).for_ever());
        }
        EidState::Active if at.now.min(order.proofing_at) < eid.not_before => {
            let limit = format!("an eID that was valid at {}", order.proofing_at);
            return Err(refused("eid-not-begun", "validity", &eid.not_before, limit, ANOTHER));
        }
        // What it was before, nobody asks: a proof by an eID that was held may be somebody else's.
        EidState::Active if order.proofing_at < eid.since => {
            let limit = format!("an eID that was active at {}", order.proofing_at);
            let next = "have the holder prove himself again";
            return Err(refused("eid-not-begun", "state", &eid.since, limit, next).for_ever());
        }
        EidState::Active => return Ok(()),
    };
    Err(refused(code, "state", &seen, "an eID that is active", next))
}

fn refused(
    code: &'static str,
    check: &str,
    seen: &impl fmt::Display,
    limit: impl Into<String>,
    next: &'static str,
) -> RuleRefusal {
    RuleRefusal::new(code, format!("eid/{check}"), seen, limit, next)
}
