//! Refusals of known clients that have no order to be stored with: each a leaf of the audit log,
//! and beyond a hundred a second one leaf that counts them (promise 9).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ca::audit::{EventCode, EventResult, ObjectId};
use serde_json::json;
use store::Subject;
use x509::time::UnixTime;

use super::Service;
use super::record::client;
use crate::denied::{Denied, Kind};
use crate::publication::chain;

/// Leaves of its own that one client gets a second.
const LEAVES_A_SECOND: u64 = 100;

/// How many refusals each client has met in the present second.
#[derive(Debug, Default)]
pub(crate) struct RefusalCounts(Mutex<BTreeMap<String, Second>>);

#[derive(Clone, Copy, Debug)]
struct Second {
    second: UnixTime,
    count: u64,
}

/// What becomes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaf {
    /// Counted only.
    None,
    /// A leaf of its own, and before it the count of those that got none in an earlier second.
    Own { uncounted: u64 },
}

impl RefusalCounts {
    fn count(&self, name: &str, now: UnixTime) -> Leaf {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Second { second: now, count: 0 };
        let entry = counts.entry(name.to_owned()).or_insert(fresh);
        let mut uncounted = 0;
        if entry.second != now {
            uncounted = entry.count.saturating_sub(LEAVES_A_SECOND);
            *entry = fresh;
        }
        entry.count = entry.count.saturating_add(1);
        if entry.count > LEAVES_A_SECOND { Leaf::None } else { Leaf::Own { uncounted } }
    }

    /// Takes the counts of seconds that are over.
    fn over(&self, now: UnixTime) -> Vec<(String, u64)> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut over = Vec::new();
        counts.retain(|name, entry| {
            let stays = entry.second >= now;
            let uncounted = entry.count.saturating_sub(LEAVES_A_SECOND);
            if !stays && uncounted > 0 {
                over.push((name.clone(), uncounted));
            }
            stays
        });
        over
    }
}

impl Service {
    /// Puts the refusal of a known client's call into the audit log.
    ///
    /// What storage or a defect denied stands in the log of the program only.
    pub(crate) fn audit_refusal(&self, name: &str, call: &str, denied: &Denied) {
        if matches!(denied.kind, Kind::Unavailable | Kind::Internal | Kind::Busy) {
            return;
        }
        let now = self.clock().read().now;
        let Leaf::Own { uncounted } = self.refusals.count(name, now) else { return };
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
            vec![ObjectId::Call(id)],
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
            Vec::new(),
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
        let counts = RefusalCounts::default();
        let leaves = (0..150).filter(|_| counts.count("portal", at(7)) != Leaf::None).count();

        assert_eq!(leaves, 100);
        assert_eq!(counts.count("other", at(7)), Leaf::Own { uncounted: 0 });
        assert_eq!(counts.count("portal", at(8)), Leaf::Own { uncounted: 50 });
    }

    #[test]
    fn a_count_is_written_once_its_second_is_over() {
        let counts = RefusalCounts::default();
        for _ in 0..130 {
            counts.count("portal", at(7));
        }

        assert!(counts.over(at(7)).is_empty());
        assert_eq!(counts.over(at(8)), [("portal".to_owned(), 30)]);
        assert!(counts.over(at(9)).is_empty());
    }
}
