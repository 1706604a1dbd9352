//! The statement of an administrator: taken off a call before any handler sees it.
//!
//! Here a call is put into the words that a statement is about: method, path, the hash of its body. Whether it must have one is for the table of
//! operations and the client's configuration to say; what it is worth, for the service.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use ca::operation::{Business, Operation};
use ca::refusal::Refusal;
use sha2::{Digest as _, Sha256};
use store::Again;

use super::admission::Lane;
use super::problem::Call;
use super::{App, at_work, idempotency_key, read_body};
use crate::denied::{Denied, Kind};
use crate::service::actor::{Stated, statement_required};
use crate::service::caller::Caller;

/// What every client may ask and that is no operation of the contract.
const EVERYBODYS: [&str; 3] = ["/openapi.json", "/healthz", "/readyz"];
/// The route of what has none.
const NO_ROUTE: &str = "none";

/// Puts into `caller` who signed for this call, and gives the call back with its body.
///
/// # Errors
///
/// There is no statement where there must be one, or it is refused.
pub(super) async fn signed_for(
    app: &App,
    call: &Call,
    caller: &mut Caller,
    route: &str,
    request: Request,
) -> Result<Request, Denied> {
    let business = business(request.method().as_str(), route);
    let mut values = request.headers().get_all(api::ACTOR_STATEMENT).iter();
    let text = match (values.next(), values.next()) {
        (None, _) if caller.statements.wants_statement(business) => {
            return Err(statement_required());
        }
        (None, _) => return Ok(request),
        (Some(one), None) => one.to_str().map_err(|_| malformed("other than visible ASCII"))?,
        (Some(_), Some(_)) => return Err(malformed("more than one header")),
    };
    let operation = match business {
        Some(Business::Own) => None,
        Some(_) => Operation::of(request.method().as_str(), route),
        // Deny by default: what is in no row is in nobody's.
        None => return Err(unlisted(route)),
    };
    let text = text.to_owned();
    let (parts, body) = request.into_parts();
    let body = read_body(body).await?;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
    let (method, key) = (parts.method.to_string(), idempotency_key(&parts.headers).ok());
    let again = may_come_again(business, key.as_deref());
    let (service, client, call) = (Arc::clone(&app.service), caller.name.clone(), call.clone());
    let body_sha256 = Sha256::digest(&body).into();
    let limited_to = caller.limited_to().map(<[_]>::to_vec);
    let acting = at_work(&app.admission, lane(business, route), move || {
        service.acting(&Stated {
            text: &text,
            operation,
            limited_to: limited_to.as_deref(),
            client: &client,
            method: &method,
            target: &target,
            body_sha256,
            idempotency_key: key.as_deref(),
            again,
            correlation_id: &call.correlation_id,
            now: call.now,
        })
    })
    .await
    .flatten()?;
    caller.act_by(acting);
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// Whose business a call is; `None` of one that the table does not have. What is not there is nobody's, and says so to everybody.
fn business(method: &str, route: &str) -> Option<Business> {
    if EVERYBODYS.contains(&route) || route == NO_ROUTE {
        return Some(Business::Own);
    }
    Operation::of(method, route).map(Operation::business)
}

/// Whether a statement may come a second time with its call, whose answer may have been lost, or had no place here: what runs under an order's key does
/// nothing twice, and what only reads shows the same client the same thing.
fn may_come_again(business: Option<Business>, key: Option<&str>) -> Again {
    match business {
        Some(Business::Acting) if key.is_some() => Again::SameCall,
        Some(Business::Reading) => Again::SameCall,
        Some(Business::Acting | Business::Own) | None => Again::Never,
    }
}

/// Where the work on a statement has its place: that of what it is for, so that no flood of orders or questions keeps a revocation out.
fn lane(business: Option<Business>, route: &str) -> Lane {
    let revokes = [
        "/revocation",
        "/revocation-requests",
        "/scheduled-revocations",
        "/release",
        "/acts",
        "/resumption",
    ];
    match business {
        Some(Business::Acting) if revokes.iter().any(|end| route.ends_with(end)) => Lane::Revoking,
        Some(Business::Acting) => Lane::Issuing,
        _ => Lane::Reading,
    }
}

fn unlisted(route: &str) -> Denied {
    Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "actor-role-refused",
            "API-04: a role does what the table of roles has for it",
            &format!("a method of {route} that is in no row"),
            "a call of docs/roles.md",
            "correct the method",
        ),
    )
}

fn malformed(seen: &'static str) -> Denied {
    Denied::new(
        Kind::Unauthenticated,
        Refusal::new(
            "actor-statement-malformed",
            "API-05: who acts has signed what is asked for, with a key that the CA trusts",
            &seen,
            "one JSON Web Signature in its compact serialisation",
            "make it as docs/formats/actor-statement.md says",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// API-04: a route that nobody entered into the table is signed for, by whoever must sign.
    #[test]
    fn what_is_in_no_row_is_nobodys_business() {
        assert_eq!(business("GET", "/openapi.json"), Some(Business::Own));
        assert_eq!(business("GET", NO_ROUTE), Some(Business::Own));
        assert_eq!(business("POST", "/v1/certificates"), Some(Business::Acting));
        assert_eq!(business("HEAD", "/v1/certificates"), Some(Business::Reading));
        assert_eq!(business("PUT", "/v1/certificates"), None);
        assert_eq!(business("POST", "/v1/new"), None);
    }

    /// API-02: a call that had no answer is repeated as it was, without another signature.
    #[test]
    fn what_does_nothing_twice_may_come_again() {
        for one in Operation::ALL {
            let (keyed, bare) = match one.business() {
                Business::Acting => (Again::SameCall, Again::Never),
                Business::Reading => (Again::SameCall, Again::SameCall),
                Business::Own => (Again::Never, Again::Never),
            };
            assert_eq!(may_come_again(Some(one.business()), Some("key")), keyed, "{one:?}");
            assert_eq!(may_come_again(Some(one.business()), None), bare, "{one:?}");
        }
        assert_eq!(may_come_again(None, Some("key")), Again::Never);
    }

    /// Promise 4: statements of revocations have the places of revocations.
    #[test]
    fn the_statement_of_a_revocation_waits_for_no_order() {
        // What revokes only where an order or a job is ended, or asks for a signature of what was revoked.
        let slower = [
            Operation::CancelOrder,
            Operation::SignReceipt,
            Operation::PlanJob,
            Operation::AddJobTerms,
        ];
        for one in Operation::ALL {
            let revokes = one.goes_on_unactivated() && !slower.contains(one);
            let expected = match one.business() {
                Business::Acting if revokes => Lane::Revoking,
                Business::Reading | Business::Own => Lane::Reading,
                Business::Acting => continue,
            };
            assert_eq!(lane(Some(one.business()), one.path()), expected, "{one:?}");
        }
    }
}
