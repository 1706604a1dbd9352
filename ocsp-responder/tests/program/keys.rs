//! A token that is there and does not sign: readiness says so, and all heals by itself.

use std::time::{Duration, Instant};

use status::BeforeActivation;
use support::laboratory::{self, Laboratory};
use support::softhsm::{MODULE, alone};
use support::test_name;
use x509::ocsp::CertIdHash;

use crate::client::get;
use crate::faults::{TRY_LATER, status};
use crate::fixture::{World, issued, wait_for};

/// What readiness and its metric say.
fn ready(world: &World) -> (u16, String, bool) {
    let text = |path| {
        let answer = get(world.observe, "localhost", path);
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let (code, lines) = text("/readyz");
    let (_, metrics) = text("/metrics");
    (code, lines, metrics.contains("sigill_ocsp_ready 1\n"))
}

/// Asks for an answer that must be signed, since each has a nonce of its own.
fn ask(world: &World, asked: u8) -> Option<u8> {
    status(world, &world.ca.question(CertIdHash::Sha1, 1, Some(&[asked; 16])))
}

/// Has the responder reach its token through the laboratory.
fn behind_the_laboratory(world: &World) {
    let config = std::fs::read_to_string(world.path("ocsp.toml")).unwrap();
    let module = laboratory::module();
    let config = config.replace(MODULE, &module.to_string_lossy());
    std::fs::write(world.path("ocsp.toml"), config).unwrap();
}

/// KEY-09: a token that is there and takes no login signs nothing: readiness says so before anybody has
/// asked, and is back, without a question, once the token takes it.
#[test]
fn a_token_that_takes_no_login_is_not_ready_and_heals_without_a_question() {
    alone(
        test_name!(a_token_that_takes_no_login_is_not_ready_and_heals_without_a_question),
        |softhsm| {
            let mut world = World::new(softhsm);
            behind_the_laboratory(&world);
            let _server = world.ready();
            world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
            wait_for("good", || ask(&world, 1).is_none().then_some(()));
            let laboratory = Laboratory::of(softhsm);

            laboratory.disturb(
                "[[fault]]\nfunction = \"C_FindObjectsInit\"\ncalls = \"1\"\ndo = \"drop-sessions\"\n\
                 result = \"CKR_SESSION_HANDLE_INVALID\"\n\
                 [[token]]\nset-flags = [\"CKF_USER_PIN_LOCKED\"]\n",
            );

            let lines = wait_for("readiness to say so, with no question asked", || {
                let (code, lines, metric) = ready(&world);
                (code == 503 && !metric).then_some(lines)
            });
            assert!(lines.contains("token: false") && lines.contains("person3"), "{lines}");
            assert!(lines.contains("no answer is kept"), "{lines}");
            for asked in 2..5 {
                assert_eq!(ask(&world, asked), TRY_LATER);
                assert_eq!(ready(&world).0, 503);
            }

            laboratory.calm();
            wait_for("readiness", || {
                (ready(&world) == (200, "ready\n".to_owned(), true)).then_some(())
            });
            assert_eq!(ask(&world, 6), None);
            std::thread::sleep(Duration::from_secs(1));
            assert_eq!(ready(&world), (200, "ready\n".to_owned(), true));
        },
    );
}

/// KEY-09: a delegate key that is gone from a token that works, as from one that was restored from an
/// older backup, is given up, and another is asked for at once.
#[test]
fn a_delegate_key_that_is_gone_from_its_token_is_replaced() {
    alone(test_name!(a_delegate_key_that_is_gone_from_its_token_is_replaced), |softhsm| {
        let mut world = World::new(softhsm);
        world.beat();
        let server = world.start();
        let first = world.answer_request();
        world.wait_until_ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        wait_for("good", || ask(&world, 1).is_none().then_some(()));

        world.destroy_key(softhsm, &first);
        let gone = Instant::now();
        let lines = wait_for("readiness to say so", || {
            let (code, lines, metric) = ready(&world);
            (code == 503 && !metric).then_some(lines)
        });
        assert!(lines.contains("for authority person3 are not signed"), "{lines}");
        assert_eq!(ask(&world, 2), TRY_LATER);

        let second = world.answer_request();
        println!("measured: another key is asked for after {:?}", gone.elapsed());
        assert_ne!(first.spki_hash(), second.spki_hash());
        assert!(server.printed().contains("the delegate is given up"));
        wait_for("readiness", || {
            (ready(&world) == (200, "ready\n".to_owned(), true)).then_some(())
        });
        assert_eq!(ask(&world, 3), None);
        // Nothing is kept that waits for the old one.
        let keys = || std::fs::read_dir(world.path("state/delegates/person3")).unwrap().count();
        assert_eq!(keys(), 1);

        // The public half may stay: it neither passes for the key nor keeps the next one out.
        let Some(tool) = support::tool::find("pkcs11-tool") else { return };
        world.delete_private_half(&tool, "ocsp delegate person3");
        wait_for("readiness to say so", || (ready(&world).0 == 503).then_some(()));
        let third = world.answer_request();
        assert!(![first.spki_hash(), second.spki_hash()].contains(&third.spki_hash()));
        wait_for("readiness", || {
            (ready(&world) == (200, "ready\n".to_owned(), true)).then_some(())
        });
        assert_eq!(ask(&world, 4), None);
        assert_eq!(keys(), 1);
    });
}

/// KEY-09: a delegate whose key was given up signs again when the token shows the key again.
#[test]
fn a_delegate_key_that_comes_back_signs_again() {
    alone(test_name!(a_delegate_key_that_comes_back_signs_again), |softhsm| {
        let mut world = World::new(softhsm);
        behind_the_laboratory(&world);
        let server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        wait_for("good", || ask(&world, 1).is_none().then_some(()));
        let laboratory = Laboratory::of(softhsm);

        laboratory.disturb("[[hide]]\nclass = \"private\"\nlabel = \"ocsp delegate person3\"\n");
        wait_for("the delegate to be given up", || {
            server.printed().contains("the delegate is given up").then_some(())
        });
        let lines = wait_for("readiness to say so", || {
            let (code, lines, _) = ready(&world);
            (code == 503).then_some(lines)
        });
        assert!(lines.contains("no delegate for authority person3"), "{lines}");

        laboratory.calm();
        wait_for("readiness", || {
            (ready(&world) == (200, "ready\n".to_owned(), true)).then_some(())
        });
        assert_eq!(ask(&world, 2), None);
    });
}

/// KEY-09: while every signature hangs in the token, whoever asks is told to try later in time, and gets what is kept; once the
/// token goes on, so do the answers.
#[test]
fn a_token_that_hangs_ends_in_try_later_and_goes_on() {
    alone(test_name!(a_token_that_hangs_ends_in_try_later_and_goes_on), |softhsm| {
        let mut world = World::new(softhsm);
        behind_the_laboratory(&world);
        world.edit_config(|config| config.replace("deadline = 60", "deadline = 3"));
        let _server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        let plain = world.ca.question(CertIdHash::Sha1, 1, None);
        wait_for("an answer that is kept", || status(&world, &plain).is_none().then_some(()));
        let laboratory = Laboratory::of(softhsm);
        let go = softhsm.state().join("go");

        laboratory.disturb(&format!(
            "[[fault]]\nfunction = \"C_Sign\"\ncalls = \"all\"\nhang-until = {go:?}\n"
        ));
        std::thread::scope(|scope| {
            let asked = [1, 2, 3, 4, 5].map(|asked| {
                let world = &world;
                scope.spawn(move || {
                    let began = Instant::now();
                    (ask(world, asked), began.elapsed())
                })
            });
            for (answer, took) in asked.map(|asked| asked.join().unwrap()) {
                println!("measured: told to try later after {took:?}");
                assert_eq!(answer, TRY_LATER);
                assert!(took < Duration::from_secs(20), "{took:?}");
            }
        });
        assert_eq!(status(&world, &plain), None, "a kept answer is given");

        std::fs::write(&go, "").unwrap();
        laboratory.calm();
        let asked = std::cell::Cell::new(5_u8);
        wait_for("answers again", || {
            asked.set(asked.get().wrapping_add(1));
            ask(&world, asked.get()).is_none().then_some(())
        });
    });
}
