//! What module and token tell of themselves.

use cryptoki::mechanism::MechanismType;
use cryptoki::slot::Limit;

use super::bench::Bench;
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop};

pub(super) const CHECKS: [Check; 6] = [
    Check {
        id: "HP-01",
        title: "identity and flags of the token",
        expected: "model and firmware told; LOGIN_REQUIRED, USER_PIN_INITIALIZED and no error state",
        clause: "KEY-01; PKCS#11 v3.1 §3.2, CK_TOKEN_INFO",
        run: Run::Calls(identity),
    },
    Check {
        id: "HP-02",
        title: "random numbers",
        expected: "CKF_RNG, and two draws of 32 octets that differ",
        clause: "KEY-13; PKCS#11 v3.1 §5.19, C_GenerateRandom",
        run: Run::Calls(random),
    },
    Check {
        id: "HP-03",
        title: "PIN length and protected path",
        expected: "PINs of 32 octets fit; no protected authentication path",
        clause: "PKCS#11 v3.1 §3.2, CK_TOKEN_INFO; PINs come from files",
        run: Run::Calls(pin_length),
    },
    Check {
        id: "HP-04",
        title: "mechanisms told",
        expected: "a mechanism that makes EC or RSA key pairs, with the sizes of CA keys",
        clause: "PKCS#11 v3.1 §5.5, C_GetMechanismList, C_GetMechanismInfo",
        run: Run::Calls(mechanisms),
    },
    Check {
        id: "HP-06",
        title: "limit of sessions told",
        expected: "told as infinite or not at all, or as at least three",
        clause: "PKCS#11 v3.1 §3.2, ulMaxSessionCount; what opens is measured by HP-60",
        run: Run::Calls(sessions_told),
    },
    Check {
        id: "HP-07",
        title: "hardware or software",
        expected: "none of the software tokens that are known by name",
        clause: "KEY-01: in environment prod a software token signs only where danger is named",
        run: Run::Calls(software),
    },
];

fn identity(bench: &mut Bench) -> Result<Outcome, Stop> {
    let (_, token) = bench.identity();
    let info = bench.token_info()?;
    let told = format!("{} {}, firmware {}", token.manufacturer, token.model, token.firmware);
    let wrong: Vec<&str> = [
        (token.model.is_empty(), "no model"),
        (!info.login_required(), "no CKF_LOGIN_REQUIRED"),
        (!info.user_pin_initialized(), "no CKF_USER_PIN_INITIALIZED"),
        (!info.token_initialized(), "no CKF_TOKEN_INITIALIZED"),
        (info.write_protected(), "CKF_WRITE_PROTECTED"),
        (info.error_state(), "CKF_ERROR_STATE"),
        (info.user_pin_locked(), "CKF_USER_PIN_LOCKED after a login"),
        (info.user_pin_count_low(), "CKF_USER_PIN_COUNT_LOW after a login"),
    ]
    .into_iter()
    .filter_map(|(is_so, said)| is_so.then_some(said))
    .collect();
    if wrong.is_empty() {
        Ok(Outcome::passed(told))
    } else {
        Ok(Outcome::failed(format!("{told}: {}", wrong.join(", "))))
    }
}

fn random(bench: &mut Bench) -> Result<Outcome, Stop> {
    if !bench.token_info()?.rng() {
        return Ok(Outcome::unsupported("no CKF_RNG"));
    }
    let session = bench.session()?;
    let (mut first, mut second) = ([0; 32], [0; 32]);
    session.generate_random_slice(&mut first)?;
    session.generate_random_slice(&mut second)?;
    if first == second || first == [0; 32] || second == [0; 32] {
        return Ok(Outcome::failed("the same or empty octets twice"));
    }
    Ok(Outcome::passed("two draws differ"))
}

fn pin_length(bench: &mut Bench) -> Result<Outcome, Stop> {
    let info = bench.token_info()?;
    let (least, most) = (info.min_pin_length(), info.max_pin_length());
    let path = info.protected_authentication_path();
    let said = if path { "protected path" } else { "no protected path" };
    let seen = format!("{least} to {most} octets, {said}");
    Ok(if path || least > 32 || (1..32).contains(&most) {
        Outcome::differs(seen)
    } else {
        Outcome::passed(seen)
    })
}

fn mechanisms(bench: &mut Bench) -> Result<Outcome, Stop> {
    let slot = bench.slot();
    let context = bench.module().context();
    let list = context.get_mechanism_list(slot)?;
    let mut seen = Vec::new();
    for (mechanism, name) in [
        (MechanismType::ECC_KEY_PAIR_GEN, "EC"),
        (MechanismType::RSA_PKCS_KEY_PAIR_GEN, "RSA"),
        (MechanismType::ECC_EDWARDS_KEY_PAIR_GEN, "Edwards"),
    ] {
        if list.contains(&mechanism) {
            let info = context.get_mechanism_info(slot, mechanism)?;
            seen.push(format!("{name} {} to {}", info.min_key_size(), info.max_key_size()));
        }
    }
    if seen.is_empty() {
        return Ok(Outcome::differs(format!("{} known to us, none of EC or RSA", list.len())));
    }
    Ok(Outcome::passed(format!("{} known to us; {}", list.len(), seen.join(", "))))
}

fn sessions_told(bench: &mut Bench) -> Result<Outcome, Stop> {
    Ok(match bench.token_info()?.max_session_count() {
        Limit::Infinite => Outcome::passed("infinite"),
        Limit::Unavailable => Outcome::passed("not told"),
        Limit::Max(most @ 3..) => Outcome::passed(most.to_string()),
        Limit::Max(most) => Outcome::failed(format!("{most}: a CA needs three")),
    })
}

fn software(bench: &mut Bench) -> Result<Outcome, Stop> {
    Ok(if bench.is_software() {
        Outcome::differs("a software token: its keys are a file")
    } else {
        Outcome::passed("none of them")
    })
}
