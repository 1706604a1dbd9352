//! CAs on every type of key, each signing as its hierarchy file says: a small deployment of its own,
//! judged by the same relying parties and linters as the demo, refusals included.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::demo::{Demo, Issued, until};
use support::program::{self, Server};
use support::suite::Check;
use support::{ports, softhsm, spoken, workspace};
use tempfile::TempDir;

use crate::{Samples, gnutls, java, openssl, ours, pkilint};

pub(crate) const CHECKS: &[Check<Samples>] =
    &[("algorithms::every_type_of_ca_key_is_judged", every_type_of_ca_key_is_judged)];

/// An issuing CA of the hierarchy: its key, its algorithm as written, the profile that it issues
/// under, and what OpenSSL calls the algorithm.
type Authority = (&'static str, Option<&'static str>, &'static str, &'static str);

const AUTHORITIES: [Authority; 3] = [
    ("rsa-3072", Some("rsa-pss-sha256"), "function-pss", "rsassaPss"),
    ("ec-p384", Some("ecdsa-p384-sha384"), "function-ec", "ecdsa-with-SHA384"),
    // The one way there is, so nobody has to say it.
    ("ed25519", None, "function-ed", "ED25519"),
];

/// The root is P-384.
const OF_ROOT: &str = "ecdsa-with-SHA384";

/// How long the servers may take until they are ready.
const READY: Duration = Duration::from_secs(60);

/// KEY-11: no algorithm stands in code. Three CAs under a P-384 root issue, revoke, sign CRLs and OCSP
/// delegates, and every judge finds them good, and refuses what is to be refused.
fn every_type_of_ca_key_is_judged(_: &Samples) {
    if !Path::new(softhsm::MODULE).is_file() {
        println!("skipped: {} is not installed", softhsm::MODULE);
        return;
    }
    let deployment = Deployment::start();
    let demo = Demo::of_home(&deployment.home);
    let judged: Vec<(Authority, Samples)> = AUTHORITIES
        .into_iter()
        .map(|authority| {
            let [good, revoked] = [(); 2].map(|()| demo.issue_under(authority.2));
            let samples = Samples { good, revoked, persons: Vec::new(), demo: None };
            (authority, samples)
        })
        .collect();
    for (_, samples) in &judged {
        demo.revoke(&samples.revoked, "keyCompromise");
        samples.good.fetch_crls();
    }
    for ((key, _, _, algorithm), samples) in &judged {
        println!("CA on {key}, which signs with {algorithm}");
        signed_as_configured(&samples.good, algorithm);
        let judges = [openssl::CHECKS, gnutls::CHECKS, java::CHECKS, pkilint::CHECKS, ours::CHECKS];
        for (name, check) in judges.concat() {
            println!("{key}: {name}");
            check(samples);
        }
    }
}

/// What OpenSSL reads: leaf, delegate and CRL of the issuing CA, and what the root has signed.
fn signed_as_configured(issued: &Issued, algorithm: &str) {
    let [delegate, root_delegate] = pkilint::delegates(issued);
    let read =
        |kind: &str, file: &str| issued.openssl(&[kind, "-in", file, "-noout", "-text"]).text;
    for (kind, file, expected) in [
        ("x509", "leaf.pem", algorithm),
        ("x509", delegate, algorithm),
        ("crl", "issuing.crl.pem", algorithm),
        ("x509", "issuing.pem", OF_ROOT),
        ("x509", root_delegate, OF_ROOT),
        ("crl", "root.crl.pem", OF_ROOT),
    ] {
        let text = read(kind, file);
        let found: Vec<&str> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Signature Algorithm: "))
            .collect();
        assert!(!found.is_empty() && found.iter().all(|it| *it == expected), "{file}: {found:?}");
        if expected == "rsassaPss" {
            // Inside and outside: hash, mask function and salt as RFC 4055 §3.1 has them for SHA-256.
            for said in ["Hash Algorithm: sha256", "mgf1 with sha256", "Salt Length: 0x20"] {
                assert!(text.matches(said).count() >= 1, "{file} does not say {said}: {text}");
            }
        }
    }
}

/// A deployment whose servers run until it is dropped.
struct Deployment {
    home: PathBuf,
    _servers: [Server; 2],
    _folder: TempDir,
}

impl Deployment {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = folder.path().join("home");
        let (hierarchy, profiles) =
            (folder.path().join("hierarchy.toml"), folder.path().join("profiles"));
        fs::write(&hierarchy, hierarchy_file()).expect("a hierarchy file");
        write_profiles(&profiles);
        let ports = [(); 4].map(|()| ports::free_address());
        let [api, public, observe_ca, observe_ocsp] = ports.map(|address| address.to_string());
        succeeds(
            Command::new(program::built("sigill-ceremony"))
                .args(["demo", "--module", softhsm::MODULE])
                .args(["--home".as_ref(), home.as_os_str()])
                .args(["--hierarchy".as_ref(), hierarchy.as_os_str()])
                .args(["--profiles".as_ref(), profiles.as_os_str()])
                .args(["--api", &api, "--public", &public])
                .args(["--observe-ca", &observe_ca, "--observe-ocsp", &observe_ocsp]),
        );
        let of_ca = |command: &str| {
            let mut program = Command::new(program::built("sigill-ca"));
            program.arg(command).arg("--config").arg(home.join("config/ca.toml"));
            program.env("SOFTHSM2_CONF", home.join("softhsm2.conf"));
            program
        };
        succeeds(of_ca("import").arg("--from").arg(home.join("ceremony/out/outputs.json")));
        let mut responder = Command::new(program::built("sigill-ocsp"));
        responder.args(["serve", "--config"]).arg(home.join("config/ocsp.toml"));
        responder.env("SOFTHSM2_CONF", home.join("softhsm2.conf"));
        let servers = [
            Server::start(&mut of_ca("serve"), &folder.path().join("ca.log"), ports[0]),
            Server::start(&mut responder, &folder.path().join("ocsp.log"), ports[1]),
        ];
        for (observe, server) in [observe_ca, observe_ocsp].iter().zip(&servers) {
            let url = format!("http://{observe}/readyz");
            let ready = until(READY, || {
                let mut curl = Command::new("curl");
                curl.args(["--silent", "--fail", "--noproxy", "*", "--max-time", "2", &url]);
                (spoken::run(&mut curl, &[]).code == 0).then_some(())
            });
            assert!(ready.is_some(), "{url}: {}", server.printed());
        }
        Self { home, _servers: servers, _folder: folder }
    }
}

/// A hierarchy of a user's own: the demo's, with another root and other issuing CAs.
fn hierarchy_file() -> String {
    let demo = workspace::root().join("environments/demo/hierarchy.toml");
    let text = fs::read_to_string(demo).expect("the demo's hierarchy");
    let (head, rest) = text.split_once("[[issuing]]\n").expect("issuing CAs");
    let (_, management) = rest.split_once("[management]\n").expect("a management CA");
    let head = replaced(head, "\"rsa-4096\"", "\"ec-p384\"");
    let head = replaced(&head, "\"rsa-pkcs1-sha256\"", "\"ecdsa-p384-sha384\"");
    let issuing: String = AUTHORITIES
        .iter()
        .map(|(key, algorithm, profile, _)| {
            let algorithm =
                algorithm.map(|name| format!("algorithm = \"{name}\"\n")).unwrap_or_default();
            format!(
                "[[issuing]]\ncommon-name = \"SIGILL TEST e-id {key} CA v1\"\nkey = \"{key}\"\n\
                 {algorithm}profiles = [\"{profile}\", \"ocsp\"]\n\n"
            )
        })
        .collect();
    let names = AUTHORITIES.map(|(_, _, profile, _)| format!("\"{profile}\"")).join(", ");
    let (before, rest) = management.split_once("profiles = [").expect("the portal's profiles");
    let (_, after) = rest.split_once(']').expect("an end of them");
    format!("{head}{issuing}[management]\n{before}profiles = [{names}]{after}")
}

/// The shipped profiles, whose CAs may have the other keys too, and one of functions for each CA.
fn write_profiles(folder: &Path) {
    let shipped = workspace::root().join("profiles");
    succeeds(Command::new("cp").arg("-r").arg(&shipped).arg(folder));
    let read = |name: &str| fs::read_to_string(shipped.join(name)).expect("a profile");
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a profile");
    write("root.toml", replaced(&read("root.toml"), "\"rsa-4096\"", "\"ec-p384\""));
    let issuing = replaced(&read("issuing.toml"), "\"rsa-4096\"", "\"rsa-3072\", \"ed25519\"");
    write("issuing.toml", issuing);
    for (number, name) in ["function-pss", "function-ed"].into_iter().enumerate() {
        let text = replaced(&read("function-ec.toml"), "\"function-ec\"", &format!("\"{name}\""));
        // A policy belongs to one profile and one CA (PRO-10).
        let policy = format!("1.3.6.1.4.1.32473.1.1.9{number}\"");
        write(&format!("{name}.toml"), replaced(&text, "1.3.6.1.4.1.32473.1.1.2\"", &policy));
    }
}

fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old} is not in {text}");
    text.replacen(old, new, 1)
}

fn succeeds(command: &mut Command) {
    let said = spoken::run(command, &[]);
    assert_eq!(said.code, 0, "{command:?}: {}", said.text);
}
