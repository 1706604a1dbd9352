//! The API over mutual TLS, near enough to the wire to break off at any octet.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// Longer than any call of the API may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a caller goes on with one order, whatever happens to the server.
const PERSEVERANCE: Duration = Duration::from_secs(120);

/// A client of the API. Its clones count together.
#[derive(Clone)]
pub(crate) struct Api {
    tls: Arc<ClientConfig>,
    address: SocketAddr,
    keys: Keys,
    tries: Arc<Tries>,
}

/// Who calls under the client's idempotency keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// One caller, one call after the other.
    Own,
    /// Several callers at once, or calls before that nobody waited for.
    Shared,
}

/// What became of the calls that had to be repeated.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// Answered with a clear 503.
    pub(crate) put_off: AtomicU64,
    /// Answered with 409: an earlier call under the same key was still at work.
    pub(crate) at_work: AtomicU64,
    /// Sent, and never answered.
    pub(crate) broken: AtomicU64,
    /// Not sent: nobody listened.
    pub(crate) unheard: AtomicU64,
}

impl Tries {
    /// Every call was answered, and none found its key at work.
    pub(crate) fn all_were_answered(&self) {
        println!("measured: answered with 503 = {}", self.put_off.load(Ordering::Relaxed));
        for (what, count) in [
            ("answered with 409", &self.at_work),
            ("connections broken", &self.broken),
            ("connections refused", &self.unheard),
        ] {
            let count = count.load(Ordering::Relaxed);
            println!("measured: {what} = {count}");
            assert_eq!(count, 0, "{what}");
        }
    }
}

impl Api {
    /// The client `portal` of the deployment in `home`.
    pub(crate) fn portal(home: &Path, address: SocketAddr) -> Self {
        let tls = home.join("tls");
        let mut roots = RootCertStore::empty();
        let management = CertificateDer::from_pem_file(tls.join("management-ca.pem"));
        roots.add(management.expect("a management CA")).expect("a trust anchor");
        let chain = CertificateDer::pem_file_iter(tls.join("portal.pem"))
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .expect("the portal's certificate");
        let key = PrivateKeyDer::from_pem_file(tls.join("portal.key")).expect("the portal's key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("a client certificate");
        Self { tls: Arc::new(config), address, keys: Keys::Own, tries: Arc::default() }
    }

    /// The same client where others call under its keys, too.
    pub(crate) fn with_shared_keys(mut self) -> Self {
        self.keys = Keys::Shared;
        self
    }

    /// What became of the calls that were repeated.
    pub(crate) fn tries(&self) -> &Tries {
        &self.tries
    }

    /// Opens a connection, handshake included.
    pub(crate) fn open(&self) -> io::Result<Line> {
        let mut socket = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, socket.try_clone()?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut socket)?;
        }
        Ok(Line(stream))
    }

    /// One call on a connection of its own.
    pub(crate) fn call(&self, request: &Request) -> io::Result<Answer> {
        self.open()?.call(request)
    }

    /// One call that must be answered.
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        self.call(request).unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    /// Repeats a call until it is answered with something else than "come back": through killed
    /// servers, broken connections and clear 503. A key is at work (409) only while another call under it
    /// may be: one that broke off unanswered, or one of somebody else.
    pub(crate) fn persevere(&self, line: &mut Option<Line>, request: &Request) -> Answer {
        let started = Instant::now();
        let mut may_be_at_work = self.keys == Keys::Shared;
        loop {
            let open = match line.take() {
                Some(open) => Ok(open),
                None => self.open(),
            };
            let (counter, why) = match open {
                Err(error) => (&self.tries.unheard, error.to_string()),
                Ok(mut open) => match open.call(request) {
                    Err(error) => {
                        may_be_at_work = true;
                        (&self.tries.broken, error.to_string())
                    }
                    Ok(answer) => {
                        *line = Some(open);
                        let counter = match answer.status {
                            503 => &self.tries.put_off,
                            409 if answer.json()["code"] == "order-running" => {
                                let text = answer.text();
                                assert!(may_be_at_work, "nobody works on it: {request:?}: {text}");
                                &self.tries.at_work
                            }
                            _ => return answer,
                        };
                        answer.says_when_and_how_to_come_back();
                        (counter, answer.text())
                    }
                },
            };
            counter.fetch_add(1, Ordering::Relaxed);
            assert!(started.elapsed() < PERSEVERANCE, "{request:?}: {why}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A call.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), key: None, body: Vec::new() }
    }

    pub(crate) fn post(path: impl Into<String>, key: impl Into<String>, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { method: "POST", path: path.into(), key: Some(key.into()), body }
    }

    /// Its octets on the wire.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: ca\r\n", self.method, self.path);
        if let Some(key) = &self.key {
            head.push_str(&format!("Idempotency-Key: {key}\r\n"));
        }
        if self.method == "POST" {
            let length = self.body.len();
            head.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {length}\r\n"
            ));
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// An answer without headers.
    pub(crate) fn of(status: u16, body: &[u8]) -> Self {
        Self { status, headers: Vec::new(), body: body.to_vec() }
    }

    /// A header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether it says that it was given before.
    pub(crate) fn replayed(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }

    /// A time in seconds, a code, and what to do next.
    pub(crate) fn says_when_and_how_to_come_back(&self) {
        let seconds = self.header("retry-after").and_then(|value| value.parse::<u64>().ok());
        assert!(seconds.is_some_and(|seconds| (1..=60).contains(&seconds)), "{}", self.text());
        let problem = self.json();
        for member in ["code", "next"] {
            let words = problem[member].as_str().unwrap_or_default();
            assert!(!words.is_empty(), "{member}: {}", self.text());
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// A connection that is kept alive; dropping it is hanging up.
pub(crate) struct Line(StreamOwned<ClientConnection, TcpStream>);

impl Line {
    /// Sends a request and reads its answer.
    pub(crate) fn call(&mut self, request: &Request) -> io::Result<Answer> {
        self.send(&request.octets())?;
        self.read()
    }

    /// Sends octets, whatever they are.
    pub(crate) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.write_all(octets)?;
        self.0.flush()
    }

    /// Reads one answer.
    pub(crate) fn read(&mut self) -> io::Result<Answer> {
        let mut seen = Vec::new();
        let end = loop {
            if let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more(&mut seen)?;
        };
        let head = String::from_utf8_lossy(&seen[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length: usize = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .and_then(|(_, value)| value.parse().ok())
            .ok_or_else(|| io::Error::other("an answer without a length"))?;
        let mut body = seen.split_off(end);
        while body.len() < length {
            self.more(&mut body)?;
        }
        let status = status.ok_or_else(|| io::Error::other("an answer without a status"))?;
        Ok(Answer { status, headers, body })
    }

    fn more(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let mut octets = [0; 8192];
        match self.0.read(&mut octets)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                into.extend_from_slice(&octets[..read]);
                Ok(())
            }
        }
    }
}
