//! eIDs that prove who their holders are (ISS-20): whose a certificate is, asked for one person.

use ca::eid::EidHolder;
use ca::key_holder::HolderName;

use crate::StoreError;
use crate::id::CertificateId;
use crate::sealing::IndexTerm;

/// The part of [`Store`](crate::Store) that knows whose certificates are.
///
/// That an eID still holds is asked again where something is recorded that rests on it: see
/// [`CertificateIntent::proven_by`](crate::CertificateIntent::proven_by).
pub trait Eids {
    /// Whose a certificate is: as the order or the import of it has said, or, where that has not, as the number
    /// in its subject says. What orders for the same subject said later counts for nothing here.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownCertificate`], storage errors.
    fn eid_holder(
        &self,
        certificate: CertificateId,
        person: &HolderName,
    ) -> Result<EidHolder, StoreError>;

    /// Whether certificates that are found by these two terms are one person's, as their orders or imports have said: somebody with an eID in each of two
    /// organisations has two HSA-ids. Of whom nobody said who he is nothing is known.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn is_one_person(&self, one: &IndexTerm, other: &IndexTerm) -> Result<bool, StoreError>;
}
