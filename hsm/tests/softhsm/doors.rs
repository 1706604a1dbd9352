//! The typed doors: requests that a token's key signs for itself, and notes.

use std::fs;
use std::process::Command;

use hsm::note::{NoteKeyError, TokenNoteKey};
use hsm::request::SignRequestError;
use ledger::{
    Checkpoint, CheckpointNote, Frontier, LogName, LogOrigin, NoteSigner as _, Timestamp,
};
use support::softhsm::alone;
use support::test_name;
use x509::key::{KeyType, PublicKey};
use x509::name::{AttributeType, Name};
use x509::responder_request::{ResponderRequestBody, ResponderRequestError};
use x509::statement::{SignedStatement, Statement};
use x509::time::UnixTime;

use crate::fixture::{DEADLINE, make_key, new_token, open};

fn subject() -> Name {
    Name::builder().with(AttributeType::CommonName, "sigill ocsp").unwrap().build()
}

/// ISS-13, judged by OpenSSL.
#[test]
fn openssl_accepts_the_requests_that_token_keys_sign() {
    alone(test_name!(openssl_accepts_the_requests_that_token_keys_sign), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "ocsp")).unwrap();
        for key_type in
            [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519, KeyType::Rsa { bits: 2048 }]
        {
            let key = make_key(&token, key_type, &key_type.to_string());
            let request = token.certification_request(&key, &subject()).unwrap();
            request.verify_possession().unwrap();

            let path = softhsm.state().join("request.der");
            fs::write(&path, request.as_der()).unwrap();
            let judged = Command::new("openssl")
                .args(["req", "-inform", "DER", "-verify", "-noout", "-subject", "-in"])
                .arg(&path)
                .output();
            let Ok(judged) = judged else { return println!("skipped: openssl is not installed") };
            assert!(judged.status.success(), "{key_type}: {judged:?}");
            let said = String::from_utf8_lossy(&judged.stdout).into_owned();
            assert!(said.contains("CN = sigill ocsp"), "{said}");
        }
    });
}

fn body(identity: &PublicKey, request: Vec<u8>) -> ResponderRequestBody {
    ResponderRequestBody {
        deployment: "test/demo/ab12".to_owned(),
        authority: [7; 32],
        identity: identity.spki_hash(),
        counter: 1,
        time: UnixTime::from_secs(1_800_000_000).unwrap(),
        request,
    }
}

#[test]
fn the_identity_key_signs_what_the_responder_sends_inward() {
    alone(test_name!(the_identity_key_signs_what_the_responder_sends_inward), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "ocsp")).unwrap();
        let identity = make_key(&token, KeyType::EcP256, "identity");
        let delegate = make_key(&token, KeyType::EcP256, "delegate");
        let request = token.certification_request(&delegate, &subject()).unwrap();
        let body = body(&identity, request.as_der().to_vec());

        let made = token.responder_request(&identity, &body).unwrap();
        assert_eq!(made.body(), &body);

        let refused = token.responder_request(&delegate, &body).unwrap_err();
        assert!(
            matches!(
                refused,
                SignRequestError::ResponderRequest(ResponderRequestError::OtherIdentity { .. })
            ),
            "{refused:?}"
        );
    });
}

/// CER-02: what a person says is signed in a token of his own.
#[test]
fn a_persons_token_signs_what_he_says() {
    alone(test_name!(a_persons_token_signs_what_he_says), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "anna")).unwrap();
        let said =
            Statement::new("plan-approval", &[("person", "anna"), ("name", "Anna Åberg")]).unwrap();
        for key_type in
            [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519, KeyType::Rsa { bits: 2048 }]
        {
            let key = make_key(&token, key_type, &key_type.to_string());

            let signed = token.statement(&key, &said).unwrap();

            assert_eq!(signed.key(), &key);
            let read = SignedStatement::open(signed.as_str().as_bytes()).unwrap();
            assert_eq!(read.statement(), &said);
        }
    });
}

#[test]
fn a_note_key_in_a_token_signs_checkpoints() {
    alone(test_name!(a_note_key_in_a_token_signs_checkpoints), |softhsm| {
        let token = open(softhsm, &new_token(softhsm, "notes")).unwrap();
        let key = make_key(&token, KeyType::Ed25519, "status");
        let other = make_key(&token, KeyType::EcP256, "other");
        let signer = TokenNoteKey::open(&token, &key, DEADLINE).unwrap();
        let origin = LogOrigin {
            deployment: "test/demo/ab12".parse().unwrap(),
            log: LogName::Status,
            epoch: 1,
        };
        let checkpoint = Checkpoint { origin, size: 0, root: Frontier::new().root() };

        let timestamp = Timestamp::from_secs(1_800_000_000).unwrap();
        let note = CheckpointNote::sign(checkpoint, timestamp, &signer).unwrap();

        assert_eq!(note.timestamp(), timestamp);
        assert_eq!(signer.public_key(), key.key_bits());
        let refused = TokenNoteKey::open(&token, &other, DEADLINE).unwrap_err();
        assert!(matches!(refused, NoteKeyError::NotEd25519 { found: KeyType::EcP256 }));
    });
}
