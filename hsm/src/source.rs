//! A token that is come by when it is first there: at the start, or later when it was away then.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::module::Module;
use crate::open::OpenError;
use crate::opened::{Token, TokenSettings};
use crate::service::SignError;
use crate::token::TokenName;

type Open = dyn Fn() -> Result<Token, SignError> + Send + Sync;

/// [`Token::open`], or [`Token::danger_open_software_too`].
pub type TokenOpener = fn(&Module, TokenSettings) -> Result<Token, OpenError>;

/// One token of the configuration, which the keys that lie in it share. It is opened once.
pub struct TokenSource {
    name: TokenName,
    open: Box<Open>,
    opened: OnceLock<Token>,
    opening: Mutex<()>,
}

impl TokenSource {
    /// The token of `settings`, to be reached through the module at the absolute path `module` and
    /// opened by `opener`. Nothing is loaded or opened yet.
    #[must_use]
    pub fn new(module: &Path, settings: TokenSettings, opener: TokenOpener) -> Self {
        let (name, module) = (settings.name.clone(), module.to_owned());
        let open = move || {
            let module = Module::load(&module).map_err(SignError::Module)?;
            Ok(opener(&module, settings.clone())?)
        };
        Self { name, open: Box::new(open), opened: OnceLock::new(), opening: Mutex::default() }
    }

    /// A token that is open.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        let (name, opened) = (token.name().clone(), OnceLock::from(token.clone()));
        let token = token.clone();
        Self { name, open: Box::new(move || Ok(token.clone())), opened, opening: Mutex::default() }
    }

    /// Its label and serial number.
    #[must_use]
    pub const fn name(&self) -> &TokenName {
        &self.name
    }

    /// The token, opened now if it never was. Blocks as [`Token::open`] does.
    ///
    /// # Errors
    ///
    /// [`SignError::Module`] and [`SignError::Token`]; a later call tries again. A PIN that was
    /// refused is not tried again.
    pub fn open(&self) -> Result<&Token, SignError> {
        // One at a time: a token has one login in a process.
        let _alone = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = self.opened.get() {
            return Ok(token);
        }
        let token = (self.open)()?;
        Ok(self.opened.get_or_init(|| token))
    }

    /// The token, if it has been opened. It may be away nevertheless.
    pub(crate) fn opened(&self) -> Option<&Token> {
        self.opened.get()
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSource({})", self.name)
    }
}
