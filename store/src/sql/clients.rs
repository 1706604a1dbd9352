//! Clients of the API and pinned responders.

use std::collections::BTreeSet;

use super::connection::{Connection, Failure, OptionalExtension as _};
use rusqlite::params;
use x509::key::SpkiHash;
use x509::time::UnixTime;

use super::columns::{array, column, from_time, from_u64, time, to_u64};
use super::group::Act;
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::client::{Client, ClientState, Responder};

pub(super) fn all(connection: &Connection) -> Result<Vec<Client>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM client ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut clients = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = column(row, "name")?;
        let state = match column::<String>(row, "state")?.as_str() {
            "active" => ClientState::Active,
            "disabled" => ClientState::Disabled,
            _ => return Err(StoreError::Stored { what: "client state" }),
        };
        let keys = keys_of(connection, &name)?;
        let roles = list(&column::<String>(row, "roles")?)?;
        let profiles = list(&column::<String>(row, "profiles")?)?;
        clients.push(Client { name, keys, roles, profiles, state });
    }
    Ok(clients)
}

fn list(json: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(json).map_err(|_| StoreError::Stored { what: "client" })
}

fn keys_of(connection: &Connection, client: &str) -> Result<Vec<SpkiHash>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT spki_sha256 FROM client_key WHERE client = ?1 ORDER BY spki_sha256",
    )?;
    let keys = statement.query_map([client], |row| row.get(0).map(SpkiHash::from_bytes))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

pub(super) fn put(
    act: &mut Act<'_>,
    client: &Client,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    write(act, client, now)?;
    act.put_audit(audit, now).map(|_| ())
}

fn write(act: &Act<'_>, client: &Client, now: UnixTime) -> Result<(), StoreError> {
    let json = |list: &[String]| {
        serde_json::to_string(list).map_err(|_| StoreError::Stored { what: "client" })
    };
    let state = match client.state {
        ClientState::Active => "active",
        ClientState::Disabled => "disabled",
    };
    let connection = act.connection();
    connection.execute(
        "INSERT INTO client (name, roles, profiles, state, updated) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (name) DO UPDATE SET roles = ?2, profiles = ?3, state = ?4, updated = ?5",
        params![client.name, json(&client.roles)?, json(&client.profiles)?, state, from_time(now)],
    )?;
    connection.execute("DELETE FROM client_key WHERE client = ?1", [&client.name])?;
    for key in &client.keys {
        let inserted = connection.execute(
            "INSERT INTO client_key (spki_sha256, client) VALUES (?1, ?2)",
            params![key.as_bytes(), client.name],
        );
        match inserted {
            // One key names one client.
            Err(error) if error.failure() == Failure::Constraint => {
                return Err(StoreError::Pinned);
            }
            other => other?,
        };
    }
    Ok(())
}

pub(super) fn sync(
    act: &mut Act<'_>,
    wanted: &[Client],
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let known = all(act.connection())?;
    let names: BTreeSet<&str> = wanted.iter().map(|client| client.name.as_str()).collect();
    let disabled = known
        .iter()
        .filter(|client| {
            client.state == ClientState::Active && !names.contains(client.name.as_str())
        })
        .map(|client| Client { state: ClientState::Disabled, keys: Vec::new(), ..client.clone() });
    let changed = wanted.iter().map(|client| {
        let mut client = client.clone();
        client.keys.sort();
        client.keys.dedup();
        client
    });
    // Disabled ones first: a key may move from a client that goes to one that comes.
    let writes: Vec<Client> =
        disabled.chain(changed.filter(|client| !known.contains(client))).collect();
    if writes.is_empty() {
        return Ok(false);
    }
    for client in &writes {
        write(act, client, now)?;
    }
    act.put_audit(audit, now)?;
    Ok(true)
}

pub(super) fn enrol(
    act: &mut Act<'_>,
    responder: &Responder,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let connection = act.connection();
    let pinned: Option<[u8; 32]> = connection
        .prepare_cached("SELECT spki_sha256 FROM responder WHERE name = ?1")?
        .query_row([&responder.name], |row| row.get(0))
        .optional()?;
    match pinned {
        Some(key) if key == *responder.key.as_bytes() => return Ok(()),
        Some(_) => return Err(StoreError::Pinned),
        None => {}
    }
    let inserted = connection.execute(
        "INSERT INTO responder (name, spki_sha256, spki, counter, enrolled) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            responder.name,
            responder.key.as_bytes(),
            responder.spki_der,
            from_u64(responder.counter, "counter")?,
            from_time(responder.enrolled)
        ],
    );
    match inserted {
        Err(error) if error.is_unique_on("responder.spki_sha256") => {
            return Err(StoreError::Pinned);
        }
        other => other?,
    };
    act.put_audit(audit, now).map(|_| ())
}

pub(super) fn responders(connection: &Connection) -> Result<Vec<Responder>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM responder ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut responders = Vec::new();
    while let Some(row) = rows.next()? {
        responders.push(Responder {
            name: column(row, "name")?,
            key: SpkiHash::from_bytes(array(row, "spki_sha256")?),
            spki_der: column(row, "spki")?,
            counter: to_u64(column(row, "counter")?, "counter")?,
            enrolled: time(row, "enrolled")?,
        });
    }
    Ok(responders)
}

pub(super) fn accept(act: &mut Act<'_>, name: &str, counter: u64) -> Result<(), StoreError> {
    let connection = act.connection();
    let last: i64 = connection
        .prepare_cached("SELECT counter FROM responder WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::Pinned)?;
    let last = to_u64(last, "counter")?;
    if counter <= last {
        return Err(StoreError::Replayed { last, found: counter });
    }
    connection
        .prepare_cached("UPDATE responder SET counter = ?2 WHERE name = ?1")?
        .execute(params![name, from_u64(counter, "counter")?])?;
    Ok(())
}
