//! Project Wycheproof's keys and signatures, each in the frame of a request: a signature that is none, or
//! that somebody else has made over something else, proves nothing.

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::spoken;
use support::suite::Check;

use crate::World;
use crate::corpora::unpacked;
use crate::crowd::{self, Doubtful};
use crate::requests::{Frame, base64, function};
use crate::running::Call;

pub const CHECKS: &[Check<World>] = &[
    ("a_framed_request_that_is_signed_is_good", signed),
    ("no_signature_of_wycheproof_proves_possession", wycheproof),
];

const ECDSA_SHA256: &str = "300a06082a8648ce3d040302";
const ECDSA_SHA384: &str = "300a06082a8648ce3d040303";
const ECDSA_SHA512: &str = "300a06082a8648ce3d040304";
const ED25519: &str = "300506032b6570";
const ED448: &str = "300506032b6571";
const RSA_SHA256: &str = "300d06092a864886f70d01010b0500";
const RSA_SHA384: &str = "300d06092a864886f70d01010c0500";
const RSA_SHA512: &str = "300d06092a864886f70d01010d0500";
/// With SHA-256 for digest and mask, and a salt of 32 octets (RFC 4055 §3.1).
const PSS_SHA256: &str = "304106092a864886f70d01010a3034a00f300d06096086480165030402010500\
                          a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120";
const PSS_SHA384: &str = "304106092a864886f70d01010a3034a00f300d06096086480165030402020500\
                          a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130";
const PSS_SHA512: &str = "304106092a864886f70d01010a3034a00f300d06096086480165030402030500\
                          a11c301a06092a864886f70d010108300d06096086480165030402030500a203020140";
/// Every default: SHA-1 and a salt of 20 octets.
const PSS_DEFAULTS: &str = "300d06092a864886f70d01010a3000";

/// The files for keys of the sizes and curves that a request may have, or may not.
const FILES: [(&str, &str); 17] = [
    ("ecdsa_secp256r1_sha256", ECDSA_SHA256),
    ("ecdsa_secp384r1_sha384", ECDSA_SHA384),
    ("ecdsa_secp384r1_sha384_p1363", ECDSA_SHA384),
    ("ecdsa_secp384r1_sha512", ECDSA_SHA512),
    ("ecdsa_secp521r1_sha512", ECDSA_SHA512),
    ("ed25519", ED25519),
    ("ed448", ED448),
    ("rsa_signature_2048_sha256", RSA_SHA256),
    ("rsa_signature_3072_sha256", RSA_SHA256),
    ("rsa_signature_3072_sha384", RSA_SHA384),
    ("rsa_signature_4096_sha384", RSA_SHA384),
    ("rsa_signature_4096_sha512", RSA_SHA512),
    ("rsa_pss_2048_sha256_mgf1_32", PSS_SHA256),
    ("rsa_pss_3072_sha256_mgf1_32", PSS_SHA256),
    ("rsa_pss_4096_sha384_mgf1_48", PSS_SHA384),
    ("rsa_pss_4096_sha512_mgf1_64", PSS_SHA512),
    ("rsa_pss_misc", PSS_DEFAULTS),
];

/// The frame refuses nobody by itself: OpenSSL's signature over it, by each algorithm that a profile's keys
/// can prove possession with, is believed.
fn signed(world: &World) {
    let p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let p384 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
    let rsa = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    for (key, digest, more, algorithm) in [
        (&p256, "-sha256", &[][..], ECDSA_SHA256),
        (&p384, "-sha384", &[], ECDSA_SHA384),
        (&p384, "-sha512", &[], ECDSA_SHA512),
        (&rsa, "-sha256", &[], RSA_SHA256),
        (&rsa, "-sha384", &[], RSA_SHA384),
        (&rsa, "-sha512", &[], RSA_SHA512),
        (&rsa, "-sha256", &pss, PSS_SHA256),
        (&rsa, "-sha384", &pss, PSS_SHA384),
        (&rsa, "-sha512", &pss, PSS_SHA512),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = [&["genpkey", "-out", "key.pem"][..], key].concat();
        openssl(folder.path(), &made);
        let spki = ["pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "spki.der"];
        openssl(folder.path(), &spki);
        let read = |name: &str| fs::read(folder.path().join(name)).expect("OpenSSL wrote it");
        let frame = Frame::of(&read("spki.der"));
        fs::write(folder.path().join("info.der"), &frame.info).expect("a file can be written");
        let sign = ["dgst", digest, "-sign", "key.pem", "-out", "signature"];
        openssl(folder.path(), &[&sign[..], more, &["info.der"]].concat());

        let request = frame.signed(&octets(algorithm), &read("signature"));

        let answer = world.server.call(&Call::order(&function(&base64(&request))));
        assert_eq!(answer.status, 201, "{key:?} {digest} {more:?}: {answer:?}");
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let said = spoken::openssl(folder, arguments).expect("openssl is installed");
    assert_eq!(said.code, 0, "openssl {arguments:?}: {}", said.text);
}

/// ISS-13: what Wycheproof calls invalid or acceptable is no signature, and what it calls valid is one over
/// another message. A key that the profile has is refused by its proof; what has no form comes no further.
fn wycheproof(world: &World) {
    let Some(folder) = unpacked("wycheproof") else { return };
    let mut doubtful = Vec::new();
    let mut not_valid = 0;
    for (file, algorithm) in FILES {
        let path = folder.path().join("wycheproof").join(format!("{file}_test.json"));
        let text = fs::read(path).expect("the vectors are readable");
        let vectors: Value = serde_json::from_slice(&text).expect("the vectors are JSON");
        for group in array(&vectors["testGroups"]) {
            let frame = Frame::of(&octets(text_of(&group["publicKeyDer"])));
            for test in array(&group["tests"]) {
                let (result, signature) = (text_of(&test["result"]), text_of(&test["sig"]));
                not_valid += usize::from(result != "valid");
                let request = frame.signed(&octets(algorithm), &octets(signature));
                let name = format!("{file} {} ({result}): {}", test["tcId"], test["comment"]);
                doubtful.push(Doubtful { name, order: function(&base64(&request)) });
            }
        }
    }
    println!("measured: wrapped not valid = {not_valid}");

    let codes = crowd::refused(world, "wrapped", &doubtful);

    assert!(doubtful.len() > 4_000 && not_valid > 2_500, "{} {not_valid}", doubtful.len());
    let by_proof = codes.get("csr-possession").copied().unwrap_or_default();
    assert!(by_proof > 2_000, "the proofs themselves were judged: {codes:?}");
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).expect("an array")
}

fn text_of(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Octets from hexadecimal.
fn octets(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| {
        let pair = str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).expect("hexadecimal")
    };
    text.as_bytes().chunks(2).map(digits).collect()
}
