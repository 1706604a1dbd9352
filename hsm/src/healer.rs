//! Looks for a token that is lost, until it is back. There is a healer only while there is a loss.
//!
//! It first looks as any caller does; where that does not find the token it has the module initialised
//! anew, at the pace that [`Module`](crate::Module) allows. The token is back when it is logged in to
//! and every key that worked before proves itself.

use std::time::Duration;

use cryptoki::session::Session;

use crate::connection::{Access, Connection, close};
use crate::failure::{Pkcs11Failure, causes};
use crate::find_key::{self, FindKeyError};
use crate::gate::{Generation, NotRenewed};
use crate::open::{Loss, OpenError};
use crate::pool::{Shared, deadline_in};

/// Between two looks.
const ROUND: Duration = Duration::from_millis(250);
/// Between two looks while only a human can help: the PIN is not sent, but a marker may be cleared.
const HUMAN_ROUND: Duration = Duration::from_secs(4);
/// How long a look may wait for others.
const LOOK: Duration = Duration::from_secs(3);
/// A key that is still missing then is given up: its users are told so, and nobody else pays for it.
const KEY_PATIENCE: Duration = Duration::from_secs(60);
/// The same while another key of the token is there: the token is not the one that is missing.
const KEY_PATIENCE_BESIDE: Duration = Duration::from_secs(2);

/// What a look came to.
enum Look {
    Found,
    /// Seen in this generation: initialising the module anew may help.
    Lost(Generation, Loss),
    /// It may not.
    Human(Loss),
    /// The module is being initialised, or others log in, or the next login is not yet due.
    Elsewhere(String),
}

/// Returns when the token is back or not used any more.
pub(crate) fn heal(shared: &Shared) {
    let connection = shared.connection();
    let name = connection.name();
    let mut told = String::new();
    loop {
        let (pause, why) = match look(connection) {
            Look::Found => break,
            Look::Elsewhere(why) => (ROUND, why),
            Look::Human(loss) => {
                connection.note_loss(loss.clone());
                (HUMAN_ROUND, loss.why)
            }
            Look::Lost(seen, loss) => {
                connection.note_loss(loss.clone());
                let why = loss.why;
                let lost_for = connection.lost_for().unwrap_or_default();
                let module = connection.module();
                match module.initialise_anew(name, lost_for, seen, deadline_in(LOOK)) {
                    Ok(()) => (Duration::ZERO, why),
                    Err(error) => (ROUND, format!("{why}{}", put_off(&error))),
                }
            }
        };
        if !why.is_empty() && why != told {
            tracing::warn!(token.label = %name.label, token.serial = %name.serial,
                "token is lost and looked for: {why}");
            told = why;
        }
        // After an initialisation it is looked at once; that itself has its pace.
        if shared.rest(pause) {
            return;
        }
    }
    if let Some(lost_for) = shared.note_found() {
        tracing::warn!(token.label = %name.label, token.serial = %name.serial,
            lost.ms = u64::try_from(lost_for.as_millis()).unwrap_or(u64::MAX),
            "token is back in use");
    }
}

fn put_off(error: &NotRenewed<Pkcs11Failure>) -> String {
    match error {
        NotRenewed::CallsUnderWay(calls) => format!(
            "; its module is not initialised again while {calls} call(s) in it have not ended"
        ),
        NotRenewed::NotOurs => {
            "; its module was initialised by another part of this process and so \
             is not initialised again: restart the program if the token stays lost"
                .to_owned()
        }
        NotRenewed::Failed(failure) => format!("; {failure}"),
        NotRenewed::TooSoon | NotRenewed::UnderWay => String::new(),
    }
}

fn look(connection: &Connection) -> Look {
    let until = deadline_in(LOOK);
    let Some(pass) = connection.module().enter(until) else {
        return Look::Elsewhere(String::new());
    };
    match connection.session(Access::Read, &pass, until) {
        Ok(session) => {
            let missing = missing_key(&session, connection);
            close(session);
            match missing {
                None => Look::Found,
                Some(loss) => Look::Lost(pass.generation(), loss),
            }
        }
        Err(OpenError::Deadline { .. }) => Look::Elsewhere(String::new()),
        Err(error) if error.is_waiting() => Look::Elsewhere(error.code().to_owned()),
        Err(error) if error.is_lost() => Look::Lost(pass.generation(), loss(&error)),
        Err(error) => Look::Human(loss(&error)),
    }
}

fn loss(error: &OpenError) -> Loss {
    let (code, next_step, passes) = (error.code(), error.next_step(), error.passes());
    Loss { code, next_step, passes, why: causes(error) }
}

/// The first key that worked before and does not now.
fn missing_key(session: &Session, connection: &Connection) -> Option<Loss> {
    let mut missing = Vec::new();
    let mut patience = KEY_PATIENCE;
    for key in connection.proven_keys() {
        match find_key::find(session, connection.name(), &key, connection.quirks()) {
            Err(error @ FindKeyError::Missing { .. }) => missing.push((key, error)),
            Err(FindKeyError::Device(failure)) if failure.class().is_lost() => {
                missing.push((key, FindKeyError::Device(failure)));
            }
            Ok(_) => patience = KEY_PATIENCE_BESIDE,
            // What is wrong with it otherwise is told to those who use it.
            Err(_) => {}
        }
    }
    for (key, lost) in missing {
        let why = causes(&lost);
        if connection.lost_for().is_none_or(|lost_for| lost_for < patience) {
            let (code, next_step) = (lost.code(), lost.next_step());
            return Some(Loss { code, next_step, passes: true, why });
        }
        tracing::error!(token.label = %connection.name().label, key.spki = %key.spki_hash(),
            "a key that worked is gone from a token that works: {why}");
        connection.forget_key(&key.spki_hash());
    }
    None
}
