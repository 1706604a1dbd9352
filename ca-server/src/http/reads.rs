//! `/v1/reads`: who was shown what of a person.

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

/// `POST /v1/reads/search`. A question with a body: it changes nothing and has no idempotency key. That it was asked is a read itself.
#[utoipa::path(
    post,
    path = Operation::SearchReads.path(),
    request_body = api::ReadSearch,
    responses(
        (status = 200, body = api::Page<api::PersonRead>, description = "answers that showed something of this person, newest first; none of a protected person's to who does not see them"),
        QuestionProblems,
    )
)]
pub(crate) async fn search(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    asking(app, caller, call, request, Service::reads_of).await
}
