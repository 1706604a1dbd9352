//! Shards: small lists beside the full one, each of the certificates that were issued in one stretch of time (CRL-06, CRL-07).
//!
//! Which shard a certificate is in is decided when it is issued, stored with it, and stands in it as the URL of its CRL. Nothing
//! that is decided later moves it. The full list goes on telling all: it has no issuing distribution point, or its own URL
//! in it, and so has to (RFC 5280 §5.2.5).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;
use x509::time::UnixTime;

/// The most certificates of a shard, and so the most entries of its list.
pub const MOST_PLACES: u32 = 10_000;
/// A shard takes certificates for at least so long; a shorter window makes more lists than it spares octets.
pub const SHORTEST_WINDOW: Duration = Duration::from_secs(3600);
/// And for at most so long.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(366 * 24 * 3600);
/// A shard that takes no more may still have certificates on their way to a signature for so long.
const ON_THEIR_WAY: Duration = Duration::from_secs(24 * 3600);
/// A name has so many digits.
const DIGITS: usize = 6;
const MOST: u32 = 999_999;

/// Which shard of an authority: 1 to 999 999, in the order in which they are opened. Its text is its name in files and URLs:
/// six digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardNumber(u32);

impl ShardNumber {
    /// The first one.
    pub const FIRST: Self = Self(1);

    /// That number; `None` where none has it.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number >= 1 && number <= MOST { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The one that is opened after it; `None` after the last.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

impl fmt::Display for ShardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.0, width = DIGITS)
    }
}

impl FromStr for ShardNumber {
    type Err = ShardNumberError;

    /// Reads exactly what [`fmt::Display`] writes.
    fn from_str(name: &str) -> Result<Self, ShardNumberError> {
        let digits = name.len() == DIGITS && name.bytes().all(|octet| octet.is_ascii_digit());
        let number = name.parse().ok().filter(|_| digits);
        number.and_then(Self::new).ok_or(ShardNumberError)
    }
}

/// The text is no name of a shard.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("name of a shard is not six digits, 000001 to 999999")]
pub struct ShardNumberError;

/// How an authority that chose shards opens them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPlan {
    urls: String,
    window: Duration,
    places: u32,
}

impl ShardPlan {
    /// Certificates of one `window` share a shard, until it has `places` of them. `urls` is what stands before its name in the
    /// URL of its list.
    ///
    /// # Errors
    ///
    /// [`ShardPlanError`]: a window outside [`SHORTEST_WINDOW`] to [`LONGEST_WINDOW`], places outside 1 to
    /// [`MOST_PLACES`], or `urls` that is not an absolute http URI in visible ASCII up to its last `/`.
    pub fn new(urls: &str, window: Duration, places: u32) -> Result<Self, ShardPlanError> {
        let path = urls.strip_prefix("http://").unwrap_or_default();
        let plain = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'?' | b'#' | b'%');
        if path.starts_with('/') || !path.ends_with('/') || !path.bytes().all(plain) {
            return Err(ShardPlanError::Url { found: urls.to_owned() });
        }
        if !(SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&window) {
            return Err(ShardPlanError::Window { found: window.as_secs() });
        }
        if !(1..=MOST_PLACES).contains(&places) {
            return Err(ShardPlanError::Places { found: places });
        }
        Ok(Self { urls: urls.to_owned(), window, places })
    }

    /// The URL of a shard's list: what its certificates and its issuing distribution point say, to the octet.
    #[must_use]
    pub fn url(&self, number: ShardNumber) -> String {
        format!("{}{number}.crl", self.urls)
    }

    /// Whether a URL is, or can become, that of a shard.
    #[must_use]
    pub fn covers(&self, url: &str) -> bool {
        let name = url.strip_prefix(&self.urls).and_then(|rest| rest.strip_suffix(".crl"));
        name.is_some_and(|name| name.parse::<ShardNumber>().is_ok())
    }

    /// What stands before the names.
    #[must_use]
    pub fn urls(&self) -> &str {
        &self.urls
    }

    /// How long a shard takes certificates from its first one on.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// How many certificates a shard takes.
    #[must_use]
    pub const fn places(&self) -> u32 {
        self.places
    }
}

/// Whether nothing can change any more on the list of a shard: it takes no certificates since `closed`, and the last of them
/// ended at `last_end`. The list that is made then is its last one (CRL-05, CRL-09).
#[must_use]
pub fn has_ended(closed: Option<UnixTime>, last_end: Option<UnixTime>, now: UnixTime) -> bool {
    closed.is_some_and(|closed| now.since(closed) > ON_THEIR_WAY)
        && last_end.is_none_or(|last| last < now)
}

/// Why an authority cannot have shards so.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardPlanError {
    /// No list would be found there.
    #[error(
        "{found:?} is not an absolute http URI in visible ASCII that ends with `/`, without `?`, `#` and `%`"
    )]
    Url {
        /// What was given.
        found: String,
    },
    /// More entries than relying parties are promised, or none.
    #[error("{found} certificates in a shard; it is 1 to {MOST_PLACES}")]
    Places {
        /// What was given.
        found: u32,
    },
    /// Too many lists, or too large ones.
    #[error(
        "shards of {found} s; it is {} to {} s", SHORTEST_WINDOW.as_secs(), LONGEST_WINDOW.as_secs()
    )]
    Window {
        /// What was given, in seconds.
        found: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const URLS: &str = "http://crl.example.org/person3/";
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

    #[test]
    fn a_name_reads_back_and_no_other_text_is_one() {
        for (number, name) in [(1, "000001"), (42, "000042"), (999_999, "999999")] {
            let shard = ShardNumber::new(number).unwrap();
            assert_eq!((shard.to_string().as_str(), name.parse()), (name, Ok(shard)));
        }
        assert_eq!(ShardNumber::new(999_999).unwrap().next(), None);
        assert_eq!(ShardNumber::FIRST.next(), ShardNumber::new(2));
        for name in ["", "1", "000000", "00001", "0000001", "+00001", "-00001", "full", "00000a"] {
            assert_eq!(name.parse::<ShardNumber>(), Err(ShardNumberError), "{name}");
        }
        assert_eq!((ShardNumber::new(0), ShardNumber::new(1_000_000)), (None, None));
    }

    /// CRL-06: a plan that cannot work is refused, and what is not refused gives each shard one URL.
    #[test]
    fn refuses_plans_that_cannot_work() {
        let plan = ShardPlan::new(URLS, WEEK, MOST_PLACES).unwrap();
        assert_eq!(plan.url(ShardNumber::FIRST), "http://crl.example.org/person3/000001.crl");
        assert!(plan.covers("http://crl.example.org/person3/000017.crl"));
        for other in ["http://crl.example.org/person3.crl", "http://crl.example.org/person3/a.crl"]
        {
            assert!(!plan.covers(other), "{other}");
        }
        for url in [
            "",
            "http://",
            "http:///",
            "https://crl.example.org/person3/",
            "http://crl.example.org/person3",
            "http://crl.example.org/pers on3/",
            "http://crl.example.org/å/",
            "http://crl.example.org/?ca=/",
            "ldap://crl.example.org/",
        ] {
            let refused = ShardPlan::new(url, WEEK, 1).unwrap_err();
            assert!(matches!(refused, ShardPlanError::Url { .. }), "{url}: {refused}");
        }
        for places in [0, MOST_PLACES + 1] {
            let refused = ShardPlan::new(URLS, WEEK, places).unwrap_err();
            assert_eq!(refused, ShardPlanError::Places { found: places });
        }
        let second = Duration::from_secs(1);
        for window in [Duration::ZERO, SHORTEST_WINDOW - second, LONGEST_WINDOW + second] {
            let refused = ShardPlan::new(URLS, window, 1).unwrap_err();
            assert_eq!(refused, ShardPlanError::Window { found: window.as_secs() });
        }
    }

    /// CRL-05, CRL-09: not while a certificate may still come into it, nor while one of it holds.
    #[test]
    fn a_shard_ends_after_its_last_certificate() {
        let at = |days: u64| UnixTime::from_secs(days * 24 * 3600).unwrap();
        assert!(!has_ended(None, None, at(1000)));
        assert!(!has_ended(None, Some(at(3)), at(1000)));
        assert!(!has_ended(Some(at(10)), None, at(11)));
        assert!(has_ended(Some(at(10)), None, at(12)));
        assert!(!has_ended(Some(at(10)), Some(at(900)), at(900)));
        assert!(has_ended(Some(at(10)), Some(at(900)), at(901)));
    }
}
