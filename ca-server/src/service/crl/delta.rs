//! Delta CRLs: what the full one that was published last does not say yet (CRL-08).
//!
//! Each is made to the last published full CRL, of the same scope and by the same key, under a number of the same
//! series. A new full CRL has a delta to it at once, so that whoever has the one finds the other.

use std::fs;

use crl::{CrlOrder, DeltaError, Due, NewDates, PrepareError, PreparedCrl, PreviousCrl, Schedule};
use status::Position;
use store::{CrlScope, StoreError};
use x509::crl::CrlKind;

use super::{
    List, Making, NO_SNAPSHOT, SpoolNames, broken, crl_issuer, horizon, kept_since, listing,
    stated_scope, unspooled,
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

    pub(super) fn prepare_delta(
        &self,
        making: &Making<'_>,
        base: Base,
        names: &SpoolNames,
    ) -> Result<(PreparedCrl, Position), Denied> {
        let authority = making.authority;
        let issuer = crl_issuer(authority)?;
        let scope = stated_scope(authority);
        let mut files = names.open().map_err(|error| unspooled(authority, &error))?;
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
        let (mut reader, mut outcome) = (Some(base.reader), None);
        self.store()
            .revoked(authority.id, horizon, &mut |snapshot| {
                let Some(reader) = reader.take() else { return };
                let position = Position { epoch: snapshot.head.epoch, index: snapshot.head.size };
                let rows = snapshot.rows.filter_map(|row| {
                    let entry = |row: store::RevokedRow| {
                        crl::CrlEntry::of(row.serial, &row.status, listing)
                    };
                    row.map(entry).transpose()
                });
                let rows = crl::delta(reader, rows);
                let none: Option<PreviousCrl<fs::File>> = None;
                let unexplained = &mut |_: &_| crl::Departure::Unexplained;
                let made = crl::prepare(&order, rows, &mut files, none, unexplained);
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
