//! The log of OpenSC's PKCS#11 wrapper: how often tokens were asked to log in and to sign.

use std::collections::BTreeSet;
use std::fs;

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
        let text =
            String::from_utf8_lossy(&fs::read(home.spy_log()).unwrap_or_default()).into_owned();
        let proofs = proofs(home);
        let (mut calls, mut given, mut dumping) = (Self::default(), Vec::new(), false);
        for line in text.lines() {
            if line.ends_with(": C_Login") {
                calls.logins += 1;
            } else if line.starts_with("[in] pData[") {
                (given, dumping) = (Vec::new(), true);
            } else if line.starts_with("[out] pSignature[") {
                dumping = false;
                // A call that asks for the length of a signature gets NULL.
                let asked = !line.contains(" NULL ");
                let digest = given.len().checked_sub(32).map(|at| given[at..].to_vec());
                if asked && digest.is_none_or(|digest| !proofs.contains(&digest)) {
                    calls.signatures += 1;
                }
            } else if dumping {
                given.extend(line.split_whitespace().skip(1).take(16).map_while(octet));
            }
        }
        calls
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
