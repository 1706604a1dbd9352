//! The PIN of a token that knows no M of N: drawn, split among custodians, and put together again from any M of them.
//!
//! Shamir's scheme over GF(256), with the polynomial of AES. What is split is 16 random octets; the PIN is their 32
//! hexadecimal digits. A share goes onto paper as 32 words; the record of the set is public, and has the SHA-256 of each
//! share and of the secret: whoever gives a share that is none of the set is named before anything is tried at a token.
//! These hashes are of at least 128 random bits and tell nothing. A MAC whose key lies in the shares would be one that
//! each custodian can make; a record in the transcript is not.

use std::collections::BTreeSet;
use std::fmt;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use vsss_rs::Gf256;
use zeroize::Zeroizing;

use crate::words::{Fingerprint, NotOnPaper, octets_of, words_of};

/// Octets of the secret.
pub const SECRET_OCTETS: usize = 16;
/// The fewest that may put a PIN together: one alone would have it.
pub const FEWEST: u8 = 2;
/// The most custodians of a set. All subsets are tried when a set is made: at most 12 870 of one size.
pub const MOST: u8 = 16;
/// The format of the record.
pub const FORMAT: &str = "sigill-pin-shares/1";

/// Octets of a share: version 1, set id 8, number, threshold, count, value 16, checksum 4.
const SHARE_OCTETS: usize = 32;
const VERSION: u8 = 1;
const ID_OCTETS: usize = 8;
const VALUE: std::ops::Range<usize> = 12..28;
const CHECKSUM: std::ops::Range<usize> = 28..32;
/// Words of a line on paper.
const WORDS_A_LINE: usize = 4;
/// What the hashes begin with, so that none of them is that of another thing.
const SHARE_DOMAIN: &[u8] = b"sigill pin share/1\0";
const CHECKSUM_DOMAIN: &[u8] = b"sigill pin share checksum/1\0";
const SECRET_DOMAIN: &[u8] = b"sigill pin secret/1\0";

/// Whose PIN of a token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinOf {
    /// The user's (PKCS#11 `CKU_USER`).
    User,
    /// The security officer's (`CKU_SO`).
    SecurityOfficer,
}

/// What a set of shares is made of.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The token's label.
    pub token: &'a str,
    /// Whose PIN.
    pub pin: PinOf,
    /// How many custodians put it together.
    pub threshold: u8,
    /// The custodians, in the order of their shares.
    pub custodians: &'a [String],
}

/// The public record of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareSet {
    format: String,
    /// 8 octets in hexadecimal digits.
    set: String,
    token: String,
    pin: PinOf,
    threshold: u8,
    /// SHA-256 over the domain, the set's id and the secret.
    secret_sha256: String,
    custodians: Vec<Custodian>,
}

/// Who has a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Custodian {
    /// From 1; the share's place on the curve.
    number: u8,
    name: String,
    /// SHA-256 over the domain and the share.
    share_sha256: String,
}

/// A share; wiped when dropped, never shown but by its words.
pub struct Share(Zeroizing<[u8; SHARE_OCTETS]>);

/// A secret that was drawn or put together; wiped when dropped.
pub struct Secret(Zeroizing<[u8; SECRET_OCTETS]>);

/// Draws a secret and splits it. Before it is given away, every subset of as many shares as the threshold has put it
/// together again, and none with one fewer.
///
/// # Errors
///
/// [`ShareError::Order`]; [`ShareError::Untrue`] when what was split does not come together, by a defect.
pub fn split(
    order: &Order<'_>,
    mut random: impl CryptoRng,
) -> Result<(Secret, ShareSet, Vec<Share>), ShareError> {
    order.check()?;
    let mut id = [0; ID_OCTETS];
    random.fill_bytes(&mut id);
    let mut secret = Secret(Zeroizing::new([0; SECRET_OCTETS]));
    random.fill_bytes(secret.0.as_mut());
    let count = u8::try_from(order.custodians.len()).map_err(|_| ShareError::Untrue)?;
    let (threshold, all) = (usize::from(order.threshold), usize::from(count));
    let points = Gf256::split_bytes(threshold, all, secret.0.as_slice(), &mut random);
    let points = points.map_err(|_| ShareError::Untrue)?.into_iter().map(Zeroizing::new);
    let shares: Vec<Share> = points
        .map(|point| Share::of(id, order.threshold, count, &point))
        .collect::<Result<_, _>>()?;
    let custodians = order.custodians.iter().zip(&shares).map(|(name, share)| Custodian {
        number: share.number(),
        name: name.clone(),
        share_sha256: share.hash().to_string(),
    });
    let set = ShareSet {
        format: FORMAT.to_owned(),
        set: base16ct::lower::encode_string(&id),
        token: order.token.to_owned(),
        pin: order.pin,
        threshold: order.threshold,
        secret_sha256: secret.hash(&id).to_string(),
        custodians: custodians.collect(),
    };
    set.check()?;
    prove(&set, &shares, &secret)?;
    Ok((secret, set, shares))
}

/// Every subset of the threshold's size comes together; one fewer never does, even when it is taken for enough.
fn prove(set: &ShareSet, shares: &[Share], secret: &Secret) -> Result<(), ShareError> {
    let of_size = |size: u8| {
        (0..1_u32 << shares.len()).filter(move |chosen| chosen.count_ones() == u32::from(size))
    };
    let chosen = |mask: u32| {
        let numbered = shares.iter().enumerate();
        let kept = numbered.filter(move |(place, _)| mask >> place & 1 == 1);
        kept.map(|(_, share)| share).collect::<Vec<&Share>>()
    };
    for mask in of_size(set.threshold) {
        if combined(&chosen(mask))?.0 != secret.0 {
            return Err(ShareError::Untrue);
        }
    }
    for mask in of_size(set.threshold.saturating_sub(1)) {
        let few = chosen(mask);
        if set.join(&few).is_ok() || (few.len() > 1 && combined(&few)?.0 == secret.0) {
            return Err(ShareError::Untrue);
        }
    }
    Ok(())
}

fn combined(shares: &[&Share]) -> Result<Secret, ShareError> {
    let points: Zeroizing<Vec<Vec<u8>>> =
        Zeroizing::new(shares.iter().map(|share| share.point()).collect());
    let octets = Gf256::combine_bytes(&*points).map(Zeroizing::new);
    let octets = octets.map_err(|_| ShareError::Untrue)?;
    let octets = <[u8; SECRET_OCTETS]>::try_from(octets.as_slice());
    Ok(Secret(Zeroizing::new(octets.map_err(|_| ShareError::Untrue)?)))
}

impl Order<'_> {
    fn check(&self) -> Result<(), ShareError> {
        let count = u8::try_from(self.custodians.len()).unwrap_or(u8::MAX);
        let names: BTreeSet<&str> = self.custodians.iter().map(|name| name.as_str()).collect();
        let why = if !(FEWEST..=MOST).contains(&count) {
            Some(format!("{count} custodians; a set has {FEWEST} to {MOST}"))
        } else if !(FEWEST..=count).contains(&self.threshold) {
            Some(format!("threshold {}; it is {FEWEST} to {count} here", self.threshold))
        } else if names.len() != self.custodians.len() {
            Some("one custodian is named twice; a person never has two shares of a set".to_owned())
        } else {
            None
        };
        why.map_or(Ok(()), |why| Err(ShareError::Order { why }))
    }
}

impl ShareSet {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`ShareError::Record`].
    pub fn from_json(text: &str) -> Result<Self, ShareError> {
        let set: Self = serde_json::from_str(text)
            .map_err(|error| ShareError::Record { why: error.to_string() })?;
        set.check()?;
        Ok(set)
    }

    /// The record as its file has it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    fn check(&self) -> Result<(), ShareError> {
        let refused = |why: &str| Err(ShareError::Record { why: why.to_owned() });
        if self.format != FORMAT {
            return refused(&format!("format is {:?}, known is {FORMAT:?}", self.format));
        }
        let numbers: BTreeSet<u8> = self.custodians.iter().map(|one| one.number).collect();
        let count = u8::try_from(self.custodians.len()).unwrap_or(u8::MAX);
        let hashes = self.custodians.iter().map(|one| one.share_sha256.as_str());
        let hashes: BTreeSet<&str> = hashes.chain([self.secret_sha256.as_str()]).collect();
        if !(FEWEST..=MOST).contains(&count) || !(FEWEST..=count).contains(&self.threshold) {
            return refused("numbers of custodians and threshold that cannot be");
        }
        if !numbers.iter().copied().eq(1..=count) || hashes.len() != usize::from(count) + 1 {
            return refused("its custodians are not numbered from 1, or two shares are the same");
        }
        if hashes.iter().any(|hash| hash.parse::<Fingerprint>().is_err()) || self.id().is_none() {
            return refused("a hash or the id of the set is none");
        }
        Ok(())
    }

    fn id(&self) -> Option<[u8; ID_OCTETS]> {
        let mut id = [0; ID_OCTETS];
        let length = base16ct::lower::decode(&self.set, &mut id).ok()?.len();
        (length == ID_OCTETS).then_some(id)
    }

    /// The set's id, 16 hexadecimal digits, as it stands on every sheet.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.set
    }

    /// The token whose PIN it is.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whose PIN it is.
    #[must_use]
    pub const fn pin(&self) -> PinOf {
        self.pin
    }

    /// How many shares put it together.
    #[must_use]
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Who has the share of this number.
    #[must_use]
    pub fn custodian(&self, number: u8) -> Option<&str> {
        let mut custodians = self.custodians.iter();
        custodians.find(|one| one.number == number).map(|one| one.name.as_str())
    }

    /// Custodians in the order of their numbers.
    pub fn custodians(&self) -> impl Iterator<Item = &str> {
        self.custodians.iter().map(|one| one.name.as_str())
    }

    /// Whether a share is one of this set; whose.
    ///
    /// # Errors
    ///
    /// [`ShareError::OtherSet`], [`ShareError::Wrong`] with the custodian's name.
    pub fn judge(&self, share: &Share) -> Result<&str, ShareError> {
        if Some(share.id()) != self.id() {
            let (expected, found) = (self.set.clone(), base16ct::lower::encode_string(&share.id()));
            return Err(ShareError::OtherSet { expected, found });
        }
        let number = share.number();
        let wrong = |custodian: &str| ShareError::Wrong { number, custodian: custodian.to_owned() };
        let one = self.custodians.iter().find(|one| one.number == number);
        let one = one.ok_or_else(|| wrong("nobody of the set"))?;
        if one.share_sha256 == share.hash().to_string() {
            Ok(&one.name)
        } else {
            Err(wrong(&one.name))
        }
    }

    /// Puts the secret together, from at least as many shares as the threshold says; each is judged first.
    ///
    /// # Errors
    ///
    /// [`ShareError`].
    pub fn join(&self, shares: &[&Share]) -> Result<Secret, ShareError> {
        let mut numbers = BTreeSet::new();
        for share in shares {
            let custodian = self.judge(share)?;
            if !numbers.insert(share.number()) {
                return Err(ShareError::Twice { custodian: custodian.to_owned() });
            }
        }
        if numbers.len() < usize::from(self.threshold) {
            return Err(ShareError::TooFew { found: numbers.len(), needed: self.threshold });
        }
        let secret = combined(shares)?;
        let id = self.id().ok_or(ShareError::Untrue)?;
        if secret.hash(&id).to_string() == self.secret_sha256 {
            Ok(secret)
        } else {
            Err(ShareError::Untrue)
        }
    }
}

impl Share {
    /// From a point: its number, then its values.
    fn of(id: [u8; ID_OCTETS], threshold: u8, count: u8, point: &[u8]) -> Result<Self, ShareError> {
        let (number, value) = point.split_first().ok_or(ShareError::Untrue)?;
        let mut octets = Zeroizing::new([0; SHARE_OCTETS]);
        let head = [VERSION].into_iter().chain(id).chain([*number, threshold, count]);
        let body = head.chain(value.iter().copied());
        if value.len() != SECRET_OCTETS {
            return Err(ShareError::Untrue);
        }
        octets.iter_mut().zip(body).for_each(|(octet, value)| *octet = value);
        let checksum = checksum(&octets);
        octets.iter_mut().skip(CHECKSUM.start).zip(checksum).for_each(|(octet, sum)| *octet = sum);
        Ok(Self(octets))
    }

    /// Reads a share from its paper: 32 words, in any case.
    ///
    /// # Errors
    ///
    /// [`ShareError::Word`], [`ShareError::Count`], [`ShareError::Misread`].
    pub fn from_paper(text: &str) -> Result<Self, ShareError> {
        let mut octets = Zeroizing::new([0; SHARE_OCTETS]);
        octets_of(text, octets.as_mut()).map_err(|error| match error {
            // The word itself is in no message.
            NotOnPaper::Word { number, .. } => ShareError::Word { number },
            NotOnPaper::Count { seen } => ShareError::Count { seen },
        })?;
        let is_read = octets.first() == Some(&VERSION)
            && octets.get(CHECKSUM) == Some(checksum(&octets).as_slice());
        is_read.then(|| Self(octets)).ok_or(ShareError::Misread)
    }

    /// Its words in lines of four, for the paper.
    #[must_use]
    pub fn lines(&self) -> Zeroizing<String> {
        let words = words_of(&self.0);
        // Made large enough before, so that no copy is left where it grew.
        let mut text = Zeroizing::new(String::with_capacity(SHARE_OCTETS * 16));
        for line in words.chunks(WORDS_A_LINE) {
            for (place, word) in line.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { " " });
                text.push_str(word);
            }
            text.push('\n');
        }
        text
    }

    /// Its number in the set, from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.0.get(ID_OCTETS + 1).copied().unwrap_or_default()
    }

    fn id(&self) -> [u8; ID_OCTETS] {
        let mut id = [0; ID_OCTETS];
        id.iter_mut().zip(self.0.iter().skip(1)).for_each(|(octet, value)| *octet = *value);
        id
    }

    fn point(&self) -> Vec<u8> {
        let mut point = Vec::with_capacity(SECRET_OCTETS + 1);
        point.push(self.number());
        point.extend(self.0.get(VALUE).unwrap_or_default());
        point
    }

    fn hash(&self) -> Fingerprint {
        let digest = Sha256::new().chain_update(SHARE_DOMAIN).chain_update(self.0.as_slice());
        Fingerprint::from_bytes(digest.finalize().into())
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({}, hidden)", self.number())
    }
}

fn checksum(octets: &[u8; SHARE_OCTETS]) -> [u8; 4] {
    let summed = octets.get(..CHECKSUM.start).unwrap_or_default();
    let digest = Sha256::new().chain_update(CHECKSUM_DOMAIN).chain_update(summed).finalize();
    let mut sum = [0; 4];
    sum.iter_mut().zip(digest).for_each(|(octet, value)| *octet = value);
    sum
}

impl Secret {
    /// The PIN: 32 hexadecimal digits.
    #[must_use]
    pub fn pin(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(SECRET_OCTETS * 2));
        for octet in self.0.iter() {
            for half in [octet >> 4, octet & 15] {
                text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
            }
        }
        text
    }

    fn hash(&self, id: &[u8; ID_OCTETS]) -> Fingerprint {
        let digest = Sha256::new().chain_update(SECRET_DOMAIN).chain_update(id);
        Fingerprint::from_bytes(digest.chain_update(self.0.as_slice()).finalize().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Why a PIN is not split or put together. No message has a word or digit of a share.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShareError {
    /// What was ordered cannot be.
    #[error("shares are not made: {why}")]
    Order {
        /// What was seen, and the limit.
        why: String,
    },
    /// The record is none.
    #[error("record of the set is refused: {why}")]
    Record {
        /// Why.
        why: String,
    },
    /// Another record than the one on paper.
    #[error("record has SHA-256 {found}, and {expected} is asked for")]
    OtherRecord {
        /// What stands on the sheets.
        expected: Fingerprint,
        /// The file's.
        found: Fingerprint,
    },
    /// A word that cannot stand there.
    #[error("word {number} cannot stand there: one was left out or misread, or two changed places")]
    Word {
        /// Its place, from 1.
        number: usize,
    },
    /// Too few words or too many.
    #[error("{seen} words, a share has 32")]
    Count {
        /// Words.
        seen: usize,
    },
    /// The checksum does not fit.
    #[error("words were misread: the checksum does not fit")]
    Misread,
    /// A share of another set.
    #[error("share is of set {found}, this is set {expected}")]
    OtherSet {
        /// The record's.
        expected: String,
        /// The share's.
        found: String,
    },
    /// A share of this set that is not what was given to its custodian.
    #[error("share {number}, of {custodian}, is not the one that was made")]
    Wrong {
        /// Its number.
        number: u8,
        /// Whose it should be.
        custodian: String,
    },
    /// The same share again.
    #[error("share of {custodian} was given twice")]
    Twice {
        /// Whose.
        custodian: String,
    },
    /// Not enough of them.
    #[error("{found} shares, {needed} put the PIN together")]
    TooFew {
        /// Shares.
        found: usize,
        /// The threshold.
        needed: u8,
    },
    /// What comes together is not what was split.
    #[error("shares do not give what was split")]
    Untrue,
}

impl ShareError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Order { .. } => "share-order",
            Self::Record { .. } | Self::OtherRecord { .. } => "share-record",
            Self::Word { .. } | Self::Count { .. } | Self::Misread => "share-misread",
            Self::OtherSet { .. } => "share-of-another-set",
            Self::Wrong { .. } => "share-wrong",
            Self::Twice { .. } => "share-twice",
            Self::TooFew { .. } => "share-missing",
            Self::Untrue => "share-untrue",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Order { .. } => "correct --custodian or --threshold; nothing was drawn",
            Self::Record { .. } => "give the set.json that was made with the shares",
            Self::OtherRecord { .. } => {
                "stop: the record was exchanged, or the hash misread; give the set.json whose hash stands on every sheet"
            }
            Self::Word { .. } | Self::Count { .. } | Self::Misread => {
                "read the sheet again, word by word"
            }
            Self::OtherSet { .. } => "look at the set's id on the sheet: it is of another PIN",
            Self::Wrong { .. } => {
                "stop: the sheet was exchanged or forged; seal it, write it into the record, and go on with another custodian"
            }
            Self::Twice { .. } => "give each share once",
            Self::TooFew { .. } => "have more custodians give theirs",
            Self::Untrue => "keep everything, and do not use this set",
        }
    }
}

#[cfg(test)]
mod tests;
