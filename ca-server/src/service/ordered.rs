//! From the order of a call to leave to issue: what the caller says, read once, and the book asked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::admit::{Admitted, Moment, RuleRefusal, admit, admit_direct};
use ca::eid::{EidName, EidText, KnownEid};
use ca::fields::RequestedFields;
use ca::issuer::Issuer;
use ca::order::{Order, OrderText};
use ca::profile::Profile;
use ca::refusal::Refusal;
use serde_json::{Value, json};
use store::CertificateId;
use x509::time::UnixTime;

use super::Service;
use crate::denied::Denied;

impl Service {
    /// Reads the facts of an order.
    pub(super) fn order_of(&self, fields: &api::OrderFields) -> Result<Order, Denied> {
        let text = order_text(fields)?;
        Order::read(&text, &self.book, self.deployment.environment()).map_err(|e| refused(&e))
    }

    /// Leave to issue to a subscriber at `now`: to a person by the order and the eID that it names, or, of a call without one, by the
    /// row for such calls; to what is no person by its profile. Nobody else has or needs any.
    pub(super) fn admitted(
        &self,
        order: Option<&Order>,
        eid: Option<&KnownEid>,
        profile: &Profile,
        issuer: &Issuer,
        now: UnixTime,
    ) -> Result<Option<Admitted>, Denied> {
        let moment = Moment { now, environment: self.deployment.environment() };
        let is_test = moment.environment == ca::deployment::Environment::Test;
        let admitted = match order {
            Some(order) => admit(order, eid, profile, issuer, &self.book, moment),
            // Outside environment test the profile itself refuses such calls, and says how to order.
            None if profile.kind().is_person() && !is_test => return Ok(None),
            None if profile.kind().is_subscriber() => {
                admit_direct(profile, issuer, &self.book, moment)
            }
            None => return Ok(None),
        };
        admitted.map(Some).map_err(|error| refused(&error))
    }
}

/// The names that a call asks for.
pub(super) fn requested(request: &api::IssueRequest) -> RequestedFields {
    let (subject, names) = (request.subject.clone(), request.alternative_names.clone());
    RequestedFields {
        common_name: subject.common_name,
        given_name: subject.given_name,
        surname: subject.surname,
        hsa_id: subject.hsa_id,
        personal_identity_number: subject.personal_identity_number,
        organization: subject.organization,
        locality: subject.locality,
        card_number: subject.card_number,
        upn: names.upn,
        email: names.email,
        dns: names.dns,
        ip: Vec::new(),
        management_name: None,
    }
}

/// What the audit record of a certificate says of its leave: no personal data.
pub(super) fn noted(
    mut payload: Value,
    admitted: Option<&Admitted>,
    eid: Option<CertificateId>,
    book: &[u8; 32],
) -> Value {
    if let Some(object) = payload.as_object_mut() {
        let book = base16ct::lower::encode_string(book);
        object.insert("book_sha256".to_owned(), json!(book));
        if let Some(admitted) = admitted {
            object.insert("rules".to_owned(), json!(admitted.rules()));
        }
        if let Some(eid) = eid {
            object.insert("proven_by".to_owned(), json!(eid.to_string()));
        }
    }
    payload
}

/// What is kept of an order with the certificate, sealed as all that is said of its holder.
pub(super) fn kept(order: &Order) -> Value {
    let organisation = |one: &ca::order::OrganisationRef| json!({ "name": one.name.as_str(), "number": one.number.as_str() });
    let passport = match &order.identity {
        ca::identity::Identity::Passport(passport) => {
            Some(json!({ "state": passport.state(), "number": passport.number() }))
        }
        _ => None,
    };
    json!({
        "routine": order.routine.as_str(),
        "orderer": { "role": order.role.to_string(), "id": order.orderer.as_str() },
        "holder": order.holder.as_ref().map(|id| id.as_str()),
        "identity": {
            "kind": order.identity_kind.as_str(),
            "number": order.identity.number().map(|number| number.as_str()),
            "passport": passport,
        },
        "proofing": {
            "method": order.proofing.as_str(),
            "at": order.proofing_at.to_string(),
            "by": order.proofing_by.as_str(),
            "eid": order.eid.as_ref().map(|eid| match eid {
                EidName::Fingerprint(sha256) => {
                    json!({ "sha256": base16ct::lower::encode_string(sha256) })
                }
                EidName::Serial(authority, serial) => {
                    json!({ "authority": authority, "serial": serial.to_string() })
                }
            }),
        },
        "carrier": {
            "family": order.carrier.as_str(),
            "card_number": order.card.as_ref().map(|card| card.as_str()),
            "device": order.device.as_ref().map(|device| device.as_str()),
            "ends": order.carrier_ends.map(|end| end.to_string()),
        },
        "organisations": {
            "user": organisation(&order.user),
            "issuing": order.issuing.as_ref().map(organisation),
        },
        "valid_until": order.end.map(|end| end.to_string()),
        "approvals": order
            .approvals
            .iter()
            .map(|(by, at)| json!({ "by": by.as_str(), "at": at.to_string() }))
            .collect::<Vec<_>>(),
        "receipt": order.receipt.as_ref().map(|receipt| json!({
            "form": receipt.form.to_string(),
            "sha256": base16ct::lower::encode_string(&receipt.sha256),
            "at": receipt.at.to_string(),
        })),
        "evidence": order.evidence.as_ref().map(|evidence| json!({
            "key": STANDARD.encode(evidence.maker.spki_der()),
            "signature": STANDARD.encode(&evidence.signature),
        })),
    })
}

/// A rule of the book refuses; the same order may be free when the book or the day is another one.
fn refused(error: &RuleRefusal) -> Denied {
    let denied = Denied::rule(error.refusal());
    if error.is_for_now() { denied.for_now() } else { denied }
}

fn order_text(fields: &api::OrderFields) -> Result<OrderText, Denied> {
    let pair = |one: &api::order::OrderOrganisation| (one.name.clone(), one.number.clone());
    let passport = fields.identity.passport.as_ref();
    let receipt = fields.receipt.as_ref().map(|receipt| {
        let at = time("order/receipt", &receipt.at)?;
        Ok((receipt.form.clone(), receipt.sha256.clone(), at))
    });
    let evidence = fields.evidence.as_ref().map(|evidence| {
        let octets = |text: &str| {
            STANDARD.decode(text).map_err(|error| malformed("order/evidence", &error, "base64"))
        };
        Ok((octets(&evidence.key)?, octets(&evidence.signature)?))
    });
    Ok(OrderText {
        routine: fields.routine.clone(),
        orderer: (fields.orderer.role.clone(), fields.orderer.id.clone()),
        holder: fields.holder.clone(),
        identity_kind: fields.identity.kind.clone(),
        identity_number: fields.identity.number.clone(),
        passport: passport.map(|it| (it.state.clone(), it.number.clone(), it.birth_date.clone())),
        proofing: fields.proofing.method.clone(),
        proofing_at: time("order/proofing", &fields.proofing.at)?,
        proofing_by: fields.proofing.by.clone(),
        eid: fields.proofing.eid.as_ref().map(eid_text).transpose()?,
        carrier: fields.carrier.family.clone(),
        card_number: fields.carrier.card_number.clone(),
        device: fields.carrier.device.clone(),
        carrier_ends: fields
            .carrier
            .ends
            .as_deref()
            .map(|text| time("order/carrier", text))
            .transpose()?,
        user_organisation: pair(&fields.organisations.user),
        issuing_organisation: fields.organisations.issuing.as_ref().map(pair),
        valid_until: fields
            .valid_until
            .as_deref()
            .map(|text| time("order/valid-until", text))
            .transpose()?,
        approvals: fields
            .approvals
            .iter()
            .map(|one| Ok((one.by.clone(), time("order/approvals", &one.at)?)))
            .collect::<Result<_, Denied>>()?,
        receipt: receipt.transpose()?,
        evidence: evidence.transpose()?,
    })
}

fn eid_text(eid: &api::order::OrderEid) -> Result<EidText, Denied> {
    match (&eid.certificate, &eid.authority, &eid.serial) {
        (Some(certificate), None, None) => Ok(EidText::Certificate(certificate.clone())),
        (None, Some(authority), Some(serial)) => {
            Ok(EidText::Serial(authority.clone(), serial.clone()))
        }
        _ => {
            let limit = "a certificate, or an authority and a serial number";
            Err(malformed("order/eid", &"another set of fields", limit))
        }
    }
}

pub(super) fn time(rule: &'static str, text: &str) -> Result<UnixTime, Denied> {
    let read = text.parse::<jiff::Timestamp>().ok();
    read.and_then(|time| UnixTime::from_secs(u64::try_from(time.as_second()).ok()?).ok())
        .ok_or_else(|| malformed(rule, &text, "a time in UTC such as 2026-11-21T09:30:00Z"))
}

fn malformed(rule: &'static str, seen: &impl std::fmt::Display, limit: &str) -> Denied {
    Denied::rule(Refusal::new("order-malformed", rule, seen, limit, "correct the order"))
}
