//! A certificate as text, field by field in encoded order, with the string types that other tools hide.

use x509::extension::{
    AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, CardNumber, CertificatePolicies,
    CrlDistributionPoints, ExtendedKeyUsage, Extension, GeneralName, PolicyQualifier,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509::import::ImportedCertificate;
use x509::name::{Name, attribute_name};
use x509::oid::{ObjectIdentifier, access, extension};

use crate::identity::in_letters;
use crate::profile::portrait::words;

/// The lines of a certificate's text.
#[must_use]
pub fn certificate_text(certificate: &ImportedCertificate) -> Vec<String> {
    let algorithm = certificate.algorithm().map_or_else(
        || words::foreign_algorithm(certificate.algorithm_oid()),
        |algorithm| algorithm.name().to_owned(),
    );
    let key = certificate
        .public_key()
        .map_or_else(|| "of an unknown kind".to_owned(), |key| key.key_type().to_string());
    let mut lines = vec![
        format!("version    {}", certificate.version()),
        format!("serial     {}", certificate.serial()),
        format!("signature  {algorithm}"),
        format!("validity   {} to {}", certificate.not_before(), certificate.not_after()),
        format!("key        {key}"),
        "issuer".to_owned(),
    ];
    lines.extend(name(certificate.issuer()));
    lines.push("subject".to_owned());
    lines.extend(name(certificate.subject()));
    lines.push("extensions".to_owned());
    for one in certificate.extensions() {
        let critical = if one.critical { " (critical)" } else { "" };
        lines.push(format!("  {}{critical}", words::extension(one.oid)));
        let values = values(certificate, one).unwrap_or_else(|| vec![octets(&one.value_der)]);
        lines.extend(values.into_iter().map(|value| format!("    {value}")));
    }
    lines
}

fn name(name: &Name) -> Vec<String> {
    name.attributes()
        .map(|one| format!("  {} = {} {:?}", attribute_name(one.oid()), one.kind(), one.text()))
        .collect()
}

/// What an extension says. `None` where it is not known here or not the DER of its type.
pub(in crate::profile) fn values(
    certificate: &ImportedCertificate,
    one: &Extension,
) -> Option<Vec<String>> {
    Some(match one.oid {
        extension::BASIC_CONSTRAINTS => match one.value::<BasicConstraints>().ok()?? {
            BasicConstraints::EndEntity => vec![words::END_ENTITY.to_owned()],
            BasicConstraints::Ca { path_len } => vec![words::authority(path_len)],
        },
        extension::KEY_USAGE => {
            certificate.key_usage()?.iter().map(|bit| bit.name().to_owned()).collect()
        }
        extension::EXTENDED_KEY_USAGE => {
            let ExtendedKeyUsage(purposes) = one.value().ok()??;
            purposes.into_iter().map(words::purpose).collect()
        }
        extension::SUBJECT_ALT_NAME => {
            let SubjectAltName(names) = one.value().ok()??;
            names.iter().map(general_name).collect()
        }
        extension::CERTIFICATE_POLICIES => {
            let CertificatePolicies(policies) = one.value().ok()??;
            policies.iter().map(|one| policy(one.policy, &one.qualifiers)).collect()
        }
        extension::CARD_NUMBER => vec![one.value::<CardNumber>().ok()??.to_string()],
        extension::SUBJECT_KEY_IDENTIFIER => {
            let SubjectKeyIdentifier(identifier) = one.value().ok()??;
            vec![octets(&identifier)]
        }
        extension::AUTHORITY_KEY_IDENTIFIER => {
            let identifier = one.value::<AuthorityKeyIdentifier>().ok()??;
            vec![octets(identifier.key_identifier()?)]
        }
        extension::CRL_DISTRIBUTION_POINTS => {
            let CrlDistributionPoints(points) = one.value().ok()??;
            points.iter().flat_map(|point| point.full_name()).map(general_name).collect()
        }
        extension::AUTHORITY_INFO_ACCESS => {
            let AuthorityInfoAccess(descriptions) = one.value().ok()??;
            descriptions
                .iter()
                .map(|one| {
                    let uri = one.location.uri().map(str::to_owned);
                    let location = uri.unwrap_or_else(|| general_name(&one.location));
                    format!("{} {location}", method(one.method))
                })
                .collect()
        }
        extension::OCSP_NO_CHECK => Vec::new(),
        _ => return None,
    })
}

fn policy(oid: ObjectIdentifier, qualifiers: &[PolicyQualifier]) -> String {
    qualifiers.iter().fold(oid.to_string(), |text, qualifier| match qualifier {
        PolicyQualifier::Cps(uri) => format!("{text}, CPS {uri}"),
        PolicyQualifier::Other { oid, .. } => format!("{text}, {oid}"),
    })
}

fn method(oid: ObjectIdentifier) -> String {
    match oid {
        access::OCSP => "OCSP".to_owned(),
        access::CA_ISSUERS => "caIssuers".to_owned(),
        other => other.to_string(),
    }
}

fn general_name(name: &GeneralName) -> String {
    let kind = words::general_name(name);
    match name {
        GeneralName::Dns(text) => format!("{kind} {text}{}", spoken(text.as_str())),
        GeneralName::Uri(text) => format!("{kind} {text}"),
        GeneralName::Rfc822(text) => format!("rfc822Name {text}{}", spoken(text.as_str())),
        GeneralName::SmtpUtf8(mailbox) => {
            format!("SmtpUTF8Mailbox {}{}", mailbox.as_str(), spoken(mailbox.as_str()))
        }
        GeneralName::Upn(text) => format!("{kind} {}", text.as_str()),
        GeneralName::Ip(address) => format!("{kind} {address}"),
        GeneralName::Directory(name) => format!("{kind} {name}"),
        GeneralName::Other(der) => format!("{kind} {}", octets(der)),
    }
}

/// The host of a name or an address in letters, where A-labels hide them (RFC 9549 §2.3, §2.5).
fn spoken(text: &str) -> String {
    let (local, host) = text.rsplit_once('@').map_or(("", text), |(local, host)| (local, host));
    let at = if local.is_empty() { "" } else { "@" };
    in_letters(host).map_or_else(String::new, |host| format!(" ({local}{at}{host})"))
}

fn octets(bytes: &[u8]) -> String {
    bytes.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use x509::extension::{Ia5Text, SmtpUtf8Mailbox};

    use super::*;

    /// PRO-17: whoever reads a sample or a comparison sees the letters that A-labels stand for.
    #[test]
    fn hosts_in_a_labels_are_shown_in_letters_too() {
        let text = |text| Ia5Text::new(text).unwrap();
        for (name, shown) in [
            (
                GeneralName::Dns(text("idp.xn--exmple-cua.se")),
                "dNSName idp.xn--exmple-cua.se (idp.exämple.se)",
            ),
            (GeneralName::Dns(text("idp.example.org")), "dNSName idp.example.org"),
            (GeneralName::Dns(text("xn--a-9.example.org")), "dNSName xn--a-9.example.org"),
            (
                GeneralName::Rfc822(text("a@xn--exmple-cua.se")),
                "rfc822Name a@xn--exmple-cua.se (a@exämple.se)",
            ),
            (
                GeneralName::SmtpUtf8(SmtpUtf8Mailbox::new("å@xn--exmple-cua.se").unwrap()),
                "SmtpUTF8Mailbox å@xn--exmple-cua.se (å@exämple.se)",
            ),
        ] {
            assert_eq!(general_name(&name), shown);
        }
    }
}
