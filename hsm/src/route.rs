//! The ways of one key to the tokens that hold it, in order of preference.
//!
//! A signature is asked of the first token that is trusted. A token that fails is set aside, and the
//! next is asked at once, but only while certainly no signature exists: two signatures of one intent
//! would be two certificates for one order. A token that was set aside is asked for no signature until
//! the key has proven itself there again (`comeback`), unless none is trusted any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use x509::key::{PublicKey, SpkiHash};

use crate::classes::Signed;
use crate::failure::causes;
use crate::find_key::FindKeyError;
use crate::open::OpenError;
use crate::opened::Token;
use crate::operation::Operation;
use crate::pool::Left;
use crate::quirks::Quirks;
use crate::service::{KeyPolicy, KeyUse, SignError, SignatureMayExist, Standing};
use crate::source::TokenSource;
use crate::token::TokenName;

/// A key, what it may sign, and where it lies.
#[derive(Debug)]
pub(crate) struct KeyRoutes {
    pub(crate) key: PublicKey,
    pub(crate) policy: KeyPolicy,
    /// The preferred one first. Never empty.
    routes: Vec<Route>,
}

/// A key in one token.
#[derive(Debug)]
pub(crate) struct Route {
    source: Arc<TokenSource>,
    set_aside: AtomicBool,
    signatures: AtomicU64,
    proofs: AtomicU64,
    failures: AtomicU64,
    late: Arc<AtomicU64>,
    failovers: AtomicU64,
}

/// A token whose key could not be proven when the key was added; it is taken into use when it can.
#[derive(Debug)]
pub struct Away {
    /// The token.
    pub token: Arc<TokenSource>,
    /// What it or the key failed with.
    pub error: Arc<SignError>,
}

impl KeyRoutes {
    /// A key whose only token has proven it.
    pub(crate) fn of(token: &Token, key: &PublicKey, policy: KeyPolicy) -> Self {
        let source = Arc::new(TokenSource::of(token));
        let route = Route::new(&source, Proven::Yes);
        Self { key: key.clone(), policy, routes: vec![route] }
    }

    /// Has `key` prove itself in each token. Tokens that are away or lack the key are told; it must prove
    /// itself in one. A token that was away for another key is asked only where no other has this one.
    ///
    /// # Errors
    ///
    /// [`SignError`]: of the preferred token where it proves itself in none, or of any token that holds
    /// one that may not be used.
    pub(crate) fn proven(
        sources: &[Arc<TokenSource>],
        key: &PublicKey,
        policy: KeyPolicy,
    ) -> Result<(Self, Vec<Away>), SignError> {
        let mut asked = Vec::with_capacity(sources.len());
        for source in sources {
            asked.push(judged(source.left_with().map_or_else(|| prove(source, key), Err), key)?);
        }
        if asked.iter().all(Result::is_err) {
            // What was left away for another key is the last hope of this one.
            for (source, outcome) in sources.iter().zip(&mut asked) {
                if source.left_with().is_some() {
                    *outcome = judged(prove(source, key), key)?;
                    if outcome.is_ok() {
                        source.take_into_use();
                    }
                }
            }
        }
        let mut routes = Vec::with_capacity(sources.len());
        let mut away = Vec::new();
        for (source, outcome) in sources.iter().zip(asked) {
            let proven = if outcome.is_ok() { Proven::Yes } else { Proven::No };
            routes.push(Route::new(source, proven));
            if let Err(error) = outcome {
                away.push(Away { token: Arc::clone(source), error });
            }
        }
        if away.len() < routes.len() {
            for Away { token, error } in away.iter().filter(|away| !lacks(&away.error)) {
                token.leave(error);
            }
            return Ok((Self { key: key.clone(), policy, routes }, away));
        }
        let unknown = SignError::UnknownKey { key: key.spki_hash() };
        Err(away.into_iter().next().map_or(unknown, |away| mine(away.error, key)))
    }

    /// Has the first trusted token sign, and the next where that certainly has not. Tokens with other
    /// quirks are given another operation. `late` is told of the token whose signature comes when
    /// nobody waits for it any more.
    pub(crate) fn sign(
        &self,
        operation: &dyn Fn(Quirks) -> Result<Operation, SignError>,
        within: Duration,
        late: &(impl Fn(&TokenName) + Clone + Send + 'static),
        passed_over: &mut dyn FnMut(&SignError),
    ) -> Result<Vec<u8>, SignError> {
        self.ask(within, passed_over, |route, token, within| {
            let operation = operation(token.quirks())?;
            let (late, count, name) = (late.clone(), Arc::clone(&route.late), token.name().clone());
            let signed = token.sign(&self.key, operation, within, move || {
                count.fetch_add(1, Ordering::Relaxed);
                late(&name);
            });
            let signed = signed.map_err(|error| self.in_doubt(error));
            let counter = if signed.is_ok() { &route.signatures } else { &route.failures };
            counter.fetch_add(1, Ordering::Relaxed);
            signed
        })
    }

    /// The only token of the key, if it has but one and that was ever open.
    pub(crate) fn only_token(&self) -> Option<&Token> {
        match self.routes.as_slice() {
            [route] => route.token(),
            _ => None,
        }
    }

    /// Has `token`, which is the only one of the key, begin to sign, and returns without waiting: `done` is told on the
    /// session's thread. What was not `counted` before is then. `None` where it has more work than may wait.
    pub(crate) fn begin(
        self: &Arc<Self>,
        token: &Token,
        operation: Operation,
        within: Duration,
        late: &(impl Fn(&TokenName) + Clone + Send + 'static),
        counted: &Arc<AtomicBool>,
        done: impl FnOnce(Result<Vec<u8>, SignError>) + Send + 'static,
    ) -> Result<Option<Left>, SignError> {
        let (late, name) = (late.clone(), token.name().clone());
        let counts = self.routes.first().map(|route| Arc::clone(&route.late));
        let late = move || {
            counts.iter().for_each(|count| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            late(&name);
        };
        let (routes, counted) = (Arc::clone(self), Arc::clone(counted));
        let left = token.begin_to_sign(&self.key, operation, within, late, move |signed| {
            if !counted.swap(true, Ordering::AcqRel) {
                routes.count(&signed.as_ref().map(|_| ()));
            }
            done(signed);
        });
        left.inspect_err(|error| self.count(&Err(error)))
    }

    /// Counts what came of asking the only token.
    pub(crate) fn count(&self, signed: &Result<(), &SignError>) {
        for route in &self.routes {
            let counter = if signed.is_ok() { &route.signatures } else { &route.failures };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A token that broke off in the middle of its work may be asked once more where it is the only one.
    fn in_doubt(&self, error: SignError) -> SignError {
        match error {
            SignError::Device(failure)
                if self.routes.len() > 1 && failure.signed() == Signed::Unreturned =>
            {
                SignError::InDoubt(failure)
            }
            error => error,
        }
    }

    /// Has the key prove itself anew in the token that would be asked for a signature now.
    pub(crate) fn prove(&self, within: Duration) -> Result<(), SignError> {
        self.ask(within, &mut |_| {}, |route, token, within| route.proves(token, &self.key, within))
    }

    /// Whether a token that would be asked for a signature now is within reach; else what the first of
    /// them would fail with. Makes no call.
    pub(crate) fn within_reach(&self) -> Result<(), SignError> {
        let mut failed = Ok(());
        for (_, token) in self.candidates() {
            match token.within_reach() {
                Ok(()) => return Ok(()),
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed
    }

    /// Asks the tokens one after another. Each but the last is given half of the time that is left,
    /// so that all of them together keep within the caller's.
    fn ask<T>(
        &self,
        within: Duration,
        passed_over: &mut dyn FnMut(&SignError),
        mut question: impl FnMut(&Route, &Token, Duration) -> Result<T, SignError>,
    ) -> Result<T, SignError> {
        let begun = Instant::now();
        let mut failed = None;
        let mut candidates = self.candidates().into_iter().peekable();
        while let Some((route, token)) = candidates.next() {
            let left = within.saturating_sub(begun.elapsed());
            if let Some(error) = failed.take() {
                if left.is_zero() {
                    return Err(error);
                }
                passed_over(&error);
            }
            let share = if candidates.peek().is_some() { left / 2 } else { left };
            match question(route, token, share) {
                Ok(answer) => return Ok(answer),
                Err(error) if !is_of_one_token(&error) => return Err(error),
                Err(error) => {
                    self.set_aside(route, &error);
                    if error.signature_may_exist() == SignatureMayExist::Perhaps {
                        return Err(error);
                    }
                    failed = Some(error);
                }
            }
        }
        Err(failed.unwrap_or(SignError::UnknownKey { key: self.key.spki_hash() }))
    }

    /// The trusted tokens in order; where none is trusted, all that were ever open.
    fn candidates(&self) -> Vec<(&Route, &Token)> {
        let open = |route| Route::token(route).map(|token| (route, token));
        let trusted: Vec<_> =
            self.routes.iter().filter(|route| route.is_trusted()).filter_map(open).collect();
        if trusted.is_empty() { self.routes.iter().filter_map(open).collect() } else { trusted }
    }

    /// A key in one token has nowhere else to go, and its token heals itself while it is asked. One that
    /// has more work than sessions works.
    fn set_aside(&self, route: &Route, error: &SignError) {
        let is_at_fault = !matches!(error, SignError::Busy { .. });
        if self.routes.len() < 2 || !is_at_fault || route.set_aside.swap(true, Ordering::AcqRel) {
            return;
        }
        route.failovers.fetch_add(1, Ordering::Relaxed);
        let next = self.routes.iter().find(|route| route.is_trusted());
        let next = next.map(|route| route.source.name().to_string());
        tracing::error!(problem.code = error.code(), key.spki = %self.key.spki_hash(),
            token.label = %route.source.name().label, token.serial = %route.source.name().serial,
            token.next = next.as_deref().unwrap_or("none"),
            "token is set aside until the key proves itself in it again: {}; next: {}",
            causes(error), error.next_step());
    }

    /// Whether a token of the key waits to be proven.
    pub(crate) fn any_set_aside(&self) -> bool {
        self.routes.iter().any(|route| !route.is_trusted())
    }

    /// Tokens that are to be proven: those that were set aside, and with `StandBys::Too` those that
    /// are trusted and not asked.
    pub(crate) fn to_prove(&self, stand_bys: StandBys) -> impl Iterator<Item = &Route> {
        let first = self.routes.iter().position(Route::is_trusted);
        self.routes.iter().enumerate().filter_map(move |(index, route)| {
            let waits = !route.is_trusted();
            let stands_by = stand_bys == StandBys::Too && first != Some(index);
            (waits || stands_by).then_some(route)
        })
    }

    /// Has the key prove itself in `route`, and trusts or sets aside the token by what comes of it.
    pub(crate) fn prove_in(&self, route: &Route, within: Duration) -> Result<(), SignError> {
        let proven = route.source.open().and_then(|token| route.proves(token, &self.key, within));
        if proven.is_ok() {
            route.source.take_into_use();
        }
        match &proven {
            Ok(()) if route.set_aside.swap(false, Ordering::AcqRel) => {
                tracing::info!(key.spki = %self.key.spki_hash(),
                    token.label = %route.source.name().label,
                    token.serial = %route.source.name().serial,
                    "the key has proven itself; the token is in use again");
            }
            Ok(()) => {}
            Err(error) => self.set_aside(route, error),
        }
        proven
    }

    /// Sets aside a token that is known to be away, without asking it.
    pub(crate) fn set_aside_if_away(&self, route: &Route) {
        if let Some(Err(error)) = route.token().map(Token::within_reach) {
            self.set_aside(route, &error);
        }
    }

    /// How often the key was used, by token.
    pub(crate) fn uses(&self) -> impl Iterator<Item = KeyUse> {
        let first = self.routes.iter().position(Route::is_trusted);
        self.routes.iter().enumerate().map(move |(index, route)| KeyUse {
            key: self.key.spki_hash(),
            token: route.source.name().clone(),
            standing: match first {
                Some(first) if first == index => Standing::Signs,
                _ if route.is_trusted() => Standing::StandsBy,
                _ => Standing::SetAside,
            },
            signatures: route.signatures.load(Ordering::Relaxed),
            proofs: route.proofs.load(Ordering::Relaxed),
            failures: route.failures.load(Ordering::Relaxed),
            late: route.late.load(Ordering::Relaxed),
            failovers: route.failovers.load(Ordering::Relaxed),
        })
    }

    /// Its tokens.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Arc<TokenSource>> {
        self.routes.iter().map(Route::source)
    }

    pub(crate) fn spki_hash(&self) -> SpkiHash {
        self.key.spki_hash()
    }
}

/// Whether trusted tokens that are not asked for signatures are proven as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StandBys {
    Too,
    Not,
}

/// Whether a key has proven itself in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proven {
    Yes,
    No,
}

impl Route {
    fn new(source: &Arc<TokenSource>, proven: Proven) -> Self {
        Self {
            source: Arc::clone(source),
            set_aside: AtomicBool::new(proven == Proven::No),
            signatures: AtomicU64::new(0),
            proofs: AtomicU64::new(u64::from(proven == Proven::Yes)),
            failures: AtomicU64::new(0),
            late: Arc::default(),
            failovers: AtomicU64::new(0),
        }
    }

    pub(crate) fn source(&self) -> &Arc<TokenSource> {
        &self.source
    }

    fn token(&self) -> Option<&Token> {
        self.source.opened()
    }

    fn is_trusted(&self) -> bool {
        !self.set_aside.load(Ordering::Acquire)
    }

    fn proves(&self, token: &Token, key: &PublicKey, within: Duration) -> Result<(), SignError> {
        token.prove_again(key, within)?;
        self.proofs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether another token may do better: the token, or the key in it, is what failed, or it has too much
/// to do. All else would fail with any token.
fn is_of_one_token(error: &SignError) -> bool {
    matches!(
        error,
        SignError::Busy { .. }
            | SignError::Stalled { .. }
            | SignError::Unanswered { .. }
            | SignError::Module(_)
            | SignError::Token(_)
            | SignError::Key(_)
            | SignError::Device(_)
            | SignError::InDoubt(_)
            | SignError::Form { .. }
    )
}

fn prove(source: &TokenSource, key: &PublicKey) -> Result<(), Arc<SignError>> {
    source.open().and_then(|token| token.prove(key)).map_err(Arc::new)
}

/// What asking a token for a key came to; an error if no token may be such a one.
fn judged(
    outcome: Result<(), Arc<SignError>>,
    key: &PublicKey,
) -> Result<Result<(), Arc<SignError>>, SignError> {
    match outcome {
        Err(error) if is_wrong(&error) => Err(mine(error, key)),
        outcome => Ok(outcome),
    }
}

/// The error of a token that was asked for this key, which nobody else has.
fn mine(error: Arc<SignError>, key: &PublicKey) -> SignError {
    Arc::into_inner(error).unwrap_or(SignError::UnknownKey { key: key.spki_hash() })
}

/// Whether the token is there and has no such key. It may have been restored without it, and get it.
pub(crate) const fn lacks(error: &SignError) -> bool {
    matches!(error, SignError::Key(FindKeyError::Missing { .. }))
}

/// Whether the token is there and its key is not the one that is wanted, or no token may be such a
/// one: no waiting mends that.
fn is_wrong(error: &SignError) -> bool {
    match error {
        SignError::Key(FindKeyError::Device(_) | FindKeyError::Missing { .. }) => false,
        SignError::Key(_) | SignError::Token(OpenError::Software { .. }) => true,
        _ => false,
    }
}
