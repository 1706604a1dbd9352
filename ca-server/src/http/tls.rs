//! The accept loop: mutual TLS with the management CA's clients only, bounded in time and number.
//!
//! TLS 1.3, with 1.2 as the floor (API-01). The server's certificate can be exchanged while the
//! program runs. A connection that does not finish its handshake or its request headers in time is
//! dropped; [`super::doors`] says who gets a place.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use ca::deployment::{Deployment, DeploymentError, ManagementRole};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use x509::certificate::{Certificate, CertificateError};
use x509::extension::GeneralName;

use super::doors::{Doors, Handshake};
use super::peer::PeerCertificate;
use crate::config::ApiSection;

/// A client that has not finished its handshake by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that has not sent its request headers by then is dropped.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long running requests have after the stop.
const STOPPING: Duration = Duration::from_secs(20);
/// Wait after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The server certificate in use; it can be exchanged while connections run.
#[derive(Debug)]
pub(crate) struct ServerIdentity {
    deployment: Deployment,
    current: RwLock<Credential>,
}

/// A certificate with its key, and the same certificate to be looked at.
#[derive(Clone, Debug)]
struct Credential {
    certified: Arc<CertifiedKey>,
    certificate: Arc<Certificate>,
}

impl ServerIdentity {
    /// Loads certificate chain and key from PEM files. The certificate must name a server of
    /// `deployment`, and the key's file must be its owner's alone.
    pub(crate) fn load(
        deployment: Deployment,
        certificate: &Path,
        key: &Path,
    ) -> Result<Self, TlsError> {
        let current = credential(deployment, certificate, key)?;
        Ok(Self { deployment, current: RwLock::new(current) })
    }

    /// The certificate in use.
    pub(crate) fn certificate(&self) -> Arc<Certificate> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current.certificate)
    }

    /// Takes another certificate and key for the connections to come.
    pub(crate) fn exchange(&self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        let next = credential(self.deployment, certificate, key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

impl ResolvesServerCert for ServerIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.read().ok().map(|current| Arc::clone(&current.certified))
    }
}

fn credential(
    deployment: Deployment,
    certificate: &Path,
    key: &Path,
) -> Result<Credential, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Pem { path: certificate.to_path_buf(), source })?;
    let leaf = must_be_of(deployment, certificate, chain.first())?;
    must_be_private(key)?;
    let key_der = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| TlsError::Pem { path: key.to_path_buf(), source })?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(chain, key_der, &provider)
        .map_err(|source| TlsError::Rustls { path: key.to_path_buf(), source })?;
    Ok(Credential { certified: Arc::new(certified), certificate: Arc::new(leaf) })
}

/// Refuses a server certificate that names no server of this deployment (architecture §2.6).
fn must_be_of(
    deployment: Deployment,
    path: &Path,
    certificate: Option<&CertificateDer<'_>>,
) -> Result<Certificate, TlsError> {
    let unnamed = || TlsError::Unnamed { path: path.to_path_buf() };
    let certificate = Certificate::from_der(certificate.ok_or_else(unnamed)?)
        .map_err(|source| TlsError::Certificate { path: path.to_path_buf(), source })?;
    let uri = certificate
        .subject_alt_names()
        .iter()
        .find_map(|name| match name {
            GeneralName::Uri(uri) => Some(uri.as_str().to_owned()),
            _ => None,
        })
        .ok_or_else(unnamed)?;
    deployment
        .management_name(ManagementRole::Server, &uri)
        .map(|_| certificate)
        .map_err(|source| TlsError::Deployment { path: path.to_path_buf(), source })
}

/// Refuses a private key that others can read.
pub(crate) fn must_be_private(path: &Path) -> Result<(), TlsError> {
    let facts = std::fs::metadata(path)
        .map_err(|source| TlsError::Read { path: path.to_path_buf(), source })?;
    let found = facts.mode() & 0o7777;
    if found & 0o177 == 0 {
        return Ok(());
    }
    Err(TlsError::Mode { path: path.to_path_buf(), found })
}

/// Reads the management CA's certificate, which must be the pinned one.
pub(crate) fn management_ca(api: &ApiSection) -> Result<Certificate, TlsError> {
    let path = || api.management_ca.clone();
    let der = CertificateDer::from_pem_file(&api.management_ca)
        .map_err(|source| TlsError::Pem { path: path(), source })?;
    let found = base16ct::lower::encode_string(&Sha256::digest(&der));
    if found != api.management_ca_sha256 {
        let pinned = api.management_ca_sha256.clone();
        return Err(TlsError::Pin { path: path(), found, pinned });
    }
    Certificate::from_der(&der)
        .map_err(|source| TlsError::ManagementCa { path: path(), source: source.into() })
}

/// Makes the TLS configuration that lets in clients of the pinned management CA only.
pub(crate) fn server_config(
    identity: Arc<ServerIdentity>,
    api: &ApiSection,
) -> Result<ServerConfig, TlsError> {
    let path = || api.management_ca.clone();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(management_ca(api)?.as_der()))
        .map_err(|source| TlsError::ManagementCa { path: path(), source: source.into() })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|source| TlsError::ManagementCa { path: path(), source: source.into() })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|source| TlsError::Rustls { path: path(), source })?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves `router` over mutual TLS until `stop` turns true; then lets running requests finish.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    max_connections: usize,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let doors = Arc::new(Doors::new(max_connections));
    loop {
        // Accepting waits for nothing: who finds no place is told by a closed connection.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let Ok(handshake) = doors.knock(address.ip(), Instant::now()) else { continue };
        let (acceptor, router, stop) = (acceptor.clone(), router.clone(), stop.clone());
        tokio::spawn(async move {
            let ended = connection(stream, address, handshake, acceptor, router, stop).await;
            if let Err(error) = ended {
                tracing::debug!(peer.address = %address, error = %error, "connection ended");
            }
        });
    }
    // Running requests end by themselves: their own deadlines are shorter than this.
    let drained = tokio::time::timeout(STOPPING, doors.empty(max_connections)).await;
    if drained.is_err() {
        tracing::warn!("connections were still open 20 s after the stop; closing them");
    }
}

async fn connection(
    stream: tokio::net::TcpStream,
    address: SocketAddr,
    mut handshake: Handshake,
    acceptor: TlsAcceptor,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let tls = tokio::select! {
        tls = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => tls.map_err(
            |_| io::Error::new(io::ErrorKind::TimedOut, "TLS handshake took over 10 s"),
        )??,
        _ = &mut handshake.stays => return Err(io::Error::other("handshake gave way to another")),
        _ = stop.changed() => return Ok(()),
    };
    let certificate = tls
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(|certificate| PeerCertificate::from_der(certificate))
        .ok_or_else(|| io::Error::other("client sent no certificate"))?;
    // Whose share of the places it takes. Who may call what is judged later, call by call.
    let place = handshake
        .enter(certificate.uri().unwrap_or_default())
        .map_err(|why| io::Error::other(format!("closed after its handshake: {why:?}")))?;
    let router = router.layer(axum::Extension(certificate)).layer(axum::Extension(address));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(64 * 1024);
    let served = builder.serve_connection(TokioIo::new(tls), TowerToHyperService::new(router));
    tokio::pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        _ = stop.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    drop(place);
    result.map_err(io::Error::other)
}

/// Why TLS could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum TlsError {
    /// Not a certificate in strict DER.
    #[error("cannot use {path} as server certificate")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CertificateError,
    },
    /// Of another deployment, or no server's.
    #[error("cannot use {path} as server certificate")]
    Deployment {
        /// The file.
        path: PathBuf,
        /// Both names.
        #[source]
        source: DeploymentError,
    },
    /// Others can read the key.
    #[error("{path} has mode {found:04o}, at most 0600 is allowed for a private key")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        found: u32,
    },
    /// Not there, or not readable.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No certificate, or one without a SAN URI.
    #[error("{path} names no server: a SAN URI urn:sigill:…:server:<name> is wanted")]
    Unnamed {
        /// The file.
        path: PathBuf,
    },
    /// Another certificate than the configuration pins.
    #[error("{path} has SHA-256 {found}, the configuration pins {pinned}")]
    Pin {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The pinned hash.
        pinned: String,
    },
    /// Not readable, or not the PEM that was expected.
    #[error("cannot read PEM from {path}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not fit, or are of a kind that TLS cannot use.
    #[error("cannot use {path} for TLS")]
    Rustls {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The management CA cannot be a trust anchor.
    #[error("cannot trust clients of {path}")]
    ManagementCa {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}
