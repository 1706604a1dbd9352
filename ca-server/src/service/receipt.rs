//! The receipt of a revocation (promise 4): vantage points say what they saw, and the CA signs that all of them have.

use std::collections::BTreeSet;
use std::time::Duration;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::refusal::Refusal;
use serde_json::json;
use status::observation::{SeenRevocation, SignedObservation};
use status::receipt::{Point, Receipt, ReceiptEntry};
use status::{CertificateState, IssuerId, ReceiptMethod, VantageName};
use store::{
    CertificateId, CertificateLookup, CertificateRecord, CertificateRow, NewReceipt, ReceiptRow,
    ReceiptedEntry, StoreError, Subject,
};
use x509::extension::{AuthorityInfoAccess, CrlDistributionPoints};
use x509::import::ImportedCertificate;
use x509::serial::SerialNumber;
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
        let request: api::ReceiptRequest = super::body::from_json(&work.call.body)?;
        let receipts = self.receipts.as_ref().ok_or_else(not_configured)?;
        let record = self.record_of(id)?;
        let authority = self.authority_of(record.row.issuer)?;
        let reading = self.clock().read();
        let method = match request.method {
            api::ReceiptMethod::Ocsp => ReceiptMethod::Ocsp,
            api::ReceiptMethod::Crl => ReceiptMethod::Crl,
        };
        let entry = entry(&record)?;
        // Whoever asks again is shown the first: a later one would say that the world saw it later.
        if let Some(shown) = self.kept(authority.name(), Some(record.row.id), &entry, method)? {
            return Answered::new(Outcome::Created, &shown, entry.position);
        }
        let points = points(receipts, &record, method)?;
        let seen = taken(receipts, &request.observations, reading.now)?;
        let (mut shown, mut missing) = (Vec::new(), Vec::new());
        for point in &points {
            match first_sight(point, &entry, &seen) {
                Ok(found) => shown.push(found.clone()),
                Err(last) => missing.push(told(point, &entry, last)),
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
        let new = NewReceipt {
            method,
            note,
            entries: vec![ReceiptedEntry {
                issuer: entry.issuer,
                serial: entry.serial,
                position: entry.position,
                revoked: entry.revocation.time,
                seen: seen_at,
            }],
        };
        let first = self
            .store()
            .record_receipt(&new, &leaf, reading.now)
            .map_err(|e| self.note_storage(&e))?;
        if first {
            metrics::histogram!("sigill_revocation_seen_seconds", "method" => method.as_str())
                .record(delay.as_secs_f64());
        }
        // Two calls at the same time make two, and one stays.
        self.kept(authority.name(), Some(record.row.id), &entry, method)?
            .map(|shown| Answered::new(Outcome::Created, &shown, entry.position))
            .unwrap_or_else(|| Err(unsigned(&StoreError::UnknownSerial)))
    }
}

impl Service {
    /// The receipts of a certificate's revocations and holds.
    pub(crate) fn receipts(&self, id: &str) -> Result<api::Receipts, Denied> {
        let record = self.record_of(id)?;
        let authority = self.authority_of(record.row.issuer)?;
        let serial = record.row.serial;
        self.receipts_of(authority.name(), authority.id, Some(record.row.id), &serial)
    }

    /// Those of a serial, whose certificate may be unknown here.
    pub(crate) fn receipts_of_serial(
        &self,
        authority: &str,
        serial: &str,
    ) -> Result<api::Receipts, Denied> {
        let authority = self.authority_named(authority)?;
        let serial: SerialNumber = serial.parse().map_err(|_| super::show::no_such(serial))?;
        let lookup = CertificateLookup::Serial(authority.id, serial);
        let record = self.store().certificate(&lookup).map_err(|e| self.note_storage(&e))?;
        let certificate = record.map(|record| record.row.id);
        self.receipts_of(authority.name(), authority.id, certificate, &serial)
    }

    fn receipts_of(
        &self,
        authority: &str,
        issuer: IssuerId,
        certificate: Option<CertificateId>,
        serial: &SerialNumber,
    ) -> Result<api::Receipts, Denied> {
        let rows = self.store().receipts(issuer, serial).map_err(|e| self.note_storage(&e))?;
        let items = rows.into_iter().map(|row| shown(authority, certificate, row)).collect();
        Ok(api::Receipts { items })
    }

    fn kept(
        &self,
        authority: &str,
        certificate: Option<CertificateId>,
        entry: &ReceiptEntry,
        method: ReceiptMethod,
    ) -> Result<Option<api::Receipt>, Denied> {
        let rows = self
            .store()
            .receipts(entry.issuer, &entry.serial)
            .map_err(|e| self.note_storage(&e))?;
        let found = rows
            .into_iter()
            .find(|row| row.method == method && row.entry.position == entry.position);
        Ok(found.map(|row| shown(authority, certificate, row)))
    }

    /// Where the receipts of a revocation or hold are, if any are made.
    pub(super) fn receipts_path(&self, row: &CertificateRow) -> Option<String> {
        let state = row.status.status.state;
        let seen = matches!(state, CertificateState::Revoked | CertificateState::Held(_));
        (seen && self.receipts.is_some()).then(|| format!("/v1/certificates/{}/receipts", row.id))
    }

    /// The same for a serial.
    pub(super) fn receipts_path_of_serial(
        &self,
        authority: &str,
        serial: SerialNumber,
    ) -> Option<String> {
        let made = self.receipts.is_some();
        made.then(|| format!("/v1/authorities/{authority}/serials/{serial}/receipts"))
    }
}

fn shown(authority: &str, certificate: Option<CertificateId>, row: ReceiptRow) -> api::Receipt {
    api::Receipt {
        certificate: certificate.map(|id| id.to_string()),
        authority: authority.to_owned(),
        serial: row.entry.serial.to_string(),
        method: match row.method {
            ReceiptMethod::Ocsp => api::ReceiptMethod::Ocsp,
            ReceiptMethod::Crl => api::ReceiptMethod::Crl,
        },
        position: row.entry.position.to_string(),
        revoked_at: row.entry.revoked.to_string(),
        seen_at: row.entry.seen.to_string(),
        receipt: row.note,
    }
}

/// The observation by which a point shows the revocation: the first of those that show it without a break up to the last one.
/// A mirror that shows it and then an older object again has not got it. Of two of one second, the one that does not
/// show it counts as the later. Where the last one does not show it, that one, if there is any.
fn first_sight<'a>(
    point: &Point,
    entry: &ReceiptEntry,
    seen: &'a [SignedObservation],
) -> Result<&'a SignedObservation, Option<&'a SignedObservation>> {
    let of_entry = |one: &&SignedObservation| {
        let observation = one.observation();
        point.is_of(one)
            && observation.issuer == entry.issuer
            && observation.of(&entry.serial).is_some()
    };
    let mut seen: Vec<&SignedObservation> = seen.iter().filter(of_entry).collect();
    seen.sort_by_key(|one| (one.observation().time, !entry.is_seen_by(one)));
    let last = seen.last().copied();
    let unbroken = seen.into_iter().rev().take_while(|one| entry.is_seen_by(one));
    unbroken.last().ok_or(last)
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

/// The URLs that a certificate names for this method; also one of another operator with defects, which are as real to relying parties.
pub(super) fn urls_in(der: &[u8], method: ReceiptMethod) -> Vec<String> {
    let Ok(certificate) = ImportedCertificate::from_der(der) else { return Vec::new() };
    match method {
        ReceiptMethod::Ocsp => certificate
            .extension::<AuthorityInfoAccess>()
            .map_or_else(Vec::new, |access| access.ocsp_uris().map(str::to_owned).collect()),
        ReceiptMethod::Crl => certificate
            .extension::<CrlDistributionPoints>()
            .map_or_else(Vec::new, |points| points.uris().map(str::to_owned).collect()),
    }
}

/// Every URL of the certificate itself, from every vantage point, in every way of the method.
fn points(
    receipts: &Receipts,
    record: &CertificateRecord,
    method: ReceiptMethod,
) -> Result<Vec<Point>, Denied> {
    let urls = record.der.as_deref().map_or_else(Vec::new, |der| urls_in(der, method));
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
    Ok(points_of(receipts, &urls, method))
}

/// Every one of these URLs, from every vantage point, in every way of the method.
pub(super) fn points_of(receipts: &Receipts, urls: &[String], method: ReceiptMethod) -> Vec<Point> {
    let urls: BTreeSet<&String> = urls.iter().collect();
    let mut points = Vec::new();
    for (vantage, key) in &receipts.vantages {
        for url in &urls {
            points.extend(method.probes().iter().map(|probe| Point {
                vantage: vantage.clone(),
                key: *key,
                method: *probe,
                url: (*url).clone(),
            }));
        }
    }
    points
}

/// The statements, if all of them may be taken: of this deployment, by a pinned key, and of our time.
fn taken(
    receipts: &Receipts,
    statements: &[String],
    now: UnixTime,
) -> Result<Vec<SignedObservation>, Denied> {
    too_many(statements.len())?;
    statements.iter().map(|statement| judged(receipts, statement, None, now)).collect()
}

/// Refuses more statements than one call may bring.
pub(super) fn too_many(statements: usize) -> Result<(), Denied> {
    if statements > MOST {
        return Err(refused(&format!("{statements} statements"), "at most 200 in one call"));
    }
    Ok(())
}

/// A statement, if it may be taken; where `of` is given, of that vantage point alone.
pub(super) fn judged(
    receipts: &Receipts,
    statement: &str,
    of: Option<&VantageName>,
    now: UnixTime,
) -> Result<SignedObservation, Denied> {
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
    if !pinned || of.is_some_and(|of| *of != observation.vantage) {
        let other = format!("vantage point {} with key {key}", observation.vantage);
        let limit =
            "a [[receipts.vantage]] of the configuration, with its key, and sent by no other";
        return Err(refused(&other, limit));
    }
    observation.must_be_fresh(now, LONGEST, AHEAD).map_err(|error| {
        refused(&error, "at most 24 h old, 60 s ahead, of an object that had not ended")
    })?;
    Ok(one)
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

pub(super) fn not_configured() -> Denied {
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

pub(super) fn unsigned(error: &dyn std::error::Error) -> Denied {
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
pub(super) mod tests;
