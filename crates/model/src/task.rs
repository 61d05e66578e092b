//! The lease that an identity works under.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;

use crate::{Identity, KeyId, Subject, TargetName, TaskId, UserName};

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Operations that pass.
    pub operations: Option<u64>,
    /// Rows that clients are sent.
    pub rows: Option<u64>,
    /// Bytes that clients are sent.
    pub bytes: Option<u64>,
}

/// What was done under a task so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Operations that passed.
    pub operations: u64,
    /// Rows that clients were sent.
    pub rows: u64,
    /// Bytes that clients were sent.
    pub bytes: u64,
}

impl Budget {
    /// Whether anything is limited.
    pub fn is_limited(&self) -> bool {
        *self != Self::default()
    }

    /// What is used up, in words; `None` while nothing is.
    pub fn used_up(&self, spent: &Spent) -> Option<String> {
        let parts = [
            (self.operations, spent.operations, "operations"),
            (self.rows, spent.rows, "rows"),
            (self.bytes, spent.bytes, "bytes"),
        ];
        let used_up = parts.iter().filter_map(|(limit, spent, what)| {
            let limit = limit.filter(|limit| spent >= limit)?;
            Some(format!("{spent} of {limit} {what}"))
        });
        let used_up: Vec<String> = used_up.collect();
        (!used_up.is_empty()).then(|| format!("the task's budget is used up: {}", used_up.join(", ")))
    }
}

/// What all sessions of a live task share: whether it has ended, and what was done under it.
#[derive(Debug, Default)]
pub struct Account {
    ended: AtomicBool,
    operations: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Account {
    /// Of a task under which so much was done before.
    pub fn of(spent: Spent) -> Self {
        Self {
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

    /// More was done.
    pub fn add(&self, more: Spent) {
        self.operations.fetch_add(more.operations, Ordering::Relaxed);
        self.rows.fetch_add(more.rows, Ordering::Relaxed);
        self.bytes.fetch_add(more.bytes, Ordering::Relaxed);
    }

    /// What was done so far.
    pub fn spent(&self) -> Spent {
        Spent {
            operations: self.operations.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
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
        let budget = Budget { operations: Some(2), rows: Some(10), bytes: None };
        let said = |operations, rows, bytes| budget.used_up(&Spent { operations, rows, bytes });
        assert_eq!(said(1, 9, u64::MAX), None);
        assert_eq!(said(2, 9, 0).as_deref(), Some("the task's budget is used up: 2 of 2 operations"));
        assert_eq!(said(3, 12, 0).as_deref(), Some("the task's budget is used up: 3 of 2 operations, 12 of 10 rows"));
        assert!(budget.is_limited() && !Budget::default().is_limited());
        assert!(Budget { rows: Some(0), ..Budget::default() }.used_up(&Spent::default()).is_some());
        let account = Account::of(Spent { operations: 1, rows: 2, bytes: 3 });
        account.add(Spent { operations: 1, rows: 1, bytes: 1 });
        assert_eq!(account.spent(), Spent { operations: 2, rows: 3, bytes: 4 });
        account.end();
        assert!(account.has_ended());
    }
}
