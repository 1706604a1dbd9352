//! What registers say of the person of an order, asked again for every certificate (ISS-04, ISS-18).
//!
//! Nothing is kept of an answer but what stands in the certificate's audit record: who said it, as of when, a hash of the answer and what was
//! compared. Of somebody whom a register says to be protected that is so from here on, whatever becomes of the order (DAT-01).

use std::collections::BTreeMap;
use std::time::Duration;

use ca::deployment::Environment;
use ca::fields::RequestedFields;
use ca::identity::{HsaId, Identity, IdentityError, PersonNumber, bare_number};
use ca::key_holder::HolderName;
use ca::order::Order;
use ca::protection::ProtectionClass;
use ca::refusal::Refusal;
use ca::register::{
    Agreed, Answer, Attribute, Demand, Ordered, Question, RegisterFault, RegisterKind, Said,
    StandsFor,
};
use ca::role::Protected;
use serde::Serialize;
use serde_json::{Value, json};
use store::{IdError, Shown};

use super::caller::Caller;
use super::order::OrderCall;
use super::protection::{Named, not_for_role};
use super::reads::Shows;
use super::{COME_BACK, Service};
use crate::denied::{Denied, Kind};

/// When to come back where data must be brought up to date first.
const STALE_COMES_BACK: Duration = Duration::from_secs(60);

impl Service {
    /// Asks the registers that the routine of an order demands, and holds what they say against it; what is recorded of that.
    pub(super) fn registers_say(
        &self,
        caller: &Caller,
        call: &OrderCall,
        request: &api::IssueRequest,
        order: Option<&Order>,
        fields: &RequestedFields,
    ) -> Result<Vec<Value>, Denied> {
        let Some(order) = order else { return Ok(Vec::new()) };
        // That there is none is said by who admits the order.
        let Some(routine) = self.book.routine(order.routine.as_str()) else {
            return Ok(Vec::new());
        };
        let mut said = Vec::new();
        for demand in &routine.registers {
            let Some(question) = Question::of_order(demand.register, order, fields) else {
                continue;
            };
            if demand.register == RegisterKind::Employment {
                // Nothing that is no HSA-id leaves this program.
                HsaId::parse(question.key(), self.deployment.environment())
                    .map_err(|error| Denied::rule(error.refusal()))?;
            }
            said.push(self.register_says(
                caller,
                call,
                (request, order, fields),
                demand,
                &question,
            )?);
        }
        Ok(said)
    }

    fn register_says(
        &self,
        caller: &Caller,
        call: &OrderCall,
        (request, order, fields): (&api::IssueRequest, &Order, &RequestedFields),
        demand: &Demand,
        question: &Question,
    ) -> Result<Value, Denied> {
        let register = demand.register;
        let routine = order.routine.as_str();
        let denied = |fault: RegisterFault| denied(fault, register, Some(routine));
        let Some(port) = self.registers.port(register) else {
            if self.deployment.environment() == Environment::Test {
                return Ok(json!({ "register": register.name(), "asked": false }));
            }
            return Err(denied(RegisterFault::NotConfigured));
        };
        let now = self.clock().read().now;
        let answer = port.ask(question, now).map_err(denied)?;
        let protect = |named: Named, class: ProtectionClass| {
            let payload = json!({
                "call": call.correlation_id,
                "client": call.client,
                "register": register.name(),
                "source": port.source(),
                "as_of": answer.as_of.to_string(),
                "class": class.name(),
            });
            self.protect_as_told(named, class, Some(call), &payload)
        };
        let passport = request.order.as_ref().and_then(|said| said.identity.passport.as_ref());
        let ordered_one = || Named::of(&order.identity, passport);
        if let Some(class) = answer.protection() {
            for named in self.named_by(question, &answer, order, ordered_one) {
                protect(named, class)?;
            }
            // Before anything is said of what he is called: that is for a role that has him added.
            if caller.protected() == Protected::Unseen {
                return Err(not_for_role());
            }
        }
        let signed_for = caller.acting.is_some() && caller.protected() == Protected::Seen;
        let by = if signed_for { StandsFor::Protected } else { StandsFor::Nobody };
        let ordered = Ordered { order, fields };
        let agreed = demand.judge(&answer, ordered, by, now).map_err(denied)?;
        // Who acts stands for it that it is this person.
        if let Some(class) = answer.protection().filter(|_| agreed.withheld) {
            protect(ordered_one(), class)?;
        }
        Ok(recorded(&agreed, port.source()))
    }

    /// Of whom an answer speaks: the order may have said another person's HSA-id.
    fn named_by(
        &self,
        question: &Question,
        answer: &Answer,
        order: &Order,
        ordered_one: impl Fn() -> Named,
    ) -> Vec<Named> {
        match (question.register(), &answer.said) {
            (RegisterKind::Person, _) => vec![ordered_one()],
            (RegisterKind::Employment, Said::Found(_, attributes))
                if attributes.are_of(&order.identity) =>
            {
                vec![ordered_one()]
            }
            (RegisterKind::Employment, _) => self.named_in(question, answer),
        }
    }

    /// Everybody whom a question and its answer name.
    fn named_in(&self, question: &Question, answer: &Answer) -> Vec<Named> {
        let environment = self.deployment.environment();
        let named = |text: &str| {
            let number = PersonNumber::parse(text, environment).ok()?;
            Some(Named::of(&Identity::Personnummer(number), None))
        };
        let numbers = match &answer.said {
            Said::Found(_, attributes) => attributes.of(Attribute::Identity),
            _ => Vec::new(),
        };
        let answered = numbers.iter().filter_map(|text| named(text));
        let asked = match question.register() {
            RegisterKind::Person => named(question.key()),
            RegisterKind::Employment => Some(Named::of_hsa_id(question.key())),
        };
        answered.chain(asked).collect()
    }
}

/// What a register says of somebody, and who that is.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct LookedUp {
    says: api::RegisterSays,
    #[serde(skip)]
    holders: Vec<HolderName>,
}

impl Shows for LookedUp {
    /// Also that somebody is in no register is told of him.
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        shown.extend(self.holders.iter().cloned().map(Shown::Person));
        Ok(())
    }
}

impl Service {
    /// What a register says of somebody now, for who looks why an order is refused.
    ///
    /// # Errors
    ///
    /// A caller that does not reach everywhere, or that nobody signed for and that is no operator; a question that names not exactly one; a register that
    /// gives no answer.
    pub(crate) fn look_up_in_register(
        &self,
        caller: &Caller,
        asked: &api::RegisterLookup,
    ) -> Result<LookedUp, Denied> {
        let act = "see what a register says";
        caller.must_read_all(act)?;
        if caller.acting.is_none() {
            caller.must_operate(act)?;
        }
        let question = self.asked(asked)?;
        let register = question.register();
        let denied = |fault: RegisterFault| denied(fault, register, None);
        let port = self.registers.port(register);
        let port = port.ok_or_else(|| denied(RegisterFault::NotConfigured))?;
        let answer = port.ask(&question, self.clock().read().now).map_err(denied)?;
        let named = self.named_in(&question, &answer);
        let holders: Vec<HolderName> = named.iter().map(|one| one.holder().clone()).collect();
        let mut protected = answer.protection().is_some();
        for holder in &holders {
            protected |= self.store().is_protected(holder).map_err(|e| self.note_storage(&e))?;
        }
        if let Some(class) = answer.protection() {
            let payload = json!({
                "client": caller.name,
                "register": register.name(),
                "source": port.source(),
                "as_of": answer.as_of.to_string(),
                "class": class.name(),
            });
            for one in named {
                self.protect_as_told(one, class, None, &payload)?;
            }
        }
        let hidden = protected && caller.protected() == Protected::Unseen;
        let said = if hidden { &Said::Missing } else { &answer.said };
        let attributes = match said {
            Said::Found(_, attributes) => {
                attributes.named().map(|(name, all)| (name.to_owned(), all.to_vec())).collect()
            }
            _ => BTreeMap::new(),
        };
        let says = api::RegisterSays {
            register: register.name().to_owned(),
            source: port.source().to_owned(),
            as_of: answer.as_of.to_string(),
            answer: said.word().to_owned(),
            protection: match said {
                Said::Missing => None,
                _ => Some(super::protection::shown(answer.protection()).0),
            },
            attributes,
        };
        Ok(LookedUp { says, holders })
    }

    fn asked(&self, asked: &api::RegisterLookup) -> Result<Question, Denied> {
        let environment = self.deployment.environment();
        let unfit = |error: &IdentityError| Denied::rule(error.refusal());
        match (&asked.hsa_id, &asked.person) {
            (Some(text), None) => {
                let id = HsaId::parse(text, environment).map_err(|error| unfit(&error))?;
                Ok(Question::new(RegisterKind::Employment, id.as_str().to_owned()))
            }
            (None, Some(text)) => {
                let number = PersonNumber::parse(&bare_number(text), environment);
                let number = number.map_err(|error| unfit(&error))?;
                Ok(Question::new(RegisterKind::Person, number.as_str().to_owned()))
            }
            _ => Err(Denied::new(
                Kind::Malformed,
                Refusal::new(
                    "query-malformed",
                    "a register is asked for one person: by an HSA-id or by a number",
                    &"both or neither",
                    "one of hsa_id and person",
                    "correct the body",
                ),
            )),
        }
    }
}

/// What stands in the record of a certificate: no value of any attribute.
fn recorded(agreed: &Agreed, source: &str) -> Value {
    let attributes: Vec<&str> = agreed.attributes.iter().map(|one| one.name()).collect();
    json!({
        "register": agreed.register.name(),
        "asked": true,
        "source": source,
        "as_of": agreed.as_of.to_string(),
        "sha256": base16ct::lower::encode_string(&agreed.sha256),
        "agreed": attributes,
        "withheld": agreed.withheld,
    })
}

/// What a register does not say now it may say later; a register that is at fault says nothing of the order.
fn denied(fault: RegisterFault, register: RegisterKind, routine: Option<&str>) -> Denied {
    let refusal = fault.refusal(register, routine);
    match fault {
        RegisterFault::Stale { .. } => {
            Denied::new(Kind::Unavailable, refusal).retry_after(STALE_COMES_BACK)
        }
        RegisterFault::Withheld => Denied::new(Kind::Forbidden, refusal),
        _ if fault.is_of_the_register() => {
            Denied::new(Kind::Unavailable, refusal).retry_after(COME_BACK)
        }
        _ => Denied::rule(refusal).for_now(),
    }
}

#[cfg(test)]
mod tests;
