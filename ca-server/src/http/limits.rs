//! `/v1/limits`: how many certificates clients order, and the end of pauses.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;

use super::problem::Call;
use super::{App, reading, refuse, under_key_by};
use crate::service::caller::Caller;
use crate::service::order::Act;

/// `GET /v1/limits`: what has been counted in this hour, and what is paused. An operator sees all clients, another
/// caller itself.
#[utoipa::path(
    get,
    path = "/v1/limits",
    operation_id = "listLimits",
    responses(
        (status = 200, body = api::Page<api::LimitStanding>, description = "clients and profiles that have been counted in this hour or are paused"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
    path = "/v1/limits/resumption",
    operation_id = "resumeLimit",
    params(("Idempotency-Key" = String, Header, description = "names the order: 1 to 200 visible ASCII characters, the same with each retry")),
    request_body = api::ResumptionRequest,
    responses(
        (status = 200, body = api::LimitStanding, description = "the client goes on; replayed with Idempotency-Replayed: true"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 409, body = api::Problem, description = "not paused, or the key is at work", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 422, body = api::Problem, description = "the key was used with another body", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
