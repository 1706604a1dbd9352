//! From when on expired entries stay on a CA's lists: when that may be said, and that it is not taken back (CRL-10).

use thiserror::Error;
use x509::time::UnixTime;

/// What the last list says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastKept {
    /// Its thisUpdate.
    pub this_update: UnixTime,
    /// Its expiredCertsOnCRL.
    pub since: Option<UnixTime>,
}

impl LastKept {
    /// Whether the next list may say `since`.
    ///
    /// Said once, it is said for ever. Who begins to say it, or says an earlier time than before, must name a time
    /// that the last list has not passed: what ended before it may have left already, and does not come back.
    ///
    /// # Errors
    ///
    /// [`KeptError`].
    pub fn may_be_followed_by(self, since: Option<UnixTime>) -> Result<(), KeptError> {
        match (self.since, since) {
            (Some(previous), None) => Err(KeptError::TakenBack { previous }),
            (Some(previous), Some(found)) if found > previous => {
                Err(KeptError::TakenBack { previous })
            }
            (previous, Some(found)) if previous != Some(found) && found < self.this_update => {
                Err(KeptError::Passed { found, last: self.this_update })
            }
            _ => Ok(()),
        }
    }
}

/// Why a list may not say so of expired entries.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeptError {
    /// Entries that should stay may have left.
    #[error(
        "expired entries are to be kept from {found} on, and since then a CRL was made, at {last}: some may have left"
    )]
    Passed {
        /// What the new list would say.
        found: UnixTime,
        /// thisUpdate of the last list.
        last: UnixTime,
    },
    /// The last list promises more.
    #[error(
        "the last CRL says that expired entries are kept from {previous} on, and that is not taken back"
    )]
    TakenBack {
        /// What it says.
        previous: UnixTime,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    /// CRL-10: it begins at a time that no list has passed, and then stays.
    #[test]
    fn it_begins_ahead_of_the_last_list_and_stays() {
        let last = |since: Option<u64>| LastKept { this_update: at(1000), since: since.map(at) };
        let passed = |found| Err(KeptError::Passed { found: at(found), last: at(1000) });
        let taken_back = |previous| Err(KeptError::TakenBack { previous: at(previous) });
        for (before, said, expected) in [
            (None, None, Ok(())),
            (None, Some(1000), Ok(())),
            (None, Some(999), passed(999)),
            (Some(500), Some(500), Ok(())),
            (Some(500), None, taken_back(500)),
            (Some(500), Some(501), taken_back(500)),
            (Some(500), Some(499), passed(499)),
            (Some(2000), Some(1000), Ok(())),
        ] {
            let found = last(before).may_be_followed_by(said.map(at));
            assert_eq!(found, expected, "{before:?} {said:?}");
        }
    }
}
