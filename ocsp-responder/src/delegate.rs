//! Delegate certificates: which are good, and which of them signs (OCSP-06, PRO-12).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hsm::SigningService;
use lint::{Findings, IssuerContext, Kind};
use serde::Deserialize;
use status::RevocationReason;
use thiserror::Error;
use x509::certificate::Certificate;
use x509::crl::ReasonCode;
use x509::extension::{BasicConstraints, ExtendedKeyUsage, OcspNoCheck};
use x509::key::{KeyError, KeyType, PublicKey, SignatureAlgorithm, SpkiHash};
use x509::ocsp::{CertId, CertIdHash, CertStatus, ResponseData, SingleAnswer, successful};
use x509::oid::usage;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::answer::times;
use crate::authority::Authority;
use crate::chain;
use crate::health::{Change, KeyHealth};
use crate::signer::{AnswerSignError, Counter, sign, sign_beside, sign_once};

/// A delegate certificate of the renewed kind lasts this long at most (architecture, section 2.3).
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(14 * 86_400);

/// Which keys are made for the delegates of a CA.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) enum DelegateKey {
    /// Short answers, and little work.
    #[default]
    #[serde(rename = "ec-p256")]
    EcP256,
    /// For relying parties that verify RSA alone.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// The same, for longer.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
}

impl DelegateKey {
    pub(crate) const fn key_type(self) -> KeyType {
        match self {
            Self::EcP256 => KeyType::EcP256,
            Self::Rsa2048 => KeyType::Rsa { bits: 2048 },
            Self::Rsa3072 => KeyType::Rsa { bits: 3072 },
        }
    }
}

/// Where the private keys of delegates lie.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyPlace {
    /// In our token, which they never leave.
    #[default]
    Token,
    /// In this process, and in a file below the state folder: for operators whose policy allows it (decision 0029).
    ProcessMemory,
}

impl KeyPlace {
    /// What the configuration and the log call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::ProcessMemory => "process-memory",
        }
    }
}

/// What signs with a delegate's key.
#[derive(Clone)]
pub(crate) struct DelegateSigner {
    pub(crate) place: KeyPlace,
    pub(crate) service: Arc<dyn SigningService>,
}

impl fmt::Debug for DelegateSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DelegateSigner({:?})", self.place)
    }
}

/// A key of ours that may answer for one CA.
#[derive(Debug)]
pub(crate) struct Delegate {
    pub(crate) certificate: Certificate,
    pub(crate) counter: Arc<Counter>,
    pub(crate) health: KeyHealth,
    pub(crate) signer: DelegateSigner,
}

impl Delegate {
    /// A delegate whose key has just proven itself.
    pub(crate) fn proven(
        certificate: Certificate,
        counter: Counter,
        signer: DelegateSigner,
    ) -> Self {
        let (counter, health) = (Arc::new(counter), KeyHealth::well(Instant::now()));
        Self { certificate, counter, health, signer }
    }

    /// Signs an answer and notes whether that came to something.
    ///
    /// # Errors
    ///
    /// [`AnswerSignError`]; nothing was released.
    pub(crate) fn sign(&self, response_data: &Arc<[u8]>) -> Result<Vec<u8>, AnswerSignError> {
        let service = self.signer.service.as_ref();
        self.noted(|| sign(service, self.key(), &self.counter, response_data))
    }

    /// As [`Self::sign`], without holding this thread while a disk or a token is waited for.
    ///
    /// # Errors
    ///
    /// [`AnswerSignError`]; nothing was released.
    pub(crate) async fn sign_beside(
        self: &Arc<Self>,
        response_data: &Arc<[u8]>,
    ) -> Result<Vec<u8>, AnswerSignError> {
        let (begun, deadline) = (Instant::now(), self.signer.service.deadline());
        let mut outcome = self.sign_first(response_data, deadline).await;
        let left = deadline.saturating_sub(begun.elapsed());
        if outcome.as_ref().is_err_and(AnswerSignError::may_help_at_once) && !left.is_zero() {
            outcome = self.sign_in_thread(response_data, left).await;
        }
        self.note(begun, &outcome);
        outcome
    }

    async fn sign_first(
        self: &Arc<Self>,
        response_data: &Arc<[u8]>,
        within: Duration,
    ) -> Result<Vec<u8>, AnswerSignError> {
        let service = self.signer.service.as_ref();
        if self.signs_at_once() {
            let id = self.counter.intent_beside().await?;
            sign_once(service, self.key(), id, response_data, within)
        } else if self.lies_in_memory() {
            self.sign_in_thread(response_data, within).await
        } else {
            let id = self.counter.intent_beside().await?;
            sign_beside(&self.signer.service, self.key(), id, response_data).await
        }
    }

    async fn sign_in_thread(
        self: &Arc<Self>,
        response_data: &Arc<[u8]>,
        within: Duration,
    ) -> Result<Vec<u8>, AnswerSignError> {
        let id = self.counter.intent_beside().await?;
        let data = Arc::clone(response_data);
        let sign =
            move |own: &Self| sign_once(own.signer.service.as_ref(), own.key(), id, &data, within);
        self.beside(sign).await
    }

    /// What waits for a token or takes long, on a thread of its own.
    async fn beside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, AnswerSignError> + Send + 'static,
    ) -> Result<T, AnswerSignError> {
        let own = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&own)).await;
        done.unwrap_or(Err(AnswerSignError::Lost))
    }

    /// Does all that signing does, but sign an answer, and notes what came of it.
    ///
    /// # Errors
    ///
    /// What signing an answer would meet now.
    pub(crate) fn prove(&self) -> Result<(), AnswerSignError> {
        self.noted(|| {
            self.counter.counts()?;
            Ok(self.signer.service.prove(&self.spki())?)
        })
    }

    fn noted<T>(
        &self,
        call: impl FnOnce() -> Result<T, AnswerSignError>,
    ) -> Result<T, AnswerSignError> {
        let begun = Instant::now();
        let outcome = call();
        self.note(begun, &outcome);
        outcome
    }

    fn note<T>(&self, begun: Instant, outcome: &Result<T, AnswerSignError>) {
        let failure = outcome.as_ref().err().map(|error| chain(error));
        match self.health.note(begun, Instant::now(), failure.clone()) {
            Change::Failed => tracing::error!(key.spki = %self.spki(), error = failure,
                "delegate key does not sign"),
            Change::Healed => tracing::info!(key.spki = %self.spki(), "delegate key signs again"),
            Change::None => {}
        }
    }

    /// What keeps the key from signing now; `None` while it signs. Makes no call.
    pub(crate) fn obstacle(&self) -> Option<String> {
        match self.signer.service.within_reach(&self.spki()) {
            Ok(()) => self.health.failure(),
            Err(error) => Some(chain(&error)),
        }
    }

    /// Whether a signature takes less than handing it to another thread and back would: with a P-256 key that waits
    /// for no token.
    fn signs_at_once(&self) -> bool {
        self.lies_in_memory() && self.key().key_type() == KeyType::EcP256
    }

    /// Whether its key lies in this process.
    pub(crate) fn lies_in_memory(&self) -> bool {
        self.signer.place == KeyPlace::ProcessMemory
    }

    pub(crate) const fn key(&self) -> &PublicKey {
        self.certificate.public_key()
    }

    /// How the key signs.
    pub(crate) const fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::default_for(self.key().key_type())
    }

    pub(crate) fn spki(&self) -> SpkiHash {
        self.key().spki_hash()
    }

    pub(crate) const fn not_after(&self) -> UnixTime {
        self.certificate.validity().not_after()
    }

    pub(crate) const fn not_before(&self) -> UnixTime {
        self.certificate.validity().not_before()
    }
}

/// The delegates of every CA, by its name.
#[derive(Debug, Default)]
pub(crate) struct Delegates {
    by_authority: ArcSwap<HashMap<String, Vec<Arc<Delegate>>>>,
}

impl Delegates {
    /// The delegate that signs now for the CA of these authorities: of those that are valid the
    /// youngest that signs by what the client wishes for most, else the youngest (RFC 6960
    /// §4.4.7.2). A wish chooses among the delegates that there are; it brings in nothing weaker.
    pub(crate) fn choose(
        &self,
        authorities: &[String],
        wishes: &[SignatureAlgorithm],
        now: UnixTime,
    ) -> Option<Arc<Delegate>> {
        let all = self.by_authority.load();
        let valid = || {
            let own = authorities.iter().filter_map(|name| all.get(name)).flatten();
            own.filter(|delegate| delegate.certificate.validity().contains(now))
        };
        let youngest_by = |wish: &SignatureAlgorithm| {
            let signs_so = valid().filter(|delegate| delegate.algorithm() == *wish);
            signs_so.max_by_key(|delegate| delegate.not_before())
        };
        wishes
            .iter()
            .find_map(youngest_by)
            .or_else(|| valid().max_by_key(|delegate| delegate.not_before()))
            .cloned()
    }

    /// Every delegate of a CA.
    pub(crate) fn of(&self, authority: &str) -> Vec<Arc<Delegate>> {
        self.by_authority.load().get(authority).cloned().unwrap_or_default()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Delegate>> {
        self.by_authority.load().values().flatten().cloned().collect()
    }

    /// Replaces the delegates of a CA.
    pub(crate) fn set(&self, authority: &str, delegates: Vec<Arc<Delegate>>) {
        let mut all = HashMap::clone(&self.by_authority.load());
        all.insert(authority.to_owned(), delegates);
        self.by_authority.store(Arc::new(all));
    }
}

/// Judges a delegate's certificate before any answer is signed under it.
///
/// # Errors
///
/// [`DelegateError`] names the rule. `lint` gives a second opinion on the certificate, and on one
/// answer of every shape that this delegate will sign (promise 1).
pub(crate) fn judge(
    certificate: &Certificate,
    authority: &Authority,
    max_lifetime: Option<Duration>,
    answer_validity: Duration,
    now: UnixTime,
) -> Result<(), DelegateError> {
    let ca = &authority.certificate;
    if certificate.issuer() != ca.subject() {
        return Err(DelegateError::Rule("issuer is not the CA"));
    }
    certificate.verify_signed_by(ca.public_key())?;
    if !may_answer(certificate.public_key().key_type()) {
        return Err(DelegateError::Rule("key is neither EC P-256 nor RSA of 2048 to 4096 bits"));
    }
    if certificate.extended_key_usage() != Some(ExtendedKeyUsage(vec![usage::OCSP_SIGNING])) {
        return Err(DelegateError::Rule("extended key usage is not OCSPSigning alone"));
    }
    if certificate.extension::<OcspNoCheck>().is_none() {
        return Err(DelegateError::Rule("id-pkix-ocsp-nocheck is missing"));
    }
    if certificate.basic_constraints() != BasicConstraints::EndEntity {
        return Err(DelegateError::Rule("it is a CA certificate"));
    }
    if !certificate.ocsp_uris().is_empty() || !certificate.crl_uris().is_empty() {
        return Err(DelegateError::Rule("it names an OCSP responder or a CRL"));
    }
    let validity = certificate.validity();
    if validity.not_after() <= now {
        return Err(DelegateError::Rule("it has expired"));
    }
    // Both ends are in the validity, so that 14 days may be counted with one second more.
    let limit = max_lifetime.map(|limit| limit.saturating_add(Duration::from_secs(3601)));
    if limit.is_some_and(|limit| validity.not_after().since(validity.not_before()) > limit) {
        return Err(DelegateError::Rule("it lasts longer than 14 days"));
    }
    lint::certificate(
        certificate.as_der(),
        &IssuerContext::Certificate(ca.as_der()),
        Kind::OcspResponder,
    )
    .into_result()
    .map_err(DelegateError::Lint)?;
    lint_templates(certificate, authority, answer_validity)
}

/// Whether answers are signed by keys of this type: by P-256, and by RSA for relying parties that verify nothing else.
const fn may_answer(key_type: KeyType) -> bool {
    match key_type {
        KeyType::EcP256 => true,
        KeyType::Rsa { bits } => matches!(bits, 2048..=4096),
        KeyType::EcP384 | KeyType::Ed25519 => false,
    }
}

/// By which hashes answers name certificates: by one, or by both of those that are signed beforehand.
const HASHES: [&[CertIdHash]; 5] = [
    &[CertIdHash::Sha1],
    &[CertIdHash::Sha256],
    &[CertIdHash::Sha384],
    &[CertIdHash::Sha512],
    &[CertIdHash::Sha1, CertIdHash::Sha256],
];

/// Lints one answer of every shape under a placeholder signature.
fn lint_templates(
    certificate: &Certificate,
    authority: &Authority,
    validity: Duration,
) -> Result<(), DelegateError> {
    let key_type = certificate.public_key().key_type();
    let algorithm = SignatureAlgorithm::default_for(key_type);
    let ca = &authority.certificate;
    let this_update = certificate.validity().not_before();
    let reasons = RevocationReason::ALL.map(RevocationReason::shown);
    let reasons = reasons.into_iter().chain([None, Some(ReasonCode::CertificateHold)]);
    let revoked = reasons.map(|reason| CertStatus::Revoked { at: this_update, reason });
    let statuses =
        [CertStatus::Good, CertStatus::Unknown, CertStatus::NeverIssued].into_iter().chain(revoked);
    for (status, hashes) in statuses.flat_map(|status| HASHES.map(|hashes| (status, hashes))) {
        let end = certificate.validity().not_after();
        let times = times((status, None), this_update, this_update, validity, end)
            .ok_or(DelegateError::Rule("its validity is too short for an answer"))?;
        let serial = SerialNumber::from_random([0x55; 16]);
        let name = ca.subject().as_der();
        let cert_ids: Vec<CertId> =
            hashes.iter().map(|hash| CertId::new(*hash, name, ca.public_key(), serial)).collect();
        let issued = !matches!(status, CertStatus::Unknown | CertStatus::NeverIssued);
        for date in [None, Some(this_update)] {
            let single = |cert_id| SingleAnswer {
                cert_id,
                status,
                this_update,
                next_update: times.next_update,
                archive_cutoff: date.filter(|_| issued),
                invalidity_date: date.filter(|_| matches!(status, CertStatus::Revoked { .. })),
            };
            let data = ResponseData {
                responder_key: certificate.public_key().key_bits_sha1(),
                produced_at: this_update,
                answers: &cert_ids.iter().map(single).collect::<Vec<_>>(),
                nonce: date.map(|_| &[0x6e; 32][..]),
            };
            let placeholder = algorithm.placeholder(key_type);
            let response =
                successful(&data.to_der(), algorithm, &placeholder, certificate.as_der())
                    .ok_or(DelegateError::Rule("an answer with it cannot be encoded"))?;
            lint::ocsp_response(&response, ca.as_der())
                .into_result()
                .map_err(DelegateError::Template)?;
        }
    }
    Ok(())
}

/// Why a certificate is not used for answering.
#[derive(Debug, Error)]
pub(crate) enum DelegateError {
    #[error("delegate certificate breaks lint rules")]
    Lint(#[source] Findings),
    #[error("delegate certificate is refused: {0}")]
    Rule(&'static str),
    #[error("delegate certificate is not signed by the CA")]
    Signature(#[from] KeyError),
    #[error("answers with this delegate would break lint rules")]
    Template(#[source] Findings),
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::thread;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use hsm::TokenSigner;
    use x509::certificate::CertificateTemplate;
    use x509::name::{AttributeType, Name};
    use x509::validity::Validity;

    use super::*;
    use crate::testing::{Token, authority_of, delegate_certificate, key_of, pair};

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    /// A delegate of a key that signs nothing, valid from `begin` to 10 000.
    fn delegate(key: PublicKey, begin: u64) -> Arc<Delegate> {
        let folder = tempfile::tempdir().unwrap();
        delegate_by(Arc::new(TokenSigner::new(Duration::ZERO)), folder.path(), key, begin)
    }

    fn delegate_by(
        service: Arc<dyn SigningService>,
        folder: &Path,
        key: PublicKey,
        begin: u64,
    ) -> Arc<Delegate> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let name = Name::builder().with(AttributeType::CommonName, "delegate").unwrap().build();
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
        let template = CertificateTemplate {
            serial: SerialNumber::from_random([1; 16]),
            issuer: name.clone(),
            subject: name,
            validity: Validity::between(at(begin), at(10_000)).unwrap(),
            public_key: key,
            extensions: Vec::new(),
            algorithm,
        };
        let tbs = template.to_tbs_der();
        let signature = pair.sign(&SystemRandom::new(), &tbs).unwrap();
        let der = x509::signing::assemble(&tbs, algorithm, signature.as_ref()).unwrap();
        let certificate = Certificate::from_der(&der).unwrap();
        let counter = Counter::open(folder, certificate.public_key().spki_hash()).unwrap();
        let signer = DelegateSigner { place: KeyPlace::Token, service };
        Arc::new(Delegate::proven(certificate, counter, signer))
    }

    fn ecdsa() -> PublicKey {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap()
    }

    fn rsa() -> PublicKey {
        let mut modulus = [0xd5; 256];
        modulus[255] = 0x61;
        PublicKey::from_rsa_parts(&modulus, &[1, 0, 1]).unwrap()
    }

    /// A key that has no thread of its own, or lies in several tokens, is waited for on none that answers.
    #[tokio::test]
    async fn a_key_without_a_thread_is_waited_for_by_another() {
        let (folder, token) = (tempfile::tempdir().unwrap(), Arc::new(Token::new()));
        let service = Arc::<Token>::clone(&token);
        let delegate = delegate_by(service, folder.path(), key_of(&token.pair), 100);

        delegate.sign_beside(&Arc::from(&b"text"[..])).await.unwrap();

        let signed_on = token.signed_on.lock().unwrap().unwrap();
        assert_ne!(signed_on, thread::current().id());
        assert_eq!(delegate.counter.settle().unwrap(), 1, "counted once");
    }

    /// PRO-04, promise 1: a delegate whose answers the linter refuses signs none: here one that another CA of the same name has certified,
    /// so that no answer with it speaks of what is asked about. Each shape of answer is judged, every reason that is shown among them.
    #[test]
    fn a_delegate_whose_answers_break_lint_rules_is_refused() {
        let validity = Validity::between(at(100), at(1_000_000)).unwrap();
        let (ca, other, token) = (pair(), pair(), Token::new());
        let authority = authority_of(&ca, "person3", validity);
        let stranger = authority_of(&other, "person3", validity);
        let certificate = delegate_certificate(&ca, &authority, &token, validity);
        let hour = Duration::from_secs(3600);

        lint_templates(&certificate, &authority, hour).unwrap();

        let refused = lint_templates(&certificate, &stranger, hour);
        assert!(matches!(refused, Err(DelegateError::Template(_))), "{refused:?}");
    }

    /// OCSP-12, RFC 6960 §4.4.7.2: of the live delegates the one that signs as the client wishes most,
    /// the youngest of several; a wish that no delegate fulfils changes nothing, and none is waited for
    /// that has ended or not begun, or is another CA's.
    #[test]
    fn a_wish_chooses_among_live_delegates_alone() {
        use SignatureAlgorithm::{EcdsaP256Sha256, EcdsaP384Sha384, RsaPkcs1Sha256, RsaPssSha256};
        let (old_rsa, young_rsa, ec) =
            (delegate(rsa(), 100), delegate(rsa(), 200), delegate(ecdsa(), 300));
        let delegates = Delegates::default();
        delegates.set("person3", vec![Arc::clone(&old_rsa), Arc::clone(&ec)]);
        delegates.set("person3-renewed", vec![Arc::clone(&young_rsa)]);
        delegates.set("other", vec![delegate(ecdsa(), 400)]);
        let names = ["person3".to_owned(), "person3-renewed".to_owned()];
        let chosen = |wishes: &[SignatureAlgorithm], now| delegates.choose(&names, wishes, at(now));
        let cases: [(&[SignatureAlgorithm], &Arc<Delegate>); 6] = [
            (&[], &ec),
            (&[EcdsaP256Sha256], &ec),
            (&[RsaPkcs1Sha256], &young_rsa),
            (&[RsaPkcs1Sha256, EcdsaP256Sha256], &young_rsa),
            (&[EcdsaP384Sha384, RsaPssSha256, RsaPkcs1Sha256], &young_rsa),
            (&[EcdsaP384Sha384, RsaPssSha256], &ec),
        ];
        for (wishes, expected) in cases {
            assert!(Arc::ptr_eq(&chosen(wishes, 500).unwrap(), expected), "{wishes:?}");
        }
        assert!(Arc::ptr_eq(&chosen(&[EcdsaP256Sha256], 250).unwrap(), &young_rsa), "not begun");
        assert!(Arc::ptr_eq(&chosen(&[RsaPkcs1Sha256], 150).unwrap(), &old_rsa));
        assert!(chosen(&[RsaPkcs1Sha256], 10_001).is_none(), "ended");
        assert!(delegates.choose(&[], &[EcdsaP256Sha256], at(500)).is_none());
    }
}
