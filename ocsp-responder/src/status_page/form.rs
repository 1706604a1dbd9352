//! What a caller sends: a certificate, pasted or as a file, or the name of a CA and a serial number.

use std::sync::Arc;

use x509::import::ImportedCertificate;
use x509::pem::{self, Label};
use x509::serial::SerialNumber;

use crate::authority::Authority;

/// A question.
pub(crate) struct Asked {
    pub(crate) about: About,
    /// The trust level that the login wants.
    pub(crate) level: Option<u8>,
}

/// About what.
pub(crate) enum About {
    Certificate(Box<ImportedCertificate>),
    Serial(Arc<Authority>, SerialNumber),
}

/// Reads a body of this content type; `None` where it holds no question.
pub(crate) fn read(kind: &str, body: &[u8], authorities: &[Arc<Authority>]) -> Option<Asked> {
    let kind = kind.trim();
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let fields = match essence.trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => urlencoded(body),
        "multipart/form-data" => multipart(body, &boundary(parameters)?),
        // A file as it is, from a command line.
        _ => vec![("file".to_owned(), body.to_vec())],
    };
    let field = |name: &str| {
        let found = fields.iter().find(|(one, value)| one == name && !value.is_empty());
        found.map(|(_, value)| value.as_slice())
    };
    let text =
        |name: &str| field(name).and_then(|value| std::str::from_utf8(value).ok()).map(str::trim);
    let level = text("level").and_then(|level| level.parse().ok());
    if let Some(given) = field("file").or_else(|| field("certificate")) {
        let certificate = Box::new(certificate(given)?);
        return Some(Asked { about: About::Certificate(certificate), level });
    }
    let authority = authorities.iter().find(|one| Some(one.name.as_str()) == text("issuer"))?;
    let digits: String =
        text("serial")?.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    let serial = digits.to_uppercase().parse().ok()?;
    Some(Asked { about: About::Serial(Arc::clone(authority), serial), level })
}

/// The first certificate of a text, or DER.
fn certificate(given: &[u8]) -> Option<ImportedCertificate> {
    let der = match std::str::from_utf8(given) {
        Ok(text) if text.contains("-----BEGIN") => {
            let blocks = pem::decode(text.trim()).ok()?;
            let found = blocks.into_iter().find(|(label, _)| *label == Label::Certificate);
            found.map(|(_, der)| der)?
        }
        _ => given.to_vec(),
    };
    ImportedCertificate::from_der(&der).ok()
}

fn urlencoded(body: &[u8]) -> Vec<(String, Vec<u8>)> {
    body.split(|octet| *octet == b'&')
        .filter_map(|pair| {
            let mut parts = pair.splitn(2, |octet| *octet == b'=');
            let name = String::from_utf8(decoded(parts.next()?)?).ok()?;
            Some((name, decoded(parts.next().unwrap_or_default())?))
        })
        .collect()
}

fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut octets = text.iter().copied();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(octet) = octets.next() {
        plain.push(match octet {
            b'+' => b' ',
            b'%' => {
                let digits = [octets.next()?, octets.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(plain)
}

fn boundary(parameters: &str) -> Option<String> {
    let value = parameters.split(';').find_map(|one| one.trim().strip_prefix("boundary="))?;
    let value = value.trim_matches('"');
    (1..=70).contains(&value.len()).then(|| format!("--{value}"))
}

/// The parts of a form with a file (RFC 7578).
fn multipart(body: &[u8], boundary: &str) -> Vec<(String, Vec<u8>)> {
    let mut parts = Vec::new();
    let mut rest = body;
    while let Some(start) = place(rest, boundary.as_bytes()) {
        let after = rest.split_at(start).1.split_at(boundary.len()).1;
        let Some(part) = after.strip_prefix(b"\r\n") else { break };
        let end = place(part, format!("\r\n{boundary}").as_bytes()).unwrap_or(part.len());
        let (this, next) = part.split_at(end);
        if let Some(head) = place(this, b"\r\n\r\n") {
            let (head, content) = this.split_at(head);
            let name = String::from_utf8_lossy(head)
                .split("name=\"")
                .nth(1)
                .map(|name| name.split('"').next().unwrap_or_default().to_owned());
            let content = content.strip_prefix(b"\r\n\r\n").unwrap_or_default().to_vec();
            parts.extend(name.map(|name| (name, content)));
        }
        rest = next.strip_prefix(b"\r\n").unwrap_or_default();
    }
    parts
}

fn place(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::{authority, certificate_der};
    use super::*;

    fn read_as(kind: &str, body: &[u8]) -> Option<Asked> {
        read(kind, body, &[Arc::clone(&authority().0)])
    }

    #[test]
    fn a_certificate_comes_pasted_or_as_a_file() {
        let der = certificate_der(&authority(), 1);
        let pem = pem::encode(Label::Certificate, &der);
        let pasted: String = pem
            .bytes()
            .map(|octet| match octet {
                b' ' => "+".to_owned(),
                octet if octet.is_ascii_alphanumeric() => char::from(octet).to_string(),
                octet => format!("%{octet:02X}"),
            })
            .collect();
        let form = format!("level=3&certificate={pasted}&serial=");
        let file = [
            b"--x\r\nContent-Disposition: form-data; name=\"level\"\r\n\r\n2\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.cer\"\r\nContent-Type: application/pkix-cert\r\n\r\n".as_slice(),
            &der,
            b"\r\n--x--\r\n",
        ]
        .concat();
        for (kind, body, level) in [
            ("application/x-www-form-urlencoded", form.as_bytes(), Some(3)),
            ("multipart/form-data; boundary=x", &file, Some(2)),
            ("multipart/form-data; boundary=\"x\"", &file, Some(2)),
            ("application/pkix-cert", &der, None),
            ("", pem.as_bytes(), None),
        ] {
            let asked = read_as(kind, body).unwrap_or_else(|| panic!("{kind}"));
            let About::Certificate(certificate) = asked.about else { panic!("{kind}") };
            assert_eq!((certificate.as_der(), asked.level), (der.as_slice(), level), "{kind}");
        }
    }

    #[test]
    fn a_serial_comes_with_the_name_of_its_ca() {
        let form = "application/x-www-form-urlencoded";
        let asked = read_as(form, b"issuer=person3&serial=41%3aab+0c&level=").unwrap();
        let About::Serial(authority, serial) = asked.about else { panic!() };
        assert_eq!((authority.name.as_str(), serial.to_string().as_str()), ("person3", "41AB0C"));

        for refused in [
            "issuer=other&serial=41",
            "issuer=person3",
            "issuer=person3&serial=no",
            "issuer=person3&serial=%zz",
            "certificate=x",
            "",
        ] {
            assert!(read_as(form, refused.as_bytes()).is_none(), "{refused}");
        }
        for kind in ["multipart/form-data", "multipart/form-data; boundary=", "text/plain"] {
            assert!(read_as(kind, b"--\r\n\r\n").is_none(), "{kind}");
        }
    }
}
