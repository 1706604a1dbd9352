//! Several ways to one module in one process: there is one gate to it, or there is none.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use hsm::{KeyPolicy, Module, ModuleError, SigningService as _, Token, TokenSigner};
use support::softhsm::{MODULE, SPY, alone};
use support::test_name;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::signing::SigningKind;

use crate::fixture::{USER_PIN, bytes, make_key, module, new_token, open, recorded, settings};

/// KEY-09: a file is known by what it is, not by its path.
#[test]
fn a_hard_link_is_the_same_module() {
    alone(test_name!(a_hard_link_is_the_same_module), |softhsm| {
        let [file, link] = ["module.so", "link.so"].map(|name| softhsm.state().join(name));
        fs::copy(MODULE, &file).unwrap();
        fs::hard_link(&file, &link).unwrap();

        let [first, second] = [&file, &link].map(|path| Module::load(path).unwrap());

        assert_eq!((first.path(), second.path()), (file.as_path(), file.as_path()));
    });
}

/// KEY-09: a wrapper that logs the calls, and p11-kit's proxy, would finalise what the other uses.
#[test]
fn refuses_a_second_way_to_a_module_that_is_loaded() {
    alone(test_name!(refuses_a_second_way_to_a_module_that_is_loaded), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let token = open(softhsm, &name).unwrap();
        for way in [SPY, "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so"] {
            if !Path::new(way).is_file() {
                println!("skipped: {way} is not installed");
                continue;
            }
            for _ in 0..2 {
                let refused = Module::load(Path::new(way)).unwrap_err();
                assert!(
                    matches!(&refused, ModuleError::Shared { others, .. } if others.len() == 1)
                );
                assert_eq!(refused.code(), "hsm-module-shared");
            }
        }
        token.keys().unwrap();
        assert_eq!(token.state().logins, 1);
    });
}

/// KEY-09: what another part of the process has initialised is used, and is not torn down.
#[test]
fn never_finalises_a_module_that_somebody_else_initialised() {
    alone(test_name!(never_finalises_a_module_that_somebody_else_initialised), |softhsm| {
        let other = Pkcs11::new(MODULE).unwrap();
        other.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let name = new_token(softhsm, "issuing");
        let token = Token::open(&module(), settings(softhsm, &name, USER_PIN)).unwrap();
        let key = make_key(&token, KeyType::EcP256, "key");
        let signer = TokenSigner::new(Duration::from_secs(5));
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        let others_session =
            other.open_ro_session(other.get_slots_with_token().unwrap()[0]).unwrap();
        let folders = fs::read_dir(softhsm.tokens()).unwrap();
        for folder in folders.map(|folder| folder.unwrap().path()) {
            fs::remove_dir_all(folder).unwrap();
        }

        for _ in 0..10 {
            let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
            let (_pending, input) =
                recorded(&key, algorithm, SigningKind::Certificate, bytes("lost"));
            signer.sign(&input).unwrap_err();
            thread::sleep(Duration::from_millis(250));
        }

        let state = token.state();
        assert!(state.lost_for.is_some(), "{state:?}");
        assert_eq!(state.initialisations, 0);
        others_session.get_session_info().unwrap();
    });
}
