//! Values as columns and back. What does not read back is damage, never a default.

use rusqlite::types::FromSql;
use status::{
    AfterExpiry, AnswerClasses, BeforeActivation, CertificateState, CertificateStatus, HeldFrom,
    Position, RevocationReason,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::connection::Row;
use crate::StoreError;
use crate::certificate::{Origin, StatusRow};
use ::crl::CrlNumber;

pub(super) fn stored<T>(value: Option<T>, what: &'static str) -> Result<T, StoreError> {
    value.ok_or(StoreError::Stored { what })
}

pub(super) fn from_time(time: UnixTime) -> i64 {
    // At most the year 9999, so it always fits.
    i64::try_from(time.secs()).unwrap_or(i64::MAX)
}

pub(super) fn to_time(secs: i64) -> Result<UnixTime, StoreError> {
    let time = u64::try_from(secs).ok().and_then(|secs| UnixTime::from_secs(secs).ok());
    stored(time, "time")
}

pub(super) fn to_opt_time(secs: Option<i64>) -> Result<Option<UnixTime>, StoreError> {
    secs.map(to_time).transpose()
}

pub(super) fn from_u64(number: u64, what: &'static str) -> Result<i64, StoreError> {
    stored(i64::try_from(number).ok(), what)
}

pub(super) fn to_u64(number: i64, what: &'static str) -> Result<u64, StoreError> {
    stored(u64::try_from(number).ok(), what)
}

pub(super) fn to_array<const N: usize>(
    bytes: &[u8],
    what: &'static str,
) -> Result<[u8; N], StoreError> {
    stored(bytes.try_into().ok(), what)
}

/// A column of a row; a wrong type is damage too.
pub(super) fn column<T: FromSql>(row: Row<'_>, name: &'static str) -> Result<T, StoreError> {
    row.get(name).map_err(|error| {
        if error.is_misread() { StoreError::Stored { what: name } } else { error.into() }
    })
}

pub(super) fn array<const N: usize>(
    row: Row<'_>,
    name: &'static str,
) -> Result<[u8; N], StoreError> {
    to_array(&column::<Vec<u8>>(row, name)?, name)
}

pub(super) fn time(row: Row<'_>, name: &'static str) -> Result<UnixTime, StoreError> {
    to_time(column(row, name)?)
}

pub(super) fn opt_time(row: Row<'_>, name: &'static str) -> Result<Option<UnixTime>, StoreError> {
    to_opt_time(column(row, name)?)
}

/// One length octet and the octets, so that blobs order like the values (shorter ones first).
fn length_first(octets: &[u8]) -> Vec<u8> {
    let length = u8::try_from(octets.len()).unwrap_or(u8::MAX);
    [&[length], octets].concat()
}

fn without_length<'a>(blob: &'a [u8], what: &'static str) -> Result<&'a [u8], StoreError> {
    let (length, octets) = stored(blob.split_first(), what)?;
    if usize::from(*length) == octets.len() { Ok(octets) } else { Err(StoreError::Stored { what }) }
}

pub(super) fn from_serial(serial: &SerialNumber) -> Vec<u8> {
    length_first(serial.as_octets())
}

pub(super) fn to_serial(blob: &[u8]) -> Result<SerialNumber, StoreError> {
    let octets = without_length(blob, "serial")?;
    SerialNumber::from_content_octets(octets)
        .map_err(|_| StoreError::Stored { what: "serial number" })
}

pub(super) fn from_crl_number(number: &CrlNumber) -> Vec<u8> {
    length_first(number.as_octets())
}

pub(super) fn to_crl_number(blob: &[u8]) -> Result<CrlNumber, StoreError> {
    let octets = without_length(blob, "crl number")?;
    CrlNumber::from_content_octets(octets).map_err(|_| StoreError::Stored { what: "crl number" })
}

pub(super) const fn from_origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Ceremony => "ceremony",
        Origin::Imported => "imported",
        Origin::Issued => "issued",
    }
}

pub(super) fn to_origin(text: &str) -> Result<Origin, StoreError> {
    let found = [Origin::Ceremony, Origin::Imported, Origin::Issued]
        .into_iter()
        .find(|origin| from_origin(*origin) == text);
    stored(found, "origin")
}

pub(super) const fn from_state(state: CertificateState) -> &'static str {
    match state {
        CertificateState::Issued => "issued",
        CertificateState::Activated => "activated",
        CertificateState::Held(HeldFrom::Issued) => "held-issued",
        CertificateState::Held(HeldFrom::Activated) => "held-activated",
        CertificateState::Revoked => "revoked",
        CertificateState::Voided => "voided",
    }
}

pub(super) fn to_reason(code: Option<u8>) -> Result<Option<RevocationReason>, StoreError> {
    code.map(|code| stored(RevocationReason::from_code(code), "revocation reason")).transpose()
}

/// `None` for a serial that is only reserved.
pub(super) fn to_state(text: &str) -> Result<Option<CertificateState>, StoreError> {
    if text == "reserved" {
        return Ok(None);
    }
    let found = CertificateState::ALL.into_iter().find(|state| from_state(*state) == text);
    stored(found, "state").map(Some)
}

pub(super) const fn from_before(class: BeforeActivation) -> &'static str {
    match class {
        BeforeActivation::Good => "good",
        BeforeActivation::Held => "held",
    }
}

pub(super) const fn from_after(class: AfterExpiry) -> &'static str {
    match class {
        AfterExpiry::Kept => "kept",
        AfterExpiry::Unknown => "unknown",
    }
}

pub(super) fn classes(row: Row<'_>) -> Result<AnswerClasses, StoreError> {
    let before: String = column(row, "before_activation")?;
    let after: String = column(row, "after_expiry")?;
    to_classes(&before, &after)
}

pub(super) fn to_classes(before: &str, after: &str) -> Result<AnswerClasses, StoreError> {
    let before = [BeforeActivation::Good, BeforeActivation::Held]
        .into_iter()
        .find(|class| from_before(*class) == before);
    let after = [AfterExpiry::Kept, AfterExpiry::Unknown]
        .into_iter()
        .find(|class| from_after(*class) == after);
    Ok(AnswerClasses {
        before_activation: stored(before, "answer class")?,
        after_expiry: stored(after, "answer class")?,
    })
}

/// The columns of `serial` that [`status`] and [`status_row`] read.
pub(super) const STATUS_COLUMNS: &str = "serial.state, serial.reason, serial.effective, \
     serial.invalidity, serial.not_after, serial.before_activation, serial.after_expiry, \
     serial.requested_at, serial.epoch, serial.idx";

/// What the log says of the serial in `row`; `None` while it is only reserved.
pub(super) fn status(row: Row<'_>) -> Result<Option<CertificateStatus>, StoreError> {
    let Some(state) = to_state(&column::<String>(row, "state")?)? else { return Ok(None) };
    Ok(Some(CertificateStatus {
        state,
        effective_time: time(row, "effective")?,
        reason: to_reason(column(row, "reason")?)?,
        invalidity_date: opt_time(row, "invalidity")?,
        not_after: time(row, "not_after")?,
        classes: classes(row)?,
    }))
}

/// [`status`] with its position; damage if the serial is only reserved.
pub(super) fn status_row(row: Row<'_>) -> Result<StatusRow, StoreError> {
    Ok(StatusRow {
        status: stored(status(row)?, "state")?,
        requested_at: opt_time(row, "requested_at")?,
        position: stored(position(row)?, "position")?,
    })
}

pub(super) fn position(row: Row<'_>) -> Result<Option<Position>, StoreError> {
    let epoch: Option<u32> = column(row, "epoch")?;
    let index: Option<i64> = column(row, "idx")?;
    epoch
        .zip(index)
        .map(|(epoch, index)| Ok(Position { epoch, index: to_u64(index, "index")? }))
        .transpose()
}
