//! Profiles: what a certificate of one sort holds, decided in a reviewed file.
//!
//! A profile is read from TOML ([`Profile::parse`]) into a closed set of typed fields and checked
//! against the rules of its kind before it exists, so that no profile can ask for an illegal
//! certificate. There are no free-form extensions and no expressions: what cannot be said here
//! cannot be issued.

mod answers;
mod check;
mod diff;
mod duration;
mod error;
mod example;
mod exception;
mod file;
mod portrait;
mod replay;
mod rules;
mod set;
mod subject;
mod validity;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use status::{AfterExpiry, AnswerClasses};
use x509::extension::KeyUsageBit;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::oid::{self, ObjectIdentifier};

pub use self::check::{Fault, ProfileSource, check};
pub use self::diff::{Difference, differences};
pub(crate) use self::duration::parse as span;
pub use self::error::ProfileError;
pub use self::example::{
    ExampleError, SampleKind, Samples, certificate_text, example, sample_fields,
};
pub use self::exception::LintException;
pub use self::portrait::{Alphabet, Line, Part, Portrait, PortraitField, Seen, StringType};
pub use self::replay::{Change, ReplayError, Replayed, replay};
pub use self::rules::ProfileRule;
pub use self::set::{ProfileSet, ProfileSetError};
pub use self::subject::{Attribute, Optional, RequestField, Source, SubjectTemplate};
pub use self::validity::{EndOf, Lifetime, PastEnd, Round, SecondOfDay, ValidityRule};
use crate::identity::{Script, Wildcard};
use crate::key_holder::KeyReuse;

/// A profile's name: 1 to 64 characters a-z0-9 and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProfileName(String);

impl ProfileName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProfileName {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=64).contains(&text.len()) && text.chars().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(ProfileError::Name { found: text.to_owned() })
    }
}

/// SHA-256 of a profile file's bytes: which version of the profile issued a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProfileHash([u8; 32]);

impl ProfileHash {
    fn of(file: &str) -> Self {
        Self(Sha256::digest(file).into())
    }

    /// The 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ProfileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for ProfileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProfileHash({self})")
    }
}

/// What certificates of a profile are for; the rules of a profile hang on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProfileKind {
    /// A self-signed root.
    RootCa,
    /// A CA under a root that issues to end entities.
    IssuingCa,
    /// The successor of a root, under the root that it follows.
    CrossCa,
    /// A delegated OCSP responder.
    OcspResponder,
    /// A person's certificate for authentication.
    PersonAuthentication,
    /// A person's certificate for signatures.
    PersonSignature,
    /// A server or service of an organisation.
    Function,
    /// A machine of an organisation that authenticates itself.
    Machine,
    /// A card that belongs to nobody yet.
    CardTransport,
    /// The self-signed CA of the management plane.
    ManagementCa,
    /// A server of the management plane.
    ManagementServer,
    /// A client of the management plane.
    ManagementClient,
}

impl ProfileKind {
    const ALL: [(Self, &'static str); 12] = [
        (Self::RootCa, "root-ca"),
        (Self::IssuingCa, "issuing-ca"),
        (Self::CrossCa, "cross-ca"),
        (Self::OcspResponder, "ocsp-responder"),
        (Self::PersonAuthentication, "person-authentication"),
        (Self::PersonSignature, "person-signature"),
        (Self::Function, "function"),
        (Self::Machine, "machine"),
        (Self::CardTransport, "card-transport"),
        (Self::ManagementCa, "management-ca"),
        (Self::ManagementServer, "management-server"),
        (Self::ManagementClient, "management-client"),
    ];

    /// Whether its certificates are CA certificates.
    #[must_use]
    pub const fn is_ca(self) -> bool {
        matches!(self, Self::RootCa | Self::IssuingCa | Self::CrossCa | Self::ManagementCa)
    }

    /// Whether its certificates sign themselves.
    #[must_use]
    pub const fn is_self_signed(self) -> bool {
        matches!(self, Self::RootCa | Self::ManagementCa)
    }

    /// Whether its subjects are natural persons.
    #[must_use]
    pub const fn is_person(self) -> bool {
        matches!(self, Self::PersonAuthentication | Self::PersonSignature)
    }

    /// Whether its subjects are subscribers, who come through the issuance API.
    #[must_use]
    pub const fn is_subscriber(self) -> bool {
        self.is_person() || matches!(self, Self::Function | Self::Machine | Self::CardTransport)
    }

    /// Whether it belongs to the management plane.
    #[must_use]
    pub const fn is_management(self) -> bool {
        matches!(self, Self::ManagementCa | Self::ManagementServer | Self::ManagementClient)
    }

    /// What the linter judges such certificates as.
    #[must_use]
    pub const fn lint_kind(self) -> lint::Kind {
        match self {
            Self::RootCa => lint::Kind::RootCa,
            Self::IssuingCa => lint::Kind::IssuingCa,
            Self::CrossCa => lint::Kind::CrossCa,
            Self::OcspResponder => lint::Kind::OcspResponder,
            Self::PersonAuthentication => lint::Kind::PersonAuthentication,
            Self::PersonSignature => lint::Kind::PersonSignature,
            Self::Function => lint::Kind::Function,
            Self::Machine => lint::Kind::Machine,
            Self::CardTransport => lint::Kind::CardTransport,
            Self::ManagementCa => lint::Kind::ManagementCa,
            Self::ManagementServer => lint::Kind::ManagementServer,
            Self::ManagementClient => lint::Kind::ManagementClient,
        }
    }
}

impl fmt::Display for ProfileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

/// By which way certificates of a profile are issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssueBy {
    /// One call to the issuance API.
    Direct,
    /// An order with its own steps. In environment test a direct call will do.
    Order,
    /// A ceremony or a program's own renewal; never a call to the issuance API.
    Internal,
}

/// The trust level (*tillitsnivå*) that a policy of the profile states (PRO-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrustLevel {
    /// LoA 2.
    Loa2,
    /// LoA 3.
    Loa3,
}

/// Whether something must, may or must not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Refused when given.
    Refused,
    /// Taken when given.
    Optional,
    /// Refused when missing.
    Required,
}

/// What happens to extensions that a request asks for. They are never obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestedExtensions {
    /// They are read past.
    Ignore,
    /// The request is refused.
    Refuse,
}

/// The names in subjectAltName.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlternativeNameRule {
    /// User principal name.
    pub upn: Presence,
    /// E-mail address.
    pub email: Presence,
    /// DNS names: fewest and most. (0, 0) refuses them.
    pub dns_count: (usize, usize),
    /// Wildcards in DNS names.
    pub wildcard: Wildcard,
    /// DNS names of one label, such as `localhost`: management servers only.
    pub local_names: Presence,
    /// IP addresses: management servers only.
    pub ip: Presence,
    /// The management URI of this deployment: management profiles only.
    pub management_uri: Presence,
}

/// A purpose in extKeyUsage. Others, such as anyExtendedKeyUsage, cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// id-kp-clientAuth.
    ClientAuth,
    /// id-kp-serverAuth.
    ServerAuth,
    /// id-kp-emailProtection.
    EmailProtection,
    /// msSmartcardLogon.
    SmartcardLogon,
    /// id-kp-OCSPSigning.
    OcspSigning,
}

impl Purpose {
    /// The purpose's object identifier.
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::ClientAuth => oid::usage::CLIENT_AUTH,
            Self::ServerAuth => oid::usage::SERVER_AUTH,
            Self::EmailProtection => oid::usage::EMAIL_PROTECTION,
            Self::SmartcardLogon => oid::usage::SMARTCARD_LOGON,
            Self::OcspSigning => oid::usage::OCSP_SIGNING,
        }
    }
}

/// One policy with its practice statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The policy.
    pub oid: ObjectIdentifier,
    /// Where the practice statement is (id-qt-cps).
    pub cps: Option<String>,
}

/// The policy that the table says for each order (decision 0012); it stands last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePolicy {
    /// Where the practice statement is (id-qt-cps).
    pub cps: Option<String>,
}

/// An extension that a profile can hold, in the order of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExtensionSlot {
    /// authorityInfoAccess, from the issuer's configuration.
    AuthorityInfoAccess,
    /// authorityKeyIdentifier, the issuer's SKI as it stands in its certificate.
    AuthorityKeyIdentifier,
    /// basicConstraints.
    BasicConstraints,
    /// cardNumber.
    CardNumber,
    /// certificatePolicies.
    CertificatePolicies,
    /// cRLDistributionPoints, from the issuer's configuration.
    CrlDistributionPoints,
    /// extKeyUsage.
    ExtendedKeyUsage,
    /// keyUsage.
    KeyUsage,
    /// id-pkix-ocsp-nocheck.
    OcspNoCheck,
    /// subjectAltName.
    SubjectAltName,
    /// subjectKeyIdentifier.
    SubjectKeyIdentifier,
}

impl ExtensionSlot {
    /// The extension's object identifier.
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::AuthorityInfoAccess => oid::extension::AUTHORITY_INFO_ACCESS,
            Self::AuthorityKeyIdentifier => oid::extension::AUTHORITY_KEY_IDENTIFIER,
            Self::BasicConstraints => oid::extension::BASIC_CONSTRAINTS,
            Self::CardNumber => oid::extension::CARD_NUMBER,
            Self::CertificatePolicies => oid::extension::CERTIFICATE_POLICIES,
            Self::CrlDistributionPoints => oid::extension::CRL_DISTRIBUTION_POINTS,
            Self::ExtendedKeyUsage => oid::extension::EXTENDED_KEY_USAGE,
            Self::KeyUsage => oid::extension::KEY_USAGE,
            Self::OcspNoCheck => oid::extension::OCSP_NO_CHECK,
            Self::SubjectAltName => oid::extension::SUBJECT_ALT_NAME,
            Self::SubjectKeyIdentifier => oid::extension::SUBJECT_KEY_IDENTIFIER,
        }
    }
}

/// A checked profile.
#[derive(Clone, Debug)]
pub struct Profile {
    name: ProfileName,
    version: u32,
    hash: ProfileHash,
    file: Arc<str>,
    kind: ProfileKind,
    issue_by: IssueBy,
    trust_level: Option<TrustLevel>,
    validity: ValidityRule,
    keys: Vec<KeyType>,
    key_reuse: KeyReuse,
    after_expiry: AfterExpiry,
    signatures: Option<Vec<SignatureAlgorithm>>,
    requested_extensions: RequestedExtensions,
    recorded: Vec<(RequestField, Presence)>,
    subject: SubjectTemplate,
    scripts: Vec<Script>,
    alternative_names: AlternativeNameRule,
    extensions: Vec<ExtensionSlot>,
    path_length: Option<u8>,
    key_usage: Vec<KeyUsageBit>,
    key_usage_ec: Option<Vec<KeyUsageBit>>,
    extended_key_usage: Vec<Purpose>,
    policies: Vec<Policy>,
    table_policy: Option<TablePolicy>,
    card_number: Presence,
    lint_exceptions: Vec<LintException>,
}

impl Profile {
    /// Reads a profile file and checks it against the rules of its kind.
    ///
    /// # Errors
    ///
    /// [`ProfileError`]: not UTF-8 TOML of a profile, an unknown key or word, or a combination that
    /// the rules of its kind refuse.
    pub fn parse(file: &[u8]) -> Result<Self, ProfileError> {
        let profile = Self::read(file)?;
        rules::check(&profile)?;
        Ok(profile)
    }

    /// What a file says, before the rules of its kind have judged it.
    fn read(file: &[u8]) -> Result<Self, ProfileError> {
        let text = str::from_utf8(file).map_err(|_| ProfileError::NotUtf8)?;
        let file: file::ProfileFile =
            toml::from_str(text).map_err(|source| ProfileError::Toml(Box::new(source)))?;
        file.into_profile(text)
    }

    /// An unjudged profile, to show that the linter would refuse what comes of it.
    #[cfg(test)]
    pub(crate) fn unjudged(file: &str) -> Self {
        Self::read(file.as_bytes()).unwrap()
    }

    /// The same, where the file can be read.
    #[cfg(test)]
    pub(crate) fn readable(file: &str) -> Option<Self> {
        Self::read(file.as_bytes()).ok()
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ProfileName {
        &self.name
    }

    /// Its version's number, from 1, as its reviewers count.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Its version: SHA-256 of its file.
    #[must_use]
    pub const fn hash(&self) -> ProfileHash {
        self.hash
    }

    /// Its file, as it was read.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What its certificates are for.
    #[must_use]
    pub const fn kind(&self) -> ProfileKind {
        self.kind
    }

    /// By which way it is issued.
    #[must_use]
    pub const fn issue_by(&self) -> IssueBy {
        self.issue_by
    }

    /// The trust level of person profiles.
    #[must_use]
    pub const fn trust_level(&self) -> Option<TrustLevel> {
        self.trust_level
    }

    /// How long certificates are valid.
    #[must_use]
    pub const fn validity(&self) -> ValidityRule {
        self.validity
    }

    /// The scripts that its names may be in, each name in one of them.
    #[must_use]
    pub fn scripts(&self) -> &[Script] {
        &self.scripts
    }

    /// The key types that it allows.
    #[must_use]
    pub fn keys(&self) -> &[KeyType] {
        &self.keys
    }

    /// Whether a key that has been certified may be certified again (ISS-12).
    #[must_use]
    pub const fn key_reuse(&self) -> KeyReuse {
        self.key_reuse
    }

    /// What is answered about its certificates before they are activated and after they have expired.
    #[must_use]
    pub const fn answers(&self) -> AnswerClasses {
        AnswerClasses { after_expiry: self.after_expiry, ..AnswerClasses::USUAL }
    }

    /// How its certificates may be signed; `None` where that is the issuer's choice alone.
    #[must_use]
    pub fn signatures(&self) -> Option<&[SignatureAlgorithm]> {
        self.signatures.as_deref()
    }

    /// Whether its certificates may be signed so.
    #[must_use]
    pub fn allows_signature(&self, algorithm: SignatureAlgorithm) -> bool {
        self.signatures().is_none_or(|allowed| allowed.contains(&algorithm))
    }

    /// What happens to extensions that a request asks for.
    #[must_use]
    pub const fn requested_extensions(&self) -> RequestedExtensions {
        self.requested_extensions
    }

    /// Fields that are taken for the record and stand nowhere in the certificate.
    #[must_use]
    pub fn recorded(&self) -> &[(RequestField, Presence)] {
        &self.recorded
    }

    /// How the subject is made.
    #[must_use]
    pub const fn subject(&self) -> &SubjectTemplate {
        &self.subject
    }

    /// The names in subjectAltName.
    #[must_use]
    pub const fn alternative_names(&self) -> &AlternativeNameRule {
        &self.alternative_names
    }

    /// The extensions in their order.
    #[must_use]
    pub fn extensions(&self) -> &[ExtensionSlot] {
        &self.extensions
    }

    /// pathLenConstraint of a CA profile.
    #[must_use]
    pub const fn path_length(&self) -> Option<u8> {
        self.path_length
    }

    /// keyUsage for a key of this type.
    #[must_use]
    pub fn key_usage(&self, key_type: KeyType) -> &[KeyUsageBit] {
        match (&self.key_usage_ec, key_type) {
            (Some(usage), KeyType::EcP256 | KeyType::EcP384) => usage,
            _ => &self.key_usage,
        }
    }

    /// extKeyUsage; empty when there is none.
    #[must_use]
    pub fn extended_key_usage(&self) -> &[Purpose] {
        &self.extended_key_usage
    }

    /// The policies in certificatePolicies that the file names, in their order.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The policy behind them that the table says for each order, if it does.
    #[must_use]
    pub const fn table_policy(&self) -> Option<&TablePolicy> {
        self.table_policy.as_ref()
    }

    /// The policy that is the profile's own: the last one (the others are of wider use). `None` where
    /// there is none, and where the table says it.
    #[must_use]
    pub fn own_policy(&self) -> Option<ObjectIdentifier> {
        let last = self.policies.last().filter(|_| self.table_policy.is_none());
        last.map(|policy| policy.oid)
    }

    /// The linter's rules that its certificates need not keep, each with its reason.
    #[must_use]
    pub fn lint_exceptions(&self) -> &[LintException] {
        &self.lint_exceptions
    }

    /// Whether a card number must or may be given.
    #[must_use]
    pub const fn card_number(&self) -> Presence {
        self.card_number
    }
}
