//! Sessions: how many, side by side, left alone, and what a login means for them (KEY-09).

use std::num::NonZeroUsize;
use std::thread;

use cryptoki::session::UserType;
use zeroize::Zeroizing;

use super::bench::{Bench, TURN};
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop, call, result};
use super::parallel::{self, is_user, open_beside};
use super::{sign, story};
use crate::failure::Pkcs11Failure;
use crate::open::LoginError;
use crate::pin::Pin;
use crate::pool::deadline_in;
use crate::quirks::WrongPins;
use crate::token::{self, PinState};

pub(super) const CHECKS: [Check; 9] = [
    Check {
        id: "HP-60",
        title: "sessions open at a time",
        expected: "as many as are asked for, each logged in and signing",
        clause: "KEY-09; PKCS#11 v3.1 §5.6, CKR_SESSION_COUNT; sets max-sessions",
        run: Run::Calls(open_at_a_time),
    },
    Check {
        id: "HP-61",
        title: "signing in parallel",
        expected: "every signature of every session verifies",
        clause: "KEY-09, KEY-10; PKCS#11 v3.1 §5.4, CKF_OS_LOCKING_OK",
        run: Run::Calls(in_parallel),
    },
    Check {
        id: "HP-66",
        title: "closed sessions are given back",
        expected: "500 sessions opened and closed one after another",
        clause: "KEY-09; PKCS#11 v3.1 §5.6, C_CloseSession",
        run: Run::Calls(given_back),
    },
    Check {
        id: "HP-65",
        title: "a session that was left alone",
        expected: "is logged in and signs after the time that was asked for",
        clause: "KEY-09; networked modules end idle sessions",
        run: Run::Calls(idle),
    },
    Check {
        id: "HP-62",
        title: "login state across sessions",
        expected: "a login holds for sessions opened before and after it",
        clause: "PKCS#11 v3.1 §5.6, C_Login; one login serves all our sessions",
        run: Run::Calls(login_across),
    },
    Check {
        id: "HP-63",
        title: "closing of the last session",
        expected: "ends the login",
        clause: "PKCS#11 v3.1 §5.6, C_CloseSession; our anchor session rests on it",
        run: Run::Calls(last_close),
    },
    Check {
        id: "HP-64",
        title: "private objects without a login",
        expected: "not found",
        clause: "KEY-03; PKCS#11 v3.1 §4.4, CKA_PRIVATE",
        run: Run::Calls(hidden),
    },
    Check {
        id: "HP-67",
        title: "objects after all sessions were closed",
        expected: "a token key is found and signs as before; session objects are gone",
        clause: "KEY-09; PKCS#11 v3.1 §4.4, CKA_TOKEN",
        run: Run::Calls(afterwards),
    },
    Check {
        id: WRONG_PIN,
        title: "a wrong PIN",
        expected: "refused, told by CKF_USER_PIN_COUNT_LOW, and forgotten after the right one",
        clause: "PKCS#11 v3.1 §3.2, which lets a token not tell; PIN markers rest on it",
        run: Run::Calls(wrong_pin),
    },
];

/// The check whether a wrong PIN is told by a flag.
pub(crate) const WRONG_PIN: &str = "HP-68";

/// A CA needs one that holds the login, one that signs and one that makes keys.
const NEEDED: usize = 3;

fn open_at_a_time(bench: &mut Bench) -> Result<Outcome, Stop> {
    let shared = parallel::shared(bench)?;
    let wanted = bench.order.sessions.get();
    // One is open already: the one the probe works in.
    let mut sessions = Vec::new();
    let mut refused = None;
    while sessions.len().saturating_add(1) < wanted {
        match open_beside(bench) {
            Ok(session) => sessions.push(session),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let open = sessions.len().saturating_add(1);
    for (place, session) in sessions.iter().enumerate() {
        let number = place.saturating_add(2);
        if !is_user(session)? {
            return Ok(Outcome::failed(format!("session {number} of {open} is not logged in")));
        }
        if let Some(fault) = shared.fault(session, 1) {
            return Ok(Outcome::failed(format!("session {number} of {open}: {fault}")));
        }
    }
    drop(sessions);
    shared.remove(bench)?;
    let Some(refused) = refused else {
        return Ok(Outcome::passed(format!("{open} open, and all sign")));
    };
    bench.found.max_sessions = NonZeroUsize::new(open);
    let seen = format!("{open} open, and all sign; one more: {}", result(&refused));
    Ok(if open < NEEDED { Outcome::failed(seen) } else { Outcome::differs(seen) })
}

fn in_parallel(bench: &mut Bench) -> Result<Outcome, Stop> {
    const TIMES: usize = 25;
    let shared = parallel::shared(bench)?;
    // One is open already: the one the probe works in.
    let allowed = bench.found.max_sessions.map_or(usize::MAX, |most| most.get().saturating_sub(1));
    let threads = bench.order.parallel.get().min(allowed);
    let faults = parallel::faults(bench, &shared, threads, TIMES);
    shared.remove(bench)?;
    Ok(match faults.as_slice() {
        [] => {
            let all = threads.saturating_mul(TIMES);
            Outcome::passed(format!("{threads} sessions, {all} of {all} verify"))
        }
        [first, ..] => {
            Outcome::failed(format!("{} of {threads} sessions fail: {first}", faults.len()))
        }
    })
}

fn given_back(bench: &mut Bench) -> Result<Outcome, Stop> {
    const TIMES: usize = 500;
    bench.session()?;
    for number in 1..=TIMES {
        let opened = open_beside(bench).and_then(|session| {
            let logged_in = is_user(&session)?;
            session.close()?;
            Ok(logged_in)
        });
        match opened {
            Ok(true) => {}
            Ok(false) => {
                return Ok(Outcome::failed(format!("session {number} is not logged in")));
            }
            Err(error) => {
                return Ok(Outcome::failed(format!("session {number}: {}", call(&error))));
            }
        }
    }
    Ok(Outcome::passed(format!("{TIMES} opened and closed")))
}

fn idle(bench: &mut Bench) -> Result<Outcome, Stop> {
    let Some(span) = bench.idle() else {
        return Ok(Outcome::skipped("no time was asked for (--idle SECONDS)"));
    };
    let (pair, way) = sign::any_way(bench)?;
    let session = bench.session()?;
    thread::sleep(span);
    let signed = way.verified(session, &pair.key, pair.private, 1);
    match signed {
        Ok(1) => {
            bench.found.idle_seconds = Some(span.as_secs());
            Ok(Outcome::passed(format!("signs after {} s", span.as_secs())))
        }
        Ok(_) => Ok(Outcome::failed("the signature does not verify")),
        Err(error) => Ok(Outcome::failed(format!("after {} s {}", span.as_secs(), call(&error)))),
    }
}

fn login_across(bench: &mut Bench) -> Result<Outcome, Stop> {
    let story = story::of(bench)?;
    Ok(match (story.older_session_logged_in, story.newer_session_logged_in) {
        (true, true) => Outcome::passed("for both"),
        (older, newer) => Outcome::failed(format!(
            "logged in: a session opened before: {older}, one opened after: {newer}"
        )),
    })
}

fn last_close(bench: &mut Bench) -> Result<Outcome, Stop> {
    Ok(if story::of(bench)?.logged_in_after_close {
        Outcome::failed("a new session is logged in without a login")
    } else {
        Outcome::passed("a new session is public")
    })
}

fn hidden(bench: &mut Bench) -> Result<Outcome, Stop> {
    let story = story::of(bench)?;
    if story.logged_in_after_close {
        return Ok(Outcome::skipped("the login does not end (HP-63)"));
    }
    Ok(match story.shown_without_login {
        0 => Outcome::passed("not found"),
        shown => Outcome::failed(format!("{shown} private keys are found")),
    })
}

fn afterwards(bench: &mut Bench) -> Result<Outcome, Stop> {
    let story = story::of(bench)?;
    if story.kept != 1 || !story.kept_signs {
        return Ok(Outcome::failed(format!(
            "token keys found: {}, one signs as before: {}",
            story.kept, story.kept_signs
        )));
    }
    Ok(match story.session_objects {
        None => Outcome::passed("the token key signs as before"),
        Some(0) => Outcome::passed("the token key signs as before, the session key is gone"),
        Some(_) => {
            Outcome::differs("the token key signs as before; the session key is still there")
        }
    })
}

fn wrong_pin(bench: &mut Bench) -> Result<Outcome, Stop> {
    bench.may_try_wrong_pin()?;
    bench.close();
    let name = bench.order.name.clone();
    let markers = bench.order.markers.clone();
    let state = |bench: &Bench| {
        let found = token::find(bench.module(), &name);
        found.map(|present| present.facts.pin).map_err(|error| {
            Stop::Row(Outcome::failed(format!("token is not found any more: {error}")))
        })
    };
    if state(bench)? != PinState::Ready {
        return Ok(Outcome::skipped("the token tells of wrong PINs already"));
    }
    let wrong = Pin::from_drawn(&Zeroizing::new("sigill-probe-wrong-pin".to_owned()))
        .map_err(|error| Stop::Row(Outcome::skipped(error.to_string())))?;
    let session = open_beside(bench)?;
    let tried = markers.turn(&name, deadline_in(TURN)).map_err(LoginError::Attempts);
    let tried = tried.and_then(|turn| {
        turn.attempt(&wrong, PinState::Ready, WrongPins::Untold, || {
            session
                .login(UserType::User, Some(wrong.secret()))
                .map_err(|error| Pkcs11Failure::new(&name, &error))
        })
    });
    let told = state(bench)?;
    drop(session);
    let refused = match tried {
        Ok(()) => return Ok(Outcome::failed("a wrong PIN is taken")),
        Err(LoginError::Refused { source, .. }) => source.result().to_owned(),
        Err(error) => return Ok(Outcome::failed(format!("not refused as a PIN: {error}"))),
    };
    // The probe itself tried the wrong one, so the right one may be tried once.
    markers.clear(&name).map_err(|error| Stop::Row(Outcome::failed(error.to_string())))?;
    bench.session()?;
    if state(bench)? != PinState::Ready {
        return Ok(Outcome::failed(format!("{refused}; still told after the right PIN")));
    }
    Ok(match told {
        PinState::TriedWrong | PinState::FinalTry => {
            Outcome::passed(format!("{refused}; told, and forgotten after the right one"))
        }
        _ => Outcome::differs(format!("{refused}; not told by any flag")),
    })
}
