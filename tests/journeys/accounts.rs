//! Counting afterwards: what the token signed, what the database says, what was published, and what
//! clients hold must add up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::Connection;
use status::{Change, StatusEntry};
use support::demo::until;
use support::spoken;
use x509::certificate::Certificate;
use x509::serial::SerialNumber;

use crate::api::Answer;
use crate::deployment::{AUTHORITY, Deployment};

/// A SHA-256, as the P-256 authority's token is given it.
pub(crate) type Digest = [u8; 32];

/// What a token was asked to sign, by the wrapper's log.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    /// Signatures that came back, each by the digest that was signed.
    pub(crate) made: Vec<Digest>,
    /// Calls that had not returned when the process ended.
    pub(crate) unended: Vec<Digest>,
}

impl Signatures {
    /// Reads a log of one run. A call that only asks for a signature's length signs nothing.
    pub(crate) fn read(log: &Path) -> Self {
        let text = fs::read_to_string(log).unwrap_or_default();
        let mut signatures = Self::default();
        for record in text.split("\n\n") {
            let mut lines = record.trim().lines();
            if !lines.next().is_some_and(|head| head.ends_with(": C_Sign")) {
                continue;
            }
            let given = record.split("[in] pData[ulDataLen]").nth(1).unwrap_or_default();
            let digest = hexadecimal(given.split("[out]").next().unwrap_or_default());
            if record.contains("pSignature[*pulSignatureLen] NULL") {
                continue;
            }
            match (digest, record.contains("Returned:  0 CKR_OK")) {
                (Some(digest), true) => signatures.made.push(digest),
                (Some(digest), false) if !record.contains("Returned:") => {
                    signatures.unended.push(digest);
                }
                // Broken off before the digest was written: the call was not passed on.
                _ => {}
            }
        }
        signatures
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.made.extend(more.made);
        self.unended.extend(more.unended);
    }

    fn times(&self, digest: &Digest) -> usize {
        self.made.iter().filter(|made| *made == digest).count()
    }
}

/// The octets of a dump `    00000000  DD 87 ...  text`, 16 in a line.
fn hexadecimal(dump: &str) -> Option<Digest> {
    let mut octets = Vec::new();
    for line in dump.lines().skip(1) {
        let columns = line.get(14..61)?;
        octets.extend(columns.split_whitespace().map(|word| u8::from_str_radix(word, 16)));
    }
    octets.into_iter().collect::<Result<Vec<u8>, _>>().ok()?.try_into().ok()
}

/// An intent as the database holds it.
#[derive(Debug)]
pub(crate) struct Intent {
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) digest: Digest,
    failed_tries: i64,
    serial: Option<Vec<u8>>,
}

/// All intents, oldest first.
pub(crate) fn intents(database: &Connection) -> Vec<Intent> {
    let sql = "SELECT kind, intent.state, digest, failed_tries, serial.serial FROM intent \
               LEFT JOIN serial ON serial.row = serial_row ORDER BY intent.row";
    let mut statement = database.prepare(sql).expect("a query");
    let rows = statement.query_map([], |row| {
        Ok(Intent {
            kind: row.get(0)?,
            state: row.get(1)?,
            digest: row.get(2)?,
            failed_tries: row.get(3)?,
            serial: row.get(4)?,
        })
    });
    rows.expect("intents").collect::<Result<_, _>>().expect("intents")
}

/// One number out of the database.
pub(crate) fn number(database: &Connection, sql: &str) -> u64 {
    let number: i64 = database.query_row(sql, [], |row| row.get(0)).expect("a number");
    u64::try_from(number).expect("a count")
}

/// A certificate that a client got.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) serial: SerialNumber,
    pub(crate) sha256: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// Takes an answer apart and believes what the certificate says, not what stands beside it.
    pub(crate) fn read(key: &str, answer: &Answer) -> Self {
        assert_eq!(answer.status, 201, "{key}: {}", answer.text());
        let json = answer.json();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        let pem = text("certificate");
        let der = x509::pem::decode_one(&pem, x509::pem::Label::Certificate).expect("a PEM");
        let certificate = Certificate::from_der(&der).expect("a certificate");
        assert_eq!(certificate.serial().to_string(), text("serial"), "{key}");
        let sha256 = certificate.fingerprint().map(|octet| format!("{octet:02x}")).concat();
        let (id, serial) = (text("id"), certificate.serial());
        Self { key: key.to_owned(), id, serial, sha256, body: answer.body.clone() }
    }
}

/// What the status log says of each serial number: whether it was issued or voided.
#[derive(Debug, Default)]
pub(crate) struct Serials {
    pub(crate) issued: BTreeSet<SerialNumber>,
    pub(crate) voided: BTreeSet<SerialNumber>,
}

impl Serials {
    /// Reads the log of a database. A serial number that begins twice is refused (ISS-03).
    pub(crate) fn read(database: &Connection) -> Self {
        let sql = "SELECT entry FROM status_entry ORDER BY epoch, idx";
        let mut statement = database.prepare(sql).expect("a query");
        let entries = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("entries");
        let mut serials = Self::default();
        for entry in entries {
            let entry = StatusEntry::decode(&entry.expect("an entry")).expect("an entry");
            let StatusEntry::Certificate(entry) = entry else { continue };
            let fresh = match entry.change {
                Change::Issued { .. } => serials.issued.insert(entry.serial),
                Change::Voided { .. } => serials.voided.insert(entry.serial),
                _ => true,
            };
            assert!(fresh, "serial {} begins twice in the status log", entry.serial);
        }
        let both: Vec<_> = serials.issued.intersection(&serials.voided).collect();
        assert!(both.is_empty(), "issued and voided: {both:?}");
        serials
    }
}

/// Each order that a client has a certificate of has this one and no other: it was fulfilled by one intent,
/// and whatever was begun for it besides is voided. Returns how many tries were.
pub(crate) fn each_order_has_one_certificate(
    database: &Connection,
    received: &[Received],
) -> usize {
    let of_order = "FROM orders JOIN intent ON intent.order_row = orders.row \
                    JOIN serial ON serial.row = intent.serial_row \
                    WHERE orders.method = 'POST' AND orders.key = ?1";
    let sql = format!("SELECT intent.state, serial.state, serial.serial {of_order}");
    let mut tries = database.prepare(&sql).expect("a query");
    let mut voided = 0;
    for one in received {
        let rows = tries.query_map([&one.key], |row| {
            let serial: Vec<u8> = row.get(2)?;
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, serial))
        });
        let mut fulfilled = Vec::new();
        for row in rows.expect("intents") {
            let (intent, serial_state, serial) = row.expect("an intent");
            // One length octet stands before the content octets.
            let serial = SerialNumber::from_content_octets(&serial[1..]).expect("a serial number");
            match (intent.as_str(), serial_state.as_str()) {
                ("fulfilled", state) if state != "voided" => fulfilled.push(serial),
                ("voided", "voided") => voided += 1,
                found => panic!("{}: {found:?} {serial}", one.key),
            }
        }
        assert_eq!(fulfilled, [one.serial], "{}", one.key);
    }
    voided
}

/// Asked once more, every key gives the answer that its caller got, octet for octet.
pub(crate) fn every_key_gives_its_answer_again(deployment: &Deployment, received: &[Received]) {
    let (api, mut line) = (deployment.api(), None);
    for one in received {
        let again = api.persevere(&mut line, &deployment.order(&one.key));
        assert!(again.replayed(), "{}: {}", one.key, again.text());
        assert_eq!(again.body, one.body, "{}", one.key);
    }
}

/// Serial numbers of certificates that no client ordered: of the ceremony and of responders.
pub(crate) fn serials_not_ordered(database: &Connection) -> BTreeSet<SerialNumber> {
    let sql = "SELECT serial.serial FROM certificate JOIN serial ON serial.row = serial_row \
               WHERE profile IS NOT 'function-ec'";
    let mut statement = database.prepare(sql).expect("a query");
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("serials");
    // One length octet stands before the content octets.
    rows.map(|row| SerialNumber::from_content_octets(&row.expect("a serial")[1..]))
        .collect::<Result<_, _>>()
        .expect("serials")
}

/// Every signature of the token belongs to one intent or proves the key; every fulfilled intent
/// has exactly one signature, every voided one at most one for each try. Returns how many proofs
/// there were.
pub(crate) fn signatures_add_up(
    deployment: &Deployment,
    database: &Connection,
    signatures: &Signatures,
) -> usize {
    let proof = proof_of_authority(deployment);
    let intents = intents(database);
    let mut by_digest: BTreeMap<Digest, &Intent> = BTreeMap::new();
    for intent in &intents {
        assert!(by_digest.insert(intent.digest, intent).is_none(), "two intents of one digest");
        let times = signatures.times(&intent.digest);
        match intent.state.as_str() {
            "fulfilled" => assert_eq!(times, 1, "{intent:?}"),
            "voided" => assert!(times <= 1, "{times} signatures of {intent:?}"),
            _ => panic!("left open: {intent:?}"),
        }
        assert_eq!(intent.failed_tries, 0, "{intent:?}");
        assert_eq!(intent.kind == "crl", intent.serial.is_none(), "{intent:?}");
    }
    for digest in signatures.made.iter().chain(&signatures.unended) {
        let known = *digest == proof || by_digest.contains_key(digest);
        assert!(known, "the token signed {digest:02x?}, and there is no intent for it");
    }
    signatures.times(&proof)
}

/// The digest that the authority's key signs to prove itself.
fn proof_of_authority(deployment: &Deployment) -> Digest {
    let file = deployment.home.join(format!("ceremony/out/{AUTHORITY}.cer"));
    let der = fs::read(file).expect("the authority's certificate");
    let certificate = Certificate::from_der(&der).expect("a certificate");
    let text = hsm::proof_text(certificate.public_key());
    digest(&SHA256, &text).as_ref().try_into().expect("32 octets")
}

/// Both logs verify with `sigill-verify`, and what is published is what the database holds.
pub(crate) fn logs_add_up(deployment: &Deployment, database: &Connection) {
    for log in ["status", "audit"] {
        let found = deployment.verify_log(log);
        let size = number(database, &format!("SELECT size FROM log_head WHERE log = '{log}'"));
        assert_eq!(found["size"].as_u64(), Some(size), "{log}");
        // The root of the head itself: what every entry was appended to.
        let sql = "SELECT frontier FROM log_head WHERE log = ?1";
        let frontier: Vec<u8> = database.query_row(sql, [log], |row| row.get(0)).expect("a head");
        let root = ledger::Frontier::from_bytes(&frontier).expect("a frontier").root();
        assert_eq!(found["root"].as_str(), Some(root.to_base64().as_str()), "{log}");
    }
}

/// The serial numbers on the authority's published CRL, as OpenSSL reads it.
pub(crate) fn on_crl(deployment: &Deployment) -> BTreeSet<SerialNumber> {
    on_crl_of(deployment, AUTHORITY)
}

/// The same of another authority. The first list comes soon after the first start.
pub(crate) fn on_crl_of(deployment: &Deployment, authority: &str) -> BTreeSet<SerialNumber> {
    let file = deployment.home.join(format!("publish/crl/{authority}.crl"));
    let there = until(Duration::from_secs(60), || file.exists().then_some(()));
    assert!(there.is_some(), "no {}", file.display());
    let arguments =
        ["crl", "-inform", "DER", "-noout", "-text", "-in", file.to_str().expect("UTF-8")];
    let said = spoken::openssl(deployment.folder(), &arguments).expect("openssl is there");
    assert_eq!(said.code, 0, "{}", said.text);
    said.text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Serial Number: "))
        .map(|serial| serial.parse().expect("a serial number"))
        .collect()
}
