//! Where the checks work: a logged-in session, the probe's own keys, and what was found so far.

use std::collections::BTreeMap;
use std::time::Duration;

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use x509::key::KeyType;

use super::checks::{Check, Run};
use super::outcome::{Outcome, Row, Stop, Verdict, is_gone};
use super::pairs::{self, Pair};
use super::secrets::Secret;
use super::story::Story;
use super::{OtherKeys, ProbeError, ProbeOrder, WrongPin};
use crate::attempts::LoginTurn;
use crate::failure::Pkcs11Failure;
use crate::gate::Pass;
use crate::login::{is_logged_in, log_in};
use crate::module::Module;
use crate::open::{LoginError, OpenError};
use crate::pin::Pin;
use crate::pool::deadline_in;
use crate::profile::{Measured, ModuleTold, TokenTold};
use crate::quirks::WrongPins;
use crate::token::{self, PinState, Present};

/// How long to wait for another program that logs in to the token.
pub(super) const TURN: Duration = Duration::from_secs(10);
/// Every object of the probe has a label that begins so.
pub(super) const LABEL: &str = "sigill-probe-";
/// The CKA_ID of the probe's objects that are not made by the template of our own keys.
pub(super) const ID: &[u8] = b"sigill-probe/1";

/// Key pairs that are made once and used by several checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// For signing only, never extractable: what our own keys are.
    Sign,
    /// May be wrapped; RSA pairs also wrap and unwrap.
    Move,
}

/// The bench.
pub(super) struct Bench {
    /// The checks' session; while it is open it holds the login.
    session: Option<Session>,
    module: Module,
    present: Present,
    pub(super) order: ProbeOrder,
    /// Whether the probe's keys are token objects, because the token has no others.
    pub(super) on_token: bool,
    pairs: BTreeMap<(KeyType, Use), Pair>,
    pub(super) secrets: BTreeMap<&'static str, Secret>,
    pub(super) story: Option<Story>,
    pub(super) found: Measured,
    /// Keys on the token that are not the probe's.
    pub(super) other_keys: usize,
    /// Held to the end, so that nobody initialises the module anew below the probe's handles.
    _pass: Pass,
}

impl Bench {
    /// Opens the token, removes what an earlier probe left, and looks whether it holds keys.
    pub(super) fn open(module: &Module, order: ProbeOrder) -> Result<Self, ProbeError> {
        let until = deadline_in(order.deadline);
        let initialising = || OpenError::Initialising { token: order.name.clone() };
        let pass = module.enter(until).ok_or_else(initialising)?;
        let present = token::find(module, &order.name).map_err(OpenError::from)?;
        let mut bench = Self {
            session: None,
            module: module.clone(),
            present,
            order,
            on_token: false,
            pairs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            story: None,
            found: Measured::default(),
            other_keys: 0,
            _pass: pass,
        };
        let name = bench.order.name.clone();
        let failed = |error| ProbeError::Device(Pkcs11Failure::new(&name, &error));
        let session = bench.log_in()?;
        for object in probe_objects(&session).map_err(failed)? {
            // One that stays counts as a key below.
            let _refused = session.destroy_object(object);
        }
        let mut keys = 0_usize;
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY] {
            let wanted = [Attribute::Class(class), Attribute::Token(true)];
            keys = keys.saturating_add(session.find_objects(&wanted).map_err(failed)?.len());
        }
        if keys > 0 && bench.order.other_keys == OtherKeys::Refuse {
            return Err(ProbeError::HoldsKeys { token: name, keys });
        }
        bench.other_keys = keys;
        bench.session = Some(session);
        Ok(bench)
    }

    /// What module and token tell of themselves.
    pub(super) fn identity(&self) -> (ModuleTold, TokenTold) {
        (ModuleTold::of(&self.module), TokenTold::of(&self.present.facts))
    }

    /// Whether the token is one of the software tokens that are known by name.
    pub(super) fn is_software(&self) -> bool {
        self.present.facts.is_software(&self.module)
    }

    pub(super) const fn module(&self) -> &Module {
        &self.module
    }

    pub(super) const fn slot(&self) -> Slot {
        self.present.slot
    }

    pub(super) fn token_info(&self) -> Result<TokenInfo, Stop> {
        Ok(self.module.context().get_token_info(self.present.slot)?)
    }

    /// The session that the checks share; opened, and logged in, where there is none.
    pub(super) fn session(&mut self) -> Result<&Session, Stop> {
        if self.session.is_none() {
            self.session = Some(self.log_in()?);
        }
        self.session.as_ref().ok_or_else(|| Stop::Row(Outcome::failed("no session was opened")))
    }

    /// Another session, for what may leave one unusable.
    pub(super) fn open_session(&mut self) -> Result<Session, Stop> {
        self.session()?;
        Ok(self.module.context().open_rw_session(self.present.slot)?)
    }

    /// Opens a session and logs in with the one PIN, by the rules of its markers.
    fn log_in(&mut self) -> Result<Session, OpenError> {
        let (name, pin) = (&self.order.name, &self.order.pin);
        let login_failed = |source| OpenError::Login { token: name.clone(), source };
        let turn = self
            .order
            .markers
            .turn(name, deadline_in(TURN))
            .map_err(|error| login_failed(LoginError::Attempts(error)))?;
        // What the token tells of its PIN counts only now: another program may have tried one.
        self.present = token::find(&self.module, name)?;
        let failed = |error: Error| Pkcs11Failure::new(name, &error);
        let session = self
            .module
            .context()
            .open_rw_session(self.present.slot)
            .map_err(|error| OpenError::Session(failed(error)))?;
        if !is_logged_in(&session).map_err(|error| OpenError::Session(failed(error)))? {
            self.log_in_by(&turn, &session, (UserType::User, pin), self.present.facts.pin)
                .map_err(login_failed)?;
        }
        Ok(session)
    }

    /// Logs in to `session` with a PIN that the token took before, or that was set just now.
    pub(super) fn log_in_to(
        &self,
        session: &Session,
        who: UserType,
        pin: &Pin,
    ) -> Result<(), LoginError> {
        let turn = self.order.markers.turn(&self.order.name, deadline_in(TURN))?;
        self.log_in_by(&turn, session, (who, pin), PinState::Ready)
    }

    fn log_in_by(
        &self,
        turn: &LoginTurn<'_>,
        session: &Session,
        (who, pin): (UserType, &Pin),
        told: PinState,
    ) -> Result<(), LoginError> {
        let failed = |error: Error| Pkcs11Failure::new(&self.order.name, &error);
        let log_in = || log_in(session, who, pin).map_err(failed);
        turn.attempt(pin, told, WrongPins::Untold, log_in)
    }

    /// Closes every session of the probe, and so ends the login and all session objects.
    pub(super) fn close(&mut self) {
        self.session = None;
        self.pairs.clear();
        self.secrets.clear();
    }

    /// The key pair of this type and use, made when it is first asked for.
    pub(super) fn pair(&mut self, key_type: KeyType, made_for: Use) -> Result<Pair, Stop> {
        if let Some(pair) = self.pairs.get(&(key_type, made_for)) {
            return Ok(pair.clone());
        }
        let pair = pairs::make(self, key_type, made_for, &[])?;
        self.pairs.insert((key_type, made_for), pair.clone());
        Ok(pair)
    }

    /// Does one check.
    pub(super) fn row(&mut self, check: &Check) -> Row {
        let run = match check.run {
            Run::NotProbed(reason) => return check.row(Outcome::not_probed(reason)),
            Run::Calls(run) => run,
        };
        let done = run(self);
        // An operation that a refused call has left under way would stop every check after it.
        let is_stuck = done.as_ref().is_err_and(Stop::is_operation_active);
        let mut outcome = done.unwrap_or_else(Stop::outcome);
        if is_stuck || !self.stands() {
            self.close();
            if outcome.verdict != Verdict::Failed {
                let seen = format!("{}; then the session was lost", outcome.seen);
                outcome = Outcome::failed(seen);
            }
        }
        check.row(outcome)
    }

    /// Whether the shared session, where there is one, is there and logged in.
    fn stands(&self) -> bool {
        self.session.as_ref().is_none_or(|session| match session.get_session_info() {
            Ok(info) => matches!(info.session_state(), SessionState::RwUser | SessionState::RoUser),
            Err(error) => !is_gone(&error),
        })
    }

    /// Removes the probe's objects from the token; how many stay, where the token can be asked.
    pub(super) fn remove_objects(&mut self) -> Option<usize> {
        let mut objects = probe_objects(self.session().ok()?);
        if objects.is_err() {
            // The session that the checks used may be the reason.
            self.close();
            objects = probe_objects(self.session().ok()?);
        }
        let (objects, session) = (objects.ok()?.into_iter(), self.session().ok()?);
        Some(objects.filter(|object| session.destroy_object(*object).is_err()).count())
    }

    /// What was measured for the programs.
    pub(super) fn measured(&self) -> Measured {
        self.found.clone()
    }

    /// Whether a wrong PIN may be tried, and why not.
    pub(super) fn may_try_wrong_pin(&self) -> Result<(), Stop> {
        let reason = if self.order.wrong_pin == WrongPin::Never {
            "it was not asked for (--try-wrong-pin)"
        } else if self.other_keys > 0 {
            "the token holds keys; a wrong PIN is tried on an empty one only"
        } else {
            return Ok(());
        };
        Err(Stop::Row(Outcome::skipped(reason)))
    }

    /// The security officer's PIN of a token that may be thrown away, and why it may not be.
    pub(super) fn thrown_away(&self) -> Result<Pin, Stop> {
        let reason = if self.other_keys > 0 || self.order.other_keys == OtherKeys::Beside {
            "the token may hold keys; only an empty one is thrown away"
        } else if let Some(officer) = &self.order.officer {
            return Ok(officer.clone());
        } else {
            "needs the right PIN of the security officer of a token that may be wiped (--throw-away)"
        };
        Err(Stop::Row(Outcome::skipped(reason)))
    }

    /// The idle time that was asked for.
    pub(super) const fn idle(&self) -> Option<Duration> {
        self.order.idle
    }
}

/// The token objects that a probe made: both label and id are ours.
fn probe_objects(session: &Session) -> Result<Vec<ObjectHandle>, Error> {
    let mut objects = Vec::new();
    for id in pairs::ids() {
        for object in session.find_objects(&[Attribute::Token(true), Attribute::Id(id)])? {
            let told = session.get_attributes(object, &[AttributeType::Label])?;
            let ours = told.iter().any(|attribute| {
                matches!(attribute, Attribute::Label(label) if label.starts_with(LABEL.as_bytes()))
            });
            if ours {
                objects.push(object);
            }
        }
    }
    Ok(objects)
}
