//! Two portraits side by side: where they differ, field by field.

use std::fmt;

use super::portrait::{Portrait, PortraitField, Seen, Sitter};

/// A field in which two portraits differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which field.
    pub field: PortraitField,
    /// What is seen in the first.
    pub left: Seen,
    /// What is seen in the second.
    pub right: Seen,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} | {}", self.field, self.left, self.right)
    }
}

/// Where two portraits differ, in the order of their fields.
///
/// Two profiles, or two certificates, differ where they do not say the same. A certificate differs
/// from a profile where it shows what no certificate of that profile may show. A field that one of
/// them says nothing about is left out, but for extensions: an extension that is not drawn is absent.
#[must_use]
pub fn differences(left: &Portrait, right: &Portrait) -> Vec<Difference> {
    let agree = |ours: &Seen, theirs: &Seen| match (left.sitter(), right.sitter()) {
        (Sitter::Profile, Sitter::Certificate) => ours.admits(theirs),
        (Sitter::Certificate, Sitter::Profile) => theirs.admits(ours),
        _ => ours == theirs,
    };
    let fields = left.lines().iter().map(|line| &line.field);
    let others = right.lines().iter().map(|line| &line.field);
    let others = others.filter(|field| left.seen(field).is_none());
    fields
        .chain(others)
        .filter_map(|field| {
            let (ours, theirs) = match (left.seen(field), right.seen(field)) {
                (Some(ours), Some(theirs)) => (ours, theirs),
                (Some(ours), None) if field.is_presence() => (ours, &Seen::Absent),
                (None, Some(theirs)) if field.is_presence() => (&Seen::Absent, theirs),
                _ => return None,
            };
            (!agree(ours, theirs)).then(|| Difference {
                field: field.clone(),
                left: ours.clone(),
                right: theirs.clone(),
            })
        })
        .collect()
}
