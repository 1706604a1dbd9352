//! What a policy allows and when, and which files are none.

use super::*;
use crate::testing::{PROFILES, at, profile};

const RSA_4096: KeyType = KeyType::Rsa { bits: 4096 };
const PKCS1: SignatureAlgorithm = SignatureAlgorithm::RsaPkcs1Sha256;
const PSS: SignatureAlgorithm = SignatureAlgorithm::RsaPssSha256;

const POLICY: &str = r#"
version = 1

[[allow]]
purpose    = "issuing"
key        = "rsa-4096"
signatures = ["rsa-pkcs1-sha256"]
from       = 2026-01-01
to         = 2026-12-31

[[allow]]
purpose = "subscriber"
key     = "ec-p256"
from    = 2026-06-01
"#;

fn on(day: (u16, u8, u8)) -> UnixTime {
    UnixTime::of_day(day.0, day.1, day.2).unwrap()
}

/// KEY-11: allowed are algorithm, size and purpose from the first day to the last.
#[test]
fn allows_what_stands_in_it_on_its_days_and_nothing_else() {
    let policy = AlgorithmPolicy::parse(POLICY).unwrap();
    let signs = |signature, now| {
        policy
            .signature(KeyPurpose::Issuing, RSA_4096, signature, now)
            .map_err(|refused| refused.standing)
    };
    let last = on((2027, 1, 1)).saturating_sub(std::time::Duration::from_secs(1));

    assert_eq!(signs(PKCS1, on((2026, 1, 1))), Ok(()));
    assert_eq!(signs(PKCS1, last), Ok(()));
    let over = signs(PKCS1, on((2027, 1, 1))).unwrap_err();
    assert_eq!(over.to_string(), "allowed until 2026-12-31");
    let early = signs(PKCS1, on((2025, 12, 31))).unwrap_err();
    assert_eq!(early.to_string(), "allowed from 2026-01-01");
    assert_eq!(signs(PSS, last), Err(Standing::Never));

    let key = |purpose, key, now| policy.key(purpose, key, now).map_err(|refused| refused.standing);
    let subscriber = Some(KeyPurpose::Subscriber);
    assert_eq!(key(subscriber, KeyType::EcP256, last), Ok(()));
    assert_eq!(key(subscriber, KeyType::EcP256, on((2099, 1, 1))), Ok(()));
    assert_eq!(key(Some(KeyPurpose::Issuing), KeyType::EcP256, last), Err(Standing::Never));
    assert_eq!(key(subscriber, KeyType::Rsa { bits: 4095 }, last), Err(Standing::Never));
    assert_eq!(key(None, RSA_4096, last), Ok(()));
    assert_eq!(key(None, KeyType::EcP384, last), Err(Standing::Never));
}

#[test]
fn several_lines_of_one_use_are_taken_together() {
    let again = POLICY.replace("[[allow]]\npurpose = \"subscriber\"", "[[allow]]\npurpose = \"issuing\"\nkey = \"rsa-4096\"\nsignatures = [\"rsa-pkcs1-sha256\"]\nfrom = 2028-01-01\nto = 2028-12-31\n\n[[allow]]\npurpose = \"subscriber\"");
    let policy = AlgorithmPolicy::parse(&again).unwrap();
    let signs = |now| {
        policy
            .signature(KeyPurpose::Issuing, RSA_4096, PKCS1, now)
            .map_err(|refused| refused.standing.to_string())
    };

    assert_eq!(signs(on((2027, 5, 1))), Err("allowed from 2028-01-01".to_owned()));
    assert_eq!(signs(on((2028, 5, 1))), Ok(()));
    assert_eq!(signs(on((2029, 5, 1))), Err("allowed until 2028-12-31".to_owned()));
    let ends = |signature| policy.signature_ends(KeyPurpose::Issuing, RSA_4096, signature);
    assert_eq!(ends(PKCS1), Some(on((2029, 1, 1))));
    assert_eq!(ends(PSS), None);
}

/// KEY-11: an unknown key or word is never ignored.
#[test]
fn refuses_what_is_no_policy() {
    let refused = |from: &str, to: &str| {
        assert!(POLICY.contains(from), "{from}");
        match AlgorithmPolicy::parse(&POLICY.replacen(from, to, 1)) {
            Ok(_) => panic!("{to} was taken"),
            Err(AlgorithmPolicyError::Toml(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }
    };
    for (from, to, says) in [
        ("version = 1", "version = 2", "version = 2, known is 1"),
        ("version = 1", "", "version"),
        ("version = 1", "version = 1\ncolour = 1", "colour"),
        ("key        =", "colour = 1\nkey        =", "colour"),
        ("\"issuing\"", "\"signing\"", "signing"),
        ("\"rsa-4096\"", "\"rsa\"", "\"rsa\" is no type of key"),
        ("rsa-pkcs1-sha256", "rsa-pkcs1-sha1", "rsa-pkcs1-sha1"),
        ("rsa-pkcs1-sha256", "ecdsa-p256-sha256", "rsa-4096 keys sign with"),
        ("[\"rsa-pkcs1-sha256\"]", "[]", "signatures stand with issuing"),
        (
            "key     = \"ec-p256\"",
            "key = \"ec-p256\"\nsignatures = [\"ecdsa-p256-sha256\"]",
            "only there",
        ),
        (
            "to         = 2026-12-31",
            "to = 2025-12-31",
            "to = 2025-12-31 is before from = 2026-01-01",
        ),
        ("2026-12-31", "2026-12-31T00:00:00Z", "is no day"),
        ("from       = 2026-01-01", "", "from"),
    ] {
        let error = refused(from, to);
        assert!(error.contains(says), "{to}: {error}");
    }
    let nothing = AlgorithmPolicy::parse("version = 1").unwrap_err();
    assert!(matches!(nothing, AlgorithmPolicyError::Nothing), "{nothing}");
}

/// KEY-11: the shipped policy and the shipped profiles belong together, today and until the day that the
/// policy itself names.
#[test]
fn the_shipped_policy_allows_the_keys_of_the_shipped_profiles() {
    let policy = AlgorithmPolicy::shipped().unwrap();
    let now = at(crate::testing::NOW);
    for (name, _) in PROFILES {
        let profile = profile(name);
        let purpose = Some(KeyPurpose::certified_by(profile.kind()));
        for key in profile.keys() {
            assert_eq!(policy.key(purpose, *key, now), Ok(()), "{name}");
        }
    }
    let small = KeyType::Rsa { bits: 2048 };
    let then = policy.key(Some(KeyPurpose::Subscriber), small, on((2029, 1, 1))).unwrap_err();
    assert_eq!(
        then.to_string(),
        "rsa-2048 keys of purpose subscriber are allowed until 2028-12-31"
    );
    let never = policy.key(Some(KeyPurpose::Issuing), small, now).unwrap_err();
    assert_eq!(never.standing, Standing::Never);
}
