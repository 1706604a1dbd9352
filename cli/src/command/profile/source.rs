//! Files of profiles and certificates, told apart by what they hold.

use std::path::{Path, PathBuf};

use ca::book::Book;
use ca::profile::{Portrait, Profile};
use x509::import::ImportedCertificate;
use x509::pem::{self, Label};

use crate::client::ClientError;

/// The first octet of a certificate's DER: a SEQUENCE. No TOML of a profile begins with it.
const SEQUENCE: u8 = 0x30;

/// A file that can be drawn.
pub(super) enum Source {
    Profile(Box<Profile>),
    Certificate(Box<ImportedCertificate>),
}

impl Source {
    /// Reads a profile, or a certificate in PEM or DER.
    pub(super) fn read(path: &Path) -> Result<Self, ClientError> {
        let octets = read(path)?;
        let refused = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Input {
            path: path.to_owned(),
            source,
        };
        let text = str::from_utf8(&octets).ok();
        let der = match text.filter(|text| text.contains("-----BEGIN ")) {
            Some(text) => Some(
                pem::decode_one(text, Label::Certificate).map_err(|error| refused(error.into()))?,
            ),
            None => (octets.first() == Some(&SEQUENCE)).then(|| octets.clone()),
        };
        match der {
            Some(der) => ImportedCertificate::from_der(&der)
                .map(|certificate| Self::Certificate(Box::new(certificate)))
                .map_err(|error| refused(error.into())),
            None => Profile::parse(&octets)
                .map(|profile| Self::Profile(Box::new(profile)))
                .map_err(|error| refused(error.into())),
        }
    }

    pub(super) fn portrait(&self) -> Portrait {
        match self {
            Self::Profile(profile) => Portrait::of_profile(profile),
            Self::Certificate(certificate) => Portrait::of_certificate(certificate),
        }
    }

    /// What it is, for the head of a report.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Profile(profile) => {
                format!("profile {} version {}", profile.name(), profile.version())
            }
            Self::Certificate(certificate) => format!("certificate {}", certificate.subject()),
        }
    }
}

/// The files that `paths` name: themselves, and of a folder its `*.toml`, by name.
pub(super) fn profiles_of(paths: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, ClientError> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push((path.display().to_string(), read(path)?));
            continue;
        }
        let files = toml_of(path)?;
        if files.is_empty() {
            let source = "the folder holds no *.toml".into();
            return Err(ClientError::Input { path: path.clone(), source });
        }
        for file in files {
            found.push((file.display().to_string(), read(&file)?));
        }
    }
    Ok(found)
}

/// The book that a folder of profiles holds.
pub(super) fn book_of(folder: &Path) -> Result<Book, ClientError> {
    let files = book_files(folder)?;
    Book::parse(files.iter().map(|(path, octets)| (path.as_str(), octets.as_slice())))
        .map_err(|errors| ClientError::Input { path: folder.to_owned(), source: errors.into() })
}

/// The files of a book: the profiles of `folder` and what lies in its folders, each by its path below it.
pub(super) fn book_files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, ClientError> {
    let mut found = Vec::new();
    for (prefix, inner) in std::iter::once((String::new(), folder.to_owned()))
        .chain(Book::FOLDERS.iter().map(|name| (format!("{name}/"), folder.join(name))))
    {
        if !prefix.is_empty() && !inner.is_dir() {
            continue;
        }
        for file in toml_of(&inner)? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((format!("{prefix}{name}"), read(&file)?));
        }
    }
    Ok(found)
}

/// Whether a folder of profiles holds more of a book than profiles.
pub(super) fn is_book(folder: &Path) -> bool {
    Book::FOLDERS.iter().any(|name| folder.join(name).is_dir())
}

fn toml_of(folder: &Path) -> Result<Vec<PathBuf>, ClientError> {
    let refused = |source| ClientError::Input { path: folder.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(|error| refused(error.into()))?;
    let entries: Vec<_> =
        entries.collect::<Result<_, _>>().map_err(|error| refused(error.into()))?;
    let mut files: Vec<_> = entries
        .into_iter()
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path)
        .map_err(|error| ClientError::Input { path: path.to_owned(), source: error.into() })
}
