//! The receipt of a revocation (promise 4): vantage points say what they saw, and the CA signs that all of them have.

use std::time::Duration;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::refusal::Refusal;
use serde_json::json;
use status::observation::{SeenRevocation, SignedObservation};
use status::receipt::{Point, Receipt, ReceiptEntry};
use status::{CertificateState, ReceiptMethod};
use store::{CertificateRecord, Subject};
use x509::certificate::Certificate;
use x509::time::UnixTime;

use super::Service;
use super::order::{Answered, OrderWork, Outcome};
use super::record::{call_object, client};
use crate::denied::{Denied, Kind};
use crate::receipts::Receipts;

/// An observation is taken for so long: it says what was so then, and a receipt says when.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How far a vantage point's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(60);
/// Statements of one call.
const MOST: usize = 200;

impl Service {
    /// Signs the receipt of the certificate's revocation or hold, if it was seen at every point.
    pub(crate) fn receipt(&self, id: &str, work: &OrderWork<'_>) -> Result<Answered, Denied> {
        let request: api::ReceiptRequest = super::issue::from_json(&work.call.body)?;
        let receipts = self.receipts.as_ref().ok_or_else(not_configured)?;
        let record = self.record_of(id)?;
        let authority = self.authority_of(record.row.issuer)?;
        let reading = self.clock().read();
        let method = match request.method {
            api::ReceiptMethod::Ocsp => ReceiptMethod::Ocsp,
            api::ReceiptMethod::Crl => ReceiptMethod::Crl,
        };
        let entry = entry(&record)?;
        let points = points(receipts, &record, method)?;
        let seen = taken(receipts, &request.observations, reading.now)?;
        let (mut shown, mut missing) = (Vec::new(), Vec::new());
        for point in &points {
            // What a point saw last counts: a mirror that shows it and then shows an older object again has not got it. Of two
            // of one second, the one that has not seen it.
            let last = seen
                .iter()
                .filter(|one| {
                    let observation = one.observation();
                    point.is_of(one)
                        && observation.issuer == entry.issuer
                        && observation.of(&entry.serial).is_some()
                })
                .max_by_key(|one| (one.observation().time, !entry.is_seen_by(one)));
            match last {
                Some(found) if entry.is_seen_by(found) => shown.push(found.clone()),
                last => missing.push(told(point, &entry, last)),
            }
        }
        if !missing.is_empty() {
            return Err(not_seen(&missing, points.len()));
        }
        let seen_at = shown.iter().map(|one| one.observation().time).max().unwrap_or(reading.now);
        // A vantage point's clock may be a little ahead of ours; its observation is never later than the receipt.
        let time = reading.now.max(seen_at);
        let deployment = receipts.deployment.clone();
        let receipt = Receipt::new(deployment, method, time, points, vec![entry], shown)
            .and_then(|receipt| receipt.to_text())
            .map_err(|error| unsigned(&error))?;
        let note = receipt.sign(receipts.signer.as_ref()).map_err(|error| unsigned(&error))?;
        let delay = seen_at.since(entry.revocation.time);
        let leaf = Self::record(
            EventCode::RevocationConfirmed,
            EventResult::Done,
            client(&work.call.client),
            ObjectIds::of_act([
                Some(ObjectId::Certificate(*record.row.id.as_bytes())),
                Some(call_object(work.call)),
                Some(ObjectId::StatusEntry(entry.position)),
            ]),
            None,
            &json!({
                "call": work.call.correlation_id,
                "client": work.call.client,
                "method": method.as_str(),
                "seen_at": seen_at.to_string(),
                "delay_seconds": delay.as_secs(),
                "receipt": note,
            }),
            record.row.order.map_or(Subject::Deployment, Subject::Order),
        );
        self.store().record_audit(&leaf, reading.now).map_err(|e| self.note_storage(&e))?;
        metrics::histogram!("sigill_revocation_seen_seconds", "method" => method.as_str())
            .record(delay.as_secs_f64());
        let shown = api::Receipt {
            certificate: record.row.id.to_string(),
            authority: authority.name().to_owned(),
            serial: entry.serial.to_string(),
            method: request.method,
            position: entry.position.to_string(),
            revoked_at: entry.revocation.time.to_string(),
            seen_at: seen_at.to_string(),
            receipt: note,
        };
        Answered::new(Outcome::Created, &shown, entry.position)
    }
}

/// What the log says and the world has to show.
fn entry(record: &CertificateRecord) -> Result<ReceiptEntry, Denied> {
    let row = &record.row;
    let state = row.status.status.state;
    let revocation = row
        .status
        .status
        .revocation()
        .filter(|_| matches!(state, CertificateState::Revoked | CertificateState::Held(_)))
        .ok_or_else(|| {
            Denied::new(
                Kind::Conflict,
                Refusal::new(
                    "not-revoked",
                    "promise 4: revocations and holds have receipts",
                    &format!("{} is {state}", row.id),
                    "a certificate that is revoked or on hold",
                    "revoke it first",
                ),
            )
            .for_now()
        })?;
    Ok(ReceiptEntry {
        position: row.status.position,
        issuer: row.issuer,
        serial: row.serial,
        revocation: SeenRevocation { time: revocation.time, reason: revocation.reason },
    })
}

/// Every URL of the certificate itself, from every vantage point, in every way of the method.
fn points(
    receipts: &Receipts,
    record: &CertificateRecord,
    method: ReceiptMethod,
) -> Result<Vec<Point>, Denied> {
    let certificate = record.der.as_deref().and_then(|der| Certificate::from_der(der).ok());
    let mut urls = certificate.map_or_else(Vec::new, |certificate| match method {
        ReceiptMethod::Ocsp => certificate.ocsp_uris(),
        ReceiptMethod::Crl => certificate.crl_uris(),
    });
    urls.sort();
    urls.dedup();
    if urls.is_empty() {
        return Err(Denied::rule(Refusal::new(
            "no-publication-point",
            "promise 4: a revocation is seen at the URLs that stand in the certificate",
            &format!("{} names none for {method}", record.row.id),
            "a certificate with such a URL",
            "ask for the receipt of the other method",
        ))
        .for_now());
    }
    let mut points = Vec::new();
    for (vantage, key) in &receipts.vantages {
        for url in &urls {
            points.extend(method.probes().iter().map(|probe| Point {
                vantage: vantage.clone(),
                key: *key,
                method: *probe,
                url: url.clone(),
            }));
        }
    }
    Ok(points)
}

/// The statements, if all of them may be taken: of this deployment, by a pinned key, and of our time.
fn taken(
    receipts: &Receipts,
    statements: &[String],
    now: UnixTime,
) -> Result<Vec<SignedObservation>, Denied> {
    if statements.len() > MOST {
        return Err(refused(
            &format!("{} statements", statements.len()),
            "at most 200 in one call",
        ));
    }
    let mut seen = Vec::new();
    for statement in statements {
        let one = SignedObservation::open(statement.as_bytes())
            .map_err(|error| refused(&crate::publication::chain(&error), "signed observations"))?;
        let observation = one.observation();
        if observation.deployment != receipts.deployment {
            let other = format!("an observation of {}", observation.deployment);
            return Err(refused(&other, receipts.deployment.as_str()));
        }
        let key = one.signed().key().spki_hash();
        let pinned =
            receipts.vantages.iter().any(|(name, of)| *name == observation.vantage && *of == key);
        if !pinned {
            let other = format!("vantage point {} with key {key}", observation.vantage);
            return Err(refused(
                &other,
                "a [[receipts.vantage]] of the configuration, with its key",
            ));
        }
        observation.must_be_fresh(now, LONGEST, AHEAD).map_err(|error| {
            refused(&error, "at most 24 h old, 60 s ahead, of an object that had not ended")
        })?;
        seen.push(one);
    }
    Ok(seen)
}

/// A point that has not seen the revocation, and what it saw instead.
fn told(point: &Point, entry: &ReceiptEntry, last: Option<&SignedObservation>) -> String {
    let Point { vantage, method, url, .. } = point;
    let instead = match last.map(SignedObservation::observation) {
        None => "nothing".to_owned(),
        Some(seen) => match seen.of(&entry.serial) {
            None => "other serials".to_owned(),
            Some(status) => {
                let at = seen.position.map(|at| format!(", position {at}")).unwrap_or_default();
                format!("{status:?} at {}, an object of {}{at}", seen.time, seen.this_update)
            }
        },
    };
    format!("{vantage} by {method} at {url} saw {instead}")
}

fn not_configured() -> Denied {
    Denied::new(
        Kind::Conflict,
        Refusal::new(
            "receipts-not-configured",
            "receipts rest on vantage points and on a key of their own",
            &"no section [receipts]",
            "section [receipts] in the configuration of sigill-ca",
            "have an operator configure vantage points (docs/operations/revoke.md)",
        ),
    )
    .for_now()
}

fn refused(seen: &dyn std::fmt::Display, limit: &str) -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "observation-refused",
            "promise 4: only configured vantage points say what the world sees, of this deployment and of today",
            &seen,
            limit,
            "send what `sigill probe` of a configured vantage point has written",
        ),
    )
    // The same statement may be taken later: a vantage point is configured, a clock runs on.
    .for_now()
}

fn not_seen(missing: &[String], points: usize) -> Denied {
    let seen = format!("{} of {points} have not: {}", missing.len(), missing.join("; "));
    Denied::new(
        Kind::Conflict,
        Refusal::new(
            "revocation-not-seen",
            "promise 4: a revocation is receipted when it was seen from every vantage point at every URL of the certificate",
            &seen,
            "that revocation, with its time and reason, at every point",
            "look at what these points show; probe again, and send all observations",
        ),
    )
    .for_now()
}

fn unsigned(error: &dyn std::error::Error) -> Denied {
    Denied::new(
        Kind::Internal,
        Refusal::new(
            "receipt-unsigned",
            "a receipt is what docs/formats/receipt.md says, signed by the receipt key",
            &crate::publication::chain(error),
            "",
            "an operator looks at the receipt key",
        ),
    )
}

#[cfg(test)]
mod tests;
