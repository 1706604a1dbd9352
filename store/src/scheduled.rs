//! Revocations that were asked for in another way than by a call at once: with a time of the future (REV-10), or on paper and by telephone
//! while the CA could not be reached (REV-01).

use std::fmt;

use ca::revocation::{BusinessEvent, RevocationWish};
use ca::role::Protected;
use status::{Position, RevocationReason};
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::bound::{BoundAudit, BoundChanged};
use crate::certificate::CertificateRow;
use crate::id::{CarrierId, CertificateId, EidId, ScheduledId};
use crate::job::Alone;

/// What such a revocation is about. Which certificates that are is found in the act that revokes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationTarget {
    /// One certificate.
    Certificate(CertificateId),
    /// Those of one eID.
    Eid(EidId),
    /// Those of every eID on one carrier.
    Carrier(CarrierId),
    /// Those of every eID that the holder of this one has in its organisation, on whatever carrier.
    HolderOf(EidId),
}

impl RevocationTarget {
    /// The word for how far it reaches, as rows have it.
    #[must_use]
    pub const fn reach(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "certificate",
            Self::Eid(_) => "eid",
            Self::Carrier(_) => "carrier",
            Self::HolderOf(_) => "holder",
        }
    }

    /// The 16 octets of the id that it is named by.
    #[must_use]
    pub const fn id(&self) -> &[u8; 16] {
        match self {
            Self::Certificate(id) => id.as_bytes(),
            Self::Eid(id) | Self::HolderOf(id) => id.as_bytes(),
            Self::Carrier(id) => id.as_bytes(),
        }
    }
}

impl fmt::Display for RevocationTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(id) => write!(f, "certificate {id}"),
            Self::Eid(id) => write!(f, "eid {id}"),
            Self::Carrier(id) => write!(f, "carrier {id}"),
            Self::HolderOf(id) => write!(f, "holder of eid {id}"),
        }
    }
}

/// A revocation that is to be carried out later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewScheduled {
    /// Its id, from the order of the call: a call that is repeated finds it.
    pub id: ScheduledId,
    /// What is revoked.
    pub target: RevocationTarget,
    /// Number of the organisation for which it is asked; `None` of a certificate that is of none.
    pub organisation: Option<String>,
    /// Why; `None` for unspecified.
    pub reason: Option<RevocationReason>,
    /// What will have happened, where that was said.
    pub event: Option<BusinessEvent>,
    /// The second at which it strikes.
    pub strikes: UnixTime,
    /// The client that asks, and how much of it an hour takes. What lives of the target now counts when it is asked for, one certificate at
    /// least, and nothing when it strikes.
    pub alone: Alone,
}

/// Where such a revocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduledState {
    /// Its second has not come, or nobody has come by since.
    Waiting,
    /// Carried out.
    Done {
        /// When.
        at: UnixTime,
        /// Certificates to which it did something.
        revoked: u64,
    },
    /// Taken back before its second.
    Cancelled {
        /// When.
        at: UnixTime,
    },
}

impl ScheduledState {
    /// Its word in rows and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done { .. } => "done",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

/// A scheduled revocation as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledRow {
    /// Its id.
    pub id: ScheduledId,
    /// What is revoked.
    pub target: RevocationTarget,
    /// Number of the organisation for which it was asked.
    pub organisation: Option<String>,
    /// Why.
    pub reason: Option<RevocationReason>,
    /// What will have happened.
    pub event: Option<BusinessEvent>,
    /// The second at which it strikes.
    pub strikes: UnixTime,
    /// The client that asked.
    pub client: String,
    /// When it was asked for.
    pub created: UnixTime,
    /// Where it stands.
    pub state: ScheduledState,
}

/// Which of them a list shows. Every given part must hold.
#[derive(Clone, Debug, Default)]
pub struct ScheduledFilter {
    /// Only those asked for this organisation.
    pub organisation: Option<String>,
    /// Only those that wait and strike at this second or before.
    pub due_at: Option<UnixTime>,
    /// Only those in the state of this word.
    pub state: Option<&'static str>,
    /// Whether those of protected persons, too: not, unless it is said.
    pub protected: Protected,
}

/// A part of a list, in the order in which they were asked for.
#[derive(Clone, Debug)]
pub struct ScheduledPage {
    /// At most as many as were asked for.
    pub rows: Vec<ScheduledRow>,
    /// Where it goes on; `None` at the end.
    pub next: Option<u64>,
}

/// A request for a revocation that was taken on paper or by telephone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenRequest {
    /// What stands on the form: a client registers each once.
    pub reference: String,
    /// SHA-256 of what was sent under it.
    pub said: [u8; 32],
    /// What is revoked.
    pub target: RevocationTarget,
    /// Revoked for a reason, or held.
    pub wish: RevocationWish,
    /// When it was asked for.
    pub requested_at: UnixTime,
    /// The client that registers it, and how much an hour takes of it.
    pub alone: Alone,
}

/// What became of such a request, now or when it was registered first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredRequest {
    /// When it was registered.
    pub registered: UnixTime,
    /// Certificates that were not revoked, or not held, before.
    pub revoked: u64,
    /// Those of which a graver reason was noted.
    pub corrected: u64,
    /// Those that stood so already.
    pub already: u64,
    /// Each, where it was registered just now; `None` where that was before.
    pub changed: Option<Vec<BoundChanged>>,
    /// The last position of the status log that speaks of them, where it was registered just now.
    pub position: Option<Position>,
}

/// The part of [`Store`](crate::Store) that keeps revocations of later and of before.
pub trait Scheduled {
    /// The certificates of a target, oldest first, those that have ended too, each with its eID; one that is of none stands under its own id.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn target_certificates(
        &self,
        target: &RevocationTarget,
    ) -> Result<Vec<(EidId, CertificateRow)>, StoreError>;

    /// Records that a revocation is to be carried out later; one that is recorded under its id stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::AloneSpent`].
    fn schedule_revocation(
        &self,
        new: &NewScheduled,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<ScheduledRow, StoreError>;

    /// One that `protected` sees.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn scheduled_revocation(
        &self,
        id: ScheduledId,
        protected: Protected,
    ) -> Result<Option<ScheduledRow>, StoreError>;

    /// Lists them, at most `limit` (up to 1000).
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn scheduled_revocations(
        &self,
        filter: &ScheduledFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<ScheduledPage, StoreError>;

    /// Takes one back whose second has not come; of any other nothing changes, and no leaf is written. Whether it did, now.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn cancel_scheduled(
        &self,
        id: ScheduledId,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError>;

    /// Carries one out whose second has come, once, whichever node asks: every certificate of its target that lives now is revoked, as asked for
    /// at its second, and it is done, in one act. `None` where it does not wait, or not until now. Never refused because of the clock; what an
    /// hour allows does not count.
    ///
    /// # Errors
    ///
    /// [`StoreError::OfflineIssuer`], [`StoreError::IssuerEnded`]; it waits then.
    fn strike_scheduled(
        &self,
        id: ScheduledId,
        audit: BoundAudit,
        now: UnixTime,
    ) -> Result<Option<Vec<BoundChanged>>, StoreError>;

    /// Carries out a request that was taken elsewhere, and keeps that under its reference, in one act. `None` where the client has sent something
    /// else under it before.
    ///
    /// # Errors
    ///
    /// Those of [`Bindings::revoke_bound`](crate::Bindings::revoke_bound).
    fn register_request(
        &self,
        taken: &TakenRequest,
        audit: BoundAudit,
        now: UnixTime,
    ) -> Result<Option<RegisteredRequest>, StoreError>;
}
