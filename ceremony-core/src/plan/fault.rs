//! What is wrong with a plan. All faults are told at once, so that a review is one round.

use thiserror::Error;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::time::UnixTime;

use super::kind::{Audit, Kind};
use super::people::Role;
use super::step::OperationName;
use super::text::TextFault;
use super::values::{Line, RelativeFile, Word};
use crate::words::Fingerprint;

/// One fault.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// The text is not in the one form.
    #[error(transparent)]
    Text(#[from] TextFault),
    /// No TOML, a key that does not exist, one that lacks, or a value of the wrong form.
    #[error("{message}")]
    Toml {
        /// Line and what is wrong there.
        message: String,
    },
    /// Another format.
    #[error("format = {seen:?}; this program reads {:?}", super::FORMAT)]
    Format {
        /// What the plan says.
        seen: String,
    },
    /// The deployment does not exist.
    #[error("[deployment]: {why}")]
    Deployment {
        /// What does not fit.
        why: String,
    },
    /// The window.
    #[error("[window] is from {from} to {to}; it is to be 1 s to 31 days long")]
    Window {
        /// Its begin.
        from: UnixTime,
        /// Its end.
        to: UnixTime,
    },
    /// The independent person does not take part as this kind demands.
    #[error("auditor = {audit:?} is not allowed for {}: somebody independent must be in the room, or see the recording", kind.code())]
    Audit {
        /// The kind.
        kind: Kind,
        /// What the plan says.
        audit: Audit,
    },
    /// Two things of one name.
    #[error("{what} {name} is there twice")]
    Twice {
        /// Of what kind.
        what: &'static str,
        /// The name.
        name: Word,
    },
    /// Two things lie in one file.
    #[error("file {file} is named twice")]
    FileTwice {
        /// The file.
        file: RelativeFile,
    },
    /// A file lies elsewhere.
    #[error("file {file} is to lie below {folder}/")]
    Folder {
        /// The file.
        file: RelativeFile,
        /// Where it belongs.
        folder: &'static str,
    },
    /// A name of nothing.
    #[error("there is no {what} {name}")]
    Unknown {
        /// What is looked for.
        what: &'static str,
        /// The name.
        name: Word,
    },
    /// Something that no step uses.
    #[error("{what} {name} is used by no step: take it out")]
    Unused {
        /// Of what kind.
        what: &'static str,
        /// The name.
        name: Word,
    },
    /// Two people of one name and employer.
    #[error(
        "two people are called {name} at one employer: one person is one entry, with all of its keys"
    )]
    SameName {
        /// The name.
        name: Line,
    },
    /// A person cannot answer.
    #[error("person {person} has no key to answer with")]
    NoKey {
        /// Who.
        person: Word,
    },
    /// Two people answer with one key.
    #[error("{one} and {two} have the same key {key}: a key is one person's")]
    SharedKey {
        /// One.
        one: Word,
        /// The other.
        two: Word,
        /// The key.
        key: Fingerprint,
    },
    /// A person without a duty.
    #[error("person {person} has no duty: take it out")]
    NoDuty {
        /// Who.
        person: Word,
    },
    /// A duty with a share that has none, or one without it that should.
    #[error("{role} {person}: custodians have `share` and `site`, nobody else and no deputy does")]
    Share {
        /// The role.
        role: Role,
        /// Who.
        person: Word,
    },
    /// A deputy of nobody.
    #[error(
        "{role} {person}: deputy-for names another person who has the role himself, and neither a custodian nor an approver has a deputy"
    )]
    Deputy {
        /// The role.
        role: Role,
        /// The deputy.
        person: Word,
    },
    /// Duties that exclude each other.
    #[error("{person} is {one} and {two}: nobody may be both")]
    Conflict {
        /// Who.
        person: Word,
        /// One role.
        one: Role,
        /// The other.
        two: Role,
    },
    /// A role needs a quorum.
    #[error("people are {role}, and [quorum] says nothing of them")]
    NoQuorum {
        /// The role.
        role: Role,
    },
    /// A quorum that is none, or breaks with the next illness.
    #[error(
        "[quorum] {role}: {m} of {n}; at least two are needed, and {spare} more are to hold shares than are needed"
    )]
    Threshold {
        /// The role.
        role: Role,
        /// How many are needed.
        m: u8,
        /// How many there are.
        n: u8,
        /// How many are to spare.
        spare: u8,
    },
    /// Less than the kind of ceremony demands.
    #[error("[quorum] {role}: {seen} are needed; {} demands at least {wanted}", kind.code())]
    BelowKind {
        /// The kind.
        kind: Kind,
        /// The role.
        role: Role,
        /// What it demands.
        wanted: u8,
        /// What the plan says; 0 where it says nothing.
        seen: u8,
    },
    /// Not as many as shares.
    #[error("{people} people are {role}, and [quorum] says {n}")]
    Holders {
        /// The role.
        role: Role,
        /// Of the quorum.
        n: u8,
        /// People.
        people: usize,
    },
    /// Shares are not counted through.
    #[error("the shares of {role} are not 1 to {n}, each once")]
    Shares {
        /// The role.
        role: Role,
        /// How many there are.
        n: u8,
    },
    /// One break-in is enough.
    #[error("{m} or more shares of {role} lie at {site}: a quorum is never at one place")]
    OneSite {
        /// The role.
        role: Role,
        /// Where.
        site: Line,
        /// How many are needed.
        m: u8,
    },
    /// One manager is enough.
    #[error("{m} or more {role}s are of unit {unit}: a quorum is never in one unit")]
    OneUnit {
        /// The role.
        role: Role,
        /// The unit.
        unit: Line,
        /// How many are needed.
        m: u8,
    },
    /// The SO PIN is easier to get than the user PIN, which it can replace.
    #[error(
        "[quorum] so-custodians: {officers} are needed, fewer than the {custodians} custodians: who has the SO PIN sets the user PIN"
    )]
    OfficersFewer {
        /// Of the SO PIN.
        officers: u8,
        /// Of the user PIN.
        custodians: u8,
    },
    /// A role lacks people.
    #[error("{seen} people are {role}, wanted are at least {wanted}; deputies do not count")]
    TooFew {
        /// The role.
        role: Role,
        /// How many the kind wants.
        wanted: u8,
        /// How many there are.
        seen: usize,
    },
    /// The independent person is a colleague.
    #[error("auditor {person} is employed as others here are: an auditor is independent of them")]
    Dependent {
        /// Who.
        person: Word,
    },
    /// An operation that this kind does not have.
    #[error("step {step}: {} is no operation of {}", operation.as_str(), kind.code())]
    Operation {
        /// The step.
        step: Word,
        /// Its operation.
        operation: OperationName,
        /// The kind.
        kind: Kind,
    },
    /// An operation that this kind must have.
    #[error("no step does {}, without which {} is none", operation.as_str(), kind.code())]
    Lacks {
        /// The operation.
        operation: OperationName,
        /// The kind.
        kind: Kind,
    },
    /// Too few people for what is done.
    #[error("step {step} requires {seen} {role}; what it does cannot be undone and wants {wanted}")]
    Requires {
        /// The step.
        step: Word,
        /// The role.
        role: Role,
        /// How many it wants.
        wanted: u8,
        /// How many the plan says.
        seen: u8,
    },
    /// More people than there are.
    #[error("step {step} requires {role}:{wanted}, and the plan has {seen}")]
    Unmet {
        /// The step.
        step: Word,
        /// The role.
        role: Role,
        /// What the plan says.
        wanted: u8,
        /// How many there are.
        seen: usize,
    },
    /// A budget that is too high or too low.
    #[error("step {step}: signatures = {seen}; what it does takes {wanted}")]
    Signatures {
        /// The step.
        step: Word,
        /// What it takes.
        wanted: u32,
        /// What the plan says.
        seen: u32,
    },
    /// An attribute that no key of a CA has, or none with this backup.
    #[error("step {step}: {attribute} = {seen}; a signing key with this backup is born with {}", !seen)]
    Attribute {
        /// The step.
        step: Word,
        /// The attribute.
        attribute: &'static str,
        /// What the plan says.
        seen: bool,
    },
    /// A key without a second copy.
    #[error("step {step}: backup = \"none\" is for environment test and for responders alone")]
    NoBackup {
        /// The step that makes the key.
        step: Word,
    },
    /// No step makes the second copy.
    #[error("step {step}: no later step makes the backup of its key")]
    BackupLacks {
        /// The step that makes the key.
        step: Word,
    },
    /// The copy is to lie beside the key.
    #[error("step {step}: the backup is to lie in another token than the key")]
    BackupBeside {
        /// The step that makes the backup.
        step: Word,
    },
    /// Nobody could say whether the list is the last of that CA.
    #[error(
        "step {step}: `certificate` and `final-crl` of a CA whose key is destroyed stand together, or neither does"
    )]
    FinalCrl {
        /// The step.
        step: Word,
    },
    /// A key ends with its token, so another key in it would end too.
    #[error("step {step}: token {token} is destroyed by an earlier step")]
    DestroyedTwice {
        /// The second step.
        step: Word,
        /// The token.
        token: Word,
    },
    /// What is not there is not destroyed.
    #[error(
        "step {step}: token {token} holds no key before: `expect` is to be the hash of what it holds"
    )]
    NothingToDestroy {
        /// The step.
        step: Word,
        /// The token.
        token: Word,
    },
    /// A name that is to say something else.
    #[error("step {step}: {key} = {name} is to name {wanted}")]
    Reference {
        /// The step.
        step: Word,
        /// The key of the plan.
        key: &'static str,
        /// What it says.
        name: Word,
        /// What it is to name.
        wanted: &'static str,
    },
    /// A root that does not sign itself.
    #[error("step {step}: a root signs itself: `key-of` and `issuer` name one step")]
    NotItself {
        /// The step.
        step: Word,
    },
    /// How a key does not sign.
    #[error("step {step}: {algorithm} is no algorithm of {key} keys", algorithm = algorithm.name())]
    Algorithm {
        /// The step.
        step: Word,
        /// The algorithm.
        algorithm: SignatureAlgorithm,
        /// The type of key.
        key: KeyType,
    },
    /// A certificate that has ended.
    #[error("step {step}: not-after = {not_after} is before the window's end")]
    Ended {
        /// The step.
        step: Word,
        /// Its last second.
        not_after: UnixTime,
    },
    /// Only cross-certificates are like another.
    #[error("step {step}: `like` is for cross-certificates, and each has it")]
    Like {
        /// The step.
        step: Word,
    },
    /// What an issuer signs names where it publishes, and what signs itself names nothing.
    #[error(
        "step {step}: `urls` = {{ crl, ocsp, aia }} says where the issuer publishes; a certificate that signs itself \
         has none, and every other has them"
    )]
    Urls {
        /// The step.
        step: Word,
    },
    /// PRO-13: clients fetch revocation data before they can judge TLS (RFC 5280 §8).
    #[error("step {step}: {url} is no absolute http URI in visible ASCII")]
    Url {
        /// The step.
        step: Word,
        /// What the plan says.
        url: Line,
    },
    /// A first CRL where there was one before, or one where there cannot have been.
    #[error(
        "step {step}: `previous` is left out for the first CRL of a new root, and nowhere else"
    )]
    Previous {
        /// The step.
        step: Word,
    },
    /// A CRL for too long (CRL-04).
    #[error("step {step}: lifetime is {days} days; a CRL of an offline CA lasts 1 to 366 days")]
    CrlLifetime {
        /// The step.
        step: Word,
        /// Days.
        days: u64,
    },
    /// A series that is none, has gaps, or goes on otherwise than its rule.
    #[error("step {step}: series: {why}")]
    Series {
        /// The step.
        step: Word,
        /// What must hold of it.
        why: &'static str,
    },
    /// A gap of nothing, which would use a number twice.
    #[error("step {step}: number.gap = {seen}; allowed are 1 to 1000000")]
    Gap {
        /// The step.
        step: Word,
        /// What the plan says.
        seen: u64,
    },
    /// A serial number or a reason that is none.
    #[error("step {step}: revoke {serial}: {why}")]
    Revocation {
        /// The step.
        step: Word,
        /// The serial number as it stands.
        serial: Line,
        /// What is wrong.
        why: &'static str,
    },
    /// A module of people's own tokens that may be any file.
    #[error("own-module {file}: it needs an absolute path, without `..`, and stands once")]
    OwnModule {
        /// Its path.
        file: Line,
    },
    /// A token that is unlike what is done with it.
    #[error("token {token}: {why}")]
    Token {
        /// The token.
        token: Word,
        /// What is wrong.
        why: &'static str,
    },
}
