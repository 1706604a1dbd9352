//! Jobs: revoking many certificates at once, as one decision (REV-09, REV-11).
//!
//! A job is planned, its certificates are selected and counted, and the selection is frozen under a hash. Whoever starts
//! it gives that hash; past what one client may revoke alone, another client approves the same hash. Then it runs in
//! waves. This module says what may follow what, and what the hash covers; the bytes stand in
//! docs/formats/revocation-job.md.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use status::{IssuerId, RevocationReason};
use thiserror::Error;
use x509::serial::SerialNumber;

use crate::deployment::Deployment;

/// Certificates of a wave at most; a plan says how many it takes.
pub const WAVE_LIMIT: u32 = 1_000_000;
/// The longest pause between waves.
pub const PAUSE_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// What the hash begins with.
const MAGIC: &[u8] = b"sigill-job/1\0";
/// Octets of a serial number: a length and at most 20, zeros behind them.
const SERIAL_OCTETS: usize = 21;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Planned; lists may be added.
    Draft,
    /// Its certificates are being looked for.
    Selecting,
    /// Selected, frozen and counted; nothing has been revoked.
    Forecast,
    /// Started by its client; another one has to approve.
    Waiting,
    /// Revokes.
    Running,
    /// An operator has stopped it for now.
    Paused,
    /// It revokes nothing more.
    Cancelled,
    /// Every certificate of the selection is revoked.
    Done,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Draft,
        Self::Selecting,
        Self::Forecast,
        Self::Waiting,
        Self::Running,
        Self::Paused,
        Self::Cancelled,
        Self::Done,
    ];

    /// Its name in rows and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Selecting => "selecting",
            Self::Forecast => "forecast",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    /// The state after `act`; `None` where the act is not possible.
    #[must_use]
    pub const fn after(self, act: JobAct) -> Option<Self> {
        match (self, act) {
            (Self::Draft, JobAct::Select) => Some(Self::Selecting),
            (Self::Selecting, JobAct::Freeze) => Some(Self::Forecast),
            (Self::Forecast, JobAct::StartAlone)
            | (Self::Waiting, JobAct::Approve)
            | (Self::Paused, JobAct::Resume) => Some(Self::Running),
            (Self::Forecast, JobAct::StartWithApproval) => Some(Self::Waiting),
            (Self::Running, JobAct::Pause) => Some(Self::Paused),
            (Self::Running, JobAct::Finish) => Some(Self::Done),
            (
                Self::Draft
                | Self::Selecting
                | Self::Forecast
                | Self::Waiting
                | Self::Running
                | Self::Paused,
                JobAct::Cancel,
            ) => Some(Self::Cancelled),
            _ => None,
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for JobState {
    type Err = UnknownJobState;

    fn from_str(text: &str) -> Result<Self, UnknownJobState> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(UnknownJobState)
    }
}

/// The text is not the name of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the state of a job")]
pub struct UnknownJobState;

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobAct {
    /// Its certificates are to be looked for.
    Select,
    /// They have been found.
    Freeze,
    /// It is within what its client may revoke alone.
    StartAlone,
    /// It is past that.
    StartWithApproval,
    /// Another client agrees.
    Approve,
    /// It is to stop for now.
    Pause,
    /// It is to go on.
    Resume,
    /// It is to stop for good.
    Cancel,
    /// Nothing is left of its selection.
    Finish,
}

/// What a job does to each certificate, and how: what its hash covers beside the certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobTerms {
    /// The 16 octets of its id.
    pub job: [u8; 16],
    /// Why; `None` for unspecified.
    pub reason: Option<RevocationReason>,
    /// Certificates of a wave.
    pub wave: u32,
    /// Seconds between waves.
    pub pause: u32,
}

/// SHA-256 of exactly what is to be done. Whoever approves it approves nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperationHash([u8; 32]);

impl OperationHash {
    /// Takes the 32 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for OperationHash {
    /// 64 digits, lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for OperationHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for OperationHash {
    type Err = OperationHashError;

    fn from_str(text: &str) -> Result<Self, OperationHashError> {
        let mut bytes = [0; 32];
        let is_lower = text.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'a'..=b'f'));
        if !is_lower || text.len() != 64 {
            return Err(OperationHashError);
        }
        for (octet, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
            let digits = text.get(place..place + 2).ok_or(OperationHashError)?;
            *octet = u8::from_str_radix(digits, 16).map_err(|_| OperationHashError)?;
        }
        Ok(Self(bytes))
    }
}

/// The text is not a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not 64 digits of lower-case hexadecimal")]
pub struct OperationHashError;

/// Hashes an operation, one certificate after the other.
pub struct OperationHasher {
    hash: Sha256,
    last: Option<(IssuerId, SerialNumber)>,
}

impl OperationHasher {
    /// Begins the hash of a job over `count` certificates.
    #[must_use]
    pub fn new(deployment: Deployment, terms: &JobTerms, count: u64) -> Self {
        let deployment = deployment.to_string();
        let length = u8::try_from(deployment.len()).unwrap_or(u8::MAX);
        let hash = Sha256::new()
            .chain_update(MAGIC)
            .chain_update([length])
            .chain_update(deployment)
            .chain_update(terms.job)
            .chain_update([terms.reason.map_or(u8::MAX, RevocationReason::code)])
            .chain_update(terms.wave.to_be_bytes())
            .chain_update(terms.pause.to_be_bytes())
            .chain_update(count.to_be_bytes());
        Self { hash, last: None }
    }

    /// Adds a certificate.
    ///
    /// # Errors
    ///
    /// [`OperationOrderError`] unless each comes once, by issuer and then by serial: one selection has one hash.
    pub fn push(
        &mut self,
        issuer: IssuerId,
        serial: SerialNumber,
    ) -> Result<(), OperationOrderError> {
        let this = (issuer, serial);
        if self.last.is_some_and(|(before, number)| {
            (before.as_bytes(), number) >= (issuer.as_bytes(), serial)
        }) {
            return Err(OperationOrderError);
        }
        let mut padded = [0; SERIAL_OCTETS];
        let octets = serial.as_octets();
        let length = u8::try_from(octets.len()).unwrap_or(u8::MAX);
        for (to, from) in padded.iter_mut().zip([length].iter().chain(octets)) {
            *to = *from;
        }
        self.hash.update(issuer.as_bytes());
        self.hash.update(padded);
        self.last = Some(this);
        Ok(())
    }

    /// The hash of all of it.
    #[must_use]
    pub fn finish(self) -> OperationHash {
        OperationHash(self.hash.finalize().into())
    }
}

/// A certificate came twice or before its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("certificates of an operation come once each, by issuer and serial")]
pub struct OperationOrderError;

#[cfg(test)]
mod tests;
