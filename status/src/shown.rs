//! What the world is told about a certificate: the one rule behind OCSP answers and CRLs (REV-08).

use std::time::Duration;

use x509::crl::ReasonCode;
use x509::time::UnixTime;

use crate::reason::RevocationReason;
use crate::state::CertificateState;

/// How long after notAfter a certificate of class [`AfterExpiry::Unknown`] is still answered for.
pub const ANSWERED_AFTER_EXPIRY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What is answered before the holder has activated the certificate. Fixed at issuing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BeforeActivation {
    /// Class 0: good.
    Good,
    /// Class 1: revoked(certificateHold), in OCSP and on the CRL.
    Held,
}

/// What is answered once the certificate has expired. Fixed at issuing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AfterExpiry {
    /// Class 0: the last status, for ever.
    Kept,
    /// Class 1: unknown from [`ANSWERED_AFTER_EXPIRY`] after notAfter.
    Unknown,
}

/// The two answer classes of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AnswerClasses {
    /// Before activation.
    pub before_activation: BeforeActivation,
    /// After expiry.
    pub after_expiry: AfterExpiry,
}

impl AnswerClasses {
    /// Good from issuing, and the last status for ever: what a certificate has where nothing else is chosen.
    pub const USUAL: Self =
        Self { before_activation: BeforeActivation::Good, after_expiry: AfterExpiry::Kept };
}

/// All that the log says about one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateStatus {
    /// Where it stands.
    pub state: CertificateState,
    /// The effective time of the entry that brought it there.
    pub effective_time: UnixTime,
    /// Why it was revoked; `None` for unspecified and in every other state.
    pub reason: Option<RevocationReason>,
    /// Since when the key may have been in other hands, if that is known.
    pub invalidity_date: Option<UnixTime>,
    /// The last second of its validity.
    pub not_after: UnixTime,
    /// How it is answered for at the ends of its life.
    pub classes: AnswerClasses,
}

/// A revocation as CRL entries and OCSP answers show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownRevocation {
    /// revocationDate of the CRL, revocationTime of OCSP.
    pub time: UnixTime,
    /// Absent for unspecified.
    pub reason: Option<ReasonCode>,
    /// The invalidity date extension (RFC 5280 §5.3.2).
    pub invalidity_date: Option<UnixTime>,
}

/// What OCSP answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Issued and not revoked.
    Good,
    /// Revoked, on hold, voided, or not yet activated in class [`BeforeActivation::Held`].
    Revoked(ShownRevocation),
    /// Not issued by this CA, or expired in class [`AfterExpiry::Unknown`].
    Unknown,
}

impl CertificateStatus {
    /// Returns how the certificate is shown as revoked, or `None` if it is not.
    ///
    /// Full CRLs list exactly the certificates for which this is not `None` (and which have not
    /// expired), with these values; OCSP answers carry the same.
    #[must_use]
    pub fn revocation(&self) -> Option<ShownRevocation> {
        let reason = match (self.state, self.classes.before_activation) {
            (CertificateState::Issued, BeforeActivation::Good)
            | (CertificateState::Activated, _) => {
                return None;
            }
            (CertificateState::Issued, BeforeActivation::Held) | (CertificateState::Held(_), _) => {
                Some(ReasonCode::CertificateHold)
            }
            (CertificateState::Revoked, _) => self.reason.and_then(RevocationReason::shown),
            (CertificateState::Voided, _) => None,
        };
        let invalidity_date = self.invalidity_date;
        Some(ShownRevocation { time: self.effective_time, reason, invalidity_date })
    }

    /// Returns from when on it is unknown, which [`AfterExpiry::Kept`] never is.
    #[must_use]
    pub fn forgotten_from(&self) -> Option<UnixTime> {
        match self.classes.after_expiry {
            AfterExpiry::Kept => None,
            AfterExpiry::Unknown => self.not_after.checked_add(ANSWERED_AFTER_EXPIRY),
        }
    }

    /// Returns what OCSP answers at `now`.
    #[must_use]
    pub fn answer_at(&self, now: UnixTime) -> Answer {
        if self.forgotten_from().is_some_and(|from| now >= from) {
            return Answer::Unknown;
        }
        self.revocation().map_or(Answer::Good, Answer::Revoked)
    }

    /// Whether it has ended at `now`: expired, revoked or voided. Of what is on hold or good and has not expired something may still become.
    #[must_use]
    pub fn has_ended_at(&self, now: UnixTime) -> bool {
        matches!(self.state, CertificateState::Revoked | CertificateState::Voided)
            || self.not_after < now
    }
}
