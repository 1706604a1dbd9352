//! The words in which profiles and certificates are drawn and printed.

use x509::extension::GeneralName;
use x509::oid::{ObjectIdentifier, extension as ext, signature, usage};

use super::super::{EndOf, ValidityRule};

/// The standard's name of an extension; its number where it has none here.
pub(in crate::profile) fn extension(oid: ObjectIdentifier) -> String {
    let name = match oid {
        ext::AUTHORITY_INFO_ACCESS => "authorityInfoAccess",
        ext::AUTHORITY_KEY_IDENTIFIER => "authorityKeyIdentifier",
        ext::BASIC_CONSTRAINTS => "basicConstraints",
        ext::CARD_NUMBER => "cardNumber",
        ext::CERTIFICATE_POLICIES => "certificatePolicies",
        ext::CRL_DISTRIBUTION_POINTS => "cRLDistributionPoints",
        ext::EXTENDED_KEY_USAGE => "extKeyUsage",
        ext::KEY_USAGE => "keyUsage",
        ext::NAME_CONSTRAINTS => "nameConstraints",
        ext::NETSCAPE_CERT_TYPE => "netscapeCertType",
        ext::OCSP_NO_CHECK => "ocspNoCheck",
        ext::QC_STATEMENTS => "qcStatements",
        ext::SUBJECT_ALT_NAME => "subjectAltName",
        ext::SUBJECT_DIRECTORY_ATTRIBUTES => "subjectDirectoryAttributes",
        ext::SUBJECT_KEY_IDENTIFIER => "subjectKeyIdentifier",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// The standard's name of a purpose in extKeyUsage; its number where it has none here.
pub(in crate::profile) fn purpose(oid: ObjectIdentifier) -> String {
    let name = match oid {
        usage::ANY => "anyExtendedKeyUsage",
        usage::CLIENT_AUTH => "clientAuth",
        usage::CODE_SIGNING => "codeSigning",
        usage::DOCUMENT_SIGNING => "documentSigning",
        usage::EMAIL_PROTECTION => "emailProtection",
        usage::OCSP_SIGNING => "OCSPSigning",
        usage::SERVER_AUTH => "serverAuth",
        usage::SMARTCARD_LOGON => "msSmartcardLogon",
        usage::TIME_STAMPING => "timeStamping",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// An algorithm that we do not sign with ourselves.
pub(in crate::profile) fn foreign_algorithm(oid: ObjectIdentifier) -> String {
    if oid == signature::RSA_SHA1 { "rsa-pkcs1-sha1".to_owned() } else { oid.to_string() }
}

/// What of a URL is the profile's: the scheme and the path. The host is the operator's.
pub(in crate::profile) fn without_host(uri: &str) -> String {
    match uri.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('/') {
            Some((_, path)) => format!("{scheme}://*/{path}"),
            None => format!("{scheme}://*"),
        },
        None => uri.to_owned(),
    }
}

/// What of a URL is left when the issuer decides both host and path.
pub(in crate::profile) fn scheme(uri: &str) -> String {
    uri.split_once("://").map_or_else(|| uri.to_owned(), |(scheme, _)| format!("{scheme}://*"))
}

/// The rule by which an end is found.
pub(in crate::profile) fn lifetime(rule: ValidityRule) -> String {
    match rule.ends_at {
        _ if rule.end_of == EndOf::Order => format!("as ordered, at most {}", rule.lifetime),
        Some((second, round)) => format!("{}, ending at {second}, rounded {round}", rule.lifetime),
        None => rule.lifetime.to_string(),
    }
}

/// The key identifier that RFC 5280 §4.2.1.2 calls method 1.
pub(in crate::profile) const METHOD_1: &str = "SHA-1 of the key bits";
/// A card number as the standard's 19 digits.
pub(in crate::profile) const CARD_DIGITS: &str = "PrintableString of 19 digits";
/// authorityKeyIdentifier with nothing but the key's.
pub(in crate::profile) const KEY_ID_ALONE: &str = "keyIdentifier alone";
/// A function's commonName (PRO-20).
pub(in crate::profile) const ONE_OF_DNS: &str = "one of the DNS names";
/// basicConstraints of an end entity that spells them out.
pub(in crate::profile) const END_ENTITY: &str = "no CA";
/// A flag.
pub(in crate::profile) const fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
/// basicConstraints of a CA.
pub(in crate::profile) fn authority(path_length: Option<u8>) -> String {
    path_length.map_or_else(
        || "CA without path length".to_owned(),
        |length| format!("CA with path length {length}"),
    )
}

/// otherName of smart card logon.
pub(in crate::profile) const UPN: &str = "UPN";
/// rfc822Name, or SmtpUTF8Mailbox where the order's local part needs it (RFC 9598 §3).
pub(in crate::profile) const MAIL: &str = "e-mail address";
/// dNSName.
pub(in crate::profile) const DNS: &str = "dNSName";
/// iPAddress.
pub(in crate::profile) const IP: &str = "iPAddress";
/// uniformResourceIdentifier.
pub(in crate::profile) const URI: &str = "uniformResourceIdentifier";

/// The choice of a general name.
pub(in crate::profile) const fn general_name(name: &GeneralName) -> &'static str {
    match name {
        GeneralName::Directory(_) => "directoryName",
        GeneralName::Dns(_) => DNS,
        GeneralName::Ip(_) => IP,
        GeneralName::Other(_) => "another name",
        GeneralName::Rfc822(_) | GeneralName::SmtpUtf8(_) => MAIL,
        GeneralName::Upn(_) => UPN,
        GeneralName::Uri(_) => URI,
    }
}
