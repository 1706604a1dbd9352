//! Where the database is: a file of SQLite, or a server of PostgreSQL that several nodes share.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use ca::deployment::Deployment;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use store::{
    ActivatedConfiguration, FileKeySource, KeySource as _, PostgresServer, PostgresStore,
    RecordedProfile, SqliteStore, Store, StoreError,
};
use x509::time::UnixTime;
use zeroize::Zeroizing;

use crate::http::tls::{TlsError, must_be_private};
use crate::start::Told;

/// The database and the keys of its sealed columns.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DatabaseSection {
    /// SQLite file. It must exist: `sigill-ca import` makes it.
    pub(crate) path: Option<PathBuf>,
    /// PostgreSQL in place of the file.
    pub(crate) postgresql: Option<PostgresqlSection>,
    /// File of the sealing keys (master and index key), mode 0600. Made together with the database;
    /// losing it is losing every sealed field. Nodes that share a database have the same.
    pub(crate) sealing_keys: PathBuf,
}

/// A database of a PostgreSQL server. It must exist and be empty; `sigill-ca import` makes its tables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PostgresqlSection {
    /// Folder of the server's socket, which begins with `/`, or name or address of its host.
    pub(crate) host: String,
    #[serde(default = "default_port")]
    pub(crate) port: u16,
    /// Name of the database.
    pub(crate) database: String,
    /// Who logs in, and owns the tables.
    pub(crate) user: String,
    /// File of the password (`scram-sha-256`), mode 0600; without one the server knows the user otherwise (`peer`, or the certificate).
    pub(crate) password: Option<PathBuf>,
    /// Certificate of the CA, PEM, that alone vouches for the server under the name in `host`. A host that is not this machine needs it.
    pub(crate) ca: Option<PathBuf>,
    /// Certificate that logs the user in, PEM.
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key, PKCS#8 PEM, mode 0600.
    pub(crate) key: Option<PathBuf>,
}

fn default_port() -> u16 {
    5432
}

impl DatabaseSection {
    /// Every path in the section.
    pub(crate) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let server = self.postgresql.iter_mut().flat_map(|section| {
            let PostgresqlSection { password, ca, certificate, key, .. } = section;
            password.iter_mut().chain(ca).chain(certificate).chain(key)
        });
        self.path.iter_mut().chain(server).chain([&mut self.sealing_keys])
    }

    /// The folder that is the program's own beside the database: the file's, or where the sealing keys lie.
    pub(crate) fn own_folder(&self) -> &Path {
        let beside = self.path.as_deref().unwrap_or(&self.sealing_keys);
        beside.parent().unwrap_or(Path::new(""))
    }

    /// Reads what leads to the database.
    ///
    /// # Errors
    ///
    /// Names the key of the section, or the file, that cannot be used.
    pub(crate) fn place(&self) -> anyhow::Result<DatabasePlace<'_>> {
        match (&self.path, &self.postgresql) {
            (Some(path), None) => Ok(DatabasePlace::File(path)),
            (None, Some(section)) => Ok(DatabasePlace::Server(Box::new(section.server()?))),
            _ => Err(Told::config(
                "section [database] has one of `path` and `postgresql`, and not both",
            )
            .into()),
        }
    }

    fn keys(&self) -> FileKeySource {
        FileKeySource::new(&self.sealing_keys)
    }
}

impl PostgresqlSection {
    fn server(&self) -> anyhow::Result<PostgresServer> {
        let Self { host, database, user, .. } = self;
        let server = if host.starts_with('/') {
            ensure!(
                self.ca.is_none() && self.certificate.is_none(),
                Told::config(
                    "[database.postgresql] host is a folder; `ca` and `certificate` are for hosts"
                )
            );
            PostgresServer::at_socket(host.into(), database, user)
        } else {
            let server = PostgresServer::at_host(host, database, user);
            match self.tls()? {
                Some(config) => server.with_tls(config, self.server_name()?),
                None => server,
            }
        };
        let server = server.with_port(self.port);
        Ok(match &self.password {
            Some(path) => server.with_password(password(path)?),
            None => server,
        })
    }

    fn server_name(&self) -> Result<ServerName<'static>, Told> {
        let Self { host, .. } = self;
        ServerName::try_from(host.clone()).map_err(|_| {
            Told::config(format!(
                "[database.postgresql] host = {host:?} is no folder, name or address"
            ))
        })
    }

    /// `None` where the connection does not leave the machine and nobody asks for more.
    fn tls(&self) -> anyhow::Result<Option<Arc<ClientConfig>>> {
        let Some(ca) = &self.ca else {
            let here = matches!(&self.server_name()?, ServerName::IpAddress(address)
                if std::net::IpAddr::from(*address).is_loopback());
            ensure!(
                here && self.certificate.is_none() && self.key.is_none(),
                Told::config(format!(
                    "[database.postgresql] host = {:?} is spoken to over TLS only: name the server's CA in `ca`",
                    self.host
                ))
            );
            return Ok(None);
        };
        let pem = |path: &Path| {
            let path = path.to_path_buf();
            move |source| TlsError::Pem { path, source }
        };
        let unusable = |source| TlsError::Rustls { path: ca.clone(), source };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).map_err(pem(ca))?).map_err(unusable)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
        let config = match (&self.certificate, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let chain = CertificateDer::pem_file_iter(certificate)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(pem(certificate))?;
                must_be_private(key)?;
                let private = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|source| TlsError::Rustls { path: certificate.clone(), source })?
            }
            _ => {
                return Err(Told::config(
                    "[database.postgresql] `certificate` and `key` go together",
                )
                .into());
            }
        };
        Ok(Some(Arc::new(config)))
    }
}

/// The password in a file, which ends at the end of its first line.
fn password(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    must_be_private(path)?;
    let read = std::fs::read(path)
        .map_err(|source| TlsError::Read { path: path.to_path_buf(), source })?;
    let read = Zeroizing::new(read);
    let line = read.split(|octet| matches!(octet, b'\n' | b'\r')).next().unwrap_or_default();
    ensure!(
        !line.is_empty() && line.len() <= LONGEST_PASSWORD,
        Told::config(format!(
            "{} holds no password of 1 to {LONGEST_PASSWORD} octets on its first line",
            path.display()
        ))
    );
    Ok(Zeroizing::new(line.to_vec()))
}

/// What a server takes at most for a password.
const LONGEST_PASSWORD: usize = 1024;

/// Whether a missing database is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Create {
    IfMissing,
    Never,
}

/// Where the database is.
pub(crate) enum DatabasePlace<'s> {
    File(&'s Path),
    Server(Box<PostgresServer>),
}

impl fmt::Display for DatabasePlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(server) => server.fmt(f),
        }
    }
}

impl DatabasePlace<'_> {
    /// Whether nothing has been made there yet.
    ///
    /// # Errors
    ///
    /// The server's, where there is one.
    pub(crate) fn is_empty(&self) -> Result<bool, StoreError> {
        match self {
            Self::File(path) => Ok(!path.exists()),
            Self::Server(server) => server.is_empty(),
        }
    }
}

/// Opens the database, which must be of this deployment.
///
/// # Errors
///
/// The store's own, with the place.
pub(crate) fn open(
    section: &DatabaseSection,
    deployment: Deployment,
    create: Create,
    now: UnixTime,
) -> anyhow::Result<Arc<dyn Store>> {
    let place = section.place()?;
    opened(section, &place, deployment, create, now).map_err(|error| {
        let place = place.to_string();
        let named = error.to_string().contains(&place);
        let error = anyhow::Error::new(error);
        if named { error } else { error.context(format!("database {place}")) }
    })
}

fn opened(
    section: &DatabaseSection,
    place: &DatabasePlace<'_>,
    deployment: Deployment,
    create: Create,
    now: UnixTime,
) -> Result<Arc<dyn Store>, StoreError> {
    let keys = match create {
        // Keys are made for a database that is made: those of one that exists are put back from where they are kept.
        Create::IfMissing if !section.sealing_keys.exists() && place.is_empty()? => {
            FileKeySource::create(&section.sealing_keys).map_err(StoreError::Keys)?
        }
        Create::IfMissing | Create::Never => section.keys(),
    };
    Ok(match (place, create) {
        (DatabasePlace::File(path), Create::IfMissing) => {
            Arc::new(SqliteStore::open_or_create(path, deployment, &keys, now)?)
        }
        (DatabasePlace::File(path), Create::Never) => {
            Arc::new(SqliteStore::open(path, deployment, &keys, now)?)
        }
        (DatabasePlace::Server(server), Create::IfMissing) => {
            Arc::new(PostgresStore::open_or_create(server, deployment, &keys, now)?)
        }
        (DatabasePlace::Server(server), Create::Never) => {
            Arc::new(PostgresStore::open(server, deployment, &keys, now)?)
        }
    })
}

/// The versions of profiles that a program used with this database, which is not changed; a program may be serving
/// by it. None where there is no database yet.
///
/// # Errors
///
/// All for which the database could not be opened.
pub(crate) fn profile_versions(
    section: &DatabaseSection,
    deployment: Deployment,
) -> anyhow::Result<Vec<RecordedProfile>> {
    let place = section.place()?;
    let keys = section.keys();
    if place.is_empty().with_context(|| format!("database {place}"))? {
        // `import` makes both where there is neither.
        if section.sealing_keys.exists() {
            keys.sealing_keys().map_err(StoreError::Keys)?;
        }
        return Ok(Vec::new());
    }
    Ok(match &place {
        DatabasePlace::File(path) => SqliteStore::profile_versions_beside(path, deployment, &keys)?,
        DatabasePlace::Server(server) => {
            PostgresStore::profile_versions_beside(server, deployment, &keys)
                .with_context(|| format!("database {place}"))?
        }
    })
}

/// The configuration that was activated last, from the database, which is not changed; a program may be serving by it. None where there is no database
/// yet.
///
/// # Errors
///
/// All for which the database could not be opened.
pub(crate) fn activated(
    section: &DatabaseSection,
    deployment: Deployment,
) -> anyhow::Result<Option<ActivatedConfiguration>> {
    let place = section.place()?;
    let keys = section.keys();
    if place.is_empty().with_context(|| format!("database {place}"))? {
        return Ok(None);
    }
    Ok(match &place {
        DatabasePlace::File(path) => {
            SqliteStore::activated_configuration_beside(path, deployment, &keys)?
        }
        DatabasePlace::Server(server) => {
            PostgresStore::activated_configuration_beside(server, deployment, &keys)
                .with_context(|| format!("database {place}"))?
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn section(text: &str) -> DatabaseSection {
        toml::from_str(&format!("sealing-keys = \"keys\"\n{text}")).unwrap()
    }

    fn refusal(text: &str) -> String {
        let section = section(text);
        match section.place() {
            Ok(place) => panic!("{text} is taken as {place}"),
            Err(error) => crate::start::line(&error),
        }
    }

    #[test]
    fn reads_the_annotated_example() {
        let example =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../environments/demo/database-postgresql.toml");
        let text = std::fs::read_to_string(example).unwrap();
        let table: toml::Table = toml::from_str(&text).unwrap();
        let section: DatabaseSection = table["database"].clone().try_into().unwrap();
        let server = section.postgresql.unwrap();

        assert_eq!(server.port, default_port());
        assert!(section.path.is_none() && server.ca.is_some() && server.password.is_some());
        for key in ["certificate", "key"] {
            assert!(text.contains(&format!("# {key} ")), "the example shows {key}");
        }
    }

    #[test]
    fn a_database_is_in_one_place() {
        let both = "path = \"x\"\n[postgresql]\nhost = \"/run\"\ndatabase = \"d\"\nuser = \"u\"";

        for text in ["", both] {
            assert!(refusal(text).starts_with("config-value: "), "{text}");
        }
        assert_eq!(section("path = \"x\"").place().unwrap().to_string(), "x");
    }

    /// API-01 in its own house: a password and personal data leave the machine over TLS or not at all.
    #[test]
    fn another_host_is_spoken_to_over_tls_only() {
        let at = |host: &str| {
            format!("[postgresql]\nhost = \"{host}\"\ndatabase = \"d\"\nuser = \"u\"\n")
        };

        for host in ["db.example", "192.0.2.1", "localhost", "no host"] {
            let line = refusal(&at(host));
            assert!(line.starts_with("config-value: ") && line.contains(host), "{line}");
        }
        let half = format!("{}ca = \"ca.pem\"\n", at("/run/postgresql"));
        assert!(refusal(&half).contains("`ca` and `certificate` are for hosts"));
        for (host, said) in [
            ("127.0.0.1", "d of u at 127.0.0.1, port 5432"),
            ("/run/postgresql", "d of u at /run/postgresql, port 5432"),
        ] {
            assert_eq!(section(&at(host)).place().unwrap().to_string(), said);
        }
    }

    #[test]
    fn a_password_is_its_owners_alone_and_on_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let with = |content: &str, mode: u32| {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            password(&path).map_err(|error| crate::start::line(&error))
        };

        assert_eq!(with("hunter2\n", 0o600).unwrap().as_slice(), b"hunter2");
        assert!(with("hunter2\n", 0o640).unwrap_err().starts_with("secret-file-mode: "));
        let empty = with("\nhunter2", 0o600).unwrap_err();
        assert!(empty.starts_with("config-value: ") && !empty.contains("hunter"), "{empty}");
    }
}
