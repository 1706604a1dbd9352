//! One file a noun.

pub(crate) mod authority;
pub(crate) mod certificate;
