//! Something that was fetched from an issuer, and is fetched anew when it is old, or when it lacks what is looked for.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// How long what was fetched is used, in seconds.
const FRESH_SECS: i64 = 3600;
/// How soon it is fetched again for something that it lacks, or after a failure, in seconds.
const RETRY_SECS: i64 = 5;

/// What was fetched last.
pub(crate) struct Cached<T> {
    inner: Mutex<Inner<T>>,
    /// Whoever has it fetches; the others wait for what comes of that.
    turn: futures_util::lock::Mutex<()>,
}

struct Inner<T> {
    value: Option<Arc<T>>,
    at: Option<Timestamp>,
    failed: Option<Timestamp>,
}

/// Why there is nothing: it failed just now, or did so a moment ago and is not tried again yet.
#[derive(Debug)]
pub(crate) enum Unfetched<E> {
    Failed(E),
    Lately,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        let inner = Mutex::new(Inner { value: None, at: None, failed: None });
        Self { inner, turn: futures_util::lock::Mutex::new(()) }
    }
}

impl<T> Inner<T> {
    /// Whether it is to be fetched: it is old, or what it lacks is looked for; and it did not fail a moment ago.
    fn is_due(&self, now: Timestamp, is_lacking: bool) -> bool {
        let since = |time: Option<Timestamp>| time.map_or(i64::MAX, |time| now.duration_since(time).as_secs().abs());
        let age = if is_lacking { RETRY_SECS } else { FRESH_SECS };
        since(self.at) >= age && since(self.failed) >= RETRY_SECS
    }
}

impl<T> Cached<T> {
    /// What is held, however old.
    pub(crate) fn held(&self) -> Option<Arc<T>> {
        self.lock().value.clone()
    }

    /// What is held, or fetched anew where that is due. While it cannot be fetched, what was fetched before is used.
    pub(crate) async fn get<E>(
        &self,
        now: Timestamp,
        is_lacking: bool,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, Unfetched<E>> {
        if !self.lock().is_due(now, is_lacking) {
            return self.held().ok_or(Unfetched::Lately);
        }
        let _turn = self.turn.lock().await;
        // Whoever had the turn before may have fetched it.
        if !self.lock().is_due(now, is_lacking) {
            return self.held().ok_or(Unfetched::Lately);
        }
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                *self.lock() = Inner { value: Some(value.clone()), at: Some(now), failed: None };
                Ok(value)
            }
            Err(error) => {
                self.lock().failed = Some(now);
                self.held().ok_or(Unfetched::Failed(error))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn get(
        cached: &Cached<u32>,
        second: i64,
        is_lacking: bool,
        fetched: Result<u32, ()>,
    ) -> Result<u32, Unfetched<()>> {
        let now = Timestamp::from_second(second).unwrap();
        let got = cached.get(now, is_lacking, async { fetched }).now_or_never().unwrap();
        got.map(|value| *value)
    }

    #[test]
    fn what_is_held_is_used_until_it_is_old_or_lacks_something() {
        let cached = Cached::default();
        assert!(matches!(get(&cached, 0, false, Err(())), Err(Unfetched::Failed(()))));
        assert!(matches!(get(&cached, 4, false, Ok(1)), Err(Unfetched::Lately)), "not asked again at once");
        assert_eq!(get(&cached, 5, false, Ok(1)).unwrap(), 1);
        assert_eq!(get(&cached, 3604, false, Ok(2)).unwrap(), 1);
        assert_eq!(get(&cached, 3605, false, Ok(2)).unwrap(), 2);
        assert_eq!(
            get(&cached, 3607, true, Ok(3)).unwrap(),
            2,
            "what lacks something is fetched again, but not at once"
        );
        assert_eq!(get(&cached, 3610, true, Ok(3)).unwrap(), 3);
        assert_eq!(get(&cached, 9000, false, Err(())).unwrap(), 3, "an outage takes nothing away");
        assert_eq!(cached.held().as_deref(), Some(&3));
    }

    #[test]
    fn who_comes_while_it_is_fetched_waits_for_that() {
        let cached = Cached::<u32>::default();
        let now = Timestamp::from_second(0).unwrap();
        let arrived = std::cell::Cell::new(false);
        let arrives = std::future::poll_fn(|_| match arrived.get() {
            true => std::task::Poll::Ready(Ok::<u32, ()>(7)),
            false => std::task::Poll::Pending,
        });
        let mut first = std::pin::pin!(cached.get(now, false, arrives));
        let mut second = std::pin::pin!(cached.get(now, false, async { Err(()) }));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        arrived.set(true);
        assert_eq!(first.now_or_never().unwrap().map(|value| *value).unwrap(), 7);
        assert_eq!(second.now_or_never().unwrap().map(|value| *value).unwrap(), 7);
    }
}
