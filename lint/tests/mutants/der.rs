//! DER written by hand, so that any octet of it can be wrong: no builder of ours takes part.

/// One value, its length computed when it is written; [`Der::Raw`] may be anything.
#[derive(Clone, Debug)]
pub(crate) enum Der {
    /// Tag and content octets.
    Leaf(u8, Vec<u8>),
    /// Tag and parts.
    List(u8, Vec<Self>),
    /// An OCTET STRING around a value.
    Octets(Box<Self>),
    /// Octets as they are.
    Raw(Vec<u8>),
}

impl Der {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Leaf(tag, content) => unit(*tag, content),
            Self::List(tag, parts) => {
                unit(*tag, &parts.iter().flat_map(Self::encode).collect::<Vec<_>>())
            }
            Self::Octets(inner) => unit(0x04, &inner.encode()),
            Self::Raw(octets) => octets.clone(),
        }
    }

    /// The parts of a list.
    pub(crate) fn parts(&mut self) -> &mut Vec<Self> {
        match self {
            Self::List(_, parts) => parts,
            other => panic!("{other:?} has no parts"),
        }
    }
}

fn unit(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut octets = vec![tag];
    match content.len() {
        short @ 0..=0x7f => octets.push(short as u8),
        long @ 0x80..=0xff => octets.extend([0x81, long as u8]),
        longer => octets.extend([0x82, (longer >> 8) as u8, longer as u8]),
    }
    octets.extend(content);
    octets
}

pub(crate) fn seq(parts: impl IntoIterator<Item = Der>) -> Der {
    Der::List(0x30, parts.into_iter().collect())
}

pub(crate) fn set(parts: impl IntoIterator<Item = Der>) -> Der {
    Der::List(0x31, parts.into_iter().collect())
}

/// A constructed context-specific value.
pub(crate) fn context(number: u8, parts: impl IntoIterator<Item = Der>) -> Der {
    Der::List(0xa0 | number, parts.into_iter().collect())
}

/// A primitive context-specific value.
pub(crate) fn implicit(number: u8, content: &[u8]) -> Der {
    Der::Leaf(0x80 | number, content.to_vec())
}

pub(crate) fn int(content: &[u8]) -> Der {
    Der::Leaf(0x02, content.to_vec())
}

pub(crate) fn enumerated(value: u8) -> Der {
    Der::Leaf(0x0a, vec![value])
}

pub(crate) fn boolean(octet: u8) -> Der {
    Der::Leaf(0x01, vec![octet])
}

pub(crate) fn null() -> Der {
    Der::Leaf(0x05, Vec::new())
}

/// A BIT STRING: unused bits, then octets.
pub(crate) fn bits(unused: u8, octets: &[u8]) -> Der {
    Der::Leaf(0x03, [&[unused], octets].concat())
}

pub(crate) fn octets(content: &[u8]) -> Der {
    Der::Leaf(0x04, content.to_vec())
}

pub(crate) fn utf8(text: &str) -> Der {
    Der::Leaf(0x0c, text.into())
}

pub(crate) fn printable(text: &str) -> Der {
    Der::Leaf(0x13, text.into())
}

pub(crate) fn ia5(text: &str) -> Der {
    Der::Leaf(0x16, text.into())
}

pub(crate) fn utc(text: &str) -> Der {
    Der::Leaf(0x17, text.into())
}

pub(crate) fn generalized(text: &str) -> Der {
    Der::Leaf(0x18, text.into())
}

/// An OBJECT IDENTIFIER from its dotted form.
pub(crate) fn oid(dotted: &str) -> Der {
    let mut arcs = dotted.split('.').map(|arc| arc.parse::<u64>().unwrap());
    let first = arcs.next().unwrap() * 40 + arcs.next().unwrap();
    let mut content = Vec::new();
    for arc in std::iter::once(first).chain(arcs) {
        let groups = (0..10).rev().map(|group| (arc >> (group * 7)) as u8 & 0x7f);
        let mut groups: Vec<u8> = groups.skip_while(|group| *group == 0).collect();
        if groups.is_empty() {
            groups.push(0);
        }
        let last = groups.len() - 1;
        groups[..last].iter_mut().for_each(|group| *group |= 0x80);
        content.extend(groups);
    }
    Der::Leaf(0x06, content)
}
