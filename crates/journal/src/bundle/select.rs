//! Chooses the records of a bundle.
//!
//! Knows which records belong to a task or session; must not know how they are packed. The journal is read twice:
//! [`Wanted::survey`] learns the ids that belong together (of a time, [`Wanted::note`] says before which it begins with), [`Chooser`] then decides record by record.

use std::collections::{BTreeMap, BTreeSet};

use super::{Covered, Selection};
use crate::record::{Entry, Record};

/// The ids whose records are wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    covered: Covered,
    all: bool,
    found: bool,
    tasks: BTreeSet<String>,
    sessions: BTreeSet<String>,
    requests: BTreeSet<String>,
    keys: BTreeSet<String>,
    /// The leases of accounts that were made for them.
    leases: BTreeSet<String>,
    /// The request that each task began by, if it began by one.
    granted: BTreeMap<String, String>,
    /// The task and the key that each task came from, if it came from any.
    origins: BTreeMap<String, (Option<String>, Option<String>)>,
}

impl Wanted {
    /// Begins a survey; for [`Selection::All`] none is needed.
    pub(super) fn new(selection: &Selection) -> Self {
        let mut this = Self { covered: Covered::by(selection), ..Self::default() };
        match selection {
            Selection::All => {
                this.all = true;
                this.found = true;
            }
            Selection::Session(session) => {
                this.sessions.insert(session.clone());
            }
            Selection::Task(task) => {
                this.tasks.insert(task.clone());
            }
            Selection::Time { .. } => {}
        }
        this
    }

    /// True if every record is wanted.
    pub(super) fn is_all(&self) -> bool {
        self.all
    }

    /// True if the task or session was met.
    pub(super) fn is_found(&self) -> bool {
        self.found
    }

    /// Of a time: learns which sessions, tasks and the like its records are of.
    pub(super) fn note(&mut self, record: &Record) {
        if !self.covered.has(record.time) {
            return;
        }
        self.found = true;
        match &record.entry {
            Entry::TaskStarted(body) => self.want(&[], &[&body.task]),
            Entry::TaskEnded(body) => self.want(&[], &[&body.task]),
            Entry::SessionOpened(body) => self.want(&[&body.session], &[&body.task]),
            Entry::OperationDecided(body) => self.want(&[&body.session], &[&body.task]),
            Entry::RequestOpened(body) => self.want(&[&body.session], &[&body.task]),
            Entry::SessionClosed(body) => self.want(&[&body.session], &[]),
            Entry::CancelSent(body) => self.want(&[&body.session], &[]),
            Entry::RecordingSealed(body) => self.want(&[&body.session], &[]),
            Entry::TunnelOpened(body) => self.want(&[], &[&body.task]),
            Entry::TunnelRefused(body) => self.want(&[], &[&body.task]),
            Entry::TunnelClosed(body) => self.want(&[], &[&body.task]),
            Entry::AccountMade(body) => self.want(&[], &[&body.task]),
            Entry::TaskRequested(body) => drop(self.requests.insert(body.request.clone())),
            Entry::RequestAnswered(body) => drop(self.requests.insert(body.request.clone())),
            Entry::RequestEnded(body) => drop(self.requests.insert(body.request.clone())),
            Entry::DescriptionAccepted(body) => drop(self.requests.insert(body.request.clone())),
            Entry::KeyIssued(body) => drop(self.keys.insert(body.key.clone())),
            Entry::KeyEnded(body) => drop(self.keys.insert(body.key.clone())),
            Entry::AccountLocked(body) => drop(self.leases.insert(body.lease.clone())),
            Entry::AccountEnded(body) => drop(self.leases.insert(body.lease.clone())),
            Entry::GatewayStarted(_)
            | Entry::GatewayStopped(_)
            | Entry::PoliciesLoaded(_)
            | Entry::ConfigurationLoaded(_)
            | Entry::PersonSignedIn(_)
            | Entry::PersonSignedOut(_)
            | Entry::LockdownBegun(_)
            | Entry::LockdownLifted(_)
            | Entry::LoginRefused(_)
            | Entry::DescriptionTold(_) => {}
        }
    }

    fn want(&mut self, sessions: &[&String], tasks: &[&String]) {
        self.sessions.extend(sessions.iter().map(ToString::to_string));
        self.tasks.extend(tasks.iter().map(ToString::to_string));
    }

    /// True if what a session does under a task is the selection's own.
    fn has(&self, selection: &Selection, session: &str, task: &str) -> bool {
        match selection {
            Selection::All => false,
            Selection::Session(wanted) => wanted == session,
            Selection::Task(wanted) => wanted == task,
            Selection::Time { .. } => self.sessions.contains(session),
        }
    }

    /// Learns from one record which ids belong to the selection.
    pub(super) fn survey(&mut self, selection: &Selection, record: &Record) {
        match &record.entry {
            Entry::TaskStarted(body) => {
                // One that began by an answer of the time is as much its as the answer.
                let is_answered = body.approval.as_ref().is_some_and(|request| self.requests.contains(request));
                if is_answered && matches!(selection, Selection::Time { .. }) {
                    self.tasks.insert(body.task.clone());
                }
                let is_wanted = match selection {
                    Selection::All | Selection::Session(_) => false,
                    Selection::Task(task) => *task == body.task,
                    Selection::Time { .. } => self.tasks.contains(&body.task),
                };
                self.found |= is_wanted;
                if let Some(request) = &body.approval {
                    if is_wanted {
                        self.requests.insert(request.clone());
                    }
                    self.granted.insert(body.task.clone(), request.clone());
                }
                if body.parent.is_some() || body.api_key.is_some() {
                    self.origins.insert(body.task.clone(), (body.parent.clone(), body.api_key.clone()));
                }
                if is_wanted {
                    self.want_origin(&body.task);
                }
            }
            Entry::SessionOpened(body) => match selection {
                Selection::All => {}
                Selection::Session(session) if *session == body.session => {
                    self.found = true;
                    self.tasks.insert(body.task.clone());
                    self.requests.extend(self.granted.get(&body.task).cloned());
                    self.want_origin(&body.task);
                }
                Selection::Task(task) if *task == body.task => {
                    self.found = true;
                    self.sessions.insert(body.session.clone());
                }
                Selection::Time { .. } if self.sessions.contains(&body.session) => {
                    self.tasks.insert(body.task.clone());
                    self.requests.extend(self.granted.get(&body.task).cloned());
                    self.want_origin(&body.task);
                }
                Selection::Session(_) | Selection::Task(_) | Selection::Time { .. } => {}
            },
            Entry::RequestOpened(body) if self.has(selection, &body.session, &body.task) => {
                self.requests.insert(body.request.clone());
            }
            Entry::OperationDecided(body) if self.has(selection, &body.session, &body.task) => {
                self.requests.extend(body.approval.clone());
            }
            Entry::AccountMade(body) if self.tasks.contains(&body.task) => {
                self.leases.insert(body.lease.clone());
            }
            Entry::GatewayStarted(_)
            | Entry::GatewayStopped(_)
            | Entry::PoliciesLoaded(_)
            | Entry::ConfigurationLoaded(_)
            | Entry::AccountMade(_)
            | Entry::TaskRequested(_)
            | Entry::TaskEnded(_)
            | Entry::PersonSignedIn(_)
            | Entry::PersonSignedOut(_)
            | Entry::KeyIssued(_)
            | Entry::KeyEnded(_)
            | Entry::AccountLocked(_)
            | Entry::AccountEnded(_)
            | Entry::LockdownBegun(_)
            | Entry::LockdownLifted(_)
            | Entry::LoginRefused(_)
            | Entry::SessionClosed(_)
            | Entry::OperationDecided(_)
            | Entry::RequestOpened(_)
            | Entry::RequestAnswered(_)
            | Entry::RequestEnded(_)
            | Entry::CancelSent(_)
            | Entry::TunnelOpened(_)
            | Entry::TunnelClosed(_)
            | Entry::TunnelRefused(_)
            | Entry::DescriptionTold(_)
            | Entry::DescriptionAccepted(_)
            | Entry::RecordingSealed(_) => {}
        }
    }

    /// What a task came from belongs to it.
    fn want_origin(&mut self, task: &str) {
        let mut next = Some(task.to_string());
        while let Some(task) = next {
            self.requests.extend(self.granted.get(&task).cloned());
            let Some((parent, key)) = self.origins.get(&task).cloned() else { break };
            self.keys.extend(key);
            // A task that was met before is no way back.
            next = parent.filter(|parent| self.tasks.insert(parent.clone()));
        }
    }

    /// True if the record is one of the selection's own. Every use of its approvals counts as one, so that a bundle
    /// shows that there was no second.
    fn matches(&self, entry: &Entry) -> bool {
        match entry {
            Entry::TaskStarted(body) => {
                self.tasks.contains(&body.task)
                    || body.approval.as_ref().is_some_and(|request| self.requests.contains(request))
            }
            Entry::TaskRequested(body) => self.requests.contains(&body.request),
            Entry::TaskEnded(body) => self.tasks.contains(&body.task),
            Entry::SessionOpened(body) => self.sessions.contains(&body.session),
            Entry::SessionClosed(body) => self.sessions.contains(&body.session),
            Entry::CancelSent(body) => self.sessions.contains(&body.session),
            Entry::RecordingSealed(body) => self.sessions.contains(&body.session),
            Entry::OperationDecided(body) => {
                self.sessions.contains(&body.session)
                    || body.approval.as_ref().is_some_and(|request| self.requests.contains(request))
            }
            Entry::KeyIssued(body) => self.keys.contains(&body.key),
            Entry::KeyEnded(body) => self.keys.contains(&body.key),
            Entry::AccountMade(body) => self.tasks.contains(&body.task) || self.leases.contains(&body.lease),
            Entry::TunnelOpened(body) => self.tasks.contains(&body.task),
            Entry::TunnelClosed(body) => self.tasks.contains(&body.task),
            Entry::TunnelRefused(body) => self.tasks.contains(&body.task),
            Entry::AccountLocked(body) => self.leases.contains(&body.lease),
            Entry::AccountEnded(body) => self.leases.contains(&body.lease),
            Entry::RequestOpened(body) => self.requests.contains(&body.request),
            Entry::RequestAnswered(body) => self.requests.contains(&body.request),
            Entry::RequestEnded(body) => self.requests.contains(&body.request),
            Entry::GatewayStarted(_)
            | Entry::GatewayStopped(_)
            | Entry::PoliciesLoaded(_)
            | Entry::ConfigurationLoaded(_)
            | Entry::PersonSignedIn(_)
            | Entry::PersonSignedOut(_)
            | Entry::LockdownBegun(_)
            | Entry::LockdownLifted(_)
            | Entry::DescriptionTold(_)
            | Entry::LoginRefused(_) => false,
            Entry::DescriptionAccepted(body) => self.requests.contains(&body.request),
        }
    }
}

/// True for records that say what was in force for everybody.
fn is_circumstance(entry: &Entry) -> bool {
    match entry {
        Entry::GatewayStarted(_)
        | Entry::GatewayStopped(_)
        | Entry::PoliciesLoaded(_)
        | Entry::ConfigurationLoaded(_) => true,
        // Whom else something was shut for is none of a task's business; what it was refused for, its own records say.
        Entry::LockdownBegun(_)
        | Entry::LockdownLifted(_)
        | Entry::PersonSignedIn(_)
        | Entry::PersonSignedOut(_)
        | Entry::KeyIssued(_)
        | Entry::KeyEnded(_)
        | Entry::AccountMade(_)
        | Entry::AccountLocked(_)
        | Entry::AccountEnded(_)
        | Entry::TaskStarted(_)
        | Entry::TaskRequested(_)
        | Entry::TaskEnded(_)
        | Entry::LoginRefused(_)
        | Entry::SessionOpened(_)
        | Entry::SessionClosed(_)
        | Entry::OperationDecided(_)
        | Entry::RequestOpened(_)
        | Entry::RequestAnswered(_)
        | Entry::RequestEnded(_)
        | Entry::CancelSent(_)
        | Entry::TunnelOpened(_)
        | Entry::TunnelClosed(_)
        | Entry::TunnelRefused(_)
        | Entry::DescriptionTold(_)
        | Entry::DescriptionAccepted(_)
        | Entry::RecordingSealed(_) => false,
    }
}

/// Decides record by record. Circumstances are held back until a wanted record shows that they matter: before the first
/// one the latest of each kind, later all.
#[derive(Debug)]
pub(super) struct Chooser<T> {
    wanted: Wanted,
    begun: bool,
    held_back: BTreeMap<(u64, &'static str), T>,
}

impl<T> Chooser<T> {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self { wanted, begun: false, held_back: BTreeMap::new() }
    }

    /// Offers the next record, as `item`; passes those that are now chosen to `take`, in order.
    pub(super) fn offer(&mut self, record: &Record, item: T, mut take: impl FnMut(T)) {
        if self.wanted.all {
            take(item);
        } else if self.wanted.covered.has(record.time) {
            self.begin(&mut take);
            take(item);
        } else if is_circumstance(&record.entry) {
            let kind = record.entry.kind();
            if !self.begun {
                self.held_back.retain(|(_, other), _| *other != kind);
            }
            self.held_back.insert((record.index, kind), item);
        } else if self.wanted.matches(&record.entry) {
            self.begin(&mut take);
            take(item);
        }
    }

    /// What was in force when the first wanted record was written, or since the last one.
    fn begin(&mut self, take: impl FnMut(T)) {
        self.begun = true;
        std::mem::take(&mut self.held_back).into_values().for_each(take);
    }
}
