//! What tokens do differently from each other, as data: no vendor is named in code.

use cryptoki::mechanism::MechanismType;
use x509::key::{KeyType, SignatureAlgorithm};

/// How a token differs from the usual. The default is the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// What it signs with ECDSA.
    pub ecdsa: EcdsaInput,
}

/// What a token's ECDSA takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EcdsaInput {
    /// A digest (`CKM_ECDSA`).
    #[default]
    Raw,
    /// The message, which the token hashes itself (`CKM_ECDSA_SHA256`, `CKM_ECDSA_SHA384`). A CRL is
    /// then read into memory, up to [`x509::crl::MAX_WHOLE_OCTETS`].
    Hashed,
}

impl Quirks {
    /// Whether the token is given the whole message for this algorithm, not a digest.
    #[must_use]
    pub fn takes_message(self, algorithm: SignatureAlgorithm) -> bool {
        match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 => {
                self.ecdsa == EcdsaInput::Hashed
            }
            _ => algorithm.hash().is_none(),
        }
    }

    /// What a key that is made may be used with (CKA_ALLOWED_MECHANISMS): every way of signing that
    /// [`SignatureAlgorithm`] has for its type, and nothing else.
    pub(crate) fn mechanisms(self, key_type: KeyType) -> Vec<MechanismType> {
        match (key_type, self.ecdsa) {
            (KeyType::EcP256 | KeyType::EcP384, EcdsaInput::Raw) => vec![MechanismType::ECDSA],
            (KeyType::EcP256, EcdsaInput::Hashed) => vec![MechanismType::ECDSA_SHA256],
            (KeyType::EcP384, EcdsaInput::Hashed) => vec![MechanismType::ECDSA_SHA384],
            (KeyType::Ed25519, _) => vec![MechanismType::EDDSA],
            (KeyType::Rsa { .. }, _) => vec![MechanismType::RSA_PKCS, MechanismType::RSA_PKCS_PSS],
        }
    }
}
