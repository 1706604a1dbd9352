//! Requests for approval as callers see them: those of their organisations, and with protected persons for who sees these.

use ca::key_holder::HolderName;
use ca::life::{ApprovalStage, Named as _};
use ca::refusal::Refusal;
use ca::role::Protected;
use serde::Serialize;
use store::{ApprovalRow, IdError, Shown, Subject};
use x509::time::UnixTime;

use super::{Decided, no_such, said};
use crate::denied::{Denied, Kind};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::reads::Shows;

/// Rows of a page unless the caller asks for fewer, and at most.
const PAGE: u32 = 100;

/// One request with its call, and whose that is.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct AskedOf {
    approval: api::Approval,
    #[serde(skip)]
    holder: Option<HolderName>,
}

impl Shows for AskedOf {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        shown.extend(self.holder.iter().cloned().map(Shown::Person));
        Ok(())
    }
}

/// A list has nothing of the calls but where they go.
impl Shows for api::Approval {
    fn shows(&self, _shown: &mut Vec<Shown>) -> Result<(), IdError> {
        Ok(())
    }
}

impl Service {
    /// A page of the requests that the caller sees, newest first.
    pub(crate) fn approvals(
        &self,
        caller: &Caller,
        query: &api::ApprovalQuery,
    ) -> Result<api::Page<api::Approval>, Denied> {
        caller.must_read()?;
        let limit = query.limit.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&limit) {
            return Err(asked("limit", "1 to 100"));
        }
        let before = query.cursor.as_deref().map(str::parse::<u64>).transpose();
        let before = before.map_err(|_| asked("cursor", "`next` of a page"))?;
        let stage = query.stage.as_deref().map(|name| {
            ApprovalStage::from_name(name)
                .ok_or_else(|| asked("stage", "a stage of docs/states.md"))
        });
        let stage = stage.transpose()?;
        let now = self.clock().read().now;
        let rows = self.store().approvals(before, limit).map_err(|e| self.note_storage(&e))?;
        let full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let next = rows.last().filter(|_| full).map(|last| last.cursor.to_string());
        let mut items = Vec::new();
        for row in &rows {
            let wanted = stage.is_none_or(|stage| row.stage.at(row.ends, now) == stage);
            if wanted && self.sees_approval(caller, row, now)? {
                items.push(Self::shown_approval(row, now));
            }
        }
        Ok(api::Page { items, next })
    }

    /// One request that the caller sees, with the body of its call.
    pub(crate) fn show_approval(&self, caller: &Caller, id: &str) -> Result<AskedOf, Denied> {
        caller.must_read()?;
        let row = self.seen_approval(caller, id)?;
        let mut approval = Self::shown_approval(&row, self.clock().read().now);
        let mut holder = None;
        if let Some(said) = said(&row) {
            if let Subject::Holder(number) = self.subject_of_asked(&said, row.id) {
                holder = Some(HolderName::number(&number));
            }
            if let Some(asked) = &mut approval.asked {
                asked.why = Some(said.why);
            }
            approval.body = Some(said.body);
        }
        if let Some((decided, kept)) = approval.decided.as_mut().zip(decided(&row)) {
            decided.why = kept.why;
        }
        Ok(AskedOf { approval, holder })
    }

    /// A request that the caller sees; one that he does not is not there.
    pub(super) fn seen_approval(&self, caller: &Caller, id: &str) -> Result<ApprovalRow, Denied> {
        let named = id.parse().map_err(|_| no_such(id))?;
        let row = self.store().approval(named).map_err(|e| self.note_storage(&e))?;
        let row = row.ok_or_else(|| no_such(id))?;
        let now = self.clock().read().now;
        if self.sees_approval(caller, &row, now)? { Ok(row) } else { Err(no_such(id)) }
    }

    /// Whether all that the asker could reach is within the caller's reach, and what he saw is there for the caller.
    fn sees_approval(
        &self,
        caller: &Caller,
        row: &ApprovalRow,
        now: UnixTime,
    ) -> Result<bool, Denied> {
        if row.protected == Protected::Seen && caller.protected() == Protected::Unseen {
            return Ok(false);
        }
        if caller.limited_to().is_none() {
            return Ok(true);
        }
        let Some(organisations) = &row.organisations else { return Ok(false) };
        for one in organisations {
            if !self.sees_organisation(&caller.scope(), *one, now)? {
                return Ok(false);
            }
        }
        Ok(!organisations.is_empty())
    }

    pub(super) fn shown_approval(row: &ApprovalRow, now: UnixTime) -> api::Approval {
        let stage = row.stage.at(row.ends, now);
        let said = said(row);
        let decided = decided(row).zip(row.moved);
        api::Approval {
            id: row.id.to_string(),
            stage: in_api(stage),
            stage_sv: stage.word().swedish.to_owned(),
            operation: row.operation.clone(),
            method: said.as_ref().map(|said| said.method.clone()),
            path: said.as_ref().map(|said| said.path.clone()),
            body: None,
            sha256: row.hash.to_string(),
            asked: said.map(|said| api::ApprovalPerson {
                id: said.by,
                role: said.role,
                client: said.client,
                at: row.created.to_string(),
                why: None,
            }),
            decided: decided.map(|(decided, at)| api::ApprovalPerson {
                id: decided.by,
                role: decided.role,
                client: decided.client,
                at: at.to_string(),
                why: None,
            }),
            expires: row.ends.to_string(),
            used: row.used.map(|at| at.to_string()),
        }
    }
}

fn decided(row: &ApprovalRow) -> Option<Decided> {
    serde_json::from_slice(row.decision.as_deref()?).ok()
}

const fn in_api(stage: ApprovalStage) -> api::ApprovalStage {
    match stage {
        ApprovalStage::Waiting => api::ApprovalStage::Waiting,
        ApprovalStage::Approved => api::ApprovalStage::Approved,
        ApprovalStage::Rejected => api::ApprovalStage::Rejected,
        ApprovalStage::Withdrawn => api::ApprovalStage::Withdrawn,
        ApprovalStage::Expired => api::ApprovalStage::Expired,
        ApprovalStage::Used => api::ApprovalStage::Used,
    }
}

fn asked(field: &'static str, limit: &str) -> Denied {
    let refusal =
        Refusal::new("query-malformed", field, &"another value", limit, "correct the question");
    Denied::new(Kind::Malformed, refusal)
}
