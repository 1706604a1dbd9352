//! Status entry v1: 66 octets, big-endian, one encoding for a fact.
//!
//! The layout is for ever and is told in docs/formats/status-entry.md, with vectors. Decoding
//! refuses every octet that encoding would not have written, so that equal facts hash equally.

use ledger::Hash;
use thiserror::Error;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::issuer::{IssuerId, IssuerRef};
use crate::reason::RevocationReason;
use crate::shown::{AfterExpiry, AnswerClasses, BeforeActivation};

/// The length of every entry, in octets.
pub const LENGTH: usize = 66;

const VERSION: u8 = 1;
const NO_REASON: u8 = 255;

/// One entry of the status log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusEntry {
    /// The first entry of every epoch but the first: what the epoch before it was.
    EpochOpened {
        /// When.
        log_time: UnixTime,
        /// Size of the epoch that ended.
        old_size: u64,
        /// Root of the epoch that ended.
        old_root: Hash,
    },
    /// A CA, known from here on by this entry's leaf index.
    IssuerDeclared {
        /// When.
        log_time: UnixTime,
        /// Which.
        issuer: IssuerId,
    },
    /// A change in the life of a certificate.
    Certificate(CertificateEntry),
}

/// A change in the life of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateEntry {
    /// When the entry was written: never before the log time of an earlier entry.
    pub log_time: UnixTime,
    /// What revocationDate and OCSP's revocationTime show: the log time, except in entries imported
    /// from another operator, which keep his.
    pub effective_time: UnixTime,
    /// The CA, declared earlier in this epoch.
    pub issuer: IssuerRef,
    /// The certificate's serial number.
    pub serial: SerialNumber,
    /// What happened.
    pub change: Change,
}

/// What happened to a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was signed and recorded.
    Issued {
        /// The last second of its validity.
        not_after: UnixTime,
        /// How it is answered for at the ends of its life.
        classes: AnswerClasses,
    },
    /// Its holder took it into use.
    Activated,
    /// It was put on hold.
    Held,
    /// It was released from hold.
    Released,
    /// It was revoked for good; or, if it was revoked before, the reason was corrected.
    Revoked {
        /// Why; `None` for unspecified.
        reason: Option<RevocationReason>,
        /// Since when the key may have been in other hands.
        invalidity_date: Option<UnixTime>,
    },
    /// Its issuing was given up.
    Voided {
        /// The last second of the validity it would have had.
        not_after: UnixTime,
    },
}

impl CertificateEntry {
    /// Returns the entry for an act of our own, which takes effect when it is logged (REV-06).
    #[must_use]
    pub const fn own(
        log_time: UnixTime,
        issuer: IssuerRef,
        serial: SerialNumber,
        change: Change,
    ) -> Self {
        Self { log_time, effective_time: log_time, issuer, serial, change }
    }
}

impl StatusEntry {
    /// Returns when the entry was written.
    #[must_use]
    pub const fn log_time(&self) -> UnixTime {
        match self {
            Self::EpochOpened { log_time, .. } | Self::IssuerDeclared { log_time, .. } => *log_time,
            Self::Certificate(entry) => entry.log_time,
        }
    }

    /// Writes the entry.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut writer = Writer { octets: [0; LENGTH], next: 0 };
        writer.put(&[VERSION, self.kind().number()]);
        writer.time(Some(self.log_time()));
        match self {
            Self::EpochOpened { old_size, old_root, .. } => {
                writer.put(&old_size.to_be_bytes());
                writer.put(old_root.as_bytes());
            }
            Self::IssuerDeclared { issuer, .. } => writer.put(issuer.as_bytes()),
            Self::Certificate(entry) => entry.write(&mut writer),
        }
        writer.octets
    }

    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// [`EntryParseError`] if the octets are not exactly what [`Self::encode`] writes for some
    /// entry. A follower stops at such an entry: it must not skip what it does not understand.
    pub fn decode(octets: &[u8]) -> Result<Self, EntryParseError> {
        let octets: &[u8; LENGTH] =
            octets.try_into().map_err(|_| EntryParseError::Length { length: octets.len() })?;
        let mut reader = Reader { rest: octets };
        let version = reader.octet();
        if version != VERSION {
            return Err(EntryParseError::UnknownVersion { version });
        }
        let number = reader.octet();
        let kind =
            Kind::from_number(number).ok_or(EntryParseError::UnknownKind { kind: number })?;
        let log_time = reader.time()?;
        let entry = match kind {
            Kind::EpochOpened => {
                let old_size = reader.u64();
                let old_root = Hash::from_bytes(reader.array());
                Self::EpochOpened { log_time, old_size, old_root }
            }
            Kind::IssuerDeclared => {
                Self::IssuerDeclared { log_time, issuer: IssuerId::from_bytes(reader.array()) }
            }
            kind => Self::Certificate(CertificateEntry::read(kind, log_time, &mut reader)?),
        };
        // Padding, and every field that its kind does not have, is zero or 255 as encoded.
        if entry.encode() == *octets { Ok(entry) } else { Err(EntryParseError::NotCanonical) }
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::EpochOpened { .. } => Kind::EpochOpened,
            Self::IssuerDeclared { .. } => Kind::IssuerDeclared,
            Self::Certificate(entry) => match entry.change {
                Change::Issued { .. } => Kind::Issued,
                Change::Activated => Kind::Activated,
                Change::Held => Kind::Held,
                Change::Released => Kind::Released,
                Change::Revoked { .. } => Kind::Revoked,
                Change::Voided { .. } => Kind::Voided,
            },
        }
    }
}

impl CertificateEntry {
    fn write(&self, writer: &mut Writer) {
        let (mut reason, mut invalidity, mut not_after, mut classes) = (None, None, None, [0, 0]);
        match self.change {
            Change::Issued { not_after: last, classes: answer } => {
                not_after = Some(last);
                classes = answer.numbers();
            }
            Change::Revoked { reason: why, invalidity_date } => {
                (reason, invalidity) = (why, invalidity_date);
            }
            Change::Voided { not_after: last } => not_after = Some(last),
            Change::Activated | Change::Held | Change::Released => {}
        }

        let serial = self.serial.as_octets();
        writer.put(&self.issuer.index().to_be_bytes());
        writer.put(&[u8::try_from(serial.len()).unwrap_or_default()]);
        writer.put(serial);
        writer.skip(SerialNumber::MAX_OCTETS - serial.len());
        writer.put(&[reason.map_or(NO_REASON, RevocationReason::code)]);
        writer.time(Some(self.effective_time));
        writer.time(invalidity);
        writer.time(not_after);
        writer.put(&classes);
    }

    fn read(
        kind: Kind,
        log_time: UnixTime,
        reader: &mut Reader<'_>,
    ) -> Result<Self, EntryParseError> {
        let issuer = IssuerRef::from_index(reader.u64());
        let length = reader.octet();
        let octets: [u8; SerialNumber::MAX_OCTETS] = reader.array();
        let serial = octets
            .get(..usize::from(length))
            .and_then(|content| SerialNumber::from_content_octets(content).ok())
            .ok_or(EntryParseError::SerialLength { length })?;
        let code = reader.octet();
        let effective_time = reader.time()?;
        let invalidity = reader.time()?;
        let not_after = reader.time()?;
        let [before, after] = reader.array();

        let change = match kind {
            Kind::Issued => {
                Change::Issued { not_after, classes: AnswerClasses::from_numbers(before, after)? }
            }
            Kind::Activated => Change::Activated,
            Kind::Held => Change::Held,
            Kind::Released => Change::Released,
            Kind::Revoked => Change::Revoked {
                reason: (code != NO_REASON)
                    .then(|| RevocationReason::from_code(code).ok_or(code))
                    .transpose()
                    .map_err(|code| EntryParseError::UnknownReason { code })?,
                invalidity_date: (invalidity != UnixTime::EPOCH).then_some(invalidity),
            },
            Kind::Voided => Change::Voided { not_after },
            Kind::EpochOpened | Kind::IssuerDeclared => return Err(EntryParseError::NotCanonical),
        };
        Ok(Self { log_time, effective_time, issuer, serial, change })
    }
}

impl AnswerClasses {
    const fn numbers(self) -> [u8; 2] {
        let before = match self.before_activation {
            BeforeActivation::Good => 0,
            BeforeActivation::Held => 1,
        };
        let after = match self.after_expiry {
            AfterExpiry::Kept => 0,
            AfterExpiry::Unknown => 1,
        };
        [before, after]
    }

    const fn from_numbers(before: u8, after: u8) -> Result<Self, EntryParseError> {
        let before_activation = match before {
            0 => BeforeActivation::Good,
            1 => BeforeActivation::Held,
            class => return Err(EntryParseError::UnknownClass { class }),
        };
        let after_expiry = match after {
            0 => AfterExpiry::Kept,
            1 => AfterExpiry::Unknown,
            class => return Err(EntryParseError::UnknownClass { class }),
        };
        Ok(Self { before_activation, after_expiry })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    EpochOpened,
    IssuerDeclared,
    Issued,
    Activated,
    Held,
    Released,
    Revoked,
    Voided,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::EpochOpened,
        Self::IssuerDeclared,
        Self::Issued,
        Self::Activated,
        Self::Held,
        Self::Released,
        Self::Revoked,
        Self::Voided,
    ];

    const fn number(self) -> u8 {
        match self {
            Self::EpochOpened => 1,
            Self::IssuerDeclared => 2,
            Self::Issued => 3,
            Self::Activated => 4,
            Self::Held => 5,
            Self::Released => 6,
            Self::Revoked => 7,
            Self::Voided => 8,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

struct Writer {
    octets: [u8; LENGTH],
    next: usize,
}

impl Writer {
    fn put(&mut self, octets: &[u8]) {
        let end = self.next + octets.len();
        if let Some(place) = self.octets.get_mut(self.next..end) {
            place.copy_from_slice(octets);
        }
        self.next = end;
    }

    const fn skip(&mut self, count: usize) {
        self.next += count;
    }

    /// Writes a time, or zero for none.
    fn time(&mut self, time: Option<UnixTime>) {
        self.put(&time.map_or(0, UnixTime::secs).to_be_bytes());
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// Takes the next octets. An entry is longer than all of its fields: there always are enough.
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.rest.split_first_chunk::<N>().unwrap_or((&[0; N], &[]));
        self.rest = rest;
        *taken
    }

    fn octet(&mut self) -> u8 {
        let [octet] = self.array();
        octet
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    fn time(&mut self) -> Result<UnixTime, EntryParseError> {
        let secs = self.u64();
        UnixTime::from_secs(secs).map_err(|_| EntryParseError::TimeOutOfRange { secs })
    }
}

/// Why octets are not a status entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntryParseError {
    /// Another length.
    #[error("status entry has {length} octets, all have 66")]
    Length { length: usize },
    /// A later format.
    #[error("status entry has version {version}, 1 is known")]
    UnknownVersion { version: u8 },
    /// No such kind.
    #[error("status entry has kind {kind}, 1 to 8 are known")]
    UnknownKind { kind: u8 },
    /// A time that no certificate can carry.
    #[error("status entry has the time {secs}, which is after the year 9999")]
    TimeOutOfRange { secs: u64 },
    /// The serial's length octet.
    #[error("status entry has a serial number of {length} octets, 1 to 20 are possible")]
    SerialLength { length: u8 },
    /// A reason that is none.
    #[error("status entry has reason {code}, which nothing is revoked for")]
    UnknownReason { code: u8 },
    /// An answer class that is none.
    #[error("status entry has answer class {class}, 0 and 1 are known")]
    UnknownClass { class: u8 },
    /// Octets that encoding does not write.
    #[error("status entry has octets where its kind has none")]
    NotCanonical,
}
