//! PINs: a wrong one is tried once, over restarts, and other people's tries are heeded.

use std::fs;

use hsm::token::{PinState, TokenName};
use hsm::{LoginError, Module, OpenError, Token, token};
use support::softhsm::{SPY, Side, SoftHsm, alone, side};
use support::test_name;

use crate::fixture::{USER_PIN, markers, module, new_token, open, settings};

fn login(opened: Result<Token, OpenError>) -> LoginError {
    match opened {
        Err(OpenError::Login { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

fn only_token(module: &Module) -> TokenName {
    let [facts] = token::list(module).unwrap().try_into().unwrap();
    TokenName { label: facts.label.parse().unwrap(), serial: facts.serial.parse().unwrap() }
}

/// Counted by OpenSC's wrapper, which logs every call that reaches the token.
fn logins(softhsm: &SoftHsm) -> usize {
    let log = fs::read_to_string(softhsm.spy_log()).unwrap();
    log.lines().filter(|line| line.contains(": C_Login")).count()
}

/// Promise 6: one login call in three starts of the program, and none more until the PIN changes.
#[test]
fn a_wrong_pin_is_tried_once_over_three_restarts() {
    let test = test_name!(a_wrong_pin_is_tried_once_over_three_restarts);
    match side() {
        None => {}
        Some(Side::Parent(_)) if !std::path::Path::new(SPY).is_file() => {
            println!("skipped: {SPY} is not installed");
        }
        Some(Side::Parent(softhsm)) => {
            softhsm.succeeds(test, "make");
            softhsm.succeeds(test, "wrong");
            assert_eq!(logins(&softhsm), 1);
            softhsm.succeeds(test, "wrong again");
            softhsm.succeeds(test, "wrong again");
            assert_eq!(logins(&softhsm), 1);
            softhsm.succeeds(test, "right");
            assert_eq!(logins(&softhsm), 2);
        }
        Some(Side::Child { softhsm, phase }) => {
            if phase == "make" {
                new_token(&softhsm, "issuing");
                return;
            }
            let spied = Module::load(std::path::Path::new(SPY)).unwrap();
            let name = only_token(&spied);
            let pin = if phase == "right" { USER_PIN } else { "wrong-pin" };
            let opened = Token::open(&spied, settings(&softhsm, &name, pin));
            match phase.as_str() {
                "wrong" => {
                    let refused = login(opened);
                    assert!(matches!(refused, LoginError::Refused { .. }), "{refused:?}");
                }
                "wrong again" => {
                    let refused = login(opened);
                    assert!(matches!(refused, LoginError::RefusedBefore { .. }), "{refused:?}");
                    assert_eq!(refused.code(), "hsm-pin-refused-before");
                }
                _ => {
                    opened.unwrap();
                    assert!(!markers(&softhsm).path(&name).exists());
                }
            }
        }
    }
}

#[test]
fn many_sessions_try_a_wrong_pin_once() {
    alone(test_name!(many_sessions_try_a_wrong_pin_once), |softhsm| {
        let name = new_token(softhsm, "issuing");

        let refused = login(Token::open(&module(), settings(softhsm, &name, "wrong-pin")));
        assert!(matches!(refused, LoginError::Refused { .. }));
        let refused = login(Token::open(&module(), settings(softhsm, &name, "wrong-pin")));
        assert!(matches!(refused, LoginError::RefusedBefore { .. }));

        let marker = fs::read_to_string(markers(softhsm).path(&name)).unwrap();
        assert!(marker.contains(name.serial.as_str()), "{marker}");
        assert!(!marker.contains("wrong-pin"), "{marker}");
        assert!(marker.len() < 90, "no room for a searchable digest of the PIN: {marker}");
    });
}

/// `CKF_USER_PIN_COUNT_LOW`: somebody else tried, and whose PIN was wrong is not known.
#[test]
fn heeds_a_wrong_pin_that_somebody_else_tried_until_an_operator_clears_it() {
    alone(
        test_name!(heeds_a_wrong_pin_that_somebody_else_tried_until_an_operator_clears_it),
        |softhsm| {
            let name = new_token(softhsm, "issuing");
            let mut tool = std::process::Command::new("pkcs11-tool");
            let tried = softhsm
                .environment(&mut tool)
                .args(["--module", support::softhsm::MODULE, "--token-label", name.label.as_str()])
                .args(["--login", "--pin", "wrong-pin", "--list-objects"])
                .output();
            let Ok(tried) = tried else { return println!("skipped: pkcs11-tool is not installed") };
            assert!(!tried.status.success(), "{tried:?}");
            assert_eq!(token::list(&module()).unwrap()[0].pin, PinState::TriedWrong);

            let refused = login(open(softhsm, &name));
            assert!(matches!(refused, LoginError::TriedWrong), "{refused:?}");
            markers(softhsm).clear(&name).unwrap();
            open(softhsm, &name).unwrap();

            assert_eq!(token::list(&module()).unwrap()[0].pin, PinState::Ready);
        },
    );
}

/// Clearing allows one try, not more.
#[test]
fn clearing_allows_one_more_try_of_the_same_pin() {
    alone(test_name!(clearing_allows_one_more_try_of_the_same_pin), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let wrong = || login(Token::open(&module(), settings(softhsm, &name, "wrong-pin")));

        assert!(matches!(wrong(), LoginError::Refused { .. }));
        markers(softhsm).clear(&name).unwrap();
        assert!(matches!(wrong(), LoginError::Refused { .. }));
        assert!(matches!(wrong(), LoginError::RefusedBefore { .. }));
    });
}

#[test]
fn refuses_a_state_folder_that_others_may_write_to() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();

    assert!(hsm::PinMarkers::in_folder(folder.path()).is_err());
}

/// A marker that somebody has spoilt stops the login rather than being overlooked.
#[test]
fn refuses_to_log_in_past_a_spoilt_marker() {
    alone(test_name!(refuses_to_log_in_past_a_spoilt_marker), |softhsm| {
        let name = new_token(softhsm, "issuing");
        fs::write(markers(softhsm).path(&name), "sigill-pin/1 cleared another\n").unwrap();

        let refused = login(open(softhsm, &name));

        assert!(matches!(refused, LoginError::Attempts(_)), "{refused:?}");
    });
}
