//! Attributes of the keys that we make, judged by two programs of others: OpenSC's pkcs11-tool and
//! GnuTLS' p11tool. Both must also tell a key apart that is not as ours are.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use hsm::token::TokenName;
use hsm::{FindKeyError, SignError};
use support::softhsm::{MODULE, SoftHsm, alone};
use support::test_name;
use x509::key::{KeyType, PublicKey};

use crate::fixture::{USER_PIN, make_key, new_token, open};

const TYPES: [(KeyType, &str); 6] = [
    (KeyType::EcP256, "p256"),
    (KeyType::EcP384, "p384"),
    (KeyType::Ed25519, "ed25519"),
    (KeyType::Rsa { bits: 2048 }, "rsa-2048"),
    (KeyType::Rsa { bits: 3072 }, "rsa-3072"),
    (KeyType::Rsa { bits: 4096 }, "rsa-4096"),
];

/// Makes keys of every type, and one by pkcs11-tool that may leave the token.
fn make(softhsm: &SoftHsm, name: &TokenName) -> Option<Vec<PublicKey>> {
    let token = open(softhsm, name).unwrap();
    let keys = TYPES.map(|(key_type, step)| make_key(&token, key_type, step));
    let leaky = ["--keypairgen", "--key-type", "EC:prime256v1", "--id", "77", "--label", "leaky"];
    pkcs11_tool(softhsm, name, &leaky, &["--usage-sign", "--sensitive", "--extractable"])?;
    Some(keys.into())
}

fn pkcs11_tool(
    softhsm: &SoftHsm,
    name: &TokenName,
    verb: &[&str],
    options: &[&str],
) -> Option<String> {
    let mut tool = Command::new("pkcs11-tool");
    tool.args(["--module", MODULE, "--token-label", name.label.as_str()]);
    tool.args(["--login", "--pin", USER_PIN]).args(verb).args(options);
    said("pkcs11-tool", softhsm.environment(&mut tool).output())
}

fn p11tool(softhsm: &SoftHsm, name: &TokenName, verb: &str, kind: &str) -> Option<String> {
    let mut tool = Command::new("p11tool");
    tool.args(["--provider", MODULE, "--login", verb]);
    tool.arg(format!("pkcs11:token={}{kind}", name.label)).env("GNUTLS_PIN", USER_PIN);
    said("p11tool", softhsm.environment(&mut tool).output())
}

fn said(program: &str, output: std::io::Result<Output>) -> Option<String> {
    let Ok(output) = output else {
        println!("skipped: {program} is not installed");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The objects of a listing, each a table of its lines, by label. `start` begins an object's first
/// line.
fn objects(listed: &str, start: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut objects: Vec<BTreeMap<String, String>> = Vec::new();
    for line in listed.lines() {
        if line.starts_with(start) {
            objects.push(BTreeMap::new());
        } else if let (Some(object), Some((word, rest))) =
            (objects.last_mut(), line.trim().split_once(':'))
        {
            object.insert(word.to_lowercase(), rest.trim().to_owned());
        }
    }
    objects.into_iter().map(|object| (object["label"].clone(), object)).collect()
}

/// KEY-03, as pkcs11-tool reads it.
#[test]
fn pkcs11_tool_reads_sensitive_never_extractable_local_sign_only() {
    alone(test_name!(pkcs11_tool_reads_sensitive_never_extractable_local_sign_only), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let Some(_) = make(softhsm, &name) else { return };

        let listed =
            pkcs11_tool(softhsm, &name, &["--list-objects", "-v"], &["--type", "privkey"]).unwrap();

        let objects = objects(&listed, "Private Key Object");
        assert_eq!(objects.len(), TYPES.len() + 1, "{listed}");
        for (_, step) in TYPES {
            let object = &objects[step];
            assert_eq!(object["usage"], "sign", "{listed}");
            let access = "sensitive, always sensitive, never extractable, local";
            assert_eq!(object["access"], access, "{listed}");
        }
        let leaky = &objects["leaky"];
        assert_ne!(leaky["usage"], "sign", "{listed}");
        assert_eq!(leaky["access"], "sensitive, always sensitive, extractable, local", "{listed}");
    });
}

/// KEY-03, as p11tool reads it. It says of a key what is true of it and leaves the rest out.
#[test]
fn p11tool_reads_private_sensitive_never_extractable_and_no_wrapping() {
    alone(
        test_name!(p11tool_reads_private_sensitive_never_extractable_and_no_wrapping),
        |softhsm| {
            let name = new_token(softhsm, "issuing");
            let Some(_) = make(softhsm, &name) else { return };

            let Some(listed) = p11tool(softhsm, &name, "--list-privkeys", "") else { return };

            let objects = objects(&listed, "Object ");
            assert_eq!(objects.len(), TYPES.len() + 1, "{listed}");
            for (_, step) in TYPES {
                let flags = "CKA_PRIVATE; CKA_NEVER_EXTRACTABLE; CKA_SENSITIVE;";
                assert_eq!(objects[step]["flags"], flags, "{step}: {listed}");
                let alone =
                    p11tool(softhsm, &name, "--info", &format!(";object={step};type=private"))
                        .unwrap();
                assert!(alone.contains(flags), "{alone}");
            }
            let leaky = &objects["leaky"]["flags"];
            assert!(leaky.contains("CKA_EXTRACTABLE;"), "{leaky}");
            assert!(!leaky.contains("CKA_NEVER_EXTRACTABLE"), "{leaky}");
            assert!(leaky.contains("CKA_WRAP/UNWRAP"), "{leaky}");
            let all = p11tool(softhsm, &name, "--list-all", "").unwrap();
            assert_eq!(all.matches("type=private").count(), TYPES.len() + 1, "{all}");
            assert_eq!(all.matches("type=public").count(), TYPES.len() + 1, "{all}");
        },
    );
}

/// KEY-03: the key that both programs tell apart is refused by its name, and ours are not.
#[test]
fn the_key_that_others_tell_apart_is_refused_by_name() {
    alone(test_name!(the_key_that_others_tell_apart_is_refused_by_name), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let Some(keys) = make(softhsm, &name) else { return };
        let token = open(softhsm, &name).unwrap();
        let entries = token.keys().unwrap();
        let leaky = entries.iter().find(|entry| entry.name.label() == "leaky").unwrap();

        let refused = token.prove(leaky.public_key.as_ref().unwrap()).unwrap_err();

        let SignError::Key(FindKeyError::Refused { source, .. }) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!((source.name().label(), source.attribute()), ("leaky", "CKA_EXTRACTABLE"));
        for key in keys {
            token.prove(&key).unwrap();
        }
    });
}
