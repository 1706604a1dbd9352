//! Why a certificate was refused, as an error and in the words of a refusal.

use lint::Findings;
use thiserror::Error;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::name::NameError;
use x509::signing::PendingError;
use x509::time::UnixTime;

use super::agreement::Disagreement;
use crate::admit::RuleRefusal;
use crate::algorithms::NotAllowed;
use crate::fields::FieldError;
use crate::key_period::NotIssuing;
use crate::key_quality::{KeyRefused, WeakKey};
use crate::profile::ProfileName;
use crate::refusal::Refusal;
use crate::request::RequestError;

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
    /// The finished certificate says something else than its order.
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
    /// The named end is past or after the profile's.
    #[error("certificate cannot end at {end}; the latest is {latest}")]
    End {
        /// The end that was named.
        end: UnixTime,
        /// The profile's.
        latest: UnixTime,
    },
    /// The order is to name the end, and does not.
    #[error("profile {profile} ends when its order says, and no end is named")]
    EndMissing {
        /// The profile.
        profile: ProfileName,
        /// The latest.
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
    /// The key is weak, known to others, or one of our own.
    #[error(transparent)]
    Key(#[from] KeyRefused),
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
    /// No leave to issue to a subscriber, or leave for something else.
    #[error(
        "profile {profile} is issued to subscribers whom book and table admit, and this is for nobody"
    )]
    NotAdmitted {
        /// The profile.
        profile: ProfileName,
    },
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
    /// The profile wants certificates that end before their carriers.
    #[error("certificate would expire at {not_after}, after its carrier at {carrier_end}")]
    OutlivesCarrier {
        /// The certificate's end.
        not_after: UnixTime,
        /// The carrier's.
        carrier_end: UnixTime,
    },
    /// Its path could not validate once the issuer has expired.
    #[error("certificate would expire at {not_after}, after its issuer at {issuer_not_after}")]
    OutlivesIssuer {
        /// The certificate's end.
        not_after: UnixTime,
        /// The issuer's end.
        issuer_not_after: UnixTime,
    },
    /// The linted bytes were not accepted for signing.
    #[error("certificate cannot be signed")]
    Pending(#[from] PendingError),
    /// The request itself.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The issuer signs otherwise than the profile allows.
    #[error("profile {profile} is not signed with {found}")]
    SignatureNotAllowed {
        /// The profile.
        profile: ProfileName,
        /// How the issuer signs.
        found: SignatureAlgorithm,
        /// What the profile allows.
        allowed: Vec<SignatureAlgorithm>,
    },
    /// Larger than DER lengths of the encoder.
    #[error("certificate is too large to encode")]
    TooLarge,
    /// A rule of the book.
    #[error(transparent)]
    Rule(#[from] RuleRefusal),
    /// Issued only by another way.
    #[error("profile {profile} is not issued this way")]
    Way {
        /// The profile.
        profile: ProfileName,
    },
}

impl PrepareError {
    /// Whether the same request may be free later: it is refused for the day or the configuration.
    #[must_use]
    pub fn is_for_now(&self) -> bool {
        match self {
            Self::IssuerAlgorithm(_)
            | Self::KeyAlgorithm(_)
            | Self::IssuerNotValid { .. }
            | Self::NotAdmitted { .. }
            | Self::NotIssuing { .. }
            | Self::OutlivesCarrier { .. }
            | Self::OutlivesIssuer { .. } => true,
            // One that is past stays past.
            Self::End { end, latest } => end > latest,
            Self::Rule(refusal) => refusal.is_for_now(),
            _ => false,
        }
    }

    /// The same in the words of a refusal (promise 9).
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let (code, rule, limit, next) = match self {
            Self::Field(error) => return error.refusal(),
            Self::Request(error) => return error.refusal(),
            Self::Rule(error) => return error.refusal(),
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
            Self::SignatureNotAllowed { allowed, .. } => (
                "signature-not-allowed",
                "signature algorithms of the profile (KEY-11)",
                allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                "have the operator change `algorithm` of the authority, or the profile",
            ),
            Self::Key(KeyRefused::Weak(WeakKey::Point(_))) => (
                "key-not-a-point",
                "public key quality (ISS-11): elliptic curve keys are points of their curve",
                "a point of the curve, not of small order".to_owned(),
                "make a new key with another generator",
            ),
            Self::Key(KeyRefused::Weak(_)) => (
                "weak-key",
                "public key quality (ISS-11)",
                "RSA: exponent from 65537, no small factor, primes apart, no known weak generator"
                    .to_owned(),
                "make a new key with another generator",
            ),
            Self::Key(KeyRefused::Listed { .. }) => (
                "key-listed",
                "keys whose private halves others have are not certified (ISS-11)",
                "a key in none of the configured lists".to_owned(),
                "make a new key, and replace the old one wherever it is used",
            ),
            Self::Key(KeyRefused::Own) => (
                "own-key",
                "keys of the CA are certified by ceremonies only (KEY-05)",
                "a key of the subscriber's own".to_owned(),
                "make a new key",
            ),
            Self::NotAdmitted { .. } => (
                "not-admitted",
                "subscribers get certificates by leave of the book: its dated rules and its table (ISS-01, PRO-10)",
                "leave for this profile, issuer and time".to_owned(),
                "order the certificate; where it was ordered, tell the operator",
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
            Self::OutlivesCarrier { carrier_end, .. } => (
                "outlives-carrier",
                "no certificate of this profile is ordered past the life of its carrier (ISS-09)",
                format!("until {carrier_end}"),
                "name an end within the carrier's life, or use a carrier that lives longer",
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
            Self::EndMissing { latest, .. } => (
                "end-missing",
                "the order names the end of validity (end of the profile)",
                format!("until {latest}"),
                "name the end in the order",
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
            Self::Disagreement(_) => (
                "order-disagrees",
                "the finished certificate is read back and compared with its order (PRO-03)",
                "what the order says".to_owned(),
                "tell the operator: the encoder or the order's fields are wrong",
            ),
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
