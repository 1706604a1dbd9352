//! Tag and length octets ahead of content that is not at hand, or that goes into a buffer in use.
//!
//! Structures in memory go through [`crate::tlv`]. CRLs, which may be larger than memory should be,
//! are framed with this (X.690 §8.1, §10.1).

/// The largest length that we write or read: what four length octets can say.
pub(crate) const MAX_LENGTH: u64 = 0xffff_ffff;

/// Octets that the tag and the minimal length encoding of `length` take.
pub(crate) const fn header_length(length: u64) -> u64 {
    match length {
        0..=0x7f => 2,
        0x80..=0xff => 3,
        0x100..=0xffff => 4,
        0x1_0000..=0xff_ffff => 5,
        _ => 6,
    }
}

/// Appends `tag` and the minimal encoding of `length`, which must be at most [`MAX_LENGTH`].
pub(crate) fn push_header(out: &mut Vec<u8>, tag: u8, length: u64) {
    out.push(tag);
    let octets = length.to_be_bytes();
    match (header_length(length), octets) {
        (2, [.., last]) => out.push(last),
        (3, [.., last]) => out.extend_from_slice(&[0x81, last]),
        (4, [.., a, b]) => out.extend_from_slice(&[0x82, a, b]),
        (5, [.., a, b, c]) => out.extend_from_slice(&[0x83, a, b, c]),
        (_, [.., a, b, c, d]) => out.extend_from_slice(&[0x84, a, b, c, d]),
    }
}

/// Appends a whole value.
pub(crate) fn push(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    push_header(out, tag, octets(content));
    out.extend_from_slice(content);
}

/// The length of a slice as DER counts it.
pub(crate) fn octets(slice: &[u8]) -> u64 {
    u64::try_from(slice.len()).unwrap_or(u64::MAX)
}

/// The length that the long form's 1 to 4 octets say; `None` when not minimal (X.690 §10.1).
pub(crate) fn long_length(digits: &[u8]) -> Option<u64> {
    if !(1..=4).contains(&digits.len()) || digits.first() == Some(&0) {
        return None;
    }
    let length = digits.iter().fold(0_u64, |sum, &digit| sum << 8 | u64::from(digit));
    (length >= 0x80).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlv::{Element, OCTET_STRING};

    #[test]
    fn writes_every_length_form_as_the_library_reads_it() {
        for length in [0_usize, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0x100_0000] {
            let content = vec![7; length];
            let mut whole = Vec::new();

            push(&mut whole, OCTET_STRING, &content);

            assert_eq!(octets(&whole), header_length(octets(&content)) + octets(&content));
            assert_eq!(Element::only(&whole, OCTET_STRING).unwrap().content, content);
        }
    }

    #[test]
    fn refuses_lengths_that_der_does_not_write() {
        for bad in [&[][..], &[0x7f], &[0, 0x80], &[1, 2, 3, 4, 5]] {
            assert_eq!(long_length(bad), None, "{bad:02x?}");
        }
        assert_eq!(long_length(&[0x80]), Some(0x80));
    }
}
