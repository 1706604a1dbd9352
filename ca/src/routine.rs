//! Issuing routines: how an order for a certificate comes to be, as data.
//!
//! A routine says who orders, how the person's identity is proven, on which carriers and at which trust
//! levels, when the receipt is given, how many approve, which duties nobody holds together, and by when
//! the rest must be done. Deadlines are read here and kept by whoever runs the steps of an order.

mod succession;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use thiserror::Error;

use self::succession::SuccessionFile;
pub use self::succession::{StrikesAt, Succession};
use crate::book::{NoDays, days};
use crate::calendar::Deadline;
use crate::carrier::CarrierKind;
use crate::day::Day;
use crate::deployment::Environment;
use crate::identity::list::LevelWord;
use crate::identity::{Days, IdentityKindId, ProofingId};
use crate::profile::TrustLevel;
use crate::register::{self, Demand, DemandError, RegistersFile};
use crate::revocation::BusinessEvent;
use crate::word::{Title, word_type};

word_type!(
    /// The name of a routine, such as `office-visit`.
    RoutineName
);

/// In which role somebody orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrdererRole {
    /// *Handläggare*, *ID-administratör*.
    IdAdministrator,
    /// *Reservkortshandläggare tillitsnivå 2*.
    #[serde(rename = "reserve-card-administrator-2")]
    ReserveCardAdministrator2,
    /// *Reservkortshandläggare tillitsnivå 3*.
    #[serde(rename = "reserve-card-administrator-3")]
    ReserveCardAdministrator3,
    /// *Ansvarig utgivare*.
    ResponsibleIssuer,
    /// The person whose certificate it is.
    Holder,
    /// A program, such as a renewal.
    System,
}

impl OrdererRole {
    const ALL: [(Self, &'static str); 6] = [
        (Self::IdAdministrator, "id-administrator"),
        (Self::ReserveCardAdministrator2, "reserve-card-administrator-2"),
        (Self::ReserveCardAdministrator3, "reserve-card-administrator-3"),
        (Self::ResponsibleIssuer, "responsible-issuer"),
        (Self::Holder, "holder"),
        (Self::System, "system"),
    ];

    /// The role that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == word).map(|(role, _)| *role)
    }
}

impl fmt::Display for OrdererRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(role, _)| role == self).map_or("", |(_, name)| name))
    }
}

/// A part that somebody takes in an order (ISS-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duty {
    /// Ordering.
    Order,
    /// Proving the person's identity.
    Proofing,
    /// Approving.
    Approval,
    /// Being the one whom it is for.
    Holder,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "order",
            Self::Proofing => "proofing",
            Self::Approval => "approval",
            Self::Holder => "holder",
        })
    }
}

/// When the holder's receipt (*kvittens*) is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptRule {
    /// The order comes with it.
    BeforeIssuing,
    /// Whoever runs the steps of the order asks for it afterwards.
    AfterIssuing,
    /// There is none.
    None,
}

/// In which form a receipt is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptForm {
    /// Signed with the e-legitimation.
    Electronic,
    /// Signed on paper in front of the administrator.
    OnPaper,
    /// By registered post.
    RegisteredPost,
}

impl ReceiptForm {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Electronic, "electronic"),
        (Self::OnPaper, "on-paper"),
        (Self::RegisteredPost, "registered-post"),
    ];

    /// The form that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == word).map(|(form, _)| *form)
    }
}

impl fmt::Display for ReceiptForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(form, _)| form == self).map_or("", |(_, name)| name))
    }
}

/// What must have been done within a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermKind {
    /// An activation that was begun is finished.
    Activation,
    /// The holder has claimed what was issued.
    Claim,
    /// A carrier that was sent is activated.
    Unused,
    /// An eID with the holder's former name is replaced.
    NameChange,
}

impl TermKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Activation, Self::Claim, Self::Unused, Self::NameChange];

    /// Its key in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Claim => "claim",
            Self::Unused => "unused",
            Self::NameChange => "name-change",
        }
    }

    /// As card administrators read it.
    #[must_use]
    pub const fn swedish(self) -> &'static str {
        match self {
            Self::Activation => "Slutföra aktivering",
            Self::Claim => "Hämta ut",
            Self::Unused => "Aktivera skickat kort",
            Self::NameChange => "Byta kort efter namnbyte",
        }
    }

    /// When the span begins.
    #[must_use]
    pub const fn counted_from(self) -> &'static str {
        match self {
            Self::Activation => "begin of activation",
            Self::Claim => "issuing",
            Self::Unused => "sending",
            Self::NameChange => "change of name",
        }
    }

    /// What is to be done once it is over: an act of [`crate::life`], or what has happened by
    /// [`crate::revocation::event`].
    #[must_use]
    pub const fn then(self) -> &'static str {
        match self {
            Self::Activation => "let-lapse",
            Self::Claim => BusinessEvent::Unclaimed.rule().name,
            Self::Unused => BusinessEvent::NotActivated.rule().name,
            Self::NameChange => BusinessEvent::NameChanged.rule().name,
        }
    }
}

/// A span of a routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// What must have been done.
    pub kind: TermKind,
    /// Within what.
    pub deadline: Deadline,
}

/// Whether a call that says nothing of an order falls under the routine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderFacts {
    /// There is an order.
    #[default]
    Required,
    /// There is none: environment test only.
    Absent,
}

/// A checked routine.
#[derive(Clone, Debug)]
pub struct Routine {
    /// Its name: that of its file.
    pub name: RoutineName,
    /// Its version.
    pub version: u32,
    /// What people call it.
    pub title: Title,
    /// The days (in Stockholm) on which certificates are issued by it.
    pub days: Days,
    /// Where it may be used; empty: everywhere.
    pub environments: Vec<Environment>,
    /// Whether there is an order at all.
    pub order: OrderFacts,
    /// Who orders.
    pub ordered_by: Vec<OrdererRole>,
    /// By which methods identity is proven.
    pub proofing: Vec<ProofingId>,
    /// On what the eID lives that proves identity, where a method of [`Self::proofing`] is the holder's own eID.
    pub eid_carriers: Vec<CarrierKind>,
    /// On what.
    pub carriers: Vec<CarrierKind>,
    /// At which trust levels.
    pub levels: Vec<TrustLevel>,
    /// For persons identified how.
    pub identities: Vec<IdentityKindId>,
    /// How old the person is at least on the day of issuing.
    pub minimum_age: Option<u16>,
    /// When the receipt is given.
    pub receipt: ReceiptRule,
    /// In which forms.
    pub receipt_forms: Vec<ReceiptForm>,
    /// How many different persons approve.
    pub approvals: u8,
    /// Duties that nobody holds together.
    pub separate: Vec<(Duty, Duty)>,
    /// By when what must have been done.
    pub terms: Vec<Term>,
    /// What becomes of what an order replaces.
    pub replaces: Vec<Succession>,
    /// How many carriers of one kind a holder has in one organisation at most.
    pub most_carriers: Option<u8>,
    /// What registers must say when a certificate is issued.
    pub registers: Vec<Demand>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RoutineFile {
    name: RoutineName,
    version: u32,
    title: Title,
    /// For readers; a routine without one is not reviewable.
    source: String,
    from: Day,
    until: Option<Day>,
    #[serde(default)]
    environments: Vec<EnvironmentWord>,
    #[serde(default)]
    order: OrderFacts,
    #[serde(default)]
    ordered_by: Vec<OrdererRole>,
    #[serde(default)]
    proofing: Vec<ProofingId>,
    #[serde(default)]
    eid_carriers: Vec<CarrierKind>,
    #[serde(default)]
    carriers: Vec<CarrierKind>,
    levels: Vec<LevelWord>,
    #[serde(default)]
    identities: Vec<IdentityKindId>,
    minimum_age: Option<u16>,
    receipt: ReceiptRule,
    #[serde(default)]
    receipt_forms: Vec<ReceiptForm>,
    #[serde(default)]
    approvals: u8,
    #[serde(default)]
    separate: Vec<(Duty, Duty)>,
    #[serde(default)]
    deadlines: DeadlinesFile,
    #[serde(default)]
    replaces: BTreeMap<String, SuccessionFile>,
    most_carriers: Option<u8>,
    #[serde(default)]
    registers: RegistersFile,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EnvironmentWord {
    Test,
    Qa,
    Prod,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[serde(rename_all = "kebab-case")]
struct DeadlinesFile {
    activation: Option<String>,
    claim: Option<String>,
    unused: Option<String>,
    name_change: Option<String>,
}

impl Routine {
    /// Reads a file of `profiles/routines/`.
    ///
    /// # Errors
    ///
    /// [`RoutineError`]: not UTF-8 TOML of a routine, an unknown key or word, or keys that contradict
    /// each other.
    pub fn parse(file: &[u8]) -> Result<Self, RoutineError> {
        let text = str::from_utf8(file).map_err(|_| RoutineError::NotUtf8)?;
        let file: RoutineFile =
            toml::from_str(text).map_err(|source| RoutineError::Toml(Box::new(source)))?;
        file.check_said()?;
        if file.order == OrderFacts::Absent {
            file.check_direct()?;
        }
        Ok(Self {
            name: file.name,
            version: file.version,
            title: file.title,
            days: days(file.from, file.until)?,
            environments: file.environments.iter().map(|&word| word.into()).collect(),
            order: file.order,
            ordered_by: file.ordered_by,
            proofing: file.proofing,
            eid_carriers: file.eid_carriers,
            carriers: file.carriers,
            levels: file.levels.into_iter().map(TrustLevel::from).collect(),
            identities: file.identities,
            minimum_age: file.minimum_age,
            receipt: file.receipt,
            receipt_forms: file.receipt_forms,
            approvals: file.approvals,
            separate: file.separate,
            terms: file.deadlines.into_terms()?,
            replaces: succession::read(file.replaces)?,
            most_carriers: file.most_carriers,
            registers: register::read(file.registers)?,
        })
    }

    /// Whether it may be used in an environment.
    #[must_use]
    pub fn is_for(&self, environment: Environment) -> bool {
        self.environments.is_empty() || self.environments.contains(&environment)
    }
}

impl RoutineFile {
    /// Everything that must be said is said, and nothing that could never be met.
    fn check_said(&self) -> Result<(), RoutineError> {
        let ordered = self.order == OrderFacts::Required;
        let said = [
            ("version", self.version != 0),
            ("source", !self.source.trim().is_empty()),
            ("levels", !self.levels.is_empty()),
            ("ordered-by", !ordered || !self.ordered_by.is_empty()),
            ("proofing", !ordered || !self.proofing.is_empty()),
            ("carriers", !ordered || !self.carriers.is_empty()),
            ("identities", !ordered || !self.identities.is_empty()),
            ("receipt-forms", self.receipt == ReceiptRule::None || !self.receipt_forms.is_empty()),
            ("most-carriers", self.most_carriers != Some(0)),
        ];
        if let Some((key, _)) = said.into_iter().find(|(_, said)| !said) {
            return Err(RoutineError::Empty { key });
        }
        if self.receipt == ReceiptRule::None && !self.receipt_forms.is_empty() {
            return Err(RoutineError::Contradicts { key: "receipt-forms", other: "receipt" });
        }
        let of_approval =
            |(one, other): &(Duty, Duty)| *one == Duty::Approval || *other == Duty::Approval;
        if self.approvals == 0 && self.separate.iter().any(of_approval) {
            return Err(RoutineError::Contradicts { key: "separate", other: "approvals" });
        }
        match self.separate.iter().find(|(one, other)| one == other) {
            Some(&(duty, _)) => Err(RoutineError::OneDuty { duty }),
            None => Ok(()),
        }
    }

    /// What stands for a call without an order asks for nothing that only an order could say.
    fn check_direct(&self) -> Result<(), RoutineError> {
        if !matches!(self.environments.as_slice(), [EnvironmentWord::Test]) {
            return Err(RoutineError::DirectOutsideTest);
        }
        let says = [
            ("ordered-by", !self.ordered_by.is_empty()),
            ("proofing", !self.proofing.is_empty()),
            ("carriers", !self.carriers.is_empty()),
            ("identities", !self.identities.is_empty()),
            ("minimum-age", self.minimum_age.is_some()),
            ("receipt", self.receipt != ReceiptRule::None),
            ("approvals", self.approvals != 0),
            ("separate", !self.separate.is_empty()),
            ("replaces", !self.replaces.is_empty()),
            ("most-carriers", self.most_carriers.is_some()),
            ("registers", !self.registers.is_empty()),
        ];
        match says.into_iter().find(|(_, says)| *says) {
            Some((key, _)) => Err(RoutineError::Contradicts { key, other: "order" }),
            None => Ok(()),
        }
    }
}

impl DeadlinesFile {
    fn into_terms(self) -> Result<Vec<Term>, RoutineError> {
        let said = [
            (TermKind::Activation, self.activation),
            (TermKind::Claim, self.claim),
            (TermKind::Unused, self.unused),
            (TermKind::NameChange, self.name_change),
        ];
        let said = said.into_iter().filter_map(|(kind, text)| Some((kind, text?)));
        said.map(|(kind, text)| match Deadline::parse(&text) {
            Some(deadline) => Ok(Term { kind, deadline }),
            None => Err(RoutineError::Deadline { key: kind.name(), found: text }),
        })
        .collect()
    }
}

impl From<EnvironmentWord> for Environment {
    fn from(word: EnvironmentWord) -> Self {
        match word {
            EnvironmentWord::Test => Self::Test,
            EnvironmentWord::Qa => Self::Qa,
            EnvironmentWord::Prod => Self::Prod,
        }
    }
}

/// Why a file is no routine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RoutineError {
    /// Two keys that cannot both be met.
    #[error("{key} says what {other} rules out")]
    Contradicts {
        /// One of them.
        key: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Neither days nor working days nor months.
    #[error(
        "{key}: {found:?} is no deadline such as \"14 days\" or \"5 working-days\", 1 to 400, or \"3 months\", 1 to 60"
    )]
    Deadline {
        /// The key.
        key: &'static str,
        /// What was found.
        found: String,
    },
    /// A way around orders.
    #[error("order = \"absent\" is for environments = [\"test\"] alone")]
    DirectOutsideTest,
    /// Nothing where there must be something.
    #[error("{key} says nothing")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// Days that never come.
    #[error(transparent)]
    Days(#[from] NoDays),
    /// Nothing is replaced because of it.
    #[error(
        "replaces.{event}: no event of docs/revocation-events.md that revokes an eID or a carrier"
    )]
    NoSuccession {
        /// What was named.
        event: String,
    },
    /// Not text.
    #[error("file is not UTF-8")]
    NotUtf8,
    /// A duty apart from itself.
    #[error("separate: {duty} cannot be kept apart from itself; say approvals = 2 for two persons")]
    OneDuty {
        /// The duty.
        duty: Duty,
    },
    /// What no register could be asked.
    #[error(transparent)]
    Registers(#[from] DemandError),
    /// Not TOML, an unknown key, a missing one, or a word that is none.
    #[error("file is no routine")]
    Toml(#[source] Box<toml::de::Error>),
}

#[cfg(test)]
mod tests;
