//! What depends on the day: whether the issuer's key issues, and whether the policy allows how it signs.
//!
//! Both let responders' delegates pass where something has ended: what was issued must be answered for.

use x509::key::{KeyType, SignatureAlgorithm};

use super::{Preparation, PrepareError, Signer};
use crate::algorithms::{KeyPurpose, NotAllowed, Standing};
use crate::profile::ProfileKind;

/// The issuer's key issues on this day (KEY-06, KEY-12); for responders it goes on, as its CRLs do.
pub(super) fn check_period(preparation: &Preparation<'_>) -> Result<(), PrepareError> {
    match preparation.signer {
        Signer::Issuer(issuer) if preparation.profile.kind() != ProfileKind::OcspResponder => {
            issuer
                .may_issue(preparation.now)
                .map_err(|why| PrepareError::NotIssuing { issuer: issuer.name().to_owned(), why })
        }
        _ => Ok(()),
    }
}

/// Profile and policy allow how it is signed (KEY-11). Delegates of responders go on as CRLs do: where the
/// issuer's algorithm has ended, what was issued must still be answered for.
pub(super) fn check_signature(
    preparation: &Preparation<'_>,
    key: KeyType,
    algorithm: SignatureAlgorithm,
) -> Result<(), PrepareError> {
    let Preparation { profile, algorithms, now, .. } = *preparation;
    if !profile.allows_signature(algorithm) {
        return Err(PrepareError::SignatureNotAllowed {
            profile: profile.name().clone(),
            found: algorithm,
            allowed: profile.signatures().unwrap_or_default().to_vec(),
        });
    }
    let purpose = KeyPurpose::signing(profile.kind());
    match algorithms.signature(purpose, key, algorithm, now) {
        Err(NotAllowed { standing: Standing::Over { .. }, .. })
            if profile.kind() == ProfileKind::OcspResponder =>
        {
            Ok(())
        }
        judged => judged.map_err(PrepareError::IssuerAlgorithm),
    }
}
