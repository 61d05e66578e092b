//! Brings the journal to the disk: one thread syncs for everyone who waits (group commit).

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use gatehouse_gate::Ledger;
use tokio::sync::watch;

/// What the disk is known to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// All records before this index.
    Before(u64),
    /// The last sync failed; nothing is known until one succeeds.
    Failed,
}

/// Says when a record is on disk.
#[derive(Clone)]
pub struct Disk {
    wanted: Arc<(Mutex<Wanted>, Condvar)>,
    known: watch::Receiver<Known>,
}

#[derive(Default)]
struct Wanted {
    index: Option<u64>,
    closed: bool,
}

/// The record is not on disk, and may never be.
#[derive(Debug, thiserror::Error)]
#[error("the journal could not be brought to the disk")]
pub struct NotOnDisk;

impl Disk {
    /// Starts the thread that syncs `ledger` whenever somebody waits.
    pub fn start(ledger: Ledger) -> std::io::Result<Self> {
        let wanted = Arc::new((Mutex::new(Wanted::default()), Condvar::new()));
        let (sender, known) = watch::channel(Known::Before(0));
        let demand = wanted.clone();
        std::thread::Builder::new().name("journal-sync".into()).spawn(move || {
            while wait_for_demand(&demand) {
                let target = ledger.with(|journal| (journal.size(), journal.sink().sync_target()));
                let (next, target) = target;
                match target.sync().map(|()| next) {
                    Ok(next) => sender.send_replace(Known::Before(next)),
                    Err(error) => {
                        tracing::error!(%error, "the journal cannot be synced");
                        sender.send_replace(Known::Failed)
                    }
                };
            }
        })?;
        Ok(Self { wanted, known })
    }

    /// True if the record with this index is known to be on disk.
    pub fn has(&self, index: u64) -> bool {
        matches!(*self.known.borrow(), Known::Before(next) if index < next)
    }

    /// Waits until the record with this index is on disk.
    pub async fn holds(&self, index: u64) -> Result<(), NotOnDisk> {
        let mut known = self.known.clone();
        if matches!(*known.borrow_and_update(), Known::Before(next) if index < next) {
            return Ok(());
        }
        self.want(index);
        loop {
            known.changed().await.map_err(|_| NotOnDisk)?;
            match *known.borrow_and_update() {
                Known::Before(next) if index < next => return Ok(()),
                Known::Before(_) => self.want(index),
                Known::Failed => return Err(NotOnDisk),
            }
        }
    }

    fn want(&self, index: u64) {
        let (wanted, bell) = &*self.wanted;
        let mut wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.index = wanted.index.max(Some(index));
        bell.notify_one();
    }

    /// Lets the thread end.
    pub fn close(&self) {
        let (wanted, bell) = &*self.wanted;
        wanted.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        bell.notify_one();
    }
}

/// False when the gateway ends.
fn wait_for_demand(demand: &(Mutex<Wanted>, Condvar)) -> bool {
    let (wanted, bell) = demand;
    let mut wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if wanted.index.take().is_some() {
            return true;
        }
        if wanted.closed {
            return false;
        }
        wanted = bell.wait(wanted).unwrap_or_else(PoisonError::into_inner);
    }
}
