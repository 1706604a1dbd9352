//! AES-256-GCM under data keys, and data keys under the master key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _};
use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

use super::{BlindIndex, IndexTerm, SealingKeys, Subject};
use crate::StoreError;

/// The first octet of every sealed value.
const VERSION: u8 = 1;
const HEADER: usize = 1 + 8 + NONCE_LEN;
const WRAPPED: usize = 32 + 8;

/// Where a sealed value lies; part of what it authenticates.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    /// What names the row for ever: an id or a hash, never a rowid.
    pub(crate) row: &'a [u8],
}

/// A subject's key, unwrapped.
pub(crate) struct DataKey {
    /// Its number in `data_key`, written in front of all that it seals.
    pub(crate) number: i64,
    key: LessSafeKey,
}

/// Seals and opens for one deployment.
pub(crate) struct Sealer {
    deployment: String,
    master: Zeroizing<[u8; 32]>,
    index: hmac::Key,
}

impl Sealer {
    pub(crate) fn new(deployment: String, keys: &SealingKeys) -> Self {
        let index = hmac::Key::new(hmac::HMAC_SHA256, keys.index.as_ref());
        Self { deployment, master: keys.master.clone(), index }
    }

    /// What proves, without telling them, that the keys are those the database was made with.
    pub(crate) fn key_check(&self) -> [u8; 32] {
        let master = hmac::Key::new(hmac::HMAC_SHA256, self.master.as_ref());
        let mut context = hmac::Context::with_key(&self.index);
        context.update(b"sigill sealing key check/1\0");
        context.update(hmac::sign(&master, self.deployment.as_bytes()).as_ref());
        digest(&context.sign())
    }

    pub(crate) fn blind(&self, term: &IndexTerm) -> BlindIndex {
        self.hmac(term.tag().name(), term.normalised().as_bytes())
    }

    /// What a subject is called in `data_key`.
    pub(crate) fn subject_name(&self, subject: &Subject) -> Vec<u8> {
        let (prefix, name) = match subject {
            Subject::Deployment => (b'd', Vec::new()),
            Subject::Holder(holder) => (b'h', self.hmac("subject", holder.as_bytes()).0.to_vec()),
            Subject::Order(order) => (b'o', order.as_bytes().to_vec()),
        };
        [&[prefix], name.as_slice()].concat()
    }

    fn hmac(&self, tag: &str, value: &[u8]) -> BlindIndex {
        let mut context = hmac::Context::with_key(&self.index);
        context.update(tag.as_bytes());
        // Tags hold no zero octet, so tag and value have one boundary.
        context.update(&[0]);
        context.update(value);
        BlindIndex(digest(&context.sign()))
    }

    /// Draws a key: what is unwrapped, and what is stored.
    pub(crate) fn draw_key(&self) -> Result<(Zeroizing<[u8; 32]>, Vec<u8>), StoreError> {
        let mut key = Zeroizing::new([0; 32]);
        rand::fill(key.as_mut()).map_err(|_| StoreError::Random)?;
        let mut wrapped = vec![0; WRAPPED];
        self.master_kek()?.wrap(key.as_ref(), &mut wrapped).map_err(|_| StoreError::Random)?;
        Ok((key, wrapped))
    }

    pub(crate) fn key(number: i64, key: &[u8; 32]) -> Result<DataKey, StoreError> {
        let key = UnboundKey::new(&AES_256_GCM, key)
            .map_err(|_| StoreError::Stored { what: "data key" })?;
        Ok(DataKey { number, key: LessSafeKey::new(key) })
    }

    pub(crate) fn unwrap_key(&self, number: i64, wrapped: &[u8]) -> Result<DataKey, StoreError> {
        let refused = StoreError::Sealed { table: "data_key", column: "wrapped" };
        let mut key = Zeroizing::new([0; 32]);
        match self.master_kek()?.unwrap(wrapped, key.as_mut()) {
            Ok(opened) if opened.len() == 32 => Self::key(number, &key),
            _ => Err(refused),
        }
    }

    fn master_kek(&self) -> Result<AesKek, StoreError> {
        AesKek::new(&AES_256, self.master.as_ref()).map_err(|_| StoreError::WrongSealingKeys)
    }

    /// Seals `plain`: version 1, key number (8 octets), nonce (12), ciphertext, tag (16).
    pub(crate) fn seal(
        &self,
        key: &DataKey,
        place: Place<'_>,
        plain: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| StoreError::Random)?;
        let mut sealed = Vec::with_capacity(HEADER + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.number.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        let start = sealed.len();
        sealed.extend_from_slice(plain);
        let body = sealed.get_mut(start..).unwrap_or_default();
        let tag = key
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.additional_data(place, key.number)),
                body,
            )
            .map_err(|_| StoreError::Random)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// The number of the key that a value is sealed under.
    pub(crate) fn key_number(place: Place<'_>, sealed: &[u8]) -> Result<i64, StoreError> {
        match sealed.split_first() {
            Some((&VERSION, rest)) => rest.first_chunk::<8>().map(|n| i64::from_be_bytes(*n)),
            _ => None,
        }
        .ok_or(StoreError::Sealed { table: place.table, column: place.column })
    }

    /// Opens what [`Self::seal`] made at the same place under the same key.
    pub(crate) fn open(
        &self,
        key: &DataKey,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let refused = || StoreError::Sealed { table: place.table, column: place.column };
        if Self::key_number(place, sealed)? != key.number {
            return Err(refused());
        }
        let rest = sealed.get(HEADER - NONCE_LEN..).ok_or_else(refused)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(refused)?;
        let mut body = body.to_vec();
        let length = key
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(self.additional_data(place, key.number)),
                &mut body,
            )
            .map_err(|_| refused())?
            .len();
        body.truncate(length);
        Ok(body)
    }

    /// Deployment, table, column, row and key, each ended so that no two places write the same.
    fn additional_data(&self, place: Place<'_>, number: i64) -> Vec<u8> {
        let mut data = Vec::with_capacity(96);
        for part in [self.deployment.as_str(), place.table, place.column] {
            data.extend_from_slice(part.as_bytes());
            data.push(0);
        }
        data.extend_from_slice(place.row);
        data.extend_from_slice(&number.to_be_bytes());
        data
    }
}

fn digest(tag: &hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::IndexTag;

    fn sealer(deployment: &str) -> Sealer {
        let keys = SealingKeys::new(Zeroizing::new([1; 32]), Zeroizing::new([2; 32]));
        Sealer::new(deployment.to_owned(), &keys)
    }

    const PLACE: Place<'_> = Place { table: "certificate", column: "der", row: b"row" };

    #[test]
    fn opens_only_in_its_own_place_under_its_own_key_and_deployment() {
        let sealer = sealer("test/demo/aaaa");
        let key = Sealer::key(7, &[3; 32]).unwrap();
        let sealed = sealer.seal(&key, PLACE, b"191212121212").unwrap();

        assert_eq!(sealer.open(&key, PLACE, &sealed).unwrap(), b"191212121212");
        assert!(!sealed.windows(12).any(|w| w == b"191212121212"));

        let elsewhere = [
            Place { table: "orders", ..PLACE },
            Place { column: "holder", ..PLACE },
            Place { row: b"rox", ..PLACE },
        ];
        for place in elsewhere {
            assert!(sealer.open(&key, place, &sealed).is_err());
        }
        assert!(self::sealer("test/demo/bbbb").open(&key, PLACE, &sealed).is_err());
        for other in [Sealer::key(8, &[3; 32]).unwrap(), Sealer::key(7, &[4; 32]).unwrap()] {
            assert!(sealer.open(&other, PLACE, &sealed).is_err());
        }
        for at in 0..sealed.len() {
            let mut tampered = sealed.clone();
            tampered[at] ^= 1;
            assert!(sealer.open(&key, PLACE, &tampered).is_err(), "octet {at}");
            assert!(sealer.open(&key, PLACE, &sealed[..at]).is_err(), "length {at}");
        }
    }

    #[test]
    fn equal_values_are_sealed_differently() {
        let sealer = sealer("test/demo/aaaa");
        let key = Sealer::key(7, &[3; 32]).unwrap();

        let one = sealer.seal(&key, PLACE, b"same").unwrap();

        assert_ne!(one, sealer.seal(&key, PLACE, b"same").unwrap());
    }

    /// The wrapping is that of RFC 3394: its test vector of §4.6 for a 256-bit key.
    #[test]
    fn wraps_as_rfc_3394_section_4_6_does() {
        let master: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let keys = SealingKeys::new(Zeroizing::new(master), Zeroizing::new([2; 32]));
        let sealer = Sealer::new(String::new(), &keys);
        let data = "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F";
        let wrapped = "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43B\
                       FB988B9B7A02DD21";
        let mut plain = [0; 32];
        base16ct::mixed::decode(data, &mut plain).unwrap();
        let wrapped = base16ct::mixed::decode_vec(wrapped).unwrap();

        let key = sealer.unwrap_key(1, &wrapped).unwrap();
        let sealed = sealer.seal(&key, PLACE, b"text").unwrap();

        assert!(sealer.open(&Sealer::key(1, &plain).unwrap(), PLACE, &sealed).is_ok());
        let mut tampered = wrapped;
        tampered[3] ^= 1;
        assert!(sealer.unwrap_key(1, &tampered).is_err());
    }

    #[test]
    fn the_tag_separates_equal_values() {
        let sealer = sealer("test/demo/aaaa");
        let blind = |tag| sealer.blind(&IndexTerm::new(tag, "191212121212"));

        assert_eq!(blind(IndexTag::PersonalNumber), blind(IndexTag::PersonalNumber));
        assert_ne!(blind(IndexTag::PersonalNumber), blind(IndexTag::CardNumber));
    }
}
