//! Leases: which node may do what only one may do, and for how long.

use std::time::Duration;

use x509::time::UnixTime;

use crate::id::Node;

/// How long a lease lasts without renewal (architecture promise 2).
pub const LEASE: Duration = Duration::from_secs(30);

/// What only one node does at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LeaseName {
    /// Being the node of that name: its intents are voided when this lease has ended.
    Node(String),
    /// Signing and publishing checkpoints.
    Publication,
}

impl LeaseName {
    /// The name in the row.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Node(name) => format!("node:{name}"),
            Self::Publication => "publication".to_owned(),
        }
    }
}

/// Proof of having been given a lease; it rises with every new holder and never falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fencing(pub u64);

/// What asking for a lease gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// The caller holds it.
    Held {
        /// Goes with every write that the lease protects.
        fencing: Fencing,
        /// When it ends unless renewed.
        until: UnixTime,
    },
    /// Another start or node holds it.
    Taken {
        /// Who.
        by: Node,
        /// Until when.
        until: UnixTime,
    },
}
