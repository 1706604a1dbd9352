//! Whether an order may lead to a certificate of a profile: the only way into a person profile.
//!
//! [`admit`] holds an order against its routine, the lists, its card family, the dated rules and the
//! policy table, and gives an [`Admitted`], which nothing else makes; [`prepare`](crate::prepare) takes
//! no person without one. [`admit_direct`] is for a call that says nothing of an order: for a person there
//! must be a row for that too, of a routine that says so, and those are of environment test alone.
//!
//! Each refusal names its rule: the file and the check, such as `routine/office-visit/minimum-age`.

mod eid;
mod function;
mod judge;
mod refusal;

use x509::key::PublicKey;
use x509::oid::ObjectIdentifier;
use x509::time::UnixTime;

pub(crate) use self::judge::listed;
pub use self::refusal::RuleRefusal;
use crate::book::Book;
use crate::calendar::local;
use crate::carrier::{AttestationError, CarrierFamily};
use crate::day::Day;
use crate::deployment::Environment;
use crate::eid::KnownEid;
use crate::fields::CheckedFields;
use crate::identity::Organization;
use crate::issuer::Issuer;
use crate::order::Order;
use crate::profile::{Profile, ProfileName, TrustLevel};
use crate::routine::{OrderFacts, Routine, RoutineName};
use crate::rules::Facts;
use crate::table::{IssuerClass, Row, Tuple};

/// When and where an order is judged.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The issuing time.
    pub now: UnixTime,
    /// The environment.
    pub environment: Environment,
}

impl Moment {
    /// The day in Stockholm.
    pub(crate) fn day(self) -> Day {
        local(self.now).day
    }
}

/// Leave to issue under one profile by one issuer, at once. Only [`admit`] and [`admit_direct`] make it.
#[derive(Clone, Debug)]
pub struct Admitted {
    profile: ProfileName,
    issuer: String,
    level: Option<TrustLevel>,
    policy: ObjectIdentifier,
    routine: Option<RoutineName>,
    at: UnixTime,
    order: Option<Admission>,
    end: Option<UnixTime>,
    carrier_end: Option<UnixTime>,
    rule_end: Option<(UnixTime, String)>,
    rules: Vec<String>,
    book: [u8; 32],
}

/// What of an order the certificate and its key must agree with.
#[derive(Clone, Debug)]
struct Admission {
    order: Order,
    /// What it says that the certificate names.
    organisation: Option<Organization>,
    family: CarrierFamily,
}

impl Admitted {
    /// The same, as if an order had named this end.
    #[cfg(test)]
    pub(crate) fn until(self, end: UnixTime) -> Self {
        Self { end: Some(end), ..self }
    }

    /// Leave that nothing but a policy is known of.
    fn bare(
        profile: &Profile,
        issuer: &Issuer,
        policy: ObjectIdentifier,
        book: &Book,
        at: Moment,
    ) -> Self {
        Self {
            profile: profile.name().clone(),
            issuer: issuer.name().to_owned(),
            level: None,
            policy,
            routine: None,
            at: at.now,
            order: None,
            end: None,
            carrier_end: None,
            rule_end: None,
            rules: Vec::new(),
            book: *book.sha256(),
        }
    }

    /// The profile.
    #[must_use]
    pub const fn profile(&self) -> &ProfileName {
        &self.profile
    }

    /// Short name of the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The trust level of a person.
    #[must_use]
    pub const fn level(&self) -> Option<TrustLevel> {
        self.level
    }

    /// The policy that the certificate states: that of the row, or the profile's own.
    #[must_use]
    pub const fn policy(&self) -> ObjectIdentifier {
        self.policy
    }

    /// The routine, of persons.
    #[must_use]
    pub const fn routine(&self) -> Option<&RoutineName> {
        self.routine.as_ref()
    }

    /// When it was admitted: the issuing time.
    #[must_use]
    pub const fn at(&self) -> UnixTime {
        self.at
    }

    /// The end that the order names.
    #[must_use]
    pub const fn end(&self) -> Option<UnixTime> {
        self.end
    }

    /// The last second of the carrier's life, as its family says.
    #[must_use]
    pub const fn carrier_end(&self) -> Option<UnixTime> {
        self.carrier_end
    }

    /// The last second that the dated rules leave, whatever the order says, and the rule that leaves no more.
    #[must_use]
    pub fn rule_end(&self) -> Option<(UnixTime, &str)> {
        self.rule_end.as_ref().map(|(end, rule)| (*end, rule.as_str()))
    }

    /// What it was admitted by: routine, card family, and each dated rule with its dispensation.
    #[must_use]
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// SHA-256 of the book.
    #[must_use]
    pub const fn book(&self) -> &[u8; 32] {
        &self.book
    }

    /// Judges the key that is to be certified by the order's card family and evidence (ISS-10).
    ///
    /// # Errors
    ///
    /// [`RuleRefusal`] of the family.
    pub fn judge_key(&self, key: &PublicKey) -> Result<(), RuleRefusal> {
        let Some(Admission { order, family, .. }) = &self.order else { return Ok(()) };
        let (card, evidence) = (order.card.as_ref(), order.evidence.as_ref());
        family.judge_key(key, card, evidence).map_err(|error| of_key(family, &error))
    }

    /// Judges the names that the certificate would have: those that the order says must be the order's.
    ///
    /// # Errors
    ///
    /// [`RuleRefusal`]: the first that is another one.
    pub fn judge_fields(&self, fields: &CheckedFields) -> Result<(), RuleRefusal> {
        let Some(Admission { order, organisation, .. }) = &self.order else { return Ok(()) };
        let number = fields.personal_identity_number.as_ref();
        let differs = if number.is_some() && number != order.identity.number() {
            "identity"
        } else if fields.card_number.is_some() && fields.card_number != order.card {
            "card-number"
        } else if fields.organization.is_some() && fields.organization != *organisation {
            "organisation"
        } else {
            return Ok(());
        };
        Err(RuleRefusal::new(
            "order-differs",
            format!("order/{differs}"),
            &"the certificate would say something else than its order",
            "what the order says",
            "send in the subject what the order says, or leave it out",
        )
        .for_ever())
    }

    /// Whether the order's card bears a number that its family's cards do not.
    #[must_use]
    pub fn has_foreign_number(&self) -> bool {
        let order = self.order.as_ref();
        order.is_some_and(|Admission { order, family, .. }| {
            order.card.as_ref().is_some_and(|card| !family.has_number(card))
        })
    }
}

/// Admits an order to a profile. `eid` is what the CA knows of the eID that the order names, `None` where that is
/// none of its own.
///
/// # Errors
///
/// [`RuleRefusal`] names the first rule that refuses: of the routine, of the lists, of the card family,
/// a dated rule, or the table.
pub fn admit(
    order: &Order,
    eid: Option<&KnownEid>,
    profile: &Profile,
    issuer: &Issuer,
    book: &Book,
    at: Moment,
) -> Result<Admitted, RuleRefusal> {
    let routine = book
        .routine(order.routine.as_str())
        .ok_or_else(|| judge::gone("routine", order.routine.as_str()))?;
    let level = judge::routine(order, profile, routine, at)?;
    judge::identity(order, level, book, at)?;
    eid::judge(order, eid, level, routine, book, at)?;
    let family = judge::carrier(order, level, routine, book, at)?;
    judge::carrier_told(order, profile)?;
    judge::times(order, at)?;
    let organisation = order.organisation_of(profile);
    let organisations: Vec<_> = std::iter::once(&order.user)
        .chain(&order.issuing)
        .map(|organisation| organisation.number.clone())
        .collect();
    let facts = Facts {
        level: Some(level),
        carrier: Some(family.kind()),
        identity: Some(&order.identity_kind),
        profile: profile.name(),
        organisations: &organisations,
        routine: Some(&routine.name),
    };
    let rules = judge::dated(&facts, order.end, book, at)?;
    let tuple = Tuple {
        profile: profile.name().clone(),
        issuer: issuer.class().clone(),
        carrier: Some(family.kind()),
        identity: Some(order.identity_kind.clone()),
        level: Some(level),
        routine: Some(routine.name.clone()),
    };
    let row = row(&tuple, book, at)?;
    let mut names = vec![format!("routine/{}", routine.name), format!("carrier/{}", family.name())];
    names.extend(rules.names);
    Ok(Admitted {
        level: Some(level),
        routine: Some(routine.name.clone()),
        order: Some(Admission {
            order: order.clone(),
            organisation: organisation.map(|one| one.name.clone()),
            family: family.clone(),
        }),
        end: order.end,
        carrier_end: judge::carrier_end(order, family, at),
        rule_end: rules.latest,
        rules: names,
        ..Admitted::bare(profile, issuer, row.policy, book, at)
    })
}

/// Admits a call that says nothing of an order: for a person, by a row of a routine for such calls, which
/// are of environment test alone; for what is no person, by its profile's policy or row. The dated rules
/// hold for it too.
///
/// # Errors
///
/// [`RuleRefusal`]: a dated rule, or no such row.
pub fn admit_direct(
    profile: &Profile,
    issuer: &Issuer,
    book: &Book,
    at: Moment,
) -> Result<Admitted, RuleRefusal> {
    if !profile.kind().is_person() {
        return function::admit(profile, issuer, book, at);
    }
    let level = judge::level(profile)?;
    let takes = |routine: &&Routine| {
        routine.order == OrderFacts::Absent
            && routine.is_for(at.environment)
            && routine.days.contain(at.day())
            && routine.levels.contains(&level)
    };
    let tuple = |routine: Option<&Routine>| Tuple {
        profile: profile.name().clone(),
        issuer: issuer.class().clone(),
        carrier: None,
        identity: None,
        level: Some(level),
        routine: routine.map(|routine| routine.name.clone()),
    };
    let mut routines = book.routines().iter().filter(takes);
    let found = routines.find_map(|routine| {
        let row = book.table().row_of(&tuple(Some(routine)), at.day())?;
        Some((routine, row))
    });
    let Some((routine, row)) = found else { return Err(judge::no_row(&tuple(None))) };
    let facts =
        Facts { level: Some(level), routine: Some(&routine.name), ..Facts::of(profile.name()) };
    let rules = judge::dated(&facts, None, book, at)?;
    let mut names = vec![format!("routine/{}", routine.name)];
    names.extend(rules.names);
    Ok(Admitted {
        level: Some(level),
        routine: Some(routine.name.clone()),
        rule_end: rules.latest,
        rules: names,
        ..Admitted::bare(profile, issuer, row.policy, book, at)
    })
}

/// The row of a tuple; where only the issuer is another one, that is what is said.
fn row<'a>(tuple: &Tuple, book: &'a Book, at: Moment) -> Result<&'a Row, RuleRefusal> {
    let day = at.day();
    if let Some(row) = book.table().row_of(tuple, day) {
        return Ok(row);
    }
    let but_for_issuer = |row: &&Row| {
        Tuple { issuer: tuple.issuer.clone(), ..row.tuple.clone() } == *tuple
            && row.days.contain(day)
    };
    let other: Option<&IssuerClass> =
        book.table().rows().iter().find(but_for_issuer).map(|row| &row.tuple.issuer);
    Err(other.map_or_else(|| judge::no_row(tuple), |other| judge::other_issuer(tuple, other)))
}

fn of_key(family: &CarrierFamily, error: &AttestationError) -> RuleRefusal {
    let (check, limit) = match error {
        AttestationError::KeyType { .. } => ("key-type", "a key that its carriers make"),
        AttestationError::NotTaken => ("attestation", "no evidence: the family names no maker"),
        _ => ("attestation", "a statement of the maker about this key and this card"),
    };
    RuleRefusal::new(
        "carrier-refused",
        format!("carrier/{}/{check}", family.name()),
        error,
        limit,
        "make the key in a carrier of the family, and send its maker's statement",
    )
}

#[cfg(test)]
pub(crate) mod tests;
