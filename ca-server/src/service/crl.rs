//! CRLs: rows of one snapshot, spooled, linted, compared, recorded, signed, verified, published.

mod delta;
mod last;
mod numbers;
mod shards;
mod spool;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::day::Day;
use ca::issuer::CrlScopeStated;
use ca::refusal::Refusal;
use crl::{
    CrlEntry, CrlIssuer, CrlNumber, CrlOrder, Departure, Due, Listing, NewDates, PrepareError,
    PreparedCrl, PreviousCrl, Schedule, ShardNumber,
};
use serde_json::json;
use status::{Position, PublishedCrl};
use store::{
    AuditRecord, CrlIntent, CrlRow, CrlScope, LeaseName, LeaseOutcome, RevokedRow, RevokedSnapshot,
    StoreError, Subject,
};
use x509::crl::{CrlKind, IssuingDistributionPoint, RevokedEntry};
use x509::serial::SerialNumber;
use x509::signing::{Pending, Recorded};
use x509::time::UnixTime;

use self::last::Term;
use self::spool::{SpoolNames, create};
use super::Service;
use super::authority::Authority;
use super::previous::Previous;
use crate::denied::{Denied, Kind};
use crate::publication::chain;
use crate::publication::crl_files::CrlFiles;

/// Expired entries that left the list are explained this far back: the longest stretch without a
/// CRL after which one still can be made without an operator.
const EXPLAINED: Duration = Duration::from_secs(400 * 24 * 3600);

/// Octets beside three times the last CRL: new entries and the manifest.
const SPARE_ROOM: u64 = 128 * 1024;

/// Which of an authority's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// The full one.
    Full,
    /// The delta to it.
    Delta,
    /// The small one of a shard.
    Shard(ShardNumber),
}

impl List {
    pub(super) fn scope(self) -> CrlScope {
        match self {
            Self::Full => CrlScope::full(),
            Self::Delta => CrlScope::delta(),
            Self::Shard(number) => number.into(),
        }
    }

    pub(super) fn path(self, authority: &Authority) -> String {
        match self {
            Self::Full => CrlFiles::full_path(authority.name()),
            Self::Delta => CrlFiles::delta_path(authority.name()),
            Self::Shard(number) => CrlFiles::shard_path(authority.name(), number),
        }
    }
}

/// A list in the making.
struct Making<'a> {
    authority: &'a Authority,
    list: List,
    number: &'a CrlNumber,
    this_update: UnixTime,
    next_update: UnixTime,
}

impl Service {
    /// Which list of the authority is to be made now, if any: what is due, else what a revocation waits for. None by
    /// a node that does not publish: the one that does makes them, so that each is made once.
    pub(crate) fn wanted_crl(&self, authority: &Authority) -> Result<Option<List>, Denied> {
        if !self.publication.is_ours() {
            return Ok(None);
        }
        if let Some(last) = self.last_crl(authority)? {
            return self.keep_last_crl(authority, &last).map(|()| None);
        }
        if self.crl_is_due(authority)? {
            // With deltas what is wished for waits for the one that follows, or comes on it if this one fails.
            if authority.section.delta_crl_period.is_none() {
                self.take_crl_wish(authority)?;
            }
            return Ok(Some(List::Full));
        }
        let Some(deltas) = delta_schedule(authority)? else {
            return Ok(self.take_crl_wish(authority)?.then_some(List::Full));
        };
        let is_due = self.delta_is_due(authority, deltas)?;
        Ok((self.take_crl_wish(authority)? || is_due).then_some(List::Delta))
    }

    /// Takes what waits for a list, unless the last ones have it.
    fn take_crl_wish(&self, authority: &Authority) -> Result<bool, Denied> {
        authority.take_crl_wish(|| {
            let rows = [List::Full, List::Delta];
            let rows = rows.map(|list| self.store().current_crl(authority.id, &list.scope()));
            let mut listed = None;
            for row in rows {
                let row = row.map_err(|e| self.note_storage(&e))?;
                listed = listed.max(row.and_then(|row| row.position));
            }
            Ok(listed)
        })
    }

    /// Whether the authority's CRL is due by the clock, or has never been made or published, or its
    /// file is lost or cut short.
    pub(crate) fn crl_is_due(&self, authority: &Authority) -> Result<bool, Denied> {
        let current = self
            .store()
            .current_crl(authority.id, &CrlScope::full())
            .map_err(|e| self.note_storage(&e))?;
        if let Some(row) = &current {
            let left = row.next_update.since(self.clock().read().now);
            metrics::gauge!("sigill_crl_seconds_left", "authority" => authority.name().to_owned())
                .set(left.as_secs_f64());
            // Read every round, so by its length alone; its hash is compared when the next one is made.
            let listed = self.files.published(&CrlFiles::full_path(authority.name()));
            let there = listed.is_some_and(|(path, listed)| {
                let found = fs::metadata(path).ok().filter(fs::Metadata::is_file);
                found.is_some_and(|found| listed.sha256 != row.sha256 || found.len() == row.length)
            });
            if row.published.is_none() || !there {
                return Ok(true);
            }
        }
        let last = current.map(|row| row.this_update);
        Ok(matches!(schedule(authority)?.due(last, self.clock().read().now), Due::Now { .. }))
    }

    /// Makes and publishes a list of `authority`; a full one where a delta has no base.
    pub(crate) fn make_list(&self, authority: &Authority, list: List) -> Result<(), Denied> {
        self.must_go_on(authority)?;
        self.make_of_term(authority, list, Term::Next)
    }

    fn make_of_term(
        &self,
        authority: &Authority,
        list: List,
        term: Term<'_>,
    ) -> Result<(), Denied> {
        let leave = self.may_sign(authority)?;
        let names = SpoolNames::new(&self.files, authority.name());
        // A folder that takes no list must not cost an audit leaf, a number and a signature every
        // time that it is tried again.
        names
            .try_room(self.room_wanted(authority, list))
            .map_err(|error| unspooled(authority, &error))?;
        let now = self.signing_time()?;
        let begun = self.crl_record(EventCode::CrlBegun, authority, None, &term.told(json!({})));
        // From here on the log's time is at least `now`, so that whatever this list lacks is dated
        // at or after its thisUpdate (REV-06).
        self.store().record_audit(&begun, now).map_err(|e| self.note_storage(&e))?;
        let number = self.next_number(authority, now)?;
        leave.used();
        let made = self.make_numbered(authority, (list, term), &number, now, &names);
        names.remove();
        made
    }

    /// Octets that the files of the next list need at once, our own copy among them: three of about the
    /// last one's size.
    fn room_wanted(&self, authority: &Authority, list: List) -> u64 {
        let published = self.files.path(&list.path(authority));
        let last = fs::metadata(published).map_or(0, |facts| facts.len());
        last.saturating_mul(3).saturating_add(SPARE_ROOM)
    }

    fn make_numbered(
        &self,
        authority: &Authority,
        (list, term): (List, Term<'_>),
        number: &CrlNumber,
        now: UnixTime,
        names: &SpoolNames,
    ) -> Result<(), Denied> {
        let base = match list {
            List::Full | List::Shard(_) => None,
            List::Delta => self.base(authority)?,
        };
        // Without a base that can be had, only a full list tells all.
        let list = if list == List::Delta && base.is_none() { List::Full } else { list };
        let schedule = match list {
            List::Full | List::Shard(_) => schedule(authority)?,
            List::Delta => delta_schedule(authority)?
                .ok_or_else(|| broken(authority, &"no delta CRLs are configured"))?,
        };
        let next_update = match term {
            Term::Next => schedule.next_update(now),
            Term::Last { .. } | Term::AllExpired | Term::WithFull => Some(UnixTime::LAST),
        };
        let next_update =
            next_update.ok_or_else(|| broken(authority, &"nextUpdate after the year 9999"))?;
        let making = Making { authority, list, number, this_update: now, next_update };
        let (prepared, position, compared_with) = match base {
            Some(base) => {
                let (prepared, position) = self.prepare_delta(&making, base, names)?;
                (prepared, position, "its base")
            }
            None => {
                let previous = self.previous(authority, list)?;
                let compared_with = previous.name();
                let (prepared, position) = self.prepare_crl(&making, previous, names)?;
                (prepared, position, compared_with)
            }
        };
        let entries = prepared.entries;
        let facts = CrlIntent {
            issuer: authority.id,
            scope: list.scope(),
            number: number.clone(),
            position,
            this_update: now,
            next_update,
            node: self.node.clone(),
        };
        let payload = term.told(json!({
            "number": hex(number),
            "scope": list.scope().to_string(),
            "entries": entries,
            "position": position.to_string(),
            "compared_with": compared_with,
        }));
        let record = self.crl_record(EventCode::CrlIntent, authority, None, &payload);
        let recorded = self
            .store()
            .record_crl_intent(&prepared.pending, &facts, &record, now)
            .map_err(|e| self.note_storage(&e))?;
        let intent = recorded.intent_id();
        let row = self
            .sign_crl(authority, prepared.pending, &recorded, &payload, names)
            .inspect_err(|_| {
                // The number is spent; nothing else was promised.
                if let Err(denied) = self.void_intent(intent) {
                    tracing::warn!(problem.code = denied.refusal.code, "CRL intent stays open");
                }
            })?;
        self.publish_crl(authority, list, &row, &names.finished)?;
        tracing::info!(
            authority.name = authority.name(),
            crl.number = %hex(number),
            crl.scope = %list.scope(),
            crl.entries = entries,
            crl.position = %position,
            "CRL published"
        );
        metrics::counter!("sigill_crls_total", "authority" => authority.name().to_owned())
            .increment(1);
        self.publication.wake();
        Ok(())
    }

    /// Signs a recorded list, puts its file together, and records it.
    fn sign_crl(
        &self,
        authority: &Authority,
        pending: Pending,
        recorded: &Recorded,
        payload: &serde_json::Value,
        names: &SpoolNames,
    ) -> Result<CrlRow, Denied> {
        // While it was put together this program may have stood still, and another node have taken over.
        self.must_publish(authority)?;
        let signed = self.sign(pending, recorded)?;
        let finished = (|| {
            let spool = BufReader::new(File::open(&names.spool)?);
            let mut sink = BufWriter::new(create(&names.finished)?);
            let finished = crl::finish(&signed, spool, &mut sink).map_err(io::Error::other)?;
            sink.flush()?;
            sink.get_ref().sync_all()?;
            Ok(finished)
        })()
        .map_err(|error: io::Error| unspooled(authority, &error))?;
        let file = ObjectId::Document(ledger::Hash::from_bytes(finished.sha256));
        let record = self.crl_record(EventCode::CrlIssued, authority, Some(file), payload);
        let now = self.clock().read().now;
        self.store()
            .record_crl_issued(&signed, finished.sha256, finished.length, &record, now)
            .map_err(|e| self.note_storage(&e))
    }

    /// Refuses where another node has the lease of the publication by now. The database says so: a machine that was suspended from
    /// outside has no clock that would.
    fn must_publish(&self, authority: &Authority) -> Result<(), Denied> {
        let Some(fencing) = self.publication.held_under() else { return Err(not_ours(authority)) };
        let now = self.clock().read().now;
        match self.store().lease(&LeaseName::Publication, &self.node, now) {
            Ok(LeaseOutcome::Held { fencing: found, .. }) if found == fencing => Ok(()),
            // Another one published between, though the lease is this node's again.
            Ok(LeaseOutcome::Held { .. } | LeaseOutcome::Taken { .. }) => Err(not_ours(authority)),
            Err(error) => Err(self.note_storage(&error)),
        }
    }

    fn publish_crl(
        &self,
        authority: &Authority,
        list: List,
        row: &CrlRow,
        file: &Path,
    ) -> Result<(), Denied> {
        let published = PublishedCrl {
            path: list.path(authority),
            sha256: row.sha256,
            number: hex(&row.number),
            position: row.position,
        };
        if list != List::Delta {
            self.keep_own_copy(authority, list, file);
        }
        // While it was signed another node may have taken over, whose lists are newer.
        self.must_publish(authority)?;
        self.files
            .publish(file, published)
            .map_err(|error| unspooled(authority, &io::Error::other(chain(&error))))?;
        let now = self.clock().read().now;
        self.store()
            .mark_crl_published(row.issuer, &row.scope, &row.number, now)
            .map_err(|e| self.note_storage(&e))
    }

    fn prepare_crl(
        &self,
        making: &Making<'_>,
        previous: Previous,
        names: &SpoolNames,
    ) -> Result<(PreparedCrl, Position), Denied> {
        let authority = making.authority;
        let issuer = crl_issuer(authority)?;
        let scope = match making.list {
            List::Shard(number) => Some(self.shard_point(authority, number)?),
            List::Full | List::Delta => stated_scope(authority),
        };
        let previous = previous.reader();
        let previous_update = previous.as_ref().map(|previous| previous.head().this_update);
        let mut spool = names.open().map_err(|error| unspooled(authority, &error))?;
        let order =
            CrlOrder {
                issuer: &issuer,
                intent: self.draw_intent_id(making.this_update)?,
                number: making.number,
                // No delta is made to the last one, nor to a shard's.
                kind: CrlKind::Complete {
                    freshest: authority.section.delta_crl_url.as_deref().filter(|_| {
                        making.list == List::Full && making.next_update < UnixTime::LAST
                    }),
                },
                this_update: making.this_update,
                next_update: making.next_update,
                issuing_distribution_point: scope.as_ref(),
                expired_certs_on_crl: kept_since(authority),
                new_dates: NewDates::SincePrevious,
            };
        let listing = listing(authority, previous_update);
        let mut previous = previous.map(PreviousCrl::ours);
        let mut outcome = None;
        let horizon = horizon(authority, previous_update);
        let read: &mut dyn FnMut(RevokedSnapshot<'_>) = &mut |snapshot| {
            let position = Position { epoch: snapshot.head.epoch, index: snapshot.head.size };
            // Filled while the rows go by, asked when they are compared, which comes later.
            let expired = RefCell::new(BTreeMap::new());
            let rows = snapshot.rows.filter_map(|row| listed(row, listing, &expired));
            let made = crl::prepare(&order, rows, &mut spool, previous.take(), &mut |entry| {
                self.departure(authority, entry, &expired.borrow())
            });
            outcome = Some(made.map(|prepared| (prepared, position)));
        };
        match making.list {
            List::Shard(number) => {
                self.store().revoked_in_shard(authority.id, number, horizon, read)
            }
            List::Full | List::Delta => self.store().revoked(authority.id, horizon, read),
        }
        .map_err(|e| self.note_storage(&e))?;
        match outcome {
            Some(Ok(prepared)) => Ok(prepared),
            Some(Err(PrepareError::File(error))) => Err(unspooled(authority, &error)),
            Some(Err(PrepareError::Rows(error))) => Err(self.note_storage(&error)),
            Some(Err(error)) => Err(broken(authority, &chain(&error))),
            None => Err(broken(authority, &NO_SNAPSHOT)),
        }
    }

    fn departure(
        &self,
        authority: &Authority,
        entry: &RevokedEntry,
        expired: &BTreeMap<SerialNumber, UnixTime>,
    ) -> Departure {
        if let Some(not_after) = expired.get(&entry.serial) {
            return Departure::Expired { not_after: *not_after };
        }
        // By its serial: of what was taken over from the published log there is no certificate.
        match self.store().serial_status(authority.id, &entry.serial) {
            Ok(Some(row)) if row.status.revocation().is_none() => Departure::Released,
            _ => Departure::Unexplained,
        }
    }

    fn crl_record(
        &self,
        code: EventCode,
        authority: &Authority,
        file: Option<ObjectId>,
        payload: &serde_json::Value,
    ) -> AuditRecord {
        Self::record(
            code,
            EventResult::Done,
            self.system(),
            ObjectIds::of_act([Some(ObjectId::Issuer(authority.id)), file]),
            None,
            payload,
            Subject::Deployment,
        )
    }
}

const NO_SNAPSHOT: &str = "the store gave no snapshot";

fn crl_issuer(authority: &Authority) -> Result<CrlIssuer, Denied> {
    CrlIssuer::new(authority.certificate.clone(), authority.issuer.algorithm())
        .map_err(|error| broken(authority, &error))
}

/// The issuing distribution point of the authority's full lists and their deltas.
fn stated_scope(authority: &Authority) -> Option<IssuingDistributionPoint> {
    match authority.issuer.crl_scope_stated() {
        CrlScopeStated::Yes => Some(IssuingDistributionPoint {
            full_name: vec![authority.issuer.crl_url().to_string()],
            scope: x509::crl::Scope::All,
        }),
        CrlScopeStated::No => None,
    }
}

fn kept_since(authority: &Authority) -> Option<UnixTime> {
    authority.section.crl_keeps_expired_from.map(Day::begin)
}

fn listing(authority: &Authority, previous: Option<UnixTime>) -> Listing {
    match kept_since(authority) {
        Some(since) => Listing::KeepsExpired { since, previous },
        None => Listing::UntilExpired { previous },
    }
}

/// The earliest end of a certificate whose row is read.
fn horizon(authority: &Authority, previous: Option<UnixTime>) -> UnixTime {
    let horizon = previous.unwrap_or(UnixTime::EPOCH).saturating_sub(EXPLAINED);
    kept_since(authority).map_or(horizon, |since| since.min(horizon))
}

/// The entry of a row on this list; the rows that expiry keeps off it are remembered.
fn listed(
    row: Result<RevokedRow, StoreError>,
    listing: Listing,
    expired: &RefCell<BTreeMap<SerialNumber, UnixTime>>,
) -> Option<Result<CrlEntry, StoreError>> {
    let row = match row {
        Ok(row) => row,
        Err(error) => return Some(Err(error)),
    };
    let entry = CrlEntry::of(row.serial, &row.status, listing);
    if entry.is_none() {
        expired.borrow_mut().insert(row.serial, row.status.not_after);
    }
    entry.map(Ok)
}

fn schedule(authority: &Authority) -> Result<Schedule, Denied> {
    let section = &authority.section;
    let period = section.crl_period();
    let overlap = section.crl_lifetime().saturating_sub(period);
    Schedule::new(period, overlap).map_err(|error| broken(authority, &error))
}

/// When deltas are due; `None` where the authority has none. Each lasts for three periods: two may fail.
fn delta_schedule(authority: &Authority) -> Result<Option<Schedule>, Denied> {
    let Some((period, lifetime)) = authority.section.delta_crls() else { return Ok(None) };
    Schedule::new(period, lifetime.saturating_sub(period))
        .map(Some)
        .map_err(|error| broken(authority, &error))
}

/// Upper-case hexadecimal, two digits an octet.
fn hex(number: &CrlNumber) -> String {
    base16ct::upper::encode_string(number.as_octets())
}

fn broken(authority: &Authority, seen: &dyn std::fmt::Display) -> Denied {
    Denied::new(
        Kind::Internal,
        Refusal::new(
            "crl-refused",
            "CRL-11: a CRL is linted and compared with the one before it, or not signed",
            &format!("{}: {seen}", authority.name()),
            "",
            "an operator compares the published CRL with the store before anything else",
        ),
    )
}

fn not_ours(authority: &Authority) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "crl-not-ours",
            "CRLs are published by the node that has the publication lease",
            &format!("{}: the lease ended while the CRL was made", authority.name()),
            "a CRL within the lease",
            "nothing: the node that has the lease makes the next one",
        ),
    )
}

fn unspooled(authority: &Authority, error: &io::Error) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "crl-unwritable",
            "a CRL is spooled and published as files",
            &format!("{}: {error}", authority.name()),
            "folders that take files",
            "make room in the spool and publication folders; it is tried again by itself",
        ),
    )
}
