//! The public key that is certified: allowed, good, nobody else's, and proven to be held.

use x509::key::PublicKey;

use super::{KeySource, Preparation, PrepareError};
use crate::algorithms::KeyPurpose;
use crate::request::{self, RequestError};

/// The key, judged first for its type and quality, so that the refusal names the real cause, and then
/// for its proof of possession.
pub(super) fn of(preparation: &Preparation<'_>) -> Result<PublicKey, PrepareError> {
    match preparation.key {
        KeySource::Proven(key) => {
            check_key(preparation, key)?;
            Ok(key.clone())
        }
        KeySource::Request(der) => {
            let request = request::read(der, preparation.profile)?;
            check_key(preparation, request.public_key())?;
            request.verify_possession().map_err(RequestError::Possession)?;
            Ok(request.public_key().clone())
        }
    }
}

fn check_key(preparation: &Preparation<'_>, key: &PublicKey) -> Result<(), PrepareError> {
    let profile = preparation.profile;
    if !profile.keys().contains(&key.key_type()) {
        return Err(PrepareError::KeyNotAllowed {
            profile: profile.name().clone(),
            found: key.key_type(),
            allowed: profile.keys().to_vec(),
        });
    }
    let purpose = KeyPurpose::certified_by(profile.kind());
    preparation
        .algorithms
        .key(Some(purpose), key.key_type(), preparation.now)
        .map_err(PrepareError::KeyAlgorithm)?;
    preparation.keys.judge(key)?;
    if let Some(admitted) = preparation.admitted {
        admitted.judge_key(key)?;
    }
    Ok(())
}
