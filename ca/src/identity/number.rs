//! Numbers of persons and organisations.

use std::fmt;

use super::{BirthDate, Field, IdentityError, luhn_holds};
use crate::deployment::Environment;

/// Which of the two numbers a person has; the certificate's policy depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PersonNumberKind {
    /// Given to persons in the population register.
    Personnummer,
    /// Given to others; 60 is added to the day.
    Samordningsnummer,
}

/// A number of a person or card without what people write between its digits: hyphen, plus and white space of any kind, also one that does not
/// break a line. All else stays, so that whoever reads the number refuses it.
///
/// Whoever asks whose data something is goes by this: two spellings of a number are one person (DAT-07).
#[must_use]
pub fn bare_number(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '+')).collect()
}

/// A personnummer or samordningsnummer of 12 digits, `YYYYMMDDNNNC`.
///
/// `Debug` and `Display` show no digit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PersonNumber {
    digits: String,
    kind: PersonNumberKind,
    birth: BirthDate,
}

/// The test person whom all Swedish e-identification services know; outside the test series.
const TOLVAN: &str = "191212121212";

impl PersonNumber {
    /// Reads a person number of `environment`.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: 12 digits, a date that exists, the check digit over the last ten;
    /// [`IdentityError::NotATestIdentity`] outside production unless it is one of the tax agency's
    /// test numbers (DAT-08), whose birth numbers are 238, 239 and 980 to 999;
    /// [`IdentityError::TestIdentityInProduction`] for those of 980 to 999 there.
    pub fn parse(text: &str, environment: Environment) -> Result<Self, IdentityError> {
        let field = Field::PersonNumber;
        let digits = decimal(text, 12)
            .ok_or(IdentityError::Form { field, expected: "12 digits YYYYMMDDNNNC" })?;
        let (kind, birth) = kind_and_birth(&digits).ok_or(IdentityError::Date { field })?;
        let (century, last_ten) = text.split_at_checked(2).unwrap_or_default();
        if century.is_empty() || !luhn_holds(last_ten) {
            return Err(IdentityError::CheckDigit { field });
        }
        let real_person = match (number(&digits, 8, 3), text) {
            (980..=999, _) | (_, TOLVAN) => false,
            // Some test numbers of older series are among these. The tax agency gives persons any number from
            // 001 to 999 (Skatteverket, Rättslig vägledning 2020.9, on personnummer), so that production may
            // refuse nobody for them.
            (238 | 239, _) => !environment.allows_only_test_identities(),
            _ => true,
        };
        environment.admits_identity(field, !real_person)?;
        Ok(Self { digits: text.to_owned(), kind, birth })
    }

    /// The 12 digits: personal data.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.digits
    }

    /// Which of the two numbers it is.
    #[must_use]
    pub const fn kind(&self) -> PersonNumberKind {
        self.kind
    }

    /// The day of birth that it begins with.
    #[must_use]
    pub const fn birth(&self) -> BirthDate {
        self.birth
    }
}

impl fmt::Debug for PersonNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonNumber({:?})", self.kind)
    }
}

/// The number of a legal person: 10 digits, the third at least 2, Luhn check digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrganisationNumber(String);

impl OrganisationNumber {
    /// Reads an organisation number, written without a hyphen.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: 10 digits, the third at least 2 (which tells it from a personnummer), the
    /// check digit.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let field = Field::OrganisationNumber;
        decimal(text, 10)
            .filter(|digits| digits.get(2).is_some_and(|&third| third >= 2))
            .ok_or(IdentityError::Form { field, expected: "10 digits, the third at least 2" })?;
        if !luhn_holds(text) {
            return Err(IdentityError::CheckDigit { field });
        }
        Ok(Self(text.to_owned()))
    }

    /// The 10 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn decimal(text: &str, length: usize) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.bytes().map(|b| b.is_ascii_digit().then(|| b - b'0')).collect::<Option<_>>()?;
    (digits.len() == length).then_some(digits)
}

fn number(digits: &[u8], from: usize, length: usize) -> u16 {
    digits.iter().skip(from).take(length).fold(0, |sum, &digit| sum * 10 + u16::from(digit))
}

fn kind_and_birth(digits: &[u8]) -> Option<(PersonNumberKind, BirthDate)> {
    let (kind, day) = match number(digits, 6, 2) {
        day @ 61..=91 => (PersonNumberKind::Samordningsnummer, day - 60),
        day => (PersonNumberKind::Personnummer, day),
    };
    let (month, day) = (number(digits, 4, 2), day);
    let birth = BirthDate::new(number(digits, 0, 4), month.try_into().ok()?, day.try_into().ok()?)?;
    Some((kind, birth))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(text: &str) -> Result<PersonNumber, IdentityError> {
        PersonNumber::parse(text, Environment::Test)
    }

    /// DAT-07: by whatever spelling a person is named, he is the same.
    #[test]
    fn a_number_is_the_same_in_all_spellings() {
        for text in ["191212121212", "19121212-1212", "19121212+1212", " 19 12 12 12 12 12 "] {
            assert_eq!(bare_number(text), "191212121212", "{text:?}");
        }
        for text in ["19121212\t1212", "19121212\u{a0}1212\n", "\u{2003}19121212\u{202f}-1212"] {
            assert_eq!(bare_number(text), "191212121212", "{text:?}");
        }
        assert_eq!(bare_number("19121212x1212"), "19121212x1212", "to be refused");
    }

    #[test]
    fn tells_a_samordningsnummer_from_a_personnummer() {
        let kind = |text| test(text).unwrap().kind();

        assert_eq!(kind("191212121212"), PersonNumberKind::Personnummer);
        assert_eq!(kind("191003229802"), PersonNumberKind::Personnummer);
        assert_eq!(kind("195401812390"), PersonNumberKind::Samordningsnummer);
    }

    /// DAT-08: the number is the textbook example of the check digit, outside the test series.
    #[test]
    fn refuses_a_real_number_outside_production() {
        let real = "196408233234";

        assert!(PersonNumber::parse(real, Environment::Prod).is_ok());
        for environment in [Environment::Test, Environment::Qa] {
            assert_eq!(
                PersonNumber::parse(real, environment),
                Err(IdentityError::NotATestIdentity { field: Field::PersonNumber })
            );
        }
    }

    #[test]
    fn refuses_wrong_digits_dates_and_forms() {
        assert!(matches!(test("191212121213"), Err(IdentityError::CheckDigit { .. })));
        for text in ["191213121212", "191202301212", "191212321212", "191212921212", "191212601212"]
        {
            assert!(matches!(test(text), Err(IdentityError::Date { .. })), "{text}");
        }
        for text in ["", "1212121212", "19121212-1212", "19121212121x", "١٩١٢١٢١٢١٢١٢"]
        {
            assert!(matches!(test(text), Err(IdentityError::Form { .. })), "{text}");
        }
    }

    #[test]
    fn shows_no_digit() {
        assert_eq!(format!("{:?}", test("191212121212").unwrap()), "PersonNumber(Personnummer)");
    }

    #[test]
    fn reads_organisation_numbers_and_refuses_person_numbers() {
        assert!(OrganisationNumber::parse("2321000131").is_ok());
        assert!(OrganisationNumber::parse("5565594230").is_ok());
        assert!(matches!(
            OrganisationNumber::parse("5565594231"),
            Err(IdentityError::CheckDigit { .. })
        ));
        for text in ["1212121212", "232100-0131", "232100013"] {
            assert!(matches!(OrganisationNumber::parse(text), Err(IdentityError::Form { .. })));
        }
    }
}
