//! Public keys that samples are made for. They are nobody's: on curves the generator, whose private
//! key is 1; of the RSA keys the private halves were thrown away.

use x509::key::{KeyType, PublicKey, SignatureAlgorithm};

/// The sample of this type; `None` where there is none.
pub(super) fn of(key_type: KeyType) -> Option<PublicKey> {
    let spki: &[u8] = match key_type {
        KeyType::EcP256 => include_bytes!("ec-p256.spki"),
        KeyType::EcP384 => include_bytes!("ec-p384.spki"),
        KeyType::Ed25519 => include_bytes!("ed25519.spki"),
        KeyType::Rsa { bits: 2_048 } => include_bytes!("rsa-2048.spki"),
        KeyType::Rsa { bits: 3_072 } => include_bytes!("rsa-3072.spki"),
        KeyType::Rsa { bits: 4_096 } => include_bytes!("rsa-4096.spki"),
        KeyType::Rsa { .. } => return None,
    };
    PublicKey::from_spki_der(spki).ok()
}

/// The key of the made-up issuer that signs in this way: on curves, of the private key 2.
pub(super) fn of_issuer(algorithm: SignatureAlgorithm) -> Option<PublicKey> {
    let spki: &[u8] = match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => include_bytes!("issuer-ec-p256.spki"),
        SignatureAlgorithm::EcdsaP384Sha384 => include_bytes!("issuer-ec-p384.spki"),
        SignatureAlgorithm::Ed25519 => include_bytes!("issuer-ed25519.spki"),
        _ => include_bytes!("issuer-rsa-4096.spki"),
    };
    PublicKey::from_spki_der(spki).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_quality;

    #[test]
    fn every_sample_is_of_its_type_and_good() {
        for name in ["ec-p256", "ec-p384", "ed25519", "rsa-2048", "rsa-3072", "rsa-4096"] {
            let key_type: KeyType = name.parse().unwrap();

            let key = of(key_type).unwrap();

            assert_eq!(key.key_type(), key_type);
            assert!(key_quality::check(&key).is_ok(), "{name}");
        }
        for algorithm in SignatureAlgorithm::ALL {
            let key = of_issuer(algorithm).unwrap();

            assert!(algorithm.fits(key.key_type()), "{algorithm}");
            assert!(of(key.key_type()).is_some_and(|sample| sample != key), "{algorithm}");
        }
    }
}
