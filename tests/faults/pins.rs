//! PINs: what the token says of them is heeded before every login.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::thread;
use std::time::{Duration, Instant};

use hsm::{Again, LoginError, OpenError, Token, TokenSettings};
use support::demo::until;
use support::laboratory::{Counter, Function, RESULTS};
use support::softhsm::alone;
use support::{test_name, workspace};

use crate::fixture::{Bench, DEADLINE, ROOM, USER_PIN, Unsigned, markers, module, pin};
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

/// KEY-02: who has mended a PIN file need not end the program, and no marker that he clears sends the old
/// PIN once more.
#[test]
fn a_login_sends_the_pin_that_its_file_has_now() {
    alone(test_name!(a_login_sends_the_pin_that_its_file_has_now), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(1);
        let lost = "[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"drop-sessions\"\n";
        pin(softhsm, "used", "a-wrong-pin-of-32-characters-009");
        bench.laboratory.disturb(lost);
        let Err(Unsigned::Refused(error)) = signing.sign("by a wrong PIN") else { panic!() };
        assert_eq!(error.code(), "hsm-pin-refused");
        let sent = bench.laboratory.counted().calls(Function::Login);
        bench.laboratory.calm();

        pin(softhsm, "used", USER_PIN);
        markers(softhsm).clear(&bench.name).unwrap();
        let signed = until(Duration::from_secs(30), || signing.sign("by the right one").ok());

        assert!(signed.is_some());
        let counted = bench.laboratory.counted();
        assert_eq!(counted.calls(Function::Login), sent + 1);
        assert_eq!(counted.of(Counter::LoginsWrong), 1);
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

/// Promise 6, KEY-09: no flag tells of the wrong PIN, as PKCS#11 allows, so that the result is all there is:
/// two tries within a minute, save where it says by its definition that the PIN was not looked at.
#[test]
fn a_wrong_pin_of_which_no_flag_tells_is_sent_twice_in_a_minute() {
    alone(test_name!(a_wrong_pin_of_which_no_flag_tells_is_sent_twice_in_a_minute), |softhsm| {
        let bench = Bench::new(softhsm);
        let page = workspace::root().join("docs/operations/hsm-errors.md");
        let page = fs::read_to_string(page).unwrap();
        let (_, uncounted) = page.split_once("**Not counted**").unwrap();
        let (uncounted, _) = uncounted.split_once("\n\n").unwrap();
        let uncounted: Vec<&str> = uncounted.split('`').skip(1).step_by(2).collect();
        let silent = "[[token]]\nclear-flags = [\"CKF_USER_PIN_COUNT_LOW\"]\n";
        each_result_costs(&bench, silent, &|name| if uncounted.contains(&name) { 4 } else { 2 });
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

/// Promise 6: a device that reports a wrong PIN by a result of another meaning, and by no flag, is sent it
/// twice in a minute and once more, and then never: neither by the program that runs and looks for its
/// token all the time nor by those that start anew.
#[test]
fn logins_in_doubt_are_few_and_then_a_humans_matter() {
    alone(test_name!(logins_in_doubt_are_few_and_then_a_humans_matter), |softhsm| {
        let bench = Bench::new(softhsm);
        let marker = markers(softhsm).path(&bench.name);
        let a_minute_later = || {
            let file = File::options().write(true).open(&marker).unwrap();
            let written = file.metadata().unwrap().modified().unwrap();
            file.set_modified(written - Duration::from_secs(61)).unwrap();
        };
        for result in ["CKR_GENERAL_ERROR", "CKR_DEVICE_ERROR", "CKR_USER_ALREADY_LOGGED_IN"] {
            let signing = bench.signing(1);
            let before = bench.laboratory.counted().calls(Function::Login);
            bench.laboratory.disturb(&format!(
                "[[fault]]\nfunction = \"C_Login\"\nresult = \"{result}\"\n\
                 [[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"drop-sessions\"\n"
            ));
            let sent = || bench.laboratory.counted().calls(Function::Login) - before;
            let refused = || assert!(signing.sign("refused").is_err());
            let second = until(Duration::from_secs(60), || {
                refused();
                (sent() == 2).then_some(())
            });
            assert!(second.is_some(), "{result}: {}", sent());
            // However often callers come after that.
            let asked = Instant::now();
            while asked.elapsed() < Duration::from_secs(4) {
                refused();
                thread::sleep(Duration::from_millis(100));
            }
            assert_eq!(sent(), 2, "{result}");
            a_minute_later();
            let third = until(Duration::from_secs(60), || (sent() == 3).then_some(()));
            assert!(third.is_some(), "{result}: {}", sent());
            a_minute_later();
            thread::sleep(Duration::from_millis(2500));
            let Err(Unsigned::Refused(error)) = signing.sign("refused") else { panic!("{result}") };
            assert_eq!((error.code(), error.again()), ("hsm-pin-in-doubt", Again::Never));
            drop(signing);
            for _ in 0..3 {
                let Err(OpenError::Login { source, .. }) = bench.open(1) else {
                    panic!("{result}")
                };
                assert_eq!(source.code(), "hsm-pin-in-doubt", "{result}");
            }
            assert_eq!(sent(), 3, "{result}");

            bench.laboratory.calm();
            markers(softhsm).clear(&bench.name).unwrap();
            bench.open(1).unwrap();
            assert!(!marker.exists());
        }
        assert_eq!(bench.laboratory.counted().of(Counter::LoginsWrong), 0);
    });
}

/// Promise 6: while a program waits for another one's login, that one tries a wrong PIN. What the token
/// told before it waited is not what counts.
#[test]
fn what_the_token_tells_is_read_when_the_other_program_has_ended_its_login() {
    alone(
        test_name!(what_the_token_tells_is_read_when_the_other_program_has_ended_its_login),
        |softhsm| {
            let bench = Bench::new(softhsm);
            bench.laboratory.calm();
            let before = bench.laboratory.counted().calls(Function::Login);
            let lock = markers(softhsm).path(&bench.name).with_extension("lock");
            let other = File::options().create(true).append(true).open(&lock).unwrap();
            other.lock().unwrap();
            thread::scope(|scope| {
                let opened = scope.spawn(|| bench.open(1).map(drop));
                thread::sleep(Duration::from_millis(700));
                bench.laboratory.disturb("[[token]]\nset-flags = [\"CKF_USER_PIN_COUNT_LOW\"]\n");
                other.unlock().unwrap();

                let Err(OpenError::Login { source, .. }) = opened.join().unwrap() else { panic!() };
                assert_eq!(source.code(), "hsm-pin-count-low");
            });
            assert_eq!(bench.laboratory.counted().calls(Function::Login), before);

            bench.laboratory.calm();
            other.lock().unwrap();
            let began = Instant::now();
            let Err(OpenError::Login { source, .. }) = bench.open(1) else { panic!() };
            assert_eq!(source.code(), "hsm-login-busy");
            assert!(began.elapsed() < DEADLINE + ROOM, "{:?}", began.elapsed());
            other.unlock().unwrap();
            bench.open(1).unwrap();
        },
    );
}

/// Promise 6, KEY-09: a login that came to nothing is not made again at once, however many callers come.
#[test]
fn after_a_login_in_doubt_the_next_is_two_seconds_later() {
    alone(test_name!(after_a_login_in_doubt_the_next_is_two_seconds_later), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(1);
        let before = bench.laboratory.counted().calls(Function::Login);
        bench.laboratory.disturb(
            "[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"drop-sessions\"\n\
             [[fault]]\nfunction = \"C_Login\"\ncalls = \"1\"\nresult = \"CKR_GENERAL_ERROR\"\n",
        );
        let began = Instant::now();
        signing.sign("lost").unwrap_err();

        let signs = until(DEADLINE * 2, || {
            let signed = signing.sign("again");
            let sent = bench.laboratory.counted().calls(Function::Login) - before;
            assert!(sent == 1 || began.elapsed() > Duration::from_secs(1), "sent {sent} times");
            signed.ok()
        });

        assert!(signs.is_some(), "{:?}", signing.token.state());
        assert_eq!(bench.laboratory.counted().calls(Function::Login), before + 2);
    });
}
