//! Exchange files: what the zone of the issuing CAs asks of a ceremony, and what comes back from it.
//!
//! A file is a signed statement, which people can read, and behind it in PEM the one thing that it is about. It is bound to one deployment,
//! one issuer, one number and one nonce, and ends by itself; a response also to the request, the plan and the transcript of its ceremony.
//! docs/formats/exchange.md tells the format. Whoever keeps what was asked and answered is the caller.

mod fault;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ca::deployment::Deployment;
use x509::pem::{self, Label};
use x509::statement::{SignedStatement, Statement};
use x509::time::UnixTime;

pub use self::fault::ExchangeFault;
use self::text::Fields;
use crate::words::Fingerprint;

/// The longest file, in octets.
pub const MAX_OCTETS: usize = pem::MAX_OCTETS;
/// How long a file may count.
pub const LONGEST: Duration = Duration::from_secs(14 * 86_400);
/// How far ahead of this clock the other zone's may be.
const AHEAD: Duration = Duration::from_secs(600);
/// The kinds of statement.
const REQUEST: &str = "exchange-request";
const RESPONSE: &str = "exchange-response";

/// What is asked of a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The certificate of an issuing CA, for its PKCS#10 request.
    IssuingCertificate,
    /// The CRL of an offline CA that follows this one.
    RootCrl,
}

impl Wanted {
    /// Both.
    pub const ALL: [Self; 2] = [Self::IssuingCertificate, Self::RootCrl];

    /// The word in files and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IssuingCertificate => "issuing-certificate",
            Self::RootCrl => "root-crl",
        }
    }

    /// What a request has behind it.
    const fn asked(self) -> Label {
        match self {
            Self::IssuingCertificate => Label::CertificateRequest,
            Self::RootCrl => Label::Crl,
        }
    }

    /// What a response has behind it.
    const fn given(self) -> Label {
        match self {
            Self::IssuingCertificate => Label::Certificate,
            Self::RootCrl => Label::Crl,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Wanted {
    type Err = NotWanted;

    fn from_str(text: &str) -> Result<Self, NotWanted> {
        Self::ALL.into_iter().find(|wanted| wanted.name() == text).ok_or(NotWanted)
    }
}

/// Nothing that is asked of ceremonies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wanted are issuing-certificate or root-crl")]
pub struct NotWanted;

/// What makes a request this one: 16 random octets, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// Of octets that were drawn for it.
    #[must_use]
    pub const fn from_random(octets: [u8; 16]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// What request and response have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matter {
    /// Whose.
    pub deployment: Deployment,
    /// Counted by the zone that asks, from 1.
    pub number: u32,
    /// Drawn for the request, and repeated in its response.
    pub nonce: Nonce,
    /// When the file was signed.
    pub created: UnixTime,
    /// From when on it does not count.
    pub expires: UnixTime,
    /// What is asked for.
    pub wanted: Wanted,
    /// SHA-256 of the certificate, in DER, of the CA whose key is to sign.
    pub issuer: Fingerprint,
}

/// What the zone of the issuing CAs asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it is about.
    pub matter: Matter,
    /// The last response that was taken in.
    pub previous: Option<Fingerprint>,
    /// The plan of the ceremony that made what is behind it, where one did.
    pub plan: Option<Fingerprint>,
    /// DER: the PKCS#10 request that is to be certified, or the newest CRL that is known.
    pub payload: Vec<u8>,
}

/// What a ceremony gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// What it is about: that of the request, with times of its own.
    pub matter: Matter,
    /// SHA-256 of the request's file.
    pub request: Fingerprint,
    /// The plan of the ceremony, as approvers compared its hash.
    pub plan: Fingerprint,
    /// The last head of its transcript, as it was written on paper.
    pub head: Fingerprint,
    /// DER: the certificate or the CRL.
    pub payload: Vec<u8>,
}

/// A file whose signature holds. Whose key it is, is the caller's to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<T> {
    /// What it says.
    pub said: T,
    /// SHA-256 of the SubjectPublicKeyInfo of the key that signed.
    pub signer: Fingerprint,
    /// SHA-256 of the file.
    pub file: Fingerprint,
}

impl Request {
    /// What is signed.
    ///
    /// # Errors
    ///
    /// [`ExchangeFault::Form`]: there is none that a request of this program could meet.
    pub fn statement(&self) -> Result<Statement, ExchangeFault> {
        let none = || "none".to_owned();
        let hash = |of: Option<Fingerprint>| of.map_or_else(none, |hash| hash.to_string());
        let own = [("previous", hash(self.previous)), ("plan", hash(self.plan))];
        text::statement(REQUEST, &self.matter, &own, &self.payload)
    }

    /// The file.
    #[must_use]
    pub fn file(&self, signed: &SignedStatement) -> String {
        text::file(signed, self.matter.wanted.asked(), &self.payload)
    }

    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`ExchangeFault`]; nothing in it may be believed then.
    pub fn open(octets: &[u8]) -> Result<Opened<Self>, ExchangeFault> {
        let fields = Fields::read(octets, REQUEST)?;
        let said = Self {
            matter: fields.matter()?,
            previous: fields.hash_if_any("previous")?,
            plan: fields.hash_if_any("plan")?,
            payload: fields.payload.clone(),
        };
        fields.has_only(&said.statement()?, said.matter.wanted.asked())?;
        Ok(fields.opened(said))
    }
}

impl Response {
    /// The answer to this request, with so much of the ceremony.
    #[must_use]
    pub fn to(
        request: &Opened<Request>,
        plan: Fingerprint,
        head: Fingerprint,
        payload: Vec<u8>,
        created: UnixTime,
    ) -> Self {
        let expires = created.checked_add(LONGEST).unwrap_or(UnixTime::LAST);
        let matter = Matter { created, expires, ..request.said.matter.clone() };
        Self { matter, request: request.file, plan, head, payload }
    }

    /// What is signed.
    ///
    /// # Errors
    ///
    /// As [`Request::statement`].
    pub fn statement(&self) -> Result<Statement, ExchangeFault> {
        let own = [
            ("request", self.request.to_string()),
            ("plan", self.plan.to_string()),
            ("head", self.head.to_string()),
        ];
        text::statement(RESPONSE, &self.matter, &own, &self.payload)
    }

    /// The file.
    #[must_use]
    pub fn file(&self, signed: &SignedStatement) -> String {
        text::file(signed, self.matter.wanted.given(), &self.payload)
    }

    /// Reads a response.
    ///
    /// # Errors
    ///
    /// [`ExchangeFault`]; nothing in it may be believed then.
    pub fn open(octets: &[u8]) -> Result<Opened<Self>, ExchangeFault> {
        let fields = Fields::read(octets, RESPONSE)?;
        let said = Self {
            matter: fields.matter()?,
            request: fields.hash("request")?,
            plan: fields.hash("plan")?,
            head: fields.hash("head")?,
            payload: fields.payload.clone(),
        };
        fields.has_only(&said.statement()?, said.matter.wanted.given())?;
        Ok(fields.opened(said))
    }
}

/// What the ceremony's side holds a request against.
#[derive(Clone, Debug)]
pub struct Ceremonys<'a> {
    /// That of the plan.
    pub deployment: Deployment,
    /// The key of the zone that asks.
    pub signer: Fingerprint,
    /// Every request that was answered.
    pub answered: &'a [Opened<Request>],
    /// Every answer that was given.
    pub answers: &'a BTreeSet<Fingerprint>,
    /// The clock.
    pub now: UnixTime,
}

impl Ceremonys<'_> {
    /// Whether the request is to be answered.
    ///
    /// # Errors
    ///
    /// [`ExchangeFault`]: what is not as it must be.
    pub fn judge(&self, request: &Opened<Request>) -> Result<(), ExchangeFault> {
        let matter = &request.said.matter;
        signed_by(&[self.signer], request.signer)?;
        of_deployment(self.deployment, matter)?;
        let known = self.answered.iter();
        if let Some(last) = known.clone().map(|one| one.said.matter.number).max()
            && matter.number <= last
        {
            return Err(ExchangeFault::Number { seen: matter.number, wanted: u64::from(last) + 1 });
        }
        if known.into_iter().any(|one| one.said.matter.nonce == matter.nonce) {
            return Err(ExchangeFault::Nonce { seen: matter.nonce });
        }
        if let Some(previous) = request.said.previous
            && !self.answers.contains(&previous)
        {
            return Err(ExchangeFault::Previous { seen: previous });
        }
        in_time(matter, self.now)
    }
}

/// What the side that asked holds a response against.
#[derive(Clone, Debug)]
pub struct Askers<'a> {
    /// Its own.
    pub deployment: Deployment,
    /// The keys of the ceremony's side.
    pub signers: &'a [Fingerprint],
    /// The newest request.
    pub request: &'a Opened<Request>,
    /// The plan that was approved, from paper.
    pub plan: Fingerprint,
    /// The clock.
    pub now: UnixTime,
}

impl Askers<'_> {
    /// Whether the response is the one that was asked for.
    ///
    /// # Errors
    ///
    /// [`ExchangeFault`]: what is not as it must be.
    pub fn judge(&self, response: &Opened<Response>) -> Result<(), ExchangeFault> {
        self.is_answer(response)?;
        in_time(&response.said.matter, self.now)
    }

    /// As [`Self::judge`], of a response that was taken in time and is taken once more.
    ///
    /// # Errors
    ///
    /// [`ExchangeFault`]: what is not as it must be.
    pub fn is_answer(&self, response: &Opened<Response>) -> Result<(), ExchangeFault> {
        let (given, asked) = (&response.said.matter, &self.request.said.matter);
        signed_by(self.signers, response.signer)?;
        of_deployment(self.deployment, given)?;
        if given.number != asked.number {
            let wanted = u64::from(asked.number);
            return Err(ExchangeFault::Number { seen: given.number, wanted });
        }
        if given.nonce != asked.nonce {
            return Err(ExchangeFault::Nonce { seen: given.nonce });
        }
        if response.said.request != self.request.file {
            let (seen, wanted) = (response.said.request, self.request.file);
            return Err(ExchangeFault::Request { seen, wanted });
        }
        if (given.wanted, given.issuer) != (asked.wanted, asked.issuer) {
            let (seen, wanted) = (given.wanted, asked.wanted);
            return Err(ExchangeFault::Unasked { seen, of: given.issuer, wanted });
        }
        if response.said.plan != self.plan {
            return Err(ExchangeFault::Plan { seen: response.said.plan, wanted: self.plan });
        }
        Ok(())
    }
}

fn signed_by(signers: &[Fingerprint], seen: Fingerprint) -> Result<(), ExchangeFault> {
    if signers.contains(&seen) { Ok(()) } else { Err(ExchangeFault::Signer { seen }) }
}

fn of_deployment(wanted: Deployment, matter: &Matter) -> Result<(), ExchangeFault> {
    let seen = matter.deployment;
    if seen == wanted { Ok(()) } else { Err(ExchangeFault::Deployment { seen, wanted }) }
}

fn in_time(matter: &Matter, now: UnixTime) -> Result<(), ExchangeFault> {
    let Matter { created, expires, .. } = *matter;
    let is_whole = created < expires && expires.since(created) <= LONGEST;
    if is_whole && created <= now.checked_add(AHEAD).unwrap_or(UnixTime::LAST) && now < expires {
        return Ok(());
    }
    Err(ExchangeFault::Time { created, expires, now })
}

#[cfg(test)]
mod tests;
