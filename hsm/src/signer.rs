//! The signing service over tokens: routes by key, recomputes digests, holds each key to its use.
//!
//! It believes nothing that it can compute: the digest of a [`SigningInput`] is taken again from
//! the bytes, or from the spool file on disk, so that what is signed is what was recorded. Whether
//! the signature verifies is for the caller to see (`Pending::finish`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use x509::crl::MAX_WHOLE_OCTETS;
use x509::key::{HashAlgorithm, KeyType, PublicKey, SpkiHash};
use x509::signing::{SigningInput, Spool, ToBeSigned};

use crate::begun::{Begun, Waiting};
use crate::comeback::{Comeback, Keys};
use crate::opened::Token;
use crate::operation::Operation;
use crate::quirks::Quirks;
use crate::route::{Away, KeyRoutes, StandBys};
use crate::service::{KeyPolicy, KeyUse, LateSignature, SignError, SignatureDone, SigningService};
use crate::source::TokenSource;
use crate::state::TokenState;
use crate::token::TokenName;

/// Octets of a spool file that are read at once.
const CHUNK: usize = 64 * 1024;
/// Late signatures that are kept for whoever asks; a program that does not ask has them in its log.
const MOST_LATE: usize = 1024;

/// Signs with keys in open tokens. Shared by reference; keys come and go while it works.
#[derive(Debug)]
pub struct TokenSigner {
    keys: Arc<Keys>,
    comeback: Comeback,
    deadline: Duration,
    late: Arc<Mutex<Vec<LateSignature>>>,
}

impl TokenSigner {
    /// Makes a service without keys, whose callers wait at most `deadline` for a signature.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        let keys: Arc<Keys> = Arc::default();
        let comeback = Comeback::new(Arc::clone(&keys), deadline);
        Self { keys, comeback, deadline, late: Arc::default() }
    }

    /// Adds a key, once it has proven itself; replaces one of the same SPKI.
    ///
    /// # Errors
    ///
    /// [`SignError`]: the key is not on the token, or may not be used.
    pub fn add(&self, token: &Token, key: &PublicKey, policy: KeyPolicy) -> Result<(), SignError> {
        token.prove(key)?;
        self.put(KeyRoutes::of(token, key, policy));
        Ok(())
    }

    /// Adds a key that lies in several tokens, the preferred one first, once it has proven itself in
    /// one of them; replaces one of the same SPKI. Returns the tokens that are away or lack the key: they
    /// are taken into use as soon as the key proves itself there. One that was away for another key is
    /// returned unasked where another has this one.
    ///
    /// # Errors
    ///
    /// [`SignError`]: the key proves itself in none (what the preferred one failed with), or one
    /// holds a key that may not be used.
    pub fn add_in_order(
        &self,
        tokens: &[Arc<TokenSource>],
        key: &PublicKey,
        policy: KeyPolicy,
    ) -> Result<Vec<Away>, SignError> {
        let (routes, away) = KeyRoutes::proven(tokens, key, policy)?;
        self.put(routes);
        if !away.is_empty() {
            self.comeback.begin(StandBys::Not);
        }
        Ok(away)
    }

    fn put(&self, routes: KeyRoutes) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(routes.spki_hash(), Arc::new(routes));
    }

    /// Stops signing with a key; it stays on its token.
    pub fn remove(&self, key: &SpkiHash) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The ways to the key of `input`, which may sign it so.
    fn routes_for(&self, input: &SigningInput) -> Result<(Arc<KeyRoutes>, KeyType), SignError> {
        let key = input.issuer_key();
        let routes = self.routes(key)?;
        if !routes.policy.allows(input.kind()) {
            let (kind, allowed) = (input.kind().name(), routes.policy.names());
            return Err(SignError::KindNotAllowed { key, kind, allowed });
        }
        let (algorithm, key_type) = (input.algorithm(), routes.key.key_type());
        if !algorithm.fits(key_type) {
            return Err(SignError::Algorithm { key, key_type, algorithm });
        }
        Ok((routes, key_type))
    }

    /// Is told of the token whose signature over `input` came when nobody waited for it any more.
    fn late_for(
        &self,
        input: &SigningInput,
    ) -> impl Fn(&TokenName) + Clone + Send + 'static + use<> {
        let (late, intent, key) = (Arc::clone(&self.late), input.intent_id(), input.issuer_key());
        move |token: &TokenName| {
            note_late(&late, LateSignature { intent, key, token: token.clone() })
        }
    }

    fn routes(&self, key: SpkiHash) -> Result<Arc<KeyRoutes>, SignError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&key).cloned().ok_or(SignError::UnknownKey { key })
    }
}

impl SigningService for TokenSigner {
    fn sign_telling(
        &self,
        input: &SigningInput,
        within: Duration,
        passed_over: &mut dyn FnMut(&SignError),
    ) -> Result<Vec<u8>, SignError> {
        let (routes, key_type) = self.routes_for(input)?;
        let operation = |quirks| verified_operation(input, key_type, quirks);
        let mut passed = false;
        let late = self.late_for(input);
        let signed = routes.sign(&operation, within, &late, &mut |error| {
            passed = true;
            not_signed(input, error);
            passed_over(error);
        });
        told(input, &signed);
        if (passed || signed.is_err()) && routes.any_set_aside() {
            self.comeback.begin(StandBys::Not);
        }
        signed
    }

    fn begin(
        &self,
        input: &SigningInput,
        within: Duration,
        done: SignatureDone,
    ) -> Result<Option<Begun>, SignError> {
        let (routes, key_type) = self.routes_for(input)?;
        let Some(token) = routes.only_token() else { return Ok(None) };
        let operation = verified_operation(input, key_type, token.quirks())?;
        let (asked, counted) = (input.clone(), Arc::<AtomicBool>::default());
        let done = move |signed| {
            told(&asked, &signed);
            done(signed);
        };
        let late = self.late_for(input);
        let begun = routes
            .begin(token, operation, within, &late, &counted, done)
            .inspect_err(|error| not_signed(input, error))?;
        let Some(left) = begun else { return Ok(None) };
        let (token, asked) = (token.clone(), input.clone());
        Ok(Some(Begun::waiting(Waiting { left, routes, token, within, asked, counted })))
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn prove(&self, key: &SpkiHash) -> Result<(), SignError> {
        let routes = self.routes(*key)?;
        let proven = routes.prove(self.deadline);
        if routes.any_set_aside() {
            self.comeback.begin(StandBys::Not);
        }
        proven
    }

    fn within_reach(&self, key: &SpkiHash) -> Result<(), SignError> {
        self.routes(*key)?.within_reach()
    }

    fn prove_stand_bys(&self) {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if keys.values().any(|key| key.to_prove(StandBys::Too).next().is_some()) {
            self.comeback.begin(StandBys::Too);
        }
    }

    fn keys(&self) -> Vec<SpkiHash> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn tokens(&self) -> Vec<TokenState> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let sources = keys.values().flat_map(|key| key.sources());
        let sources: BTreeMap<TokenName, Arc<TokenSource>> =
            sources.map(|source| (source.name().clone(), Arc::clone(source))).collect();
        drop(keys);
        sources.values().filter_map(|source| source.state()).collect()
    }

    fn uses(&self) -> Vec<KeyUse> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().flat_map(|key| key.uses()).collect()
    }

    fn late_signatures(&self) -> Vec<LateSignature> {
        std::mem::take(&mut self.late.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn note_late(late: &Mutex<Vec<LateSignature>>, one: LateSignature) {
    tracing::error!(problem.code = "hsm-signature-late", intent.id = %one.intent,
        key.spki = %one.key, token.label = %one.token.label, token.serial = %one.token.serial,
        "the signature came back after its caller had given up; the intent is not fulfilled by it");
    let mut late = late.lock().unwrap_or_else(PoisonError::into_inner);
    if late.len() < MOST_LATE {
        late.push(one);
    }
}

fn told(input: &SigningInput, signed: &Result<Vec<u8>, SignError>) {
    match signed {
        Ok(_) => tracing::debug!(intent.id = %input.intent_id(), key.spki = %input.issuer_key(),
            kind = input.kind().name(), "signed"),
        Err(error) => not_signed(input, error),
    }
}

pub(crate) fn not_signed(input: &SigningInput, error: &SignError) {
    tracing::warn!(intent.id = %input.intent_id(), key.spki = %input.issuer_key(),
        kind = input.kind().name(), code = error.code(), "not signed: {error}");
}

/// Takes the digest again from the bytes and compares it with the recorded one.
fn verified_operation(
    input: &SigningInput,
    key_type: KeyType,
    quirks: Quirks,
) -> Result<Operation, SignError> {
    let (key, algorithm) = (input.issuer_key(), input.algorithm());
    match (input.to_be_signed(), algorithm.hash()) {
        (ToBeSigned::Bytes(bytes), hash) => {
            let sha256 = checked_digest(input, bytes)?;
            match hash {
                Some(HashAlgorithm::Sha256) if !quirks.takes_message(algorithm) => {
                    Operation::over_digest(algorithm, sha256.as_ref())
                }
                _ => Operation::over_message(algorithm, bytes, quirks),
            }
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

/// SHA-256 of the bytes, which is the recorded one.
pub(crate) fn checked_digest(
    input: &SigningInput,
    bytes: &[u8],
) -> Result<digest::Digest, SignError> {
    let sha256 = digest::digest(&digest::SHA256, bytes);
    same(input, sha256.as_ref())?;
    Ok(sha256)
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
