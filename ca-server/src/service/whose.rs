//! Whose data a call holds, so that it is forgotten with him also where nothing comes of it.

use serde_json::Value;
use store::{OrderId, Subject};

use super::Service;
use super::order::{Act, OrderCall};

impl Service {
    /// Whose data a call holds: the person's by his number, or where it names none by his HSA-id. Nobody's is the order's own, and so is what cannot
    /// be read.
    pub(super) fn subject_of_call(&self, call: &OrderCall, order: OrderId) -> Subject {
        self.subject_of_body(call.act, &call.body, order)
    }

    /// The same of a body. A request for approval is his whom the call within it names.
    pub(super) fn subject_of_body(&self, act: Act, body: &[u8], order: OrderId) -> Subject {
        let named = || {
            if !matches!(act, Act::Issue | Act::Protect | Act::Step | Act::Ask) {
                return None;
            }
            let body: Value = serde_json::from_slice(body).ok()?;
            let text = |place: &str| body.pointer(place).and_then(Value::as_str);
            if act == Act::Ask {
                return match self.subject_of_body(Act::Step, text("/body")?.as_bytes(), order) {
                    Subject::Holder(name) => Some(name),
                    Subject::Deployment | Subject::Order(_) => None,
                };
            }
            let number = text("/order/identity/number")
                .or_else(|| text("/identity/number"))
                .or_else(|| text("/subject/personal_identity_number"))
                .or_else(|| text("/person"))
                .map(ca::identity::bare_number);
            let profile = text("/profile").and_then(|name| self.book.profiles().by_name(name));
            let is_person = act == Act::Step || profile.is_some_and(|one| one.kind().is_person());
            let hsa_id = || text("/subject/hsa_id").filter(|_| is_person).map(str::to_owned);
            number.or_else(hsa_id).filter(|name| !name.is_empty())
        };
        named().map_or(Subject::Order(order), Subject::Holder)
    }
}
