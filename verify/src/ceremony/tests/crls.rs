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
            number: rule,
            lifetime: DAY.saturating_mul(180),
            revoke: &revoke,
        };
        gates.judge(own)
    };
    assert_eq!(gates(&previous, &next), Ok(()));
    let mut unsigned = previous.clone();
    unsigned.tail.signature[9] ^= 1;
    let mut anothers = previous.clone();
    anothers.head.issuer.push(0);
    let mut own_anothers = next.clone();
    own_anothers.head.issuer.push(0);
    let mut endless = next.clone();
    endless.head.next_update = None;
    for (previous, own, said) in [
        (&previous, &numbered(&next, 1), "by the plan it is 02 at least"),
        (&numbered(&previous, 5), &next, "by the plan it is 06 at least"),
        (&later(&previous, 31), &next, "it begins before the one of"),
        (&previous, &revoking(&next, &[("0B", 2)]), "serial number 0A was revoked"),
        (&previous, &revoking(&next, &[("0A", 2), ("0B", 2)]), "serial number 0A was revoked"),
        (&previous, &revoking(&next, &[("0A", 1)]), "it does not revoke 0B"),
        (&previous, &revoking(&next, &[("0A", 1), ("0B", 3)]), "it does not revoke 0B"),
        (&previous, &revoking(&next, &[("0A", 1), ("0B", 2), ("0C", 2)]), "it has 3 entries"),
        (&unsigned, &next, "the previous CRL: "),
        (&anothers, &next, "is of another issuer"),
        (&previous, &own_anothers, "it is not of CN="),
        (&previous, &endless, "without nextUpdate"),
    ] {
        let refused = gates(previous, own).unwrap_err();
        assert!(refused.contains(said), "{said}: {refused}");
    }

    let series = |before: &Crl, own: &Crl| {
        let rule = NumberRule { floor: 0, gap: 1 };
        let every = Some(DAY.saturating_mul(30));
        let before = Some((before, every));
        let lifetime = DAY.saturating_mul(180);
        let gates =
            Gates { issuer: &issuer, previous: None, before, number: rule, lifetime, revoke: &[] };
        gates.judge(own)
    };
    assert_eq!(series(&first, &numbered(&later(&first, 30), 2)), Ok(()));
    for (own, said) in [
        (numbered(&later(&first, 30), 1), "is not above the one before it"),
        (numbered(&later(&first, 29), 2), "not as the plan's series goes on"),
    ] {
        let refused = series(&first, &own).unwrap_err();
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
