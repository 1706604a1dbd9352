//! Signing: every algorithm, many callers, and what is refused before a key is touched.

use std::fs;
use std::time::Duration;

use aws_lc_rs::digest;
use hsm::{
    KeyOrder, KeyPolicy, Removal, SignError, SignatureMayExist, SigningService as _, TokenSigner,
};
use support::softhsm::alone;
use support::test_name;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::signing::{SigningKind, Spool, ToBeSigned};

use crate::fixture::{DEADLINE, bytes, make_key, new_token, open, order, recorded};

/// `Pending::finish` verifies each under the public key.
#[test]
fn signs_with_every_algorithm() {
    alone(test_name!(signs_with_every_algorithm), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "issuing")).unwrap();
        let signer = TokenSigner::new(DEADLINE);
        for (key_type, algorithms) in [
            (KeyType::EcP256, &[SignatureAlgorithm::EcdsaP256Sha256][..]),
            (KeyType::EcP384, &[SignatureAlgorithm::EcdsaP384Sha384]),
            (KeyType::Ed25519, &[SignatureAlgorithm::Ed25519]),
            (
                KeyType::Rsa { bits: 3072 },
                &[
                    SignatureAlgorithm::RsaPkcs1Sha256,
                    SignatureAlgorithm::RsaPkcs1Sha384,
                    SignatureAlgorithm::RsaPkcs1Sha512,
                ],
            ),
        ] {
            let key = make_key(&token, key_type, &key_type.to_string());
            signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
            for algorithm in algorithms {
                let (pending, input) =
                    recorded(&key, *algorithm, SigningKind::Certificate, bytes("certificate"));
                pending.finish(signer.sign(&input).unwrap()).unwrap();
            }
        }
        assert_eq!(signer.keys().len(), 4);
    });
}

/// A proof for readiness is made anew: a key that is gone does not go on proving itself.
#[test]
fn a_key_proves_itself_while_its_token_has_it() {
    alone(test_name!(a_key_proves_itself_while_its_token_has_it), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "issuing")).unwrap();
        let signer = TokenSigner::new(DEADLINE);
        let order = KeyOrder { removal: Removal::Allowed, ..order(KeyType::EcP256, "one") };
        let key = token.generate_key(order, DEADLINE).unwrap();
        let code = || signer.prove(&key.spki_hash()).map_err(|error| error.code());
        assert_eq!(code(), Err("hsm-key-unknown"));
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        assert_eq!((code(), code()), (Ok(()), Ok(())));
        assert_eq!(signer.uses()[0].signatures, 0, "a proof is no signature of the service");

        token.destroy_key(&key).unwrap();

        assert_eq!(code(), Err("hsm-key-missing"));
    });
}

/// KEY-14: each signature is counted once, under its key.
#[test]
fn eight_threads_get_every_signature_right() {
    alone(test_name!(eight_threads_get_every_signature_right), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "issuing")).unwrap();
        let signer = TokenSigner::new(DEADLINE);
        let keys = ["one", "two"].map(|step| make_key(&token, KeyType::EcP256, step));
        for key in &keys {
            signer.add(&token, key, KeyPolicy::issuing()).unwrap();
        }

        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (signer, key) = (&signer, &keys[thread % 2]);
                scope.spawn(move || {
                    for number in 0..100 {
                        let text = format!("certificate {thread} {number}");
                        let (pending, input) = recorded(
                            key,
                            SignatureAlgorithm::EcdsaP256Sha256,
                            SigningKind::Certificate,
                            bytes(&text),
                        );
                        pending.finish(signer.sign(&input).unwrap()).unwrap();
                    }
                });
            }
        });

        let uses = signer.uses();
        assert!(uses.iter().all(|used| used.signatures == 400), "{uses:?}");
    });
}

fn spool(path: &std::path::Path, content: &[u8]) -> Spool {
    fs::write(path, content).unwrap();
    let sha256 = digest::digest(&digest::SHA256, content);
    let sha512 = digest::digest(&digest::SHA512, content);
    Spool {
        path: path.to_owned(),
        length: content.len() as u64,
        sha256: sha256.as_ref().try_into().unwrap(),
        message_digest: sha512.as_ref().to_vec(),
    }
}

/// Promise 1: the digest is taken again from the spool file, with the signature's own hash.
#[test]
fn signs_a_crl_from_its_spool_file_and_refuses_a_changed_one() {
    alone(test_name!(signs_a_crl_from_its_spool_file_and_refuses_a_changed_one), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "issuing")).unwrap();
        let signer = TokenSigner::new(DEADLINE);
        let key = make_key(&token, KeyType::Rsa { bits: 2048 }, "issuing");
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        let path = softhsm.state().join("crl");
        let content = vec![0x30; 200_000];
        let crl = || {
            let spool = ToBeSigned::Spool(spool(&path, &content));
            recorded(&key, SignatureAlgorithm::RsaPkcs1Sha512, SigningKind::Crl, spool)
        };

        let (pending, input) = crl();
        pending.finish(signer.sign(&input).unwrap()).unwrap();

        let (_, input) = crl();
        let mut changed = content.clone();
        changed[100_000] ^= 1;
        fs::write(&path, &changed).unwrap();
        let refused = signer.sign(&input).unwrap_err();
        assert!(matches!(refused, SignError::DigestMismatch { .. }), "{refused:?}");

        fs::write(&path, &content[1..]).unwrap();
        let refused = signer.sign(&input).unwrap_err();
        assert!(matches!(refused, SignError::SpoolLength { .. }), "{refused:?}");

        fs::remove_file(&path).unwrap();
        let refused = signer.sign(&input).unwrap_err();
        assert!(matches!(refused, SignError::Spool { .. }), "{refused:?}");
        assert_eq!(refused.signature_may_exist(), SignatureMayExist::No);
        assert_eq!(signer.uses()[0].signatures, 1);
    });
}

/// KEY-05: a delegate's key signs answers and nothing else, a CA's key no answers.
#[test]
fn refuses_what_the_keys_policy_does_not_allow() {
    alone(test_name!(refuses_what_the_keys_policy_does_not_allow), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "ocsp")).unwrap();
        let signer = TokenSigner::new(DEADLINE);
        let key = make_key(&token, KeyType::EcP256, "delegate");
        let kinds = [
            SigningKind::Certificate,
            SigningKind::Crl,
            SigningKind::OcspDelegate,
            SigningKind::OcspAnswer,
        ];
        for (policy, allowed) in
            [(KeyPolicy::answering(), &kinds[3..]), (KeyPolicy::issuing(), &kinds[..3])]
        {
            signer.add(&token, &key, policy).unwrap();
            for kind in kinds {
                let (_, input) =
                    recorded(&key, SignatureAlgorithm::EcdsaP256Sha256, kind, bytes("bytes"));
                let signed = signer.sign(&input);
                if allowed.contains(&kind) {
                    signed.unwrap();
                } else {
                    assert!(matches!(signed, Err(SignError::KindNotAllowed { .. })), "{kind:?}");
                }
            }
        }
    });
}

#[test]
fn refuses_a_key_that_was_not_added_or_was_removed() {
    alone(test_name!(refuses_a_key_that_was_not_added_or_was_removed), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "issuing")).unwrap();
        let signer = TokenSigner::new(DEADLINE);
        let key = make_key(&token, KeyType::EcP256, "key");
        let (_, input) = recorded(
            &key,
            SignatureAlgorithm::EcdsaP256Sha256,
            SigningKind::Certificate,
            bytes("certificate"),
        );

        assert!(matches!(signer.sign(&input), Err(SignError::UnknownKey { .. })));
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        signer.sign(&input).unwrap();
        signer.remove(&key.spki_hash());
        assert!(matches!(signer.sign(&input), Err(SignError::UnknownKey { .. })));
    });
}

/// KEY-09: a caller never waits past its deadline, and what was given up in the queue is not signed.
#[test]
fn callers_beyond_the_sessions_are_told_in_time() {
    alone(test_name!(callers_beyond_the_sessions_are_told_in_time), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "issuing")).unwrap();
        let key = make_key(&token, KeyType::Rsa { bits: 4096 }, "slow");
        let signer = TokenSigner::new(Duration::from_millis(40));
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();

        let refused: Vec<SignError> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..64)
                .map(|number| {
                    let (signer, key) = (&signer, &key);
                    scope.spawn(move || {
                        let (_, input) = recorded(
                            key,
                            SignatureAlgorithm::RsaPkcs1Sha256,
                            SigningKind::Certificate,
                            bytes(&format!("certificate {number}")),
                        );
                        let begun = std::time::Instant::now();
                        let signed = signer.sign(&input);
                        assert!(begun.elapsed() < Duration::from_secs(5));
                        signed.err()
                    })
                })
                .collect();
            callers.into_iter().filter_map(|caller| caller.join().unwrap()).collect()
        });

        assert!(!refused.is_empty());
        for error in refused {
            match error {
                SignError::Busy { .. } => {
                    assert_eq!(error.signature_may_exist(), SignatureMayExist::No);
                }
                SignError::Unanswered { .. } => {
                    assert_eq!(error.signature_may_exist(), SignatureMayExist::Perhaps);
                }
                other => panic!("{other:?}"),
            }
        }
    });
}
