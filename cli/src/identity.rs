//! Who we are: the client's certificate and key, and the management CA, read and compared before
//! anything is sent.
//!
//! The TLS library takes what it is given and fails later, without the name of a file.

use std::path::{Path, PathBuf};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};
use thiserror::Error as ThisError;
use ureq::tls::{Certificate, ClientCert, PrivateKey};

/// The files of a connection, by the options that name them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files<'a> {
    /// `--cert`.
    pub(crate) cert: &'a Path,
    /// `--key`.
    pub(crate) key: &'a Path,
    /// `--ca`.
    pub(crate) ca: &'a Path,
}

/// What they hold.
pub(crate) struct Identity {
    pub(crate) client: ClientCert,
    pub(crate) root: Certificate<'static>,
}

impl Identity {
    /// Reads the three files; the key must be that of the certificate.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] names the option and its file.
    pub(crate) fn read(files: Files<'_>, provider: &CryptoProvider) -> Result<Self, IdentityError> {
        let certificate = certificate("--cert", files.cert)?;
        let root = certificate_of_authority(files.ca)?;
        let text = read("--key", files.key)?;
        let malformed = || IdentityError::Form {
            option: "--key",
            path: files.key.to_owned(),
            wanted: "an unencrypted private key",
        };
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| malformed())?;
        let signing = provider.key_provider.load_private_key(key).map_err(|_| malformed())?;
        match CertifiedKey::new(vec![certificate.clone()], signing).keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                return Err(IdentityError::Pair {
                    cert: files.cert.to_owned(),
                    key: files.key.to_owned(),
                });
            }
            Err(_) => return Err(no_certificate("--cert", files.cert)),
        }
        let key = PrivateKey::from_pem(&text).map_err(|_| malformed())?;
        let certificate = Certificate::from_der(&certificate).to_owned();
        Ok(Self { client: ClientCert::new_with_certs(&[certificate], key), root })
    }
}

/// The API and the client that the certificate of `--cert` names, as statements of administrators name them: by its SAN URI
/// `urn:sigill:<environment>:<pki>:<instance>:client:<name>`.
///
/// # Errors
///
/// [`IdentityError`]: no certificate, or one without such a URI.
pub(crate) fn names(path: &Path) -> Result<(String, String), IdentityError> {
    let der = certificate("--cert", path)?;
    let read = x509::certificate::Certificate::from_der(&der).ok();
    let named = read.and_then(|certificate| {
        let names = certificate.subject_alt_names();
        let uri = names.iter().find_map(|name| name.uri())?;
        let (deployment, client) = uri.split_once(":client:")?;
        deployment
            .starts_with("urn:sigill:")
            .then(|| (format!("{deployment}:api"), client.to_owned()))
    });
    named.ok_or_else(|| IdentityError::Nameless { path: path.to_owned() })
}

/// The certificate of the management CA, as the TLS library will take it.
fn certificate_of_authority(path: &Path) -> Result<Certificate<'static>, IdentityError> {
    let der = certificate("--ca", path)?;
    RootCertStore::empty().add(der.clone()).map_err(|_| no_certificate("--ca", path))?;
    Ok(Certificate::from_der(&der).to_owned())
}

/// The first certificate of a file.
fn certificate(
    option: &'static str,
    path: &Path,
) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(&read(option, path)?).map_err(|_| no_certificate(option, path))
}

fn no_certificate(option: &'static str, path: &Path) -> IdentityError {
    IdentityError::Form { option, path: path.to_owned(), wanted: "a certificate" }
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, IdentityError> {
    std::fs::read(path).map_err(|source| IdentityError::Read {
        option,
        path: path.to_owned(),
        source,
    })
}

/// Why the files of a connection are refused.
#[derive(Debug, ThisError)]
pub(crate) enum IdentityError {
    /// The same of an administrator's.
    #[error("--actor-key does not belong to --actor-cert: {} is not the key of {}", key.display(), cert.display())]
    ActorPair { cert: PathBuf, key: PathBuf },
    /// A certificate that names no client of a deployment.
    #[error("--cert {} names no client of a deployment: --actor-cert and --actor-key need one", path.display())]
    Nameless { path: PathBuf },
    /// Not the PEM that the option wants.
    #[error("{option} {} does not hold {wanted} in PEM", path.display())]
    Form { option: &'static str, path: PathBuf, wanted: &'static str },
    /// Two files of different pairs.
    #[error("--key does not belong to --cert: {} is not the key of {}", key.display(), cert.display())]
    Pair { cert: PathBuf, key: PathBuf },
    /// A file that is not there, or not for us.
    #[error("cannot read {option} {}", path.display())]
    Read {
        option: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}
