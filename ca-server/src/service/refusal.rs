//! Refusals of known clients that have no order to be stored with: each a leaf of the audit log,
//! and beyond a hundred a second one leaf that counts them (promise 9).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use serde_json::json;
use store::Subject;
use x509::time::UnixTime;

use super::Service;
use super::record::client;
use crate::denied::{Denied, Kind};
use crate::publication::chain;

/// How many refusals each caller has met in the present span, and how many of them get a leaf of
/// their own.
#[derive(Debug)]
pub(crate) struct RefusalCounts {
    leaves: u64,
    span: Duration,
    counts: Mutex<BTreeMap<String, Counted>>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    since: UnixTime,
    /// Refusals met.
    count: u64,
    /// Those of them that got no leaf.
    without: u64,
}

/// What becomes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// Counted only.
    None,
    /// A leaf of its own, and before it the count of those that got none in an earlier second.
    Own { uncounted: u64 },
}

impl RefusalCounts {
    /// For clients of the API: a hundred leaves a second (promise 9).
    pub(crate) fn of_clients() -> Self {
        Self::new(100, Duration::from_secs(1))
    }

    /// For responders, which ask every ten minutes at most: ten leaves a minute.
    pub(crate) fn of_responders() -> Self {
        Self::new(10, Duration::from_secs(60))
    }

    fn new(leaves: u64, span: Duration) -> Self {
        Self { leaves, span, counts: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Counted>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self, entry: &Counted, now: UnixTime) -> bool {
        now.since(entry.since) >= self.span
    }

    /// Counts one refusal.
    pub(crate) fn count(&self, name: &str, now: UnixTime) -> Leaf {
        let mut counts = self.lock();
        let fresh = Counted { since: now, count: 0, without: 0 };
        let entry = counts.entry(name.to_owned()).or_insert(fresh);
        let mut uncounted = 0;
        if self.is_over(entry, now) {
            uncounted = entry.without;
            *entry = fresh;
        }
        entry.count = entry.count.saturating_add(1);
        if entry.count > self.leaves {
            entry.without = entry.without.saturating_add(1);
            return Leaf::None;
        }
        Leaf::Own { uncounted }
    }

    /// Notes that a refusal that was to have a leaf of its own, or a count before it, got none.
    pub(crate) fn without_leaf(&self, name: &str, refusals: u64) {
        if let Some(entry) = self.lock().get_mut(name) {
            entry.without = entry.without.saturating_add(refusals);
        }
    }

    /// Whether a caller has met so many refusals that a further one would get no leaf.
    pub(crate) fn is_full(&self, name: &str, now: UnixTime) -> bool {
        self.lock()
            .get(name)
            .is_some_and(|entry| !self.is_over(entry, now) && entry.count >= self.leaves)
    }

    /// Takes the counts of spans that are over.
    pub(crate) fn over(&self, now: UnixTime) -> Vec<(String, u64)> {
        let mut over = Vec::new();
        self.lock().retain(|name, entry| {
            let stays = !self.is_over(entry, now);
            if !stays && entry.without > 0 {
                over.push((name.clone(), entry.without));
            }
            stays
        });
        over
    }
}

impl Service {
    /// Counts the refusal of a known client's call and says which leaf it gets, if any.
    ///
    /// What storage or a defect denied stands in the log of the program only.
    pub(crate) fn leaf_of_refusal(&self, name: &str, denied: &Denied) -> Option<Leaf> {
        if matches!(denied.kind, Kind::Unavailable | Kind::Internal | Kind::Busy) {
            return None;
        }
        let leaf = self.refusals.count(name, self.clock().read().now);
        (leaf != Leaf::None).then_some(leaf)
    }

    /// Notes that a refusal which was to have `leaf` is only counted: too many are being written.
    pub(crate) fn count_refusal(&self, name: &str, leaf: Leaf) {
        if let Leaf::Own { uncounted } = leaf {
            self.refusals.without_leaf(name, uncounted.saturating_add(1));
        }
    }

    /// Puts the refusal of a known client's call into the audit log.
    pub(crate) fn audit_refusal(&self, name: &str, call: &str, denied: &Denied, leaf: Leaf) {
        let Leaf::Own { uncounted } = leaf else { return };
        let now = self.clock().read().now;
        if uncounted > 0 {
            self.audit_counted(name, uncounted);
        }
        let mut id = [0; 16];
        // The id was made by this program from 16 octets.
        let _ = base16ct::lower::decode(call, &mut id);
        let record = Self::record(
            EventCode::CallRefused,
            EventResult::Refused,
            client(name),
            ObjectIds::of_act([Some(ObjectId::Call(id))]),
            None,
            &json!({
                "call": call,
                "client": name,
                "code": denied.refusal.code,
                "rule": denied.refusal.rule,
                "seen": denied.refusal.seen,
                "limit": denied.refusal.limit,
            }),
            Subject::Deployment,
        );
        if let Err(error) = self.store().record_audit(&record, now) {
            tracing::warn!(call.id = call, error = %chain(&error), "refusal is not in the audit log");
        }
    }

    /// Writes the counts of seconds that are over. Called by the schedule.
    pub(crate) fn audit_counted_refusals(&self) {
        let now = self.clock().read().now;
        for (name, count) in self.refusals.over(now) {
            self.audit_counted(&name, count);
        }
    }

    fn audit_counted(&self, name: &str, count: u64) {
        let now = self.clock().read().now;
        let record = Self::record(
            EventCode::RefusalGrouped,
            EventResult::Refused,
            client(name),
            ObjectIds::default(),
            None,
            &json!({ "client": name, "count": count }),
            Subject::Deployment,
        );
        if let Err(error) = self.store().record_audit(&record, now) {
            tracing::warn!(client.name = name, refusals = count, error = %chain(&error), "refusals are not in the audit log");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    #[test]
    fn beyond_a_hundred_a_second_refusals_are_counted() {
        let counts = RefusalCounts::of_clients();
        let leaves = (0..150).filter(|_| counts.count("portal", at(7)) != Leaf::None).count();

        assert_eq!(leaves, 100);
        assert_eq!(counts.count("other", at(7)), Leaf::Own { uncounted: 0 });
        assert_eq!(counts.count("portal", at(8)), Leaf::Own { uncounted: 50 });
    }

    #[test]
    fn a_count_is_written_once_its_second_is_over() {
        let counts = RefusalCounts::of_clients();
        for _ in 0..130 {
            counts.count("portal", at(7));
        }

        assert!(counts.over(at(7)).is_empty());
        assert_eq!(counts.over(at(8)), [("portal".to_owned(), 30)]);
        assert!(counts.over(at(9)).is_empty());
    }

    #[test]
    fn a_refusal_that_found_no_place_for_its_leaf_is_counted() {
        let counts = RefusalCounts::of_responders();
        let leaves = (0..12).filter(|_| counts.count("r1", at(7)) != Leaf::None).count();
        counts.without_leaf("r1", 1);

        assert_eq!(leaves, 10);
        assert!(counts.is_full("r1", at(66)) && !counts.is_full("r1", at(67)));
        assert!(counts.over(at(66)).is_empty());
        assert_eq!(counts.over(at(67)), [("r1".to_owned(), 3)]);
    }
}
