//! The holder's own eID as the proof of who he is (ISS-20): how an order names it, and what this CA knows of it.
//!
//! Whether it proves enough is for [`admit`](crate::admit::admit) to say. An order without one is no proof: that the holder
//! was seen to use it is the caller's word, but whose it is, at which trust level, and whether it holds, the CA's.

use sha2::{Digest as _, Sha256};
use status::{BeforeActivation, CertificateState, CertificateStatus};
use x509::oid::ObjectIdentifier;
use x509::pem::{self, Label, PemError};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::profile::ProfileName;

/// What a caller says of an eID, unchecked.
#[derive(Clone, Debug)]
pub enum EidText {
    /// Its certificate: PEM, or base64 of the DER.
    Certificate(String),
    /// Short name of its authority, and its serial number in hexadecimal.
    Serial(String, String),
}

/// How an order names an eID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EidName {
    /// By the SHA-256 of its certificate.
    Fingerprint([u8; 32]),
    /// By the short name of its authority, and its serial number.
    Serial(String, SerialNumber),
}

impl EidName {
    /// The name of the certificate in a PEM block, or in base64 of its DER.
    ///
    /// # Errors
    ///
    /// [`PemError`]: neither of both.
    pub fn of_certificate(text: &str) -> Result<Self, PemError> {
        let label = Label::Certificate;
        let der = if text.trim_ascii_start().starts_with("-----BEGIN") {
            pem::decode_one(text, label)?
        } else {
            pem::decode_one(
                &format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"),
                label,
            )?
        };
        Ok(Self::Fingerprint(Sha256::digest(der).into()))
    }
}

/// Whose an eID is, asked for the person of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EidHolder {
    /// The order's person.
    Same,
    /// Somebody else.
    Another,
    /// Nobody has said whose.
    Unknown,
}

/// How an eID stands in the status log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EidState {
    /// Its holder may use it.
    Active,
    /// It is suspended.
    Held,
    /// It is not answered for before its holder has activated it.
    NotActivated,
    /// It is revoked, for good.
    Revoked,
}

impl EidState {
    /// What a status comes to.
    #[must_use]
    pub fn of(status: &CertificateStatus) -> Self {
        let waits = status.classes.before_activation == BeforeActivation::Held;
        match status.state {
            CertificateState::Issued if waits => Self::NotActivated,
            CertificateState::Issued | CertificateState::Activated => Self::Active,
            CertificateState::Held(_) => Self::Held,
            CertificateState::Revoked | CertificateState::Voided => Self::Revoked,
        }
    }
}

/// What this CA knows of an eID that it has issued, or taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownEid {
    /// The profile; none of what was taken over.
    pub profile: Option<ProfileName>,
    /// The policy, which says at which level and on what it was issued; none of what was taken over.
    pub policy: Option<ObjectIdentifier>,
    /// Its first second.
    pub not_before: UnixTime,
    /// Its last second.
    pub not_after: UnixTime,
    /// How it stands.
    pub state: EidState,
    /// Since when it stands so: when it was issued, activated, held, released or revoked.
    pub since: UnixTime,
    /// Whose it is.
    pub holder: EidHolder,
}

impl KnownEid {
    /// The same as it stood when it was taken as a proof. For replays: what became of it since changes nothing.
    #[must_use]
    pub fn looking_back(self) -> Self {
        Self { state: EidState::Active, since: self.not_before, ..self }
    }
}

#[cfg(test)]
mod tests {
    use status::{AnswerClasses, HeldFrom};

    use super::*;
    use crate::testing::{NOW, at};

    /// ISS-20: only what the world is told to be good is active.
    #[test]
    fn an_eid_is_active_while_it_is_answered_for_as_good() {
        let state = |state, before_activation| {
            EidState::of(&CertificateStatus {
                state,
                effective_time: at(NOW),
                reason: None,
                invalidity_date: None,
                not_after: at(NOW),
                classes: AnswerClasses { before_activation, ..AnswerClasses::USUAL },
            })
        };
        use BeforeActivation::{Good, Held};

        assert_eq!(state(CertificateState::Issued, Good), EidState::Active);
        assert_eq!(state(CertificateState::Issued, Held), EidState::NotActivated);
        assert_eq!(state(CertificateState::Activated, Held), EidState::Active);
        assert_eq!(state(CertificateState::Held(HeldFrom::Activated), Good), EidState::Held);
        assert_eq!(state(CertificateState::Revoked, Good), EidState::Revoked);
        assert_eq!(state(CertificateState::Voided, Good), EidState::Revoked);
    }

    #[test]
    fn a_certificate_is_named_by_its_octets_however_it_is_sent() {
        let text = pem::encode(Label::Certificate, b"octets");
        let bare = text.lines().nth(1).unwrap();
        let named = EidName::of_certificate(&text).unwrap();

        assert_eq!(named, EidName::Fingerprint(Sha256::digest(b"octets").into()));
        assert_eq!(EidName::of_certificate(bare).unwrap(), named);
        assert!(EidName::of_certificate("no certificate!").is_err());
        assert!(EidName::of_certificate(&text.replace("CERTIFICATE", "X509 CRL")).is_err());
    }
}
