//! A token that is come by when it is first there: at the start, or later when it was away then.
//!
//! It is begun once and kept from then on: one that is away is looked for as one that was lost, and one
//! whose calls hang is behind its breaker.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crate::breaker::BreakerState;
use crate::module::Module;
use crate::opened::{Token, TokenSettings};
use crate::service::SignError;
use crate::software::SoftwareTokens;
use crate::state::TokenState;
use crate::token::TokenName;

type Begin = dyn Fn() -> Result<Token, SignError> + Send + Sync;

/// One token of the configuration, which the keys that lie in it share. It is opened once.
pub struct TokenSource {
    name: TokenName,
    begin: Box<Begin>,
    begun: OnceLock<Token>,
    was_open: AtomicBool,
    opening: Mutex<()>,
    absence: Mutex<Absence>,
}

/// What is known of a token that did not open.
#[derive(Default)]
struct Absence {
    /// Since the first try in vain.
    since: Option<Instant>,
    /// What the token failed with when it was left to the thread that takes tokens into use.
    left_with: Option<Arc<SignError>>,
}

impl TokenSource {
    /// The token of `settings`, to be reached through the module at the absolute path `module`. Nothing
    /// is loaded or opened yet.
    #[must_use]
    pub fn new(module: &Path, settings: TokenSettings, software: SoftwareTokens) -> Self {
        let (name, module) = (settings.name.clone(), module.to_owned());
        let begin = move || {
            let module =
                Module::load_within(&module, settings.deadline).map_err(SignError::Module)?;
            let token = Token::begin(&module, settings.clone(), software)?;
            token.look_for();
            Ok(token)
        };
        Self {
            name,
            begin: Box::new(begin),
            begun: OnceLock::new(),
            was_open: AtomicBool::new(false),
            opening: Mutex::default(),
            absence: Mutex::default(),
        }
    }

    /// A token that is open.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        let (name, begun) = (token.name().clone(), OnceLock::from(token.clone()));
        let token = token.clone();
        Self {
            name,
            begin: Box::new(move || Ok(token.clone())),
            begun,
            was_open: AtomicBool::new(true),
            opening: Mutex::default(),
            absence: Mutex::default(),
        }
    }

    /// Its label and serial number.
    #[must_use]
    pub const fn name(&self) -> &TokenName {
        &self.name
    }

    /// The token, opened now if it never was. Blocks as loading a module and [`Token::open`] do, each at
    /// most the deadline of its settings.
    ///
    /// # Errors
    ///
    /// [`SignError::Module`] and [`SignError::Token`]; a later call tries again. A PIN that was
    /// refused is not tried again.
    pub fn open(&self) -> Result<&Token, SignError> {
        // One at a time: a token has one login in a process.
        let _alone = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = self.opened() {
            return Ok(token);
        }
        let opened = self.begun().and_then(|token| {
            token.open_now()?;
            Ok(token)
        });
        match &opened {
            Ok(_) => {
                self.was_open.store(true, Ordering::Release);
                *self.absence() = Absence::default();
            }
            Err(_) => {
                self.absence().since.get_or_insert_with(Instant::now);
            }
        }
        opened
    }

    fn begun(&self) -> Result<&Token, SignError> {
        if let Some(token) = self.begun.get() {
            return Ok(token);
        }
        let token = (self.begin)()?;
        Ok(self.begun.get_or_init(|| token))
    }

    /// The token, if it has been open. It may be away nevertheless.
    pub(crate) fn opened(&self) -> Option<&Token> {
        self.begun.get().filter(|_| self.was_open.load(Ordering::Acquire))
    }

    /// The token was away for one key: it is not asked for another before it has been taken into use.
    pub(crate) fn leave(&self, error: &Arc<SignError>) {
        self.absence().left_with = Some(Arc::clone(error));
    }

    /// The token has been taken into use.
    pub(crate) fn take_into_use(&self) {
        self.absence().left_with = None;
    }

    /// What the token failed with, where it was left.
    pub(crate) fn left_with(&self) -> Option<Arc<SignError>> {
        self.absence().left_with.clone()
    }

    /// How the token is, lost if it never opened; `None` before the first try.
    pub(crate) fn state(&self) -> Option<TokenState> {
        let lost_for = self.absence().since.map(|since| since.elapsed());
        let state = match self.begun.get() {
            Some(token) => token.state(),
            None => TokenState {
                name: self.name.clone(),
                lost_for: Some(lost_for?),
                hung: 0,
                left_behind: 0,
                serving: 0,
                breaker: BreakerState::Closed,
                breaker_openings: 0,
                outages: 0,
                retries: 0,
                logins: 0,
                initialisations: 0,
            },
        };
        Some(TokenState { lost_for: state.lost_for.max(lost_for), ..state })
    }

    /// Each change is whole, so a panic elsewhere cannot leave it half made.
    fn absence(&self) -> MutexGuard<'_, Absence> {
        self.absence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSource({})", self.name)
    }
}
