//! A database that is read without its lock, beside a program that may have it open.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ca::deployment::Deployment;
use rusqlite::OpenFlags;

use super::{BUSY, SqliteStore};
use crate::StoreError;
use crate::activation::ActivatedConfiguration;
use crate::profile::RecordedProfile;
use crate::sealing::KeySource;
use crate::sql::activations::newest_beside;
use crate::sql::connection::Connection;
use crate::sql::profiles::versions_beside;

impl SqliteStore {
    /// The versions of profiles that were used, from a database that a program may be serving by: it is neither
    /// locked nor changed. None of a database that was made before versions were kept, or that holds nothing yet.
    ///
    /// # Errors
    ///
    /// All for which [`Self::open`] would refuse the database, but for the lock: [`StoreError::NotInitialised`],
    /// [`StoreError::Deployment`], [`StoreError::WrongSealingKeys`], [`StoreError::SchemaNewer`],
    /// [`StoreError::SchemaChanged`], storage errors.
    pub fn profile_versions_beside(
        path: &Path,
        deployment: Deployment,
        keys: &dyn KeySource,
    ) -> Result<Vec<RecordedProfile>, StoreError> {
        let snapshot = Connection::Sqlite(opened(path)?);
        versions_beside(&snapshot, &path.display().to_string(), deployment, keys)
    }

    /// The configuration that was activated last, as [`Self::profile_versions_beside`] reads versions.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn activated_configuration_beside(
        path: &Path,
        deployment: Deployment,
        keys: &dyn KeySource,
    ) -> Result<Option<ActivatedConfiguration>, StoreError> {
        let snapshot = Connection::Sqlite(opened(path)?);
        newest_beside(&snapshot, &path.display().to_string(), deployment, keys)
    }
}

/// Opens a database to read it. Without a write-ahead log nobody writes to it, and it is read as it lies there: a
/// reader of the other kind would leave an empty log and its index behind, as files of its own user.
fn opened(path: &Path) -> Result<rusqlite::Connection, StoreError> {
    let log = beside(path, "-wal");
    let how = if log.exists() { "mode=ro" } else { "immutable=1" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(format!("{}?{how}", uri(path)), flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// RFC 3986 §2.1: whatever a path may hold that a URI gives a meaning to.
fn uri(path: &Path) -> String {
    path.as_os_str().as_bytes().iter().fold("file:".to_owned(), |mut uri, octet| {
        match octet {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*octet));
            }
            // Writing to a string fails never.
            _ => drop(write!(uri, "%{octet:02x}")),
        }
        uri
    })
}
