//! What the marker of a token's logins says: one line, which tells no more than one octet of the PIN.

use aws_lc_rs::{hmac, rand};
use secrecy::ExposeSecret as _;

use crate::pin::Pin;
use crate::token::TokenName;

/// What the last login of a token came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    /// It began, and nobody saw its end or the token did not say whether the PIN was right.
    Trying(Tag, InDoubt),
    /// The PIN was refused.
    Refused(Tag),
    /// An operator allows one try.
    Cleared,
}

/// How many logins in a row with one PIN came to nothing that tells whether it is right, the one
/// under way included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InDoubt(u8);

impl InDoubt {
    /// The first.
    pub(crate) const ONE: Self = Self(1);
    /// Tokens lock after three wrong PINs or more, so no more than these are sent.
    pub(crate) const MOST: Self = Self(3);

    /// One more.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Recognises a PIN without telling it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    salt: [u8; 16],
    octet: u8,
}

impl Tag {
    pub(crate) fn fresh(token: &TokenName, pin: &Pin) -> Result<Self, ()> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).map_err(|_| ())?;
        Ok(Self { salt, octet: Self::octet(&salt, token, pin) })
    }

    pub(crate) fn is_of(&self, token: &TokenName, pin: &Pin) -> bool {
        Self::octet(&self.salt, token, pin) == self.octet
    }

    fn octet(salt: &[u8; 16], token: &TokenName, pin: &Pin) -> u8 {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt));
        context.update(token.serial.as_str().as_bytes());
        context.update(&[0]);
        context.update(pin.secret().expose_secret().as_bytes());
        context.sign().as_ref().first().copied().unwrap_or_default()
    }
}

/// `sigill-pin/1 <state> <serial>[ <salt> <octet>[ <logins in doubt>]]`, one line.
impl Marker {
    pub(crate) fn to_text(&self, token: &TokenName) -> String {
        let tagged =
            |tag: &Tag| format!(" {:032x} {:02x}", u128::from_be_bytes(tag.salt), tag.octet);
        let (word, rest) = match self {
            Self::Trying(tag, logins) => ("trying", format!("{} {}", tagged(tag), logins.0)),
            Self::Refused(tag) => ("refused", tagged(tag)),
            Self::Cleared => ("cleared", String::new()),
        };
        format!("sigill-pin/1 {word} {}{rest}\n", token.serial)
    }

    pub(crate) fn parse(text: &str, token: &TokenName) -> Option<Self> {
        let parts: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split(' ').collect();
        let ["sigill-pin/1", word, serial, rest @ ..] = parts.as_slice() else { return None };
        if *serial != token.serial.as_str() {
            return None;
        }
        let tag = |salt: &str, octet: &str| {
            let salt = u128::from_str_radix(salt, 16).ok()?.to_be_bytes();
            Some(Tag { salt, octet: u8::from_str_radix(octet, 16).ok()? })
        };
        match (*word, rest) {
            // Before logins were counted there was no number.
            ("trying", [salt, octet]) => Some(Self::Trying(tag(salt, octet)?, InDoubt::ONE)),
            ("trying", [salt, octet, logins]) => {
                Some(Self::Trying(tag(salt, octet)?, InDoubt(logins.parse().ok()?)))
            }
            ("refused", [salt, octet]) => Some(Self::Refused(tag(salt, octet)?)),
            ("cleared", []) => Some(Self::Cleared),
            _ => None,
        }
    }
}
