//! Limits of the configuration: `[[limit]]` (ISS-22), `[revocation]` (REV-09) and `[reading]` (AUD-06).

use std::collections::BTreeMap;

use anyhow::Context as _;
use ca::limit::{HourLimit, Limit, Limits, Pattern, Sudden};
use ca::profile::ProfileSet;
use serde::Deserialize;

use crate::config::ConfigFile;
use crate::start::Told;

/// What one client may revoke without another one (REV-09).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RevocationSection {
    /// Certificates that one client revokes or holds in an hour of UTC by its own word, singly and by jobs together.
    /// Singly it is stopped there; a job of more needs the approval of another operator's client.
    #[serde(default = "default_alone")]
    pub(crate) alone: u64,
}

impl Default for RevocationSection {
    fn default() -> Self {
        Self { alone: default_alone() }
    }
}

fn default_alone() -> u64 {
    500
}

/// How many certificates a client may order under a profile in an hour of UTC (ISS-22).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LimitSection {
    /// The name of a client, or `*` for each.
    pub(crate) client: String,
    /// The name of a profile, its beginning with `*` behind it, or `*` for each.
    pub(crate) profile: String,
    /// So many are issued, further ones refused until the hour is over.
    pub(crate) per_hour: Option<u64>,
    /// What pauses client and profile until an operator lets them go on.
    pub(crate) sudden: Option<SuddenSection>,
}

/// A sudden change.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SuddenSection {
    /// More than so many times the mean of the same hour on the seven days before.
    pub(crate) times: u64,
    /// And at least so many in the hour.
    pub(crate) at_least: u64,
}

/// How much of persons one client is shown (AUD-06).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ReadingSection {
    /// Things of persons that one client is shown in an hour of UTC, of which its own section says nothing else: certificates, eIDs, orders and persons,
    /// each once an answer. Then it is shown nobody until the hour is over.
    #[serde(default = "default_reads")]
    pub(crate) per_hour: u64,
}

impl Default for ReadingSection {
    fn default() -> Self {
        Self { per_hour: default_reads() }
    }
}

/// More than all that an organisation of some ten thousand looks up or lists in an hour, and a hundredth of a country's register.
fn default_reads() -> u64 {
    50_000
}

/// How much of persons each client is shown in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadLimits {
    usual: u64,
    own: BTreeMap<String, u64>,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { usual: default_reads(), own: BTreeMap::new() }
    }
}

impl ReadLimits {
    pub(crate) fn read(config: &ConfigFile) -> Self {
        let own =
            config.clients.iter().filter_map(|one| Some((one.name.clone(), one.reads_per_hour?)));
        Self { usual: config.reading.per_hour, own: own.collect() }
    }

    /// Things of persons in an hour of UTC.
    pub(crate) fn of(&self, client: &str) -> u64 {
        self.own.get(client).copied().unwrap_or(self.usual)
    }
}

/// Reads the limits.
///
/// # Errors
///
/// Names the section whose values cannot be.
pub(crate) fn read(config: &ConfigFile) -> anyhow::Result<Limits> {
    let limits =
        config.limits.iter().map(|one| limit(one).with_context(|| Told::config(shown(one))));
    let limits = limits.collect::<anyhow::Result<Vec<_>>>()?;
    Limits::new(limits).with_context(|| Told::config("[[limit]]"))
}

/// Limits that hold nobody: their client is none of the configuration, or their profile none of the book. `serve`
/// tells of them and starts: whoever takes a client away whose key was stolen must not be kept from revoking.
pub(crate) fn unheld<'a>(
    config: &'a ConfigFile,
    profiles: &'a ProfileSet,
) -> impl Iterator<Item = anyhow::Error> {
    config.limits.iter().filter_map(move |section| {
        let limit = limit(section).ok()?;
        let clients = || config.clients.iter().any(|one| limit.client().fits(&one.name));
        let named = || profiles.iter().any(|one| limit.profile().fits(one.name().as_str()));
        let missing = match (clients(), named()) {
            (true, true) => return None,
            (false, _) => "no [[client]] has this name",
            (true, false) => "no profile has this name",
        };
        let what = format!("{}: {missing}", shown(section));
        Some(anyhow::Error::new(Told::config(what)))
    })
}

fn shown(section: &LimitSection) -> String {
    format!("[[limit]] client = {:?}, profile = {:?}", section.client, section.profile)
}

fn limit(section: &LimitSection) -> anyhow::Result<Limit> {
    let client = Pattern::parse(&section.client)?;
    let profile = Pattern::parse(&section.profile)?;
    let sudden = section.sudden.map(|one| Sudden { times: one.times, at_least: one.at_least });
    Ok(Limit::new(client, profile, HourLimit { per_hour: section.per_hour, sudden })?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The limits, and what is told of them.
    fn told_with(limits: &str) -> anyhow::Result<(Limits, Vec<String>)> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(manifest.join("../environments/demo/ca.toml")).unwrap();
        let before = text.split("[[limit]]").next().unwrap();
        let config: ConfigFile = toml::from_str(&format!("{before}\n{limits}"))?;
        let book = crate::book::read(&manifest.join("../profiles")).unwrap();
        let told = unheld(&config, book.profiles()).map(|error| format!("{error:#}")).collect();
        Ok((read(&config)?, told))
    }

    fn read_with(limits: &str) -> anyhow::Result<Limits> {
        told_with(limits).map(|(limits, _)| limits)
    }

    /// Whoever takes a client away and leaves its limit is told, and the program starts.
    #[test]
    fn a_limit_that_holds_nobody_is_told_of() {
        let limit = |client: &str, profile: &str| {
            format!("[[limit]]\nclient = \"{client}\"\nprofile = \"{profile}\"\nper-hour = 1\n")
        };
        for (client, profile, missing) in [
            ("gone", "*", Some("no [[client]] has this name")),
            ("portal", "persn-*", Some("no profile has this name")),
            ("portal", "person-*", None),
            ("*", "*", None),
        ] {
            let (limits, told) = told_with(&limit(client, profile)).unwrap();

            assert_ne!(limits, Limits::default());
            assert_eq!(told.len(), usize::from(missing.is_some()), "{told:?}");
            assert!(told.iter().all(|one| one.contains(missing.unwrap_or_default())), "{told:?}");
        }
    }

    /// AUD-06: each client is shown as much as its own section says, or as all are; and nobody without end.
    #[test]
    fn reads_how_much_each_client_is_shown() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(manifest.join("../environments/demo/ca.toml")).unwrap();
        let limits = |text: &str| ReadLimits::read(&toml::from_str(text).unwrap());
        let shown = limits(&text);
        assert_eq!((shown.of("portal"), shown.of("nobody")), (50_000, 50_000));
        let own = text.replacen("# reads-per-hour = 200000", "reads-per-hour = 7", 1);
        let fewer = own.replacen("per-hour = 50000", "per-hour = 9", 1);
        let shown = limits(&fewer);
        assert_eq!((shown.of("portal"), shown.of("nobody")), (7, 9));
        assert_eq!(ReadLimits::default().of("portal"), 50_000);
    }

    /// ISS-22.
    #[test]
    fn reads_limits_of_clients_and_profiles() {
        let limits = read_with(
            "[[limit]]\nclient = \"portal\"\nprofile = \"person-*\"\nper-hour = 2000\n\
             sudden = { times = 5, at-least = 200 }\n\
             [[limit]]\nclient = \"*\"\nprofile = \"*\"\nper-hour = 10\n",
        )
        .unwrap();

        let sudden = Some(Sudden { times: 5, at_least: 200 });
        let person = limits.of("portal", "person-hsaid-3-signature");
        assert_eq!(person, Some(HourLimit { per_hour: Some(2000), sudden }));
        let other = limits.of("portal", "function");
        assert_eq!(other, Some(HourLimit { per_hour: Some(10), sudden: None }));
        assert_eq!(read_with("").unwrap().of("portal", "function"), None);
    }

    /// ISS-22: a limit that cannot be keeps the program from starting.
    #[test]
    fn refuses_a_limit_that_cannot_be() {
        let limit = |client: &str, profile: &str, rest: &str| {
            format!("[[limit]]\nclient = \"{client}\"\nprofile = \"{profile}\"\n{rest}\n")
        };
        for (text, seen) in [
            (limit("por*", "*", "per-hour = 1"), "a client is named whole"),
            (limit("portal", "*-3", "per-hour = 1"), "\"*-3\" is no name"),
            (limit("portal", "*", ""), "neither `per-hour` nor `sudden`"),
            (limit("portal", "*", "per-hour = 0"), "per-hour = 0, 1 to 10000000 is allowed"),
            (limit("portal", "*", "per-hour = -1"), "invalid value"),
            (limit("portal", "*", "per-day = 1"), "unknown field `per-day`"),
            (
                limit("portal", "*", "sudden = { times = 1, at-least = 5 }"),
                "times = 1, 2 to 1000 is allowed",
            ),
            (limit("portal", "*", "sudden = { times = 5 }"), "missing field `at-least`"),
            (
                limit("portal", "*", "sudden = { times = 5, at-least = 2, days = 7 }"),
                "unknown field `days`",
            ),
            (
                limit("portal", "*", "per-hour = 5\nsudden = { times = 5, at-least = 6 }"),
                "at-least = 6, 1 to 5 is allowed",
            ),
            (
                limit("portal", "*", "per-hour = 5") + &limit("portal", "*", "per-hour = 6"),
                "two limits are for the same client and profile",
            ),
        ] {
            let refused = read_with(&text).unwrap_err();
            assert!(format!("{refused:#}").contains(seen), "{text}: {refused:#}");
        }
    }
}
