//! Rules for the basic fields: version, serial number, algorithms, validity.

use x509::key::{PublicKey, SignatureAlgorithm};

use crate::Kind;
use crate::finding::Report;
use crate::oid;
use crate::rules::{
    ALGORITHM_FITS_KEY, ALGORITHMS_AGREE, DEFAULT_OMITTED, FIVE_YEARS, NO_UNIQUE_IDENTIFIERS,
    SERIAL, SERIAL_FORM, TIME_CHOICE, VALIDITY_ORDER, VERSION, WELL_DEFINED_END,
    WITHIN_ISSUER_VALIDITY,
};
use crate::tree::{Node, tag};
use crate::values::{Moment, hex};

use super::Judged;

/// RFC 5280 §4.1.2.1: with extensions the version is 3. A version 1 that is written out is
/// reported as the default that it is (X.690 §11.5).
pub(super) fn version(judged: &Judged<'_, '_>, report: &mut Report) {
    let certificate = &judged.certificate;
    match certificate.version.map(|version| (version, version.content)) {
        Some((_, [2])) => {}
        Some((version, [0])) => {
            report.add(&DEFAULT_OMITTED, version.offset, "version v1 is written out");
        }
        Some((version, content)) => {
            report.add(&VERSION, version.offset, format!("version INTEGER {}", hex(content)));
        }
        None if judged.kind == Kind::Imported && certificate.extensions.iter().len() == 0 => {}
        None => report.add(&VERSION, certificate.to_be_signed.offset, "version 1"),
    }
}

/// RFC 5280 §4.1.2.2: positive, not zero, at most 20 octets.
pub(super) fn serial(judged: &Judged<'_, '_>, report: &mut Report) {
    let serial = judged.certificate.serial;
    let seen = match serial.content {
        [first, ..] if *first >= 0x80 => "negative",
        octets if octets.iter().all(|octet| *octet == 0) => "zero",
        octets if octets.len() > 20 => "longer than 20 octets",
        _ => return,
    };
    report.add(&SERIAL, serial.offset, format!("{seen}: {}", hex(serial.content)));
}

/// TLS BR §7.1 asks for 64 random bits; ours have 126, in 16 octets that begin with the bits 01, so that none is
/// lost to the sign. What [`serial`] reports is not reported again.
pub(super) fn serial_form(judged: &Judged<'_, '_>, report: &mut Report) {
    let serial = judged.certificate.serial;
    let Some(start) = serial.content.iter().position(|octet| *octet != 0) else { return };
    // Leading zeros are another rule's.
    let octets = serial.content.get(start..).unwrap_or_default();
    let sound = octets.len() == 16 && octets.first().is_some_and(|first| first >> 6 == 1);
    let judged_there =
        serial.content.len() > 20 || serial.content.first().is_some_and(|it| *it >= 0x80);
    if !sound && !judged_there && judged.kind != Kind::Imported {
        report.add(&SERIAL_FORM, serial.offset, hex(serial.content));
    }
}

/// RFC 5280 §4.1.2.8: CAs must not make certificates with unique identifiers.
pub(super) fn no_unique_identifiers(judged: &Judged<'_, '_>, report: &mut Report) {
    if let Some(unique) = judged.certificate.unique_identifier {
        report.add(&NO_UNIQUE_IDENTIFIERS, unique.offset, "a unique identifier");
    }
}

/// RFC 5280 §4.1.1.2.
pub(super) fn certificate_algorithms_agree(judged: &Judged<'_, '_>, report: &mut Report) {
    let certificate = &judged.certificate;
    algorithms_agree(certificate.inner_algorithm, certificate.outer_algorithm, report);
}

/// RFC 5280 §4.1.1.2, §5.1.1.2: the algorithm outside the signature is the one inside, parameters
/// included.
pub(crate) fn algorithms_agree(inner: &Node<'_>, outer: &Node<'_>, report: &mut Report) {
    if inner.octets != outer.octets {
        let (inside, outside) = (algorithm_name(inner), algorithm_name(outer));
        let seen = if inside == outside {
            format!("other parameters of {inside} outside than inside")
        } else {
            format!("{inside} inside, {outside} outside")
        };
        report.add(&ALGORITHMS_AGREE, outer.offset, seen);
    }
}

fn algorithm_name(algorithm: &Node<'_>) -> String {
    algorithm.parts.first().map_or_else(String::new, |id| oid::dotted(id.content))
}

/// RFC 5280 §4.1.1.2 with RFC 4055 §3.1, §5, RFC 5758 §3.2, RFC 8410 §3: an algorithm that we know, its
/// parameters as written there, and of the issuer's kind of key. Algorithms of other operators are
/// theirs.
pub(super) fn certificate_algorithm_fits_key(judged: &Judged<'_, '_>, report: &mut Report) {
    if let (Some(issuer), true) = (judged.issuer, judged.kind != Kind::Imported) {
        algorithm_fits_key(judged.certificate.inner_algorithm, issuer.key.as_ref(), report);
    }
}

/// As [`certificate_algorithm_fits_key`], for any signed structure.
pub(crate) fn algorithm_fits_key(
    algorithm: &Node<'_>,
    key: Option<&PublicKey>,
    report: &mut Report,
) {
    let seen = match (SignatureAlgorithm::read_identifier(algorithm.octets), key) {
        (Ok(known), Some(key)) if known.fits(key.key_type()) => return,
        (Ok(known), Some(key)) => format!("{known} under a key of type {}", key.key_type()),
        (Ok(known), None) => format!("{known} under a key of unknown type"),
        (Err(error), _) => error.to_string(),
    };
    report.add(&ALGORITHM_FITS_KEY, algorithm.offset, seen);
}

/// RFC 5280 §4.1.2.5: the validity is a period that does not end before it begins.
pub(super) fn validity_order(judged: &Judged<'_, '_>, report: &mut Report) {
    let (before, after) = (judged.certificate.not_before, judged.certificate.not_after);
    if let (Some(not_before), Some(not_after)) = (Moment::of(before), Moment::of(after))
        && not_before > not_after
    {
        let seen = format!("notBefore {not_before}, notAfter {not_after}");
        report.add(&VALIDITY_ORDER, before.offset, seen);
    }
}

/// RFC 5280 §4.1.2.5.
pub(super) fn validity_time_choice(judged: &Judged<'_, '_>, report: &mut Report) {
    time_choice(judged.certificate.not_before, report);
    time_choice(judged.certificate.not_after, report);
}

/// RFC 5280 §4.1.2.5, §5.1.2.4: UTCTime through 2049 (it cannot write a later year),
/// GeneralizedTime from 2050.
pub(crate) fn time_choice(time: &Node<'_>, report: &mut Report) {
    if time.tag == tag::GENERALIZED_TIME
        && let Some(moment) = Moment::of(time)
        && moment.year < 2050
    {
        report.add(&TIME_CHOICE, time.offset, format!("GeneralizedTime for {moment}"));
    }
}

/// ETSI EN 319 411-1 GEN-6.3.3-05: a certificate ends no later than its issuer's.
pub(super) fn within_issuer_validity(judged: &Judged<'_, '_>, report: &mut Report) {
    let not_after = judged.certificate.not_after;
    if let (Some(issuer), Some(ends)) = (judged.issuer, Moment::of(not_after))
        && let Some(issuer_ends) = issuer.not_after
        && judged.kind != Kind::Imported
        && ends > issuer_ends
    {
        let seen = format!("notAfter {ends}, the issuer's is {issuer_ends}");
        report.add(&WITHIN_ISSUER_VALIDITY, not_after.offset, seen);
    }
}

/// RFC 5280 §4.1.2.5: the end that says "no end", which no certificate of ours has.
pub(super) fn well_defined_end(judged: &Judged<'_, '_>, report: &mut Report) {
    let not_after = judged.certificate.not_after;
    if not_after.content == b"99991231235959Z" && judged.kind != Kind::Imported {
        report.add(&WELL_DEFINED_END, not_after.offset, "no well-defined end");
    }
}

/// Tillitsramverk K6.5: an eID is valid for at most five years, of which RFC 5280 §4.1.2.5 counts the first second and
/// the last.
pub(super) fn five_years(judged: &Judged<'_, '_>, report: &mut Report) {
    let certificate = &judged.certificate;
    if let (Some(begins), Some(ends)) =
        (Moment::of(certificate.not_before), Moment::of(certificate.not_after))
        && matches!(judged.kind, Kind::PersonAuthentication | Kind::PersonSignature)
        && ends >= begins.years_later(5)
    {
        let seen = format!("from {begins} to {ends}");
        report.add(&FIVE_YEARS, certificate.not_after.offset, seen);
    }
}
