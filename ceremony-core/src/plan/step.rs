//! The steps of a plan: what is done to keys, in the order in which it is done.

use std::time::Duration;

use serde::Deserialize;
use serde::de::Error as _;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::time::UnixTime;

use super::people::Requirement;
use super::values::{Line, RelativeFile, Word, moment, moment_if_any, parsed, span};
use crate::words::Fingerprint;

/// How long an OCSP delegate of a root outlives the CRL that was signed with it (architecture §2.3: responders answer until the next ceremony, and
/// some days more).
pub const DELEGATE_AFTER_CRL: Duration = Duration::from_secs(30 * 86_400);

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the plan calls it; keys and outputs are found again by it.
    pub id: Word,
    /// Who must be in the room.
    pub requires: Vec<Requirement>,
    /// How often keys may sign in it, challenges apart.
    pub signatures: u32,
    /// What is done.
    pub operation: Operation,
}

/// What every step has beside its operation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Frame {
    id: Word,
    requires: Vec<RequirementText>,
    signatures: u32,
}

#[derive(Deserialize)]
struct RequirementText(#[serde(deserialize_with = "parsed")] Requirement);

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rest = toml::Table::deserialize(deserializer)?;
        let mut frame = toml::Table::new();
        for key in ["id", "requires", "signatures"] {
            if let Some(value) = rest.remove(key) {
                frame.insert(key.to_owned(), value);
            }
        }
        let named =
            frame.get("id").and_then(toml::Value::as_str).unwrap_or("without id").to_owned();
        let refused =
            |error: toml::de::Error| D::Error::custom(format!("step {named}: {}", error.message()));
        let Frame { id, requires, signatures } = frame.try_into().map_err(refused)?;
        let Some(toml::Value::String(name)) = rest.remove("op") else {
            return Err(D::Error::custom(format!("step {named}: `op` lacks, or is no text")));
        };
        let mut operation = toml::Table::new();
        operation.insert(name, toml::Value::Table(rest));
        let operation = operation.try_into().map_err(refused)?;
        Ok(Self {
            id,
            requires: requires.into_iter().map(|text| text.0).collect(),
            signatures,
            operation,
        })
    }
}

/// How a key gets its second copy. The attributes follow from it, and it cannot be changed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupWay {
    /// By the vendor's own means: the key never leaves as bytes.
    Device,
    /// Wrapped to a second token, and not extractable from then on.
    Wrapped,
    /// Not at all: in environment test, and of responders, which are enrolled anew.
    None,
}

/// What the private key may do: everything is stated, since devices differ in what they take for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Attributes {
    /// Not seen without a login.
    pub private: bool,
    /// Its value is not told.
    pub sensitive: bool,
    /// It may be wrapped.
    pub extractable: bool,
    /// It signs.
    pub sign: bool,
    /// It decrypts.
    pub decrypt: bool,
    /// It unwraps keys.
    pub unwrap: bool,
    /// Keys are derived from it.
    pub derive: bool,
    /// Its attributes may be changed.
    pub modifiable: bool,
}

impl Attributes {
    /// Those that a key with this backup is born with.
    #[must_use]
    pub const fn born(backup: BackupWay) -> Self {
        let wrapped = matches!(backup, BackupWay::Wrapped);
        Self {
            private: true,
            sensitive: true,
            extractable: wrapped,
            sign: true,
            decrypt: false,
            unwrap: false,
            derive: false,
            modifiable: wrapped,
        }
    }

    /// Name and value of each.
    #[must_use]
    pub const fn rows(&self) -> [(&'static str, bool); 8] {
        [
            ("private", self.private),
            ("sensitive", self.sensitive),
            ("extractable", self.extractable),
            ("sign", self.sign),
            ("decrypt", self.decrypt),
            ("unwrap", self.unwrap),
            ("derive", self.derive),
            ("modifiable", self.modifiable),
        ]
    }
}

/// How the number of a CRL is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NumberRule {
    /// It is above this one, beside being above the previous CRL's and all pre-signed ones.
    pub floor: u64,
    /// It is that much above the highest of them.
    pub gap: u64,
}

/// A CRL that is signed ahead, as the plan lays it out: who approves it knows what is true when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ahead {
    /// Its number, which the rule for numbers comes to as well.
    pub number: u64,
    /// From when on it may be released.
    #[serde(deserialize_with = "moment")]
    pub this_update: UnixTime,
    /// When the next one is out at the latest.
    #[serde(deserialize_with = "moment")]
    pub next_update: UnixTime,
}

/// Where an issuer publishes, as what it signs may say it (its profile decides which of them stand in it).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerUrls {
    /// Its CRL.
    pub crl: Line,
    /// Its OCSP responder.
    pub ocsp: Line,
    /// Its own certificate.
    pub aia: Line,
}

impl IssuerUrls {
    /// Each of them.
    #[must_use]
    pub const fn all(&self) -> [&Line; 3] {
        [&self.crl, &self.ocsp, &self.aia]
    }
}

/// A certificate that the CRL is to name from now on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Revocation {
    /// Its serial number, hexadecimal.
    pub serial: Line,
    /// Why, as RFC 5280 §5.3.1 names it.
    pub reason: Word,
    /// From when.
    #[serde(deserialize_with = "moment")]
    pub date: UnixTime,
}

/// What is done in a step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Operation {
    /// Somebody states what no program can see.
    Declare {
        /// Who, by his role.
        by: super::people::Role,
        /// What.
        text: Line,
    },
    /// A token is initialised: its PINs are drawn and their shares handed out.
    PrepareToken {
        /// The token.
        token: Word,
    },
    /// A key pair is made in a token.
    GenerateKey {
        /// The token.
        token: Word,
        /// Its type.
        #[serde(deserialize_with = "parsed")]
        key: KeyType,
        /// How it gets its second copy.
        backup: BackupWay,
        /// What it may do.
        attributes: Attributes,
    },
    /// A key's second copy is made and proven.
    Backup {
        /// The step that made the key.
        key_of: Word,
        /// The token that takes it.
        token: Word,
    },
    /// A certificate is signed.
    Certificate {
        /// Whose key is certified: a step that made it, or an input that holds a request.
        key_of: Word,
        /// Who signs: a step that made the key, or an input that holds the issuer's certificate.
        issuer: Word,
        /// The issuer's token.
        token: Word,
        /// The input that holds the profile.
        profile: Word,
        /// How it is signed.
        #[serde(deserialize_with = "parsed")]
        algorithm: SignatureAlgorithm,
        /// commonName of the subject.
        common_name: Line,
        /// organizationName of the subject.
        organization: Line,
        /// The last second of it.
        #[serde(deserialize_with = "moment")]
        not_after: UnixTime,
        /// The input that holds an existing certificate of this subject and key: for cross-certificates.
        like: Option<Word>,
        /// Where the issuer publishes; a certificate that signs itself names nothing.
        urls: Option<IssuerUrls>,
        /// Where it lies.
        out: RelativeFile,
    },
    /// A request is made for a key.
    Request {
        /// The step that made the key.
        key_of: Word,
        /// commonName of the subject that is asked for.
        common_name: Line,
        /// Where it lies.
        out: RelativeFile,
    },
    /// One CRL is signed, or a series.
    Crl {
        /// A step that made its certificate, or an input that holds it.
        issuer: Word,
        /// The issuer's token.
        token: Word,
        /// How it is signed.
        #[serde(deserialize_with = "parsed")]
        algorithm: SignatureAlgorithm,
        /// The input that holds the previous CRL; none says that it is the first.
        previous: Option<Word>,
        /// Its number.
        number: NumberRule,
        /// From thisUpdate to nextUpdate.
        #[serde(deserialize_with = "span")]
        lifetime: Duration,
        /// Of CRLs that are signed ahead each one, the first included; left out for one that is true from its signature on.
        #[serde(default)]
        series: Vec<Ahead>,
        /// What is revoked now.
        revoke: Vec<Revocation>,
        /// nextUpdate of the previous CRL, where that will have passed: whoever approves the plan knows that there was none.
        #[serde(default, deserialize_with = "moment_if_any")]
        overdue_since: Option<UnixTime>,
        /// Where it lies; of a series, `-N` stands before the ending.
        out: RelativeFile,
    },
    /// An OCSP delegate of the root is signed; it ends 30 days after the CRL.
    Delegate {
        /// The input that holds the responder's request.
        request: Word,
        /// A step that made the issuer's certificate, or an input that holds it.
        issuer: Word,
        /// The issuer's token.
        token: Word,
        /// The input that holds the profile.
        profile: Word,
        /// The step that signs the CRL, of the same issuer and in the same way.
        crl: Word,
        /// commonName of the subject.
        common_name: Line,
        /// organizationName of the subject.
        organization: Line,
        /// Where the issuer publishes.
        urls: IssuerUrls,
        /// Where it lies.
        out: RelativeFile,
    },
    /// A responder's identity key is taken up.
    Enrol {
        /// The step that made the key.
        key_of: Word,
        /// The responder's name.
        responder: Word,
        /// Where its public key lies.
        out: RelativeFile,
    },
    /// A copy of a key is destroyed, with the token that holds nothing else.
    Destroy {
        /// The token.
        token: Word,
        /// SHA-256 of its SubjectPublicKeyInfo.
        key: Fingerprint,
        /// The input that holds the certificate of a CA whose key it is.
        certificate: Option<Word>,
        /// The input that holds the last CRL of that CA.
        final_crl: Option<Word>,
        /// Why it may be.
        legal_basis: Line,
        /// All other copies, and what becomes of each: what people state.
        copies: Vec<Line>,
    },
}

/// What an operation is called in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationName {
    /// [`Operation::Declare`]
    Declare,
    /// [`Operation::PrepareToken`]
    PrepareToken,
    /// [`Operation::GenerateKey`]
    GenerateKey,
    /// [`Operation::Backup`]
    Backup,
    /// [`Operation::Certificate`]
    Certificate,
    /// [`Operation::Request`]
    Request,
    /// [`Operation::Crl`]
    Crl,
    /// [`Operation::Delegate`]
    Delegate,
    /// [`Operation::Enrol`]
    Enrol,
    /// [`Operation::Destroy`]
    Destroy,
}

impl OperationName {
    /// As in the plan.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Declare => "declare",
            Self::PrepareToken => "prepare-token",
            Self::GenerateKey => "generate-key",
            Self::Backup => "backup",
            Self::Certificate => "certificate",
            Self::Request => "request",
            Self::Crl => "crl",
            Self::Delegate => "delegate",
            Self::Enrol => "enrol",
            Self::Destroy => "destroy",
        }
    }
}

impl Operation {
    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> OperationName {
        match self {
            Self::Declare { .. } => OperationName::Declare,
            Self::PrepareToken { .. } => OperationName::PrepareToken,
            Self::GenerateKey { .. } => OperationName::GenerateKey,
            Self::Backup { .. } => OperationName::Backup,
            Self::Certificate { .. } => OperationName::Certificate,
            Self::Request { .. } => OperationName::Request,
            Self::Crl { .. } => OperationName::Crl,
            Self::Delegate { .. } => OperationName::Delegate,
            Self::Enrol { .. } => OperationName::Enrol,
            Self::Destroy { .. } => OperationName::Destroy,
        }
    }

    /// Whether what it does cannot be undone.
    #[must_use]
    pub const fn is_irreversible(&self) -> bool {
        !matches!(self, Self::Declare { .. } | Self::Enrol { .. })
    }

    /// How often keys sign in it, challenges apart.
    #[must_use]
    pub fn signatures(&self) -> u32 {
        match self {
            Self::Declare { .. }
            | Self::PrepareToken { .. }
            | Self::GenerateKey { .. }
            | Self::Backup { .. }
            | Self::Enrol { .. }
            | Self::Destroy { .. } => 0,
            Self::Certificate { .. } | Self::Request { .. } | Self::Delegate { .. } => 1,
            Self::Crl { series, .. } => u32::try_from(series.len().max(1)).unwrap_or(u32::MAX),
        }
    }

    /// The token that it works on.
    #[must_use]
    pub const fn token(&self) -> Option<&Word> {
        match self {
            Self::PrepareToken { token }
            | Self::GenerateKey { token, .. }
            | Self::Backup { token, .. }
            | Self::Certificate { token, .. }
            | Self::Crl { token, .. }
            | Self::Delegate { token, .. }
            | Self::Destroy { token, .. } => Some(token),
            Self::Declare { .. } | Self::Request { .. } | Self::Enrol { .. } => None,
        }
    }

    /// Every file that it makes: of a series one for each CRL, in their order.
    #[must_use]
    pub fn outs(&self) -> Vec<RelativeFile> {
        match self {
            Self::Crl { series, out, .. } if !series.is_empty() => {
                (1..=series.len()).map(|number| out.numbered(number)).collect()
            }
            _ => self.out().into_iter().cloned().collect(),
        }
    }

    /// The file that it names.
    #[must_use]
    pub const fn out(&self) -> Option<&RelativeFile> {
        match self {
            Self::Certificate { out, .. }
            | Self::Request { out, .. }
            | Self::Crl { out, .. }
            | Self::Delegate { out, .. }
            | Self::Enrol { out, .. } => Some(out),
            Self::Declare { .. }
            | Self::PrepareToken { .. }
            | Self::GenerateKey { .. }
            | Self::Backup { .. }
            | Self::Destroy { .. } => None,
        }
    }
}
