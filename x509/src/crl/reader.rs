//! Streaming a CRL in: facts before the entries, the entries one by one, facts after them.

mod same;

use std::io::{self, BufRead as _, BufReader, Read};

use aws_lc_rs::digest;
use thiserror::Error;

use super::entry::{EntryError, RevokedEntry};
use super::extension::{self, CrlExtensions};
use super::hashing::Sha256;
use crate::key::{HashAlgorithm, KeyError, PublicKey, SignatureAlgorithm};
use crate::time::UnixTime;
use crate::tlv::{self, Element, Elements};
use crate::{stream, time_der};

/// What a stream of octets is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlForm {
    /// A finished CRL: TBSCertList, algorithm, signature.
    CertificateList,
    /// A TBSCertList alone, as in a spool file.
    ToBeSigned,
}

/// What stands before the entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlHead {
    /// DER of the AlgorithmIdentifier inside the signed part.
    pub algorithm_der: Vec<u8>,
    /// DER of the issuer's Name.
    pub issuer: Vec<u8>,
    /// When the list was true.
    pub this_update: UnixTime,
    /// When the next one comes at the latest; absent in some foreign CRLs.
    pub next_update: Option<UnixTime>,
    /// Whether version 2 is said.
    pub version_2: bool,
    /// Whether revokedCertificates is there, be it with or without entries.
    pub list_present: bool,
}

/// What stands after the entries, and what was seen on the way.
#[derive(Clone, Debug)]
pub struct CrlTail {
    /// The CRL's extensions.
    pub extensions: CrlExtensions,
    /// How many entries went by.
    pub entries: u64,
    /// Octets of the signed part.
    pub tbs_length: u64,
    /// SHA-256 of the signed part; `None` where nothing was hashed.
    pub tbs_sha256: Option<[u8; 32]>,
    /// The algorithm's own hash of the signed part; `None` for algorithms that we do not know and
    /// for Ed25519.
    pub message_digest: Option<Vec<u8>>,
    /// The signed part itself where the algorithm signs the whole message (Ed25519), up to
    /// [`MAX_WHOLE_OCTETS`].
    pub message: Option<Vec<u8>>,
    /// The algorithm, when it is one that we know.
    pub algorithm: Option<SignatureAlgorithm>,
    /// The signature value; empty for [`CrlForm::ToBeSigned`].
    pub signature: Vec<u8>,
}

impl CrlTail {
    /// Verifies the CRL's signature under its issuer's key.
    ///
    /// # Errors
    ///
    /// [`KeyError::UnknownName`] for an algorithm that we do not know, for an Ed25519 list above
    /// [`MAX_WHOLE_OCTETS`] and for one of which nothing was hashed, else those of [`PublicKey::verify_digest`].
    pub fn verify(&self, issuer: &PublicKey) -> Result<(), KeyError> {
        match (self.algorithm, &self.message_digest, &self.message) {
            (Some(algorithm), Some(digest), _) => {
                issuer.verify_digest(algorithm, digest, &self.signature)
            }
            (Some(algorithm), None, Some(message)) => {
                issuer.verify(algorithm, message, &self.signature)
            }
            _ => Err(KeyError::UnknownName),
        }
    }
}

/// The most octets of a TBSCertList that is signed and verified as a whole, because Ed25519 has no
/// hash that could be taken of a stream (RFC 8032 §5.1.6): about 400 000 entries.
pub const MAX_WHOLE_OCTETS: u64 = 16 * 1024 * 1024;
/// Names, extensions and other fields that are read whole are at most this long.
const MAX_FIELD_OCTETS: u64 = 64 * 1024;
/// One entry is at most this long; ours are at most 79.
const MAX_ENTRY_OCTETS: u64 = 4 * 1024;

/// Reads a CRL of any size in constant memory, save that an Ed25519 list is kept to be verified.
///
/// Iterate it for the entries, then call [`Self::finish`]. The iteration ends at the first error.
#[derive(Debug)]
pub struct CrlReader<R> {
    source: Source<R>,
    head: CrlHead,
    form: CrlForm,
    file_end: u64,
    tbs_start: u64,
    tbs_end: u64,
    entries_end: u64,
    next: Option<(u8, u64)>,
    entries: u64,
    failed: bool,
    buffer: Vec<u8>,
}

impl<R: Read> CrlReader<R> {
    /// Reads up to the first entry. `max_octets` bounds the whole stream.
    ///
    /// # Errors
    ///
    /// [`CrlReadError`], with the offset at which reading stopped.
    pub fn start(read: R, form: CrlForm, max_octets: u64) -> Result<Self, CrlReadError> {
        Self::start_with(read, form, max_octets, Hashing::Waiting(Vec::new()))
    }

    /// As [`Self::start`], of octets that are believed already, by a hash of the whole: none is taken again, and the
    /// signature cannot be verified.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_believed(read: R, form: CrlForm, max_octets: u64) -> Result<Self, CrlReadError> {
        Self::start_with(read, form, max_octets, Hashing::Off)
    }

    fn start_with(
        read: R,
        form: CrlForm,
        max_octets: u64,
        hashing: Hashing,
    ) -> Result<Self, CrlReadError> {
        let mut source = Source::new(read);
        let mut file_end = max_octets;
        if form == CrlForm::CertificateList {
            let length = source.expect(tlv::SEQUENCE, "CertificateList", max_octets)?;
            file_end = source.position.saturating_add(length);
        }
        let tbs_start = source.position;
        source.hashing = hashing;
        let room = file_end.saturating_sub(source.position);
        let length = source.expect(tlv::SEQUENCE, "tbsCertList", room)?;
        let tbs_end = source.position.saturating_add(length);
        if form == CrlForm::ToBeSigned {
            file_end = tbs_end;
        }
        if tbs_end > file_end {
            return Err(source.form("tbsCertList"));
        }
        let mut reader = Self {
            source,
            head: CrlHead {
                algorithm_der: Vec::new(),
                issuer: Vec::new(),
                this_update: UnixTime::EPOCH,
                next_update: None,
                version_2: false,
                list_present: false,
            },
            form,
            file_end,
            tbs_start,
            tbs_end,
            entries_end: 0,
            next: None,
            entries: 0,
            failed: false,
            buffer: Vec::new(),
        };
        reader.read_head()?;
        Ok(reader)
    }

    /// What stands before the entries.
    #[must_use]
    pub const fn head(&self) -> &CrlHead {
        &self.head
    }

    fn read_head(&mut self) -> Result<(), CrlReadError> {
        let mut field = self.field("version")?;
        if field.first() == Some(&tlv::INTEGER) {
            if field != [tlv::INTEGER, 1, 1] {
                return Err(self.source.form("version"));
            }
            self.head.version_2 = true;
            field = self.field("signature")?;
        }
        self.head.algorithm_der = self.sequence(field, "signature")?;
        self.source
            .start_hashing(SignatureAlgorithm::from_identifier_der(&self.head.algorithm_der));
        let issuer = self.field("issuer")?;
        self.head.issuer = self.sequence(issuer, "issuer")?;
        let this_update = self.field("thisUpdate")?;
        self.head.this_update = time(&this_update).ok_or(self.source.form("thisUpdate"))?;

        self.next = self.peek()?;
        if let Some((tlv::UTC_TIME | tlv::GENERALIZED_TIME, _)) = self.next {
            let next_update = self.field("nextUpdate")?;
            let next_update = time(&next_update).ok_or(self.source.form("nextUpdate"))?;
            self.head.next_update = Some(next_update);
            self.next = self.peek()?;
        }
        self.entries_end = self.source.position;
        if let Some((tlv::SEQUENCE, length)) = self.next.take_if(|(tag, _)| *tag == tlv::SEQUENCE) {
            self.head.list_present = true;
            self.entries_end = self.source.position.saturating_add(length);
            if self.entries_end > self.tbs_end {
                return Err(self.source.form("revokedCertificates"));
            }
        }
        Ok(())
    }

    /// The next tag and length within the signed part; `None` at its end.
    fn peek(&mut self) -> Result<Option<(u8, u64)>, CrlReadError> {
        if self.source.position >= self.tbs_end {
            return Ok(None);
        }
        self.source.header("tbsCertList").map(Some)
    }

    /// Reads a whole value, tag and length included.
    fn field(&mut self, name: &'static str) -> Result<Vec<u8>, CrlReadError> {
        let (tag, length) = match self.next.take() {
            Some(header) => header,
            None => self.source.header(name)?,
        };
        if length > MAX_FIELD_OCTETS || self.source.position.saturating_add(length) > self.file_end
        {
            return Err(self.source.form(name));
        }
        let mut value = Vec::new();
        stream::push_header(&mut value, tag, length);
        self.source.append(&mut value, length)?;
        Ok(value)
    }

    fn sequence(&self, der: Vec<u8>, name: &'static str) -> Result<Vec<u8>, CrlReadError> {
        if Element::only(&der, tlv::SEQUENCE).is_err() {
            return Err(self.source.form(name));
        }
        Ok(der)
    }

    fn read_entry(&mut self) -> Result<Option<RevokedEntry>, CrlReadError> {
        if self.source.position >= self.entries_end {
            return Ok(None);
        }
        if let Some(entry) = self.read_buffered_entry() {
            self.entries = self.entries.saturating_add(1);
            return Ok(Some(entry));
        }
        let length = self.source.expect(tlv::SEQUENCE, "entry", MAX_ENTRY_OCTETS)?;
        if self.source.position.saturating_add(length) > self.entries_end {
            return Err(self.source.form("entry"));
        }
        self.buffer.clear();
        self.source.append(&mut self.buffer, length)?;
        let entry = RevokedEntry::from_content(&self.buffer).map_err(|source| {
            CrlReadError::Entry { offset: self.source.position.saturating_sub(length), source }
        })?;
        self.entries = self.entries.saturating_add(1);
        Ok(Some(entry))
    }

    /// The next entry where it lies whole in the buffer, without a copy. `None` of one that does not, or that is not
    /// well, which is then read again by who says what is wrong with it.
    fn read_buffered_entry(&mut self) -> Option<RevokedEntry> {
        let [tlv::SEQUENCE, length @ 0..=0x7f, rest @ ..] = self.source.ahead() else {
            return None;
        };
        let content = rest.get(..usize::from(*length))?;
        let octets = content.len().checked_add(2)?;
        let end = self.source.position.checked_add(u64::try_from(octets).ok()?)?;
        if end > self.entries_end {
            return None;
        }
        let entry = RevokedEntry::from_content(content).ok()?;
        self.source.pass(octets);
        Some(entry)
    }

    /// Reads over the entries that are left and what follows them, to the stream's end.
    ///
    /// # Errors
    ///
    /// As [`Self::start`]; also when an entry that is left is malformed or octets follow the end.
    pub fn finish(mut self) -> Result<CrlTail, CrlReadError> {
        if self.failed {
            return Err(self.source.form("entry"));
        }
        while self.read_entry()?.is_some() {}
        if self.next.is_none() {
            self.next = self.peek()?;
        }
        let mut extensions = CrlExtensions::default();
        if self.next.is_some() {
            let field = self.field("crlExtensions")?;
            let list = Element::only(&field, tlv::context_constructed(0))
                .and_then(|outer| Element::only(outer.content, tlv::SEQUENCE));
            extensions = list
                .ok()
                .and_then(|list| CrlExtensions::read(list.elements()))
                .ok_or(self.source.form("crlExtensions"))?;
        }
        if self.source.position != self.tbs_end {
            return Err(self.source.form("tbsCertList"));
        }
        let tbs_length = self.source.position.saturating_sub(self.tbs_start);
        let Seen { sha256: tbs_sha256, message_digest, message } = self.source.stop_hashing();
        let signature = match self.form {
            CrlForm::ToBeSigned => Vec::new(),
            CrlForm::CertificateList => self.read_signature()?,
        };
        if self.source.position != self.file_end || !self.source.at_end()? {
            return Err(self.source.form("end"));
        }
        Ok(CrlTail {
            extensions,
            entries: self.entries,
            tbs_length,
            tbs_sha256,
            message_digest,
            message,
            algorithm: SignatureAlgorithm::from_identifier_der(&self.head.algorithm_der),
            signature,
        })
    }

    fn read_signature(&mut self) -> Result<Vec<u8>, CrlReadError> {
        let algorithm = self.field("signatureAlgorithm")?;
        if algorithm != self.head.algorithm_der {
            return Err(CrlReadError::AlgorithmsDiffer);
        }
        let signature = self.field("signatureValue")?;
        extension::whole_octets(&signature).ok_or(self.source.form("signatureValue"))
    }
}

impl<R: Read> Iterator for CrlReader<R> {
    type Item = Result<RevokedEntry, CrlReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let entry = self.read_entry();
        self.failed = entry.is_err();
        entry.transpose()
    }
}

fn time(der: &[u8]) -> Option<UnixTime> {
    let value = Elements::of(der).any().ok().filter(|value| value.whole == der)?;
    time_der::parse_time(value.tag, value.content)
}

/// The stream, its position, and the hashes over the signed part.
#[derive(Debug)]
struct Source<R> {
    read: BufReader<R>,
    /// Octets at the front of the buffer that have been gone by, and not yet hashed: many entries are hashed at once.
    passed: usize,
    position: u64,
    hashing: Hashing,
}

/// The signed part names its hash some octets after its start; until then they are kept.
enum Hashing {
    Off,
    Waiting(Vec<u8>),
    On { sha256: Box<Sha256>, own: OwnHash },
}

impl Hashing {
    fn update(&mut self, octets: &[u8]) {
        match self {
            Self::Off => {}
            Self::Waiting(kept) => kept.extend_from_slice(octets),
            Self::On { sha256, own } => {
                sha256.update(octets);
                own.update(octets);
            }
        }
    }
}

/// What the algorithm itself needs of the signed part.
enum OwnHash {
    /// The SHA-256 that is taken anyway.
    Same,
    Other(digest::Context),
    /// All of it; `None` once it is too long to be kept.
    Whole(Option<Vec<u8>>),
    /// Nothing: the algorithm is not known.
    None,
}

impl OwnHash {
    fn of(algorithm: Option<SignatureAlgorithm>) -> Self {
        match (algorithm, algorithm.and_then(SignatureAlgorithm::hash)) {
            (_, Some(HashAlgorithm::Sha256)) => Self::Same,
            (_, Some(hash)) => Self::Other(digest::Context::new(hash.implementation())),
            (Some(_), None) => Self::Whole(Some(Vec::new())),
            (None, None) => Self::None,
        }
    }

    fn update(&mut self, octets: &[u8]) {
        match self {
            Self::Other(context) => context.update(octets),
            Self::Whole(kept) => {
                let fits = |kept: &Vec<u8>| {
                    stream::octets(kept).saturating_add(stream::octets(octets)) <= MAX_WHOLE_OCTETS
                };
                *kept = kept.take().filter(fits);
                if let Some(kept) = kept {
                    kept.extend_from_slice(octets);
                }
            }
            Self::Same | Self::None => {}
        }
    }
}

/// What was seen of the signed part.
struct Seen {
    sha256: Option<[u8; 32]>,
    message_digest: Option<Vec<u8>>,
    message: Option<Vec<u8>>,
}

impl std::fmt::Debug for Hashing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashing")
    }
}

impl<R: Read> Source<R> {
    fn new(read: R) -> Self {
        Self {
            read: BufReader::with_capacity(64 * 1024, read),
            passed: 0,
            position: 0,
            hashing: Hashing::Off,
        }
    }

    const fn form(&self, field: &'static str) -> CrlReadError {
        CrlReadError::Form { field, offset: self.position }
    }

    fn octets(&mut self, into: &mut [u8]) -> Result<(), CrlReadError> {
        self.hash_passed();
        self.read.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.form("truncated value"),
            _ => CrlReadError::Source(error),
        })?;
        self.position = self.position.saturating_add(stream::octets(into));
        self.hashing.update(into);
        Ok(())
    }

    /// What lies in the buffer.
    fn ahead(&self) -> &[u8] {
        self.read.buffer().get(self.passed..).unwrap_or_default()
    }

    /// Goes on by octets that lie in the buffer.
    fn pass(&mut self, count: usize) {
        let passed = self.ahead().get(..count).unwrap_or_default();
        self.position = self.position.saturating_add(stream::octets(passed));
        self.passed = self.passed.saturating_add(count);
    }

    fn hash_passed(&mut self) {
        self.hashing.update(self.read.buffer().get(..self.passed).unwrap_or_default());
        self.read.consume(std::mem::take(&mut self.passed));
    }

    fn header(&mut self, field: &'static str) -> Result<(u8, u64), CrlReadError> {
        let mut start = [0; 2];
        self.octets(&mut start)?;
        let [tag, first] = start;
        if tag & 0x1f == 0x1f {
            return Err(self.form(field));
        }
        if first < 0x80 {
            return Ok((tag, u64::from(first)));
        }
        let mut digits = [0; 4];
        let digits = digits.get_mut(..usize::from(first & 0x7f)).ok_or(self.form(field))?;
        self.octets(digits)?;
        let length = stream::long_length(digits).ok_or(self.form(field))?;
        Ok((tag, length))
    }

    fn expect(&mut self, tag: u8, field: &'static str, max: u64) -> Result<u64, CrlReadError> {
        match self.header(field)? {
            (found, length) if found == tag && length <= max => Ok(length),
            (found, length) if found == tag => Err(CrlReadError::TooLong { field, length, max }),
            _ => Err(self.form(field)),
        }
    }

    fn append(&mut self, out: &mut Vec<u8>, length: u64) -> Result<(), CrlReadError> {
        let start = out.len();
        let length = usize::try_from(length).map_err(|_| self.form("length"))?;
        out.resize(start.saturating_add(length), 0);
        self.octets(out.get_mut(start..).unwrap_or_default())
    }

    fn start_hashing(&mut self, algorithm: Option<SignatureAlgorithm>) {
        let Hashing::Waiting(kept) = std::mem::replace(&mut self.hashing, Hashing::Off) else {
            return;
        };
        let mut sha256 = Box::new(Sha256::new());
        sha256.update(&kept);
        let mut own = OwnHash::of(algorithm);
        own.update(&kept);
        self.hashing = Hashing::On { sha256, own };
    }

    fn stop_hashing(&mut self) -> Seen {
        self.hash_passed();
        let mut seen = Seen { sha256: None, message_digest: None, message: None };
        if let Hashing::On { sha256, own } = std::mem::replace(&mut self.hashing, Hashing::Off) {
            let sha256 = sha256.finish();
            seen.sha256 = Some(sha256);
            match own {
                OwnHash::Same => seen.message_digest = Some(sha256.to_vec()),
                OwnHash::Other(context) => {
                    seen.message_digest = Some(context.finish().as_ref().to_vec());
                }
                OwnHash::Whole(message) => seen.message = message,
                OwnHash::None => {}
            }
        }
        seen
    }

    fn at_end(&mut self) -> Result<bool, CrlReadError> {
        self.hash_passed();
        let mut one = [0];
        match self.read.read(&mut one) {
            Ok(count) => Ok(count == 0),
            Err(error) => Err(CrlReadError::Source(error)),
        }
    }
}

/// Why a CRL could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CrlReadError {
    /// The algorithm inside the signed part is not the one outside (RFC 5280 §5.1.1.2).
    #[error("signature algorithms inside and outside of the signed part differ")]
    AlgorithmsDiffer,
    /// An entry was refused.
    #[error("entry at octet {offset} refused")]
    Entry {
        /// Where its content starts.
        offset: u64,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// The named field is missing, truncated, followed by other octets, or not strict DER.
    #[error("CRL field {field} is not strict DER near octet {offset}")]
    Form {
        /// The field.
        field: &'static str,
        /// Octets that had been read.
        offset: u64,
    },
    /// The stream failed.
    #[error("CRL could not be read")]
    Source(#[source] io::Error),
    /// A value passes its bound.
    #[error("CRL field {field} has {length} octets; at most {max} are read")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length.
        length: u64,
        /// The bound.
        max: u64,
    },
}
