//! Why the store did not do something. Whatever the reason, nothing is half done.

mod passing;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ca::deployment::{Deployment, DeploymentError};
use ca::domain::DomainFault;
use ca::organisation::OrganisationFault;
use status::Position;
use thiserror::Error;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::bound::BoundTo;
use crate::carrier::CarrierFault;
use crate::eid_order::EidOrderFault;
use crate::id::{CarrierId, CertificateId, EidId, OrderId};
use crate::job::JobError;
use crate::sealing::KeySourceError;
use crate::sql::connection::DatabaseError;

/// Why an act was refused or a question not answered. The act left no trace.
///
/// Errors for which [`StoreError::is_passing`] holds go away with their cause; the store works
/// again then, without a restart.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process holds the database.
    #[error("database is locked by another process")]
    Busy,
    /// The device or quota is full.
    #[error("database cannot grow: disk full")]
    Full,
    /// The server is not there, lets nobody in, or went away in the middle of an act.
    #[error("database server is not reachable")]
    Unreachable(#[source] DatabaseError),
    /// The file or file system takes no writes.
    #[error("database is read-only")]
    ReadOnly,
    /// The device failed.
    #[error("database device failed")]
    Device(#[source] DatabaseError),
    /// The file is not a database or contradicts itself.
    #[error("database is damaged")]
    Damaged(#[source] DatabaseError),
    /// A constraint or trigger refused: a rule that the code should have met before.
    #[error("database refused the act")]
    Constraint(#[source] DatabaseError),
    /// The audit log did not take the entry of an act, so the act did not happen.
    #[error("audit log does not take the entry of this act")]
    AuditRefused(#[source] DatabaseError),
    /// Any other error of the database: a defect of this program.
    #[error("database query failed")]
    Query(#[source] DatabaseError),
    /// The file could not be opened or made.
    #[error("database {path} cannot be opened")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program has the database open.
    #[error("database {path} is in use by another program")]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// The server is set up so that it would lose what it has acknowledged, or lacks what is used.
    #[error("database server has {setting} = {found}, wanted is {wanted}")]
    ServerSetting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// The sealing keys are not to be had.
    #[error("database cannot be opened without its sealing keys")]
    Keys(#[source] KeySourceError),
    /// The store is being closed, or its writer has died.
    #[error("store is closed")]
    Closed,
    /// More acts wait than the queue holds.
    #[error("write queue is full")]
    Overloaded,

    /// The database belongs to another deployment (promise 8).
    #[error("database {database} is of another deployment")]
    Deployment {
        /// Which file or database of a server.
        database: String,
        /// Both names.
        source: DeploymentError,
    },
    /// The database was made for a deployment that this version does not know.
    #[error("database {database} names deployment {found:?}, this is {expected}")]
    UnknownDeployment {
        /// Which file or database of a server.
        database: String,
        /// What it says.
        found: String,
        /// What was wanted.
        expected: Deployment,
    },
    /// There is no database of this program in the file.
    #[error("{database} holds no database of this program")]
    NotInitialised {
        /// Which file or database of a server.
        database: String,
    },
    /// The database was written by a newer version: before the start, or by another node while this one ran.
    #[error("database has schema version {found}, this program knows up to {known}")]
    SchemaNewer {
        /// The database's.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A migration that was applied differs from ours.
    #[error("migration {version} was applied with other contents than this program has")]
    SchemaChanged {
        /// Which migration.
        version: u32,
    },
    /// The master or index key is not the one that the database was made with.
    #[error("sealing keys are not those of this database")]
    WrongSealingKeys,
    /// Sealed data does not open: tampered with, moved, or its data key is another one.
    #[error("sealed {table}.{column} does not open")]
    Sealed {
        /// Where it lies.
        table: &'static str,
        /// In which column.
        column: &'static str,
    },
    /// A stored value does not read back as what was stored.
    #[error("stored {what} does not read back")]
    Stored {
        /// What.
        what: &'static str,
    },
    /// The operating system gave no random numbers.
    #[error("random numbers are not available")]
    Random,
    /// The clock is behind the log: nothing is issued until it is right again (§2.5).
    #[error("clock is {behind:?} behind the log's last time {last}, at most 2 s is allowed")]
    ClockBehind {
        /// The log's last time.
        last: UnixTime,
        /// How far behind.
        behind: Duration,
    },
    /// Issuer and serial are taken, by whatever origin (ISS-03).
    #[error("issuer has already used this serial number")]
    SerialTaken,
    /// Another order for another holder is being signed for this key.
    #[error("public key is being certified for another holder")]
    KeyClaimed,
    /// A certificate on this key was revoked for compromise.
    #[error("a certificate on this public key was revoked for compromise")]
    KeyCompromised,
    /// The same, after a certificate was begun that must not be released now.
    #[error("a certificate on this public key was revoked for compromise meanwhile")]
    KeyCompromisedMeanwhile,
    /// The key has been certified for somebody else, or for one who has been forgotten.
    #[error("public key has been certified for another holder")]
    KeyOfAnother,
    /// The key has been certified for a subject, and whose that is no order or import says, or several do.
    #[error(
        "public key has been certified for a subject of which it is not known that it is this person's"
    )]
    KeyOfUnknown,
    /// The eID that proved the holder does not hold, or holds no more (ISS-20).
    #[error("the eid {certificate} that proved the holder is not active")]
    EidNotActive {
        /// Which.
        certificate: CertificateId,
    },
    /// The profile wants a new key.
    #[error("public key has been certified before")]
    KeyUsed,
    /// The profile wants a new key, and this one is being certified.
    #[error("public key is being certified")]
    KeyInUse,
    /// The file of a profile was changed, and its version was not counted up (PRO-19).
    #[error(
        "profile {name} version {version} is another file than before; version {newest} was used already"
    )]
    ProfileChanged {
        /// The profile.
        name: String,
        /// The version that it claims.
        version: u32,
        /// The newest version that was used.
        newest: u32,
    },
    /// The client has had all certificates of this hour (ISS-22).
    #[error("{per_hour} certificates of this client and profile were ordered within this hour")]
    HourSpent {
        /// What the hour allows.
        per_hour: u64,
        /// When the next one begins.
        ends: UnixTime,
    },
    /// So many certificates that client and profile are to be paused (ISS-22).
    #[error(
        "{issued} certificates of this client and profile within this hour, against {usual} usual in that of seven days"
    )]
    SuddenRise {
        /// With this one.
        issued: u64,
        /// Seven times the mean of the same hour on the days that were counted, at most seven.
        usual: u64,
    },
    /// Client and profile are paused (ISS-22).
    #[error("client and profile are paused since {since}")]
    Paused {
        /// Since when.
        since: UnixTime,
    },
    /// No such issuer.
    #[error("issuer is not known")]
    UnknownIssuer,
    /// The issuer has no such shard.
    #[error("shard {number} of the issuer is not known")]
    UnknownShard {
        /// The shard.
        number: ::crl::ShardNumber,
    },
    /// The shard's last list is made, or about to be: nothing more can come on it (CRL-05, CRL-07).
    #[error("shard {number} of the issuer has ended with its last list")]
    ShardEnded {
        /// The shard.
        number: ::crl::ShardNumber,
    },
    /// The issuer is there already with other data.
    #[error("issuer is known with another certificate")]
    IssuerDiffers,
    /// The issuer signs at ceremonies only: its certificates change with an imported CRL.
    #[error("issuer signs at ceremonies only, its certificates change with its next imported crl")]
    OfflineIssuer,
    /// The issuer's last CRL is made, or about to be: nothing of it changes any more (CRL-05).
    #[error("issuer has ended with its last crl")]
    IssuerEnded,
    /// The issuer has no last CRL: nothing of it stands for ever yet (OCSP-13).
    #[error("issuer has not ended with its last crl")]
    IssuerUnfinished,
    /// A last CRL is made when nothing of the issuer is good any more (CRL-05).
    #[error("{count} certificates are neither expired nor revoked, {first} is one")]
    IssuerUnended {
        /// How many.
        count: u64,
        /// The lowest of their serials.
        first: SerialNumber,
    },
    /// A status changed after the entries that the last CRL rests on: it would never be on a list.
    #[error("last crl rests on {found}, a status has changed at {change}")]
    LateChange {
        /// The first entry that the list does not rest on.
        found: Position,
        /// Where the change stands.
        change: Position,
    },
    /// No such order.
    #[error("order {order} is not known")]
    UnknownOrder {
        /// Which.
        order: OrderId,
    },
    /// The order is finished, or another program works on it.
    #[error("order {order} is not open to this act")]
    OrderState {
        /// Which.
        order: OrderId,
    },
    /// A later start has taken the name of this node: two programs were given one name.
    #[error("a later start has taken the name of node {node}")]
    NodeSuperseded {
        /// The node.
        node: String,
    },
    /// The order has a certificate or an open intent (promise 2).
    #[error("order {order} already has a certificate or an open intent")]
    OrderFulfilled {
        /// Which.
        order: OrderId,
    },
    /// The order's certificate was issued, as the published log says, and went with a database that was
    /// put back from a backup made before it.
    #[error("order {order} has had certificate {serial}, which was lost with a restored database")]
    CertificateLost {
        /// Which.
        order: OrderId,
        /// The certificate's.
        serial: SerialNumber,
    },
    /// No such intent.
    #[error("intent is not known")]
    UnknownIntent,
    /// The intent was voided before the signature came: it must not be released.
    #[error("intent has been voided, its signature must not be released")]
    IntentVoided,
    /// The intent is fulfilled already.
    #[error("intent has already been fulfilled")]
    IntentFulfilled,
    /// The answer of an order could not be put together.
    #[error("answer of the order cannot be put together")]
    Unwritable,
    /// What was signed is not what the intent recorded.
    #[error("signed bytes are not those of the recorded intent")]
    OtherBytes,
    /// No such certificate.
    #[error("certificate {certificate} is not known")]
    UnknownCertificate {
        /// Which.
        certificate: CertificateId,
    },
    /// No such serial of that issuer.
    #[error("issuer has no such serial number")]
    UnknownSerial,
    /// The state machine of a certificate refuses.
    #[error("certificate's state refuses the act")]
    Transition(#[source] status::IllegalTransition),
    /// CRL numbers rise (RFC 5280 §5.2.3, CRL-02).
    #[error("crl number is not above {last}")]
    CrlNumber {
        /// The highest number known, floor included.
        last: String,
    },
    /// The position a CRL rests on must not fall.
    #[error("crl rests on {found}, its predecessor on {last}")]
    CrlPosition {
        /// What the new one says.
        found: Position,
        /// What the last one said.
        last: Position,
    },
    /// The caller's publication lease is not the current one.
    #[error("publication lease has fencing number {current}, caller has {found}")]
    Fenced {
        /// The row's.
        current: u64,
        /// The caller's.
        found: u64,
    },
    /// A smaller checkpoint after a larger one, or one beyond the log's head.
    #[error("checkpoint of size {found} refused: last published {published}, log has {ours}")]
    CheckpointSize {
        /// The refused one.
        found: u64,
        /// The last one.
        published: u64,
        /// The log's size.
        ours: u64,
    },
    /// The published log is longer than ours: an old database was restored (§2.2).
    #[error("published status log has {published} entries, this database only {ours}")]
    PublishedAhead {
        /// Entries here.
        ours: u64,
        /// Entries published.
        published: u64,
    },
    /// The server gave this program a log that lacks what it has seen of it: an older copy has taken the place of the
    /// database, such as a standby that lacked the last acts, and others may have written into it since.
    #[error(
        "database has {found} entries of the {log} log, and not the {seen} that this program has seen: an older copy of it"
    )]
    OlderThanSeen {
        /// Which log.
        log: &'static str,
        /// Entries that it has now.
        found: u64,
        /// Entries that it had.
        seen: u64,
    },
    /// The published log and ours differ: only a four-eyes operation opens a new epoch (§2.2).
    #[error("published status log differs from this database within the first {size} entries")]
    LogsDisagree {
        /// The size at which the roots differ.
        size: u64,
    },
    /// The published log is of another epoch than ours.
    #[error("published status log is of epoch {published}, this database of {ours}")]
    OtherEpoch {
        /// Ours.
        ours: u32,
        /// Published.
        published: u32,
    },
    /// A status entry cannot be read or applied.
    #[error("status entry {index} cannot be taken over")]
    Entry {
        /// Its index.
        index: u64,
    },
    /// A name is taken or pinned to something else.
    #[error("name is already pinned to another key")]
    Pinned,
    /// A job is not as the act needs it.
    #[error(transparent)]
    Job(#[from] JobError),
    /// A carrier is not as the act needs it before there is a certificate on it.
    #[error(transparent)]
    Carrier(#[from] CarrierFault),
    /// The carrier is revoked: no eID comes onto it any more.
    #[error("carrier {carrier} is revoked")]
    CarrierRevoked {
        /// Which.
        carrier: CarrierId,
    },
    /// The device bears an eID of another holder.
    #[error("carrier {carrier} bears a living eID of another holder")]
    CarrierOfAnother {
        /// Which.
        carrier: CarrierId,
    },
    /// The eID that the other certificates of this order are of is revoked.
    #[error("eID {eid}, which this identification of its holder led to, is revoked")]
    EidOfOrderRevoked {
        /// Which.
        eid: EidId,
    },
    /// The eID that a certificate was signed for was revoked before it could be recorded.
    #[error("eID {eid} was revoked while a certificate was signed for it")]
    EidRevoked {
        /// Which.
        eid: EidId,
    },
    /// No such eID or carrier.
    #[error("{what} is not known")]
    UnknownBound {
        /// What was named.
        what: BoundTo,
    },
    /// The tree of organisations does not take a change.
    #[error(transparent)]
    Organisation(#[from] OrganisationFault),
    /// A domain or its proof is not taken.
    #[error(transparent)]
    Domain(#[from] DomainFault),
    /// A step of an order was not taken.
    #[error(transparent)]
    EidOrder(#[from] EidOrderFault),
    /// A client has revoked in this hour what it may revoke alone.
    #[error("client may revoke {alone} certificates alone in an hour, which ends at {ends}")]
    AloneSpent {
        /// What it may.
        alone: u64,
        /// When the next hour begins.
        ends: UnixTime,
    },
    /// A client has been shown in this hour what it may be shown of persons.
    #[error("client may be shown {per_hour} things of persons in an hour, which ends at {ends}")]
    ReadsSpent {
        /// What it may.
        per_hour: u64,
        /// When the next hour begins.
        ends: UnixTime,
    },
    /// A statement of an administrator that came before, with another call.
    #[error("statement was taken before")]
    StatementReplayed,
    /// A counter that did not rise: a replayed request.
    #[error("request counter {found} is not above {last}")]
    Replayed {
        /// The last accepted one.
        last: u64,
        /// The one that came.
        found: u64,
    },
}

impl StoreError {
    /// A failed insert into the audit log. What any insert may meet keeps its own name.
    pub(crate) fn of_audit(error: DatabaseError) -> Self {
        match Self::from(error) {
            Self::Constraint(error) | Self::Query(error) => Self::AuditRefused(error),
            other => other,
        }
    }

    /// Stable code for problems, logs and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Busy => "database-busy",
            Self::Full => "database-full",
            Self::ReadOnly => "database-read-only",
            Self::Device(_) => "database-device",
            Self::Unreachable(_) => "database-unreachable",
            Self::ServerSetting { .. } => "database-setting",
            Self::Damaged(_) => "database-damaged",
            Self::Constraint(_) => "database-constraint",
            Self::AuditRefused(_) => "audit-refused",
            Self::Query(_) => "database-query",
            Self::Open { .. } => "database-open",
            Self::InUse { .. } => "database-in-use",
            Self::Keys(_) => "sealing-keys-missing",
            Self::Closed => "store-closed",
            Self::Overloaded => "store-overloaded",
            Self::Deployment { .. } | Self::UnknownDeployment { .. } => "deployment-mismatch",
            Self::NotInitialised { .. } => "database-not-initialised",
            Self::SchemaNewer { .. } => "schema-newer",
            Self::SchemaChanged { .. } => "schema-changed",
            Self::WrongSealingKeys => "sealing-keys-wrong",
            Self::Sealed { .. } => "sealed-data-unreadable",
            Self::Stored { .. } => "stored-data-unreadable",
            Self::Random => "random-unavailable",
            Self::ClockBehind { .. } => "clock-behind",
            Self::SerialTaken => "serial-taken",
            Self::KeyClaimed | Self::KeyOfAnother | Self::KeyOfUnknown => "key-of-another",
            Self::KeyCompromised | Self::KeyCompromisedMeanwhile => "key-compromised",
            Self::KeyUsed | Self::KeyInUse => "key-used",
            Self::EidNotActive { .. } => "eid-not-active",
            Self::ProfileChanged { .. } => "profile-changed-under-version",
            Self::HourSpent { .. } => "limit-hour",
            Self::SuddenRise { .. } | Self::Paused { .. } => "limit-paused",
            Self::UnknownIssuer => "issuer-unknown",
            Self::UnknownShard { .. } => "crl-shard-unknown",
            Self::ShardEnded { .. } => "crl-shard-ended",
            Self::IssuerDiffers => "issuer-differs",
            Self::OfflineIssuer => "issuer-offline",
            Self::IssuerEnded => "authority-ended",
            Self::IssuerUnfinished => "final-answers-refused",
            Self::IssuerUnended { .. } | Self::LateChange { .. } => "last-crl-refused",
            Self::UnknownOrder { .. } => "order-unknown",
            Self::OrderState { .. } => "order-state",
            Self::NodeSuperseded { .. } => "node-superseded",
            Self::OrderFulfilled { .. } => "order-fulfilled",
            Self::CertificateLost { .. } => "certificate-lost",
            Self::UnknownIntent => "intent-unknown",
            Self::IntentVoided => "intent-voided",
            Self::IntentFulfilled => "intent-fulfilled",
            Self::Unwritable => "answer-unwritable",
            Self::OtherBytes => "signed-bytes-differ",
            Self::UnknownCertificate { .. } => "certificate-unknown",
            Self::UnknownSerial => "serial-unknown",
            Self::Transition(_) => "transition-illegal",
            Self::CrlNumber { .. } => "crl-number-not-rising",
            Self::CrlPosition { .. } => "crl-position-fell",
            Self::Fenced { .. } => "publication-fenced",
            Self::CheckpointSize { .. } => "checkpoint-size",
            Self::PublishedAhead { .. } => "published-ahead",
            Self::OlderThanSeen { .. } => "database-older",
            Self::LogsDisagree { .. } => "logs-disagree",
            Self::OtherEpoch { .. } => "epoch-differs",
            Self::Entry { .. } => "entry-unreadable",
            Self::Job(error) => error.code(),
            Self::EidOrder(fault) => fault.code(),
            Self::Organisation(fault) => fault.code(),
            Self::Domain(fault) => fault.code(),
            Self::Carrier(fault) => fault.code(),
            Self::CarrierRevoked { .. } => "carrier-revoked",
            Self::CarrierOfAnother { .. } => "carrier-of-another",
            Self::EidOfOrderRevoked { .. } => "eid-of-order-revoked",
            Self::EidRevoked { .. } => "eid-revoked-meanwhile",
            Self::UnknownBound { what: BoundTo::Eid(_) } => "eid-not-known",
            Self::UnknownBound { what: BoundTo::Carrier(_) } => "carrier-not-known",
            Self::AloneSpent { .. } => "revocations-alone-spent",
            Self::ReadsSpent { .. } => "limit-reads",
            Self::Pinned => "name-pinned",
            Self::StatementReplayed => "actor-statement-replayed",
            Self::Replayed { .. } => "request-replayed",
        }
    }
}
