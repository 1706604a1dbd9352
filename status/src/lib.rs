//! What a certificate's status is, how it may change, and what the world is told of it.
//!
//! There is one ordered status log. Its entries ([`entry`]) are read by the responder, the CRL, the
//! reports and the auditor, who all derive the same answer from them ([`state`], [`shown`]). This
//! room holds the rules; it stores nothing, reads no clock and does no I/O.

pub mod difference;
pub mod entry;
pub mod freshness;
pub mod index;
pub mod issuer;
pub mod observation;
pub mod obstacle;
pub mod position;
pub mod presigned;
pub mod publication;
pub mod published_crl;
pub mod reason;
pub mod receipt;
mod records;
pub mod shown;
pub mod state;

pub use difference::{Difference, Logged};
pub use entry::{CertificateEntry, Change, StatusEntry};
pub use index::Index;
pub use issuer::{IssuerId, IssuerRef};
pub use observation::{Observation, ProbeMethod, SignedObservation, VantageName};
pub use obstacle::Obstacle;
pub use position::Position;
pub use publication::{OutboxPath, PublicationPath};
pub use published_crl::{CRL_MANIFEST, PublishedCrl};
pub use reason::RevocationReason;
pub use receipt::{Receipt, ReceiptMethod};
pub use shown::{
    AfterExpiry, Answer, AnswerClasses, BeforeActivation, CertificateStatus, ShownRevocation,
};
pub use state::{Act, CertificateState, HeldFrom, IllegalTransition, transition};

#[cfg(test)]
mod tests;
