//! The extensions of a CRL (RFC 5280 §5.2; ITU-T X.509 for expiredCertsOnCRL).

use der::asn1::{BitString, Ia5StringRef, OctetString};
use der::{Decode, Encode, Sequence};
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint as RawDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use crate::oid::extension as oid;
use crate::time::UnixTime;
use crate::tlv::{self, Element, Elements};
use crate::{stream, time_der};

const AUTHORITY_KEY_ID: &[u8] = oid::AUTHORITY_KEY_IDENTIFIER.as_bytes();
const CRL_NUMBER: &[u8] = oid::CRL_NUMBER.as_bytes();
const DELTA_INDICATOR: &[u8] = oid::DELTA_CRL_INDICATOR.as_bytes();
const ISSUING_DISTRIBUTION_POINT: &[u8] = oid::ISSUING_DISTRIBUTION_POINT.as_bytes();
/// 2.5.29.60, not the 2.5.29.27 (deltaCRLIndicator) that some builders write (CRL-10).
const EXPIRED_CERTS_ON_CRL: &[u8] = oid::EXPIRED_CERTS_ON_CRL.as_bytes();
const FRESHEST_CRL: &[u8] = oid::FRESHEST_CRL.as_bytes();

/// Which certificates a CRL speaks of (RFC 5280 §5.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All that the issuer signed.
    #[default]
    All,
    /// CA certificates only.
    CaCertificates,
    /// End-entity certificates only.
    UserCertificates,
}

/// The issuing distribution point, critical, written only where a CA's configuration asks for it.
///
/// Reason partitions and indirect CRLs are not made (CRL-06, CRL-07).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuingDistributionPoint {
    /// URIs of fullName, each byte for byte as in the certificates' distribution points.
    pub full_name: Vec<String>,
    /// Which certificates the CRL speaks of.
    pub scope: Scope,
}

impl IssuingDistributionPoint {
    /// The DER of the extension's value. `None` when a URI is not IA5 or when the extension would
    /// be empty, which RFC 5280 §5.2.5 forbids.
    #[must_use]
    pub fn to_der(&self) -> Option<Vec<u8>> {
        if self.full_name.is_empty() && self.scope == Scope::All {
            return None;
        }
        let uri = |uri: &String| {
            let uri = Ia5StringRef::new(uri).ok()?.into();
            Some(GeneralName::UniformResourceIdentifier(uri))
        };
        let names: Vec<GeneralName> = self.full_name.iter().map(uri).collect::<Option<_>>()?;
        let distribution_point =
            (!names.is_empty()).then_some(DistributionPointName::FullName(names));
        let raw = RawDistributionPoint {
            distribution_point,
            only_contains_user_certs: self.scope == Scope::UserCertificates,
            only_contains_ca_certs: self.scope == Scope::CaCertificates,
            only_some_reasons: None,
            indirect_crl: false,
            only_contains_attribute_certs: false,
        };
        raw.to_der().ok()
    }

    /// Reads the extension's value. `None` when it is malformed or says what we never write:
    /// reason partitions, indirect CRLs, attribute certificates, relative or non-URI names.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let raw = RawDistributionPoint::from_der(der).ok()?;
        if raw.only_some_reasons.is_some() || raw.indirect_crl || raw.only_contains_attribute_certs
        {
            return None;
        }
        let scope = match (raw.only_contains_user_certs, raw.only_contains_ca_certs) {
            (false, false) => Scope::All,
            (true, false) => Scope::UserCertificates,
            (false, true) => Scope::CaCertificates,
            (true, true) => return None,
        };
        let full_name = match raw.distribution_point {
            None => Vec::new(),
            Some(DistributionPointName::FullName(names)) => names
                .into_iter()
                .map(|name| match name {
                    GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().to_owned()),
                    _ => None,
                })
                .collect::<Option<_>>()?,
            Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => return None,
        };
        Some(Self { full_name, scope })
    }
}

/// Whether a CRL is complete or a delta (RFC 5280 §5.2.4, §5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlKind<'a> {
    /// Complete for its scope.
    Complete {
        /// URI of the delta CRLs to it, written as freshestCRL, where there are any.
        freshest: Option<&'a str>,
    },
    /// What has changed since a complete one.
    Delta {
        /// Content octets of that one's cRLNumber: BaseCRLNumber.
        base: &'a [u8],
    },
}

impl CrlKind<'_> {
    /// Complete, without deltas.
    pub const COMPLETE: Self = Self::Complete { freshest: None };

    fn write(self, list: &mut Vec<u8>) {
        match self {
            Self::Complete { freshest: None } => {}
            Self::Complete { freshest: Some(uri) } => {
                // CRLDistributionPoints { DistributionPoint { [0] { fullName [0] { URI [6] } } } }.
                let name = tlv::element(tlv::context(6), &[uri.as_bytes()]);
                let name = tlv::element(tlv::context_constructed(0), &[&name]);
                let name = tlv::element(tlv::context_constructed(0), &[&name]);
                let point = tlv::element(tlv::SEQUENCE, &[&name]);
                push(list, FRESHEST_CRL, false, &tlv::element(tlv::SEQUENCE, &[&point]));
            }
            Self::Delta { base } => {
                push(list, DELTA_INDICATOR, true, &tlv::element(tlv::INTEGER, &[base]));
            }
        }
    }
}

/// One extension of a CRL, an entry or an OCSP message, taken apart.
pub(crate) struct Parts<'a> {
    pub(crate) oid: &'a [u8],
    pub(crate) critical: bool,
    pub(crate) value: &'a [u8],
}

/// Takes the fields of an Extension SEQUENCE apart. `None` unless it is strict DER: a written
/// `critical FALSE` is refused, as DEFAULT values are not encoded (X.690 §11.5).
pub(crate) fn split(mut fields: Elements<'_>) -> Option<Parts<'_>> {
    let oid = fields.tagged(tlv::OID).ok()?;
    oid.oid().ok()?;
    let critical = fields.optional(tlv::BOOLEAN).ok()?;
    let value = fields.tagged(tlv::OCTET_STRING).ok()?;
    fields.finish().ok()?;
    let critical = match critical {
        None => false,
        Some(written) => (written.content == [0xff]).then_some(true)?,
    };
    Some(Parts { oid: oid.content, critical, value: value.content })
}

/// Appends an Extension.
pub(crate) fn push(out: &mut Vec<u8>, oid: &[u8], critical: bool, value: &[u8]) {
    let mut content = tlv::element(tlv::OID, &[oid]);
    if critical {
        stream::push(&mut content, tlv::BOOLEAN, &[0xff]);
    }
    stream::push(&mut content, tlv::OCTET_STRING, value);
    stream::push(out, tlv::SEQUENCE, &content);
}

/// What the extensions of a finished CRL say. Values that are compared are kept as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrlExtensions {
    /// Content octets of cRLNumber's INTEGER.
    pub number: Option<Vec<u8>>,
    /// keyIdentifier of the authorityKeyIdentifier.
    pub authority_key_id: Option<Vec<u8>>,
    /// DER of the issuingDistributionPoint's value.
    pub issuing_distribution_point: Option<Vec<u8>>,
    /// Content octets of BaseCRLNumber: this is a delta CRL.
    pub delta_base: Option<Vec<u8>>,
    /// DER of the freshestCRL's value: where deltas to this complete CRL are (RFC 5280 §5.2.6).
    pub freshest_crl: Option<Vec<u8>>,
    /// Expired certificates that were revoked since then stay on the list.
    pub expired_certs_on_crl: Option<UnixTime>,
    /// Whether a critical extension other than the known ones is there.
    pub unknown_critical: bool,
}

/// AuthorityKeyIdentifier (RFC 5280 §4.2.1.1) of which only the key identifier is read.
#[derive(Sequence)]
struct AuthorityKeyId {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    key_identifier: Option<OctetString>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    issuer: Option<Vec<GeneralName>>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    serial: Option<OctetString>,
}

impl CrlExtensions {
    /// The Extensions SEQUENCE for a new CRL: authorityKeyIdentifier with the issuer's own key
    /// identifier, cRLNumber, what its kind needs, and the two that a CA may be configured to write.
    pub(super) fn write(
        authority_key_id: &[u8],
        number: &[u8],
        kind: CrlKind<'_>,
        distribution_point: Option<&[u8]>,
        expired_certs_on_crl: Option<UnixTime>,
    ) -> Vec<u8> {
        let mut list = Vec::with_capacity(128);
        let key_id = tlv::element(0x80, &[authority_key_id]);
        push(&mut list, AUTHORITY_KEY_ID, false, &tlv::element(tlv::SEQUENCE, &[&key_id]));
        push(&mut list, CRL_NUMBER, false, &tlv::element(tlv::INTEGER, &[number]));
        kind.write(&mut list);
        if let Some(value) = distribution_point {
            push(&mut list, ISSUING_DISTRIBUTION_POINT, true, value);
        }
        if let Some(since) = expired_certs_on_crl {
            let mut value = Vec::with_capacity(17);
            time_der::push_generalized(&mut value, since);
            push(&mut list, EXPIRED_CERTS_ON_CRL, false, &value);
        }
        tlv::element(tlv::SEQUENCE, &[&list])
    }

    /// Reads the content of the Extensions SEQUENCE. `None` when it is not strict DER, is empty or
    /// names an extension twice (RFC 5280 §4.2).
    pub(super) fn read(mut list: Elements<'_>) -> Option<Self> {
        let mut found = Self::default();
        let mut seen: Vec<&[u8]> = Vec::new();
        if list.is_empty() {
            return None;
        }
        while !list.is_empty() {
            let parts = split(list.tagged(tlv::SEQUENCE).ok()?.elements())?;
            if seen.contains(&parts.oid) {
                return None;
            }
            seen.push(parts.oid);
            let integer = || Some(Element::only(parts.value, tlv::INTEGER).ok()?.content.to_vec());
            match parts.oid {
                CRL_NUMBER => found.number = Some(integer()?),
                DELTA_INDICATOR => found.delta_base = Some(integer()?),
                AUTHORITY_KEY_ID => {
                    let value = AuthorityKeyId::from_der(parts.value).ok()?;
                    found.authority_key_id = value.key_identifier.map(|id| id.as_bytes().to_vec());
                }
                ISSUING_DISTRIBUTION_POINT => {
                    found.issuing_distribution_point = Some(parts.value.to_vec());
                }
                FRESHEST_CRL => found.freshest_crl = Some(parts.value.to_vec()),
                EXPIRED_CERTS_ON_CRL => {
                    let date = Element::only(parts.value, tlv::GENERALIZED_TIME).ok()?;
                    found.expired_certs_on_crl =
                        Some(time_der::parse_time(date.tag, date.content)?);
                }
                _ => found.unknown_critical |= parts.critical,
            }
        }
        Some(found)
    }
}

/// The content of a BIT STRING without unused bits.
pub(super) fn whole_octets(der: &[u8]) -> Option<Vec<u8>> {
    BitString::from_der(der).ok()?.as_bytes().map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::{ExtensionValue as _, FreshestCrl};

    /// RFC 5280 §5.2.5: never an empty one; and 2.5.29.28 where x509-cert 0.3 says 1.3.6.1.5.5.7.1.11.
    #[test]
    fn distribution_point_reads_back_and_is_never_empty() {
        let point = IssuingDistributionPoint {
            full_name: vec!["http://crl.example.org/a.crl".to_owned()],
            scope: Scope::UserCertificates,
        };

        let der = point.to_der().unwrap();

        assert_eq!(IssuingDistributionPoint::from_der(&der), Some(point));
        assert_eq!(IssuingDistributionPoint::default().to_der(), None);
        let bad = IssuingDistributionPoint { full_name: vec!["å".to_owned()], scope: Scope::All };
        assert_eq!(bad.to_der(), None);
    }

    /// CRL-10: the OID is 2.5.29.60 and the value a GeneralizedTime.
    #[test]
    fn expired_certs_on_crl_has_its_own_oid() {
        let since = UnixTime::from_secs(1_600_000_000).unwrap();

        let der = CrlExtensions::write(&[1; 20], &[5], CrlKind::COMPLETE, None, Some(since));

        let expected = b"\x30\x18\x06\x03\x55\x1d\x3c\x04\x11\x18\x0f20200913122640Z";
        assert!(der.ends_with(expected));
        let read =
            CrlExtensions::read(Element::only(&der, tlv::SEQUENCE).unwrap().elements()).unwrap();
        assert_eq!(read.expired_certs_on_crl, Some(since));
        assert_eq!(read.authority_key_id.as_deref(), Some(&[1; 20][..]));
        assert_eq!(read.number, Some(vec![5]));
    }

    /// CRL-08: what says where deltas are is what certificates say it with.
    #[test]
    fn the_url_of_deltas_reads_back() {
        let url = "http://crl.example.org/ca.delta.crl";
        let kind = CrlKind::Complete { freshest: Some(url) };

        let der = CrlExtensions::write(&[1; 20], &[5], kind, None, None);

        let read =
            CrlExtensions::read(Element::only(&der, tlv::SEQUENCE).unwrap().elements()).unwrap();
        let freshest = FreshestCrl::from_value_der(&read.freshest_crl.unwrap()).unwrap();
        assert_eq!(freshest.0.uris().collect::<Vec<_>>(), [url]);
        assert!(!read.unknown_critical);
    }

    #[test]
    fn refuses_an_extension_that_stands_twice_and_an_empty_list() {
        let mut list = Vec::new();
        push(&mut list, CRL_NUMBER, false, &[2, 1, 1]);
        push(&mut list, CRL_NUMBER, false, &[2, 1, 1]);

        assert_eq!(CrlExtensions::read(Elements::of(&list)), None);
        assert_eq!(CrlExtensions::read(Elements::of(&[])), None);
    }
}
