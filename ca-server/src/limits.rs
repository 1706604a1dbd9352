//! Limits of the configuration: `[[limit]]` (ISS-22).

use anyhow::{Context as _, ensure};
use ca::limit::{HourLimit, Limit, Limits, Pattern, Sudden};
use ca::profile::ProfileSet;

use crate::config::{ConfigFile, LimitSection};
use crate::start::Told;

/// Reads the limits.
///
/// # Errors
///
/// Names the section whose client is none of the configuration, whose profile is none of the book, or whose values
/// cannot be: a limit that holds nobody is a mistake.
pub(crate) fn read(config: &ConfigFile, profiles: &ProfileSet) -> anyhow::Result<Limits> {
    let limits = config.limits.iter().map(|section| {
        let shown =
            format!("[[limit]] client = {:?}, profile = {:?}", section.client, section.profile);
        let limit = limit(section).with_context(|| Told::config(shown.clone()))?;
        let known = config.clients.iter().any(|one| limit.client().fits(&one.name));
        ensure!(known, Told::config(format!("{shown}: no [[client]] has this name")));
        let known = profiles.iter().any(|one| limit.profile().fits(one.name().as_str()));
        ensure!(known, Told::config(format!("{shown}: no profile has this name")));
        Ok(limit)
    });
    let limits = limits.collect::<anyhow::Result<Vec<_>>>()?;
    Limits::new(limits).with_context(|| Told::config("[[limit]]"))
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

    fn read_with(limits: &str) -> anyhow::Result<Limits> {
        let environments =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/demo/ca.toml");
        let text = std::fs::read_to_string(environments).unwrap();
        let before = text.split("[[limit]]").next().unwrap();
        let mut config: ConfigFile = toml::from_str(&format!("{before}\n{limits}"))?;
        config.profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles");
        let book = crate::wiring::book(&config.profiles).unwrap();
        read(&config, book.profiles())
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

    /// ISS-22: a limit that would hold nobody, or other than was meant, keeps the program from starting.
    #[test]
    fn refuses_a_limit_that_holds_nobody_or_cannot_be() {
        let limit = |client: &str, profile: &str, rest: &str| {
            format!("[[limit]]\nclient = \"{client}\"\nprofile = \"{profile}\"\n{rest}\n")
        };
        for (text, seen) in [
            (limit("portla", "*", "per-hour = 1"), "no [[client]] has this name"),
            (limit("portal", "persn-*", "per-hour = 1"), "no profile has this name"),
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
