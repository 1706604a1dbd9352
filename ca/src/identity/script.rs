//! Which letters belong together: the scripts of Europe's population registers.

use std::fmt;

use serde::Deserialize;

use super::{Field, IdentityError};

/// A script that names may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Script {
    /// Cyrillic letters, those of minority languages included.
    Cyrillic,
    /// Greek letters with tonos and dialytika.
    Greek,
    /// Latin letters, those of all languages of Europe and Vietnamese.
    Latin,
}

impl Script {
    /// The script of a letter; `None` for everything else.
    #[must_use]
    pub const fn of(letter: char) -> Option<Self> {
        match letter {
            'a'..='z' | 'A'..='Z' => Some(Self::Latin),
            // No multiplication and division signs, no click letters, which look like other signs.
            '\u{d7}' | '\u{f7}' | '\u{1c0}'..='\u{1c3}' => None,
            // With the schwa of Azerbaijani and the ezh of Skolt Sámi, which stand apart.
            '\u{c0}'..='\u{24f}' | '\u{259}' | '\u{292}' | '\u{1e00}'..='\u{1eff}' => {
                Some(Self::Latin)
            }
            '\u{386}' | '\u{388}'..='\u{38a}' | '\u{38c}' | '\u{38e}'..='\u{3a1}' => {
                Some(Self::Greek)
            }
            '\u{3a3}'..='\u{3ce}' => Some(Self::Greek),
            '\u{400}'..='\u{481}' | '\u{48a}'..='\u{52f}' => Some(Self::Cyrillic),
            _ => None,
        }
    }

    /// The one script of the letters in `text`; `None` without letters.
    ///
    /// # Errors
    ///
    /// [`IdentityError::MixedScripts`]: letters that look alike would otherwise make two names of
    /// one.
    pub(super) fn one_of(field: Field, text: &str) -> Result<Option<Self>, IdentityError> {
        let mut letters = text.chars().filter_map(|c| Some((c, Self::of(c)?)));
        let Some((_, first)) = letters.next() else { return Ok(None) };
        match letters.find(|(_, script)| *script != first) {
            Some((found, _)) => Err(IdentityError::MixedScripts { field, first, found }),
            None => Ok(Some(first)),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cyrillic => "Cyrillic",
            Self::Greek => "Greek",
            Self::Latin => "Latin",
        })
    }
}
