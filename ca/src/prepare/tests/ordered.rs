//! Everything that an order decides, in every profile that has it: another sound value is found by comparison with
//! the order, and by nothing else.

use super::golden;
use super::mutation::with_finished;
use crate::prepare::agreement;
use crate::prepare::{Disagreement, Signer, judgement};
use crate::profile::ProfileKind;
use crate::testing::Ask;

/// One field: its name, whether the order has it, and another sound value for it.
type Field = (&'static str, fn(&Ask<'_>) -> bool, fn(&mut Ask<'_>));

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

const FIELDS: [Field; 22] = [
    (
        "given name",
        |ask| ask.fields.given_name.is_some(),
        |ask| {
            ask.fields.given_name = some("Tolva");
        },
    ),
    ("surname", |ask| ask.fields.surname.is_some(), |ask| ask.fields.surname = some("Öhrn")),
    (
        "common name",
        |ask| ask.fields.common_name.is_some(),
        |ask| {
            let of_function = ask.profile.kind() == ProfileKind::Function;
            ask.fields.common_name = some(if of_function { "idp2.example.org" } else { "Another" });
        },
    ),
    (
        "HSA-id",
        |ask| ask.fields.hsa_id.is_some(),
        |ask| {
            ask.fields.hsa_id = some("TST2321000016-1003");
        },
    ),
    (
        "person number",
        |ask| ask.fields.personal_identity_number.is_some(),
        |ask| {
            ask.fields.personal_identity_number = some("191003229802");
        },
    ),
    (
        "coordination number",
        |ask| ask.fields.personal_identity_number.is_some(),
        |ask| {
            ask.fields.personal_identity_number = some("195401812390");
        },
    ),
    (
        "organisation",
        |ask| ask.fields.organization.is_some(),
        |ask| {
            ask.fields.organization = some("Region Östergötland");
        },
    ),
    ("place", |ask| ask.fields.locality.is_some(), |ask| ask.fields.locality = some("Umeå")),
    ("place left out", |ask| ask.fields.locality.is_some(), |ask| ask.fields.locality = None),
    (
        "place added",
        |ask| ask.profile.kind() == ProfileKind::Function,
        |ask| {
            ask.fields.locality = some("Umeå");
        },
    ),
    (
        "card number",
        |ask| ask.fields.card_number.is_some(),
        |ask| {
            ask.fields.card_number = some("9752269874512325444");
        },
    ),
    (
        "user principal name",
        |ask| ask.fields.upn.is_some(),
        |ask| {
            ask.fields.upn = some("tolvan@test.example.org");
        },
    ),
    ("user principal name left out", |ask| ask.fields.upn.is_some(), |ask| ask.fields.upn = None),
    ("mail", |ask| ask.fields.email.is_some(), |ask| ask.fields.email = some("a@example.org")),
    (
        "mail in letters",
        |ask| ask.fields.email.is_some(),
        |ask| {
            ask.fields.email = some("å@example.org");
        },
    ),
    ("mail left out", |ask| ask.fields.email.is_some(), |ask| ask.fields.email = None),
    (
        "a host more",
        |ask| ask.fields.dns.len() > 1,
        |ask| {
            ask.fields.dns.push("idp3.example.org".to_owned());
        },
    ),
    (
        "a host less",
        |ask| ask.fields.dns.len() > 1,
        |ask| {
            ask.fields.dns.pop();
        },
    ),
    ("address", |ask| !ask.fields.ip.is_empty(), |ask| ask.fields.ip = vec![[127, 0, 0, 2].into()]),
    (
        "management name",
        |ask| ask.fields.management_name.is_some(),
        |ask| {
            ask.fields.management_name = "another".parse().ok();
        },
    ),
    ("issuing time", |_| true, |ask| ask.now += 1),
    (
        "end",
        |ask| matches!(ask.signer, Signer::Issuer(_)),
        |ask| {
            let ends = |ask: &Ask<'_>| ask.prepare().unwrap().facts().validity.not_after().secs();
            ask.ends_at = Some(ends(ask) - 1);
        },
    ),
];

/// PRO-03: what any order says in any certificate is compared with it, field by field. The linter, which knows the
/// profile alone, has nothing to say of values that would be right in another order.
#[test]
fn another_value_of_any_field_is_found_by_comparison_with_the_order() {
    let mut compared = 0;
    golden::each(|name, ask| {
        with_finished(ask, |finished, expected| {
            for (field, _, change) in FIELDS.iter().filter(|(_, has, _)| has(ask)) {
                let mut other = ask.clone();
                change(&mut other);
                // It ends with its issuer and in no other second, whatever is asked for.
                if name == "ocsp-final" && *field == "end" {
                    assert!(other.prepare().is_err());
                    continue;
                }
                let altered = with_finished(&other, |altered, _| altered.to_vec());
                if altered == finished {
                    // Recorded beside the certificate, and not in it.
                    assert!(field.ends_with("number"), "{name}: {field} is in no certificate");
                    continue;
                }

                let findings = judgement::findings(&altered, expected.preparation);
                let found = agreement::check(&altered, expected);

                assert!(findings.is_empty(), "{name}: {field}: {findings}");
                assert!(matches!(found, Err(Disagreement::Part { .. })), "{name}: {field}");
                compared += 1;
            }
        });
    });
    assert!(compared > 200, "{compared} altered");
}
