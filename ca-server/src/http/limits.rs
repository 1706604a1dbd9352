//! `/v1/limits`: how many certificates clients order, and the end of pauses.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::openapi::{ActProblems, Keyed, ReadingProblems};
use super::problem::Call;
use super::{App, reading, refuse, under_key_by};
use crate::service::caller::Caller;
use crate::service::order::Act;

/// `GET /v1/limits`: what has been counted in this hour, and what is paused. An operator sees all clients, another
/// caller itself.
#[utoipa::path(
    get,
    path = Operation::ListLimits.path(),
    responses(
        (status = 200, body = api::Page<api::LimitStanding>, description = "clients and profiles that have been counted in this hour or are paused"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.limit_standings(&who)).await
}

/// `POST /v1/limits/resumption`: ends a pause. Only an operator may.
#[utoipa::path(
    post,
    path = Operation::ResumeLimit.path(),
    params(Keyed),
    request_body = api::ResumptionRequest,
    responses(
        (status = 200, body = api::LimitStanding, description = "the client goes on; replayed with Idempotency-Replayed: true"),
        ActProblems,
    )
)]
pub(crate) async fn resume(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // The service judges it, too; here it is refused before an order is recorded for it.
    if let Err(denied) = caller.must_operate("end a pause") {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key_by(app, call, caller, parts, body, Act::Resume, move |service, order, replies| {
        service.under_key(
            order,
            |service, work| service.resume(&who, work, replies),
            replies.as_ref(),
        )
    })
    .await
}
