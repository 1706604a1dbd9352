//! Tokens: found by label and serial, several at once, missing ones, moved slots.

use std::fs;
use std::process::Command;
use std::time::Duration;

use hsm::token::{FindTokenError, TokenName};
use hsm::{
    InitError, KeyPolicy, Module, NewToken, OpenError, SigningService as _, Token, TokenSigner,
    erase_token, init_token, token,
};
use support::softhsm::{MODULE, Side, alone, side};
use support::test_name;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::signing::SigningKind;

use crate::fixture::{
    SO_PIN, USER_PIN, bytes, make_key, markers, module, new_token, open, pin, recorded, settings,
};

#[test]
fn one_context_serves_both_spellings_of_a_modules_path() {
    alone(test_name!(one_context_serves_both_spellings_of_a_modules_path), |softhsm| {
        let link = softhsm.state().join("module.so");
        std::os::unix::fs::symlink(MODULE, &link).unwrap();

        let both = [Module::load(&link).unwrap(), module()];

        assert_eq!(both[0].path(), both[1].path());
        assert!(both[0].description().contains("SoftHSM"), "{}", both[0].description());
    });
}

/// Somebody else's tool reads what we initialised.
#[test]
fn a_new_token_has_the_label_that_was_asked_for() {
    alone(test_name!(a_new_token_has_the_label_that_was_asked_for), |softhsm| {
        let name = new_token(softhsm, "issuing");

        let mut util = Command::new("softhsm2-util");
        let output = softhsm.environment(&mut util).arg("--show-slots").output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("sg-td-ab12-issuing"), "{shown}");
        assert!(shown.contains(name.serial.as_str()), "{shown}");
    });
}

#[test]
fn refuses_to_initialise_a_label_twice() {
    alone(test_name!(refuses_to_initialise_a_label_twice), |softhsm| {
        let first = new_token(softhsm, "issuing");
        let again = NewToken {
            label: first.label.clone(),
            so_pin: pin(softhsm, "so", SO_PIN),
            user_pin: pin(softhsm, "pin", USER_PIN),
        };

        let refused = init_token(&module(), &again, &markers(softhsm)).unwrap_err();

        assert!(matches!(refused, InitError::LabelTaken { tokens: 1, .. }));
        assert_eq!(token::list(&module()).unwrap().len(), 1);
    });
}

/// A crash between the token's label and its user PIN is made good by running again.
#[test]
fn finishes_a_token_whose_user_pin_was_not_set() {
    alone(test_name!(finishes_a_token_whose_user_pin_was_not_set), |softhsm| {
        let mut tool = Command::new("pkcs11-tool");
        let half = softhsm
            .environment(&mut tool)
            .args(["--module", MODULE, "--init-token", "--slot-index", "0"])
            .args(["--label", "sg-td-ab12-root", "--so-pin", SO_PIN])
            .output();
        let Ok(half) = half else { return println!("skipped: pkcs11-tool is not installed") };
        assert!(half.status.success(), "{half:?}");

        let name = new_token(softhsm, "root");

        assert!(open(softhsm, &name).is_ok());
    });
}

/// KEY-09, promise 8: where label and serial disagree both values are named.
#[test]
fn names_both_values_where_label_and_serial_disagree() {
    alone(test_name!(names_both_values_where_label_and_serial_disagree), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let other_instance =
            TokenName { label: "sg-td-zz99-issuing".parse().unwrap(), serial: name.serial.clone() };
        let other_serial =
            TokenName { label: name.label.clone(), serial: "0123456789abcdef".parse().unwrap() };
        let neither = TokenName {
            label: "sg-td-zz99-root".parse().unwrap(),
            serial: "0123456789abcdef".parse().unwrap(),
        };

        let find = |name: &TokenName| match open(softhsm, name) {
            Err(OpenError::Find(error)) => error,
            other => panic!("{other:?}"),
        };
        let label = find(&other_instance);
        let serial = find(&other_serial);
        let missing = find(&neither);

        assert!(matches!(label, FindTokenError::OtherLabel { .. }));
        assert!(label.to_string().contains("sg-td-ab12-issuing"), "{label}");
        assert!(label.to_string().contains("sg-td-zz99-issuing"), "{label}");
        assert!(matches!(serial, FindTokenError::OtherSerial { .. }));
        assert!(serial.to_string().contains(name.serial.as_str()), "{serial}");
        assert!(serial.to_string().contains("0123456789abcdef"), "{serial}");
        assert!(matches!(missing, FindTokenError::Missing { .. }));
        assert!(missing.to_string().contains("sg-td-ab12-issuing"), "{missing}");
    });
}

/// KEY-01: outside environment test a software token is not even logged in to.
#[test]
fn refuses_a_software_token_outside_environment_test() {
    alone(test_name!(refuses_a_software_token_outside_environment_test), |softhsm| {
        for label in ["sg-qt-ab12-issuing", "sg-pp-ab12-issuing"] {
            let new = NewToken {
                label: label.parse().unwrap(),
                so_pin: pin(softhsm, "so", SO_PIN),
                user_pin: pin(softhsm, "pin", USER_PIN),
            };
            let name = init_token(&module(), &new, &markers(softhsm)).unwrap();

            let refused = open(softhsm, &name).unwrap_err();

            assert!(matches!(refused, OpenError::Software { .. }), "{refused:?}");
        }
    });
}

/// KEY-01: an operator may take the danger upon himself; then it signs as in environment test.
#[test]
fn a_software_token_signs_in_production_only_where_the_danger_is_taken() {
    alone(
        test_name!(a_software_token_signs_in_production_only_where_the_danger_is_taken),
        |softhsm| {
            let new = NewToken {
                label: "sg-pp-ab12-issuing".parse().unwrap(),
                so_pin: pin(softhsm, "so", SO_PIN),
                user_pin: pin(softhsm, "pin", USER_PIN),
            };
            let name = init_token(&module(), &new, &markers(softhsm)).unwrap();
            let facts = token::list(&module()).unwrap();
            assert!(facts.iter().all(|facts| facts.is_software(&module())), "{facts:?}");

            let settings = settings(softhsm, &name, USER_PIN);
            let token = Token::danger_open_software_too(&module(), settings).unwrap();

            token.prove(&make_key(&token, KeyType::EcP256, "issuing")).unwrap();
            assert!(matches!(open(softhsm, &name), Err(OpenError::Software { .. })));
        },
    );
}

#[test]
fn two_tokens_sign_at_once() {
    alone(test_name!(two_tokens_sign_at_once), |softhsm| {
        let signer = TokenSigner::new(Duration::from_secs(10));
        let keys: Vec<_> = ["issuing-1", "issuing-2"]
            .into_iter()
            .map(|role| {
                let token = open(softhsm, &new_token(softhsm, role)).unwrap();
                let key = make_key(&token, KeyType::EcP256, role);
                signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
                key
            })
            .collect();

        std::thread::scope(|scope| {
            for key in &keys {
                scope.spawn(|| {
                    for number in 0..50 {
                        let (pending, input) = recorded(
                            key,
                            SignatureAlgorithm::EcdsaP256Sha256,
                            SigningKind::Certificate,
                            bytes(&format!("certificate {number}")),
                        );
                        pending.finish(signer.sign(&input).unwrap()).unwrap();
                    }
                });
            }
        });

        let uses = signer.uses();
        assert_eq!(uses.len(), 2);
        assert!(uses.iter().all(|used| used.signatures == 50 && used.failures == 0), "{uses:?}");
        assert_ne!(uses[0].token, uses[1].token);
    });
}

/// KEY-09: slots are numbered anew in the next process and when tokens come before them; label, serial and
/// key stay.
#[test]
fn finds_token_and_key_after_a_restart_that_renumbers_the_slots() {
    let test = test_name!(finds_token_and_key_after_a_restart_that_renumbers_the_slots);
    match side() {
        None => {}
        Some(Side::Parent(softhsm)) => {
            softhsm.succeeds(test, "make");
            let slots = slots(&softhsm);
            softhsm.succeeds(test, "one more token");
            softhsm.succeeds(test, "sign");
            assert_ne!(slots, self::slots(&softhsm));
        }
        Some(Side::Child { softhsm, phase }) => {
            let note = softhsm.state().join("note");
            match phase.as_str() {
                "make" => {
                    let name = new_token(&softhsm, "issuing");
                    let token = open(&softhsm, &name).unwrap();
                    let key = make_key(&token, KeyType::EcP256, "key");
                    fs::write(softhsm.state().join("spki"), key.spki_der()).unwrap();
                    fs::write(note, name.serial.as_str()).unwrap();
                }
                "sign" => {
                    let name = TokenName {
                        label: "sg-td-ab12-issuing".parse().unwrap(),
                        serial: fs::read_to_string(note).unwrap().parse().unwrap(),
                    };
                    let token =
                        Token::open(&module(), settings(&softhsm, &name, USER_PIN)).unwrap();
                    let spki = fs::read(softhsm.state().join("spki")).unwrap();
                    let key = x509::key::PublicKey::from_spki_der(&spki).unwrap();
                    token.prove(&key).unwrap();
                }
                _ => {
                    new_token(&softhsm, "another");
                }
            }
        }
    }
}

fn slots(softhsm: &support::softhsm::SoftHsm) -> String {
    let mut util = Command::new("softhsm2-util");
    let output = softhsm.environment(&mut util).arg("--show-slots").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// KEY-08: everything in a token ends, keys that no program may remove too; only of the very token, by its security officer's PIN, and with no session
/// left. Afterwards it takes a user PIN again.
#[test]
fn a_token_is_erased_with_keys_that_may_not_be_removed() {
    alone(test_name!(a_token_is_erased_with_keys_that_may_not_be_removed), |softhsm| {
        let name = new_token(softhsm, "root");
        let token = open(softhsm, &name).unwrap();
        let key = make_key(&token, KeyType::EcP256, "root");
        let erase = |name: &TokenName, so_pin: &str| {
            let so_pin = pin(softhsm, "erasing.so", so_pin);
            erase_token(&module(), name, &so_pin, &markers(softhsm))
        };
        // A session is left.
        assert_eq!(erase(&name, SO_PIN).unwrap_err().code(), "hsm-init");
        token.prove(&key).unwrap();
        drop(token);
        let other = TokenName { serial: "0123456789abcdef".parse().unwrap(), ..name.clone() };
        assert!(matches!(erase(&other, SO_PIN), Err(InitError::NotOne { tokens: 0, .. })));
        open(softhsm, &name).unwrap().prove(&key).unwrap();

        erase(&name, SO_PIN).unwrap();
        assert!(open(softhsm, &name).is_err(), "it has no user PIN");
        // A crash between the two: done again it comes to the same.
        erase(&name, SO_PIN).unwrap();
        assert_eq!(new_token(softhsm, "root"), name);
        let token = open(softhsm, &name).unwrap();
        assert!(token.prove(&key).is_err());
        assert!(token.keys().unwrap().is_empty());
        drop(token);

        let refused = erase(&name, "87654321").unwrap_err();
        assert!(matches!(refused, InitError::Login { .. }), "{refused:?}");
        open(softhsm, &name).unwrap();
    });
}
