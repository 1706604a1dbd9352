//! What a key may be used for, and whether the token keeps to it.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType};
use cryptoki::session::UserType;
use x509::key::KeyType;

use super::bench::{Bench, Use};
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop, call, is_gone, result};
use super::sign;
use super::truth::{any_pair, flag, unlike};
use super::{pairs, secrets, unwrap, wrap};
use crate::failure::causes;

pub(super) const CHECKS: [Check; 6] = [
    Check {
        id: "HP-22",
        title: "usage flags stated as false",
        expected: "read back as false, and kept to",
        clause: "KEY-03; PKCS#11 v3.1 §4.9",
        run: Run::Calls(stated_flags),
    },
    Check {
        id: "HP-26",
        title: "CKA_ALLOWED_MECHANISMS",
        expected: "another mechanism is refused",
        clause: "KEY-03; PKCS#11 v3.1 §4.7",
        run: Run::Calls(allowed_mechanisms),
    },
    Check {
        id: "HP-27",
        title: "CKA_ALWAYS_AUTHENTICATE",
        expected: "no signature without a login of its own, and one with it",
        clause: "PKCS#11 v3.1 §4.9; our own keys state false",
        run: Run::Calls(always_authenticate),
    },
    Check {
        id: "HP-28",
        title: "CKA_WRAP_WITH_TRUSTED",
        expected: "not wrapped by a key that is not trusted; cannot be unset",
        clause: "ceremony by wrapping; PKCS#11 v3.1 §4.9",
        run: Run::Calls(wrap_with_trusted),
    },
    Check {
        id: "HP-29",
        title: "CKA_TRUSTED set by the user",
        expected: "refused",
        clause: "PKCS#11 v3.1 §4.10: by the security officer only",
        run: Run::Calls(trusted_by_user),
    },
    Check {
        id: "HP-31",
        title: "two keys with one label and one CKA_ID",
        expected: "allowed: both are hints, and keys are chosen by their public value",
        clause: "PKCS#11 v3.1 §4.7; no lookup of ours rests on label or id",
        run: Run::Calls(same_names),
    },
];

fn stated_flags(bench: &mut Bench) -> Result<Outcome, Stop> {
    let extra = [
        Attribute::SignRecover(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ];
    let rsa = KeyType::Rsa { bits: 2048 };
    let pair = match pairs::make(bench, rsa, Use::Sign, &extra) {
        Ok(pair) => pair,
        Err(Stop::Call(_)) => pairs::make(bench, KeyType::EcP256, Use::Sign, &extra)?,
        Err(stop) => return Err(stop),
    };
    let demanded = [
        (AttributeType::Sign, "SIGN", true),
        (AttributeType::SignRecover, "SIGN_RECOVER", false),
        (AttributeType::Decrypt, "DECRYPT", false),
        (AttributeType::Unwrap, "UNWRAP", false),
        (AttributeType::Derive, "DERIVE", false),
    ];
    let wrong = unlike(bench.session()?, pair.private, &demanded);
    if !wrong.is_empty() {
        return Ok(Outcome::failed(wrong.join(", ")));
    }
    if pair.key.key_type() != rsa {
        return Ok(Outcome::passed("read back as stated"));
    }
    // An operation that did begin would stay open, so it gets a session of its own.
    let session = bench.open_session()?;
    match session.decrypt_init(&Mechanism::RsaPkcs, pair.private) {
        Ok(()) => Ok(Outcome::failed("a key without DECRYPT decrypts")),
        Err(error) if is_gone(&error) => Err(Stop::Call(error)),
        Err(error) => Ok(Outcome::passed(format!("as stated; {}", call(&error)))),
    }
}

fn allowed_mechanisms(bench: &mut Bench) -> Result<Outcome, Stop> {
    let own = any_pair(bench)?;
    let way = sign::way_of(bench, &own)?;
    let (allowed, key_type) = match own.key.key_type() {
        KeyType::Rsa { .. } => (Mechanism::Sha512RsaPkcs, KeyType::Rsa { bits: 2048 }),
        other => (Mechanism::EcdsaSha512, other),
    };
    let extra = [Attribute::AllowedMechanisms(vec![allowed.mechanism_type()])];
    let pair = pairs::make(bench, key_type, Use::Sign, &extra)?;
    let session = bench.open_session()?;
    match way.sign(&session, pair.private, b"not allowed") {
        Ok(_) => Ok(Outcome::differs("accepted when the key is made, and not kept to")),
        Err(error) if is_gone(&error) => Err(Stop::Call(error)),
        Err(error) => Ok(Outcome::passed(format!("enforced: {}", result(&error)))),
    }
}

fn always_authenticate(bench: &mut Bench) -> Result<Outcome, Stop> {
    let own = any_pair(bench)?;
    let way = sign::way_of(bench, &own)?;
    let extra = [Attribute::AlwaysAuthenticate(true)];
    let pair = pairs::make(bench, own.key.key_type(), Use::Sign, &extra)?;
    if flag(bench.session()?, pair.private, AttributeType::AlwaysAuthenticate) != Some(true) {
        return Ok(Outcome::differs("taken, and told as false"));
    }
    let session = bench.open_session()?;
    match way.sign(&session, pair.private, b"no login of its own") {
        Ok(_) => Ok(Outcome::differs("accepted when the key is made, and not kept to")),
        Err(error) if is_gone(&error) && !asks_for_a_login(&error) => Err(Stop::Call(error)),
        Err(error) => {
            let with_login = by_a_login_of_its_own(bench)?;
            Ok(Outcome::passed(format!("enforced: {}; {with_login}", call(&error))))
        }
    }
}

/// What such a key answers to a signature without one (PKCS#11 v3.1 §4.9), and else a lost login.
const fn asks_for_a_login(error: &Error) -> bool {
    matches!(error, Error::Pkcs11(RvError::UserNotLoggedIn, _))
}

/// What comes of a signature with a login between its begin and its end.
fn by_a_login_of_its_own(bench: &mut Bench) -> Result<String, Stop> {
    let extra = [Attribute::AlwaysAuthenticate(true)];
    let Ok(pair) = pairs::make(bench, KeyType::Rsa { bits: 2048 }, Use::Sign, &extra) else {
        return Ok("with one not tried: it takes an RSA key".to_owned());
    };
    let session = bench.open_session()?;
    let text = b"\xffsigill probe/1 with a login of its own";
    let operation = sign::RSA_HASHED.operation(text)?;
    if let Err(error) = operation.begin(&session, pair.private) {
        if is_gone(&error) {
            return Err(Stop::Call(error));
        }
        return Ok(format!("with one not tried: {}", call(&error)));
    }
    let login = bench.log_in_to(&session, UserType::ContextSpecific, &bench.order.pin);
    if let Err(error) = login {
        return Ok(format!("no login of its own: {}", causes(&error)));
    }
    Ok(match operation.end(&session) {
        Ok(given) if operation.verifies(&pair.key, text, &given) => "with one it signs".to_owned(),
        Ok(_) => return Err(Stop::Row(Outcome::failed("the signature does not verify"))),
        Err(error) if is_gone(&error) => return Err(Stop::Call(error)),
        Err(error) => format!("with one: {}", call(&error)),
    })
}

fn wrap_with_trusted(bench: &mut Bench) -> Result<Outcome, Stop> {
    let extra = [Attribute::WrapWithTrusted(true)];
    let pair = pairs::make(bench, KeyType::EcP256, Use::Move, &extra)?;
    let kek = secrets::kek(bench)?;
    let session = bench.session()?;
    let mut refused = Vec::new();
    for way in wrap::WAYS.iter().filter(|way| way.is_aes()) {
        match way.with(|mechanism| session.wrap_key(mechanism, kek.handle, pair.private)) {
            Ok(_) => return Ok(Outcome::differs(format!("{} wraps it all the same", way.name))),
            Err(error) if is_gone(&error) => return Err(Stop::Call(error)),
            Err(error) => refused.push(result(&error)),
        }
    }
    refused.sort();
    refused.dedup();
    let unset =
        standing(session.update_attributes(pair.private, &[Attribute::WrapWithTrusted(false)]))?;
    if flag(session, pair.private, AttributeType::WrapWithTrusted) == Some(false) {
        return Ok(Outcome::differs("it can be unset"));
    }
    let unset = unset.err().map_or("taken without effect".to_owned(), |error| result(&error));
    Ok(Outcome::passed(format!("enforced: {}; unset: {unset}", refused.join(", "))))
}

/// What became of a call of which a refusal is an answer, as long as session and token stand.
fn standing<T>(called: Result<T, Error>) -> Result<Result<T, Error>, Stop> {
    match called {
        Err(error) if is_gone(&error) => Err(Stop::Call(error)),
        called => Ok(called),
    }
}

fn trusted_by_user(bench: &mut Bench) -> Result<Outcome, Stop> {
    let kek = secrets::kek(bench)?;
    let session = bench.session()?;
    let set = standing(session.update_attributes(kek.handle, &[Attribute::Trusted(true)]))?;
    let is_trusted = flag(session, kek.handle, AttributeType::Trusted) == Some(true);
    if is_trusted {
        return Ok(Outcome::differs("the user can set it, so it says nothing"));
    }
    let template = [Attribute::Wrap(true), Attribute::Trusted(true)];
    let made = secrets::make(bench, "trusted", &template);
    let seen = set.err().map_or("taken without effect".to_owned(), |error| result(&error));
    match made {
        Ok(made) => {
            let is_trusted = flag(bench.session()?, made.handle, AttributeType::Trusted);
            if is_trusted == Some(true) {
                return Ok(Outcome::differs("the user can make a trusted key, so it says nothing"));
            }
            Ok(Outcome::passed(format!("{seen}; made without it")))
        }
        Err(Stop::Call(error)) if !is_gone(&error) => {
            Ok(Outcome::passed(format!("{seen}; when made: {}", result(&error))))
        }
        Err(stop) => Err(stop),
    }
}

fn same_names(bench: &mut Bench) -> Result<Outcome, Stop> {
    let on_token = bench.on_token;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let key_type = any_pair(bench)?.key.key_type();
        match pairs::make_labelled(bench, key_type, Use::Sign, "twin", on_token, &[]) {
            Ok(pair) => keys.push(pair.key),
            Err(Stop::Call(error)) if !keys.is_empty() => {
                return Ok(Outcome::differs(format!("refused: {}", result(&error))));
            }
            Err(stop) => return Err(stop),
        }
    }
    if keys.first() == keys.last() {
        return Ok(Outcome::failed("both have one public key"));
    }
    let by_unwrapping = match unwrap::opens_twice(bench) {
        Ok(()) => " and by unwrapping".to_owned(),
        Err(Stop::Call(error)) if is_gone(&error) => return Err(Stop::Call(error)),
        Err(stop) => format!("; by unwrapping: {}", stop.outcome().seen),
    };
    Ok(Outcome::passed(format!("allowed, by generation{by_unwrapping}")))
}
