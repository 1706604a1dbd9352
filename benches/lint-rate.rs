//! How long the linter takes for one certificate: the golden certificates of three profiles, again and again.
//!
//! `cargo run --release -p lint --example lint-rate` prints the best of five runs for each, in microseconds. The
//! issuer is the golden root, RSA 4096, read once, as the CA does.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program: it reads the clock and prints, and what goes wrong ends it"
)]

use std::hint::black_box;
use std::time::Instant;

use lint::{IssuerContext, Kind, KnownIssuer};
use x509::certificate::Certificate;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::signing::assemble;

const ROUNDS: u32 = 5_000;

const SAMPLES: [(&str, Kind, &[u8]); 3] = [
    ("function", Kind::Function, include_bytes!("../ca/src/prepare/golden/function.tbs")),
    (
        "person-hsaid-3-authentication",
        Kind::PersonAuthentication,
        include_bytes!("../ca/src/prepare/golden/person-hsaid-3-authentication.tbs"),
    ),
    ("ocsp", Kind::OcspResponder, include_bytes!("../ca/src/prepare/golden/ocsp.tbs")),
];

fn main() {
    let root = include_bytes!("../ca/src/prepare/golden/root.tbs");
    let root = finished(root, SignatureAlgorithm::RsaPkcs1Sha256);
    let known = KnownIssuer::read(&root).unwrap();
    let issuer = IssuerContext::Known(&known);
    for (name, kind, to_be_signed) in SAMPLES {
        let der = finished(to_be_signed, SignatureAlgorithm::RsaPkcs1Sha512);
        let findings = lint::certificate(&der, &issuer, kind);
        assert!(findings.is_empty(), "{name}: {findings}");
        let linted = best(|| drop(black_box(lint::certificate(black_box(&der), &issuer, kind))));
        let read = best(|| drop(black_box(Certificate::from_der(black_box(&der)))));
        println!("{name}: linted in {linted:.2} us, read back in {read:.2} us");
    }
}

/// The best of five runs, in microseconds a round.
fn best(mut round: impl FnMut()) -> f64 {
    let run = |_| {
        let began = Instant::now();
        for _ in 0..ROUNDS {
            round();
        }
        began.elapsed() / ROUNDS
    };
    (0..5).map(run).min().unwrap().as_secs_f64() * 1e6
}

/// The certificate with a signature that nobody made.
fn finished(to_be_signed: &[u8], algorithm: SignatureAlgorithm) -> Vec<u8> {
    assemble(to_be_signed, algorithm, &algorithm.placeholder(KeyType::Rsa { bits: 4096 })).unwrap()
}
