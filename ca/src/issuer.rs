//! A certification authority as an issuer: what its certificate says and what its operator configured.

use std::sync::Arc;
use std::time::Duration;

use lint::{Findings, KnownIssuer};
use thiserror::Error;
use x509::certificate::Certificate;
use x509::extension::{
    self, BasicConstraints, Ia5Text, KeyUsage, KeyUsageBit, SubjectKeyIdentifier,
};
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::name::Name;
use x509::time::UnixTime;

use crate::key_period::KeyPeriod;
use crate::profile::{ProfileName, ProfileSet};
use crate::table::IssuerClass;

/// Whether a CA's CRLs carry an issuing distribution point (critical). Never changed for a CA that
/// has issued a CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlScopeStated {
    /// None: one full CRL for everything.
    No,
    /// The CRL names its own URL.
    Yes,
}

/// What an operator configures for an issuer, beside its certificate.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Short name, 1 to 64 characters a-z0-9, as in URLs and file names.
    pub name: String,
    /// How it signs.
    pub algorithm: SignatureAlgorithm,
    /// CRL distribution point in what it issues.
    pub crl_url: String,
    /// OCSP responder in what it issues.
    pub ocsp_url: String,
    /// Where its own certificate is published (caIssuers in what it issues).
    pub aia_url: String,
    /// Profiles that it may issue.
    pub profiles: Vec<ProfileName>,
    /// Whether its CRLs carry an issuing distribution point.
    pub crl_scope_stated: CrlScopeStated,
    /// On which days its key issues.
    pub period: KeyPeriod,
}

/// A checked issuer.
#[derive(Clone, Debug)]
pub struct Issuer {
    name: String,
    certificate: Certificate,
    key_identifier: SubjectKeyIdentifier,
    algorithm: SignatureAlgorithm,
    crl_url: Ia5Text,
    ocsp_url: Ia5Text,
    aia_url: Ia5Text,
    profiles: Vec<ProfileName>,
    crl_scope_stated: CrlScopeStated,
    period: KeyPeriod,
    longest_life: Duration,
    known: Arc<KnownIssuer>,
    class: IssuerClass,
}

impl Issuer {
    /// Puts a CA certificate and its settings together.
    ///
    /// # Errors
    ///
    /// [`IssuerError`]: the certificate is no CA's, has no subjectKeyIdentifier, its key makes no
    /// such signatures, a URL is not an absolute http URI in ASCII (PRO-13).
    pub fn new(certificate: Certificate, settings: IssuerSettings) -> Result<Self, IssuerError> {
        let IssuerSettings { name, algorithm, crl_url, ocsp_url, aia_url, .. } = settings;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        // Until somebody says otherwise an issuer is a class of its own.
        let class = IssuerClass::new(&name).filter(|_| name.chars().all(allowed));
        let Some(class) = class else { return Err(IssuerError::Name { name }) };
        let key_type = certificate.public_key().key_type();
        if !algorithm.fits(key_type) {
            return Err(IssuerError::Algorithm { name, algorithm, key_type });
        }
        let extensions = certificate.extensions();
        let constraints = extension::find::<BasicConstraints>(extensions).ok().flatten();
        let usage = extension::find::<KeyUsage>(extensions).ok().flatten();
        let signs = [KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign];
        if !matches!(constraints, Some(BasicConstraints::Ca { .. }))
            || !usage.is_some_and(|usage| signs.into_iter().all(|bit| usage.contains(bit)))
        {
            return Err(IssuerError::NotACa { name });
        }
        let Some(key_identifier) = extension::find(extensions).ok().flatten() else {
            return Err(IssuerError::NoKeyIdentifier { name });
        };
        let known = KnownIssuer::read(certificate.as_der())
            .map_err(|findings| IssuerError::Unreadable { name: name.clone(), findings })?;
        let [crl_url, ocsp_url, aia_url] = [crl_url, ocsp_url, aia_url].map(|url| http(&url));
        Ok(Self {
            name,
            certificate,
            key_identifier,
            algorithm,
            crl_url: crl_url?,
            ocsp_url: ocsp_url?,
            aia_url: aia_url?,
            profiles: settings.profiles,
            crl_scope_stated: settings.crl_scope_stated,
            period: settings.period,
            longest_life: Duration::ZERO,
            known: Arc::new(known),
            class,
        })
    }

    /// The same, which stops issuing as long before its own end as the longest of its subscribers'
    /// profiles lasts (KEY-06).
    #[must_use]
    pub fn stopping_for(mut self, profiles: &ProfileSet) -> Self {
        let named = self.profiles.iter().filter_map(|name| profiles.by_name(name.as_str()));
        let lives =
            named.filter(|one| one.kind().is_subscriber()).map(|one| one.validity().longest());
        self.longest_life = lives.max().unwrap_or_default();
        self
    }

    /// The same, whose key issues no more whatever its days say.
    #[must_use]
    pub fn retired(mut self) -> Self {
        self.period = self.period.retired();
        self
    }

    /// The same as if its key issued on every day: what it has issued is looked at again.
    #[must_use]
    pub fn looking_back(mut self) -> Self {
        self.period = KeyPeriod::default();
        self.longest_life = Duration::ZERO;
        self
    }

    /// The same, whose certificates name another CRL than its full one: that of a shard (CRL-06).
    ///
    /// # Errors
    ///
    /// [`IssuerError::Url`].
    pub fn pointing_to(mut self, crl_url: &str) -> Result<Self, IssuerError> {
        self.crl_url = http(crl_url)?;
        Ok(self)
    }

    /// The same, of a class: what the rows of the policy table name.
    #[must_use]
    pub fn of_class(mut self, class: IssuerClass) -> Self {
        self.class = class;
        self
    }

    /// Its class; its name where nobody has said.
    #[must_use]
    pub const fn class(&self) -> &IssuerClass {
        &self.class
    }

    /// Its short name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its certificate as the linter has read it, once for all that it issues.
    pub(crate) fn known(&self) -> &KnownIssuer {
        &self.known
    }

    /// Its subject, whose bytes are copied into everything that it issues (PRO-15).
    #[must_use]
    pub fn subject(&self) -> &Name {
        self.certificate.subject()
    }

    /// Its key identifier as it stands in its certificate, never recomputed (PRO-14).
    #[must_use]
    pub const fn key_identifier(&self) -> &SubjectKeyIdentifier {
        &self.key_identifier
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.certificate.public_key()
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The last second of its own certificate.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.certificate.validity().not_after()
    }

    /// On which days its key issues.
    #[must_use]
    pub const fn period(&self) -> KeyPeriod {
        self.period
    }

    /// The longest life of what it issues to subscribers; zero where nobody has said.
    pub(crate) const fn longest_life(&self) -> Duration {
        self.longest_life
    }

    /// CRL distribution point in what it issues.
    #[must_use]
    pub const fn crl_url(&self) -> &Ia5Text {
        &self.crl_url
    }

    /// OCSP responder in what it issues.
    #[must_use]
    pub const fn ocsp_url(&self) -> &Ia5Text {
        &self.ocsp_url
    }

    /// Where its own certificate is published.
    #[must_use]
    pub const fn aia_url(&self) -> &Ia5Text {
        &self.aia_url
    }

    /// Profiles that it may issue.
    #[must_use]
    pub fn profiles(&self) -> &[ProfileName] {
        &self.profiles
    }

    /// Whether its CRLs carry an issuing distribution point.
    #[must_use]
    pub const fn crl_scope_stated(&self) -> CrlScopeStated {
        self.crl_scope_stated
    }
}

/// An absolute http URI: clients fetch revocation data before they can judge TLS (RFC 5280 §8).
fn http(url: &str) -> Result<Ia5Text, IssuerError> {
    let refused = || IssuerError::Url { url: url.to_owned() };
    let host = url.strip_prefix("http://").ok_or_else(refused)?;
    if host.is_empty() || host.starts_with('/') || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(refused());
    }
    Ia5Text::new(url).map_err(|_| refused())
}

/// Why a certificate and settings make no issuer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerError {
    /// The key makes no such signatures.
    #[error("issuer {name} cannot sign with {algorithm}: its key is {key_type}")]
    Algorithm {
        /// The issuer.
        name: String,
        /// The configured algorithm.
        algorithm: SignatureAlgorithm,
        /// Its key.
        key_type: KeyType,
    },
    /// Not a short name.
    #[error("issuer name {name:?} is not 1 to 64 characters a-z0-9")]
    Name {
        /// What was given.
        name: String,
    },
    /// Its certificates could name no authority key.
    #[error("certificate of issuer {name} has no subjectKeyIdentifier")]
    NoKeyIdentifier {
        /// The issuer.
        name: String,
    },
    /// No basicConstraints with cA, or no keyCertSign and cRLSign.
    #[error("certificate of issuer {name} is not a CA's")]
    NotACa {
        /// The issuer.
        name: String,
    },
    /// The linter, which judges what it issues, cannot read its certificate.
    #[error("certificate of issuer {name} cannot be read by the linter")]
    Unreadable {
        /// The issuer.
        name: String,
        /// Why.
        #[source]
        findings: Findings,
    },
    /// PRO-13.
    #[error("{url:?} is not an absolute http URI in visible ASCII")]
    Url {
        /// What was given.
        url: String,
    },
}
