//! `/v1/certificates`: issue, show, list, revoke.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::Response;
use serde::Deserialize;

use super::peer::Caller;
use super::problem::Call;
use super::{App, reading, refuse, under_key};
use crate::denied::Denied;
use crate::service::show::ListQuery;

/// `POST /v1/certificates`: issues one certificate for a PKCS#10 request.
pub(crate) async fn create(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_order_something() {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, move |service, order| service.issue(&who, order))
        .await
}

/// `POST /v1/certificates/{id}/revocation`.
pub(crate) async fn revoke(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_revoke() {
        return refuse(&app, &caller, &call, denied).await;
    }
    under_key(app, call, caller, parts, body, move |service, order| service.revoke(&id, order))
        .await
}

/// `POST /v1/authorities/{name}/serials/{serial}/revocation`.
pub(crate) async fn revoke_serial(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Path((name, serial)): Path<(String, String)>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_revoke() {
        return refuse(&app, &caller, &call, denied).await;
    }
    under_key(app, call, caller, parts, body, move |service, order| {
        service.revoke_serial(&name, &serial, order)
    })
    .await
}

/// `GET /v1/certificates/{id}`.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Response<Body> {
    if let Err(denied) = caller.must_read() {
        return refuse(&app, &caller, &call, denied).await;
    }
    reading(app, caller, call, move |service| service.show(&id)).await
}

/// The query of a listing, as it stands in the URL. No field holds personal data (API-11).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParameters {
    sha256: Option<String>,
    authority: Option<String>,
    serial: Option<String>,
    profile: Option<String>,
    state: Option<String>,
    order: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// `GET /v1/certificates`: by fingerprint, by authority and serial, or a page of all.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ListParameters>, axum::extract::rejection::QueryRejection>,
) -> Response<Body> {
    if let Err(denied) = caller.must_read() {
        return refuse(&app, &caller, &call, denied).await;
    }
    let Query(parameters) = match query {
        Ok(query) => query,
        Err(rejection) => {
            let denied = unreadable_query(&rejection.body_text());
            return refuse(&app, &caller, &call, denied).await;
        }
    };
    let query = ListQuery {
        sha256: parameters.sha256,
        authority: parameters.authority,
        serial: parameters.serial,
        profile: parameters.profile,
        state: parameters.state,
        order: parameters.order,
        cursor: parameters.cursor,
        limit: parameters.limit,
    };
    reading(app, caller, call, move |service| service.list(&query)).await
}

fn unreadable_query(seen: &str) -> Denied {
    Denied::new(
        crate::denied::Kind::Malformed,
        ca::refusal::Refusal::new(
            "query-malformed",
            "a listing takes the parameters that /openapi.json lists",
            &seen,
            "sha256, authority, serial, profile, state, order, cursor, limit",
            "correct the query",
        ),
    )
}
