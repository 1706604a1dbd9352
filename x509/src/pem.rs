//! PEM: the textual encoding of RFC 7468, written strictly and read with the tolerance that common
//! tools need (other line lengths, CRLF, text between blocks).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

/// What a PEM block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// A certificate (RFC 7468 §5).
    Certificate,
    /// A PKCS#10 request (RFC 7468 §7); the older `NEW CERTIFICATE REQUEST` is read as this.
    CertificateRequest,
    /// A CRL (RFC 7468 §6).
    Crl,
    /// A SubjectPublicKeyInfo (RFC 7468 §13).
    PublicKey,
}

impl Label {
    /// The label as it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "CERTIFICATE",
            Self::CertificateRequest => "CERTIFICATE REQUEST",
            Self::Crl => "X509 CRL",
            Self::PublicKey => "PUBLIC KEY",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "CERTIFICATE" => Some(Self::Certificate),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Some(Self::CertificateRequest),
            "X509 CRL" => Some(Self::Crl),
            "PUBLIC KEY" => Some(Self::PublicKey),
            _ => None,
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The longest text that is read, in octets: a bundle of certificates, not a large CRL.
pub const MAX_OCTETS: usize = 1_048_576;

/// Writes one block: lines of 64 characters, LF, a newline at the end (RFC 7468 §3).
#[must_use]
pub fn encode(label: Label, der: &[u8]) -> String {
    let mut out = String::new();
    write(&mut out, label.name(), &STANDARD.encode(der));
    out
}

/// Writes a private key in PKCS#8 (RFC 7468 §10). No copy of it stays in memory.
#[must_use]
pub fn encode_private_key(pkcs8: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(pkcs8));
    // Longer than what is written, so that no copy is left behind by growing.
    let mut out =
        Zeroizing::new(String::with_capacity(text.len().saturating_mul(2).saturating_add(128)));
    write(&mut out, "PRIVATE KEY", &text);
    out
}

fn write(out: &mut String, label: &str, base64: &str) {
    for part in [BEGIN, label, DASHES, "\n"] {
        out.push_str(part);
    }
    let mut rest = base64;
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    for part in [END, label, DASHES, "\n"] {
        out.push_str(part);
    }
}

/// Reads all blocks of a text, in order. Text outside the blocks is passed over.
///
/// # Errors
///
/// [`PemError`] when there is no block, a block has another label than those of [`Label`] (private
/// keys among them), is not closed by its own label, or is not base64 with its padding.
pub fn decode(text: &str) -> Result<Vec<(Label, Vec<u8>)>, PemError> {
    if text.len() > MAX_OCTETS {
        return Err(PemError::TooLong { octets: text.len() });
    }
    let mut blocks = Vec::new();
    let mut open: Option<(&str, Label, String)> = None;
    for line in text.lines().map(str::trim_ascii) {
        match (&mut open, boundary(line, BEGIN), boundary(line, END)) {
            (None, Some(name), _) => {
                let label = Label::from_name(name).ok_or(PemError::UnknownLabel)?;
                open = Some((name, label, String::new()));
            }
            (None, None, _) => {}
            (Some((name, label, base64)), _, Some(end)) if end == *name => {
                let der = STANDARD.decode(base64.as_bytes()).map_err(|_| PemError::NotBase64)?;
                blocks.push((*label, der));
                open = None;
            }
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => return Err(PemError::NotClosed),
            (Some((_, _, base64)), None, None) => base64.push_str(line),
        }
    }
    match (open, blocks.is_empty()) {
        (Some(_), _) => Err(PemError::NotClosed),
        (None, true) => Err(PemError::NoBlock),
        (None, false) => Ok(blocks),
    }
}

/// Reads a text that holds exactly one block of this label.
///
/// # Errors
///
/// As [`decode`]; [`PemError::NotOne`] when there are several blocks or the one has another label.
pub fn decode_one(text: &str, label: Label) -> Result<Vec<u8>, PemError> {
    let mut blocks = decode(text)?.into_iter();
    match (blocks.next(), blocks.next()) {
        (Some((found, der)), None) if found == label => Ok(der),
        _ => Err(PemError::NotOne { label }),
    }
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The label of a boundary line.
fn boundary<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix(DASHES)
}

/// Why a text was refused as PEM.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PemError {
    /// There is no `-----BEGIN ...-----` line.
    #[error("text holds no PEM block")]
    NoBlock,
    /// Also for headers inside a block and for missing padding.
    #[error("PEM block is not base64")]
    NotBase64,
    /// A block runs into another one, or into the end of the text.
    #[error("PEM block is not closed by its own label")]
    NotClosed,
    /// One was asked for.
    #[error("text does not hold exactly one PEM block {label}")]
    NotOne {
        /// The label that was asked for.
        label: Label,
    },
    /// Longer than what is read.
    #[error("PEM text has {octets} octets; read are at most {MAX_OCTETS}")]
    TooLong {
        /// Its length.
        octets: usize,
    },
    /// Read are certificates, requests, CRLs and public keys.
    #[error("PEM block is no certificate, certificate request, CRL or public key")]
    UnknownLabel,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second opinion on the writer: the strict decoder of another library.
    #[test]
    fn writes_what_a_strict_decoder_reads() {
        for length in [1, 47, 48, 49, 96, 1000] {
            let der = vec![0xa5; length];

            let text = encode(Label::Certificate, &der);

            assert_eq!(
                pem_rfc7468::decode_vec(text.as_bytes()).unwrap(),
                ("CERTIFICATE", der.clone())
            );
            assert_eq!(decode(&text), Ok(vec![(Label::Certificate, der)]));
        }
    }

    /// The text never grows beyond what was set aside for it: growing would leave a copy behind.
    #[test]
    fn writes_private_keys_in_one_place() {
        for length in [1, 48, 121, 138, 2400] {
            let der = vec![0xa5; length];

            let text = encode_private_key(&der);

            let set_aside = STANDARD.encode(&der).len() * 2 + 128;
            assert!(text.len() <= set_aside && text.capacity() == set_aside, "{length}");
            assert_eq!(
                pem_rfc7468::decode_vec(text.as_bytes()).unwrap(),
                ("PRIVATE KEY", der.clone())
            );
        }
    }

    #[test]
    fn reads_crlf_long_lines_comments_and_several_blocks() {
        let text = "subject=CN = a\r\n-----BEGIN NEW CERTIFICATE REQUEST-----\r\nAQID\r\nBA==\r\n\
                    -----END NEW CERTIFICATE REQUEST-----\r\n\r\n-----BEGIN X509 CRL-----\nAQI=\n\
                    -----END X509 CRL-----";

        assert_eq!(
            decode(text),
            Ok(vec![(Label::CertificateRequest, vec![1, 2, 3, 4]), (Label::Crl, vec![1, 2])])
        );
    }

    #[test]
    fn names_what_is_wrong() {
        let block = |label: &str, body: &str, end: &str| {
            format!("-----BEGIN {label}-----\n{body}\n-----END {end}-----\n")
        };
        for (text, error) in [
            (String::new(), PemError::NoBlock),
            ("AQID".to_owned(), PemError::NoBlock),
            (block("PRIVATE KEY", "AQID", "PRIVATE KEY"), PemError::UnknownLabel),
            (block("CERTIFICATE", "AQID", "X509 CRL"), PemError::NotClosed),
            ("-----BEGIN CERTIFICATE-----\nAQID\n".to_owned(), PemError::NotClosed),
            (block("CERTIFICATE", "AQ=D", "CERTIFICATE"), PemError::NotBase64),
            (block("CERTIFICATE", "AQI", "CERTIFICATE"), PemError::NotBase64),
            (block("CERTIFICATE", "Proc-Type: 4\n\nAQID", "CERTIFICATE"), PemError::NotBase64),
            ("A".repeat(MAX_OCTETS + 1), PemError::TooLong { octets: MAX_OCTETS + 1 }),
        ] {
            assert_eq!(decode(&text), Err(error));
        }
    }

    #[test]
    fn refuses_two_blocks_where_one_is_asked_for() {
        let one = encode(Label::Certificate, &[1]);

        assert_eq!(decode_one(&one, Label::Certificate), Ok(vec![1]));
        assert!(decode_one(&one.repeat(2), Label::Certificate).is_err());
        assert!(decode_one(&one, Label::CertificateRequest).is_err());
    }
}
