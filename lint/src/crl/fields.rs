//! Rules for everything of a CRL but its entries.

use crate::certificate::{
    Authority, AuthorityKeyIdentifier, algorithm_fits_key, algorithms_agree,
    authority_key_identifier_bytes, general_names, point_name, read_fact, time_choice,
};
use crate::finding::Report;
use crate::oid::{self, Oid};
use crate::rules::{
    CRL_AUTHORITY_KEY_IDENTIFIER, CRL_NUMBER, DELTA_CRITICAL, FRESHEST_ONLY_IN_FULL, ISSUER_BYTES,
    ISSUER_MAY_SIGN, KNOWN_CRITICAL, NEXT_UPDATE, NOT_CRITICAL, POINT_CRITICAL, POINT_NOT_EMPTY,
    POINT_SCOPE, REASON, UPDATE_ORDER, VERSION_2,
};
use crate::structure::{self, Extensions, KeyUsage, default_omitted};
use crate::tree::{self, Fields, Misshapen, Node, tag};
use crate::values::{self, Moment, hex};

use super::{Field, Parts};

/// Judges the fields around the entries.
pub(super) fn judge(parts: &Parts, issuer: &Authority, report: &mut Report) {
    let nodes: Option<Vec<Node<'_>>> =
        parts.to_be_signed.iter().map(|field| field.node(report)).collect();
    let (outer, signature) = (parts.algorithm.node(report), parts.signature.node(report));
    let (Some(nodes), Some(outer), Some(signature)) = (nodes, outer, signature) else { return };
    match List::read(&nodes, &outer, &signature, report) {
        Ok(list) => list.judge(parts, issuer, report),
        Err(misshapen) => misshapen.report(report),
    }
}

impl Field {
    fn node(&self, report: &mut Report) -> Option<Node<'_>> {
        tree::parse(&self.octets, self.offset, report)
    }
}

/// A CertificateList without its entries (RFC 5280 §5.1).
#[derive(Debug)]
struct List<'t, 'a> {
    nodes: &'t [Node<'a>],
    version: Option<&'t Node<'a>>,
    inner_algorithm: &'t Node<'a>,
    issuer: &'t Node<'a>,
    this_update: &'t Node<'a>,
    next_update: Option<&'t Node<'a>>,
    extensions: Extensions<'t, 'a>,
    outer_algorithm: &'t Node<'a>,
    facts: Facts<'a>,
}

/// What the extensions say.
#[derive(Debug)]
struct Facts<'a> {
    authority_key_identifier: Option<AuthorityKeyIdentifier<'a>>,
    number: Option<&'a [u8]>,
    base_number: Option<&'a [u8]>,
    point: Option<Point>,
}

/// An issuing distribution point (RFC 5280 §5.2.5).
#[derive(Debug)]
struct Point {
    is_empty: bool,
    /// How many of the three kinds of certificates it is limited to.
    kinds: usize,
    has_reasons: bool,
    is_indirect: bool,
}

impl<'t, 'a> List<'t, 'a> {
    fn read(
        nodes: &'t [Node<'a>],
        outer_algorithm: &'t Node<'a>,
        signature: &'t Node<'a>,
        report: &mut Report,
    ) -> Result<Self, Misshapen> {
        structure::algorithm(outer_algorithm)?;
        structure::whole_octets(signature, "a signatureValue of whole octets")?;
        let mut fields = Fields::over(nodes, outer_algorithm.offset);
        let version = fields.optional(tag::INTEGER);
        let inner_algorithm = fields.required(tag::SEQUENCE, "a signature")?;
        structure::algorithm(inner_algorithm)?;
        let issuer = fields.required(tag::SEQUENCE, "an issuer")?;
        structure::attributes(issuer)?;
        let this_update = fields.any("a thisUpdate")?;
        if !structure::is_time(this_update) {
            return Err(Misshapen::at(this_update.offset, "a thisUpdate"));
        }
        let next_update =
            fields.optional(tag::UTC_TIME).or_else(|| fields.optional(tag::GENERALIZED_TIME));
        let extensions = match fields.optional(tag::context_constructed(0)) {
            None => Extensions::default(),
            Some(explicit) => {
                let mut inner = explicit.fields();
                let list = inner.required(tag::SEQUENCE, "crlExtensions")?;
                inner.end("the end of crlExtensions")?;
                Extensions::read(list, report)?
            }
        };
        fields.end("the end of a TBSCertList")?;
        let facts = Facts::of(&extensions, report);
        Ok(Self {
            nodes,
            version,
            inner_algorithm,
            issuer,
            this_update,
            next_update,
            extensions,
            outer_algorithm,
            facts,
        })
    }

    fn judge(&self, parts: &Parts, issuer: &Authority, report: &mut Report) {
        let copied = (issuer.subject == self.issuer.octets).then_some(self.issuer);
        for node in self.nodes.iter().chain([self.outer_algorithm]) {
            values::judge_except(node, copied, report);
        }
        if !report.is_readable() {
            return;
        }
        let entries = parts.entries.as_ref();
        self.version_2(entries.is_some_and(|entries| entries.has_extensions), report);
        self.issuer_bytes(issuer, report);
        issuer_may_sign(issuer, self.issuer.offset, report);
        algorithms_agree(self.inner_algorithm, self.outer_algorithm, report);
        algorithm_fits_key(self.inner_algorithm, issuer.key.as_ref(), report);
        time_choice(self.this_update, report);
        self.next_update(report);
        self.authority_key_identifier(issuer, report);
        self.number(report);
        self.delta_critical(report);
        self.remove_only_in_delta(entries.and_then(|entries| entries.removed_at), report);
        self.freshest_only_in_full(report);
        self.point(report);
        self.criticality(report);
    }

    /// RFC 5280 §5.1.2.1: extensions, which every CRL of ours has, need version 2.
    fn version_2(&self, entries_have_extensions: bool, report: &mut Report) {
        let needed = self.extensions.iter().len() > 0 || entries_have_extensions;
        let version = self.version.map(|version| version.content);
        if needed && version != Some(&[1]) {
            let offset = self.version.map_or(self.inner_algorithm.offset, |it| it.offset);
            report.add(&VERSION_2, offset, "extensions in another version than 2");
        }
    }

    /// RFC 5280 §5.1.2.3: the CA's subject, byte for byte.
    fn issuer_bytes(&self, issuer: &Authority, report: &mut Report) {
        if issuer.subject != self.issuer.octets {
            let seen = "other octets than the issuer's subject";
            report.add(&ISSUER_BYTES, self.issuer.offset, seen);
        }
    }

    /// RFC 5280 §5.1.2.5: present; later than thisUpdate.
    fn next_update(&self, report: &mut Report) {
        let Some(next) = self.next_update else {
            report.add(&NEXT_UPDATE, self.this_update.offset, "no nextUpdate");
            return;
        };
        time_choice(next, report);
        if let (Some(this), Some(after)) = (Moment::of(self.this_update), Moment::of(next))
            && after <= this
        {
            let seen = format!("thisUpdate {this}, nextUpdate {after}");
            report.add(&UPDATE_ORDER, next.offset, seen);
        }
    }

    /// RFC 5280 §5.2.1: present with a keyIdentifier, which is the issuer's.
    fn authority_key_identifier(&self, issuer: &Authority, report: &mut Report) {
        let identifier = self.facts.authority_key_identifier.as_ref();
        match identifier.and_then(|identifier| identifier.key_identifier) {
            None => {
                let seen = "no key identifier of the issuer";
                report.add(&CRL_AUTHORITY_KEY_IDENTIFIER, self.issuer.offset, seen);
            }
            Some(identifier) => {
                let offset = self.issuer.offset;
                authority_key_identifier_bytes(issuer, identifier, offset, report);
            }
        }
    }

    /// RFC 5280 §5.2.3: present, not negative, at most 20 octets; a delta's base is no later than
    /// the delta (§5.2.4).
    fn number(&self, report: &mut Report) {
        let legal =
            |octets: &[u8]| octets.len() <= 20 && octets.first().is_some_and(|first| *first < 0x80);
        let wrong = match (self.facts.number, self.facts.base_number) {
            (None, _) => Some("no cRLNumber".to_owned()),
            (Some(number), base) => [Some(number), base]
                .into_iter()
                .flatten()
                .find(|number| !legal(number))
                .map(|number| format!("number {}", hex(number)))
                .or_else(|| {
                    let base = base.filter(|base| (base.len(), *base) > (number.len(), number))?;
                    Some(format!("number {} below its base {}", hex(number), hex(base)))
                }),
        };
        if let Some(seen) = wrong {
            report.add(&CRL_NUMBER, self.issuer.offset, seen);
        }
    }

    /// RFC 5280 §5.2.4.
    fn delta_critical(&self, report: &mut Report) {
        let extension = self.extensions.find(oid::ID_CE_DELTA_CRL_INDICATOR);
        if let Some(extension) = extension.filter(|extension| !extension.critical) {
            report.add(&DELTA_CRITICAL, extension.id.offset, "not critical");
        }
    }

    /// RFC 5280 §5.3.1: removeFromCRL stands in delta CRLs alone.
    fn remove_only_in_delta(&self, removed_at: Option<u64>, report: &mut Report) {
        if let (Some(offset), None) = (removed_at, self.facts.base_number) {
            report.add(&REASON, offset, "removeFromCRL in a full CRL");
        }
    }

    /// RFC 5280 §5.2.6: a delta CRL points to no other delta.
    fn freshest_only_in_full(&self, report: &mut Report) {
        let freshest = self.extensions.find(oid::ID_CE_FRESHEST_CRL);
        if let (Some(extension), Some(_)) = (freshest, self.facts.base_number) {
            report.add(&FRESHEST_ONLY_IN_FULL, extension.id.offset, "freshestCRL in a delta");
        }
    }

    /// RFC 5280 §5.2.5: critical, not empty, of one kind of certificates at most, for all reasons,
    /// for its own issuer.
    fn point(&self, report: &mut Report) {
        let extension = self.extensions.find(oid::ID_CE_ISSUING_DISTRIBUTION_POINT);
        let (Some(extension), Some(point)) = (extension, &self.facts.point) else { return };
        let offset = extension.id.offset;
        if !extension.critical {
            report.add(&POINT_CRITICAL, offset, "not critical");
        }
        if point.is_empty {
            report.add(&POINT_NOT_EMPTY, offset, "an empty issuing distribution point");
        }
        if point.kinds > 1 || point.has_reasons || point.is_indirect {
            report.add(&POINT_SCOPE, offset, "two kinds, some reasons or an indirect CRL");
        }
    }

    /// RFC 5280 §5.2: only the issuing distribution point and the delta indicator are critical.
    fn criticality(&self, report: &mut Report) {
        const NEVER: [Oid; 6] = [
            oid::ID_CE_AUTHORITY_KEY_IDENTIFIER,
            oid::ID_CE_ISSUER_ALT_NAME,
            oid::ID_CE_CRL_NUMBER,
            oid::ID_CE_FRESHEST_CRL,
            oid::ID_PE_AUTHORITY_INFO_ACCESS,
            oid::ID_CE_EXPIRED_CERTS_ON_CRL,
        ];
        const MAY_BE: [Oid; 2] =
            [oid::ID_CE_ISSUING_DISTRIBUTION_POINT, oid::ID_CE_DELTA_CRL_INDICATOR];
        for extension in self.extensions.iter().filter(|extension| extension.critical) {
            let seen = format!("{} is critical", extension.name());
            if NEVER.iter().any(|id| extension.is(*id)) {
                report.add(&NOT_CRITICAL, extension.id.offset, seen);
            } else if !MAY_BE.iter().any(|id| extension.is(*id)) {
                report.add(&KNOWN_CRITICAL, extension.id.offset, seen);
            }
        }
    }
}

/// RFC 5280 §4.2.1.3: who signs CRLs has cRLSign.
fn issuer_may_sign(issuer: &Authority, offset: u64, report: &mut Report) {
    if issuer.key_usage.is_some_and(|usage| !usage.has(KeyUsage::CRL_SIGN)) {
        report.add(&ISSUER_MAY_SIGN, offset, "the issuer's certificate has no cRLSign");
    }
}

impl<'a> Facts<'a> {
    fn of(extensions: &Extensions<'_, 'a>, report: &mut Report) -> Self {
        read_fact(extensions, oid::ID_CE_ISSUER_ALT_NAME, general_names, report);
        read_fact(extensions, oid::ID_CE_EXPIRED_CERTS_ON_CRL, expired_certificates, report);
        Self {
            authority_key_identifier: read_fact(
                extensions,
                oid::ID_CE_AUTHORITY_KEY_IDENTIFIER,
                AuthorityKeyIdentifier::read,
                report,
            ),
            number: read_fact(extensions, oid::ID_CE_CRL_NUMBER, number, report),
            base_number: read_fact(extensions, oid::ID_CE_DELTA_CRL_INDICATOR, number, report),
            point: read_fact(
                extensions,
                oid::ID_CE_ISSUING_DISTRIBUTION_POINT,
                Point::read,
                report,
            ),
        }
    }
}

fn number<'a>(value: &Node<'a>, _: &mut Report) -> Result<&'a [u8], Misshapen> {
    Ok(value.expect(tag::INTEGER, "a CRL number")?.content)
}

fn expired_certificates(value: &Node<'_>, _: &mut Report) -> Result<(), Misshapen> {
    value.expect(tag::GENERALIZED_TIME, "an ExpiredCertsOnCRL").map(|_| ())
}

impl Point {
    fn read(value: &Node<'_>, report: &mut Report) -> Result<Self, Misshapen> {
        let mut fields = value.expect(tag::SEQUENCE, "an IssuingDistributionPoint")?.fields();
        if let Some(name) = fields.optional(tag::context_constructed(0)) {
            point_name(name, report)?;
        }
        let users = flag(&mut fields, 1, report);
        let cas = flag(&mut fields, 2, report);
        let reasons = fields.optional(tag::context(3));
        let indirect = flag(&mut fields, 4, report);
        let attributes = flag(&mut fields, 5, report);
        fields.end("the end of an IssuingDistributionPoint")?;
        if let Some(reasons) = reasons {
            values::bit_string_padding(reasons, report);
            values::named_bits(reasons, report);
        }
        let kinds = [users, cas, attributes].into_iter().filter(|is_set| *is_set).count();
        Ok(Self {
            is_empty: value.parts.is_empty(),
            kinds,
            has_reasons: reasons.is_some(),
            is_indirect: indirect,
        })
    }
}

/// An implicit BOOLEAN DEFAULT FALSE.
fn flag(fields: &mut Fields<'_, '_>, number: u8, report: &mut Report) -> bool {
    let Some(flag) = fields.optional(tag::context(number)) else { return false };
    values::boolean(flag, report);
    if flag.content == [0x00] {
        default_omitted(flag, "a flag that is FALSE", report);
    }
    flag.content != [0x00]
}
