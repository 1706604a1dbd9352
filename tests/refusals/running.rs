//! A running `sigill-ca` and calls of its API, as any HTTP client makes them.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::spoken;

use crate::home::Home;
use crate::state::State;

/// How long a server may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// No answer takes longer: the server's own limits are 15 s for a body and 10 s for a signature.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A server in a home; ended when dropped.
pub struct Running {
    /// Its home.
    pub home: Rc<Home>,
    child: Child,
}

impl Running {
    /// Starts it and waits until it is ready and quiet.
    pub fn start(home: Rc<Home>) -> Self {
        let child = spawn(&home);
        let mut running = Self { home, child };
        running.wait_until_ready();
        running.settle();
        running
    }

    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while self.readiness() != 200 {
            let ended = self.child.try_wait().expect("the child can be asked");
            assert!(ended.is_none(), "sigill-ca ended with {ended:?}: {}", self.log());
            assert!(started.elapsed() < READY_LIMIT, "sigill-ca is not ready: {}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until nothing has happened by itself for a while: all CRLs are out.
    pub fn settle(&self) {
        let started = Instant::now();
        let mut last = (State::of(&self.home), Instant::now());
        while last.1.elapsed() < Duration::from_millis(2_500) {
            thread::sleep(Duration::from_millis(100));
            let now = State::of(&self.home);
            if now != last.0 {
                last = (now, Instant::now());
            }
            assert!(started.elapsed() < READY_LIMIT, "it does not come to rest: {}", self.log());
        }
    }

    /// The status of `/readyz`; 0 if nobody answers.
    pub fn readiness(&self) -> u16 {
        self.observed("/readyz").0
    }

    /// Status and text of a path of health and metrics; 0 if nobody answers.
    pub fn observed(&self, path: &str) -> (u16, String) {
        let mut command = Command::new("curl");
        command.args(["--silent", "--max-time", "30", "--write-out", "\n%{http_code}"]);
        command.arg(format!("http://{}{path}", self.home.observe));
        let said = spoken::run(&mut command, &[]);
        let out = String::from_utf8_lossy(&said.out).into_owned();
        let (text, status) = out.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), text.to_owned())
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.beside("serve.log")).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_none()
    }

    /// Asks it to end in good order, and gives the home back.
    pub fn stop(mut self) -> Rc<Home> {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let started = Instant::now();
        while self.alive() && started.elapsed() < READY_LIMIT {
            thread::sleep(Duration::from_millis(20));
        }
        assert!(!self.alive(), "it does not stop: {}", self.log());
        Rc::clone(&self.home)
    }

    /// Makes a call.
    pub fn call(&self, call: &Call) -> Answer {
        let headers = self.home.beside("answer.headers");
        let mut command = self.command(call, &headers);
        let body = call.body.as_deref();
        if body.is_some() {
            command.args(["--data-binary", "@-"]);
        }
        Answer::read(&spoken::run(&mut command, body.unwrap_or_default()), &headers)
    }

    /// Makes a call and does not wait for its answer.
    pub fn begin(&self, call: &Call) -> Child {
        let (headers, body) = (self.home.beside("begun.headers"), self.home.beside("begun.body"));
        fs::write(&body, call.octets()).expect("a file");
        let mut command = self.command(call, &headers);
        command.arg("--data-binary").arg(format!("@{}", body.display()));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("curl starts")
    }

    /// Kills it: it leaves everything as it is at this moment.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it has ended");
    }

    fn command(&self, call: &Call, headers: &std::path::Path) -> Command {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--globoff", "--request", &call.method])
            .args(["--max-time", &ANSWER_LIMIT.as_secs().to_string()])
            .arg("--cacert")
            .arg(self.home.path("tls/management-ca.pem"))
            .arg("--dump-header")
            .arg(headers)
            .args(["--write-out", "\n%{http_code}"])
            .args(["--header", "Expect:"]);
        if let Some(client) = &call.client {
            command.arg("--cert").arg(self.home.path(&format!("tls/{client}.pem")));
            command.arg("--key").arg(self.home.path(&format!("tls/{client}.key")));
        }
        for header in &call.headers {
            command.args(["--header", header]);
        }
        if call.body.is_some() {
            command.args(["--header", "Content-Type: application/json"]);
        }
        command.arg(format!("https://{}{}", self.home.api, call.path));
        command
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(home: &Home) -> Child {
    let log = home.beside("serve.log");
    let output = File::options().create(true).append(true).open(log).expect("the log opens");
    let errors = output.try_clone().expect("a file can be shared");
    home.command("serve", crate::home::CONFIG)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .expect("sigill-ca starts")
}

/// One call of the API.
#[derive(Clone, Debug)]
pub struct Call {
    method: String,
    path: String,
    /// The client whose certificate is shown, or nobody's.
    client: Option<String>,
    headers: Vec<String>,
    body: Option<Vec<u8>>,
}

impl Call {
    /// Whether its body has this text.
    pub fn says(&self, text: &str) -> bool {
        let body = self.body.as_deref().unwrap_or_default();
        body.windows(text.len()).any(|octets| octets == text.as_bytes())
    }

    /// A call of the portal without a body.
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            path: path.to_owned(),
            client: Some("portal".to_owned()),
            headers: Vec::new(),
            body: None,
        }
    }

    /// A call of the portal with a body and a fresh idempotency key.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        Self {
            method: "POST".to_owned(),
            headers: vec![format!("Idempotency-Key: refusals-{number}")],
            body: Some(body.into()),
            ..Self::get(path)
        }
    }

    /// The order of a certificate.
    pub fn order(body: &Value) -> Self {
        Self::post("/v1/certificates", body.to_string())
    }

    /// The revocation of a certificate.
    pub fn revocation(id: &str, body: &Value) -> Self {
        Self::post(&format!("/v1/certificates/{id}/revocation"), body.to_string())
    }

    /// The same with one header more.
    pub fn with(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }

    /// Its method.
    pub fn method_name(&self) -> &str {
        &self.method
    }

    /// Its path and query.
    pub fn target(&self) -> &str {
        &self.path
    }

    /// Its body.
    pub fn octets(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// The value of one of its headers.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers.iter().filter_map(|header| header.split_once(": "));
        values.clone().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The same with another method.
    pub fn method(self, method: &str) -> Self {
        Self { method: method.to_owned(), ..self }
    }

    /// The same by another client.
    pub fn by(self, client: &str) -> Self {
        Self { client: Some(client.to_owned()), ..self }
    }

    /// The same without a client certificate.
    pub fn by_nobody(self) -> Self {
        Self { client: None, ..self }
    }

    /// The same with these headers alone.
    pub fn headers(self, headers: &[&str]) -> Self {
        Self { headers: headers.iter().map(|header| (*header).to_owned()).collect(), ..self }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status; 0 when there was no answer.
    pub status: u16,
    /// The headers as received, lower case.
    pub headers: String,
    /// The body as JSON, or null.
    pub json: Value,
    /// What curl said and all that came.
    pub text: String,
}

impl Answer {
    fn read(said: &spoken::Spoken, headers: &std::path::Path) -> Self {
        let out = String::from_utf8_lossy(&said.out);
        let (body, status) = out.rsplit_once('\n').unwrap_or(("", "0"));
        Self {
            status: status.parse().unwrap_or(0),
            headers: fs::read_to_string(headers).unwrap_or_default().to_lowercase(),
            json: body.parse().unwrap_or(Value::Null),
            text: said.text.clone(),
        }
    }

    /// The code of the problem that it is, or `""`.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// Promise 9: a problem that ends the search, and nothing else.
    pub fn must_be_whole(&self) {
        let text = |field: &str| self.json[field].as_str().unwrap_or_default();
        assert!(self.headers.contains("content-type: application/problem+json"), "{self:?}");
        for field in ["type", "title", "code", "detail", "rule", "seen", "limit", "next", "time"] {
            assert!(!text(field).is_empty(), "{field} is missing: {self:?}");
        }
        assert_eq!(self.json["status"].as_u64(), Some(u64::from(self.status)), "{self:?}");
        assert_eq!(text("correlation_id").len(), 32, "{self:?}");
        let id = format!("sigill-correlation-id: {}", text("correlation_id"));
        assert!(self.headers.contains(&id), "{self:?}");
        assert!(self.headers.contains("sigill-deployment: test/demo/"), "{self:?}");
        assert!(text("time").ends_with('Z'), "{self:?}");
    }
}
