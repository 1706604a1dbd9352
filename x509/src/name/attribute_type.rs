//! The attribute types that we write, each with its string type and bound.

use std::fmt;

use super::{NameError, StringKind, text};
use crate::oid::{ObjectIdentifier, attribute};

/// The attribute types that we put into names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeType {
    /// commonName.
    CommonName,
    /// countryName: two upper-case letters.
    Country,
    /// dnQualifier.
    DnQualifier,
    /// generationQualifier.
    GenerationQualifier,
    /// givenName.
    GivenName,
    /// initials.
    Initials,
    /// localityName.
    Locality,
    /// organizationName.
    Organization,
    /// organizationIdentifier.
    OrganizationIdentifier,
    /// organizationalUnitName.
    OrganizationalUnit,
    /// postalCode.
    PostalCode,
    /// pseudonym.
    Pseudonym,
    /// serialNumber: HSA-id or personnummer.
    SerialNumber,
    /// stateOrProvinceName.
    State,
    /// streetAddress.
    Street,
    /// surname.
    Surname,
    /// title.
    Title,
}

/// How a text becomes a string, where the standard leaves a choice (DirectoryString, RFC 5280 §4.1.2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StringRule {
    /// [`AttributeType::kind`].
    #[default]
    Standard,
    /// PrintableString where its alphabet holds every character, [`AttributeType::kind`] otherwise.
    PrintableOrUtf8,
}

impl StringRule {
    /// The string type that `attribute` gets with this text.
    #[must_use]
    pub fn kind(self, attribute: AttributeType, text: &str) -> StringKind {
        match self {
            Self::PrintableOrUtf8 if text.chars().all(text::is_printable) => StringKind::Printable,
            _ => attribute.kind(),
        }
    }
}

impl AttributeType {
    /// All types, for tables and tests.
    pub const ALL: [Self; 17] = [
        Self::CommonName,
        Self::Country,
        Self::DnQualifier,
        Self::GenerationQualifier,
        Self::GivenName,
        Self::Initials,
        Self::Locality,
        Self::Organization,
        Self::OrganizationIdentifier,
        Self::OrganizationalUnit,
        Self::PostalCode,
        Self::Pseudonym,
        Self::SerialNumber,
        Self::State,
        Self::Street,
        Self::Surname,
        Self::Title,
    ];

    /// Its object identifier.
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::CommonName => attribute::COMMON_NAME,
            Self::Country => attribute::COUNTRY,
            Self::DnQualifier => attribute::DN_QUALIFIER,
            Self::GenerationQualifier => attribute::GENERATION_QUALIFIER,
            Self::GivenName => attribute::GIVEN_NAME,
            Self::Initials => attribute::INITIALS,
            Self::Locality => attribute::LOCALITY,
            Self::Organization => attribute::ORGANIZATION,
            Self::OrganizationIdentifier => attribute::ORGANIZATION_IDENTIFIER,
            Self::OrganizationalUnit => attribute::ORGANIZATIONAL_UNIT,
            Self::PostalCode => attribute::POSTAL_CODE,
            Self::Pseudonym => attribute::PSEUDONYM,
            Self::SerialNumber => attribute::SERIAL_NUMBER,
            Self::State => attribute::STATE,
            Self::Street => attribute::STREET,
            Self::Surname => attribute::SURNAME,
            Self::Title => attribute::TITLE,
        }
    }

    /// The string type that we write: PrintableString for countryName, serialNumber and
    /// dnQualifier, UTF8String for the rest (RFC 5280 §4.1.2.4, Appendix A.1).
    #[must_use]
    pub const fn kind(self) -> StringKind {
        match self {
            Self::Country | Self::DnQualifier | Self::SerialNumber => StringKind::Printable,
            _ => StringKind::Utf8,
        }
    }

    /// The most characters that the standard lets it have (RFC 5280 Appendix A.1 `ub-*`; X.520 for
    /// the address attributes). `None` where it sets no bound.
    #[must_use]
    pub const fn max_characters(self) -> Option<usize> {
        match self {
            Self::Country => Some(2),
            Self::PostalCode => Some(40),
            Self::CommonName
            | Self::Organization
            | Self::OrganizationalUnit
            | Self::SerialNumber
            | Self::Title => Some(64),
            Self::Locality | Self::Pseudonym | Self::State | Self::Street => Some(128),
            Self::GenerationQualifier | Self::GivenName | Self::Initials | Self::Surname => {
                Some(32_768)
            }
            Self::DnQualifier | Self::OrganizationIdentifier => None,
        }
    }

    /// The name used in profiles and errors: the standard's own, such as `commonName`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommonName => "commonName",
            Self::Country => "countryName",
            Self::DnQualifier => "dnQualifier",
            Self::GenerationQualifier => "generationQualifier",
            Self::GivenName => "givenName",
            Self::Initials => "initials",
            Self::Locality => "localityName",
            Self::Organization => "organizationName",
            Self::OrganizationIdentifier => "organizationIdentifier",
            Self::OrganizationalUnit => "organizationalUnitName",
            Self::PostalCode => "postalCode",
            Self::Pseudonym => "pseudonym",
            Self::SerialNumber => "serialNumber",
            Self::State => "stateOrProvinceName",
            Self::Street => "streetAddress",
            Self::Surname => "surname",
            Self::Title => "title",
        }
    }

    /// The type of this object identifier, if we write it.
    #[must_use]
    pub fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|attribute| attribute.oid() == oid)
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for AttributeType {
    type Err = NameError;

    /// Reads the standard's name (`commonName`) or the short one of RFC 4514 (`CN`).
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .find(|attribute| {
                attribute.name() == text || text::short_name(attribute.oid()) == Some(text)
            })
            .ok_or(NameError::UnknownType)
    }
}
