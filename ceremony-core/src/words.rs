//! A hash as people read and hear it: 32 words, or 16 groups of four hexadecimal digits.
//!
//! Words alternate between two lists, so that one left out or two changed places are heard at once.

mod pgp;

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use pgp::PGP;

/// Digits of a group of hexadecimal digits.
const GROUP: usize = 4;
/// Groups of a line when all are written.
const GROUPS_A_LINE: usize = 8;
/// Words of a line when all are written.
const WORDS_A_LINE: usize = 4;

/// A SHA-256, 32 octets. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes a SHA-256 that was computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 32 words of the PGP word list.
    #[must_use]
    pub fn words(&self) -> [&'static str; 32] {
        words_of(&self.0)
    }

    /// The words in lines of four, as they are read aloud.
    #[must_use]
    pub fn lines_of_words(&self) -> Vec<String> {
        self.words().chunks(WORDS_A_LINE).map(|line| line.join(" ")).collect()
    }

    /// Reads a hash from paper: 32 words in any case, or 64 hexadecimal digits, in groups or not.
    ///
    /// # Errors
    ///
    /// [`NotOnPaper`] names the first word that cannot stand where it stands: one was left out or misread, or two
    /// changed places.
    pub fn from_paper(text: &str) -> Result<Self, NotOnPaper> {
        let digits: String = text.split_whitespace().collect();
        if let Ok(read) = digits.to_lowercase().parse() {
            return Ok(read);
        }
        let mut bytes = [0; 32];
        octets_of(text, &mut bytes)?;
        Ok(Self(bytes))
    }

    /// 16 groups of four digits, with a space between two.
    #[must_use]
    pub fn groups(&self) -> String {
        self.lines_of_groups().join(" ")
    }

    /// The groups in two lines of eight.
    #[must_use]
    pub fn lines_of_groups(&self) -> Vec<String> {
        let digits: Vec<char> = self.to_string().chars().collect();
        let groups: Vec<String> =
            digits.chunks(GROUP).map(|group| group.iter().collect()).collect();
        groups.chunks(GROUPS_A_LINE).map(|line| line.join(" ")).collect()
    }
}

/// The words of some octets, from the two lists in turn.
pub(crate) fn words_of<const N: usize>(octets: &[u8; N]) -> [&'static str; N] {
    let mut words = [""; N];
    for (place, (word, octet)) in words.iter_mut().zip(octets).enumerate() {
        let (even, odd) = PGP.get(usize::from(*octet)).copied().unwrap_or(("", ""));
        *word = if place.is_multiple_of(2) { even } else { odd };
    }
    words
}

/// Reads words, in any case, into octets.
pub(crate) fn octets_of(text: &str, octets: &mut [u8]) -> Result<(), NotOnPaper> {
    let mut seen = 0_usize;
    for (place, word) in text.split_whitespace().enumerate() {
        seen = place.saturating_add(1);
        let Some(octet) = octets.get_mut(place) else { continue };
        let is_even = place.is_multiple_of(2);
        let here = |(even, odd): &(&str, &str)| {
            if is_even { even } else { odd }.eq_ignore_ascii_case(word)
        };
        let found = PGP.iter().position(here).and_then(|found| u8::try_from(found).ok());
        *octet = found.ok_or_else(|| NotOnPaper::Word { number: seen, seen: word.to_owned() })?;
    }
    if seen != octets.len() {
        return Err(NotOnPaper::Count { seen });
    }
    Ok(())
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let mut bytes = [0; 32];
        match base16ct::lower::decode(text, &mut bytes) {
            Ok(decoded) if decoded.len() == 32 => Ok(Self(bytes)),
            _ => Err(NotAFingerprint { seen: text.to_owned() }),
        }
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text is no SHA-256.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{seen:?} is no SHA-256 of 64 lower-case hexadecimal digits")]
pub struct NotAFingerprint {
    /// The text.
    pub seen: String,
}

/// What was read from paper is no SHA-256.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotOnPaper {
    /// A word that cannot stand there.
    #[error(
        "word {number}, {seen:?}, cannot stand there: one was left out or misread, or two changed places"
    )]
    Word {
        /// Its place, counted from 1.
        number: usize,
        /// What was read.
        seen: String,
    },
    /// Too few or too many.
    #[error("{seen} words, a SHA-256 has 32 (or 64 hexadecimal digits)")]
    Count {
        /// Words.
        seen: usize,
    },
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The vectors of the tools of the DNS root's ceremonies (iana-org/dnssec-keytools, test_wordlist.py).
    #[test]
    fn a_hash_reads_as_at_the_ceremonies_of_the_dns_root() {
        for (message, hexadecimal, words) in [
            (
                "mekmitasdigoat",
                "8d9eadc1f305d46f1f203886aa5df98f1ed62fcbacc23d2f6732d24d928703e8",
                "optic onlooker ringbolt recover upset almighty steamship hemisphere billiard butterfat classic \
                 letterhead reward filament waffle midsummer berserk speculate cement revival ribcage repellent \
                 commence combustion freedom component standard disruptive physique liberty acme typewriter",
            ),
            (
                "The quick brown fox jumps over the lazy dog",
                "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592",
                "stopwatch paramount watchword pocketful ahead stethoscope merit molecule gazelle revenue pupil \
                 pyramid ruffled antenna buzzard document optic escapade drunken tradition goggles crossover \
                 suspense impetus button aftermath stagnate rebellion clamshell retrospect topmost misnomer",
            ),
        ] {
            let fingerprint = Fingerprint::of(message.as_bytes());

            assert_eq!(fingerprint.to_string(), hexadecimal);
            assert_eq!(fingerprint.words().join(" "), words);
            assert_eq!(fingerprint.lines_of_words().join(" "), words);
            for paper in [words, &words.to_uppercase(), hexadecimal, &fingerprint.groups()] {
                assert_eq!(Fingerprint::from_paper(paper), Ok(fingerprint), "{paper}");
            }
        }
    }

    /// N38: two words that changed places, one left out, one too many.
    #[test]
    fn what_was_misread_is_named_by_its_place() {
        let words = Fingerprint::of(b"mekmitasdigoat").words();
        let read = |words: &[&str]| Fingerprint::from_paper(&words.join(" ")).unwrap_err();
        let mut swapped = words;
        swapped.swap(6, 7);
        let seen = swapped[6].to_owned();
        assert_eq!(read(&swapped), NotOnPaper::Word { number: 7, seen });
        let left_out = [&words[..10], &words[11..]].concat();
        assert!(matches!(read(&left_out), NotOnPaper::Word { number: 11, .. }));
        assert_eq!(read(&words[..31]), NotOnPaper::Count { seen: 31 });
        assert_eq!(read(&[words.as_slice(), &["optic"]].concat()), NotOnPaper::Count { seen: 33 });
        assert_eq!(read(&[]), NotOnPaper::Count { seen: 0 });
    }

    #[test]
    fn no_word_stands_for_two_octets() {
        let words: BTreeSet<String> =
            PGP.iter().flat_map(|(even, odd)| [even.to_lowercase(), odd.to_lowercase()]).collect();

        assert_eq!(words.len(), 512);
    }

    #[test]
    fn digits_come_in_groups_of_four() {
        let fingerprint = Fingerprint::of(b"mekmitasdigoat");

        let groups = fingerprint.groups();

        assert_eq!(groups.split(' ').count(), 16);
        assert!(groups.starts_with("8d9e adc1 f305 "), "{groups}");
        assert_eq!(groups.replace(' ', "").parse(), Ok(fingerprint));
    }

    #[test]
    fn refuses_what_is_no_hash() {
        let hash = Fingerprint::of(b"").to_string();
        for text in ["", "00", &hash[1..], &format!("{hash}00"), &hash.to_uppercase()] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
