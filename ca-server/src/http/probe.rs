//! `/v1/probe`: what vantage points are asked to look at, and what they saw.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;

use super::asked::Asked;
use super::problem::Call;
use super::{App, read_body, reading, refuse};
use crate::service::caller::Caller;
use crate::service::issue::from_json;

/// `GET /v1/probe/work`: a page of what this vantage point looks at now.
#[utoipa::path(
    get,
    path = "/v1/probe/work",
    operation_id = "listProbeWork",
    params(api::WorkQuery),
    responses(
        (status = 200, body = api::ProbeWork, description = "revocations that were not seen from there yet, and a sample of others"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller is no vantage point", content_type = "application/problem+json"),
        (status = 409, body = api::Problem, description = "no receipts are made here", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
    path = "/v1/probe/observations",
    operation_id = "sendObservations",
    request_body = api::ObservationsRequest,
    responses(
        (status = 200, body = api::ObservationsTaken, description = "what was taken, what was not, and what came of it"),
        (status = 400, body = api::Problem, description = "not well formed, or more than 200", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller is no vantage point", content_type = "application/problem+json"),
        (status = 409, body = api::Problem, description = "no receipts are made here", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn observe(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let vantage = match caller.must_be_a_vantage_point() {
        Ok(vantage) => vantage,
        Err(denied) => return refuse(&app, &caller, &call, denied).await,
    };
    let sent = match read_body(request.into_body()).await {
        Ok(body) => from_json::<api::ObservationsRequest>(&body),
        Err(denied) => Err(denied),
    };
    match sent {
        Ok(sent) => {
            let name = caller.name.clone();
            reading(app, caller, call, move |service| service.observed(&vantage, &name, &sent))
                .await
        }
        Err(denied) => refuse(&app, &caller, &call, denied).await,
    }
}
