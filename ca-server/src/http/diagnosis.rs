//! `/v1/diagnosis`: why a login or a signature fails, and what to do.

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

/// `POST /v1/diagnosis`. A question with a body: it changes nothing and has no idempotency key.
#[utoipa::path(
    post,
    path = Operation::Diagnose.path(),
    request_body = api::DiagnosisRequest,
    responses(
        (status = 200, body = api::Diagnosis, description = "whether it works, and why not"),
        QuestionProblems,
    )
)]
pub(crate) async fn diagnose(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    asking(app, caller, call, request, Service::diagnose).await
}
