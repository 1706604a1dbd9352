//! The one form of a plan's text: what the eye reads is what is hashed.
//!
//! The hash is that of the file's bytes, so that `sha256sum` on any machine shows it. For that no two plans may look
//! alike: a plan is UTF-8 in NFC, its lines end with a line feed, and it has no tab and nothing invisible.

use thiserror::Error;
use unicode_normalization::is_nfc;

/// Longest plan, in octets: a plan that cannot be read in an evening is not reviewed.
pub const MAX_OCTETS: usize = 256 * 1024;

/// Takes bytes that are in the one form.
pub(super) fn read(bytes: &[u8]) -> Result<&str, TextFault> {
    if bytes.len() > MAX_OCTETS {
        return Err(TextFault::Long { seen: bytes.len() });
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| TextFault::Utf8 { at: error.valid_up_to() })?;
    for (line, text) in (1..).zip(text.split('\n')) {
        if let Some(seen) = text.chars().find(|c| c.is_control() || is_invisible(*c)) {
            return Err(TextFault::Invisible { line, code: u32::from(seen) });
        }
        if text.ends_with(' ') {
            return Err(TextFault::Trailing { line });
        }
        if !is_nfc(text) {
            return Err(TextFault::Form { line });
        }
    }
    if !text.ends_with('\n') {
        return Err(TextFault::End);
    }
    Ok(text)
}

/// Whether a character has no ink, or changes the order in which others are read, and is no plain space.
fn is_invisible(c: char) -> bool {
    (c.is_whitespace() && c != ' ')
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffd}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Why bytes are not in the one form.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TextFault {
    /// Too long.
    #[error("{seen} octets; a plan has at most {MAX_OCTETS}")]
    Long {
        /// Octets.
        seen: usize,
    },
    /// No UTF-8.
    #[error("octet {at} begins no character of UTF-8")]
    Utf8 {
        /// Counted from 0.
        at: usize,
    },
    /// A control character, or one that is not seen.
    #[error(
        "line {line} has the character U+{code:04X}, which is not seen: use spaces and line feeds alone"
    )]
    Invisible {
        /// Counted from 1.
        line: usize,
        /// The character.
        code: u32,
    },
    /// Spaces at the end of a line.
    #[error("line {line} ends with a space, which is not seen")]
    Trailing {
        /// Counted from 1.
        line: usize,
    },
    /// Letters and their accents apart.
    #[error("line {line} is not in Unicode's form NFC")]
    Form {
        /// Counted from 1.
        line: usize,
    },
    /// The last line is broken off.
    #[error("the last line has no end")]
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_letters_that_are_seen() {
        assert_eq!(read("a = \"Åsa\" # ö\n".as_bytes()), Ok("a = \"Åsa\" # ö\n"));
    }

    #[test]
    fn refuses_what_looks_like_another_text() {
        for (text, line) in [
            ("a\tb\n", 1),
            ("a\r\n", 1),
            ("a\n\u{feff}b\n", 2),
            ("a\u{a0}b\n", 1),
            ("a\u{202e}b\n", 1),
            ("\n\na\u{200b}\n", 3),
            ("a\u{2028}b\n", 1),
            ("a\u{0}\n", 1),
        ] {
            let fault = read(text.as_bytes()).unwrap_err();
            assert!(
                matches!(fault, TextFault::Invisible { line: seen, .. } if seen == line),
                "{text:?}"
            );
        }
        assert_eq!(read(b"a \n"), Err(TextFault::Trailing { line: 1 }));
        assert_eq!(read("A\u{30a}sa\n".as_bytes()), Err(TextFault::Form { line: 1 }));
        assert_eq!(read(b"a\nb"), Err(TextFault::End));
        assert_eq!(read(b""), Err(TextFault::End));
        assert_eq!(read(b"a\xff\n"), Err(TextFault::Utf8 { at: 1 }));
        let long = vec![b'\n'; MAX_OCTETS + 1];
        assert_eq!(read(&long), Err(TextFault::Long { seen: MAX_OCTETS + 1 }));
    }
}
