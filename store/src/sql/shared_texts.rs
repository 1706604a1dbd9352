//! What many answers say alike and is about nobody, such as the chain of an authority, kept once.
//!
//! The sealed body of an answer lacks these texts; a row of cuts says where each belongs. The chain is more than half
//! of an answer with a certificate. The seal of the rest holds the cuts and the digests of the texts too: neither is sealed itself.

use std::cmp::Reverse;

use aws_lc_rs::digest::{SHA256, digest};
use memchr::memmem;
use rusqlite::params;

use super::connection::{Connection, OptionalExtension as _};
use crate::StoreError;
use crate::order::SharedText;

/// Octets of one cut: where the text belongs in the rest of the body (4), and its row (8), both big-endian.
const CUT: usize = 12;

/// A body without the texts that are kept once.
pub(super) struct Cut {
    pub(super) rest: Vec<u8>,
    /// `None` where nothing was taken out.
    pub(super) cuts: Option<Vec<u8>>,
    /// Each cut with the SHA-256 of its text, one after the other: the seal of the rest holds them.
    pub(super) bound: Vec<u8>,
}

/// Takes each of `shared` out of `body`, wherever it is.
pub(super) fn cut(
    connection: &Connection,
    body: &[u8],
    shared: &[SharedText],
) -> Result<Cut, StoreError> {
    let mut found: Vec<(usize, &SharedText)> = Vec::new();
    for text in shared {
        found.extend(memmem::find_iter(body, text.as_bytes()).map(|place| (place, text)));
    }
    // The longest first, where one begins with another.
    found.sort_unstable_by_key(|(place, text)| (*place, Reverse(text.as_bytes().len())));
    let (mut rest, mut cuts, mut read) = (Vec::with_capacity(body.len()), Vec::new(), 0);
    let mut bound = Vec::new();
    for (place, text) in found {
        // It lies in what was taken out already.
        let Some(before) = body.get(read..place) else { continue };
        let Ok(offset) = u32::try_from(rest.len().saturating_add(before.len())) else { break };
        rest.extend_from_slice(before);
        let [one, two] = [&offset.to_be_bytes()[..], &row_of(connection, text)?.to_be_bytes()];
        cuts.extend_from_slice(&[one, two].concat());
        bound.extend_from_slice(&[one, two, text.sha256()].concat());
        read = place.saturating_add(text.as_bytes().len());
    }
    rest.extend_from_slice(body.get(read..).unwrap_or_default());
    Ok(Cut { rest, cuts: (!cuts.is_empty()).then_some(cuts), bound })
}

fn row_of(connection: &Connection, text: &SharedText) -> Result<i64, StoreError> {
    let known = |connection: &Connection| {
        connection
            .prepare_cached("SELECT row FROM shared_text WHERE sha256 = ?1")?
            .query_row([text.sha256()], |row| row.get(0))
            .optional()
    };
    if let Some(row) = known(connection)? {
        return Ok(row);
    }
    Ok(connection.insert_new(
        "INSERT INTO shared_text (sha256, text) VALUES (?1, ?2) RETURNING row",
        params![text.sha256(), text.as_bytes()],
    )?)
}

const DAMAGED: StoreError = StoreError::Stored { what: "what an answer shares with others" };

/// What was taken out of a body, as it is kept.
pub(super) struct Texts {
    /// Where each belongs in the rest.
    found: Vec<(usize, Vec<u8>)>,
    /// As [`Cut::bound`].
    pub(super) bound: Vec<u8>,
}

/// Reads the texts of `cuts`. One that is not what its digest says is refused.
pub(super) fn read(connection: &Connection, cuts: &[u8]) -> Result<Texts, StoreError> {
    let (cuts, odd) = cuts.as_chunks::<CUT>();
    if !odd.is_empty() {
        return Err(DAMAGED);
    }
    let mut texts = Texts { found: Vec::new(), bound: Vec::new() };
    for cut in cuts {
        let (offset, row) = cut.split_first_chunk::<4>().ok_or(DAMAGED)?;
        let offset = usize::try_from(u32::from_be_bytes(*offset)).map_err(|_| DAMAGED)?;
        let row = i64::from_be_bytes(row.try_into().map_err(|_| DAMAGED)?);
        let kept: Option<(Vec<u8>, [u8; 32])> = connection
            .prepare_cached("SELECT text, sha256 FROM shared_text WHERE row = ?1")?
            .query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (text, sha256) = kept.ok_or(DAMAGED)?;
        if digest(&SHA256, &text).as_ref() != sha256 {
            return Err(DAMAGED);
        }
        texts.bound.extend_from_slice(cut);
        texts.bound.extend_from_slice(&sha256);
        texts.found.push((offset, text));
    }
    Ok(texts)
}

impl Texts {
    /// The body as it was before the texts were taken out.
    pub(super) fn put_back(&self, rest: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (mut body, mut read) = (Vec::new(), 0);
        for (offset, text) in &self.found {
            body.extend_from_slice(rest.get(read..*offset).ok_or(DAMAGED)?);
            body.extend_from_slice(text);
            read = *offset;
        }
        body.extend_from_slice(rest.get(read..).ok_or(DAMAGED)?);
        Ok(body)
    }
}
