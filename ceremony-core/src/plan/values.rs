//! The values that stand in a plan, each with its own form.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use toml::value::{Datetime, Offset};
use x509::time::UnixTime;

/// A name that the plan gives to a thing: 1 to 64 characters a-z0-9 and inner hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(String);

impl Word {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=64).contains(&text.len())
            && text.chars().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if !fits {
            return Err(D::Error::custom(format!(
                "{text:?} is no name of 1 to 64 characters a-z0-9 and inner hyphens"
            )));
        }
        Ok(Self(text))
    }
}

/// One line for people: 1 to 200 characters, no space first or last.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Line(String);

impl Line {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = text.chars().count();
        // TOML writes characters by number too, so that the text of the file does not show them.
        let fits = (1..=200).contains(&length)
            && text.trim() == text
            && !text.chars().any(char::is_control)
            && super::text::read(format!("{text}\n").as_bytes()).is_ok();
        if !fits {
            return Err(D::Error::custom(format!("{text:?} is no line of 1 to 200 characters")));
        }
        Ok(Self(text))
    }
}

/// A file below the ceremony's folder: parts of a-z, A-Z, 0-9, `.`, `_` and `-`, none of which begins with a dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelativeFile(String);

impl RelativeFile {
    /// The name, parts divided by `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RelativeFile {
    /// The file of this number in a series: `-N` stands before the ending.
    pub(super) fn numbered(&self, number: usize) -> Self {
        Self(match self.0.rsplit_once('.') {
            Some((stem, ending)) if !ending.contains('/') => format!("{stem}-{number}.{ending}"),
            _ => format!("{}-{number}", self.0),
        })
    }
}

impl fmt::Display for RelativeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RelativeFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let part =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed);
        if text.len() > 128 || !text.split('/').all(part) {
            return Err(D::Error::custom(format!(
                "{text:?} is no file below the ceremony's folder: letters, digits, `.`, `_`, `-` and `/`, at most 128, no `..`"
            )));
        }
        Ok(Self(text))
    }
}

/// A second, written as a TOML date-time with the offset Z.
pub(crate) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixTime, D::Error> {
    let written = Datetime::deserialize(deserializer)?;
    let refused = |why: &dyn fmt::Display| {
        D::Error::custom(format!("{written} is no time such as 2026-11-24T07:00:00Z: {why}"))
    };
    let Datetime { date: Some(date), time: Some(time), offset: Some(Offset::Z) } = written else {
        return Err(refused(&"it needs day, time and the offset Z"));
    };
    let seconds = time.second.unwrap_or(0);
    if time.nanosecond.unwrap_or(0) != 0 || seconds > 59 {
        return Err(refused(&"it has parts of a second or a leap second"));
    }
    let of_day = u64::from(time.hour) * 3_600 + u64::from(time.minute) * 60 + u64::from(seconds);
    let day = UnixTime::of_day(date.year, date.month, date.day).map_err(|error| refused(&error))?;
    day.checked_add(Duration::from_secs(of_day))
        .ok_or_else(|| refused(&"it is after the year 9999"))
}

/// As [`moment`], where there is one.
pub(super) fn moment_if_any<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<UnixTime>, D::Error> {
    moment(deserializer).map(Some)
}

/// Whole days, hours or minutes: `180d`, `12h`, `10m`.
pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    read_span(&text).ok_or_else(|| {
        D::Error::custom(format!("{text:?} is no duration such as 180d, 12h or 10m"))
    })
}

fn read_span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        _ => return None,
    };
    let written =
        number.parse::<u32>().ok().filter(|count| *count > 0 && count.to_string() == number)?;
    Some(Duration::from_secs(u64::from(written) * unit))
}

/// What its type reads from a text, such as a type of key.
pub(super) fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Times {
        #[serde(deserialize_with = "moment")]
        at: UnixTime,
    }

    fn one<T: serde::de::DeserializeOwned>(value: &str) -> Option<T> {
        let table: toml::Table = format!("value = {value}").parse().ok()?;
        table["value"].clone().try_into().ok()
    }

    #[test]
    fn a_time_is_a_whole_second_of_utc() {
        let read =
            |text: &str| toml::from_str::<Times>(&format!("at = {text}")).map(|times| times.at);

        assert_eq!(read("2026-11-24T07:00:01Z").unwrap().to_string(), "2026-11-24T07:00:01Z");
        for text in [
            "2026-11-24",
            "2026-11-24T07:00:00",
            "2026-11-24T07:00:00+01:00",
            "2026-11-24T07:00:00.5Z",
            "2026-11-24T07:00:60Z",
            "\"2026-11-24T07:00:00Z\"",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_has_one_form() {
        assert_eq!(read_span("180d"), Some(Duration::from_secs(180 * 86_400)));
        assert_eq!(read_span("12h"), Some(Duration::from_secs(12 * 3_600)));
        for text in ["", "d", "0d", "01d", "+1d", "1.5d", "1y", "180", "1 d", "é", "99999999999d"]
        {
            assert_eq!(read_span(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_stays_below_the_folder() {
        for good in ["in/root.cer", "plan.toml", "in/profiles/root-2.toml"] {
            assert_eq!(one::<RelativeFile>(&format!("{good:?}")).unwrap().as_str(), good);
        }
        for bad in ["", "/etc/passwd", "../x", "in/../x", "in//x", "in/.x", "in/x ", "in/å", "C:x"]
        {
            assert!(one::<RelativeFile>(&format!("{bad:?}")).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_line_shows_what_it_holds() {
        assert_eq!(one::<Line>("\"Åsa Öberg\"").unwrap().as_str(), "Åsa Öberg");
        for bad in [r#""""#, r#"" a""#, r#""a\nb""#, r#""a\u202Eb""#, r#""a\u00A0b""#] {
            assert!(one::<Line>(bad).is_none(), "{bad}");
        }
        assert!(one::<Line>(&format!("{:?}", "a".repeat(201))).is_none());
    }

    #[test]
    fn a_name_is_short_and_lower_case() {
        assert_eq!(one::<Word>("\"root-key\"").unwrap().as_str(), "root-key");
        for bad in ["\"\"", "\"-a\"", "\"a-\"", "\"A\"", "\"a b\"", "\"å\"", "3"] {
            assert!(one::<Word>(bad).is_none(), "{bad}");
        }
    }
}
