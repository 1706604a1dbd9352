//! A signed list: what is published beside a log.
//!
//! The text is an origin line `sigill/<environment>/<pki>/<instance>/<name>` and one row a line,
//! in ascending order of octets without repeats, so that a list has one encoding. The note carries
//! one Ed25519 line (0x01) under the origin as key name. What a row says is the publisher's and
//! the reader's matter; CRL lists are described in docs/formats/tiles-and-checkpoints.md.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::note::{
    KeyName, NoteParseError, NotePublicKey, NoteVerifierKey, NoteVerifyError, SignatureLine,
    SignatureType, SignedNote,
};
use crate::origin::{DeploymentName, OriginError};
use crate::receipt::RECEIPT;
use crate::signer::{NoteSignError, NoteSigner, NoteToSign};

/// The longest row, in octets.
pub const MAX_ROW_LENGTH: usize = 512;

/// What a manifest lists: 1 to 32 characters a-z and hyphen, never the name of a log or of receipts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ManifestName(String);

impl FromStr for ManifestName {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, ManifestError> {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        // The names of logs and receipts stay apart, so that no manifest begins like one of them.
        if !plain || !(1..=32).contains(&text.len()) || matches!(text, "status" | "audit" | RECEIPT)
        {
            return Err(ManifestError::Name);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A list of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    deployment: DeploymentName,
    name: ManifestName,
    rows: BTreeSet<String>,
}

impl Manifest {
    /// Makes a list of `rows`, in any order.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Row`] if a row is empty, longer than [`MAX_ROW_LENGTH`] or has other
    /// characters than printable ASCII and single inner spaces; [`ManifestError::Repeated`] if one
    /// occurs twice.
    pub fn new(
        deployment: DeploymentName,
        name: ManifestName,
        rows: impl IntoIterator<Item = String>,
    ) -> Result<Self, ManifestError> {
        let mut sorted = BTreeSet::new();
        for row in rows {
            let fields_full = row.split(' ').all(|field| !field.is_empty());
            let printable = row.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            if !fields_full || !printable || row.len() > MAX_ROW_LENGTH {
                return Err(ManifestError::Row);
            }
            if !sorted.insert(row) {
                return Err(ManifestError::Repeated);
            }
        }
        Ok(Self { deployment, name, rows: sorted })
    }

    /// Returns whose list it is.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentName {
        &self.deployment
    }

    /// Returns what it lists.
    #[must_use]
    pub const fn name(&self) -> &ManifestName {
        &self.name
    }

    /// Returns the rows in ascending order.
    pub fn rows(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(String::as_str)
    }

    /// Returns the note text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines = [self.origin()].into_iter().chain(self.rows.iter().cloned());
        lines.map(|line| line + "\n").collect()
    }

    /// Reads the note text.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if the text is not exactly what [`Self::to_text`] writes.
    pub fn from_text(text: &str) -> Result<Self, ManifestError> {
        let mut lines = text.strip_suffix('\n').ok_or(ManifestError::Order)?.split('\n');
        let origin = lines.next().and_then(|line| line.strip_prefix("sigill/"));
        let (deployment, name) =
            origin.and_then(|rest| rest.rsplit_once('/')).ok_or(OriginError::Shape)?;
        let rows = lines.map(str::to_owned);
        let manifest = Self::new(deployment.parse()?, name.parse()?, rows)?;
        if manifest.to_text() == text { Ok(manifest) } else { Err(ManifestError::Order) }
    }

    fn origin(&self) -> String {
        format!("sigill/{}/{}", self.deployment, self.name)
    }

    fn verifier_key(&self, key: NotePublicKey) -> NoteVerifierKey {
        NoteVerifierKey::new(KeyName::of_origin(&self.origin()), SignatureType::Ed25519, key)
    }

    /// Signs the list and returns the note's bytes.
    ///
    /// # Errors
    ///
    /// [`NoteSignError`]: the signer's own, or [`NoteSignError::WrongSignature`] if what it
    /// returned does not verify.
    pub fn sign(self, signer: &dyn NoteSigner) -> Result<String, NoteSignError> {
        let public_key = NotePublicKey::from_bytes(signer.public_key());
        let key = self.verifier_key(public_key);
        let to_sign = NoteToSign::Manifest(self);
        let signature = signer.sign_note(&to_sign)?;
        let NoteToSign::Manifest(manifest) = to_sign else {
            return Err(NoteSignError::WrongSignature);
        };
        let note = SignedNote::from_parts(
            manifest.to_text(),
            vec![SignatureLine::new(&key, signature.to_vec())],
        );
        note.signed_text(&key).map_err(|_| NoteSignError::WrongSignature)?;
        Ok(note.to_string())
    }

    /// Reads a note and verifies its line under the pinned key.
    ///
    /// Deployment and name are whatever the signed text says: the caller compares them.
    ///
    /// # Errors
    ///
    /// [`ManifestNoteError`]; nothing in the bytes may be believed then.
    pub fn open(bytes: &[u8], key: NotePublicKey) -> Result<Self, ManifestNoteError> {
        let note = SignedNote::parse(bytes)?;
        let manifest = Self::from_text(note.text())?;
        note.signed_text(&manifest.verifier_key(key))?;
        Ok(manifest)
    }
}

/// Why parts or a text are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// The first line.
    #[error("manifest origin is refused")]
    Origin(#[from] OriginError),
    /// The name.
    #[error(
        "manifest name is not 1 to 32 characters a-z and hyphen, or is the name of a log or of receipts"
    )]
    Name,
    /// A row's characters or length.
    #[error("manifest row is not 1 to 512 printable ASCII characters with single inner spaces")]
    Row,
    /// A row twice.
    #[error("manifest has the same row twice")]
    Repeated,
    /// Rows in another order, or no final newline.
    #[error("manifest rows are not complete lines in ascending order")]
    Order,
}

/// Why a manifest note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestNoteError {
    /// Not a note.
    #[error("manifest is not a signed note")]
    Note(#[from] NoteParseError),
    /// Not a manifest.
    #[error("note is not a manifest")]
    Manifest(#[from] ManifestError),
    /// The signature line is missing, double or wrong.
    #[error("manifest is not authentic")]
    Verify(#[from] NoteVerifyError),
}
