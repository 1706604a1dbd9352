//! `/v1/probe`: what vantage points are asked to look at, and what they saw.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::{QuestionProblems, ReadingProblems};
use super::problem::Call;
use super::{App, asking, reading, refuse};
use crate::service::caller::Caller;

/// `GET /v1/probe/work`: a page of what this vantage point looks at now.
#[utoipa::path(
    get,
    path = Operation::ProbeWork.path(),
    params(api::WorkQuery),
    responses(
        (status = 200, body = api::ProbeWork, description = "revocations that were not seen from there yet, and a sample of others"),
        (status = 409, body = api::Problem, description = "no receipts are made here", content_type = "application/problem+json"),
        ReadingProblems,
    )
)]
pub(crate) async fn work(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::WorkQuery>,
) -> Response<Body> {
    match caller.must_be_a_vantage_point() {
        Ok(vantage) => {
            reading(app, caller, call, move |service| service.probe_work(&vantage, query.after))
                .await
        }
        Err(denied) => refuse(&app, &caller, &call, denied).await,
    }
}

/// `POST /v1/probe/observations`: what was seen. Sent twice it is the same as once, and needs no idempotency key.
#[utoipa::path(
    post,
    path = Operation::ProbeObservations.path(),
    request_body = api::ObservationsRequest,
    responses(
        (status = 200, body = api::ObservationsTaken, description = "what was taken, what was not, and what came of it"),
        (status = 409, body = api::Problem, description = "no receipts are made here", content_type = "application/problem+json"),
        QuestionProblems,
    )
)]
pub(crate) async fn observe(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    match caller.must_be_a_vantage_point() {
        Ok(vantage) => {
            asking(app, caller, call, request, move |service, who, sent| {
                service.observed(&vantage, &who.name, sent)
            })
            .await
        }
        Err(denied) => refuse(&app, &caller, &call, denied).await,
    }
}
