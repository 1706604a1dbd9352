//! Identifiers of persons, functions, organisations and cards, each checked once into a type.
//!
//! A value is taken as it is or refused; nothing is trimmed, folded or transliterated here, because
//! what stands in a certificate must be what the caller ordered (PRO-02, PRO-07). Limits come from
//! RFC 5280 appendix A where it has one.

mod birth;
mod card;
mod contact;
mod host;
mod hsa;
mod kind;
pub(crate) mod list;
mod mail;
mod name;
mod number;
mod passport;
mod proofing;
mod script;

use std::fmt;

use thiserror::Error;

pub use self::birth::BirthDate;
pub use self::card::CardNumber;
pub use self::contact::{DnsName, Wildcard};
pub use self::host::TestDomains;
pub(crate) use self::host::in_letters;
pub use self::hsa::HsaId;
pub use self::kind::{
    Identity, IdentityForm, IdentityKind, IdentityKindId, IdentityKinds, IdentityText,
};
pub use self::list::{Days, ListError};
pub use self::mail::{AddressRule, EmailAddress, MailForm, UserPrincipalName};
pub use self::name::{CommonName, GivenName, Locality, Organization, Surname};
pub use self::number::{OrganisationNumber, PersonNumber, PersonNumberKind, bare_number};
pub use self::passport::PassportIdentity;
pub use self::proofing::{Means, Meeting, ProofingId, ProofingMethod, ProofingMethods};
pub use self::script::Script;

use crate::deployment::Environment;
use crate::refusal::Refusal;

/// Which identifier a value was meant to be; the name that requests and errors use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// Day of birth.
    BirthDate,
    /// Card serial number (*kortserienummer*).
    CardNumber,
    /// Name of a function or server.
    CommonName,
    /// DNS name.
    Dns,
    /// E-mail address.
    Email,
    /// Given name.
    GivenName,
    /// HSA-id of a person or function.
    HsaId,
    /// A person's identity, of whatever kind.
    Identity,
    /// Place or county.
    Locality,
    /// Organisation's name.
    Organization,
    /// Organisation's number.
    OrganisationNumber,
    /// Number of a passport.
    PassportNumber,
    /// Issuing state of a passport.
    PassportState,
    /// Personnummer or samordningsnummer.
    PersonNumber,
    /// Surname.
    Surname,
    /// User principal name.
    Upn,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BirthDate => "birth_date",
            Self::CardNumber => "card_number",
            Self::CommonName => "common_name",
            Self::Dns => "dns",
            Self::Email => "email",
            Self::GivenName => "given_name",
            Self::HsaId => "hsa_id",
            Self::Identity => "identity",
            Self::Locality => "locality",
            Self::Organization => "organization",
            Self::OrganisationNumber => "organisation_number",
            Self::PassportNumber => "passport_number",
            Self::PassportState => "passport_state",
            Self::PersonNumber => "personal_identity_number",
            Self::Surname => "surname",
            Self::Upn => "upn",
        })
    }
}

/// Why a value is not the identifier that it was meant to be.
///
/// Person numbers are never quoted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityError {
    /// A character outside the identifier's alphabet.
    #[error("{field} holds the character U+{:04X}, which it may not", u32::from(*found))]
    Character {
        /// The identifier.
        field: Field,
        /// The first such character.
        found: char,
    },
    /// The check digit does not fit the others (Luhn).
    #[error("{field} has a wrong check digit")]
    CheckDigit {
        /// The identifier.
        field: Field,
    },
    /// The digits are not a date.
    #[error("{field} does not begin with a date that exists")]
    Date {
        /// The identifier.
        field: Field,
    },
    /// Not of the identifier's form.
    #[error("{field} is not of the form {expected}")]
    Form {
        /// The identifier.
        field: Field,
        /// The form.
        expected: &'static str,
    },
    /// Too short or too long.
    #[error("{field} has {found} characters; allowed are {fewest} to {most}")]
    Length {
        /// The identifier.
        field: Field,
        /// Characters that were given.
        found: usize,
        /// Fewest that are allowed.
        fewest: usize,
        /// Most that are allowed.
        most: usize,
    },
    /// Letters of two scripts.
    #[error("{field} has {first} letters and U+{:04X}, which is of another script", u32::from(*found))]
    MixedScripts {
        /// The identifier.
        field: Field,
        /// The script of its first letter.
        first: Script,
        /// The first letter of another.
        found: char,
    },
    /// Composed in another way than Unicode's normal form C.
    #[error("{field} is not in Unicode normalization form C")]
    NotNormalised {
        /// The identifier.
        field: Field,
    },
    /// A real identity outside production (DAT-08).
    #[error("{field} is not a test identity, and this is not production")]
    NotATestIdentity {
        /// The identifier.
        field: Field,
    },
    /// An identity of another kind than the order states.
    #[error("{field} is of another kind than the order states, which is {expected}")]
    OtherKind {
        /// The identifier.
        field: Field,
        /// The kind that was stated.
        expected: &'static str,
    },
    /// A test identity in production (DAT-08).
    #[error("{field} is a test identity, and this is production")]
    TestIdentityInProduction {
        /// The identifier.
        field: Field,
    },
}

impl IdentityError {
    /// The stable code of each kind.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Character { .. } => "field-character",
            Self::CheckDigit { .. } => "field-check-digit",
            Self::Date { .. } => "field-date",
            Self::Form { .. } => "field-form",
            Self::Length { .. } => "field-length",
            Self::MixedScripts { .. } => "field-mixed-scripts",
            Self::NotNormalised { .. } => "field-not-normalised",
            Self::NotATestIdentity { .. } => "not-a-test-identity",
            Self::OtherKind { .. } => "identity-of-another-kind",
            Self::TestIdentityInProduction { .. } => "test-identity-in-production",
        }
    }

    /// The same in the words of a refusal.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let (rule, limit, next) = match self {
            Self::Character { .. } => (
                "characters of an identifier (RFC 5280 §4.1.2.4; PRO-02)",
                "letters, marks, digits and the punctuation of that field".to_owned(),
                "correct the field at its source and send it again; nothing is replaced here",
            ),
            Self::CheckDigit { .. } => (
                "check digit (Luhn)",
                "the check digit that the other digits give".to_owned(),
                "compare the number with its source: one digit is wrong",
            ),
            Self::Date { .. } => (
                "personnummer and samordningsnummer begin with a date",
                "YYYYMMDD, with 60 added to the day of a samordningsnummer".to_owned(),
                "compare the number with its source",
            ),
            Self::Form { expected, .. } => (
                "form of an identifier",
                (*expected).to_owned(),
                "send the identifier in that form",
            ),
            Self::Length { fewest, most, .. } => (
                "length of an identifier (RFC 5280 appendix A.1, upper bounds)",
                format!("{fewest} to {most} characters"),
                "send a value within the bounds",
            ),
            Self::MixedScripts { .. } => (
                "one script a name: letters that look alike make two names of one (PRO-02)",
                "letters of Latin, Greek or Cyrillic alone".to_owned(),
                "send the name as one register spells it",
            ),
            Self::NotNormalised { .. } => (
                "names are compared byte for byte and so have one spelling (PRO-02)",
                "Unicode normalization form C".to_owned(),
                "normalise the value to form C before sending it",
            ),
            Self::NotATestIdentity { .. } => (
                "no real person or function outside production (DAT-08)",
                "HSA-id with a test prefix; personnummer of the tax agency's test series; passport of \
                 UTO; addresses of reserved domains and of `[identity] test-mail-domains`"
                    .to_owned(),
                "use a test identity, or the production deployment",
            ),
            Self::OtherKind { expected, .. } => (
                "an identity is of the kind that the order states (ISS-19)",
                (*expected).to_owned(),
                "state the kind that the identity is of",
            ),
            Self::TestIdentityInProduction { .. } => (
                "no test person or test function in production (DAT-08)",
                "identities of real persons and functions".to_owned(),
                "use the real identity, or a deployment that is not production",
            ),
        };
        Refusal::new(self.code(), rule, self, limit, next)
    }
}

impl Environment {
    /// Test identities belong outside production and real ones in it (DAT-08).
    pub(crate) const fn admits_identity(
        self,
        field: Field,
        of_test: bool,
    ) -> Result<(), IdentityError> {
        match (self.allows_only_test_identities(), of_test) {
            (true, false) => Err(IdentityError::NotATestIdentity { field }),
            (false, true) => Err(IdentityError::TestIdentityInProduction { field }),
            (true, true) | (false, false) => Ok(()),
        }
    }
}

/// Whether the last of some decimal digits is the Luhn check digit of the others
/// (ISO/IEC 7812-1 annex B).
fn luhn_holds(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit.wrapping_sub(b'0'));
            match (place % 2, digit) {
                (0, _) => digit,
                (_, 0..=4) => digit * 2,
                _ => (digit * 2).saturating_sub(9),
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn length_within(
    field: Field,
    text: &str,
    fewest: usize,
    most: usize,
) -> Result<(), IdentityError> {
    let found = text.chars().count();
    if (fewest..=most).contains(&found) {
        return Ok(());
    }
    Err(IdentityError::Length { field, found, fewest, most })
}

fn every_character(
    field: Field,
    text: &str,
    allowed: impl Fn(char) -> bool,
) -> Result<(), IdentityError> {
    match text.chars().find(|&c| !allowed(c)) {
        Some(found) => Err(IdentityError::Character { field, found }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod environments;

#[cfg(test)]
mod tests {
    use super::*;

    /// Persons of the SITHS portal's slides, and two published examples.
    #[test]
    fn the_check_digit_is_luhn() {
        for good in ["1212121212", "1003229802", "5401812390", "8112189876", "9752269874512325437"]
        {
            let (body, _) = good.split_at(good.len() - 1);
            let fits: Vec<char> =
                ('0'..='9').filter(|digit| luhn_holds(&format!("{body}{digit}"))).collect();

            assert_eq!(fits.len(), 1, "{good}");
            if good.len() == 10 {
                assert!(luhn_holds(good), "{good}");
            }
        }
    }

    #[test]
    fn each_kind_of_error_has_a_code_of_its_own() {
        let field = Field::HsaId;
        let all = [
            IdentityError::Character { field, found: 'x' },
            IdentityError::CheckDigit { field },
            IdentityError::Date { field },
            IdentityError::Form { field, expected: "form" },
            IdentityError::Length { field, found: 0, fewest: 1, most: 2 },
            IdentityError::MixedScripts { field, first: Script::Latin, found: 'я' },
            IdentityError::NotNormalised { field },
            IdentityError::NotATestIdentity { field },
            IdentityError::OtherKind { field, expected: "form" },
            IdentityError::TestIdentityInProduction { field },
        ];

        let codes: std::collections::BTreeSet<_> = all.iter().map(IdentityError::code).collect();

        assert_eq!(codes.len(), all.len());
        assert!(all.iter().all(|error| error.refusal().seen.contains("hsa_id")));
    }
}
