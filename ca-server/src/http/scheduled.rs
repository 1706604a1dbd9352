//! `/v1/scheduled-revocations` and `/v1/revocation-requests`: revocations that were asked for with a time of the future, and those that were taken
//! while the CA could not be reached.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::{ActProblems, Keyed, ReadingProblems};
use super::problem::Call;
use super::{App, Named, reading, refuse, under_key};
use crate::denied::Denied;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::order::{Act, Answered, OrderWork};

async fn revoking(
    app: App,
    call: Call,
    caller: Caller,
    request: Request,
    work: impl FnOnce(&Service, &Caller, &OrderWork<'_>) -> Result<Answered, Denied> + Send + 'static,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_revoke() {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Revoke, move |service, order| {
        work(service, &who, order)
    })
    .await
}

/// `POST /v1/scheduled-revocations`: a revocation that the CA carries out at its second. It counts as asked for then (REV-10).
#[utoipa::path(
    post,
    path = Operation::ScheduleRevocation.path(),
    params(Keyed),
    request_body = api::ScheduleRequest,
    responses(
        (status = 201, body = api::ScheduledRevocation, description = "recorded; nothing is revoked before its time"),
        ActProblems,
    )
)]
pub(crate) async fn schedule(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    revoking(app, call, caller, request, |service, who, work| {
        service.schedule_revocation(who, work)
    })
    .await
}

/// `GET /v1/scheduled-revocations`: in the order in which they were asked for. A client that is limited to organisations names one of them.
#[utoipa::path(
    get,
    path = Operation::ListScheduledRevocations.path(),
    params(api::ScheduledQuery),
    responses(
        (status = 200, body = api::Page<api::ScheduledRevocation>, description = "a page"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::ScheduledQuery>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.scheduled_revocations(&who, &query)).await
}

/// `GET /v1/scheduled-revocations/{id}`.
#[utoipa::path(
    get,
    path = Operation::ShowScheduledRevocation.path(),
    params(("id" = String, Path, description = "`rev_` and a UUID")),
    responses(
        (status = 200, body = api::ScheduledRevocation, description = "where it stands"),
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
    reading(app, caller, call, move |service| service.scheduled_revocation(&who, &id)).await
}

/// `POST /v1/scheduled-revocations/{id}/cancellation`: takes it back before its second.
#[utoipa::path(
    post,
    path = Operation::CancelScheduledRevocation.path(),
    params(("id" = String, Path, description = "`rev_` and a UUID"), Keyed),
    request_body = api::ScheduleCancellation,
    responses(
        (status = 200, body = api::ScheduledRevocation, description = "where it stands"),
        ActProblems,
    )
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    revoking(app, call, caller, request, move |service, who, work| {
        service.cancel_scheduled(who, &id, work)
    })
    .await
}

/// `POST /v1/revocation-requests`: requests that were taken on paper or by telephone, each carried out and answered for itself (REV-01).
#[utoipa::path(
    post,
    path = Operation::RegisterRequests.path(),
    params(Keyed),
    request_body = api::TakenRequests,
    responses(
        (status = 200, body = api::RegisteredRequests, description = "what became of each, in the order of the list; a request that was registered before is told with that"),
        ActProblems,
    )
)]
pub(crate) async fn register(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    revoking(app, call, caller, request, |service, who, work| service.register_requests(who, work))
        .await
}
