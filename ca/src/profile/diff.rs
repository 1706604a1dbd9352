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

#[cfg(test)]
mod tests {
    use super::super::Profile;
    use super::*;
    use crate::testing::profile_text;

    /// Where the shipped profile differs from itself with this in place of that: field, left, right.
    fn edited(name: &str, from: &str, to: &str) -> Vec<(String, String, String)> {
        let text = profile_text(name);
        assert!(text.contains(from), "{text}");
        let [left, right] = [text.to_owned(), text.replacen(from, to, 1)]
            .map(|text| Portrait::of_profile(&Profile::unjudged(&text)));
        let rows = differences(&left, &right).into_iter();
        rows.map(|one| (one.field.to_string(), one.left.to_string(), one.right.to_string()))
            .collect()
    }

    /// PRO-19: what only the file says is compared, too; each edit is one line of the comparison.
    #[test]
    fn what_stands_in_no_certificate_is_compared_between_profiles() {
        let person = "person-hsaid-3-authentication";
        let ignore =
            "[[lint.ignore]]\nrule = \"pro-17/upn-form\"\nreason = \"a test\"\n\n[subject]";
        for (from, to, expected) in [
            (
                "[subject]",
                "[names]\nscripts = [\"latin\", \"greek\"]\n\n[subject]",
                ("names.scripts", "Latin", "Greek, Latin"),
            ),
            (
                "[subject]",
                "[status]\nafter-expiry = \"unknown\"\n\n[subject]",
                ("status.after-expiry", "kept", "unknown"),
            ),
            ("[subject]", ignore, ("lint.ignore", "none", "pro-17/upn-form (a test)")),
            (
                "issue-by    = \"order\"",
                "issue-by    = \"direct\"",
                ("issue-by", "order", "direct"),
            ),
        ] {
            let (field, left, right) = expected;
            let expected = [(field.to_owned(), left.to_owned(), right.to_owned())];
            assert_eq!(edited(person, from, to), expected);
        }
        // In another order the scripts are the same ones.
        let latin = "[names]\nscripts = [\"latin\"]\n\n[subject]";
        assert_eq!(edited(person, "[subject]", latin), []);
    }

    /// PRO-10: a policy of the table and one that the file names are told apart.
    #[test]
    fn a_policy_from_the_table_is_no_policy_of_the_file() {
        let own = "oid = \"1.3.6.1.4.1.32473.1.1.2\"";
        let found = edited("function-ec", own, "from = \"table\"");

        let left = "2.23.140.1.2.2, 1.3.6.1.4.1.32473.1.1.2".to_owned();
        let right = "2.23.140.1.2.2, a policy of the table".to_owned();
        assert_eq!(found, [("extension.certificatePolicies".to_owned(), left, right)]);
    }
}
