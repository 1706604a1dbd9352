//! Domains that organisations have stated and proved, and the rule that the DNS names of a function lie under one (PRO-20).
//!
//! Who may change what lies under an organisation states and proves its domains. The rules are `ca::domain`'s; the store asks them in the act that
//! writes. What lies outside of the caller's organisations is answered as what is not there.

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::domain::{DomainFault, DomainName, DomainProofId, Hold, Proof, TOKEN_LASTS, above, judge};
use ca::fields::DnsSubject;
use ca::identity::{DnsName, Wildcard};
use ca::organisation::{OrganisationFault, Scope, Tree, today};
use ca::prepare::Facts;
use ca::refusal::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{DomainAct, DomainId, DomainProofRow, DomainRow, DomainStep, OrganisationId, Subject};
use x509::time::UnixTime;

use super::Service;
use super::body::from_json;
use super::caller::Caller;
use super::issue::Commission;
use super::order::{Answered, OrderWork, Outcome};
use super::record::{call_object, client, written};
use crate::denied::{Denied, Kind};

/// Characters of an id of a person.
const ACTOR_LIMIT: usize = 64;
/// Characters of where the evidence is.
const REFERENCE_LIMIT: usize = 200;
/// Characters of what somebody writes down.
const NOTE_LIMIT: usize = 1000;
/// Most rows of a page.
const PAGE: u32 = 1000;

/// Whether the DNS names of functions must lie under domains that their owners have proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DomainRule {
    /// They must.
    Kept,
    /// They need not: in environments that are not production, where the configuration says nothing else.
    Waived,
}

/// Whose function an order is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The program orders it for itself, under names of its configuration.
    Program,
    /// The order does not say.
    Unnamed,
    /// This organisation's; with it all that it lies under, itself the first.
    Organisation(Vec<OrganisationId>),
}

/// What is kept of a proof beside what it is judged by.
#[derive(Serialize, Deserialize)]
struct Evidence {
    seen_by: String,
    reference: String,
}

impl Service {
    /// States a domain. Its id is its order's: a call that is repeated finds it.
    pub(crate) fn state_domain(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_organise()?;
        let request: api::DomainRequest = from_json(&work.call.body)?;
        fits("actor", &request.actor, ACTOR_LIMIT)?;
        let note = noted(request.note.as_deref())?;
        let unknown = |_| super::organisations::denied(&OrganisationFault::Unknown);
        let organisation: OrganisationId = request.organisation.parse().map_err(unknown)?;
        let name = DomainName::parse(&request.domain).map_err(|fault| denied(&fault))?;
        let id = DomainId::from_bytes(*work.order.as_bytes());
        let payload = json!({
            "actor": request.actor, "note": note,
            "domain": name.as_str(), "organisation": organisation.to_string(),
        });
        let step = DomainStep::State { organisation, name, token: self.draw_token()? };
        let (code, outcome) = (EventCode::DomainStated, Outcome::Created);
        self.act_on_domain(caller, work, (id, step), organisation, (code, outcome, payload))
    }

    /// Gives out another token.
    pub(crate) fn token_of_domain(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let step = |service: &Self| Ok(DomainStep::Token(service.draw_token()?));
        self.plain_act(caller, id, work, EventCode::DomainStated, step)
    }

    /// Withdraws a domain.
    pub(crate) fn withdraw_domain(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let step = |_: &Self| Ok(DomainStep::Withdraw);
        self.plain_act(caller, id, work, EventCode::DomainWithdrawn, step)
    }

    fn plain_act(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
        code: EventCode,
        step: impl FnOnce(&Self) -> Result<DomainStep, Denied>,
    ) -> Result<Answered, Denied> {
        caller.must_organise()?;
        let request: api::DomainActRequest = from_json(&work.call.body)?;
        fits("actor", &request.actor, ACTOR_LIMIT)?;
        let note = noted(request.note.as_deref())?;
        let known = self.seen_domain(caller, id)?;
        let payload = json!({
            "actor": request.actor, "note": note, "domain": known.name.as_str(),
            "token": (code == EventCode::DomainStated).then_some("new"),
        });
        let done = (code, Outcome::Changed, payload);
        self.act_on_domain(caller, work, (known.id, step(self)?), known.organisation, done)
    }

    /// Records a proof.
    pub(crate) fn prove_domain(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_organise()?;
        let request: api::DomainProofRequest = from_json(&work.call.body)?;
        fits("actor", &request.actor, ACTOR_LIMIT)?;
        fits("seen_by", &request.seen_by, ACTOR_LIMIT)?;
        fits("reference", &request.reference, REFERENCE_LIMIT)?;
        let note = noted(request.note.as_deref())?;
        let known = self.seen_domain(caller, id)?;
        let time = |field, text: &str| {
            super::ordered::time("PRO-20: when a proof was seen, and until when it holds", text)
                .map_err(|_| malformed(field, "RFC 3339 in UTC, such as 2026-11-24T08:00:00Z"))
        };
        let no_method = || DomainFault::Method { method: request.method.clone() };
        let method = DomainProofId::new(&request.method).ok_or_else(no_method);
        let proof = Proof {
            method: method.map_err(|fault| denied(&fault))?,
            seen_at: time("seen_at", &request.seen_at)?,
            valid_until: time("valid_until", &request.valid_until)?,
        };
        let payload = json!({
            "actor": request.actor, "note": note, "domain": known.name.as_str(),
            "method": request.method, "seen_at": proof.seen_at.to_string(),
            "valid_until": proof.valid_until.to_string(),
            "seen_by": request.seen_by, "reference": request.reference,
        });
        let evidence = Evidence { seen_by: request.seen_by, reference: request.reference };
        let method = self.book.domain_proof(&request.method).cloned();
        let step = DomainStep::Prove { proof, method, evidence: written(&json!(evidence)) };
        let done = (EventCode::DomainProved, Outcome::Changed, payload);
        self.act_on_domain(caller, work, (known.id, step), known.organisation, done)
    }

    fn act_on_domain(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
        (domain, step): (DomainId, DomainStep),
        organisation: OrganisationId,
        (code, outcome, payload): (EventCode, Outcome, Value),
    ) -> Result<Answered, Denied> {
        let now = self.clock().read().now;
        let payload = json!({
            "call": work.call.correlation_id,
            "by": work.call.client,
            "id": domain.to_string(),
            "said": payload,
        });
        let objects = ObjectIds::of_act([
            Some(ObjectId::Organisation(*organisation.as_bytes())),
            Some(call_object(work.call)),
        ]);
        let (done, subject) = (EventResult::Done, Subject::Deployment);
        let actor = client(&work.call.client);
        let record = Self::record(code, done, actor, objects, None, &payload, subject);
        let act = DomainAct { domain, step, order: work.order, scope: caller.scope() };
        let row = self.store().act_on_domain(&act, &record, now);
        let row = row.map_err(|e| self.note_storage(&e))?;
        Answered::unlogged(outcome, &shown(&row, &self.proofs(row.id)?, now))
    }

    fn draw_token(&self) -> Result<String, Denied> {
        let drawn = base16ct::lower::encode_string(&self.randomness.draw::<16>()?);
        Ok(format!("sigill-domain-proof={drawn}"))
    }

    fn proofs(&self, id: DomainId) -> Result<Vec<DomainProofRow>, Denied> {
        self.store().domain_proofs(id).map_err(|e| self.note_storage(&e))
    }

    /// One domain with its proofs, if the caller sees it.
    pub(crate) fn domain(&self, caller: &Caller, id: &str) -> Result<api::Domain, Denied> {
        caller.must_read()?;
        let row = self.seen_domain(caller, id)?;
        Ok(shown(&row, &self.proofs(row.id)?, self.clock().read().now))
    }

    fn seen_domain(&self, caller: &Caller, id: &str) -> Result<DomainRow, Denied> {
        let unknown = || denied(&DomainFault::Unknown);
        let id: DomainId = id.parse().map_err(|_| unknown())?;
        let row = self.store().domain(id).map_err(|e| self.note_storage(&e))?;
        let row = row.ok_or_else(unknown)?;
        let tree = self.way_up(row.organisation)?;
        let today = today(self.clock().read().now);
        if tree.sees(&caller.scope(), row.organisation, today) { Ok(row) } else { Err(unknown()) }
    }

    fn way_up(&self, id: OrganisationId) -> Result<Tree<OrganisationId>, Denied> {
        let rows = self.store().organisation_with_way_up(id).map_err(|e| self.note_storage(&e))?;
        Ok(rows.into_iter().map(|row| row.organisation).collect())
    }

    /// The domains that the caller sees, by their ids.
    pub(crate) fn domains(
        &self,
        caller: &Caller,
        query: &api::DomainQuery,
    ) -> Result<api::Page<api::Domain>, Denied> {
        caller.must_read()?;
        let limit = query.limit.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&limit) {
            return Err(malformed("limit", "1 to 1000"));
        }
        let after = query.cursor.as_deref().map(str::parse::<DomainId>).transpose();
        let after = after.map_err(|_| malformed("cursor", "`next` of the page before"))?;
        let under = query.organisation.as_deref().map(str::parse::<OrganisationId>).transpose();
        let unknown = || super::organisations::denied(&OrganisationFault::Unknown);
        let under = under.map_err(|_| unknown())?;
        let covers = query.covers.as_deref().map(|name| DnsName::parse(name, Wildcard::Allowed));
        let covers = covers
            .transpose()
            .map_err(|_| malformed("covers", "a DNS name as certificates have it"))?;
        let before = query.until_before.as_deref().map(|text| {
            super::ordered::time("PRO-20: until when a proof holds", text).map_err(|_| {
                malformed("until_before", "RFC 3339 in UTC, such as 2026-11-24T08:00:00Z")
            })
        });
        let before = before.transpose()?;
        let now = self.clock().read().now;
        let today = today(now);
        let (_, tree) = self.tree()?;
        if under.is_some_and(|id| !tree.sees(&caller.scope(), id, today)) {
            return Err(unknown());
        }
        let rows = self.store().domains().map_err(|e| self.note_storage(&e))?;
        let wanted = |row: &&DomainRow| {
            let is_under = |id| tree.way_up(row.organisation).any(|above| above.id == id);
            tree.sees(&caller.scope(), row.organisation, today)
                && after.is_none_or(|after| row.id > after)
                && under.is_none_or(is_under)
                && before.is_none_or(|before| ends_before(row, before))
                && covers.as_ref().is_none_or(|name| row.name.covers(name))
        };
        let mut found = rows.iter().filter(wanted);
        let items: Vec<_> = found
            .by_ref()
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(|row| shown(row, &[], now))
            .collect();
        let next = found.next().and_then(|_| items.last()).map(|last| last.id.clone());
        Ok(api::Page { items, next })
    }

    /// The owner that a call names: one of the caller's organisations, there today, which the certificate names or which lies under the one that it
    /// names.
    pub(super) fn owner_of(
        &self,
        caller: &Caller,
        request: &api::IssueRequest,
    ) -> Result<Owner, Denied> {
        let Some(function) = &request.function else { return Ok(Owner::Unnamed) };
        let unknown =
            || owner_refused("function/owner", "an organisation of the client, on one of its days");
        let id: OrganisationId = function.owner.parse().map_err(|_| unknown())?;
        let (tree, today) = (self.way_up(id)?, today(self.clock().read().now));
        // A client that is limited to none orders for all.
        let is_for_all = caller.is_operator() || caller.organisations.is_none();
        let scope = if is_for_all { Scope::All } else { caller.scope() };
        if !tree.is_there(id, today) || !tree.sees(&scope, id, today) {
            return Err(unknown());
        }
        let name = request.subject.organization.as_deref();
        if !tree.way_up(id).any(|one| one.number().is_some() && Some(one.name()) == name) {
            let limit = "the name of the owner, or of what it lies under, that has a number";
            return Err(owner_refused("subject/organization", limit));
        }
        Ok(Owner::Organisation(tree.way_up(id).map(|one| one.id).collect()))
    }

    /// Refuses a certificate with a DNS name that lies under no domain that its owner, or what that lies under, has proved: wherever the rule is kept.
    pub(super) fn must_lie_under_domains(
        &self,
        commission: &Commission<'_>,
        facts: &Facts,
        now: UnixTime,
    ) -> Result<(), Denied> {
        let names = &facts.fields.dns;
        if self.domain_rule == DomainRule::Waived || names.is_empty() {
            return Ok(());
        }
        let owners = match &commission.owner {
            Owner::Program => return Ok(()),
            Owner::Unnamed => return Err(owner_missing()),
            Owner::Organisation(owners) => owners,
        };
        let full = names.iter().map(|name| match name {
            DnsSubject::Full(name) => Ok(name),
            DnsSubject::Localhost => Err(DomainFault::NotProved { name: name.as_str().to_owned() }),
        });
        let full: Result<Vec<&DnsName>, DomainFault> = full.collect();
        let full = full.map_err(|fault| denied(&fault))?;
        let mut wanted: Vec<&str> = full.iter().flat_map(|name| above(name)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let rows = self.store().domains_named(&wanted).map_err(|e| self.note_storage(&e))?;
        let holds: Vec<Hold<_>> = rows.iter().filter_map(DomainRow::hold).collect();
        for name in full {
            judge(name, owners, &holds, now).map_err(|fault| denied(&fault))?;
        }
        Ok(())
    }
}

/// Whether a domain that is not withdrawn has a proof, and the newest ends before this time.
fn ends_before(row: &DomainRow, time: UnixTime) -> bool {
    row.hold().and_then(|hold| hold.until).is_some_and(|until| until < time)
}

fn shown(row: &DomainRow, proofs: &[DomainProofRow], now: UnixTime) -> api::Domain {
    let hold = row.hold();
    let state = match (&hold, &row.proof) {
        (None, _) => api::DomainState::Withdrawn,
        (Some(_), None) => api::DomainState::Stated,
        (Some(hold), Some(_)) if hold.is_fresh(now) => api::DomainState::Proved,
        (Some(_), Some(_)) => api::DomainState::RunOut,
    };
    let token_until = row.token.as_ref().and_then(|(_, given)| given.checked_add(TOKEN_LASTS));
    api::Domain {
        id: row.id.to_string(),
        organisation: row.organisation.to_string(),
        domain: row.name.to_string(),
        state,
        token: row.token.as_ref().map(|(token, _)| token.clone()),
        token_until: token_until.map(|time| time.to_string()),
        valid_until: row.proof.as_ref().map(|proof| proof.valid_until.to_string()),
        created: row.created.to_string(),
        withdrawn: row.withdrawn.map(|time| time.to_string()),
        proofs: proofs.iter().map(shown_proof).collect(),
    }
}

fn shown_proof(row: &DomainProofRow) -> api::DomainProof {
    let evidence = row.evidence.as_deref();
    let evidence: Option<Evidence> = evidence.and_then(|kept| serde_json::from_slice(kept).ok());
    let (seen_by, reference) = evidence.map(|one| (one.seen_by, one.reference)).unzip();
    api::DomainProof {
        method: row.proof.method.to_string(),
        seen_at: row.proof.seen_at.to_string(),
        valid_until: row.proof.valid_until.to_string(),
        recorded: row.recorded.to_string(),
        seen_by,
        reference,
    }
}

/// A fault as a denied call. What is refused today may be taken tomorrow.
pub(super) fn denied(fault: &DomainFault) -> Denied {
    let kind = match fault {
        DomainFault::Malformed { .. } | DomainFault::PublicSuffix { .. } => Kind::Rule,
        DomainFault::Unknown => Kind::NotFound,
        DomainFault::Known | DomainFault::Taken | DomainFault::Withdrawn => Kind::Conflict,
        DomainFault::NotProved { .. }
        | DomainFault::RunOut { .. }
        | DomainFault::OfAnother { .. } => Kind::Forbidden,
        DomainFault::Method { .. }
        | DomainFault::SeenLater { .. }
        | DomainFault::Until { .. }
        | DomainFault::Token { .. } => Kind::Rule,
    };
    let is_for_ever =
        matches!(fault, DomainFault::Malformed { .. } | DomainFault::PublicSuffix { .. });
    let denied = Denied::new(kind, fault.refusal());
    if is_for_ever { denied } else { denied.for_now() }
}

fn owner_missing() -> Denied {
    Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "function-owner-missing",
            "PRO-20: the DNS names of a function rest on domains of the organisation that owns it",
            &"an order that names no owner",
            "`function.owner`: the id of an organisation",
            "name the organisation that owns the function; `sigill organisation list` has the ids",
        ),
    )
    .for_now()
}

fn owner_refused(field: &'static str, limit: &'static str) -> Denied {
    Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "function-owner-refused",
            "PRO-20, API-04: a function is an organisation's of the tree, and its certificate names that or what it lies under",
            &field,
            limit,
            "name the owner by its id and as the tree names it; `sigill organisation list` has both",
        ),
    )
    .for_now()
}

fn noted(note: Option<&str>) -> Result<Option<&str>, Denied> {
    note.map(|note| fits("note", note, NOTE_LIMIT).map(|()| note)).transpose()
}

fn fits(field: &'static str, text: &str, most: usize) -> Result<(), Denied> {
    if text.trim().is_empty() || text.chars().count() > most {
        let limit = match most {
            ACTOR_LIMIT => "1 to 64 characters",
            REFERENCE_LIMIT => "1 to 200 characters",
            _ => "1 to 1000 characters, or left out",
        };
        return Err(malformed(field, limit));
    }
    Ok(())
}

fn malformed(field: &'static str, limit: &'static str) -> Denied {
    denied(&DomainFault::Malformed { field, limit })
}

#[cfg(test)]
mod tests;
