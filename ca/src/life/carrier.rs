//! A carrier (*bärare*): a card from its order to its end, or a telephone from its enrolment.

use super::eid::EidStage;
use super::machine::{Named, Stage, Word};
use crate::carrier::CarrierKind;

/// Where a carrier stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CarrierStage {
    /// Ordered from the supplier, for somebody.
    Ordered,
    /// On its way to the holder; an administrator can activate it.
    Sent,
    /// A reserve card that belongs to nobody yet.
    Blank,
    /// Its activation has begun and must be finished in time.
    Activating,
    /// In use.
    Active,
    /// Its order was taken back before it was sent.
    Cancelled,
    /// Never used, or given up in the middle of its activation.
    Deregistered,
    /// Revoked, with every eID on it.
    Revoked,
    /// Its life is over.
    Expired,
}

/// What is done to a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CarrierAct {
    /// A card is ordered from the supplier.
    Order,
    /// A blank card of a batch is taken into the register.
    Register,
    /// The supplier has produced it and sent it.
    Send,
    /// The holder is there, with an administrator or with an eID that proves who it is.
    BeginActivation,
    /// The activation is finished.
    Activate,
    /// The activation was not finished in time.
    LetLapse,
    /// The order is taken back.
    Cancel,
    /// It is taken out of the register: not activated in time, damaged, returned.
    Deregister,
    /// It is revoked.
    Revoke,
    /// Its last day is over.
    Expire,
}

impl CarrierStage {
    /// Where a carrier stands that is not revoked and bears these eIDs.
    #[must_use]
    pub fn bearing(eids: &[EidStage]) -> Self {
        let any = |stage| eids.contains(&stage);
        if any(EidStage::Active) || any(EidStage::Held) {
            Self::Active
        } else if any(EidStage::Issued) {
            Self::Activating
        } else if !eids.is_empty() && eids.iter().all(|stage| *stage == EidStage::Expired) {
            Self::Expired
        } else {
            // Its eIDs were revoked, and it was not: it can bear others.
            Self::Active
        }
    }
}

impl CarrierAct {
    /// What a call does to a carrier before there is a certificate on it.
    pub const BEFORE_CERTIFICATES: [Self; 3] = [Self::Send, Self::Cancel, Self::Deregister];
}

impl Named for CarrierStage {
    fn word(self) -> Word {
        match self {
            Self::Ordered => Word::new("ordered", "Beställd"),
            Self::Sent => Word::new("sent", "Skickat"),
            Self::Blank => Word::new("blank", "Oanvänt"),
            Self::Activating => Word::new("activating", "Aktivering påbörjad"),
            Self::Active => Word::new("active", "Aktiv"),
            Self::Cancelled => Word::new("cancelled", "Borttagen"),
            Self::Deregistered => Word::new("deregistered", "Avregistrerad"),
            Self::Revoked => Word::new("revoked", "Spärrad"),
            Self::Expired => Word::new("expired", "Utgången"),
        }
    }
}

impl Named for CarrierAct {
    fn word(self) -> Word {
        match self {
            Self::Order => Word::new("order", "Beställ"),
            Self::Register => Word::new("register", "Registrera"),
            Self::Send => Word::new("send", "Skicka"),
            Self::BeginActivation => Word::new("begin-activation", "Påbörja aktivering"),
            Self::Activate => Word::new("activate", "Aktivera"),
            Self::LetLapse => Word::new("let-lapse", "Avbryt aktivering som inte slutförts"),
            Self::Cancel => Word::new("cancel", "Ta bort beställning"),
            Self::Deregister => Word::new("deregister", "Avregistrera"),
            Self::Revoke => Word::new("revoke", "Spärra kort"),
            Self::Expire => Word::new("expire", "Gå ut"),
        }
    }
}

impl Named for CarrierKind {
    fn word(self) -> Word {
        let swedish = match self {
            Self::OrdinaryCard => "Ordinarie kort",
            Self::ReserveCard => "Reservkort",
            Self::MobileDevice => "Mobilt SITHS",
            Self::BlankCard => "Oanvänt kort",
        };
        Word::new(self.name(), swedish)
    }
}

impl Stage for CarrierStage {
    type Act = CarrierAct;
    /// Of three kinds: a blank card is a reserve card that stands at [`CarrierStage::Blank`].
    type Way = CarrierKind;

    const THING: Word = Word::new("carrier", "Bärare");
    const ALL: &'static [Self] = &[
        Self::Ordered,
        Self::Sent,
        Self::Blank,
        Self::Activating,
        Self::Active,
        Self::Cancelled,
        Self::Deregistered,
        Self::Revoked,
        Self::Expired,
    ];
    const ACTS: &'static [CarrierAct] = &[
        CarrierAct::Order,
        CarrierAct::Register,
        CarrierAct::Send,
        CarrierAct::BeginActivation,
        CarrierAct::Activate,
        CarrierAct::LetLapse,
        CarrierAct::Cancel,
        CarrierAct::Deregister,
        CarrierAct::Revoke,
        CarrierAct::Expire,
    ];
    const WAYS: &'static [CarrierKind] =
        &[CarrierKind::OrdinaryCard, CarrierKind::ReserveCard, CarrierKind::MobileDevice];

    fn step(from: Option<Self>, act: CarrierAct, way: CarrierKind) -> Option<Self> {
        use CarrierAct as Act;
        use CarrierKind::{MobileDevice, OrdinaryCard, ReserveCard};

        match (from, act, way) {
            (None, Act::Order, OrdinaryCard) => Some(Self::Ordered),
            (None, Act::Register, ReserveCard) => Some(Self::Blank),
            (Some(Self::Ordered), Act::Send, OrdinaryCard) => Some(Self::Sent),
            (Some(Self::Ordered), Act::Cancel, OrdinaryCard) => Some(Self::Cancelled),
            (Some(Self::Sent), Act::BeginActivation, OrdinaryCard)
            | (Some(Self::Blank), Act::BeginActivation, ReserveCard)
            | (None, Act::BeginActivation, MobileDevice) => Some(Self::Activating),
            (Some(Self::Activating), Act::Activate, OrdinaryCard | ReserveCard | MobileDevice) => {
                Some(Self::Active)
            }
            // An ordinary card is the holder's from the start and waits for another try. On a reserve card or in
            // a telephone a person's keys may be by now, so that it cannot become nobody's again.
            (Some(Self::Activating), Act::LetLapse, OrdinaryCard) => Some(Self::Sent),
            (Some(Self::Activating), Act::LetLapse, ReserveCard | MobileDevice) => {
                Some(Self::Deregistered)
            }
            (Some(Self::Sent), Act::Deregister, OrdinaryCard)
            | (Some(Self::Blank), Act::Deregister, ReserveCard) => Some(Self::Deregistered),
            (Some(Self::Sent), Act::Revoke, OrdinaryCard)
            | (Some(Self::Blank), Act::Revoke, ReserveCard)
            | (
                Some(Self::Activating | Self::Active),
                Act::Revoke,
                OrdinaryCard | ReserveCard | MobileDevice,
            ) => Some(Self::Revoked),
            (Some(Self::Sent), Act::Expire, OrdinaryCard)
            | (Some(Self::Blank), Act::Expire, ReserveCard)
            | (
                Some(Self::Activating | Self::Active),
                Act::Expire,
                OrdinaryCard | ReserveCard | MobileDevice,
            ) => Some(Self::Expired),
            _ => None,
        }
    }
}
