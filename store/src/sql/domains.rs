//! Domains and their proofs.

use ca::domain::{DomainFault, DomainName, DomainProofId, DomainProofMethod, Proof};
use ca::organisation::{OrganisationFault, Tree, today};
use rusqlite::params;
use x509::time::UnixTime;

use super::columns::{array, column, from_time, opt_time, stored, time};
use super::connection::{Connection, OptionalExtension as _, Params, Row};
use super::group::Act;
use super::{Backend, SqlStore, organisations, seals};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::domain::{DomainAct, DomainProofRow, DomainRow, DomainStep, Domains};
use crate::id::{DomainId, OrganisationId};
use crate::sealing::{Place, Subject};

/// A domain with its newest proof.
const ROW: &str = "SELECT domain.domain_id, organisation.organisation_id, domain.name, domain.token, \
     domain.token_given, domain.withdrawn, domain.created, newest.method, newest.seen_at, newest.valid_until \
     FROM domain JOIN organisation ON organisation.row = domain.organisation \
     LEFT JOIN domain_proof AS newest ON newest.row = \
         (SELECT MAX(proof.row) FROM domain_proof AS proof WHERE proof.domain = domain.row)";

impl<B: Backend> Domains for SqlStore<B> {
    fn act_on_domain(
        &self,
        wanted: &DomainAct,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<DomainRow, StoreError> {
        let (wanted, audit) = (wanted.clone(), audit.clone());
        self.writer.run(move |act| done(act, &wanted, &audit, now))
    }

    fn domain(&self, id: DomainId) -> Result<Option<DomainRow>, StoreError> {
        self.readers.read(|connection| of_id(connection, id))
    }

    fn domains(&self) -> Result<Vec<DomainRow>, StoreError> {
        self.readers
            .read(|connection| listed(connection, &format!("{ROW} ORDER BY domain.domain_id"), []))
    }

    fn domains_named(&self, names: &[&str]) -> Result<Vec<DomainRow>, StoreError> {
        self.readers.read(|connection| {
            let mut found = Vec::new();
            for name in names {
                found.extend(of_name(connection, name)?);
            }
            Ok(found)
        })
    }

    fn domain_proofs(&self, id: DomainId) -> Result<Vec<DomainProofRow>, StoreError> {
        self.readers.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT proof.order_id, proof.method, proof.seen_at, proof.valid_until, proof.recorded, \
                     proof.sealed \
                 FROM domain_proof AS proof JOIN domain ON domain.row = proof.domain \
                 WHERE domain.domain_id = ?1 ORDER BY proof.row",
            )?;
            let mut rows = statement.query([id.as_bytes()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let order: [u8; 16] = array(row, "order_id")?;
                let sealed: Vec<u8> = column(row, "sealed")?;
                found.push(DomainProofRow {
                    proof: stored(proof(row)?, "proof of a domain")?,
                    recorded: time(row, "recorded")?,
                    evidence: seals::open(connection, &self.sealer, place(&order), &sealed)?,
                });
            }
            Ok(found)
        })
    }
}

const fn place(order: &[u8; 16]) -> Place<'_> {
    Place { table: "domain_proof", column: "sealed", row: order }
}

fn of_id(connection: &Connection, id: DomainId) -> Result<Option<DomainRow>, StoreError> {
    let query = format!("{ROW} WHERE domain.domain_id = ?1");
    Ok(listed(connection, &query, [id.as_bytes()])?.pop())
}

fn of_name(connection: &Connection, name: &str) -> Result<Vec<DomainRow>, StoreError> {
    let query = format!("{ROW} WHERE domain.name = ?1 AND domain.withdrawn IS NULL");
    listed(connection, &query, [name])
}

fn listed(
    connection: &Connection,
    query: &str,
    parameters: impl Params,
) -> Result<Vec<DomainRow>, StoreError> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: Row<'_>) -> Result<DomainRow, StoreError> {
    let name: String = column(row, "name")?;
    let token: Option<String> = column(row, "token")?;
    Ok(DomainRow {
        id: DomainId::from_bytes(array(row, "domain_id")?),
        organisation: OrganisationId::from_bytes(array(row, "organisation_id")?),
        name: stored(DomainName::stored(&name), "name of a domain")?,
        token: token.zip(opt_time(row, "token_given")?),
        proof: proof(row)?,
        withdrawn: opt_time(row, "withdrawn")?,
        created: time(row, "created")?,
    })
}

fn proof(row: Row<'_>) -> Result<Option<Proof>, StoreError> {
    let Some(method) = column::<Option<String>>(row, "method")? else { return Ok(None) };
    Ok(Some(Proof {
        method: stored(DomainProofId::new(&method), "method of a proof")?,
        seen_at: time(row, "seen_at")?,
        valid_until: time(row, "valid_until")?,
    }))
}

fn done(
    act: &mut Act<'_>,
    wanted: &DomainAct,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<DomainRow, StoreError> {
    let written: Option<[u8; 16]> = act
        .connection()
        .prepare_cached("SELECT last_order FROM domain WHERE domain_id = ?1")?
        .query_row([wanted.domain.as_bytes()], |row| row.get(0))
        .optional()?;
    let known = of_id(act.connection(), wanted.domain)?;
    if let Some(known) = &known
        && written.as_ref() == Some(wanted.order.as_bytes())
    {
        return Ok(known.clone());
    }
    if let DomainStep::State { organisation, name, token } = &wanted.step {
        must_be_there(act.connection(), *organisation, wanted, now)?;
        let others = of_name(act.connection(), name.as_str())?;
        if others.iter().any(|one| one.organisation == *organisation) {
            return Err(DomainFault::Known.into());
        }
        state(act.connection(), wanted, (*organisation, name, token), now)?;
    } else {
        let known = known.ok_or(DomainFault::Unknown)?;
        let tree = tree(act.connection(), known.organisation)?;
        if !tree.sees(&wanted.scope, known.organisation, today(now)) {
            return Err(DomainFault::Unknown.into());
        }
        if known.withdrawn.is_some() {
            return Err(DomainFault::Withdrawn.into());
        }
        go_on(act, wanted, &known, now)?;
    }
    act.put_audit(audit, now)?;
    stored(of_id(act.connection(), wanted.domain)?, "domain")
}

fn tree(
    connection: &Connection,
    organisation: OrganisationId,
) -> Result<Tree<OrganisationId>, StoreError> {
    let rows = organisations::with_way_up(connection, organisation)?;
    Ok(rows.into_iter().map(|row| row.organisation).collect())
}

/// Refuses an organisation that the caller does not see, and one that is not there today.
fn must_be_there(
    connection: &Connection,
    organisation: OrganisationId,
    wanted: &DomainAct,
    now: UnixTime,
) -> Result<(), StoreError> {
    let (tree, today) = (tree(connection, organisation)?, today(now));
    let is_seen = tree.sees(&wanted.scope, organisation, today);
    if is_seen && tree.is_there(organisation, today) {
        return Ok(());
    }
    let until = tree.find(organisation).filter(|_| is_seen).and_then(|one| one.days.until());
    let ended = until.filter(|until| *until < today);
    Err(ended.map_or(OrganisationFault::Unknown, |until| OrganisationFault::Ended { until }).into())
}

fn state(
    connection: &Connection,
    wanted: &DomainAct,
    (organisation, name, token): (OrganisationId, &DomainName, &str),
    now: UnixTime,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO domain (domain_id, organisation, name, token, token_given, withdrawn, last_order, created) \
             VALUES (?1, (SELECT row FROM organisation WHERE organisation_id = ?2), ?3, ?4, ?5, NULL, ?6, ?5)",
        )?
        .execute(params![
            wanted.domain.as_bytes(),
            organisation.as_bytes(),
            name.as_str(),
            token,
            from_time(now),
            wanted.order.as_bytes(),
        ])?;
    Ok(())
}

fn go_on(
    act: &mut Act<'_>,
    wanted: &DomainAct,
    known: &DomainRow,
    now: UnixTime,
) -> Result<(), StoreError> {
    let id = wanted.domain.as_bytes();
    let order = wanted.order.as_bytes();
    match &wanted.step {
        // It is another's matter.
        DomainStep::State { .. } => {}
        DomainStep::Token(token) => {
            act.connection()
                .prepare_cached(
                    "UPDATE domain SET token = ?2, token_given = ?3, last_order = ?4 WHERE domain_id = ?1",
                )?
                .execute(params![id, token, from_time(now), order])?;
        }
        DomainStep::Prove { proof, method, evidence } => {
            prove(act, wanted, known, (proof, method.as_ref(), evidence), now)?;
        }
        DomainStep::Withdraw => {
            act.connection()
                .prepare_cached(
                    "UPDATE domain SET withdrawn = ?2, token = NULL, token_given = NULL, last_order = ?3 \
                     WHERE domain_id = ?1",
                )?
                .execute(params![id, from_time(now), order])?;
        }
    }
    Ok(())
}

fn prove(
    act: &mut Act<'_>,
    wanted: &DomainAct,
    known: &DomainRow,
    (proof, method, evidence): (&Proof, Option<&DomainProofMethod>, &[u8]),
    now: UnixTime,
) -> Result<(), StoreError> {
    must_be_there(act.connection(), known.organisation, wanted, now)?;
    proof.judge(method, known.token.as_ref().map(|(_, given)| *given), now)?;
    let others = of_name(act.connection(), known.name.as_str())?;
    let is_taken = |one: &DomainRow| {
        one.organisation != known.organisation && one.hold().is_some_and(|hold| hold.is_fresh(now))
    };
    if others.iter().any(is_taken) {
        return Err(DomainFault::Taken.into());
    }
    let key = act.data_key(&Subject::Order(wanted.order))?;
    let order = wanted.order.as_bytes();
    let sealed = act.sealer().seal(&key, place(order), evidence)?;
    act.connection()
        .prepare_cached(
            "INSERT INTO domain_proof (domain, order_id, method, seen_at, valid_until, recorded, sealed) \
             VALUES ((SELECT row FROM domain WHERE domain_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            wanted.domain.as_bytes(),
            order,
            proof.method.as_str(),
            from_time(proof.seen_at),
            from_time(proof.valid_until),
            from_time(now),
            sealed,
        ])?;
    let used = method.is_some_and(DomainProofMethod::needs_token);
    let spent = if used { "token = NULL, token_given = NULL, " } else { "" };
    act.connection()
        .prepare_cached(&format!("UPDATE domain SET {spent}last_order = ?2 WHERE domain_id = ?1"))?
        .execute(params![wanted.domain.as_bytes(), order])?;
    Ok(())
}
