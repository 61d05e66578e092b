//! Something that was fetched from an issuer, and is fetched anew when it is old, or when it lacks what is looked for.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use jiff::Timestamp;

/// How long what was fetched is used, in seconds.
const FRESH_SECS: i64 = 3600;
/// How long it is used at most while it cannot be fetched anew, in seconds.
const HELD_SECS_MAX: i64 = 24 * 3600;
/// How long a fetch may be under way before another is begun, in seconds.
const FETCH_SECS_MAX: i64 = 60;
/// How soon it is fetched again for something that it lacks, or after a failure, in seconds.
const RETRY_SECS: i64 = 5;

type Fetching<T> = Shared<BoxFuture<'static, Result<Arc<T>, Arc<str>>>>;

/// What was fetched last.
pub(crate) struct Cached<T>(Mutex<Inner<T>>);

struct Inner<T> {
    /// What was fetched, and when that began.
    value: Option<(Arc<T>, Timestamp)>,
    failed: Option<Timestamp>,
    /// What is being fetched. Whoever comes waits for it, and whoever goes takes nothing of it away.
    fetching: Option<(Fetching<T>, Timestamp)>,
}

/// What somebody looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Whatever there is.
    Whatever,
    /// Something that was not in what is held.
    ForWhatIsMissing,
}

impl Look {
    /// How old what is held may be.
    const fn fresh_secs(self) -> i64 {
        match self {
            Self::Whatever => FRESH_SECS,
            Self::ForWhatIsMissing => RETRY_SECS,
        }
    }
}

/// Why there is nothing: it failed just now, or did so a moment ago and is not tried again yet.
#[derive(Debug)]
pub(crate) enum Unfetched {
    Failed(Arc<str>),
    Lately,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(Inner { value: None, failed: None, fetching: None }))
    }
}

impl<T> Inner<T> {
    /// Whether it is to be fetched: it is old, or what it lacks is looked for; and it did not fail a moment ago.
    fn is_due(&self, now: Timestamp, look: Look) -> bool {
        self.age(now) >= look.fresh_secs() && since(now, self.failed) >= RETRY_SECS
    }

    /// What is held, unless it is so old that what it says may long be taken back.
    fn held(&self, now: Timestamp) -> Option<Arc<T>> {
        self.value.as_ref().filter(|_| self.age(now) < HELD_SECS_MAX).map(|(value, _)| value.clone())
    }

    fn age(&self, now: Timestamp) -> i64 {
        since(now, self.value.as_ref().map(|(_, at)| *at))
    }
}

fn since(now: Timestamp, time: Option<Timestamp>) -> i64 {
    time.map_or(i64::MAX, |time| now.duration_since(time).as_secs().abs())
}

impl<T: Send + Sync + 'static> Cached<T> {
    /// What was fetched last, however old.
    pub(crate) fn last(&self) -> Option<Arc<T>> {
        self.lock().value.as_ref().map(|(value, _)| value.clone())
    }

    /// What is held, or fetched anew where that is due. While it cannot be fetched, what was fetched before is used, for a
    /// day.
    pub(crate) async fn get<F>(&self, now: Timestamp, look: Look, fetch: F) -> Result<Arc<T>, Unfetched>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        let fetching = {
            let mut inner = self.lock();
            // Whoever finds what they look for waits for nobody who looks for something else.
            if let Some(held) = inner.held(now).filter(|_| look == Look::Whatever && inner.age(now) < FRESH_SECS) {
                return Ok(held);
            }
            // One that nobody waited for is of another time.
            let is_old = |(_, begun): &(Fetching<T>, Timestamp)| since(now, Some(*begun)) >= FETCH_SECS_MAX;
            if inner.fetching.as_ref().is_none_or(is_old) {
                if !inner.is_due(now, look) {
                    return inner.held(now).ok_or(Unfetched::Lately);
                }
                let fetch = async { fetch.await.map(Arc::new).map_err(Arc::from) };
                inner.fetching = Some((fetch.boxed().shared(), now));
            }
            inner.fetching.clone()
        };
        let Some((fetching, begun)) = fetching else { return Err(Unfetched::Lately) };
        let fetched = fetching.clone().await;
        let mut inner = self.lock();
        if inner.fetching.as_ref().is_some_and(|(current, _)| current.ptr_eq(&fetching)) {
            inner.fetching = None;
            match &fetched {
                Ok(value) => (inner.value, inner.failed) = (Some((value.clone(), begun)), None),
                Err(_) => inner.failed = Some(now),
            }
        }
        fetched.or_else(|error| inner.held(now).ok_or(Unfetched::Failed(error)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Poll;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn get(cached: &Cached<u32>, second: i64, look: Look, fetched: Result<u32, String>) -> Result<u32, Unfetched> {
        let got = cached.get(at(second), look, async { fetched }).now_or_never().unwrap();
        got.map(|value| *value)
    }

    #[test]
    fn what_is_held_is_used_until_it_is_old_or_lacks_something() {
        let cached = Cached::default();
        let out = || Err("out".to_string());
        assert!(matches!(get(&cached, 0, Look::Whatever, out()), Err(Unfetched::Failed(_))));
        assert!(matches!(get(&cached, 4, Look::Whatever, Ok(1)), Err(Unfetched::Lately)), "not asked again at once");
        assert_eq!(get(&cached, 5, Look::Whatever, Ok(1)).unwrap(), 1);
        assert_eq!(get(&cached, 3604, Look::Whatever, Ok(2)).unwrap(), 1);
        assert_eq!(get(&cached, 3605, Look::Whatever, Ok(2)).unwrap(), 2);
        assert_eq!(
            get(&cached, 3607, Look::ForWhatIsMissing, Ok(3)).unwrap(),
            2,
            "what lacks something is fetched again, but not at once"
        );
        assert_eq!(get(&cached, 3610, Look::ForWhatIsMissing, Ok(3)).unwrap(), 3);
        assert_eq!(get(&cached, 9000, Look::Whatever, out()).unwrap(), 3, "an outage takes nothing away");
        assert!(get(&cached, 3610 + HELD_SECS_MAX, Look::Whatever, out()).is_err(), "but for a day");
        assert_eq!(cached.last().as_deref(), Some(&3));
    }

    #[test]
    fn who_comes_waits_for_what_is_fetched_and_who_goes_takes_nothing_away() {
        let cached = Cached::<u32>::default();
        let arrived = Arc::new(AtomicBool::new(false));
        let arrives = arrived.clone();
        let fetch = std::future::poll_fn(move |_| match arrives.load(Ordering::Acquire) {
            true => Poll::Ready(Ok(7)),
            false => Poll::Pending,
        });
        assert!(cached.get(at(0), Look::Whatever, fetch).now_or_never().is_none(), "somebody comes, and goes");
        let another = || async { Err("nothing else is fetched meanwhile".to_string()) };
        assert!(cached.get(at(0), Look::Whatever, another()).now_or_never().is_none());
        arrived.store(true, Ordering::Release);
        assert_eq!(*cached.get(at(1), Look::Whatever, another()).now_or_never().unwrap().unwrap(), 7);
        assert_eq!(get(&cached, 1, Look::Whatever, Ok(8)).unwrap(), 7);
        // While somebody looks for what is missing, whoever finds what they look for waits for nothing.
        let never = std::future::pending::<Result<u32, String>>();
        assert!(cached.get(at(9), Look::ForWhatIsMissing, never).now_or_never().is_none());
        assert_eq!(get(&cached, 9, Look::Whatever, Ok(8)).unwrap(), 7);
    }
}
