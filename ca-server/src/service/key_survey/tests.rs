use store::{CertificateId, Import, ImportedCertificate, Origin, Privacy};
use x509::certificate::CertificateTemplate;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::name::{AttributeType, Name};
use x509::serial::SerialNumber;
use x509::signing::assemble;
use x509::validity::Validity;

use super::*;
use crate::service::testing::World;

/// The public vectors of ca that share a prime, and a sound one.
fn vectors() -> Vec<PublicKey> {
    let rows = include_str!("../../../../ca/src/key_quality/vectors.tsv").lines();
    let of_class = rows.filter(|line| line.starts_with("shared-factor\t"));
    let keys = of_class.map(|line| {
        let digits = line.split('\t').nth(2).unwrap();
        PublicKey::from_spki_der(&base16ct::lower::decode_vec(digits).unwrap()).unwrap()
    });
    keys.collect()
}

/// A certificate of the authority for a key, as an import brings it.
fn take_in(world: &World, number: u8, key: &PublicKey) {
    let authority = world.authority();
    let now = world.service.clock().read().now;
    let hour = std::time::Duration::from_secs(3600);
    let name = format!("host-{number}.example.org");
    let template = CertificateTemplate {
        serial: SerialNumber::from_random([number; 16]),
        issuer: authority.certificate.subject().clone(),
        subject: Name::builder().with(AttributeType::CommonName, &name).unwrap().build(),
        validity: Validity::starting(now, hour, hour).unwrap(),
        extensions: Vec::new(),
        public_key: key.clone(),
        algorithm: SignatureAlgorithm::EcdsaP256Sha256,
    };
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
    let placeholder = algorithm.placeholder(authority.certificate.public_key().key_type());
    let der = assemble(&template.to_tbs_der(), algorithm, &placeholder).unwrap();
    let certificate = ImportedCertificate {
        id: CertificateId::from_time_and_random(u64::from(number), [number; 10]),
        issuer: authority.id,
        serial: template.serial,
        der,
        origin: Origin::Imported,
        policy: None,
        not_before: template.validity.not_before(),
        not_after: template.validity.not_after(),
        spki: key.spki_hash(),
        person: None,
        defects: Vec::new(),
        answers: status::AnswerClasses::USUAL,
        privacy: Privacy::Public,
        index: Vec::new(),
        change: None,
    };
    let import = Import { certificates: vec![certificate], ..Import::default() };
    let record = Service::record(
        EventCode::ImportCeremony,
        EventResult::Done,
        world.service.system(),
        ObjectIds::default(),
        None,
        &json!({}),
        Subject::Deployment,
    );
    world.service.store().import(&import, &record, now).unwrap();
}

/// ISS-11: an alarm, evidence and nothing more; told once, also of a key that came in another survey.
#[test]
fn keys_that_share_a_prime_are_told_of_once() {
    let world = World::new();
    let [one, other, sound] = vectors().try_into().unwrap();
    let survey = || {
        world.service.survey_keys(&AtomicBool::new(false)).unwrap();
        world.leaves(EventCode::KeySharedFactor)
    };

    take_in(&world, 1, &sound);
    take_in(&world, 2, &one);
    assert_eq!(survey(), 0);
    take_in(&world, 3, &other);
    take_in(&world, 4, &sound);
    assert_eq!(survey(), 1);
    assert_eq!(survey(), 1);
    let leaf = world.leaf(EventCode::KeySharedFactor);
    let keys: Vec<_> = [other, one].map(|key| ObjectId::Key(key.spki_hash())).into();
    assert!(keys.iter().all(|key| leaf.event.objects.iter().any(|found| found == *key)));
}

/// It may be stopped anywhere, and finds the same when it goes on.
#[test]
fn a_survey_that_was_stopped_goes_on() {
    let world = World::new();
    let [one, other, _] = vectors().try_into().unwrap();
    take_in(&world, 1, &one);
    take_in(&world, 2, &other);

    world.service.survey_keys(&AtomicBool::new(true)).unwrap();
    world.service.survey_keys(&AtomicBool::new(false)).unwrap();

    assert_eq!(world.leaves(EventCode::KeySharedFactor), 1);
    assert_eq!(world.service.store().keys_compared().unwrap(), 2);
}
