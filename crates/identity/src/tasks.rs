//! The tasks that are alive, and the credentials that live with them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatehouse_model::{
    Budget, Identity, Origin, Spent, TargetName, Task, TaskAccount, TaskEnd, TaskId, UserName, Verifier,
};
use jiff::{SignedDuration, Timestamp};

use crate::credential::Credential;

/// What a task is started with.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Who works.
    pub identity: Identity,
    /// For whom.
    pub on_behalf_of: Option<UserName>,
    /// Where.
    pub targets: BTreeSet<TargetName>,
    /// Why.
    pub reason: String,
    /// For how long.
    pub ttl: SignedDuration,
    /// How much may be done under it.
    pub budget: Budget,
    /// What it comes from.
    pub origin: Origin,
    /// When it ends at the latest, whatever the time that it is for.
    pub until: Option<Timestamp>,
}

/// A task that was made, but is not alive before [`TaskBook::go_on`].
#[derive(Debug)]
pub struct StartedTask {
    /// The task.
    pub task: Task,
    /// Its credential, to be shown once.
    pub credential: Credential,
    /// What is kept of it.
    pub verifier: Verifier,
}

/// Why a task cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// It names no target.
    #[error("a task names at least one target: --target NAME")]
    NoTarget,
    /// It gives no reason.
    #[error("a task has a reason of 1 to 500 characters: --reason \"…\"")]
    NoReason,
    /// It would live too long, or not at all.
    #[error("a task lives between 1 s and limits.task_secs_max = {0} s")]
    Ttl(u32),
}

struct Live {
    task: Task,
    verifier: Verifier,
    account: Arc<TaskAccount>,
    pulse: Option<Pulse>,
}

/// The signs of life of whoever started a task.
struct Pulse {
    /// For how long there may be none.
    within: SignedDuration,
    last: Timestamp,
}

/// The tasks that are alive.
#[derive(Default)]
pub struct TaskBook {
    live: Mutex<HashMap<TaskId, Live>>,
}

impl Live {
    fn is_live(&self, now: Timestamp) -> bool {
        self.task.is_live(now) && self.over(now).is_none()
    }

    fn over(&self, now: Timestamp) -> Option<TaskEnd> {
        let is_silent = |pulse: &Pulse| now.duration_since(pulse.last) > pulse.within;
        if self.task.expires <= now {
            Some(TaskEnd::Expired)
        } else {
            self.pulse.as_ref().is_some_and(is_silent).then_some(TaskEnd::Abandoned)
        }
    }
}

/// A reason as it is kept, in one line; `None` if it is not of 1 to 500 characters.
pub fn reason(text: &str) -> Option<String> {
    let reason: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    (1..=500).contains(&reason.chars().count()).then_some(reason)
}

impl NewTask {
    /// Whether such a task can be; its reason, as it is kept.
    ///
    /// # Errors
    /// What is missing, or too long.
    pub fn check(&self, task_secs_max: u32) -> Result<String, TaskError> {
        if self.targets.is_empty() {
            return Err(TaskError::NoTarget);
        }
        let reason = reason(&self.reason).ok_or(TaskError::NoReason)?;
        if !(1..=i64::from(task_secs_max)).contains(&self.ttl.as_secs()) {
            return Err(TaskError::Ttl(task_secs_max));
        }
        Ok(reason)
    }

    /// Makes the task and its credential.
    pub fn start(
        self,
        now: Timestamp,
        entropy: [u8; 32],
        id: TaskId,
        task_secs_max: u32,
    ) -> Result<StartedTask, TaskError> {
        let reason = self.check(task_secs_max)?;
        let expires = now.saturating_add(self.ttl).map_err(|_| TaskError::Ttl(task_secs_max))?;
        let task = Task {
            id,
            identity: self.identity,
            on_behalf_of: self.on_behalf_of,
            targets: self.targets,
            reason,
            budget: self.budget,
            origin: self.origin,
            started: now,
            expires: self.until.map_or(expires, |until| until.min(expires)),
            ended: None,
        };
        let (credential, verifier) = Credential::issue(&task, entropy);
        Ok(StartedTask { task, credential, verifier })
    }
}

impl TaskBook {
    /// Makes a task alive, under which so much was done before. One with a heartbeat ends when [`TaskBook::beat`] is not called
    /// for so many seconds. False where what it came from is not alive: then it is not, either.
    #[must_use]
    pub fn go_on(
        &self,
        now: Timestamp,
        task: Task,
        verifier: Verifier,
        heartbeat_secs: Option<u32>,
        spent: Spent,
    ) -> bool {
        let within = heartbeat_secs.map(|secs| SignedDuration::from_secs(i64::from(secs)));
        let pulse = within.map(|within| Pulse { within, last: now });
        let mut live = self.lock();
        let parent = match &task.origin.parent {
            None => None,
            Some(parent) => match live.get(parent).filter(|parent| parent.is_live(now)) {
                Some(parent) => Some(parent.account.clone()),
                None => return false,
            },
        };
        let account = Arc::new(TaskAccount::new(task.budget.clone(), spent, parent));
        live.insert(task.id.clone(), Live { task, verifier, account, pulse });
        true
    }

    /// Takes a sign of life of whoever started a task; false if it is not alive.
    pub fn beat(&self, id: &TaskId, now: Timestamp) -> bool {
        let mut live = self.lock();
        let Some(found) = live.get_mut(id).filter(|live| live.is_live(now)) else { return false };
        if let Some(pulse) = &mut found.pulse {
            pulse.last = now;
        }
        true
    }

    /// The credential that a client logs in by: `NAME.NUMBER`, or `NAME` alone for the newest task of that name.
    pub fn credential(&self, user: &str, now: Timestamp) -> Option<(TaskId, Verifier)> {
        let live = self.lock();
        let exact = user
            .rsplit_once('.')
            .and_then(|(name, number)| Some((name, TaskId::parse(&format!("tsk-{number}")).ok()?)))
            .and_then(|(name, id)| live.get(&id).filter(|live| live.task.identity.name() == name));
        let found = match exact {
            Some(found) => Some(found),
            None => {
                let named = live.values().filter(|live| live.task.identity.name() == user && live.is_live(now));
                named.max_by(|a, b| (a.task.started, &a.task.id).cmp(&(b.task.started, &b.task.id)))
            }
        };
        let found = found.filter(|found| found.is_live(now))?;
        Some((found.task.id.clone(), found.verifier.clone()))
    }

    /// A task that is alive, with what its sessions share.
    pub fn task(&self, id: &TaskId, now: Timestamp) -> Option<(Task, Arc<TaskAccount>)> {
        let live = self.lock();
        let found = live.get(id).filter(|live| live.is_live(now))?;
        Some((found.task.clone(), found.account.clone()))
    }

    /// Ends a task, for all of its sessions at once. `None` if it is not alive.
    pub fn end(&self, id: &TaskId, now: Timestamp, cause: TaskEnd) -> Option<Task> {
        let mut found = self.lock().remove(id)?;
        found.account.end();
        found.task.ended = Some((now, cause));
        Some(found.task)
    }

    /// Tasks that are over by themselves, and why.
    pub fn over(&self, now: Timestamp) -> Vec<(TaskId, TaskEnd)> {
        let over = |live: &Live| Some((live.task.id.clone(), live.over(now)?));
        self.lock().values().filter_map(over).collect()
    }

    /// Takes it for given that whoever started the tasks is there: nobody could say so.
    pub fn renew(&self, now: Timestamp) {
        let mut live = self.lock();
        live.values_mut().filter_map(|live| live.pulse.as_mut()).for_each(|pulse| pulse.last = now);
    }

    /// How many tasks of an identity are alive, on behalf of the same person.
    pub fn count(&self, identity: &Identity, on_behalf_of: Option<&UserName>, now: Timestamp) -> usize {
        let is_its = |live: &&Live| live.task.identity == *identity && live.task.on_behalf_of.as_ref() == on_behalf_of;
        self.lock().values().filter(is_its).filter(|live| live.is_live(now)).count()
    }

    /// The tasks that are alive and came from such.
    pub fn that_came_from(&self, is_such: impl Fn(&Origin) -> bool) -> Vec<TaskId> {
        self.lock().values().filter(|live| is_such(&live.task.origin)).map(|live| live.task.id.clone()).collect()
    }

    /// Every task that is alive.
    pub fn all(&self) -> Vec<Task> {
        self.lock().values().map(|live| live.task.clone()).collect()
    }

    /// What was done so far under each task that has a budget.
    pub fn spent(&self) -> Vec<(TaskId, Spent)> {
        let live = self.lock();
        let limited = live.values().filter(|live| live.task.budget.is_limited());
        limited.map(|live| (live.task.id.clone(), live.account.spent())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(book: &TaskBook, number: u64, started: i64) -> StartedTask {
        let new = NewTask {
            identity: Identity::parse("agent:claude").unwrap(),
            on_behalf_of: None,
            targets: [TargetName::new("shop").unwrap()].into(),
            reason: "tests".into(),
            ttl: SignedDuration::from_mins(30),
            budget: Budget::default(),
            origin: Origin::default(),
            until: None,
        };
        let now = Timestamp::from_second(started).unwrap();
        let started = new.start(now, [7; 32], TaskId::from_random(number), 3600).unwrap();
        assert!(book.go_on(now, started.task.clone(), started.verifier.clone(), None, Spent::default()));
        started
    }

    #[test]
    fn a_task_with_a_heartbeat_ends_without_one() {
        let book = TaskBook::default();
        let started = start(&book, 1, 1000);
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(book.go_on(at(1000), started.task.clone(), started.verifier.clone(), Some(10), Spent::default()));
        let (id, user) = (&started.task.id, started.credential.user.as_str());
        assert!(book.credential(user, at(1010)).is_some() && book.over(at(1010)).is_empty());
        assert!(book.beat(id, at(1010)));
        assert!(book.credential(user, at(1020)).is_some());
        assert!(book.credential(user, at(1021)).is_none() && book.task(id, at(1021)).is_none());
        assert!(!book.beat(id, at(1021)), "what is over does not come back");
        assert_eq!(book.over(at(1021)), [(id.clone(), TaskEnd::Abandoned)]);
        book.renew(at(1021));
        assert!(book.over(at(1031)).is_empty());
        assert_eq!(book.over(started.task.expires), [(id.clone(), TaskEnd::Expired)]);
    }

    #[test]
    fn a_credential_lives_and_ends_with_its_task() {
        let book = TaskBook::default();
        let (old, new) = (start(&book, 1, 1000), start(&book, 2, 1001));
        let now = Timestamp::from_second(1002).unwrap();
        assert_eq!(book.count(&old.task.identity, None, now), 2);
        assert!(Credential::is_user(&old.credential.user) && !Credential::is_user("claude"));
        let password = String::from_utf8(old.credential.password.expose().to_vec()).unwrap();
        assert!(Credential::is_password(&password) && !Credential::is_password(&password[1..]));
        let task_of = |user: &str, now| book.credential(user, now).map(|(task, _)| task);
        assert_eq!(task_of(&old.credential.user, now), Some(old.task.id.clone()));
        assert_eq!(task_of("claude", now), Some(new.task.id.clone()));
        assert_eq!(task_of("other.000000000001", now), None);
        assert_eq!(task_of(&old.credential.user, old.task.expires), None);

        let (_, flag) = book.task(&old.task.id, now).unwrap();
        assert!(book.end(&old.task.id, now, TaskEnd::Revoked).is_some());
        assert!(flag.has_ended());
        assert_eq!(task_of(&old.credential.user, now), None);
    }

    #[test]
    fn tasks_without_reason_target_or_time_are_not_started() {
        let new = |targets: &[&str], reason: &str, secs| NewTask {
            identity: Identity::parse("agent:claude").unwrap(),
            on_behalf_of: None,
            targets: targets.iter().map(|name| TargetName::new(name).unwrap()).collect(),
            reason: reason.into(),
            ttl: SignedDuration::from_secs(secs),
            budget: Budget::default(),
            origin: Origin::default(),
            until: None,
        };
        let start = |new: NewTask| new.start(Timestamp::UNIX_EPOCH, [0; 32], TaskId::from_random(1), 60).err();
        assert_eq!(start(new(&[], "x", 10)), Some(TaskError::NoTarget));
        assert_eq!(start(new(&["shop"], " ", 10)), Some(TaskError::NoReason));
        assert_eq!(start(new(&["shop"], "x", 61)), Some(TaskError::Ttl(60)));
        assert_eq!(start(new(&["shop"], "x", 0)), Some(TaskError::Ttl(60)));
    }
}
