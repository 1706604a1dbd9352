//! What a device profile does to a token that is used: its quirks are heeded, and it must fit.

use std::num::NonZeroUsize;

use hsm::profile::{Mismatch, Profiled};
use hsm::token::{self, TokenName};
use hsm::{
    EcdsaInput, FindKeyError, KeyPolicy, OpenError, SignError, Token, TokenSettings, TokenSigner,
};
use serde_json::{Value, json};
use support::softhsm::{SoftHsm, alone};
use support::test_name;
use x509::key::KeyType;

use crate::fixture::{DEADLINE, USER_PIN, make_key, module, new_token, settings};

/// A profile of the token's device, as a probe of it writes.
fn profile(name: &TokenName) -> Value {
    let present = token::list(&module()).unwrap();
    let facts = present.iter().find(|facts| facts.serial == name.serial.as_str()).unwrap();
    json!({
        "format": "sigill-device-profile/1",
        "probed-at": "2026-11-22T08:00:00Z",
        "program": "a test",
        "module": {"path": module().path(), "description": module().description()},
        "token": {
            "label": "sg-td-ab12-another",
            "serial": "another",
            "manufacturer": facts.manufacturer,
            "model": facts.model,
            "firmware": facts.firmware,
            "hardware": facts.hardware,
        },
        "quirks": {
            "key-types": ["ec-p256"],
            "ecdsa": "raw",
            "rsa-pkcs1": true,
            "pss": true,
            "ed25519": true,
            "max-sessions": null,
            "idle-seconds": 2,
            "longest-message": null,
            "session-objects": true,
        },
        "rows": hsm::probe::check_ids().map(row).collect::<Vec<_>>(),
    })
}

fn row(id: &str) -> Value {
    json!({"id": id, "title": "", "expected": "", "clause": "", "verdict": "passed", "seen": ""})
}

fn open_by(
    softhsm: &SoftHsm,
    name: &TokenName,
    profile: &Value,
    mismatch: Mismatch,
) -> Result<Token, OpenError> {
    let path = softhsm.state().join("profile.json");
    std::fs::write(&path, profile.to_string()).unwrap();
    let quirks = Profiled::read(&path, mismatch).unwrap().quirks();
    Token::open(&module(), TokenSettings { quirks, ..settings(softhsm, name, USER_PIN) })
}

/// KEY-01: where differences are refused, the profile of another device opens no token, and says why.
#[test]
fn a_token_that_is_not_as_it_was_probed_is_refused() {
    alone(test_name!(a_token_that_is_not_as_it_was_probed_is_refused), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let same = profile(&name);
        let mut other = same.clone();
        other["token"]["firmware"] = json!("1.0");

        let refused = open_by(softhsm, &name, &other, Mismatch::Refused).unwrap_err();
        assert_eq!(refused.code(), "hsm-profile-differs");
        let told = std::error::Error::source(&refused).unwrap().to_string();
        assert!(told.contains("firmware \"2.6\", probed was \"1.0\""), "{told}");

        open_by(softhsm, &name, &other, Mismatch::Told).unwrap();
        let token = open_by(softhsm, &name, &same, Mismatch::Refused).unwrap();
        token.prove(&make_key(&token, KeyType::EcP256, "issuing")).unwrap();
    });
}

/// KEY-01: a profile that says that the token hashes itself has it asked so; this one cannot.
#[test]
fn the_quirks_of_the_profile_are_heeded() {
    alone(test_name!(the_quirks_of_the_profile_are_heeded), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let mut hashed = profile(&name);
        hashed["quirks"]["ecdsa"] = json!("hashed");
        hashed["quirks"]["max-sessions"] = json!(4);
        let path = softhsm.state().join("hashed.json");
        std::fs::write(&path, hashed.to_string()).unwrap();

        let quirks = Profiled::read(&path, Mismatch::Refused).unwrap().quirks();
        assert_eq!(quirks.ecdsa, EcdsaInput::Hashed);
        assert_eq!(quirks.sessions(NonZeroUsize::new(8).unwrap()).get(), 2);

        let token = open_by(softhsm, &name, &profile(&name), Mismatch::Refused).unwrap();
        let key = make_key(&token, KeyType::EcP256, "issuing");
        drop(token);
        let token = open_by(softhsm, &name, &hashed, Mismatch::Refused).unwrap();

        let signer = TokenSigner::new(DEADLINE);
        let refused = signer.add(&token, &key, KeyPolicy::issuing()).unwrap_err();

        // By a digest the key would prove itself, and then not sign.
        let not_proven = matches!(refused, SignError::Key(FindKeyError::NotProven { .. }));
        assert!(not_proven, "{refused:?}");
    });
}
