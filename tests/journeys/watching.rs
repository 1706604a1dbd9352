//! Revocations as a vantage point outside sees them, by itself: receipts through kills of both programs, and none of what OCSP shows as good.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use support::demo::until;
use support::program;
use support::spoken::{self, Spoken};
use support::suite::Check;

use crate::accounts::Received;
use crate::api::Request;
use crate::deployment::{AUTHORITY, Deployment, Template};
use crate::revocation::revoke;

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("watching::receipts_come_through_kills_of_both", receipts_come_through_kills_of_both),
    ("watching::what_ocsp_shows_as_good_has_no_receipt", what_ocsp_shows_as_good_has_no_receipt),
    ("watching::a_delta_is_looked_at_with_its_list", a_delta_is_looked_at_with_its_list),
];

/// From a revocation to its receipts: a checkpoint, a CRL, two rounds, on a machine that does other things too.
const RECEIPTED_WITHIN: Duration = Duration::from_secs(120);

/// A deployment with a vantage point, which calls as the auditor's client.
struct Watched {
    deployment: Deployment,
    vantage_sha256: String,
    receipt_key: String,
    prober: Option<Child>,
}

impl Watched {
    /// With these sections of the configuration of `sigill-ca`, beside that of the vantage point.
    fn new(template: &Template, more: &str) -> Option<Self> {
        Self::with(template, more, |_| String::new())
    }

    /// `lines` stand in the section of the authority, and know where the responder is.
    fn with(template: &Template, more: &str, lines: impl FnOnce(&str) -> String) -> Option<Self> {
        let mut deployment = template.copy()?;
        let lines = lines(&deployment.ocsp_url());
        let key = deployment.folder().join("vantage.key");
        let made = sigill().args(["probe", "make-key", "--json"]).arg(&key).output();
        let made: Value = serde_json::from_slice(&made.expect("sigill runs").stdout).expect("JSON");
        let vantage_sha256 = made["spki_sha256"].as_str().expect("a hash").to_owned();
        let section = format!(
            "\n[receipts]\nkey = \"../keys/receipt.key\"\nocsp-limit = 1\n\n[[receipts.vantage]]\n\
             name = \"stockholm\"\nspki-sha256 = \"{vantage_sha256}\"\n{more}"
        );
        let file = deployment.home.join("config/ca.toml");
        deployment.configure(|config| {
            let auditor = "name = \"auditor\"\n";
            assert!(config.contains(auditor), "{config}");
            let vantage = format!("{auditor}vantage = \"stockholm\"\n");
            let name = format!("name = \"{AUTHORITY}\"\n");
            assert!(config.contains(&name), "{config}");
            let config = config.replacen(auditor, &vantage, 1) + &section;
            let config = config.replacen(&name, &format!("{name}{lines}"), 1);
            fs::write(&file, &config).expect("a configuration");
            config
        });
        let made = deployment.command(&["make-receipt-key"], &[]);
        assert_eq!(made.code, 0, "{}", made.text);
        let said = String::from_utf8_lossy(&made.out).into_owned();
        let receipt_key = said.split_whitespace().next().expect("a key").to_owned();
        deployment.start();
        Some(Self { deployment, vantage_sha256, receipt_key, prober: None })
    }

    fn issue(&self, key: &str) -> Received {
        Received::read(key, &self.deployment.api().ask(&self.deployment.order(key)))
    }

    /// A file with the certificate.
    fn pem_of(&self, issued: &Received) -> PathBuf {
        let pem = self.deployment.folder().join("card.pem");
        let path = format!("/v1/certificates/{}", issued.id);
        let shown = self.deployment.api().ask(&Request::get(&path)).json();
        fs::write(&pem, shown["certificate"].as_str().expect("a certificate")).expect("a file");
        pem
    }

    /// `sigill probe` and its options.
    fn probe(&self, word: &str) -> Command {
        let home = &self.deployment.home;
        let config = fs::read_to_string(home.join("config/ca.toml")).expect("a configuration");
        let of = |name: &str| {
            let line = config.lines().find(|line| line.starts_with(name)).expect("is there");
            line.split('"').nth(1).expect("a value").to_owned()
        };
        let name = format!("{}/{}/{}", of("environment"), of("pki"), of("instance"));
        let mut command = sigill();
        command
            .args(["probe", word, "--deployment", &name, "--vantage", "stockholm"])
            .arg("--vantage-key")
            .arg(self.deployment.folder().join("vantage.key"))
            .arg("--issuers")
            .arg(home.join("trust/chain.pem"));
        command
    }

    fn start_prober(&mut self) {
        let mut command = self.probe("run");
        let folder = self.deployment.folder();
        let log = fs::File::options().create(true).append(true).open(folder.join("probe.log"));
        command
            .args(["--every", "1", "--lists-every", "1", "--patience", "5", "--spool"])
            .arg(folder.join("spool"))
            .arg("--url")
            .arg(format!("https://{}", self.deployment.api_address()));
        for (option, file) in [
            ("--cert", "tls/auditor.pem"),
            ("--key", "tls/auditor.key"),
            ("--ca", "tls/management-ca.pem"),
        ] {
            command.arg(option).arg(self.deployment.home.join(file));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
        self.prober = Some(command.spawn().expect("sigill starts"));
    }

    fn kill_prober(&mut self) {
        if let Some(mut prober) = self.prober.take() {
            let _ = prober.kill();
            let _ = prober.wait();
        }
    }

    fn said_by_prober(&self) -> String {
        fs::read_to_string(self.deployment.folder().join("probe.log")).unwrap_or_default()
    }

    fn receipts(&self, id: &str) -> Vec<Value> {
        let path = format!("/v1/certificates/{id}/receipts");
        let answer = self.deployment.api().ask(&Request::get(&path));
        answer.json()["items"].as_array().expect("a list").clone()
    }

    /// Waits for the receipts of both methods, and has each judged.
    fn receipted(&self, id: &str) {
        let both = until(RECEIPTED_WITHIN, || {
            let receipts = self.receipts(id);
            (receipts.len() == 2).then_some(receipts)
        });
        let both =
            both.unwrap_or_else(|| panic!("{:?}\n{}", self.receipts(id), self.said_by_prober()));
        for (receipt, method) in both.iter().zip(["ocsp", "crl"]) {
            assert_eq!(receipt["method"], json!(method));
            let file: PathBuf = self.deployment.folder().join(format!("{id}.{method}"));
            fs::write(&file, receipt["receipt"].as_str().expect("a note")).expect("a receipt");
            let judged = self.judged(&file, &self.receipt_key);
            assert_eq!(judged.code, 0, "{}", judged.text);
            assert_ne!(self.judged(&file, &"0".repeat(64)).code, 0, "another key");
        }
    }

    /// Waits until a trial of each authority was seen by both methods: of each one, whoever was killed meanwhile (REV-07).
    fn tried(&self) {
        let listed = || {
            let answer = self.deployment.api().ask(&Request::get("/v1/trial-revocations"));
            answer.json()["items"].as_array().expect("a list").clone()
        };
        let seen = |trial: &Value| {
            let sights = trial["sights"].as_array().expect("a list");
            sights.len() == 2 && sights.iter().all(|sight| sight["seen_seconds"].is_u64())
        };
        let all = until(RECEIPTED_WITHIN, || {
            // One that the kill has broken off has no certificate.
            let mut trials = listed();
            trials.retain(|trial| trial["certificate"].is_string());
            (!trials.is_empty() && trials.iter().all(seen)).then_some(trials)
        });
        let all = all.unwrap_or_else(|| panic!("{:?}\n{}", listed(), self.said_by_prober()));
        let mut authorities: Vec<&str> =
            all.iter().filter_map(|trial| trial["authority"].as_str()).collect();
        authorities.sort_unstable();
        authorities.dedup();
        assert_eq!(authorities.len(), all.len(), "one an hour of each: {all:?}");
        let metrics = self.deployment.metrics();
        assert!(metrics.contains("sigill_trial_revocation_seconds{"), "{metrics}");
    }

    fn judged(&self, file: &std::path::Path, key: &str) -> Spoken {
        let vantage = format!("stockholm={}", self.vantage_sha256);
        let mut command = Command::new(program::built("sigill-verify"));
        command.arg("receipt").arg(file).args(["--key", key, "--vantage", &vantage]);
        command.args(["--deployment", &self.name()]);
        spoken::run(&mut command, &[])
    }

    fn name(&self) -> String {
        let probe = self.probe("run");
        let words: Vec<String> =
            probe.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let place = words.iter().position(|word| word == "--deployment").expect("is there");
        words[place + 1].clone()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.kill_prober();
    }
}

fn sigill() -> Command {
    Command::new(program::built("sigill"))
}

/// Promise 4, REV-07: the answer of a revocation says where its receipts will be, and they come by themselves, also where prober and CA
/// are killed in between.
fn receipts_come_through_kills_of_both(template: &Template) {
    let trials = "\n[trial-revocations]\nlife = 7200\n";
    let Some(mut watched) = Watched::new(template, trials) else { return };
    let _responder = watched.deployment.responder();
    watched.start_prober();
    let first = watched.issue("first");
    let answer = revoke(&watched.deployment, &first.id, "superseded", "a").json();
    assert_eq!(answer["receipts"], json!(format!("/v1/certificates/{}/receipts", first.id)));
    assert!(answer["position"].as_str().is_some_and(|at| at.starts_with("1.")), "{answer}");
    watched.receipted(&first.id);

    // The CA dies right after its answer, the prober with what it may have seen.
    let (second, third) = (watched.issue("second"), watched.issue("third"));
    revoke(&watched.deployment, &second.id, "superseded", "b");
    watched.kill_prober();
    revoke(&watched.deployment, &third.id, "keyCompromise", "c");
    watched.deployment.kill();
    watched.start_prober();
    let told =
        until(RECEIPTED_WITHIN, || watched.said_by_prober().contains("cannot reach").then_some(()));
    assert!(told.is_some(), "it says that the CA is away: {}", watched.said_by_prober());
    watched.deployment.start();
    watched.receipted(&second.id);
    watched.receipted(&third.id);
    watched.tried();
    // What was issued and never revoked, and what was never issued, was looked at too, and agreed.
    let compared = "sigill_status_compared_total{";
    let metrics = watched.deployment.metrics();
    assert!(metrics.contains(compared), "{metrics}");
    let differences = "sigill_status_differences_total{";
    let mut differences = metrics.lines().filter(|line| line.starts_with(differences)).peekable();
    assert!(
        differences.peek().is_some() && differences.all(|line| line.ends_with(" 0")),
        "{metrics}"
    );
}

/// Promise 4: a copy that says good of what is revoked, rightly signed and not ended: no receipt, and somebody is told.
fn what_ocsp_shows_as_good_has_no_receipt(template: &Template) {
    let Some(mut watched) = Watched::new(template, "") else { return };
    let mut responder = watched.deployment.responder();
    let issued = watched.issue("card");
    let pem = watched.pem_of(&issued);
    let objects = watched.deployment.folder().join("objects");
    let good = until(RECEIPTED_WITHIN, || {
        let mut command = watched.probe("certificate");
        let said = command.arg(&pem).arg("--json").arg("--objects").arg(&objects).output();
        let looks: Value = serde_json::from_slice(&said.expect("sigill runs").stdout).ok()?;
        let look = looks.as_array()?.iter().find(|look| look["method"] == "ocsp-get")?.clone();
        (look["status"] == "good").then(|| look["observation"].as_str().expect("one").to_owned())
    });
    let good = good.expect("OCSP says good");
    let object = good.lines().find_map(|line| line.strip_prefix("object: ")).expect("a hash");
    let kept = fs::read(objects.join(format!("{object}.ors"))).expect("the answer was kept");
    responder.kill();

    let address = watched.deployment.ocsp_url();
    let address = address.strip_prefix("http://").expect("a URL");
    let listener = until(Duration::from_secs(20), || TcpListener::bind(address).ok());
    let listener = listener.expect("the responder's port is free again");
    let _mirror = Mirror::of(listener, kept);
    let answer = revoke(&watched.deployment, &issued.id, "keyCompromise", "a").json();
    watched.start_prober();
    let alarm = "sigill_revocation_late{method=\"ocsp\",vantage=\"stockholm\"} 1";
    let late =
        until(RECEIPTED_WITHIN, || watched.deployment.metrics().contains(alarm).then_some(()));
    assert!(late.is_some(), "{}", watched.deployment.metrics());
    let told = watched.deployment.printed();
    let serial = answer["serial"].as_str().expect("a serial");
    let line = told.lines().find(|line| line.contains("revocation-unseen"));
    assert!(line.is_some_and(|line| line.contains(serial)), "{told}");
    let ocsp = watched.receipts(&issued.id).into_iter().filter(|one| one["method"] == "ocsp");
    assert_eq!(ocsp.count(), 0);

    // No judge takes it for a receipt by its own word either.
    let body = json!({ "method": "ocsp", "observations": [good] });
    let path = format!("/v1/certificates/{}/receipt", issued.id);
    let asked = watched.deployment.api().ask(&Request::post(path, "asked", &body));
    assert_eq!((asked.status, asked.json()["code"].as_str()), (409, Some("revocation-not-seen")));
}

/// REV-08, CRL-08: a revocation comes on a delta before the full list has it; the vantage point finds the delta where the list says,
/// and both together are what the log says.
fn a_delta_is_looked_at_with_its_list(template: &Template) {
    let deltas = |responder: &str| {
        let url = format!("{responder}/crl/{AUTHORITY}.delta.crl");
        format!("delta-crl-period = 600\ndelta-crl-url = \"{url}\"\n")
    };
    let Some(mut watched) = Watched::with(template, "", deltas) else { return };
    let file = watched.deployment.home.join("config/ocsp.toml");
    let route = format!(
        "\n[[serve]]\npath = \"/crl/{AUTHORITY}.delta.crl\"\nobject = \"crl/{AUTHORITY}.delta.crl\"\n"
    );
    let text = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, text + &route).expect("written");
    let _responder = watched.deployment.responder();
    let issued = watched.issue("card");
    let pem = watched.pem_of(&issued);
    // By list, and by list and delta together.
    let looked = || {
        let said = watched.probe("certificate").arg(&pem).arg("--json").output();
        let looks: Value = serde_json::from_slice(&said.expect("sigill runs").stdout).ok()?;
        let by = |method: &str| {
            let look = looks.as_array()?.iter().find(|look| look["method"] == method)?;
            look["status"].as_str().map(str::to_owned)
        };
        Some((by("crl")?, by("crl-delta")?))
    };
    let good = ("good".to_owned(), "good".to_owned());
    let first = until(RECEIPTED_WITHIN, || looked().filter(|found| *found == good));
    assert!(first.is_some(), "{:?}", looked());

    revoke(&watched.deployment, &issued.id, "keyCompromise", "a");

    let revoked = until(RECEIPTED_WITHIN, || looked().filter(|found| found.1 != "good"));
    let (by_list, by_both) = revoked.expect("a delta that says so");
    assert!(by_both.starts_with("revoked"), "{by_both}");
    assert_eq!(by_list, "good", "the full list is made by the clock alone");

    watched.start_prober();
    let compared = "sigill_status_compared_total{method=\"crl-delta\",vantage=\"stockholm\"}";
    let counted =
        until(RECEIPTED_WITHIN, || watched.deployment.metrics().contains(compared).then_some(()));
    let metrics = watched.deployment.metrics();
    assert!(counted.is_some(), "{metrics}\n{}", watched.said_by_prober());
    let differences = "sigill_status_differences_total{";
    let mut differences = metrics.lines().filter(|line| line.starts_with(differences));
    assert!(differences.all(|line| line.ends_with(" 0")), "{metrics}");
}

/// A mirror that gives the same answer to whoever asks by GET, and none to others, until it is dropped: its port is the
/// responder's, which other tests need.
struct Mirror {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mirror {
    fn of(listener: TcpListener, kept: Vec<u8>) -> Self {
        let (address, over) = (listener.local_addr().expect("an address"), Arc::default());
        let told = Arc::clone(&over);
        let thread = Some(thread::spawn(move || stale_copies(&listener, &kept, &told)));
        Self { address, over, thread }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn stale_copies(listener: &TcpListener, kept: &[u8], over: &AtomicBool) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        if over.load(Ordering::Relaxed) {
            return;
        }
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let mut asked = [0; 4096];
        let count = stream.read(&mut asked).unwrap_or_default();
        let is_get = asked[..count].starts_with(b"GET /M");
        let (status, body) = if is_get { ("200 OK", kept) } else { ("503 Busy", &b""[..]) };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/ocsp-response\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    }
}
