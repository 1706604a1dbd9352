//! What registers say of the person of an order, asked again for every certificate (ISS-04, ISS-18).
//!
//! Nothing is kept of an answer but what stands in the certificate's audit record: who said it, as of when, a hash of the answer and what was
//! compared. Of somebody whom a register says to be protected that is so from here on, whatever becomes of the order (DAT-01).

use std::time::Duration;

use ca::deployment::Environment;
use ca::fields::RequestedFields;
use ca::identity::{HsaId, Identity, PersonNumber};
use ca::order::Order;
use ca::protection::ProtectionClass;
use ca::register::{
    Agreed, Answer, Attribute, Demand, Ordered, Question, RegisterFault, RegisterKind, Said,
    StandsFor,
};
use ca::role::Protected;
use serde_json::{Value, json};

use super::caller::Caller;
use super::order::OrderCall;
use super::protection::{Named, not_for_role};
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
        let denied = |fault: RegisterFault| denied(fault, register, order.routine.as_str());
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
            self.protect_as_told(named, class, call, &payload)
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
            (RegisterKind::Employment, said) => {
                let environment = self.deployment.environment();
                let numbers = match said {
                    Said::Found(_, attributes) => attributes.of(Attribute::Identity),
                    _ => Vec::new(),
                };
                let others = numbers.iter().filter_map(|text| {
                    let number = PersonNumber::parse(text, environment).ok()?;
                    Some(Named::of(&Identity::Personnummer(number), None))
                });
                others.chain([Named::of_hsa_id(question.key())]).collect()
            }
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
fn denied(fault: RegisterFault, register: RegisterKind, routine: &str) -> Denied {
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
