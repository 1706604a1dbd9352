//! JSON Web Signatures in the compact serialisation (RFC 7515 §7.1): three parts in base64url, two dots.
//!
//! What header and payload say, in JSON, is for the reader of the kind of token to judge; here are octets and signatures. The three algorithms that
//! cards and identity providers sign with are there, and no other: there is no `none`, and nothing that takes a public key for a secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use crate::key::{KeyError, KeyType, PublicKey, SignatureAlgorithm, ecdsa_signature_to_der};

/// The longest compact serialisation that is read, in octets.
pub const MAX_LENGTH: usize = 8192;

/// Octets of an ES256 signature: two halves of 32 (RFC 7518 §3.4).
const ES256_LENGTH: usize = 64;

/// An algorithm by its name in a header (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwsAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 octets.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl JwsAlgorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Es256, Self::Ps256, Self::Rs256];

    /// The name in a header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of a header's name; `None` of every other word, `none` among them.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// How a key of this type signs: ES256 on P-256, RS256 with RSA; `None` of the others.
    #[must_use]
    pub const fn default_for(key_type: KeyType) -> Option<Self> {
        match key_type {
            KeyType::EcP256 => Some(Self::Es256),
            KeyType::Rsa { .. } => Some(Self::Rs256),
            KeyType::EcP384 | KeyType::Ed25519 => None,
        }
    }

    const fn signature(self) -> SignatureAlgorithm {
        match self {
            Self::Es256 => SignatureAlgorithm::EcdsaP256Sha256,
            Self::Ps256 => SignatureAlgorithm::RsaPssSha256,
            Self::Rs256 => SignatureAlgorithm::RsaPkcs1Sha256,
        }
    }
}

impl fmt::Display for JwsAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Octets in base64url without padding (RFC 7515 §2).
#[must_use]
pub fn text(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// The octets of a text in base64url without padding; `None` of anything else.
#[must_use]
pub fn octets(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// What is signed: header and payload in base64url, joined by a dot (RFC 7515 §5.1).
#[must_use]
pub fn signing_input(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", text(header), text(payload))
}

/// The compact serialisation of a signing input and its signature: `r || s` for ES256.
#[must_use]
pub fn compact(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", text(signature))
}

/// A compact serialisation that has been read. Nothing in it is believed before [`Self::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactJws {
    signing_input: String,
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl CompactJws {
    /// Reads a compact serialisation of at most [`MAX_LENGTH`] octets. Each part has one spelling: no padding, no line breaks, no
    /// bits beyond the last octet.
    ///
    /// # Errors
    ///
    /// [`JwsError::Length`], [`JwsError::Parts`], [`JwsError::Base64`].
    pub fn parse(text: &str) -> Result<Self, JwsError> {
        if text.len() > MAX_LENGTH {
            return Err(JwsError::Length { found: text.len() });
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwsError::Parts { found: text.split('.').count() });
        };
        let read = |part: &str, name| octets(part).ok_or(JwsError::Base64 { part: name });
        Ok(Self {
            header: read(header, "header")?,
            payload: read(payload, "payload")?,
            signature: read(signature, "signature")?,
            signing_input: format!("{header}.{payload}"),
        })
    }

    /// The octets of the protected header.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// The octets of the payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What is signed.
    #[must_use]
    pub fn signing_input(&self) -> &str {
        &self.signing_input
    }

    /// Verifies the signature by `algorithm` with `key`. Which key is whose, and that the header names this algorithm, is the caller's matter.
    ///
    /// # Errors
    ///
    /// [`JwsError::Algorithm`] for a key that makes no such signatures, [`JwsError::Signature`].
    pub fn verify(&self, key: &PublicKey, algorithm: JwsAlgorithm) -> Result<(), JwsError> {
        let signature = match algorithm {
            JwsAlgorithm::Es256 if self.signature.len() != ES256_LENGTH => {
                return Err(JwsError::Signature);
            }
            JwsAlgorithm::Es256 => {
                ecdsa_signature_to_der(&self.signature).map_err(|_| JwsError::Signature)?
            }
            JwsAlgorithm::Ps256 | JwsAlgorithm::Rs256 => self.signature.clone(),
        };
        key.verify(algorithm.signature(), self.signing_input.as_bytes(), &signature).map_err(
            |error| match error {
                KeyError::AlgorithmMismatch { .. } => {
                    JwsError::Algorithm { algorithm, key_type: key.key_type() }
                }
                _ => JwsError::Signature,
            },
        )
    }
}

/// Why a JSON Web Signature was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwsError {
    /// The key makes no such signatures.
    #[error("key of type {key_type} makes no signatures by {algorithm}")]
    Algorithm {
        /// The algorithm of the header.
        algorithm: JwsAlgorithm,
        /// The type of the key.
        key_type: KeyType,
    },
    /// A part that is no base64url, or not in its one spelling.
    #[error("{part} is not base64url without padding (RFC 7515 §2)")]
    Base64 {
        /// Which part.
        part: &'static str,
    },
    /// Too long.
    #[error("{found} octets, at most {MAX_LENGTH} are read")]
    Length {
        /// How long it is.
        found: usize,
    },
    /// Another number of parts.
    #[error("{found} parts, a compact serialisation has 3")]
    Parts {
        /// How many it has.
        found: usize,
    },
    /// The signature does not verify.
    #[error("signature does not verify")]
    Signature,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyError;

    /// The payload of RFC 7515 A.2 and A.3.
    const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    /// RFC 7515 A.3.1.
    const ES256: (&str, &str) = (
        "eyJhbGciOiJFUzI1NiJ9",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
    /// RFC 7515 A.2.1.
    const RS256: (&str, &str) = (
        "eyJhbGciOiJSUzI1NiJ9",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    );

    fn octets(text: &str) -> Vec<u8> {
        super::octets(text).unwrap()
    }

    fn es256_key() -> PublicKey {
        let x = octets("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        let y = octets("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        PublicKey::from_ec_point(&[&[4][..], &x, &y].concat()).unwrap()
    }

    fn rs256_key() -> PublicKey {
        let modulus = octets(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        );
        PublicKey::from_rsa_parts(&modulus, &[1, 0, 1]).unwrap()
    }

    fn example((header, signature): (&str, &str)) -> String {
        format!("{header}.{PAYLOAD}.{signature}")
    }

    #[test]
    fn verifies_the_examples_of_rfc_7515() {
        for (whole, key, algorithm) in
            [(ES256, es256_key(), JwsAlgorithm::Es256), (RS256, rs256_key(), JwsAlgorithm::Rs256)]
        {
            let read = CompactJws::parse(&example(whole)).unwrap();

            assert_eq!(read.verify(&key, algorithm), Ok(()), "{algorithm}");
            assert_eq!(read.header(), format!("{{\"alg\":\"{algorithm}\"}}").as_bytes());
            assert!(read.payload().starts_with(b"{\"iss\":\"joe\","));
            assert_eq!(signing_input(read.header(), read.payload()), read.signing_input());
            assert_eq!(compact(read.signing_input(), &octets(whole.1)), example(whole));
        }
    }

    /// RFC 8725 §3.1, §3.2: a key signs by its own algorithms, and a change of anything ends the signature.
    #[test]
    fn refuses_another_algorithm_key_or_octet() {
        let read = CompactJws::parse(&example(ES256)).unwrap();
        for algorithm in [JwsAlgorithm::Rs256, JwsAlgorithm::Ps256] {
            let refused = read.verify(&es256_key(), algorithm);
            assert_eq!(refused, Err(JwsError::Algorithm { algorithm, key_type: KeyType::EcP256 }));
        }
        let read = CompactJws::parse(&example(RS256)).unwrap();
        assert_eq!(read.verify(&rs256_key(), JwsAlgorithm::Ps256), Err(JwsError::Signature));
        assert_eq!(read.verify(&rs256_key(), JwsAlgorithm::Es256), Err(JwsError::Signature));
        let other = example(ES256).replacen("eyJpc3M", "eyJpc3N", 1);
        let read = CompactJws::parse(&other).unwrap();
        assert_eq!(read.verify(&es256_key(), JwsAlgorithm::Es256), Err(JwsError::Signature));
    }

    /// RFC 7518 §3.4: the signature is 64 octets; X.509's form of the same numbers is another length.
    #[test]
    fn refuses_a_signature_of_another_form() {
        let der = ecdsa_signature_to_der(&octets(ES256.1)).unwrap();
        let zeros = vec![0; ES256_LENGTH];
        for signature in [der, zeros, Vec::new(), octets(ES256.1)[..63].to_vec()] {
            let signature = text(&signature);
            let read = CompactJws::parse(&example((ES256.0, &signature))).unwrap();

            assert_eq!(read.verify(&es256_key(), JwsAlgorithm::Es256), Err(JwsError::Signature));
        }
    }

    #[test]
    fn refuses_what_is_no_compact_serialisation() {
        let whole = example(ES256);
        for (refused, error) in [
            (String::new(), JwsError::Parts { found: 1 }),
            ("a.b".to_owned(), JwsError::Parts { found: 2 }),
            (format!("{whole}."), JwsError::Parts { found: 4 }),
            (whole.replacen("eyJh", "eyJ=", 1), JwsError::Base64 { part: "header" }),
            (whole.replacen(".eyJ", ".\neyJ", 1), JwsError::Base64 { part: "payload" }),
            (whole.replace('-', "+"), JwsError::Base64 { part: "signature" }),
            (format!("{whole}="), JwsError::Base64 { part: "signature" }),
            // `U1Q` and `U1R` would be the same octets.
            (whole.replace("NU1Q", "NU1R"), JwsError::Base64 { part: "signature" }),
            ("a".repeat(MAX_LENGTH + 1), JwsError::Length { found: MAX_LENGTH + 1 }),
        ] {
            assert_eq!(CompactJws::parse(&refused), Err(error), "{refused}");
        }
    }

    #[test]
    fn there_is_no_none() {
        for word in ["none", "None", "HS256", "es256", "ES384", "EdDSA", ""] {
            assert_eq!(JwsAlgorithm::from_name(word), None, "{word}");
        }
        for algorithm in JwsAlgorithm::ALL {
            assert_eq!(JwsAlgorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(ecdsa_signature_to_der(&[]), Err(KeyError::Encoding));
    }
}
