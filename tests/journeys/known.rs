//! OCSP knows every certificate that there is: at the moment of its release, and whatever the database
//! holds, of whichever CA.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use support::budget;
use support::demo::until;
use support::suite::Check;
use x509::certificate::Certificate;
use x509::ocsp::{CertId, CertIdHash, CertStatus, OcspRequest, OcspResponse};
use x509::serial::SerialNumber;

use crate::accounts::Received;
use crate::deployment::{AUTHORITY, Deployment, Template};

pub(crate) const CHECKS: &[Check<Template>] =
    &[("known::no_certificate_is_unknown", no_certificate_is_unknown)];

/// Callers at once: as many as may wait for a checkpoint from one address.
const CALLERS: u64 = 8;
/// Certificates that one request asks about: as many as the responder takes.
const ASKED_AT_ONCE: usize = 16;
const READY_LIMIT: Duration = Duration::from_secs(120);

/// OCSP-04, promise 5: of each certificate whose release has just been answered OCSP says good, without
/// anybody having waited for its publication; and of every serial number that the database has, of
/// issuing CAs and root, by SHA-1 and SHA-256, none is unknown.
fn no_certificate_is_unknown(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let wanted = budget::count("released-certificates");
    let (api, next, put_off) = (deployment.api(), AtomicU64::new(0), AtomicU64::new(0));
    let issuer = read(&deployment, &format!("ceremony/out/{AUTHORITY}.cer"));
    let address = deployment.ocsp_url().replace("http://", "").parse().expect("an address");

    let first = Received::read("known", &api.ask(&deployment.order("known")));
    let published = deployment.home.join("publish/checkpoint");
    assert!(until(READY_LIMIT, || published.is_file().then_some(())).is_some());
    let responder = deployment.responder();
    let begun = until(READY_LIMIT, || ask(address, &issuer, CertIdHash::Sha1, &[first.serial]));
    assert_eq!(begun, Some(vec![CertStatus::Good]), "{}", responder.printed());
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut line = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= wanted {
                        return;
                    }
                    let order = deployment.order(&format!("known-{number}"));
                    let answer = api.persevere(&mut line, &order);
                    let serial = Received::read("known", &answer).serial;
                    let hash = CertIdHash::ALL[usize::try_from(number % 4).expect("an index")];
                    // A machine that stands still for three seconds puts questions off.
                    let said = until(READY_LIMIT, || {
                        let said = ask(address, &issuer, hash, &[serial]);
                        put_off.fetch_add(u64::from(said.is_none()), Ordering::Relaxed);
                        said
                    });
                    assert_eq!(said, Some(vec![CertStatus::Good]), "{serial}");
                }
            });
        }
    });
    println!("measured: certificates asked about at their release = {wanted}");
    println!("measured: put off with tryLater = {}", put_off.into_inner());

    let never = SerialNumber::from_random([0x5a; 16]);
    let unknown = until(READY_LIMIT, || ask(address, &issuer, CertIdHash::Sha1, &[never]));
    assert_eq!(unknown, Some(vec![CertStatus::Unknown]), "the judge can say so");
    let mut judged = 0;
    for (name, certificate, serials) in serials(&deployment) {
        let issuer = Certificate::from_der(&certificate).expect("a certificate");
        for hash in [CertIdHash::Sha1, CertIdHash::Sha256] {
            for some in serials.chunks(ASKED_AT_ONCE) {
                let said = until(READY_LIMIT, || ask(address, &issuer, hash, some));
                let said = said.unwrap_or_else(|| panic!("{name}: {}", responder.printed()));
                assert_eq!(said.len(), some.len());
                assert!(!said.contains(&CertStatus::Unknown), "{name}: {some:?}: {said:?}");
            }
        }
        println!("measured: known serial numbers of {name} = {}", serials.len());
        judged += 1;
    }
    assert!(judged >= 2, "an issuing CA, and the root with its children");
    let root = read(&deployment, "ceremony/out/sigilltesteidrootcav1.cer");
    let child = until(READY_LIMIT, || ask(address, &root, CertIdHash::Sha1, &[issuer.serial()]));
    assert_eq!(child, Some(vec![CertStatus::Good]), "the issuing CA at its root");
}

fn read(deployment: &Deployment, path: &str) -> Certificate {
    let der = fs::read(deployment.home.join(path)).expect("a file");
    Certificate::from_der(&der).expect("a certificate")
}

/// What OCSP says of the serial numbers, in their order; `None` for a refusal.
fn ask(
    address: SocketAddr,
    issuer: &Certificate,
    hash: CertIdHash,
    serials: &[SerialNumber],
) -> Option<Vec<CertStatus>> {
    let (name, key) = (issuer.subject().as_der(), issuer.public_key());
    let cert_ids = serials.iter().map(|serial| CertId::new(hash, name, key, *serial)).collect();
    let body = OcspRequest { cert_ids, nonce: None, preferred: Vec::new() }.to_der();
    let mut stream = TcpStream::connect(address).expect("the responder accepts");
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).expect("it reads");
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).expect("it answers");
    let head = raw.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    match OcspResponse::from_der(&raw[head..]).expect("an OCSP response") {
        OcspResponse::Basic(basic) => {
            let delegate = Certificate::from_der(&basic.certificates[0]).expect("a delegate");
            delegate.verify_signed_by(key).expect("the CA's delegate");
            basic.verify(delegate.public_key()).expect("its signature");
            Some(basic.answers.into_iter().map(|answer| answer.status).collect())
        }
        OcspResponse::Refused(3) => None,
        OcspResponse::Refused(code) => panic!("refused: {code}"),
    }
}

/// Every serial number that the database has and that is more than reserved, by its CA.
fn serials(deployment: &Deployment) -> Vec<(String, Vec<u8>, Vec<SerialNumber>)> {
    let database = deployment.database();
    let issuers = "SELECT row, name, certificate FROM issuer ORDER BY row";
    let mut statement = database.prepare(issuers).expect("a query");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let issuers: Vec<(i64, String, Vec<u8>)> =
        rows.expect("issuers").collect::<Result<_, _>>().expect("issuers");
    let of_issuer = |row: i64| -> Vec<SerialNumber> {
        let serials = "SELECT serial FROM serial WHERE issuer = ?1 AND state <> 'reserved'";
        let mut statement = database.prepare(serials).expect("a query");
        let rows = statement.query_map([row], |row| row.get::<_, Vec<u8>>(0)).expect("serials");
        let octets = rows.map(|serial| serial.expect("a serial number"));
        // The first octet is their number.
        octets
            .map(|octets| SerialNumber::from_content_octets(&octets[1..]).expect("1 to 20 octets"))
            .collect()
    };
    let all = issuers.into_iter().map(|(row, name, der)| (name, der, of_issuer(row)));
    all.filter(|(_, _, serials)| !serials.is_empty()).collect()
}
