//! How many certificates clients order, and who is paused (ISS-22). What is too many is for `ca::limit` to say.

use ca::limit::HourLimit;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::Node;
use crate::order::{HeldOrder, OrderAnswer, StoredResponse};

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

/// A pause to be ended, and the order by which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseEnd {
    /// The client.
    pub client: String,
    /// The profile.
    pub profile: String,
    /// The order, as the call has it that works on it.
    pub order: HeldOrder,
    /// Who works on it.
    pub node: Node,
}

/// Makes the answer of an order that ends a pause, from how its client stands then. It runs inside the act.
///
/// # Errors
///
/// The act is refused with the error that it gives.
pub type AnswerOfStanding =
    Box<dyn FnOnce(&VolumeStanding) -> Result<OrderAnswer, StoreError> + Send>;

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

    /// Ends a pause and records the answer of the order that does it, in one act: neither is there without the
    /// other. What the hour has had so far counts as usual from now on. The answer, as it will be replayed;
    /// `None` where there is no pause: then nothing is recorded.
    ///
    /// # Errors
    ///
    /// Those of [`Store::finish_order`](crate::Store::finish_order). Then the pause is there as it was.
    fn resume(
        &self,
        end: &PauseEnd,
        answer: AnswerOfStanding,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Option<StoredResponse>, StoreError>;

    /// Clients and profiles that have been counted in the hour of `now` or are paused, by name.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn volumes(&self, now: UnixTime) -> Result<Vec<VolumeStanding>, StoreError>;
}
