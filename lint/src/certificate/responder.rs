//! Rules for certificates of delegated OCSP responders, and against such powers elsewhere.

use crate::Kind;
use crate::finding::Report;
use crate::oid;
use crate::rules::{
    NO_CHECK, NO_STATUS_POINTERS, OCSP_SIGNING, OCSP_SIGNING_ELSEWHERE, SHORT_LIFE,
};
use crate::structure::Extension;
use crate::tree::tag;
use crate::values::Moment;

use super::Judged;

impl Judged<'_, '_> {
    fn is_for_responder(&self) -> bool {
        self.kind == Kind::OcspResponder
    }

    fn purposes(&self) -> &[&[u8]] {
        self.certificate.facts.extended_key_usage.as_deref().unwrap_or_default()
    }
}

/// RFC 6960 §4.2.2.2: the purpose is OCSPSigning, and nothing else.
pub(super) fn ocsp_signing(judged: &Judged<'_, '_>, report: &mut Report) {
    if judged.is_for_responder() && judged.purposes() != [oid::ID_KP_OCSP_SIGNING.as_bytes()] {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&OCSP_SIGNING, offset, "purposes other than OCSPSigning alone");
    }
}

/// EN 319 411-1 CSS-6.6.3-01B: nobody else has that purpose, above all no CA, which would be a
/// responder for its siblings.
pub(super) fn ocsp_signing_elsewhere(judged: &Judged<'_, '_>, report: &mut Report) {
    let ours = !matches!(judged.kind, Kind::OcspResponder | Kind::Imported);
    if ours && judged.purposes().iter().any(|it| *it == oid::ID_KP_OCSP_SIGNING.as_bytes()) {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&OCSP_SIGNING_ELSEWHERE, offset, "OCSPSigning in another certificate");
    }
}

/// RFC 6960 §4.2.2.2.1: id-pkix-ocsp-nocheck, whose value is NULL; nobody else has it.
pub(super) fn no_check(judged: &Judged<'_, '_>, report: &mut Report) {
    let extension = judged.certificate.extensions.find(oid::ID_PKIX_OCSP_NOCHECK);
    let offset = judged.certificate.to_be_signed.offset;
    let is_null = |it: &Extension<'_, '_>| it.value().is_none_or(|value| value.tag == tag::NULL);
    match extension {
        None if judged.is_for_responder() => report.add(&NO_CHECK, offset, "no nocheck"),
        Some(extension) if judged.is_for_responder() && !is_null(extension) => {
            report.add(&NO_CHECK, extension.id.offset, "a value other than NULL");
        }
        Some(extension) if !matches!(judged.kind, Kind::OcspResponder | Kind::Imported) => {
            report.add(&NO_CHECK, extension.id.offset, "nocheck in another certificate");
        }
        _ => {}
    }
}

/// RFC 6960 §4.2.2.2.1 with nocheck: no pointer to a status that nobody is to ask, and which the
/// responder itself would have to give.
pub(super) fn no_status_pointers(judged: &Judged<'_, '_>, report: &mut Report) {
    let facts = &judged.certificate.facts;
    let descriptions = facts.authority_information.as_deref().unwrap_or_default();
    let ocsp = descriptions.iter().any(|it| it.method == oid::ID_AD_OCSP.as_bytes());
    if judged.is_for_responder() && (ocsp || facts.distribution_points.is_some()) {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&NO_STATUS_POINTERS, offset, "an OCSP or CRL pointer beside nocheck");
    }
}

/// RFC 6960 §4.2.2.2.1: what is not checked for revocation lives shortly. The longest is a root's
/// delegate: a CRL period of at most one year (EN 319 411-1 CSS-6.3.9-12) and 30 days. That of the final answers of a CA ends with its CA, in
/// the same second (decision 0035): its key is destroyed when they have been signed.
pub(super) fn short_life(judged: &Judged<'_, '_>, report: &mut Report) {
    let certificate = &judged.certificate;
    let (begins, ends) = (Moment::of(certificate.not_before), Moment::of(certificate.not_after));
    let (begins, ends) = (begins.and_then(Moment::unix), ends.and_then(Moment::unix));
    if let (true, Some(begins), Some(ends)) = (judged.is_for_responder(), begins, ends)
        && ends.since(begins) > LONGEST_LIFE
        && judged.issuer.and_then(|issuer| issuer.not_after) != Moment::of(certificate.not_after)
    {
        let seen = format!("from {begins} to {ends}");
        report.add(&SHORT_LIFE, certificate.not_after.offset, seen);
    }
}

/// One leap year and 30 days, and two for backdating and counting.
const LONGEST_LIFE: std::time::Duration = std::time::Duration::from_secs((366 + 30 + 2) * 86_400);
