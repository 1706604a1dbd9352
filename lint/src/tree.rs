//! Reads octets into a tree of tag, length and value, and notes every length and tag that DER
//! forbids.
//!
//! Reading is lenient where it can go on (a length of too many octets is noted, then obeyed), so
//! that one defect gives one finding; it stops where nothing sensible can follow.

use crate::finding::Report;
use crate::rules::{
    COMPLETE, CONSTRUCTED, DEFINITE_LENGTH, DEPTH, MINIMAL_LENGTH, NO_TRAILING_OCTETS, STRUCTURE,
    TAG_FORM,
};
use crate::values;

/// Levels of nesting that are followed. The deepest structures of RFC 5280 and RFC 6960, names in
/// distribution points of certificates in OCSP answers, need fewer than 20.
const DEEPEST: u8 = 32;

/// Identifier octets of X.509 (X.690 §8.1.2); class and constructed bit included.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const PRINTABLE_STRING: u8 = 0x13;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// A primitive context-specific tag: an IMPLICIT string, integer or flag.
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// A constructed context-specific tag: EXPLICIT, or an IMPLICIT structure.
    pub(crate) const fn context_constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// One value: its identifier octet, its place, its octets and, if constructed, its parts.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) tag: u8,
    /// From the start of the structure that is judged.
    pub(crate) offset: u64,
    /// Identifier, length and contents.
    pub(crate) octets: &'a [u8],
    pub(crate) content: &'a [u8],
    pub(crate) parts: Vec<Self>,
}

/// Reads exactly one value and judges it and all its parts as DER.
pub(crate) fn read<'a>(octets: &'a [u8], offset: u64, report: &mut Report) -> Option<Node<'a>> {
    let node = parse(octets, offset, report)?;
    values::judge(&node, report);
    Some(node)
}

/// Reads exactly one value and judges its lengths and tags, but not yet its contents.
pub(crate) fn parse<'a>(octets: &'a [u8], offset: u64, report: &mut Report) -> Option<Node<'a>> {
    let (node, rest) = read_one(octets, offset, DEEPEST, report)?;
    if !rest.is_empty() {
        let end = advance(offset, node.octets.len());
        report.add(&NO_TRAILING_OCTETS, end, format!("{} octets follow the value", rest.len()));
    }
    Some(node)
}

/// Reads one value at the front of `octets`, and returns what follows it.
fn read_one<'a>(
    octets: &'a [u8],
    offset: u64,
    levels: u8,
    report: &mut Report,
) -> Option<(Node<'a>, &'a [u8])> {
    let header = Header::read(octets, offset, report)?;
    let after = octets.get(usize::from(header.octets)..).unwrap_or_default();
    let length = usize::try_from(header.length).ok().filter(|length| *length <= after.len());
    let Some(length) = length else {
        let seen = format!("{} octets are announced, {} are left", header.length, after.len());
        report.stop(&COMPLETE, offset, seen);
        return None;
    };
    let (content, rest) = after.split_at(length);
    let whole = octets.get(..octets.len() - rest.len()).unwrap_or_default();
    let mut node = Node { tag: header.tag, offset, octets: whole, content, parts: Vec::new() };
    if header.is_constructed() {
        let levels = levels.checked_sub(1).or_else(|| {
            report.stop(&DEPTH, offset, format!("nested deeper than {DEEPEST} levels"));
            None
        })?;
        node.parts = read_parts(content, advance(offset, header.octets.into()), levels, report)?;
    }
    Some((node, rest))
}

fn read_parts<'a>(
    mut content: &'a [u8],
    mut offset: u64,
    levels: u8,
    report: &mut Report,
) -> Option<Vec<Node<'a>>> {
    let mut parts = Vec::new();
    while !content.is_empty() {
        let (part, rest) = read_one(content, offset, levels, report)?;
        offset = advance(offset, part.octets.len());
        content = rest;
        parts.push(part);
    }
    Some(parts)
}

/// `offset` moved on by `octets`.
pub(crate) fn advance(offset: u64, octets: usize) -> u64 {
    offset.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX))
}

/// Identifier and length octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) tag: u8,
    /// Of identifier and length together: at most 10.
    pub(crate) octets: u8,
    /// Of the contents.
    pub(crate) length: u64,
}

impl Header {
    /// Longest header that is read: identifier, length of length, eight octets.
    pub(crate) const LONGEST: usize = 10;

    /// Reads the header at the front of `octets`; `None` after a finding when it cannot be obeyed.
    pub(crate) fn read(octets: &[u8], offset: u64, report: &mut Report) -> Option<Self> {
        let &[tag, first, ..] = octets else {
            report.stop(&COMPLETE, offset, "ends inside a tag or length");
            return None;
        };
        if tag & 0x1f == 0x1f {
            report.stop(&TAG_FORM, offset, format!("identifier octet {tag:02x}"));
            return None;
        }
        judge_constructed(tag, offset, report);
        match first {
            0..=0x7f => Some(Self { tag, octets: 2, length: first.into() }),
            0x80 => {
                report.stop(&DEFINITE_LENGTH, offset, "indefinite length");
                None
            }
            _ => Self::read_long(tag, first & 0x7f, octets.get(2..)?, offset, report),
        }
    }

    fn read_long(
        tag: u8,
        count: u8,
        after: &[u8],
        offset: u64,
        report: &mut Report,
    ) -> Option<Self> {
        let length = after.get(..count.into()).filter(|_| count <= 8);
        let Some(length) = length else {
            report.stop(&COMPLETE, offset, format!("length of {count} octets"));
            return None;
        };
        let value = length.iter().fold(0_u64, |value, octet| (value << 8) | u64::from(*octet));
        if value < 0x80 || length.first() == Some(&0) {
            report.add(&MINIMAL_LENGTH, offset, format!("length {value} in {count} octets"));
        }
        Some(Self { tag, octets: count + 2, length: value })
    }

    const fn is_constructed(self) -> bool {
        self.tag & 0x20 != 0
    }
}

/// X.690 §8.9.1, §8.11.1, §10.2: SEQUENCE and SET are constructed, every other universal type is
/// primitive. Context-specific tags say nothing without their schema.
fn judge_constructed(tag: u8, offset: u64, report: &mut Report) {
    let (universal, constructed) = (tag & 0xc0 == 0, tag & 0x20 != 0);
    if universal && constructed != matches!(tag & 0x1f, 0x10 | 0x11) {
        report.add(&CONSTRUCTED, offset, format!("identifier octet {tag:02x}"));
    }
}

/// Why a tree is not the structure that was expected.
#[derive(Debug)]
pub(crate) struct Misshapen {
    offset: u64,
    expected: &'static str,
}

impl Misshapen {
    pub(crate) const fn at(offset: u64, expected: &'static str) -> Self {
        Self { offset, expected }
    }

    /// Notes it.
    pub(crate) fn report(&self, report: &mut Report) {
        report.stop(&STRUCTURE, self.offset, format!("not {}", self.expected));
    }
}

impl<'a> Node<'a> {
    /// The parts in order, for a type that names them.
    pub(crate) fn fields(&self) -> Fields<'_, 'a> {
        let end = advance(self.offset, self.octets.len());
        Fields { rest: &self.parts, end }
    }

    /// The parts, where this is a list of at least one `tag`.
    pub(crate) fn list(&self, tag: u8, expected: &'static str) -> Result<&[Self], Misshapen> {
        match self.parts.iter().find(|part| part.tag != tag) {
            Some(other) => Err(Misshapen::at(other.offset, expected)),
            None if self.parts.is_empty() => Err(Misshapen::at(self.offset, expected)),
            None => Ok(&self.parts),
        }
    }

    /// This node, if it has that tag.
    pub(crate) const fn expect(&self, tag: u8, expected: &'static str) -> Result<&Self, Misshapen> {
        if self.tag == tag { Ok(self) } else { Err(Misshapen::at(self.offset, expected)) }
    }

    /// Offset of the contents.
    pub(crate) fn content_offset(&self) -> u64 {
        advance(self.offset, self.octets.len() - self.content.len())
    }
}

/// Takes the parts of a constructed value one by one.
#[derive(Debug)]
pub(crate) struct Fields<'t, 'a> {
    rest: &'t [Node<'a>],
    end: u64,
}

impl<'t, 'a> Fields<'t, 'a> {
    /// Parts that were read one by one; `end` is the offset after the last.
    pub(crate) const fn over(parts: &'t [Node<'a>], end: u64) -> Self {
        Self { rest: parts, end }
    }

    /// The next part if it has that tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<&'t Node<'a>> {
        let (first, rest) = self.rest.split_first()?;
        (first.tag == tag).then(|| {
            self.rest = rest;
            first
        })
    }

    /// The next part, which must have that tag.
    pub(crate) fn required(
        &mut self,
        tag: u8,
        expected: &'static str,
    ) -> Result<&'t Node<'a>, Misshapen> {
        let offset = self.offset();
        self.optional(tag).ok_or(Misshapen::at(offset, expected))
    }

    /// The next part, whatever it is.
    pub(crate) fn any(&mut self, expected: &'static str) -> Result<&'t Node<'a>, Misshapen> {
        let offset = self.offset();
        let (first, rest) = self.rest.split_first().ok_or(Misshapen::at(offset, expected))?;
        self.rest = rest;
        Ok(first)
    }

    /// Nothing may follow.
    pub(crate) fn end(self, expected: &'static str) -> Result<(), Misshapen> {
        self.rest.first().map_or(Ok(()), |more| Err(Misshapen::at(more.offset, expected)))
    }

    fn offset(&self) -> u64 {
        self.rest.first().map_or(self.end, |next| next.offset)
    }
}
