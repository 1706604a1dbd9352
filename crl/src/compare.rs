//! A new list against the one before it, in one pass over both (CRL-02, CRL-11).
//!
//! A list that lost entries because a query was cut short looks perfectly well by itself. So every
//! entry that is gone must be explained, and what stayed must not have changed its date.

use std::cmp::Ordering;
use std::io::Read;
use std::vec;

use thiserror::Error;
use x509::crl::{CrlHead, CrlReadError, CrlReader, CrlTail, ReasonCode, RevokedEntry};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::kept::{KeptError, LastKept};
use crate::number::{CrlNumber, CrlNumberError};

/// Why an entry of the previous list is not on the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The certificate has expired.
    Expired {
        /// The last second of its validity.
        not_after: UnixTime,
    },
    /// It was released from hold, or activated.
    Released,
    /// Nothing explains it.
    Unexplained,
}

/// Which dates new entries may have (REV-06).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewDates {
    /// None before the previous list: what was revoked earlier would have stood on it.
    SincePrevious,
    /// Any: entries of another operator have just been imported.
    Imported,
}

/// The list before the new one.
#[derive(Debug)]
pub struct PreviousCrl<R> {
    head: CrlHead,
    entries: Entries<R>,
}

#[derive(Debug)]
enum Entries<R> {
    Streamed(Box<CrlReader<R>>),
    Sorted(vec::IntoIter<RevokedEntry>, Box<CrlTail>),
}

impl<R: Read> PreviousCrl<R> {
    /// A list of ours, whose entries ascend: read as a stream.
    #[must_use]
    pub fn ours(reader: CrlReader<R>) -> Self {
        Self { head: reader.head().clone(), entries: Entries::Streamed(Box::new(reader)) }
    }

    /// A list of another operator in whatever order: read into memory, some 80 octets an entry, and
    /// sorted.
    ///
    /// # Errors
    ///
    /// [`CompareError::Read`].
    pub fn foreign(mut reader: CrlReader<R>) -> Result<Self, CompareError> {
        let read = |source| CompareError::Read { which: Which::Previous, source };
        let mut entries: Vec<RevokedEntry> =
            reader.by_ref().collect::<Result<_, _>>().map_err(read)?;
        entries.sort_by_key(|entry| entry.serial);
        let head = reader.head().clone();
        let tail = reader.finish().map_err(read)?;
        Ok(Self { head, entries: Entries::Sorted(entries.into_iter(), Box::new(tail)) })
    }
}

impl<R: Read> Entries<R> {
    fn next(&mut self) -> Option<Result<RevokedEntry, CrlReadError>> {
        match self {
            Self::Streamed(reader) => reader.next(),
            Self::Sorted(entries, _) => entries.next().map(Ok),
        }
    }

    fn finish(self) -> Result<CrlTail, CrlReadError> {
        match self {
            Self::Streamed(reader) => reader.finish(),
            Self::Sorted(_, tail) => Ok(*tail),
        }
    }
}

/// What differs between two lists that may follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Entries that the previous list had not.
    pub added: u64,
    /// Entries that the new list has no more.
    pub departed: u64,
    /// Entries that changed their reason, or their date when a hold became final.
    pub changed: u64,
    /// Entries on the new list.
    pub entries: u64,
}

/// Compares a new list with the previous one and returns the new one's tail beside the differences.
///
/// `departure` explains an entry that is on the previous list only. An expired one may leave once
/// the previous list was made after its notAfter (CRL-09); a released one only if it was on hold.
///
/// # Errors
///
/// [`CompareError`]: the new list must not be signed.
pub fn compare<P: Read, N: Read>(
    previous: PreviousCrl<P>,
    mut next: CrlReader<N>,
    new_dates: NewDates,
    departure: &mut dyn FnMut(&RevokedEntry) -> Departure,
) -> Result<(Comparison, CrlTail), CompareError> {
    let PreviousCrl { head: old_head, entries: old } = previous;
    let new_head = next.head().clone();
    if old_head.issuer != new_head.issuer {
        return Err(CompareError::Differs("issuer"));
    }
    if old_head.next_update == Some(UnixTime::LAST) {
        return Err(CompareError::AfterLast);
    }
    if new_head.this_update < old_head.this_update {
        return Err(CompareError::ThisUpdate {
            found: new_head.this_update,
            previous: old_head.this_update,
        });
    }
    let mut merge = Merge {
        old: Ascending { entries: old, which: Which::Previous, last: None },
        previous_this_update: old_head.this_update,
        new_dates,
        last_expired: None,
        found: Comparison::default(),
    };
    let mut last = None;
    let mut old_entry = merge.pass_same(&mut next, &mut last)?;
    loop {
        let new_entry = next_ascending(&mut next, &mut last)?;
        // Everything on the previous list before the new entry has left.
        while let Some(old) = old_entry
            && new_entry.is_none_or(|new| old.serial < new.serial)
        {
            merge.left(&old, departure(&old))?;
            old_entry = merge.old.next()?;
        }
        let Some(new) = new_entry else { break };
        merge.found.entries = merge.found.entries.saturating_add(1);
        match old_entry {
            Some(old) if old.serial == new.serial => {
                merge.stayed(&old, &new)?;
                old_entry = merge.pass_same(&mut next, &mut last)?;
            }
            _ => merge.came(&new)?,
        }
    }
    let (found, last_expired) = (merge.found, merge.last_expired);
    let old_tail = merge
        .old
        .entries
        .finish()
        .map_err(|source| CompareError::Read { which: Which::Previous, source })?;
    let new_tail =
        next.finish().map_err(|source| CompareError::Read { which: Which::New, source })?;
    compare_tails(&old_tail, &new_tail)?;
    let last = LastKept {
        this_update: old_head.this_update,
        since: old_tail.extensions.expired_certs_on_crl,
    };
    compare_kept(last, new_tail.extensions.expired_certs_on_crl, last_expired)?;
    Ok((found, new_tail))
}

struct Ascending<R> {
    entries: Entries<R>,
    which: Which,
    last: Option<SerialNumber>,
}

impl<R: Read> Ascending<R> {
    fn next(&mut self) -> Result<Option<RevokedEntry>, CompareError> {
        let which = self.which;
        let entry = self.entries.next().transpose();
        ascend(entry.map_err(|source| CompareError::Read { which, source })?, &mut self.last, which)
    }
}

fn next_ascending<R: Read>(
    reader: &mut CrlReader<R>,
    last: &mut Option<SerialNumber>,
) -> Result<Option<RevokedEntry>, CompareError> {
    let which = Which::New;
    let entry = reader.next().transpose();
    ascend(entry.map_err(|source| CompareError::Read { which, source })?, last, which)
}

fn ascend(
    entry: Option<RevokedEntry>,
    last: &mut Option<SerialNumber>,
    which: Which,
) -> Result<Option<RevokedEntry>, CompareError> {
    if let Some(entry) = &entry {
        must_ascend(entry.serial, last, which)?;
    }
    Ok(entry)
}

fn must_ascend(
    serial: SerialNumber,
    last: &mut Option<SerialNumber>,
    which: Which,
) -> Result<(), CompareError> {
    if last.is_some_and(|last| last.cmp(&serial) != Ordering::Less) {
        return Err(CompareError::Order { which, serial });
    }
    *last = Some(serial);
    Ok(())
}

struct Merge<R> {
    old: Ascending<R>,
    previous_this_update: UnixTime,
    new_dates: NewDates,
    /// Of the entries that left by expiry the one that expired last.
    last_expired: Option<(UnixTime, SerialNumber)>,
    found: Comparison,
}

impl<R: Read> Merge<R> {
    /// Goes by what stands on both lists as it was, which is by far the most, and reads the next entry of the previous list. Each
    /// entry of the new one has passed the linter before, so that nothing but its place has to be looked at.
    fn pass_same<N: Read>(
        &mut self,
        next: &mut CrlReader<N>,
        last: &mut Option<SerialNumber>,
    ) -> Result<Option<RevokedEntry>, CompareError> {
        let before = self.found.entries;
        while let Entries::Streamed(old) = &mut self.old.entries
            && let Some(serial) = next.pass_same(old)
        {
            must_ascend(serial, last, Which::New)?;
            if self.found.entries == before {
                must_ascend(serial, &mut self.old.last, Which::Previous)?;
            }
            self.found.entries = self.found.entries.saturating_add(1);
        }
        if self.found.entries > before {
            self.old.last = *last;
        }
        self.old.next()
    }
}

impl<R> Merge<R> {
    fn left(&mut self, old: &RevokedEntry, why: Departure) -> Result<(), CompareError> {
        let serial = old.serial;
        match why {
            Departure::Expired { not_after } if self.previous_this_update > not_after => {
                self.last_expired = self.last_expired.max(Some((not_after, serial)));
            }
            Departure::Expired { not_after } => {
                return Err(CompareError::LeftTooEarly { serial, not_after });
            }
            Departure::Released if old.reason == Some(ReasonCode::CertificateHold) => {}
            Departure::Released | Departure::Unexplained => {
                return Err(CompareError::Lost { serial });
            }
        }
        self.found.departed = self.found.departed.saturating_add(1);
        Ok(())
    }

    fn stayed(&mut self, old: &RevokedEntry, new: &RevokedEntry) -> Result<(), CompareError> {
        let serial = new.serial;
        let was_held = old.reason == Some(ReasonCode::CertificateHold);
        if !was_held && new.reason == Some(ReasonCode::CertificateHold) {
            return Err(CompareError::Unrevoked { serial });
        }
        let moved = old.revocation_date != new.revocation_date;
        if moved && !(was_held && new.revocation_date >= old.revocation_date) {
            return Err(CompareError::DateChanged {
                serial,
                previous: old.revocation_date,
                found: new.revocation_date,
            });
        }
        if old != new {
            self.found.changed = self.found.changed.saturating_add(1);
        }
        Ok(())
    }

    fn came(&mut self, new: &RevokedEntry) -> Result<(), CompareError> {
        if self.new_dates == NewDates::SincePrevious
            && new.revocation_date < self.previous_this_update
        {
            return Err(CompareError::Backdated {
                serial: new.serial,
                date: new.revocation_date,
                previous: self.previous_this_update,
            });
        }
        self.found.added = self.found.added.saturating_add(1);
        Ok(())
    }
}

fn compare_tails(old: &CrlTail, new: &CrlTail) -> Result<(), CompareError> {
    let (old, new) = (&old.extensions, &new.extensions);
    if old.authority_key_id != new.authority_key_id {
        return Err(CompareError::Differs("authorityKeyIdentifier"));
    }
    if old.issuing_distribution_point != new.issuing_distribution_point {
        return Err(CompareError::Differs("issuingDistributionPoint"));
    }
    if old.delta_base.is_some() != new.delta_base.is_some() {
        return Err(CompareError::Differs("deltaCRLIndicator"));
    }
    let number = |octets: &Option<Vec<u8>>, which| {
        let octets = octets.as_deref().unwrap_or_default();
        CrlNumber::from_content_octets(octets)
            .map_err(|source| CompareError::Number { which, source })
    };
    let (previous, found) =
        (number(&old.number, Which::Previous)?, number(&new.number, Which::New)?);
    if found <= previous {
        return Err(CompareError::NumberNotRisen { found, previous });
    }
    Ok(())
}

/// CRL-10: what the CA has once said to keep is kept, and what it says is true of this list.
fn compare_kept(
    last: LastKept,
    found: Option<UnixTime>,
    last_expired: Option<(UnixTime, SerialNumber)>,
) -> Result<(), CompareError> {
    last.may_be_followed_by(found).map_err(CompareError::Kept)?;
    match last_expired {
        Some((not_after, serial)) if found.is_some_and(|since| not_after >= since) => {
            Err(CompareError::Lost { serial })
        }
        _ => Ok(()),
    }
}

/// One of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The new one.
    New,
    /// The one before it.
    Previous,
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Previous => "previous",
        })
    }
}

/// Why a list may not follow the previous one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompareError {
    /// CRL-05.
    #[error("the previous CRL is the CA's last one: it says 99991231235959Z as its nextUpdate")]
    AfterLast,
    /// REV-06.
    #[error("new entry {serial} was revoked at {date}, before the previous CRL of {previous}")]
    Backdated {
        /// The certificate.
        serial: SerialNumber,
        /// Its date.
        date: UnixTime,
        /// thisUpdate of the previous list.
        previous: UnixTime,
    },
    /// REV-06.
    #[error("entry {serial} changed its revocation date from {previous} to {found}")]
    DateChanged {
        /// The certificate.
        serial: SerialNumber,
        /// Its date on the previous list.
        previous: UnixTime,
        /// Its date on the new one.
        found: UnixTime,
    },
    /// A CA's lists agree in these bytes for ever.
    #[error("{0} is not the one of the previous CRL")]
    Differs(&'static str),
    /// CRL-10.
    #[error("expiredCertsOnCRL may not say so")]
    Kept(#[source] KeptError),
    /// CRL-09.
    #[error(
        "entry {serial} left before a CRL made after {not_after}, the end of its validity, carried it"
    )]
    LeftTooEarly {
        /// The certificate.
        serial: SerialNumber,
        /// The last second of its validity.
        not_after: UnixTime,
    },
    /// CRL-11.
    #[error("entry {serial} of the previous CRL is missing and nothing explains why")]
    Lost {
        /// The certificate.
        serial: SerialNumber,
    },
    /// No CRL number, or none that a CRL may have.
    #[error("{which} CRL has no usable number")]
    Number {
        /// Which list.
        which: Which,
        /// Why.
        #[source]
        source: CrlNumberError,
    },
    /// CRL-02.
    #[error("CRL number {found} does not lie above {previous}")]
    NumberNotRisen {
        /// The new number.
        found: CrlNumber,
        /// The previous one.
        previous: CrlNumber,
    },
    /// Two lists can be merged only when both ascend.
    #[error("entry {serial} of the {which} CRL is out of order or stands twice")]
    Order {
        /// Which list.
        which: Which,
        /// The certificate.
        serial: SerialNumber,
    },
    /// A list could not be read.
    #[error("{which} CRL could not be read")]
    Read {
        /// Which list.
        which: Which,
        /// Why.
        #[source]
        source: CrlReadError,
    },
    /// Time does not run back.
    #[error("thisUpdate {found} lies before that of the previous CRL, {previous}")]
    ThisUpdate {
        /// The new one.
        found: UnixTime,
        /// The previous one.
        previous: UnixTime,
    },
    /// REV-03: revoked is final.
    #[error("entry {serial} was revoked and is now on hold")]
    Unrevoked {
        /// The certificate.
        serial: SerialNumber,
    },
}
