//! Which certificates may be revoked or held by whom, and for which reasons.
//!
//! The state machine (`status`) says what is possible after what; this says who may ask.

pub mod event;

use status::RevocationReason;

pub use self::event::BusinessEvent;

use crate::profile::ProfileKind;
use crate::refusal::Refusal;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revoker {
    /// A client of the API, for subscribers.
    Client,
    /// An operator of the PKI.
    Operator,
    /// The program itself, by a rule.
    Program,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RevocationWish {
    /// Revoked for good, with a reason or with none.
    Revoke(Option<RevocationReason>),
    /// Suspended (certificateHold).
    Hold,
    /// The suspension ends.
    Release,
}

/// Checks a wish. `kind` is that of the certificate's profile; `None` for an imported end-entity
/// certificate, which has no profile here and is treated as a person's.
/// What becomes of a revocation of what is revoked already, [`again`] says.
///
/// # Errors
///
/// A [`Refusal`]: CA certificates change status only with a CRL of their offline issuer; clients
/// revoke subscribers only; only persons' certificates are held (REV-04); cACompromise is for CA
/// certificates and aACompromise for none.
pub fn check(
    kind: Option<ProfileKind>,
    revoker: Revoker,
    wish: RevocationWish,
) -> Result<(), Refusal> {
    let subscriber = kind.is_none_or(ProfileKind::is_subscriber);
    if kind.is_some_and(ProfileKind::is_ca) {
        return Err(Refusal::new(
            "ca-revocation-offline",
            "certificates issued by an offline CA change status when its new CRL is imported",
            &"certificate of a CA",
            "a ceremony",
            "make a CRL in a ceremony with `sigill-ceremony` and import it with `sigill-ca import`",
        ));
    }
    if !subscriber && revoker == Revoker::Client {
        return Err(Refusal::new(
            "revocation-not-by-client",
            "clients revoke certificates of persons, functions, machines and blank cards",
            &kind.map_or_else(String::new, |kind| kind.to_string()),
            "person-authentication, person-signature, function, machine, card-transport",
            "ask an operator of the PKI",
        ));
    }
    match wish {
        RevocationWish::Hold if !kind.is_none_or(ProfileKind::is_person) => Err(Refusal::new(
            "hold-not-for-kind",
            "only certificates of persons are suspended (REV-04)",
            &kind.map_or_else(String::new, |kind| kind.to_string()),
            "person-authentication, person-signature",
            "revoke it with a reason, and issue a new one when needed",
        )),
        RevocationWish::Revoke(Some(
            reason @ (RevocationReason::CaCompromise | RevocationReason::AaCompromise),
        )) => Err(Refusal::new(
            "reason-not-for-kind",
            "cACompromise is for CA certificates, aACompromise for none of ours (REV-04)",
            &reason,
            "keyCompromise, affiliationChanged, superseded, cessationOfOperation, \
             privilegeWithdrawn or none",
            "give keyCompromise when the holder's key may be in other hands",
        )),
        RevocationWish::Hold | RevocationWish::Release | RevocationWish::Revoke(_) => Ok(()),
    }
}

/// What a second revocation of a revoked certificate comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Again {
    /// What is recorded stands: the reason is the same, none, lighter, or another of the same weight.
    Stands,
    /// It tells more than is recorded: the reason is corrected, the revocation date kept (REV-06).
    Corrects,
}

/// Judges a second revocation, which gives `asked`, of a certificate revoked for `recorded`.
///
/// A reason gives way only to a graver one: relying parties that treat `keyCompromise` apart (what was
/// signed before the revocation date is in doubt too) must learn of it, and must not unlearn it.
/// RFC 5280 §5.3.1 leaves this to the CA.
#[must_use]
pub fn again(recorded: Option<RevocationReason>, asked: Option<RevocationReason>) -> Again {
    let weight = |reason: Option<RevocationReason>| match reason {
        None => 0,
        Some(
            RevocationReason::AffiliationChanged
            | RevocationReason::Superseded
            | RevocationReason::CessationOfOperation
            | RevocationReason::PrivilegeWithdrawn,
        ) => 1,
        Some(
            RevocationReason::KeyCompromise
            | RevocationReason::CaCompromise
            | RevocationReason::AaCompromise,
        ) => 2,
    };
    if weight(asked) > weight(recorded) { Again::Corrects } else { Again::Stands }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REV-06: a reason gives way to a graver one only.
    #[test]
    fn a_recorded_reason_is_never_made_lighter() {
        use RevocationReason::{CaCompromise, KeyCompromise, PrivilegeWithdrawn, Superseded};

        for (recorded, asked, expected) in [
            (None, None, Again::Stands),
            (None, Some(Superseded), Again::Corrects),
            (None, Some(KeyCompromise), Again::Corrects),
            (Some(Superseded), Some(KeyCompromise), Again::Corrects),
            (Some(Superseded), None, Again::Stands),
            (Some(Superseded), Some(Superseded), Again::Stands),
            (Some(Superseded), Some(PrivilegeWithdrawn), Again::Stands),
            (Some(KeyCompromise), Some(Superseded), Again::Stands),
            (Some(KeyCompromise), None, Again::Stands),
            (Some(CaCompromise), Some(KeyCompromise), Again::Stands),
        ] {
            assert_eq!(again(recorded, asked), expected, "{recorded:?} {asked:?}");
        }
    }

    fn code(kind: Option<ProfileKind>, revoker: Revoker, wish: RevocationWish) -> &'static str {
        check(kind, revoker, wish).map_or_else(|refusal| refusal.code, |()| "allowed")
    }

    const PERSON: Option<ProfileKind> = Some(ProfileKind::PersonSignature);
    const FUNCTION: Option<ProfileKind> = Some(ProfileKind::Function);

    /// REV-04, as a table.
    #[test]
    fn refuses_the_wrong_wish_of_the_wrong_caller() {
        use RevocationReason::{AaCompromise, CaCompromise, KeyCompromise, Superseded};
        use RevocationWish::{Hold, Release, Revoke};
        use Revoker::{Client, Operator, Program};

        for (kind, revoker, wish, expected) in [
            (PERSON, Client, Revoke(Some(KeyCompromise)), "allowed"),
            (PERSON, Client, Revoke(None), "allowed"),
            (PERSON, Client, Hold, "allowed"),
            (PERSON, Client, Release, "allowed"),
            (None, Client, Hold, "allowed"),
            (None, Client, Revoke(Some(Superseded)), "allowed"),
            (FUNCTION, Client, Revoke(Some(Superseded)), "allowed"),
            (FUNCTION, Client, Hold, "hold-not-for-kind"),
            (Some(ProfileKind::Machine), Client, Revoke(Some(KeyCompromise)), "allowed"),
            (Some(ProfileKind::Machine), Client, Hold, "hold-not-for-kind"),
            (Some(ProfileKind::CardTransport), Client, Revoke(Some(Superseded)), "allowed"),
            (Some(ProfileKind::CardTransport), Client, Hold, "hold-not-for-kind"),
            (Some(ProfileKind::CrossCa), Operator, Revoke(None), "ca-revocation-offline"),
            (PERSON, Client, Revoke(Some(CaCompromise)), "reason-not-for-kind"),
            (PERSON, Operator, Revoke(Some(AaCompromise)), "reason-not-for-kind"),
            (Some(ProfileKind::ManagementClient), Client, Revoke(None), "revocation-not-by-client"),
            (Some(ProfileKind::ManagementClient), Operator, Revoke(None), "allowed"),
            (Some(ProfileKind::OcspResponder), Client, Revoke(None), "revocation-not-by-client"),
            (Some(ProfileKind::OcspResponder), Program, Revoke(None), "allowed"),
            (Some(ProfileKind::IssuingCa), Operator, Revoke(None), "ca-revocation-offline"),
            (Some(ProfileKind::RootCa), Program, Revoke(None), "ca-revocation-offline"),
        ] {
            assert_eq!(code(kind, revoker, wish), expected, "{kind:?} {revoker:?} {wish:?}");
        }
    }
}
