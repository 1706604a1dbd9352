//! Object identifiers, and by name every one that Sigill writes or asks for.
//!
//! The type is our own because the ASN.1 library's refuses a second arc above 39, and with it the
//! example arc 2.999, which certificates of others may hold (decision 0007).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An object identifier of at most 63 content octets, with arcs of at most 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectIdentifier {
    length: usize,
    octets: [u8; Self::MAX_OCTETS],
}

impl ObjectIdentifier {
    /// The most content octets that are read.
    pub const MAX_OCTETS: usize = 63;

    /// Takes the content octets of a DER OBJECT IDENTIFIER.
    ///
    /// # Errors
    ///
    /// [`OidError`] when they are not whole arcs in the fewest octets (X.690 §8.19), or too many.
    pub fn from_content_octets(content: &[u8]) -> Result<Self, OidError> {
        let mut octets = [0; Self::MAX_OCTETS];
        octets.get_mut(..content.len()).ok_or(OidError::TooLong)?.copy_from_slice(content);
        if content.last().is_none_or(|last| last & 0x80 != 0) {
            return Err(OidError::NotAnOid);
        }
        for arc in content.split_inclusive(|octet| octet & 0x80 == 0) {
            if arc.first() == Some(&0x80) || decode_arc(arc).is_none() {
                return Err(OidError::NotAnOid);
            }
        }
        Ok(Self { length: content.len(), octets })
    }

    /// Reads the dotted form, such as `2.5.29.15`.
    ///
    /// # Errors
    ///
    /// [`OidError`] for anything else: leading zeros, fewer than two arcs, a first arc above 2, a
    /// second above 39 under the first two, an arc above 128 bits, more than 63 octets.
    pub const fn parse(text: &str) -> Result<Self, OidError> {
        let mut oid = Self { length: 0, octets: [0; Self::MAX_OCTETS] };
        let mut rest = text.as_bytes();
        let mut first: Option<u128> = None;
        let mut arcs = 0_u8;
        loop {
            let (arc, after) = match read_arc(rest) {
                Ok(read) => read,
                Err(error) => return Err(error),
            };
            match (arcs, first) {
                (0, _) if arc > 2 => return Err(OidError::NotAnOid),
                (0, _) => first = Some(arc),
                (1, Some(first)) => {
                    if first < 2 && arc > 39 {
                        return Err(OidError::NotAnOid);
                    }
                    let Some(joined) = arc.checked_add(first * 40) else {
                        return Err(OidError::NotAnOid);
                    };
                    oid = match oid.push_arc(joined) {
                        Ok(longer) => longer,
                        Err(error) => return Err(error),
                    };
                }
                _ => {
                    oid = match oid.push_arc(arc) {
                        Ok(longer) => longer,
                        Err(error) => return Err(error),
                    };
                }
            }
            arcs = arcs.saturating_add(1);
            match after {
                Some(next) => rest = next,
                None if arcs < 2 => return Err(OidError::NotAnOid),
                None => return Ok(oid),
            }
        }
    }

    const fn push_arc(mut self, arc: u128) -> Result<Self, OidError> {
        let bits = u128::BITS - arc.leading_zeros();
        let mut groups = if bits == 0 { 1 } else { bits.div_ceil(7) };
        while groups > 0 {
            groups -= 1;
            let [.., low] = (arc >> (groups * 7)).to_be_bytes();
            let more = if groups == 0 { 0 } else { 0x80 };
            match self.octets.split_at_mut_checked(self.length) {
                Some((_, [slot, ..])) => *slot = (low & 0x7f) | more,
                _ => return Err(OidError::TooLong),
            }
            self.length += 1;
        }
        Ok(self)
    }

    /// The content octets of its DER.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self.octets.split_at_checked(self.length) {
            Some((content, _)) => content,
            None => &[],
        }
    }

    /// The arcs, first to last.
    pub fn arcs(&self) -> impl Iterator<Item = u128> {
        let mut encoded = self.as_bytes().split_inclusive(|octet| octet & 0x80 == 0);
        let joined = encoded.next().and_then(decode_arc).unwrap_or_default();
        let first = (joined / 40).min(2);
        [first, joined.saturating_sub(first * 40)].into_iter().chain(encoded.filter_map(decode_arc))
    }
}

/// One arc in base 128; `None` above 128 bits.
fn decode_arc(octets: &[u8]) -> Option<u128> {
    octets.iter().try_fold(0_u128, |arc, octet| {
        let shifted = arc.checked_mul(128)?;
        shifted.checked_add(u128::from(octet & 0x7f))
    })
}

/// Reads decimal digits up to a dot or the end; gives what follows the dot.
const fn read_arc(text: &[u8]) -> Result<(u128, Option<&[u8]>), OidError> {
    let mut rest = text;
    let mut value: Option<u128> = None;
    loop {
        match (rest, value) {
            ([], Some(arc)) => return Ok((arc, None)),
            ([b'.', after @ ..], Some(arc)) => return Ok((arc, Some(after))),
            // A leading zero stands alone.
            ([b'0'..=b'9', ..], Some(0)) => return Err(OidError::NotAnOid),
            ([digit @ b'0'..=b'9', after @ ..], so_far) => {
                let so_far = match so_far {
                    Some(arc) => arc,
                    None => 0,
                };
                // `From` is not const yet; the array widens without a cast.
                let digit = u128::from_be_bytes([
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    *digit - b'0',
                ]);
                let Some(tenfold) = so_far.checked_mul(10) else { return Err(OidError::NotAnOid) };
                let Some(arc) = tenfold.checked_add(digit) else { return Err(OidError::NotAnOid) };
                value = Some(arc);
                rest = after;
            }
            _ => return Err(OidError::NotAnOid),
        }
    }
}

impl fmt::Display for ObjectIdentifier {
    /// The dotted form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, arc) in self.arcs().enumerate() {
            let dot = if position == 0 { "" } else { "." };
            write!(f, "{dot}{arc}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ObjectIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectIdentifier({self})")
    }
}

impl FromStr for ObjectIdentifier {
    type Err = OidError;

    fn from_str(text: &str) -> Result<Self, OidError> {
        Self::parse(text)
    }
}

/// Why something is not an object identifier.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OidError {
    /// Not the dotted form, or not the DER, of an object identifier.
    #[error("not an object identifier")]
    NotAnOid,
    /// More content octets than are read.
    #[error("object identifier has more than 63 octets")]
    TooLong,
}

#[expect(clippy::panic, reason = "evaluated when compiling, where it stops the build")]
const fn oid(text: &str) -> ObjectIdentifier {
    match ObjectIdentifier::parse(text) {
        Ok(oid) => oid,
        Err(_) => panic!("not an object identifier"),
    }
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

/// The OIDs of signature algorithms that we verify without signing with them ourselves.
///
/// Those that we sign with are [`crate::key::SignatureAlgorithm`].
pub mod signature {
    use super::{ObjectIdentifier, oid};

    /// ecdsa-with-SHA256 (RFC 5758 §3.2).
    pub const ECDSA_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
    /// ecdsa-with-SHA384.
    pub const ECDSA_SHA384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
    /// ecdsa-with-SHA512.
    pub const ECDSA_SHA512: ObjectIdentifier = oid("1.2.840.10045.4.3.4");
    /// id-Ed25519 (RFC 8410).
    pub const ED25519: ObjectIdentifier = oid("1.3.101.112");
    /// sha1WithRSAEncryption: named in imported certificates, never verified.
    pub const RSA_SHA1: ObjectIdentifier = oid("1.2.840.113549.1.1.5");
    /// sha256WithRSAEncryption (RFC 4055 §5).
    pub const RSA_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
    /// sha384WithRSAEncryption.
    pub const RSA_SHA384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
    /// sha512WithRSAEncryption.
    pub const RSA_SHA512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
    /// id-RSASSA-PSS (RFC 4055 §3).
    pub const RSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
    /// id-mgf1 (RFC 4055 §2.2).
    pub const MGF1: ObjectIdentifier = oid("1.2.840.113549.1.1.8");
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
    /// The policy of samples that nobody ordered, in the documentation arc (RFC 5612).
    pub const SAMPLE: ObjectIdentifier = oid("1.3.6.1.4.1.32473.1.0");
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

/// id-on-SmtpUTF8Mailbox, the otherName of a mail address whose local part is not ASCII (RFC 9598 §3).
pub const SMTP_UTF8_MAILBOX: ObjectIdentifier = oid("1.3.6.1.5.5.7.8.9");

/// userPrincipalName, the otherName of Microsoft's smart card logon.
pub const USER_PRINCIPAL_NAME: ObjectIdentifier = oid("1.3.6.1.4.1.311.20.2.3");

#[cfg(test)]
mod tests {
    use super::*;

    /// The ASN.1 library agrees wherever it can read the arcs.
    #[test]
    fn writes_the_bytes_that_the_library_writes() {
        for text in
            ["2.5.29.15", "1.2.840.113549.1.1.11", "0.9.2342.19200300.100.1.25", "2.23.140.1.2.2"]
        {
            let theirs = der::asn1::ObjectIdentifier::new_unwrap(text);

            let ours: ObjectIdentifier = text.parse().unwrap();

            assert_eq!(ours.as_bytes(), theirs.as_bytes());
            assert_eq!(ours.to_string(), text);
        }
    }

    #[test]
    fn reads_and_writes_the_example_arc_and_arcs_of_128_bits() {
        for (text, octets) in [
            ("2.999", &[0x88, 0x37][..]),
            ("2.999.1.128", &[0x88, 0x37, 1, 0x81, 0]),
            ("2.39", &[119]),
            ("2.40", &[120]),
            ("2.47", &[127]),
            ("2.48", &[0x81, 0]),
            ("1.39", &[79]),
            ("0.0", &[0]),
        ] {
            let oid: ObjectIdentifier = text.parse().unwrap();

            assert_eq!(oid.as_bytes(), octets, "{text}");
            assert_eq!(oid.to_string(), text);
            assert_eq!(ObjectIdentifier::from_content_octets(octets), Ok(oid));
        }
        let uuid = "2.25.340282366920938463463374607431768211455";
        assert_eq!(uuid.parse::<ObjectIdentifier>().unwrap().to_string(), uuid);
    }

    #[test]
    fn refuses_texts_and_octets_that_are_no_oid() {
        for text in
            ["", "1", "3.1", "1.40", "1..2", "1.2.", ".1.2", "01.2", "1.02", "1.2.x", "1.2 "]
        {
            assert_eq!(text.parse::<ObjectIdentifier>(), Err(OidError::NotAnOid), "{text}");
        }
        let long = format!("1.2{}", ".1".repeat(63));
        assert_eq!(long.parse::<ObjectIdentifier>(), Err(OidError::TooLong));
        for octets in [&[][..], &[0x80, 1], &[0x55, 0x80, 1], &[0x55, 0x81]] {
            assert_eq!(ObjectIdentifier::from_content_octets(octets), Err(OidError::NotAnOid));
        }
        assert_eq!(ObjectIdentifier::from_content_octets(&[1; 64]), Err(OidError::TooLong));
    }

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
