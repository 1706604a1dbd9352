//! What tokens do differently from each other, as data: no vendor is named in code.

use std::num::NonZeroUsize;

use cryptoki::mechanism::MechanismType;
use serde::{Deserialize, Serialize};
use x509::key::{KeyType, SignatureAlgorithm};

use crate::profile::Profiled;

/// How a token differs from the usual. The default is the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// What it signs with ECDSA.
    pub ecdsa: EcdsaInput,
    /// How many sessions it gives at a time; `None` where it gives as many as anybody needs.
    pub max_sessions: Option<NonZeroUsize>,
    /// Whether it tells by a flag that a wrong PIN was tried.
    pub wrong_pins: WrongPins,
    /// The device profile that says so; the token is compared with it at each login.
    pub measured_on: Option<Profiled>,
}

/// What a token's ECDSA takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EcdsaInput {
    /// A digest (`CKM_ECDSA`).
    #[default]
    Raw,
    /// The message, which the token hashes itself (`CKM_ECDSA_SHA256`, `CKM_ECDSA_SHA384`). A CRL is
    /// then read into memory, up to [`x509::crl::MAX_WHOLE_OCTETS`].
    Hashed,
}

/// Whether a token tells by a flag, before the next login, that a wrong PIN was tried. PKCS#11 lets it
/// not tell (v3.1 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WrongPins {
    /// Nobody has measured that it does: that no flag is up proves nothing.
    #[default]
    Untold,
    /// It was seen to: while no flag is up no wrong PIN was tried since the last login.
    Told,
}

/// Sessions beside those that sign: one holds the login, one makes keys.
const BESIDE: usize = 2;

impl Quirks {
    /// How many of `wanted` signing sessions the token gives, and always one.
    #[must_use]
    pub fn sessions(&self, wanted: NonZeroUsize) -> NonZeroUsize {
        let given = self
            .max_sessions
            .map(|most| NonZeroUsize::new(most.get().saturating_sub(BESIDE)))
            .map(|most| most.unwrap_or(NonZeroUsize::MIN));
        given.map_or(wanted, |most| wanted.min(most))
    }

    /// Whether the token is given the whole message for this algorithm, not a digest.
    #[must_use]
    pub fn takes_message(&self, algorithm: SignatureAlgorithm) -> bool {
        match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 => {
                self.ecdsa == EcdsaInput::Hashed
            }
            _ => algorithm.hash().is_none(),
        }
    }

    /// Whether the token signs so, as far as its device profile tells: without one, it is tried.
    #[must_use]
    pub fn signs(&self, algorithm: SignatureAlgorithm) -> bool {
        self.measured_on.as_ref().is_none_or(|profiled| profiled.signs(algorithm))
    }

    /// The other input of ECDSA, for a token that nobody has measured.
    pub(crate) fn other_ecdsa(&self) -> Option<Self> {
        let ecdsa = match self.ecdsa {
            EcdsaInput::Raw => EcdsaInput::Hashed,
            EcdsaInput::Hashed => EcdsaInput::Raw,
        };
        self.measured_on.is_none().then(|| Self { ecdsa, ..self.clone() })
    }

    /// What a key that is made may be used with (CKA_ALLOWED_MECHANISMS): every way of signing that
    /// [`SignatureAlgorithm`] has for its type, and nothing else.
    pub(crate) fn mechanisms(&self, key_type: KeyType) -> Vec<MechanismType> {
        match (key_type, self.ecdsa) {
            (KeyType::EcP256 | KeyType::EcP384, EcdsaInput::Raw) => vec![MechanismType::ECDSA],
            (KeyType::EcP256, EcdsaInput::Hashed) => vec![MechanismType::ECDSA_SHA256],
            (KeyType::EcP384, EcdsaInput::Hashed) => vec![MechanismType::ECDSA_SHA384],
            (KeyType::Ed25519, _) => vec![MechanismType::EDDSA],
            (KeyType::Rsa { .. }, _) => vec![MechanismType::RSA_PKCS, MechanismType::RSA_PKCS_PSS],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KEY-09: a token that gives few sessions is not asked for more, and always for one.
    #[test]
    fn asks_for_no_more_sessions_than_there_are_beside_the_login_and_new_keys() {
        let number = |number| NonZeroUsize::new(number).unwrap();
        let of = |most, wanted| {
            let quirks = Quirks { max_sessions: NonZeroUsize::new(most), ..Quirks::default() };
            quirks.sessions(number(wanted)).get()
        };

        assert_eq!(Quirks::default().sessions(number(32)).get(), 32);
        assert_eq!((of(10, 32), of(10, 3), of(3, 3), of(1, 3)), (8, 3, 1, 1));
    }
}
