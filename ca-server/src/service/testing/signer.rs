//! A key in memory, and a token that holds it and does what a test says.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use hsm::token::TokenName;
use hsm::{KeyUse, LateSignature, OpenError, SignError, SigningService, Standing, TokenState};
use x509::certificate::Certificate;
use x509::key::{PublicKey, SpkiHash};
use x509::signing::{IntentId, SigningInput, ToBeSigned};

/// A P-256 key in memory.
pub(crate) struct Key {
    pub(crate) request: rcgen::KeyPair,
    pair: EcdsaKeyPair,
    pub(crate) public: PublicKey,
}

impl Key {
    pub(crate) fn new() -> Self {
        let request = rcgen::KeyPair::generate().unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, request.serialized_der())
                .unwrap();
        let public = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        Self { request, pair, public }
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec()
    }

    /// DER of a PKCS#10 request of this key.
    pub(crate) fn request(&self) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serialize_request(&self.request).unwrap().der().to_vec()
    }

    pub(super) fn certificate(&self) -> Certificate {
        self.certificate_with(|_| {})
    }

    /// Another certificate of this CA, under its name and with its key.
    fn certificate_with(&self, edit: impl FnOnce(&mut rcgen::CertificateParams)) -> Certificate {
        let mut params = Self::params("SIGILL TEST e-id Issuing CA v1");
        edit(&mut params);
        let der = params.self_signed(&self.request).unwrap().der().to_vec();
        Certificate::from_der(&der).unwrap()
    }

    /// The certificate of another CA, signed with this key.
    fn certificate_of(&self, other: &Self) -> Certificate {
        let own = rcgen::KeyPair::try_from(self.request.serialized_der()).unwrap();
        let issuer = rcgen::Issuer::new(Self::params("SIGILL TEST e-id Issuing CA v1"), own);
        let params = Self::params("SIGILL TEST e-id Issuing CA v2");
        let der = params.signed_by(&other.request, &issuer).unwrap().der().to_vec();
        Certificate::from_der(&der).unwrap()
    }

    /// Those of a CA of this name.
    fn params(name: &str) -> rcgen::CertificateParams {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages =
            vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (part, value) in
            [(rcgen::DnType::OrganizationName, "Sigill Test"), (rcgen::DnType::CommonName, name)]
        {
            params.distinguished_name.push(part, value);
        }
        let country = rcgen::DnValue::PrintableString("SE".try_into().unwrap());
        params.distinguished_name.push(rcgen::DnType::CountryName, country);
        params.not_after = rcgen::date_time_ymd(2099, 1, 1);
        params
    }
}

/// Signs with a key in memory, as long as it works.
pub(crate) struct Signer {
    key: Key,
    fails: AtomicBool,
    /// For how long it says that it has been lost.
    lost_for: Mutex<Option<Duration>>,
    /// The time that the last signature was given.
    pub(crate) given: Mutex<Option<Duration>>,
    gives_rubbish: AtomicBool,
    proofs: AtomicU64,
    pub(crate) signatures: AtomicU64,
    pub(crate) late: Mutex<Vec<LateSignature>>,
    /// The last intent that it was to sign for.
    pub(crate) asked: Mutex<Option<IntentId>>,
}

impl Signer {
    /// One that works, with this key.
    pub(super) fn of(key: Key) -> Self {
        Self {
            key,
            fails: AtomicBool::new(false),
            lost_for: Mutex::default(),
            given: Mutex::default(),
            gives_rubbish: AtomicBool::new(false),
            proofs: AtomicU64::new(0),
            signatures: AtomicU64::new(0),
            late: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// Another certificate of the CA of this key.
    pub(crate) fn certificate_with(
        &self,
        edit: impl FnOnce(&mut rcgen::CertificateParams),
    ) -> Certificate {
        self.key.certificate_with(edit)
    }

    /// The certificate of another CA, as a ceremony would sign it with this key.
    pub(crate) fn certifies(&self, other: &Key) -> Certificate {
        self.key.certificate_of(other)
    }

    /// What a ceremony would sign with this key.
    pub(crate) fn sign_outside(&self, bytes: &[u8]) -> Vec<u8> {
        self.key.sign(bytes)
    }

    pub(crate) fn works(&self, works: bool) {
        self.fails.store(!works, Ordering::Relaxed);
    }

    /// The token goes away, longer than anybody waits for it, or comes back, and knows it.
    pub(crate) fn is_lost(&self, lost: bool) {
        *self.lost_for.lock().unwrap() = lost.then_some(Duration::from_secs(3600));
    }

    /// The token goes away this moment, and knows it.
    pub(crate) fn goes_away(&self) {
        *self.lost_for.lock().unwrap() = Some(Duration::ZERO);
    }

    /// What it signs does not verify, though its key proves itself.
    pub(crate) fn gives_rubbish(&self, rubbish: bool) {
        self.gives_rubbish.store(rubbish, Ordering::Relaxed);
    }

    pub(crate) fn proofs(&self) -> u64 {
        self.proofs.load(Ordering::Relaxed)
    }

    fn must_work(&self) -> Result<(), SignError> {
        self.within_reach(&self.key.public.spki_hash())?;
        if !self.fails.load(Ordering::Relaxed) {
            return Ok(());
        }
        // The one that nobody tries again within a call.
        Err(SignError::Unanswered { token: token(), waited: Duration::ZERO })
    }
}

impl SigningService for Signer {
    fn sign_telling(
        &self,
        input: &SigningInput,
        within: Duration,
        _: &mut dyn FnMut(&SignError),
    ) -> Result<Vec<u8>, SignError> {
        *self.asked.lock().unwrap() = Some(input.intent_id());
        *self.given.lock().unwrap() = Some(within);
        self.must_work()?;
        self.signatures.fetch_add(1, Ordering::Relaxed);
        let bytes = match input.to_be_signed() {
            ToBeSigned::Bytes(bytes) => bytes.to_vec(),
            ToBeSigned::Spool(spool) => std::fs::read(&spool.path).unwrap(),
        };
        let rubbish = self.gives_rubbish.load(Ordering::Relaxed);
        Ok(self.key.sign(if rubbish { b"something else" } else { &bytes }))
    }

    fn within_reach(&self, _: &SpkiHash) -> Result<(), SignError> {
        let Some(lost_for) = *self.lost_for.lock().unwrap() else { return Ok(()) };
        Err(SignError::Token(OpenError::Lost { token: token(), lost_for, loss: Box::default() }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn prove(&self, _: &SpkiHash) -> Result<(), SignError> {
        self.proofs.fetch_add(1, Ordering::Relaxed);
        self.must_work()
    }

    fn prove_stand_bys(&self) {}

    fn tokens(&self) -> Vec<TokenState> {
        Vec::new()
    }

    fn keys(&self) -> Vec<SpkiHash> {
        vec![self.key.public.spki_hash()]
    }

    fn uses(&self) -> Vec<KeyUse> {
        vec![KeyUse {
            key: self.key.public.spki_hash(),
            token: token(),
            standing: Standing::Signs,
            signatures: self.signatures.load(Ordering::Relaxed),
            proofs: self.proofs(),
            failures: 0,
            late: 0,
            failovers: 0,
        }]
    }

    fn late_signatures(&self) -> Vec<LateSignature> {
        std::mem::take(&mut self.late.lock().unwrap())
    }
}

pub(crate) fn token() -> TokenName {
    TokenName { label: "sg-td-abcd-issuing".parse().unwrap(), serial: "1".parse().unwrap() }
}
