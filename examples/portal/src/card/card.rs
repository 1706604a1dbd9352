//! Cards: made without keys, given two by the choice of two PINs, locked by three wrong ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use portal::files;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::name::{AttributeType, Name};
use x509::pem;
use x509::request::CertificationRequestInfo;
use zeroize::Zeroizing;

use crate::seal::{self, Sealed};

/// Wrong PINs until it is locked.
const TRIES: u8 = 3;
/// Digits of a card's number.
const NUMBER_DIGITS: usize = 19;

/// The cards of a folder, `NUMBER.json` each.
pub(crate) struct Cards {
    folder: PathBuf,
    /// One at a time: a count of tries that two wrote would be wrong.
    turn: Mutex<()>,
}

/// A card as its file has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    /// 19 digits.
    pub(crate) number: String,
    /// What stands on it.
    pub(crate) label: String,
    /// Its keys, once its PINs are chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keys: Option<Keys>,
}

/// The keys of a card.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    authentication: Key,
    signature: Key,
}

impl Keys {
    /// How many wrong PINs are left: for authentication, for signatures.
    pub(crate) const fn tries(&self) -> [u8; 2] {
        [self.authentication.tries, self.signature.tries]
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    tries: u8,
    sealed: Sealed,
}

/// Which of the two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// *Legitimering*.
    Authentication,
    /// *Underskrift*.
    Signature,
}

/// The two PINs of a card.
pub(crate) struct Pins {
    authentication: Zeroizing<String>,
    signature: Zeroizing<String>,
}

impl Pins {
    /// Two PINs of six digits.
    pub(crate) fn chosen(authentication: &str, signature: &str) -> Result<Self, CardError> {
        for pin in [authentication, signature] {
            if pin.len() != 6 || !pin.bytes().all(|octet| octet.is_ascii_digit()) {
                return Err(CardError::PinForm);
            }
        }
        let kept = |pin: &str| Zeroizing::new(pin.to_owned());
        Ok(Self { authentication: kept(authentication), signature: kept(signature) })
    }
}

/// Requests for certificates, PEM.
pub(crate) struct Requests {
    pub(crate) authentication: String,
    pub(crate) signature: String,
}

/// Why a card does not do it.
#[derive(Debug, Error)]
pub(crate) enum CardError {
    /// Not 19 digits.
    #[error("a card's number has 19 digits")]
    NumberForm,
    /// There is one.
    #[error("there is a card {number} already")]
    There { number: String },
    /// There is none.
    #[error("no card {number} is in the reader")]
    Unknown { number: String },
    /// Not six digits.
    #[error("a PIN has six digits")]
    PinForm,
    /// Chosen once.
    #[error("the PINs of this card have been chosen")]
    Chosen,
    /// Not chosen.
    #[error("choose the PINs of this card first")]
    Unchosen,
    /// Another PIN.
    #[error("wrong PIN; tries left: {left}")]
    WrongPin { left: u8 },
    /// Three wrong ones.
    #[error("three wrong PINs: the card is locked")]
    Locked,
    /// Its file.
    #[error("cannot read or write the card {number}")]
    File {
        number: String,
        #[source]
        source: io::Error,
    },
    /// No random numbers, or a key that does not sign.
    #[error("the card fails")]
    Broken,
}

impl Cards {
    /// The cards of a folder, which is made where it is not there.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        files::private_folder(folder)?;
        Ok(Self { folder: folder.to_owned(), turn: Mutex::new(()) })
    }

    /// All of them, by number.
    pub(crate) fn all(&self) -> Vec<Card> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| {
            entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned)
        });
        let mut cards: Vec<Card> = names.filter_map(|number| self.card(&number).ok()).collect();
        cards.sort_by(|one, other| one.number.cmp(&other.number));
        cards
    }

    /// A card by its number.
    pub(crate) fn card(&self, number: &str) -> Result<Card, CardError> {
        let path = self.path(number)?;
        let unknown = |_| CardError::Unknown { number: number.to_owned() };
        let text = fs::read_to_string(path).map_err(unknown)?;
        serde_json::from_str(&text).map_err(|error| faulty(number, error.into()))
    }

    /// Makes a card without keys.
    pub(crate) fn make(&self, number: &str, label: &str) -> Result<(), CardError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(number)?;
        if path.exists() {
            return Err(CardError::There { number: number.to_owned() });
        }
        self.write(&Card { number: number.to_owned(), label: label.to_owned(), keys: None })
    }

    /// Draws its keys, each sealed by its PIN.
    pub(crate) fn choose(&self, number: &str, pins: &Pins) -> Result<(), CardError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut card = self.card(number)?;
        if card.keys.is_some() {
            return Err(CardError::Chosen);
        }
        let key = |pin: &str| {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).ok()?;
            let pkcs8 = pair.to_pkcs8v1().ok()?;
            Some(Key { tries: TRIES, sealed: seal::seal(pin, pkcs8.as_ref())? })
        };
        card.keys = Some(Keys {
            authentication: key(&pins.authentication).ok_or(CardError::Broken)?,
            signature: key(&pins.signature).ok_or(CardError::Broken)?,
        });
        self.write(&card)
    }

    /// A request for a certificate for each key. The names in it do not count.
    pub(crate) fn requests(&self, number: &str, pins: &Pins) -> Result<Requests, CardError> {
        let request = |purpose, pin: &str| -> Result<String, CardError> {
            let pkcs8 = self.opened(number, purpose, pin)?;
            request(&pkcs8).ok_or(CardError::Broken)
        };
        Ok(Requests {
            authentication: request(Purpose::Authentication, &pins.authentication)?,
            signature: request(Purpose::Signature, &pins.signature)?,
        })
    }

    /// Signs with the key for authentication: `r || s`, as in a JSON Web Signature.
    pub(crate) fn sign_fixed(
        &self,
        number: &str,
        pin: &str,
        text: &[u8],
    ) -> Result<Vec<u8>, CardError> {
        let pkcs8 = self.opened(number, Purpose::Authentication, pin)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).ok();
        let signature = pair.and_then(|pair| pair.sign(&SystemRandom::new(), text).ok());
        signature.map(|signature| signature.as_ref().to_vec()).ok_or(CardError::Broken)
    }

    /// Signs the text that `about` makes of the subject public key info of the key for authentication, as X.509 has it: that info, the text and the signature.
    pub(crate) fn sign_about(
        &self,
        number: &str,
        pin: &str,
        about: impl FnOnce(&[u8]) -> String,
    ) -> Result<(Vec<u8>, String, Vec<u8>), CardError> {
        let pkcs8 = self.opened(number, Purpose::Authentication, pin)?;
        let broken = CardError::Broken;
        let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8) else {
            return Err(broken);
        };
        let Ok(key) = PublicKey::from_ec_point(pair.public_key().as_ref()) else {
            return Err(broken);
        };
        let spki = key.spki_der().to_vec();
        let text = about(&spki);
        let signature = pair.sign(&SystemRandom::new(), text.as_bytes()).map_err(|_| broken)?;
        Ok((spki, text, signature.as_ref().to_vec()))
    }

    /// The private key, PKCS#8. A try is counted before the PIN is looked at, so that pulling the card out wins none.
    fn opened(
        &self,
        number: &str,
        purpose: Purpose,
        pin: &str,
    ) -> Result<Zeroizing<Vec<u8>>, CardError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut card = self.card(number)?;
        let key = key_of(&mut card, purpose)?;
        if key.tries == 0 {
            return Err(CardError::Locked);
        }
        key.tries -= 1;
        let (left, sealed) = (key.tries, key.sealed.clone());
        self.write(&card)?;
        let Some(pkcs8) = seal::open(pin, &sealed) else {
            return Err(if left == 0 { CardError::Locked } else { CardError::WrongPin { left } });
        };
        key_of(&mut card, purpose)?.tries = TRIES;
        self.write(&card)?;
        Ok(pkcs8)
    }

    fn path(&self, number: &str) -> Result<PathBuf, CardError> {
        let is_number =
            number.len() == NUMBER_DIGITS && number.bytes().all(|octet| octet.is_ascii_digit());
        is_number.then(|| self.folder.join(format!("{number}.json"))).ok_or(CardError::NumberForm)
    }

    fn write(&self, card: &Card) -> Result<(), CardError> {
        let text = serde_json::to_vec_pretty(card).map_err(|_| CardError::Broken)?;
        let path = self.path(&card.number)?;
        files::replace(&path, &text).map_err(|error| faulty(&card.number, error))
    }
}

fn faulty(number: &str, source: io::Error) -> CardError {
    CardError::File { number: number.to_owned(), source }
}

fn key_of(card: &mut Card, purpose: Purpose) -> Result<&mut Key, CardError> {
    let keys = card.keys.as_mut().ok_or(CardError::Unchosen)?;
    Ok(match purpose {
        Purpose::Authentication => &mut keys.authentication,
        Purpose::Signature => &mut keys.signature,
    })
}

fn request(pkcs8: &[u8]) -> Option<String> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).ok()?;
    let info = CertificationRequestInfo {
        subject: Name::builder().with(AttributeType::CommonName, "card").ok()?.build(),
        public_key: PublicKey::from_ec_point(pair.public_key().as_ref()).ok()?,
    };
    let signature = pair.sign(&SystemRandom::new(), &info.to_der()).ok()?;
    let request =
        info.with_signature(SignatureAlgorithm::EcdsaP256Sha256, signature.as_ref()).ok()?;
    Some(pem::encode(pem::Label::CertificateRequest, request.as_der()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "9752269874512325436";

    fn card() -> (tempfile::TempDir, Cards) {
        let folder = tempfile::tempdir().unwrap();
        let cards = Cards::open(folder.path()).unwrap();
        cards.make(NUMBER, "Tolvan").unwrap();
        (folder, cards)
    }

    #[test]
    fn the_keys_come_with_the_pins_and_prove_themselves() {
        let (folder, cards) = card();
        let pins = Pins::chosen("123456", "654321").unwrap();
        assert!(matches!(cards.requests(NUMBER, &pins), Err(CardError::Unchosen)));

        cards.choose(NUMBER, &pins).unwrap();

        assert!(matches!(cards.choose(NUMBER, &pins), Err(CardError::Chosen)));
        let made = cards.requests(NUMBER, &pins).unwrap();
        for text in [&made.authentication, &made.signature] {
            let der = pem::decode_one(text, pem::Label::CertificateRequest).unwrap();
            x509::request::CertificationRequest::from_der(&der)
                .unwrap()
                .verify_possession()
                .unwrap();
        }
        assert_ne!(made.authentication, made.signature);
        let file = fs::read_to_string(folder.path().join(format!("{NUMBER}.json"))).unwrap();
        assert!(!file.contains("123456") && !file.contains("654321"));
    }

    #[test]
    fn three_wrong_pins_lock_a_key_and_a_right_one_counts_anew() {
        let (_folder, cards) = card();
        cards.choose(NUMBER, &Pins::chosen("123456", "654321").unwrap()).unwrap();
        let sign = |pin| cards.sign_fixed(NUMBER, pin, b"text");

        assert!(matches!(sign("000000"), Err(CardError::WrongPin { left: 2 })));
        assert!(sign("123456").is_ok());
        for left in [2, 1] {
            assert!(
                matches!(sign("000000"), Err(CardError::WrongPin { left: found }) if found == left)
            );
        }
        assert!(matches!(sign("000000"), Err(CardError::Locked)));
        assert!(matches!(sign("123456"), Err(CardError::Locked)));
        assert_eq!(cards.card(NUMBER).unwrap().keys.unwrap().tries(), [0, 3]);
    }

    #[test]
    fn names_of_files_are_numbers_and_pins_are_digits() {
        let (_folder, cards) = card();
        for number in ["../../../etc/passwd", "975226987451232543", "97522698745123254３6", ""] {
            assert!(matches!(cards.card(number), Err(CardError::NumberForm)), "{number}");
        }
        for pin in ["12345", "1234567", "12345a", ""] {
            assert!(matches!(Pins::chosen("123456", pin), Err(CardError::PinForm)), "{pin}");
        }
        assert!(matches!(cards.make(NUMBER, "again"), Err(CardError::There { .. })));
    }
}
