//! What registers say of a holder at the moment of issuing, and whether the certificate would say the same (ISS-04, ISS-18).
//!
//! Two registers are known: the catalogue of employments (HSA), asked by HSA-id, and the personal-data service (*personuppgiftstjänsten*),
//! asked by a Swedish number. A routine says which of them must be asked for its orders, what must agree and how old an answer may be
//! ([`Demand`]); how a register is reached is the program's matter. No refusal here quotes what a register says: who orders learns which
//! attribute differs, and looks in the register himself.

mod answer;
mod demand;

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use x509::time::UnixTime;

pub use self::answer::{Answer, Attributes, FileHeader, MalformedAnswer, Record, Said};
pub use self::demand::{Demand, DemandError, IfWithheld};
pub(crate) use self::demand::{RegistersFile, read};
use crate::fields::RequestedFields;
use crate::identity::{Identity, bare_number};
use crate::order::Order;
use crate::protection::ProtectionClass;
use crate::refusal::Refusal;

/// How far the clock of a register may be ahead of ours, as those of who orders.
const AHEAD: Duration = Duration::from_secs(300);

/// A register that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegisterKind {
    /// Who is employed where, under which HSA-id: the HSA catalogue.
    Employment,
    /// Who a person with a Swedish number is: the personal-data service.
    Person,
}

impl RegisterKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Employment, Self::Person];

    /// Its word in files and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Employment => "employment",
            Self::Person => "person",
        }
    }

    /// The register that a word names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl fmt::Display for RegisterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a register can be asked to agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attribute {
    /// Who the person is: the number, or state and number of the passport.
    Identity,
    /// Given name in the certificate.
    GivenName,
    /// Surname in the certificate.
    Surname,
    /// Name of the organisation in the certificate.
    Organization,
    /// Number of the holder's organisation.
    OrganisationNumber,
    /// User principal name in the certificate.
    Upn,
    /// E-mail address in the certificate.
    Email,
    /// Place in the certificate.
    Locality,
}

impl Attribute {
    /// Its word in files and refusals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::GivenName => "given-name",
            Self::Surname => "surname",
            Self::Organization => "organization",
            Self::OrganisationNumber => "organisation-number",
            Self::Upn => "upn",
            Self::Email => "email",
            Self::Locality => "locality",
        }
    }

    /// Whether a register knows of such a thing: the personal-data service knows no employments.
    const fn is_of(self, register: RegisterKind) -> bool {
        match register {
            RegisterKind::Employment => true,
            RegisterKind::Person => {
                matches!(self, Self::Identity | Self::GivenName | Self::Surname)
            }
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One question to a register. Personal data: `Debug` shows no key.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    register: RegisterKind,
    key: String,
}

impl Question {
    /// Asks the catalogue by an HSA-id, or the personal-data service by a number of 12 digits.
    #[must_use]
    pub const fn new(register: RegisterKind, key: String) -> Self {
        Self { register, key }
    }

    /// Of whom a register is asked for an order; `None` where it knows nobody of the kind: an order whose certificate names no HSA-id is of no
    /// employment, and a person without a Swedish number is in no population register.
    #[must_use]
    pub fn of_order(
        register: RegisterKind,
        order: &Order,
        fields: &RequestedFields,
    ) -> Option<Self> {
        let key = match register {
            RegisterKind::Employment => fields.hsa_id.clone()?,
            RegisterKind::Person => order.identity.number()?.as_str().to_owned(),
        };
        Some(Self::new(register, key))
    }

    /// The register.
    #[must_use]
    pub const fn register(&self) -> RegisterKind {
        self.register
    }

    /// The HSA-id or the number.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("register", &self.register).finish_non_exhaustive()
    }
}

/// What order and certificate would say, to be held against a register.
#[derive(Clone, Copy)]
pub struct Ordered<'a> {
    /// The order.
    pub order: &'a Order,
    /// The names that the certificate would have, as they are asked for: it says these octets, or is refused.
    pub fields: &'a RequestedFields,
}

impl Ordered<'_> {
    /// What it says of an attribute, in the form that answers are compared in; `None`: nothing.
    fn said(self, attribute: Attribute) -> Option<String> {
        let Self { order, fields } = self;
        match attribute {
            Attribute::Identity => Some(identity(&order.identity)),
            Attribute::GivenName => fields.given_name.clone(),
            Attribute::Surname => fields.surname.clone(),
            Attribute::Organization => fields.organization.clone(),
            Attribute::OrganisationNumber => Some(order.user.number.as_str().to_owned()),
            Attribute::Upn => fields.upn.clone(),
            Attribute::Email => fields.email.clone(),
            Attribute::Locality => fields.locality.clone(),
        }
        .map(|text| comparable(attribute, &text))
    }
}

fn identity(identity: &Identity) -> String {
    match identity {
        Identity::Passport(passport) => format!("{} {}", passport.state(), passport.number()),
        Identity::Personnummer(number) | Identity::Samordningsnummer(number) => {
            number.as_str().to_owned()
        }
    }
}

/// Numbers are compared without what people write between their digits; everything else octet for octet, as it would stand in a certificate.
fn comparable(attribute: Attribute, text: &str) -> String {
    match attribute {
        Attribute::OrganisationNumber => bare_number(text),
        _ => text.to_owned(),
    }
}

/// A register that agrees with an order: what of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Which.
    pub register: RegisterKind,
    /// As of when it says so.
    pub as_of: UnixTime,
    /// SHA-256 of the answer's octets.
    pub sha256: [u8; 32],
    /// What was compared; empty where it gave nothing out.
    pub attributes: Vec<Attribute>,
    /// Whether it gave nothing out of a protected person, and who acts stands for that.
    pub withheld: bool,
}

/// Who acts, as far as it matters where a register gives nothing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandsFor {
    /// Somebody has signed the call in a role that has protected persons added.
    Protected,
    /// Nobody in such a role.
    Nobody,
}

impl Demand {
    /// Holds an answer against an order at `now`.
    ///
    /// # Errors
    ///
    /// [`RegisterFault`]: the first thing that keeps the certificate from being issued. An old answer is none, whatever it says.
    pub fn judge(
        &self,
        answer: &Answer,
        ordered: Ordered<'_>,
        by: StandsFor,
        now: UnixTime,
    ) -> Result<Agreed, RegisterFault> {
        if answer.as_of > now.checked_add(AHEAD).unwrap_or(now) {
            return Err(RegisterFault::Malformed);
        }
        let age = now.since(answer.as_of);
        if age > self.age {
            return Err(RegisterFault::Stale { age, limit: self.age });
        }
        let agreed = |attributes, withheld| Agreed {
            register: self.register,
            as_of: answer.as_of,
            sha256: answer.sha256,
            attributes,
            withheld,
        };
        match &answer.said {
            Said::Missing => Err(RegisterFault::Missing),
            Said::Ended(_) => Err(RegisterFault::Ended),
            Said::Withheld(_) => match (self.withheld, by) {
                (IfWithheld::ByRole, StandsFor::Protected) => Ok(agreed(Vec::new(), true)),
                _ => Err(RegisterFault::Withheld),
            },
            Said::Found(_, attributes) => {
                let mut compared = Vec::new();
                for &attribute in &self.agree {
                    let Some(said) = ordered.said(attribute) else { continue };
                    let known = attributes.of(attribute);
                    if !known.iter().any(|one| comparable(attribute, one) == said) {
                        let known = !known.is_empty();
                        return Err(RegisterFault::Mismatch { attribute, known });
                    }
                    compared.push(attribute);
                }
                Ok(agreed(compared, false))
            }
        }
    }
}

/// Why a register keeps a certificate from being issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterFault {
    /// As many questions as may be are waiting for an answer already.
    Busy,
    /// The employment has ended, or the person is in the register no more.
    Ended,
    /// What came is no answer to the question.
    Malformed,
    /// The certificate would say something else.
    Mismatch {
        /// In what.
        attribute: Attribute,
        /// Whether the register knows any of it.
        known: bool,
    },
    /// The register knows nobody by that key.
    Missing,
    /// A routine demands a register that this deployment does not have.
    NotConfigured,
    /// The answer is older than the routine takes.
    Stale {
        /// How old it is.
        age: Duration,
        /// How old it may be.
        limit: Duration,
    },
    /// No answer came in time.
    TimedOut {
        /// How long was waited.
        limit: Duration,
    },
    /// The register cannot be reached, or its file cannot be read.
    Unavailable,
    /// The register gives nothing out of this protected person.
    Withheld,
}

impl RegisterFault {
    /// One of each.
    pub const EXAMPLES: [Self; 10] = [
        Self::Busy,
        Self::Ended,
        Self::Malformed,
        Self::Mismatch { attribute: Attribute::Surname, known: true },
        Self::Missing,
        Self::NotConfigured,
        Self::Stale { age: Duration::from_secs(90_000), limit: Duration::from_secs(86_400) },
        Self::TimedOut { limit: Duration::from_secs(5) },
        Self::Unavailable,
        Self::Withheld,
    ];

    /// The stable code of each kind.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Busy => "register-busy",
            Self::Ended => "register-ended",
            Self::Malformed => "register-malformed",
            Self::Mismatch { .. } => "register-mismatch",
            Self::Missing => "register-missing",
            Self::NotConfigured => "register-not-configured",
            Self::Stale { .. } => "register-stale",
            Self::TimedOut { .. } => "register-timeout",
            Self::Unavailable => "register-unavailable",
            Self::Withheld => "register-withheld",
        }
    }

    /// Whether the register is at fault, and the same call is free once it answers; else it is what it says of this order.
    #[must_use]
    pub const fn is_of_the_register(self) -> bool {
        match self {
            Self::Busy
            | Self::Malformed
            | Self::Stale { .. }
            | Self::TimedOut { .. }
            | Self::Unavailable => true,
            Self::Ended
            | Self::Mismatch { .. }
            | Self::Missing
            | Self::NotConfigured
            | Self::Withheld => false,
        }
    }

    /// The same in the words of a refusal, of an order by a routine or of a look-up. It names no person and quotes no register.
    #[must_use]
    pub fn refusal(self, register: RegisterKind, routine: Option<&str>) -> Refusal {
        let rule = match routine {
            Some(routine) => format!("routine/{routine}/registers/{register} (ISS-04, ISS-18)"),
            None => format!("registers/{register} (ISS-18)"),
        };
        let (seen, limit, next) = match self {
            Self::Busy => (
                "as many questions as may be wait for an answer already".to_owned(),
                "a register that answers".to_owned(),
                "repeat the call with the same key in a few seconds",
            ),
            Self::Ended => (
                format!("the {register} register says that it has ended"),
                "somebody who is in the register now".to_owned(),
                "see in the register what has ended; order anew when it says otherwise",
            ),
            Self::Malformed => (
                format!("what the {register} register sent is no answer"),
                "an answer as docs/formats/register-answer.md has it".to_owned(),
                "an operator looks at the adapter of the register; repeat the call with the same key",
            ),
            Self::Mismatch { attribute, known: true } => (
                format!("{attribute}: the {register} register says something else"),
                "what the register says".to_owned(),
                "compare order and register; correct whichever is wrong, and send the order again",
            ),
            Self::Mismatch { attribute, known: false } => (
                format!("{attribute}: the {register} register has none"),
                "what the register says".to_owned(),
                "have it put into the register, or leave it out of the certificate",
            ),
            Self::Missing => (
                format!("nobody in the {register} register"),
                "somebody who is in the register".to_owned(),
                "compare HSA-id and number with the register",
            ),
            Self::NotConfigured => (
                format!("no section [register.{register}] in this deployment"),
                "a register that can be asked".to_owned(),
                "an operator configures it (docs/operations/register.md), or order by another routine",
            ),
            Self::Stale { age, limit } => (
                format!("an answer of {} s ago", age.as_secs()),
                format!("{} s", limit.as_secs()),
                "an operator brings the data of the register up to date; repeat the call with the same key",
            ),
            Self::TimedOut { limit } => (
                format!("no answer of the {register} register within {} s", limit.as_secs()),
                format!("{} s", limit.as_secs()),
                "repeat the call with the same key; revoking does not wait for it",
            ),
            Self::Unavailable => (
                format!("the {register} register cannot be asked"),
                "a register that answers".to_owned(),
                "an operator looks at the log; repeat the call with the same key",
            ),
            Self::Withheld => (
                format!("the {register} register gives nothing out"),
                "an answer, or somebody who acts in a role that may stand for it".to_owned(),
                "have somebody act who has such a role (docs/roles.md)",
            ),
        };
        Refusal::new(self.code(), rule, &seen, limit, next)
    }
}

impl Answer {
    /// How the register says that the person is protected.
    #[must_use]
    pub const fn protection(&self) -> Option<ProtectionClass> {
        match &self.said {
            Said::Missing => None,
            Said::Ended(class) | Said::Found(class, _) => *class,
            Said::Withheld(class) => Some(*class),
        }
    }
}

#[cfg(test)]
mod tests;
