//! CRLs that come after others: each gate refuses by itself.

use std::fs;
use std::path::Path;

use ceremony_core::bundle::Bundle;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// The certificate and the CRL of the shipped ceremony: number 1, 180 days, nobody revoked.
fn shipped() -> (Certificate, Crl) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/vectors/ceremony-bundle.tar");
    let bundle = Bundle::from_archive(&fs::read(path).unwrap()).unwrap();
    let certificate = Certificate::from_der(bundle.file("out/training.cer")).unwrap();
    (certificate, read(bundle.file("out/training.crl")).unwrap())
}

fn numbered(list: &Crl, number: u8) -> Crl {
    let mut list = list.clone();
    list.tail.extensions.number = Some(vec![number]);
    list
}

fn revoking(list: &Crl, entries: &[(&str, u64)]) -> Crl {
    let mut list = list.clone();
    list.entries = entries
        .iter()
        .map(|(serial, days)| RevokedEntry {
            serial: serial.parse().unwrap(),
            revocation_date: UnixTime::EPOCH
                .checked_add(DAY.saturating_mul(u32::try_from(*days).unwrap()))
                .unwrap(),
            reason: Some(ReasonCode::CaCompromise),
            invalidity_date: None,
        })
        .collect();
    list
}

fn later(list: &Crl, days: u32) -> Crl {
    let mut list = list.clone();
    let span = DAY.saturating_mul(days);
    list.head.this_update = list.head.this_update.checked_add(span).unwrap();
    list.head.next_update = list.head.next_update.unwrap().checked_add(span);
    list
}

fn planned(serial: &str, day: &str) -> Revocation {
    let text = format!("serial = \"{serial}\"\nreason = \"ca-compromise\"\ndate = {day}\n");
    toml::from_str(&text).unwrap()
}

/// N11, N13, N14, N16: after a previous CRL, and after those of a series before it.
#[test]
fn each_gate_of_a_crl_refuses_by_itself() {
    let (issuer, first) = shipped();
    let revoke = [planned("0B", "1970-01-03T00:00:00Z")];
    let previous = revoking(&first, &[("0A", 1)]);
    let next = revoking(&numbered(&later(&first, 30), 2), &[("0A", 1), ("0B", 2)]);
    let gates = |previous: &Crl, own: &Crl| {
        let rule = NumberRule { floor: 0, gap: 1 };
        let gates = Gates {
            issuer: &issuer,
            previous: Some(previous),
            before: None,
            ahead: None,
            number: rule,
            lifetime: DAY.saturating_mul(180),
            revoke: &revoke,
            overdue_since: None,
        };
        gates.judge(own)
    };
    assert_eq!(gates(&previous, &next), Ok(()));
    let changed = |list: &Crl, change: &dyn Fn(&mut Crl)| {
        let mut list = list.clone();
        change(&mut list);
        list
    };
    let unsigned = changed(&previous, &|list| list.tail.signature[9] ^= 1);
    let anothers = changed(&previous, &|list| list.head.issuer.push(0));
    let own_anothers = changed(&next, &|list| list.head.issuer.push(0));
    let endless = changed(&next, &|list| list.head.next_update = None);
    let elsewhere = changed(&next, &|list| {
        list.tail.extensions.issuing_distribution_point = Some(vec![0x30, 0]);
    });
    let delta = changed(&next, &|list| list.tail.extensions.delta_base = Some(vec![1]));
    let after_delta = changed(&previous, &|list| list.tail.extensions.delta_base = Some(vec![1]));
    let expired =
        changed(&next, &|list| list.tail.extensions.expired_certs_on_crl = Some(UnixTime::EPOCH));
    let with_deltas = changed(&next, &|list| list.tail.extensions.freshest_crl = Some(vec![0x30]));
    let unknown = changed(&next, &|list| list.tail.extensions.unknown_critical = true);
    let since = |place: usize| {
        changed(&next, &|list| list.entries[place].invalidity_date = Some(UnixTime::EPOCH))
    };
    let without_reason = |place: usize| changed(&next, &|list| list.entries[place].reason = None);
    for (previous, own, said) in [
        (&previous, &numbered(&next, 1), "by the plan it is 02"),
        (&previous, &numbered(&next, 3), "by the plan it is 02"),
        (&numbered(&previous, 5), &next, "by the plan it is 06"),
        (&later(&previous, 31), &next, "it begins before the one of"),
        (&previous, &revoking(&next, &[("0B", 2)]), "0A is to be revoked, and is not"),
        (&previous, &revoking(&next, &[("0A", 1)]), "0B is to be revoked, and is not"),
        (&previous, &revoking(&next, &[("0A", 2), ("0B", 2)]), "0A is revoked with another"),
        (&previous, &revoking(&next, &[("0A", 1), ("0B", 3)]), "0B is revoked with another"),
        (&previous, &since(0), "0A is revoked with another"),
        (&previous, &since(1), "0B is revoked with another"),
        (&previous, &without_reason(0), "0A is revoked with another"),
        (&previous, &without_reason(1), "0B is revoked with another"),
        (&previous, &revoking(&next, &[("0A", 1), ("0B", 2), ("0C", 2)]), "0C is neither in"),
        (&previous, &revoking(&next, &[("0A", 1), ("0B", 2), ("0B", 2)]), "0B is neither in"),
        (&revoking(&previous, &[("0B", 2)]), &next, "the plan revokes 0B, which is revoked"),
        (&previous, &elsewhere, "its scope is another"),
        (&previous, &delta, "it is a delta"),
        (&after_delta, &next, "the CRL before it is a delta"),
        (&previous, &expired, "expired certificates"),
        (&previous, &with_deltas, "an extension that no list"),
        (&previous, &unknown, "an extension that no list"),
        (&unsigned, &next, "the previous CRL: "),
        (&anothers, &next, "is of another issuer"),
        (&previous, &own_anothers, "it is not of CN="),
        (&previous, &endless, "without nextUpdate"),
    ] {
        let refused = gates(previous, own).unwrap_err();
        assert!(refused.contains(said), "{said}: {refused}");
    }

    let second = later(&first, 30);
    let ahead = Ahead {
        number: 2,
        this_update: second.this_update(),
        next_update: second.next_update().unwrap(),
    };
    let series = |before: &Crl, own: &Crl| {
        let rule = NumberRule { floor: 0, gap: 1 };
        let lifetime = DAY.saturating_mul(180);
        let gates = Gates {
            issuer: &issuer,
            previous: None,
            before: Some(before),
            ahead: Some(&ahead),
            number: rule,
            lifetime,
            revoke: &[],
            overdue_since: None,
        };
        gates.judge(own)
    };
    assert_eq!(series(&first, &numbered(&later(&first, 30), 2)), Ok(()));
    for (own, said) in [
        (numbered(&later(&first, 30), 1), "by the plan it is 02"),
        (numbered(&later(&first, 30), 3), "by the plan it is 02"),
        (numbered(&later(&first, 29), 2), "the plan lays out"),
        (numbered(&later(&first, 31), 2), "the plan lays out"),
        (revoking(&numbered(&later(&first, 30), 2), &[("0A", 1)]), "0A is neither in"),
    ] {
        let refused = series(&first, &own).unwrap_err();
        assert!(refused.contains(said), "{said}: {refused}");
    }
    // By the rule it would be right, and the plan lays out another.
    let third = numbered(&first, 2);
    let refused = series(&third, &numbered(&later(&first, 30), 3)).unwrap_err();
    assert!(refused.contains("the plan lays out 2"), "{refused}");
}

/// N14: where no list was in force people knew it, to the second, as on the day itself.
#[test]
fn a_gap_between_lists_is_in_the_plan() {
    let (issuer, first) = shipped();
    let ended = first.next_update().unwrap();
    let judged = |days: u32, overdue_since: Option<UnixTime>| {
        let gates = Gates {
            issuer: &issuer,
            previous: Some(&first),
            before: None,
            ahead: None,
            number: NumberRule { floor: 0, gap: 1 },
            lifetime: DAY.saturating_mul(180),
            revoke: &[],
            overdue_since,
        };
        gates.judge(&numbered(&later(&first, days), 2))
    };
    assert_eq!(judged(180, None), Ok(()));
    assert_eq!(judged(181, Some(ended)), Ok(()));
    assert_eq!(judged(30, Some(ended)), Ok(()));
    for (days, overdue_since, said) in [
        (181, None, "does not say that it knows (overdue-since)"),
        (181, ended.checked_add(Duration::from_secs(1)), "the plan has overdue-since"),
    ] {
        let refused = judged(days, overdue_since).unwrap_err();
        assert!(refused.contains(said), "{said}: {refused}");
    }
}

/// Each reason that a plan may name is written as the plan has it.
#[test]
fn reasons_are_named_as_in_plans() {
    for code in ReasonCode::ALL {
        let named = format!("{code:?}").chars().fold(String::new(), |name, c| {
            let hyphen = if c.is_uppercase() && !name.is_empty() { "-" } else { "" };
            format!("{name}{hyphen}{}", c.to_lowercase())
        });
        assert_eq!(reason(code), named);
    }
}
