//! Vectors of receipts and of the observations in them: some that must be believed and some that must not.

use ledger::ReceiptText;
use serde_json::{Value, json};
use status::observation::{
    OBSERVATION, Observation, Seen, SeenBase, SeenObject, SeenRevocation, SeenStatus,
    SignedObservation,
};
use status::receipt::{Point, Receipt, ReceiptEntry};
use status::{IssuerId, Position, ProbeMethod, ReceiptMethod};
use x509::crl::ReasonCode;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::serial::SerialNumber;
use x509::statement::{SignedStatement, Statement};
use x509::time::UnixTime;

use crate::hex;
use crate::keys::VectorKey;

const REVOKED: u64 = 1_795_312_288;

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

fn public(key: &VectorKey) -> PublicKey {
    PublicKey::from_ed25519(key.public().as_bytes()).unwrap()
}

fn serial(octet: u8) -> SerialNumber {
    SerialNumber::from_random([octet; 16])
}

fn revocation(reason: Option<ReasonCode>) -> SeenRevocation {
    SeenRevocation { time: at(REVOKED), reason }
}

fn entry(octet: u8, reason: Option<ReasonCode>) -> ReceiptEntry {
    ReceiptEntry {
        position: Position { epoch: 1, index: u64::from(octet) },
        issuer: IssuerId::from_bytes([0x1c; 32]),
        serial: serial(octet),
        revocation: revocation(reason),
    }
}

fn signed(key: &VectorKey, observation: &Observation) -> SignedObservation {
    let statement = observation.to_statement().unwrap();
    let signature = key.sign(statement.as_str().as_bytes());
    let algorithm = SignatureAlgorithm::Ed25519;
    let signed =
        SignedStatement::assemble(&statement, &public(key), algorithm, &signature).unwrap();
    SignedObservation::open(signed.as_str().as_bytes()).unwrap()
}

fn seen(vantage: &str, method: ProbeMethod, entries: &[ReceiptEntry]) -> Observation {
    let number = || "012A".to_owned();
    let base = "http://crl.example.org/ca1.crl".to_owned();
    let (url, object) = match method {
        ProbeMethod::Crl => (base, SeenObject::Crl { number: number() }),
        ProbeMethod::CrlDelta => {
            let base = SeenBase { url: base, sha256: [0xba; 32], number: "0129".to_owned() };
            let url = "http://crl.example.org/ca1.delta.crl".to_owned();
            (url, SeenObject::Delta { number: number(), base })
        }
        ProbeMethod::OcspGet | ProbeMethod::OcspPost => {
            let produced_at = at(REVOKED + 2);
            ("http://ocsp.example.org".to_owned(), SeenObject::Ocsp { produced_at })
        }
    };
    Observation {
        deployment: "test/demo/ab12".parse().unwrap(),
        vantage: vantage.parse().unwrap(),
        method,
        url,
        issuer: IssuerId::from_bytes([0x1c; 32]),
        object_sha256: [0x0b; 32],
        this_update: at(REVOKED + 1),
        next_update: at(REVOKED + 3601),
        object,
        position: (!method.is_by_list()).then_some(Position { epoch: 1, index: 301 }),
        time: at(REVOKED + 3),
        seen: entries
            .iter()
            .map(|one| Seen { serial: one.serial, status: SeenStatus::Revoked(one.revocation) })
            .collect(),
    }
}

fn points(observations: &[SignedObservation]) -> Vec<Point> {
    observations
        .iter()
        .map(|one| Point {
            vantage: one.observation().vantage.clone(),
            key: one.signed().key().spki_hash(),
            method: one.observation().method,
            url: one.observation().url.clone(),
        })
        .collect()
}

fn receipt(
    method: ReceiptMethod,
    entries: Vec<ReceiptEntry>,
    observations: Vec<SignedObservation>,
) -> String {
    let (points, deployment) = (points(&observations), "test/demo/ab12".parse().unwrap());
    let receipt =
        Receipt::new(deployment, method, at(REVOKED + 4), points, entries, observations).unwrap();
    receipt.to_text().unwrap().sign(&VectorKey::receipt()).unwrap()
}

/// The same rows, of which one reads otherwise, under the receipt key's own signature.
fn resigned(note: &str, from: &str, to: &str) -> String {
    let text = note.rsplit_once("\n\n").unwrap().0.to_owned() + "\n";
    assert!(text.contains(from), "{from}");
    let text = ReceiptText::from_text(&text.replacen(from, to, 1)).unwrap();
    text.sign(&VectorKey::receipt()).unwrap()
}

/// The statement with one field of another value, or without it, under the same key's signature over that.
fn other_field(key: &VectorKey, good: &Statement, name: &str, value: Option<&str>) -> String {
    let fields: Vec<(&str, &str)> = good
        .fields()
        .filter(|(n, _)| value.is_some() || *n != name)
        .map(|(n, v)| (n, if n == name { value.unwrap_or(v) } else { v }))
        .collect();
    let statement = Statement::new(OBSERVATION, &fields).unwrap();
    let signature = key.sign(statement.as_str().as_bytes());
    let algorithm = SignatureAlgorithm::Ed25519;
    let signed =
        SignedStatement::assemble(&statement, &public(key), algorithm, &signature).unwrap();
    assert!(SignedObservation::open(signed.as_str().as_bytes()).is_err(), "{name} {value:?}");
    signed.as_str().to_owned()
}

/// One observation by each method, and some that say too little or something else.
fn observations(key: &VectorKey, one: ReceiptEntry) -> (Vec<Value>, Vec<Value>) {
    let good = ProbeMethod::ALL.map(|method| {
        let seen = signed(key, &seen("stockholm", method, &[one]));
        let statement = seen.signed().statement();
        let fields: Vec<(String, Value)> =
            statement.fields().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        json!({
            "name": method.as_str(),
            "statement": seen.signed().as_str(),
            "fields": Value::Object(fields.into_iter().collect()),
            "seen": { one.serial.to_string(): one.revocation.to_string() },
        })
    });
    let delta = seen("stockholm", ProbeMethod::CrlDelta, &[one]).to_statement().unwrap();
    let refused = [
        ("a delta without its base's number", "base-number", None),
        ("a delta without its base", "base-object", None),
        ("a delta without its own number", "crl-number", None),
        ("a delta that calls itself a list", "method", Some("crl")),
        ("a base at no http URL", "base-url", Some("ldap://crl.example.org/ca1.crl")),
        ("a number of half an octet", "base-number", Some("129")),
        ("a base in capitals", "base-object", Some("BA")),
    ]
    .map(|(name, field, value)| {
        json!({ "name": name, "note": other_field(key, &delta, field, value) })
    });
    (good.to_vec(), refused.to_vec())
}

pub fn vectors() -> Value {
    let (here, there) = (VectorKey::vantage(0), VectorKey::vantage(1));
    let one = entry(7, Some(ReasonCode::KeyCompromise));
    let observations: Vec<SignedObservation> = [(&here, "stockholm"), (&there, "umea")]
        .into_iter()
        .flat_map(|(key, name)| {
            [ProbeMethod::OcspGet, ProbeMethod::OcspPost]
                .map(|method| signed(key, &seen(name, method, &[one])))
        })
        .collect();
    let ocsp = receipt(ReceiptMethod::Ocsp, vec![one], observations);
    let wave: Vec<ReceiptEntry> =
        [(7, Some(ReasonCode::KeyCompromise)), (8, None), (9, Some(ReasonCode::CertificateHold))]
            .map(|(octet, reason)| entry(octet, reason))
            .to_vec();
    let list = signed(&here, &seen("stockholm", ProbeMethod::Crl, &wave));
    let crl = receipt(ReceiptMethod::Crl, wave.clone(), vec![list]);

    let position = format!("entry {} ", one.position);
    let serial = serial(7).to_string();
    let row =
        |start: &str| ocsp.lines().find(|line| line.starts_with(start)).unwrap().to_owned() + "\n";
    let refused: Vec<(&str, String)> = vec![
        ("another time", ocsp.replacen("\ntime ", "\ntime 1", 1)),
        (
            "another reason",
            resigned(&ocsp, &format!("@{REVOKED}/1\nobs"), &format!("@{REVOKED}/4\nobs")),
        ),
        ("a serial that nobody saw", resigned(&ocsp, &format!("{serial} revoked"), "41 revoked")),
        ("a position in another spelling", resigned(&ocsp, &position, "entry 1.07 ")),
        ("a vantage point that saw nothing", resigned(&ocsp, "point umea ", "point lund ")),
        ("a point less", resigned(&ocsp, &row("point umea"), "")),
        ("an observation that was changed", resigned(&ocsp, "| vantage: umea", "| vantage: lund")),
        ("another method", resigned(&ocsp, "receipt/1 ocsp", "receipt/1 crl")),
        ("a later version", resigned(&ocsp, "receipt/1 ocsp", "receipt/2 ocsp")),
        (
            "seen after the receipt",
            resigned(&ocsp, &format!("time {}", REVOKED + 4), &format!("time {}", REVOKED + 2)),
        ),
        ("no revocation", resigned(&ocsp, &row("entry "), "")),
        ("another deployment", ocsp.replace("ab12", "zz99")),
        ("no newline at the end", ocsp.trim_end().to_owned()),
    ];
    let (statements, statements_refused) = self::observations(&here, one);
    let key = VectorKey::receipt().public();
    let refused: Vec<Value> = refused
        .into_iter()
        .map(|(name, note)| {
            let read =
                ReceiptText::open(note.as_bytes(), key).map(|text| Receipt::from_text(&text));
            assert!(!matches!(read, Ok(Ok(_))), "{name}");
            json!({"name": name, "note": note})
        })
        .collect();
    let shown = |name: &str, note: &str, entries: &[ReceiptEntry]| {
        let entries: Vec<Value> = entries
            .iter()
            .map(|one| {
                json!({
                    "position": one.position.to_string(),
                    "issuer": one.issuer.to_string(),
                    "serial": one.serial.to_string(),
                    "revoked at": one.revocation.time.secs(),
                    "reason": one.revocation.reason.map_or(0, ReasonCode::code),
                })
            })
            .collect();
        json!({"name": name, "note": note, "revocations": entries})
    };
    json!({
        "public key": key.to_string(),
        "deployment": "test/demo/ab12",
        "vantage points": {
            "stockholm": hex(public(&here).spki_hash().as_bytes()),
            "umea": hex(public(&there).spki_hash().as_bytes()),
        },
        "receipts": [shown("seen from two places by OCSP", &ocsp, &[one]), shown("a wave in one CRL", &crl, &wave)],
        "refused": refused,
        "observations": statements,
        "observations refused": statements_refused,
    })
}
