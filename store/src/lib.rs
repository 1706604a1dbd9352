//! The only room that speaks SQL: what has been decided, made durable.
//!
//! [`Store`] is the contract: one method a use case, one transaction each. [`SqliteStore`] and [`PostgresStore`] keep it
//! with one writer thread that commits in groups. Rules live elsewhere; this room adds order (dense
//! positions in two logs), uniqueness, durability, and the sealing of what concerns persons.
//!
//! Every method blocks. Time and ids are arguments, because a program has one clock; positions and
//! log times are given here, inside the writing transaction.

mod activation;
mod actor;
mod approval;
mod audit;
mod awaited;
mod bound;
mod canary;
mod carrier;
mod certificate;
mod client;
mod contract;
mod crl;
mod domain;
mod eid;
mod eid_order;
mod ending;
mod error;
mod id;
mod intent;
mod issuer;
mod job;
mod key;
mod lease;
mod limit;
mod log;
mod management;
mod order;
mod ordered;
mod organisation;
mod profile;
mod protection;
mod read;
mod receipt;
mod recorder;
mod scheduled;
mod sealing;
mod shard;
mod sql;
mod trial;

pub use activation::{ActivatedConfiguration, Activations};
pub use actor::{ActorStatements, Again, StatementUse};
pub use approval::{
    ApprovalFault, ApprovalMove, ApprovalRow, ApprovalUse, Approvals, JudgedApproval, NewApproval,
};
pub use audit::AuditRecord;
pub use awaited::{Awaited, AwaitedCount, AwaitedKey, Awaiting, Shows, Sight};
pub use bound::{
    Binding, Bindings, BoundAudit, BoundChange, BoundChanged, BoundTo, CarrierRow, EidFilter,
    EidPage, EidRow, act_on_bound,
};
pub use canary::{Canaries, Canary};
pub use carrier::{
    CarrierFault, CarrierFilter, CarrierMove, CarrierPage, NewCarriers, RegisteredCarriers,
};
pub use certificate::{
    CertificateFilter, CertificateIntent, CertificateLookup, CertificatePage, CertificateRecord,
    CertificateRow, CertificateSide, ChangeOutcome, ClockMark, EidWanted, Issued,
    IssuedCertificate, IssuedWhen, ListCursor, Origin, Privacy, ProfileVersion, StatusAct,
    StatusChange, StatusChanged, StatusRow, StatusTarget,
};
pub use client::{Client, ClientState, Responder};
pub use contract::{CLOCK_TOLERANCE, Store};
pub use crl::{CrlIntent, CrlRow, CrlScope, RevokedRow, RevokedSnapshot};
pub use domain::{DomainAct, DomainProofRow, DomainRow, DomainStep, Domains};
pub use eid::Eids;
pub use eid_order::{
    CarrierLimit, ChangedOf, EidOrder, EidOrderAudit, EidOrderChange, EidOrderChanged,
    EidOrderFault, EidOrderFilter, EidOrderHolder, EidOrderPage, EidOrderReplaces, EidOrderRow,
    EidOrderStep, EidOrderStrike, EidOrders, certificate_key,
};
pub use ending::{Endings, Unended};
pub use error::StoreError;
pub use id::{
    ApprovalId, BootId, CarrierId, CertificateId, DomainId, EidId, IdError, JobId, Node, OrderId,
    OrganisationId, ScheduledId,
};
pub use intent::{
    INTENTS_AT_ONCE, IntentBook, IntentNumber, IntentOutcome, IntentRow, IntentState,
    SIGNING_TRIES_LAST, VoidScope, VoidedCertificate, VoidedIntent,
};
pub use issuer::{
    Import, Imported, ImportedCertificate, ImportedChange, ImportedCrl, ImportedState,
    IssuerKeeping, IssuerRow, NewIssuer,
};
pub use job::{
    Alone, JobApproval, JobChange, JobError, JobForecast, JobItem, JobItemPage, JobPart, JobPlan,
    JobProgress, JobRow, JobSeen, JobSelector, JobStart, JobStep, JobStepAudit, JobTerm, JobWave,
    Jobs, NewJob, SelectionStep, SlowestSeen,
};
pub use key::{KeySurvey, RsaKey, SubjectKey};
pub use lease::{Fencing, LEASE, LeaseName, LeaseOutcome};
pub use limit::{AnswerOfStanding, NewPause, Pause, PauseEnd, Volume, VolumeStanding, Volumes};
pub use log::{Counts, Log, LogEntry, LogHead, PublishedHead, SignedCheckpoint, TakenOver};
pub use management::{
    ManagementCertificate, ManagementHolder, ManagementIntent, ManagementScope,
    OpenManagementIntent,
};
pub use order::{
    BegunOrder, HeldOrder, NewOrder, OrderAnswer, OrderKey, OrderProgress, OrderRow, OrderState,
    SharedText, StoredResponse,
};
pub use ordered::{
    AnswerOf, BegunWithIntent, IssuedAndAnswered, OrderStanding, OrderedIssuing, RefusedOrder,
};
pub use organisation::{OrganisationChange, OrganisationRow, Organisations};
pub use profile::{
    Issuance, IssuancePage, KeptIssuance, NumberedProfile, ProfileFile, ProfileVersions,
    RecordedProfile, new_profiles,
};
pub use protection::{ProtectedRow, Protection, ProtectionChange};
pub use read::{ReadRow, Reader, Reads, ReadsWanted, Shown, ShownId};
pub use receipt::{NewReceipt, ReceiptRow, ReceiptedEntry, Receipts};
pub use scheduled::{
    NewScheduled, RegisteredRequest, RevocationTarget, Scheduled, ScheduledFilter, ScheduledPage,
    ScheduledRow, ScheduledState, TakenRequest,
};
pub use sealing::{
    BlindIndex, FileKeySource, IndexTag, IndexTerm, KeySource, KeySourceError, SealingKeys, Subject,
};
pub use shard::{CrlShard, CrlShards, ShardPlaces};
pub use sql::connection::DatabaseError;
pub use sql::{PostgresServer, PostgresStore, SqliteStore};
pub use trial::{Trial, TrialCertificate, TrialOrder, TrialSight, Trials};
