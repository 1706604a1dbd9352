//! What listings take in their URLs, each by one type. No parameter holds personal data (API-11): questions that name a person have a
//! body.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::certificate::CertificateState;
use crate::organisation::OrganisationKind;

/// `GET /v1/certificates`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CertificateQuery {
    /// the certificate of this SHA-256
    #[param(pattern = "^[0-9A-Fa-f]{64}$")]
    pub sha256: Option<String>,
    /// only of this authority
    pub authority: Option<String>,
    /// this serial of `authority`
    #[param(pattern = "^([0-9A-Fa-f]{2}){1,20}$")]
    pub serial: Option<String>,
    /// only of this profile
    pub profile: Option<String>,
    /// only in this state
    #[param(value_type = Option<CertificateState>)]
    pub state: Option<String>,
    /// only of this order
    #[param(pattern = "^ord_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]
    pub order: Option<String>,
    /// only of eIDs of holders in the organisation of this number; who is limited to organisations names one of them, unless it asks by
    /// SHA-256 or serial
    pub organisation: Option<String>,
    /// only of this eID; `none`: only those that belong to none (issued before eIDs were kept, imported, or without an order)
    #[param(
        pattern = "^(none|eid_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})$"
    )]
    pub eid: Option<String>,
    /// `next` of the page before
    #[param(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
    /// rows, 1 to 1000; 100 when left out
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// `GET /v1/eids`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EidQuery {
    /// number of the holder's organisation; who is limited to organisations names one of them
    pub organisation: Option<String>,
    /// only on this carrier
    pub carrier: Option<String>,
    /// only the one of this certificate
    pub certificate: Option<String>,
    /// `next` of the page before
    #[param(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
    /// 1 to 1000, 100 unless given
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// `GET /v1/carriers`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CarrierQuery {
    /// number of the organisation that they were registered for; who is limited to organisations names one of them
    pub organisation: Option<String>,
    /// only those that stand there before a certificate: ordered, sent, blank, cancelled or deregistered
    #[param(pattern = "^(ordered|sent|blank|cancelled|deregistered)$")]
    pub stage: Option<String>,
    /// `next` of the page before
    #[param(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
    /// 1 to 1000, 100 unless given
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// `GET /v1/orders`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EidOrderQuery {
    /// number of the holder's organisation; who is limited to organisations names one of them
    pub organisation: Option<String>,
    /// only those whose deadline is over at this time, RFC 3339 in UTC: what strikes until then
    #[param(format = "date-time")]
    pub due_before: Option<String>,
    /// only those that replace what the CA revokes by itself until this time, RFC 3339 in UTC
    #[param(format = "date-time")]
    pub strikes_before: Option<String>,
    /// only those that are parked since the database was put back from a backup, or, with `false`, only the others
    pub parked: Option<bool>,
    /// `next` of the page before
    #[param(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
    /// 1 to 1000, 100 unless given
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// `GET /v1/organisations`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrganisationQuery {
    /// only of this kind
    #[param(value_type = Option<OrganisationKind>)]
    pub kind: Option<String>,
    /// only this organisation and what lies under it
    pub under: Option<String>,
    /// only those that are there on this day, such as 2026-11-23
    #[param(format = "date")]
    pub on: Option<String>,
    /// `next` of the page before
    #[param(pattern = "^org_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]
    pub cursor: Option<String>,
    /// 1 to 1000, 1000 unless given
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// `GET /v1/domains`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DomainQuery {
    /// only those of this organisation and of what lies under it
    pub organisation: Option<String>,
    /// only those that cover this DNS name
    pub covers: Option<String>,
    /// only those that are not withdrawn and whose newest proof ends before this time, RFC 3339 in UTC; those that ran out too
    #[param(format = "date-time")]
    pub until_before: Option<String>,
    /// `next` of the page before
    #[param(pattern = "^dom_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]
    pub cursor: Option<String>,
    /// 1 to 1000, 1000 unless given
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// `GET /v1/jobs/{id}/items`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next` of the page before
    #[param(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
    /// rows, 1 to 1000; 1000 when left out
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// `GET /v1/protected-persons`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProtectedQuery {
    /// `next` of the page before
    #[param(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
    /// persons, 1 to 100; 100 when left out
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// `GET /v1/scheduled-revocations`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ScheduledQuery {
    /// only those asked for the organisation of this number; a client that is limited to organisations names one
    pub organisation: Option<String>,
    /// only those that wait and strike at this time or before, RFC 3339 in UTC
    #[param(format = "date-time")]
    pub due_before: Option<String>,
    /// only those that stand there
    #[param(inline)]
    pub state: Option<crate::scheduled::ScheduledState>,
    /// `next` of the page before
    #[param(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
    /// rows, 1 to 1000; 100 when left out
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// `GET /v1/authorities/{name}/shards`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShardQuery {
    /// `next` of the page before
    #[param(pattern = "^[0-9]*[1-9][0-9]*$", min_length = 6, max_length = 6)]
    pub cursor: Option<String>,
    /// rows, 1 to 100; 100 when left out
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// `GET /v1/trial-revocations`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrialQuery {
    /// so many at most, 1 to 1000; 100 when left out
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// `GET /v1/probe/work`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WorkQuery {
    /// `next` of the page before
    pub after: Option<i64>,
}
