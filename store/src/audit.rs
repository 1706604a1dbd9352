//! What goes into the audit log with every act.

use std::fmt;

use crate::interim::audit::AuditEvent;
use crate::sealing::Subject;

/// An act's audit record. The store adds the log time and a random salt, commits to the payload in
/// the leaf, seals salt and payload, and writes all of it in the act's own transaction (AUD-02).
#[derive(Clone)]
pub struct AuditRecord {
    /// The leaf without what the store adds; no personal data.
    pub event: AuditEvent,
    /// What happened in full, as bytes: may hold personal data, is never re-serialised.
    pub payload: Vec<u8>,
    /// Under whose data key the payload is sealed.
    pub subject: Subject,
}

impl fmt::Debug for AuditRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditRecord").field("event", &self.event).finish_non_exhaustive()
    }
}
