//! Certificates of the management plane: what TLS of the API rests on.
//!
//! They are recorded before and after they are signed like all others, in a table of their own: their
//! issuer is self-signed and stands in no status log, and nothing of them crosses to the outer zone.

use x509::key::SpkiHash;
use x509::serial::SerialNumber;
use x509::signing::IntentId;
use x509::time::UnixTime;

use crate::id::{Node, OrderId};

/// Whose certificate it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagementHolder {
    /// A client of the API.
    Client {
        /// The key by which the configuration knew it when this certificate was asked for. The
        /// certificate's own key counts only while the configuration names that key still.
        pinned: SpkiHash,
    },
    /// The API's server.
    Server,
}

/// What an intent to sign a management certificate is about.
#[derive(Clone, Debug)]
pub struct ManagementIntent {
    /// The order of the call that asks for it; `None` when the program renews by itself.
    pub order: Option<OrderId>,
    /// Whose it is.
    pub holder: ManagementHolder,
    /// The name in its SAN URI.
    pub name: String,
    /// Its serial number.
    pub serial: SerialNumber,
    /// Its key.
    pub key: SpkiHash,
    /// Its last second.
    pub not_after: UnixTime,
    /// Who records it.
    pub node: Node,
}

/// An intent to sign a management certificate that has come to no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenManagementIntent {
    /// Its id.
    pub intent: IntentId,
    /// The order of the call that asked for it.
    pub order: Option<OrderId>,
    /// The name that the certificate was to have.
    pub name: String,
    /// The serial number that the certificate was to have.
    pub serial: SerialNumber,
    /// The key that was to be certified.
    pub key: SpkiHash,
    /// Who recorded it.
    pub node: Node,
}

/// A management certificate that was signed and recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagementCertificate {
    /// Its intent.
    pub intent: IntentId,
    /// The order of the call that asked for it.
    pub order: Option<OrderId>,
    /// Whose it is.
    pub holder: ManagementHolder,
    /// The name in its SAN URI.
    pub name: String,
    /// Its serial number.
    pub serial: SerialNumber,
    /// Its key.
    pub key: SpkiHash,
    /// Its last second.
    pub not_after: UnixTime,
    /// When it was recorded.
    pub issued: UnixTime,
    /// The certificate.
    pub der: Vec<u8>,
}

/// Which open intents to sign management certificates are given up. Nobody gets what they become.
#[derive(Clone, Debug)]
pub enum ManagementScope {
    /// Those of earlier starts of this node: called once at start.
    EarlierBoots(Node),
    /// That of this order, whose caller came again.
    Order(OrderId),
    /// This one, whose signature could not be made or recorded.
    Intent(IntentId),
}
