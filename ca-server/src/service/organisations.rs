//! Organisations: the tree as callers see it and change it, and whom they may order for (API-04).
//!
//! A client has a role over the organisations that its configuration names, and over what lies under them. What lies outside is
//! answered as what is not there. The rules are `ca::organisation`'s, and the store asks them in the act that writes.

use api::OrganisationQuery;
use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::day::Day;
use ca::identity::OrganisationNumber;
use ca::life::Named as _;
use ca::order::Order;
use ca::organisation::{
    Days, Organisation, OrganisationFault, OrganisationKind, OrganisationText, Scope, Tree, today,
};
use ca::refusal::Refusal;
use ca::role::Protected;
use serde_json::{Value, json};
use store::{OrganisationChange, OrganisationId, OrganisationRow, Subject};
use x509::time::UnixTime;

use super::Service;
use super::bindings::mark_of;
use super::body::from_json;
use super::caller::Caller;
use super::order::{Answered, OrderWork, Outcome};
use super::record::{call_object, client};
use crate::denied::{Denied, Kind};

/// Characters of an id of a person.
const ACTOR_LIMIT: usize = 64;
/// Characters of what somebody writes down.
const NOTE_LIMIT: usize = 1000;
/// Most rows of a page.
const PAGE: u32 = 1000;

type Node = Organisation<OrganisationId>;

impl Service {
    /// Adds an organisation. Its id is its order's: a call that is repeated finds it.
    pub(crate) fn add_organisation(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_organise()?;
        let request: api::OrganisationRequest = from_json(&work.call.body)?;
        fits(&request.actor, request.note.as_deref())?;
        let text = OrganisationText {
            name: &request.name,
            number: request.number.as_deref(),
            office: request.office.as_deref(),
        };
        let until = request.until.as_deref().map(|text| day("until", text)).transpose()?;
        let days = Days::new(day("from", &request.from)?, until);
        let days = days.ok_or_else(|| malformed("until", "a day not before `from`"))?;
        let parent = request.parent.as_deref().map(above).transpose()?;
        let id = OrganisationId::from_bytes(*work.order.as_bytes());
        let wanted = Organisation::new(id, parent, kind(request.kind), days, &text);
        let wanted = wanted.map_err(|fault| denied(&fault))?;
        let payload = json!({
            "call": work.call.correlation_id,
            "by": work.call.client,
            "actor": request.actor,
            "note": request.note,
            "organisation": told(&wanted),
        });
        let put = self.put(caller, work, (wanted, None), EventCode::OrganisationAdded, &payload)?;
        Answered::unlogged(Outcome::Created, &self.shown_organisation(&put))
    }

    /// Changes what an organisation is called or what it lies under.
    pub(crate) fn change_organisation(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_organise()?;
        let request: api::OrganisationChangeRequest = from_json(&work.call.body)?;
        fits(&request.actor, request.note.as_deref())?;
        let known = self.seen(caller, id)?.organisation;
        let number = request.number.as_deref();
        let number = number.or(known.number().map(OrganisationNumber::as_str));
        let office = request.office.as_deref();
        let office = office.or(known.office().map(ca::organisation::OfficeId::as_str));
        let name = request.name.as_deref().unwrap_or(known.name());
        let parent = match &request.parent {
            Some(parent) => Some(above(parent)?),
            None => known.parent,
        };
        let text = OrganisationText { name, number, office };
        let wanted = Organisation::new(known.id, parent, known.kind, known.days, &text);
        let wanted = wanted.map_err(|fault| denied(&fault))?;
        let payload = json!({
            "call": work.call.correlation_id,
            "by": work.call.client,
            "actor": request.actor,
            "note": request.note,
            "before": told(&known),
            "after": told(&wanted),
        });
        let wanted = (wanted, Some(request.revision));
        let put = self.put(caller, work, wanted, EventCode::OrganisationChanged, &payload)?;
        Answered::unlogged(Outcome::Changed, &self.shown_organisation(&put))
    }

    /// Gives an organisation its last day.
    pub(crate) fn end_organisation(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_organise()?;
        let request: api::OrganisationEndRequest = from_json(&work.call.body)?;
        fits(&request.actor, request.note.as_deref())?;
        let known = self.seen(caller, id)?.organisation;
        let until = request.until.as_deref().map(|text| day("until", text)).transpose()?;
        let days = Days::new(known.days.from(), until);
        let days = days.ok_or_else(|| malformed("until", "a day not before its first one"))?;
        let wanted = known.clone().on(days);
        let payload = json!({
            "call": work.call.correlation_id,
            "by": work.call.client,
            "actor": request.actor,
            "note": request.note,
            "before": told(&known),
            "after": told(&wanted),
        });
        let wanted = (wanted, Some(request.revision));
        let put = self.put(caller, work, wanted, EventCode::OrganisationEnded, &payload)?;
        Answered::unlogged(Outcome::Changed, &self.shown_organisation(&put))
    }

    fn put(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
        (organisation, rests_on): (Node, Option<u32>),
        code: EventCode,
        payload: &Value,
    ) -> Result<OrganisationRow, Denied> {
        let now = self.clock().read().now;
        let objects = ObjectIds::of_act([
            Some(ObjectId::Organisation(*organisation.id.as_bytes())),
            Some(call_object(work.call)),
        ]);
        let actor = client(&work.call.client);
        let (done, subject) = (EventResult::Done, Subject::Deployment);
        let record = Self::record(code, done, actor, objects, None, payload, subject);
        let change = OrganisationChange {
            organisation,
            rests_on,
            order: work.order,
            scope: caller.scope(),
            today: today(now),
        };
        self.store().put_organisation(&change, &record, now).map_err(|e| self.note_storage(&e))
    }

    /// One organisation, if the caller sees it.
    pub(crate) fn organisation(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<api::Organisation, Denied> {
        caller.must_read()?;
        Ok(self.shown_organisation(&self.seen(caller, id)?))
    }

    fn seen(&self, caller: &Caller, id: &str) -> Result<OrganisationRow, Denied> {
        let unknown = || denied(&OrganisationFault::Unknown);
        let id: OrganisationId = id.parse().map_err(|_| unknown())?;
        let today = today(self.clock().read().now);
        let rows = self.store().organisation_with_way_up(id).map_err(|e| self.note_storage(&e))?;
        let tree: Tree<_> = rows.iter().map(|row| row.organisation.clone()).collect();
        let found = rows.into_iter().find(|row| row.organisation.id == id);
        found.filter(|_| tree.sees(&caller.scope(), id, today)).ok_or_else(unknown)
    }

    /// The organisations that the caller sees, by their ids: those of an earlier second come first.
    pub(crate) fn organisations(
        &self,
        caller: &Caller,
        query: &OrganisationQuery,
    ) -> Result<api::Page<api::Organisation>, Denied> {
        caller.must_read()?;
        let kind = query.kind.as_deref().map(str::parse::<OrganisationKind>).transpose();
        let kind = kind.map_err(|fault| denied(&fault))?;
        let on = query.on.as_deref().map(|text| day("on", text)).transpose()?;
        let limit = query.limit.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&limit) {
            return Err(malformed("limit", "1 to 1000"));
        }
        let after = query.cursor.as_deref().map(str::parse::<OrganisationId>).transpose();
        let after = after.map_err(|_| malformed("cursor", "`next` of the page before"))?;
        let under = query.under.as_deref().map(|id| self.seen(caller, id)).transpose()?;
        let under = under.map(|row| row.organisation.id);
        let today = today(self.clock().read().now);
        let (rows, tree) = self.tree()?;
        let wanted = |row: &&OrganisationRow| {
            let one = &row.organisation;
            tree.sees(&caller.scope(), one.id, today)
                && after.is_none_or(|after| one.id > after)
                && kind.is_none_or(|kind| one.kind == kind)
                && on.is_none_or(|on| one.days.contains(on))
                && under.is_none_or(|under| tree.way_up(one.id).any(|above| above.id == under))
        };
        let mut found = rows.iter().filter(wanted);
        let items: Vec<_> = found
            .by_ref()
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(|row| self.shown_organisation(row))
            .collect();
        let next = found.next().and_then(|_| items.last()).map(|last| last.id.clone());
        Ok(api::Page { items, next })
    }

    pub(super) fn tree(&self) -> Result<(Vec<OrganisationRow>, Tree<OrganisationId>), Denied> {
        let rows = self.store().organisations().map_err(|e| self.note_storage(&e))?;
        let tree = rows.iter().map(|row| row.organisation.clone()).collect();
        Ok((rows, tree))
    }

    /// The numbers of an organisation and of what lies under it, those that have ended too.
    pub(super) fn numbers_under(&self, id: &str) -> Result<Vec<String>, Denied> {
        let unknown = || denied(&OrganisationFault::Unknown);
        let id: OrganisationId = id.parse().map_err(|_| unknown())?;
        let (_, tree) = self.tree()?;
        tree.find(id).ok_or_else(unknown)?;
        let under = tree.iter().filter(|one| tree.way_up(one.id).any(|above| above.id == id));
        Ok(under.filter_map(|one| one.number()).map(|number| number.as_str().to_owned()).collect())
    }

    fn shown_organisation(&self, row: &OrganisationRow) -> api::Organisation {
        let one = &row.organisation;
        api::Organisation {
            id: one.id.to_string(),
            kind: shown_kind(one.kind),
            kind_sv: one.kind.word().swedish.to_owned(),
            parent: one.parent.map(|parent| parent.to_string()),
            name: one.name().to_owned(),
            number: one.number().map(|number| number.as_str().to_owned()),
            office: one.office().map(ToString::to_string),
            from: one.days.from().to_string(),
            until: one.days.until().map(|until| until.to_string()),
            active: one.days.contains(today(self.clock().read().now)),
            revision: row.revision,
            created: row.created.to_string(),
            updated: row.updated.to_string(),
        }
    }

    /// Refuses an order of a client that is limited to organisations, unless the holder's organisation is one of them today and
    /// the issuing one, where it is another, is one of them or lies above the holder's; or, of a call without an order, unless the
    /// subject names one of them that has a number. An organisation is named as the tree names it: its name stands in the certificate.
    pub(super) fn must_order_for(
        &self,
        caller: &Caller,
        request: &api::IssueRequest,
        ordered: Option<&Order>,
    ) -> Result<(), Denied> {
        let Some(own) = &caller.organisations else { return Ok(()) };
        let scope = Scope::Under(own.to_vec());
        let today = today(self.clock().read().now);
        let covered = |tree: &Tree<OrganisationId>, one: &Node| {
            one.days.contains(today) && tree.sees(&scope, one.id, today)
        };
        let Some(order) = ordered else {
            let (_, tree) = self.tree()?;
            let name = request.subject.organization.as_deref();
            // What a client under it may name as it likes has no number.
            let named = |one: &Node| {
                one.number().is_some() && Some(one.name()) == name && covered(&tree, one)
            };
            return if tree.iter().any(named) { Ok(()) } else { Err(not_of_the_client("subject")) };
        };
        self.must_have_card(caller, order)?;
        let users = self.tree_of(&order.user.number)?;
        // One that has ended may have had the number before.
        let mut named = users.iter().filter(|one| one.number() == Some(&order.user.number));
        let user = named.find(|one| covered(&users, one));
        let user = user.ok_or_else(|| not_of_the_client("order/organisations/user"))?;
        must_be_named("order/organisations/user/name", order.user.name.as_str(), user)?;
        let Some(issuing) = &order.issuing else { return Ok(()) };
        let field = "order/organisations/issuing/name";
        let lies_above = |one: &&Node| one.number() == Some(&issuing.number);
        if let Some(above) = users.way_up(user.id).find(lies_above) {
            return must_be_named(field, issuing.name.as_str(), above);
        }
        let issuers = self.tree_of(&issuing.number)?;
        let found = issuers.iter().find(|one| lies_above(one) && covered(&issuers, one));
        let found = found.ok_or_else(|| not_of_the_client("order/organisations/issuing"))?;
        must_be_named(field, issuing.name.as_str(), found)
    }

    /// Refuses an order onto a card that another organisation has taken into the register: it is that one's stock, and no holder's yet.
    fn must_have_card(&self, caller: &Caller, order: &Order) -> Result<(), Denied> {
        let Some(mark) = mark_of(order) else { return Ok(()) };
        let card = self.store().carrier_of_card(&mark, Protected::Seen);
        let card = card.map_err(|e| self.note_storage(&e))?;
        let registered =
            card.filter(|card| card.stage.is_some()).and_then(|card| card.organisation);
        match registered {
            Some(number) if !self.is_of(caller, &number)? => {
                Err(not_of_the_client("order/carrier/card_number"))
            }
            _ => Ok(()),
        }
    }

    /// Whether an organisation is there today, and a scope covers it.
    pub(super) fn sees_organisation(
        &self,
        scope: &Scope<OrganisationId>,
        id: OrganisationId,
        now: UnixTime,
    ) -> Result<bool, Denied> {
        let (_, tree) = self.tree()?;
        let today = today(now);
        let is_there = tree.iter().any(|one| one.id == id && one.days.contains(today));
        Ok(is_there && tree.sees(scope, id, today))
    }

    /// Whether a scope covers an organisation of this name today, one that has ended too. Only one that has a number counts: what has none
    /// its client names as it likes.
    pub(super) fn sees_named(
        &self,
        scope: &Scope<OrganisationId>,
        name: &str,
    ) -> Result<bool, Denied> {
        let (_, tree) = self.tree()?;
        let today = today(self.clock().read().now);
        let named = |one: &Node| one.number().is_some() && one.name() == name;
        Ok(tree.iter().any(|one| named(one) && tree.sees(scope, one.id, today)))
    }

    pub(super) fn tree_of(
        &self,
        number: &OrganisationNumber,
    ) -> Result<Tree<OrganisationId>, Denied> {
        let rows = self.store().organisations_of_number(number);
        let rows = rows.map_err(|e| self.note_storage(&e))?;
        Ok(rows.into_iter().map(|row| row.organisation).collect())
    }
}

/// A fault of the tree as a denied call. What the tree refuses today it may take tomorrow.
pub(super) fn denied(fault: &OrganisationFault) -> Denied {
    let kind = match fault {
        OrganisationFault::Malformed { .. } => Kind::Rule,
        OrganisationFault::Unknown => Kind::NotFound,
        OrganisationFault::Own | OrganisationFault::Numbered => Kind::Forbidden,
        _ => Kind::Conflict,
    };
    let denied = Denied::new(kind, fault.refusal());
    if kind == Kind::Rule { denied } else { denied.for_now() }
}

fn not_of_the_client(field: &'static str) -> Denied {
    Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "organisation-not-allowed",
            "API-04: a client orders for the organisations of its configuration and what lies under them",
            &field,
            "an organisation of the client, on one of its days",
            "have a client order whose organisation it is, or have the organisation added or its days changed",
        ),
    )
}

fn must_be_named(field: &'static str, name: &str, known: &Node) -> Result<(), Denied> {
    if name == known.name() {
        return Ok(());
    }
    Err(Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "organisation-name-not-allowed",
            "API-04: a client that is limited to organisations names them as the tree does",
            &field,
            format!("{} for this number", known.name()),
            "order under this name, or have the name in the tree changed",
        ),
    ))
}

fn fits(actor: &str, note: Option<&str>) -> Result<(), Denied> {
    let length = actor.chars().count();
    if actor.trim().is_empty() || length > ACTOR_LIMIT {
        return Err(malformed("actor", "1 to 64 characters"));
    }
    match note {
        Some(note) if note.trim().is_empty() || note.chars().count() > NOTE_LIMIT => {
            Err(malformed("note", "1 to 1000 characters, or left out"))
        }
        _ => Ok(()),
    }
}

fn day(field: &'static str, text: &str) -> Result<Day, Denied> {
    text.parse().map_err(|_| malformed(field, "a day such as 2026-11-23"))
}

fn above(id: &str) -> Result<OrganisationId, Denied> {
    id.parse().map_err(|_| denied(&OrganisationFault::UnknownAbove))
}

fn malformed(field: &'static str, limit: &str) -> Denied {
    denied(&OrganisationFault::Malformed { field, limit: limit.to_owned() })
}

/// For the audit log.
fn told(one: &Node) -> Value {
    json!({
        "id": one.id.to_string(),
        "kind": one.kind.to_string(),
        "parent": one.parent.map(|parent| parent.to_string()),
        "name": one.name(),
        "number": one.number().map(OrganisationNumber::as_str),
        "office": one.office().map(ToString::to_string),
        "from": one.days.from().to_string(),
        "until": one.days.until().map(|until| until.to_string()),
    })
}

const fn kind(kind: api::OrganisationKind) -> OrganisationKind {
    match kind {
        api::OrganisationKind::IssuingArea => OrganisationKind::IssuingArea,
        api::OrganisationKind::DirectlyConnected => OrganisationKind::DirectlyConnected,
        api::OrganisationKind::ThirdParty => OrganisationKind::ThirdParty,
        api::OrganisationKind::SubOrganisation => OrganisationKind::SubOrganisation,
        api::OrganisationKind::Office => OrganisationKind::Office,
    }
}

const fn shown_kind(kind: OrganisationKind) -> api::OrganisationKind {
    match kind {
        OrganisationKind::IssuingArea => api::OrganisationKind::IssuingArea,
        OrganisationKind::DirectlyConnected => api::OrganisationKind::DirectlyConnected,
        OrganisationKind::ThirdParty => api::OrganisationKind::ThirdParty,
        OrganisationKind::SubOrganisation => api::OrganisationKind::SubOrganisation,
        OrganisationKind::Office => api::OrganisationKind::Office,
    }
}

#[cfg(test)]
mod tests;
