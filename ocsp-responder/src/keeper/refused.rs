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

pub(super) fn io_error(path: &Path, source: io::Error) -> KeeperError {
    KeeperError::Io { path: path.to_owned(), source }
}
