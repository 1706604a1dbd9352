//! How many certificates a client may order under a profile in an hour, and what counts as a sudden change (ISS-22).
//!
//! A limit applies to each pair of a client and a profile by itself: what one client orders takes nothing from
//! another. Of several limits that fit a pair the most exact one holds. Counting and remembering are the store's.

use thiserror::Error;
use x509::time::UnixTime;

/// Days whose same hour says what is usual: all days of a week, since people order otherwise on a Sunday.
pub const USUAL_DAYS: u64 = 7;
/// The most that a limit may allow in an hour: more than everybody in the country in one. Above it a limit is a slip.
pub const MOST_PER_HOUR: u64 = 10_000_000;
/// The largest multiple of the usual that can be called sudden. Above it no change would ever be.
const MOST_TIMES: u64 = 1000;

/// An hour of UTC, counted from the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hour(u64);

impl Hour {
    const SECONDS: u64 = 3600;

    /// The hour that a time lies in.
    #[must_use]
    pub const fn of(time: UnixTime) -> Self {
        Self(time.secs() / Self::SECONDS)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Seconds from `time`, which lies in some hour, to the end of that hour: 1 to 3600.
    #[must_use]
    pub const fn seconds_left(time: UnixTime) -> u64 {
        Self::SECONDS - time.secs() % Self::SECONDS
    }
}

/// What of a pair's orders is too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourLimit {
    /// Certificates in an hour.
    pub per_hour: Option<u64>,
    /// What pauses the pair.
    pub sudden: Option<Sudden>,
}

/// A sudden change: so many times the usual, and at least so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sudden {
    /// Times the mean of the same hour on the [`USUAL_DAYS`] days before.
    pub times: u64,
    /// Fewer certificates in an hour are never sudden.
    pub at_least: u64,
}

/// What a further certificate in an hour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within the limit.
    Within,
    /// Past what an hour allows.
    PastHour {
        /// What it allows.
        per_hour: u64,
    },
    /// So many that the pair is to be paused.
    Sudden,
}

impl HourLimit {
    /// Judges the certificate that makes `issued` in this hour. `usual` is the mean of the same hour on the
    /// days before, times [`USUAL_DAYS`].
    #[must_use]
    pub fn judge(&self, issued: u64, usual: u64) -> Verdict {
        let is_sudden = |sudden: Sudden| {
            issued >= sudden.at_least
                && issued.saturating_mul(USUAL_DAYS) > usual.saturating_mul(sudden.times)
        };
        if self.sudden.is_some_and(is_sudden) {
            return Verdict::Sudden;
        }
        match self.per_hour {
            Some(per_hour) if issued > per_hour => Verdict::PastHour { per_hour },
            _ => Verdict::Within,
        }
    }
}

/// What a limit is written for: one name, all that begin alike, or all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// Every name.
    All,
    /// Names that begin so: written with `*` at the end.
    Prefix(String),
    /// This name.
    Exactly(String),
}

impl Pattern {
    /// Reads `*`, `name` or `prefix*`.
    ///
    /// # Errors
    ///
    /// [`LimitError::Pattern`] for an empty one and for `*` elsewhere than at the end.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        let (name, is_prefix) = text.strip_suffix('*').map_or((text, false), |name| (name, true));
        match (name.is_empty(), is_prefix) {
            (true, true) => Ok(Self::All),
            (false, _) if name.contains('*') => Err(LimitError::Pattern { found: text.to_owned() }),
            (false, true) => Ok(Self::Prefix(name.to_owned())),
            (false, false) => Ok(Self::Exactly(name.to_owned())),
            (true, false) => Err(LimitError::Pattern { found: text.to_owned() }),
        }
    }

    /// Whether it is written for `name`.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => name.starts_with(prefix),
            Self::Exactly(wanted) => name == wanted,
        }
    }

    /// The more exact, the greater: all, prefixes by their length, one name.
    fn exactness(&self) -> (u8, usize) {
        match self {
            Self::All => (0, 0),
            Self::Prefix(prefix) => (1, prefix.len()),
            Self::Exactly(_) => (2, 0),
        }
    }
}

/// A limit as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    client: Pattern,
    profile: Pattern,
    limit: HourLimit,
}

impl Limit {
    /// Takes a limit for the clients and profiles that the patterns name.
    ///
    /// # Errors
    ///
    /// [`LimitError`] names the value that cannot be.
    pub fn new(client: Pattern, profile: Pattern, limit: HourLimit) -> Result<Self, LimitError> {
        if matches!(client, Pattern::Prefix(_)) {
            return Err(LimitError::ClientPrefix);
        }
        if limit.per_hour.is_none() && limit.sudden.is_none() {
            return Err(LimitError::Nothing);
        }
        within("per-hour", limit.per_hour, 1, MOST_PER_HOUR)?;
        within("times", limit.sudden.map(|sudden| sudden.times), 2, MOST_TIMES)?;
        let at_least = limit.sudden.map(|sudden| sudden.at_least);
        within("at-least", at_least, 1, limit.per_hour.unwrap_or(MOST_PER_HOUR))?;
        Ok(Self { client, profile, limit })
    }

    /// The clients that it is for.
    #[must_use]
    pub const fn client(&self) -> &Pattern {
        &self.client
    }

    /// The profiles that it is for.
    #[must_use]
    pub const fn profile(&self) -> &Pattern {
        &self.profile
    }
}

fn within(key: &'static str, found: Option<u64>, least: u64, most: u64) -> Result<(), LimitError> {
    match found {
        Some(found) if !(least..=most).contains(&found) => {
            Err(LimitError::Range { key, found, least, most })
        }
        _ => Ok(()),
    }
}

/// All limits of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(Vec<Limit>);

impl Limits {
    /// Takes the limits; their order says nothing.
    ///
    /// # Errors
    ///
    /// [`LimitError::Twice`] when two are for the same clients and profiles.
    pub fn new(mut limits: Vec<Limit>) -> Result<Self, LimitError> {
        limits.sort_by_key(|limit| (limit.client.exactness(), limit.profile.exactness()));
        limits.reverse();
        for (at, one) in limits.iter().enumerate() {
            let same = |other: &&Limit| other.client == one.client && other.profile == one.profile;
            if limits.iter().skip(at.saturating_add(1)).any(|other| same(&other)) {
                return Err(LimitError::Twice);
            }
        }
        Ok(Self(limits))
    }

    /// What holds for a client and a profile: the limit that names the client before one for all clients, and of
    /// those the one that names the profile most exactly.
    #[must_use]
    pub fn of(&self, client: &str, profile: &str) -> Option<HourLimit> {
        let fits = |limit: &&Limit| limit.client.fits(client) && limit.profile.fits(profile);
        self.0.iter().find(fits).map(|limit| limit.limit)
    }
}

/// Why a limit is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LimitError {
    /// A name that is none.
    #[error("{found:?} is no name; a name, the beginning of names with `*` behind it, or `*`")]
    Pattern {
        /// What was seen.
        found: String,
    },
    /// The beginning of clients' names.
    #[error("a client is named whole, or all are by `*`")]
    ClientPrefix,
    /// Neither `per-hour` nor `sudden`.
    #[error("neither `per-hour` nor `sudden` is there")]
    Nothing,
    /// A number that cannot be.
    #[error("{key} = {found}, {least} to {most} is allowed")]
    Range {
        /// Which.
        key: &'static str,
        /// What was seen.
        found: u64,
        /// The least.
        least: u64,
        /// The most; of `at-least` what `per-hour` allows, else it would never pause.
        most: u64,
    },
    /// Two limits for the same.
    #[error("two limits are for the same client and profile")]
    Twice,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: HourLimit =
        HourLimit { per_hour: Some(2000), sudden: Some(Sudden { times: 5, at_least: 200 }) };

    fn limit(client: &str, profile: &str, per_hour: u64) -> Limit {
        let limit = HourLimit { per_hour: Some(per_hour), sudden: None };
        let parse = |text: &str| Pattern::parse(text).unwrap();
        Limit::new(parse(client), parse(profile), limit).unwrap()
    }

    fn of(limits: &[Limit], client: &str, profile: &str) -> Option<u64> {
        Limits::new(limits.to_vec()).unwrap().of(client, profile)?.per_hour
    }

    /// ISS-22: past the limit is refused, five times the usual pauses, and few are never sudden.
    #[test]
    fn judges_an_hour_to_the_certificate() {
        let steady = HourLimit { sudden: None, ..LIMIT };
        assert_eq!(steady.judge(2000, 0), Verdict::Within);
        assert_eq!(steady.judge(2001, 0), Verdict::PastHour { per_hour: 2000 });

        // 100 a day at this hour: 500 is five times as many, 501 more than that.
        assert_eq!(LIMIT.judge(500, 700), Verdict::Within);
        assert_eq!(LIMIT.judge(501, 700), Verdict::Sudden);
        // What was never seen before is sudden from `at-least` on.
        assert_eq!(LIMIT.judge(199, 0), Verdict::Within);
        assert_eq!(LIMIT.judge(200, 0), Verdict::Sudden);
        assert_eq!(LIMIT.judge(199, 7), Verdict::Within);
        assert_eq!(LIMIT.judge(u64::MAX, u64::MAX), Verdict::PastHour { per_hour: 2000 });
    }

    #[test]
    fn the_most_exact_limit_holds_whatever_their_order() {
        let mut limits = vec![
            limit("*", "*", 1),
            limit("*", "person-*", 2),
            limit("portal", "*", 3),
            limit("portal", "person-*", 4),
            limit("portal", "person-hsaid-*", 5),
            limit("portal", "function", 6),
            limit("*", "function", 7),
        ];
        for _ in 0..limits.len() {
            limits.rotate_left(1);
            for (client, profile, expected) in [
                ("other", "server", 1),
                ("other", "person-id-3", 2),
                ("portal", "server", 3),
                ("portal", "person-id-3", 4),
                ("portal", "person-hsaid-3", 5),
                ("portal", "function", 6),
                ("portal", "function-ec", 3),
                ("other", "function", 7),
            ] {
                assert_eq!(of(&limits, client, profile), Some(expected), "{client} {profile}");
            }
        }
        assert_eq!(of(&[limit("portal", "function", 1)], "portal-2", "function"), None);
        assert_eq!(of(&[], "portal", "function"), None);
    }

    #[test]
    fn refuses_names_that_are_none() {
        for found in ["", "**", "*x", "a*b", "a**"] {
            let refused = Pattern::parse(found).unwrap_err();
            assert_eq!(refused, LimitError::Pattern { found: found.to_owned() });
        }
    }

    #[test]
    fn refuses_limits_that_say_nothing_or_cannot_be() {
        let limit = |per_hour, sudden| HourLimit { per_hour, sudden };
        let sudden = |times, at_least| Some(Sudden { times, at_least });
        let range = |key, found, least, most| LimitError::Range { key, found, least, most };
        for (limit, refused) in [
            (limit(None, None), LimitError::Nothing),
            (limit(Some(0), None), range("per-hour", 0, 1, MOST_PER_HOUR)),
            (
                limit(Some(MOST_PER_HOUR + 1), None),
                range("per-hour", MOST_PER_HOUR + 1, 1, MOST_PER_HOUR),
            ),
            (limit(None, sudden(1, 5)), range("times", 1, 2, MOST_TIMES)),
            (limit(None, sudden(1001, 5)), range("times", 1001, 2, MOST_TIMES)),
            (limit(None, sudden(5, 0)), range("at-least", 0, 1, MOST_PER_HOUR)),
            // It would be refused before it paused.
            (limit(Some(100), sudden(5, 101)), range("at-least", 101, 1, 100)),
        ] {
            assert_eq!(Limit::new(Pattern::All, Pattern::All, limit).unwrap_err(), refused);
        }
        let prefix = Pattern::Prefix("por".to_owned());
        assert_eq!(Limit::new(prefix, Pattern::All, LIMIT).unwrap_err(), LimitError::ClientPrefix);
    }

    #[test]
    fn refuses_two_limits_for_the_same() {
        let twice = vec![limit("*", "person-*", 1), limit("a", "*", 2), limit("*", "person-*", 3)];

        assert_eq!(Limits::new(twice).unwrap_err(), LimitError::Twice);
    }

    #[test]
    fn an_hour_ends_with_its_last_second() {
        let at = |secs| UnixTime::from_secs(secs).unwrap();

        assert_eq!(Hour::of(at(7199)).number(), 1);
        assert_eq!(Hour::of(at(7200)).number(), 2);
        assert_eq!((Hour::seconds_left(at(7199)), Hour::seconds_left(at(7200))), (1, 3600));
    }
}
