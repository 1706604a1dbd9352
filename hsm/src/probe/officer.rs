//! What only the security officer may do, and what locks or wipes a token: on an empty token whose
//! operator gave the officer's PIN and so threw it away. Each check leaves label and PINs as they were.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType as DeviceKeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use x509::key::KeyType;
use zeroize::Zeroizing;

use super::bench::{Bench, ID, LABEL, TURN, Use};
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop, call, is_gone, result};
use super::parallel::open_beside;
use super::truth::flag;
use super::wrap::PAD;
use super::{pairs, sign};
use crate::failure::causes;
use crate::pin::Pin;
use crate::pool::deadline_in;

pub(super) const CHECKS: [Check; 4] = [
    Check {
        id: "HP-30",
        title: "CKA_TRUSTED set by the security officer",
        expected: "possible for keys that wrap, and no way around the user's login",
        clause: "PKCS#11 v3.1 §4.10",
        run: Run::Calls(trusted),
    },
    Check {
        id: "HP-92",
        title: "security officer sets a new user PIN",
        expected: "the new PIN signs with the old keys",
        clause: "PKCS#11 v3.1 §5.5, C_InitPIN",
        run: Run::Calls(new_user_pin),
    },
    Check {
        id: "HP-69",
        title: "lock-out of the user after wrong PINs",
        expected: "locked after a few, until the security officer sets the PIN again",
        clause: "KEY-04; PKCS#11 v3.1 §3.2, CKF_USER_PIN_LOCKED",
        run: Run::Calls(lock_out),
    },
    Check {
        id: "HP-93",
        title: "initialising the token again",
        expected: "wipes all objects, and a wrong security officer's PIN is refused",
        clause: "PKCS#11 v3.1 §5.5, C_InitToken; KEY-08",
        run: Run::Calls(initialised_again),
    },
];

/// Closes everything and logs the security officer in.
fn log_in(bench: &mut Bench, officer: &Pin) -> Result<Session, Stop> {
    bench.close();
    let session = bench.module().context().open_rw_session(bench.slot())?;
    match bench.log_in_to(&session, UserType::So, officer) {
        Ok(()) => Ok(session),
        Err(error) => {
            // Never again in this run: a login of the user in between takes the marker away.
            bench.order.officer = None;
            let said = format!("login of the security officer: {}", causes(&error));
            Err(Stop::Row(Outcome::failed(said)))
        }
    }
}

/// Has the officer set the user's PIN; nobody stays logged in.
fn set_user_pin(bench: &mut Bench, officer: &Pin, pin: &Pin) -> Result<(), Stop> {
    let session = log_in(bench, officer)?;
    let set = session.init_pin(pin.secret());
    session.logout()?;
    Ok(set?)
}

/// A PIN that is not the operator's.
fn drawn(text: &str) -> Result<Pin, Stop> {
    Pin::from_drawn(&Zeroizing::new(text.to_owned()))
        .map_err(|error| Stop::Row(Outcome::skipped(error.to_string())))
}

/// The probe itself tried wrong PINs, so the right one may be tried once.
fn allow_one_login(bench: &Bench) -> Result<(), Stop> {
    let cleared = bench.order.markers.clear(&bench.order.name);
    cleared.map_err(|error| Stop::Row(Outcome::failed(causes(&error))))
}

fn trusted(bench: &mut Bench) -> Result<Outcome, Stop> {
    let officer = bench.thrown_away()?;
    // Held to the end, for the objects that belong to it.
    let session = log_in(bench, &officer)?;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(DeviceKeyType::AES),
        Attribute::Token(bench.on_token),
        Attribute::Label(format!("{LABEL}trusted").into_bytes()),
        Attribute::Id(ID.to_vec()),
        Attribute::Private(false),
        Attribute::Wrap(true),
        Attribute::Encrypt(true),
        Attribute::Value(vec![7; 32]),
    ];
    let plain = session.create_object(&template);
    let later = plain.map(|key| session.update_attributes(key, &[Attribute::Trusted(true)]));
    let later = match later {
        Ok(Ok(())) => "taken".to_owned(),
        Ok(Err(error)) | Err(error) => result(&error),
    };
    let made = session.create_object(&[&template[..], &[Attribute::Trusted(true)]].concat());
    let is_trusted =
        |key: &_| flag(&session, *key, AttributeType::Trusted).is_some_and(|trusted| trusted);
    let made = made.map(|key| is_trusted(&key).then_some(key));
    session.logout()?;
    let key = match made {
        Ok(Some(key)) => key,
        Ok(None) => {
            return Ok(Outcome::unsupported(format!("set later: {later}; made without it")));
        }
        Err(error) if is_gone(&error) => return Err(Stop::Call(error)),
        Err(error) => {
            let said = format!("set later: {later}; when made: {}", result(&error));
            return Ok(Outcome::unsupported(said));
        }
    };
    let without_login = session.encrypt(&Mechanism::AesEcb, key, &[0; 16]).is_ok();
    let extra = [Attribute::WrapWithTrusted(true)];
    let pair = pairs::make(bench, KeyType::EcP256, Use::Move, &extra)?;
    let logged_in = bench.session()?;
    let wrapped = PAD.with(|mechanism| logged_in.wrap_key(mechanism, key, pair.private));
    let wraps = wrapped.map_or_else(|error| result(&error), |_| "wraps".to_owned());
    logged_in.destroy_object(key)?;
    let seen = format!("set later: {later}; made with it, not private: {wraps}");
    Ok(if without_login {
        Outcome::differs(format!("{seen}; the key is used without any login"))
    } else {
        Outcome::passed(format!("{seen}; not used without a login"))
    })
}

fn new_user_pin(bench: &mut Bench) -> Result<Outcome, Stop> {
    let officer = bench.thrown_away()?;
    let (own, way) = sign::any_way(bench)?;
    let kept = pairs::make_labelled(bench, own.key.key_type(), Use::Sign, "kept", true, &[])?;
    let before = bench.order.pin.clone();
    let new = drawn("sigill-probe-new-user-pin")?;
    set_user_pin(bench, &officer, &new)?;
    let session = bench.module().context().open_rw_session(bench.slot())?;
    let logged_in = bench.log_in_to(&session, UserType::User, &new);
    let signed = logged_in.map(|()| {
        let found = session.find_objects(&[
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Label(format!("{LABEL}kept").into_bytes()),
        ])?;
        match found.as_slice() {
            [key] => way.verified(&session, &kept.key, *key, 1),
            _ => Ok(0),
        }
    });
    drop(session);
    set_user_pin(bench, &officer, &before)?;
    if signed.is_err() {
        allow_one_login(bench)?;
    }
    bench.session()?;
    Ok(match signed {
        Ok(Ok(1)) => Outcome::passed("the new PIN signs with the old key"),
        Ok(Ok(_)) => Outcome::failed("the old key does not sign any more"),
        Ok(Err(error)) => Outcome::failed(call(&error)),
        Err(error) => Outcome::failed(format!("the new PIN: {}", causes(&error))),
    })
}

/// What became of the wrong PINs.
enum Tried {
    Locked { after: usize },
    NotLocked,
    Taken,
    Other { after: usize, result: String },
}

fn try_wrong_pins(bench: &Bench, most: usize) -> Result<Tried, Stop> {
    let session = open_beside(bench)?;
    for number in 1..=most {
        let wrong = drawn(&format!("sigill-probe-wrong-pin-{number}"))?;
        let is_locked = |bench: &Bench| Ok::<_, Stop>(bench.token_info()?.user_pin_locked());
        match session.login(UserType::User, Some(wrong.secret())) {
            Ok(()) => return Ok(Tried::Taken),
            Err(Error::Pkcs11(RvError::PinLocked, _)) => {
                return Ok(Tried::Locked { after: number.saturating_sub(1) });
            }
            Err(_) if is_locked(bench)? => return Ok(Tried::Locked { after: number }),
            Err(Error::Pkcs11(RvError::PinIncorrect, _)) => {}
            Err(error) => return Ok(Tried::Other { after: number, result: result(&error) }),
        }
    }
    Ok(Tried::NotLocked)
}

fn lock_out(bench: &mut Bench) -> Result<Outcome, Stop> {
    const MOST: usize = 15;
    let officer = bench.thrown_away()?;
    // That the officer can log in, and so undo it, is seen before.
    log_in(bench, &officer)?.logout()?;
    bench.close();
    let markers = bench.order.markers.clone();
    let name = bench.order.name.clone();
    // Another program that logged in between would spend the probe's tries, and its own.
    let turn = markers
        .turn(&name, deadline_in(TURN))
        .map_err(|error| Stop::Row(Outcome::skipped(causes(&error))))?;
    let tried = try_wrong_pins(bench, MOST);
    drop(turn);
    let own = bench.order.pin.clone();
    set_user_pin(bench, &officer, &own)?;
    allow_one_login(bench)?;
    bench.session()?;
    Ok(match tried? {
        Tried::Locked { after } => Outcome::passed(format!(
            "locked after {after} wrong PINs; the right one works when the officer has set it"
        )),
        Tried::NotLocked => Outcome::differs(format!("not locked after {MOST} wrong PINs")),
        Tried::Taken => Outcome::failed("a wrong PIN is taken"),
        Tried::Other { after, result } => {
            Outcome::differs(format!("wrong PIN {after}: {result}, and not told as locked"))
        }
    })
}

fn initialised_again(bench: &mut Bench) -> Result<Outcome, Stop> {
    let officer = bench.thrown_away()?;
    let (own, _) = sign::any_way(bench)?;
    pairs::make_labelled(bench, own.key.key_type(), Use::Sign, "wiped", true, &[])?;
    // A PIN of the officer's that is wrong is found out by its rules, and not by C_InitToken.
    log_in(bench, &officer)?.logout()?;
    bench.close();
    let (label, slot) = (bench.order.name.label.clone(), bench.slot());
    let context = bench.module().context();
    let wrong = drawn("sigill-probe-wrong-pin")?;
    let refused = match context.init_token(slot, wrong.secret(), label.as_str()) {
        Ok(()) => {
            return Ok(Outcome::failed("a wrong PIN of the security officer wipes the token"));
        }
        Err(error) => result(&error),
    };
    context.init_token(slot, officer.secret(), label.as_str())?;
    let serial = bench.token_info()?.serial_number().trim().to_owned();
    if serial != bench.order.name.serial.as_str() {
        return Ok(Outcome::differs(format!(
            "the serial number becomes {serial:?}, and no user PIN is set; a wrong PIN of the \
             security officer: {refused}"
        )));
    }
    let own = bench.order.pin.clone();
    set_user_pin(bench, &officer, &own)?;
    let left = bench.session()?.find_objects(&[Attribute::Token(true)])?.len();
    Ok(if left == 0 {
        Outcome::passed(format!(
            "wipes, the serial stays; a wrong PIN of the security officer: {refused}"
        ))
    } else {
        Outcome::failed(format!("{left} objects are still there"))
    })
}
