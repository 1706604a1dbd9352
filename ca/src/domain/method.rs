//! The reviewed list of ways in which control of a domain is proved.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use crate::day::Day;
use crate::identity::{Days, ListError, list};
use crate::word::{Title, word_type};

word_type!(
    /// The name of a way of proving, such as `dns-txt`.
    DomainProofId
);

/// Days that a proof holds at most, whatever the list says (decision 0067).
pub const LONGEST_DAYS: u16 = 398;
const DAY: u64 = 86_400;

/// One way of proving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainProofMethod {
    id: DomainProofId,
    title: Title,
    token: bool,
    longest: u16,
    days: Days,
}

impl DomainProofMethod {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &DomainProofId {
        &self.id
    }

    /// What people read.
    #[must_use]
    pub const fn title(&self) -> &Title {
        &self.title
    }

    /// Whether it rests on the token that the CA gave out.
    #[must_use]
    pub const fn needs_token(&self) -> bool {
        self.token
    }

    /// How long such a proof holds at most after it was seen.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_secs(u64::from(self.longest).saturating_mul(DAY))
    }

    /// Whether it may be used on `day` (in Stockholm).
    #[must_use]
    pub fn holds_on(&self, day: Day) -> bool {
        self.days.contain(day)
    }
}

/// The list, as two persons reviewed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainProofs(Vec<DomainProofMethod>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofsFile {
    version: u32,
    #[serde(default)]
    method: Vec<MethodFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodFile {
    id: DomainProofId,
    title: Title,
    token: bool,
    longest: u16,
    from: Day,
    until: Option<Day>,
}

impl DomainProofs {
    /// Reads `lists/domain-proofs.toml`.
    ///
    /// # Errors
    ///
    /// [`ListError`].
    pub fn parse(file: &[u8]) -> Result<Self, ListError> {
        let ProofsFile { version, method } = list::read(file)?;
        if version == 0 {
            return Err(ListError::Version);
        }
        let mut ids = BTreeSet::new();
        for MethodFile { id, longest, from, until, .. } in &method {
            if !ids.insert(id.clone()) {
                return Err(ListError::Twice { id: id.to_string() });
            }
            if !(1..=LONGEST_DAYS).contains(longest) {
                return Err(ListError::Longest { id: id.to_string(), most: LONGEST_DAYS });
            }
            if let Some(until) = until.filter(|until| until < from) {
                return Err(ListError::Period { id: id.to_string(), from: *from, until });
            }
        }
        if ids.is_empty() {
            return Err(ListError::Nothing);
        }
        Ok(Self(method.into_iter().map(DomainProofMethod::from).collect()))
    }

    /// The way of that name.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&DomainProofMethod> {
        self.0.iter().find(|method| method.id.as_str() == id)
    }
}

impl From<MethodFile> for DomainProofMethod {
    fn from(file: MethodFile) -> Self {
        Self {
            id: file.id,
            title: file.title,
            token: file.token,
            longest: file.longest,
            days: Days { from: file.from, until: file.until },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../profiles/lists/domain-proofs.toml"));

    #[test]
    fn the_shipped_list_says_what_rests_on_a_token() {
        let list = DomainProofs::parse(SHIPPED.as_bytes()).unwrap();
        for (id, token) in
            [("owner-form", false), ("dns-txt", true), ("mail-to-domain-contact", true)]
        {
            assert_eq!(list.by_id(id).unwrap().needs_token(), token, "{id}");
        }
        assert!(list.by_id("hearsay").is_none());
    }

    #[test]
    fn refuses_lists_that_contradict_themselves() {
        let mutant = |from: &str, to: &str| {
            let text = SHIPPED.replacen(from, to, 1);
            assert_ne!(text, SHIPPED, "{from}");
            DomainProofs::parse(text.as_bytes()).unwrap_err()
        };
        assert!(matches!(mutant("\"dns-txt\"", "\"owner-form\""), ListError::Twice { .. }));
        assert!(matches!(mutant("longest = 398", "longest = 399"), ListError::Longest { .. }));
        assert!(matches!(mutant("longest = 398", "longest = 0"), ListError::Longest { .. }));
        assert!(matches!(mutant("version = 1", "version = 0"), ListError::Version));
        assert!(matches!(
            mutant("= 2019-05-15", "= 2019-05-15\nuntil = 2019-05-14"),
            ListError::Period { .. }
        ));
        assert!(matches!(DomainProofs::parse(b"version = 1"), Err(ListError::Nothing)));
    }
}
