//! Every way in which a certificate of another operator may fall short of what we would issue.

use std::fmt;

use thiserror::Error;

use super::Facts;
use crate::certificate::NameField;
use crate::extension::{
    self, AuthorityKeyIdentifier, BasicConstraints, CardNumber, CrlDistributionPoints,
    ExtensionValue as _, KeyUsage, SubjectKeyIdentifier,
};
use crate::key::{AlgorithmError, KeyType, PssError, SignatureAlgorithm};
use crate::name::{Name, NameFault};
use crate::oid::{self, ObjectIdentifier, attribute};
use crate::time::UnixTime;
use crate::time_der::TimeForm;
use crate::tlv;

/// One way in which a certificate falls short, with what was seen.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Defect {
    /// RFC 5280 §4.1.1.2: the same algorithm inside and outside.
    #[error("signature algorithm inside differs from the one outside")]
    AlgorithmsDiffer,
    /// basicConstraints of a CA is not critical (RFC 5280 §4.2.1.9).
    #[error("basicConstraints of a CA is not critical")]
    BasicConstraintsNotCritical,
    /// The card number is not made of digits; `NONE` has been seen.
    #[error("cardNumber is {text:?}, not digits")]
    CardNumberNotDigits {
        /// What stands there.
        text: String,
    },
    /// An RFC 4519 attribute that is legal in IA5String and that no profile of ours writes.
    #[error("{field} holds the domainComponent {text:?}")]
    DomainComponent {
        /// Which name.
        field: NameField,
        /// The component.
        text: String,
    },
    /// RFC 5280 §4.2: no more than one instance.
    #[error("extension {oid} stands there twice")]
    ExtensionTwice {
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// The value of an extension that we know is not DER of its type.
    #[error("value of extension {oid} is not the DER of its type")]
    ExtensionValue {
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// keyUsage of a CA is not critical (RFC 5280 §4.2.1.3).
    #[error("keyUsage of a CA is not critical")]
    KeyUsageNotCritical,
    /// keyUsage is a named bit list, whose trailing zero bits DER leaves away (X.690 §11.2.2).
    #[error("keyUsage spells out trailing zero bits")]
    KeyUsageTrailingZeros,
    /// Relying parties on the internet cannot fetch it.
    #[error("CRL distribution point is {uri}")]
    LdapCrl {
        /// The URI.
        uri: String,
    },
    /// RFC 5280 asks for it in a certificate of this kind.
    #[error("extension {oid} is missing")]
    MissingExtension {
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// An illegal string in one of the names.
    #[error("{field} has an illegal attribute: {fault}")]
    Name {
        /// Which name.
        field: NameField,
        /// What is illegal.
        fault: NameFault,
    },
    /// netscape-cert-type, obsolete since keyUsage and extKeyUsage exist.
    #[error("obsolete extension netscape-cert-type")]
    NetscapeCertType,
    /// RFC 5280 §4.1.2.2: positive and minimal.
    #[error("serial number is zero, negative or not minimal")]
    SerialNotPositive,
    /// Collisions of SHA-1 can be made.
    #[error("signed with SHA-1")]
    Sha1,
    /// A public exponent under 65537.
    #[error("RSA public exponent {exponent} is under 65537")]
    SmallRsaExponent {
        /// The exponent.
        exponent: u64,
    },
    /// An RSA modulus under 2048 bits.
    #[error("RSA modulus has {bits} bits")]
    SmallRsaKey {
        /// Its size.
        bits: u16,
    },
    /// X.690 §11.5: a DEFAULT value is left away.
    #[error("critical FALSE of extension {oid} is spelled out")]
    SpelledOutDefault {
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
    #[error("{field} {time} is not spelled as its year demands")]
    TimeSpelling {
        /// Which end.
        field: TimeField,
        /// The time.
        time: UnixTime,
    },
    /// RFC 5280 §4.1.2.8: must not be used.
    #[error("issuer or subject unique identifier")]
    UniqueId,
    /// A critical extension that has no type here.
    #[error("critical extension {oid} is not known")]
    UnknownCritical {
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// A key of a kind that we do not know, or not in strict DER.
    #[error("public key is not of a known kind")]
    UnknownKey,
    /// RSASSA-PSS with other parameters than ours (RFC 4055 §3.1).
    #[error("parameters of RSASSA-PSS: {fault}")]
    PssParameters {
        /// The field.
        fault: PssError,
    },
    /// A signature algorithm that we do not know.
    #[error("signature algorithm {oid} is not known")]
    UnknownSignatureAlgorithm {
        /// The algorithm.
        oid: ObjectIdentifier,
    },
    /// The end lies before the start.
    #[error("notAfter {not_after} is before notBefore {not_before}")]
    ValidityEmpty {
        /// The start.
        not_before: UnixTime,
        /// The end.
        not_after: UnixTime,
    },
    /// Extensions need version 3, and no other is issued today.
    #[error("version {version}")]
    Version {
        /// 1 for what stands there as 0 or not at all.
        version: u8,
    },
}

/// Which end of a validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeField {
    /// notAfter.
    NotAfter,
    /// notBefore.
    NotBefore,
}

impl fmt::Display for TimeField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAfter => "notAfter",
            Self::NotBefore => "notBefore",
        })
    }
}

/// All defects, in the order of the fields.
pub(super) fn all_of(facts: &Facts) -> Vec<Defect> {
    let mut defects = Vec::new();
    if facts.version != 3 {
        defects.push(Defect::Version { version: facts.version });
    }
    defects.extend(of_serial(facts));
    defects.extend(of_algorithm(facts));
    defects.extend(of_name(&facts.issuer, NameField::Issuer));
    defects.extend(of_times(facts));
    defects.extend(of_name(&facts.subject, NameField::Subject));
    defects.extend(of_key(facts));
    if facts.has_unique_id {
        defects.push(Defect::UniqueId);
    }
    defects.extend(of_extension_list(facts));
    defects.extend(of_extension_meaning(facts));
    defects
}

fn of_serial(facts: &Facts) -> Option<Defect> {
    let octets = facts.serial.as_octets();
    let negative = octets.first().is_some_and(|first| first & 0x80 != 0);
    (negative || octets == [0] || !facts.serial_is_minimal).then_some(Defect::SerialNotPositive)
}

fn of_algorithm(facts: &Facts) -> Vec<Defect> {
    let mut defects = Vec::new();
    let oid = facts.algorithm_oid;
    if oid == oid::signature::RSA_SHA1 {
        defects.push(Defect::Sha1);
    } else {
        match SignatureAlgorithm::read_identifier(&facts.inner_algorithm) {
            Ok(_) => {}
            Err(AlgorithmError::Pss(fault)) => defects.push(Defect::PssParameters { fault }),
            Err(_) => defects.push(Defect::UnknownSignatureAlgorithm { oid }),
        }
    }
    if facts.inner_algorithm != facts.outer_algorithm {
        defects.push(Defect::AlgorithmsDiffer);
    }
    defects
}

fn of_name(name: &Name, field: NameField) -> Vec<Defect> {
    let components = name
        .attributes()
        .filter(|found| found.oid() == attribute::DOMAIN_COMPONENT)
        .map(|found| Defect::DomainComponent { field, text: found.text() });
    let faults = name.faults().into_iter().map(|fault| Defect::Name { field, fault });
    components.chain(faults).collect()
}

fn of_times(facts: &Facts) -> Vec<Defect> {
    let ends = [(TimeField::NotBefore, facts.not_before), (TimeField::NotAfter, facts.not_after)];
    let mut defects: Vec<Defect> = ends
        .into_iter()
        .filter(|(_, (time, tag))| {
            let generalized = *tag == tlv::GENERALIZED_TIME;
            generalized != (TimeForm::of(*time) == TimeForm::Generalized)
        })
        .map(|(field, (time, _))| Defect::TimeSpelling { field, time })
        .collect();
    let (not_before, not_after) = (facts.not_before.0, facts.not_after.0);
    if not_after < not_before {
        defects.push(Defect::ValidityEmpty { not_before, not_after });
    }
    defects
}

fn of_key(facts: &Facts) -> Vec<Defect> {
    let Some(key) = &facts.public_key else { return vec![Defect::UnknownKey] };
    let mut defects = Vec::new();
    if let KeyType::Rsa { bits } = key.key_type()
        && bits < 2048
    {
        defects.push(Defect::SmallRsaKey { bits });
    }
    if let Some((_, exponent)) = key.rsa_parts()
        && exponent.len() <= 8
    {
        let exponent = exponent.iter().fold(0_u64, |sum, octet| (sum << 8) | u64::from(*octet));
        if exponent < 65_537 {
            defects.push(Defect::SmallRsaExponent { exponent });
        }
    }
    defects
}

/// Defects of the list itself and of single values.
fn of_extension_list(facts: &Facts) -> Vec<Defect> {
    let mut defects = Vec::new();
    for (position, found) in facts.extensions.iter().enumerate() {
        let oid = found.oid;
        if facts.spelled_out_defaults.contains(&oid) {
            defects.push(Defect::SpelledOutDefault { oid });
        }
        if facts.extensions.iter().take(position).any(|earlier| earlier.oid == oid) {
            defects.push(Defect::ExtensionTwice { oid });
        }
        if extension::check_known_values(std::slice::from_ref(found)).is_err() {
            let padded =
                oid == KeyUsage::OID && KeyUsage::from_padded_der(&found.value_der).is_ok();
            defects.push(if padded {
                Defect::KeyUsageTrailingZeros
            } else {
                Defect::ExtensionValue { oid }
            });
        }
        if found.critical && !extension::is_known(oid) {
            defects.push(Defect::UnknownCritical { oid });
        }
        if oid == oid::extension::NETSCAPE_CERT_TYPE {
            defects.push(Defect::NetscapeCertType);
        }
    }
    defects
}

/// Defects that show only from what the certificate is for.
fn of_extension_meaning(facts: &Facts) -> Vec<Defect> {
    let mut defects = Vec::new();
    let is_critical = |oid| facts.extensions.iter().any(|found| found.oid == oid && found.critical);
    let mut need = |present: bool, oid| {
        if !present {
            defects.push(Defect::MissingExtension { oid });
        }
    };
    let constraints: Option<BasicConstraints> = facts.extension();
    let is_ca = matches!(constraints, Some(BasicConstraints::Ca { .. }));
    let key_usage = facts.key_usage();
    let is_root = facts.issuer == facts.subject;
    if is_ca {
        need(key_usage.is_some(), oid::extension::KEY_USAGE);
        need(
            facts.extension::<SubjectKeyIdentifier>().is_some(),
            oid::extension::SUBJECT_KEY_IDENTIFIER,
        );
    }
    // RFC 5280 §4.2.1.1: only a self-signed CA may leave it away.
    need(
        is_root || facts.extension::<AuthorityKeyIdentifier>().is_some(),
        oid::extension::AUTHORITY_KEY_IDENTIFIER,
    );
    if is_ca && !is_critical(oid::extension::BASIC_CONSTRAINTS) {
        defects.push(Defect::BasicConstraintsNotCritical);
    }
    if is_ca && key_usage.is_some() && !is_critical(oid::extension::KEY_USAGE) {
        defects.push(Defect::KeyUsageNotCritical);
    }
    if let Some(points) = facts.extension::<CrlDistributionPoints>() {
        let ldap = points.uris().filter(|uri| uri.starts_with("ldap"));
        defects.extend(ldap.map(|uri| Defect::LdapCrl { uri: uri.to_owned() }));
    }
    if let Some(number) = facts.extension::<CardNumber>()
        && !number.as_str().bytes().all(|octet| octet.is_ascii_digit())
    {
        defects.push(Defect::CardNumberNotDigits { text: number.as_str().to_owned() });
    }
    defects
}
