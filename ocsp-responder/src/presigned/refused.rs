//! Why a file of answers is not believed.

use std::io;

use status::presigned::PresignedError;
use thiserror::Error;
use x509::key::KeyError;
use x509::serial::SerialNumber;

use crate::delegate::DelegateError;

/// What was refused; the file that was believed before is answered from on.
#[derive(Debug, Error)]
pub(crate) enum StockError {
    #[error("{path} is generation {generation}, a time of the future: now it is {now}")]
    Ahead { path: String, generation: u64, now: u64 },
    #[error("{path} is the same generation as the file that is believed, and has other bytes")]
    Altered { path: String },
    #[error("{path} ends, and would take the place of answers that stand for ever")]
    Ended { path: String },
    #[error("{path} is of another CA or another wave")]
    Foreign { path: String },
    #[error(
        "{path} rests on a checkpoint of the future, or was made then: {checkpoint}, now it is {now}"
    )]
    Future { path: String, checkpoint: u64, now: u64 },
    #[error("{path} cannot be read or kept")]
    Io {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path} lacks serial {serial}, which the log and the file that is believed have")]
    Lacking { path: String, serial: SerialNumber },
    #[error("{path} was believed, and is gone, damaged or cannot be read")]
    Lost { path: String },
    #[error("{path} is no file of answers")]
    Malformed {
        path: String,
        #[source]
        source: PresignedError,
    },
    #[error("{path} is generation {found}, believed is {believed}")]
    RolledBack { path: String, found: u64, believed: u64 },
    #[error("{path}: the answer for serial {serial} does not verify")]
    Signature {
        path: String,
        serial: SerialNumber,
        #[source]
        source: KeyError,
    },
    #[error("{path}: a signer is no delegate of the CA")]
    Signer {
        path: String,
        #[source]
        source: Box<DelegateError>,
    },
    #[error("{path} holds only answers that have ended")]
    Stale { path: String },
    #[error(
        "{path} says for ever what may still change: serial {serial} had not ended by the log of this host"
    )]
    Unended { path: String, serial: SerialNumber },
}

impl StockError {
    /// All codes.
    pub(crate) const ALARMS: [&'static str; 12] = [
        "presigned-altered",
        "presigned-corrupt",
        "presigned-foreign",
        "presigned-future",
        "presigned-lacking",
        "presigned-lost",
        "presigned-rolled-back",
        "presigned-signature",
        "presigned-signer",
        "presigned-stale",
        "presigned-unended",
        "presigned-unreadable",
    ];

    /// The stable code, by which operators find what to do (docs/operations/presigned.md).
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Altered { .. } => "presigned-altered",
            Self::Foreign { .. } => "presigned-foreign",
            Self::Ahead { .. } | Self::Future { .. } => "presigned-future",
            Self::Io { .. } => "presigned-unreadable",
            Self::Lacking { .. } => "presigned-lacking",
            Self::Lost { .. } => "presigned-lost",
            Self::Malformed { .. } => "presigned-corrupt",
            Self::Ended { .. } | Self::RolledBack { .. } => "presigned-rolled-back",
            Self::Signature { .. } => "presigned-signature",
            Self::Signer { .. } => "presigned-signer",
            Self::Stale { .. } => "presigned-stale",
            Self::Unended { .. } => "presigned-unended",
        }
    }

    /// Whether the same file may be believed at another moment.
    pub(crate) const fn passes(&self) -> bool {
        matches!(
            self,
            Self::Ahead { .. } | Self::Future { .. } | Self::Io { .. } | Self::Unended { .. }
        )
    }
}
