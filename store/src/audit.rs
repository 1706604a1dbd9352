//! What goes into the audit log with every act.

use std::fmt;

use aws_lc_rs::rand;
use ca::audit::{AuditEvent, AuditLeaf, ObjectId, ObjectIds, PayloadCommitment};
use status::Position;
use x509::time::UnixTime;

use crate::StoreError;
use crate::sealing::Subject;

const SALT: usize = 32;

/// An act's audit record. The store adds the log time and a random salt, commits to the payload in
/// the leaf, seals salt and payload, and writes all of it in the act's own transaction (AUD-02). The
/// position of the act's status entry is added to the leaf's objects where the act wrote one.
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

/// A leaf and what it commits to.
pub(crate) struct Written {
    pub(crate) leaf: Vec<u8>,
    /// The salt, then the payload.
    pub(crate) salted: Vec<u8>,
}

impl AuditRecord {
    /// The leaf at `time`, about the status entry at `entry` too if there is room.
    pub(crate) fn write(
        &self,
        time: UnixTime,
        entry: Option<Position>,
    ) -> Result<Written, StoreError> {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).map_err(|_| StoreError::Random)?;
        let mut event = self.event.clone();
        if let Some(entry) = entry {
            let about = event.objects.iter().chain([ObjectId::StatusEntry(entry)]);
            event.objects = ObjectIds::new(about).unwrap_or(event.objects);
        }
        let payload = PayloadCommitment::new(&salt, &self.payload);
        let leaf = AuditLeaf { time, event, payload }.encode();
        Ok(Written { leaf, salted: [&salt, self.payload.as_slice()].concat() })
    }
}

/// The payload in `salted`, if it is what `leaf` commits to.
pub(crate) fn payload_of(leaf: &[u8], salted: &[u8]) -> Option<Vec<u8>> {
    let leaf = AuditLeaf::decode(leaf).ok()?;
    let (salt, payload) = salted.split_first_chunk::<SALT>()?;
    (PayloadCommitment::new(salt, payload) == leaf.payload).then(|| payload.to_vec())
}
