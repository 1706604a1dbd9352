//! Octets of a key as the hexadecimal text of its file, without copies that are left behind.

use zeroize::Zeroizing;

/// Appends the octets, two lower-case digits each. Digit by digit, since a formatted piece would leave a copy; so
/// would a text that has to grow: the caller has made room.
pub(crate) fn push(text: &mut Zeroizing<String>, octets: &[u8]) {
    for octet in octets {
        for half in [octet >> 4, octet & 15] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
}

/// The octets that the digits stand for; `None` where it is not two digits for each.
pub(crate) fn read(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
    for pair in digits.as_bytes().chunks_exact(2) {
        let [high, low] = <[u8; 2]>::try_from(pair).ok()?;
        octets.push(digit(high)? << 4 | digit(low)?);
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let mut text = Zeroizing::new(String::with_capacity(8));
        push(&mut text, &[0x00, 0x9f, 0xff]);
        assert_eq!(text.as_str(), "009fff");
        assert_eq!(read(&text).unwrap().as_slice(), [0x00, 0x9f, 0xff]);
        for bad in ["0", "0g", "å0", " 00 "] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
