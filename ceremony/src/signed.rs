//! What is looked at around a signature: a trial with a throw-away key before it, and the finished file after it.
//!
//! The octets that the real key signs are those that were linted and compared: `Pending` binds them, and here their hash is held against the
//! finished file once more. Any finding before the signature costs nothing; any after it stops the ceremony.

use std::path::Path;

use anyhow::Context as _;
use ca::algorithms::AlgorithmPolicy;
use ca::deployment::Deployment;
use ca::fields::RequestedFields;
use ca::identity::TestDomains;
use ca::key_quality::KeyBook;
use ca::prepare::{KeySource, Preparation, Signer, Way, prepare};
use ca::profile::{Profile, ProfileKind};
use ceremony_core::attendance::{READ_BY_NOBODY, TO_BE_SIGNED};
use ceremony_core::cross;
use ceremony_core::plan::Role;
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Fact, Kind};
use ceremony_core::words::Fingerprint;
use lint::IssuerContext;
use sha2::{Digest as _, Sha256};
use x509::certificate::Certificate;
use x509::crl::{CrlForm, CrlHead, CrlReader, CrlTail, RevokedEntry};
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::request::{CertificationRequest, CertificationRequestInfo};
use x509::serial::SerialNumber;
use x509::signing::{Intent, assemble};
use x509::time::UnixTime;

use crate::attended::Room;
use crate::second_opinion::{self, Message};
use crate::stopped::Stopped;
use crate::transcript::Transcript;
use crate::trial_key::TrialKey;
use crate::works::{Reader, intent_id, now, random};

/// A certificate as the plan has it.
#[derive(Clone, Copy)]
pub(crate) struct Planned<'a> {
    pub(crate) deployment: Deployment,
    pub(crate) algorithms: &'a AlgorithmPolicy,
    pub(crate) profile: &'a Profile,
    pub(crate) signer: Signer<'a>,
    pub(crate) key: KeySource<'a>,
    pub(crate) fields: &'a RequestedFields,
    pub(crate) not_after: UnixTime,
    /// The certificate beside which it is to stand.
    pub(crate) like: Option<&'a Certificate>,
}

/// Has a throw-away key sign the certificate in the place of the real one, and judges it as that will be judged. Where the certificate signs
/// itself the throw-away key is in it too; else every octet but its serial number and notBefore is what the real key will sign, and the hash of
/// them is returned.
///
/// # Errors
///
/// [`Stopped`] with R11; the real key has signed nothing.
pub(crate) fn trial(
    planned: &Planned<'_>,
    real: &PublicKey,
) -> anyhow::Result<Option<Fingerprint>> {
    let (algorithm, key_type) = match planned.signer {
        Signer::Itself(algorithm) => (algorithm, real.key_type()),
        Signer::Issuer(issuer) => (issuer.algorithm(), issuer.public_key().key_type()),
    };
    let key = TrialKey::of_run(key_type)?;
    let certified = match planned.signer {
        Signer::Itself(_) => KeySource::Proven(key.public()),
        Signer::Issuer(_) => planned.key,
    };
    let now = now()?;
    let prepared = prepare(&Preparation {
        deployment: planned.deployment,
        algorithms: planned.algorithms,
        test_domains: &TestDomains::default(),
        profile: planned.profile,
        signer: planned.signer,
        way: Way::Internal,
        fields: planned.fields,
        key: certified,
        keys: &KeyBook::default(),
        serial: SerialNumber::from_random(random()?),
        id: intent_id(now)?,
        now,
        ends_at: Some(planned.not_after),
        admitted: None,
    })
    .map_err(|error| before(error.refusal().to_string()))?;
    let end = prepared.facts().validity.not_after();
    if end != planned.not_after {
        let why = format!("it would end at {end}, and the plan says {}", planned.not_after);
        return Err(before(why).into());
    }
    let octets = prepared.pending().bytes().unwrap_or_default();
    let signature = key.sign(algorithm, octets)?;
    let der = assemble(octets, algorithm, &signature)
        .ok_or_else(|| before("the certificate is too large".to_owned()))?;
    certificate(&der, planned, Some(key.public())).map_err(before)?;
    alike(planned, octets)
}

/// The hash of what every run of this plan signs alike. A certificate that signs itself has the key that is made in the run.
fn alike(planned: &Planned<'_>, octets: &[u8]) -> anyhow::Result<Option<Fingerprint>> {
    Ok(match planned.signer {
        Signer::Itself(_) => None,
        Signer::Issuer(_) if planned.profile.kind() == ProfileKind::OcspResponder => {
            Some(Fingerprint::of(&x509::alike::delegate(octets)?))
        }
        Signer::Issuer(_) => Some(Fingerprint::of(&x509::alike::certificate(octets)?)),
    })
}

/// Judges a finished certificate: the linter, and its signature by two libraries, under its issuer's key or that of a trial.
fn certificate(
    der: &[u8],
    planned: &Planned<'_>,
    trial: Option<&PublicKey>,
) -> Result<Certificate, String> {
    let read = Certificate::from_der(der).map_err(|error| error.to_string())?;
    let (context, issuer) = match planned.signer {
        Signer::Itself(_) => (IssuerContext::SelfSigned, read.public_key()),
        Signer::Issuer(issuer) => {
            (IssuerContext::Certificate(issuer.certificate().as_der()), issuer.public_key())
        }
    };
    let findings = lint::certificate(der, &context, planned.profile.kind().lint_kind());
    let excepted: Vec<_> = planned.profile.lint_exceptions().iter().map(|one| one.rule).collect();
    let (left, _) = findings.without(&excepted);
    left.into_result().map_err(|findings| findings.to_string())?;
    if let Some(existing) = planned.like {
        cross::is_like(&read, existing).map_err(|error| error.to_string())?;
    }
    let key = trial.unwrap_or(issuer);
    read.verify_signed_by(key).map_err(|error| error.to_string())?;
    let octets = Message::Octets(read.tbs_der());
    second_opinion::verify(key, read.algorithm(), octets, read.signature())
        .map_err(|error| error.to_string())?;
    Ok(read)
}

/// Judges a certificate that the real key has signed, which is the one that was compared, and alike that of the trial.
///
/// # Errors
///
/// [`Stopped`] with R11: the file goes nowhere.
pub(crate) fn finished_certificate(
    der: &[u8],
    planned: &Planned<'_>,
    compared: &Compared<'_>,
    tried: Option<Fingerprint>,
) -> anyhow::Result<()> {
    let read = certificate(der, planned, None).map_err(after)?;
    let end = read.validity().not_after();
    if end != planned.not_after {
        return Err(after(format!("it ends at {end}, and not at {}", planned.not_after)).into());
    }
    if alike(planned, read.tbs_der())? != tried {
        return Err(
            after("it differs from the trial by more than number and begin".to_owned()).into()
        );
    }
    Ok(compared.must_be(&Sha256::digest(read.tbs_der()).into())?)
}

/// Has a throw-away key sign the same request for itself, and judges it as the real one will be judged.
///
/// # Errors
///
/// [`Stopped`] with R11; the real key has signed nothing.
pub(crate) fn trial_request(info: &CertificationRequestInfo) -> anyhow::Result<()> {
    let key_type = info.public_key.key_type();
    let (key, algorithm) = (TrialKey::of_run(key_type)?, SignatureAlgorithm::default_for(key_type));
    let info = CertificationRequestInfo {
        subject: info.subject.clone(),
        public_key: key.public().clone(),
    };
    let signature = key.sign(algorithm, &info.to_der())?;
    let made = info.with_signature(algorithm, &signature);
    let made = made.map_err(|error| before(error.to_string()))?;
    request(&made, &info).map_err(before)?;
    Ok(())
}

/// Judges a request: its name and key are those that were meant, it asks for nothing else, and two libraries verify it under that key.
fn request(made: &CertificationRequest, info: &CertificationRequestInfo) -> Result<(), String> {
    let is_meant = made.public_key() == &info.public_key && made.subject() == &info.subject;
    if !is_meant || !made.requested_extensions().is_empty() {
        return Err("it asks for something else than was meant".to_owned());
    }
    made.verify_possession().map_err(|error| error.to_string())?;
    let algorithm = SignatureAlgorithm::default_for(info.public_key.key_type());
    let octets = info.to_der();
    second_opinion::verify(&info.public_key, algorithm, Message::Octets(&octets), made.signature())
        .map_err(|error| error.to_string())
}

/// Judges a request that the real key has signed, which is the one that was compared.
///
/// # Errors
///
/// [`Stopped`] with R11: the file goes nowhere.
pub(crate) fn finished_request(
    made: &CertificationRequest,
    info: &CertificationRequestInfo,
    compared: &Compared<'_>,
) -> Result<(), Stopped> {
    request(made, info).map_err(after)?;
    compared.must_be(&Sha256::digest(info.to_der()).into())
}

/// A CRL as it is read: what stands before its entries, these, and what stands after them.
pub(crate) type ReadCrl = (CrlHead, Vec<RevokedEntry>, CrlTail);

/// Reads a CRL, and has two libraries verify it under this key.
///
/// # Errors
///
/// Why it is not one, or not of this key.
pub(crate) fn read_crl(der: &[u8], key: &PublicKey) -> Result<ReadCrl, String> {
    let octets = u64::try_from(der.len()).unwrap_or(u64::MAX);
    let mut reader = CrlReader::start(der, CrlForm::CertificateList, octets)
        .map_err(|error| error.to_string())?;
    let entries = reader.by_ref().collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let head = reader.head().clone();
    let tail = reader.finish().map_err(|error| error.to_string())?;
    tail.verify(key).map_err(|error| error.to_string())?;
    let message = match (&tail.message_digest, &tail.message) {
        (Some(digest), _) => Message::Digest(digest),
        (None, message) => Message::Octets(message.as_deref().unwrap_or_default()),
    };
    let algorithm = tail.algorithm.ok_or("its algorithm is not known")?;
    second_opinion::verify(key, algorithm, message, &tail.signature)
        .map_err(|error| error.to_string())?;
    Ok((head, entries, tail))
}

/// Judges a finished CRL: the linter, and its signature by two libraries, under its issuer's key or that of a trial.
///
/// # Errors
///
/// What was found.
pub(crate) fn crl(der: &[u8], issuer: &Certificate, key: &PublicKey) -> Result<CrlTail, String> {
    let findings = lint::crl(der, issuer.as_der()).map_err(|error| error.to_string())?;
    findings.into_result().map_err(|findings| findings.to_string())?;
    let (_, _, tail) = read_crl(der, key)?;
    Ok(tail)
}

/// Judges a CRL that the real key has signed, which is the one that was compared, and alike that of the trial.
///
/// # Errors
///
/// [`Stopped`] with R11: the file goes nowhere.
pub(crate) fn finished_crl(
    der: &[u8],
    issuer: &Certificate,
    compared: &Compared<'_>,
    tried: Fingerprint,
) -> anyhow::Result<()> {
    let tail = crl(der, issuer, issuer.public_key()).map_err(after)?;
    let octets = x509::alike::signed_part(der)?;
    if Fingerprint::of(&x509::alike::crl(octets)?) != tried {
        return Err(after("it differs from the trial by more than its times".to_owned()).into());
    }
    Ok(compared.must_be(&tail.tbs_sha256.unwrap_or_default())?)
}

/// What was compared before a key signed it: by a witness who reads it from paper, or by this program alone where nobody sits at it.
pub(crate) struct Compared<'a> {
    /// SHA-256 of the octets that were to be signed.
    pub(crate) tbs_sha256: Option<[u8; 32]>,
    /// Those who read.
    pub(crate) reader: Option<&'a Room<'a>>,
}

impl Compared<'_> {
    fn must_be(&self, signed: &[u8; 32]) -> Result<(), Stopped> {
        if self.tbs_sha256.as_ref() == Some(signed) {
            return Ok(());
        }
        let signed = base16ct::lower::encode_string(signed);
        Err(after(format!(
            "what was signed has SHA-256 {signed}, and that is not what was compared"
        )))
    }
}

impl<'p> Reader<'p> for Compared<'_> {
    fn compare(
        &mut self,
        transcript: &mut Transcript<'p>,
        file: &Path,
        intent: &Intent,
    ) -> anyhow::Result<()> {
        let hash = Fingerprint::from_bytes(*intent.digest());
        let (what, who) = match self.reader {
            None => (READ_BY_NOBODY, Vec::new()),
            Some(room) => {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let octets = std::fs::read(file).with_context(|| file.display().to_string())?;
                room.read(&name, intent, &octets)?;
                room.read_back(&name, file, &hash)?;
                (TO_BE_SIGNED, transcript.present(Role::Witness))
            }
        };
        let facts = [("sha256", Fact::from(hash.to_string())), ("what", what.into())];
        transcript.write_of(Kind::Readback, who, &facts)?;
        self.tbs_sha256 = Some(*intent.digest());
        Ok(())
    }
}

/// What the linter, or a trial, has against it.
pub(crate) fn before(why: String) -> Stopped {
    Stopped {
        refusal: Refusal::Lint,
        refused: format!("what would be signed is refused: {why}"),
        next_step: "correct the plan or the profile; the key has signed nothing",
    }
}

fn after(why: String) -> Stopped {
    Stopped {
        refusal: Refusal::Lint,
        refused: format!("what was signed is refused: {why}"),
        next_step: "stop: give the file to nobody, and find out what the token signed",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PROFILE: &str = include_str!("../../profiles/root.toml");

    fn fields() -> RequestedFields {
        RequestedFields {
            common_name: Some("SIGILL TRAINING Root CA v1".to_owned()),
            organization: Some("Sigill Test".to_owned()),
            ..RequestedFields::default()
        }
    }

    fn tried(profile: &str, name: Option<&str>, years: u64) -> Result<(), String> {
        let profile = Profile::parse(profile.replace("rsa-4096", "ec-p384").as_bytes()).unwrap();
        let deployment = Deployment::from_parts("test", "demo", "tr01").unwrap();
        let key = TrialKey::generate(x509::key::KeyType::EcP384).unwrap();
        let mut fields = fields();
        fields.common_name = name.map(str::to_owned);
        let lifetime = Duration::from_secs(years * 365 * 86_400);
        let planned = Planned {
            deployment,
            algorithms: &AlgorithmPolicy::shipped().unwrap(),
            profile: &profile,
            signer: Signer::Itself(SignatureAlgorithm::EcdsaP384Sha384),
            key: KeySource::Proven(key.public()),
            fields: &fields,
            not_after: now().unwrap().checked_add(lifetime).unwrap(),
            like: None,
        };
        trial(&planned, key.public()).map(|tried| assert_eq!(tried, None)).map_err(|error| {
            let stopped = error.downcast_ref::<Stopped>().unwrap();
            assert_eq!((stopped.refusal.code(), stopped.refusal.exit_code()), ("R11", 15));
            assert!(stopped.next_step.contains("signed nothing"));
            stopped.refused.clone()
        })
    }

    /// N28: what the profile or the plan has wrong is found before the real key signs.
    #[test]
    fn a_trial_finds_what_is_wrong_before_the_key_signs() {
        let name = Some("SIGILL TRAINING Root CA v1");
        assert_eq!(tried(PROFILE, name, 10), Ok(()));
        for (profile, name, years, said) in [
            (PROFILE.replace("    \"key-usage\", ", "    # \"key-usage\", "), name, 10, "key"),
            (
                PROFILE.replace("[\"key-cert-sign\", \"crl-sign\"]", "[\"crl-sign\"]"),
                name,
                10,
                "key",
            ),
            (PROFILE.to_owned(), None, 10, "common"),
            (PROFILE.to_owned(), name, 31, "after"),
        ] {
            let refused = match Profile::parse(profile.as_bytes()) {
                Ok(_) => tried(&profile, name, years).unwrap_err(),
                // Some are refused with the profile itself.
                Err(error) => error.to_string(),
            };
            assert!(refused.to_lowercase().contains(said), "{said}: {refused}");
        }
    }

    /// N29: what was signed is what was compared.
    #[test]
    fn other_octets_than_were_compared_are_refused() {
        let compared = Compared { tbs_sha256: Some([7; 32]), reader: None };
        assert!(compared.must_be(&[7; 32]).is_ok());
        let nobody = Compared { tbs_sha256: None, reader: None };
        for (compared, signed) in [(&compared, [8; 32]), (&nobody, [7; 32])] {
            let refused = compared.must_be(&signed).unwrap_err();
            assert_eq!(refused.refusal, Refusal::Lint);
            assert!(refused.refused.contains("not what was compared"), "{refused}");
        }
    }

    /// A request of another key or name, or whose signature one library does not verify, goes nowhere.
    #[test]
    fn a_request_of_something_else_is_refused() {
        let [key, other] =
            [(); 2].map(|()| TrialKey::generate(x509::key::KeyType::EcP384).unwrap());
        let info = |key: &TrialKey, name: &str| CertificationRequestInfo {
            subject: x509::name::Name::builder()
                .with(x509::name::AttributeType::CommonName, name)
                .unwrap()
                .build(),
            public_key: key.public().clone(),
        };
        let meant = info(&key, "Issuing CA");
        assert!(trial_request(&meant).is_ok());
        let made = |info: &CertificationRequestInfo, key: &TrialKey| {
            let algorithm = SignatureAlgorithm::EcdsaP384Sha384;
            let signature = key.sign(algorithm, &info.to_der()).unwrap();
            info.with_signature(algorithm, &signature).unwrap()
        };
        let tbs_sha256 = Some(Sha256::digest(meant.to_der()).into());
        let compared = Compared { tbs_sha256, reader: None };
        assert!(finished_request(&made(&meant, &key), &meant, &compared).is_ok());
        for (info, key) in [(info(&key, "Another CA"), &key), (info(&other, "Issuing CA"), &other)]
        {
            let refused = finished_request(&made(&info, key), &meant, &compared).unwrap_err();
            assert_eq!(refused.refusal, Refusal::Lint);
            assert!(refused.refused.contains("something else than was meant"), "{refused}");
        }
        let nobody = Compared { tbs_sha256: None, reader: None };
        assert!(finished_request(&made(&meant, &key), &meant, &nobody).is_err());
    }
}
