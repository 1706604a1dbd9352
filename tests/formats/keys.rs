//! The note keys of the vectors. Their seeds are public: they sign nothing else.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ledger::note::NotePublicKey;
use ledger::{NoteSignError, NoteSigner, NoteToSign};

pub struct VectorKey(Ed25519KeyPair);

impl VectorKey {
    pub fn status() -> Self {
        Self::of_seed(0x51)
    }

    pub fn audit() -> Self {
        Self::of_seed(0x52)
    }

    pub fn manifest() -> Self {
        Self::of_seed(0x53)
    }

    pub fn receipt() -> Self {
        Self::of_seed(0x55)
    }

    /// A vantage point's.
    pub fn vantage(number: u8) -> Self {
        Self::of_seed(0x56_u8.wrapping_add(number))
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    /// A key that nobody pinned.
    pub fn stranger() -> Self {
        Self::of_seed(0x54)
    }

    fn of_seed(octet: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[octet; 32]).unwrap())
    }

    pub fn public(&self) -> NotePublicKey {
        NotePublicKey::from_bytes(self.public_key())
    }
}

impl NoteSigner for VectorKey {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
        Ok(self.0.sign(&note.message()).as_ref().try_into().unwrap())
    }
}
