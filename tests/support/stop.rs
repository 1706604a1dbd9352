//! The end of threads that work until they are told to stop.

use std::sync::atomic::{AtomicBool, Ordering};

/// Tells them when it is dropped: a test that fails must not leave them at work, since the scope that
/// they were started in waits for them.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
