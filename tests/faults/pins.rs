//! PINs: what the token says of them is heeded before every login.

use std::collections::BTreeMap;

use hsm::{LoginError, OpenError, Token, TokenSettings};
use support::laboratory::{Counter, Function, RESULTS};
use support::softhsm::alone;
use support::test_name;

use crate::fixture::{Bench, Unsigned, markers, module, pin};
use crate::rows::FOREIGN;

/// Promise 6: each flag stops the login before C_Login, at the start and when sessions were lost.
#[test]
fn flags_of_the_user_pin_stop_every_login() {
    alone(test_name!(flags_of_the_user_pin_stop_every_login), |softhsm| {
        let bench = Bench::new(softhsm);
        for (flag, code) in [
            ("CKF_USER_PIN_COUNT_LOW", "hsm-pin-count-low"),
            ("CKF_USER_PIN_FINAL_TRY", "hsm-pin-final-try"),
            ("CKF_USER_PIN_LOCKED", "hsm-pin-locked"),
            ("CKF_USER_PIN_TO_BE_CHANGED", "hsm-pin-must-change"),
        ] {
            let before = bench.laboratory.counted().calls(Function::Login);
            bench.laboratory.disturb(&format!("[[token]]\nset-flags = [\"{flag}\"]\n"));

            let Err(OpenError::Login { source, .. }) = bench.open(1) else { panic!("{flag}") };

            assert_eq!(source.code(), code);
            assert_eq!(bench.laboratory.counted().calls(Function::Login), before, "{flag}");
        }
        bench.laboratory.calm();
        bench.open(1).unwrap();
    });
}

/// Promise 6: sessions are lost while somebody else's wrong PIN has raised a flag.
#[test]
fn a_flag_stops_the_login_after_a_lost_session_too() {
    alone(test_name!(a_flag_stops_the_login_after_a_lost_session_too), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(2);
        let before = bench.laboratory.counted().calls(Function::Login);
        bench.laboratory.disturb(
            "[[token]]\nset-flags = [\"CKF_USER_PIN_COUNT_LOW\"]\n\
             [[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"drop-sessions\"\n",
        );

        for number in 0..3 {
            let Err(Unsigned::Refused(error)) = signing.sign(&format!("refused {number}")) else {
                panic!("signed without a login");
            };
            assert_eq!(error.code(), "hsm-pin-count-low");
        }

        assert_eq!(bench.laboratory.counted().calls(Function::Login), before);
        bench.laboratory.calm();
        signing.sign("the flag is gone").unwrap();
        assert_eq!(bench.laboratory.counted().calls(Function::Login), before + 1);
    });
}

/// Promise 6: a device that calls the right PIN wrong is asked once.
#[test]
fn a_pin_that_was_refused_is_not_sent_again() {
    alone(test_name!(a_pin_that_was_refused_is_not_sent_again), |softhsm| {
        let bench = Bench::new(softhsm);
        for result in ["CKR_PIN_INCORRECT", "CKR_PIN_INVALID", "CKR_PIN_EXPIRED", "CKR_PIN_LOCKED"]
        {
            let before = bench.laboratory.counted().calls(Function::Login);
            bench
                .laboratory
                .disturb(&format!("[[fault]]\nfunction = \"C_Login\"\nresult = \"{result}\"\n"));
            let Err(OpenError::Login { source, .. }) = bench.open(1) else { panic!("{result}") };
            assert!(matches!(source, LoginError::Refused { .. }), "{result}: {source:?}");
            for _ in 0..3 {
                let Err(OpenError::Login { source, .. }) = bench.open(2) else { panic!() };
                assert_eq!(source.code(), "hsm-pin-refused-before", "{result}");
            }
            assert_eq!(bench.laboratory.counted().calls(Function::Login), before + 1, "{result}");
            markers(softhsm).clear(&bench.name).unwrap();
        }
        bench.laboratory.calm();
        bench.open(1).unwrap();
        assert_eq!(bench.laboratory.counted().of(Counter::LoginsWrong), 0);
    });
}

/// Promise 6, KEY-09: the PIN is wrong, the token has counted it, and says whatever it likes of it: the PIN
/// is not sent a second time until an operator has spoken, whichever result it was.
#[test]
fn a_wrong_pin_is_sent_once_whatever_the_device_says_of_it() {
    alone(test_name!(a_wrong_pin_is_sent_once_whatever_the_device_says_of_it), |softhsm| {
        let bench = Bench::new(softhsm);
        each_result_costs(&bench, "", &|_| 1);
    });
}

/// Has a device call a wrong PIN by every result, and counts how often it was sent.
fn each_result_costs(bench: &Bench<'_>, silent: &str, most: &dyn Fn(&str) -> u64) {
    let softhsm = bench.softhsm;
    let wrong = || TokenSettings {
        pin: pin(softhsm, "wrong", "a-wrong-pin-of-32-characters-009"),
        ..bench.settings(1)
    };
    let known = RESULTS.iter().map(|(name, code)| ((*name).to_owned(), *code));
    let foreign = FOREIGN.map(|code| (format!("{code:#x}"), code));
    let mut faults = Vec::new();
    let mut costs = BTreeMap::<u64, u64>::new();
    for (name, code) in known.chain(foreign) {
        let before = bench.laboratory.counted().of(Counter::LoginsWrong);
        bench.laboratory.disturb(&format!(
            "{silent}[[fault]]\nfunction = \"C_Login\"\nresult = {code:#x}\npassed = true\n"
        ));
        // A device may say that the login is there: whoever believes it has no session that signs.
        for _ in 0..4 {
            drop(Token::open(&module(), wrong()));
        }
        let sent = bench.laboratory.counted().of(Counter::LoginsWrong) - before;
        *costs.entry(sent).or_default() += 1;
        // Nothing was sent on from it that could be believed: C_Login said that it is logged in.
        let believed = code == 0;
        if sent == 0 || (sent > most(&name) && !believed) {
            faults.push(format!("{name}: sent {sent} times"));
        }
        // The right PIN takes the token's count back.
        bench.laboratory.calm();
        markers(softhsm).clear(&bench.name).unwrap();
        drop(bench.open(1).unwrap());
    }
    println!("measured: results by how often the wrong PIN was sent = {costs:?}");
    assert!(faults.is_empty(), "{} results\n{}", faults.len(), faults.join("\n"));
}
