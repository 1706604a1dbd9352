//! `/v1/authorities`: the certification authorities with their certificates and CRLs.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;

use super::asked::Asked;
use super::problem::Call;
use super::{App, Named, reading, refuse};
use crate::service::caller::Caller;

/// `GET /v1/authorities`. Public facts; every known caller may read them.
#[utoipa::path(
    get,
    path = "/v1/authorities",
    operation_id = "listAuthorities",
    responses(
        (status = 200, body = api::Page<api::Authority>, description = "all of the deployment"),
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
) -> Response<Body> {
    reading(app, caller, call, |service| service.authorities()).await
}

/// `GET /v1/authorities/{name}`, with the CRL itself.
#[utoipa::path(
    get,
    path = "/v1/authorities/{name}",
    operation_id = "showAuthority",
    params(("name" = String, Path, description = "its short name")),
    responses(
        (status = 200, body = api::Authority, description = "with its certificate and its CRL"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
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
    Named(name): Named<String>,
) -> Response<Body> {
    reading(app, caller, call, move |service| service.authority(&name)).await
}

/// `GET /v1/authorities/{name}/shards`: the shards of its CRL.
#[utoipa::path(
    get,
    path = "/v1/authorities/{name}/shards",
    operation_id = "listCrlShards",
    params(
        ("name" = String, Path, description = "its short name"),
        api::PageQuery
    ),
    responses(
        (status = 200, body = api::Page<api::CrlShard>, description = "by number; none where the authority never had any"),
        (status = 400, body = api::Problem, description = "not well formed", content_type = "application/problem+json"),
        (status = 401, body = api::Problem, description = "caller not known", content_type = "application/problem+json"),
        (status = 403, body = api::Problem, description = "caller may not", content_type = "application/problem+json"),
        (status = 404, body = api::Problem, description = "no such thing", content_type = "application/problem+json"),
        (status = 503, body = api::Problem, description = "come back after Retry-After", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn shards(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<String>,
    Asked(query): Asked<api::PageQuery>,
) -> Response<Body> {
    if let Err(denied) = caller.must_read() {
        return refuse(&app, &caller, &call, denied).await;
    }
    reading(app, caller, call, move |service| {
        service.crl_shards(&name, query.cursor.as_deref(), query.limit)
    })
    .await
}
