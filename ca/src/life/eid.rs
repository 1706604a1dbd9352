//! An eID: one holder in one organisation on one carrier, and the certificates that it is.

use status::{Act as CertificateAct, CertificateState, HeldFrom};

use super::machine::{Named, Stage, Word};

/// Where an eID stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EidStage {
    /// Ordered; there is no certificate yet.
    Ordered,
    /// Its certificates are issued, and its holder has not taken it into use.
    Issued,
    /// In use.
    Active,
    /// Suspended.
    Held,
    /// Its order was taken back, or ended, before a certificate was issued.
    Cancelled,
    /// Revoked.
    Revoked,
    /// Its certificates have ended.
    Expired,
}

/// What is done to an eID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EidAct {
    /// It is ordered, with its carrier or as an extra one for another organisation.
    Order,
    /// Its certificates are issued, all of them or none.
    Issue,
    /// Its holder takes it into use.
    Activate,
    /// It is suspended.
    Hold,
    /// The suspension ends.
    Release,
    /// Its order is taken back, or ends.
    Cancel,
    /// It is revoked, or its carrier, holder or organisation is.
    Revoke,
    /// Its last second is over.
    Expire,
}

impl EidAct {
    /// What it does to each certificate of the eID, in one transaction.
    #[must_use]
    pub const fn of_each_certificate(self) -> Option<CertificateAct> {
        match self {
            Self::Issue => Some(CertificateAct::Issue),
            Self::Activate => Some(CertificateAct::Activate),
            Self::Hold => Some(CertificateAct::Hold),
            Self::Release => Some(CertificateAct::Release),
            Self::Revoke => Some(CertificateAct::Revoke),
            // That a certificate has ended is reckoned from its last second and stands in no log.
            Self::Order | Self::Cancel | Self::Expire => None,
        }
    }
}

impl EidStage {
    /// Where each of its certificates may stand meanwhile; nowhere where there are none.
    #[must_use]
    pub const fn certificates(self) -> &'static [CertificateState] {
        match self {
            Self::Ordered | Self::Cancelled => &[],
            Self::Issued => &[CertificateState::Issued],
            Self::Active => &[CertificateState::Activated],
            Self::Held => &[CertificateState::Held(HeldFrom::Activated)],
            Self::Revoked => &[CertificateState::Revoked],
            Self::Expired => &[
                CertificateState::Issued,
                CertificateState::Activated,
                CertificateState::Held(HeldFrom::Activated),
            ],
        }
    }
}

impl EidStage {
    /// Where an eID stands whose certificates stand so; `None` for one whose last second is over. Where one of them has been revoked
    /// by itself, it stands where those stand that are left; nowhere without certificates.
    #[must_use]
    pub fn of(certificates: &[Option<CertificateState>]) -> Option<Self> {
        use CertificateState::{Held, Issued, Revoked, Voided};

        let is_gone = |state: &CertificateState| matches!(state, Revoked | Voided);
        let living: Vec<_> = certificates.iter().flatten().filter(|it| !is_gone(it)).collect();
        if living.is_empty() {
            let was_revoked = certificates.iter().flatten().next().is_some();
            let ended = if was_revoked { Self::Revoked } else { Self::Expired };
            return (!certificates.is_empty()).then_some(ended);
        }
        Some(if living.iter().any(|state| matches!(state, Held(_))) {
            Self::Held
        } else if living.iter().any(|state| matches!(state, Issued)) {
            Self::Issued
        } else {
            Self::Active
        })
    }
}

impl Named for EidStage {
    fn word(self) -> Word {
        match self {
            Self::Ordered => Word::new("ordered", "Beställd"),
            Self::Issued => Word::new("issued", "Utfärdad"),
            Self::Active => Word::new("active", "Aktiv"),
            Self::Held => Word::new("held", "Tillfälligt spärrad"),
            Self::Cancelled => Word::new("cancelled", "Borttagen"),
            Self::Revoked => Word::new("revoked", "Spärrad"),
            Self::Expired => Word::new("expired", "Utgången"),
        }
    }
}

impl Named for EidAct {
    fn word(self) -> Word {
        match self {
            Self::Order => Word::new("order", "Beställ"),
            Self::Issue => Word::new("issue", "Utfärda"),
            Self::Activate => Word::new("activate", "Aktivera"),
            Self::Hold => Word::new("hold", "Spärra tillfälligt"),
            Self::Release => Word::new("release", "Häv tillfällig spärr"),
            Self::Cancel => Word::new("cancel", "Ta bort beställning"),
            Self::Revoke => Word::new("revoke", "Spärra SITHS eID"),
            Self::Expire => Word::new("expire", "Gå ut"),
        }
    }
}

/// An eID has one way.
impl Named for () {
    fn word(self) -> Word {
        Word::new("", "")
    }
}

impl Stage for EidStage {
    type Act = EidAct;
    type Way = ();

    const THING: Word = Word::new("eid", "SITHS eID");
    const ALL: &'static [Self] = &[
        Self::Ordered,
        Self::Issued,
        Self::Active,
        Self::Held,
        Self::Cancelled,
        Self::Revoked,
        Self::Expired,
    ];
    const ACTS: &'static [EidAct] = &[
        EidAct::Order,
        EidAct::Issue,
        EidAct::Activate,
        EidAct::Hold,
        EidAct::Release,
        EidAct::Cancel,
        EidAct::Revoke,
        EidAct::Expire,
    ];
    const WAYS: &'static [()] = &[()];

    fn step(from: Option<Self>, act: EidAct, (): ()) -> Option<Self> {
        match (from, act) {
            (None, EidAct::Order) => Some(Self::Ordered),
            (Some(Self::Ordered), EidAct::Issue) => Some(Self::Issued),
            (Some(Self::Ordered), EidAct::Cancel) => Some(Self::Cancelled),
            (Some(Self::Issued), EidAct::Activate) | (Some(Self::Held), EidAct::Release) => {
                Some(Self::Active)
            }
            (Some(Self::Active), EidAct::Hold) => Some(Self::Held),
            (Some(Self::Issued | Self::Active | Self::Held), EidAct::Revoke) => Some(Self::Revoked),
            (Some(Self::Issued | Self::Active | Self::Held), EidAct::Expire) => Some(Self::Expired),
            _ => None,
        }
    }
}
