//! The collection of RSA keys, and how far it has been compared.

use super::connection::Connection;
use rusqlite::params;
use x509::import::ImportedCertificate;
use x509::key::SpkiHash;
use x509::time::UnixTime;

use super::certificates::der_place;
use super::columns::{array, column, from_u64, to_u64};
use super::group::Act;
use super::{Backend, SqlStore, seals};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::key::{KeySurvey, RsaKey};

impl<B: Backend> KeySurvey for SqlStore<B> {
    fn collect_rsa_keys(&self, limit: u32) -> Result<u32, StoreError> {
        self.writer.run(move |act| collect(act, limit))
    }

    fn rsa_keys(&self, after: u64, limit: u32) -> Result<Vec<RsaKey>, StoreError> {
        self.readers.read(|connection| keys(connection, after, limit))
    }

    fn keys_compared(&self) -> Result<u64, StoreError> {
        self.readers.read(|connection| {
            let sql = "SELECT compared FROM key_survey";
            to_u64(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?, "key survey")
        })
    }

    fn record_keys_compared(
        &self,
        up_to: u64,
        found: &[AuditRecord],
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let found = found.to_vec();
        self.writer.run(move |act| {
            act.connection()
                .execute("UPDATE key_survey SET compared = ?1", [from_u64(up_to, "key survey")?])?;
            for record in &found {
                act.put_audit(record, now)?;
            }
            Ok(())
        })
    }
}

fn collect(act: &Act<'_>, limit: u32) -> Result<u32, StoreError> {
    let connection = act.connection();
    let mut statement = connection.prepare_cached(
        "SELECT row, certificate_id, data_key, der FROM certificate \
         WHERE row > (SELECT collected FROM key_survey) ORDER BY row LIMIT ?1",
    )?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO rsa_key (spki_sha256, modulus) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    )?;
    let mut rows = statement.query([limit])?;
    let mut read = 0_u32;
    let mut last = None;
    while let Some(row) = rows.next()? {
        read = read.saturating_add(1);
        last = Some(column::<i64>(row, "row")?);
        let der: Vec<u8> = column(row, "der")?;
        let der = match column::<Option<i64>>(row, "data_key")? {
            None => Some(der),
            Some(_) => {
                let id: [u8; 16] = array(row, "certificate_id")?;
                seals::open(connection, act.sealer(), der_place(&id), &der)?
            }
        };
        let certificate = der.and_then(|der| ImportedCertificate::from_der(&der).ok());
        let key = certificate.as_ref().and_then(ImportedCertificate::public_key);
        if let Some((key, (modulus, _))) = key.and_then(|key| Some((key, key.rsa_parts()?))) {
            insert.execute(params![key.spki_hash().as_bytes(), modulus])?;
        }
    }
    if let Some(last) = last {
        connection.execute("UPDATE key_survey SET collected = ?1", [last])?;
    }
    Ok(read)
}

fn keys(connection: &Connection, after: u64, limit: u32) -> Result<Vec<RsaKey>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT row, spki_sha256, modulus FROM rsa_key WHERE row > ?1 ORDER BY row LIMIT ?2",
    )?;
    let mut rows = statement.query(params![from_u64(after, "key number")?, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(RsaKey {
            number: to_u64(column(row, "row")?, "key number")?,
            spki: SpkiHash::from_bytes(array(row, "spki_sha256")?),
            modulus: column(row, "modulus")?,
        });
    }
    Ok(found)
}
