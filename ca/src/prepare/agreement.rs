//! What an order decided, compared with the finished certificate as another reader reads it.
//!
//! The linter judges what the profile fixes (`shape`); this judges the rest: names, key, serial number, times and
//! issuer. Between the two, no octet of a certificate is left that nobody has compared with what it should be.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;
use x509::certificate::Certificate;
use x509::extension::GeneralName;
use x509::key::PublicKey;
use x509::name::Name;
use x509::validity::Validity;

use super::{Preparation, extensions, subject};
use crate::fields::CheckedFields;
use crate::profile::ExtensionSlot;

/// What a certificate has to say of its order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) preparation: &'a Preparation<'a>,
    pub(super) fields: &'a CheckedFields,
    pub(super) key: &'a PublicKey,
    pub(super) issuer: &'a Name,
    pub(super) validity: Validity,
}

/// Reads the certificate and compares each part that the order decided.
///
/// # Errors
///
/// [`Disagreement`]: the first part that is another.
pub(super) fn check(finished: &[u8], expected: &Expected<'_>) -> Result<(), Disagreement> {
    let unreadable = |source| Disagreement::Unreadable { source };
    let certificate = Certificate::from_der(finished).map_err(unreadable)?;
    let has_number = expected.preparation.profile.extensions().contains(&ExtensionSlot::CardNumber);
    let card_number = expected.fields.card_number.as_ref().filter(|_| has_number);
    let card_number = card_number.map(|number| number.as_str());
    let parts = [
        (Part::Serial, certificate.serial() == expected.preparation.serial),
        (Part::Issuer, certificate.issuer().as_der() == expected.issuer.as_der()),
        (Part::Validity, certificate.validity() == expected.validity),
        (Part::Key, certificate.public_key().spki_der() == expected.key.spki_der()),
        (Part::Subject, is_subject(certificate.subject(), expected)),
        (Part::AlternativeNames, are_names(&certificate.subject_alt_names(), expected)),
        (Part::CardNumber, certificate.card_number().as_ref().map(|it| it.as_str()) == card_number),
    ];
    match parts.into_iter().find(|(_, agrees)| !agrees) {
        Some((part, _)) => Err(Disagreement::Part { part }),
        None => Ok(()),
    }
}

/// The same attributes with the same texts in the same order; which strings they are is the linter's matter.
fn is_subject(found: &Name, expected: &Expected<'_>) -> bool {
    let wanted = subject::texts(expected.preparation.profile, expected.fields);
    let wanted = wanted.map(|(attribute, text)| (attribute.attribute.oid(), text.as_bytes()));
    found.attributes().map(|it| (it.oid(), it.value_bytes())).eq(wanted)
}

/// The same names in the same order.
fn are_names(found: &[GeneralName], expected: &Expected<'_>) -> bool {
    let fields = expected.fields;
    let uri = extensions::management_uri(expected.preparation, fields);
    let wanted = (fields.upn.iter().map(|upn| Wanted::Upn(upn.as_str())))
        .chain(fields.email.iter().map(|email| Wanted::Mail(email.as_str())))
        .chain(fields.dns.iter().map(|dns| Wanted::Dns(dns.as_str())))
        .chain(fields.ip.iter().map(|ip| Wanted::Ip(*ip)))
        .chain(uri.iter().map(|uri| Wanted::Uri(uri)));
    let mut found = found.iter();
    wanted.into_iter().all(|name| found.next().is_some_and(|it| name.is(it)))
        && found.next().is_none()
}

/// A name that the order has.
#[derive(Clone, Copy, Debug)]
enum Wanted<'a> {
    Upn(&'a str),
    Mail(&'a str),
    Dns(&'a str),
    Ip(IpAddr),
    Uri(&'a str),
}

impl Wanted<'_> {
    fn is(self, found: &GeneralName) -> bool {
        match (self, found) {
            (Self::Upn(text), GeneralName::Upn(found)) => found.as_str() == text,
            (Self::Mail(text), GeneralName::Rfc822(found)) => found.as_str() == text,
            (Self::Mail(text), GeneralName::SmtpUtf8(found)) => found.as_str() == text,
            (Self::Dns(text), GeneralName::Dns(found)) => found.as_str() == text,
            (Self::Ip(address), GeneralName::Ip(found)) => *found == address,
            (Self::Uri(text), GeneralName::Uri(found)) => found.as_str() == text,
            _ => false,
        }
    }
}

/// A part of a certificate that an order decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// subjectAltName.
    AlternativeNames,
    /// The card's number.
    CardNumber,
    /// The issuer's name.
    Issuer,
    /// The public key.
    Key,
    /// The serial number.
    Serial,
    /// The subject's attributes.
    Subject,
    /// notBefore and notAfter.
    Validity,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlternativeNames => "alternative names",
            Self::CardNumber => "card number",
            Self::Issuer => "issuer",
            Self::Key => "key",
            Self::Serial => "serial number",
            Self::Subject => "subject",
            Self::Validity => "validity",
        })
    }
}

/// How a finished certificate differs from its order.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disagreement {
    /// A part is another.
    #[error("finished certificate has another {part} than its order")]
    Part {
        /// Which.
        part: Part,
    },
    /// It cannot be read.
    #[error("finished certificate cannot be read back")]
    Unreadable {
        /// Why.
        #[source]
        source: x509::certificate::CertificateError,
    },
}
