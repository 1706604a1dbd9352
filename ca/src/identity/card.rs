//! Card serial numbers.

use std::fmt;

use super::{Field, IdentityError, luhn_holds};

/// A card serial number (*kortserienummer*), 19 digits; extension 1.2.752.34.2.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CardNumber(String);

impl CardNumber {
    /// Reads the 19 digits.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Form`] for anything else. A wrong check digit is no error: see
    /// [`Self::check_digit_fits`].
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        if text.len() == 19 && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self(text.to_owned()));
        }
        Err(IdentityError::Form { field: Field::CardNumber, expected: "19 digits" })
    }

    /// The 19 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the last digit is the Luhn check digit of the others. Certificates of real cards have
    /// it, sample data of the SITHS portal (9876 6541 325 3214 3214) does not: so it is a warning.
    #[must_use]
    pub fn check_digit_fits(&self) -> bool {
        luhn_holds(&self.0)
    }
}

impl fmt::Display for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_check_digit_is_told_and_not_refused() {
        let mock = CardNumber::parse("9876654132532143214").unwrap();

        assert!(!mock.check_digit_fits());
    }

    #[test]
    fn refuses_anything_but_19_digits() {
        for text in
            ["", "NONE", "975200000000000000", "97520000000000000000", "975200000000000000x"]
        {
            assert!(CardNumber::parse(text).is_err(), "{text}");
        }
    }
}
