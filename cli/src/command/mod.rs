//! One file a noun.

pub(crate) mod authority;
pub(crate) mod certificate;
pub(crate) mod client;
