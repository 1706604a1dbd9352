//! PKCS#10 requests of every sort: good ones by OpenSSL, and broken ones made from those.

use std::fs;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::spoken;

use crate::home::Home;

/// A request for a new key, in DER. `key` is what `openssl req -newkey` takes.
pub fn made(key: &[&str], more: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = ["req", "-new", "-nodes", "-keyout", "key.pem", "-subj", "/CN=ignored", "-newkey"];
    let last = ["-outform", "DER", "-out", "csr.der"];
    let arguments = [&first[..], key, more, &last[..]].concat();
    let said = spoken::openssl(folder.path(), &arguments).expect("openssl is installed");
    assert_eq!(said.code, 0, "openssl {arguments:?}: {}", said.text);
    fs::read(folder.path().join("csr.der")).expect("the request is there")
}

/// A good request for a P-256 key.
pub fn p256() -> Vec<u8> {
    made(&["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], &[])
}

/// A good request that asks for this extension.
pub fn asking(extension: &str) -> Vec<u8> {
    made(&["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], &["-addext", extension])
}

/// Without algorithm and signature.
pub fn unsigned() -> Vec<u8> {
    let good = p256();
    tlv(0x30, parts(&good)[0])
}

/// With an empty signature.
pub fn empty_signature() -> Vec<u8> {
    let good = p256();
    let [info, algorithm, _] = parts(&good)[..] else { panic!("a request has three parts") };
    tlv(0x30, &[info, algorithm, &[0x03, 0x01, 0x00]].concat())
}

/// With a signature whose last bit is flipped.
pub fn wrongly_signed() -> Vec<u8> {
    let mut der = p256();
    *der.last_mut().expect("not empty") ^= 1;
    der
}

/// The first half.
pub fn truncated() -> Vec<u8> {
    let der = p256();
    der[..der.len() / 2].to_vec()
}

/// The same in BER: an outer SEQUENCE of indefinite length.
pub fn indefinite() -> Vec<u8> {
    let der = p256();
    let (_, content) = header(&der);
    [&[0x30, 0x80], content, &[0, 0]].concat()
}

/// The same in BER: the outer length in one octet more than it needs.
pub fn long_length() -> Vec<u8> {
    let der = p256();
    let (_, content) = header(&der);
    let length = u32::try_from(content.len()).expect("short").to_be_bytes();
    [&[0x30, 0x84], &length[..], content].concat()
}

/// The key of a CA of this deployment, under another key's signature.
pub fn own_key(home: &Home) -> Vec<u8> {
    let path = home.path("ceremony/out/sigilltesteidfunctioneccav1.cer");
    let der = fs::read(path).expect("the certificate is there");
    let certificate = x509::certificate::Certificate::from_der(&der).expect("strict DER");
    let good = p256();
    let [_, algorithm, signature] = parts(&good)[..] else { panic!("three parts") };
    let frame = Frame::of(certificate.public_key().spki_der());
    tlv(0x30, &[&frame.info[..], algorithm, signature].concat())
}

/// What is signed of a request for a key, before it is signed.
pub struct Frame {
    /// The CertificationRequestInfo.
    pub info: Vec<u8>,
}

impl Frame {
    /// For the key of this SubjectPublicKeyInfo, with the subject and attributes of a good request.
    pub fn of(spki: &[u8]) -> Self {
        static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
        let [info, ..] = parts(GOOD.get_or_init(p256))[..] else { panic!("three parts") };
        let (_, content) = header(info);
        let [version, subject, _, attributes] = split(content)[..] else { panic!("four parts") };
        Self { info: tlv(0x30, &[version, subject, spki, attributes].concat()) }
    }

    /// The request with this AlgorithmIdentifier and these octets for a signature.
    pub fn signed(&self, algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
        let signature = tlv(0x03, &[&[0], signature].concat());
        tlv(0x30, &[&self.info[..], algorithm, &signature].concat())
    }
}

/// As the API takes it.
pub fn base64(der: &[u8]) -> String {
    STANDARD.encode(der)
}

/// As PEM with any label.
pub fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(der))
}

/// An order for a function of the RSA CA, by its request in the API's form.
pub fn function(csr: &str) -> Value {
    json!({
        "profile": "function",
        "csr": csr,
        "subject": {
            "common_name": "refusals.example.org",
            "organization": "Sigill Test",
            "hsa_id": "TST2321000016-B02",
        },
        "alternative_names": { "dns": ["refusals.example.org"] },
    })
}

/// The same of the EC CA, whose profile takes EC keys without requested extensions.
pub fn function_ec(csr: &str) -> Value {
    let mut order = function(csr);
    order["profile"] = json!("function-ec");
    order
}

/// An order for a person's authentication.
pub fn person(csr: &str) -> Value {
    json!({
        "profile": "person-hsaid-3-authentication",
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

/// A DER element.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut octets = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=127) => octets.push(short),
        _ => {
            let wide = u32::try_from(length).expect("a short element").to_be_bytes();
            let first = wide.iter().position(|octet| *octet != 0).unwrap_or(3);
            octets.push(0x80 | u8::try_from(4 - first).expect("at most four"));
            octets.extend_from_slice(&wide[first..]);
        }
    }
    octets.extend_from_slice(content);
    octets
}

/// The parts of a request.
fn parts(der: &[u8]) -> Vec<&[u8]> {
    split(header(der).1)
}

/// An element's header and content; what follows it is cut off.
pub fn header(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..=127 => (usize::from(short), 2),
        long => {
            let octets = usize::from(long & 0x7f);
            let length = der[2..2 + octets].iter().fold(0, |n, octet| n << 8 | usize::from(*octet));
            (length, 2 + octets)
        }
    };
    (&der[..start], &der[start..start + length])
}

/// The elements that stand one after another.
pub fn split(mut octets: &[u8]) -> Vec<&[u8]> {
    let mut elements = Vec::new();
    while !octets.is_empty() {
        let (head, content) = header(octets);
        let (element, rest) = octets.split_at(head.len() + content.len());
        elements.push(element);
        octets = rest;
    }
    elements
}
