//! From a profile, an issuer and a request to a certificate that may be signed.
//!
//! [`prepare`] decides, builds the to-be-signed bytes and lints the finished structure with a
//! placeholder signature. What it returns can only be recorded and then signed; there is no way to a
//! signature past the linter (promise 1).

mod extensions;
mod today;

use std::collections::BTreeSet;

use lint::{Findings, IssuerContext};
use thiserror::Error;
use x509::certificate::CertificateTemplate;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm, SpkiHash};
use x509::name::{Name, NameError};
use x509::oid::ObjectIdentifier;
use x509::serial::SerialNumber;
use x509::signing::{IntentId, Pending, PendingError, SigningKind, ToBeSigned, assemble};
use x509::time::UnixTime;
use x509::validity::Validity;

use crate::algorithms::{AlgorithmPolicy, KeyPurpose, NotAllowed};
use crate::deployment::{Deployment, Environment};
use crate::fields::{CheckedFields, FieldError, RequestedFields};
use crate::issuer::Issuer;
use crate::key_period::NotIssuing;
use crate::key_quality::{self, WeakKey};
use crate::profile::{IssueBy, PastIssuer, Profile, ProfileHash, ProfileKind, ProfileName, Source};
use crate::refusal::Refusal;
use crate::request::{self, RequestError};

/// Who signs.
#[derive(Clone, Copy, Debug)]
pub enum Signer<'a> {
    /// An issuer.
    Issuer(&'a Issuer),
    /// The certificate's own key, with this algorithm.
    Itself(SignatureAlgorithm),
}

/// Where the public key comes from.
#[derive(Clone, Copy, Debug)]
pub enum KeySource<'a> {
    /// A PKCS#10 request, DER. Its signature proves possession; its names and extensions are not
    /// obeyed (ISS-13).
    Request(&'a [u8]),
    /// A key in a token or file of our own, whose possession the caller has proven by a signature.
    Proven(&'a PublicKey),
}

/// By which way a certificate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A call to the issuance API.
    Direct,
    /// An order whose steps are done.
    Order,
    /// A ceremony, or a program's own renewal.
    Internal,
}

/// Everything that a certificate is decided from.
#[derive(Clone, Copy, Debug)]
pub struct Preparation<'a> {
    /// The deployment; its environment decides which identities may be certified.
    pub deployment: Deployment,
    /// Which algorithms may be used now.
    pub algorithms: &'a AlgorithmPolicy,
    /// The profile.
    pub profile: &'a Profile,
    /// Who signs.
    pub signer: Signer<'a>,
    /// By which way it is asked for.
    pub way: Way,
    /// The names that were asked for.
    pub fields: &'a RequestedFields,
    /// The public key.
    pub key: KeySource<'a>,
    /// Keys that are never certified for a subscriber: those of the CAs and responders themselves.
    pub own_keys: &'a BTreeSet<SpkiHash>,
    /// The serial number, drawn by the caller.
    pub serial: SerialNumber,
    /// The intent's id, drawn by the caller.
    pub id: IntentId,
    /// The issuing time.
    pub now: UnixTime,
    /// An end that is earlier than the profile's, if the certificate must end with something else.
    pub ends_at: Option<UnixTime>,
}

/// A linted, unsigned certificate and what is to be stored about it.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    pending: Pending,
    facts: Facts,
}

/// What is to be stored about a certificate.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The profile's name.
    pub profile: ProfileName,
    /// The profile's version.
    pub profile_hash: ProfileHash,
    /// What it is for.
    pub kind: ProfileKind,
    /// Short name of the issuer; `None` for a self-signed certificate.
    pub issuer: Option<String>,
    /// The key that signs.
    pub issuer_key: SpkiHash,
    /// Its serial number.
    pub serial: SerialNumber,
    /// Its validity.
    pub validity: Validity,
    /// Its subject.
    pub subject: Name,
    /// Its key.
    pub subject_key: SpkiHash,
    /// The profile's own policy.
    pub policy: Option<ObjectIdentifier>,
    /// The checked names: personal data where `kind` is a person's.
    pub fields: CheckedFields,
    /// What is allowed and yet worth telling the caller.
    pub warnings: Vec<Warning>,
}

/// Something allowed that is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The card number's check digit does not fit (Luhn; see `CardNumber::check_digit_fits`).
    CardNumberCheckDigit,
    /// The certificate ends with its issuer, before the profile's lifetime.
    EndsWithIssuer,
}

impl Prepared {
    /// What waits for its signature.
    pub const fn pending(&self) -> &Pending {
        &self.pending
    }

    /// What is to be stored.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Both parts.
    pub fn into_parts(self) -> (Pending, Facts) {
        (self.pending, self.facts)
    }
}

/// Decides on a certificate.
///
/// # Errors
///
/// [`PrepareError`] with the first rule that refuses. Nothing has been signed or recorded then.
pub fn prepare(preparation: &Preparation<'_>) -> Result<Prepared, PrepareError> {
    let Preparation { profile, deployment, .. } = *preparation;
    check_way(preparation)?;
    today::check_period(preparation)?;
    let public_key = public_key(preparation)?;
    let fields = preparation.fields.check(profile, deployment.environment())?;
    let subject = subject(profile, &fields)?;
    let (validity, ends_with_issuer) = validity(preparation)?;
    let (issuer_name, issuer_key, algorithm) = match preparation.signer {
        Signer::Issuer(issuer) => {
            (issuer.subject().clone(), issuer.public_key().clone(), issuer.algorithm())
        }
        Signer::Itself(algorithm) => (subject.clone(), public_key.clone(), algorithm),
    };
    if !algorithm.fits(issuer_key.key_type()) {
        return Err(PrepareError::Algorithm { algorithm, key_type: issuer_key.key_type() });
    }
    today::check_signature(preparation, issuer_key.key_type(), algorithm)?;
    let template = CertificateTemplate {
        serial: preparation.serial,
        issuer: issuer_name,
        subject: subject.clone(),
        validity,
        extensions: extensions::of(preparation, &public_key, &fields)?,
        public_key: public_key.clone(),
        algorithm,
    };
    let to_be_signed = template.to_tbs_der();
    lint(preparation, &to_be_signed, algorithm, issuer_key.key_type())?;
    let kind = match profile.kind() {
        ProfileKind::OcspResponder => SigningKind::OcspDelegate,
        _ => SigningKind::Certificate,
    };
    let issuer_hash = issuer_key.spki_hash();
    let bytes = ToBeSigned::Bytes(to_be_signed.into());
    let pending = Pending::new(preparation.id, kind, issuer_key, algorithm, bytes)?;
    let mut warnings = Vec::new();
    if fields.card_number.as_ref().is_some_and(|card| !card.check_digit_fits()) {
        warnings.push(Warning::CardNumberCheckDigit);
    }
    if ends_with_issuer {
        warnings.push(Warning::EndsWithIssuer);
    }
    let facts = Facts {
        profile: profile.name().clone(),
        profile_hash: profile.hash(),
        kind: profile.kind(),
        issuer: match preparation.signer {
            Signer::Issuer(issuer) => Some(issuer.name().to_owned()),
            Signer::Itself(_) => None,
        },
        issuer_key: issuer_hash,
        serial: preparation.serial,
        validity,
        subject,
        subject_key: public_key.spki_hash(),
        policy: profile.own_policy(),
        fields,
        warnings,
    };
    Ok(Prepared { pending, facts })
}

/// The profile may be issued this way, and by this issuer.
fn check_way(preparation: &Preparation<'_>) -> Result<(), PrepareError> {
    let Preparation { profile, way, signer, deployment, .. } = preparation;
    let allowed = match (profile.issue_by(), way) {
        (IssueBy::Direct, Way::Direct | Way::Order)
        | (IssueBy::Order, Way::Order)
        | (IssueBy::Internal, Way::Internal) => true,
        (IssueBy::Order, Way::Direct) => deployment.environment() == Environment::Test,
        _ => false,
    };
    if !allowed {
        return Err(PrepareError::Way { profile: profile.name().clone() });
    }
    let fits = match signer {
        Signer::Itself(_) => profile.kind().is_self_signed(),
        Signer::Issuer(issuer) => issuer.profiles().contains(profile.name()),
    };
    if fits {
        return Ok(());
    }
    let issuer = match signer {
        Signer::Itself(_) => "itself".to_owned(),
        Signer::Issuer(issuer) => issuer.name().to_owned(),
    };
    Err(PrepareError::NotIssuedHere { profile: profile.name().clone(), issuer })
}

/// The key, judged first for its type and quality, so that the refusal names the real cause, and then
/// for its proof of possession.
fn public_key(preparation: &Preparation<'_>) -> Result<PublicKey, PrepareError> {
    match preparation.key {
        KeySource::Proven(key) => {
            check_key(preparation, key)?;
            Ok(key.clone())
        }
        KeySource::Request(der) => {
            let request = request::read(der, preparation.profile)?;
            check_key(preparation, request.public_key())?;
            request.verify_possession().map_err(RequestError::Possession)?;
            Ok(request.public_key().clone())
        }
    }
}

fn check_key(preparation: &Preparation<'_>, key: &PublicKey) -> Result<(), PrepareError> {
    let profile = preparation.profile;
    if !profile.keys().contains(&key.key_type()) {
        return Err(PrepareError::KeyNotAllowed {
            profile: profile.name().clone(),
            found: key.key_type(),
            allowed: profile.keys().to_vec(),
        });
    }
    let purpose = KeyPurpose::certified_by(profile.kind());
    preparation
        .algorithms
        .key(Some(purpose), key.key_type(), preparation.now)
        .map_err(PrepareError::KeyAlgorithm)?;
    key_quality::check(key)?;
    if preparation.own_keys.contains(&key.spki_hash()) {
        return Err(PrepareError::OwnKey);
    }
    Ok(())
}

/// notBefore and notAfter, and whether the issuer's end cut it short (ISS-08, ISS-09).
fn validity(preparation: &Preparation<'_>) -> Result<(Validity, bool), PrepareError> {
    let Preparation { profile, now, signer, .. } = *preparation;
    let rule = profile.validity();
    let whole = Validity::starting(now, rule.backdate, rule.lifetime)
        .map_err(|_| PrepareError::Clock { now })?;
    let Signer::Issuer(issuer) = signer else { return Ok((whole, false)) };
    let of_issuer = issuer.certificate().validity();
    if !of_issuer.contains(now) {
        return Err(PrepareError::IssuerNotValid {
            issuer: issuer.name().to_owned(),
            not_after: of_issuer.not_after(),
        });
    }
    let not_before = whole.not_before().max(of_issuer.not_before());
    let wanted = match preparation.ends_at {
        Some(end) if end > whole.not_after() || end <= now => {
            return Err(PrepareError::End { end, latest: whole.not_after() });
        }
        Some(end) => end,
        None => whole.not_after(),
    };
    let capped = wanted > of_issuer.not_after();
    if capped && rule.past_issuer == PastIssuer::Refuse {
        return Err(PrepareError::OutlivesIssuer {
            not_after: wanted,
            issuer_not_after: of_issuer.not_after(),
        });
    }
    let validity = Validity::between(not_before, wanted.min(of_issuer.not_after()))
        .map_err(|_| PrepareError::Clock { now })?;
    Ok((validity, capped))
}

fn subject(profile: &Profile, fields: &CheckedFields) -> Result<Name, PrepareError> {
    let mut builder = Name::builder();
    for attribute in profile.subject().attributes() {
        let text = match &attribute.source {
            Source::Fixed(value) => Some(value.as_str()),
            Source::PersonName => fields.common_name.as_ref().map(|name| name.as_str()),
            Source::Field(field) => fields.text_of(*field),
        };
        // What a profile requires was checked to be there; what is missing here is optional.
        if let Some(text) = text {
            builder = builder.with(attribute.attribute, text)?;
        }
    }
    Ok(builder.build())
}

/// A second opinion on the finished structure; any finding refuses.
fn lint(
    preparation: &Preparation<'_>,
    to_be_signed: &[u8],
    algorithm: SignatureAlgorithm,
    key_type: KeyType,
) -> Result<(), PrepareError> {
    let placeholder = algorithm.placeholder(key_type);
    let finished = assemble(to_be_signed, algorithm, &placeholder).ok_or(PrepareError::TooLarge)?;
    let context = match preparation.signer {
        Signer::Issuer(issuer) => IssuerContext::Certificate(issuer.certificate().as_der()),
        Signer::Itself(_) => IssuerContext::SelfSigned,
    };
    let kind = preparation.profile.kind().lint_kind();
    let findings = lint::certificate(&finished, &context, kind);
    if findings.is_empty() { Ok(()) } else { Err(PrepareError::Lint(findings)) }
}

/// Why a certificate was refused. Nothing has been signed or recorded when one of these is returned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The signing key makes no such signatures.
    #[error("{key_type} keys make no {algorithm} signatures")]
    Algorithm {
        /// The algorithm.
        algorithm: SignatureAlgorithm,
        /// The signing key.
        key_type: KeyType,
    },
    /// The time lies outside what certificates can write.
    #[error("{now} is no time to issue a certificate at")]
    Clock {
        /// The issuing time.
        now: UnixTime,
    },
    /// The named end is past or after the profile's.
    #[error("certificate cannot end at {end}; the latest is {latest}")]
    End {
        /// The end that was named.
        end: UnixTime,
        /// The profile's.
        latest: UnixTime,
    },
    /// A field of the request.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The algorithm policy does not allow how the issuer would sign.
    #[error("issuer's algorithm: {0}")]
    IssuerAlgorithm(NotAllowed),
    /// The issuer's certificate has ended or not begun.
    #[error("issuer {issuer} is not valid now; its certificate ends at {not_after}")]
    IssuerNotValid {
        /// The issuer.
        issuer: String,
        /// Its end.
        not_after: UnixTime,
    },
    /// The algorithm policy does not allow the certified key.
    #[error("key to be certified: {0}")]
    KeyAlgorithm(NotAllowed),
    /// The profile does not allow keys of this type.
    #[error("profile {profile} does not allow {found} keys")]
    KeyNotAllowed {
        /// The profile.
        profile: ProfileName,
        /// The key's type.
        found: KeyType,
        /// What it allows.
        allowed: Vec<KeyType>,
    },
    /// The finished structure breaks a rule.
    #[error("finished certificate fails pre-issuance lints")]
    Lint(#[source] Findings),
    /// A name that the ASN.1 types cannot hold.
    #[error("subject cannot be encoded")]
    Name(#[from] NameError),
    /// The issuer has no such profile.
    #[error("profile {profile} is not issued by {issuer}")]
    NotIssuedHere {
        /// The profile.
        profile: ProfileName,
        /// The issuer.
        issuer: String,
    },
    /// The issuer's key does not issue on this day.
    #[error("issuer {issuer} does not issue now: {why}")]
    NotIssuing {
        /// The issuer.
        issuer: String,
        /// Since when, or until when.
        why: NotIssuing,
    },
    /// Its path could not validate once the issuer has expired.
    #[error("certificate would expire at {not_after}, after its issuer at {issuer_not_after}")]
    OutlivesIssuer {
        /// The certificate's end.
        not_after: UnixTime,
        /// The issuer's end.
        issuer_not_after: UnixTime,
    },
    /// Keys of CAs and responders are nobody else's.
    #[error("public key is one of the CA's own")]
    OwnKey,
    /// The linted bytes were not accepted for signing.
    #[error("certificate cannot be signed")]
    Pending(#[from] PendingError),
    /// The request itself.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Larger than DER lengths of the encoder.
    #[error("certificate is too large to encode")]
    TooLarge,
    /// Issued only by another way.
    #[error("profile {profile} is not issued this way")]
    Way {
        /// The profile.
        profile: ProfileName,
    },
    /// The key is weak whatever its type.
    #[error(transparent)]
    Weak(#[from] WeakKey),
}

impl PrepareError {
    /// Whether the same request may be free later: it is refused for the day or the configuration.
    #[must_use]
    pub const fn is_for_now(&self) -> bool {
        matches!(self, Self::IssuerAlgorithm(_) | Self::KeyAlgorithm(_) | Self::NotIssuing { .. })
    }

    /// The same in the words of a refusal (promise 9).
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let (code, rule, limit, next) = match self {
            Self::Field(error) => return error.refusal(),
            Self::Request(error) => return error.refusal(),
            Self::KeyNotAllowed { allowed, .. } => (
                "key-not-allowed",
                "key types of the profile (ISS-11)",
                allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                "make a key of an allowed type, or use another profile",
            ),
            Self::KeyAlgorithm(refused) => (
                "key-algorithm-not-allowed",
                "the algorithm policy allows types of keys by purpose and day (KEY-07, KEY-11)",
                refused.standing.to_string(),
                "make a key of another type that the profile allows",
            ),
            Self::IssuerAlgorithm(refused) => (
                "issuer-algorithm-not-allowed",
                "the algorithm policy allows signatures by key and day (KEY-11)",
                refused.standing.to_string(),
                "have the operator change `algorithm` of the authority, or make a new issuing CA",
            ),
            Self::Weak(_) => (
                "weak-key",
                "public key quality (ISS-11)",
                "RSA: exponent from 65537, no small factor, primes apart, no known weak generator"
                    .to_owned(),
                "make a new key with another generator",
            ),
            Self::OwnKey => (
                "own-key",
                "keys of the CA are certified by ceremonies only (KEY-05)",
                "a key of the subscriber's own".to_owned(),
                "make a new key",
            ),
            Self::Way { .. } => (
                "way-not-allowed",
                "issue-by of the profile",
                "direct: a call; order: an order (in environment test also a call); internal: a \
                 ceremony or renewal"
                    .to_owned(),
                "use the way that the profile names",
            ),
            Self::NotIssuedHere { .. } => (
                "profile-not-issued-here",
                "profiles of the issuer's configuration (PRO-10, PRO-11)",
                "a profile that the issuer lists".to_owned(),
                "check the profile's name against GET /v1/authorities",
            ),
            Self::OutlivesIssuer { issuer_not_after, .. } => (
                "outlives-issuer",
                "no certificate ends after its issuer (ISS-08)",
                format!("until {issuer_not_after}"),
                "have the operator make a new issuing CA",
            ),
            Self::NotIssuing { why, .. } => (
                why.code(),
                "an issuer's key issues on its days, and not when what it issues could outlive it (KEY-06, KEY-12)",
                "an issuer that issues now".to_owned(),
                why.next_step(),
            ),
            Self::IssuerNotValid { .. } => (
                "issuer-not-valid",
                "an issuer signs within its own validity (KEY-06)",
                "a time within the issuer's validity".to_owned(),
                "check the clock, or have the operator make a new issuing CA",
            ),
            Self::End { latest, .. } => (
                "end-not-allowed",
                "the end of validity lies after now and within the profile's lifetime (ISS-08)",
                format!("until {latest}"),
                "name an earlier end",
            ),
            Self::Lint(findings) => {
                let first = findings.iter().next().map(ToString::to_string).unwrap_or_default();
                return Refusal::new(
                    "lint",
                    "the finished certificate is linted before any key is touched (PRO-03)",
                    &first,
                    "no finding",
                    "tell the operator: profile and linter disagree",
                );
            }
            Self::Name(_) | Self::TooLarge => (
                "subject-not-encodable",
                "distinguished names (RFC 5280 §4.1.2.6; PRO-02)",
                "names within the bounds of RFC 5280 appendix A.1".to_owned(),
                "shorten the names",
            ),
            Self::Algorithm { .. } | Self::Clock { .. } | Self::Pending(_) => (
                "issuer-misconfigured",
                "issuer, key, algorithm and clock belong together",
                "a working configuration".to_owned(),
                "tell the operator",
            ),
        };
        Refusal::new(code, rule, self, limit, next)
    }
}

#[cfg(test)]
mod tests;
