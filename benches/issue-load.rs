//! The load side of the issuing figure: distinct requests with distinct keys over mutual TLS.
//!
//! Keys, certification requests and bodies are made before the clock starts. Then each of C connections
//! sends one order after the other on one TLS connection and reads the whole answer. The CPU that the server
//! used is read from /proc/PID/stat at both ends of the measured time, so that starting and stopping do
//! not count. benches/run calls it; the result is one line of JSON on standard output.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

const USAGE: &str =
    "usage: issue-load --address HOST:PORT --ca FILE --cert FILE --key FILE --pid PID
       --profile NAME --connections N --seconds N --requests N [--file FILE] [--out FILE]
--requests is how many are made beforehand; the measured time ends when they are used up.
--file keeps certification requests, one a line in base64: made if there is no such file, else read.
--out gets a line for each certificate: its id and its serial number.";

/// The kernel counts CPU time in hundredths of a second on every Linux that Sigill runs on.
const TICKS_A_SECOND: f64 = 100.0;

fn main() -> io::Result<()> {
    let options = Options::read();
    let started = Instant::now();
    let requests = whole_requests(&options, &certification_requests(&options)?);
    eprintln!("{} requests made in {:.1} s", requests.len(), started.elapsed().as_secs_f64());
    let tls = Arc::new(tls(&options)?);

    let next = AtomicUsize::new(0);
    let ready = Barrier::new(options.connections + 1);
    let seen = Mutex::new(Seen::default());
    let (elapsed, server_cpu, own_cpu) = std::thread::scope(|threads| -> io::Result<_> {
        let (next, ready, seen, requests) = (&next, &ready, &seen, &requests);
        let workers: Vec<_> = (0..options.connections)
            .map(|_| {
                let (tls, options) = (Arc::clone(&tls), &options);
                threads.spawn(move || -> io::Result<()> {
                    let opened = Connection::open(&tls, options);
                    ready.wait();
                    let own = opened?.load(requests, next, Duration::from_secs(options.seconds))?;
                    seen.lock().unwrap().add(own);
                    Ok(())
                })
            })
            .collect();
        ready.wait();
        let (begun, server, own) = (Instant::now(), cpu_of(&options.pid)?, cpu_of("self")?);
        for worker in workers {
            worker.join().expect("a connection panicked")?;
        }
        let elapsed = begun.elapsed().as_secs_f64();
        Ok((elapsed, cpu_of(&options.pid)? - server, cpu_of("self")? - own))
    })?;

    let mut seen = seen.into_inner().unwrap();
    seen.latencies.sort_unstable();
    if let Some(path) = options.text.get("out") {
        let mut file = BufWriter::new(fs::File::create(path)?);
        for (id, serial) in &seen.certificates {
            writeln!(file, "{id} {serial}")?;
        }
        file.flush()?;
    }
    let issued = seen.certificates.len() as f64;
    let percentile = |share: f64| {
        let index =
            ((seen.latencies.len() as f64 * share) as usize).min(seen.latencies.len().max(1) - 1);
        seen.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    };
    println!(
        "{}",
        json!({
            "n": seen.certificates.len(), "bad": seen.bad, "first_bad": seen.first_bad, "seconds": elapsed,
            "rps": issued / elapsed, "p50_ms": percentile(0.5), "p99_ms": percentile(0.99),
            "cpu_srv": server_cpu / elapsed, "cpu_cli": own_cpu / elapsed,
            "per_cpu_s": if server_cpu > 0.0 { issued / server_cpu } else { 0.0 },
            "rss_mb": resident_mb(&options.pid),
        })
    );
    Ok(())
}

struct Options {
    text: BTreeMap<String, String>,
    pid: String,
    connections: usize,
    seconds: u64,
    requests: usize,
}

impl Options {
    fn read() -> Self {
        let mut text = BTreeMap::new();
        let mut words = std::env::args().skip(1);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            text.insert(name.trim_start_matches("--").to_owned(), value);
        }
        let wanted = [
            "address",
            "ca",
            "cert",
            "key",
            "pid",
            "profile",
            "connections",
            "seconds",
            "requests",
        ];
        if let Some(missing) = wanted.iter().find(|name| !text.contains_key(**name)) {
            eprintln!("error: --{missing} is missing\n{USAGE}");
            std::process::exit(2);
        }
        let number = |name: &str| {
            text[name].parse::<usize>().unwrap_or_else(|_| {
                eprintln!("error: --{name} {} is no number\n{USAGE}", text[name]);
                std::process::exit(2)
            })
        };
        let (connections, requests) = (number("connections"), number("requests"));
        let (seconds, pid) = (number("seconds") as u64, number("pid").to_string());
        Self { text, pid, connections, seconds, requests }
    }
}

/// PKCS#10 requests in base64, each with a key of its own: those of the file, or new ones.
fn certification_requests(options: &Options) -> io::Result<Vec<String>> {
    let Some(file) = options.text.get("file") else { return Ok(make_requests(options.requests)) };
    if !fs::exists(file)? {
        fs::write(file, make_requests(options.requests).join("\n"))?;
    }
    let kept: Vec<String> = fs::read_to_string(file)?.lines().map(str::to_owned).collect();
    if kept.len() < options.requests {
        let found = format!("{file} has {} requests, wanted are {}", kept.len(), options.requests);
        return Err(io::Error::other(found));
    }
    Ok(kept.into_iter().take(options.requests).collect())
}

fn make_requests(wanted: usize) -> Vec<String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || -> Vec<String> {
                    (thread..wanted).step_by(threads).map(|_| make_request()).collect()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a request was not made"))
            .collect()
    })
}

fn make_request() -> String {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    STANDARD.encode(CertificateParams::default().serialize_request(&key).unwrap().der())
}

/// Whole HTTP requests, each with a certification request, a name and an Idempotency-Key of its own.
fn whole_requests(options: &Options, certification: &[String]) -> Vec<Vec<u8>> {
    let run = format!(
        "{:x}-{}",
        std::process::id(),
        std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()
    );
    let whole = |(number, csr): (usize, &String)| whole_request(options, &run, number, csr);
    certification.iter().enumerate().map(whole).collect()
}

fn whole_request(options: &Options, run: &str, number: usize, csr: &str) -> Vec<u8> {
    let name = format!("host-{number}.bench.example.org");
    let body = json!({
        "profile": options.text["profile"],
        "csr": csr,
        "subject": { "common_name": name, "hsa_id": "TST2321000016-B02", "organization": "Sigill Test" },
        "alternative_names": { "dns": [name] },
    })
    .to_string();
    format!(
        "POST /v1/certificates HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: bench-{run}-{number}\r\nContent-Length: {}\r\n\r\n{body}",
        options.text["address"],
        body.len(),
    )
    .into_bytes()
}

fn tls(options: &Options) -> io::Result<ClientConfig> {
    let (ca, cert, key) = (&options.text["ca"], &options.text["cert"], &options.text["key"]);
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).map_err(io::Error::other)?)
        .map_err(io::Error::other)?;
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(io::Error::other)
}

/// What one connection, or all of them, saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    certificates: Vec<(String, String)>,
    bad: usize,
    first_bad: Option<String>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.certificates.extend(other.certificates);
        self.bad += other.bad;
        self.first_bad = self.first_bad.take().or(other.first_bad);
    }

    fn take(&mut self, head: &str, body: &[u8], latency: Duration) {
        let value = |name: &str| {
            let text = std::str::from_utf8(body).ok()?;
            let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        match (head.starts_with("HTTP/1.1 201 "), value("id"), value("serial")) {
            (true, Some(id), Some(serial)) => {
                self.latencies.push(latency);
                self.certificates.push((id, serial));
            }
            _ => {
                self.bad += 1;
                let line = head.lines().next().unwrap_or_default();
                self.first_bad
                    .get_or_insert_with(|| format!("{line}: {}", String::from_utf8_lossy(body)));
            }
        }
    }
}

struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(tls: &Arc<ClientConfig>, options: &Options) -> io::Result<Self> {
        let socket = TcpStream::connect(&options.text["address"])?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        let host = options.text["address"].rsplit_once(':').map_or("", |(host, _)| host).to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    fn load(
        &mut self,
        requests: &[Vec<u8>],
        next: &AtomicUsize,
        limit: Duration,
    ) -> io::Result<Seen> {
        let mut seen = Seen::default();
        let begun = Instant::now();
        while begun.elapsed() < limit {
            let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let sent = Instant::now();
            self.stream.write_all(request)?;
            self.stream.flush()?;
            let (head, length) = self.read_answer()?;
            let text = String::from_utf8_lossy(&self.buffer[..head]).into_owned();
            seen.take(&text, &self.buffer[head..head + length], sent.elapsed());
        }
        Ok(seen)
    }

    /// Reads one answer into the buffer: how long its head is, and its body.
    fn read_answer(&mut self) -> io::Result<(usize, usize)> {
        self.buffer.clear();
        let mut chunk = [0; 16 * 1024];
        let mut whole = None;
        loop {
            if let Some((head, length)) = whole
                && self.buffer.len() >= head + length
            {
                return Ok((head, length));
            }
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&chunk[..read]);
            if whole.is_none()
                && let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n")
            {
                let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
                    .ok_or_else(|| io::Error::other("an answer without Content-Length"))?;
                whole = Some((end + 4, length));
            }
        }
    }
}

/// Seconds of CPU that a process has used, its threads included.
fn cpu_of(pid: &str) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks =
        |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / TICKS_A_SECOND)
}

fn resident_mb(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
