//! Numbers of CRLs that a key has used up: remembered beside its token, before it signs.
//!
//! Lists that were signed ahead and are not released yet are seen by nobody outside, so the last list that the world has does not tell how far the
//! numbers have gone. A number that a key has signed once is never signed again by another ceremony, whatever that was given.

use anyhow::Context as _;
use ceremony_core::refusal::Refusal;
use crl::CrlNumber;
use serde::{Deserialize, Serialize};
use x509::key::SpkiHash;

use crate::home::{Home, replace};
use crate::stopped::Stopped;

/// The longest file, in octets.
const MAX_OCTETS: u64 = 4096;

/// What is remembered of a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Used {
    /// The highest number, hexadecimal.
    number: String,
    /// The nonce of the first line of the ceremony that used it.
    ceremony: String,
}

/// Uses up a number for a key, in this ceremony, which may use it again.
///
/// # Errors
///
/// [`Stopped`] with R13 for one that another ceremony has used, or is below; the file system's.
pub(crate) fn use_up(
    tokens: &Home,
    key: SpkiHash,
    number: &CrlNumber,
    ceremony: &str,
) -> anyhow::Result<()> {
    let path = tokens.join(&format!("state/crl-number-{key}.json"));
    let named = || path.display().to_string();
    if let Some(octets) = host::durable::read(&path, MAX_OCTETS).with_context(named)? {
        let used: Used = serde_json::from_slice(&octets).with_context(named)?;
        let highest: CrlNumber = used.number.parse().with_context(named)?;
        if *number <= highest {
            if used.ceremony == ceremony {
                return Ok(());
            }
            return Err(Stopped {
                refusal: Refusal::Crl,
                refused: format!(
                    "CRL number {number} hexadecimal: this key has signed numbers up to {highest} hexadecimal, ahead or for nobody"
                ),
                next_step: "plan anew with a floor that is not below it, and destroy the lists that were not released; nothing was signed",
            }
            .into());
        }
    }
    let used = Used { number: number.to_string(), ceremony: ceremony.to_owned() };
    replace(&path, &serde_json::to_vec(&used)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N16: what was signed ahead is above all that comes after, though nobody has seen it.
    #[test]
    fn a_number_is_used_up_by_one_ceremony() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::of_ceremony(&folder.path().join("home")).unwrap();
        let key = SpkiHash::from_bytes([1; 32]);
        let uses = |number: u32, ceremony: &str| {
            use_up(&home, key, &CrlNumber::from(number), ceremony).map_err(|error| {
                let stopped = error.downcast_ref::<Stopped>().unwrap();
                assert_eq!((stopped.refusal.code(), stopped.refusal.exit_code()), ("R13", 17));
            })
        };
        for number in [4716, 4718, 4720, 4717, 4720] {
            assert_eq!(uses(number, "ahead"), Ok(()), "{number}");
        }
        for number in [1, 4715, 4717, 4720] {
            assert_eq!(uses(number, "emergency"), Err(()), "{number}");
        }
        assert_eq!(uses(4721, "emergency"), Ok(()));
        assert_eq!(uses(4720, "ahead"), Err(()), "it has ended");
        let other = SpkiHash::from_bytes([2; 32]);
        assert!(use_up(&home, other, &CrlNumber::from(1), "another key").is_ok());
        let path = home.join(&format!("state/crl-number-{other}.json"));
        std::fs::write(path, "{").unwrap();
        assert!(use_up(&home, other, &CrlNumber::from(2), "torn").is_err(), "nothing is guessed");
    }
}
