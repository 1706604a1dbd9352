//! Revocations that the world has to be seen to show (promise 4), until each of them has its receipt.

use status::observation::SignedObservation;
use status::receipt::Point;
use status::{IssuerId, Position, ProbeMethod, ReceiptMethod, VantageName};
use x509::key::SpkiHash;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::StoreError;
use crate::certificate::StatusRow;

/// A revocation, or a hold, that has no receipt of a method yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Its number here, in the order in which they came. That of the newest may be given again once it is awaited no more.
    pub number: i64,
    /// OCSP or CRL.
    pub method: ReceiptMethod,
    /// Whose serial.
    pub issuer: IssuerId,
    /// Which.
    pub serial: SerialNumber,
    /// Where the log says so.
    pub position: Position,
    /// The log time of that.
    pub since: UnixTime,
    /// How the serial stands now.
    pub status: StatusRow,
    /// What was seen of it, a row a point.
    pub sights: Vec<Sight>,
}

impl Awaited {
    /// Which it is, also after its number was given again.
    #[must_use]
    pub const fn key(&self) -> AwaitedKey {
        AwaitedKey { number: self.number, position: self.position }
    }
}

/// Which revocation is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedKey {
    /// Its number.
    pub number: i64,
    /// Where the log says so.
    pub position: Position,
}

/// What one point saw last of an awaited revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// From where.
    pub vantage: VantageName,
    /// By which key.
    pub key: SpkiHash,
    /// How.
    pub method: ProbeMethod,
    /// At which URL.
    pub url: String,
    /// When it was looked last.
    pub seen: UnixTime,
    /// When the first was seen of those that show the revocation without a break; `None` where the last does not show it.
    pub shown: Option<UnixTime>,
    /// The signed observation of that time; where there is none, the last.
    pub statement: String,
}

impl Sight {
    /// What an observation comes to by itself. `shows`: the revocation was seen.
    #[must_use]
    pub fn of(seen: &SignedObservation, shows: Shows) -> Self {
        let observation = seen.observation();
        Self {
            vantage: observation.vantage.clone(),
            key: seen.signed().key().spki_hash(),
            method: observation.method,
            url: observation.url.clone(),
            seen: observation.time,
            shown: (shows == Shows::Yes).then_some(observation.time),
            statement: seen.signed().as_str().to_owned(),
        }
    }

    /// Whether it was seen at this point, by its key.
    #[must_use]
    pub fn is_of(&self, point: &Point) -> bool {
        self.vantage == point.vantage
            && self.key == point.key
            && self.method == point.method
            && self.url == point.url
    }

    /// What is known after this look, where `before` was known; `None` where nothing changes. What comes late changes nothing, and of two
    /// looks of one second the one that does not show it counts as the later. What another key saw before is no part of it.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Option<Self> {
        let Some(before) = before.filter(|before| before.key == self.key) else {
            return Some(self);
        };
        if self.seen < before.seen || (self.seen == before.seen && self.shown.is_some()) {
            return None;
        }
        match (self.shown, before.shown) {
            (Some(_), Some(_)) => Some(Self { seen: self.seen, ..before.clone() }),
            _ => Some(self),
        }
    }
}

/// Whether an observation shows the revocation that is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// With its time and its reason.
    Yes,
    /// Something else.
    No,
}

/// How much waits, by method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedCount {
    /// OCSP or CRL.
    pub method: ReceiptMethod,
    /// Revocations and holds without a receipt.
    pub count: u64,
    /// The log time of the oldest.
    pub oldest: UnixTime,
}

/// The part of [`Store`](crate::Store) that knows what has to be seen. It is derived from the status log, so no way of
/// revoking can forget it.
pub trait Awaiting {
    /// Takes what the log has more than at the last call, some thousand entries and 250 changes at most: revocations and holds are awaited, and what
    /// was released is no more. Entries from before `since` and certificates that had ended by `now` are passed over. True while there is more.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn await_revocations(&self, since: UnixTime, now: UnixTime) -> Result<bool, StoreError>;

    /// The awaited ones after number `after`, in their order, at most `most`.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn awaited(&self, after: i64, most: u32) -> Result<Vec<Awaited>, StoreError>;

    /// The newest, newest first.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn newest_awaited(&self, most: u32) -> Result<Vec<Awaited>, StoreError>;

    /// The oldest of a method, in their order.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn oldest_awaited(&self, method: ReceiptMethod, most: u32) -> Result<Vec<Awaited>, StoreError>;

    /// The oldest of a method of which this vantage point has shown nothing by this key, among the twenty thousand oldest.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn oldest_unseen(
        &self,
        method: ReceiptMethod,
        vantage: &VantageName,
        key: &SpkiHash,
        most: u32,
    ) -> Result<Vec<Awaited>, StoreError>;

    /// The one of this serial and method.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn awaited_of(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
        method: ReceiptMethod,
    ) -> Result<Option<Awaited>, StoreError>;

    /// Remembers what was seen, as [`Sight::after`] says. What is awaited no more is passed over.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn record_sights(&self, sights: &[(AwaitedKey, Sight)]) -> Result<(), StoreError>;

    /// Awaits these no more: nobody can see them, since no URL leads to them.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn forget_awaited(&self, keys: &[AwaitedKey]) -> Result<(), StoreError>;

    /// Forgets some of those whose certificate had ended by `now`, and says how many: lists leave them out.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn forget_ended_awaited(&self, now: UnixTime) -> Result<u64, StoreError>;

    /// How much waits; no row of a method of which nothing does.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn awaited_counts(&self) -> Result<Vec<AwaitedCount>, StoreError>;

    /// How a serial stands; `None` for one that the log does not know.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn serial_status(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
    ) -> Result<Option<StatusRow>, StoreError>;

    /// A serial that the log speaks of, by lot: that of the row at or after `lot` modulo their number, and how it stands.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn serial_by_lot(
        &self,
        lot: u64,
    ) -> Result<Option<(IssuerId, SerialNumber, StatusRow)>, StoreError>;
}
