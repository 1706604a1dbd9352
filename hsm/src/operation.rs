//! One signature: what the token is given, and the X.509 form of what it returns.
//!
//! Hashing is done here and the token gets a digest: SoftHSM knows no `CKM_ECDSA_SHA256`, and a
//! token in a network should not get a whole CRL. Only Ed25519 signs the message itself, and ECDSA on
//! a token whose quirk it is. The probe asks in every way there is, by the same mechanisms.

use aws_lc_rs::digest;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use x509::device::digest_info;
use x509::key::{
    HashAlgorithm, KeyError, KeyType, PublicKey, SignatureAlgorithm, ecdsa_signature_to_der,
};

use crate::quirks::Quirks;

/// The input of `C_Sign` for one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    algorithm: SignatureAlgorithm,
    how: How,
    input: Vec<u8>,
}

/// Which mechanism of the algorithm is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It takes a digest: bare for ECDSA and PSS, as DigestInfo for PKCS#1 v1.5.
    Digest,
    /// It takes the message.
    Message,
}

impl Operation {
    /// Signs `message`, on a token with these quirks.
    pub(crate) fn over_message(
        algorithm: SignatureAlgorithm,
        message: &[u8],
        quirks: Quirks,
    ) -> Result<Self, KeyError> {
        let how = if quirks.takes_message(algorithm) { How::Message } else { How::Digest };
        Self::by(algorithm, how, message)
    }

    /// Signs `message` by this mechanism of the algorithm. None takes a digest for Ed25519.
    pub(crate) fn by(
        algorithm: SignatureAlgorithm,
        how: How,
        message: &[u8],
    ) -> Result<Self, KeyError> {
        match how {
            How::Message => Ok(Self { algorithm, how, input: message.to_vec() }),
            How::Digest => {
                let hash = algorithm.hash().ok_or(KeyError::Encoding)?;
                let digest = digest::digest(hash.implementation(), message);
                Self::over_digest(algorithm, digest.as_ref())
            }
        }
    }

    /// Signs a message of which the algorithm's own hash is given. Ed25519 has none, and a token that
    /// [takes the message](Quirks::takes_message) needs that.
    pub(crate) fn over_digest(
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Self, KeyError> {
        let hash = algorithm.hash().ok_or(KeyError::Encoding)?;
        if digest.len() != hash.implementation().output_len() {
            return Err(KeyError::Encoding);
        }
        let input = match algorithm {
            SignatureAlgorithm::RsaPkcs1Sha256
            | SignatureAlgorithm::RsaPkcs1Sha384
            | SignatureAlgorithm::RsaPkcs1Sha512 => digest_info(hash, digest)?,
            _ => digest.to_vec(),
        };
        Ok(Self { algorithm, how: How::Digest, input })
    }

    pub(crate) const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Has the token sign and returns what it gives: for ECDSA `r || s`, else the X.509 form.
    pub(crate) fn run(&self, session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Error> {
        session.sign(&self.mechanism(), key, &self.input)
    }

    /// Begins the signature; a key that wants a login for each use gets it now.
    pub(crate) fn begin(&self, session: &Session, key: ObjectHandle) -> Result<(), Error> {
        session.sign_init(&self.mechanism(), key)
    }

    /// Ends what [`Self::begin`] began. Not every mechanism signs in parts.
    pub(crate) fn end(&self, session: &Session) -> Result<Vec<u8>, Error> {
        session.sign_update(&self.input)?;
        session.sign_final()
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

    /// Whether what the token gave is a signature of `message` under `key`.
    pub(crate) fn verifies(&self, key: &PublicKey, message: &[u8], raw: &[u8]) -> bool {
        self.to_x509(key.key_type(), raw.to_vec())
            .is_some_and(|signature| key.verify(self.algorithm, message, &signature).is_ok())
    }

    fn mechanism(&self) -> Mechanism<'static> {
        match self.how {
            How::Digest => mechanism_of_digest(self.algorithm),
            How::Message => mechanism_of_message(self.algorithm),
        }
    }
}

/// The one that takes a digest; for Ed25519 the only one.
fn mechanism_of_digest(algorithm: SignatureAlgorithm) -> Mechanism<'static> {
    match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 => {
            Mechanism::Ecdsa
        }
        SignatureAlgorithm::Ed25519 => ed25519(),
        SignatureAlgorithm::RsaPkcs1Sha256
        | SignatureAlgorithm::RsaPkcs1Sha384
        | SignatureAlgorithm::RsaPkcs1Sha512 => Mechanism::RsaPkcs,
        SignatureAlgorithm::RsaPssSha256 => Mechanism::RsaPkcsPss(pss(HashAlgorithm::Sha256)),
        SignatureAlgorithm::RsaPssSha384 => Mechanism::RsaPkcsPss(pss(HashAlgorithm::Sha384)),
        SignatureAlgorithm::RsaPssSha512 => Mechanism::RsaPkcsPss(pss(HashAlgorithm::Sha512)),
    }
}

/// The one that takes the message, which the token hashes itself.
fn mechanism_of_message(algorithm: SignatureAlgorithm) -> Mechanism<'static> {
    match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => Mechanism::EcdsaSha256,
        SignatureAlgorithm::EcdsaP384Sha384 => Mechanism::EcdsaSha384,
        SignatureAlgorithm::Ed25519 => ed25519(),
        SignatureAlgorithm::RsaPkcs1Sha256 => Mechanism::Sha256RsaPkcs,
        SignatureAlgorithm::RsaPkcs1Sha384 => Mechanism::Sha384RsaPkcs,
        SignatureAlgorithm::RsaPkcs1Sha512 => Mechanism::Sha512RsaPkcs,
        SignatureAlgorithm::RsaPssSha256 => Mechanism::Sha256RsaPkcsPss(pss(HashAlgorithm::Sha256)),
        SignatureAlgorithm::RsaPssSha384 => Mechanism::Sha384RsaPkcsPss(pss(HashAlgorithm::Sha384)),
        SignatureAlgorithm::RsaPssSha512 => Mechanism::Sha512RsaPkcsPss(pss(HashAlgorithm::Sha512)),
    }
}

fn ed25519() -> Mechanism<'static> {
    Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
}

/// PSS (PKCS#11 v3.1 §6.1.10): MGF1 with the same hash, a salt as long as the hash (RFC 4055 §3.1).
fn pss(hash: HashAlgorithm) -> PkcsPssParams {
    let (hash_alg, mgf, salt) = match hash {
        HashAlgorithm::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32_u64),
        HashAlgorithm::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
        HashAlgorithm::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
    };
    PkcsPssParams { hash_alg, mgf, s_len: salt.into() }
}

/// The algorithm by which a key of this type proves itself, and signs requests for itself.
pub(crate) const fn proving_algorithm(key_type: KeyType) -> SignatureAlgorithm {
    SignatureAlgorithm::default_for(key_type)
}

/// A way in which a key may prove itself.
type Way = (SignatureAlgorithm, Quirks);

/// The usual way and perhaps another: one that a token refuses does not count against the key.
/// A key may be allowed PSS alone, and a token of which nothing was measured may know ECDSA only with
/// the hash in it.
fn ways_of_proving(key_type: KeyType, quirks: &Quirks) -> (Way, Option<Way>) {
    let usual = proving_algorithm(key_type);
    let other = match key_type {
        KeyType::Rsa { .. } => Some((SignatureAlgorithm::RsaPssSha256, quirks.clone())),
        KeyType::EcP256 | KeyType::EcP384 => quirks.other_ecdsa().map(|other| (usual, other)),
        KeyType::Ed25519 => None,
    };
    ((usual, quirks.clone()), other)
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

/// Whether the private key behind `handle` is the one of `public`. ECDSA is proven as it is going to be
/// used: a token may take a digest and sign another thing.
pub(crate) fn proves(
    session: &Session,
    handle: ObjectHandle,
    public: &PublicKey,
    quirks: &Quirks,
) -> Result<bool, Error> {
    let text = proof_text(public);
    let (usual, other) = ways_of_proving(public.key_type(), quirks);
    let proves_by = |(algorithm, quirks): Way| {
        let Ok(operation) = Operation::over_message(algorithm, &text, quirks) else {
            return Ok(false);
        };
        let raw = operation.run(session, handle)?;
        Ok(operation.verifies(public, &text, &raw))
    };
    match (proves_by(usual), other) {
        (Err(error), Some(other)) if refuses_mechanism(&error) => match proves_by(other) {
            // The first refusal tells what is wrong with the usual way.
            Err(second) if refuses_mechanism(&second) => Err(error),
            proven => proven,
        },
        (proven, _) => proven,
    }
}

/// Whether the token does not know the mechanism, or not for this key. Nothing was signed then.
pub(crate) const fn refuses_mechanism(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::MechanismInvalid
                | RvError::MechanismParamInvalid
                | RvError::KeyFunctionNotPermitted,
            _
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quirks::EcdsaInput;

    const HASHED: Quirks = Quirks {
        ecdsa: EcdsaInput::Hashed,
        max_sessions: None,
        wrong_pins: crate::quirks::WrongPins::Untold,
        measured_on: None,
    };

    fn mechanism_and_input(algorithm: SignatureAlgorithm, quirks: Quirks) -> (String, Vec<u8>) {
        let operation = Operation::over_message(algorithm, b"message", quirks).unwrap();
        (operation.mechanism().mechanism_type().to_string(), operation.input)
    }

    /// KEY-11: what the token is given for each algorithm; by the quirk ECDSA gets the message, and
    /// nothing else changes.
    #[test]
    fn a_token_is_given_a_digest_unless_it_wants_the_message() {
        let digest = |hash: HashAlgorithm| {
            digest::digest(hash.implementation(), b"message").as_ref().to_vec()
        };
        for algorithm in SignatureAlgorithm::ALL {
            let usual = mechanism_and_input(algorithm, Quirks::default());
            let hashed = mechanism_and_input(algorithm, HASHED);
            let expected = match algorithm {
                SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 => {
                    assert_eq!(hashed.1, b"message");
                    let bits = usize::from(algorithm == SignatureAlgorithm::EcdsaP384Sha384);
                    assert_eq!(hashed.0, ["CKM_ECDSA_SHA256", "CKM_ECDSA_SHA384"][bits]);
                    ("CKM_ECDSA", digest(algorithm.hash().unwrap()))
                }
                SignatureAlgorithm::Ed25519 => ("CKM_EDDSA", b"message".to_vec()),
                SignatureAlgorithm::RsaPkcs1Sha256
                | SignatureAlgorithm::RsaPkcs1Sha384
                | SignatureAlgorithm::RsaPkcs1Sha512 => {
                    let hash = algorithm.hash().unwrap();
                    ("CKM_RSA_PKCS", digest_info(hash, &digest(hash)).unwrap())
                }
                _ => ("CKM_RSA_PKCS_PSS", digest(algorithm.hash().unwrap())),
            };
            assert_eq!((usual.0.as_str(), &usual.1), (expected.0, &expected.1), "{algorithm}");
            if algorithm.name().starts_with("rsa") {
                assert_eq!(usual, hashed);
            }
        }
    }

    /// KEY-01: what the probe asks for beside that, the programs never do.
    #[test]
    fn a_token_that_is_given_the_message_hashes_as_the_algorithm_says() {
        let mechanisms: Vec<String> = SignatureAlgorithm::ALL
            .into_iter()
            .filter(|algorithm| algorithm.name().starts_with("rsa"))
            .map(|algorithm| {
                let operation = Operation::by(algorithm, How::Message, b"message").unwrap();
                assert_eq!(operation.input, b"message");
                operation.mechanism().mechanism_type().to_string()
            })
            .collect();

        assert_eq!(
            mechanisms,
            ["", "_PSS"]
                .map(|padding| ["256", "384", "512"]
                    .map(|hash| format!("CKM_SHA{hash}_RSA_PKCS{padding}")))
                .concat()
        );
        let ed25519 = Operation::by(SignatureAlgorithm::Ed25519, How::Digest, b"message");
        assert_eq!(ed25519, Err(KeyError::Encoding));
    }

    #[test]
    fn refuses_a_digest_of_another_length_and_one_for_ed25519() {
        for (algorithm, octets) in [
            (SignatureAlgorithm::RsaPssSha384, 32),
            (SignatureAlgorithm::EcdsaP256Sha256, 48),
            (SignatureAlgorithm::Ed25519, 64),
        ] {
            let refused = Operation::over_digest(algorithm, &vec![0; octets]);
            assert_eq!(refused, Err(KeyError::Encoding), "{algorithm}");
        }
    }
}
