//! What was shown of persons: which audit leaf tells of it, found again by the person (AUD-06, AUD-08).

use std::fmt;

use ca::key_holder::HolderName;
use ca::role::Protected;
use status::Position;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::{CertificateId, EidId, OrderId};
use crate::sealing::IndexTerm;

/// Something that an answer shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A certificate, be it a person's or a function's.
    Certificate(CertificateId),
    /// An eID.
    Eid(EidId),
    /// An order in steps.
    Order(OrderId),
    /// A person himself, by the name that eIDs are kept under.
    Person(HolderName),
}

/// Something of a person that was shown, as it is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShownId {
    /// A certificate.
    Certificate(CertificateId),
    /// An eID.
    Eid(EidId),
    /// An order in steps.
    Order(OrderId),
    /// That he is there at all.
    Person,
}

/// Who is shown something, and how much of that an hour takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Name of the client.
    pub client: String,
    /// How many things of persons it is shown in an hour of UTC, on all nodes together: ids as [`Shown`] has them, each once an answer.
    pub most: u64,
}

/// Whose reads are asked for.
#[derive(Clone)]
pub struct ReadsWanted {
    /// By the name that eIDs are kept under.
    pub holder: HolderName,
    /// His number, by which certificates of no eID are found; `None` where he has none.
    pub number: Option<IndexTerm>,
    /// Whether those of protected persons, too: not, unless it is said.
    pub protected: Protected,
}

impl fmt::Debug for ReadsWanted {
    /// Nothing of the person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadsWanted").field("protected", &self.protected).finish_non_exhaustive()
    }
}

/// A read of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRow {
    /// The leaf that tells of it.
    pub position: Position,
    /// Its octets.
    pub leaf: Vec<u8>,
    /// What of this person was shown; what was shown of others beside it is not here.
    pub shown: Vec<ShownId>,
}

/// The part of [`Store`](crate::Store) that knows who was shown to whom.
///
/// What is kept of a read is its leaf and the ids of what was shown: whose that is follows from eIDs, orders and certificates when it is asked
/// for. So nothing of it names anybody, and it stays when a person is forgotten (record 0058).
pub trait Reads {
    /// Records that these were shown, in a leaf, and counts them for the client and its hour: durable before it returns. Where nothing of them
    /// is a person's nothing is recorded, and `None` is returned. No other act waits for it longer than for a part of a second: many of
    /// them at once are refused, not queued (record 0064).
    ///
    /// # Errors
    ///
    /// [`StoreError::ReadsSpent`], [`StoreError::Overloaded`], storage errors. Nothing may be shown then.
    fn record_read(
        &self,
        shown: &[Shown],
        reader: &Reader,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Option<Position>, StoreError>;

    /// Reads of a person, newest first, at most `limit` (up to 1000) of those before `before`. None of a protected person's unless they are
    /// seen.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn reads_of(
        &self,
        wanted: &ReadsWanted,
        before: Option<Position>,
        limit: u32,
    ) -> Result<Vec<ReadRow>, StoreError>;
}
