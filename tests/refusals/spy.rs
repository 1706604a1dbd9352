//! The log of OpenSC's PKCS#11 wrapper: how often tokens were asked to log in and to sign.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use x509::certificate::Certificate;

use crate::home::Home;

/// What the PKCS#11 wrapper saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCalls {
    /// `C_Login`.
    pub logins: usize,
    /// Signatures that `C_Sign` gave over anything but the text by which a key proves itself on a
    /// new session (docs/formats/key-files.md).
    pub signatures: usize,
}

impl TokenCalls {
    /// Counts the calls of a home's programs.
    pub fn of(home: &Home) -> Self {
        let mut reader = home.spy.borrow_mut();
        if reader.proofs.is_empty() {
            reader.proofs = proofs(home);
        }
        reader.read_on(&home.spy_log());
        reader.calls
    }
}

/// Reads the log on from where it was read before.
#[derive(Debug, Default)]
pub struct SpyReader {
    offset: u64,
    proofs: BTreeSet<Vec<u8>>,
    given: Vec<u8>,
    dumping: bool,
    calls: TokenCalls,
}

impl SpyReader {
    fn read_on(&mut self, path: &Path) {
        let Ok(mut file) = File::open(path) else { return };
        let mut text = Vec::new();
        let read =
            file.seek(SeekFrom::Start(self.offset)).and_then(|_| file.read_to_end(&mut text));
        read.expect("the log is readable");
        // What follows the last line break is still being written.
        let whole = text.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
        self.offset += u64::try_from(whole).expect("a length");
        String::from_utf8_lossy(&text[..whole]).lines().for_each(|line| self.line(line));
    }

    fn line(&mut self, line: &str) {
        if line.ends_with(": C_Login") {
            self.calls.logins += 1;
        } else if line.starts_with("[in] pData[") {
            (self.given, self.dumping) = (Vec::new(), true);
        } else if line.starts_with("[out] pSignature[") {
            self.dumping = false;
            // A call that asks for the length of a signature gets NULL.
            let asked = !line.contains(" NULL ");
            let digest = self.given.len().checked_sub(32).map(|at| &self.given[at..]);
            if asked && digest.is_none_or(|digest| !self.proofs.contains(digest)) {
                self.calls.signatures += 1;
            }
        } else if self.dumping {
            self.given.extend(line.split_whitespace().skip(1).take(16).map_while(octet));
        }
    }
}

/// An octet of a dump, or nothing where its text begins.
fn octet(word: &str) -> Option<u8> {
    if word.len() == 2 { u8::from_str_radix(word, 16).ok() } else { None }
}

/// The digests that the CAs' keys sign to prove themselves.
fn proofs(home: &Home) -> BTreeSet<Vec<u8>> {
    let entries = fs::read_dir(home.path("publish/aia")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Certificate::from_der(&fs::read(entry.path()).ok()?).ok())
        .map(|certificate| Sha256::digest(hsm::proof_text(certificate.public_key())).to_vec())
        .collect()
}
