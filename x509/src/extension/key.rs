//! Extensions about the key: what it may be used for, whether it is a CA's, and how it is found.

use super::ExtensionValue;
use crate::oid::{ObjectIdentifier, extension};
use crate::tlv::{self, Element, NotDer};

/// basicConstraints (RFC 5280 §4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BasicConstraints {
    /// cA FALSE, which is the DEFAULT and leaves `3000`.
    EndEntity,
    /// cA TRUE.
    Ca {
        /// How many CA certificates may follow in a path; `None` is no limit.
        path_len: Option<u8>,
    },
}

impl ExtensionValue for BasicConstraints {
    const OID: ObjectIdentifier = extension::BASIC_CONSTRAINTS;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let mut fields = Element::only(der, tlv::SEQUENCE)?.elements();
        let Some(ca) = fields.optional(tlv::BOOLEAN)? else {
            return fields.finish().map(|()| Self::EndEntity);
        };
        // A spelled-out DEFAULT is not DER.
        if !ca.boolean()? {
            return Err(NotDer);
        }
        let path_len =
            fields.optional(tlv::INTEGER)?.map(|length| length.small_integer()).transpose()?;
        fields.finish()?;
        Ok(Self::Ca { path_len })
    }

    fn to_value_der(&self) -> Vec<u8> {
        match self {
            Self::EndEntity => tlv::sequence(&[]),
            Self::Ca { path_len } => {
                let path_len = path_len.map(|length| tlv::integer(length.into()));
                tlv::sequence(&[&[tlv::BOOLEAN, 1, 0xff], path_len.as_deref().unwrap_or_default()])
            }
        }
    }
}

/// One purpose of keyUsage; the number is that of its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyUsageBit {
    /// digitalSignature (0).
    DigitalSignature = 0,
    /// nonRepudiation or contentCommitment (1).
    NonRepudiation = 1,
    /// keyEncipherment (2).
    KeyEncipherment = 2,
    /// dataEncipherment (3).
    DataEncipherment = 3,
    /// keyAgreement (4).
    KeyAgreement = 4,
    /// keyCertSign (5).
    KeyCertSign = 5,
    /// cRLSign (6).
    CrlSign = 6,
    /// encipherOnly (7).
    EncipherOnly = 7,
    /// decipherOnly (8).
    DecipherOnly = 8,
}

impl KeyUsageBit {
    /// All bits in their order.
    pub const ALL: [Self; 9] = [
        Self::DigitalSignature,
        Self::NonRepudiation,
        Self::KeyEncipherment,
        Self::DataEncipherment,
        Self::KeyAgreement,
        Self::KeyCertSign,
        Self::CrlSign,
        Self::EncipherOnly,
        Self::DecipherOnly,
    ];

    /// The name used in profiles and errors: the standard's own, such as `digitalSignature`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DigitalSignature => "digitalSignature",
            Self::NonRepudiation => "nonRepudiation",
            Self::KeyEncipherment => "keyEncipherment",
            Self::DataEncipherment => "dataEncipherment",
            Self::KeyAgreement => "keyAgreement",
            Self::KeyCertSign => "keyCertSign",
            Self::CrlSign => "cRLSign",
            Self::EncipherOnly => "encipherOnly",
            Self::DecipherOnly => "decipherOnly",
        }
    }

    /// The bit of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bit| bit.name() == name)
    }

    /// The bit in a big-endian 16-bit view of the BIT STRING, bit 0 being the highest.
    const fn mask(self) -> u16 {
        match self {
            Self::DigitalSignature => 0x8000,
            Self::NonRepudiation => 0x4000,
            Self::KeyEncipherment => 0x2000,
            Self::DataEncipherment => 0x1000,
            Self::KeyAgreement => 0x0800,
            Self::KeyCertSign => 0x0400,
            Self::CrlSign => 0x0200,
            Self::EncipherOnly => 0x0100,
            Self::DecipherOnly => 0x0080,
        }
    }
}

/// keyUsage (RFC 5280 §4.2.1.3): a set of purposes, written without trailing zero bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct KeyUsage {
    bits: u16,
}

impl KeyUsage {
    /// The set of these purposes. RFC 5280 §4.2.1.3 wants at least one in a certificate.
    #[must_use]
    pub fn of(bits: &[KeyUsageBit]) -> Self {
        Self { bits: bits.iter().fold(0, |set, bit| set | bit.mask()) }
    }

    /// Whether the purpose is in the set.
    #[must_use]
    pub const fn contains(self, bit: KeyUsageBit) -> bool {
        self.bits & bit.mask() != 0
    }

    /// Reads a BIT STRING whose trailing zero bits another operator wrote out.
    pub(crate) fn from_padded_der(der: &[u8]) -> Result<Self, NotDer> {
        let content = Element::only(der, tlv::BIT_STRING)?.content;
        match content {
            [0..=7, low] => Ok(Self { bits: u16::from_be_bytes([*low, 0]) }),
            [0..=7, low, high] => Ok(Self { bits: u16::from_be_bytes([*low, *high]) & 0xff80 }),
            _ => Err(NotDer),
        }
    }

    /// The purposes in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = KeyUsageBit> {
        KeyUsageBit::ALL.into_iter().filter(move |bit| self.contains(*bit))
    }
}

impl ExtensionValue for KeyUsage {
    const OID: ObjectIdentifier = extension::KEY_USAGE;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let bits = match Element::only(der, tlv::BIT_STRING)?.named_bits()? {
            [low] => u16::from_be_bytes([*low, 0]),
            [low, high @ 0x80] => u16::from_be_bytes([*low, *high]),
            _ => return Err(NotDer),
        };
        Ok(Self { bits })
    }

    fn to_value_der(&self) -> Vec<u8> {
        tlv::element(tlv::BIT_STRING, &[&tlv::named_bits_content(&self.bits.to_be_bytes())])
    }
}

/// extKeyUsage (RFC 5280 §4.2.1.12), in encoded order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExtendedKeyUsage(pub Vec<ObjectIdentifier>);

impl ExtensionValue for ExtendedKeyUsage {
    const OID: ObjectIdentifier = extension::EXTENDED_KEY_USAGE;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let mut elements = Element::only(der, tlv::SEQUENCE)?.elements();
        let mut purposes = vec![elements.any()?.oid()?];
        while !elements.is_empty() {
            purposes.push(elements.any()?.oid()?);
        }
        Ok(Self(purposes))
    }

    fn to_value_der(&self) -> Vec<u8> {
        let encoded: Vec<u8> = self.0.iter().flat_map(|purpose| tlv::oid(*purpose)).collect();
        tlv::sequence(&[&encoded])
    }
}

/// subjectKeyIdentifier (RFC 5280 §4.2.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubjectKeyIdentifier(pub Vec<u8>);

impl ExtensionValue for SubjectKeyIdentifier {
    const OID: ObjectIdentifier = extension::SUBJECT_KEY_IDENTIFIER;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        Ok(Self(Element::only(der, tlv::OCTET_STRING)?.content.to_vec()))
    }

    fn to_value_der(&self) -> Vec<u8> {
        tlv::element(tlv::OCTET_STRING, &[&self.0])
    }
}

/// authorityKeyIdentifier (RFC 5280 §4.2.1.1): the issuer's subject key identifier, copied and
/// never recomputed (PRO-14).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthorityKeyIdentifier {
    key_identifier: Option<Vec<u8>>,
    /// authorityCertIssuer and authorityCertSerialNumber of others, which we neither use nor write.
    others_der: Vec<u8>,
}

impl AuthorityKeyIdentifier {
    /// Names the issuer's key by the subject key identifier in the issuer's certificate.
    #[must_use]
    pub fn of(issuer: &SubjectKeyIdentifier) -> Self {
        Self { key_identifier: Some(issuer.0.clone()), others_der: Vec::new() }
    }

    /// The keyIdentifier.
    #[must_use]
    pub fn key_identifier(&self) -> Option<&[u8]> {
        self.key_identifier.as_deref()
    }

    /// Whether it also names the issuer's certificate by issuer and serial number.
    #[must_use]
    pub const fn names_certificate(&self) -> bool {
        !self.others_der.is_empty()
    }
}

impl ExtensionValue for AuthorityKeyIdentifier {
    const OID: ObjectIdentifier = extension::AUTHORITY_KEY_IDENTIFIER;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let mut fields = Element::only(der, tlv::SEQUENCE)?.elements();
        let key_identifier = fields.optional(tlv::context(0))?.map(|id| id.content.to_vec());
        let issuer = fields.optional(tlv::context_constructed(1))?;
        let serial = fields.optional(tlv::context(2))?;
        fields.finish()?;
        let others_der = match (issuer, serial) {
            (Some(issuer), Some(serial)) => {
                serial.integer_octets()?;
                [issuer.whole, serial.whole].concat()
            }
            (None, None) => Vec::new(),
            // RFC 5280 §4.2.1.1: both or neither.
            _ => return Err(NotDer),
        };
        Ok(Self { key_identifier, others_der })
    }

    fn to_value_der(&self) -> Vec<u8> {
        let key_identifier =
            self.key_identifier.as_ref().map(|id| tlv::element(tlv::context(0), &[id]));
        tlv::sequence(&[key_identifier.as_deref().unwrap_or_default(), &self.others_der])
    }
}

/// id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1): NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OcspNoCheck;

impl ExtensionValue for OcspNoCheck {
    const OID: ObjectIdentifier = extension::OCSP_NO_CHECK;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        if der == [tlv::NULL, 0] { Ok(Self) } else { Err(NotDer) }
    }

    fn to_value_der(&self) -> Vec<u8> {
        vec![tlv::NULL, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KeyUsageBit::{
        CrlSign, DecipherOnly, DigitalSignature, KeyCertSign, KeyEncipherment, NonRepudiation,
    };

    /// PRO-01: `basicConstraints` of an end entity is `3000`.
    #[test]
    fn writes_basic_constraints_without_defaults() {
        for (value, der) in [
            (BasicConstraints::EndEntity, &[0x30, 0][..]),
            (BasicConstraints::Ca { path_len: None }, &[0x30, 3, 1, 1, 0xff]),
            (BasicConstraints::Ca { path_len: Some(0) }, &[0x30, 6, 1, 1, 0xff, 2, 1, 0]),
            (BasicConstraints::Ca { path_len: Some(200) }, &[0x30, 7, 1, 1, 0xff, 2, 2, 0, 200]),
        ] {
            assert_eq!(value.to_value_der(), der);
            assert_eq!(BasicConstraints::from_value_der(der), Ok(value));
        }
    }

    /// PRO-01: spelled-out FALSE, and a path length without CA.
    #[test]
    fn refuses_basic_constraints_that_are_not_der() {
        for bad in [&[0x30, 3, 1, 1, 0][..], &[0x30, 3, 2, 1, 0], &[0x30, 3, 1, 1, 1], &[0x30, 1]] {
            assert_eq!(BasicConstraints::from_value_der(bad), Err(NotDer));
        }
    }

    /// PRO-01: a named bit string without trailing zeros, nine bits included.
    #[test]
    fn writes_key_usage_without_trailing_zeros() {
        for (bits, der) in [
            (&[KeyCertSign, CrlSign][..], &[3, 2, 1, 0x06][..]),
            (&[DigitalSignature, KeyEncipherment], &[3, 2, 5, 0xa0]),
            (&[NonRepudiation], &[3, 2, 6, 0x40]),
            (&[DecipherOnly], &[3, 3, 7, 0, 0x80]),
        ] {
            let usage = KeyUsage::of(bits);

            assert_eq!(usage.to_value_der(), der);
            assert_eq!(KeyUsage::from_value_der(der), Ok(usage));
            assert_eq!(usage.iter().collect::<Vec<_>>(), bits);
        }
    }

    /// PRO-01: wrong unused bits, no bit at all, and a tenth bit.
    #[test]
    fn refuses_key_usage_that_is_not_der() {
        for bad in [&[3, 2, 0, 0x06][..], &[3, 2, 7, 0x06], &[3, 1, 0], &[3, 3, 6, 0, 0x40]] {
            assert_eq!(KeyUsage::from_value_der(bad), Err(NotDer));
        }
    }

    /// PRO-14: the issuer's key identifier byte for byte, whatever its length.
    #[test]
    fn copies_the_key_identifier_of_the_issuer() {
        for octets in [0, 8, 20, 32] {
            let issuer = SubjectKeyIdentifier(vec![0xab; octets]);

            let authority = AuthorityKeyIdentifier::of(&issuer);

            assert_eq!(authority.key_identifier(), Some(issuer.0.as_slice()));
            assert_eq!(
                AuthorityKeyIdentifier::from_value_der(&authority.to_value_der()),
                Ok(authority)
            );
        }
    }

    #[test]
    fn refuses_an_authority_serial_number_without_its_issuer() {
        assert_eq!(AuthorityKeyIdentifier::from_value_der(&[0x30, 3, 0x82, 1, 1]), Err(NotDer));
    }

    #[test]
    fn refuses_an_empty_extended_key_usage() {
        assert_eq!(ExtendedKeyUsage::from_value_der(&[0x30, 0]), Err(NotDer));
    }
}
