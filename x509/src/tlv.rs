//! Tag, length and value: reading received DER without copying or recursing, and writing ours.
//!
//! Reading rests on the ASN.1 library's header decoder, which refuses indefinite and non-minimal
//! lengths. Nothing here recurses: a structure is opened one level at a time by the code that knows
//! what belongs there, so depth costs an attacker nothing but us neither.
//!
//! Writing is by hand because it then cannot fail and because issuer names, key identifiers and
//! serial numbers are byte copies; the tests let other people's decoders read the result.

use der::{Decode as _, Header, Reader as _, SliceReader};
use thiserror::Error;

use crate::oid::ObjectIdentifier;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const NUMERIC_STRING: u8 = 0x12;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const TELETEX_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Identifier octet of a primitive `[number]`; numbers above 30 do not occur in X.509.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | (number & 0x1f)
}

/// Identifier octet of a constructed `[number]`.
pub(crate) const fn context_constructed(number: u8) -> u8 {
    0xa0 | (number & 0x1f)
}

/// One element of received DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// The identifier octet: class, constructed bit and number in one.
    pub(crate) tag: u8,
    /// The content octets.
    pub(crate) content: &'a [u8],
    /// Identifier, length and content octets.
    pub(crate) whole: &'a [u8],
}

/// Reads elements one after another from received DER.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(crate) const fn of(der: &'a [u8]) -> Self {
        Self { rest: der }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element's identifier octet, if there is one.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, whatever it is.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, NotDer> {
        let tag = self.peek().ok_or(NotDer)?;
        if let Some(element) = self.short() {
            return Ok(element);
        }
        let mut reader = SliceReader::new(self.rest).map_err(|_| NotDer)?;
        let header = Header::decode(&mut reader).map_err(|_| NotDer)?;
        let content = reader.read_slice(header.length()).map_err(|_| NotDer)?;
        let end = usize::try_from(reader.position()).map_err(|_| NotDer)?;
        let (whole, rest) = self.rest.split_at_checked(end).ok_or(NotDer)?;
        self.rest = rest;
        Ok(Element { tag, content, whole })
    }

    /// The next element, if it is of a usual type and of one length octet: nearly all of a list's millions
    /// are, and the library takes several times as long over each.
    fn short(&mut self) -> Option<Element<'a>> {
        const USUAL: [u8; 7] =
            [INTEGER, OCTET_STRING, OID, UTC_TIME, GENERALIZED_TIME, BOOLEAN, SEQUENCE];
        let [tag, length @ 0..=0x7f, rest @ ..] = self.rest else { return None };
        let content = rest.get(..usize::from(*length)).filter(|_| USUAL.contains(tag))?;
        let (whole, rest) = self.rest.split_at_checked(content.len().checked_add(2)?)?;
        self.rest = rest;
        Some(Element { tag: *tag, content, whole })
    }

    /// The next element, which must carry this identifier octet.
    pub(crate) fn tagged(&mut self, tag: u8) -> Result<Element<'a>, NotDer> {
        if self.peek() == Some(tag) { self.any() } else { Err(NotDer) }
    }

    /// The next element if it carries this identifier octet.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, NotDer> {
        if self.peek() == Some(tag) { self.any().map(Some) } else { Ok(None) }
    }

    pub(crate) fn finish(&self) -> Result<(), NotDer> {
        if self.is_empty() { Ok(()) } else { Err(NotDer) }
    }
}

impl<'a> Element<'a> {
    /// The one element that `der` is, with this identifier octet and nothing after it.
    pub(crate) fn only(der: &'a [u8], tag: u8) -> Result<Self, NotDer> {
        let mut elements = Elements::of(der);
        let element = elements.tagged(tag)?;
        elements.finish()?;
        Ok(element)
    }

    /// The elements inside.
    pub(crate) const fn elements(&self) -> Elements<'a> {
        Elements::of(self.content)
    }

    pub(crate) fn oid(&self) -> Result<ObjectIdentifier, NotDer> {
        if self.tag != OID {
            return Err(NotDer);
        }
        ObjectIdentifier::from_content_octets(self.content).map_err(|_| NotDer)
    }

    /// The content of an INTEGER (or of an implicit one), which must be minimal (X.690 §8.3.2).
    pub(crate) fn integer_octets(&self) -> Result<&'a [u8], NotDer> {
        match self.content {
            [] => Err(NotDer),
            [0x00, next, ..] if next & 0x80 == 0 => Err(NotDer),
            [0xff, next, ..] if next & 0x80 != 0 => Err(NotDer),
            minimal => Ok(minimal),
        }
    }

    /// The value of a small non-negative INTEGER.
    pub(crate) fn small_integer(&self) -> Result<u8, NotDer> {
        match self.integer_octets()? {
            [value] if value & 0x80 == 0 => Ok(*value),
            [0x00, value] => Ok(*value),
            _ => Err(NotDer),
        }
    }

    /// The value of a BOOLEAN, `ff` for true (X.690 §11.1).
    pub(crate) const fn boolean(&self) -> Result<bool, NotDer> {
        match self.content {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(NotDer),
        }
    }

    /// The content of a BIT STRING of whole octets.
    pub(crate) fn octet_bits(&self) -> Result<&'a [u8], NotDer> {
        match self.content {
            [0, bits @ ..] => Ok(bits),
            _ => Err(NotDer),
        }
    }

    /// The octets of a BIT STRING with named bits: no trailing zero bits (X.690 §11.2.2).
    pub(crate) fn named_bits(&self) -> Result<&'a [u8], NotDer> {
        match self.content {
            [0] => Ok(&[]),
            [unused, bits @ ..]
                if bits.last().is_some_and(|last| {
                    *last != 0 && last.trailing_zeros() == u32::from(*unused)
                }) =>
            {
                Ok(bits)
            }
            _ => Err(NotDer),
        }
    }
}

/// Writes one element.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let mut out = Vec::with_capacity(length.saturating_add(6));
    out.push(tag);
    push_length(&mut out, length);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Length octets (X.690 §10.1): short form below 128, else the fewest octets.
fn push_length(out: &mut Vec<u8>, length: usize) {
    let octets = length.to_be_bytes();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let zeros = octets.iter().take_while(|octet| **octet == 0).count();
            let significant = octets.get(zeros..).unwrap_or_default();
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or(0));
            out.extend_from_slice(significant);
        }
    }
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, parts)
}

pub(crate) fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    element(OID, &[oid.as_bytes()])
}

/// INTEGER of a non-negative number.
pub(crate) fn integer(value: u64) -> Vec<u8> {
    let octets = value.to_be_bytes();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count().min(7);
    unsigned_integer(octets.get(zeros..).unwrap_or_default())
}

/// INTEGER of a non-negative number given as big-endian octets without leading zeros.
pub(crate) fn unsigned_integer(octets: &[u8]) -> Vec<u8> {
    match octets.first() {
        Some(first) if first & 0x80 == 0 => element(INTEGER, &[octets]),
        _ => element(INTEGER, &[&[0], octets]),
    }
}

/// The content octets of a BIT STRING with named bits, bit 0 first in `octets`, trailing zero bits
/// left away (X.690 §11.2.2).
pub(crate) fn named_bits_content(octets: &[u8]) -> Vec<u8> {
    let used =
        octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last.saturating_add(1));
    let bits = octets.get(..used).unwrap_or_default();
    let unused = bits.last().map_or(0, |last| last.trailing_zeros());
    let mut content = vec![u8::try_from(unused).unwrap_or(0)];
    content.extend_from_slice(bits);
    content
}

/// The received bytes are not the DER that this place asks for.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not DER of the expected structure")]
pub struct NotDer;

#[cfg(test)]
mod tests {
    use super::*;

    fn first(der: &[u8]) -> Result<Element<'_>, NotDer> {
        Elements::of(der).any()
    }

    /// PRO-01: one encoding of each length.
    #[test]
    fn writes_what_the_reader_and_the_library_read_at_every_length_boundary() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![0x5a; length];
            let ours = element(OCTET_STRING, &[&content]);

            let theirs =
                der::Encode::to_der(&der::asn1::OctetString::new(content.clone()).unwrap());

            assert_eq!(ours, theirs.unwrap());
            assert_eq!(first(&ours).unwrap().content, content);
        }
    }

    /// PRO-01: minimal INTEGER.
    #[test]
    fn writes_minimal_integers() {
        for (value, der) in [
            (0, vec![2, 1, 0]),
            (127, vec![2, 1, 127]),
            (128, vec![2, 2, 0, 128]),
            (65_535, vec![2, 3, 0, 255, 255]),
            (u64::MAX, vec![2, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            assert_eq!(integer(value), der);
        }
    }

    /// PRO-01: BER is refused.
    #[test]
    fn refuses_indefinite_and_non_minimal_lengths_and_truncation() {
        let long_form_of_five = [0x04, 0x81, 0x05, 1, 2, 3, 4, 5];
        let indefinite = [0x30, 0x80, 0x00, 0x00];
        let truncated = [0x04, 0x05, 1, 2];

        for bad in [&long_form_of_five[..], &indefinite, &truncated, &[]] {
            assert_eq!(first(bad), Err(NotDer));
        }
    }

    /// PRO-01: BOOLEAN true is `ff`, INTEGER minimal, named bits without trailing zeros.
    #[test]
    fn refuses_other_encodings_of_the_same_value() {
        assert_eq!(first(&[1, 1, 1]).unwrap().boolean(), Err(NotDer));
        assert_eq!(first(&[2, 2, 0, 1]).unwrap().integer_octets(), Err(NotDer));
        assert_eq!(first(&[2, 2, 0xff, 0x80]).unwrap().integer_octets(), Err(NotDer));
        assert_eq!(first(&[3, 2, 1, 0x04]).unwrap().named_bits(), Err(NotDer));
        assert_eq!(first(&[3, 3, 0, 0x80, 0]).unwrap().named_bits(), Err(NotDer));
        assert_eq!(first(&[3, 2, 2, 0x04]).unwrap().named_bits(), Ok(&[0x04][..]));
    }

    #[test]
    fn writes_named_bits_without_trailing_zeros() {
        assert_eq!(named_bits_content(&[0x06]), [1, 0x06]);
        assert_eq!(named_bits_content(&[0x80, 0x00]), [7, 0x80]);
        assert_eq!(named_bits_content(&[0x00, 0x80]), [7, 0x00, 0x80]);
        assert_eq!(named_bits_content(&[0x00, 0x00]), [0]);
    }
}
