//! One transaction of the writer: positions, log times, and what every act in it may do.
//!
//! The transaction holds the only write lock there is (`BEGIN IMMEDIATE`, or the locked heads of both logs), so the
//! heads that are read here are the heads until commit, and positions can be given as entries are written. A refused act's entries go
//! with its savepoint, and [`Group::forget_act`] takes their positions back: no gap, no repetition.

use std::cell::RefCell;
use std::rc::Rc;

use super::connection::{Connection, OptionalExtension as _, Params};
use ledger::{Frontier, Hash, leaf_hash};
use rusqlite::params;
use status::index::after;
use status::{
    AnswerClasses, CertificateEntry, CertificateStatus, Change, IssuerRef, Position, StatusEntry,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::columns::{
    STATUS_COLUMNS, column, from_after, from_before, from_state, from_time, from_u64, status,
    stored, to_time, to_u64,
};
use super::endings::{LAST_LIST, is_last};
use super::logs::entries;
use super::schema::{self, NEWEST};
use crate::audit::{AuditRecord, Written};
use crate::certificate::ClockMark;
use crate::log::{Log, LogHead};
use crate::sealing::{DataKey, Place, Sealer, Subject};
use crate::{CLOCK_TOLERANCE, StoreError};

/// A log in this transaction.
struct Head {
    log: Log,
    epoch: u32,
    frontier: Frontier,
    last_time: UnixTime,
    /// The hash of its last entry; `None` of an empty log.
    last: Option<Hash>,
    /// Entries of acts before the current one, and how many of `leaves` are theirs.
    kept: usize,
    kept_time: UnixTime,
    leaves: Vec<Hash>,
}

impl Head {
    fn staged(&self) -> Result<Frontier, StoreError> {
        let mut frontier = self.frontier.clone();
        for leaf in &self.leaves {
            frontier.append(*leaf).map_err(|_| StoreError::Stored { what: "log size" })?;
        }
        Ok(frontier)
    }

    fn load(connection: &Connection, log: Log) -> Result<Self, StoreError> {
        let (head, frontier, schema) = head_and_schema(connection, log)?;
        schema::must_not_be_newer(connection, schema)?;
        Ok(Self {
            log,
            epoch: head.epoch,
            frontier,
            last_time: head.last_time,
            last: None,
            kept: 0,
            kept_time: head.last_time,
            leaves: Vec::new(),
        })
    }

    /// Gives the next position to an entry.
    fn take(&mut self, entry: &[u8], time: UnixTime) -> Result<Position, StoreError> {
        let staged = u64::try_from(self.leaves.len()).ok();
        let index = staged.and_then(|staged| self.frontier.size().checked_add(staged));
        self.leaves.push(leaf_hash(entry));
        self.last_time = time;
        Ok(Position { epoch: self.epoch, index: stored(index, "log size")? })
    }

    /// Whether what was `seen` of this log is in it still, at the same positions. Finds its last entry on the way.
    fn must_hold(&mut self, connection: &Connection, seen: &Sight) -> Result<(), StoreError> {
        let found = self.frontier.size();
        let held = if (self.epoch, found) < (seen.epoch, seen.size) {
            false
        } else if self.epoch != seen.epoch {
            true
        } else if found == seen.size {
            self.frontier.root() == seen.root
        } else {
            // Another node has gone on with it.
            leaf_before(connection, self.log, self.epoch, seen.size)? == seen.last
        };
        if !held {
            return Err(StoreError::OlderThanSeen { log: self.log.name(), found, seen: seen.size });
        }
        self.last = if (self.epoch, found) == (seen.epoch, seen.size) {
            seen.last
        } else {
            leaf_before(connection, self.log, self.epoch, found)?
        };
        Ok(())
    }

    fn store(mut self, connection: &Connection) -> Result<Sight, StoreError> {
        if self.leaves.is_empty() {
            return Ok(self.sight());
        }
        self.last = self.leaves.last().copied();
        for leaf in std::mem::take(&mut self.leaves) {
            self.frontier.append(leaf).map_err(|_| StoreError::Stored { what: "log size" })?;
        }
        connection
            .prepare_cached(
                "UPDATE log_head SET size = ?2, frontier = ?3, last_time = ?4 WHERE log = ?1",
            )?
            .execute(params![
                self.log.name(),
                from_u64(self.frontier.size(), "log size")?,
                self.frontier.to_bytes(),
                from_time(self.last_time)
            ])?;
        Ok(self.sight())
    }

    fn sight(&self) -> Sight {
        let (epoch, size, root) = (self.epoch, self.frontier.size(), self.frontier.root());
        Sight { epoch, size, root, last: self.last }
    }
}

/// The hash of the last of the first `size` entries.
fn leaf_before(
    connection: &Connection,
    log: Log,
    epoch: u32,
    size: u64,
) -> Result<Option<Hash>, StoreError> {
    let Some(last) = size.checked_sub(1) else { return Ok(None) };
    let entries = entries(connection, log, epoch, &(last..size))?;
    Ok(entries.first().map(|entry| leaf_hash(&entry.bytes)))
}

/// The head of a log in the current snapshot.
pub(super) fn head(connection: &Connection, log: Log) -> Result<(LogHead, Frontier), StoreError> {
    head_and_schema(connection, log).map(|(head, frontier, _)| (head, frontier))
}

/// As [`head`], and the newest version of the schema, in one look.
fn head_and_schema(
    connection: &Connection,
    log: Log,
) -> Result<(LogHead, Frontier, Option<u32>), StoreError> {
    type Row = (u32, i64, Vec<u8>, i64, Option<u32>);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT epoch, size, frontier, last_time, ({NEWEST}) FROM log_head WHERE log = ?1"
    ))?;
    let (epoch, size, frontier, last_time, schema): Row = statement
        .query_row([log.name()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
    let frontier =
        Frontier::from_bytes(&frontier).map_err(|_| StoreError::Stored { what: "frontier" })?;
    if to_u64(size, "log size")? != frontier.size() {
        return Err(StoreError::Stored { what: "log size" });
    }
    let head = LogHead {
        log,
        epoch,
        size: frontier.size(),
        root: frontier.root(),
        last_time: to_time(last_time)?,
    };
    Ok((head, frontier, schema))
}

/// How far a log had come, and what it was.
#[derive(Clone)]
struct Sight {
    epoch: u32,
    size: u64,
    root: Hash,
    last: Option<Hash>,
}

impl Default for Sight {
    /// Of a program that has seen nothing yet: no log is of epoch 0.
    fn default() -> Self {
        Self { epoch: 0, size: 0, root: Frontier::new().root(), last: None }
    }
}

/// What both logs were when this program last wrote.
#[derive(Clone, Default)]
pub(super) struct Seen {
    status: Sight,
    audit: Sight,
}

/// The open transaction.
pub(super) struct Group<'a> {
    connection: &'a Connection,
    sealer: &'a Sealer,
    status: Head,
    audit: Head,
}

impl<'a> Group<'a> {
    /// Reads the heads of logs that must hold what was `seen` of them: what a server lost that was replaced by an older
    /// copy is known outside, and its positions are not given again, also when others have written into the copy since.
    pub(super) fn begin(
        connection: &'a Connection,
        sealer: &'a Sealer,
        seen: &Seen,
    ) -> Result<Self, StoreError> {
        let mut status = Head::load(connection, Log::Status)?;
        let mut audit = Head::load(connection, Log::Audit)?;
        status.must_hold(connection, &seen.status)?;
        audit.must_hold(connection, &seen.audit)?;
        Ok(Self { connection, sealer, status, audit })
    }

    /// Begins an act; what the one before staged is kept from now on.
    pub(super) fn act(&mut self) -> Act<'_> {
        for head in [&mut self.status, &mut self.audit] {
            head.kept = head.leaves.len();
            head.kept_time = head.last_time;
        }
        Act {
            connection: self.connection,
            sealer: self.sealer,
            status: &mut self.status,
            audit: &mut self.audit,
            last_entry: None,
            last_key: RefCell::new(None),
        }
    }

    /// Takes back the positions of the act whose savepoint has been rolled back.
    pub(super) fn forget_act(&mut self) {
        for head in [&mut self.status, &mut self.audit] {
            head.leaves.truncate(head.kept);
            head.last_time = head.kept_time;
        }
    }

    /// Writes the heads, status first; how far they have come then.
    pub(super) fn finish(self) -> Result<Seen, StoreError> {
        let status = self.status.store(self.connection)?;
        let audit = self.audit.store(self.connection)?;
        Ok(Seen { status, audit })
    }
}

/// What a use case may do inside its savepoint.
pub(super) struct Act<'a> {
    connection: &'a Connection,
    sealer: &'a Sealer,
    status: &'a mut Head,
    audit: &'a mut Head,
    /// The last status entry of this act, for its audit leaf.
    last_entry: Option<Position>,
    /// The data key that this act used last: an act is about one subject, or two.
    last_key: RefCell<Option<(Subject, Rc<DataKey>)>>,
}

/// A serial's row, as an act finds it.
pub(super) struct SerialRow {
    pub(super) row: i64,
    pub(super) issuer: IssuerRef,
    pub(super) serial: SerialNumber,
    /// Whether this program holds the issuer's key.
    pub(super) online: bool,
    /// Whether the issuer has ended with its last list.
    pub(super) ended: bool,
    /// `None` while it is only reserved.
    pub(super) status: Option<CertificateStatus>,
    pub(super) not_after: UnixTime,
    pub(super) classes: AnswerClasses,
    pub(super) requested_at: Option<UnixTime>,
    pub(super) position: Option<Position>,
}

/// When a status change takes effect.
#[derive(Clone, Copy)]
pub(super) enum Effective {
    /// When it is logged.
    Logged,
    /// When another operator recorded it, or when an earlier entry did.
    Kept(UnixTime),
}

impl Act<'_> {
    pub(super) const fn connection(&self) -> &Connection {
        self.connection
    }

    pub(super) const fn sealer(&self) -> &Sealer {
        self.sealer
    }

    /// The last status entry that this act wrote.
    pub(super) const fn last_entry(&self) -> Option<Position> {
        self.last_entry
    }

    pub(super) const fn epoch(&self) -> u32 {
        self.status.epoch
    }

    /// The last time in either log. Log times rise across both of them, so that an audit leaf which
    /// says that a CRL was begun is not later than any entry the CRL lacks.
    fn last_time(&self) -> UnixTime {
        self.status.last_time.max(self.audit.last_time)
    }

    /// How `now` stands against the logs.
    pub(super) fn clock(&self, now: UnixTime) -> ClockMark {
        let behind = self.last_time().since(now);
        if behind > CLOCK_TOLERANCE { ClockMark::Behind(behind) } else { ClockMark::Steady }
    }

    /// Refuses to issue while the clock is behind (§2.5).
    pub(super) fn refuse_late_clock(&self, now: UnixTime) -> Result<(), StoreError> {
        match self.clock(now) {
            ClockMark::Steady => Ok(()),
            ClockMark::Behind(behind) => {
                Err(StoreError::ClockBehind { last: self.last_time(), behind })
            }
        }
    }

    /// The status log as staged so far.
    pub(super) fn staged_status(&self) -> Result<Frontier, StoreError> {
        self.status.staged()
    }

    /// The audit log as staged so far.
    pub(super) fn staged_audit(&self) -> Result<Frontier, StoreError> {
        self.audit.staged()
    }

    /// The audit log's epoch.
    pub(super) const fn audit_epoch(&self) -> u32 {
        self.audit.epoch
    }

    /// Writes an entry of the status log. Its log time is `time`, which the caller took from
    /// [`Self::log_time`].
    fn put_entry(&mut self, entry: &StatusEntry, behind: i64) -> Result<Position, StoreError> {
        let bytes = entry.encode();
        self.put_status_bytes(&bytes, entry.log_time(), behind)
    }

    /// Writes bytes that are an entry: taken over from a published log.
    pub(super) fn put_status_bytes(
        &mut self,
        bytes: &[u8],
        log_time: UnixTime,
        behind: i64,
    ) -> Result<Position, StoreError> {
        let position = self.status.take(bytes, log_time)?;
        self.last_entry = Some(position);
        self.connection
            .prepare_cached(
                "INSERT INTO status_entry (epoch, idx, entry, clock_behind) \
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![position.epoch, from_u64(position.index, "index")?, bytes, behind])?;
        Ok(position)
    }

    fn log_time(&self, now: UnixTime) -> UnixTime {
        now.max(self.last_time())
    }

    fn seconds_behind(&self, now: UnixTime) -> i64 {
        match self.clock(now) {
            ClockMark::Steady => 0,
            ClockMark::Behind(behind) => i64::try_from(behind.as_secs()).unwrap_or(i64::MAX),
        }
    }

    /// Declares an issuer; the position is what entries of this epoch call it.
    pub(super) fn put_issuer(
        &mut self,
        issuer: status::IssuerId,
        now: UnixTime,
    ) -> Result<Position, StoreError> {
        let log_time = self.log_time(now);
        let behind = self.seconds_behind(now);
        self.put_entry(&StatusEntry::IssuerDeclared { log_time, issuer }, behind)
    }

    /// Writes an entry about a serial and brings its row up to it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Transition`] when the state machine refuses.
    pub(super) fn put_change(
        &mut self,
        serial: &SerialRow,
        change: Change,
        effective: Effective,
        requested_at: Option<UnixTime>,
        now: UnixTime,
    ) -> Result<(CertificateStatus, Position, UnixTime), StoreError> {
        let log_time = self.log_time(now);
        let mut entry = CertificateEntry::own(log_time, serial.issuer, serial.serial, change);
        if let Effective::Kept(time) = effective {
            entry.effective_time = time;
        }
        let status = after(serial.status.as_ref(), &entry).map_err(StoreError::Transition)?;
        let behind = self.seconds_behind(now);
        let position = self.put_entry(&StatusEntry::Certificate(entry), behind)?;
        self.project(serial.row, &status, position, requested_at)?;
        Ok((status, position, log_time))
    }

    /// Brings a serial's row up to what the log says at `position`.
    pub(super) fn project(
        &self,
        row: i64,
        status: &CertificateStatus,
        position: Position,
        requested_at: Option<UnixTime>,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE serial SET state = ?2, reason = ?3, effective = ?4, invalidity = ?5, \
                     not_after = ?6, before_activation = ?7, after_expiry = ?8, \
                     requested_at = ?9, epoch = ?10, idx = ?11, listed = ?12 WHERE row = ?1",
            )?
            .execute(params![
                row,
                from_state(status.state),
                status.reason.map(status::RevocationReason::code),
                from_time(status.effective_time),
                status.invalidity_date.map(from_time),
                from_time(status.not_after),
                from_before(status.classes.before_activation),
                from_after(status.classes.after_expiry),
                requested_at.map(from_time),
                position.epoch,
                from_u64(position.index, "index")?,
                status.revocation().is_some(),
            ])?;
        Ok(())
    }

    /// The row of a serial by the condition `wanted`, with its issuer's present reference.
    pub(super) fn serial(
        &self,
        wanted: &'static str,
        parameters: impl Params,
    ) -> Result<Option<SerialRow>, StoreError> {
        let sql = format!(
            "SELECT serial.row AS serial_row, serial.serial, issuer.ref_idx, \
                 issuer.keeping = 'online' AS online, {LAST_LIST} AS last_list, {STATUS_COLUMNS} \
             FROM serial JOIN issuer ON issuer.row = serial.issuer WHERE {wanted}"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(parameters)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let reference: i64 = column(row, "ref_idx")?;
        Ok(Some(SerialRow {
            row: column(row, "serial_row")?,
            issuer: IssuerRef::from_index(to_u64(reference, "issuer reference")?),
            serial: super::columns::to_serial(&column::<Vec<u8>>(row, "serial")?)?,
            online: column(row, "online")?,
            ended: is_last(column(row, "last_list")?),
            status: status(row)?,
            not_after: super::columns::time(row, "not_after")?,
            classes: super::columns::classes(row)?,
            requested_at: super::columns::opt_time(row, "requested_at")?,
            position: super::columns::position(row)?,
        }))
    }

    /// Writes an audit leaf, its payload sealed beside it.
    pub(super) fn put_audit(
        &mut self,
        record: &AuditRecord,
        now: UnixTime,
    ) -> Result<Position, StoreError> {
        let time = self.log_time(now);
        let behind = self.seconds_behind(now);
        let Written { leaf, salted } = record.write(time, self.last_entry)?;
        let position = self.audit.take(&leaf, time)?;
        let index = from_u64(position.index, "index")?;
        self.connection
            .prepare_cached(
                "INSERT INTO audit_leaf (epoch, idx, leaf, clock_behind) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![position.epoch, index, leaf, behind])
            .map_err(StoreError::of_audit)?;

        let key = self.data_key(&record.subject)?;
        let row = payload_row(position);
        let place = Place { table: "audit_payload", column: "sealed", row: &row };
        let sealed = self.sealer.seal(&key, place, &salted)?;
        self.connection
            .prepare_cached("INSERT INTO audit_payload (epoch, idx, sealed) VALUES (?1, ?2, ?3)")?
            .execute(params![position.epoch, index, sealed])
            .map_err(StoreError::of_audit)?;
        Ok(position)
    }

    /// Writes an audit leaf that a published log has and this database has lost; its payload is
    /// gone.
    pub(super) fn put_audit_bytes(
        &mut self,
        leaf: &[u8],
        time: UnixTime,
    ) -> Result<Position, StoreError> {
        let position = self.audit.take(leaf, time)?;
        self.connection
            .prepare_cached(
                "INSERT INTO audit_leaf (epoch, idx, leaf, clock_behind) VALUES (?1, ?2, ?3, 0)",
            )?
            .execute(params![position.epoch, from_u64(position.index, "index")?, leaf])?;
        Ok(position)
    }

    /// The data key of a subject, drawn if it has none.
    pub(super) fn data_key(&self, subject: &Subject) -> Result<Rc<DataKey>, StoreError> {
        if let Some((whose, key)) = &*self.last_key.borrow()
            && whose == subject
        {
            return Ok(Rc::clone(key));
        }
        let key = Rc::new(self.find_or_draw_key(subject)?);
        self.last_key.replace(Some((subject.clone(), Rc::clone(&key))));
        Ok(key)
    }

    /// Forgets the data keys at hand: their rows have been deleted.
    pub(super) fn drop_keys(&self) {
        self.last_key.take();
    }

    fn find_or_draw_key(&self, subject: &Subject) -> Result<DataKey, StoreError> {
        let name = self.sealer.subject_name(subject);
        let found: Option<(i64, Vec<u8>)> = self
            .connection
            .prepare_cached("SELECT number, wrapped FROM data_key WHERE subject = ?1")?
            .query_row([&name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((number, wrapped)) = found {
            return self.sealer.unwrap_key(number, &wrapped);
        }
        let (key, wrapped) = self.sealer.draw_key()?;
        let number = self.connection.insert_new(
            "INSERT INTO data_key (subject, wrapped) VALUES (?1, ?2) RETURNING number",
            params![name, wrapped],
        )?;
        Sealer::key(number, &key)
    }
}

/// What names an audit payload in its sealing: epoch and index, big-endian.
pub(super) fn payload_row(position: Position) -> [u8; 12] {
    let mut row = [0; 12];
    let (epoch, index) = row.split_at_mut(4);
    epoch.copy_from_slice(&position.epoch.to_be_bytes());
    index.copy_from_slice(&position.index.to_be_bytes());
    row
}
