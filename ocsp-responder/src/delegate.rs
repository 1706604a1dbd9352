//! Delegate certificates: which are good, and which of them signs (OCSP-06, PRO-12).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hsm::SigningService;
use lint::{Findings, IssuerContext, Kind};
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
use crate::signer::{AnswerSignError, Counter, sign};

/// A delegate certificate of the renewed kind lasts this long at most (architecture, section 2.3).
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(14 * 86_400);

/// A key in our token that may answer for one CA.
#[derive(Debug)]
pub(crate) struct Delegate {
    pub(crate) certificate: Certificate,
    pub(crate) counter: Counter,
    pub(crate) health: KeyHealth,
}

impl Delegate {
    /// A delegate whose key has just proven itself.
    pub(crate) fn proven(certificate: Certificate, counter: Counter) -> Self {
        Self { certificate, counter, health: KeyHealth::well(Instant::now()) }
    }

    /// Signs an answer and notes whether that came to something.
    ///
    /// # Errors
    ///
    /// [`AnswerSignError`]; nothing was released.
    pub(crate) fn sign(
        &self,
        service: &dyn SigningService,
        response_data: &Arc<[u8]>,
    ) -> Result<Vec<u8>, AnswerSignError> {
        self.noted(|| sign(service, self.key(), &self.counter, response_data))
    }

    /// Does all that signing does, but sign an answer, and notes what came of it.
    ///
    /// # Errors
    ///
    /// What signing an answer would meet now.
    pub(crate) fn prove(&self, service: &dyn SigningService) -> Result<(), AnswerSignError> {
        self.noted(|| {
            self.counter.counts()?;
            Ok(service.prove(&self.spki())?)
        })
    }

    fn noted<T>(
        &self,
        call: impl FnOnce() -> Result<T, AnswerSignError>,
    ) -> Result<T, AnswerSignError> {
        let begun = Instant::now();
        let outcome = call();
        let failure = outcome.as_ref().err().map(|error| chain(error));
        match self.health.note(begun, Instant::now(), failure.clone()) {
            Change::Failed => tracing::error!(key.spki = %self.spki(), error = failure,
                "delegate key does not sign"),
            Change::Healed => tracing::info!(key.spki = %self.spki(), "delegate key signs again"),
            Change::None => {}
        }
        outcome
    }

    /// What keeps the key from signing now; `None` while it signs. Makes no call.
    pub(crate) fn obstacle(&self, service: &dyn SigningService) -> Option<String> {
        match service.within_reach(&self.spki()) {
            Ok(()) => self.health.failure(),
            Err(error) => Some(chain(&error)),
        }
    }

    pub(crate) fn key(&self) -> &PublicKey {
        self.certificate.public_key()
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
    /// The delegate that signs for a CA now: of those that are valid the youngest.
    pub(crate) fn current(&self, authority: &str, now: UnixTime) -> Option<Arc<Delegate>> {
        self.by_authority
            .load()
            .get(authority)?
            .iter()
            .filter(|delegate| delegate.certificate.validity().contains(now))
            .max_by_key(|delegate| delegate.not_before())
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
    if certificate.public_key().key_type() != KeyType::EcP256 {
        return Err(DelegateError::Rule("key is not EC P-256"));
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

/// Lints one answer of every shape under a placeholder signature.
fn lint_templates(
    certificate: &Certificate,
    authority: &Authority,
    validity: Duration,
) -> Result<(), DelegateError> {
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
    let ca = &authority.certificate;
    let this_update = certificate.validity().not_before();
    let reasons = [None, Some(ReasonCode::CertificateHold), Some(ReasonCode::KeyCompromise)];
    let revoked = reasons.map(|reason| CertStatus::Revoked { at: this_update, reason });
    let statuses = [CertStatus::Good, CertStatus::Unknown].into_iter().chain(revoked);
    for (status, hash) in statuses.flat_map(|status| CertIdHash::ALL.map(|hash| (status, hash))) {
        let end = certificate.validity().not_after();
        let times = times(status, this_update, this_update, validity, end)
            .ok_or(DelegateError::Rule("its validity is too short for an answer"))?;
        let serial = SerialNumber::from_random([0x55; 16]);
        let cert_id = CertId::new(hash, ca.subject().as_der(), ca.public_key(), serial);
        for date in [None, Some(this_update)] {
            let single = SingleAnswer {
                cert_id: &cert_id,
                status,
                this_update,
                next_update: times.next_update,
                archive_cutoff: date.filter(|_| status != CertStatus::Unknown),
                invalidity_date: date.filter(|_| matches!(status, CertStatus::Revoked { .. })),
            };
            let data = ResponseData {
                responder_key: certificate.public_key().key_bits_sha1(),
                produced_at: this_update,
                answers: &[single],
                nonce: date.map(|_| &[0x6e; 32][..]),
            };
            let placeholder = algorithm.placeholder(KeyType::EcP256);
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
