//! Domains whose control an organisation has proved: what the DNS names of a function certificate rest on (PRO-20).
//!
//! A domain is a name that its owner registered, never one under which anybody may register ([`DomainName::parse`]); it covers
//! itself and every name under it. A proof of control has a method of the reviewed list, the second at which somebody saw it and a last second ([`Proof::judge`]).
//! What an organisation has proved holds for the organisations under it, never for those above or beside ([`judge`]).

mod method;

use std::fmt;
use std::time::Duration;

use psl::Psl as _;
use thiserror::Error;
use x509::time::UnixTime;

pub use self::method::{DomainProofId, DomainProofMethod, DomainProofs, LONGEST_DAYS};
use crate::identity::{DnsName, Wildcard};
use crate::organisation::today;
use crate::refusal::Refusal;

/// How long a token that the CA gave out may be used for a proof (BR 3.2.2.4.7: 30 days).
pub const TOKEN_LASTS: Duration = Duration::from_secs(30 * 86_400);

/// A domain in the form that certificates have: A-labels in small letters, no dot at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

impl DomainName {
    /// Reads a domain that somebody may own: two labels or more, and no public suffix, such as `se` or `github.io`, by the list
    /// that the program was built with. What stands under a top-level domain that the list does not know may be owned.
    ///
    /// # Errors
    ///
    /// [`DomainFault::Malformed`] or [`DomainFault::PublicSuffix`].
    pub fn parse(text: &str) -> Result<Self, DomainFault> {
        DnsName::parse(text, Wildcard::Refused).map_err(|_| DomainFault::Malformed {
            field: "domain",
            limit: "two or more labels a-z0-9 and inner hyphens, IDN as A-labels (xn--), no wildcard, no dot at its end",
        })?;
        let suffix = psl::List.suffix(text.as_bytes());
        if suffix.is_some_and(|suffix| suffix.as_bytes() == text.as_bytes()) {
            return Err(DomainFault::PublicSuffix { name: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }

    /// A name that was taken before: the list of public suffixes may have grown since.
    #[must_use]
    pub fn stored(text: &str) -> Option<Self> {
        DnsName::parse(text, Wildcard::Refused).ok().map(|_| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name is the domain, or lies under it. A wildcard stands for names one label below.
    #[must_use]
    pub fn covers(&self, name: &DnsName) -> bool {
        above(name).any(|one| one == self.0)
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name without its wildcard, what it lies under, and so on to the last label but one.
pub fn above(name: &DnsName) -> impl Iterator<Item = &str> {
    let host = name.as_str();
    let host = host.strip_prefix("*.").unwrap_or(host);
    std::iter::successors(Some(host), |one| one.split_once('.').map(|(_, rest)| rest))
        .filter(|one| one.contains('.'))
}

/// What somebody says of a proof of control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// How.
    pub method: DomainProofId,
    /// When somebody saw it.
    pub seen_at: UnixTime,
    /// The last second at which it holds.
    pub valid_until: UnixTime,
}

impl Proof {
    /// Holds a proof against its method and against the second at which the token was given out; `None` where there is none that no
    /// proof has used.
    ///
    /// # Errors
    ///
    /// The first rule that refuses.
    pub fn judge(
        &self,
        method: Option<&DomainProofMethod>,
        token_given: Option<UnixTime>,
        now: UnixTime,
    ) -> Result<(), DomainFault> {
        let unknown = || DomainFault::Method { method: self.method.to_string() };
        let method = method.filter(|one| one.holds_on(today(self.seen_at))).ok_or_else(unknown)?;
        if self.seen_at > now {
            return Err(DomainFault::SeenLater { seen_at: self.seen_at });
        }
        let latest = self.seen_at.checked_add(method.longest());
        if self.valid_until < now || latest.is_none_or(|latest| latest < self.valid_until) {
            return Err(DomainFault::Until { until: self.valid_until, latest });
        }
        if method.needs_token() {
            let is_in_time = token_given.is_some_and(|given| {
                let last = given.checked_add(TOKEN_LASTS);
                given <= self.seen_at && last.is_some_and(|last| self.seen_at <= last)
            });
            if !is_in_time {
                return Err(DomainFault::Token { given: token_given });
            }
        }
        Ok(())
    }
}

/// A domain that an organisation has stated and has not withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold<I> {
    /// Which.
    pub name: DomainName,
    /// Whose.
    pub organisation: I,
    /// The last second of its newest proof; `None` before the first.
    pub until: Option<UnixTime>,
}

impl<I> Hold<I> {
    /// Whether its control is proved at this second.
    #[must_use]
    pub fn is_fresh(&self, now: UnixTime) -> bool {
        self.until.is_some_and(|until| now <= until)
    }
}

/// Holds a name against the domains that cover it: one of `owners`, which are the owner organisation and all that it lies under, has proved control,
/// and that is fresh.
///
/// # Errors
///
/// [`DomainFault::RunOut`], [`DomainFault::OfAnother`] or [`DomainFault::NotProved`], each with the name.
pub fn judge<I: PartialEq>(
    name: &DnsName,
    owners: &[I],
    holds: &[Hold<I>],
    now: UnixTime,
) -> Result<(), DomainFault> {
    let covering = || holds.iter().filter(|one| one.name.covers(name));
    let own = || covering().filter(|one| owners.contains(&one.organisation));
    if own().any(|one| one.is_fresh(now)) {
        return Ok(());
    }
    let name = name.as_str().to_owned();
    let last = own().filter_map(|one| Some((one.until?, &one.name))).max();
    if let Some((until, domain)) = last {
        return Err(DomainFault::RunOut { name, domain: domain.to_string(), until });
    }
    if covering().any(|one| one.is_fresh(now)) {
        return Err(DomainFault::OfAnother { name });
    }
    Err(DomainFault::NotProved { name })
}

/// Why a domain or its proof is not taken, or a certificate for a name not issued.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DomainFault {
    /// A field is not well formed.
    #[error("{field} is not well formed: {limit}")]
    Malformed {
        /// Which.
        field: &'static str,
        /// What would be.
        limit: &'static str,
    },
    /// Anybody may register names under it.
    #[error("{name} is a public suffix")]
    PublicSuffix {
        /// The name.
        name: String,
    },
    /// There is none of this id, or none that the caller sees.
    #[error("domain is not known")]
    Unknown,
    /// The organisation has stated it already.
    #[error("the organisation has stated this domain already")]
    Known,
    /// Another organisation has proved control, and that is fresh.
    #[error("another organisation has proved control of this domain")]
    Taken,
    /// It has been withdrawn: it stays so.
    #[error("domain was withdrawn")]
    Withdrawn,
    /// No such method, or not on that day.
    #[error("{method} is no method of that day")]
    Method {
        /// What was named.
        method: String,
    },
    /// It is to have been seen after now.
    #[error("proof was seen at {seen_at}, which is not yet")]
    SeenLater {
        /// When.
        seen_at: UnixTime,
    },
    /// It would hold too long, or holds no more.
    #[error("proof until {until}")]
    Until {
        /// The last second that was named.
        until: UnixTime,
        /// The last that may be.
        latest: Option<UnixTime>,
    },
    /// The token was given out after it was seen, or too long before.
    #[error("{}", given.map_or_else(|| "no token is out".to_owned(), |given| format!("the token was given out at {given}")))]
    Token {
        /// When; `None`: there is none that no proof has used.
        given: Option<UnixTime>,
    },
    /// The name of an order lies under no domain that somebody has proved.
    #[error("{name} lies under no proved domain")]
    NotProved {
        /// The name.
        name: String,
    },
    /// The owner's proof of the domain is no longer fresh.
    #[error("{name} lies under {domain}, whose proof ran out at {until}")]
    RunOut {
        /// The name.
        name: String,
        /// The domain.
        domain: String,
        /// The last second of its newest proof.
        until: UnixTime,
    },
    /// An organisation that is neither the owner nor above it has proved the domain.
    #[error("{name} lies under a domain of another organisation")]
    OfAnother {
        /// The name.
        name: String,
    },
}

impl DomainFault {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "domain-malformed",
            Self::PublicSuffix { .. } => "domain-public-suffix",
            Self::Unknown => "domain-unknown",
            Self::Known => "domain-known",
            Self::Taken => "domain-taken",
            Self::Withdrawn => "domain-withdrawn",
            Self::Method { .. } => "domain-proof-method",
            Self::SeenLater { .. } => "domain-proof-seen",
            Self::Until { .. } => "domain-proof-until",
            Self::Token { .. } => "domain-proof-token",
            Self::NotProved { .. } => "domain-not-proved",
            Self::RunOut { .. } => "domain-run-out",
            Self::OfAnother { .. } => "domain-of-another",
        }
    }

    /// The refusal in all its words.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        const PROVED: &str = "PRO-20: every DNS name of a function lies under a domain whose control its organisation, or one above it, has proved, and the proof is fresh";
        let (rule, limit, next): (_, String, _) = match self {
            Self::Malformed { limit, .. } => (
                "a domain is stated as certificates have it",
                (*limit).to_owned(),
                "correct the call",
            ),
            Self::PublicSuffix { .. } => (
                "PRO-20: nobody controls a name under which anybody may register",
                "a domain below a public suffix (publicsuffix.org)".to_owned(),
                "state the domain that the organisation registered",
            ),
            Self::Unknown => (
                "a domain is named by its id",
                "`dom_` and a UUID that this deployment gave, of the caller's organisations"
                    .to_owned(),
                "`sigill domain list` names them",
            ),
            Self::Known => (
                "an organisation states a domain once",
                "a domain that this organisation has not stated, or has withdrawn".to_owned(),
                "prove the one that is there again: `sigill domain prove`",
            ),
            Self::Taken => (
                "PRO-20: one organisation at a time has proved a domain",
                "a domain of which no other organisation's proof is fresh".to_owned(),
                "have the other organisation's domain withdrawn, or state a name under it that is this organisation's",
            ),
            Self::Withdrawn => (
                "a domain that was withdrawn stays so",
                "a domain that is not withdrawn".to_owned(),
                "state it anew: `sigill domain add`",
            ),
            Self::Method { .. } => (
                "PRO-20: control is proved by a method of the reviewed list, on one of its days",
                "a method of profiles/lists/domain-proofs.toml".to_owned(),
                "prove it by a method of the list",
            ),
            Self::SeenLater { .. } => (
                "a proof has been seen before it is recorded",
                "a time that is past".to_owned(),
                "correct `seen_at`",
            ),
            Self::Until { latest, .. } => (
                "PRO-20: a proof holds for a time that its method bounds",
                latest.map_or_else(
                    || "from now on".to_owned(),
                    |latest| format!("from now to {latest}"),
                ),
                "name an earlier end, or prove it anew",
            ),
            Self::Token { given } => (
                "BR 3.2.2.4.7: a proof by a token is seen within 30 days after the CA gave it out",
                given.map_or_else(
                    || "a token of its own".to_owned(),
                    |given| format!("seen within 30 days after {given}"),
                ),
                "ask for a new token (`sigill domain token`), and prove it with that",
            ),
            Self::NotProved { .. } => (
                PROVED,
                "a name under a proved domain".to_owned(),
                "have whoever answers for the organisation state and prove the domain: `sigill domain add`",
            ),
            Self::RunOut { .. } => (
                PROVED,
                "a domain whose proof is fresh".to_owned(),
                "have the domain proved again: `sigill domain prove`",
            ),
            Self::OfAnother { .. } => (
                PROVED,
                "a domain of the owner organisation, or of one above it".to_owned(),
                "name the organisation whose domain it is as owner, or correct the name",
            ),
        };
        Refusal::new(self.code(), rule, self, limit, next)
    }
}

#[cfg(test)]
mod tests;
