//! `/v1/eids` and `/v1/carriers`: what belongs together, shown and revoked as one.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::{ActProblems, Keyed, QuestionProblems, ReadingProblems};
use super::problem::Call;
use super::{App, Named, asking, reading, refuse, under_key};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::order::Act;

/// `GET /v1/eids`: oldest first. A client that is limited to organisations names one of them.
#[utoipa::path(
    get,
    path = Operation::ListEids.path(),
    params(api::EidQuery),
    responses(
        (status = 200, body = api::Page<api::Eid>, description = "a page"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::EidQuery>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.eids(&who, &query)).await
}

/// `POST /v1/eids/search`. A question with a body: it changes nothing and has no idempotency key.
#[utoipa::path(
    post,
    path = Operation::SearchEids.path(),
    request_body = api::EidSearch,
    responses(
        (status = 200, body = api::Page<api::Eid>, description = "those that the caller sees, oldest first; a page may have fewer than were asked for"),
        QuestionProblems,
    )
)]
pub(crate) async fn search(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    asking(app, caller, call, request, Service::search).await
}

/// `GET /v1/eids/{id}`.
#[utoipa::path(
    get,
    path = Operation::ShowEid.path(),
    params(("id" = String, Path, description = "`eid_` and a UUID")),
    responses(
        (status = 200, body = api::Eid, description = "with its certificates"),
        ReadingProblems,
    )
)]
pub(crate) async fn show_eid(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.eid(&who, &id)).await
}

/// `GET /v1/carriers/{id}`.
#[utoipa::path(
    get,
    path = Operation::ShowCarrier.path(),
    params(("id" = String, Path, description = "`car_` and a UUID")),
    responses(
        (status = 200, body = api::Carrier, description = "with every eID on it"),
        ReadingProblems,
    )
)]
pub(crate) async fn show_carrier(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.carrier(&who, &id)).await
}

/// `POST /v1/carriers/lookup`. A question with a body: it changes nothing and has no idempotency key.
#[utoipa::path(
    post,
    path = Operation::LookUpCarrier.path(),
    request_body = api::CarrierLookup,
    responses(
        (status = 200, body = api::Carrier, description = "the carrier of this card number"),
        QuestionProblems,
    )
)]
pub(crate) async fn look_up(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    asking(app, caller, call, request, Service::carrier_of_card).await
}

/// `POST /v1/eids/{id}/revocation`: revokes or holds its certificates, all of them or none.
#[utoipa::path(
    post,
    path = Operation::RevokeEid.path(),
    params(("id" = String, Path, description = "`eid_` and a UUID"), Keyed),
    request_body = api::RevocationRequest,
    responses(
        (status = 200, body = api::Eid, description = "how it stands; each certificate says what became of it, `reach` how much more the event asks for"),
        ActProblems,
    )
)]
pub(crate) async fn revoke_eid(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_revoke() {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Revoke, move |service, order| {
        service.revoke_eid(&who, &id, order)
    })
    .await
}

/// `POST /v1/carriers/{id}/revocation`: revokes or holds every eID on it, those of other organisations too, all of them or none.
#[utoipa::path(
    post,
    path = Operation::RevokeCarrier.path(),
    params(("id" = String, Path, description = "`car_` and a UUID"), Keyed),
    request_body = api::RevocationRequest,
    responses(
        (status = 200, body = api::Carrier, description = "how it stands; each certificate says what became of it, `reach` how much more the event asks for"),
        ActProblems,
    )
)]
pub(crate) async fn revoke_carrier(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_revoke() {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Revoke, move |service, order| {
        service.revoke_carrier(&who, &id, order)
    })
    .await
}
