//! From rows to a list that may be signed, and from the signature to the file.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use lint::Findings;
use thiserror::Error;
use x509::certificate::Certificate;
use x509::crl::{
    CrlFacts, CrlForm, CrlKind, CrlReadError, CrlReader, CrlTail, CrlWriteError, HashingSink,
    IssuingDistributionPoint, MAX_WHOLE_OCTETS, RevokedEntry, TbsWriter, write_certificate_list,
};
use x509::key::SignatureAlgorithm;
use x509::serial::SerialNumber;
use x509::signing::{IntentId, Pending, PendingError, Signed, SigningKind, Spool, ToBeSigned};
use x509::time::UnixTime;

use crate::MAX_OCTETS;
use crate::compare::{CompareError, Comparison, Departure, NewDates, PreviousCrl, compare};
use crate::entry::CrlEntry;
use crate::number::CrlNumber;

/// The CA whose list it is, as its own certificate tells.
#[derive(Clone, Debug)]
pub struct CrlIssuer {
    certificate: Certificate,
    key_id: Vec<u8>,
    algorithm: SignatureAlgorithm,
}

impl CrlIssuer {
    /// Takes the CA's certificate and the algorithm that it signs lists with. Name and key
    /// identifier are copied from it byte for byte.
    ///
    /// # Errors
    ///
    /// [`CrlIssuerError`] when the certificate has no subjectKeyIdentifier or its key makes no such
    /// signatures.
    pub fn new(
        certificate: Certificate,
        algorithm: SignatureAlgorithm,
    ) -> Result<Self, CrlIssuerError> {
        let key_type = certificate.public_key().key_type();
        if !algorithm.fits(key_type) {
            return Err(CrlIssuerError::Algorithm { algorithm });
        }
        let key_id = certificate.ski().ok_or(CrlIssuerError::NoKeyId)?.0;
        Ok(Self { certificate, key_id, algorithm })
    }

    /// The CA's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// A list to be made.
#[derive(Clone, Debug)]
pub struct CrlOrder<'a> {
    /// Whose.
    pub issuer: &'a CrlIssuer,
    /// The intent that it will be signed under.
    pub intent: IntentId,
    /// Its number.
    pub number: &'a CrlNumber,
    /// Whether it is complete or a delta.
    pub kind: CrlKind<'a>,
    /// When it is true.
    pub this_update: UnixTime,
    /// When the next one comes at the latest.
    pub next_update: UnixTime,
    /// The issuing distribution point, where the CA's configuration asks for one.
    pub issuing_distribution_point: Option<&'a IssuingDistributionPoint>,
    /// expiredCertsOnCRL, where expired entries are kept.
    pub expired_certs_on_crl: Option<UnixTime>,
    /// Which dates entries may have that the previous list had not.
    pub new_dates: NewDates,
}

/// An empty file of the caller's, open for reading and writing.
#[derive(Debug)]
pub struct CrlSpool<F> {
    /// For the TBSCertList; stays until the list is finished.
    pub file: F,
    /// Where it lies, for the signing service.
    pub path: PathBuf,
}

impl CrlOrder<'_> {
    fn facts(&self) -> CrlFacts<'_> {
        CrlFacts {
            algorithm: self.issuer.algorithm,
            issuer: self.issuer.certificate.subject().as_der(),
            authority_key_id: &self.issuer.key_id,
            this_update: self.this_update,
            next_update: self.next_update,
            number: self.number.as_octets(),
            kind: self.kind,
            issuing_distribution_point: self.issuing_distribution_point,
            expired_certs_on_crl: self.expired_certs_on_crl,
        }
    }
}

/// A list in its spool: linted, compared, ready to be recorded and signed.
#[derive(Debug)]
#[must_use]
pub struct PreparedCrl {
    /// What leads to the signature.
    pub pending: Pending,
    /// How many entries it has.
    pub entries: u64,
    /// What differs from the previous list, where there was one.
    pub comparison: Option<Comparison>,
    /// Octets of the TBSCertList.
    pub length: u64,
}

/// Makes a list from rows that ascend by serial.
///
/// The rows are streamed once; the finished TBSCertList is then read back from the spool by the
/// linter and by the comparison with `previous`, so that what is judged is what will be signed.
///
/// # Errors
///
/// [`PrepareError`]; nothing may be signed then, and the file is to be thrown away.
pub fn prepare<F: Read + Write + Seek, P: Read, E>(
    order: &CrlOrder<'_>,
    rows: impl IntoIterator<Item = Result<CrlEntry, E>>,
    spool: &mut CrlSpool<F>,
    previous: Option<PreviousCrl<P>>,
    departure: &mut dyn FnMut(&RevokedEntry) -> Departure,
) -> Result<PreparedCrl, PrepareError<E>> {
    prepare_holding(HELD_OCTETS, order, rows, spool, previous, departure)
}

/// As [`prepare`], with at most so many octets of entries in memory.
pub(crate) fn prepare_holding<F: Read + Write + Seek, P: Read, E>(
    held: usize,
    order: &CrlOrder<'_>,
    rows: impl IntoIterator<Item = Result<CrlEntry, E>>,
    spool: &mut CrlSpool<F>,
    previous: Option<PreviousCrl<P>>,
    departure: &mut dyn FnMut(&RevokedEntry) -> Departure,
) -> Result<PreparedCrl, PrepareError<E>> {
    let issuer = order.issuer;
    let Written { entries: count, length } =
        write_to_be_signed(held, &order.facts(), rows, &mut spool.file)?;
    let whole = issuer.algorithm.hash().is_none();
    if whole && length > MAX_WHOLE_OCTETS {
        return Err(PrepareError::WholeMessage { octets: length });
    }

    spool.file.rewind().map_err(PrepareError::File)?;
    let findings = lint::to_be_signed_crl(
        (&mut spool.file).take(length),
        length,
        issuer.algorithm,
        issuer.certificate.public_key().key_type(),
        issuer.certificate.as_der(),
    )
    .map_err(PrepareError::File)?;
    if !findings.is_empty() {
        return Err(PrepareError::Lint(findings));
    }

    let (comparison, tail) = read_back(order, spool, previous, departure)?;
    if tail.entries != count || tail.tbs_length != length {
        return Err(PrepareError::SpoolChanged);
    }
    // What will be signed is what the comparison has read: whoever signs reads it again, and signs nothing else.
    let to_be_signed = if whole {
        ToBeSigned::Bytes(tail.message.ok_or(PrepareError::SpoolChanged)?.into())
    } else {
        let (sha256, message_digest) =
            tail.tbs_sha256.zip(tail.message_digest).ok_or(PrepareError::SpoolChanged)?;
        let path = spool.path.clone();
        ToBeSigned::Spool(Spool { path, length, sha256, message_digest })
    };
    let pending = Pending::new(
        order.intent,
        SigningKind::Crl,
        issuer.certificate.public_key().clone(),
        issuer.algorithm,
        to_be_signed,
    )
    .map_err(PrepareError::Pending)?;
    Ok(PreparedCrl { pending, entries: count, comparison, length })
}

/// Octets of entries that are held in memory, and not written, until it is known whether there are more. Above them what announces the
/// length of the entries has one length, so that they can be written to their place before it.
const HELD_OCTETS: usize = 1 << 24;
/// Past what is held entries are written in pieces of about this many octets.
const PIECE_OCTETS: usize = 64 * 1024;

/// What stands in the spool.
struct Written {
    entries: u64,
    /// Octets of the TBSCertList.
    length: u64,
}

/// Entries on their way to the spool.
struct Entries<'a, F> {
    file: &'a mut F,
    facts: &'a CrlFacts<'a>,
    /// What is not written yet.
    buffer: Vec<u8>,
    /// So long may it become.
    most: usize,
    last: Option<SerialNumber>,
    count: u64,
    length: u64,
    /// Octets that were left free before the first entry, once some are written.
    before: Option<u64>,
}

/// Encodes the rows into the spool, in one pass, and what stands around them.
fn write_to_be_signed<F: Write + Seek, E>(
    held: usize,
    facts: &CrlFacts<'_>,
    rows: impl IntoIterator<Item = Result<CrlEntry, E>>,
    file: &mut F,
) -> Result<Written, PrepareError<E>> {
    let (buffer, last, before) = (Vec::with_capacity(PIECE_OCTETS), None, None);
    let mut entries =
        Entries { file, facts, buffer, most: held, last, count: 0, length: 0, before };
    for row in rows {
        entries.push(row.map_err(PrepareError::Rows)?)?;
    }
    entries.finish()
}

impl<F: Write + Seek> Entries<'_, F> {
    fn push<E>(&mut self, entry: CrlEntry) -> Result<(), PrepareError<E>> {
        if self.last.is_some_and(|last| last >= entry.serial()) {
            return Err(PrepareError::Order { serial: entry.serial() });
        }
        self.last = Some(entry.serial());
        self.count = self.count.saturating_add(1);
        self.length = self.length.saturating_add(entry.revoked().encoded_length());
        entry.revoked().encode_into(&mut self.buffer);
        if self.buffer.len() < self.most { Ok(()) } else { self.write() }
    }

    /// Writes what is held to its place, and holds less from then on.
    fn write<E>(&mut self) -> Result<(), PrepareError<E>> {
        if self.before.is_none() {
            let before =
                self.facts.octets_before_entries(self.length).map_err(PrepareError::Write)?;
            self.file.seek(SeekFrom::Start(before)).map_err(PrepareError::File)?;
            self.before = Some(before);
        }
        self.file.write_all(&self.buffer).map_err(PrepareError::File)?;
        if self.buffer.len() > PIECE_OCTETS.saturating_mul(2) {
            self.buffer = Vec::with_capacity(PIECE_OCTETS);
            self.most = PIECE_OCTETS.saturating_sub(128);
        }
        self.buffer.clear();
        Ok(())
    }

    /// Writes what announces the entries, those that are held, and what follows them.
    fn finish<E>(mut self) -> Result<Written, PrepareError<E>> {
        let before = self.facts.octets_before_entries(self.length).map_err(PrepareError::Write)?;
        if self.before.is_some() {
            self.write()?;
        }
        self.file.rewind().map_err(PrepareError::File)?;
        let mut writer = TbsWriter::start(&mut *self.file, self.facts, self.length)
            .map_err(PrepareError::Write)?;
        match self.before {
            None => writer.push_encoded(&self.buffer),
            Some(free) if free == before => writer.pass_encoded(self.length),
            Some(_) => return Err(PrepareError::SpoolChanged),
        }
        .map_err(PrepareError::Write)?;
        let (_, length) = writer.finish().map_err(PrepareError::Write)?;
        Ok(Written { entries: self.count, length })
    }
}

/// Reads the spool as a stranger would, beside the previous list where there is one.
fn read_back<F: Read + Seek, P: Read, E>(
    order: &CrlOrder<'_>,
    spool: &mut CrlSpool<F>,
    previous: Option<PreviousCrl<P>>,
    departure: &mut dyn FnMut(&RevokedEntry) -> Departure,
) -> Result<(Option<Comparison>, CrlTail), PrepareError<E>> {
    spool.file.rewind().map_err(PrepareError::File)?;
    let reader = CrlReader::start(&mut spool.file, CrlForm::ToBeSigned, MAX_OCTETS)
        .map_err(PrepareError::ReadBack)?;
    match previous {
        None => Ok((None, reader.finish().map_err(PrepareError::ReadBack)?)),
        Some(previous) => {
            let (comparison, tail) = compare(previous, reader, order.new_dates, departure)
                .map_err(PrepareError::Compare)?;
            Ok((Some(comparison), tail))
        }
    }
}

/// A finished list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishedCrl {
    /// SHA-256 of the whole file.
    pub sha256: [u8; 32],
    /// Length of the whole file in octets.
    pub length: u64,
}

/// Streams a signed list from its spool, rewound, into the file to be published.
///
/// # Errors
///
/// As [`write_certificate_list`]: what has reached `sink` must not be published.
pub fn finish(
    signed: &Signed,
    spool: impl Read,
    sink: impl Write,
) -> Result<FinishedCrl, CrlWriteError> {
    let mut sink = HashingSink::new(sink);
    let length = write_certificate_list(signed, spool, &mut sink)?;
    Ok(FinishedCrl { sha256: sink.finish(), length })
}

/// Why a certificate is no CRL issuer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrlIssuerError {
    /// The key makes no such signatures.
    #[error("the CA's key makes no {algorithm} signatures")]
    Algorithm {
        /// What was configured.
        algorithm: SignatureAlgorithm,
    },
    /// There is nothing to copy into the authorityKeyIdentifier.
    #[error("the CA's certificate has no subjectKeyIdentifier")]
    NoKeyId,
}

/// Why a list was not prepared. Nothing has been signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrepareError<E> {
    /// It may not follow the previous list.
    #[error("CRL may not follow the previous one")]
    Compare(#[source] CompareError),
    /// The spool.
    #[error("CRL spool file failed")]
    File(#[source] io::Error),
    /// Finished structures are linted before any key is touched.
    #[error("CRL breaks lint rules")]
    Lint(#[source] Findings),
    /// The rows must ascend by serial.
    #[error("row of serial {serial} is out of order or stands twice")]
    Order {
        /// The certificate.
        serial: SerialNumber,
    },
    /// The key cannot sign it.
    #[error("CRL cannot be signed by this key")]
    Pending(#[source] PendingError),
    /// The spool does not read as a list.
    #[error("CRL spool does not read back")]
    ReadBack(#[source] CrlReadError),
    /// The rows could not be had.
    #[error("rows of the CRL could not be read")]
    Rows(#[source] E),
    /// Something else wrote to the spool, or what announces the entries has no place before them.
    #[error("CRL spool does not hold what was written to it")]
    SpoolChanged,
    /// Ed25519 signs the whole message, which is held in memory.
    #[error(
        "CRL of {octets} octets is too long for an Ed25519 key, which signs the whole of it; the limit \
         is {MAX_WHOLE_OCTETS}"
    )]
    WholeMessage {
        /// Octets of the TBSCertList.
        octets: u64,
    },
    /// A fact that a list cannot say.
    #[error("CRL cannot be written")]
    Write(#[source] CrlWriteError),
}
