//! One file a noun.

pub(crate) mod actor;
pub(crate) mod approval;
pub(crate) mod authority;
pub(crate) mod certificate;
pub(crate) mod client;
pub(crate) mod diagnosis;
pub(crate) mod domain;
pub(crate) mod eid;
pub(crate) mod events;
pub(crate) mod job;
pub(crate) mod key_list;
pub(crate) mod limit;
pub(crate) mod order;
pub(crate) mod organisation;
mod outcome;
pub(crate) mod probe;
pub(crate) mod profile;
pub(crate) mod protection;
pub(crate) mod read;
pub(crate) mod receipt;
pub(crate) mod register;
pub(crate) mod revocation;
pub(crate) mod revoke;
pub(crate) mod roles;
pub(crate) mod states;
pub(crate) mod status;
pub(crate) mod trial;

/// A value of a closed list as the API writes it.
fn word(value: Option<impl serde::Serialize>) -> String {
    let value = value.and_then(|value| serde_json::to_value(value).ok());
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
