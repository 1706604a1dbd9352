//! The error boundary: a denied call becomes an RFC 9457 problem, once, here.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use ca::operation::Operation;
use store::StoredResponse;
use x509::time::UnixTime;

use crate::denied::{Denied, Kind};
use crate::service::order::{Outcome, Replies, unwritable};

/// What every answer of one call carries.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The id by which log and audit speak of this call.
    pub(crate) correlation_id: String,
    /// When it was read.
    pub(crate) now: UnixTime,
    /// What it asks for; `None` of a path or method that is no operation.
    pub(crate) operation: Option<Operation>,
}

pub(crate) const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Method => StatusCode::METHOD_NOT_ALLOWED,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict | Kind::Busy => StatusCode::CONFLICT,
        Kind::Limited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Rule => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The problem document of a denied call.
pub(crate) fn document(denied: &Denied, call: &Call) -> api::Problem {
    let refusal = &denied.refusal;
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    api::Problem {
        kind: format!("urn:sigill:problem:{}", refusal.code),
        title: refusal.code.replace('-', " "),
        status: status(denied.kind).as_u16(),
        code: refusal.code.to_owned(),
        detail: format!("{}; seen: {}; allowed: {}", refusal.rule, refusal.seen, refusal.limit),
        rule: some(&refusal.rule),
        seen: some(&refusal.seen),
        limit: some(&refusal.limit),
        next: some(refusal.next),
        warning: denied.warning.map(|one| one.english().to_owned()),
        warning_sv: denied.warning.map(|one| one.swedish().to_owned()),
        correlation_id: call.correlation_id.clone(),
        time: call.now.to_string(),
    }
}

/// The response of a denied call, and one line in the log.
pub(crate) fn respond(denied: &Denied, call: &Call) -> Response<Body> {
    let status = status(denied.kind);
    // `seen` may quote what the caller said of a person and stays out of the log.
    match denied.kind {
        Kind::Internal => tracing::error!(
            problem.code = denied.refusal.code,
            call.id = %call.correlation_id,
            problem.seen = %denied.refusal.seen,
            "call failed: {}", denied.refusal.rule
        ),
        Kind::Unavailable => tracing::warn!(
            problem.code = denied.refusal.code,
            call.id = %call.correlation_id,
            problem.seen = %denied.refusal.seen,
            "call put off: {}", denied.refusal.rule
        ),
        _ => tracing::info!(
            problem.code = denied.refusal.code,
            call.id = %call.correlation_id,
            "call refused: {}", denied.refusal.rule
        ),
    }
    let body = serde_json::to_vec(&document(denied, call)).unwrap_or_default();
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(api::problem::MEDIA_TYPE));
    if let Some(span) = denied.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(span.as_secs().max(1)));
    }
    response
}

/// The status of what an act came to.
const fn done_status(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Created => StatusCode::CREATED,
        Outcome::Changed => StatusCode::OK,
    }
}

/// Answers as they are stored under an idempotency key: the same octets that the first call gets.
impl Replies for Call {
    fn done(&self, outcome: Outcome, json: Vec<u8>) -> StoredResponse {
        StoredResponse {
            status: done_status(outcome).as_u16(),
            content_type: "application/json".to_owned(),
            body: json,
        }
    }

    fn refused(&self, denied: &Denied) -> Result<StoredResponse, Denied> {
        let body = serde_json::to_vec(&document(denied, self)).map_err(|_| unwritable())?;
        Ok(StoredResponse {
            status: status(denied.kind).as_u16(),
            content_type: api::problem::MEDIA_TYPE.to_owned(),
            body,
        })
    }
}
