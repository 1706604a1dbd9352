//! Streaming a TBSCertList out, and the finished CertificateList after it.

use std::io::{self, Read, Seek, SeekFrom, Write};

use thiserror::Error;

use super::entry::RevokedEntry;
use super::extension::{CrlExtensions, CrlKind, IssuingDistributionPoint};
use super::hashing::Sha256;
use crate::key::SignatureAlgorithm;
use crate::signing::{Signed, ToBeSigned};
use crate::time::UnixTime;
use crate::tlv::{self, Element};
use crate::{stream, time_der};

/// What a new CRL says beside its entries.
#[derive(Clone, Debug)]
pub struct CrlFacts<'a> {
    /// How it will be signed; stands inside and outside of the signed part (CRL-01).
    pub algorithm: SignatureAlgorithm,
    /// The issuer's Name, byte for byte the subject of the issuing certificate.
    pub issuer: &'a [u8],
    /// The content of the issuing certificate's subjectKeyIdentifier, copied, never computed.
    pub authority_key_id: &'a [u8],
    /// When the list was true.
    pub this_update: UnixTime,
    /// When the next one comes at the latest.
    pub next_update: UnixTime,
    /// Content octets of cRLNumber's INTEGER: minimal, not negative, at most 20
    /// (RFC 5280 §5.2.3).
    pub number: &'a [u8],
    /// Whether it is complete or a delta.
    pub kind: CrlKind<'a>,
    /// The issuing distribution point, where the CA's configuration asks for one.
    pub issuing_distribution_point: Option<&'a IssuingDistributionPoint>,
    /// expiredCertsOnCRL, where expired entries are kept (CRL-10).
    pub expired_certs_on_crl: Option<UnixTime>,
}

/// INTEGER 1: version 2.
const VERSION_2: &[u8] = &[0x02, 0x01, 0x01];

impl CrlFacts<'_> {
    /// How many octets stand before the first entry of a list whose entries have so many. They are as many for every list above 16 MiB.
    ///
    /// # Errors
    ///
    /// As [`TbsWriter::start`], but the sink's.
    pub fn octets_before_entries(&self, entries_length: u64) -> Result<u64, CrlWriteError> {
        self.check()?;
        let tail = self.tail()?;
        Ok(stream::octets(&self.head(entries_length, stream::octets(&tail))?))
    }

    /// All that stands before the first entry, given the length of all entries together.
    fn head(&self, entries_length: u64, tail_length: u64) -> Result<Vec<u8>, CrlWriteError> {
        let mut fields = Vec::with_capacity(256);
        fields.extend_from_slice(VERSION_2);
        fields.extend_from_slice(&self.algorithm.identifier_der());
        fields.extend_from_slice(self.issuer);
        time_der::push_time(&mut fields, self.this_update);
        time_der::push_time(&mut fields, self.next_update);
        if entries_length > 0 {
            stream::push_header(&mut fields, tlv::SEQUENCE, entries_length);
        }
        let content = stream::octets(&fields)
            .checked_add(entries_length)
            .and_then(|sum| sum.checked_add(tail_length))
            .filter(|content| *content < stream::MAX_LENGTH.saturating_sub(10_000))
            .ok_or(CrlWriteError::TooLong { entries_length })?;
        let mut head = Vec::with_capacity(fields.len().saturating_add(6));
        stream::push_header(&mut head, tlv::SEQUENCE, content);
        head.append(&mut fields);
        Ok(head)
    }

    /// All that stands after the last entry: the extensions.
    fn tail(&self) -> Result<Vec<u8>, CrlWriteError> {
        let point = match self.issuing_distribution_point {
            None => None,
            Some(point) => {
                Some(point.to_der().ok_or(CrlWriteError::Fact("issuingDistributionPoint"))?)
            }
        };
        let extensions = CrlExtensions::write(
            self.authority_key_id,
            self.number,
            self.kind,
            point.as_deref(),
            self.expired_certs_on_crl,
        );
        Ok(tlv::element(tlv::context_constructed(0), &[&extensions]))
    }

    fn check(&self) -> Result<(), CrlWriteError> {
        Element::only(self.issuer, tlv::SEQUENCE)
            .ok()
            .filter(|name| !name.content.is_empty())
            .ok_or(CrlWriteError::Fact("issuer"))?;
        if self.authority_key_id.is_empty() {
            return Err(CrlWriteError::Fact("authorityKeyIdentifier"));
        }
        if self.next_update <= self.this_update {
            return Err(CrlWriteError::Fact("nextUpdate"));
        }
        if !is_number(self.number) {
            return Err(CrlWriteError::Fact("cRLNumber"));
        }
        match self.kind {
            // Minimal and not negative, so that longer is larger.
            CrlKind::Delta { base }
                if !is_number(base) || (base.len(), base) > (self.number.len(), self.number) =>
            {
                Err(CrlWriteError::Fact("deltaCRLIndicator"))
            }
            CrlKind::Complete { freshest: Some(uri) } if uri.is_empty() || !uri.is_ascii() => {
                Err(CrlWriteError::Fact("freshestCRL"))
            }
            _ => Ok(()),
        }
    }
}

/// The content of an INTEGER that is minimal, not negative and of at most 20 octets (RFC 5280 §5.2.3).
fn is_number(octets: &[u8]) -> bool {
    let minimal = match octets {
        [] => false,
        [first] => *first < 0x80,
        [0, second, ..] => *second >= 0x80,
        [first, ..] => *first < 0x80,
    };
    minimal && octets.len() <= 20
}

/// Streams one TBSCertList. revokedCertificates is absent when the entries' length is 0
/// (RFC 5280 §5.1.2.6).
#[derive(Debug)]
pub struct TbsWriter<W> {
    sink: W,
    tail: Vec<u8>,
    entries_left: u64,
    written: u64,
    buffer: Vec<u8>,
}

/// Entries are handed to the sink in pieces of about this many octets.
const PIECE_OCTETS: usize = 64 * 1024;

impl<W: Write> TbsWriter<W> {
    /// Writes everything before the first entry. `entries_length` is the sum of
    /// [`RevokedEntry::encoded_length`] over the entries that will follow.
    ///
    /// # Errors
    ///
    /// [`CrlWriteError::Fact`] names a fact that a CRL cannot say, [`CrlWriteError::TooLong`] when
    /// it would pass 4 GiB, [`CrlWriteError::Sink`] the sink's own.
    pub fn start(
        mut sink: W,
        facts: &CrlFacts<'_>,
        entries_length: u64,
    ) -> Result<Self, CrlWriteError> {
        facts.check()?;
        let tail = facts.tail()?;
        let head = facts.head(entries_length, stream::octets(&tail))?;
        sink.write_all(&head).map_err(CrlWriteError::Sink)?;
        Ok(Self {
            sink,
            tail,
            entries_left: entries_length,
            written: stream::octets(&head),
            buffer: Vec::with_capacity(PIECE_OCTETS),
        })
    }

    /// Writes one entry.
    ///
    /// # Errors
    ///
    /// [`CrlWriteError::Length`] when it passes the announced length.
    pub fn push(&mut self, entry: &RevokedEntry) -> Result<(), CrlWriteError> {
        self.entries_left =
            self.entries_left.checked_sub(entry.encoded_length()).ok_or(CrlWriteError::Length)?;
        entry.encode_into(&mut self.buffer);
        if self.buffer.len() >= PIECE_OCTETS { self.flush_buffer() } else { Ok(()) }
    }

    /// Writes entries that are encoded already.
    ///
    /// # Errors
    ///
    /// As [`Self::push`].
    pub fn push_encoded(&mut self, entries: &[u8]) -> Result<(), CrlWriteError> {
        self.entries_left =
            self.entries_left.checked_sub(stream::octets(entries)).ok_or(CrlWriteError::Length)?;
        self.flush_buffer()?;
        self.written = self.written.saturating_add(stream::octets(entries));
        self.sink.write_all(entries).map_err(CrlWriteError::Sink)
    }

    fn flush_buffer(&mut self) -> Result<(), CrlWriteError> {
        self.sink.write_all(&self.buffer).map_err(CrlWriteError::Sink)?;
        self.written = self.written.saturating_add(stream::octets(&self.buffer));
        self.buffer.clear();
        Ok(())
    }

    /// Writes the extensions and returns the sink and the length of the whole TBSCertList.
    ///
    /// # Errors
    ///
    /// [`CrlWriteError::Length`] when fewer octets of entries came than announced.
    pub fn finish(mut self) -> Result<(W, u64), CrlWriteError> {
        if self.entries_left != 0 {
            return Err(CrlWriteError::Length);
        }
        self.flush_buffer()?;
        self.sink.write_all(&self.tail).map_err(CrlWriteError::Sink)?;
        self.sink.flush().map_err(CrlWriteError::Sink)?;
        Ok((self.sink, self.written.saturating_add(stream::octets(&self.tail))))
    }
}

impl<W: Write + Seek> TbsWriter<W> {
    /// Goes by entries that were written to their place in the sink before what announces their length, which
    /// [`CrlFacts::octets_before_entries`] tells.
    ///
    /// # Errors
    ///
    /// As [`Self::push`].
    pub fn pass_encoded(&mut self, octets: u64) -> Result<(), CrlWriteError> {
        self.entries_left = self.entries_left.checked_sub(octets).ok_or(CrlWriteError::Length)?;
        self.flush_buffer()?;
        let by = i64::try_from(octets).map_err(|_| CrlWriteError::Length)?;
        self.sink.seek(SeekFrom::Current(by)).map_err(CrlWriteError::Sink)?;
        self.written = self.written.saturating_add(octets);
        Ok(())
    }
}

/// Copies a signed TBSCertList from its spool into the finished CertificateList, and returns that
/// one's length.
///
/// The copied bytes are hashed on the way and must be the ones that were recorded.
///
/// # Errors
///
/// [`CrlWriteError::Spool`] when the spool no longer holds the recorded bytes: what has been written
/// to `sink` must not be published. Else the source's and the sink's own.
pub fn write_certificate_list(
    signed: &Signed,
    spool: impl Read,
    mut sink: impl Write,
) -> Result<u64, CrlWriteError> {
    let length = match signed.to_be_signed() {
        ToBeSigned::Spool(spool) => spool.length,
        ToBeSigned::Bytes(bytes) => stream::octets(bytes),
    };
    let frame = Frame::new(length, signed.intent().algorithm(), signed.signature())?;
    sink.write_all(&frame.head).map_err(CrlWriteError::Sink)?;
    let mut source = spool.take(length.saturating_add(1));
    let mut hash = Sha256::new();
    let mut copied = 0_u64;
    let mut piece = vec![0; PIECE_OCTETS];
    loop {
        let count = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CrlWriteError::Source(error)),
        };
        let octets = piece.get(..count).unwrap_or_default();
        hash.update(octets);
        copied = copied.saturating_add(stream::octets(octets));
        sink.write_all(octets).map_err(CrlWriteError::Sink)?;
    }
    if copied != length || hash.finish() != *signed.intent().digest() {
        return Err(CrlWriteError::Spool);
    }
    sink.write_all(&frame.tail).map_err(CrlWriteError::Sink)?;
    sink.flush().map_err(CrlWriteError::Sink)?;
    Ok(frame.length)
}

/// What stands around a to-be-signed structure of known length.
struct Frame {
    head: Vec<u8>,
    tail: Vec<u8>,
    length: u64,
}

impl Frame {
    fn new(
        tbs_length: u64,
        algorithm: SignatureAlgorithm,
        signature: &[u8],
    ) -> Result<Self, CrlWriteError> {
        let mut tail = algorithm.identifier_der();
        let mut bits = vec![0];
        bits.extend_from_slice(signature);
        stream::push(&mut tail, tlv::BIT_STRING, &bits);
        let content = tbs_length.saturating_add(stream::octets(&tail));
        if content > stream::MAX_LENGTH {
            return Err(CrlWriteError::TooLong { entries_length: tbs_length });
        }
        let mut head = Vec::with_capacity(6);
        stream::push_header(&mut head, tlv::SEQUENCE, content);
        Ok(Self { length: content.saturating_add(stream::octets(&head)), head, tail })
    }
}

/// Why a CRL was not written. What has reached the sink by then is of no use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CrlWriteError {
    /// The named fact is not one that a CRL can say.
    #[error("CRL field {0} cannot be written as given")]
    Fact(&'static str),
    /// Entries and their announced length differ.
    #[error("entries differ in length from what was announced")]
    Length,
    /// The sink refused bytes.
    #[error("CRL bytes were refused by their sink")]
    Sink(#[source] io::Error),
    /// The spool could not be read.
    #[error("CRL spool could not be read")]
    Source(#[source] io::Error),
    /// The spool's bytes have changed since they were recorded.
    #[error("CRL spool no longer holds the bytes that were recorded")]
    Spool,
    /// DER lengths of four octets end at 4 GiB.
    #[error("CRL with {entries_length} octets of entries would pass 4 GiB")]
    TooLong {
        /// Octets of all entries.
        entries_length: u64,
    },
}
