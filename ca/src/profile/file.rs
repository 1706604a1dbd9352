//! The profile file as it is written, before anything is checked.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use x509::extension::KeyUsageBit;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::name::{AttributeType, StringRule};

use super::answers::StatusFile;
use super::exception::LintFile;
use super::subject::{Attribute, Optional, RequestField, Source};
use super::validity::{EndOf, Lifetime, PastEnd, Round, SecondOfDay, ValidityRule};
use super::{
    AlternativeNameRule, ExtensionSlot, IssueBy, Policy, Presence, Profile, ProfileError,
    ProfileHash, ProfileKind, Purpose, RequestedExtensions, SubjectTemplate, TablePolicy,
    TrustLevel, duration,
};
use crate::identity::{Script, Wildcard};
use crate::key_holder::KeyReuse;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ProfileFile {
    name: String,
    /// Counted by its reviewers, from 1.
    version: u32,
    /// For readers; a profile without one is not reviewable.
    description: String,
    kind: String,
    issue_by: IssueByWord,
    trust_level: Option<TrustLevelWord>,
    validity: ValidityFile,
    key: KeyFile,
    #[serde(default)]
    status: StatusFile,
    signature: Option<SignatureFile>,
    request: RequestFile,
    subject: SubjectFile,
    #[serde(default)]
    names: NamesFile,
    #[serde(default)]
    alternative_names: AlternativeNamesFile,
    extensions: ExtensionsFile,
    #[serde(default)]
    policy: Vec<PolicyFile>,
    #[serde(default)]
    lint: LintFile,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum IssueByWord {
    Direct,
    Order,
    Internal,
}

#[derive(Deserialize)]
enum TrustLevelWord {
    #[serde(rename = "loa2")]
    Loa2,
    #[serde(rename = "loa3")]
    Loa3,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PresenceWord {
    #[default]
    Refused,
    Optional,
    Required,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ValidityFile {
    #[serde(default)]
    end: EndWord,
    lifetime: Option<String>,
    longest: Option<String>,
    ends_at: Option<String>,
    round: Option<RoundWord>,
    backdate: String,
    past_issuer: PastEnd,
    past_carrier: Option<PastEnd>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EndWord {
    #[default]
    Lifetime,
    Order,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RoundWord {
    Down,
    Up,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    allow: Vec<String>,
    #[serde(default)]
    reuse: ReuseWord,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ReuseWord {
    Never,
    #[default]
    SameHolder,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureFile {
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RequestFile {
    requested_extensions: RequestedExtensionsWord,
    #[serde(default)]
    personal_identity_number: PresenceWord,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RequestedExtensionsWord {
    Ignore,
    Refuse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectFile {
    attributes: Vec<AttributeFile>,
}

/// The scripts that names may be in; Latin alone where nothing is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamesFile {
    scripts: Vec<Script>,
}

impl Default for NamesFile {
    fn default() -> Self {
        Self { scripts: vec![Script::Latin] }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttributeFile {
    #[serde(rename = "type")]
    attribute: AttributeWord,
    from: Option<FromWord>,
    value: Option<String>,
    string: Option<StringWord>,
    #[serde(default)]
    optional: OptionalWord,
}

/// Left out, the standard's: UTF8String where there is a choice.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StringWord {
    PrintableOrUtf8,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AttributeWord {
    Country,
    Organization,
    Locality,
    CommonName,
    Surname,
    GivenName,
    SerialNumber,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FromWord {
    CommonName,
    GivenName,
    Surname,
    PersonName,
    CardNumber,
    HsaId,
    PersonalIdentityNumber,
    Organization,
    UserOrganization,
    IssuingOrganization,
    Locality,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OptionalWord {
    #[default]
    No,
    Yes,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct AlternativeNamesFile {
    upn: PresenceWord,
    email: PresenceWord,
    dns_count: Option<(usize, usize)>,
    wildcards: WildcardWord,
    local_names: PresenceWord,
    ip: PresenceWord,
    management_uri: PresenceWord,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WildcardWord {
    #[default]
    Refused,
    Allowed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ExtensionsFile {
    order: Vec<SlotWord>,
    key_usage: Vec<KeyUsageWord>,
    key_usage_ec: Option<Vec<KeyUsageWord>>,
    #[serde(default)]
    extended_key_usage: Vec<PurposeWord>,
    path_length: Option<u8>,
    #[serde(default)]
    card_number: PresenceWord,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SlotWord {
    AuthorityInfoAccess,
    AuthorityKeyIdentifier,
    BasicConstraints,
    CardNumber,
    CertificatePolicies,
    CrlDistributionPoints,
    ExtendedKeyUsage,
    KeyUsage,
    OcspNoCheck,
    SubjectAltName,
    SubjectKeyIdentifier,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeyUsageWord {
    DigitalSignature,
    ContentCommitment,
    KeyEncipherment,
    KeyAgreement,
    KeyCertSign,
    CrlSign,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PurposeWord {
    ClientAuth,
    ServerAuth,
    EmailProtection,
    SmartcardLogon,
    OcspSigning,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    oid: Option<String>,
    from: Option<PolicyFromWord>,
    cps: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PolicyFromWord {
    Table,
}

impl ProfileFile {
    pub(super) fn into_profile(self, text: &str) -> Result<Profile, ProfileError> {
        if self.description.trim().is_empty() {
            return Err(ProfileError::NoDescription);
        }
        if self.version == 0 {
            return Err(ProfileError::NoVersion);
        }
        let scripts = self.names.scripts;
        if scripts.is_empty() || scripts.iter().collect::<BTreeSet<_>>().len() != scripts.len() {
            return Err(ProfileError::Scripts);
        }
        let (policies, table_policy) = policies(self.policy)?;
        Ok(Profile {
            name: self.name.parse()?,
            version: self.version,
            hash: ProfileHash::of(text),
            file: text.into(),
            kind: kind(&self.kind)?,
            issue_by: self.issue_by.into(),
            trust_level: self.trust_level.map(Into::into),
            validity: self.validity.into_rule()?,
            key_reuse: match self.key.reuse {
                ReuseWord::Never => KeyReuse::Never,
                ReuseWord::SameHolder => KeyReuse::SameHolder,
            },
            keys: self.key.allow.iter().map(|name| key_type(name)).collect::<Result<_, _>>()?,
            after_expiry: self.status.after_expiry(),
            signatures: self
                .signature
                .map(|file| file.allow.iter().map(|name| algorithm(name)).collect())
                .transpose()?,
            requested_extensions: match self.request.requested_extensions {
                RequestedExtensionsWord::Ignore => RequestedExtensions::Ignore,
                RequestedExtensionsWord::Refuse => RequestedExtensions::Refuse,
            },
            recorded: match self.request.personal_identity_number {
                PresenceWord::Refused => Vec::new(),
                presence => vec![(RequestField::PersonalIdentityNumber, presence.into())],
            },
            subject: SubjectTemplate::new(
                self.subject
                    .attributes
                    .into_iter()
                    .map(AttributeFile::into_attribute)
                    .collect::<Result<_, _>>()?,
            ),
            scripts,
            alternative_names: self.alternative_names.into_rule(),
            extensions: self.extensions.order.iter().map(|&word| word.into()).collect(),
            path_length: self.extensions.path_length,
            key_usage: self.extensions.key_usage.iter().map(|&word| word.into()).collect(),
            key_usage_ec: self
                .extensions
                .key_usage_ec
                .map(|words| words.iter().map(|&word| word.into()).collect()),
            extended_key_usage: self
                .extensions
                .extended_key_usage
                .iter()
                .map(|&word| word.into())
                .collect(),
            policies,
            table_policy,
            card_number: self.extensions.card_number.into(),
            lint_exceptions: self.lint.into_exceptions()?,
        })
    }
}

fn kind(word: &str) -> Result<ProfileKind, ProfileError> {
    ProfileKind::ALL
        .into_iter()
        .find(|(_, name)| *name == word)
        .map(|(kind, _)| kind)
        .ok_or_else(|| ProfileError::UnknownKind { found: word.to_owned() })
}

fn key_type(name: &str) -> Result<KeyType, ProfileError> {
    name.parse().map_err(|_| ProfileError::UnknownKeyType { found: name.to_owned() })
}

fn algorithm(name: &str) -> Result<SignatureAlgorithm, ProfileError> {
    name.parse().map_err(|_| ProfileError::UnknownAlgorithm { found: name.to_owned() })
}

fn span(key: &'static str, text: &str) -> Result<Duration, ProfileError> {
    duration::parse(text).ok_or_else(|| ProfileError::Span {
        key,
        units: "d, h, m, s",
        found: text.to_owned(),
    })
}

fn lifetime(key: &'static str, text: &str) -> Result<Lifetime, ProfileError> {
    Lifetime::parse(text).ok_or_else(|| ProfileError::Span {
        key,
        units: "y, d, h, m, s",
        found: text.to_owned(),
    })
}

impl ValidityFile {
    fn into_rule(self) -> Result<ValidityRule, ProfileError> {
        let ends_at = match (self.ends_at, self.round) {
            (None, None) => None,
            (Some(text), Some(round)) => {
                let second =
                    SecondOfDay::parse(&text).ok_or(ProfileError::NoSecondOfDay { found: text })?;
                Some((second, round.into()))
            }
            _ => return Err(ProfileError::NoRounding),
        };
        let (end_of, lifetime) = match (self.end, self.lifetime, self.longest) {
            (EndWord::Lifetime, Some(text), None) => {
                (EndOf::Lifetime, lifetime("validity.lifetime", &text)?)
            }
            (EndWord::Order, None, Some(text)) => {
                (EndOf::Order, lifetime("validity.longest", &text)?)
            }
            _ => return Err(ProfileError::NoEnd),
        };
        Ok(ValidityRule {
            end_of,
            lifetime,
            ends_at,
            backdate: span("validity.backdate", &self.backdate)?,
            past_issuer: self.past_issuer,
            past_carrier: self.past_carrier,
        })
    }
}

impl AttributeFile {
    fn into_attribute(self) -> Result<Attribute, ProfileError> {
        let attribute = match self.attribute {
            AttributeWord::Country => AttributeType::Country,
            AttributeWord::Organization => AttributeType::Organization,
            AttributeWord::Locality => AttributeType::Locality,
            AttributeWord::CommonName => AttributeType::CommonName,
            AttributeWord::Surname => AttributeType::Surname,
            AttributeWord::GivenName => AttributeType::GivenName,
            AttributeWord::SerialNumber => AttributeType::SerialNumber,
        };
        let source = match (self.value, self.from) {
            (Some(value), None) => Source::Fixed(value),
            (None, Some(from)) => from.into(),
            _ => return Err(ProfileError::AttributeSource { attribute }),
        };
        let optional = match self.optional {
            OptionalWord::Yes => Optional::Yes,
            OptionalWord::No => Optional::No,
        };
        let string = match self.string {
            None => StringRule::Standard,
            Some(StringWord::PrintableOrUtf8) => StringRule::PrintableOrUtf8,
        };
        Ok(Attribute { attribute, string, source, optional })
    }
}

impl AlternativeNamesFile {
    fn into_rule(self) -> AlternativeNameRule {
        AlternativeNameRule {
            upn: self.upn.into(),
            email: self.email.into(),
            dns_count: self.dns_count.unwrap_or((0, 0)),
            wildcard: match self.wildcards {
                WildcardWord::Refused => Wildcard::Refused,
                WildcardWord::Allowed => Wildcard::Allowed,
            },
            local_names: self.local_names.into(),
            ip: self.ip.into(),
            management_uri: self.management_uri.into(),
        }
    }
}

/// The policies that the file names, and behind them that of the table.
fn policies(files: Vec<PolicyFile>) -> Result<(Vec<Policy>, Option<TablePolicy>), ProfileError> {
    let (mut named, mut of_table) = (Vec::new(), None);
    for PolicyFile { oid, from, cps } in files {
        match (oid, from, &of_table) {
            (Some(found), None, None) => {
                let oid = found.parse().map_err(|_| ProfileError::Oid { found })?;
                named.push(Policy { oid, cps });
            }
            (None, Some(PolicyFromWord::Table), None) => of_table = Some(TablePolicy { cps }),
            _ => return Err(ProfileError::PolicySource),
        }
    }
    Ok((named, of_table))
}

impl From<IssueByWord> for IssueBy {
    fn from(word: IssueByWord) -> Self {
        match word {
            IssueByWord::Direct => Self::Direct,
            IssueByWord::Order => Self::Order,
            IssueByWord::Internal => Self::Internal,
        }
    }
}

impl From<RoundWord> for Round {
    fn from(word: RoundWord) -> Self {
        match word {
            RoundWord::Down => Self::Down,
            RoundWord::Up => Self::Up,
        }
    }
}

impl From<TrustLevelWord> for TrustLevel {
    fn from(word: TrustLevelWord) -> Self {
        match word {
            TrustLevelWord::Loa2 => Self::Loa2,
            TrustLevelWord::Loa3 => Self::Loa3,
        }
    }
}

impl From<PresenceWord> for Presence {
    fn from(word: PresenceWord) -> Self {
        match word {
            PresenceWord::Refused => Self::Refused,
            PresenceWord::Optional => Self::Optional,
            PresenceWord::Required => Self::Required,
        }
    }
}

impl From<FromWord> for Source {
    fn from(word: FromWord) -> Self {
        Self::Field(match word {
            FromWord::PersonName => return Self::PersonName,
            FromWord::CardNumber => return Self::CardNumber,
            FromWord::UserOrganization => return Self::UserOrganization,
            FromWord::IssuingOrganization => return Self::IssuingOrganization,
            FromWord::CommonName => RequestField::CommonName,
            FromWord::GivenName => RequestField::GivenName,
            FromWord::Surname => RequestField::Surname,
            FromWord::HsaId => RequestField::HsaId,
            FromWord::PersonalIdentityNumber => RequestField::PersonalIdentityNumber,
            FromWord::Organization => RequestField::Organization,
            FromWord::Locality => RequestField::Locality,
        })
    }
}

impl From<SlotWord> for ExtensionSlot {
    fn from(word: SlotWord) -> Self {
        match word {
            SlotWord::AuthorityInfoAccess => Self::AuthorityInfoAccess,
            SlotWord::AuthorityKeyIdentifier => Self::AuthorityKeyIdentifier,
            SlotWord::BasicConstraints => Self::BasicConstraints,
            SlotWord::CardNumber => Self::CardNumber,
            SlotWord::CertificatePolicies => Self::CertificatePolicies,
            SlotWord::CrlDistributionPoints => Self::CrlDistributionPoints,
            SlotWord::ExtendedKeyUsage => Self::ExtendedKeyUsage,
            SlotWord::KeyUsage => Self::KeyUsage,
            SlotWord::OcspNoCheck => Self::OcspNoCheck,
            SlotWord::SubjectAltName => Self::SubjectAltName,
            SlotWord::SubjectKeyIdentifier => Self::SubjectKeyIdentifier,
        }
    }
}

impl From<KeyUsageWord> for KeyUsageBit {
    fn from(word: KeyUsageWord) -> Self {
        match word {
            KeyUsageWord::DigitalSignature => Self::DigitalSignature,
            KeyUsageWord::ContentCommitment => Self::NonRepudiation,
            KeyUsageWord::KeyEncipherment => Self::KeyEncipherment,
            KeyUsageWord::KeyAgreement => Self::KeyAgreement,
            KeyUsageWord::KeyCertSign => Self::KeyCertSign,
            KeyUsageWord::CrlSign => Self::CrlSign,
        }
    }
}

impl From<PurposeWord> for Purpose {
    fn from(word: PurposeWord) -> Self {
        match word {
            PurposeWord::ClientAuth => Self::ClientAuth,
            PurposeWord::ServerAuth => Self::ServerAuth,
            PurposeWord::EmailProtection => Self::EmailProtection,
            PurposeWord::SmartcardLogon => Self::SmartcardLogon,
            PurposeWord::OcspSigning => Self::OcspSigning,
        }
    }
}
