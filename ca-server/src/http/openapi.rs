//! `/openapi.json`: the contract of the API, made from the wire types.

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

/// The contract.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sigill CA API",
        description = "Issues and revokes certificates. Mutual TLS; every POST carries Idempotency-Key.",
        license(name = "Apache-2.0 OR MIT")
    ),
    components(schemas(
        api::IssueRequest,
        api::SubjectFields,
        api::AlternativeNames,
        api::Actor,
        api::Certificate,
        api::CertificateState,
        api::Origin,
        api::RevocationRequest,
        api::ReasonCode,
        api::Authority,
        api::AuthorityCrl,
        api::Problem
    ))
)]
struct Contract;

/// `GET /openapi.json`.
pub(crate) async fn show() -> Json<Document> {
    Json(Contract::openapi())
}
