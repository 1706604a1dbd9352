//! eIDs and carriers as rows: which certificates belong together, and how they are revoked together.

use std::fmt;

use ca::carrier::CarrierKind;
use ca::key_holder::HolderName;
use ca::life::CarrierStage;
use ca::revocation::{Again, RevocationWish, again};
use ca::role::Protected;
use status::{CertificateState, IssuerId};
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::carrier::RegisteredCarriers;
use crate::certificate::{
    CertificateLookup, CertificateRow, CertificateSide, StatusAct, StatusRow,
};
use crate::id::{CarrierId, CertificateId, EidId};
use crate::job::Alone;
use crate::scheduled::Scheduled;
use crate::sealing::IndexTerm;

/// What an order says of the eID that its certificate is of. The certificate joins the eID that its holder has in this organisation on
/// this carrier, as long as that has no living certificate of the same profile; else it begins another.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The id of an eID that it begins.
    pub eid: EidId,
    /// The id of a carrier that is not known yet.
    pub carrier: CarrierId,
    /// What kind of carrier.
    pub kind: CarrierKind,
    /// Of which family.
    pub family: String,
    /// What it is known by, the number of a card or the id of a device; a carrier without either is another each time.
    pub mark: Option<IndexTerm>,
    /// The holder.
    pub holder: HolderName,
    /// The act by which the holder was identified: the same for the calls of one order. `None` where nobody said it.
    pub proof: Option<IndexTerm>,
    /// Number of the holder's organisation.
    pub organisation: String,
    /// Number of the issuing one, where it is another.
    pub issuing: Option<String>,
}

/// A carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierRow {
    /// Its id.
    pub id: CarrierId,
    /// What kind.
    pub kind: CarrierKind,
    /// Of which family.
    pub family: String,
    /// Where it stands before there is a certificate on it; `None`: where its eIDs stand.
    pub stage: Option<CarrierStage>,
    /// Number of the organisation that it was registered for; `None`: it came with a certificate.
    pub organisation: Option<String>,
    /// Since when it is revoked.
    pub revoked: Option<UnixTime>,
    /// When it was registered, or the first certificate on it recorded.
    pub created: UnixTime,
}

/// An eID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EidRow {
    /// Its id.
    pub id: EidId,
    /// What it is on.
    pub carrier: CarrierId,
    /// Number of the holder's organisation.
    pub organisation: String,
    /// Number of the issuing one, where it is another.
    pub issuing: Option<String>,
    /// When its first certificate was recorded.
    pub created: UnixTime,
}

/// What holds certificates together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundTo {
    /// One eID.
    Eid(EidId),
    /// Every eID on one carrier, those of other organisations too.
    Carrier(CarrierId),
}

impl fmt::Display for BoundTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eid(id) => write!(f, "eid {id}"),
            Self::Carrier(id) => write!(f, "carrier {id}"),
        }
    }
}

/// Which eIDs a list shows. Every given part must hold.
#[derive(Clone, Debug, Default)]
pub struct EidFilter {
    /// Only of holders in this organisation.
    pub organisation: Option<String>,
    /// Only on this carrier.
    pub carrier: Option<CarrierId>,
    /// Only the one of this certificate.
    pub certificate: Option<CertificateId>,
    /// Only of this holder.
    pub holder: Option<HolderName>,
    /// Only on the carrier that is known by this.
    pub mark: Option<IndexTerm>,
    /// Only with a certificate that is found by this term.
    pub term: Option<IndexTerm>,
    /// Whether those of protected persons, too: not, unless it is said.
    pub protected: Protected,
}

/// A part of a list, oldest first.
#[derive(Clone, Debug)]
pub struct EidPage {
    /// At most as many as were asked for.
    pub rows: Vec<EidRow>,
    /// Where it goes on; `None` at the end.
    pub next: Option<u64>,
}

/// All certificates of an eID or on a carrier are to be revoked or held.
#[derive(Clone, Debug)]
pub struct BoundChange {
    /// Of what.
    pub to: BoundTo,
    /// Revoked for a reason, or held. Nothing is released by it.
    pub wish: RevocationWish,
    /// When it was asked for, as the caller says.
    pub requested_at: Option<UnixTime>,
    /// Who asks, and how much of it an hour takes; `None` for what no client asks for.
    pub alone: Option<Alone>,
}

/// What became of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundChanged {
    /// Which.
    pub certificate: CertificateId,
    /// Who issued it.
    pub issuer: IssuerId,
    /// What was done to it; `None`: it stood so already.
    pub done: Option<StatusAct>,
    /// Nothing was done to it, and a graver reason was not noted: its issuer has ended, and what its last CRL says stands.
    pub ended: bool,
    /// How it stands now.
    pub status: StatusRow,
}

/// What a wish does to a certificate that stands so; `None`: nothing.
#[must_use]
pub fn act_on_bound(wish: RevocationWish, status: &StatusRow) -> Option<StatusAct> {
    let known = &status.status;
    match (wish, known.state) {
        (RevocationWish::Revoke(reason), CertificateState::Revoked) => {
            let corrects = again(known.reason, reason) == Again::Corrects;
            corrects.then_some(StatusAct::CorrectReason {
                from: known.reason,
                reason,
                invalidity: known.invalidity_date,
            })
        }
        (RevocationWish::Hold, CertificateState::Revoked | CertificateState::Held(_))
        | (_, CertificateState::Voided)
        | (RevocationWish::Release, _) => None,
        (RevocationWish::Revoke(reason), _) => Some(StatusAct::Revoke { reason, invalidity: None }),
        (RevocationWish::Hold, _) => Some(StatusAct::Hold),
    }
}

/// Makes the audit record of a change, from what became of each. It runs inside the act.
pub type BoundAudit = Box<dyn FnOnce(&[BoundChanged]) -> AuditRecord + Send>;

/// The part of [`Store`](crate::Store) that knows which certificates belong together.
pub trait Bindings: RegisteredCarriers + Scheduled {
    /// A carrier with an eID that `protected` sees.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn carrier(
        &self,
        carrier: CarrierId,
        protected: Protected,
    ) -> Result<Option<CarrierRow>, StoreError>;

    /// The carrier of a card number, with an eID that `protected` sees.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn carrier_of_card(
        &self,
        card: &IndexTerm,
        protected: Protected,
    ) -> Result<Option<CarrierRow>, StoreError>;

    /// How many certificates with the carrier's card number live and belong to no eID: issued before eIDs were kept, imported, or without
    /// an order. They are not revoked with the carrier.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn unbound_on(&self, carrier: CarrierId, now: UnixTime) -> Result<u64, StoreError>;

    /// An eID that `protected` sees.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn eid(&self, eid: EidId, protected: Protected) -> Result<Option<EidRow>, StoreError>;

    /// Lists eIDs in the order in which they were recorded, at most `limit` (up to 1000).
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn eids(
        &self,
        filter: &EidFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<EidPage, StoreError>;

    /// Whether a certificate of `profile` may be bound so, as far as is known now: the act that records it asks again.
    ///
    /// # Errors
    ///
    /// [`StoreError::CarrierRevoked`], [`StoreError::CarrierOfAnother`], [`StoreError::EidOfOrderRevoked`].
    fn may_bind(&self, binding: &Binding, profile: &str, now: UnixTime) -> Result<(), StoreError>;

    /// On whose side a certificate is; `None` where there is none that `protected` sees.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn certificate_side(
        &self,
        lookup: &CertificateLookup,
        protected: Protected,
    ) -> Result<Option<CertificateSide>, StoreError>;

    /// The certificates of an eID or on a carrier, oldest first, those that have ended too, each with its eID.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn bound_certificates(&self, to: BoundTo) -> Result<Vec<(EidId, CertificateRow)>, StoreError>;

    /// Revokes or holds every certificate of an eID or on a carrier that has not ended, in one act: all of them or none. What is revoked
    /// stays so; a graver reason is noted. What an issuer left that has ended is passed over. A carrier that is revoked takes no eID any more. Never refused because of the clock. Where all
    /// stood so already nothing is recorded.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownBound`], [`StoreError::OfflineIssuer`], [`StoreError::Transition`], [`StoreError::AloneSpent`].
    fn revoke_bound(
        &self,
        change: &BoundChange,
        audit: BoundAudit,
        now: UnixTime,
    ) -> Result<Vec<BoundChanged>, StoreError>;
}
