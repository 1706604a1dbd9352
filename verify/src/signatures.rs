//! A second opinion on the signature lines of checkpoints and receipts, and on statements (docs/formats).
//!
//! Shares neither code nor cryptographic library with the rooms that sign and follow: the note is
//! taken apart here; Ed25519 is verified by `ed25519-dalek`, strictly, and ECDSA by `p256` and `p384`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// What both lines of a checkpoint by one key say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// The text, with its last newline.
    pub(crate) text: String,
    /// Of the cosignature, Unix seconds.
    pub(crate) timestamp: u64,
}

const PLAIN: u8 = 0x01;
const COSIGNATURE: u8 = 0x04;

/// Verifies the plain line and the timestamped cosignature of `key` under `name`.
pub(crate) fn verify(note: &[u8], name: &str, key: &[u8; 32]) -> Result<Signed, SignatureError> {
    let note = std::str::from_utf8(note).map_err(|_| SignatureError::NotANote)?;
    let (text, lines) = note.rsplit_once("\n\n").ok_or(SignatureError::NotANote)?;
    let text = format!("{text}\n");
    let verifier = VerifyingKey::from_bytes(key).map_err(|_| SignatureError::NotAKey)?;

    let plain = line(lines, name, key, PLAIN)?;
    strictly(&verifier, text.as_bytes(), &plain, "plain")?;

    let cosignature = line(lines, name, key, COSIGNATURE)?;
    let wrong = SignatureError::Wrong { line: "timestamped" };
    let (timestamp, signature) = cosignature.split_first_chunk::<8>().ok_or(wrong)?;
    let timestamp = u64::from_be_bytes(*timestamp);
    let message = format!("cosignature/v1\ntime {timestamp}\n{text}");
    strictly(&verifier, message.as_bytes(), signature, "timestamped")?;
    Ok(Signed { text, timestamp })
}

/// Verifies the plain line of `key` under `name`, and returns the text.
pub(crate) fn verify_plain(
    note: &[u8],
    name: &str,
    key: &[u8; 32],
) -> Result<String, SignatureError> {
    let note = std::str::from_utf8(note).map_err(|_| SignatureError::NotANote)?;
    let (text, lines) = note.rsplit_once("\n\n").ok_or(SignatureError::NotANote)?;
    let text = format!("{text}\n");
    let verifier = VerifyingKey::from_bytes(key).map_err(|_| SignatureError::NotAKey)?;
    strictly(&verifier, text.as_bytes(), &line(lines, name, key, PLAIN)?, "plain")?;
    Ok(text)
}

/// SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 §4) before its 32 octets.
const ED25519_SPKI: &[u8] =
    &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// SubjectPublicKeyInfo of a P-256 key (RFC 5480 §2) before its uncompressed point of 65 octets.
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The same of a P-384 key, before its uncompressed point of 97 octets.
const P384_SPKI: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];

/// Verifies a signed statement (docs/formats/statement.md) under the key that it names. Whose key it is, is the
/// caller's to judge.
pub(crate) fn verify_statement(statement: &str) -> Result<(), SignatureError> {
    let wrong = SignatureError::Wrong { line: "statement's" };
    let mut lines = statement.strip_suffix('\n').unwrap_or_default().rsplitn(4, "\n-- ");
    let (Some(signature), Some(algorithm), Some(key), Some(text)) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err(SignatureError::NotAStatement);
    };
    let message = format!("{text}\n");
    let decoded = |text: &str| STANDARD.decode(text).map_err(|_| SignatureError::NotAStatement);
    let (key, signature) = (decoded(key)?, decoded(signature)?);
    match algorithm {
        "ed25519" => {
            let key = key.strip_prefix(ED25519_SPKI).and_then(|key| key.try_into().ok());
            let key = VerifyingKey::from_bytes(key.ok_or(SignatureError::NotAKey)?)
                .map_err(|_| SignatureError::NotAKey)?;
            strictly(&key, message.as_bytes(), &signature, "statement's")
        }
        "ecdsa-p256-sha256" => {
            let point = key.strip_prefix(P256_SPKI).ok_or(SignatureError::NotAKey)?;
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point)
                .map_err(|_| SignatureError::NotAKey)?;
            let signature = p256::ecdsa::Signature::from_der(&signature).map_err(|_| wrong)?;
            key.verify(message.as_bytes(), &signature).map_err(|_| wrong)
        }
        "ecdsa-p384-sha384" => {
            let point = key.strip_prefix(P384_SPKI).ok_or(SignatureError::NotAKey)?;
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point)
                .map_err(|_| SignatureError::NotAKey)?;
            let signature = p384::ecdsa::Signature::from_der(&signature).map_err(|_| wrong)?;
            key.verify(message.as_bytes(), &signature).map_err(|_| wrong)
        }
        _ => Err(SignatureError::NotAKey),
    }
}

/// Algorithm and signature of a signed statement, which is not judged.
pub(crate) fn of_statement(statement: &str) -> Result<(&str, Vec<u8>), SignatureError> {
    let mut lines = statement.strip_suffix('\n').unwrap_or_default().rsplitn(3, "\n-- ");
    let (Some(signature), Some(algorithm)) = (lines.next(), lines.next()) else {
        return Err(SignatureError::NotAStatement);
    };
    let signature = STANDARD.decode(signature).map_err(|_| SignatureError::NotAStatement)?;
    Ok((algorithm, signature))
}

/// The octets behind the key id of the one line of this key and type.
fn line(lines: &str, name: &str, key: &[u8; 32], kind: u8) -> Result<Vec<u8>, SignatureError> {
    let id =
        Sha256::new().chain_update(name).chain_update([b'\n', kind]).chain_update(key).finalize();
    let start = format!("\u{2014} {name} ");
    let mut found = lines
        .lines()
        .filter_map(|line| STANDARD.decode(line.strip_prefix(&start)?).ok())
        .filter_map(|octets| {
            let (of_line, signature) = octets.split_first_chunk::<4>()?;
            id.starts_with(of_line).then(|| signature.to_vec())
        });
    match (found.next(), found.next()) {
        (Some(signature), None) => Ok(signature),
        _ => Err(SignatureError::NotOne { kind }),
    }
}

fn strictly(
    key: &VerifyingKey,
    message: &[u8],
    signature: &[u8],
    line: &'static str,
) -> Result<(), SignatureError> {
    let wrong = SignatureError::Wrong { line };
    let Ok(signature) = Signature::from_slice(signature) else { return Err(wrong) };
    key.verify_strict(message, &signature).map_err(|_| wrong)
}

/// Why the lines are not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum SignatureError {
    /// The given key.
    #[error("key is of another type than is verified here")]
    NotAKey,
    /// No text with lines behind it.
    #[error("this is not a signed note")]
    NotANote,
    /// No text with key, algorithm and signature behind it.
    #[error("this is not a signed statement")]
    NotAStatement,
    /// None, or several that could say different things.
    #[error("note has not exactly one line of type {kind:#04x} by the given key")]
    NotOne { kind: u8 },
    /// A line that does not verify.
    #[error("{line} signature line does not verify under the given key")]
    Wrong { line: &'static str },
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Signer as _;

    use super::*;

    fn written(key: &[u8], algorithm: &str, signature: &[u8]) -> String {
        let [key, signature] = [key, signature].map(|octets| STANDARD.encode(octets));
        format!("{TEXT}-- {key}\n-- {algorithm}\n-- {signature}\n")
    }

    const TEXT: &str = "sigill statement/1 presence\nperson: anna\n";

    /// Statements by both curves that people's tokens have; one octet of another text is refused.
    #[test]
    fn statements_by_both_curves_are_verified() {
        let small = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let large = p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap();
        let point = small.verifying_key().to_sec1_point(false);
        let p256_key = [P256_SPKI, point.as_bytes()].concat();
        let point = large.verifying_key().to_sec1_point(false);
        let p384_key = [P384_SPKI, point.as_bytes()].concat();
        let of_small: p256::ecdsa::Signature = small.sign(TEXT.as_bytes());
        let of_large: p384::ecdsa::Signature = large.sign(TEXT.as_bytes());
        let (of_small, of_large) = (of_small.to_der(), of_large.to_der());
        for (key, algorithm, signature) in [
            (&p256_key, "ecdsa-p256-sha256", of_small.as_bytes()),
            (&p384_key, "ecdsa-p384-sha384", of_large.as_bytes()),
        ] {
            let statement = written(key, algorithm, signature);
            assert_eq!(verify_statement(&statement), Ok(()), "{algorithm}");
            let other = statement.replacen("anna", "anne", 1);
            assert_eq!(
                verify_statement(&other),
                Err(SignatureError::Wrong { line: "statement's" }),
                "{algorithm}"
            );
        }
        let mixed = written(&p256_key, "ecdsa-p384-sha384", of_large.as_bytes());
        assert_eq!(verify_statement(&mixed), Err(SignatureError::NotAKey));
    }
}
