//! `/v1/authorities`: the certification authorities with their certificates and CRLs.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;

use super::peer::Caller;
use super::problem::Call;
use super::{App, reading};

/// `GET /v1/authorities`. Public facts; every known caller may read them.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
) -> Response<Body> {
    reading(app, caller, call, |service| service.authorities()).await
}

/// `GET /v1/authorities/{name}`, with the CRL itself.
pub(crate) async fn show(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Response<Body> {
    reading(app, caller, call, move |service| service.authority(&name)).await
}
