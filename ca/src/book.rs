//! The book: every file that reviewers decide issuing by, read and checked as one.
//!
//! Profiles, card families, routines, the policy table and the lists name each other, so none of them
//! is right for itself. The book is read from paths and bytes, so that programs do the I/O, and says
//! everything that is wrong with it at once. Its hash goes into the audit record of what is issued.

mod example;
mod words;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

pub use self::words::NoDays;
pub(crate) use self::words::{days, overlap, spoken};
use crate::carrier::{CarrierError, CarrierFamily};
use crate::domain::{DomainProofMethod, DomainProofs};
use crate::identity::{
    IdentityKind, IdentityKinds, ListError, Means, ProofingMethod, ProofingMethods,
};
use crate::profile::{Profile, ProfileError, ProfileName, ProfileSet, ProfileSetError};
use crate::routine::{OrderFacts, Routine, RoutineError};
use crate::rules::{Named, RuleBook, RuleFileError, UnknownName};
use crate::table::{Checked, PolicyTable, TableError, TableFileError, check};

/// Everything that issuing is decided by, checked as one.
#[derive(Clone, Debug)]
pub struct Book {
    profiles: ProfileSet,
    carriers: Vec<CarrierFamily>,
    routines: Vec<Routine>,
    table: PolicyTable,
    identities: Option<IdentityKinds>,
    proofing: Option<ProofingMethods>,
    domain_proofs: Option<DomainProofs>,
    rules: Option<RuleBook>,
    closed: BTreeMap<ProfileName, Vec<String>>,
    sha256: [u8; 32],
}

/// What becomes of a book whose profiles and table do not say the same, or that has routines and no dated rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfit {
    /// It is no book.
    Refused,
    /// Its profiles that the table does not fit are closed.
    Closed,
}

/// A file of the book, by where it lies below the folder of profiles.
enum Part<'a> {
    /// `NAME.toml`.
    Profile,
    /// `carriers/NAME.toml`.
    Carrier { stem: &'a str },
    /// `routines/NAME.toml`.
    Routine { stem: &'a str },
    /// `tables/policies.toml`.
    Table,
    /// `lists/identity-kinds.toml`.
    IdentityKinds,
    /// `lists/proofing-methods.toml`.
    ProofingMethods,
    /// `lists/domain-proofs.toml`.
    DomainProofs,
    /// `rules/NAME.toml`.
    Rules,
}

impl<'a> Part<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let stem = path.strip_suffix(".toml")?;
        match stem.split_once('/') {
            None => Some(Self::Profile),
            Some(("carriers", stem)) => Some(Self::Carrier { stem }),
            Some(("routines", stem)) => Some(Self::Routine { stem }),
            Some(("tables", "policies")) => Some(Self::Table),
            Some(("lists", "identity-kinds")) => Some(Self::IdentityKinds),
            Some(("lists", "proofing-methods")) => Some(Self::ProofingMethods),
            Some(("lists", "domain-proofs")) => Some(Self::DomainProofs),
            Some(("rules", _)) => Some(Self::Rules),
            Some(_) => None,
        }
    }
}

/// What has been read so far.
struct Reading<'a> {
    profiles: Vec<Profile>,
    carriers: Vec<CarrierFamily>,
    routines: Vec<Routine>,
    table: PolicyTable,
    identities: Option<IdentityKinds>,
    proofing: Option<ProofingMethods>,
    domain_proofs: Option<DomainProofs>,
    rules: Vec<(&'a str, &'a [u8])>,
    errors: Vec<BookError>,
}

impl Book {
    /// The folders below that of the profiles, which holds the profiles themselves.
    pub const FOLDERS: [&'static str; 5] = ["carriers", "lists", "routines", "rules", "tables"];

    /// Reads the files of a book: paths below the folder of profiles with `/` between their parts,
    /// and bytes. A book without a table, lists or routines issues to no person.
    ///
    /// # Errors
    ///
    /// [`BookErrors`]: each file that is not what it should be, and each thing that two files say
    /// differently.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, BookErrors> {
        Self::read(files, Unfit::Refused)
    }

    /// Reads the files of a book as [`Book::parse`] does, for a program that has more to do than to issue: profiles that
    /// state another policy than the table, or that it has no row of, are closed ([`Book::closed`]), and
    /// where there are routines and no dated rules ([`Book::lacks_rules`]) no subscriber is issued to.
    ///
    /// # Errors
    ///
    /// [`BookErrors`], but for these.
    pub fn parse_closing<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, BookErrors> {
        Self::read(files, Unfit::Closed)
    }

    fn read<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        unfit: Unfit,
    ) -> Result<Self, BookErrors> {
        let mut files: Vec<_> = files.into_iter().collect();
        files.sort_unstable();
        let mut reading = Reading::new();
        for &(path, bytes) in &files {
            if let Err(fault) = reading.take(path, bytes) {
                reading.errors.push(BookError { file: path.to_owned(), fault });
            }
        }
        reading.finish(hash(&files), unfit)
    }

    /// The profiles.
    #[must_use]
    pub const fn profiles(&self) -> &ProfileSet {
        &self.profiles
    }

    /// The policy table.
    #[must_use]
    pub const fn table(&self) -> &PolicyTable {
        &self.table
    }

    /// The identity kind of that name.
    #[must_use]
    pub fn identity_kind(&self, id: &str) -> Option<&IdentityKind> {
        self.identities.as_ref()?.by_id(id)
    }

    /// The way of proving control of a domain that has this name.
    #[must_use]
    pub fn domain_proof(&self, id: &str) -> Option<&DomainProofMethod> {
        self.domain_proofs.as_ref()?.by_id(id)
    }

    /// The proofing method of that name.
    #[must_use]
    pub fn proofing_method(&self, id: &str) -> Option<&ProofingMethod> {
        self.proofing.as_ref()?.by_id(id)
    }

    /// The profiles under which nothing may be issued, each with all that is wrong between it and the table.
    pub fn closed(&self) -> impl Iterator<Item = (&ProfileName, &[String])> {
        self.closed.iter().map(|(name, why)| (name, why.as_slice()))
    }

    /// Whether it has routines for orders and no file of dated rules: somebody has forgotten them, and
    /// [`admit`](crate::admit::admit) refuses.
    #[must_use]
    pub fn lacks_rules(&self) -> bool {
        self.rules.is_none() && takes_orders(&self.routines)
    }

    /// The dated rules; a book without a folder of them has none.
    #[must_use]
    pub const fn rules(&self) -> Option<&RuleBook> {
        self.rules.as_ref()
    }

    /// The card families.
    #[must_use]
    pub fn carriers(&self) -> &[CarrierFamily] {
        &self.carriers
    }

    /// The routines.
    #[must_use]
    pub fn routines(&self) -> &[Routine] {
        &self.routines
    }

    /// The card family of that name.
    #[must_use]
    pub fn carrier(&self, name: &str) -> Option<&CarrierFamily> {
        self.carriers.iter().find(|family| family.name().as_str() == name)
    }

    /// The routine of that name.
    #[must_use]
    pub fn routine(&self, name: &str) -> Option<&Routine> {
        self.routines.iter().find(|routine| routine.name.as_str() == name)
    }

    /// SHA-256 over the paths and hashes of all files: which book issued a certificate.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }
}

fn takes_orders(routines: &[Routine]) -> bool {
    routines.iter().any(|routine| routine.order == OrderFacts::Required)
}

/// Over each path with its length before it, and the SHA-256 of the file; both in the order of paths.
fn hash(files: &[(&str, &[u8])]) -> [u8; 32] {
    let mut all = Sha256::new();
    for (path, bytes) in files {
        all.update(u64::try_from(path.len()).unwrap_or(u64::MAX).to_be_bytes());
        all.update(path.as_bytes());
        all.update(Sha256::digest(bytes));
    }
    all.finalize().into()
}

impl<'a> Reading<'a> {
    fn new() -> Self {
        Self {
            profiles: Vec::new(),
            carriers: Vec::new(),
            routines: Vec::new(),
            table: PolicyTable::default(),
            identities: None,
            proofing: None,
            domain_proofs: None,
            rules: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn take(&mut self, path: &'a str, bytes: &'a [u8]) -> Result<(), BookFault> {
        let part = Part::of(path).ok_or(BookFault::NoPart)?;
        let named = |stem: &str, name: &str| {
            let wrong = || BookFault::Named { name: name.to_owned() };
            (stem == name).then_some(()).ok_or_else(wrong)
        };
        match part {
            Part::Profile => self.profiles.push(Profile::parse(bytes)?),
            Part::Carrier { stem } => {
                let family = CarrierFamily::parse(bytes)?;
                named(stem, family.name().as_str())?;
                self.carriers.push(family);
            }
            Part::Routine { stem } => {
                let routine = Routine::parse(bytes)?;
                named(stem, routine.name.as_str())?;
                self.routines.push(routine);
            }
            Part::Rules => self.rules.push((path, bytes)),
            Part::Table => self.table = PolicyTable::parse(bytes)?,
            Part::IdentityKinds => self.identities = Some(IdentityKinds::parse(bytes)?),
            Part::ProofingMethods => self.proofing = Some(ProofingMethods::parse(bytes)?),
            Part::DomainProofs => self.domain_proofs = Some(DomainProofs::parse(bytes)?),
        }
        Ok(())
    }

    /// What no file can say for itself.
    fn finish(mut self, sha256: [u8; 32], unfit: Unfit) -> Result<Book, BookErrors> {
        let profiles = match ProfileSet::new(self.profiles) {
            Ok(profiles) => profiles,
            Err(error) => {
                let fault = BookFault::Profiles(Box::new(error));
                self.errors.push(BookError { file: "profiles".to_owned(), fault });
                return Err(BookErrors(self.errors));
            }
        };
        let mut errors = self.errors;
        let rules = match RuleBook::parse(self.rules.iter().copied()) {
            _ if self.rules.is_empty() => None,
            Ok(rules) => Some(rules),
            Err(error) => {
                errors.push(BookError { file: "rules".to_owned(), fault: error.into() });
                None
            }
        };
        let mut closed: BTreeMap<ProfileName, Vec<String>> = BTreeMap::new();
        // What one unreadable file leaves out would be missed in many places.
        if errors.is_empty() {
            for routine in &self.routines {
                let faults = unknown(routine, self.identities.as_ref(), self.proofing.as_ref());
                let file = format!("routines/{}.toml", routine.name);
                let faults = faults.map(|fault| BookError { file: file.clone(), fault });
                if unfit == Unfit::Refused {
                    errors.extend(faults);
                    continue;
                }
                // An order by it is refused whatever is wrong: a list that it names lacks what it needs.
                for fault in faults {
                    for row in self.table.rows_by(&routine.name) {
                        closed
                            .entry(row.tuple.profile.clone())
                            .or_default()
                            .push(fault.to_string());
                    }
                }
            }
            let against = Checked {
                profiles: &profiles,
                carriers: &self.carriers,
                routines: &self.routines,
                identities: self.identities.as_ref(),
            };
            for (profiles, error) in check(&self.table, against) {
                if unfit == Unfit::Closed && !profiles.is_empty() {
                    for name in profiles {
                        closed.entry(name).or_default().push(error.to_string());
                    }
                    continue;
                }
                let fault = BookFault::Row(Box::new(error));
                errors.push(BookError { file: "tables/policies.toml".to_owned(), fault });
            }
            if unfit == Unfit::Refused && rules.is_none() && takes_orders(&self.routines) {
                errors.push(BookError { file: "rules".to_owned(), fault: BookFault::NoRules });
            }
        }
        let exists = |named: Named<'_>| match named {
            Named::Identity(id) => {
                self.identities.as_ref().is_some_and(|list| list.by_id(id.as_str()).is_some())
            }
            Named::Profile(name) => profiles.by_name(name.as_str()).is_some(),
            Named::Routine(name) => self.routines.iter().any(|routine| routine.name == *name),
        };
        if errors.is_empty()
            && let Some(Err(error)) = rules.as_ref().map(|rules| rules.check_names(exists))
        {
            errors.push(BookError { file: "rules".to_owned(), fault: error.into() });
        }
        if !errors.is_empty() {
            return Err(BookErrors(errors));
        }
        Ok(Book {
            profiles,
            carriers: self.carriers,
            routines: self.routines,
            table: self.table,
            identities: self.identities,
            proofing: self.proofing,
            domain_proofs: self.domain_proofs,
            rules,
            closed,
            sha256,
        })
    }
}

/// What a routine names and no list has, and what a list does not let it do at any of its levels.
fn unknown<'a>(
    routine: &'a Routine,
    identities: Option<&'a IdentityKinds>,
    proofing: Option<&'a ProofingMethods>,
) -> impl Iterator<Item = BookFault> + 'a {
    let kinds = routine.identities.iter().map(move |id| {
        let kind = identities.and_then(|list| list.by_id(id.as_str()));
        ("identity", id.as_str(), kind.map(IdentityKind::levels))
    });
    let methods = routine.proofing.iter().map(move |id| {
        let method = proofing.and_then(|list| list.by_id(id.as_str()));
        ("proofing", id.as_str(), method.map(ProofingMethod::levels))
    });
    let by_eid = routine.proofing.iter().any(|id| {
        let method = proofing.and_then(|list| list.by_id(id.as_str()));
        method.is_some_and(|method| method.means() == Means::OwnEid)
    });
    let eid = (by_eid == routine.eid_carriers.is_empty()).then_some(BookFault::EidCarriers);
    let named = kinds.chain(methods).filter_map(|(what, name, levels)| match levels {
        None => Some(BookFault::Unknown { what, name: name.to_owned() }),
        Some(levels) if !routine.levels.iter().any(|level| levels.contains(level)) => {
            Some(BookFault::NoLevel { what, name: name.to_owned() })
        }
        Some(_) => None,
    });
    named.chain(eid)
}

/// Everything that is wrong with a book; at least one thing.
#[derive(Debug)]
pub struct BookErrors(Vec<BookError>);

impl BookErrors {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &BookError> {
        self.0.iter()
    }
}

impl fmt::Display for BookErrors {
    /// One line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl Error for BookErrors {}

/// One thing that is wrong, and in which file.
#[derive(Debug)]
pub struct BookError {
    file: String,
    fault: BookFault,
}

impl BookError {
    /// The file, below the folder of profiles.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What is wrong.
    #[must_use]
    pub const fn fault(&self) -> &BookFault {
        &self.fault
    }
}

impl fmt::Display for BookError {
    /// The file, what is wrong, and why, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.fault)?;
        let mut cause = self.fault.source();
        while let Some(error) = cause {
            write!(f, ": {}", error.to_string().trim_end().replace('\n', " "))?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for BookError {}

/// What is wrong with a file of the book.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BookFault {
    /// A card family.
    #[error(transparent)]
    Carrier(#[from] CarrierError),
    /// Proof by an eID, and not on what that lives; or the other way round.
    #[error(
        "eid-carriers goes with a method of proofing whose means are own-eid, and such a method with eid-carriers"
    )]
    EidCarriers,
    /// A list.
    #[error(transparent)]
    List(#[from] ListError),
    /// A file is called what it names.
    #[error("file names {name}, and is not called {name}.toml")]
    Named {
        /// The name in the file.
        name: String,
    },
    /// An entry of a list that is good for none of a routine's levels.
    #[error("{what} {name} reaches none of its levels")]
    NoLevel {
        /// Identity or proofing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Not where files of a book lie.
    #[error(
        "no part of the book: profiles, and TOML files in carriers/, lists/, routines/, rules/, tables/"
    )]
    NoPart,
    /// Routines for orders, and nothing that says on which days they hold.
    #[error(
        "there are routines and no file of dated rules; where there are none, one with the [calendar] says so"
    )]
    NoRules,
    /// A profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Profiles that contradict each other.
    #[error(transparent)]
    Profiles(Box<ProfileSetError>),
    /// A routine.
    #[error(transparent)]
    Routine(#[from] RoutineError),
    /// A name in the scope of a dated rule.
    #[error(transparent)]
    RuleName(#[from] UnknownName),
    /// The dated rules as files.
    #[error(transparent)]
    Rules(#[from] RuleFileError),
    /// A row of the table.
    #[error(transparent)]
    Row(Box<TableError>),
    /// The table as a file.
    #[error(transparent)]
    Table(#[from] TableFileError),
    /// In no list.
    #[error("{what} {name} is in no list")]
    Unknown {
        /// Identity or proofing.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

#[cfg(test)]
mod tests;
