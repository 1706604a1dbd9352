//! `/v1/profiles`: what a change of a profile would do to what was issued.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::openapi::QuestionProblems;
use super::problem::Call;
use super::{App, asking};
use crate::service::caller::Caller;

/// `POST /v1/profiles/replay`. A question with a body: it changes nothing and has no idempotency key.
#[utoipa::path(
    post,
    path = Operation::ReplayProfile.path(),
    request_body = api::ReplayRequest,
    responses(
        (status = 200, body = api::ReplayPage, description = "what the issuances of this page would become, newest first"),
        QuestionProblems,
    )
)]
pub(crate) async fn replay(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let id = call.correlation_id.clone();
    asking(app, caller, call, request, move |service, who, asked| {
        service.replay_for(who, &id, asked)
    })
    .await
}
