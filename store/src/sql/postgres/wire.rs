//! A connection to a server, in the words of its protocol (PostgreSQL manual, chapter "Frontend/Backend Protocol", 3.0).
//!
//! It blocks, as this room does, and asks one thing at a time: a question and its `Sync` go out in one write, and what
//! comes back is read up to `ReadyForQuery`. Messages are encoded and decoded by the library postgres-protocol.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorFields, Message, RowDescriptionBody};
use postgres_protocol::message::frontend;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::failure::{PostgresError, Refusal};
use super::row::{Column, PostgresRow};
use super::server::PostgresServer;
use super::stream::Stream;

/// How long a server may be silent that owes an answer, and says to others that it is there. Longer than a transaction may
/// wait for a lock, or idle, and than a statement may take.
const SILENT: Duration = Duration::from_secs(120);

/// How long a server is waited for that is there and owes an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waits {
    /// [`SILENT`].
    AsUsual,
    /// As long as it takes to write a table of millions of rows anew.
    ForAMigration,
}

/// The code of "cached plan must not change result type" (manual, appendix A: `feature_not_supported`).
const PLAN_CHANGED: &str = "0A000";

/// Text and binary, as the protocol counts formats.
const TEXT: i16 = 0;
const BINARY: i16 = 1;

/// A statement that the server has prepared.
#[derive(Clone)]
pub(in crate::sql) struct Prepared {
    name: Arc<str>,
    columns: Arc<[Column]>,
}

/// What a statement came to.
pub(super) struct Outcome {
    pub(super) rows: Vec<PostgresRow>,
    /// Rows that it changed or returned.
    pub(super) count: usize,
}

/// A connection.
pub(super) struct Wire {
    stream: Stream,
    received: BytesMut,
    out: BytesMut,
    prepared: u64,
    /// Somebody is logged in: one that is slow now is asked whether it is there.
    at_work: bool,
    /// Nothing more is asked: the connection broke, or what came was not understood.
    broken: bool,
    /// How long a server is waited for that is there.
    silent: Duration,
}

impl Wire {
    /// Connects and logs in.
    pub(super) fn connect(server: &PostgresServer) -> Result<Self, PostgresError> {
        let mut wire = Self {
            stream: Stream::open(server)?,
            received: BytesMut::new(),
            out: BytesMut::new(),
            prepared: 0,
            at_work: false,
            broken: false,
            silent: SILENT,
        };
        let parameters = [
            ("user", server.user.as_str()),
            ("database", server.database.as_str()),
            ("application_name", "sigill-ca"),
            ("client_encoding", "UTF8"),
        ];
        frontend::startup_message(parameters, &mut wire.out)?;
        wire.send()?;
        wire.log_in(server)?;
        wire.ready()?;
        wire.stream.is_logged_in()?;
        wire.at_work = true;
        Ok(wire)
    }

    fn log_in(&mut self, server: &PostgresServer) -> Result<(), PostgresError> {
        let password = || server.password.as_deref().ok_or(PostgresError::PasswordWanted);
        let mut scram = None;
        loop {
            match self.message()? {
                Message::AuthenticationOk => return Ok(()),
                Message::AuthenticationSasl(body) => {
                    let known = body.mechanisms().any(|name| Ok(name == SCRAM_SHA_256))?;
                    if !known {
                        return Err(PostgresError::LoginWanted);
                    }
                    let begun = ScramSha256::new(password()?, ChannelBinding::unsupported());
                    frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), &mut self.out)?;
                    scram = Some(begun);
                    self.send()?;
                }
                Message::AuthenticationSaslContinue(body) => {
                    let scram = scram.as_mut().ok_or(PostgresError::NotUnderstood)?;
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut self.out)?;
                    self.send()?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    // The server proves that it knows the password too.
                    scram.as_mut().ok_or(PostgresError::NotUnderstood)?.finish(body.data())?;
                }
                Message::ErrorResponse(body) => return Err(refusal(body.fields())?.into()),
                Message::NoticeResponse(_) => {}
                // A password is sent in no other way.
                _ => return Err(PostgresError::LoginWanted),
            }
        }
    }

    /// Waits for the server as long as it says to others that it is there, or no longer than usual again.
    pub(super) const fn wait(&mut self, waits: Waits) {
        self.silent = match waits {
            Waits::AsUsual => SILENT,
            Waits::ForAMigration => Duration::MAX,
        };
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Runs statements that have no parameters and whose rows nobody reads.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), PostgresError> {
        frontend::query(sql, &mut self.out)?;
        self.send()?;
        self.ready().map(|_| ())
    }

    pub(super) fn prepare(&mut self, sql: &str) -> Result<Prepared, PostgresError> {
        self.prepared = self.prepared.wrapping_add(1);
        let name = format!("s{}", self.prepared);
        frontend::parse(&name, sql, [], &mut self.out)?;
        frontend::describe(b'S', &name, &mut self.out)?;
        frontend::sync(&mut self.out);
        self.send()?;
        let mut columns: Arc<[Column]> = Arc::new([]);
        let mut refused = None;
        loop {
            match self.message()? {
                Message::RowDescription(body) => columns = described(&body)?,
                Message::ErrorResponse(body) => refused = Some(refusal(body.fields())?),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        match refused {
            Some(refusal) => Err(refusal.into()),
            None => Ok(Prepared { name: name.into(), columns }),
        }
    }

    /// Runs a prepared statement to its end.
    pub(super) fn run(
        &mut self,
        statement: &Prepared,
        params: &[&dyn ToSql],
    ) -> Result<Outcome, PostgresError> {
        self.bind(&statement.name, params)?;
        self.send()?;
        self.outcome(Arc::clone(&statement.columns))
    }

    /// Runs a statement that is not asked again, and of which the server keeps nothing.
    pub(super) fn run_once(
        &mut self,
        sql: &str,
        params: &[&dyn ToSql],
    ) -> Result<Outcome, PostgresError> {
        frontend::parse("", sql, [], &mut self.out)?;
        frontend::describe(b'S', "", &mut self.out)?;
        self.bind("", params)?;
        self.send()?;
        self.outcome(Arc::new([]))
    }

    /// Puts together what runs the statement of this name.
    fn bind(&mut self, statement: &str, params: &[&dyn ToSql]) -> Result<(), PostgresError> {
        let bound = self.bind_values(statement, params);
        if bound.is_err() {
            self.out.clear();
            return bound;
        }
        frontend::execute("", 0, &mut self.out)?;
        frontend::sync(&mut self.out);
        Ok(())
    }

    fn bind_values(&mut self, statement: &str, params: &[&dyn ToSql]) -> Result<(), PostgresError> {
        let values = params
            .iter()
            .map(|param| param.to_sql().map_err(|_| PostgresError::Unstorable))
            .collect::<Result<Vec<_>, _>>()?;
        let values = values.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        // The server knows what type each has; a number is said in figures, so that it may be any of the whole ones.
        let formats = values.iter().map(|value| match value {
            ValueRef::Blob(_) => BINARY,
            _ => TEXT,
        });
        frontend::bind(
            "",
            statement,
            formats,
            values.iter(),
            |value, out| {
                match value {
                    ValueRef::Null => return Ok(IsNull::Yes),
                    ValueRef::Integer(number) => {
                        out.extend_from_slice(number.to_string().as_bytes())
                    }
                    ValueRef::Text(octets) | ValueRef::Blob(octets) => {
                        out.extend_from_slice(octets)
                    }
                    ValueRef::Real(_) => return Err("numbers with a point are not stored".into()),
                }
                Ok(IsNull::No)
            },
            [BINARY],
            &mut self.out,
        )
        .map_err(|_| PostgresError::Unstorable)
    }

    /// Reads up to the end of what was asked.
    fn ready(&mut self) -> Result<Outcome, PostgresError> {
        self.outcome(Arc::new([]))
    }

    fn outcome(&mut self, mut columns: Arc<[Column]>) -> Result<Outcome, PostgresError> {
        let mut outcome = Outcome { rows: Vec::new(), count: 0 };
        let mut refused = None;
        loop {
            match self.message()? {
                Message::RowDescription(body) => columns = described(&body)?,
                Message::DataRow(body) => {
                    outcome.rows.push(PostgresRow::new(Arc::clone(&columns), &body)?);
                }
                Message::CommandComplete(body) => {
                    // `INSERT 0 5`, `UPDATE 5`, `BEGIN`.
                    let count = body.tag()?.rsplit(' ').next().and_then(|last| last.parse().ok());
                    outcome.count = count.unwrap_or(0);
                }
                Message::ErrorResponse(body) => refused = Some(refusal(body.fields())?),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        match refused {
            Some(refusal) => {
                // Another node has changed the tables: what was prepared here answers no more, on a new connection it does.
                self.broken |= refusal.code == PLAN_CHANGED;
                Err(refusal.into())
            }
            None => Ok(outcome),
        }
    }

    fn send(&mut self) -> Result<(), PostgresError> {
        if self.broken {
            self.out.clear();
            return Err(PostgresError::Closed);
        }
        let sent = self.stream.write_all(&self.out);
        self.out.clear();
        self.broken = sent.is_err();
        Ok(sent?)
    }

    /// The next message. A connection that ends in the middle may have said why.
    fn message(&mut self) -> Result<Message, PostgresError> {
        let message = self.next_message();
        self.broken |= message.is_err();
        if let Ok(Message::ErrorResponse(body)) = &message {
            let refusal = refusal(body.fields())?;
            // After these the server says nothing more.
            if refusal.severity == "FATAL" || refusal.severity == "PANIC" {
                self.broken = true;
                return Err(refusal.into());
            }
        }
        message
    }

    fn next_message(&mut self) -> Result<Message, PostgresError> {
        let mut heard = Instant::now();
        loop {
            if let Some(message) = Message::parse(&mut self.received)? {
                return Ok(message);
            }
            let mut part = [0; 16 * 1024];
            match self.stream.read(&mut part) {
                Ok(0) => return Err(PostgresError::Closed),
                Ok(length) => {
                    heard = Instant::now();
                    self.received.extend_from_slice(part.get(..length).unwrap_or(&[]));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // One that answers others is at work on what was asked; one that answers nobody is gone, whatever
                // the network says of it.
                Err(error) if is_silence(&error) => {
                    let is_there = self.at_work && self.stream.is_answered_anew();
                    if !is_there || heard.elapsed() >= self.silent {
                        return Err(PostgresError::Silent(heard.elapsed()));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Wire {
    /// Takes leave, so that the server does not tell its log of a lost client.
    fn drop(&mut self) {
        frontend::terminate(&mut self.out);
        let _ = self.send();
    }
}

/// Whether nothing came in the time that a read may take.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn described(body: &RowDescriptionBody) -> Result<Arc<[Column]>, PostgresError> {
    let columns = body
        .fields()
        .map(|field| Ok(Column { name: field.name().to_owned(), of: field.type_oid() }));
    Ok(columns.collect::<Vec<_>>()?.into())
}

fn value<'v>(output: &'v ToSqlOutput<'_>) -> Result<ValueRef<'v>, PostgresError> {
    match output {
        ToSqlOutput::Borrowed(value) => Ok(*value),
        ToSqlOutput::Owned(value) => Ok(value.into()),
        _ => Err(PostgresError::Unstorable),
    }
}

/// What the server refuses with. Its detail is left out: it holds values of rows.
fn refusal(mut fields: ErrorFields<'_>) -> Result<Refusal, PostgresError> {
    let mut refusal = Refusal::default();
    while let Some(field) = fields.next()? {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'V' => refusal.severity = value,
            b'C' => refusal.code = value,
            b'M' => refusal.message = value,
            b't' => refusal.table = Some(value),
            b'n' => refusal.constraint = Some(value),
            _ => {}
        }
    }
    Ok(refusal)
}
