//! The signature algorithms by which a requester may prove possession of a private key.
//!
//! More than we sign with ourselves: a P-256 key may sign with SHA-384. RSA signs as ours does, with
//! PKCS#1 v1.5 or PSS. SHA-1 and MD5 are in no list.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::PossessionError;
use crate::key::{KeyType, PublicKey, SignatureAlgorithm};
use crate::oid::{ObjectIdentifier, signature as algorithm};
use crate::tlv;

/// How a request is signed.
#[derive(Clone, Copy)]
pub(super) struct PossessionAlgorithm(&'static dyn VerificationAlgorithm);

impl PossessionAlgorithm {
    /// The algorithm of an AlgorithmIdentifier, if keys of this type make such signatures.
    pub(super) fn of(identifier_der: &[u8], key_type: KeyType) -> Option<Self> {
        let is = |oid: ObjectIdentifier| tlv::sequence(&[&tlv::oid(oid)]) == identifier_der;
        let found: &'static dyn VerificationAlgorithm = match key_type {
            KeyType::EcP256 if is(algorithm::ECDSA_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
            KeyType::EcP256 if is(algorithm::ECDSA_SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
            KeyType::EcP256 if is(algorithm::ECDSA_SHA512) => &signature::ECDSA_P256_SHA512_ASN1,
            KeyType::EcP384 if is(algorithm::ECDSA_SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
            KeyType::EcP384 if is(algorithm::ECDSA_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
            KeyType::EcP384 if is(algorithm::ECDSA_SHA512) => &signature::ECDSA_P384_SHA512_ASN1,
            KeyType::Ed25519 if is(algorithm::ED25519) => &signature::ED25519,
            KeyType::Rsa { .. } => SignatureAlgorithm::from_foreign_identifier_der(identifier_der)
                .filter(|algorithm| algorithm.fits(key_type))?
                .verification(),
            _ => return None,
        };
        Some(Self(found))
    }

    pub(super) fn verify(
        self,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), PossessionError> {
        // The verifier's own limits, told apart from a bad signature.
        if let KeyType::Rsa { bits } = key.key_type()
            && !(2048..=8192).contains(&bits)
        {
            return Err(PossessionError::RsaSize { bits });
        }
        UnparsedPublicKey::new(self.0, key.key_bits())
            .verify(message, signature)
            .map_err(|_| PossessionError::BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::wycheproof::{for_each_case, judge};

    /// ISS-13: the algorithms that we verify in requests only.
    #[test]
    fn verifies_as_wycheproof_says() {
        let files: [(&str, &'static dyn VerificationAlgorithm); 1] =
            [("ecdsa_secp384r1_sha512", &signature::ECDSA_P384_SHA512_ASN1)];

        let cases = for_each_case(&files, |name, algorithm, key, message, signature, verdict| {
            let verified = PossessionAlgorithm(algorithm).verify(key, message, signature).is_ok();
            judge(name, verified, verdict);
        });

        assert!(cases == 0 || cases == 542, "{cases}");
    }

    /// ISS-13: SHA-1 is in no list, and no key is taken with another key's algorithm.
    #[test]
    fn knows_no_weak_or_foreign_algorithm() {
        let plain = |oid| tlv::sequence(&[&tlv::oid(oid)]);
        let with_null = |oid| tlv::sequence(&[&tlv::oid(oid), &[tlv::NULL, 0]]);
        let ecdsa_sha1 = ObjectIdentifier::parse("1.2.840.10045.4.1").unwrap();
        let rsa = KeyType::Rsa { bits: 2048 };

        for (identifier, key_type) in [
            (plain(ecdsa_sha1), KeyType::EcP256),
            (with_null(algorithm::RSA_SHA1), rsa),
            (plain(algorithm::RSA_SHA256), rsa),
            (with_null(algorithm::ECDSA_SHA256), KeyType::EcP256),
            (plain(algorithm::ECDSA_SHA256), rsa),
            (with_null(algorithm::RSA_SHA256), KeyType::EcP384),
            (plain(algorithm::ED25519), KeyType::EcP256),
            (plain(algorithm::RSA_PSS), rsa),
        ] {
            assert!(PossessionAlgorithm::of(&identifier, key_type).is_none(), "{key_type}");
        }
    }
}
