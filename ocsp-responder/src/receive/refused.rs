//! Why a file is not taken: code, HTTP status, what to do next.

use std::io;

use hyper::StatusCode;
use ledger::follow::AdvanceError;
use ledger::manifest::ManifestNoteError;
use thiserror::Error;

/// Why a call came to nothing. What was there before stands.
#[derive(Debug, Error)]
pub(crate) enum Refused {
    #[error("{path} has other bytes here, and a trusted checkpoint covers it")]
    Altered { path: String },
    #[error("checkpoint is not taken")]
    Checkpoint(#[source] AdvanceError),
    #[error("caller is of deployment {found:?}, this is {ours}")]
    Deployment { found: String, ours: String },
    #[error("checkpoint of {size} entries came before {path}")]
    Gap { path: String, size: u64 },
    #[error("{path} has {found} octets, at most {limit} are taken")]
    Length { path: String, found: u64, limit: u64 },
    #[error("length of the body is not told")]
    LengthUntold,
    #[error("CRL manifest is not taken")]
    Manifest(#[source] ManifestNoteError),
    #[error("CRL manifest is of {found}, this is {ours}")]
    OtherManifest { found: String, ours: String },
    #[error("{what} is no call that is answered here")]
    NoSuchCall { what: String },
    #[error("there is no {path}")]
    NotHere { path: String },
    #[error("name is no file of the publication tree or the outbox")]
    Path,
    #[error("{path} has SHA-256 {found}, the configuration pins {pinned}")]
    Pin { path: String, found: String, pinned: String },
    #[error(
        "with {path} the files that no checkpoint covers have {found} octets, at most {limit} are taken"
    )]
    Room { path: String, found: u64, limit: u64 },
    #[error("{path} cannot be read or written")]
    Storage {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path} has {found} octets, it must have {wanted}")]
    TileLength { path: String, found: u64, wanted: u64 },
    #[error("{path} did not arrive whole")]
    Torn { path: String },
}

impl Refused {
    /// The codes that mean tampering or a mistake, or that the disk is full.
    pub(crate) const ALARMS: [&'static str; 15] = [
        "authority-certificate-pin",
        "checkpoint-earlier",
        "checkpoint-frozen",
        "checkpoint-future",
        "checkpoint-not-authentic",
        "checkpoint-other-log",
        "deployment-mismatch",
        "log-forked",
        "log-rolled-back",
        "manifest-not-authentic",
        "path-refused",
        "published-file-altered",
        "storage",
        "tile-length",
        "unproven-files",
    ];

    /// Stable code, status, what to do next.
    const fn told(&self) -> (&'static str, StatusCode, &'static str) {
        const EVIDENCE: &str = "an alarm: keep both folders as evidence and see the inner zone";
        match self {
            Self::Altered { .. } => ("published-file-altered", StatusCode::CONFLICT, EVIDENCE),
            Self::Checkpoint(error) => {
                (follow_code(error), StatusCode::CONFLICT, "compare both zones' clocks and logs")
            }
            Self::Deployment { .. } => (
                "deployment-mismatch",
                StatusCode::FORBIDDEN,
                "push to the outer host of this deployment; both names are in the line",
            ),
            Self::Gap { .. } => ("log-gap", StatusCode::CONFLICT, "push the tiles first"),
            Self::Length { .. } => {
                ("file-too-long", StatusCode::PAYLOAD_TOO_LARGE, "push no such file")
            }
            Self::LengthUntold => {
                ("length-untold", StatusCode::LENGTH_REQUIRED, "send Content-Length")
            }
            Self::Manifest(_) => (
                "manifest-not-authentic",
                StatusCode::CONFLICT,
                "compare [log] manifest-key with the inner zone's",
            ),
            Self::OtherManifest { .. } => (
                "deployment-mismatch",
                StatusCode::CONFLICT,
                "push the manifest of this deployment; both names are in the line",
            ),
            Self::NoSuchCall { .. } => {
                ("no-such-call", StatusCode::NOT_FOUND, "docs/formats/feed.md lists the calls")
            }
            Self::NotHere { .. } => ("not-here", StatusCode::NOT_FOUND, "push it"),
            Self::Path => {
                ("path-refused", StatusCode::FORBIDDEN, "push files of the publication tree only")
            }
            Self::Pin { .. } => (
                "authority-certificate-pin",
                StatusCode::CONFLICT,
                "compare both hashes with the ceremony's",
            ),
            Self::Storage { .. } => (
                "storage",
                StatusCode::INSUFFICIENT_STORAGE,
                "make room on the outer host, or correct permissions; it is pushed again by itself",
            ),
            Self::TileLength { .. } => ("tile-length", StatusCode::CONFLICT, EVIDENCE),
            Self::Room { .. } => (
                "unproven-files",
                StatusCode::INSUFFICIENT_STORAGE,
                "see who pushes what; if the log is that large, raise [receive] most-unproven",
            ),
            Self::Torn { .. } => ("torn", StatusCode::BAD_REQUEST, "push it again"),
        }
    }

    pub(crate) const fn code(&self) -> &'static str {
        self.told().0
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.told().1
    }

    pub(crate) const fn next(&self) -> &'static str {
        self.told().2
    }

    /// Whether an operator must look: not what passes by itself or is a question only.
    pub(crate) const fn is_alarm(&self) -> bool {
        !matches!(
            self,
            Self::NotHere { .. } | Self::Torn { .. } | Self::Gap { .. } | Self::LengthUntold
        )
    }
}

/// The stable code of a checkpoint that is refused, the same for a pushed and a carried one.
pub(crate) const fn follow_code(error: &AdvanceError) -> &'static str {
    match error {
        AdvanceError::Note(_) => "checkpoint-not-authentic",
        AdvanceError::OtherLog { .. } => "checkpoint-other-log",
        AdvanceError::InFuture { .. } => "checkpoint-future",
        AdvanceError::Stale { .. } => "checkpoint-frozen",
        AdvanceError::Earlier { .. } => "checkpoint-earlier",
        AdvanceError::Smaller { .. } => "log-rolled-back",
        AdvanceError::Proof(_) => "log-gap",
        AdvanceError::Inconsistent { .. } => "log-forked",
    }
}
