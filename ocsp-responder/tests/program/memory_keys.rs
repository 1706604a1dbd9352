//! Keys of delegates in process memory, by the operator's choice (decision 0029).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use status::BeforeActivation;
use support::softhsm::alone;
use support::test_name;
use x509::certificate::Certificate;
use x509::key::{KeyType, PublicKey};
use x509::ocsp::{BasicResponse, CertIdHash};

use crate::answers::{openssl, serial_text, verified};
use crate::client::{get, post};
use crate::faults::{TRY_LATER, status};
use crate::fixture::{World, issued, wait_for};

const SECTION: &str = "name = \"person3\"";

fn lines(world: &World, path: &str) -> String {
    String::from_utf8(get(world.observe, "localhost", path).body).unwrap()
}

fn signer(basic: &BasicResponse) -> PublicKey {
    Certificate::from_der(&basic.certificates[0]).unwrap().public_key().clone()
}

/// Waits for an answer under this key, and has OpenSSL verify one that is signed for it alone.
fn answered_by(world: &World, key: &PublicKey) -> String {
    wait_for("an answer by the key in memory", || {
        let question = world.ca.question(CertIdHash::Sha256, 1, Some(&[7; 16]));
        let answer = post(world.address, "/ocsp", &question);
        status(world, &question).is_none().then_some(())?;
        (signer(&verified(world, &answer.body)) == *key).then_some(())
    });
    let text = openssl(world, &["-nonce", "-serial", &serial_text(1), "-resp_text"]);
    assert!(text.contains("Response verify OK") && text.contains(": good"), "{text}");
    assert!(!text.contains("WARNING"), "{text}");
    text
}

/// Decision 0029, KEY-02, OCSP-06: by configuration alone; named in the log, in readiness and in the metrics; the key is
/// in no log and in no token, its file is for its owner, and after kill -9 the same key answers. A file that
/// others can read is refused until it is mended, and no other key is made for it meanwhile. RSA as P-256.
#[test]
fn delegates_with_keys_in_memory_answer_and_survive_a_kill() {
    alone(test_name!(delegates_with_keys_in_memory_answer_and_survive_a_kill), |softhsm| {
        let mut world = World::new(softhsm);
        let chosen = format!("{SECTION}\ndelegate-key-place = \"process-memory\"");
        world.edit_config(|config| config.replace(SECTION, &chosen));
        world.beat();
        let mut server = world.start();
        let key = world.answer_request();
        world.wait_until_ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);

        let text = answered_by(&world, &key);
        assert!(text.contains("ecdsa-with-SHA256"), "{text}");
        let told = "delegate-keys-in-memory: keys for authority person3 lie in process memory\n";
        assert_eq!(lines(&world, "/readyz"), format!("ready\n{told}"));
        assert!(lines(&world, "/metrics").contains("sigill_ocsp_delegates_in_memory 1\n"));
        assert!(!world.path("state/delegates").exists(), "a key was made in the token");
        let file_of = |key: &PublicKey| -> PathBuf {
            world.path(&format!("state/memory-keys/person3/{}.key", key.spki_hash()))
        };
        let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&file_of(&key)), 0o600);
        assert_eq!(mode(&world.path("state/memory-keys/person3")), 0o700);
        let secret = fs::read_to_string(file_of(&key)).unwrap();
        let secret = secret.lines().last().unwrap();

        server.kill();
        let said = server.printed();
        assert!(said.contains("delegate-keys-in-memory"), "{said}");
        assert!(said.contains("\"key.place\":\"process-memory\""), "{said}");
        assert!(!said.contains(secret), "the key stands in the log");
        server = world.start();
        answered_by(&world, &key);

        server.kill();
        fs::set_permissions(file_of(&key), Permissions::from_mode(0o640)).unwrap();
        server = world.start();
        let refused = wait_for("the refusal", || {
            let said = server.printed();
            said.contains("at most 0600 is allowed").then_some(said)
        });
        assert!(!refused.contains(secret), "the key stands in the log");
        let question = world.ca.question(CertIdHash::Sha256, 1, Some(&[9; 16]));
        assert_eq!(status(&world, &question), TRY_LATER);
        assert_eq!(fs::read_dir(world.path("state/memory-keys/person3")).unwrap().count(), 1);
        fs::set_permissions(file_of(&key), Permissions::from_mode(0o600)).unwrap();
        answered_by(&world, &key);

        server.kill();
        let rsa = format!("{chosen}\ndelegate-key = \"rsa-2048\"");
        world.edit_config(|config| config.replace(&chosen, &rsa));
        let _server = world.start();
        let rsa = world.answer_request();
        assert_eq!(rsa.key_type(), KeyType::Rsa { bits: 2048 });
        let text = answered_by(&world, &rsa);
        assert!(text.contains("sha256WithRSAEncryption"), "{text}");
        assert!(lines(&world, "/metrics").contains("sigill_ocsp_delegates_in_memory 2\n"));
    });
}
