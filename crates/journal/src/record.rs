//! The wire types of the journal: a record, its bodies, and the one line of canonical JSON that stands for it.
//!
//! Knows the form of every record; must not know how any came about, where it is kept or what it means for a verdict.
//! Bodies are plain: identifiers, identities, digests (64 hexadecimal digits) and times (RFC 3339) are texts, so that a
//! record reads the same in ten years, whatever becomes of `model`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical;

/// The longest line of one record, in bytes without its line break. A longer one is not written.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The record is too long.
    #[error("the record has {bytes} bytes, and at most {} can be kept: shorten the statement", RECORD_BYTES_MAX)]
    TooLong {
        /// The length of the line.
        bytes: usize,
    },
    /// The line is no JSON, or no JSON object.
    #[error("the line is not a JSON object")]
    NotAnObject(#[source] Option<serde_json::Error>),
    /// A member that every record has is missing or of another type.
    #[error("the record has no valid `{member}`")]
    Member {
        /// The member's name.
        member: &'static str,
    },
    /// The body is not one that this version knows.
    #[error("the record's body is not known: read it with the version that wrote it, or a later one")]
    Body(#[source] serde_json::Error),
    /// The line says the same as a canonical one, in another way.
    #[error("the record is not in canonical form: it was not written by a journal, or was changed since")]
    NotCanonical,
}

/// One record: what happened, when, and its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place, from 0 and without gaps.
    pub index: u64,
    /// When it was written, in whole microseconds.
    pub time: Timestamp,
    /// What happened.
    pub entry: Entry,
}

impl Record {
    /// Makes a record; the time is cut to whole microseconds.
    pub fn new(index: u64, now: Timestamp, entry: Entry) -> Self {
        let time = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        Self { index, time, entry }
    }

    /// The record as one line of canonical JSON (RFC 8785, with integers in full), without a line break.
    ///
    /// # Errors
    /// [`RecordError::TooLong`] past [`RECORD_BYTES_MAX`].
    pub fn to_line(&self) -> Result<String, RecordError> {
        let Value::Object(mut members) = serde_json::to_value(&self.entry).map_err(RecordError::Body)? else {
            return Err(RecordError::NotAnObject(None));
        };
        members.insert("index".into(), self.index.into());
        members.insert("time".into(), format!("{:.6}", self.time).into());
        let mut line = String::with_capacity(512);
        canonical::write(&Value::Object(members), &mut line).map_err(|_| RecordError::NotCanonical)?;
        if line.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLong { bytes: line.len() });
        }
        Ok(line)
    }

    /// Reads a line back, and makes sure that it is to the byte what [`Record::to_line`] writes.
    ///
    /// # Errors
    /// Any [`RecordError`]; the line is to blame.
    pub fn parse(line: &str) -> Result<Self, RecordError> {
        if line.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLong { bytes: line.len() });
        }
        let value: Value = serde_json::from_str(line).map_err(|error| RecordError::NotAnObject(Some(error)))?;
        let Value::Object(mut members) = value else {
            return Err(RecordError::NotAnObject(None));
        };
        let index = members.remove("index").and_then(|index| index.as_u64());
        let index = index.ok_or(RecordError::Member { member: "index" })?;
        let time = members.remove("time").and_then(|time| time.as_str()?.parse::<Timestamp>().ok());
        let time = time.ok_or(RecordError::Member { member: "time" })?;
        let entry = serde_json::from_value(Value::Object(members)).map_err(RecordError::Body)?;
        let record = Self { index, time, entry };
        if record.to_line()? == line { Ok(record) } else { Err(RecordError::NotCanonical) }
    }
}

macro_rules! entries {
    ($($(#[$doc:meta])* $name:ident = $kind:literal,)*) => {
        /// What happened. The names are the `kind`s of records.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum Entry {
            $($(#[$doc])* #[serde(rename = $kind)] $name($name),)*
        }

        impl Entry {
            /// The record's `kind`.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $kind,)*
                }
            }
        }

        $(impl From<$name> for Entry {
            fn from(body: $name) -> Self {
                Self::$name(body)
            }
        })*
    };
}

entries! {
    /// A gateway began to write.
    GatewayStarted = "gateway.started",
    /// A gateway ended in good order.
    GatewayStopped = "gateway.stopped",
    /// Policies took effect.
    PoliciesLoaded = "policies.loaded",
    /// A configuration took effect.
    ConfigurationLoaded = "configuration.loaded",
    /// A task began.
    TaskStarted = "task.started",
    /// A task ended.
    TaskEnded = "task.ended",
    /// A person shut something, whatever policy permits.
    LockdownBegun = "lockdown.begun",
    /// It is open again, as far as policy permits.
    LockdownLifted = "lockdown.lifted",
    /// A person proved who they are, and has a token or a browser's session.
    PersonSignedIn = "person.signed_in",
    /// That is over before its time.
    PersonSignedOut = "person.signed_out",
    /// An agent was given a static key.
    KeyIssued = "key.issued",
    /// It is good no more.
    KeyEnded = "key.ended",
    /// An account at a target was made for a task.
    AccountMade = "account.made",
    /// Nobody can log in by it any more, though it is not gone yet.
    AccountLocked = "account.locked",
    /// It is gone.
    AccountEnded = "account.ended",
    /// A login failed.
    LoginRefused = "login.refused",
    /// A session began.
    SessionOpened = "session.opened",
    /// A session ended.
    SessionClosed = "session.closed",
    /// An operation was decided for good.
    OperationDecided = "operation.decided",
    /// A person was asked about an operation.
    RequestOpened = "request.opened",
    /// A person was asked whether a task may begin.
    TaskRequested = "task.requested",
    /// A person answered.
    RequestAnswered = "request.answered",
    /// A request needs no answer any more.
    RequestEnded = "request.ended",
    /// The gateway asked the target to stop what a session runs.
    CancelSent = "cancel.sent",
    /// A way to a host that is no target began.
    TunnelOpened = "tunnel.opened",
    /// One was refused.
    TunnelRefused = "tunnel.refused",
    /// It ended.
    TunnelClosed = "tunnel.closed",
    /// A target described something that it offers, for the first time or otherwise than before.
    DescriptionTold = "description.told",
    /// A person accepted that.
    DescriptionAccepted = "description.accepted",
    /// A recording was sealed apart from its session's end, such as after a crash.
    RecordingSealed = "recording.sealed",
}

/// A gateway began to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStarted {
    /// The version of Gatehouse.
    pub version: String,
    /// The name of the gateway's node.
    pub node: String,
    /// The digest of its configuration.
    pub config: String,
    /// What opening the journal had to repair, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<String>,
}

/// A gateway ended in good order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStopped {}

/// Policies took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoliciesLoaded {
    /// The revision that decisions name.
    pub revision: String,
    /// SHA-256 of each file, by its name.
    pub files: BTreeMap<String, String>,
}

/// A configuration took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationLoaded {
    /// Its digest.
    pub digest: String,
}

/// A task began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStarted {
    /// The task.
    pub task: String,
    /// Who works, as `user:NAME` or `agent:NAME`.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where it may work.
    pub targets: Vec<String>,
    /// Why, in the words of who asked.
    pub reason: String,
    /// When it ends by itself.
    pub expires: String,
    /// Who started it: `admin socket`, `user:NAME`, or `issuer NAME (SUBJECT)` of a workload that showed its token.
    pub by: String,
    /// How much may be done under it, where that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetRecord>,
    /// The request whose approval was used for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// The policies that permit it, where they were asked and no person was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The revision that they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Who acted before who works, the last of them first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<String>,
    /// The task whose token was handed on; this one ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The static key that it was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Whether the person whom it is for named who may act for them, so that it is not handed on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_bound: bool,
}

/// How much may be done under a task; what has no figure is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRecord {
    /// Operations that pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<u64>,
    /// Rows that clients are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes that clients are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Different values of classes that clients see unmasked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, u64>,
}

/// A task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEnded {
    /// The task.
    pub task: String,
    /// `done`, `expired`, `revoked` or `abandoned`.
    pub cause: String,
    /// Who ended it; `gateway` when it ended by itself.
    pub by: String,
    /// Why, where they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A person shut something, whatever policy permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockdownBegun {
    /// What: `all`, `agent:NAME`, `user:NAME` or `target:NAME`.
    pub scope: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// It is open again, as far as policy permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockdownLifted {
    /// What.
    pub scope: String,
    /// Who lifted it.
    pub by: String,
}

/// A person proved who they are, and has a token or a browser's session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonSignedIn {
    /// Who, as `user:NAME`.
    pub user: String,
    /// By which way: `provider, browser`, `provider, device`, `link` or `admin socket`.
    pub way: String,
    /// What the provider calls them, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The groups that they are in now.
    pub groups: Vec<String>,
    /// Until when.
    pub expires: String,
}

/// A sign-in is over before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonSignedOut {
    /// Who, as `user:NAME`.
    pub user: String,
    /// `signed out`, or what the provider said.
    pub cause: String,
}

/// An agent was given a static key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyIssued {
    /// The key.
    pub key: String,
    /// Whose it is, as `agent:NAME`.
    pub identity: String,
    /// The targets that tasks may be started for with it.
    pub targets: Vec<String>,
    /// Why there is one.
    pub reason: String,
    /// Until when it is good.
    pub expires: String,
    /// Who issued it.
    pub by: String,
}

/// A static key is good no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEnded {
    /// The key.
    pub key: String,
    /// `revoked` or `expired`.
    pub cause: String,
    /// Who ended it; `gateway` when its time ran out.
    pub by: String,
}

/// An account at a target was made for a task: what the target's own log says of it is that task's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountMade {
    /// The lease that it lives by.
    pub lease: String,
    /// Its name at the target.
    pub account: String,
    /// The target.
    pub target: String,
    /// The task.
    pub task: String,
}

/// The gateway took the password of an account that was made for a task away, for its vault had not ended it yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLocked {
    /// The lease that it lives by.
    pub lease: String,
}

/// An account that was made for a task is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountEnded {
    /// The lease that it lived by.
    pub lease: String,
}

/// A login failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRefused {
    /// The listener that it came through.
    pub listener: String,
    /// The user name that the client gave.
    pub user: String,
    /// The target that the client asked for.
    pub target: String,
    /// Why it failed.
    pub cause: String,
}

/// A session began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// The session.
    pub session: String,
    /// Its task.
    pub task: String,
    /// Who works, as `user:NAME` or `agent:NAME`.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where.
    pub target: String,
    /// The client's address.
    pub peer: String,
    /// The revision of the policies in force.
    pub policies: String,
    /// The static key that its task was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// What the client asked for its session beyond what anybody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wishes: Option<String>,
}

/// A way to a host that is no target began. What goes through it nobody sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelOpened {
    /// Its id.
    pub tunnel: String,
    /// Its task.
    pub task: String,
    /// Who works, as `user:NAME` or `agent:NAME`.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where to.
    pub host: String,
    /// At which port.
    pub port: u16,
    /// The client's address.
    pub peer: String,
    /// The revision of the policies in force.
    pub policies: String,
}

/// A way to a host that is no target was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelRefused {
    /// The task of whoever asked.
    pub task: String,
    /// Who works, as `user:NAME` or `agent:NAME`.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where to.
    pub host: String,
    /// At which port.
    pub port: u16,
    /// The client's address.
    pub peer: String,
    /// Why not.
    pub cause: String,
    /// The policies that refused it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// The revision of the policies in force.
    pub policies: String,
}

/// A way to a host that is no target ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelClosed {
    /// Its id.
    pub tunnel: String,
    /// Its task.
    pub task: String,
    /// Why it ended.
    pub cause: String,
    /// How many bytes went there.
    pub sent: u64,
    /// How many bytes came back.
    pub received: u64,
}

/// A target described something that it offers, for the first time or otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptionTold {
    /// What kind of thing it describes, as policies name it.
    pub kind_of: String,
    /// Which, as policies name it.
    pub id: String,
    /// The SHA-256 of what was told.
    pub digest: String,
    /// What was told, without what is found in it that is classified.
    pub text: String,
    /// The SHA-256 of what was accepted before, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
}

/// A person accepted a description that had changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptionAccepted {
    /// What kind of thing it describes, as policies name it.
    pub kind_of: String,
    /// Which, as policies name it.
    pub id: String,
    /// The SHA-256 of what was accepted.
    pub digest: String,
    /// The request by which.
    pub request: String,
}

/// The digest that ties a recording to the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingSeal {
    /// The file's plain name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of all of it.
    pub sha256: String,
    /// True if it keeps digests instead of content from some point on.
    pub truncated: bool,
}

/// A session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClosed {
    /// The session.
    pub session: String,
    /// Why it ended.
    pub cause: String,
    /// The number of its operations.
    pub operations: u64,
    /// Rows that went to the client.
    pub rows: u64,
    /// Bytes that went to the client.
    pub bytes: u64,
    /// The number of masked values, by class.
    pub masked: BTreeMap<String, u64>,
    /// The classes of columns and fields whose values the client saw as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revealed: Vec<String>,
    /// How many answers of the target were waited for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub answers: u64,
    /// For how many microseconds in all until they began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_micros: u64,
    /// Its recording, if one was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingSeal>,
}

/// Serde asks by reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `skip_serializing_if` takes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One action on one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// The verb, such as `sql:delete`.
    pub action: String,
    /// The resource, as `Table shop/public.orders`.
    pub resource: String,
    /// What the resource is in, nearest first.
    pub within: Vec<String>,
}

/// A fact that a policy could test. There are no fractions, so that a record has one form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// A yes or no.
    Bool(bool),
    /// A count.
    Integer(i64),
    /// A text.
    Text(String),
    /// Texts, in no order.
    Texts(Vec<String>),
}

/// An operation was decided for good: after the answer, when a person was asked. Each operation has one such record,
/// written before it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationDecided {
    /// The session.
    pub session: String,
    /// Its task.
    pub task: String,
    /// Who asks, as `user:NAME` or `agent:NAME`.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// The static key that its task was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Where.
    pub target: String,
    /// The operation's place in its session, from 0 and without gaps.
    pub number: u64,
    /// A word or two for listings.
    pub title: String,
    /// The statement as evidence keeps it.
    pub statement: String,
    /// The bind values as evidence keeps them.
    pub binds: Vec<String>,
    /// The digest that an approval binds to.
    pub digest: String,
    /// Everything that it wants.
    pub accesses: Vec<AccessRecord>,
    /// What policies could test.
    pub facts: BTreeMap<String, Fact>,
    /// `prepare` or `run`.
    pub phase: String,
    /// `read` or `write`.
    pub effect: String,
    /// The verdict of policy: `allow`, `hold` or `deny`.
    pub verdict: String,
    /// The policies that made it.
    pub policies: Vec<String>,
    /// The revision that they are of.
    pub revision: String,
    /// What the policies say about it.
    pub reasons: Vec<String>,
    /// The request whose approval it uses up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// Why it did not go on, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A person was asked about one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestOpened {
    /// The request.
    pub request: String,
    /// The session that asks.
    pub session: String,
    /// Its task.
    pub task: String,
    /// Who asks, as `user:NAME` or `agent:NAME`.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where.
    pub target: String,
    /// A word or two for listings.
    pub title: String,
    /// The statement as evidence keeps it.
    pub statement: String,
    /// The bind values as evidence keeps them.
    pub binds: Vec<String>,
    /// What an approval binds to.
    pub digest: String,
    /// Everything that the operation wants.
    pub accesses: Vec<AccessRecord>,
    /// What policies could test.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Fact>,
    /// Members of each of these must approve: one, where `quorum` does not say how many.
    pub groups: Vec<String>,
    /// How many members of a group must approve, where one is not enough.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quorum: BTreeMap<String, u32>,
    /// Why a person is asked.
    pub reasons: Vec<String>,
    /// The policies that ask.
    pub policies: Vec<String>,
    /// The revision that they are of.
    pub revision: String,
    /// When it can no longer be answered.
    pub expires: String,
    /// `wait` if the client waits on its connection, `refuse` if it is to come again.
    pub mode: String,
    /// What whoever decides was told besides: what it would do, and what it waits in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub impact: Vec<String>,
}

/// A person was asked whether a task may begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRequested {
    /// The request.
    pub request: String,
    /// Who would work, as `user:NAME` or `agent:NAME`.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where.
    pub targets: Vec<String>,
    /// Why, in the words of who asks.
    pub reason: String,
    /// For how many seconds.
    pub ttl_secs: u32,
    /// How much is to be done under it, where that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetRecord>,
    /// Who asks, as in the record of a task's beginning.
    pub by: String,
    /// What an approval binds to.
    pub digest: String,
    /// Members of each of these must approve: one, where `quorum` does not say how many.
    pub groups: Vec<String>,
    /// How many members of a group must approve, where one is not enough.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quorum: BTreeMap<String, u32>,
    /// Why a person is asked.
    pub reasons: Vec<String>,
    /// The policies that ask.
    pub policies: Vec<String>,
    /// The revision that they are of.
    pub revision: String,
    /// When it can no longer be answered.
    pub expires: String,
}

/// A person answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestAnswered {
    /// The request.
    pub request: String,
    /// `approved` or `denied`.
    pub answer: String,
    /// Who, as `user:NAME`.
    pub by: String,
    /// For which of the request's groups.
    pub groups: Vec<String>,
    /// Why, in their words.
    pub reason: String,
    /// Through what, such as `cli` or `ui`.
    pub via: String,
    /// When the approval can no longer be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The targets of a task that are granted, where those are fewer than were asked for, or its time is shorter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// For how many seconds, in the same case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_secs: Option<u32>,
}

/// A request needs no answer any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestEnded {
    /// The request.
    pub request: String,
    /// `used`, `withdrawn` or `expired`, or another word for why.
    pub cause: String,
}

/// The gateway asked the target to stop what a session runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelSent {
    /// The session.
    pub session: String,
}

/// A recording was sealed apart from its session's end, such as after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingSealed {
    /// The session.
    pub session: String,
    /// The file's plain name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of all of it.
    pub sha256: String,
    /// Why it was sealed here.
    pub cause: String,
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(entry: impl Into<Entry>, expect: Expect) {
        let now = "2026-03-04T05:06:07.123456789Z".parse().expect("a time");
        let record = Record::new(17, now, entry.into());
        let line = record.to_line().expect("it fits");
        expect.assert_eq(&line);
        assert_eq!(Record::parse(&line).expect("it reads back"), record);
    }

    #[test]
    fn lines_are_canonical() {
        check(
            GatewayStopped {},
            expect![[r#"{"index":17,"kind":"gateway.stopped","time":"2026-03-04T05:06:07.123456Z"}"#]],
        );
        check(
            SessionClosed {
                session: "ses-1".into(),
                cause: "client\nleft".into(),
                operations: 3,
                rows: u64::MAX,
                bytes: 12,
                masked: BTreeMap::from([("us_ssn".into(), 2), ("email".into(), 1)]),
                revealed: Vec::new(),
                answers: 0,
                waited_micros: 0,
                recording: Some(RecordingSeal {
                    file: "ses-1.rec".into(),
                    bytes: 9,
                    sha256: "00".into(),
                    truncated: false,
                }),
            },
            expect![[
                r#"{"bytes":12,"cause":"client\nleft","index":17,"kind":"session.closed","masked":{"email":1,"us_ssn":2},"operations":3,"recording":{"bytes":9,"file":"ses-1.rec","sha256":"00","truncated":false},"rows":18446744073709551615,"session":"ses-1","time":"2026-03-04T05:06:07.123456Z"}"#
            ]],
        );
    }

    #[test]
    fn facts_keep_their_types() {
        let facts = BTreeMap::from([
            ("n".to_owned(), Fact::Integer(-1)),
            ("s".to_owned(), Fact::Text("1".into())),
            ("where".to_owned(), Fact::Bool(true)),
        ]);
        let text = serde_json::to_string(&facts).expect("plain");
        assert_eq!(text, r#"{"n":-1,"s":"1","where":true}"#);
        assert_eq!(serde_json::from_str::<BTreeMap<String, Fact>>(&text).expect("plain"), facts);
        assert!(serde_json::from_str::<Fact>("1.5").is_err());
    }

    #[test]
    fn other_forms_are_refused() {
        let time = r#""time":"2026-03-04T05:06:07.123456Z""#;
        for (line, expect) in [
            ("", "the line is not a JSON object"),
            ("[]", "the line is not a JSON object"),
            (format!(r#"{{"kind":"gateway.stopped",{time}}}"#).as_str(), "the record has no valid `index`"),
            (r#"{"index":1,"kind":"gateway.stopped"}"#, "the record has no valid `time`"),
            (
                format!(r#"{{"index":1,"kind":"gateway.sold",{time}}}"#).as_str(),
                "the record's body is not known: read it with the version that wrote it, or a later one",
            ),
        ] {
            assert_eq!(Record::parse(line).expect_err(line).to_string(), expect);
        }
        for line in [
            format!(r#"{{"kind":"gateway.stopped","index":1,{time}}}"#),
            format!(r#"{{"index": 1,"kind":"gateway.stopped",{time}}}"#),
            format!(r#"{{"extra":1,"index":1,"kind":"gateway.stopped",{time}}}"#),
            format!(r#"{{"index":1,"index":1,"kind":"gateway.stopped",{time}}}"#),
            r#"{"index":1,"kind":"gateway.stopped","time":"2026-03-04T05:06:07Z"}"#.to_owned(),
            r#"{"index":1,"kind":"gateway.stopped","time":"2026-03-04T06:06:07.123456+01:00"}"#.to_owned(),
        ] {
            assert!(matches!(Record::parse(&line), Err(RecordError::NotCanonical)), "{line}");
        }
    }
}
