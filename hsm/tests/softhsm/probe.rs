//! The probe: SoftHSM measured row by row, faulty devices caught, other keys left alone.

use std::num::NonZeroUsize;
use std::time::Duration;

use hsm::probe::{OtherKeys, ProbeError, ProbeOrder, Report, Verdict, WrongPin, probe};
use hsm::profile::{DeviceProfile, Mismatch, Profiled};
use hsm::token::TokenName;
use hsm::{EcdsaInput, Module};
use support::softhsm::{SoftHsm, alone};
use support::test_name;
use x509::key::KeyType;
use x509::time::UnixTime;

use crate::fixture::{SO_PIN, USER_PIN, make_key, markers, module, new_token, open, pin};
use crate::measured::MEASURED;

fn order(softhsm: &SoftHsm, name: &TokenName) -> ProbeOrder {
    ProbeOrder {
        name: name.clone(),
        pin: pin(softhsm, "probe.pin", USER_PIN),
        markers: markers(softhsm),
        other_keys: OtherKeys::Refuse,
        wrong_pin: WrongPin::Never,
        officer: None,
        sessions: NonZeroUsize::new(16).unwrap(),
        parallel: NonZeroUsize::new(4).unwrap(),
        idle: Some(Duration::from_secs(1)),
        deadline: Duration::from_secs(120),
    }
}

fn probed(module: &Module, order: ProbeOrder) -> Report {
    probe(module, order, &mut |_| {}).unwrap()
}

/// KEY-01, KEY-03: the probe says of SoftHSM what was measured otherwise, row by row.
#[test]
fn softhsm_is_what_was_measured_row_by_row() {
    alone(test_name!(softhsm_is_what_was_measured_row_by_row), |softhsm| {
        let name = new_token(softhsm, "spare");
        let asked = ProbeOrder {
            wrong_pin: WrongPin::Once,
            officer: Some(pin(softhsm, "probe.so", SO_PIN)),
            ..order(softhsm, &name)
        };

        let report = probed(&module(), asked);

        let wrong: Vec<String> = report
            .rows
            .iter()
            .filter(|row| {
                !MEASURED.iter().any(|(id, verdict, seen)| {
                    row.id == *id && row.verdict == *verdict && row.seen.contains(seen)
                })
            })
            .map(|row| format!("{} {} {}", row.id, row.verdict, row.seen))
            .collect();
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(report.rows.len(), MEASURED.len());
        assert_eq!((report.failed().count(), report.left_behind), (0, Some(0)));

        let now = UnixTime::from_secs(1_795_000_000).unwrap();
        let path = softhsm.state().join("profile.json");
        let written = DeviceProfile::of(&report, now, "a test");
        std::fs::write(&path, written.to_json().unwrap()).unwrap();
        let profile = DeviceProfile::read(&path).unwrap();
        assert_eq!(profile, written);
        let quirks = Profiled::new(profile, Mismatch::Refused).unwrap().quirks();
        assert_eq!((quirks.ecdsa, quirks.max_sessions), (EcdsaInput::Raw, None));
        // Nothing is left: an empty token is what the next probe finds.
        assert!(open(softhsm, &name).unwrap().keys().unwrap().is_empty());
        assert!(!markers(softhsm).path(&name).exists());
    });
}

/// KEY-03: a probe beside a CA's keys leaves them alone, and without leave it does nothing.
#[test]
fn a_token_with_keys_is_refused_unless_its_operator_says_otherwise() {
    alone(test_name!(a_token_with_keys_is_refused_unless_its_operator_says_otherwise), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let token = open(softhsm, &name).unwrap();
        let key = make_key(&token, KeyType::EcP256, "issuing-1");
        drop(token);

        let refused = probe(&module(), order(softhsm, &name), &mut |_| {}).unwrap_err();
        assert!(matches!(refused, ProbeError::HoldsKeys { keys: 1, .. }), "{refused:?}");
        assert_eq!(refused.code(), "hsm-probe-keys");

        let beside = ProbeOrder {
            other_keys: OtherKeys::Beside,
            wrong_pin: WrongPin::Once,
            officer: Some(pin(softhsm, "probe.so", SO_PIN)),
            ..order(softhsm, &name)
        };
        let report = probed(&module(), beside);
        assert_eq!(report.failed().count(), 0, "{:?}", report.failed().collect::<Vec<_>>());
        for id in ["HP-68", "HP-30", "HP-69", "HP-92", "HP-93"] {
            let row = report.rows.iter().find(|row| row.id == id).unwrap();
            assert_eq!(row.verdict, Verdict::Skipped, "{id} where keys are: {}", row.seen);
        }
        let token = open(softhsm, &name).unwrap();
        token.prove(&key).unwrap();
        assert_eq!(token.keys().unwrap().len(), 1);
    });
}
