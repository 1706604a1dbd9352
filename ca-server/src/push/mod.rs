//! Pushes the publication tree to the outer hosts, and collects what their responders ask for.
//!
//! Every connection is opened here: the outer zone opens none inwards (architecture §2.1). Each host has a
//! thread and a connection of its own, so that one that is dead or slow holds up neither another nor
//! issuing. What a host has is read from the host, so that a push goes on where it was broken off, also
//! after hours. At the start, and at the first connection to a host that was away then, the log that the
//! host has is compared with the database (architecture §2.2; decision 0018).

mod connection;
mod error;
mod host;
mod hosts;
mod lists;
pub(crate) mod read_back;
mod settings;
pub(crate) mod tls;

pub(crate) use host::{Feed, start};
pub(crate) use hosts::OuterHosts;
pub(crate) use settings::PushSection;
