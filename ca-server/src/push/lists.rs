//! The CRLs that an outer host serves: their numbers, which no other list may have again (CRL-02), and after a loss of the
//! publication folder the lists themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use status::{PublicationPath, PublishedCrl};

use super::connection::Connection;
use super::error::PushError;
use super::host::Feed;
use crate::publication::crl_files::{authority_of, number_of};

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
    for row in served(feed, host, connection).await?.values() {
        let unreadable = PushError::Unexpected { what: "a CRL number that is none" };
        let number = number_of(row).ok_or(unreadable)?;
        if let Some(authority) = authority_of(&row.path) {
            feed.lists.keep_above(authority, number);
        }
    }
    feed.state.has_told_numbers(host);
    Ok(())
}

/// Brings the lists home that the host serves and that are newer than those of the publication folder, or not in it at all. One
/// that the host lists and does not give is told of: its number counts all the same.
///
/// # Errors
///
/// As [`learn_numbers`], and those of the folder.
pub(super) async fn bring_home(
    feed: &Feed,
    host: &str,
    connection: &mut Connection,
) -> Result<(), PushError> {
    for (path, row) in served(feed, host, connection).await? {
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
            tracing::error!(host.name = host, file.path = path, "outer host lists a CRL and does not serve it as listed");
            continue;
        };
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

/// The manifest of the host; empty where it serves no list.
async fn served(
    feed: &Feed,
    host: &str,
    connection: &mut Connection,
) -> Result<BTreeMap<String, PublishedCrl>, PushError> {
    let path = PublicationPath::CrlManifest;
    let bytes = connection.get(&format!("publish/{path}"), path.max_octets()).await?;
    let Some(bytes) = bytes else { return Ok(BTreeMap::new()) };
    let place = PathBuf::from(format!("{host}:{path}"));
    feed.lists.rows_of(&bytes, &place).map_err(PushError::ForeignManifest)
}
