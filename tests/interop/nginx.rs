//! nginx with `ssl_verify_client` and `ssl_ocsp`: it asks by GET, with SHA-1 CertIDs and without a nonce,
//! with `on` about every certificate of the client's chain, so that the root must answer too, with
//! `leaf` about the client's alone. And nginx that staples the answer about its own certificate.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use support::demo::{Issued, until};
use support::program::Server;
use support::suite::Check;
use support::{ports, spoken, tool};
use tempfile::TempDir;

use crate::Samples;

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("nginx::lets_good_certificates_in", lets_good_certificates_in),
    ("nginx::keeps_the_revoked_certificate_out", keeps_the_revoked_certificate_out),
    ("nginx::does_what_the_shipped_file_says", does_what_the_shipped_file_says),
    ("nginx::asks_about_the_leaf_alone", asks_about_the_leaf_alone),
    ("nginx::staples_the_good_answer_and_not_the_revoked", staples_the_good_answer),
    ("nginx::keeps_signature_certificates_out", keeps_signature_certificates_out),
    ("nginx::hears_the_names_of_a_person", hears_the_names_of_a_person),
    ("nginx::keeps_everybody_out_while_nobody_answers", keeps_everybody_out_while_nobody_answers),
];

/// Only clients with a certificate come in.
const VERIFIES: &str = "ssl_verify_client on;";

/// An nginx whose own certificate is one of the demo's function certificates.
struct Nginx {
    address: SocketAddr,
    folder: TempDir,
    _server: Server,
}

impl Nginx {
    /// It asks about all of a client's chain; `more` goes into its server block. `None` where nginx is
    /// not installed.
    fn start(own: &Issued, more: &str) -> Option<Self> {
        Self::start_with(own, &format!("{VERIFIES} ssl_ocsp on; {more}"))
    }

    /// `tls` says whom it lets in and what it staples.
    fn start_with(own: &Issued, tls: &str) -> Option<Self> {
        let root = own.folder().join("root.pem");
        let trust = format!("ssl_client_certificate {}; ssl_verify_depth 2;", root.display());
        Self::configured(own, &format!("{trust} {tls}"))
    }

    /// `tls` says whom it trusts, too.
    fn configured(own: &Issued, tls: &str) -> Option<Self> {
        let nginx = tool::find("nginx")?;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let address = ports::free_address();
        let (home, own) = (folder.path().display(), own.folder().display());
        let configuration = format!(
            "daemon off; master_process off; pid {home}/pid; error_log {home}/error.log info;\n\
             events {{}}\n\
             http {{\n\
               access_log off;\n\
               client_body_temp_path {home}/1; proxy_temp_path {home}/2;\n\
               fastcgi_temp_path {home}/3; uwsgi_temp_path {home}/4; scgi_temp_path {home}/5;\n\
               server {{\n\
                 listen {address} ssl;\n\
                 ssl_certificate {own}/chain.pem; ssl_certificate_key {own}/key.pem;\n\
                 {tls}\n\
                 location / {{ return 200 \"$ssl_client_verify\\n\"; }}\n\
                 location /names {{ return 200 \"$ssl_client_s_dn\\n$ssl_client_i_dn\\n$ssl_client_serial\\n\"; }}\n\
               }}\n\
             }}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).expect("the configuration can be written");
        let mut command = Command::new(nginx);
        command.arg("-c").arg(&file).arg("-p").arg(folder.path());
        let server = Server::start(&mut command, &folder.path().join("log"), address);
        Some(Self { address, folder, _server: server })
    }

    /// The status and body that a client with this certificate and chain gets.
    fn visit(&self, client: &Issued) -> String {
        self.visit_page(client, "")
    }

    fn visit_page(&self, client: &Issued, page: &str) -> String {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--max-time", "30", "--insecure"])
            .args(["--cert", "chain.pem", "--key", "key.pem", "--write-out", "%{http_code}"])
            .arg(format!("https://{}/{page}", self.address))
            .current_dir(client.folder());
        spoken::run(&mut command, &[]).text
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

fn lets_good_certificates_in(samples: &Samples) {
    let Some(nginx) = Nginx::start(&samples.good, "") else { return };
    for client in [&samples.good, &samples.persons[0]] {
        let said = nginx.visit(client);

        assert_eq!(said, "SUCCESS\n200", "{}", nginx.log());
    }
}

/// docs/relying-parties/nginx.conf, as it stands.
fn does_what_the_shipped_file_says(samples: &Samples) {
    let own = &samples.good;
    let shipped = crate::shipped("nginx.conf", own.folder());
    let Some(nginx) = Nginx::configured(own, &shipped) else { return };

    let (good, revoked) = (nginx.visit(&samples.persons[0]), nginx.visit(&samples.revoked));

    assert_eq!(good, "SUCCESS\n200", "{}", nginx.log());
    assert!(revoked.ends_with("400") && !revoked.contains("SUCCESS"), "{revoked}: {}", nginx.log());
}

fn keeps_the_revoked_certificate_out(samples: &Samples) {
    let Some(nginx) = Nginx::start(&samples.good, "") else { return };

    let said = nginx.visit(&samples.revoked);

    assert!(said.ends_with("400") && !said.contains("SUCCESS"), "{said}: {}", nginx.log());
    assert!(nginx.log().contains("certificate revoked"), "{}", nginx.log());
}

/// `ssl_ocsp leaf`: who is revoked stays out, and nobody is asked about the issuing CA.
fn asks_about_the_leaf_alone(samples: &Samples) {
    let tls = format!("{VERIFIES} ssl_ocsp leaf;");
    let Some(nginx) = Nginx::start_with(&samples.good, &tls) else { return };

    let (good, revoked) = (nginx.visit(&samples.good), nginx.visit(&samples.revoked));

    assert_eq!(good, "SUCCESS\n200", "{}", nginx.log());
    assert!(revoked.ends_with("400") && !revoked.contains("SUCCESS"), "{revoked}: {}", nginx.log());
    assert!(nginx.log().contains("certificate revoked"), "{}", nginx.log());
}

/// A client that wants to see the staple comes in to a server with a good certificate, and finds none
/// at one with a revoked certificate: nginx verifies what it staples.
fn staples_the_good_answer(samples: &Samples) {
    for (own, is_good) in [(&samples.good, true), (&samples.revoked, false)] {
        let trusted = own.path("cas.pem");
        let tls = format!(
            "ssl_stapling on; ssl_stapling_verify on; ssl_trusted_certificate {};",
            trusted.display()
        );
        let Some(nginx) = Nginx::start_with(own, &tls) else { return };
        let visit = || {
            let port = nginx.address.port();
            let mut command = Command::new("curl");
            command
                .args(["--silent", "--show-error", "--max-time", "30", "--cert-status"])
                .args(["--cacert", "root.pem", "--connect-to"])
                .arg(format!("localhost.example.org:443:127.0.0.1:{port}"))
                .arg("https://localhost.example.org/")
                .current_dir(own.folder());
            spoken::run(&mut command, &[])
        };
        // It asks for the answer when the first client comes.
        let limit = Duration::from_secs(60);
        if is_good {
            let seen = until(limit, || Some(visit()).filter(|said| said.code == 0));
            assert!(seen.is_some(), "{:?}: {}", visit(), nginx.log());
        } else {
            let refused = || nginx.log().contains("certificate status \"revoked\"");
            let seen = until(limit, || Some(visit()).filter(|_| refused()));
            assert!(seen.is_some(), "{}", nginx.log());
            // curl's code for a staple that is missing or says no.
            assert_eq!(visit().code, 91, "{}", nginx.log());
        }
    }
}

fn keeps_signature_certificates_out(samples: &Samples) {
    let Some(nginx) = Nginx::start(&samples.good, "") else { return };

    let said = nginx.visit(&samples.persons[1]);

    assert!(said.ends_with("400") && !said.contains("SUCCESS"), "{said}: {}", nginx.log());
    assert!(nginx.log().contains("unsuitable certificate purpose"), "{}", nginx.log());
}

/// nginx writes names as RFC 2253 does, the last attribute first; of alternative names and policies it tells nothing.
fn hears_the_names_of_a_person(samples: &Samples) {
    let Some(nginx) = Nginx::start(&samples.good, "") else { return };
    let person = &samples.persons[0];

    let said = nginx.visit_page(person, "names");

    let expected = format!(
        "serialNumber=TST2321000016-1002,GN=Tolvan,SN=Tolvansson,CN=Tolvan Tolvansson,O=Sigill Test,C=SE\n\
         CN=SIGILL TEST e-id Person HSA-id 3 CA v1,O=Sigill Test,C=SE\n{}\n200",
        person.serial
    );
    assert_eq!(said, expected, "{}", nginx.log());
}

/// With a responder that does not exist nobody comes in: nginx does ask.
fn keeps_everybody_out_while_nobody_answers(samples: &Samples) {
    let nobody = ports::free_address();
    let responder = format!("ssl_ocsp_responder http://{nobody}/;");
    let Some(nginx) = Nginx::start(&samples.good, &responder) else { return };

    let said = nginx.visit(&samples.good);

    assert!(said.ends_with("400") && !said.contains("SUCCESS"), "{said}: {}", nginx.log());
}
