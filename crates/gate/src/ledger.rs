//! The journal as the gate writes it: one record at a time, in order, by whoever comes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatehouse_journal::{Entry, Journal, JournalError, OperationTemplate, OperationValues, Sink};
use jiff::Timestamp;

/// The record could not be written, so what it tells of must not happen.
#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be written")]
pub struct Unrecorded(#[source] pub JournalError);

/// A journal on any sink.
pub type Log = Journal<Box<dyn Sink>>;

/// The journal behind a lock. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    journal: Arc<Mutex<Log>>,
    written: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Ledger {
    /// Takes a journal over. `written` is told of each record's index once it survives the gateway's death.
    pub fn new(journal: Log, written: Arc<dyn Fn(u64) + Send + Sync>) -> Self {
        Self { journal: Arc::new(Mutex::new(journal)), written }
    }

    /// Writes a record and returns its index.
    pub fn record(&self, now: Timestamp, entry: impl Into<Entry>) -> Result<u64, Unrecorded> {
        let appended = self.lock().append(now, entry).map_err(Unrecorded)?;
        (self.written)(appended.index);
        Ok(appended.index)
    }

    /// Writes the record of an operation from a template and returns its index.
    pub fn record_operation(
        &self,
        now: Timestamp,
        template: &OperationTemplate,
        values: &OperationValues<'_>,
    ) -> Result<u64, Unrecorded> {
        let appended = self.lock().append_operation(now, template, values).map_err(Unrecorded)?;
        (self.written)(appended.index);
        Ok(appended.index)
    }

    /// Works on the journal while nobody writes to it: for checkpoints.
    pub fn with<T>(&self, work: impl FnOnce(&mut Log) -> T) -> T {
        work(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // A thread that panicked between two records left a whole journal behind.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
