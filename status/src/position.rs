//! Where in the status log an entry stands.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A place in the status log: its epoch and the leaf index there. Ordered as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The leaf index, from 0, without gaps.
    pub index: u64,
}

impl fmt::Display for Position {
    /// Writes `epoch.index`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.index)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    /// Reads what [`fmt::Display`] writes and nothing else.
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (epoch, index) = text.split_once('.').ok_or(PositionError)?;
        let position = Self {
            epoch: epoch.parse().map_err(|_| PositionError)?,
            index: index.parse().map_err(|_| PositionError)?,
        };
        if position.to_string() == text { Ok(position) } else { Err(PositionError) }
    }
}

/// The text is not a position.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("position is not <epoch>.<index> in decimal without leading zeroes")]
pub struct PositionError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_and_is_ordered_by_epoch_first() {
        let early = Position { epoch: 1, index: u64::MAX };
        let late = Position { epoch: 2, index: 0 };

        assert!(early < late);
        assert_eq!(early.to_string(), "1.18446744073709551615");
        assert_eq!(early.to_string().parse(), Ok(early));
    }

    #[test]
    fn refuses_other_spellings() {
        for text in ["", "1", "1.", ".1", "01.1", "1.01", "+1.1", "1.1.1", "1.-1", "4294967296.0"] {
            assert_eq!(text.parse::<Position>(), Err(PositionError), "{text}");
        }
    }
}
