//! Which keys a client of the API may come with.
//!
//! A configuration names each client's first key, its *pin*. Every renewal adds a key to the line that
//! begins there; each key of a line ends [`OVERLAP`] after the next one was certified, so that a client
//! that runs on several machines can change them one by one. A line belongs to its pin: when an operator
//! configures another key or takes the client away, all keys that were renewed from the old one end.

use std::time::Duration;

use x509::key::SpkiHash;
use x509::time::UnixTime;

/// How long a key is accepted after its successor was certified: 7 days.
pub const OVERLAP: Duration = Duration::from_secs(7 * 86_400);

/// Renewals of one client in [`RENEWALS_SPAN`].
pub const RENEWALS: usize = 2;
/// The span of [`RENEWALS`]: a day.
pub const RENEWALS_SPAN: Duration = Duration::from_secs(86_400);

/// A key that was certified by renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewedKey {
    /// The key.
    pub key: SpkiHash,
    /// The configured key that its line begins with.
    pub pinned: SpkiHash,
    /// When it was certified.
    pub issued: UnixTime,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The client may come with it.
    Accepted,
    /// A newer key has taken its place.
    Superseded {
        /// The first second at which it was not accepted any more.
        since: UnixTime,
    },
    /// It is not this client's.
    Unknown,
}

/// How `found` stands for a client with the configured key `pinned`. `renewed` are all keys that were
/// ever renewed for this client, oldest first.
#[must_use]
pub fn standing(
    pinned: SpkiHash,
    renewed: &[RenewedKey],
    found: SpkiHash,
    now: UnixTime,
) -> Standing {
    let mut line = renewed.iter().filter(|one| one.pinned == pinned);
    if found != pinned && !line.by_ref().any(|one| one.key == found) {
        return Standing::Unknown;
    }
    // What is left of the line came later.
    match line.next().and_then(|next| next.issued.checked_add(OVERLAP)) {
        Some(since) if now >= since => Standing::Superseded { since },
        _ => Standing::Accepted,
    }
}

/// Whether a client may renew with `found`: with the newest key of its line, or with the one before
/// it while the newest has not been `used`, because an answer that was lost leaves a client with that.
#[must_use]
pub fn may_renew(
    pinned: SpkiHash,
    renewed: &[RenewedKey],
    found: SpkiHash,
    used: impl Fn(SpkiHash) -> bool,
) -> bool {
    let mut line = renewed.iter().rev().filter(|one| one.pinned == pinned).map(|one| one.key);
    let newest = line.next().unwrap_or(pinned);
    found == newest || (found == line.next().unwrap_or(pinned) && !used(newest))
}

/// When the client may renew again, if it has had its [`RENEWALS`] in the last [`RENEWALS_SPAN`].
#[must_use]
pub fn renewals_spent(pinned: SpkiHash, renewed: &[RenewedKey], now: UnixTime) -> Option<UnixTime> {
    let mut line = renewed.iter().rev().filter(|one| one.pinned == pinned);
    let until = line.nth(RENEWALS.saturating_sub(1))?.issued.checked_add(RENEWALS_SPAN)?;
    (until > now).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(octet: u8) -> SpkiHash {
        SpkiHash::from_bytes([octet; 32])
    }

    fn day(day: u64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + day * 86_400).unwrap()
    }

    fn renewed(pinned: u8, one: u8, on: u64) -> RenewedKey {
        RenewedKey { key: key(one), pinned: key(pinned), issued: day(on) }
    }

    #[test]
    fn the_configured_key_is_accepted_and_no_other() {
        assert_eq!(standing(key(1), &[], key(1), day(0)), Standing::Accepted);
        assert_eq!(standing(key(1), &[], key(2), day(0)), Standing::Unknown);
    }

    #[test]
    fn a_key_ends_seven_days_after_its_successor_was_certified() {
        let line = [renewed(1, 2, 10), renewed(1, 3, 300)];
        let at = |found, on| standing(key(1), &line, key(found), day(on));

        assert_eq!(at(1, 16), Standing::Accepted);
        assert_eq!(at(1, 17), Standing::Superseded { since: day(17) });
        assert_eq!(at(2, 306), Standing::Accepted);
        assert_eq!(at(2, 307), Standing::Superseded { since: day(307) });
        assert_eq!(at(3, 3000), Standing::Accepted);
    }

    #[test]
    fn another_configured_key_ends_the_whole_line() {
        let line = [renewed(1, 2, 10), renewed(9, 8, 11)];

        assert_eq!(standing(key(9), &line, key(2), day(11)), Standing::Unknown);
        assert_eq!(standing(key(9), &line, key(1), day(11)), Standing::Unknown);
        assert_eq!(standing(key(9), &line, key(8), day(11)), Standing::Accepted);
    }

    #[test]
    fn a_renewed_key_can_become_the_configured_one() {
        let line = [renewed(1, 2, 10)];

        assert_eq!(standing(key(2), &line, key(2), day(400)), Standing::Accepted);
    }

    /// The finding: a thief of an old key must not take the line over.
    #[test]
    fn an_old_key_does_not_renew_once_the_newest_was_used() {
        let line = [renewed(1, 2, 10), renewed(1, 3, 11)];
        let may = |found, used| may_renew(key(1), &line, key(found), |one| used && one == key(3));

        assert!(may(3, true) && may(3, false));
        assert!(may(2, false) && !may(2, true));
        assert!(!may(1, false) && !may(9, false));
        assert!(may_renew(key(1), &[], key(1), |_| true));
        assert!(!may_renew(key(1), &line[..1], key(1), |_| true));
        assert!(may_renew(key(1), &line[..1], key(1), |_| false));
    }

    #[test]
    fn a_client_renews_twice_a_day_and_no_more() {
        let line = [renewed(1, 2, 10), renewed(1, 3, 10)];
        let spent = |line: &[RenewedKey], on| renewals_spent(key(1), line, day(on));

        assert_eq!(spent(&line, 10), Some(day(11)));
        assert_eq!(spent(&line, 11), None);
        assert_eq!(spent(&line[..1], 10), None);
    }
}
