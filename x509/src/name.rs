//! Distinguished names that keep their bytes.
//!
//! A [`Name`] is the DER that was received or built, never re-encoded: the issuer field of what we
//! sign is a byte copy of the issuer's subject (PRO-15). New names are built by [`NameBuilder`],
//! one attribute per RDN, each with the string type that the standard asks for (PRO-02).

mod attribute_type;
mod text;

use std::fmt;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

pub use crate::name::attribute_type::{AttributeType, StringRule};
pub(crate) use crate::name::text::is_printable;
pub use crate::name::text::{NameFault, StringKind, attribute_name};
use crate::oid::ObjectIdentifier;
use crate::tlv::{self, Element, Elements, NotDer};

/// A distinguished name (RFC 5280 §4.1.2.4): exactly the DER that was received or built.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    der: Vec<u8>,
}

impl Name {
    /// Takes the DER of a Name whose strings are legal for their types.
    ///
    /// Lengths of strings are not judged: bounds are a matter of the profile and of lint.
    ///
    /// # Errors
    ///
    /// [`NameError::NotDer`] when it is not strict DER of a Name, [`NameError::Fault`] with the
    /// first illegal string, including NUL and control characters.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        let name = Self::from_foreign_der(der)?;
        name.faults().first().map_or(Ok(name.clone()), |fault| Err(NameError::Fault(*fault)))
    }

    /// Takes the DER of a Name whatever its strings hold, for certificates of other operators.
    ///
    /// # Errors
    ///
    /// [`NameError::NotDer`] when the structure is not a Name: SETs must not be empty, and several
    /// attributes in one must stand in DER order (X.690 §11.6).
    pub fn from_foreign_der(der: &[u8]) -> Result<Self, NameError> {
        let mut rdns = Element::only(der, tlv::SEQUENCE)?.elements();
        while !rdns.is_empty() {
            let mut attributes = rdns.tagged(tlv::SET)?.elements();
            let mut previous: Option<&[u8]> = None;
            loop {
                let attribute = attributes.tagged(tlv::SEQUENCE)?;
                if previous.is_some_and(|previous| previous >= attribute.whole) {
                    return Err(NameError::NotDer);
                }
                NameAttribute::of(&attribute)?;
                previous = Some(attribute.whole);
                if attributes.is_empty() {
                    break;
                }
            }
        }
        Ok(Self { der: der.to_vec() })
    }

    /// Starts a new name.
    pub const fn builder() -> NameBuilder {
        NameBuilder { rdns: Vec::new() }
    }

    /// The DER, byte for byte.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Whether it holds no attribute at all (`3000`).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes().next().is_none()
    }

    /// The attributes in encoded order; those of one RDN follow each other.
    pub fn attributes(&self) -> impl Iterator<Item = NameAttribute<'_>> {
        self.rdns().flatten()
    }

    /// The relative distinguished names in encoded order, each with its attributes.
    pub fn rdns(&self) -> impl Iterator<Item = Vec<NameAttribute<'_>>> {
        let content = Element::only(&self.der, tlv::SEQUENCE).map_or(&[][..], |name| name.content);
        let mut rdns = Elements::of(content);
        std::iter::from_fn(move || {
            let mut elements = rdns.tagged(tlv::SET).ok()?.elements();
            let mut attributes = Vec::new();
            while let Ok(element) = elements.any() {
                attributes.push(NameAttribute::of(&element).ok()?);
            }
            Some(attributes)
        })
    }

    /// The text of the first attribute of this type.
    #[must_use]
    pub fn text_of(&self, oid: ObjectIdentifier) -> Option<String> {
        self.attributes().find(|attribute| attribute.oid == oid).map(|found| found.text())
    }

    /// All that is illegal in the strings of this name, in encoded order.
    #[must_use]
    pub fn faults(&self) -> Vec<NameFault> {
        self.attributes().filter_map(|attribute| text::fault_of(&attribute)).collect()
    }

    /// SHA-1 of the DER: the issuerNameHash of a SHA-1 CertID (RFC 6960 §4.1.1).
    #[must_use]
    pub fn sha1(&self) -> [u8; 20] {
        sha1::Sha1::digest(&self.der).into()
    }

    /// SHA-256 of the DER: the issuerNameHash of a SHA-256 CertID.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }
}

impl fmt::Display for Name {
    /// The string form of RFC 4514: the last RDN first, types by their registered short names,
    /// unknown types as OIDs with the value in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rdns: Vec<_> = self.rdns().collect();
        for (position, rdn) in rdns.iter().rev().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            for (position, attribute) in rdn.iter().enumerate() {
                if position > 0 {
                    f.write_str("+")?;
                }
                write!(f, "{attribute}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// One attribute of a name as it stands in the DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAttribute<'a> {
    oid: ObjectIdentifier,
    kind: StringKind,
    value: &'a [u8],
    value_der: &'a [u8],
}

impl<'a> NameAttribute<'a> {
    fn of(element: &Element<'a>) -> Result<Self, NotDer> {
        let mut fields = element.elements();
        let oid = fields.tagged(tlv::OID)?.oid()?;
        let value = fields.any()?;
        fields.finish()?;
        Ok(Self {
            oid,
            kind: StringKind::of_tag(value.tag),
            value: value.content,
            value_der: value.whole,
        })
    }

    /// The attribute's type.
    #[must_use]
    pub const fn oid(&self) -> ObjectIdentifier {
        self.oid
    }

    /// The string type of the value.
    #[must_use]
    pub const fn kind(&self) -> StringKind {
        self.kind
    }

    /// The value's content octets.
    #[must_use]
    pub const fn value_bytes(&self) -> &'a [u8] {
        self.value
    }

    /// The value's whole DER.
    #[must_use]
    pub const fn value_der(&self) -> &'a [u8] {
        self.value_der
    }

    /// The value as text; octets that mean no character in its string type become U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        text::lossy(self.kind, self.value)
    }
}

impl fmt::Display for NameAttribute<'_> {
    /// `type=value` of RFC 4514.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (text::short_name(self.oid), self.kind) {
            (Some(name), kind) if !matches!(kind, StringKind::Other(_)) => {
                write!(f, "{name}={}", text::escaped(&self.text()))
            }
            (name, _) => {
                match name {
                    Some(name) => write!(f, "{name}=#")?,
                    None => write!(f, "{}=#", self.oid)?,
                }
                self.value_der.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

/// Builds a name, one attribute per RDN, in the order of the calls.
#[derive(Clone, Debug)]
#[must_use]
pub struct NameBuilder {
    rdns: Vec<u8>,
}

impl NameBuilder {
    /// Appends an RDN with this one attribute.
    ///
    /// The text goes in as it is: not trimmed, not normalised, not re-cased.
    ///
    /// # Errors
    ///
    /// [`NameError::Fault`] for an empty text, NUL and control characters, characters outside the
    /// string type's alphabet and a country that is not two upper-case letters;
    /// [`NameError::TooLong`] past [`AttributeType::max_characters`].
    pub fn with(self, attribute: AttributeType, text: &str) -> Result<Self, NameError> {
        self.with_string(attribute, StringRule::Standard, text)
    }

    /// The same, with the string type that `rule` chooses.
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with).
    pub fn with_string(
        mut self,
        attribute: AttributeType,
        rule: StringRule,
        text: &str,
    ) -> Result<Self, NameError> {
        let kind = rule.kind(attribute, text);
        let value = tlv::element(kind.tag(), &[text.as_bytes()]);
        let found =
            NameAttribute { oid: attribute.oid(), kind, value: text.as_bytes(), value_der: &value };
        if let Some(fault) = text::fault_of(&found) {
            return Err(NameError::Fault(fault));
        }
        let characters = text.chars().count();
        if let Some(limit) = attribute.max_characters().filter(|limit| characters > *limit) {
            return Err(NameError::TooLong { attribute, characters, limit });
        }
        let pair = tlv::sequence(&[&tlv::oid(attribute.oid()), &value]);
        self.rdns.extend_from_slice(&tlv::element(tlv::SET, &[&pair]));
        Ok(self)
    }

    /// The finished name; empty (`3000`) when nothing was appended.
    #[must_use]
    pub fn build(self) -> Name {
        Name { der: tlv::sequence(&[&self.rdns]) }
    }
}

/// Why bytes or texts are not a name.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// A string is illegal for its type.
    #[error("illegal attribute in the name")]
    Fault(#[source] NameFault),
    /// Not the structure or not the one DER encoding of a Name (RFC 5280 §4.1.2.4).
    #[error("not the DER of a distinguished name")]
    NotDer,
    /// Past the upper bound of RFC 5280 Appendix A.1.
    #[error("{attribute} has {characters} characters; allowed are {limit}")]
    TooLong {
        /// The attribute.
        attribute: AttributeType,
        /// How many characters it has.
        characters: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Not an attribute type that we put into names.
    #[error("not the name of an attribute type that is put into names")]
    UnknownType,
}

impl From<NotDer> for NameError {
    fn from(_: NotDer) -> Self {
        Self::NotDer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oid::attribute;
    use AttributeType::{CommonName, Country, DnQualifier, Locality, Organization, SerialNumber};

    fn of(attributes: &[(AttributeType, &str)]) -> Result<Name, NameError> {
        attributes
            .iter()
            .try_fold(Name::builder(), |name, (kind, text)| name.with(*kind, text))
            .map(NameBuilder::build)
    }

    fn person() -> Name {
        of(&[
            (Country, "SE"),
            (Locality, "Skåne län"),
            (Organization, "Sigill Test"),
            (CommonName, "Åsa Öberg"),
            (SerialNumber, "TST2321000016-1002"),
        ])
        .unwrap()
    }

    /// PRO-02: countryName, serialNumber and dnQualifier PrintableString, the rest UTF8String.
    #[test]
    fn writes_the_string_type_that_the_standard_asks_for() {
        for attribute in AttributeType::ALL {
            let text = if attribute == Country { "SE" } else { "A1" };

            let name = of(&[(attribute, text)]).unwrap();

            let expected = match attribute {
                Country | SerialNumber | DnQualifier => StringKind::Printable,
                _ => StringKind::Utf8,
            };
            assert_eq!(name.attributes().next().unwrap().kind(), expected, "{attribute}");
        }
    }

    /// PRO-02: as the real function certificates of 2025: PrintableString where its alphabet is enough.
    #[test]
    fn writes_printable_strings_where_the_alphabet_allows() {
        for (text, expected) in [
            ("Inera AB", StringKind::Printable),
            ("idp.example.org", StringKind::Printable),
            ("Region Örebro län", StringKind::Utf8),
            ("Sigill & Co", StringKind::Utf8),
            ("*.example.org", StringKind::Utf8),
        ] {
            for attribute in [Organization, Locality, CommonName] {
                let name = Name::builder()
                    .with_string(attribute, StringRule::PrintableOrUtf8, text)
                    .unwrap()
                    .build();

                let found = name.attributes().next().unwrap();
                assert_eq!((found.kind(), found.text().as_str()), (expected, text));
                assert_eq!(Name::from_der(name.as_der()), Ok(name.clone()));
            }
        }
        let rule = StringRule::PrintableOrUtf8;
        assert!(Name::builder().with_string(Organization, rule, "").is_err());
        assert!(Name::builder().with_string(SerialNumber, rule, "SEÅ").is_err());
    }

    /// PRO-01, PRO-02: exact bytes.
    #[test]
    fn writes_one_attribute_per_rdn_in_the_order_given() {
        let name = of(&[(Country, "SE"), (CommonName, "Å")]).unwrap();

        assert_eq!(
            name.as_der(),
            b"\x30\x1a\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02SE\
              \x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02\xc3\x85"
        );
        assert_eq!(Name::from_der(name.as_der()), Ok(name));
    }

    #[test]
    fn prints_the_form_of_rfc_4514() {
        assert_eq!(
            person().to_string(),
            "serialNumber=TST2321000016-1002,CN=Åsa Öberg,O=Sigill Test,L=Skåne län,C=SE"
        );
        let odd = of(&[(CommonName, "#a,b+c\"d\\e<f>g;h "), (Organization, " x")]).unwrap();
        assert_eq!(odd.to_string(), r#"O=\ x,CN=\#a\,b\+c\"d\\e\<f\>g\;h\ "#);
    }

    /// PRO-02: Swedish, Sami and foreign names are encoded, never mangled; NFD stays NFD.
    #[test]
    fn keeps_names_of_every_language_as_given() {
        for text in
            ["Åke Ärlig", "Máhtte Ŋávdi", "Đorđe Kovać", "O'Neill-Ő", "A\u{30a}sa", "👩‍⚕️", "שרה"]
        {
            let name = of(&[(CommonName, text)]).unwrap();

            assert_eq!(name.text_of(attribute::COMMON_NAME).unwrap(), text);
        }
    }

    /// PRO-02: refused, never mangled.
    #[test]
    fn refuses_hostile_text() {
        for text in [
            "",
            "a\0b",
            "a\nb",
            "a\r",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{202e}b",
            "a\u{fffd}",
            "\u{feff}a",
        ] {
            let refused = of(&[(CommonName, text)]);

            assert!(matches!(refused, Err(NameError::Fault(_))), "{text:?}");
        }
    }

    /// PRO-02: an HSA-id with an illegal character is refused.
    #[test]
    fn refuses_characters_outside_the_printable_alphabet() {
        for (attribute, text, character) in [
            (SerialNumber, "T_SERVICES_SE165565594230-1054", '_'),
            (SerialNumber, "TST@1", '@'),
            (SerialNumber, "SEÅ", 'Å'),
            (DnQualifier, "a*b", '*'),
        ] {
            assert_eq!(
                of(&[(attribute, text)]),
                Err(NameError::Fault(NameFault::IllegalCharacter {
                    attribute: attribute.oid(),
                    kind: StringKind::Printable,
                    character,
                }))
            );
        }
    }

    #[test]
    fn refuses_a_country_that_is_not_two_upper_case_letters() {
        for text in ["se", "SWE", "S", "S1", ""] {
            assert!(matches!(of(&[(Country, text)]), Err(NameError::Fault(_))), "{text}");
        }
    }

    /// RFC 5280 Appendix A.1: bounds count characters, not octets.
    #[test]
    fn refuses_one_character_more_than_the_bound() {
        for attribute in AttributeType::ALL {
            let Some(limit) = attribute.max_characters().filter(|limit| *limit > 2) else {
                continue;
            };
            let letter = if attribute.kind() == StringKind::Utf8 { "å" } else { "a" };

            assert!(of(&[(attribute, &letter.repeat(limit))]).is_ok(), "{attribute}");
            assert_eq!(
                of(&[(attribute, &letter.repeat(limit + 1))]),
                Err(NameError::TooLong { attribute, characters: limit + 1, limit })
            );
        }
    }

    /// PRO-15: the bytes stay, also those of a name that we would never build.
    #[test]
    fn keeps_teletex_and_multi_valued_rdns_of_others() {
        let teletex = b"\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x14\x04\xc5sa!";
        let multi = b"\x30\x1a\x31\x18\x30\x0a\x06\x03\x55\x04\x03\x0c\x03abc\x30\x0a\x06\x03\x55\x04\x04\x0c\x03abc";

        assert_eq!(Name::from_der(teletex).unwrap().as_der(), teletex);
        assert_eq!(Name::from_der(teletex).unwrap().to_string(), "CN=Åsa!");
        assert_eq!(Name::from_der(multi).unwrap().to_string(), "CN=abc+SN=abc");
    }

    #[test]
    fn refuses_structures_that_are_not_names() {
        let empty_set = b"\x30\x02\x31\x00";
        let unsorted = b"\x30\x1a\x31\x18\x30\x0a\x06\x03\x55\x04\x04\x0c\x03abc\x30\x0a\x06\x03\x55\x04\x03\x0c\x03abc";
        let trailing = b"\x30\x00\x00";

        for bad in [&empty_set[..], unsorted, trailing, b"", b"\x31\x00", b"\x30\x80\x00\x00"] {
            assert_eq!(Name::from_foreign_der(bad), Err(NameError::NotDer));
        }
    }
}
