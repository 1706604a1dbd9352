//! The CRLs that an outer host serves: their numbers, which no other list may have again (CRL-02), and after a loss of the
//! publication folder the lists themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use status::{PublicationPath, PublishedCrl};
use store::{CrlScope, LeaseName, LeaseOutcome, Store, StoreError};

use super::connection::Connection;
use super::error::PushError;
use super::host::Feed;
use super::read_back::Comparison;
use crate::clock::Clock;
use crate::publication::crl_files::{authority_of, number_of};

type Rows = BTreeMap<String, PublishedCrl>;

/// Learns the numbers of the lists that the host serves: those that are made here go on above them.
///
/// # Errors
///
/// The host's, or a manifest that is not ours; its numbers are not known then.
pub(super) async fn learn_numbers(
    feed: &Feed,
    host: &str,
    connection: &mut Connection,
) -> Result<(), PushError> {
    learn(feed, &served(feed, host, connection).await?)
}

/// As [`learn_numbers`], and brings home lists that are newer than those of the publication folder, or not in it at all. One
/// that the host lists and does not give is told of.
///
/// Beside nodes that make lists only such are brought home as the database knows as the present ones, where the folder is another
/// node's or lost; and only by the node that has the lease of the publication, which the database is asked for.
///
/// # Errors
///
/// As [`learn_numbers`], and those of folder and database.
pub(super) async fn bring_home(
    feed: &Feed,
    host: &str,
    connection: &mut Connection,
    comparison: Comparison<'_>,
) -> Result<(), PushError> {
    let mut rows = served(feed, host, connection).await?;
    learn(feed, &rows)?;
    if let Comparison::Now { .. } = comparison {
        let present = present(feed.store.as_ref()).map_err(PushError::NotCompared)?;
        rows.retain(|_, row| present.contains(&row.sha256));
    }
    bring(feed, host, connection, rows, comparison).await
}

/// Whether this start may write into the publication tree: it works alone, or has the lease.
fn may_write(feed: &Feed, comparison: Comparison<'_>) -> Result<bool, PushError> {
    let Comparison::Now { node } = comparison else { return Ok(true) };
    let now = Clock::start().read().now;
    let outcome = feed.store.lease(&LeaseName::Publication, node, now);
    let outcome = outcome.map_err(PushError::NotCompared)?;
    Ok(matches!(outcome, LeaseOutcome::Held { .. }))
}

/// The manifest of the host; empty where it serves no list.
async fn served(feed: &Feed, host: &str, connection: &mut Connection) -> Result<Rows, PushError> {
    let path = PublicationPath::CrlManifest;
    let bytes = connection.get(&format!("publish/{path}"), path.max_octets()).await?;
    let Some(bytes) = bytes else { return Ok(BTreeMap::new()) };
    let place = PathBuf::from(format!("{host}:{path}"));
    feed.lists.rows_of(&bytes, &place).map_err(PushError::ForeignManifest)
}

fn learn(feed: &Feed, rows: &Rows) -> Result<(), PushError> {
    for row in rows.values() {
        let unreadable = PushError::Unexpected { what: "a CRL number that is none" };
        let number = number_of(row).ok_or(unreadable)?;
        if let Some(authority) = authority_of(&row.path) {
            feed.lists.keep_above(authority, number);
        }
    }
    Ok(())
}

/// The hashes of the lists that are the last of their scope.
fn present(store: &dyn Store) -> Result<BTreeSet<[u8; 32]>, StoreError> {
    let mut present = BTreeSet::new();
    for issuer in store.issuers()? {
        let id = issuer.declared.id;
        for scope in [CrlScope::full(), CrlScope::delta()] {
            present.extend(store.current_crl(id, &scope)?.map(|row| row.sha256));
        }
        let shards = store.crl_shards(id)?.into_iter();
        present.extend(shards.filter_map(|shard| Some(shard.list?.sha256)));
    }
    Ok(present)
}

async fn bring(
    feed: &Feed,
    host: &str,
    connection: &mut Connection,
    rows: Rows,
    comparison: Comparison<'_>,
) -> Result<(), PushError> {
    for (path, row) in rows {
        let here = feed.lists.published(&path).and_then(|(_, here)| number_of(&here));
        if here >= number_of(&row) {
            continue;
        }
        let Ok(name @ PublicationPath::Crl(_)) = path.parse::<PublicationPath>() else {
            return Err(PushError::Unexpected { what: "a list whose name is none" });
        };
        let bytes = connection.get(&format!("publish/{name}"), name.max_octets()).await?;
        let listed = bytes.filter(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)) == row.sha256);
        let Some(bytes) = listed else {
            tracing::error!(
                host.name = host,
                file.path = path,
                "outer host lists a CRL and does not serve it as listed"
            );
            continue;
        };
        // Asked after it has come, which may have taken longer than a lease lasts.
        if !may_write(feed, comparison)? {
            tracing::info!(host.name = host, "CRLs are not brought home: another node publishes");
            return Ok(());
        }
        let number = row.number.clone();
        let file = feed.lists.spool("brought-home.crl");
        std::fs::write(&file, bytes).map_err(PushError::local(&file))?;
        feed.lists.publish(&file, row).map_err(PushError::OwnManifest)?;
        tracing::warn!(
            host.name = host,
            file.path = path,
            crl.number = number,
            "CRL was brought home from an outer host"
        );
    }
    Ok(())
}
