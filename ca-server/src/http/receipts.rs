//! Receipts of revocations: signed of what was seen, and read again.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::openapi::{ActProblems, Keyed, ReadingProblems};
use super::problem::Call;
use super::{App, Named, reading, refuse, under_key};
use crate::service::caller::Caller;
use crate::service::order::Act;

/// `POST /v1/certificates/{id}/receipt`: signs that the revocation was seen from every vantage point.
#[utoipa::path(
    post,
    path = Operation::SignReceipt.path(),
    params(("id" = String, Path, description = "`crt_` and a UUID"), Keyed),
    request_body = api::ReceiptRequest,
    responses(
        (status = 201, body = api::Receipt, description = "the receipt, a signed note"),
        ActProblems,
    )
)]
pub(crate) async fn sign(
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
        service.receipt_for(&who, &id, order)
    })
    .await
}

/// `GET /v1/certificates/{id}/receipts`: the receipts of its revocation and of its holds.
#[utoipa::path(
    get,
    path = Operation::ListReceipts.path(),
    params(("id" = String, Path, description = "`crt_` and a UUID")),
    responses(
        (status = 200, body = api::Receipts, description = "those of its last revocation or hold first; none where it was not seen at every point yet"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.receipts_to(&who, &id)).await
}

/// `GET /v1/authorities/{name}/serials/{serial}/receipts`: the same for a serial.
#[utoipa::path(
    get,
    path = Operation::ListReceiptsOfSerial.path(),
    params(
        ("name" = String, Path, description = "short name of the authority"),
        ("serial" = String, Path, description = "serial number, hexadecimal")
    ),
    responses(
        (status = 200, body = api::Receipts, description = "those of its last revocation first; none where it was not seen at every point yet, or where the serial is not known"),
        ReadingProblems,
    )
)]
pub(crate) async fn list_of_serial(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named((name, serial)): Named<(String, String)>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.receipts_of_serial_to(&who, &name, &serial))
        .await
}
