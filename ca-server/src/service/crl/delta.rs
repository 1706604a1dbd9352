//! Delta CRLs: what the full one that was published last does not say yet (CRL-08).
//!
//! Each is made to the last published full CRL, of the same scope and by the same key, under a number of the same
//! series. A new full CRL has a delta to it at once, so that whoever has the one finds the other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use crl::{CrlOrder, DeltaError, Due, NewDates, PrepareError, PreparedCrl, PreviousCrl, Schedule};
use status::Position;
use store::{CrlScope, StoreError};
use x509::crl::CrlKind;

use super::spool::SpoolNames;
use super::{
    List, Making, NO_SNAPSHOT, broken, crl_issuer, delta_schedule, horizon, kept_since, listed,
    listing, stated_scope, unspooled,
};
use crate::denied::Denied;
use crate::publication::chain;
use crate::service::Service;
use crate::service::authority::Authority;
use crate::service::previous::Base;

impl Service {
    /// Whether the authority's delta is due by the clock, is older than the full CRL, or was not published or is
    /// lost.
    pub(super) fn delta_is_due(
        &self,
        authority: &Authority,
        schedule: Schedule,
    ) -> Result<bool, Denied> {
        let current = |scope| {
            self.store().current_crl(authority.id, &scope).map_err(|e| self.note_storage(&e))
        };
        let now = self.clock().read().now;
        let (full, delta) = (current(CrlScope::full())?, current(CrlScope::delta())?);
        let Some(delta) = delta else { return Ok(true) };
        let gauge = metrics::gauge!(
            "sigill_delta_crl_seconds_left", "authority" => authority.name().to_owned()
        );
        gauge.set(delta.next_update.since(now).as_secs_f64());
        let length = |path| fs::metadata(path).ok().map(|found| found.len());
        let published = self.files.published(&List::Delta.path(authority));
        let is_there = published.is_some_and(|(path, row)| {
            length(path).is_some_and(|found| row.sha256 != delta.sha256 || found == delta.length)
        });
        Ok(delta.published.is_none()
            || !is_there
            || full.is_some_and(|full| full.number > delta.number)
            || matches!(schedule.due(Some(delta.this_update), now), Due::Now { .. }))
    }

    /// Makes a list that is wanted. Where a full one cannot be made, what is refused there must not keep back the
    /// revocations that wait: they come on a delta to the last one. The error is that of the full one.
    pub(crate) fn make_wanted(&self, authority: &Authority, list: List) -> Result<(), Denied> {
        let made = self.make_list(authority, list);
        if made.is_ok() {
            return made;
        }
        if list == List::Full && authority.section.delta_crl_period.is_some() {
            if let Err(denied) = self.delta_meanwhile(authority) {
                authority.ask_for_crl();
                tracing::warn!(
                    authority.name = authority.name(),
                    problem.code = denied.refusal.code,
                    problem.seen = %denied.refusal.seen,
                    "neither a full CRL nor a delta to the last one could be made"
                );
            }
        } else {
            authority.ask_for_crl();
        }
        made
    }

    /// Makes a delta that is due or waited for, if it has a base.
    fn delta_meanwhile(&self, authority: &Authority) -> Result<(), Denied> {
        let Some(deltas) = delta_schedule(authority)? else { return Ok(()) };
        let is_wanted = self.take_crl_wish(authority)? || self.delta_is_due(authority, deltas)?;
        if !is_wanted || self.base(authority)?.is_none() {
            return Ok(());
        }
        self.make_list(authority, List::Delta)
    }

    pub(super) fn prepare_delta(
        &self,
        making: &Making<'_>,
        base: Base,
        names: &SpoolNames,
    ) -> Result<(PreparedCrl, Position), Denied> {
        let authority = making.authority;
        // A full list that takes the day back is refused when it is compared, and so are its deltas (CRL-10).
        if let Some(kept) = base.kept
            && kept_since(authority).is_none_or(|since| since > kept)
        {
            return Err(broken(authority, &"expiredCertsOnCRL of the base is taken back"));
        }
        let issuer = crl_issuer(authority)?;
        let scope = stated_scope(authority);
        let mut spool = names.open().map_err(|error| unspooled(authority, &error))?;
        let order = CrlOrder {
            issuer: &issuer,
            intent: self.draw_intent_id(making.this_update)?,
            number: making.number,
            kind: CrlKind::Delta { base: base.number.as_octets() },
            this_update: making.this_update,
            next_update: making.next_update,
            issuing_distribution_point: scope.as_ref(),
            expired_certs_on_crl: kept_since(authority),
            new_dates: NewDates::SincePrevious,
        };
        let listing = listing(authority, Some(base.this_update));
        let horizon = horizon(authority, Some(base.this_update));
        let (mut readers, mut outcome) = (Some((base.reader, base.last)), None);
        self.store()
            .revoked(authority.id, horizon, &mut |snapshot| {
                let Some((base, last)) = readers.take() else { return };
                let position = Position { epoch: snapshot.head.epoch, index: snapshot.head.size };
                // A row is read before the merge asks why its entry is gone.
                let expired = RefCell::new(BTreeMap::new());
                let rows = snapshot.rows.filter_map(|row| listed(row, listing, &expired));
                let rows = crl::delta(base, last, rows, |entry| {
                    self.departure(authority, entry, &expired.borrow())
                });
                let none: Option<PreviousCrl<fs::File>> = None;
                let unexplained = &mut |_: &_| crl::Departure::Unexplained;
                let made = crl::prepare(&order, rows, &mut spool, none, unexplained);
                outcome = Some(made.map(|prepared| (prepared, position)));
            })
            .map_err(|e| self.note_storage(&e))?;
        match outcome {
            Some(Ok(prepared)) => Ok(prepared),
            Some(Err(error)) => Err(self.no_delta(authority, error)),
            None => Err(broken(authority, &NO_SNAPSHOT)),
        }
    }

    fn no_delta(
        &self,
        authority: &Authority,
        error: PrepareError<DeltaError<StoreError>>,
    ) -> Denied {
        match error {
            PrepareError::File(error) => unspooled(authority, &error),
            PrepareError::Rows(DeltaError::Rows(error)) => self.note_storage(&error),
            error => broken(authority, &chain(&error)),
        }
    }
}
