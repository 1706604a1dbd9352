//! Why a push came to nothing for now, under a stable code.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ledger::checkpoint::CheckpointNoteError;
use thiserror::Error;

use crate::publication::crl_files::CrlFilesError;

/// Why a push came to nothing. The host has what it had; it is tried again.
#[derive(Debug, Error)]
pub(crate) enum PushError {
    #[error("host has a checkpoint that is not of this deployment's note key")]
    Foreign(#[source] CheckpointNoteError),
    #[error("host has a CRL manifest that is not of this deployment")]
    ForeignManifest(#[source] CrlFilesError),
    #[error("connection broke off")]
    Broken(#[source] hyper::Error),
    #[error("cannot read or write {path}")]
    Local {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("answer has {found} octets or more, at most {limit} are taken")]
    LongAnswer { found: u64, limit: u64 },
    #[error("log of the host could not be compared with the database, or does not fit it")]
    NotCompared(#[source] store::StoreError),
    #[error("host has a checkpoint of {found}, this program publishes {ours}")]
    OtherLog { found: String, ours: String },
    #[error("host refused {what}: status {status}, {line}")]
    Refused { what: String, status: u16, line: String },
    #[error("CRL of the host cannot be put into the publication folder")]
    OwnManifest(#[source] CrlFilesError),
    #[error("no answer within {limit:?}")]
    TimedOut { limit: Duration },
    #[error("answer is none of these calls: {what}")]
    Unexpected { what: &'static str },
    #[error("host cannot be reached")]
    Unreachable(#[source] io::Error),
    #[error("host did not prove one of its pinned keys, or did not take ours")]
    Untrusted(#[source] io::Error),
}

impl PushError {
    /// All codes: the counter of each begins at 0.
    pub(crate) const CODES: [&'static str; 8] = [
        "outer-host-broken",
        "outer-host-foreign",
        "outer-host-not-compared",
        "outer-host-refused",
        "outer-host-slow",
        "outer-host-unreachable",
        "outer-host-untrusted",
        "push-local-file",
    ];

    /// The stable code, by which operators find what to do (docs/operations/feed.md).
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Foreign(_) | Self::ForeignManifest(_) | Self::OtherLog { .. } => {
                "outer-host-foreign"
            }
            Self::Broken(_) | Self::Unexpected { .. } | Self::LongAnswer { .. } => {
                "outer-host-broken"
            }
            Self::NotCompared(_) => "outer-host-not-compared",
            Self::Local { .. } | Self::OwnManifest(_) => "push-local-file",
            Self::Refused { .. } => "outer-host-refused",
            Self::TimedOut { .. } => "outer-host-slow",
            Self::Unreachable(_) => "outer-host-unreachable",
            Self::Untrusted(_) => "outer-host-untrusted",
        }
    }

    pub(crate) fn local(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Local { path, source }
    }
}
