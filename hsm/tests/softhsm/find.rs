//! Keys are found by what they are: whatever labels, ids and public objects say (promise 6).

use cryptoki::object::Attribute;
use hsm::{FindKeyError, KeyPolicy, SignError, SigningService as _, TokenSigner};
use proptest::prelude::{Just, prop_oneof};
use proptest::strategy::Strategy as _;
use proptest::test_runner::{Config, TestRunner};
use support::softhsm::alone;
use support::test_name;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::signing::SigningKind;

use crate::fixture::{DEADLINE, RawPair, bytes, new_token, open, raw, raw_pair, recorded};

/// Labels and ids of the two halves of a pair.
type Names = (String, Vec<u8>, String, Vec<u8>);

/// Few of them, so that most are shared; some are empty.
fn names() -> impl proptest::strategy::Strategy<Value = Names> {
    let label = || prop_oneof![Just(String::new()), "[ab]", Just("issuing".to_owned())];
    let id = || prop_oneof![Just(Vec::new()), (0..3_u8).prop_map(|id| vec![id])];
    (label(), id(), label(), id())
}

/// KEY-09, promise 6: labels and ids of several keys, given anew at random, both halves apart. Each
/// key is found every time, and what it signs verifies.
#[test]
fn shuffled_labels_and_ids_never_select_a_wrong_key() {
    alone(test_name!(shuffled_labels_and_ids_never_select_a_wrong_key), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let token = open(softhsm, &name).unwrap();
        let session = raw(&name);
        let signer = TokenSigner::new(DEADLINE);
        let pairs: Vec<RawPair> = [
            KeyType::EcP256,
            KeyType::EcP256,
            KeyType::EcP256,
            KeyType::EcP384,
            KeyType::Ed25519,
            KeyType::Rsa { bits: 2048 },
        ]
        .into_iter()
        .map(|key_type| {
            let pair = raw_pair(&session, key_type, "issuing", &[1], &[]);
            signer.add(&token, &pair.key, KeyPolicy::issuing()).unwrap();
            pair
        })
        .collect();
        let cases = proptest::collection::vec(names(), pairs.len());

        let mut runner = TestRunner::new(Config { cases: 40, ..Config::default() });
        let shuffled = runner.run(&cases, |names| {
            for (pair, (public_label, public_id, label, id)) in pairs.iter().zip(names) {
                let attributes =
                    |label: String, id| [Attribute::Label(label.into()), Attribute::Id(id)];
                let (public, private) =
                    (attributes(public_label, public_id), attributes(label, id));
                session.update_attributes(pair.public, &public).unwrap();
                session.update_attributes(pair.private, &private).unwrap();
            }
            for pair in &pairs {
                signer.prove(&pair.key.spki_hash()).unwrap();
            }
            let (pending, input) = recorded(
                &pairs[0].key,
                SignatureAlgorithm::EcdsaP256Sha256,
                SigningKind::Certificate,
                bytes("certificate"),
            );
            pending.finish(signer.sign(&input).unwrap()).unwrap();
            Ok(())
        });

        shuffled.unwrap();
    });
}

/// Promise 6: EC keys of which the token tells nothing are found by their public keys, and by the
/// hash of them alone.
#[test]
fn finds_ec_keys_of_which_nothing_is_told() {
    alone(test_name!(finds_ec_keys_of_which_nothing_is_told), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let token = open(softhsm, &name).unwrap();
        let session = raw(&name);
        for key_type in [KeyType::EcP256, KeyType::EcP384] {
            let silent = raw_pair(&session, key_type, "silent", &[1], &[]);
            session.destroy_object(silent.public).unwrap();
            let other = raw_pair(&session, key_type, "other", &[2], &[]);
            session.destroy_object(other.public).unwrap();

            for key in [silent.key, other.key] {
                token.prove(&key).unwrap();
                assert_eq!(token.key_by_hash(key.spki_hash()).unwrap(), Some(key));
            }
        }
        let stranger = raw_pair(&session, KeyType::EcP256, "gone", &[3], &[]);
        session.destroy_object(stranger.private).unwrap();
        session.destroy_object(stranger.public).unwrap();
        assert_eq!(token.key_by_hash(stranger.key.spki_hash()).unwrap(), None);
    });
}

/// Promise 6: another key's public object under the id of a key neither makes that key the other one
/// nor keeps it from being found.
#[test]
fn a_strangers_public_object_neither_selects_a_key_nor_hides_it() {
    alone(test_name!(a_strangers_public_object_neither_selects_a_key_nor_hides_it), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let session = raw(&name);
        let own = raw_pair(&session, KeyType::EcP256, "issuing", &[1], &[]);
        let stranger = raw_pair(&session, KeyType::EcP256, "issuing", &[2], &[]);
        session.destroy_object(own.public).unwrap();
        session.update_attributes(stranger.public, &[Attribute::Id(vec![1])]).unwrap();
        let token = open(softhsm, &name).unwrap();

        token.prove(&own.key).unwrap();
        token.prove(&stranger.key).unwrap();

        session.destroy_object(stranger.private).unwrap();
        let token = open(softhsm, &name).unwrap();
        let refused = token.prove(&stranger.key).unwrap_err();
        let SignError::Key(FindKeyError::NotProven { name, key, .. }) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!((name.id(), *key), (&[1][..], stranger.key.spki_hash()));
        token.prove(&own.key).unwrap();
    });
}

/// Promise 6: a copy under another name is the same key, and one too many, also where only its
/// signatures tell.
#[test]
fn a_copy_is_named_beside_the_key_that_it_is_one_of() {
    alone(test_name!(a_copy_is_named_beside_the_key_that_it_is_one_of), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let session = raw(&name);
        let pair = raw_pair(&session, KeyType::EcP256, "issuing", &[1], &[]);
        let copy = [Attribute::Label("copy".into()), Attribute::Id(vec![9])];
        session.copy_object(pair.private, &copy).unwrap();
        session.destroy_object(pair.public).unwrap();

        let refused = open(softhsm, &name).unwrap().prove(&pair.key).unwrap_err();

        let SignError::Key(FindKeyError::Duplicate { names, .. }) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.iter().any(|name| name.contains("copy") && name.contains("09")), "{names:?}");
    });
}
