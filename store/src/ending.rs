//! When an issuer may end: nothing that it signed is good any more (CRL-05).

use status::IssuerId;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::StoreError;

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
}
