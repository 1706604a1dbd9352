//! The eID by which the holder of an ordered certificate proved himself: looked up where it was issued (ISS-20).
//!
//! It is judged three times. Admission judges everything about it, by what one read of the store says. The act that
//! records the intent asks for its state again, and so does the act that records the certificate: both stand in the
//! log that revocations stand in. So a certificate that is recorded rests on an eID that held at that position; a
//! revocation before it wins, also over a signature that was made meanwhile, which is voided. A revocation after it ends the eID alone:
//! what was issued by it is revoked for a reason of its own, and the audit log says what rests on what (`proven_by`).

use ca::eid::{EidHolder, EidName, EidState, KnownEid};
use ca::key_holder::HolderName;
use ca::order::Order;
use store::{CertificateId, CertificateLookup, CertificateRow};

use super::Service;
use crate::denied::Denied;

impl Service {
    /// What is known of the eID that an order names, and the id of its certificate; `None` where it names none, or
    /// none of this CA.
    pub(super) fn proving_eid(
        &self,
        order: Option<&Order>,
    ) -> Result<Option<(KnownEid, CertificateId)>, Denied> {
        let named = order.and_then(|order| Some((order, order.eid.as_ref()?)));
        let Some((order, name)) = named else { return Ok(None) };
        let lookup = match name {
            EidName::Fingerprint(sha256) => CertificateLookup::Fingerprint(*sha256),
            EidName::Serial(authority, serial) => match self.authorities.get(authority) {
                Some(authority) => CertificateLookup::Serial(authority.id, *serial),
                None => return Ok(None),
            },
        };
        let found = self.store().certificate(&lookup).map_err(|e| self.note_storage(&e))?;
        let Some(row) = found.map(|record| record.row) else { return Ok(None) };
        let person = HolderName::of_identity(&order.identity);
        let holder = self.store().eid_holder(row.id, &person).map_err(|e| self.note_storage(&e))?;
        Ok(Some((known(&row, holder), row.id)))
    }
}

/// What the row of its certificate says of an eID.
pub(super) fn known(row: &CertificateRow, holder: EidHolder) -> KnownEid {
    KnownEid {
        profile: row.profile.as_ref().and_then(|profile| profile.name.parse().ok()),
        policy: row.policy.as_ref().and_then(|policy| policy.parse().ok()),
        not_before: row.not_before,
        not_after: row.not_after,
        state: EidState::of(&row.status.status),
        since: row.status.status.effective_time,
        holder,
    }
}
