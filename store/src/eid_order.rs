//! Orders for eIDs that are made in several steps, as rows. Which step may follow which is for `ca::life` and `ca::steps` to say.

use ca::carrier::CarrierKind;
use ca::key_holder::HolderName;
use ca::life::{OrderAct, OrderStage};
use ca::revocation::BusinessEvent;
use ca::role::Protected;
use ca::routine::TermKind;
use ca::steps::Struck;
use thiserror::Error;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::bound::BoundTo;
use crate::certificate::{CertificateRow, StatusAct, StatusRow};
use crate::id::{CertificateId, OrderId};
use crate::job::Alone;
use crate::order::OrderKey;
use crate::sealing::{IndexTerm, Subject};

/// In whose name the orders stand by which the certificates of such an order are made, one each; no client has such a name.
const CLIENT: &str = "sigill-ca:eid-orders";
/// And by what method.
pub(crate) const METHOD: &str = "STEP";

/// The key of the order by which the certificate of `profile` is made for `order`: the same whichever call asks for it, so that there is
/// one.
#[must_use]
pub fn certificate_key(order: OrderId, profile: &str) -> OrderKey {
    OrderKey {
        client: CLIENT.to_owned(),
        method: METHOD.to_owned(),
        path: order.to_string(),
        key: profile.to_owned(),
    }
}

/// An order as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EidOrderRow {
    /// Its id: that of the call that made it.
    pub id: OrderId,
    /// Number of the holder's organisation.
    pub organisation: String,
    /// The routine that it goes by.
    pub routine: String,
    /// Where it stands.
    pub stage: OrderStage,
    /// How many steps have been taken.
    pub steps: u32,
    /// Which deadline runs, and the first second at which it is over.
    pub due: Option<(TermKind, UnixTime)>,
    /// When it was made.
    pub created: UnixTime,
    /// When the last step was taken.
    pub updated: UnixTime,
    /// What it replaces.
    pub replaces: Option<EidOrderReplaces>,
    /// Since when it is parked: it was under way when the database was put back from a backup, and may have been taken back since. No deadline
    /// of it strikes, for itself or for what it replaces, before somebody has taken a step of it.
    pub parked: Option<UnixTime>,
}

/// What an order replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EidOrderReplaces {
    /// An eID, or a carrier with all that is on it.
    pub what: BoundTo,
    /// Because of what.
    pub event: BusinessEvent,
    /// The second at which it is revoked; `None`: none runs.
    pub due: Option<UnixTime>,
    /// When it was revoked for this order.
    pub done: Option<UnixTime>,
}

/// What a step does to what its order replaces.
#[derive(Clone, Copy, Debug)]
pub struct EidOrderStrike {
    /// An eID, or a carrier with all that is on it. It stays as it was first said.
    pub what: BoundTo,
    /// Because of what. It stays.
    pub event: BusinessEvent,
    /// What is done.
    pub struck: Struck,
}

/// How many carriers of a kind somebody has in one organisation.
#[derive(Clone, Debug)]
pub struct CarrierLimit {
    /// Of which kind.
    pub kind: CarrierKind,
    /// At most so many, with the one that is ordered.
    pub most: u8,
    /// What that one is known by: it is not counted twice.
    pub mark: Option<IndexTerm>,
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EidOrderStep {
    /// The first is 1.
    pub number: u32,
    /// The order of the call that took it.
    pub call: OrderId,
    /// What was done.
    pub act: OrderAct,
    /// Where it led.
    pub stage: OrderStage,
    /// Which client called; `sigill-ca` for what the program did itself.
    pub client: String,
    /// When.
    pub at: UnixTime,
    /// What was said, byte for byte; `None` once its subject's data key has been deleted.
    pub said: Option<Vec<u8>>,
}

/// An order with its steps, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EidOrder {
    /// How it stands.
    pub row: EidOrderRow,
    /// How it came there.
    pub steps: Vec<EidOrderStep>,
}

/// Whose an order is, as far as it was said: kept as keyed hashes.
#[derive(Clone, Debug, Default)]
pub struct EidOrderHolder {
    /// The person, by number or passport.
    pub person: Option<HolderName>,
    /// The same by his HSA-id.
    pub hsa_id: Option<HolderName>,
}

/// A step that is to be taken.
#[derive(Clone, Debug)]
pub struct EidOrderChange {
    /// Of which order.
    pub order: OrderId,
    /// The order of the call that takes it: what it has done already it does not do again.
    pub call: OrderId,
    /// How many steps it rests on; 0 makes the order.
    pub rests_on: u32,
    /// Number of the holder's organisation. It stays.
    pub organisation: String,
    /// Whose it is. It stays: what a later step says of it changes nothing.
    pub holder: EidOrderHolder,
    /// The routine. It stays.
    pub routine: String,
    /// What is done.
    pub act: OrderAct,
    /// Where it leads.
    pub stage: OrderStage,
    /// Which client calls.
    pub client: String,
    /// What is said; sealed under `subject`.
    pub said: Vec<u8>,
    /// Whose data that is.
    pub subject: Subject,
    /// Which deadline runs from now on.
    pub due: Option<(TermKind, UnixTime)>,
    /// What is done to each certificate of the order, in the same act.
    pub status: Option<StatusAct>,
    /// Who revokes by its own word, and how much of that an hour takes; `None` for what no client asks for.
    pub alone: Option<Alone>,
    /// What is done to what the order replaces, in the same act.
    pub strike: Option<EidOrderStrike>,
    /// What the holder may have, where the step is held against that.
    pub limit: Option<CarrierLimit>,
}

/// Whose a changed certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangedOf {
    /// The order's.
    Order,
    /// Of what the order replaces.
    Replaced,
}

/// A certificate that a step changed, as it stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EidOrderChanged {
    /// Whose.
    pub of: ChangedOf,
    /// Which.
    pub certificate: CertificateId,
    /// Who issued it.
    pub issuer: status::IssuerId,
    /// How it stands.
    pub status: StatusRow,
}

/// Makes the audit records of a step, from the certificates that it changed. It runs inside the act.
pub type EidOrderAudit = Box<dyn FnOnce(&[EidOrderChanged]) -> Vec<AuditRecord> + Send>;

/// Which orders a list shows. Every given part must hold.
#[derive(Clone, Debug, Default)]
pub struct EidOrderFilter {
    /// Only of holders in this organisation.
    pub organisation: Option<String>,
    /// Only those whose deadline is over at this second.
    pub due_at: Option<UnixTime>,
    /// Only those that replace what is to be revoked by this second.
    pub strikes_at: Option<UnixTime>,
    /// Only those that are parked, or only those that are not.
    pub parked: Option<bool>,
    /// Whether those of protected persons, too: not, unless it is said.
    pub protected: Protected,
}

/// A part of a list, oldest first.
#[derive(Clone, Debug)]
pub struct EidOrderPage {
    /// At most as many as were asked for.
    pub rows: Vec<EidOrderRow>,
    /// Where it goes on; `None` at the end.
    pub next: Option<u64>,
}

/// Why a step was not taken. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EidOrderFault {
    /// There is none of this id.
    #[error("there is no order {order}")]
    Unknown {
        /// Which.
        order: OrderId,
    },
    /// It has had other steps since it was read.
    #[error("order {order} has {steps} steps by now")]
    Moved {
        /// Which.
        order: OrderId,
        /// How many there are.
        steps: u32,
    },
    /// A certificate is being signed for it.
    #[error("a certificate of order {order} is being signed")]
    Signing {
        /// Which.
        order: OrderId,
    },
    /// The holder has as many carriers of the kind in the organisation as he may.
    #[error("the holder has {held} other carriers of this kind in this organisation")]
    Enough {
        /// How many, without what is ordered and what is replaced.
        held: u64,
    },
    /// A certificate of it is revoked: nobody can take its eID into use any more.
    #[error("a certificate of order {order} is revoked")]
    Over {
        /// Which.
        order: OrderId,
    },
    /// It takes no certificate where it stands.
    #[error("order {order} takes no certificate: another call has moved it meanwhile")]
    Closed {
        /// Which.
        order: OrderId,
    },
}

impl EidOrderFault {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "order-not-known",
            Self::Moved { .. } => "order-moved",
            Self::Signing { .. } => "order-signing",
            Self::Over { .. } => "order-eid-over",
            Self::Closed { .. } => "order-closed",
            Self::Enough { .. } => "order-enough-carriers",
        }
    }
}

/// The part of [`Store`](crate::Store) that keeps orders of several steps.
pub trait EidOrders {
    /// Takes a step, with what it does to the order's certificates: all of it or nothing. What stands so already is not changed again, and
    /// what has ended or is revoked is not revoked again. A call whose step stands already changes nothing. An order that was parked goes on
    /// with it.
    ///
    /// # Errors
    ///
    /// [`EidOrderFault`]; of certificates those of [`Store::change_status`](crate::Store::change_status).
    fn take_eid_order_step(
        &self,
        change: &EidOrderChange,
        audit: EidOrderAudit,
        now: UnixTime,
    ) -> Result<Vec<EidOrderChanged>, StoreError>;

    /// Revokes what an order replaces whose second has come. Where that is not so, or no longer, or the order is parked, nothing changes.
    ///
    /// # Errors
    ///
    /// Those of [`Store::change_status`](crate::Store::change_status).
    fn strike_replaced(
        &self,
        order: OrderId,
        audit: EidOrderAudit,
        now: UnixTime,
    ) -> Result<Vec<EidOrderChanged>, StoreError>;

    /// How many orders are parked.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn parked_orders(&self) -> Result<u64, StoreError>;

    /// An order with its steps.
    ///
    /// # Errors
    ///
    /// Storage errors; [`StoreError::Sealed`] when a step does not open.
    fn eid_order(&self, order: OrderId) -> Result<Option<EidOrder>, StoreError>;

    /// The certificates that were made for an order, oldest first, also while it takes more.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn eid_order_certificates(&self, order: OrderId) -> Result<Vec<CertificateRow>, StoreError>;

    /// Lists orders in the order in which they were made, at most `limit` (up to 1000).
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn eid_orders(
        &self,
        filter: &EidOrderFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<EidOrderPage, StoreError>;
}
