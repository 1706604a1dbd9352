//! eIDs that prove who their holders are (ISS-20): whose a certificate is, asked for one person.

use ca::eid::EidHolder;
use ca::key_holder::HolderName;

use crate::StoreError;
use crate::id::CertificateId;

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
}
