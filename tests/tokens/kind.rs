//! The kinds of tokens, and what each of them cannot do.

use x509::key::KeyType;

/// A kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SoftHSM's module in our own process.
    SoftHsm,
    /// SoftHSM behind `p11-kit server`.
    P11Kit,
    /// Kryoptic, PKCS#11 3.2.
    Kryoptic,
    /// swtpm behind tpm2-abrmd, by tpm2-pkcs11.
    Tpm,
}

/// What is made on each token.
pub(crate) const KEY_TYPES: [KeyType; 5] = [
    KeyType::EcP256,
    KeyType::EcP384,
    KeyType::Rsa { bits: 2048 },
    KeyType::Rsa { bits: 4096 },
    KeyType::Ed25519,
];

impl Kind {
    /// Its name in tests/tokens/token.sh and in the matrix.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SoftHsm => "softhsm",
            Self::P11Kit => "p11-kit",
            Self::Kryoptic => "kryoptic",
            Self::Tpm => "tpm",
        }
    }

    /// The PKCS#11 call and its result by which a key of this type is not made; `None` where it is.
    pub(crate) const fn refuses(self, key_type: KeyType) -> Option<(&'static str, &'static str)> {
        match (self, key_type) {
            (Self::P11Kit | Self::Tpm, KeyType::Ed25519) => {
                Some(("C_GenerateKeyPair", "CKR_MECHANISM_INVALID"))
            }
            (Self::Tpm, KeyType::Rsa { bits: 4096 }) => {
                Some(("C_GenerateKeyPair", "CKR_ATTRIBUTE_VALUE_INVALID"))
            }
            // A public half that verifies and a private one that does not decrypt are a contradiction to
            // tpm2-pkcs11 1.9.0, for which both are the same bit of the TPM.
            (Self::Tpm, _) => Some(("C_GenerateKeyPair", "CKR_GENERAL_ERROR")),
            _ => None,
        }
    }
}
