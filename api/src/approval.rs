//! What one person asks for and another one approves.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalStage {
    /// Nobody has decided.
    Waiting,
    /// Another person has approved; the call has not come.
    Approved,
    /// Another person has said no.
    Rejected,
    /// Who asked has taken it back.
    Withdrawn,
    /// Its time is over.
    Expired,
    /// The call has come.
    Used,
}

/// `POST /v1/approvals`: asks for another person's approval of a call, which is then made as it stands here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// The method of the call: `POST`.
    #[schema(max_length = 8)]
    pub method: String,
    /// Its path, without a query.
    #[schema(max_length = 300)]
    pub path: String,
    /// Its body, octet for octet as it will be sent.
    #[schema(max_length = 65536)]
    pub body: String,
    /// Why, in words without personal data; whoever decides reads it.
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub why: String,
}

/// `POST /v1/approvals/{id}/decision`: another person's yes or no.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDecisionRequest {
    /// Yes or no.
    pub decision: ApprovalDecision,
    /// The hash of the call that was looked at: `sha256` of the request.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// Why, in words without personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub why: Option<String>,
}

/// What another person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalDecision {
    /// Yes.
    Approve,
    /// No; also to what was approved, as long as the call has not come.
    Reject,
}

/// `POST /v1/approvals/{id}/withdrawal`: who asked takes it back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalWithdrawalRequest {
    /// Why, in words without personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub why: Option<String>,
}

/// Somebody who asked or decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalPerson {
    /// The HSA-id of the statement.
    pub id: String,
    /// The role of the statement.
    pub role: String,
    /// The client that the call came by.
    pub client: String,
    /// When.
    pub at: String,
    /// Why; absent where nothing was said, and in lists and answers of acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A request for an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// `apr_` and a UUID: what the call names in the header Sigill-Approval.
    pub id: String,
    /// Where it stands.
    pub stage: ApprovalStage,
    /// The same as card administrators read it.
    pub stage_sv: String,
    /// The operation of the call, as this contract names it.
    pub operation: String,
    /// The method of the call; absent once the person whose it is was forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path of the call; absent as the method is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The body of the call; of one request that is shown, and of no list and no answer of an act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The hash of the call: what a decision names.
    pub sha256: String,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<ApprovalPerson>,
    /// Who decided last, or withdrew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<ApprovalPerson>,
    /// From then on it counts no more.
    pub expires: String,
    /// When the call came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
}

/// Which requests a list has.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApprovalQuery {
    /// only those that stand there: waiting, approved, rejected, withdrawn, expired or used.
    #[param(pattern = "^(waiting|approved|rejected|withdrawn|expired|used)$")]
    pub stage: Option<String>,
    /// `next` of the page before
    #[param(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
    /// at most so many, 1 to 100; 100 when left out.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}
