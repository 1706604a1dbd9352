//! `/v1/jobs`: many certificates revoked by one decision.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::{ActProblems, Keyed, ReadingProblems};
use super::problem::Call;
use super::{App, Named, reading, refuse, under_key};
use crate::service::caller::Caller;
use crate::service::jobs::may_decide;
use crate::service::order::Act;

/// `POST /v1/jobs`: plans a job. Only an operator that may revoke may.
#[utoipa::path(
    post,
    path = Operation::PlanJob.path(),
    params(Keyed),
    request_body = api::JobRequest,
    responses(
        (status = 201, body = api::Job, description = "planned; nothing is revoked by it"),
        ActProblems,
    )
)]
pub(crate) async fn plan(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = may_decide(&caller) {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Decide, move |service, work| {
        service.plan_job(&who, work)
    })
    .await
}

/// `POST /v1/jobs/{id}/terms`: adds to the lists of a planned job.
#[utoipa::path(
    post,
    path = Operation::AddJobTerms.path(),
    params(("id" = String, Path, description = "`job_` and a UUID"), Keyed),
    request_body = api::JobTermsRequest,
    responses(
        (status = 200, body = api::JobTerms, description = "added; each term counts once"),
        ActProblems,
    )
)]
pub(crate) async fn add_terms(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = may_decide(&caller) {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Decide, move |service, work| {
        service.add_job_terms(&who, &id, work)
    })
    .await
}

/// `POST /v1/jobs/{id}/acts`: forecasts, starts, approves, pauses, resumes or cancels a job.
#[utoipa::path(
    post,
    path = Operation::ActOnJob.path(),
    params(("id" = String, Path, description = "`job_` and a UUID"), Keyed),
    request_body = api::JobActRequest,
    responses(
        (status = 200, body = api::Job, description = "how the job stands then"),
        ActProblems,
    )
)]
pub(crate) async fn act(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = may_decide(&caller) {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Decide, move |service, work| {
        service.act_on_job(&who, &id, work)
    })
    .await
}

/// `GET /v1/jobs`: all jobs, newest first.
#[utoipa::path(
    get,
    path = Operation::ListJobs.path(),
    responses(
        (status = 200, body = api::Page<api::Job>, description = "newest first, 1000 at most"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
) -> Response<Body> {
    if let Err(denied) = caller.must_read_all("read jobs") {
        return refuse(&app, &caller, &call, denied).await;
    }
    reading(app, caller, call, crate::service::Service::jobs).await
}

/// `GET /v1/jobs/{id}`: a job with its forecast, its progress and its waves.
#[utoipa::path(
    get,
    path = Operation::ShowJob.path(),
    params(("id" = String, Path, description = "`job_` and a UUID")),
    responses(
        (status = 200, body = api::Job, description = "how it stands"),
        ReadingProblems,
    )
)]
pub(crate) async fn show(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Response<Body> {
    if let Err(denied) = caller.must_read_all("read jobs") {
        return refuse(&app, &caller, &call, denied).await;
    }
    reading(app, caller, call, move |service| service.job(&id)).await
}

/// `GET /v1/jobs/{id}/items`: the selection of a job, in the order in which it is revoked.
#[utoipa::path(
    get,
    path = Operation::ListJobItems.path(),
    params(
        ("id" = String, Path, description = "`job_` and a UUID"),
        api::PageQuery
    ),
    responses(
        (status = 200, body = api::Page<api::JobItem>, description = "certificates and how they stand"),
        ReadingProblems,
    )
)]
pub(crate) async fn items(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    Asked(query): Asked<api::PageQuery>,
) -> Response<Body> {
    if let Err(denied) = caller.must_read_all("read jobs") {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    reading(app, caller, call, move |service| {
        service.job_items(&who, &id, query.cursor.as_deref(), query.limit)
    })
    .await
}
