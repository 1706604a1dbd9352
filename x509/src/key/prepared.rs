//! A public key in the form in which it verifies, made when it is first needed and kept.
//!
//! Whether a point is on its curve, and what is computed from a modulus, is the same each time. A key verifies by one
//! algorithm nearly always; its form for that one is kept, and for any other it is read anew.

use std::sync::OnceLock;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{ParsedPublicKey, UnparsedPublicKey};

use super::SignatureAlgorithm;

/// The algorithm by which the key was first to verify, and its form for that; `None` for a key that is none, such as a
/// point off its curve, under which nothing verifies.
#[derive(Default)]
pub(super) struct Prepared(OnceLock<(SignatureAlgorithm, Option<ParsedPublicKey>)>);

/// A key that verifies by one algorithm.
enum Verifier<'a> {
    Kept(&'a ParsedPublicKey),
    Anew(UnparsedPublicKey<&'a [u8]>),
}

impl Prepared {
    /// Verifies a signature over a message.
    pub(super) fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key_bits: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Unspecified> {
        match self.verifier(algorithm, key_bits)? {
            Verifier::Kept(key) => key.verify_sig(message, signature),
            Verifier::Anew(key) => key.verify(message, signature),
        }
    }

    /// Verifies a signature over a message of which the hash is given.
    pub(super) fn verify_digest(
        &self,
        algorithm: SignatureAlgorithm,
        key_bits: &[u8],
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), Unspecified> {
        match self.verifier(algorithm, key_bits)? {
            Verifier::Kept(key) => key.verify_digest_sig(digest, signature),
            Verifier::Anew(key) => key.verify_digest(digest, signature),
        }
    }

    fn verifier<'a>(
        &'a self,
        algorithm: SignatureAlgorithm,
        key_bits: &'a [u8],
    ) -> Result<Verifier<'a>, Unspecified> {
        let verification = algorithm.verification();
        let (kept_for, kept) =
            self.0.get_or_init(|| (algorithm, ParsedPublicKey::new(verification, key_bits).ok()));
        if *kept_for == algorithm {
            return kept.as_ref().map(Verifier::Kept).ok_or(Unspecified);
        }
        Ok(Verifier::Anew(UnparsedPublicKey::new(verification, key_bits)))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    };

    use super::super::{KeyError, PublicKey};
    use super::*;

    const BYTES: &[u8] = b"bytes";

    fn signed(pair: &RsaKeyPair, encoding: &'static dyn RsaEncoding) -> Vec<u8> {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), BYTES, &mut signature).unwrap();
        signature
    }

    /// KEY-10: a key that is kept for one algorithm verifies by the others as it would without, and nothing that is
    /// signed by one verifies by another, whichever comes first.
    #[test]
    fn whichever_algorithm_comes_first_each_verifies_its_own_signatures_alone() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let algorithms = [
            (SignatureAlgorithm::RsaPkcs1Sha256, signed(&pair, &RSA_PKCS1_SHA256)),
            (SignatureAlgorithm::RsaPssSha256, signed(&pair, &RSA_PSS_SHA256)),
            (SignatureAlgorithm::RsaPkcs1Sha384, signed(&pair, &RSA_PKCS1_SHA384)),
        ];
        for (first, _) in &algorithms {
            let key = PublicKey::from_spki_der(spki.as_ref()).unwrap();
            assert_eq!(key.verify(*first, BYTES, &[0; 256]), Err(KeyError::BadSignature));
            for (by, _) in &algorithms {
                for (of, signature) in &algorithms {
                    let verified = key.clone().verify(*by, BYTES, signature).is_ok();
                    assert_eq!(verified, by == of, "{first} first: {by} judges {of}");
                    assert!(key.verify(*by, b"others", signature).is_err());
                    let hash = by.hash().unwrap().implementation();
                    let digest = aws_lc_rs::digest::digest(hash, BYTES);
                    let verified = key.verify_digest(*by, digest.as_ref(), signature).is_ok();
                    assert_eq!(verified, by == of, "{first} first: {by} judges the hash of {of}");
                }
            }
            let again = PublicKey::from_spki_der(key.spki_der()).unwrap();
            assert_eq!((&key, key.spki_hash()), (&again, again.spki_hash()));
            assert_eq!(key.key_bits_sha1(), again.key_bits_sha1());
        }
    }

    /// ISS-11: under what is no point nothing verifies, the first time and any other.
    #[test]
    fn a_key_that_is_none_verifies_nothing() {
        let mut off_curve = [1; 65];
        off_curve[0] = 4;
        let key = PublicKey::from_ec_point(&off_curve).unwrap();
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
        let signature = algorithm.placeholder(key.key_type());
        for _ in 0..2 {
            assert_eq!(key.verify(algorithm, BYTES, &signature), Err(KeyError::BadSignature));
        }
    }
}
