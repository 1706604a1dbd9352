//! The keys that clients may come with: the configured ones, and what was renewed from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError, RwLock};

use ca::client::{self, RenewedKey, Standing};
use store::{ManagementCertificate, ManagementHolder};
use x509::key::SpkiHash;
use x509::time::UnixTime;

/// The keys of the configured clients.
#[derive(Debug, Default)]
pub(crate) struct ClientKeys {
    /// By the client's name.
    pinned: BTreeMap<String, SpkiHash>,
    renewed: RwLock<BTreeMap<String, Vec<RenewedKey>>>,
    /// Keys that clients have come with since they were certified.
    used: Mutex<BTreeSet<SpkiHash>>,
    /// The latest end of a certificate that each client has come with or was given.
    ends: Mutex<BTreeMap<String, UnixTime>>,
}

impl ClientKeys {
    /// Begins with the configured keys.
    pub(crate) fn new(pinned: BTreeMap<String, SpkiHash>) -> Self {
        Self { pinned, ..Self::default() }
    }

    /// The configured key of a client.
    pub(crate) fn pinned(&self, name: &str) -> Option<SpkiHash> {
        self.pinned.get(name).copied()
    }

    /// Whether the configuration names this key.
    pub(crate) fn is_pinned(&self, key: &SpkiHash) -> bool {
        self.pinned.values().any(|pinned| pinned == key)
    }

    /// Accepts the key of a management certificate that was recorded.
    pub(crate) fn take_renewed(&self, certificate: &ManagementCertificate) {
        let ManagementHolder::Client { pinned } = certificate.holder else { return };
        let key = RenewedKey { key: certificate.key, pinned, issued: certificate.issued };
        let mut renewed = self.renewed.write().unwrap_or_else(PoisonError::into_inner);
        renewed.entry(certificate.name.clone()).or_default().push(key);
        drop(renewed);
        if self.pinned(&certificate.name) == Some(pinned) {
            self.note_end(&certificate.name, certificate.not_after);
        }
    }

    /// Accepts the key of a certificate that was recorded before this start. It counts as used: whether
    /// it was is not recorded, and in doubt the key before it does not renew.
    pub(crate) fn take_stored(&self, certificate: &ManagementCertificate) {
        self.take_renewed(certificate);
        self.note_use(certificate.key);
    }

    /// Notes that a client has come with this key.
    pub(crate) fn note_use(&self, key: SpkiHash) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    /// Whether a client of this name may renew with this key.
    pub(crate) fn may_renew(&self, name: &str, found: SpkiHash) -> bool {
        let used = |key| self.used.lock().unwrap_or_else(PoisonError::into_inner).contains(&key);
        let renewed = self.renewed.read().unwrap_or_else(PoisonError::into_inner);
        let line = renewed.get(name).map(Vec::as_slice).unwrap_or_default();
        self.pinned(name).is_some_and(|pinned| client::may_renew(pinned, line, found, used))
    }

    /// When a client may renew again, if it has renewed too often.
    pub(crate) fn renewals_spent(&self, name: &str, now: UnixTime) -> Option<UnixTime> {
        let renewed = self.renewed.read().unwrap_or_else(PoisonError::into_inner);
        let line = renewed.get(name).map(Vec::as_slice).unwrap_or_default();
        client::renewals_spent(self.pinned(name)?, line, now)
    }

    /// How a key stands that a client of this name comes with.
    pub(crate) fn standing(&self, name: &str, found: SpkiHash, now: UnixTime) -> Standing {
        let Some(pinned) = self.pinned(name) else { return Standing::Unknown };
        let renewed = self.renewed.read().unwrap_or_else(PoisonError::into_inner);
        let line = renewed.get(name).map(Vec::as_slice).unwrap_or_default();
        client::standing(pinned, line, found, now)
    }

    /// Notes the end of a certificate that a client has come with.
    pub(crate) fn note_end(&self, name: &str, end: UnixTime) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = ends.entry(name.to_owned()).or_insert(end);
        *latest = end.max(*latest);
    }

    /// Until when each client has a certificate, as far as it has been seen.
    pub(crate) fn ends(&self) -> BTreeMap<String, UnixTime> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
