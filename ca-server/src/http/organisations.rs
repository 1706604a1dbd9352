//! `/v1/organisations`: the tree of organisations, as far as the caller sees it.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;

use super::asked::Asked;
use super::problem::Call;
use super::{App, Named, reading, refuse, under_key};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::order::{Act, Answered, OrderWork};

/// `POST /v1/organisations`: adds an organisation under one of the caller's.
#[utoipa::path(
    post,
    path = "/v1/organisations",
    operation_id = "addOrganisation",
    params(("Idempotency-Key" = String, Header, description = "names the order: 1 to 200 visible ASCII characters, the same with each retry")),
    request_body = api::OrganisationRequest,
    responses(
        (status = 201, body = api::Organisation, description = "added"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 409, body = api::Problem, description = "the tree does not take it, or the key is at work", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 422, body = api::Problem, description = "the key was used with another body", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
    path = "/v1/organisations/{id}/change",
    operation_id = "changeOrganisation",
    params(("id" = String, Path, description = "`org_` and a UUID"), ("Idempotency-Key" = String, Header, description = "names the order: 1 to 200 visible ASCII characters, the same with each retry")),
    request_body = api::OrganisationChangeRequest,
    responses(
        (status = 200, body = api::Organisation, description = "how it is then"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not, or it is its own", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 409, body = api::Problem, description = "the tree does not take it, the revision is another one, or the key is at work", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 422, body = api::Problem, description = "the key was used with another body", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
    path = "/v1/organisations/{id}/ending",
    operation_id = "endOrganisation",
    params(("id" = String, Path, description = "`org_` and a UUID"), ("Idempotency-Key" = String, Header, description = "names the order: 1 to 200 visible ASCII characters, the same with each retry")),
    request_body = api::OrganisationEndRequest,
    responses(
        (status = 200, body = api::Organisation, description = "how it is then"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not, or it is its own", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 409, body = api::Problem, description = "the tree does not take it, the revision is another one, or the key is at work", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 422, body = api::Problem, description = "the key was used with another body", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
    path = "/v1/organisations",
    operation_id = "listOrganisations",
    params(api::OrganisationQuery),
    responses(
        (status = 200, body = api::Page<api::Organisation>, description = "a page, in an order that does not change"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
    path = "/v1/organisations/{id}",
    operation_id = "showOrganisation",
    params(("id" = String, Path, description = "`org_` and a UUID")),
    responses(
        (status = 200, body = api::Organisation, description = "the organisation"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
