//! Revocations of later: asked for with a time of the future, shown, taken back, and carried out at their second (REV-10).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::calendar::first_second_after;
use ca::day::Day;
use ca::refusal::Refusal;
use ca::revocation::RevocationWish;
use ca::revocation::event::{Reach, in_words};
use ca::role::Protected;
use serde_json::{Value, json};
use store::{
    Alone, AuditRecord, BoundAudit, BoundChanged, CarrierId, CertificateLookup, EidFilter,
    NewScheduled, RevocationTarget, ScheduledFilter, ScheduledId, ScheduledRow, ScheduledState,
    Subject,
};
use x509::time::UnixTime;

use super::said::Said;
use crate::clock::Reading;
use crate::denied::{Denied, Kind};
use crate::service::Service;
use crate::service::body::from_json;
use crate::service::caller::Caller;
use crate::service::order::{Answered, OrderWork, Outcome};
use crate::service::record::{call_object, client};
use crate::service::show;

/// Most rows of a page.
const PAGE: u32 = 1000;
/// How far ahead a revocation may be asked for: no certificate here lasts longer.
const FURTHEST: Duration = Duration::from_secs(5 * 366 * 86_400);

/// By what a call names what it revokes.
pub(super) struct Names<'a> {
    pub(super) certificate: Option<&'a str>,
    pub(super) eid: Option<&'a str>,
    pub(super) carrier: Option<&'a str>,
    pub(super) holder_of: Option<&'a str>,
}

impl Service {
    /// Records a revocation of later. A call that is repeated finds it, also when its second has come since.
    pub(crate) fn schedule_revocation(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_revoke()?;
        let request: api::ScheduleRequest = from_json(&work.call.body)?;
        let id = ScheduledId::from_bytes(*work.order.as_bytes());
        if let Some(row) = self.scheduled(id, Protected::Seen)? {
            return Answered::unlogged(Outcome::Created, &self.scheduled_for(caller, &row)?);
        }
        let names = Names {
            certificate: request.certificate.as_deref(),
            eid: request.eid.as_deref(),
            carrier: request.carrier.as_deref(),
            holder_of: request.holder_of.as_deref(),
        };
        let (target, organisation) = self.target_of(caller, &names)?;
        let reading = self.clock().read();
        let strikes = strikes(&request, reading.now)?;
        let asked = api::RevocationRequest {
            reason: request.reason,
            event: request.event,
            requested_at: None,
            actor: request.actor.clone(),
        };
        let said = self.held_against_rules(caller, &target, &asked, reading.now)?.said;
        let RevocationWish::Revoke(reason) = said.wish else { return Err(for_good(said.wish)) };
        must_reach(&said, &target)?;
        let new = NewScheduled {
            id,
            target,
            organisation,
            reason,
            event: said.event(),
            strikes,
            alone: Alone { client: work.call.client.clone(), most: self.alone },
        };
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "scheduled": id.to_string(),
            "target": target.to_string(),
            "at": strikes.to_string(),
            "actor": request.actor,
            "by": caller.acting.as_ref().map(|acting| acting.id.to_string()),
            "event": said.event().map(|event| event.rule().name),
            "reason": in_words(said.wish),
            "clock": reading.doubt.map(|doubt| doubt.to_string()),
        });
        let audit = record_of(EventCode::RevocationScheduled, id, work, &payload);
        let row = self.store().schedule_revocation(&new, &audit, reading.now);
        let row = row.map_err(|e| self.unrevoked(&work.call.client, &e, reading.now))?;
        Answered::unlogged(Outcome::Created, &self.scheduled_for(caller, &row)?)
    }

    /// Takes one back whose second has not come.
    pub(crate) fn cancel_scheduled(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_revoke()?;
        let request: api::ScheduleCancellation = from_json(&work.call.body)?;
        let row = self.scheduled_of_side(caller, id, Protected::Seen)?;
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "scheduled": row.id.to_string(),
            "target": row.target.to_string(),
            "at": row.strikes.to_string(),
            "actor": request.actor,
            "by": caller.acting.as_ref().map(|acting| acting.id.to_string()),
        });
        let audit = record_of(EventCode::RevocationUnscheduled, row.id, work, &payload);
        let now = self.clock().read().now;
        self.store().cancel_scheduled(row.id, &audit, now).map_err(|e| self.note_storage(&e))?;
        let row = self.scheduled_of_side(caller, id, Protected::Seen)?;
        match row.state {
            ScheduledState::Cancelled { .. } => {
                Answered::unlogged(Outcome::Changed, &self.scheduled_for(caller, &row)?)
            }
            ScheduledState::Waiting | ScheduledState::Done { .. } => Err(over(&row)),
        }
    }

    /// One that the caller sees.
    pub(crate) fn scheduled_revocation(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<api::ScheduledRevocation, Denied> {
        caller.must_read()?;
        let row = self.scheduled_of_side(caller, id, caller.protected())?;
        Ok(shown(&row))
    }

    /// A page of them. A client that is limited to organisations names one of them.
    pub(crate) fn scheduled_revocations(
        &self,
        caller: &Caller,
        query: &api::ScheduledQuery,
    ) -> Result<api::Page<api::ScheduledRevocation>, Denied> {
        caller.must_read()?;
        let limit = query.limit.unwrap_or(100);
        if !(1..=PAGE).contains(&limit) {
            return Err(asked("limit", "1 to 1000"));
        }
        let after = query.cursor.as_deref().map(str::parse::<u64>).transpose();
        let after = after.map_err(|_| asked("cursor", "`next` of a page"))?;
        let due_at = query.due_before.as_deref().map(|text| {
            // What is a time no schema says: RFC 3339 has some that are none here.
            let none = || Denied {
                kind: Kind::Rule,
                ..asked("due_before", "a time in UTC such as 2026-11-21T09:30:00Z")
            };
            time_of(text).ok_or_else(none)
        });
        let filter = ScheduledFilter {
            organisation: self.listed_organisation(caller, query.organisation.as_deref())?,
            due_at: due_at.transpose()?,
            state: query.state.map(|state| match state {
                api::ScheduledState::Waiting => "waiting",
                api::ScheduledState::Done => "done",
                api::ScheduledState::Cancelled => "cancelled",
            }),
            protected: caller.protected(),
        };
        let page = self.store().scheduled_revocations(&filter, after, limit);
        let page = page.map_err(|e| self.note_storage(&e))?;
        Ok(api::Page {
            items: page.rows.iter().map(shown).collect(),
            next: page.next.map(|next| next.to_string()),
        })
    }

    /// Carries out what is due. A clock that is not believed does not run ahead (architecture §2.5), so that nothing strikes before its time;
    /// neither that, nor a token that is away, nor a limit stops it.
    pub(crate) fn strike_scheduled_revocations(&self, stop: &AtomicBool) -> Result<(), Denied> {
        self.strike_scheduled(self.clock().read(), stop)
    }

    /// Carries out what is due at this reading. One that cannot be does not hold up the others; it is tried again. Ends early when `stop` turns
    /// true: what is left is as due after the next start.
    ///
    /// # Errors
    ///
    /// That of the first that could not be carried out.
    pub(in crate::service) fn strike_scheduled(
        &self,
        reading: Reading,
        stop: &AtomicBool,
    ) -> Result<(), Denied> {
        let filter = ScheduledFilter {
            due_at: Some(reading.now),
            protected: Protected::Seen,
            ..ScheduledFilter::default()
        };
        let (mut first, mut after) = (Ok(()), None);
        loop {
            let page = self.store().scheduled_revocations(&filter, after, PAGE);
            let page = page.map_err(|e| self.note_storage(&e))?;
            for row in &page.rows {
                if stop.load(Ordering::Relaxed) {
                    return first;
                }
                let struck = self.strike_one(row, reading);
                if let Err(denied) = &struck {
                    tracing::warn!(
                        scheduled.id = %row.id,
                        problem.code = denied.refusal.code,
                        "scheduled revocation could not be carried out; it is tried again: {}", denied.refusal.seen
                    );
                }
                first = first.and(struck);
            }
            after = page.next;
            if after.is_none() {
                return first;
            }
        }
    }

    fn strike_one(&self, row: &ScheduledRow, reading: Reading) -> Result<(), Denied> {
        let (id, actor) = (row.id, self.system());
        let payload = json!({
            "scheduled": id.to_string(),
            "target": row.target.to_string(),
            "event": row.event.map(|event| event.rule().name),
            "reason": in_words(RevocationWish::Revoke(row.reason)),
            "requested_at": row.strikes.to_string(),
            "clock": reading.doubt.map(|doubt| doubt.to_string()),
        });
        let audit: BoundAudit = Box::new(move |all: &[BoundChanged]| {
            let changed: Vec<_> = all.iter().filter(|one| one.done.is_some()).collect();
            let code = match changed.len() {
                0 => EventCode::RevocationRepeated,
                _ => EventCode::CertificateRevoked,
            };
            let objects = std::iter::once(ObjectId::Order(*id.as_bytes())).chain(
                changed.iter().map(|one| ObjectId::Certificate(*one.certificate.as_bytes())),
            );
            let objects = ObjectIds::first_of(objects);
            let payload = with_certificates(payload, all);
            Self::record(
                code,
                EventResult::Done,
                actor,
                objects,
                None,
                &payload,
                Subject::Deployment,
            )
        });
        let struck = self.store().strike_scheduled(id, audit, reading.now);
        let struck = struck.map_err(|e| self.note_storage(&e))?;
        if let Some(all) = struck {
            self.note_bound(&all);
            tracing::info!(scheduled.id = %id, target = %row.target, "scheduled revocation carried out");
        }
        Ok(())
    }

    /// What a call names, of the caller's side, a protected person's too; and the organisation that it is of.
    pub(super) fn target_of(
        &self,
        caller: &Caller,
        names: &Names<'_>,
    ) -> Result<(RevocationTarget, Option<String>), Denied> {
        let Names { certificate, eid, carrier, holder_of } = *names;
        match (certificate, eid, carrier, holder_of) {
            (Some(id), None, None, None) => {
                let no_such = || show::no_such(id);
                let lookup = CertificateLookup::Id(id.parse().map_err(|_| no_such())?);
                self.sees(caller, &lookup, Protected::Seen)?.ok_or_else(no_such)?;
                let side = self.store().certificate_side(&lookup, Protected::Seen);
                let side = side.map_err(|e| self.note_storage(&e))?.ok_or_else(no_such)?;
                Ok((RevocationTarget::Certificate(side.certificate), side.organisation))
            }
            (None, Some(id), None, None) => {
                let row = self.eid_of_side(caller, id, Protected::Seen)?;
                Ok((RevocationTarget::Eid(row.id), Some(row.organisation)))
            }
            (None, None, Some(id), None) => {
                let row = self.carrier_of_side(caller, id, Protected::Seen)?;
                let organisation = match row.organisation {
                    Some(registered) if self.is_of(caller, &registered)? => Some(registered),
                    _ => self.organisation_on(caller, row.id)?,
                };
                Ok((RevocationTarget::Carrier(row.id), organisation))
            }
            (None, None, None, Some(id)) => {
                let row = self.eid_of_side(caller, id, Protected::Seen)?;
                Ok((RevocationTarget::HolderOf(row.id), Some(row.organisation)))
            }
            _ => Err(malformed(
                &"none, or several of them",
                "exactly one of certificate, eid, carrier and holder_of",
            )),
        }
    }

    /// The first of the caller's organisations that has an eID on a carrier.
    fn organisation_on(
        &self,
        caller: &Caller,
        carrier: CarrierId,
    ) -> Result<Option<String>, Denied> {
        let protected = Protected::Seen;
        let filter = EidFilter { carrier: Some(carrier), protected, ..EidFilter::default() };
        let eids = self.store().eids(&filter, None, PAGE).map_err(|e| self.note_storage(&e))?;
        for eid in eids.rows {
            if self.is_of(caller, &eid.organisation)? {
                return Ok(Some(eid.organisation));
            }
        }
        Ok(None)
    }

    fn scheduled(
        &self,
        id: ScheduledId,
        protected: Protected,
    ) -> Result<Option<ScheduledRow>, Denied> {
        self.store().scheduled_revocation(id, protected).map_err(|e| self.note_storage(&e))
    }

    /// One that was asked for an organisation of the caller's; of none: by the caller itself.
    fn scheduled_of_side(
        &self,
        caller: &Caller,
        id: &str,
        protected: Protected,
    ) -> Result<ScheduledRow, Denied> {
        let read = id.parse().map_err(|_| unknown())?;
        let row = self.scheduled(read, protected)?.ok_or_else(unknown)?;
        let seen = match &row.organisation {
            _ if caller.limited_to().is_none() => true,
            Some(organisation) => self.is_of(caller, organisation)?,
            None => row.client == caller.name,
        };
        if seen { Ok(row) } else { Err(unknown()) }
    }

    /// As its caller may be shown it: who does not see whose it is hears nothing of that.
    fn scheduled_for(
        &self,
        caller: &Caller,
        row: &ScheduledRow,
    ) -> Result<api::ScheduledRevocation, Denied> {
        let mut shown = shown(row);
        if self.scheduled(row.id, caller.protected())?.is_none() {
            shown.organisation = None;
        }
        Ok(shown)
    }
}

/// The payload of a leaf with the certificates that changed.
pub(super) fn with_certificates(mut payload: Value, all: &[BoundChanged]) -> Value {
    let changed = all.iter().filter(|one| one.done.is_some());
    let ids: Vec<String> = changed.map(|one| one.certificate.to_string()).collect();
    if let Some(object) = payload.as_object_mut() {
        object.insert("certificates".to_owned(), json!(ids));
    }
    payload
}

/// The second at which a call wants it to strike.
fn strikes(request: &api::ScheduleRequest, now: UnixTime) -> Result<UnixTime, Denied> {
    let latest = now.checked_add(FURTHEST).unwrap_or(UnixTime::LAST);
    let refused = |seen: &str| {
        Denied::rule(Refusal::new(
            "scheduled-at",
            "REV-10: a revocation of later has one time of the future, at or last_day",
            &seen,
            format!("a time after {now} and not after {latest}"),
            "give at in RFC 3339, or last_day such as 2027-01-31; what is due now is revoked by a call of its own",
        ))
    };
    let (text, time) = match (&request.at, &request.last_day) {
        (Some(at), None) => (at.as_str(), time_of(at)),
        (None, Some(day)) => (day.as_str(), day.parse::<Day>().ok().map(first_second_after)),
        (None, None) => return Err(refused("no time")),
        (Some(_), Some(_)) => return Err(refused("at and last_day")),
    };
    time.filter(|time| *time > now && *time <= latest).ok_or_else(|| refused(text))
}

pub(super) fn time_of(text: &str) -> Option<UnixTime> {
    let time = text.parse::<jiff::Timestamp>().ok()?;
    UnixTime::from_secs(u64::try_from(time.as_second()).ok()?).ok()
}

/// An event asks for as much as is named, and no more and no less: at its second nobody reads how far it reaches.
fn must_reach(said: &Said, target: &RevocationTarget) -> Result<(), Denied> {
    let Some(reach) = said.event_reach() else { return Ok(()) };
    let wanted = match target {
        RevocationTarget::Certificate(_) => Reach::Certificate,
        RevocationTarget::Eid(_) => Reach::Eid,
        RevocationTarget::Carrier(_) => Reach::Carrier,
        RevocationTarget::HolderOf(_) => Reach::HolderInOrganisation,
    };
    if reach == wanted {
        return Ok(());
    }
    Err(Denied::rule(Refusal::new(
        "scheduled-reach",
        "REV-05: an event reaches so far (docs/revocation-events.md)",
        &format!("an event of one {} for one {}", reach.name(), wanted.name()),
        "an event that reaches as far as what is named, or a reason alone",
        "name holder_of for what happens to a holder in an organisation, carrier for what happens to a card",
    )))
}

fn for_good(wish: RevocationWish) -> Denied {
    Denied::rule(Refusal::new(
        "scheduled-hold",
        "REV-10: what ends later ends for good",
        &in_words(wish),
        "an event or a reason that revokes",
        "hold it when it is to be held",
    ))
}

fn over(row: &ScheduledRow) -> Denied {
    let refusal = Refusal::new(
        "scheduled-over",
        "REV-10: from its second on a scheduled revocation is one that was asked for",
        &format!("{} at {}", row.state.name(), row.strikes),
        "one whose second has not come",
        "a new eID is ordered where it was wrong: what is revoked stays so",
    );
    Denied::new(Kind::Conflict, refusal)
}

fn unknown() -> Denied {
    let refusal = Refusal::new(
        "scheduled-unknown",
        "what is asked for is named by its id, and is of the caller's organisations",
        &"scheduled revocation: not there, or not the caller's",
        "`rev_` and a UUID that this deployment gave",
        "`sigill revocation list` names them",
    );
    Denied::new(Kind::NotFound, refusal).for_now()
}

fn malformed(seen: &impl std::fmt::Display, limit: &str) -> Denied {
    Denied::rule(Refusal::new(
        "scheduled-malformed",
        "REV-10: a revocation of later says what it revokes",
        seen,
        limit,
        "correct the call",
    ))
}

fn asked(field: &'static str, limit: &str) -> Denied {
    let refusal =
        Refusal::new("query-malformed", field, &"another value", limit, "correct the question");
    Denied::new(Kind::Malformed, refusal)
}

fn record_of(
    code: EventCode,
    id: ScheduledId,
    work: &OrderWork<'_>,
    payload: &Value,
) -> AuditRecord {
    let objects =
        ObjectIds::of_act([Some(ObjectId::Order(*id.as_bytes())), Some(call_object(work.call))]);
    let (done, actor) = (EventResult::Done, client(&work.call.client));
    Service::record(code, done, actor, objects, None, payload, Subject::Deployment)
}

fn shown(row: &ScheduledRow) -> api::ScheduledRevocation {
    let (state, ended, revoked) = match row.state {
        ScheduledState::Waiting => (api::ScheduledState::Waiting, None, None),
        ScheduledState::Done { at, revoked } => {
            (api::ScheduledState::Done, Some(at), Some(revoked))
        }
        ScheduledState::Cancelled { at } => (api::ScheduledState::Cancelled, Some(at), None),
    };
    let mut shown = api::ScheduledRevocation {
        id: row.id.to_string(),
        certificate: None,
        eid: None,
        carrier: None,
        holder_of: None,
        organisation: row.organisation.clone(),
        at: row.strikes.to_string(),
        reason: row.reason.map(|reason| show::reason(Some(reason))),
        event: row.event.map(|event| event.rule().name.to_owned()),
        state,
        client: row.client.clone(),
        created: row.created.to_string(),
        ended: ended.map(|time| time.to_string()),
        revoked,
    };
    match row.target {
        RevocationTarget::Certificate(id) => shown.certificate = Some(id.to_string()),
        RevocationTarget::Eid(id) => shown.eid = Some(id.to_string()),
        RevocationTarget::Carrier(id) => shown.carrier = Some(id.to_string()),
        RevocationTarget::HolderOf(id) => shown.holder_of = Some(id.to_string()),
    }
    shown
}

#[cfg(test)]
mod tests;
