//! Where status and issuers are found: distribution points and access descriptions.

use super::general_name::{names_of, names_to_der};
use super::{ExtensionValue, GeneralName, Ia5Text};
use crate::oid::{ObjectIdentifier, access, extension};
use crate::tlv::{self, Element, Elements, NotDer};

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

/// Which certificates a CRL speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrlScope {
    /// All of its issuer's.
    All,
    /// onlyContainsAttributeCerts.
    AttributeCertificates,
    /// onlyContainsCACerts.
    CaCertificates,
    /// onlyContainsUserCerts.
    UserCertificates,
}

/// issuingDistributionPoint (RFC 5280 §5.2.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IssuingDistributionPoint {
    full_name: Vec<GeneralName>,
    scope: CrlScope,
    /// Fields that we never write (nameRelativeToCRLIssuer, onlySomeReasons, indirectCRL), kept as
    /// received, each under its position.
    relative_der: Vec<u8>,
    restrictions_der: Vec<u8>,
}

impl IssuingDistributionPoint {
    /// A CRL of this scope at these URIs. RFC 5280 §5.2.5 forbids the empty one: with
    /// [`CrlScope::All`] there must be at least one URI.
    #[must_use]
    pub fn at(uris: &[Ia5Text], scope: CrlScope) -> Self {
        Self {
            full_name: uris.iter().cloned().map(GeneralName::Uri).collect(),
            scope,
            relative_der: Vec::new(),
            restrictions_der: Vec::new(),
        }
    }

    /// The names of fullName in encoded order.
    #[must_use]
    pub fn full_name(&self) -> &[GeneralName] {
        &self.full_name
    }

    /// Which certificates the CRL speaks of.
    #[must_use]
    pub const fn scope(&self) -> CrlScope {
        self.scope
    }

    /// Whether it carries nameRelativeToCRLIssuer, onlySomeReasons or indirectCRL.
    #[must_use]
    pub const fn is_restricted(&self) -> bool {
        !self.relative_der.is_empty() || !self.restrictions_der.is_empty()
    }
}

/// Reads an implicit `BOOLEAN DEFAULT FALSE`: absent or TRUE.
fn flag(fields: &mut Elements<'_>, number: u8) -> Result<bool, NotDer> {
    match fields.optional(tlv::context(number))? {
        Some(element) if element.boolean()? => Ok(true),
        Some(_) => Err(NotDer),
        None => Ok(false),
    }
}

impl ExtensionValue for IssuingDistributionPoint {
    const OID: ObjectIdentifier = extension::ISSUING_DISTRIBUTION_POINT;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let mut fields = Element::only(der, tlv::SEQUENCE)?.elements();
        let (mut full_name, mut relative_der) = (Vec::new(), Vec::new());
        if let Some(name) = fields.optional(tlv::context_constructed(0))? {
            match full_name_of(&name)? {
                Some(names) => full_name = names,
                None => relative_der = name.whole.to_vec(),
            }
        }
        let user = flag(&mut fields, 1)?;
        let ca = flag(&mut fields, 2)?;
        let mut restrictions_der = Vec::new();
        if let Some(reasons) = fields.optional(tlv::context(3))? {
            reasons.named_bits()?;
            restrictions_der.extend_from_slice(reasons.whole);
        }
        if flag(&mut fields, 4)? {
            restrictions_der.extend_from_slice(&[tlv::context(4), 1, 0xff]);
        }
        let attribute = flag(&mut fields, 5)?;
        fields.finish()?;
        let scope = match (user, ca, attribute) {
            (false, false, false) => CrlScope::All,
            (true, false, false) => CrlScope::UserCertificates,
            (false, true, false) => CrlScope::CaCertificates,
            (false, false, true) => CrlScope::AttributeCertificates,
            // RFC 5280 §5.2.5: at most one of them.
            _ => return Err(NotDer),
        };
        Ok(Self { full_name, scope, relative_der, restrictions_der })
    }

    fn to_value_der(&self) -> Vec<u8> {
        let flag = |scope, number| {
            let content: &[u8] = &[tlv::context(number), 1, 0xff];
            if self.scope == scope { content.to_vec() } else { Vec::new() }
        };
        tlv::sequence(&[
            &full_name_to_der(&self.full_name),
            &self.relative_der,
            &flag(CrlScope::UserCertificates, 1),
            &flag(CrlScope::CaCertificates, 2),
            &self.restrictions_der,
            &flag(CrlScope::AttributeCertificates, 5),
        ])
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
    fn writes_each_scope_of_an_issuing_distribution_point() {
        for (scope, flag) in [
            (CrlScope::All, &b""[..]),
            (CrlScope::UserCertificates, b"\x81\x01\xff"),
            (CrlScope::CaCertificates, b"\x82\x01\xff"),
            (CrlScope::AttributeCertificates, b"\x85\x01\xff"),
        ] {
            let point = IssuingDistributionPoint::at(&[uri("http://a")], scope);

            let der = point.to_value_der();

            assert!(der.ends_with(&[b"http://a", flag].concat()));
            assert_eq!(IssuingDistributionPoint::from_value_der(&der), Ok(point));
        }
    }

    /// PRO-01, RFC 5280 §5.2.5.
    #[test]
    fn refuses_a_spelled_out_default_and_two_scopes() {
        for bad in [&b"\x30\x03\x81\x01\x00"[..], b"\x30\x06\x81\x01\xff\x82\x01\xff"] {
            assert_eq!(IssuingDistributionPoint::from_value_der(bad), Err(NotDer));
        }
    }

    #[test]
    fn refuses_empty_lists() {
        assert_eq!(CrlDistributionPoints::from_value_der(&[0x30, 0]), Err(NotDer));
        assert_eq!(FreshestCrl::from_value_der(&[0x30, 0]), Err(NotDer));
        assert_eq!(AuthorityInfoAccess::from_value_der(&[0x30, 0]), Err(NotDer));
    }
}
