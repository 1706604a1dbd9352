//! What the probe measures of a device is heeded when it signs: probe, profile, open, sign, and OpenSSL
//! verifies.

use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hsm::probe::{OtherKeys, ProbeOrder, WrongPin, probe};
use hsm::profile::{DeviceProfile, Mismatch, Profiled};
use hsm::{
    EcdsaInput, KeyPolicy, Quirks, Removal, SigningService as _, Token, TokenSettings, TokenSigner,
};
use support::laboratory::{Counter, Function};
use support::softhsm::{SoftHsm, alone};
use support::test_name;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::signing::{Pending, Recorded, SigningKind, ToBeSigned};
use x509::time::UnixTime;

use crate::fixture::{Bench, DEADLINE, INTENT, Memory, USER_PIN, make_key, markers, module, pin};

/// Probes the bench's token as the device of `script`, which stays in place.
fn measured(bench: &Bench<'_>, script: &str) -> Quirks {
    bench.laboratory.disturb(script);
    let order = ProbeOrder {
        name: bench.name.clone(),
        pin: pin(bench.softhsm, "probe", USER_PIN),
        markers: markers(bench.softhsm),
        other_keys: OtherKeys::Refuse,
        wrong_pin: WrongPin::Never,
        officer: None,
        sessions: NonZeroUsize::new(16).unwrap(),
        parallel: NonZeroUsize::new(4).unwrap(),
        idle: None,
        deadline: Duration::from_secs(120),
    };
    let report = probe(&module(), order, &mut |_| {}).unwrap();
    let now = UnixTime::from_secs(1_795_000_000).unwrap();
    let path = bench.softhsm.state().join("device.json");
    let written = DeviceProfile::of(&report, now, "a test").to_json().unwrap();
    std::fs::write(&path, written).unwrap();
    Profiled::read(&path, Mismatch::Refused).unwrap().quirks()
}

fn opened(bench: &Bench<'_>, quirks: Quirks, sessions: usize) -> Token {
    Token::open(&module(), TokenSettings { quirks, ..bench.settings(sessions) }).unwrap()
}

/// Signs `text` by the service that the CA signs with.
fn signed(
    signer: &TokenSigner,
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    text: &str,
) -> Vec<u8> {
    let bytes = ToBeSigned::Bytes(Arc::from(text.as_bytes()));
    let pending =
        Pending::new(INTENT, SigningKind::Certificate, key.clone(), algorithm, bytes).unwrap();
    let proof = Recorded::by(Memory, pending.intent()).unwrap();
    signer.sign(&pending.input(&proof).unwrap()).unwrap()
}

/// Whether OpenSSL takes it; `None` where there is no OpenSSL.
fn openssl_verifies(
    softhsm: &SoftHsm,
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    text: &str,
    signature: &[u8],
) -> Option<bool> {
    let path = |name: &str| softhsm.state().join(name);
    std::fs::write(path("key.der"), key.spki_der()).unwrap();
    std::fs::write(path("text"), text).unwrap();
    std::fs::write(path("signature"), signature).unwrap();
    let mut command = Command::new("openssl");
    let hash = match algorithm {
        SignatureAlgorithm::EcdsaP384Sha384 => "-sha384",
        _ => "-sha256",
    };
    command.args(["dgst", hash, "-keyform", "DER", "-verify"]).arg(path("key.der"));
    if algorithm == SignatureAlgorithm::RsaPssSha256 {
        command.args(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]);
    }
    let judged = command.arg("-signature").arg(path("signature")).arg(path("text")).output();
    let Ok(judged) = judged else {
        println!("skipped: openssl is not installed");
        return None;
    };
    println!("{}", String::from_utf8_lossy(&judged.stderr));
    Some(judged.status.success())
}

/// A key of the type is made on the device, signs by the algorithm, and OpenSSL verifies.
fn makes_and_signs(bench: &Bench<'_>, quirks: &Quirks, key_type: KeyType, by: SignatureAlgorithm) {
    let token = opened(bench, quirks.clone(), 2);
    let key = make_key(&token, key_type, &format!("{key_type}"), Removal::Forbidden);
    let signer = TokenSigner::new(DEADLINE);
    signer.add(&token, &key, KeyPolicy::issuing()).unwrap();

    let signature = signed(&signer, &key, by, "certificate");

    assert!(quirks.signs(by), "{by}");
    assert_ne!(openssl_verifies(bench.softhsm, &key, by, "certificate", &signature), Some(false));
    assert_ne!(openssl_verifies(bench.softhsm, &key, by, "another", &signature), Some(true));
}

/// KEY-01, KEY-10: a device that knows ECDSA with the hash in it alone is measured as such, and signs.
#[test]
fn a_device_that_hashes_itself_signs_as_its_profile_says() {
    alone(test_name!(a_device_that_hashes_itself_signs_as_its_profile_says), |softhsm| {
        let bench = Bench::new(softhsm);
        let quirks = measured(&bench, "[mechanisms]\necdsa = \"hashed\"\n");
        assert_eq!(quirks.ecdsa, EcdsaInput::Hashed);

        let by = SignatureAlgorithm::EcdsaP256Sha256;
        makes_and_signs(&bench, &quirks, KeyType::EcP256, by);
        makes_and_signs(&bench, &quirks, KeyType::EcP384, SignatureAlgorithm::EcdsaP384Sha384);
    });
}

/// KEY-01, KEY-10: a device that takes digests alone.
#[test]
fn a_device_that_takes_digests_alone_signs_as_its_profile_says() {
    alone(test_name!(a_device_that_takes_digests_alone_signs_as_its_profile_says), |softhsm| {
        let bench = Bench::new(softhsm);
        let quirks = measured(&bench, "[mechanisms]\necdsa = \"raw\"\n");
        assert_eq!(quirks.ecdsa, EcdsaInput::Raw);

        let by = SignatureAlgorithm::EcdsaP256Sha256;
        makes_and_signs(&bench, &quirks, KeyType::EcP256, by);
        makes_and_signs(&bench, &quirks, KeyType::EcP384, SignatureAlgorithm::EcdsaP384Sha384);
    });
}

/// KEY-01, KEY-10: a device that knows one padding of RSA alone: its key proves itself by that, and
/// nothing is asked of it by the other.
#[test]
fn a_device_with_one_padding_of_rsa_signs_as_its_profile_says() {
    let rsa = KeyType::Rsa { bits: 2048 };
    let (pkcs1, pss) = (SignatureAlgorithm::RsaPkcs1Sha256, SignatureAlgorithm::RsaPssSha256);
    alone(test_name!(a_device_with_one_padding_of_rsa_signs_as_its_profile_says), |softhsm| {
        let bench = Bench::new(softhsm);
        let quirks = measured(&bench, "[mechanisms]\nrefuse = [\"CKM_RSA_PKCS\"]\n");
        assert_eq!((quirks.signs(pkcs1), quirks.signs(pss)), (false, true));
        makes_and_signs(&bench, &quirks, rsa, pss);
    });
}

#[test]
fn a_device_without_pss_signs_as_its_profile_says() {
    let rsa = KeyType::Rsa { bits: 2048 };
    let (pkcs1, pss) = (SignatureAlgorithm::RsaPkcs1Sha256, SignatureAlgorithm::RsaPssSha256);
    alone(test_name!(a_device_without_pss_signs_as_its_profile_says), |softhsm| {
        let bench = Bench::new(softhsm);
        let quirks = measured(&bench, "[mechanisms]\nrefuse = [\"CKM_RSA_PKCS_PSS\"]\n");
        assert_eq!((quirks.signs(pkcs1), quirks.signs(pss)), (true, false));
        makes_and_signs(&bench, &quirks, rsa, pkcs1);
    });
}

/// KEY-09: the number of sessions that was measured is all that is asked for, by callers beside each
/// other as well.
#[test]
fn a_device_with_few_sessions_is_measured_and_not_asked_for_more() {
    alone(test_name!(a_device_with_few_sessions_is_measured_and_not_asked_for_more), |softhsm| {
        let bench = Bench::new(softhsm);
        let quirks = measured(&bench, "[sessions]\nmost = 5\n");
        assert_eq!(quirks.max_sessions, NonZeroUsize::new(5));

        let refused = || {
            let counted = bench.laboratory.counted();
            counted.calls(Function::OpenSession) - counted.of(Counter::Opened)
        };
        let by_the_probe = refused();
        let signing = bench.signing_by(TokenSettings { quirks, ..bench.settings(8) });
        let failed = thread::scope(|scope| {
            let callers = [0; 8]
                .map(|_| scope.spawn(|| (0..10).filter(|_| signing.sign("text").is_err()).count()));
            callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>()
        });

        assert_eq!(failed, 0);
        assert!(by_the_probe > 0, "the probe asked for more than five");
        assert_eq!(refused(), by_the_probe, "the programs ask for no session that is refused");
    });
}
