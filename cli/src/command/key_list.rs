//! `sigill key-list`: makes the lists of keys that a CA never certifies, and shows them.
//!
//! docs/formats/key-list.md. Works on files alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ca::key_quality::{KeyList, ListClass, ListError, ListedKey};
use clap::Subcommand;
use serde_json::json;
use x509::import::ImportedCertificate;
use x509::key::PublicKey;
use x509::pem::{self, Label};

use crate::client::ClientError;
use crate::terminal::{Terminal, facts};

/// What can be done with lists of keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyListCommand {
    /// Make a list of the public keys in files and folders.
    #[command(
        after_help = "Example:\n  sigill key-list make --class compromised --source \"reports of 2026\" --out compromised.keys reported/\n\n\
                      Read are public keys and certificates (PEM, several in a file; DER), and text files\n\
                      with one SHA-256 of a SubjectPublicKeyInfo in hexadecimal a line."
    )]
    Make {
        /// Why the keys are known: compromised, debian or published.
        #[arg(long, value_name = "CLASS")]
        class: String,
        /// Where they come from, with version and licence, in one line.
        #[arg(long, value_name = "TEXT")]
        source: String,
        /// The list. A file of that name is replaced.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Files, and folders with all that lies in them.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Show what a list is, and whether it has the keys of further files.
    #[command(after_help = "Example:\n  sigill key-list show debian.keys suspect.pem")]
    Show {
        /// The list.
        list: PathBuf,
        /// Keys that are looked for in it, in files as for `make`.
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
}

impl KeyListCommand {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), ClientError> {
        match self {
            Self::Make { class, source, out, paths } => {
                let class: ListClass = class.parse().map_err(|error| refused("--class", &error))?;
                let keys = keys_of(paths)?.into_iter().map(|(_, key)| key);
                let list = KeyList::new(class, source, keys)
                    .map_err(|error| refused("--source", &error))?;
                fs::write(out, list.to_bytes())
                    .map_err(|error| ClientError::Write { path: out.clone(), source: error })?;
                tell(&list, &[], terminal);
            }
            Self::Show { list, paths } => {
                let list =
                    KeyList::parse(&read(list)?).map_err(|error| refused("key list", &error))?;
                let known = keys_of(paths)?.into_iter().filter(|(_, key)| list.has(*key));
                let known: BTreeSet<String> =
                    known.map(|(path, _)| path.display().to_string()).collect();
                tell(&list, &known.into_iter().collect::<Vec<_>>(), terminal);
            }
        }
        Ok(())
    }
}

fn tell(list: &KeyList, known: &[String], terminal: &Terminal) {
    let value = json!({
        "class": list.class().name(),
        "source": list.source(),
        "keys": list.len(),
        "found": known,
    });
    terminal.result(&value, || {
        let mut rows = vec![
            ("class", list.class().to_string()),
            ("source", list.source().to_owned()),
            ("keys", list.len().to_string()),
        ];
        rows.extend(known.iter().map(|path| ("found", path.clone())));
        facts(&rows)
    });
}

/// The keys of files, and of all files in folders, with where each stands.
fn keys_of(paths: &[PathBuf]) -> Result<Vec<(PathBuf, ListedKey)>, ClientError> {
    let mut keys = Vec::new();
    let mut open: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let unreadable = |source| ClientError::File { path: path.clone(), source };
            for entry in fs::read_dir(&path).map_err(unreadable)? {
                open.push(entry.map_err(unreadable)?.path());
            }
            continue;
        }
        let found = keys_in(&read(&path)?).ok_or_else(|| ClientError::Value {
            what: "file of keys",
            found: path.display().to_string(),
            limit: "public keys or certificates as PEM or DER, or one hexadecimal SHA-256 a line; \
                    `openssl pkey -in FILE -pubout` takes the public half out of a private key",
        })?;
        keys.extend(found.into_iter().map(|key| (path.clone(), key)));
    }
    Ok(keys)
}

/// The keys of one file; `None` where it holds something else, or nothing.
fn keys_in(bytes: &[u8]) -> Option<Vec<ListedKey>> {
    if let Some(key) = key_of(bytes) {
        return Some(vec![key]);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    if text.contains("-----BEGIN ") {
        let blocks = pem::decode(text).ok()?.into_iter();
        let keys = blocks.map(|(label, der)| match label {
            Label::PublicKey => PublicKey::from_spki_der(&der).ok().as_ref().map(ListedKey::of),
            Label::Certificate => key_of(&der),
            _ => None,
        });
        return keys.collect();
    }
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Option<Vec<ListedKey>> =
        lines.map(|line| line.parse().ok().map(ListedKey::of_hash)).collect();
    keys.filter(|keys| !keys.is_empty())
}

/// The key that DER is, or the certificate that it is has.
fn key_of(der: &[u8]) -> Option<ListedKey> {
    PublicKey::from_spki_der(der).ok().as_ref().map(ListedKey::of).or_else(|| {
        let certificate = ImportedCertificate::from_der(der).ok()?;
        certificate.public_key().map(ListedKey::of)
    })
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    fs::read(path).map_err(|source| ClientError::File { path: path.to_path_buf(), source })
}

fn refused(what: &'static str, error: &ListError) -> ClientError {
    ClientError::Value {
        what,
        found: error.to_string(),
        limit: "what docs/formats/key-list.md says",
    }
}

#[cfg(test)]
mod tests {
    use x509::key::SpkiHash;

    use super::*;
    use crate::terminal::Format;

    fn rsa() -> PublicKey {
        PublicKey::from_rsa_parts(&[0xc5; 256], &[1, 0, 1]).unwrap()
    }

    /// ISS-11: from files of each kind, and what another program wrote among them.
    #[test]
    fn a_list_is_made_of_files_and_found_in() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        fs::create_dir(&keys).unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(keys.join(name), bytes).unwrap();
        put("a.pem", pem::encode(Label::PublicKey, rsa().spki_der()).as_bytes());
        put("b.der", PublicKey::from_ed25519(&[9; 32]).unwrap().spki_der());
        put("c.txt", format!("# from a report\n{}\n", SpkiHash::from_bytes([7; 32])).as_bytes());
        let out = folder.path().join("list.keys");
        let make = |class: &str| {
            let command = KeyListCommand::Make {
                class: class.to_owned(),
                source: "a test".to_owned(),
                out: out.clone(),
                paths: vec![keys.clone()],
            };
            command.run(&Terminal::new(Format::Json))
        };

        make("compromised").unwrap();

        let list = KeyList::parse(&fs::read(&out).unwrap()).unwrap();
        assert_eq!(list.len(), 3);
        assert!(list.has(ListedKey::of(&rsa())));
        assert!(list.has(ListedKey::of_hash(SpkiHash::from_bytes([7; 32]))));
        assert!(matches!(make("ubuntu"), Err(ClientError::Value { what: "--class", .. })));
        put("d.pem", b"-----BEGIN RSA PRIVATE KEY-----\nAQID\n-----END RSA PRIVATE KEY-----\n");
        assert!(matches!(make("debian"), Err(ClientError::Value { what: "file of keys", .. })));
    }
}
