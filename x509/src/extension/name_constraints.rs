//! nameConstraints of other operators' CA certificates: read, never written by us.

use super::ExtensionValue;
use crate::name::Name;
use crate::oid::{ObjectIdentifier, extension};
use crate::tlv::{self, Element, Elements, NotDer};

/// nameConstraints (RFC 5280 §4.2.1.10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameConstraints {
    der: Vec<u8>,
    permitted: Vec<Subtree>,
    excluded: Vec<Subtree>,
}

/// The base of one GeneralSubtree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subtree {
    /// directoryName: names that begin with these RDNs.
    Directory(Name),
    /// dNSName: this domain and all below it; empty for all.
    Dns(String),
    /// iPAddress: address and mask, 8 octets (IPv4) or 32 (IPv6).
    Ip(Vec<u8>),
    /// Another kind of name, kept as its whole DER.
    Other(Vec<u8>),
    /// rfc822Name: a mailbox, a host, or a domain with a leading dot.
    Rfc822(String),
    /// uniformResourceIdentifier: a host, or a domain with a leading dot.
    Uri(String),
}

impl NameConstraints {
    /// permittedSubtrees.
    #[must_use]
    pub fn permitted(&self) -> &[Subtree] {
        &self.permitted
    }

    /// excludedSubtrees.
    #[must_use]
    pub fn excluded(&self) -> &[Subtree] {
        &self.excluded
    }
}

impl Subtree {
    fn of(element: &Element<'_>) -> Result<Self, NotDer> {
        let mut fields = element.elements();
        let base = fields.any()?;
        // RFC 5280 §4.2.1.10: minimum must be zero, its DEFAULT, and maximum absent.
        fields.finish()?;
        let text = || match std::str::from_utf8(base.content) {
            Ok(text) if text.chars().all(|c| c.is_ascii_graphic()) => Ok(text.to_owned()),
            _ => Err(NotDer),
        };
        Ok(match (base.tag, base.content.len()) {
            (0x81, _) => Self::Rfc822(text()?),
            (0x82, _) => Self::Dns(text()?),
            (0x86, _) => Self::Uri(text()?),
            (0x87, 8 | 32) => Self::Ip(base.content.to_vec()),
            (0xa4, _) => Self::Directory(Name::from_der(base.content).map_err(|_| NotDer)?),
            (0xa0 | 0xa3 | 0xa5 | 0x88, _) => Self::Other(base.whole.to_vec()),
            _ => return Err(NotDer),
        })
    }
}

fn subtrees(fields: &mut Elements<'_>, number: u8) -> Result<Vec<Subtree>, NotDer> {
    let Some(list) = fields.optional(tlv::context_constructed(number))? else {
        return Ok(Vec::new());
    };
    let mut elements = list.elements();
    let mut subtrees = vec![Subtree::of(&elements.tagged(tlv::SEQUENCE)?)?];
    while !elements.is_empty() {
        subtrees.push(Subtree::of(&elements.tagged(tlv::SEQUENCE)?)?);
    }
    Ok(subtrees)
}

impl ExtensionValue for NameConstraints {
    const OID: ObjectIdentifier = extension::NAME_CONSTRAINTS;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let mut fields = Element::only(der, tlv::SEQUENCE)?.elements();
        let permitted = subtrees(&mut fields, 0)?;
        let excluded = subtrees(&mut fields, 1)?;
        fields.finish()?;
        if permitted.is_empty() && excluded.is_empty() {
            return Err(NotDer);
        }
        Ok(Self { der: der.to_vec(), permitted, excluded })
    }

    /// The DER as it was received.
    fn to_value_der(&self) -> Vec<u8> {
        self.der.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_lists() {
        let der = b"\x30\x16\xa0\x06\x30\x04\x82\x02se\xa1\x0c\x30\x0a\x87\x08\x0a\0\0\0\xff\0\0\0";

        let constraints = NameConstraints::from_value_der(der).unwrap();

        assert_eq!(constraints.permitted(), [Subtree::Dns("se".into())]);
        assert_eq!(constraints.excluded(), [Subtree::Ip(vec![10, 0, 0, 0, 255, 0, 0, 0])]);
        assert_eq!(constraints.to_value_der(), der);
    }

    #[test]
    fn refuses_the_empty_one_and_a_maximum() {
        let with_maximum = b"\x30\x0b\xa0\x09\x30\x07\x82\x02se\x81\x01\x01";

        for bad in [&b"\x30\x00"[..], b"\x30\x02\xa0\x00", with_maximum] {
            assert_eq!(NameConstraints::from_value_der(bad), Err(NotDer));
        }
    }
}
