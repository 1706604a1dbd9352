//! `/v1/approvals`: what one person asks for and another one approves.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use ca::operation::Operation;
use ca::refusal::Refusal;

use super::asked::Asked;
use super::openapi::{ActProblems, Keyed, ReadingProblems};
use super::problem::Call;
use super::{App, Named, reading, under_key};
use crate::denied::{Denied, Kind};
use crate::service::approvals;
use crate::service::caller::Caller;
use crate::service::order::Act;

/// `POST /v1/approvals`: asks for another person's approval of a call that is made later, octet for octet as it stands here.
#[utoipa::path(
    post,
    path = Operation::AskApproval.path(),
    params(Keyed),
    request_body = api::ApprovalRequest,
    responses(
        (status = 201, body = api::Approval, description = "the request, which waits for another person"),
        ActProblems,
    )
)]
pub(crate) async fn ask(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Ask, move |service, work| {
        service.ask_approval(&who, work)
    })
    .await
}

/// `GET /v1/approvals`: the requests of the caller's organisations, newest first.
#[utoipa::path(
    get,
    path = Operation::ListApprovals.path(),
    params(api::ApprovalQuery),
    responses(
        (status = 200, body = api::Page<api::Approval>, description = "a page; it may have fewer than were asked for, and the list ends where there is no `next`"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::ApprovalQuery>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.approvals(&who, &query)).await
}

/// `GET /v1/approvals/{id}`: one request with the body of its call: what is approved.
#[utoipa::path(
    get,
    path = Operation::ShowApproval.path(),
    params(("id" = String, Path, description = "`apr_` and a UUID")),
    responses(
        (status = 200, body = api::Approval, description = "the request"),
        ReadingProblems,
    )
)]
pub(crate) async fn show(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.show_approval(&who, &id)).await
}

/// `POST /v1/approvals/{id}/decision`: approves or rejects, by another person than the one who asked.
#[utoipa::path(
    post,
    path = Operation::DecideApproval.path(),
    params(("id" = String, Path, description = "`apr_` and a UUID"), Keyed),
    request_body = api::ApprovalDecisionRequest,
    responses(
        (status = 200, body = api::Approval, description = "where it stands then"),
        ActProblems,
    )
)]
pub(crate) async fn decide(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Approve, move |service, work| {
        service.decide_approval(&who, &id, work)
    })
    .await
}

/// `POST /v1/approvals/{id}/withdrawal`: takes a request back, by the one who asked.
#[utoipa::path(
    post,
    path = Operation::WithdrawApproval.path(),
    params(("id" = String, Path, description = "`apr_` and a UUID"), Keyed),
    request_body = api::ApprovalWithdrawalRequest,
    responses(
        (status = 200, body = api::Approval, description = "where it stands then"),
        ActProblems,
    )
)]
pub(crate) async fn withdraw(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Approve, move |service, work| {
        service.withdraw_approval(&who, &id, work)
    })
    .await
}

/// What a call says of its approval, before anything of it is stored.
///
/// # Errors
///
/// More than one header, or one on a call that nobody can ask an approval for.
pub(super) fn named(
    headers: &HeaderMap,
    call: &Call,
    caller: &Caller,
) -> Result<approvals::Named, Denied> {
    let mut values = headers.get_all(api::APPROVAL).iter();
    let id = match (values.next(), values.next()) {
        (None, _) => None,
        (Some(one), None) => Some(one.to_str().map_err(|_| malformed("other than visible ASCII"))?),
        (Some(_), Some(_)) => return Err(malformed("more than one header")),
    };
    approvals::Named::of(call.operation, id.map(str::to_owned), caller)
}

fn malformed(seen: &'static str) -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "approval-malformed",
            "CER-10: a call names its approval by one id",
            &seen,
            format!("one header {}: `apr_` and a UUID", api::APPROVAL),
            "correct the call",
        ),
    )
}
