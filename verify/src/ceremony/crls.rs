//! CRLs of a ceremony: numbers, times and revoked certificates never go back.

use std::collections::BTreeMap;
use std::time::Duration;

use ceremony_core::plan::{NumberRule, Revocation};
use crl::CrlNumber;
use x509::certificate::Certificate;
use x509::crl::{CrlForm, CrlHead, CrlReader, CrlTail, ReasonCode, RevokedEntry};
use x509::key::PublicKey;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::artefacts::Field;
use super::second::{self, Message, NotVerified};

/// A CRL that was read whole.
#[derive(Clone, Debug)]
pub(super) struct Crl {
    head: CrlHead,
    entries: Vec<RevokedEntry>,
    pub(super) tail: CrlTail,
}

/// Reads a CRL.
///
/// # Errors
///
/// Why it is none.
pub(super) fn read(octets: &[u8]) -> Result<Crl, String> {
    let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
    let reader = CrlReader::start(octets, CrlForm::CertificateList, length);
    let mut reader = reader.map_err(|error| error.to_string())?;
    let head = reader.head().clone();
    let entries = reader.by_ref().collect::<Result<Vec<_>, _>>();
    let entries = entries.map_err(|error| error.to_string())?;
    let tail = reader.finish().map_err(|error| error.to_string())?;
    Ok(Crl { head, entries, tail })
}

impl Crl {
    /// The second library's opinion.
    pub(super) fn second(&self, key: &PublicKey) -> Result<(), NotVerified> {
        let message = match (&self.tail.message_digest, &self.tail.message) {
            (Some(digest), _) => Message::Digest(digest),
            (None, message) => Message::Octets(message.as_deref().unwrap_or_default()),
        };
        let algorithm = self.tail.algorithm.ok_or(NotVerified)?;
        second::verify(key, algorithm, message, &self.tail.signature)
    }

    fn number(&self) -> Result<CrlNumber, String> {
        let octets = self.tail.extensions.number.as_deref().unwrap_or_default();
        CrlNumber::from_content_octets(octets).map_err(|error| error.to_string())
    }

    pub(super) fn next_update(&self) -> Result<UnixTime, String> {
        self.head.next_update.ok_or_else(|| "a CRL without nextUpdate".to_owned())
    }

    /// What it is, field by field.
    pub(super) fn says(&self) -> Vec<(Field, String)> {
        let next = self.head.next_update.map(|time| time.to_string()).unwrap_or_default();
        vec![
            (Field::Kind, "CRL".to_owned()),
            (Field::Number, self.number().map(|number| number.to_string()).unwrap_or_default()),
            (Field::ThisUpdate, self.head.this_update.to_string()),
            (Field::NextUpdate, next),
            (Field::Entries, self.entries.len().to_string()),
        ]
    }
}

/// What a CRL is held against.
pub(super) struct Gates<'a> {
    pub(super) issuer: &'a Certificate,
    /// The one that was there before the ceremony.
    pub(super) previous: Option<&'a Crl>,
    /// The one before it in a series, and how much later this one begins.
    pub(super) before: Option<(&'a Crl, Option<Duration>)>,
    pub(super) number: NumberRule,
    pub(super) lifetime: Duration,
    pub(super) revoke: &'a [Revocation],
}

impl Gates<'_> {
    /// Judges a CRL whose own signature holds.
    ///
    /// # Errors
    ///
    /// The first gate that it does not pass.
    pub(super) fn judge(&self, own: &Crl) -> Result<(), String> {
        if own.head.issuer != self.issuer.subject().as_der() {
            return Err(format!("it is not of {}", self.issuer.subject()));
        }
        let (begins, ends) = (own.head.this_update, own.next_update()?);
        if begins.checked_add(self.lifetime) != Some(ends) {
            let days = self.lifetime.as_secs() / 86_400;
            return Err(format!("it is of {begins} to {ends}; the plan has {days} days"));
        }
        let number = own.number()?;
        let floor = CrlNumber::from(0).above_by(self.number.floor);
        let mut lowest = floor.ok_or("the plan's floor is no number")?;
        if let Some(previous) = self.previous {
            self.follows(own, previous)?;
            let key = self.issuer.public_key();
            previous.tail.verify(key).map_err(|error| format!("the previous CRL: {error}"))?;
            previous.second(key).map_err(|error| format!("the previous CRL: {error}"))?;
            lowest = lowest.max(previous.number()?);
        }
        let lowest = lowest.above_by(self.number.gap).ok_or("no number is left")?;
        if number < lowest {
            return Err(format!(
                "its number is {number} hexadecimal; by the plan it is {lowest} at least"
            ));
        }
        if let Some((before, every)) = self.before {
            self.follows(own, before)?;
            if number <= before.number()? {
                return Err(format!("its number {number} is not above the one before it"));
            }
            let due = every.and_then(|every| before.head.this_update.checked_add(every));
            if due.is_some_and(|due| due != begins) {
                return Err(format!("it begins at {begins}, not as the plan's series goes on"));
            }
        }
        self.revokes(own)
    }

    /// Nothing that was revoked is good again, and the new list is not older.
    fn follows(&self, own: &Crl, other: &Crl) -> Result<(), String> {
        if own.head.this_update < other.head.this_update {
            return Err(format!("it begins before the one of {}", other.head.this_update));
        }
        if other.head.issuer != own.head.issuer {
            return Err("the CRL before it is of another issuer".to_owned());
        }
        let by_serial = by_serial(own);
        for entry in &other.entries {
            let now = by_serial.get(&entry.serial.to_string());
            if now.is_none_or(|now| now.revocation_date != entry.revocation_date) {
                let serial = entry.serial;
                return Err(format!("serial number {serial} was revoked, and is not so any more"));
            }
        }
        Ok(())
    }

    fn revokes(&self, own: &Crl) -> Result<(), String> {
        let by_serial = by_serial(own);
        for planned in self.revoke {
            let serial: SerialNumber = planned
                .serial
                .as_str()
                .parse()
                .map_err(|_| format!("{} is no serial number", planned.serial))?;
            let entry = by_serial.get(&serial.to_string());
            let holds = entry.is_some_and(|entry| {
                entry.revocation_date == planned.date
                    && entry.reason.map_or("unspecified", reason) == planned.reason.as_str()
            });
            if !holds {
                return Err(format!("it does not revoke {serial} as the plan has it"));
            }
        }
        let before = [self.previous, self.before.map(|(list, _)| list)].into_iter().flatten();
        let known: usize = before.map(|list| list.entries.len()).max().unwrap_or(0);
        let most = known.saturating_add(self.revoke.len());
        if own.entries.len() > most {
            let count = own.entries.len();
            return Err(format!(
                "it has {count} entries; the plan and the CRL before give {most} at most"
            ));
        }
        Ok(())
    }
}

fn by_serial(list: &Crl) -> BTreeMap<String, &RevokedEntry> {
    list.entries.iter().map(|entry| (entry.serial.to_string(), entry)).collect()
}

/// As a plan names it.
const fn reason(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::KeyCompromise => "key-compromise",
        ReasonCode::CaCompromise => "ca-compromise",
        ReasonCode::AffiliationChanged => "affiliation-changed",
        ReasonCode::Superseded => "superseded",
        ReasonCode::CessationOfOperation => "cessation-of-operation",
        ReasonCode::CertificateHold => "certificate-hold",
        ReasonCode::RemoveFromCrl => "remove-from-crl",
        ReasonCode::PrivilegeWithdrawn => "privilege-withdrawn",
        ReasonCode::AaCompromise => "aa-compromise",
    }
}

#[cfg(test)]
#[path = "tests/crls.rs"]
mod tests;
