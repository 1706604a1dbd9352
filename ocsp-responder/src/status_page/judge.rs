//! What keeps a login with a certificate from succeeding, as far as the status log, the clock and the certificate itself tell. Pure.

use std::sync::Arc;

use status::{CertificateState, Index, Obstacle};
use x509::extension::CertificatePolicies;
use x509::import::ImportedCertificate;
use x509::name::AttributeType;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::Surroundings;
use super::form::{About, Asked};
use crate::authority::Authority;

/// What is found about a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What the log says; `None` where it says nothing.
    pub(crate) state: Option<CertificateState>,
    /// Its trust level, where its policy tells.
    pub(crate) level: Option<u8>,
    /// Why a login would fail, the gravest first; none if nothing here is against it.
    pub(crate) obstacles: Vec<Obstacle>,
}

pub(crate) fn judge(
    asked: &Asked,
    authorities: &[Arc<Authority>],
    index: &Index,
    around: &Surroundings,
    now: UnixTime,
) -> Verdict {
    match &asked.about {
        About::Serial(authority, serial) => {
            let mut verdict = of_log(index, authority, *serial, now);
            let untold = |wanted| Obstacle::LevelUntold { wanted };
            verdict.obstacles.extend(asked.level.map(untold));
            verdict
        }
        About::Certificate(certificate) => {
            let level = level_of(certificate, around);
            let mut verdict = match issuer_of(certificate, authorities, around) {
                Ok(authority) => of_log(index, authority, certificate.serial(), now),
                Err(obstacle) => Verdict { state: None, level: None, obstacles: vec![obstacle] },
            };
            verdict.level = level;
            let (from, until) = (certificate.not_before(), certificate.not_after());
            if now < from {
                verdict.obstacles.push(Obstacle::NotYetValid { from });
            }
            let expired = Obstacle::Expired { at: until };
            if now > until && !verdict.obstacles.contains(&expired) {
                verdict.obstacles.push(expired);
            }
            verdict.obstacles.extend(Obstacle::of_level(level, asked.level));
            verdict
        }
    }
}

/// The CA whose key has signed it.
fn issuer_of<'a>(
    certificate: &ImportedCertificate,
    authorities: &'a [Arc<Authority>],
    around: &Surroundings,
) -> Result<&'a Authority, Obstacle> {
    let mut named = authorities
        .iter()
        .filter(|one| one.certificate.subject().as_der() == certificate.issuer().as_der())
        .peekable();
    if named.peek().is_none() {
        let name = certificate.issuer().text_of(AttributeType::CommonName.oid());
        let environment = name.and_then(|name| around.elsewhere.get(&name));
        return Err(environment.map_or(Obstacle::UnknownIssuer, |environment| {
            Obstacle::OtherEnvironment { environment: environment.clone() }
        }));
    }
    // Several generations may share a name.
    let signed =
        named.find(|one| certificate.danger_verify_signed_by(one.certificate.public_key()).is_ok());
    signed.map(AsRef::as_ref).ok_or(Obstacle::Forged)
}

fn of_log(index: &Index, authority: &Authority, serial: SerialNumber, now: UnixTime) -> Verdict {
    let known = index.issuer(&authority.issuer).and_then(|issuer| index.lookup(issuer, &serial));
    let Some(status) = known else {
        return Verdict { state: None, level: None, obstacles: vec![Obstacle::NeverIssued] };
    };
    let obstacles = Obstacle::of_status(&status, now);
    Verdict { state: Some(status.state), level: None, obstacles }
}

/// The highest level that a policy of the certificate has.
fn level_of(certificate: &ImportedCertificate, around: &Surroundings) -> Option<u8> {
    let CertificatePolicies(policies) = certificate.extension()?;
    policies.iter().filter_map(|one| around.levels.get(&one.policy.to_string()).copied()).max()
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use status::{
        AfterExpiry, AnswerClasses, BeforeActivation, CertificateEntry, Change, IssuerRef,
        RevocationReason, StatusEntry,
    };
    use x509::certificate::{Certificate, CertificateTemplate};
    use x509::extension::{
        BasicConstraints, Criticality, ExtensionValue as _, KeyUsage, KeyUsageBit,
        PolicyInformation, SubjectKeyIdentifier,
    };
    use x509::key::{PublicKey, SignatureAlgorithm};
    use x509::name::Name;
    use x509::signing;
    use x509::validity::Validity;

    use super::*;

    const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;
    const POLICY: &str = "2.999.3";
    const BEGINS: u64 = 1_790_000_000;
    const ENDS: u64 = BEGINS + 86_400;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    fn serial(octet: u8) -> SerialNumber {
        SerialNumber::from_random([octet; 16])
    }

    fn name(common: &str) -> Name {
        let builder = Name::builder().with(AttributeType::Country, "SE").unwrap();
        builder.with(AttributeType::CommonName, common).unwrap().build()
    }

    fn signed(pair: &EcdsaKeyPair, template: &CertificateTemplate) -> Vec<u8> {
        let tbs = template.to_tbs_der();
        let signature = pair.sign(&SystemRandom::new(), &tbs).unwrap();
        signing::assemble(&tbs, ALGORITHM, signature.as_ref()).unwrap()
    }

    /// A CA of the name `person3` and its key; another one each time.
    pub(crate) fn authority() -> (Arc<Authority>, EcdsaKeyPair) {
        named_authority("SIGILL TEST person CA")
    }

    fn named_authority(common: &str) -> (Arc<Authority>, EcdsaKeyPair) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public_key = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        let key_id = SubjectKeyIdentifier(public_key.key_bits_sha1().to_vec());
        let usages = KeyUsage::of(&[KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign]);
        let template = CertificateTemplate {
            serial: serial(0x31),
            issuer: name(common),
            subject: name(common),
            validity: Validity::between(at(BEGINS), at(ENDS * 2)).unwrap(),
            public_key,
            extensions: vec![
                BasicConstraints::Ca { path_len: Some(0) }.extension(Criticality::Critical),
                usages.extension(Criticality::Critical),
                key_id.extension(Criticality::NonCritical),
            ],
            algorithm: ALGORITHM,
        };
        let certificate = Certificate::from_der(&signed(&pair, &template)).unwrap();
        (Arc::new(Authority::new("person3".to_owned(), certificate)), pair)
    }

    /// A person's certificate of this CA.
    pub(crate) fn certificate_der(ca: &(Arc<Authority>, EcdsaKeyPair), octet: u8) -> Vec<u8> {
        let policy = POLICY.parse().unwrap();
        let policies = CertificatePolicies(vec![PolicyInformation { policy, qualifiers: vec![] }]);
        let template = CertificateTemplate {
            serial: serial(octet),
            issuer: ca.0.certificate.subject().clone(),
            subject: name("Tolvan Tolvansson"),
            validity: Validity::between(at(BEGINS), at(ENDS)).unwrap(),
            public_key: ca.0.certificate.public_key().clone(),
            extensions: vec![policies.extension(Criticality::NonCritical)],
            algorithm: ALGORITHM,
        };
        signed(&ca.1, &template)
    }

    fn index(ca: &Authority, changes: &[(u8, Change)]) -> Index {
        let mut index = Index::new(1);
        let declared = StatusEntry::IssuerDeclared { log_time: at(BEGINS), issuer: ca.issuer };
        index.apply(index.next(), &declared).unwrap();
        let issuer = IssuerRef::from_index(0);
        for (octet, change) in changes {
            let entry = CertificateEntry::own(at(BEGINS + 5), issuer, serial(*octet), *change);
            index.apply(index.next(), &StatusEntry::Certificate(entry)).unwrap();
        }
        index
    }

    fn around() -> Surroundings {
        Surroundings {
            environment: "test".to_owned(),
            levels: [(POLICY.to_owned(), 2)].into(),
            elsewhere: [("SITHS e-id Person CA v1".to_owned(), "prod".to_owned())].into(),
        }
    }

    fn issued(before_activation: BeforeActivation) -> Change {
        let after_expiry = AfterExpiry::Unknown;
        Change::Issued {
            not_after: at(ENDS),
            classes: AnswerClasses { before_activation, after_expiry },
        }
    }

    fn about(der: &[u8], level: Option<u8>) -> Asked {
        let certificate = ImportedCertificate::from_der(der).unwrap();
        Asked { about: About::Certificate(Box::new(certificate)), level }
    }

    /// Each reason for which a login fails, and nothing where there is none.
    #[test]
    fn tells_why_a_login_fails() {
        let ca = authority();
        let index = index(
            &ca.0,
            &[
                (1, issued(BeforeActivation::Good)),
                (2, issued(BeforeActivation::Held)),
                (3, issued(BeforeActivation::Good)),
                (
                    3,
                    Change::Revoked {
                        reason: Some(RevocationReason::Superseded),
                        invalidity_date: None,
                    },
                ),
                (4, issued(BeforeActivation::Good)),
                (4, Change::Held),
                (5, Change::Voided { not_after: at(ENDS) }),
                (6, issued(BeforeActivation::Held)),
                (6, Change::Activated),
            ],
        );
        let when = at(BEGINS + 5);
        let revoked = || Obstacle::Revoked { at: when, reason: Some(RevocationReason::Superseded) };
        let inside = BEGINS + 100;
        for (octet, now, level, expected) in [
            (1, inside, None, vec![]),
            (1, inside, Some(2), vec![]),
            (1, inside, Some(3), vec![Obstacle::LowLevel { has: 2, wanted: 3 }]),
            (2, inside, None, vec![Obstacle::NotActivated]),
            (3, inside, None, vec![revoked()]),
            (4, inside, None, vec![Obstacle::Held { since: when }]),
            (5, inside, None, vec![Obstacle::Voided]),
            (6, inside, None, vec![]),
            (9, inside, None, vec![Obstacle::NeverIssued]),
            (1, BEGINS - 1, None, vec![Obstacle::NotYetValid { from: at(BEGINS) }]),
            (1, ENDS, None, vec![]),
            (1, ENDS + 1, None, vec![Obstacle::Expired { at: at(ENDS) }]),
            (3, ENDS + 1, None, vec![revoked(), Obstacle::Expired { at: at(ENDS) }]),
        ] {
            let asked = about(&certificate_der(&ca, octet), level);
            let verdict = judge(&asked, &[Arc::clone(&ca.0)], &index, &around(), at(now));

            assert_eq!(verdict.obstacles, expected, "{octet} {now} {level:?}");
            assert_eq!(verdict.level, Some(2));
        }
        let by_serial =
            |octet| Asked { about: About::Serial(Arc::clone(&ca.0), serial(octet)), level: None };
        for (octet, expected) in
            [(1, vec![]), (3, vec![revoked()]), (9, vec![Obstacle::NeverIssued])]
        {
            let asked = by_serial(octet);
            let verdict = judge(&asked, &[Arc::clone(&ca.0)], &index, &around(), at(inside));
            assert_eq!(verdict.obstacles, expected, "{octet}");
        }
        let asked = Asked { level: Some(3), ..by_serial(1) };
        let verdict = judge(&asked, &[Arc::clone(&ca.0)], &index, &around(), at(inside));
        assert_eq!(verdict.obstacles, [Obstacle::LevelUntold { wanted: 3 }]);
    }

    /// Promise 5: the name of our CA is not enough, nor is a serial number that it gave.
    #[test]
    fn a_certificate_is_of_the_ca_whose_key_signed_it() {
        let (ca, impostor) = (authority(), authority());
        let elsewhere = named_authority("SITHS e-id Person CA v1");
        let stranger = named_authority("Nobody CA");
        let index = index(&ca.0, &[(1, issued(BeforeActivation::Good))]);
        let environment = "prod".to_owned();
        for (by, expected) in [
            (&ca, vec![]),
            (&impostor, vec![Obstacle::Forged]),
            (&elsewhere, vec![Obstacle::OtherEnvironment { environment }]),
            (&stranger, vec![Obstacle::UnknownIssuer]),
        ] {
            let asked = about(&certificate_der(by, 1), None);
            let now = at(BEGINS + 100);
            let verdict = judge(&asked, &[Arc::clone(&ca.0)], &index, &around(), now);

            assert_eq!(verdict.obstacles, expected);
        }
        // An older generation of the same name.
        let both = [Arc::clone(&impostor.0), Arc::clone(&ca.0)];
        let asked = about(&certificate_der(&ca, 1), None);
        let verdict = judge(&asked, &both, &index, &around(), at(BEGINS + 100));
        assert_eq!(verdict.obstacles, []);
    }
}
