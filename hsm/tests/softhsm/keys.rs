//! Keys: how they are made, read back, found by public key, proven, and refused.

use std::process::{Command, Output};
use std::time::Duration;

use hsm::token::TokenName;
use hsm::{FindKeyError, GenerateError, KeyId, Removal, SignError, Token};
use support::softhsm::{MODULE, SoftHsm, alone};
use support::test_name;
use x509::key::{KeyType, PublicKey};

use crate::fixture::{USER_PIN, make_key, new_token, open, order};

fn pkcs11_tool(softhsm: &SoftHsm, name: &TokenName, arguments: &[&str]) -> Option<Output> {
    let mut tool = Command::new("pkcs11-tool");
    let output = softhsm
        .environment(&mut tool)
        .args(["--module", MODULE, "--token-label", name.label.as_str()])
        .args(["--login", "--pin", USER_PIN])
        .args(arguments)
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            Some(output)
        }
        Err(_) => {
            println!("skipped: pkcs11-tool is not installed");
            None
        }
    }
}

/// The public half of the key with this CKA_ID, as somebody else's tool reads it.
fn public_key(softhsm: &SoftHsm, name: &TokenName, id: &str) -> Option<PublicKey> {
    let output = pkcs11_tool(softhsm, name, &["--read-object", "--type", "pubkey", "--id", id])?;
    Some(PublicKey::from_spki_der(&output.stdout).unwrap())
}

fn refusal(token: &Token, key: &PublicKey) -> FindKeyError {
    match token.prove(key) {
        Err(SignError::Key(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// KEY-03, read back by somebody else's tool.
#[test]
fn keys_are_sensitive_never_extractable_and_sign_only() {
    alone(test_name!(keys_are_sensitive_never_extractable_and_sign_only), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let token = open(softhsm, &name).unwrap();
        for (key_type, step) in [
            (KeyType::EcP256, "p256"),
            (KeyType::EcP384, "p384"),
            (KeyType::Ed25519, "ed25519"),
            (KeyType::Rsa { bits: 2048 }, "rsa-2048"),
            (KeyType::Rsa { bits: 3072 }, "rsa-3072"),
            (KeyType::Rsa { bits: 4096 }, "rsa-4096"),
        ] {
            assert_eq!(make_key(&token, key_type, step).key_type(), key_type);
        }

        let Some(listed) = pkcs11_tool(softhsm, &name, &["--list-objects", "--type", "privkey"])
        else {
            return;
        };
        let listed = String::from_utf8(listed.stdout).unwrap();
        let lines = |start: &str| -> Vec<String> {
            let found = listed.lines().filter(|line| line.trim_start().starts_with(start));
            found.map(|line| line.split_once(':').unwrap().1.trim().to_owned()).collect()
        };
        assert_eq!(lines("Usage:"), ["sign"; 6], "{listed}");
        let access = "sensitive, always sensitive, never extractable, local";
        assert_eq!(lines("Access:"), [access; 6], "{listed}");
        assert!(lines("label:").contains(&"p256".to_owned()), "{listed}");
        let id = KeyId::of_step(&[7; 32], "p256").to_string();
        assert!(lines("ID:").contains(&id), "{listed}");
    });
}

/// Somebody else's tool reads the same public keys from the token.
#[test]
fn public_keys_are_those_that_others_read() {
    alone(test_name!(public_keys_are_those_that_others_read), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let token = open(softhsm, &name).unwrap();
        for (key_type, step) in [(KeyType::EcP256, "p256"), (KeyType::Rsa { bits: 3072 }, "rsa")] {
            let made = make_key(&token, key_type, step);
            let id = KeyId::of_step(&[7; 32], step).to_string();
            let Some(read) = public_key(softhsm, &name, &id) else { return };

            assert_eq!(made, read);
        }
    });
}

/// KEY-03: a key that could leave its token is refused by name.
#[test]
fn refuses_an_extractable_key_and_names_it() {
    alone(test_name!(refuses_an_extractable_key_and_names_it), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let made = pkcs11_tool(
            softhsm,
            &name,
            &[
                "--keypairgen",
                "--key-type",
                "EC:prime256v1",
                "--id",
                "77",
                "--label",
                "leaky",
                "--usage-sign",
                "--extractable",
                "--sensitive",
            ],
        );
        if made.is_none() {
            return;
        }
        let key = public_key(softhsm, &name, "77").unwrap();

        let refused = refusal(&open(softhsm, &name).unwrap(), &key);

        let FindKeyError::Refused { source, .. } = refused else { panic!("{refused:?}") };
        assert_eq!(source.attribute(), "CKA_EXTRACTABLE");
        assert_eq!(source.name().label(), "leaky");
        assert!(source.to_string().contains("leaky"), "{source}");
    });
}

/// KEY-03, KEY-05: a key that may do more than sign is refused.
#[test]
fn refuses_a_key_that_may_also_decrypt() {
    alone(test_name!(refuses_a_key_that_may_also_decrypt), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let made = pkcs11_tool(
            softhsm,
            &name,
            &[
                "--keypairgen",
                "--key-type",
                "rsa:2048",
                "--id",
                "77",
                "--label",
                "both",
                "--usage-sign",
                "--usage-decrypt",
                "--sensitive",
            ],
        );
        if made.is_none() {
            return;
        }
        let key = public_key(softhsm, &name, "77").unwrap();

        let refused = refusal(&open(softhsm, &name).unwrap(), &key);

        let FindKeyError::Refused { source, .. } = refused else { panic!("{refused:?}") };
        assert!(
            ["CKA_SIGN_RECOVER", "CKA_DECRYPT", "CKA_UNWRAP"].contains(&source.attribute()),
            "{source}"
        );
    });
}

/// Promise 6: an imported copy under another id is the same key, and one too many.
#[test]
fn reports_a_key_that_is_there_twice() {
    alone(test_name!(reports_a_key_that_is_there_twice), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let file = softhsm.state().join("key.der");
        let openssl = Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
            .args(["-outform", "DER", "-out"])
            .arg(&file)
            .output();
        if openssl.is_err() {
            return println!("skipped: openssl is not installed");
        }
        let path = file.to_str().unwrap();
        for id in ["01", "02"] {
            let import = [
                "--write-object",
                path,
                "--type",
                "privkey",
                "--id",
                id,
                "--usage-sign",
                "--sensitive",
            ];
            if pkcs11_tool(softhsm, &name, &import).is_none() {
                return;
            }
        }
        let token = open(softhsm, &name).unwrap();
        let entries = token.keys().unwrap();
        assert_eq!(entries.len(), 2);
        let key = entries[0].public_key.clone().unwrap();

        let refused = refusal(&token, &key);

        let FindKeyError::Duplicate { names, .. } = &refused else { panic!("{refused:?}") };
        assert!(names[0].contains("CKA_ID 0") && names[1].contains("CKA_ID 0"), "{refused}");
    });
}

/// Promise 6: the CKA_ID of another key's public half does not make a private key its own.
#[test]
fn does_not_take_a_key_for_another_that_shares_its_id() {
    alone(test_name!(does_not_take_a_key_for_another_that_shares_its_id), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let token = open(softhsm, &name).unwrap();
        let (one, other) =
            (make_key(&token, KeyType::EcP256, "one"), make_key(&token, KeyType::EcP256, "other"));
        token.prove(&one).unwrap();
        token.prove(&other).unwrap();
        let stranger = PublicKey::from_ec_point(
            &[&[4][..], &one.key_bits()[1..33], &other.key_bits()[33..]].concat(),
        )
        .unwrap();

        let refused = refusal(&token, &stranger);

        assert!(matches!(refused, FindKeyError::Missing { .. }), "{refused:?}");
    });
}

/// A token without public objects: the private key shows by signing which one it is.
#[test]
fn finds_a_key_whose_public_object_is_gone() {
    alone(test_name!(finds_a_key_whose_public_object_is_gone), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let made = pkcs11_tool(
            softhsm,
            &name,
            &[
                "--keypairgen",
                "--key-type",
                "EC:prime256v1",
                "--id",
                "77",
                "--usage-sign",
                "--sensitive",
            ],
        );
        if made.is_none() {
            return;
        }
        let key = public_key(softhsm, &name, "77").unwrap();
        pkcs11_tool(softhsm, &name, &["--delete-object", "--type", "pubkey", "--id", "77"]);
        let token = open(softhsm, &name).unwrap();
        make_key(&token, KeyType::EcP256, "beside");

        // What pkcs11-tool makes may derive as well, so the key is found and then refused by name.
        match token.prove(&key) {
            Ok(()) => {}
            Err(SignError::Key(FindKeyError::Refused { source, .. })) => {
                assert_eq!(source.name().id(), [0x77]);
            }
            other => panic!("{other:?}"),
        }
    });
}

/// Promise 2.5: the id is how a second run finds what the first one made.
#[test]
fn a_second_run_meets_the_key_of_the_first() {
    alone(test_name!(a_second_run_meets_the_key_of_the_first), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "root")).unwrap();
        let id = KeyId::of_step(&[7; 32], "root");
        assert!(token.key_by_id(id).unwrap().is_none());
        let key = make_key(&token, KeyType::EcP256, "root");

        let again = token.generate_key(order(KeyType::EcP256, "root"), Duration::from_secs(10));

        assert!(matches!(again, Err(GenerateError::IdTaken { .. })));
        assert_eq!(token.key_by_id(id).unwrap(), Some(key));
    });
}

#[test]
fn only_keys_made_to_be_removed_can_be_destroyed() {
    alone(test_name!(only_keys_made_to_be_removed_can_be_destroyed), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "ocsp")).unwrap();
        let kept = make_key(&token, KeyType::EcP256, "identity");
        let mut delegate = order(KeyType::EcP256, "delegate");
        delegate.removal = Removal::Allowed;
        let delegate = token.generate_key(delegate, Duration::from_secs(10)).unwrap();

        token.destroy_key(&delegate).unwrap();

        assert!(matches!(refusal(&token, &delegate), FindKeyError::Missing { .. }));
        let refused = token.destroy_key(&kept).unwrap_err();
        assert!(matches!(refused, GenerateError::Device(_)), "{refused:?}");
        token.prove(&kept).unwrap();
        assert_eq!(token.keys().unwrap().len(), 1);
    });
}

#[test]
fn refuses_rsa_keys_outside_2048_to_4096_bits() {
    alone(test_name!(refuses_rsa_keys_outside_2048_to_4096_bits), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "root")).unwrap();
        for bits in [1024, 2047, 4097, 8192] {
            let short = order(KeyType::Rsa { bits }, "short");
            let refused = token.generate_key(short, Duration::from_secs(10)).unwrap_err();
            assert!(matches!(refused, GenerateError::KeySize { .. }));
        }
        assert!(token.keys().unwrap().is_empty());
    });
}
