//! The lease that an identity works under.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::given::Given;
use crate::{ClassName, Identity, KeyId, Subject, TargetName, TaskId, UserName};

/// Why a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskEnd {
    /// Its work was done: `gatehouse run` returned, or its owner ended it.
    Done,
    /// Its time ran out.
    Expired,
    /// A person took it away.
    Revoked,
    /// Whoever started it gave no sign of life any more.
    Abandoned,
}

impl TaskEnd {
    /// The word that stands in records and on screens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Abandoned => "abandoned",
        }
    }
}

/// How much may be done under a task. What has no figure is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// Operations that pass.
    pub operations: Option<u64>,
    /// Rows that clients are sent.
    pub rows: Option<u64>,
    /// Bytes that clients are sent.
    pub bytes: Option<u64>,
    /// Different values of a class that clients see unmasked.
    pub values: BTreeMap<ClassName, u64>,
}

/// What was done under a task so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spent {
    /// Operations that passed.
    pub operations: u64,
    /// Rows that clients were sent.
    pub rows: u64,
    /// Bytes that clients were sent.
    pub bytes: u64,
    /// Different values of the classes that have a figure.
    pub values: BTreeMap<ClassName, u64>,
}

/// The most different values of a class that a budget can name: they are all kept, as hashes.
pub const BUDGET_VALUES_MAX: u64 = 1_000_000;

/// Different values of classes, each as a keyed hash of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<ClassName, HashSet<u64>>);

impl Values {
    /// One more value of a class.
    pub fn add(&mut self, class: &ClassName, hash: u64) {
        match self.0.get_mut(class) {
            Some(hashes) => {
                hashes.insert(hash);
            }
            None => {
                self.0.insert(class.clone(), HashSet::from([hash]));
            }
        }
    }
}

impl Budget {
    /// Whether anything is limited.
    pub fn is_limited(&self) -> bool {
        *self != Self::default()
    }

    /// Whether more was done than there is.
    fn is_overdrawn(&self, spent: &Spent) -> bool {
        let is_more = |(limit, spent): (Option<u64>, u64)| limit.is_some_and(|limit| spent > limit);
        let seen = |class: &ClassName| spent.values.get(class).copied().unwrap_or_default();
        [(self.operations, spent.operations), (self.rows, spent.rows), (self.bytes, spent.bytes)]
            .into_iter()
            .any(is_more)
            || self.values.iter().any(|(class, limit)| seen(class) > *limit)
    }

    /// What is used up, in words; `None` while nothing is.
    pub fn used_up(&self, spent: &Spent) -> Option<String> {
        self.reached(spent).map(|reached| format!("the task's budget is used up: {reached}"))
    }

    /// The figures that are reached.
    fn reached(&self, spent: &Spent) -> Option<String> {
        let parts = [
            (self.operations, spent.operations, "operations"),
            (self.rows, spent.rows, "rows"),
            (self.bytes, spent.bytes, "bytes"),
        ];
        let figures = parts.iter().filter_map(|(limit, spent, what)| {
            let limit = limit.filter(|limit| spent >= limit)?;
            Some(format!("{spent} of {limit} {what}"))
        });
        let values = self.values.iter().filter_map(|(class, limit)| {
            let seen = spent.values.get(class).copied().unwrap_or_default();
            (seen >= *limit).then(|| format!("{seen} of {limit} different values of {class}"))
        });
        let used_up: Vec<String> = figures.chain(values).collect();
        (!used_up.is_empty()).then(|| used_up.join(", "))
    }
}

/// The different values of a class that were seen under a task.
#[derive(Debug, Default)]
struct Seen {
    /// How many before the gateway started; which they were is not kept.
    before: u64,
    since: HashSet<u64>,
}

impl Seen {
    fn count(&self) -> u64 {
        self.before + self.since.len() as u64
    }
}

/// What all sessions of a live task share: whether it has ended, and what was done under it.
#[derive(Debug, Default)]
pub struct TaskAccount {
    budget: Budget,
    /// That of the task which this one came from: what is done here is done there, too.
    within: Option<Arc<TaskAccount>>,
    ended: AtomicBool,
    operations: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    values: Mutex<BTreeMap<ClassName, Seen>>,
    given: Mutex<Given>,
}

impl TaskAccount {
    /// Of a task with this budget, under which so much was done before; within that of the task that it came from.
    pub fn new(budget: Budget, spent: Spent, within: Option<Arc<Self>>) -> Self {
        let values = budget.values.keys().map(|class| {
            let before = spent.values.get(class).copied().unwrap_or_default();
            (class.clone(), Seen { before, since: HashSet::new() })
        });
        Self {
            values: Mutex::new(values.collect()),
            given: Mutex::default(),
            budget,
            within,
            ended: AtomicBool::new(false),
            operations: AtomicU64::new(spent.operations),
            rows: AtomicU64::new(spent.rows),
            bytes: AtomicU64::new(spent.bytes),
        }
    }

    /// The task has ended, for every session of it.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether it has.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// This one, and those that it is within.
    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |account| account.within.as_deref())
    }

    /// Whether anything is limited.
    pub fn is_limited(&self) -> bool {
        self.all().any(|account| account.budget.is_limited())
    }

    /// Whether it matters of any class how many different values are seen.
    pub fn limits_values(&self) -> bool {
        self.all().any(|account| !account.budget.values.is_empty())
    }

    /// Whether it matters how many different values of a class are seen.
    pub fn limits(&self, class: &ClassName) -> bool {
        self.all().any(|account| account.budget.values.contains_key(class))
    }

    /// One more operation passed.
    pub fn add_operation(&self) {
        for account in self.all() {
            account.operations.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A client was sent more.
    pub fn add_shown(&self, rows: u64, bytes: u64, values: &Values) {
        for account in self.all() {
            account.rows.fetch_add(rows, Ordering::Relaxed);
            account.bytes.fetch_add(bytes, Ordering::Relaxed);
            if values.0.is_empty() {
                continue;
            }
            let mut seen = account.lock();
            for (class, values) in &values.0 {
                let Some(seen) = seen.get_mut(class) else { continue };
                // Beyond the limit it matters no more which they are.
                let limit = account.budget.values.get(class).copied().unwrap_or_default();
                for value in values {
                    if seen.count() <= limit {
                        seen.since.insert(*value);
                    }
                }
            }
        }
    }

    /// What is used up, in words; `None` while nothing is.
    pub fn used_up(&self) -> Option<String> {
        self.all().find_map(|account| account.budget.used_up(&account.spent()))
    }

    /// What would be more than there is if a client were sent this, in words; `None` if nothing is.
    pub fn overdrawn_by(&self, rows: u64, bytes: u64, values: &Values) -> Option<String> {
        self.all().find_map(|account| {
            let mut would = account.spent();
            would.rows += rows;
            would.bytes += bytes;
            // Operations are judged before they pass.
            would.operations = 0;
            let seen = account.lock();
            for (class, values) in &values.0 {
                if let (Some(seen), Some(count)) = (seen.get(class), would.values.get_mut(class)) {
                    *count += values.difference(&seen.since).count() as u64;
                }
            }
            let reached = account.budget.reached(&would).filter(|_| account.budget.is_overdrawn(&would));
            reached.map(|reached| format!("with it, the task would have had {reached}"))
        })
    }

    /// What was done so far.
    pub fn spent(&self) -> Spent {
        Spent {
            operations: self.operations.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            values: self.lock().iter().map(|(class, seen)| (class.clone(), seen.count())).collect(),
        }
    }

    /// The pseudonyms that were given under the task.
    pub fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClassName, Seen>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a task came from, beyond who works and for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who acted before who works now, the last of them first (`act` of RFC 8693, section 4.1).
    pub actors: Vec<String>,
    /// The task whose token was handed on: this one ends with it.
    pub parent: Option<TaskId>,
    /// The static key that it was started with.
    pub key: Option<KeyId>,
    /// Whether the person whom it is for named who may act for them, so that it is not handed on.
    pub is_bound: bool,
}

/// A task as it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id, which joins everything done under it.
    pub id: TaskId,
    /// Who works.
    pub identity: Identity,
    /// For whom.
    pub on_behalf_of: Option<UserName>,
    /// Where it may work.
    pub targets: BTreeSet<TargetName>,
    /// Why, in the words of who asked.
    pub reason: String,
    /// How much may be done under it.
    pub budget: Budget,
    /// What it came from.
    pub origin: Origin,
    /// When it began.
    pub started: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// Whether and why it ended before.
    pub ended: Option<(Timestamp, TaskEnd)>,
}

impl Task {
    /// True while its credentials may be used.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.expires
    }
}

/// A live task with its subject resolved: what a session is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub task: Task,
    /// Who works and for whom, with their groups as the configuration has them now.
    pub subject: Subject,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_used_up_when_one_of_its_figures_is() {
        let budget = Budget { operations: Some(2), rows: Some(10), ..Budget::default() };
        let said = |operations, rows, bytes| budget.used_up(&Spent { operations, rows, bytes, ..Spent::default() });
        assert_eq!(said(1, 9, u64::MAX), None);
        assert_eq!(said(2, 9, 0).as_deref(), Some("the task's budget is used up: 2 of 2 operations"));
        assert_eq!(said(3, 12, 0).as_deref(), Some("the task's budget is used up: 3 of 2 operations, 12 of 10 rows"));
        assert!(budget.is_limited() && !Budget::default().is_limited());
        assert!(Budget { rows: Some(0), ..Budget::default() }.used_up(&Spent::default()).is_some());
        let account = TaskAccount::new(Budget::default(), Spent { operations: 1, rows: 2, ..Spent::default() }, None);
        account.add_operation();
        account.add_shown(1, 4, &Values::default());
        assert_eq!(account.spent(), Spent { operations: 2, rows: 3, bytes: 4, ..Spent::default() });
        account.end();
        assert!(account.has_ended());
    }

    #[test]
    fn different_values_count_once_and_those_before_a_restart_anew() {
        let email = ClassName::new("email").unwrap();
        let budget = Budget { values: [(email.clone(), 3)].into(), ..Budget::default() };
        let before = Spent { values: [(email.clone(), 1)].into(), ..Spent::default() };
        let account = TaskAccount::new(budget, before, None);
        let other = ClassName::new("phone").unwrap();
        assert!(account.limits(&email) && !account.limits(&other));
        let values = |hashes: &[u64]| Values([(email.clone(), hashes.iter().copied().collect())].into());
        account.add_shown(1, 1, &values(&[7]));
        assert_eq!(account.overdrawn_by(1, 1, &values(&[7, 8])), None);
        let more = account.overdrawn_by(1, 1, &values(&[7, 8, 9]));
        assert_eq!(more.as_deref(), Some("with it, the task would have had 4 of 3 different values of email"));
        account.add_shown(1, 1, &values(&[7, 8, 7, 8]));
        assert_eq!(
            account.used_up().as_deref(),
            Some("the task's budget is used up: 3 of 3 different values of email")
        );
        // How far beyond it goes is not kept.
        account.add_shown(1, 1, &values(&(100..200).collect::<Vec<_>>()));
        assert_eq!(account.spent().values, [(email, 4)].into());
    }

    #[test]
    fn what_is_done_under_a_task_is_done_under_that_which_it_came_from() {
        let budget = |rows| Budget { rows: Some(rows), ..Budget::default() };
        let parent = Arc::new(TaskAccount::new(budget(10), Spent::default(), None));
        let child = TaskAccount::new(Budget::default(), Spent::default(), Some(parent.clone()));
        assert!(child.is_limited());
        child.add_shown(8, 0, &Values::default());
        assert_eq!((parent.spent().rows, child.used_up()), (8, None));
        assert!(child.overdrawn_by(3, 0, &Values::default()).is_some());
        parent.add_shown(2, 0, &Values::default());
        assert_eq!(child.used_up().as_deref(), Some("the task's budget is used up: 10 of 10 rows"));
    }
}
