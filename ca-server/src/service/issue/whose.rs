//! Whose a certificate is: by whose key it is counted, and under whose data key it is kept.

use ca::key_holder::{HolderName, KeyHolder};
use ca::order::Order;
use ca::prepare::{Facts, Prepared};
use store::{OrderId, Subject};

/// Whose key it is: the person of the order, or, of a call without one, of the number that it names.
pub(super) fn holder_of(prepared: &Prepared, ordered: Option<&Order>) -> KeyHolder {
    let Facts { kind, fields, subject, .. } = prepared.facts();
    let named = || fields.personal_identity_number.as_ref().map(HolderName::of_person);
    let person = match ordered {
        Some(order) => Some(HolderName::of_identity(&order.identity)),
        None if kind.is_person() => named(),
        None => None,
    };
    KeyHolder::named_by(subject).who_is(person)
}

/// Whose data a certificate holds: the person by the number that names him in every order.
pub(super) fn subject_of(prepared: &Prepared, ordered: Option<&Order>, order: OrderId) -> Subject {
    let Facts { kind, fields, .. } = prepared.facts();
    let person = ordered
        .and_then(|ordered| ordered.identity.number())
        .or(fields.personal_identity_number.as_ref())
        .map(|number| number.as_str().to_owned())
        .or_else(|| fields.hsa_id.as_ref().map(|id| id.as_str().to_owned()));
    match person {
        Some(person) if kind.is_person() => Subject::Holder(person),
        _ => Subject::Order(order),
    }
}
