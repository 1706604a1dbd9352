//! Profiles under which nothing is issued until an operator has done something. Whatever closes one, revocation,
//! CRLs, answers and the other profiles go on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ca::profile::ProfileKind;
use ca::refusal::Refusal;
use store::AuditRecord;

use super::Service;
use crate::denied::{Denied, Kind};
use crate::publication::chain;

/// The closed profiles by name, each with what is told to whoever orders under it.
#[derive(Debug, Default)]
pub(crate) struct ClosedProfiles(Mutex<BTreeMap<String, Refusal>>);

impl ClosedProfiles {
    /// Those that are closed from the start.
    pub(crate) fn of(closed: impl Iterator<Item = (String, Refusal)>) -> Self {
        Self(Mutex::new(closed.collect()))
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Refuses what would be issued under a closed profile.
    ///
    /// # Errors
    ///
    /// Why it is closed. It may be open later: the refusal is not final.
    pub(crate) fn must_be_open(&self, profile: &str) -> Result<(), Denied> {
        match self.lock().get(profile) {
            Some(why) => Err(Denied::new(Kind::Unavailable, why.clone())),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// Closes a profile, and says so in log, readiness and metrics. The delegates of responders and the
    /// API's own certificates are issued all the same: without them nobody could revoke, or hear of it.
    pub(crate) fn close(&self, profile: &str, kind: ProfileKind, why: Refusal) {
        if kind == ProfileKind::OcspResponder || kind.is_management() {
            tracing::error!(problem.code = why.code, profile, "still issued under: {why}");
            return;
        }
        tracing::error!(problem.code = why.code, profile, "profile is closed: {why}");
        self.closed.lock().entry(profile.to_owned()).or_insert(why);
        self.readiness.tell_closed(self.closed.names());
    }

    /// Puts into the audit log what closed profiles at a start. They are closed without their leaf too: a
    /// start that ended here could not revoke.
    pub(crate) fn note_closed(&self, leaf: &AuditRecord) {
        let now = self.clock().read().now;
        if let Err(error) = self.store().record_audit(leaf, now) {
            tracing::error!(error = %chain(&error), "closed profiles are not in the audit log");
        }
    }
}
