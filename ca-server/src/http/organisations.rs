//! `/v1/organisations`: the tree of organisations, as far as the caller sees it.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::{ActProblems, Keyed, ReadingProblems};
use super::problem::Call;
use super::{App, Named, reading, refuse, under_key};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::order::{Act, Answered, OrderWork};

/// `POST /v1/organisations`: adds an organisation under one of the caller's.
#[utoipa::path(
    post,
    path = Operation::AddOrganisation.path(),
    params(Keyed),
    request_body = api::OrganisationRequest,
    responses(
        (status = 201, body = api::Organisation, description = "added"),
        ActProblems,
    )
)]
pub(crate) async fn add(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let who = caller.clone();
    organising(app, call, caller, request, move |service, work| {
        service.add_organisation(&who, work)
    })
    .await
}

/// `POST /v1/organisations/{id}/change`: another name, number or place in the tree.
#[utoipa::path(
    post,
    path = Operation::ChangeOrganisation.path(),
    params(("id" = String, Path, description = "`org_` and a UUID"), Keyed),
    request_body = api::OrganisationChangeRequest,
    responses(
        (status = 200, body = api::Organisation, description = "how it is then"),
        ActProblems,
    )
)]
pub(crate) async fn change(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let who = caller.clone();
    organising(app, call, caller, request, move |service, work| {
        service.change_organisation(&who, &id, work)
    })
    .await
}

/// `POST /v1/organisations/{id}/ending`: its last day.
#[utoipa::path(
    post,
    path = Operation::EndOrganisation.path(),
    params(("id" = String, Path, description = "`org_` and a UUID"), Keyed),
    request_body = api::OrganisationEndRequest,
    responses(
        (status = 200, body = api::Organisation, description = "how it is then"),
        ActProblems,
    )
)]
pub(crate) async fn end(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let who = caller.clone();
    organising(app, call, caller, request, move |service, work| {
        service.end_organisation(&who, &id, work)
    })
    .await
}

/// The service judges the role, too; here a caller without one is refused before an order is recorded for it.
async fn organising(
    app: App,
    call: Call,
    caller: Caller,
    request: Request,
    work: impl FnOnce(&Service, &OrderWork<'_>) -> Result<Answered, crate::denied::Denied>
    + Send
    + 'static,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_organise() {
        return refuse(&app, &caller, &call, denied).await;
    }
    under_key(app, call, caller, parts, body, Act::Organise, work).await
}

/// `GET /v1/organisations`: the organisations of the caller and what lies under them; all, for an operator.
#[utoipa::path(
    get,
    path = Operation::ListOrganisations.path(),
    params(api::OrganisationQuery),
    responses(
        (status = 200, body = api::Page<api::Organisation>, description = "a page, in an order that does not change"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::OrganisationQuery>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.organisations(&who, &query)).await
}

/// `GET /v1/organisations/{id}`: one of them.
#[utoipa::path(
    get,
    path = Operation::ShowOrganisation.path(),
    params(("id" = String, Path, description = "`org_` and a UUID")),
    responses(
        (status = 200, body = api::Organisation, description = "the organisation"),
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
    reading(app, caller, call, move |service| service.organisation(&who, &id)).await
}
