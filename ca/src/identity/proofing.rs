//! How an identity was proven: the reviewed list of methods that orders may state.
//!
//! Who the person is stands in another list ([`super::IdentityKinds`]).

use serde::Deserialize;

use super::list::{self, Days, Entry, LevelWord, ListError};
use crate::day::Day;
use crate::profile::TrustLevel;
use crate::word::{Title, word_type};

word_type!(
    /// The name of a proofing method, such as `swedish-passport`.
    ProofingId
);

/// Whether somebody saw the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meeting {
    /// Nobody did.
    Remote,
    /// The person stood before somebody.
    Visit,
}

/// What proves the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Means {
    /// Something that whoever saw to it has judged, such as a passport.
    #[default]
    Document,
    /// An eID of this CA, which the order names (ISS-20).
    OwnEid,
}

/// One method of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofingMethod {
    id: ProofingId,
    title: Title,
    levels: Vec<TrustLevel>,
    meeting: Meeting,
    means: Means,
    days: Days,
}

impl ProofingMethod {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &ProofingId {
        &self.id
    }

    /// What people read.
    #[must_use]
    pub const fn title(&self) -> &Title {
        &self.title
    }

    /// The trust levels that it proves enough for.
    #[must_use]
    pub fn levels(&self) -> &[TrustLevel] {
        &self.levels
    }

    /// Whether the person is seen.
    #[must_use]
    pub const fn meeting(&self) -> Meeting {
        self.meeting
    }

    /// What proves the identity.
    #[must_use]
    pub const fn means(&self) -> Means {
        self.means
    }

    /// The days (in Stockholm) on which it may be used.
    #[must_use]
    pub const fn days(&self) -> Days {
        self.days
    }

    /// Whether it may be used on `day` (in Stockholm).
    #[must_use]
    pub fn holds_on(&self, day: Day) -> bool {
        self.days.contain(day)
    }
}

/// The list of proofing methods, as two persons reviewed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofingMethods {
    version: u32,
    methods: Vec<ProofingMethod>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodsFile {
    version: u32,
    #[serde(default)]
    method: Vec<MethodFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodFile {
    id: ProofingId,
    title: Title,
    levels: Vec<LevelWord>,
    presence: Meeting,
    #[serde(default)]
    means: Means,
    from: Day,
    until: Option<Day>,
}

impl ProofingMethods {
    /// Reads `lists/proofing-methods.toml`.
    ///
    /// # Errors
    ///
    /// [`ListError`].
    pub fn parse(file: &[u8]) -> Result<Self, ListError> {
        let MethodsFile { version, method } = list::read(file)?;
        let methods: Vec<ProofingMethod> = method.into_iter().map(ProofingMethod::from).collect();
        list::check(
            version,
            methods.iter().map(|method| Entry {
                id: method.id.as_str(),
                levels: &method.levels,
                days: method.days,
            }),
        )?;
        Ok(Self { version, methods })
    }

    /// The version of the list.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The method of that name.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&ProofingMethod> {
        self.methods.iter().find(|method| method.id.as_str() == id)
    }

    /// All methods, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &ProofingMethod> {
        self.methods.iter()
    }
}

impl From<MethodFile> for ProofingMethod {
    fn from(file: MethodFile) -> Self {
        Self {
            id: file.id,
            title: file.title,
            levels: file.levels.into_iter().map(TrustLevel::from).collect(),
            meeting: file.presence,
            means: file.means,
            days: Days { from: file.from, until: file.until },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../profiles/lists/proofing-methods.toml"
    ));

    /// ISS-19: a passport of another country proves LoA 2 and no more.
    #[test]
    fn the_shipped_methods_say_what_their_sources_say() {
        let methods = ProofingMethods::parse(SHIPPED.as_bytes()).unwrap();
        let method = |id| methods.by_id(id).unwrap();

        assert_eq!(methods.version(), 1);
        assert_eq!(method("foreign-passport").levels(), [TrustLevel::Loa2]);
        assert_eq!(method("own-siths-eid").levels(), [TrustLevel::Loa2, TrustLevel::Loa3]);
        assert_eq!(method("swedish-passport").levels(), [TrustLevel::Loa2, TrustLevel::Loa3]);
        assert_eq!(method("swedish-passport").title().swedish(), "Svenskt pass (vinröd bok)");
        for one in methods.iter() {
            let meeting =
                if one.id().as_str() == "own-siths-eid" { Meeting::Remote } else { Meeting::Visit };
            assert_eq!(one.meeting(), meeting, "{}", one.id());
            let by_eid = one.means() == Means::OwnEid;
            assert_eq!(by_eid, one.id().as_str() == "own-siths-eid", "{}", one.id());
        }
        assert!(methods.by_id("personnummer").is_none(), "an identity proves nothing");
    }

    #[test]
    fn refuses_lists_that_contradict_themselves() {
        let mutant = |from: &str, to: &str| {
            let text = SHIPPED.replacen(from, to, 1);
            assert_ne!(text, SHIPPED, "{from}");
            ProofingMethods::parse(text.as_bytes()).unwrap_err()
        };

        assert!(matches!(
            mutant("\"foreign-passport\"", "\"sis-id-card\""),
            ListError::Twice { .. }
        ));
        assert!(matches!(mutant("[\"loa2\"]", "[]"), ListError::Levels { .. }));
        assert!(matches!(
            mutant("= 2021-06-15", "= 2021-06-15\nuntil = 2021-06-14"),
            ListError::Period { .. }
        ));
        assert!(matches!(mutant("\"visit\"", "\"hearsay\""), ListError::Toml(_)));
        assert!(matches!(
            mutant("\"swedish-passport\"", "\"Swedish passport\""),
            ListError::Toml(_)
        ));
        assert!(matches!(ProofingMethods::parse(b"version = 1"), Err(ListError::Nothing)));
    }
}
