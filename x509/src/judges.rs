//! Other people's programs and data that judge ours in tests.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write files and sign for other programs to read"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use tempfile::TempDir;

use crate::key::PublicKey;
use crate::signing::{Intent, Recorder, SigningInput, ToBeSigned};

/// Runs a program and returns what it wrote to both outputs, or `None` where it is not installed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        }
        Err(_) => {
            println!("skipped: {program} is not installed");
            None
        }
    }
}

/// Reads a test's own file.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// Writes a test's own file.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Unpacks one of the shared vector archives; `None`, said aloud, where it is absent.
pub(crate) fn vectors(name: &str) -> Option<TempDir> {
    let archive = format!("{}/../../shared/vectors/{name}.tar.xz", env!("CARGO_MANIFEST_DIR"));
    if !Path::new(&archive).exists() {
        println!("skipped: no {archive}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    run("tar", &["xJf", &archive, "-C", folder.path().to_str().unwrap()])?;
    Some(folder)
}

/// A P-256 CA that OpenSSL made, with its key in our hands.
pub(crate) struct TestCa {
    pub(crate) folder: TempDir,
    pub(crate) key: EcdsaKeyPair,
    pub(crate) public_key: PublicKey,
    pub(crate) certificate: Vec<u8>,
}

impl TestCa {
    /// `None` where OpenSSL is not installed.
    pub(crate) fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        run(
            "openssl",
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-out",
                &path("ca.key"),
            ],
        )?;
        run(
            "openssl",
            &[
                "req",
                "-x509",
                "-new",
                "-key",
                &path("ca.key"),
                "-sha256",
                "-days",
                "30",
                "-subj",
                "/C=SE/O=Sigill Test/CN=SIGILL TEST CA",
                "-addext",
                "keyUsage=critical,keyCertSign,cRLSign",
                "-out",
                &path("ca.pem"),
            ],
        )?;
        run(
            "openssl",
            &["x509", "-in", &path("ca.pem"), "-outform", "DER", "-out", &path("ca.der")],
        )?;
        run(
            "openssl",
            &[
                "pkcs8",
                "-topk8",
                "-nocrypt",
                "-in",
                &path("ca.key"),
                "-outform",
                "DER",
                "-out",
                &path("ca.p8"),
            ],
        )?;
        let pkcs8 = read(&folder.path().join("ca.p8"));
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).unwrap();
        let public_key = PublicKey::from_ec_point(key.public_key().as_ref()).unwrap();
        let certificate = read(&folder.path().join("ca.der"));
        Some(Self { key, public_key, certificate, folder })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Subject Name and subjectKeyIdentifier of the certificate, as another parser reads them.
    pub(crate) fn name_and_key_id(&self) -> (Vec<u8>, Vec<u8>) {
        let (_, parsed) = x509_parser::parse_x509_certificate(&self.certificate).unwrap();
        let key_id = parsed
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => {
                    Some(id.0.to_vec())
                }
                _ => None,
            })
            .unwrap();
        (parsed.subject().as_raw().to_vec(), key_id)
    }

    pub(crate) fn sign(&self, input: &SigningInput, bytes: &[u8]) -> Vec<u8> {
        if let ToBeSigned::Bytes(own) = input.to_be_signed() {
            assert_eq!(&own[..], bytes);
        }
        self.key.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec()
    }
}

/// A record that is kept nowhere.
pub(crate) struct NoRecord;

impl Recorder for NoRecord {
    type Error = std::convert::Infallible;
    fn record(self, _: &Intent) -> Result<(), Self::Error> {
        Ok(())
    }
}
