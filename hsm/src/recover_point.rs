//! Names an EC key of which a token tells nothing, by what it signs.
//!
//! Some tokens keep no public object, and tell no point of a private key: one that was unwrapped or
//! restored has none. An ECDSA signature leaves its public key open to two points, rarely four (SEC 1
//! v2 §4.1.6); the proof that each possible key must give says which it is.

use aws_lc_rs::digest;
use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use x509::device::curve_key_type;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};

use crate::facts;
use crate::operation::{Operation, proves, proving_algorithm, refuses_mechanism};
use crate::quirks::Quirks;

/// What a key signs to be named. It begins as the text of a proof does, with an octet that neither
/// DER nor a note can begin with, and is the same every time (KEY-14).
pub const RECOVERY_TEXT: &[u8] = b"\xffsigill key recovery/1\n";

/// Finds out the public key of the EC private key behind `handle`, with one signature and a proof or
/// two. `None` where it is on another curve, or signs in a way that fits no point.
pub(crate) fn recover(
    session: &Session,
    handle: ObjectHandle,
    quirks: &Quirks,
) -> Result<Option<PublicKey>, Error> {
    let Some(key_type) = curve(session, handle)? else { return Ok(None) };
    let algorithm = proving_algorithm(key_type);
    let Some(hash) = algorithm.hash() else { return Ok(None) };
    let digest = digest::digest(hash.implementation(), RECOVERY_TEXT);
    let usual = signed(session, handle, algorithm, quirks.clone());
    let raw = match (usual, quirks.other_ecdsa()) {
        (Err(error), Some(other)) if refuses_mechanism(&error) => {
            signed(session, handle, algorithm, other)?
        }
        (usual, _) => usual?,
    };
    for key in possible(key_type, digest.as_ref(), &raw) {
        if proves(session, handle, &key, quirks)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

fn signed(
    session: &Session,
    handle: ObjectHandle,
    algorithm: SignatureAlgorithm,
    quirks: Quirks,
) -> Result<Vec<u8>, Error> {
    // Refused is a digest of another length alone: nothing fits then.
    Operation::over_message(algorithm, RECOVERY_TEXT, quirks)
        .map_or_else(|_| Ok(Vec::new()), |operation| operation.run(session, handle))
}

/// The curve of an EC key object, by its parameters.
pub(crate) fn curve(session: &Session, handle: ObjectHandle) -> Result<Option<KeyType>, Error> {
    let told = facts::optional(session, handle, &[AttributeType::EcParams])?;
    Ok(told.iter().find_map(|attribute| match attribute {
        Attribute::EcParams(parameters) => curve_key_type(parameters),
        _ => None,
    }))
}

/// The public keys under which `raw` (`r || s`) may be a signature of `digest`.
fn possible(key_type: KeyType, digest: &[u8], raw: &[u8]) -> Vec<PublicKey> {
    macro_rules! on_curve {
        ($curve:ident) => {{
            let Ok(signature) = $curve::ecdsa::Signature::from_slice(raw) else {
                return Vec::new();
            };
            let recovered = |id| {
                let id = p256::ecdsa::RecoveryId::from_byte(id)?;
                $curve::ecdsa::VerifyingKey::recover_from_prehash(digest, &signature, id).ok()
            };
            (0..=p256::ecdsa::RecoveryId::MAX)
                .filter_map(recovered)
                .filter_map(|key| {
                    PublicKey::from_ec_point(key.to_sec1_point(false).as_bytes()).ok()
                })
                .collect()
        }};
    }
    match key_type {
        KeyType::EcP256 => on_curve!(p256),
        KeyType::EcP384 => on_curve!(p384),
        KeyType::Ed25519 | KeyType::Rsa { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, KeyPair as _,
    };

    use super::*;

    /// Promise 6: the other library signs, this one recovers; no other key is among the possible ones.
    #[test]
    fn the_signer_is_among_the_few_keys_that_a_signature_may_be_of() {
        let curves: [(KeyType, &EcdsaSigningAlgorithm); 2] = [
            (KeyType::EcP256, &ECDSA_P256_SHA256_FIXED_SIGNING),
            (KeyType::EcP384, &ECDSA_P384_SHA384_FIXED_SIGNING),
        ];
        for (key_type, signing) in curves {
            let hash = proving_algorithm(key_type).hash().unwrap().implementation();
            let digest = digest::digest(hash, RECOVERY_TEXT);
            for _ in 0..32 {
                let pair = EcdsaKeyPair::generate(signing).unwrap();
                let own = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
                let raw = pair.sign(&SystemRandom::new(), RECOVERY_TEXT).unwrap();

                let keys = possible(key_type, digest.as_ref(), raw.as_ref());

                assert!(keys.contains(&own), "{key_type}");
                assert!((1..=4).contains(&keys.len()), "{key_type}: {}", keys.len());
                let other = digest::digest(hash, b"another text");
                assert!(!possible(key_type, other.as_ref(), raw.as_ref()).contains(&own));
            }
        }
    }

    #[test]
    fn no_key_is_recovered_from_what_is_no_signature() {
        let digest = [7; 32];
        for raw in [&[][..], &[0; 64], &[0xff; 64], &[1; 63], &[1; 96]] {
            assert!(possible(KeyType::EcP256, &digest, raw).is_empty(), "{raw:?}");
        }
        assert!(possible(KeyType::Ed25519, &digest, &[1; 64]).is_empty());
    }
}
