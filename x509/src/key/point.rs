//! Whether a public key is a point of its curve, and one that a private key can have.

use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, ParsedPublicKey, UnparsedPublicKey};

use super::{KeyError, KeyType, PublicKey};

/// The y coordinates of the points of order 1, 2, 4 and 8 of edwards25519, little-endian, the sign of x
/// taken away; the last two are those of order 4 and 1 that are not below p (RFC 8032 §5.1.3).
const ED25519_SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

impl PublicKey {
    /// Checks what the encoding alone does not say of an elliptic curve key.
    ///
    /// P-256 and P-384: both coordinates are below the prime and satisfy the curve's equation (SP
    /// 800-56A rev. 3 §5.6.2.3.4; the curves have cofactor 1, so that no more is needed, and infinity
    /// has no uncompressed form). Ed25519: it is none of the points of small order, under which
    /// signatures prove nothing; whether another value is a point at all is seen when a signature is
    /// verified under it. RSA keys have no point.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotOnCurve`] or [`KeyError::SmallOrder`].
    pub fn check_point(&self) -> Result<(), KeyError> {
        let curve = match self.key_type {
            KeyType::EcP256 => &ECDH_P256,
            KeyType::EcP384 => &ECDH_P384,
            KeyType::Ed25519 => return self.check_order(),
            KeyType::Rsa { .. } => return Ok(()),
        };
        ParsedPublicKey::try_from(UnparsedPublicKey::new(curve, self.key_bits()))
            .map(|_| ())
            .map_err(|_| KeyError::NotOnCurve { key_type: self.key_type })
    }

    fn check_order(&self) -> Result<(), KeyError> {
        let mut unsigned = self.key_bits().to_vec();
        if let Some(last) = unsigned.last_mut() {
            *last &= 0x7f;
        }
        let found = base16ct::lower::encode_string(&unsigned);
        if ED25519_SMALL_ORDER.contains(&found.as_str()) {
            return Err(KeyError::SmallOrder);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ISS-11: of order 4, with either sign; RFC 8032 §7.1 has the sound one.
    #[test]
    fn refuses_ed25519_keys_under_which_signatures_prove_nothing() {
        let sound = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let check = |digits: &str, sign: u8| {
            let mut octets = [0; 32];
            base16ct::lower::decode(digits, &mut octets).unwrap();
            octets[31] |= sign;
            PublicKey::from_ed25519(&octets).unwrap().check_point()
        };

        assert_eq!(check(sound, 0), Ok(()));
        for small in ED25519_SMALL_ORDER {
            assert_eq!(check(small, 0), Err(KeyError::SmallOrder), "{small}");
            assert_eq!(check(small, 0x80), Err(KeyError::SmallOrder), "{small}");
        }
    }
}
