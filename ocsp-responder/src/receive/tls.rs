//! Mutual TLS with pinned keys: no authority vouches for either side, and nothing expires at night.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    ServerConfig, SignatureScheme,
};
use thiserror::Error;
use x509::certificate::Certificate;
use x509::key::SpkiHash;

use super::settings::Receive;

/// Lets in who holds one of the pinned keys; what else its certificate says does not count.
#[derive(Debug)]
struct PinnedSenders {
    keys: Vec<SpkiHash>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for PinnedSenders {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificate =
            Certificate::from_der(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        let found = certificate.public_key().spki_hash();
        if self.keys.contains(&found) {
            return Ok(ClientCertVerified::assertion());
        }
        tracing::warn!(problem.code = "sender-unknown", key.spki_sha256 = %found,
            "somebody who is not in [receive] senders tried to push");
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The listener's TLS: version 1.3 only, since both ends are ours.
///
/// # Errors
///
/// [`TlsError`] names the file.
pub(crate) fn server_config(settings: &Receive) -> Result<ServerConfig, TlsError> {
    let Receive { certificate, key, senders, .. } = settings;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Pem { path: certificate.clone(), source })?;
    let facts =
        std::fs::metadata(key).map_err(|source| TlsError::Read { path: key.clone(), source })?;
    let mode = facts.mode() & 0o7777;
    if mode & 0o177 != 0 {
        return Err(TlsError::Mode { path: key.clone(), mode });
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| TlsError::Pem { path: key.clone(), source })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = PinnedSenders { keys: senders.clone(), provider: Arc::clone(&provider) };
    let unusable = |source| TlsError::Unusable { path: certificate.clone(), source };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Why the listener cannot speak TLS.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    #[error("{path:?} has mode {mode:04o}, at most 0600 is allowed for a private key")]
    Mode { path: PathBuf, mode: u32 },
    #[error("cannot read PEM from {path:?}")]
    Pem {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("cannot read {path:?}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use {path:?} for TLS")]
    Unusable {
        path: PathBuf,
        #[source]
        source: Error,
    },
}
