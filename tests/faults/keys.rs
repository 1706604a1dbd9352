//! Keys: found by what they are, whatever the token tells of them.

use hsm::{FindKeyError, KeyPolicy, Removal, SignError, TokenSigner};
use support::laboratory::{Counter, Fate};
use support::softhsm::alone;
use support::test_name;
use x509::key::{KeyType, PublicKey};

use crate::fixture::{Bench, DEADLINE, Unsigned, input_of, make_key};

const SHUFFLED: &str = "[[attribute]]\ntype = \"CKA_LABEL\"\nof-next = true\n\
                        [[attribute]]\ntype = \"CKA_ID\"\nof-next = true\n";

fn hidden(class: &str) -> String {
    format!("[[hide]]\nclass = \"{class}\"\n")
}

/// Promise 6: labels and ids of the keys are each other's; each key signs as itself or not at all.
#[test]
fn shuffled_labels_and_ids_select_no_wrong_key() {
    alone(test_name!(shuffled_labels_and_ids_select_no_wrong_key), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(2).unwrap();
        let keys: Vec<PublicKey> = ["one", "two", "three"]
            .map(|step| make_key(&token, KeyType::EcP256, step, Removal::Forbidden))
            .into();
        drop(token);
        // Ids may lead to other keys' public objects: such a key is told to be another, fails its
        // proof, and is named. Labels lead nowhere.
        let labels = "[[attribute]]\ntype = \"CKA_LABEL\"\nof-next = true\n".to_owned();
        let of_private = SHUFFLED.replace("]]\n", "]]\nclass = \"private\"\n");
        for (script, told_wrongly) in [
            (labels, false),
            (SHUFFLED.to_owned(), true),
            (of_private, true),
            (String::new(), false),
        ] {
            bench.laboratory.disturb(&script);
            let token = bench.open(2).unwrap();
            for key in &keys {
                match TokenSigner::new(DEADLINE).add(&token, key, KeyPolicy::issuing()) {
                    Ok(()) => {}
                    Err(SignError::Key(FindKeyError::NotProven { .. })) if told_wrongly => {}
                    Err(other) => panic!("{script}\n{other:?}"),
                }
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

/// Promise 6: two private keys that tell the same public value are named, and neither is used.
#[test]
fn a_key_that_is_told_twice_is_named_and_not_used() {
    alone(test_name!(a_key_that_is_told_twice_is_named_and_not_used), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(1).unwrap();
        let [one, _two] =
            ["one", "two"].map(|step| make_key(&token, KeyType::EcP256, step, Removal::Forbidden));
        drop(token);
        // Both private objects have the id that leads to the first one's public object.
        let id = hsm::KeyId::of_step(&[7; 32], "one");
        bench.laboratory.disturb(&format!(
            "[[attribute]]\nclass = \"private\"\ntype = \"CKA_ID\"\nvalue = \"0x{id}\"\n\
             [[attribute]]\nclass = \"private\"\ntype = \"CKA_EC_POINT\"\nhidden = true\n"
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
