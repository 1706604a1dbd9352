//! Protected persons: what Skatteverket has marked in the population register, and what nobody sees without the role (DAT-01).

use std::fmt;
use std::str::FromStr;

use crate::life::{Named, Word};

/// How a person is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtectionClass {
    /// *Sekretessmarkering*: the details are marked as secret.
    Marked,
    /// *Skyddad folkbokföring*: the person is registered where he does not live.
    Relocated,
}

impl ProtectionClass {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Marked, Self::Relocated];

    /// Its word in calls and in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.word().name
    }
}

impl Named for ProtectionClass {
    fn word(self) -> Word {
        match self {
            Self::Marked => Word::new("confidentiality-marking", "Sekretessmarkering"),
            Self::Relocated => Word::new("protected-registration", "Skyddad folkbokföring"),
        }
    }
}

impl fmt::Display for ProtectionClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ProtectionClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or(UnknownClass)
    }
}

/// The word names no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no class of protection")]
pub struct UnknownClass;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_read_by_its_word_and_no_other() {
        for class in ProtectionClass::ALL {
            assert_eq!(class.name().parse(), Ok(class));
        }
        for word in ["", "none", "Sekretessmarkering"] {
            assert_eq!(word.parse::<ProtectionClass>(), Err(UnknownClass));
        }
    }
}
