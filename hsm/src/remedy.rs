//! The way out when a PIN is not tried.

use std::fmt;
use std::path::PathBuf;

/// Where the PIN lies, where its refusal is marked, and the line that allows one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRemedy {
    /// The PIN file; none for a PIN that was typed.
    pub pin: Option<PathBuf>,
    /// The marker of refused PINs (docs/formats/key-files.md).
    pub marker: PathBuf,
    /// What the marker must say, without its newline.
    pub line: String,
}

impl fmt::Display for PinRemedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pin {
            Some(pin) => write!(f, "the PIN is in {}: ", pin.display())?,
            None => f.write_str("the PIN was typed: ")?,
        }
        let (line, marker) = (&self.line, self.marker.display());
        write!(f, "correct it, or if it is right write \"{line}\" into {marker}")
    }
}
