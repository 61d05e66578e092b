//! The lease that an identity works under.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{Identity, Subject, TargetName, TaskId, UserName};

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
