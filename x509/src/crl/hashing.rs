//! The hashes of octets that go by, taken once each.

use std::io::{self, Write};

use aws_lc_rs::digest::{Context, SHA256};

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

/// Passes octets on and takes their SHA-256.
pub struct HashingSink<W> {
    inner: W,
    sha256: Sha256,
}

impl<W> HashingSink<W> {
    /// Hashes what goes to `inner`.
    #[must_use]
    pub fn new(inner: W) -> Self {
        Self { inner, sha256: Sha256::new() }
    }

    /// SHA-256 of what went by.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.sha256.finish()
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
        self.sha256.update(octets.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
