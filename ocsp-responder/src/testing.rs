//! Keys and certificates in memory for tests of this program, in the place of a CA and a token.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use hsm::token::TokenName;
use hsm::{KeyUse, LateSignature, OpenError, SignError, SigningService, TokenState};
use x509::certificate::{Certificate, CertificateTemplate};
use x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, Criticality, ExtendedKeyUsage, Extension,
    ExtensionValue as _, KeyUsage, KeyUsageBit, OcspNoCheck, SubjectKeyIdentifier,
};
use x509::key::{PublicKey, SignatureAlgorithm, SpkiHash};
use x509::name::{AttributeType, Name};
use x509::oid::usage;
use x509::serial::SerialNumber;
use x509::signing::{SigningInput, ToBeSigned};
use x509::validity::Validity;

use crate::authority::Authority;

pub(crate) fn pair() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
}

pub(crate) fn key_of(pair: &EcdsaKeyPair) -> PublicKey {
    PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap()
}

pub(crate) fn signed_by(pair: &EcdsaKeyPair, text: &[u8]) -> Vec<u8> {
    pair.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec()
}

fn name(common: &str) -> Name {
    let name = Name::builder().with(AttributeType::Country, "SE").unwrap();
    let name = name.with(AttributeType::Organization, "Sigill Test").unwrap();
    name.with(AttributeType::CommonName, common).unwrap().build()
}

/// A key of a token that counts, and fails when it is told to.
pub(crate) struct Token {
    pub(crate) pair: EcdsaKeyPair,
    pub(crate) signed: AtomicU64,
    pub(crate) fails_after: AtomicU64,
    /// The thread that waited for the last signature.
    pub(crate) signed_on: Mutex<Option<ThreadId>>,
    /// What happens while it signs next.
    pub(crate) meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Token {
    pub(crate) fn new() -> Self {
        let (signed, fails_after) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let (signed_on, meanwhile) = (Mutex::default(), Mutex::default());
        Self { pair: pair(), signed, fails_after, signed_on, meanwhile }
    }
}

impl SigningService for Token {
    fn sign_telling(
        &self,
        input: &SigningInput,
        _: Duration,
        _: &mut dyn FnMut(&SignError),
    ) -> Result<Vec<u8>, SignError> {
        let ToBeSigned::Bytes(bytes) = input.to_be_signed() else { panic!("no answer") };
        *self.signed_on.lock().unwrap() = Some(thread::current().id());
        if let Some(happens) = self.meanwhile.lock().unwrap().take() {
            happens();
        }
        if self.signed.fetch_add(1, Ordering::SeqCst) >= self.fails_after.load(Ordering::SeqCst) {
            let (label, serial) = ("sg-td-ab12-ocsp".parse(), "1234".parse());
            let token = TokenName { label: label.unwrap(), serial: serial.unwrap() };
            return Err(SignError::Token(OpenError::Deadline { token }));
        }
        Ok(signed_by(&self.pair, bytes))
    }

    fn deadline(&self) -> Duration {
        Duration::ZERO
    }

    fn prove(&self, _: &SpkiHash) -> Result<(), SignError> {
        Ok(())
    }

    fn within_reach(&self, _: &SpkiHash) -> Result<(), SignError> {
        Ok(())
    }

    fn prove_stand_bys(&self) {}

    fn keys(&self) -> Vec<SpkiHash> {
        Vec::new()
    }

    fn tokens(&self) -> Vec<TokenState> {
        Vec::new()
    }

    fn uses(&self) -> Vec<KeyUse> {
        Vec::new()
    }

    fn late_signatures(&self) -> Vec<LateSignature> {
        Vec::new()
    }
}

/// A CA with a certificate of its own.
pub(crate) fn authority_of(ca: &EcdsaKeyPair, name: &str, validity: Validity) -> Arc<Authority> {
    let own = SubjectKeyIdentifier(key_of(ca).key_bits_sha1().to_vec());
    let usage = KeyUsage::of(&[KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign]);
    let extensions = vec![
        BasicConstraints::Ca { path_len: None }.extension(Criticality::Critical),
        usage.extension(Criticality::Critical),
        own.extension(Criticality::NonCritical),
    ];
    let certificate = signed_by_ca(ca, &key_of(ca), "SIGILL TEST CA v1", validity, extensions);
    Arc::new(Authority::new(name.to_owned(), certificate))
}

/// A certificate of the CA for the token's key, as delegates have them.
pub(crate) fn delegate_certificate(
    ca: &EcdsaKeyPair,
    authority: &Authority,
    token: &Token,
    validity: Validity,
) -> Certificate {
    let key = key_of(&token.pair);
    let extensions = vec![
        AuthorityKeyIdentifier::of(&authority.certificate.ski().unwrap())
            .extension(Criticality::NonCritical),
        SubjectKeyIdentifier(key.key_bits_sha1().to_vec()).extension(Criticality::NonCritical),
        KeyUsage::of(&[KeyUsageBit::DigitalSignature]).extension(Criticality::Critical),
        ExtendedKeyUsage(vec![usage::OCSP_SIGNING]).extension(Criticality::NonCritical),
        OcspNoCheck.extension(Criticality::NonCritical),
    ];
    signed_by_ca(ca, &key, "delegate", validity, extensions)
}

fn signed_by_ca(
    ca: &EcdsaKeyPair,
    key: &PublicKey,
    common: &str,
    validity: Validity,
    extensions: Vec<Extension>,
) -> Certificate {
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
    let template = CertificateTemplate {
        serial: SerialNumber::from_random([0x42; 16]),
        issuer: name("SIGILL TEST CA v1"),
        subject: name(common),
        validity,
        public_key: key.clone(),
        extensions,
        algorithm,
    };
    let tbs = template.to_tbs_der();
    let der = x509::signing::assemble(&tbs, algorithm, &signed_by(ca, &tbs)).unwrap();
    Certificate::from_der(&der).unwrap()
}
