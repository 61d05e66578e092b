//! What things look like on the wire.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much may be done under a task; what has no figure is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetView {
    /// Operations that pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<u64>,
    /// Rows that clients are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes that clients are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Different values of a class that clients see unmasked, by the class's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, u64>,
}

/// What was done under a task so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpentView {
    /// Operations that passed.
    pub operations: u64,
    /// Rows that clients were sent.
    pub rows: u64,
    /// Bytes that clients were sent.
    pub bytes: u64,
    /// Different values of the classes that the budget names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, u64>,
}

impl BudgetView {
    /// As people read it, with what is spent of it.
    pub fn shown(&self, spent: Option<&SpentView>) -> String {
        let parts = [
            (self.operations, spent.map(|spent| spent.operations), "operations"),
            (self.rows, spent.map(|spent| spent.rows), "rows"),
            (self.bytes, spent.map(|spent| spent.bytes), "bytes"),
        ];
        let part = |limit: u64, spent: Option<u64>, what: &str| match spent {
            None => format!("{limit} {what}"),
            Some(spent) => format!("{spent} of {limit} {what}"),
        };
        let figures = parts.into_iter().filter_map(|(limit, spent, what)| Some(part(limit?, spent, what)));
        let values = self.values.iter().map(|(class, limit)| {
            let seen = spent.map(|spent| spent.values.get(class).copied().unwrap_or_default());
            part(*limit, seen, &format!("different values of {class}"))
        });
        figures.chain(values).collect::<Vec<_>>().join(", ")
    }
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// Its id.
    pub id: String,
    /// Who works: `agent:NAME` or `user:NAME`.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where.
    pub targets: Vec<String>,
    /// Why.
    pub reason: String,
    /// How much may be done under it, where that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetView>,
    /// How much of that was done, while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<SpentView>,
    /// When it began (RFC 3339).
    pub started: String,
    /// When it ends by itself.
    pub expires: String,
    /// When it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Who ended it, and what they said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// `live`, `done`, `expired`, `revoked` or `abandoned`.
    pub state: String,
    /// Who started it.
    pub started_by: String,
    /// Who acted before who works, the last of them first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<String>,
    /// The task whose token was handed on; this one ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The static key that it was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
}

/// A static key of an agent, which is never shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// Its id.
    pub id: String,
    /// Whose it is: `agent:NAME`.
    pub identity: String,
    /// The targets that tasks may be started for with it.
    pub targets: Vec<String>,
    /// Why there is one.
    pub reason: String,
    /// When it was issued (RFC 3339).
    pub created: String,
    /// Until when it is good.
    pub expires: String,
    /// Who issued it.
    pub created_by: String,
    /// `good`, `revoked` or `expired`.
    pub state: String,
}

/// A static key to be issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Whose it is to be: `agent:NAME`.
    pub identity: String,
    /// The targets that tasks may be started for with it.
    pub targets: Vec<String>,
    /// Why nothing better will do.
    pub reason: String,
    /// For how many seconds.
    pub ttl_secs: u32,
}

/// A static key, which is shown this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct IssuedKeyView {
    /// What listings show.
    #[serde(flatten)]
    pub key: KeyView,
    /// The key: keep it where only the agent can read it.
    pub secret: String,
}

/// A task to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// Who works: `agent:NAME` or `user:NAME`; the only agent of the configuration where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// For whom: `user:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where.
    pub targets: Vec<String>,
    /// Why.
    pub reason: String,
    /// For how many seconds.
    pub ttl_secs: u32,
    /// How much may be done under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetView>,
    /// The task ends before that when no sign of life comes for so many seconds: see `/api/v1/tasks/{id}/heartbeat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_secs: Option<u32>,
}

/// A started task with its credential, which is shown this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct StartedTaskView {
    /// The task.
    pub task: TaskView,
    /// What clients log in by.
    pub user: String,
    /// The password: keep it where only the agent can read it.
    pub password: String,
    /// Where each target is to be reached, by target name: `HOST:PORT`.
    pub addresses: BTreeMap<String, String>,
    /// What each target speaks, by target name.
    #[serde(default)]
    pub protocols: BTreeMap<String, String>,
    /// The PEM certificates by which the listener of a target is recognized, by target name, where it has TLS.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub root_certificates: BTreeMap<String, String>,
    /// The PEM certificate by which the gateway is recognized where it stands in for hosts of targets, as a proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_certificate: Option<String>,
}

/// Something that a person shut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LockdownView {
    /// What: `all`, `agent:NAME`, `user:NAME` or `target:NAME`.
    pub scope: String,
    /// Why.
    pub reason: String,
    /// Who began it.
    pub by: String,
    /// Since when (RFC 3339).
    pub since: String,
    /// How many sessions were cut by the call that began it.
    #[serde(default)]
    pub cut: u64,
    /// What is odd about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A lockdown to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLockdown {
    /// What: `all`, `agent:NAME`, `user:NAME` or `target:NAME`.
    pub scope: String,
    /// Why.
    pub reason: String,
}

/// A lockdown to lift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftLockdown {
    /// What.
    pub scope: String,
}

/// How a task ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndTask {
    /// `done`, or `revoked` when it is taken away.
    pub cause: String,
    /// Why, for the record and for whoever works under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a session is cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KillSession {
    /// For the record and for the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its id.
    pub id: String,
    /// Its task.
    pub task: String,
    /// Who works.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Where.
    pub target: String,
    /// From which address.
    pub peer: String,
    /// The static key that its task was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// When it was opened.
    pub opened: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// `live` or `ended`.
    pub state: String,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How many operations it had.
    pub operations: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// How many rows the client was sent.
    pub rows: u64,
    /// How many values were masked.
    pub masked: u64,
    /// The same by class, once it has ended; 0 for a class whose values were only shown as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, u64>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// Its id.
    pub id: String,
    /// `open`, `approved`, `denied`, `used`, `withdrawn` or `expired`.
    pub state: String,
    /// Who asks.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// What is asked for.
    #[serde(flatten)]
    pub asked: AskedView,
    /// Where.
    pub targets: Vec<String>,
    /// A word or two.
    pub title: String,
    /// The statement: to the letter while the gateway that holds it lives, else as evidence keeps it. Of a task, the reason.
    pub statement: String,
    /// What it wants, one access an entry.
    pub accesses: Vec<String>,
    /// How many members of which groups must approve.
    pub needs: BTreeMap<String, u32>,
    /// Why it is held.
    pub reasons: Vec<String>,
    /// The policies that hold it.
    pub policies: Vec<String>,
    /// The SHA-256 digest that an approval binds to.
    pub digest: String,
    /// When it was filed.
    pub opened: String,
    /// When it lapses.
    pub expires: String,
    /// Who approved so far, by group.
    pub approvals: BTreeMap<String, Vec<String>>,
    /// What the last answer said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_reason: Option<String>,
    /// Who gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
}

/// Who must approve, as people read it.
pub fn who(needs: &BTreeMap<String, u32>) -> String {
    let words = needs.iter().map(|(group, members)| match members {
        1 => group.clone(),
        _ => format!("{members} of {group}"),
    });
    words.collect::<Vec<_>>().join(" and ")
}

/// The policies that hold an operation, and why, as far as they say.
fn held_by(policies: &str, reasons: &[String]) -> String {
    if reasons.is_empty() { policies.into() } else { format!("{policies} ({})", reasons.join("; ")) }
}

/// What a fact of how many pseudonyms decide means to whoever decides.
fn pseudonyms(count: &serde_json::Value) -> String {
    if *count == 0 {
        return String::new();
    }
    let names = if *count == 1 { "it names what it stands for" } else { "each names what it stands for" };
    format!("{count} in its conditions; {names}, which is put in its place at the target")
}

/// A time in the largest unit that it is whole in.
pub fn span(secs: u32) -> String {
    match secs {
        _ if secs.is_multiple_of(3600) => format!("{} h", secs / 3600),
        _ if secs.is_multiple_of(60) => format!("{} min", secs / 60),
        _ => format!("{secs} s"),
    }
}

impl RequestView {
    /// Everything that an approver reads, by name; what is not there is empty.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("request", self.id.clone()),
            ("state", self.state.clone()),
            ("identity", self.identity.clone()),
            ("on behalf of", self.on_behalf_of.clone().unwrap_or_default()),
            ("target", self.targets.join(", ")),
        ];
        match &self.asked {
            AskedView::Operation { task, task_reason, binds, bind_names, exact, impact, facts, .. } => {
                rows.push(("task", format!("{task} {}", task_reason.as_deref().unwrap_or_default())));
                let statement = if *exact { "statement" } else { "statement (as evidence keeps it)" };
                rows.push((statement, self.statement.clone()));
                let bind = |(place, bind): (usize, &String)| match bind_names.get(place) {
                    Some(name) => ("said beside it", format!("{name}: {bind}")),
                    None => ("bind value", format!("${} = {bind}", place + 1)),
                };
                rows.extend(binds.iter().enumerate().map(bind));
                rows.push(("pseudonyms", facts.get("pseudonyms").map(pseudonyms).unwrap_or_default()));
                rows.extend(impact.iter().map(|line| ("impact", line.clone())));
            }
            AskedView::Task { ttl_secs, asked_by, budget, granted } => {
                rows.extend([
                    ("asks for", format!("a task for {}", span(*ttl_secs))),
                    ("reason", self.statement.clone()),
                    ("budget", budget.as_ref().map(|budget| budget.shown(None)).unwrap_or_default()),
                    ("asked by", asked_by.clone()),
                ]);
                rows.extend(granted.as_ref().map(|granted| {
                    ("granted so far", format!("{} for {}", granted.targets.join(", "), span(granted.ttl_secs)))
                }));
            }
        }
        rows.extend(self.accesses.iter().map(|access| ("access", access.clone())));
        let approved: BTreeSet<&str> = self.approvals.values().flatten().map(String::as_str).collect();
        rows.extend([
            ("held by", held_by(&self.policies.join(", "), &self.reasons)),
            ("needs", who(&self.needs)),
            ("approved by", approved.into_iter().collect::<Vec<_>>().join(", ")),
            ("answered by", self.answered_by.clone().unwrap_or_default()),
            ("answer", self.answer_reason.clone().unwrap_or_default()),
            ("opened", self.opened.clone()),
            ("expires", self.expires.clone()),
            ("binds to", self.digest.clone()),
        ]);
        rows
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum AskedView {
    /// An operation.
    Operation {
        /// The session.
        session: String,
        /// Its task.
        task: String,
        /// Why the task exists.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task_reason: Option<String>,
        /// The bind values, like the statement.
        binds: Vec<String>,
        /// What each of them is called, such as `body`; none where their numbers are their names, and none in listings.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        bind_names: Vec<String>,
        /// Whether statement and bind values are to the letter.
        exact: bool,
        /// What policies could test.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        facts: BTreeMap<String, serde_json::Value>,
        /// `wait` or `refuse`.
        mode: String,
        /// What it would do, as far as that can be said, and what it waits in; while it is open.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        impact: Vec<String>,
    },
    /// A task.
    Task {
        /// For how many seconds.
        ttl_secs: u32,
        /// Who asks, by which way.
        asked_by: String,
        /// How much is to be done under it, where that is limited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget: Option<BudgetView>,
        /// What is granted of it so far, where that is less.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        granted: Option<GrantedView>,
    },
}

/// What is granted of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantedView {
    /// The targets.
    pub targets: Vec<String>,
    /// For how many seconds.
    pub ttl_secs: u32,
}

/// An answer to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Why; the requester reads it.
    #[serde(default)]
    pub reason: String,
    /// To approve of a task only these of its targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
    /// To approve a task only for so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_secs: Option<u32>,
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnswerView {
    /// The request, as it stands now.
    pub request: RequestView,
    /// How many members of which groups must still approve.
    pub still_needs: BTreeMap<String, u32>,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetView {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub protocol: String,
    /// Where the gateway reaches it.
    pub address: String,
    /// Where clients reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// `wait` or `refuse`.
    pub on_hold: String,
    /// The classes that what it holds may be of, for those who oversee it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Which of the columns that the configuration names are not what it takes them for, and why, by the newest survey; for those
    /// who oversee it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misnamed: Vec<String>,
    /// How many sessions it has now.
    pub sessions: u64,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// Its id.
    pub id: String,
    /// Its file.
    pub file: String,
    /// `permit` or `forbid`.
    pub effect: String,
    /// The groups that it holds for.
    pub hold: Vec<String>,
    /// How many members of each of them must approve.
    pub quorum: u32,
    /// What it says to who is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its text.
    pub text: String,
}

/// A token to be issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// For whom: `user:NAME`.
    pub user: String,
    /// For how many seconds.
    pub ttl_secs: u32,
}

/// An issued token, which is shown this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// The token.
    pub token: String,
    /// When it expires.
    pub expires: String,
}

/// What evidence is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Which part of the journal.
    pub selection: Selection,
}

/// A part of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// All of it.
    All,
    /// What belongs to one task.
    Task(String),
    /// What belongs to one session.
    Session(String),
    /// What was recorded from one time to another (RFC 3339), and what belongs to it.
    Time {
        /// From when on.
        since: String,
        /// Until when.
        until: String,
    },
}

/// The gateway's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// As in the changelog.
    pub version: String,
    /// The gateway's name, for whoever is signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether people sign in by a provider.
    #[serde(default)]
    pub has_provider: bool,
    /// Why changed files are not used, when they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_fault: Option<String>,
}
