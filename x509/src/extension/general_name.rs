//! GeneralName, the texts inside it, and subjectAltName.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use super::ExtensionValue;
use crate::name::Name;
use crate::oid::{self, ObjectIdentifier, extension};
use crate::tlv::{self, Element, NotDer};

/// A non-empty text of visible ASCII characters and no space: what DNS names, mail addresses and
/// URIs consist of. Written as IA5String.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ia5Text(String);

impl Ia5Text {
    /// Takes a text as it is.
    ///
    /// # Errors
    ///
    /// [`TextError`] when it is empty or holds anything but visible ASCII.
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        match text.chars().find(|character| !character.is_ascii_graphic()) {
            Some(character) => Err(TextError::IllegalCharacter { character }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn from_octets(octets: &[u8]) -> Result<Self, NotDer> {
        let text = std::str::from_utf8(octets).map_err(|_| NotDer)?;
        Self::new(text).map_err(|_| NotDer)
    }
}

impl fmt::Display for Ia5Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Ia5Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::str::FromStr for Ia5Text {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::new(text)
    }
}

/// The user principal name of Microsoft's smart card logon: a non-empty UTF8String without control
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserPrincipalName(String);

impl UserPrincipalName {
    /// Takes a text as it is.
    ///
    /// # Errors
    ///
    /// [`TextError`] when it is empty or holds a control character.
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        match text.chars().find(|character| character.is_control()) {
            Some(character) => Err(TextError::IllegalCharacter { character }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A mail address whose local part is not ASCII: a UTF8String, the host in A-labels and small letters,
/// no byte order mark (RFC 9598 §3). Addresses in ASCII alone are [`GeneralName::Rfc822`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SmtpUtf8Mailbox(String);

impl SmtpUtf8Mailbox {
    /// Takes a text as it is.
    ///
    /// # Errors
    ///
    /// [`TextError`] when it is empty, holds a control character or a byte order mark, has a local
    /// part of ASCII alone, or a host of anything but small letters, digits, hyphens and dots.
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        let hostile = |character: &char| character.is_control() || *character == '\u{feff}';
        if let Some(character) = text.chars().find(hostile) {
            return Err(TextError::IllegalCharacter { character });
        }
        let (local, host) = text.rsplit_once('@').ok_or(TextError::NoMailbox)?;
        let of_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if let Some(character) = host.chars().find(|&character| !of_host(character)) {
            return Err(TextError::IllegalCharacter { character });
        }
        if local.is_ascii() || host.is_empty() {
            return Err(TextError::NoMailbox);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text may not stand in a GeneralName.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextError {
    /// It has no character.
    #[error("text is empty")]
    Empty,
    /// It holds a character that may not stand there.
    #[error("text holds {character:?}, which may not stand in this kind of name")]
    IllegalCharacter {
        /// The first such character.
        character: char,
    },
    /// Not a mailbox with a local part that needs SmtpUTF8Mailbox.
    #[error("text is no address whose local part is outside ASCII and that has a host")]
    NoMailbox,
}

/// GeneralName (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GeneralName {
    /// directoryName.
    Directory(Name),
    /// dNSName.
    Dns(Ia5Text),
    /// iPAddress of one host.
    Ip(IpAddr),
    /// Any other choice, otherName included: its whole DER, to be kept and not to be acted on.
    Other(Vec<u8>),
    /// rfc822Name.
    Rfc822(Ia5Text),
    /// otherName with a mail address whose local part is not ASCII.
    SmtpUtf8(SmtpUtf8Mailbox),
    /// otherName with a user principal name.
    Upn(UserPrincipalName),
    /// uniformResourceIdentifier.
    Uri(Ia5Text),
}

const OTHER_NAME: u8 = tlv::context_constructed(0);
const RFC822: u8 = tlv::context(1);
const DNS: u8 = tlv::context(2);
const DIRECTORY: u8 = tlv::context_constructed(4);
const URI: u8 = tlv::context(6);
const IP: u8 = tlv::context(7);

impl GeneralName {
    /// The DER of this one name.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        match self {
            Self::Directory(name) => tlv::element(DIRECTORY, &[name.as_der()]),
            Self::Dns(text) => tlv::element(DNS, &[text.0.as_bytes()]),
            Self::Ip(IpAddr::V4(address)) => tlv::element(IP, &[&address.octets()]),
            Self::Ip(IpAddr::V6(address)) => tlv::element(IP, &[&address.octets()]),
            Self::Other(der) => der.clone(),
            Self::Rfc822(text) => tlv::element(RFC822, &[text.0.as_bytes()]),
            Self::SmtpUtf8(text) => other_name(oid::SMTP_UTF8_MAILBOX, &text.0),
            Self::Upn(text) => other_name(oid::USER_PRINCIPAL_NAME, &text.0),
            Self::Uri(text) => tlv::element(URI, &[text.0.as_bytes()]),
        }
    }

    /// The URI, if it is one.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        match self {
            Self::Uri(text) => Some(text.as_str()),
            _ => None,
        }
    }

    pub(super) fn of(element: &Element<'_>) -> Result<Self, NotDer> {
        Ok(match element.tag {
            OTHER_NAME => Self::of_other_name(element)?,
            RFC822 => Self::Rfc822(Ia5Text::from_octets(element.content)?),
            DNS => Self::Dns(Ia5Text::from_octets(element.content)?),
            DIRECTORY => Self::Directory(Name::from_der(element.content).map_err(|_| NotDer)?),
            URI => Self::Uri(Ia5Text::from_octets(element.content)?),
            IP => Self::Ip(match element.content.len() {
                4 => <[u8; 4]>::try_from(element.content).map_err(|_| NotDer)?.into(),
                16 => <[u8; 16]>::try_from(element.content).map_err(|_| NotDer)?.into(),
                _ => return Err(NotDer),
            }),
            0xa3 | 0xa5 | 0x88 => Self::Other(element.whole.to_vec()),
            _ => return Err(NotDer),
        })
    }

    fn of_other_name(element: &Element<'_>) -> Result<Self, NotDer> {
        let mut fields = element.elements();
        let type_id = fields.tagged(tlv::OID)?.oid()?;
        let explicit = fields.tagged(tlv::context_constructed(0))?;
        fields.finish()?;
        let mut inner = explicit.elements();
        let value = inner.any()?;
        inner.finish()?;
        if type_id == oid::SMTP_UTF8_MAILBOX {
            // Other issuers' may be of RFC 8398, whose hosts are in U-labels: kept as they are.
            let text = Some(value.content).filter(|_| value.tag == tlv::UTF8_STRING);
            let text = text.and_then(|content| std::str::from_utf8(content).ok());
            let mailbox = text.and_then(|text| SmtpUtf8Mailbox::new(text).ok());
            return Ok(mailbox.map_or_else(|| Self::Other(element.whole.to_vec()), Self::SmtpUtf8));
        }
        if type_id != oid::USER_PRINCIPAL_NAME {
            return Ok(Self::Other(element.whole.to_vec()));
        }
        if value.tag != tlv::UTF8_STRING {
            return Err(NotDer);
        }
        let text = std::str::from_utf8(value.content).map_err(|_| NotDer)?;
        UserPrincipalName::new(text).map(Self::Upn).map_err(|_| NotDer)
    }
}

/// An otherName whose value is a UTF8String.
fn other_name(type_id: ObjectIdentifier, text: &str) -> Vec<u8> {
    let value = tlv::element(tlv::UTF8_STRING, &[text.as_bytes()]);
    let explicit = tlv::element(tlv::context_constructed(0), &[&value]);
    tlv::element(OTHER_NAME, &[&tlv::oid(type_id), &explicit])
}

/// The content of a `GeneralNames`: the names one after another.
pub(super) fn names_to_der(names: &[GeneralName]) -> Vec<u8> {
    names.iter().flat_map(GeneralName::to_der).collect()
}

/// Reads the content of a `GeneralNames`, which holds at least one.
pub(super) fn names_of(list: &Element<'_>) -> Result<Vec<GeneralName>, NotDer> {
    let mut elements = list.elements();
    let mut names = vec![GeneralName::of(&elements.any()?)?];
    while !elements.is_empty() {
        names.push(GeneralName::of(&elements.any()?)?);
    }
    Ok(names)
}

/// subjectAltName (RFC 5280 §4.2.1.6), in encoded order. It must hold at least one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubjectAltName(pub Vec<GeneralName>);

impl ExtensionValue for SubjectAltName {
    const OID: ObjectIdentifier = extension::SUBJECT_ALT_NAME;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        names_of(&Element::only(der, tlv::SEQUENCE)?).map(Self)
    }

    fn to_value_der(&self) -> Vec<u8> {
        tlv::sequence(&[&names_to_der(&self.0)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::AttributeType;

    fn all_kinds() -> Vec<GeneralName> {
        let name = Name::builder().with(AttributeType::CommonName, "Åsa").unwrap().build();
        vec![
            GeneralName::Upn(UserPrincipalName::new("åsa@exempel.se").unwrap()),
            GeneralName::Rfc822(Ia5Text::new("asa@example.se").unwrap()),
            GeneralName::SmtpUtf8(SmtpUtf8Mailbox::new("åsa@xn--exmple-cua.se").unwrap()),
            GeneralName::Dns(Ia5Text::new("www.example.se").unwrap()),
            GeneralName::Directory(name),
            GeneralName::Uri(Ia5Text::new("urn:sigill:test:demo:ab12:client:portal").unwrap()),
            GeneralName::Ip([127, 0, 0, 1].into()),
            GeneralName::Ip("2a01:58:6106:5a01::247".parse().unwrap()),
        ]
    }

    #[test]
    fn reads_what_it_writes() {
        let names = SubjectAltName(all_kinds());

        assert_eq!(SubjectAltName::from_value_der(&names.to_value_der()), Ok(names));
    }

    /// The exact bytes that Microsoft's smart card logon asks for.
    #[test]
    fn writes_the_user_principal_name_as_an_explicit_utf8_string() {
        let name = GeneralName::Upn(UserPrincipalName::new("a@b").unwrap());

        assert_eq!(
            name.to_der(),
            b"\xa0\x13\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x05\x0c\x03a@b"
        );
    }

    /// PRO-17: the example of RFC 9598 appendix B.
    #[test]
    fn writes_the_example_of_the_standard() {
        let mailbox = SmtpUtf8Mailbox::new("医生@xn--pss25c.example.com").unwrap();
        let name = GeneralName::SmtpUtf8(mailbox);

        let hex = "a02b0608 2b060105 05070809 a01f0c1d e58cbbe7 949f4078 6e2d2d70 73733235 \
                   632e6578 616d706c 652e636f 6d";
        let expected = base16ct::lower::decode_vec(hex.replace(' ', "")).unwrap();
        assert_eq!(name.to_der(), expected);
    }

    /// PRO-17: only where the local part needs it, the host in A-labels, no byte order mark.
    #[test]
    fn a_mailbox_needs_a_local_part_outside_ascii_and_a_host_in_small_ascii() {
        assert!(SmtpUtf8Mailbox::new("å.b@a.se").is_ok());
        for text in
            ["a@a.se", "@a.se", "å@", "å", "å@ä.se", "å@A.se", "\u{feff}å@a.se", "å\n@a.se", ""]
        {
            assert!(SmtpUtf8Mailbox::new(text).is_err(), "{text:?}");
        }
    }

    /// Certificates of RFC 8398, and wrong ones, are read and kept, never written.
    #[test]
    fn keeps_the_mailboxes_of_others_as_they_are() {
        for text in ["å@exämple.se", "a@example.se", "\u{feff}å@example.se"] {
            let der = tlv::sequence(&[&other_name(oid::SMTP_UTF8_MAILBOX, text)]);

            let names = SubjectAltName::from_value_der(&der).unwrap();

            assert!(matches!(&names.0[..], [GeneralName::Other(_)]), "{text}");
            assert_eq!(names.to_value_der(), der);
        }
    }

    #[test]
    fn keeps_names_that_it_does_not_act_on() {
        let registered_id = [0x30, 5, 0x88, 3, 0x88, 0x37, 1];

        let names = SubjectAltName::from_value_der(&registered_id).unwrap();

        assert!(matches!(&names.0[..], [GeneralName::Other(_)]));
        assert_eq!(names.to_value_der(), registered_id);
    }

    #[test]
    fn refuses_empty_lists_texts_and_hostile_characters() {
        for bad in [
            &b"\x30\x00"[..],
            b"\x30\x02\x82\x00",
            b"\x30\x05\x82\x03a\0b",
            b"\x30\x05\x82\x03a\nb",
            b"\x30\x04\x82\x02\xc3\xa5",
            b"\x30\x05\x87\x03\x01\x02\x03",
        ] {
            assert_eq!(SubjectAltName::from_value_der(bad), Err(NotDer));
        }
        assert_eq!(Ia5Text::new(""), Err(TextError::Empty));
        assert_eq!(Ia5Text::new("a b"), Err(TextError::IllegalCharacter { character: ' ' }));
        assert!(UserPrincipalName::new("a\0@b").is_err());
    }
}
