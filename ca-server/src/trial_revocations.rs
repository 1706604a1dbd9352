//! Section `[trial-revocations]`: certificates that are issued and revoked on a schedule, to measure how long that takes to be seen
//! (REV-07).

use std::time::Duration;

use anyhow::ensure;
use ca::deployment::{Deployment, Environment};
use ca::fields::RequestedFields;
use ca::profile::{Profile, ProfileSet, sample_fields};
use serde::Deserialize;

use crate::config::ConfigFile;
use crate::receipts::ReceiptsSection;
use crate::start::Told;

/// More often would measure the trials before.
const MOST_OFTEN: u64 = 60;
/// More seldom would be no watch.
const MOST_SELDOM: u64 = 86_400;
/// A list would hold on to more of them than it has to.
const LONGEST_LIFE: u64 = 7 * 86_400;

/// The section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TrialRevocationsSection {
    /// How often each authority has one: seconds.
    #[serde(default = "default_every")]
    pub(crate) every: u64,
    /// How long their certificates live: seconds. So long each stands on its authority's CRL.
    #[serde(default = "default_life")]
    pub(crate) life: u64,
    /// Which profiles they have, one of each authority; left out, the first that each authority here issues to subscribers.
    pub(crate) profiles: Option<Vec<String>>,
    /// The names that they have; left out, those of the samples, in environment test alone.
    pub(crate) subject: Option<TrialSubject>,
}

fn default_every() -> u64 {
    3600
}

fn default_life() -> u64 {
    4 * 3600
}

/// The names of a function that is the operator's own.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TrialSubject {
    common_name: Option<String>,
    hsa_id: Option<String>,
    organization: Option<String>,
    locality: Option<String>,
    #[serde(default)]
    dns: Vec<String>,
}

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrialRevocations {
    /// How often.
    pub(crate) every: Duration,
    /// How long the certificates live.
    pub(crate) life: Duration,
    profiles: Option<Vec<String>>,
    subject: Option<TrialSubject>,
}

impl TrialRevocations {
    /// Reads the section; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Names the value that cannot be; no section `[receipts]`, without which nobody looks; the names of the samples outside
    /// environment test; of `known` the profile that is named and of which nothing would be tried.
    pub(crate) fn read(
        config: &ConfigFile,
        deployment: Deployment,
        known: Option<&ProfileSet>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(section) = &config.trial_revocations else { return Ok(None) };
        let Some(receipts) = &config.receipts else {
            let told = "[trial-revocations] stands without [receipts]: nobody would look for them";
            return Err(Told::config(told.to_owned()).into());
        };
        let TrialRevocationsSection { every, life, profiles, subject } = section.clone();
        ensure!(
            (MOST_OFTEN..=MOST_SELDOM).contains(&every),
            Told::config(format!(
                "[trial-revocations] every = {every} s; it is {MOST_OFTEN} to {MOST_SELDOM} s"
            ))
        );
        let shortest = shortest_life(receipts);
        ensure!(
            (shortest..=LONGEST_LIFE).contains(&life),
            Told::config(format!(
                "[trial-revocations] life = {life} s; it is {shortest} s, twice the longest limit of [receipts], to \
                 {LONGEST_LIFE} s: a certificate that ends before would not be late"
            ))
        );
        let environment = deployment.environment();
        ensure!(
            subject.is_some() || environment == Environment::Test,
            Told::config(format!(
                "[trial-revocations] has no [trial-revocations.subject] in environment {environment}; the names of the \
                 samples are for environment test alone"
            ))
        );
        let is_issued = |name: &&String| {
            config.authorities.iter().any(|authority| authority.profiles.contains(name))
        };
        if let Some(name) = profiles.iter().flatten().find(|name| !is_issued(name)) {
            let told =
                format!("[trial-revocations] profiles names {name}, which no [[authority]] issues");
            return Err(Told::config(told).into());
        }
        let (every, life) = (Duration::from_secs(every), Duration::from_secs(life));
        let trials = Self { every, life, profiles, subject };
        known.map_or(Ok(()), |known| trials.must_try_what_it_names(known))?;
        Ok(Some(trials))
    }

    fn must_try_what_it_names(&self, known: &ProfileSet) -> anyhow::Result<()> {
        // What is in no file is told of for its authority.
        let mut named = self.profiles.iter().flatten().filter_map(|name| known.by_name(name));
        let Some(untried) = named.find(|profile| !self.tries(profile)) else { return Ok(()) };
        let why = if untried.kind().is_person() {
            "of persons, and [trial-revocations.subject] names a function"
        } else {
            "which is issued to no subscriber"
        };
        let told = format!("[trial-revocations] profiles names {}, {why}", untried.name());
        Err(Told::config(told).into())
    }

    /// Whether a certificate of this profile is tried.
    pub(crate) fn tries(&self, profile: &Profile) -> bool {
        // The names are those of a function.
        let fits = self.subject.is_none() || !profile.kind().is_person();
        let named = |named: &Vec<String>| named.iter().any(|one| one == profile.name().as_str());
        profile.kind().is_subscriber() && fits && self.profiles.as_ref().is_none_or(named)
    }

    /// The names of its certificate.
    pub(crate) fn fields(&self, profile: &Profile) -> RequestedFields {
        let Some(subject) = self.subject.clone() else { return sample_fields(profile) };
        RequestedFields {
            common_name: subject.common_name,
            hsa_id: subject.hsa_id,
            organization: subject.organization,
            locality: subject.locality,
            dns: subject.dns,
            ..RequestedFields::default()
        }
    }

    #[cfg(test)]
    pub(crate) const fn of(every: Duration, life: Duration) -> Self {
        Self { every, life, profiles: None, subject: None }
    }
}

/// Twice the longest limit of what is awaited.
fn shortest_life(receipts: &ReceiptsSection) -> u64 {
    let limits = [("ocsp", receipts.ocsp_limit), ("crl", receipts.crl_limit)];
    let awaited =
        limits.into_iter().filter(|(name, _)| receipts.methods.iter().any(|one| one == *name));
    awaited.map(|(_, limit)| limit.saturating_mul(2)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(
        section: &str,
        (environment, pki): (&str, &str),
    ) -> anyhow::Result<Option<TrialRevocations>> {
        let text = include_str!("../../environments/demo/ca.toml");
        let (before, rest) = text.split_once("[trial-revocations]").expect("it is in the example");
        let (_, after) = rest.split_once("\n\n").expect("an end");
        let config: ConfigFile = toml::from_str(&format!("{before}{section}\n\n{after}"))?;
        let known = [
            include_str!("../../profiles/person-hsaid-3-authentication.toml"),
            include_str!("../../profiles/ocsp.toml"),
        ];
        let known = known.map(|text| Profile::parse(text.as_bytes()).unwrap());
        let known = ProfileSet::new(known)?;
        let deployment = Deployment::from_parts(environment, pki, "a1b2")?;
        TrialRevocations::read(&config, deployment, Some(&known))
    }

    const DEMO: (&str, &str) = ("test", "demo");

    fn refused(section: &str, deployment: (&str, &str)) -> String {
        crate::start::line(&read_with(section, deployment).unwrap_err())
    }

    #[test]
    fn there_is_one_an_hour_and_none_without_the_section() {
        let trials = read_with("[trial-revocations]", DEMO).unwrap().unwrap();
        assert_eq!((trials.every.as_secs(), trials.life.as_secs()), (3600, 14_400));
        assert_eq!(read_with("", DEMO).unwrap(), None);
    }

    /// REV-07.
    #[test]
    fn values_that_would_measure_nothing_are_refused() {
        for (section, told) in [
            ("[trial-revocations]\nevery = 59", "60 to 86400 s"),
            ("[trial-revocations]\nevery = 86401", "60 to 86400 s"),
            ("[trial-revocations]\nlife = 7199", "7200 s, twice the longest limit"),
            ("[trial-revocations]\nlife = 604801", "to 604800 s"),
            ("[trial-revocations]\nprofiles = [\"function-x\"]", "which no [[authority]] issues"),
        ] {
            let seen = refused(section, DEMO);
            assert!(seen.contains(told), "{section}: {seen}");
        }
        assert!(read_with("[trial-revocations]\nlife = 7200", DEMO).is_ok());
    }

    /// What is named is tried, or the start refuses: no authority goes unwatched.
    #[test]
    fn a_named_profile_of_which_nothing_would_be_tried_is_refused() {
        let person = "[trial-revocations]\nprofiles = [\"person-hsaid-3-authentication\"]";
        let with_subject = format!(
            "{person}\n[trial-revocations.subject]\ncommon-name = \"watch.sigill.example.se\""
        );
        assert!(read_with(person, DEMO).is_ok(), "to the test person of the samples");
        let told = refused(&with_subject, DEMO);
        assert!(told.contains("person-hsaid-3-authentication, of persons"), "{told}");
        let told = refused("[trial-revocations]\nprofiles = [\"ocsp\"]", DEMO);
        assert!(told.contains("ocsp, which is issued to no subscriber"), "{told}");
    }

    /// The samples are nobody: no other environment issues to them.
    #[test]
    fn outside_environment_test_they_have_names_of_the_operator() {
        for deployment in [("qa", "test"), ("prod", "prod")] {
            let told = refused("[trial-revocations]", deployment);
            assert!(told.contains("environment test alone"), "{told}");
            let own = "[trial-revocations]\n[trial-revocations.subject]\ncommon-name = \"watch.sigill.example.se\"";
            let trials = read_with(own, deployment).unwrap().unwrap();
            assert!(trials.subject.is_some());
        }
    }

    #[test]
    fn without_receipts_nobody_would_look() {
        let text = include_str!("../../environments/demo/ca.toml");
        let (before, rest) = text.split_once("[receipts]").expect("it is in the example");
        let (_, after) = rest.split_once("[publication]").expect("what follows it");
        let config: ConfigFile = toml::from_str(&format!("{before}[publication]{after}")).unwrap();
        let demo = Deployment::from_parts("test", "demo", "a1b2").unwrap();
        let told = crate::start::line(&TrialRevocations::read(&config, demo, None).unwrap_err());
        assert!(told.contains("without [receipts]"), "{told}");
    }
}
