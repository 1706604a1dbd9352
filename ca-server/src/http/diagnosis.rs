//! `/v1/diagnosis`: why a login or a signature fails, and what to do.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;

use super::problem::Call;
use super::{App, read_body, reading, refuse};
use crate::service::caller::Caller;
use crate::service::issue::from_json;

/// `POST /v1/diagnosis`. A question with a body: it changes nothing and has no idempotency key.
#[utoipa::path(
    post,
    path = "/v1/diagnosis",
    operation_id = "diagnose",
    request_body = api::DiagnosisRequest,
    responses(
        (status = 200, body = api::Diagnosis, description = "whether it works, and why not"),
        (status = 400, body = api::Problem, description = "not well formed, or not exactly one thing named", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn diagnose(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let asked = match read_body(request.into_body()).await {
        Ok(body) => from_json::<api::DiagnosisRequest>(&body),
        Err(denied) => Err(denied),
    };
    match asked {
        Ok(asked) => {
            let who = caller.clone();
            reading(app, caller, call, move |service| service.diagnose(&who, &asked)).await
        }
        Err(denied) => refuse(&app, &caller, &call, denied).await,
    }
}
