//! Why a CA could not be looked after.

use std::io;
use std::path::{Path, PathBuf};

use hsm::request::SignRequestError;
use hsm::{GenerateError, SignError};
use thiserror::Error;
use x509::certificate::CertificateError;
use x509::key::SpkiHash;

use crate::delegate::DelegateError;
use crate::memory_keys::MemoryKeysError;
use crate::signer::CountError;

/// Why a CA could not be looked after.
#[derive(Debug, Error)]
pub(crate) enum KeeperError {
    #[error("{path:?} is no certificate")]
    Certificate {
        path: PathBuf,
        #[source]
        source: CertificateError,
    },
    #[error("signature counter failed")]
    Count(#[from] CountError),
    #[error("{path:?} is refused")]
    Delegate {
        path: PathBuf,
        #[source]
        source: DelegateError,
    },
    #[error("delegate key could not be made or ended")]
    Generate(#[from] GenerateError),
    #[error("identity key {identity} is not in the token")]
    Identity { identity: SpkiHash },
    #[error("{path:?} failed")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("keys in process memory failed")]
    Memory(#[from] MemoryKeysError),
    #[error("request could not be signed")]
    Request(#[from] SignRequestError),
    #[error("subject of the request cannot be written")]
    Subject,
    #[error("token failed")]
    Token(#[from] SignError),
}

impl KeeperError {
    /// Whether a certificate file is refused for its bytes alone, so that it is refused as long as it stays the same. A disk, a
    /// counter, a clock and a configuration can be mended, and the CA does not write the same certificate again.
    pub(super) const fn lies_in_the_bytes(&self) -> bool {
        matches!(self, Self::Certificate { .. })
    }
}

pub(super) fn io_error(path: &Path, source: io::Error) -> KeeperError {
    KeeperError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A delegate that a full disk or a wrong clock kept out is taken up once that is mended, without a restart.
    #[test]
    fn only_bytes_that_are_no_certificate_are_given_up() {
        let path = PathBuf::from("responder/person3/1.cer");
        let expired = DelegateError::Rule("it has expired");
        for (error, given_up) in [
            (io_error(&path, io::ErrorKind::StorageFull.into()), false),
            (KeeperError::Delegate { path: path.clone(), source: expired }, false),
            (
                KeeperError::Certificate {
                    path: path.clone(),
                    source: x509::certificate::Certificate::from_der(&[]).unwrap_err(),
                },
                true,
            ),
        ] {
            assert_eq!(error.lies_in_the_bytes(), given_up, "{error}");
        }
    }
}
