//! Keys: found by what they are, whatever the token tells of them.

use std::thread;
use std::time::{Duration, Instant};

use hsm::{
    EcdsaInput, FindKeyError, Half, KeyPolicy, KeyProof, Proofs, Quirks, Removal, SignError,
    SigningService as _, Token, TokenSettings, TokenSigner,
};
use support::demo::until;
use support::laboratory::{Counter, Fate, Function};
use support::softhsm::alone;
use support::test_name;
use x509::key::{KeyType, PublicKey};

use crate::fixture::{Bench, DEADLINE, Unsigned, input_of, make_key, sign_with};

const SHUFFLED: &str = "[[attribute]]\ntype = \"CKA_LABEL\"\nof-next = true\n\
                        [[attribute]]\ntype = \"CKA_ID\"\nof-next = true\n";

fn hidden(class: &str) -> String {
    format!("[[hide]]\nclass = \"{class}\"\n")
}

/// Promise 6: labels and ids of the keys are each other's; each key is found and signs as itself.
#[test]
fn shuffled_labels_and_ids_select_no_wrong_key() {
    alone(test_name!(shuffled_labels_and_ids_select_no_wrong_key), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(2).unwrap();
        let keys: Vec<PublicKey> = ["one", "two", "three"]
            .map(|step| make_key(&token, KeyType::EcP256, step, Removal::Forbidden))
            .into();
        drop(token);
        let labels = "[[attribute]]\ntype = \"CKA_LABEL\"\nof-next = true\n".to_owned();
        let of_private = SHUFFLED.replace("]]\n", "]]\nclass = \"private\"\n");
        for script in [labels, SHUFFLED.to_owned(), of_private, String::new()] {
            bench.laboratory.disturb(&script);
            let token = bench.open(2).unwrap();
            for key in &keys {
                TokenSigner::new(DEADLINE)
                    .add(&token, key, KeyPolicy::issuing())
                    .unwrap_or_else(|error| panic!("{script}\n{error:?}"));
            }
        }
        for key in &keys {
            let proof = input_of(&hsm::proof_text(key));
            let signed = bench.laboratory.signed();
            assert!(signed.iter().any(|signed| signed.is_over(&proof)));
        }
    });
}

/// KEY-09: a token without public objects tells nothing; the key is found by what it signs.
#[test]
fn a_key_without_its_public_object_is_found_by_signing() {
    alone(test_name!(a_key_without_its_public_object_is_found_by_signing), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(1).unwrap();
        let [wanted, _other] = ["wanted", "other"]
            .map(|step| make_key(&token, KeyType::EcP256, step, Removal::Forbidden));
        let rsa = make_key(&token, KeyType::Rsa { bits: 2048 }, "rsa", Removal::Forbidden);
        drop(token);
        bench.laboratory.disturb(&format!(
            "{}[[attribute]]\nclass = \"private\"\ntype = \"CKA_EC_POINT\"\nhidden = true\n\
             [[attribute]]\nclass = \"private\"\ntype = \"CKA_PUBLIC_KEY_INFO\"\nhidden = true\n\
             [[attribute]]\nclass = \"private\"\ntype = \"CKA_MODULUS\"\nhidden = true\n",
            hidden("public")
        ));

        let token = bench.open(1).unwrap();

        token.prove(&wanted).unwrap();
        token.prove(&rsa).unwrap();
    });
}

/// KEY-09: one key of a token is gone and another is there. The token is not taken for lost, so that a
/// minute of it costs the other key's sessions and the PIN little.
#[test]
fn a_key_that_is_gone_takes_no_other_keys_sessions() {
    alone(test_name!(a_key_that_is_gone_takes_no_other_keys_sessions), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(2).unwrap();
        let [gone, stays] = ["gone", "stays"]
            .map(|step| make_key(&token, KeyType::EcP256, step, Removal::Forbidden));
        let signer = TokenSigner::new(Duration::from_secs(5));
        for key in [&gone, &stays] {
            signer.add(&token, key, KeyPolicy::issuing()).unwrap();
        }
        let before = bench.laboratory.counted();
        bench.laboratory.disturb(
            "[[hide]]\nlabel = \"gone\"\n\
             [[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"drop-sessions\"\n",
        );
        let sign = |key: &PublicKey, text: &str| sign_with(key, text, |input| signer.sign(input));

        let began = Instant::now();
        let mut signed = 0;
        while began.elapsed() < Duration::from_secs(15) {
            assert!(sign(&gone, "by the one that is gone").is_err());
            signed += u32::from(sign(&stays, "by the one that stays").is_ok());
            thread::sleep(Duration::from_millis(100));
        }

        let after = bench.laboratory.counted();
        let spent = |function| after.calls(function) - before.calls(function);
        println!("measured: logins = {}, signatures = {signed}", spent(Function::Login));
        assert!(spent(Function::Initialize) <= 5, "{}", spent(Function::Initialize));
        assert!(spent(Function::Login) <= 6, "{}", spent(Function::Login));
        assert!(sign(&stays, "afterwards").is_ok());
        bench.laboratory.calm();
        let back = until(Duration::from_secs(30), || sign(&gone, "it is back").ok());
        assert!(back.is_some());
    });
}

/// KEY-07: a token that tells as little as it may, and one that lies: what each key is shows when it signs.
#[test]
fn an_inventory_names_keys_of_which_nothing_or_another_thing_is_told() {
    alone(
        test_name!(an_inventory_names_keys_of_which_nothing_or_another_thing_is_told),
        |softhsm| {
            let bench = Bench::new(softhsm);
            let token = bench.open(1).unwrap();
            let [p256, p384, rsa] = [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa { bits: 2048 }]
                .map(|key_type| {
                    make_key(&token, key_type, &key_type.to_string(), Removal::Forbidden)
                });
            drop(token);
            let silent = ["CKA_EC_POINT", "CKA_PUBLIC_KEY_INFO", "CKA_PUBLIC_EXPONENT"].map(
                |attribute| {
                    format!(
                        "[[attribute]]\nclass = \"private\"\ntype = \"{attribute}\"\nhidden = true\n"
                    )
                },
            );
            bench.laboratory.disturb(&format!("{}{}", hidden("public"), silent.concat()));
            let token = bench.open(1).unwrap();

            let holdings = token.holdings(Proofs::Every, DEADLINE).unwrap();

            let halves: Vec<&Half> = holdings.iter().map(|holding| &holding.public).collect();
            let [own_p256, own_p384, own_rsa] =
                [Half::Recovered(p256.clone()), Half::Recovered(p384), Half::Assumed(rsa.clone())];
            assert_eq!(halves, [&own_p256, &own_p384, &own_rsa]);
            assert!(
                holdings.iter().all(|holding| holding.proof == KeyProof::Proven),
                "{holdings:?}"
            );
            token.prove(&rsa).unwrap();
            assert_eq!(token.key_by_hash(p256.spki_hash()).unwrap(), Some(p256.clone()));

            // The P-256 key is told to be the curve's generator: it shows what it is.
            bench.laboratory.disturb(&format!(
                "[[attribute]]\nclass = \"private\"\nlabel = \"{}\"\ntype = \"CKA_EC_POINT\"\nvalue = \"0x{}\"\n",
                KeyType::EcP256,
                "0441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                 4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
            ));
            let told = bench.open(1).unwrap().holdings(Proofs::Every, DEADLINE).unwrap();
            assert!(matches!(told[0].proof, KeyProof::Refuted { told: Some(_) }), "{:?}", told[0]);
            assert_eq!(told[0].public, Half::Recovered(p256));
        },
    );
}

/// Promise 6: two private keys that tell the same public value are named, and neither is used.
#[test]
fn a_key_that_is_told_twice_is_named_and_not_used() {
    alone(test_name!(a_key_that_is_told_twice_is_named_and_not_used), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(1).unwrap();
        let [one, _two] =
            ["one", "two"].map(|step| make_key(&token, KeyType::EcP256, step, Removal::Forbidden));
        drop(token);
        // The point of an uncompressed P-256 key ends its SubjectPublicKeyInfo: 65 octets.
        let point: String = one
            .spki_der()
            .iter()
            .rev()
            .take(65)
            .rev()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        bench.laboratory.disturb(&format!(
            "[[attribute]]\nclass = \"private\"\ntype = \"CKA_EC_POINT\"\nvalue = \"0x0441{point}\"\n"
        ));
        let before = bench.laboratory.counted().of(Counter::Signatures);

        let refused = bench.open(1).unwrap().prove(&one).unwrap_err();

        let SignError::Key(FindKeyError::Duplicate { names, .. }) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(names.len(), 2);
        assert_eq!(bench.laboratory.counted().of(Counter::Signatures), before);
    });
}

/// Promise 6: two private keys with the id of one public object; that which signs as it is used.
#[test]
fn an_id_that_two_keys_have_selects_neither() {
    alone(test_name!(an_id_that_two_keys_have_selects_neither), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(1).unwrap();
        let [one, two] =
            ["one", "two"].map(|step| make_key(&token, KeyType::EcP256, step, Removal::Forbidden));
        drop(token);
        let id = hsm::KeyId::of_step(&[7; 32], "one");
        bench.laboratory.disturb(&format!(
            "[[attribute]]\nclass = \"private\"\ntype = \"CKA_ID\"\nvalue = \"0x{id}\"\n\
             [[attribute]]\nclass = \"private\"\ntype = \"CKA_EC_POINT\"\nhidden = true\n"
        ));

        let token = bench.open(1).unwrap();

        token.prove(&one).unwrap();
        token.prove(&two).unwrap();
    });
}

/// KEY-03: a key that the token calls extractable is not used.
#[test]
fn a_key_that_is_told_extractable_is_not_used() {
    alone(test_name!(a_key_that_is_told_extractable_is_not_used), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(1).unwrap();
        let key = make_key(&token, KeyType::EcP256, "leaky", Removal::Forbidden);
        drop(token);
        bench.laboratory.disturb(
            "[[attribute]]\nclass = \"private\"\ntype = \"CKA_EXTRACTABLE\"\nvalue = true\n",
        );

        let refused = bench.open(1).unwrap().prove(&key).unwrap_err();

        let SignError::Key(FindKeyError::Refused { source, .. }) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(source.attribute(), "CKA_EXTRACTABLE");
    });
}

/// KEY-10: a signature with a bit turned round, or by another key, is released to nobody.
#[test]
fn a_spoiled_signature_is_released_to_nobody() {
    alone(test_name!(a_spoiled_signature_is_released_to_nobody), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(1);
        make_key(&signing.token, KeyType::EcP256, "other", Removal::Forbidden);
        for (number, fault) in [
            "function = \"C_Sign\"\nasks = \"value\"\nflip-bit = 0",
            "function = \"C_Sign\"\nasks = \"value\"\nflip-bit = 511",
            "function = \"C_SignInit\"\ndo = \"other-key\"",
        ]
        .iter()
        .enumerate()
        {
            bench.laboratory.disturb(&format!("[[fault]]\n{fault}\n"));
            let refused = signing.sign(&format!("spoiled {number}"));
            assert!(refused.is_err(), "{fault}");
            if let Err(Unsigned::Refused(error)) = &refused {
                let perhaps = hsm::SignatureMayExist::Perhaps;
                assert_eq!(error.signature_may_exist(), perhaps, "{fault}: {error:?}");
            }
            bench.laboratory.calm();
            signing.sign(&format!("sound {number}")).unwrap();
        }
        let signed = bench.laboratory.signed();
        let spoiled = signed.iter().filter(|signed| signed.fate == Fate::Spoiled).count();
        assert_eq!(spoiled, 3, "each was signed once and not again");
    });
}

/// What a link that breaks says, not one code of which is of an attribute.
const BROKEN: [&str; 4] =
    ["CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED", "CKR_KEY_HANDLE_INVALID", "0x80000023"];

fn at(function: &str, calls: &str, result: &str) -> String {
    let result = match result.strip_prefix("0x") {
        Some(_) => result.to_owned(),
        None => format!("\"{result}\""),
    };
    format!("[[fault]]\nfunction = \"{function}\"\ncalls = \"{calls}\"\nresult = {result}\n")
}

/// KEY-07, KEY-09: a link that breaks at any place of what a token tells makes no key another one, has no
/// other key sign a proof, and puts nothing into an inventory that is not so.
#[test]
fn a_link_that_breaks_while_a_token_tells_of_its_keys_changes_no_key() {
    alone(
        test_name!(a_link_that_breaks_while_a_token_tells_of_its_keys_changes_no_key),
        |softhsm| {
            let bench = Bench::new(softhsm);
            let token = bench.open(1).unwrap();
            let [one, _two, _three] = ["one", "two", "three"]
                .map(|step| make_key(&token, KeyType::EcP256, step, Removal::Forbidden));
            let signer = TokenSigner::new(DEADLINE);
            signer.add(&token, &one, KeyPolicy::issuing()).unwrap();
            let reads = || bench.laboratory.counted().calls(Function::GetAttributeValue);
            let held = || format!("{:?}", token.holdings(Proofs::None, DEADLINE).unwrap());
            let (begun, hash) = (reads(), one.spki_hash());
            signer.prove(&hash).unwrap();
            let of_proof = reads() - begun;
            let right = held();
            let of_inventory = reads() - begun - of_proof;
            assert!(of_proof > 10 && of_inventory > of_proof, "{of_proof} {of_inventory}");

            let proof = input_of(&hsm::proof_text(&one));
            for result in BROKEN {
                for call in 1..=of_proof {
                    let before = bench.laboratory.signed().len();
                    bench.laboratory.disturb(&at("C_GetAttributeValue", &call.to_string(), result));
                    let proven = signer.prove(&hash);
                    assert!(proven.is_ok(), "{result} {call}: {proven:?}");
                    let signed = bench.laboratory.signed();
                    assert!(signed.iter().skip(before).all(|one| one.is_over(&proof)));
                    // Itself, and once more where the link broke after that.
                    assert!(signed.len() <= before + 2, "{result} {call}: other keys signed");
                }
            }
            for call in 1..=of_inventory {
                let result = BROKEN[usize::try_from(call).unwrap() % BROKEN.len()];
                bench.laboratory.disturb(&at("C_GetAttributeValue", &call.to_string(), result));
                assert_eq!(held(), right, "{result} {call}");
            }
        },
    );
}

/// KEY-07: a proof that a broken link ended says nothing of the key; one that is refused again does.
#[test]
fn an_inventory_tells_a_broken_link_from_a_key_that_does_not_sign() {
    alone(test_name!(an_inventory_tells_a_broken_link_from_a_key_that_does_not_sign), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(1).unwrap();
        make_key(&token, KeyType::EcP256, "one", Removal::Forbidden);
        let reads = || bench.laboratory.counted().calls(Function::GetAttributeValue);
        let proof = |token: &Token| {
            let holdings = token.holdings(Proofs::Every, DEADLINE).unwrap();
            holdings.into_iter().next().unwrap().proof
        };
        // C_Sign ends its operation whatever it says.
        for (function, passed) in
            [("C_SignInit", ""), ("C_Sign", "asks = \"value\"\npassed = true\n")]
        {
            let refusing = |calls, result| format!("{}{passed}", at(function, calls, result));
            for result in BROKEN {
                bench.laboratory.disturb(&refusing("1", result));
                assert_eq!(proof(&token), KeyProof::Proven, "{function} {result}");
            }
            bench.laboratory.disturb(&refusing("all", "CKR_GENERAL_ERROR"));
            let refused = proof(&token);
            assert!(matches!(refused, KeyProof::Refused(_)), "{function} {refused:?}");
            // Away for good: no record is better than one in which the key does not sign.
            let begun = reads();
            token.holdings(Proofs::None, DEADLINE).unwrap();
            let from = format!("{}-", reads() - begun + 1);
            bench.laboratory.disturb(&format!(
                "{}{}",
                at(function, "all", "CKR_GENERAL_ERROR"),
                at("C_GetAttributeValue", &from, "CKR_GENERAL_ERROR"),
            ));
            let error = token.holdings(Proofs::Every, DEADLINE).unwrap_err();
            assert!(matches!(error, SignError::Device(_)), "{function} {error:?}");
            bench.laboratory.calm();
        }
    });
}

/// KEY-01, promise 6: a token that takes a digest and signs another thing, which its probe has found, is
/// given messages, also when a key proves itself and when it is named by what it signs.
#[test]
fn a_token_that_signs_digests_wrongly_proves_its_keys_by_messages() {
    alone(test_name!(a_token_that_signs_digests_wrongly_proves_its_keys_by_messages), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(1).unwrap();
        let key = make_key(&token, KeyType::EcP256, "one", Removal::Forbidden);
        drop(token);
        let wrong = "[mechanisms]\necdsa = \"both\"\nspoil = [\"CKM_ECDSA\"]\n";
        bench.laboratory.disturb(wrong);
        let refused = bench.open(1).unwrap().prove(&key).unwrap_err();
        assert!(matches!(refused, SignError::Key(FindKeyError::NotProven { .. })), "{refused:?}");

        let quirks = Quirks { ecdsa: EcdsaInput::Hashed, ..Quirks::default() };
        let settings = || TokenSettings { quirks: quirks.clone(), ..bench.settings(1) };
        let signing = bench.signing_by(settings());
        signing.sign("certificate").unwrap();
        signing.token.prove(&key).unwrap();
        let holdings = signing.token.holdings(Proofs::Every, DEADLINE).unwrap();
        assert_eq!(holdings[0].proof, KeyProof::Proven);

        bench.laboratory.disturb(&format!(
            "{wrong}{}[[attribute]]\nclass = \"private\"\ntype = \"CKA_EC_POINT\"\nhidden = true\n",
            hidden("public")
        ));
        let found = signing.token.key_by_hash(key.spki_hash()).unwrap();
        assert_eq!(found, Some(key));
    });
}
