//! Failures that stay for a while, told when they change.

use crate::chain;

/// Says what is wrong once, not five times a second.
#[derive(Default)]
pub(crate) struct Complaint {
    last: Option<String>,
}

impl Complaint {
    /// The value; what failed is told if it is not what failed before.
    pub(crate) fn hear<T, E: std::error::Error>(
        &mut self,
        what: &str,
        code: fn(&E) -> &'static str,
        result: Result<T, E>,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.last = None;
                Some(value)
            }
            Err(error) => {
                let text = chain(&error);
                if self.last.as_ref() != Some(&text) {
                    tracing::error!(problem.code = code(&error), error = text, "{what}");
                    self.last = Some(text);
                }
                None
            }
        }
    }
}
