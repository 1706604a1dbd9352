//! What an inventory reads from a token.

use std::process::Command;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, CertificateType, KeyType as DeviceKeyType, ObjectClass};
use hsm::{AttributeValue, Half, Holding, KeyProof, ObjectKind, Proofs, Token};
use support::softhsm::{SoftHsm, alone};
use support::test_name;
use x509::key::{KeyType, PublicKey};

use crate::fixture::{DEADLINE, make_key, new_token, open, raw, raw_pair};

fn holdings(token: &Token, proofs: Proofs) -> Vec<Holding> {
    token.holdings(proofs, DEADLINE).unwrap()
}

fn private<'a>(holdings: &'a [Holding], label: &str) -> &'a Holding {
    holdings
        .iter()
        .find(|holding| holding.kind == ObjectKind::PrivateKey && holding.name.label() == label)
        .unwrap()
}

/// KEY-03: keys of ours of every type, with all that is told of them and nothing wrong.
#[test]
fn keys_of_ours_are_read_with_their_attributes() {
    alone(test_name!(keys_of_ours_are_read_with_their_attributes), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "issuing")).unwrap();
        for (key_type, mechanism) in [
            (KeyType::EcP256, "CKM_EC_KEY_PAIR_GEN"),
            (KeyType::EcP384, "CKM_EC_KEY_PAIR_GEN"),
            (KeyType::Ed25519, "CKM_EC_EDWARDS_KEY_PAIR_GEN"),
            (KeyType::Rsa { bits: 2048 }, "CKM_RSA_PKCS_KEY_PAIR_GEN"),
        ] {
            let step = key_type.to_string();
            let key = make_key(&token, key_type, &step);

            for proofs in [Proofs::None, Proofs::Every] {
                let all = holdings(&token, proofs);
                let holding = private(&all, &step);

                assert_eq!(holding.key_type, step);
                assert_eq!(holding.public.key(), Some(&key), "{:?}", holding.public);
                assert!(holding.refusals.is_empty(), "{:?}", holding.refusals);
                let proven = proofs == Proofs::Every;
                let proof = if proven { KeyProof::Proven } else { KeyProof::NotAsked };
                assert_eq!(holding.proof, proof);
                let told = |name| holding.attributes.value(name).map(ToString::to_string);
                assert_eq!(told("CKA_KEY_GEN_MECHANISM").as_deref(), Some(mechanism));
                assert_eq!(told("CKA_MODIFIABLE").as_deref(), Some("false"));
                assert_eq!(told("CKA_DESTROYABLE").as_deref(), Some("false"));
                assert_eq!(told("CKA_NEVER_EXTRACTABLE").as_deref(), Some("true"));
                let publics = all.iter().filter(|holding| {
                    holding.kind == ObjectKind::PublicKey && holding.public.key() == Some(&key)
                });
                assert_eq!(publics.count(), 1);
            }
        }
        assert_eq!(holdings(&token, Proofs::None).len(), 8);
    });
}

/// Promise 6: what is told of nowhere is unknown, until a proof names it.
#[test]
fn an_ec_key_of_which_nothing_is_told_is_named_by_a_proof() {
    alone(test_name!(an_ec_key_of_which_nothing_is_told_is_named_by_a_proof), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let session = raw(&name);
        let token = open(softhsm, &name).unwrap();
        for (key_type, label) in [(KeyType::EcP256, "one"), (KeyType::EcP384, "two")] {
            let pair = raw_pair(&session, key_type, label, &[1], &[]);
            session.destroy_object(pair.public).unwrap();

            let told = holdings(&token, Proofs::None);
            let proven = holdings(&token, Proofs::Every);

            assert_eq!(private(&told, label).public, Half::Unknown);
            assert_eq!(private(&told, label).key_type, key_type.to_string());
            assert_eq!(private(&proven, label).public, Half::Recovered(pair.key));
            assert_eq!(private(&proven, label).proof, KeyProof::Proven);
        }
        let edwards = raw_pair(&session, KeyType::Ed25519, "three", &[3], &[]);
        session.destroy_object(edwards.public).unwrap();
        let proven = holdings(&token, Proofs::Every);
        assert_eq!(private(&proven, "three").public, Half::Unknown);
        assert_eq!(private(&proven, "three").proof, KeyProof::NothingToProve);
    });
}

/// Promise 6: a stranger's public object under a key's id is told, and a proof refutes it.
#[test]
fn a_strangers_public_object_is_refuted_by_a_proof() {
    alone(test_name!(a_strangers_public_object_is_refuted_by_a_proof), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let session = raw(&name);
        let own = raw_pair(&session, KeyType::EcP256, "own", &[1], &[]);
        let stranger = raw_pair(&session, KeyType::EcP256, "stranger", &[2], &[]);
        session.destroy_object(own.public).unwrap();
        session.destroy_object(stranger.private).unwrap();
        session.update_attributes(stranger.public, &[Attribute::Id(vec![1])]).unwrap();
        let token = open(softhsm, &name).unwrap();

        let (told, proven) = (holdings(&token, Proofs::None), holdings(&token, Proofs::Every));

        assert_eq!(private(&told, "own").public, Half::Beside(stranger.key.clone()));
        let proven = private(&proven, "own");
        assert_eq!(proven.public, Half::Recovered(own.key));
        assert_eq!(proven.proof, KeyProof::Refuted { told: Some(stranger.key) });
    });
}

/// KEY-03: what is wrong with a key is told whole, and a key that may not sign is told of.
#[test]
fn all_that_is_wrong_with_a_key_is_named() {
    alone(test_name!(all_that_is_wrong_with_a_key_is_named), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let session = raw(&name);
        let changes =
            [Attribute::Extractable(true), Attribute::Sign(false), Attribute::Derive(true)];
        raw_pair(&session, KeyType::EcP256, "leaky", &[1], &changes);

        let all = holdings(&open(softhsm, &name).unwrap(), Proofs::Every);

        let leaky = private(&all, "leaky");
        let wrong: Vec<&str> = leaky.refusals.iter().map(hsm::KeyRefused::attribute).collect();
        assert_eq!(wrong, ["CKA_EXTRACTABLE", "CKA_NEVER_EXTRACTABLE", "CKA_SIGN", "CKA_DERIVE"]);
        let KeyProof::Refused(failure) = &leaky.proof else { panic!("{:?}", leaky.proof) };
        assert_eq!(failure.function(), "C_SignInit");
    });
}

#[test]
fn secret_keys_certificates_and_data_are_read_too() {
    alone(test_name!(secret_keys_certificates_and_data_are_read_too), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let session = raw(&name);
        let secret = [
            Attribute::Token(true),
            Attribute::Label("wrapping".into()),
            Attribute::ValueLen(32.into()),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
        ];
        session.generate_key(&Mechanism::AesKeyGen, &secret).unwrap();
        let data = [
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(true),
            Attribute::Label("note".into()),
            Attribute::Value(b"left by somebody".to_vec()),
        ];
        session.create_object(&data).unwrap();
        let certificate = [
            Attribute::Class(ObjectClass::CERTIFICATE),
            Attribute::Token(true),
            Attribute::CertificateType(CertificateType::X_509),
            Attribute::Label("certificate".into()),
            Attribute::Subject(vec![0x30, 0]),
            Attribute::Value(b"no certificate".to_vec()),
        ];
        session.create_object(&certificate).unwrap();

        let all = holdings(&open(softhsm, &name).unwrap(), Proofs::Every);

        let kinds: Vec<_> =
            all.iter().map(|holding| (holding.kind, holding.name.label())).collect();
        assert_eq!(
            kinds,
            [
                (ObjectKind::SecretKey, "wrapping"),
                (ObjectKind::Certificate, "certificate"),
                (ObjectKind::Other, "note"),
            ]
        );
        assert_eq!(all[0].key_type, DeviceKeyType::AES.to_string());
        let sensitive = all[0].attributes.value("CKA_SENSITIVE");
        assert_eq!(sensitive, Some(&AttributeValue::Flag(true)));
        assert_eq!(all[1].key_type, "unknown");
        assert!(all[1].certificate_sha256.is_some());
        assert_eq!(all[2].key_type, "CKO_DATA");
    });
}

/// An RSA key whose exponent is not told: 65537 is assumed, and a hash finds the usual ones. SoftHSM
/// does not sign with such a key, which an inventory tells and survives.
#[test]
fn an_rsa_key_without_its_exponent_is_found_by_its_modulus() {
    alone(test_name!(an_rsa_key_without_its_exponent_is_found_by_its_modulus), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let session = raw(&name);
        let [usual, rare] = ["65537", "17"].map(|exponent| rsa_parts(softhsm, exponent));
        for (label, parts) in [("usual", usual), ("rare", rare)] {
            let Some(parts) = parts else { return };
            let part = |number: usize| parts[number].clone();
            let template = [
                Attribute::Class(ObjectClass::PRIVATE_KEY),
                Attribute::KeyType(DeviceKeyType::RSA),
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Sign(true),
                Attribute::Label(label.into()),
                Attribute::Modulus(part(0)),
                Attribute::PrivateExponent(part(2)),
                Attribute::Prime1(part(3)),
                Attribute::Prime2(part(4)),
                Attribute::Exponent1(part(5)),
                Attribute::Exponent2(part(6)),
                Attribute::Coefficient(part(7)),
            ];
            session.create_object(&template).unwrap();
            let own = PublicKey::from_rsa_parts(&part(0), &part(1)).unwrap();
            let assumed = PublicKey::from_rsa_parts(&part(0), &[1, 0, 1]).unwrap();
            let token = open(softhsm, &name).unwrap();

            let told = holdings(&token, Proofs::None);
            let proven = holdings(&token, Proofs::Every);

            assert_eq!(private(&told, label).public, Half::Assumed(assumed.clone()), "{label}");
            let asked = private(&proven, label);
            assert!(matches!(asked.proof, KeyProof::Refused(_)), "{label}: {asked:?}");
            assert_eq!(asked.public, Half::Assumed(assumed), "{label}");
            assert_eq!(token.key_by_hash(own.spki_hash()).unwrap(), Some(own), "{label}");
        }
    });
}

/// The numbers of a new RSA key in the order of RSAPrivateKey (RFC 8017 A.1.2), without the version.
fn rsa_parts(softhsm: &SoftHsm, exponent: &str) -> Option<Vec<Vec<u8>>> {
    let file = softhsm.state().join(format!("{exponent}.pem"));
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .args(["-pkeyopt", &format!("rsa_keygen_pubexp:{exponent}"), "-out"])
        .arg(&file)
        .output();
    if made.is_err() {
        println!("skipped: openssl is not installed");
        return None;
    }
    let traditional =
        Command::new("openssl").args(["rsa", "-traditional", "-in"]).arg(&file).output().unwrap();
    let listed = Command::new("sh")
        .args(["-c", "printf %s \"$1\" | openssl asn1parse", "sh"])
        .arg(String::from_utf8(traditional.stdout).unwrap())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let numbers = listed.lines().filter_map(|line| line.split_once("INTEGER")?.1.split_once(':'));
    let octets = |number: &str| {
        let even =
            if number.len().is_multiple_of(2) { number.to_owned() } else { format!("0{number}") };
        (0..even.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&even[at..at + 2], 16).unwrap())
            .collect::<Vec<u8>>()
    };
    let parts: Vec<Vec<u8>> = numbers.skip(1).map(|(_, number)| octets(number)).collect();
    assert_eq!(parts.len(), 8, "{listed}");
    Some(parts)
}
