//! Blind indexes: equality search over values that are not stored.

use std::fmt;

use ca::identity::bare_number;

/// What a search term is of. The tag goes into the HMAC, so equal values of two kinds differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IndexTag {
    /// The number of a card or other carrier.
    CardNumber,
    /// A person's or function's common name.
    CommonName,
    /// A telephone or tablet, by the id that its application has.
    Device,
    /// A DNS name.
    DnsName,
    /// An RFC 822 mailbox.
    Email,
    /// An HSA-id.
    HsaId,
    /// The last three characters of an HSA-id of a person.
    HsaIdEnd,
    /// Whose a public key is.
    KeyHolder,
    /// A personal number, coordination number or other national identity number.
    PersonalNumber,
    /// A user principal name.
    PrincipalName,
    /// An act by which somebody was identified: how, when and by whom.
    Proof,
}

impl IndexTag {
    /// The name in rows and in the HMAC; never changes, or nothing is found again.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CardNumber => "card-number",
            Self::CommonName => "common-name",
            Self::Device => "device",
            Self::DnsName => "dns-name",
            Self::Email => "email",
            Self::HsaId => "hsa-id",
            Self::HsaIdEnd => "hsa-id-end",
            Self::KeyHolder => "key-holder",
            Self::PersonalNumber => "personal-number",
            Self::PrincipalName => "principal-name",
            Self::Proof => "proof",
        }
    }

    /// The spelling that equal values share: lower case, no outer space; numbers without the
    /// hyphens and spaces people write in them; names with single spaces.
    fn normalise(self, value: &str) -> String {
        if matches!(self, Self::Device | Self::Proof) {
            return value.to_owned();
        }
        let value = value.trim().to_lowercase();
        match self {
            Self::CardNumber | Self::PersonalNumber => bare_number(&value),
            Self::CommonName => value.split_whitespace().collect::<Vec<_>>().join(" "),
            Self::DnsName
            | Self::Device
            | Self::Email
            | Self::HsaId
            | Self::HsaIdEnd
            | Self::KeyHolder
            | Self::PrincipalName
            | Self::Proof => value,
        }
    }
}

/// Something to find certificates by.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IndexTerm {
    tag: IndexTag,
    normalised: String,
}

impl IndexTerm {
    /// Takes a value as anybody writes it.
    #[must_use]
    pub fn new(tag: IndexTag, value: &str) -> Self {
        Self { tag, normalised: tag.normalise(value) }
    }

    /// What it is of.
    #[must_use]
    pub const fn tag(&self) -> IndexTag {
        self.tag
    }

    pub(super) fn normalised(&self) -> &str {
        &self.normalised
    }
}

impl fmt::Debug for IndexTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexTerm({:?}, ..)", self.tag)
    }
}

/// HMAC-SHA-256 over a tag and a normalised value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlindIndex(pub(crate) [u8; 32]);

impl BlindIndex {
    /// The 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(tag: IndexTag, a: &str, b: &str) -> bool {
        IndexTerm::new(tag, a) == IndexTerm::new(tag, b)
    }

    #[test]
    fn spellings_of_one_value_meet() {
        assert!(same(IndexTag::PersonalNumber, "19121212-1212", " 191212121212"));
        assert!(same(IndexTag::HsaId, "tst2321000016-1002", "TST2321000016-1002"));
        assert!(same(IndexTag::CommonName, "Tolvan  Tolvansson", "tolvan tolvansson "));
        assert!(same(IndexTag::DnsName, "WWW.Example.org", "www.example.org"));
        assert!(!same(IndexTag::HsaId, "TST1-1", "TST11"));
        assert!(!same(IndexTag::Device, "aGVq", "aGVQ"), "an id is as it is");
    }

    #[test]
    fn debug_output_shows_no_value() {
        let shown = format!("{:?}", IndexTerm::new(IndexTag::PersonalNumber, "191212121212"));

        assert!(!shown.contains("1912"));
    }
}
