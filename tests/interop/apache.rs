//! Apache's mod_ssl with client certificates and `SSLOCSPEnable on`, by POST, with a nonce as it is used to and without
//! one: who comes in, and what an application behind it
//! hears of a person: the names of the subject, the user principal name, the e-mail address.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use support::demo::{Issued, Order};
use support::program::Server;
use support::suite::Check;
use support::{ports, spoken, tool};
use tempfile::TempDir;

use crate::Samples;

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("apache::lets_good_certificates_in", lets_good_certificates_in),
    ("apache::keeps_the_revoked_certificate_out", keeps_the_revoked_certificate_out),
    ("apache::does_what_the_shipped_file_says", does_what_the_shipped_file_says),
    ("apache::asks_without_a_nonce", asks_without_a_nonce),
    ("apache::hears_the_names_of_a_person", hears_the_names_of_a_person),
];

/// Where Debian keeps Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// What the server tells of who came in.
const TOLD: [&str; 4] = [
    "SSL_CLIENT_VERIFY",
    "SSL_CLIENT_S_DN",
    "SSL_CLIENT_SAN_OTHER_msUPN_0",
    "SSL_CLIENT_SAN_Email_0",
];

/// An Apache whose own certificate is one of the demo's function certificates.
struct Apache {
    address: SocketAddr,
    folder: TempDir,
    _server: Server,
}

impl Apache {
    /// It takes the clients of these certificates' CAs. Apache looks for the CA of an OCSP answer among those that it
    /// was given, and not in what the client sends. `None` where it is not installed.
    fn start(own: &Issued, clients: &[&Issued]) -> Option<Self> {
        Self::start_with(own, clients, "")
    }

    /// The same with `more` in its configuration.
    fn start_with(own: &Issued, clients: &[&Issued], more: &str) -> Option<Self> {
        Self::configured(own, clients, |home| {
            let trusted = home.join("cas.pem");
            format!(
                "SSLCACertificateFile {}\nSSLVerifyClient require\nSSLVerifyDepth 2\nSSLOCSPEnable on\n{more}",
                trusted.display()
            )
        })
    }

    /// `verifying` says whom it lets in, from its folder.
    fn configured(
        own: &Issued,
        clients: &[&Issued],
        verifying: impl FnOnce(&Path) -> String,
    ) -> Option<Self> {
        let apache = tool::find("apache2")?;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let address = ports::free_address();
        let (home, files) = (folder.path().display(), own.folder().display());
        let load = |module: &str| format!("LoadModule {module}_module {MODULES}/mod_{module}.so\n");
        let modules: String = ["mpm_event", "authz_core", "headers", "ssl"].map(load).concat();
        let headers: String =
            TOLD.map(|name| format!("Header always set {name} \"%{{{name}}}s\"\n")).concat();
        let verifying = verifying(folder.path());
        let configuration = format!(
            "{modules}ServerRoot {home}\nServerName localhost\nListen {address}\nPidFile {home}/pid\n\
             User nobody\nErrorLog {home}/error.log\nLogLevel ssl:info\nDocumentRoot {home}/pages\n\
             Mutex file:{home}\n\
             SSLEngine on\nSSLCertificateFile {files}/chain.pem\nSSLCertificateKeyFile {files}/key.pem\n\
             {verifying}\n\
             {headers}<Location />\nRequire all granted\n</Location>\n"
        );
        let issuing = clients.iter().flat_map(|client| client.read("issuing.pem"));
        let trusted: Vec<u8> = issuing.chain(own.read("root.pem")).collect();
        fs::write(folder.path().join("cas.pem"), trusted).expect("the CAs can be written");
        // Started by root, it serves pages as nobody.
        let readable = Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), readable).expect("the folder can be opened");
        fs::create_dir(folder.path().join("pages")).expect("a folder");
        fs::write(folder.path().join("pages/index.html"), "in\n").expect("a page");
        let file = folder.path().join("apache.conf");
        fs::write(&file, configuration).expect("the configuration can be written");
        let mut command = Command::new(apache);
        // One process: there is none left when it is ended.
        command.arg("-X").arg("-f").arg(&file);
        let server = Server::start(&mut command, &folder.path().join("log"), address);
        Some(Self { address, folder, _server: server })
    }

    /// Head and status that a client with this certificate and chain gets.
    fn visit(&self, client: &Issued) -> String {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--max-time", "30", "--insecure", "--include"])
            .args(["--cert", "chain.pem", "--key", "key.pem"])
            .arg(format!("https://{}/index.html", self.address))
            .current_dir(client.folder());
        spoken::run(&mut command, &[]).text
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

fn lets_good_certificates_in(samples: &Samples) {
    let clients = [&samples.good, &samples.persons[0]];
    let Some(apache) = Apache::start(&samples.good, &clients) else { return };
    for client in clients {
        let said = apache.visit(client);

        assert!(
            said.contains(" 200 OK") && said.contains("\nSSL_CLIENT_VERIFY: SUCCESS\r"),
            "{said}{}",
            apache.log()
        );
    }
}

/// docs/relying-parties/apache.conf, as it stands.
fn does_what_the_shipped_file_says(samples: &Samples) {
    let clients = [&samples.persons[0], &samples.revoked];
    let shipped = |home: &Path| crate::shipped("apache.conf", home);
    let Some(apache) = Apache::configured(&samples.good, &clients, shipped) else { return };

    let [good, revoked] = clients.map(|client| apache.visit(client));

    assert!(good.contains(" 200 OK") && good.contains("\nSSL_CLIENT_VERIFY: SUCCESS\r"), "{good}");
    assert!(!revoked.contains("200 OK") && !revoked.contains("SUCCESS"), "{revoked}");
}

fn keeps_the_revoked_certificate_out(samples: &Samples) {
    let Some(apache) = Apache::start(&samples.good, &[&samples.revoked]) else { return };

    let said = apache.visit(&samples.revoked);

    assert!(!said.contains("200 OK") && !said.contains("SUCCESS"), "{said}");
    assert!(apache.log().contains("certificate revoked"), "{}", apache.log());
}

/// `SSLOCSPUseRequestNonce off`: the answers are those that are kept, and the verdicts the same.
fn asks_without_a_nonce(samples: &Samples) {
    let clients = [&samples.good, &samples.revoked];
    let off = "SSLOCSPUseRequestNonce off";
    let Some(apache) = Apache::start_with(&samples.good, &clients, off) else { return };

    let (good, revoked) = (apache.visit(&samples.good), apache.visit(&samples.revoked));

    assert!(good.contains("SSL_CLIENT_VERIFY: SUCCESS\r"), "{good}{}", apache.log());
    assert!(!revoked.contains("200 OK") && !revoked.contains("SUCCESS"), "{revoked}");
    assert!(apache.log().contains("certificate revoked"), "{}", apache.log());
}

/// Apache writes the subject as RFC 2253 does, the last attribute first.
fn hears_the_names_of_a_person(samples: &Samples) {
    let Some(demo) = &samples.demo else { return };
    let person = demo.issue_changed(Order::PersonAuthentication, |_, request| {
        request["alternative_names"] =
            json!({ "upn": "tolvan@example.org", "email": "tolvan.tolvansson@example.org" });
    });
    let Some(apache) = Apache::start(&samples.good, &[&person]) else { return };

    let said = apache.visit(&person);

    for line in [
        "SSL_CLIENT_S_DN: serialNumber=TST2321000016-1002,GN=Tolvan,SN=Tolvansson,CN=Tolvan Tolvansson,O=Sigill Test,C=SE",
        "SSL_CLIENT_SAN_OTHER_msUPN_0: tolvan@example.org",
        "SSL_CLIENT_SAN_Email_0: tolvan.tolvansson@example.org",
    ] {
        assert!(said.contains(&format!("\n{line}\r")), "{line}: {said}");
    }
}
