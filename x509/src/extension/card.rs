//! cardNumber, by which a certificate is tied to the card that carries its key.

use std::fmt;

use thiserror::Error;

use super::ExtensionValue;
use crate::name::is_printable;
use crate::oid::{ObjectIdentifier, extension};
use crate::tlv::{self, Element, NotDer};

/// cardNumber 1.2.752.34.2.1: a PrintableString, usually of 19 digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CardNumber(String);

impl CardNumber {
    /// Takes a text as it is; which digits make a card number is a matter of the profile.
    ///
    /// # Errors
    ///
    /// [`CardNumberError`] when it is empty or not a PrintableString.
    pub fn new(text: &str) -> Result<Self, CardNumberError> {
        if text.is_empty() {
            return Err(CardNumberError::Empty);
        }
        match text.chars().find(|character| !is_printable(*character)) {
            Some(character) => Err(CardNumberError::IllegalCharacter { character }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ExtensionValue for CardNumber {
    const OID: ObjectIdentifier = extension::CARD_NUMBER;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let content = Element::only(der, tlv::PRINTABLE_STRING)?.content;
        let text = std::str::from_utf8(content).map_err(|_| NotDer)?;
        Self::new(text).map_err(|_| NotDer)
    }

    fn to_value_der(&self) -> Vec<u8> {
        tlv::element(tlv::PRINTABLE_STRING, &[self.0.as_bytes()])
    }
}

/// Why a text is not a card number.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CardNumberError {
    /// It has no character.
    #[error("card number is empty")]
    Empty,
    /// It holds a character that no PrintableString may hold.
    #[error("card number holds {character:?}, which a PrintableString may not")]
    IllegalCharacter {
        /// The first such character.
        character: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_printable_string() {
        let number = CardNumber::new("9752269875408500001").unwrap();

        let der = number.to_value_der();

        assert_eq!(der, b"\x13\x139752269875408500001");
        assert_eq!(CardNumber::from_value_der(&der), Ok(number));
    }

    #[test]
    fn refuses_other_characters_and_string_types() {
        assert_eq!(CardNumber::new(""), Err(CardNumberError::Empty));
        assert_eq!(
            CardNumber::new("97_52"),
            Err(CardNumberError::IllegalCharacter { character: '_' })
        );
        assert_eq!(CardNumber::from_value_der(b"\x0c\x03975"), Err(NotDer));
    }
}
