//! Sessions, slots and tokens that come and go.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hsm::{SignError, SignatureMayExist, SigningService as _};
use support::budget;
use support::demo::until;
use support::laboratory::{Counter, Function};
use support::softhsm::alone;
use support::test_name;

use crate::fixture::{Bench, DEADLINE, INTENT, ROOM, Signing, Unsigned, input_of};

/// KEY-09: slots are numbered anew, at once or with the module's next initialisation.
#[test]
fn renumbered_slots_are_found_again() {
    alone(test_name!(renumbered_slots_are_found_again), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(3);
        for (number, script) in [
            "[slots]\nadd = 1000\n[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"drop-sessions\"\n",
            "[slots]\nadd = 77\nwhen = \"initialise\"\n\
             [[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"finalise\"\n",
        ]
        .iter()
        .enumerate()
        {
            let before = bench.laboratory.counted().of(Counter::LoginsRight);
            bench.laboratory.disturb(script);
            for text in 0..6 {
                signing.sign(&format!("renumbered {number} {text}")).unwrap();
            }
            let logins = bench.laboratory.counted().of(Counter::LoginsRight) - before;
            assert_eq!(logins, 1, "{script}");
        }
    });
}

/// KEY-09: the token is away for a second; callers are told, and the first signature after its return
/// is there within five seconds, without another hand.
#[test]
fn a_token_that_returns_signs_within_five_seconds() {
    alone(test_name!(a_token_that_returns_signs_within_five_seconds), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(3);
        let away = Duration::from_millis(1000);
        let before = bench.laboratory.counted();
        bench.laboratory.disturb(&format!("[[token]]\nmissing-ms = {}\n", away.as_millis()));
        let began = Instant::now();
        let mut refused = 0;
        let recovered = loop {
            match signing.sign(&format!("away {refused}")) {
                Ok(()) => break began.elapsed(),
                Err(Unsigned::Refused(error)) => {
                    assert_eq!(error.signature_may_exist(), SignatureMayExist::No, "{error:?}");
                    refused += 1;
                }
                Err(Unsigned::Wrong) => panic!("a wrong signature"),
            }
            assert!(began.elapsed() < away + budget::recovery(), "not recovered");
            thread::sleep(Duration::from_millis(20));
        };
        println!("recovered {:?} after the return, {refused} refusals", recovered - away);

        assert!(refused > 0);
        let after = bench.laboratory.counted();
        // A caller may log in just before the module is initialised anew.
        let calls = |function| after.calls(function) - before.calls(function);
        let logins = after.of(Counter::LoginsRight) - before.of(Counter::LoginsRight);
        println!("measured: logins = {logins}");
        assert!((1..=calls(Function::Initialize) + 1).contains(&logins), "{logins}");
        assert_eq!(after.of(Counter::LoginsWrong), 0);
    });
}

/// KEY-09: a login that was ended elsewhere, and a module that was finalised elsewhere, cost one login
/// each and no signature.
#[test]
fn what_others_end_is_begun_again_by_one_login() {
    alone(test_name!(what_others_end_is_begun_again_by_one_login), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(3);
        for act in ["log-out", "drop-session", "drop-sessions", "finalise"] {
            let before = bench.laboratory.counted().of(Counter::LoginsRight);
            bench.laboratory.disturb(&format!(
                "[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"{act}\"\n"
            ));
            // Nobody survives a C_Finalize while another thread is in the module (PKCS#11 v3.1 §5.4).
            let callers = if act == "finalise" { 1 } else { 6 };
            thread::scope(|scope| {
                for caller in 0..callers {
                    let signing = &signing;
                    scope.spawn(move || {
                        for text in 0..5 {
                            signing.sign(&format!("{act} {caller} {text}")).unwrap();
                        }
                    });
                }
            });
            let logins = bench.laboratory.counted().of(Counter::LoginsRight) - before;
            assert_eq!(logins, u64::from(act != "drop-session"), "{act}");
        }
        let counted = bench.laboratory.counted();
        assert_eq!(counted.of(Counter::SharedSession), 0);
        assert_eq!(counted.of(Counter::AfterFinalise), 0);
    });
}

/// KEY-10: a call that hangs is given up at the deadline, may have signed, and disturbs no other.
#[test]
fn a_call_that_hangs_costs_its_caller_only() {
    alone(test_name!(a_call_that_hangs_costs_its_caller_only), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(2);
        proven_on(2, &bench, &signing);
        let struck = || bench.laboratory.counted().of(Counter::Struck);
        let before = struck();
        let go = softhsm.state().join("go");
        bench.laboratory.disturb(&format!(
            "[[fault]]\nfunction = \"C_Sign\"\nasks = \"value\"\ncalls = \"1\"\nhang-until = {go:?}\n"
        ));
        thread::scope(|scope| {
            let hung = scope.spawn(|| {
                let began = Instant::now();
                (signing.sign("hung"), began.elapsed())
            });
            while struck() == before {
                thread::sleep(Duration::from_millis(10));
            }
            for text in 0..20 {
                signing.sign(&format!("beside {text}")).unwrap();
            }
            let (refused, took) = hung.join().unwrap();
            let Err(Unsigned::Refused(error)) = refused else { panic!("signed while it hung") };
            assert!(matches!(error, SignError::Unanswered { .. }), "{error:?}");
            assert_eq!(error.signature_may_exist(), SignatureMayExist::Perhaps);
            assert!(took < DEADLINE + ROOM, "{took:?}");
        });
        std::fs::write(&go, "").unwrap();
        signing.sign("afterwards").unwrap();
    });
}

/// Has the key prove itself on so many sessions, so that what hangs afterwards is no proof: each must be at work
/// before any goes on. One caller after another could all be served by the session that is awake.
fn proven_on(sessions: u64, bench: &Bench<'_>, signing: &Signing) {
    let go = bench.softhsm.state().join("proven");
    bench.laboratory.disturb(&format!(
        "[[fault]]\nfunction = \"C_Sign\"\nasks = \"value\"\ncalls = \"all\"\nhang-until = {go:?}\n"
    ));
    thread::scope(|scope| {
        for caller in 0..sessions {
            scope.spawn(move || signing.sign(&format!("before {caller}")).unwrap());
        }
        let at_work = || bench.laboratory.counted().of(Counter::Struck) == sessions;
        assert!(until(DEADLINE, || at_work().then_some(())).is_some(), "not all at work");
        std::fs::write(&go, "").unwrap();
    });
    bench.laboratory.calm();
}

/// KEY-09, KEY-14: a caller who gives up before the key is asked knows that it is not asked, also when the
/// call that hung goes on.
#[test]
fn a_call_that_was_given_up_before_signing_signs_nothing_when_it_goes_on() {
    let test = test_name!(a_call_that_was_given_up_before_signing_signs_nothing_when_it_goes_on);
    alone(test, |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(1);
        for function in ["C_OpenSession", "C_FindObjects"] {
            let go = softhsm.state().join(function);
            bench.laboratory.disturb(&format!(
                "[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"drop-session\"\n\
                 [[fault]]\nfunction = \"{function}\"\ncalls = \"1\"\nhang-until = {go:?}\n"
            ));

            let refused = signing.sign(function);

            let Err(Unsigned::Refused(error)) = refused else { panic!("{refused:?}") };
            assert!(matches!(error, SignError::Stalled { .. }), "{error:?}");
            assert_eq!(error.signature_may_exist(), SignatureMayExist::No);
            come_back(&signing, &go);
            let input = input_of(function.as_bytes());
            assert!(!bench.laboratory.signed().iter().any(|signed| signed.is_over(&input)));
            assert_eq!(signing.signer.late_signatures(), []);
            signing.sign(&format!("after {function}")).unwrap();
        }
    });
}

/// KEY-14: a signature that comes when its caller has given up is told of, by intent, key and token.
#[test]
fn a_signature_that_comes_late_is_told_of_once() {
    alone(test_name!(a_signature_that_comes_late_is_told_of_once), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(1);
        let go = softhsm.state().join("go");
        bench.laboratory.disturb(&format!(
            "[[fault]]\nfunction = \"C_Sign\"\nasks = \"value\"\ncalls = \"1\"\nhang-until = {go:?}\n"
        ));
        let refused = signing.sign("late");
        let Err(Unsigned::Refused(error)) = refused else { panic!("{refused:?}") };
        assert!(matches!(error, SignError::Unanswered { .. }), "{error:?}");
        assert_eq!(signing.signer.late_signatures(), []);

        come_back(&signing, &go);

        let late = signing.signer.late_signatures();
        let [one] = late.as_slice() else { panic!("{late:?}") };
        assert_eq!((one.key, &one.token), (signing.key.spki_hash(), &bench.name));
        assert_eq!(one.intent, INTENT);
        assert_eq!(signing.signer.late_signatures(), [], "told once");
        let uses = signing.signer.uses();
        assert_eq!((uses[0].late, uses[0].signatures), (1, 0));
    });
}

/// Lets the call that hangs go on, and waits until it has ended.
fn come_back(signing: &Signing, go: &Path) {
    let hung = |count| until(DEADLINE, || (signing.token.state().hung == count).then_some(()));
    assert!(hung(1).is_some(), "{:?}", signing.token.state());
    std::fs::write(go, "").unwrap();
    assert!(hung(0).is_some(), "{:?}", signing.token.state());
}

/// A device with fewer sessions than were configured signs all the same.
#[test]
fn a_device_with_few_sessions_signs_with_those() {
    alone(test_name!(a_device_with_few_sessions_signs_with_those), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(4);
        bench.laboratory.disturb("[sessions]\nmost = 3\n[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"drop-sessions\"\n");

        let mut refused = Vec::new();
        for text in 0..20 {
            match signing.sign(&format!("few {text}")) {
                Ok(()) => {}
                Err(Unsigned::Refused(error)) => refused.push(error),
                Err(Unsigned::Wrong) => panic!("a wrong signature"),
            }
        }

        for error in &refused {
            assert_eq!(error.signature_may_exist(), SignatureMayExist::No);
            let call = crate::fixture::failed_call(error).unwrap();
            assert_eq!((call.function(), call.result()), ("C_OpenSession", "CKR_SESSION_COUNT"));
        }
        assert!(refused.len() < 20, "{refused:?}");
        assert!(bench.laboratory.counted().calls(Function::OpenSession) > 3);
    });
}
