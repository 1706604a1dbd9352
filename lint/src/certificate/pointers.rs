//! Rules for policies and for the pointers to status and issuer: CRL distribution points and
//! authority information access.

use std::net::Ipv6Addr;

use crate::Kind;
use crate::finding::Report;
use crate::oid;
use crate::rules::{
    ALL_REASONS, AUTHORITY_INFORMATION, DISTRIBUTION_POINT, HTTP_URI, NO_ANY_POLICY,
    POLICIES_PRESENT, POLICY_ONCE,
};
use crate::values::text;

use super::Judged;

impl Judged<'_, '_> {
    /// Whether relying parties outside are to find the certificate's policy and status.
    const fn is_public(&self) -> bool {
        matches!(
            self.kind,
            Kind::IssuingCa
                | Kind::CrossCa
                | Kind::PersonAuthentication
                | Kind::PersonSignature
                | Kind::Function
                | Kind::Machine
                | Kind::CardTransport
        )
    }
}

/// EN 319 411-1 GEN-6.3.3-12, EN 319 412-2 GEN-4.3.3-2: the policy that states the trust level.
pub(super) fn policies_present(judged: &Judged<'_, '_>, report: &mut Report) {
    if judged.is_public() && judged.certificate.facts.policies.is_none() {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&POLICIES_PRESENT, offset, "no certificatePolicies");
    }
}

/// RFC 5280 §4.2.1.4: a policy at most once.
pub(super) fn policy_once(judged: &Judged<'_, '_>, report: &mut Report) {
    let policies = judged.certificate.facts.policies.as_deref().unwrap_or_default();
    for (number, policy) in policies.iter().enumerate() {
        if policies.iter().take(number).any(|earlier| earlier == policy) {
            let offset = judged.certificate.to_be_signed.offset;
            report.add(&POLICY_ONCE, offset, format!("{} twice", oid::dotted(policy)));
        }
    }
}

/// SITHS: relying parties read the trust level from the policy, which anyPolicy does not tell.
pub(super) fn no_any_policy(judged: &Judged<'_, '_>, report: &mut Report) {
    let policies = judged.certificate.facts.policies.as_deref().unwrap_or_default();
    let any = policies.iter().any(|policy| *policy == oid::ANY_POLICY.as_bytes());
    if any && judged.is_for_end_entity() {
        report.add(&NO_ANY_POLICY, judged.certificate.to_be_signed.offset, "anyPolicy");
    }
}

/// EN 319 412-2 GEN-4.3.11: where CRLs are offered, at least one URI to one.
pub(super) fn distribution_point(judged: &Judged<'_, '_>, report: &mut Report) {
    let points = judged.certificate.facts.distribution_points.as_deref().unwrap_or_default();
    let found = points.iter().any(|point| point.names.iter().any(|name| name.is_uri()));
    if judged.is_public() && !found {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&DISTRIBUTION_POINT, offset, "no distribution point with a URI");
    }
}

/// RFC 5280 §4.2.1.13: a distribution point whose CRL covers all reasons and is its CA's own.
pub(super) fn all_reasons(judged: &Judged<'_, '_>, report: &mut Report) {
    let points = judged.certificate.facts.distribution_points.as_deref().unwrap_or_default();
    if judged.kind != Kind::Imported && points.iter().any(|point| point.is_limited) {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&ALL_REASONS, offset, "a distribution point with reasons or another issuer");
    }
}

/// EN 319 412-2 GEN-4.4.1: where to ask for status, and where the issuer's certificate lies.
pub(super) fn authority_information(judged: &Judged<'_, '_>, report: &mut Report) {
    let descriptions = judged.certificate.facts.authority_information.as_deref();
    for (method, name) in [(oid::ID_AD_OCSP, "OCSP"), (oid::ID_AD_CA_ISSUERS, "caIssuers")] {
        let found = descriptions.unwrap_or_default().iter().any(|description| {
            description.method == method.as_bytes() && description.location.is_uri()
        });
        if judged.is_public() && !found {
            let offset = judged.certificate.to_be_signed.offset;
            report.add(&AUTHORITY_INFORMATION, offset, format!("no {name} URI"));
        }
    }
}

/// RFC 5280 §4.2.1.13, §4.2.2.1, EN 319 412-2 GEN-4.3.11-4, GEN-4.4.1-5: pointers are absolute http
/// URIs, whose status needs no TLS to be fetched.
pub(super) fn http_uri(judged: &Judged<'_, '_>, report: &mut Report) {
    if judged.kind == Kind::Imported {
        return;
    }
    let facts = &judged.certificate.facts;
    let points = facts.distribution_points.as_deref().unwrap_or_default();
    let points = points.iter().flat_map(|point| &point.names);
    let descriptions = facts.authority_information.as_deref().unwrap_or_default();
    let descriptions = descriptions.iter().map(|description| &description.location);
    for name in points.chain(descriptions) {
        if !name.is_uri() || !is_http_uri(name.content) {
            let offset = judged.certificate.to_be_signed.offset;
            report.add(&HTTP_URI, offset, format!("pointer {}", text(name.content)));
        }
    }
}

/// RFC 3986 §3, as far as a pointer needs it: scheme http, a host, no user, no fragment, no octet
/// that would have to be escaped. Other octets than ASCII are left to the rule for IA5String.
fn is_http_uri(uri: &[u8]) -> bool {
    let Some(rest) = uri.strip_prefix(b"http://") else { return false };
    let end = rest.iter().position(|octet| matches!(octet, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let unescaped = |octet: &u8| !octet.is_ascii() || octet.is_ascii_graphic();
    let legal = |octet: &u8| unescaped(octet) && !b"\"#<>\\^`{|}".contains(octet);
    is_authority(authority) && path.iter().all(legal)
}

/// `host` or `host:port`; an IPv6 address in brackets.
fn is_authority(authority: &[u8]) -> bool {
    let text = String::from_utf8_lossy(authority);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => {
            ("v6", port.strip_prefix(':').or(port.is_empty().then_some("80")))
        }
        _ => text.split_once(':').map_or((&*text, Some("80")), |(host, port)| (host, Some(port))),
    };
    let in_name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c) || !c.is_ascii();
    !host.is_empty()
        && host.chars().all(in_name)
        && port.is_some_and(|it| it.parse::<u16>().is_ok())
}
