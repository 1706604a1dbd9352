//! A register behind a program of the operator: one question and one answer over mutual TLS, keys pinned (docs/formats/register-answer.md).
//!
//! The program speaks HSA's or the personal-data service's own protocol on its other side. This side opens the connection; the question goes in a
//! body, so that no log of addresses names anybody.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::deployment::Deployment;
use ca::register::{Answer, Question};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509::key::SpkiHash;
use x509::time::UnixTime;

use super::{AskFault, Register};
use crate::publication::chain;
use crate::push::tls::client_config;
use crate::start::Told;

/// The format of a question.
const QUESTION: &str = "sigill/register-question/1";
/// Octets of an answer, at most.
const LONGEST_ANSWER: usize = 64 * 1024;

/// `[register.<name>.http]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct HttpSection {
    /// Host and port.
    address: String,
    /// The path that questions are posted to.
    path: String,
    /// SHA-256 of the SubjectPublicKeyInfo of its certificate; two while it changes its key.
    keys: Vec<String>,
    /// Certificate that says who asks, PEM.
    certificate: PathBuf,
    /// Its private key, PKCS#8 PEM, mode 0600.
    key: PathBuf,
}

impl HttpSection {
    #[cfg(test)]
    pub(super) fn new(
        address: String,
        path: &str,
        keys: Vec<String>,
        certificate: PathBuf,
        key: PathBuf,
    ) -> Self {
        Self { address, path: path.to_owned(), keys, certificate, key }
    }

    pub(super) fn paths(&mut self) -> [&mut PathBuf; 2] {
        [&mut self.certificate, &mut self.key]
    }
}

/// Where questions go.
pub(super) struct HttpRegister {
    address: String,
    name: ServerName<'static>,
    path: String,
    tls: Arc<ClientConfig>,
    deployment: String,
}

impl HttpRegister {
    /// Reads keys and certificate; nothing is connected to.
    pub(super) fn new(section: &HttpSection, deployment: Deployment) -> anyhow::Result<Self> {
        let HttpSection { address, path, keys, certificate, key } = section;
        let host = address.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let host = host.map(|(host, _)| host.trim_matches(['[', ']']).to_owned());
        let wanted = || Told::config(format!("address = {address:?}, wanted host:port"));
        let name = ServerName::try_from(host.with_context(wanted)?).with_context(wanted)?;
        let plain = path.starts_with('/') && path.bytes().all(|octet| octet.is_ascii_graphic());
        ensure!(
            plain,
            Told::config(format!("path = {path:?}, wanted a path such as /v1/employment"))
        );
        ensure!(
            (1..=4).contains(&keys.len()),
            Told::config(format!("{} keys, wanted 1 to 4", keys.len()))
        );
        let pins: Result<Vec<SpkiHash>, Told> = keys
            .iter()
            .map(|text| {
                text.parse().map_err(|_| Told::config(format!("key {text:?} is no SHA-256")))
            })
            .collect();
        Ok(Self {
            address: address.clone(),
            name,
            path: path.clone(),
            tls: client_config(certificate, key, pins?)?,
            deployment: deployment.to_string(),
        })
    }

    async fn asked(&self, question: &Question) -> Result<Vec<u8>, AskFault> {
        let unavailable = |what: &str, error: &(dyn std::error::Error + 'static)| {
            AskFault::Unavailable(format!("{}: {what}: {}", self.address, chain(error)))
        };
        let stream = TcpStream::connect(&self.address).await;
        let stream = stream.map_err(|error| unavailable("cannot be reached", &error))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(self.name.clone(), stream).await;
        let stream = stream.map_err(|error| unavailable("is not believed", &error))?;
        let (mut sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unavailable("breaks off", &error))?;
        tokio::spawn(connection);
        let body = json!({
            "format": QUESTION,
            "register": question.register().name(),
            "key": question.key(),
        });
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.path)
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/json")
            .header("sigill-deployment", &self.deployment)
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| unavailable("is asked what cannot be written", &error))?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| unavailable("breaks off", &error))?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(AskFault::Unavailable(format!("{}: status {status}", self.address)));
        }
        let mut body = response.into_body();
        let mut octets = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unavailable("breaks off", &error))?;
            if let Ok(data) = frame.into_data() {
                octets.extend_from_slice(&data);
            }
            if octets.len() > LONGEST_ANSWER {
                let why = format!("{}: an answer of more than 64 KiB", self.address);
                return Err(AskFault::Malformed(why));
            }
        }
        Ok(octets)
    }
}

impl Register for HttpRegister {
    fn answer(
        &self,
        question: &Question,
        within: Duration,
        _: UnixTime,
    ) -> Result<Answer, AskFault> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| AskFault::Unavailable(chain(&error)))?;
        // Whoever asked has gone by then; the place among the questions is free again.
        let limit = within.saturating_add(Duration::from_secs(1));
        let asked =
            runtime.block_on(async { tokio::time::timeout(limit, self.asked(question)).await });
        let octets = asked
            .map_err(|_| AskFault::Unavailable(format!("{}: no answer in time", self.address)))??;
        Answer::parse(&octets, question)
            .map_err(|error| AskFault::Malformed(format!("{}: {error}", self.address)))
    }
}
