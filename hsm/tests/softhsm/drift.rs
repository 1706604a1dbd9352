//! A key that is not what it was: refused at its next proof, on every session.

use cryptoki::object::Attribute;
use hsm::{FindKeyError, KeyPolicy, KeyRefused, SignError, SigningService as _, TokenSigner};
use support::softhsm::alone;
use support::test_name;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::signing::SigningKind;

use crate::fixture::{DEADLINE, bytes, new_token, open, raw, raw_pair, recorded};

fn refused(result: Result<(), SignError>) -> KeyRefused {
    match result {
        Err(SignError::Key(FindKeyError::Refused { source, .. })) => source,
        other => panic!("{other:?}"),
    }
}

fn sign(signer: &TokenSigner, key: &PublicKey) -> Result<(), SignError> {
    let (pending, input) = recorded(
        key,
        SignatureAlgorithm::EcdsaP256Sha256,
        SigningKind::Certificate,
        bytes("certificate"),
    );
    pending.finish(signer.sign(&input)?).unwrap();
    Ok(())
}

/// KEY-03: asserted anew at every proof; what was proven on other sessions before counts no more.
#[test]
fn a_key_whose_attributes_changed_is_refused_on_every_session() {
    alone(test_name!(a_key_whose_attributes_changed_is_refused_on_every_session), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let session = raw(&name);
        let pair = raw_pair(&session, KeyType::EcP256, "issuing", &[1], &[]);
        let signer = TokenSigner::new(DEADLINE);
        signer.add(&open(softhsm, &name).unwrap(), &pair.key, KeyPolicy::issuing()).unwrap();
        for _ in 0..12 {
            sign(&signer, &pair.key).unwrap();
        }
        session.update_attributes(pair.private, &[Attribute::Derive(true)]).unwrap();

        let proof = refused(signer.prove(&pair.key.spki_hash()));

        assert_eq!((proof.attribute(), proof.found()), ("CKA_DERIVE", "true"));
        for _ in 0..12 {
            assert_eq!(refused(sign(&signer, &pair.key)), proof);
        }
        session.update_attributes(pair.private, &[Attribute::Derive(false)]).unwrap();
        signer.prove(&pair.key.spki_hash()).unwrap();
        sign(&signer, &pair.key).unwrap();
    });
}

/// KEY-07: a key that was made long before is judged when it is taken into use, as a new one is.
#[test]
fn a_key_made_long_before_is_judged_when_it_is_taken_into_use() {
    alone(test_name!(a_key_made_long_before_is_judged_when_it_is_taken_into_use), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let session = raw(&name);
        let fit = raw_pair(&session, KeyType::EcP256, "2030", &[1], &[]);
        let unfit = raw_pair(&session, KeyType::EcP256, "2031", &[2], &[]);
        session.update_attributes(unfit.private, &[Attribute::SignRecover(true)]).unwrap();
        let signer = TokenSigner::new(DEADLINE);
        let token = open(softhsm, &name).unwrap();

        signer.add(&token, &fit.key, KeyPolicy::issuing()).unwrap();
        let refused = refused(signer.add(&token, &unfit.key, KeyPolicy::issuing()));

        assert_eq!(refused.attribute(), "CKA_SIGN_RECOVER");
        assert_eq!(refused.name().label(), "2031");
    });
}

/// A label or an id selects nothing, so that a change of them stops nothing.
#[test]
fn a_key_that_was_renamed_signs_on() {
    alone(test_name!(a_key_that_was_renamed_signs_on), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let session = raw(&name);
        let pair = raw_pair(&session, KeyType::EcP256, "issuing", &[1], &[]);
        let signer = TokenSigner::new(DEADLINE);
        signer.add(&open(softhsm, &name).unwrap(), &pair.key, KeyPolicy::issuing()).unwrap();
        let renamed = [Attribute::Label("other".into()), Attribute::Id(vec![7])];
        session.update_attributes(pair.private, &renamed).unwrap();

        signer.prove(&pair.key.spki_hash()).unwrap();

        sign(&signer, &pair.key).unwrap();
    });
}
