//! What a CRL costs: rows of a prepared SQLite file to the finished, signed list, by step.
//!
//! ```text
//! cargo run --release -p store --example crl-rate -- prepare FOLDER 1000000
//! cargo run --release -p store --example crl-rate -- make FOLDER
//! ```
//!
//! `prepare` makes a store with one issuer and so many revoked serials, written straight into the table in random
//! order. `make` makes two lists as the program does, the second compared with the first, and prints for each step CPU
//! time for an entry, and the peak of memory. It runs apart, so that the peak is that of the list alone.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring program: it reads clocks and files and prints, and what goes wrong ends it"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use ca::audit::{Actor, AuditEvent, EventCode, EventResult, ObjectIds};
use crl::{CrlEntry, CrlIssuer, CrlOrder, CrlSpool, Departure, Listing, NewDates, PreviousCrl};
use status::{IssuerId, Position};
use store::{
    AuditRecord, BootId, CrlIntent, CrlScope, FileKeySource, Import, IssuerKeeping, NewIssuer,
    Node, Origin, SqliteStore, Store, Subject,
};
use x509::certificate::Certificate;
use x509::crl::{CrlForm, CrlKind, CrlReader};
use x509::key::SignatureAlgorithm;
use x509::signing::IntentId;
use x509::time::UnixTime;

const START: u64 = 1_790_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["prepare", folder, count] => prepare(Path::new(folder), count.parse().unwrap()),
        ["make", folder] => make(Path::new(folder)),
        _ => println!("crl-rate prepare FOLDER COUNT | crl-rate make FOLDER"),
    }
}

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(START + secs).unwrap()
}

fn prepare(folder: &Path, count: u64) {
    fs::create_dir_all(folder).unwrap();
    FileKeySource::create(&folder.join("keys")).unwrap();
    make_ca(folder);
    let store = open(folder);
    let certificate = Certificate::from_der(&fs::read(folder.join("ca.der")).unwrap()).unwrap();
    let issuer = NewIssuer {
        id: id_of(&certificate),
        name: "measured".to_owned(),
        certificate_der: certificate.as_der().to_vec(),
        subject_der: certificate.subject().as_der().to_vec(),
        spki_der: certificate.public_key().spki_der().to_vec(),
        ski: certificate.ski().map(|ski| ski.0),
        not_before: at(0),
        not_after: at(1_000_000_000),
        origin: Origin::Ceremony,
        keeping: IssuerKeeping::Online,
        crl_number_floor: None,
        crl_settings: String::new(),
    };
    let import = Import { issuers: vec![issuer], ..Import::default() };
    store.import(&import, &audit(EventCode::ImportCeremony), at(0)).unwrap();
    drop(store);
    let raw = rusqlite::Connection::open(folder.join("sigill.db")).unwrap();
    // Ten million rows in random order want memory; `make` runs in a process of its own.
    raw.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA cache_size = -2000000").unwrap();
    raw.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
         INSERT INTO serial (issuer, serial, state, reason, effective, not_after, before_activation, \
             after_expiry, epoch, idx, listed) \
         SELECT (SELECT min(row) FROM issuer), CAST(x'104d' || randomblob(15) AS BLOB), 'revoked', \
             CASE WHEN i % 4 = 0 THEN NULL ELSE 1 + i % 5 END, ?2 + i % 100000, ?2 + 100000000, \
             'good', 'kept', 1, 0, 1 FROM n",
        rusqlite::params![count.cast_signed(), (START - 200_000).cast_signed()],
    )
    .unwrap();
    println!("{count} revoked serials in {}", folder.display());
}

fn make(folder: &Path) {
    let store = open(folder);
    let certificate = Certificate::from_der(&fs::read(folder.join("ca.der")).unwrap()).unwrap();
    let key = fs::read(folder.join("key.p8")).unwrap();
    let work = Work {
        folder,
        store: store.as_ref(),
        id: id_of(&certificate),
        issuer: CrlIssuer::new(certificate, SignatureAlgorithm::EcdsaP256Sha256).unwrap(),
        key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key).unwrap(),
    };
    let before = cpu();
    let mut count = 0_u64;
    work.store
        .revoked(work.id, UnixTime::EPOCH, &mut |snapshot| {
            count = u64::try_from(snapshot.rows.map(Result::unwrap).count()).unwrap();
        })
        .unwrap();
    println!("entries: {count}");
    let _ = fs::remove_file(folder.join("last.crl"));
    println!("rows alone: {}", cost(before, count));
    let begun = cpu();
    work.make(count);
    println!("first list: {}", cost(begun, count));
    let begun = cpu();
    work.make(count);
    println!("second list, compared with the first: {}", cost(begun, count));
    println!("octets: {}", fs::metadata(folder.join("last.crl")).unwrap().len());
    println!("peak of memory: {}", status_line("VmHWM"));
}

struct Work<'a> {
    folder: &'a Path,
    store: &'a dyn Store,
    id: IssuerId,
    issuer: CrlIssuer,
    key: EcdsaKeyPair,
}

impl Work<'_> {
    fn make(&self, count: u64) {
        let begun = cpu();
        let last = self.folder.join("last.crl");
        let previous = last.exists().then(|| {
            let _believed = sha256(&last);
            let file = BufReader::new(File::open(&last).unwrap());
            let form = CrlForm::CertificateList;
            PreviousCrl::ours(CrlReader::start_believed(file, form, crl::MAX_OCTETS).unwrap())
        });
        println!("  previous list hashed: {}", cost(begun, count));

        let begun = cpu();
        let spool = self.folder.join("spool");
        let mut spooled = CrlSpool { file: create(&spool), path: spool.clone() };
        let number = self.store.next_crl_number(self.id, &CrlScope::full()).unwrap();
        let intent = IntentId::from_bytes([*number.as_octets().last().unwrap(); 16]);
        let now = at(10);
        let order = CrlOrder {
            issuer: &self.issuer,
            intent,
            number: &number,
            kind: CrlKind::COMPLETE,
            this_update: now,
            next_update: at(100_000),
            issuing_distribution_point: None,
            expired_certs_on_crl: None,
            new_dates: NewDates::SincePrevious,
        };
        let listing = Listing::UntilExpired { previous: Some(now) };
        let (mut previous, mut made) = (previous, None);
        self.store
            .revoked(self.id, UnixTime::EPOCH, &mut |snapshot| {
                let rows = snapshot.rows.filter_map(|row| {
                    let row = row.unwrap();
                    CrlEntry::of(row.serial, &row.status, listing).map(Ok::<_, io::Error>)
                });
                let why = &mut |_: &_| Departure::Unexplained;
                let prepared = crl::prepare(&order, rows, &mut spooled, previous.take(), why);
                made = Some((prepared.unwrap(), snapshot.head.size));
            })
            .unwrap();
        let (prepared, index) = made.unwrap();
        assert_eq!(prepared.entries, count);
        println!("  prepared: {}", cost(begun, count));

        let begun = cpu();
        let facts = CrlIntent {
            issuer: self.id,
            scope: CrlScope::full(),
            number: number.clone(),
            position: Position { epoch: 1, index },
            this_update: now,
            next_update: at(100_000),
            node: Node { name: "bench".to_owned(), boot: BootId::from_bytes([1; 16]) },
        };
        let record = audit(EventCode::CrlIntent);
        let recorded =
            self.store.record_crl_intent(&prepared.pending, &facts, &record, now).unwrap();
        let digest = sha256(&spool);
        let input = prepared.pending.input(&recorded).unwrap();
        assert_eq!(digest.as_ref(), input.digest());
        let signature = self.key.sign_digest(&digest).unwrap();
        let signed = prepared.pending.finish(signature.as_ref().to_vec()).unwrap();
        println!("  recorded and signed: {}", cost(begun, count));

        let begun = cpu();
        let finished = self.folder.join("finished");
        let mut sink = BufWriter::new(create(&finished));
        let source = BufReader::new(File::open(&spool).unwrap());
        let facts = crl::finish(&signed, source, &mut sink).unwrap();
        sink.flush().unwrap();
        let record = audit(EventCode::CrlIssued);
        self.store.record_crl_issued(&signed, facts.sha256, facts.length, &record, now).unwrap();
        fs::rename(&finished, &last).unwrap();
        println!("  finished: {}", cost(begun, count));
    }
}

/// CPU time since `begun`, in all and for an entry.
fn cost(begun: u64, count: u64) -> String {
    let spent = cpu().saturating_sub(begun);
    let whole = Duration::from_nanos(spent).as_secs_f64();
    format!("{whole:.3} s of CPU, {} ns an entry", spent / count.max(1))
}

/// CPU time of this thread, in nanoseconds.
fn cpu() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn status_line(name: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
}

fn sha256(path: &Path) -> aws_lc_rs::digest::Digest {
    let (mut hash, mut file) = (Context::new(&SHA256), File::open(path).unwrap());
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece).unwrap() {
            0 => return hash.finish(),
            count => hash.update(&piece[..count]),
        }
    }
}

fn open(folder: &Path) -> Arc<dyn Store> {
    let keys = FileKeySource::new(&folder.join("keys"));
    let deployment = "test/demo/ab12".parse().unwrap();
    let path: PathBuf = folder.join("sigill.db");
    Arc::new(SqliteStore::open_or_create(&path, deployment, &keys, at(0)).unwrap())
}

fn create(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).unwrap()
}

fn id_of(certificate: &Certificate) -> IssuerId {
    IssuerId::of(certificate.subject().as_der(), certificate.public_key().spki_der())
}

fn audit(code: EventCode) -> AuditRecord {
    let event = AuditEvent {
        code,
        result: EventResult::Done,
        actor: Actor::System([7; 16]),
        objects: ObjectIds::default(),
        policy: None,
    };
    AuditRecord { event, payload: b"bench".to_vec(), subject: Subject::Deployment }
}

fn make_ca(folder: &Path) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        assert!(Command::new("openssl").args(arguments).status().unwrap().success());
    };
    let (pem, key) = (path("ca.pem"), path("key.pem"));
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key]);
    let usage = "keyUsage=critical,keyCertSign,cRLSign";
    openssl(&[
        "req",
        "-x509",
        "-new",
        "-key",
        &key,
        "-sha256",
        "-days",
        "7000",
        "-set_serial",
        "0x4011",
        "-utf8",
        "-subj",
        "/C=SE/O=Sigill Test/CN=SIGILL TEST CA",
        "-addext",
        usage,
        "-out",
        &pem,
    ]);
    openssl(&["x509", "-in", &pem, "-outform", "DER", "-out", &path("ca.der")]);
    openssl(&[
        "pkcs8",
        "-topk8",
        "-nocrypt",
        "-in",
        &key,
        "-outform",
        "DER",
        "-out",
        &path("key.p8"),
    ]);
}
