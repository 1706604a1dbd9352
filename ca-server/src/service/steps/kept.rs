//! What is kept of the steps of an order, sealed: types of their own, so that the API can change without what was said before.
//!
//! A row says its version. Rows of before have none: they hold what the calls of that time said, in the same words as version 1. What a
//! later version says is not read by this one.

use api::certificate::{AlternativeNames, SubjectFields};
use api::order::{
    OrderCarrier, OrderEid, OrderIdentity, OrderOrganisation, OrderOrganisations, OrderPassport,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::unwritable;
use crate::denied::Denied;
use crate::service::revoke::event_of;

/// The version that is written.
const VERSION: u32 = 1;

/// What is kept of a step.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Said {
    /// Rows of before have none.
    #[serde(default)]
    version: u32,
    /// Who took it; nobody of what the program does.
    pub(super) by: Option<String>,
    /// In which role he said he acts.
    pub(super) acts: Option<String>,
    /// What the call said, or what was made of it.
    pub(super) body: Value,
}

/// A row that does not read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

impl Said {
    pub(super) const fn new(by: Option<String>, acts: Option<String>, body: Value) -> Self {
        Self { version: VERSION, by, acts, body }
    }

    pub(super) fn written(&self) -> Result<Vec<u8>, Denied> {
        serde_json::to_vec(self).map_err(|_| unwritable())
    }

    pub(super) fn read(octets: &[u8]) -> Result<Self, Unreadable> {
        let said: Self = serde_json::from_slice(octets).map_err(|_| Unreadable)?;
        if said.version <= VERSION { Ok(said) } else { Err(Unreadable) }
    }

    pub(super) fn order(&self) -> Result<api::EidOrderRequest, Unreadable> {
        self.body_as::<KeptOrder>().map(Into::into)
    }

    pub(super) fn evidence(&self) -> Result<api::EidOrderEvidence, Unreadable> {
        self.body_as::<KeptEvidence>().map(Into::into)
    }

    pub(super) fn receipt(&self) -> Result<api::EidOrderReceipt, Unreadable> {
        self.body_as::<KeptReceipt>().map(Into::into)
    }

    fn body_as<T: DeserializeOwned>(&self) -> Result<T, Unreadable> {
        T::deserialize(&self.body).map_err(|_| Unreadable)
    }
}

/// What is kept of a call, as it lies in a row.
pub(super) trait Keep {
    fn kept(self) -> Result<Value, Denied>;
}

macro_rules! keep {
    ($($wire:ty => $kept:ty),+ $(,)?) => {
        $(impl Keep for $wire {
            fn kept(self) -> Result<Value, Denied> {
                serde_json::to_value(<$kept>::from(self)).map_err(|_| unwritable())
            }
        })+
    };
}

keep! {
    api::EidOrderRequest => KeptOrder,
    api::EidOrderEvidence => KeptEvidence,
    api::EidOrderReceipt => KeptReceipt,
}

/// A stored type with the members of a wire type, each taken over by name: a member that the wire type gets has to be thought of here.
macro_rules! kept {
    ($kept:ident of $wire:ty { $($(#[$meta:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        #[derive(Debug, Serialize, Deserialize)]
        struct $kept {
            $($(#[$meta])* $field: $type,)+
        }

        impl From<$wire> for $kept {
            fn from(it: $wire) -> Self {
                type Wire = $wire;
                let Wire { $($field),+ } = it;
                Self { $($field),+ }
            }
        }

        impl From<$kept> for $wire {
            fn from(it: $kept) -> Self {
                let $kept { $($field),+ } = it;
                Self { $($field),+ }
            }
        }
    };
}

kept!(KeptPassport of OrderPassport { state: String, number: String, birth_date: String });
kept!(KeptOrganisation of OrderOrganisation { name: String, number: String });
kept!(KeptCarrier of OrderCarrier {
    family: String,
    card_number: Option<String>,
    device: Option<String>,
    ends: Option<String>,
});
kept!(KeptSubject of SubjectFields {
    common_name: Option<String>,
    given_name: Option<String>,
    surname: Option<String>,
    hsa_id: Option<String>,
    personal_identity_number: Option<String>,
    organization: Option<String>,
    locality: Option<String>,
    card_number: Option<String>,
});
kept!(KeptNames of AlternativeNames {
    upn: Option<String>,
    email: Option<String>,
    #[serde(default)]
    dns: Vec<String>,
});
kept!(KeptEid of OrderEid {
    certificate: Option<String>,
    authority: Option<String>,
    serial: Option<String>,
});
kept!(KeptReceipt of api::EidOrderReceipt {
    form: String,
    at: String,
    terms: String,
    addition: Option<String>,
    sha256: String,
    text: Option<String>,
    key: Option<String>,
    signature: Option<String>,
});

#[derive(Debug, Serialize, Deserialize)]
struct KeptIdentity {
    kind: String,
    number: Option<String>,
    passport: Option<KeptPassport>,
}

impl From<OrderIdentity> for KeptIdentity {
    fn from(it: OrderIdentity) -> Self {
        let OrderIdentity { kind, number, passport } = it;
        Self { kind, number, passport: passport.map(Into::into) }
    }
}

impl From<KeptIdentity> for OrderIdentity {
    fn from(it: KeptIdentity) -> Self {
        let KeptIdentity { kind, number, passport } = it;
        Self { kind, number, passport: passport.map(Into::into) }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptOrganisations {
    user: KeptOrganisation,
    issuing: Option<KeptOrganisation>,
}

impl From<OrderOrganisations> for KeptOrganisations {
    fn from(it: OrderOrganisations) -> Self {
        let OrderOrganisations { user, issuing } = it;
        Self { user: user.into(), issuing: issuing.map(Into::into) }
    }
}

impl From<KeptOrganisations> for OrderOrganisations {
    fn from(it: KeptOrganisations) -> Self {
        let KeptOrganisations { user, issuing } = it;
        Self { user: user.into(), issuing: issuing.map(Into::into) }
    }
}

/// What was ordered. Who ordered stands beside it.
#[derive(Debug, Serialize, Deserialize)]
struct KeptOrder {
    routine: String,
    role: String,
    holder: Option<String>,
    identity: KeptIdentity,
    carrier: KeptCarrier,
    organisations: KeptOrganisations,
    valid_until: Option<String>,
    profiles: Vec<String>,
    subject: KeptSubject,
    alternative_names: KeptNames,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<KeptReplaces>,
}

/// What was said of what is replaced. What follows from it stands in the order's row.
#[derive(Debug, Serialize, Deserialize)]
struct KeptReplaces {
    eid: Option<String>,
    carrier: Option<String>,
    event: String,
    since: Option<String>,
}

impl From<api::EidOrderReplaces> for KeptReplaces {
    fn from(it: api::EidOrderReplaces) -> Self {
        let api::EidOrderReplaces { eid, carrier, event, since } = it;
        Self { eid, carrier, event: event_of(event).rule().name.to_owned(), since }
    }
}

impl From<api::EidOrderRequest> for KeptOrder {
    fn from(it: api::EidOrderRequest) -> Self {
        let api::EidOrderRequest {
            routine,
            role,
            by: _,
            holder,
            identity,
            carrier,
            organisations,
            valid_until,
            profiles,
            subject,
            alternative_names,
            replaces,
        } = it;
        Self {
            routine,
            role,
            holder,
            identity: identity.into(),
            carrier: carrier.into(),
            organisations: organisations.into(),
            valid_until,
            profiles,
            subject: subject.into(),
            alternative_names: alternative_names.into(),
            replaces: replaces.map(Into::into),
        }
    }
}

impl From<KeptOrder> for api::EidOrderRequest {
    fn from(it: KeptOrder) -> Self {
        Self {
            routine: it.routine,
            role: it.role,
            by: None,
            holder: it.holder,
            identity: it.identity.into(),
            carrier: it.carrier.into(),
            organisations: it.organisations.into(),
            valid_until: it.valid_until,
            profiles: it.profiles,
            subject: it.subject.into(),
            alternative_names: it.alternative_names.into(),
            // It was looked up when the order was made.
            replaces: None,
        }
    }
}

/// How the holder was identified. Who saw to it stands beside it.
#[derive(Debug, Serialize, Deserialize)]
struct KeptEvidence {
    method: String,
    at: String,
    place: String,
    eid: Option<KeptEid>,
}

impl From<api::EidOrderEvidence> for KeptEvidence {
    fn from(it: api::EidOrderEvidence) -> Self {
        let api::EidOrderEvidence { method, at, place, eid, by: _ } = it;
        Self { method, at, place, eid: eid.map(Into::into) }
    }
}

impl From<KeptEvidence> for api::EidOrderEvidence {
    fn from(it: KeptEvidence) -> Self {
        let KeptEvidence { method, at, place, eid } = it;
        Self { method, at, place, eid: eid.map(Into::into), by: None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As a program of before kept it: its wire types, without a version.
    const OF_BEFORE: &str = r#"{"by":"a","acts":null,"body":{"routine":"office-visit","role":"id-administrator","by":"a","holder":"holder-7","identity":{"kind":"personnummer","number":"191212121212"},"carrier":{"family":"nls-card-2023","card_number":"9752269874512325436"},"organisations":{"user":{"name":"Sigill Test","number":"2321000131"}},"profiles":["person-hsaid-3-authentication"],"subject":{"given_name":"Tolvan","hsa_id":"TST2321000016-1009"},"alternative_names":{}}}"#;
    const EVIDENCE_OF_BEFORE: &str = r#"{"by":"a","acts":"id-administrator","body":{"method":"own-siths-eid","at":"2026-11-20T09:00:00Z","place":"kontor-17","eid":{"authority":"ca","serial":"7A01"},"by":"a"}}"#;
    const RECEIPT_OF_BEFORE: &str = r#"{"by":"a","acts":null,"body":{"form":"on-paper","at":"2026-11-20T09:10:00Z","terms":"2026-1","sha256":"ab"}}"#;

    #[test]
    fn what_was_kept_before_there_were_versions_is_read() {
        let order = Said::read(OF_BEFORE.as_bytes()).unwrap().order().unwrap();
        assert_eq!(order.identity.number.as_deref(), Some("191212121212"));
        assert_eq!(order.carrier.card_number.as_deref(), Some("9752269874512325436"));
        assert_eq!(order.organisations.user.number, "2321000131");
        assert_eq!(order.subject.hsa_id.as_deref(), Some("TST2321000016-1009"));
        assert_eq!((order.by, order.holder.as_deref()), (None, Some("holder-7")));
        let evidence = Said::read(EVIDENCE_OF_BEFORE.as_bytes()).unwrap().evidence().unwrap();
        assert_eq!(evidence.eid.unwrap().serial.as_deref(), Some("7A01"));
        let receipt = Said::read(RECEIPT_OF_BEFORE.as_bytes()).unwrap().receipt().unwrap();
        assert_eq!((receipt.terms.as_str(), receipt.text), ("2026-1", None));
    }

    /// What is in databases stays readable: these are the words of version 1.
    #[test]
    fn what_is_kept_reads_back_in_the_words_of_its_version() {
        let order = Said::read(OF_BEFORE.as_bytes()).unwrap().order().unwrap();
        let body = order.kept().unwrap();
        assert_eq!(
            body,
            json!({
                "routine": "office-visit",
                "role": "id-administrator",
                "holder": "holder-7",
                "identity": { "kind": "personnummer", "number": "191212121212", "passport": null },
                "carrier": {
                    "family": "nls-card-2023", "card_number": "9752269874512325436",
                    "device": null, "ends": null,
                },
                "organisations": {
                    "user": { "name": "Sigill Test", "number": "2321000131" }, "issuing": null,
                },
                "valid_until": null,
                "profiles": ["person-hsaid-3-authentication"],
                "subject": {
                    "common_name": null, "given_name": "Tolvan", "surname": null,
                    "hsa_id": "TST2321000016-1009", "personal_identity_number": null,
                    "organization": null, "locality": null, "card_number": null,
                },
                "alternative_names": { "upn": null, "email": null, "dns": [] },
            })
        );
        let row = Said::new(Some("a".to_owned()), None, body.clone()).written().unwrap();
        assert!(row.starts_with(br#"{"version":1,"by":"a","acts":null,"body":{"#));
        let again = Said::read(&row).unwrap().order().unwrap();
        assert_eq!(again.kept().unwrap(), body);
    }

    #[test]
    fn what_a_later_program_kept_is_not_guessed_at() {
        let later = OF_BEFORE.replacen('{', "{\"version\":2,", 1);
        assert_eq!(Said::read(later.as_bytes()).unwrap_err(), Unreadable);
        assert_eq!(Said::read(b"{").unwrap_err(), Unreadable);
        let other = Said::read(RECEIPT_OF_BEFORE.as_bytes()).unwrap();
        assert_eq!(other.order().unwrap_err(), Unreadable);
    }
}
