//! A signed account of what the world was seen to show: the text of a receipt, and its note.
//!
//! The text is the origin line `sigill/<environment>/<pki>/<instance>/receipt` and rows in an order of their author's; no
//! manifest and no log has that name. The note carries one Ed25519 line (0x01) under the origin as key name. What a row
//! says is another room's matter (docs/formats/receipt.md).

use thiserror::Error;

use crate::note::{
    KeyName, MAX_NOTE_LENGTH, NoteParseError, NotePublicKey, NoteVerifierKey, NoteVerifyError,
    SignatureLine, SignatureType, SignedNote,
};
use crate::origin::{DeploymentName, OriginError};
use crate::signer::{NoteSignError, NoteSigner, NoteToSign};

/// The last part of a receipt's origin.
pub const RECEIPT: &str = "receipt";
/// What a signature line and the blank line before it take at most.
const SIGNATURE_ROOM: usize = 512;

/// The text of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptText {
    deployment: DeploymentName,
    rows: Vec<String>,
}

impl ReceiptText {
    /// Makes a text of `rows`.
    ///
    /// # Errors
    ///
    /// [`ReceiptTextError`]: no row, a row that is empty or has other characters than printable ASCII and single inner
    /// spaces, or more octets than a note may have.
    pub fn new(deployment: DeploymentName, rows: Vec<String>) -> Result<Self, ReceiptTextError> {
        let well = |row: &String| {
            let printable = |octet: u8| octet == b' ' || octet.is_ascii_graphic();
            row.bytes().all(printable) && row.split(' ').all(|field| !field.is_empty())
        };
        if rows.is_empty() || !rows.iter().all(well) {
            return Err(ReceiptTextError::Row);
        }
        let text = Self { deployment, rows };
        let octets = text.to_text().len().saturating_add(SIGNATURE_ROOM);
        if octets > MAX_NOTE_LENGTH { Err(ReceiptTextError::TooLong) } else { Ok(text) }
    }

    /// Whose receipt it is.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentName {
        &self.deployment
    }

    /// The rows in their order.
    pub fn rows(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(String::as_str)
    }

    /// The note text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines = [self.origin()].into_iter().chain(self.rows.iter().cloned());
        lines.map(|line| line + "\n").collect()
    }

    /// Reads the note text.
    ///
    /// # Errors
    ///
    /// [`ReceiptTextError`] if the text is not exactly what [`Self::to_text`] writes.
    pub fn from_text(text: &str) -> Result<Self, ReceiptTextError> {
        let mut lines = text.strip_suffix('\n').ok_or(ReceiptTextError::Row)?.split('\n');
        let deployment = lines
            .next()
            .and_then(|line| line.strip_prefix("sigill/"))
            .and_then(|rest| rest.strip_suffix(RECEIPT))
            .and_then(|rest| rest.strip_suffix('/'))
            .ok_or(OriginError::Shape)?;
        Self::new(deployment.parse()?, lines.map(str::to_owned).collect())
    }

    fn origin(&self) -> String {
        format!("sigill/{}/{RECEIPT}", self.deployment)
    }

    fn verifier_key(&self, key: NotePublicKey) -> NoteVerifierKey {
        NoteVerifierKey::new(KeyName::of_origin(&self.origin()), SignatureType::Ed25519, key)
    }

    /// Signs the text and returns the note's bytes.
    ///
    /// # Errors
    ///
    /// [`NoteSignError`]: the signer's own, or [`NoteSignError::WrongSignature`] if what it returned does not verify.
    pub fn sign(self, signer: &dyn NoteSigner) -> Result<String, NoteSignError> {
        let key = self.verifier_key(NotePublicKey::from_bytes(signer.public_key()));
        let text = self.to_text();
        let signature = signer.sign_note(&NoteToSign::Receipt(self))?;
        let lines = vec![SignatureLine::new(&key, signature.to_vec())];
        let note = SignedNote::from_parts(text, lines);
        note.signed_text(&key).map_err(|_| NoteSignError::WrongSignature)?;
        Ok(note.to_string())
    }

    /// Reads a note and verifies its line under the pinned key. The deployment is whatever the signed text says: the
    /// caller compares it.
    ///
    /// # Errors
    ///
    /// [`ReceiptNoteError`]; nothing in the bytes may be believed then.
    pub fn open(bytes: &[u8], key: NotePublicKey) -> Result<Self, ReceiptNoteError> {
        let note = SignedNote::parse(bytes)?;
        let receipt = Self::from_text(note.text())?;
        note.signed_text(&receipt.verifier_key(key))?;
        Ok(receipt)
    }
}

/// Why rows or a text are no receipt.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReceiptTextError {
    /// The first line.
    #[error("origin of the receipt is refused")]
    Origin(#[from] OriginError),
    /// A row's characters, or none at all.
    #[error("receipt has no rows, or one that is not printable ASCII with single inner spaces")]
    Row,
    /// More than a note holds.
    #[error("receipt is longer than a note of {MAX_NOTE_LENGTH} octets")]
    TooLong,
}

/// Why the note of a receipt is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReceiptNoteError {
    /// Not a note.
    #[error("receipt is not a signed note")]
    Note(#[from] NoteParseError),
    /// Not a receipt.
    #[error("note is not a receipt")]
    Text(#[from] ReceiptTextError),
    /// The signature line is missing, double or wrong.
    #[error("receipt is not authentic")]
    Verify(#[from] NoteVerifyError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ManifestName;
    use crate::origin::LogOrigin;

    fn text() -> ReceiptText {
        let rows = vec!["receipt/1 ocsp".to_owned(), "time 1795312288".to_owned()];
        ReceiptText::new("test/demo/ab12".parse().unwrap(), rows).unwrap()
    }

    #[test]
    fn a_text_has_one_spelling() {
        let written = text().to_text();

        assert_eq!(written, "sigill/test/demo/ab12/receipt\nreceipt/1 ocsp\ntime 1795312288\n");
        assert_eq!(ReceiptText::from_text(&written), Ok(text()));
        for bad in [
            written.trim_end().to_owned(),
            format!("{written}\n"),
            written.replace("time ", "time  "),
            written.replace("time", "t\u{e9}me"),
            written.replace("/receipt\n", "/receipts\n"),
            written.replace("/ab12/", "/"),
            "sigill/test/demo/ab12/receipt\n".to_owned(),
        ] {
            assert!(ReceiptText::from_text(&bad).is_err(), "{bad:?}");
        }
    }

    /// A note key that signs lists or heads cannot be brought to sign what reads as a receipt.
    #[test]
    fn no_manifest_and_no_log_has_the_name() {
        assert!(RECEIPT.parse::<ManifestName>().is_err());
        assert!("sigill/test/demo/ab12/receipt/1".parse::<LogOrigin>().is_err());
    }

    #[test]
    fn refuses_more_than_a_note_holds() {
        let rows = vec!["x".repeat(MAX_NOTE_LENGTH)];

        let refused = ReceiptText::new("test/demo/ab12".parse().unwrap(), rows);

        assert_eq!(refused, Err(ReceiptTextError::TooLong));
    }
}
