//! The book, from the folder that the configuration names.

use std::path::Path;

use anyhow::Context as _;
use ca::book::Book;

use crate::start::Told;

/// Reads the book: the profiles of the folder, and what lies in the folders below it. Profiles that the policy table
/// does not fit are closed in it, so that what needs none goes on.
///
/// # Errors
///
/// Names every file that is not what it should be.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Book> {
    let files = files(folder)?;
    let files = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
    Book::parse_closing(files).map_err(|errors| {
        let all: Vec<String> =
            errors.iter().map(|error| format!("{}/{error}", folder.display())).collect();
        anyhow::Error::new(Told::new(
            "profile-malformed",
            all.join("; "),
            "correct the file; the shipped ones lie in profiles/",
        ))
    })
}

/// The files of the book, each with its path below the folder.
///
/// # Errors
///
/// Names what cannot be read.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let unreadable = |path: &Path| {
        let what = format!("cannot read profiles from {}", path.display());
        Told::new("profiles-unreadable", what, "correct `profiles`, or the files' permissions")
    };
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let below = Book::FOLDERS.iter().filter(|below| folder.join(below).exists());
    for below in below.copied().chain([""]) {
        let inner = folder.join(below);
        for entry in std::fs::read_dir(&inner).with_context(|| unreadable(&inner))? {
            let path = entry.with_context(|| unreadable(&inner))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if path.extension().is_some_and(|extension| extension == "toml") {
                let bytes = std::fs::read(&path).with_context(|| unreadable(&path))?;
                let within =
                    if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
                files.push((within, bytes));
            }
        }
    }
    Ok(files)
}
