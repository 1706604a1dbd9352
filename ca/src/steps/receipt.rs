//! The receipt (*kvittens*) that a holder signs with the key of the card that he gets (docs/formats/holder-receipt.md).

use std::fmt;

use thiserror::Error;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};

/// Characters of a version of terms, or of an addition to them.
const WORDS_LIMIT: usize = 64;

/// The version of the terms, or the name of what a region adds to them: 1 to 64 printable ASCII characters without a space at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptWords(String);

impl ReceiptWords {
    /// Takes the words; `None` for what could be read as another line.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=WORDS_LIMIT).contains(&text.len())
            && text.bytes().all(|octet| (0x20..0x7f).contains(&octet))
            && text.trim() == text
            && text != "-";
        fits.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for ReceiptWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a holder signs.
#[derive(Clone, Debug)]
pub struct HolderReceipt<'a> {
    /// Id of the order.
    pub order: &'a str,
    /// The card's number, of a carrier that has one.
    pub card: Option<&'a str>,
    /// The key of the card that signs: that of its certificate for authentication.
    pub key: &'a PublicKey,
    /// Serial numbers of the order's certificates, upper-case hexadecimal; none before issuing.
    pub serials: &'a [String],
    /// The version of the terms.
    pub terms: &'a ReceiptWords,
    /// What the holder's region adds to them.
    pub addition: Option<&'a ReceiptWords>,
}

impl HolderReceipt<'_> {
    /// The octets that are signed: ASCII lines, each ended by a line feed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut serials = self.serials.to_vec();
        serials.sort();
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        format!(
            "sigill-holder-receipt/1\norder {}\ncard {}\nkey {}\nserials {}\nterms {}\naddition {}\n",
            self.order,
            self.card.unwrap_or("-"),
            self.key.spki_hash(),
            or_none((!serials.is_empty()).then(|| serials.join(","))),
            self.terms,
            or_none(self.addition.map(ToString::to_string)),
        )
    }

    /// Verifies a signature over the text: ECDSA in DER with the hash of the curve's size, or RSA PKCS #1 v1.5 with SHA-256.
    ///
    /// # Errors
    ///
    /// [`ReceiptFault`]: a key that makes no such signatures, or another key's signature, or one of another text.
    pub fn verify(&self, signature: &[u8]) -> Result<(), ReceiptFault> {
        let algorithm = match self.key.key_type() {
            KeyType::EcP256 => SignatureAlgorithm::EcdsaP256Sha256,
            KeyType::EcP384 => SignatureAlgorithm::EcdsaP384Sha384,
            KeyType::Rsa { .. } => SignatureAlgorithm::RsaPkcs1Sha256,
            KeyType::Ed25519 => return Err(ReceiptFault::Key),
        };
        self.key
            .verify(algorithm, self.text().as_bytes(), signature)
            .map_err(|_| ReceiptFault::Signature)
    }
}

/// Why a receipt is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReceiptFault {
    /// No card signs so.
    #[error("a key of a type that signs no receipt")]
    Key,
    /// Another key, or another text.
    #[error("a signature that does not verify under this key over this text")]
    Signature,
}
