//! The deliberately faulty devices of tests/laboratory/faulty do what they say, and what each of them
//! does to the room.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use hsm::{FindKeyError, Removal, SignError};
use support::demo::until;
use support::laboratory::{Counter, Fate, Script, faulty, module};
use support::softhsm::alone;
use support::{test_name, workspace};
use x509::key::KeyType;

use crate::fixture::{Bench, USER_PIN, make_key};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn every_faulty_device_is_a_script() {
    let folder = workspace::root().join("tests/laboratory/faulty");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap().to_owned();
        Script::parse(&faulty(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        names.push(name);
    }
    names.sort();
    assert_eq!(names, ["crowded", "flipping", "forgetful", "leaky", "liar"]);
}

/// Somebody else's tool is told what the script says.
#[test]
fn the_leaky_device_tells_everybody_that_its_keys_are_extractable() {
    alone(test_name!(the_leaky_device_tells_everybody_that_its_keys_are_extractable), |softhsm| {
        let bench = Bench::new(softhsm);
        let token = bench.open(1).unwrap();
        let key = make_key(&token, KeyType::EcP256, "issuing", Removal::Forbidden);
        drop(token);
        bench.laboratory.disturb(&faulty("leaky"));

        let refused = bench.open(1).unwrap().prove(&key).unwrap_err();
        assert!(matches!(refused, SignError::Key(FindKeyError::Refused { .. })), "{refused:?}");

        let listed = list(softhsm, &module(), &bench);
        let Some(listed) = listed else { return };
        assert!(listed.contains("sensitive"), "{listed}");
        assert!(
            listed.contains("extractable") && !listed.contains("never extractable"),
            "{listed}"
        );
    });
}

fn list(softhsm: &support::softhsm::SoftHsm, module: &Path, bench: &Bench<'_>) -> Option<String> {
    let mut tool = Command::new("pkcs11-tool");
    let output = softhsm
        .environment(&mut tool)
        .arg("--module")
        .arg(module)
        .args(["--token-label", bench.name.label.as_str(), "--login", "--pin", USER_PIN])
        .args(["--list-objects", "--type", "privkey"])
        .output();
    let Ok(output) = output else {
        println!("skipped: pkcs11-tool is not installed");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_flipping_device_spoils_every_third_signature_and_none_is_released() {
    alone(
        test_name!(the_flipping_device_spoils_every_third_signature_and_none_is_released),
        |softhsm| {
            let bench = Bench::new(softhsm);
            let signing = bench.signing(1);
            bench.laboratory.disturb(&faulty("flipping"));

            let failed = (0..9).filter(|text| signing.sign(&format!("text {text}")).is_err());

            assert_eq!(failed.count(), 3);
            let signed = bench.laboratory.signed();
            assert_eq!(signed.iter().filter(|signed| signed.fate == Fate::Spoiled).count(), 3);
        },
    );
}

#[test]
fn the_crowded_device_dies_of_two_calls_at_once() {
    alone(test_name!(the_crowded_device_dies_of_two_calls_at_once), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(2);
        bench.laboratory.disturb(&faulty("crowded"));

        let refused = thread::scope(|scope| {
            let callers = [0, 1, 2].map(|caller| {
                let signing = &signing;
                scope.spawn(move || {
                    (0..5).filter(|text| signing.sign(&format!("{caller} {text}")).is_err()).count()
                })
            });
            callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>()
        });

        assert!(refused > 0, "two calls at once killed nothing");
        assert!(bench.laboratory.counted().of(Counter::AtOnce) > 1);
        bench.laboratory.calm();
    });
}

#[test]
fn the_forgetful_device_loses_idle_sessions_which_heal() {
    alone(test_name!(the_forgetful_device_loses_idle_sessions_which_heal), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(1);
        bench.laboratory.disturb(&faulty("forgetful"));
        // Whatever stands still for half a second loses a session in the middle of its work, too.
        let signs = |text| until(PATIENCE, || signing.sign(text).ok()).unwrap();
        signs("first");
        let opened = bench.laboratory.counted().of(Counter::Opened);
        thread::sleep(Duration::from_millis(700));

        signs("after a pause");

        assert!(bench.laboratory.counted().of(Counter::Opened) > opened);
    });
}
