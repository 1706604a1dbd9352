//! An open token: its sessions, its keys, and nothing that signs bytes of a caller's choice.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use x509::key::{PublicKey, SpkiHash};

use crate::attempts::PinMarkers;
use crate::connection::Connection;
use crate::failure::Pkcs11Failure;
use crate::find_key::{self, FindKeyError, KeyEntry};
use crate::inventory::{self, Holding, Proofs};
use crate::module::Module;
use crate::open::OpenError;
use crate::operation::Operation;
use crate::pin::Pin;
use crate::pool::{CallError, Left, Workers};
use crate::quirks::Quirks;
use crate::service::SignError;
use crate::software::SoftwareTokens;
use crate::state::TokenState;
use crate::token::TokenName;
use crate::worker::{Keys, SessionFailure, Worker};

/// How a token is opened.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// Its label and serial number.
    pub name: TokenName,
    /// Its user PIN.
    pub pin: Pin,
    /// Where refused PINs are remembered.
    pub markers: PinMarkers,
    /// Sessions, each on a thread of its own. SoftHSM: processor cores and one more; a token in a
    /// network: 8 to 32, to hide its latency.
    pub sessions: NonZeroUsize,
    /// How long opening and looking up may take.
    pub deadline: Duration,
    /// How the token differs from the usual.
    pub quirks: Quirks,
}

/// An open token. Clones share its sessions; the last one closes them.
#[derive(Clone)]
pub struct Token {
    open: Arc<Open>,
}

struct Open {
    name: TokenName,
    workers: Workers,
    deadline: Duration,
    quirks: Quirks,
}

impl Token {
    /// Finds the token, logs in once and starts its sessions.
    ///
    /// # Errors
    ///
    /// [`OpenError`]. A wrong PIN is tried once and then refused without a try, restarts included.
    pub fn open(module: &Module, settings: TokenSettings) -> Result<Self, OpenError> {
        Self::open_with(module, settings, SoftwareTokens::TestOnly)
    }

    /// As [`Self::open`], and a software token is taken in every environment, which is told at each
    /// login. For an operator who has said so, and for what signs nothing.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn danger_open_software_too(
        module: &Module,
        settings: TokenSettings,
    ) -> Result<Self, OpenError> {
        Self::open_with(module, settings, SoftwareTokens::DangerAllowed)
    }

    fn open_with(
        module: &Module,
        settings: TokenSettings,
        software: SoftwareTokens,
    ) -> Result<Self, OpenError> {
        let token = Self::begin(module, settings, software)?;
        token.open_now()?;
        Ok(token)
    }

    /// A token of which nothing has been asked yet.
    pub(crate) fn begin(
        module: &Module,
        settings: TokenSettings,
        software: SoftwareTokens,
    ) -> Result<Self, OpenError> {
        let TokenSettings { name, pin, markers, sessions, deadline, quirks } = settings;
        let mut connection = Connection::new(module.clone(), name.clone(), pin, markers, software);
        connection.heed(quirks.clone());
        let connection = Arc::new(connection);
        let sessions = quirks.sessions(sessions);
        let workers = Workers::start(&connection, sessions.get())
            .map_err(|source| OpenError::Thread { token: name.clone(), source })?;
        Ok(Self { open: Arc::new(Open { name, workers, deadline, quirks }) })
    }

    /// Finds the token and logs in, so that what keeps it from working shows now.
    pub(crate) fn open_now(&self) -> Result<(), OpenError> {
        let opened =
            self.call(self.open.deadline, |worker| worker.run(|_| Ok::<(), OpenError>(())));
        opened.map_err(|error| {
            let token = self.name().clone();
            match error {
                CallError::NotBegun | CallError::NotSigned | CallError::NotEnded => {
                    OpenError::Deadline { token }
                }
                CallError::BreakerOpen { hung, come_back } => {
                    OpenError::BreakerOpen { token, hung, come_back }
                }
            }
        })?
    }

    /// Has the token looked for while it is away, although it never was there.
    pub(crate) fn look_for(&self) {
        self.open.workers.look_for();
    }

    /// Its label and serial number.
    #[must_use]
    pub fn name(&self) -> &TokenName {
        &self.open.name
    }

    /// Finds the private key of `key` and has it prove itself, so that a missing or wrong key shows
    /// when the program starts.
    ///
    /// # Errors
    ///
    /// [`SignError`]: the token's or the key's.
    pub fn prove(&self, key: &PublicKey) -> Result<(), SignError> {
        let key = key.clone();
        self.session(self.open.deadline, move |keys| {
            keys.private_key(&key).map(|_| ()).map_err(SignError::Key)
        })
    }

    /// As [`Self::prove`], also when the key has proven itself on this session before.
    pub(crate) fn prove_again(&self, key: &PublicKey, within: Duration) -> Result<(), SignError> {
        let key = key.clone();
        self.session(within, move |keys| {
            keys.proven_again(&key).map(|_| ()).map_err(SignError::Key)
        })
    }

    /// Lists the private keys of the token with what is told of their public halves; unproven. For
    /// recovery and inventories, not for choosing a key to sign with.
    ///
    /// # Errors
    ///
    /// [`SignError`]: the token's.
    pub fn keys(&self) -> Result<Vec<KeyEntry>, SignError> {
        let name = self.name().clone();
        self.session(self.open.deadline, move |keys| {
            find_key::list(keys.session, &name).map_err(SignError::Key)
        })
    }

    /// The public key with this hash, as the token tells it, or as an EC key of which nothing is told
    /// shows by signing; `None` where it is neither. Unproven.
    ///
    /// # Errors
    ///
    /// [`SignError`]: the token's.
    pub fn key_by_hash(&self, key: SpkiHash) -> Result<Option<PublicKey>, SignError> {
        let (name, quirks) = (self.name().clone(), self.quirks());
        self.session(self.open.deadline, move |keys| {
            find_key::by_hash(keys.session, &name, &key, &quirks).map_err(SignError::Key)
        })
    }

    /// Reads all objects of the token within `within`; with [`Proofs::Every`] each private key also
    /// signs, which counts as its use (KEY-14).
    ///
    /// # Errors
    ///
    /// [`SignError`]: the token's.
    pub fn holdings(&self, proofs: Proofs, within: Duration) -> Result<Vec<Holding>, SignError> {
        let (name, quirks) = (self.name().clone(), self.quirks());
        self.session(within, move |keys| {
            inventory::read(keys.session, proofs, &quirks)
                .map_err(|error| SignError::Device(Pkcs11Failure::new(&name, &error)))
        })
    }

    /// Asks the token for a sign of life, for readiness checks; opens a new session where one was
    /// lost. Signs nothing.
    ///
    /// # Errors
    ///
    /// [`SignError`]: the token's.
    pub fn probe(&self, within: Duration) -> Result<(), SignError> {
        let name = self.name().clone();
        self.session(within, move |keys| {
            let state = keys.session.get_session_info();
            let failed = |error| SignError::Device(Pkcs11Failure::new(&name, &error));
            state.map(|_| ()).map_err(failed)
        })
    }

    /// How it is now. Makes no call, so that it can be asked at any time.
    #[must_use]
    pub fn state(&self) -> TokenState {
        self.open.workers.state()
    }

    /// Whether a call is not known to be in vain. Makes none.
    pub(crate) fn within_reach(&self) -> Result<(), SignError> {
        Ok(self.open.workers.within_reach()?)
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.open.deadline
    }

    pub(crate) fn quirks(&self) -> Quirks {
        self.open.quirks.clone()
    }

    /// Signs, in one try: whoever asks is told of each that fails (KEY-14). A signature that comes when
    /// its caller has given up is given to nobody, and `late` is told. Crate-private: the typed doors
    /// decide what.
    pub(crate) fn sign(
        &self,
        key: &PublicKey,
        operation: Operation,
        within: Duration,
        late: impl Fn() + Send + 'static,
    ) -> Result<Vec<u8>, SignError> {
        let mut sign = self.signature_by(key, operation, within, late);
        self.signing(within, move |worker| worker.run_once(&mut sign))
    }

    /// As [`Self::sign`], without waiting: `done` is told on the thread of the session. `None` where more work waits than may.
    pub(crate) fn begin_to_sign(
        &self,
        key: &PublicKey,
        operation: Operation,
        within: Duration,
        late: impl Fn() + Send + 'static,
        done: impl FnOnce(Result<Vec<u8>, SignError>) + Send + 'static,
    ) -> Result<Option<Left>, SignError> {
        let mut sign = self.signature_by(key, operation, within, late);
        let left = self.open.workers.leave(within, move |worker| worker.run_once(&mut sign), done);
        left.map_err(|error| self.unanswered(error, within))
    }

    /// The work of a session that ends in a signature.
    fn signature_by<L: Fn() + Send + 'static>(
        &self,
        key: &PublicKey,
        operation: Operation,
        within: Duration,
        late: L,
    ) -> impl FnMut(&mut Keys<'_>) -> Result<Vec<u8>, SignError> + Send + use<L> {
        let name = self.name().clone();
        let key = key.clone();
        move |keys: &mut Keys<'_>| {
            let handle = keys.private_key(&key).map_err(SignError::Key)?;
            if !keys.may_sign() {
                return Err(SignError::Stalled { token: name.clone(), waited: within });
            }
            let raw = operation
                .run(keys.session, handle)
                .map_err(|error| SignError::Device(Pkcs11Failure::new(&name, &error)))?;
            keys.worked();
            if !keys.signed_in_time() {
                late();
            }
            let octets = raw.len();
            operation.to_x509(key.key_type(), raw).ok_or_else(|| SignError::Form {
                token: name.clone(),
                octets,
                algorithm: operation.algorithm(),
            })
        }
    }

    /// As [`Self::sign`], and once more where that can help, both tries within `within`: for what is kept
    /// nowhere but in the log of the program.
    pub(crate) fn sign_twice(
        &self,
        key: &PublicKey,
        operation: Operation,
        within: Duration,
    ) -> Result<Vec<u8>, SignError> {
        let late = || {
            let (name, key) = (self.name().clone(), key.spki_hash());
            move || {
                tracing::error!(problem.code = "hsm-signature-late", token.label = %name.label,
                    token.serial = %name.serial, key.spki = %key,
                    "a signature came back after its caller had given up; nobody gets it");
            }
        };
        let begun = Instant::now();
        let error = match self.sign(key, operation.clone(), within, late()) {
            Err(error) if error.may_help_at_once() => error,
            signed => return signed,
        };
        let left = within.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(error);
        }
        tracing::warn!(token.label = %self.name().label, key.spki = %key.spki_hash(),
            code = error.code(), "not signed, tried once more: {error}");
        self.sign(key, operation, left, late())
    }

    /// Does `work` on some session, again on a new one when that was lost.
    fn session<T: Send + 'static>(
        &self,
        within: Duration,
        mut work: impl FnMut(&mut Keys<'_>) -> Result<T, SignError> + Send + 'static,
    ) -> Result<T, SignError> {
        self.signing(within, move |worker| worker.run(&mut work))
    }

    fn signing<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce(&mut Worker) -> Result<T, SignError> + Send + 'static,
    ) -> Result<T, SignError> {
        self.call(within, work).map_err(|error| self.unanswered(error, within))?
    }

    /// Why a call came to nothing, as whoever wants a signature is told it.
    pub(crate) fn unanswered(&self, error: CallError, within: Duration) -> SignError {
        let token = self.name().clone();
        match error {
            CallError::NotBegun => SignError::Busy { token, waited: within },
            CallError::NotEnded => SignError::Stalled { token, waited: within },
            CallError::NotSigned => SignError::Unanswered { token, waited: within },
            CallError::BreakerOpen { hung, come_back } => {
                SignError::Token(OpenError::BreakerOpen { token, hung, come_back })
            }
        }
    }

    pub(crate) fn call<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        self.open.workers.call(within, work)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.open.name)
    }
}

impl SessionFailure for OpenError {
    /// Opening has looked at everything anew already.
    fn session_lost(&self) -> bool {
        false
    }
}

impl From<OpenError> for SignError {
    fn from(error: OpenError) -> Self {
        Self::Token(error)
    }
}

impl SessionFailure for SignError {
    fn session_lost(&self) -> bool {
        match self {
            Self::Device(failure) | Self::Key(FindKeyError::Device(failure)) => {
                failure.class().is_lost()
            }
            _ => false,
        }
    }
}
