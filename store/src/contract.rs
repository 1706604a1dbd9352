//! The contract that every backend keeps, and that the conformance suite tests.

use std::ops::Range;
use std::time::Duration;

use ca::deployment::Deployment;
use status::{IssuerId, Position};
use x509::signing::{IntentId, Pending, Recorded, Signed};
use x509::time::UnixTime;

use crate::certificate::{
    CertificateFilter, CertificateIntent, CertificateLookup, CertificatePage, CertificateRecord,
    Issued, IssuedCertificate, ListCursor, StatusChange, StatusChanged,
};
use crate::intent::{IntentBook, IntentNumber, IntentOutcome, IntentRow, VoidScope, VoidedIntent};
use crate::issuer::{Import, Imported, IssuerRow};
use crate::log::{Counts, Log, LogEntry, LogHead, PublishedHead, SignedCheckpoint, TakenOver};
use crate::management::{
    ManagementCertificate, ManagementIntent, ManagementScope, OpenManagementIntent,
};
use crate::order::{BegunOrder, HeldOrder, NewOrder, OrderAnswer, OrderRow};
use crate::{
    Activations, ActorStatements, Approvals, AuditRecord, Awaiting, Bindings, Canaries, Client,
    CrlIntent, CrlRow, CrlScope, CrlShards, Domains, EidOrders, Eids, Endings, Jobs, KeySurvey,
    LeaseName, LeaseOutcome, Node, OrderId, OrderedIssuing, Organisations, ProfileVersions,
    Protection, Reads, Receipts, Responder, RevokedSnapshot, StoreError, Subject, Trials, Volumes,
};
use ::crl::CrlNumber;

/// How far the clock may be behind the log before issuing stops (architecture §2.5).
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Everything that must survive.
///
/// Writes are durable once they return `Ok`: they survive a crash of the machine. A write that returns `Err` left no trace, except that after
/// [`StoreError::Closed`] and [`StoreError::Device`] its outcome is unknown until the database is opened again. Every act and its audit leaf are one transaction: if the leaf cannot be written, the act does not happen (AUD-02).
///
/// Positions in both logs are dense and are given inside the writing transaction: a reader that sees position n sees every one below it. `now` is the caller's one reading of the clock; log time is the later of `now` and the log's last time. All methods block; none may be called from an async worker.
pub trait Store:
    Activations
    + Approvals
    + KeySurvey
    + OrderedIssuing
    + ProfileVersions
    + Volumes
    + Canaries
    + CrlShards
    + Domains
    + EidOrders
    + Eids
    + Endings
    + Jobs
    + Organisations
    + Protection
    + Reads
    + Receipts
    + Trials
    + Awaiting
    + Bindings
    + ActorStatements
    + Send
    + Sync
{
    /// Whose database it is.
    fn deployment(&self) -> Deployment;

    // Orders

    /// Finds or makes the order of an idempotency key and gives it to the caller's node.
    ///
    /// A running order is given to another start of its node (it crashed), and to another node once the lease of the one that has it has ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::NodeSuperseded`], or storage errors; all outcomes are in [`BegunOrder`].
    fn begin_order(&self, order: &NewOrder, now: UnixTime) -> Result<BegunOrder, StoreError>;

    /// Stores the answer that the order is finished with. Replays give it back byte for byte.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownOrder`], or [`StoreError::OrderState`] when the order is not running on `holder` in this turn: it has its answer, was left, or was given to somebody else, be it another call of the same start. Nothing changes then.
    fn finish_order(
        &self,
        order: HeldOrder,
        holder: &Node,
        answer: &OrderAnswer,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// Leaves an order without an answer (401, 403, 429, 5xx): the same key goes on with it.
    ///
    /// # Errors
    ///
    /// As [`Self::finish_order`].
    fn leave_order(&self, order: HeldOrder, holder: &Node, now: UnixTime)
    -> Result<(), StoreError>;

    /// Stores a refusal that the same body must always meet, with its audit leaf.
    ///
    /// # Errors
    ///
    /// As [`Self::finish_order`].
    fn record_refusal(
        &self,
        order: HeldOrder,
        holder: &Node,
        answer: &OrderAnswer,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// Shows an order.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn order(&self, order: OrderId) -> Result<Option<OrderRow>, StoreError>;

    // Issuing

    /// Makes an intent to sign a certificate durable: serial reserved, to-be-signed bytes sealed.
    ///
    /// # Errors
    ///
    /// [`StoreError::ClockBehind`], [`StoreError::SerialTaken`], [`StoreError::UnknownIssuer`],
    /// [`StoreError::UnknownOrder`], [`StoreError::OrderState`] when the order is not running on
    /// the caller's node, [`StoreError::OrderFulfilled`] when it has a certificate or an open intent,
    /// [`StoreError::CertificateLost`] when it had one, [`StoreError::IssuerEnded`], [`StoreError::ShardEnded`],
    /// [`StoreError::NodeSuperseded`]; those of key and limits (ISS-12, ISS-22). Nothing is signed then.
    fn record_intent(
        &self,
        pending: &Pending,
        facts: &CertificateIntent,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Recorded, StoreError>;

    /// Records a try to sign that failed, in the audit log and on the intent.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIntent`], [`StoreError::IntentVoided`], [`StoreError::IntentFulfilled`].
    fn record_failed_try(
        &self,
        intent: IntentId,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// Records a signed certificate with its status entry `issued`. Only then may it be released.
    ///
    /// # Errors
    ///
    /// [`StoreError::IntentVoided`] when recovery was faster: the signature must be destroyed.
    /// [`StoreError::UnknownIntent`], [`StoreError::IntentFulfilled`], [`StoreError::OtherBytes`].
    fn record_issued(
        &self,
        signed: &Signed,
        facts: &IssuedCertificate,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Issued, StoreError>;

    /// Voids open intents: `voided` entries, serials spent for ever. `audit` is asked once for each.
    ///
    /// # Errors
    ///
    /// Storage errors; all of the scope is voided or nothing.
    fn void_intents(
        &self,
        scope: &VoidScope,
        audit: &(dyn Fn(&IntentRow) -> AuditRecord + Sync),
        now: UnixTime,
    ) -> Result<Vec<VoidedIntent>, StoreError>;

    /// Open intents, oldest first.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn open_intents(&self) -> Result<Vec<IntentRow>, StoreError>;

    /// The last intent that was recorded.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn last_intent(&self, book: IntentBook) -> Result<IntentNumber, StoreError>;

    /// Intents recorded after `after`, in order: [`INTENTS_AT_ONCE`](crate::INTENTS_AT_ONCE) at most.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn intents_after(
        &self,
        book: IntentBook,
        after: IntentNumber,
    ) -> Result<Vec<IntentOutcome>, StoreError>;

    // Status

    /// Activates, holds, releases or revokes. Revoking what is revoked changes nothing and says so.
    ///
    /// Never refused because of the clock; [`StatusChanged::clock`] tells how it stood.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownCertificate`], [`StoreError::UnknownSerial`],
    /// [`StoreError::OfflineIssuer`] for certificates of a CA that signs at ceremonies, [`StoreError::IssuerEnded`],
    /// [`StoreError::Transition`] when the state machine refuses,
    /// [`StoreError::AloneSpent`] past what [`StatusChange::alone`] may revoke or hold.
    fn change_status(
        &self,
        change: &StatusChange,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<StatusChanged, StoreError>;

    // Certificates

    /// Shows one certificate, opened.
    ///
    /// # Errors
    ///
    /// Storage errors; [`StoreError::Sealed`] when it does not open.
    fn certificate(
        &self,
        lookup: &CertificateLookup,
    ) -> Result<Option<CertificateRecord>, StoreError>;

    /// Lists certificates in the order in which they were recorded, at most `limit` (up to 1000).
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn list_certificates(
        &self,
        filter: &CertificateFilter,
        after: Option<ListCursor>,
        limit: u32,
    ) -> Result<CertificatePage, StoreError>;

    // Issuers and import

    /// All issuers, in the order in which they were declared.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn issuers(&self) -> Result<Vec<IssuerRow>, StoreError>;

    /// Takes over issuers, certificates, states and CRLs: entries and rows in one transaction.
    /// Repeating an import changes nothing. Each issuer that is new has an audit leaf of its own,
    /// `issuer.declared`, beside that of the import.
    ///
    /// # Errors
    ///
    /// [`StoreError::IssuerDiffers`], [`StoreError::SerialTaken`] when a serial is there with other
    /// bytes, [`StoreError::UnknownIssuer`], [`StoreError::CrlNumber`], [`StoreError::Transition`].
    fn import(
        &self,
        import: &Import,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Imported, StoreError>;

    // CRLs

    /// Shows every serial that a CRL of `issuer` lists and that expires at or after
    /// `not_expired_before`, in one snapshot, in the order of serial octets.
    ///
    /// `read` is called once. It may take long: writers are not held up.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIssuer`], storage errors.
    fn revoked(
        &self,
        issuer: IssuerId,
        not_expired_before: UnixTime,
        read: &mut dyn FnMut(RevokedSnapshot<'_>),
    ) -> Result<(), StoreError>;

    /// The lowest number that the next CRL of this scope may have.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIssuer`], [`StoreError::Stored`] past 20 octets.
    fn next_crl_number(&self, issuer: IssuerId, scope: &CrlScope) -> Result<CrlNumber, StoreError>;

    /// Makes an intent to sign a CRL durable; its number is spent then.
    ///
    /// # Errors
    ///
    /// [`StoreError::ClockBehind`], [`StoreError::UnknownIssuer`], [`StoreError::CrlNumber`], [`StoreError::CrlPosition`],
    /// [`StoreError::NodeSuperseded`], [`StoreError::IssuerUnended`], [`StoreError::LateChange`], [`StoreError::IssuerEnded`].
    fn record_crl_intent(
        &self,
        pending: &Pending,
        facts: &CrlIntent,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Recorded, StoreError>;

    /// Records a signed CRL: SHA-256 and length of the whole file.
    ///
    /// # Errors
    ///
    /// As [`Self::record_issued`].
    fn record_crl_issued(
        &self,
        signed: &Signed,
        sha256: [u8; 32],
        length: u64,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<CrlRow, StoreError>;

    /// Notes that the file of a CRL stands in the publication tree.
    ///
    /// # Errors
    ///
    /// [`StoreError::CrlNumber`] when there is no such CRL.
    fn mark_crl_published(
        &self,
        issuer: IssuerId,
        scope: &CrlScope,
        number: &CrlNumber,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// The signed CRL of the highest number.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn current_crl(&self, issuer: IssuerId, scope: &CrlScope)
    -> Result<Option<CrlRow>, StoreError>;

    // Logs

    /// The head of a log. Read it *after* taking the timestamp of its checkpoint (§2.2).
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn log_head(&self, log: Log) -> Result<LogHead, StoreError>;

    /// Entries of a log in one epoch, at most 65 536 of them and none beyond the head.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn log_entries(
        &self,
        log: Log,
        epoch: u32,
        range: Range<u64>,
    ) -> Result<Vec<LogEntry>, StoreError>;

    /// Writes an audit leaf for what has no act in the store: a start, a login, grouped refusals.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn record_audit(&self, audit: &AuditRecord, now: UnixTime) -> Result<Position, StoreError>;

    /// The payload that an audit leaf commits to; `None` once its subject's data key is deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError::Sealed`] when it does not open or does not match the leaf.
    fn audit_payload(&self, position: Position) -> Result<Option<Vec<u8>>, StoreError>;

    /// Deletes a subject's data key and search terms: what it sealed can never be read again.
    /// Returns whether there was one. What stands under another name of a person goes too, where an order,
    /// a certificate or an import named both (an HSA-id and a number); what stands under a third name, which was
    /// never named together with this one, or under a passport, is forgotten by that name.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn forget(
        &self,
        subject: &Subject,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError>;

    // Checkpoints and leases

    /// Acquires or renews a lease for [`LEASE`](crate::LEASE) from `now`. A new holder gets a higher
    /// fencing number; renewing keeps it.
    ///
    /// A start takes the leases of an earlier start of its node at once: it counts as gone. Should it
    /// be alive (two programs were given one name; a backend on one machine keeps the second out with
    /// a lock, one in a network cannot), the later start has the name for good. The earlier one meets
    /// [`LeaseOutcome::Taken`] whenever it asks, also after the later one has ended;
    /// [`StoreError::NodeSuperseded`] when it begins an order or records an intent;
    /// [`StoreError::OrderState`] and [`StoreError::IntentVoided`] for what was taken from it; and
    /// [`StoreError::Fenced`] with a checkpoint.
    ///
    /// # Errors
    ///
    /// Storage errors; being refused is an outcome.
    fn lease(
        &self,
        name: &LeaseName,
        node: &Node,
        now: UnixTime,
    ) -> Result<LeaseOutcome, StoreError>;

    /// Gives a lease back, if the caller holds it.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn release_lease(&self, name: &LeaseName, node: &Node) -> Result<(), StoreError>;

    /// Stores a signed checkpoint before it is published. Storing the last size again (a new timestamp) is allowed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] when another holder has taken the publication lease,
    /// [`StoreError::CheckpointSize`] for a size below the last one or above the head,
    /// [`StoreError::OtherEpoch`] for another epoch than the current one.
    fn store_signed_checkpoint(&self, checkpoint: &SignedCheckpoint) -> Result<(), StoreError>;

    /// The last checkpoint of a log that was stored, of whatever epoch.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn last_checkpoint(&self, log: Log) -> Result<Option<SignedCheckpoint>, StoreError>;

    /// Compares this database with the largest published status checkpoint. Called at every start,
    /// before anything is signed (§2.2).
    ///
    /// # Errors
    ///
    /// [`StoreError::PublishedAhead`] when this database is older,
    /// [`StoreError::LogsDisagree`] when the common part differs, [`StoreError::OtherEpoch`].
    fn compare_with_published(&self, published: &PublishedHead) -> Result<(), StoreError>;

    /// Appends the entries that a restored database lacks, read from verified tiles, and brings
    /// every state up to them. All or nothing.
    ///
    /// `missing` yields the entries from this log's size on. Jobs that run are paused, and orders in steps that are under way parked: they may have been cancelled since.
    ///
    /// # Errors
    ///
    /// [`StoreError::LogsDisagree`] when the result has not the published root,
    /// [`StoreError::Entry`] for one that cannot be read or applied.
    fn take_over_published(
        &self,
        published: &PublishedHead,
        missing: &mut (dyn Iterator<Item = Vec<u8>> + Send),
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<TakenOver, StoreError>;

    /// Appends the audit leaves that a restored database lacks, read from the log's own tiles, before
    /// anything else is written. Their payloads are lost; what was done, when and to what stays.
    /// Returns how many were appended. All or nothing. Jobs are paused and orders parked here too.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherEpoch`], [`StoreError::LogsDisagree`] when the result has not the published
    /// root, [`StoreError::Entry`] for a leaf that cannot be read.
    fn take_over_audit(
        &self,
        published: &PublishedHead,
        missing: &[Vec<u8>],
    ) -> Result<u64, StoreError>;

    // The management plane

    /// Makes an intent to sign a management certificate durable: to-be-signed bytes sealed.
    ///
    /// # Errors
    ///
    /// [`StoreError::ClockBehind`], [`StoreError::SerialTaken`], [`StoreError::Pinned`] when the key
    /// has a certificate already, and for one with an order [`StoreError::UnknownOrder`],
    /// [`StoreError::OrderState`], [`StoreError::OrderFulfilled`]. Nothing may be signed then.
    fn record_management_intent(
        &self,
        pending: &Pending,
        facts: &ManagementIntent,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Recorded, StoreError>;

    /// Records a signed management certificate. Only then may it be released.
    ///
    /// # Errors
    ///
    /// [`StoreError::IntentVoided`], [`StoreError::UnknownIntent`], [`StoreError::IntentFulfilled`],
    /// [`StoreError::OtherBytes`], [`StoreError::Pinned`] when the key got a certificate meanwhile.
    fn record_management_issued(
        &self,
        signed: &Signed,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<ManagementCertificate, StoreError>;

    /// Gives up open intents to sign management certificates. `audit` is asked once for each.
    /// Returns how many.
    ///
    /// # Errors
    ///
    /// Storage errors; all of the scope is given up or nothing.
    fn void_management_intents(
        &self,
        scope: &ManagementScope,
        audit: &(dyn Fn(&OpenManagementIntent) -> AuditRecord + Sync),
        now: UnixTime,
    ) -> Result<u64, StoreError>;

    /// All management certificates that were recorded, oldest first. Those of a demo are not
    /// among them: a ceremony made them.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn management_certificates(&self) -> Result<Vec<ManagementCertificate>, StoreError>;

    // Clients and responders

    /// Makes the clients exactly these: new ones added, others disabled. One audit leaf, and only
    /// if something changed; returns whether it did.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn sync_clients(
        &self,
        clients: &[Client],
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError>;

    /// Adds a client or replaces what is known of it.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn put_client(
        &self,
        client: &Client,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// All clients, disabled ones included, by name.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn clients(&self) -> Result<Vec<Client>, StoreError>;

    /// Pins a responder's identity. Pinning the same key again changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Pinned`] when the name is pinned to another key.
    fn enrol_responder(
        &self,
        responder: &Responder,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// The pinned responders, by name.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn responders(&self) -> Result<Vec<Responder>, StoreError>;

    /// Accepts a responder's request of this counter, once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Replayed`] when the counter did not rise, [`StoreError::Pinned`] of no such responder.
    fn accept_responder_request(
        &self,
        name: &str,
        counter: u64,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// Numbers for metrics.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn counts(&self) -> Result<Counts, StoreError>;
}
