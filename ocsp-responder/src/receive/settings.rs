//! The section `[receive]` of the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use x509::key::SpkiHash;

/// Where the inner zone pushes to; without this section something else carries the publication folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ReceiveSection {
    /// Address and port of the listener, for the inner zone alone.
    listen: SocketAddr,
    /// Certificate of the listener, PEM; the inner zone pins its key.
    certificate: PathBuf,
    /// Its private key, PKCS#8 PEM, mode 0600.
    key: PathBuf,
    /// SHA-256 of the SubjectPublicKeyInfo of those who push, 64 hexadecimal digits each.
    senders: Vec<String>,
    /// Octets that files may have together which no trusted checkpoint covers: tiles that came before theirs, and all
    /// that stands beside the log.
    #[serde(default = "default_most_unproven")]
    most_unproven: u64,
}

/// The first push of a log of thirty million entries, and the largest CRLs and answers of millions beside it.
pub(crate) const fn default_most_unproven() -> u64 {
    16 << 30
}

/// The checked section.
#[derive(Clone, Debug)]
pub(crate) struct Receive {
    pub(crate) listen: SocketAddr,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) senders: Vec<SpkiHash>,
    pub(crate) most_unproven: u64,
}

/// The most keys that may push: those of two nodes, each with a successor.
const MAX_SENDERS: usize = 8;

impl ReceiveSection {
    /// Checks the keys and makes the paths absolute.
    ///
    /// # Errors
    ///
    /// What was found where 64 hexadecimal digits, or 1 to 8 keys, are wanted.
    pub(crate) fn check(self, below: impl Fn(&PathBuf) -> PathBuf) -> Result<Receive, String> {
        let Self { listen, certificate, key, senders, most_unproven } = self;
        if !(1..=MAX_SENDERS).contains(&senders.len()) {
            return Err(format!("{} keys", senders.len()));
        }
        let senders = senders
            .into_iter()
            .map(|digits| digits.parse().map_err(|_| digits))
            .collect::<Result<_, _>>()?;
        let (certificate, key) = (below(&certificate), below(&key));
        Ok(Receive { listen, certificate, key, senders, most_unproven })
    }
}
