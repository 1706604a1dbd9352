//! Who may call, and which responders are pinned.

use x509::key::SpkiHash;
use x509::time::UnixTime;

/// A client of the API, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name, as in its certificate's SAN URI.
    pub name: String,
    /// The key it must come with. Several during a renewal.
    pub keys: Vec<SpkiHash>,
    /// The roles it has.
    pub roles: Vec<String>,
    /// The profiles it may order.
    pub profiles: Vec<String>,
    /// Whether it may call.
    pub state: ClientState,
}

/// Whether a client may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// It may.
    Active,
    /// It may not any more; its orders stay.
    Disabled,
}

/// A responder's identity, pinned at its enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responder {
    /// Its configured name.
    pub name: String,
    /// SHA-256 of its identity key's SubjectPublicKeyInfo.
    pub key: SpkiHash,
    /// The SubjectPublicKeyInfo itself, to verify requests with.
    pub spki_der: Vec<u8>,
    /// The counter of the last request that was accepted; 0 before the first.
    pub counter: u64,
    /// When it was pinned.
    pub enrolled: UnixTime,
}
