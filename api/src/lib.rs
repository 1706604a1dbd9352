//! Wire types of the `sigill-ca` API: the JSON that portals send and receive.
//!
//! Shared by the server and the command line, so that they cannot drift apart. These types carry
//! no rule: the server turns them into the words of the core once, at its edge. Unknown fields are
//! refused, so that a misspelt field is an answer and not a silence.
//!
//! Times are RFC 3339 in UTC. Ids are opaque strings with a prefix that names their kind.

pub mod approval;
pub mod authority;
pub mod certificate;
pub mod client;
pub mod diagnosis;
pub mod domain;
mod eid;
pub mod job;
pub mod limit;
pub mod order;
pub mod organisation;
pub mod page;
pub mod probe;
pub mod problem;
pub mod profile;
pub mod protection;
pub mod query;
pub mod read;
pub mod receipt;
pub mod register;
pub mod revocation;
pub mod scheduled;
pub mod step;
pub mod trial;

pub use approval::{
    Approval, ApprovalDecision, ApprovalDecisionRequest, ApprovalPerson, ApprovalQuery,
    ApprovalRequest, ApprovalStage, ApprovalWithdrawalRequest,
};
pub use authority::{Authority, AuthorityCrl, CrlShard};
pub use certificate::{
    Actor, AlternativeNames, Certificate, CertificateState, IssueRequest, Origin, SubjectFields,
};
pub use client::{ClientCredential, RenewalRequest};
pub use diagnosis::{
    DiagnosedCertificate, Diagnosis, DiagnosisObstacle, DiagnosisRequest, DiagnosisUse,
};
pub use domain::{
    Domain, DomainActRequest, DomainProof, DomainProofRequest, DomainRequest, DomainState,
    FunctionFields,
};
pub use eid::{
    Carrier, CarrierLookup, CarrierMove, CarrierRegistration, CarrierStage, Eid, EidSearch,
    EidStage, RegisteredCarriers,
};
pub use job::{
    Job, JobAct, JobActRequest, JobItem, JobRequest, JobSelector, JobSerial, JobState, JobTerms,
    JobTermsRequest,
};
pub use limit::{LimitPause, LimitStanding, ResumptionRequest, SuddenLimit};
pub use order::OrderFields;
pub use organisation::{
    Organisation, OrganisationChangeRequest, OrganisationEndRequest, OrganisationKind,
    OrganisationRequest,
};
pub use page::Page;
pub use probe::{
    ObservationsRequest, ObservationsTaken, ProbeLook, ProbeTarget, ProbeWork, RefusedObservation,
};
pub use problem::Problem;
pub use profile::{
    ReplayDifference, ReplayItem, ReplayOutcome, ReplayPage, ReplayRefusal, ReplayRequest,
};
pub use protection::{ProtectedPerson, Protection, ProtectionClass, ProtectionRequest};
pub use query::{
    CarrierQuery, CertificateQuery, DomainQuery, EidOrderQuery, EidQuery, OrganisationQuery,
    PageQuery, ProtectedQuery, ScheduledQuery, ShardQuery, TrialQuery, WorkQuery,
};
pub use read::{PersonRead, ReadSearch};
pub use receipt::{Receipt, ReceiptMethod, ReceiptRequest, Receipts};
pub use register::{RegisterLookup, RegisterSays};
pub use revocation::{
    BusinessEvent, EventReach, ReasonCode, ReleaseRequest, RevocationRequest, SerialStatus,
    StatusOutcome,
};
pub use scheduled::{
    RegisteredOutcome, RegisteredRequest, RegisteredRequests, RequestProblem, RequestWay,
    ScheduleCancellation, ScheduleRequest, ScheduledRevocation, ScheduledState, TakenRequest,
    TakenRequests,
};
pub use step::{
    EidOrder, EidOrderCertificateRequest, EidOrderDue, EidOrderEvidence, EidOrderIssuance,
    EidOrderParked, EidOrderReceipt, EidOrderReceiptRequest, EidOrderReplaced, EidOrderReplaces,
    EidOrderRequest, EidOrderStep, EidOrderStepRequest,
};
pub use trial::{TrialRevocation, TrialRevocations, TrialSight, TrialSummary};

/// Header that names one order: required on every POST that acts, at most 200 visible ASCII characters.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Header with the statement of the administrator who acts: a JSON Web Signature about this call (docs/formats/actor-statement.md).
pub const ACTOR_STATEMENT: &str = "Sigill-Actor-Statement";
/// Header that names the approval of this call by another person: `apr_` and a UUID.
pub const APPROVAL: &str = "Sigill-Approval";
/// Header of an answer that was given before to the same key and body.
pub const IDEMPOTENCY_REPLAYED: &str = "Idempotency-Replayed";
/// Header of every answer: the deployment it comes from, `environment/pki/instance`.
pub const DEPLOYMENT: &str = "Sigill-Deployment";
/// Header of every answer: the id by which log, audit and problem speak of this call.
pub const CORRELATION_ID: &str = "Sigill-Correlation-Id";
/// Header of answers that rest on the status log: the position, `epoch.index`.
pub const POSITION: &str = "Sigill-Position";
