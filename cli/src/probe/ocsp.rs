//! OCSP as two kinds of relying parties ask: by GET with SHA-1, and by POST with SHA-256 and a nonce.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use status::ProbeMethod;
use x509::ocsp::{CertId, CertIdHash, OcspRequest};
use x509::serial::SerialNumber;

use super::judge::judge_answer;
use super::web::Web;
use super::{Looked, PinnedIssuer, ProbeFault, keep, now};

/// Octets of our nonces (RFC 9654 §2.1 recommends 32).
const NONCE: usize = 32;

/// Asks about one serial in one way, and verifies the answer.
pub(crate) fn look(
    web: &Web,
    method: ProbeMethod,
    url: &str,
    issuer: &PinnedIssuer,
    serial: SerialNumber,
    objects: Option<&Path>,
) -> Result<Looked, ProbeFault> {
    let hash = match method {
        ProbeMethod::OcspPost => CertIdHash::Sha256,
        ProbeMethod::OcspGet | ProbeMethod::Crl | ProbeMethod::CrlDelta => CertIdHash::Sha1,
    };
    let certificate = &issuer.certificate;
    let name = certificate.subject().as_der();
    let cert_id = CertId::new(hash, name, certificate.public_key(), serial);
    let nonce = if method == ProbeMethod::OcspPost { Some(nonce()?) } else { None };
    let request = OcspRequest {
        cert_ids: vec![cert_id.clone()],
        nonce: nonce.clone(),
        preferred: Vec::new(),
    }
    .to_der();
    let answered = match method {
        ProbeMethod::OcspPost => web.ask_by_post(url, &request)?,
        ProbeMethod::OcspGet | ProbeMethod::Crl | ProbeMethod::CrlDelta => {
            web.ask_by_get(url, &in_a_path(&request))?
        }
    };
    let time = now()?;
    let mut looked = judge_answer(&answered.octets, issuer, &cert_id, nonce.as_deref(), time)?;
    looked.position = answered.position;
    keep(objects, &answered.octets, "ors")?;
    Ok(looked)
}

fn nonce() -> Result<Vec<u8>, ProbeFault> {
    let mut octets = vec![0; NONCE];
    getrandom::fill(&mut octets).map_err(|_| ProbeFault::Random)?;
    Ok(octets)
}

/// Base64, percent-encoded where a path would take a character for something else.
fn in_a_path(request: &[u8]) -> String {
    let mut path = String::new();
    for c in STANDARD.encode(request).chars() {
        if c.is_ascii_alphanumeric() {
            path.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(path, "%{:02X}", u32::from(c));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_no_character_of_another_meaning() {
        let path = in_a_path(&[0xfb, 0xff, 0xfe, 0x00]);

        assert_eq!(path, "%2B%2F%2F%2BAA%3D%3D");
    }
}
