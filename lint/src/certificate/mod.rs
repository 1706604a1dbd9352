//! Certificates: read once, then judged rule by rule.

mod alternative;
mod authority;
mod etsi;
mod facts;
mod fields;
mod keys;
mod names;
mod pointers;
mod policy;
mod responder;
mod shape;
mod usage;

use x509::key::PublicKey;

use crate::finding::{Findings, Report};
use crate::oid;
use crate::rules::STRUCTURE;
use crate::shape::Shape;
use crate::structure::{self, Attribute, Extensions, KeyUsage};
use crate::tree::{self, Misshapen, Node, tag};
use crate::values::{self, Moment};
use crate::{IssuerContext, Kind};

pub(crate) use authority::authority_key_identifier_bytes;
pub(crate) use facts::{AuthorityKeyIdentifier, general_names, point_name, read_fact};
pub(crate) use fields::{algorithm_fits_key, algorithms_agree, time_choice};

use facts::Facts;
use keys::SubjectKey;

/// Judges a certificate; see [`crate::certificate`].
pub(crate) fn judge(der: &[u8], issuer: &IssuerContext<'_>, kind: Kind) -> Findings {
    let mut report = Report::new("certificate");
    judge_and(der, 0, issuer, kind, &mut report, |_, _| ());
    report.into_findings()
}

/// Judges a certificate by the rules and by its profile's shape; see [`crate::certificate_of`].
pub(crate) fn judge_of(
    der: &[u8],
    issuer: &IssuerContext<'_>,
    kind: Kind,
    shape: &Shape<'_>,
) -> Findings {
    let mut report = Report::new("certificate");
    judge_and(der, 0, issuer, kind, &mut report, |judged, report| {
        shape::judge(judged, shape, report);
    });
    report.into_findings()
}

/// Judges a certificate that stands at `offset` of a larger structure, and returns what others
/// need to know of its subject.
pub(crate) fn judge_within(
    der: &[u8],
    offset: u64,
    issuer: &IssuerContext<'_>,
    kind: Kind,
    report: &mut Report,
) -> Option<Authority> {
    judge_and(der, offset, issuer, kind, report, |judged, _| Authority::of(&judged.certificate))
}

/// Judges a certificate, and takes something from it if it can be understood.
fn judge_and<T>(
    der: &[u8],
    offset: u64,
    issuer: &IssuerContext<'_>,
    kind: Kind,
    report: &mut Report,
    take: impl FnOnce(&Judged<'_, '_>, &mut Report) -> T,
) -> Option<T> {
    let root = tree::parse(der, offset, report)?;
    let certificate = match Certificate::read(&root, report) {
        Ok(certificate) => certificate,
        Err(misshapen) => {
            values::judge(&root, report);
            misshapen.report(report);
            return None;
        }
    };
    let read;
    let known = match issuer {
        IssuerContext::SelfSigned => {
            read = Authority::of(&certificate);
            Some(&read)
        }
        IssuerContext::Certificate(der) => {
            read = Authority::read(der, report)?;
            Some(&read)
        }
        IssuerContext::Known(issuer) => Some(&issuer.authority),
        IssuerContext::NotAtHand => None,
    };
    let self_signed = matches!(issuer, IssuerContext::SelfSigned);
    let copied = known
        .filter(|_| !self_signed)
        .is_some_and(|known| known.subject == certificate.issuer.octets)
        .then_some(certificate.issuer);
    values::judge_except(&root, copied, report);
    if !report.is_readable() {
        return None;
    }
    let judged = Judged { certificate, issuer: known, kind, self_signed };
    for rule in RULES_OF_MEANING {
        rule(&judged, report);
    }
    Some(take(&judged, report))
}

/// A rule: looks at one thing and reports it.
type RuleOfMeaning = for<'t, 'a> fn(&Judged<'t, 'a>, &mut Report);

const RULES_OF_MEANING: &[RuleOfMeaning] = &[
    fields::version,
    fields::serial,
    fields::serial_form,
    fields::no_unique_identifiers,
    fields::certificate_algorithms_agree,
    fields::certificate_algorithm_fits_key,
    fields::validity_order,
    fields::validity_time_choice,
    fields::within_issuer_validity,
    fields::well_defined_end,
    fields::five_years,
    names::directory_string,
    names::printable_attribute,
    names::ia5_attribute,
    names::country,
    names::attribute_length,
    names::person_subject,
    names::common_name_in_alternative_names,
    names::deployment_uri,
    etsi::single_valued,
    etsi::attribute_once,
    etsi::function_subject,
    etsi::ca_name,
    etsi::other_subject,
    etsi::normal_form,
    etsi::outer_space,
    etsi::no_mail_in_subject,
    etsi::no_implied_semantics,
    etsi::card_number,
    alternative::alternative_name_once,
    alternative::dns_name,
    alternative::a_label,
    alternative::mail_address,
    alternative::smtp_utf8_mailbox,
    alternative::byte_order_mark,
    alternative::user_principal_name,
    alternative::absolute_uri,
    alternative::name_forms,
    alternative::qualified_name,
    keys::key_algorithm,
    keys::ec_point,
    keys::rsa_modulus,
    keys::rsa_exponent,
    keys::issuer_key,
    keys::key_identifier_method,
    keys::key_identifier_alone,
    authority::issuer_bytes,
    authority::issuer_may_sign,
    authority::issuer_path_length,
    authority::ca_subject,
    authority::subject_key_identifier,
    authority::authority_key_identifier,
    authority::certificate_authority_key_identifier_bytes,
    authority::basic_constraints_of_ca,
    authority::basic_constraints_critical,
    authority::end_entity_is_no_ca,
    authority::path_length,
    authority::key_cert_sign,
    usage::key_usage_present,
    usage::key_usage_critical,
    usage::key_usage,
    usage::key_usage_fits_key,
    usage::extended_key_usage,
    usage::purpose_once,
    usage::not_critical,
    usage::known_critical,
    usage::alternative_name_critical,
    usage::no_path_extensions,
    usage::no_qc_statements,
    pointers::policies_present,
    pointers::policy_once,
    pointers::no_any_policy,
    policy::practice_statement,
    policy::policy_qualifier,
    policy::explicit_text,
    policy::web_policy,
    policy::no_qualified_policy,
    pointers::distribution_point,
    pointers::all_reasons,
    pointers::authority_information,
    pointers::http_uri,
    responder::ocsp_signing,
    responder::ocsp_signing_elsewhere,
    responder::no_check,
    responder::no_status_pointers,
    responder::short_life,
];

/// A certificate and what it is judged by.
#[derive(Debug)]
struct Judged<'t, 'a> {
    certificate: Certificate<'t, 'a>,
    issuer: Option<&'t Authority>,
    kind: Kind,
    self_signed: bool,
}

/// The parts of a certificate (RFC 5280 §4.1), its extensions understood.
#[derive(Debug)]
struct Certificate<'t, 'a> {
    to_be_signed: &'t Node<'a>,
    /// The INTEGER inside `[0]`.
    version: Option<&'t Node<'a>>,
    serial: &'t Node<'a>,
    inner_algorithm: &'t Node<'a>,
    issuer: &'t Node<'a>,
    not_before: &'t Node<'a>,
    not_after: &'t Node<'a>,
    subject: &'t Node<'a>,
    subject_attributes: Vec<Attribute<'t, 'a>>,
    key: SubjectKey<'t, 'a>,
    unique_identifier: Option<&'t Node<'a>>,
    extensions: Extensions<'t, 'a>,
    facts: Facts<'a>,
    outer_algorithm: &'t Node<'a>,
}

impl<'t, 'a> Certificate<'t, 'a> {
    fn read(root: &'t Node<'a>, report: &mut Report) -> Result<Self, Misshapen> {
        let mut outer = root.expect(tag::SEQUENCE, "a Certificate")?.fields();
        let to_be_signed = outer.required(tag::SEQUENCE, "a TBSCertificate")?;
        let outer_algorithm = outer.required(tag::SEQUENCE, "a signatureAlgorithm")?;
        structure::algorithm(outer_algorithm)?;
        let signature = outer.required(tag::BIT_STRING, "a signatureValue")?;
        structure::whole_octets(signature, "a signatureValue of whole octets")?;
        outer.end("the end of a Certificate")?;

        let mut fields = to_be_signed.fields();
        let version = fields.optional(tag::context_constructed(0)).map(read_version).transpose()?;
        let serial = fields.required(tag::INTEGER, "a serialNumber")?;
        let inner_algorithm = fields.required(tag::SEQUENCE, "a signature")?;
        structure::algorithm(inner_algorithm)?;
        let issuer = fields.required(tag::SEQUENCE, "an issuer")?;
        structure::attributes(issuer)?;
        let (not_before, not_after) = read_validity(fields.required(tag::SEQUENCE, "a validity")?)?;
        let subject = fields.required(tag::SEQUENCE, "a subject")?;
        let subject_attributes = structure::attributes(subject)?;
        let key = fields.required(tag::SEQUENCE, "a subjectPublicKeyInfo")?;
        let key = read_key(key, report)?;
        let unique = [fields.optional(tag::context(1)), fields.optional(tag::context(2))];
        let extensions = match fields.optional(tag::context_constructed(3)) {
            None => Extensions::default(),
            Some(explicit) => {
                let mut inner = explicit.fields();
                let list = inner.required(tag::SEQUENCE, "Extensions")?;
                inner.end("the end of Extensions")?;
                Extensions::read(list, report)?
            }
        };
        fields.end("the end of a TBSCertificate")?;
        let facts = Facts::of(&extensions, report);
        Ok(Self {
            to_be_signed,
            version,
            serial,
            inner_algorithm,
            issuer,
            not_before,
            not_after,
            subject,
            subject_attributes,
            key,
            unique_identifier: unique.into_iter().flatten().next(),
            extensions,
            facts,
            outer_algorithm,
        })
    }
}

fn read_version<'t, 'a>(explicit: &'t Node<'a>) -> Result<&'t Node<'a>, Misshapen> {
    let mut fields = explicit.fields();
    let version = fields.required(tag::INTEGER, "a version")?;
    fields.end("the end of a version")?;
    Ok(version)
}

type Times<'t, 'a> = (&'t Node<'a>, &'t Node<'a>);

fn read_validity<'t, 'a>(validity: &'t Node<'a>) -> Result<Times<'t, 'a>, Misshapen> {
    let mut fields = validity.fields();
    let times = (fields.any("a notBefore")?, fields.any("a notAfter")?);
    fields.end("the end of a validity")?;
    if structure::is_time(times.0) && structure::is_time(times.1) {
        Ok(times)
    } else {
        Err(Misshapen::at(validity.offset, "two times"))
    }
}

/// RFC 5280 §4.1.2.7: shape; and an RSA key inside is DER too (RFC 8017 A.1.1).
fn read_key<'t, 'a>(
    info: &'t Node<'a>,
    report: &mut Report,
) -> Result<SubjectKey<'t, 'a>, Misshapen> {
    let mut fields = info.fields();
    let algorithm = fields.any("a key's algorithm")?;
    structure::algorithm(algorithm)?;
    let bits = fields.required(tag::BIT_STRING, "a subjectPublicKey")?;
    fields.end("the end of a subjectPublicKeyInfo")?;
    let inner = tree::advance(bits.content_offset(), 1);
    let bits = structure::whole_octets(bits, "a key of whole octets")?;
    let mut key = SubjectKey { info, algorithm, bits, rsa: None };
    // The bits alone do not tell: one Ed25519 key in 256 begins as a SEQUENCE does.
    if key.is(oid::RSA_ENCRYPTION) && bits.first() == Some(&tag::SEQUENCE) {
        key.rsa = tree::read(bits, inner, report);
    }
    Ok(key)
}

/// What an issuer's certificate says, read once for many certificates under it.
#[derive(Debug)]
pub struct KnownIssuer {
    authority: Authority,
}

impl KnownIssuer {
    /// Reads an issuer's certificate, DER.
    ///
    /// # Errors
    ///
    /// Its findings, when it cannot be understood. Defects that can be are not judged here.
    pub fn read(der: &[u8]) -> Result<Self, Findings> {
        let mut report = Report::new("issuer certificate");
        match Authority::read(der, &mut report) {
            Some(authority) => Ok(Self { authority }),
            None => Err(report.into_findings()),
        }
    }
}

/// What is known of the holder of a certificate, when it is the issuer of another structure.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) subject: Vec<u8>,
    pub(crate) key_identifier: Option<Vec<u8>>,
    pub(crate) not_after: Option<Moment>,
    /// `None` for a key of another algorithm than ours.
    pub(crate) key: Option<PublicKey>,
    pub(crate) key_usage: Option<KeyUsage>,
    is_ca: bool,
    /// The content octets of pathLenConstraint are all zero.
    path_ends: bool,
}

impl Authority {
    /// Reads an issuer's certificate. It was judged when it was issued or imported; here it only
    /// has to be readable.
    pub(crate) fn read(der: &[u8], report: &mut Report) -> Option<Self> {
        let mut apart = Report::new("issuer certificate");
        let root = tree::parse(der, 0, &mut apart);
        let authority = root
            .as_ref()
            .and_then(|root| Certificate::read(root, &mut apart).ok())
            .filter(|_| apart.is_readable())
            .map(|certificate| Self::of(&certificate));
        if authority.is_none() {
            report.stop(&STRUCTURE, 0, "the issuer's certificate cannot be read");
        }
        authority
    }

    fn of(certificate: &Certificate<'_, '_>) -> Self {
        let facts = &certificate.facts;
        let constraints = facts.basic_constraints.as_ref();
        Self {
            subject: certificate.subject.octets.to_vec(),
            key_identifier: facts.subject_key_identifier.map(<[u8]>::to_vec),
            not_after: Moment::of(certificate.not_after),
            key: PublicKey::from_spki_der(certificate.key.info.octets).ok(),
            key_usage: facts.key_usage,
            is_ca: constraints.is_some_and(|constraints| constraints.is_ca),
            path_ends: constraints
                .and_then(|constraints| constraints.path_length)
                .is_some_and(|length| length.iter().all(|octet| *octet == 0)),
        }
    }
}
