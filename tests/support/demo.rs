//! A whole Sigill that runs: the one that `./quickstart` makes, reached as its users reach it.
//!
//! What is needed of it stands in the file `env` of its home; the environment variable `SIGILL_ENV`
//! names that file where one runs already, and then that one is used and left alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::spoken::{self, Spoken};
use crate::workspace;

/// A warm quickstart takes a minute; a cold one builds everything first.
const START_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Between two looks at something that is to happen.
const PAUSE: Duration = Duration::from_millis(250);

/// A running demo.
pub struct Demo {
    variables: BTreeMap<String, String>,
    _started: Option<Started>,
}

/// A demo that this process started, and stops.
struct Started {
    child: Child,
    _home: TempDir,
}

impl Demo {
    /// The demo of `SIGILL_ENV`, or one of its own in a temporary home on free ports.
    ///
    /// # Panics
    ///
    /// If it cannot be started; the message holds what quickstart said.
    #[must_use]
    pub fn running() -> Self {
        match env::var_os("SIGILL_ENV") {
            Some(file) => Self { variables: read_variables(Path::new(&file)), _started: None },
            None => Self::start(),
        }
    }

    /// A demo that the caller runs: the one whose `env` lies in this home.
    #[must_use]
    pub fn of_home(home: &Path) -> Self {
        Self { variables: read_variables(&home.join("env")), _started: None }
    }

    fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let log = home.path().join("quickstart.log");
        let output = File::create(&log).expect("the log can be written");
        let errors = output.try_clone().expect("a file can be shared");
        let state = home.path().join("home");
        let mut command = Command::new(workspace::root().join("quickstart"));
        command.arg("--home").arg(&state).args(["--ports", "free", "--foreground"]);
        let child = command
            .current_dir(workspace::root())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut started = Started { child, _home: home };
        let file = state.join("env");
        let ready = until(START_LIMIT, || {
            let ended = started.child.try_wait().expect("the child can be asked").is_some();
            let serving = fs::read_to_string(&log).unwrap_or_default().contains("serving; Ctrl-C");
            (ended || serving).then_some(!ended)
        });
        let said = fs::read_to_string(&log).unwrap_or_default();
        assert_eq!(ready, Some(true), "quickstart is not ready: {said}");
        Self { variables: read_variables(&file), _started: Some(started) }
    }

    /// A variable of the file `env`, such as `SIGILL_API_URL`.
    ///
    /// # Panics
    ///
    /// If the file has no such variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("the demo's env has no {name}"))
    }

    /// Calls the API as the portal: method, path, body; the status and what came back.
    ///
    /// # Panics
    ///
    /// If curl is missing or no answer comes.
    #[must_use]
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--max-time", "60", "--request", method])
            .args(["--cacert", self.variable("SIGILL_MANAGEMENT_CA")])
            .args(["--cert", self.variable("SIGILL_PORTAL_CERT")])
            .args(["--key", self.variable("SIGILL_PORTAL_KEY")])
            .args(["--header", &format!("Idempotency-Key: suite-{}-{number}", process::id())])
            .args(["--write-out", "\n%{http_code}"])
            .arg(format!("{}{path}", self.variable("SIGILL_API_URL")));
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            command.args(["--header", "Content-Type: application/json", "--data-binary", "@-"]);
        }
        let said = spoken::run(&mut command, body.as_bytes());
        assert_eq!(said.code, 0, "{method} {path}: {}", said.text);
        let text = String::from_utf8_lossy(&said.out);
        let (answer, status) = text.rsplit_once('\n').expect("curl writes the status last");
        (status.parse().expect("a status is a number"), answer.parse().unwrap_or(Value::Null))
    }

    /// Issues one certificate for a new key, as `order` says.
    ///
    /// # Panics
    ///
    /// If it is refused.
    #[must_use]
    pub fn issue(&self, order: Order) -> Issued {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let request = order.request(folder.path());
        self.issue_request(folder, &request)
    }

    /// Issues one certificate of a function for a new key, under another profile of that kind.
    ///
    /// # Panics
    ///
    /// If it is refused.
    #[must_use]
    pub fn issue_under(&self, profile: &str) -> Issued {
        self.issue_changed(Order::Function, |_, request| request["profile"] = json!(profile))
    }

    /// Issues one certificate as `order` says, but for what `change` makes of the call. The folder that it
    /// gets holds the request, `csr.pem`, and its key, `key.pem`.
    ///
    /// # Panics
    ///
    /// If it is refused.
    #[must_use]
    pub fn issue_changed(&self, order: Order, change: impl FnOnce(&Path, &mut Value)) -> Issued {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut request = order.request(folder.path());
        change(folder.path(), &mut request);
        self.issue_request(folder, &request)
    }

    fn issue_request(&self, folder: TempDir, request: &Value) -> Issued {
        let (status, answer) = self.call("POST", "/v1/certificates", Some(request));
        assert_eq!(status, 201, "{request}: {answer}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let chain = answer["chain"].as_array().cloned().unwrap_or_default();
        let [issuing, root] = &chain[..] else { panic!("a chain of two, not {chain:?}") };
        let issued = Issued { folder, id: text(&answer["id"]), serial: text(&answer["serial"]) };
        let leaf = text(&answer["certificate"]);
        issued.write("leaf.pem", &leaf);
        issued.write("issuing.pem", text(issuing));
        issued.write("root.pem", text(root));
        issued.write("chain.pem", format!("{leaf}{}", text(issuing)));
        issued.write("cas.pem", format!("{}{}", text(issuing), text(root)));
        issued
    }

    /// Revokes a certificate and waits until OCSP and CRL say so.
    ///
    /// # Panics
    ///
    /// If it is refused, or one of the two does not say so within two minutes.
    pub fn revoke(&self, issued: &Issued, reason: &str) {
        let path = format!("/v1/certificates/{}/revocation", issued.id);
        let (status, answer) = self.call("POST", &path, Some(&json!({ "reason": reason })));
        assert!((200..300).contains(&status), "revocation: {status} {answer}");
        let limit = Duration::from_secs(120);
        let in_ocsp = until(limit, || issued.ask(&[]).text.contains(": revoked").then_some(()));
        let in_crl = until(limit, || {
            issued.fetch_crls();
            issued
                .openssl(&["crl", "-in", "issuing.crl.pem", "-noout", "-text"])
                .text
                .contains(&format!("Serial Number: {}", issued.serial))
                .then_some(())
        });
        assert!(in_ocsp.is_some(), "OCSP does not say revoked: {}", issued.ask(&[]).text);
        assert!(in_crl.is_some(), "the CRL does not list {}", issued.serial);
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Quickstart stops its servers when it is asked to end.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        if until(Duration::from_secs(20), || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What is to be issued, and for which kind of key.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// A server or service, P-256 or RSA-3072 by the issuing CA's profile.
    Function,
    /// Authentication of the test person 191212121212 with HSA-id TST2321000016-1002.
    PersonAuthentication,
    /// Signatures of the same person.
    PersonSignature,
}

impl Order {
    /// Every kind of certificate that the API issues.
    pub const ALL: [Self; 3] = [Self::Function, Self::PersonAuthentication, Self::PersonSignature];

    fn request(self, folder: &Path) -> Value {
        let key = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem"];
        let rest = ["-subj", "/CN=ignored", "-out", "csr.pem"];
        let made = spoken::openssl(folder, &[&key[..], &rest[..]].concat());
        assert!(made.is_some_and(|made| made.code == 0), "openssl makes a request");
        let csr = fs::read_to_string(folder.join("csr.pem")).expect("the request is there");
        match self {
            Self::Function => json!({
                "profile": "function",
                "csr": csr,
                "subject": {
                    "common_name": "localhost.example.org",
                    "organization": "Sigill Test",
                    "hsa_id": "TST2321000016-B02",
                },
                "alternative_names": { "dns": ["localhost.example.org"] },
            }),
            Self::PersonAuthentication => Self::person("person-hsaid-3-authentication", &csr),
            Self::PersonSignature => Self::person("person-hsaid-3-signature", &csr),
        }
    }

    fn person(profile: &str, csr: &str) -> Value {
        json!({
            "profile": profile,
            "csr": csr,
            "subject": {
                "given_name": "Tolvan",
                "surname": "Tolvansson",
                "hsa_id": "TST2321000016-1002",
                "personal_identity_number": "191212121212",
                "organization": "Sigill Test",
            },
        })
    }
}

/// An issued certificate and its chain, as files in a folder of its own: `leaf.pem`, `key.pem`,
/// `issuing.pem`, `root.pem`, `chain.pem` of leaf and issuing CA, and `cas.pem` of both CAs.
pub struct Issued {
    folder: TempDir,
    /// Its id in the API.
    pub id: String,
    /// Upper-case hexadecimal.
    pub serial: String,
}

impl Issued {
    /// A file of its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The content of a file of its folder.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file into its folder.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Runs openssl in its folder.
    ///
    /// # Panics
    ///
    /// If it is not installed: without it there is no certificate to judge.
    #[must_use]
    pub fn openssl(&self, arguments: &[&str]) -> Spoken {
        spoken::openssl(self.folder(), arguments).expect("openssl is installed")
    }

    /// Asks the responder that the certificate names, with OpenSSL; more arguments as given.
    #[must_use]
    pub fn ask(&self, more: &[&str]) -> Spoken {
        let url = self.ocsp_url("leaf.pem");
        let question = ["-issuer", "issuing.pem", "-cert", "leaf.pem", "-url", &url];
        let trust = ["-CAfile", "root.pem", "-verify_other", "issuing.pem"];
        // A digest has to stand before the certificate.
        self.openssl(&[&["ocsp"], more, &question, &trust].concat())
    }

    /// The OCSP URL of a certificate of its folder.
    ///
    /// # Panics
    ///
    /// If it names none.
    #[must_use]
    pub fn ocsp_url(&self, certificate: &str) -> String {
        let said = self.openssl(&["x509", "-in", certificate, "-noout", "-ocsp_uri"]).text;
        said.lines().next().unwrap_or_else(|| panic!("{certificate} names no OCSP URL")).to_owned()
    }

    /// The URL of the CRL that a certificate of its folder names.
    ///
    /// # Panics
    ///
    /// If it names none.
    #[must_use]
    pub fn crl_url(&self, certificate: &str) -> String {
        let arguments = ["x509", "-in", certificate, "-noout", "-ext", "crlDistributionPoints"];
        let said = self.openssl(&arguments).text;
        let url = said.split("URI:").nth(1).and_then(|rest| rest.split_whitespace().next());
        url.unwrap_or_else(|| panic!("{certificate} names no CRL: {said}")).to_owned()
    }

    /// Fetches the CRLs that its chain names, into `issuing.crl` and `root.crl` (DER), the same with
    /// `.pem`, and `all.crl` (both in PEM). Each is named for the CA that signed it.
    ///
    /// # Panics
    ///
    /// If one cannot be fetched or is no CRL.
    pub fn fetch_crls(&self) {
        let mut all = Vec::new();
        for (certificate, name) in [("leaf.pem", "issuing"), ("issuing.pem", "root")] {
            let (der, pem) = (format!("{name}.crl"), format!("{name}.crl.pem"));
            let fetched = fetch(&self.crl_url(certificate));
            self.write(&der, fetched);
            let made = self.openssl(&["crl", "-inform", "DER", "-in", &der, "-out", &pem]);
            assert_eq!(made.code, 0, "{der}: {}", made.text);
            all.extend(self.read(&pem));
        }
        self.write("all.crl", all);
    }

    /// Writes a DER copy of a certificate of its folder: `leaf.pem` to `leaf.der`.
    #[must_use]
    pub fn der(&self, certificate: &str) -> Vec<u8> {
        let name = certificate.replace(".pem", ".der");
        let made = self.openssl(&["x509", "-in", certificate, "-outform", "DER", "-out", &name]);
        assert_eq!(made.code, 0, "{certificate}: {}", made.text);
        self.read(&name)
    }
}

/// Fetches an URL of the demo, as a relying party does.
///
/// # Panics
///
/// If the status is not 200.
#[must_use]
pub fn fetch(url: &str) -> Vec<u8> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "30", url]);
    let said = spoken::run(&mut command, &[]);
    assert_eq!(said.code, 0, "{url}: {}", said.text);
    said.out
}

/// Looks again and again until there is something, at most for `limit`.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        match look() {
            None if started.elapsed() < limit => thread::sleep(PAUSE),
            seen => return seen,
        }
    }
}

/// Lines `NAME=value` or `export NAME=value`, the value in quotes or not.
fn read_variables(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    text.lines()
        .filter_map(|line| line.trim().trim_start_matches("export ").split_once('='))
        .filter(|(name, _)| name.starts_with("SIGILL_"))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_variables_of_a_file_to_source() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        fs::write(&file, "# a demo\nexport SIGILL_HOME='/tmp/x y'\nSIGILL_BIN=/bin\nPATH=no\n")
            .unwrap();

        let variables = read_variables(&file);

        assert_eq!(variables["SIGILL_HOME"], "/tmp/x y");
        assert_eq!(variables["SIGILL_BIN"], "/bin");
        assert_eq!(variables.len(), 2);
    }
}
