//! The one place in this room that turns a committed intent into the right to sign it.

use x509::signing::{Intent, Recorded, Recorder};

use crate::StoreError;

/// Commits an intent: runs the act in the writer, returns when it is durable.
struct Committing<F>(F);

impl<F: FnOnce(&Intent) -> Result<(), StoreError>> Recorder for Committing<F> {
    type Error = StoreError;

    fn record(self, intent: &Intent) -> Result<(), StoreError> {
        (self.0)(intent)
    }
}

/// Has `commit` make `intent` durable. `commit` must not return `Ok` before its transaction is
/// committed and on disk.
pub(crate) fn record(
    intent: &Intent,
    commit: impl FnOnce(&Intent) -> Result<(), StoreError>,
) -> Result<Recorded, StoreError> {
    Recorded::by(Committing(commit), intent)
}
