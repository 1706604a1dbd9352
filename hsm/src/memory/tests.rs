//! What a key in memory signs, and which files are refused.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::dumpable_behavior;
use x509::key::SignatureAlgorithm;
use x509::name::AttributeType;
use x509::signing::{Intent, IntentId, Pending, Recorded, Recorder};

use super::*;

struct Nowhere;

impl Recorder for Nowhere {
    type Error = Infallible;
    fn record(self, _: &Intent) -> Result<(), Infallible> {
        Ok(())
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

fn deployment() -> DeploymentName {
    "test/demo/ab12".parse().unwrap()
}

/// Has `key` sign what is recorded for `issuer`.
fn sign(key: &MemoryKey, issuer: &PublicKey, kind: SigningKind) -> Result<Vec<u8>, SignError> {
    let algorithm = SignatureAlgorithm::default_for(issuer.key_type());
    let bytes = ToBeSigned::Bytes(b"what is answered".as_slice().into());
    let id = IntentId::from_bytes([1; 16]);
    let pending = Pending::new(id, kind, issuer.clone(), algorithm, bytes).unwrap();
    let recorded = Recorded::by(Nowhere, pending.intent()).unwrap();
    let signature = key.sign(&pending.input(&recorded).unwrap())?;
    Ok(pending.finish(signature).unwrap().signature().to_vec())
}

/// KEY-05, promise 6: it reads back as the key that it was, and signs answers and its own request alone.
#[test]
fn a_key_reads_back_and_signs_answers_alone() {
    let folder = folder();
    for key_type in [KeyType::EcP256, KeyType::Rsa { bits: 2048 }] {
        let made = MemoryKey::create(folder.path(), &deployment(), key_type).unwrap();
        let public = made.public_key().clone();
        assert_eq!(public.key_type(), key_type);
        drop(made);
        let key = MemoryKey::open(folder.path(), &deployment(), public.spki_hash()).unwrap();

        sign(&key, &public, SigningKind::OcspAnswer).unwrap();
        for kind in [SigningKind::Certificate, SigningKind::Crl, SigningKind::OcspDelegate] {
            let refused = sign(&key, &public, kind);
            assert!(matches!(refused, Err(SignError::KindNotAllowed { .. })), "{refused:?}");
        }
        let subject = Name::builder().with(AttributeType::CommonName, "delegate").unwrap().build();
        let request = key.certification_request(&subject).unwrap();
        assert_eq!(request.public_key(), &public);

        let other = MemoryKey::create(folder.path(), &deployment(), KeyType::EcP256).unwrap();
        let refused = sign(&other, &public, SigningKind::OcspAnswer);
        assert!(matches!(refused, Err(SignError::UnknownKey { .. })), "{refused:?}");
        assert!(other.prove(&public.spki_hash()).is_err());
    }
    // KEY-02: nothing of the process is written to a core file, and no text shows the key.
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
}

/// KEY-02: the file's mode is 0600 whatever the umask, and every wider one is refused, as is a wider folder.
#[test]
fn a_file_that_others_can_reach_is_refused() {
    let folder = folder();
    let key = MemoryKey::create(folder.path(), &deployment(), KeyType::EcP256).unwrap();
    let hash = key.public_key().spki_hash();
    let path = key_path(folder.path(), hash);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o600);
    let open = || MemoryKey::open(folder.path(), &deployment(), hash);
    let hidden = format!("{:?}", open().unwrap());
    assert!(hidden.contains("hidden"), "{hidden}");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(open().unwrap_err().code(), "secret-file-mode");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(open().unwrap_err().code(), "secret-file-mode");
    let made = MemoryKey::create(folder.path(), &deployment(), KeyType::EcP256);
    assert_eq!(made.unwrap_err().code(), "secret-file-mode");
}

/// Promises 6 and 8: a file that is torn, damaged, of another key or of another deployment is refused, and the
/// refusal says what to do and shows none of its content.
#[test]
fn a_torn_damaged_or_strange_file_is_refused() {
    let folder = folder();
    let make = || MemoryKey::create(folder.path(), &deployment(), KeyType::EcP256).unwrap();
    let (hash, other) = (make().public_key().spki_hash(), make().public_key().spki_hash());
    let path = key_path(folder.path(), hash);
    let good = fs::read_to_string(&path).unwrap();
    let code = |text: &str| {
        fs::write(&path, text).unwrap();
        let refused = MemoryKey::open(folder.path(), &deployment(), hash).unwrap_err();
        let told = format!("{refused} {}", refused.next_step());
        assert!(!told.contains(good.lines().last().unwrap()), "{told}");
        refused.code()
    };
    for length in [0, 10, good.len() / 2, good.len() - 3, good.len() - 1] {
        assert_eq!(code(&good[..length]), "delegate-key-form", "{length} octets");
    }
    assert_eq!(code(&good.replace("key/1\n", "key/2\n")), "delegate-key-form");
    assert_eq!(code(&good.replace("ab12", "zz99")), "delegate-key-deployment");
    let strange = fs::read_to_string(key_path(folder.path(), other)).unwrap();
    assert_eq!(code(&strange), "delegate-key-other");
    // Each octet of the key: it is no key any more, or another one, and never this one with another half.
    let digits = good.lines().last().unwrap().len();
    let begin = good.len() - 1 - digits;
    for place in (begin..good.len() - 1).step_by(7) {
        let mut bytes = good.clone().into_bytes();
        bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
        let damaged = String::from_utf8(bytes).unwrap();
        let found = code(&damaged);
        assert!(["delegate-key-form", "delegate-key-other"].contains(&found), "{place}: {found}");
    }
    fs::remove_file(&path).unwrap();
    let gone = MemoryKey::open(folder.path(), &deployment(), hash).unwrap_err();
    assert_eq!(gone.code(), "secret-file-io");
    let odd = MemoryKey::create(folder.path(), &deployment(), KeyType::Ed25519).unwrap_err();
    assert_eq!(odd.code(), "delegate-key-type");
}
