//! One key, one holder: judged in the transaction that records the intent, so that of two orders at once
//! one is refused (ISS-12).

use super::connection::{Connection, Row};
use ca::key_holder::{HolderName, KeyHolder, KeyReuse};
use rusqlite::params;
use x509::import::ImportedCertificate;
use x509::key::SpkiHash;

use super::certificates::der_place;
use super::columns::{array, column};
use super::group::Act;
use super::seals;
use crate::StoreError;
use crate::key::SubjectKey;
use crate::sealing::{BlindIndex, IndexTag, IndexTerm, Sealer};

/// So many certificates of a key are read again and again before whose they are is written down once.
const READ_EACH_TIME: usize = 16;

/// Refuses a key that is another holder's, that a certificate was revoked for the compromise of, or that
/// is to be new and is not; else what its holder is called in the intent.
pub(super) fn claim(act: &Act<'_>, key: &SubjectKey) -> Result<Claimant, StoreError> {
    let claimant = Claimant::of(act.sealer(), &key.holder);
    if is_compromised(act.connection(), &key.spki)? {
        return Err(StoreError::KeyCompromised);
    }
    let certified = certified(act, key)?;
    let intended = intended(act.connection(), key)?;
    if key.reuse == KeyReuse::Never {
        // What is being signed may come to nothing.
        if !certified.is_empty() {
            claimant.must_be(act.connection(), &certified)?;
            return Err(StoreError::KeyUsed);
        }
        if !intended.is_empty() {
            return Err(StoreError::KeyInUse);
        }
    }
    claimant.must_be(act.connection(), &certified)?;
    match claimant.must_be(act.connection(), &intended) {
        Err(StoreError::KeyOfAnother | StoreError::KeyOfUnknown) => Err(StoreError::KeyClaimed),
        other => other.map(|()| claimant),
    }
}

/// Who is to get a certificate on the key, as keyed hashes.
pub(super) struct Claimant {
    pub(super) subject: BlindIndex,
    pub(super) person: Option<BlindIndex>,
}

/// Who is known to have one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    /// `None` where nobody can say any more: its subject's data key is gone, and it came from elsewhere.
    subject: Option<BlindIndex>,
    /// `None` where nobody said.
    person: Option<BlindIndex>,
}

impl Known {
    fn read(row: Row<'_>) -> Result<Self, StoreError> {
        Ok(Self { subject: tag_of(row, "holder_tag")?, person: tag_of(row, "person_tag")? })
    }
}

/// Each holder once. Asked of the database, it would make a temporary table for that, for each key.
fn add(holders: &mut Vec<Known>, known: Known) {
    if !holders.contains(&known) {
        holders.push(known);
    }
}

impl Claimant {
    fn of(sealer: &Sealer, holder: &KeyHolder) -> Self {
        let person = holder.person.as_ref().map(|person| tag(sealer, person));
        Self { subject: tag(sealer, &holder.subject), person }
    }

    /// All of them must be this one. Whose a subject is, orders for it say where nobody else did. Two persons
    /// are compared as persons, whatever their subjects are; where one of them is not known, the one must have
    /// a name of the other.
    ///
    /// What orders say of a subject may be said otherwise tomorrow. So it is final only between two persons who
    /// were named themselves, and between two subjects that nobody names a person for.
    fn must_be(&self, connection: &Connection, others: &[Known]) -> Result<(), StoreError> {
        if others.is_empty() {
            return Ok(());
        }
        let mine = whose(connection, self.person, Some(self.subject))?;
        let mut unsure = false;
        for other in others {
            let theirs = whose(connection, other.person, other.subject)?;
            let same_subject = other.subject == Some(self.subject);
            let is_same = match (mine, theirs) {
                (Whose::Several, _) | (_, Whose::Several) => false,
                (Whose::One(mine), Whose::One(theirs)) => mine == theirs,
                (Whose::One(mine), Whose::Unknown) => other.subject == Some(mine) || same_subject,
                (Whose::Unknown, Whose::One(theirs)) => self.subject == theirs || same_subject,
                (Whose::Unknown, Whose::Unknown) => same_subject,
            };
            let is_final = matches!((mine, theirs), (Whose::Unknown, Whose::Unknown))
                || (self.person.is_some() && other.person.is_some());
            if !is_same && is_final {
                return Err(StoreError::KeyOfAnother);
            }
            unsure |= !is_same;
        }
        if unsure { Err(StoreError::KeyOfUnknown) } else { Ok(()) }
    }
}

/// Whose a subject is.
#[derive(Clone, Copy)]
enum Whose {
    Unknown,
    One(BlindIndex),
    /// Orders have given it to more than one.
    Several,
}

/// The first and the last of a subject's persons: one step each into `intent_by_holder`, not one for each order.
const PERSONS_OF_SUBJECT: &str = "SELECT \
     (SELECT person_tag FROM intent WHERE holder_tag = ?1 AND person_tag IS NOT NULL \
          AND state <> 'voided' ORDER BY person_tag LIMIT 1), \
     (SELECT person_tag FROM intent WHERE holder_tag = ?1 AND person_tag IS NOT NULL \
          AND state <> 'voided' ORDER BY person_tag DESC LIMIT 1)";

/// The person who was said, else the one that all orders for the subject are for.
fn whose(
    connection: &Connection,
    person: Option<BlindIndex>,
    subject: Option<BlindIndex>,
) -> Result<Whose, StoreError> {
    if let Some(person) = person {
        return Ok(Whose::One(person));
    }
    let Some(subject) = subject else { return Ok(Whose::Unknown) };
    let bounds: (Option<[u8; 32]>, Option<[u8; 32]>) = connection
        .prepare_cached(PERSONS_OF_SUBJECT)?
        .query_row([subject.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(match bounds {
        (Some(first), Some(last)) if first == last => Whose::One(BlindIndex(first)),
        (None, None) => Whose::Unknown,
        _ => Whose::Several,
    })
}

/// What a holder is called here.
pub(super) fn tag(sealer: &Sealer, name: &HolderName) -> BlindIndex {
    sealer.blind(&IndexTerm::new(IndexTag::KeyHolder, name.as_str()))
}

const HOLDERS_WRITTEN: &str =
    "SELECT holder_tag, person_tag, upto FROM key_holder WHERE spki_sha256 = ?1";

/// Certificates after the row that the holders are written down for.
const CERTIFIED_SINCE: &str = "SELECT certificate.row, certificate.certificate_id, \
         certificate.data_key, intent.holder_tag, \
         CASE WHEN intent.holder_tag IS NULL THEN certificate.der END AS der, \
         coalesce(certificate.person_tag, intent.person_tag) AS person_tag \
     FROM certificate LEFT JOIN intent ON intent.serial_row = certificate.serial_row \
     WHERE certificate.spki_sha256 = ?1 AND certificate.row > ?2 ORDER BY certificate.row";

/// Certificates that were lost when the database was put back from a backup.
const LOST: &str = "SELECT holder_tag, person_tag FROM lost_certificate WHERE spki_sha256 = ?1";

/// Whose the certificates of the key are, each holder once; empty where it has none.
fn certified(act: &Act<'_>, key: &SubjectKey) -> Result<Vec<Known>, StoreError> {
    let connection = act.connection();
    let mut holders = Vec::new();
    let mut upto = 0;
    let mut written = connection.prepare_cached(HOLDERS_WRITTEN)?;
    let mut rows = written.query([key.spki.as_bytes()])?;
    while let Some(row) = rows.next()? {
        holders.push(Known::read(row)?);
        upto = column(row, "upto")?;
    }
    let mut read = 0;
    let mut statement = connection.prepare_cached(CERTIFIED_SINCE)?;
    let mut rows = statement.query(params![key.spki.as_bytes(), upto])?;
    while let Some(row) = rows.next()? {
        let subject = subject_tag(connection, act.sealer(), row)?;
        add(&mut holders, Known { subject, person: tag_of(row, "person_tag")? });
        upto = column(row, "row")?;
        read += 1;
    }
    if read > READ_EACH_TIME {
        write_down(connection, key, &holders, upto)?;
    }
    let mut statement = connection.prepare_cached(LOST)?;
    let mut rows = statement.query([key.spki.as_bytes()])?;
    while let Some(row) = rows.next()? {
        add(&mut holders, Known::read(row)?);
    }
    Ok(holders)
}

fn write_down(
    connection: &Connection,
    key: &SubjectKey,
    holders: &[Known],
    upto: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM key_holder WHERE spki_sha256 = ?1")?
        .execute([key.spki.as_bytes()])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO key_holder (spki_sha256, holder_tag, person_tag, upto) \
         VALUES (?1, ?2, ?3, ?4)",
    )?;
    for known in holders {
        insert.execute(params![
            key.spki.as_bytes(),
            known.subject.as_ref().map(BlindIndex::as_bytes),
            known.person.as_ref().map(BlindIndex::as_bytes),
            upto
        ])?;
    }
    Ok(())
}

/// The subject of a certificate, as its intent names it or it says itself.
pub(super) fn subject_tag(
    connection: &Connection,
    sealer: &Sealer,
    row: Row<'_>,
) -> Result<Option<BlindIndex>, StoreError> {
    match tag_of(row, "holder_tag")? {
        Some(tag) => Ok(Some(tag)),
        None => subject_of(connection, sealer, row),
    }
}

fn tag_of(row: Row<'_>, name: &'static str) -> Result<Option<BlindIndex>, StoreError> {
    Ok(column::<Option<[u8; 32]>>(row, name)?.map(BlindIndex))
}

/// The subject of a certificate that no intent names one of: it was taken in, or is older than the column.
fn subject_of(
    connection: &Connection,
    sealer: &Sealer,
    row: Row<'_>,
) -> Result<Option<BlindIndex>, StoreError> {
    let Some(der) = column::<Option<Vec<u8>>>(row, "der")? else { return Ok(None) };
    let der = match column::<Option<i64>>(row, "data_key")? {
        None => Some(der),
        Some(_) => {
            let id: [u8; 16] = array(row, "certificate_id")?;
            seals::open(connection, sealer, der_place(&id), &der)?
        }
    };
    let read = der.and_then(|der| ImportedCertificate::from_der(&der).ok());
    Ok(read.map(|certificate| tag(sealer, &HolderName::in_subject(certificate.subject()))))
}

/// Refuses to release a certificate on a key that was compromised since the certificate was begun.
pub(super) fn must_not_be_compromised(
    connection: &Connection,
    intent: i64,
) -> Result<(), StoreError> {
    let is_compromised = connection
        .prepare_cached(
            "SELECT 1 FROM compromised_key \
             WHERE spki_sha256 = (SELECT subject_spki FROM intent WHERE row = ?1)",
        )?
        .exists([intent])?;
    if is_compromised { Err(StoreError::KeyCompromisedMeanwhile) } else { Ok(()) }
}

const COMPROMISED: &str = "SELECT 1 FROM compromised_key WHERE spki_sha256 = ?1";

fn is_compromised(connection: &Connection, spki: &SpkiHash) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(COMPROMISED)?.exists([spki.as_bytes()])?)
}

const INTENDED: &str = "SELECT holder_tag, person_tag FROM intent \
     WHERE state = 'open' AND subject_spki = ?1 AND holder_tag IS NOT NULL";

/// The holders of open intents on the key: certificates that may come to be.
fn intended(connection: &Connection, key: &SubjectKey) -> Result<Vec<Known>, StoreError> {
    let mut holders = Vec::new();
    let mut statement = connection.prepare_cached(INTENDED)?;
    let mut rows = statement.query([key.spki.as_bytes()])?;
    while let Some(row) = rows.next()? {
        add(&mut holders, Known::read(row)?);
    }
    Ok(holders)
}

#[cfg(test)]
mod tests {
    use ca::deployment::Deployment;
    use ca::key_holder::KeyHolder;
    use rusqlite::StatementStatus;
    use x509::name::{AttributeType, Name};
    use x509::time::UnixTime;

    use super::*;
    use crate::SqliteStore;
    use crate::sealing::FileKeySource;
    use crate::sql::connection::Statement;

    fn key() -> SubjectKey {
        let subject = Name::builder().with(AttributeType::SerialNumber, "1912").unwrap().build();
        let holder = KeyHolder::named_by(&subject);
        SubjectKey { spki: SpkiHash::from_bytes([7; 32]), holder, reuse: KeyReuse::SameHolder }
    }

    /// Gives the key `count` certificates from `first` on, issued here to its holder and to no other.
    fn certify(act: &Act<'_>, first: i64, count: i64) -> Result<(), StoreError> {
        let tag = Claimant::of(act.sealer(), &key().holder).subject;
        let last = first + count - 1;
        act.connection().batch(&format!(
            "INSERT OR IGNORE INTO status_entry VALUES (1, 0, zeroblob(1), 0);
             INSERT OR IGNORE INTO issuer VALUES (1, zeroblob(32), 'ca', x'00', x'00', x'00', \
                 zeroblob(32), NULL, 0, 1, 'ceremony', 'online', NULL, '', 1, 0);
             CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS \
                 (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n;
             INSERT INTO orders (row, order_id, client, method, path, key, body_sha256, state, node, \
                 boot, created, updated) \
                 SELECT i, CAST(printf('%016d', i) AS BLOB), 'c', 'm', 'p', i, zeroblob(32), \
                     'done', 'a', zeroblob(16), 0, 0 FROM n;
             INSERT INTO serial (row, issuer, serial, state, effective, not_after, \
                 before_activation, after_expiry, listed) \
                 SELECT i, 1, CAST(printf('%016d', i) AS BLOB), 'reserved', 0, 1, 'good', 'kept', 0 \
                 FROM n;"
        ))?;
        act.connection().execute(
            "INSERT INTO intent (intent_id, kind, issuer, order_row, certificate_id, serial_row, \
                 algorithm, digest, node, boot, state, created, failed_tries, subject_spki, \
                 holder_tag) \
             SELECT CAST(printf('%016d', i) AS BLOB), 'certificate', 1, i, zeroblob(16), i, 'a', \
                 zeroblob(32), 'a', zeroblob(16), 'fulfilled', 0, 0, ?1, ?2 FROM n",
            params![key().spki.as_bytes(), tag.as_bytes()],
        )?;
        act.connection().execute(
            "INSERT INTO certificate (certificate_id, serial_row, order_row, origin, profile, \
                 not_before, not_after, sha256, spki_sha256, der) \
             SELECT CAST(printf('%016d', i) AS BLOB), i, i, 'issued', 'p', 0, 1, \
                 CAST(printf('%032d', i) AS BLOB), ?1, zeroblob(1000) FROM n",
            [key().spki.as_bytes()],
        )?;
        Ok(act.connection().batch("DROP TABLE n")?)
    }

    /// A temporary table for a question costs more than the question.
    #[test]
    fn no_question_about_a_key_makes_a_temporary_table() {
        let folder = tempfile::tempdir().unwrap();
        let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
        let keys = FileKeySource::create(&folder.path().join("seal.key")).unwrap();
        let now = UnixTime::from_secs(1_800_000_000).unwrap();
        let path = folder.path().join("ca.db");
        let store = SqliteStore::open_or_create(&path, deployment, &keys, now).unwrap();
        let makes_one = |sql: &str| {
            store.readers.read(|connection| {
                let sql = sql.replace("?1", "x'00'").replace("?2", "0");
                let mut steps = connection.prepare_cached(&format!("EXPLAIN {sql}"))?;
                let steps = steps.query_map([], |row| row.get::<String>("opcode"))?;
                Ok(steps.collect::<Result<Vec<_>, _>>()?.contains(&"OpenEphemeral".to_owned()))
            })
        };

        for sql in QUESTIONS.into_iter().chain([LOST]) {
            assert!(!makes_one(sql).unwrap(), "{sql}");
        }
        assert!(makes_one("SELECT DISTINCT holder_tag, person_tag FROM intent").unwrap());
    }

    const QUESTIONS: [&str; 5] =
        [COMPROMISED, HOLDERS_WRITTEN, CERTIFIED_SINCE, INTENDED, PERSONS_OF_SUBJECT];

    /// Steps of SQLite's machine that the questions about a key have cost so far.
    fn steps(connection: &Connection) -> i32 {
        QUESTIONS
            .iter()
            .map(|sql| match connection.prepare_cached(sql).unwrap() {
                Statement::Sqlite(statement) => statement.get_status(StatementStatus::VmStep),
                Statement::Postgres(..) => unreachable!("SQLite's"),
            })
            .sum()
    }

    fn cost_of_a_claim(act: &Act<'_>) -> Result<i32, StoreError> {
        let before = steps(act.connection());
        claim(act, &key())?;
        Ok(steps(act.connection()) - before)
    }

    /// ISS-12: what a key's next certificate costs does not grow with those that it has.
    #[test]
    fn a_claim_costs_the_same_with_twenty_thousand_certificates_as_with_twenty() {
        let folder = tempfile::tempdir().unwrap();
        let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
        let keys = FileKeySource::create(&folder.path().join("seal.key")).unwrap();
        let now = UnixTime::from_secs(1_800_000_000).unwrap();
        let path = folder.path().join("ca.db");
        let store = SqliteStore::open_or_create(&path, deployment, &keys, now).unwrap();
        let claims = |act: &mut Act<'_>| {
            certify(act, 1, 20)?;
            let first = cost_of_a_claim(act)?;
            let few = cost_of_a_claim(act)?;
            certify(act, 21, 20_000)?;
            let reading = cost_of_a_claim(act)?;
            Ok((first, few, reading, cost_of_a_claim(act)?))
        };

        let (first, few, reading, many) = store.writer.run(claims).unwrap();

        assert!(first > 100 && reading > 100_000, "{first}, {reading}: they are read once");
        assert!(few < first && many <= few, "{few} with 20, {many} with 20 020");
    }
}
