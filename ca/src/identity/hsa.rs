//! HSA-ids: the health-care directory's names of persons and functions.

use std::fmt;

use super::{Field, IdentityError, every_character, length_within};
use crate::deployment::Environment;

/// An HSA-id: in production `SE`, a 10-digit organisation number, a hyphen and letters and digits;
/// elsewhere one of the test forms. At most 31 characters (Inera: HSA-id).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HsaId(String);

/// Test forms: a prefix, how many digits follow it, and then a hyphen and the rest. All have been
/// seen in published test certificates or slides.
const TEST_FORMS: [(&str, usize); 9] = [
    ("TST", 10),
    ("TSTNMT", 10),
    ("MTT", 10),
    ("ATT", 10),
    ("YTT", 10),
    ("T-SERVICES-SE16", 10),
    ("T-SERVICES-SE", 10),
    ("HSATEST2", 0),
    ("HSASERVICES", 0),
];

const REAL_FORM: (&str, usize) = ("SE", 10);

impl HsaId {
    /// The most characters.
    pub const MAX: usize = 31;

    /// Reads an HSA-id of `environment`.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: alphabet, length, form; [`IdentityError::NotATestIdentity`] for a real
    /// HSA-id outside production, and [`IdentityError::TestIdentityInProduction`] for a test form in
    /// it (DAT-08).
    pub fn parse(text: &str, environment: Environment) -> Result<Self, IdentityError> {
        let field = Field::HsaId;
        length_within(field, text, 1, Self::MAX)?;
        every_character(field, text, |c| c.is_ascii_alphanumeric() || c == '-')?;
        let of_test = TEST_FORMS.into_iter().any(|form| has_form(text, form));
        if !of_test && !has_form(text, REAL_FORM) {
            let expected = if environment.allows_only_test_identities() {
                "a test prefix such as TST, 10 digits, hyphen, letters and digits"
            } else {
                "SE, 10 digits of the organisation number, hyphen, letters and digits"
            };
            return Err(IdentityError::Form { field, expected });
        }
        environment.admits_identity(field, of_test)?;
        Ok(Self(text.to_owned()))
    }

    /// The HSA-id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HsaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn has_form(text: &str, (prefix, digits): (&str, usize)) -> bool {
    let Some(rest) = text.strip_prefix(prefix) else { return false };
    let Some((number, object)) = rest.split_at_checked(digits) else { return false };
    let Some(object) = object.strip_prefix('-') else { return false };
    number.bytes().all(|b| b.is_ascii_digit())
        && !object.is_empty()
        && object.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(text: &str) -> Result<HsaId, IdentityError> {
        HsaId::parse(text, Environment::Test)
    }

    fn prod(text: &str) -> Result<HsaId, IdentityError> {
        HsaId::parse(text, Environment::Prod)
    }

    #[test]
    fn reads_every_published_test_form() {
        for id in [
            "TST2321000016-1002",
            "TST2321000131-1000",
            "TST5565594230-11JG",
            "TSTNMT2321000156-1024",
            "TSTNMT2321000156-B02",
            "MTT5565594230-11JL",
            "ATT5565594258-15FK",
            "YTT5565594256-25RL",
            "T-SERVICES-SE165565594230-10RF",
            "HSATEST2-DGQ",
            "HSASERVICES-100S",
        ] {
            assert!(test(id).is_ok(), "{id}");
            assert_eq!(
                prod(id),
                Err(IdentityError::TestIdentityInProduction { field: Field::HsaId }),
                "{id}"
            );
        }
    }

    #[test]
    fn reads_the_real_form_in_production_only() {
        assert!(prod("SE5565594230-BCQ").is_ok());
        for environment in [Environment::Test, Environment::Qa] {
            assert_eq!(
                HsaId::parse("SE5565594230-BCQ", environment),
                Err(IdentityError::NotATestIdentity { field: Field::HsaId })
            );
        }
    }

    /// PRO-02: an HSA-id with an illegal character is refused, never mangled.
    #[test]
    fn refuses_other_alphabets_forms_and_lengths() {
        for id in ["T_SERVICES_SE165565594230-10RF", "TST2321000016-1å", "TST2321000016-1@", " TST"]
        {
            assert!(matches!(test(id), Err(IdentityError::Character { .. })), "{id}");
        }
        for id in
            ["TST232100001-1002", "TST2321000016", "TST2321000016-", "TST2321000016-1-2", "X-1"]
        {
            assert!(matches!(test(id), Err(IdentityError::Form { .. })), "{id}");
        }
        for id in [String::new(), format!("TST2321000016-{}", "1".repeat(18))] {
            assert!(matches!(test(&id), Err(IdentityError::Length { .. })), "{id}");
        }
        assert!(matches!(prod("SEZ2321000016-162M"), Err(IdentityError::Form { .. })));
    }
}
