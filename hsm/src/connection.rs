//! A token that is logged in to: found, one login for the whole process, and an anchor session.
//!
//! A login belongs to token and process, not to a session, and ends with the last session. So one
//! session does nothing but stay open. Every new session is opened here, after a look whether the
//! token is still there and the login still stands.

use std::sync::{Mutex, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;

use crate::attempts::PinMarkers;
use crate::failure::Pkcs11Failure;
use crate::last_proof::LastProofs;
use crate::module::Module;
use crate::open::{LoginError, OpenError};
use crate::pin::Pin;
use crate::software::SoftwareTokens;
use crate::token::{self, Present, TokenName};

/// What it takes to open a logged-in session, again and again.
pub(crate) struct Connection {
    module: Module,
    name: TokenName,
    pin: Pin,
    markers: PinMarkers,
    software: SoftwareTokens,
    anchor: Mutex<Option<Anchor>>,
    proofs: LastProofs,
}

struct Anchor {
    session: Session,
    slot: Slot,
}

/// What a session may do with objects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Sign and read.
    Read,
    /// Make and destroy keys as well.
    Write,
}

impl Connection {
    pub(crate) fn new(
        module: Module,
        name: TokenName,
        pin: Pin,
        markers: PinMarkers,
        software: SoftwareTokens,
    ) -> Self {
        let (anchor, proofs) = (Mutex::new(None), LastProofs::default());
        Self { module, name, pin, markers, software, anchor, proofs }
    }

    /// How the token's keys looked when they last proved themselves.
    pub(crate) const fn proofs(&self) -> &LastProofs {
        &self.proofs
    }

    pub(crate) const fn name(&self) -> &TokenName {
        &self.name
    }

    /// Opens a session, logging in first where nobody in this process has.
    pub(crate) fn session(&self, access: Access) -> Result<Session, OpenError> {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let present = token::find(&self.module, &self.name)?;
        let stands = anchor.as_ref().is_some_and(|anchor| {
            anchor.slot == present.slot && is_logged_in(&anchor.session).unwrap_or(false)
        });
        if !stands {
            *anchor = None;
            *anchor = Some(self.log_in(&present)?);
        }
        self.open(present.slot, access)
    }

    fn log_in(&self, present: &Present) -> Result<Anchor, OpenError> {
        self.judge_software(present)?;
        let session = self.open(present.slot, Access::Read)?;
        let failed = |error: Error| Pkcs11Failure::new(&self.name, &error);
        if !is_logged_in(&session).map_err(|error| OpenError::Session(failed(error)))? {
            let login = || match session.login(UserType::User, Some(self.pin.secret())) {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
                Err(error) => Err(failed(error)),
            };
            self.markers
                .attempt(&self.name, &self.pin, present.facts.pin, login)
                .map_err(|source| self.login_failed(source))?;
            tracing::info!(token.label = %self.name.label, token.serial = %self.name.serial,
                token.model = present.facts.model, token.firmware = present.facts.firmware,
                module = self.module.description(), "logged in to the token");
        }
        Ok(Anchor { session, slot: present.slot })
    }

    /// Refuses a software token where none may sign, and never takes one in silence where it should
    /// not be (KEY-01).
    fn judge_software(&self, present: &Present) -> Result<(), OpenError> {
        if !present.facts.is_software(&self.module) || self.name.label.allows_software() {
            return Ok(());
        }
        let (token, model) = (self.name.clone(), present.facts.model.clone());
        match self.software {
            SoftwareTokens::TestOnly => Err(OpenError::Software { token, model }),
            SoftwareTokens::DangerAllowed => {
                tracing::error!(problem.code = "danger-software-token", token.label = %token.label,
                    token.serial = %token.serial, token.model = model,
                    "keys of this deployment lie in a software token, outside environment test, \
                     because danger-software-token = true says so");
                Ok(())
            }
        }
    }

    fn open(&self, slot: Slot, access: Access) -> Result<Session, OpenError> {
        let context = self.module.context();
        match access {
            Access::Read => context.open_ro_session(slot),
            Access::Write => context.open_rw_session(slot),
        }
        .map_err(|error| OpenError::Session(Pkcs11Failure::new(&self.name, &error)))
    }

    fn login_failed(&self, source: LoginError) -> OpenError {
        OpenError::Login { token: self.name.clone(), source }
    }
}

fn is_logged_in(session: &Session) -> Result<bool, Error> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}
