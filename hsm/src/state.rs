//! How a token is, for metrics, readiness and logs.

use std::time::Duration;

use crate::breaker::BreakerState;
use crate::token::TokenName;

/// How an open token is now, and what it went through since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenState {
    /// The token.
    pub name: TokenName,
    /// For how long it has been out of reach; `None` while it works.
    pub lost_for: Option<Duration>,
    /// Calls that did not end in their time and are still in the module.
    pub hung: usize,
    /// Those of them that have hung for ten minutes: their threads are lost until the program ends.
    pub left_behind: usize,
    /// Threads that take calls.
    pub serving: usize,
    /// Whether calls are made at all.
    pub breaker: BreakerState,
    /// How often the breaker opened.
    pub breaker_openings: u64,
    /// How often the token was lost.
    pub outages: u64,
    /// How often work other than a signature was begun again on a fresh session.
    pub retries: u64,
    /// How often the PIN was sent.
    pub logins: u64,
    /// How often its module was initialised anew, for it or another token.
    pub initialisations: u64,
}
