//! Jobs: many certificates revoked by one decision.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::receipt::ReceiptMethod;
use crate::revocation::ReasonCode;

/// Which certificates. Every given part must hold; none selects all unexpired certificates of subscribers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobSelector {
    /// Only of this authority, by its short name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Only of this profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Only of this version of the profile, by the SHA-256 of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub profile_sha256: Option<String>,
    /// Only under this policy, dotted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Only signed by this algorithm here, such as `rsa-pkcs1-sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Only ordered by this client: with times, an issuing batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_by: Option<String>,
    /// Only issued at or after this time (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub issued_from: Option<String>,
    /// Only issued before this time (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub issued_until: Option<String>,
    /// Only of eIDs of holders in this organisation (`org_` and a UUID) and in what lies under it, by the numbers that these have now.
    /// In answers `organisations` has the numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Only of eIDs of holders in organisations of these numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub organisations: Vec<String>,
}

/// `POST /v1/jobs`: plans a job. Nothing is revoked by it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Why the certificates are revoked; not `certificateHold`.
    pub reason: ReasonCode,
    /// Which.
    #[serde(default)]
    pub selector: JobSelector,
    /// Certificates of a wave, 1 to 1 000 000.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub wave: u32,
    /// Seconds between waves, at most a day.
    #[schema(maximum = 86_400)]
    pub pause: u32,
    /// Who plans it behind the client, by an id.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub actor: String,
    /// Why, in words: whoever approves reads it.
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub note: String,
}

/// `POST /v1/jobs/{id}/terms`: adds to the lists of a planned job. A job with lists is about what they name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobTermsRequest {
    /// Card numbers (kortserienummer).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<String>,
    /// SHA-256 of SubjectPublicKeyInfo, 64 digits of hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Serial numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<JobSerial>,
    /// Ids of certificates, `crt_…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// Persons by their personal or coordination numbers, 12 digits: the certificates of their eIDs in all organisations, and those that
    /// show the number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<String>,
    /// HSA-ids: the certificates that name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hsa_ids: Vec<String>,
}

/// A serial number of an authority.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobSerial {
    /// Short name of the authority.
    pub authority: String,
    /// The serial number, hexadecimal.
    #[schema(pattern = "^([0-9A-Fa-f]{2}){1,20}$")]
    pub serial: String,
}

/// How many terms a job has.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobTerms {
    /// All of its lists.
    pub terms: u64,
}

/// What is to happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobAct {
    /// Select its certificates, freeze and count them.
    Forecast,
    /// Revoke them: at once within what the client may alone, after an approval otherwise. Needs `operation`.
    Start,
    /// Agree, as another client and another person. Needs `operation`.
    Approve,
    /// Stop for now.
    Pause,
    /// Go on.
    Resume,
    /// Stop for good.
    Cancel,
}

/// `POST /v1/jobs/{id}/acts`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobActRequest {
    /// What.
    pub act: JobAct,
    /// The hash of the forecast: what is started or approved is exactly this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub operation: Option<String>,
    /// Who acts behind the client, by an id.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub actor: String,
    /// Why, in words; goes into the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub note: Option<String>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Planned; lists may be added.
    Draft,
    /// Its certificates are being looked for.
    Selecting,
    /// Frozen and counted; nothing has been revoked.
    Forecast,
    /// Waits for another client's approval.
    Waiting,
    /// Revokes.
    Running,
    /// Stopped for now.
    Paused,
    /// Stopped for good.
    Cancelled,
    /// All of its certificates are revoked.
    Done,
}

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// `job_` and a UUID.
    pub id: String,
    /// Where it stands.
    pub state: JobState,
    /// The client that planned it.
    pub client: String,
    /// Who planned it behind the client.
    pub actor: String,
    /// Why, in words.
    pub note: String,
    /// Why the certificates are revoked.
    pub reason: ReasonCode,
    /// Which.
    pub selector: JobSelector,
    /// Certificates of a wave.
    pub wave: u32,
    /// Seconds between waves.
    pub pause: u32,
    /// When it was planned.
    pub created: String,
    /// When it last changed.
    pub updated: String,
    /// Rows looked at so far, and to look at, while it is being selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selecting: Option<JobSelecting>,
    /// What it comes to, once it is frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<JobForecast>,
    /// Who agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<JobApproval>,
    /// How far it has run, once it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobProgress>,
    /// Certificates that fit it and were issued after it was selected: another job must revoke them. Only where one job
    /// is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_since: Option<u64>,
    /// How much of what it did the world has been seen to show, by method. Only where one job is shown that has revoked
    /// something, and where receipts are made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<JobReceipts>,
    /// Its waves, oldest first. Only where one job is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<JobWave>,
}

/// How far a selection has come.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobSelecting {
    /// Rows looked at.
    pub rows: u64,
    /// Rows to look at.
    pub of: u64,
}

/// What a job comes to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobForecast {
    /// SHA-256 of exactly what is to be done (docs/formats/revocation-job.md).
    pub operation: String,
    /// Certificates.
    pub certificates: u64,
    /// Persons whose they are: who is to be told, and gets new ones.
    pub holders: u64,
    /// Terms of lists that name nothing here.
    pub unmatched_terms: u64,
    /// Waves.
    pub waves: u64,
    /// Seconds from start to end, pauses included.
    pub seconds: u64,
    /// CRLs that are signed meanwhile, at most; those of shards are among them.
    pub crl_signatures: u64,
    /// OCSP answers that are signed anew when they are next asked for, at most.
    pub ocsp_answers: u64,
    /// By authority.
    pub authorities: Vec<JobPart>,
}

/// What a job comes to for one authority.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobPart {
    /// Its short name.
    pub authority: String,
    /// Certificates.
    pub certificates: u64,
    /// Entries of its full CRL when the selection was frozen.
    pub crl_entries: u64,
    /// And after the job.
    pub crl_entries_after: u64,
    /// Octets of its last full CRL.
    pub crl_octets: u64,
    /// And after the job.
    pub crl_octets_after: u64,
    /// Shards of its CRL whose lists go on: so many lists more may be signed after each wave.
    #[serde(default)]
    pub crl_shards: u64,
    /// Octets of their last lists together.
    #[serde(default)]
    pub crl_shard_octets: u64,
    /// And after the job, at most: as if each certificate were in a shard.
    #[serde(default)]
    pub crl_shard_octets_after: u64,
}

/// Who agreed to a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobApproval {
    /// The client.
    pub client: String,
    /// Who acted behind it.
    pub actor: String,
    /// When.
    pub at: String,
}

/// How far a job has run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobProgress {
    /// When it was started.
    pub started: String,
    /// Certificates whose turn has come.
    pub done: u64,
    /// Those that it revoked.
    pub revoked: u64,
    /// Revoked ones whose reason it corrected.
    pub corrected: u64,
    /// Those that stood so already.
    pub already: u64,
    /// When the next wave begins, while it waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_wave: Option<String>,
}

/// A wave of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobWave {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    pub begun: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Certificates whose turn has come in it.
    pub certificates: u64,
    /// Where the status log says the last of it, `epoch.index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// How much of what it did the world has been seen to show, by method; as of the job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<JobReceipts>,
}

/// How much of what a job, or a wave of one, did the world has been seen to show, by one method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobReceipts {
    /// How it was looked.
    pub method: ReceiptMethod,
    /// Entries that it wrote into the status log: one of each certificate that was not revoked so already.
    pub of: u64,
    /// Of them those that have a receipt.
    pub receipted: u64,
    /// Those that wait for one.
    pub waiting: u64,
    /// And those that nobody waits for any more without one: the certificate ended, was changed again, or no URL leads to its status.
    pub left_out: u64,
    /// Seconds past which a revocation without a receipt is alarmed.
    pub limit_seconds: u64,
    /// Seconds since the revocation of the oldest that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting_seconds: Option<u64>,
    /// Seconds from the revocation until the last point had seen it, of the slowest of those with a receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest_seconds: Option<u64>,
    /// That certificate's authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest_authority: Option<String>,
    /// And its serial number, upper-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest_serial: Option<String>,
    /// When the last point had seen the last of them, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
}

impl JobReceipts {
    /// Whether one waits for longer than the limit: an alarm rings.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.oldest_waiting_seconds.is_some_and(|seconds| seconds > self.limit_seconds)
    }
}

/// A certificate of a job's selection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobItem {
    /// Its id; absent where the log alone knows the serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// How it stands.
    #[serde(flatten)]
    pub status: crate::revocation::SerialStatus,
}
