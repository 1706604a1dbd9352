//! From rows to a list that may be signed, and from the signature to the file.

use std::io::{self, Read, Seek, Write};
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

/// Two empty files of the caller's, open for reading and writing.
#[derive(Debug)]
pub struct CrlFiles<F> {
    /// For the entries, until their length is known; of no use afterwards.
    pub scratch: F,
    /// For the TBSCertList; stays until the list is finished.
    pub spool: F,
    /// Where the spool lies, for the signing service.
    pub spool_path: PathBuf,
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
/// [`PrepareError`]; nothing may be signed then, and the files are to be thrown away.
pub fn prepare<F: Read + Write + Seek, P: Read, E>(
    order: &CrlOrder<'_>,
    rows: impl IntoIterator<Item = Result<CrlEntry, E>>,
    files: &mut CrlFiles<F>,
    previous: Option<PreviousCrl<P>>,
    departure: &mut dyn FnMut(&RevokedEntry) -> Departure,
) -> Result<PreparedCrl, PrepareError<E>> {
    let issuer = order.issuer;
    let (count, entries_length) = spool_entries(rows, &mut files.scratch)?;
    let length = write_to_be_signed(order, entries_length, files)?;
    let whole = issuer.algorithm.hash().is_none();
    if whole && length > MAX_WHOLE_OCTETS {
        return Err(PrepareError::WholeMessage { octets: length });
    }

    files.spool.rewind().map_err(PrepareError::File)?;
    let findings = lint::to_be_signed_crl(
        (&mut files.spool).take(length),
        length,
        issuer.algorithm,
        issuer.certificate.public_key().key_type(),
        issuer.certificate.as_der(),
    )
    .map_err(PrepareError::File)?;
    if !findings.is_empty() {
        return Err(PrepareError::Lint(findings));
    }

    let (comparison, tail) = read_back(order, files, previous, departure)?;
    if tail.entries != count || tail.tbs_length != length {
        return Err(PrepareError::SpoolChanged);
    }
    // What will be signed is what the comparison has read: whoever signs reads it again, and signs nothing else.
    let to_be_signed = if whole {
        ToBeSigned::Bytes(tail.message.ok_or(PrepareError::SpoolChanged)?.into())
    } else {
        let (sha256, message_digest) =
            tail.tbs_sha256.zip(tail.message_digest).ok_or(PrepareError::SpoolChanged)?;
        let path = files.spool_path.clone();
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

/// Encodes the rows into the scratch file; returns their count and length.
fn spool_entries<F: Write, E>(
    rows: impl IntoIterator<Item = Result<CrlEntry, E>>,
    scratch: &mut F,
) -> Result<(u64, u64), PrepareError<E>> {
    const PIECE_OCTETS: usize = 64 * 1024;
    let mut buffer = Vec::with_capacity(PIECE_OCTETS);
    let mut last: Option<SerialNumber> = None;
    let (mut count, mut length) = (0_u64, 0_u64);
    for row in rows {
        let entry = row.map_err(PrepareError::Rows)?;
        if last.is_some_and(|last| last >= entry.serial()) {
            return Err(PrepareError::Order { serial: entry.serial() });
        }
        last = Some(entry.serial());
        count = count.saturating_add(1);
        length = length.saturating_add(entry.revoked().encoded_length());
        entry.revoked().encode_into(&mut buffer);
        if buffer.len() >= PIECE_OCTETS.saturating_sub(128) {
            scratch.write_all(&buffer).map_err(PrepareError::File)?;
            buffer.clear();
        }
    }
    scratch.write_all(&buffer).map_err(PrepareError::File)?;
    scratch.flush().map_err(PrepareError::File)?;
    Ok((count, length))
}

fn write_to_be_signed<F: Read + Write + Seek, E>(
    order: &CrlOrder<'_>,
    entries_length: u64,
    files: &mut CrlFiles<F>,
) -> Result<u64, PrepareError<E>> {
    let facts = CrlFacts {
        algorithm: order.issuer.algorithm,
        issuer: order.issuer.certificate.subject().as_der(),
        authority_key_id: &order.issuer.key_id,
        this_update: order.this_update,
        next_update: order.next_update,
        number: order.number.as_octets(),
        kind: order.kind,
        issuing_distribution_point: order.issuing_distribution_point,
        expired_certs_on_crl: order.expired_certs_on_crl,
    };
    let mut writer =
        TbsWriter::start(&mut files.spool, &facts, entries_length).map_err(PrepareError::Write)?;
    files.scratch.rewind().map_err(PrepareError::File)?;
    let mut piece = vec![0; 64 * 1024];
    loop {
        let octets = match files.scratch.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => piece.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(PrepareError::File(error)),
        };
        writer.push_encoded(octets).map_err(PrepareError::Write)?;
    }
    let (_, length) = writer.finish().map_err(PrepareError::Write)?;
    Ok(length)
}

/// Reads the spool as a stranger would, beside the previous list where there is one.
fn read_back<F: Read + Seek, P: Read, E>(
    order: &CrlOrder<'_>,
    files: &mut CrlFiles<F>,
    previous: Option<PreviousCrl<P>>,
    departure: &mut dyn FnMut(&RevokedEntry) -> Departure,
) -> Result<(Option<Comparison>, CrlTail), PrepareError<E>> {
    files.spool.rewind().map_err(PrepareError::File)?;
    let reader = CrlReader::start(&mut files.spool, CrlForm::ToBeSigned, MAX_OCTETS)
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
    /// Scratch or spool.
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
    /// Something else wrote to the spool.
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
