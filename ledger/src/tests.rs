//! Tests across the modules of this room, and what they share.

mod follower;
mod heads;
mod oracles;
mod stored;

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use crate::edge::Edge;
use crate::hash::Hash;
use crate::note::NotePublicKey;
use crate::signer::{NoteSignError, NoteSigner, NoteToSign};
use crate::tile::{TilePath, TileReadError, TileSource};

/// The files of a tree in memory.
#[derive(Debug, Clone, Default)]
struct Files(BTreeMap<TilePath, Vec<u8>>);

impl TileSource for Files {
    fn read(&self, path: &TilePath) -> Result<Vec<u8>, TileReadError> {
        self.0.get(path).cloned().ok_or(TileReadError::Missing { path: *path })
    }
}

/// A log as its publisher has it.
struct Log {
    edge: Edge,
    files: Files,
}

impl Log {
    fn of_size(size: u64) -> Self {
        let mut log = Self { edge: Edge::new(), files: Files::default() };
        log.grow_to(size);
        log
    }

    /// Appends entries with other octets than [`entry`] gives, so that the tree is another.
    fn fork(&mut self, count: u64) {
        let entries: Vec<String> = (0..count).map(|index| format!("forked {index}")).collect();
        let files = self.edge.append(&entries).unwrap();
        self.files.0.extend(files.into_iter().map(|file| (file.path, file.bytes)));
    }

    fn grow_to(&mut self, size: u64) {
        let entries: Vec<Vec<u8>> = (self.edge.size()..size).map(entry).collect();
        let files = self.edge.append(&entries).unwrap();
        self.files.0.extend(files.into_iter().map(|file| (file.path, file.bytes)));
    }

    fn root(&self) -> Hash {
        self.edge.root()
    }
}

/// The entry at an index of the test log: of 0 to 40 octets.
fn entry(index: u64) -> Vec<u8> {
    let length = usize::try_from(index % 41).unwrap();
    format!("{index:040}").into_bytes()[40 - length..].to_vec()
}

/// A note key in memory.
struct Key(Ed25519KeyPair);

impl Key {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn public(&self) -> NotePublicKey {
        NotePublicKey::from_bytes(self.public_key())
    }
}

impl NoteSigner for Key {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
        Ok(self.0.sign(&note.message()).as_ref().try_into().unwrap())
    }
}
