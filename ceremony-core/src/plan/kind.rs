//! The kinds of ceremony, and what each one needs.

use serde::Deserialize;

use super::people::Role;
use super::step::OperationName;
use crate::script::Language;

/// What a ceremony is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// C1: a root's key, certificate and first CRL.
    RootKey,
    /// C2: the key of an issuing CA and its request.
    IssuingKey,
    /// C3: the root signs an issuing CA.
    IssuingCertificate,
    /// C4: a responder's identity is enrolled.
    Responder,
    /// C4b: the root signs its OCSP delegates, with a CRL.
    RootDelegates,
    /// C5: the root signs CRLs.
    RootCrl,
    /// C6: a cross-certificate.
    CrossCertificate,
    /// C7: keys are destroyed.
    KeyDestruction,
}

/// Where it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// At a machine without a network.
    Offline,
    /// In the inner zone.
    Inner,
    /// Wherever the key is.
    OfTheKey,
}

/// How the independent person takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audit {
    /// Is in the room.
    Present,
    /// Reviews the whole recording later.
    Recording,
    /// Takes no part.
    None,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::RootKey,
        Self::IssuingKey,
        Self::IssuingCertificate,
        Self::Responder,
        Self::RootDelegates,
        Self::RootCrl,
        Self::CrossCertificate,
        Self::KeyDestruction,
    ];

    /// Its short name in the procedure, `C1` to `C7`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RootKey => "C1",
            Self::IssuingKey => "C2",
            Self::IssuingCertificate => "C3",
            Self::Responder => "C4",
            Self::RootDelegates => "C4b",
            Self::RootCrl => "C5",
            Self::CrossCertificate => "C6",
            Self::KeyDestruction => "C7",
        }
    }

    /// What it is for, for people.
    #[must_use]
    pub const fn title(self, language: Language) -> &'static str {
        let (swedish, english) = match self {
            Self::RootKey => ("Rotnyckel och rotcertifikat", "Root key and root certificate"),
            Self::IssuingKey => {
                ("Nyckel för utfärdande CA och begäran", "Key of an issuing CA and its request")
            }
            Self::IssuingCertificate => ("Signering av utfärdande CA", "Signing of an issuing CA"),
            Self::Responder => ("Inskrivning av OCSP-svarare", "Enrolment of an OCSP responder"),
            Self::RootDelegates => ("OCSP-delegater för roten", "OCSP delegates of the root"),
            Self::RootCrl => ("Rotens CRL", "CRL of the root"),
            Self::CrossCertificate => ("Korscertifikat", "Cross-certificate"),
            Self::KeyDestruction => ("Förstöring av nyckel", "Destruction of a key"),
        };
        match language {
            Language::Swedish => swedish,
            Language::English => english,
        }
    }

    /// Where it is held.
    #[must_use]
    pub const fn zone(self) -> Zone {
        match self {
            Self::RootKey
            | Self::IssuingCertificate
            | Self::RootDelegates
            | Self::RootCrl
            | Self::CrossCertificate => Zone::Offline,
            Self::IssuingKey | Self::Responder => Zone::Inner,
            Self::KeyDestruction => Zone::OfTheKey,
        }
    }

    /// Who must be there besides the administrator, and how many.
    #[must_use]
    pub const fn people(self) -> &'static [(Role, u8)] {
        const ROOT: &[(Role, u8)] = &[
            (Role::Administrator, 1),
            (Role::Custodian, 3),
            (Role::Operator, 1),
            (Role::Witness, 1),
            (Role::SecurityOfficer, 1),
        ];
        const ISSUING: &[(Role, u8)] = &[
            (Role::Administrator, 1),
            (Role::Custodian, 2),
            (Role::Operator, 1),
            (Role::Witness, 1),
            (Role::SecurityOfficer, 1),
        ];
        const RESPONDER: &[(Role, u8)] = &[
            (Role::Administrator, 1),
            (Role::Operator, 1),
            (Role::Witness, 1),
            (Role::SecurityOfficer, 1),
        ];
        match self {
            Self::RootKey
            | Self::IssuingCertificate
            | Self::RootDelegates
            | Self::RootCrl
            | Self::CrossCertificate
            | Self::KeyDestruction => ROOT,
            Self::IssuingKey => ISSUING,
            Self::Responder => RESPONDER,
        }
    }

    /// Whether the independent person may take part in this way. A root key is not made without him in the room.
    #[must_use]
    pub const fn allows(self, audit: Audit) -> bool {
        match self {
            Self::RootKey => matches!(audit, Audit::Present),
            Self::IssuingCertificate | Self::CrossCertificate | Self::KeyDestruction => {
                !matches!(audit, Audit::None)
            }
            Self::IssuingKey | Self::Responder | Self::RootDelegates | Self::RootCrl => true,
        }
    }

    /// The operations that it must have.
    #[must_use]
    pub const fn needs(self) -> &'static [OperationName] {
        use OperationName as Op;
        match self {
            Self::RootKey => &[Op::GenerateKey, Op::Certificate, Op::Crl],
            Self::IssuingKey => &[Op::GenerateKey, Op::Request],
            Self::IssuingCertificate | Self::CrossCertificate => &[Op::Certificate],
            Self::Responder => &[Op::GenerateKey, Op::Enrol],
            Self::RootDelegates => &[Op::Crl, Op::Delegate],
            Self::RootCrl => &[Op::Crl],
            Self::KeyDestruction => &[Op::Destroy],
        }
    }

    /// The operations that it may have.
    #[must_use]
    pub const fn takes(self) -> &'static [OperationName] {
        use OperationName as Op;
        match self {
            Self::RootKey => &[
                Op::Declare,
                Op::PrepareToken,
                Op::GenerateKey,
                Op::Certificate,
                Op::Crl,
                Op::Delegate,
                Op::Backup,
            ],
            Self::IssuingKey => {
                &[Op::Declare, Op::PrepareToken, Op::GenerateKey, Op::Request, Op::Backup]
            }
            Self::IssuingCertificate => &[Op::Declare, Op::Certificate],
            Self::Responder => &[Op::Declare, Op::PrepareToken, Op::GenerateKey, Op::Enrol],
            Self::RootDelegates => &[Op::Declare, Op::Crl, Op::Delegate],
            Self::RootCrl => &[Op::Declare, Op::Crl, Op::Delegate],
            Self::CrossCertificate => &[Op::Declare, Op::Certificate],
            Self::KeyDestruction => &[Op::Declare, Op::Destroy],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_takes_what_it_needs() {
        for kind in Kind::ALL {
            assert!(kind.needs().iter().all(|name| kind.takes().contains(name)), "{kind:?}");
        }
    }

    /// CER-05: a root is made in the presence of somebody independent.
    #[test]
    fn a_root_key_needs_an_independent_person_in_the_room() {
        assert!(Kind::RootKey.allows(Audit::Present));
        assert!(!Kind::RootKey.allows(Audit::Recording));
        assert!(!Kind::RootKey.allows(Audit::None));
        assert!(Kind::IssuingCertificate.allows(Audit::Recording));
        assert!(!Kind::IssuingCertificate.allows(Audit::None));
    }
}
