//! The status log read into memory: the answer for every certificate, at a known position.
//!
//! An [`Index`] is a projection of one epoch. Entries are applied in order and without gaps, each
//! through the state machine; whoever follows the log verifies the tree first and applies then.

use std::collections::HashMap;

use thiserror::Error;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::entry::{CertificateEntry, Change, StatusEntry};
use crate::issuer::{IssuerId, IssuerRef};
use crate::position::Position;
use crate::records::{Key, Records};
use crate::shown::{AfterExpiry, Answer, AnswerClasses, BeforeActivation, CertificateStatus};
use crate::state::{Act, CertificateState, IllegalTransition, transition};

/// The certificates of one epoch of the status log, at most 2^32 - 2 of 65,536 issuers.
#[derive(Debug)]
pub struct Index {
    /// Where the next entry must stand.
    next: Position,
    last_log_time: UnixTime,
    /// The issuers in the order of their declaration; the place is the number in [`Key`].
    declared: Vec<(IssuerRef, IssuerId)>,
    numbers: HashMap<IssuerRef, u16>,
    refs: HashMap<IssuerId, IssuerRef>,
    records: Records,
}

impl Index {
    /// Returns the index of an epoch of which nothing has been read.
    #[must_use]
    pub fn new(epoch: u32) -> Self {
        Self {
            next: Position { epoch, index: 0 },
            last_log_time: UnixTime::EPOCH,
            declared: Vec::new(),
            numbers: HashMap::new(),
            refs: HashMap::new(),
            records: Records::default(),
        }
    }

    /// Returns where the next entry must stand: the size of the tree that has been applied.
    #[must_use]
    pub const fn next(&self) -> Position {
        self.next
    }

    /// Returns the log time of the last entry.
    #[must_use]
    pub const fn last_log_time(&self) -> UnixTime {
        self.last_log_time
    }

    /// Returns the number of certificates.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns whether there are no certificates.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the octets that the certificates take in memory: at most 60 each from 100 000 on.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.records.octets()
    }

    /// Applies the entry at `position`.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] if the entry is not the next one or says what cannot be after the earlier
    /// ones. The index is then unchanged and still answers as of the entry before.
    pub fn apply(&mut self, position: Position, entry: &StatusEntry) -> Result<(), ApplyError> {
        if position != self.next {
            return Err(ApplyError::NotNext { wanted: self.next, found: position });
        }
        let index = position.index.checked_add(1).ok_or(ApplyError::Full)?;
        let log_time = entry.log_time();
        if log_time < self.last_log_time {
            return Err(ApplyError::TimeRunsBack { log_time, last: self.last_log_time });
        }
        let opens = matches!(entry, StatusEntry::EpochOpened { .. });
        if opens != (position.index == 0 && position.epoch > 1) {
            return Err(ApplyError::EpochOpening { position });
        }
        match entry {
            StatusEntry::EpochOpened { .. } => {}
            StatusEntry::IssuerDeclared { issuer, .. } => self.declare(position.index, *issuer)?,
            StatusEntry::Certificate(entry) => self.change(entry)?,
        }
        self.next.index = index;
        self.last_log_time = log_time;
        Ok(())
    }

    fn declare(&mut self, index: u64, issuer: IssuerId) -> Result<(), ApplyError> {
        if let Some(earlier) = self.refs.get(&issuer) {
            return Err(ApplyError::DeclaredTwice { issuer, earlier: *earlier });
        }
        let number = u16::try_from(self.declared.len()).map_err(|_| ApplyError::Full)?;
        let issuer_ref = IssuerRef::from_index(index);
        self.declared.push((issuer_ref, issuer));
        self.numbers.insert(issuer_ref, number);
        self.refs.insert(issuer, issuer_ref);
        Ok(())
    }

    fn change(&mut self, entry: &CertificateEntry) -> Result<(), ApplyError> {
        let number = *self
            .numbers
            .get(&entry.issuer)
            .ok_or(ApplyError::UndeclaredIssuer { issuer: entry.issuer })?;
        let key = Key::new(number, &entry.serial);
        let known = self.records.find(&key);
        let status = after(known.as_ref(), entry)?;
        self.records.set(key, &status).ok_or(ApplyError::Full)
    }

    /// Returns the reference of a CA, if it has been declared.
    #[must_use]
    pub fn issuer(&self, id: &IssuerId) -> Option<IssuerRef> {
        self.refs.get(id).copied()
    }

    /// Returns the CAs in the order of their declaration.
    pub fn issuers(&self) -> impl Iterator<Item = (IssuerRef, IssuerId)> {
        self.declared.iter().copied()
    }

    /// Returns all that the log says about a certificate, or `None` if it says nothing.
    #[must_use]
    pub fn lookup(&self, issuer: IssuerRef, serial: &SerialNumber) -> Option<CertificateStatus> {
        let number = *self.numbers.get(&issuer)?;
        self.records.find(&Key::new(number, serial))
    }

    /// Returns what OCSP answers for a certificate at `now`.
    ///
    /// [`Answer::Unknown`] for a serial that is not found speaks as of [`Self::next`]: whether the
    /// checkpoint behind it is late enough to say so is the responder's to decide.
    #[must_use]
    pub fn answer(&self, issuer: IssuerRef, serial: &SerialNumber, now: UnixTime) -> Answer {
        self.lookup(issuer, serial).map_or(Answer::Unknown, |status| status.answer_at(now))
    }

    /// Returns every certificate of a CA in the order of their issuing.
    pub fn certificates(
        &self,
        issuer: IssuerRef,
    ) -> impl Iterator<Item = (SerialNumber, CertificateStatus)> {
        let number = self.numbers.get(&issuer).copied();
        number.into_iter().flat_map(|number| self.records.of_issuer(number))
    }
}

/// Returns the status that an entry leads to from what is known.
///
/// The same function serves whoever writes the log: an entry that this refuses must not be written.
///
/// # Errors
///
/// [`IllegalTransition`] if the change is not legal (REV-03). A second `revoked` entry is a
/// correction and legal only if it keeps the effective time (REV-06).
pub fn after(
    known: Option<&CertificateStatus>,
    entry: &CertificateEntry,
) -> Result<CertificateStatus, IllegalTransition> {
    let act = match (entry.change, known) {
        (Change::Issued { .. }, _) => Act::Issue,
        (Change::Activated, _) => Act::Activate,
        (Change::Held, _) => Act::Hold,
        (Change::Released, _) => Act::Release,
        (Change::Revoked { .. }, Some(status))
            if status.state == CertificateState::Revoked
                && status.effective_time == entry.effective_time =>
        {
            Act::CorrectReason
        }
        (Change::Revoked { .. }, _) => Act::Revoke,
        (Change::Voided { .. }, _) => Act::Void,
    };
    let state = transition(known.map(|status| status.state), act)?;

    let effective_time = entry.effective_time;
    let unissued = CertificateStatus {
        state,
        effective_time,
        reason: None,
        invalidity_date: None,
        not_after: UnixTime::LAST,
        classes: VOIDED_CLASSES,
    };
    let before = known.copied().unwrap_or(unissued);
    let (reason, invalidity_date) = match entry.change {
        Change::Revoked { reason, invalidity_date } => (reason, invalidity_date),
        _ => (None, None),
    };
    let (not_after, classes) = match entry.change {
        Change::Issued { not_after, classes } => (not_after, classes),
        Change::Voided { not_after } => (not_after, VOIDED_CLASSES),
        _ => (before.not_after, before.classes),
    };
    Ok(CertificateStatus { state, effective_time, reason, invalidity_date, not_after, classes })
}

/// A voided certificate is revoked whatever happens: it was never activated, and never forgotten.
const VOIDED_CLASSES: AnswerClasses =
    AnswerClasses { before_activation: BeforeActivation::Good, after_expiry: AfterExpiry::Kept };

/// Why an entry is not applied. In a log whose signature and tree are right each is an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// A gap or a repetition.
    #[error("entry stands at {found}, the next one is {wanted}")]
    NotNext { wanted: Position, found: Position },
    /// An epoch begins with epoch-opened, the first one does not, and nothing else is one.
    #[error("entry at {position} is epoch-opened where none belongs, or is not where one does")]
    EpochOpening { position: Position },
    /// Log times never decrease.
    #[error("entry has log time {log_time}, the one before it {last}")]
    TimeRunsBack { log_time: UnixTime, last: UnixTime },
    /// One CA has one reference.
    #[error("issuer {issuer} was declared before, at index {earlier}")]
    DeclaredTwice { issuer: IssuerId, earlier: IssuerRef },
    /// An entry about a CA that was not declared.
    #[error("entry is about issuer {issuer}, which is not declared")]
    UndeclaredIssuer { issuer: IssuerRef },
    /// The state machine.
    #[error("entry says what cannot be")]
    Illegal(#[from] IllegalTransition),
    /// Limits of the index.
    #[error("the index holds no more issuers, certificates or entries")]
    Full,
}
