//! Receipts of revocations (promise 4) as they are kept: the signed notes, and what each of them receipts.

use status::{IssuerId, Position, ReceiptMethod};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;

/// A receipt that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReceipt {
    /// OCSP or CRL.
    pub method: ReceiptMethod,
    /// The signed note.
    pub note: String,
    /// The revocations that it receipts.
    pub entries: Vec<ReceiptedEntry>,
}

/// A revocation, or a hold, that was seen at every point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptedEntry {
    /// Whose serial.
    pub issuer: IssuerId,
    /// Which.
    pub serial: SerialNumber,
    /// Where the log says so.
    pub position: Position,
    /// The revocation date that was seen.
    pub revoked: UnixTime,
    /// When the last point had seen it.
    pub seen: UnixTime,
}

/// A receipt as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// OCSP or CRL.
    pub method: ReceiptMethod,
    /// The revocation that was asked for.
    pub entry: ReceiptedEntry,
    /// The signed note.
    pub note: String,
}

/// The part of [`Store`](crate::Store) that keeps receipts.
pub trait Receipts {
    /// Keeps a receipt with its audit leaf. Returns false, and writes nothing, where each of its revocations has one of this
    /// method already: the first receipt stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIssuer`], [`StoreError::UnknownSerial`], storage errors.
    fn record_receipt(
        &self,
        receipt: &NewReceipt,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError>;

    /// The receipts of a serial, those of its last revocation first, OCSP before CRL. None of a serial that is not known.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn receipts(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
    ) -> Result<Vec<ReceiptRow>, StoreError>;

    /// When the last point had seen what stands at this position; `None` where it has no receipt of this method.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn shown_at(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
        method: ReceiptMethod,
        position: Position,
    ) -> Result<Option<UnixTime>, StoreError>;

    /// Serials that had a receipt at `by`: the newest, newest first, at most `most`. One may come twice.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn newest_receipted(
        &self,
        by: UnixTime,
        most: u32,
    ) -> Result<Vec<(IssuerId, SerialNumber)>, StoreError>;

    /// A serial that has a receipt, by lot; `None` where there is no receipt.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn receipted_by_lot(&self, lot: u64) -> Result<Option<(IssuerId, SerialNumber)>, StoreError>;
}
