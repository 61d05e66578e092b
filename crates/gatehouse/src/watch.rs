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
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
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

/// Those who look.
#[derive(Clone, Default)]
pub(crate) struct Watchers(Arc<Mutex<HashMap<Caller, Looking>>>);

/// How many of one caller look, and how they are told to come again.
#[derive(Default)]
struct Looking {
    count: usize,
    cut: watch::Sender<()>,
}

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, HashMap<Caller, Looking>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every stream of somebody who signed out somewhere: where they are still signed in, they come again.
    pub(crate) fn cut(&self, caller: &Caller) {
        if let Some(looking) = self.lock().get(caller) {
            looking.cut.send_replace(());
        }
    }

    /// A place for one more, if there is any.
    fn place(&self, caller: &Caller) -> Option<Place> {
        let mut places = self.lock();
        let all: usize = places.values().map(|looking| looking.count).sum();
        let own = places.get(caller).map_or(0, |looking| looking.count);
        if all >= WATCHERS_MAX || own >= WATCHERS_OF_ONE_MAX {
            return None;
        }
        let looking = places.entry(caller.clone()).or_default();
        looking.count += 1;
        let cut = looking.cut.subscribe();
        drop(places);
        Some(Place { watchers: self.clone(), caller: caller.clone(), cut })
    }
}

/// A place of somebody who looks, which is free again once they do not.
struct Place {
    watchers: Watchers,
    caller: Caller,
    cut: watch::Receiver<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.watchers.lock();
        match places.get_mut(&self.caller) {
            Some(looking) if looking.count > 1 => looking.count -= 1,
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
    place: Place,
}

impl Watcher {
    /// What changed next, of what the caller may know; `None` when the stream ends.
    async fn next(&mut self) -> Option<Vec<ChangeView>> {
        let mut gathered = BTreeSet::new();
        let change = tokio::select! {
            biased;
            _ = self.place.cut.changed() => return None,
            change = timeout_at(self.until, self.changes.recv()) => change,
        };
        match change {
            Err(_) | Ok(Err(RecvError::Closed)) => return None,
            Ok(Err(RecvError::Lagged(_))) => return Some(vec![ChangeView { kind: "all".into(), id: None }]),
            Ok(Ok(change)) => gathered.insert(change),
        };
        sleep(GATHERED).await;
        if self.place.cut.has_changed().unwrap_or(true) {
            return None;
        }
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
    let watcher = Watcher { control: control.clone(), caller, changes, until: Instant::now() + within, place };
    let told = stream::unfold(watcher, |mut watcher| async { watcher.next().await.map(|seen| (seen, watcher)) });
    Ok(told.flat_map(stream::iter).boxed())
}

#[cfg(test)]
mod tests {
    use gatehouse_api::Shown;
    use gatehouse_model::UserName;

    use super::*;

    fn caller(name: &str) -> Caller {
        Caller::User(UserName::new(name).unwrap(), Shown::Cookie)
    }

    #[test]
    fn who_signed_out_is_cut_off_and_nobody_else() {
        let watchers = Watchers::default();
        let [sam, again, dana] = ["sam", "sam", "dana"].map(|name| watchers.place(&caller(name)).unwrap());
        watchers.cut(&caller("sam"));
        assert!([&sam, &again].into_iter().all(|place| place.cut.has_changed().unwrap()));
        assert!(!dana.cut.has_changed().unwrap());
        assert!(!watchers.place(&caller("sam")).unwrap().cut.has_changed().unwrap(), "whoever comes again is let in");
    }

    #[test]
    fn nobody_takes_the_places_of_others() {
        let watchers = Watchers::default();
        let user = caller;
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
