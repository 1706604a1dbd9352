//! Versions of profiles, and what was issued under them.

use super::connection::{Connection, OptionalExtension as _, Row};
use ca::deployment::Deployment;
use ca::role::Protected;
use rusqlite::params;
use status::IssuerId;
use x509::time::UnixTime;

use super::certificates::{MOST_ROWS, der_place};
use super::columns::{array, column, from_time, from_u64, time, to_u64};
use super::group::Act;
use super::orders::body_place;
use super::{
    Backend, SqlStore, StoreError, must_be_of, must_be_sealed_by, protection, schema, seals,
};
use crate::audit::AuditRecord;
use crate::certificate::{ListCursor, ProfileVersion};
use crate::id::CertificateId;
use crate::profile::{
    Issuance, IssuancePage, KeptIssuance, NumberedProfile, ProfileFile, ProfileVersions,
    RecordedProfile, new_profiles,
};
use crate::sealing::{KeySource, Sealer};

impl<B: Backend> ProfileVersions for SqlStore<B> {
    fn profile_versions(&self) -> Result<Vec<RecordedProfile>, StoreError> {
        self.readers.read(all)
    }

    fn profile_file(&self, sha256: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        self.readers.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT file FROM profile_version WHERE sha256 = ?1")?;
            Ok(statement.query_row([sha256], |row| row.get(0)).optional()?)
        })
    }

    fn issuances(
        &self,
        profile: &str,
        after: Option<ListCursor>,
        limit: u32,
        protected: Protected,
    ) -> Result<IssuancePage, StoreError> {
        self.readers
            .read(|connection| issued(connection, &self.sealer, profile, after, limit, protected))
    }

    fn register_profiles(
        &self,
        profiles: &[ProfileFile],
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (profiles, audit) = (profiles.to_vec(), audit.clone());
        self.writer.run(move |act| register(act, &profiles, &audit, now))
    }
}

/// The versions in a database that a program may be serving by, on a connection that nothing else uses: it is judged as
/// for opening, and neither locked nor changed. None of one that was made before versions were kept, or that is empty.
pub(super) fn versions_beside(
    snapshot: &Connection,
    name: &str,
    deployment: Deployment,
    keys: &dyn KeySource,
) -> Result<Vec<RecordedProfile>, StoreError> {
    if judged_beside(snapshot, name, deployment, keys)? && schema::keeps_profile_versions(snapshot)?
    {
        all(snapshot)
    } else {
        Ok(Vec::new())
    }
}

/// Begins to read beside a program, and judges the database as for opening; whether it holds anything.
pub(super) fn judged_beside(
    snapshot: &Connection,
    name: &str,
    deployment: Deployment,
    keys: &dyn KeySource,
) -> Result<bool, StoreError> {
    let keys = keys.sealing_keys().map_err(StoreError::Keys)?;
    snapshot.begin_reading()?;
    if schema::is_empty(snapshot)? {
        return Ok(false);
    }
    if !schema::is_ours(snapshot)? {
        return Err(StoreError::NotInitialised { database: name.to_owned() });
    }
    must_be_of(snapshot, name, deployment)?;
    must_be_sealed_by(snapshot, &Sealer::new(deployment.to_string(), &keys))?;
    schema::must_be_known(snapshot)?;
    Ok(true)
}

fn all(connection: &Connection) -> Result<Vec<RecordedProfile>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, version, sha256, first_used FROM profile_version ORDER BY name, version",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let profile = ProfileVersion { name: column(row, "name")?, sha256: array(row, "sha256")? };
        found.push(RecordedProfile {
            profile: NumberedProfile { profile, version: column(row, "version")? },
            first_used: time(row, "first_used")?,
        });
    }
    Ok(found)
}

fn register(
    act: &mut Act<'_>,
    wanted: &[ProfileFile],
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let numbered: Vec<_> = wanted.iter().map(|one| one.profile.clone()).collect();
    let new = new_profiles(&numbered, &all(act.connection())?)?;
    if new.is_empty() {
        return Ok(false);
    }
    for ProfileFile { profile: one, file } in wanted.iter().filter(|one| new.contains(&one.profile))
    {
        act.connection().execute(
            "INSERT INTO profile_version (name, version, sha256, file, first_used) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![one.profile.name, one.version, one.profile.sha256, file, from_time(now)],
        )?;
    }
    act.put_audit(audit, now)?;
    Ok(true)
}

fn issued(
    connection: &Connection,
    sealer: &Sealer,
    profile: &str,
    after: Option<ListCursor>,
    limit: u32,
    protected: Protected,
) -> Result<IssuancePage, StoreError> {
    let seen = protection::certificate_seen(protected);
    let limit = limit.clamp(1, MOST_ROWS);
    let before = after.map_or(Ok(i64::MAX), |cursor| from_u64(cursor.0, "cursor"))?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT certificate.row AS cursor, certificate.certificate_id, certificate.profile, \
             certificate.profile_sha256, certificate.data_key, certificate.der, \
             issuer.issuer_id, orders.order_id, order_body.sealed, intent.created \
         FROM certificate \
         JOIN serial ON serial.row = certificate.serial_row \
         JOIN issuer ON issuer.row = serial.issuer \
         JOIN orders ON orders.row = certificate.order_row \
         JOIN order_body ON order_body.order_row = certificate.order_row \
         JOIN intent ON intent.serial_row = certificate.serial_row \
         WHERE certificate.row < ?1 AND certificate.profile = ?2 AND certificate.origin = 'issued' \
             AND {seen} \
         ORDER BY certificate.row DESC LIMIT ?3",
    ))?;
    let mut rows = statement.query(params![before, profile, i64::from(limit) + 1])?;
    let mut page = IssuancePage { issuances: Vec::new(), next: None };
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.issuances.len() == usize::try_from(limit).unwrap_or(usize::MAX) {
            page.next = last;
            break;
        }
        page.issuances.push(issuance(connection, sealer, row)?);
        last = Some(ListCursor(to_u64(column(row, "cursor")?, "cursor")?));
    }
    Ok(page)
}

fn issuance(
    connection: &Connection,
    sealer: &Sealer,
    row: Row<'_>,
) -> Result<Issuance, StoreError> {
    let (id, order) = (array(row, "certificate_id")?, array(row, "order_id")?);
    let sealed: Vec<u8> = column(row, "sealed")?;
    let body = seals::open(connection, sealer, body_place(&order), &sealed)?;
    let der: Vec<u8> = column(row, "der")?;
    let der = match column::<Option<i64>>(row, "data_key")? {
        Some(_) => seals::open(connection, sealer, der_place(&id), &der)?,
        None => Some(der),
    };
    Ok(Issuance {
        certificate: CertificateId::from_bytes(id),
        issuer: IssuerId::from_bytes(array(row, "issuer_id")?),
        profile: ProfileVersion {
            name: column(row, "profile")?,
            sha256: array(row, "profile_sha256")?,
        },
        intended: time(row, "created")?,
        kept: body.zip(der).map(|(body, der)| KeptIssuance { body, der }),
    })
}
