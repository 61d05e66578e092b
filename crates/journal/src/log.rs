//! The journal itself: numbers records, writes each to a sink and then advances the tree.
//!
//! Knows the order of things: first the sink, then the tree, so that nothing counts as recorded that is not. Must not
//! know where the sink keeps its lines. Memory is O(log n) in the number of records.

use std::io;

use gatehouse_model::Digest;
use jiff::Timestamp;

use crate::note::SigningKey;
use crate::record::{Entry, Record, RecordError};
use crate::segments::SyncTarget;
use crate::template::{OperationTemplate, OperationValues};
use crate::tree::{Frontier, leaf_hash};

/// Where lines go.
pub trait Sink: Send {
    /// Appends one line, which ends in a line break. It is with the operating system when this returns, so that it
    /// survives the process; [`SyncTarget::sync`] makes it survive the machine.
    ///
    /// # Errors
    /// All or nothing: after an error the sink holds what it held before, or it refuses every later line until it has
    /// repaired itself to that state.
    fn append(&mut self, line: &[u8]) -> io::Result<()>;

    /// What to sync so that all lines appended up to now are durable. It can be used without the sink, so that
    /// nobody waits for the disk while holding the journal.
    fn sync_target(&self) -> SyncTarget;
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        (**self).append(line)
    }

    fn sync_target(&self) -> SyncTarget {
        (**self).sync_target()
    }
}

/// Lines in memory, for tests and demonstrations.
impl Sink for Vec<u8> {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.extend_from_slice(line);
        Ok(())
    }

    fn sync_target(&self) -> SyncTarget {
        SyncTarget::memory()
    }
}

/// Why something was not recorded. The gateway is to blame, and nothing may pass.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The record has no line.
    #[error("the record cannot be written down")]
    Record(#[source] RecordError),
    /// The sink did not take the line.
    #[error("the journal cannot be written, so nothing passes: free space or repair its disk")]
    Sink(#[source] io::Error),
}

/// What was appended: proof that a record stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Appended {
    /// The record's place.
    pub index: u64,
    /// The record's time, in whole microseconds.
    pub time: Timestamp,
    /// The record's leaf hash.
    pub leaf: Digest,
}

/// The append-only log of one gateway node.
#[derive(Debug)]
pub struct Journal<S> {
    frontier: Frontier,
    sink: S,
}

impl<S: Sink> Journal<S> {
    /// Continues a log: the frontier is that of the lines which the sink already holds, as
    /// [`Segments::open`](crate::Segments::open) returns it.
    pub fn new(sink: S, frontier: Frontier) -> Self {
        Self { frontier, sink }
    }

    /// Records what happened. When this returns, the record is with the sink and in the tree.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing was recorded, and the journal is as it was.
    pub fn append(&mut self, now: Timestamp, entry: impl Into<Entry>) -> Result<Appended, JournalError> {
        let record = Record::new(self.frontier.size(), now, entry.into());
        let line = record.to_line().map_err(JournalError::Record)?;
        self.append_line(line, record.time)
    }

    /// Records an operation, with what is its own in the gaps of a template.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_operation(
        &mut self,
        now: Timestamp,
        template: &OperationTemplate,
        values: &OperationValues<'_>,
    ) -> Result<Appended, JournalError> {
        let line = template.line(self.frontier.size(), now, values).map_err(JournalError::Record)?;
        self.append_line(line, now)
    }

    fn append_line(&mut self, mut line: String, time: Timestamp) -> Result<Appended, JournalError> {
        let leaf = leaf_hash(line.as_bytes());
        line.push('\n');
        self.sink.append(line.as_bytes()).map_err(JournalError::Sink)?;
        let index = self.frontier.size();
        self.frontier.append(leaf);
        Ok(Appended { index, time, leaf })
    }

    /// The number of records.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over all records.
    pub fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// A signed checkpoint of the log as it is now (<https://c2sp.org/tlog-checkpoint>). Give it out only after a sync.
    pub fn checkpoint(&self, key: &SigningKey) -> String {
        key.sign_checkpoint(self.frontier.size(), self.frontier.root())
    }

    /// The sink.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// The sink, to write a checkpoint to it.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::record::{CancelSent, GatewayStopped};
    use crate::tree::Tree;

    /// A disk with room for so many bytes.
    struct Disk {
        lines: Vec<u8>,
        room: usize,
    }

    impl Sink for Disk {
        fn append(&mut self, line: &[u8]) -> io::Result<()> {
            if self.lines.len() + line.len() > self.room {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            Sink::append(&mut self.lines, line)
        }

        fn sync_target(&self) -> SyncTarget {
            self.lines.sync_target()
        }
    }

    #[test]
    fn records_are_numbered_and_hashed() {
        let mut journal = Journal::new(Vec::new(), Frontier::new());
        for index in 0..5 {
            let session = format!("ses-{index}");
            assert_eq!(journal.append(Timestamp::UNIX_EPOCH, CancelSent { session }).expect("memory").index, index);
        }
        let text = String::from_utf8(journal.sink().clone()).expect("UTF-8");
        let leaves: Vec<Digest> = text.lines().map(|line| leaf_hash(line.as_bytes())).collect();
        assert_eq!(journal.root(), Tree::from_leaves(leaves).root(5).expect("five leaves"));
        assert_eq!(journal.size(), 5);
    }

    #[test]
    fn nothing_counts_that_the_disk_did_not_take() {
        let mut journal = Journal::new(Disk { lines: Vec::new(), room: 100 }, Frontier::new());
        let _ = journal.append(Timestamp::UNIX_EPOCH, GatewayStopped {}).expect("there is room");
        let root = journal.root();
        let error = journal.append(Timestamp::UNIX_EPOCH, GatewayStopped {}).expect_err("the disk is full");
        assert!(matches!(&error, JournalError::Sink(source) if source.kind() == io::ErrorKind::StorageFull));
        assert!(error.source().is_some());
        assert_eq!((journal.size(), journal.root()), (1, root));
        journal.sink_mut().room = 1000;
        assert_eq!(journal.append(Timestamp::UNIX_EPOCH, GatewayStopped {}).expect("there is room again").index, 1);
    }

    #[test]
    fn a_record_that_is_too_long_is_not_written() {
        let mut journal = Journal::new(Vec::new(), Frontier::new());
        let session = "x".repeat(crate::RECORD_BYTES_MAX);
        let error = journal.append(Timestamp::UNIX_EPOCH, CancelSent { session }).expect_err("too long");
        assert!(matches!(error, JournalError::Record(RecordError::TooLong { .. })));
        assert!(journal.sink().is_empty());
    }
}
