//! How many certificates clients order, and who is paused (ISS-22). What is too many is for `ca::limit` to say.

use ca::limit::HourLimit;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;

/// As whose a certificate is counted, and what is too many. Counted in the act that records its intent, once an
/// order; refused there if it is paused or past the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The client that orders.
    pub client: String,
    /// The profile.
    pub profile: String,
    /// What is too many. Without a limit nothing is counted, and a pause holds all the same.
    pub limit: Option<HourLimit>,
}

/// A client that gets nothing more under a profile until an operator lets it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: UnixTime,
    /// Certificates of the hour that paused it, the refused one included.
    pub issued: u64,
    /// Seven times the mean of the same hour on the seven days before, or on those that were counted.
    pub usual: u64,
}

/// A pause to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPause {
    /// The client.
    pub client: String,
    /// The profile.
    pub profile: String,
    /// As [`Pause::issued`].
    pub issued: u64,
    /// As [`Pause::usual`].
    pub usual: u64,
}

/// How a client stands with a profile in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeStanding {
    /// The client.
    pub client: String,
    /// The profile.
    pub profile: String,
    /// Certificates counted in this hour.
    pub issued: u64,
    /// Seven times the mean of the same hour on the seven days before, or on those that were counted; or seven times what
    /// an operator has accepted since.
    pub usual: u64,
    /// The pause, while there is one.
    pub pause: Option<Pause>,
}

/// The part of [`Store`](crate::Store) that counts.
pub trait Volumes {
    /// Pauses a client and a profile. Returns whether this call did it; if they are paused already nothing
    /// is recorded.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn pause(
        &self,
        pause: &NewPause,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError>;

    /// Ends a pause; what the hour has had so far counts as usual from now on. Returns whether there was one; if
    /// not, nothing is recorded.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn resume(
        &self,
        client: &str,
        profile: &str,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError>;

    /// Clients and profiles that have been counted in the hour of `now` or are paused, by name.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn volumes(&self, now: UnixTime) -> Result<Vec<VolumeStanding>, StoreError>;
}
