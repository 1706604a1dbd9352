//! Whose an eID is, and whether it holds.

use ca::eid::{EidHolder, EidState};
use ca::key_holder::HolderName;
use x509::time::UnixTime;

use super::columns::{STATUS_COLUMNS, column, status, stored, time};
use super::connection::Connection;
use super::{Backend, SqlStore, holders};
use crate::StoreError;
use crate::eid::Eids;
use crate::id::CertificateId;
use crate::sealing::{BlindIndex, Sealer};

impl<B: Backend> Eids for SqlStore<B> {
    fn eid_holder(
        &self,
        certificate: CertificateId,
        person: &HolderName,
    ) -> Result<EidHolder, StoreError> {
        self.readers.read(|connection| holder(connection, &self.sealer, certificate, person))
    }
}

fn holder(
    connection: &Connection,
    sealer: &Sealer,
    certificate: CertificateId,
    person: &HolderName,
) -> Result<EidHolder, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT certificate.certificate_id, certificate.data_key, certificate.der, \
             intent.holder_tag, coalesce(certificate.person_tag, intent.person_tag) AS person_tag \
         FROM certificate LEFT JOIN intent ON intent.serial_row = certificate.serial_row \
         WHERE certificate.certificate_id = ?1",
    )?;
    let mut rows = statement.query([certificate.as_bytes()])?;
    let Some(row) = rows.next()? else {
        return Err(StoreError::UnknownCertificate { certificate });
    };
    let wanted = holders::tag(sealer, person);
    if let Some(said) = column::<Option<[u8; 32]>>(row, "person_tag")? {
        let same = BlindIndex(said) == wanted;
        return Ok(if same { EidHolder::Same } else { EidHolder::Another });
    }
    let subject = holders::subject_tag(connection, sealer, row)?;
    Ok(if subject == Some(wanted) { EidHolder::Same } else { EidHolder::Unknown })
}

/// Refuses what rests on an eID that does not hold, as of the position that the act has in the log.
pub(super) fn must_be_active(
    connection: &Connection,
    certificate: Option<CertificateId>,
    now: UnixTime,
) -> Result<(), StoreError> {
    let Some(certificate) = certificate else { return Ok(()) };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {STATUS_COLUMNS} FROM certificate \
         JOIN serial ON serial.row = certificate.serial_row \
         WHERE certificate.certificate_id = ?1"
    ))?;
    let mut rows = statement.query([certificate.as_bytes()])?;
    let Some(row) = rows.next()? else {
        return Err(StoreError::UnknownCertificate { certificate });
    };
    let is_active = EidState::of(&stored(status(row)?, "state")?) == EidState::Active;
    if is_active && now <= time(row, "not_after")? {
        Ok(())
    } else {
        Err(StoreError::EidNotActive { certificate })
    }
}
