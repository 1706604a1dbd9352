//! An append-only Merkle log, the signed statements about it, and what a follower must check.
//!
//! The tree is the one of RFC 6962 §2.1 with SHA-256; it is stored as C2SP tlog-tiles, and its
//! head is published as a C2SP checkpoint: a signed note with an Ed25519 line and a timestamped
//! cosignature line. The status log, the audit log and ceremony transcripts share this code.
//!
//! This room reads no clock, draws no randomness and does no I/O. Tiles come through
//! [`tile::TileSource`], time is an argument, and signatures come from a [`NoteSigner`], which is
//! handed a typed note and never bytes of the caller's choice.

pub mod bundle;
pub mod checkpoint;
pub mod edge;
pub mod follow;
pub mod frontier;
pub mod hash;
pub mod manifest;
pub mod note;
pub mod origin;
pub mod proof;
pub mod receipt;
pub mod signer;
pub mod tile;
pub mod time;
pub mod tree;

pub use checkpoint::{Checkpoint, CheckpointNote};
pub use edge::Edge;
pub use frontier::Frontier;
pub use hash::{Hash, leaf_hash, node_hash};
pub use origin::{DeploymentName, LogName, LogOrigin};
pub use receipt::ReceiptText;
pub use signer::{NoteSignError, NoteSigner, NoteToSign};
pub use tile::{TilePath, TileSource};
pub use time::Timestamp;

#[cfg(test)]
mod tests;
