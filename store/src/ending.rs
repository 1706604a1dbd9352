//! When an issuer may end: nothing that it signed is good any more (CRL-05); and what is signed for it once it has (OCSP-13).

use status::IssuerId;
use x509::serial::SerialNumber;
use x509::signing::{Pending, Recorded};
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;

/// What keeps an issuer from ending (CRL-05).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unended {
    /// How many of its serials are neither expired nor revoked nor voided.
    pub count: u64,
    /// The lowest of them.
    pub first: Option<SerialNumber>,
}

/// The part of [`Store`](crate::Store) that knows what keeps an issuer from ending.
pub trait Endings {
    /// What of an issuer is neither expired before `now` nor revoked nor voided: reserved serials and those on hold
    /// are among it, delegates of responders are not. It looks at every serial of the issuer.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIssuer`], storage errors.
    fn unended(&self, issuer: IssuerId, now: UnixTime) -> Result<Unended, StoreError>;

    /// Makes durable that final OCSP answers of an issuer that has ended are about to be signed (OCSP-13): all of them by one audit record, which
    /// is to tell how many they are and their digests. Each may be signed once it returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::IssuerUnfinished`], [`StoreError::UnknownIssuer`], [`StoreError::OfflineIssuer`], storage errors. Nothing is signed then.
    fn record_final_answers(
        &self,
        issuer: IssuerId,
        answers: &[Pending],
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Vec<Recorded>, StoreError>;
}
