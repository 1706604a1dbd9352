//! The statement of the administrator who acts, made for each call by the key of his eID (docs/formats/actor-statement.md).
//!
//! The key lies in a file here: for trying things out. A real administrator's is in his card, and the portal has the card sign the same octets.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use ca::actor::statement::{Claims, SignedBy, hexadecimal, signing_input};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509::certificate::Certificate;
use x509::jws::{self, JwsAlgorithm};

use crate::client::ClientError;
use crate::identity::IdentityError;

/// For how long a statement that is made here counts.
const LIFE: Duration = Duration::from_secs(60);

/// The options that name certificate and key.
pub(crate) const OPTIONS: [&str; 2] = ["--actor-cert", "--actor-key"];

/// An administrator's certificate and key.
pub(crate) struct Actor {
    eid: [u8; 32],
    key: Key,
    roles: Vec<String>,
    organisation: Option<String>,
}

enum Key {
    Ec(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// The call that a statement is about.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    /// The deployment's API.
    pub(crate) audience: &'a str,
    /// The client that calls.
    pub(crate) client: &'a str,
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) idempotency_key: Option<&'a str>,
}

impl Actor {
    /// Reads certificate and key (PKCS#8), which must be a pair.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, ClientError> {
        let [cert_option, key_option] = OPTIONS;
        let form = |option, path: &Path, wanted| {
            ClientError::from(IdentityError::Form { option, path: path.to_owned(), wanted })
        };
        let no_certificate = || form(cert_option, certificate, "a certificate");
        let der = CertificateDer::from_pem_slice(&read(cert_option, certificate)?)
            .map_err(|_| no_certificate())?;
        let parsed = Certificate::from_der(&der).map_err(|_| no_certificate())?;
        let wanted = "an unencrypted P-256 or RSA key in PKCS#8";
        let unfit = || form(key_option, key, wanted);
        let text = read(key_option, key)?;
        let Ok(PrivateKeyDer::Pkcs8(pkcs8)) = PrivateKeyDer::from_pem_slice(&text) else {
            return Err(unfit());
        };
        let pkcs8 = pkcs8.secret_pkcs8_der();
        let (pair, public) = match JwsAlgorithm::default_for(parsed.public_key().key_type()) {
            Some(JwsAlgorithm::Es256) => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8);
                let pair = pair.map_err(|_| unfit())?;
                let public = pair.public_key().as_ref().to_vec();
                (Key::Ec(pair), public)
            }
            Some(_) => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| unfit())?;
                let public = pair.public_key().as_ref().to_vec();
                (Key::Rsa(Box::new(pair)), public)
            }
            None => {
                return Err(form(cert_option, certificate, "a certificate of a P-256 or RSA key"));
            }
        };
        if public != parsed.public_key().key_bits() {
            return Err(IdentityError::ActorPair {
                cert: certificate.to_owned(),
                key: key.to_owned(),
            }
            .into());
        }
        let eid = parsed.fingerprint();
        Ok(Self { eid, key: pair, roles: Vec::new(), organisation: None })
    }

    /// The same in these roles, on this organisation.
    pub(crate) fn acting_as(self, roles: &[String], organisation: Option<&str>) -> Self {
        Self { roles: roles.to_vec(), organisation: organisation.map(str::to_owned), ..self }
    }

    /// A new statement about a call.
    pub(crate) fn statement(&self, about: About<'_>) -> Result<String, ClientError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| ClientError::Random)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = Claims {
            aud: about.audience.to_owned(),
            client: about.client.to_owned(),
            method: about.method.to_owned(),
            target: about.target.to_owned(),
            body_sha256: hexadecimal(&Sha256::digest(about.body)),
            idempotency_key: about.idempotency_key.map(str::to_owned),
            jti: jws::text(&id),
            iat: now,
            exp: now.saturating_add(LIFE.as_secs()),
            roles: self.roles.clone(),
            organisation: self.organisation.clone(),
            iss: None,
            sub: None,
            acr: None,
            auth_time: None,
        };
        let unsigned = |why: &str| ClientError::Key { why: why.to_owned() };
        let input = signing_input(self.algorithm(), &SignedBy::Eid(self.eid), &claims)
            .map_err(|error| unsigned(&error.to_string()))?;
        let signature = self.sign(input.as_bytes()).ok_or_else(|| unsigned("it does not sign"))?;
        Ok(jws::compact(&input, &signature))
    }

    const fn algorithm(&self) -> JwsAlgorithm {
        match self.key {
            Key::Ec(_) => JwsAlgorithm::Es256,
            Key::Rsa(_) => JwsAlgorithm::Rs256,
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Ec(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path)
        .map_err(|source| IdentityError::Read { option, path: path.to_owned(), source }.into())
}

/// A query behind a path, as it goes over the line: every octet that is not unreserved (RFC 3986 §2.3) is escaped.
pub(crate) fn target(path: &str, query: &[(&str, String)]) -> String {
    let mut target = path.to_owned();
    for (number, (name, value)) in query.iter().enumerate() {
        target.push(if number == 0 { '?' } else { '&' });
        escaped(&mut target, name);
        target.push('=');
        escaped(&mut target, value);
    }
    target
}

fn escaped(target: &mut String, text: &str) {
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            target.push(char::from(octet));
        } else {
            target.push_str(&format!("%{octet:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use ca::actor::statement::ActorStatement;
    use x509::key::PublicKey;

    use super::*;

    /// Pairs of OpenSSL's: what they sign is verified by the key of the certificate, and says what it is about.
    #[test]
    fn what_a_key_of_either_kind_signs_is_a_statement_about_the_call() {
        let folder = tempfile::tempdir().unwrap();
        for (name, options) in [
            ("ec", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..]),
            ("rsa", &["-newkey", "rsa:2048"][..]),
        ] {
            let made = Command::new("openssl")
                .args(["req", "-x509"])
                .args(options)
                .args(["-nodes", "-days", "1", "-subj", "/CN=test"])
                .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
                .current_dir(&folder)
                .output()
                .unwrap();
            assert!(made.status.success(), "{made:?}");
            let [cert, key] = ["pem", "key"].map(|end| folder.path().join(format!("{name}.{end}")));

            let roles = ["reader".to_owned()];
            let actor = Actor::read(&cert, &key).unwrap().acting_as(&roles, Some("org_019"));
            let text = actor
                .statement(About {
                    audience: "urn:sigill:test:demo:ab12:api",
                    client: "portal",
                    method: "GET",
                    target: "/v1/eids?limit=1",
                    body: b"",
                    idempotency_key: None,
                })
                .unwrap();

            let statement = ActorStatement::parse(&text).unwrap();
            let der = CertificateDer::from_pem_slice(&std::fs::read(&cert).unwrap()).unwrap();
            let certificate = Certificate::from_der(&der).unwrap();
            let public: &PublicKey = certificate.public_key();
            assert_eq!(statement.verify(public), Ok(()), "{name}");
            assert_eq!(*statement.signed_by(), SignedBy::Eid(certificate.fingerprint()));
            assert_eq!(statement.claims().target, "/v1/eids?limit=1");
            assert_eq!(statement.claims().roles, roles);
            assert_eq!(statement.claims().organisation.as_deref(), Some("org_019"));
            assert!(statement.claims().body_sha256.starts_with("e3b0c442"));
        }
        let [cert, key] = ["ec.pem", "rsa.key"].map(|name| folder.path().join(name));
        assert!(Actor::read(&cert, &key).is_err());
        let other = folder.path().join("rsa.pem");
        assert!(Actor::read(&other, &cert).is_err(), "a certificate is no key");
    }

    #[test]
    fn a_query_is_escaped_as_it_is_sent() {
        let query = [("text", "å b&c=d".to_owned()), ("limit", "1".to_owned())];

        assert_eq!(target("/v1/x", &query), "/v1/x?text=%C3%A5%20b%26c%3Dd&limit=1");
        assert_eq!(target("/v1/x", &[]), "/v1/x");
    }
}
