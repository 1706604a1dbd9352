//! Connections that read: as many as there are callers at once, and no more than the database bears.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Database;
use super::connection::{Connection, Failure};
use crate::StoreError;

/// Readers kept open while idle.
const IDLE_READERS: usize = 8;

/// How long a caller waits for one of those that others use.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Readers {
    database: Arc<dyn Database>,
    idle: Mutex<Vec<Connection>>,
    /// How many more may read at once.
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to one more reader.
struct Place<'r>(&'r Readers);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = free.saturating_add(1);
        self.0.freed.notify_one();
    }
}

impl Readers {
    pub(super) fn new(database: Arc<dyn Database>) -> Self {
        let free = Mutex::new(database.most_readers());
        Self { database, idle: Mutex::new(Vec::new()), free, freed: Condvar::new() }
    }

    fn place(&self) -> Result<Place<'_>, StoreError> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut free, waited) = self
            .freed
            .wait_timeout_while(free, PATIENCE, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(StoreError::Overloaded);
        }
        *free = free.saturating_sub(1);
        Ok(Place(self))
    }

    /// Runs `read` in one snapshot.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _place = self.place()?;
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
        let asked = Instant::now();
        while let Some(connection) = self.waiting() {
            match connection.begin_reading() {
                Ok(()) => return Ok(connection),
                // What one of them waited for in vain, the others would wait for as long, one after the other.
                Err(error) if error.failure() == Failure::Unreachable => {
                    self.forget_waiting();
                    // It was silent, also to those who asked anew.
                    if asked.elapsed() >= PATIENCE {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        let connection = self.database.reader()?;
        connection.begin_reading()?;
        Ok(connection)
    }

    fn forget_waiting(&self) {
        let waiting = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *idle)
        };
        // Their leave is taken while nobody is kept from the list.
        drop(waiting);
    }

    fn waiting(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}
