//! The octets of a file of answers: a head, the signers' certificates, records of one length in the order of their
//! serial numbers, and the SHA-256 of all that.

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509::certificate::{Certificate, CertificateError};
use x509::crl::ReasonCode;
use x509::ocsp::CertStatus;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::answer::{PresignedAnswer, Said};
use super::wave::Wave;
use crate::issuer::IssuerId;
use crate::position::Position;

/// A file is at most this long: some 100,000 answers by P-256.
pub const MAX_PRESIGNED_OCTETS: u64 = 16 * 1024 * 1024;
/// At most so many keys signed the answers of a file: two live, and answers of the one before last until they end.
pub const MAX_SIGNERS: usize = 4;

/// The first octets of every file; the last is the version.
const MAGIC: [u8; 8] = *b"sigillp1";
/// A record without its signature.
const RECORD: usize = 74;
const DIGEST: usize = 32;

/// What a file is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresignedHead {
    /// The CA.
    pub issuer: IssuerId,
    /// Which of its waves.
    pub wave: Wave,
    /// Higher in every later file of the wave.
    pub generation: u64,
    /// The first log entry that the file does not rest on.
    pub position: Position,
    /// The time of the checkpoint that it rests on.
    pub checkpoint: UnixTime,
    /// The delegates whose keys signed, at most [`MAX_SIGNERS`].
    pub signers: Vec<Certificate>,
}

/// A file that is whole: its digest, lengths, order and values have been checked, its signatures have not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresignedFile<'a> {
    head: PresignedHead,
    records: &'a [u8],
    length: usize,
}

impl PresignedHead {
    /// Writes the file with these answers, which are put into the order of their serial numbers.
    ///
    /// # Errors
    ///
    /// [`PresignedError`] for what the format cannot say: too many signers or answers, a serial twice, one of another
    /// wave, an answer that is neither good nor revoked, or a signer that is not there.
    pub fn write(&self, mut answers: Vec<PresignedAnswer>) -> Result<Vec<u8>, PresignedError> {
        answers.sort_unstable_by_key(|answer| answer.said.serial);
        let slot = answers.iter().map(|answer| answer.signature.len()).max().unwrap_or_default();
        let count = u32::try_from(answers.len()).map_err(|_| PresignedError::Length)?;
        let slot_field = u16::try_from(slot).map_err(|_| PresignedError::Length)?;
        let mut out = Vec::with_capacity(4096 + answers.len() * (RECORD + slot));
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(self.issuer.as_bytes());
        out.extend_from_slice(&self.wave.number().to_be_bytes());
        out.extend_from_slice(&slot_field.to_be_bytes());
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.position.epoch.to_be_bytes());
        out.extend_from_slice(&self.position.index.to_be_bytes());
        out.extend_from_slice(&self.checkpoint.secs().to_be_bytes());
        let signers = u8::try_from(self.signers.len()).map_err(|_| PresignedError::Signers)?;
        out.push(signers);
        for signer in &self.signers {
            let der = signer.as_der();
            let length = u16::try_from(der.len()).map_err(|_| PresignedError::Length)?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(der);
        }
        for answer in &answers {
            push_record(&mut out, answer, slot)?;
        }
        let digest: [u8; DIGEST] = Sha256::digest(&out).into();
        out.extend_from_slice(&digest);
        // What a reader would refuse is not written.
        PresignedFile::read(&out)?;
        Ok(out)
    }
}

fn push_record(
    out: &mut Vec<u8>,
    answer: &PresignedAnswer,
    slot: usize,
) -> Result<(), PresignedError> {
    let Said { serial, status, invalidity_date, archive_cutoff, .. } = answer.said;
    let (state, reason, revoked) = match status {
        CertStatus::Good => (0, NO_REASON, 0),
        CertStatus::Revoked { at, reason } => {
            (1, reason.map_or(NO_REASON, ReasonCode::code), at.secs())
        }
        CertStatus::Unknown | CertStatus::NeverIssued => {
            return Err(PresignedError::Record { what: "a status that is not said beforehand" });
        }
    };
    let octets = serial.as_octets();
    let mut padded = [0; SerialNumber::MAX_OCTETS];
    padded.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
    out.push(u8::try_from(octets.len()).unwrap_or_default());
    out.extend_from_slice(&padded);
    out.extend_from_slice(&[state, reason]);
    let date = |date: Option<UnixTime>| date.map_or(0, UnixTime::secs);
    for time in [
        revoked,
        date(invalidity_date),
        date(archive_cutoff),
        answer.said.produced_at.secs(),
        answer.said.this_update.secs(),
        answer.said.next_update.secs(),
    ] {
        out.extend_from_slice(&time.to_be_bytes());
    }
    out.push(answer.signer);
    let length = u16::try_from(answer.signature.len()).map_err(|_| PresignedError::Length)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&answer.signature);
    out.resize(out.len() + slot - answer.signature.len(), 0);
    Ok(())
}

/// No reason is stated, or the certificate is good.
const NO_REASON: u8 = 255;

impl<'a> PresignedFile<'a> {
    /// Reads a file and checks all of it that needs no key.
    ///
    /// # Errors
    ///
    /// [`PresignedError`] says what is wrong.
    pub fn read(octets: &'a [u8]) -> Result<Self, PresignedError> {
        let length = octets.len().checked_sub(DIGEST).ok_or(PresignedError::Length)?;
        let (body, digest) = octets.split_at(length);
        let mut left = Left(body);
        if left.take::<8>()? != MAGIC {
            return Err(PresignedError::Version);
        }
        if Sha256::digest(body).as_slice() != digest {
            return Err(PresignedError::Digest);
        }
        let issuer = IssuerId::from_bytes(left.take()?);
        let wave = Wave::numbered(left.u16()?);
        let wave = wave.ok_or(PresignedError::Record { what: "a wave past the last" })?;
        let slot = usize::from(left.u16()?);
        let count = usize::try_from(left.u32()?).map_err(|_| PresignedError::Length)?;
        let generation = left.u64()?;
        let position = Position { epoch: left.u32()?, index: left.u64()? };
        let checkpoint = left.time()?;
        let [signers] = left.take()?;
        if usize::from(signers) > MAX_SIGNERS {
            return Err(PresignedError::Signers);
        }
        let signers = (0..signers).map(|_| left.certificate()).collect::<Result<_, _>>()?;
        let head = PresignedHead { issuer, wave, generation, position, checkpoint, signers };
        let length = RECORD + slot;
        if left.0.len() != count.saturating_mul(length) {
            return Err(PresignedError::Length);
        }
        let file = Self { head, records: left.0, length };
        file.check_records()?;
        Ok(file)
    }

    fn check_records(&self) -> Result<(), PresignedError> {
        let mut before = None;
        let is_final = self.is_final();
        for record in self.records.chunks_exact(self.length) {
            let answer = answer_of(record)?;
            let Said { serial, produced_at, this_update, next_update, .. } = answer.said;
            if before.replace(serial).is_some_and(|before| before >= serial) {
                return Err(PresignedError::Record { what: "a serial that is not above the last" });
            }
            if Wave::of(&serial) != self.head.wave {
                return Err(PresignedError::Record { what: "a serial of another wave" });
            }
            let signer = self.head.signers.get(usize::from(answer.signer));
            let signer = signer.ok_or(PresignedError::Signers)?;
            if this_update > produced_at || produced_at >= next_update {
                return Err(PresignedError::Record { what: "times that are not in their order" });
            }
            if (next_update == UnixTime::LAST) != is_final {
                let what = "an answer that stands for ever beside one that ends";
                return Err(PresignedError::Record { what });
            }
            let ends = if is_final { produced_at } else { next_update };
            if ends > signer.validity().not_after() {
                return Err(PresignedError::Record { what: "an answer that outlives its signer" });
            }
        }
        Ok(())
    }

    /// What the file is about.
    #[must_use]
    pub const fn head(&self) -> &PresignedHead {
        &self.head
    }

    /// Whether its answers stand for ever: they are the last of a CA that has ended, and say 99991231235959Z (decision 0035).
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.answers().next().is_some_and(|answer| answer.said.next_update == UnixTime::LAST)
    }

    /// The answers, in the order of their serial numbers.
    pub fn answers(&self) -> impl Iterator<Item = PresignedAnswer> {
        // Each was read before.
        self.records.chunks_exact(self.length).filter_map(|record| answer_of(record).ok())
    }

    /// The answer about a serial number, by halving.
    #[must_use]
    pub fn find(&self, serial: &SerialNumber) -> Option<PresignedAnswer> {
        let (mut low, mut high) = (0, self.records.len() / self.length);
        while low < high {
            let middle = low.midpoint(high);
            let record = self.records.get(middle * self.length..)?.get(..self.length)?;
            let answer = answer_of(record).ok()?;
            match answer.said.serial.cmp(serial) {
                std::cmp::Ordering::Equal => return Some(answer),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Who signed an answer of this file.
    #[must_use]
    pub fn signer_of(&self, answer: &PresignedAnswer) -> Option<&Certificate> {
        self.head.signers.get(usize::from(answer.signer))
    }
}

fn answer_of(record: &[u8]) -> Result<PresignedAnswer, PresignedError> {
    let mut left = Left(record);
    let [length] = left.take()?;
    let padded: [u8; SerialNumber::MAX_OCTETS] = left.take()?;
    let (octets, padding) = padded
        .split_at_checked(usize::from(length))
        .ok_or(PresignedError::Record { what: "a serial of more than 20 octets" })?;
    let serial = SerialNumber::from_content_octets(octets)
        .map_err(|_| PresignedError::Record { what: "a serial of no octets" })?;
    let [state, reason] = left.take()?;
    let revoked = left.u64()?;
    let (invalidity_date, archive_cutoff) = (left.date()?, left.date()?);
    let (produced_at, this_update, next_update) = (left.time()?, left.time()?, left.time()?);
    let status = match (state, reason, revoked) {
        (0, NO_REASON, 0) => CertStatus::Good,
        (1, NO_REASON, at) => CertStatus::Revoked { at: time(at)?, reason: None },
        (1, code, at) => {
            let reason = ReasonCode::from_code(code);
            let reason = reason.filter(|reason| *reason != ReasonCode::RemoveFromCrl);
            let reason = reason.ok_or(PresignedError::Record { what: "an unknown reason" })?;
            CertStatus::Revoked { at: time(at)?, reason: Some(reason) }
        }
        _ => return Err(PresignedError::Record { what: "an unknown status" }),
    };
    let [signer] = left.take()?;
    let length = usize::from(left.u16()?);
    let (signature, rest) = left.0.split_at_checked(length).ok_or(PresignedError::Length)?;
    if padding.iter().chain(rest).any(|octet| *octet != 0) {
        return Err(PresignedError::Record { what: "padding that is not zero" });
    }
    let said = Said {
        serial,
        status,
        invalidity_date,
        archive_cutoff,
        produced_at,
        this_update,
        next_update,
    };
    Ok(PresignedAnswer { said, signer, signature: signature.to_vec() })
}

fn time(secs: u64) -> Result<UnixTime, PresignedError> {
    UnixTime::from_secs(secs).map_err(|_| PresignedError::Record { what: "a time past year 9999" })
}

/// The octets that have not been read.
struct Left<'a>(&'a [u8]);

impl Left<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], PresignedError> {
        let (taken, left) = self.0.split_first_chunk().ok_or(PresignedError::Length)?;
        self.0 = left;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<u16, PresignedError> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, PresignedError> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, PresignedError> {
        self.take().map(u64::from_be_bytes)
    }

    fn time(&mut self) -> Result<UnixTime, PresignedError> {
        time(self.u64()?)
    }

    /// A time, or 0 for none.
    fn date(&mut self) -> Result<Option<UnixTime>, PresignedError> {
        let date = self.time()?;
        Ok((date != UnixTime::EPOCH).then_some(date))
    }

    fn certificate(&mut self) -> Result<Certificate, PresignedError> {
        let length = usize::from(self.u16()?);
        let (der, left) = self.0.split_at_checked(length).ok_or(PresignedError::Length)?;
        self.0 = left;
        Certificate::from_der(der).map_err(|error| PresignedError::Signer(Box::new(error)))
    }
}

/// Why octets are no file of answers.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PresignedError {
    /// The last 32 octets are not the SHA-256 of the others.
    #[error("its digest is not that of its octets")]
    Digest,
    /// Octets are missing or too many.
    #[error("it has another length than it says")]
    Length,
    /// A value that no writer writes.
    #[error("it holds {what}")]
    Record {
        /// Which.
        what: &'static str,
    },
    /// A delegate's certificate.
    #[error("the certificate of a signer is refused")]
    Signer(#[source] Box<CertificateError>),
    /// Too many, or one that an answer names is not there.
    #[error("it has more than {MAX_SIGNERS} signers, or an answer names one that it has not")]
    Signers,
    /// Not the first octets of this version.
    #[error("it is no file of answers of version 1")]
    Version,
}
