//! Rules for the subject: string types, alphabets, lengths, and what each kind must name.
//!
//! The issuer is not judged: it is the byte copy of what another certificate's subject was.

use crate::Kind;
use crate::finding::Report;
use crate::oid::{self, Oid};
use crate::rules::{
    ATTRIBUTE_LENGTH, COMMON_NAME_IN_ALTERNATIVE_NAMES, COUNTRY, DEPLOYMENT_URI, DIRECTORY_STRING,
    IA5_ATTRIBUTE, PERSON_SUBJECT, PRINTABLE_ATTRIBUTE,
};
use crate::structure::{Attribute, general_name};
use crate::tree::tag;
use crate::values::text;

use super::Judged;

/// Attributes whose type is DirectoryString, with their upper bounds in characters
/// (RFC 5280 Appendix A.1, RFC 3739 §3.1.2).
const DIRECTORY_STRINGS: [(Oid, usize); 10] = [
    (oid::COMMON_NAME, 64),
    (oid::GIVEN_NAME, 32_768),
    (oid::INITIALS, 32_768),
    (oid::LOCALITY_NAME, 128),
    (oid::ORGANIZATION_NAME, 64),
    (oid::ORGANIZATIONAL_UNIT_NAME, 64),
    (oid::PSEUDONYM, 128),
    (oid::STATE_OR_PROVINCE_NAME, 128),
    (oid::SURNAME, 32_768),
    (oid::TITLE, 64),
];

/// Attributes whose type is PrintableString alone (RFC 5280 Appendix A.1).
const PRINTABLE_STRINGS: [(Oid, usize); 3] =
    [(oid::COUNTRY_NAME, 2), (oid::SERIAL_NUMBER, 64), (oid::DN_QUALIFIER, 64)];

/// Attributes whose type is IA5String alone (RFC 5280 Appendix A.1, RFC 4519 §2.4).
const IA5_STRINGS: [(Oid, usize); 2] = [(oid::EMAIL_ADDRESS, 255), (oid::DOMAIN_COMPONENT, 63)];

fn bound_of(attribute: &Attribute<'_, '_>, table: &[(Oid, usize)]) -> Option<usize> {
    table.iter().find(|(kind, _)| attribute.is(*kind)).map(|(_, bound)| *bound)
}

fn describe(attribute: &Attribute<'_, '_>) -> String {
    let Attribute { kind, value } = attribute;
    format!("{} has tag {:02x}", oid::dotted(kind.content), value.tag)
}

/// RFC 5280 §4.1.2.4, §4.1.2.6: DirectoryString is PrintableString or UTF8String.
pub(super) fn directory_string(judged: &Judged<'_, '_>, report: &mut Report) {
    for attribute in &judged.certificate.subject_attributes {
        if bound_of(attribute, &DIRECTORY_STRINGS).is_some()
            && !matches!(attribute.value.tag, tag::PRINTABLE_STRING | tag::UTF8_STRING)
        {
            report.add(&DIRECTORY_STRING, attribute.value.offset, describe(attribute));
        }
    }
}

/// RFC 5280 Appendix A.1: countryName, serialNumber and dnQualifier are PrintableString.
pub(super) fn printable_attribute(judged: &Judged<'_, '_>, report: &mut Report) {
    for attribute in &judged.certificate.subject_attributes {
        if bound_of(attribute, &PRINTABLE_STRINGS).is_some()
            && attribute.value.tag != tag::PRINTABLE_STRING
        {
            report.add(&PRINTABLE_ATTRIBUTE, attribute.value.offset, describe(attribute));
        }
    }
}

/// RFC 5280 Appendix A.1: emailAddress and domainComponent are IA5String.
pub(super) fn ia5_attribute(judged: &Judged<'_, '_>, report: &mut Report) {
    for attribute in &judged.certificate.subject_attributes {
        if bound_of(attribute, &IA5_STRINGS).is_some() && attribute.value.tag != tag::IA5_STRING {
            report.add(&IA5_ATTRIBUTE, attribute.value.offset, describe(attribute));
        }
    }
}

/// X.520 §6.3.1: two letters of ISO 3166, which are capitals.
pub(super) fn country(judged: &Judged<'_, '_>, report: &mut Report) {
    for attribute in judged.certificate.subject_attributes.iter() {
        if attribute.is(oid::COUNTRY_NAME)
            && !matches!(attribute.value.content, [b'A'..=b'Z', b'A'..=b'Z'])
        {
            let seen = format!("country {}", text(attribute.value.content));
            report.add(&COUNTRY, attribute.value.offset, seen);
        }
    }
}

/// RFC 5280 Appendix A.1: at least one character, at most the attribute's upper bound.
/// [`country`] judges its own attribute.
pub(super) fn attribute_length(judged: &Judged<'_, '_>, report: &mut Report) {
    let tables = [&DIRECTORY_STRINGS[..], &PRINTABLE_STRINGS[..], &IA5_STRINGS[..]];
    for attribute in &judged.certificate.subject_attributes {
        let bound = tables.iter().find_map(|table| bound_of(attribute, table));
        let content = attribute.value.content;
        let characters = std::str::from_utf8(content).map_or(content.len(), |s| s.chars().count());
        if let Some(bound) = bound
            && !attribute.is(oid::COUNTRY_NAME)
            && !(1..=bound).contains(&characters)
        {
            let kind = oid::dotted(attribute.kind.content);
            let seen = format!("{kind} has {characters} characters; allowed are 1 to {bound}");
            report.add(&ATTRIBUTE_LENGTH, attribute.value.offset, seen);
        }
    }
}

/// ETSI EN 319 412-2 NAT-4.2.4-1 to -4: a person has one country, one common name, a given name or
/// surname or else a pseudonym, and (as every SITHS person) one serialNumber.
pub(super) fn person_subject(judged: &Judged<'_, '_>, report: &mut Report) {
    if !matches!(judged.kind, Kind::PersonAuthentication | Kind::PersonSignature) {
        return;
    }
    let attributes = &judged.certificate.subject_attributes;
    let count = |kind| attributes.iter().filter(|attribute| attribute.is(kind)).count();
    for (kind, name) in [
        (oid::COUNTRY_NAME, "countryName"),
        (oid::COMMON_NAME, "commonName"),
        (oid::SERIAL_NUMBER, "serialNumber"),
    ] {
        if count(kind) != 1 {
            let seen = format!("{} {name} attributes", count(kind));
            report.add(&PERSON_SUBJECT, judged.certificate.subject.offset, seen);
        }
    }
    let named = count(oid::GIVEN_NAME) + count(oid::SURNAME) > 0;
    if named == (count(oid::PSEUDONYM) > 0) {
        let seen = "neither or both of a real name and a pseudonym";
        report.add(&PERSON_SUBJECT, judged.certificate.subject.offset, seen);
    }
}

/// PRO-20: a function's common name is one of its dNSNames.
pub(super) fn common_name_in_alternative_names(judged: &Judged<'_, '_>, report: &mut Report) {
    let certificate = &judged.certificate;
    let names = certificate.facts.alternative_names.as_deref().unwrap_or_default();
    for attribute in &certificate.subject_attributes {
        if judged.kind == Kind::Function
            && attribute.is(oid::COMMON_NAME)
            && !names.iter().any(|name| {
                name.tag == general_name::DNS_NAME && name.content == attribute.value.content
            })
        {
            let seen = format!("commonName {} is no dNSName", text(attribute.value.content));
            report.add(&COMMON_NAME_IN_ALTERNATIVE_NAMES, attribute.value.offset, seen);
        }
    }
}

/// Promise 8: every management certificate names its deployment, in one URI `urn:sigill:…`.
pub(super) fn deployment_uri(judged: &Judged<'_, '_>, report: &mut Report) {
    let management =
        matches!(judged.kind, Kind::ManagementCa | Kind::ManagementServer | Kind::ManagementClient);
    let names = judged.certificate.facts.alternative_names.as_deref().unwrap_or_default();
    let uris =
        names.iter().filter(|name| name.is_uri() && name.content.starts_with(b"urn:sigill:"));
    let count = uris.count();
    if management && count != 1 {
        let seen = format!("{count} URIs that name a deployment");
        report.add(&DEPLOYMENT_URI, judged.certificate.subject.offset, seen);
    }
}
