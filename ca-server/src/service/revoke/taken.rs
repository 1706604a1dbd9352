//! Requests that were taken on paper, by telephone or by a visit while the CA could not be reached: registered many at a time, each carried out and
//! answered for itself (REV-01, REV-07).

use std::time::Duration;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::identity::CardNumber;
use ca::refusal::Refusal;
use ca::revocation::event::in_words;
use ca::role::Protected;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use status::Position;
use store::{
    Alone, BoundAudit, BoundChanged, CertificateLookup, IndexTag, IndexTerm, RegisteredRequest,
    RevocationTarget, Subject, TakenRequest,
};
use x509::time::UnixTime;

use super::requested_at;
use super::scheduled::{Names, with_certificates};
use crate::clock::Reading;
use crate::denied::{Denied, Kind};
use crate::service::Service;
use crate::service::body::from_json;
use crate::service::caller::Caller;
use crate::service::order::{Answered, OrderWork, Outcome};
use crate::service::record::{call_object, client};
use crate::service::show::no_such;

/// Requests of a call at most.
const MOST: usize = 100;
/// Characters of a reference, and of who asked.
const REFERENCE: usize = 64;
const ASKED_BY: usize = 100;
/// How long before the call somebody may have asked: a form that is older was mislaid, or its year miswritten, and somebody looks at it.
const OLDEST: Duration = Duration::from_secs(31 * 86_400);

impl Service {
    /// Carries out each request of a list; one that is refused holds up no other. Whoever sends a request again under its reference is told what
    /// became of it the first time.
    ///
    /// # Errors
    ///
    /// A list that is none; and what is passing, such as a database that is away: the same key goes on with the list.
    pub(crate) fn register_requests(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_revoke()?;
        let sent: api::TakenRequests = from_json(&work.call.body)?;
        if !(1..=MOST).contains(&sent.requests.len()) {
            let limit = format!("1 to {MOST} requests");
            return Err(malformed(&format!("{} requests", sent.requests.len()), &limit));
        }
        let mut answer = api::RegisteredRequests::default();
        let mut last: Option<Position> = None;
        for (line, one) in (1_u32..).zip(&sent.requests) {
            let outcome = self.register_one(caller, &sent, one, work);
            let passing = |kind| matches!(kind, Kind::Unavailable | Kind::Internal | Kind::Busy);
            let item = match outcome {
                Ok((done, unbound)) => {
                    last = last.max(done.position);
                    registered(line, one, &done, unbound)
                }
                Err(denied) if passing(denied.kind) => return Err(denied),
                Err(denied) => {
                    self.note_refused(one, line, &denied, work)?;
                    refused(line, one, &denied)
                }
            };
            answer.items.push(item);
        }
        if let Some(position) = last {
            self.await_publication(position, work.call.wait_for_publication)?;
        }
        Answered::unlogged(Outcome::Changed, &answer)
    }

    fn register_one(
        &self,
        caller: &Caller,
        sent: &api::TakenRequests,
        one: &api::TakenRequest,
        work: &OrderWork<'_>,
    ) -> Result<(RegisteredRequest, u64), Denied> {
        fits("reference", &one.reference, REFERENCE)?;
        fits("asked_by", &one.asked_by, ASKED_BY)?;
        if !one.reference.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(malformed("a reference", "visible ASCII characters without spaces"));
        }
        let (target, _) = self.target_of_request(caller, one)?;
        let reading = self.clock().read();
        let asked_at = asked_at(&one.requested_at, reading)?;
        let asked = api::RevocationRequest {
            reason: one.reason,
            event: one.event,
            requested_at: None,
            actor: None,
        };
        let judged = self.held_against_rules(caller, &target, &asked, reading.now)?;
        let wish = judged.said.wish;
        let taken = TakenRequest {
            reference: one.reference.clone(),
            said: Sha256::digest(json!(one).to_string()).into(),
            target,
            wish,
            requested_at: asked_at,
            alone: Alone { client: work.call.client.clone(), most: self.alone },
        };
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "reference": one.reference,
            "target": target.to_string(),
            "asked_by": one.asked_by,
            "way": one.way,
            "requested_at": asked_at.to_string(),
            "actor": sent.actor,
            "by": caller.acting.as_ref().map(|acting| acting.id.to_string()),
            "event": one.event,
            "reason": in_words(wish),
            "clock": reading.doubt.map(|doubt| doubt.to_string()),
        });
        // Who asked is forgotten with whose certificates they are.
        let subject = judged.certificates.iter().find_map(|(_, row)| row.order);
        let subject = subject.map_or(Subject::Deployment, Subject::Order);
        let (call, actor) = (call_object(work.call), client(&work.call.client));
        let audit: BoundAudit = Box::new(move |all: &[BoundChanged]| {
            let changed = all.iter().filter(|one| one.done.is_some());
            let changed = changed.map(|one| ObjectId::Certificate(*one.certificate.as_bytes()));
            let objects = ObjectIds::first_of(std::iter::once(call).chain(changed));
            let (code, done) = (EventCode::RevocationRegistered, EventResult::Done);
            let payload = with_certificates(payload, all);
            Self::record(code, done, actor, objects, None, &payload, subject)
        });
        let done = self.store().register_request(&taken, audit, reading.now);
        let done = done.map_err(|e| self.unrevoked(&work.call.client, &e, reading.now))?;
        let done = done.ok_or_else(|| reference_taken(&one.reference))?;
        if let Some(all) = &done.changed {
            self.note_bound(all);
        }
        let unbound = match target {
            RevocationTarget::Carrier(carrier) => {
                self.store().unbound_on(carrier, reading.now).map_err(|e| self.note_storage(&e))?
            }
            _ => 0,
        };
        Ok((done, unbound))
    }

    /// What a form names.
    fn target_of_request(
        &self,
        caller: &Caller,
        one: &api::TakenRequest,
    ) -> Result<(RevocationTarget, Option<String>), Denied> {
        let none = Names { certificate: None, eid: None, carrier: None, holder_of: None };
        match (&one.certificate, (&one.authority, &one.serial), &one.card_number, &one.eid) {
            (Some(id), (None, None), None, None) => {
                self.target_of(caller, &Names { certificate: Some(id), ..none })
            }
            (None, (Some(authority), Some(serial)), None, None) => {
                let issuer = self.authority_named(authority)?.id;
                let number = serial.parse().map_err(|_| no_such(serial))?;
                let lookup = CertificateLookup::Serial(issuer, number);
                let id = self.sees(caller, &lookup, Protected::Seen)?;
                let id = id.ok_or_else(|| no_such(serial))?.to_string();
                self.target_of(caller, &Names { certificate: Some(&id), ..none })
            }
            (None, (None, None), Some(card), None) => {
                let bare = |c: &char| !c.is_whitespace() && *c != '-';
                let number = CardNumber::parse(&card.chars().filter(bare).collect::<String>());
                let number = number.map_err(|error| Denied::rule(error.refusal()))?;
                let term = IndexTerm::new(IndexTag::CardNumber, number.as_str());
                let row = self.store().carrier_of_card(&term, Protected::Seen);
                let row = row.map_err(|e| self.note_storage(&e))?;
                let id = row.map(|row| row.id.to_string()).unwrap_or_default();
                self.target_of(caller, &Names { carrier: Some(&id), ..none })
            }
            (None, (None, None), None, Some(id)) => {
                self.target_of(caller, &Names { eid: Some(id), ..none })
            }
            _ => Err(malformed(
                "none, or several of them",
                "exactly one of certificate, serial with authority, card_number and eid",
            )),
        }
    }

    fn note_refused(
        &self,
        one: &api::TakenRequest,
        line: u32,
        denied: &Denied,
        work: &OrderWork<'_>,
    ) -> Result<(), Denied> {
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "line": line,
            "reference": one.reference.chars().take(REFERENCE).collect::<String>(),
            "code": denied.refusal.code,
            "rule": denied.refusal.rule,
        });
        let objects = ObjectIds::of_act([Some(call_object(work.call))]);
        let (code, refused) = (EventCode::RevocationRefused, EventResult::Refused);
        let actor = client(&work.call.client);
        let record =
            Self::record(code, refused, actor, objects, None, &payload, Subject::Deployment);
        let now = self.clock().read().now;
        self.store().record_audit(&record, now).map_err(|e| self.note_storage(&e))?;
        Ok(())
    }
}

/// When a form says that it was asked for.
fn asked_at(text: &str, reading: Reading) -> Result<UnixTime, Denied> {
    let time = requested_at(text, reading)?;
    if reading.doubt.is_none() && reading.now.since(time) > OLDEST {
        let oldest = reading.now.saturating_sub(OLDEST);
        return Err(Denied::rule(Refusal::new(
            "requested-at-old",
            "REV-01: requests are registered when the CA can be reached again",
            &time,
            format!("{oldest} or later"),
            "look whether day and year are right; what is really older is revoked by a call of its own, and the form noted there",
        )));
    }
    Ok(time)
}

fn fits(field: &str, text: &str, most: usize) -> Result<(), Denied> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > most {
        let seen = format!("{field} of {length} characters");
        return Err(malformed(&seen, &format!("1 to {most} characters")));
    }
    Ok(())
}

fn malformed(seen: &str, limit: &str) -> Denied {
    Denied::rule(Refusal::new(
        "request-malformed",
        "REV-01: a request that was taken says who asked, when, by which way, and what is to be revoked",
        &seen,
        limit,
        "correct the line",
    ))
}

fn reference_taken(reference: &str) -> Denied {
    let refusal = Refusal::new(
        "request-reference-taken",
        "a client registers each form once",
        &reference,
        "a reference under which nothing else was sent",
        "look whether it is another form; number that one otherwise, or send the first again as it was",
    );
    Denied::new(Kind::Conflict, refusal)
}

fn registered(
    line: u32,
    one: &api::TakenRequest,
    done: &RegisteredRequest,
    unbound: u64,
) -> api::RegisteredRequest {
    let outcome = match (done.revoked, done.corrected) {
        (0, 0) => api::RegisteredOutcome::AlreadySo,
        _ => api::RegisteredOutcome::Done,
    };
    api::RegisteredRequest {
        line,
        reference: one.reference.clone(),
        outcome,
        registered: Some(done.registered.to_string()),
        revoked: done.revoked,
        corrected: done.corrected,
        already: done.already,
        unbound,
        problem: None,
    }
}

fn refused(line: u32, one: &api::TakenRequest, denied: &Denied) -> api::RegisteredRequest {
    let refusal = &denied.refusal;
    api::RegisteredRequest {
        line,
        reference: one.reference.clone(),
        outcome: api::RegisteredOutcome::Refused,
        registered: None,
        revoked: 0,
        corrected: 0,
        already: 0,
        unbound: 0,
        problem: Some(api::RequestProblem {
            code: refusal.code.to_owned(),
            detail: format!("{}: seen {}, wanted {}", refusal.rule, refusal.seen, refusal.limit),
            next: refusal.next.to_string(),
        }),
    }
}
