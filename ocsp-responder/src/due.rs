//! When a CA needs another delegate.

use std::time::Duration;

use x509::time::UnixTime;
use x509::validity::Validity;

/// At most this many delegates of one CA live at a time.
const MAX_LIVE: usize = 2;
/// Whether a CA needs another delegate: it has none with such a key as is wanted, or the newest is so old (four
/// days, as a rule), and there are not two yet.
pub(crate) fn is_due<K: PartialEq>(
    delegates: &[(K, Validity)],
    wanted: &K,
    now: UnixTime,
    renew_after: Duration,
) -> bool {
    let live = delegates.iter().filter(|(_, validity)| validity.not_after() > now);
    let fitting = live.clone().filter(|(found, _)| found == wanted);
    let newest = fitting.map(|(_, validity)| validity.not_before()).max();
    newest.is_none_or(|since| now.since(since) >= renew_after) && live.count() < MAX_LIVE
}

#[cfg(test)]
mod tests {
    use x509::key::KeyType;

    use super::*;

    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    const DAY_FOUR: Duration = Duration::from_secs(4 * DAY);

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    /// Section 2.3: a CA whose configuration names another kind of key gets one at once, within its two delegates.
    #[test]
    fn another_kind_of_key_is_asked_for_at_once_and_makes_no_third_delegate() {
        let rsa = KeyType::Rsa { bits: 2048 };
        let since =
            |secs| (KeyType::EcP256, Validity::between(at(secs), at(secs + 14 * DAY)).unwrap());

        assert!(!is_due(&[since(0)], &KeyType::EcP256, at(DAY), DAY_FOUR));
        assert!(is_due(&[since(0)], &rsa, at(DAY), DAY_FOUR));
        assert!(!is_due(&[since(0), since(DAY)], &rsa, at(2 * DAY), DAY_FOUR));
        assert!(is_due(&[since(0), since(DAY)], &rsa, at(14 * DAY), DAY_FOUR));
    }

    /// Section 2.3: two years of renewals, the inner zone answering after up to nine days: always a
    /// delegate once there was one, never more than two.
    #[test]
    fn renewals_leave_no_gap_and_never_three() {
        for answered_after in [HOUR, DAY, 9 * DAY] {
            let mut delegates: Vec<(KeyType, Validity)> = Vec::new();
            let mut asked_since = None;
            let start = 1_800_000_000;
            let mut first = None;
            for hour in 0..2 * 365 * 24 {
                let now = at(start + hour * HOUR);
                delegates.retain(|(_, validity)| validity.not_after() > now);
                if is_due(&delegates, &KeyType::EcP256, now, DAY_FOUR) {
                    let since = *asked_since.get_or_insert(now);
                    if now.since(since) >= Duration::from_secs(answered_after) {
                        let end = now.checked_add(Duration::from_secs(14 * DAY - 1)).unwrap();
                        delegates.push((KeyType::EcP256, Validity::between(now, end).unwrap()));
                        asked_since = None;
                        first.get_or_insert(now);
                    }
                }
                assert!(delegates.len() <= MAX_LIVE);
                assert!(first.is_none() || !delegates.is_empty(), "gap at hour {hour}");
            }
        }
    }
}
