//! Comparison with the shape of the profile: exactly this, in exactly this order.

use x509::extension::{Criticality, KeyUsageBit};

use crate::finding::Report;
use crate::oid::{self, Oid};
use crate::rules::{
    PROFILE_ATTRIBUTES, PROFILE_CRITICAL, PROFILE_EXTENSIONS, PROFILE_FIXED_VALUES,
    PROFILE_SIGNATURE, PROFILE_STRINGS, PROFILE_VALUES,
};
use crate::shape::{
    AttributeShape, ExtensionShape, NameForm, NameShape, PolicyShape, PurposeShape, PurposeStands,
    Shape, Stated, StringShape, ValueShape,
};
use crate::structure::{Attribute, Extension, general_name};
use crate::tree::{Node, tag};
use crate::values;

use super::Judged;

/// Judges every part that the profile fixes.
pub(super) fn judge(judged: &Judged<'_, '_>, shape: &Shape<'_>, report: &mut Report) {
    signature(judged, shape, report);
    subject(judged, shape, report);
    extensions(judged, shape, report);
}

/// The algorithm, parameters included, as its standard writes it.
fn signature(judged: &Judged<'_, '_>, shape: &Shape<'_>, report: &mut Report) {
    let algorithm = judged.certificate.inner_algorithm;
    if algorithm.octets != shape.signature.identifier_der() {
        let id = algorithm.parts.first().map_or(&[][..], |id| id.content);
        let seen = format!("{} where the issuer signs with {}", oid::dotted(id), shape.signature);
        report.add(&PROFILE_SIGNATURE, algorithm.offset, seen);
    }
}

/// The attributes and their order, then string and value of each.
fn subject(judged: &Judged<'_, '_>, shape: &Shape<'_>, report: &mut Report) {
    let certificate = &judged.certificate;
    let mut expected = shape.subject.iter();
    for attribute in &certificate.subject_attributes {
        let is_it = |it: &AttributeShape<'_>| it.kind.as_bytes() == attribute.kind.content;
        let Some(found) = advance(&mut expected, is_it, |it| it.stated) else {
            let seen = format!("{} here", oid::dotted(attribute.kind.content));
            report.add(&PROFILE_ATTRIBUTES, attribute.kind.offset, seen);
            return;
        };
        judge_attribute(attribute, found, report);
    }
    if let Some(missing) = expected.find(|it| it.stated == Stated::Always) {
        let seen = format!("no {}", missing.kind);
        report.add(&PROFILE_ATTRIBUTES, certificate.subject.offset, seen);
    }
}

fn judge_attribute(attribute: &Attribute<'_, '_>, shape: &AttributeShape<'_>, report: &mut Report) {
    let value = attribute.value;
    let fits = match shape.string {
        StringShape::PrintableOrUtf8 if value.content.iter().all(values::is_printable) => {
            value.tag == tag::PRINTABLE_STRING
        }
        _ => value.tag == standard_string(attribute),
    };
    if !fits {
        let seen = format!("{} with tag {:02x}", oid::dotted(attribute.kind.content), value.tag);
        report.add(&PROFILE_STRINGS, value.offset, seen);
    }
    if shape.value.is_some_and(|text| text.as_bytes() != value.content) {
        let seen =
            format!("{} {}", oid::dotted(attribute.kind.content), values::text(value.content));
        report.add(&PROFILE_FIXED_VALUES, value.offset, seen);
    }
}

/// RFC 5280 Appendix A.1, §4.1.2.4.
fn standard_string(attribute: &Attribute<'_, '_>) -> u8 {
    const PRINTABLE: [Oid; 3] = [oid::COUNTRY_NAME, oid::SERIAL_NUMBER, oid::DN_QUALIFIER];
    const IA5: [Oid; 2] = [oid::EMAIL_ADDRESS, oid::DOMAIN_COMPONENT];
    let is_one_of = |kinds: &[Oid]| kinds.iter().any(|kind| attribute.is(*kind));
    match (is_one_of(&PRINTABLE), is_one_of(&IA5)) {
        (true, _) => tag::PRINTABLE_STRING,
        (_, true) => tag::IA5_STRING,
        _ => tag::UTF8_STRING,
    }
}

/// The next expected one that is it; only what may be absent is passed over.
fn advance<'s, T>(
    expected: &mut std::slice::Iter<'s, T>,
    is_it: impl Fn(&T) -> bool,
    stated: impl Fn(&T) -> Stated,
) -> Option<&'s T> {
    for one in expected {
        if is_it(one) {
            return Some(one);
        }
        if stated(one) == Stated::Always {
            return None;
        }
    }
    None
}

/// The extensions and their order, then criticality and value of each.
fn extensions(judged: &Judged<'_, '_>, shape: &Shape<'_>, report: &mut Report) {
    let certificate = &judged.certificate;
    let mut expected = shape.extensions.iter();
    for extension in certificate.extensions.iter() {
        let is_it = |it: &ExtensionShape<'_>| extension.is(id_of(&it.value));
        let Some(found) = advance(&mut expected, is_it, |it| it.stated) else {
            report.add(
                &PROFILE_EXTENSIONS,
                extension.id.offset,
                format!("{} here", extension.name()),
            );
            return;
        };
        if extension.critical != (found.critical == Criticality::Critical) {
            let seen = format!("{} critical: {}", extension.name(), extension.critical);
            report.add(&PROFILE_CRITICAL, extension.id.offset, seen);
        }
        if !says(judged, extension, &found.value) {
            let seen = format!("{} says something else", extension.name());
            report.add(&PROFILE_VALUES, extension.id.offset, seen);
        }
    }
    if let Some(missing) = expected.find(|it| it.stated == Stated::Always) {
        let seen = format!("no extension {}", oid::dotted(id_of(&missing.value).as_bytes()));
        report.add(&PROFILE_EXTENSIONS, certificate.to_be_signed.offset, seen);
    }
}

const fn id_of(value: &ValueShape<'_>) -> Oid {
    match value {
        ValueShape::AuthorityInformation { .. } => oid::ID_PE_AUTHORITY_INFO_ACCESS,
        ValueShape::AuthorityKeyIdentifier(_) => oid::ID_CE_AUTHORITY_KEY_IDENTIFIER,
        ValueShape::AlternativeNames(_) => oid::ID_CE_SUBJECT_ALT_NAME,
        ValueShape::Authority(_) | ValueShape::EndEntity => oid::ID_CE_BASIC_CONSTRAINTS,
        ValueShape::CardNumber => oid::CARD_NUMBER,
        ValueShape::DistributionPoint(_) => oid::ID_CE_CRL_DISTRIBUTION_POINTS,
        ValueShape::KeyUsage { .. } => oid::ID_CE_KEY_USAGE,
        ValueShape::NoCheck => oid::ID_PKIX_OCSP_NOCHECK,
        ValueShape::Policies(_) => oid::ID_CE_CERTIFICATE_POLICIES,
        ValueShape::Purposes(_) => oid::ID_CE_EXT_KEY_USAGE,
        ValueShape::SubjectKeyIdentifier => oid::ID_CE_SUBJECT_KEY_IDENTIFIER,
    }
}

/// Whether the extension says what the profile wants. What only the order decides is judged by its form.
fn says(judged: &Judged<'_, '_>, extension: &Extension<'_, '_>, shape: &ValueShape<'_>) -> bool {
    let facts = &judged.certificate.facts;
    let Some(value) = extension.value() else { return false };
    match shape {
        ValueShape::AuthorityInformation { ocsp, issuer } => {
            let wanted = [(oid::ID_AD_OCSP, ocsp), (oid::ID_AD_CA_ISSUERS, issuer)];
            let found = facts.authority_information.as_deref().unwrap_or_default();
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(it, (method, uri))| {
                    it.method == method.as_bytes()
                        && it.location.is_uri()
                        && it.location.content == uri.as_bytes()
                })
        }
        ValueShape::AuthorityKeyIdentifier(identifier) => {
            let wanted = identifier.or(facts.subject_key_identifier);
            let found = facts.authority_key_identifier.as_ref();
            found.is_some_and(|it| !it.names_certificate && it.key_identifier == wanted)
        }
        ValueShape::AlternativeNames(names) => has_names(value, names),
        ValueShape::Authority(path_length) => {
            let wanted = path_length.map(|length| [length]);
            facts.basic_constraints.as_ref().is_some_and(|it| {
                it.is_ca && it.path_length == wanted.as_ref().map(<[u8; 1]>::as_slice)
            })
        }
        ValueShape::EndEntity => value.content.is_empty(),
        ValueShape::CardNumber => value.tag == tag::PRINTABLE_STRING,
        ValueShape::DistributionPoint(uri) => {
            let points = facts.distribution_points.as_deref().unwrap_or_default();
            let [point] = points else { return false };
            let [name] = point.names.as_slice() else { return false };
            !point.is_limited && name.is_uri() && name.content == uri.as_bytes()
        }
        ValueShape::KeyUsage { rsa, curve } => {
            let is_rsa = judged.certificate.key.is(oid::RSA_ENCRYPTION);
            let wanted = bits(if is_rsa { rsa } else { curve });
            facts.key_usage.is_some_and(|usage| usage.bits() == wanted)
        }
        ValueShape::NoCheck => value.tag == tag::NULL,
        ValueShape::Policies(policies) => has_policies(value, policies),
        ValueShape::Purposes(purposes) => has_purposes(judged, purposes),
        ValueShape::SubjectKeyIdentifier => facts.subject_key_identifier.is_some(),
    }
}

/// The bits as the linter counts them, the first highest.
fn bits(usage: &[KeyUsageBit]) -> u16 {
    let place = |bit: &KeyUsageBit| KeyUsageBit::ALL.iter().position(|it| it == bit);
    usage.iter().filter_map(place).fold(0, |sum, place| sum | 0x8000_u16 >> place)
}

/// Runs of names of each form, in their order, none too short or too long, and nothing beside them.
fn has_names(value: &Node<'_>, shapes: &[NameShape]) -> bool {
    let mut rest = value.parts.as_slice();
    for shape in shapes {
        let count = rest.iter().take_while(|name| has_form(name, shape.form)).count();
        if !(shape.fewest..=shape.most).contains(&count) {
            return false;
        }
        rest = rest.get(count..).unwrap_or_default();
    }
    rest.is_empty()
}

fn has_form(name: &Node<'_>, form: NameForm) -> bool {
    let is_other = |kind: Oid| {
        let id = name.parts.first().filter(|_| name.tag == general_name::OTHER_NAME);
        id.is_some_and(|id| id.content == kind.as_bytes())
    };
    match form {
        NameForm::Dns => name.tag == general_name::DNS_NAME,
        NameForm::Ip => name.tag == general_name::IP_ADDRESS,
        NameForm::Mail => {
            name.tag == general_name::RFC822_NAME || is_other(oid::ID_ON_SMTP_UTF8_MAILBOX)
        }
        NameForm::Upn => is_other(oid::USER_PRINCIPAL_NAME),
        NameForm::Uri => name.tag == general_name::URI,
    }
}

fn has_policies(value: &Node<'_>, shapes: &[PolicyShape<'_>]) -> bool {
    let is_it = |(policy, shape): (&Node<'_>, &PolicyShape<'_>)| {
        let mut parts = policy.parts.iter();
        let is_id = parts.next().is_some_and(|id| id.content == shape.id.as_bytes());
        let qualifiers = parts.next().map_or(&[][..], |list| &list.parts);
        let is_qualified = match (shape.cps, qualifiers) {
            (None, []) => true,
            (Some(uri), [qualifier]) => match qualifier.parts.as_slice() {
                [kind, value] => {
                    kind.content == oid::ID_QT_CPS.as_bytes()
                        && value.tag == tag::IA5_STRING
                        && value.content == uri.as_bytes()
                }
                _ => false,
            },
            _ => false,
        };
        is_id && is_qualified
    };
    value.parts.len() == shapes.len() && value.parts.iter().zip(shapes).all(is_it)
}

fn has_purposes(judged: &Judged<'_, '_>, shapes: &[PurposeShape]) -> bool {
    let names = judged.certificate.extensions.find(oid::ID_CE_SUBJECT_ALT_NAME);
    let names = names.and_then(Extension::value).map_or(&[][..], |names| &names.parts);
    let has_mail = names.iter().any(|name| has_form(name, NameForm::Mail));
    let stands = |it: &&PurposeShape| it.stands == PurposeStands::Always || has_mail;
    let wanted = shapes.iter().filter(stands).map(|it| it.id.as_bytes());
    let found = judged.certificate.facts.extended_key_usage.as_deref().unwrap_or_default();
    found.iter().copied().eq(wanted)
}
