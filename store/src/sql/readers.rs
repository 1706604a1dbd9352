//! Connections that read, as many as there are callers at once.

use std::sync::{Arc, Mutex, PoisonError};

use super::Database;
use super::connection::{Connection, Failure};
use crate::StoreError;

/// Readers kept open while idle.
const IDLE_READERS: usize = 8;

pub(super) struct Readers {
    database: Arc<dyn Database>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(database: Arc<dyn Database>) -> Self {
        Self { database, idle: Mutex::new(Vec::new()) }
    }

    /// Runs `read` in one snapshot.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.begun()?;
        let result = read(&connection);
        connection.end_reading()?;
        // A panic elsewhere leaves the list whole: it is pushed to and popped from only.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
        result
    }

    /// A connection whose snapshot has begun. Those that wait may have lost their server meanwhile: nothing has been
    /// read yet, and a new one is as good.
    fn begun(&self) -> Result<Connection, StoreError> {
        while let Some(connection) = self.waiting() {
            match connection.begin_reading() {
                Ok(()) => return Ok(connection),
                Err(error) if error.failure() == Failure::Unreachable => {}
                Err(error) => return Err(error.into()),
            }
        }
        let connection = self.database.reader()?;
        connection.begin_reading()?;
        Ok(connection)
    }

    fn waiting(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}
