//! What was observed, on the wire: operations on record, replays, activity, revisions of policies, checkpoints, and what
//! changes while somebody looks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An operation as its record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    /// The index of its record in the journal.
    pub index: u64,
    /// When it was decided (RFC 3339).
    pub time: String,
    /// Its session.
    pub session: String,
    /// Its task.
    pub task: String,
    /// Who asked.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where.
    pub target: String,
    /// Its place in its session, from 0.
    pub number: u64,
    /// A word or two.
    pub title: String,
    /// The statement, as evidence keeps it.
    pub statement: String,
    /// The bind values, likewise.
    pub binds: Vec<String>,
    /// What each of them is called, such as `body`; none where their numbers are their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bind_names: Vec<String>,
    /// What it wanted, one access an entry.
    pub accesses: Vec<String>,
    /// What policies could test.
    pub facts: BTreeMap<String, serde_json::Value>,
    /// The classes of what it touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// `prepare` or `run`.
    pub phase: String,
    /// `read` or `write`.
    pub effect: String,
    /// What policy said: `allow`, `hold` or `deny`.
    pub verdict: String,
    /// The policies that made it so.
    pub policies: Vec<String>,
    /// The revision that they are of.
    pub revision: String,
    /// What they say about it.
    pub reasons: Vec<String>,
    /// The request whose approval it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// Why it did not go on, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A part of a session's replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayView {
    /// The session.
    pub session: String,
    /// What it spoke.
    pub protocol: String,
    /// When it began (RFC 3339).
    pub started: String,
    /// What happened, in order.
    pub moments: Vec<MomentView>,
    /// What `after` is for the next part, if there is more by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Whether the recording breaks off in the middle of something.
    pub is_torn: bool,
}

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MomentView {
    /// Its place in the replay, from 0.
    pub place: u64,
    /// So many microseconds after the session began.
    pub at: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: MomentKind,
}

/// What the client asked, or saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum MomentKind {
    /// An operation, and what became of it.
    Asked {
        /// `allow`, `approved` or `refused`, as the recording says; `prepare` of what was let pass to be run later.
        outcome: String,
        /// The request that it waited for or was approved by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<String>,
        /// Its place in its session.
        number: u64,
        /// How many turns the client had asked for before: its answer comes before the end of the turn of this number, of which
        /// the first is 0. Where there is none, what was asked before it is answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turn: Option<u64>,
        /// The statement, as evidence keeps it.
        statement: String,
    },
    /// The names of the columns of what follows, or of what was described.
    Columns {
        /// The names; none where it gives no rows.
        names: Vec<String>,
    },
    /// A row as the client saw it, masks applied.
    Row {
        /// Its values; none where there is no value.
        values: Vec<Option<String>>,
    },
    /// In the rows of the result that follow, the values of these columns are masked as a whole.
    Masked {
        /// Their places, from 0.
        columns: Vec<u32>,
    },
    /// Rows that are not shown one by one.
    Rows {
        /// How many.
        count: u64,
    },
    /// An answer came to its end.
    Done {
        /// In the protocol's own words.
        text: String,
    },
    /// An error, or a refusal.
    Problem {
        /// What it said.
        text: String,
    },
    /// A notice, or a notification.
    Note {
        /// What it said.
        text: String,
    },
    /// The head of an answer: its status.
    Head {
        /// In the protocol's own words.
        text: String,
    },
    /// A field of a head.
    Field {
        /// Its name.
        name: String,
        /// What it says.
        value: String,
    },
    /// A part of a body, or another text.
    Text {
        /// As the client saw it.
        text: String,
    },
    /// The target was told to run something: its answers come in the order of these.
    Run {
        /// The place in its session of the operation that asked for it, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// The turn in which it is answered.
        turn: u64,
    },
    /// The target was told to describe something: its answers come in the order of these and of what runs.
    Describe {
        /// The place in its session of the operation that it is of, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// The turn in which it is answered.
        turn: u64,
    },
    /// What was to be prepared is.
    Prepared,
    /// What was to be bound, to be run later, is.
    Bound,
    /// All that was asked together is answered.
    Turn,
    /// Here the recording keeps digests in place of content.
    Cut,
}

/// What went on of late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivityView {
    /// From when on (RFC 3339).
    pub since: String,
    /// How many seconds each part covers.
    pub step_secs: u32,
    /// The parts, the oldest first, without gaps.
    pub parts: Vec<ActivityPart>,
    /// By target.
    pub targets: Vec<TargetActivity>,
    /// By identity, the busiest first.
    pub identities: Vec<IdentityActivity>,
    /// How many values were masked, by class.
    pub masked: BTreeMap<String, u64>,
    /// Whether the journal goes further back than what was looked at.
    pub is_partial: bool,
}

/// A span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivityPart {
    /// When it begins (RFC 3339).
    pub begins: String,
    /// Operations that policy let pass.
    pub allowed: u64,
    /// Operations that a person approved.
    pub approved: u64,
    /// Operations that were refused.
    pub refused: u64,
}

/// What went to a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetActivity {
    /// Its name.
    pub target: String,
    /// How many operations.
    pub operations: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// How many answers of sessions that ended were waited for.
    pub answers: u64,
    /// How long in all until they began, in microseconds.
    pub waited_micros: u64,
}

/// What somebody did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityActivity {
    /// Who.
    pub identity: String,
    /// How many operations.
    pub operations: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// How many sessions were opened.
    pub sessions: u64,
    /// When the last operation was (RFC 3339).
    pub last: String,
}

/// Policies that were in force from some time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisionView {
    /// The revision that decisions name.
    pub revision: String,
    /// Since when (RFC 3339).
    pub since: String,
    /// Whether they are in force now.
    pub is_current: bool,
    /// The SHA-256 of each file, by its name.
    pub files: BTreeMap<String, String>,
}

/// The files of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisionFiles {
    /// The revision.
    pub revision: String,
    /// Their texts, by their names.
    pub files: BTreeMap<String, String>,
}

/// Policies to be held against what is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBacktest {
    /// Their files, by name.
    pub files: BTreeMap<String, String>,
    /// What was decided in the last so many seconds.
    pub since_secs: u32,
}

/// What would have been decided otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BacktestView {
    /// Operations that were looked at.
    pub operations: u64,
    /// Of those, how many were decided each way then, and would be now: `allow -> deny`.
    pub verdicts: BTreeMap<String, u64>,
    /// What would change, the most frequent first.
    pub changes: Vec<BacktestChange>,
    /// How many kinds of change there are, listed or not.
    pub different: u64,
    /// Operations that would change, beyond those that are told apart.
    pub uncollected: u64,
    /// Operations of identities that the configuration no longer has.
    pub strangers: u64,
    /// Whether there is more on record than could be looked at.
    #[serde(default)]
    pub is_partial: bool,
}

/// Something that would be decided otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BacktestChange {
    /// The verdict then.
    pub was: String,
    /// The verdict that it would be.
    pub would_be: String,
    /// Who asked.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where.
    pub target: String,
    /// A word or two.
    pub title: String,
    /// The statement, as evidence keeps it.
    pub statement: String,
    /// The policies that decided then.
    pub policies_were: Vec<String>,
    /// The policies that would.
    pub policies_would_be: Vec<String>,
    /// How many such operations there were.
    pub operations: u64,
    /// When the last was (RFC 3339).
    pub last: String,
}

/// The journal's signed states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointsView {
    /// The key by which they are checked, as tools for signed notes read it.
    pub public_key: String,
    /// How many records the journal has now.
    pub records: u64,
    /// The newest checkpoints, the newest first.
    pub checkpoints: Vec<CheckpointView>,
}

/// A signed state of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointView {
    /// How many records it covers.
    pub size: u64,
    /// The root of their tree, in base64.
    pub root: String,
    /// The signed note (C2SP tlog-checkpoint).
    pub note: String,
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct ChangeView {
    /// What kind of thing: `request`, `task`, `session`, `policies`, `lockdowns`; or `all`, where too much changed to be told.
    pub kind: String,
    /// Which, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}
