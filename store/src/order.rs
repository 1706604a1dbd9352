//! Orders: one row for each POST, which makes a repeated call harmless.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use crate::id::{CertificateId, Node, OrderId};
use crate::sealing::Subject;

/// What an idempotency key belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrderKey {
    /// The authenticated client's configured name, or the program's own for what it orders itself.
    pub client: String,
    /// The HTTP method.
    pub method: String,
    /// The path, without query.
    pub path: String,
    /// The value of `Idempotency-Key`.
    pub key: String,
}

/// A call that has been authenticated and has a key.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// The id it gets if it is new.
    pub id: OrderId,
    /// What the key belongs to.
    pub key: OrderKey,
    /// SHA-256 of the body as received.
    pub body_sha256: [u8; 32],
    /// The body as received; sealed under `subject`.
    pub body: Vec<u8>,
    /// Whose data the body holds: the person whom it names, so that it is forgotten with him whatever becomes
    /// of the order; else the order's own.
    pub subject: Subject,
    /// Who works on it from now on.
    pub node: Node,
}

/// An order as one call has it. Each call that takes it up has a turn of its own: who comes late with an
/// earlier one changes nothing any more, also where both are calls of one start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldOrder {
    /// The order.
    pub id: OrderId,
    /// How often it had been taken up before.
    pub turn: u32,
}

impl HeldOrder {
    /// The order of the call that made it.
    #[must_use]
    pub const fn first(id: OrderId) -> Self {
        Self { id, turn: 0 }
    }
}

/// What [`Store::begin_order`](crate::Store::begin_order) found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BegunOrder {
    /// The key was unknown: the order is new and this caller works on it.
    New,
    /// A crash or a 5xx left the order open: this caller goes on with it.
    Resume(OrderProgress),
    /// Another call of this key is at work right now.
    Running {
        /// Its order.
        order: OrderId,
    },
    /// The order is finished.
    Replay {
        /// The finished order.
        order: OrderId,
        /// What it was answered.
        response: StoredResponse,
    },
    /// The key was used with another body.
    BodyDiffers {
        /// The order that has the key.
        order: OrderId,
    },
}

/// How far an order had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderProgress {
    /// The order: its first id, not the one that the repeated call brought.
    pub order: OrderId,
    /// The caller's turn.
    pub turn: u32,
    /// The certificate that it has already yielded and that only has to be released.
    pub certificate: Option<CertificateId>,
    /// An intent of this order that is neither fulfilled nor voided. It must be voided
    /// ([`VoidScope::Intent`](crate::VoidScope)) before another one is recorded.
    pub open_intent: Option<x509::signing::IntentId>,
    /// The serial number of the certificate that it had, as the published log says, and that was lost when the
    /// database was put back from a backup: the order yields no other.
    pub lost: Option<x509::serial::SerialNumber>,
}

impl OrderProgress {
    /// The order as the caller has it.
    #[must_use]
    pub const fn held(&self) -> HeldOrder {
        HeldOrder { id: self.order, turn: self.turn }
    }
}

/// An answer that the same body must always meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// The HTTP status; 0 for an order that came as a file.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The body, byte for byte; sealed at rest.
    pub body: Vec<u8>,
}

/// An answer on its way into the order.
#[derive(Clone, Debug)]
pub struct OrderAnswer {
    /// The answer.
    pub response: StoredResponse,
    /// Whose data it holds: the holder's where it shows a person's certificate.
    pub subject: Subject,
    /// Texts that it may hold, that others hold too and that are about nobody: each is kept once.
    pub shared: Vec<SharedText>,
}

/// A text that many answers hold alike and that is about nobody, such as the chain of an authority as an answer writes
/// it. It is kept once, and not sealed.
#[derive(Clone, Debug)]
pub struct SharedText(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    text: Vec<u8>,
    sha256: [u8; SHA256_OUTPUT_LEN],
}

impl SharedText {
    /// The text; an empty one is in no answer.
    #[must_use]
    pub fn new(text: Vec<u8>) -> Option<Self> {
        let mut sha256 = [0; SHA256_OUTPUT_LEN];
        sha256.copy_from_slice(digest(&SHA256, &text).as_ref());
        (!text.is_empty()).then(|| Self(Arc::new(Shared { text, sha256 })))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0.text
    }

    pub(crate) fn sha256(&self) -> &[u8; SHA256_OUTPUT_LEN] {
        &self.0.sha256
    }
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// A program works on it.
    Running,
    /// A 5xx ended the last try; the same key goes on.
    Open,
    /// It has its answer.
    Done,
}

/// An order as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Its id.
    pub id: OrderId,
    /// What its key belongs to.
    pub key: OrderKey,
    /// Where it stands.
    pub state: OrderState,
    /// When it came.
    pub created: x509::time::UnixTime,
    /// When its state changed last.
    pub updated: x509::time::UnixTime,
    /// The certificate it yielded.
    pub certificate: Option<CertificateId>,
}
