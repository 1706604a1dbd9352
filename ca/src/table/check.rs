//! Whether the table says one thing, and says it of what exists (PRO-10, PRO-11).

use std::collections::BTreeMap;

use thiserror::Error;
use x509::oid::ObjectIdentifier;

use super::{PolicyTable, Row};
use crate::book::{overlap, spoken};
use crate::carrier::CarrierFamily;
use crate::identity::IdentityKinds;
use crate::profile::{Profile, ProfileName, ProfileSet};
use crate::routine::{OrderFacts, Routine};

/// What the rows are held against.
#[derive(Clone, Copy)]
pub(crate) struct Checked<'a> {
    pub(crate) profiles: &'a ProfileSet,
    pub(crate) carriers: &'a [CarrierFamily],
    pub(crate) routines: &'a [Routine],
    pub(crate) identities: Option<&'a IdentityKinds>,
}

/// Holds every row against the others and against what it names; all faults at once, each with the profiles that
/// disagree with the table: none where the table itself is wrong.
pub(crate) fn check(
    table: &PolicyTable,
    against: Checked<'_>,
) -> Vec<(Vec<ProfileName>, TableError)> {
    let faults = |row: &Row| {
        let mut faults = of_row(row, against);
        faults.extend(among(row, table));
        faults
    };
    let of_rows = table.rows().iter().flat_map(|row| {
        faults(row)
            .into_iter()
            .map(|fault| (disagreeing(row, &fault), TableError::Row { policy: row.policy, fault }))
    });
    let missing = against.profiles.iter().filter(|profile| {
        profile.kind().is_subscriber()
            && profile.own_policy().is_none()
            && table.rows_of(profile.name()).next().is_none()
    });
    let missing = missing.map(|profile| {
        let name = profile.name().clone();
        (vec![name.clone()], TableError::NoRow { profile: name })
    });
    of_rows.chain(missing).collect()
}

fn disagreeing(row: &Row, fault: &RowFault) -> Vec<ProfileName> {
    match fault {
        RowFault::Fixed { profile } => vec![profile.clone()],
        RowFault::OfAnother { profile } => vec![profile.clone(), row.tuple.profile.clone()],
        _ => Vec::new(),
    }
}

/// What is wrong with a row for itself.
fn of_row(row: &Row, against: Checked<'_>) -> Vec<RowFault> {
    let tuple = &row.tuple;
    // A profile that an operator took away is issued to nobody, and its rows wait for it.
    let Some(profile) = against.profiles.by_name(tuple.profile.as_str()) else { return Vec::new() };
    let mut faults = of_profile(row, profile);
    for other in against.profiles.iter().filter(|other| other.name() != profile.name()) {
        if other.policies().iter().any(|policy| policy.oid == row.policy) {
            faults.push(RowFault::OfAnother { profile: other.name().clone() });
        }
    }
    if let Some(name) = &tuple.routine {
        match against.routines.iter().find(|routine| routine.name == *name) {
            Some(routine) => faults.extend(of_routine(row, routine)),
            None => {
                faults.push(RowFault::Unknown { what: "routine", name: name.to_string() });
            }
        }
    }
    if let Some(kind) = tuple.carrier {
        let bears = |family: &&CarrierFamily| {
            family.kind() == kind
                && tuple.level.is_none_or(|level| family.levels().contains(&level))
                && overlap(family.days(), row.days)
        };
        if against.carriers.iter().find(bears).is_none() {
            faults.push(RowFault::NoFamily { kind: kind.name() });
        }
    }
    if let Some(id) = &tuple.identity {
        match against.identities.and_then(|list| list.by_id(id.as_str())) {
            None => faults.push(RowFault::Unknown { what: "identity", name: id.to_string() }),
            Some(kind) => {
                if tuple.level.is_some_and(|level| !kind.levels().contains(&level)) {
                    faults.push(RowFault::Level { of: "identity", name: id.to_string() });
                }
                if !kind.days().cover(row.days) {
                    let days = spoken(kind.days());
                    faults.push(RowFault::Days { of: "identity", name: id.to_string(), days });
                }
            }
        }
    }
    faults
}

fn of_profile(row: &Row, profile: &Profile) -> Vec<RowFault> {
    let tuple = &row.tuple;
    let mut faults = Vec::new();
    let said = [tuple.carrier.is_some(), tuple.identity.is_some(), tuple.routine.is_some()];
    let fits =
        if profile.kind().is_person() { tuple.routine.is_some() } else { said == [false; 3] };
    if !profile.kind().is_subscriber() || !fits {
        faults.push(RowFault::Shape { kind: profile.kind().to_string() });
    }
    if profile.trust_level() != tuple.level {
        faults.push(RowFault::Level { of: "profile", name: profile.name().to_string() });
    }
    if profile.own_policy().is_some_and(|own| own != row.policy) {
        faults.push(RowFault::Fixed { profile: profile.name().clone() });
    }
    faults
}

fn of_routine(row: &Row, routine: &Routine) -> Vec<RowFault> {
    let (tuple, name) = (&row.tuple, routine.name.to_string());
    let mut faults = Vec::new();
    let ordered = routine.order == OrderFacts::Required;
    if tuple.carrier.is_some() != ordered || tuple.identity.is_some() != ordered {
        faults.push(RowFault::Order { routine: name.clone() });
    }
    if tuple.carrier.is_some_and(|kind| !routine.carriers.contains(&kind)) {
        faults.push(RowFault::NotOfRoutine { what: "carrier", routine: name.clone() });
    }
    if tuple.identity.as_ref().is_some_and(|id| !routine.identities.contains(id)) {
        faults.push(RowFault::NotOfRoutine { what: "identity", routine: name.clone() });
    }
    if tuple.level.is_none_or(|level| !routine.levels.contains(&level)) {
        faults.push(RowFault::Level { of: "routine", name: name.clone() });
    }
    if !routine.days.cover(row.days) {
        faults.push(RowFault::Days { of: "routine", name, days: spoken(routine.days) });
    }
    faults
}

/// What is wrong between a row and those before it, and with its class of issuers.
fn among(row: &Row, table: &PolicyTable) -> Vec<RowFault> {
    let mut faults = Vec::new();
    let before = table.rows().iter().take_while(|other| !std::ptr::eq(*other, row));
    let mut level_of = BTreeMap::new();
    for other in before {
        let at_once = overlap(other.days, row.days);
        if other.policy == row.policy && (at_once || other.tuple != row.tuple) {
            faults.push(RowFault::PolicyTwice);
        }
        if other.policy != row.policy && other.tuple == row.tuple && at_once {
            faults.push(RowFault::TupleTwice { other: other.policy });
        }
        level_of.entry(&other.tuple.issuer).or_insert(other.tuple.level);
    }
    if level_of.get(&row.tuple.issuer).is_some_and(|level| *level != row.tuple.level) {
        faults.push(RowFault::IssuerLevels { issuer: row.tuple.issuer.to_string() });
    }
    faults
}

/// What is wrong with the table.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// A profile whose policy no row says.
    #[error("profile {profile} takes its policy from the table, which has no row of it")]
    NoRow {
        /// The profile.
        profile: ProfileName,
    },
    /// A row.
    #[error("row of policy {policy}: {fault}")]
    Row {
        /// Which.
        policy: ObjectIdentifier,
        /// What is wrong.
        fault: RowFault,
    },
}

/// What is wrong with a row.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowFault {
    /// Days on which what it names is not in force.
    #[error("it has days outside those of {of} {name}, {days}")]
    Days {
        /// What sort of thing.
        of: &'static str,
        /// Its name.
        name: String,
        /// Its days.
        days: String,
    },
    /// Another policy than the profile's own.
    #[error("profile {profile} states another policy of its own")]
    Fixed {
        /// The profile.
        profile: ProfileName,
    },
    /// Two trust levels from one class of issuers (PRO-11).
    #[error("issuers of class {issuer} have another trust level in a row before")]
    IssuerLevels {
        /// The class.
        issuer: String,
    },
    /// Not a trust level of what it names.
    #[error("its level is none of {of} {name}")]
    Level {
        /// What sort of thing.
        of: &'static str,
        /// Its name.
        name: String,
    },
    /// No family of that kind bears the level on those days.
    #[error("no family of {kind} bears its level on its days")]
    NoFamily {
        /// The kind of carrier.
        kind: &'static str,
    },
    /// The routine does not take it.
    #[error("its {what} is none of routine {routine}")]
    NotOfRoutine {
        /// Carrier or identity.
        what: &'static str,
        /// The routine.
        routine: String,
    },
    /// Stated by another profile in its own right.
    #[error("profile {profile} states that policy in its file")]
    OfAnother {
        /// The other profile.
        profile: ProfileName,
    },
    /// Carrier and identity come with an order, and only with one.
    #[error(
        "carrier and identity are named for routines with orders and for no others; see {routine}"
    )]
    Order {
        /// The routine.
        routine: String,
    },
    /// The policy in two rows at once, or with two meanings.
    #[error("the policy stands in a row before, at the same time or with another meaning")]
    PolicyTwice,
    /// Persons have a routine, functions none of the three, others no row.
    #[error(
        "{kind} profiles have no such row: persons have a routine, functions neither carrier, identity nor routine, others no row at all"
    )]
    Shape {
        /// The profile's kind.
        kind: String,
    },
    /// Two policies for one thing at once.
    #[error("the same is stated by policy {other} on some of its days")]
    TupleTwice {
        /// The other policy.
        other: ObjectIdentifier,
    },
    /// In no file.
    #[error("{what} {name} is in no file")]
    Unknown {
        /// What sort of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
}
