//! The portal's configuration, and who its administrators are.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use x509::certificate::Certificate;
use x509::key::{KeyType, PublicKey};
use x509::pem;

/// portal.toml. Paths are relative to its folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the portal listens: loopback alone.
    pub(crate) listen: SocketAddr,
    /// Folder of what it remembers.
    pub(crate) state: PathBuf,
    /// Origin of the card reader.
    pub(crate) reader: String,
    pub(crate) ca: CaFiles,
    #[serde(rename = "administrator")]
    pub(crate) administrators: Vec<AdministratorFile>,
}

/// The CA, and who the portal is there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CaFiles {
    pub(crate) url: String,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) management_ca: PathBuf,
}

/// Somebody who works with the portal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AdministratorFile {
    pub(crate) name: String,
    pub(crate) hsa_id: String,
    /// Number of his card, in the reader.
    pub(crate) card: String,
    /// Certificate of his eID, PEM.
    pub(crate) certificate: PathBuf,
    /// The role that the portal has given him, and `confidentiality` where he has that too.
    pub(crate) roles: Vec<String>,
    /// Id of the organisation that the role is on, of roles that are on one.
    #[serde(default)]
    pub(crate) organisation: Option<String>,
}

/// The same with the certificate read.
#[derive(Clone, Debug)]
pub(crate) struct Administrator {
    pub(crate) said: AdministratorFile,
    /// SHA-256 of the certificate, by which statements name it.
    pub(crate) fingerprint: [u8; 32],
    pub(crate) key: PublicKey,
}

impl Config {
    /// Reads the file; its paths are made absolute.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut config: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let ca = &mut config.ca;
        for path in [&mut config.state, &mut ca.certificate, &mut ca.key, &mut ca.management_ca] {
            *path = folder.join(&path);
        }
        for one in &mut config.administrators {
            one.certificate = folder.join(&one.certificate);
        }
        config.reader = config.reader.trim_end_matches('/').to_owned();
        ensure!(!config.administrators.is_empty(), "{} names no administrator", path.display());
        Ok(config)
    }

    /// Its administrators, with their certificates.
    pub(crate) fn administrators(&self) -> anyhow::Result<Vec<Administrator>> {
        self.administrators.iter().cloned().map(Administrator::read).collect()
    }
}

impl Administrator {
    fn read(said: AdministratorFile) -> anyhow::Result<Self> {
        let certificate = certificate(&said.certificate)?;
        if certificate.public_key().key_type() != KeyType::EcP256 {
            bail!("{}: the cards of the reader have keys on P-256", said.certificate.display());
        }
        Ok(Self {
            said,
            fingerprint: certificate.fingerprint(),
            key: certificate.public_key().clone(),
        })
    }
}

/// The first certificate of a PEM file.
pub(crate) fn certificate(path: &Path) -> anyhow::Result<Certificate> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let blocks = pem::decode(&text).with_context(|| path.display().to_string())?;
    let (_, der) =
        blocks.into_iter().next().with_context(|| format!("{} is empty", path.display()))?;
    Certificate::from_der(&der).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The annotated example is what the program reads.
    #[test]
    fn the_example_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("portal.toml");

        let config = Config::read(&path).unwrap();

        assert_eq!(config.administrators.len(), 3);
        assert!(config.ca.key.starts_with(path.parent().unwrap()));
        assert_eq!(config.reader, "http://127.0.0.1:18701");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portal.toml");
        fs::write(&path, "listne = \"127.0.0.1:1\"").unwrap();

        let error = format!("{:#}", Config::read(&path).unwrap_err());

        assert!(error.contains("listne"), "{error}");
    }
}
