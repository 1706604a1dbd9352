//! The probe catches each deliberately faulty device by the checks that are there for its fault.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use hsm::probe::{OtherKeys, ProbeOrder, Report, Verdict, WrongPin, probe};
use hsm::{Quirks, TokenSettings};
use support::demo::until;
use support::laboratory::{Counter, Laboratory, faulty};
use support::softhsm::{SO_PIN, SoftHsm, alone};
use support::test_name;

use crate::fixture::{Bench, USER_PIN, markers, module, pin};

fn order(bench: &Bench<'_>) -> ProbeOrder {
    let softhsm = bench.softhsm;
    ProbeOrder {
        name: bench.name.clone(),
        pin: pin(softhsm, "probe", USER_PIN),
        markers: markers(softhsm),
        other_keys: OtherKeys::Refuse,
        wrong_pin: WrongPin::Once,
        officer: None,
        sessions: NonZeroUsize::new(16).unwrap(),
        parallel: NonZeroUsize::new(4).unwrap(),
        idle: Some(Duration::from_secs(1)),
        deadline: Duration::from_secs(120),
    }
}

/// Probes a token of the faulty device `name`.
fn probed(softhsm: &SoftHsm, name: &str) -> Report {
    let bench = Bench::new(softhsm);
    bench.laboratory.disturb(&faulty(name));
    let report = probe(&module(), order(&bench), &mut |_| {}).unwrap();
    bench.laboratory.calm();
    report
}

fn verdict(report: &Report, id: &str) -> (Verdict, String) {
    let row = report.rows.iter().find(|row| row.id == id).unwrap();
    (row.verdict, row.seen.clone())
}

/// Each of `ids` is a failed check, and says what of the words behind it.
fn fails(report: &Report, ids: &[(&str, &str)]) {
    let failed: Vec<_> = report.failed().map(|row| format!("{} {}", row.id, row.seen)).collect();
    for (id, words) in ids {
        let (verdict, seen) = verdict(report, id);
        assert!(
            verdict == Verdict::Failed && seen.contains(words),
            "{id}: {verdict}, {seen}; failed are {failed:#?}"
        );
    }
    println!("{failed:#?}");
}

/// KEY-10: wrong signatures are seen in every check that signs more than two.
#[test]
fn a_device_that_gets_signatures_wrong_is_caught() {
    alone(test_name!(a_device_that_gets_signatures_wrong_is_caught), |softhsm| {
        let report = probed(softhsm, "flipping");

        let wrong = "do not verify";
        fails(&report, &[("HP-40", wrong), ("HP-45", wrong), ("HP-49", wrong), ("HP-61", wrong)]);
        assert!(report.measured.ecdsa.is_none(), "such a device gives no way to sign");
    });
}

/// KEY-03: keys that are told as extractable, can be read and can be wrapped.
#[test]
fn a_device_that_hands_keys_out_is_caught() {
    alone(test_name!(a_device_that_hands_keys_out_is_caught), |softhsm| {
        let report = probed(softhsm, "leaky");

        fails(&report, &[("HP-10", ""), ("HP-16", "is told"), ("HP-17", ""), ("HP-18", "wraps")]);
        assert_eq!(report.measured.key_types, Vec::<String>::new());
    });
}

/// KEY-03: what is told of a key is not believed.
#[test]
fn a_device_that_only_says_that_keys_are_safe_is_caught() {
    alone(test_name!(a_device_that_only_says_that_keys_are_safe_is_caught), |softhsm| {
        let report = probed(softhsm, "liar");

        fails(&report, &[("HP-16", "is told"), ("HP-18", "wraps")]);
        assert_eq!(verdict(&report, "HP-17").0, Verdict::Passed, "it tells what is wanted");
    });
}

/// KEY-09: a device that dies of calls at once, and gives fewer sessions than it says.
#[test]
fn a_device_that_bears_no_parallel_calls_is_caught() {
    alone(test_name!(a_device_that_bears_no_parallel_calls_is_caught), |softhsm| {
        let report = probed(softhsm, "crowded");

        assert_eq!(report.measured.max_sessions, NonZeroUsize::new(3));
        fails(&report, &[("HP-61", "CKR_DEVICE_ERROR")]);
        assert_eq!(report.left_behind, None);
        assert!(Laboratory::of(softhsm).counted().of(Counter::AtOnce) > 1);
    });
}

/// KEY-01: a device that says it did what the security officer asked, and did nothing.
#[test]
fn a_device_that_does_not_obey_its_officer_is_caught() {
    alone(test_name!(a_device_that_does_not_obey_its_officer_is_caught), |softhsm| {
        let bench = Bench::new(softhsm);
        let idle = "[[fault]]\nfunction = [\"C_InitPIN\", \"C_InitToken\"]\nresult = \"CKR_OK\"\n";
        bench.laboratory.disturb(idle);
        let officer = Some(pin(softhsm, "officer", SO_PIN));
        let order = ProbeOrder { officer, idle: None, ..order(&bench) };

        let report = probe(&module(), order, &mut |_| {}).unwrap();

        fails(
            &report,
            &[("HP-92", "the new PIN"), ("HP-93", "a wrong PIN of the security officer")],
        );
        assert_eq!(report.left_behind, Some(0), "the right PIN still logs in");
        // A wrong PIN of the officer is the operator's mistake, and tried once.
        bench.laboratory.calm();
        let officer = Some(pin(softhsm, "officer", "another-pin-of-32-characters-003"));
        let order = ProbeOrder { officer, idle: None, ..self::order(&bench) };
        let wrong = bench.laboratory.counted().of(Counter::LoginsWrong);
        let report = probe(&module(), order, &mut |_| {}).unwrap();
        fails(&report, &[("HP-30", "login of the security officer")]);
        for id in ["HP-92", "HP-69", "HP-93"] {
            assert_eq!(verdict(&report, id).0, Verdict::Skipped, "{id}");
        }
        // One is the probe's own wrong user PIN.
        assert_eq!(bench.laboratory.counted().of(Counter::LoginsWrong), wrong + 2);
    });
}

/// KEY-09: a call that does not come back is a failed check, and the probe ends with every row.
#[test]
fn a_call_that_hangs_ends_the_probe_and_not_the_prober() {
    alone(test_name!(a_call_that_hangs_ends_the_probe_and_not_the_prober), |softhsm| {
        let bench = Bench::new(softhsm);
        let hang = "[[fault]]\nfunction = \"C_GenerateRandom\"\nhang-ms = 120000\n";
        bench.laboratory.disturb(hang);
        let deadline = Duration::from_secs(20);
        let order = ProbeOrder { deadline, idle: None, ..order(&bench) };

        let report = probe(&module(), order, &mut |_| {}).unwrap();

        // One of the first checks: those before it are quick on any machine.
        fails(&report, &[("HP-02", "no answer within 20 s")]);
        let after = report.rows.iter().skip_while(|row| row.id != "HP-02").skip(1);
        let skipped: Vec<_> = after.map(|row| row.verdict).collect();
        assert!(skipped.len() > 50 && skipped.iter().all(|one| *one == Verdict::Skipped));
        assert_eq!(report.left_behind, None);
    });
}

/// KEY-09: what the probe measured keeps the programs within the sessions that a device gives.
#[test]
fn a_device_with_few_sessions_is_not_asked_for_more() {
    alone(test_name!(a_device_with_few_sessions_is_not_asked_for_more), |softhsm| {
        let bench = Bench::new(softhsm);
        // Beside three that sign: one that holds the login, and one that makes keys.
        bench.laboratory.disturb("[sessions]\nmost = 5\n");
        let most_open = |quirks: Quirks| {
            let settings = TokenSettings { quirks, ..bench.settings(8) };
            let signing = bench.signing_by(settings);
            let failed = thread::scope(|scope| {
                let callers = [0; 8].map(|_| {
                    scope.spawn(|| (0..10).filter(|_| signing.sign("text").is_err()).count())
                });
                callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>()
            });
            (failed, bench.laboratory.counted().of(Counter::MostOpen))
        };

        let within = Quirks { max_sessions: NonZeroUsize::new(5), ..Quirks::default() };
        let (failed, most) = most_open(within);
        assert_eq!(failed, 0);
        assert!(most < 5, "three that sign and one that holds the login, not {most}");

        // Without it the device is asked for as many as the configuration says: callers meet in slow calls.
        let slow = "[[fault]]\nfunction = \"C_Sign\"\nasks = \"value\"\nhang-ms = 50\n";
        bench.laboratory.disturb(&format!("[sessions]\nmost = 5\n{slow}"));
        let most = until(Duration::from_secs(60), || {
            let (failed, most) = most_open(Quirks::default());
            println!("measured: without {failed} failed, {most} open at most");
            (most >= 5).then_some(most)
        });
        assert!(most.is_some(), "callers that meet ask for more than the profile allows");
    });
}

/// KEY-09: sessions that end by themselves, and wrong PINs that are not told of.
#[test]
fn a_device_that_forgets_sessions_and_pins_is_caught() {
    alone(test_name!(a_device_that_forgets_sessions_and_pins_is_caught), |softhsm| {
        let report = probed(softhsm, "forgetful");

        fails(&report, &[("HP-65", "CKR_SESSION_HANDLE_INVALID")]);
        assert_eq!(report.measured.idle_seconds, None);
        let (verdict, seen) = verdict(&report, "HP-68");
        assert!(verdict == Verdict::Differs && seen.contains("not told"), "{verdict} {seen}");
    });
}

/// KEY-10: an operation that a refused call has left under way costs one check and not all that follow,
/// and the probe's objects are removed all the same.
#[test]
fn an_operation_that_is_left_under_way_costs_one_check() {
    alone(test_name!(an_operation_that_is_left_under_way_costs_one_check), |softhsm| {
        let bench = Bench::new(softhsm);
        bench.laboratory.disturb(
            "[mechanisms]\nmost-bits = 2048\n[[fault]]\nfunction = [\"C_Encrypt\", \"C_SignFinal\"]\n\
             calls = \"1-2\"\nresult = \"CKR_CANCEL\"\n",
        );
        let order = ProbeOrder { idle: None, wrong_pin: WrongPin::Never, ..order(&bench) };

        let report = probe(&module(), order, &mut |_| {}).unwrap();

        let active = report.rows.iter().filter(|row| row.seen.contains("CKR_OPERATION_ACTIVE"));
        let active: Vec<_> = active.map(|row| format!("{} {}", row.id, row.seen)).collect();
        assert!((1..=2).contains(&active.len()), "{active:#?}");
        assert_eq!(report.left_behind, Some(0));
    });
}
