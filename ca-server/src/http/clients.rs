//! `/v1/clients/self`: what a client does about itself.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;

use super::problem::Call;
use super::{App, under_key};
use crate::service::caller::Caller;
use crate::service::order::Act;

/// `POST /v1/clients/self/renewal`: a new certificate with the caller's own name for a new key.
#[utoipa::path(
    post,
    path = "/v1/clients/self/renewal",
    operation_id = "renewClient",
    params(("Idempotency-Key" = String, Header, description = "names the order: 1 to 200 visible ASCII characters, the same with each retry")),
    request_body = api::RenewalRequest,
    responses(
        (status = 201, body = api::ClientCredential, description = "issued; replayed with Idempotency-Replayed: true"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 409, body = api::Problem, description = "the key is at work", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 422, body = api::Problem, description = "a rule refuses, or the key was used with another body", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn renew(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Renew, move |service, order| {
        service.renew_client(&who, order)
    })
    .await
}
