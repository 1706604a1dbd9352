//! The CRL that the next one is compared with (CRL-11): the published file, or our own copy of it.
//!
//! The publication tree lies where others write or carry files; a list that was changed there must not
//! cost the comparison that would notice lost entries. So each published CRL is kept once more
//! beside the database. Either is believed only by the hash that the store recorded at the signature, or
//! that the signed manifest lists.

use std::fs::{self, File};
use std::io::{self, BufReader, Seek as _};
use std::path::{Path, PathBuf};

use crl::CrlNumber;
use sha2::{Digest as _, Sha256};
use store::CrlScope;
use x509::crl::{CrlExtensions, CrlForm, CrlReader, IssuingDistributionPoint};
use x509::time::UnixTime;

use super::Service;
use super::authority::Authority;
use super::crl::List;
use crate::denied::Denied;
use crate::publication::chain;
use crate::publication::crl_files::CrlFiles;

pub(super) type Reader = CrlReader<BufReader<File>>;

/// What the next CRL is compared with.
pub(super) enum Previous {
    /// There was none before.
    First,
    /// The file in the publication tree.
    Published(Reader),
    /// Our own copy: the published file is lost or was changed.
    OwnCopy(Reader),
    /// There was one, and it can be had nowhere.
    Lost,
}

/// The full CRL that a delta is made to.
pub(super) struct Base {
    pub(super) reader: Reader,
    /// The last delta to it, where there is one and it can be had.
    pub(super) last: Option<Reader>,
    pub(super) number: CrlNumber,
    pub(super) this_update: UnixTime,
    /// From when on it says that expired entries are kept (CRL-10).
    pub(super) kept: Option<UnixTime>,
}

impl Previous {
    /// The word for it in the audit log.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::First => "none before",
            Self::Published(_) => "published file",
            Self::OwnCopy(_) => "own copy",
            Self::Lost => "nothing: published file and own copy are lost or changed",
        }
    }

    pub(super) fn reader(self) -> Option<Reader> {
        match self {
            Self::Published(reader) | Self::OwnCopy(reader) => Some(reader),
            Self::First | Self::Lost => None,
        }
    }
}

impl Service {
    /// The last list of its kind: the one that the manifest lists, or the one that was signed last, after a stop
    /// between the file and the manifest.
    pub(super) fn previous(&self, authority: &Authority, list: List) -> Result<Previous, Denied> {
        let path = list.path(authority);
        let listed = self.files.published(&path).map(|(_, row)| row.sha256);
        let path = self.files.path(&path);
        let signed = self
            .store()
            .current_crl(authority.id, &list.scope())
            .map_err(|e| self.note_storage(&e))?
            .map(|row| row.sha256);
        if listed.is_none() && signed.is_none() {
            return Ok(Previous::First);
        }
        let known = [listed, signed];
        let error = match believed(&path, known) {
            Ok(reader) => return Ok(Previous::Published(reader)),
            Err(error) => error,
        };
        metrics::counter!("sigill_crl_previous_unreadable_total").increment(1);
        let copy = self.own_copy(authority, list);
        Ok(match believed(&copy, known) {
            Ok(reader) => {
                tracing::error!(
                    file.path = %path.display(),
                    error,
                    "published CRL was changed or cannot be read; the next one is compared with our own copy and replaces it"
                );
                Previous::OwnCopy(reader)
            }
            // An expired CRL stops every relying party, so the list is made all the same; the audit
            // log says that nothing vouches for its completeness but the lint.
            Err(second) => {
                tracing::error!(
                    file.path = %path.display(),
                    error,
                    copy.path = %copy.display(),
                    copy.error = second,
                    "published CRL and our own copy were changed or cannot be read; the next one is made without comparison"
                );
                Previous::Lost
            }
        })
    }

    /// The full CRL of this hash, as it was signed: the published file or our own copy.
    pub(super) fn full_list(
        &self,
        authority: &Authority,
        sha256: [u8; 32],
    ) -> Result<Reader, String> {
        let known = [Some(sha256), None];
        let published = self.files.path(&List::Full.path(authority));
        let own = || believed(&self.own_copy(authority, List::Full), known);
        believed(&published, known).or_else(|_| own())
    }

    /// The full CRL that a delta is made to: signed, published, and to be had as it was signed. `None` where there is
    /// none such.
    pub(super) fn base(&self, authority: &Authority) -> Result<Option<Base>, Denied> {
        let row = self
            .store()
            .current_crl(authority.id, &CrlScope::full())
            .map_err(|e| self.note_storage(&e))?;
        let Some(row) = row.filter(|row| row.published.is_some()) else { return Ok(None) };
        let known = [Some(row.sha256), None];
        let published = self.files.path(&CrlFiles::full_path(authority.name()));
        let found = believed_whole(&published, known)
            .or_else(|_| believed_whole(&self.own_copy(authority, List::Full), known))
            .ok();
        let Some((reader, extensions)) = found else { return Ok(None) };
        let last = self.last_delta(authority, &row.number)?;
        Ok(Some(Base {
            reader,
            last,
            number: row.number,
            this_update: row.this_update,
            kept: extensions.expired_certs_on_crl,
        }))
    }

    /// The last delta, if it is one to the base of that number.
    fn last_delta(
        &self,
        authority: &Authority,
        base: &CrlNumber,
    ) -> Result<Option<Reader>, Denied> {
        let path = CrlFiles::delta_path(authority.name());
        let listed = self.files.published(&path).map(|(_, row)| row.sha256);
        let signed = self
            .store()
            .current_crl(authority.id, &CrlScope::delta())
            .map_err(|e| self.note_storage(&e))?
            .map(|row| row.sha256);
        if listed.is_none() && signed.is_none() {
            return Ok(None);
        }
        let path = self.files.path(&path);
        match believed_whole(&path, [listed, signed]) {
            Ok((reader, extensions)) => {
                let same = extensions.delta_base.as_deref() == Some(base.as_octets());
                Ok(same.then_some(reader))
            }
            Err(error) => {
                tracing::warn!(
                    file.path = %path.display(),
                    error,
                    "last delta CRL was changed or cannot be read; a hold that came after the full CRL and was released is not taken back by the next one"
                );
                Ok(None)
            }
        }
    }

    /// Keeps a CRL that is about to be published. Without the copy only a comparison is at stake, so
    /// a failure stops nothing.
    pub(super) fn keep_own_copy(&self, authority: &Authority, list: List, file: &Path) {
        let copy = self.own_copy(authority, list);
        let made = copy.with_extension("new");
        if let Err(error) = fs::copy(file, &made).and_then(|_| fs::rename(&made, &copy)) {
            tracing::warn!(file.path = %copy.display(), error = %error, "own copy of the CRL is not kept");
        }
    }

    pub(super) fn own_copy(&self, authority: &Authority, list: List) -> PathBuf {
        let name = authority.name();
        self.files.copy(&match list {
            List::Shard(number) => CrlFiles::shard_copy_name(name, number),
            List::Full | List::Delta => CrlFiles::copy_name(name),
        })
    }

    /// The URL that a published list of a shard says it is to be had at.
    pub(super) fn stated_url(&self, path: &Path, sha256: [u8; 32]) -> Result<String, String> {
        let (_, extensions) = believed_whole(path, [Some(sha256), None])?;
        let point = extensions.issuing_distribution_point.as_deref();
        let point = point.and_then(IssuingDistributionPoint::from_der);
        let mut names = point.map(|point| point.full_name).unwrap_or_default();
        names.pop().ok_or_else(|| "it names no URL of its own".to_owned())
    }
}

/// The list in a file, if it is one of those that are known by their hash.
fn believed(path: &Path, known: [Option<[u8; 32]>; 2]) -> Result<Reader, String> {
    start(believed_file(path, known)?)
}

/// As [`believed`], with what the list says after its entries.
fn believed_whole(
    path: &Path,
    known: [Option<[u8; 32]>; 2],
) -> Result<(Reader, CrlExtensions), String> {
    let mut file = believed_file(path, known)?;
    let again = file.try_clone().map_err(|error| error.to_string())?;
    let tail = start(again)?.finish().map_err(|error| chain(&error))?;
    file.rewind().map_err(|error| error.to_string())?;
    Ok((start(file)?, tail.extensions))
}

/// The file that was hashed, and not what lies under its name by now: another may be moved there between.
pub(super) fn believed_file(path: &Path, known: [Option<[u8; 32]>; 2]) -> Result<File, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let found = sha256_of(&mut file).map_err(|error| error.to_string())?;
    if !known.contains(&Some(found)) {
        return Err("its SHA-256 is neither listed nor that of the last one".to_owned());
    }
    Ok(file)
}

/// Reads a file that was hashed and believed.
fn start(file: File) -> Result<Reader, String> {
    CrlReader::start_believed(BufReader::new(file), CrlForm::CertificateList, crl::MAX_OCTETS)
        .map_err(|error| chain(&error))
}

/// Reads it from where it stands and puts it back to its beginning.
fn sha256_of(file: &mut File) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    io::copy(&mut BufReader::new(&mut *file), &mut HashWriter(&mut hash))?;
    file.rewind()?;
    Ok(hash.finalize().into())
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.update(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
