//! `sigill-ceremony hsm inventory` as operators run it: a SoftHSM token, a configuration, records.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code throughout; clippy's allowances cover only test functions"
)]

mod fixture;

use std::fs;

use serde_json::Value;
use support::softhsm::{SoftHsm, alone};
use support::test_name;
use x509::key::KeyType;

use fixture::World;

/// Codes of what is unexpected, in order and each once.
fn codes(record: &Value) -> Vec<&str> {
    let mut codes: Vec<&str> = record["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn object<'a>(record: &'a Value, class: &str, label: &str) -> &'a Value {
    record["objects"]
        .as_array()
        .unwrap()
        .iter()
        .find(|object| object["class"] == class && object["label"] == label)
        .unwrap_or_else(|| panic!("no {class} {label}: {record:#}"))
}

/// What differs from the record, as `what was is`.
fn differences(record: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    record["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {} {}", text(&one["what"]), text(&one["was"]), text(&one["is"])))
        .collect()
}

/// KEY-07: a key that no CA uses yet is unexpected until a record has it; then it is pre-generated.
#[test]
fn a_key_is_in_use_pre_generated_or_unexpected() {
    alone(test_name!(a_key_is_in_use_pre_generated_or_unexpected), |softhsm| {
        let Some(world) = World::new(softhsm) else { return };
        let used = world.make_key("used", KeyType::EcP256);
        let config = world.config(&used);
        let clean = world.json(&["--config", &config], 0);
        assert_eq!(codes(&clean), [""; 0]);
        let key = object(&clean, "private-key", "used");
        assert_eq!(key["used-by"], serde_json::json!(["authority issuing"]));
        assert_eq!(key["use"], "in-use");
        assert_eq!(key["spki-sha256"], used.spki_hash().to_string());
        assert_eq!(key["public-half"], "beside");
        assert_eq!(key["proof"], "not-asked");
        assert_eq!(key["attributes"]["CKA_KEY_GEN_MECHANISM"], "CKM_EC_KEY_PAIR_GEN");
        assert_eq!(key["attributes"]["CKA_NEVER_EXTRACTABLE"], true);
        assert_eq!(clean["format"], "sigill-key-inventory/1");
        assert_eq!(clean["token"]["software"], true);

        world.make_key("spare", KeyType::Rsa { bits: 2048 });
        let found = world.json(&["--config", &config], 1);
        assert_eq!(codes(&found), ["key-unknown"]);
        let record = world.keep("record.json", &found);
        let settled = world.json(&["--config", &config, "--expect", &record], 0);

        assert_eq!(object(&settled, "private-key", "spare")["use"], "pre-generated");
        assert_eq!(object(&settled, "private-key", "spare")["type"], "rsa-2048");
        assert_eq!(differences(&settled), [""; 0]);
        let proven = world.json(&["--config", &config, "--expect", &record, "--prove"], 0);
        assert_eq!(object(&proven, "private-key", "spare")["proof"], "proven");
        assert_eq!(object(&proven, "private-key", "used")["proof"], "proven");
    });
}

/// KEY-07: keys are judged anew at each inventory by the policy of the day; no record settles that.
#[test]
fn a_key_whose_algorithm_the_policy_allows_no_more_is_named() {
    alone(test_name!(a_key_whose_algorithm_the_policy_allows_no_more_is_named), |softhsm| {
        let Some(world) = World::new(softhsm) else { return };
        let used = world.make_key("used", KeyType::EcP256);
        world.make_key("spare", KeyType::Rsa { bits: 2048 });
        let record = world.json(&["--config", &world.config(&used)], 1);
        let record = world.keep("record.json", &record);
        let policy = |issuing: &str, last: &str| {
            format!(
                "version = 1\n[[allow]]\npurpose = \"issuing\"\nkey = \"{issuing}\"\n\
                 signatures = [\"ecdsa-{issuing}\"]\nfrom = 2020-01-01\n\
                 [[allow]]\npurpose = \"subscriber\"\nkey = \"rsa-2048\"\nfrom = 2020-01-01\nto = {last}\n"
            )
            .replace("ecdsa-ec-p256", "ecdsa-p256-sha256")
            .replace("ecdsa-ec-p384", "ecdsa-p384-sha384")
        };
        let found = |policy: &str, code| {
            let config = world.config_with_policy(&used, policy);
            world.json(&["--config", &config, "--expect", &record], code)
        };

        assert_eq!(codes(&found(&policy("ec-p256", "9999-12-31"), 0)), [""; 0]);
        let over = found(&policy("ec-p256", "2020-12-31"), 1);
        assert_eq!(codes(&over), ["key-algorithm-not-allowed"]);
        let what = over["findings"].to_string();
        assert!(what.contains("spare") && what.contains("until 2020-12-31"), "{what}");
        let never = found(&policy("ec-p384", "9999-12-31"), 1);
        let what = never["findings"].to_string();
        assert!(what.contains("ec-p256 keys of purpose issuing are not allowed"), "{what}");

        let config = world.config_with_policy(&used, "version = 2");
        let refused = world.run(&["--config", &config]);
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains("inventory-algorithm-policy"), "{told}");
    });
}

/// KEY-03, KEY-07: whatever came, went or changed since the record has a name.
#[test]
fn what_changed_since_the_record_is_named() {
    alone(test_name!(what_changed_since_the_record_is_named), |softhsm| {
        let Some(world) = World::new(softhsm) else { return };
        let used = world.make_key("used", KeyType::EcP256);
        if !world.pkcs11_tool(&["--keypairgen", "--key-type", "EC:prime256v1", "--id", "55"], "old")
        {
            return;
        }
        let before = world.json(&["--config", &world.config(&used)], 1);
        let record = world.keep("record.json", &before);
        let leaky = ["--keypairgen", "--key-type", "EC:prime256v1", "--id", "77", "--extractable"];
        assert!(world.pkcs11_tool(&leaky, "leaky"));
        assert!(world.pkcs11_tool(&["--keygen", "--key-type", "AES:32", "--id", "78"], "wrapping"));
        assert!(world.pkcs11_tool(&["--delete-object", "--type", "pubkey", "--id", "55"], ""));
        assert!(world.pkcs11_tool(&["--set-id", "56", "--type", "privkey", "--id", "55"], ""));

        let now = world.json(&["--config", &world.config(&used), "--expect", &record], 1);

        for code in ["key-unfit", "key-unknown", "object-foreign"] {
            assert!(codes(&now).contains(&code), "{code}: {now:#}");
        }
        let findings = now["findings"].to_string();
        assert!(findings.contains("CKA_EXTRACTABLE true"), "{findings}");
        assert!(findings.contains("leaky"), "{findings}");
        let told = differences(&now);
        assert!(told.contains(&"object not there there".to_owned()), "{told:?}");
        assert!(told.contains(&"object there gone".to_owned()), "{told:?}");
        let table = world.run(&["--config", &world.config(&used), "--expect", &record]);
        let text = String::from_utf8(table.stdout).unwrap();
        assert_eq!(table.status.code(), Some(1));
        for words in
            ["unexpected:", "other than recorded:", "key-unfit", "USED BY", "authority issuing"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
    });
}

/// Promise 6: the same key twice, and a configuration's key that is not on its token.
#[test]
fn duplicates_and_missing_keys_are_named() {
    alone(test_name!(duplicates_and_missing_keys_are_named), |softhsm| {
        let Some(world) = World::new(softhsm) else { return };
        let used = world.make_key("used", KeyType::EcP256);
        let file = world.foreign_key();
        for id in ["01", "02"] {
            let import = ["--write-object", &file, "--type", "privkey", "--id", id, "--usage-sign"];
            if !world.pkcs11_tool(&import, "copy") {
                return;
            }
        }
        let found = world.json(&["--config", &world.config(&used)], 1);

        assert_eq!(codes(&found), ["half-pair", "key-duplicate", "key-unfit", "key-unknown"]);
        let findings = found["findings"].to_string();
        assert!(findings.contains("id 01") && findings.contains("id 02"), "{findings}");
        let stranger = world.foreign_key();
        let missing = world.json(&["--config", &world.config_of_file(&stranger)], 1);
        assert!(codes(&missing).contains(&"key-missing"), "{missing:#}");
        assert!(missing["findings"].to_string().contains("authority issuing"), "{missing:#}");
    });
}

/// A stand-by token holds the keys of its authorities too, so none of them may be missing.
#[test]
fn the_keys_of_a_stand_by_token_are_expected_there() {
    alone(test_name!(the_keys_of_a_stand_by_token_are_expected_there), |softhsm| {
        let Some(world) = World::new(softhsm) else { return };
        let used = world.make_key("used", KeyType::EcP256);
        let config = world.config(&used);
        let main = fs::read_to_string(&config).unwrap();
        let stranger = world.foreign_key();
        for standby in ["\"issuing\"", "[\"third\", \"issuing\"]"] {
            let text = main
                .replace("token = \"issuing\"", &format!("token = \"main\"\nstandby = {standby}"));
            world.config(&used);
            world.keep_text("config/ca.toml", &text);
            assert_eq!(codes(&world.json(&["--config", &config], 0)), [""; 0], "{standby}");

            world.config_of_file(&stranger);
            world.keep_text("config/ca.toml", &text);
            let missing = world.json(&["--config", &config], 1);
            assert!(codes(&missing).contains(&"key-missing"), "{standby}: {missing:#}");
        }
    });
}

/// A software token outside environment test is read, and named.
#[test]
fn a_software_token_of_production_is_named() {
    alone(test_name!(a_software_token_of_production_is_named), |softhsm| {
        let Some(world) = World::labelled(softhsm, "sg-pp-ab12-issuing") else { return };

        let found = world.json(&[], 1);

        assert_eq!(codes(&found), ["token-software"]);
    });
}

/// Wrong use has exit code 2 and says what is wrong with which file.
#[test]
fn wrong_use_is_told_apart() {
    alone(test_name!(wrong_use_is_told_apart), |softhsm| {
        let Some(world) = World::new(softhsm) else { return };
        let key = world.make_key("used", KeyType::EcP256);
        let absent = softhsm.state().join("absent").display().to_string();
        let text = world.keep("text.json", &Value::from("text"));
        let mut other = world.json(&[], 0);
        other["format"] = "sigill-key-inventory/2".into();
        let newer = world.keep("newer.json", &other);
        let config = world.config(&key);
        let foreign = fs::read_to_string(&config).unwrap().replace("ab12", "zz99");
        let foreign = world.keep_text("foreign.toml", &foreign);
        let broken = world.keep_text("broken.toml", "[hsm]\nmodule = \"/m.so\"\n");
        for (arguments, code, words) in [
            (["--expect", &absent], "inventory-file", "absent"),
            (["--config", &absent], "inventory-file", "absent"),
            (["--expect", &text], "inventory-record", "text.json"),
            (["--expect", &newer], "inventory-record", "sigill-key-inventory/2"),
            (["--config", &foreign], "inventory-other-deployment", "test/demo/zz99"),
            (["--config", &broken], "inventory-config", "deployment"),
        ] {
            let output = world.run(&arguments);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(said.contains(&format!("error: {code}: ")), "{arguments:?}: {said}");
            assert!(said.contains(words), "{arguments:?}: {said}");
            assert!(said.contains("; next: "), "{arguments:?}: {said}");
        }
        // Another module than the CA's: it may show another token under the same label.
        let text = fs::read_to_string(&config).unwrap();
        let text = text.replace("[hsm]\nmodule = \"/", "[hsm]\nmodule = \"/another/");
        let moved = world.keep_text("config/moved.toml", &text);
        assert_eq!(codes(&world.json(&["--config", &moved], 1)), ["module-other"]);
        assert_eq!(world.run(&["--colour"]).status.code(), Some(2));
    });
}

/// KEY-02: the rules of PINs hold here too.
#[test]
fn a_wrong_pin_is_tried_once() {
    alone(test_name!(a_wrong_pin_is_tried_once), |softhsm: &SoftHsm| {
        let Some(world) = World::new(softhsm) else { return };
        world.change_pin_file("wrong-pin");
        let said = || {
            let output = world.run(&[]);
            assert_eq!(output.status.code(), Some(1));
            String::from_utf8(output.stderr).unwrap()
        };

        let (first, second) = (said(), said());

        assert!(first.contains("error: hsm-pin-refused: "), "{first}");
        assert!(second.contains("error: hsm-pin-refused-before: "), "{second}");
        assert!(!first.contains("wrong-pin"), "{first}");
    });
}
