//! Who takes part, as what, and who may not be both.
//!
//! A person counts once, whatever he holds: a key is only how he answers, and a duty is only what he does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::fault::Fault;
use super::kind::{Audit, Kind};
use super::values::{Line, Word};
use crate::script::Language;
use crate::words::Fingerprint;

/// What a person does in the room. Approvers do theirs before the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads the script, handles nothing secret.
    Administrator,
    /// Holds a share of the token's user PIN, or a card of its quorum.
    Custodian,
    /// Holds a share of the SO PIN.
    SoCustodian,
    /// Has the keyboard and the devices.
    Operator,
    /// Checks off each step on paper.
    Witness,
    /// The independent person: employee of nobody else here.
    Auditor,
    /// Opens and closes a safe.
    SafeController,
    /// Owns the procedure, signs the report.
    SecurityOfficer,
    /// Signs the plan before the day.
    Approver,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Administrator,
        Self::Custodian,
        Self::SoCustodian,
        Self::Operator,
        Self::Witness,
        Self::Auditor,
        Self::SafeController,
        Self::SecurityOfficer,
        Self::Approver,
    ];

    /// As in the plan.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Custodian => "custodian",
            Self::SoCustodian => "so-custodian",
            Self::Operator => "operator",
            Self::Witness => "witness",
            Self::Auditor => "auditor",
            Self::SafeController => "safe-controller",
            Self::SecurityOfficer => "security-officer",
            Self::Approver => "approver",
        }
    }

    /// For people.
    #[must_use]
    pub const fn title(self, language: Language) -> &'static str {
        let (swedish, english) = match self {
            Self::Administrator => ("Ceremoniledare", "Ceremony administrator"),
            Self::Custodian => ("Delinnehavare", "Key custodian"),
            Self::SoCustodian => ("Delinnehavare för SO-PIN", "SO custodian"),
            Self::Operator => ("HSM-operatör", "HSM operator"),
            Self::Witness => ("Internt vittne", "Internal witness"),
            Self::Auditor => ("Extern revisor", "External auditor"),
            Self::SafeController => ("Kassaskåpsansvarig", "Safe controller"),
            Self::SecurityOfficer => ("Säkerhetsansvarig", "Security officer"),
            Self::Approver => ("Godkännare", "Approver"),
        };
        match language {
            Language::Swedish => swedish,
            Language::English => english,
        }
    }

    /// Whether one person may have both roles.
    #[must_use]
    pub fn goes_with(self, other: Self) -> bool {
        let excludes = |one: Self, two: Self| match one {
            // Approving is done before the day and gives no hand in the room.
            Self::Approver => false,
            Self::Witness | Self::Auditor => two != Self::Approver,
            Self::Administrator => {
                matches!(two, Self::Custodian | Self::SoCustodian | Self::Operator)
            }
            Self::Custodian => {
                matches!(two, Self::SoCustodian | Self::Operator | Self::SafeController)
            }
            Self::SoCustodian => matches!(two, Self::Operator | Self::SafeController),
            Self::SecurityOfficer => two == Self::Operator,
            Self::Operator | Self::SafeController => false,
        };
        !excludes(self, other) && !excludes(other, self)
    }

    /// Whether a duty of this role has a share and the site where it is kept.
    const fn holds_shares(self) -> bool {
        matches!(self, Self::Custodian | Self::SoCustodian)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// So many people of a role: `custodian:3`, or `witness` for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The role.
    pub role: Role,
    /// How many people, at least 1.
    pub people: u8,
}

impl FromStr for Requirement {
    type Err = NotARequirement;

    fn from_str(text: &str) -> Result<Self, NotARequirement> {
        let (name, people) = match text.split_once(':') {
            None => (text, Some(1)),
            Some((name, people)) => {
                (name, people.parse().ok().filter(|count: &u8| count.to_string() == people))
            }
        };
        let role = Role::ALL.into_iter().find(|role| role.name() == name);
        match (role, people) {
            (Some(role), Some(people)) if people > 0 && role != Role::Approver => {
                Ok(Self { role, people })
            }
            _ => Err(NotARequirement),
        }
    }
}

/// A text names no role of the room, or no number of people.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("wanted a role of the room and a number of people, such as custodian:3")]
pub struct NotARequirement;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Person {
    /// What the plan calls him.
    pub id: Word,
    /// His name.
    pub name: Line,
    /// Who employs him.
    pub employer: Line,
    /// The unit of the employer.
    pub unit: Line,
    /// SHA-256 of the SubjectPublicKeyInfo of each key that he may answer with.
    pub keys: Vec<Fingerprint>,
}

/// What a person does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Duty {
    /// As what.
    pub role: Role,
    /// Who.
    pub person: Word,
    /// Which share, from 1; of custodians only.
    pub share: Option<u8>,
    /// Where the share is kept between ceremonies; of custodians only.
    pub site: Option<Line>,
    /// Whom he stands in for, in the same role.
    pub deputy_for: Option<Word>,
}

/// So many shares of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// How many are needed.
    pub m: u8,
    /// How many there are.
    pub n: u8,
}

/// How many are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quorum {
    /// Signatures on the plan before the day.
    pub approvers: Threshold,
    /// Shares of the user PIN, or cards of the device's quorum.
    pub custodians: Option<Threshold>,
    /// Shares of the SO PIN.
    pub so_custodians: Option<Threshold>,
}

impl Quorum {
    /// That of a role which has one.
    #[must_use]
    pub const fn of(&self, role: Role) -> Option<Threshold> {
        match role {
            Role::Approver => Some(self.approvers),
            Role::Custodian => self.custodians,
            Role::SoCustodian => self.so_custodians,
            _ => None,
        }
    }
}

/// Everybody, and what each does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct People {
    /// The people.
    pub persons: Vec<Person>,
    /// The duties.
    pub duties: Vec<Duty>,
    /// The quorum.
    pub quorum: Quorum,
}

impl People {
    /// The person of this id.
    #[must_use]
    pub fn person(&self, id: &Word) -> Option<&Person> {
        self.persons.iter().find(|person| person.id == *id)
    }

    /// Those who have a role, deputies apart, each once.
    #[must_use]
    pub fn of(&self, role: Role) -> BTreeSet<&Word> {
        let first = |duty: &&Duty| duty.role == role && duty.deputy_for.is_none();
        self.duties.iter().filter(first).map(|duty| &duty.person).collect()
    }

    /// What does not hold among them for a ceremony of this kind.
    pub(super) fn faults(&self, kind: Kind, audit: Audit) -> Vec<Fault> {
        let mut faults = self.faults_of_persons();
        for duty in &self.duties {
            faults.extend(self.faults_of_duty(duty));
        }
        faults.extend(self.conflicts());
        for role in [Role::Approver, Role::Custodian, Role::SoCustodian] {
            faults.extend(self.faults_of_quorum(role));
        }
        let auditors = u8::from(audit == Audit::Present);
        for &(role, wanted) in kind.people().iter().chain(&[(Role::Auditor, auditors)]) {
            let seen = self.of(role).len();
            if seen < usize::from(wanted) {
                faults.push(Fault::TooFew { role, wanted, seen });
            }
        }
        let (custodians, officers) = (self.quorum.custodians, self.quorum.so_custodians);
        if let (Some(custodians), Some(officers)) = (custodians, officers)
            && officers.m < custodians.m
        {
            faults.push(Fault::OfficersFewer { officers: officers.m, custodians: custodians.m });
        }
        faults.extend(self.dependent_auditors());
        faults
    }

    fn faults_of_persons(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut keys: BTreeMap<Fingerprint, &Word> = BTreeMap::new();
        for person in &self.persons {
            if !seen.insert(&person.id) {
                faults.push(Fault::Twice { what: "person", name: person.id.clone() });
            }
            // Two entries of one human being would count twice.
            if !names.insert((&person.name, &person.employer)) {
                faults.push(Fault::SameName { name: person.name.clone() });
            }
            if person.keys.is_empty() {
                faults.push(Fault::NoKey { person: person.id.clone() });
            }
            for key in &person.keys {
                if let Some(other) = keys.insert(*key, &person.id) {
                    let (one, two) = (other.clone(), person.id.clone());
                    faults.push(Fault::SharedKey { one, two, key: *key });
                }
            }
            if !self.duties.iter().any(|duty| duty.person == person.id) {
                faults.push(Fault::NoDuty { person: person.id.clone() });
            }
        }
        faults
    }

    fn faults_of_duty(&self, duty: &Duty) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.person(&duty.person).is_none() {
            faults.push(Fault::Unknown { what: "person", name: duty.person.clone() });
        }
        let is_deputy = duty.deputy_for.is_some();
        let kept = (duty.share.is_some(), duty.site.is_some());
        let wanted = duty.role.holds_shares() && !is_deputy;
        if kept != (wanted, wanted) {
            faults.push(Fault::Share { role: duty.role, person: duty.person.clone() });
        }
        if let Some(first) = &duty.deputy_for {
            // A share is in one hand: nobody stands in for a custodian.
            let stands = self.of(duty.role).contains(first) && *first != duty.person;
            if !stands || duty.role.holds_shares() || duty.role == Role::Approver {
                faults.push(Fault::Deputy { role: duty.role, person: duty.person.clone() });
            }
        }
        faults
    }

    /// Pairs of duties of one person that exclude each other.
    fn conflicts(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (place, one) in self.duties.iter().enumerate() {
            for two in self.duties.iter().skip(place.saturating_add(1)) {
                let of_one_person = one.person == two.person;
                // The same role twice is two shares in one hand, or a second vote.
                if of_one_person && (one.role == two.role || !one.role.goes_with(two.role)) {
                    let (person, roles) = (one.person.clone(), (one.role, two.role));
                    faults.push(Fault::Conflict { person, one: roles.0, two: roles.1 });
                }
            }
        }
        faults
    }

    fn faults_of_quorum(&self, role: Role) -> Vec<Fault> {
        let holders: Vec<&Duty> = self.duties.iter().filter(|duty| duty.role == role).collect();
        let Some(quorum) = self.quorum.of(role) else {
            return if holders.is_empty() { Vec::new() } else { vec![Fault::NoQuorum { role }] };
        };
        let Threshold { m, n } = quorum;
        let mut faults = Vec::new();
        let spare = if role.holds_shares() { 2 } else { 0 };
        if m < 2 || n < m.saturating_add(spare) {
            faults.push(Fault::Threshold { role, m, n, spare });
        }
        let people = self.of(role).len();
        if people != usize::from(n) {
            faults.push(Fault::Holders { role, n, people });
        }
        if !role.holds_shares() {
            return faults;
        }
        let shares: BTreeSet<u8> = holders.iter().filter_map(|duty| duty.share).collect();
        if !shares.iter().copied().eq(1..=n) {
            faults.push(Fault::Shares { role, n });
        }
        let mut sites: BTreeMap<&Line, BTreeSet<&Word>> = BTreeMap::new();
        let mut units: BTreeMap<(&Line, &Line), BTreeSet<&Word>> = BTreeMap::new();
        for duty in holders {
            if let Some(site) = &duty.site {
                sites.entry(site).or_default().insert(&duty.person);
            }
            if let Some(person) = self.person(&duty.person) {
                units.entry((&person.employer, &person.unit)).or_default().insert(&person.id);
            }
        }
        let reaches = |people: &BTreeSet<&Word>| people.len() >= usize::from(m);
        for (site, _) in sites.iter().filter(|(_, people)| reaches(people)) {
            faults.push(Fault::OneSite { role, site: (*site).clone(), m });
        }
        for ((_, unit), _) in units.iter().filter(|(_, people)| reaches(people)) {
            faults.push(Fault::OneUnit { role, unit: (*unit).clone(), m });
        }
        faults
    }

    /// An auditor is independent of whoever else takes part.
    fn dependent_auditors(&self) -> Vec<Fault> {
        let auditors: BTreeSet<&Word> = self
            .duties
            .iter()
            .filter(|duty| duty.role == Role::Auditor)
            .map(|duty| &duty.person)
            .collect();
        let (auditors, others): (Vec<&Person>, Vec<&Person>) =
            self.persons.iter().partition(|person| auditors.contains(&person.id));
        let colleagues =
            |auditor: &&&Person| others.iter().any(|other| other.employer == auditor.employer);
        auditors
            .iter()
            .filter(colleagues)
            .map(|auditor| Fault::Dependent { person: auditor.id.clone() })
            .collect()
    }
}
