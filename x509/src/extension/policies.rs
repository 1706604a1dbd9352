//! certificatePolicies, with the CPS qualifier that SITHS certificates carry.

use super::{ExtensionValue, Ia5Text};
use crate::oid::{ObjectIdentifier, extension, policy};
use crate::tlv::{self, Element, NotDer};

/// certificatePolicies (RFC 5280 §4.2.1.4), in encoded order. It must hold at least one policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificatePolicies(pub Vec<PolicyInformation>);

/// One policy with its qualifiers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyInformation {
    /// policyIdentifier.
    pub policy: ObjectIdentifier,
    /// policyQualifiers in encoded order; an empty list is left away.
    pub qualifiers: Vec<PolicyQualifier>,
}

/// One qualifier of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PolicyQualifier {
    /// URI of the certification practice statement.
    Cps(Ia5Text),
    /// Another operator's qualifier, such as a user notice: its type and its DER, kept unread.
    Other {
        /// policyQualifierId.
        oid: ObjectIdentifier,
        /// The DER of the qualifier.
        der: Vec<u8>,
    },
}

impl PolicyInformation {
    /// A policy without qualifiers.
    #[must_use]
    pub const fn plain(policy: ObjectIdentifier) -> Self {
        Self { policy, qualifiers: Vec::new() }
    }

    /// A policy with the URI of its certification practice statement.
    #[must_use]
    pub fn with_cps(policy: ObjectIdentifier, cps: Ia5Text) -> Self {
        Self { policy, qualifiers: vec![PolicyQualifier::Cps(cps)] }
    }

    fn of(element: &Element<'_>) -> Result<Self, NotDer> {
        let mut fields = element.elements();
        let policy = fields.tagged(tlv::OID)?.oid()?;
        let mut qualifiers = Vec::new();
        if let Some(list) = fields.optional(tlv::SEQUENCE)? {
            let mut elements = list.elements();
            loop {
                qualifiers.push(PolicyQualifier::of(&elements.tagged(tlv::SEQUENCE)?)?);
                if elements.is_empty() {
                    break;
                }
            }
        }
        fields.finish()?;
        Ok(Self { policy, qualifiers })
    }

    fn to_der(&self) -> Vec<u8> {
        let policy = tlv::oid(self.policy);
        if self.qualifiers.is_empty() {
            return tlv::sequence(&[&policy]);
        }
        let list: Vec<u8> = self.qualifiers.iter().flat_map(PolicyQualifier::to_der).collect();
        tlv::sequence(&[&policy, &tlv::sequence(&[&list])])
    }
}

impl PolicyQualifier {
    fn of(element: &Element<'_>) -> Result<Self, NotDer> {
        let mut fields = element.elements();
        let oid = fields.tagged(tlv::OID)?.oid()?;
        let value = fields.any()?;
        fields.finish()?;
        match oid {
            policy::CPS if value.tag == tlv::IA5_STRING => {
                Ia5Text::from_octets(value.content).map(Self::Cps)
            }
            policy::CPS => Err(NotDer),
            _ => Ok(Self::Other { oid, der: value.whole.to_vec() }),
        }
    }

    fn to_der(&self) -> Vec<u8> {
        match self {
            Self::Cps(uri) => {
                let uri = tlv::element(tlv::IA5_STRING, &[uri.as_str().as_bytes()]);
                tlv::sequence(&[&tlv::oid(policy::CPS), &uri])
            }
            Self::Other { oid, der } => tlv::sequence(&[&tlv::oid(*oid), der]),
        }
    }
}

impl ExtensionValue for CertificatePolicies {
    const OID: ObjectIdentifier = extension::CERTIFICATE_POLICIES;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let mut elements = Element::only(der, tlv::SEQUENCE)?.elements();
        let mut policies: Vec<PolicyInformation> = Vec::new();
        loop {
            let information = PolicyInformation::of(&elements.tagged(tlv::SEQUENCE)?)?;
            // RFC 5280 §4.2.1.4: an OID must not appear more than once.
            if policies.iter().any(|other| other.policy == information.policy) {
                return Err(NotDer);
            }
            policies.push(information);
            if elements.is_empty() {
                return Ok(Self(policies));
            }
        }
    }

    fn to_value_der(&self) -> Vec<u8> {
        let list: Vec<u8> = self.0.iter().flat_map(PolicyInformation::to_der).collect();
        tlv::sequence(&[&list])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_keeps_foreign_qualifiers() {
        let cps = Ia5Text::new("https://www.inera.se/siths/repository").unwrap();
        let notice = PolicyQualifier::Other { oid: policy::USER_NOTICE, der: vec![0x30, 0] };
        let policies = CertificatePolicies(vec![
            PolicyInformation::with_cps(ObjectIdentifier::parse("1.2.752.74.8.650").unwrap(), cps),
            PolicyInformation::plain(policy::ANY),
            PolicyInformation {
                policy: ObjectIdentifier::parse("2.999.7").unwrap(),
                qualifiers: vec![notice],
            },
        ]);

        assert_eq!(CertificatePolicies::from_value_der(&policies.to_value_der()), Ok(policies));
    }

    #[test]
    fn refuses_an_empty_list_and_a_policy_twice() {
        let twice = CertificatePolicies(vec![
            PolicyInformation::plain(policy::ANY),
            PolicyInformation::plain(policy::ANY),
        ]);

        for bad in [vec![0x30, 0], twice.to_value_der()] {
            assert_eq!(CertificatePolicies::from_value_der(&bad), Err(NotDer));
        }
    }
}
