//! Whose an eID is, and whether it holds.

use ca::eid::{EidHolder, EidState};
use ca::key_holder::HolderName;
use rusqlite::params;
use x509::time::UnixTime;

use super::columns::{STATUS_COLUMNS, column, status, stored, time};
use super::connection::Connection;
use super::{Backend, SqlStore, holders};
use crate::StoreError;
use crate::eid::Eids;
use crate::id::CertificateId;
use crate::sealing::{BlindIndex, IndexTerm, Sealer};

impl<B: Backend> Eids for SqlStore<B> {
    fn eid_holder(
        &self,
        certificate: CertificateId,
        person: &HolderName,
    ) -> Result<EidHolder, StoreError> {
        self.readers.read(|connection| holder(connection, &self.sealer, certificate, person))
    }

    fn is_one_person(&self, one: &IndexTerm, other: &IndexTerm) -> Result<bool, StoreError> {
        let (own, others) = (self.sealer.blind(one), self.sealer.blind(other));
        let (tag, another) = (one.tag().name(), other.tag().name());
        self.readers.read(|connection| {
            let found = connection.prepare_cached(&one_person())?.exists(params![
                tag,
                own.as_bytes(),
                another,
                others.as_bytes()
            ])?;
            Ok(found)
        })
    }
}

/// Persons that two terms have in common.
fn one_person() -> String {
    let persons = |tag, hmac| {
        format!(
            "SELECT coalesce(certificate.person_tag, intent.person_tag) AS person FROM blind_index \
             JOIN certificate ON certificate.row = blind_index.certificate \
             LEFT JOIN intent ON intent.serial_row = certificate.serial_row \
             WHERE blind_index.tag = {tag} AND blind_index.hmac = {hmac} \
                 AND coalesce(certificate.person_tag, intent.person_tag) IS NOT NULL"
        )
    };
    format!("{} INTERSECT {} LIMIT 1", persons("?1", "?2"), persons("?3", "?4"))
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

#[cfg(test)]
mod tests {
    use super::super::plans::{plan, scans};
    use super::*;

    #[test]
    fn whether_two_are_one_is_found_by_their_terms() {
        assert!(!scans(&one_person()), "{:?}", plan(&one_person()));
    }
}
