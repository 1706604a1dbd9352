//! A register behind mutual TLS, and what stands in its way.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::Receiver;
use std::thread;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use x509::certificate::Certificate;

use super::*;

/// Somebody with a key and a certificate for it.
struct Party {
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

impl Party {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        Self { certificate: params.self_signed(&key).unwrap(), key }
    }

    fn pin(&self) -> String {
        let certificate = Certificate::from_der(self.certificate.der()).unwrap();
        certificate.public_key().spki_hash().to_string()
    }

    fn private(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// Answers one call after the other with these octets, and tells what was asked. It takes `client` alone.
fn served(server: &Party, client: &Party, answers: Vec<Vec<u8>>) -> (SocketAddr, Receiver<String>) {
    let mut roots = RootCertStore::empty();
    roots.add(client.certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![server.certificate.der().clone()], server.private())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, asked) = channel();
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = BufReader::new(StreamOwned::new(connection, stream));
            let Some(question) = question(&mut tls) else { continue };
            let _ = told.send(question);
            let _ = tls.get_mut().write_all(&answer);
            tls.get_mut().conn.send_close_notify();
            let _ = tls.get_mut().flush();
        }
    });
    (address, asked)
}

/// A call with its body; nothing of one that does not come in.
fn question(from: &mut impl std::io::BufRead) -> Option<String> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().ok()?;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some(format!("{head}\r\n{}", String::from_utf8(body).ok()?))
}

fn port(address: SocketAddr, pin: String, client: &Party, timeout: Duration) -> Port {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    fs::write(&certificate, client.certificate.pem()).unwrap();
    fs::write(&key, client.key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let section = HttpSection::new(address.to_string(), "/v1/person", vec![pin], certificate, key);
    let deployment = Deployment::from_parts("test", "demo", "a1b2").unwrap();
    Port { timeout, ..port_of(HttpRegister::new(&section, deployment).unwrap()) }
}

fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn answer() -> String {
    let mut answer = found(PERSON);
    answer["format"] = json!("sigill/register-answer/1");
    answer["register"] = json!("person");
    answer["as-of"] = json!(now().to_string());
    answer.to_string()
}

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_register_is_asked_over_mutual_tls_and_named_in_no_address() {
    let (server, client) = (Party::new(), Party::new());
    let (address, asked) = served(&server, &client, vec![ok(&answer())]);
    let answered = port(address, server.pin(), &client, LONG).ask(&of(PERSON), now()).unwrap();

    assert!(matches!(answered.said, Said::Found(None, _)));
    let asked = asked.recv().unwrap();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/person HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains(PERSON) && head.contains("sigill-deployment: test/demo/a1b2"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    let expected = json!({
        "format": "sigill/register-question/1", "register": "person", "key": PERSON,
    });
    assert_eq!(body, expected);
}

#[test]
fn what_is_no_answer_is_told_as_what_it_is() {
    let (server, client) = (Party::new(), Party::new());
    let unavailable = RegisterFault::Unavailable;
    let cases = [
        (b"HTTP/1.1 503 Later\r\ncontent-length: 0\r\n\r\n".to_vec(), unavailable),
        (b"HTTP/1.1 404 None\r\ncontent-length: 0\r\n\r\n".to_vec(), unavailable),
        (b"HTTP/1.1 302 There\r\nlocation: /\r\ncontent-length: 0\r\n\r\n".to_vec(), unavailable),
        (b"no HTTP at all\r\n\r\n".to_vec(), unavailable),
        (Vec::new(), unavailable),
        (ok(&answer())[..60].to_vec(), unavailable),
        (ok("{}"), RegisterFault::Malformed),
        (ok(&answer().replace(PERSON, OTHER)), RegisterFault::Malformed),
        (ok(&"x".repeat(70_000)), RegisterFault::Malformed),
    ];
    let answers = cases.iter().map(|(answer, _)| answer.clone()).collect();
    let (address, _asked) = served(&server, &client, answers);
    let port = port(address, server.pin(), &client, LONG);
    for (answer, expected) in cases {
        let fault = port.ask(&of(PERSON), now()).unwrap_err();
        assert_eq!(fault, expected, "{:.80}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn nobody_is_told_who_is_asked_for_but_the_pinned_key() {
    let (server, client, other) = (Party::new(), Party::new(), Party::new());
    let (address, asked) = served(&server, &client, vec![ok(&answer()), ok(&answer())]);

    let wrong = port(address, other.pin(), &client, LONG).ask(&of(PERSON), now()).unwrap_err();
    assert_eq!(wrong, RegisterFault::Unavailable);
    let stranger = port(address, server.pin(), &other, LONG).ask(&of(PERSON), now()).unwrap_err();
    assert_eq!(stranger, RegisterFault::Unavailable);
    assert!(asked.recv().is_err(), "no question came in");
}

#[test]
fn a_register_that_takes_the_question_and_says_nothing_is_left() {
    let (server, client) = (Party::new(), Party::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_millis(100);

    let fault = port(address, server.pin(), &client, limit).ask(&of(PERSON), now()).unwrap_err();

    assert_eq!(fault, RegisterFault::TimedOut { limit });
    drop(listener);
    let gone = port(address, server.pin(), &client, LONG).ask(&of(PERSON), now()).unwrap_err();
    assert_eq!(gone, RegisterFault::Unavailable);
}
