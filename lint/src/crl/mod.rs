//! CRLs, read once from start to end: fields are kept, entries are judged as they pass.

mod entry;
mod fields;
mod source;
mod usual;

use std::io::{self, Read};

use x509::der::Encode;
use x509::der::asn1::BitStringRef;
use x509::key::{KeyType, SignatureAlgorithm};

use crate::certificate::Authority;
use crate::finding::{Findings, Report};
use crate::tree::{Misshapen, tag};

pub(crate) use entry::reason_is_stated;

use entry::Entries;
use source::{Begun, Source};

/// Octets of one field that is not the list of entries. Names and extensions need far fewer.
const LONGEST_FIELD: u64 = 1 << 20;

/// Judges a CertificateList; see [`crate::crl`].
pub(crate) fn judge(source: impl Read, issuer_certificate: &[u8]) -> io::Result<Findings> {
    let mut report = Report::new("crl");
    let mut source = Source::new(source);
    if let Some(issuer) = Authority::read(issuer_certificate, &mut report)
        && let Some(parts) = Parts::read(&mut source, &mut report)?
    {
        fields::judge(&parts, &issuer, &mut report);
    }
    Ok(report.into_findings())
}

/// Judges a TBSCertList under a placeholder signature; see [`crate::to_be_signed_crl`].
pub(crate) fn judge_to_be_signed(
    source: impl Read,
    length: u64,
    algorithm: SignatureAlgorithm,
    key_type: KeyType,
    issuer_certificate: &[u8],
) -> io::Result<Findings> {
    let placeholder = algorithm.placeholder(key_type);
    let mut after = algorithm.identifier_der();
    BitStringRef::from_bytes(&placeholder)
        .and_then(|signature| signature.encode_to_vec(&mut after))
        .map_err(io::Error::other)?;
    let whole = u64::try_from(after.len()).map_err(io::Error::other)?.saturating_add(length);
    let before = sequence_header(whole);
    judge(before.as_slice().chain(source.take(length)).chain(after.as_slice()), issuer_certificate)
}

/// The identifier and length octets of a SEQUENCE, in the fewest octets.
fn sequence_header(length: u64) -> Vec<u8> {
    let octets = length.to_be_bytes();
    let skipped = octets.iter().take_while(|octet| **octet == 0).count();
    let significant = octets.get(skipped..).unwrap_or_default();
    match (significant, u8::try_from(significant.len())) {
        ([], _) => vec![tag::SEQUENCE, 0],
        ([short @ 0..=0x7f], _) => vec![tag::SEQUENCE, *short],
        (long, count) => {
            let mut header = vec![tag::SEQUENCE, 0x80 | count.unwrap_or(8)];
            header.extend_from_slice(long);
            header
        }
    }
}

/// The octets of one field and where they stood.
#[derive(Debug)]
struct Field {
    offset: u64,
    octets: Vec<u8>,
}

/// A CertificateList whose entries have passed by.
#[derive(Debug)]
struct Parts {
    /// Of the TBSCertList, without the entries.
    to_be_signed: Vec<Field>,
    entries: Option<Entries>,
    algorithm: Field,
    signature: Field,
}

impl Parts {
    /// `None` after a finding that stops reading.
    fn read<R: Read>(source: &mut Source<R>, report: &mut Report) -> io::Result<Option<Self>> {
        let Some(outer) = source.begin(u64::MAX, report)? else { return Ok(None) };
        if outer.header.tag != tag::SEQUENCE {
            Misshapen::at(outer.offset, "a CertificateList").report(report);
            return Ok(None);
        }
        let mut left = outer.header.length;
        let Some(inner) = source.begin(left, report)? else { return Ok(None) };
        if inner.header.tag != tag::SEQUENCE {
            Misshapen::at(inner.offset, "a TBSCertList").report(report);
            return Ok(None);
        }
        left = left.saturating_sub(inner.length());
        let Some((to_be_signed, entries)) = read_to_be_signed(source, &inner, report)? else {
            return Ok(None);
        };
        let Some(algorithm) = read_field(source, &mut left, report)? else { return Ok(None) };
        let Some(signature) = read_field(source, &mut left, report)? else { return Ok(None) };
        if left > 0 {
            Misshapen::at(source.offset(), "the end of a CertificateList").report(report);
            return Ok(None);
        }
        source.end(report)?;
        Ok(Some(Self { to_be_signed, entries, algorithm, signature }))
    }
}

type ToBeSigned = (Vec<Field>, Option<Entries>);

fn read_to_be_signed<R: Read>(
    source: &mut Source<R>,
    begun: &Begun,
    report: &mut Report,
) -> io::Result<Option<ToBeSigned>> {
    let mut left = begun.header.length;
    let (mut fields, mut entries) = (Vec::<Field>::new(), None);
    while left > 0 {
        let Some(next) = source.begin(left, report)? else { return Ok(None) };
        left = left.saturating_sub(next.length());
        let after_time = fields.last().is_some_and(Field::is_time);
        if after_time && next.header.tag == tag::SEQUENCE && entries.is_none() {
            entries = Entries::read(source, &next, report)?;
            if entries.is_none() {
                return Ok(None);
            }
            continue;
        }
        let Some(field) = source.finish(next, LONGEST_FIELD, report)? else { return Ok(None) };
        if entries.is_some() && field.is_time() {
            Misshapen::at(field.offset, "crlExtensions").report(report);
            return Ok(None);
        }
        fields.push(field);
    }
    Ok(Some((fields, entries)))
}

fn read_field<R: Read>(
    source: &mut Source<R>,
    left: &mut u64,
    report: &mut Report,
) -> io::Result<Option<Field>> {
    let Some(begun) = source.begin(*left, report)? else { return Ok(None) };
    *left = left.saturating_sub(begun.length());
    source.finish(begun, LONGEST_FIELD, report)
}

impl Field {
    fn is_time(&self) -> bool {
        matches!(self.octets.first(), Some(&(tag::UTC_TIME | tag::GENERALIZED_TIME)))
    }
}
