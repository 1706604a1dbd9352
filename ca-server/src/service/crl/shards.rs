//! Shards: small lists beside the full one, for authorities that chose so (CRL-06, CRL-07).
//!
//! A certificate is given a place in a shard before it is prepared, because its distribution point is that of the shard.
//! A shard gives places away once its first list stands published, so that nobody finds nothing there; the next one is opened
//! and published before it is needed. Where none is ready a certificate names the full CRL, which tells all.

mod shown;

use std::fs;
use std::sync::PoisonError;
use std::time::Duration;

use crl::{Due, ShardNumber};
use store::{CrlShard, ShardPlaces};
use x509::crl::{IssuingDistributionPoint, Scope};
use x509::time::UnixTime;

use super::last::Term;
use super::{List, broken, schedule};
use crate::denied::Denied;
use crate::service::Service;
use crate::service::authority::Authority;

/// So many lists of an authority are made in one go: revocations of another one do not wait for all of them.
const AT_ONCE: usize = 8;
/// Places that a program takes at once. Those that it has not given away when it ends are lost.
const TAKEN: u32 = 64;

/// Which list a certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: ShardNumber,
    pub(crate) url: String,
}

/// What has to be done about a shard's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Next,
    /// The last one: nothing on it can change any more.
    Last,
}

impl Service {
    /// A place for a certificate of the authority. `None` where it has no shards, or none is ready: it names the full
    /// CRL then.
    pub(crate) fn place(
        &self,
        authority: &Authority,
        now: UnixTime,
    ) -> Result<Option<Place>, Denied> {
        let Some(plan) = authority.shard_plan() else { return Ok(None) };
        let mut held = authority.places.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_none_or(|places| places.count == 0 || places.ends <= now) {
            *held = self
                .store()
                .take_shard_places(authority.id, TAKEN, plan.window(), now)
                .map_err(|e| self.note_storage(&e))?;
        }
        let Some(places) = held.as_mut() else {
            metrics::counter!(
                "sigill_certificates_without_shard_total", "authority" => authority.name().to_owned()
            )
            .increment(1);
            return Ok(None);
        };
        places.count -= 1;
        Ok(Some(Place { number: places.number, url: places.url.clone() }))
    }

    /// Gives back a place that was not needed, so that requests that are refused use none up.
    pub(crate) fn give_back(authority: &Authority, place: &Place) {
        let mut held = authority.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ShardPlaces { number, count, .. }) = held.as_mut()
            && *number == place.number
        {
            *count += 1;
        }
    }

    /// Whether every list of the authority's shards tells what the log says up to before `position`.
    pub(crate) fn shards_tell(
        &self,
        authority: &Authority,
        position: status::Position,
    ) -> Result<bool, Denied> {
        let tells = |shard: &CrlShard| {
            let Some(changed) = shard.changed.map(|changed| changed.min(position)) else {
                return true;
            };
            let list = shard.list.as_ref().filter(|list| list.published.is_some());
            list.and_then(|list| list.position).is_some_and(|first| first > changed)
        };
        Ok(self.shards(authority)?.iter().all(tells))
    }

    /// Opens the shard that is needed next, and makes the lists that are due or that a revocation waits for; nothing by a
    /// node that does not publish. One that cannot be made does not keep back the others; the error is that of the first.
    pub(crate) fn tend_shards(&self, authority: &Authority) -> Result<(), Denied> {
        if !self.publication.is_ours() {
            return Ok(());
        }
        let known = self.know_published_shards(authority);
        let has_ended = self.last_crl(authority)?.is_some();
        if !has_ended {
            self.open_next_shard(authority)?;
        }
        let (now, shards) = (self.clock().read().now, self.shards(authority)?);
        if shards.is_empty() {
            return known;
        }
        observe(authority, &shards, now);
        let is_wished_for = authority.take_shard_wish();
        let (mut made, mut outcome) = (0, known);
        for shard in &shards {
            let wanted = if has_ended {
                self.wanted_at_the_end(authority, shard)
            } else {
                self.wanted_of_shard(authority, shard, is_wished_for, now)
            };
            let term = if has_ended { Term::WithFull } else { Term::AllExpired };
            let done = match wanted {
                Ok(Wanted::Nothing) => continue,
                Ok(_) if made == AT_ONCE => {
                    authority.keep_shard_wish();
                    break;
                }
                Ok(Wanted::Next) => self.make_list(authority, List::Shard(shard.number)),
                Ok(Wanted::Last) => self.make_of_term(authority, List::Shard(shard.number), term),
                Err(denied) => Err(denied),
            };
            made += 1;
            if let Err(denied) = done {
                // Without a key none of the others can be made either.
                authority.keep_shard_wish();
                let stops = !self.is_within_reach(authority);
                outcome = outcome.and(Err(denied));
                if stops {
                    break;
                }
            }
        }
        outcome
    }

    /// Makes the last list of each shard: every certificate of the authority has ended or is revoked.
    pub(super) fn make_last_of_shards(
        &self,
        authority: &Authority,
        actors: &[String; 2],
    ) -> Result<(), Denied> {
        self.know_published_shards(authority)?;
        for shard in self.shards(authority)? {
            let last = shard.list.filter(|list| list.next_update == UnixTime::LAST);
            let list = List::Shard(shard.number);
            match last {
                Some(row) => self.keep_last(authority, list, &row)?,
                None => self.make_of_term(authority, list, Term::Last { actors })?,
            }
        }
        Ok(())
    }

    /// The issuing distribution point of a shard's list: the URL that stands in its certificates, to the octet.
    pub(super) fn shard_point(
        &self,
        authority: &Authority,
        number: ShardNumber,
    ) -> Result<IssuingDistributionPoint, Denied> {
        let shards = self.shards(authority)?;
        let shard = shards.into_iter().find(|shard| shard.number == number);
        let shard = shard.ok_or_else(|| broken(authority, &format!("no shard {number}")))?;
        Ok(IssuingDistributionPoint { full_name: vec![shard.url], scope: Scope::All })
    }

    fn shards(&self, authority: &Authority) -> Result<Vec<CrlShard>, Denied> {
        self.store().crl_shards(authority.id).map_err(|e| self.note_storage(&e))
    }

    /// Keeps one shard open that no certificate is in yet. Such as are not of the configured plan are closed: certificates that
    /// they have stay in them.
    fn open_next_shard(&self, authority: &Authority) -> Result<(), Denied> {
        let (now, shards) = (self.clock().read().now, self.shards(authority)?);
        let plan = authority.shard_plan();
        let is_planned =
            |shard: &CrlShard| plan.is_some_and(|plan| plan.url(shard.number) == shard.url);
        for shard in shards.iter().filter(|shard| shard.places > 0 && !is_planned(shard)) {
            self.store()
                .close_crl_shard(authority.id, shard.number, now)
                .map_err(|e| self.note_storage(&e))?;
        }
        let is_spare = |shard: &CrlShard| shard.ends.is_none() && is_planned(shard);
        let Some(plan) = plan.filter(|_| !shards.iter().any(is_spare)) else { return Ok(()) };
        let next = match shards.last() {
            None => Some(ShardNumber::FIRST),
            Some(last) => last.number.next(),
        };
        let number = next.ok_or_else(|| broken(authority, &"no further shard has a number"))?;
        self.store()
            .open_crl_shard(authority.id, number, &plan.url(number), plan.places())
            .map_err(|e| self.note_storage(&e))?;
        tracing::info!(authority.name = authority.name(), crl.shard = %number, "shard opened");
        Ok(())
    }

    /// Takes in the shards that are published and that a database that was put back from a backup does not know: their lists
    /// go on, and their numbers are not given to others.
    fn know_published_shards(&self, authority: &Authority) -> Result<(), Denied> {
        let published = self.files.shards(authority.name());
        if published.is_empty() {
            return Ok(());
        }
        let known = self.shards(authority)?;
        for (number, row) in published {
            if known.iter().any(|shard| shard.number == number) {
                continue;
            }
            let list = List::Shard(number);
            let path = self.files.path(&list.path(authority));
            let url = self
                .stated_url(&path, row.sha256)
                .or_else(|_| self.stated_url(&self.own_copy(authority, list), row.sha256))
                .map_err(|error| {
                    broken(authority, &format!("shard {number} is published and lost: {error}"))
                })?;
            let now = self.clock().read().now;
            self.store()
                .know_crl_shard(authority.id, number, &url, now)
                .map_err(|e| self.note_storage(&e))?;
            tracing::warn!(
                authority.name = authority.name(),
                crl.shard = %number,
                "shard is published and was not known: its list goes on with what is known of it"
            );
        }
        Ok(())
    }

    /// Once its authority has ended a shard lacks a last list, or nothing.
    fn wanted_at_the_end(&self, authority: &Authority, shard: &CrlShard) -> Result<Wanted, Denied> {
        match shard.list.as_ref().filter(|list| list.next_update == UnixTime::LAST) {
            Some(last) => self.keep_last(authority, List::Shard(shard.number), last)?,
            None => return Ok(Wanted::Last),
        }
        Ok(Wanted::Nothing)
    }

    fn wanted_of_shard(
        &self,
        authority: &Authority,
        shard: &CrlShard,
        is_wished_for: bool,
        now: UnixTime,
    ) -> Result<Wanted, Denied> {
        let next = if crl::has_ended(shard.ends, shard.last_end, now) {
            Wanted::Last
        } else {
            Wanted::Next
        };
        let Some(list) = &shard.list else { return Ok(next) };
        let of_shard = List::Shard(shard.number);
        if list.next_update == UnixTime::LAST {
            self.keep_last(authority, of_shard, list)?;
            return Ok(Wanted::Nothing);
        }
        let published = self.files.published(&of_shard.path(authority));
        let is_there = published.is_some_and(|(path, row)| {
            let found = fs::metadata(path).ok().filter(fs::Metadata::is_file);
            found.is_some_and(|found| row.sha256 != list.sha256 || found.len() == list.length)
        });
        let is_behind = shard.changed >= list.position;
        let is_due =
            matches!(schedule(authority)?.due(Some(list.this_update), now), Due::Now { .. });
        let is_wanted = list.published.is_none()
            || !is_there
            || is_due
            || next == Wanted::Last
            || (is_wished_for && is_behind);
        Ok(if is_wanted { next } else { Wanted::Nothing })
    }
}

fn observe(authority: &Authority, shards: &[CrlShard], now: UnixTime) {
    let lists = shards.iter().filter_map(|shard| shard.list.as_ref());
    let left = lists.map(|list| list.next_update.since(now)).min().unwrap_or(Duration::ZERO);
    metrics::gauge!("sigill_crl_shard_seconds_left", "authority" => authority.name().to_owned())
        .set(left.as_secs_f64());
    let count = u32::try_from(shards.len()).unwrap_or(u32::MAX);
    metrics::gauge!("sigill_crl_shards", "authority" => authority.name().to_owned())
        .set(f64::from(count));
}

#[cfg(test)]
mod tests;
