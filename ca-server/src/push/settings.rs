//! The section `[push]` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use ca::day::Day;
use serde::Deserialize;
use x509::key::SpkiHash;
use x509::time::UnixTime;

use crate::start::Told;

/// The outer hosts; without this section something else carries the publication folder and the outbox.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PushSection {
    /// Certificate that says who pushes, PEM; the outer hosts pin its key.
    pub(crate) certificate: PathBuf,
    /// Its private key, PKCS#8 PEM, mode 0600.
    pub(crate) key: PathBuf,
    /// The hosts.
    #[serde(rename = "host")]
    pub(crate) hosts: Vec<HostSection>,
}

/// One outer host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HostSection {
    /// Short name, a-z0-9 and `-`, in logs, metrics and the outbox.
    pub(crate) name: String,
    /// Host and port of its receiver.
    pub(crate) address: String,
    /// SHA-256 of the SubjectPublicKeyInfo of its receiver; two while it changes its key.
    pub(crate) keys: Vec<String>,
    /// Seconds after which a host that has not the last checkpoint is told of as behind.
    #[serde(default = "default_behind_after")]
    pub(crate) behind_after: u64,
    /// Until the end of this day (UTC) it is not waited for: issuing goes on although the host has not been
    /// read back since the start.
    pub(crate) read_back_waived_until: Option<Day>,
}

const fn default_behind_after() -> u64 {
    10
}

impl HostSection {
    pub(crate) const fn behind_after(&self) -> Duration {
        Duration::from_secs(self.behind_after)
    }

    /// The pinned keys.
    ///
    /// # Errors
    ///
    /// Names the host and what is wrong with it.
    pub(crate) fn pins(&self) -> Result<Vec<SpkiHash>, Told> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let Self { name, address, keys, .. } = self;
        if !(1..=32).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(Told::config(format!(
                "[[push.host]] name is {name:?}: 1 to 32 of a-z0-9-"
            )));
        }
        if self.host().is_none() {
            let found = format!("[[push.host]] {name}: address is {address:?}, wanted host:port");
            return Err(Told::config(found));
        }
        if !(1..=4).contains(&keys.len()) {
            let found = format!("[[push.host]] {name} has {} keys, wanted 1 to 4", keys.len());
            return Err(Told::config(found));
        }
        let pin = |digits: &String| {
            digits.parse().map_err(|_| {
                Told::config(format!("[[push.host]] {name}: key {digits:?} is no SHA-256"))
            })
        };
        keys.iter().map(pin).collect()
    }

    /// The host's name or address, without the port.
    pub(crate) fn host(&self) -> Option<&str> {
        let (host, port) = self.address.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        (!host.is_empty()).then_some(host)
    }

    /// Whether issuing waits for this host's read-back at `now`.
    pub(crate) fn is_waited_for(&self, now: UnixTime) -> bool {
        self.read_back_waived_until.is_none_or(|day| now >= day.end())
    }
}
