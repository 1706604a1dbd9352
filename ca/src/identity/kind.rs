//! Who a person is: typed identities, and the reviewed list of the kinds that orders may state.
//!
//! How an identity was proven is another list ([`super::ProofingMethods`]): a passport can be both,
//! and the types keep the two apart.

use serde::Deserialize;

use super::list::{self, Days, Entry, LevelWord, ListError};
use super::{BirthDate, Field, IdentityError, PassportIdentity, PersonNumber, PersonNumberKind};
use crate::day::Day;
use crate::deployment::Environment;
use crate::profile::TrustLevel;
use crate::word::word_type;

word_type!(
    /// The name of an identity kind, such as `personnummer`.
    IdentityKindId
);

/// A person, by the identifier that the person is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A passport, of somebody without a Swedish number.
    Passport(PassportIdentity),
    /// A personnummer.
    Personnummer(PersonNumber),
    /// A samordningsnummer.
    Samordningsnummer(PersonNumber),
}

impl Identity {
    /// Its syntax.
    #[must_use]
    pub const fn form(&self) -> IdentityForm {
        match self {
            Self::Passport(_) => IdentityForm::Passport,
            Self::Personnummer(_) => IdentityForm::Personnummer,
            Self::Samordningsnummer(_) => IdentityForm::Samordningsnummer,
        }
    }

    /// The person's day of birth.
    #[must_use]
    pub const fn birth(&self) -> BirthDate {
        match self {
            Self::Passport(passport) => passport.birth(),
            Self::Personnummer(number) | Self::Samordningsnummer(number) => number.birth(),
        }
    }

    /// The Swedish number, if the person has one.
    #[must_use]
    pub const fn number(&self) -> Option<&PersonNumber> {
        match self {
            Self::Passport(_) => None,
            Self::Personnummer(number) | Self::Samordningsnummer(number) => Some(number),
        }
    }
}

/// What a caller says of a person, unchecked.
#[derive(Clone, Copy)]
pub enum IdentityText<'a> {
    /// 12 digits `YYYYMMDDNNNC`.
    Number(&'a str),
    /// A passport.
    Passport {
        /// Issuing state, three letters.
        state: &'a str,
        /// The passport's number.
        number: &'a str,
        /// Day of birth, `YYYY-MM-DD`.
        birth: &'a str,
    },
}

/// The syntaxes of identities. The list of kinds grows; this is what the code can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityForm {
    /// State, number and birth.
    Passport,
    /// 12 digits, registered persons.
    Personnummer,
    /// 12 digits, 60 added to the day.
    Samordningsnummer,
}

impl IdentityForm {
    const fn expected(self) -> &'static str {
        match self {
            Self::Passport => "passport: state, number and day of birth",
            Self::Personnummer => "personnummer: 12 digits, the day 01 to 31",
            Self::Samordningsnummer => "samordningsnummer: 12 digits, the day 61 to 91",
        }
    }
}

/// One kind of identity of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityKind {
    id: IdentityKindId,
    form: IdentityForm,
    levels: Vec<TrustLevel>,
    in_subject: bool,
    days: Days,
}

impl IdentityKind {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &IdentityKindId {
        &self.id
    }

    /// Its syntax.
    #[must_use]
    pub const fn form(&self) -> IdentityForm {
        self.form
    }

    /// The trust levels that such a person can reach.
    #[must_use]
    pub fn levels(&self) -> &[TrustLevel] {
        &self.levels
    }

    /// Whether the identifier may stand in a certificate's subject.
    #[must_use]
    pub const fn may_stand_in_subject(&self) -> bool {
        self.in_subject
    }

    /// The days (in Stockholm) on which it may be stated.
    #[must_use]
    pub const fn days(&self) -> Days {
        self.days
    }

    /// Whether it may be stated on `day` (in Stockholm).
    #[must_use]
    pub fn holds_on(&self, day: Day) -> bool {
        self.days.contain(day)
    }

    /// Reads an identity of this kind.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: what the syntax refuses; [`IdentityError::OtherKind`] for an identity of
    /// another kind, a samordningsnummer stated as personnummer among them; test and real
    /// identities in the wrong `environment` (DAT-08).
    pub fn read(
        &self,
        text: IdentityText<'_>,
        environment: Environment,
    ) -> Result<Identity, IdentityError> {
        let identity = match text {
            IdentityText::Number(digits) => {
                let number = PersonNumber::parse(digits, environment)?;
                match number.kind() {
                    PersonNumberKind::Personnummer => Identity::Personnummer(number),
                    PersonNumberKind::Samordningsnummer => Identity::Samordningsnummer(number),
                }
            }
            IdentityText::Passport { state, number, birth } => {
                Identity::Passport(PassportIdentity::parse(state, number, birth, environment)?)
            }
        };
        if identity.form() == self.form {
            return Ok(identity);
        }
        Err(IdentityError::OtherKind { field: Field::Identity, expected: self.form.expected() })
    }
}

/// The list of identity kinds, as two persons reviewed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityKinds {
    version: u32,
    kinds: Vec<IdentityKind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KindsFile {
    version: u32,
    #[serde(default)]
    kind: Vec<KindFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KindFile {
    id: IdentityKindId,
    form: IdentityForm,
    levels: Vec<LevelWord>,
    in_subject: bool,
    from: Day,
    until: Option<Day>,
}

impl IdentityKinds {
    /// Reads `lists/identity-kinds.toml`.
    ///
    /// # Errors
    ///
    /// [`ListError`].
    pub fn parse(file: &[u8]) -> Result<Self, ListError> {
        let KindsFile { version, kind } = list::read(file)?;
        let kinds: Vec<IdentityKind> = kind.into_iter().map(IdentityKind::from).collect();
        list::check(
            version,
            kinds.iter().map(|kind| Entry {
                id: kind.id.as_str(),
                levels: &kind.levels,
                days: kind.days,
            }),
        )?;
        let of_passports = |kind: &&IdentityKind| kind.form == IdentityForm::Passport;
        match kinds.iter().filter(of_passports).find(|kind| kind.in_subject) {
            Some(kind) => Err(ListError::InSubject { id: kind.id.to_string() }),
            None => Ok(Self { version, kinds }),
        }
    }

    /// The version of the list.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The kind of that name.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&IdentityKind> {
        self.kinds.iter().find(|kind| kind.id.as_str() == id)
    }

    /// All kinds, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &IdentityKind> {
        self.kinds.iter()
    }
}

impl From<KindFile> for IdentityKind {
    fn from(file: KindFile) -> Self {
        Self {
            id: file.id,
            form: file.form,
            levels: file.levels.into_iter().map(TrustLevel::from).collect(),
            in_subject: file.in_subject,
            days: Days { from: file.from, until: file.until },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../profiles/lists/identity-kinds.toml"));

    fn shipped() -> IdentityKinds {
        IdentityKinds::parse(SHIPPED.as_bytes()).unwrap()
    }

    const PASSPORT: IdentityText<'_> =
        IdentityText::Passport { state: "UTO", number: "L898902C3", birth: "1974-08-12" };

    /// ISS-19: a samordningsnummer stated as personnummer would reach LoA 3.
    #[test]
    fn each_kind_takes_identities_of_its_own_form_alone() {
        let texts = [
            ("personnummer", IdentityText::Number("191212121212")),
            ("samordningsnummer", IdentityText::Number("195401812390")),
            ("passport-holder", PASSPORT),
        ];
        let kinds = shipped();

        for (id, _) in texts {
            for (own, text) in texts {
                let read = kinds.by_id(id).unwrap().read(text, Environment::Test);
                match read {
                    Ok(_) => assert_eq!(id, own),
                    Err(error) => {
                        assert!(matches!(error, IdentityError::OtherKind { .. }), "{id} {own}");
                        assert_ne!(id, own);
                    }
                }
            }
        }
        assert_eq!(kinds.iter().count(), texts.len());
        assert!(kinds.by_id("swedish-passport").is_none(), "a proofing method is no identity");
    }

    /// Levels, days and subjects of the shipped kinds (page 3510042625).
    #[test]
    fn the_shipped_kinds_say_what_their_sources_say() {
        let kinds = shipped();
        let kind = |id| kinds.by_id(id).unwrap();

        assert_eq!(kinds.version(), 1);
        assert_eq!(kind("personnummer").levels(), [TrustLevel::Loa2, TrustLevel::Loa3]);
        for id in ["samordningsnummer", "passport-holder"] {
            assert_eq!(kind(id).levels(), [TrustLevel::Loa2], "{id}");
        }
        assert!(kind("samordningsnummer").may_stand_in_subject());
        assert!(!kind("passport-holder").may_stand_in_subject());
        assert_eq!(kind("passport-holder").form(), IdentityForm::Passport);
        let day = |day| Day::containing(x509::time::UnixTime::of_day(2021, 6, day).unwrap());
        assert!(!kind("samordningsnummer").holds_on(day(14)));
        assert!(kind("samordningsnummer").holds_on(day(15)));
    }

    #[test]
    fn knows_the_day_of_birth_of_every_kind() {
        let kinds = shipped();
        let birth =
            |id, text| kinds.by_id(id).unwrap().read(text, Environment::Test).unwrap().birth();

        assert_eq!(
            birth("samordningsnummer", IdentityText::Number("195401812390")),
            BirthDate::parse("1954-01-21").unwrap()
        );
        assert_eq!(
            birth("personnummer", IdentityText::Number("191212121212")),
            BirthDate::parse("1912-12-12").unwrap()
        );
        assert_eq!(birth("passport-holder", PASSPORT), BirthDate::parse("1974-08-12").unwrap());
    }

    #[test]
    fn refuses_lists_that_contradict_themselves() {
        let mutant = |from: &str, to: &str| {
            let text = SHIPPED.replacen(from, to, 1);
            assert_ne!(text, SHIPPED, "{from}");
            IdentityKinds::parse(text.as_bytes()).unwrap_err()
        };

        assert!(matches!(mutant("version = 1", "version = 0"), ListError::Version));
        assert!(matches!(
            mutant("\"passport-holder\"", "\"personnummer\""),
            ListError::Twice { .. }
        ));
        assert!(matches!(
            mutant("in-subject = false", "in-subject = true"),
            ListError::InSubject { .. }
        ));
        assert!(matches!(mutant("[\"loa2\", \"loa3\"]", "[]"), ListError::Levels { .. }));
        assert!(matches!(
            mutant("\"loa2\", \"loa3\"", "\"loa2\", \"loa2\""),
            ListError::Levels { .. }
        ));
        assert!(matches!(
            mutant("= 2019-05-15", "= 2019-05-15\nuntil = 2019-05-14"),
            ListError::Period { .. }
        ));
        assert!(matches!(mutant("\"loa3\"", "\"loa4\""), ListError::Toml(_)));
        assert!(matches!(mutant("form       =", "shape ="), ListError::Toml(_)));
        assert!(matches!(mutant("\"passport\"", "\"hearsay\""), ListError::Toml(_)));
        assert!(matches!(IdentityKinds::parse(b"version = 1"), Err(ListError::Nothing)));
        assert!(matches!(IdentityKinds::parse(b"\xff"), Err(ListError::Utf8)));
    }
}
