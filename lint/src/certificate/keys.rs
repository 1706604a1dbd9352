//! Rules for the public key and the identifiers made of it.

use sha1::{Digest as _, Sha1};

use crate::Kind;
use crate::finding::Report;
use crate::oid::{self, Oid};
use crate::rules::{
    EC_POINT, ISSUER_KEY, KEY_ALGORITHM, KEY_IDENTIFIER_ALONE, KEY_IDENTIFIER_METHOD, RSA_EXPONENT,
    RSA_MODULUS,
};
use crate::tree::{Node, tag};
use crate::values::hex;

use super::Judged;

/// Modulus of the shortest RSA key that is certified, in octets: 2048 bits.
const SHORTEST_MODULUS: usize = 256;

/// A SubjectPublicKeyInfo in parts.
#[derive(Debug)]
pub(super) struct SubjectKey<'t, 'a> {
    pub(super) info: &'t Node<'a>,
    pub(super) algorithm: &'t Node<'a>,
    /// What subjectPublicKey holds, without the count of unused bits.
    pub(super) bits: &'a [u8],
    /// RSAPublicKey, where the bits are a SEQUENCE that can be read.
    pub(super) rsa: Option<Node<'a>>,
}

impl<'a> SubjectKey<'_, 'a> {
    pub(super) fn is(&self, algorithm: Oid) -> bool {
        self.algorithm.parts.first().is_some_and(|id| id.content == algorithm.as_bytes())
    }

    fn parameters(&self) -> Option<&Node<'a>> {
        self.algorithm.parts.get(1)
    }

    fn names_curve(&self, curve: Oid) -> bool {
        self.parameters().is_some_and(|it| it.tag == tag::OID && it.content == curve.as_bytes())
    }

    /// Modulus and exponent, if this is RSA.
    fn rsa_parts(&self) -> Option<(&Node<'a>, &Node<'a>)> {
        let parts = self.rsa.as_ref().filter(|_| self.is(oid::RSA_ENCRYPTION))?.parts.as_slice();
        let [modulus, exponent] = parts else { return None };
        Some((modulus, exponent))
    }
}

/// RFC 5480 §2.1.1, RFC 4055 §1.2, RFC 8410 §3: RSA with NULL, P-256 or P-384 by its name, Ed25519 with nothing.
pub(super) fn key_algorithm(judged: &Judged<'_, '_>, report: &mut Report) {
    let key = &judged.certificate.key;
    let null = |it: &Node<'_>| it.tag == tag::NULL;
    let known = if key.is(oid::RSA_ENCRYPTION) {
        key.parameters().is_some_and(null) && key.rsa_parts().is_some()
    } else if key.is(oid::EC_PUBLIC_KEY) {
        key.names_curve(oid::SECP_256_R1) || key.names_curve(oid::SECP_384_R1)
    } else {
        key.is(oid::ED25519) && key.parameters().is_none() && key.bits.len() == 32
    };
    if !known && judged.kind != Kind::Imported {
        report.add(&KEY_ALGORITHM, key.algorithm.offset, hex(key.algorithm.octets));
    }
}

/// RFC 5480 §2.2: the uncompressed form of a point of the curve.
pub(super) fn ec_point(judged: &Judged<'_, '_>, report: &mut Report) {
    let key = &judged.certificate.key;
    let length = match (key.names_curve(oid::SECP_256_R1), key.names_curve(oid::SECP_384_R1)) {
        (true, _) => 65,
        (_, true) => 97,
        _ => return,
    };
    if judged.kind != Kind::Imported && (key.bits.first() != Some(&4) || key.bits.len() != length) {
        let seen = format!("{} octets that begin with {}", key.bits.len(), hex(key.bits));
        report.add(&EC_POINT, key.info.offset, seen);
    }
}

/// TLS BR §6.1.5, RFC 8017 §3.1: an odd number of at least 2048 bits.
pub(super) fn rsa_modulus(judged: &Judged<'_, '_>, report: &mut Report) {
    let Some((modulus, _)) = judged.certificate.key.rsa_parts() else { return };
    let digits = magnitude(modulus);
    let long = digits.len() > SHORTEST_MODULUS
        || digits.len() == SHORTEST_MODULUS && digits.first().is_some_and(|first| *first >= 0x80);
    if judged.kind != Kind::Imported && !(long && is_odd(digits) && is_positive(modulus)) {
        let seen = format!("{} octets: {}", digits.len(), hex(modulus.content));
        report.add(&RSA_MODULUS, judged.certificate.key.info.offset, seen);
    }
}

/// TLS BR §6.1.6: an odd number from 65537 to 2^256.
pub(super) fn rsa_exponent(judged: &Judged<'_, '_>, report: &mut Report) {
    let Some((_, exponent)) = judged.certificate.key.rsa_parts() else { return };
    let digits = magnitude(exponent);
    let large = digits.len() > 3 || digits.len() == 3 && digits >= &[1, 0, 1][..];
    let sound = large && digits.len() <= 32 && is_odd(digits) && is_positive(exponent);
    if judged.kind != Kind::Imported && !sound {
        let offset = judged.certificate.key.info.offset;
        report.add(&RSA_EXPONENT, offset, format!("exponent {}", hex(exponent.content)));
    }
}

/// TR K6.4: no subscriber has a CA's key.
pub(super) fn issuer_key(judged: &Judged<'_, '_>, report: &mut Report) {
    let Some(issuer) = judged.issuer.filter(|_| !judged.self_signed) else { return };
    let info = judged.certificate.key.info;
    let same = issuer.key.as_ref().is_some_and(|key| key.spki_der() == info.octets);
    if same && judged.kind != Kind::Imported {
        report.add(&ISSUER_KEY, info.offset, "the key of the issuer");
    }
}

/// RFC 5280 §4.2.1.2, method 1: SHA-1 of the key's bits, as all of ours are.
pub(super) fn key_identifier_method(judged: &Judged<'_, '_>, report: &mut Report) {
    let identifier = judged.certificate.facts.subject_key_identifier;
    // An empty one has a rule of its own.
    let Some(identifier) = identifier.filter(|it| !it.is_empty()) else { return };
    if judged.kind != Kind::Imported && Sha1::digest(judged.certificate.key.bits)[..] != *identifier
    {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&KEY_IDENTIFIER_METHOD, offset, hex(identifier));
    }
}

/// RFC 5280 §4.2.1.1: the issuer's key identifier alone; its name and serial number would bind the path to one
/// certificate of the CA.
pub(super) fn key_identifier_alone(judged: &Judged<'_, '_>, report: &mut Report) {
    let identifier = judged.certificate.facts.authority_key_identifier.as_ref();
    if judged.kind != Kind::Imported && identifier.is_some_and(|it| it.names_certificate) {
        let offset = judged.certificate.to_be_signed.offset;
        report.add(&KEY_IDENTIFIER_ALONE, offset, "the issuer's name and serial number too");
    }
}

/// The octets of a number without leading zeros.
fn magnitude<'a>(number: &Node<'a>) -> &'a [u8] {
    let start = number.content.iter().position(|octet| *octet != 0);
    start.and_then(|start| number.content.get(start..)).unwrap_or_default()
}

fn is_positive(number: &Node<'_>) -> bool {
    number.content.first().is_some_and(|first| *first < 0x80)
}

fn is_odd(digits: &[u8]) -> bool {
    digits.last().is_some_and(|last| last & 1 == 1)
}
