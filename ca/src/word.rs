//! Names that reviewed files give to things, and titles that people read.

use serde::Deserialize;
use serde::de::Error as _;

/// Whether a text can be such a name: 1 to 64 characters a-z0-9 and hyphens, a letter or digit first
/// and last.
pub(crate) fn is_word(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=64).contains(&text.len())
        && text.chars().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Declares a name of its own type: `word_type!(/// docs. Name);`.
macro_rules! word_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Takes 1 to 64 characters a-z0-9 and inner hyphens; `None` for anything else.
            #[must_use]
            pub fn new(text: &str) -> Option<Self> {
                $crate::word::is_word(text).then(|| Self(text.to_owned()))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                Self::new(&text).ok_or_else(|| {
                    serde::de::Error::custom(format!(
                        "{text:?} is no name of 1 to 64 characters a-z0-9 and inner hyphens"
                    ))
                })
            }
        }
    };
}

pub(crate) use word_type;

/// What people read: the same in Swedish and English, 1 to 120 characters each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    #[serde(deserialize_with = "title_text")]
    sv: String,
    #[serde(deserialize_with = "title_text")]
    en: String,
}

impl Title {
    /// The same text in both languages; `None` for what is no title.
    pub(crate) fn same(text: &str) -> Option<Self> {
        is_word(text).then(|| Self { sv: text.to_owned(), en: text.to_owned() })
    }

    /// In Swedish.
    #[must_use]
    pub fn swedish(&self) -> &str {
        &self.sv
    }

    /// In English.
    #[must_use]
    pub fn english(&self) -> &str {
        &self.en
    }
}

fn title_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let length = text.chars().count();
    if !(1..=120).contains(&length) || text.trim() != text || text.chars().any(char::is_control) {
        return Err(D::Error::custom(format!(
            "{text:?} is no title of 1 to 120 characters without control characters"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_short_lower_case_and_has_no_outer_hyphen() {
        for word in ["a", "office-visit", "loa2-ended", "1"] {
            assert!(is_word(word), "{word}");
        }
        let long = "a".repeat(65);
        for word in ["", "-a", "a-", "A", "å", "a b", "a/b", &long] {
            assert!(!is_word(word), "{word}");
        }
    }

    #[test]
    fn a_title_has_both_languages_and_one_line() {
        let read = |text: &str| toml::from_str::<Title>(text);

        assert_eq!(read("sv = \"Pass\"\nen = \"Passport\"").unwrap().swedish(), "Pass");
        for text in [
            "sv = \"a\"",
            "sv = \"a\"\nen = \"\"",
            "sv = \"a\\nb\"\nen = \"b\"",
            "sv = \" a\"\nen = \"b\"",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
