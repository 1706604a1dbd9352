//! Protected persons: who is one, and the listing of them (DAT-01).
//!
//! What is theirs is passed over by the store for every caller whose role has them not added (`super::sight`); here is the rest. A class is of the
//! person, whatever organisations he is in: who sets it reaches everywhere.

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::identity::{Identity, PassportIdentity, PersonNumber, bare_number};
use ca::key_holder::HolderName;
use ca::life::Named as _;
use ca::order::Order;
use ca::protection::ProtectionClass;
use ca::refusal::Refusal;
use ca::role::Protected;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{EidFilter, IndexTag, IndexTerm, ProtectedRow, ProtectionChange, Subject};

use super::Service;
use super::actor::statement_required;
use super::body::from_json;
use super::caller::Caller;
use super::order::{Answered, OrderCall, OrderWork, Outcome};
use super::reads::Persons;
use super::record::{call_object, client, written};
use crate::denied::{Denied, Kind};

/// Protected persons of a page unless the caller asks for fewer, and at most.
const PAGE: u32 = 100;
/// eIDs of one of them.
const EIDS: u32 = 1000;
/// Characters of an id of who decided.
const ACTOR_LIMIT: usize = 64;

/// Who a person is, as it is kept for the listing.
#[derive(Serialize, Deserialize)]
struct Person {
    person: Option<String>,
    passport: Option<api::order::OrderPassport>,
}

/// A person of a call, or one whom a register names.
pub(super) struct Named {
    holder: HolderName,
    number: Option<IndexTerm>,
    subject: Subject,
    kept: Person,
}

impl Service {
    /// Protects a person, changes how, or ends it. An administrator has signed for it, in a role that reaches everywhere and has protected persons added.
    pub(crate) fn protect(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        may_protect(caller)?;
        let request: api::ProtectionRequest = from_json(&work.call.body)?;
        let length = request.actor.chars().count();
        if request.actor.trim().is_empty() || length > ACTOR_LIMIT {
            return Err(malformed("actor", "1 to 64 characters"));
        }
        let named = self.named(&request)?;
        let class = match request.class {
            api::ProtectionClass::None => None,
            api::ProtectionClass::ConfidentialityMarking => Some(ProtectionClass::Marked),
            api::ProtectionClass::ProtectedRegistration => Some(ProtectionClass::Relocated),
        };
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "actor": request.actor,
            "class": class.map_or("none", ProtectionClass::name),
        });
        let objects = ObjectIds::of_act([
            Some(ObjectId::Order(*work.order.as_bytes())),
            Some(call_object(work.call)),
        ]);
        let record = Self::record(
            EventCode::ProtectionChanged,
            EventResult::Done,
            client(&work.call.client),
            objects,
            None,
            &payload,
            named.subject.clone(),
        );
        let change = ProtectionChange {
            holder: named.holder,
            number: named.number,
            class,
            subject: named.subject,
            person: written(&json!(named.kept)),
        };
        let now = self.clock().read().now;
        let since = self.store().put_protection(&change, &record, now);
        let since = since.map_err(|e| self.note_storage(&e))?;
        let (class, class_sv) = shown(class);
        let shown = api::Protection { class, class_sv, since: since.map(|time| time.to_string()) };
        Answered::unlogged(Outcome::Changed, &shown)
    }

    fn named(&self, request: &api::ProtectionRequest) -> Result<Named, Denied> {
        let environment = self.deployment.environment();
        match (&request.person, &request.passport) {
            (Some(text), None) => {
                let number = PersonNumber::parse(&bare_number(text), environment)
                    .map_err(|_| unfit("person", "a number of this environment, 12 digits"))?;
                Ok(Named::of(&Identity::Personnummer(number), None))
            }
            (None, Some(given)) => {
                let passport = PassportIdentity::parse(
                    &given.state,
                    &given.number,
                    &given.birth_date,
                    environment,
                );
                let passport =
                    passport.map_err(|_| unfit("passport", "state, number and day of birth"))?;
                Ok(Named::of(&Identity::Passport(passport), Some(given)))
            }
            _ => Err(malformed("fields", "one of person and passport")),
        }
    }

    /// The protected persons that the caller sees: those with an eID in its organisations, or all.
    pub(crate) fn protected_persons(
        &self,
        caller: &Caller,
        query: &api::ProtectedQuery,
    ) -> Result<Persons<api::ProtectedPerson>, Denied> {
        caller.must_read()?;
        must_be_privy(caller)?;
        let limit = query.limit.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&limit) {
            return Err(malformed("limit", "1 to 100"));
        }
        let after = query.cursor.as_deref().map(str::parse::<u64>).transpose();
        let after = after.map_err(|_| malformed("cursor", "`next` of a page"))?;
        let rows = self.store().protected_persons(after, limit);
        let rows = rows.map_err(|e| self.note_storage(&e))?;
        let full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let next = rows.last().filter(|_| full).map(|last| last.cursor.to_string());
        let mut items = Vec::new();
        for row in &rows {
            items.extend(self.protected_person(caller, row)?);
        }
        let holder = |one: &api::ProtectedPerson| {
            self.holder_of(one.person.as_deref(), one.passport.as_ref())
        };
        let holders = items.iter().filter_map(holder).collect();
        Ok(Persons { page: api::Page { items, next }, holders })
    }

    fn protected_person(
        &self,
        caller: &Caller,
        row: &ProtectedRow,
    ) -> Result<Option<api::ProtectedPerson>, Denied> {
        let kept = row.person.as_deref().and_then(|kept| serde_json::from_slice(kept).ok());
        let Person { person, passport } = kept.unwrap_or(Person { person: None, passport: None });
        let mut eids = Vec::new();
        if let Some(holder) = self.holder_of(person.as_deref(), passport.as_ref()) {
            let (holder, protected) = (Some(holder), Protected::Seen);
            let filter = EidFilter { holder, protected, ..EidFilter::default() };
            let page = self.store().eids(&filter, None, EIDS).map_err(|e| self.note_storage(&e))?;
            for eid in &page.rows {
                if self.is_of(caller, &eid.organisation)? {
                    eids.push(self.shown_eid(eid)?);
                }
            }
        }
        if eids.is_empty() && caller.limited_to().is_some() {
            return Ok(None);
        }
        let (class, class_sv) = shown(Some(row.class));
        let since = row.since.to_string();
        Ok(Some(api::ProtectedPerson { person, passport, class, class_sv, since, eids }))
    }

    pub(super) fn holder_of(
        &self,
        person: Option<&str>,
        passport: Option<&api::order::OrderPassport>,
    ) -> Option<HolderName> {
        match (person, passport) {
            (Some(number), _) => Some(HolderName::number(number)),
            (None, Some(one)) => {
                let environment = self.deployment.environment();
                let (state, number) = (&one.state, &one.number);
                let read = PassportIdentity::parse(state, number, &one.birth_date, environment);
                read.ok().map(|passport| HolderName::of_identity(&Identity::Passport(passport)))
            }
            (None, None) => None,
        }
    }

    /// Refuses an order for a protected person of who does not see him: by the person of the order, or by the numbers of a call without one.
    pub(super) fn must_see_holder(
        &self,
        caller: &Caller,
        request: &api::IssueRequest,
        ordered: Option<&Order>,
    ) -> Result<(), Denied> {
        let subject = &request.subject;
        let number = subject.personal_identity_number.as_deref();
        let number = number.map(|text| HolderName::number(&bare_number(text)));
        let hsa_id = subject.hsa_id.as_deref().map(|id| HolderName::number(id.trim()));
        let person = ordered.map(|order| HolderName::of_identity(&order.identity));
        let mut protected = false;
        for name in [person, number, hsa_id].into_iter().flatten() {
            let one = self.store().is_protected(&name).map_err(|e| self.note_storage(&e))?;
            protected |= one;
        }
        if protected && caller.protected() == Protected::Unseen {
            return Err(not_for_role());
        }
        Ok(())
    }
}

impl Service {
    /// Protects a person from now on, as a register says; where he stands so already nothing is recorded.
    pub(super) fn protect_as_told(
        &self,
        named: Named,
        class: ProtectionClass,
        call: Option<&OrderCall>,
        payload: &Value,
    ) -> Result<(), Denied> {
        let Named { holder, number, subject, kept } = named;
        let objects = ObjectIds::of_act([call.map(call_object)]);
        let (code, system) = (EventCode::ProtectionChanged, self.system());
        let done = EventResult::Done;
        let record = Self::record(code, done, system, objects, None, payload, subject.clone());
        let person = written(&json!(kept));
        let change = ProtectionChange { holder, number, class: Some(class), subject, person };
        let now = self.clock().read().now;
        self.store().put_protection(&change, &record, now).map_err(|e| self.note_storage(&e))?;
        Ok(())
    }
}

impl Named {
    /// The name that he is kept under.
    pub(super) const fn holder(&self) -> &HolderName {
        &self.holder
    }

    /// Whoever has an HSA-id, of whom nothing else is known.
    pub(super) fn of_hsa_id(hsa_id: &str) -> Self {
        Self {
            holder: HolderName::number(hsa_id),
            number: None,
            subject: Subject::Holder(hsa_id.to_owned()),
            kept: Person { person: None, passport: None },
        }
    }

    /// A person, and his passport as it was given where he has no number.
    pub(super) fn of(identity: &Identity, passport: Option<&api::order::OrderPassport>) -> Self {
        let holder = HolderName::of_identity(identity);
        let number = identity.number().map(|number| number.as_str().to_owned());
        Self {
            number: number.as_ref().map(|it| IndexTerm::new(IndexTag::PersonalNumber, it)),
            subject: Subject::Holder(number.clone().unwrap_or_else(|| holder.as_str().to_owned())),
            kept: Person {
                passport: passport.filter(|_| number.is_none()).cloned(),
                person: number,
            },
            holder,
        }
    }
}

/// One answer for every protected person whom who acts may not see.
pub(super) fn not_for_role() -> Denied {
    Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "holder-not-for-role",
            "DAT-01: an order is for somebody whom who acts may see",
            &"a holder for whom this role does not order",
            "a role that has this holder added (docs/roles.md)",
            "have somebody act who may, or ask who answers for the organisation",
        ),
    )
    .for_now()
}

/// Refuses a caller who may not say who is protected, before anything of the call is stored.
pub(crate) fn may_protect(caller: &Caller) -> Result<(), Denied> {
    must_be_privy(caller)?;
    must_reach_everywhere(caller)
}

/// Refuses a caller for whom protected persons are not there what is about them as such.
fn must_be_privy(caller: &Caller) -> Result<(), Denied> {
    match (&caller.acting, caller.protected()) {
        (None, _) => Err(statement_required()),
        (Some(_), Protected::Seen) => Ok(()),
        (Some(acting), Protected::Unseen) => Err(Denied::new(
            Kind::Forbidden,
            Refusal::new(
                "actor-role-refused",
                "DAT-01: protected persons are for a role that has them added",
                &acting.acts,
                "a role with confidentiality beside it (docs/roles.md)",
                "have somebody act who has such a role",
            ),
        )),
    }
}

/// A class is of the person: what a client that is limited to organisations says of him would count in all others.
fn must_reach_everywhere(caller: &Caller) -> Result<(), Denied> {
    if caller.limited_to().is_none() {
        return Ok(());
    }
    Err(Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "client-not-allowed",
            "DAT-01: a class of protection is the person's in all organisations",
            &format!("client {}, which is limited to organisations", caller.name),
            "a client that is limited to none",
            "go through a client that reaches everywhere",
        ),
    ))
}

pub(super) fn shown(class: Option<ProtectionClass>) -> (api::ProtectionClass, String) {
    let Some(class) = class else { return (api::ProtectionClass::None, "Ingen".to_owned()) };
    let shown = match class {
        ProtectionClass::Marked => api::ProtectionClass::ConfidentialityMarking,
        ProtectionClass::Relocated => api::ProtectionClass::ProtectedRegistration,
    };
    (shown, class.word().swedish.to_owned())
}

/// What no schema says: a number has its form, and is none of this environment.
fn unfit(field: &'static str, limit: &str) -> Denied {
    Denied { kind: Kind::Rule, ..malformed(field, limit) }
}

/// What was sent is not repeated: it is somebody's.
fn malformed(field: &'static str, limit: &str) -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "protection-malformed",
            "a protected person is named by a number or by a passport",
            &field,
            limit,
            "correct the call",
        ),
    )
}
