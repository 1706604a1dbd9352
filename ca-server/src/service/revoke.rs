//! Revoking: state, status entry and audit leaf in one transaction; then it travels by itself.

use std::time::Duration;

use ca::profile::Profile;
use ca::refusal::Refusal;
use ca::revocation::{RevocationWish, Revoker};
use serde_json::json;
use status::RevocationReason;
use status::reason::SubjectKind;
use store::{
    CertificateId, CertificateLookup, CertificateRow, ChangeOutcome, StatusAct, StatusChange,
    StatusChanged, StatusTarget,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::Service;
use super::authority::Authority;
use super::order::{Answered, OrderWork, Outcome};
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
            .map_err(|e| self.note_storage(&e))?
            .ok_or_else(|| super::show::no_such(id))?;
        let authority = self.authority_of(record.row.issuer)?;
        let what = What { target: StatusTarget::Certificate(certificate), row: Some(&record.row) };
        let changed = self.change(authority, &what, work)?;
        Answered::new(Outcome::Changed, &self.show(id)?, changed.status.position)
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
        Answered::new(Outcome::Changed, &shown, changed.status.position)
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
        let act = act_of(request.reason)?;
        self.may_be_asked(what.row, act)?;
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
            .change_status(&StatusChange { target: what.target, act, requested_at }, &audit, now)
            .map_err(|e| self.note_storage(&e))?;
        if changed.outcome == ChangeOutcome::Changed {
            metrics::counter!("sigill_revocations_total", "authority" => authority.name().to_owned())
                .increment(1);
            authority.ask_for_crl();
        }
        self.await_publication(changed.status.position, work.call.wait_for_publication)?;
        Ok(changed)
    }
}

impl Service {
    /// REV-04: which certificates a client may revoke or hold, and for which reasons.
    fn may_be_asked(&self, row: Option<&CertificateRow>, act: StatusAct) -> Result<(), Denied> {
        let kind = row
            .and_then(|row| row.profile.as_ref())
            .and_then(|profile| self.profiles.by_name(&profile.name))
            .map(Profile::kind);
        let wish = match act {
            StatusAct::Hold => RevocationWish::Hold,
            StatusAct::Revoke { reason, .. } => RevocationWish::Revoke(reason),
            // No client asks for these: `act_of` makes none of them.
            StatusAct::Activate | StatusAct::CorrectReason { .. } | StatusAct::Release => {
                return Ok(());
            }
        };
        ca::revocation::check(kind, Revoker::Client, wish).map_err(Denied::rule)
    }
}

/// What is revoked, and its row where there is one.
struct What<'a> {
    target: StatusTarget,
    row: Option<&'a CertificateRow>,
}

/// How far a caller's clock may be ahead of ours: a revocation must not fail for that.
const CALLER_AHEAD: Duration = Duration::from_secs(300);

/// When revocation was asked for, to the second: a time of the past, or by a clock that is a little
/// ahead of ours, and then it is now.
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
        .filter(|time| time.since(now) <= CALLER_AHEAD)
        .map(|time| time.min(now))
        .ok_or_else(|| {
            refused(format!("a time from 1970 to now, {now}, and at most 5 minutes more"))
        })
}

/// The act that a reason asks for. Only certificates of subscribers and delegates come this way: an
/// offline CA's change with its CRL.
fn act_of(reason: api::ReasonCode) -> Result<StatusAct, Denied> {
    let reason = match reason {
        api::ReasonCode::CertificateHold => return Ok(StatusAct::Hold),
        api::ReasonCode::Unspecified => None,
        api::ReasonCode::KeyCompromise => Some(RevocationReason::KeyCompromise),
        api::ReasonCode::CaCompromise => Some(RevocationReason::CaCompromise),
        api::ReasonCode::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
        api::ReasonCode::Superseded => Some(RevocationReason::Superseded),
        api::ReasonCode::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
        api::ReasonCode::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
    };
    let reason = reason
        .map(|reason| reason.allowed_for(SubjectKind::EndEntity))
        .transpose()
        .map_err(|error| {
            Denied::rule(Refusal::new(
                "reason-not-allowed",
                "REV-04: cACompromise is a reason for certificates of CAs only",
                &error,
                "keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn, certificateHold or unspecified",
                "give keyCompromise where a subscriber's key is in other hands",
            ))
        })?;
    Ok(StatusAct::Revoke { reason, invalidity: None })
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
    .for_now()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REV-06: a caller whose clock is a little ahead still gets its revocation.
    #[test]
    fn requested_at_is_a_time_of_the_past_and_a_little_ahead_is_now() {
        let now = UnixTime::from_secs(1_800_000_000).unwrap();
        let at = |secs: u64| UnixTime::from_secs(secs).unwrap();
        for (sent, taken) in [
            (1_799_999_000, Some(1_799_999_000)),
            (1_800_000_000, Some(1_800_000_000)),
            (1_800_000_300, Some(1_800_000_000)),
            (1_800_000_301, None),
        ] {
            let found = requested_at(&at(sent).to_string(), now).ok();
            assert_eq!(found, taken.map(at), "{sent}");
        }
        assert!(requested_at("yesterday", now).is_err());
    }

    /// REV-04.
    #[test]
    fn refuses_ca_compromise_for_a_subscribers_certificate() {
        assert!(act_of(api::ReasonCode::CaCompromise).is_err());
        assert!(act_of(api::ReasonCode::KeyCompromise).is_ok());
        assert_eq!(act_of(api::ReasonCode::CertificateHold), Ok(StatusAct::Hold));
    }
}
