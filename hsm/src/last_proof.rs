//! How keys looked when they last proved themselves, so that a token that tells something else later
//! is not believed in silence.
//!
//! Labels and ids select nothing, so a change of them stops nothing and is told by name. A key that
//! is refused at a new proof is refused on every session, also on those where it had proven itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use x509::key::SpkiHash;

use crate::facts::{KeyAttributes, KeyName};

/// How a private key looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    name: KeyName,
    attributes: KeyAttributes,
    /// Public keys of others that stand beside it under its id.
    strangers: Vec<SpkiHash>,
}

impl Sighting {
    pub(crate) const fn new(
        name: KeyName,
        attributes: KeyAttributes,
        strangers: Vec<SpkiHash>,
    ) -> Self {
        Self { name, attributes, strangers }
    }

    /// What is told otherwise now.
    fn drift(&self, now: &Self) -> Vec<Drift> {
        let mut drift = Vec::new();
        let mut compare = |what: &str, before: String, now: String| {
            if before != now {
                drift.push(Drift { what: what.to_owned(), before, now });
            }
        };
        compare("CKA_LABEL", format!("{:?}", self.name.label()), format!("{:?}", now.name.label()));
        compare("CKA_ID", self.name.hexadecimal_id(), now.name.hexadecimal_id());
        compare("public key beside it", names(&self.strangers), names(&now.strangers));
        for (attribute, before) in self.attributes.iter() {
            let now = now.attributes.value(attribute);
            let now = now.map_or_else(|| "not told".to_owned(), ToString::to_string);
            compare(attribute, before.to_string(), now);
        }
        for (attribute, value) in now.attributes.iter() {
            if self.attributes.value(attribute).is_none() {
                compare(attribute, "not told".to_owned(), value.to_string());
            }
        }
        drift
    }
}

fn names(keys: &[SpkiHash]) -> String {
    let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

/// Something that the token tells otherwise than at the last proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drift {
    what: String,
    before: String,
    now: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was {}, is {}", self.what, self.before, self.now)
    }
}

/// The last proofs of all keys of a token, by whichever session.
#[derive(Debug, Default)]
pub(crate) struct LastProofs {
    keys: Mutex<HashMap<SpkiHash, LastProof>>,
}

#[derive(Debug, Default)]
struct LastProof {
    sighting: Option<Sighting>,
    refusals: u64,
}

impl LastProofs {
    /// Each is replaced whole, so a panic elsewhere cannot leave one half written.
    fn keys(&self) -> MutexGuard<'_, HashMap<SpkiHash, LastProof>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps how the key looks, and says what differs from the last time.
    pub(crate) fn proven(&self, key: SpkiHash, sighting: Sighting) -> Vec<Drift> {
        let mut keys = self.keys();
        let last = keys.entry(key).or_default();
        let drift = last.sighting.as_ref().map_or_else(Vec::new, |seen| seen.drift(&sighting));
        last.sighting = Some(sighting);
        drift
    }

    /// The key was refused: what sessions have found of it before counts no more.
    pub(crate) fn refused(&self, key: SpkiHash) {
        let mut keys = self.keys();
        let last = keys.entry(key).or_default();
        last.refusals = last.refusals.saturating_add(1);
    }

    /// Label and id of the key at its last proof.
    pub(crate) fn name(&self, key: &SpkiHash) -> Option<KeyName> {
        self.keys().get(key)?.sighting.as_ref().map(|sighting| sighting.name.clone())
    }

    /// How often the key was refused. A handle that was found before the last time is not used.
    pub(crate) fn refusals(&self, key: &SpkiHash) -> u64 {
        self.keys().get(key).map_or(0, |last| last.refusals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(label: &str, id: u8, strangers: &[SpkiHash]) -> Sighting {
        Sighting::new(KeyName::new(label, &[id]), KeyAttributes::default(), strangers.to_vec())
    }

    #[test]
    fn each_change_is_told_once_and_by_name() {
        let (proofs, key) = (LastProofs::default(), SpkiHash::from_bytes([1; 32]));
        assert!(proofs.proven(key, sighting("a", 1, &[])).is_empty());
        assert!(proofs.proven(key, sighting("a", 1, &[])).is_empty());

        let drift = proofs.proven(key, sighting("b", 2, &[SpkiHash::from_bytes([2; 32])]));
        let told: Vec<String> = drift.iter().map(ToString::to_string).collect();

        assert_eq!(told[0], "CKA_LABEL was \"a\", is \"b\"");
        assert_eq!(told[1], "CKA_ID was 01, is 02");
        assert!(told[2].starts_with("public key beside it was none, is 0202"), "{told:?}");
        assert_eq!(told.len(), 3);
        assert!(proofs.proven(key, sighting("b", 2, &[SpkiHash::from_bytes([2; 32])])).is_empty());
    }

    #[test]
    fn a_refusal_counts_for_its_key_alone() {
        let proofs = LastProofs::default();
        let (one, other) = (SpkiHash::from_bytes([1; 32]), SpkiHash::from_bytes([2; 32]));

        proofs.refused(one);

        assert_eq!((proofs.refusals(&one), proofs.refusals(&other)), (1, 0));
    }
}
