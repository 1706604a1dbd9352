//! Carriers before the first certificate on them: taken into the register, sent, given up. Which act follows which stage is for `ca::life` to say.

use ca::carrier::CarrierKind;
use ca::life::{CarrierStage, Named as _};
use ca::role::Protected;
use thiserror::Error;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::bound::CarrierRow;
use crate::id::{CarrierId, OrderId};
use crate::sealing::IndexTerm;

/// Cards that are to be taken into the register, all of them or none.
#[derive(Clone, Debug)]
pub struct NewCarriers {
    /// The order of the call: what it has registered already it does not register again.
    pub call: OrderId,
    /// What kind of cards.
    pub kind: CarrierKind,
    /// Of which family.
    pub family: String,
    /// Number of the organisation that they are for.
    pub organisation: String,
    /// Where they stand.
    pub stage: CarrierStage,
    /// The id of each, and the number on it; kept as a keyed hash.
    pub cards: Vec<(CarrierId, IndexTerm)>,
}

/// A carrier that is to be moved before there is a certificate on it.
#[derive(Clone, Copy, Debug)]
pub struct CarrierMove {
    /// Which.
    pub carrier: CarrierId,
    /// Where it stood when that was judged.
    pub from: CarrierStage,
    /// Where it is to stand.
    pub to: CarrierStage,
}

/// Which carriers a list shows. Every given part must hold.
#[derive(Clone, Debug, Default)]
pub struct CarrierFilter {
    /// Only those registered for this organisation.
    pub organisation: Option<String>,
    /// Only those that stand there, before a certificate.
    pub stage: Option<CarrierStage>,
    /// Whether those that bear a protected person's eID, too: not, unless it is said.
    pub protected: Protected,
}

/// A part of a list, oldest first.
#[derive(Clone, Debug)]
pub struct CarrierPage {
    /// At most as many as were asked for.
    pub rows: Vec<CarrierRow>,
    /// Where it goes on; `None` at the end.
    pub next: Option<u64>,
}

/// Why a carrier is not registered, moved or written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CarrierFault {
    /// One of the cards is in the register already.
    #[error("card {number} of the list is known already")]
    Known {
        /// Which of the list; the first is 1.
        number: usize,
    },
    /// It has been moved since it was read, or there is a certificate on it by now.
    #[error("carrier {carrier} stands elsewhere by now")]
    Moved {
        /// Which.
        carrier: CarrierId,
    },
    /// Nothing is issued onto it where it stands.
    #[error("carrier {carrier} stands at {}", stage.word().name)]
    Stage {
        /// Which.
        carrier: CarrierId,
        /// Where it stands.
        stage: CarrierStage,
    },
    /// It is a card of another family than the order says.
    #[error("carrier {carrier} is registered as one of another family")]
    Family {
        /// Which.
        carrier: CarrierId,
    },
}

impl CarrierFault {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Known { .. } => "carrier-known",
            Self::Moved { .. } => "carrier-moved",
            Self::Stage { .. } => "carrier-stage",
            Self::Family { .. } => "carrier-family",
        }
    }
}

/// The part of [`Store`](crate::Store) that keeps carriers before the first certificate.
pub trait RegisteredCarriers {
    /// Takes cards into the register, all of them or none; a call that has done so already changes nothing. In the order of the list.
    ///
    /// # Errors
    ///
    /// [`CarrierFault::Known`].
    fn register_carriers(
        &self,
        new: &NewCarriers,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Vec<CarrierRow>, StoreError>;

    /// Moves one. Where it stands there already nothing changes.
    ///
    /// # Errors
    ///
    /// [`CarrierFault::Moved`]; [`StoreError::CarrierRevoked`].
    fn move_carrier(
        &self,
        change: &CarrierMove,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// Lists carriers that were registered, in the order in which they were, at most `limit` (up to 1000).
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn registered_carriers(
        &self,
        filter: &CarrierFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<CarrierPage, StoreError>;
}
