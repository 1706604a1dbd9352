//! The nodes together, and what may be done to one of them.

use std::collections::BTreeMap;

use super::{Organisation, OrganisationFault};
use crate::day::Day;
use crate::life::Named;

/// How many nodes may lie one under the other.
const DEPTH: usize = 12;

/// Organisations, by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree<I: Ord>(BTreeMap<I, Organisation<I>>);

/// Over which organisations somebody has a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope<I> {
    /// Over all there are.
    All,
    /// Over these and what lies under them.
    Under(Vec<I>),
}

impl<I: Copy + Ord> FromIterator<Organisation<I>> for Tree<I> {
    fn from_iter<T: IntoIterator<Item = Organisation<I>>>(organisations: T) -> Self {
        Self(organisations.into_iter().map(|one| (one.id, one)).collect())
    }
}

impl<I: Copy + Ord> Tree<I> {
    /// All nodes, by their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Organisation<I>> {
        self.0.values()
    }

    /// A node.
    #[must_use]
    pub fn find(&self, id: I) -> Option<&Organisation<I>> {
        self.0.get(&id)
    }

    /// The node, what it lies under, what that lies under, and so on.
    pub fn way_up(&self, id: I) -> impl Iterator<Item = &Organisation<I>> {
        // A tree that was judged is never so deep; what was not, such as a damaged one, ends all the same.
        std::iter::successors(self.find(id), |below| self.find(below.parent?)).take(DEPTH)
    }

    /// Whether a role over `scope` covers a node on a day: it, or one above it, is named there and has not ended.
    #[must_use]
    pub fn sees(&self, scope: &Scope<I>, id: I, today: Day) -> bool {
        match scope {
            Scope::All => self.find(id).is_some(),
            Scope::Under(own) => {
                self.way_up(id).any(|one| own.contains(&one.id) && one.days.contains(today))
            }
        }
    }

    /// Whether a node is there on a day. What lies above it is there then, too.
    #[must_use]
    pub fn is_there(&self, id: I, day: Day) -> bool {
        self.find(id).is_some_and(|one| one.days.contains(day))
    }

    /// Holds a new node, or one as it is to be from now on, against the tree and against the role of who wants it.
    ///
    /// # Errors
    ///
    /// The first rule that refuses. What the role does not cover is refused as what is not there.
    pub fn judge(
        &self,
        wanted: &Organisation<I>,
        scope: &Scope<I>,
        today: Day,
    ) -> Result<(), OrganisationFault> {
        let known = self.find(wanted.id);
        if let Some(known) = known {
            self.may_change(known, scope, today)?;
        }
        let above = self.above(wanted, scope, today)?;
        let keeps = known.is_some_and(|known| {
            known.number() == wanted.number() && known.name() == wanted.name()
        });
        if wanted.number().is_some() && !keeps && !self.is_named_by(above, scope, today) {
            return Err(OrganisationFault::Numbered);
        }
        if above.is_some_and(|above| self.way_up(above.id).any(|one| one.id == wanted.id)) {
            return Err(OrganisationFault::Cycle);
        }
        let over = above.map_or(0, |above| self.way_up(above.id).count());
        if over.saturating_add(self.height(wanted.id, DEPTH)) > DEPTH {
            return Err(OrganisationFault::Depth { most: DEPTH });
        }
        match (wanted.days.until(), known.and_then(|known| known.days.until())) {
            (Some(until), before) if until < today && Some(until) != before => {
                return Err(OrganisationFault::Past { until });
            }
            _ => {}
        }
        if let Some(above) = above
            && !wanted.days.lie_within(above.days)
        {
            let (days, above) = (wanted.days, above.days);
            return Err(OrganisationFault::OutsideAbove { days, above });
        }
        let outside = |one: &&Organisation<I>| !one.days.lie_within(wanted.days);
        let count = self.under(wanted.id).filter(outside).count();
        if count > 0 {
            return Err(OrganisationFault::OutsideBelow { count, days: wanted.days });
        }
        self.names_are_free(wanted)
    }

    fn may_change(
        &self,
        known: &Organisation<I>,
        scope: &Scope<I>,
        today: Day,
    ) -> Result<(), OrganisationFault> {
        if !self.sees(scope, known.id, today) {
            return Err(OrganisationFault::Unknown);
        }
        // A role whose own organisation it is could make itself last for ever.
        let from_above = known.parent.is_some_and(|parent| self.sees(scope, parent, today));
        if !from_above && *scope != Scope::All {
            return Err(OrganisationFault::Own);
        }
        match known.days.until() {
            Some(until) if until < today => Err(OrganisationFault::Ended { until }),
            _ => Ok(()),
        }
    }

    /// What it is to lie under, where that kind lies under such a kind.
    fn above(
        &self,
        wanted: &Organisation<I>,
        scope: &Scope<I>,
        today: Day,
    ) -> Result<Option<&Organisation<I>>, OrganisationFault> {
        let kind = wanted.kind;
        let Some(parent) = wanted.parent else {
            // Whoever may not see all sees no root being made.
            return match (kind.lies_under(), scope) {
                ([], Scope::All) => Ok(None),
                ([], Scope::Under(_)) => Err(OrganisationFault::UnknownAbove),
                _ => Err(OrganisationFault::Above { kind, above: "nothing" }),
            };
        };
        let above = self.find(parent).filter(|above| self.sees(scope, above.id, today));
        let above = above.ok_or(OrganisationFault::UnknownAbove)?;
        if !kind.lies_under().contains(&above.kind) {
            return Err(OrganisationFault::Above { kind, above: above.kind.word().name });
        }
        Ok(Some(above))
    }

    /// Whether a role names what has a number and lies under `above`: it covers the issuing area too.
    fn is_named_by(&self, above: Option<&Organisation<I>>, scope: &Scope<I>, today: Day) -> bool {
        let root = above.and_then(|above| self.way_up(above.id).last());
        *scope == Scope::All || root.is_some_and(|root| self.sees(scope, root.id, today))
    }

    fn under(&self, id: I) -> impl Iterator<Item = &Organisation<I>> {
        self.iter().filter(move |one| one.parent == Some(id))
    }

    /// How many lie one under the other from this node on, as far as `most`.
    fn height(&self, id: I, most: usize) -> usize {
        let Some(rest) = most.checked_sub(1) else { return 1 };
        self.under(id).map(|one| self.height(one.id, rest)).max().unwrap_or(0).saturating_add(1)
    }

    fn names_are_free(&self, wanted: &Organisation<I>) -> Result<(), OrganisationFault> {
        let mut others =
            self.iter().filter(|one| one.id != wanted.id && one.days.meet(wanted.days));
        let taken = others.find_map(|one| {
            let same_number = wanted.number.is_some() && one.number == wanted.number;
            let same_office = wanted.office.is_some() && one.office == wanted.office;
            same_number.then_some("number").or_else(|| same_office.then_some("office"))
        });
        taken.map_or(Ok(()), |field| Err(OrganisationFault::Taken { field }))
    }
}
