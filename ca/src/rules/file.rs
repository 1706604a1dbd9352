//! Rule files as they are written, and what of them cannot be.

use std::collections::BTreeSet;

use serde::Deserialize;
use thiserror::Error;

use super::{
    Dispensation, Hours, Restriction, RuleBook, RuleId, RuleName, Scope, Window, WindowDays,
};
use crate::calendar::{Calendar, Eve, NoTimeOfDay, TimeOfDay, Weekday};
use crate::carrier::CarrierKind;
use crate::day::Day;
use crate::identity::{Days, IdentityError, IdentityKindId, OrganisationNumber};
use crate::profile::{ProfileName, TrustLevel, span};
use crate::routine::RoutineName;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    version: u32,
    calendar: Option<CalendarFile>,
    #[serde(default)]
    restriction: Vec<RestrictionFile>,
    #[serde(default)]
    dispensation: Vec<DispensationFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CalendarFile {
    eves: Vec<Eve>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RestrictionFile {
    id: RuleId,
    says: String,
    source: String,
    from: Day,
    until: Option<Day>,
    #[serde(default)]
    scope: ScopeFile,
    within: Option<WindowFile>,
    not_within: Option<WindowFile>,
    longest: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DispensationFile {
    id: RuleId,
    of: RuleId,
    source: String,
    from: Option<Day>,
    /// A dispensation without an end would be another rule.
    until: Day,
    #[serde(default)]
    scope: ScopeFile,
    within: Option<WindowFile>,
    not_within: Option<WindowFile>,
    longest: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeFile {
    levels: Option<Vec<LevelWord>>,
    carriers: Option<Vec<CarrierKind>>,
    identities: Option<Vec<IdentityKindId>>,
    profiles: Option<Vec<String>>,
    organisations: Option<Vec<String>>,
    routines: Option<Vec<RoutineName>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LevelWord {
    Loa2,
    Loa3,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowFile {
    days: DaysFile,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum DaysFile {
    Kind(DaysWord),
    Weekdays(Vec<Weekday>),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DaysWord {
    Workdays,
    WeekendsAndHolidays,
}

impl RuleBook {
    /// Reads all rule files: their names, for errors, and their bytes. Exactly one of them has the
    /// calendar.
    ///
    /// # Errors
    ///
    /// [`RuleFileError`]: the first file or rule that is not what it should be.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, RuleFileError> {
        let mut calendar = None;
        let (mut restrictions, mut dispensations) = (Vec::new(), Vec::new());
        for (path, bytes) in files {
            let file = read(path, bytes)?;
            if let Some(CalendarFile { eves }) = file.calendar
                && calendar.replace(Calendar::new(eves)).is_some()
            {
                return Err(RuleFileError::CalendarTwice { path: path.to_owned() });
            }
            restrictions.extend(file.restriction);
            dispensations.extend(file.dispensation);
        }
        let calendar = calendar.ok_or(RuleFileError::NoCalendar)?;
        let mut seen = BTreeSet::new();
        let ids = restrictions.iter().map(|rule| &rule.id);
        for id in ids.chain(dispensations.iter().map(|rule| &rule.id)) {
            if !seen.insert(id.clone()) {
                return Err(RuleFileError::Twice { rule: RuleName(id.clone()) });
            }
        }
        let mut restrictions: Vec<Restriction> =
            restrictions.into_iter().map(RestrictionFile::check).collect::<Result<_, _>>()?;
        for dispensation in dispensations {
            let of = restrictions.iter_mut().find(|rule| *rule.name.id() == dispensation.of);
            let Some(of) = of else {
                return Err(RuleFileError::OfNothing {
                    rule: RuleName(dispensation.id),
                    of: dispensation.of,
                });
            };
            let dispensation = dispensation.check(of.days.from)?;
            of.dispensations.push(dispensation);
        }
        Ok(Self { calendar, restrictions })
    }
}

fn read(path: &str, bytes: &[u8]) -> Result<RuleFile, RuleFileError> {
    let path = || path.to_owned();
    let text = str::from_utf8(bytes).map_err(|_| RuleFileError::Utf8 { path: path() })?;
    let file: RuleFile = toml::from_str(text)
        .map_err(|error| RuleFileError::Toml { path: path(), source: Box::new(error) })?;
    match file.version {
        0 => Err(RuleFileError::Version { path: path() }),
        _ => Ok(file),
    }
}

impl RestrictionFile {
    fn check(self) -> Result<Restriction, RuleFileError> {
        let name = RuleName(self.id);
        spoken(&name, "says", &self.says)?;
        spoken(&name, "source", &self.source)?;
        Ok(Restriction {
            days: days(&name, self.from, self.until)?,
            scope: self.scope.check(&name)?,
            hours: hours(&name, self.within, self.not_within)?,
            longest: longest(&name, self.longest)?,
            dispensations: Vec::new(),
            says: self.says,
            name,
        })
    }
}

impl DispensationFile {
    fn check(self, restricted_from: Day) -> Result<Dispensation, RuleFileError> {
        let name = RuleName(self.id);
        spoken(&name, "source", &self.source)?;
        Ok(Dispensation {
            days: days(&name, self.from.unwrap_or(restricted_from), Some(self.until))?,
            scope: self.scope.check(&name)?,
            hours: hours(&name, self.within, self.not_within)?,
            longest: longest(&name, self.longest)?,
            name,
        })
    }
}

impl ScopeFile {
    fn check(self, rule: &RuleName) -> Result<Scope, RuleFileError> {
        let profile = |text: String| text.parse::<ProfileName>().ok();
        let organisation = |text: String| {
            OrganisationNumber::parse(&text).map_err(|source| RuleFileError::Organisation {
                rule: rule.clone(),
                found: text,
                source,
            })
        };
        let profiles = listed(rule, "profiles", self.profiles)?;
        let organisations = listed(rule, "organisations", self.organisations)?;
        let levels = self.levels.map(|words| words.into_iter().map(TrustLevel::from).collect());
        Ok(Scope {
            levels: listed(rule, "levels", levels)?,
            carriers: listed(rule, "carriers", self.carriers)?,
            identities: listed(rule, "identities", self.identities)?,
            profiles: profiles
                .into_iter()
                .map(profile)
                .collect::<Option<_>>()
                .ok_or_else(|| RuleFileError::Listed { rule: rule.clone(), key: "profiles" })?,
            organisations: organisations.into_iter().map(organisation).collect::<Result<_, _>>()?,
            routines: listed(rule, "routines", self.routines)?,
        })
    }
}

impl From<LevelWord> for TrustLevel {
    fn from(word: LevelWord) -> Self {
        match word {
            LevelWord::Loa2 => Self::Loa2,
            LevelWord::Loa3 => Self::Loa3,
        }
    }
}

/// A list that is there has something in it, and nothing twice.
fn listed<T: PartialEq>(
    rule: &RuleName,
    key: &'static str,
    list: Option<Vec<T>>,
) -> Result<Vec<T>, RuleFileError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let twice = list.iter().enumerate().any(|(n, one)| list.iter().skip(n + 1).any(|o| o == one));
    if list.is_empty() || twice {
        return Err(RuleFileError::Listed { rule: rule.clone(), key });
    }
    Ok(list)
}

fn spoken(rule: &RuleName, key: &'static str, text: &str) -> Result<(), RuleFileError> {
    let plain = !text.trim().is_empty() && !text.chars().any(char::is_control);
    if plain { Ok(()) } else { Err(RuleFileError::Unsaid { rule: rule.clone(), key }) }
}

fn days(rule: &RuleName, from: Day, until: Option<Day>) -> Result<Days, RuleFileError> {
    match until.filter(|until| *until < from) {
        Some(until) => Err(RuleFileError::Period { rule: rule.clone(), from, until }),
        None => Ok(Days { from, until }),
    }
}

fn longest(
    rule: &RuleName,
    text: Option<String>,
) -> Result<Option<std::time::Duration>, RuleFileError> {
    text.map(|found| {
        span(&found).ok_or_else(|| RuleFileError::Longest { rule: rule.clone(), found })
    })
    .transpose()
}

fn hours(
    rule: &RuleName,
    within: Option<WindowFile>,
    not_within: Option<WindowFile>,
) -> Result<Hours, RuleFileError> {
    let read = |file: Option<WindowFile>| file.map(|file| window(rule, file)).transpose();
    Ok(Hours { within: read(within)?, not_within: read(not_within)? })
}

fn window(rule: &RuleName, file: WindowFile) -> Result<Window, RuleFileError> {
    let time = |text: Option<String>, otherwise| match text {
        None => Ok(otherwise),
        Some(text) => text
            .parse::<TimeOfDay>()
            .map_err(|source| RuleFileError::Time { rule: rule.clone(), source }),
    };
    let (from, to) = (time(file.from, TimeOfDay::MIDNIGHT)?, time(file.to, TimeOfDay::END)?);
    if to <= from {
        return Err(RuleFileError::Window { rule: rule.clone(), from, to });
    }
    let days = match file.days {
        DaysFile::Kind(DaysWord::Workdays) => WindowDays::Workdays,
        DaysFile::Kind(DaysWord::WeekendsAndHolidays) => WindowDays::WeekendsAndHolidays,
        DaysFile::Weekdays(days) => WindowDays::Weekdays(listed(rule, "days", Some(days))?),
    };
    Ok(Window { days, from, to })
}

/// Why files are no rule book.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RuleFileError {
    /// Two files have a calendar.
    #[error("{path} has a [calendar], and a file before it has one too")]
    CalendarTwice {
        /// The second file.
        path: String,
    },
    /// An empty list, or one with something twice, or a name that is none.
    #[error("{rule} has {key} with nothing in it, with something twice, or with what is no name")]
    Listed {
        /// The rule.
        rule: RuleName,
        /// The list.
        key: &'static str,
    },
    /// Not a span of time.
    #[error("{rule} has longest = {found:?}, which is no span such as 14d")]
    Longest {
        /// The rule.
        rule: RuleName,
        /// What was found.
        found: String,
    },
    /// No file has a calendar.
    #[error("no rule file has a [calendar], by which days and hours are reckoned")]
    NoCalendar,
    /// A dispensation from nothing.
    #[error("{rule} is a dispensation of {of}, which is no restriction")]
    OfNothing {
        /// The dispensation.
        rule: RuleName,
        /// What it names.
        of: RuleId,
    },
    /// Not an organisation number.
    #[error("{rule} has the organisation {found:?}")]
    Organisation {
        /// The rule.
        rule: RuleName,
        /// What was found.
        found: String,
        /// Why.
        #[source]
        source: IdentityError,
    },
    /// It ends before it begins.
    #[error("{rule} has until = {until}, which is before its first day {from}")]
    Period {
        /// The rule.
        rule: RuleName,
        /// The first day.
        from: Day,
        /// The last day.
        until: Day,
    },
    /// Not a time of day.
    #[error("{rule} has a window whose hours cannot be read")]
    Time {
        /// The rule.
        rule: RuleName,
        /// Why.
        #[source]
        source: NoTimeOfDay,
    },
    /// Not TOML, or a key or word that does not exist; the message names line and key.
    #[error("{path} is not the TOML of rules")]
    Toml {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Two rules of one name.
    #[error("{rule} is there twice")]
    Twice {
        /// The rule.
        rule: RuleName,
    },
    /// A rule that does not say what it is or where it comes from.
    #[error("{rule} has an empty {key}, or control characters in it")]
    Unsaid {
        /// The rule.
        rule: RuleName,
        /// The key.
        key: &'static str,
    },
    /// Not UTF-8.
    #[error("{path} is not UTF-8 text")]
    Utf8 {
        /// The file.
        path: String,
    },
    /// Versions count from 1.
    #[error("{path} has version = 0; versions count from 1")]
    Version {
        /// The file.
        path: String,
    },
    /// A window without an hour in it. One over midnight is written as `not-within`.
    #[error("{rule} has a window from {from} to {to}, which ends no later than it begins")]
    Window {
        /// The rule.
        rule: RuleName,
        /// Its first second.
        from: TimeOfDay,
        /// The second after its last.
        to: TimeOfDay,
    },
}
