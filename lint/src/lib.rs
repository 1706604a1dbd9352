//! A second opinion on finished DER: certificates, CRLs and OCSP responses, judged by their bytes.
//!
//! Every rule is one function with its clause; [`RULES`] lists them all. This room never sees a
//! builder and decodes the octets itself, because a library that hides a defect when it decodes
//! would hide it here too. Signatures are not verified here: structures are linted with a
//! placeholder signature before any key is touched (ARCHITECTURE.md, promise 1).
//!
//! Start at [`certificate`], [`crl`] or [`ocsp_response`].

mod certificate;
mod crl;
mod finding;
mod ocsp;
mod oid;
mod rules;
pub mod shape;
mod structure;
mod tree;
mod values;

use std::io::{self, Read};

use x509::key::{KeyType, SignatureAlgorithm};

pub use certificate::KnownIssuer;
pub use finding::{Finding, Findings, Place, RuleId};
pub use rules::{NEVER_IGNORED, RULES, Rule};
pub use shape::Shape;

/// What a certificate is for; decides which rules it must keep beside those for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A self-signed root.
    RootCa,
    /// A CA under a root, whose subjects are end entities.
    IssuingCa,
    /// The successor of a root, under the root that it follows (RFC 4210 §4.4.1).
    CrossCa,
    /// A delegated OCSP responder (RFC 6960 §4.2.2.2).
    OcspResponder,
    /// A person's certificate for authentication.
    PersonAuthentication,
    /// A person's certificate for signatures.
    PersonSignature,
    /// A function certificate: a server or a service of an organisation.
    Function,
    /// A machine of an organisation, which authenticates itself and serves nobody.
    Machine,
    /// A card that belongs to nobody yet.
    CardTransport,
    /// The self-signed CA of the management plane.
    ManagementCa,
    /// A server of the management plane.
    ManagementServer,
    /// A client of the management plane.
    ManagementClient,
    /// Issued by another operator: judged only by what holds for every certificate.
    Imported,
}

/// What is known about the issuer of the certificate that is judged.
#[derive(Clone, Copy, Debug)]
pub enum IssuerContext<'a> {
    /// The certificate is its own issuer.
    SelfSigned,
    /// The issuer's certificate, DER.
    Certificate(&'a [u8]),
    /// The issuer's certificate, which was read before.
    Known(&'a KnownIssuer),
    /// The issuer's certificate is not at hand, so that no rule about it is judged. For imported
    /// certificates only.
    NotAtHand,
}

/// Judges a finished certificate.
pub fn certificate(der: &[u8], issuer: &IssuerContext<'_>, kind: Kind) -> Findings {
    certificate::judge(der, issuer, kind)
}

/// Judges a finished certificate as [`certificate`] does, and that it is exactly what the profile and its issuer fix.
pub fn certificate_of(
    der: &[u8],
    issuer: &IssuerContext<'_>,
    kind: Kind,
    shape: &Shape<'_>,
) -> Findings {
    certificate::judge_of(der, issuer, kind, shape)
}

/// Judges a finished CertificateList, read once from start to end in constant memory.
///
/// `issuer_certificate` is the DER of the certificate whose subject issues the CRL.
///
/// # Errors
///
/// Only those of `source`; defects are findings.
pub fn crl(source: impl Read, issuer_certificate: &[u8]) -> io::Result<Findings> {
    crl::judge(source, issuer_certificate)
}

/// Judges a TBSCertList before it is signed, as the CertificateList it will become under a
/// placeholder signature of `algorithm` by a key of `key_type`.
///
/// `length` is the length of the TBSCertList in octets, its own header included.
///
/// # Errors
///
/// Only those of `source`; defects are findings.
pub fn to_be_signed_crl(
    source: impl Read,
    length: u64,
    algorithm: SignatureAlgorithm,
    key_type: KeyType,
    issuer_certificate: &[u8],
) -> io::Result<Findings> {
    crl::judge_to_be_signed(source, length, algorithm, key_type, issuer_certificate)
}

/// Judges a finished OCSPResponse.
///
/// `issuer_certificate` is the DER of the CA certificate whose certificates the answer is about;
/// the delegated responder's certificate is taken from the answer.
pub fn ocsp_response(der: &[u8], issuer_certificate: &[u8]) -> Findings {
    ocsp::judge(der, issuer_certificate)
}
