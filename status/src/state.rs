//! The life of a certificate: which act is legal in which state (REV-03).
//!
//! `revoked` and `voided` are terminal: no act leads out of them. A reason that was given wrongly
//! can be corrected in a revoked certificate, which stays revoked at the time it was (REV-06).

use std::fmt;

use thiserror::Error;

/// Where a certificate stands. A serial number that the log does not know has no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateState {
    /// Issued, and not activated by its holder.
    Issued,
    /// Activated by its holder.
    Activated,
    /// On hold until it is released or revoked.
    Held(HeldFrom),
    /// Revoked for good.
    Revoked,
    /// Its issuing was begun and given up; the serial number is never used again.
    Voided,
}

/// What a release leads back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeldFrom {
    /// [`CertificateState::Issued`].
    Issued,
    /// [`CertificateState::Activated`].
    Activated,
}

impl CertificateState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Issued,
        Self::Activated,
        Self::Held(HeldFrom::Issued),
        Self::Held(HeldFrom::Activated),
        Self::Revoked,
        Self::Voided,
    ];
}

impl fmt::Display for CertificateState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Issued => "issued",
            Self::Activated => "activated",
            Self::Held(_) => "held",
            Self::Revoked => "revoked",
            Self::Voided => "voided",
        })
    }
}

/// What is done to a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// It has been signed and recorded.
    Issue,
    /// Its holder has taken it into use.
    Activate,
    /// It is suspended.
    Hold,
    /// The suspension ends.
    Release,
    /// It is revoked for good.
    Revoke,
    /// The reason or invalidity date of its revocation is corrected, the revocation time kept.
    CorrectReason,
    /// Its issuing is given up before it was recorded.
    Void,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 7] = [
        Self::Issue,
        Self::Activate,
        Self::Hold,
        Self::Release,
        Self::Revoke,
        Self::CorrectReason,
        Self::Void,
    ];
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Issue => "issue",
            Self::Activate => "activate",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Revoke => "revoke",
            Self::CorrectReason => "correct the reason of",
            Self::Void => "void",
        })
    }
}

/// Returns the state that `act` leads to; `state` is `None` for a serial that is not in the log.
///
/// # Errors
///
/// [`IllegalTransition`] if the act is not legal there. Nothing is legal twice: revoking what is
/// revoked is an error, so that success is never reported for an act that changed nothing.
pub fn transition(
    state: Option<CertificateState>,
    act: Act,
) -> Result<CertificateState, IllegalTransition> {
    use CertificateState::{Activated, Held, Issued, Revoked, Voided};

    match (state, act) {
        (None, Act::Issue) => Ok(Issued),
        (None, Act::Void) => Ok(Voided),
        (Some(Issued), Act::Activate) => Ok(Activated),
        (Some(Issued), Act::Hold) => Ok(Held(HeldFrom::Issued)),
        (Some(Activated), Act::Hold) => Ok(Held(HeldFrom::Activated)),
        (Some(Held(HeldFrom::Issued)), Act::Release) => Ok(Issued),
        (Some(Held(HeldFrom::Activated)), Act::Release) => Ok(Activated),
        (Some(Issued | Activated | Held(_)), Act::Revoke) => Ok(Revoked),
        (Some(Revoked), Act::CorrectReason) => Ok(Revoked),
        _ => Err(IllegalTransition { state, act }),
    }
}

/// The act is not legal in the state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot {act} a certificate that is {}", state.map_or("not issued".to_owned(), |s| s.to_string()))]
pub struct IllegalTransition {
    /// Where the certificate stands.
    pub state: Option<CertificateState>,
    /// What was asked.
    pub act: Act,
}

#[cfg(test)]
mod tests {
    use super::CertificateState::{Activated, Held, Issued, Revoked, Voided};
    use super::*;

    /// REV-03: the whole table, every pair of state and act.
    #[test]
    fn every_pair_of_state_and_act_is_decided() {
        let held = Held(HeldFrom::Issued);
        let suspended = Held(HeldFrom::Activated);
        let no = None;
        // Issue, Activate, Hold, Release, Revoke, CorrectReason, Void.
        let table = [
            (None, [Some(Issued), no, no, no, no, no, Some(Voided)]),
            (Some(Issued), [no, Some(Activated), Some(held), no, Some(Revoked), no, no]),
            (Some(Activated), [no, no, Some(suspended), no, Some(Revoked), no, no]),
            (Some(held), [no, no, no, Some(Issued), Some(Revoked), no, no]),
            (Some(suspended), [no, no, no, Some(Activated), Some(Revoked), no, no]),
            (Some(Revoked), [no, no, no, no, no, Some(Revoked), no]),
            (Some(Voided), [no; 7]),
        ];
        assert_eq!(table.len(), CertificateState::ALL.len() + 1);

        for (state, row) in table {
            for (act, expected) in Act::ALL.into_iter().zip(row) {
                let refused = IllegalTransition { state, act };
                assert_eq!(transition(state, act), expected.ok_or(refused), "{state:?} {act:?}");
            }
        }
    }

    /// REV-03: no sequence of acts leads out of revoked or voided.
    #[test]
    fn revoked_and_voided_are_terminal() {
        for terminal in [Revoked, Voided] {
            for act in Act::ALL {
                let next = transition(Some(terminal), act);
                assert!(next.is_err() || next == Ok(terminal), "{terminal} {act}");
            }
        }
    }

    #[test]
    fn a_refusal_names_act_and_state() {
        let refused = transition(Some(Revoked), Act::Release).unwrap_err();
        assert_eq!(refused.to_string(), "cannot release a certificate that is revoked");

        let refused = transition(None, Act::Revoke).unwrap_err();
        assert_eq!(refused.to_string(), "cannot revoke a certificate that is not issued");
    }
}
