//! The shapes that certificates, CRLs and OCSP responses share: extensions, names, algorithms,
//! times, general names.

use crate::finding::Report;
use crate::oid::{self, Oid};
use crate::rules::{DEFAULT_OMITTED, EXTENSION_ONCE};
use crate::tree::{self, Misshapen, Node, tag};
use crate::values;

/// An extension (RFC 5280 §4.1.2.9); its value read as DER.
#[derive(Debug)]
pub(crate) struct Extension<'t, 'a> {
    pub(crate) id: &'t Node<'a>,
    pub(crate) critical: bool,
    /// `None` when it was no DER, which has been reported.
    pub(crate) value: Option<Node<'a>>,
}

impl<'a> Extension<'_, 'a> {
    pub(crate) fn is(&self, id: Oid) -> bool {
        self.id.content == id.as_bytes()
    }

    /// How findings inside it are placed.
    pub(crate) fn name(&self) -> String {
        format!("extension {}", oid::dotted(self.id.content))
    }

    /// Its value, if it is DER.
    pub(crate) const fn value(&self) -> Option<&Node<'a>> {
        self.value.as_ref()
    }
}

/// Extensions in their order.
#[derive(Debug, Default)]
pub(crate) struct Extensions<'t, 'a> {
    list: Vec<Extension<'t, 'a>>,
}

impl<'t, 'a> Extensions<'t, 'a> {
    /// Reads `Extensions`: a list that is not empty, each value DER.
    pub(crate) fn read(list: &'t Node<'a>, report: &mut Report) -> Result<Self, Misshapen> {
        let parts = list
            .expect(tag::SEQUENCE, "Extensions")?
            .list(tag::SEQUENCE, "a list of at least one Extension")?;
        let list = parts
            .iter()
            .map(|part| read_extension(part, report))
            .collect::<Result<Vec<_>, Misshapen>>()?;
        extension_once(&list, report);
        Ok(Self { list })
    }

    pub(crate) fn find(&self, id: Oid) -> Option<&Extension<'t, 'a>> {
        self.list.iter().find(|extension| extension.is(id))
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Extension<'t, 'a>> {
        self.list.iter()
    }
}

fn read_extension<'t, 'a>(
    node: &'t Node<'a>,
    report: &mut Report,
) -> Result<Extension<'t, 'a>, Misshapen> {
    let mut fields = node.fields();
    let id = fields.required(tag::OID, "an extension's OBJECT IDENTIFIER")?;
    let critical = fields.optional(tag::BOOLEAN);
    let octets = fields.required(tag::OCTET_STRING, "an extension's OCTET STRING")?;
    fields.end("the end of an Extension")?;
    if let Some(flag) = critical.filter(|flag| flag.content == [0x00]) {
        default_omitted(flag, "critical FALSE", report);
    }
    let mut extension = Extension {
        id,
        critical: critical.is_some_and(|flag| flag.content != [0x00]),
        value: None,
    };
    let mark = report.mark();
    extension.value = tree::read(octets.content, octets.content_offset(), report);
    report.name_since(mark, || extension.name());
    Ok(extension)
}

/// RFC 5280 §4.2: an extension at most once.
fn extension_once(list: &[Extension<'_, '_>], report: &mut Report) {
    for (number, extension) in list.iter().enumerate() {
        if list.iter().take(number).any(|earlier| earlier.id.content == extension.id.content) {
            report.add(&EXTENSION_ONCE, extension.id.offset, extension.name());
        }
    }
}

/// X.690 §11.5: a component that equals its default is left out.
pub(crate) fn default_omitted(node: &Node<'_>, what: &str, report: &mut Report) {
    report.add(&DEFAULT_OMITTED, node.offset, format!("{what} is written out"));
}

/// An attribute of a name.
#[derive(Debug)]
pub(crate) struct Attribute<'t, 'a> {
    pub(crate) kind: &'t Node<'a>,
    pub(crate) value: &'t Node<'a>,
}

impl Attribute<'_, '_> {
    pub(crate) fn is(&self, kind: Oid) -> bool {
        self.kind.content == kind.as_bytes()
    }
}

/// The attributes of a Name (RFC 5280 §4.1.2.4) in their order.
pub(crate) fn attributes<'t, 'a>(name: &'t Node<'a>) -> Result<Vec<Attribute<'t, 'a>>, Misshapen> {
    name.expect(tag::SEQUENCE, "a Name")?;
    let mut found = Vec::new();
    for rdn in &name.parts {
        let rdn = rdn.expect(tag::SET, "a RelativeDistinguishedName")?;
        for attribute in rdn.list(tag::SEQUENCE, "an attribute of a name")? {
            let mut fields = attribute.fields();
            let kind = fields.required(tag::OID, "an attribute's type")?;
            let value = fields.any("an attribute's value")?;
            fields.end("the end of an attribute")?;
            found.push(Attribute { kind, value });
        }
    }
    Ok(found)
}

/// Checks the shape of an AlgorithmIdentifier (RFC 5280 §4.1.1.2).
pub(crate) fn algorithm(node: &Node<'_>) -> Result<(), Misshapen> {
    let mut fields = node.expect(tag::SEQUENCE, "an AlgorithmIdentifier")?.fields();
    fields.required(tag::OID, "an algorithm's OBJECT IDENTIFIER")?;
    let _parameters = fields.any("parameters");
    fields.end("the end of an AlgorithmIdentifier")
}

/// The octets of a BIT STRING whose bits fill them.
pub(crate) fn whole_octets<'a>(
    node: &Node<'a>,
    expected: &'static str,
) -> Result<&'a [u8], Misshapen> {
    match node.expect(tag::BIT_STRING, expected)?.content {
        [0, octets @ ..] if !octets.is_empty() => Ok(octets),
        _ => Err(Misshapen::at(node.offset, expected)),
    }
}

/// Takes a Time: UTCTime or GeneralizedTime.
pub(crate) const fn is_time(node: &Node<'_>) -> bool {
    matches!(node.tag, tag::UTC_TIME | tag::GENERALIZED_TIME)
}

/// What a GeneralName holds (RFC 5280 §4.2.1.6), by its tag.
pub(crate) mod general_name {
    use super::tag::{context, context_constructed};

    pub(crate) const OTHER_NAME: u8 = context_constructed(0);
    pub(crate) const RFC822_NAME: u8 = context(1);
    pub(crate) const DNS_NAME: u8 = context(2);
    pub(crate) const DIRECTORY_NAME: u8 = context_constructed(4);
    pub(crate) const URI: u8 = context(6);
    pub(crate) const IP_ADDRESS: u8 = context(7);
    pub(crate) const REGISTERED_ID: u8 = context(8);
}

/// Checks the shape and the alphabet of a GeneralName.
pub(crate) fn judge_general_name(name: &Node<'_>, report: &mut Report) -> Result<(), Misshapen> {
    match name.tag {
        general_name::RFC822_NAME | general_name::DNS_NAME | general_name::URI => {
            values::ia5_string(name, report);
        }
        general_name::OTHER_NAME => {
            let mut fields = name.fields();
            fields.required(tag::OID, "an otherName's type")?;
            let value =
                fields.required(tag::context_constructed(0), "an otherName's explicit value")?;
            fields.end("the end of an otherName")?;
            let mut value = value.fields();
            value.any("an otherName's value")?;
            value.end("the end of an otherName's value")?;
        }
        general_name::DIRECTORY_NAME => {
            let mut fields = name.fields();
            attributes(fields.any("a directoryName")?)?;
            fields.end("the end of a directoryName")?;
        }
        general_name::IP_ADDRESS if matches!(name.content.len(), 4 | 16) => {}
        general_name::REGISTERED_ID => {}
        _ => return Err(Misshapen::at(name.offset, "a GeneralName that X.509 certificates use")),
    }
    Ok(())
}

/// The bits of a keyUsage (RFC 5280 §4.2.1.3), the first bit highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyUsage(u16);

impl KeyUsage {
    pub(crate) const DIGITAL_SIGNATURE: u16 = 0x8000;
    pub(crate) const NON_REPUDIATION: u16 = 0x4000;
    pub(crate) const KEY_ENCIPHERMENT: u16 = 0x2000;
    pub(crate) const DATA_ENCIPHERMENT: u16 = 0x1000;
    pub(crate) const KEY_CERT_SIGN: u16 = 0x0400;
    pub(crate) const CRL_SIGN: u16 = 0x0200;

    pub(crate) fn of(node: &Node<'_>) -> Self {
        let mut octets = node.content.iter().skip(1).copied();
        let mut next = || octets.next().unwrap_or_default();
        Self(u16::from_be_bytes([next(), next()]))
    }

    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    pub(crate) const fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }
}

impl std::fmt::Display for KeyUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [&str; 9] = [
            "digitalSignature",
            "nonRepudiation",
            "keyEncipherment",
            "dataEncipherment",
            "keyAgreement",
            "keyCertSign",
            "cRLSign",
            "encipherOnly",
            "decipherOnly",
        ];
        let set = NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (0x8000 >> bit) != 0);
        let names: Vec<&str> = set.map(|(_, name)| *name).collect();
        write!(
            f,
            "keyUsage {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )
    }
}
