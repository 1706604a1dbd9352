//! Whose turn it is to have an answer signed.
//!
//! A token signs a few answers at a time. Answers about serials that were never issued are not kept,
//! so that each costs a signature, and anybody can think of such serials: they share a few turns
//! among themselves, and the rest is for certificates that exist (promise 5).

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Signatures that may be on their way at once.
const ALL: usize = 64;
/// Of them about serials that were never issued.
const NEVER_ISSUED: usize = 8;

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Issued,
    NeverIssued,
}

/// Gives turns.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Semaphore,
    never_issued: Semaphore,
}

/// A turn, given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _all: SemaphorePermit<'a>,
    _never_issued: Option<SemaphorePermit<'a>>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { all: Semaphore::new(ALL), never_issued: Semaphore::new(NEVER_ISSUED) }
    }

    /// Waits for a turn; `None` when it has not come within `wait`.
    pub(crate) async fn take(&self, about: About, wait: Duration) -> Option<Turn<'_>> {
        let turn = async {
            let never_issued = match about {
                About::Issued => None,
                About::NeverIssued => Some(self.never_issued.acquire().await.ok()?),
            };
            let all = self.all.acquire().await.ok()?;
            Some(Turn { _all: all, _never_issued: never_issued })
        };
        tokio::time::timeout(wait, turn).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WAIT: Duration = Duration::ZERO;
    const FOREVER: Duration = Duration::from_secs(600);

    /// Promise 5: however many ask about serials that were never issued, eight turns are theirs and
    /// the others stay free for certificates that exist.
    #[tokio::test]
    async fn a_flood_of_random_serials_leaves_the_other_turns_free() {
        let turns = Turns::new();
        let mut flood = Vec::new();
        for _ in 0..NEVER_ISSUED {
            flood.push(turns.take(About::NeverIssued, FOREVER).await.unwrap());
        }
        for _ in 0..1000 {
            assert!(turns.take(About::NeverIssued, NO_WAIT).await.is_none());
        }

        let mut others = Vec::new();
        for _ in 0..ALL - NEVER_ISSUED {
            others.push(turns.take(About::Issued, FOREVER).await.unwrap());
        }
        assert!(turns.take(About::Issued, NO_WAIT).await.is_none(), "64 in all");

        flood.pop();
        drop(turns.take(About::Issued, FOREVER).await.unwrap());
        drop(turns.take(About::NeverIssued, FOREVER).await.unwrap());
        drop(others);
        assert_eq!(turns.all.available_permits(), ALL - flood.len());
    }
}
