//! `/v1/clients/self`: what a client does about itself.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::openapi::{ActProblems, Keyed};
use super::problem::Call;
use super::{App, under_key};
use crate::service::caller::Caller;
use crate::service::order::Act;

/// `POST /v1/clients/self/renewal`: a new certificate with the caller's own name for a new key.
#[utoipa::path(
    post,
    path = Operation::RenewClient.path(),
    params(Keyed),
    request_body = api::RenewalRequest,
    responses(
        (status = 201, body = api::ClientCredential, description = "issued; replayed with Idempotency-Replayed: true"),
        ActProblems,
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
