//! PINs: a wrong one is tried once, over restarts, and other people's tries are heeded.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use hsm::token::{PinState, TokenName};
use hsm::{LoginError, Module, OpenError, Token, TokenSettings, token};
use support::pin_marker;
use support::softhsm::{SPY, Side, SoftHsm, alone, side};
use support::test_name;

use crate::fixture::{USER_PIN, markers, module, new_token, open, pin, settings};

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
            let marker = markers(&softhsm).path(&name);
            if phase == "right" && pin_marker::holds(&fs::read_to_string(marker).unwrap(), pin) {
                markers(&softhsm).clear(&name).unwrap();
            }
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

/// Two programs that start at the same moment share the marker and its lock.
#[test]
fn programs_that_start_together_try_a_wrong_pin_once() {
    let test = test_name!(programs_that_start_together_try_a_wrong_pin_once);
    match side() {
        None => {}
        Some(Side::Parent(_)) if !std::path::Path::new(SPY).is_file() => {
            println!("skipped: {SPY} is not installed");
        }
        Some(Side::Parent(softhsm)) => {
            softhsm.succeeds(test, "make");
            std::thread::scope(|scope| {
                for number in 0..4 {
                    let softhsm = &softhsm;
                    scope.spawn(move || softhsm.succeeds(test, &format!("wrong {number}")));
                }
            });
            assert_eq!(logins(&softhsm), 1);
        }
        Some(Side::Child { softhsm, phase }) => {
            if phase == "make" {
                new_token(&softhsm, "issuing");
                return;
            }
            let spied = Module::load(std::path::Path::new(SPY)).unwrap();
            let name = only_token(&spied);
            let settings = TokenSettings {
                pin: pin(&softhsm, &phase, "wrong-pin"),
                ..settings(&softhsm, &name, &phase)
            };
            login(Token::open(&spied, settings));
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
            assert!(matches!(refused, LoginError::TriedWrong { .. }), "{refused:?}");
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

/// KEY-02: what is typed is not shown. The terminal is a real one, made by `script`.
#[test]
fn a_typed_pin_opens_the_token_and_is_not_shown() {
    let test = test_name!(a_typed_pin_opens_the_token_and_is_not_shown);
    match side() {
        None => {}
        Some(Side::Parent(softhsm)) => {
            softhsm.succeeds(test, "make");
            let Some(shown) = on_a_terminal(&softhsm, test, "ask") else {
                return println!("skipped: script is not installed");
            };
            assert!(shown.contains("1 passed"), "{shown}");
            assert!(!shown.contains(USER_PIN), "{shown}");
        }
        Some(Side::Child { softhsm, phase }) => {
            if phase == "make" {
                new_token(&softhsm, "issuing");
                return;
            }
            let name = only_token(&module());
            let typed = hsm::pin::Pin::from_terminal(&format!("PIN of {name}: ")).unwrap();
            let settings = TokenSettings { pin: typed, ..settings(&softhsm, &name, "not-it") };
            Token::open(&module(), settings).unwrap();
        }
    }
}

/// Runs a phase of `test` on a terminal, types the PIN when asked, and returns all that was shown.
fn on_a_terminal(softhsm: &SoftHsm, test: &str, phase: &str) -> Option<String> {
    let program = std::env::current_exe().unwrap();
    let command = format!("{} --exact {test} --nocapture --test-threads=1", program.display());
    let mut script = std::process::Command::new("script");
    let mut child = softhsm
        .child_environment(&mut script, phase)
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let mut octet = [0];
    while output.read(&mut octet).unwrap() == 1 {
        shown.push(octet[0]);
        if shown.ends_with(b"): ") {
            writeln!(input, "{USER_PIN}").unwrap();
        }
    }
    child.wait().unwrap();
    Some(String::from_utf8_lossy(&shown).into_owned())
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
