//! What a prober saw of certificates' status from outside, and signed with the key of its vantage point.
//!
//! An observation is a [`Statement`] of kind `observation`: one object, fetched once, and what it says of one or
//! several serial numbers of one issuer. The prober has verified the object before it says so; whoever has the object
//! can do it again. The format is told in docs/formats/observation.md.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ledger::DeploymentName;
use thiserror::Error;
use x509::crl::ReasonCode;
use x509::serial::SerialNumber;
use x509::statement::{SignedStatement, Statement, StatementError};
use x509::time::UnixTime;

use crate::{IssuerId, Position};

/// The kind of the statement.
pub const OBSERVATION: &str = "observation";
/// An observation tells of at most so many serials: so it stays within a statement's length.
pub const MAX_SEEN: usize = 100;
/// The longest URL that is probed, in octets.
pub const MAX_URL: usize = 512;

/// The fields that stand before and after those of the object's kind.
const FIRST: [&str; 8] =
    ["deployment", "vantage", "method", "url", "issuer", "object", "this-update", "next-update"];
const LAST: [&str; 3] = ["position", "time", "seen"];

/// The name of a vantage point: 1 to 32 characters a-z, 0-9 and hyphen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VantageName(String);

impl VantageName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VantageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for VantageName {
    type Err = VantageNameError;

    fn from_str(text: &str) -> Result<Self, VantageNameError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(VantageNameError)
        }
    }
}

/// The text does not name a vantage point.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("vantage point is not named by 1 to 32 characters a-z, 0-9 and hyphen")]
pub struct VantageNameError;

/// How the world was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeMethod {
    /// OCSP by GET, the issuer named by SHA-1, as RFC 5019 clients ask.
    OcspGet,
    /// OCSP by POST, the issuer named by SHA-256, with a nonce.
    OcspPost,
    /// The CRL of the distribution point.
    Crl,
    /// That CRL together with the delta CRL that it names (freshestCRL, RFC 5280 §5.2.6).
    CrlDelta,
}

impl ProbeMethod {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::OcspGet, Self::OcspPost, Self::Crl, Self::CrlDelta];

    /// The name, as formats and the API have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OcspGet => "ocsp-get",
            Self::OcspPost => "ocsp-post",
            Self::Crl => "crl",
            Self::CrlDelta => "crl-delta",
        }
    }

    /// Whether lists say it: what is not listed is good there, and a look tells of up to [`MAX_SEEN`] serials.
    #[must_use]
    pub const fn is_by_list(self) -> bool {
        matches!(self, Self::Crl | Self::CrlDelta)
    }
}

impl fmt::Display for ProbeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProbeMethod {
    type Err = ObservationError;

    fn from_str(text: &str) -> Result<Self, ObservationError> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or(ObservationError::Field("method"))
    }
}

/// What was said of one serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenStatus {
    /// OCSP says good; the CRL, or CRL and delta together, do not list it.
    Good,
    /// OCSP says unknown.
    Unknown,
    /// Revoked or on hold.
    Revoked(SeenRevocation),
}

impl SeenStatus {
    /// How a responder shows, by the extended-revoked option, what was never issued (RFC 6960 §2.2).
    pub const NEVER_ISSUED: Self = Self::Revoked(SeenRevocation {
        time: UnixTime::EPOCH,
        reason: Some(ReasonCode::CertificateHold),
    });
}

/// A revocation as it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenRevocation {
    /// revocationTime or revocationDate.
    pub time: UnixTime,
    /// `None` where none is given: unspecified.
    pub reason: Option<ReasonCode>,
}

/// One serial and what was said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Content octets as asked for.
    pub serial: SerialNumber,
    /// What was said.
    pub status: SeenStatus,
}

/// What is told of the object that was seen, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenObject {
    /// An OCSP response, and its producedAt.
    Ocsp {
        /// When it was signed.
        produced_at: UnixTime,
    },
    /// A CRL, and its number in upper-case hexadecimal, two digits an octet.
    Crl {
        /// cRLNumber (RFC 5280 §5.2.3).
        number: String,
    },
    /// A delta CRL, its number, and the complete CRL that it was put to.
    Delta {
        /// cRLNumber of the delta.
        number: String,
        /// The complete one.
        base: SeenBase,
    },
}

/// The complete CRL that a delta was put to, fetched from the distribution point just before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenBase {
    /// The URL of the distribution point, as it stands in certificates.
    pub url: String,
    /// SHA-256 of the CRL's octets.
    pub sha256: [u8; 32],
    /// Its cRLNumber in upper-case hexadecimal: not below the delta's BaseCRLNumber, and below the delta's own.
    pub number: String,
}

/// An object that was fetched once from outside, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Whose PKI was looked at.
    pub deployment: DeploymentName,
    /// From where.
    pub vantage: VantageName,
    /// How.
    pub method: ProbeMethod,
    /// The URL that was asked, as it stands in certificates; of a delta, in the CRL that names it.
    pub url: String,
    /// Whose serials these are.
    pub issuer: IssuerId,
    /// SHA-256 of the object's octets.
    pub object_sha256: [u8; 32],
    /// thisUpdate of the CRL, or of the answer.
    pub this_update: UnixTime,
    /// nextUpdate of the CRL, or of the answer.
    pub next_update: UnixTime,
    /// What else the object says of itself.
    pub object: SeenObject,
    /// The header `Sigill-Position`, which nobody signed; it says where to look, and proves nothing.
    pub position: Option<Position>,
    /// When the object had arrived, by the prober's clock.
    pub time: UnixTime,
    /// 1 to [`MAX_SEEN`] serials; of an OCSP response exactly one.
    pub seen: Vec<Seen>,
}

impl Observation {
    /// The statement that a vantage point signs.
    ///
    /// # Errors
    ///
    /// [`ObservationError`] when a value has not the form that [`Self::from_statement`] reads.
    pub fn to_statement(&self) -> Result<Statement, ObservationError> {
        let seen: Vec<String> = self.seen.iter().map(written).collect();
        let mut fields = vec![
            ("deployment", self.deployment.to_string()),
            ("vantage", self.vantage.to_string()),
            ("method", self.method.to_string()),
            ("url", self.url.clone()),
            ("issuer", self.issuer.to_string()),
            ("object", hex(&self.object_sha256)),
            ("this-update", self.this_update.secs().to_string()),
            ("next-update", self.next_update.secs().to_string()),
        ];
        match &self.object {
            SeenObject::Ocsp { produced_at } => {
                fields.push(("produced-at", produced_at.secs().to_string()));
            }
            SeenObject::Crl { number } => fields.push(("crl-number", number.clone())),
            SeenObject::Delta { number, base } => fields.extend([
                ("crl-number", number.clone()),
                ("base-url", base.url.clone()),
                ("base-object", hex(&base.sha256)),
                ("base-number", base.number.clone()),
            ]),
        }
        fields.extend([
            ("position", self.position.map_or_else(|| "none".to_owned(), |at| at.to_string())),
            ("time", self.time.secs().to_string()),
            ("seen", seen.join(" ")),
        ]);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let statement = Statement::new(OBSERVATION, &fields)?;
        // What cannot be read back must not be signed.
        if Self::from_statement(&statement)? == *self {
            Ok(statement)
        } else {
            Err(ObservationError::Field("seen"))
        }
    }

    /// Reads a statement. Who signed it is the caller's to judge.
    ///
    /// # Errors
    ///
    /// [`ObservationError`] names the field that is not as [`Self::to_statement`] writes it.
    pub fn from_statement(statement: &Statement) -> Result<Self, ObservationError> {
        if statement.kind() != OBSERVATION {
            return Err(ObservationError::Kind { seen: statement.kind().to_owned() });
        }
        let names: Vec<&str> = statement.fields().map(|(name, _)| name).collect();
        let fields = Fields(statement.fields().collect());
        let method: ProbeMethod = fields.read("method")?;
        let (own, object): (&[&str], SeenObject) = match method {
            ProbeMethod::Crl => {
                (&["crl-number"], SeenObject::Crl { number: fields.number("crl-number")? })
            }
            ProbeMethod::CrlDelta => {
                (&["crl-number", "base-url", "base-object", "base-number"], fields.delta()?)
            }
            ProbeMethod::OcspGet | ProbeMethod::OcspPost => {
                (&["produced-at"], SeenObject::Ocsp { produced_at: fields.time("produced-at")? })
            }
        };
        if names != [&FIRST[..], own, &LAST[..]].concat() {
            return Err(ObservationError::Fields);
        }
        let url = fields.url("url")?;
        let position = match fields.one("position")? {
            "none" => None,
            text => Some(text.parse().map_err(|_| ObservationError::Field("position"))?),
        };
        let seen: Vec<Seen> =
            fields.one("seen")?.split(' ').map(read_seen).collect::<Result<_, _>>()?;
        let most = if method.is_by_list() { MAX_SEEN } else { 1 };
        let mut serials: Vec<SerialNumber> = seen.iter().map(|one| one.serial).collect();
        serials.sort_by(|a, b| a.as_octets().cmp(b.as_octets()));
        serials.dedup();
        if seen.len() > most || serials.len() != seen.len() {
            return Err(ObservationError::Field("seen"));
        }
        Ok(Self {
            deployment: fields.read("deployment")?,
            vantage: fields.read("vantage")?,
            method,
            url,
            issuer: IssuerId::from_bytes(fields.sha256("issuer")?),
            object_sha256: fields.sha256("object")?,
            this_update: fields.time("this-update")?,
            next_update: fields.time("next-update")?,
            object,
            position,
            time: fields.time("time")?,
            seen,
        })
    }

    /// What was said of this serial, if it was looked for.
    #[must_use]
    pub fn of(&self, serial: &SerialNumber) -> Option<SeenStatus> {
        self.seen.iter().find(|one| one.serial == *serial).map(|one| one.status)
    }

    /// Refuses an observation that is older than `longest` or further ahead of `now` than `ahead`, and one of an object
    /// that had ended when it was seen.
    ///
    /// # Errors
    ///
    /// [`StaleObservation`] with both times.
    pub fn must_be_fresh(
        &self,
        now: UnixTime,
        longest: Duration,
        ahead: Duration,
    ) -> Result<(), StaleObservation> {
        if now.since(self.time) > longest || self.time.since(now) > ahead {
            return Err(StaleObservation::Time { seen: self.time, now });
        }
        if self.next_update < self.time {
            return Err(StaleObservation::Object {
                next_update: self.next_update,
                seen: self.time,
            });
        }
        Ok(())
    }
}

/// An observation with the statement that carries it, whose signature has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedObservation {
    signed: SignedStatement,
    observation: Observation,
}

impl SignedObservation {
    /// Reads a signed statement. Whether its key is that of the vantage point is the caller's to judge.
    ///
    /// # Errors
    ///
    /// [`ObservationError`]; nothing in the bytes may be believed then.
    pub fn open(bytes: &[u8]) -> Result<Self, ObservationError> {
        let signed = SignedStatement::open(bytes)?;
        let observation = Observation::from_statement(signed.statement())?;
        Ok(Self { signed, observation })
    }

    /// What was seen.
    #[must_use]
    pub const fn observation(&self) -> &Observation {
        &self.observation
    }

    /// The statement.
    #[must_use]
    pub const fn signed(&self) -> &SignedStatement {
        &self.signed
    }
}

struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn one(&self, name: &'static str) -> Result<&'a str, ObservationError> {
        self.0.get(name).copied().ok_or(ObservationError::Field(name))
    }

    fn read<T: FromStr>(&self, name: &'static str) -> Result<T, ObservationError> {
        self.one(name)?.parse().map_err(|_| ObservationError::Field(name))
    }

    fn time(&self, name: &'static str) -> Result<UnixTime, ObservationError> {
        read_time(self.one(name)?).ok_or(ObservationError::Field(name))
    }

    fn sha256(&self, name: &'static str) -> Result<[u8; 32], ObservationError> {
        read_sha256(self.one(name)?).ok_or(ObservationError::Field(name))
    }

    fn url(&self, name: &'static str) -> Result<String, ObservationError> {
        let url = self.one(name)?;
        let plain = url.bytes().all(|octet| octet.is_ascii_graphic());
        let fits = plain && url.len() <= MAX_URL && url.starts_with("http");
        if fits { Ok(url.to_owned()) } else { Err(ObservationError::Field(name)) }
    }

    /// The number of a CRL.
    fn number(&self, name: &'static str) -> Result<String, ObservationError> {
        let number = self.one(name)?;
        let digit = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
        let fits = (2..=40).contains(&number.len())
            && number.len().is_multiple_of(2)
            && number.bytes().all(digit);
        if fits { Ok(number.to_owned()) } else { Err(ObservationError::Field(name)) }
    }

    fn delta(&self) -> Result<SeenObject, ObservationError> {
        Ok(SeenObject::Delta {
            number: self.number("crl-number")?,
            base: SeenBase {
                url: self.url("base-url")?,
                sha256: self.sha256("base-object")?,
                number: self.number("base-number")?,
            },
        })
    }
}

/// Seconds since 1970 in decimal, written in one way.
pub(crate) fn read_time(text: &str) -> Option<UnixTime> {
    let secs: u64 = text.parse().ok()?;
    let time = UnixTime::from_secs(secs).ok()?;
    (secs.to_string() == text).then_some(time)
}

/// 64 lower-case hexadecimal digits.
pub(crate) fn read_sha256(text: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(octets)
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn written(seen: &Seen) -> String {
    let status = match seen.status {
        SeenStatus::Good => "good".to_owned(),
        SeenStatus::Unknown => "unknown".to_owned(),
        SeenStatus::Revoked(revocation) => revocation.to_string(),
    };
    format!("{}={status}", seen.serial)
}

fn read_seen(text: &str) -> Result<Seen, ObservationError> {
    let malformed = ObservationError::Field("seen");
    let (serial, status) = text.split_once('=').ok_or(malformed.clone())?;
    let seen = Seen {
        serial: serial.parse().map_err(|_| malformed.clone())?,
        status: match status {
            "good" => SeenStatus::Good,
            "unknown" => SeenStatus::Unknown,
            text => SeenStatus::Revoked(text.parse().map_err(|_| malformed.clone())?),
        },
    };
    if written(&seen) == text { Ok(seen) } else { Err(malformed) }
}

impl fmt::Display for SeenRevocation {
    /// `revoked@<seconds since 1970>/<CRLReason, 0 for none>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revoked@{}/{}", self.time.secs(), self.reason.map_or(0, ReasonCode::code))
    }
}

impl FromStr for SeenRevocation {
    type Err = ObservationError;

    fn from_str(text: &str) -> Result<Self, ObservationError> {
        let malformed = ObservationError::Field("seen");
        let rest = text.strip_prefix("revoked@").ok_or(malformed.clone())?;
        let (time, code) = rest.split_once('/').ok_or(malformed.clone())?;
        let time = read_time(time).ok_or(malformed.clone())?;
        let code: u8 = code.parse().map_err(|_| malformed.clone())?;
        let reason = match code {
            0 => None,
            code => Some(ReasonCode::from_code(code).ok_or(malformed.clone())?),
        };
        let read = Self { time, reason };
        if read.to_string() == text { Ok(read) } else { Err(malformed) }
    }
}

/// Why a statement is no observation.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObservationError {
    /// The statement, or its signature.
    #[error("statement of a vantage point is refused")]
    Statement(#[from] StatementError),
    /// A statement of something else.
    #[error("a statement of kind {seen:?} is no observation")]
    Kind {
        /// Its kind.
        seen: String,
    },
    /// A field too many, too few, or in another place.
    #[error("observation has other fields, or in another order, than version 1 has")]
    Fields,
    /// The value of a field.
    #[error("field {0:?} of the observation has another form")]
    Field(&'static str),
}

/// Why an observation is not taken now.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StaleObservation {
    /// Too old, or from the future.
    #[error("observation is of {seen}; it is {now}")]
    Time {
        /// Its time.
        seen: UnixTime,
        /// When it was judged.
        now: UnixTime,
    },
    /// The object could not be used any more when it was seen.
    #[error("object ended {next_update} and was seen {seen}")]
    Object {
        /// Its end.
        next_update: UnixTime,
        /// When it was seen.
        seen: UnixTime,
    },
}

#[cfg(test)]
pub(crate) mod tests;
