//! `/v1/protected-persons`: who is protected, for those whose role has them added.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::{ActProblems, Keyed, ReadingProblems};
use super::problem::Call;
use super::{App, reading, refuse, under_key};
use crate::service::caller::Caller;
use crate::service::order::Act;
use crate::service::protection::may_protect;

/// `POST /v1/protected-persons`: how a person is protected from now on.
#[utoipa::path(
    post,
    path = Operation::SetProtection.path(),
    params(Keyed),
    request_body = api::ProtectionRequest,
    responses(
        (status = 200, body = api::Protection, description = "how that person is protected now"),
        ActProblems,
    )
)]
pub(crate) async fn set(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = may_protect(&caller) {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Protect, move |service, work| {
        service.protect(&who, work)
    })
    .await
}

/// `GET /v1/protected-persons`: those with an eID in the caller's organisations; all, for a caller that is limited to none.
#[utoipa::path(
    get,
    path = Operation::ListProtectedPersons.path(),
    params(api::ProtectedQuery),
    responses(
        (status = 200, body = api::Page<api::ProtectedPerson>, description = "a page, in the order in which they became protected; it may have fewer than were asked for, and the list ends where there is no `next`"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::ProtectedQuery>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.protected_persons(&who, &query)).await
}
