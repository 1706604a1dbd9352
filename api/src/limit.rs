//! How many certificates clients order in an hour, and pauses.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a client stands with a profile in this hour.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitStanding {
    /// The client.
    pub client: String,
    /// The profile.
    pub profile: String,
    /// Certificates ordered since the hour, of UTC, began.
    pub issued: u64,
    /// Seven times the mean of the same hour on the seven days before, or on those that were counted; or seven times what
    /// an operator has accepted since.
    pub usual: u64,
    /// Certificates that the hour allows; absent where there is no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u64>,
    /// What pauses; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudden: Option<SuddenLimit>,
    /// The pause, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<LimitPause>,
}

/// What counts as a sudden change.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SuddenLimit {
    /// More than so many times the mean of the same hour on the seven days before.
    pub times: u64,
    /// And at least so many certificates in the hour.
    pub at_least: u64,
}

/// A pause: the client gets nothing more under the profile until an operator ends it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitPause {
    /// Since when.
    pub since: String,
    /// Certificates of the hour that paused it, the refused one included.
    pub issued: u64,
    /// What was usual then: seven times the mean of the same hour on the days before.
    pub usual: u64,
}

/// `POST /v1/limits/resumption`: ends a pause.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumptionRequest {
    /// The client that is to go on.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub client: String,
    /// The profile under which it was paused.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub profile: String,
    /// Who decided that, by an id or a name; goes into the audit log.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub actor: String,
    /// What was found out about the change; goes into the audit log.
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub note: String,
}
