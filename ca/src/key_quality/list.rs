//! Lists of public keys whose private halves others have: docs/formats/key-list.md.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509::key::{PublicKey, SpkiHash};

const FORMAT: &str = "sigill-key-list/1";
/// Octets of a hash that are kept: two keys that share them by chance are 2^64 keys away.
const ENTRY: usize = 16;
/// The longest head that is read.
const HEAD: usize = 4096;

/// Why the keys of a list are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListClass {
    /// Private halves that were reported or found to be in other hands.
    Compromised,
    /// Made by Debian's OpenSSL between 2006 and 2008 (CVE-2008-0166), which had 32768 of each kind.
    Debian,
    /// Private halves that are printed: in standards, test suites, firmware.
    Published,
}

impl ListClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Compromised, Self::Debian, Self::Published];

    /// The name as lists carry it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compromised => "compromised",
            Self::Debian => "debian",
            Self::Published => "published",
        }
    }
}

impl fmt::Display for ListClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ListClass {
    type Err = ListError;

    fn from_str(text: &str) -> Result<Self, ListError> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or_else(|| ListError::Class { found: text.chars().take(40).collect() })
    }
}

/// A list of keys: hashes, never the keys themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyList {
    class: ListClass,
    source: String,
    /// Sorted, each once.
    entries: Vec<[u8; ENTRY]>,
}

impl KeyList {
    /// Puts a list together.
    ///
    /// # Errors
    ///
    /// [`ListError::Source`] when `source` is empty, has a control character or more than 1000 octets.
    pub fn new(
        class: ListClass,
        source: &str,
        keys: impl IntoIterator<Item = ListedKey>,
    ) -> Result<Self, ListError> {
        if source.is_empty() || source.len() > 1000 || source.chars().any(char::is_control) {
            return Err(ListError::Source);
        }
        let entries: BTreeSet<[u8; ENTRY]> = keys.into_iter().map(|key| key.0).collect();
        Ok(Self { class, source: source.to_owned(), entries: entries.into_iter().collect() })
    }

    /// Reads a list whole.
    ///
    /// # Errors
    ///
    /// [`ListError`] when head, count, hash or order are not those of the format.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListError> {
        let end = bytes
            .windows(2)
            .take(HEAD)
            .position(|pair| pair == b"\n\n")
            .ok_or(ListError::Head { line: "an empty line after the head" })?;
        let (head, rest) = bytes.split_at(end);
        let body = rest.get(2..).unwrap_or_default();
        let head =
            std::str::from_utf8(head).map_err(|_| ListError::Head { line: "a head in UTF-8" })?;
        let mut lines = head.lines();
        if lines.next() != Some(FORMAT) {
            return Err(ListError::Head { line: FORMAT });
        }
        let mut next = |name: &'static str| {
            lines
                .next()
                .and_then(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .ok_or(ListError::Head { line: name })
        };
        let class = next("class")?.parse()?;
        let source = next("source")?.to_owned();
        let count = next("count")?.parse().map_err(|_| ListError::Head { line: "count" })?;
        let sha256 = next("sha256")?;
        if lines.next().is_some() {
            return Err(ListError::Head { line: "no line after sha256" });
        }
        let (entries, left) = body.as_chunks::<ENTRY>();
        if entries.len() != count || !left.is_empty() {
            return Err(ListError::Count { found: body.len(), count });
        }
        if hex_digest(body) != sha256 {
            return Err(ListError::Hash);
        }
        if !entries.is_sorted_by(|a, b| a < b) {
            return Err(ListError::Order);
        }
        Ok(Self { class, source, entries: entries.to_vec() })
    }

    /// The list as a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = self.entries.as_flattened();
        let sha256 = hex_digest(body);
        let Self { class, source, .. } = self;
        let head = format!(
            "{FORMAT}\nclass {class}\nsource {source}\ncount {}\nsha256 {sha256}\n\n",
            self.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// Why its keys are known.
    #[must_use]
    pub const fn class(&self) -> ListClass {
        self.class
    }

    /// Where its keys come from, in its maker's words.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How many keys it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a key is in it.
    #[must_use]
    pub fn has(&self, key: ListedKey) -> bool {
        self.entries.binary_search(&key.0).is_ok()
    }
}

fn hex_digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What a list knows of a key: the first 16 octets of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedKey([u8; ENTRY]);

impl ListedKey {
    /// Of a key. RSA keys are known by their modulus, as if their exponent were 65537: who has the
    /// private half for one exponent has it for every other.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        let usual = key
            .rsa_parts()
            .and_then(|(modulus, _)| PublicKey::from_rsa_parts(&modulus, &[1, 0, 1]).ok());
        Self::of_hash(usual.as_ref().unwrap_or(key).spki_hash())
    }

    /// Of the hash of a key; of an RSA key with another exponent than 65537 it is found by nobody.
    #[must_use]
    pub fn of_hash(hash: SpkiHash) -> Self {
        let mut entry = [0; ENTRY];
        entry.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
        Self(entry)
    }
}

/// Why a list was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// A class that is none.
    #[error("key list has class {found:?}; known are compromised, debian and published")]
    Class {
        /// What stands there.
        found: String,
    },
    /// Cut short, or longer than its head says.
    #[error("key list has {found} octets of entries; its head says {count} entries of {ENTRY}")]
    Count {
        /// Octets after the head.
        found: usize,
        /// What the head says.
        count: usize,
    },
    /// The entries are not those that its maker wrote.
    #[error("entries of the key list do not have the SHA-256 of its head")]
    Hash,
    /// A head of another form.
    #[error("head of the key list is not that of {FORMAT}; expected: {line}")]
    Head {
        /// What was expected.
        line: &'static str,
    },
    /// Entries are found by halving.
    #[error("entries of the key list are not sorted, or one stands there twice")]
    Order,
    /// It says where the keys come from.
    #[error("source of a key list has 1 to 1000 octets and no control character")]
    Source,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> KeyList {
        let keys = (0..5_u8).map(|n| ListedKey::of_hash(SpkiHash::from_bytes([200 - n; 32])));
        KeyList::new(ListClass::Debian, "a test, 2026", keys).unwrap()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let list = list();

        assert_eq!(KeyList::parse(&list.to_bytes()), Ok(list.clone()));
        assert_eq!(
            (list.len(), list.class(), list.source()),
            (5, ListClass::Debian, "a test, 2026")
        );
        assert!(list.has(ListedKey::of_hash(SpkiHash::from_bytes([198; 32]))));
        assert!(!list.has(ListedKey::of_hash(SpkiHash::from_bytes([201; 32]))));
    }

    /// A list that was cut short or altered on its way would let weak keys pass without a word.
    #[test]
    fn refuses_what_its_head_does_not_say() {
        let bytes = list().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let edited = |from: &str, to: &str| {
            let at = text.find(from).unwrap();
            let (before, rest) = bytes.split_at(at);
            KeyList::parse(&[before, to.as_bytes(), &rest[from.len()..]].concat()).unwrap_err()
        };

        assert_eq!(edited("list/1", "list/2"), ListError::Head { line: FORMAT });
        assert_eq!(
            edited("class debian", "class ubuntu"),
            ListError::Class { found: "ubuntu".into() }
        );
        assert_eq!(edited("count 5", "count 6"), ListError::Count { found: 80, count: 6 });
        assert_eq!(edited("sha256 ", "sha512 "), ListError::Head { line: "sha256" });
        let short = &bytes[..bytes.len() - 16];
        assert_eq!(KeyList::parse(short), Err(ListError::Count { found: 64, count: 5 }));
        let mut other = bytes.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(KeyList::parse(&other), Err(ListError::Hash));
        assert!(matches!(KeyList::parse(b"MIIB"), Err(ListError::Head { .. })));
        assert_eq!(KeyList::new(ListClass::Debian, "a\nclass b", []), Err(ListError::Source));
    }

    #[test]
    fn refuses_entries_out_of_order() {
        let body = [[2; ENTRY], [1; ENTRY]].concat();
        let sha256 = hex_digest(&body);
        let head = format!("{FORMAT}\nclass debian\nsource x\ncount 2\nsha256 {sha256}\n\n");

        let parsed = KeyList::parse(&[head.as_bytes(), &body].concat());

        assert_eq!(parsed, Err(ListError::Order));
    }

    /// An RSA key is its modulus: another exponent does not hide it.
    #[test]
    fn another_exponent_hides_no_rsa_key() {
        let with = |exponent: &[u8]| {
            ListedKey::of(&PublicKey::from_rsa_parts(&[0xc5; 256], exponent).unwrap())
        };
        let usual = PublicKey::from_rsa_parts(&[0xc5; 256], &[1, 0, 1]).unwrap();

        assert_eq!(with(&[1, 0, 1]), with(&[1, 0, 3]));
        assert_eq!(with(&[1, 0, 1]), ListedKey::of_hash(usual.spki_hash()));
    }
}
