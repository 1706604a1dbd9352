//! The API's own credentials: renewed by call and in process, and recovered when all have expired.
//!
//! OpenSSL makes the requests and judges what comes back; curl is the client.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ca::audit::EventCode;
use serde_json::{Value, json};
use support::demo::until;
use support::program;
use support::spoken::{self, Spoken};
use support::suite::Check;

use crate::api::Request;
use crate::deployment::{Deployment, Template};
use crate::revocation::events;

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("renewal::a_client_renews_itself_and_only_itself", a_client_renews_itself_and_only_itself),
    (
        "renewal::a_client_that_is_taken_away_loses_its_renewed_keys",
        a_client_that_is_taken_away_loses_its_renewed_keys,
    ),
    ("renewal::the_command_line_renews_its_own_pair", the_command_line_renews_its_own_pair),
    (
        "renewal::short_lives_are_renewed_in_process_and_recovered_when_over",
        short_lives_are_renewed_in_process_and_recovered_when_over,
    ),
];

const PATH: &str = "/v1/clients/self/renewal";

/// Calls as somebody with a certificate.
struct Somebody<'a> {
    deployment: &'a Deployment,
    certificate: PathBuf,
    key: PathBuf,
}

impl<'a> Somebody<'a> {
    /// A client with the pair that the demo gave it.
    fn first(deployment: &'a Deployment, name: &str) -> Self {
        let file = |kind: &str| deployment.home.join(format!("tls/{name}.{kind}"));
        Self { deployment, certificate: file("pem"), key: file("key") }
    }

    /// With a pair of the journey's folder.
    fn with(deployment: &'a Deployment, name: &str) -> Self {
        let file = |kind: &str| deployment.folder().join(format!("{name}.{kind}"));
        Self { deployment, certificate: file("pem"), key: file("key") }
    }

    fn curl(&self, path: &str, more: &[&str]) -> Spoken {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}"])
            .arg("--cacert")
            .arg(self.deployment.home.join("tls/management-ca.pem"))
            .arg("--cert")
            .arg(&self.certificate)
            .arg("--key")
            .arg(&self.key)
            .args(more)
            .arg(format!("https://{}{path}", self.deployment.api_address()));
        spoken::run(&mut command, &[])
    }

    /// Status and answer; status 0 where TLS ends the connection.
    fn call(&self, path: &str, more: &[&str]) -> (u16, Value) {
        let said = self.curl(path, more);
        let text = String::from_utf8_lossy(&said.out).into_owned();
        let (answer, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), answer.parse().unwrap_or(Value::Null))
    }

    fn reads(&self) -> (u16, Value) {
        self.call("/v1/authorities", &[])
    }

    fn renew(&self, key: &str, csr: &str) -> (u16, Value) {
        let header = format!("Idempotency-Key: {key}");
        let body = json!({ "csr": csr }).to_string();
        self.call(PATH, &["--header", &header, "--data-binary", &body])
    }
}

/// Makes `NAME.key` and a request with it.
fn request(deployment: &Deployment, name: &str, more: &[&str]) -> String {
    let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
    let new = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ignored";
    let mut words: Vec<&str> = new.split(' ').collect();
    words.extend(["-keyout", &key, "-out", &csr]);
    words.extend(more);
    openssl(deployment.folder(), &words);
    fs::read_to_string(deployment.folder().join(csr)).expect("a request")
}

fn openssl(folder: &Path, words: &[&str]) -> String {
    let said = spoken::openssl(folder, words).expect("openssl is there");
    assert_eq!(said.code, 0, "{words:?}: {}", said.text);
    said.text
}

/// Writes the answer's certificate and chain into `NAME.pem`.
fn keep(deployment: &Deployment, name: &str, answer: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let chain = format!("{}{}", text(&answer["certificate"]), text(&answer["chain"][0]));
    fs::write(deployment.folder().join(format!("{name}.pem")), chain).expect("a file");
}

fn refused(answer: &(u16, Value), status: u16, code: &str) {
    assert_eq!((answer.0, &answer.1["code"]), (status, &json!(code)), "{}", answer.1);
    for word in ["rule", "seen", "limit", "next"] {
        assert!(answer.1[word].is_string(), "{word}: {}", answer.1);
    }
}

/// Same name, new key, and no way past it (API-01, architecture §2.6).
fn a_client_renews_itself_and_only_itself(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let portal = Somebody::first(&deployment, "portal");
    let csr = request(&deployment, "new", &[]);
    let (status, answer) = portal.renew("one", &csr);
    assert_eq!(status, 201, "{answer}");
    keep(&deployment, "new", &answer);

    let folder = deployment.folder();
    let ca = deployment.home.join("tls/management-ca.pem").display().to_string();
    openssl(
        folder,
        &["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", &ca, "new.pem"],
    );
    let names = |file: &str| {
        openssl(folder, &["x509", "-in", file, "-noout", "-subject", "-ext", "subjectAltName"])
    };
    let before = portal.certificate.display().to_string();
    assert_eq!(names("new.pem"), names(&before), "the same name");
    let renewed = Somebody::with(&deployment, "new");
    assert_eq!(renewed.reads().0, 200);
    assert_eq!(portal.reads().0, 200, "the old key is accepted for 7 days more");
    // It reads and orders, but it does not renew: a thief of it would stay for ever.
    let theft = request(&deployment, "theft", &[]);
    let leaves = || {
        let events = events(&deployment.database());
        events.into_iter().filter(|event| *event == EventCode::CallRefused).count()
    };
    let before = leaves();
    refused(&portal.renew("theft", &theft), 403, "renewal-superseded");
    assert_eq!(leaves(), before + 1, "the refusal is a leaf");
    let alarm = "sigill_client_renewals_refused_total{why=\"superseded\"} 1";
    assert!(deployment.metrics().contains(alarm), "{}", deployment.metrics());

    // The same call gives the same certificate; the same key is no new key.
    assert_eq!(portal.renew("one", &csr), (201, answer));
    refused(&renewed.renew("two", &csr), 422, "key-reused");
    let own_key = portal.key.display().to_string();
    let own = ["req", "-new", "-subj", "/CN=x", "-out", "own.csr", "-key", &own_key];
    openssl(folder, &own);
    let own = fs::read_to_string(folder.join("own.csr")).expect("a request");
    refused(&renewed.renew("three", &own), 422, "key-reused");
    let of_other = deployment.home.join("tls/auditor.key").display().to_string();
    openssl(folder, &["req", "-new", "-subj", "/CN=x", "-out", "other.csr", "-key", &of_other]);
    let other = fs::read_to_string(folder.join("other.csr")).expect("a request");
    refused(&renewed.renew("four", &other), 422, "key-reused");

    let instance = fs::read_to_string(deployment.home.join("ceremony/instance")).expect("a name");
    let name =
        format!("subjectAltName=URI:urn:sigill:test:demo:{}:client:auditor", instance.trim());
    let stolen = request(&deployment, "stolen", &["-addext", &name]);
    refused(&renewed.renew("five", &stolen), 422, "client-name-differs");
    refused(&renewed.renew("six", "rubbish"), 422, "csr-unreadable");
    let rsa =
        ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "r.key"];
    openssl(folder, &[&rsa[..], &["-out", "r.csr"]].concat());
    let rsa = fs::read_to_string(folder.join("r.csr")).expect("a request");
    refused(&renewed.renew("seven", &rsa), 422, "key-not-allowed");
    refused(&portal.call(PATH, &["--data-binary", "{}"]), 400, "idempotency-key-required");

    // A management profile is reachable through its own call alone.
    let body =
        json!({ "profile": "management-client", "csr": request(&deployment, "direct", &[]) });
    let body = body.to_string();
    let direct = ["--header", "Idempotency-Key: eight", "--data-binary", &body];
    refused(&portal.call("/v1/certificates", &direct), 403, "client-not-allowed");

    // The renewed key survives a restart, and one can be renewed again with it.
    deployment.stop();
    deployment.start();
    let renewed = Somebody::with(&deployment, "new");
    assert_eq!(renewed.reads().0, 200);
    let (status, again) = renewed.renew("again", &request(&deployment, "newer", &[]));
    assert_eq!(status, 201, "{again}");
    keep(&deployment, "newer", &again);
    let newest = Somebody::with(&deployment, "newer");
    let third = request(&deployment, "third", &[]);
    refused(&newest.renew("third", &third), 403, "renewals-too-many");
    let metrics = deployment.metrics();
    assert!(metrics.contains("sigill_management_certificate_seconds_left"), "{metrics}");
    deployment.stop();
    deployment.verify_log("audit");
    deployment.verify_log("status");
}

/// Taking a client out of the configuration, or giving it another key there, ends all its keys.
fn a_client_that_is_taken_away_loses_its_renewed_keys(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let (status, answer) =
        Somebody::first(&deployment, "auditor").renew("one", &request(&deployment, "new", &[]));
    assert_eq!(status, 201, "{answer}");
    keep(&deployment, "new", &answer);
    assert_eq!(Somebody::with(&deployment, "new").reads().0, 200);
    deployment.stop();

    let section = "[[client]]\nname = \"auditor\"";
    deployment.configure(|config| config.replace(section, "[[client]]\nname = \"another\""));
    deployment.start();
    refused(&Somebody::with(&deployment, "new").reads(), 401, "client-unknown");
    deployment.stop();

    deployment.configure(|config| {
        let config = config.replace("[[client]]\nname = \"another\"", section);
        let (before, client) = config.split_once(section).expect("the client");
        let (pin, rest) = client.split_once("\nprofiles").expect("its profiles");
        assert!(pin.contains("spki-sha256"), "{pin}");
        format!("{before}{section}\nspki-sha256 = \"{}\"\nprofiles{rest}", "5".repeat(64))
    });
    deployment.start();
    refused(&Somebody::with(&deployment, "new").reads(), 401, "client-unknown");
    deployment.stop();
}

/// `sigill client renew`: a private key file, the new pair in place, the old one kept and still let in.
fn the_command_line_renews_its_own_pair(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let tls = deployment.home.join("tls");
    let old = fs::read_to_string(tls.join("auditor.pem")).expect("a certificate");
    let address = deployment.api_address();
    let renew = |more: &[&str]| {
        let mut command = Command::new(program::built("sigill"));
        command.args(["client", "renew", "--json"]).args(more);
        command.arg("--url").arg(format!("https://{address}"));
        for (option, file) in
            [("--ca", "management-ca.pem"), ("--cert", "auditor.pem"), ("--key", "auditor.key")]
        {
            command.arg(option).arg(tls.join(file));
        }
        spoken::run(&mut command, &[])
    };
    let beside = renew(&[]);
    assert_eq!(beside.code, 0, "{}", beside.text);
    assert_eq!(fs::read_to_string(tls.join("auditor.pem")).expect("a certificate"), old);
    assert!(tls.join("auditor.pem.new").is_file() && tls.join("auditor.key.new").is_file());
    // Broken off between the two files of a replacement: the key is new and the certificate old.
    let file = |name: &str| tls.join(format!("auditor.{name}"));
    fs::copy(file("pem"), file("pem.old")).expect("the old certificate is kept");
    for (from, to) in [("key.new.csr", "key.replacing.csr"), ("key.new", "key")] {
        fs::rename(file(from), file(to)).expect("a replacement begins");
    }
    let replaced = renew(&["--replace"]);
    assert_eq!(replaced.code, 0, "{}", replaced.text);
    let shown: Value = serde_json::from_slice(&replaced.out).expect("JSON");
    let new = fs::read_to_string(tls.join("auditor.pem")).expect("a certificate");
    assert!(new.starts_with(shown["certificate"].as_str().expect("PEM")), "{new}");
    assert_eq!(fs::read_to_string(tls.join("auditor.pem.old")).expect("a certificate"), old);
    let mode = fs::metadata(tls.join("auditor.key")).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(Somebody::first(&deployment, "auditor").reads().0, 200);
    for name in ["pem.new", "key.new", "key.new.csr", "key.replacing.csr"] {
        assert!(!file(name).exists(), "{name} is left");
    }
    // Beside first and into its place later: one order, one certificate.
    let beside = renew(&[]);
    let later = renew(&["--replace"]);
    assert_eq!((beside.code, later.code), (0, 0), "{} {}", beside.text, later.text);
    let waited = |said: &Spoken| -> Value { serde_json::from_slice(&said.out).expect("JSON") };
    assert_eq!(waited(&beside), waited(&later));
    deployment.stop();
    let refused = renew(&[]);
    assert_eq!(refused.code, 1, "{}", refused.text);
}

/// Lives of every certificate of the management plane here: the first is long enough where nothing else wants the
/// machine, and a slow one gets a longer one.
const LIVES: [Duration; 3] =
    [Duration::from_secs(36), Duration::from_secs(72), Duration::from_secs(144)];
const PROFILES: [&str; 2] = ["management-server.toml", "management-client.toml"];
const LONG: &str = "lifetime    = \"397d\"";

fn short(life: Duration) -> String {
    format!("lifetime    = \"{}s\"", life.as_secs())
}

/// A deployment whose certificates live for so long, and whose server renewed its own under an open connection; `None`
/// where they were over before it had begun.
fn renewed_in_process(life: Duration) -> Option<Deployment> {
    let short = short(life);
    let changes = PROFILES.map(|file| {
        [(file, LONG, short.as_str()), (file, "backdate    = \"5m\"", "backdate    = \"1s\"")]
    });
    let template = Template::make_with(changes.as_flattened());
    let mut deployment = template.copy()?;
    deployment.start();
    let first = server_serial(&deployment);
    let mut line = deployment.api().open().ok()?;
    line.call(&Request::get("/healthz")).ok()?;
    let mut goes_on = || {
        let kept = line.call(&Request::get("/healthz")).expect("the open connection goes on");
        assert_eq!(kept.status, 200);
    };
    let renewed = until(life, || {
        goes_on();
        (server_serial(&deployment) != first).then_some(())
    });
    assert!(renewed.is_some(), "{}", deployment.printed());
    goes_on();
    Some(deployment)
}

/// Nobody is locked out: the server renews itself under open connections, and a pair that has
/// expired is recovered locally (architecture §2.6).
fn short_lives_are_renewed_in_process_and_recovered_when_over(_: &Template) {
    let made = LIVES.into_iter().find_map(|life| Some((life, renewed_in_process(life)?)));
    let (life, mut deployment) = made.expect("a certificate that lives until it is used");
    let said = deployment.command(&["tls", "recover"], &[]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("stop it first"), "{}", said.text);

    // Every client's certificate is over: TLS lets nobody in, however right the name.
    let over =
        until(life * 2, || (Somebody::first(&deployment, "portal").reads().0 == 0).then_some(()));
    assert!(over.is_some(), "an expired certificate is let in");
    let (status, _) =
        Somebody::first(&deployment, "portal").renew("late", &request(&deployment, "late", &[]));
    assert_eq!(status, 0, "an expired caller cannot renew");
    deployment.stop();
    std::thread::sleep(life);

    for file in PROFILES {
        let path = deployment.home.join("config/profiles").join(file);
        let text = fs::read_to_string(&path).expect("a profile");
        let text = text.replace(&short(life), LONG).replace("version     = 1", "version     = 2");
        fs::write(path, text).expect("a profile");
    }
    request(&deployment, "saved", &[]);
    let file = |kind: &str| deployment.folder().join(format!("saved.{kind}")).display().to_string();
    let (csr, out) = (file("csr"), file("pem"));
    let client = |name: &str, csr: &str, out: &str| {
        deployment
            .command(&["tls", "recover"], &["--client", name, "--csr", csr, "--out", out, "--json"])
    };
    // A clock that is not believed gets into no log (architecture §2.5).
    let before = events(&deployment.database()).len();
    let written = deployment.home.join("config/ca.toml");
    let longest_stop = |from: &str, to: &str| {
        let text = fs::read_to_string(&written).expect("a configuration");
        let (old, new) = (format!("longest-stop = {from}\n"), format!("longest-stop = {to}\n"));
        assert!(text.contains(&old), "{text}");
        fs::write(&written, text.replace(&old, &new)).expect("a configuration");
    };
    longest_stop("2592000", "5");
    let doubted = client("operator", &csr, &out);
    assert_eq!(doubted.code, 1, "{}", doubted.text);
    assert!(doubted.text.contains("error: clock-unconfirmed: "), "{}", doubted.text);
    assert_eq!(events(&deployment.database()).len(), before);
    longest_stop("5", "2592000");
    let stranger = client("stranger", &csr, &out);
    assert_eq!(stranger.code, 1, "{}", stranger.text);
    assert!(stranger.text.contains("error: client-unknown: "), "{}", stranger.text);
    assert_eq!(events(&deployment.database()).len(), before, "nothing was begun");
    // What was recovered before a failure has its leaf.
    request(&deployment, "lost", &[]);
    let lost = deployment.folder().join("lost.csr").display().to_string();
    let unwritten = client("operator", &lost, "/proc/lost.pem");
    assert_eq!(unwritten.code, 1, "{}", unwritten.text);
    assert!(unwritten.text.contains("error: arguments-unfit: "), "{}", unwritten.text);
    let recovered = || {
        let of_recovery = |event: &&EventCode| **event == EventCode::TlsRecovered;
        events(&deployment.database()).iter().filter(of_recovery).count()
    };
    assert_eq!(recovered(), 2, "the server's, and that of the client whose file cannot be written");
    let said = client("operator", &csr, &out);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(recovered(), 4);
    let again = client("operator", &csr, &out);
    assert_eq!(again.code, 1, "{}", again.text);
    assert!(again.text.contains("error: key-reused: "), "{}", again.text);

    deployment.start_with("");
    let operator = Somebody::with(&deployment, "saved");
    assert_eq!(operator.reads().0, 200, "{}", operator.curl("/v1/authorities", &[]).text);
    let log = deployment.printed();
    assert!(!log.contains("\"ERROR\""), "{log}");
    deployment.stop();
    deployment.verify_log("audit");
}

/// The serial number of the certificate that the server shows to OpenSSL.
fn server_serial(deployment: &Deployment) -> String {
    let address = deployment.api_address().to_string();
    let folder = deployment.folder();
    let certificate = deployment.home.join("tls/portal.pem").display().to_string();
    let key = deployment.home.join("tls/portal.key").display().to_string();
    let words =
        ["s_client", "-connect", &address, "-cert", &certificate, "-key", &key, "-showcerts"];
    let said = spoken::openssl(folder, &words).expect("openssl is there");
    fs::write(folder.join("seen.pem"), &said.out).expect("a file");
    openssl(folder, &["x509", "-in", "seen.pem", "-noout", "-serial"])
}
