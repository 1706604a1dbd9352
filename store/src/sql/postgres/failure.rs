//! What a server's refusals mean here.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::sql::connection::Failure;

/// Why a server did not do what it was asked.
#[derive(Debug, Error)]
pub(in crate::sql) enum PostgresError {
    /// It said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection could not be made, or broke.
    #[error("connection to the server failed: {0}")]
    Io(#[from] io::Error),
    /// The connection is closed.
    #[error("the server has closed the connection")]
    Closed,
    /// It owes an answer, and says to nobody that it is there.
    #[error("the server has been silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// It wants a password, and none is configured.
    #[error("the server wants a password")]
    PasswordWanted,
    /// It wants a login of a kind that is not spoken: `scram-sha-256`, `peer` and `trust` are.
    #[error("the server wants another login than scram-sha-256")]
    LoginWanted,
    /// It does not speak TLS, and without it nothing is said.
    #[error("the server does not speak TLS")]
    NoTls,
    /// It said what the protocol has no place for.
    #[error("the server said what is not understood")]
    NotUnderstood,
    /// A parameter of a type that is not stored.
    #[error("a parameter is of a type that is not stored")]
    Unstorable,
}

impl From<Refusal> for PostgresError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A server's refusal, without the values of rows that its detail may hold.
#[derive(Debug, Default, Error)]
#[error("{severity} {code}: {message} {table:?} {constraint:?}")]
pub(in crate::sql) struct Refusal {
    pub(super) severity: String,
    /// Five characters, of which two are the class (manual, appendix A).
    pub(super) code: String,
    pub(super) message: String,
    pub(super) table: Option<String>,
    pub(super) constraint: Option<String>,
}

impl PostgresError {
    pub(in crate::sql) fn failure(&self) -> Failure {
        let refusal = match self {
            Self::Refused(refusal) => refusal,
            Self::Unstorable => return Failure::Other,
            Self::Io(_)
            | Self::Closed
            | Self::Silent(_)
            | Self::PasswordWanted
            | Self::LoginWanted
            | Self::NoTls
            | Self::NotUnderstood => return Failure::Unreachable,
        };
        match (refusal.code.get(..2).unwrap_or_default(), refusal.code.as_str()) {
            (_, "53100" | "53200") => Failure::Full,
            (_, "25006") => Failure::ReadOnly,
            (_, "58030") => Failure::Device,
            (_, "XX001" | "XX002") => Failure::Damaged,
            // Too many clients; a lock that was waited for too long; serialization and deadlock; a transaction that
            // idled; and a statement that was prepared before another node migrated the database.
            ("40", _) | (_, "53300" | "55P03" | "25P03" | "0A000") => Failure::Busy,
            // A trigger of ours that refuses says P0001.
            ("23", _) | (_, "P0001") => Failure::Constraint,
            // Broken connections; who may come in; no such database; the server going down or starting.
            ("08" | "28" | "3D" | "57", _) => Failure::Unreachable,
            _ => Failure::Other,
        }
    }

    /// Unique indexes are named `<table>_<columns>...` in the migrations, so that the name says what is unique.
    pub(in crate::sql) fn is_unique_on(&self, column: &str) -> bool {
        let Self::Refused(refusal) = self else { return false };
        let (Some((table, column)), Some(index)) =
            (column.split_once('.'), refusal.constraint.as_deref())
        else {
            return false;
        };
        refusal.code == "23505"
            && refusal.table.as_deref() == Some(table)
            && index.strip_prefix(table).is_some_and(|columns| columns.contains(column))
    }
}
