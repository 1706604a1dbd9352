//! Revocations that the world does not show yet: how long already, at which vantage point, and an alarm past the limit (promise 4, REV-07).

use std::collections::BTreeMap;
use std::time::Duration;

use status::receipt::Point;
use status::{ProbeMethod, ReceiptMethod, VantageName};
use store::{Awaited, AwaitedCount};
use x509::time::UnixTime;

use super::Service;
use super::probing::entry_of;
use crate::denied::Denied;
use crate::receipts::Receipts;

/// What was revoked before is not awaited when receipts begin: nobody looked then.
const LOOKED_BACK: Duration = Duration::from_secs(24 * 3600);
/// Reads of the log in one turn of the schedule, of some thousand entries and 250 changes each.
const READS: usize = 8;
/// The oldest of each method that are looked at one by one, and more of those that a vantage point has not shown.
const OLDEST: u32 = 200;
const OLDEST_UNSEEN: u32 = 5;

/// The oldest that a vantage point does not show.
struct Unseen {
    age: Duration,
    told: String,
}

impl Service {
    /// Takes what the log has brought. Without section `[receipts]` nothing is awaited.
    pub(super) fn follow_revocations(&self, reads: usize) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let since = now.saturating_sub(LOOKED_BACK);
        for _ in 0..reads {
            let more = self.store().await_revocations(since, now);
            if !more.map_err(|e| self.note_storage(&e))? {
                break;
            }
        }
        Ok(())
    }

    /// Shows how long revocations have been unseen, and tells of those past the limit.
    pub(crate) fn watch_unseen(&self) -> Result<(), Denied> {
        let Some(receipts) = &self.receipts else { return Ok(()) };
        // What fails holds up nothing else, least of all the alarm.
        let mut outcome = self.follow_revocations(READS);
        let now = self.clock().read().now;
        show_silences(receipts, now);
        let store = self.store();
        if receipts.forgets_ended(now) {
            let ended = store.forget_ended_awaited(now).map_err(|e| self.note_storage(&e));
            outcome = outcome.and(ended.map(|count| receipts.forgot_ended(count, now)));
        }
        let oldest = self.oldest(receipts, now)?;
        let (oldest, kept) = self.without_points_forgotten(receipts, oldest);
        outcome = outcome.and(kept);
        let unseen = self.unseen(receipts, &oldest, now);
        self.show_unseen(receipts, &unseen);
        let counts = store.awaited_counts().map_err(|e| self.note_storage(&e));
        outcome = outcome.and(counts.map(|counts| show_counts(&counts, now)));
        // What was seen everywhere and has no receipt: its signing failed, or the program ended in between.
        let (_, receipted) = self.receipt_whole(receipts, oldest, self.system(), now);
        outcome.and(receipted)
    }

    /// The oldest of each method, and of what each vantage point has not shown: one method or vantage point that shows nothing leaves
    /// no other unwatched.
    fn oldest(&self, receipts: &Receipts, now: UnixTime) -> Result<Vec<Awaited>, Denied> {
        let store = self.store();
        let mut found = BTreeMap::new();
        for method in ReceiptMethod::ALL {
            let mut rows =
                store.oldest_awaited(method, OLDEST).map_err(|e| self.note_storage(&e))?;
            if u32::try_from(rows.len()) == Ok(OLDEST) {
                for (vantage, key) in &receipts.vantages {
                    let unseen = store.oldest_unseen(method, vantage, key, OLDEST_UNSEEN);
                    rows.extend(unseen.map_err(|e| self.note_storage(&e))?);
                }
            }
            found.extend(rows.into_iter().map(|one| (one.number, one)));
        }
        // Those that have ended are forgotten by and by.
        Ok(found.into_values().filter(|one| one.status.status.not_after >= now).collect())
    }

    fn show_unseen(
        &self,
        receipts: &Receipts,
        unseen: &BTreeMap<(ReceiptMethod, VantageName), Unseen>,
    ) {
        for method in ReceiptMethod::ALL {
            for (vantage, _) in &receipts.vantages {
                let found = unseen.get(&(method, vantage.clone()));
                let labels =
                    [("method", method.as_str().to_owned()), ("vantage", vantage.to_string())];
                let age = found.map_or(Duration::ZERO, |found| found.age);
                metrics::gauge!("sigill_revocation_unseen_seconds", &labels).set(age.as_secs_f64());
                let limit = receipts.limit(method);
                let Some(found) = found.filter(|_| age > limit) else {
                    metrics::gauge!("sigill_revocation_late", &labels).set(0.0);
                    receipts.is_in_time(method, vantage);
                    continue;
                };
                metrics::gauge!("sigill_revocation_late", &labels).set(1.0);
                if receipts.begins_to_be_late(method, vantage) {
                    tracing::error!(
                        problem.code = "revocation-unseen",
                        vantage = vantage.as_str(),
                        method = method.as_str(),
                        age_seconds = age.as_secs(),
                        limit_seconds = limit.as_secs(),
                        "a revocation cannot be seen from outside: {}; next: docs/operations/watch.md",
                        found.told
                    );
                }
            }
        }
    }

    /// Nobody can look where no URL leads: delegates of responders have none.
    fn without_points_forgotten(
        &self,
        receipts: &Receipts,
        awaited: Vec<Awaited>,
    ) -> (Vec<Awaited>, Result<(), Denied>) {
        let (mut kept, mut gone, mut outcome) = (Vec::new(), Vec::new(), Ok(()));
        for one in awaited {
            match self.points_of_awaited(receipts, &one) {
                Ok(points) if points.is_empty() => gone.push(one.key()),
                Ok(_) => kept.push(one),
                Err(denied) => outcome = outcome.and(Err(denied)),
            }
        }
        if !gone.is_empty() {
            let forgotten = self.store().forget_awaited(&gone).map_err(|e| self.note_storage(&e));
            outcome = outcome.and(forgotten);
        }
        (kept, outcome)
    }

    fn unseen(
        &self,
        receipts: &Receipts,
        oldest: &[Awaited],
        now: UnixTime,
    ) -> BTreeMap<(ReceiptMethod, VantageName), Unseen> {
        let mut unseen = BTreeMap::new();
        for awaited in oldest.iter().filter(|one| entry_of(one).is_some()) {
            // Where its points cannot be read it was left out of `oldest`, and told of.
            for point in self.points_of_awaited(receipts, awaited).unwrap_or_default() {
                let seen =
                    awaited.sights.iter().any(|one| one.is_of(&point) && one.shown.is_some());
                let key = (awaited.method, point.vantage.clone());
                // They come in the order of the log: the first is the oldest.
                if !seen && !unseen.contains_key(&key) {
                    let told = self.unseen_told(awaited, &point);
                    unseen.insert(key, Unseen { age: now.since(awaited.since), told });
                }
            }
        }
        unseen
    }

    fn unseen_told(&self, awaited: &Awaited, point: &Point) -> String {
        let authority = self.authority_of(awaited.issuer).map(super::authority::Authority::name);
        let last = awaited.sights.iter().find(|one| one.is_of(point));
        let last = last.map_or_else(
            || "nothing was seen there since".to_owned(),
            |sight| format!("at {} something else was seen there", sight.seen),
        );
        format!(
            "serial {} of {}, position {}, by {} at {} from {}: {last}",
            awaited.serial,
            authority.unwrap_or_default(),
            awaited.position,
            point.method,
            point.url,
            point.vantage
        )
    }
}

fn show_silences(receipts: &Receipts, now: UnixTime) {
    for (vantage, silent) in receipts.silences(now) {
        for method in ProbeMethod::ALL {
            // That a counter rises is not seen when it begins at 1.
            let labels = [("method", method.as_str().to_owned()), ("vantage", vantage.to_string())];
            metrics::counter!("sigill_status_differences_total", &labels).increment(0);
        }
        metrics::gauge!("sigill_vantage_silent_seconds", "vantage" => vantage.to_string())
            .set(silent.as_secs_f64());
    }
}

fn show_counts(counts: &[AwaitedCount], now: UnixTime) {
    for method in ReceiptMethod::ALL {
        let found = counts.iter().find(|one| one.method == method);
        let count = found.map_or(0, |one| u32::try_from(one.count).unwrap_or(u32::MAX));
        let age = found.map_or(Duration::ZERO, |one| now.since(one.oldest));
        let label = method.as_str();
        metrics::gauge!("sigill_revocations_awaited", "method" => label).set(f64::from(count));
        metrics::gauge!("sigill_revocation_awaited_seconds", "method" => label)
            .set(age.as_secs_f64());
    }
}
