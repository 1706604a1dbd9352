//! Holding an order against the rules.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use x509::time::UnixTime;

use super::{Aspect, Dispensation, Facts, Of, Restriction, RuleBook, RuleName};
use crate::calendar::{Local, local};
use crate::day::Day;
use crate::refusal::Refusal;

/// What the rules let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// How long after now the certificate ends at the latest.
    pub longest: Option<Duration>,
    /// The rule that says so.
    pub shortened_by: Option<RuleName>,
    /// The rules that it was let through by: each restriction that holds, and the dispensation from
    /// it.
    pub rules: Vec<RuleName>,
}

impl RuleBook {
    /// Judges an order at `now`.
    ///
    /// Each restriction that is in force and has the facts in its scope needs a dispensation that
    /// fits; of several the one that lets through most counts.
    ///
    /// # Errors
    ///
    /// [`RuleRefusal`]: the first restriction without a dispensation that fits, and why each of its
    /// dispensations does not.
    pub fn judge(&self, facts: &Facts<'_>, now: UnixTime) -> Result<Judged, RuleRefusal> {
        let now = local(now);
        let mut judged = Judged::default();
        let in_force = self.restrictions.iter().filter(|rule| self.restricts(rule, facts, now));
        for restriction in in_force {
            let (let_through, longest) = self.exception(restriction, facts, now)?;
            judged.rules.push(restriction.name.clone());
            judged.rules.extend(let_through.map(|dispensation| dispensation.name.clone()));
            if let Some(longest) = longest
                && judged.longest.is_none_or(|shortest| longest < shortest)
            {
                judged.longest = Some(longest);
                judged.shortened_by =
                    Some(let_through.map_or(&restriction.name, |one| &one.name).clone());
            }
        }
        Ok(judged)
    }

    fn restricts(&self, rule: &Restriction, facts: &Facts<'_>, now: Local) -> bool {
        rule.days.contain(now.day)
            && rule.scope.outside(facts, Of::Any).is_none()
            && rule.hours.hold(&self.calendar, now)
    }

    /// The dispensation that lets an order through, and how long a certificate then lives.
    fn exception<'a>(
        &self,
        restriction: &'a Restriction,
        facts: &Facts<'_>,
        now: Local,
    ) -> Result<(Option<&'a Dispensation>, Option<Duration>), RuleRefusal> {
        let mut misfits = Vec::new();
        let mut fitting: Vec<&Dispensation> = Vec::new();
        for dispensation in &restriction.dispensations {
            match self.misfit(dispensation, facts, now) {
                Some(misfit) => misfits.push((dispensation.name.clone(), misfit)),
                None => fitting.push(dispensation),
            }
        }
        let most = fitting.into_iter().max_by_key(|one| one.longest.unwrap_or(Duration::MAX));
        match (most, restriction.longest) {
            (Some(dispensation), _) => Ok((Some(dispensation), dispensation.longest)),
            (None, Some(longest)) => Ok((None, Some(longest))),
            (None, None) => Err(RuleRefusal {
                restriction: restriction.name.clone(),
                says: restriction.says.clone(),
                since: restriction.days.from,
                now,
                misfits,
            }),
        }
    }

    fn misfit(&self, rule: &Dispensation, facts: &Facts<'_>, now: Local) -> Option<Misfit> {
        if now.day < rule.days.from {
            return Some(Misfit::NotYet { from: rule.days.from });
        }
        if let Some(until) = rule.days.until.filter(|until| *until < now.day) {
            return Some(Misfit::Ended { until });
        }
        if let Some(aspect) = rule.scope.outside(facts, Of::All) {
            return Some(Misfit::Scope { aspect });
        }
        (!rule.hours.hold(&self.calendar, now)).then_some(Misfit::Hours)
    }
}

/// Why a dispensation does not let an order through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Its last day, in Stockholm, is over.
    Ended {
        /// The last day.
        until: Day,
    },
    /// It does not hold at this hour of this day.
    Hours,
    /// Its first day, in Stockholm, is to come.
    NotYet {
        /// The first day.
        from: Day,
    },
    /// It is for others.
    Scope {
        /// What the order would need to have otherwise.
        aspect: Aspect,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { until } => write!(f, "its last day was {until}"),
            Self::Hours => f.write_str("not at this hour of this day"),
            Self::NotYet { from } => write!(f, "its first day is {from}"),
            Self::Scope { aspect } => write!(f, "for other {aspect}"),
        }
    }
}

/// A restriction refuses an order, and no dispensation of it fits.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{restriction}: {says} since {since}; it is {} {} in Stockholm", now.day, now.time)]
pub struct RuleRefusal {
    restriction: RuleName,
    says: String,
    since: Day,
    now: Local,
    misfits: Vec<(RuleName, Misfit)>,
}

impl RuleRefusal {
    /// The restriction.
    #[must_use]
    pub const fn restriction(&self) -> &RuleName {
        &self.restriction
    }

    /// Each dispensation from it, and why it does not fit.
    #[must_use]
    pub fn misfits(&self) -> &[(RuleName, Misfit)] {
        &self.misfits
    }

    /// The same in the words of a refusal.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let misfits: Vec<String> =
            self.misfits.iter().map(|(name, misfit)| format!("{name} ({misfit})")).collect();
        let limit = match misfits.as_slice() {
            [] => "nothing: it has no dispensation".to_owned(),
            _ => format!("what a dispensation lets through: {}", misfits.join(", ")),
        };
        Refusal::new(
            "restricted-by-rule",
            "dated rules (profiles/rules)",
            self,
            limit,
            "order what the rule allows, or at the time when a dispensation fits",
        )
    }
}
