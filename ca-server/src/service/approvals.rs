//! Requests for another person's approval (CER-10): asked for, decided on, withdrawn, and held against the call that names one.
//!
//! What needs one and who may give it is `ca::four_eyes`' to say; the store keeps each request, and judges in its acts what two calls at once could
//! break: that two persons act, that a request is used once, and that the eID of who approved still holds. A request is a call under a key as any
//! other: its id is that of its order.

mod shown;

use std::sync::Arc;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::four_eyes::{Asked, CallHash, can_be_asked_for, differs, judge_decision, own};
use ca::life::{ApprovalAct, ApprovalStage, Named as _};
use ca::operation::Operation;
use ca::order::ActorId;
use ca::refusal::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    ApprovalFault, ApprovalId, ApprovalMove, ApprovalRow, ApprovalUse, AuditRecord, NewApproval,
    OrderId, Subject,
};
use x509::time::UnixTime;

use super::Service;
use super::actor::{Acting, statement_required};
use super::body::from_json;
use super::caller::Caller;
use super::order::{Act, Answered, OrderCall, OrderWork, Outcome};
use super::record::{call_object, client, written};
use super::signing::defect;
use crate::denied::{Denied, Kind};

/// Octets of the body of a call that is asked for: what leaves the request itself room in a body of the API.
const BODY_LIMIT: usize = 65_536;
/// Characters of a path.
const PATH_LIMIT: usize = 300;
/// Characters of what somebody writes down.
const WHY_LIMIT: usize = 1000;

/// What a call says of its approval.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    /// What is asked for; `None` where no rule is about it.
    operation: Option<Operation>,
    /// The approval that it names.
    approval: Option<String>,
    /// Who signed for it.
    acting: Option<Arc<Acting>>,
}

impl Named {
    /// What a call of `operation` says with this header.
    ///
    /// # Errors
    ///
    /// It names an approval for what nobody can ask one for.
    pub(crate) fn of(
        operation: Option<Operation>,
        approval: Option<String>,
        caller: &Caller,
    ) -> Result<Self, Denied> {
        let operation = operation.filter(|one| can_be_asked_for(*one));
        if operation.is_none() && approval.is_some() {
            return Err(malformed(api::APPROVAL, "a call that docs/operations/four-eyes.md lists"));
        }
        Ok(Self { operation, approval, acting: caller.acting.clone() })
    }
}

/// What was said when it was asked for, as it lies sealed.
#[derive(Serialize, Deserialize)]
struct Said {
    by: String,
    role: String,
    client: String,
    method: String,
    path: String,
    body: String,
    why: String,
}

/// What was said with a decision or a withdrawal.
#[derive(Serialize, Deserialize)]
struct Decided {
    by: String,
    role: String,
    client: String,
    #[serde(default)]
    why: Option<String>,
}

impl Service {
    /// Writes down what somebody asks another person to approve.
    pub(crate) fn ask_approval(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let acting = signed(caller)?;
        let request: api::ApprovalRequest = from_json(&work.call.body)?;
        fits("why", Some(&request.why))?;
        if request.body.len() > BODY_LIMIT || request.path.len() > PATH_LIMIT {
            return Err(malformed("body", "a path of 300 characters, a body of 65536 octets"));
        }
        let operation = Operation::asked(&request.method, &request.path);
        let operation = operation.filter(|one| can_be_asked_for(*one));
        let operation = operation.ok_or_else(|| {
            malformed("path", "method and path of a call that docs/operations/four-eyes.md lists")
        })?;
        if !acting.acts.may(operation) {
            return Err(Denied::new(
                Kind::Forbidden,
                Refusal::new(
                    "actor-role-refused",
                    "API-04: a role does what the table of roles has for it",
                    &acting.acts,
                    format!("a role with {} in docs/roles.md", operation.id()),
                    "have somebody ask who has such a role",
                ),
            ));
        }
        let now = self.clock().read().now;
        let hash = self.call_hash(operation, &request.path, request.body.as_bytes());
        let subject = self.subject_of_body(Act::Ask, &work.call.body, work.order);
        let said = Said {
            by: acting.id.to_string(),
            role: acting.acts.to_string(),
            client: work.call.client.clone(),
            method: request.method,
            path: request.path,
            body: request.body,
            why: request.why,
        };
        let id = ApprovalId::from_bytes(*work.order.as_bytes());
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "statement": acting.stated.to_string(),
            "operation": operation.id(),
            "path": said.path,
            "sha256": hash.to_string(),
            "why": said.why,
        });
        let new = NewApproval {
            id,
            operation: operation.id().to_owned(),
            hash,
            organisations: caller.limited_to().map(<[_]>::to_vec),
            protected: caller.protected(),
            by: acting.term(),
            eid: acting.eid,
            ends: now.checked_add(self.four_eyes.lifetime()).unwrap_or(UnixTime::LAST),
            said: written(&json!(said)),
            subject: subject.clone(),
        };
        let audit = record(EventCode::ApprovalAsked, id, None, work.call, &payload, subject);
        let row = self.store().ask_approval(&new, &audit, now);
        let row = row.map_err(|e| self.note_storage(&e))?;
        Answered::unlogged(Outcome::Created, &Self::shown_approval(&row, now))
    }

    /// Takes another person's yes or no.
    pub(crate) fn decide_approval(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let acting = signed(caller)?;
        let request: api::ApprovalDecisionRequest = from_json(&work.call.body)?;
        fits("why", request.why.as_deref())?;
        let row = self.seen_approval(caller, id)?;
        let said = said(&row).ok_or_else(|| no_such(id))?;
        let by =
            ActorId::new(&said.by).ok_or_else(|| defect("an approval that nobody asked for"))?;
        let asked = Asked {
            by: &by,
            operation: operation_of(&row)?,
            hash: row.hash,
            protected: row.protected,
        };
        judge_decision(&asked, &acting.id, acting.acts, &request.sha256).map_err(|refusal| {
            let kind =
                if refusal.code == "approval-differs" { Kind::Conflict } else { Kind::Forbidden };
            Denied::new(kind, refusal).for_now()
        })?;
        let (act, code) = match request.decision {
            api::ApprovalDecision::Approve => (ApprovalAct::Approve, EventCode::ApprovalGiven),
            api::ApprovalDecision::Reject => (ApprovalAct::Reject, EventCode::ApprovalRejected),
        };
        self.move_approval(acting, (&row, &said), (act, code), request.why, work)
    }

    /// Takes a request back, for the one who asked.
    pub(crate) fn withdraw_approval(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let acting = signed(caller)?;
        let request: api::ApprovalWithdrawalRequest = from_json(&work.call.body)?;
        fits("why", request.why.as_deref())?;
        let row = self.seen_approval(caller, id)?;
        let said = said(&row).ok_or_else(|| no_such(id))?;
        let act = (ApprovalAct::Withdraw, EventCode::ApprovalWithdrawn);
        self.move_approval(acting, (&row, &said), act, request.why, work)
    }

    fn move_approval(
        &self,
        acting: &Acting,
        (row, said): (&ApprovalRow, &Said),
        (act, code): (ApprovalAct, EventCode),
        why: Option<String>,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let subject = self.subject_of_asked(said, row.id);
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "statement": acting.stated.to_string(),
            "sha256": row.hash.to_string(),
            "why": why,
        });
        let decided = Decided {
            by: acting.id.to_string(),
            role: acting.acts.to_string(),
            client: work.call.client.clone(),
            why,
        };
        let change = ApprovalMove {
            id: row.id,
            act,
            call: work.order,
            by: acting.term(),
            eid: acting.eid,
            said: written(&json!(decided)),
            subject: subject.clone(),
        };
        let audit = record(code, row.id, None, work.call, &payload, subject);
        let now = self.clock().read().now;
        let moved = self.store().move_approval(&change, &audit, now);
        let moved = moved.map_err(|e| self.note_storage(&e))?;
        let moved = moved.map_err(|fault| faulty(fault, act, &row.id.to_string()))?;
        Answered::unlogged(Outcome::Changed, &Self::shown_approval(&moved, now))
    }

    /// Holds a call that is about to be done against what must be approved, and uses up the approval that it names: once for its order, which goes on
    /// with it.
    pub(super) fn must_be_approved(&self, call: &OrderCall, order: OrderId) -> Result<(), Denied> {
        let Named { operation: Some(operation), approval, acting } = &call.named else {
            return Ok(());
        };
        let demanded = self.four_eyes.demands(*operation, &call.body);
        let Some(id) = approval else {
            return demanded.map_or(Ok(()), |rule| Err(required(rule)));
        };
        let acting = acting.as_deref().ok_or_else(statement_required)?;
        let approval: ApprovalId = id.parse().map_err(|_| no_such(id))?;
        let hash = self.call_hash(*operation, &call.path, &call.body);
        let used = ApprovalUse { id: approval, order, hash, by: acting.term() };
        let payload = json!({
            "call": call.correlation_id,
            "client": call.client,
            "statement": acting.stated.to_string(),
            "sha256": hash.to_string(),
        });
        let (code, subject) = (EventCode::ApprovalUsed, Subject::Deployment);
        let audit = record(code, approval, Some(order), call, &payload, subject);
        let now = self.clock().read().now;
        let used = self.store().use_approval(&used, &audit, now);
        let used = used.map_err(|e| self.note_storage(&e))?;
        used.map_err(|fault| match fault {
            ApprovalFault::Differs(approved) => {
                Denied::new(Kind::Conflict, differs(&hash, approved)).for_now()
            }
            fault => faulty(fault, ApprovalAct::Use, id),
        })
    }

    fn call_hash(&self, operation: Operation, path: &str, body: &[u8]) -> CallHash {
        CallHash::of(&self.deployment.audience(), operation, path, body)
    }

    /// Whose a request is: the person whom the body of the call names.
    fn subject_of_asked(&self, said: &Said, id: ApprovalId) -> Subject {
        let order = OrderId::from_bytes(*id.as_bytes());
        self.subject_of_body(Act::Step, said.body.as_bytes(), order)
    }
}

/// Who signed for the call; nobody asks or decides by a client's word.
fn signed(caller: &Caller) -> Result<&Acting, Denied> {
    caller.acting.as_deref().ok_or_else(statement_required)
}

fn said(row: &ApprovalRow) -> Option<Said> {
    serde_json::from_slice(row.said.as_deref()?).ok()
}

fn operation_of(row: &ApprovalRow) -> Result<Operation, Denied> {
    let named = |one: &&Operation| one.id() == row.operation;
    Operation::ALL.iter().find(named).copied().ok_or_else(|| defect("an approval of no operation"))
}

fn record(
    code: EventCode,
    id: ApprovalId,
    order: Option<OrderId>,
    call: &OrderCall,
    payload: &Value,
    subject: Subject,
) -> AuditRecord {
    let objects = ObjectIds::of_act([
        Some(ObjectId::Order(*id.as_bytes())),
        Some(call_object(call)),
        order.map(|order| ObjectId::Order(*order.as_bytes())),
    ]);
    Service::record(code, EventResult::Done, client(&call.client), objects, None, payload, subject)
}

/// An approval that is not there, or that the caller does not see.
fn no_such(id: &str) -> Denied {
    Denied::new(
        Kind::NotFound,
        Refusal::new(
            "approval-unknown",
            "an approval is named by its id",
            &id,
            "`apr_` and a UUID that this deployment gave, of the caller's organisations",
            "`sigill approval list` names them",
        ),
    )
    .for_now()
}

fn required(rule: &'static str) -> Denied {
    Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "approval-required",
            "CER-10: what this deployment puts under four eyes another person has approved",
            &format!("rule {rule}, and no approval"),
            format!("one header {}", api::APPROVAL),
            "ask for it (POST /v1/approvals), and name it in the same call once another person has approved it",
        ),
    )
}

fn faulty(fault: ApprovalFault, act: ApprovalAct, id: &str) -> Denied {
    let conflict = |refusal| Denied::new(Kind::Conflict, refusal).for_now();
    match fault {
        ApprovalFault::Unknown => no_such(id),
        ApprovalFault::Own => Denied::new(Kind::Forbidden, own()),
        ApprovalFault::Differs(approved) => conflict(differs(&"another call", approved)),
        ApprovalFault::Stage(ApprovalStage::Expired) => conflict(Refusal::new(
            "approval-expired",
            "CER-10: a request counts until its time is over",
            &act.word().name,
            "a request whose `expires` has not come",
            "ask anew",
        )),
        ApprovalFault::Stage(stage) => conflict(Refusal::new(
            "approval-stage",
            "states/approval",
            &format!("{} at {}", act.word().name, stage.word().name),
            "a step that docs/states.md has",
            "show the request; what is over is asked for anew",
        )),
        ApprovalFault::UsedBefore => conflict(Refusal::new(
            "approval-used",
            "CER-10: what was approved is done once",
            &"a call under another key",
            "the call under its first key, which answers as it did",
            "repeat the call with its first key, or ask anew",
        )),
        ApprovalFault::NotAsker => Denied::new(
            Kind::Forbidden,
            Refusal::new(
                "approval-not-asker",
                "CER-10: who asked makes the call or takes the request back",
                &"another person",
                "the person who asked",
                "have him do it, or ask yourself",
            ),
        ),
        ApprovalFault::ApproverEnded => Denied::new(
            Kind::Forbidden,
            Refusal::new(
                "approval-approver-ended",
                "CER-10: the eID of who approved holds when the call comes",
                &"an eID that is revoked, held or over",
                "an approval by somebody whose eID holds",
                "ask anew",
            ),
        ),
    }
}

fn fits(field: &'static str, text: Option<&str>) -> Result<(), Denied> {
    let unfit = |text: &str| text.trim().is_empty() || text.chars().count() > WHY_LIMIT;
    if text.is_some_and(unfit) { Err(malformed(field, "1 to 1000 characters")) } else { Ok(()) }
}

fn malformed(field: &'static str, limit: &str) -> Denied {
    Denied::rule(Refusal::new(
        "approval-malformed",
        "CER-10: a request names one call that can be put under four eyes, and why",
        &field,
        limit,
        "correct the call",
    ))
}

#[cfg(test)]
mod tests;
