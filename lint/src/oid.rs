//! Object identifiers as content octets, taken from a published table rather than from the room that
//! encodes, so that a wrong one there is seen here.

use x509::der::oid::db::{rfc3280, rfc4519, rfc5280, rfc5912, rfc6960, rfc8410};

/// The content octets of an OBJECT IDENTIFIER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oid(&'static [u8]);

impl Oid {
    pub(crate) const fn as_bytes(self) -> &'static [u8] {
        self.0
    }
}

pub(crate) const EMAIL_ADDRESS: Oid = Oid(rfc3280::EMAIL_ADDRESS.as_bytes());
pub(crate) const PSEUDONYM: Oid = Oid(rfc3280::PSEUDONYM.as_bytes());

pub(crate) const COMMON_NAME: Oid = Oid(rfc4519::COMMON_NAME.as_bytes());
pub(crate) const COUNTRY_NAME: Oid = Oid(rfc4519::COUNTRY_NAME.as_bytes());
pub(crate) const DN_QUALIFIER: Oid = Oid(rfc4519::DN_QUALIFIER.as_bytes());
pub(crate) const DOMAIN_COMPONENT: Oid = Oid(rfc4519::DOMAIN_COMPONENT.as_bytes());
pub(crate) const GIVEN_NAME: Oid = Oid(rfc4519::GIVEN_NAME.as_bytes());
pub(crate) const INITIALS: Oid = Oid(rfc4519::INITIALS.as_bytes());
pub(crate) const LOCALITY_NAME: Oid = Oid(rfc4519::LOCALITY_NAME.as_bytes());
pub(crate) const ORGANIZATIONAL_UNIT_NAME: Oid = Oid(rfc4519::ORGANIZATIONAL_UNIT_NAME.as_bytes());
pub(crate) const ORGANIZATION_NAME: Oid = Oid(rfc4519::ORGANIZATION_NAME.as_bytes());
pub(crate) const SERIAL_NUMBER: Oid = Oid(rfc4519::SERIAL_NUMBER.as_bytes());
pub(crate) const SURNAME: Oid = Oid(rfc4519::SURNAME.as_bytes());
pub(crate) const TITLE: Oid = Oid(rfc4519::TITLE.as_bytes());
pub(crate) const STATE_OR_PROVINCE_NAME: Oid = Oid(rfc4519::ST.as_bytes());

pub(crate) const ANY_EXTENDED_KEY_USAGE: Oid = Oid(rfc5280::ANY_EXTENDED_KEY_USAGE.as_bytes());
pub(crate) const ANY_POLICY: Oid = Oid(rfc5280::ANY_POLICY.as_bytes());
pub(crate) const ID_AD_CA_ISSUERS: Oid = Oid(rfc5280::ID_AD_CA_ISSUERS.as_bytes());
pub(crate) const ID_AD_OCSP: Oid = Oid(rfc5280::ID_AD_OCSP.as_bytes());
pub(crate) const ID_CE_AUTHORITY_KEY_IDENTIFIER: Oid =
    Oid(rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER.as_bytes());
pub(crate) const ID_CE_BASIC_CONSTRAINTS: Oid = Oid(rfc5280::ID_CE_BASIC_CONSTRAINTS.as_bytes());
pub(crate) const ID_CE_CERTIFICATE_POLICIES: Oid =
    Oid(rfc5280::ID_CE_CERTIFICATE_POLICIES.as_bytes());
pub(crate) const ID_CE_CRL_DISTRIBUTION_POINTS: Oid =
    Oid(rfc5280::ID_CE_CRL_DISTRIBUTION_POINTS.as_bytes());
pub(crate) const ID_CE_CRL_NUMBER: Oid = Oid(rfc5280::ID_CE_CRL_NUMBER.as_bytes());
pub(crate) const ID_CE_CRL_REASONS: Oid = Oid(rfc5280::ID_CE_CRL_REASONS.as_bytes());
pub(crate) const ID_CE_DELTA_CRL_INDICATOR: Oid =
    Oid(rfc5280::ID_CE_DELTA_CRL_INDICATOR.as_bytes());
pub(crate) const ID_CE_EXT_KEY_USAGE: Oid = Oid(rfc5280::ID_CE_EXT_KEY_USAGE.as_bytes());
pub(crate) const ID_CE_FRESHEST_CRL: Oid = Oid(rfc5280::ID_CE_FRESHEST_CRL.as_bytes());
pub(crate) const ID_CE_INHIBIT_ANY_POLICY: Oid = Oid(rfc5280::ID_CE_INHIBIT_ANY_POLICY.as_bytes());
pub(crate) const ID_CE_INVALIDITY_DATE: Oid = Oid(rfc5280::ID_CE_INVALIDITY_DATE.as_bytes());
pub(crate) const ID_CE_ISSUER_ALT_NAME: Oid = Oid(rfc5280::ID_CE_ISSUER_ALT_NAME.as_bytes());
pub(crate) const ID_CE_ISSUING_DISTRIBUTION_POINT: Oid =
    Oid(rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT.as_bytes());
pub(crate) const ID_CE_KEY_USAGE: Oid = Oid(rfc5280::ID_CE_KEY_USAGE.as_bytes());
pub(crate) const ID_CE_NAME_CONSTRAINTS: Oid = Oid(rfc5280::ID_CE_NAME_CONSTRAINTS.as_bytes());
pub(crate) const ID_CE_POLICY_CONSTRAINTS: Oid = Oid(rfc5280::ID_CE_POLICY_CONSTRAINTS.as_bytes());
pub(crate) const ID_CE_POLICY_MAPPINGS: Oid = Oid(rfc5280::ID_CE_POLICY_MAPPINGS.as_bytes());
pub(crate) const ID_CE_SUBJECT_ALT_NAME: Oid = Oid(rfc5280::ID_CE_SUBJECT_ALT_NAME.as_bytes());
pub(crate) const ID_CE_SUBJECT_DIRECTORY_ATTRIBUTES: Oid =
    Oid(rfc5280::ID_CE_SUBJECT_DIRECTORY_ATTRIBUTES.as_bytes());
pub(crate) const ID_CE_SUBJECT_KEY_IDENTIFIER: Oid =
    Oid(rfc5280::ID_CE_SUBJECT_KEY_IDENTIFIER.as_bytes());
pub(crate) const ID_KP_CLIENT_AUTH: Oid = Oid(rfc5280::ID_KP_CLIENT_AUTH.as_bytes());
pub(crate) const ID_KP_OCSP_SIGNING: Oid = Oid(rfc5280::ID_KP_OCSP_SIGNING.as_bytes());
pub(crate) const ID_KP_SERVER_AUTH: Oid = Oid(rfc5280::ID_KP_SERVER_AUTH.as_bytes());
pub(crate) const ID_PE_AUTHORITY_INFO_ACCESS: Oid =
    Oid(rfc5280::ID_PE_AUTHORITY_INFO_ACCESS.as_bytes());

pub(crate) const ID_SHA_1: Oid = Oid(rfc5912::ID_SHA_1.as_bytes());
pub(crate) const ID_SHA_256: Oid = Oid(rfc5912::ID_SHA_256.as_bytes());
pub(crate) const ID_SHA_384: Oid = Oid(rfc5912::ID_SHA_384.as_bytes());
pub(crate) const ID_SHA_512: Oid = Oid(rfc5912::ID_SHA_512.as_bytes());

pub(crate) const EC_PUBLIC_KEY: Oid = Oid(rfc5912::ID_EC_PUBLIC_KEY.as_bytes());
pub(crate) const ED25519: Oid = Oid(rfc8410::ID_ED_25519.as_bytes());
pub(crate) const RSA_ENCRYPTION: Oid = Oid(rfc5912::RSA_ENCRYPTION.as_bytes());
pub(crate) const SECP_256_R1: Oid = Oid(rfc5912::SECP_256_R_1.as_bytes());
pub(crate) const SECP_384_R1: Oid = Oid(rfc5912::SECP_384_R_1.as_bytes());

pub(crate) const ID_PKIX_OCSP_BASIC: Oid = Oid(rfc6960::ID_PKIX_OCSP_BASIC.as_bytes());
pub(crate) const ID_PKIX_OCSP_NOCHECK: Oid = Oid(rfc6960::ID_PKIX_OCSP_NOCHECK.as_bytes());
pub(crate) const ID_PKIX_OCSP_NONCE: Oid = Oid(rfc6960::ID_PKIX_OCSP_NONCE.as_bytes());

// What the table lacks.

/// RFC 6960 §4.4.8: 1.3.6.1.5.5.7.48.1.9.
pub(crate) const ID_PKIX_OCSP_EXTENDED_REVOKE: Oid = Oid(&[0x2b, 6, 1, 5, 5, 7, 48, 1, 9]);

/// RFC 3739 §3.2.6: 1.3.6.1.5.5.7.1.3.
pub(crate) const ID_PE_QC_STATEMENTS: Oid = Oid(&[0x2b, 6, 1, 5, 5, 7, 1, 3]);
/// RFC 9598 §3: 1.3.6.1.5.5.7.8.9.
pub(crate) const ID_ON_SMTP_UTF8_MAILBOX: Oid = Oid(&[0x2b, 6, 1, 5, 5, 7, 8, 9]);
/// Microsoft's user principal name: 1.3.6.1.4.1.311.20.2.3.
pub(crate) const USER_PRINCIPAL_NAME: Oid = Oid(&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 20, 2, 3]);
/// RFC 5280 §4.2.1.4: 1.3.6.1.5.5.7.2.1.
pub(crate) const ID_QT_CPS: Oid = Oid(&[0x2b, 6, 1, 5, 5, 7, 2, 1]);
/// RFC 5280 §4.2.1.4: 1.3.6.1.5.5.7.2.2.
pub(crate) const ID_QT_UNOTICE: Oid = Oid(&[0x2b, 6, 1, 5, 5, 7, 2, 2]);
/// The arc of the CA/Browser Forum's policies, TLS BR §7.1.6.1: 2.23.140.1.
pub(crate) const WEB_POLICIES: Oid = Oid(&[0x67, 0x81, 0x0c, 1]);
/// The arc of qualified policies, EN 319 411-2 §5.3: 0.4.0.194112.
pub(crate) const QUALIFIED_POLICIES: Oid = Oid(&[4, 0, 0x8b, 0xec, 0x40]);
/// The arc of qualified policies of TS 101 456: 0.4.0.1456.
pub(crate) const QUALIFIED_POLICIES_OF_TS: Oid = Oid(&[4, 0, 0x8b, 0x30]);
/// X.509 (2005) §8.6.2.5, of CRLs that keep expired entries: 2.5.29.60.
pub(crate) const ID_CE_EXPIRED_CERTS_ON_CRL: Oid = Oid(&[0x55, 29, 60]);
/// Card serial number of Swedish eID cards, SS 61 43 32: 1.2.752.34.2.1.
pub(crate) const CARD_NUMBER: Oid = Oid(&[0x2a, 0x85, 0x70, 34, 2, 1]);

/// The dotted form of a tree's OBJECT IDENTIFIER, for messages; arcs past 64 bits are not counted.
pub(crate) fn dotted(content: &[u8]) -> String {
    let mut arcs = content
        .split_inclusive(|octet| octet & 0x80 == 0)
        .map(|arc| arc.iter().fold(0_u64, |value, octet| (value << 7) | u64::from(octet & 0x7f)));
    let joined = arcs.next().unwrap_or_default();
    let first = (joined / 40).min(2);
    let rest = arcs.map(|arc| format!(".{arc}"));
    format!("{first}.{}{}", joined - first * 40, rest.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_dotted_form() {
        assert_eq!(dotted(CARD_NUMBER.as_bytes()), "1.2.752.34.2.1");
        assert_eq!(dotted(ID_PE_QC_STATEMENTS.as_bytes()), "1.3.6.1.5.5.7.1.3");
        assert_eq!(dotted(ID_ON_SMTP_UTF8_MAILBOX.as_bytes()), "1.3.6.1.5.5.7.8.9");
        assert_eq!(dotted(USER_PRINCIPAL_NAME.as_bytes()), "1.3.6.1.4.1.311.20.2.3");
        assert_eq!(dotted(ID_QT_UNOTICE.as_bytes()), "1.3.6.1.5.5.7.2.2");
        assert_eq!(dotted(WEB_POLICIES.as_bytes()), "2.23.140.1");
        assert_eq!(dotted(QUALIFIED_POLICIES.as_bytes()), "0.4.0.194112");
        assert_eq!(dotted(QUALIFIED_POLICIES_OF_TS.as_bytes()), "0.4.0.1456");
        assert_eq!(dotted(ID_CE_EXPIRED_CERTS_ON_CRL.as_bytes()), "2.5.29.60");
        assert_eq!(dotted(&[0x88, 0x37, 1]), "2.999.1");
    }
}
