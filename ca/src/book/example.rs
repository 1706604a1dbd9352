//! A book for samples of one profile, where nobody has ordered anything.

use std::collections::BTreeMap;

use x509::oid::ObjectIdentifier;

use super::{Book, days};
use crate::carrier::CarrierFamily;
use crate::day::Day;
use crate::deployment::Environment;
use crate::profile::{Profile, ProfileSet, TrustLevel};
use crate::routine::{OrderFacts, ReceiptRule, Routine, RoutineName};
use crate::table::{IssuerClass, PolicyTable, Row, Tuple};
use crate::word::Title;

impl Book {
    /// The same book where nobody is asked to prove where a key was made, and every routine is for every
    /// environment: samples are made in environment test, with keys of no carrier.
    pub(crate) fn for_samples(&self) -> Self {
        let mut copy = self.clone();
        copy.carriers = self.carriers.iter().map(CarrierFamily::unattested).collect();
        copy.routines.iter_mut().for_each(|routine| routine.environments.clear());
        copy
    }

    /// A book of one profile, which [`admit_direct`](crate::admit::admit_direct) admits calls without
    /// an order by, from issuers of `class`, of persons in environment test: of a profile that takes its
    /// policy from the table, under `policy`. For samples; it has no rules and no hash.
    #[must_use]
    pub fn of_example(
        profile: &Profile,
        class: &IssuerClass,
        policy: Option<ObjectIdentifier>,
    ) -> Self {
        let person = profile.kind().is_person();
        let routine = profile.trust_level().filter(|_| person).and_then(example_routine);
        let row = || {
            let tuple = Tuple {
                profile: profile.name().clone(),
                issuer: class.clone(),
                carrier: None,
                identity: None,
                level: profile.trust_level(),
                routine: routine.as_ref().map(|routine| routine.name.clone()),
            };
            let policy = profile.own_policy().or(policy)?;
            Some(Row { policy, tuple, days: days(Day::new(1970, 1, 1)?, None).ok()? })
        };
        let rows = row().into_iter().collect();
        Self {
            profiles: ProfileSet::new([profile.clone()]).unwrap_or_default(),
            carriers: Vec::new(),
            routines: routine.into_iter().collect(),
            table: PolicyTable::of_rows(rows),
            identities: None,
            proofing: None,
            domain_proofs: None,
            rules: None,
            closed: BTreeMap::new(),
            sha256: [0; 32],
        }
    }
}

/// A routine for calls without an order.
fn example_routine(level: TrustLevel) -> Option<Routine> {
    Some(Routine {
        name: RoutineName::new("example")?,
        version: 1,
        title: Title::same("example")?,
        days: days(Day::new(1970, 1, 1)?, None).ok()?,
        environments: vec![Environment::Test],
        order: OrderFacts::Absent,
        ordered_by: Vec::new(),
        proofing: Vec::new(),
        eid_carriers: Vec::new(),
        carriers: Vec::new(),
        levels: vec![level],
        identities: Vec::new(),
        minimum_age: None,
        receipt: ReceiptRule::None,
        receipt_forms: Vec::new(),
        approvals: 0,
        separate: Vec::new(),
        terms: Vec::new(),
        replaces: Vec::new(),
        most_carriers: None,
        registers: Vec::new(),
    })
}
