//! `/v1/eids` and `/v1/carriers`: what belongs together, shown and revoked as one.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;

use super::asked::Asked;
use super::problem::Call;
use super::{App, Named, read_body, reading, refuse, under_key};
use crate::service::caller::Caller;
use crate::service::issue::from_json;
use crate::service::order::Act;

/// `GET /v1/eids`: oldest first. A client that is limited to organisations names one of them.
#[utoipa::path(
    get,
    path = "/v1/eids",
    operation_id = "listEids",
    params(api::EidQuery),
    responses(
        (status = 200, body = api::Page<api::Eid>, description = "a page"),
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
    Asked(query): Asked<api::EidQuery>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.eids(&who, &query)).await
}

/// `POST /v1/eids/search`. A question with a body: it changes nothing and has no idempotency key. What it shows is in the audit log.
#[utoipa::path(
    post,
    path = "/v1/eids/search",
    operation_id = "searchEids",
    request_body = api::EidSearch,
    responses(
        (status = 200, body = api::Page<api::Eid>, description = "those that the caller sees, oldest first; a page may have fewer than were asked for"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such organisation", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn search(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let asked = match read_body(request.into_body()).await {
        Ok(body) => from_json::<api::EidSearch>(&body),
        Err(denied) => Err(denied),
    };
    match asked {
        Ok(asked) => {
            let (who, id) = (caller.clone(), call.correlation_id.clone());
            reading(app, caller, call, move |service| service.search(&who, &id, &asked)).await
        }
        Err(denied) => refuse(&app, &caller, &call, denied).await,
    }
}

/// `GET /v1/eids/{id}`.
#[utoipa::path(
    get,
    path = "/v1/eids/{id}",
    operation_id = "showEid",
    params(("id" = String, Path, description = "`eid_` and a UUID")),
    responses(
        (status = 200, body = api::Eid, description = "with its certificates"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
    path = "/v1/carriers/{id}",
    operation_id = "showCarrier",
    params(("id" = String, Path, description = "`car_` and a UUID")),
    responses(
        (status = 200, body = api::Carrier, description = "with every eID on it"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
    path = "/v1/carriers/lookup",
    operation_id = "lookUpCarrier",
    request_body = api::CarrierLookup,
    responses(
        (status = 200, body = api::Carrier, description = "the carrier of this card number"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn look_up(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let asked = match read_body(request.into_body()).await {
        Ok(body) => from_json::<api::CarrierLookup>(&body),
        Err(denied) => Err(denied),
    };
    match asked {
        Ok(asked) => {
            let who = caller.clone();
            reading(app, caller, call, move |service| service.carrier_of_card(&who, &asked)).await
        }
        Err(denied) => refuse(&app, &caller, &call, denied).await,
    }
}

/// `POST /v1/eids/{id}/revocation`: revokes or holds its certificates, all of them or none.
#[utoipa::path(
    post,
    path = "/v1/eids/{id}/revocation",
    operation_id = "revokeEid",
    params(("id" = String, Path, description = "`eid_` and a UUID"), ("Idempotency-Key" = String, Header, description = "names the order: 1 to 200 visible ASCII characters, the same with each retry")),
    request_body = api::RevocationRequest,
    responses(
        (status = 200, body = api::Eid, description = "how it stands; each certificate says what became of it, `reach` how much more the event asks for"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 409, body = api::Problem, description = "state does not allow it, or the key is at work", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 422, body = api::Problem, description = "a rule refuses, or the key was used with another body", content_type = "application/problem+json"),
        (status = 429, body = api::Problem, description = "the client has revoked in this hour what it may alone", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
    path = "/v1/carriers/{id}/revocation",
    operation_id = "revokeCarrier",
    params(("id" = String, Path, description = "`car_` and a UUID"), ("Idempotency-Key" = String, Header, description = "names the order: 1 to 200 visible ASCII characters, the same with each retry")),
    request_body = api::RevocationRequest,
    responses(
        (status = 200, body = api::Carrier, description = "how it stands; each certificate says what became of it, `reach` how much more the event asks for"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 409, body = api::Problem, description = "state does not allow it, or the key is at work", content_type = "application/problem+json"),
        (status = 413, body = api::Problem, description = "body above 128 KiB", content_type = "application/problem+json"),
        (status = 422, body = api::Problem, description = "a rule refuses, or the key was used with another body", content_type = "application/problem+json"),
        (status = 429, body = api::Problem, description = "the client has revoked in this hour what it may alone", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
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
