//! What a delta CRL says: everything that a complete list made now would say otherwise than its base
//! (RFC 5280 §5.2.4, CRL-08).
//!
//! The base is the last complete list that was published, so an entry stands on every delta until one complete list
//! has carried it, and base and delta together are the complete list of that instant. Who has put the last delta to
//! the base comes to the same list: what stood on that delta is taken back where it must be. All ascend by serial,
//! so the difference is one merge in constant memory.
//!
//! removeFromCRL un-revokes for whoever reads it. So each needs an explanation, as on a complete list (CRL-11).

use std::io::Read;

use thiserror::Error;
use x509::crl::{CrlReadError, CrlReader, ReasonCode, RevokedEntry};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::compare::Departure;
use crate::entry::CrlEntry;

/// The entries of a delta, in the order of their serials; `rows` are those that a complete list would have.
///
/// `last` is the last delta to the same base, if there was one. An entry that left base or last delta, released from
/// hold or expired as `departure` says, is removeFromCRL under the date that it had. After an error comes nothing more.
pub fn delta<R: Read, E>(
    base: CrlReader<R>,
    last: Option<CrlReader<R>>,
    rows: impl Iterator<Item = Result<CrlEntry, E>>,
    departure: impl FnMut(&RevokedEntry) -> Departure,
) -> impl Iterator<Item = Result<CrlEntry, DeltaError<E>>> {
    let base_update = base.head().this_update;
    let mut merge = Merge {
        base: Listed::of(Some(base)),
        last: Listed::of(last),
        rows,
        row_next: None,
        departure,
        base_update,
        state: State::Unread,
    };
    std::iter::from_fn(move || merge.next())
}

#[derive(PartialEq, Eq)]
enum State {
    Unread,
    Going,
    Ended,
}

struct Merge<R, I, D> {
    base: Listed<R>,
    last: Listed<R>,
    rows: I,
    row_next: Option<CrlEntry>,
    departure: D,
    base_update: UnixTime,
    state: State,
}

impl<R, E, I, D> Merge<R, I, D>
where
    R: Read,
    I: Iterator<Item = Result<CrlEntry, E>>,
    D: FnMut(&RevokedEntry) -> Departure,
{
    fn next(&mut self) -> Option<Result<CrlEntry, DeltaError<E>>> {
        if self.state == State::Ended {
            return None;
        }
        let found = self.find().transpose();
        if !matches!(found, Some(Ok(_))) {
            self.state = State::Ended;
        }
        found
    }

    fn find(&mut self) -> Result<Option<CrlEntry>, DeltaError<E>> {
        if self.state == State::Unread {
            self.state = State::Going;
            self.base.read()?;
            self.last.read()?;
            self.read_row()?;
        }
        loop {
            let row = self.row_next.as_ref().map(CrlEntry::serial);
            let next = [self.base.serial(), self.last.serial(), row].into_iter().flatten().min();
            let Some(serial) = next else { return Ok(None) };
            let base = self.base.take(serial)?;
            let last = self.last.take(serial)?;
            let row = if row == Some(serial) { self.read_row()? } else { None };
            let said = match row {
                Some(row) => stays(base.as_ref(), last.as_ref(), row)?,
                None => self.leaves(base, last)?,
            };
            if said.is_some() {
                return Ok(said);
            }
        }
    }

    /// What is said of an entry that a complete list would not have any more.
    fn leaves(
        &mut self,
        base: Option<RevokedEntry>,
        last: Option<RevokedEntry>,
    ) -> Result<Option<CrlEntry>, DeltaError<E>> {
        let Some(shown) = base.or(last) else { return Ok(None) };
        let lost = DeltaError::Lost { serial: shown.serial };
        match (self.departure)(&shown) {
            Departure::Expired { not_after } if self.base_update > not_after => {}
            Departure::Released if ![base, last].iter().flatten().any(is_final) => {}
            Departure::Expired { .. } | Departure::Released | Departure::Unexplained => {
                return Err(lost);
            }
        }
        let reason = Some(ReasonCode::RemoveFromCrl);
        Ok(Some(CrlEntry::from(RevokedEntry { reason, invalidity_date: None, ..shown })))
    }

    /// Reads the next row and returns the one that was next. Whether they ascend is asked where the list is written.
    fn read_row(&mut self) -> Result<Option<CrlEntry>, DeltaError<E>> {
        let next = self.rows.next().transpose().map_err(DeltaError::Rows)?;
        Ok(std::mem::replace(&mut self.row_next, next))
    }
}

/// What is said of an entry that a complete list would have: nothing, where base alone says it already.
fn stays<E>(
    base: Option<&RevokedEntry>,
    last: Option<&RevokedEntry>,
    row: CrlEntry,
) -> Result<Option<CrlEntry>, DeltaError<E>> {
    let now = row.revoked();
    let is_softer = |before: &&RevokedEntry| {
        is_final(before) && (!is_final(now) || before.revocation_date != now.revocation_date)
    };
    if [base, last].iter().flatten().any(is_softer) {
        return Err(DeltaError::Unrevoked { serial: row.serial() });
    }
    Ok((last.is_some() || base != Some(now)).then_some(row))
}

/// Whether nothing takes the entry back.
fn is_final(entry: &RevokedEntry) -> bool {
    !matches!(entry.reason, Some(ReasonCode::CertificateHold | ReasonCode::RemoveFromCrl))
}

/// A list that was signed before, and its next entry.
struct Listed<R> {
    reader: Option<CrlReader<R>>,
    next: Option<RevokedEntry>,
}

impl<R: Read> Listed<R> {
    const fn of(reader: Option<CrlReader<R>>) -> Self {
        Self { reader, next: None }
    }

    fn serial(&self) -> Option<SerialNumber> {
        self.next.as_ref().map(|entry| entry.serial)
    }

    /// The next entry, if it is of that serial.
    fn take<E>(&mut self, serial: SerialNumber) -> Result<Option<RevokedEntry>, DeltaError<E>> {
        if self.serial() == Some(serial) { self.read() } else { Ok(None) }
    }

    /// Reads the next entry and returns the one that was next.
    fn read<E>(&mut self) -> Result<Option<RevokedEntry>, DeltaError<E>> {
        let next = self.reader.as_mut().and_then(Iterator::next).transpose();
        let next = next.map_err(DeltaError::Base)?;
        if let (Some(entry), Some(last)) = (&next, self.serial())
            && last >= entry.serial
        {
            return Err(DeltaError::Order { serial: entry.serial });
        }
        Ok(std::mem::replace(&mut self.next, next))
    }
}

/// Why a delta was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeltaError<E> {
    /// The base, or the delta before, could not be read.
    #[error("base of the delta CRL, or the delta before, could not be read")]
    Base(#[source] CrlReadError),
    /// Lists can be merged only when they ascend.
    #[error(
        "entry {serial} of the delta's base, or of the delta before, is out of order or stands twice"
    )]
    Order {
        /// The certificate.
        serial: SerialNumber,
    },
    /// A revocation would be taken back, and nothing explains it.
    #[error(
        "entry {serial} stands on the delta's base or on the delta before, is gone, and neither release nor expiry explains it"
    )]
    Lost {
        /// The certificate.
        serial: SerialNumber,
    },
    /// What was final would become a hold, or have another date.
    #[error(
        "entry {serial} is final on the delta's base or on the delta before, and is now on hold or of another date"
    )]
    Unrevoked {
        /// The certificate.
        serial: SerialNumber,
    },
    /// The rows could not be had.
    #[error("rows of the delta CRL could not be read")]
    Rows(#[source] E),
}
