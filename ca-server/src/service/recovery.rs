//! What happens before anything is signed: the published log is heard, and what a crash left open
//! is ended.

use ca::audit::{EventCode, EventResult, ObjectIds};
use serde_json::json;
use store::{
    LeaseName, LeaseOutcome, ManagementScope, PublishedHead, Store, Subject, VoidScope,
    VoidedIntent,
};

use super::Service;
use crate::denied::Denied;

/// Why an intent was voided.
const RESTARTED: &str = "its node started again";
const LEASE_ENDED: &str = "the lease of its node ended";
const FAILED_TOO_LONG: &str = "signing failed for 60 s";
const GIVEN_UP: &str = "its caller came again";

impl Service {
    /// Takes the node's lease, voids what earlier starts left open, and records the start.
    ///
    /// Called once, after the published log was compared and before anything is signed.
    pub(crate) fn recover(&self) -> Result<(), Denied> {
        let now = self.clock().read().now;
        self.renew_node_lease()?;
        let voided = self
            .store()
            .void_intents(
                &VoidScope::EarlierBoots(self.node.clone()),
                &|intent| self.void_record(intent, RESTARTED),
                now,
            )
            .map_err(|e| self.note_storage(&e))?;
        self.tell_voided(&voided, RESTARTED);
        if let Some(authority) = self.management.as_ref().and_then(|plane| plane.authority.as_ref())
        {
            let earlier = ManagementScope::EarlierBoots(self.node.clone());
            authority.give_up(self.store(), &earlier, now);
        }
        let record = Self::record(
            EventCode::ServerStarted,
            EventResult::Done,
            self.system(),
            ObjectIds::default(),
            None,
            &json!({
                "node": self.node.name,
                "version": env!("CARGO_PKG_VERSION"),
                "voided": voided.len(),
            }),
            Subject::Deployment,
        );
        self.store().record_audit(&record, now).map(|_| ()).map_err(|e| self.note_storage(&e))
    }

    /// Renews the node's lease; other nodes may void its intents once it has ended.
    pub(crate) fn renew_node_lease(&self) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let name = LeaseName::Node(self.node.name.clone());
        let outcome =
            self.store().lease(&name, &self.node, now).map_err(|e| self.note_storage(&e))?;
        // The database has just taken an act: reading alone would not tell (a full disk reads well).
        self.readiness.storing.store(true, std::sync::atomic::Ordering::Relaxed);
        match outcome {
            LeaseOutcome::Held { .. } => Ok(()),
            LeaseOutcome::Taken { by, until } => {
                Err(super::record::node_name_taken(&by.name, until))
            }
        }
    }

    /// Voids intents of nodes that are gone and of signings that have failed for 60 s.
    pub(crate) fn void_stale_intents(&self) -> Result<(), Denied> {
        // A program that stood still, or whose disk did, finds its own lease lapsed. It has it again before
        // it judges others by theirs; one whose name a later start has taken voids nothing any more.
        self.renew_node_lease()?;
        let now = self.clock().read().now;
        let scopes = [
            (VoidScope::EndedLeases(self.node.clone()), LEASE_ENDED),
            (VoidScope::Failing(self.node.clone()), FAILED_TOO_LONG),
        ];
        for (scope, why) in scopes {
            let voided = self
                .store()
                .void_intents(&scope, &|intent| self.void_record(intent, why), now)
                .map_err(|e| self.note_storage(&e))?;
            self.tell_voided(&voided, why);
        }
        Ok(())
    }

    /// Voids one intent whose order goes on with another.
    pub(crate) fn void_intent(&self, intent: x509::signing::IntentId) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let voided = self
            .store()
            .void_intents(
                &VoidScope::Intent(intent),
                &|intent| self.void_record(intent, GIVEN_UP),
                now,
            )
            .map_err(|e| self.note_storage(&e))?;
        self.tell_voided(&voided, GIVEN_UP);
        Ok(())
    }

    fn tell_voided(&self, voided: &[VoidedIntent], why: &'static str) {
        for intent in voided {
            let Some(certificate) = &intent.certificate else {
                tracing::warn!(intent.id = %intent.intent, "CRL intent given up: {why}");
                continue;
            };
            tracing::warn!(
                certificate.id = %certificate.id,
                certificate.serial = %certificate.serial,
                order.id = %certificate.order,
                "intent voided: {why}; its serial is revoked and on the CRL, the order stays open"
            );
            if let Ok(authority) = self.authority_of(certificate.issuer) {
                authority.ask_for_crl();
            }
            metrics::counter!("sigill_intents_voided_total").increment(1);
        }
        if !voided.is_empty() {
            self.publication.wake();
        }
    }
}

/// Compares the database with the checkpoint that was found published.
///
/// # Errors
///
/// The store's own: older than the published log, or another log. Nothing may be signed then.
pub(crate) fn compare(
    store: &dyn Store,
    published: Option<&ledger::checkpoint::CheckpointNote>,
) -> Result<(), store::StoreError> {
    let Some(note) = published else { return Ok(()) };
    let checkpoint = note.checkpoint();
    store.compare_with_published(&PublishedHead {
        epoch: checkpoint.origin.epoch,
        size: checkpoint.size,
        root: checkpoint.root,
    })
}

impl Service {
    /// Records that the program stops in good order, and gives the node's lease back.
    pub(crate) fn record_stop(&self) {
        let now = self.clock().read().now;
        let record = Self::record(
            EventCode::ServerStopped,
            EventResult::Done,
            self.system(),
            ObjectIds::default(),
            None,
            &json!({ "node": self.node.name }),
            Subject::Deployment,
        );
        let stopped = self.store().record_audit(&record, now).and_then(|_| {
            self.store().release_lease(&LeaseName::Node(self.node.name.clone()), &self.node)
        });
        if let Err(error) = stopped {
            tracing::warn!(error = %crate::publication::chain(&error), "the stop could not be recorded");
        }
    }

    /// Puts the store's numbers into the metrics.
    pub(crate) fn observe_counts(&self) -> Result<(), Denied> {
        let counts = self.store().counts().map_err(|e| self.note_storage(&e))?;
        let gauges = [
            ("issued", counts.issued),
            ("imported", counts.imported),
            ("revoked", counts.revoked),
            ("held", counts.held),
            ("voided", counts.voided),
            ("open_intents", counts.open_intents),
            ("open_orders", counts.open_orders),
            ("status_entries", counts.status_size),
            ("audit_leaves", counts.audit_size),
            ("database_bytes", counts.database_bytes),
        ];
        for (name, value) in gauges {
            metrics::gauge!("sigill_store", "what" => name).set(crate::publication::lossy(value));
        }
        Ok(())
    }
}
