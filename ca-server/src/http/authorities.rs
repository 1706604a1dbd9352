//! `/v1/authorities`: the certification authorities with their certificates and CRLs.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::ReadingProblems;
use super::problem::Call;
use super::{App, Named, reading, refuse};
use crate::service::caller::Caller;

/// `GET /v1/authorities`. Public facts; every known caller may read them.
#[utoipa::path(
    get,
    path = Operation::ListAuthorities.path(),
    responses(
        (status = 200, body = api::Page<api::Authority>, description = "all of the deployment"),
        ReadingProblems,
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
    path = Operation::ShowAuthority.path(),
    params(("name" = String, Path, description = "its short name")),
    responses(
        (status = 200, body = api::Authority, description = "with its certificate and its CRL"),
        ReadingProblems,
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
    path = Operation::ListShards.path(),
    params(
        ("name" = String, Path, description = "its short name"),
        api::ShardQuery
    ),
    responses(
        (status = 200, body = api::Page<api::CrlShard>, description = "by number; none where the authority never had any"),
        ReadingProblems,
    )
)]
pub(crate) async fn shards(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<String>,
    Asked(query): Asked<api::ShardQuery>,
) -> Response<Body> {
    if let Err(denied) = caller.must_read() {
        return refuse(&app, &caller, &call, denied).await;
    }
    reading(app, caller, call, move |service| {
        service.crl_shards(&name, query.cursor.as_deref(), query.limit)
    })
    .await
}
