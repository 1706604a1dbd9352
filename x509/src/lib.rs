//! Formats: every X.509 value, its DER, and the only way to a signature.
//!
//! This room owns bytes. It names the ASN.1 library so that nobody else has to, keeps the received
//! bytes of what it parses, and knows no rule of issuing: those live in `ca`, `crl` and `lint`.
//!
//! It does no I/O, reads no clock and draws no randomness: times, serial numbers and ids are
//! arguments.

pub mod alike;
pub mod certificate;
pub mod crl;
pub mod device;
pub mod extension;
pub mod import;
#[cfg(test)]
mod judges;
pub mod jws;
pub mod key;
pub mod name;
pub mod ocsp;
pub mod oid;
pub mod pem;
pub mod request;
pub mod responder_request;
pub mod serial;
pub mod signing;
pub mod statement;
mod stream;
pub mod time;
mod time_der;
mod tlv;
pub mod validity;

pub use crate::tlv::NotDer;
/// The ASN.1 library, re-exported so that one version of it exists in the workspace.
pub use der;
/// The X.509 structures of the ASN.1 library, for decoders such as `lint` that need them raw.
pub use x509_cert as raw;
