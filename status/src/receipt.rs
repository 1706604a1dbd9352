//! The receipt of revocations (promise 4): who saw them where, and that everybody who had to has.
//!
//! OCSP and CRL are receipted apart, since the world learns of a revocation by them at different times. A receipt names
//! the *points* at which a revocation had to be seen (vantage point with its key, method, URL), the revocations, and
//! holds the observations themselves: it is judged from itself and from pinned keys. docs/formats/receipt.md.

use std::fmt;
use std::str::FromStr;

use ledger::{DeploymentName, ReceiptText};
use thiserror::Error;
use x509::key::SpkiHash;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::observation::{
    ObservationError, ProbeMethod, SeenRevocation, SeenStatus, SignedObservation, VantageName,
    read_sha256, read_time,
};
use crate::{IssuerId, Position};

/// What version 1 begins with, behind its origin.
const VERSION: &str = "receipt/1";
/// What stands before each line of an observation.
const QUOTED: &str = "| ";

/// By which of the two the world learns of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptMethod {
    /// By asking.
    Ocsp,
    /// By list.
    Crl,
}

impl ReceiptMethod {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ocsp, Self::Crl];

    /// The name, as formats and the API have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ocsp => "ocsp",
            Self::Crl => "crl",
        }
    }

    /// In which ways each URL has to be asked.
    #[must_use]
    pub const fn probes(self) -> &'static [ProbeMethod] {
        match self {
            Self::Ocsp => &[ProbeMethod::OcspGet, ProbeMethod::OcspPost],
            Self::Crl => &[ProbeMethod::Crl],
        }
    }

    /// The one that a probe belongs to. A delta has no receipt: who reads lists alone sees a revocation when the complete one has it.
    #[must_use]
    pub const fn of(probe: ProbeMethod) -> Option<Self> {
        match probe {
            ProbeMethod::OcspGet | ProbeMethod::OcspPost => Some(Self::Ocsp),
            ProbeMethod::Crl => Some(Self::Crl),
            ProbeMethod::CrlDelta => None,
        }
    }
}

impl fmt::Display for ReceiptMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReceiptMethod {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        let found = Self::ALL.into_iter().find(|method| method.as_str() == text);
        found.ok_or(ReceiptError::Row { row: text.to_owned() })
    }
}

/// Where a revocation had to be seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// From where.
    pub vantage: VantageName,
    /// SHA-256 of the SubjectPublicKeyInfo of its key.
    pub key: SpkiHash,
    /// How.
    pub method: ProbeMethod,
    /// At which URL.
    pub url: String,
}

impl Point {
    /// Whether an observation was made at this point, by its key.
    #[must_use]
    pub fn is_of(&self, seen: &SignedObservation) -> bool {
        let observation = seen.observation();
        observation.vantage == self.vantage
            && observation.method == self.method
            && observation.url == self.url
            && seen.signed().key().spki_hash() == self.key
    }
}

/// A revocation, or a hold, as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptEntry {
    /// Where the log says so.
    pub position: Position,
    /// Whose serial.
    pub issuer: IssuerId,
    /// Which.
    pub serial: SerialNumber,
    /// What the world has to see.
    pub revocation: SeenRevocation,
}

impl ReceiptEntry {
    /// Whether an observation shows this very revocation: serial, time and reason.
    #[must_use]
    pub fn is_seen_by(&self, seen: &SignedObservation) -> bool {
        let observation = seen.observation();
        observation.issuer == self.issuer
            && observation.of(&self.serial) == Some(SeenStatus::Revoked(self.revocation))
    }
}

/// Revocations that were seen at every point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    deployment: DeploymentName,
    method: ReceiptMethod,
    time: UnixTime,
    points: Vec<Point>,
    entries: Vec<ReceiptEntry>,
    observations: Vec<SignedObservation>,
}

impl Receipt {
    /// Puts a receipt together.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`]: an entry that was not seen at a point, an observation that shows nothing of it, a URL that was
    /// not asked in every way of the method, an observation of another deployment or later than `time`.
    pub fn new(
        deployment: DeploymentName,
        method: ReceiptMethod,
        time: UnixTime,
        points: Vec<Point>,
        entries: Vec<ReceiptEntry>,
        observations: Vec<SignedObservation>,
    ) -> Result<Self, ReceiptError> {
        let receipt = Self { deployment, method, time, points, entries, observations };
        receipt.check()?;
        Ok(receipt)
    }

    fn check(&self) -> Result<(), ReceiptError> {
        if self.points.is_empty() || self.entries.is_empty() {
            return Err(ReceiptError::Empty);
        }
        self.check_points()?;
        for seen in &self.observations {
            let observation = seen.observation();
            let told = || ReceiptError::Foreign { vantage: observation.vantage.clone() };
            if observation.deployment != self.deployment {
                return Err(told());
            }
            if observation.time > self.time {
                return Err(ReceiptError::Later { vantage: observation.vantage.clone() });
            }
            let of_point = self.points.iter().any(|point| point.is_of(seen));
            if !of_point || !self.entries.iter().any(|entry| entry.is_seen_by(seen)) {
                return Err(told());
            }
        }
        for (place, entry) in self.entries.iter().enumerate() {
            let twice = self.entries.iter().take(place).any(|one| {
                one.position == entry.position
                    || (one.issuer == entry.issuer && one.serial == entry.serial)
            });
            if twice {
                return Err(ReceiptError::Twice { serial: entry.serial });
            }
            for point in &self.points {
                let seen = |one: &&SignedObservation| point.is_of(one) && entry.is_seen_by(one);
                if !self.observations.iter().any(|one| seen(&one)) {
                    return Err(ReceiptError::NotSeen {
                        serial: entry.serial,
                        point: Box::new(point.clone()),
                    });
                }
            }
        }
        Ok(())
    }

    /// Every URL of every vantage point in every way of the method, under one key a vantage point.
    fn check_points(&self) -> Result<(), ReceiptError> {
        for (place, point) in self.points.iter().enumerate() {
            let told = || ReceiptError::Point { point: Box::new(point.clone()) };
            let others = self.points.iter().take(place);
            if ReceiptMethod::of(point.method) != Some(self.method)
                || others.clone().any(|one| one == point)
                || others.clone().any(|one| one.vantage == point.vantage && one.key != point.key)
            {
                return Err(told());
            }
            for method in self.method.probes() {
                let wanted = Point { method: *method, ..point.clone() };
                if !self.points.contains(&wanted) {
                    return Err(told());
                }
            }
        }
        Ok(())
    }

    /// Whose revocations these are.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentName {
        &self.deployment
    }

    /// OCSP or CRL.
    #[must_use]
    pub const fn method(&self) -> ReceiptMethod {
        self.method
    }

    /// When the CA signed it, by its clock.
    #[must_use]
    pub const fn time(&self) -> UnixTime {
        self.time
    }

    /// Where the revocations had to be seen, and were.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The revocations.
    #[must_use]
    pub fn entries(&self) -> &[ReceiptEntry] {
        &self.entries
    }

    /// What was seen.
    #[must_use]
    pub fn observations(&self) -> &[SignedObservation] {
        &self.observations
    }

    /// The text that the receipt key signs.
    ///
    /// # Errors
    ///
    /// [`ReceiptError::Text`] when it is longer than a note, or a URL cannot stand in a row.
    pub fn to_text(&self) -> Result<ReceiptText, ReceiptError> {
        let mut rows =
            vec![format!("{VERSION} {}", self.method), format!("time {}", self.time.secs())];
        for Point { vantage, key, method, url } in &self.points {
            rows.push(format!("point {vantage} {key} {method} {url}"));
        }
        for ReceiptEntry { position, issuer, serial, revocation } in &self.entries {
            rows.push(format!("entry {position} {issuer} {serial} {revocation}"));
        }
        for observation in &self.observations {
            rows.push("observation".to_owned());
            let quoted =
                observation.signed().as_str().lines().map(|line| format!("{QUOTED}{line}"));
            rows.extend(quoted);
        }
        Ok(ReceiptText::new(self.deployment.clone(), rows)?)
    }

    /// Reads a text; each observation's own signature is verified under the key that it names.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`] as of [`Self::new`]; or the text is not exactly what [`Self::to_text`] writes.
    pub fn from_text(text: &ReceiptText) -> Result<Self, ReceiptError> {
        let mut rows = text.rows().peekable();
        let first = rows.next().unwrap_or_default();
        let method = first.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix(' '));
        let method: ReceiptMethod = method.ok_or_else(|| malformed(first))?.parse()?;
        let second = rows.next().unwrap_or_default();
        let time = second.strip_prefix("time ").and_then(read_time);
        let time = time.ok_or_else(|| malformed(second))?;
        let (mut points, mut entries, mut observations) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(row) = rows.next() {
            if let Some(point) = row.strip_prefix("point ") {
                points.push(read_point(point).ok_or_else(|| malformed(row))?);
            } else if let Some(entry) = row.strip_prefix("entry ") {
                entries.push(read_entry(entry).ok_or_else(|| malformed(row))?);
            } else if row == "observation" {
                let mut quoted = String::new();
                while let Some(line) = rows.next_if(|row| row.starts_with(QUOTED)) {
                    quoted.push_str(line.strip_prefix(QUOTED).unwrap_or_default());
                    quoted.push('\n');
                }
                observations.push(SignedObservation::open(quoted.as_bytes())?);
            } else {
                return Err(malformed(row));
            }
        }
        let receipt =
            Self::new(text.deployment().clone(), method, time, points, entries, observations)?;
        // Rows in another order, or a number in another spelling, are another text.
        if receipt.to_text()? == *text { Ok(receipt) } else { Err(ReceiptError::Order) }
    }
}

fn read_point(text: &str) -> Option<Point> {
    let fields: Vec<&str> = text.split(' ').collect();
    let [vantage, key, method, url] = fields.as_slice() else { return None };
    Some(Point {
        vantage: vantage.parse().ok()?,
        key: SpkiHash::from_bytes(read_sha256(key)?),
        method: method.parse().ok()?,
        url: (*url).to_owned(),
    })
}

fn read_entry(text: &str) -> Option<ReceiptEntry> {
    let fields: Vec<&str> = text.split(' ').collect();
    let [position, issuer, serial, revocation] = fields.as_slice() else { return None };
    Some(ReceiptEntry {
        position: position.parse().ok()?,
        issuer: IssuerId::from_bytes(read_sha256(issuer)?),
        serial: serial.parse().ok()?,
        revocation: revocation.parse().ok()?,
    })
}

fn malformed(row: &str) -> ReceiptError {
    ReceiptError::Row { row: row.chars().take(80).collect() }
}

/// Why something is no receipt, or shows less than it says.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiptError {
    /// A row that version 1 does not have.
    #[error("row {row:?} is none of a receipt of version 1")]
    Row {
        /// Its beginning.
        row: String,
    },
    /// The rows are right, but not in their order or spelling.
    #[error("rows of the receipt stand in another order or spelling than version 1 has")]
    Order,
    /// Nothing is receipted.
    #[error("receipt names no point or no revocation")]
    Empty,
    /// The text as a whole.
    #[error("text of the receipt is refused")]
    Text(#[from] ledger::receipt::ReceiptTextError),
    /// An embedded statement.
    #[error("an observation in the receipt is refused")]
    Observation(#[from] ObservationError),
    /// An observation that has no business here.
    #[error(
        "an observation from {vantage} is of another deployment, of no point of the receipt, or shows none of its revocations"
    )]
    Foreign {
        /// From where it says to be.
        vantage: VantageName,
    },
    /// An observation from after the receipt.
    #[error("an observation from {vantage} is later than the receipt")]
    Later {
        /// From where.
        vantage: VantageName,
    },
    /// A serial or a position twice.
    #[error("serial {serial} or its position stands in the receipt twice")]
    Twice {
        /// The serial.
        serial: SerialNumber,
    },
    /// A point of another method, twice, under two keys, or asked in one way only.
    #[error("point {} {} {} is of another method, twice there, under two keys, or not asked in every way", point.vantage, point.method, point.url)]
    Point {
        /// The point.
        point: Box<Point>,
    },
    /// What makes a receipt one.
    #[error("serial {serial} was not seen revoked by {} from {} at {}", point.method, point.vantage, point.url)]
    NotSeen {
        /// The serial.
        serial: SerialNumber,
        /// Where.
        point: Box<Point>,
    },
}

#[cfg(test)]
mod tests;
