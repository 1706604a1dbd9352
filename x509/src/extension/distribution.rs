//! Where status and issuers are found: distribution points and access descriptions.

use super::general_name::{names_of, names_to_der};
use super::{ExtensionValue, GeneralName, Ia5Text};
use crate::oid::{ObjectIdentifier, access, extension};
use crate::tlv::{self, Element, NotDer};

/// One DistributionPoint (RFC 5280 §4.2.1.13).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DistributionPoint {
    full_name: Vec<GeneralName>,
    /// Fields that we never write (nameRelativeToCRLIssuer, reasons, cRLIssuer), kept as received.
    others_der: Vec<u8>,
}

impl DistributionPoint {
    /// A distribution point at one URI.
    #[must_use]
    pub fn at(uri: Ia5Text) -> Self {
        Self { full_name: vec![GeneralName::Uri(uri)], others_der: Vec::new() }
    }

    /// The names of fullName in encoded order.
    #[must_use]
    pub fn full_name(&self) -> &[GeneralName] {
        &self.full_name
    }

    /// Whether it carries nameRelativeToCRLIssuer, reasons or cRLIssuer.
    #[must_use]
    pub const fn is_restricted(&self) -> bool {
        !self.others_der.is_empty()
    }

    fn of(element: &Element<'_>) -> Result<Self, NotDer> {
        let mut fields = element.elements();
        let name = fields.optional(tlv::context_constructed(0))?;
        let reasons = fields.optional(tlv::context(1))?;
        let issuer = fields.optional(tlv::context_constructed(2))?;
        fields.finish()?;
        let mut point = Self { full_name: Vec::new(), others_der: Vec::new() };
        if let Some(name) = name {
            match full_name_of(&name)? {
                Some(full_name) => point.full_name = full_name,
                None => point.others_der.extend_from_slice(name.whole),
            }
        }
        if let Some(reasons) = reasons {
            reasons.named_bits()?;
            point.others_der.extend_from_slice(reasons.whole);
        }
        if let Some(issuer) = issuer {
            names_of(&issuer)?;
            point.others_der.extend_from_slice(issuer.whole);
        }
        Ok(point)
    }

    fn to_der(&self) -> Vec<u8> {
        tlv::sequence(&[&full_name_to_der(&self.full_name), &self.others_der])
    }
}

/// Reads `[0] DistributionPointName`; `None` for nameRelativeToCRLIssuer.
fn full_name_of(name: &Element<'_>) -> Result<Option<Vec<GeneralName>>, NotDer> {
    let mut choice = name.elements();
    let chosen = choice.any()?;
    choice.finish()?;
    match chosen.tag {
        FULL_NAME => names_of(&chosen).map(Some),
        RELATIVE_NAME => Ok(None),
        _ => Err(NotDer),
    }
}

const FULL_NAME: u8 = tlv::context_constructed(0);
const RELATIVE_NAME: u8 = tlv::context_constructed(1);

/// `[0] DistributionPointName` with a fullName, or nothing where there are no names.
fn full_name_to_der(names: &[GeneralName]) -> Vec<u8> {
    if names.is_empty() {
        return Vec::new();
    }
    let full_name = tlv::element(FULL_NAME, &[&names_to_der(names)]);
    tlv::element(tlv::context_constructed(0), &[&full_name])
}

/// cRLDistributionPoints (RFC 5280 §4.2.1.13), in encoded order. It must hold at least one point.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrlDistributionPoints(pub Vec<DistributionPoint>);

impl CrlDistributionPoints {
    /// One distribution point for each URI.
    #[must_use]
    pub fn at(uris: &[Ia5Text]) -> Self {
        Self(uris.iter().cloned().map(DistributionPoint::at).collect())
    }

    /// All URIs in encoded order.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|point| &point.full_name).filter_map(GeneralName::uri)
    }
}

impl ExtensionValue for CrlDistributionPoints {
    const OID: ObjectIdentifier = extension::CRL_DISTRIBUTION_POINTS;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let mut elements = Element::only(der, tlv::SEQUENCE)?.elements();
        let mut points = Vec::new();
        loop {
            points.push(DistributionPoint::of(&elements.tagged(tlv::SEQUENCE)?)?);
            if elements.is_empty() {
                return Ok(Self(points));
            }
        }
    }

    fn to_value_der(&self) -> Vec<u8> {
        let list: Vec<u8> = self.0.iter().flat_map(DistributionPoint::to_der).collect();
        tlv::sequence(&[&list])
    }
}

/// freshestCRL (RFC 5280 §4.2.1.15): where the delta CRL is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FreshestCrl(pub CrlDistributionPoints);

impl ExtensionValue for FreshestCrl {
    const OID: ObjectIdentifier = extension::FRESHEST_CRL;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        CrlDistributionPoints::from_value_der(der).map(Self)
    }

    fn to_value_der(&self) -> Vec<u8> {
        self.0.to_value_der()
    }
}

/// One AccessDescription.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessDescription {
    /// accessMethod.
    pub method: ObjectIdentifier,
    /// accessLocation.
    pub location: GeneralName,
}

/// authorityInfoAccess (RFC 5280 §4.2.2.1), in encoded order. It must hold at least one description.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthorityInfoAccess(pub Vec<AccessDescription>);

impl AuthorityInfoAccess {
    /// The responders first, then the issuer's certificates, as SITHS certificates have them.
    #[must_use]
    pub fn of(ocsp: &[Ia5Text], ca_issuers: &[Ia5Text]) -> Self {
        let described = |method, uris: &[Ia5Text]| {
            let describe = |uri: &Ia5Text| AccessDescription {
                method,
                location: GeneralName::Uri(uri.clone()),
            };
            uris.iter().map(describe).collect::<Vec<_>>()
        };
        let mut list = described(access::OCSP, ocsp);
        list.extend(described(access::CA_ISSUERS, ca_issuers));
        Self(list)
    }

    /// The URIs of OCSP responders.
    pub fn ocsp_uris(&self) -> impl Iterator<Item = &str> {
        self.uris(access::OCSP)
    }

    /// The URIs of the issuer's certificates.
    pub fn ca_issuers_uris(&self) -> impl Iterator<Item = &str> {
        self.uris(access::CA_ISSUERS)
    }

    fn uris(&self, method: ObjectIdentifier) -> impl Iterator<Item = &str> {
        let of_method = move |description: &&AccessDescription| description.method == method;
        self.0.iter().filter(of_method).filter_map(|description| description.location.uri())
    }
}

impl ExtensionValue for AuthorityInfoAccess {
    const OID: ObjectIdentifier = extension::AUTHORITY_INFO_ACCESS;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let mut elements = Element::only(der, tlv::SEQUENCE)?.elements();
        let mut list = Vec::new();
        loop {
            let mut fields = elements.tagged(tlv::SEQUENCE)?.elements();
            let method = fields.tagged(tlv::OID)?.oid()?;
            let location = GeneralName::of(&fields.any()?)?;
            fields.finish()?;
            list.push(AccessDescription { method, location });
            if elements.is_empty() {
                return Ok(Self(list));
            }
        }
    }

    fn to_value_der(&self) -> Vec<u8> {
        let describe = |description: &AccessDescription| {
            tlv::sequence(&[&tlv::oid(description.method), &description.location.to_der()])
        };
        let list: Vec<u8> = self.0.iter().flat_map(describe).collect();
        tlv::sequence(&[&list])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Ia5Text {
        Ia5Text::new(text).unwrap()
    }

    #[test]
    fn writes_the_nested_tags_of_a_distribution_point() {
        let points = CrlDistributionPoints::at(&[uri("http://a")]);

        let der = points.to_value_der();

        assert_eq!(der, b"\x30\x10\x30\x0e\xa0\x0c\xa0\x0a\x86\x08http://a");
        assert_eq!(points.uris().collect::<Vec<_>>(), ["http://a"]);
        assert_eq!(CrlDistributionPoints::from_value_der(&der), Ok(points));
    }

    #[test]
    fn keeps_restricted_points_of_others() {
        let with_reasons = b"\x30\x14\x30\x12\xa0\x0c\xa0\x0a\x86\x08http://a\x81\x02\x06\x40";

        let points = CrlDistributionPoints::from_value_der(with_reasons).unwrap();

        assert!(points.0[0].is_restricted());
        assert_eq!(points.to_value_der(), with_reasons);
    }

    #[test]
    fn lists_responders_before_issuers() {
        let both = AuthorityInfoAccess::of(&[uri("http://o")], &[uri("http://i")]);

        assert_eq!(both.ocsp_uris().collect::<Vec<_>>(), ["http://o"]);
        assert_eq!(both.ca_issuers_uris().collect::<Vec<_>>(), ["http://i"]);
        assert_eq!(both.0[0].method, access::OCSP);
        assert_eq!(AuthorityInfoAccess::from_value_der(&both.to_value_der()), Ok(both));
    }

    #[test]
    fn refuses_empty_lists() {
        assert_eq!(CrlDistributionPoints::from_value_der(&[0x30, 0]), Err(NotDer));
        assert_eq!(FreshestCrl::from_value_der(&[0x30, 0]), Err(NotDer));
        assert_eq!(AuthorityInfoAccess::from_value_der(&[0x30, 0]), Err(NotDer));
    }
}
