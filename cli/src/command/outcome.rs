//! What a revocation, hold or release came to, in words: what is recorded, whatever was asked for.

use api::{CertificateState, EventReach, ReasonCode, StatusOutcome};

/// What the status is now, and what the call did to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) outcome: Option<StatusOutcome>,
    pub(crate) state: CertificateState,
    pub(crate) reason: Option<ReasonCode>,
    pub(crate) revoked_at: Option<&'a str>,
}

impl Told<'_> {
    /// One line; empty where no call changed anything.
    pub(crate) fn line(self) -> String {
        let at = self.revoked_at.unwrap_or("an unknown time");
        match (self.outcome, self.state) {
            (None, _) => String::new(),
            (Some(StatusOutcome::Changed), CertificateState::Held) => {
                "held; `sigill certificate release` ends it, or a revocation for good".to_owned()
            }
            (Some(StatusOutcome::Changed), _) => "changed".to_owned(),
            (Some(StatusOutcome::ReasonCorrected), _) => {
                format!("was already revoked at {at}; the reason is graver now, the date stays")
            }
            (Some(StatusOutcome::AlreadySo), CertificateState::Revoked) => {
                let reason = super::word(self.reason.or(Some(ReasonCode::Unspecified)));
                format!("was already revoked at {at}, reason {reason}; nothing changed")
            }
            (Some(StatusOutcome::AlreadySo), CertificateState::Held) => {
                format!("was already held at {at}; nothing changed")
            }
            (Some(StatusOutcome::AlreadySo), _) => "stood so already; nothing changed".to_owned(),
            (Some(StatusOutcome::AuthorityEnded), CertificateState::Revoked) => {
                format!("was already revoked at {at}; its authority has ended, the reason stays")
            }
            (Some(StatusOutcome::AuthorityEnded), _) => {
                "had expired before its authority ended; nothing changed".to_owned()
            }
        }
    }
}

/// What an event asks to be revoked beside the certificate of the call; empty where that is all.
pub(crate) const fn reach(reach: Option<EventReach>) -> &'static str {
    match reach {
        None | Some(EventReach::Certificate) => "",
        Some(EventReach::Eid) => "the other certificates of the same eID",
        Some(EventReach::Carrier) => {
            "every other certificate on the same carrier (sigill revoke --cards)"
        }
        Some(EventReach::HolderInOrganisation) => {
            "every other eID that the holder has in this organisation"
        }
        Some(EventReach::Holder) => "every other eID of the holder",
        Some(EventReach::Organisation) => "everything else of the organisation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(outcome: StatusOutcome, state: CertificateState, reason: Option<ReasonCode>) -> String {
        let revoked_at = Some("2026-11-22T02:46:39Z");
        Told { outcome: Some(outcome), state, reason, revoked_at }.line()
    }

    /// The reason that was asked for is not the one that stands.
    #[test]
    fn a_second_revocation_is_told_with_what_was_recorded_first() {
        let said = line(
            StatusOutcome::AlreadySo,
            CertificateState::Revoked,
            Some(ReasonCode::KeyCompromise),
        );
        let none = line(StatusOutcome::AlreadySo, CertificateState::Revoked, None);

        let at = "was already revoked at 2026-11-22T02:46:39Z, reason ";
        assert_eq!(said, format!("{at}keyCompromise; nothing changed"));
        assert_eq!(none, format!("{at}unspecified; nothing changed"));
    }

    #[test]
    fn a_hold_is_told_with_what_ends_it() {
        let said = line(StatusOutcome::Changed, CertificateState::Held, None);

        assert!(said.starts_with("held; `sigill certificate release`"), "{said}");
    }
}
