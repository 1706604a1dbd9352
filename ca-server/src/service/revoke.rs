//! Revoking: state, status entry and audit leaf in one transaction; then it travels by itself.

use ca::refusal::Refusal;
use serde_json::json;
use status::{Position, RevocationReason};
use store::{
    CertificateId, CertificateLookup, CertificateRow, ChangeOutcome, OrderAnswer, StatusAct,
    StatusChange, StatusChanged, StatusTarget, StoredResponse, Subject,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::authority::Authority;
use super::order::{Answered, OrderWork};
use super::{Service, storage};
use crate::denied::{Denied, Kind};

impl Service {
    /// Revokes or holds the certificate of this id.
    ///
    /// Works without any token and whatever the clock says (architecture §2.5).
    pub(crate) fn revoke(&self, id: &str, work: &OrderWork<'_>) -> Result<Answered, Denied> {
        let certificate: CertificateId = id.parse().map_err(|_| super::show::no_such(id))?;
        let record = self
            .store()
            .certificate(&CertificateLookup::Id(certificate))
            .map_err(|e| storage(&e))?
            .ok_or_else(|| super::show::no_such(id))?;
        let authority = self.authority_of(record.row.issuer)?;
        let what = What { target: StatusTarget::Certificate(certificate), row: Some(&record.row) };
        let changed = self.change(authority, &what, work)?;
        answered(work, 200, &self.show(id)?, changed.status.position)
    }

    /// Revokes or holds a serial that is known from the log alone: a certificate that the database
    /// lost, or that another operator issued.
    pub(crate) fn revoke_serial(
        &self,
        authority: &str,
        serial: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let authority = self.authority_named(authority)?;
        let serial: SerialNumber = serial.parse().map_err(|_| super::show::no_such(serial))?;
        let what = What { target: StatusTarget::Serial(authority.id, serial), row: None };
        let changed = self.change(authority, &what, work)?;
        let shown = super::show::serial(authority.name(), serial, &changed.status);
        answered(work, 200, &shown, changed.status.position)
    }

    fn change(
        &self,
        authority: &Authority,
        what: &What<'_>,
        work: &OrderWork<'_>,
    ) -> Result<StatusChanged, Denied> {
        let request: api::RevocationRequest = super::issue::from_json(&work.call.body)?;
        let now = self.clock().read().now;
        let requested_at =
            request.requested_at.as_deref().map(|text| requested_at(text, now)).transpose()?;
        if !authority.signs_here() {
            return Err(offline(authority.name()));
        }
        let act = act_of(request.reason);
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "actor": request.actor,
            "target": format!("{:?}", what.target),
            "reason": request.reason,
            "requested_at": request.requested_at,
        });
        let audit = self.revocation_record(authority, what.row, work.call, &payload);
        let changed = self
            .store()
            .change_status(
                &StatusChange { target: what.target, act, requested_at },
                &audit,
                now,
            )
            .map_err(|e| storage(&e))?;
        if changed.outcome == ChangeOutcome::Changed {
            metrics::counter!("sigill_revocations_total", "authority" => authority.name().to_owned())
                .increment(1);
            authority.ask_for_crl();
        }
        self.await_publication(changed.status.position, work.call.wait_for_publication)?;
        Ok(changed)
    }
}

/// What is revoked, and its row where there is one.
struct What<'a> {
    target: StatusTarget,
    row: Option<&'a CertificateRow>,
}

fn answered(
    work: &OrderWork<'_>,
    status: u16,
    shown: &impl serde::Serialize,
    position: Position,
) -> Result<Answered, Denied> {
    let body = serde_json::to_vec(shown).map_err(|_| super::issue::unwritable())?;
    Ok(Answered {
        answer: OrderAnswer {
            response: StoredResponse {
                status,
                content_type: "application/json".to_owned(),
                body,
            },
            subject: Subject::Order(work.order),
        },
        position: Some(position),
    })
}

/// When revocation was asked for: a time of the past, to the second.
fn requested_at(text: &str, now: UnixTime) -> Result<UnixTime, Denied> {
    let refused = |limit: String| {
        Denied::rule(Refusal::new(
            "requested-at-malformed",
            "REV-06: requested_at says when revocation was asked for; it is never the revocation date",
            &text,
            limit,
            "send the time of the request in UTC, such as 2026-11-21T09:30:00Z, or leave it out",
        ))
    };
    let time: jiff::Timestamp =
        text.parse().map_err(|_| refused("an RFC 3339 time in UTC".to_owned()))?;
    u64::try_from(time.as_second())
        .ok()
        .and_then(|secs| UnixTime::from_secs(secs).ok())
        .filter(|time| *time <= now)
        .ok_or_else(|| refused(format!("a time from 1970 to now, {now}")))
}

const fn act_of(reason: api::ReasonCode) -> StatusAct {
    let reason = match reason {
        api::ReasonCode::CertificateHold => return StatusAct::Hold,
        api::ReasonCode::Unspecified => None,
        api::ReasonCode::KeyCompromise => Some(RevocationReason::KeyCompromise),
        api::ReasonCode::CaCompromise => Some(RevocationReason::CaCompromise),
        api::ReasonCode::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
        api::ReasonCode::Superseded => Some(RevocationReason::Superseded),
        api::ReasonCode::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
        api::ReasonCode::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
    };
    StatusAct::Revoke { reason, invalidity: None }
}

fn offline(authority: &str) -> Denied {
    Denied::new(
        Kind::Conflict,
        Refusal::new(
            "authority-offline",
            "architecture §2.3: certificates of an offline CA change status only with its new CRL",
            &format!("a certificate of {authority}"),
            "a certificate of an authority that signs here",
            "run the root CRL ceremony and import its output with sigill-ca import",
        ),
    )
}
