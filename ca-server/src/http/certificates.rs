//! `/v1/certificates`: issue, show, list, revoke, release.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::{ActProblems, Keyed, ReadingProblems, Waiting};
use super::problem::Call;
use super::{App, Named, reading, refuse, under_key, under_key_by};
use crate::service::caller::Caller;
use crate::service::order::Act;

/// `POST /v1/certificates`: issues one certificate for a PKCS#10 request.
#[utoipa::path(
    post,
    path = Operation::IssueCertificate.path(),
    params(Keyed, Waiting),
    request_body = api::IssueRequest,
    responses(
        (status = 201, body = api::Certificate, description = "issued; replayed with Idempotency-Replayed: true"),
        ActProblems,
    )
)]
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
    under_key_by(app, call, caller, parts, body, Act::Issue, move |service, order, replies| {
        service.issue_under_key(&who, order, replies)
    })
    .await
}

/// `POST /v1/certificates/{id}/revocation`.
#[utoipa::path(
    post,
    path = Operation::RevokeCertificate.path(),
    params(("id" = String, Path, description = "`crt_` and a UUID"), Keyed, Waiting),
    request_body = api::RevocationRequest,
    responses(
        (status = 200, body = api::Certificate, description = "revoked or held; `outcome` says whether this call did it, corrected the reason or changed nothing"),
        ActProblems,
    )
)]
pub(crate) async fn revoke(
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
        service.revoke_for(&who, &id, order)
    })
    .await
}

/// `POST /v1/certificates/{id}/release`: ends a hold.
#[utoipa::path(
    post,
    path = Operation::ReleaseCertificate.path(),
    params(("id" = String, Path, description = "`crt_` and a UUID"), Keyed, Waiting),
    request_body = api::ReleaseRequest,
    responses(
        (status = 200, body = api::Certificate, description = "released: it stands as it did before the hold"),
        ActProblems,
    )
)]
pub(crate) async fn release(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_release() {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Revoke, move |service, order| {
        service.release_for(&who, &id, order)
    })
    .await
}

/// `POST /v1/authorities/{name}/serials/{serial}/revocation`.
#[utoipa::path(
    post,
    path = Operation::RevokeSerial.path(),
    params(
        ("name" = String, Path, description = "short name of the authority"),
        ("serial" = String, Path, description = "serial number, hexadecimal"),
        Keyed, Waiting
    ),
    request_body = api::RevocationRequest,
    responses(
        (status = 200, body = api::SerialStatus, description = "revoked; `outcome` says whether this call did it, corrected the reason or changed nothing"),
        ActProblems,
    )
)]
pub(crate) async fn revoke_serial(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named((name, serial)): Named<(String, String)>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_revoke() {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Revoke, move |service, order| {
        service.revoke_serial(&who, &name, &serial, order)
    })
    .await
}

/// `GET /v1/certificates/{id}`.
#[utoipa::path(
    get,
    path = Operation::ShowCertificate.path(),
    params(("id" = String, Path, description = "`crt_` and a UUID")),
    responses(
        (status = 200, body = api::Certificate, description = "with certificate and chain"),
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
    reading(app, caller, call, move |service| service.show_to(&who, &id)).await
}

/// `GET /v1/certificates`: by fingerprint, by authority and serial, or a page of all.
#[utoipa::path(
    get,
    path = Operation::ListCertificates.path(),
    params(api::CertificateQuery),
    responses(
        (status = 200, body = api::Page<api::Certificate>, description = "oldest first"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::CertificateQuery>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.list(&who, &query)).await
}
