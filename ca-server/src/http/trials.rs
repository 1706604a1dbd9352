//! `/v1/trial-revocations`: what the program revokes to measure how long that takes to be seen.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::Response;
use serde::Deserialize;

use super::certificates::unreadable_query;
use super::problem::Call;
use super::{App, reading, refuse};
use crate::service::caller::Caller;

/// The query of the listing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrialParameters {
    limit: Option<u32>,
}

/// `GET /v1/trial-revocations`: trial revocations, newest first, and what they come to.
#[utoipa::path(
    get,
    path = "/v1/trial-revocations",
    operation_id = "listTrialRevocations",
    params(("limit" = Option<u32>, Query, description = "so many at most, 1 to 1000; 100 when left out")),
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
    query: Result<Query<TrialParameters>, axum::extract::rejection::QueryRejection>,
) -> Response<Body> {
    if let Err(denied) = caller.must_read() {
        return refuse(&app, &caller, &call, denied).await;
    }
    match query {
        Ok(Query(TrialParameters { limit })) => {
            reading(app, caller, call, move |service| service.trials(limit)).await
        }
        Err(rejection) => {
            let denied = unreadable_query(&rejection.body_text(), "limit");
            refuse(&app, &caller, &call, denied).await
        }
    }
}
