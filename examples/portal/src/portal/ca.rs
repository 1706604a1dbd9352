//! The CA, as a client of its contract sees it: mutual TLS, JSON, problems.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::config::{CaFiles, certificate};
use crate::ledger::Begun;

/// Longest wait for an answer: an issuance may wait for its token and its publication.
const TIMEOUT: Duration = Duration::from_secs(40);

/// The CA.
pub(crate) struct Ca {
    agent: Agent,
    url: String,
    /// What statements name as their audience.
    pub(crate) audience: String,
    /// What they name as the client.
    pub(crate) client: String,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum Trouble {
    /// Nobody answers, or not to the end: whether anything was done is not known.
    #[error("the CA does not answer: {0}")]
    Away(String),
    /// A problem, in its own words.
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(Box<api::Problem>),
}

impl Trouble {
    /// Whether the same call may come to something later.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Away(_) => true,
            Self::Refused(problem) => {
                matches!(problem.status, 429 | 500..=599)
                    || ["order-running", "order-signing"].contains(&&problem.code[..])
            }
        }
    }

    /// Whether it is the statement that is not taken: another one may be, for the same call.
    pub(crate) fn is_about_the_statement(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 401)
    }

    /// As it is remembered and shown.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Away(why) => serde_json::json!({ "code": "ca-away", "detail": why }),
            Self::Refused(problem) => serde_json::to_value(problem).unwrap_or_default(),
        }
    }
}

impl Ca {
    /// Reads who the portal is; connects at the first call.
    pub(crate) fn new(files: &CaFiles) -> anyhow::Result<Self> {
        ensure!(
            files.url.starts_with("https://"),
            "[ca] url is {}; the API is https://",
            files.url
        );
        let own = certificate(&files.certificate)?;
        let names = own.subject_alt_names();
        let uri = names.iter().find_map(|name| name.uri()).unwrap_or_default();
        let (deployment, client) = uri.split_once(":client:").with_context(|| {
            format!("{} names no client of a deployment", files.certificate.display())
        })?;
        let key =
            fs::read(&files.key).with_context(|| format!("cannot read {}", files.key.display()))?;
        let key = PrivateKey::from_pem(&key).with_context(|| files.key.display().to_string())?;
        let pair =
            ClientCert::new_with_certs(&[Certificate::from_der(own.as_der()).to_owned()], key);
        let root = certificate(&files.management_ca)?;
        let root = Certificate::from_der(root.as_der()).to_owned();
        let tls = TlsConfig::builder()
            .client_cert(Some(pair))
            .root_certs(RootCerts::Specific(Arc::new(vec![root])))
            .unversioned_rustls_crypto_provider(Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .https_only(true)
            .build()
            .new_agent();
        let url = files.url.trim_end_matches('/').to_owned();
        Ok(Self { agent, url, audience: format!("{deployment}:api"), client: client.to_owned() })
    }

    /// Asks for a path with its query, as the portal itself: nobody signs for what is only read.
    pub(crate) fn see<T: DeserializeOwned>(&self, target: &str) -> Result<T, Trouble> {
        let called = self.agent.get(format!("{}{target}", self.url)).call();
        answer(called.map_err(away)?)
    }

    /// Asks a question with a body, which changes nothing.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Trouble> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        let call = self.agent.post(format!("{}{path}", self.url));
        let call = call.header("Content-Type", "application/json");
        answer(call.send(&body[..]).map_err(away)?)
    }

    /// Makes a call that somebody signed for.
    pub(crate) fn act(&self, act: &Begun, statement: &str) -> Result<Value, Trouble> {
        let call = self.agent.post(format!("{}{}", self.url, act.target));
        let call = call
            .header("Content-Type", "application/json")
            .header(api::IDEMPOTENCY_KEY, &act.key)
            .header(api::ACTOR_STATEMENT, statement);
        answer(call.send(act.body.as_bytes()).map_err(away)?)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn away(error: ureq::Error) -> Trouble {
    Trouble::Away(error.to_string())
}

fn answer<T: DeserializeOwned>(
    mut response: ureq::http::Response<ureq::Body>,
) -> Result<T, Trouble> {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().map_err(away)?;
    let strange =
        || Trouble::Away(format!("an answer with status {status} that is not of this API"));
    if (200..300).contains(&status) {
        return serde_json::from_str(&text).map_err(|_| strange());
    }
    Err(serde_json::from_str(&text)
        .map_or_else(|_| strange(), |problem| Trouble::Refused(Box::new(problem))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, code: &str) -> Trouble {
        let value = serde_json::json!({
            "type": "urn:sigill:problem:x", "title": "x", "status": status, "code": code,
            "detail": "x", "correlation_id": "0", "time": "2026-11-23T00:00:00Z",
        });
        Trouble::Refused(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn only_what_may_come_to_something_is_repeated() {
        for (status, code, passes, statement) in [
            (503, "hsm-away", true, false),
            (429, "limit-hour", true, false),
            (409, "order-running", true, false),
            (409, "order-signing", true, false),
            (409, "order-stage", false, false),
            (401, "actor-statement-late", false, true),
            (403, "order-duties", false, false),
            (422, "routine-refused", false, false),
        ] {
            let trouble = problem(status, code);
            let found = (trouble.passes(), trouble.is_about_the_statement());
            assert_eq!(found, (passes, statement), "{status} {code}");
        }
        assert!(Trouble::Away("gone".to_owned()).passes());
    }
}
