//! Entry bundles: up to 256 log entries in one file (C2SP tlog-tiles, log entries).
//!
//! Each entry stands behind its length, two octets big-endian. Nothing else is in the file, so a
//! bundle has one encoding.

use thiserror::Error;

/// The longest entry a bundle can carry, in octets.
pub const MAX_ENTRY_LENGTH: usize = 0xffff;

/// Appends one entry to the bytes of a bundle.
///
/// # Errors
///
/// [`EntryTooLong`] beyond [`MAX_ENTRY_LENGTH`]; the bundle is then unchanged.
pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), EntryTooLong> {
    let length = u16::try_from(entry.len()).map_err(|_| EntryTooLong { length: entry.len() })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Splits a bundle into the `count` entries that its path says it holds.
///
/// # Errors
///
/// [`BundleParseError`] if the bytes end inside an entry or hold fewer or more of them.
pub fn split(bundle: &[u8], count: usize) -> Result<Vec<&[u8]>, BundleParseError> {
    let mut entries = Vec::with_capacity(count);
    let mut rest = bundle;
    while !rest.is_empty() {
        let index = entries.len();
        if index == count {
            return Err(BundleParseError::TooMany { wanted: count });
        }
        let (length, after) =
            rest.split_first_chunk::<2>().ok_or(BundleParseError::Truncated { index })?;
        let (entry, after) = after
            .split_at_checked(usize::from(u16::from_be_bytes(*length)))
            .ok_or(BundleParseError::Truncated { index })?;
        entries.push(entry);
        rest = after;
    }
    if entries.len() < count {
        return Err(BundleParseError::TooFew { wanted: count, found: entries.len() });
    }
    Ok(entries)
}

/// The entry does not fit its length field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("log entry has {length} octets, at most 65535 fit a bundle")]
pub struct EntryTooLong {
    length: usize,
}

/// Why bytes are not an entry bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BundleParseError {
    /// The bytes end inside an entry or its length.
    #[error("entry bundle ends inside its entry {index}")]
    Truncated { index: usize },

    /// Fewer entries than the tree says.
    #[error("entry bundle has {found} entries, {wanted} are needed")]
    TooFew { wanted: usize, found: usize },

    /// More entries than the path says.
    #[error("entry bundle has more than {wanted} entries")]
    TooMany { wanted: usize },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<u8> {
        let mut bundle = Vec::new();
        for entry in [&b"one"[..], b"", b"three"] {
            push(&mut bundle, entry).unwrap();
        }
        bundle
    }

    #[test]
    fn entries_stand_behind_their_lengths() {
        assert_eq!(three(), b"\x00\x03one\x00\x00\x00\x05three");
        assert_eq!(split(&three(), 3).unwrap(), [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn refuses_a_bundle_cut_anywhere() {
        let bundle = three();
        for length in 0..bundle.len() {
            assert!(split(&bundle[..length], 3).is_err(), "{length}");
        }
    }

    #[test]
    fn refuses_another_number_of_entries() {
        assert!(split(&[0; 512], 256).is_ok());
        assert_eq!(split(&[0; 514], 256), Err(BundleParseError::TooMany { wanted: 256 }));
        assert_eq!(
            split(&[0; 510], 256),
            Err(BundleParseError::TooFew { wanted: 256, found: 255 })
        );
    }

    #[test]
    fn refuses_an_entry_that_does_not_fit_its_length() {
        let mut bundle = three();
        assert!(push(&mut bundle, &[7; MAX_ENTRY_LENGTH]).is_ok());

        let before = bundle.clone();
        assert!(push(&mut bundle, &[7; MAX_ENTRY_LENGTH + 1]).is_err());
        assert_eq!(bundle, before);
    }
}
