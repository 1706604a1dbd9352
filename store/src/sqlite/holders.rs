//! One key, one holder: judged in the transaction that records the intent, so that of two orders at once
//! one is refused (ISS-12).

use ca::key_holder::{KeyHolder, KeyReuse};
use rusqlite::{Connection, Row};
use status::{CertificateState, RevocationReason};
use x509::import::ImportedCertificate;

use super::certificates::der_place;
use super::columns::{array, column, to_reason, to_state};
use super::group::Act;
use super::seals;
use crate::StoreError;
use crate::key::SubjectKey;
use crate::sealing::{BlindIndex, IndexTag, IndexTerm, Sealer};

/// Refuses a key that is another holder's, that a certificate was revoked for the compromise of, or that
/// is to be new and is not; else what its holder is called in the intent.
pub(super) fn claim(act: &Act<'_>, key: &SubjectKey) -> Result<BlindIndex, StoreError> {
    let tag = tag(act.sealer(), &key.holder);
    let certified = certified(act.connection(), act.sealer(), key)?;
    if certified.iter().any(|one| one.is_compromised) {
        return Err(StoreError::KeyCompromised);
    }
    if certified.iter().any(|one| one.holder != Some(tag)) {
        return Err(StoreError::KeyOfAnother);
    }
    let intended = intended(act.connection(), key)?;
    if intended.iter().any(|holder| *holder != tag) {
        return Err(StoreError::KeyClaimed);
    }
    if key.reuse == KeyReuse::Never && !(certified.is_empty() && intended.is_empty()) {
        return Err(StoreError::KeyUsed);
    }
    Ok(tag)
}

fn tag(sealer: &Sealer, holder: &KeyHolder) -> BlindIndex {
    sealer.blind(&IndexTerm::new(IndexTag::KeyHolder, holder.as_str()))
}

/// A certificate on the key.
struct Certified {
    /// `None` where nobody can say any more: its subject's data key is gone, and it came from elsewhere.
    holder: Option<BlindIndex>,
    is_compromised: bool,
}

fn certified(
    connection: &Connection,
    sealer: &Sealer,
    key: &SubjectKey,
) -> Result<Vec<Certified>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT certificate.certificate_id, certificate.data_key, certificate.der, serial.state, \
             serial.reason, intent.holder_tag \
         FROM certificate JOIN serial ON serial.row = certificate.serial_row \
         LEFT JOIN intent ON intent.serial_row = certificate.serial_row \
         WHERE certificate.spki_sha256 = ?1",
    )?;
    let mut rows = statement.query([key.spki.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let recorded: Option<[u8; 32]> = column(row, "holder_tag")?;
        found.push(Certified {
            holder: match recorded {
                Some(tag) => Some(BlindIndex(tag)),
                None => holder_of(connection, sealer, row)?,
            },
            is_compromised: is_compromised(row)?,
        });
    }
    Ok(found)
}

/// The holder of a certificate that no intent names one of: it was taken in, or is older than the column.
fn holder_of(
    connection: &Connection,
    sealer: &Sealer,
    row: &Row<'_>,
) -> Result<Option<BlindIndex>, StoreError> {
    let der: Vec<u8> = column(row, "der")?;
    let der = match column::<Option<i64>>(row, "data_key")? {
        None => Some(der),
        Some(_) => {
            let id: [u8; 16] = array(row, "certificate_id")?;
            seals::open(connection, sealer, der_place(&id), &der)?
        }
    };
    let read = der.and_then(|der| ImportedCertificate::from_der(&der).ok());
    Ok(read.map(|certificate| tag(sealer, &KeyHolder::named_by(certificate.subject()))))
}

fn is_compromised(row: &Row<'_>) -> Result<bool, StoreError> {
    let revoked = to_state(&column::<String>(row, "state")?)? == Some(CertificateState::Revoked);
    let reason = to_reason(column(row, "reason")?)?;
    let compromise = matches!(
        reason,
        Some(
            RevocationReason::KeyCompromise
                | RevocationReason::CaCompromise
                | RevocationReason::AaCompromise
        )
    );
    Ok(revoked && compromise)
}

/// The holders of open intents on the key: certificates that may come to be.
fn intended(connection: &Connection, key: &SubjectKey) -> Result<Vec<BlindIndex>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT holder_tag FROM intent \
         WHERE state = 'open' AND subject_spki = ?1 AND holder_tag IS NOT NULL",
    )?;
    let tags = statement.query_map([key.spki.as_bytes()], |row| row.get(0).map(BlindIndex))?;
    Ok(tags.collect::<Result<_, _>>()?)
}
