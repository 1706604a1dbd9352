//! `/v1/registers`: what registers say of a person.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::openapi::QuestionProblems;
use super::problem::Call;
use super::{App, asking};
use crate::service::Service;
use crate::service::caller::Caller;

/// `POST /v1/registers/lookup`. A question with a body: it has no idempotency key. Whom it shows, or says to be in no register, is a read of him.
#[utoipa::path(
    post,
    path = Operation::LookUpInRegister.path(),
    request_body = api::RegisterLookup,
    responses(
        (status = 200, body = api::RegisterSays, description = "what the register says now; of a protected person, to who does not see him, that he is in none"),
        QuestionProblems,
    )
)]
pub(crate) async fn look_up(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    asking(app, caller, call, request, Service::look_up_in_register).await
}
