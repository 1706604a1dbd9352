//! What a delta CRL says: everything that a complete list made now would say otherwise than its base
//! (RFC 5280 §5.2.4, CRL-08).
//!
//! The base is the last complete list that was published, so an entry stands on every delta until one complete list
//! has carried it, and base and delta together are the complete list of that instant. Both ascend by serial, so the
//! difference is one merge in constant memory.

use std::cmp::Ordering;
use std::io::Read;

use thiserror::Error;
use x509::crl::{CrlReadError, CrlReader, ReasonCode, RevokedEntry};
use x509::serial::SerialNumber;

use crate::entry::CrlEntry;

/// The entries of a delta, in the order of their serials; `rows` are those that a complete list would have.
///
/// An entry that left the base, released from hold or expired, is removeFromCRL under the date that it had. After an
/// error comes nothing more.
pub fn delta<R: Read, E>(
    base: CrlReader<R>,
    rows: impl Iterator<Item = Result<CrlEntry, E>>,
) -> impl Iterator<Item = Result<CrlEntry, DeltaError<E>>> {
    let base = Base { reader: base, last: None };
    let mut merge = Merge { base, rows, base_next: None, row_next: None, state: State::Unread };
    std::iter::from_fn(move || merge.next())
}

#[derive(PartialEq, Eq)]
enum State {
    Unread,
    Going,
    Ended,
}

struct Merge<R, I> {
    base: Base<R>,
    rows: I,
    base_next: Option<RevokedEntry>,
    row_next: Option<CrlEntry>,
    state: State,
}

impl<R: Read, E, I: Iterator<Item = Result<CrlEntry, E>>> Merge<R, I> {
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
            self.read_base()?;
            self.read_row()?;
        }
        loop {
            let order = match (&self.base_next, &self.row_next) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(base), Some(row)) => base.serial.cmp(&row.serial()),
            };
            let (left, came) = match order {
                Ordering::Less => (self.read_base()?, None),
                Ordering::Greater => (None, self.read_row()?),
                Ordering::Equal => (self.read_base()?, self.read_row()?),
            };
            match (left, came) {
                (Some(base), Some(row)) if base == *row.revoked() => {}
                (_, Some(row)) => return Ok(Some(row)),
                (Some(base), None) => {
                    let reason = Some(ReasonCode::RemoveFromCrl);
                    let removed = RevokedEntry { reason, invalidity_date: None, ..base };
                    return Ok(Some(CrlEntry::from(removed)));
                }
                (None, None) => return Ok(None),
            }
        }
    }

    /// Reads the next entry of the base and returns the one that was next.
    fn read_base(&mut self) -> Result<Option<RevokedEntry>, DeltaError<E>> {
        let next = self.base.next()?;
        Ok(std::mem::replace(&mut self.base_next, next))
    }

    /// As [`Self::read_base`], of the rows. Whether these ascend is asked where the list is written.
    fn read_row(&mut self) -> Result<Option<CrlEntry>, DeltaError<E>> {
        let next = self.rows.next().transpose().map_err(DeltaError::Rows)?;
        Ok(std::mem::replace(&mut self.row_next, next))
    }
}

struct Base<R> {
    reader: CrlReader<R>,
    last: Option<SerialNumber>,
}

impl<R: Read> Base<R> {
    fn next<E>(&mut self) -> Result<Option<RevokedEntry>, DeltaError<E>> {
        let next = self.reader.next().transpose().map_err(DeltaError::Base)?;
        if let Some(entry) = &next {
            if self.last.is_some_and(|last| last >= entry.serial) {
                return Err(DeltaError::Order { serial: entry.serial });
            }
            self.last = Some(entry.serial);
        }
        Ok(next)
    }
}

/// Why a delta was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeltaError<E> {
    /// The base could not be read.
    #[error("base of the delta CRL could not be read")]
    Base(#[source] CrlReadError),
    /// Base and rows can be merged only when both ascend.
    #[error("entry {serial} of the delta's base is out of order or stands twice")]
    Order {
        /// The certificate.
        serial: SerialNumber,
    },
    /// The rows could not be had.
    #[error("rows of the delta CRL could not be read")]
    Rows(#[source] E),
}
