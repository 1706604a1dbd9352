//! The tree of organisations.

use ca::day::Day;
use ca::identity::OrganisationNumber;
use ca::organisation::{Days, Organisation, OrganisationFault, OrganisationText, Tree};
use rusqlite::params;
use x509::time::UnixTime;

use super::columns::{array, column, from_time, opt_time, stored, time};
use super::connection::{Connection, OptionalExtension as _, Params, Row};
use super::group::Act;
use super::{Backend, SqlStore};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::OrganisationId;
use crate::organisation::{OrganisationChange, OrganisationRow, Organisations};

impl<B: Backend> Organisations for SqlStore<B> {
    fn put_organisation(
        &self,
        change: &OrganisationChange,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<OrganisationRow, StoreError> {
        let (change, audit) = (change.clone(), audit.clone());
        self.writer.run(move |act| put(act, &change, &audit, now))
    }

    fn organisations(&self) -> Result<Vec<OrganisationRow>, StoreError> {
        self.readers.read(|connection| {
            listed(connection, &format!("{ROW} ORDER BY one.organisation_id"), [])
        })
    }

    fn organisations_of_number(
        &self,
        number: &OrganisationNumber,
    ) -> Result<Vec<OrganisationRow>, StoreError> {
        self.readers.read(|connection| of_number(connection, number))
    }

    fn organisation_with_way_up(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<OrganisationRow>, StoreError> {
        self.readers.read(|connection| with_way_up(connection, organisation))
    }
}

/// A row with the id of what it lies under.
const ROW: &str = "SELECT one.organisation_id, above.organisation_id AS parent_id, one.kind, one.name, \
     one.number, one.office, one.from_day, one.until_day, one.revision, one.created, one.updated \
     FROM organisation AS one LEFT JOIN organisation AS above ON above.row = one.parent";

/// How far the way up is followed: farther than a tree is deep.
const WAY_UP: u32 = 16;

/// Those that `wanted` names, and all that they lie under.
fn way_up(wanted: &str) -> String {
    format!(
        "WITH RECURSIVE way (row, parent, step) AS ( \
             SELECT row, parent, 0 FROM organisation WHERE {wanted} \
             UNION ALL SELECT next.row, next.parent, way.step + 1 FROM organisation AS next \
                 JOIN way ON way.parent = next.row WHERE way.step < {WAY_UP}) \
         {ROW} WHERE one.row IN (SELECT row FROM way) ORDER BY one.organisation_id"
    )
}

/// An organisation, and all that it lies under.
pub(super) fn with_way_up(
    connection: &Connection,
    organisation: OrganisationId,
) -> Result<Vec<OrganisationRow>, StoreError> {
    listed(connection, &way_up("organisation_id = ?1"), [organisation.as_bytes()])
}

fn of_number(
    connection: &Connection,
    number: &OrganisationNumber,
) -> Result<Vec<OrganisationRow>, StoreError> {
    listed(connection, &way_up("number = ?1"), [number.as_str()])
}

/// What a change is judged by: the ways up of it and of what it is to lie under, what lies under it, and whatever has its number or its
/// office id. The rest of the tree has no part in it ([`Tree::judge`]).
fn concerned(
    connection: &Connection,
    wanted: &Organisation<OrganisationId>,
) -> Result<Vec<OrganisationRow>, StoreError> {
    let above = way_up("organisation_id = ?1 OR organisation_id = ?2");
    let parent = wanted.parent.as_ref().map(OrganisationId::as_bytes);
    let mut rows = listed(connection, &above, params![wanted.id.as_bytes(), parent])?;
    let below = format!(
        "WITH RECURSIVE way (row, step) AS ( \
             SELECT row, 0 FROM organisation WHERE organisation_id = ?1 \
             UNION ALL SELECT next.row, way.step + 1 FROM organisation AS next \
                 JOIN way ON next.parent = way.row WHERE way.step < {WAY_UP}) \
         {ROW} WHERE one.row IN (SELECT row FROM way WHERE step > 0)"
    );
    rows.extend(listed(connection, &below, [wanted.id.as_bytes()])?);
    if let Some(number) = wanted.number() {
        let same = format!("{ROW} WHERE one.number = ?1");
        rows.extend(listed(connection, &same, [number.as_str()])?);
    }
    if let Some(office) = wanted.office() {
        let same = format!("{ROW} WHERE one.office = ?1");
        rows.extend(listed(connection, &same, [office.as_str()])?);
    }
    Ok(rows)
}

fn listed(
    connection: &Connection,
    query: &str,
    parameters: impl Params,
) -> Result<Vec<OrganisationRow>, StoreError> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: Row<'_>) -> Result<OrganisationRow, StoreError> {
    let damaged = |_| StoreError::Stored { what: "organisation" };
    let kind: String = column(row, "kind")?;
    let (name, number, office): (String, Option<String>, Option<String>) =
        (column(row, "name")?, column(row, "number")?, column(row, "office")?);
    let parent: Option<[u8; 16]> = column(row, "parent_id")?;
    let until = opt_time(row, "until_day")?.map(Day::containing);
    let days = Days::new(Day::containing(time(row, "from_day")?), until);
    let text =
        OrganisationText { name: &name, number: number.as_deref(), office: office.as_deref() };
    let organisation = Organisation::new(
        OrganisationId::from_bytes(array(row, "organisation_id")?),
        parent.map(OrganisationId::from_bytes),
        kind.parse().map_err(damaged)?,
        stored(days, "days of an organisation")?,
        &text,
    );
    Ok(OrganisationRow {
        organisation: organisation.map_err(damaged)?,
        revision: column(row, "revision")?,
        created: time(row, "created")?,
        updated: time(row, "updated")?,
    })
}

fn put(
    act: &mut Act<'_>,
    change: &OrganisationChange,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<OrganisationRow, StoreError> {
    let (connection, wanted) = (act.connection(), &change.organisation);
    let written: Option<[u8; 16]> = connection
        .prepare_cached("SELECT last_order FROM organisation WHERE organisation_id = ?1")?
        .query_row([wanted.id.as_bytes()], |row| row.get(0))
        .optional()?;
    if written.as_ref() == Some(change.order.as_bytes()) {
        return found(connection, wanted.id);
    }
    let rows = concerned(connection, wanted)?;
    let known = rows.iter().find(|row| row.organisation.id == wanted.id).map(|row| row.revision);
    let tree: Tree<OrganisationId> = rows.into_iter().map(|row| row.organisation).collect();
    match (change.rests_on, known) {
        (None, _) | (Some(_), Some(_)) => tree.judge(wanted, &change.scope, change.today)?,
        (Some(_), None) => return Err(OrganisationFault::Unknown.into()),
    }
    // Only who sees it hears where it stands.
    if let Some(revision) = known.filter(|known| change.rests_on != Some(*known)) {
        return Err(OrganisationFault::Revision { revision }.into());
    }
    write(connection, change, now)?;
    act.put_audit(audit, now)?;
    found(act.connection(), wanted.id)
}

fn write(
    connection: &Connection,
    change: &OrganisationChange,
    now: UnixTime,
) -> Result<(), StoreError> {
    let one = &change.organisation;
    connection
        .prepare_cached(
            "INSERT INTO organisation (organisation_id, parent, kind, name, number, office, from_day, \
                 until_day, revision, last_order, created, updated) \
             VALUES (?1, (SELECT row FROM organisation WHERE organisation_id = ?2), ?3, ?4, ?5, ?6, ?7, \
                 ?8, 1, ?9, ?10, ?10) \
             ON CONFLICT (organisation_id) DO UPDATE SET parent = excluded.parent, name = excluded.name, \
                 number = excluded.number, office = excluded.office, until_day = excluded.until_day, \
                 revision = organisation.revision + 1, last_order = excluded.last_order, \
                 updated = excluded.updated",
        )?
        .execute(params![
            one.id.as_bytes(),
            one.parent.as_ref().map(OrganisationId::as_bytes),
            one.kind.to_string(),
            one.name(),
            one.number().map(OrganisationNumber::as_str),
            one.office().map(ca::organisation::OfficeId::as_str),
            from_time(one.days.from().begin()),
            one.days.until().map(|until| from_time(until.begin())),
            change.order.as_bytes(),
            from_time(now),
        ])?;
    Ok(())
}

fn found(connection: &Connection, id: OrganisationId) -> Result<OrganisationRow, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{ROW} WHERE one.organisation_id = ?1"))?;
    let mut rows = statement.query([id.as_bytes()])?;
    let row = rows.next()?;
    read(stored(row, "organisation")?)
}

#[cfg(test)]
mod tests {
    use ca::deployment::Deployment;
    use ca::organisation::OrganisationKind;

    use super::*;
    use crate::SqliteStore;
    use crate::sealing::FileKeySource;

    /// A change reads its way up, what lies under it and what has its number: not the other thousands.
    #[test]
    fn a_change_reads_its_part_of_the_tree() {
        let folder = tempfile::tempdir().unwrap();
        let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
        let keys = FileKeySource::create(&folder.path().join("seal.key")).unwrap();
        let now = UnixTime::from_secs(1_800_000_000).unwrap();
        let path = folder.path().join("ca.db");
        let store = SqliteStore::open_or_create(&path, deployment, &keys, now).unwrap();
        // Row 1 is the area; from 2 on regions lie under it, each second row a part of the one before.
        let world = "INSERT INTO organisation \
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5001) \
            SELECT i, CAST(printf('%016d', i) AS BLOB), \
                CASE WHEN i = 1 THEN NULL WHEN i % 2 = 0 THEN 1 ELSE i - 1 END, \
                CASE WHEN i = 1 THEN 'issuing-area' WHEN i % 2 = 0 THEN 'third-party' \
                    ELSE 'sub-organisation' END, \
                'Somewhere', CASE WHEN i > 1 AND i % 2 = 0 THEN '2321000131' END, NULL, 0, i, 1, \
                zeroblob(16), 0, 0 FROM n";
        // Each on a day of its own: a number is one organisation's at a time.
        let world = world.replace("0, i, 1,", "i * 172800, i * 172800, 1,");
        let id = |number: u32| {
            let text = format!("{number:016}");
            OrganisationId::from_bytes(text.as_bytes().try_into().unwrap())
        };
        let days = Days::new(Day::containing(now), None).unwrap();
        let text = OrganisationText { name: "Del", number: None, office: None };
        let kind = OrganisationKind::SubOrganisation;
        let wanted = Organisation::new(id(9_999), Some(id(41)), kind, days, &text).unwrap();

        let read = store.writer.run(move |act| {
            act.connection().batch(&world)?;
            let rows = concerned(act.connection(), &wanted)?;
            let plan = format!("EXPLAIN QUERY PLAN {}", way_up("organisation_id = ?1"));
            let mut statement = act.connection().prepare_cached(&plan)?;
            let steps = statement.query_map([id(41).as_bytes()], |row| row.get::<String>(3))?;
            let steps = steps.collect::<Result<Vec<_>, _>>()?;
            Ok((rows.into_iter().map(|row| row.organisation.id).collect::<Vec<_>>(), steps))
        });

        let (rows, steps) = read.unwrap();
        assert_eq!(rows, [id(1), id(40), id(41)]);
        let scans = steps.iter().filter(|step| {
            step.contains("SCAN organisation")
                || step.contains("SCAN one")
                || step.contains("SCAN next")
        });
        assert_eq!(scans.count(), 0, "{steps:#?}");
    }
}
