//! Which certificates a job is about. Each step looks at some thousand rows in an act of its own, so that no other writer
//! waits long; how far it has come is recorded with what it found.

use crate::sql::connection::Connection;
use ca::job::{JobAct, JobState};
use rusqlite::params;
use x509::time::UnixTime;

use super::super::columns::{from_serial, from_time, from_u64, to_u64};
use super::super::group::Act;
use super::super::holders;
use super::{must_find, set_state};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::JobId;
use crate::job::{JobChange, JobError, JobTerm, SelectionStep};

/// Rows that one step looks at: some ten milliseconds.
const ROWS_AT_ONCE: u64 = 4096;

/// What a certificate of the selection is, beside what a list says. `job` is the job's row, ?2 the time.
const FITS: &str = "issuer.keeping = 'online' AND serial.not_after >= ?2 \
     AND (serial.state IN ('issued', 'activated', 'held-issued', 'held-activated') \
          OR (serial.state = 'revoked' AND replace(',' || substr(job.corrects, 2, length(job.corrects) - 2) || ',', \
              ',' || coalesce(serial.reason, -1) || ',', '') <> ',' || substr(job.corrects, 2, length(job.corrects) - 2) || ',')) \
     AND (job.issuer IS NULL OR issuer.issuer_id = job.issuer) \
     AND (job.profile IS NULL OR certificate.profile = job.profile) \
     AND (job.profile_sha256 IS NULL OR certificate.profile_sha256 = job.profile_sha256) \
     AND (job.policy IS NULL OR certificate.policy = job.policy) \
     AND (job.algorithm IS NULL OR intent.algorithm = job.algorithm) \
     AND (job.orderer IS NULL OR orders.client = job.orderer) \
     AND (job.issued_from IS NULL OR coalesce(intent.created, certificate.not_before) >= job.issued_from) \
     AND (job.issued_until IS NULL OR coalesce(intent.created, certificate.not_before) < job.issued_until) \
     AND (job.organisations IS NULL \
          OR replace(job.organisations, '\"' || eid.organisation || '\"', '') <> job.organisations) \
     AND (certificate.profile IS NULL OR replace(job.excluded, '\"' || certificate.profile || '\"', '') = job.excluded)";

/// What stands beside a certificate's serial.
const BESIDE: &str = "CROSS JOIN issuer ON issuer.row = serial.issuer \
     LEFT JOIN eid ON eid.row = certificate.eid \
     LEFT JOIN intent ON intent.serial_row = serial.row \
     LEFT JOIN orders ON orders.row = intent.order_row";

pub(super) fn add_terms(
    act: &mut Act<'_>,
    job: JobId,
    client: &str,
    terms: &[JobTerm],
    now: UnixTime,
) -> Result<u64, StoreError> {
    let found = must_find(act.connection(), job)?;
    found.must_be_of(client)?;
    if found.state != JobState::Draft {
        return Err(JobError::State { state: found.state }.into());
    }
    let mut insert = act.connection().prepare_cached(
        "INSERT INTO job_term (job, tag, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    for term in terms {
        let (tag, value) = match term {
            JobTerm::Card(term) => ("card", act.sealer().blind(term).as_bytes().to_vec()),
            JobTerm::Certificate(id) => ("certificate", id.as_bytes().to_vec()),
            JobTerm::Holder(holder, number) => {
                let holder = holders::tag(act.sealer(), holder);
                let number = act.sealer().blind(number);
                ("holder", [holder.as_bytes().as_slice(), number.as_bytes()].concat())
            }
            JobTerm::HsaId(term) => ("hsa-id", act.sealer().blind(term).as_bytes().to_vec()),
            JobTerm::Key(spki) => ("key", spki.as_bytes().to_vec()),
            JobTerm::Serial(issuer, serial) => {
                ("serial", [issuer.as_bytes().as_slice(), &from_serial(serial)].concat())
            }
        };
        insert.execute(params![found.row, tag, value])?;
    }
    set_state(act.connection(), found.row, found.state, now)?;
    terms_of(act.connection(), found.row)
}

fn terms_of(connection: &Connection, row: i64) -> Result<u64, StoreError> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM job_term WHERE job = ?1")?
        .query_row([row], |row| row.get(0))?;
    to_u64(count, "terms of a job")
}

/// Whether the selector of a job has any condition. What it excludes is none: a list that was left out, or read from an
/// empty file, must not turn a job into one about everything.
fn says_which(connection: &Connection, row: i64) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT issuer IS NOT NULL OR profile_sha256 IS NOT NULL \
                 OR coalesce(profile, policy, algorithm, orderer) IS NOT NULL \
                 OR organisations IS NOT NULL \
                 OR coalesce(issued_from, issued_until) IS NOT NULL FROM job WHERE row = ?1",
        )?
        .query_row([row], |row| row.get(0))?)
}

pub(super) fn begin(
    act: &mut Act<'_>,
    change: &JobChange,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let found = must_find(act.connection(), change.job)?;
    found.must_be_of(&change.client)?;
    if matches!(found.state, JobState::Selecting | JobState::Forecast) {
        return Ok(());
    }
    let state = found.after(JobAct::Select)?;
    let connection = act.connection();
    let lists = terms_of(connection, found.row)? > 0;
    if !lists && !says_which(connection, found.row)? {
        return Err(JobError::SelectsAll.into());
    }
    set_state(connection, found.row, state, now)?;
    let (first, last) = if lists {
        (
            "SELECT coalesce(min(row), 1) - 1 FROM job_term WHERE job = ?1",
            "SELECT coalesce(max(row), 0) FROM job_term WHERE job = ?1",
        )
    } else {
        (
            "SELECT 0 WHERE CAST(?1 AS BIGINT) IS NOT NULL",
            "SELECT coalesce(max(row), 0) FROM certificate WHERE CAST(?1 AS BIGINT) IS NOT NULL",
        )
    };
    let number = |sql: &'static str| -> Result<i64, StoreError> {
        Ok(connection.prepare_cached(sql)?.query_row([found.row], |row| row.get(0))?)
    };
    let (cursor, end) = (number(first)?, number(last)?);
    let certificate = number(
        "SELECT coalesce(max(row), 0) FROM certificate WHERE CAST(?1 AS BIGINT) IS NOT NULL",
    )?;
    connection
        .prepare_cached(
            "UPDATE job SET cursor = ?2, cursor_end = ?3, last_certificate = ?4 WHERE row = ?1",
        )?
        .execute(params![found.row, cursor, end, certificate])?;
    act.put_audit(audit, now).map(|_| ())
}

pub(super) fn some(
    act: &mut Act<'_>,
    job: JobId,
    now: UnixTime,
) -> Result<SelectionStep, StoreError> {
    let connection = act.connection();
    let found = must_find(connection, job)?;
    if found.state != JobState::Selecting {
        return Ok(SelectionStep::Elsewhere(found.state));
    }
    let (cursor, end): (i64, i64) = connection
        .prepare_cached("SELECT cursor, cursor_end FROM job WHERE row = ?1")?
        .query_row([found.row], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if cursor >= end {
        return Ok(SelectionStep::Complete);
    }
    let upto = end.min(cursor.saturating_add(from_u64(ROWS_AT_ONCE, "rows")?));
    let sources: Vec<String> = if terms_of(connection, found.row)? > 0 {
        let ways = TERMS.iter().flat_map(|(tag, ways)| ways.iter().map(move |way| (tag, way)));
        ways.map(|(tag, way)| by_terms(tag, way)).collect()
    } else {
        vec![by_row()]
    };
    for sql in sources {
        connection.prepare_cached(&sql)?.execute(params![
            found.row,
            from_time(now),
            cursor,
            upto
        ])?;
    }
    connection
        .prepare_cached("UPDATE job SET cursor = ?2, updated = ?3 WHERE row = ?1")?
        .execute(params![found.row, upto, from_time(now)])?;
    Ok(if upto >= end { SelectionStep::Complete } else { SelectionStep::More })
}

/// How each kind of term leads to a serial, and to its certificate where there is one. A kind may have several ways.
const TERMS: [(&str, &[&str]); 6] = [
    (
        "card",
        &[
            "CROSS JOIN blind_index ON blind_index.tag = 'card-number' AND blind_index.hmac = job_term.value \
           CROSS JOIN certificate ON certificate.row = blind_index.certificate \
           CROSS JOIN serial ON serial.row = certificate.serial_row",
        ],
    ),
    (
        "certificate",
        &["CROSS JOIN certificate ON certificate.certificate_id = job_term.value \
           CROSS JOIN serial ON serial.row = certificate.serial_row"],
    ),
    (
        "holder",
        &[
            "CROSS JOIN eid AS his ON his.holder = substr(job_term.value, 1, 32) \
             CROSS JOIN certificate ON certificate.eid = his.row \
             CROSS JOIN serial ON serial.row = certificate.serial_row",
            "CROSS JOIN blind_index ON blind_index.tag = 'personal-number' \
                 AND blind_index.hmac = substr(job_term.value, 33) \
             CROSS JOIN certificate ON certificate.row = blind_index.certificate \
             CROSS JOIN serial ON serial.row = certificate.serial_row",
        ],
    ),
    (
        "hsa-id",
        &[
            "CROSS JOIN blind_index ON blind_index.tag = 'hsa-id' AND blind_index.hmac = job_term.value \
           CROSS JOIN certificate ON certificate.row = blind_index.certificate \
           CROSS JOIN serial ON serial.row = certificate.serial_row",
        ],
    ),
    (
        "key",
        &["CROSS JOIN certificate ON certificate.spki_sha256 = job_term.value \
           CROSS JOIN serial ON serial.row = certificate.serial_row"],
    ),
    (
        "serial",
        &["CROSS JOIN issuer AS named ON named.issuer_id = substr(job_term.value, 1, 32) \
           CROSS JOIN serial ON serial.issuer = named.row AND serial.serial = substr(job_term.value, 33) \
           LEFT JOIN certificate ON certificate.serial_row = serial.row"],
    ),
];

fn by_terms(tag: &str, found_by: &str) -> String {
    format!(
        "INSERT INTO job_item (job, serial_row) \
         SELECT job.row, serial.row FROM job \
         CROSS JOIN job_term ON job_term.job = job.row AND job_term.tag = '{tag}' \
             AND job_term.row > ?3 AND job_term.row <= ?4 \
         {found_by} {BESIDE} WHERE job.row = ?1 AND {FITS} ON CONFLICT DO NOTHING"
    )
}

fn by_row() -> String {
    format!(
        "INSERT INTO job_item (job, serial_row) \
         SELECT job.row, serial.row FROM job \
         CROSS JOIN certificate ON certificate.row > ?3 AND certificate.row <= ?4 \
         CROSS JOIN serial ON serial.row = certificate.serial_row \
         {BESIDE} WHERE job.row = ?1 AND {FITS} ON CONFLICT DO NOTHING"
    )
}

/// Terms that name nothing here, whatever else the selection says.
pub(super) fn unmatched(connection: &Connection, row: i64) -> Result<u64, StoreError> {
    let mut unmatched = 0_u64;
    for (tag, ways) in TERMS {
        let mut sql = format!(
            "SELECT count(*) FROM job_term AS wanted WHERE wanted.job = ?1 AND wanted.tag = '{tag}'"
        );
        for found_by in ways {
            sql.push_str(&format!(
                " AND NOT EXISTS (SELECT 1 FROM job_term {found_by} WHERE job_term.row = wanted.row)"
            ));
        }
        let count: i64 = connection.prepare_cached(&sql)?.query_row([row], |row| row.get(0))?;
        unmatched = unmatched.saturating_add(to_u64(count, "terms of a job")?);
    }
    Ok(unmatched)
}

/// Certificates that came after the selection was begun and fit it. It is asked from their side: they are few.
pub(super) fn rest(connection: &Connection, job: JobId, now: UnixTime) -> Result<u64, StoreError> {
    let found = must_find(connection, job)?;
    let named = if terms_of(connection, found.row)? > 0 {
        "AND (EXISTS (SELECT 1 FROM job_term AS t WHERE t.job = ?1 AND t.tag = 'key' \
                  AND t.value = certificate.spki_sha256) \
              OR EXISTS (SELECT 1 FROM job_term AS t WHERE t.job = ?1 AND t.tag = 'certificate' \
                  AND t.value = certificate.certificate_id) \
              OR EXISTS (SELECT 1 FROM blind_index CROSS JOIN job_term AS t ON t.job = ?1 \
                  AND t.tag = 'card' AND t.value = blind_index.hmac \
                  WHERE blind_index.certificate = certificate.row AND blind_index.tag = 'card-number') \
              OR EXISTS (SELECT 1 FROM blind_index CROSS JOIN job_term AS t ON t.job = ?1 \
                  AND t.tag = 'hsa-id' AND t.value = blind_index.hmac \
                  WHERE blind_index.certificate = certificate.row AND blind_index.tag = 'hsa-id') \
              OR EXISTS (SELECT 1 FROM blind_index CROSS JOIN job_term AS t ON t.job = ?1 \
                  AND t.tag = 'holder' AND substr(t.value, 33) = blind_index.hmac \
                  WHERE blind_index.certificate = certificate.row AND blind_index.tag = 'personal-number') \
              OR EXISTS (SELECT 1 FROM job_term AS t WHERE t.job = ?1 AND t.tag = 'holder' \
                  AND substr(t.value, 1, 32) = eid.holder))"
    } else {
        ""
    };
    let sql = format!(
        "SELECT count(*) FROM job \
         CROSS JOIN certificate ON certificate.row > job.last_certificate \
         CROSS JOIN serial ON serial.row = certificate.serial_row \
         {BESIDE} WHERE job.row = ?1 AND {FITS} {named} \
             AND NOT EXISTS (SELECT 1 FROM job_item \
                 WHERE job_item.job = job.row AND job_item.serial_row = serial.row)"
    );
    let count: i64 = connection
        .prepare_cached(&sql)?
        .query_row(params![found.row, from_time(now)], |row| row.get(0))?;
    to_u64(count, "rest of a job")
}
