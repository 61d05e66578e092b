//! Folds the journal into the index: at the start what is missing, then what comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gatehouse_api::ChangeView;
use gatehouse_journal::{
    AccessRecord, BudgetRecord, Entry, Lines, OperationMark, Record, RequestOpened, SegmentFiles, SessionClosed,
    SessionOpened, TaskRequested, TaskStarted,
};
use gatehouse_model::{Budget, ClassName, KeyId, Origin, TaskId};
use gatehouse_store::{
    AskedRow, Change, KeyRow, LockdownRow, RequestRow, RevisionRow, SessionRow, Store, StoreError, TaskRow,
};
use jiff::Timestamp;
use tokio::sync::{Notify, broadcast};

use crate::notify::{Event, Subscription};
use crate::state::Ender;
use crate::{search, watch};

/// Records applied in one transaction.
const BATCH_RECORDS_MAX: usize = 5_000;
/// How far back a change of the same session is looked for.
const RECENT_CHANGES: usize = 64;
/// How long the index may lie behind while nobody asks for it, so that what comes in between is one transaction.
const LAG: Duration = Duration::from_millis(500);
/// The same while somebody looks at what changes.
const LAG_WATCHED: Duration = Duration::from_millis(50);

/// Why the index could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal could not be read.
    #[error("the journal cannot be read: {0}")]
    Journal(String),
}

/// The index, and who brings it up to the journal: one at a time, or changes would count twice.
pub(crate) struct Indexer {
    files: SegmentFiles,
    store: Store,
    size: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Tells those who look what changed.
    pub(crate) stirred: broadcast::Sender<ChangeView>,
    /// Who is told of what was recorded, once the index has it.
    pub(crate) told: std::sync::OnceLock<Vec<Subscription>>,
    /// Where the reading of the journal stands; whoever has it, has the turn.
    place: tokio::sync::Mutex<Option<Place>>,
}

/// How far the journal was read.
struct Place {
    lines: Lines,
    /// The next record that the index does not have.
    next: u64,
}

impl Indexer {
    /// Over these files and this index; `size` tells how many records there are.
    pub(crate) fn new(files: SegmentFiles, store: Store, size: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            files,
            store,
            size: Box::new(size),
            stirred: broadcast::channel(watch::CHANGES_MAX).0,
            told: std::sync::OnceLock::new(),
            place: tokio::sync::Mutex::new(None),
        }
    }

    /// Begins anew where the index is of a journal that went on further than this one: after a power failure, or from
    /// another backup. Only at the start, while nobody else uses it.
    pub(crate) async fn repair(&self) -> Result<(), IndexError> {
        let (index, journal) = (self.store.next_index().await?, (self.size)());
        if index > journal {
            tracing::warn!(index, journal, "the index is ahead of the journal, so it is built anew");
            self.store.begin_anew().await?;
        }
        Ok(())
    }

    /// Brings the index up to what is recorded now.
    pub(crate) async fn catch_up(&self) -> Result<(), IndexError> {
        let mut place = self.place.lock().await;
        // After a failure it is not known how far the index came, so the place is found anew.
        let begun = match place.take() {
            Some(begun) => begun,
            None => {
                let next = self.store.next_index().await?;
                Place { lines: self.files.lines(next, next).map_err(|error| unreadable(&error))?, next }
            }
        };
        *place = Some(self.go_on(begun).await?);
        Ok(())
    }

    async fn go_on(&self, mut place: Place) -> Result<Place, IndexError> {
        place.lines.go_on((self.size)());
        loop {
            let (mut changes, mut events) = (Vec::new(), Vec::new());
            let before = place.next;
            for line in place.lines.by_ref().take(BATCH_RECORDS_MAX) {
                let (index, line) = line.map_err(|error| unreadable(&error))?;
                place.next = index + 1;
                if let Some(mark) = OperationMark::of(&line) {
                    count(&mark, &mut changes);
                    continue;
                }
                let record = Record::parse(&line).map_err(|error| unreadable(&error))?;
                changes.extend(change(&record));
                events.extend(Event::of(&record));
            }
            if place.next == before {
                return Ok(place);
            }
            self.store.apply(place.next, &changes).await?;
            if self.stirred.receiver_count() > 0 {
                let stirred: BTreeSet<ChangeView> = changes.iter().filter_map(watch::told).collect();
                // Whoever went away meanwhile needs to know of nothing.
                stirred.into_iter().for_each(|change| drop(self.stirred.send(change)));
            }
            for event in events {
                self.told.get().into_iter().flatten().for_each(|receiver| receiver.tell(&event));
            }
        }
    }

    /// Follows the journal until the runtime ends.
    pub(crate) async fn follow(&self, recorded: Arc<Notify>) {
        loop {
            recorded.notified().await;
            // Whoever looks sees a request as soon as whoever answers it can.
            tokio::time::sleep(if self.stirred.receiver_count() > 0 { LAG_WATCHED } else { LAG }).await;
            if let Err(error) = self.catch_up().await {
                // The journal has it all; the index goes on where it stopped.
                tracing::warn!(%error, "the index lags behind the journal");
                tokio::time::sleep(Duration::from_secs(1)).await;
                recorded.notify_one();
            }
        }
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> IndexError {
    IndexError::Journal(error.to_string())
}

/// Operations of one session that follow each other closely are one change.
fn count(mark: &OperationMark<'_>, changes: &mut Vec<Change>) {
    let recent = changes.iter_mut().rev().take(RECENT_CHANGES);
    let same = recent.filter_map(|change| match change {
        Change::Operations { session, count, refused, approval: None } if session == mark.session => {
            Some((count, refused))
        }
        _ => None,
    });
    let refused = u64::from(mark.refused);
    match same.take(1).next() {
        Some((count, refusals)) if mark.approval.is_none() => {
            *count += 1;
            *refusals += refused;
        }
        Some(_) | None => changes.push(Change::Operations {
            session: mark.session.into(),
            count: 1,
            refused,
            approval: mark.approval.map(Into::into),
        }),
    }
}

fn accesses(records: &[AccessRecord]) -> Vec<String> {
    records.iter().map(|access| format!("{} on {}", access.action, access.resource)).collect()
}

fn time(text: &str, otherwise: Timestamp) -> Timestamp {
    text.parse().unwrap_or(otherwise)
}

fn change(record: &Record) -> Option<Change> {
    let at = record.time;
    match &record.entry {
        Entry::TaskStarted(task) => {
            Some(Change::TaskStarted { approval: task.approval.clone(), task: Box::new(task_row(task, at)) })
        }
        Entry::TaskEnded(task) => {
            let ender = Ender { by: task.by.clone(), reason: task.reason.clone() };
            Some(Change::TaskEnded { task: task.task.clone(), at, cause: task.cause.clone(), by: ender.to_string() })
        }
        Entry::KeyIssued(key) => Some(Change::KeyIssued(Box::new(KeyRow {
            id: key.key.clone(),
            identity: key.identity.clone(),
            targets: key.targets.clone(),
            reason: key.reason.clone(),
            created: at,
            expires: time(&key.expires, at),
            created_by: key.by.clone(),
            ended: None,
        }))),
        Entry::KeyEnded(key) => Some(Change::KeyEnded { key: key.key.clone(), at, cause: key.cause.clone() }),
        Entry::PoliciesLoaded(loaded) => Some(Change::PoliciesLoaded(Box::new(RevisionRow {
            record: record.index,
            revision: loaded.revision.clone(),
            since: at,
            files: loaded.files.clone(),
        }))),
        Entry::LockdownBegun(lockdown) => Some(Change::LockdownBegun(Box::new(LockdownRow {
            scope: lockdown.scope.clone(),
            by: lockdown.by.clone(),
            reason: lockdown.reason.clone(),
            since: at,
        }))),
        Entry::DescriptionTold(told) => Some(Change::DescriptionTold {
            kind_of: told.kind_of.clone(),
            id: told.id.clone(),
            digest: told.digest.clone(),
            text: told.text.clone(),
        }),
        Entry::DescriptionAccepted(accepted) => Some(Change::DescriptionAccepted {
            kind_of: accepted.kind_of.clone(),
            id: accepted.id.clone(),
            digest: accepted.digest.clone(),
        }),
        Entry::LockdownLifted(lockdown) => Some(Change::LockdownLifted { scope: lockdown.scope.clone() }),
        Entry::SessionOpened(session) => Some(Change::SessionOpened(Box::new(session_row(session, at)))),
        Entry::SessionClosed(session) => Some(Change::SessionClosed {
            session: session.session.clone(),
            at,
            cause: session.cause.clone(),
            rows: session.rows,
            masked: with_revealed(session),
            recording: session.recording.as_ref().map(|seal| seal.file.clone()),
        }),
        Entry::RecordingSealed(seal) => Some(Change::SessionClosed {
            session: seal.session.clone(),
            at,
            cause: seal.cause.clone(),
            rows: 0,
            masked: BTreeMap::new(),
            recording: Some(seal.file.clone()),
        }),
        Entry::OperationDecided(operation) => Some(Change::Operations {
            session: operation.session.clone(),
            count: 1,
            refused: u64::from(operation.refused.is_some()),
            approval: operation.approval.clone(),
        }),
        Entry::RequestOpened(request) => Some(Change::RequestOpened(Box::new(request_row(request, at)))),
        Entry::TaskRequested(request) => Some(Change::RequestOpened(Box::new(task_request_row(request, at)))),
        Entry::RequestAnswered(answer) => Some(Change::RequestAnswered {
            request: answer.request.clone(),
            approved: answer.answer == "approved",
            by: answer.by.clone(),
            groups: answer.groups.clone(),
            reason: answer.reason.clone(),
            until: answer.expires.as_deref().map(|until| time(until, at)),
            granted: answer.ttl_secs.map(|ttl_secs| (answer.targets.clone(), ttl_secs)),
        }),
        Entry::RequestEnded(request) => {
            Some(Change::RequestEnded { request: request.request.clone(), cause: request.cause.clone() })
        }
        Entry::AccountMade(_)
        | Entry::AccountLocked(_)
        | Entry::AccountEnded(_)
        | Entry::GatewayStarted(_)
        | Entry::GatewayStopped(_)
        | Entry::ConfigurationLoaded(_)
        | Entry::PersonSignedIn(_)
        | Entry::PersonSignedOut(_)
        | Entry::LoginRefused(_)
        | Entry::CancelSent(_)
        | Entry::TunnelOpened(_)
        | Entry::TunnelClosed(_)
        | Entry::TunnelRefused(_) => None,
    }
}

fn task_row(task: &TaskStarted, at: Timestamp) -> TaskRow {
    TaskRow {
        id: task.task.clone(),
        identity: task.identity.clone(),
        on_behalf_of: task.on_behalf_of.clone(),
        targets: task.targets.clone(),
        reason: task.reason.clone(),
        budget: budget(task.budget.as_ref()),
        origin: Origin {
            actors: task.actors.clone(),
            parent: task.parent.as_deref().and_then(|parent| TaskId::parse(parent).ok()),
            key: task.api_key.as_deref().and_then(|key| KeyId::parse(key).ok()),
            is_bound: task.is_bound,
        },
        started: at,
        expires: time(&task.expires, at),
        ended: None,
        ended_by: None,
        started_by: task.by.clone(),
    }
}

fn session_row(session: &SessionOpened, at: Timestamp) -> SessionRow {
    SessionRow {
        id: session.session.clone(),
        task: session.task.clone(),
        identity: session.identity.clone(),
        on_behalf_of: session.on_behalf_of.clone(),
        target: session.target.clone(),
        peer: session.peer.clone(),
        key: session.api_key.clone(),
        opened: at,
        closed: None,
        operations: 0,
        refused: 0,
        rows: 0,
        masked: 0,
        classes: BTreeMap::new(),
        recording: None,
    }
}

fn request_row(request: &RequestOpened, at: Timestamp) -> RequestRow {
    RequestRow {
        id: request.request.clone(),
        asked: AskedRow::Operation {
            session: request.session.clone(),
            task: request.task.clone(),
            target: request.target.clone(),
            binds: request.binds.clone(),
            mode: request.mode.clone(),
        },
        identity: request.identity.clone(),
        on_behalf_of: request.on_behalf_of.clone(),
        title: request.title.clone(),
        statement: request.statement.clone(),
        accesses: accesses(&request.accesses),
        facts: request.facts.iter().map(|(name, fact)| (name.clone(), search::fact(fact.clone()))).collect(),
        impact: request.impact.clone(),
        needs: needs(&request.groups, &request.quorum),
        reasons: request.reasons.clone(),
        policies: request.policies.clone(),
        digest: request.digest.clone(),
        opened: at,
        expires: time(&request.expires, at),
        state: "open".into(),
        approved_until: None,
        approvals: BTreeMap::new(),
        answer_reason: None,
        answered_by: None,
    }
}

fn task_request_row(request: &TaskRequested, at: Timestamp) -> RequestRow {
    RequestRow {
        id: request.request.clone(),
        asked: AskedRow::Task {
            targets: request.targets.clone(),
            ttl_secs: request.ttl_secs,
            by: request.by.clone(),
            budget: budget(request.budget.as_ref()),
            granted: None,
        },
        identity: request.identity.clone(),
        on_behalf_of: request.on_behalf_of.clone(),
        title: "task".into(),
        statement: request.reason.clone(),
        accesses: request.targets.iter().map(|target| format!("start on Target {target}")).collect(),
        facts: BTreeMap::new(),
        impact: Vec::new(),
        needs: needs(&request.groups, &request.quorum),
        reasons: request.reasons.clone(),
        policies: request.policies.clone(),
        digest: request.digest.clone(),
        opened: at,
        expires: time(&request.expires, at),
        state: "open".into(),
        approved_until: None,
        approvals: BTreeMap::new(),
        answer_reason: None,
        answered_by: None,
    }
}

fn budget(record: Option<&BudgetRecord>) -> Budget {
    let Some(BudgetRecord { operations, rows, bytes, values }) = record else { return Budget::default() };
    // A class of another name than this gateway's is none that it could count.
    let values = values.iter().filter_map(|(class, figure)| Some((ClassName::new(class).ok()?, *figure)));
    Budget { operations: *operations, rows: *rows, bytes: *bytes, values: values.collect() }
}

fn needs(groups: &[String], quorum: &BTreeMap<String, u32>) -> BTreeMap<String, u32> {
    groups.iter().map(|group| (group.clone(), quorum.get(group).copied().unwrap_or(1))).collect()
}

/// How many values of each class were masked: of those that were only seen as they are, none.
fn with_revealed(session: &SessionClosed) -> BTreeMap<String, u64> {
    let mut classes = session.masked.clone();
    for class in &session.revealed {
        classes.entry(class.clone()).or_default();
    }
    classes
}
