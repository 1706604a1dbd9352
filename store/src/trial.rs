//! Trial revocations as rows: certificates that the program issues and revokes to measure how long that takes to be seen (REV-07).

use std::time::Duration;

use status::{IssuerId, ReceiptMethod};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::StoreError;
use crate::certificate::StatusRow;
use crate::id::{CertificateId, OrderId};

/// A trial, and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its order.
    pub order: OrderId,
    /// Whose certificate.
    pub issuer: IssuerId,
    /// When it was begun.
    pub begun: UnixTime,
    /// How its order stands.
    pub standing: TrialOrder,
    /// The certificate; `None` where none was issued.
    pub certificate: Option<TrialCertificate>,
}

/// How the order of a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialOrder {
    /// There is none: the program ended before it.
    None,
    /// It has no answer: it is being worked on, or the program ended meanwhile.
    Open,
    /// It has its answer.
    Done,
}

/// The certificate of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialCertificate {
    /// Its id.
    pub id: CertificateId,
    /// Its serial number.
    pub serial: SerialNumber,
    /// How it stands.
    pub status: StatusRow,
    /// The log time of the entry by which it stands so.
    pub since: UnixTime,
    /// The methods by which its revocation has a receipt: of the first, where a reason was corrected after that.
    pub seen: Vec<TrialSight>,
}

/// That the revocation of a trial was seen everywhere by a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialSight {
    /// How.
    pub method: ReceiptMethod,
    /// The log time of the entry that was looked for: a reason that was corrected before anybody had looked is one of its own.
    pub since: UnixTime,
    /// When the last point had seen it.
    pub seen: UnixTime,
}

/// The part of [`Store`](crate::Store) that remembers trials.
pub trait Trials {
    /// Begins a trial of an issuer, unless one was begun less than `every` ago, by whatever node: of several that ask at once one
    /// is told true. One that was begun at a time that is still to come, by a clock that was ahead, is no hindrance.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIssuer`], storage errors.
    fn begin_trial(
        &self,
        order: OrderId,
        issuer: IssuerId,
        every: Duration,
        now: UnixTime,
    ) -> Result<bool, StoreError>;

    /// The newest trials, newest first, at most `most`.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn trials(&self, most: u32) -> Result<Vec<Trial>, StoreError>;

    /// Forgets some of the trials that were begun before this, and says how many. Certificates, log and receipts stay.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn forget_trials(&self, before: UnixTime) -> Result<u64, StoreError>;
}
