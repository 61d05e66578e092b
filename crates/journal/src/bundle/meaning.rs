//! Reads the records of a bundle as a story, and names where it does not hold together.
//!
//! Knows what records mean for one another: sessions and their operations, requests and their approvals, recordings and
//! policies and the records that seal them. Must not know bytes, hashes or files. Memory grows with the sessions and
//! requests of the bundle.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Selection;
use super::report::{FindingKind, Findings};
use crate::record::{
    Entry, OperationDecided, PoliciesLoaded, Record, RecordingSeal, RequestAnswered, RequestOpened, SessionClosed,
    SessionOpened,
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

/// A request as far as it was read.
struct Request {
    opened: RequestOpened,
    /// Groups that have not approved yet.
    wanting: BTreeSet<String>,
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

impl<'s> Meaning<'s> {
    pub(super) fn new(selection: &'s Selection) -> Self {
        Self {
            selection,
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
            Entry::SessionOpened(body) => self.session_opened(index, body, findings),
            Entry::SessionClosed(body) => self.session_closed(index, body, findings),
            Entry::OperationDecided(body) => self.operation(record, body, findings),
            Entry::RequestOpened(body) => self.request_opened(index, body, findings),
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
            Entry::GatewayStarted(_)
            | Entry::GatewayStopped(_)
            | Entry::ConfigurationLoaded(_)
            | Entry::TaskStarted(_)
            | Entry::TaskEnded(_)
            | Entry::PersonSignedIn(_)
            | Entry::PersonSignedOut(_)
            | Entry::LockdownBegun(_)
            | Entry::LockdownLifted(_)
            | Entry::LoginRefused(_)
            | Entry::CancelSent(_) => {}
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

    fn session_opened(&mut self, index: u64, body: &SessionOpened, findings: &mut Findings) {
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
        self.place_in_session(record.index, body, findings);
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

    fn place_in_session(&mut self, index: u64, body: &OperationDecided, findings: &mut Findings) {
        let (name, number) = (&body.session, body.number);
        let mut add = |message| findings.add(FindingKind::Session, message);
        let Some(session) = self.sessions.get_mut(name) else {
            // A second use of an approval may come from a session that the bundle does not hold.
            let foreign = match self.selection {
                Selection::All => false,
                Selection::Session(wanted) => wanted != name,
                Selection::Task(wanted) => *wanted != body.task,
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
        let request = Request {
            opened: body.clone(),
            wanting: body.groups.iter().cloned().collect(),
            approved: false,
            denied: None,
            ended: None,
            used: None,
            expires: None,
        };
        if self.requests.insert(body.request.clone(), request).is_some() {
            let message = format!("request {} was opened more than once, last in record {index}", body.request);
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
        if is_involved(&request.opened, &body.by) {
            add(format!("request {name} was answered by whom it is for, {}, in record {index}", body.by));
        }
        if parse_time(&request.opened.expires).is_none_or(|expires| record.time > expires) {
            add(format!("request {name} was answered after it expired, in record {index}"));
        }
        if let Some((ended, cause)) = &request.ended {
            add(format!("request {name} was answered in record {index}, after it ended ({cause}) in record {ended}"));
        }
        match body.answer.as_str() {
            "approved" => {
                request.approved = true;
                for group in &body.groups {
                    request.wanting.remove(group);
                }
                if let Some(text) = &body.expires {
                    // A time that cannot be read is one that has passed.
                    let expires = parse_time(text).unwrap_or(Timestamp::MIN);
                    request.expires = Some(request.expires.map_or(expires, |other| other.min(expires)));
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
        let opened = &request.opened;
        if opened.digest != body.digest {
            add(format!("record {index} uses the approval {name} of another operation: the digests differ"));
        }
        if (&opened.task, &opened.identity, &opened.on_behalf_of, &opened.target)
            != (&body.task, &body.identity, &body.on_behalf_of, &body.target)
        {
            add(format!("record {index} uses the approval {name} of another task, identity or target"));
        }
        if let Some(denied) = request.denied {
            add(format!("record {index} uses request {name}, which was denied in record {denied}"));
        } else if !request.approved {
            add(format!("record {index} uses request {name} before it was approved"));
        } else if !request.wanting.is_empty() {
            let groups = request.wanting.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            add(format!("record {index} uses request {name}, which nobody approved for {groups}"));
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
}

fn unknown_request(index: u64, request: &str, findings: &mut Findings) {
    let message = format!("record {index} names request {request}, and no record before it says that it was opened");
    findings.add(FindingKind::Approval, message);
}

/// True if the person who answers asked for it, or it is done on that person's behalf.
fn is_involved(opened: &RequestOpened, by: &str) -> bool {
    let person = |name: &str| name.strip_prefix("user:").unwrap_or(name).to_owned();
    by == opened.identity || opened.on_behalf_of.as_deref().is_some_and(|other| person(other) == person(by))
}

fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}
