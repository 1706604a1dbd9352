//! Why a login or a signature fails with what a person has: of one certificate, and of all on a carrier or in an eID.
//!
//! What is in the way, and how it is told, is [`status::obstacle`]; here is which certificate is looked at for what.

use status::{CertificateStatus, Obstacle};
use x509::time::UnixTime;

use crate::profile::{ProfileKind, TrustLevel};

/// What a person does with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// Logs in (*legitimering*).
    Login,
    /// Signs a document (*underskrift*).
    Signature,
}

impl Use {
    /// For what certificates of this kind are; `None` for those that are no person's.
    #[must_use]
    pub const fn of(kind: ProfileKind) -> Option<Self> {
        match kind {
            ProfileKind::PersonAuthentication => Some(Self::Login),
            ProfileKind::PersonSignature => Some(Self::Signature),
            _ => None,
        }
    }
}

/// What somebody tries.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// To what end.
    pub to: Use,
    /// At which trust level at least; `None`: at any.
    pub level: Option<TrustLevel>,
}

/// A certificate as it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// What the log says of it.
    pub status: CertificateStatus,
    /// Its first second.
    pub not_before: UnixTime,
    /// For what it is.
    pub to: Option<Use>,
    /// Its trust level.
    pub level: Option<TrustLevel>,
}

impl Judged {
    /// What keeps this certificate from doing what is wanted, the gravest first; empty if nothing does that the CA knows of.
    #[must_use]
    pub fn obstacles(&self, wanted: Wanted, now: UnixTime) -> Vec<Obstacle> {
        let mut obstacles = Obstacle::of_status(&self.status, now);
        if now < self.not_before {
            obstacles.push(Obstacle::NotYetValid { from: self.not_before });
        }
        obstacles.extend(match (self.to, wanted.to) {
            (None, _) => Some(Obstacle::NotOfAPerson),
            (Some(Use::Signature), Use::Login) => Some(Obstacle::ForSignatures),
            (Some(Use::Login), Use::Signature) => Some(Obstacle::ForLogins),
            (Some(_), _) => None,
        });
        // A machine's certificate has no trust level, which is not what is wrong with it.
        let level = self.to.and_then(|_| {
            Obstacle::of_level(
                self.level.map(TrustLevel::number),
                wanted.level.map(TrustLevel::number),
            )
        });
        obstacles.extend(level);
        obstacles
    }
}

/// What keeps all of a carrier, or of an eID, from doing what is wanted; empty as soon as one certificate does it.
///
/// `revoked` is since when the carrier is. Certificates come oldest first. Where none does it, what is said is that of the youngest one for
/// this use: it is the one that its holder was given last.
#[must_use]
pub fn of_all(
    revoked: Option<UnixTime>,
    certificates: &[Judged],
    wanted: Wanted,
    now: UnixTime,
) -> Vec<Obstacle> {
    let fitting = || certificates.iter().filter(|one| one.to == Some(wanted.to));
    if fitting().any(|one| one.obstacles(wanted, now).is_empty()) {
        return Vec::new();
    }
    let of_carrier = revoked.map(|at| Obstacle::CarrierRevoked { at });
    let youngest = match fitting().next_back() {
        Some(youngest) => youngest.obstacles(wanted, now),
        None => vec![match wanted.to {
            Use::Login => Obstacle::NoLoginCertificate,
            Use::Signature => Obstacle::NoSignatureCertificate,
        }],
    };
    of_carrier.into_iter().chain(youngest).collect()
}

#[cfg(test)]
mod tests {
    use status::{AnswerClasses, CertificateState, HeldFrom};

    use super::*;

    const BEGINS: u64 = 1_790_000_000;
    const ENDS: u64 = BEGINS + 1_000;
    const LOGIN: Wanted = Wanted { to: Use::Login, level: None };
    const SIGNATURE: Wanted = Wanted { to: Use::Signature, level: None };

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    fn judged(to: Option<Use>, state: CertificateState) -> Judged {
        let status = CertificateStatus {
            state,
            effective_time: at(BEGINS),
            reason: None,
            invalidity_date: None,
            not_after: at(ENDS),
            classes: AnswerClasses::USUAL,
        };
        Judged { status, not_before: at(BEGINS), to, level: Some(TrustLevel::Loa2) }
    }

    const REVOKED: CertificateState = CertificateState::Revoked;
    const HELD: CertificateState = CertificateState::Held(HeldFrom::Activated);
    const ACTIVE: CertificateState = CertificateState::Activated;

    #[test]
    fn one_certificate_is_judged_by_log_clock_use_and_level() {
        let inside = at(BEGINS + 10);
        let three = Wanted { level: Some(TrustLevel::Loa3), ..LOGIN };
        let low = Obstacle::LowLevel { has: 2, wanted: 3 };
        let (login, signature) = (Some(Use::Login), Some(Use::Signature));
        for (to, state, wanted, now, expected) in [
            (login, ACTIVE, LOGIN, inside, vec![]),
            (signature, ACTIVE, SIGNATURE, inside, vec![]),
            (signature, ACTIVE, LOGIN, inside, vec![Obstacle::ForSignatures]),
            (login, ACTIVE, SIGNATURE, inside, vec![Obstacle::ForLogins]),
            (login, ACTIVE, three, inside, vec![low.clone()]),
            (None, ACTIVE, three, inside, vec![Obstacle::NotOfAPerson]),
            (login, HELD, three, inside, vec![Obstacle::Held { since: at(BEGINS) }, low]),
            (login, ACTIVE, LOGIN, at(ENDS), vec![]),
            (login, ACTIVE, LOGIN, at(ENDS + 1), vec![Obstacle::Expired { at: at(ENDS) }]),
            (
                login,
                ACTIVE,
                LOGIN,
                at(BEGINS - 1),
                vec![Obstacle::NotYetValid { from: at(BEGINS) }],
            ),
        ] {
            assert_eq!(judged(to, state).obstacles(wanted, now), expected, "{to:?} {state}");
        }
    }

    #[test]
    fn a_card_does_what_one_of_its_certificates_does() {
        let now = at(BEGINS + 10);
        let (login, signature) = (Some(Use::Login), Some(Use::Signature));
        let revoked = Obstacle::Revoked { at: at(BEGINS), reason: None };
        let carrier = Obstacle::CarrierRevoked { at: at(BEGINS + 5) };
        let old = judged(login, REVOKED);

        assert_eq!(of_all(None, &[old, judged(login, ACTIVE)], LOGIN, now), []);
        assert_eq!(of_all(None, &[judged(login, ACTIVE), old], LOGIN, now), []);
        let none = [Obstacle::NoSignatureCertificate];
        assert_eq!(of_all(None, &[judged(login, ACTIVE)], SIGNATURE, now), none);
        assert_eq!(
            of_all(None, &[judged(signature, ACTIVE)], LOGIN, now),
            [Obstacle::NoLoginCertificate]
        );
        assert_eq!(of_all(None, &[], LOGIN, now), [Obstacle::NoLoginCertificate]);
        let held = judged(login, HELD);
        assert_eq!(of_all(Some(at(BEGINS + 5)), &[old], LOGIN, now), [carrier, revoked.clone()]);
        // The youngest is told of, whatever stands with it.
        assert_eq!(of_all(None, &[held, old], LOGIN, now), vec![revoked]);
        assert_eq!(of_all(None, &[old, held], LOGIN, now), [Obstacle::Held { since: at(BEGINS) }]);
    }
}
