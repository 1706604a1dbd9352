//! A new key of this client and the request that proves it.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::name::{AttributeType, Name};
use x509::pem;
use x509::request::CertificationRequestInfo;
use zeroize::Zeroizing;

use crate::client::ClientError;

/// A key on P-256, drawn here.
pub(crate) struct NewKey {
    /// PKCS#8 in PEM (RFC 7468 §10).
    pub(crate) pem: Zeroizing<String>,
    /// A PKCS#10 request that it signed, PEM.
    pub(crate) request: String,
}

impl NewKey {
    /// Draws a key and has it sign a request. The names in the request do not count.
    pub(crate) fn draw() -> Result<Self, ClientError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|_| ClientError::Key { why: "no random numbers".to_owned() })?;
        let der = pair
            .to_pkcs8v1()
            .map_err(|_| ClientError::Key { why: "key cannot be written".to_owned() })?;
        Ok(Self {
            pem: pem::encode_private_key(der.as_ref()),
            request: request(&pair).map_err(key)?,
        })
    }
}

fn request(pair: &EcdsaKeyPair) -> Result<String, Box<dyn std::error::Error>> {
    let info = CertificationRequestInfo {
        subject: Name::builder().with(AttributeType::CommonName, "renewal")?.build(),
        public_key: PublicKey::from_ec_point(pair.public_key().as_ref())?,
    };
    let signature = pair.sign(&SystemRandom::new(), &info.to_der())?;
    let request = info.with_signature(SignatureAlgorithm::EcdsaP256Sha256, signature.as_ref())?;
    Ok(pem::encode(pem::Label::CertificateRequest, request.as_der()))
}

fn key(error: Box<dyn std::error::Error>) -> ClientError {
    ClientError::Key { why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_proves_its_key_and_no_two_are_alike() {
        let (one, other) = (NewKey::draw().unwrap(), NewKey::draw().unwrap());
        let der = pem::decode_one(&one.request, pem::Label::CertificateRequest).unwrap();
        let request = x509::request::CertificationRequest::from_der(&der).unwrap();

        request.verify_possession().unwrap();
        assert_ne!(one.pem.as_str(), other.pem.as_str());
    }
}
