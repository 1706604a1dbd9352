//! From a certificate's status to its entry on the list.

use std::cmp::Ordering;

use status::CertificateStatus;
use x509::crl::RevokedEntry;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

/// An entry of a CRL, ordered by its serial's octets: shorter first, then octet by octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlEntry {
    revoked: RevokedEntry,
}

/// Which revoked certificates a list carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Unexpired ones and those that expired at `since` or later: the list says expiredCertsOnCRL with that time
    /// (CRL-10). The others go as under [`Self::UntilExpired`].
    KeepsExpired {
        /// What expiredCertsOnCRL says.
        since: UnixTime,
        /// As in [`Self::UntilExpired`].
        previous: Option<UnixTime>,
    },
    /// Unexpired ones, and expired ones until a regular list made after notAfter has carried them
    /// (CRL-09, RFC 5280 §3.3).
    UntilExpired {
        /// thisUpdate of the last regular list of this issuer and scope, if there is one.
        previous: Option<UnixTime>,
    },
}

impl Listing {
    /// Whether a certificate that ends then has no entry any more.
    fn has_dropped(self, not_after: UnixTime) -> bool {
        let (kept_since, previous) = match self {
            Self::KeepsExpired { since, previous } => (Some(since), previous),
            Self::UntilExpired { previous } => (None, previous),
        };
        kept_since.is_none_or(|since| not_after < since)
            && previous.is_some_and(|previous| previous > not_after)
    }
}

impl CrlEntry {
    /// The entry that a certificate has on a list, if it has one.
    ///
    /// On the list stand the revoked, the held (certificateHold), the voided (no reason) and, as
    /// certificateHold, those of answer class 1 that are not activated: the same that OCSP calls
    /// revoked, with the same date and reason (REV-08).
    #[must_use]
    pub fn of(serial: SerialNumber, status: &CertificateStatus, listing: Listing) -> Option<Self> {
        let shown = status.revocation()?;
        if listing.has_dropped(status.not_after) {
            return None;
        }
        Some(Self {
            revoked: RevokedEntry {
                serial,
                revocation_date: shown.time,
                reason: shown.reason,
                invalidity_date: shown.invalidity_date,
            },
        })
    }

    /// An entry that needs no status: the previous list has it, or people have approved it.
    #[must_use]
    pub const fn carried(revoked: RevokedEntry) -> Self {
        Self { revoked }
    }

    /// The certificate.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.revoked.serial
    }

    /// What is written.
    #[must_use]
    pub const fn revoked(&self) -> &RevokedEntry {
        &self.revoked
    }
}

impl From<RevokedEntry> for CrlEntry {
    fn from(revoked: RevokedEntry) -> Self {
        Self { revoked }
    }
}

impl Ord for CrlEntry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.serial().cmp(&other.serial())
    }
}

impl PartialOrd for CrlEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use status::{
        AfterExpiry, AnswerClasses, BeforeActivation, CertificateState, HeldFrom, RevocationReason,
    };
    use x509::crl::ReasonCode;

    use super::*;

    const ALWAYS: Listing = Listing::UntilExpired { previous: None };

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    fn status(state: CertificateState, before_activation: BeforeActivation) -> CertificateStatus {
        CertificateStatus {
            state,
            effective_time: at(1000),
            reason: None,
            invalidity_date: None,
            not_after: at(9000),
            classes: AnswerClasses { before_activation, after_expiry: AfterExpiry::Kept },
        }
    }

    fn listed(status: &CertificateStatus, listing: Listing) -> Option<Option<ReasonCode>> {
        CrlEntry::of(SerialNumber::from_random([1; 16]), status, listing)
            .map(|entry| entry.revoked().reason)
    }

    /// REV-04, REV-08: which states stand on the list, and as what.
    #[test]
    fn lists_held_voided_revoked_and_not_yet_activated_of_class_one() {
        use BeforeActivation::{Good, Held};
        use CertificateState::{Activated, Issued, Revoked, Voided};
        let held = CertificateState::Held(HeldFrom::Issued);
        let hold = Some(Some(ReasonCode::CertificateHold));
        for (state, class, expected) in [
            (Issued, Good, None),
            (Issued, Held, hold),
            (Activated, Good, None),
            (Activated, Held, None),
            (held, Good, hold),
            (Revoked, Good, Some(None)),
            (Voided, Good, Some(None)),
        ] {
            assert_eq!(listed(&status(state, class), ALWAYS), expected, "{state:?} {class:?}");
        }
        let compromised = CertificateStatus {
            reason: Some(RevocationReason::KeyCompromise),
            ..status(Revoked, Good)
        };
        assert_eq!(listed(&compromised, ALWAYS), Some(Some(ReasonCode::KeyCompromise)));
    }

    /// CRL-09: an entry stays until a regular list made after notAfter has carried it.
    #[test]
    fn an_expired_entry_stands_on_one_more_list() {
        let revoked = status(CertificateState::Revoked, BeforeActivation::Good);
        let after = |secs| Listing::UntilExpired { previous: Some(at(secs)) };

        assert_eq!(listed(&revoked, after(8000)), Some(None));
        assert_eq!(listed(&revoked, after(9000)), Some(None));
        assert_eq!(listed(&revoked, after(9001)), None);
    }

    /// CRL-10: what expired on the stated day or later stays for ever; what expired before goes its way.
    #[test]
    fn expired_entries_are_kept_from_the_stated_time_on() {
        let revoked = status(CertificateState::Revoked, BeforeActivation::Good);
        let keeps = |since, previous| Listing::KeepsExpired {
            since: at(since),
            previous: Some(at(previous)),
        };

        assert_eq!(listed(&revoked, keeps(9000, 1_000_000)), Some(None));
        assert_eq!(listed(&revoked, keeps(9001, 9001)), None);
        assert_eq!(listed(&revoked, keeps(9001, 9000)), Some(None));
    }
}
