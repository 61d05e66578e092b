//! The proof that a frame may be written: it was judged, and its record is in the journal.

/// How safe a record must be before what it tells of may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// It survives the death of the gateway.
    Process,
    /// It survives the death of the machine.
    Disk,
}

/// Which record a frame waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    index: u64,
    durability: Durability,
}

impl Receipt {
    pub(crate) const fn new(index: u64, durability: Durability) -> Self {
        Self { index, durability }
    }

    /// The index of the record that must be on disk before the frame is written, if one must.
    pub fn awaits_disk(self) -> Option<u64> {
        match self.durability {
            Durability::Process => None,
            Durability::Disk => Some(self.index),
        }
    }
}

/// A frame that may be written. Only the gate makes one.
#[derive(Debug)]
#[must_use = "a cleared frame that is not written is lost"]
pub struct Cleared<T> {
    frame: T,
    receipt: Option<Receipt>,
}

impl<T> Cleared<T> {
    pub(crate) const fn new(frame: T, receipt: Option<Receipt>) -> Self {
        Self { frame, receipt }
    }

    /// The record that must be safe first. `None` for plumbing and for the gateway's own words.
    pub fn receipt(&self) -> Option<Receipt> {
        self.receipt
    }

    /// The frame, for the outlet that writes it.
    pub fn into_frame(self) -> T {
        self.frame
    }
}
