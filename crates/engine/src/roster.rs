//! The sessions that live now, and how to reach each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatehouse_gate::Grant;
use gatehouse_model::{Denial, SessionId, TargetName, TaskId};
use gatehouse_protocol::CancelKey;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

/// The gauge of those that are open: whatever ends a session, a panic too, takes it from its seat.
const SESSIONS_OPEN: &str = "gatehouse_sessions_open";

/// What a session is told from outside.
#[derive(Debug)]
pub(crate) enum Signal {
    /// End, with these last words. Boxed, for every session keeps room for some signals.
    End(Box<Denial>),
    /// The work under its task is done: end, with these last words for a client that has not left by itself.
    Done(Box<Denial>),
    /// The client wants what runs to be cancelled, and waits until this is dropped: then the target has heard of it, and
    /// what the client sends next is not meant.
    Cancel(oneshot::Sender<()>),
}

/// A session as listings show it.
#[derive(Debug, Clone)]
pub struct LiveSession {
    /// Its id.
    pub id: SessionId,
    /// Its task.
    pub task: TaskId,
    /// Its target.
    pub target: TargetName,
    /// When it was opened.
    pub opened: Timestamp,
}

struct Seat {
    session: LiveSession,
    signals: mpsc::UnboundedSender<Signal>,
    cancel: CancelKey,
}

/// All sessions that live now.
#[derive(Default)]
pub struct Roster {
    seats: Mutex<HashMap<SessionId, Seat>>,
}

/// A session's place on the roster; it leaves when this is dropped.
pub(crate) struct Seated {
    roster: Arc<Roster>,
    id: SessionId,
    pub(crate) signals: mpsc::UnboundedReceiver<Signal>,
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.roster.lock().remove(&self.id);
        metrics::gauge!(SESSIONS_OPEN).decrement(1);
    }
}

impl Roster {
    pub(crate) fn seat(self: &Arc<Self>, grant: &Grant, opened: Timestamp, cancel: CancelKey) -> Seated {
        let (sender, signals) = mpsc::unbounded_channel();
        let id = grant.session().clone();
        let session = LiveSession {
            id: id.clone(),
            task: grant.lease().task.id.clone(),
            target: grant.target().name.clone(),
            opened,
        };
        self.lock().insert(id.clone(), Seat { session, signals: sender, cancel });
        metrics::gauge!(SESSIONS_OPEN).increment(1);
        Seated { roster: self.clone(), id, signals }
    }

    /// The sessions that live now, oldest first.
    pub fn sessions(&self) -> Vec<LiveSession> {
        let mut sessions: Vec<LiveSession> = self.lock().values().map(|seat| seat.session.clone()).collect();
        sessions.sort_by(|a, b| (a.opened, &a.id).cmp(&(b.opened, &b.id)));
        sessions
    }

    /// Ends one session; false if it does not live.
    pub fn end_session(&self, id: &SessionId, denial: &Denial) -> bool {
        match self.lock().get(id) {
            Some(seat) => seat.signals.send(Signal::End(Box::new(denial.clone()))).is_ok(),
            None => false,
        }
    }

    /// Ends every session that `matches`; returns how many.
    pub fn end_where(&self, denial: &Denial, matches: impl Fn(&LiveSession) -> bool) -> usize {
        self.tell(matches, || Signal::End(Box::new(denial.clone())))
    }

    /// Ends the sessions of a task whose work is done.
    pub(crate) fn finish(&self, task: &TaskId, denial: &Denial) {
        self.tell(|session| session.task == *task, || Signal::Done(Box::new(denial.clone())));
    }

    fn tell(&self, matches: impl Fn(&LiveSession) -> bool, signal: impl Fn() -> Signal) -> usize {
        let seats = self.lock();
        let told = seats.values().filter(|seat| matches(&seat.session));
        // A session that cannot be told any more is ending already.
        told.filter(|seat| seat.signals.send(signal()).is_ok()).count()
    }

    /// Tells the session that this key names; a key that names none is nobody's business. What is returned ends when
    /// that is done.
    pub(crate) fn cancel(&self, key: &CancelKey) -> Option<oneshot::Receiver<()>> {
        let seats = self.lock();
        let seat = seats.values().find(|seat| seat.cancel == *key)?;
        let (done, told) = oneshot::channel();
        seat.signals.send(Signal::Cancel(done)).ok()?;
        Some(told)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
