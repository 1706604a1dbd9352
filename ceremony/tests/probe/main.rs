//! `sigill-ceremony hsm probe` as operators run it on a SoftHSM token.

#![expect(
    clippy::unwrap_used,
    reason = "test code throughout; clippy's allowances cover only test functions"
)]

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use hsm::pin::Pin;
use hsm::profile::{Mismatch, Profiled};
use hsm::token::TokenName;
use hsm::{
    KeyId, KeyOrder, Module, NewToken, PinMarkers, Quirks, Removal, Token, TokenSettings,
    init_token,
};
use serde_json::Value;
use support::softhsm::{MODULE, SoftHsm, alone};
use support::test_name;
use x509::key::KeyType;
use zeroize::Zeroizing;

const DEADLINE: Duration = Duration::from_secs(60);

fn write_pin(softhsm: &SoftHsm, file: &str, pin: &str) -> Pin {
    let path = softhsm.pins().join(file);
    Pin::from_drawn(&Zeroizing::new(pin.to_owned())).unwrap().create_file(&path).unwrap();
    Pin::from_file(&path).unwrap()
}

fn new_token(softhsm: &SoftHsm) -> TokenName {
    let new = NewToken {
        label: "sg-td-ab12-spare".parse().unwrap(),
        so_pin: write_pin(softhsm, "so.pin", "officer-pin-of-32-characters-002"),
        user_pin: write_pin(softhsm, "user.pin", "user-pin-of-32-characters-000001"),
    };
    let module = Module::load(Path::new(MODULE)).unwrap();
    init_token(&module, &new, &PinMarkers::in_folder(&softhsm.state()).unwrap()).unwrap()
}

fn run(softhsm: &SoftHsm, name: &TokenName, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigill-ceremony"));
    command.args(["hsm", "probe", "--module", MODULE]);
    command.args(["--label", name.label.as_str(), "--serial", name.serial.as_str()]);
    command.arg("--pin").arg(softhsm.pins().join("user.pin"));
    command.arg("--state").arg(softhsm.state()).args(arguments);
    command.current_dir(softhsm.state());
    softhsm.environment(&mut command).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// KEY-01: a table for people, a profile for programs, and a line for each check while it goes on.
#[test]
fn a_token_is_probed_into_a_table_and_a_profile() {
    alone(test_name!(a_token_is_probed_into_a_table_and_a_profile), |softhsm| {
        let name = new_token(softhsm);
        // A bare name, as the operators' page has it: it lies where the command runs.
        let out = softhsm.state().join("device.json");
        let few = ["--sessions", "6", "--parallel", "2", "--idle", "0"];

        let officer = softhsm.pins().join("so.pin");
        let more = ["--out", "device.json", "--try-wrong-pin"];
        let thrown_away = ["--throw-away", officer.to_str().unwrap()];

        let told = run(softhsm, &name, &[&few[..], &more, &thrown_away].concat());
        let (table, progress) = (text(&told.stdout), text(&told.stderr));
        assert_eq!(told.status.code(), Some(0), "{table}{progress}");
        assert!(table.starts_with("SoftHSM"), "{table}");
        assert!(table.contains("HP-40  passed         ECDSA P-256 over a digest"), "{table}");
        assert!(table.contains("HP-42  not supported"), "{table}");
        assert!(table.contains("HP-65  skipped"), "{table}");
        assert!(table.contains("HP-93  passed         initialising the token again"), "{table}");
        assert!(table.contains("expected: SENSITIVE and not EXTRACTABLE"), "{table}");
        let last = table.trim_end().lines().last().unwrap();
        assert!(last.starts_with("81 checks: ") && !last.contains("FAILED"), "{last}");
        assert!(progress.contains("1/81 HP-01 identity and flags of the token"), "{progress}");
        assert_eq!(progress.lines().count(), 81, "{progress}");

        let profile: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
        assert_eq!(profile["format"], "sigill-device-profile/1");
        assert_eq!(profile["quirks"]["ecdsa"], "raw");
        assert_eq!(profile["quirks"]["pss"], true);
        assert_eq!(profile["rows"].as_array().unwrap().len(), 81);
        let quirks = Profiled::read(&out, Mismatch::Refused).unwrap().quirks();
        assert_eq!(quirks.max_sessions, None);
    });
}

/// Minutes of a probe are not spent for a file that cannot be written.
#[test]
fn nothing_is_probed_for_a_file_that_cannot_be_written() {
    alone(test_name!(nothing_is_probed_for_a_file_that_cannot_be_written), |softhsm| {
        let name = new_token(softhsm);

        for (out, why) in [("none/device.json", "No such file"), (".", "is a folder")] {
            let refused = run(softhsm, &name, &["--out", out]);

            assert_eq!(refused.status.code(), Some(1));
            assert_eq!(text(&refused.stdout), "");
            let line = text(&refused.stderr);
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(
                line.contains(&format!("device profile {out}; nothing was probed: ")),
                "{line}"
            );
            assert!(line.contains(why), "{line}");
        }
    });
}

/// KEY-03: a token with keys is left alone, and the line says how to go on.
#[test]
fn a_token_with_keys_is_refused_by_one_line() {
    alone(test_name!(a_token_with_keys_is_refused_by_one_line), |softhsm| {
        let name = new_token(softhsm);
        let settings = TokenSettings {
            name: name.clone(),
            pin: Pin::from_file(&softhsm.pins().join("user.pin")).unwrap(),
            markers: PinMarkers::in_folder(&softhsm.state()).unwrap(),
            sessions: NonZeroUsize::MIN,
            deadline: DEADLINE,
            quirks: Quirks::default(),
        };
        let order = KeyOrder {
            key_type: KeyType::EcP256,
            label: "issuing".to_owned(),
            id: KeyId::of_step(&[7; 32], "issuing"),
            removal: Removal::Forbidden,
        };
        let module = Module::load(Path::new(MODULE)).unwrap();
        Token::open(&module, settings).unwrap().generate_key(order, DEADLINE).unwrap();

        let refused = run(softhsm, &name, &[]);

        assert_eq!(refused.status.code(), Some(1));
        assert_eq!(text(&refused.stdout), "");
        let line = text(&refused.stderr);
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.starts_with("error: hsm-probe-keys: "), "{line}");
        assert!(line.contains("--beside-keys"), "{line}");

        // What wipes a token is never done beside keys.
        let officer = softhsm.pins().join("so.pin");
        let both = ["--beside-keys", "--throw-away", officer.to_str().unwrap()];
        assert_eq!(run(softhsm, &name, &both).status.code(), Some(2));
    });
}
