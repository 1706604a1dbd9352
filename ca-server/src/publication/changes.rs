//! What the status log changes of certificates, seen by the node that publishes it: whichever node wrote an entry, the CRL that
//! waits for it is made here. What a round has seen that came to nothing is told after the one that is published: it does not look
//! again at entries whose tiles are written.

use std::cell::RefCell;
use std::collections::BTreeMap;

use status::{Change, IssuerId, Position, StatusEntry};
use store::{Log, Store, StoreError};

/// The last entry of each CA that changed how a certificate stands.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// By the leaf index of the CA's declaration.
    last: RefCell<BTreeMap<u64, Position>>,
}

impl Changes {
    /// Looks at an entry that is about to be published.
    pub(crate) fn see(&self, position: Position, entry: &[u8]) {
        // What cannot be read stops every follower, and is told of there.
        let Ok(StatusEntry::Certificate(entry)) = StatusEntry::decode(entry) else { return };
        if !matches!(entry.change, Change::Issued { .. }) {
            self.last.borrow_mut().insert(entry.issuer.index(), position);
        }
    }

    /// The CAs by their ids.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(crate) fn by_issuer(
        &self,
        store: &dyn Store,
    ) -> Result<BTreeMap<IssuerId, Position>, StoreError> {
        let mut changed = BTreeMap::new();
        for (&index, &position) in &*self.last.borrow() {
            let declared = store.log_entries(Log::Status, position.epoch, index..index + 1)?;
            let declared = declared.first().map(|entry| StatusEntry::decode(&entry.bytes));
            if let Some(Ok(StatusEntry::IssuerDeclared { issuer, .. })) = declared {
                changed.insert(issuer, position);
            }
        }
        Ok(changed)
    }

    /// They have been told.
    pub(crate) fn forget(&self) {
        self.last.borrow_mut().clear();
    }
}
