//! Signing: every algorithm, many callers, and what is refused before a key is touched.

use std::fs;
use std::time::Duration;

use aws_lc_rs::digest;
use cryptoki::context::Pkcs11;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType};
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use hsm::token::TokenName;
use hsm::{
    EcdsaInput, KeyOrder, KeyPolicy, Quirks, Removal, SignError, SignatureMayExist,
    SigningService as _, Token, TokenSettings, TokenSigner,
};
use support::softhsm::{MODULE, alone};
use support::test_name;
use x509::crl::MAX_WHOLE_OCTETS;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::signing::{SigningKind, Spool, ToBeSigned};

use crate::fixture::{
    DEADLINE, USER_PIN, bytes, make_key, module, new_token, open, order, recorded, settings,
};

/// KEY-11: every type of key with every algorithm that fits it; `Pending::finish` verifies each under
/// the public key, and each key has proven itself when it was added.
#[test]
fn signs_with_every_algorithm() {
    alone(test_name!(signs_with_every_algorithm), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "issuing")).unwrap();
        let signer = TokenSigner::new(DEADLINE);
        let rsa = [2048, 3072, 4096].map(|bits| KeyType::Rsa { bits });
        let mut signatures = 0;
        for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519].into_iter().chain(rsa)
        {
            let key = make_key(&token, key_type, &key_type.to_string());
            signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
            for algorithm in SignatureAlgorithm::ALL.into_iter().filter(|it| it.fits(key_type)) {
                let (pending, input) =
                    recorded(&key, algorithm, SigningKind::Certificate, bytes("certificate"));
                pending.finish(signer.sign(&input).unwrap()).unwrap();
                signatures += 1;
            }
        }
        assert_eq!((signer.keys().len(), signatures), (6, 3 + 3 * 6));
    });
}

/// Made by nobody's code but the binding's: ours allows both paddings.
fn make_key_for_pss_alone(name: &TokenName) -> PublicKey {
    let module = Pkcs11::new(MODULE).unwrap();
    let is_it = |slot: &Slot| module.get_token_info(*slot).unwrap().label() == name.label.as_str();
    let slot = module.get_slots_with_token().unwrap().into_iter().find(is_it).unwrap();
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(USER_PIN.into()))).unwrap();
    let public =
        [Attribute::Token(true), Attribute::Verify(true), Attribute::ModulusBits(2048.into())];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::SignRecover(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::AllowedMechanisms(vec![MechanismType::RSA_PKCS_PSS]),
    ];
    let (public, _) =
        session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private).unwrap();
    let value = |kind| match session.get_attributes(public, &[kind]).unwrap().remove(0) {
        Attribute::Modulus(octets) | Attribute::PublicExponent(octets) => octets,
        other => panic!("{other:?}"),
    };
    let (modulus, exponent) = (value(AttributeType::Modulus), value(AttributeType::PublicExponent));
    PublicKey::from_rsa_parts(&modulus, &exponent).unwrap()
}

/// KEY-11: a key that may be used for PSS alone proves itself by PSS, and a PKCS#1 v1.5 signature is
/// refused by the token.
#[test]
fn a_key_for_pss_alone_proves_itself_and_signs_by_pss() {
    alone(test_name!(a_key_for_pss_alone_proves_itself_and_signs_by_pss), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let key = make_key_for_pss_alone(&name);
        let token = open(softhsm, &name).unwrap();
        let signer = TokenSigner::new(DEADLINE);

        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();

        let sign = |algorithm| {
            let (pending, input) =
                recorded(&key, algorithm, SigningKind::Certificate, bytes("certificate"));
            signer.sign(&input).map(|signature| pending.finish(signature).unwrap())
        };
        sign(SignatureAlgorithm::RsaPssSha256).unwrap();
        sign(SignatureAlgorithm::RsaPssSha512).unwrap();
        let refused = sign(SignatureAlgorithm::RsaPkcs1Sha256).unwrap_err();
        assert!(matches!(refused, SignError::Device(_)), "{refused:?}");
    });
}

/// KEY-11: the quirk says what the token is given. SoftHSM knows no `CKM_ECDSA_SHA256`, and says so;
/// RSA and Ed25519 keys of the same token do not feel it.
#[test]
fn a_token_that_hashes_itself_is_asked_by_that_mechanism() {
    alone(test_name!(a_token_that_hashes_itself_is_asked_by_that_mechanism), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let quirks = Quirks { ecdsa: EcdsaInput::Hashed, ..Quirks::default() };
        let hashing = TokenSettings { quirks, ..settings(softhsm, &name, USER_PIN) };
        let usual = open(softhsm, &name).unwrap();
        let ec = make_key(&usual, KeyType::EcP384, "ec");
        let ed = make_key(&usual, KeyType::Ed25519, "ed");
        drop(usual);
        let token = Token::open(&module(), hashing).unwrap();
        let signer = TokenSigner::new(DEADLINE);
        for key in [&ec, &ed] {
            signer.add(&token, key, KeyPolicy::issuing()).unwrap();
        }

        let sign = |key, algorithm| {
            let (_, input) = recorded(key, algorithm, SigningKind::Certificate, bytes("message"));
            signer.sign(&input).map(|_| ())
        };
        let refused = sign(&ec, SignatureAlgorithm::EcdsaP384Sha384).unwrap_err();
        let SignError::Device(failure) = refused else { panic!("{refused:?}") };
        assert!(format!("{failure}").contains("MECHANISM_INVALID"), "{failure}");
        sign(&ed, SignatureAlgorithm::Ed25519).unwrap();

        // A spool file is read whole, as far as it may be.
        let path = softhsm.state().join("crl");
        let spooled = |length| {
            let spool = Spool { length, ..spool(&path, &[0x30; 1000]) };
            let algorithm = SignatureAlgorithm::EcdsaP384Sha384;
            let (_, input) = recorded(&ec, algorithm, SigningKind::Crl, ToBeSigned::Spool(spool));
            signer.sign(&input).unwrap_err().code()
        };
        let codes = [1000, 999, MAX_WHOLE_OCTETS + 1].map(spooled);
        assert_eq!(codes, ["hsm-sign", "hsm-spool-length", "hsm-spool-whole"]);
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
                        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
                        signed.err()
                    })
                })
                .collect();
            callers.into_iter().filter_map(|caller| caller.join().unwrap()).collect()
        });

        assert!(!refused.is_empty());
        for error in refused {
            match error {
                // No session came free, or the key was still looked for on it.
                SignError::Busy { .. } | SignError::Stalled { .. } => {
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
