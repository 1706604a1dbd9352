//! A second library verifies what a key has signed, before anybody leaves the room.
//!
//! The first one is that of the rooms that sign (aws-lc). Here ECDSA is verified by `p256` and `p384`, Ed25519 by `ed25519-dalek`, and RSA by
//! the arithmetic of `num-bigint` and the encodings of RFC 8017 written out: public values only.

use ed25519_dalek::VerifyingKey;
use num_bigint::BigUint;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use sha2::{Digest, Sha256, Sha384, Sha512};
use thiserror::Error;
use x509::key::{PublicKey, SignatureAlgorithm as Algorithm};

/// Why the second library does not agree.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum NotAgreed {
    /// The key has another form.
    #[error("the second library cannot read the key")]
    Key,
    /// The signature is none.
    #[error("the second library does not verify the signature")]
    Signature,
}

/// What was signed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message<'a> {
    /// The octets.
    Octets(&'a [u8]),
    /// The algorithm's own hash of them.
    Digest(&'a [u8]),
}

/// Verifies a signature in its X.509 form.
///
/// # Errors
///
/// [`NotAgreed`].
pub(crate) fn verify(
    key: &PublicKey,
    algorithm: Algorithm,
    message: Message<'_>,
    signature: &[u8],
) -> Result<(), NotAgreed> {
    match algorithm {
        Algorithm::EcdsaP256Sha256 => {
            let point = p256::ecdsa::VerifyingKey::from_sec1_bytes(key.key_bits());
            let signature = p256::ecdsa::Signature::from_der(signature);
            let (point, signature) = parts(point, signature)?;
            let digest = digest::<Sha256>(message);
            point.verify_prehash(&digest, &signature).map_err(|_| NotAgreed::Signature)
        }
        Algorithm::EcdsaP384Sha384 => {
            let point = p384::ecdsa::VerifyingKey::from_sec1_bytes(key.key_bits());
            let signature = p384::ecdsa::Signature::from_der(signature);
            let (point, signature) = parts(point, signature)?;
            let digest = digest::<Sha384>(message);
            point.verify_prehash(&digest, &signature).map_err(|_| NotAgreed::Signature)
        }
        Algorithm::Ed25519 => {
            let Message::Octets(octets) = message else { return Err(NotAgreed::Signature) };
            let point = key.key_bits().try_into().map_err(|_| NotAgreed::Key)?;
            let point = VerifyingKey::from_bytes(point).map_err(|_| NotAgreed::Key)?;
            let signature = ed25519_dalek::Signature::from_slice(signature)
                .map_err(|_| NotAgreed::Signature)?;
            point.verify_strict(octets, &signature).map_err(|_| NotAgreed::Signature)
        }
        Algorithm::RsaPkcs1Sha256 => pkcs1::<Sha256>(key, message, signature, SHA_256),
        Algorithm::RsaPkcs1Sha384 => pkcs1::<Sha384>(key, message, signature, SHA_384),
        Algorithm::RsaPkcs1Sha512 => pkcs1::<Sha512>(key, message, signature, SHA_512),
        Algorithm::RsaPssSha256 => pss::<Sha256>(key, message, signature),
        Algorithm::RsaPssSha384 => pss::<Sha384>(key, message, signature),
        Algorithm::RsaPssSha512 => pss::<Sha512>(key, message, signature),
    }
}

fn parts<K, S, E, F>(key: Result<K, E>, signature: Result<S, F>) -> Result<(K, S), NotAgreed> {
    Ok((key.map_err(|_| NotAgreed::Key)?, signature.map_err(|_| NotAgreed::Signature)?))
}

fn digest<D: Digest>(message: Message<'_>) -> Vec<u8> {
    match message {
        Message::Octets(octets) => D::digest(octets).to_vec(),
        Message::Digest(digest) => digest.to_vec(),
    }
}

/// What stands before the hash in a DigestInfo (RFC 8017 §9.2, note 1).
const SHA_256: &[u8] =
    &[0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
const SHA_384: &[u8] =
    &[0x30, 0x41, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2, 5, 0, 4, 0x30];
const SHA_512: &[u8] =
    &[0x30, 0x51, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3, 5, 0, 4, 0x40];

/// RSAVP1 (RFC 8017 §5.2.2) and the length of the modulus in bits: the encoded message, as long as the modulus.
fn opened(key: &PublicKey, signature: &[u8]) -> Result<(Vec<u8>, u64), NotAgreed> {
    let (modulus, exponent) = key.rsa_parts().ok_or(NotAgreed::Key)?;
    let [modulus, exponent] = [modulus, exponent].map(|part| BigUint::from_bytes_be(&part));
    let bits = modulus.bits();
    let length = usize::try_from(bits.div_ceil(8)).map_err(|_| NotAgreed::Key)?;
    let value = BigUint::from_bytes_be(signature);
    if signature.len() != length || value >= modulus {
        return Err(NotAgreed::Signature);
    }
    let message = value.modpow(&exponent, &modulus).to_bytes_be();
    let mut encoded = vec![0; length.saturating_sub(message.len())];
    encoded.extend(message);
    Ok((encoded, bits))
}

/// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2): the encoding is made and compared whole.
fn pkcs1<D: Digest>(
    key: &PublicKey,
    message: Message<'_>,
    signature: &[u8],
    info: &[u8],
) -> Result<(), NotAgreed> {
    let (seen, _) = opened(key, signature)?;
    let digest = digest::<D>(message);
    let rest = seen.len().checked_sub(info.len() + digest.len() + 3);
    let padding = rest.filter(|padding| *padding >= 8).ok_or(NotAgreed::Key)?;
    let padding = vec![0xff; padding];
    let wanted = [&[0, 1], padding.as_slice(), &[0], info, &digest].concat();
    if seen == wanted { Ok(()) } else { Err(NotAgreed::Signature) }
}

/// RSASSA-PSS with MGF1 by the same hash and a salt as long as it (RFC 8017 §9.1.2).
fn pss<D: Digest>(
    key: &PublicKey,
    message: Message<'_>,
    signature: &[u8],
) -> Result<(), NotAgreed> {
    let (encoded, modulus_bits) = opened(key, signature)?;
    let digest = digest::<D>(message);
    let bits = modulus_bits.checked_sub(1).ok_or(NotAgreed::Key)?;
    let length = usize::try_from(bits.div_ceil(8)).map_err(|_| NotAgreed::Key)?;
    let wrong = NotAgreed::Signature;
    // Where the modulus has a whole number of octets and one bit the encoding is one octet shorter.
    let (above, encoded) = encoded.split_at_checked(encoded.len() - length).ok_or(wrong)?;
    let (rest, trailer) = encoded.split_at_checked(length - 1).ok_or(wrong)?;
    let split = rest.len().checked_sub(digest.len()).ok_or(wrong)?;
    let (masked, hash) = rest.split_at_checked(split).ok_or(wrong)?;
    let unused =
        u32::try_from(length * 8).map_err(|_| wrong)? - u32::try_from(bits).map_err(|_| wrong)?;
    let used: u8 = 0xff_u8.checked_shr(unused).unwrap_or(0);
    if above.iter().any(|octet| *octet != 0)
        || trailer != [0xbc]
        || masked.first().is_none_or(|octet| octet & !used != 0)
    {
        return Err(wrong);
    }
    let mut block: Vec<u8> =
        masked.iter().zip(mgf1::<D>(hash, masked.len())).map(|(a, b)| a ^ b).collect();
    if let Some(first) = block.first_mut() {
        *first &= used;
    }
    let zeros = block.len().checked_sub(digest.len() + 1).ok_or(wrong)?;
    let (padding, salt) = block.split_at_checked(zeros).ok_or(wrong)?;
    let Some((1, salt)) = salt.split_first().map(|(one, salt)| (*one, salt)) else {
        return Err(wrong);
    };
    let again = D::new().chain_update([0; 8]).chain_update(&digest).chain_update(salt).finalize();
    if padding.iter().all(|octet| *octet == 0) && again.as_slice() == hash {
        Ok(())
    } else {
        Err(wrong)
    }
}

/// MGF1 (RFC 8017 appendix B.2.1).
fn mgf1<D: Digest>(seed: &[u8], length: usize) -> Vec<u8> {
    let blocks = (0_u32..).flat_map(|count| {
        D::new().chain_update(seed).chain_update(count.to_be_bytes()).finalize().to_vec()
    });
    blocks.take(length).collect()
}

#[cfg(test)]
mod tests {
    use x509::key::KeyType;

    use super::*;
    use crate::trial_key::TrialKey;

    /// Each algorithm that a CA may sign with, by another library's signatures; and none of another text or key.
    #[test]
    fn agrees_with_what_the_first_library_signs_and_with_nothing_else() {
        for algorithm in Algorithm::ALL {
            let key_type = match algorithm {
                Algorithm::EcdsaP256Sha256 => KeyType::EcP256,
                Algorithm::EcdsaP384Sha384 => KeyType::EcP384,
                Algorithm::Ed25519 => KeyType::Ed25519,
                _ => KeyType::Rsa { bits: 2048 },
            };
            let [key, other] = [(); 2].map(|()| TrialKey::generate(key_type).unwrap());
            let signature = key.sign(algorithm, b"signed").unwrap();
            let judged = |key: &TrialKey, message: &[u8], signature: &[u8]| {
                verify(key.public(), algorithm, Message::Octets(message), signature)
            };
            let wrong = Err(NotAgreed::Signature);

            assert_eq!(judged(&key, b"signed", &signature), Ok(()), "{algorithm:?}");
            assert_eq!(judged(&key, b"signee", &signature), wrong, "{algorithm:?}");
            assert_eq!(judged(&other, b"signed", &signature), wrong, "{algorithm:?}");
            for place in [0, signature.len() / 2, signature.len() - 1] {
                let mut changed = signature.clone();
                changed[place] ^= 1;
                assert_eq!(judged(&key, b"signed", &changed), wrong, "{algorithm:?} {place}");
            }
            assert_eq!(judged(&key, b"signed", &signature[1..]), wrong, "{algorithm:?}");
            if let Some(hash) = algorithm.hash() {
                let digest = aws_lc_rs::digest::digest(hash.implementation(), b"signed");
                let message = Message::Digest(digest.as_ref());
                assert_eq!(verify(key.public(), algorithm, message, &signature), Ok(()));
            }
        }
    }

    #[test]
    fn a_key_of_another_type_is_refused() {
        let key = TrialKey::generate(KeyType::EcP256).unwrap();
        let signature = key.sign(Algorithm::EcdsaP256Sha256, b"signed").unwrap();
        for other in [Algorithm::RsaPkcs1Sha256, Algorithm::RsaPssSha384, Algorithm::Ed25519] {
            let judged = verify(key.public(), other, Message::Octets(b"signed"), &signature);
            assert_eq!(judged, Err(NotAgreed::Key), "{other:?}");
        }
    }
}
