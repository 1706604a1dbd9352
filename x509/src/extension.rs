//! Extensions of certificates and requests: one type for each that we write or act on. Those of CRLs
//! are streamed and live in [`crate::crl`].
//!
//! An [`Extension`] is what stands in the DER: an OID, a criticality and the value's bytes. An
//! [`ExtensionValue`] knows the one DER encoding of its value and reads no other. Nothing here adds,
//! drops or reorders extensions: the profile says which, how critical and in what order.

mod card;
mod distribution;
mod general_name;
mod key;
mod name_constraints;
mod policies;

use thiserror::Error;

pub use self::card::{CardNumber, CardNumberError};
pub use self::distribution::{
    AccessDescription, AuthorityInfoAccess, CrlDistributionPoints, DistributionPoint, FreshestCrl,
};
pub use self::general_name::{
    GeneralName, Ia5Text, SmtpUtf8Mailbox, SubjectAltName, TextError, UserPrincipalName,
};
pub use self::key::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsageBit, OcspNoCheck,
    SubjectKeyIdentifier,
};
pub use self::name_constraints::{NameConstraints, Subtree};
pub use self::policies::{CertificatePolicies, PolicyInformation, PolicyQualifier};
use crate::oid::ObjectIdentifier;
use crate::tlv::{self, Element, NotDer};

/// One extension as it stands in the DER (RFC 5280 §4.1.2.9).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Extension {
    /// extnID.
    pub oid: ObjectIdentifier,
    /// Whether a reader that does not know it must refuse the structure.
    pub critical: bool,
    /// The content of extnValue: the DER of the value.
    pub value_der: Vec<u8>,
}

/// Whether a reader that does not know an extension must refuse the structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Criticality {
    /// It must.
    Critical,
    /// It may read on.
    NonCritical,
}

/// A value that lives in an extension of its own.
pub trait ExtensionValue: Sized {
    /// The extension's extnID.
    const OID: ObjectIdentifier;

    /// Reads the one DER encoding of a value.
    ///
    /// # Errors
    ///
    /// [`NotDer`] for any other bytes.
    fn from_value_der(der: &[u8]) -> Result<Self, NotDer>;

    /// The DER of the value.
    fn to_value_der(&self) -> Vec<u8>;

    /// The value in an extension.
    fn extension(&self, criticality: Criticality) -> Extension {
        Extension {
            oid: Self::OID,
            critical: criticality == Criticality::Critical,
            value_der: self.to_value_der(),
        }
    }
}

impl Extension {
    /// The `SEQUENCE { extnID, critical DEFAULT FALSE, extnValue }`.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let critical: &[u8] = if self.critical { &[tlv::BOOLEAN, 1, 0xff] } else { &[] };
        let value = tlv::element(tlv::OCTET_STRING, &[&self.value_der]);
        tlv::sequence(&[&tlv::oid(self.oid), critical, &value])
    }

    /// The value as `T`; `None` when this is another extension.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::Value`] when the value is not the DER of a `T`.
    pub fn value<T: ExtensionValue>(&self) -> Result<Option<T>, ExtensionError> {
        if self.oid != T::OID {
            return Ok(None);
        }
        T::from_value_der(&self.value_der)
            .map(Some)
            .map_err(|_| ExtensionError::Value { oid: self.oid })
    }
}

/// The value of the extension `T` among these, if it is there.
///
/// # Errors
///
/// [`ExtensionError::Value`] when it is there and its value is not the DER of a `T`.
pub fn find<T: ExtensionValue>(extensions: &[Extension]) -> Result<Option<T>, ExtensionError> {
    extensions.iter().find(|extension| extension.oid == T::OID).map_or(Ok(None), Extension::value)
}

/// The `SEQUENCE OF Extension` of these, in this order.
#[must_use]
pub fn list_to_der(extensions: &[Extension]) -> Vec<u8> {
    let encoded: Vec<Vec<u8>> = extensions.iter().map(Extension::to_der).collect();
    let parts: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
    tlv::sequence(&parts)
}

/// Reads a `SEQUENCE SIZE (1..MAX) OF Extension`, whatever the extensions are.
///
/// # Errors
///
/// [`ExtensionError::NotDer`] when it is not, also when it is empty or a critical FALSE is spelled
/// out; [`ExtensionError::Duplicate`] when one OID stands twice (RFC 5280 §4.2).
pub fn list_from_der(der: &[u8]) -> Result<Vec<Extension>, ExtensionError> {
    let mut elements = Element::only(der, tlv::SEQUENCE)?.elements();
    let mut extensions: Vec<Extension> = Vec::new();
    loop {
        let mut fields = elements.tagged(tlv::SEQUENCE)?.elements();
        let oid = fields.tagged(tlv::OID)?.oid()?;
        let critical = match fields.optional(tlv::BOOLEAN)? {
            Some(element) if element.boolean()? => true,
            Some(_) => return Err(ExtensionError::NotDer),
            None => false,
        };
        let value_der = fields.tagged(tlv::OCTET_STRING)?.content.to_vec();
        fields.finish()?;
        if extensions.iter().any(|extension| extension.oid == oid) {
            return Err(ExtensionError::Duplicate { oid });
        }
        extensions.push(Extension { oid, critical, value_der });
        if elements.is_empty() {
            return Ok(extensions);
        }
    }
}

/// An extension that has a type here: its OID, and whether some bytes are the DER of its value.
type Known = (ObjectIdentifier, fn(&[u8]) -> bool);

const KNOWN: [Known; 13] = [
    known::<AuthorityInfoAccess>(),
    known::<AuthorityKeyIdentifier>(),
    known::<BasicConstraints>(),
    known::<CardNumber>(),
    known::<CertificatePolicies>(),
    known::<CrlDistributionPoints>(),
    known::<ExtendedKeyUsage>(),
    known::<FreshestCrl>(),
    known::<KeyUsage>(),
    known::<NameConstraints>(),
    known::<OcspNoCheck>(),
    known::<SubjectAltName>(),
    known::<SubjectKeyIdentifier>(),
];

const fn known<T: ExtensionValue>() -> Known {
    (T::OID, |der| T::from_value_der(der).is_ok())
}

/// Whether an extension has a type here.
pub(crate) fn is_known(oid: ObjectIdentifier) -> bool {
    KNOWN.iter().any(|(known, _)| *known == oid)
}

/// Reads the value of every extension that has a type here, to find the ones that are not DER.
///
/// # Errors
///
/// [`ExtensionError::Value`] with the first of them.
pub(crate) fn check_known_values(extensions: &[Extension]) -> Result<(), ExtensionError> {
    let refused = extensions.iter().find(|extension| {
        let known = KNOWN.iter().find(|(oid, _)| *oid == extension.oid);
        known.is_some_and(|(_, is_der)| !is_der(&extension.value_der))
    });
    refused.map_or(Ok(()), |extension| Err(ExtensionError::Value { oid: extension.oid }))
}

/// Why extensions were refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtensionError {
    /// RFC 5280 §4.2: no more than one instance of an extension.
    #[error("extension {oid} stands there twice")]
    Duplicate {
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// Not the DER of a list of extensions.
    #[error("extensions are not the DER of a non-empty list of extensions")]
    NotDer,
    /// The value is not the one DER encoding of its type.
    #[error("value of extension {oid} is not the DER of its type")]
    Value {
        /// The extension.
        oid: ObjectIdentifier,
    },
}

impl From<NotDer> for ExtensionError {
    fn from(_: NotDer) -> Self {
        Self::NotDer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_check(criticality: Criticality) -> Extension {
        OcspNoCheck.extension(criticality)
    }

    /// PRO-01: DEFAULT FALSE is left away.
    #[test]
    fn writes_critical_only_where_it_is_true() {
        let oid = [0x06, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 5];
        let value = [0x04, 2, 5, 0];

        let plain = no_check(Criticality::NonCritical).to_der();
        let critical = no_check(Criticality::Critical).to_der();

        assert_eq!(plain, [&[0x30, 15][..], &oid, &value].concat());
        assert_eq!(critical, [&[0x30, 18][..], &oid, &[1, 1, 0xff], &value].concat());
    }

    /// PRO-01: an explicit FALSE is BER.
    #[test]
    fn refuses_a_spelled_out_default() {
        let mut der = list_to_der(&[no_check(Criticality::Critical)]);
        let truth = der.iter().position(|octet| *octet == 0xff).unwrap();
        der[truth] = 0;

        assert_eq!(list_from_der(&der), Err(ExtensionError::NotDer));
    }

    #[test]
    fn refuses_an_empty_list_and_an_extension_twice() {
        let twice = [no_check(Criticality::Critical), no_check(Criticality::NonCritical)];

        assert_eq!(list_from_der(&[0x30, 0]), Err(ExtensionError::NotDer));
        assert_eq!(
            list_from_der(&list_to_der(&twice)),
            Err(ExtensionError::Duplicate { oid: OcspNoCheck::OID })
        );
    }

    #[test]
    fn keeps_unknown_extensions_and_their_order() {
        let unknown = Extension {
            oid: ObjectIdentifier::parse("2.999.1").unwrap(),
            critical: true,
            value_der: b"not even DER".to_vec(),
        };
        let list = [unknown, no_check(Criticality::NonCritical)];

        assert_eq!(list_from_der(&list_to_der(&list)).unwrap(), list);
        assert_eq!(check_known_values(&list), Ok(()));
    }

    #[test]
    fn names_the_known_extension_whose_value_is_wrong() {
        let wrong =
            Extension { oid: OcspNoCheck::OID, critical: false, value_der: vec![0x05, 0x01, 0x00] };

        assert_eq!(
            check_known_values(&[wrong]),
            Err(ExtensionError::Value { oid: OcspNoCheck::OID })
        );
    }
}
