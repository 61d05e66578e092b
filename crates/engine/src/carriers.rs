//! The threads that carry sessions: each has a runtime of its own, so that a session's two sockets and its timers are
//! served by one thread, and no thread wakes another for them. Connections for surveys alone move from one to another.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// The threads, and whose turn it is.
pub(crate) struct Carriers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    /// The threads end when this is dropped, and with them what they carry.
    _alive: watch::Sender<()>,
}

impl Carriers {
    /// Starts one thread for each processor.
    pub(crate) fn start() -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (alive, watched) = watch::channel(());
        let mut handles = Vec::with_capacity(count);
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let mut watched = watched.clone();
            std::thread::Builder::new().name(format!("carrier-{number}")).spawn(move || {
                // It fails when the sender is gone, which is the end.
                runtime.block_on(async move { while watched.changed().await.is_ok() {} });
            })?;
        }
        Ok(Self { handles, next: AtomicUsize::new(0), _alive: alive })
    }

    /// Gives work to the thread whose turn it is.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(handle) = self.handles.get(turn % self.handles.len().max(1)) {
            handle.spawn(work);
        }
    }
}
