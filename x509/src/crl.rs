//! Certificate revocation lists of any size: written and read piece by piece (RFC 5280 §5).
//!
//! A CRL may hold a million entries, so nothing here holds more than one of them. [`TbsWriter`]
//! streams a TBSCertList, whose entries' total length must be known before; [`CrlReader`] streams
//! one back; [`write_certificate_list`] puts a signed TBSCertList and its signature into the file
//! that relying parties fetch. Ed25519 lists alone are kept whole, up to [`MAX_WHOLE_OCTETS`]:
//! that algorithm has no hash to be taken of a stream.
//!
//! Bytes go to and come from [`std::io`] traits that the caller implements or opens: this room
//! opens no file.

mod entry;
mod extension;
mod hashing;
#[cfg(test)]
mod judged;
mod reader;
mod writer;

pub use entry::{EntryError, ReasonCode, RevokedEntry};
pub use extension::{CrlExtensions, CrlKind, IssuingDistributionPoint, Scope};
pub(crate) use extension::{push as push_extension, split as extension_parts};
pub use hashing::HashingSink;
pub use reader::{CrlForm, CrlHead, CrlReadError, CrlReader, CrlTail, MAX_WHOLE_OCTETS};
pub use writer::{CrlFacts, CrlWriteError, TbsWriter, write_certificate_list};
