//! `/v1/trial-revocations`: what the program revokes to measure how long that takes to be seen.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::ReadingProblems;
use super::problem::Call;
use super::{App, reading, refuse};
use crate::service::caller::Caller;

/// `GET /v1/trial-revocations`: trial revocations, newest first, and what they come to.
#[utoipa::path(
    get,
    path = Operation::ListTrials.path(),
    params(api::TrialQuery),
    responses(
        (status = 200, body = api::TrialRevocations, description = "newest first, with how many of them were seen in time"),
        (status = 409, body = api::Problem, description = "none are made here", content_type = "application/problem+json"),
        ReadingProblems,
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
