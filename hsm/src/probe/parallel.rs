//! Sessions beside each other: open at a time, signing at a time.

use std::thread;

use cryptoki::error::Error;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};

use super::bench::{Bench, ID, LABEL, Use};
use super::outcome::{Stop, call};
use super::pairs::{self, Pair};
use super::sign::{self, Way};

const SHARED: &str = "shared";

/// A key that every session looks up for itself.
pub(super) struct Shared {
    pub(super) pair: Pair,
    pub(super) way: Way,
}

/// Makes the key.
pub(super) fn shared(bench: &mut Bench) -> Result<Shared, Stop> {
    let (own, way) = sign::any_way(bench)?;
    let on_token = bench.on_token;
    let key_type = own.key.key_type();
    let pair = pairs::make_labelled(bench, key_type, Use::Sign, SHARED, on_token, &[])?;
    Ok(Shared { pair, way })
}

impl Shared {
    /// Signs `times` texts in this session; what is wrong with it, if anything is.
    pub(super) fn fault(&self, session: &Session, times: usize) -> Option<String> {
        let signed = self
            .looked_up(session)
            .and_then(|key| self.way.verified(session, &self.pair.key, key, times));
        match signed {
            Ok(verified) if verified == times => None,
            Ok(verified) => {
                let wrong = times.saturating_sub(verified);
                Some(format!("{wrong} of {times} signatures do not verify"))
            }
            Err(error) => Some(call(&error)),
        }
    }

    fn looked_up(&self, session: &Session) -> Result<ObjectHandle, Error> {
        let found = session.find_objects(&[
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Id(ID.to_vec()),
            Attribute::Label(format!("{LABEL}{SHARED}").into_bytes()),
        ])?;
        Ok(match found.as_slice() {
            [one] => *one,
            // Another run's session may have left one; its own handle is right in any case.
            _ => self.pair.private,
        })
    }

    /// Removes the key.
    pub(super) fn remove(self, bench: &mut Bench) -> Result<(), Stop> {
        let session = bench.session()?;
        session.destroy_object(self.pair.private)?;
        session.destroy_object(self.pair.public)?;
        Ok(())
    }
}

/// A session opened past the login, as a server's second one is.
pub(super) fn open_beside(bench: &Bench) -> Result<Session, Error> {
    bench.module().context().open_ro_session(bench.slot())
}

/// Whether the user is logged in, as this session tells.
pub(super) fn is_user(session: &Session) -> Result<bool, Error> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}

/// Has `threads` sessions sign `times` texts each at one time; what is wrong in any of them.
pub(super) fn faults(bench: &Bench, shared: &Shared, threads: usize, times: usize) -> Vec<String> {
    let (module, slot) = (bench.module(), bench.slot());
    let work = || match module.context().open_ro_session(slot) {
        Ok(session) => shared.fault(&session, times),
        Err(error) => Some(call(&error)),
    };
    thread::scope(|scope| {
        // All are started before the first is waited for.
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running
            .into_iter()
            .filter_map(|thread| thread.join().unwrap_or(Some("ended in a panic".to_owned())))
            .collect()
    })
}
