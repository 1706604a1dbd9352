//! The strings inside names: their types, alphabets and printed form.

use std::fmt;

use thiserror::Error;

use super::NameAttribute;
use crate::oid::{ObjectIdentifier, attribute};
use crate::tlv;

/// The string type of an attribute value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StringKind {
    /// BMPString: UCS-2, big-endian.
    Bmp,
    /// IA5String: ASCII.
    Ia5,
    /// NumericString: digits and space.
    Numeric,
    /// PrintableString: letters, digits, space and `'()+,-./:=?`.
    Printable,
    /// TeletexString, read as ISO 8859-1 as everybody does.
    Teletex,
    /// UniversalString: UCS-4, big-endian.
    Universal,
    /// UTF8String.
    Utf8,
    /// Not a string: the identifier octet that was seen.
    Other(u8),
}

impl StringKind {
    pub(super) const fn of_tag(tag: u8) -> Self {
        match tag {
            tlv::BMP_STRING => Self::Bmp,
            tlv::IA5_STRING => Self::Ia5,
            tlv::NUMERIC_STRING => Self::Numeric,
            tlv::PRINTABLE_STRING => Self::Printable,
            tlv::TELETEX_STRING => Self::Teletex,
            tlv::UNIVERSAL_STRING => Self::Universal,
            tlv::UTF8_STRING => Self::Utf8,
            tag => Self::Other(tag),
        }
    }

    /// The identifier octet.
    pub(super) const fn tag(self) -> u8 {
        match self {
            Self::Bmp => tlv::BMP_STRING,
            Self::Ia5 => tlv::IA5_STRING,
            Self::Numeric => tlv::NUMERIC_STRING,
            Self::Printable => tlv::PRINTABLE_STRING,
            Self::Teletex => tlv::TELETEX_STRING,
            Self::Universal => tlv::UNIVERSAL_STRING,
            Self::Utf8 => tlv::UTF8_STRING,
            Self::Other(tag) => tag,
        }
    }
}

impl fmt::Display for StringKind {
    /// The ASN.1 name of the type.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bmp => f.write_str("BMPString"),
            Self::Ia5 => f.write_str("IA5String"),
            Self::Numeric => f.write_str("NumericString"),
            Self::Printable => f.write_str("PrintableString"),
            Self::Teletex => f.write_str("TeletexString"),
            Self::Universal => f.write_str("UniversalString"),
            Self::Utf8 => f.write_str("UTF8String"),
            Self::Other(tag) => write!(f, "tag {tag:#04x}"),
        }
    }
}

/// What is illegal in one attribute of a name.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameFault {
    /// A country is two letters (RFC 5280 Appendix A.1, ISO 3166).
    #[error("countryName is not two upper-case letters")]
    Country,
    /// ISO 3166 writes its letters in upper case.
    #[error("countryName is written in lower case")]
    CountryCase,
    /// The length bounds of RFC 5280 Appendix A.1 start at 1.
    #[error("{attribute} is empty")]
    Empty {
        /// The attribute's type.
        attribute: ObjectIdentifier,
    },
    /// The character is outside the string type's alphabet, a control character, or one that makes
    /// text read other than it is stored.
    #[error("{attribute} holds {character:?}, which its {kind} may not")]
    IllegalCharacter {
        /// The attribute's type.
        attribute: ObjectIdentifier,
        /// The string type.
        kind: StringKind,
        /// The first such character.
        character: char,
    },
    /// The octets mean no text in this string type.
    #[error("{attribute} is not text in its {kind}")]
    NotText {
        /// The attribute's type.
        attribute: ObjectIdentifier,
        /// The string type.
        kind: StringKind,
    },
    /// The attribute may not have this string type (RFC 5280 §4.1.2.4, Appendix A.1).
    #[error("{attribute} is a {kind}")]
    WrongKind {
        /// The attribute's type.
        attribute: ObjectIdentifier,
        /// The string type that was seen.
        kind: StringKind,
    },
}

impl NameFault {
    /// Whether the text may mislead whoever reads it, rather than only break a rule of encoding.
    #[must_use]
    pub const fn is_hostile(self) -> bool {
        match self {
            Self::Country | Self::NotText { .. } => true,
            Self::IllegalCharacter { character, .. } => misleads(character),
            Self::CountryCase | Self::Empty { .. } | Self::WrongKind { .. } => false,
        }
    }
}

/// The first fault of an attribute. Attributes of unknown types are judged as strings if they are.
pub(super) fn fault_of(found: &NameAttribute<'_>) -> Option<NameFault> {
    let (attribute, kind) = (found.oid(), found.kind());
    if !kind_is_allowed(attribute, kind) {
        return Some(NameFault::WrongKind { attribute, kind });
    }
    if matches!(kind, StringKind::Other(_)) {
        return None;
    }
    let Some(text) = exact(kind, found.value_bytes()) else {
        return Some(NameFault::NotText { attribute, kind });
    };
    if attribute == attribute::COUNTRY {
        return match text.as_bytes() {
            [b'A'..=b'Z', b'A'..=b'Z'] => None,
            [first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                Some(NameFault::CountryCase)
            }
            _ => Some(NameFault::Country),
        };
    }
    if text.is_empty() {
        return Some(NameFault::Empty { attribute });
    }
    text.chars()
        .find(|character| !is_allowed(kind, *character))
        .map(|character| NameFault::IllegalCharacter { attribute, kind, character })
}

fn kind_is_allowed(attribute: ObjectIdentifier, kind: StringKind) -> bool {
    match attribute {
        attribute::COUNTRY | attribute::DN_QUALIFIER | attribute::SERIAL_NUMBER => {
            kind == StringKind::Printable
        }
        attribute::DOMAIN_COMPONENT | attribute::EMAIL_ADDRESS => kind == StringKind::Ia5,
        known if short_name(known).is_some() => matches!(
            kind,
            StringKind::Bmp
                | StringKind::Printable
                | StringKind::Teletex
                | StringKind::Universal
                | StringKind::Utf8
        ),
        _ => true,
    }
}

/// Whether a character may stand in a string of this type.
fn is_allowed(kind: StringKind, character: char) -> bool {
    let alphabet = match kind {
        StringKind::Printable => is_printable(character),
        StringKind::Numeric => character.is_ascii_digit() || character == ' ',
        StringKind::Ia5 => character.is_ascii(),
        _ => true,
    };
    alphabet && !misleads(character)
}

/// Characters that end a line, move the cursor, turn the direction of writing by force, stand for
/// nothing, or mark text that was mangled before it reached us.
const fn misleads(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{ffff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The alphabet of PrintableString (X.680 §41.4).
pub(crate) const fn is_printable(character: char) -> bool {
    matches!(
        character,
        'A'..='Z' | 'a'..='z' | '0'..='9' | ' ' | '\'' | '(' | ')' | '+' | ',' | '-' | '.' | '/'
            | ':' | '=' | '?'
    )
}

/// The text of a value if every octet means something.
fn exact(kind: StringKind, value: &[u8]) -> Option<String> {
    match kind {
        StringKind::Utf8 | StringKind::Printable | StringKind::Ia5 | StringKind::Numeric => {
            std::str::from_utf8(value).ok().map(str::to_owned)
        }
        StringKind::Teletex => Some(value.iter().copied().map(char::from).collect()),
        StringKind::Bmp => {
            let (units, rest) = value.as_chunks::<2>();
            // UCS-2: a surrogate is no character of it.
            let text = units.iter().map(|unit| char::from_u32(u16::from_be_bytes(*unit).into()));
            if rest.is_empty() { text.collect() } else { None }
        }
        StringKind::Universal => {
            let (units, rest) = value.as_chunks::<4>();
            let text = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit)));
            if rest.is_empty() { text.collect() } else { None }
        }
        StringKind::Other(_) => None,
    }
}

pub(super) fn lossy(kind: StringKind, value: &[u8]) -> String {
    exact(kind, value).unwrap_or_else(|| String::from_utf8_lossy(value).into_owned())
}

/// The registered short name of an attribute type (RFC 4514 §3, RFC 4519).
pub(super) const SHORT_NAMES: [(ObjectIdentifier, &str); 20] = [
    (attribute::COMMON_NAME, "CN"),
    (attribute::SURNAME, "SN"),
    (attribute::SERIAL_NUMBER, "serialNumber"),
    (attribute::COUNTRY, "C"),
    (attribute::LOCALITY, "L"),
    (attribute::STATE, "ST"),
    (attribute::STREET, "STREET"),
    (attribute::ORGANIZATION, "O"),
    (attribute::ORGANIZATIONAL_UNIT, "OU"),
    (attribute::TITLE, "title"),
    (attribute::POSTAL_CODE, "postalCode"),
    (attribute::GIVEN_NAME, "GN"),
    (attribute::INITIALS, "initials"),
    (attribute::GENERATION_QUALIFIER, "generationQualifier"),
    (attribute::DN_QUALIFIER, "dnQualifier"),
    (attribute::PSEUDONYM, "pseudonym"),
    (attribute::ORGANIZATION_IDENTIFIER, "organizationIdentifier"),
    (attribute::DOMAIN_COMPONENT, "DC"),
    (attribute::USER_ID, "UID"),
    (attribute::EMAIL_ADDRESS, "emailAddress"),
];

pub(super) fn short_name(oid: ObjectIdentifier) -> Option<&'static str> {
    SHORT_NAMES.into_iter().find(|(known, _)| *known == oid).map(|(_, name)| name)
}

/// The registered short name of an attribute type; its number where it has none here.
#[must_use]
pub fn attribute_name(oid: ObjectIdentifier) -> String {
    short_name(oid).map_or_else(|| oid.to_string(), str::to_owned)
}

/// The value with the escapes of RFC 4514 §2.4; control characters as hexadecimal pairs.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (position, character) in text.chars().enumerate() {
        let special = matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (position == 0 && matches!(character, ' ' | '#'))
            || (position == last && character == ' ');
        if special {
            out.push('\\');
            out.push(character);
        } else if character.is_control() {
            let mut buffer = [0; 4];
            for octet in character.encode_utf8(&mut buffer).bytes() {
                out.push_str(&format!("\\{octet:02X}"));
            }
        } else {
            out.push(character);
        }
    }
    out
}
