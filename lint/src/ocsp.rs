//! OCSP responses: the outer status, the basic response, its answers, the responder's certificate.

use x509::name::Name;

use crate::certificate::{self, Authority, algorithm_fits_key, read_fact};
use crate::crl::reason_is_stated;
use crate::finding::{Findings, Report};
use crate::oid::{self, Oid};
use crate::rules::{
    BY_KEY, CERT_ID, CERTIFICATE_INCLUDED, DEFAULT_OMITTED, EXTENDED_REVOKE, KNOWN_CRITICAL, NONCE,
    OCSP_NEXT_UPDATE, RESPONDER_KEY, RESPONSE_BYTES, SOME_ANSWER, TIME_ORDER, UNKNOWN_IS_SHORT,
    WITHIN_RESPONDER_VALIDITY,
};
use crate::structure::{self, Extensions};
use crate::tree::{self, Misshapen, Node, tag};
use crate::values::{self, Moment};
use crate::{IssuerContext, Kind};

/// The good and unknown of CertStatus: `[0]` and `[2]` IMPLICIT NULL; revoked is `[1]`.
const GOOD: u8 = tag::context(0);
const REVOKED: u8 = tag::context_constructed(1);
const UNKNOWN: u8 = tag::context(2);

/// Seconds that an answer unknown may be kept (promise 5): the certificate may be on its way.
const UNKNOWN_AT_MOST: u64 = 60;

/// Judges an OCSPResponse; see [`crate::ocsp_response`].
pub(crate) fn judge(der: &[u8], issuer_certificate: &[u8]) -> Findings {
    let mut report = Report::new("ocsp response");
    if let Err(misshapen) = judge_outer(der, issuer_certificate, &mut report) {
        misshapen.report(&mut report);
    }
    report.into_findings()
}

/// RFC 6960 §4.2.1: OCSPResponse.
fn judge_outer(der: &[u8], issuer: &[u8], report: &mut Report) -> Result<(), Misshapen> {
    let Some(root) = tree::read(der, 0, report) else { return Ok(()) };
    let mut fields = root.expect(tag::SEQUENCE, "an OCSPResponse")?.fields();
    let status = fields.required(tag::ENUMERATED, "a responseStatus")?;
    let bytes = fields.optional(tag::context_constructed(0));
    fields.end("the end of an OCSPResponse")?;
    response_bytes(status, bytes.is_some(), report);
    let Some(bytes) = bytes else { return Ok(()) };
    let mut explicit = bytes.fields();
    let bytes = explicit.required(tag::SEQUENCE, "ResponseBytes")?;
    explicit.end("the end of ResponseBytes")?;
    let mut fields = bytes.fields();
    let kind = fields.required(tag::OID, "a responseType")?;
    let response = fields.required(tag::OCTET_STRING, "a response")?;
    fields.end("the end of ResponseBytes")?;
    if kind.content != oid::ID_PKIX_OCSP_BASIC.as_bytes() {
        return Err(Misshapen::at(kind.offset, "id-pkix-ocsp-basic"));
    }
    report.enter("basic response");
    let Some(basic) = tree::parse(response.content, response.content_offset(), report) else {
        return Ok(());
    };
    Basic::read(&basic, report)?.judge(&basic, issuer, report)
}

/// RFC 6960 §2.3, §4.2.1: one of the six states, and an answer with successful (0) only.
fn response_bytes(status: &Node<'_>, has_bytes: bool, report: &mut Report) {
    let known = matches!(status.content, [0..=3 | 5 | 6]);
    if !known || has_bytes != (status.content == [0]) {
        let seen = format!("status {}, bytes: {has_bytes}", values::hex(status.content));
        report.add(&RESPONSE_BYTES, status.offset, seen);
    }
}

/// A BasicOCSPResponse (RFC 6960 §4.2.1).
#[derive(Debug)]
struct Basic<'t, 'a> {
    responder: &'t Node<'a>,
    produced_at: &'t Node<'a>,
    answers: Vec<Answer<'t, 'a>>,
    extensions: Extensions<'t, 'a>,
    algorithm: &'t Node<'a>,
    /// The `[0]` around the certificates.
    certificates: Option<&'t Node<'a>>,
}

/// A SingleResponse.
#[derive(Debug)]
struct Answer<'t, 'a> {
    id: CertId<'t, 'a>,
    status: &'t Node<'a>,
    this_update: &'t Node<'a>,
    next_update: Option<&'t Node<'a>>,
    extensions: Extensions<'t, 'a>,
}

/// A CertID (RFC 6960 §4.1.1).
#[derive(Debug)]
struct CertId<'t, 'a> {
    algorithm: &'t Node<'a>,
    name_hash: &'a [u8],
    key_hash: &'a [u8],
}

impl<'t, 'a> Basic<'t, 'a> {
    fn read(basic: &'t Node<'a>, report: &mut Report) -> Result<Self, Misshapen> {
        let mut outer = basic.expect(tag::SEQUENCE, "a BasicOCSPResponse")?.fields();
        let data = outer.required(tag::SEQUENCE, "a ResponseData")?;
        let algorithm = outer.required(tag::SEQUENCE, "a signatureAlgorithm")?;
        structure::algorithm(algorithm)?;
        let signature = outer.required(tag::BIT_STRING, "a signature")?;
        structure::whole_octets(signature, "a signature of whole octets")?;
        let certificates = outer.optional(tag::context_constructed(0));
        outer.end("the end of a BasicOCSPResponse")?;

        let mut fields = data.fields();
        if let Some(version) = fields.optional(tag::context_constructed(0)) {
            report.add(&DEFAULT_OMITTED, version.offset, "version v1 is written out");
        }
        let responder = fields.any("a responderID")?;
        let produced_at = fields.required(tag::GENERALIZED_TIME, "a producedAt")?;
        let answers = fields.required(tag::SEQUENCE, "responses")?;
        let answers = answers
            .parts
            .iter()
            .map(|answer| Answer::read(answer, report))
            .collect::<Result<Vec<_>, Misshapen>>()?;
        let extensions = read_extensions(fields.optional(tag::context_constructed(1)), report)?;
        fields.end("the end of a ResponseData")?;
        Ok(Self { responder, produced_at, answers, extensions, algorithm, certificates })
    }

    fn judge(&self, basic: &Node<'_>, issuer: &[u8], report: &mut Report) -> Result<(), Misshapen> {
        values::judge_except(basic, self.certificates, report);
        nonce(&self.extensions, report);
        if self.answers.is_empty() {
            report.add(&SOME_ANSWER, self.produced_at.offset, "no answer");
        }
        no_critical_extensions(&self.extensions, report);
        let ca = Authority::read(issuer, report);
        let extended = read_fact(
            &self.extensions,
            oid::ID_PKIX_OCSP_EXTENDED_REVOKE,
            |value, report| {
                values::null_empty(value.expect(tag::NULL, "an ExtendedRevoked")?, report);
                Ok(())
            },
            report,
        );
        for answer in &self.answers {
            answer.judge(self.produced_at, ca.as_ref(), report)?;
            answer.never_issued(extended, report)?;
        }
        self.judge_responder(issuer, ca.as_ref(), report)
    }

    /// RFC 6960 §4.2.2.2, RFC 9919 §3: one certificate, the delegate's, whose key signs.
    fn judge_responder(
        &self,
        issuer: &[u8],
        ca: Option<&Authority>,
        report: &mut Report,
    ) -> Result<(), Misshapen> {
        let offset = self.responder.offset;
        let by_key = self.by_key()?;
        if by_key.is_none() {
            report.add(&BY_KEY, offset, "responder by name");
        }
        let Some(delegate) = self.delegate(issuer, report)? else { return Ok(()) };
        if let (Some(named), Some(key)) = (by_key, &delegate.key)
            && named != key.key_bits_sha1()
        {
            report.add(&RESPONDER_KEY, offset, "another key than the certificate's");
        }
        algorithm_fits_key(self.algorithm, delegate.key.as_ref(), report);
        self.within_responder_validity(&delegate, ca, report);
        Ok(())
    }

    /// The SHA-1 of the responder's key, where it is named so.
    fn by_key(&self) -> Result<Option<&'a [u8]>, Misshapen> {
        let mut fields = self.responder.fields();
        let named = fields.any("a responderID")?;
        fields.end("the end of a responderID")?;
        match self.responder.tag {
            0xa1 => structure::attributes(named).map(|_| None),
            0xa2 => named.expect(tag::OCTET_STRING, "a KeyHash").map(|hash| Some(hash.content)),
            _ => Err(Misshapen::at(self.responder.offset, "a responderID")),
        }
    }

    /// Judges the delegate's certificate as what it is, and returns what it says.
    fn delegate(&self, issuer: &[u8], report: &mut Report) -> Result<Option<Authority>, Misshapen> {
        let list = self.certificates.and_then(|explicit| explicit.parts.first());
        let certificates = list.map(|list| list.parts.as_slice()).unwrap_or_default();
        let [certificate] = certificates else {
            let seen = format!("{} certificates", certificates.len());
            report.add(&CERTIFICATE_INCLUDED, self.responder.offset, seen);
            return Ok(None);
        };
        let outer = report.enter("responder certificate");
        let delegate = certificate::judge_within(
            certificate.octets,
            certificate.offset,
            &IssuerContext::Certificate(issuer),
            Kind::OcspResponder,
            report,
        );
        report.enter(outer);
        Ok(delegate)
    }

    /// Architecture 2.3: no answer outlives its signer, but for the final ones of a CA (decision 0035): those say 99991231235959Z and are
    /// signed by a delegate that ends with its CA.
    fn within_responder_validity(
        &self,
        delegate: &Authority,
        ca: Option<&Authority>,
        report: &mut Report,
    ) {
        let ends_with_ca =
            delegate.not_after.is_some() && ca.is_some_and(|ca| ca.not_after == delegate.not_after);
        let stands_for_ever = |answer: &&Answer<'_, '_>| {
            ends_with_ca
                && answer.next_update.is_some_and(|next| next.content == b"99991231235959Z")
        };
        for answer in self.answers.iter().filter(|answer| !stands_for_ever(answer)) {
            if let (Some(next), Some(ends)) =
                (answer.next_update.and_then(Moment::of), delegate.not_after)
                && next > ends
            {
                let seen = format!("nextUpdate {next}, the responder's certificate ends {ends}");
                report.add(&WITHIN_RESPONDER_VALIDITY, answer.this_update.offset, seen);
            }
        }
    }
}

fn read_extensions<'t, 'a>(
    explicit: Option<&'t Node<'a>>,
    report: &mut Report,
) -> Result<Extensions<'t, 'a>, Misshapen> {
    let Some(explicit) = explicit else { return Ok(Extensions::default()) };
    let mut fields = explicit.fields();
    let list = fields.required(tag::SEQUENCE, "Extensions")?;
    fields.end("the end of Extensions")?;
    Extensions::read(list, report)
}

impl<'t, 'a> Answer<'t, 'a> {
    fn read(answer: &'t Node<'a>, report: &mut Report) -> Result<Self, Misshapen> {
        let mut fields = answer.expect(tag::SEQUENCE, "a SingleResponse")?.fields();
        let id = CertId::read(fields.required(tag::SEQUENCE, "a certID")?)?;
        let status = fields.any("a certStatus")?;
        let this_update = fields.required(tag::GENERALIZED_TIME, "a thisUpdate")?;
        let next_update = match fields.optional(tag::context_constructed(0)) {
            None => None,
            Some(explicit) => {
                let mut inner = explicit.fields();
                let time = inner.required(tag::GENERALIZED_TIME, "a nextUpdate")?;
                inner.end("the end of a nextUpdate")?;
                Some(time)
            }
        };
        let extensions = read_extensions(fields.optional(tag::context_constructed(1)), report)?;
        fields.end("the end of a SingleResponse")?;
        Ok(Self { id, status, this_update, next_update, extensions })
    }

    fn judge(
        &self,
        produced_at: &Node<'_>,
        issuer: Option<&Authority>,
        report: &mut Report,
    ) -> Result<(), Misshapen> {
        self.id.judge(issuer, report);
        match self.status.tag {
            GOOD | UNKNOWN => values::null_empty(self.status, report),
            REVOKED => judge_revoked(self.status, report)?,
            _ => return Err(Misshapen::at(self.status.offset, "a certStatus")),
        }
        no_critical_extensions(&self.extensions, report);
        self.times(produced_at, report);
        Ok(())
    }

    /// RFC 6960 §2.4, RFC 5019 §2.2.4: nextUpdate always; thisUpdate ≤ producedAt < nextUpdate;
    /// unknown for a minute at most.
    fn times(&self, produced_at: &Node<'_>, report: &mut Report) {
        let offset = self.this_update.offset;
        let Some(next_update) = self.next_update else {
            report.add(&OCSP_NEXT_UPDATE, offset, "no nextUpdate");
            return;
        };
        let (Some(this), Some(produced), Some(next)) =
            (Moment::of(self.this_update), Moment::of(produced_at), Moment::of(next_update))
        else {
            return;
        };
        if !(this <= produced && produced < next) {
            let seen = format!("thisUpdate {this}, producedAt {produced}, nextUpdate {next}");
            report.add(&TIME_ORDER, offset, seen);
        } else if let (true, Some(produced), Some(next)) =
            (self.is_of_never_issued(), produced.unix(), next.unix())
            && next.since(produced).as_secs() > UNKNOWN_AT_MOST
        {
            report.add(&UNKNOWN_IS_SHORT, offset, format!("unknown from {produced} to {next}"));
        }
    }

    /// Whether it says that the certificate was never issued: unknown, or revoked since 1970.
    fn is_of_never_issued(&self) -> bool {
        self.status.tag == UNKNOWN || self.is_revoked_since_1970()
    }

    fn is_revoked_since_1970(&self) -> bool {
        let at = self.status.parts.first().filter(|_| self.status.tag == REVOKED);
        let at = at.and_then(Moment::of).and_then(Moment::unix);
        at.is_some_and(|at| at.secs() == 0)
    }

    /// RFC 6960 §2.2: revoked since 1970 is certificateHold in a response with extended-revoke.
    fn never_issued(&self, extended: Option<()>, report: &mut Report) -> Result<(), Misshapen> {
        if !self.is_revoked_since_1970() {
            return Ok(());
        }
        let mut fields = self.status.fields();
        fields.required(tag::GENERALIZED_TIME, "a revocationTime")?;
        let reason = fields.optional(tag::context_constructed(0));
        let reason = reason.and_then(|explicit| explicit.parts.first());
        let is_hold = reason.is_some_and(|reason| reason.content == [6]);
        if !is_hold || extended.is_none() {
            let seen = format!("hold: {is_hold}, extended-revoke: {}", extended.is_some());
            report.add(&EXTENDED_REVOKE, self.status.offset, seen);
        }
        Ok(())
    }
}

/// RFC 6960 §4.2.1 RevokedInfo; the reason as in a CRL.
fn judge_revoked(revoked: &Node<'_>, report: &mut Report) -> Result<(), Misshapen> {
    let mut fields = revoked.fields();
    fields.required(tag::GENERALIZED_TIME, "a revocationTime")?;
    let reason = fields.optional(tag::context_constructed(0));
    fields.end("the end of a RevokedInfo")?;
    if let Some(reason) = reason {
        let mut fields = reason.fields();
        let reason = fields.required(tag::ENUMERATED, "a revocationReason")?;
        fields.end("the end of a revocationReason")?;
        reason_is_stated(reason.content, reason.offset, report);
    }
    Ok(())
}

impl<'t, 'a> CertId<'t, 'a> {
    fn read(id: &'t Node<'a>) -> Result<Self, Misshapen> {
        let mut fields = id.fields();
        let algorithm = fields.required(tag::SEQUENCE, "a hashAlgorithm")?;
        structure::algorithm(algorithm)?;
        let name_hash = fields.required(tag::OCTET_STRING, "an issuerNameHash")?.content;
        let key_hash = fields.required(tag::OCTET_STRING, "an issuerKeyHash")?.content;
        fields.required(tag::INTEGER, "a serialNumber")?;
        fields.end("the end of a CertID")?;
        Ok(Self { algorithm, name_hash, key_hash })
    }

    /// RFC 6960 §4.1.1: hashes of the length that the algorithm says, of the issuer's name and key.
    fn judge(&self, issuer: Option<&Authority>, report: &mut Report) {
        const LENGTHS: [(Oid, usize); 4] = [
            (oid::ID_SHA_1, 20),
            (oid::ID_SHA_256, 32),
            (oid::ID_SHA_384, 48),
            (oid::ID_SHA_512, 64),
        ];
        let algorithm = self.algorithm.parts.first().map(|id| id.content).unwrap_or_default();
        let length = LENGTHS.iter().find(|(id, _)| id.as_bytes() == algorithm);
        let fits = length.is_some_and(|(_, length)| {
            [self.name_hash, self.key_hash].iter().all(|hash| hash.len() == *length)
        });
        let is_of_issuer = issuer.is_none_or(|issuer| {
            let key = issuer.key.as_ref();
            let name = Name::from_der(&issuer.subject).ok();
            let (key, name) = match self.key_hash.len() {
                20 => {
                    (key.map(|it| it.key_bits_sha1().to_vec()), name.map(|it| it.sha1().to_vec()))
                }
                32 => (
                    key.map(|it| it.key_bits_sha256().to_vec()),
                    name.map(|it| it.sha256().to_vec()),
                ),
                // No function of `x509` counts by the longer hashes.
                _ => (None, None),
            };
            key.is_none_or(|hash| hash == self.key_hash)
                && name.is_none_or(|hash| hash == self.name_hash)
        });
        if !(fits && is_of_issuer) {
            let seen = format!("hashes by {} of another length or issuer", oid::dotted(algorithm));
            report.add(&CERT_ID, self.algorithm.offset, seen);
        }
    }
}

/// RFC 9654 §2.1: an OCTET STRING of 1 to 128 octets.
fn nonce(extensions: &Extensions<'_, '_>, report: &mut Report) {
    let value = read_fact(
        extensions,
        oid::ID_PKIX_OCSP_NONCE,
        |value, _| Ok((value.expect(tag::OCTET_STRING, "a nonce")?.content.len(), value.offset)),
        report,
    );
    if let Some((length, offset)) = value.filter(|(length, _)| !(1..=128).contains(length)) {
        report.add(&NONCE, offset, format!("a nonce of {length} octets"));
    }
}

/// RFC 6960 §4.4: no extension of an answer has to be understood.
fn no_critical_extensions(extensions: &Extensions<'_, '_>, report: &mut Report) {
    for extension in extensions.iter().filter(|extension| extension.critical) {
        report.add(
            &KNOWN_CRITICAL,
            extension.id.offset,
            format!("{} is critical", extension.name()),
        );
    }
}
