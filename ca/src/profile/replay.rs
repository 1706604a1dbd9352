//! Replay: what a stored issuance would become if it were prepared anew, under another version of its profile.
//!
//! The to-be-signed octets decide whether anything differs. Where it does, both are read again and laid
//! side by side: as portraits, which say how, and value by value where portraits say the same.

use std::fmt;

use thiserror::Error;
use x509::extension::Extension;
use x509::import::{ImportError, ImportedCertificate};
use x509::signing::assemble;

use super::diff::differences;
use super::example::values;
use super::portrait::{Portrait, words};
use crate::prepare::{Preparation, Signer, prepare};
use crate::refusal::Refusal;

/// What a stored issuance would become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// What was signed, octet for octet.
    Same,
    /// Another certificate: in which fields, never none.
    Differs(Vec<Change>),
    /// None: what is refused now. It may quote what was ordered.
    NowRefused(Refusal),
}

/// A field in which the certificate would be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The field, by the name that comparisons of profiles give it.
    pub field: String,
    /// What stands in the certificate.
    pub was: String,
    /// What would stand there.
    pub would_be: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} | {}", self.field, self.was, self.would_be)
    }
}

/// Prepares anew what led to the certificate `stored` (DER), with its serial number and its time, and
/// compares. Nothing is recorded or signed.
///
/// # Errors
///
/// [`ReplayError`]: one of the two cannot be read.
pub fn replay(stored: &[u8], preparation: &Preparation<'_>) -> Result<Replayed, ReplayError> {
    let was = ImportedCertificate::from_der(stored).map_err(ReplayError::Stored)?;
    let prepared = match prepare(preparation) {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Replayed::NowRefused(error.refusal())),
    };
    let to_be_signed = prepared.pending().bytes().ok_or(ReplayError::Unreadable)?;
    if to_be_signed == was.tbs_der() {
        return Ok(Replayed::Same);
    }
    let would_be = finished(to_be_signed, &was, preparation)?;
    Ok(Replayed::Differs(changes(&was, &would_be)))
}

/// The whole certificate, with a signature value that verifies under no key.
fn finished(
    to_be_signed: &[u8],
    was: &ImportedCertificate,
    preparation: &Preparation<'_>,
) -> Result<ImportedCertificate, ReplayError> {
    let (algorithm, key) = match preparation.signer {
        Signer::Issuer(issuer) => (issuer.algorithm(), Some(issuer.public_key())),
        Signer::Itself(algorithm) => (algorithm, was.public_key()),
    };
    key.and_then(|key| assemble(to_be_signed, algorithm, &algorithm.placeholder(key.key_type())))
        .and_then(|der| ImportedCertificate::from_der(&der).ok())
        .ok_or(ReplayError::Unreadable)
}

fn changes(was: &ImportedCertificate, would_be: &ImportedCertificate) -> Vec<Change> {
    let change = |field: String, was: String, would_be: String| Change { field, was, would_be };
    let drawn = differences(&Portrait::of_certificate(was), &Portrait::of_certificate(would_be));
    let mut found: Vec<_> = drawn
        .into_iter()
        .map(|one| change(one.field.to_string(), one.left.to_string(), one.right.to_string()))
        .collect();
    let is_told = |found: &[Change], field: &str| {
        found.iter().any(|one| one.field.strip_prefix(field).is_some_and(is_of_field))
    };
    for (field, was, would_be) in [
        ("issuer", was.issuer(), would_be.issuer()),
        ("subject", was.subject(), would_be.subject()),
    ] {
        if was.as_der() != would_be.as_der() && !is_told(&found, field) {
            found.push(change(field.to_owned(), was.to_string(), would_be.to_string()));
        }
    }
    for one in was.extensions() {
        let other = would_be.extensions().iter().find(|other| other.oid == one.oid);
        let Some(other) = other.filter(|other| other.value_der != one.value_der) else { continue };
        let field = format!("extension.{}", words::extension(one.oid));
        if !is_told(&found, &field) {
            found.push(change(field, text(was, one), text(would_be, other)));
        }
    }
    if found.is_empty() {
        let text = |one: &ImportedCertificate| format!("{} octets", one.tbs_der().len());
        found.push(change("encoding".to_owned(), text(was), text(would_be)));
    }
    found
}

/// Whether what follows a field's name still speaks of that field: nothing, a part of it, or a remark.
fn is_of_field(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['.', ' '])
}

fn text(certificate: &ImportedCertificate, one: &Extension) -> String {
    values(certificate, one).map_or_else(
        || one.value_der.iter().map(|octet| format!("{octet:02x}")).collect(),
        |values| values.join(", "),
    )
}

/// Why nothing can be compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// What is stored is no certificate.
    #[error("the stored certificate cannot be read")]
    Stored(#[source] ImportError),
    /// What was prepared cannot be read back.
    #[error("the prepared certificate cannot be read")]
    Unreadable,
}

#[cfg(test)]
mod tests;
