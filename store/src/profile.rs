//! Versions of profiles: which file a name and a number stand for, for ever (PRO-19).

use ca::role::Protected;
use status::IssuerId;
use x509::time::UnixTime;

use crate::audit::AuditRecord;
use crate::certificate::{ListCursor, ProfileVersion};
use crate::error::StoreError;
use crate::id::CertificateId;

/// A version of a profile, by its number and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedProfile {
    /// Its name and the SHA-256 of its file, as certificates name it.
    pub profile: ProfileVersion,
    /// Its number, from 1.
    pub version: u32,
}

/// A version with its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileFile {
    /// Which one.
    pub profile: NumberedProfile,
    /// The file, octet for octet.
    pub file: Vec<u8>,
}

/// A version that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedProfile {
    /// Which one.
    pub profile: NumberedProfile,
    /// When a program first started with it.
    pub first_used: UnixTime,
}

/// What a certificate of a subscriber was issued from, as far as it is kept.
#[derive(Clone, Debug)]
pub struct Issuance {
    /// The certificate.
    pub certificate: CertificateId,
    /// Who issued it.
    pub issuer: IssuerId,
    /// The version that decided.
    pub profile: ProfileVersion,
    /// When its intent was recorded: the issuing time, or some seconds after it.
    pub intended: UnixTime,
    /// What is sealed of it; `None` once one of its data keys has been deleted.
    pub kept: Option<KeptIssuance>,
}

/// The two ends of an issuance.
#[derive(Clone)]
pub struct KeptIssuance {
    /// The body of its order, as received.
    pub body: Vec<u8>,
    /// The certificate.
    pub der: Vec<u8>,
}

impl std::fmt::Debug for KeptIssuance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptIssuance(..)")
    }
}

/// A part of the issuances of a profile, newest first.
#[derive(Clone, Debug)]
pub struct IssuancePage {
    /// At most as many as were asked for.
    pub issuances: Vec<Issuance>,
    /// Where it goes on; `None` at the end.
    pub next: Option<ListCursor>,
}

/// The part of [`Store`](crate::Store) that keeps versions of profiles, and what they decided.
pub trait ProfileVersions {
    /// All versions that were used, by name and number.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn profile_versions(&self) -> Result<Vec<RecordedProfile>, StoreError>;

    /// The file of a version that was used, by its SHA-256.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn profile_file(&self, sha256: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError>;

    /// What was issued under the profile of this name, whatever the version, newest first: `limit`
    /// issuances that `protected` sees, 1 to 1 000, older than those before `after`.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn issuances(
        &self,
        profile: &str,
        after: Option<ListCursor>,
        limit: u32,
        protected: Protected,
    ) -> Result<IssuancePage, StoreError>;

    /// Records those of `profiles` that are new, with one audit leaf, and only if one is. Returns
    /// whether one was.
    ///
    /// # Errors
    ///
    /// [`StoreError::ProfileChanged`] when a number stands for another file; nothing is recorded then.
    fn register_profiles(
        &self,
        profiles: &[ProfileFile],
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError>;
}

/// Judges what a start brings against what was recorded: those that are new.
///
/// # Errors
///
/// [`StoreError::ProfileChanged`]: a number that stands for another file, or a new file under a number
/// that is not above all that were used.
pub fn new_profiles(
    wanted: &[NumberedProfile],
    recorded: &[RecordedProfile],
) -> Result<Vec<NumberedProfile>, StoreError> {
    let mut new = Vec::new();
    for one in wanted {
        let of_name = || {
            let all = recorded.iter().map(|found| &found.profile);
            all.filter(|found| found.profile.name == one.profile.name)
        };
        if of_name().any(|found| found == one) {
            continue;
        }
        if let Some(newest) = of_name().max_by_key(|found| found.version)
            && newest.version >= one.version
        {
            return Err(StoreError::ProfileChanged {
                name: one.profile.name.clone(),
                version: one.version,
                newest: newest.version,
            });
        }
        new.push(one.clone());
    }
    Ok(new)
}
