//! `/v1/reads`: who was shown what of a person.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::openapi::QuestionProblems;
use super::problem::Call;
use super::{App, read_body, reading, refuse};
use crate::service::body::from_json;
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
    let asked = match read_body(request.into_body()).await {
        Ok(body) => from_json::<api::ReadSearch>(&body),
        Err(denied) => Err(denied),
    };
    match asked {
        Ok(asked) => {
            let who = caller.clone();
            reading(app, caller, call, move |service| service.reads_of(&who, &asked)).await
        }
        Err(denied) => refuse(&app, &caller, &call, denied).await,
    }
}
