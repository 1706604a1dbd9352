//! A private key sealed by a PIN: AES-256-GCM under PBKDF2 of the PIN.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::pbkdf2;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// How often the PIN is hashed: a try takes some hundredths of a second.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(99_999);

/// A sealed key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed {
    /// Hexadecimal, as are the others.
    salt: String,
    nonce: String,
    content: String,
}

/// Seals what is to be opened by the PIN again; `None` where there are no random numbers.
pub(crate) fn seal(pin: &str, content: &[u8]) -> Option<Sealed> {
    let (mut salt, mut nonce) = ([0; 16], [0; 12]);
    getrandom::fill(&mut salt).ok()?;
    getrandom::fill(&mut nonce).ok()?;
    let mut octets = content.to_vec();
    key(pin, &salt)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut octets)
        .ok()?;
    let text = |octets: &[u8]| base16ct::lower::encode_string(octets);
    Some(Sealed { salt: text(&salt), nonce: text(&nonce), content: text(&octets) })
}

/// Opens it; `None` with another PIN.
pub(crate) fn open(pin: &str, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
    let octets = |text: &str| base16ct::lower::decode_vec(text).ok();
    let nonce = <[u8; 12]>::try_from(octets(&sealed.nonce)?).ok()?;
    let mut content = Zeroizing::new(octets(&sealed.content)?);
    let key = key(pin, &octets(&sealed.salt)?)?;
    let opened =
        key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut content).ok()?;
    Some(Zeroizing::new(opened.to_vec()))
}

fn key(pin: &str, salt: &[u8]) -> Option<LessSafeKey> {
    let mut octets = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, pin.as_bytes(), &mut *octets);
    UnboundKey::new(&AES_256_GCM, &*octets).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_pin_opens_what_was_sealed() {
        let sealed = seal("123456", b"a key").unwrap();

        assert_eq!(open("123456", &sealed).unwrap().as_slice(), b"a key");
        assert!(open("123457", &sealed).is_none());
        let mut altered = sealed;
        altered.content.replace_range(..2, "00");
        assert!(open("123456", &altered).is_none());
    }
}
