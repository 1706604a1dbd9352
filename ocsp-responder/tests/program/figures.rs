//! A responder for `benches/run --ocsp` to put load on: an inner zone with as many certificates as are wanted, and questions
//! about some of them. Nothing is measured here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use status::{
    AfterExpiry, AnswerClasses, BeforeActivation, CertificateEntry, Change, RevocationReason,
    StatusEntry,
};
use support::program::Server;
use support::softhsm::alone;
use support::test_name;
use x509::ocsp::CertIdHash;
use x509::serial::SerialNumber;

use crate::fixture::{World, hex, now};

/// Certificates that are asked about; every twentieth of them is revoked.
const ASKED: u64 = 2000;
const REVOKED_EVERY: u64 = 20;
/// Entries that are written at once.
const CHUNK: u64 = 100_000;
/// A world whose caller is gone ends by itself.
const LONGEST: Duration = Duration::from_secs(3600);

/// What `benches/run` wants, in the environment: the file that says where everything is, which ends the world when it is
/// deleted; how many certificates; further lines for the authority; and the program, where it is not the one built here.
struct Order {
    told: PathBuf,
    certificates: u64,
    authority: String,
    program: PathBuf,
}

impl Order {
    fn read() -> Option<Self> {
        let value = |name: &str| std::env::var(format!("SIGILL_BENCH_{name}")).ok();
        let own = || env!("CARGO_BIN_EXE_sigill-ocsp").to_owned();
        Some(Self {
            told: value("WORLD")?.into(),
            certificates: value("CERTIFICATES")?.parse().unwrap(),
            authority: value("AUTHORITY").unwrap_or_default(),
            program: value("PROGRAM").unwrap_or_else(own).into(),
        })
    }
}

/// Spread over all serial numbers, and another one for each certificate.
fn serial_of(certificate: u64) -> SerialNumber {
    let spread = certificate.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    SerialNumber::from_random([spread, certificate.to_be_bytes()].concat().try_into().unwrap())
}

fn publish(world: &World, certificates: u64) {
    let not_after = now().checked_add(Duration::from_secs(365 * 86_400)).unwrap();
    let (before_activation, after_expiry) = (BeforeActivation::Good, AfterExpiry::Kept);
    let classes = AnswerClasses { before_activation, after_expiry };
    let entry = |certificate, what| {
        let serial = serial_of(certificate);
        StatusEntry::Certificate(CertificateEntry::own(now(), world.issuer, serial, what))
    };
    let mut first = 0;
    while first < certificates {
        let end = certificates.min(first + CHUNK);
        let issued = |one| entry(one, Change::Issued { not_after, classes });
        world.append(&(first..end).map(issued).collect::<Vec<_>>());
        first = end;
    }
    let reason = Some(RevocationReason::Superseded);
    let revoked = (0..ASKED.min(certificates)).step_by(usize::try_from(REVOKED_EVERY).unwrap());
    let revoked = revoked.map(|one| entry(one, Change::Revoked { reason, invalidity_date: None }));
    world.append(&revoked.collect::<Vec<_>>());
}

/// One question a line: hexadecimal for POST, the path of a GET; with a nonce and without.
fn write_questions(world: &World, asked: u64) {
    for kind in ["plain", "nonce"] {
        let questions: Vec<Vec<u8>> = (0..asked)
            .map(|one| {
                let nonce: [u8; 32] = Sha256::digest(one.to_be_bytes()).into();
                let nonce = (kind == "nonce").then_some(nonce.as_slice());
                world.ca.question_about(CertIdHash::Sha1, serial_of(one), nonce)
            })
            .collect();
        let posted = questions.iter().map(|der| hex(der) + "\n").collect::<String>();
        fs::write(world.path(&format!("{kind}.post")), posted).unwrap();
        let encoded = |der: &Vec<u8>| {
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            text.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D") + "\n"
        };
        let got = questions.iter().map(encoded).collect::<String>();
        fs::write(world.path(&format!("{kind}.get")), got).unwrap();
    }
}

#[test]
#[ignore = "stays until benches/run --ocsp has measured it"]
fn a_world_for_benches() {
    alone(test_name!(a_world_for_benches), |softhsm| {
        let Some(Order { told, certificates, authority, program }) = Order::read() else { return };
        let mut world = World::new(softhsm);
        world.edit_config(|config| {
            let config = config.replace("host = \"ocsp1.example.org\"\n", "");
            config.replace("name = \"person3\"", &format!("name = \"person3\"\n{authority}"))
        });
        publish(&world, certificates);
        write_questions(&world, ASKED.min(certificates));
        // The state folder is the program's, and its keys have modes of their own.
        fs::create_dir(world.path("state")).unwrap();
        fs::set_permissions(world.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
        world.beat();
        let usual = world.command();
        let mut command = Command::new(program);
        command.args(usual.get_args());
        command.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let begun = Instant::now();
        let server = Server::start(&mut command, &world.path("log"), world.address);
        world.answer_request();
        world.wait_until_ready();
        let facts = format!(
            "{{\"pid\": {}, \"address\": \"{}\", \"observe\": \"{}\", \"folder\": {:?}, \"ready_s\": {:.2}}}\n",
            server.id(),
            world.address,
            world.observe,
            world.base,
            begun.elapsed().as_secs_f64()
        );
        crate::fixture::replace(&told, facts.as_bytes());
        while told.exists() && begun.elapsed() < LONGEST {
            thread::sleep(Duration::from_millis(100));
        }
    });
}
