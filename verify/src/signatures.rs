//! A second opinion on the signature lines of a checkpoint (docs/formats/tiles-and-checkpoints.md).
//!
//! Shares neither code nor cryptographic library with the rooms that sign and follow: the note is
//! taken apart here, and Ed25519 is verified by `ed25519-dalek`, strictly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
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
    #[error("key is no Ed25519 public key")]
    NotAKey,
    /// No text with lines behind it.
    #[error("checkpoint is not a signed note")]
    NotANote,
    /// None, or several that could say different things.
    #[error("checkpoint has not exactly one line of type {kind:#04x} by the given key")]
    NotOne { kind: u8 },
    /// A line that does not verify.
    #[error("{line} signature line does not verify under the given key")]
    Wrong { line: &'static str },
}
