//! A sample of what a profile issues: prepared and linted like any certificate, under a made-up issuer,
//! for a made-up holder, with a signature that verifies under no key.

mod sample_key;
mod samples;
mod text;

use std::time::Duration;

use thiserror::Error;
use x509::certificate::{Certificate, CertificateTemplate};
use x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, Criticality, ExtensionValue as _, KeyUsage,
    KeyUsageBit, SubjectKeyIdentifier,
};
use x509::key::{KeyType, SignatureAlgorithm};
use x509::name::{AttributeType, Name};
use x509::oid::policy;
use x509::serial::SerialNumber;
use x509::signing::{IntentId, assemble};
use x509::time::UnixTime;
use x509::validity::Validity;

pub use self::samples::{SampleKind, Samples};
pub use self::text::certificate_text;
pub(super) use self::text::values;
use super::{EndOf, IssueBy, Presence, Profile, RequestField};
use crate::admit::{Admitted, Moment, RuleRefusal, admit_direct};
use crate::algorithms::AlgorithmPolicy;
use crate::book::Book;
use crate::deployment::{Deployment, Environment};
use crate::fields::RequestedFields;
use crate::identity::TestDomains;
use crate::issuer::{CrlScopeStated, Issuer, IssuerSettings};
use crate::key_period::KeyPeriod;
use crate::key_quality::KeyBook;
use crate::prepare::{KeySource, Preparation, PrepareError, Signer, Way, prepare};

/// The deployment that samples are made in: environment test, for the Swedish test person.
const DEPLOYMENT: &str = "test/demo/ab12";
/// The made-up issuer's short name, as in its URLs.
const ISSUER: &str = "sigillexamplecav1";
/// The made-up issuer is valid for so long: longer than anything that it issues.
const ISSUER_LIFE: Duration = Duration::from_secs(40 * 366 * 86_400);
/// How long before the sample the issuer's certificate begins.
const ISSUER_AGE: Duration = Duration::from_secs(86_400);
/// An order that is to name the end names this one.
const ORDERED: Duration = Duration::from_secs(14 * 86_400);

/// Makes a sample of what `profile` issues at `at` for a key of this type; its DER.
///
/// # Errors
///
/// [`ExampleError`]: the profile allows no such key, or what comes of it is refused at that time.
pub fn example(
    profile: &Profile,
    key_type: KeyType,
    at: UnixTime,
) -> Result<Certificate, ExampleError> {
    let algorithm = how_signed(profile, key_type);
    let issuer = issuer(profile, algorithm, at)?;
    let book = Book::of_example(profile, issuer.class(), Some(policy::SAMPLE));
    let moment = Moment { now: at, environment: Environment::Test };
    let admitted = admit_direct(profile, &issuer, &book, moment).ok();
    let ends_at = match profile.validity().end_of {
        EndOf::Lifetime => None,
        EndOf::Order => at.checked_add(ORDERED),
    };
    let (issuer, fields, admitted) = (&issuer, sample_fields(profile), admitted.as_ref());
    made(&Made { profile, key_type, algorithm, issuer, fields, at, ends_at, admitted })
}

/// What a sample is made of.
struct Made<'a> {
    profile: &'a Profile,
    key_type: KeyType,
    algorithm: SignatureAlgorithm,
    issuer: &'a Issuer,
    fields: RequestedFields,
    at: UnixTime,
    ends_at: Option<UnixTime>,
    admitted: Option<&'a Admitted>,
}

fn made(of: &Made<'_>) -> Result<Certificate, ExampleError> {
    let &Made { profile, key_type, algorithm, issuer, ref fields, at, ends_at, admitted } = of;
    let key = sample_key::of(key_type).ok_or(ExampleError::NoSampleKey { key_type })?;
    let algorithms = AlgorithmPolicy::shipped().map_err(|_| ExampleError::MadeUp)?;
    let deployment: Deployment = DEPLOYMENT.parse().map_err(|_| ExampleError::MadeUp)?;
    let self_signed = profile.kind().is_self_signed();
    let prepared = prepare(&Preparation {
        deployment,
        algorithms: &algorithms,
        test_domains: &TestDomains::default(),
        profile,
        signer: if self_signed { Signer::Itself(algorithm) } else { Signer::Issuer(issuer) },
        way: match profile.issue_by() {
            IssueBy::Direct => Way::Direct,
            IssueBy::Order => Way::Order,
            IssueBy::Internal => Way::Internal,
        },
        fields,
        key: KeySource::Proven(&key),
        keys: &KeyBook::default(),
        serial: SerialNumber::from_random([0x5a; SerialNumber::OWN_OCTETS]),
        id: IntentId::from_bytes([0; 16]),
        now: at,
        ends_at,
        admitted,
    })?;
    let signing_key = if self_signed { key_type } else { issuer.public_key().key_type() };
    let to_be_signed = prepared.pending().bytes().ok_or(ExampleError::MadeUp)?;
    finished(to_be_signed, algorithm, signing_key)
}

/// The whole certificate, with a signature value that verifies under no key.
fn finished(
    to_be_signed: &[u8],
    algorithm: SignatureAlgorithm,
    signing_key: KeyType,
) -> Result<Certificate, ExampleError> {
    let der = assemble(to_be_signed, algorithm, &algorithm.placeholder(signing_key));
    der.and_then(|der| Certificate::from_der(&der).ok()).ok_or(ExampleError::MadeUp)
}

/// As the profile demands. Where that is the issuer's choice: as the real CAs sign, and in the
/// management plane, which has no RSA, with P-256.
fn how_signed(profile: &Profile, key_type: KeyType) -> SignatureAlgorithm {
    if profile.kind().is_self_signed() {
        return SignatureAlgorithm::default_for(key_type);
    }
    let demanded = profile.signatures().and_then(|allowed| allowed.first().copied());
    demanded.unwrap_or(if profile.kind().is_management() {
        SignatureAlgorithm::EcdsaP256Sha256
    } else {
        SignatureAlgorithm::RsaPkcs1Sha512
    })
}

/// A made-up CA that issues the profile and signs in this way.
fn issuer(
    profile: &Profile,
    algorithm: SignatureAlgorithm,
    at: UnixTime,
) -> Result<Issuer, ExampleError> {
    let key = sample_key::of_issuer(algorithm).ok_or(ExampleError::MadeUp)?;
    let key_type = key.key_type();
    let name = Name::builder()
        .with(AttributeType::Country, "SE")
        .and_then(|name| name.with(AttributeType::Organization, "Sigill Example"))
        .and_then(|name| name.with(AttributeType::CommonName, "SIGILL EXAMPLE CA v1"))
        .map_err(|_| ExampleError::MadeUp)?
        .build();
    let own = SubjectKeyIdentifier(key.key_bits_sha1().to_vec());
    let usage = KeyUsage::of(&[KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign]);
    let validity = Validity::starting(at, ISSUER_AGE, ISSUER_LIFE);
    let template = CertificateTemplate {
        serial: SerialNumber::from_random([0x42; SerialNumber::OWN_OCTETS]),
        issuer: name.clone(),
        subject: name,
        validity: validity.map_err(|_| ExampleError::Time { at })?,
        extensions: vec![
            BasicConstraints::Ca { path_len: None }.extension(Criticality::Critical),
            usage.extension(Criticality::Critical),
            own.extension(Criticality::NonCritical),
            AuthorityKeyIdentifier::of(&own).extension(Criticality::NonCritical),
        ],
        public_key: key,
        algorithm,
    };
    let certificate = finished(&template.to_tbs_der(), algorithm, key_type)?;
    let settings = IssuerSettings {
        name: ISSUER.to_owned(),
        algorithm,
        crl_url: format!("http://crl.example.org/{ISSUER}.crl"),
        ocsp_url: "http://ocsp.example.org".to_owned(),
        aia_url: format!("http://aia.example.org/{ISSUER}.cer"),
        profiles: vec![profile.name().clone()],
        crl_scope_stated: CrlScopeStated::No,
        period: KeyPeriod::default(),
    };
    Issuer::new(certificate, settings).map_err(|_| ExampleError::MadeUp)
}

/// A value for every field that the profile takes: the Swedish test person, or a test function.
#[must_use]
pub fn sample_fields(profile: &Profile) -> RequestedFields {
    let names = profile.alternative_names();
    let some = |presence, text: &str| (presence != Presence::Refused).then(|| text.to_owned());
    let of = |field, text: &str| {
        let recorded = profile.recorded().iter().find(|(recorded, _)| *recorded == field);
        let presence = match profile.subject().presence(field) {
            Presence::Refused => recorded.map_or(Presence::Refused, |(_, presence)| *presence),
            presence => presence,
        };
        some(presence, text)
    };
    let person = profile.kind().is_person();
    let host = "idp.example.org";
    let has_hosts = names.dns_count.1 > 0;
    let common_name = if has_hosts { host } else { "SIGILL EXAMPLE" };
    RequestedFields {
        common_name: of(RequestField::CommonName, common_name),
        given_name: of(RequestField::GivenName, "Tolvan"),
        surname: of(RequestField::Surname, "Tolvansson"),
        hsa_id: of(
            RequestField::HsaId,
            if person { "TST2321000016-1002" } else { "TSTNMT2321000156-B02" },
        ),
        personal_identity_number: of(RequestField::PersonalIdentityNumber, "191212121212"),
        organization: of(RequestField::Organization, "Sigill Example"),
        locality: of(RequestField::Locality, "Örebro"),
        card_number: some(profile.card_number(), "9752269874512325436"),
        upn: some(names.upn, "TST2321000016-1002@test.example.org"),
        email: some(names.email, "tolvan@example.org"),
        dns: if has_hosts { vec![host.to_owned()] } else { Vec::new() },
        ip: match names.ip {
            Presence::Refused => Vec::new(),
            _ => vec![[127, 0, 0, 1].into()],
        },
        management_name: some(names.management_uri, "example").and_then(|name| name.parse().ok()),
    }
}

impl ExampleError {
    /// Stable code: of what refuses, where something does.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Prepare(error) => error.refusal().code,
            Self::Refused(refusal) => refusal.refusal().code,
            _ => "sample-not-made",
        }
    }
}

/// Why there is no sample.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExampleError {
    /// The made-up issuer could not be made.
    #[error("made-up issuer cannot be made")]
    MadeUp,
    /// There is no sample key of this type.
    #[error("there is no sample key of type {key_type}")]
    NoSampleKey {
        /// The type.
        key_type: KeyType,
    },
    /// The profile refuses.
    #[error("a sample is refused")]
    Prepare(#[from] PrepareError),
    /// A rule of the book refuses.
    #[error("an order for a sample is refused")]
    Refused(#[source] RuleRefusal),
    /// Outside what certificates can write.
    #[error("{at} is no time to make a sample at")]
    Time {
        /// The time.
        at: UnixTime,
    },
}

#[cfg(test)]
mod tests {
    use x509::import::ImportedCertificate;

    use super::super::{Portrait, differences};
    use super::*;
    use crate::testing::{NOW, PROFILES, at, profile_text};

    /// PRO-03: every shipped profile has a sample for every key type that it allows; what is issued is
    /// what the profile's portrait says, in every field.
    #[test]
    fn every_shipped_profile_issues_what_its_portrait_shows() {
        for (name, text) in PROFILES {
            let profile = Profile::parse(text.as_bytes()).unwrap();
            for key_type in profile.keys() {
                let made = example(&profile, *key_type, at(NOW)).unwrap();

                let made = ImportedCertificate::from_der(made.as_der()).unwrap();
                let portrait = Portrait::of_profile(&profile);
                let found = differences(&portrait, &Portrait::of_certificate(&made));
                assert_eq!(made.defects(), [], "{name} {key_type}");
                assert_eq!(found, [], "{name} {key_type}");
            }
        }
    }

    /// No two profiles look alike in a certificate: a sample of one differs from the portrait of all others.
    #[test]
    fn a_sample_differs_from_every_other_subscriber_profile() {
        let subscribers: Vec<_> = PROFILES
            .iter()
            .map(|(_, text)| Profile::parse(text.as_bytes()).unwrap())
            .filter(|profile| profile.kind().is_subscriber())
            .collect();
        for profile in &subscribers {
            let made = example(profile, KeyType::EcP256, at(NOW)).unwrap();
            let made = ImportedCertificate::from_der(made.as_der()).unwrap();
            let drawn = Portrait::of_certificate(&made);
            // Two that take their policy from the table are told apart by that: no two rows share one.
            let by_table = |other: &&Profile| {
                profile.table_policy().is_some() && other.table_policy().is_some()
            };
            let others = subscribers.iter().filter(|other| other.name() != profile.name());
            for other in others.filter(|other| !by_table(other)) {
                let found = differences(&Portrait::of_profile(other), &drawn);
                assert!(!found.is_empty(), "{} as {}", profile.name(), other.name());
            }
        }
    }

    #[test]
    fn refuses_a_key_that_the_profile_does_not_allow() {
        let profile = Profile::parse(profile_text("ocsp").as_bytes()).unwrap();

        let refused = example(&profile, KeyType::EcP384, at(NOW)).unwrap_err();

        assert!(matches!(refused, ExampleError::Prepare(PrepareError::KeyNotAllowed { .. })));
        let unknown = example(&profile, KeyType::Rsa { bits: 1_024 }, at(NOW)).unwrap_err();
        assert!(matches!(unknown, ExampleError::NoSampleKey { .. }), "{unknown}");
    }

    #[test]
    fn the_text_names_every_field_as_it_stands() {
        let profile = Profile::parse(profile_text("function").as_bytes()).unwrap();
        let made = example(&profile, KeyType::EcP256, at(NOW)).unwrap();
        let made = ImportedCertificate::from_der(made.as_der()).unwrap();

        let text = certificate_text(&made).join("\n");

        for part in [
            "  C = PrintableString \"SE\"",
            "  L = UTF8String \"Örebro\"",
            "ec-p256",
            "extKeyUsage\n    clientAuth\n    serverAuth",
            "OCSP http://ocsp.example.org",
            "2.23.140.1.2.2, CPS https://",
            "keyUsage (critical)\n    digitalSignature",
            "dNSName idp.example.org",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }
}
