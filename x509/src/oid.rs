//! Every object identifier that Sigill writes or asks for, by name.

/// An object identifier.
pub use der::asn1::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// The OIDs of attributes in names (RFC 5280 Appendix A.1, RFC 4519, X.520).
pub mod attribute {
    use super::{ObjectIdentifier, oid};

    /// commonName, CN.
    pub const COMMON_NAME: ObjectIdentifier = oid("2.5.4.3");
    /// surname, SN.
    pub const SURNAME: ObjectIdentifier = oid("2.5.4.4");
    /// serialNumber of the subject: HSA-id, personnummer. Not the certificate's serial number.
    pub const SERIAL_NUMBER: ObjectIdentifier = oid("2.5.4.5");
    /// countryName, C.
    pub const COUNTRY: ObjectIdentifier = oid("2.5.4.6");
    /// localityName, L.
    pub const LOCALITY: ObjectIdentifier = oid("2.5.4.7");
    /// stateOrProvinceName, ST.
    pub const STATE: ObjectIdentifier = oid("2.5.4.8");
    /// streetAddress, STREET.
    pub const STREET: ObjectIdentifier = oid("2.5.4.9");
    /// organizationName, O.
    pub const ORGANIZATION: ObjectIdentifier = oid("2.5.4.10");
    /// organizationalUnitName, OU.
    pub const ORGANIZATIONAL_UNIT: ObjectIdentifier = oid("2.5.4.11");
    /// title.
    pub const TITLE: ObjectIdentifier = oid("2.5.4.12");
    /// postalCode.
    pub const POSTAL_CODE: ObjectIdentifier = oid("2.5.4.17");
    /// givenName, GN.
    pub const GIVEN_NAME: ObjectIdentifier = oid("2.5.4.42");
    /// initials.
    pub const INITIALS: ObjectIdentifier = oid("2.5.4.43");
    /// generationQualifier.
    pub const GENERATION_QUALIFIER: ObjectIdentifier = oid("2.5.4.44");
    /// dnQualifier.
    pub const DN_QUALIFIER: ObjectIdentifier = oid("2.5.4.46");
    /// pseudonym.
    pub const PSEUDONYM: ObjectIdentifier = oid("2.5.4.65");
    /// organizationIdentifier (X.520, ETSI EN 319 412-1 §5.1.4).
    pub const ORGANIZATION_IDENTIFIER: ObjectIdentifier = oid("2.5.4.97");
    /// domainComponent, DC; read only.
    pub const DOMAIN_COMPONENT: ObjectIdentifier = oid("0.9.2342.19200300.100.1.25");
    /// userid, UID; read only.
    pub const USER_ID: ObjectIdentifier = oid("0.9.2342.19200300.100.1.1");
    /// emailAddress (PKCS#9); read only.
    pub const EMAIL_ADDRESS: ObjectIdentifier = oid("1.2.840.113549.1.9.1");
}

/// The OIDs of certificate, CRL and CRL entry extensions.
pub mod extension {
    use super::{ObjectIdentifier, oid};

    /// subjectDirectoryAttributes (RFC 5280 §4.2.1.8); read only.
    pub const SUBJECT_DIRECTORY_ATTRIBUTES: ObjectIdentifier = oid("2.5.29.9");
    /// subjectKeyIdentifier (RFC 5280 §4.2.1.2).
    pub const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = oid("2.5.29.14");
    /// keyUsage (RFC 5280 §4.2.1.3).
    pub const KEY_USAGE: ObjectIdentifier = oid("2.5.29.15");
    /// subjectAltName (RFC 5280 §4.2.1.6).
    pub const SUBJECT_ALT_NAME: ObjectIdentifier = oid("2.5.29.17");
    /// basicConstraints (RFC 5280 §4.2.1.9).
    pub const BASIC_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.19");
    /// cRLNumber (RFC 5280 §5.2.3).
    pub const CRL_NUMBER: ObjectIdentifier = oid("2.5.29.20");
    /// reasonCode of a CRL entry (RFC 5280 §5.3.1).
    pub const REASON_CODE: ObjectIdentifier = oid("2.5.29.21");
    /// invalidityDate of a CRL entry (RFC 5280 §5.3.2).
    pub const INVALIDITY_DATE: ObjectIdentifier = oid("2.5.29.24");
    /// deltaCRLIndicator (RFC 5280 §5.2.4).
    pub const DELTA_CRL_INDICATOR: ObjectIdentifier = oid("2.5.29.27");
    /// issuingDistributionPoint (RFC 5280 §5.2.5).
    pub const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = oid("2.5.29.28");
    /// certificateIssuer of a CRL entry (RFC 5280 §5.3.3): never written, named to be refused.
    pub const CERTIFICATE_ISSUER: ObjectIdentifier = oid("2.5.29.29");
    /// nameConstraints (RFC 5280 §4.2.1.10); read only.
    pub const NAME_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.30");
    /// cRLDistributionPoints (RFC 5280 §4.2.1.13).
    pub const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = oid("2.5.29.31");
    /// certificatePolicies (RFC 5280 §4.2.1.4).
    pub const CERTIFICATE_POLICIES: ObjectIdentifier = oid("2.5.29.32");
    /// authorityKeyIdentifier (RFC 5280 §4.2.1.1).
    pub const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = oid("2.5.29.35");
    /// extKeyUsage (RFC 5280 §4.2.1.12).
    pub const EXTENDED_KEY_USAGE: ObjectIdentifier = oid("2.5.29.37");
    /// freshestCRL (RFC 5280 §4.2.1.15).
    pub const FRESHEST_CRL: ObjectIdentifier = oid("2.5.29.46");
    /// expiredCertsOnCRL (X.509 (10/2019) §9.5.2.8).
    pub const EXPIRED_CERTS_ON_CRL: ObjectIdentifier = oid("2.5.29.60");
    /// authorityInfoAccess (RFC 5280 §4.2.2.1).
    pub const AUTHORITY_INFO_ACCESS: ObjectIdentifier = oid("1.3.6.1.5.5.7.1.1");
    /// qcStatements (RFC 3739 §3.2.6); read only.
    pub const QC_STATEMENTS: ObjectIdentifier = oid("1.3.6.1.5.5.7.1.3");
    /// id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1).
    pub const OCSP_NO_CHECK: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.5");
    /// cardNumber of Swedish identity cards (SS 61 43 32).
    pub const CARD_NUMBER: ObjectIdentifier = oid("1.2.752.34.2.1");
    /// netscape-cert-type; read only.
    pub const NETSCAPE_CERT_TYPE: ObjectIdentifier = oid("2.16.840.1.113730.1.1");
}

/// The OIDs of OCSP (RFC 6960, RFC 8954).
pub mod ocsp {
    use super::{ObjectIdentifier, oid};

    /// id-pkix-ocsp-basic: the one response type (RFC 6960 §4.2.1).
    pub const BASIC: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.1");
    /// id-pkix-ocsp-nonce (RFC 8954 §2).
    pub const NONCE: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.2");
    /// id-pkix-ocsp-response (RFC 6960 §4.4.3).
    pub const ACCEPTABLE_RESPONSES: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.4");
    /// id-pkix-ocsp-archive-cutoff (RFC 6960 §4.4.4).
    pub const ARCHIVE_CUTOFF: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.6");
    /// id-pkix-ocsp-service-locator (RFC 6960 §4.4.6).
    pub const SERVICE_LOCATOR: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.7");
    /// id-pkix-ocsp-pref-sig-algs (RFC 6960 §4.4.7).
    pub const PREFERRED_SIGNATURE_ALGORITHMS: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.8");
    /// id-pkix-ocsp-extended-revoke (RFC 6960 §4.4.8).
    pub const EXTENDED_REVOKE: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.9");
}

/// The OIDs of hash functions, as OCSP's CertID names them.
pub mod hash {
    use super::{ObjectIdentifier, oid};

    /// SHA-1.
    pub const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");
    /// SHA-256.
    pub const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
    /// SHA-384.
    pub const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
    /// SHA-512.
    pub const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");
}

/// The OIDs of extended key usages.
pub mod usage {
    use super::{ObjectIdentifier, oid};

    /// anyExtendedKeyUsage: never issued.
    pub const ANY: ObjectIdentifier = oid("2.5.29.37.0");
    /// id-kp-serverAuth.
    pub const SERVER_AUTH: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.1");
    /// id-kp-clientAuth.
    pub const CLIENT_AUTH: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.2");
    /// id-kp-codeSigning.
    pub const CODE_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.3");
    /// id-kp-emailProtection.
    pub const EMAIL_PROTECTION: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.4");
    /// id-kp-timeStamping.
    pub const TIME_STAMPING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.8");
    /// id-kp-OCSPSigning (RFC 6960 §4.2.2.2).
    pub const OCSP_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.9");
    /// id-kp-documentSigning (RFC 9336).
    pub const DOCUMENT_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.36");
    /// msSmartcardLogon.
    pub const SMARTCARD_LOGON: ObjectIdentifier = oid("1.3.6.1.4.1.311.20.2.2");
}

/// The OIDs of policies and policy qualifiers.
pub mod policy {
    use super::{ObjectIdentifier, oid};

    /// anyPolicy (RFC 5280 §4.2.1.4).
    pub const ANY: ObjectIdentifier = oid("2.5.29.32.0");
    /// id-qt-cps: a URI of the certification practice statement.
    pub const CPS: ObjectIdentifier = oid("1.3.6.1.5.5.7.2.1");
    /// id-qt-unotice: read only.
    pub const USER_NOTICE: ObjectIdentifier = oid("1.3.6.1.5.5.7.2.2");
}

/// The OIDs of access methods (RFC 5280 §4.2.2.1).
pub mod access {
    use super::{ObjectIdentifier, oid};

    /// id-ad-ocsp.
    pub const OCSP: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1");
    /// id-ad-caIssuers.
    pub const CA_ISSUERS: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.2");
}

/// The OIDs of attributes in certification requests (RFC 2985).
pub mod request {
    use super::{ObjectIdentifier, oid};

    /// challengePassword: read past, never kept apart.
    pub const CHALLENGE_PASSWORD: ObjectIdentifier = oid("1.2.840.113549.1.9.7");
    /// extensionRequest.
    pub const EXTENSION_REQUEST: ObjectIdentifier = oid("1.2.840.113549.1.9.14");
}

/// userPrincipalName, the otherName of Microsoft's smart card logon.
pub const USER_PRINCIPAL_NAME: ObjectIdentifier = oid("1.3.6.1.4.1.311.20.2.3");

#[cfg(test)]
mod tests {
    use super::*;

    /// The ASN.1 library names another OID here (SubjectInfoAccess), so ours is pinned to the
    /// standard's text: `id-ce-issuingDistributionPoint ::= { id-ce 28 }`.
    #[test]
    fn the_issuing_distribution_point_is_id_ce_28() {
        assert_eq!(
            extension::ISSUING_DISTRIBUTION_POINT.as_bytes(),
            [0x55, 0x1d, 28],
            "RFC 5280 §5.2.5"
        );
    }
}
