//! The CRLs of offline CAs among the outputs of a ceremony: which of them are taken in.

use std::collections::BTreeSet;

use anyhow::ensure;
use status::PublishedCrl;
use store::{CrlRow, Store, StoreError};
use x509::serial::SerialNumber;

use super::{ReadCrl, ReadOutputs};
use crate::import_crl;
use crate::publication::crl_files::{CrlFiles, number_of};
use crate::start::Told;

/// Takes the lists into the import. One that is older than what is known or published stays out with its entries:
/// outputs are imported again after a restore, and a newer list may have come since (`--crl`). Where lists come by exchange (`by_exchange`) no other
/// than the first of its CA, or one that is known or published, comes by this door.
///
/// # Errors
///
/// `exchange-only`, and what `import --crl` refuses of a list that names fewer than the last.
pub(super) fn take_in(
    read: &mut ReadOutputs<'_>,
    store: &dyn Store,
    files: &CrlFiles,
    by_exchange: bool,
) -> anyhow::Result<()> {
    for crl in std::mem::take(&mut read.crls) {
        let last = match store.current_crl(crl.row.issuer, &crl.row.scope) {
            Ok(last) => Some(last),
            // Its first import.
            Err(StoreError::UnknownIssuer) => None,
            Err(error) => return Err(error.into()),
        };
        let (is_new, last) = (last.is_none(), last.flatten());
        let published = files.published(&crl.published.path).map(|(_, row)| row);
        let known = last.as_ref().map(|last| last.number.clone());
        let newest = known.max(published.as_ref().and_then(number_of));
        if let Some(newest) = newest.filter(|newest| *newest > crl.row.number) {
            tracing::warn!(
                file.path = %crl.file.display(),
                crl.number = %crl.row.number,
                crl.newest = %newest,
                "CRL of the outputs is left out: a newer one is known or published"
            );
            continue;
        }
        let sha256 = crl.row.sha256;
        ensure!(
            !by_exchange || is_first_or_known(&sha256, last.as_ref(), published.as_ref()),
            Told::new(
                "exchange-only",
                format!(
                    "{} is another list than the one that is known: the section [exchange] says that a list comes as the answer to a request",
                    crl.file.display()
                ),
                "ask for it with `sigill-ca exchange request`, and take the answer in with `sigill-ca exchange import`",
            )
        );
        if !is_new {
            loses_nobody(&crl, last.as_ref(), store)?;
        }
        read.import.crls.push(crl.row.clone());
        read.import.states.extend(crl.states.iter().cloned());
        read.crls.push(crl);
    }
    Ok(())
}

/// Whether a list is the first of its CA here, or one that has come before.
fn is_first_or_known(
    sha256: &[u8; 32],
    last: Option<&CrlRow>,
    published: Option<&PublishedCrl>,
) -> bool {
    let is_first = last.is_none() && published.is_none();
    let is_last = last.is_some_and(|last| last.sha256 == *sha256);
    is_first || is_last || published.is_some_and(|published| published.sha256 == *sha256)
}

/// A later ceremony's CRL names everybody whom the last one did.
fn loses_nobody(crl: &ReadCrl, last: Option<&CrlRow>, store: &dyn Store) -> anyhow::Result<()> {
    let listed: BTreeSet<SerialNumber> = crl.states.iter().map(|state| state.serial).collect();
    let (name, id) = (&crl.published.path, crl.row.issuer);
    import_crl::loses_nobody(name, id, &|serial| listed.contains(serial), last, store)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CER-07: with `[exchange]` a newer list has one way in.
    #[test]
    fn another_list_than_the_one_that_is_known_has_no_side_door() {
        let published = |octet: u8| PublishedCrl {
            path: "crl/root.crl".to_owned(),
            sha256: [octet; 32],
            number: "02".to_owned(),
            position: None,
        };
        let taken = |published: Option<&PublishedCrl>| is_first_or_known(&[1; 32], None, published);

        assert!(taken(None), "the first of its CA");
        assert!(taken(Some(&published(1))), "after a restore");
        assert!(!taken(Some(&published(2))), "another one");
    }
}
