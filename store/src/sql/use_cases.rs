//! [`Store`] on SQLite: which use case reads a snapshot and which runs in the writer.

use std::ops::Range;

use ::crl::CrlNumber;
use ca::deployment::Deployment;
use status::{IssuerId, Position};
use x509::signing::{IntentId, Pending, Recorded, Signed};
use x509::time::UnixTime;

use super::certificates::NewlySigned;
use super::crls::SignedCrl;
use super::intents::{NewIntent, OpenIntent, Orders};
use super::management::{NewManagement, SignedManagement};
use super::{
    Backend, SqlStore, certificates, changes, clients, crls, group, import, intents, issuers,
    leases, logs, management, orders, outcomes, seals, takeover,
};
use crate::audit::AuditRecord;
use crate::certificate::{
    CertificateFilter, CertificateIntent, CertificateLookup, CertificatePage, CertificateRecord,
    Issued, IssuedCertificate, ListCursor, StatusChange, StatusChanged,
};
use crate::client::{Client, Responder};
use crate::contract::Store;
use crate::crl::{CrlIntent, CrlRow, CrlScope, RevokedSnapshot};
use crate::id::{Node, OrderId};
use crate::intent::{
    IntentBook, IntentNumber, IntentOutcome, IntentRow, SIGNING_TRIES_LAST, VoidScope, VoidedIntent,
};
use crate::issuer::{Import, Imported, IssuerRow};
use crate::lease::{LeaseName, LeaseOutcome};
use crate::log::{Counts, Log, LogEntry, LogHead, PublishedHead, SignedCheckpoint, TakenOver};
use crate::management::{
    ManagementCertificate, ManagementIntent, ManagementScope, OpenManagementIntent,
};
use crate::order::{BegunOrder, HeldOrder, NewOrder, OrderAnswer, OrderRow};
use crate::sealing::Subject;
use crate::{StoreError, recorder};

impl<B: Backend> Store for SqlStore<B> {
    fn deployment(&self) -> Deployment {
        self.deployment
    }

    fn begin_order(&self, order: &NewOrder, now: UnixTime) -> Result<BegunOrder, StoreError> {
        let order = order.clone();
        self.writer.run(move |act| orders::begin(act, &order, now))
    }

    fn finish_order(
        &self,
        order: HeldOrder,
        holder: &Node,
        answer: &OrderAnswer,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (holder, answer) = (holder.clone(), answer.clone());
        self.writer
            .run(move |act| orders::finish(act, orders::Holder::Call(order, &holder), &answer, now))
    }

    fn leave_order(
        &self,
        order: HeldOrder,
        holder: &Node,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let holder = holder.clone();
        self.writer.run(move |act| orders::leave(act, order, &holder, now))
    }

    fn record_refusal(
        &self,
        order: HeldOrder,
        holder: &Node,
        answer: &OrderAnswer,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (holder, answer, audit) = (holder.clone(), answer.clone(), audit.clone());
        self.writer.run(move |act| orders::refuse(act, order, &holder, &answer, &audit, now))
    }

    fn order(&self, order: OrderId) -> Result<Option<OrderRow>, StoreError> {
        self.readers.read(|connection| orders::show(connection, order))
    }

    fn record_intent(
        &self,
        pending: &Pending,
        facts: &CertificateIntent,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Recorded, StoreError> {
        let bytes = pending.bytes().ok_or(StoreError::OtherBytes)?.to_vec();
        let (facts, audit) = (facts.clone(), audit.clone());
        recorder::record(pending.intent(), |intent| {
            let new = NewIntent { intent: intent.clone(), bytes, facts };
            self.writer.run(move |act| intents::record(act, &new, &audit, now))
        })
    }

    fn record_failed_try(
        &self,
        intent: IntentId,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let audit = audit.clone();
        self.writer.run(move |act| intents::fail(act, intent, &audit, now))
    }

    fn record_issued(
        &self,
        signed: &Signed,
        facts: &IssuedCertificate,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Issued, StoreError> {
        let new = NewlySigned {
            intent: signed.intent().clone(),
            der: signed.to_der().ok_or(StoreError::OtherBytes)?,
            facts: facts.clone(),
        };
        let audit = audit.clone();
        self.writer
            .run(move |act| certificates::issue(act, &new, &audit, now).map(|(issued, _)| issued))
    }

    fn void_intents(
        &self,
        scope: &VoidScope,
        audit: &(dyn Fn(&IntentRow) -> AuditRecord + Sync),
        now: UnixTime,
    ) -> Result<Vec<VoidedIntent>, StoreError> {
        let found = self.readers.read(|connection| {
            let mut found = Vec::new();
            for intent in intents::open(connection)? {
                let in_scope = match scope {
                    VoidScope::EarlierBoots(node) => is_of_earlier_boot(&intent, node),
                    VoidScope::EndedLeases(caller) => {
                        let node = &intent.shown.node;
                        let name = LeaseName::Node(node.name.clone());
                        node != caller && !leases::is_held(connection, &name, node, now)?
                    }
                    VoidScope::Failing(node) => {
                        let left = intent.left.then_some(intent.shown.created);
                        let since = intent.failing_since.or(left);
                        intent.shown.node == *node
                            && since.is_some_and(|since| now.since(since) >= SIGNING_TRIES_LAST)
                    }
                    VoidScope::Intent(id) => intent.shown.id == *id,
                };
                if in_scope {
                    found.push((intent.shown.id, audit(&intent.shown)));
                }
            }
            Ok(found)
        })?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        // Those that have come to their end since are passed over by the act.
        let orders = match scope {
            VoidScope::Intent(_) => Orders::Keep,
            _ => Orders::Open,
        };
        self.writer.run(move |act| intents::void(act, &found, orders, now))
    }

    fn open_intents(&self) -> Result<Vec<IntentRow>, StoreError> {
        let open = self.readers.read(intents::open)?;
        Ok(open.into_iter().map(|intent| intent.shown).collect())
    }

    fn last_intent(&self, book: IntentBook) -> Result<IntentNumber, StoreError> {
        self.readers.read(|connection| outcomes::last(connection, book))
    }

    fn intents_after(
        &self,
        book: IntentBook,
        after: IntentNumber,
    ) -> Result<Vec<IntentOutcome>, StoreError> {
        self.readers.read(|connection| outcomes::after(connection, book, after))
    }

    fn change_status(
        &self,
        change: &StatusChange,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<StatusChanged, StoreError> {
        let (change, audit) = (change.clone(), audit.clone());
        self.writer.run(move |act| changes::change(act, &change, &audit, now))
    }

    fn certificate(
        &self,
        lookup: &CertificateLookup,
    ) -> Result<Option<CertificateRecord>, StoreError> {
        self.readers.read(|connection| certificates::show(connection, &self.sealer, lookup))
    }

    fn list_certificates(
        &self,
        filter: &CertificateFilter,
        after: Option<ListCursor>,
        limit: u32,
    ) -> Result<CertificatePage, StoreError> {
        self.readers
            .read(|connection| certificates::list(connection, &self.sealer, filter, after, limit))
    }

    fn issuers(&self) -> Result<Vec<IssuerRow>, StoreError> {
        self.readers.read(issuers::all)
    }

    fn import(
        &self,
        import: &Import,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Imported, StoreError> {
        let (import, audit) = (import.clone(), audit.clone());
        self.writer.run(move |act| import::import(act, &import, &audit, now))
    }

    fn revoked(
        &self,
        issuer: IssuerId,
        not_expired_before: UnixTime,
        read: &mut dyn FnMut(RevokedSnapshot<'_>),
    ) -> Result<(), StoreError> {
        self.readers.read(|connection| crls::revoked(connection, issuer, not_expired_before, read))
    }

    fn next_crl_number(
        &self,
        issuer: IssuerId,
        _scope: &CrlScope,
    ) -> Result<CrlNumber, StoreError> {
        self.readers.read(|connection| crls::next_number(connection, issuer))
    }

    fn record_crl_intent(
        &self,
        pending: &Pending,
        facts: &CrlIntent,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Recorded, StoreError> {
        let (facts, audit) = (facts.clone(), audit.clone());
        recorder::record(pending.intent(), |intent| {
            let intent = intent.clone();
            self.writer.run(move |act| crls::record_intent(act, &intent, &facts, &audit, now))
        })
    }

    fn record_crl_issued(
        &self,
        signed: &Signed,
        sha256: [u8; 32],
        length: u64,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<CrlRow, StoreError> {
        let signature = signed.signature().to_vec();
        let new = SignedCrl { intent: signed.intent().clone(), signature, sha256, length };
        let audit = audit.clone();
        self.writer.run(move |act| crls::record_signed(act, &new, &audit, now))
    }

    fn mark_crl_published(
        &self,
        issuer: IssuerId,
        scope: &CrlScope,
        number: &CrlNumber,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (scope, number) = (scope.clone(), number.clone());
        self.writer.run(move |act| crls::mark_published(act, issuer, &scope, &number, now))
    }

    fn current_crl(
        &self,
        issuer: IssuerId,
        scope: &CrlScope,
    ) -> Result<Option<CrlRow>, StoreError> {
        self.readers.read(|connection| crls::current(connection, issuer, scope))
    }

    fn log_head(&self, log: Log) -> Result<LogHead, StoreError> {
        self.readers.read(|connection| group::head(connection, log).map(|(head, _)| head))
    }

    fn log_entries(
        &self,
        log: Log,
        epoch: u32,
        range: Range<u64>,
    ) -> Result<Vec<LogEntry>, StoreError> {
        self.readers.read(|connection| logs::entries(connection, log, epoch, &range))
    }

    fn record_audit(&self, audit: &AuditRecord, now: UnixTime) -> Result<Position, StoreError> {
        let audit = audit.clone();
        self.writer.run(move |act| act.put_audit(&audit, now))
    }

    fn audit_payload(&self, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        self.readers.read(|connection| logs::payload(connection, &self.sealer, position))
    }

    fn forget(
        &self,
        subject: &Subject,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (subject, audit) = (subject.clone(), audit.clone());
        self.writer.run(move |act| seals::forget(act, &subject, &audit, now))
    }

    fn lease(
        &self,
        name: &LeaseName,
        node: &Node,
        now: UnixTime,
    ) -> Result<LeaseOutcome, StoreError> {
        let (name, node) = (name.clone(), node.clone());
        self.writer.run(move |act| leases::acquire(act, &name, &node, now))
    }

    fn release_lease(&self, name: &LeaseName, node: &Node) -> Result<(), StoreError> {
        let (name, node) = (name.clone(), node.clone());
        self.writer.run(move |act| leases::release(act, &name, &node))
    }

    fn store_signed_checkpoint(&self, checkpoint: &SignedCheckpoint) -> Result<(), StoreError> {
        let checkpoint = checkpoint.clone();
        self.writer.run(move |act| logs::store_checkpoint(act, &checkpoint))
    }

    fn last_checkpoint(&self, log: Log) -> Result<Option<SignedCheckpoint>, StoreError> {
        self.readers.read(|connection| logs::last_checkpoint(connection, log))
    }

    fn compare_with_published(&self, published: &PublishedHead) -> Result<(), StoreError> {
        self.readers.read(|connection| logs::compare(connection, published))
    }

    fn take_over_audit(
        &self,
        published: &PublishedHead,
        missing: &[Vec<u8>],
    ) -> Result<u64, StoreError> {
        let (published, missing) = (*published, missing.to_vec());
        self.writer.run(move |act| takeover::take_over_audit(act, &published, &missing))
    }

    fn take_over_published(
        &self,
        published: &PublishedHead,
        missing: &mut (dyn Iterator<Item = Vec<u8>> + Send),
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<TakenOver, StoreError> {
        let (published, audit) = (*published, audit.clone());
        let missing: Vec<Vec<u8>> = missing.collect();
        self.writer.run(move |act| takeover::take_over(act, &published, &missing, &audit, now))
    }

    fn record_management_intent(
        &self,
        pending: &Pending,
        facts: &ManagementIntent,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Recorded, StoreError> {
        let bytes = pending.bytes().ok_or(StoreError::OtherBytes)?.to_vec();
        let (facts, audit) = (facts.clone(), audit.clone());
        recorder::record(pending.intent(), |intent| {
            let new = NewManagement { intent: intent.clone(), bytes, facts };
            self.writer.run(move |act| management::record(act, &new, &audit, now))
        })
    }

    fn record_management_issued(
        &self,
        signed: &Signed,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<ManagementCertificate, StoreError> {
        let new = SignedManagement {
            intent: signed.intent().clone(),
            der: signed.to_der().ok_or(StoreError::OtherBytes)?,
        };
        let audit = audit.clone();
        self.writer.run(move |act| management::issue(act, &new, &audit, now))
    }

    fn void_management_intents(
        &self,
        scope: &ManagementScope,
        audit: &(dyn Fn(&OpenManagementIntent) -> AuditRecord + Sync),
        now: UnixTime,
    ) -> Result<u64, StoreError> {
        let open = self.readers.read(|connection| management::open(connection, scope))?;
        if open.is_empty() {
            return Ok(0);
        }
        // Those that have come to their end since are passed over by the act.
        let found: Vec<_> = open.iter().map(|one| (one.intent, audit(one))).collect();
        self.writer.run(move |act| management::void(act, &found, now))
    }

    fn management_certificates(&self) -> Result<Vec<ManagementCertificate>, StoreError> {
        self.readers.read(management::all)
    }

    fn sync_clients(
        &self,
        clients: &[Client],
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (clients, audit) = (clients.to_vec(), audit.clone());
        self.writer.run(move |act| clients::sync(act, &clients, &audit, now))
    }

    fn put_client(
        &self,
        client: &Client,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (client, audit) = (client.clone(), audit.clone());
        self.writer.run(move |act| clients::put(act, &client, &audit, now))
    }

    fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.readers.read(clients::all)
    }

    fn enrol_responder(
        &self,
        responder: &Responder,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (responder, audit) = (responder.clone(), audit.clone());
        self.writer.run(move |act| clients::enrol(act, &responder, &audit, now))
    }

    fn responders(&self) -> Result<Vec<Responder>, StoreError> {
        self.readers.read(clients::responders)
    }

    fn accept_responder_request(
        &self,
        name: &str,
        counter: u64,
        _now: UnixTime,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.writer.run(move |act| clients::accept(act, &name, counter))
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        self.readers.read(logs::counts)
    }
}

fn is_of_earlier_boot(intent: &OpenIntent, node: &Node) -> bool {
    intent.shown.node.name == node.name && intent.shown.node.boot != node.boot
}
