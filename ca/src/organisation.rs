//! The tree of organisations: who issues, who is connected, and what lies under them.
//!
//! An issuing area (*utgivningsområde*) is a root. Organisations are connected under it, directly or as third parties; under
//! these lie sub-organisations and offices (*kontor*), under an office nothing. Each has days on which it is there, within
//! those of what it lies under. A role on an organisation covers what lies under it, never what lies above: [`Tree::sees`].
//!
//! The tree knows nodes by an id of the caller's choosing, and a change is judged against the whole of it
//! ([`Tree::judge`]): whoever keeps the tree asks in the transaction that writes.

mod tree;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::calendar;
use crate::day::Day;
use crate::identity::OrganisationNumber;
use crate::life::{Named, Word};
use crate::refusal::Refusal;
use crate::word::word_type;
use x509::time::UnixTime;

pub use self::tree::{Scope, Tree};

word_type! {
    /// What an office is called in the portal, such as `kontor-17`.
    OfficeId
}

/// What kind of node it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrganisationKind {
    /// The area of a responsible issuer: a root.
    IssuingArea,
    /// An organisation with an agreement of its own.
    DirectlyConnected,
    /// An organisation that another one's agreement covers.
    ThirdParty,
    /// A part of an organisation.
    SubOrganisation,
    /// Where administrators meet holders, and to whom what they order is charged.
    Office,
}

/// Whether a node of a kind has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Has {
    Always,
    Maybe,
    Never,
}

impl OrganisationKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::IssuingArea,
        Self::DirectlyConnected,
        Self::ThirdParty,
        Self::SubOrganisation,
        Self::Office,
    ];

    /// Under which kinds it lies; none for a root.
    #[must_use]
    pub const fn lies_under(self) -> &'static [Self] {
        match self {
            Self::IssuingArea => &[],
            Self::DirectlyConnected | Self::ThirdParty => &[Self::IssuingArea],
            Self::SubOrganisation | Self::Office => {
                &[Self::DirectlyConnected, Self::ThirdParty, Self::SubOrganisation]
            }
        }
    }

    const fn has_number(self) -> Has {
        match self {
            Self::DirectlyConnected | Self::ThirdParty => Has::Always,
            Self::SubOrganisation => Has::Maybe,
            Self::IssuingArea | Self::Office => Has::Never,
        }
    }

    const fn has_office_id(self) -> Has {
        match self {
            Self::Office => Has::Always,
            _ => Has::Never,
        }
    }
}

impl Named for OrganisationKind {
    fn word(self) -> Word {
        match self {
            Self::IssuingArea => Word::new("issuing-area", "Utgivningsområde"),
            Self::DirectlyConnected => {
                Word::new("directly-connected", "Direktansluten organisation")
            }
            Self::ThirdParty => Word::new("third-party", "Tredjepartsorganisation"),
            Self::SubOrganisation => Word::new("sub-organisation", "Underorganisation"),
            Self::Office => Word::new("office", "Kontor"),
        }
    }
}

impl fmt::Display for OrganisationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word().name)
    }
}

impl FromStr for OrganisationKind {
    type Err = OrganisationFault;

    fn from_str(text: &str) -> Result<Self, OrganisationFault> {
        let found = Self::ALL.into_iter().find(|kind| kind.word().name == text);
        found.ok_or_else(|| OrganisationFault::Malformed {
            field: "kind",
            limit: Self::ALL.map(|kind| kind.word().name).join(", "),
        })
    }
}

/// The days on which an organisation is there, as Stockholm counts them; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    from: Day,
    until: Option<Day>,
}

impl Days {
    /// From the first to the last, or without end; `None` where the last comes before the first.
    #[must_use]
    pub fn new(from: Day, until: Option<Day>) -> Option<Self> {
        until.is_none_or(|until| from <= until).then_some(Self { from, until })
    }

    /// The first.
    #[must_use]
    pub const fn from(self) -> Day {
        self.from
    }

    /// The last.
    #[must_use]
    pub const fn until(self) -> Option<Day> {
        self.until
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(self, day: Day) -> bool {
        self.from <= day && self.until.is_none_or(|until| day <= until)
    }

    /// Whether all of them lie before `day`.
    #[must_use]
    pub fn ended_before(self, day: Day) -> bool {
        self.until.is_some_and(|until| until < day)
    }

    fn lie_within(self, outer: Self) -> bool {
        let ends_in_time = match (self.until, outer.until) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(outer)) => own <= outer,
        };
        outer.from <= self.from && ends_in_time
    }

    fn meet(self, other: Self) -> bool {
        !self.ended_before(other.from) && !other.ended_before(self.from)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "{} to {until}", self.from),
            None => write!(f, "{} and on", self.from),
        }
    }
}

/// The day that it is in Stockholm.
#[must_use]
pub fn today(now: UnixTime) -> Day {
    calendar::local(now).day
}

/// What is said of an organisation, unchecked but for its days.
#[derive(Clone, Debug)]
pub struct OrganisationText<'a> {
    /// What people call it: 1 to 120 characters.
    pub name: &'a str,
    /// Its number, 10 digits, of kinds that have one.
    pub number: Option<&'a str>,
    /// Its id, of offices.
    pub office: Option<&'a str>,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation<I> {
    /// By which the tree knows it.
    pub id: I,
    /// What it lies under.
    pub parent: Option<I>,
    /// What kind it is: for ever.
    pub kind: OrganisationKind,
    /// When it is there.
    pub days: Days,
    name: String,
    number: Option<OrganisationNumber>,
    office: Option<OfficeId>,
}

/// Characters of a name.
const NAME_LIMIT: usize = 120;

impl<I> Organisation<I> {
    /// Checks what is said of a node for itself.
    ///
    /// # Errors
    ///
    /// [`OrganisationFault::Malformed`] names the field.
    pub fn new(
        id: I,
        parent: Option<I>,
        kind: OrganisationKind,
        days: Days,
        text: &OrganisationText<'_>,
    ) -> Result<Self, OrganisationFault> {
        let number =
            held("number", kind.has_number(), text.number, "10 digits, check digit", |it| {
                OrganisationNumber::parse(it).ok()
            })?;
        let limit = "1 to 64 characters a-z0-9 and inner hyphens";
        let office = held("office", kind.has_office_id(), text.office, limit, OfficeId::new)?;
        let (name, length) = (text.name, text.name.chars().count());
        if !(1..=NAME_LIMIT).contains(&length)
            || name.trim() != name
            || name.chars().any(char::is_control)
        {
            let limit = format!("1 to {NAME_LIMIT} characters, no control characters");
            return Err(OrganisationFault::Malformed { field: "name", limit });
        }
        Ok(Self { id, parent, kind, days, name: name.to_owned(), number, office })
    }

    /// The same on other days.
    #[must_use]
    pub fn on(self, days: Days) -> Self {
        Self { days, ..self }
    }

    /// The same under another one.
    #[must_use]
    pub fn under(self, parent: I) -> Self {
        Self { parent: Some(parent), ..self }
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> Option<&OrganisationNumber> {
        self.number.as_ref()
    }

    /// Its id, of offices.
    #[must_use]
    pub const fn office(&self) -> Option<&OfficeId> {
        self.office.as_ref()
    }
}

fn held<T>(
    field: &'static str,
    has: Has,
    text: Option<&str>,
    limit: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, OrganisationFault> {
    let malformed = |limit: &str| OrganisationFault::Malformed { field, limit: limit.to_owned() };
    match (has, text) {
        (Has::Never, Some(_)) => Err(malformed("nothing: this kind has none")),
        (Has::Always, None) => Err(malformed(limit)),
        (_, None) => Ok(None),
        (_, Some(text)) => read(text).ok_or_else(|| malformed(limit)).map(Some),
    }
}

/// Why a node is not put into the tree, or not changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OrganisationFault {
    /// A field is not well formed, missing, or none of this kind's.
    #[error("{field} of the organisation is not well formed: {limit}")]
    Malformed {
        /// Which.
        field: &'static str,
        /// What would be.
        limit: String,
    },
    /// There is none of this id, or none that the caller sees.
    #[error("organisation is not known")]
    Unknown,
    /// What it is to lie under is not there, or not for the caller.
    #[error("organisation above is not known")]
    UnknownAbove,
    /// A role on an organisation does not reach the organisation itself.
    #[error("organisation is the caller's own")]
    Own,
    /// What has a number is named by whose role covers the issuing area.
    #[error("an organisation with a number is named from the issuing area")]
    Numbered,
    /// Its kind does not lie under that kind.
    #[error("{kind} does not lie under {above}")]
    Above {
        /// Its kind.
        kind: OrganisationKind,
        /// That of what it is to lie under; `nothing` for none.
        above: &'static str,
    },
    /// It would lie under itself.
    #[error("organisation would lie under itself")]
    Cycle,
    /// It, or what lies under it, would lie too deep.
    #[error("more than {most} organisations one under the other")]
    Depth {
        /// How many may.
        most: usize,
    },
    /// Its days are not within those of what it lies under.
    #[error("{days} is not within {above}")]
    OutsideAbove {
        /// Its days.
        days: Days,
        /// Those.
        above: Days,
    },
    /// What lies under it has days outside its own.
    #[error("{count} organisations under it are there outside {days}")]
    OutsideBelow {
        /// How many.
        count: usize,
        /// Its days.
        days: Days,
    },
    /// It has ended: it stays as it was.
    #[error("organisation ended after {until}")]
    Ended {
        /// Its last day.
        until: Day,
    },
    /// A last day that is over.
    #[error("{until} is over")]
    Past {
        /// The last day.
        until: Day,
    },
    /// Another one of that number or office id is there on some of these days.
    #[error("another organisation has this {field} on some of these days")]
    Taken {
        /// Which of the two.
        field: &'static str,
    },
    /// It has been changed since it was read.
    #[error("organisation is at revision {revision}")]
    Revision {
        /// Where it stands.
        revision: u32,
    },
}

impl OrganisationFault {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "organisation-malformed",
            Self::Unknown => "organisation-unknown",
            Self::UnknownAbove => "organisation-above-unknown",
            Self::Own => "organisation-own",
            Self::Numbered => "organisation-numbered",
            Self::Above { .. } => "organisation-kind",
            Self::Cycle => "organisation-cycle",
            Self::Depth { .. } => "organisation-depth",
            Self::OutsideAbove { .. } => "organisation-outside",
            Self::OutsideBelow { .. } => "organisation-still-used",
            Self::Ended { .. } => "organisation-ended",
            Self::Past { .. } => "organisation-past",
            Self::Taken { .. } => "organisation-taken",
            Self::Revision { .. } => "organisation-changed",
        }
    }

    /// The refusal in all its words.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let (rule, limit, next): (_, String, _) = match self {
            Self::Malformed { limit, .. } => (
                "an organisation says what its kind has, and nothing else",
                limit.clone(),
                "correct the body",
            ),
            Self::Unknown => (
                "an organisation is named by its id",
                "`org_` and a UUID that this deployment gave, among the caller's organisations"
                    .to_owned(),
                "`sigill organisation list` names them",
            ),
            Self::UnknownAbove => (
                "an organisation lies under one that is there",
                "an organisation among the caller's".to_owned(),
                "`sigill organisation list` names them",
            ),
            Self::Own => (
                "API-04: a role on an organisation covers what lies under it",
                "an organisation under those of this client".to_owned(),
                "have somebody change it whose role lies above it",
            ),
            Self::Numbered => (
                "certificates show the names of organisations with a number: who names these has a role on the issuing area",
                "an organisation without a number, or one that keeps name and number".to_owned(),
                "have somebody name it whose role covers the issuing area, or leave the number out",
            ),
            Self::Above { kind, .. } => {
                let names: Vec<_> = kind.lies_under().iter().map(|it| it.word().name).collect();
                let limit = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                (
                    "the kinds of organisations lie under each other in one order",
                    limit,
                    "name another organisation above",
                )
            }
            Self::Cycle => (
                "the organisations are a tree",
                "one that does not lie under it".to_owned(),
                "name another organisation above",
            ),
            Self::Depth { most } => (
                "the tree is so deep at most",
                format!("{most} one under the other"),
                "let it lie under one higher up",
            ),
            Self::OutsideAbove { above, .. } => (
                "an organisation is there while what it lies under is",
                above.to_string(),
                "choose days within, or change those above first",
            ),
            Self::OutsideBelow { .. } => (
                "an organisation is there as long as anything under it",
                "none under it outside its days".to_owned(),
                "end what lies under it first, or move it",
            ),
            Self::Ended { .. } => (
                "an organisation that has ended stays as it was",
                "one that has not ended".to_owned(),
                "add a new one",
            ),
            Self::Past { .. } => (
                "what has been stays as it was",
                "today, as Stockholm counts, or a later day".to_owned(),
                "choose today or a later day",
            ),
            Self::Taken { .. } => (
                "on each day one organisation has a number, and one office an id",
                "a number or id that no other has on these days".to_owned(),
                "look for the other with `sigill organisation list`",
            ),
            Self::Revision { .. } => (
                "a change rests on the newest state",
                "the revision that the organisation has".to_owned(),
                "show the organisation, decide anew, and send the change under a new key",
            ),
        };
        Refusal::new(self.code(), rule, self, limit, next)
    }
}

#[cfg(test)]
mod tests;
