//! Why a certificate is revoked: the closed list (RFC 5280 §5.3.1).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use x509::crl::ReasonCode;

/// Why a certificate was revoked for good.
///
/// `unspecified` (0) is expressed by giving no reason, because it is never written; 7 does not
/// exist; `certificateHold` (6) is a state of its own and `removeFromCRL` (8) occurs in delta CRLs
/// only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RevocationReason {
    /// The private key is, or may be, in other hands.
    KeyCompromise,
    /// A CA's private key is, or may be, in other hands. For CA certificates only.
    CaCompromise,
    /// Name or organisation has changed.
    AffiliationChanged,
    /// Another certificate has taken its place.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// A right that it stood for was taken back.
    PrivilegeWithdrawn,
    /// An attribute authority is compromised. Met in imported entries; we neither give nor show it,
    /// since it is not for public-key certificates.
    AaCompromise,
}

/// Whose certificate a reason is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubjectKind {
    /// A CA's.
    Authority,
    /// Anybody else's.
    EndEntity,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// Returns the CRLReason that CRLs and OCSP answers show; none for `aACompromise`, which is not one of public-key certificates
    /// (REV-04), so that an imported entry that has it is shown as revoked, and a list with it is not refused by the linter.
    #[must_use]
    pub const fn shown(self) -> Option<ReasonCode> {
        match self {
            Self::AaCompromise => None,
            _ => Some(self.recorded()),
        }
    }

    /// What is recorded.
    const fn recorded(self) -> ReasonCode {
        match self {
            Self::KeyCompromise => ReasonCode::KeyCompromise,
            Self::CaCompromise => ReasonCode::CaCompromise,
            Self::AffiliationChanged => ReasonCode::AffiliationChanged,
            Self::Superseded => ReasonCode::Superseded,
            Self::CessationOfOperation => ReasonCode::CessationOfOperation,
            Self::PrivilegeWithdrawn => ReasonCode::PrivilegeWithdrawn,
            Self::AaCompromise => ReasonCode::AaCompromise,
        }
    }

    /// Returns the value of CRLReason: 1 to 5, 9 or 10.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.recorded().code()
    }

    /// Reads a value of CRLReason; `None` for every value that is not a reason to revoke for good.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Refuses a reason that we do not give to such a subject (REV-04).
    ///
    /// # Errors
    ///
    /// [`ReasonNotAllowed`] for `cACompromise` on any certificate but a CA's, and for
    /// `aACompromise` always.
    pub const fn allowed_for(self, subject: SubjectKind) -> Result<Self, ReasonNotAllowed> {
        match (self, subject) {
            (Self::AaCompromise, _) | (Self::CaCompromise, SubjectKind::EndEntity) => {
                Err(ReasonNotAllowed { reason: self })
            }
            _ => Ok(self),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }
}

impl fmt::Display for RevocationReason {
    /// Writes the name of RFC 5280, such as `keyCompromise`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RevocationReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(UnknownReason)
    }
}

/// The reason is not one that this subject's certificate can be revoked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason} is not a reason to revoke such a certificate")]
pub struct ReasonNotAllowed {
    reason: RevocationReason,
}

/// The text is not a reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a revocation reason of RFC 5280 §5.3.1")]
pub struct UnknownReason;

#[cfg(test)]
mod tests {
    use super::*;

    /// REV-04: 0 is never written, 6 is a state, 7 does not exist, 8 is for deltas.
    #[test]
    fn the_list_of_codes_is_closed() {
        let codes: Vec<u8> =
            (0..=u8::MAX).filter(|code| RevocationReason::from_code(*code).is_some()).collect();

        assert_eq!(codes, [1, 2, 3, 4, 5, 9, 10]);
    }

    #[test]
    fn every_reason_reads_back() {
        for reason in RevocationReason::ALL {
            assert_eq!(RevocationReason::from_code(reason.code()), Some(reason));
            assert_eq!(reason.to_string().parse(), Ok(reason));
        }
        assert_eq!("unspecified".parse::<RevocationReason>(), Err(UnknownReason));
        assert_eq!("KeyCompromise".parse::<RevocationReason>(), Err(UnknownReason));
    }

    /// REV-04: all are shown as they are, but for the one of attribute certificates, of which nothing is said.
    #[test]
    fn no_reason_of_attribute_certificates_is_shown() {
        for reason in RevocationReason::ALL {
            let shown = reason.shown().map(ReasonCode::code);
            let expected = Some(reason.code()).filter(|_| reason != RevocationReason::AaCompromise);
            assert_eq!(shown, expected, "{reason}");
        }
    }

    /// REV-04: cACompromise only for CA certificates, aACompromise never.
    #[test]
    fn refuses_reasons_that_belong_to_other_subjects() {
        for reason in RevocationReason::ALL {
            let authority = reason.allowed_for(SubjectKind::Authority).is_ok();
            let end_entity = reason.allowed_for(SubjectKind::EndEntity).is_ok();

            assert_eq!(authority, reason != RevocationReason::AaCompromise, "{reason}");
            assert_eq!(
                end_entity,
                authority && reason != RevocationReason::CaCompromise,
                "{reason}"
            );
        }
    }
}
