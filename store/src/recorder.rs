//! The one place in this room that turns a committed intent into the right to sign it.

use std::marker::PhantomData;

use x509::signing::{Intent, Recorded, Recorder};

/// Commits an intent: runs the act in the writer, returns when it is durable.
struct Committing<F, E>(F, PhantomData<E>);

impl<F: FnOnce(&Intent) -> Result<(), E>, E> Recorder for Committing<F, E> {
    type Error = E;

    fn record(self, intent: &Intent) -> Result<(), E> {
        (self.0)(intent)
    }
}

/// Has `commit` make `intent` durable. `commit` must not return `Ok` before its transaction is
/// committed and on disk.
pub(crate) fn record<E>(
    intent: &Intent,
    commit: impl FnOnce(&Intent) -> Result<(), E>,
) -> Result<Recorded, E> {
    Recorded::by(Committing(commit, PhantomData), intent)
}
