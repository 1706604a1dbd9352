//! Files are what they were written from, and every fault in one is refused by what finds it.

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use x509::certificate::{Certificate, CertificateTemplate};
use x509::crl::ReasonCode;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::name::{AttributeType, Name};
use x509::ocsp::{CertIdHash, CertStatus, OcspResponse, successful};
use x509::serial::SerialNumber;
use x509::time::UnixTime;
use x509::validity::Validity;

use super::{
    MAX_SIGNERS, PresignedAnswer, PresignedError, PresignedFile, PresignedHead, Said, WAVES, Wave,
};
use crate::{IssuerId, Position};

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

/// A key with a certificate that it signed for itself.
struct Signer {
    pair: Ed25519KeyPair,
    certificate: Certificate,
}

impl Signer {
    fn new(octet: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[octet; 32]).unwrap();
        let key = PublicKey::from_ed25519(pair.public_key().as_ref().try_into().unwrap()).unwrap();
        let name = Name::builder().with(AttributeType::CommonName, "delegate").unwrap().build();
        let algorithm = SignatureAlgorithm::Ed25519;
        let template = CertificateTemplate {
            serial: SerialNumber::from_random([octet; 16]),
            issuer: name.clone(),
            subject: name,
            validity: Validity::between(at(0), at(100_000)).unwrap(),
            public_key: key,
            extensions: Vec::new(),
            algorithm,
        };
        let tbs = template.to_tbs_der();
        let der = x509::signing::assemble(&tbs, algorithm, pair.sign(&tbs).as_ref()).unwrap();
        Self { pair, certificate: Certificate::from_der(&der).unwrap() }
    }

    fn key(&self) -> &PublicKey {
        self.certificate.public_key()
    }

    fn name(&self) -> &Name {
        self.certificate.subject()
    }

    /// Signs for a CA that has its own name and key.
    fn answer(&self, said: Said) -> PresignedAnswer {
        let data = said.response_data(self.name(), self.key(), self.key().key_bits_sha1());
        PresignedAnswer { said, signer: 0, signature: self.pair.sign(&data).as_ref().to_vec() }
    }
}

fn said(serial: SerialNumber, status: CertStatus) -> Said {
    Said {
        serial,
        status,
        invalidity_date: None,
        archive_cutoff: None,
        produced_at: at(1000),
        this_update: at(999),
        next_update: at(4599),
    }
}

/// The first serials of a wave.
fn serials(wave: Wave) -> impl Iterator<Item = SerialNumber> {
    let all = (0_u32..).filter_map(|number| {
        SerialNumber::from_content_octets(&[&[0x40][..], &number.to_be_bytes()].concat()).ok()
    });
    all.filter(move |serial| Wave::of(serial) == wave)
}

fn head(signers: &[&Signer]) -> PresignedHead {
    PresignedHead {
        issuer: IssuerId::from_bytes([7; 32]),
        wave: Wave::numbered(5).unwrap(),
        generation: 12,
        position: Position { epoch: 1, index: 77 },
        checkpoint: at(999),
        signers: signers.iter().map(|signer| signer.certificate.clone()).collect(),
    }
}

const STATUSES: [CertStatus; 3] = [
    CertStatus::Good,
    CertStatus::Revoked { at: UnixTime::EPOCH, reason: None },
    CertStatus::Revoked { at: UnixTime::EPOCH, reason: Some(ReasonCode::KeyCompromise) },
];

fn written() -> (Signer, Vec<PresignedAnswer>, Vec<u8>) {
    let signer = Signer::new(1);
    let pairs = serials(Wave::numbered(5).unwrap()).zip(STATUSES);
    let mut answers: Vec<_> =
        pairs.map(|(serial, status)| signer.answer(said(serial, status))).collect();
    answers[2] = signer.answer(Said {
        invalidity_date: Some(at(500)),
        archive_cutoff: Some(at(1)),
        ..answers[2].said
    });
    let octets = head(&[&signer]).write(answers.clone()).unwrap();
    (signer, answers, octets)
}

fn digested(mut octets: Vec<u8>) -> Vec<u8> {
    let length = octets.len() - 32;
    let digest: [u8; 32] = Sha256::digest(&octets[..length]).into();
    octets[length..].copy_from_slice(&digest);
    octets
}

#[test]
fn a_file_says_what_it_was_written_from() {
    let (signer, answers, octets) = written();
    let file = PresignedFile::read(&octets).unwrap();

    assert_eq!(*file.head(), head(&[&signer]));
    assert_eq!(file.answers().collect::<Vec<_>>(), answers);
    for answer in &answers {
        assert_eq!(file.find(&answer.said.serial).as_ref(), Some(answer));
        assert_eq!(file.signer_of(answer), Some(&signer.certificate));
    }
    let other = serials(Wave::numbered(5).unwrap()).nth(3).unwrap();
    assert_eq!(file.find(&other), None);
    let empty = head(&[]).write(Vec::new()).unwrap();
    assert_eq!(PresignedFile::read(&empty).unwrap().answers().count(), 0);
}

/// OCSP-05, OCSP-08: one signature answers by SHA-1, which stands first, and by SHA-256, and no nonce is in it.
#[test]
fn an_answer_names_its_certificate_by_both_hashes() {
    let (signer, answers, _) = written();
    let answer = &answers[2];
    let data = answer.verified(signer.name(), signer.key(), signer.key()).unwrap();
    let algorithm = SignatureAlgorithm::Ed25519;
    let der = signer.certificate.as_der();
    let response = successful(&data, algorithm, &answer.signature, der).unwrap();
    let OcspResponse::Basic(basic) = OcspResponse::from_der(&response).unwrap() else {
        panic!("no answer")
    };

    let hashes: Vec<_> = basic.answers.iter().map(|one| one.cert_id.hash()).collect();
    assert_eq!(hashes, [CertIdHash::Sha1, CertIdHash::Sha256]);
    assert!(basic.answers.iter().all(|one| one.cert_id.serial() == Some(answer.said.serial)));
    assert_eq!(CertIdHash::ALL.map(Said::answers_by), [true, true, false, false]);
}

/// OCSP-15: no octet of what is said, nor who says it of whom, can be changed without the signature telling.
#[test]
fn a_signature_covers_all_that_is_said() {
    let (signer, answers, _) = written();
    let stranger = Signer::new(2);
    let verifies = |answer: &PresignedAnswer| {
        answer.verified(signer.name(), signer.key(), signer.key()).is_ok()
    };
    let answer = &answers[2];
    assert!(verifies(answer));
    let other = serials(Wave::numbered(5).unwrap()).nth(3).unwrap();
    for changed in [
        Said { serial: other, ..answer.said },
        Said { status: CertStatus::Good, ..answer.said },
        Said { invalidity_date: None, ..answer.said },
        Said { archive_cutoff: None, ..answer.said },
        Said { produced_at: at(1001), ..answer.said },
        Said { this_update: at(998), ..answer.said },
        Said { next_update: at(4600), ..answer.said },
    ] {
        assert!(!verifies(&PresignedAnswer { said: changed, ..answer.clone() }), "{changed:?}");
    }
    assert!(answer.verified(signer.name(), stranger.key(), signer.key()).is_err());
    assert!(answer.verified(signer.name(), signer.key(), stranger.key()).is_err());
}

/// Each fault that a reader knows, made by itself with a digest that fits.
#[test]
fn a_file_that_no_writer_wrote_is_refused() {
    let (signer, answers, octets) = written();
    let record = octets.len() - 32 - 3 * (74 + 64);
    let patched = |place: usize, octet: u8| {
        let mut octets = octets.clone();
        octets[place] = octet;
        PresignedFile::read(&digested(octets)).unwrap_err().to_string()
    };
    assert!(patched(7, b'2').contains("version 1"));
    assert!(patched(40, 0xff).contains("past the last"));
    assert!(patched(47, 4).contains("length"), "one record more than there are");
    assert!(patched(76, 5).contains("signers"));
    assert!(patched(record, 21).contains("20 octets"));
    assert!(patched(record, 0).contains("no octets"));
    assert!(patched(record + 5, 0xee).contains("another wave"));
    assert!(patched(record + 20, 1).contains("padding"));
    assert!(patched(record + 21, 2).contains("unknown status"));
    assert!(patched(record + 22, 1).contains("unknown status"), "a good one with a reason");
    assert!(patched(record + 138 + 22, 7).contains("unknown reason"));
    assert!(patched(record + 138 + 22, 8).contains("unknown reason"), "removeFromCRL");
    assert!(patched(record + 31, 0xff).contains("year 9999"));
    assert!(patched(record + 71, 1).contains("signers"));
    assert!(patched(record + 73, 65).contains("length"));
    let mut swapped = octets.clone();
    let (first, second) = swapped[record..].split_at_mut(138);
    first[..138].swap_with_slice(&mut second[..138]);
    let refused = PresignedFile::read(&digested(swapped)).unwrap_err().to_string();
    assert!(refused.contains("not above"), "{refused}");

    let written = |said: Said| head(&[&signer]).write(vec![signer.answer(said)]);
    let first = answers[0].said;
    for (said, why) in [
        (Said { this_update: at(1001), ..first }, "order"),
        (Said { next_update: at(1000), ..first }, "order"),
        (Said { next_update: at(100_001), ..first }, "outlives"),
        (Said { status: CertStatus::Unknown, ..first }, "not said beforehand"),
        (Said { status: CertStatus::NeverIssued, ..first }, "not said beforehand"),
    ] {
        let refused = written(said).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    let twice = head(&[&signer]).write(vec![answers[0].clone(); 2]).unwrap_err();
    assert!(matches!(twice, PresignedError::Record { .. }), "{twice}");
    let many = vec![&signer; MAX_SIGNERS + 1];
    assert!(matches!(head(&many).write(Vec::new()), Err(PresignedError::Signers)));
}

/// OCSP-13: what stands for ever is a file of its own, made while its signer lived; its end is that of nobody.
#[test]
fn final_answers_outlive_their_signer_and_stand_alone() {
    let (signer, answers, octets) = written();
    assert!(!PresignedFile::read(&octets).unwrap().is_final());
    let last = |answer: &PresignedAnswer| Said { next_update: UnixTime::LAST, ..answer.said };
    let forever = || answers.iter().map(|answer| signer.answer(last(answer)));
    let written = head(&[&signer]).write(forever().collect()).unwrap();
    let file = PresignedFile::read(&written).unwrap();
    assert!(file.is_final());
    assert_eq!(file.find(&answers[0].said.serial).unwrap().said, last(&answers[0]));

    let mixed = forever().take(2).chain(answers.iter().skip(2).cloned()).collect();
    let refused = head(&[&signer]).write(mixed).unwrap_err().to_string();
    assert!(refused.contains("for ever"), "{refused}");
    let late = Said { produced_at: at(100_001), ..last(&answers[0]) };
    let refused = head(&[&signer]).write(vec![signer.answer(late)]).unwrap_err().to_string();
    assert!(refused.contains("outlives"), "{refused}");
    assert!(!PresignedFile::read(&head(&[]).write(Vec::new()).unwrap()).unwrap().is_final());
}

/// A carrier's damage: no octet more, less or other.
#[test]
fn every_changed_octet_and_every_shorter_file_is_refused() {
    let (_, _, octets) = written();
    for place in 0..octets.len() {
        let mut changed = octets.clone();
        changed[place] ^= 1;
        assert!(PresignedFile::read(&changed).is_err(), "{place}");
        assert!(PresignedFile::read(&octets[..place]).is_err(), "{place}");
    }
    assert!(PresignedFile::read(&[&octets[..], &[0]].concat()).is_err());
}

/// The load is even: every wave has its moment in every period, none at the same, and none waits longer than a period.
#[test]
fn waves_follow_each_other_evenly() {
    let period = Duration::from_secs(3600);
    let start = 1_800_000_000;
    let mut made: Vec<u64> = vec![start; usize::from(WAVES)];
    let mut most = 0;
    for second in start..start + 3 * 3600 {
        let mut now = 0;
        for wave in Wave::all() {
            let last = &mut made[usize::from(wave.number())];
            if wave.is_due(at(*last), at(second), period) {
                assert!(second - *last <= 3600, "{wave}");
                *last = second;
                now += 1;
            }
        }
        most = most.max(now);
    }
    assert_eq!(most, 1, "1024 waves in 3600 seconds never meet");
    assert!(made.iter().all(|last| *last > start + 2 * 3600 - 3600));
}

#[test]
fn certificates_spread_evenly_over_the_waves() {
    let mut counts = vec![0_u32; usize::from(WAVES)];
    for number in 0_u32..200_000 {
        let serial = SerialNumber::from_content_octets(&number.to_be_bytes()).unwrap();
        counts[usize::from(Wave::of(&serial).number())] += 1;
    }
    // 195 on average, and the standard deviation 14.
    assert!(counts.iter().all(|count| (100..300).contains(count)));
}

#[test]
fn a_wave_is_named_by_four_digits() {
    for wave in Wave::all() {
        assert_eq!(wave.to_string().parse::<Wave>().unwrap(), wave);
    }
    for bad in ["1024", "999", "00001", "+001", ""] {
        assert!(bad.parse::<Wave>().is_err(), "{bad}");
    }
}

proptest! {
    /// Hostile octets end in a refusal and nothing else.
    #[test]
    fn any_octets_are_read_without_a_panic(
        octets in proptest::collection::vec(any::<u8>(), 0..400), right in any::<bool>(),
    ) {
        let mut octets = octets;
        if right && octets.len() > 40 {
            octets[..8].copy_from_slice(b"sigillp1");
            octets = digested(octets);
        }
        let _ = PresignedFile::read(&octets);
    }
}
