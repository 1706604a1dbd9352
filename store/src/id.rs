//! Ids that stand in rows, replies and audit leaves: a prefix and a UUID (version 7).
//!
//! They are given by the caller at the start of a use case, so that a crash between two commits
//! never leaves a thing whose id nobody wrote down.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::{Builder, Uuid};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            #[doc = concat!("What its text begins with: `", $prefix, "`.")]
            pub const PREFIX: &str = $prefix;

            /// Takes the 16 octets of a UUID.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Makes a UUID version 7 (RFC 9562 §5.7) from milliseconds since 1970 and 80 random
            /// bits.
            #[must_use]
            pub const fn from_time_and_random(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(*Builder::from_unix_timestamp_millis(unix_ms, &random).as_uuid().as_bytes())
            }

            /// The 16 octets.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            #[doc = concat!("`", $prefix, "` and the UUID in lower case with hyphens.")]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::PREFIX, Uuid::from_bytes(self.0).hyphenated())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let refused = IdError { prefix: Self::PREFIX };
                let uuid = text.strip_prefix(Self::PREFIX).ok_or(refused)?;
                let id = Self(*uuid.parse::<Uuid>().map_err(|_| refused)?.as_bytes());
                // One spelling a thing: no braces, capitals or missing hyphens.
                if id.to_string() == text { Ok(id) } else { Err(refused) }
            }
        }
    };
}

id!(
    /// Names a certificate from its intent on, whether or not it is ever signed.
    CertificateId, "crt_"
);
id!(
    /// Names an order: one authenticated call with its idempotency key.
    OrderId, "ord_"
);
id!(
    /// Names a job: a decision about many certificates.
    JobId, "job_"
);

id!(
    /// Names a carrier: a card or a telephone.
    CarrierId, "car_"
);
id!(
    /// Names an eID: one holder in one organisation on one carrier.
    EidId, "eid_"
);
id!(
    /// Names a revocation that is to be carried out later.
    ScheduledId, "rev_"
);
id!(
    /// Names an organisation of the tree.
    OrganisationId, "org_"
);
id!(
    /// Names a domain that an organisation has stated.
    DomainId, "dom_"
);
id!(
    /// Names what one person asks for and another one approves.
    ApprovalId, "apr_"
);

/// One start of the program on one node; a restart gets another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId([u8; 16]);

impl BootId {
    /// Takes 16 random octets, drawn once when the program starts.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A running program: the configured name of its node, and which start of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The node's configured name.
    pub name: String,
    /// Which start.
    pub boot: BootId,
}

/// The text is not an id of the expected kind.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("id is not {prefix} and a UUID in lower case with hyphens")]
pub struct IdError {
    prefix: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_in_its_one_spelling() {
        let id = CertificateId::from_time_and_random(1_800_000_000_000, [7; 10]);
        let text = id.to_string();

        assert!(text.starts_with("crt_") && text.len() == 40, "{text}");
        assert_eq!(text.parse(), Ok(id));
        assert!(text.to_uppercase().parse::<CertificateId>().is_err());
        assert!(text.replace('-', "").parse::<CertificateId>().is_err());
        assert!(text.parse::<OrderId>().is_err());
    }
}
