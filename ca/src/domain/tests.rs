//! PRO-20: what is a domain, when its control is proved, and which names it covers for whom.

use super::*;

fn time(secs: u64) -> UnixTime {
    UnixTime::from_secs(1_796_000_000 + secs).unwrap()
}

fn name(text: &str) -> DnsName {
    DnsName::parse(text, Wildcard::Allowed).unwrap()
}

fn hold(domain: &str, organisation: u8, until: Option<u64>) -> Hold<u8> {
    let name = DomainName::parse(domain).unwrap();
    Hold { name, organisation, until: until.map(time) }
}

const DAY: u64 = 86_400;

#[test]
fn a_domain_is_what_somebody_may_own() {
    for taken in ["example.se", "a.b.example.se", "xn--exmpel-bua.se", "idp.test", "vgregion.se"] {
        assert!(DomainName::parse(taken).is_ok(), "{taken}");
    }
    for suffix in ["co.uk", "github.io", "org.se", "pp.se"] {
        assert_eq!(
            DomainName::parse(suffix).unwrap_err().code(),
            "domain-public-suffix",
            "{suffix}"
        );
    }
    for malformed in [
        "se",
        "",
        ".se",
        "example.se.",
        "Example.se",
        "exämple.se",
        "*.example.se",
        "a_b.se",
        "1.2.3.4",
    ] {
        assert_eq!(
            DomainName::parse(malformed).unwrap_err().code(),
            "domain-malformed",
            "{malformed}"
        );
    }
}

#[test]
fn a_domain_covers_itself_and_what_lies_under_it() {
    let domain = DomainName::parse("example.se").unwrap();
    for covered in
        ["example.se", "www.example.se", "a.b.example.se", "*.example.se", "*.a.example.se"]
    {
        assert!(domain.covers(&name(covered)), "{covered}");
    }
    // Look-alikes, what lies above, and what only begins so.
    for other in
        ["evilexample.se", "example.se.evil.org", "xn--exmple-cua.se", "example.com", "ample.se"]
    {
        assert!(!domain.covers(&name(other)), "{other}");
    }
    let below = DomainName::parse("a.example.se").unwrap();
    assert!(!below.covers(&name("example.se")));
    assert!(!below.covers(&name("*.example.se")), "a wildcard stands for names beside it, too");
    assert_eq!(above(&name("*.a.example.se")).collect::<Vec<_>>(), ["a.example.se", "example.se"]);
}

#[test]
fn a_name_needs_a_fresh_proof_of_its_owner_or_of_one_above() {
    let owners = [3, 2, 1];
    let code = |text: &str, holds: &[Hold<u8>], at: u64| {
        judge(&name(text), &owners, holds, time(at)).map_err(|fault| fault.code())
    };
    let run_out = Err("domain-run-out");

    assert_eq!(code("a.example.se", &[], 0), Err("domain-not-proved"));
    assert_eq!(code("a.example.se", &[hold("example.se", 3, None)], 0), Err("domain-not-proved"));
    for owner in owners {
        assert_eq!(code("a.example.se", &[hold("example.se", owner, Some(10))], 10), Ok(()));
        assert_eq!(code("a.example.se", &[hold("example.se", owner, Some(10))], 11), run_out);
    }
    // One beside, or below: not its.
    let beside = [hold("example.se", 9, Some(10))];
    assert_eq!(code("a.example.se", &beside, 0), Err("domain-of-another"));
    assert_eq!(code("a.example.se", &beside, 11), Err("domain-not-proved"));
    // Its own wider domain holds, whatever became of a narrower one.
    let both = [hold("a.example.se", 3, Some(5)), hold("example.se", 1, Some(10))];
    assert_eq!(code("x.a.example.se", &both, 6), Ok(()));
    assert_eq!(code("x.a.example.se", &both, 11), run_out);
    assert_eq!(code("evilexample.se", &both, 0), Err("domain-not-proved"));
    let told = judge(&name("x.a.example.se"), &owners, &both, time(11)).unwrap_err().to_string();
    assert_eq!(
        told,
        format!("x.a.example.se lies under example.se, whose proof ran out at {}", time(10))
    );
}

#[test]
fn a_proof_is_bounded_by_its_method_and_its_token() {
    let list =
        DomainProofs::parse(include_bytes!("../../../profiles/lists/domain-proofs.toml")).unwrap();
    let given = Some(time(0));
    let code = |method: &str, seen: u64, until: u64, now: u64| {
        let method = DomainProofId::new(method).unwrap();
        let proof = Proof { method, seen_at: time(seen), valid_until: time(until) };
        let judged = proof.judge(list.by_id(proof.method.as_str()), given, time(now));
        judged.map_err(|fault| fault.code())
    };
    let longest = 398 * DAY;

    assert_eq!(code("dns-txt", DAY, DAY + longest, DAY), Ok(()));
    assert_eq!(code("dns-txt", DAY, DAY + longest + 1, DAY), Err("domain-proof-until"));
    assert_eq!(code("dns-txt", DAY, 2 * DAY, 2 * DAY), Ok(()));
    assert_eq!(code("dns-txt", DAY, 2 * DAY, 2 * DAY + 1), Err("domain-proof-until"));
    assert_eq!(code("dns-txt", DAY + 1, 9 * DAY, DAY), Err("domain-proof-seen"));
    // A token is used within 30 days, and never for what was seen before it was given out.
    assert_eq!(code("dns-txt", 30 * DAY, 60 * DAY, 30 * DAY), Ok(()));
    assert_eq!(code("dns-txt", 30 * DAY + 1, 60 * DAY, 31 * DAY), Err("domain-proof-token"));
    assert_eq!(code("owner-form", 31 * DAY, 60 * DAY, 31 * DAY), Ok(()));
    assert_eq!(code("hearsay", DAY, 2 * DAY, DAY), Err("domain-proof-method"));
    // Before the method was on the list.
    let before = Proof {
        method: DomainProofId::new("dns-txt").unwrap(),
        seen_at: UnixTime::of_day(2026, 11, 22).unwrap(),
        valid_until: time(9),
    };
    let judged = before.judge(list.by_id("dns-txt"), Some(before.seen_at), time(0));
    assert_eq!(judged.unwrap_err().code(), "domain-proof-method");
}

#[test]
fn a_token_is_not_for_what_was_seen_before_it() {
    let list =
        DomainProofs::parse(include_bytes!("../../../profiles/lists/domain-proofs.toml")).unwrap();
    let method = DomainProofId::new("dns-txt").unwrap();
    let proof = Proof { method, seen_at: time(4), valid_until: time(DAY) };
    let judged = |given: Option<u64>| proof.judge(list.by_id("dns-txt"), given.map(time), time(10));
    assert_eq!(judged(Some(4)), Ok(()));
    assert_eq!(judged(None).unwrap_err().code(), "domain-proof-token");
    assert_eq!(judged(Some(5)).unwrap_err().code(), "domain-proof-token");
}
