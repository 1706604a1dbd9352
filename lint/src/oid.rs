//! Object identifiers, taken from a published table rather than from the room that encodes, so
//! that a wrong one there is seen here.

use x509::der::asn1::ObjectIdentifier;
pub(crate) use x509::der::oid::db::rfc3280::EMAIL_ADDRESS;
pub(crate) use x509::der::oid::db::rfc4519::{
    COMMON_NAME, COUNTRY_NAME, DN_QUALIFIER, DOMAIN_COMPONENT, GIVEN_NAME, INITIALS, LOCALITY_NAME,
    ORGANIZATION_NAME, ORGANIZATIONAL_UNIT_NAME, SERIAL_NUMBER, ST as STATE_OR_PROVINCE_NAME,
    SURNAME, TITLE,
};
pub(crate) use x509::der::oid::db::rfc5280::*;
pub(crate) use x509::der::oid::db::rfc5912::{ID_SHA_256, ID_SHA_384, ID_SHA_512};
pub(crate) use x509::der::oid::db::rfc6960::*;

/// RFC 3739 §3.2.6.
pub(crate) const ID_PE_QC_STATEMENTS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.3");
/// RFC 3279 §2.1, for the CertID of RFC 6960.
pub(crate) const ID_SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// X.509 (2005) §8.6.2.5, written by CRLs that keep expired entries.
pub(crate) const ID_CE_EXPIRED_CERTS_ON_CRL: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.60");
/// Card serial number of Swedish eID cards, SS 61 43 32.
pub(crate) const CARD_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.752.34.2.1");
/// X.520 pseudonym, RFC 3739 §3.1.2.
pub(crate) const PSEUDONYM: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.65");

/// The dotted form of a tree's OBJECT IDENTIFIER, for messages.
pub(crate) fn dotted(content: &[u8]) -> String {
    ObjectIdentifier::from_bytes(content)
        .map_or_else(|_| format!("OID {}", crate::values::hex(content)), |oid| oid.to_string())
}
