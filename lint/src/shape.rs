//! What a profile and its issuer fix of a certificate: plain data that a certificate is compared with.
//!
//! Nothing here is encoded: the linter reads the certificate itself and compares what it read, so that a defect of
//! the encoder is no part of what is expected. What an order decides (names, key, serial number, times) is not here.

use x509::extension::{Criticality, KeyUsageBit};
use x509::key::SignatureAlgorithm;
use x509::oid::ObjectIdentifier;

/// The fixed part of the certificates of one profile under one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape<'a> {
    /// How the issuer signs.
    pub signature: SignatureAlgorithm,
    /// The subject's attributes in their order.
    pub subject: Vec<AttributeShape<'a>>,
    /// The extensions in their order.
    pub extensions: Vec<ExtensionShape<'a>>,
}

/// Whether something is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stated {
    /// It is.
    Always,
    /// It is there or not, as the order says.
    Perhaps,
}

/// One attribute of the subject, alone in its RDN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeShape<'a> {
    /// Its type.
    pub kind: ObjectIdentifier,
    /// Its string.
    pub string: StringShape,
    /// Whether it is always there.
    pub stated: Stated,
    /// Its value, where the profile says it.
    pub value: Option<&'a str>,
}

/// Which string an attribute is, where the standard leaves a choice (RFC 5280 §4.1.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringShape {
    /// The one of its type; UTF8String for a DirectoryString.
    Standard,
    /// PrintableString where its alphabet holds the text, UTF8String elsewhere.
    PrintableOrUtf8,
}

/// One extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionShape<'a> {
    /// What it is, and what it says.
    pub value: ValueShape<'a>,
    /// Whether it is critical.
    pub critical: Criticality,
    /// Whether it is always there.
    pub stated: Stated,
}

/// What an extension says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueShape<'a> {
    /// authorityInfoAccess: the OCSP responder, then the issuer's certificate.
    AuthorityInformation {
        /// URI of the responder.
        ocsp: &'a str,
        /// URI of the certificate.
        issuer: &'a str,
    },
    /// authorityKeyIdentifier with the issuer's key identifier; `None` for a self-signed certificate's own.
    AuthorityKeyIdentifier(Option<&'a [u8]>),
    /// subjectAltName: the forms in their order, with the fewest and most names of each.
    AlternativeNames(Vec<NameShape>),
    /// basicConstraints of a CA, with its pathLenConstraint.
    Authority(Option<u8>),
    /// The number of a card.
    CardNumber,
    /// cRLDistributionPoints: one point with one URI.
    DistributionPoint(&'a str),
    /// basicConstraints of an end entity.
    EndEntity,
    /// keyUsage, which may depend on the key.
    KeyUsage {
        /// With an RSA key.
        rsa: &'a [KeyUsageBit],
        /// With a key on a curve.
        curve: &'a [KeyUsageBit],
    },
    /// id-pkix-ocsp-nocheck.
    NoCheck,
    /// certificatePolicies in their order.
    Policies(Vec<PolicyShape<'a>>),
    /// extKeyUsage in its order.
    Purposes(Vec<PurposeShape>),
    /// subjectKeyIdentifier.
    SubjectKeyIdentifier,
}

/// A policy with its practice statement, and no other qualifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyShape<'a> {
    /// The policy.
    pub id: ObjectIdentifier,
    /// URI of the practice statement.
    pub cps: Option<&'a str>,
}

/// A purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurposeShape {
    /// The purpose.
    pub id: ObjectIdentifier,
    /// Where it stands.
    pub stands: PurposeStands,
}

/// Where a purpose stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurposeStands {
    /// Always.
    Always,
    /// Where, and only where, the alternative names hold a mail address.
    BesideMail,
}

/// Names of one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameShape {
    /// The form.
    pub form: NameForm,
    /// The fewest.
    pub fewest: usize,
    /// The most.
    pub most: usize,
}

/// Forms of alternative names that profiles know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameForm {
    /// dNSName.
    Dns,
    /// iPAddress.
    Ip,
    /// rfc822Name, or SmtpUTF8Mailbox where the local part needs it.
    Mail,
    /// otherName with a user principal name.
    Upn,
    /// uniformResourceIdentifier.
    Uri,
}
