//! `sigill client`: this client's own credential.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::client::{Client, ClientError, Connection};
use crate::credential::NewKey;
use crate::terminal::{Terminal, facts};

/// What a client can do about itself.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Renew this client's certificate: a new key, the same name.
    ///
    /// Writes the new pair beside the present one, with `.new` behind the names of --cert and --key,
    /// and checks that the API lets it in. Broken off, it is run again and goes on with the same key.
    #[command(
        after_help = "Example:\n  sigill client renew --cert tls/portal.pem --key tls/portal.key --replace"
    )]
    Renew(Renew),
}

/// A renewal.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// Put the new pair in the place of the present one, which is kept with `.old` behind its names.
    #[arg(long)]
    replace: bool,
}

impl ClientCommand {
    /// What is done before the pair is read: a replacement that was broken off between its two files
    /// left a key and a certificate that do not belong together.
    pub(crate) fn before_connecting(&self, connection: &Connection) -> Result<(), ClientError> {
        match self {
            Self::Renew(_) => finish_replacing(connection),
        }
    }

    pub(crate) fn run(
        &self,
        client: &Client,
        connection: &Connection,
        terminal: &Terminal,
    ) -> Result<(), ClientError> {
        match self {
            Self::Renew(renew) => renew.run(client, connection, terminal),
        }
    }
}

impl Renew {
    fn run(
        &self,
        client: &Client,
        connection: &Connection,
        terminal: &Terminal,
    ) -> Result<(), ClientError> {
        let (certificate, key) = connection.pair()?;
        let (new_certificate, new_key) = (with(certificate, ".new"), with(key, ".new"));
        let (waiting, replacing) = (with(key, ".new.csr"), with(key, ".replacing.csr"));
        let unfinished = fs::read_to_string(&replacing).ok();
        // A replacement that was broken off and is finished now: what is left is to say so.
        let in_place = unfinished.is_some() && !new_key.exists();
        // A copy of the new key that somebody put into place by hand waits for nothing.
        let waits = new_key.exists() && fs::read(&new_key).ok() != fs::read(key).ok();
        let csr = match unfinished.or_else(|| fs::read_to_string(&waiting).ok()) {
            // A renewal that was broken off: its key is there, and its order may be at work.
            Some(csr) if waits || in_place => csr,
            _ => {
                let drawn = NewKey::draw()?;
                write(&new_key, drawn.pem.as_bytes(), 0o600)?;
                write(&waiting, drawn.request.as_bytes(), 0o600)?;
                remove(&replacing)?;
                drawn.request.clone()
            }
        };
        // The same request is the same order, however often it is sent.
        let order = format!("renewal-{}", fingerprint(&csr));
        let request = api::RenewalRequest { csr };
        let answer = client.post("/v1/clients/self/renewal", &order, &request);
        if matches!(&answer, Err(ClientError::Refused(problem)) if problem.status == 422) {
            // This key and request are refused for ever; the next run draws others.
            for path in [&waiting, &replacing, &new_key] {
                remove(path)?;
            }
        }
        let credential: api::ClientCredential = answer?;
        if !in_place {
            let chain: String = std::iter::once(&credential.certificate)
                .chain(&credential.chain)
                .map(String::as_str)
                .collect();
            write(&new_certificate, chain.as_bytes(), 0o644)?;
            let renewed = Client::connect(&connection.with_pair(&new_certificate, &new_key))?;
            let _: api::Page<api::Authority> = renewed.get("/v1/authorities", &[])?;
        }
        // Without --replace the request stays with its pair: run again with it, the same order is asked.
        let (at, key_at) = if self.replace || in_place {
            if !in_place {
                write(&replacing, request.csr.as_bytes(), 0o600)?;
                take_place(certificate, key)?;
            }
            remove(&waiting)?;
            remove(&replacing)?;
            (certificate.to_path_buf(), key.to_path_buf())
        } else {
            (new_certificate, new_key)
        };
        terminal.result(&credential, || {
            facts(&[
                ("client", credential.client.clone()),
                ("serial", credential.serial.clone()),
                ("valid to", credential.not_after.clone()),
                ("SPKI SHA-256", credential.spki_sha256.clone()),
                ("certificate", at.display().to_string()),
                ("key", key_at.display().to_string()),
                ("old keys until", credential.old_keys_until.clone()),
            ])
        });
        Ok(())
    }
}

/// Moves a new certificate to the key that has gone into place before it.
fn finish_replacing(connection: &Connection) -> Result<(), ClientError> {
    let (certificate, key) = connection.pair()?;
    let waiting = with(certificate, ".new");
    let broken_off = waiting.exists() && !with(key, ".new").exists();
    // Reads and compares the pair; nothing is sent.
    if broken_off && Client::connect(&connection.with_pair(&waiting, key)).is_ok() {
        fs::rename(&waiting, certificate).map_err(|source| failed(certificate, source))?;
        sync_folder(certificate)?;
    }
    Ok(())
}

/// Keeps the present pair under `.old` and moves the new one into its place.
fn take_place(certificate: &Path, key: &Path) -> Result<(), ClientError> {
    for path in [key, certificate] {
        let old = with(path, ".old");
        remove(&old)?;
        // A second name, so that there is a pair at every moment.
        fs::hard_link(path, &old).map_err(|source| failed(&old, source))?;
    }
    for path in [key, certificate] {
        fs::rename(with(path, ".new"), path).map_err(|source| failed(path, source))?;
    }
    sync_folder(certificate)
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Replaces a file whole, flushed to the disk.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ClientError> {
    let temporary = with(path, ".part");
    remove(&temporary)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| failed(path, source))?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> Result<(), ClientError> {
    let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    File::open(folder).and_then(|open| open.sync_all()).map_err(|source| failed(folder, source))
}

fn remove(path: &Path) -> Result<(), ClientError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, source: io::Error) -> ClientError {
    ClientError::Write { path: path.to_path_buf(), source }
}

/// SHA-256 of a request's text, hexadecimal.
fn fingerprint(csr: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, csr.as_bytes());
    base16ct::lower::encode_string(digest.as_ref())
}
