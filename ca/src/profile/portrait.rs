//! Portraits: a profile and a certificate drawn in the same words, so that they can be laid side by side.
//!
//! A portrait is a list of fields. A certificate's says what stands in it; a profile's says what may
//! stand in certificates of it. What an order or an issuer decides (names, keys, serial numbers,
//! hosts of URLs) is drawn as its form alone: of a URL the scheme, of a practice statement's URL the
//! path too, of a name its string type.

mod of_certificate;
mod of_profile;
pub(super) mod words;

use std::fmt;

use x509::name::StringKind;
use x509::oid::{ObjectIdentifier, extension};
use x509::time::UnixTime;

use super::ValidityRule;

/// What a profile or a certificate looks like, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portrait {
    sitter: Sitter,
    lines: Vec<Line>,
}

/// Whose portrait it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sitter {
    Profile,
    Certificate,
}

/// One field and what is seen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which field.
    pub field: PortraitField,
    /// What is seen there.
    pub seen: Seen,
}

impl Portrait {
    /// Its fields, in the order of a certificate; what only profiles have comes first.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(super) const fn sitter(&self) -> Sitter {
        self.sitter
    }

    /// What is seen in a field. `None` when the portrait says nothing about it.
    pub(super) fn seen(&self, field: &PortraitField) -> Option<&Seen> {
        self.lines.iter().find(|line| line.field == *field).map(|line| &line.seen)
    }

    fn draw(&mut self, field: PortraitField, seen: Seen) {
        self.lines.push(Line { field, seen });
    }
}

/// A field of a portrait. Its [`Display`](fmt::Display) is its stable name in reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortraitField {
    /// Something that only profiles have: a key of their file, such as `issue-by`.
    Profile(&'static str),
    /// version of the certificate.
    Version,
    /// How it is signed.
    Signature,
    /// How long it lasts and when in the day it ends.
    Validity,
    /// The types of the attributes in encoded order.
    SubjectOrder,
    /// The string type of an attribute.
    SubjectString(String),
    /// The value of an attribute, where it is not from the order; what commonName is among the DNS names.
    SubjectValue(String),
    /// The type of the subject's key.
    Key,
    /// The extensions in encoded order.
    ExtensionOrder,
    /// The value of an extension.
    Extension(ObjectIdentifier),
    /// Whether an extension is critical.
    Critical(ObjectIdentifier),
    /// The qualifiers of the policies, one a policy.
    Qualifiers,
    /// keyUsage beside an RSA key.
    UsageOfRsa,
    /// keyUsage beside a key on a curve.
    UsageOfEc,
}

impl PortraitField {
    /// Whether a portrait that says nothing about this field says that it is not there.
    pub(super) const fn is_presence(&self) -> bool {
        matches!(self, Self::Extension(_))
    }
}

impl fmt::Display for PortraitField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(key) => f.write_str(key),
            Self::Version => f.write_str("version"),
            Self::Signature => f.write_str("signature.algorithm"),
            Self::Validity => f.write_str("validity"),
            Self::SubjectOrder => f.write_str("subject.order"),
            Self::SubjectString(attribute) => write!(f, "subject.{attribute}.string-type"),
            Self::SubjectValue(attribute) => write!(f, "subject.{attribute}.value"),
            Self::Key => f.write_str("key.type"),
            Self::ExtensionOrder => f.write_str("extensions.order"),
            Self::Extension(oid) => write!(f, "extension.{}", words::extension(*oid)),
            Self::Critical(oid) => write!(f, "extension.{}.critical", words::extension(*oid)),
            Self::Qualifiers => f.write_str("extension.certificatePolicies.qualifiers"),
            Self::UsageOfRsa => f.write_str("extension.keyUsage (RSA keys)"),
            Self::UsageOfEc => f.write_str("extension.keyUsage (EC keys)"),
        }
    }
}

/// What is seen in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The field is not there.
    Absent,
    /// This.
    Exactly(String),
    /// One of these, in no order.
    OneOf(Vec<String>),
    /// These, one after the other.
    Sequence(Vec<Part>),
    /// This or nothing.
    Perhaps(Box<Self>),
    /// Whatever the issuer's configuration says.
    AsTheIssuer,
    /// The rule by which a string type is chosen.
    StringType(StringType),
    /// A string of this type, whose text is of this alphabet.
    String(StringKind, Alphabet),
    /// The rule by which an end is found.
    Lifetime(ValidityRule),
    /// From this second to that one, both included.
    Period(UnixTime, UnixTime),
}

/// The rule by which an attribute's string type is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringType {
    /// Always this.
    Always(StringKind),
    /// PrintableString where its alphabet will do, UTF8String else.
    PrintableOrUtf8,
}

/// Which characters a text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// Those of PrintableString alone.
    Printable,
    /// Others too.
    Wider,
}

/// One part of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What stands there.
    pub text: String,
    /// At least so many in a row.
    pub fewest: usize,
    /// At most so many in a row.
    pub most: usize,
}

impl Part {
    /// Whether a certificate's text is this part.
    fn is(&self, found: &str) -> bool {
        self.text == found || self.text == OF_TABLE
    }

    pub(super) fn once(text: impl Into<String>) -> Self {
        Self { text: text.into(), fewest: 1, most: 1 }
    }

    pub(super) fn perhaps(text: impl Into<String>) -> Self {
        Self { text: text.into(), fewest: 0, most: 1 }
    }
}

impl Seen {
    pub(super) fn exactly(text: impl Into<String>) -> Self {
        Self::Exactly(text.into())
    }

    pub(super) fn sequence(texts: impl IntoIterator<Item = String>) -> Self {
        Self::Sequence(texts.into_iter().map(Part::once).collect())
    }

    /// Whether a certificate in which `found` is seen may come of a profile in which this is seen.
    pub(super) fn admits(&self, found: &Self) -> bool {
        match (self, found) {
            (Self::AsTheIssuer, found) => *found != Self::Absent,
            (Self::Perhaps(_), Self::Absent) => true,
            (Self::Perhaps(inner), found) => inner.admits(found),
            (Self::OneOf(allowed), Self::Exactly(found)) => allowed.contains(found),
            (Self::Sequence(allowed), Self::Sequence(found)) => {
                let found: Vec<_> = found.iter().map(|part| part.text.as_str()).collect();
                follows(allowed, &found)
            }
            (Self::StringType(rule), Self::String(kind, alphabet)) => rule.admits(*kind, *alphabet),
            // An issuer that ended sooner may have cut it short: no certificate shows that.
            (Self::Lifetime(rule), Self::Period(from, to)) => rule.allows(*from, *to),
            (allowed, found) => allowed == found,
        }
    }
}

impl StringType {
    fn admits(self, kind: StringKind, alphabet: Alphabet) -> bool {
        match (self, alphabet) {
            (Self::Always(always), _) => kind == always,
            (Self::PrintableOrUtf8, Alphabet::Printable) => kind == StringKind::Printable,
            (Self::PrintableOrUtf8, Alphabet::Wider) => kind == StringKind::Utf8,
        }
    }
}

/// Stands for the policy of a row of the table: any one.
pub(super) const OF_TABLE: &str = "a policy of the table";

/// Whether `found` stands in the order of `allowed`, each as often as it may.
fn follows(allowed: &[Part], found: &[&str]) -> bool {
    let mut rest = found;
    for part in allowed {
        let run = rest.iter().take(part.most).take_while(|text| part.is(text)).count();
        if run < part.fewest {
            return false;
        }
        rest = rest.get(run..).unwrap_or_default();
    }
    rest.is_empty()
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Exactly(text) => f.write_str(text),
            Self::OneOf(texts) if texts.is_empty() => f.write_str("nothing"),
            Self::OneOf(texts) => f.write_str(&texts.join(" or ")),
            Self::Sequence(parts) if parts.is_empty() => f.write_str("nothing"),
            Self::Sequence(parts) => {
                let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
                f.write_str(&parts.join(", "))
            }
            Self::Perhaps(inner) => write!(f, "absent or {inner}"),
            Self::AsTheIssuer => f.write_str("as the issuer is configured"),
            Self::StringType(StringType::Always(kind)) | Self::String(kind, _) => {
                write!(f, "{kind}")
            }
            Self::StringType(StringType::PrintableOrUtf8) => {
                f.write_str("PrintableString where its alphabet will do, else UTF8String")
            }
            Self::Lifetime(rule) => f.write_str(&words::lifetime(*rule)),
            Self::Period(from, to) => write!(f, "{from} to {to}"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.fewest, self.most) {
            (1, 1) => f.write_str(&self.text),
            (0, 1) => write!(f, "{}?", self.text),
            (fewest, most) => write!(f, "{} ({fewest} to {most})", self.text),
        }
    }
}

/// The extensions that a profile can hold, in the order in which portraits draw them.
const DRAWN: [ObjectIdentifier; 11] = [
    extension::BASIC_CONSTRAINTS,
    extension::KEY_USAGE,
    extension::EXTENDED_KEY_USAGE,
    extension::SUBJECT_ALT_NAME,
    extension::CERTIFICATE_POLICIES,
    extension::CARD_NUMBER,
    extension::SUBJECT_KEY_IDENTIFIER,
    extension::AUTHORITY_KEY_IDENTIFIER,
    extension::CRL_DISTRIBUTION_POINTS,
    extension::AUTHORITY_INFO_ACCESS,
    extension::OCSP_NO_CHECK,
];
