//! `/v1/trial-revocations`: what the program revokes to measure how long that takes to be seen.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;

use super::asked::Asked;
use super::problem::Call;
use super::{App, reading, refuse};
use crate::service::caller::Caller;

/// `GET /v1/trial-revocations`: trial revocations, newest first, and what they come to.
#[utoipa::path(
    get,
    path = "/v1/trial-revocations",
    operation_id = "listTrialRevocations",
    params(api::TrialQuery),
    responses(
        (status = 200, body = api::TrialRevocations, description = "newest first, with how many of them were seen in time"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 409, body = api::Problem, description = "none are made here", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::TrialQuery>,
) -> Response<Body> {
    if let Err(denied) = caller.must_read() {
        return refuse(&app, &caller, &call, denied).await;
    }
    reading(app, caller, call, move |service| service.trials(query.limit)).await
}
