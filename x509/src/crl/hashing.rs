//! The hashes of octets that go by, taken once each.

use std::io::{self, Write};

use aws_lc_rs::digest::{Context, SHA256};

use crate::key::HashAlgorithm;

/// SHA-256 of a stream.
pub(super) struct Sha256(Context);

impl Sha256 {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    pub(super) fn finish(self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

/// Passes octets on and hashes them: SHA-256 always, and a signature algorithm's hash where it is another.
pub struct HashingSink<W> {
    inner: W,
    sha256: Sha256,
    other: Option<Context>,
}

impl<W> HashingSink<W> {
    /// Hashes what goes to `inner`; `hash` is the signature algorithm's.
    #[must_use]
    pub fn new(inner: W, hash: Option<HashAlgorithm>) -> Self {
        let other = match hash {
            None | Some(HashAlgorithm::Sha256) => None,
            Some(hash) => Some(Context::new(hash.implementation())),
        };
        Self { inner, sha256: Sha256::new(), other }
    }

    /// SHA-256 of what went by, and the signature algorithm's hash of it.
    #[must_use]
    pub fn finish(self) -> ([u8; 32], Vec<u8>) {
        let sha256 = self.sha256.finish();
        let own = self.other.map_or_else(|| sha256.to_vec(), |own| own.finish().as_ref().to_vec());
        (sha256, own)
    }
}

impl<W> std::fmt::Debug for HashingSink<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashingSink")
    }
}

impl<W: Write> Write for HashingSink<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(octets)?;
        let written = octets.get(..count).unwrap_or_default();
        self.sha256.update(written);
        if let Some(own) = &mut self.other {
            own.update(written);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
