//! Rules for the names in subjectAltName: each form by its own grammar, and the forms that a kind may use.

use std::net::Ipv4Addr;

use crate::Kind;
use crate::finding::Report;
use crate::oid::{self, Oid};
use crate::rules::{
    A_LABEL, ABSOLUTE_URI, ALTERNATIVE_NAME_ONCE, BYTE_ORDER_MARK, DNS_NAME, MAIL_ADDRESS,
    NAME_FORMS, QUALIFIED_NAME, SMTP_UTF8_MAILBOX, UPN_FORM,
};
use crate::structure::{Extension, general_name};
use crate::tree::{Node, tag};
use crate::values::text;

use super::Judged;

impl<'a> Judged<'_, 'a> {
    fn alternative_names(&self) -> &[Node<'a>] {
        let extension = self.certificate.extensions.find(oid::ID_CE_SUBJECT_ALT_NAME);
        extension.and_then(Extension::value).map(|names| &*names.parts).unwrap_or_default()
    }

    fn names_of(&self, tag: u8) -> impl Iterator<Item = &Node<'a>> {
        self.alternative_names().iter().filter(move |name| name.tag == tag)
    }

    /// The labels of the subject's domain components.
    fn domain_components(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let attributes = self.certificate.subject_attributes.iter();
        let components = attributes.filter(|attribute| attribute.is(oid::DOMAIN_COMPONENT));
        components.map(|attribute| (attribute.value.offset, attribute.value.content))
    }

    /// Every URI: of names, CRLs, responders, issuers and practice statements.
    fn uris(&self) -> impl Iterator<Item = &'a [u8]> {
        let facts = &self.certificate.facts;
        let points = facts.distribution_points.as_deref().unwrap_or_default();
        let locations = facts.authority_information.as_deref().unwrap_or_default();
        (points.iter().flat_map(|point| &point.names))
            .chain(locations.iter().map(|description| &description.location))
            .filter(|name| name.is_uri())
            .map(|name| name.content)
            .chain(self.names_of(general_name::URI).map(|name| name.content))
            .chain(self.qualifiers_of(oid::ID_QT_CPS).map(|value| value.content))
    }

    /// The values of the otherNames of that type.
    fn other_names(&self, kind: Oid) -> impl Iterator<Item = &Node<'a>> {
        self.names_of(general_name::OTHER_NAME).filter_map(move |name| {
            let [id, explicit] = name.parts.as_slice() else { return None };
            explicit.parts.first().filter(|_| id.content == kind.as_bytes())
        })
    }
}

/// RFC 5280 §4.2.1.6: a name that stands twice says nothing the second time, and hides what was meant. Hosts are the
/// same in capital and small letters (RFC 9549 §2.3).
pub(super) fn alternative_name_once(judged: &Judged<'_, '_>, report: &mut Report) {
    let names = judged.alternative_names();
    for (number, name) in names.iter().enumerate() {
        let is_it = |it: &Node<'_>| match name.tag {
            general_name::DNS_NAME => it.content.eq_ignore_ascii_case(name.content),
            _ => it.content == name.content,
        };
        if names.iter().take(number).any(|it| it.tag == name.tag && is_it(it)) {
            let seen = format!("a name with tag {:02x} again", name.tag);
            report.add(&ALTERNATIVE_NAME_ONCE, name.offset, seen);
        }
    }
}

/// RFC 5280 §4.2.1.6 with RFC 1034 §3.5: letters, digits and hyphens in labels of 1 to 63, 253 in all, no dot at
/// the end, no address; `*` alone as the first of at least three labels.
pub(super) fn dns_name(judged: &Judged<'_, '_>, report: &mut Report) {
    for name in judged.names_of(general_name::DNS_NAME) {
        let host = name
            .content
            .strip_prefix(b"*.")
            .map_or(Some(name.content), |rest| Some(rest).filter(|rest| rest.contains(&b'.')));
        if !host.is_some_and(is_host) {
            report.add(&DNS_NAME, name.offset, format!("dNSName {}", text(name.content)));
        }
    }
}

/// RFC 9549 §2.3 to §2.5, RFC 5890 §2.3.2.1: a label with hyphens in its third and fourth place is an A-label, and an
/// A-label is Punycode of something that needs it: in hosts, in those of addresses and URIs, and in domain components.
pub(super) fn a_label(judged: &Judged<'_, '_>, report: &mut Report) {
    let mailboxes = judged.other_names(oid::ID_ON_SMTP_UTF8_MAILBOX);
    let addresses = mailboxes.chain(judged.names_of(general_name::RFC822_NAME));
    let hosts = addresses.filter_map(|it| Some((it.offset, split(it.content)?.1)));
    let names = judged.names_of(general_name::DNS_NAME).map(|name| (name.offset, name.content));
    let components = judged.domain_components();
    let offset = judged.certificate.to_be_signed.offset;
    let uris = judged.uris().filter_map(|uri| Some((offset, host_of(uri)?)));
    for (offset, host) in names.chain(hosts).chain(components).chain(uris) {
        let labels = host.split(|octet| *octet == b'.').filter(|label| is_reserved(label));
        for label in labels.filter(|label| !is_a_label(label)) {
            report.add(&A_LABEL, offset, format!("label {}", text(label)));
        }
    }
}

/// RFC 5280 §4.2.1.6, §7.5 with RFC 5321 §4.1.2 and RFC 9549 §2.5: `local@host`, the local part an atom with dots of
/// at most 64 octets, the host in small letters.
pub(super) fn mail_address(judged: &Judged<'_, '_>, report: &mut Report) {
    for name in judged.names_of(general_name::RFC822_NAME) {
        let sound = split(name.content).is_some_and(|(local, host)| {
            is_local_part(local) && is_host(host) && !host.iter().any(u8::is_ascii_uppercase)
        });
        if !sound {
            report.add(&MAIL_ADDRESS, name.offset, "rfc822Name of another form");
        }
    }
}

/// RFC 9598 §3: a UTF8String, used only where the local part is not ASCII; its host is in small letters and A-labels.
pub(super) fn smtp_utf8_mailbox(judged: &Judged<'_, '_>, report: &mut Report) {
    for name in judged.other_names(oid::ID_ON_SMTP_UTF8_MAILBOX) {
        let sound = name.tag == tag::UTF8_STRING
            && split(name.content).is_some_and(|(local, host)| {
                !local.is_ascii() && is_host(host) && !host.iter().any(u8::is_ascii_uppercase)
            });
        if !sound {
            let seen = format!("SmtpUTF8Mailbox of another form, with tag {:02x}", name.tag);
            report.add(&SMTP_UTF8_MAILBOX, name.offset, seen);
        }
    }
}

/// RFC 9598 §3.
pub(super) fn byte_order_mark(judged: &Judged<'_, '_>, report: &mut Report) {
    for name in judged.other_names(oid::ID_ON_SMTP_UTF8_MAILBOX) {
        if name.content.starts_with("\u{feff}".as_bytes()) {
            report.add(&BYTE_ORDER_MARK, name.offset, "SmtpUTF8Mailbox begins with U+FEFF");
        }
    }
}

/// Microsoft's smart card logon reads a UTF8String `user@realm`.
pub(super) fn user_principal_name(judged: &Judged<'_, '_>, report: &mut Report) {
    for name in judged.other_names(oid::USER_PRINCIPAL_NAME) {
        let sound = name.tag == tag::UTF8_STRING
            && split(name.content).is_some_and(|(user, realm)| !user.is_empty() && is_host(realm));
        if !sound {
            let seen = format!("UPN of another form, with tag {:02x}", name.tag);
            report.add(&UPN_FORM, name.offset, seen);
        }
    }
}

/// RFC 5280 §4.2.1.6: a URI is absolute: a scheme, a colon, and something after it.
pub(super) fn absolute_uri(judged: &Judged<'_, '_>, report: &mut Report) {
    for name in judged.names_of(general_name::URI) {
        let colon = name.content.iter().position(|octet| *octet == b':');
        let parts = colon.map(|colon| name.content.split_at(colon));
        let sound = parts.is_some_and(|(scheme, rest)| {
            let legal = |octet: &u8| octet.is_ascii_alphanumeric() || b"+-.".contains(octet);
            scheme.first().is_some_and(u8::is_ascii_alphabetic)
                && scheme.iter().all(legal)
                && rest.len() > 1
        });
        if !sound {
            report.add(&ABSOLUTE_URI, name.offset, format!("URI {}", text(name.content)));
        }
    }
}

/// EN 319 412-2 for persons, EN 319 412-4 for functions: a person is named by logon name and mail, a function by its
/// hosts; a certificate with the names of both could stand for either.
pub(super) fn name_forms(judged: &Judged<'_, '_>, report: &mut Report) {
    let fits = |name: &&Node<'_>| match judged.kind {
        Kind::PersonAuthentication | Kind::PersonSignature => {
            matches!(name.tag, general_name::OTHER_NAME | general_name::RFC822_NAME)
        }
        Kind::Function => name.tag == general_name::DNS_NAME,
        // Named by their subjects alone.
        Kind::Machine | Kind::CardTransport => false,
        _ => true,
    };
    for name in judged.alternative_names().iter().filter(|name| !fits(name)) {
        report.add(&NAME_FORMS, name.offset, format!("a name with tag {:02x}", name.tag));
    }
}

/// TLS BR §7.1.4.2.1, internal names: a function's host has a domain.
pub(super) fn qualified_name(judged: &Judged<'_, '_>, report: &mut Report) {
    for name in judged.names_of(general_name::DNS_NAME) {
        if judged.kind == Kind::Function && !name.content.contains(&b'.') {
            report.add(&QUALIFIED_NAME, name.offset, format!("dNSName {}", text(name.content)));
        }
    }
}

/// Local part and host of an address; the host is what follows the last `@`.
fn split(address: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = address.iter().rposition(|octet| *octet == b'@')?;
    let (local, host) = address.split_at(at);
    Some((local, host.get(1..)?))
}

/// The host of a URI with an authority (RFC 3986 §3.2); `None` of one without, such as a URN.
fn host_of(uri: &[u8]) -> Option<&[u8]> {
    let colon = uri.iter().position(|octet| *octet == b':')?;
    let rest = uri.get(colon..)?.strip_prefix(b"://")?;
    let authority = rest.split(|octet| b"/?#".contains(octet)).next()?;
    let host = authority.rsplit(|octet| *octet == b'@').next()?;
    host.split(|octet| *octet == b':').next()
}

/// Labels of letters, digits and inner hyphens; not four numbers, which are an address. Octets outside ASCII are
/// left to the rules for IA5String.
fn is_host(host: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        let legal =
            |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-' || !octet.is_ascii();
        (1..=63).contains(&label.len())
            && label.iter().all(legal)
            && label.first() != Some(&b'-')
            && label.last() != Some(&b'-')
    };
    let address = std::str::from_utf8(host).is_ok_and(|host| host.parse::<Ipv4Addr>().is_ok());
    host.len() <= 253 && !address && host.split(|octet| *octet == b'.').all(is_label)
}

/// RFC 5321 §4.1.2 Dot-string, §4.5.3.1.1. Octets outside ASCII are left to the rules for IA5String.
fn is_local_part(local: &[u8]) -> bool {
    let is_atom = |octet: &u8| {
        octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(octet) || !octet.is_ascii()
    };
    local.len() <= 64
        && local
            .split(|octet| *octet == b'.')
            .all(|atom| !atom.is_empty() && atom.iter().all(is_atom))
}

/// RFC 5890 §2.3.1: labels with hyphens in their third and fourth place are reserved.
fn is_reserved(label: &[u8]) -> bool {
    label.get(2..4) == Some(b"--")
}

/// Whether the label is `xn--` and Punycode (RFC 3492 §6.2) of a text that is not ASCII.
fn is_a_label(label: &[u8]) -> bool {
    let Some(encoded) = label.get(4..).filter(|_| label.to_ascii_lowercase().starts_with(b"xn--"))
    else {
        return false;
    };
    let basic = encoded.iter().rposition(|octet| *octet == b'-');
    let (kept, deltas) = basic.map_or((&[][..], encoded), |at| {
        let (kept, rest) = encoded.split_at(at);
        (kept, rest.get(1..).unwrap_or_default())
    });
    !deltas.is_empty() && kept.is_ascii() && decodes(kept.len(), deltas)
}

/// Whether the variable-length integers of `deltas` insert characters that exist (RFC 3492 §6.2).
fn decodes(basic: usize, deltas: &[u8]) -> bool {
    let mut digits = deltas.iter().copied();
    let Ok(mut length) = u32::try_from(basic) else { return false };
    let (mut code, mut index, mut bias, mut first) = (0x80_u32, 0_u32, 72_u32, true);
    while digits.len() > 0 {
        let delta = integer(&mut digits, bias);
        let Some(sum) = delta.and_then(|delta| index.checked_add(delta)) else { return false };
        length = length.saturating_add(1);
        bias = adapted(sum - index, length, first);
        first = false;
        let inserted = code.checked_add(sum / length).filter(|it| char::from_u32(*it).is_some());
        let Some(inserted) = inserted else { return false };
        (code, index) = (inserted, sum % length + 1);
    }
    true
}

/// One variable-length integer; `None` where it does not end or does not fit.
fn integer(digits: &mut impl Iterator<Item = u8>, bias: u32) -> Option<u32> {
    let (mut value, mut weight, mut position) = (0_u32, 1_u32, 36_u32);
    loop {
        let digit = match digits.next()? {
            digit @ b'a'..=b'z' => u32::from(digit - b'a'),
            digit @ b'A'..=b'Z' => u32::from(digit - b'A'),
            digit @ b'0'..=b'9' => u32::from(digit - b'0') + 26,
            _ => return None,
        };
        value = value.checked_add(digit.checked_mul(weight)?)?;
        let threshold = position.saturating_sub(bias).clamp(1, 26);
        if digit < threshold {
            return Some(value);
        }
        weight = weight.checked_mul(36 - threshold)?;
        position += 36;
    }
}

/// RFC 3492 §6.1.
const fn adapted(delta: u32, length: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / length;
    let mut position = 0;
    while delta > 455 {
        delta /= 35;
        position += 36;
    }
    position + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_punycode_from_what_looks_like_it() {
        for label in ["xn--exmple-cua", "xn--bcher-kva", "xn--80ak6aa92e", "xn--fiqs8s"] {
            assert!(is_a_label(label.as_bytes()), "{label}");
        }
        // Nothing encoded, an unfinished number, another prefix, beyond Unicode.
        for label in ["xn--", "xn--abc-", "xn--a-9", "ab--cd", "xn--99999999"] {
            assert!(!is_a_label(label.as_bytes()), "{label}");
        }
    }
}
