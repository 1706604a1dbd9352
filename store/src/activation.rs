//! Configurations that two persons have activated, one after the other.

use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;

/// A configuration that was activated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivatedConfiguration {
    /// SHA-256 of the manifest.
    pub hash: [u8; 32],
    /// What it is of: its parts with their hashes, one a line.
    pub manifest: String,
    /// Who may activate the next one, as the configuration names them; the text of that part.
    pub persons: String,
    /// The statements of those who activated it, as they were handed in.
    pub statements: String,
    /// When.
    pub at: UnixTime,
}

/// The part of [`Store`](crate::Store) that knows with which configuration the CA may run.
pub trait Activations {
    /// Writes down that a configuration is the activated one, if `after` is the one until now (`None`: there is none). Says whether it was.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn activate_configuration(
        &self,
        new: &ActivatedConfiguration,
        after: Option<[u8; 32]>,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError>;

    /// The configuration that was activated last.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn activated_configuration(&self) -> Result<Option<ActivatedConfiguration>, StoreError>;
}
