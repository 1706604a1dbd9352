//! Rules between a certificate and its issuer, and rules for certificates of CAs.

use crate::Kind;
use crate::finding::Report;
use crate::oid;
use crate::rules::{
    AUTHORITY_KEY_IDENTIFIER, AUTHORITY_KEY_IDENTIFIER_BYTES, BASIC_CONSTRAINTS_CRITICAL,
    BASIC_CONSTRAINTS_OF_CA, CA_SUBJECT, END_ENTITY_IS_NO_CA, ISSUER_BYTES, ISSUER_MAY_SIGN,
    ISSUER_PATH_LENGTH, KEY_CERT_SIGN, PATH_LENGTH, SUBJECT_KEY_IDENTIFIER,
};
use crate::structure::KeyUsage;
use crate::values::hex;

use super::{Authority, Judged};

impl Judged<'_, '_> {
    /// Whether the certificate is for one of our CAs.
    pub(super) const fn is_for_ca(&self) -> bool {
        matches!(self.kind, Kind::RootCa | Kind::IssuingCa | Kind::CrossCa | Kind::ManagementCa)
    }

    /// Whether the certificate is for one of our end entities.
    pub(super) const fn is_for_end_entity(&self) -> bool {
        !self.is_for_ca() && !matches!(self.kind, Kind::Imported)
    }
}

/// RFC 5280 §4.1.2.4, §4.1.2.6: the issuer is the issuing certificate's subject, byte for byte, so
/// that every comparison of names finds them equal.
pub(super) fn issuer_bytes(judged: &Judged<'_, '_>, report: &mut Report) {
    let field = judged.certificate.issuer;
    if judged.issuer.is_some_and(|issuer| issuer.subject != field.octets) {
        report.add(&ISSUER_BYTES, field.offset, "other octets than the issuer's subject");
    }
}

/// RFC 5280 §4.2.1.3, §4.2.1.9: who signs certificates is a CA with keyCertSign. A certificate that
/// is its own issuer says so by its own rules.
pub(super) fn issuer_may_sign(judged: &Judged<'_, '_>, report: &mut Report) {
    let Some(issuer) = judged.issuer.filter(|_| !judged.self_signed) else { return };
    let may_sign = issuer.key_usage.is_none_or(|usage| usage.has(KeyUsage::KEY_CERT_SIGN));
    if judged.kind != Kind::Imported && !(issuer.is_ca && may_sign) {
        let offset = judged.certificate.issuer.offset;
        report.add(&ISSUER_MAY_SIGN, offset, "the issuer's certificate is not for a CA");
    }
}

/// RFC 5280 §4.2.1.9: below a CA with pathLenConstraint 0 stands no other CA.
pub(super) fn issuer_path_length(judged: &Judged<'_, '_>, report: &mut Report) {
    let issuer_ends = judged.issuer.is_some_and(|issuer| issuer.path_ends);
    let constraints = judged.certificate.facts.basic_constraints.as_ref();
    if issuer_ends && !judged.self_signed && constraints.is_some_and(|it| it.is_ca) {
        let offset = judged.certificate.issuer.offset;
        report.add(&ISSUER_PATH_LENGTH, offset, "a CA below pathLenConstraint 0");
    }
}

/// RFC 5280 §4.1.2.6: a CA's subject is not empty.
pub(super) fn ca_subject(judged: &Judged<'_, '_>, report: &mut Report) {
    let subject = judged.certificate.subject;
    if judged.is_for_ca() && subject.parts.is_empty() {
        report.add(&CA_SUBJECT, subject.offset, "an empty subject");
    }
}

/// RFC 5280 §4.2.1.2: present; we ask it of end entities too, as SITHS does.
pub(super) fn subject_key_identifier(judged: &Judged<'_, '_>, report: &mut Report) {
    let identifier = judged.certificate.facts.subject_key_identifier;
    if judged.kind != Kind::Imported && identifier.is_none_or(<[u8]>::is_empty) {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&SUBJECT_KEY_IDENTIFIER, offset, "no subject key identifier");
    }
}

/// RFC 5280 §4.2.1.1: present with a keyIdentifier; only a self-signed certificate may omit it.
pub(super) fn authority_key_identifier(judged: &Judged<'_, '_>, report: &mut Report) {
    let identifier = &judged.certificate.facts.authority_key_identifier;
    let named = identifier.as_ref().map(|identifier| identifier.key_identifier.is_some());
    let may_omit = judged.kind == Kind::Imported || judged.self_signed;
    if named == Some(false) && judged.kind != Kind::Imported || named.is_none() && !may_omit {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&AUTHORITY_KEY_IDENTIFIER, offset, "no key identifier of the issuer");
    }
}

/// RFC 5280 §4.2.1.1.
pub(super) fn certificate_authority_key_identifier_bytes(
    judged: &Judged<'_, '_>,
    report: &mut Report,
) {
    let identifier = &judged.certificate.facts.authority_key_identifier;
    let identifier = identifier.as_ref().and_then(|identifier| identifier.key_identifier);
    if let (Some(issuer), Some(identifier)) = (judged.issuer, identifier) {
        let offset = judged.certificate.to_be_signed.offset;
        authority_key_identifier_bytes(issuer, identifier, offset, report);
    }
}

/// RFC 5280 §4.2.1.1: equals the issuer's subject key identifier as it stands in the issuer's
/// certificate, by whatever method that was made.
pub(crate) fn authority_key_identifier_bytes(
    issuer: &Authority,
    identifier: &[u8],
    offset: u64,
    report: &mut Report,
) {
    if issuer.key_identifier.as_deref().is_some_and(|expected| expected != identifier) {
        let expected = issuer.key_identifier.as_deref().unwrap_or_default();
        let seen = format!("{}, the issuer's is {}", hex(identifier), hex(expected));
        report.add(&AUTHORITY_KEY_IDENTIFIER_BYTES, offset, seen);
    }
}

/// RFC 5280 §4.2.1.9: a CA's certificate says cA TRUE.
pub(super) fn basic_constraints_of_ca(judged: &Judged<'_, '_>, report: &mut Report) {
    let constraints = judged.certificate.facts.basic_constraints.as_ref();
    if judged.is_for_ca() && !constraints.is_some_and(|it| it.is_ca) {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&BASIC_CONSTRAINTS_OF_CA, offset, "no cA TRUE in a CA's certificate");
    }
}

/// RFC 5280 §4.2.1.9: critical in certificates of CAs.
pub(super) fn basic_constraints_critical(judged: &Judged<'_, '_>, report: &mut Report) {
    let extension = judged.certificate.extensions.find(oid::ID_CE_BASIC_CONSTRAINTS);
    if let Some(extension) = extension.filter(|it| judged.is_for_ca() && !it.critical) {
        report.add(&BASIC_CONSTRAINTS_CRITICAL, extension.id.offset, "not critical");
    }
}

/// RFC 5280 §4.2.1.9: nobody else's certificate says cA TRUE.
pub(super) fn end_entity_is_no_ca(judged: &Judged<'_, '_>, report: &mut Report) {
    let constraints = judged.certificate.facts.basic_constraints.as_ref();
    if judged.is_for_end_entity() && constraints.is_some_and(|it| it.is_ca) {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&END_ENTITY_IS_NO_CA, offset, "cA TRUE in an end entity's certificate");
    }
}

/// RFC 5280 §4.2.1.9: pathLenConstraint only where cA is TRUE.
pub(super) fn path_length(judged: &Judged<'_, '_>, report: &mut Report) {
    let constraints = judged.certificate.facts.basic_constraints.as_ref();
    if constraints.is_some_and(|it| !it.is_ca && it.path_length.is_some()) {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&PATH_LENGTH, offset, "pathLenConstraint without cA TRUE");
    }
}

/// RFC 5280 §4.2.1.3: a CA may sign certificates (and ours that are asked for status, CRLs).
pub(super) fn key_cert_sign(judged: &Judged<'_, '_>, report: &mut Report) {
    let needed = match judged.kind {
        Kind::RootCa | Kind::IssuingCa | Kind::CrossCa => {
            KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN
        }
        Kind::ManagementCa => KeyUsage::KEY_CERT_SIGN,
        _ => return,
    };
    if let Some(usage) = judged.certificate.facts.key_usage.filter(|usage| !usage.has(needed)) {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&KEY_CERT_SIGN, offset, usage.to_string());
    }
}
