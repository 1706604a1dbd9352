//! Certificates: recorded after signing, looked up, listed.

use aws_lc_rs::digest::{SHA256, digest};
use ca::key_holder::HolderName;
use rusqlite::params;
use rusqlite::types::Value;
use status::{Change, HeldFrom, IssuerId};
use x509::key::SpkiHash;
use x509::signing::Intent;
use x509::time::UnixTime;

use super::columns::{
    STATUS_COLUMNS, array, column, from_origin, from_serial, from_state, from_time, from_u64,
    status_row, stored, time, to_origin, to_serial, to_u64,
};
use super::connection::{Connection, Row};
use super::group::{Act, Effective, SerialRow};
use super::intents::{close, must_be_open};
use super::{bound, eids, holders, protection};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::certificate::{
    CertificateFilter, CertificateLookup, CertificatePage, CertificateRecord, CertificateRow,
    EidWanted, Issued, IssuedCertificate, ListCursor, Origin, Privacy, ProfileVersion,
};
use crate::id::{CertificateId, OrderId};
use crate::intent::IntentRow;
use crate::sealing::{BlindIndex, IndexTerm, Place, Sealer};

/// The most certificates in one page.
pub(super) const MOST_ROWS: u32 = 1000;

/// A certificate that has just been signed, owned by the act.
pub(super) struct NewlySigned {
    pub(super) intent: Intent,
    pub(super) der: Vec<u8>,
    pub(super) facts: IssuedCertificate,
}

/// Records it; gives back the intent too, as it was.
pub(super) fn issue(
    act: &mut Act<'_>,
    new: &NewlySigned,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(Issued, IntentRow), StoreError> {
    let intent = must_be_open(act.connection(), new.intent.id())?;
    if intent.shown.digest != *new.intent.digest() {
        return Err(StoreError::OtherBytes);
    }
    let (Some(serial_row), Some(certificate)) = (intent.serial_row, intent.shown.certificate)
    else {
        return Err(StoreError::OtherBytes);
    };
    let serial = stored(act.serial("serial.row = ?1", [serial_row])?, "serial")?;
    holders::must_not_be_compromised(act.connection(), intent.row)?;
    // One log orders both: the eID holds where this says `issued`, or there is no certificate.
    eids::must_be_active(act.connection(), new.facts.proven_by, now)?;
    // As they were fixed when the serial number was reserved.
    let SerialRow { not_after, classes, .. } = serial;
    let change = Change::Issued { not_after, classes };
    let (_, position, time) = act.put_change(&serial, change, Effective::Logged, None, now)?;
    let row = insert(
        act,
        &NewRow {
            id: certificate,
            serial_row,
            order_row: intent.order_row,
            origin: Origin::Issued,
            profile: Some(&new.facts.profile),
            policy: new.facts.policy.as_deref(),
            ended_by: new.facts.ended_by.as_deref(),
            not_before: new.facts.not_before,
            not_after,
            spki: new.facts.spki,
            person: None,
            defects: &[],
            der: &new.der,
            privacy: &new.facts.privacy,
            index: &new.facts.index,
        },
    )?;
    if let Some(binding) = &new.facts.binding {
        bound::bind(act, row, &new.facts.profile.name, binding, intent.shown.created, now)?;
    }
    close(act, intent.row, "fulfilled")?;
    act.put_audit(audit, now)?;
    let issued = Issued { certificate, der: new.der.clone(), position, time };
    Ok((issued, intent.shown))
}

/// A certificate's row before it has one.
pub(super) struct NewRow<'a> {
    pub(super) id: CertificateId,
    pub(super) serial_row: i64,
    pub(super) order_row: Option<i64>,
    pub(super) origin: Origin,
    pub(super) profile: Option<&'a ProfileVersion>,
    pub(super) policy: Option<&'a str>,
    pub(super) ended_by: Option<&'a str>,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    pub(super) spki: SpkiHash,
    /// Whose it is, where another operator said; of what is issued here the intent says it.
    pub(super) person: Option<&'a HolderName>,
    pub(super) defects: &'a [String],
    pub(super) der: &'a [u8],
    pub(super) privacy: &'a Privacy,
    pub(super) index: &'a [IndexTerm],
}

/// Writes a certificate's row and its search terms; which row.
pub(super) fn insert(act: &Act<'_>, new: &NewRow<'_>) -> Result<i64, StoreError> {
    let (data_key, der, holder) = match new.privacy {
        Privacy::Public => (None, new.der.to_vec(), None),
        Privacy::Person { subject, holder } => {
            let key = act.data_key(subject)?;
            let der = act.sealer().seal(&key, der_place(new.id.as_bytes()), new.der)?;
            let holder = act.sealer().seal(&key, holder_place(new.id.as_bytes()), holder)?;
            (Some(key.number), der, Some(holder))
        }
    };
    let defects = (!new.defects.is_empty())
        .then(|| serde_json::to_string(new.defects))
        .transpose()
        .map_err(|_| StoreError::Stored { what: "defects" })?;
    let sha256 = digest(&SHA256, new.der);
    let person = new.person.map(|person| holders::tag(act.sealer(), person));
    let inserted: Result<i64, _> = act.connection().insert_new(
        "INSERT INTO certificate (certificate_id, serial_row, order_row, origin, profile, \
                 profile_sha256, policy, not_before, not_after, sha256, spki_sha256, defects, \
                 data_key, der, holder, person_tag, ended_by) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
                 ?17) RETURNING row",
        params![
            new.id.as_bytes(),
            new.serial_row,
            new.order_row,
            from_origin(new.origin),
            new.profile.map(|profile| &profile.name),
            new.profile.map(|profile| profile.sha256),
            new.policy,
            from_time(new.not_before),
            from_time(new.not_after),
            sha256.as_ref(),
            new.spki.as_bytes(),
            defects,
            data_key,
            der,
            holder,
            person.as_ref().map(BlindIndex::as_bytes),
            new.ended_by,
        ],
    );
    let row = match inserted {
        Err(error) if error.is_unique_on("certificate.serial_row") => {
            return Err(StoreError::SerialTaken);
        }
        other => other?,
    };
    for term in new.index {
        act.connection()
            .prepare_cached(
                "INSERT INTO blind_index (tag, hmac, certificate) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![term.tag().name(), act.sealer().blind(term).as_bytes(), row])?;
    }
    Ok(row)
}

pub(super) const fn der_place(id: &[u8; 16]) -> Place<'_> {
    Place { table: "certificate", column: "der", row: id }
}

const fn holder_place(id: &[u8; 16]) -> Place<'_> {
    Place { table: "certificate", column: "holder", row: id }
}

pub(super) fn select(columns: &str, wanted: &str) -> String {
    format!(
        "SELECT certificate.row AS cursor, certificate.certificate_id, certificate.origin, \
             certificate.profile, certificate.profile_sha256, certificate.policy, \
             certificate.not_before, certificate.sha256, certificate.spki_sha256, \
             certificate.defects, certificate.ended_by, issuer.issuer_id, serial.serial, orders.order_id, \
             {STATUS_COLUMNS}{columns} \
         FROM certificate \
         JOIN serial ON serial.row = certificate.serial_row \
         JOIN issuer ON issuer.row = serial.issuer \
         LEFT JOIN orders ON orders.row = certificate.order_row \
         WHERE {wanted}"
    )
}

pub(super) fn read(row: Row<'_>) -> Result<CertificateRow, StoreError> {
    let profile: Option<String> = column(row, "profile")?;
    let order: Option<[u8; 16]> = column(row, "order_id")?;
    let defects: Option<String> = column(row, "defects")?;
    Ok(CertificateRow {
        id: CertificateId::from_bytes(array(row, "certificate_id")?),
        issuer: IssuerId::from_bytes(array(row, "issuer_id")?),
        serial: to_serial(&column::<Vec<u8>>(row, "serial")?)?,
        order: order.map(OrderId::from_bytes),
        origin: to_origin(&column::<String>(row, "origin")?)?,
        profile: profile
            .map(|name| {
                Ok::<_, StoreError>(ProfileVersion { name, sha256: array(row, "profile_sha256")? })
            })
            .transpose()?,
        policy: column(row, "policy")?,
        not_before: time(row, "not_before")?,
        not_after: time(row, "not_after")?,
        ended_by: column(row, "ended_by")?,
        sha256: array(row, "sha256")?,
        spki: SpkiHash::from_bytes(array(row, "spki_sha256")?),
        defects: defects
            .map_or(Ok(Vec::new()), |text| serde_json::from_str(&text))
            .map_err(|_| StoreError::Stored { what: "defects" })?,
        status: status_row(row)?,
    })
}

/// The condition of a lookup, with its values.
pub(super) fn named(lookup: &CertificateLookup) -> (&'static str, Vec<Value>) {
    match lookup {
        CertificateLookup::Id(id) => {
            ("certificate.certificate_id = ?1", vec![Value::Blob(id.as_bytes().to_vec())])
        }
        CertificateLookup::Fingerprint(sha256) => {
            ("certificate.sha256 = ?1", vec![Value::Blob(sha256.to_vec())])
        }
        CertificateLookup::Serial(issuer, serial) => (
            "serial.issuer = (SELECT row FROM issuer WHERE issuer_id = ?1) AND serial.serial = ?2",
            vec![Value::Blob(issuer.as_bytes().to_vec()), Value::Blob(from_serial(serial))],
        ),
    }
}

pub(super) fn show(
    connection: &Connection,
    sealer: &Sealer,
    lookup: &CertificateLookup,
) -> Result<Option<CertificateRecord>, StoreError> {
    let (wanted, parameters) = named(lookup);
    let sql = select(", certificate.data_key, certificate.der, certificate.holder", wanted);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(parameters)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let shown = read(row)?;
    let sealed: Option<i64> = column(row, "data_key")?;
    let der: Vec<u8> = column(row, "der")?;
    let holder: Option<Vec<u8>> = column(row, "holder")?;
    if sealed.is_none() {
        return Ok(Some(CertificateRecord { row: shown, der: Some(der), holder }));
    }
    let id = *shown.id.as_bytes();
    let der = super::seals::open(connection, sealer, der_place(&id), &der)?;
    let holder = match holder {
        Some(holder) => super::seals::open(connection, sealer, holder_place(&id), &holder)?,
        None => None,
    };
    Ok(Some(CertificateRecord { row: shown, der, holder }))
}

pub(super) fn list(
    connection: &Connection,
    sealer: &Sealer,
    filter: &CertificateFilter,
    after: Option<ListCursor>,
    limit: u32,
) -> Result<CertificatePage, StoreError> {
    let limit = limit.clamp(1, MOST_ROWS);
    let mut wanted = Wanted::default();
    let start = from_u64(after.map_or(0, |cursor| cursor.0), "cursor")?;
    wanted.and("certificate.row > ?", Value::Integer(start));
    wanted.and_always(protection::certificate_seen(filter.protected));
    if let Some(issuer) = &filter.issuer {
        let id = Value::Blob(issuer.as_bytes().to_vec());
        wanted.and("serial.issuer = (SELECT row FROM issuer WHERE issuer_id = ?)", id);
    }
    match filter.state {
        Some(status::CertificateState::Held(_)) => {
            let held = from_state(status::CertificateState::Held(HeldFrom::Issued));
            let also = from_state(status::CertificateState::Held(HeldFrom::Activated));
            wanted.and(&format!("serial.state IN (?, '{also}')"), Value::Text(held.to_owned()));
        }
        Some(state) => wanted.and("serial.state = ?", Value::Text(from_state(state).to_owned())),
        None => {}
    }
    if let Some(profile) = &filter.profile {
        wanted.and("certificate.profile = ?", Value::Text(profile.clone()));
    }
    if let Some(order) = &filter.order {
        wanted.and("orders.order_id = ?", Value::Blob(order.as_bytes().to_vec()));
    }
    if let Some(spki) = &filter.spki {
        wanted.and("certificate.spki_sha256 = ?", Value::Blob(spki.as_bytes().to_vec()));
    }
    if let Some(time) = filter.valid_until {
        wanted.and("certificate.not_after >= ?", Value::Integer(from_time(time)));
    }
    if let Some(organisation) = &filter.organisation {
        let condition = "certificate.eid IN (SELECT row FROM eid WHERE organisation = ?)";
        wanted.and(condition, Value::Text(organisation.clone()));
    }
    match filter.eid {
        Some(EidWanted::This(eid)) => {
            let condition = "certificate.eid = (SELECT row FROM eid WHERE eid_id = ?)";
            wanted.and(condition, Value::Blob(eid.as_bytes().to_vec()));
        }
        Some(EidWanted::None) => wanted.and_always("certificate.eid IS NULL"),
        None => {}
    }
    if let Some(term) = &filter.term {
        let blind = Value::Blob(sealer.blind(term).as_bytes().to_vec());
        let tag = term.tag().name();
        let condition = format!(
            "certificate.row IN \
                 (SELECT certificate FROM blind_index WHERE tag = '{tag}' AND hmac = ?)"
        );
        wanted.and(&condition, blind);
    }

    let sql = format!(
        "{} ORDER BY certificate.row LIMIT {}",
        select("", &wanted.sql),
        u64::from(limit) + 1
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(wanted.values)?;
    let mut page = CertificatePage { rows: Vec::new(), next: None };
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.rows.len() == usize::try_from(limit).unwrap_or(usize::MAX) {
            page.next = last;
            break;
        }
        page.rows.push(read(row)?);
        last = Some(ListCursor(to_u64(column(row, "cursor")?, "cursor")?));
    }
    Ok(page)
}

/// Conditions joined by AND, with their values: one `?` in each.
#[derive(Default)]
struct Wanted {
    sql: String,
    values: Vec<Value>,
}

impl Wanted {
    fn and(&mut self, condition: &str, value: Value) {
        self.values.push(value);
        self.and_always(&condition.replace('?', &format!("?{}", self.values.len())));
    }

    fn and_always(&mut self, condition: &str) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(condition);
    }
}
