//! The places for connections at one listener. Those that proved nothing have places of their own and make room for each
//! other, the oldest first, so that whoever does no more than connect keeps nobody out.
//!
//! Knows nothing of sockets: whoever has a place waits, beside its own work, for being told that it lost it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatehouse_model::{Denial, Reason};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// All places of a listener.
pub(crate) struct Places {
    logins_max: usize,
    /// For those that proved who they are: nobody takes theirs.
    proven: Arc<Semaphore>,
    unproven: Mutex<Unproven>,
}

/// Those that proved nothing so far.
#[derive(Default)]
struct Unproven {
    /// By when they came: whoever is first has waited longest.
    waiting: BTreeMap<u64, Arc<Notify>>,
    /// How many have come.
    arrived: u64,
}

/// The place of one connection, which is free again when this is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
    lost: Arc<Notify>,
    proven: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Places {
    pub(crate) fn new(logins_max: usize, connections_max: usize) -> Arc<Self> {
        Arc::new(Self {
            logins_max: logins_max.max(1),
            proven: Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))),
            unproven: Mutex::default(),
        })
    }

    /// Gives a place to a connection that proved nothing yet; the one that waited longest loses its own where there is no other.
    pub(crate) fn enter(self: &Arc<Self>) -> Place {
        let lost = Arc::new(Notify::new());
        let mut unproven = lock(&self.unproven);
        while unproven.waiting.len() >= self.logins_max
            && let Some((_, oldest)) = unproven.waiting.pop_first()
        {
            metrics::counter!("gatehouse_logins_ended_total").increment(1);
            oldest.notify_one();
        }
        unproven.arrived += 1;
        let number = unproven.arrived;
        unproven.waiting.insert(number, lost.clone());
        drop(unproven);
        Place { places: self.clone(), number, lost, proven: Mutex::default() }
    }
}

impl Place {
    /// Ready when a newer connection has this place; never once it is proven.
    pub(crate) async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Whoever is here proved who they are, and from now on makes room for nobody; again does nothing.
    ///
    /// # Errors
    /// As many as may be here are, or the place was lost just before.
    pub(crate) fn prove(&self) -> Result<(), Denial> {
        let mut proven = lock(&self.proven);
        if proven.is_some() {
            return Ok(());
        }
        let permit = self.places.proven.clone().try_acquire_owned().map_err(|_| full())?;
        if lock(&self.places.unproven).waiting.remove(&self.number).is_none() {
            return Err(late());
        }
        *proven = Some(permit);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places.unproven).waiting.remove(&self.number);
    }
}

fn full() -> Denial {
    metrics::counter!("gatehouse_connections_refused_total").increment(1);
    tracing::warn!("limits.connections_max is reached; a client that logged in was refused");
    Denial::new(
        Reason::Full,
        "there are too many connections already",
        "this listener of the gateway has as many as limits.connections_max permits",
        "Close those that are not needed, or ask the operator of the gateway for more",
    )
}

fn late() -> Denial {
    Denial::new(
        Reason::Full,
        "too many connections log in at a time",
        "newer ones took the place of this one while it logged in: limits.logins_max is reached",
        "Connect again",
    )
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn is_lost(place: &Place) -> bool {
        place.lost().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_that_proved_nothing_makes_room() {
        let places = Places::new(2, 10);
        let (first, second) = (places.enter(), places.enter());
        assert!(!is_lost(&first) && !is_lost(&second));
        let third = places.enter();
        assert!(is_lost(&first) && !is_lost(&second) && !is_lost(&third));
        let fourth = places.enter();
        assert!(is_lost(&second) && !is_lost(&third) && !is_lost(&fourth));
        assert_eq!(first.prove().map_err(|denial| denial.message), Err("too many connections log in at a time".into()));
        assert_eq!(places.proven.available_permits(), 10, "what is lost takes no other place");
    }

    #[test]
    fn whoever_leaves_or_proves_makes_room_too() {
        let places = Places::new(2, 10);
        let first = places.enter();
        drop(places.enter());
        let second = places.enter();
        assert!(!is_lost(&first), "one left");
        second.prove().unwrap();
        let third = places.enter();
        assert!(!is_lost(&first), "one stays elsewhere");
        drop((first, second, third));
        assert!(lock(&places.unproven).waiting.is_empty());
        assert_eq!(places.proven.available_permits(), 10);
    }

    #[test]
    fn whoever_is_proven_makes_room_for_nobody() {
        let places = Places::new(1, 2);
        let first = places.enter();
        first.prove().unwrap();
        first.prove().unwrap();
        let second = places.enter();
        second.prove().unwrap();
        let crowd: Vec<Place> = (0..100).map(|_| places.enter()).collect();
        assert_eq!(crowd.iter().filter(|place| !is_lost(place)).count(), 1);
        assert!(!is_lost(&first) && !is_lost(&second));
        let third = places.enter();
        assert_eq!(third.prove().map_err(|denial| denial.reason), Err(Reason::Full));
        drop(first);
        third.prove().unwrap();
        assert!(!is_lost(&third));
    }
}
