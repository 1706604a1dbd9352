//! What the extensions of a certificate say, each read by its ASN.1 definition.

use crate::finding::Report;
use crate::oid::{self, Oid};
use crate::structure::{self, Extensions, KeyUsage, default_omitted, general_name};
use crate::tree::{Misshapen, Node, tag};
use crate::values;

/// The understood extensions; `None` where absent.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) basic_constraints: Option<BasicConstraints<'a>>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) subject_key_identifier: Option<&'a [u8]>,
    pub(crate) authority_key_identifier: Option<AuthorityKeyIdentifier<'a>>,
    pub(crate) extended_key_usage: Option<Vec<&'a [u8]>>,
    pub(crate) policies: Option<Vec<&'a [u8]>>,
    pub(crate) distribution_points: Option<Vec<DistributionPoint<'a>>>,
    pub(crate) authority_information: Option<Vec<AccessDescription<'a>>>,
    pub(crate) alternative_names: Option<Vec<GeneralName<'a>>>,
}

/// RFC 5280 §4.2.1.9.
#[derive(Debug)]
pub(crate) struct BasicConstraints<'a> {
    pub(crate) is_ca: bool,
    pub(crate) path_length: Option<&'a [u8]>,
}

/// RFC 5280 §4.2.1.1.
#[derive(Debug)]
pub(crate) struct AuthorityKeyIdentifier<'a> {
    pub(crate) key_identifier: Option<&'a [u8]>,
    /// It names the issuer's certificate too, by issuer and serial number.
    pub(crate) names_certificate: bool,
}

/// RFC 5280 §4.2.1.13: the general names of its fullName; whether reasons or another issuer limit
/// it.
#[derive(Debug)]
pub(crate) struct DistributionPoint<'a> {
    pub(crate) names: Vec<GeneralName<'a>>,
    pub(crate) is_limited: bool,
}

/// RFC 5280 §4.2.2.1.
#[derive(Debug)]
pub(crate) struct AccessDescription<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) location: GeneralName<'a>,
}

/// A general name by its tag and content octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GeneralName<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
}

impl GeneralName<'_> {
    pub(crate) const fn is_uri(&self) -> bool {
        self.tag == general_name::URI
    }
}

type Reader<'a, T> = fn(&Node<'a>, &mut Report) -> Result<T, Misshapen>;

/// Reads one extension; a wrong shape is reported.
pub(crate) fn read_fact<'a, T>(
    extensions: &Extensions<'_, 'a>,
    id: Oid,
    reader: Reader<'a, T>,
    report: &mut Report,
) -> Option<T> {
    let extension = extensions.find(id)?;
    let value = extension.value()?;
    let mark = report.mark();
    let fact = match reader(value, report) {
        Ok(fact) => Some(fact),
        Err(misshapen) => {
            misshapen.report(report);
            None
        }
    };
    report.name_since(mark, || extension.name());
    fact
}

impl<'a> Facts<'a> {
    pub(crate) fn of(extensions: &Extensions<'_, 'a>, report: &mut Report) -> Self {
        Self {
            basic_constraints: read_fact(
                extensions,
                oid::ID_CE_BASIC_CONSTRAINTS,
                BasicConstraints::read,
                report,
            ),
            key_usage: read_fact(extensions, oid::ID_CE_KEY_USAGE, key_usage, report),
            subject_key_identifier: read_fact(
                extensions,
                oid::ID_CE_SUBJECT_KEY_IDENTIFIER,
                subject_key_identifier,
                report,
            ),
            authority_key_identifier: read_fact(
                extensions,
                oid::ID_CE_AUTHORITY_KEY_IDENTIFIER,
                AuthorityKeyIdentifier::read,
                report,
            ),
            extended_key_usage: read_fact(extensions, oid::ID_CE_EXT_KEY_USAGE, purposes, report),
            policies: read_fact(extensions, oid::ID_CE_CERTIFICATE_POLICIES, policies, report),
            distribution_points: read_fact(
                extensions,
                oid::ID_CE_CRL_DISTRIBUTION_POINTS,
                distribution_points,
                report,
            ),
            authority_information: read_fact(
                extensions,
                oid::ID_PE_AUTHORITY_INFO_ACCESS,
                access_descriptions,
                report,
            ),
            alternative_names: read_fact(
                extensions,
                oid::ID_CE_SUBJECT_ALT_NAME,
                general_names,
                report,
            ),
        }
    }
}

impl<'a> BasicConstraints<'a> {
    fn read(value: &Node<'a>, report: &mut Report) -> Result<Self, Misshapen> {
        let mut fields = value.expect(tag::SEQUENCE, "BasicConstraints")?.fields();
        let flag = fields.optional(tag::BOOLEAN);
        let path_length = fields.optional(tag::INTEGER).map(|length| length.content);
        fields.end("the end of BasicConstraints")?;
        if let Some(flag) = flag.filter(|flag| flag.content == [0x00]) {
            default_omitted(flag, "cA FALSE", report);
        }
        Ok(Self { is_ca: flag.is_some_and(|flag| flag.content != [0x00]), path_length })
    }
}

fn key_usage(value: &Node<'_>, report: &mut Report) -> Result<KeyUsage, Misshapen> {
    let bits = value.expect(tag::BIT_STRING, "a KeyUsage")?;
    values::named_bits(bits, report);
    if bits.content.len() > 3 {
        return Err(Misshapen::at(bits.offset, "a KeyUsage of at most nine bits"));
    }
    Ok(KeyUsage::of(bits))
}

fn subject_key_identifier<'a>(value: &Node<'a>, _: &mut Report) -> Result<&'a [u8], Misshapen> {
    Ok(value.expect(tag::OCTET_STRING, "a SubjectKeyIdentifier")?.content)
}

impl<'a> AuthorityKeyIdentifier<'a> {
    pub(crate) fn read(value: &Node<'a>, report: &mut Report) -> Result<Self, Misshapen> {
        let mut fields = value.expect(tag::SEQUENCE, "an AuthorityKeyIdentifier")?.fields();
        let key_identifier = fields.optional(tag::context(0)).map(|key| key.content);
        let issuer = fields.optional(tag::context_constructed(1));
        let serial = fields.optional(tag::context(2));
        fields.end("the end of an AuthorityKeyIdentifier")?;
        for name in issuer.into_iter().flat_map(|issuer| &issuer.parts) {
            structure::judge_general_name(name, report)?;
        }
        if issuer.is_some() != serial.is_some() {
            return Err(Misshapen::at(value.offset, "authority issuer and serial together"));
        }
        Ok(Self { key_identifier, names_certificate: issuer.is_some() })
    }
}

fn purposes<'a>(value: &Node<'a>, _: &mut Report) -> Result<Vec<&'a [u8]>, Misshapen> {
    let list = value.expect(tag::SEQUENCE, "an ExtKeyUsageSyntax")?;
    let purposes = list.list(tag::OID, "a list of at least one KeyPurposeId")?;
    Ok(purposes.iter().map(|purpose| purpose.content).collect())
}

fn policies<'a>(value: &Node<'a>, _: &mut Report) -> Result<Vec<&'a [u8]>, Misshapen> {
    let list = value.expect(tag::SEQUENCE, "CertificatePolicies")?;
    let list = list.list(tag::SEQUENCE, "a list of at least one PolicyInformation")?;
    list.iter().map(policy).collect()
}

fn policy<'a>(information: &Node<'a>) -> Result<&'a [u8], Misshapen> {
    let mut fields = information.fields();
    let policy = fields.required(tag::OID, "a policyIdentifier")?;
    if let Some(qualifiers) = fields.optional(tag::SEQUENCE) {
        for qualifier in qualifiers.list(tag::SEQUENCE, "at least one PolicyQualifierInfo")? {
            let mut fields = qualifier.fields();
            fields.required(tag::OID, "a policyQualifierId")?;
            fields.any("a qualifier")?;
            fields.end("the end of a PolicyQualifierInfo")?;
        }
    }
    fields.end("the end of a PolicyInformation")?;
    Ok(policy.content)
}

fn distribution_points<'a>(
    value: &Node<'a>,
    report: &mut Report,
) -> Result<Vec<DistributionPoint<'a>>, Misshapen> {
    let list = value.expect(tag::SEQUENCE, "CRLDistributionPoints")?;
    let list = list.list(tag::SEQUENCE, "a list of at least one DistributionPoint")?;
    list.iter().map(|point| distribution_point(point, report)).collect()
}

fn distribution_point<'a>(
    point: &Node<'a>,
    report: &mut Report,
) -> Result<DistributionPoint<'a>, Misshapen> {
    let mut fields = point.fields();
    let name = fields.optional(tag::context_constructed(0));
    let reasons = fields.optional(tag::context(1));
    let issuer = fields.optional(tag::context_constructed(2));
    fields.end("the end of a DistributionPoint")?;
    if let Some(reasons) = reasons {
        values::bit_string_padding(reasons, report);
        values::named_bits(reasons, report);
    }
    let names = match name {
        None => Vec::new(),
        Some(name) => point_name(name, report)?,
    };
    Ok(DistributionPoint { names, is_limited: reasons.is_some() || issuer.is_some() })
}

/// The general names of a DistributionPointName's fullName; none for nameRelativeToCRLIssuer.
pub(crate) fn point_name<'a>(
    explicit: &Node<'a>,
    report: &mut Report,
) -> Result<Vec<GeneralName<'a>>, Misshapen> {
    let mut fields = explicit.fields();
    let name = fields.any("a DistributionPointName")?;
    fields.end("the end of a DistributionPointName")?;
    match name.tag {
        0xa0 => names(name, report),
        0xa1 => Ok(Vec::new()),
        _ => Err(Misshapen::at(name.offset, "a DistributionPointName")),
    }
}

fn access_descriptions<'a>(
    value: &Node<'a>,
    report: &mut Report,
) -> Result<Vec<AccessDescription<'a>>, Misshapen> {
    let list = value.expect(tag::SEQUENCE, "AuthorityInfoAccessSyntax")?;
    let list = list.list(tag::SEQUENCE, "a list of at least one AccessDescription")?;
    list.iter()
        .map(|description| {
            let mut fields = description.fields();
            let method = fields.required(tag::OID, "an accessMethod")?;
            let location = fields.any("an accessLocation")?;
            fields.end("the end of an AccessDescription")?;
            structure::judge_general_name(location, report)?;
            let location = GeneralName { tag: location.tag, content: location.content };
            Ok(AccessDescription { method: method.content, location })
        })
        .collect()
}

/// Reads a list of at least one GeneralName.
pub(crate) fn general_names<'a>(
    value: &Node<'a>,
    report: &mut Report,
) -> Result<Vec<GeneralName<'a>>, Misshapen> {
    names(value.expect(tag::SEQUENCE, "GeneralNames")?, report)
}

fn names<'a>(list: &Node<'a>, report: &mut Report) -> Result<Vec<GeneralName<'a>>, Misshapen> {
    if list.parts.is_empty() {
        return Err(Misshapen::at(list.offset, "at least one GeneralName"));
    }
    for name in &list.parts {
        structure::judge_general_name(name, report)?;
    }
    Ok(list.parts.iter().map(|name| GeneralName { tag: name.tag, content: name.content }).collect())
}
