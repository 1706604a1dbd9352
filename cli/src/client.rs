//! The connection to the API: mutual TLS, JSON, problems.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::actor::{About, Actor, target};
use crate::identity::{Files, Identity, IdentityError, names};

/// Longest wait for an answer: an issuance may wait for its token and its publication.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Behind a command's own options: none of these is about what is ordered.
const HEADING: &str = "Connection";

/// Where the API is and who we are. `.sigill/env` of the quickstart sets all four.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connection {
    /// URL of the API.
    #[arg(long, global = true, env = "SIGILL_API_URL", value_name = "URL", help_heading = HEADING)]
    url: Option<String>,
    /// Certificate of the API client, PEM.
    #[arg(long, global = true, env = "SIGILL_PORTAL_CERT", value_name = "FILE", help_heading = HEADING)]
    cert: Option<PathBuf>,
    /// Private key of the API client's certificate (--cert), PEM.
    #[arg(long, global = true, env = "SIGILL_PORTAL_KEY", value_name = "FILE", help_heading = HEADING)]
    key: Option<PathBuf>,
    /// Certificate of the management CA that the server must come with, PEM.
    #[arg(long, global = true, env = "SIGILL_MANAGEMENT_CA", value_name = "FILE", help_heading = HEADING)]
    ca: Option<PathBuf>,
    /// Certificate of the eID of the administrator who acts, PEM: each call is signed for.
    #[arg(long, global = true, env = "SIGILL_ACTOR_CERT", value_name = "FILE", help_heading = HEADING)]
    actor_cert: Option<PathBuf>,
    /// Private key of that eID (--actor-cert), PKCS#8 in PEM.
    #[arg(long, global = true, env = "SIGILL_ACTOR_KEY", value_name = "FILE", help_heading = HEADING)]
    actor_key: Option<PathBuf>,
    /// The role in which the administrator acts (`sigill roles`); once more for confidentiality. Without one he acts as a holder.
    #[arg(long, global = true, env = "SIGILL_ACTOR_ROLE", value_delimiter = ',', value_name = "ROLE", help_heading = HEADING)]
    actor_role: Vec<String>,
    /// Id of the organisation that the role is on, of roles that are on one.
    #[arg(long, global = true, env = "SIGILL_ACTOR_ORGANISATION", value_name = "ID", help_heading = HEADING)]
    actor_organisation: Option<String>,
    /// Names another person's approval of this call, which is then done (docs/operations/four-eyes.md).
    #[arg(long, global = true, value_name = "ID", conflicts_with = "ask_approval", help_heading = HEADING)]
    approval: Option<String>,
    /// Do nothing yet: ask another person to approve the call that this would be, and say why.
    #[arg(long, global = true, value_name = "WHY", help_heading = HEADING)]
    ask_approval: Option<String>,
}

impl Connection {
    /// The files of this client's certificate and key.
    pub(crate) fn pair(&self) -> Result<(&Path, &Path), ClientError> {
        let certificate = self.cert.as_deref().ok_or(ClientError::Missing { what: "--cert" })?;
        let key = self.key.as_deref().ok_or(ClientError::Missing { what: "--key" })?;
        Ok((certificate, key))
    }

    /// The administrator who signs for the calls; `None` where none is named.
    pub(crate) fn actor(&self) -> Result<Option<Actor>, ClientError> {
        match (&self.actor_cert, &self.actor_key) {
            (Some(certificate), Some(key)) => {
                let actor = Actor::read(certificate, key)?;
                Ok(Some(actor.acting_as(&self.actor_role, self.actor_organisation.as_deref())))
            }
            (None, None) => Ok(None),
            // Of environment variables, which clap does not hold against each other.
            (Some(_), None) => Err(ClientError::Missing { what: "--actor-key" }),
            (None, Some(_)) => Err(ClientError::Missing { what: "--actor-cert" }),
        }
    }

    /// The API and the client that the client certificate names, as statements name them.
    pub(crate) fn names(&self) -> Result<(String, String), ClientError> {
        Ok(names(named(self.cert.as_deref(), "--cert")?)?)
    }

    /// The same API with another certificate and key.
    pub(crate) fn with_pair(&self, certificate: &Path, key: &Path) -> Self {
        Self { cert: Some(certificate.to_path_buf()), key: Some(key.to_path_buf()), ..self.clone() }
    }
}

/// A client of one API.
pub(crate) struct Client {
    agent: Agent,
    url: String,
    acting: Option<Acting>,
    approval: Option<String>,
    ask_approval: Option<String>,
}

/// Where approvals are asked for and decided.
pub(crate) const APPROVALS: &str = "/v1/approvals";

/// Who signs for the calls, and what his statements name.
struct Acting {
    actor: Actor,
    audience: String,
    client: String,
}

impl Client {
    /// Reads the credentials; connects at the first call.
    pub(crate) fn connect(connection: &Connection) -> Result<Self, ClientError> {
        let url = connection.url.as_deref().ok_or(ClientError::Missing { what: "--url" })?;
        if !url.starts_with("https://") {
            return Err(ClientError::Url { found: url.to_owned() });
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let files = Files {
            cert: named(connection.cert.as_deref(), "--cert")?,
            key: named(connection.key.as_deref(), "--key")?,
            ca: named(connection.ca.as_deref(), "--ca")?,
        };
        let identity = Identity::read(files, &provider)?;
        let tls = TlsConfig::builder()
            .client_cert(Some(identity.client))
            .root_certs(RootCerts::Specific(Arc::new(vec![identity.root])))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .https_only(true)
            .build()
            .new_agent();
        let acting = match connection.actor()? {
            Some(actor) => {
                let (audience, client) = connection.names()?;
                Some(Acting { actor, audience, client })
            }
            None => None,
        };
        Ok(Self {
            agent,
            url: url.trim_end_matches('/').to_owned(),
            acting,
            approval: connection.approval.clone(),
            ask_approval: connection.ask_approval.clone(),
        })
    }

    /// The statement about a call, where somebody signs.
    fn statement(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        idempotency_key: Option<&str>,
    ) -> Result<Option<String>, ClientError> {
        let Some(Acting { actor, audience, client }) = &self.acting else { return Ok(None) };
        actor.statement(About { audience, client, method, target, body, idempotency_key }).map(Some)
    }

    /// Asks for `path`, which begins with a slash; `query` is encoded here.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        let target = target(path, query);
        let mut call = self.agent.get(format!("{}{target}", self.url));
        if let Some(statement) = self.statement("GET", &target, &[], None)? {
            call = call.header(api::ACTOR_STATEMENT, statement);
        }
        let mut response = call.call().map_err(|source| self.unreachable(source))?;
        let status = response.status().as_u16();
        answer(status, &mut response)
    }

    /// Sends `body` to `path` under an idempotency key.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        match &self.ask_approval {
            Some(why) if !path.starts_with(APPROVALS) => {
                let request = api::ApprovalRequest {
                    method: "POST".to_owned(),
                    path: path.to_owned(),
                    // A body of the API's types is JSON, and JSON is text.
                    body: serde_json::to_string(body).unwrap_or_default(),
                    why: why.clone(),
                };
                let asked: api::Approval = self.send(APPROVALS, Some(key), &request)?;
                Err(ClientError::Asked(Box::new(asked)))
            }
            _ => self.send(path, Some(key), body),
        }
    }

    /// Asks `path` a question with a body, which changes nothing and so has no idempotency key.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.send(path, None, body)
    }

    fn send<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        // A body of the API's types is JSON.
        let body = serde_json::to_vec(body).unwrap_or_default();
        let mut call = self.agent.post(format!("{}{path}", self.url));
        call = call.header("Content-Type", "application/json");
        if let Some(key) = key {
            call = call.header(api::IDEMPOTENCY_KEY, key);
        }
        if let Some(approval) = self.approval.as_ref().filter(|_| key.is_some()) {
            call = call.header(api::APPROVAL, approval);
        }
        if let Some(statement) = self.statement("POST", path, &body, key)? {
            call = call.header(api::ACTOR_STATEMENT, statement);
        }
        let mut response = call.send(&body[..]).map_err(|source| self.unreachable(source))?;
        let status = response.status().as_u16();
        answer(status, &mut response)
    }

    fn unreachable(&self, source: ureq::Error) -> ClientError {
        ClientError::Unreachable { url: self.url.clone(), source: Box::new(source) }
    }
}

fn answer<T: DeserializeOwned>(
    status: u16,
    response: &mut ureq::http::Response<ureq::Body>,
) -> Result<T, ClientError> {
    let text = response
        .body_mut()
        .read_to_string()
        .map_err(|source| ClientError::Broken { source: Box::new(source) })?;
    if (200..300).contains(&status) {
        return serde_json::from_str(&text)
            .map_err(|source| ClientError::Answer { status, source });
    }
    match serde_json::from_str::<api::Problem>(&text) {
        Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
        Err(source) => Err(ClientError::Answer { status, source }),
    }
}

fn named<'a>(path: Option<&'a Path>, what: &'static str) -> Result<&'a Path, ClientError> {
    path.ok_or(ClientError::Missing { what })
}

/// Why a call came to nothing.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// Nothing was done: another person was asked to approve it.
    #[error("{} waits for another person's approval", .0.id)]
    Asked(Box<api::Approval>),
    /// An answer that is not of this API.
    #[error("answer with status {status} is not of this API")]
    Answer {
        status: u16,
        #[source]
        source: serde_json::Error,
    },
    /// The answer broke off.
    #[error("answer broke off")]
    Broken {
        #[source]
        source: Box<ureq::Error>,
    },
    /// Settings that break the freshness contract, or a contract that none satisfies.
    #[error("refused under the contract {}", path.display())]
    Contract {
        path: PathBuf,
        #[source]
        source: Box<status::freshness::Refused>,
    },
    /// A file that an option names.
    #[error("cannot read {path}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The files that say who we are.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A file that was to be judged and cannot be read as what it should be.
    #[error("cannot read {}", path.display())]
    Input {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A new key.
    #[error("cannot make a key: {why}")]
    Key { why: String },
    /// An option that is needed.
    #[error("{what} is missing; give it, or source the env file of the deployment")]
    Missing { what: &'static str },
    /// Randomness for an idempotency key.
    #[error("no random numbers for an idempotency key")]
    Random,
    /// The CA refused.
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(Box<api::Problem>),
    /// Lines of a list that the CA refused, each told of with its code.
    #[error(
        "{refused} of {all} lines were refused: correct them and run it again; the others are told, and not done twice"
    )]
    RefusedLines { refused: usize, all: usize },
    /// No sample of a profile.
    #[error("{} has no such sample", path.display())]
    Sample {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody answers, or not with the management CA's certificate.
    #[error("cannot reach {url}")]
    Unreachable {
        url: String,
        #[source]
        source: Box<ureq::Error>,
    },
    /// Only HTTPS.
    #[error("--url is {found}; the API is https://")]
    Url { found: String },
    /// A file that cannot be written.
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A value on the command line.
    #[error("{what} is {found}; allowed: {limit}")]
    Value { what: &'static str, found: String, limit: &'static str },
}

impl ClientError {
    /// 2 for what the command line got wrong, 1 for everything that was refused or failed.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { .. }
            | Self::Identity(_)
            | Self::Input { .. }
            | Self::Url { .. }
            | Self::Value { .. } => 2,
            _ => 1,
        }
    }
}
