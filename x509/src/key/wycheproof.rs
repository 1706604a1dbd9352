//! Project Wycheproof's vectors against every signature that we verify.
//!
//! `valid` must verify, `invalid` must not, `acceptable` may do either.

use serde_json::Value;

use super::{PublicKey, SignatureAlgorithm, ecdsa_signature_to_der};
use crate::judges;

fn octets(value: &Value) -> Vec<u8> {
    base16ct::mixed::decode_vec(value.as_str().unwrap()).unwrap()
}

/// Every case of these files: file, algorithm, key, message, signature, verdict of the vectors.
/// Returns how many there were.
pub(crate) fn for_each_case<A: Copy>(
    files: &[(&str, A)],
    mut check: impl FnMut(&str, A, &PublicKey, &[u8], &[u8], &str),
) -> usize {
    let Some(folder) = judges::vectors("wycheproof") else { return 0 };
    let mut cases = 0;
    for (file, algorithm) in files {
        let path = folder.path().join("wycheproof").join(format!("{file}_test.json"));
        let vectors: Value = serde_json::from_slice(&judges::read(&path)).unwrap();
        for group in vectors["testGroups"].as_array().unwrap() {
            let key = PublicKey::from_spki_der(&octets(&group["publicKeyDer"])).unwrap();
            for test in group["tests"].as_array().unwrap() {
                let (message, signature) = (octets(&test["msg"]), octets(&test["sig"]));
                let name = format!("{file} {}", test["tcId"]);
                let verdict = test["result"].as_str().unwrap();
                check(&name, *algorithm, &key, &message, &signature, verdict);
                cases += 1;
            }
        }
    }
    cases
}

/// Holds a verification against the verdict of the vectors.
pub(crate) fn judge(name: &str, verified: bool, verdict: &str) {
    match verdict {
        "valid" => assert!(verified, "{name} is valid"),
        "invalid" => assert!(!verified, "{name} is invalid"),
        other => assert_eq!(other, "acceptable", "{name}"),
    }
}

/// KEY-10: what we verify with an issuer's or responder's key.
#[test]
fn verifies_as_wycheproof_says() {
    use SignatureAlgorithm::{
        EcdsaP256Sha256, EcdsaP384Sha384, Ed25519, RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512,
        RsaPssSha256, RsaPssSha384, RsaPssSha512,
    };
    let files = [
        ("ecdsa_secp256r1_sha256", EcdsaP256Sha256),
        ("ecdsa_secp384r1_sha384", EcdsaP384Sha384),
        ("ed25519", Ed25519),
        ("rsa_signature_2048_sha256", RsaPkcs1Sha256),
        ("rsa_signature_3072_sha256", RsaPkcs1Sha256),
        ("rsa_signature_3072_sha384", RsaPkcs1Sha384),
        ("rsa_signature_4096_sha384", RsaPkcs1Sha384),
        ("rsa_signature_4096_sha512", RsaPkcs1Sha512),
        ("rsa_pss_2048_sha256_mgf1_32", RsaPssSha256),
        ("rsa_pss_3072_sha256_mgf1_32", RsaPssSha256),
        ("rsa_pss_4096_sha384_mgf1_48", RsaPssSha384),
        ("rsa_pss_4096_sha512_mgf1_64", RsaPssSha512),
    ];

    let cases = for_each_case(&files, |name, algorithm, key, message, signature, verdict| {
        judge(name, key.verify(algorithm, message, signature).is_ok(), verdict);
        if let Some(hash) = algorithm.hash() {
            let digest = aws_lc_rs::digest::digest(hash.implementation(), message);
            let verified = key.verify_digest(algorithm, digest.as_ref(), signature).is_ok();
            judge(name, verified, verdict);
        }
    });

    assert!(cases == 0 || cases == 2970, "{cases}");
}

/// KEY-11: of all PSS parameters the vectors have, only ours verify: other salts and other hashes of
/// MGF1 do not, however good their signatures are under their own.
#[test]
fn verifies_no_signature_with_other_pss_parameters() {
    let Some(folder) = judges::vectors("wycheproof") else { return };
    let path = folder.path().join("wycheproof/rsa_pss_misc_test.json");
    let vectors: Value = serde_json::from_slice(&judges::read(&path)).unwrap();
    let (mut verified, mut refused) = (0, 0);
    for group in vectors["testGroups"].as_array().unwrap() {
        let hash = group["sha"].as_str().unwrap();
        let (algorithm, salt) = match hash {
            "SHA-256" => (SignatureAlgorithm::RsaPssSha256, 32),
            "SHA-384" => (SignatureAlgorithm::RsaPssSha384, 48),
            "SHA-512" => (SignatureAlgorithm::RsaPssSha512, 64),
            _ => continue,
        };
        let ours = group["mgfSha"] == hash && group["sLen"] == salt;
        let key = PublicKey::from_spki_der(&octets(&group["publicKeyDer"])).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let (message, signature) = (octets(&test["msg"]), octets(&test["sig"]));
            let accepted = key.verify(algorithm, &message, &signature).is_ok();
            assert_eq!(accepted, ours, "{hash} {} {}", group["mgfSha"], group["sLen"]);
            if accepted { verified += 1 } else { refused += 1 }
        }
    }
    assert_eq!((verified, refused), (3, 87));
}

/// KEY-10: what a PKCS#11 token returns (`r || s`), turned into the form of X.509.
#[test]
fn turned_signatures_of_tokens_verify() {
    let files = [("ecdsa_secp384r1_sha384_p1363", SignatureAlgorithm::EcdsaP384Sha384)];

    for_each_case(&files, |name, algorithm, key, message, signature, verdict| {
        let turned = ecdsa_signature_to_der(signature);
        let verified = turned.is_ok_and(|der| key.verify(algorithm, message, &der).is_ok());
        // Halves of another length than the curve's are for the token's caller to refuse.
        if signature.len() == 96 || verdict == "valid" {
            judge(name, verified, verdict);
        }
    });
}
