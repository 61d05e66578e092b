//! Where work is done that takes long, so that the sessions of its thread go on meanwhile.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is so long, or longer, may take long to look at, in bytes.
pub(crate) const HEAVY_BYTES_MIN: usize = 64 * 1024;

/// How much is looked at before it is heard again what ends a session, in bytes: less of what takes milliseconds for each value.
pub(crate) const fn most(is_slow: bool) -> usize {
    if is_slow { HEAVY_BYTES_MIN / 16 } else { HEAVY_BYTES_MIN }
}

/// As many places as there are processors: more at a time would end none of it sooner.
pub(crate) struct Aside(Arc<Semaphore>);

/// A place for one piece of work; nobody takes places away, so that there always is one in the end.
pub(crate) struct Place(#[expect(dead_code, reason = "it is there to be dropped")] Option<OwnedSemaphorePermit>);

impl Default for Aside {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(available_parallelism().map_or(1, std::num::NonZero::get))))
    }
}

impl Aside {
    /// Waits for a place.
    pub(crate) async fn place(&self) -> Place {
        Place(self.0.clone().acquire_owned().await.ok())
    }
}

/// Does the work on a thread of its own; `None` if it panicked.
pub(crate) async fn work<T: Send + 'static>(place: Place, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.inspect_err(|error| tracing::error!(%error, "a session was lost to a defect")).ok()
}
