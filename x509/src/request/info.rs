//! The part of a request that is signed, for keys of our own: delegated responders.

use crate::key::{KeyError, PublicKey, SignatureAlgorithm};
use crate::name::Name;
use crate::request::{CertificationRequest, RequestError};
use crate::{signing, tlv};

/// A CertificationRequestInfo without attributes (RFC 2986 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificationRequestInfo {
    /// The subject that is asked for.
    pub subject: Name,
    /// The key that the certificate is asked for, which must sign.
    pub public_key: PublicKey,
}

impl CertificationRequestInfo {
    /// The bytes that the key signs.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        tlv::sequence(&[
            &tlv::integer(0),
            self.subject.as_der(),
            self.public_key.spki_der(),
            &tlv::element(tlv::context_constructed(0), &[]),
        ])
    }

    /// Puts the signature (X.509 form) to it.
    ///
    /// # Errors
    ///
    /// [`RequestError::PublicKey`] when the signature does not verify under the request's own key.
    pub fn with_signature(
        &self,
        algorithm: SignatureAlgorithm,
        signature: &[u8],
    ) -> Result<CertificationRequest, RequestError> {
        let info = self.to_der();
        self.public_key.verify(algorithm, &info, signature).map_err(RequestError::PublicKey)?;
        let der = signing::assemble(&info, algorithm, signature)
            .ok_or(RequestError::PublicKey(KeyError::Encoding))?;
        CertificationRequest::from_der(&der)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;
    use crate::name::AttributeType;

    #[test]
    fn a_signed_info_is_a_request_that_proves_possession() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public_key = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        let subject = Name::builder().with(AttributeType::CommonName, "ocsp").unwrap().build();
        let info = CertificationRequestInfo { subject, public_key };
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
        let sign = |bytes: &[u8]| pair.sign(&SystemRandom::new(), bytes).unwrap();

        let request = info.with_signature(algorithm, sign(&info.to_der()).as_ref()).unwrap();

        request.verify_possession().unwrap();
        assert_eq!(request.subject(), &info.subject);
        assert_eq!(request.public_key(), &info.public_key);
        let refused = info.with_signature(algorithm, sign(b"other bytes").as_ref());
        assert!(matches!(refused, Err(RequestError::PublicKey(KeyError::BadSignature))));
    }
}
