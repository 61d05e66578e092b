//! Something that was fetched from an issuer, and is fetched anew when it is old, or when it lacks what is looked for.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// How long what was fetched is used, in seconds.
const FRESH_SECS: i64 = 3600;
/// How soon it is fetched again for something that it lacks, or after a failure, in seconds.
const RETRY_SECS: i64 = 5;

/// What was fetched last.
pub(crate) struct Cached<T>(Mutex<Inner<T>>);

struct Inner<T> {
    value: Option<Arc<T>>,
    at: Option<Timestamp>,
    tried: Option<Timestamp>,
}

/// Why there is nothing: it failed just now, or did so a moment ago and is not tried again yet.
#[derive(Debug)]
pub(crate) enum Unfetched<E> {
    Failed(E),
    Lately,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(Inner { value: None, at: None, tried: None }))
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
        let (held, is_due) = {
            let mut inner = self.lock();
            let since =
                |time: Option<Timestamp>| time.map_or(i64::MAX, |time| now.duration_since(time).as_secs().abs());
            let is_old = is_lacking || since(inner.at) >= FRESH_SECS;
            let is_due = is_old && since(inner.tried) >= RETRY_SECS;
            if is_due {
                inner.tried = Some(now);
            }
            (inner.value.clone(), is_due)
        };
        if !is_due {
            return held.ok_or(Unfetched::Lately);
        }
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                let mut inner = self.lock();
                (inner.value, inner.at) = (Some(value.clone()), Some(now));
                Ok(value)
            }
            Err(error) => held.ok_or(Unfetched::Failed(error)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
}
