//! The server's credential on the disk: a new key, and two files that are replaced as one.
//!
//! Both files are written beside the present ones first, the key before it is certified. Then the key
//! is renamed into place, and then the certificate. A stop in between leaves only the new certificate
//! waiting, and the next start puts it into place: a key without its certificate never stops the program.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use host::durable::{flush, folder_of};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use x509::key::PublicKey;
use x509::pem;
use zeroize::Zeroizing;

/// A TLS key that was drawn here.
pub(crate) struct NewKey {
    /// Its public part.
    pub(crate) public: PublicKey,
    /// PKCS#8 in PEM (RFC 7468 §10).
    pub(crate) pem: Zeroizing<String>,
}

impl NewKey {
    /// Draws a key on P-256.
    ///
    /// # Errors
    ///
    /// When the generator gives nothing.
    pub(crate) fn draw() -> anyhow::Result<Self> {
        let failed = |_| anyhow::anyhow!("no random numbers for a TLS key");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
        let der = pair.to_pkcs8v1().map_err(failed)?;
        let pem = pem::encode_private_key(der.as_ref());
        Ok(Self { public: PublicKey::from_ec_point(pair.public_key().as_ref())?, pem })
    }

    /// A key that such a file holds.
    fn read(path: &Path) -> Option<Self> {
        let pem = Zeroizing::new(fs::read_to_string(path).ok()?);
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.secret_pkcs8_der());
        let public = PublicKey::from_ec_point(pair.ok()?.public_key().as_ref()).ok()?;
        Some(Self { public, pem })
    }
}

/// The key that waits beside `key` since an earlier try, where there is one.
pub(crate) fn waiting_key(key: &Path) -> Option<NewKey> {
    NewKey::read(&next(key))
}

/// Lays a new key beside `key`, on the disk.
///
/// # Errors
///
/// The file system's own.
pub(crate) fn keep_waiting(key: &Path, new: &NewKey) -> io::Result<()> {
    write(&next(key), new.pem.as_bytes(), 0o600)?;
    sync_folder(key)
}

/// Lays a chain beside `certificate`, on the disk: proof that the folder takes the one to come.
///
/// # Errors
///
/// The file system's own.
pub(crate) fn lay_beside(certificate: &Path, chain: &str) -> io::Result<()> {
    write(&next(certificate), chain.as_bytes(), 0o644)?;
    sync_folder(certificate)
}

/// Replaces certificate and key by this chain and the key that waits.
///
/// # Errors
///
/// The file system's own. The old pair stands then, or [`finish`] completes the new one.
pub(crate) fn put_in_place(certificate: &Path, key: &Path, chain: &str) -> io::Result<()> {
    lay_beside(certificate, chain)?;
    fs::rename(next(key), key)?;
    sync_folder(key)?;
    fs::rename(next(certificate), certificate)?;
    sync_folder(certificate)
}

/// Completes a replacement that was broken off, or takes back one that had not begun to count. A key
/// that waits stays: it may be certified already.
///
/// # Errors
///
/// The file system's own.
pub(crate) fn finish(certificate: &Path, key: &Path) -> io::Result<()> {
    let waiting = next(certificate);
    if !waiting.exists() {
        return Ok(());
    }
    if next(key).exists() {
        return fs::remove_file(&waiting);
    }
    fs::rename(&waiting, certificate)?;
    sync_folder(certificate)
}

fn next(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".next");
    PathBuf::from(name)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A new file each time: the mode of an old one would stay.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    flush(folder_of(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Pair {
        folder: tempfile::TempDir,
    }

    impl Pair {
        fn new() -> Self {
            let pair = Self { folder: tempfile::tempdir().unwrap() };
            fs::write(pair.certificate(), "old certificate").unwrap();
            fs::write(pair.key(), "old key").unwrap();
            pair
        }

        fn certificate(&self) -> PathBuf {
            self.folder.path().join("server.pem")
        }

        fn key(&self) -> PathBuf {
            self.folder.path().join("server.key")
        }

        fn content(&self) -> (String, String) {
            let read = |path| fs::read_to_string(path).unwrap();
            (read(self.certificate()), read(self.key()))
        }

        fn files(&self) -> usize {
            fs::read_dir(self.folder.path()).unwrap().count()
        }
    }

    #[test]
    fn replaces_both_and_leaves_nothing_beside_them() {
        let pair = Pair::new();

        let key = NewKey::draw().unwrap();

        keep_waiting(&pair.key(), &key).unwrap();
        assert_eq!(waiting_key(&pair.key()).unwrap().public, key.public);
        put_in_place(&pair.certificate(), &pair.key(), "new certificate").unwrap();

        assert_eq!(pair.content(), ("new certificate".to_owned(), key.pem.to_string()));
        assert!(waiting_key(&pair.key()).is_none());
        assert_eq!(fs::metadata(pair.key()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(pair.files(), 2);
    }

    /// A stop at each step leaves either pair whole once the next start has looked.
    #[test]
    fn a_replacement_that_was_broken_off_is_completed_or_taken_back() {
        let (old, new) = (("old certificate", "old key"), ("new certificate", "new key"));
        for (step, wanted, files) in [(1, old, 3), (2, old, 3), (3, new, 2), (4, new, 2)] {
            let pair = Pair::new();
            let (certificate, key) = (pair.certificate(), pair.key());
            write(&next(&key), b"new key", 0o600).unwrap();
            if step > 1 {
                write(&next(&certificate), b"new certificate", 0o644).unwrap();
            }
            if step > 2 {
                fs::rename(next(&key), &key).unwrap();
            }
            if step > 3 {
                fs::rename(next(&certificate), &certificate).unwrap();
            }

            finish(&certificate, &key).unwrap();

            let (found_certificate, found_key) = pair.content();
            assert_eq!((found_certificate.as_str(), found_key.as_str()), wanted, "step {step}");
            assert_eq!(pair.files(), files, "step {step}: only a key waits on");
        }
    }

    #[test]
    fn draws_a_key_that_openssl_would_read_and_none_twice() {
        let (one, other) = (NewKey::draw().unwrap(), NewKey::draw().unwrap());

        assert_ne!(one.public, other.public);
        assert!(one.pem.starts_with("-----BEGIN PRIVATE KEY-----\nMI"), "{}", one.pem.as_str());
        assert!(one.pem.lines().all(|line| line.len() <= 64));
    }
}
