//! Vectors of files of answers that were signed beforehand: some that must be read, with what they say, and some that must not.

use ::status::presigned::{PresignedAnswer, PresignedFile, PresignedHead, Said, Wave};
use ::status::{IssuerId, Position};
use ledger::NoteSigner as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509::certificate::{Certificate, CertificateTemplate};
use x509::crl::ReasonCode;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::name::{AttributeType, Name};
use x509::ocsp::CertStatus;
use x509::serial::SerialNumber;
use x509::time::UnixTime;
use x509::validity::Validity;

use crate::hex;
use crate::keys::VectorKey;
use crate::status::{at, serial};

const NOW: u64 = 1_795_312_288;

fn name() -> Name {
    let name = Name::builder().with(AttributeType::CommonName, "SIGILL TEST CA v1").unwrap();
    name.build()
}

fn public(key: &VectorKey) -> PublicKey {
    PublicKey::from_ed25519(&key.public_key()).unwrap()
}

/// The certificate of a delegate; who certified it does not matter to the format.
fn delegate(key: &VectorKey, octet: u8) -> Certificate {
    let algorithm = SignatureAlgorithm::Ed25519;
    let template = CertificateTemplate {
        serial: SerialNumber::from_random([octet; 16]),
        issuer: name(),
        subject: Name::builder().with(AttributeType::CommonName, "delegate").unwrap().build(),
        validity: Validity::between(at(NOW - 300), at(NOW + 14 * 86_400)).unwrap(),
        public_key: public(key),
        extensions: Vec::new(),
        algorithm,
    };
    let tbs = template.to_tbs_der();
    let der = x509::signing::assemble(&tbs, algorithm, &VectorKey::audit().sign(&tbs)).unwrap();
    Certificate::from_der(&der).unwrap()
}

/// Of each length a serial number of the wave.
fn serials(wave: Wave) -> impl Iterator<Item = SerialNumber> {
    [4_usize, 8, 16, 20].into_iter().cycle().enumerate().filter_map(move |(seed, length)| {
        let hash: [u8; 32] = Sha256::digest(seed.to_be_bytes()).into();
        let mut octets = hash[..length].to_vec();
        octets[0] = (octets[0] & 0x3f) | 0x40;
        Some(serial(&octets)).filter(|serial| Wave::of(serial) == wave)
    })
}

fn answers(wave: Wave, delegates: &[VectorKey; 2], next_update: UnixTime) -> Vec<PresignedAnswer> {
    let revoked = |reason| CertStatus::Revoked { at: at(NOW - 5000), reason };
    let shapes = [
        (CertStatus::Good, None, None),
        (CertStatus::Good, None, Some(at(NOW - 86_400))),
        (revoked(None), None, None),
        (revoked(Some(ReasonCode::CertificateHold)), None, None),
        (revoked(Some(ReasonCode::KeyCompromise)), Some(at(NOW - 9000)), None),
        (revoked(Some(ReasonCode::AaCompromise)), Some(at(NOW - 9000)), Some(at(NOW - 86_400))),
    ];
    let mut serials: Vec<_> = serials(wave).take(shapes.len()).collect();
    serials.sort_unstable();
    let made = serials.into_iter().zip(shapes).enumerate();
    made.map(|(number, (serial, (status, invalidity_date, archive_cutoff)))| {
        let said = Said {
            serial,
            status,
            invalidity_date,
            archive_cutoff,
            produced_at: at(NOW),
            this_update: at(NOW - 1),
            next_update,
        };
        let signer = u8::from(number % 3 == 2);
        let key = &delegates[usize::from(signer)];
        let responder = public(key).key_bits_sha1();
        let data = said.response_data(&name(), &public(&VectorKey::audit()), responder);
        PresignedAnswer { said, signer, signature: key.sign(&data) }
    })
    .collect()
}

fn head(wave: Wave, signers: Vec<Certificate>) -> PresignedHead {
    PresignedHead {
        issuer: IssuerId::of(name().as_der(), public(&VectorKey::audit()).spki_der()),
        wave,
        generation: NOW,
        position: Position { epoch: 1, index: 300 },
        checkpoint: at(NOW - 1),
        signers,
    }
}

fn digested(mut octets: Vec<u8>) -> Vec<u8> {
    let length = octets.len() - 32;
    let digest: [u8; 32] = Sha256::digest(&octets[..length]).into();
    octets[length..].copy_from_slice(&digest);
    octets
}

fn shown(title: &str, octets: &[u8]) -> Value {
    let file = PresignedFile::read(octets).unwrap();
    let head = file.head();
    let date = |date: Option<UnixTime>| date.map(UnixTime::secs);
    let answers: Vec<Value> = file
        .answers()
        .map(|answer| {
            let said = answer.said;
            let (status, reason, revoked) = match said.status {
                CertStatus::Revoked { at, reason } => {
                    ("revoked", reason.map(ReasonCode::code), Some(at.secs()))
                }
                _ => ("good", None, None),
            };
            json!({
                "serial": hex(said.serial.as_octets()),
                "status": status,
                "reason": reason,
                "revoked at": revoked,
                "invalidity date": date(said.invalidity_date),
                "archive cutoff": date(said.archive_cutoff),
                "produced at": said.produced_at.secs(),
                "this update": said.this_update.secs(),
                "next update": said.next_update.secs(),
                "signer": answer.signer,
            })
        })
        .collect();
    json!({
        "name": title,
        "hex": hex(octets),
        "issuer": head.issuer.to_string(),
        "wave": head.wave.number(),
        "generation": head.generation,
        "position": head.position.to_string(),
        "checkpoint": head.checkpoint.secs(),
        "signers": head.signers.len(),
        "answers": answers,
    })
}

pub fn vectors() -> Value {
    let wave = Wave::numbered(5).unwrap();
    let keys = [VectorKey::status(), VectorKey::manifest()];
    let signers = vec![delegate(&keys[0], 1), delegate(&keys[1], 2)];
    let all = answers(wave, &keys, at(NOW + 14_399));
    let last = answers(wave, &keys, UnixTime::LAST);
    let forever = head(wave, signers.clone()).write(last).unwrap();
    let whole = head(wave, signers.clone()).write(all.clone()).unwrap();
    let empty = head(Wave::numbered(0).unwrap(), Vec::new()).write(Vec::new()).unwrap();
    let one = head(wave, signers.clone()).write(all[..1].to_vec()).unwrap();

    let record = 74 + 64;
    let first = whole.len() - 32 - all.len() * record;
    let patched = |place: usize, octet: u8| {
        let mut octets = whole.clone();
        octets[place] = octet;
        digested(octets)
    };
    let mut swapped = whole.clone();
    swapped[first..first + 2 * record].rotate_left(record);
    let mut mixed = whole.clone();
    mixed[first + 63..first + 71].copy_from_slice(&UnixTime::LAST.secs().to_be_bytes());
    let mut longer = whole.clone();
    longer.splice(first..first, [0; 138]);
    let refused = [
        ("another version", patched(7, b'2')),
        ("a wrong digest", {
            let mut octets = whole.clone();
            octets[first + 60] ^= 1;
            octets
        }),
        ("a wave past the last", patched(40, 4)),
        ("five signers", patched(76, 5)),
        ("a serial of 21 octets", patched(first, 21)),
        ("a serial of no octets", patched(first, 0)),
        ("a serial of another wave", patched(first + 2, 0xee)),
        ("a serial with padding that is not zero", patched(first + 20, 1)),
        ("an unknown status", patched(first + 21, 2)),
        ("a good one with a reason", patched(first + 22, 1)),
        ("a good one with a revocation time", patched(first + 30, 1)),
        ("reason 7", patched(first + 2 * record + 22, 7)),
        ("reason 8, removeFromCRL", patched(first + 2 * record + 22, 8)),
        ("a time past the year 9999", patched(first + 31, 0xff)),
        ("an answer that stands for ever beside others that end", digested(mixed)),
        ("a signer that is not there", patched(first + 71, 2)),
        ("a signature longer than its place", patched(first + 73, 65)),
        ("serials that do not rise", digested(swapped)),
        ("one record more than is said", digested(longer)),
        ("an octet at the end", [&whole[..], &[0]].concat()),
        ("no octets", Vec::new()),
    ];
    let refused: Vec<Value> = refused
        .into_iter()
        .map(|(title, octets)| {
            assert!(PresignedFile::read(&octets).is_err(), "{title}");
            json!({ "name": title, "hex": hex(octets) })
        })
        .collect();
    json!({
        "issuer name": hex(name().as_der()),
        "issuer key": hex(public(&VectorKey::audit()).spki_der()),
        "files": [
            shown("every shape", &whole),
            shown("one answer", &one),
            shown("no answer", &empty),
            shown("final answers", &forever),
        ],
        "refused": refused,
    })
}
