//! Dated rules: what may be issued on which day and at which hour, as data.
//!
//! A restriction refuses what its scope describes, or shortens it, from one day to another; a
//! dispensation lets some of that through until a day, within hours, and no longer than it says. Rules
//! hold by Stockholm's calendar ([`crate::calendar`]) and in every environment. They are judged when
//! the order is taken: time is an argument.

mod file;
mod judge;

use std::fmt;
use std::time::Duration;

pub use self::file::RuleFileError;
pub use self::judge::{Judged, Misfit, RuleRefusal};
use x509::time::UnixTime;

use crate::calendar::{Calendar, Free, Local, TimeOfDay, Weekday, local};
use crate::carrier::CarrierKind;
use crate::identity::{Days, IdentityKindId, OrganisationNumber};
use crate::profile::{ProfileName, TrustLevel};
use crate::routine::RoutineName;
use crate::word::word_type;

word_type!(
    /// The name that a rule file gives to a rule, such as `loa2-ended`.
    RuleId
);

/// A rule as refusals and records name it: `rules/loa2-ended`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleName(RuleId);

impl RuleName {
    /// The name within its file.
    #[must_use]
    pub const fn id(&self) -> &RuleId {
        &self.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rules/{}", self.0)
    }
}

/// What rules ask about. What a certificate does not have, such as a carrier, is in no rule's scope
/// that asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The trust level.
    pub level: Option<TrustLevel>,
    /// What the key lives in.
    pub carrier: Option<CarrierKind>,
    /// How the person is known.
    pub identity: Option<&'a IdentityKindId>,
    /// The profile.
    pub profile: &'a ProfileName,
    /// The organisations of the order, whichever of them the certificate names: a restriction holds for either, and a
    /// dispensation where it is for all of them.
    pub organisations: &'a [OrganisationNumber],
    /// The issuing routine.
    pub routine: Option<&'a RoutineName>,
}

impl<'a> Facts<'a> {
    /// Of what has nothing but a profile.
    pub(crate) const fn of(profile: &'a ProfileName) -> Self {
        Self {
            level: None,
            carrier: None,
            identity: None,
            profile,
            organisations: &[],
            routine: None,
        }
    }
}

/// The rules of all files, and the calendar that they hold by.
#[derive(Clone, Debug)]
pub struct RuleBook {
    calendar: Calendar,
    restrictions: Vec<Restriction>,
}

impl RuleBook {
    /// The calendar.
    #[must_use]
    pub const fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Every rule's name: each restriction, followed by its dispensations.
    pub fn names(&self) -> impl Iterator<Item = &RuleName> {
        self.restrictions.iter().flat_map(|restriction| {
            let own = std::iter::once(&restriction.name);
            own.chain(restriction.dispensations.iter().map(|one| &one.name))
        })
    }

    /// The restrictions that are in force at `now`, at whatever hour of the day.
    pub fn in_force(&self, now: UnixTime) -> impl Iterator<Item = &RuleName> {
        let day = local(now).day;
        let in_force = self.restrictions.iter().filter(move |rule| rule.days.contain(day));
        in_force.map(|rule| &rule.name)
    }

    /// Checks that identity kinds, profiles and routines that scopes name exist: a misspelt one
    /// would make a restriction hold for nobody.
    ///
    /// # Errors
    ///
    /// [`UnknownName`]: the first that does not exist.
    pub fn check_names(&self, exists: impl Fn(Named<'_>) -> bool) -> Result<(), UnknownName> {
        for restriction in &self.restrictions {
            restriction.scope.check_names(&restriction.name, &exists)?;
            for dispensation in &restriction.dispensations {
                dispensation.scope.check_names(&dispensation.name, &exists)?;
            }
        }
        Ok(())
    }
}

/// Something that a scope names and another file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// An identity kind.
    Identity(&'a IdentityKindId),
    /// A profile.
    Profile(&'a ProfileName),
    /// A routine.
    Routine(&'a RoutineName),
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(id) => write!(f, "identity kind {id}"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Routine(name) => write!(f, "routine {name}"),
        }
    }
}

/// A rule's scope names what does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} has {named} in its scope, which does not exist")]
pub struct UnknownName {
    rule: RuleName,
    named: String,
}

#[derive(Clone, Debug)]
struct Restriction {
    name: RuleName,
    says: String,
    days: Days,
    scope: Scope,
    hours: Hours,
    /// Shortens instead of refusing.
    longest: Option<Duration>,
    dispensations: Vec<Dispensation>,
}

#[derive(Clone, Debug)]
struct Dispensation {
    name: RuleName,
    days: Days,
    scope: Scope,
    hours: Hours,
    longest: Option<Duration>,
}

/// What a rule is about: each list that is there must hold the fact.
#[derive(Clone, Debug, Default)]
struct Scope {
    levels: Vec<TrustLevel>,
    carriers: Vec<CarrierKind>,
    identities: Vec<IdentityKindId>,
    profiles: Vec<ProfileName>,
    organisations: Vec<OrganisationNumber>,
    routines: Vec<RoutineName>,
}

/// What of an order a scope asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// The carrier.
    Carrier,
    /// The identity kind.
    Identity,
    /// The trust level.
    Level,
    /// The organisation.
    Organisation,
    /// The profile.
    Profile,
    /// The routine.
    Routine,
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Carrier => "carriers",
            Self::Identity => "identity kinds",
            Self::Level => "trust levels",
            Self::Organisation => "organisations",
            Self::Profile => "profiles",
            Self::Routine => "routines",
        })
    }
}

/// How many of an order's organisations a scope must list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// One of them: of restrictions.
    Any,
    /// All of them: of dispensations.
    All,
}

impl Scope {
    /// The first aspect of the facts that lies outside.
    fn outside(&self, facts: &Facts<'_>, of: Of) -> Option<Aspect> {
        fn lacks<T: PartialEq>(listed: &[T], fact: Option<&T>) -> bool {
            !listed.is_empty() && !fact.is_some_and(|fact| listed.contains(fact))
        }
        let lists = |one: &OrganisationNumber| self.organisations.contains(one);
        let listed = match of {
            Of::Any => facts.organisations.iter().any(lists),
            Of::All => !facts.organisations.is_empty() && facts.organisations.iter().all(lists),
        };
        let organisation = !self.organisations.is_empty() && !listed;
        let aspects = [
            (Aspect::Level, lacks(&self.levels, facts.level.as_ref())),
            (Aspect::Carrier, lacks(&self.carriers, facts.carrier.as_ref())),
            (Aspect::Identity, lacks(&self.identities, facts.identity)),
            (Aspect::Profile, lacks(&self.profiles, Some(facts.profile))),
            (Aspect::Organisation, organisation),
            (Aspect::Routine, lacks(&self.routines, facts.routine)),
        ];
        aspects.into_iter().find(|(_, lacks)| *lacks).map(|(aspect, _)| aspect)
    }

    fn check_names(
        &self,
        rule: &RuleName,
        exists: impl Fn(Named<'_>) -> bool,
    ) -> Result<(), UnknownName> {
        let named = self.identities.iter().map(Named::Identity);
        let named = named.chain(self.profiles.iter().map(Named::Profile));
        let mut named = named.chain(self.routines.iter().map(Named::Routine));
        match named.find(|named| !exists(*named)) {
            Some(named) => Err(UnknownName { rule: rule.clone(), named: named.to_string() }),
            None => Ok(()),
        }
    }
}

/// At which hours a rule holds: within one window and not within another.
#[derive(Clone, Debug, Default)]
struct Hours {
    within: Option<Window>,
    not_within: Option<Window>,
}

impl Hours {
    fn hold(&self, calendar: &Calendar, now: Local) -> bool {
        let holds = |window: &Window| window.contains(calendar, now);
        self.within.as_ref().is_none_or(holds) && !self.not_within.as_ref().is_some_and(holds)
    }
}

/// Days, and hours of them: from the first second of `from` to the last before `to`.
#[derive(Clone, Debug)]
struct Window {
    days: WindowDays,
    from: TimeOfDay,
    to: TimeOfDay,
}

#[derive(Clone, Debug)]
enum WindowDays {
    Workdays,
    WeekendsAndHolidays,
    Weekdays(Vec<Weekday>),
}

impl Window {
    fn contains(&self, calendar: &Calendar, now: Local) -> bool {
        let free: Option<Free> = calendar.why_free(now.day);
        let day = match &self.days {
            WindowDays::Workdays => free.is_none(),
            WindowDays::WeekendsAndHolidays => free.is_some(),
            WindowDays::Weekdays(days) => days.contains(&Weekday::of(now.day)),
        };
        day && self.from <= now.time && now.time < self.to
    }
}

#[cfg(test)]
mod tests;
