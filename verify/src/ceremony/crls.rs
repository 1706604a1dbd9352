//! CRLs of a ceremony: numbers, times and revoked certificates never go back.

use std::collections::BTreeMap;
use std::time::Duration;

use ceremony_core::plan::{Ahead, NumberRule, Revocation};
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

    /// It is a whole list of this issuer, by two libraries.
    ///
    /// # Errors
    ///
    /// What it is else.
    pub(super) fn is_whole_and_of(&self, issuer: &Certificate) -> Result<(), String> {
        if self.head.issuer != issuer.subject().as_der() {
            return Err(format!("the CRL is not of {}", issuer.subject()));
        }
        if self.tail.extensions.delta_base.is_some() {
            return Err("the CRL is a delta, and not the whole list".to_owned());
        }
        let key = issuer.public_key();
        self.tail.verify(key).map_err(|error| format!("the CRL: {error}"))?;
        self.second(key).map_err(|error| format!("the CRL: {error}"))
    }

    fn number(&self) -> Result<CrlNumber, String> {
        let octets = self.tail.extensions.number.as_deref().unwrap_or_default();
        CrlNumber::from_content_octets(octets).map_err(|error| error.to_string())
    }

    pub(super) const fn this_update(&self) -> UnixTime {
        self.head.this_update
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
    /// The one before it in a series.
    pub(super) before: Option<&'a Crl>,
    /// What the plan lays out for it, where it is signed ahead.
    pub(super) ahead: Option<&'a Ahead>,
    pub(super) number: NumberRule,
    pub(super) lifetime: Duration,
    pub(super) revoke: &'a [Revocation],
    /// What the plan says of a gap: nextUpdate of the previous one.
    pub(super) overdue_since: Option<UnixTime>,
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
        self.says_nothing_else(own)?;
        let number = own.number()?;
        let floor = CrlNumber::from(0).above_by(self.number.floor);
        let mut highest = floor.ok_or("the plan's floor is no number")?;
        if let Some(previous) = self.previous {
            self.follows(own, previous)?;
            let key = self.issuer.public_key();
            previous.tail.verify(key).map_err(|error| format!("the previous CRL: {error}"))?;
            previous.second(key).map_err(|error| format!("the previous CRL: {error}"))?;
            self.gap_was_known(begins, previous)?;
            highest = highest.max(previous.number()?);
        }
        if let Some(before) = self.before {
            self.follows(own, before)?;
            highest = highest.max(before.number()?);
        }
        if let Some(ahead) = self.ahead
            && (begins, ends) != (ahead.this_update, ahead.next_update)
        {
            return Err(format!(
                "it is of {begins} to {ends}; the plan lays out {} to {}",
                ahead.this_update, ahead.next_update
            ));
        }
        let wanted = highest.above_by(self.number.gap).ok_or("no number is left")?;
        if number != wanted {
            return Err(format!("its number is {number} hexadecimal; by the plan it is {wanted}"));
        }
        if let Some(ahead) = self.ahead
            && CrlNumber::from(0).above_by(ahead.number).as_ref() != Some(&number)
        {
            let laid_out = ahead.number;
            return Err(format!(
                "its number is {number} hexadecimal; the plan lays out {laid_out}"
            ));
        }
        self.revokes(own)
    }

    /// The one that it comes after.
    fn last(&self) -> Option<&Crl> {
        self.before.or(self.previous)
    }

    /// It is a whole list, of the scope that the one before it has; a first one is of everything.
    fn says_nothing_else(&self, own: &Crl) -> Result<(), String> {
        for (whose, list) in [("it", Some(own)), ("the CRL before it", self.last())] {
            if list.is_some_and(|list| list.tail.extensions.delta_base.is_some()) {
                return Err(format!("{whose} is a delta, and not the whole list"));
            }
        }
        let of = &own.tail.extensions;
        let last = self.last().map(|list| &list.tail.extensions);
        let scope = last.and_then(|last| last.issuing_distribution_point.as_ref());
        if of.issuing_distribution_point.as_ref() != scope {
            return Err("its scope is another than that of the CRL before it".to_owned());
        }
        if of.expired_certs_on_crl != last.and_then(|last| last.expired_certs_on_crl) {
            return Err("what it says of expired certificates is another than before".to_owned());
        }
        if of.freshest_crl.is_some() || of.unknown_critical {
            return Err("it has an extension that no list of a ceremony has".to_owned());
        }
        Ok(())
    }

    /// Where there was no list in force, whoever approved the plan knew of it.
    fn gap_was_known(&self, begins: UnixTime, previous: &Crl) -> Result<(), String> {
        let ended = previous.next_update()?;
        match self.overdue_since {
            None if ended < begins => Err(format!(
                "the previous CRL ended at {ended}, before {begins}, and the plan does not say that it knows (overdue-since)"
            )),
            Some(since) if since != ended => Err(format!(
                "the plan has overdue-since = {since}; the previous CRL ended at {ended}"
            )),
            _ => Ok(()),
        }
    }

    /// The new list is of the same issuer, and not older.
    fn follows(&self, own: &Crl, other: &Crl) -> Result<(), String> {
        if own.head.this_update < other.head.this_update {
            return Err(format!("it begins before the one of {}", other.head.this_update));
        }
        if other.head.issuer != own.head.issuer {
            return Err("the CRL before it is of another issuer".to_owned());
        }
        Ok(())
    }

    /// It names what the one before it named, in the same words, and what the plan revokes, and nothing else. What the plan revokes is in the first
    /// of a series, and so in all of them.
    fn revokes(&self, own: &Crl) -> Result<(), String> {
        let known = self.last().into_iter().flat_map(|list| &list.entries);
        let mut left: BTreeMap<SerialNumber, RevokedEntry> =
            known.map(|entry| (entry.serial, *entry)).collect();
        for planned in self.revoke.iter().filter(|_| self.before.is_none()) {
            let entry = of_plan(planned)?;
            if left.insert(entry.serial, entry).is_some() {
                let serial = entry.serial;
                return Err(format!("the plan revokes {serial}, which is revoked already"));
            }
        }
        for entry in &own.entries {
            let serial = entry.serial;
            match left.remove(&serial) {
                Some(wanted) if wanted == *entry => {}
                Some(_) => {
                    return Err(format!(
                        "serial number {serial} is revoked with another date or reason than before, or than planned"
                    ));
                }
                None => {
                    return Err(format!(
                        "serial number {serial} is neither in the CRL before nor in the plan, or is named twice"
                    ));
                }
            }
        }
        match left.keys().next() {
            None => Ok(()),
            Some(serial) => Err(format!("serial number {serial} is to be revoked, and is not")),
        }
    }
}

/// The entry that a plan asks for.
fn of_plan(planned: &Revocation) -> Result<RevokedEntry, String> {
    let serial = planned.serial.as_str().parse::<SerialNumber>();
    let serial = serial.map_err(|_| format!("{} is no serial number", planned.serial))?;
    let reason = match planned.reason.as_str() {
        "unspecified" => None,
        named => {
            let code = ReasonCode::ALL.into_iter().find(|code| reason(*code) == named);
            Some(code.ok_or_else(|| format!("{named} is no reason"))?)
        }
    };
    Ok(RevokedEntry { serial, revocation_date: planned.date, reason, invalidity_date: None })
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
