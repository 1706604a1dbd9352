//! The one door through which certificates, CRLs and OCSP answers get signed.
//!
//! [`SigningService::sign`] takes a [`SigningInput`], which exists only for a recorded intent, so
//! there is no way to have bytes of one's own choice signed. Whoever gets the signature verifies it
//! (`Pending::finish`) before anything is released.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use x509::key::{KeyType, SignatureAlgorithm, SpkiHash};
use x509::signing::{IntentId, SigningInput, SigningKind};

use crate::begun::Begun;
use crate::classes::Signed;
use crate::failure::Pkcs11Failure;
use crate::find_key::FindKeyError;
use crate::module::ModuleError;
use crate::open::OpenError;
use crate::state::TokenState;
use crate::token::TokenName;

/// Is told what came of a signature that was [begun](SigningService::begin).
pub type SignatureDone = Box<dyn FnOnce(Result<Vec<u8>, SignError>) + Send>;

/// Signs recorded to-be-signed bytes with keys that never leave their tokens.
pub trait SigningService: Send + Sync {
    /// Returns the signature over `input` in its X.509 form (ECDSA: DER Ecdsa-Sig-Value, RFC 3279
    /// §2.2.3; RSA and Ed25519: the raw octets). Blocks, but not past [`Self::deadline`].
    ///
    /// # Errors
    ///
    /// [`SignError`]. [`SignError::signature_may_exist`] says whether the key may have signed.
    fn sign(&self, input: &SigningInput) -> Result<Vec<u8>, SignError> {
        self.sign_telling(input, self.deadline(), &mut |_| {})
    }

    /// As [`Self::sign`], and blocks at most for `within`. A key may lie in several tokens:
    /// `passed_over` is told of each try in vain after which another token was asked. The last one is
    /// what is returned.
    ///
    /// # Errors
    ///
    /// As [`Self::sign`].
    fn sign_telling(
        &self,
        input: &SigningInput,
        within: Duration,
        passed_over: &mut dyn FnMut(&SignError),
    ) -> Result<Vec<u8>, SignError>;

    /// As [`Self::sign_telling`], without waiting: a thread of the key's own signs, `done` is told there, and may do short work,
    /// such as verifying. Whoever waits looks at [`Begun::next_look`]. `None` where somebody has to wait: the key has no such
    /// thread, lies in several tokens, or has more work than may wait. Then nothing was asked of the key, `done` is not told,
    /// and [`Self::sign_telling`] waits.
    ///
    /// # Errors
    ///
    /// As [`Self::sign`]; `done` is not told then.
    fn begin(
        &self,
        _input: &SigningInput,
        _within: Duration,
        _done: SignatureDone,
    ) -> Result<Option<Begun>, SignError> {
        Ok(None)
    }

    /// How long a caller waits for a signature, all tries together.
    fn deadline(&self) -> Duration;

    /// Has a key prove itself anew, for readiness: it is looked up and signs the text that proofs sign
    /// ([`proof_text`](crate::proof_text)), which is worth nothing elsewhere. Blocks as signing does.
    ///
    /// # Errors
    ///
    /// [`SignError`]: what signing with the key would meet now.
    fn prove(&self, key: &SpkiHash) -> Result<(), SignError>;

    /// Whether a signature may be asked for: some token that holds the key is not known to be lost and
    /// takes calls. Makes no call, so that what is bound to fail is refused before anything is recorded
    /// for it. Whoever asks here leaves it to [`Self::prove`] to find out that a token is back.
    ///
    /// # Errors
    ///
    /// [`SignError`]: what signing with the key would meet now.
    fn within_reach(&self, key: &SpkiHash) -> Result<(), SignError>;

    /// Has keys that lie in several tokens prove themselves in those that are not asked for
    /// signatures now, beside the traffic: a stand-by that is needed and not there is no stand-by.
    fn prove_stand_bys(&self);

    /// The keys it signs with.
    fn keys(&self) -> Vec<SpkiHash>;

    /// How the tokens behind it are; none where there are no tokens.
    fn tokens(&self) -> Vec<TokenState>;

    /// How often each key was used, by token, in no order.
    fn uses(&self) -> Vec<KeyUse>;

    /// The signatures that came back after their callers had given up, each told once.
    fn late_signatures(&self) -> Vec<LateSignature>;
}

/// A signature that came back after its caller had given up. Nobody got it (KEY-14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateSignature {
    /// The intent that it was made for.
    pub intent: IntentId,
    /// The key.
    pub key: SpkiHash,
    /// The token.
    pub token: TokenName,
}

/// How often a key was used in a token since it was added (KEY-14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub key: SpkiHash,
    /// The token.
    pub token: TokenName,
    /// What the token is to the key now.
    pub standing: Standing,
    /// Signatures that it returned.
    pub signatures: u64,
    /// Times that it was asked whether the key proves itself, and it did. Each session that is
    /// opened has the key prove itself once more.
    pub proofs: u64,
    /// Signings that ended in an error of token or key.
    pub failures: u64,
    /// Signatures among those that came back after their callers had given up; nobody got them.
    pub late: u64,
    /// Times that the token was set aside for another one.
    pub failovers: u64,
}

/// What a token is to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is asked for signatures.
    Signs,
    /// It would be asked if the ones before it failed.
    StandsBy,
    /// It failed, or was never there; it is not asked before the key has proven itself in it.
    SetAside,
}

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

    /// The key of a CA that is made in a ceremony and has no certificate yet: its own request.
    #[must_use]
    pub fn requesting() -> Self {
        Self::allowing(&[SigningKind::Request])
    }

    /// A delegated responder's key: OCSP answers.
    #[must_use]
    pub fn answering() -> Self {
        Self::allowing(&[SigningKind::OcspAnswer])
    }

    pub(crate) fn allows(&self, kind: SigningKind) -> bool {
        self.allowed.contains(&kind)
    }

    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.allowed.iter().map(|kind| kind.name()).collect();
        names.join(", ")
    }
}

/// Why no signature was returned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignError {
    /// No configured token holds the key.
    #[error("no configured key has the SPKI hash {key}")]
    UnknownKey {
        /// The key that was asked for.
        key: SpkiHash,
    },
    /// The key's policy does not allow what is to be signed (KEY-05).
    #[error("key {key} may not sign a {kind}; it may sign {allowed}")]
    KindNotAllowed {
        /// The key that was asked for.
        key: SpkiHash,
        /// What was to be signed.
        kind: &'static str,
        /// What it may sign.
        allowed: String,
    },
    /// The key makes no such signatures.
    #[error("{key_type} key {key} makes no {algorithm} signatures")]
    Algorithm {
        /// The key that was asked for.
        key: SpkiHash,
        /// What kind of key it is.
        key_type: KeyType,
        /// How it was to sign.
        algorithm: SignatureAlgorithm,
    },
    /// The bytes are not those of the recorded intent.
    #[error("bytes of intent {intent} have SHA-256 {found}, recorded is {recorded}")]
    DigestMismatch {
        /// The intent.
        intent: IntentId,
        /// The recorded digest, hexadecimal.
        recorded: String,
        /// The digest of the bytes, hexadecimal.
        found: String,
    },
    /// The spool file cannot be read.
    #[error("spool file {path:?} cannot be read")]
    Spool {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The spool file is not as long as its writer said.
    #[error("spool file {path:?} has {found} octets, recorded are {recorded}")]
    SpoolLength {
        /// The file.
        path: PathBuf,
        /// Octets that its writer wrote.
        recorded: u64,
        /// Octets in it.
        found: u64,
    },
    /// The token takes the whole message, which is held in memory, and the spool file is too long.
    #[error(
        "token of key {key} takes the whole message; the spool file has {octets} octets, the limit is {limit}"
    )]
    WholeMessage {
        /// The key that was asked for.
        key: SpkiHash,
        /// Octets in the spool file.
        octets: u64,
        /// The most that are held.
        limit: u64,
    },
    /// No session was free in time; nothing was signed.
    #[error("token {token} had no free session for {waited:?}")]
    Busy {
        /// The token.
        token: TokenName,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The token did not come as far as signing in time; nothing was signed, and nothing will be.
    #[error("token {token} was not ready to sign within {waited:?}; nothing was signed")]
    Stalled {
        /// The token.
        token: TokenName,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The token had begun to sign but did not answer in time; it may have signed.
    #[error("token {token} did not answer within {waited:?}")]
    Unanswered {
        /// The token.
        token: TokenName,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The token's module could not be loaded.
    #[error("token's module could not be loaded")]
    Module(#[source] ModuleError),
    /// The token could not be reached.
    #[error("token could not be reached")]
    Token(#[source] OpenError),
    /// The key is not on its token, or not what it must be.
    #[error("key could not be used")]
    Key(#[source] FindKeyError),
    /// The token refused to sign.
    #[error("token did not sign")]
    Device(#[source] Pkcs11Failure),
    /// A token did not return what it may have signed, and others hold the key: two tokens never sign
    /// one intent.
    #[error(
        "token may have signed and returned nothing; no other token of the key is asked for the same"
    )]
    InDoubt(#[source] Pkcs11Failure),
    /// A key in the memory of the process did not sign.
    #[error("key {key} in the process's memory did not sign")]
    InMemory {
        /// The key.
        key: SpkiHash,
    },
    /// What came back has not the form of a signature.
    #[error("token {token} returned {octets} octets, which is no {algorithm} signature")]
    Form {
        /// The token.
        token: TokenName,
        /// How much came back.
        octets: usize,
        /// How it was to sign.
        algorithm: SignatureAlgorithm,
    },
}

/// Whether a key may have signed although nobody got the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureMayExist {
    /// Certainly not: the same bytes may be tried again.
    No,
    /// Perhaps: the intent is to be voided, not tried again.
    Perhaps,
}

/// Whether a try that failed may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It would fail again, or a signature may exist.
    Never,
    /// The key may have worked, and returned nothing: one more try, so that a token that fails in the
    /// middle of its work does not work on and on.
    Once,
    /// The key was not used.
    WhileTimeAllows,
}

impl SignError {
    /// Every [`Self::code`] there is, for counters that begin at 0.
    pub const CODES: &[&str] = &[
        "hsm-key-unknown",
        "hsm-kind-not-allowed",
        "hsm-algorithm",
        "hsm-digest-mismatch",
        "hsm-spool-unreadable",
        "hsm-spool-length",
        "hsm-spool-whole",
        "hsm-busy",
        "hsm-unanswered",
        "hsm-sign",
        "hsm-sign-in-doubt",
        "hsm-signature-form",
        "hsm-module-path",
        "hsm-module-unreadable",
        "hsm-module-load",
        "hsm-module-initialise",
        "hsm-session",
        "hsm-software-token",
        "hsm-thread",
        "hsm-open-deadline",
        "hsm-initialising",
        "hsm-breaker-open",
        "hsm-pin-refused",
        "hsm-pin-refused-before",
        "hsm-pin-count-low",
        "hsm-pin-final-try",
        "hsm-pin-locked",
        "hsm-pin-not-set",
        "hsm-pin-must-change",
        "hsm-pin-marker",
        "hsm-login",
        "hsm-token-missing",
        "hsm-token-label-mismatch",
        "hsm-token-serial-mismatch",
        "hsm-token-twice",
        "hsm-token-list",
        "hsm-key-missing",
        "hsm-key-duplicate",
        "hsm-key-refused",
        "hsm-key-not-proven",
        "hsm-key-read",
        "hsm-profile-unreadable",
        "hsm-profile-form",
        "hsm-profile-differs",
        "hsm-profile-failed",
        "hsm-profile-write",
        "hsm-profile-incomplete",
        "hsm-stalled",
        "hsm-login-paused",
        "hsm-module-shared",
        "hsm-pin-in-doubt",
        "hsm-login-busy",
        "hsm-module-deadline",
        "hsm-memory-key",
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownKey { .. } => "hsm-key-unknown",
            Self::KindNotAllowed { .. } => "hsm-kind-not-allowed",
            Self::Algorithm { .. } => "hsm-algorithm",
            Self::DigestMismatch { .. } => "hsm-digest-mismatch",
            Self::Spool { .. } => "hsm-spool-unreadable",
            Self::SpoolLength { .. } => "hsm-spool-length",
            Self::WholeMessage { .. } => "hsm-spool-whole",
            Self::Busy { .. } => "hsm-busy",
            Self::Stalled { .. } => "hsm-stalled",
            Self::Unanswered { .. } => "hsm-unanswered",
            Self::Module(error) => error.code(),
            Self::Token(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Device(_) => "hsm-sign",
            Self::InDoubt(_) => "hsm-sign-in-doubt",
            Self::InMemory { .. } => "hsm-memory-key",
            Self::Form { .. } => "hsm-signature-form",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::UnknownKey { .. } => "configure the token that holds the key",
            Self::KindNotAllowed { .. } | Self::Algorithm { .. } => {
                "use the key that is meant for this"
            }
            Self::WholeMessage { .. } => {
                "use a token that signs digests (CKM_ECDSA) for a CA with so long a CRL"
            }
            Self::DigestMismatch { .. } | Self::SpoolLength { .. } => {
                "treat it as an alarm: something changed the bytes after they were recorded"
            }
            Self::Spool { .. } => "check the spool folder's permissions and space",
            Self::Busy { .. } => "try again; if it lasts, add sessions or look at the token's load",
            Self::Stalled { .. } => "check the token's connection; send the order again",
            Self::Unanswered { .. } => "check the token's connection; the intent is voided",
            Self::Module(error) => error.next_step(),
            Self::Token(error) => error.next_step(),
            Self::Key(error) => error.next_step(),
            Self::Device(failure) => failure.next_step(),
            Self::InDoubt(_) => "send the order again: the intent is voided; look after the token",
            Self::InMemory { .. } => "restart the program; if it lasts, look at the machine",
            Self::Form { .. } => "stop using the token and ask its vendor",
        }
    }

    /// Whether the key may have signed.
    #[must_use]
    pub const fn signature_may_exist(&self) -> SignatureMayExist {
        match self {
            Self::Unanswered { .. } | Self::InDoubt(_) | Self::Form { .. } => {
                SignatureMayExist::Perhaps
            }
            Self::Device(failure) => match failure.signed() {
                Signed::Perhaps => SignatureMayExist::Perhaps,
                Signed::No | Signed::Unreturned => SignatureMayExist::No,
            },
            _ => SignatureMayExist::No,
        }
    }

    /// Whether the same bytes may be given to the key once more. Never when a signature may exist.
    #[must_use]
    pub const fn again(&self) -> Again {
        let (passes, unreturned) = match self {
            Self::Busy { .. } | Self::Key(FindKeyError::Missing { .. }) => (true, false),
            Self::Token(error) => (error.passes(), false),
            // That a proof came to nothing says nothing of what is to be signed.
            Self::Key(FindKeyError::Device(failure)) => (failure.class().is_lost(), false),
            Self::Device(failure) => match failure.signed() {
                Signed::No => (failure.class().is_lost(), false),
                Signed::Unreturned => (failure.class().is_lost(), true),
                Signed::Perhaps => (false, false),
            },
            _ => (false, false),
        };
        match (passes, unreturned) {
            (false, _) => Again::Never,
            (true, false) => Again::WhileTimeAllows,
            (true, true) => Again::Once,
        }
    }

    /// Whether one more try at once may help. Not where the token has more work than sessions: to ask
    /// for each twice would only add to it.
    #[must_use]
    pub const fn may_help_at_once(&self) -> bool {
        !matches!(self, Self::Busy { .. }) && !matches!(self.again(), Again::Never)
    }

    /// When the next try can be of use, where the token says so.
    #[must_use]
    pub const fn come_back(&self) -> Option<Duration> {
        match self {
            Self::Token(OpenError::BreakerOpen { come_back, .. }) => Some(*come_back),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// An alarm on a counter that is not there before it rises misses its first rise.
    #[test]
    fn the_list_of_codes_has_every_code_that_an_error_of_signing_may_have() {
        let files = [
            include_str!("service.rs"),
            include_str!("module.rs"),
            include_str!("open.rs"),
            include_str!("attempts.rs"),
            include_str!("token.rs"),
            include_str!("find_key.rs"),
            include_str!("profile.rs"),
        ];
        let mut said = BTreeSet::new();
        for file in files {
            let texts: Vec<&str> = file.split('"').collect();
            for pair in texts.windows(2) {
                let before = pair[0].trim_end();
                let is_arm = before.ends_with("=>") || before.ends_with("=> {");
                if is_arm && pair[1].starts_with("hsm-") {
                    said.insert(pair[1].to_owned());
                }
            }
        }

        let listed: BTreeSet<String> =
            SignError::CODES.iter().map(|code| (*code).to_owned()).collect();

        assert_eq!(listed, said);
        assert_eq!(listed.len(), SignError::CODES.len(), "none twice");
    }
}
