//! Names of persons, functions, organisations and places.

use unicode_normalization::is_nfc;

use super::{Field, IdentityError, every_character, length_within};

/// Letters of the Latin script that names in Nordic registers use, with their combining marks.
/// Everything else - other scripts, direction marks, emoji - is refused: the caller sends the name as
/// it stands in the register, transliterated there (PRO-07).
const fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic()
        || matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{300}'..='\u{36f}')
            && !matches!(c, '\u{d7}' | '\u{f7}' | '\u{34f}')
}

const fn is_personal(c: char) -> bool {
    is_latin(c) || matches!(c, ' ' | '-' | '\'' | '\u{2019}' | '.')
}

const fn is_organisational(c: char) -> bool {
    is_personal(c)
        || c.is_ascii_digit()
        || matches!(c, '&' | '(' | ')' | '/' | ',' | '+' | ':' | '_')
}

fn checked(
    field: Field,
    text: &str,
    most: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<String, IdentityError> {
    length_within(field, text, 1, most)?;
    every_character(field, text, allowed)?;
    if !is_nfc(text) {
        return Err(IdentityError::NotNormalised { field });
    }
    let stray = text.starts_with(' ') || text.ends_with(' ') || text.contains("  ");
    let begins_with_mark = text.starts_with(|c| matches!(c, '\u{300}'..='\u{36f}'));
    if stray || begins_with_mark {
        return Err(IdentityError::Form {
            field,
            expected: "words with single spaces between them",
        });
    }
    Ok(text.to_owned())
}

macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident, $field:expr, $most:literal, $allowed:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// The most characters.
            pub const MAX: usize = $most;

            /// Reads the name.
            ///
            /// # Errors
            ///
            /// [`IdentityError`]: length, characters, normalization, spaces.
            pub fn parse(text: &str) -> Result<Self, IdentityError> {
                checked($field, text, Self::MAX, $allowed).map(Self)
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// A person's given name. 64 characters is our limit; RFC 5280 (ub-name) has 32 768.
    GivenName,
    Field::GivenName,
    64,
    is_personal
);
name_type!(
    /// A person's surname. 64 characters is our limit; RFC 5280 (ub-name) has 32 768.
    Surname,
    Field::Surname,
    64,
    is_personal
);
name_type!(
    /// commonName: at most 64 characters (RFC 5280 ub-common-name).
    CommonName,
    Field::CommonName,
    64,
    |c| is_organisational(c) || c == '*'
);
name_type!(
    /// organizationName: at most 64 characters (RFC 5280 ub-organization-name).
    Organization,
    Field::Organization,
    64,
    is_organisational
);
name_type!(
    /// localityName: at most 128 characters (RFC 5280 ub-locality-name).
    Locality,
    Field::Locality,
    128,
    is_organisational
);

impl CommonName {
    /// A person's: given name, space, surname.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Length`] when both together pass 64 characters.
    pub fn of_person(given: &GivenName, surname: &Surname) -> Result<Self, IdentityError> {
        Self::parse(&format!("{} {}", given.as_str(), surname.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PRO-02: Swedish, Sámi, Finnish, Polish, Vietnamese and other Latin names.
    #[test]
    fn takes_the_names_of_the_registers_unchanged() {
        for name in [
            "Åsa",
            "Örjan",
            "Märta-Stina",
            "André",
            "Zoë",
            "Čálliidmánnu",
            "Máhtte",
            "Áŋŋel",
            "Ŋiŧŧo",
            "Đorđe",
            "Šárá",
            "Jõgi",
            "Łukasz",
            "Ñuñez",
            "Nguyễn",
            "O'Brien",
            "O’Brien",
            "von der Å",
            "St. John",
            "Þór",
            "Ægir",
            "Győző",
            "Ș",
            "İsmail",
            "ẞ",
        ] {
            assert_eq!(GivenName::parse(name).unwrap().as_str(), name);
            assert_eq!(Surname::parse(name).unwrap().as_str(), name);
        }
    }

    /// PRO-02: never mangled: refused by the character or form that is wrong.
    #[test]
    fn refuses_other_scripts_marks_emoji_and_controls() {
        for name in [
            "Иван",
            "محمد",
            "李",
            "Anna\u{202e}",
            "A\u{200d}B",
            "\u{feff}Anna",
            "Anna😀",
            "An\0na",
            "Anna\n",
            "Anna\t",
            "Anna\u{ad}",
            "A×B",
            "A\u{34f}B",
            "R2D2",
            "<b>",
            "A=B",
            "A,B",
            "A\"B",
        ] {
            assert!(
                matches!(GivenName::parse(name), Err(IdentityError::Character { .. })),
                "{name:?}"
            );
        }
    }

    #[test]
    fn refuses_decomposed_letters_stray_spaces_and_wrong_lengths() {
        assert!(matches!(GivenName::parse("A\u{30a}sa"), Err(IdentityError::NotNormalised { .. })));
        for name in [" Anna", "Anna ", "Anna  Karin", "\u{328}\u{301}nna"] {
            assert!(matches!(GivenName::parse(name), Err(IdentityError::Form { .. })), "{name:?}");
        }
        assert!(matches!(GivenName::parse(""), Err(IdentityError::Length { .. })));
        assert!(matches!(
            CommonName::parse(&"å".repeat(65)),
            Err(IdentityError::Length { found: 65, most: 64, .. })
        ));
        assert!(CommonName::parse(&"å".repeat(64)).is_ok());
    }

    #[test]
    fn a_persons_common_name_has_a_limit_of_its_own() {
        let given = GivenName::parse(&"a".repeat(40)).unwrap();
        let surname = Surname::parse(&"b".repeat(24)).unwrap();

        assert!(matches!(
            CommonName::of_person(&given, &surname),
            Err(IdentityError::Length { found: 65, .. })
        ));
    }

    #[test]
    fn organisations_have_digits_and_signs_that_persons_have_not() {
        assert!(Organization::parse("Region Östergötland & Co (2:a)").is_ok());
        assert!(GivenName::parse("Anna 2").is_err());
    }
}
