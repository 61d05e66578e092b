//! Reads the records of a bundle as a story, and names where it does not hold together.
//!
//! Knows what records mean for one another: sessions and their operations, requests and their approvals, recordings and
//! policies and the records that seal them. Must not know bytes, hashes or files. Memory grows with the sessions and
//! requests of the bundle.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::report::{FindingKind, Findings};
use super::{Covered, Selection};
use crate::record::{
    BudgetRecord, Entry, KeyIssued, OperationDecided, PoliciesLoaded, Record, RecordingSeal, RequestAnswered,
    RequestOpened, SessionClosed, SessionOpened, TaskRequested, TaskStarted,
};

/// A session as far as it was read.
struct Session {
    task: String,
    identity: String,
    target: String,
    /// The number of its next operation.
    next: u64,
    closed: Option<u64>,
}

/// A task as far as it was read.
struct Task {
    identity: String,
    on_behalf_of: Option<String>,
    targets: Vec<String>,
    expires: Option<Timestamp>,
    ended: Option<u64>,
}

/// A static key as far as it was read.
struct Key {
    identity: String,
    targets: Vec<String>,
    expires: Option<Timestamp>,
    ended: Option<u64>,
}

/// What a request asks for.
enum Asked {
    Operation {
        task: String,
        target: String,
    },
    /// A task, as far as it is granted.
    Task {
        by: String,
        budget: Option<BudgetRecord>,
        reason: String,
        targets: BTreeSet<String>,
        ttl_secs: u32,
    },
}

/// A request as far as it was read.
struct Request {
    asked: Asked,
    identity: String,
    on_behalf_of: Option<String>,
    digest: String,
    /// When it can no longer be answered.
    answer_until: String,
    /// How many of each group must approve, and who did.
    wanting: BTreeMap<String, (u32, BTreeSet<String>)>,
    approved: bool,
    denied: Option<u64>,
    ended: Option<(u64, String)>,
    used: Option<u64>,
    /// When the first of its approvals can no longer be used.
    expires: Option<Timestamp>,
}

/// What a record says about a recording.
pub(super) struct Sealed {
    /// The record.
    pub(super) index: u64,
    /// The session.
    pub(super) session: String,
    /// Length and digest, as the record has them.
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// The story so far.
pub(super) struct Meaning<'s> {
    selection: &'s Selection,
    covered: Covered,
    tasks: BTreeMap<String, Task>,
    keys: BTreeMap<String, Key>,
    sessions: BTreeMap<String, Session>,
    requests: BTreeMap<String, Request>,
    revisions_loaded: BTreeSet<String>,
    /// The first record that uses each revision.
    revisions_used: BTreeMap<String, u64>,
    /// By plain name.
    pub(super) recordings: BTreeMap<String, Sealed>,
    /// The first record that names each policy file, by file name and digest.
    pub(super) policies: BTreeMap<(String, String), u64>,
    pub(super) operations: u64,
}

impl Request {
    fn new(
        asked: Asked,
        whom: (&str, Option<&str>),
        (digest, answer_until): (&str, &str),
        groups: &[String],
        quorum: &BTreeMap<String, u32>,
    ) -> Self {
        let wanting = |group: &String| (group.clone(), (quorum.get(group).copied().unwrap_or(1), BTreeSet::new()));
        Self {
            asked,
            identity: whom.0.into(),
            on_behalf_of: whom.1.map(Into::into),
            digest: digest.into(),
            answer_until: answer_until.into(),
            wanting: groups.iter().map(wanting).collect(),
            approved: false,
            denied: None,
            ended: None,
            used: None,
            expires: None,
        }
    }

    /// True if the person who answers asked for it, or it is done on that person's behalf.
    fn involves(&self, by: &str) -> bool {
        let person = |name: &str| name.strip_prefix("user:").unwrap_or(name).to_owned();
        by == self.identity || self.on_behalf_of.as_deref().is_some_and(|other| person(other) == person(by))
    }

    /// Takes in an approval; what it grants may be less than what was asked for, and never more.
    fn approve(&mut self, answer: &RequestAnswered) -> Result<(), &'static str> {
        self.approved = true;
        for group in &answer.groups {
            if let Some((_, approved)) = self.wanting.get_mut(group) {
                approved.insert(answer.by.clone());
            }
        }
        if let Some(text) = &answer.expires {
            // A time that cannot be read is one that has passed.
            let expires = parse_time(text).unwrap_or(Timestamp::MIN);
            self.expires = Some(self.expires.map_or(expires, |other| other.min(expires)));
        }
        let granted: BTreeSet<String> = answer.targets.iter().cloned().collect();
        match (&mut self.asked, answer.ttl_secs) {
            (_, None) if granted.is_empty() => Ok(()),
            (Asked::Task { targets, ttl_secs, .. }, Some(secs)) if granted.is_subset(targets) && secs <= *ttl_secs => {
                (*targets, *ttl_secs) = (granted, secs);
                Ok(())
            }
            (Asked::Task { .. } | Asked::Operation { .. }, _) => Err("which grants more than was asked for"),
        }
    }
}

impl<'s> Meaning<'s> {
    pub(super) fn new(selection: &'s Selection) -> Self {
        Self {
            selection,
            covered: Covered::by(selection),
            tasks: BTreeMap::new(),
            keys: BTreeMap::new(),
            sessions: BTreeMap::new(),
            requests: BTreeMap::new(),
            revisions_loaded: BTreeSet::new(),
            revisions_used: BTreeMap::new(),
            recordings: BTreeMap::new(),
            policies: BTreeMap::new(),
            operations: 0,
        }
    }

    /// The number of sessions that began.
    pub(super) fn sessions(&self) -> u64 {
        self.sessions.len() as u64
    }

    /// Reads the next record.
    pub(super) fn read(&mut self, record: &Record, findings: &mut Findings) {
        let index = record.index;
        match &record.entry {
            Entry::PoliciesLoaded(body) => self.policies_loaded(index, body),
            Entry::SessionOpened(body) => self.session_opened(record, body, findings),
            Entry::SessionClosed(body) => self.session_closed(index, body, findings),
            Entry::OperationDecided(body) => self.operation(record, body, findings),
            Entry::RequestOpened(body) => self.request_opened(index, body, findings),
            Entry::TaskRequested(body) => self.task_requested(index, body, findings),
            Entry::TaskStarted(body) => {
                if let Some(request) = &body.approval {
                    self.use_for_task(record, body, request, findings);
                }
                self.task_started(index, body, findings);
            }
            Entry::TaskEnded(body) => {
                if let Some(task) = self.tasks.get_mut(&body.task) {
                    task.ended = Some(index);
                }
            }
            Entry::RequestAnswered(body) => self.answered(record, body, findings),
            Entry::RequestEnded(body) => match self.requests.get_mut(&body.request) {
                Some(request) => request.ended = Some((index, body.cause.clone())),
                None => unknown_request(index, &body.request, findings),
            },
            Entry::RecordingSealed(body) => {
                let seal = RecordingSeal {
                    file: body.file.clone(),
                    bytes: body.bytes,
                    sha256: body.sha256.clone(),
                    truncated: false,
                };
                self.sealed(index, &body.session, &seal, findings);
            }
            Entry::KeyIssued(body) => self.key_issued(body),
            Entry::KeyEnded(body) => {
                if let Some(key) = self.keys.get_mut(&body.key) {
                    key.ended = Some(index);
                }
            }
            Entry::GatewayStarted(_)
            | Entry::GatewayStopped(_)
            | Entry::ConfigurationLoaded(_)
            | Entry::PersonSignedIn(_)
            | Entry::PersonSignedOut(_)
            | Entry::AccountMade(_)
            | Entry::AccountLocked(_)
            | Entry::AccountEnded(_)
            | Entry::LockdownBegun(_)
            | Entry::LockdownLifted(_)
            | Entry::LoginRefused(_)
            | Entry::CancelSent(_)
            | Entry::TunnelOpened(_)
            | Entry::TunnelClosed(_)
            | Entry::TunnelRefused(_)
            | Entry::DescriptionTold(_)
            | Entry::DescriptionAccepted(_) => {}
        }
    }

    /// Checks what can only be known at the end.
    pub(super) fn finish(&self, findings: &mut Findings) {
        for (revision, index) in &self.revisions_used {
            if !self.revisions_loaded.contains(revision) {
                findings.add(
                    FindingKind::Policy,
                    format!(
                        "record {index} was decided by policies {revision}, and no record says that they were loaded"
                    ),
                );
            }
        }
        if let Selection::Session(session) = self.selection
            && !self.sessions.contains_key(session)
        {
            findings.add(FindingKind::Session, format!("session {session}: no record says that it was opened"));
        }
    }

    fn policies_loaded(&mut self, index: u64, body: &PoliciesLoaded) {
        self.revisions_loaded.insert(body.revision.clone());
        for (file, digest) in &body.files {
            self.policies.entry((file.clone(), digest.clone())).or_insert(index);
        }
    }

    fn key_issued(&mut self, body: &KeyIssued) {
        let key = Key {
            identity: body.identity.clone(),
            targets: body.targets.clone(),
            expires: parse_time(&body.expires),
            ended: None,
        };
        self.keys.insert(body.key.clone(), key);
    }

    /// What a task came from must have been good for it: a key of the same agent, a task that lives for as long.
    fn origin(&self, index: u64, body: &TaskStarted, findings: &mut Findings) {
        let mut add = |what: &str| {
            let message = format!("record {index} begins task {} by {what} that does not reach so far", body.task);
            findings.add(FindingKind::Session, message);
        };
        let until = parse_time(&body.expires);
        let is_within = |targets: &[String], expires: Option<Timestamp>| {
            body.targets.iter().all(|target| targets.contains(target)) && until.is_some() && until <= expires
        };
        // What is handed on is checked where it began.
        if let (Some(name), None) = (&body.api_key, &body.parent) {
            let is_good = |key: &Key| {
                key.ended.is_none() && key.identity == body.identity && is_within(&key.targets, key.expires)
            };
            if !self.keys.get(name).is_some_and(is_good) {
                add("a key");
            }
        }
        if let Some(name) = &body.parent {
            let is_good = |task: &Task| {
                task.ended.is_none() && task.on_behalf_of == body.on_behalf_of && is_within(&task.targets, task.expires)
            };
            if !self.tasks.get(name).is_some_and(is_good) {
                add("a task");
            }
        }
    }

    fn task_started(&mut self, index: u64, body: &TaskStarted, findings: &mut Findings) {
        if let Some(revision) = &body.revision {
            self.revisions_used.entry(revision.clone()).or_insert(index);
        }
        self.origin(index, body, findings);
        let task = Task {
            identity: body.identity.clone(),
            on_behalf_of: body.on_behalf_of.clone(),
            targets: body.targets.clone(),
            expires: parse_time(&body.expires),
            ended: None,
        };
        if self.tasks.insert(body.task.clone(), task).is_some() {
            let message = format!("task {} began more than once, last in record {index}", body.task);
            findings.add(FindingKind::Session, message);
        }
    }

    /// A session is of a task that lives, of whom and where the task is.
    fn is_of_its_task(&self, record: &Record, body: &SessionOpened, findings: &mut Findings) {
        let (index, name) = (record.index, &body.session);
        let mut add = |message| findings.add(FindingKind::Session, message);
        let Some(task) = self.tasks.get(&body.task) else {
            add(format!("record {index} opens session {name}, and no record before it says that its task began"));
            return;
        };
        if (&task.identity, &task.on_behalf_of) != (&body.identity, &body.on_behalf_of)
            || !task.targets.contains(&body.target)
        {
            add(format!("record {index} opens session {name} of another identity or target than its task's"));
        }
        if let Some(ended) = task.ended {
            add(format!("record {index} opens session {name} after its task ended in record {ended}"));
        }
        if task.expires.is_none_or(|expires| record.time > expires) {
            add(format!("record {index} opens session {name} after its task expired"));
        }
    }

    fn session_opened(&mut self, record: &Record, body: &SessionOpened, findings: &mut Findings) {
        let index = record.index;
        self.is_of_its_task(record, body, findings);
        let session = Session {
            task: body.task.clone(),
            identity: body.identity.clone(),
            target: body.target.clone(),
            next: 0,
            closed: None,
        };
        self.uses_revision(index, &body.policies);
        if self.sessions.insert(body.session.clone(), session).is_some() {
            let message = format!("session {} was opened more than once, last in record {index}", body.session);
            findings.add(FindingKind::Session, message);
        }
    }

    fn session_closed(&mut self, index: u64, body: &SessionClosed, findings: &mut Findings) {
        if let Some(seal) = &body.recording {
            self.sealed(index, &body.session, seal, findings);
        }
        let name = &body.session;
        let Some(session) = self.sessions.get_mut(name) else {
            findings.add(FindingKind::Session, format!("session {name}: no record says that it was opened"));
            return;
        };
        if let Some(first) = session.closed.replace(index) {
            findings
                .add(FindingKind::Session, format!("session {name} was closed twice, in records {first} and {index}"));
        }
        if session.next != body.operations {
            let message = format!(
                "session {name}: record {index} counts {} operations, and by their numbers there are {}",
                body.operations, session.next
            );
            findings.add(FindingKind::Session, message);
        }
    }

    fn sealed(&mut self, index: u64, session: &str, seal: &RecordingSeal, findings: &mut Findings) {
        let sealed = Sealed { index, session: session.into(), bytes: seal.bytes, sha256: seal.sha256.clone() };
        if let Some(first) = self.recordings.get(&seal.file) {
            if (first.bytes, &first.sha256) != (sealed.bytes, &sealed.sha256) {
                let message =
                    format!("recording {} was sealed differently in records {} and {index}", seal.file, first.index);
                findings.add(FindingKind::Recording, message);
            }
            return;
        }
        self.recordings.insert(seal.file.clone(), sealed);
    }

    fn uses_revision(&mut self, index: u64, revision: &str) {
        // What was refused before any policy was asked has no revision.
        if !revision.is_empty() {
            self.revisions_used.entry(revision.into()).or_insert(index);
        }
    }

    fn operation(&mut self, record: &Record, body: &OperationDecided, findings: &mut Findings) {
        self.operations += 1;
        self.uses_revision(record.index, &body.revision);
        self.place_in_session((record.index, record.time), body, findings);
        if body.refused.is_some() {
            return;
        }
        let permitted = match (body.verdict.as_str(), body.phase.as_str(), &body.approval) {
            ("allow", _, _) | ("hold", _, Some(_)) => true,
            // What is only made known is held when it is to run.
            ("hold", phase, None) => phase == "prepare",
            _ => false,
        };
        if !permitted {
            let message = format!(
                "record {} (session {}, operation {}) passed without a permit: the verdict is {}",
                record.index, body.session, body.number, body.verdict
            );
            findings.add(FindingKind::Verdict, message);
        }
        if let Some(request) = &body.approval {
            self.use_approval(record, body, request, findings);
        }
    }

    fn place_in_session(&mut self, (index, time): (u64, Timestamp), body: &OperationDecided, findings: &mut Findings) {
        let (name, number) = (&body.session, body.number);
        let mut add = |message| findings.add(FindingKind::Session, message);
        let Some(session) = self.sessions.get_mut(name) else {
            // A second use of an approval may come from a session that the bundle does not hold.
            let foreign = match self.selection {
                Selection::All => false,
                Selection::Session(wanted) => wanted != name,
                Selection::Task(wanted) => *wanted != body.task,
                Selection::Time { .. } => !self.covered.has(time),
            };
            if !foreign {
                add(format!("record {index}: no record before it says that session {name} was opened"));
            }
            return;
        };
        if number > session.next {
            let lost = match number - session.next {
                1 => format!("operation {} is", session.next),
                _ => format!("operations {} to {} are", session.next, number - 1),
            };
            add(format!("session {name}: {lost} missing before record {index}"));
        } else if number < session.next {
            add(format!("session {name}: record {index} has the number {number} of an earlier operation"));
        }
        session.next = session.next.max(number.saturating_add(1));
        if let Some(closed) = session.closed {
            add(format!("session {name}: record {index} comes after the session was closed in record {closed}"));
        }
        if (&session.task, &session.identity, &session.target) != (&body.task, &body.identity, &body.target) {
            add(format!("record {index} names another task, identity or target than its session {name}"));
        }
    }

    fn request_opened(&mut self, index: u64, body: &RequestOpened, findings: &mut Findings) {
        self.uses_revision(index, &body.revision);
        let asked = Asked::Operation { task: body.task.clone(), target: body.target.clone() };
        let whom = (body.identity.as_str(), body.on_behalf_of.as_deref());
        let request = Request::new(asked, whom, (&body.digest, &body.expires), &body.groups, &body.quorum);
        self.add_request(index, &body.request, request, findings);
    }

    fn task_requested(&mut self, index: u64, body: &TaskRequested, findings: &mut Findings) {
        self.uses_revision(index, &body.revision);
        let targets = body.targets.iter().cloned().collect();
        let (by, reason) = (body.by.clone(), body.reason.clone());
        let asked = Asked::Task { by, budget: body.budget.clone(), reason, targets, ttl_secs: body.ttl_secs };
        let whom = (body.identity.as_str(), body.on_behalf_of.as_deref());
        let request = Request::new(asked, whom, (&body.digest, &body.expires), &body.groups, &body.quorum);
        self.add_request(index, &body.request, request, findings);
    }

    fn add_request(&mut self, index: u64, name: &str, request: Request, findings: &mut Findings) {
        if self.requests.insert(name.into(), request).is_some() {
            let message = format!("request {name} was opened more than once, last in record {index}");
            findings.add(FindingKind::Approval, message);
        }
    }

    fn answered(&mut self, record: &Record, body: &RequestAnswered, findings: &mut Findings) {
        let (index, name) = (record.index, &body.request);
        let Some(request) = self.requests.get_mut(name) else {
            unknown_request(index, name, findings);
            return;
        };
        let mut add = |message| findings.add(FindingKind::Approval, message);
        if body.by.starts_with("agent:") {
            add(format!("request {name} was answered by an agent, {}, in record {index}", body.by));
        }
        if request.involves(&body.by) {
            add(format!("request {name} was answered by whom it is for, {}, in record {index}", body.by));
        }
        if parse_time(&request.answer_until).is_none_or(|expires| record.time > expires) {
            add(format!("request {name} was answered after it expired, in record {index}"));
        }
        if let Some((ended, cause)) = &request.ended {
            add(format!("request {name} was answered in record {index}, after it ended ({cause}) in record {ended}"));
        }
        match body.answer.as_str() {
            "approved" => {
                if let Err(wrong) = request.approve(body) {
                    add(format!("request {name} has an answer, {wrong}, in record {index}"));
                }
            }
            "denied" => request.denied = Some(index),
            other => add(format!("request {name} has an unknown answer, {other}, in record {index}")),
        }
    }

    fn use_approval(&mut self, record: &Record, body: &OperationDecided, name: &str, findings: &mut Findings) {
        let index = record.index;
        let Some(request) = self.requests.get_mut(name) else {
            unknown_request(index, name, findings);
            return;
        };
        let mut add = |message| findings.add(FindingKind::Approval, message);
        if request.digest != body.digest {
            add(format!("record {index} uses the approval {name} of another operation: the digests differ"));
        }
        let is_its_own = match &request.asked {
            Asked::Operation { task, target } => (task, target) == (&body.task, &body.target),
            Asked::Task { .. } => false,
        };
        if !is_its_own || (&request.identity, &request.on_behalf_of) != (&body.identity, &body.on_behalf_of) {
            add(format!("record {index} uses the approval {name} of another task, identity or target"));
        }
        use_once(record, name, request, findings);
    }

    /// A task began by an approval: it must be the one that was asked for, as far as it was granted.
    fn use_for_task(&mut self, record: &Record, body: &TaskStarted, name: &str, findings: &mut Findings) {
        let index = record.index;
        let Some(request) = self.requests.get_mut(name) else {
            unknown_request(index, name, findings);
            return;
        };
        let is_granted = match &request.asked {
            Asked::Operation { .. } => false,
            Asked::Task { by, budget, reason, targets, ttl_secs } => {
                let until = record.time.saturating_add(SignedDuration::from_secs(i64::from(*ttl_secs) + 1));
                let is_in_time = parse_time(&body.expires).zip(until.ok()).is_some_and(|(end, until)| end <= until);
                (by, reason, budget) == (&body.by, &body.reason, &body.budget)
                    && is_in_time
                    && body.targets.iter().all(|target| targets.contains(target))
            }
        };
        if !is_granted || (&request.identity, &request.on_behalf_of) != (&body.identity, &body.on_behalf_of) {
            let message = format!("record {index} begins a task by the approval {name}, which grants another or less");
            findings.add(FindingKind::Approval, message);
        }
        use_once(record, name, request, findings);
    }
}

/// An approval is used once, by then complete, and neither denied nor over.
fn use_once(record: &Record, name: &str, request: &mut Request, findings: &mut Findings) {
    let index = record.index;
    let mut add = |message| findings.add(FindingKind::Approval, message);
    let is_wanting =
        |(_, (needed, approved)): &(&String, &(u32, BTreeSet<String>))| (approved.len() as u64) < u64::from(*needed);
    let wanting: Vec<&str> = request.wanting.iter().filter(is_wanting).map(|(group, _)| group.as_str()).collect();
    if let Some(denied) = request.denied {
        add(format!("record {index} uses request {name}, which was denied in record {denied}"));
    } else if !request.approved {
        add(format!("record {index} uses request {name} before it was approved"));
    } else if !wanting.is_empty() {
        add(format!("record {index} uses request {name}, which nobody approved for {}", wanting.join(", ")));
    }
    if request.expires.is_some_and(|expires| record.time > expires) {
        add(format!("record {index} uses the approval {name} after it expired"));
    }
    if let Some((ended, cause)) = request.ended.as_ref().filter(|(_, cause)| cause != "used") {
        add(format!("record {index} uses request {name} after it ended ({cause}) in record {ended}"));
    }
    if let Some(first) = request.used.replace(index) {
        add(format!("the approval {name} was used twice, in records {first} and {index}"));
    }
}

fn unknown_request(index: u64, request: &str, findings: &mut Findings) {
    let message = format!("record {index} names request {request}, and no record before it says that it was opened");
    findings.add(FindingKind::Approval, message);
}

fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}
