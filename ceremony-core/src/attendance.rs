//! Who is in the room, line by line of a transcript: nothing is done by fewer people than the step requires.
//!
//! People come by answering a challenge ([`crate::presence`]) and are there until they leave or the run ends; whoever comes back,
//! and everybody after a pause, answers anew. They are counted by role, each once, whatever keys and duties they have.

use std::collections::{BTreeMap, BTreeSet};

use ca::deployment::{Environment, Pki};
use ledger::Hash;
use thiserror::Error;
use x509::statement::SignedStatement;

use crate::budget::SIGN;
use crate::plan::{Operation, OperationName, Plan, Requirement, Role, Step, Word};
use crate::presence::{Challenge, NONCE_DIGITS, PresenceFault};
use crate::refusal::Refusal;
use crate::transcript::{Chain, Kind, Record, TranscriptFault};
use crate::words::Fingerprint;

/// What an ATTEST says by which somebody shows that he is there; its `statement` is his answer.
pub const PRESENCE: &str = "presence";
/// What an ATTEST says by which somebody declares.
pub const DECLARATION: &str = "declaration";
/// What a READBACK says by which a witness compares what is to be signed.
pub const TO_BE_SIGNED: &str = "to be signed";
/// What it says where the program compared it, and nobody read: at a rehearsal, and in deployment test/demo.
pub const READ_BY_NOBODY: &str = "to be signed, read by nobody";
/// What a READBACK says by which a witness compares the hash of a key that is to be destroyed.
pub const TO_BE_DESTROYED: &str = "to be destroyed";
/// What it says where the program compared it, and nobody read.
pub const DESTROYED_UNREAD: &str = "to be destroyed, read by nobody";
/// What a READBACK says by which a witness compares the hash of a key that is taken up.
pub const TO_BE_TAKEN_UP: &str = "to be taken up";
/// What it says where the program compared it, and nobody read.
pub const TAKEN_UP_UNREAD: &str = "to be taken up, read by nobody";
/// What a CHECK says of somebody who goes.
pub const LEAVES: &str = "leaves";
/// What a CHECK says of a throw-away key that stands for somebody's own in a rehearsal, by its `spki_sha256`.
pub const STAND_IN: &str = "stand-in";
/// The purpose of a ceremony that makes what is used.
pub const PRODUCTION: &str = "production";
/// The purpose of one whose keys are thrown away.
pub const REHEARSAL: &str = "rehearsal";

/// The people of a plan, and who of them is there.
#[derive(Clone, Debug)]
pub struct Attendance<'a> {
    plan: &'a Plan,
    purpose: String,
    nonce: String,
    stand_ins: BTreeMap<&'a Word, Fingerprint>,
    present: BTreeSet<&'a Word>,
    /// Everybody who was there at some time.
    came: BTreeSet<&'a Word>,
    /// What was compared last: its step, and the hash of what is to be signed.
    compared: Option<(String, String)>,
}

impl<'a> Attendance<'a> {
    /// Nobody yet.
    #[must_use]
    pub const fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            purpose: String::new(),
            nonce: String::new(),
            stand_ins: BTreeMap::new(),
            present: BTreeSet::new(),
            came: BTreeSet::new(),
            compared: None,
        }
    }

    /// Reads a whole transcript, and says who came.
    ///
    /// # Errors
    ///
    /// [`AttendanceError`] with the first line that was not to be written.
    pub fn judge(plan: &'a Plan, transcript: &[u8]) -> Result<Self, AttendanceError> {
        let (mut chain, mut attendance) = (Chain::new(), Self::new(plan));
        for line in transcript.split_inclusive(|octet| *octet == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else { break };
            let head = chain.head();
            let record = chain.take(line)?;
            attendance.take(head, &record).map_err(|fault| {
                let line = head.0.saturating_add(1);
                AttendanceError::Line { line, step: record.step.clone(), fault }
            })?;
        }
        Ok(attendance)
    }

    /// Who is there.
    #[must_use]
    pub const fn present(&self) -> &BTreeSet<&'a Word> {
        &self.present
    }

    /// Who was there at some time.
    #[must_use]
    pub const fn came(&self) -> &BTreeSet<&'a Word> {
        &self.came
    }

    /// What people are asked where the transcript has this head.
    #[must_use]
    pub fn challenge<'b>(&'b self, head: (u64, Hash), step: &'b str) -> Challenge<'b> {
        Challenge {
            plan: self.plan,
            purpose: &self.purpose,
            nonce: &self.nonce,
            step,
            lines: head.0,
            head: Fingerprint::from_bytes(*head.1.as_bytes()),
        }
    }

    /// Takes the next line, before which the transcript has this head.
    ///
    /// # Errors
    ///
    /// [`AttendanceFault`]; what the line announces must not be done.
    pub fn take(&mut self, head: (u64, Hash), record: &Record) -> Result<(), AttendanceFault> {
        match (record.kind, record.text("what")) {
            (Kind::Genesis, _) => self.begin(record),
            (Kind::Resume, _) => self.begin_anew(record),
            (Kind::Check, Some(STAND_IN)) => self.stand_in(record),
            (Kind::Check, Some(LEAVES)) => {
                for person in &record.who {
                    let id = self.is_there(person)?;
                    self.present.remove(id);
                }
                Ok(())
            }
            (Kind::Attest, Some(PRESENCE)) => self.arrive(head, record),
            (Kind::Intent | Kind::Attest, _) => self.work(record),
            // That what was announced had no effect is for those to say who may announce it.
            (Kind::Exception, _) if record.body.contains_key("intent") => self.work(record),
            (Kind::Readback, what) => {
                self.work(record)?;
                if is_comparison(what) {
                    self.compare(record)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether those are there whom the step requires.
    ///
    /// # Errors
    ///
    /// [`AttendanceFault::Missing`] with the first role that is not filled.
    pub fn require(&self, step: &Step) -> Result<(), AttendanceFault> {
        for Requirement { role, people } in step.requires.iter().copied() {
            let present = self.of(role).len();
            if present < usize::from(people) {
                let step = step.id.clone();
                return Err(AttendanceFault::Missing { step, role, needed: people, present });
            }
        }
        Ok(())
    }

    /// Those who are there and have this role, deputies too. A person is one, whatever he has.
    #[must_use]
    pub fn of(&self, role: Role) -> BTreeSet<&'a Word> {
        let duties = self.plan.people.duties.iter().filter(|duty| duty.role == role);
        duties.map(|duty| &duty.person).filter(|person| self.present.contains(person)).collect()
    }

    fn begin(&mut self, record: &Record) -> Result<(), AttendanceFault> {
        let of = |name: &str| record.text(name).unwrap_or_default().to_owned();
        for (field, wanted) in
            [("plan", self.plan.hash.to_string()), ("deployment", self.plan.deployment.to_string())]
        {
            let seen = of(field);
            if seen != wanted {
                return Err(AttendanceFault::Other { field, seen, wanted });
            }
        }
        self.purpose = of("purpose");
        if ![PRODUCTION, REHEARSAL].contains(&self.purpose.as_str()) {
            return Err(AttendanceFault::Purpose { seen: self.purpose.clone() });
        }
        self.begin_anew(record)
    }

    /// A run of the program draws its own number, and nobody is there yet.
    fn begin_anew(&mut self, record: &Record) -> Result<(), AttendanceFault> {
        self.present.clear();
        let nonce = record.text("nonce").unwrap_or_default();
        let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        if nonce.len() != NONCE_DIGITS || !nonce.bytes().all(is_digit) || nonce == self.nonce {
            return Err(AttendanceFault::Nonce);
        }
        nonce.clone_into(&mut self.nonce);
        Ok(())
    }

    fn stand_in(&mut self, record: &Record) -> Result<(), AttendanceFault> {
        let [person] = record.who.as_slice() else { return Err(AttendanceFault::NotOne) };
        let id = self.id(person)?;
        let key = record.text("spki_sha256").and_then(|hash| hash.parse().ok());
        // A key that is not the person's own says nothing of him where it counts.
        match key {
            Some(key)
                if self.purpose == REHEARSAL
                    && !self.stand_ins.contains_key(id)
                    && self.stand_ins.values().all(|other| *other != key) =>
            {
                self.stand_ins.insert(id, key);
                Ok(())
            }
            _ => Err(AttendanceFault::StandIn { person: person.clone() }),
        }
    }

    fn arrive(&mut self, head: (u64, Hash), record: &Record) -> Result<(), AttendanceFault> {
        let text = record.text("statement").unwrap_or_default();
        let challenge = self.challenge(head, &record.step);
        let answer = SignedStatement::open(text.as_bytes())
            .map_err(|error| AttendanceFault::Answer(PresenceFault::Statement(error)))?;
        let person =
            challenge.judge(&answer, &self.stand_ins).map_err(AttendanceFault::Answer)?.id.clone();
        if record.who != [person.as_str()] {
            return Err(AttendanceFault::NotOne);
        }
        let id = self.id(person.as_str())?;
        self.present.insert(id);
        self.came.insert(id);
        Ok(())
    }

    /// Work is done by people who are there, in a step of the plan that has whom it requires.
    fn work(&self, record: &Record) -> Result<(), AttendanceFault> {
        let named = |step: &&Step| step.id.as_str() == record.step;
        let step = self.plan.steps.iter().find(named);
        let step = step.ok_or_else(|| AttendanceFault::Step { seen: record.step.clone() })?;
        for person in &record.who {
            self.is_there(person)?;
        }
        self.require(step)?;
        let act = record.text("act").filter(|_| record.kind == Kind::Intent);
        if act.is_some_and(|act| [SIGN, OperationName::Destroy.as_str()].contains(&act)) {
            let signed = record.text(if act == Some(SIGN) { "tbs_sha256" } else { "key" });
            let compared = self.compared.as_ref();
            let is_compared = compared.is_some_and(|(step, sha256)| {
                *step == record.step && Some(sha256.as_str()) == signed
            });
            if !is_compared {
                return Err(AttendanceFault::NotCompared { step: record.step.clone() });
            }
        }
        let Operation::Declare { by, .. } = &step.operation else { return Ok(()) };
        let [person] = record.who.as_slice() else { return Err(AttendanceFault::NotOne) };
        if self.of(*by).iter().any(|id| id.as_str() == person) {
            Ok(())
        } else {
            Err(AttendanceFault::NotHis { person: person.clone(), role: *by })
        }
    }

    /// A witness who is there compares what is to be signed, destroyed or taken up. Where nothing is made that anybody relies on the program may.
    fn compare(&mut self, record: &Record) -> Result<(), AttendanceFault> {
        let holds = if is_unread(record) {
            let deployment = self.plan.deployment;
            let is_demo =
                deployment.environment() == Environment::Test && deployment.pki() == Pki::Demo;
            record.who.is_empty() && (is_demo || self.purpose == REHEARSAL)
        } else {
            let witnesses = self.of(Role::Witness);
            record.who.iter().any(|id| witnesses.iter().any(|witness| witness.as_str() == id))
        };
        match record.text("sha256") {
            Some(sha256) if holds => {
                self.compared = Some((record.step.clone(), sha256.to_owned()));
                Ok(())
            }
            _ => Err(AttendanceFault::NotRead { step: record.step.clone() }),
        }
    }

    fn is_there(&self, person: &str) -> Result<&'a Word, AttendanceFault> {
        let is_he = |id: &&&'a Word| id.as_str() == person;
        let absent = || AttendanceFault::Absent { person: person.to_owned() };
        self.present.iter().find(is_he).copied().ok_or_else(absent)
    }

    fn id(&self, person: &str) -> Result<&'a Word, AttendanceFault> {
        let found = self.plan.people.persons.iter().find(|one| one.id.as_str() == person);
        found
            .map(|one| &one.id)
            .ok_or_else(|| AttendanceFault::Absent { person: person.to_owned() })
    }
}

/// Whether a READBACK of this name is of what a key is about to sign, or of a key that is about to end or to be taken up.
fn is_comparison(what: Option<&str>) -> bool {
    let names = [
        TO_BE_SIGNED,
        READ_BY_NOBODY,
        TO_BE_DESTROYED,
        DESTROYED_UNREAD,
        TO_BE_TAKEN_UP,
        TAKEN_UP_UNREAD,
    ];
    what.is_some_and(|what| names.contains(&what))
}

/// Whether a READBACK says that no person compared.
#[must_use]
pub fn is_unread(record: &Record) -> bool {
    let names = [READ_BY_NOBODY, DESTROYED_UNREAD, TAKEN_UP_UNREAD];
    record.kind == Kind::Readback && record.text("what").is_some_and(|what| names.contains(&what))
}

/// A transcript by which something was done without those who had to be there, or that breaks its own rules.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AttendanceError {
    /// Its rules.
    #[error(transparent)]
    Transcript(#[from] TranscriptFault),
    /// Its people.
    #[error("line {line}, step {step}: {fault}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// Its step.
        step: String,
        /// What is wrong.
        fault: AttendanceFault,
    },
}

impl AttendanceError {
    /// The row of the table.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Transcript(_) => Refusal::Transcript,
            Self::Line { fault, .. } => fault.refusal(),
        }
    }
}

/// Why a line is not written, or was not to be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AttendanceFault {
    /// Of another plan or deployment.
    #[error("the transcript is of {field} {seen}, the plan of {wanted}")]
    Other {
        /// What differs.
        field: &'static str,
        /// The transcript's.
        seen: String,
        /// The plan's.
        wanted: String,
    },
    /// No ceremony with people.
    #[error(
        "a transcript of purpose {seen:?} has no people: only {REHEARSAL} and {PRODUCTION} have"
    )]
    Purpose {
        /// Its purpose.
        seen: String,
    },
    /// A run without a number of its own, or with that of the run before.
    #[error(
        "this run has no nonce of its own ({NONCE_DIGITS} hexadecimal digits): answers could be of another run"
    )]
    Nonce,
    /// A line of one person that names none, or several, or another.
    #[error("such a line is of one person, and names the one whose answer it has")]
    NotOne,
    /// A throw-away key where real ones count, or a second one, or another person's.
    #[error(
        "{person}: one key that is nobody else's stands in for the person's own, in a rehearsal alone"
    )]
    StandIn {
        /// Whose.
        person: String,
    },
    /// An answer that shows nothing.
    #[error(transparent)]
    Answer(PresenceFault),
    /// Somebody is named who is not there.
    #[error(
        "{person} is not in the room: whoever comes, or comes back, answers the challenge first"
    )]
    Absent {
        /// Who.
        person: String,
    },
    /// Work that no step of the plan has.
    #[error("the plan has no step {seen:?}")]
    Step {
        /// The step that is named.
        seen: String,
    },
    /// Too few.
    #[error("step {step} requires {needed} of role {role}, and {present} are in the room")]
    Missing {
        /// The step.
        step: Word,
        /// The role.
        role: Role,
        /// How many people.
        needed: u8,
        /// How many are there.
        present: usize,
    },
    /// Something is compared by nobody who may.
    #[error(
        "step {step}: what is to be signed is compared by a witness who is there; by nobody at a rehearsal and in deployment test/demo alone"
    )]
    NotRead {
        /// The step.
        step: String,
    },
    /// Something else is signed than was compared last.
    #[error("step {step}: what is to be signed is not what was compared before, or nothing was")]
    NotCompared {
        /// The step.
        step: String,
    },
    /// Somebody declares what is another's to say.
    #[error("{person} does not have the role {role}, whose declaration this is")]
    NotHis {
        /// Who.
        person: String,
        /// The role.
        role: Role,
    },
}

impl AttendanceFault {
    /// The row of the table: R01 for another plan, R07 for another deployment, else R08.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Other { field: "plan", .. } => Refusal::PlanChanged,
            Self::Other { .. } | Self::Purpose { .. } => Refusal::Deployment,
            _ => Refusal::Quorum,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
