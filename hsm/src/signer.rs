//! The signing service over tokens: routes by key, recomputes digests, holds each key to its use.
//!
//! It believes nothing that it can compute: the digest of a [`SigningInput`] is taken again from
//! the bytes, or from the spool file on disk, so that what is signed is what was recorded. Whether
//! the signature verifies is for the caller to see (`Pending::finish`).

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest;
use x509::crl::MAX_WHOLE_OCTETS;
use x509::key::{KeyType, PublicKey, SpkiHash};
use x509::signing::{SigningInput, SigningKind, Spool, ToBeSigned};

use crate::opened::Token;
use crate::operation::Operation;
use crate::quirks::Quirks;
use crate::service::{SignError, SigningService};
use crate::state::TokenState;
use crate::token::TokenName;

/// Octets of a spool file that are read at once.
const CHUNK: usize = 64 * 1024;

/// What a key may sign (KEY-05).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    allowed: Vec<SigningKind>,
}

impl KeyPolicy {
    /// Allows exactly these kinds.
    #[must_use]
    pub fn allowing(kinds: &[SigningKind]) -> Self {
        Self { allowed: kinds.to_vec() }
    }

    /// A CA key: certificates, CRLs and the certificates of its OCSP delegates.
    #[must_use]
    pub fn issuing() -> Self {
        Self::allowing(&[SigningKind::Certificate, SigningKind::Crl, SigningKind::OcspDelegate])
    }

    /// A delegated responder's key: OCSP answers.
    #[must_use]
    pub fn answering() -> Self {
        Self::allowing(&[SigningKind::OcspAnswer])
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.allowed.iter().map(|kind| kind.name()).collect();
        names.join(", ")
    }
}

/// Signs with keys in open tokens. Shared by reference; keys come and go while it works.
#[derive(Debug)]
pub struct TokenSigner {
    routes: RwLock<HashMap<SpkiHash, Arc<Route>>>,
    deadline: Duration,
}

#[derive(Debug)]
struct Route {
    token: Token,
    key: PublicKey,
    policy: KeyPolicy,
    signatures: AtomicU64,
    failures: AtomicU64,
}

/// How often a key was used since the program started (KEY-14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub key: SpkiHash,
    /// Where it lives.
    pub token: TokenName,
    /// Signatures that it returned.
    pub signatures: u64,
    /// Signings that ended in an error of token or key.
    pub failures: u64,
}

impl TokenSigner {
    /// Makes a service without keys, whose callers wait at most `deadline` for a signature.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        Self { routes: RwLock::default(), deadline }
    }

    /// Adds a key, once it has proven itself; replaces one of the same SPKI.
    ///
    /// # Errors
    ///
    /// [`SignError`]: the key is not on the token, or may not be used.
    pub fn add(&self, token: &Token, key: &PublicKey, policy: KeyPolicy) -> Result<(), SignError> {
        token.prove(key)?;
        let route = Route {
            token: token.clone(),
            key: key.clone(),
            policy,
            signatures: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        };
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.insert(key.spki_hash(), Arc::new(route));
        Ok(())
    }

    /// Stops signing with a key; it stays on its token.
    pub fn remove(&self, key: &SpkiHash) {
        self.routes.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// How often each key was used, in no order.
    #[must_use]
    pub fn uses(&self) -> Vec<KeyUse> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let of_route = |(key, route): (&SpkiHash, &Arc<Route>)| KeyUse {
            key: *key,
            token: route.token.name().clone(),
            signatures: route.signatures.load(Ordering::Relaxed),
            failures: route.failures.load(Ordering::Relaxed),
        };
        routes.iter().map(of_route).collect()
    }

    fn route(&self, key: SpkiHash) -> Result<Arc<Route>, SignError> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.get(&key).cloned().ok_or(SignError::UnknownKey { key })
    }
}

impl SigningService for TokenSigner {
    fn sign(&self, input: &SigningInput) -> Result<Vec<u8>, SignError> {
        let key = input.issuer_key();
        let route = self.route(key)?;
        if !route.policy.allowed.contains(&input.kind()) {
            let (kind, allowed) = (input.kind().name(), route.policy.names());
            return Err(SignError::KindNotAllowed { key, kind, allowed });
        }
        let (algorithm, key_type) = (input.algorithm(), route.key.key_type());
        if !algorithm.fits(key_type) {
            return Err(SignError::Algorithm { key, key_type, algorithm });
        }
        let operation = verified_operation(input, route.key.key_type(), route.token.quirks())?;
        let signed = route.token.sign(&route.key, operation, self.deadline);
        let counter = if signed.is_ok() { &route.signatures } else { &route.failures };
        counter.fetch_add(1, Ordering::Relaxed);
        match &signed {
            Ok(_) => tracing::debug!(intent.id = %input.intent_id(), key.spki = %key,
                kind = input.kind().name(), "signed"),
            Err(error) => tracing::warn!(intent.id = %input.intent_id(), key.spki = %key,
                kind = input.kind().name(), code = error.code(), "not signed: {error}"),
        }
        signed
    }

    fn prove(&self, key: &SpkiHash) -> Result<(), SignError> {
        let route = self.route(*key)?;
        route.token.prove_again(&route.key, self.deadline)
    }

    fn keys(&self) -> Vec<SpkiHash> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn tokens(&self) -> Vec<TokenState> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let tokens: BTreeMap<TokenName, Token> = routes
            .values()
            .map(|route| (route.token.name().clone(), route.token.clone()))
            .collect();
        drop(routes);
        tokens.values().map(Token::state).collect()
    }
}

/// Takes the digest again from the bytes and compares it with the recorded one.
fn verified_operation(
    input: &SigningInput,
    key_type: KeyType,
    quirks: Quirks,
) -> Result<Operation, SignError> {
    let (key, algorithm) = (input.issuer_key(), input.algorithm());
    match (input.to_be_signed(), algorithm.hash()) {
        (ToBeSigned::Bytes(bytes), _) => {
            same(input, digest::digest(&digest::SHA256, bytes).as_ref())?;
            Operation::over_message(algorithm, bytes, quirks)
        }
        (ToBeSigned::Spool(spool), Some(hash)) if !quirks.takes_message(algorithm) => {
            let (sha256, own) = digests_of(spool, hash.implementation())?;
            same(input, sha256.as_ref())?;
            Operation::over_digest(algorithm, own.as_ref())
        }
        (ToBeSigned::Spool(spool), _) => {
            let message = whole(spool, key)?;
            same(input, digest::digest(&digest::SHA256, &message).as_ref())?;
            Operation::over_message(algorithm, &message, quirks)
        }
    }
    .map_err(|_| SignError::Algorithm { key, key_type, algorithm })
}

/// A spool file that a token wants whole: what is hashed and compared is what it gets.
fn whole(spool: &Spool, key: SpkiHash) -> Result<Vec<u8>, SignError> {
    let (octets, limit) = (spool.length, MAX_WHOLE_OCTETS);
    if octets > limit {
        return Err(SignError::WholeMessage { key, octets, limit });
    }
    let unreadable = |source| SignError::Spool { path: spool.path.clone(), source };
    let mut message = Vec::new();
    let file = File::open(&spool.path).map_err(unreadable)?;
    file.take(octets.saturating_add(1)).read_to_end(&mut message).map_err(unreadable)?;
    let found = u64::try_from(message.len()).unwrap_or(u64::MAX);
    if found != octets {
        let (path, recorded) = (spool.path.clone(), octets);
        return Err(SignError::SpoolLength { path, recorded, found });
    }
    Ok(message)
}

fn same(input: &SigningInput, found: &[u8]) -> Result<(), SignError> {
    if found == input.digest() {
        return Ok(());
    }
    Err(SignError::DigestMismatch {
        intent: input.intent_id(),
        recorded: hexadecimal(input.digest()),
        found: hexadecimal(found),
    })
}

/// SHA-256 and the signature's own hash of a spool file, in one reading.
fn digests_of(
    spool: &Spool,
    own: &'static digest::Algorithm,
) -> Result<(digest::Digest, digest::Digest), SignError> {
    let unreadable = |source| SignError::Spool { path: spool.path.clone(), source };
    let mut file = File::open(&spool.path).map_err(unreadable)?;
    let (mut sha256, mut own) = (digest::Context::new(&digest::SHA256), digest::Context::new(own));
    let mut chunk = vec![0; CHUNK];
    let mut length = 0_u64;
    loop {
        let read = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        let octets = chunk.get(..read).unwrap_or_default();
        sha256.update(octets);
        own.update(octets);
        length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    if length != spool.length {
        let (path, recorded) = (spool.path.clone(), spool.length);
        return Err(SignError::SpoolLength { path, recorded, found: length });
    }
    Ok((sha256.finish(), own.finish()))
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{octet:02x}");
        text
    })
}
