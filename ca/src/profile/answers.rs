//! What a profile says of the answers about its certificates.

use serde::Deserialize;
use status::AfterExpiry;

/// The section `[status]`; left out, the last status for ever.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct StatusFile {
    after_expiry: AfterExpiryWord,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AfterExpiryWord {
    #[default]
    Kept,
    Unknown,
}

impl StatusFile {
    pub(super) const fn after_expiry(&self) -> AfterExpiry {
        match self.after_expiry {
            AfterExpiryWord::Kept => AfterExpiry::Kept,
            AfterExpiryWord::Unknown => AfterExpiry::Unknown,
        }
    }
}
