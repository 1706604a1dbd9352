//! One signature: what the token is given, and the X.509 form of what it returns.
//!
//! Hashing is done here and the token gets a digest: SoftHSM knows no `CKM_ECDSA_SHA256`, and a
//! token in a network should not get a whole CRL. Only Ed25519 signs the message itself.

use aws_lc_rs::digest;
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use x509::device::digest_info;
use x509::key::{KeyError, KeyType, PublicKey, SignatureAlgorithm, ecdsa_signature_to_der};

/// The input of `C_Sign` for one algorithm.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    algorithm: SignatureAlgorithm,
    input: Vec<u8>,
}

impl Operation {
    /// Signs `message`.
    pub(crate) fn over_message(
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Self, KeyError> {
        match algorithm.hash() {
            Some(hash) => {
                let digest = digest::digest(hash.implementation(), message);
                Self::over_digest(algorithm, digest.as_ref())
            }
            None => Ok(Self { algorithm, input: message.to_vec() }),
        }
    }

    /// Signs a message of which the algorithm's own hash is given. Ed25519 has none.
    pub(crate) fn over_digest(
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Self, KeyError> {
        let hash = algorithm.hash().ok_or(KeyError::Encoding)?;
        if digest.len() != hash.implementation().output_len() {
            return Err(KeyError::Encoding);
        }
        let input = match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 => {
                digest.to_vec()
            }
            _ => digest_info(hash, digest)?,
        };
        Ok(Self { algorithm, input })
    }

    pub(crate) const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Has the token sign and returns what it gives: for ECDSA `r || s`, else the X.509 form.
    pub(crate) fn run(&self, session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Error> {
        session.sign(&mechanism(self.algorithm), key, &self.input)
    }

    /// Brings what the token gave into its X.509 form; `None` when it has not the right length.
    pub(crate) fn to_x509(&self, key_type: KeyType, raw: Vec<u8>) -> Option<Vec<u8>> {
        let length = match key_type {
            KeyType::EcP256 | KeyType::Ed25519 => 64,
            KeyType::EcP384 => 96,
            KeyType::Rsa { bits } => usize::from(bits).div_ceil(8),
        };
        if raw.len() != length {
            return None;
        }
        match key_type {
            KeyType::EcP256 | KeyType::EcP384 => ecdsa_signature_to_der(&raw).ok(),
            KeyType::Rsa { .. } | KeyType::Ed25519 => Some(raw),
        }
    }
}

fn mechanism(algorithm: SignatureAlgorithm) -> Mechanism<'static> {
    match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 => {
            Mechanism::Ecdsa
        }
        SignatureAlgorithm::Ed25519 => ed25519(),
        SignatureAlgorithm::RsaPkcs1Sha256
        | SignatureAlgorithm::RsaPkcs1Sha384
        | SignatureAlgorithm::RsaPkcs1Sha512 => Mechanism::RsaPkcs,
    }
}

fn ed25519() -> Mechanism<'static> {
    Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
}

/// The algorithm by which a key of this type proves itself.
pub(crate) const fn proving_algorithm(key_type: KeyType) -> SignatureAlgorithm {
    match key_type {
        KeyType::EcP256 => SignatureAlgorithm::EcdsaP256Sha256,
        KeyType::EcP384 => SignatureAlgorithm::EcdsaP384Sha384,
        KeyType::Ed25519 => SignatureAlgorithm::Ed25519,
        KeyType::Rsa { .. } => SignatureAlgorithm::RsaPkcs1Sha256,
    }
}

/// The text that a private key signs to prove that it belongs to `key`: 0xFF,
/// `sigill key proof/1`, a newline, and the SPKI hash.
///
/// It begins with an octet that neither DER nor a note can begin with, so that the signature is
/// worth nothing elsewhere. It is the same every time, so that whoever counts a token's signatures
/// by what it was given (KEY-14) can tell proofs from the rest.
#[must_use]
pub fn proof_text(key: &PublicKey) -> Vec<u8> {
    [b"\xffsigill key proof/1\n", &key.spki_hash().as_bytes()[..]].concat()
}

/// Whether the private key behind `handle` is the one of `public`.
pub(crate) fn proves(
    session: &Session,
    handle: ObjectHandle,
    public: &PublicKey,
) -> Result<bool, Error> {
    let text = proof_text(public);
    let algorithm = proving_algorithm(public.key_type());
    let Ok(operation) = Operation::over_message(algorithm, &text) else { return Ok(false) };
    let raw = operation.run(session, handle)?;
    Ok(operation
        .to_x509(public.key_type(), raw)
        .is_some_and(|signature| public.verify(algorithm, &text, &signature).is_ok()))
}
