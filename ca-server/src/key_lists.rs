//! The lists of keys that are never certified, as the configuration names them (ISS-11).

use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use ca::key_quality::{KeyBook, KeyList, ListClass};
use x509::key::SpkiHash;

use crate::config::ConfigFile;
use crate::observe::Readiness;
use crate::publication::lossy;
use crate::start::Told;

/// Reads the lists that the configuration names.
///
/// # Errors
///
/// Names the file that cannot be read or is no list.
pub(crate) fn read(config: &ConfigFile) -> anyhow::Result<Vec<KeyList>> {
    config.key_lists.files.iter().map(|path| read_one(path)).collect()
}

fn read_one(path: &Path) -> anyhow::Result<KeyList> {
    let told = |code, what: &str| {
        let what = format!("{what} key list {}", path.display());
        Told::new(
            code,
            what,
            "make it again with `sigill key-list make`, or correct `[key-lists] files`",
        )
    };
    let bytes = std::fs::read(path).with_context(|| told("key-list-unreadable", "cannot read"))?;
    KeyList::parse(&bytes).with_context(|| told("key-list-malformed", "refused"))
}

/// The keys that are never certified: `own`, and those of the lists. Says in log, metrics and readiness
/// which lists there are, and that there is none of Debian's keys.
///
/// # Errors
///
/// As [`read`].
pub(crate) fn book(
    config: &ConfigFile,
    own: impl IntoIterator<Item = SpkiHash>,
    readiness: &Readiness,
) -> anyhow::Result<KeyBook> {
    let book = KeyBook::new(own, read(config)?);
    tell(&book, readiness);
    Ok(book)
}

fn tell(book: &KeyBook, readiness: &Readiness) {
    for class in ListClass::ALL {
        let lists = book.lists().iter().filter(|list| list.class() == class);
        let entries: usize = lists.map(KeyList::len).sum();
        metrics::gauge!("sigill_key_list_entries", "class" => class.name())
            .set(lossy(u64::try_from(entries).unwrap_or(u64::MAX)));
    }
    for list in book.lists() {
        tracing::info!(
            key_list.class = %list.class(),
            key_list.entries = list.len(),
            key_list.source = list.source(),
            "keys of this list are not certified"
        );
    }
    let without_debian = book.missing().any(|class| class == ListClass::Debian);
    readiness.without_debian_list.store(without_debian, Ordering::Relaxed);
    if without_debian {
        tracing::warn!(
            "no key list of class debian is configured: keys that Debian's OpenSSL made in 2006-2008 (CVE-2008-0166) would \
             be certified; make one with `sigill key-list make` and name it in [key-lists] files (docs/operations/run.md)"
        );
    }
}

#[cfg(test)]
mod tests {
    use ca::key_quality::ListedKey;

    use super::*;

    fn told(lists: Vec<KeyList>) -> bool {
        let readiness = Readiness::default();
        tell(&KeyBook::new([], lists), &readiness);
        readiness.without_debian_list.load(Ordering::Relaxed)
    }

    /// ISS-11: what cannot be checked is said.
    #[test]
    fn a_ca_without_a_list_of_debians_keys_says_so() {
        let list = |class| KeyList::new(class, "a test", []).unwrap();

        assert!(told(Vec::new()));
        assert!(told(vec![list(ListClass::Published)]));
        assert!(!told(vec![list(ListClass::Debian)]));
    }

    #[test]
    fn a_list_is_read_and_what_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("debian.keys");
        let keys = [ListedKey::of_hash(SpkiHash::from_bytes([7; 32]))];
        let list = KeyList::new(ListClass::Debian, "a test", keys).unwrap();

        std::fs::write(&path, list.to_bytes()).unwrap();
        assert_eq!(read_one(&path).unwrap(), list);

        std::fs::write(&path, &list.to_bytes()[..90]).unwrap();
        let error = read_one(&path).unwrap_err();
        assert_eq!(crate::start::code(&error), "key-list-malformed");
        let error = read_one(&folder.path().join("none")).unwrap_err();
        assert_eq!(crate::start::code(&error), "key-list-unreadable");
    }
}
