//! What keeps a certificate from being of use, and how people are told of it: in plain Swedish and English, with the remedy.
//!
//! The responder's status page and the diagnosis of the API say the same of the same certificate, because both say this.

use x509::time::UnixTime;

use crate::reason::RevocationReason;
use crate::shown::{BeforeActivation, CertificateStatus};
use crate::state::CertificateState;

/// The same in the two languages that card administrators and their support read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// In Swedish.
    pub swedish: String,
    /// In English.
    pub english: String,
}

impl Told {
    fn new(swedish: impl Into<String>, english: impl Into<String>) -> Self {
        Self { swedish: swedish.into(), english: english.into() }
    }
}

/// A reason for which a login or a signature with a certificate, or with all that is on a carrier, fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It belongs to another environment.
    OtherEnvironment {
        /// Which.
        environment: String,
    },
    /// No CA that is answered for here has issued it.
    UnknownIssuer,
    /// It names one of our CAs, whose key has not signed it.
    Forged,
    /// The CA says nothing of this serial number.
    NeverIssued,
    /// Its issuing came to nothing.
    Voided,
    /// Revoked for good.
    Revoked {
        /// Since when.
        at: UnixTime,
        /// Why; `None` for unspecified.
        reason: Option<RevocationReason>,
    },
    /// Suspended.
    Held {
        /// Since when.
        since: UnixTime,
    },
    /// Its holder has not taken it into use.
    NotActivated,
    /// Its time has not come.
    NotYetValid {
        /// Its first second.
        from: UnixTime,
    },
    /// Its time is over.
    Expired {
        /// Its last second.
        at: UnixTime,
    },
    /// Of a lower trust level than is wanted.
    LowLevel {
        /// Its own.
        has: u8,
        /// The one wanted.
        wanted: u8,
    },
    /// No policy tells its trust level, and one is wanted.
    NoLevel {
        /// The one wanted.
        wanted: u8,
    },
    /// A level is wanted, and a serial number tells none: whether it fails is not known.
    LevelUntold {
        /// The one wanted.
        wanted: u8,
    },
    /// It signs documents, and somebody logs in.
    ForSignatures,
    /// It logs in, and somebody signs a document.
    ForLogins,
    /// It is for nothing that a person does: a machine's, a CA's.
    NotOfAPerson,
    /// The carrier is revoked, with all that is on it.
    CarrierRevoked {
        /// Since when.
        at: UnixTime,
    },
    /// There is no certificate for logins on the carrier, nor in the eID.
    NoLoginCertificate,
    /// There is no certificate for signatures on the carrier, nor in the eID.
    NoSignatureCertificate,
}

impl Obstacle {
    /// What the status log says against a certificate, the gravest first.
    #[must_use]
    pub fn of_status(status: &CertificateStatus, now: UnixTime) -> Vec<Self> {
        let mut obstacles = Vec::new();
        obstacles.extend(match status.state {
            CertificateState::Voided => Some(Self::Voided),
            CertificateState::Revoked => {
                Some(Self::Revoked { at: status.effective_time, reason: status.reason })
            }
            CertificateState::Held(_) => Some(Self::Held { since: status.effective_time }),
            CertificateState::Issued
                if status.classes.before_activation == BeforeActivation::Held =>
            {
                Some(Self::NotActivated)
            }
            CertificateState::Issued | CertificateState::Activated => None,
        });
        if now > status.not_after {
            obstacles.push(Self::Expired { at: status.not_after });
        }
        obstacles
    }

    /// What its trust level has against it, where one is wanted (*tillitsnivå*, 2 to 4).
    #[must_use]
    pub const fn of_level(has: Option<u8>, wanted: Option<u8>) -> Option<Self> {
        match (has, wanted) {
            (Some(has), Some(wanted)) if has < wanted => Some(Self::LowLevel { has, wanted }),
            (None, Some(wanted)) => Some(Self::NoLevel { wanted }),
            _ => None,
        }
    }

    /// Whether it fails for that: the certificate itself would show whether its level is enough.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        !matches!(self, Self::LevelUntold { .. })
    }

    /// A word for programs; it never changes.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherEnvironment { .. } => "other-environment",
            Self::UnknownIssuer => "unknown-issuer",
            Self::Forged => "forged",
            Self::NeverIssued => "never-issued",
            Self::Voided => "voided",
            Self::Revoked { .. } => "revoked",
            Self::Held { .. } => "held",
            Self::NotActivated => "not-activated",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::Expired { .. } => "expired",
            Self::LowLevel { .. } => "low-level",
            Self::NoLevel { .. } => "no-level",
            Self::LevelUntold { .. } => "level-untold",
            Self::ForSignatures => "for-signatures",
            Self::ForLogins => "for-logins",
            Self::NotOfAPerson => "not-of-a-person",
            Self::CarrierRevoked { .. } => "carrier-revoked",
            Self::NoLoginCertificate => "no-login-certificate",
            Self::NoSignatureCertificate => "no-signature-certificate",
        }
    }

    /// Why it fails: a sentence.
    #[must_use]
    pub fn reason(&self) -> Told {
        match self {
            Self::OtherEnvironment { environment } => Told::new(
                format!("Certifikatet hör till en annan miljö, {environment}."),
                format!("The certificate belongs to another environment, {environment}."),
            ),
            Self::UnknownIssuer => Told::new(
                "Ingen utfärdare som den här tjänsten svarar för har utfärdat certifikatet.",
                "No issuer that this service answers for has issued the certificate.",
            ),
            Self::Forged => Told::new(
                "Certifikatet uppger vår utfärdare, men är inte undertecknat av den: det är ändrat eller förfalskat.",
                "The certificate names our issuer, whose key has not signed it: it is altered or forged.",
            ),
            Self::NeverIssued => Told::new(
                "Utfärdaren har inget certifikat med det här serienumret.",
                "The issuer has no certificate of this serial number.",
            ),
            Self::Voided => Told::new(
                "Utfärdandet avbröts: certifikatet har aldrig lämnats ut och gäller inte.",
                "Its issuing was given up: the certificate was never handed out and does not hold.",
            ),
            Self::Revoked { at, reason } => {
                let (swedish, english) = because(*reason);
                Told::new(
                    format!("Certifikatet spärrades {at}{swedish}."),
                    format!("The certificate was revoked at {at}{english}."),
                )
            }
            Self::Held { since } => Told::new(
                format!("Certifikatet är tillfälligt spärrat sedan {since}."),
                format!("The certificate is on hold since {since}."),
            ),
            Self::NotActivated => Told::new(
                "Certifikatet är utfärdat men inte aktiverat.",
                "The certificate is issued but not activated.",
            ),
            Self::NotYetValid { from } => Told::new(
                format!("Certifikatet gäller först från {from}."),
                format!("The certificate does not hold before {from}."),
            ),
            Self::Expired { at } => Told::new(
                format!("Certifikatet gick ut {at}."),
                format!("The certificate expired at {at}."),
            ),
            Self::LowLevel { has, wanted } => Told::new(
                format!("Certifikatet har tillitsnivå {has}, och det krävs {wanted}."),
                format!("The certificate is of trust level {has}, and {wanted} is wanted."),
            ),
            Self::NoLevel { wanted } => Told::new(
                format!("Certifikatet har ingen tillitsnivå, och det krävs {wanted}."),
                format!("The certificate has no trust level, and {wanted} is wanted."),
            ),
            Self::LevelUntold { wanted } => Told::new(
                format!(
                    "Tillitsnivå {wanted} krävs; nivån står i certifikatet och visas inte av serienumret."
                ),
                format!(
                    "Trust level {wanted} is wanted; the level stands in the certificate, and its serial number does not tell."
                ),
            ),
            Self::ForSignatures => Told::new(
                "Certifikatet är för underskrift och kan inte användas för att logga in.",
                "The certificate is for signatures, and no login is possible with it.",
            ),
            Self::ForLogins => Told::new(
                "Certifikatet är för legitimering och kan inte användas för underskrift.",
                "The certificate is for logins, and signs no document.",
            ),
            Self::NotOfAPerson => Told::new(
                "Certifikatet är inte en persons: det är en funktions eller en utfärdares.",
                "The certificate is not a person's: it is a machine's or a CA's.",
            ),
            Self::CarrierRevoked { at } => Told::new(
                format!("Kortet eller enheten spärrades {at}, med allt som finns på det."),
                format!("The card or device was revoked at {at}, with all that is on it."),
            ),
            Self::NoLoginCertificate => Told::new(
                "Det finns inget certifikat för legitimering.",
                "There is no certificate for logins.",
            ),
            Self::NoSignatureCertificate => Told::new(
                "Det finns inget underskriftscertifikat.",
                "There is no certificate for signatures.",
            ),
        }
    }

    /// What to do: a sentence.
    #[must_use]
    pub fn remedy(&self) -> Told {
        match self {
            Self::OtherEnvironment { .. } => Told::new(
                "Använd ett kort för den miljö som du loggar in i.",
                "Use a card of the environment that you log in to.",
            ),
            Self::UnknownIssuer => Told::new(
                "Kontrollera miljö och kort; certifikatet kan vara en annan organisations.",
                "Look at environment and card; the certificate may be another organisation's.",
            ),
            Self::Forged => Told::new(
                "Lita inte på certifikatet; anmäl det till utfärdaren.",
                "Do not trust the certificate; tell its issuer.",
            ),
            Self::NeverIssued => Told::new(
                "Är det nyss utfärdat, försök igen om en minut.",
                "If it has just been issued, try again in a minute.",
            ),
            Self::Voided => Told::new("Beställ på nytt.", "Order anew."),
            Self::Revoked { .. } => Told::new(
                "En spärr hävs aldrig: beställ ett nytt.",
                "That is final: order a new one.",
            ),
            Self::Held { .. } => Told::new(
                "Den som spärrade det kan häva spärren.",
                "Whoever put it on hold can release it.",
            ),
            Self::NotActivated => Told::new(
                "Innehavaren ska kvittera och aktivera kortet först.",
                "Its holder acknowledges and activates the card first.",
            ),
            Self::NotYetValid { .. } => Told::new(
                "Vänta till dess; kontrollera också datorns klocka.",
                "Wait until then; look at the computer's clock, too.",
            ),
            Self::Expired { .. } => Told::new("Beställ ett nytt.", "Order a new one."),
            Self::LowLevel { .. } | Self::NoLevel { .. } => Told::new(
                "Använd en e-legitimation av den nivå som krävs, eller beställ en.",
                "Use an eID of the level that is wanted, or order one.",
            ),
            Self::LevelUntold { .. } => {
                Told::new("Visa certifikatet självt.", "Show the certificate itself.")
            }
            Self::ForSignatures => Told::new(
                "Välj certifikatet för legitimering på samma kort.",
                "Choose the certificate for logins on the same card.",
            ),
            Self::ForLogins => Told::new(
                "Välj underskriftscertifikatet på samma kort.",
                "Choose the certificate for signatures on the same card.",
            ),
            Self::NotOfAPerson => {
                Told::new("Använd en persons e-legitimation.", "Use the eID of a person.")
            }
            Self::CarrierRevoked { .. } => Told::new("Beställ ett nytt kort.", "Order a new card."),
            Self::NoLoginCertificate => Told::new(
                "Beställ en SITHS e-legitimation till kortet.",
                "Order an eID for the card.",
            ),
            Self::NoSignatureCertificate => Told::new(
                "Hämta underskriftscertifikatet till kortet först.",
                "Have the certificate for signatures put on the card first.",
            ),
        }
    }
}

/// As the end of a sentence.
const fn because(reason: Option<RevocationReason>) -> (&'static str, &'static str) {
    let Some(reason) = reason else { return ("", "") };
    match reason {
        RevocationReason::KeyCompromise => (
            ", för att nyckeln kan vara i orätta händer",
            ", because the key may be in other hands",
        ),
        RevocationReason::CaCompromise | RevocationReason::AaCompromise => {
            (", för att utfärdaren inte kan litas på", ", because the issuer cannot be relied on")
        }
        RevocationReason::AffiliationChanged => {
            (", för att uppgifterna har ändrats", ", because its details have changed")
        }
        RevocationReason::Superseded => {
            (", för att det har ersatts", ", because it has been replaced")
        }
        RevocationReason::CessationOfOperation => {
            (", för att det inte längre behövs", ", because it is no longer needed")
        }
        RevocationReason::PrivilegeWithdrawn => {
            (", för att en rättighet har dragits in", ", because a right was withdrawn")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::shown::{AfterExpiry, AnswerClasses};
    use crate::state::HeldFrom;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    fn all() -> Vec<Obstacle> {
        let reasons = RevocationReason::ALL.into_iter().map(Some).chain([None]);
        let mut all: Vec<Obstacle> =
            reasons.map(|reason| Obstacle::Revoked { at: at(1), reason }).collect();
        all.extend([
            Obstacle::OtherEnvironment { environment: "prod".to_owned() },
            Obstacle::UnknownIssuer,
            Obstacle::Forged,
            Obstacle::NeverIssued,
            Obstacle::Voided,
            Obstacle::Held { since: at(2) },
            Obstacle::NotActivated,
            Obstacle::NotYetValid { from: at(3) },
            Obstacle::Expired { at: at(4) },
            Obstacle::LowLevel { has: 2, wanted: 3 },
            Obstacle::NoLevel { wanted: 3 },
            Obstacle::LevelUntold { wanted: 3 },
            Obstacle::ForSignatures,
            Obstacle::ForLogins,
            Obstacle::NotOfAPerson,
            Obstacle::CarrierRevoked { at: at(5) },
            Obstacle::NoLoginCertificate,
            Obstacle::NoSignatureCertificate,
        ]);
        all
    }

    /// Each obstacle is told apart in both languages, each with a remedy, and no language stands in for the other.
    #[test]
    fn every_obstacle_is_told_in_both_languages_with_a_remedy() {
        let all = all();
        let reasons: Vec<Told> = all.iter().map(Obstacle::reason).collect();
        let swedish: BTreeSet<&str> = reasons.iter().map(|one| one.swedish.as_str()).collect();
        let english: BTreeSet<&str> = reasons.iter().map(|one| one.english.as_str()).collect();
        // An attribute authority and a CA that cannot be relied on mean the same to a holder.
        assert_eq!((swedish.len(), english.len()), (all.len() - 1, all.len() - 1));
        assert!(swedish.is_disjoint(&english));
        for one in &all {
            for text in [one.reason(), one.remedy()] {
                for text in [text.swedish, text.english] {
                    assert!(text.ends_with('.') && text.len() > 8, "{one:?}: {text}");
                }
            }
            assert_ne!(one.remedy().swedish, one.remedy().english);
        }
        let codes: BTreeSet<&str> = all.iter().map(Obstacle::code).collect();
        assert_eq!(codes.len(), all.len() - RevocationReason::ALL.len());
    }

    #[test]
    fn the_log_and_the_clock_tell_what_is_in_the_way() {
        let (since, end) = (at(100), at(1_000));
        let status = |state, before_activation| CertificateStatus {
            state,
            effective_time: since,
            reason: Some(RevocationReason::Superseded),
            invalidity_date: None,
            not_after: end,
            classes: AnswerClasses { before_activation, after_expiry: AfterExpiry::Kept },
        };
        let revoked = Obstacle::Revoked { at: since, reason: Some(RevocationReason::Superseded) };
        for (state, before, expected) in [
            (CertificateState::Issued, BeforeActivation::Good, vec![]),
            (CertificateState::Issued, BeforeActivation::Held, vec![Obstacle::NotActivated]),
            (CertificateState::Activated, BeforeActivation::Held, vec![]),
            (
                CertificateState::Held(HeldFrom::Activated),
                BeforeActivation::Good,
                vec![Obstacle::Held { since }],
            ),
            (CertificateState::Revoked, BeforeActivation::Good, vec![revoked]),
            (CertificateState::Voided, BeforeActivation::Good, vec![Obstacle::Voided]),
        ] {
            let status = status(state, before);
            assert_eq!(Obstacle::of_status(&status, end), expected, "{state}");
            let mut later = expected;
            later.push(Obstacle::Expired { at: end });
            assert_eq!(Obstacle::of_status(&status, at(1_001)), later, "{state}, later");
        }
    }

    #[test]
    fn a_level_below_the_wanted_one_is_in_the_way() {
        for (has, wanted, expected) in [
            (Some(2), Some(3), Some(Obstacle::LowLevel { has: 2, wanted: 3 })),
            (Some(3), Some(3), None),
            (Some(3), Some(2), None),
            (None, Some(2), Some(Obstacle::NoLevel { wanted: 2 })),
            (None, None, None),
            (Some(2), None, None),
        ] {
            assert_eq!(Obstacle::of_level(has, wanted), expected, "{has:?} {wanted:?}");
        }
    }
}
