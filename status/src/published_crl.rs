//! A row of the signed manifest `crl/manifest`: which CRL files are to be believed.
//!
//! The responder serves a CRL only if the manifest, signed by its own note key, lists its path and
//! hash (architecture §2.3). One row is `<path> <sha256> <number> <position>`, separated by single
//! spaces; the position is `-` for a CRL that an offline CA signed elsewhere.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::Position;

/// The name of the manifest in its note: `sigill/<deployment>/crl`.
pub const CRL_MANIFEST: &str = "crl";

/// One CRL file of the publication tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedCrl {
    /// Path below the publication folder, such as `crl/sigilltesteidrootcav1.crl`.
    pub path: String,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// CRL number (RFC 5280 §5.2.3) in upper-case hexadecimal, two digits an octet.
    pub number: String,
    /// The position of the first status entry that it does not rest on; `None` when it was signed
    /// elsewhere.
    pub position: Option<Position>,
}

impl fmt::Display for PublishedCrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.path)?;
        self.sha256.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        write!(f, " {} ", self.number)?;
        match self.position {
            Some(position) => position.fmt(f),
            None => f.write_str("-"),
        }
    }
}

impl FromStr for PublishedCrl {
    type Err = PublishedCrlError;

    /// Reads exactly what [`fmt::Display`] writes.
    fn from_str(row: &str) -> Result<Self, PublishedCrlError> {
        let fields: Vec<&str> = row.split(' ').collect();
        let [path, sha256, number, position] = fields.as_slice() else {
            return Err(PublishedCrlError);
        };
        let plain = |part: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed)
        };
        if !path.starts_with("crl/") || !path.split('/').all(plain) {
            return Err(PublishedCrlError);
        }
        let position = match *position {
            "-" => None,
            text => Some(text.parse().map_err(|_| PublishedCrlError)?),
        };
        let read = Self {
            path: (*path).to_owned(),
            sha256: sha256_from_hex(sha256).ok_or(PublishedCrlError)?,
            number: (*number).to_owned(),
            position,
        };
        let digits = number.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
        let whole = (2..=40).contains(&number.len()) && number.len().is_multiple_of(2);
        if digits && whole && read.to_string() == row { Ok(read) } else { Err(PublishedCrlError) }
    }
}

fn sha256_from_hex(text: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() != 64 {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(pairs) {
        let digits = std::str::from_utf8(pair).ok()?;
        *octet = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(octets)
}

/// The row is not of the form of a published CRL.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("row of the CRL manifest is not `<path> <sha256> <number> <position>`")]
pub struct PublishedCrlError;

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> PublishedCrl {
        PublishedCrl {
            path: "crl/sigilltesteidrootcav1.crl".to_owned(),
            sha256: [0xab; 32],
            number: "0102".to_owned(),
            position: Some(Position { epoch: 1, index: 7 }),
        }
    }

    #[test]
    fn a_row_reads_back() {
        for position in [None, row().position] {
            let row = PublishedCrl { position, ..row() };

            assert_eq!(row.to_string().parse(), Ok(row));
        }
    }

    #[test]
    fn refuses_paths_that_leave_the_folder_and_other_forms() {
        let good = row().to_string();
        for bad in [
            good.replace("crl/", "crl/../"),
            good.replace("crl/", "/etc/"),
            good.replace("crl/", "crl/.hidden/"),
            good.replace("abab", "ABAB"),
            good.replace("0102", "102"),
            good.replace("1.7", "1.07"),
            good.replace(' ', "  "),
            format!("{good} more"),
        ] {
            assert_eq!(bad.parse::<PublishedCrl>(), Err(PublishedCrlError), "{bad}");
        }
    }
}
