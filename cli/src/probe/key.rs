//! The key of a vantage point: PKCS#8 in PEM, Ed25519 or P-256, in a file of mode 0600.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use ledger::DeploymentName;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use status::VantageName;
use status::observation::{Observation, SignedObservation};
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::pem;
use x509::statement::SignedStatement;
use zeroize::Zeroizing;

use super::ProbeFault;
use crate::client::ClientError;

/// The longest key file, octets.
const LONGEST: u64 = 16 * 1024;

/// A vantage point that can sign.
pub(crate) struct Vantage {
    pub(crate) deployment: DeploymentName,
    pub(crate) name: VantageName,
    key: Key,
    public: PublicKey,
}

enum Key {
    Ed25519(Box<Ed25519KeyPair>),
    P256(Box<EcdsaKeyPair>),
}

impl Vantage {
    /// Opens the key in `path`, which nobody but its owner may read.
    pub(crate) fn open(
        deployment: DeploymentName,
        name: VantageName,
        path: &Path,
    ) -> Result<Self, ClientError> {
        let file = |source| ClientError::File { path: path.to_path_buf(), source };
        let opened = std::fs::File::open(path).map_err(file)?;
        let mode = opened.metadata().map_err(file)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(ClientError::Value {
                what: "mode of the vantage point's key",
                found: format!("{mode:o}"),
                limit: "0600: readable for its owner alone",
            });
        }
        let mut text = Zeroizing::new(String::new());
        opened.take(LONGEST).read_to_string(&mut text).map_err(file)?;
        let malformed = || ClientError::Value {
            what: "--vantage-key",
            found: path.display().to_string(),
            limit: "an Ed25519 or P-256 private key, PKCS#8 in PEM (sigill probe make-key)",
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| malformed())?;
        let der = der.secret_pkcs8_der();
        let (key, public) = if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let octets = pair.public_key().as_ref().try_into().map_err(|_| malformed())?;
            let public = PublicKey::from_ed25519(octets);
            (Key::Ed25519(Box::new(pair)), public)
        } else {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
                .map_err(|_| malformed())?;
            let public = PublicKey::from_ec_point(pair.public_key().as_ref());
            (Key::P256(Box::new(pair)), public)
        };
        let public = public.map_err(|_| malformed())?;
        Ok(Self { deployment, name, key, public })
    }

    /// Signs what was seen.
    pub(crate) fn sign(&self, seen: &Observation) -> Result<SignedObservation, ProbeFault> {
        let failed = |why: &dyn std::fmt::Display| ProbeFault::Key { why: why.to_string() };
        let statement = seen.to_statement().map_err(|error| failed(&error))?;
        let message = statement.as_str().as_bytes();
        let (algorithm, signature) = match &self.key {
            Key::Ed25519(pair) => (SignatureAlgorithm::Ed25519, pair.sign(message)),
            Key::P256(pair) => {
                let signature = pair
                    .sign(&SystemRandom::new(), message)
                    .map_err(|_| failed(&"no random numbers"))?;
                (SignatureAlgorithm::EcdsaP256Sha256, signature)
            }
        };
        let signed =
            SignedStatement::assemble(&statement, &self.public, algorithm, signature.as_ref())
                .map_err(|error| failed(&error))?;
        SignedObservation::open(signed.as_str().as_bytes()).map_err(|error| failed(&error))
    }
}

/// Draws a P-256 key into a new file of mode 0600 and returns its public half.
pub(crate) fn make(path: &Path) -> Result<PublicKey, ClientError> {
    let failed = |why: &str| ClientError::Key { why: why.to_owned() };
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
        .map_err(|_| failed("no random numbers"))?;
    let der = pair.to_pkcs8v1().map_err(|_| failed("key cannot be written"))?;
    let public = PublicKey::from_ec_point(pair.public_key().as_ref())
        .map_err(|error| failed(&error.to_string()))?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(pem::encode_private_key(der.as_ref()).as_bytes())?;
            file.sync_all()
        })
        .map_err(|source| ClientError::Write { path: path.to_path_buf(), source })?;
    Ok(public)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use status::observation::{Seen, SeenObject, SeenStatus};
    use status::{IssuerId, ProbeMethod};
    use x509::serial::SerialNumber;
    use x509::time::UnixTime;

    use super::*;

    fn open(path: &Path) -> Result<Vantage, ClientError> {
        Vantage::open("test/demo/ab12".parse().unwrap(), "here".parse().unwrap(), path)
    }

    fn seen() -> Observation {
        let at = |secs| UnixTime::from_secs(secs).unwrap();
        Observation {
            deployment: "test/demo/ab12".parse().unwrap(),
            vantage: "here".parse().unwrap(),
            method: ProbeMethod::OcspGet,
            url: "http://ocsp.example.org".to_owned(),
            issuer: IssuerId::from_bytes([1; 32]),
            object_sha256: [2; 32],
            this_update: at(10),
            next_update: at(20),
            object: SeenObject::Ocsp { produced_at: at(11) },
            position: None,
            time: at(12),
            seen: vec![Seen {
                serial: SerialNumber::from_random([3; 16]),
                status: SeenStatus::Good,
            }],
        }
    }

    /// Both types of key sign, and OpenSSL's files are taken as they are.
    #[test]
    fn our_own_key_and_openssls_keys_sign() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own.key");
        let public = make(&own).unwrap();
        assert_eq!(fs::metadata(&own).unwrap().mode() & 0o777, 0o600);
        assert!(make(&own).is_err(), "a key is never replaced");
        assert_eq!(open(&own).unwrap().public, public);
        open(&own).unwrap().sign(&seen()).unwrap();

        for arguments in [&["ed25519"][..], &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]] {
            let path = folder.path().join(format!("{}.key", arguments[0]));
            let made = Command::new("openssl")
                .args(["genpkey", "-algorithm"])
                .args(arguments)
                .arg("-out")
                .arg(&path)
                .status()
                .unwrap();
            assert!(made.success());
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let signed = open(&path).unwrap().sign(&seen()).unwrap();
            assert_eq!(signed.observation(), &seen());
        }
    }

    #[test]
    fn refuses_a_key_that_others_may_read_and_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.key");
        make(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(open(&path), Err(ClientError::Value { found, .. }) if found == "640"));

        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        assert!(matches!(open(&path), Err(ClientError::Value { .. })));
    }
}
