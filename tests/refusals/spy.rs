//! The log of OpenSC's PKCS#11 wrapper: how often tokens were asked to log in and to sign.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use support::suite::Check;
use x509::certificate::Certificate;

use crate::World;
use crate::home::Home;

pub const CHECKS: &[Check<World>] =
    &[("signatures_of_sessions_side_by_side_are_counted_once", interleaved)];

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
///
/// Sessions sign side by side, and their lines come in any order: between what a call was given and the signature
/// that it gave there may be another call's. So signatures are counted where they are given, and for each proof that
/// was asked for one of them is left out, whichever comes first.
#[derive(Debug, Default)]
pub struct SpyReader {
    offset: u64,
    proofs: BTreeSet<Vec<u8>>,
    /// Lines by which proofs were asked for: two a proof, whose length is asked for first.
    asked: usize,
    /// Proofs that were asked for and that no signature has been left out for.
    due: usize,
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
        } else if line.starts_with("[out] pSignature[") {
            // A call that asks for the length of a signature gets NULL.
            if !line.contains(" NULL ") {
                self.given();
            }
        } else {
            let octets: Vec<u8> =
                line.split_whitespace().skip(1).take(16).map_while(octet).collect();
            if self.proofs.contains(&octets) {
                self.asked += 1;
                self.due += usize::from(self.asked.is_multiple_of(2));
            }
        }
    }
}

impl SpyReader {
    fn given(&mut self) {
        if self.due > 0 {
            self.due -= 1;
        } else {
            self.calls.signatures += 1;
        }
    }
}

/// An octet of a dump, or nothing where its text begins.
fn octet(word: &str) -> Option<u8> {
    if word.len() == 2 { u8::from_str_radix(word, 16).ok() } else { None }
}

/// Lines of a dump that only a proof of one of the CAs' keys has: the last whole one of a digest, by itself or
/// behind the 19 octets of a DigestInfo.
fn proofs(home: &Home) -> BTreeSet<Vec<u8>> {
    let entries = fs::read_dir(home.path("publish/aia")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Certificate::from_der(&fs::read(entry.path()).ok()?).ok())
        .map(|certificate| Sha256::digest(hsm::proof_text(certificate.public_key())))
        .flat_map(|digest| [digest[16..].to_vec(), digest[13..29].to_vec()])
        .collect()
}

/// Two sessions, one of which proves its key while the other signs: one signature, in whatever order.
fn interleaved(_: &World) {
    let proof = "00000010  AA AA AA AA AA AA AA AA AA AA AA AA AA AA AA AA  ................";
    let other = "00000010  BB BB BB BB BB BB BB BB BB BB BB BB BB BB BB BB  ................";
    let length = "[out] pSignature[*pulSignatureLen] NULL [size : 0x40 (64)]";
    let given = "[out] pSignature[*pulSignatureLen] 00007f5c00001000 / 64";
    for lines in [
        [proof, length, proof, given, other, length, other, given],
        [other, length, other, given, proof, length, proof, given],
        [proof, other, length, length, proof, other, given, given],
        [other, proof, length, length, other, proof, given, given],
        [proof, length, other, proof, length, other, given, given],
    ] {
        let mut reader = SpyReader { proofs: [vec![0xAA; 16]].into(), ..SpyReader::default() };

        lines.iter().for_each(|line| reader.line(line));

        assert_eq!(reader.calls.signatures, 1, "{lines:#?}");
    }
}
