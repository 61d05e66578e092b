//! The journal's files, shared between the journal that appends to them and the tasks that sign and read them.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatehouse_journal::{SegmentFiles, Segments, Sink, SyncTarget};

/// The journal's files.
#[derive(Clone)]
pub struct SharedSegments(Arc<Mutex<Segments>>);

impl SharedSegments {
    /// Takes the files over.
    pub fn new(segments: Segments) -> Self {
        Self(Arc::new(Mutex::new(segments)))
    }

    /// The files, to read.
    pub fn files(&self) -> SegmentFiles {
        self.lock().files().clone()
    }

    /// Keeps a signed checkpoint.
    pub fn write_checkpoint(&self, note: &str) -> io::Result<()> {
        self.lock().write_checkpoint(note)
    }

    fn lock(&self) -> MutexGuard<'_, Segments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for SharedSegments {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.lock().append(line)
    }

    fn sync_target(&self) -> SyncTarget {
        self.lock().sync_target()
    }
}
