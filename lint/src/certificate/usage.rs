//! Rules for key usage, extended key usage, and which extensions are critical.

use crate::Kind;
use crate::finding::Report;
use crate::oid::{self, Oid};
use crate::rules::{
    ALTERNATIVE_NAME_CRITICAL, EXTENDED_KEY_USAGE, KEY_USAGE, KEY_USAGE_CRITICAL,
    KEY_USAGE_FITS_KEY, KEY_USAGE_PRESENT, KNOWN_CRITICAL, NO_PATH_EXTENSIONS, NO_QC_STATEMENTS,
    NOT_CRITICAL, PURPOSE_ONCE,
};
use crate::structure::KeyUsage;

use super::Judged;

/// RFC 5280 §4.2.1.3, EN 319 412-2 NAT-4.3.2-1: key usage is stated.
pub(super) fn key_usage_present(judged: &Judged<'_, '_>, report: &mut Report) {
    if judged.kind != Kind::Imported && judged.certificate.facts.key_usage.is_none() {
        report.add(&KEY_USAGE_PRESENT, judged.certificate.to_be_signed.offset, "no keyUsage");
    }
}

/// RFC 5280 §4.2.1.3: should be critical; ours are.
pub(super) fn key_usage_critical(judged: &Judged<'_, '_>, report: &mut Report) {
    let extension = judged.certificate.extensions.find(oid::ID_CE_KEY_USAGE);
    if let Some(extension) = extension.filter(|it| judged.kind != Kind::Imported && !it.critical) {
        report.add(&KEY_USAGE_CRITICAL, extension.id.offset, "not critical");
    }
}

/// EN 319 412-2 NAT-4.3.2-1 to -3 and RFC 5280 §4.2.1.3: the bits that a kind needs, and none
/// beside those that it may have. A signature certificate says nonRepudiation alone; a CA's key
/// signs certificates and CRLs alone.
pub(super) fn key_usage(judged: &Judged<'_, '_>, report: &mut Report) {
    let (needed, allowed) = match judged.kind {
        Kind::RootCa | Kind::IssuingCa | Kind::CrossCa | Kind::ManagementCa => {
            (0, KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN)
        }
        Kind::PersonSignature => (KeyUsage::NON_REPUDIATION, KeyUsage::NON_REPUDIATION),
        Kind::Machine | Kind::CardTransport | Kind::OcspResponder => {
            (KeyUsage::DIGITAL_SIGNATURE, KeyUsage::DIGITAL_SIGNATURE)
        }
        Kind::PersonAuthentication
        | Kind::Function
        | Kind::ManagementServer
        | Kind::ManagementClient => {
            (KeyUsage::DIGITAL_SIGNATURE, KeyUsage::DIGITAL_SIGNATURE | KeyUsage::KEY_ENCIPHERMENT)
        }
        Kind::Imported => return,
    };
    let usage = judged.certificate.facts.key_usage;
    if let Some(usage) = usage.filter(|it| !it.has(needed) || it.bits() & !allowed != 0) {
        report.add(&KEY_USAGE, judged.certificate.to_be_signed.offset, usage.to_string());
    }
}

/// RFC 8813 §3: an elliptic-curve key enciphers nothing by itself.
pub(super) fn key_usage_fits_key(judged: &Judged<'_, '_>, report: &mut Report) {
    let key = &judged.certificate.key;
    let curve = key.is(oid::EC_PUBLIC_KEY) || key.is(oid::ED25519);
    let enciphers = KeyUsage::KEY_ENCIPHERMENT | KeyUsage::DATA_ENCIPHERMENT;
    let usage = judged.certificate.facts.key_usage;
    if let Some(usage) = usage.filter(|it| curve && it.bits() & enciphers != 0) {
        let seen = format!("{usage} with a key on a curve");
        report.add(&KEY_USAGE_FITS_KEY, judged.certificate.to_be_signed.offset, seen);
    }
}

/// RFC 5280 §4.2.1.12: purposes agree with what the certificate is for. OCSPSigning has rules of
/// its own.
pub(super) fn extended_key_usage(judged: &Judged<'_, '_>, report: &mut Report) {
    const TLS: [Oid; 2] = [oid::ID_KP_SERVER_AUTH, oid::ID_KP_CLIENT_AUTH];
    let purposes = judged.certificate.facts.extended_key_usage.as_deref().unwrap_or_default();
    let has = |purpose: Oid| purposes.iter().any(|it| *it == purpose.as_bytes());
    let only = |allowed: &[Oid]| {
        purposes.iter().all(|it| allowed.iter().any(|purpose| *it == purpose.as_bytes()))
    };
    let any = has(oid::ANY_EXTENDED_KEY_USAGE);
    let agrees = match judged.kind {
        Kind::RootCa | Kind::IssuingCa | Kind::CrossCa | Kind::ManagementCa => {
            only(&[oid::ID_KP_OCSP_SIGNING])
        }
        Kind::OcspResponder | Kind::Imported => true,
        Kind::PersonAuthentication => {
            has(oid::ID_KP_CLIENT_AUTH) && !has(oid::ID_KP_SERVER_AUTH) && !any
        }
        Kind::PersonSignature => TLS.iter().all(|purpose| !has(*purpose)) && !any,
        Kind::Function => TLS.iter().any(|purpose| has(*purpose)) && !any,
        Kind::ManagementServer => has(oid::ID_KP_SERVER_AUTH) && only(&TLS),
        Kind::Machine | Kind::CardTransport | Kind::ManagementClient => {
            has(oid::ID_KP_CLIENT_AUTH) && only(&[oid::ID_KP_CLIENT_AUTH])
        }
    };
    if !agrees {
        let seen: Vec<String> = purposes.iter().map(|purpose| oid::dotted(purpose)).collect();
        let seen = format!("purposes [{}]", seen.join(", "));
        report.add(&EXTENDED_KEY_USAGE, judged.certificate.to_be_signed.offset, seen);
    }
}

/// RFC 5280 §4.2.1.12: a purpose at most once.
pub(super) fn purpose_once(judged: &Judged<'_, '_>, report: &mut Report) {
    let purposes = judged.certificate.facts.extended_key_usage.as_deref().unwrap_or_default();
    for (number, purpose) in purposes.iter().enumerate() {
        if purposes.iter().take(number).any(|earlier| earlier == purpose) {
            let offset = judged.certificate.to_be_signed.offset;
            report.add(&PURPOSE_ONCE, offset, format!("{} twice", oid::dotted(purpose)));
        }
    }
}

/// Extensions that must not be critical: RFC 5280 §4.2.1.1, §4.2.1.2, §4.2.1.8, §4.2.2.1;
/// EN 319 412-2 §4.3 for the others; RFC 6960 §4.2.2.2.1 for nocheck.
const NEVER_CRITICAL: [Oid; 10] = [
    oid::ID_CE_AUTHORITY_KEY_IDENTIFIER,
    oid::ID_CE_SUBJECT_KEY_IDENTIFIER,
    oid::ID_CE_SUBJECT_DIRECTORY_ATTRIBUTES,
    oid::ID_PE_AUTHORITY_INFO_ACCESS,
    oid::ID_CE_CRL_DISTRIBUTION_POINTS,
    oid::ID_CE_EXT_KEY_USAGE,
    oid::ID_CE_CERTIFICATE_POLICIES,
    oid::ID_CE_FRESHEST_CRL,
    oid::ID_PKIX_OCSP_NOCHECK,
    oid::CARD_NUMBER,
];

/// See [`NEVER_CRITICAL`].
pub(super) fn not_critical(judged: &Judged<'_, '_>, report: &mut Report) {
    for extension in judged.certificate.extensions.iter() {
        if extension.critical && NEVER_CRITICAL.iter().any(|id| extension.is(*id)) {
            report.add(
                &NOT_CRITICAL,
                extension.id.offset,
                format!("{} is critical", extension.name()),
            );
        }
    }
}

/// RFC 5280 §4.2: what relying parties do not know is not critical.
pub(super) fn known_critical(judged: &Judged<'_, '_>, report: &mut Report) {
    const MAY_BE_CRITICAL: [Oid; 8] = [
        oid::ID_CE_BASIC_CONSTRAINTS,
        oid::ID_CE_KEY_USAGE,
        oid::ID_CE_SUBJECT_ALT_NAME,
        oid::ID_CE_NAME_CONSTRAINTS,
        oid::ID_CE_POLICY_CONSTRAINTS,
        oid::ID_CE_POLICY_MAPPINGS,
        oid::ID_CE_INHIBIT_ANY_POLICY,
        // Judged by a rule of its own.
        oid::ID_PE_QC_STATEMENTS,
    ];
    for extension in judged.certificate.extensions.iter().filter(|extension| extension.critical) {
        if !MAY_BE_CRITICAL.iter().chain(&NEVER_CRITICAL).any(|id| extension.is(*id)) {
            report.add(
                &KNOWN_CRITICAL,
                extension.id.offset,
                format!("{} is critical", extension.name()),
            );
        }
    }
}

/// RFC 5280 §4.1.2.6, §4.2.1.6: critical where, and only where, the subject is empty, which it may
/// be only then.
pub(super) fn alternative_name_critical(judged: &Judged<'_, '_>, report: &mut Report) {
    if judged.is_for_ca() && judged.certificate.subject.parts.is_empty() {
        return;
    }
    let extension = judged.certificate.extensions.find(oid::ID_CE_SUBJECT_ALT_NAME);
    let critical = extension.is_some_and(|extension| extension.critical);
    let subject = judged.certificate.subject;
    if critical != subject.parts.is_empty() && judged.kind != Kind::Imported {
        let seen = if critical {
            "critical beside a subject that is not empty"
        } else {
            "an empty subject without critical alternative names"
        };
        report.add(&ALTERNATIVE_NAME_CRITICAL, subject.offset, seen);
    }
}

/// EN 319 412-2 §4.3.4, §4.3.8 to §4.3.10; RFC 5280 §4.2.1.5, §4.2.1.10, §4.2.1.11, §4.2.1.14:
/// extensions about paths stand in certificates of CAs alone.
pub(super) fn no_path_extensions(judged: &Judged<'_, '_>, report: &mut Report) {
    const ABOUT_PATHS: [Oid; 4] = [
        oid::ID_CE_NAME_CONSTRAINTS,
        oid::ID_CE_POLICY_CONSTRAINTS,
        oid::ID_CE_POLICY_MAPPINGS,
        oid::ID_CE_INHIBIT_ANY_POLICY,
    ];
    for extension in judged.certificate.extensions.iter() {
        if judged.is_for_end_entity() && ABOUT_PATHS.iter().any(|id| extension.is(*id)) {
            report.add(&NO_PATH_EXTENSIONS, extension.id.offset, extension.name());
        }
    }
}

/// EN 319 412-5: no claim of a qualified certificate, which none of ours is.
pub(super) fn no_qc_statements(judged: &Judged<'_, '_>, report: &mut Report) {
    let extension = judged.certificate.extensions.find(oid::ID_PE_QC_STATEMENTS);
    if let Some(extension) = extension.filter(|_| judged.kind != Kind::Imported) {
        report.add(&NO_QC_STATEMENTS, extension.id.offset, "qcStatements");
    }
}
