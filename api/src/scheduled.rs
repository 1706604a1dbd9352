//! Revocations of later, and requests that were taken on paper or by telephone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::Actor;
use crate::revocation::{BusinessEvent, ReasonCode};

/// `POST /v1/scheduled-revocations`: exactly one of `certificate`, `eid`, `carrier` and `holder_of`, and one of `at` and `last_day`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRequest {
    /// Revokes this certificate: `crt_` and a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Revokes the certificates of this eID, also those that it gets until then: `eid_` and a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eid: Option<String>,
    /// Revokes every eID on this carrier, also those that come onto it until then: `car_` and a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// Revokes every eID that the holder of this one has then in its organisation, on whatever carrier: `eid_` and a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_of: Option<String>,
    /// The second at which it counts as asked for (RFC 3339), at most five years from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub at: Option<String>,
    /// The last day on which it still holds, by Swedish time: it strikes at the first second of the day after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date")]
    pub last_day: Option<String>,
    /// Why. May be left out where `event` says what will have happened, and must be the event's reason where both are there; no hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
    /// What will have happened. It must reach as far as what is named: nobody is there to read how much more it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<BusinessEvent>,
    /// Who acts behind the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

/// `POST /v1/scheduled-revocations/{id}/cancellation`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleCancellation {
    /// Who acts behind the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

/// Where a revocation of later stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduledState {
    /// It has not been carried out.
    Waiting,
    /// It has.
    Done,
    /// It was taken back before its time.
    Cancelled,
}

/// A revocation of later.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScheduledRevocation {
    /// `rev_` and a UUID.
    pub id: String,
    /// The certificate that it revokes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The eID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eid: Option<String>,
    /// The carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The eID whose holder it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_of: Option<String>,
    /// Number of the organisation for which it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The second at which it counts as asked for.
    pub at: String,
    /// Why; absent for unspecified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
    /// What will have happened, by its name in docs/revocation-events.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Where it stands.
    pub state: ScheduledState,
    /// The client that asked for it.
    pub client: String,
    /// When that was.
    pub created: String,
    /// When it was carried out or taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// To how many certificates it did something; only of one that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<u64>,
}

/// By which way a request came while the CA could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RequestWay {
    /// On a form.
    Paper,
    /// By telephone.
    Telephone,
    /// By somebody who came.
    Visit,
    /// In a letter or message.
    Message,
}

/// A request that was taken while the CA could not be reached. Exactly one of `certificate`, `serial` with `authority`, `card_number` and `eid`. A text
/// that does not fit refuses its own line, and no other: so the contract has no pattern for it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakenRequest {
    /// What stands on the form, its number: 1 to 64 visible ASCII characters. A client registers each once; sent again it is told what became of it.
    pub reference: String,
    /// When it was asked for (RFC 3339): at most 31 days before the call, and not after it.
    pub requested_at: String,
    /// Who asked: an opaque id, such as the HSA-id, or the role, never a name or number of a person; 1 to 100 characters.
    pub asked_by: String,
    /// By which way.
    pub way: RequestWay,
    /// `crt_` and a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Short name of the authority that gave the serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// A certificate's serial number, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The number on a card, 19 digits: every eID on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_number: Option<String>,
    /// `eid_` and a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eid: Option<String>,
    /// Why. May be left out where `event` says what has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
    /// What has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<BusinessEvent>,
}

/// `POST /v1/revocation-requests`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakenRequests {
    /// 1 to 100, each carried out and answered for itself, in this order.
    #[schema(min_items = 1, max_items = 100)]
    pub requests: Vec<TakenRequest>,
    /// Who registers them, behind the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RegisteredOutcome {
    /// Certificates were revoked or held for it, or a graver reason was noted.
    Done,
    /// All of them stood so already, or there is none that has not ended.
    AlreadySo,
    /// It was not carried out; `problem` says why. Its reference is free.
    Refused,
}

/// Why a request of a list was not carried out.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RequestProblem {
    /// The stable code.
    pub code: String,
    /// What was refused.
    pub detail: String,
    /// What to do next.
    pub next: String,
}

/// A request of the list, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RegisteredRequest {
    /// Its place in the call; the first is 1.
    pub line: u32,
    /// What stands on its form.
    pub reference: String,
    /// What became of it.
    pub outcome: RegisteredOutcome,
    /// When it was registered: by this call, or by an earlier one that sent the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<String>,
    /// Certificates that were revoked or held for it.
    #[serde(default)]
    pub revoked: u64,
    /// Those of which a graver reason was noted.
    #[serde(default)]
    pub corrected: u64,
    /// Those that stood so already.
    #[serde(default)]
    pub already: u64,
    /// Living certificates with the card's number that belong to no eID and were not revoked (`sigill revoke --cards`).
    #[serde(default)]
    pub unbound: u64,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<RequestProblem>,
}

/// The answer to a list of requests, in its order.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RegisteredRequests {
    /// One each.
    pub items: Vec<RegisteredRequest>,
}
