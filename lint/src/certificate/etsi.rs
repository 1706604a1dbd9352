//! Rules for subjects after EN 319 412-1 and 412-2 and the practice of Swedish eID cards.

use unicode_normalization::is_nfc;

use crate::Kind;
use crate::finding::Report;
use crate::oid::{self, Oid};
use crate::rules::{
    ATTRIBUTE_ONCE, CA_NAME, CARD_NUMBER, FUNCTION_SUBJECT, NO_IMPLIED_SEMANTICS,
    NO_MAIL_IN_SUBJECT, NORMAL_FORM, OTHER_SUBJECT, OUTER_SPACE, SINGLE_VALUED,
};
use crate::structure::Attribute;
use crate::tree::tag;

use super::Judged;

impl<'t, 'a> Judged<'t, 'a> {
    const fn is_for_person(&self) -> bool {
        matches!(self.kind, Kind::PersonAuthentication | Kind::PersonSignature)
    }

    /// The attributes of the subject, where it is ours to name.
    fn own_attributes(&self) -> &[Attribute<'t, 'a>] {
        if self.kind == Kind::Imported { &[] } else { &self.certificate.subject_attributes }
    }

    fn count(&self, kind: Oid) -> usize {
        self.own_attributes().iter().filter(|attribute| attribute.is(kind)).count()
    }
}

/// RFC 5280 §4.1.2.4, RFC 4514 §2: one attribute in each RelativeDistinguishedName, so that a name has one order.
pub(super) fn single_valued(judged: &Judged<'_, '_>, report: &mut Report) {
    for part in &judged.certificate.subject.parts {
        if part.parts.len() > 1 && judged.kind != Kind::Imported {
            report.add(&SINGLE_VALUED, part.offset, format!("{} attributes", part.parts.len()));
        }
    }
}

/// EN 319 412-2 GEN-4.2.3.1-5, NAT-4.2.4-3: an attribute at most once. domainComponent and organizationalUnitName
/// make paths and may repeat; where a kind needs exactly one of a type, another rule counts it.
pub(super) fn attribute_once(judged: &Judged<'_, '_>, report: &mut Report) {
    const MAY_REPEAT: [Oid; 2] = [oid::DOMAIN_COMPONENT, oid::ORGANIZATIONAL_UNIT_NAME];
    let attributes = judged.own_attributes();
    for (number, attribute) in attributes.iter().enumerate() {
        let counted = MAY_REPEAT.iter().chain(counted_by_kind(judged.kind));
        let counted = counted.into_iter().any(|kind| attribute.is(*kind));
        let mut earlier = attributes.iter().take(number);
        if !counted && earlier.any(|it| it.kind.content == attribute.kind.content) {
            let seen = format!("{} again", oid::dotted(attribute.kind.content));
            report.add(&ATTRIBUTE_ONCE, attribute.kind.offset, seen);
        }
    }
}

const fn counted_by_kind(kind: Kind) -> &'static [Oid] {
    match kind {
        Kind::PersonAuthentication | Kind::PersonSignature => {
            &[oid::COUNTRY_NAME, oid::COMMON_NAME, oid::SERIAL_NUMBER]
        }
        Kind::Function | Kind::Machine | Kind::CardTransport => &OF_FUNCTIONS,
        Kind::RootCa | Kind::IssuingCa | Kind::CrossCa | Kind::ManagementCa => &OF_AUTHORITIES,
        _ => &[],
    }
}

const OF_FUNCTIONS: [Oid; 4] =
    [oid::COUNTRY_NAME, oid::ORGANIZATION_NAME, oid::COMMON_NAME, oid::SERIAL_NUMBER];

/// Relying parties read a function's HSA-id by the first serialNumber that they find, and its organisation likewise:
/// exactly one of each. The same holds for machines, and for cards, which are named by their number.
pub(super) fn function_subject(judged: &Judged<'_, '_>, report: &mut Report) {
    // An empty subject has a rule of its own.
    let empty = judged.own_attributes().is_empty();
    let named = matches!(judged.kind, Kind::Function | Kind::Machine | Kind::CardTransport);
    for kind in OF_FUNCTIONS {
        let count = judged.count(kind);
        if named && !empty && count != 1 {
            let seen = format!("{count} of {}", oid::dotted(kind.as_bytes()));
            report.add(&FUNCTION_SUBJECT, judged.certificate.subject.offset, seen);
        }
    }
}

const OF_AUTHORITIES: [Oid; 3] = [oid::COUNTRY_NAME, oid::ORGANIZATION_NAME, oid::COMMON_NAME];

/// EN 319 412-2 GEN-4.2.3.1-2, -5: an issuer, which a CA is for its subscribers, has one country, organisation and
/// common name.
pub(super) fn ca_name(judged: &Judged<'_, '_>, report: &mut Report) {
    let empty = judged.own_attributes().is_empty();
    for kind in OF_AUTHORITIES {
        let count = judged.count(kind);
        if judged.is_for_ca() && !empty && count != 1 {
            let seen = format!("{count} of {}", oid::dotted(kind.as_bytes()));
            report.add(&CA_NAME, judged.certificate.subject.offset, seen);
        }
    }
}

/// RFC 5280 §3.2, §6.1: a subject with its issuer's name would be that CA's own certificate.
pub(super) fn other_subject(judged: &Judged<'_, '_>, report: &mut Report) {
    let subject = judged.certificate.subject;
    let same = judged.issuer.is_some_and(|issuer| issuer.subject == subject.octets);
    if same && !judged.self_signed && judged.kind != Kind::Imported {
        report.add(&OTHER_SUBJECT, subject.offset, "the issuer's name");
    }
}

/// RFC 4518 §2.3, RFC 6818 §3: composed characters, so that equal names have equal octets.
pub(super) fn normal_form(judged: &Judged<'_, '_>, report: &mut Report) {
    for attribute in judged.own_attributes().iter().filter(|it| it.value.tag == tag::UTF8_STRING) {
        let composed = std::str::from_utf8(attribute.value.content).map_or(true, is_nfc);
        if !composed {
            let seen = format!("{} is not composed", oid::dotted(attribute.kind.content));
            report.add(&NORMAL_FORM, attribute.value.offset, seen);
        }
    }
}

/// RFC 4518 §2.6.1: spaces at the ends, which comparison takes away, and nothing but spaces.
pub(super) fn outer_space(judged: &Judged<'_, '_>, report: &mut Report) {
    for attribute in judged.own_attributes() {
        let content = attribute.value.content;
        if content.first() == Some(&b' ') || content.last() == Some(&b' ') {
            let seen = format!("{} has outer spaces", oid::dotted(attribute.kind.content));
            report.add(&OUTER_SPACE, attribute.value.offset, seen);
        }
    }
}

/// RFC 5280 §4.1.2.6: an address stands in subjectAltName; emailAddress in a subject is of the past.
pub(super) fn no_mail_in_subject(judged: &Judged<'_, '_>, report: &mut Report) {
    for attribute in judged.own_attributes().iter().filter(|it| it.is(oid::EMAIL_ADDRESS)) {
        report.add(&NO_MAIL_IN_SUBJECT, attribute.kind.offset, "emailAddress");
    }
}

/// EN 319 412-1 NAT-5.1.3-02 to -07: the forms `PNOSE-…` and `XX:SE-…` mean what qcStatements say they mean, and
/// without a statement, which none of ours has, they are not used.
pub(super) fn no_implied_semantics(judged: &Judged<'_, '_>, report: &mut Report) {
    for attribute in judged.own_attributes().iter().filter(|it| it.is(oid::SERIAL_NUMBER)) {
        let [one, two, three, country_1, country_2, b'-', ..] = attribute.value.content else {
            continue;
        };
        let scheme = match three {
            b':' => one.is_ascii_uppercase() && two.is_ascii_uppercase(),
            _ => matches!(&[*one, *two, *three], b"PNO" | b"PAS" | b"IDC" | b"TIN" | b"TAX"),
        };
        let country = country_1.is_ascii_uppercase() && country_2.is_ascii_uppercase();
        if judged.is_for_person() && scheme && country {
            report.add(&NO_IMPLIED_SEMANTICS, attribute.value.offset, "a form of EN 319 412-1");
        }
    }
}

/// SS 61 43 32, ISO/IEC 7812-1: the number of the card, 19 digits in PrintableString, for persons and cards alone. Certificates
/// of functions of December 2023 have it with the text `NONE`.
pub(super) fn card_number(judged: &Judged<'_, '_>, report: &mut Report) {
    let Some(extension) = judged.certificate.extensions.find(oid::CARD_NUMBER) else { return };
    let Some(value) = extension.value().filter(|_| judged.kind != Kind::Imported) else { return };
    let sound = value.tag == tag::PRINTABLE_STRING
        && value.content.len() == 19
        && value.content.iter().all(u8::is_ascii_digit);
    let of_a_card = judged.is_for_person() || judged.kind == Kind::CardTransport;
    if !(sound && of_a_card) {
        // Not the text: it may be a person's.
        let seen = format!("tag {:02x}, {} octets", value.tag, value.content.len());
        report.add(&CARD_NUMBER, extension.id.offset, seen);
    }
}
