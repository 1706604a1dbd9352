//! What vantage points are asked to look at, and what becomes of what they saw: receipts (promise 4), and differences from the log (REV-08).

use std::collections::BTreeMap;
use std::time::Duration;

use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds};
use ledger::ReceiptText;
use ledger::note::NotePublicKey;
use serde_json::json;
use status::difference::{Difference, Logged, difference};
use status::observation::{Observation, Seen, SeenRevocation, SignedObservation};
use status::receipt::{Point, Receipt, ReceiptEntry};
use status::{CertificateState, IssuerId, ReceiptMethod, StatusEntry, VantageName};
use store::{
    Awaited, AwaitedKey, CertificateLookup, Log, NewReceipt, ReceiptRow, ReceiptedEntry, Shows,
    Sight, StatusRow, StoreError, Subject,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::Service;
use super::receipt::{judged, not_configured, points_of, too_many, unsigned, urls_in};
use super::record::client;
use crate::denied::Denied;
use crate::receipts::{Receipts, Writes};

/// Awaited rows of one page.
const PAGE: u32 = 100;
/// The newest of them stand on every page: they do not wait for a long list to come round.
const NEWEST: u32 = 20;
/// Serials that are drawn by lot for each round, and such that were never issued.
const BY_LOT: usize = 4;
const NEVER_ISSUED: usize = 2;
/// The newest that have their receipt: whoever goes back to an older object has lost them first.
const RECEIPTED: u32 = 2;
/// Two clocks and a round.
const A_WHILE: Duration = Duration::from_secs(10);
/// Draws for one that has not ended.
const DRAWS: usize = 8;
/// Differences of one call that are written down; those after are counted, and told of to whoever sent them.
const WRITTEN: usize = 10;
/// Revocations of one receipt: one look at a list shows a hundred; an answer of OCSP shows one.
const OF_A_LIST: usize = 100;

/// A revocation that was seen at every point.
type Whole = (Awaited, ReceiptEntry);

/// Why a part has no receipt.
enum Unreceipted {
    /// What it is made of: another part may have one.
    Part(Denied),
    /// The database.
    Storage(Denied),
}

impl Service {
    /// What this vantage point looks at now: what it has not seen of what is awaited, and, on the last page, serials drawn by lot
    /// and such that were never issued.
    pub(crate) fn probe_work(
        &self,
        vantage: &VantageName,
        after: Option<i64>,
    ) -> Result<api::ProbeWork, Denied> {
        let receipts = self.receipts.as_ref().ok_or_else(not_configured)?;
        self.follow_revocations(1)?;
        let store = self.store();
        let page = store.awaited(after.unwrap_or(0), PAGE).map_err(|e| self.note_storage(&e))?;
        let newest = store.newest_awaited(NEWEST).map_err(|e| self.note_storage(&e))?;
        let next =
            (u32::try_from(page.len()) == Ok(PAGE)).then(|| page.last().map(|one| one.number));
        let next = next.flatten();
        let mut rows: BTreeMap<i64, Awaited> = BTreeMap::new();
        rows.extend(page.into_iter().chain(newest).map(|one| (one.number, one)));
        let mut targets: Vec<api::ProbeTarget> = Vec::new();
        let now = self.clock().read().now;
        for awaited in rows.values().filter(|one| one.status.status.not_after >= now) {
            let points = self.points_of_awaited(receipts, awaited)?;
            let unseen = points.iter().filter(|point| {
                point.vantage == *vantage
                    && !awaited.sights.iter().any(|one| one.is_of(point) && one.shown.is_some())
            });
            push(&mut targets, awaited.issuer, awaited.serial, unseen);
        }
        if next.is_none() {
            for (issuer, serial) in self.drawn()? {
                for method in ReceiptMethod::ALL {
                    let points = points_of(receipts, &self.urls(issuer, &serial, method)?, method);
                    let ours = points.iter().filter(|point| point.vantage == *vantage);
                    push(&mut targets, issuer, serial, ours);
                }
            }
        }
        Ok(api::ProbeWork {
            now: self.clock().read().now.secs(),
            targets,
            next: next.map(|next| next.to_string()),
        })
    }

    /// Serials of the log by lot, and such that nobody has issued.
    fn drawn(&self) -> Result<Vec<(IssuerId, SerialNumber)>, Denied> {
        let now = self.clock().read().now;
        let mut drawn = Vec::new();
        for _ in 0..BY_LOT.saturating_mul(DRAWS) {
            let lot = u64::from_be_bytes(lot_octets(self.randomness.draw()?));
            let found = self.store().serial_by_lot(lot).map_err(|e| self.note_storage(&e))?;
            let Some((issuer, serial, row)) = found else { break };
            if row.status.not_after >= now && self.authority_of(issuer).is_ok() {
                drawn.push((issuer, serial));
            }
            if drawn.len() == BY_LOT {
                break;
            }
        }
        drawn.extend(self.receipted(now)?);
        let signing: Vec<IssuerId> =
            self.authorities.values().filter(|one| one.signs_here()).map(|one| one.id).collect();
        for _ in 0..NEVER_ISSUED {
            let lot = u64::from_be_bytes(lot_octets(self.randomness.draw()?));
            let count = u64::try_from(signing.len()).unwrap_or(u64::MAX).max(1);
            let place = usize::try_from(lot % count).unwrap_or_default();
            if let Some(issuer) = signing.get(place) {
                drawn.push((*issuer, self.draw_serial()?));
            }
        }
        Ok(drawn)
    }

    /// Serials that were seen revoked everywhere, and are still: of each method the newest that are past its limit, and one by lot.
    fn receipted(&self, now: UnixTime) -> Result<Vec<(IssuerId, SerialNumber)>, Denied> {
        let (Some(receipts), store) = (&self.receipts, self.store()) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for method in &receipts.methods {
            let by = now.saturating_sub(receipts.limit(*method).saturating_add(A_WHILE));
            let newest = store.newest_receipted(by, RECEIPTED);
            found.extend(newest.map_err(|e| self.note_storage(&e))?);
        }
        let lot = u64::from_be_bytes(lot_octets(self.randomness.draw()?));
        found.extend(store.receipted_by_lot(lot).map_err(|e| self.note_storage(&e))?);
        let mut receipted = Vec::new();
        for one in found {
            let (issuer, serial) = one;
            let row = store.serial_status(issuer, &serial).map_err(|e| self.note_storage(&e))?;
            let is_shown =
                |row: StatusRow| row.status.not_after >= now && row.status.revocation().is_some();
            let known = self.authority_of(issuer).is_ok() && !receipted.contains(&one);
            if known && row.is_some_and(is_shown) {
                receipted.push(one);
            }
        }
        Ok(receipted)
    }

    /// Takes what a vantage point saw.
    pub(crate) fn observed(
        &self,
        vantage: &VantageName,
        caller: &str,
        request: &api::ObservationsRequest,
    ) -> Result<api::ObservationsTaken, Denied> {
        let receipts = self.receipts.as_ref().ok_or_else(not_configured)?;
        too_many(request.observations.len())?;
        self.follow_revocations(1)?;
        let now = self.clock().read().now;
        let mut told = api::ObservationsTaken {
            taken: 0,
            receipted: 0,
            differences: Vec::new(),
            refused: Vec::new(),
        };
        let mut written = 0_usize;
        let (mut sights, mut touched) = (Vec::new(), BTreeMap::new());
        for (number, statement) in request.observations.iter().enumerate() {
            match judged(receipts, statement, Some(vantage), now) {
                Ok(seen) => {
                    told.taken = told.taken.saturating_add(1);
                    self.compare(&seen, caller, now, &mut told.differences, &mut written)?;
                    self.sights_of(receipts, &seen, &mut sights, &mut touched)?;
                }
                Err(denied) => told.refused.push(api::RefusedObservation {
                    number,
                    code: denied.refusal.code.to_owned(),
                    detail: denied.refusal.seen,
                }),
            }
        }
        if told.taken > 0 {
            receipts.note_life(vantage, now);
        }
        if !sights.is_empty() {
            self.store().record_sights(&sights).map_err(|e| self.note_storage(&e))?;
        }
        let mut whole = Vec::new();
        for (issuer, serial, method) in touched.into_values() {
            let found = self.store().awaited_of(issuer, &serial, method);
            whole.extend(found.map_err(|e| self.note_storage(&e))?);
        }
        let (receipted, outcome) = self.receipt_whole(receipts, whole, client(caller), now);
        told.receipted = receipted;
        if let Err(denied) = outcome {
            // What was sent is taken; the next turn tries again and tells of it.
            tracing::warn!(problem.code = denied.refusal.code, "not receipted: {denied}");
        }
        Ok(told)
    }

    /// What an observation says of what is awaited.
    fn sights_of(
        &self,
        receipts: &Receipts,
        seen: &SignedObservation,
        sights: &mut Vec<(AwaitedKey, Sight)>,
        touched: &mut BTreeMap<i64, (IssuerId, SerialNumber, ReceiptMethod)>,
    ) -> Result<(), Denied> {
        let observation = seen.observation();
        let Some(method) = ReceiptMethod::of(observation.method) else { return Ok(()) };
        for Seen { serial, .. } in &observation.seen {
            let found = self.store().awaited_of(observation.issuer, serial, method);
            let Some(awaited) = found.map_err(|e| self.note_storage(&e))? else { continue };
            let Some(entry) = entry_of(&awaited) else { continue };
            let points = self.points_of_awaited(receipts, &awaited)?;
            if !points.iter().any(|point| point.is_of(seen)) {
                continue;
            }
            let shows = if entry.is_seen_by(seen) { Shows::Yes } else { Shows::No };
            sights.push((awaited.key(), Sight::of(seen, shows)));
            touched.insert(awaited.number, (awaited.issuer, awaited.serial, method));
        }
        Ok(())
    }

    /// Signs receipts for those that were seen at every point: for how many, and why not for one of the others. What fails holds up
    /// nothing else.
    pub(super) fn receipt_whole(
        &self,
        receipts: &Receipts,
        awaited: Vec<Awaited>,
        actor: Actor,
        now: UnixTime,
    ) -> (usize, Result<(), Denied>) {
        let mut outcome = Ok(());
        let mut groups: BTreeMap<(ReceiptMethod, Vec<Point>), Vec<Whole>> = BTreeMap::new();
        for one in awaited {
            let Some(entry) = entry_of(&one) else { continue };
            let points = match self.points_of_awaited(receipts, &one) {
                Ok(points) => points,
                Err(denied) => {
                    outcome = outcome.and(Err(denied));
                    continue;
                }
            };
            let seen = |point: &Point| {
                one.sights.iter().any(|sight| sight.is_of(point) && sight.shown.is_some())
            };
            if !points.is_empty() && points.iter().all(seen) {
                groups.entry((one.method, points)).or_default().push((one, entry));
            }
        }
        let mut count = 0_usize;
        for ((method, points), of_group) in groups {
            let most = if method == ReceiptMethod::Crl { OF_A_LIST } else { 1 };
            let mut parts: Vec<&[Whole]> = of_group.chunks(most).rev().collect();
            while let Some(part) = parts.pop() {
                match self.receipt_part(receipts, method, &points, part, actor, now) {
                    Ok(()) => count = count.saturating_add(part.len()),
                    // Too long for a note, or one of them is damaged: the others have theirs.
                    Err(Unreceipted::Part(_)) if part.len() > 1 => {
                        let (first, second) = part.split_at(part.len() / 2);
                        parts.extend([second, first]);
                    }
                    Err(Unreceipted::Part(denied) | Unreceipted::Storage(denied)) => {
                        outcome = outcome.and(Err(denied));
                    }
                }
            }
        }
        (count, outcome)
    }

    fn receipt_part(
        &self,
        receipts: &Receipts,
        method: ReceiptMethod,
        points: &[Point],
        part: &[Whole],
        actor: Actor,
        now: UnixTime,
    ) -> Result<(), Unreceipted> {
        let mut statements: Vec<&str> = Vec::new();
        let mut entries = Vec::new();
        for (awaited, entry) in part {
            let of_points =
                awaited.sights.iter().filter(|one| points.iter().any(|point| one.is_of(point)));
            statements.extend(of_points.clone().map(|one| one.statement.as_str()));
            let seen = of_points.filter_map(|one| one.shown).max().unwrap_or(now);
            entries.push(ReceiptedEntry {
                issuer: entry.issuer,
                serial: entry.serial,
                position: entry.position,
                revoked: entry.revocation.time,
                seen,
            });
        }
        statements.sort_unstable();
        statements.dedup();
        let note = note_of(receipts, method, points, part, &statements, &entries, now)
            .map_err(|error| Unreceipted::Part(unsigned(error.as_ref())))?;
        let leaf = Self::record(
            EventCode::RevocationConfirmed,
            EventResult::Done,
            actor,
            ObjectIds::first_of(entries.iter().map(|one| ObjectId::StatusEntry(one.position))),
            None,
            &json!({ "method": method.as_str(), "revocations": entries.len(), "receipt": note }),
            Subject::Deployment,
        );
        let delays: Vec<_> = part
            .iter()
            .zip(&entries)
            .map(|((awaited, _), one)| one.seen.since(awaited.since))
            .collect();
        let new = NewReceipt { method, note, entries };
        let first = self
            .store()
            .record_receipt(&new, &leaf, now)
            .map_err(|e| Unreceipted::Storage(self.note_storage(&e)))?;
        if first {
            for delay in delays {
                metrics::histogram!("sigill_revocation_seen_seconds", "method" => method.as_str())
                    .record(delay.as_secs_f64());
            }
        }
        Ok(())
    }

    /// Compares what was seen with the log; a difference is told of, and written down once.
    fn compare(
        &self,
        seen: &SignedObservation,
        caller: &str,
        now: UnixTime,
        differences: &mut Vec<String>,
        written: &mut usize,
    ) -> Result<(), Denied> {
        let observation = seen.observation();
        let labels = || {
            [
                ("method", observation.method.as_str().to_owned()),
                ("vantage", observation.vantage.to_string()),
            ]
        };
        for one in &observation.seen {
            let row = self.store().serial_status(observation.issuer, &one.serial);
            let row = row.map_err(|e| self.note_storage(&e))?;
            let logged = row.map(|row| self.logged(observation, one, &row)).transpose()?;
            metrics::counter!("sigill_status_compared_total", &labels()).increment(1);
            let Some(found) = difference(observation, one, logged.as_ref()) else { continue };
            if found.taken_back.is_some() && !self.had_shown(&found)? {
                continue;
            }
            metrics::counter!("sigill_status_differences_total", &labels()).increment(1);
            differences.push(found.to_string());
            if *written < WRITTEN {
                *written =
                    written.saturating_add(usize::from(self.tell_difference(&found, caller, now)?));
            }
        }
        Ok(())
    }

    /// Whether the point of an observation is one of the receipt by which the revocation had been seen: one that was added later may
    /// be behind a copy from before.
    fn had_shown(&self, found: &Difference) -> Result<bool, Denied> {
        let Some(receipts) = &self.receipts else { return Ok(false) };
        let Some(method) = ReceiptMethod::of(found.method) else { return Ok(false) };
        let kept = self.store().receipts(found.issuer, &found.serial);
        let kept = kept.map_err(|e| self.note_storage(&e))?;
        let is_it =
            |row: &&ReceiptRow| row.method == method && Some(row.entry.position) == found.position;
        // Its key may have changed since.
        let is_there = |point: &Point| {
            point.vantage == found.vantage && point.method == found.method && point.url == found.url
        };
        let key = NotePublicKey::from_bytes(receipts.signer.public_key());
        Ok(kept.iter().filter(is_it).any(|row| {
            let text = ReceiptText::open(row.note.as_bytes(), key);
            let receipt = text.ok().and_then(|text| Receipt::from_text(&text).ok());
            // Of a receipt by an earlier key nobody knows: better told of than not.
            receipt.is_none_or(|receipt| receipt.points().iter().any(is_there))
        }))
    }

    fn logged(
        &self,
        observation: &Observation,
        seen: &Seen,
        row: &StatusRow,
    ) -> Result<Logged, Denied> {
        let at = row.position;
        let entries = self
            .store()
            .log_entries(Log::Status, at.epoch, at.index..at.index.saturating_add(1))
            .map_err(|e| self.note_storage(&e))?;
        let entry = entries.first().and_then(|entry| StatusEntry::decode(&entry.bytes).ok());
        // Of an imported revocation the status has another operator's time, which would be judged wrongly.
        let damaged = StoreError::Stored { what: "status entry" };
        let time = entry.ok_or_else(|| self.note_storage(&damaged))?.log_time();
        let method = ReceiptMethod::of(observation.method);
        let method = method.filter(|_| row.status.revocation().is_some());
        let shown = match (method, &self.receipts) {
            (Some(method), Some(receipts)) => {
                let shown = self.store().shown_at(observation.issuer, &seen.serial, method, at);
                let shown = shown.map_err(|e| self.note_storage(&e))?;
                // Until its limit a copy from before it may still be about.
                let over = time.checked_add(receipts.limit(method));
                shown.zip(over).map(|(shown, over)| shown.max(over))
            }
            _ => None,
        };
        Ok(Logged { position: at, time, status: row.status, shown })
    }

    /// True where it was written down.
    fn tell_difference(
        &self,
        found: &Difference,
        caller: &str,
        now: UnixTime,
    ) -> Result<bool, Denied> {
        let Some(receipts) = &self.receipts else { return Ok(false) };
        if !receipts.is_first_difference(found) {
            return Ok(false);
        }
        match receipts.writes_difference(&found.vantage, now) {
            Writes::Yes => {}
            Writes::Last => tracing::error!(
                problem.code = "status-differences-many",
                vantage = found.vantage.as_str(),
                "further differences of this vantage point are only counted in this hour \
                 (sigill_status_differences_total); next: docs/operations/watch.md"
            ),
            Writes::No => return Ok(false),
        }
        let authority = self.authority_of(found.issuer).map(super::authority::Authority::name);
        let authority = authority.unwrap_or_default();
        let object = base16ct::lower::encode_string(&found.object_sha256);
        tracing::error!(
            problem.code = "status-difference",
            authority,
            object_sha256 = %object,
            "what the world sees is not what the log says: {found}; next: docs/operations/watch.md"
        );
        let leaf = Self::record(
            EventCode::StatusDifference,
            EventResult::Failed,
            client(caller),
            ObjectIds::of_act([
                Some(ObjectId::Issuer(found.issuer)),
                found.position.map(ObjectId::StatusEntry),
            ]),
            None,
            &json!({ "authority": authority, "difference": found.to_string(), "object": object }),
            Subject::Deployment,
        );
        self.store().record_audit(&leaf, now).map(|_| true).map_err(|e| self.note_storage(&e))
    }

    /// Where this revocation has to be seen.
    pub(super) fn points_of_awaited(
        &self,
        receipts: &Receipts,
        awaited: &Awaited,
    ) -> Result<Vec<Point>, Denied> {
        if !receipts.methods.contains(&awaited.method) {
            return Ok(Vec::new());
        }
        let urls = self.urls(awaited.issuer, &awaited.serial, awaited.method)?;
        Ok(points_of(receipts, &urls, awaited.method))
    }

    /// The URLs of the certificate itself; where it is not here, those that its authority puts into certificates.
    pub(super) fn urls(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
        method: ReceiptMethod,
    ) -> Result<Vec<String>, Denied> {
        let lookup = CertificateLookup::Serial(issuer, *serial);
        let record = self.store().certificate(&lookup).map_err(|e| self.note_storage(&e))?;
        if let Some(der) = record.and_then(|record| record.der) {
            return Ok(urls_in(&der, method));
        }
        Ok(self.authority_of(issuer).map_or_else(
            |_| Vec::new(),
            |authority| {
                let url = match method {
                    ReceiptMethod::Ocsp => authority.issuer.ocsp_url(),
                    ReceiptMethod::Crl => authority.issuer.crl_url(),
                };
                vec![url.as_str().to_owned()]
            },
        ))
    }
}

/// The signed receipt of a part.
fn note_of(
    receipts: &Receipts,
    method: ReceiptMethod,
    points: &[Point],
    part: &[Whole],
    statements: &[&str],
    entries: &[ReceiptedEntry],
    now: UnixTime,
) -> Result<String, Box<dyn std::error::Error>> {
    let open = |statement: &&str| SignedObservation::open(statement.as_bytes());
    let observations = statements.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    // A vantage point's clock may be a little ahead of ours.
    let time = entries.iter().map(|one| one.seen).fold(now, UnixTime::max);
    let deployment = receipts.deployment.clone();
    let entries = part.iter().map(|(_, entry)| *entry).collect();
    let receipt = Receipt::new(deployment, method, time, points.to_vec(), entries, observations)?;
    Ok(receipt.to_text()?.sign(receipts.signer.as_ref())?)
}

/// What has to be seen; `None` where the serial has changed again, which the log brings next.
pub(super) fn entry_of(awaited: &Awaited) -> Option<ReceiptEntry> {
    let status = &awaited.status.status;
    let seen = matches!(status.state, CertificateState::Revoked | CertificateState::Held(_));
    let revocation = status.revocation()?;
    (seen && awaited.status.position == awaited.position).then_some(ReceiptEntry {
        position: awaited.position,
        issuer: awaited.issuer,
        serial: awaited.serial,
        revocation: SeenRevocation { time: revocation.time, reason: revocation.reason },
    })
}

fn lot_octets(drawn: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = drawn;
    [a, b, c, d, e, f, g, h]
}

/// Adds looks to the target of this serial.
fn push<'a>(
    targets: &mut Vec<api::ProbeTarget>,
    issuer: IssuerId,
    serial: SerialNumber,
    points: impl Iterator<Item = &'a Point>,
) {
    let looks: Vec<api::ProbeLook> = points
        .map(|point| api::ProbeLook {
            method: point.method.as_str().to_owned(),
            url: point.url.clone(),
        })
        .collect();
    if looks.is_empty() {
        return;
    }
    let (issuer, serial) = (issuer.to_string(), serial.to_string());
    let known = targets.iter_mut().find(|one| one.issuer == issuer && one.serial == serial);
    match known {
        Some(known) => {
            let new: Vec<_> = looks.into_iter().filter(|one| !known.looks.contains(one)).collect();
            known.looks.extend(new);
        }
        None => targets.push(api::ProbeTarget { issuer, serial, looks }),
    }
}

#[cfg(test)]
pub(super) mod tests;
