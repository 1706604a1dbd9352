use std::cell::RefCell;
use std::fs;

use ca::revocation::Revoker;
use serde_json::Value;
use x509::ocsp::{CertStatus, OcspResponse};
use x509::serial::SerialNumber;

use super::*;
use crate::service::testing::World;

/// A CA with three revoked certificates, retired.
struct Ending {
    world: World,
    serials: Vec<SerialNumber>,
}

impl Ending {
    fn new() -> Self {
        let world = World::new();
        let mut serials = Vec::new();
        for number in 0..3 {
            let issued = world.issue(&format!("issue {number}")).unwrap();
            let shown: Value = serde_json::from_slice(&issued.response.body).unwrap();
            let id = shown["id"].as_str().unwrap();
            let reason = ["keyCompromise", "superseded", "cessationOfOperation"][number];
            let path = format!("/v1/certificates/{id}/revocation");
            let call = world.call(&path, reason, &json!({ "reason": reason }));
            world.run(&call, |service, work| service.revoke(Revoker::Client, id, work)).unwrap();
            serials.push(world.service.record_of(id).unwrap().row.serial);
        }
        let mut one = Self { world, serials };
        for authority in one.world.service.authorities.values_mut() {
            authority.issuer = authority.issuer.clone().retired();
        }
        one
    }

    fn ended() -> Self {
        let one = Self::new();
        one.world.service.make_last_crl(one.world.authority(), &both()).unwrap();
        one
    }

    fn keys(&self) -> PathBuf {
        self.world.folder("final-answers")
    }

    fn make_as(&self, key_type: KeyType) -> Result<FinalAnswers, &'static str> {
        let (actors, keys) = (both(), self.keys());
        let order = FinalOrder { actors: &actors, key_type, keys: &keys };
        let told = RefCell::new(Vec::new());
        let service = &self.world.service;
        let made = service.make_final_answers(self.world.authority(), &order, &|progress| {
            told.borrow_mut().push((progress.waves, progress.answers));
        });
        let told = told.into_inner();
        assert!(told.is_sorted(), "{told:?}");
        if let Ok(made) = &made {
            assert_eq!(told.last(), Some(&(made.waves, made.good + made.revoked)));
        }
        made.map_err(|denied| denied.refusal.code)
    }

    fn make(&self) -> Result<FinalAnswers, &'static str> {
        self.make_as(KeyType::EcP256)
    }

    fn check(&self) -> Result<FinalAnswers, &'static str> {
        let checked = self.world.service.check_final_answers(self.world.authority());
        checked.map_err(|denied| denied.refusal.code)
    }

    fn path(&self, serial: &SerialNumber) -> PathBuf {
        self.world.service.final_path(self.world.authority(), Wave::of(serial))
    }

    /// Who signed the answers, each once.
    fn signers(&self) -> Vec<Vec<u8>> {
        let mut signers = Vec::new();
        for serial in &self.serials {
            let octets = fs::read(self.path(serial)).unwrap();
            let file = PresignedFile::read(&octets).unwrap();
            signers.extend(file.head().signers.iter().map(|one| one.as_der().to_vec()));
        }
        signers.sort();
        signers.dedup();
        signers
    }

    fn keys_left(&self) -> usize {
        fs::read_dir(self.keys().join("issuing")).map_or(0, Iterator::count)
    }
}

fn both() -> [String; 2] {
    ["op-7".to_owned(), "op-9".to_owned()]
}

/// OCSP-13, KEY-12: not before the last CRL; then every certificate has an answer that says what the list says, for ever, by a signer that ends
/// with the CA and whose key is gone; a second run signs nothing.
#[test]
fn every_certificate_of_a_ca_that_has_ended_has_its_final_answer() {
    let ending = Ending::new();
    let before = ending.world.counts();
    assert_eq!(
        (ending.make(), ending.check()),
        (Err("final-answers-refused"), Err("final-answers-refused"))
    );
    assert_eq!(ending.world.counts(), before);
    let authority = ending.world.authority();
    let last = ending.world.service.make_last_crl(authority, &both()).unwrap();
    assert_eq!(ending.check(), Err("final-answers-missing"));

    let made = ending.make().unwrap();

    assert_eq!((made.good, made.revoked, made.signed, made.missing), (0, 3, 3, 0));
    assert_eq!(made.left, Left::default());
    assert_eq!(ending.keys_left(), 0, "its key is destroyed");
    let ca = &authority.certificate;
    for (serial, reason) in ending.serials.iter().zip([
        x509::crl::ReasonCode::KeyCompromise,
        x509::crl::ReasonCode::Superseded,
        x509::crl::ReasonCode::CessationOfOperation,
    ]) {
        let octets = fs::read(ending.path(serial)).unwrap();
        let file = PresignedFile::read(&octets).unwrap();
        let answer = file.find(serial).unwrap();
        let signer = file.signer_of(&answer).unwrap();
        assert!(file.is_final());
        assert_eq!(signer.validity().not_after(), ca.validity().not_after());
        let said = answer.said;
        assert!(
            matches!(said.status, CertStatus::Revoked { reason: Some(why), .. } if why == reason)
        );
        assert_eq!(said.this_update, last.this_update);
        assert_eq!(said.archive_cutoff, Some(ca.validity().not_before()));
        let data = answer.verified(ca.subject(), ca.public_key(), signer.public_key()).unwrap();
        let algorithm = SignatureAlgorithm::default_for(signer.public_key().key_type());
        let response = successful(&data, algorithm, &answer.signature, signer.as_der()).unwrap();
        assert!(lint::ocsp_response(&response, ca.as_der()).into_result().is_ok());
        let OcspResponse::Basic(basic) = OcspResponse::from_der(&response).unwrap() else {
            panic!("no answer")
        };
        assert!(basic.answers.iter().all(|one| one.next_update == Some(UnixTime::LAST)));
    }
    let waves = made.waves;
    assert_eq!(ending.world.leaves(EventCode::FinalAnswers), waves, "one leaf for each file");
    let told = ending.world.last_payload(EventCode::FinalAnswers);
    assert_eq!(told["actors"], json!(["op-7", "op-9"]));

    let before = ending.world.counts();
    let again = ending.make().unwrap();
    assert_eq!((again.signed, again.revoked), (0, 3));
    assert_eq!(ending.check().unwrap(), FinalAnswers { signed: 0, ..made });
    assert_eq!(ending.world.counts(), before, "nothing is recorded and nothing signed");
}

/// What breaks it off costs nothing that was signed, and not the signer; afterwards what is lost or damaged is made again by another.
#[test]
fn a_run_that_is_broken_off_goes_on_where_it_was() {
    let ending = Ending::ended();
    let last = ending.serials.iter().max_by_key(|serial| Wave::of(serial)).unwrap();
    let in_the_way = ending.path(last).join("in the way");
    fs::create_dir_all(&in_the_way).unwrap();
    assert_eq!(ending.make(), Err("final-answers-unwritable"));
    assert_eq!(ending.keys_left(), 1);
    fs::remove_dir_all(ending.path(last)).unwrap();
    let there = ending.serials.iter().filter(|serial| ending.path(serial).exists()).count();

    let made = ending.make().unwrap();

    assert_eq!(usize::try_from(made.signed).unwrap(), 3 - there);
    assert_eq!((ending.signers().len(), ending.keys_left()), (1, 0));
    let octets = fs::read(ending.path(last)).unwrap();
    for damaged in [&octets[..octets.len() - 1], b""] {
        fs::write(ending.path(last), damaged).unwrap();
        assert_eq!(ending.check(), Err("final-answers-missing"));
    }
    assert!(ending.make_as(KeyType::Rsa { bits: 2048 }).unwrap().signed >= 1);
    assert_eq!((ending.check().unwrap().revoked, ending.keys_left()), (3, 0));
    let two = ending.signers();
    assert_eq!(two.len(), usize::min(2, made.waves), "relying parties of RSA have theirs");
}

/// REV-08: a list that is not the one that was signed, or says another thing than the log, ends it before anything is signed; and so does an
/// authority that does not name the profile.
#[test]
fn what_the_last_list_does_not_say_is_not_signed() {
    let mut ending = Ending::ended();
    let path = ending.world.service.files.path("crl/issuing.crl");
    let octets = fs::read(&path).unwrap();
    let copy = ending.world.folder("issuing.last.crl");
    fs::write(&path, b"another list").unwrap();
    fs::write(&copy, b"another list").unwrap();
    assert_eq!(ending.make(), Err("final-answers-differ"));
    fs::write(&path, &octets).unwrap();
    let listed = ending.world.service.last_crl(ending.world.authority()).unwrap().unwrap();
    let (mut index, service) = (listed.position.unwrap().index, &ending.world.service);
    // As if the list rested on less than it does: the last revocation is on it and not in that log.
    index -= 1;
    let less = CrlRow { position: Some(Position { epoch: 1, index }), ..listed };
    let differs = service.read_facts(ending.world.authority(), &less);
    assert_eq!(differs.map(|_| ()).unwrap_err().refusal.code, "final-answers-differ");

    ending.world.edit_profile(
        "ocsp-final",
        "name        = \"ocsp-final\"",
        "name = \"ocsp-ending\"",
    );
    assert_eq!(
        (ending.make(), ending.world.leaves(EventCode::FinalAnswers)),
        (Err("final-answers-refused"), 0)
    );
}

/// PRO-04, promise 1: final answers that the linter refuses are not signed: here those of a signer that ends before the CA does, whose
/// certificate has been made anew meanwhile.
#[test]
fn final_answers_that_the_linter_refuses_are_not_signed() {
    let mut ending = Ending::ended();
    let (actors, keys) = (both(), ending.keys());
    let order = FinalOrder { actors: &actors, key_type: KeyType::EcP256, keys: &keys };
    ending.world.service.final_signer(ending.world.authority(), &order).unwrap();
    let longer = ending.world.signer.certificate_with(|params| {
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    });
    let sound = ending.world.authority().certificate.clone();
    ending.world.take_certificate(&longer);

    let service = &ending.world.service;
    let refused = service.make_final_answers(ending.world.authority(), &order, &|_| {});
    let refusal = refused.unwrap_err().refusal;
    assert_eq!(refusal.code, "final-answers-lint");
    assert!(refusal.seen.contains("pro-12/short-life"), "{}", refusal.seen);

    assert_eq!(ending.world.leaves(EventCode::FinalAnswers), 0, "nothing was to be signed");
    assert!(ending.serials.iter().all(|serial| !ending.path(serial).exists()));
    ending.world.take_certificate(&sound);
    assert_eq!(ending.make().unwrap().signed, 3);
}
