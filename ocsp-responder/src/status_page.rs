//! The status page: what the state of a certificate is, in plain words, and why a login with it would fail.
//!
//! It knows what OCSP knows and no more. Of the certificate that a caller shows it repeats issuer, serial number and validity, never
//! the subject; it writes down neither the certificate nor the question.

mod form;
pub(crate) mod judge;
mod words;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::clock::now;
use crate::responder::Responder;
pub(crate) use words::Language;

/// What is read of a question: a certificate in PEM, and the form around it.
const MAX_BODY_OCTETS: usize = 64 * 1024;
/// How long it may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the operator says of the world around: which policies are of which trust level, and whose certificates belong elsewhere.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Surroundings {
    /// The environment that is answered for; of the deployment.
    #[serde(skip)]
    pub(crate) environment: String,
    /// Trust levels (*tillitsnivå*) of policies, dotted.
    #[serde(default)]
    pub(crate) levels: BTreeMap<String, u8>,
    /// Environments of issuers of other ones, by their common names.
    #[serde(default)]
    pub(crate) elsewhere: BTreeMap<String, String>,
}

/// Answers a request to the page.
pub(crate) async fn serve(
    responder: &Responder,
    around: &Surroundings,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let language = language_of(request.uri().query(), request.headers());
    let names = || -> Vec<String> {
        responder.authorities.load().list().iter().map(|one| one.name.clone()).collect()
    };
    match *request.method() {
        Method::GET => html(StatusCode::OK, words::form(language, &around.environment, &names())),
        Method::HEAD => html(StatusCode::OK, String::new()),
        Method::POST => {
            let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let kind = kind.unwrap_or_default().to_owned();
            let Some(body) = read_body(request.into_body()).await else {
                return html(StatusCode::PAYLOAD_TOO_LARGE, words::unreadable(language));
            };
            let authorities = responder.authorities.load_full();
            let Some(asked) = form::read(&kind, &body, authorities.list()) else {
                return html(StatusCode::BAD_REQUEST, words::unreadable(language));
            };
            let now = now();
            let verdict = responder.view.read(now, |seen| {
                judge::judge(&asked, authorities.list(), seen.index, around, now)
            });
            match verdict {
                Some(verdict) => html(StatusCode::OK, words::verdict(language, &asked, &verdict)),
                None => html(StatusCode::SERVICE_UNAVAILABLE, words::not_now(language)),
            }
        }
        _ => {
            let mut response = html(StatusCode::METHOD_NOT_ALLOWED, words::unreadable(language));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            response
        }
    }
}

/// What the address asks for, or the browser; Swedish otherwise.
fn language_of(query: Option<&str>, headers: &HeaderMap) -> Language {
    match query {
        Some("lang=en") => return Language::English,
        Some("lang=sv") => return Language::Swedish,
        _ => {}
    }
    let wanted = headers.get(ACCEPT_LANGUAGE).and_then(|wanted| wanted.to_str().ok());
    let first = wanted.and_then(|wanted| wanted.split([',', ';', '-']).next()).map(str::trim);
    match first {
        Some("en") => Language::English,
        _ => Language::Swedish,
    }
}

async fn read_body(body: Incoming) -> Option<Bytes> {
    let whole = Limited::new(body, MAX_BODY_OCTETS).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(collected)) => Some(collected.to_bytes()),
        _ => None,
    }
}

fn html(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        // Nothing runs, nothing is fetched, nothing is sent elsewhere.
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_the_language_that_is_asked_for() {
        let asked = |text: &'static str| {
            HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(text))])
        };
        assert_eq!(language_of(None, &HeaderMap::new()), Language::Swedish);
        assert_eq!(language_of(None, &asked("en-GB,en;q=0.9,sv;q=0.8")), Language::English);
        assert_eq!(language_of(None, &asked("sv-SE,en;q=0.9")), Language::Swedish);
        assert_eq!(language_of(Some("lang=sv"), &asked("en")), Language::Swedish);
        assert_eq!(language_of(Some("lang=en"), &asked("sv")), Language::English);
        assert_eq!(language_of(Some("<script>"), &asked("de")), Language::Swedish);
    }

    /// DAT: the answer is kept by nobody, and the page runs nothing.
    #[test]
    fn nothing_is_kept_and_nothing_runs() {
        let response = html(StatusCode::OK, String::new());
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
}
