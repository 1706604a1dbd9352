//! Intents: what is recorded before a key is touched, and how one ends that came to nothing.

use std::time::Duration;

use status::{IssuerId, Position};
use x509::key::SpkiHash;
use x509::serial::SerialNumber;
use x509::signing::{IntentId, SigningKind};
use x509::time::UnixTime;

use crate::id::{CertificateId, Node, OrderId};

/// How long signing may fail before an intent is voided (architecture promise 2).
pub const SIGNING_TRIES_LAST: Duration = Duration::from_secs(60);

/// Which open intents are voided: the serial is spent, revoked and on the CRL until notAfter.
///
/// Open CRL intents of the scope end too, without an entry: their number is spent.
#[derive(Clone, Debug)]
pub enum VoidScope {
    /// Those of earlier starts of this node: called once at start, before anything is signed.
    EarlierBoots(Node),
    /// Those of nodes whose lease has ended at the time of the call; never those of this start, which
    /// is alive: its lease has lapsed because a disk was slow or the program stood still.
    EndedLeases(Node),
    /// Those of this start that have been failing for [`SIGNING_TRIES_LAST`], or on whose order
    /// nobody works any more and that are that old: what kept their signature from being recorded
    /// may have kept the failure from it too.
    Failing(Node),
    /// This one, because the caller that works on its order goes on with another. The order stays
    /// that caller's; in the other scopes nobody works on it any more, and it is opened.
    Intent(IntentId),
}

/// An intent that has been voided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoidedIntent {
    /// The intent.
    pub intent: IntentId,
    /// The certificate that will never be; `None` for a CRL.
    pub certificate: Option<VoidedCertificate>,
}

/// The certificate that an intent did not become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoidedCertificate {
    /// Its id.
    pub id: CertificateId,
    /// The order, which stays open.
    pub order: OrderId,
    /// The issuer.
    pub issuer: IssuerId,
    /// The serial, never used again.
    pub serial: SerialNumber,
    /// Where the status log says `voided`.
    pub position: Position,
}

/// Where an intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentState {
    /// A signature may exist.
    Open,
    /// Its signature has been recorded.
    Fulfilled,
    /// It came to nothing.
    Voided,
}

/// An intent as it is shown, for recovery and reconciliation with the token's count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentRow {
    /// Its id.
    pub id: IntentId,
    /// What was to be signed.
    pub kind: SigningKind,
    /// The order, for certificates.
    pub order: Option<OrderId>,
    /// The certificate's id, for certificates.
    pub certificate: Option<CertificateId>,
    /// SHA-256 of the to-be-signed bytes.
    pub digest: [u8; 32],
    /// Who recorded it.
    pub node: Node,
    /// Where it stands.
    pub state: IntentState,
    /// When it was recorded.
    pub created: UnixTime,
}

/// The most intents that are read at once.
pub const INTENTS_AT_ONCE: usize = 20_000;

/// Which intents: those of CAs, or those of the management plane, which stand apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentBook {
    /// Certificates, CRLs and delegate certificates.
    Issuing,
    /// Certificates of the management CA.
    Management,
}

/// The place of an intent in the order in which they were recorded; 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct IntentNumber(pub u64);

/// What has become of an intent, for reconciling what keys signed with what is recorded (KEY-14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentOutcome {
    /// Its place.
    pub number: IntentNumber,
    /// Its id.
    pub intent: IntentId,
    /// The key that was to sign; `None` for the management CA's.
    pub key: Option<SpkiHash>,
    /// Who recorded it.
    pub node: Node,
    /// Where it stands.
    pub state: IntentState,
    /// When it was recorded.
    pub created: UnixTime,
}
