//! How long each authority issues, told long before it ends (KEY-06, KEY-12).
//!
//! `ca::prepare` refuses what is too late. Here it is told ahead: in the metrics, in the readiness, and in
//! the log at the start and every hour, until an operator retires the authority.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ca::algorithms::KeyPurpose;
use ca::key_period::{KeyState, NotIssuing};
use x509::time::UnixTime;

use super::Service;
use super::authority::Authority;
use crate::algorithms;

/// How long before its end an authority is told of: time for a ceremony and for the trust lists.
const AHEAD: Duration = Duration::from_secs(90 * 86_400);

/// How an authority issues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Issuing {
    /// From a day on that is configured.
    NotBegun,
    /// Not now: why.
    Stopped { why: String, state: KeyState },
    /// Until then.
    Until(UnixTime),
}

impl Issuing {
    pub(crate) const fn is_now(&self) -> bool {
        matches!(self, Self::Until(_))
    }

    fn left(&self, now: UnixTime) -> Duration {
        match self {
            Self::Until(end) => end.since(now),
            Self::Stopped { .. } | Self::NotBegun => Duration::ZERO,
        }
    }

    /// Whether an operator is to be told.
    fn is_worth_telling(&self, now: UnixTime) -> bool {
        match self {
            Self::Stopped { state, .. } => *state == KeyState::Active,
            Self::Until(_) => self.left(now) < AHEAD,
            Self::NotBegun => false,
        }
    }
}

impl Service {
    /// How `authority` issues at `now`, by its days, its own end and the algorithm policy.
    pub(crate) fn issuing(&self, authority: &Authority, now: UnixTime) -> Issuing {
        let issuer = &authority.issuer;
        let state = issuer.period().state();
        let stopped = |why: String| Issuing::Stopped { why, state };
        if !issuer.certificate().validity().contains(now) {
            return stopped(format!("its certificate ends at {}", issuer.not_after()));
        }
        match issuer.may_issue(now) {
            Ok(()) => {}
            Err(NotIssuing::NotBegun { .. }) => return Issuing::NotBegun,
            Err(why) => return stopped(why.to_string()),
        }
        if let Some(refused) = algorithms::of_authority(&self.algorithms, authority, now) {
            return stopped(refused.to_string());
        }
        let key = issuer.public_key().key_type();
        let of_policy =
            self.algorithms.signature_ends(KeyPurpose::Issuing, key, issuer.algorithm());
        let own = issuer.issuing_ends();
        Issuing::Until(of_policy.map_or(own, |end| end.min(own)))
    }

    /// Puts how long each authority issues into metrics and readiness.
    pub(crate) fn observe_issuing(&self) {
        let now = self.clock().read().now;
        let mut is_well = true;
        for authority in self.authorities.values().filter(|authority| authority.signs_here()) {
            let issuing = self.issuing(authority, now);
            is_well &= !issuing.is_worth_telling(now);
            let name = authority.name().to_owned();
            metrics::gauge!("sigill_authority_issuing_seconds_left", "authority" => name)
                .set(issuing.left(now).as_secs_f64());
        }
        self.readiness.issuing.store(is_well, Ordering::Relaxed);
    }

    /// Says in the log which authorities have stopped issuing, or will soon.
    pub(crate) fn remind_of_issuing(&self) {
        let now = self.clock().read().now;
        for authority in self.authorities.values().filter(|authority| authority.signs_here()) {
            let issuing = self.issuing(authority, now);
            if !issuing.is_worth_telling(now) {
                continue;
            }
            match &issuing {
                Issuing::Stopped { why, .. } => tracing::error!(
                    authority.name = authority.name(),
                    authority.seen = %why,
                    "authority issues no more; its CRLs and OCSP go on: let the next one issue its profiles, then write state = \"retired\" into its section"
                ),
                Issuing::Until(end) => tracing::warn!(
                    authority.name = authority.name(),
                    authority.issues_until = %end,
                    days_left = issuing.left(now).as_secs() / 86_400,
                    "authority stops issuing soon: make the next one"
                ),
                Issuing::NotBegun => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ca::audit::EventCode;
    use ca::issuer::{CrlScopeStated, Issuer, IssuerSettings};
    use ca::key_period::KeyPeriod;
    use serde::Deserialize;

    use super::*;
    use crate::service::crl::List;
    use crate::service::testing::World;

    /// Days as a configuration has them.
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Days {
        issue_from: Option<ca::day::Day>,
        issue_until: Option<ca::day::Day>,
        #[serde(default)]
        state: KeyState,
    }

    impl Days {
        fn read(text: &str) -> Self {
            toml::from_str(text).unwrap()
        }
    }

    /// The authority of the tests with these days; its function profile lasts two years, itself until 2099.
    fn with_days(text: &str) -> World {
        let mut world = World::new();
        set_days(&mut world, "issuing", text);
        world
    }

    fn set_days(world: &mut World, name: &str, text: &str) {
        let days = Days::read(text);
        let authority = world.service.authorities.get_mut(name).unwrap();
        let section = &authority.section;
        let settings = IssuerSettings {
            name: section.name.clone(),
            algorithm: authority.issuer.algorithm(),
            crl_url: section.crl_url.clone(),
            ocsp_url: section.ocsp_url.clone(),
            aia_url: section.aia_url.clone(),
            profiles: authority.issuer.profiles().to_vec(),
            crl_scope_stated: CrlScopeStated::No,
            period: KeyPeriod::new(days.issue_from, days.issue_until, days.state).unwrap(),
        };
        let issuer = Issuer::new(authority.certificate.clone(), settings).unwrap();
        authority.issuer = issuer.stopping_for(world.service.book.profiles());
    }

    /// KEY-06: it stops two years, the longest life, before its own end, and is told of 90 days ahead.
    #[test]
    fn an_authority_that_nears_its_end_is_told_of_and_stops() {
        let world = with_days("");
        let at = |now| world.service.issuing(world.authority(), now);
        let not_after = world.authority().issuer.not_after();
        let last = not_after.saturating_sub(Duration::from_secs(730 * 86_400));
        let second = Duration::from_secs(1);
        let end = last.checked_add(second).unwrap();
        let early = UnixTime::of_day(2030, 1, 1).unwrap();

        assert_eq!(at(early), Issuing::Until(end));
        assert!(!at(early).is_worth_telling(early));
        let ahead = end.saturating_sub(AHEAD);
        assert!(!at(ahead).is_worth_telling(ahead));
        let later = ahead.checked_add(second).unwrap();
        assert!(at(later).is_worth_telling(later));
        assert!(at(last).is_now());
        assert!(matches!(at(end), Issuing::Stopped { why, .. } if why.contains("730 days")));
        assert!(at(end).is_worth_telling(end));
    }

    /// KEY-12: refused before anything is recorded; CRLs go on, and the same call is free again.
    #[test]
    fn outside_its_days_and_retired_it_issues_nothing_and_its_crls_go_on() {
        for (text, code) in [
            ("issue-from = 2098-01-01", "issuing-not-begun"),
            ("issue-until = 2020-12-31", "issuing-ended"),
            ("state = \"retired\"", "issuer-retired"),
        ] {
            let mut world = with_days(text);

            let denied = world.issue_again("one").unwrap_err();

            assert_eq!((denied.refusal.code, denied.is_final()), (code, false));
            assert_eq!(world.leaves(EventCode::CertificateIntent), 0);
            world.service.make_list(world.authority(), List::Full).unwrap();
            set_days(&mut world, "issuing", "");
            assert!(world.issue_again("one").is_ok(), "{text}");
        }
    }

    /// KEY-06: two authorities of one profile, whose days follow each other, need no word from the caller.
    #[test]
    fn the_authority_that_issues_today_is_taken() {
        let mut world = World::new().with_another_authority();
        let issue = |world: &World| world.issue_again("one").map_err(|denied| denied.refusal.code);
        assert_eq!(issue(&world).unwrap_err(), "authority-ambiguous");

        set_days(&mut world, "other", "issue-until = 2020-12-31");

        assert_eq!(issue(&world).err(), None);
    }

    /// KEY-06, KEY-11, KEY-12.
    #[test]
    fn readiness_tells_of_an_end_until_the_authority_is_retired() {
        let is_well = |world: &World| {
            world.service.observe_issuing();
            world.service.remind_of_issuing();
            world.service.readiness.issuing.load(Ordering::Relaxed)
        };
        for (text, wanted) in [
            ("", true),
            ("issue-from = 2098-01-01", true),
            ("issue-until = 2020-12-31", false),
            ("issue-until = 2020-12-31\nstate = \"retired\"", true),
        ] {
            assert_eq!(is_well(&with_days(text)), wanted, "{text}");
        }
        let mut world = World::new();
        let line = "signatures = [\"ecdsa-p256-sha256\"]\nfrom       = 2016-07-01";
        world.edit_algorithms(line, &format!("{line}\nto = 2020-12-31"));
        assert!(!is_well(&world));
    }

    #[test]
    fn refuses_days_that_end_before_they_begin() {
        let days = Days::read("issue-from = 2027-01-02\nissue-until = 2027-01-01");

        let refused = KeyPeriod::new(days.issue_from, days.issue_until, days.state);

        assert!(refused.unwrap_err().to_string().contains("before issue-from = 2027-01-02"));
    }
}
