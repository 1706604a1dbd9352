//! stunnel with `OCSPaia`: it asks by POST about every certificate of a client's chain.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use support::demo::Issued;
use support::program::Server;
use support::suite::Check;
use support::{ports, spoken, tool};
use tempfile::TempDir;

use crate::Samples;

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("stunnel::lets_good_certificates_in", lets_good_certificates_in),
    ("stunnel::keeps_the_revoked_certificate_out", keeps_the_revoked_certificate_out),
    ("stunnel::keeps_everybody_out_while_nobody_answers", keeps_everybody_out_while_nobody_answers),
];

/// A stunnel with one of the demo's function certificates, behind which everybody is told `in`.
struct Stunnel {
    address: SocketAddr,
    folder: TempDir,
    server: Server,
}

impl Stunnel {
    /// `asks` says whom it asks and how. `None` where it is not installed.
    fn start(own: &Issued, clients: &Issued, asks: &str) -> Option<Self> {
        let stunnel = tool::find("stunnel")?;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let address = ports::free_address();
        let (home, files) = (folder.path().display(), own.folder().display());
        // Of a responder's issuer it knows what it trusts, and not what the client sends.
        let trusted = [clients.read("issuing.pem"), own.read("root.pem")].concat();
        fs::write(folder.path().join("cas.pem"), trusted).expect("the CAs can be written");
        let configuration = format!(
            "foreground = yes\npid =\ndebug = info\n[door]\naccept = {address}\n\
             cert = {files}/chain.pem\nkey = {files}/key.pem\nCAfile = {home}/cas.pem\n\
             verifyChain = yes\n{asks}\nexec = /bin/echo\nexecArgs = echo in\n"
        );
        let file = folder.path().join("stunnel.conf");
        fs::write(&file, configuration).expect("the configuration can be written");
        let log = folder.path().join("log");
        let server = Server::start(Command::new(stunnel).arg(&file), &log, address);
        Some(Self { address, folder, server })
    }

    /// What a client with this certificate and chain hears.
    fn visit(&self, client: &Issued) -> String {
        let address = self.address.to_string();
        let connect = ["s_client", "-connect", &address, "-cert", "leaf.pem", "-key", "key.pem"];
        // It stays until the door closes, which it does when all is said.
        let quiet = ["-cert_chain", "chain.pem", "-quiet"];
        let mut command = Command::new("timeout");
        command.args(["60", "openssl"]).args(connect).args(quiet).current_dir(client.folder());
        spoken::run(&mut command, &[]).text
    }

    fn log(&self) -> String {
        let _ = &self.folder;
        self.server.printed()
    }
}

const BY_THE_CERTIFICATE: &str = "OCSPaia = yes";
const WITH_A_NONCE: &str = "OCSPaia = yes\nOCSPnonce = yes";

fn lets_good_certificates_in(samples: &Samples) {
    for asks in [BY_THE_CERTIFICATE, WITH_A_NONCE] {
        for client in [&samples.good, &samples.persons[0]] {
            let Some(stunnel) = Stunnel::start(&samples.good, client, asks) else { return };

            let said = stunnel.visit(client);

            assert!(said.lines().any(|line| line == "in"), "{asks}: {said}{}", stunnel.log());
        }
    }
}

fn keeps_the_revoked_certificate_out(samples: &Samples) {
    for asks in [BY_THE_CERTIFICATE, WITH_A_NONCE] {
        let Some(stunnel) = Stunnel::start(&samples.good, &samples.revoked, asks) else { return };

        let said = stunnel.visit(&samples.revoked);

        assert!(!said.lines().any(|line| line == "in"), "{asks}: {said}");
        assert!(stunnel.log().contains("OCSP: Certificate revoked"), "{asks}: {}", stunnel.log());
    }
}

fn keeps_everybody_out_while_nobody_answers(samples: &Samples) {
    let nobody = format!("OCSP = http://{}/", ports::free_address());
    let Some(stunnel) = Stunnel::start(&samples.good, &samples.good, &nobody) else { return };

    let said = stunnel.visit(&samples.good);

    assert!(!said.lines().any(|line| line == "in"), "{said}{}", stunnel.log());
}
