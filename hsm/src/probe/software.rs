//! The same operations in software, so that another implementation judges the token's octets.

use aws_lc_rs::cipher::{self, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _, KeyWrapPadded as _};
use zeroize::Zeroizing;

/// Opens an RFC 5649 blob; `None` where it does not open.
pub(super) fn unwrap_rfc5649(kek: &[u8], blob: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut room = Zeroizing::new(vec![0; blob.len()]);
    let opened = AesKek::new(&AES_256, kek).ok()?.unwrap_with_padding(blob, &mut room).ok()?;
    Some(Zeroizing::new(opened.to_vec()))
}

/// Makes an RFC 5649 blob.
pub(super) fn wrap_rfc5649(kek: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let mut room = vec![0; plain.len().saturating_add(15)];
    let blob = AesKek::new(&AES_256, kek).ok()?.wrap_with_padding(plain, &mut room).ok()?;
    Some(blob.to_vec())
}

/// Pads by PKCS#7 to blocks of eight octets and makes an RFC 3394 blob: what PKCS#11 v3.0 took
/// CKM_AES_KEY_WRAP_PAD for.
pub(super) fn wrap_padded_by_pkcs7(kek: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let missing = 8_usize.saturating_sub(plain.len() % 8);
    let mut padded = Zeroizing::new(plain.to_vec());
    padded.extend(std::iter::repeat_n(u8::try_from(missing).ok()?, missing));
    let mut room = vec![0; padded.len().saturating_add(8)];
    let blob = AesKek::new(&AES_256, kek).ok()?.wrap(&padded, &mut room).ok()?;
    Some(blob.to_vec())
}

/// The first three octets of a block of zeros under AES-256: the CKA_CHECK_VALUE of such a key
/// (PKCS#11 v3.1 §4.10.2).
pub(super) fn check_value(key: &[u8]) -> Option<[u8; 3]> {
    let key = UnboundCipherKey::new(&cipher::AES_256, key).ok()?;
    let mut block = [0; 16];
    EncryptingKey::ecb(key).ok()?.encrypt(&mut block).ok()?;
    block.first_chunk().copied()
}

/// The octets behind a DER value that fills the rest: how many, when they are all zero.
pub(super) fn zeros_after_der(octets: &[u8]) -> Option<usize> {
    let (header, length) = match octets {
        [0x30, length @ 0..=0x7f, ..] => (2, usize::from(*length)),
        [0x30, 0x81, length, ..] => (3, usize::from(*length)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        _ => return None,
    };
    let rest = octets.get(usize::saturating_add(header, length)..)?;
    rest.iter().all(|octet| *octet == 0).then_some(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEK: [u8; 32] = [7; 32];

    fn unwrap_rfc3394(kek: &[u8], blob: &[u8]) -> Option<Vec<u8>> {
        let mut room = vec![0; blob.len()];
        Some(AesKek::new(&AES_256, kek).ok()?.unwrap(blob, &mut room).ok()?.to_vec())
    }

    /// FIPS 197 appendix C.3 encrypts another block; this one is what `openssl enc -aes-256-ecb`
    /// makes of sixteen zero octets under a key of zeros.
    #[test]
    fn the_check_value_is_the_begin_of_an_encrypted_block_of_zeros() {
        assert_eq!(check_value(&[0; 32]), Some([0xdc, 0x95, 0xc0]));
    }

    #[test]
    fn what_is_padded_by_one_rule_does_not_open_by_the_other() {
        let plain = [0x30, 6, 2, 1, 1, 2, 1, 1];
        let blob = wrap_rfc5649(&KEK, &plain).unwrap();
        let other = wrap_padded_by_pkcs7(&KEK, &plain).unwrap();

        assert_eq!(unwrap_rfc5649(&KEK, &blob).unwrap().as_slice(), plain);
        assert!(unwrap_rfc5649(&KEK, &other).is_none());
        assert!(unwrap_rfc3394(&KEK, &blob).is_none());
        assert_eq!(unwrap_rfc3394(&KEK, &other).unwrap()[..8], plain);
    }

    #[test]
    fn counts_the_zeros_behind_a_value_and_nothing_else() {
        assert_eq!(zeros_after_der(&[0x30, 1, 5]), Some(0));
        assert_eq!(zeros_after_der(&[0x30, 1, 5, 0, 0]), Some(2));
        assert_eq!(zeros_after_der(&[0x30, 1, 5, 0, 1]), None);
        assert_eq!(zeros_after_der(&[0x30, 9, 5]), None);
        assert_eq!(zeros_after_der(&[4, 1, 5]), None);
    }
}
