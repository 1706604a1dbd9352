//! Other people's relying parties and linters judge certificates, CRLs and OCSP answers of a demo
//! that runs: one module a second opinion.
//!
//! Each is asked about a good and a revoked certificate, and about something that it must refuse,
//! so that a judge who says yes to everything is seen.

mod algorithms;
mod apache;
mod crl_shapes;
mod directory;
mod gnutls;
mod java;
mod nginx;
mod nss;
mod openssl;
mod ours;
mod outer;
mod pkilint;
mod pkinit;
mod profiles;
mod pyhanko;
mod stunnel;
mod test_certificates;

use std::process::ExitCode;

use support::demo::{Demo, Issued, Order};
use support::suite;

fn main() -> ExitCode {
    let checks = [
        openssl::CHECKS,
        gnutls::CHECKS,
        java::CHECKS,
        nginx::CHECKS,
        apache::CHECKS,
        stunnel::CHECKS,
        nss::CHECKS,
        pyhanko::CHECKS,
        pkilint::CHECKS,
        crl_shapes::CHECKS,
        ours::CHECKS,
        outer::CHECKS,
        algorithms::CHECKS,
        profiles::CHECKS,
        directory::CHECKS,
        pkinit::CHECKS,
        test_certificates::CHECKS,
    ];
    suite::run(&checks.concat(), Samples::make)
}

/// A file of docs/relying-parties as it is shipped, its paths below `folder`.
fn shipped(name: &str, folder: &std::path::Path) -> String {
    let path = support::workspace::root().join("docs/relying-parties").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    assert!(text.contains("/etc/sigill/"), "{name} names no file of the relying party's");
    text.replace("/etc/sigill/", &format!("{}/", folder.display()))
}

/// What all judges are asked about: made once, because the CAs of a demo have slow keys.
struct Samples {
    good: Issued,
    revoked: Issued,
    /// A person's certificates, good.
    persons: Vec<Issued>,
    /// Kept running as long as these are asked about; `None` where the caller keeps it.
    demo: Option<Demo>,
}

impl Samples {
    fn make() -> Self {
        let demo = Demo::running();
        let good = demo.issue(Order::Function);
        let revoked = demo.issue(Order::Function);
        let persons = [Order::PersonAuthentication, Order::PersonSignature];
        let persons = persons.map(|order| demo.issue(order)).into();
        demo.revoke(&revoked, "keyCompromise");
        good.fetch_crls();
        Self { good, revoked, persons, demo: Some(demo) }
    }
}
