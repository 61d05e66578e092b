//! The index: tasks, sessions and requests as the journal tells them, ready to be looked up.
//!
//! Knows SQL, nothing of policy or of the journal's format. The journal is the truth; what is here can be rebuilt from
//! it, but for credentials' verifiers, tokens' hashes and what providers say of people, whose loss only closes doors. [`Backend`] is the seam where
//! another database enters.

mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gatehouse_model::{Budget, GroupName, Origin, Spent, TaskId, UserName, Verifier};
use jiff::Timestamp;

pub use sqlite::Sqlite;

/// The index could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the index database failed: {0}")]
    Database(String),
    /// A row is not what was written.
    #[error("the index database holds what Gatehouse did not write: {0}")]
    Corrupt(String),
}

/// A task, as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Its id.
    pub id: String,
    /// Who works.
    pub identity: String,
    /// For whom.
    pub on_behalf_of: Option<String>,
    /// Where.
    pub targets: Vec<String>,
    /// Why.
    pub reason: String,
    /// How much may be done under it.
    pub budget: Budget,
    /// What it came from.
    pub origin: Origin,
    /// When it began.
    pub started: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// When and why it ended before.
    pub ended: Option<(Timestamp, String)>,
    /// Who ended it, and what they said of it.
    pub ended_by: Option<String>,
    /// Who started it.
    pub started_by: String,
}

/// A session, as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// Its task.
    pub task: String,
    /// Who works.
    pub identity: String,
    /// For whom.
    pub on_behalf_of: Option<String>,
    /// Where.
    pub target: String,
    /// From which address.
    pub peer: String,
    /// The static key that its task was started with.
    pub key: Option<String>,
    /// When it was opened.
    pub opened: Timestamp,
    /// When and why it ended.
    pub closed: Option<(Timestamp, String)>,
    /// How many operations it had.
    pub operations: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// How many rows the client was sent.
    pub rows: u64,
    /// How many values were masked.
    pub masked: u64,
    /// The same by class, once it has ended; 0 for a class whose values were only shown as they are.
    pub classes: BTreeMap<String, u64>,
    /// The file of its recording.
    pub recording: Option<String>,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedRow {
    /// An operation.
    Operation {
        /// The session that asked.
        session: String,
        /// Its task.
        task: String,
        /// Where.
        target: String,
        /// The bind values, as evidence keeps them.
        binds: Vec<String>,
        /// `wait` or `refuse`.
        mode: String,
    },
    /// A task.
    Task {
        /// Where.
        targets: Vec<String>,
        /// For how many seconds.
        ttl_secs: u32,
        /// Who asked, by which way.
        by: String,
        /// How much is to be done under it.
        budget: Budget,
        /// The targets and the seconds that are granted, where those are less.
        granted: Option<(Vec<String>, u32)>,
    },
}

/// A request, as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Its id.
    pub id: String,
    /// What it asks for.
    pub asked: AskedRow,
    /// Who asks.
    pub identity: String,
    /// For whom.
    pub on_behalf_of: Option<String>,
    /// A word or two.
    pub title: String,
    /// The statement, as evidence keeps it; of a task, the reason.
    pub statement: String,
    /// What it wants.
    pub accesses: Vec<String>,
    /// What policies could test.
    pub facts: BTreeMap<String, serde_json::Value>,
    /// What whoever decided was told that it would do.
    pub impact: Vec<String>,
    /// How many of which groups must approve.
    pub needs: BTreeMap<String, u32>,
    /// Why it is held.
    pub reasons: Vec<String>,
    /// The policies that hold it.
    pub policies: Vec<String>,
    /// What an approval binds to.
    pub digest: String,
    /// When it was filed.
    pub opened: Timestamp,
    /// When it lapses.
    pub expires: Timestamp,
    /// Where it stands.
    pub state: String,
    /// Until when an approval can be used.
    pub approved_until: Option<Timestamp>,
    /// Who approved, by group.
    pub approvals: BTreeMap<String, BTreeSet<String>>,
    /// What the last answer said.
    pub answer_reason: Option<String>,
    /// Who gave it, as `user:NAME`.
    pub answered_by: Option<String>,
}

/// A static key of an agent, as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// Whose it is, as `agent:NAME`.
    pub identity: String,
    /// The targets that tasks may be started for with it.
    pub targets: Vec<String>,
    /// Why there is one.
    pub reason: String,
    /// When it was issued.
    pub created: Timestamp,
    /// Until when it is good.
    pub expires: Timestamp,
    /// Who issued it.
    pub created_by: String,
    /// When and why it ended.
    pub ended: Option<(Timestamp, String)>,
}

/// What one record of the journal changes in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A task began.
    TaskStarted {
        /// The task.
        task: Box<TaskRow>,
        /// The request whose approval it used.
        approval: Option<String>,
    },
    /// A task ended.
    TaskEnded {
        /// Which.
        task: String,
        /// When.
        at: Timestamp,
        /// Why.
        cause: String,
        /// Who ended it, and what they said of it.
        by: String,
    },
    /// A static key was issued.
    KeyIssued(Box<KeyRow>),
    /// It is good no more.
    KeyEnded {
        /// Which.
        key: String,
        /// When.
        at: Timestamp,
        /// Why.
        cause: String,
    },
    /// Policies took effect.
    PoliciesLoaded(Box<RevisionRow>),
    /// Something was shut.
    LockdownBegun(Box<LockdownRow>),
    /// It was opened again.
    LockdownLifted {
        /// What.
        scope: String,
    },
    /// A target described something.
    DescriptionTold {
        /// What kind of thing.
        kind_of: String,
        /// Which.
        id: String,
        /// The digest of what was told.
        digest: String,
        /// What was told.
        text: String,
    },
    /// That was accepted.
    DescriptionAccepted {
        /// What kind of thing.
        kind_of: String,
        /// Which.
        id: String,
        /// The digest of what was accepted.
        digest: String,
    },
    /// A session was opened.
    SessionOpened(Box<SessionRow>),
    /// A session had operations.
    Operations {
        /// Which session.
        session: String,
        /// How many.
        count: u64,
        /// How many of them were refused.
        refused: u64,
        /// The approval that the last of them used.
        approval: Option<String>,
    },
    /// A session ended.
    SessionClosed {
        /// Which.
        session: String,
        /// When.
        at: Timestamp,
        /// Why.
        cause: String,
        /// Rows sent.
        rows: u64,
        /// Values masked, by class.
        masked: BTreeMap<String, u64>,
        /// The recording's file.
        recording: Option<String>,
    },
    /// A request was filed.
    RequestOpened(Box<RequestRow>),
    /// A person answered.
    RequestAnswered {
        /// Which.
        request: String,
        /// Whether it was a yes.
        approved: bool,
        /// Who.
        by: String,
        /// For which groups.
        groups: Vec<String>,
        /// What they said.
        reason: String,
        /// Until when the approval can be used.
        until: Option<Timestamp>,
        /// What is granted of a task, where that is less than was asked for.
        granted: Option<(Vec<String>, u32)>,
    },
    /// A request ended otherwise.
    RequestEnded {
        /// Which.
        request: String,
        /// How.
        cause: String,
    },
}

/// Policies that took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRow {
    /// The index of the record that says so.
    pub record: u64,
    /// The revision that decisions name.
    pub revision: String,
    /// When.
    pub since: Timestamp,
    /// The SHA-256 of each file, by its name.
    pub files: BTreeMap<String, String>,
}

/// What a person has shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockdownRow {
    /// What.
    pub scope: String,
    /// Who began it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a target says of something that it offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptionRow {
    /// What kind of thing.
    pub kind_of: String,
    /// Which.
    pub id: String,
    /// The digest of what was accepted.
    pub digest: String,
    /// What was accepted.
    pub text: String,
    /// Digest and text of what was told last, where that is something else.
    pub latest: Option<(String, String)>,
}

/// What is kept of a task's credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCredential {
    /// The task.
    pub task: String,
    /// What checks the password.
    pub verifier: Verifier,
    /// For how many seconds whoever started the task may give no sign of life.
    pub heartbeat_secs: Option<u32>,
    /// What was done under it.
    pub spent: Spent,
}

/// What is kept of a static key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// The key.
    pub key: KeyRow,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// What a person's token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A program sends it in a header.
    Api,
    /// A browser sends it as a cookie.
    Browser,
}

/// What is kept of a person's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Whose it is.
    pub user: UserName,
    /// What it is for.
    pub kind: TokenKind,
    /// Whom the provider let in with it, where a provider did.
    pub subject: Option<String>,
    /// Until when.
    pub expires: Timestamp,
}

/// What a provider said of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptVisit {
    /// Who.
    pub user: UserName,
    /// What the provider calls them, for good.
    pub subject: String,
    /// Which provider it is, and how it is understood.
    pub provider: String,
    /// Their groups.
    pub groups: BTreeSet<GroupName>,
    /// Until when that counts.
    pub until: Timestamp,
}

/// Which rows of a listing are wanted, newest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// How many at most.
    pub limit: u32,
    /// Rows that are older than the one of this number.
    pub before: Option<u64>,
    /// Of this task.
    pub task: Option<&'a str>,
    /// Of this identity, or on its behalf.
    pub identity: Option<&'a str>,
    /// To this target.
    pub target: Option<&'a str>,
    /// In this state.
    pub state: Option<&'a str>,
    /// Of sessions: those that were answered with values of this class, masked or as they are.
    pub class: Option<&'a str>,
    /// Of sessions: those that were opened at this time or later.
    pub since: Option<Timestamp>,
    /// Of sessions: those that were opened at this time or before.
    pub until: Option<Timestamp>,
}

/// A row, and its number among those of its kind, which grows with time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered<T> {
    /// The number.
    pub number: u64,
    /// The row.
    pub row: T,
}

type Rows<'a, T> = BoxFuture<'a, Result<Vec<Numbered<T>>, StoreError>>;

/// A database that can hold the index.
pub trait Backend: Send + Sync {
    /// The index of the first record whose changes are not in yet.
    fn next_index(&self) -> BoxFuture<'_, Result<u64, StoreError>>;
    /// Forgets all that the journal can tell again.
    fn begin_anew(&self) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Applies changes and moves on to `next_index`, all or nothing. Applying the same twice changes nothing more.
    fn apply<'a>(&'a self, next_index: u64, changes: &'a [Change]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Tasks. Of a task are those that came from it, too.
    fn tasks<'a>(&'a self, wanted: Wanted<'a>) -> Rows<'a, TaskRow>;
    /// One task.
    fn task<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<TaskRow>, StoreError>>;
    /// Sessions.
    fn sessions<'a>(&'a self, wanted: Wanted<'a>) -> Rows<'a, SessionRow>;
    /// One session.
    fn session<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<SessionRow>, StoreError>>;
    /// Requests.
    fn requests<'a>(&'a self, wanted: Wanted<'a>) -> Rows<'a, RequestRow>;
    /// One request.
    fn request<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<RequestRow>, StoreError>>;
    /// The policies that took effect last in place of others, the newest first.
    fn revisions(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RevisionRow>, StoreError>>;
    /// Every task that has not ended, in the order in which they began: what a task came from stands before it.
    fn live_tasks(&self) -> BoxFuture<'_, Result<Vec<TaskRow>, StoreError>>;
    /// What is shut.
    fn lockdowns(&self) -> BoxFuture<'_, Result<Vec<LockdownRow>, StoreError>>;
    /// Every description.
    fn descriptions(&self) -> BoxFuture<'_, Result<Vec<DescriptionRow>, StoreError>>;
    /// Keeps the verifier of a task's credential, and for how many seconds whoever started it may give no sign of life.
    fn keep_credential<'a>(
        &'a self,
        task: &'a str,
        verifier: &'a Verifier,
        heartbeat_secs: Option<u32>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Keeps what was done under tasks so far.
    fn keep_spent<'a>(&'a self, spent: &'a [(TaskId, Spent)]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Forgets it.
    fn forget_credential<'a>(&'a self, task: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
    /// All verifiers, by task.
    fn credentials(&self) -> BoxFuture<'_, Result<Vec<KeptCredential>, StoreError>>;
    /// Keeps the hash of a person's token, and forgets those that expired long before `now`.
    fn keep_token<'a>(&'a self, token: &'a KeptToken, now: Timestamp) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Whose token this is, if it has not expired.
    fn token<'a>(
        &'a self,
        sha256: &'a [u8; 32],
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<KeptToken>, StoreError>>;
    /// Forgets a token.
    fn forget_token<'a>(&'a self, sha256: &'a [u8; 32]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Forgets what a provider said of a person, and the tokens that they have by that.
    fn forget_person<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Forgets all tokens of a person.
    fn forget_tokens<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Keeps what a provider said of a person, in place of what it said before.
    fn keep_visit<'a>(&'a self, visit: &'a KeptVisit) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Static keys. They are of no task.
    fn keys<'a>(&'a self, wanted: Wanted<'a>) -> Rows<'a, KeyRow>;
    /// One static key.
    fn key<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<KeyRow>, StoreError>>;
    /// Keeps what checks a static key.
    fn keep_key_digest<'a>(&'a self, id: &'a str, sha256: &'a [u8; 32]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Forgets it.
    fn forget_key_digest<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
    /// The static keys that have not ended, with what checks them.
    fn key_digests(&self) -> BoxFuture<'_, Result<Vec<KeptKey>, StoreError>>;
    /// Keeps the name of an account's lease, and whose it is, until the account is known to be gone.
    fn keep_lease<'a>(&'a self, id: &'a str, vault: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Forgets it.
    fn forget_lease<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
    /// All that are kept.
    fn leases(&self) -> BoxFuture<'_, Result<Vec<(String, String)>, StoreError>>;
    /// All that providers said of people.
    fn visits(&self) -> BoxFuture<'_, Result<Vec<KeptVisit>, StoreError>>;
}

/// The index, whatever database holds it.
pub type Store = Arc<dyn Backend>;
