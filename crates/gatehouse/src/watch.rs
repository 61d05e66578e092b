//! What changes while somebody looks: the names of things, as the index learns of them.
//!
//! Nothing waits for those who look. Who may know of what is asked anew for each thing, and a stream ends after a while,
//! so that whoever lost a part in something hears no more of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use gatehouse_api::{Caller, ChangeView, Problem};
use gatehouse_store::Change;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, sleep, timeout_at};

use crate::control::ApiControl;

/// How many may look at a time, all and one of them.
const WATCHERS_MAX: usize = 256;
const WATCHERS_OF_ONE_MAX: usize = 8;
/// How many changes wait for somebody who is slow; of more, they are told that everything may have changed.
pub(crate) const CHANGES_MAX: usize = 1_024;
/// How long changes are gathered, so that what comes together is told once.
const GATHERED: Duration = Duration::from_millis(50);

/// What a change of the index is to those who look.
pub(crate) fn told(change: &Change) -> Option<ChangeView> {
    let of = |kind: &str, id: &String| Some(ChangeView { kind: kind.into(), id: Some(id.clone()) });
    let whole = |kind: &str| Some(ChangeView { kind: kind.into(), id: None });
    match change {
        Change::TaskStarted { task, .. } => of("task", &task.id),
        Change::TaskEnded { task, .. } => of("task", task),
        Change::SessionOpened(session) => of("session", &session.id),
        Change::Operations { session, .. } | Change::SessionClosed { session, .. } => of("session", session),
        Change::RequestOpened(request) => of("request", &request.id),
        Change::RequestAnswered { request, .. } | Change::RequestEnded { request, .. } => of("request", request),
        Change::PoliciesLoaded(_) => whole("policies"),
        Change::LockdownBegun(_) | Change::LockdownLifted { .. } => whole("lockdowns"),
        Change::KeyIssued(_)
        | Change::KeyEnded { .. }
        | Change::DescriptionTold { .. }
        | Change::DescriptionAccepted { .. } => None,
    }
}

/// How many of each caller look.
#[derive(Clone, Default)]
pub(crate) struct Watchers(Arc<Mutex<HashMap<Caller, usize>>>);

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, HashMap<Caller, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more, if there is any.
    fn place(&self, caller: &Caller) -> Option<Place> {
        let mut places = self.lock();
        let all: usize = places.values().sum();
        let own = places.get(caller).copied().unwrap_or_default();
        if all >= WATCHERS_MAX || own >= WATCHERS_OF_ONE_MAX {
            return None;
        }
        places.insert(caller.clone(), own + 1);
        drop(places);
        Some(Place { watchers: self.clone(), caller: caller.clone() })
    }
}

/// A place of somebody who looks, which is free again once they do not.
struct Place {
    watchers: Watchers,
    caller: Caller,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.watchers.lock();
        match places.get_mut(&self.caller) {
            Some(own) if *own > 1 => *own -= 1,
            Some(_) | None => drop(places.remove(&self.caller)),
        }
    }
}

/// Somebody who looks.
struct Watcher {
    control: ApiControl,
    caller: Caller,
    changes: broadcast::Receiver<ChangeView>,
    until: Instant,
    _place: Place,
}

impl Watcher {
    /// What changed next, of what the caller may know; `None` when the stream ends.
    async fn next(&mut self) -> Option<Vec<ChangeView>> {
        let mut gathered = BTreeSet::new();
        match timeout_at(self.until, self.changes.recv()).await {
            Err(_) | Ok(Err(RecvError::Closed)) => return None,
            Ok(Err(RecvError::Lagged(_))) => return Some(vec![ChangeView { kind: "all".into(), id: None }]),
            Ok(Ok(change)) => gathered.insert(change),
        };
        sleep(GATHERED).await;
        loop {
            match self.changes.try_recv() {
                Ok(change) => gathered.insert(change),
                Err(TryRecvError::Lagged(_)) => return Some(vec![ChangeView { kind: "all".into(), id: None }]),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            };
        }
        let mut seen = Vec::new();
        for change in gathered {
            if self.control.sees_change(&self.caller, &change).await {
                seen.push(change);
            }
        }
        Some(seen)
    }
}

/// What changes from now on, of what the caller may know.
pub(crate) fn watch(
    control: &ApiControl,
    caller: Caller,
    within: Duration,
) -> Result<BoxStream<'static, ChangeView>, Problem> {
    let place = control.state.watchers.place(&caller);
    let place = place.ok_or_else(|| Problem::too_many("too many look at changes already").retry_after(10))?;
    let changes = control.state.indexer.stirred.subscribe();
    let watcher = Watcher { control: control.clone(), caller, changes, until: Instant::now() + within, _place: place };
    let told = stream::unfold(watcher, |mut watcher| async { watcher.next().await.map(|seen| (seen, watcher)) });
    Ok(told.flat_map(stream::iter).boxed())
}

#[cfg(test)]
mod tests {
    use gatehouse_api::Shown;
    use gatehouse_model::UserName;

    use super::*;

    #[test]
    fn nobody_takes_the_places_of_others() {
        let watchers = Watchers::default();
        let user = |name: &str| Caller::User(UserName::new(name).unwrap(), Shown::Cookie);
        let (sam, dana) = (user("sam"), user("dana"));
        let mut taken: Vec<Place> = (0..WATCHERS_OF_ONE_MAX).filter_map(|_| watchers.place(&sam)).collect();
        assert_eq!(taken.len(), WATCHERS_OF_ONE_MAX);
        assert!(watchers.place(&sam).is_none());
        assert!(watchers.place(&dana).is_some());
        taken.pop();
        assert!(watchers.place(&sam).is_some(), "a place that was left is free");
        drop(taken);
        assert!(watchers.lock().is_empty());
        let all: Vec<Place> =
            (0..WATCHERS_MAX).filter_map(|number| watchers.place(&user(&format!("u{number}")))).collect();
        assert_eq!(all.len(), WATCHERS_MAX);
        assert!(watchers.place(&dana).is_none(), "there are so many in all");
    }
}
