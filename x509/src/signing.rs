//! The only way to a signature: record the intent, then sign, then verify.
//!
//! [`Pending::new`] is called by the rooms that decide and lint (`ca`, `crl`, the responder's
//! answers, the ceremony's steps). It yields the bytes to be signed as a [`Pending`], and an
//! [`Intent`] that says in the record what is about to be signed. Only a [`Recorded`] turns a
//! `Pending` into a [`SigningInput`], which is what a key will accept, and a `Recorded` exists only
//! after its [`Recorder`] has made the intent durable. [`Pending::finish`] verifies what came back.
//!
//! So nothing is signed that was not recorded, no recorded intent signs other bytes, and no
//! signature is released that does not verify (promises 1 and 2).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::key::{KeyError, PublicKey, SignatureAlgorithm, SpkiHash};

/// What is being signed; a key's policy may allow some and not others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningKind {
    /// A certificate of a person, function, CA or management client.
    Certificate,
    /// A certificate revocation list.
    Crl,
    /// The certificate of a delegated OCSP responder.
    OcspDelegate,
    /// An OCSP answer, by a delegated key.
    OcspAnswer,
    /// The certification request of a CA's own key, at its ceremony.
    Request,
}

impl SigningKind {
    /// The word used in records and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Crl => "crl",
            Self::OcspDelegate => "ocsp-delegate",
            Self::OcspAnswer => "ocsp-answer",
            Self::Request => "request",
        }
    }
}

/// Names one intent for ever: a UUID (version 7) in its 16 octets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntentId([u8; 16]);

impl IntentId {
    /// Takes the 16 octets of a UUID.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for IntentId {
    /// Lower-case hexadecimal without hyphens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntentId({self})")
    }
}

/// The bytes to be signed: in memory, or, for a CRL of any size, in a spool file.
#[derive(Clone, Debug)]
pub enum ToBeSigned {
    /// The DER itself.
    Bytes(Arc<[u8]>),
    /// DER in a file, with what its writer saw go by.
    Spool(Spool),
}

/// A to-be-signed structure in a file.
#[derive(Clone, Debug)]
pub struct Spool {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length in octets.
    pub length: u64,
    /// SHA-256 over it.
    pub sha256: [u8; 32],
    /// The signature algorithm's own hash over it (the same as `sha256` where that is it).
    pub message_digest: Vec<u8>,
}

/// What is about to be signed, as it goes into the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    id: IntentId,
    kind: SigningKind,
    issuer_key: SpkiHash,
    algorithm: SignatureAlgorithm,
    digest: [u8; 32],
}

impl Intent {
    /// The intent's id, given by the caller of `prepare`.
    #[must_use]
    pub const fn id(&self) -> IntentId {
        self.id
    }
    /// What is being signed.
    #[must_use]
    pub const fn kind(&self) -> SigningKind {
        self.kind
    }
    /// The key that will sign.
    #[must_use]
    pub const fn issuer_key(&self) -> SpkiHash {
        self.issuer_key
    }
    /// How it will sign.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
    /// SHA-256 of the to-be-signed bytes, whatever hash the algorithm uses.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// What makes an intent durable: a database transaction, a transcript, a counter.
pub trait Recorder {
    /// Why it could not be recorded.
    type Error;

    /// Records `intent`. When it returns `Ok` the record survives a crash of the machine.
    ///
    /// # Errors
    ///
    /// The recorder's own; nothing may be signed then.
    fn record(self, intent: &Intent) -> Result<(), Self::Error>;
}

/// Proof that an intent is durable. Made only by [`Recorded::by`].
#[derive(Debug)]
#[must_use]
pub struct Recorded {
    id: IntentId,
    digest: [u8; 32],
}

impl Recorded {
    /// Has `recorder` make `intent` durable.
    ///
    /// May be called by the store, the ceremony's transcript and the responder's signer only; an
    /// architecture test holds the list.
    ///
    /// # Errors
    ///
    /// The recorder's own.
    pub fn by<R: Recorder>(recorder: R, intent: &Intent) -> Result<Self, R::Error> {
        recorder.record(intent)?;
        Ok(Self { id: intent.id, digest: intent.digest })
    }

    /// The intent that was recorded.
    #[must_use]
    pub const fn intent_id(&self) -> IntentId {
        self.id
    }
}

/// What a signing service accepts. It recomputes `digest` from the bytes before it signs.
#[derive(Clone, Debug)]
pub struct SigningInput {
    kind: SigningKind,
    intent_id: IntentId,
    issuer_key: SpkiHash,
    algorithm: SignatureAlgorithm,
    digest: [u8; 32],
    to_be_signed: ToBeSigned,
}

impl SigningInput {
    /// What is being signed.
    #[must_use]
    pub const fn kind(&self) -> SigningKind {
        self.kind
    }
    /// The recorded intent that this serves.
    #[must_use]
    pub const fn intent_id(&self) -> IntentId {
        self.intent_id
    }
    /// The key to sign with.
    #[must_use]
    pub const fn issuer_key(&self) -> SpkiHash {
        self.issuer_key
    }
    /// How to sign.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
    /// SHA-256 of the to-be-signed bytes, to be recomputed.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
    /// The bytes to be signed.
    #[must_use]
    pub const fn to_be_signed(&self) -> &ToBeSigned {
        &self.to_be_signed
    }
}

/// A linted structure on its way to a signature.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    intent: Intent,
    issuer: PublicKey,
    to_be_signed: ToBeSigned,
}

impl Pending {
    /// Takes bytes that have been decided and linted, and says what will be recorded.
    ///
    /// For the rooms that prepare; it checks only that the key makes such signatures.
    ///
    /// # Errors
    ///
    /// [`PendingError::Key`] when `issuer` makes no `algorithm` signatures,
    /// [`PendingError::WholeMessage`] when a spool file meets Ed25519, which has no hash of its own.
    pub fn new(
        id: IntentId,
        kind: SigningKind,
        issuer: PublicKey,
        algorithm: SignatureAlgorithm,
        to_be_signed: ToBeSigned,
    ) -> Result<Self, PendingError> {
        if !algorithm.fits(issuer.key_type()) {
            return Err(PendingError::Key(KeyError::AlgorithmMismatch {
                algorithm,
                key_type: issuer.key_type(),
            }));
        }
        let digest = match &to_be_signed {
            ToBeSigned::Bytes(bytes) => Sha256::digest(bytes).into(),
            ToBeSigned::Spool(_) if algorithm.hash().is_none() => {
                return Err(PendingError::WholeMessage);
            }
            ToBeSigned::Spool(spool) => spool.sha256,
        };
        let intent = Intent { id, kind, issuer_key: issuer.spki_hash(), algorithm, digest };
        Ok(Self { intent, issuer, to_be_signed })
    }

    /// What is to be recorded before [`Self::input`].
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }

    /// The bytes to be signed, for the record. `None` when they lie in a spool file.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.to_be_signed {
            ToBeSigned::Bytes(bytes) => Some(bytes),
            ToBeSigned::Spool(_) => None,
        }
    }

    /// The spool file, where the bytes lie in one.
    #[must_use]
    pub fn spool_path(&self) -> Option<&Path> {
        match &self.to_be_signed {
            ToBeSigned::Bytes(_) => None,
            ToBeSigned::Spool(spool) => Some(&spool.path),
        }
    }

    /// What the signing service gets, now that the intent is durable.
    ///
    /// # Errors
    ///
    /// [`PendingError::OtherIntent`] when `recorded` proves another intent.
    pub fn input(&self, recorded: &Recorded) -> Result<SigningInput, PendingError> {
        if recorded.id != self.intent.id || recorded.digest != self.intent.digest {
            return Err(PendingError::OtherIntent {
                recorded: recorded.id,
                pending: self.intent.id,
            });
        }
        Ok(SigningInput {
            kind: self.intent.kind,
            intent_id: self.intent.id,
            issuer_key: self.intent.issuer_key,
            algorithm: self.intent.algorithm,
            digest: self.intent.digest,
            to_be_signed: self.to_be_signed.clone(),
        })
    }

    /// Takes the signature (X.509 form) that came back and verifies it under the issuer's key.
    ///
    /// # Errors
    ///
    /// [`PendingError::Key`] when it does not verify: the signature must not be released.
    pub fn finish(self, signature: Vec<u8>) -> Result<Signed, PendingError> {
        let algorithm = self.intent.algorithm;
        match &self.to_be_signed {
            ToBeSigned::Bytes(bytes) => self.issuer.verify(algorithm, bytes, &signature),
            ToBeSigned::Spool(spool) => {
                self.issuer.verify_digest(algorithm, &spool.message_digest, &signature)
            }
        }
        .map_err(PendingError::Key)?;
        Ok(Signed { intent: self.intent, to_be_signed: self.to_be_signed, signature })
    }
}

/// Bytes with a signature that has been verified under the issuer's key.
#[derive(Debug)]
pub struct Signed {
    intent: Intent,
    to_be_signed: ToBeSigned,
    signature: Vec<u8>,
}

impl Signed {
    /// The intent that this fulfils.
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }
    /// The bytes that were signed.
    #[must_use]
    pub const fn to_be_signed(&self) -> &ToBeSigned {
        &self.to_be_signed
    }
    /// The signature value in its X.509 form.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The finished `SEQUENCE { toBeSigned, signatureAlgorithm, signature BIT STRING }` that
    /// certificates, CRLs and basic OCSP responses share. `None` when the bytes lie in a spool file.
    #[must_use]
    pub fn to_der(&self) -> Option<Vec<u8>> {
        match &self.to_be_signed {
            ToBeSigned::Bytes(bytes) => assemble(bytes, self.intent.algorithm, &self.signature),
            ToBeSigned::Spool(_) => None,
        }
    }
}

/// Puts to-be-signed bytes, algorithm and signature value into one SEQUENCE. With
/// [`SignatureAlgorithm::placeholder`] as the signature it makes what is linted before signing.
/// `None` only when the lengths pass what DER lengths of our encoder can say (4 GiB).
#[must_use]
pub fn assemble(
    to_be_signed: &[u8],
    algorithm: SignatureAlgorithm,
    signature: &[u8],
) -> Option<Vec<u8>> {
    use der::Encode as _;
    let identifier = algorithm.identifier_der();
    let signature = der::asn1::BitString::from_bytes(signature).ok()?.to_der().ok()?;
    let length = to_be_signed.len().checked_add(identifier.len())?.checked_add(signature.len())?;
    let mut out = Vec::with_capacity(length.checked_add(6)?);
    out.push(0x30);
    out.extend_from_slice(&der::Length::try_from(length).ok()?.to_der().ok()?);
    out.extend_from_slice(to_be_signed);
    out.extend_from_slice(&identifier);
    out.extend_from_slice(&signature);
    Some(out)
}

/// Why a pending signature went no further. Nothing may be released then.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingError {
    /// The key does not fit, or the signature does not verify.
    #[error("signature refused")]
    Key(#[source] KeyError),
    /// The proof of recording belongs to another intent.
    #[error("recorded intent {recorded} is not the pending one {pending}")]
    OtherIntent {
        /// The intent that was recorded.
        recorded: IntentId,
        /// The intent that waits.
        pending: IntentId,
    },
    /// Ed25519 signs the whole message and cannot sign from a spool file.
    #[error("ed25519 keys cannot sign a structure that lies in a spool file")]
    WholeMessage,
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    struct Memory<'a>(&'a mut Vec<Intent>);

    impl Recorder for Memory<'_> {
        type Error = std::convert::Infallible;
        fn record(self, intent: &Intent) -> Result<(), Self::Error> {
            self.0.push(intent.clone());
            Ok(())
        }
    }

    fn key() -> (EcdsaKeyPair, PublicKey) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        (pair, public)
    }

    fn pending(id: u8, issuer: &PublicKey, bytes: &[u8]) -> Pending {
        Pending::new(
            IntentId::from_bytes([id; 16]),
            SigningKind::Certificate,
            issuer.clone(),
            SignatureAlgorithm::EcdsaP256Sha256,
            ToBeSigned::Bytes(bytes.into()),
        )
        .unwrap()
    }

    fn sign(pair: &EcdsaKeyPair, input: &SigningInput) -> Vec<u8> {
        let ToBeSigned::Bytes(bytes) = input.to_be_signed() else { panic!("bytes") };
        pair.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec()
    }

    /// Promise 1: record, sign, verify.
    #[test]
    fn a_recorded_intent_leads_to_a_verified_signature() {
        let (pair, public) = key();
        let mut record = Vec::new();
        let pending = pending(1, &public, b"to be signed");

        let recorded = Recorded::by(Memory(&mut record), pending.intent()).unwrap();
        let input = pending.input(&recorded).unwrap();
        let signature = sign(&pair, &input);
        let signed = pending.finish(signature).unwrap();

        assert_eq!(record.len(), 1);
        assert_eq!(&record[0], signed.intent());
    }

    #[test]
    fn refuses_a_record_of_another_intent_or_of_other_bytes() {
        let (_, public) = key();
        let mut record = Vec::new();
        let one = pending(1, &public, b"one");
        let recorded = Recorded::by(Memory(&mut record), one.intent()).unwrap();

        for other in [pending(2, &public, b"one"), pending(1, &public, b"two")] {
            assert!(matches!(other.input(&recorded), Err(PendingError::OtherIntent { .. })));
        }
    }

    /// KEY-10: a flipped bit is never released.
    #[test]
    fn refuses_a_signature_with_a_flipped_bit_and_one_by_another_key() {
        let (pair, public) = key();
        let (stranger, _) = key();
        for tamper in [true, false] {
            let mut record = Vec::new();
            let pending = pending(1, &public, b"bytes");
            let recorded = Recorded::by(Memory(&mut record), pending.intent()).unwrap();
            let input = pending.input(&recorded).unwrap();
            let signer = if tamper { &pair } else { &stranger };
            let mut signature = sign(signer, &input);
            if tamper {
                let last = signature.len() - 1;
                signature[last] ^= 1;
            }

            assert_eq!(
                pending.finish(signature).unwrap_err(),
                PendingError::Key(KeyError::BadSignature)
            );
        }
    }

    #[test]
    fn the_placeholder_is_well_formed_and_verifies_under_no_key() {
        let (_, public) = key();
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
        let placeholder = algorithm.placeholder(public.key_type());

        assert_eq!(public.verify(algorithm, b"bytes", &placeholder), Err(KeyError::BadSignature));
        assert!(assemble(b"\x30\x00", algorithm, &placeholder).is_some());
    }
}
