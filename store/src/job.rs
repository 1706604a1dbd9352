//! Jobs as rows: many certificates revoked by one decision (REV-09, REV-11). What may follow what is for `ca::job` to say.

use std::time::Duration;

use ca::job::{JobState, OperationHash};
use ca::key_holder::HolderName;
use ca::role::Protected;
use status::{IssuerId, Position, ReceiptMethod, RevocationReason};
use thiserror::Error;
use x509::key::SpkiHash;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::certificate::StatusRow;
use crate::id::{CertificateId, JobId};
use crate::sealing::IndexTerm;

/// What one client may revoke or hold in an hour of UTC by its own word alone, singly and by jobs together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alone {
    /// The client.
    pub client: String,
    /// Certificates of an hour.
    pub most: u64,
}

/// Which certificates a job is about. Every given part must hold; and the certificate is not expired, its authority signs
/// here, and revoking it would change something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobSelector {
    /// Only of this issuer.
    pub issuer: Option<IssuerId>,
    /// Only of this profile.
    pub profile: Option<String>,
    /// Only of the version of a profile whose file has this SHA-256.
    pub profile_sha256: Option<[u8; 32]>,
    /// Only under this policy, dotted.
    pub policy: Option<String>,
    /// Only those that were signed here by this algorithm.
    pub algorithm: Option<String>,
    /// Only those that this client ordered.
    pub orderer: Option<String>,
    /// Only those whose intent was recorded at or after this; of imported ones, that begin at or after it.
    pub issued_from: Option<UnixTime>,
    /// Only those whose intent was recorded before this; of imported ones, that begin before it.
    pub issued_until: Option<UnixTime>,
    /// None of these profiles.
    pub excluded: Vec<String>,
    /// Only of eIDs of holders in the organisations of these numbers; empty: of whatever organisation, and of none.
    pub organisations: Vec<String>,
}

/// What a list names. A job with terms is about the certificates of its terms, as far as its selector holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobTerm {
    /// Certificates that are found by this term, such as a card's number.
    Card(IndexTerm),
    /// A certificate.
    Certificate(CertificateId),
    /// Certificates of a person: of his eIDs, and those that show his number.
    Holder(HolderName, IndexTerm),
    /// Certificates that name this HSA-id.
    HsaId(IndexTerm),
    /// Certificates of this key.
    Key(SpkiHash),
    /// A serial number, also one of which the log alone knows.
    Serial(IssuerId, SerialNumber),
}

/// What is to be done, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlan {
    /// Why; `None` for unspecified.
    pub reason: Option<RevocationReason>,
    /// Recorded reasons that this one corrects; certificates that are revoked for others are not selected.
    pub corrects: Vec<Option<RevocationReason>>,
    /// Certificates of a wave, at least one.
    pub wave: u32,
    /// Between waves.
    pub pause: Duration,
    /// Who plans it behind the client.
    pub actor: String,
    /// Why, in words: read by who approves.
    pub note: String,
    /// Which certificates.
    pub selector: JobSelector,
}

/// A job to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// The client that plans it.
    pub client: String,
    /// Who signed for that, whose statement has been taken; `None` where nobody did.
    pub signed_by: Option<IndexTerm>,
    /// The plan.
    pub plan: JobPlan,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// The client that planned it.
    pub client: String,
    /// The plan.
    pub plan: JobPlan,
    /// When it was planned.
    pub created: UnixTime,
    /// When it last changed.
    pub updated: UnixTime,
    /// How far the selection has come: rows looked at, and rows to look at.
    pub selecting: (u64, u64),
    /// What was frozen.
    pub frozen: Option<JobForecast>,
    /// Who agreed.
    pub approval: Option<JobApproval>,
    /// How far it has run.
    pub progress: JobProgress,
}

/// What a frozen selection comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobForecast {
    /// The hash of exactly what is to be done.
    pub operation: OperationHash,
    /// Certificates, and serials known from the log alone.
    pub items: u64,
    /// Terms of lists that name nothing here.
    pub unmatched: u64,
    /// Persons whose certificates they are.
    pub holders: u64,
    /// By authority.
    pub parts: Vec<JobPart>,
}

/// A forecast of one authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPart {
    /// Which.
    pub issuer: IssuerId,
    /// Its certificates in the selection.
    pub items: u64,
    /// Entries of its full CRL when the selection was frozen.
    pub listed: u64,
    /// Octets of its last full CRL; 0 where there was none.
    pub crl_octets: u64,
    /// Certificates of the selection that were not on the CRL.
    pub unlisted: u64,
    /// Octets that their entries take.
    pub octets: u64,
}

/// Who agreed to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobApproval {
    /// The client.
    pub client: String,
    /// Who acts behind it.
    pub actor: String,
    /// When.
    pub at: UnixTime,
}

/// How far a job has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobProgress {
    /// When it was started.
    pub started: Option<UnixTime>,
    /// Waves begun.
    pub wave: u32,
    /// When the next wave begins, while it waits for it.
    pub next: Option<UnixTime>,
    /// Certificates that it revoked.
    pub revoked: u64,
    /// Revoked ones whose reason it corrected.
    pub corrected: u64,
    /// Those that stood so already when their turn came.
    pub already: u64,
}

impl JobProgress {
    /// Certificates whose turn has come.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.revoked.saturating_add(self.corrected).saturating_add(self.already)
    }
}

/// A wave of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobWave {
    /// Its number, from 1.
    pub number: u32,
    /// When its first certificates were revoked.
    pub begun: UnixTime,
    /// When its last were.
    pub ended: Option<UnixTime>,
    /// Certificates whose turn has come in it.
    pub items: u64,
    /// Where the status log says the last of it.
    pub last: Option<Position>,
}

/// What the world has been seen to show of what a wave did, by one method (promise 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSeen {
    /// The wave.
    pub wave: u32,
    /// OCSP or CRL.
    pub method: ReceiptMethod,
    /// Entries that the wave wrote into the status log.
    pub entries: u64,
    /// Of them those that have a receipt.
    pub receipted: u64,
    /// And those that nobody waits for any more without one: their certificate ended or was changed again, no URL leads to
    /// them, or nobody looked in their time.
    pub left_out: u64,
    /// The log time of the oldest that waits.
    pub oldest: Option<UnixTime>,
    /// The one that took longest, of those with a receipt.
    pub slowest: Option<SlowestSeen>,
    /// When the last point had seen the last of them.
    pub last_seen: Option<UnixTime>,
}

impl JobSeen {
    /// Entries that wait for a receipt.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.entries.saturating_sub(self.receipted).saturating_sub(self.left_out)
    }
}

/// The revocation of a wave that took longest to be seen everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowestSeen {
    /// From its log time until the last point had seen it.
    pub took: Duration,
    /// Whose.
    pub issuer: IssuerId,
    /// Which.
    pub serial: SerialNumber,
}

/// A certificate of a frozen selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobItem {
    /// Who issued it.
    pub issuer: IssuerId,
    /// Its serial number.
    pub serial: SerialNumber,
    /// Its id; `None` where the log alone knows the serial.
    pub certificate: Option<CertificateId>,
    /// How it stands.
    pub status: StatusRow,
}

/// A part of a frozen selection, in the order in which it is revoked.
#[derive(Clone, Debug)]
pub struct JobItemPage {
    /// At most as many as were asked for.
    pub items: Vec<JobItem>,
    /// Where it goes on; `None` at the end.
    pub next: Option<u64>,
}

/// An act on a job by a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobChange {
    /// Which.
    pub job: JobId,
    /// The client.
    pub client: String,
    /// Who acts behind it, by its word.
    pub actor: String,
    /// Who signed for the act, whose statement has been taken; `None` where nobody did.
    pub signed_by: Option<IndexTerm>,
}

/// The start of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobStart {
    /// What is started: the hash of the forecast.
    pub operation: OperationHash,
    /// What the client may revoke alone in an hour.
    pub alone: u64,
}

/// What a step of a selection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectionStep {
    /// There is more to look at.
    More,
    /// All has been looked at: it can be frozen.
    Complete,
    /// The job is not being selected.
    Elsewhere(JobState),
}

/// What a step of a running job came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStep {
    /// It does not run.
    Elsewhere(JobState),
    /// It waits for its next wave.
    Waits(UnixTime),
    /// Certificates had their turn.
    Taken {
        /// The job, with them.
        job: Box<JobRow>,
        /// How many, of which wave.
        items: u32,
        /// Whose.
        issuers: Vec<IssuerId>,
        /// The first and the last status entry; `None` where all stood so already.
        entries: Option<(Position, Position)>,
        /// Whether the wave ended with them; the job is done if it was the last.
        wave_ended: Option<u32>,
    },
}

/// Makes the audit record of a step, from what it came to. It runs inside the act.
pub type JobStepAudit = Box<dyn FnOnce(&JobStep) -> AuditRecord + Send>;

/// A job is not as an act needs it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JobError {
    /// There is none of this id.
    #[error("job {job} is not known")]
    Unknown {
        /// The id.
        job: JobId,
    },
    /// Its state does not allow the act.
    #[error("job is in state {state}")]
    State {
        /// The state.
        state: JobState,
    },
    /// The hash is that of another operation.
    #[error("operation of the job is {operation}")]
    Operation {
        /// The job's.
        operation: OperationHash,
    },
    /// Who approves is who asked.
    #[error("client {client}, actor {actor} planned the job")]
    SameHand {
        /// The client that planned it.
        client: String,
        /// Who acted behind it.
        actor: String,
    },
    /// Another client than the one that planned it: whoever starts a job may not approve it either.
    #[error("client {client} planned the job")]
    OtherHand {
        /// The client that planned it.
        client: String,
    },
    /// Neither a list nor a condition: it would be about every certificate there is.
    #[error("job names neither a list nor a condition")]
    SelectsAll,
}

impl JobError {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "job-unknown",
            Self::State { .. } => "job-state",
            Self::Operation { .. } => "job-operation-differs",
            Self::SameHand { .. } => "job-approval-own",
            Self::OtherHand { .. } => "job-start-other",
            Self::SelectsAll => "job-selects-all",
        }
    }
}

/// The part of [`Store`](crate::Store) that revokes by decision.
pub trait Jobs {
    /// Records a plan. A job of the same id that is there already stays as it is.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn plan_job(&self, job: &NewJob, audit: &AuditRecord, now: UnixTime) -> Result<(), StoreError>;

    /// Adds terms to a draft by the client that planned it; those that are there already stay. Returns how many the job
    /// has.
    ///
    /// # Errors
    ///
    /// [`JobError::Unknown`]; [`JobError::OtherHand`]; [`JobError::State`] unless it is a draft.
    fn add_job_terms(
        &self,
        job: JobId,
        client: &str,
        terms: &[JobTerm],
        now: UnixTime,
    ) -> Result<u64, StoreError>;

    /// Begins the selection by the client that planned it. One that has begun goes on.
    ///
    /// # Errors
    ///
    /// [`JobError::Unknown`], [`JobError::OtherHand`], [`JobError::State`], [`JobError::SelectsAll`] for a job without
    /// terms whose selector says nothing.
    fn begin_selection(
        &self,
        change: &JobChange,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// Looks at the next rows of a selection: some thousands.
    ///
    /// # Errors
    ///
    /// [`JobError::Unknown`], storage errors.
    fn select_some(&self, job: JobId, now: UnixTime) -> Result<SelectionStep, StoreError>;

    /// Freezes a complete selection under its hash.
    ///
    /// # Errors
    ///
    /// [`JobError::Unknown`]; [`JobError::State`] unless it is being selected and complete.
    fn freeze_job(
        &self,
        job: JobId,
        audit: &(dyn Fn(&JobForecast) -> AuditRecord + Sync),
        now: UnixTime,
    ) -> Result<JobForecast, StoreError>;

    /// Starts a job by the client that planned it: it runs where the hour's count of that client has room for all of it,
    /// and waits for an approval otherwise. Starting it again changes nothing. Returns where it stands.
    ///
    /// # Errors
    ///
    /// [`JobError::Unknown`], [`JobError::OtherHand`], [`JobError::State`], [`JobError::Operation`] for another hash than
    /// the frozen one.
    fn start_job(
        &self,
        change: &JobChange,
        start: &JobStart,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<JobState, StoreError>;

    /// Approves a job that waits: it runs. Approving it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`JobError::Unknown`], [`JobError::State`], [`JobError::Operation`], [`JobError::SameHand`] for the client or
    /// the person that planned it, and for the administrator who signed for its plan or its start.
    fn approve_job(
        &self,
        change: &JobChange,
        operation: OperationHash,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// Pauses, resumes or cancels. Doing so again changes nothing.
    ///
    /// # Errors
    ///
    /// [`JobError::Unknown`], [`JobError::State`].
    fn turn_job(
        &self,
        change: &JobChange,
        act: ca::job::JobAct,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// Gives the next certificates of a running job their turn, `most` at most and none beyond the wave: states, entries,
    /// audit leaf and how far the job has come, in one act.
    ///
    /// # Errors
    ///
    /// [`JobError::Unknown`], storage errors. The job is as it was then.
    fn run_job(
        &self,
        job: JobId,
        most: u32,
        audit: JobStepAudit,
        now: UnixTime,
    ) -> Result<JobStep, StoreError>;

    /// One job.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn job(&self, job: JobId) -> Result<Option<JobRow>, StoreError>;

    /// All jobs, newest first, at most 1000.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn jobs(&self) -> Result<Vec<JobRow>, StoreError>;

    /// Jobs that are being selected or run, oldest first.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn jobs_at_work(&self) -> Result<Vec<JobId>, StoreError>;

    /// The waves of a job, in order.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn job_waves(&self, job: JobId) -> Result<Vec<JobWave>, StoreError>;

    /// What the world has been seen to show of a job, by wave and method, in order: it is counted as receipts come, so that
    /// asking costs no look at the items. Waves that wrote nothing are left out, and those of before migration 19.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn job_seen(&self, job: JobId) -> Result<Vec<JobSeen>, StoreError>;

    /// The selection of a job, as far as it is selected and `protected` sees it: it revokes what is a protected person's as everything else.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn job_items(
        &self,
        job: JobId,
        after: u64,
        limit: u32,
        protected: Protected,
    ) -> Result<JobItemPage, StoreError>;

    /// Certificates that fit the selection and came after it was begun: the job does not revoke them.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn job_rest(&self, job: JobId, now: UnixTime) -> Result<u64, StoreError>;
}
