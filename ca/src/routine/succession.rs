//! What becomes of what an order replaces, as data of its routine (ISS-17).
//!
//! A card that is lost ends with the order for another one; one that is renewed works until the new one does. Which, and how long after,
//! each routine says for each thing that can have happened.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::RoutineError;
use crate::calendar::Deadline;
use crate::life::OrderAct;
use crate::revocation::event::Reach;
use crate::revocation::{BusinessEvent, RevocationWish};

/// With which step of an order what it replaces ends, or begins to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrikesAt {
    /// When it is ordered.
    Order,
    /// When the new one is in the holder's hands.
    Delivery,
    /// When the new one is taken into use.
    Activation,
}

impl StrikesAt {
    /// Its word in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Delivery => "delivery",
            Self::Activation => "activation",
        }
    }

    /// The step.
    #[must_use]
    pub const fn act(self) -> OrderAct {
        match self {
            Self::Order => OrderAct::Order,
            Self::Delivery => OrderAct::Deliver,
            Self::Activation => OrderAct::Activate,
        }
    }
}

/// What becomes of what an order replaces because this has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Succession {
    /// What has happened. What is revoked, and for which reason, follows from it.
    pub event: BusinessEvent,
    /// With which step.
    pub at: StrikesAt,
    /// So long after that step; `None`: in the act of the step.
    pub after: Option<Deadline>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SuccessionFile {
    at: StrikesAt,
    after: Option<String>,
}

/// Reads the table `[replaces]` of a routine.
pub(super) fn read(
    files: BTreeMap<String, SuccessionFile>,
) -> Result<Vec<Succession>, RoutineError> {
    files.into_iter().map(|(name, file)| one(name, file)).collect()
}

fn one(name: String, file: SuccessionFile) -> Result<Succession, RoutineError> {
    let event = BusinessEvent::from_name(&name).filter(|event| replaces(*event));
    let Some(event) = event else { return Err(RoutineError::NoSuccession { event: name }) };
    let after = match file.after {
        None => None,
        Some(found) => match Deadline::parse(&found) {
            Some(deadline) => Some(deadline),
            None => return Err(RoutineError::Deadline { key: event.rule().name, found }),
        },
    };
    Ok(Succession { event, at: file.at, after })
}

/// Whether something that is revoked for good can be replaced because of it, and neither more nor less than an eID or a carrier.
const fn replaces(event: BusinessEvent) -> bool {
    let rule = event.rule();
    matches!(rule.wish, RevocationWish::Revoke(_))
        && matches!(rule.reach, Reach::Eid | Reach::Carrier)
}
