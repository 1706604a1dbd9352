//! Who acts behind a client: the statement of an administrator about one call, and what he may do in it (API-01, API-05, ISS-14).
//!
//! A client of the API is a program. That a person stands behind a call is its word, and a portal whose keys are stolen gives it for anybody. So
//! an administrator signs what is asked for: a JSON Web Signature (RFC 7515) by the key of his own eID, or by that of an
//! identity provider that the operator trusts, over the hash of the body, method and path, the order's key, the client, the deployment and the
//! time. docs/formats/actor-statement.md has the bytes.
//!
//! [`statement`] reads one and holds it against the call; here stand the judgement of the eID whose key signed it, and of the duties of the one
//! who signed it.

pub mod statement;

use std::fmt;

use x509::time::UnixTime;

use crate::admit::RuleRefusal;
use crate::book::Book;
use crate::eid::{EidState, KnownEid};
use crate::fields::presence;
use crate::order::{ActorId, Order};
use crate::profile::{Presence, ProfileKind, RequestField, TrustLevel};
use crate::refusal::Refusal;
use crate::role::ActsAs;
use crate::routine::OrdererRole;

/// Which of a client's calls somebody must have signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Demand {
    /// All that are not the client's own business.
    EveryCall,
    /// Those that change something.
    Acts,
    /// None.
    None,
}

/// Where another eID would do.
const ANOTHER: &str =
    "sign with the key of an eID for authentication at trust level 3 that is active";

/// Holds the eID whose key signed a statement against what an administrator must come with: issued by this CA for an order, for
/// authentication, with an HSA-id, at trust level 3, and active and valid at `now`.
///
/// `eid` is what the CA knows of it. What it says of the state holds for the moment at which it was read: the act that records the statement asks
/// for it again.
///
/// # Errors
///
/// The refusal of the first rule that it breaks: `actor-eid-kind`, `-level`, `-revoked`, `-held`, `-not-activated`, `-expired`, `-not-begun`.
pub fn judge_eid(eid: &KnownEid, book: &Book, now: UnixTime) -> Result<(), Refusal> {
    let policy = eid.policy.as_ref();
    let row = book.table().rows().iter().find(|row| Some(&row.policy) == policy);
    let name = row.map(|row| &row.tuple.profile).or(eid.profile.as_ref());
    let profile = name.and_then(|name| book.profiles().by_name(name.as_str()));
    let is_service_eid = profile.is_some_and(|profile| {
        profile.kind() == ProfileKind::PersonAuthentication
            && presence(profile, RequestField::HsaId) == Presence::Required
    });
    if !is_service_eid {
        let seen = name.map_or("a certificate of no profile", |name| name.as_str());
        let limit = "an eID for authentication with an HSA-id";
        return Err(refused("actor-eid-kind", &seen, limit, ANOTHER));
    }
    let level = row.filter(|row| row.tuple.carrier.is_some()).and_then(|row| row.tuple.level);
    if level < Some(TrustLevel::Loa3) {
        let seen = level.map_or_else(|| "none".to_owned(), |level| level.to_string());
        let limit = "loa3, issued for an order";
        return Err(refused("actor-eid-level", &seen, limit, ANOTHER));
    }
    let (code, seen): (_, &dyn fmt::Display) = match eid.state {
        EidState::Revoked => ("actor-eid-revoked", &"revoked"),
        EidState::Held => ("actor-eid-held", &"held"),
        EidState::NotActivated => ("actor-eid-not-activated", &"not activated"),
        EidState::Active if now > eid.not_after => ("actor-eid-expired", &eid.not_after),
        EidState::Active if now < eid.not_before => ("actor-eid-not-begun", &eid.not_before),
        EidState::Active => return Ok(()),
    };
    Err(refused(code, &seen, "an eID that is active and valid", ANOTHER))
}

/// Whether the one who acts is the holder of what is ordered, as far as the CA knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActsFor {
    /// He is: it would be his own eID.
    Himself,
    /// Nothing says so.
    Another,
}

/// Holds the one who signed for an order against the duties that it names (K3.4, ISS-14): he is its orderer, and not its holder, unless holders
/// order that by themselves.
///
/// # Errors
///
/// [`RuleRefusal`] with `actor-not-orderer`, `actor-role-refused`, `actor-own-eid`, `actor-not-holder`, or `actor-spelling`.
pub fn judge_order(
    acting: &ActorId,
    acts: ActsAs,
    order: &Order,
    holder: ActsFor,
) -> Result<(), RuleRefusal> {
    let named = [Some(&order.orderer), order.holder.as_ref(), Some(&order.proofing_by)];
    let named = named.into_iter().flatten().chain(order.approvals.iter().map(|(by, _)| by));
    // Another spelling would be another person to whoever keeps duties apart.
    let mut spelt = named.filter(|id| is_same(id, acting) && *id != acting);
    if let Some(id) = spelt.next() {
        return Err(duty("actor-spelling", id, format!("{acting}, as the statement has it")));
    }
    if order.role == OrdererRole::System || order.orderer != *acting {
        let limit = format!("{acting}, who signed the statement, as a person");
        return Err(duty("actor-not-orderer", &order.orderer, limit));
    }
    if !acts.orders_as(order.role) {
        let limit = format!("a role that orders as {} (docs/roles.md)", order.role);
        return Err(duty("actor-role-refused", &acts, limit));
    }
    let is_holder = holder == ActsFor::Himself || order.holder.as_ref() == Some(acting);
    if order.role == OrdererRole::Holder {
        // The routine wants the holder to be the orderer by the same id; whose eID signed, the CA knows.
        if holder == ActsFor::Himself {
            return Ok(());
        }
        let limit = "a statement signed with an eID of the person whom the order names";
        return Err(duty("actor-not-holder", &"another person's eID", limit));
    }
    if is_holder {
        let limit = "another administrator: nobody handles his own eID";
        return Err(duty("actor-own-eid", &"the holder of the eID that is ordered", limit));
    }
    Ok(())
}

/// HSA-ids and the like are the same in any case.
fn is_same(one: &ActorId, other: &ActorId) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

fn duty(code: &'static str, seen: &impl fmt::Display, limit: impl Into<String>) -> RuleRefusal {
    let next = "have the one who acts sign the statement, and name him in the order";
    RuleRefusal::new(code, "actor/order".to_owned(), seen, limit, next)
}

fn refused(
    code: &'static str,
    seen: &impl fmt::Display,
    limit: impl Into<String>,
    next: &'static str,
) -> Refusal {
    let rule = "API-05: who acts has signed what is asked for, with a key that the CA trusts";
    Refusal::new(code, rule, seen, limit, next)
}

#[cfg(test)]
mod tests;
