//! Which algorithms may be used, for what, and on which days (KEY-11): a reviewed file, not code.
//!
//! What is not allowed is refused. A use that has ended stands in the policy with its last day, so
//! that it is known since when: a CA whose own algorithm has ended issues nothing, and its CRLs go on,
//! because a revocation that nobody sees hurts more than an old signature does.

mod file;

use std::fmt;

use thiserror::Error;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::time::UnixTime;

pub use self::file::AlgorithmPolicyError;
use crate::day::Day;
use crate::profile::ProfileKind;

/// The policy that holds where a configuration names none: `environments/algorithms.toml`.
pub(crate) const SHIPPED: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../environments/algorithms.toml"));

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPurpose {
    /// Roots and issuing CAs.
    Issuing,
    /// The management CA and what it certifies.
    Management,
    /// Delegated OCSP responders.
    Responder,
    /// Persons and functions.
    Subscriber,
}

impl KeyPurpose {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Issuing, "issuing"),
        (Self::Management, "management"),
        (Self::Responder, "responder"),
        (Self::Subscriber, "subscriber"),
    ];

    /// The purpose of the keys that certificates of this kind certify.
    #[must_use]
    pub const fn certified_by(kind: ProfileKind) -> Self {
        match kind {
            ProfileKind::RootCa | ProfileKind::IssuingCa | ProfileKind::CrossCa => Self::Issuing,
            ProfileKind::OcspResponder => Self::Responder,
            ProfileKind::PersonAuthentication
            | ProfileKind::PersonSignature
            | ProfileKind::Function
            | ProfileKind::Machine
            | ProfileKind::CardTransport => Self::Subscriber,
            ProfileKind::ManagementCa
            | ProfileKind::ManagementServer
            | ProfileKind::ManagementClient => Self::Management,
        }
    }

    /// The purpose of the keys that sign certificates of this kind.
    #[must_use]
    pub const fn signing(kind: ProfileKind) -> Self {
        if kind.is_management() { Self::Management } else { Self::Issuing }
    }

    /// Whether such keys sign what the policy judges.
    const fn signs(self) -> bool {
        matches!(self, Self::Issuing | Self::Management)
    }
}

impl fmt::Display for KeyPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(one, _)| one == self).map_or("", |(_, name)| name))
    }
}

/// One use that is allowed on some days.
#[derive(Clone, Debug)]
struct Allowed {
    purpose: KeyPurpose,
    key: KeyType,
    signatures: Vec<SignatureAlgorithm>,
    from: Day,
    to: Option<Day>,
}

/// A checked policy.
#[derive(Clone, Debug)]
pub struct AlgorithmPolicy {
    allowed: Vec<Allowed>,
}

impl AlgorithmPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    ///
    /// [`AlgorithmPolicyError`]: not the TOML of a policy, an unknown key or word, or a line that can
    /// allow nothing.
    pub fn parse(text: &str) -> Result<Self, AlgorithmPolicyError> {
        file::read(text).map(|allowed| Self { allowed })
    }

    /// The shipped policy.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`]; a build whose tests passed has a good one.
    pub fn shipped() -> Result<Self, AlgorithmPolicyError> {
        Self::parse(SHIPPED)
    }

    /// Judges a key, for `purpose` or, where nobody knows it, for any.
    ///
    /// # Errors
    ///
    /// [`NotAllowed`] at `now`.
    pub fn key(
        &self,
        purpose: Option<KeyPurpose>,
        key: KeyType,
        now: UnixTime,
    ) -> Result<(), NotAllowed> {
        let fits =
            |one: &&Allowed| one.key == key && purpose.is_none_or(|purpose| one.purpose == purpose);
        standing(self.allowed.iter().filter(fits), now).map_err(|standing| NotAllowed {
            purpose,
            key,
            signature: None,
            standing,
        })
    }

    /// Judges a signing key together with how it signs.
    ///
    /// # Errors
    ///
    /// [`NotAllowed`] at `now`.
    pub fn signature(
        &self,
        purpose: KeyPurpose,
        key: KeyType,
        signature: SignatureAlgorithm,
        now: UnixTime,
    ) -> Result<(), NotAllowed> {
        standing(self.signing(purpose, key, signature), now).map_err(|standing| NotAllowed {
            purpose: Some(purpose),
            key,
            signature: Some(signature),
            standing,
        })
    }

    /// When the last use of such a key that signs so ends; `None` where no end is set, or none begins.
    #[must_use]
    pub fn signature_ends(
        &self,
        purpose: KeyPurpose,
        key: KeyType,
        signature: SignatureAlgorithm,
    ) -> Option<UnixTime> {
        let ends: Option<Vec<Day>> =
            self.signing(purpose, key, signature).map(|one| one.to).collect();
        ends?.into_iter().map(Day::end).max()
    }

    fn signing(
        &self,
        purpose: KeyPurpose,
        key: KeyType,
        signature: SignatureAlgorithm,
    ) -> impl Iterator<Item = &Allowed> {
        self.allowed.iter().filter(move |one| {
            one.purpose == purpose && one.key == key && one.signatures.contains(&signature)
        })
    }
}

/// Allowed where one line allows it now.
fn standing<'a>(lines: impl Iterator<Item = &'a Allowed>, now: UnixTime) -> Result<(), Standing> {
    let mut found = Standing::Never;
    for line in lines {
        let ended = line.to.filter(|to| to.end() <= now);
        if line.from.begin() > now {
            // What is to begin tells more than what has ended.
            found = match found {
                Standing::NotYet { from } => Standing::NotYet { from: from.min(line.from) },
                _ => Standing::NotYet { from: line.from },
            };
        } else if let Some(last) = ended {
            found = match found {
                Standing::Never => Standing::Over { last },
                Standing::Over { last: other } => Standing::Over { last: last.max(other) },
                begins => begins,
            };
        } else {
            return Ok(());
        }
    }
    Err(found)
}

/// How something stands that is not allowed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No line of the policy allows it on any day.
    Never,
    /// It begins later.
    NotYet {
        /// Its first day.
        from: Day,
    },
    /// It has ended.
    Over {
        /// Its last day.
        last: Day,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("not allowed"),
            Self::NotYet { from } => write!(f, "allowed from {from}"),
            Self::Over { last } => write!(f, "allowed until {last}"),
        }
    }
}

/// What the policy does not allow now.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub struct NotAllowed {
    /// What the key is for, where that is known.
    pub purpose: Option<KeyPurpose>,
    /// The key.
    pub key: KeyType,
    /// How it would sign, where that was judged.
    pub signature: Option<SignatureAlgorithm>,
    /// Since when, or until when.
    pub standing: Standing,
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { purpose, key, signature, standing } = self;
        write!(f, "{key} keys")?;
        if let Some(purpose) = purpose {
            write!(f, " of purpose {purpose}")?;
        }
        if let Some(signature) = signature {
            write!(f, " that sign with {signature}")?;
        }
        write!(f, " are {standing}")
    }
}

#[cfg(test)]
mod tests;
