//! The archive: the interchange format of POSIX.1-1988 (ustar), with everything fixed that says nothing.

use super::BundleFault;

/// Of a header, and what contents are filled up to.
const BLOCK: usize = 512;
/// Before each name: `tar` unpacks into a folder of its own.
const FOLDER: &str = "bundle";
/// Where the fields of a header stand.
const NAME: usize = 0;
const MODE: usize = 100;
const OWNER: usize = 108;
const GROUP: usize = 116;
const SIZE: usize = 124;
const TIME: usize = 136;
const SUM: usize = 148;
const KIND: usize = 156;
const MAGIC: usize = 257;
const MAJOR: usize = 329;
const MINOR: usize = 337;
const PREFIX: usize = 345;
const PREFIX_END: usize = 500;

/// Appends a file of this name, whose parts fit.
pub(super) fn entry(out: &mut Vec<u8>, name: &str, octets: &[u8]) {
    let path = format!("{FOLDER}/{name}");
    let (folder, file) = path.rsplit_once('/').unwrap_or((FOLDER, name));
    let mut header = [0; BLOCK];
    put(&mut header, NAME, file.as_bytes());
    put(&mut header, MODE, b"0000644");
    put(&mut header, OWNER, b"0000000");
    put(&mut header, GROUP, b"0000000");
    put(&mut header, SIZE, format!("{:011o}", octets.len()).as_bytes());
    put(&mut header, TIME, b"00000000000");
    // The sum is taken with spaces in its own place.
    put(&mut header, SUM, b"        ");
    put(&mut header, KIND, b"0");
    put(&mut header, MAGIC, b"ustar\x0000");
    put(&mut header, MAJOR, b"0000000");
    put(&mut header, MINOR, b"0000000");
    put(&mut header, PREFIX, folder.as_bytes());
    let sum: u32 = header.iter().map(|octet| u32::from(*octet)).sum();
    put(&mut header, SUM, format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(octets);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

/// Ends the archive: two blocks of zeros.
pub(super) fn end(out: &mut Vec<u8>) {
    out.resize(out.len().saturating_add(2 * BLOCK), 0);
}

fn put(header: &mut [u8; BLOCK], at: usize, value: &[u8]) {
    for (octet, of_value) in header.iter_mut().skip(at).zip(value) {
        *octet = *of_value;
    }
}

/// Names and contents in their order. Whether each octet is as it is to be is the caller's to judge, by writing it anew.
///
/// # Errors
///
/// [`BundleFault::NoArchive`] where the next part does not begin.
pub(super) fn read(octets: &[u8]) -> Result<Vec<(String, &[u8])>, BundleFault> {
    let (mut entries, mut rest) = (Vec::new(), octets);
    loop {
        let here = octets.len().saturating_sub(rest.len());
        let none = || BundleFault::NoArchive { octet: here };
        let (header, after) = rest.split_at_checked(BLOCK).ok_or_else(none)?;
        if header.iter().all(|octet| *octet == 0) {
            return Ok(entries);
        }
        let folder = text(header, PREFIX, PREFIX_END).ok_or_else(none)?;
        let file = text(header, NAME, MODE).ok_or_else(none)?;
        let below = folder.strip_prefix(FOLDER).ok_or_else(none)?;
        let name = match below.strip_prefix('/') {
            Some(below) => format!("{below}/{file}"),
            None if below.is_empty() => file.to_owned(),
            None => return Err(none()),
        };
        let size = text(header, SIZE, TIME).and_then(|size| usize::from_str_radix(size, 8).ok());
        let size = size.ok_or_else(none)?;
        let (content, after) = after.split_at_checked(size).ok_or_else(none)?;
        let padding = size.next_multiple_of(BLOCK).saturating_sub(size);
        rest = after.get(padding..).ok_or_else(none)?;
        entries.push((name, content));
    }
}

/// A field of a header up to its first zero.
fn text(header: &[u8], from: usize, to: usize) -> Option<&str> {
    let field = header.get(from..to)?;
    let end = field.iter().position(|octet| *octet == 0).unwrap_or(field.len());
    std::str::from_utf8(field.get(..end)?).ok()
}
