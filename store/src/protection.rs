//! Protected persons (DAT-01): who they are, and what is passed over for callers that do not see them.

use std::fmt;

use ca::key_holder::HolderName;
use ca::protection::ProtectionClass;
use ca::role::Protected;
use status::IssuerId;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::sealing::{IndexTerm, Subject};

/// A person is to be protected, or no more. He need not have anything yet.
#[derive(Clone)]
pub struct ProtectionChange {
    /// Who, by the name that eIDs are kept under.
    pub holder: HolderName,
    /// His number, by which certificates of no eID are found; `None` where he has none.
    pub number: Option<IndexTerm>,
    /// How; `None`: no more.
    pub class: Option<ProtectionClass>,
    /// Under whose key it is kept who he is.
    pub subject: Subject,
    /// Who he is, sealed for the listing.
    pub person: Vec<u8>,
}

impl fmt::Debug for ProtectionChange {
    /// Nothing of the person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectionChange").field("class", &self.class).finish_non_exhaustive()
    }
}

/// A protected person.
#[derive(Clone, PartialEq, Eq)]
pub struct ProtectedRow {
    /// How.
    pub class: ProtectionClass,
    /// Since when this class.
    pub since: UnixTime,
    /// Who he is, as it was given; `None` of one who was forgotten.
    pub person: Option<Vec<u8>>,
    /// Where a list goes on after him.
    pub cursor: u64,
}

impl fmt::Debug for ProtectedRow {
    /// Nothing of the person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectedRow").field("class", &self.class).finish_non_exhaustive()
    }
}

/// The part of [`Store`](crate::Store) that knows who is protected.
///
/// What is a protected person's is not found at all by a question that is asked with [`Protected::Unseen`]: the database passes it over, so that
/// whoever asks cannot tell it from what is not there. It counts from the act that records it on, on every node.
pub trait Protection {
    /// Protects a person, changes how, or ends it. Where he stands so already nothing is recorded. Since when it is so; `None`: he is not
    /// protected.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn put_protection(
        &self,
        change: &ProtectionChange,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Option<UnixTime>, StoreError>;

    /// Whether a person is protected: by his number or passport, or by an HSA-id that orders have said to be his.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn is_protected(&self, holder: &HolderName) -> Result<bool, StoreError>;

    /// Protected persons in the order in which they became so, at most `limit` (up to 1000).
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn protected_persons(
        &self,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ProtectedRow>, StoreError>;

    /// Whether nothing that `protected` does not see has this serial number; true also of one that is not known.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn sees_serial(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
        protected: Protected,
    ) -> Result<bool, StoreError>;
}
