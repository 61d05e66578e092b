//! The desk where requests lie until a person answers them, and approvals until they are used.
//!
//! Knows who may answer what, and that an answer counts once. Every change is in the journal before it counts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;
use gatehouse_journal::{RequestAnswered, RequestEnded, RequestOpened};
use gatehouse_model::{
    Digest, GroupName, Hold, Parent, PolicyId, RequestId, Resource, SessionId, Subject, TargetName, TaskId, UserName,
    kind,
};
use gatehouse_policy::Policies;
use jiff::{SignedDuration, Timestamp};

use crate::ledger::{Ledger, Unrecorded};

/// What happens to an operation that policy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldMode {
    /// It waits on its own connection.
    Wait,
    /// It is refused at once; once approved, the same operation passes once.
    Refuse,
}

impl HoldMode {
    /// The word that stands in the configuration and in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Refuse => "refuse",
        }
    }
}

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestState {
    /// Nobody answered, or not all that must.
    Open,
    /// It may pass once, until the time.
    Approved(Timestamp),
    /// A person said no.
    Denied,
    /// The approval was used.
    Used,
    /// The client went away or took it back.
    Withdrawn,
    /// Its time ran out.
    Expired,
}

impl RequestState {
    /// The word that stands in records and on screens.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved(_) => "approved",
            Self::Denied => "denied",
            Self::Used => "used",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Open | Self::Approved(_) => false,
            Self::Denied | Self::Used | Self::Withdrawn | Self::Expired => true,
        }
    }
}

/// What a person is asked: one held operation, to the letter.
#[derive(Debug, Clone)]
pub struct PendingRequest {
    /// Its id.
    pub id: RequestId,
    /// The session that waits, or asked.
    pub session: SessionId,
    /// The task.
    pub task: TaskId,
    /// Why the task exists, in the words of who started it.
    pub task_reason: String,
    /// Who asks, and for whom.
    pub subject: Subject,
    /// Where.
    pub target: TargetName,
    /// A word or two for listings.
    pub title: String,
    /// The statement to the letter; in memory only.
    pub statement: String,
    /// The bind values, readable; in memory only.
    pub binds: Vec<String>,
    /// What it wants, one access a line.
    pub accesses: Vec<String>,
    /// Who must approve, and why.
    pub hold: Hold,
    /// The policies that hold it.
    pub policies: BTreeSet<PolicyId>,
    /// What the approval binds to.
    pub digest: Digest,
    /// Whether the client waits.
    pub mode: HoldMode,
    /// When it was filed.
    pub opened: Timestamp,
    /// When it lapses without an answer.
    pub expires: Timestamp,
    /// Where it stands.
    pub state: RequestState,
    /// Who approved for which group so far.
    pub approvals: BTreeMap<GroupName, UserName>,
    /// What the last answer said.
    pub answer_reason: Option<String>,
    /// Statement and bind values are to the letter; after a restart they are those of the evidence.
    pub is_exact: bool,
}

/// What the waiting session hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It may pass.
    Approved,
    /// A person said no.
    Denied {
        /// Who.
        by: UserName,
        /// Why.
        reason: String,
    },
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// It decided the request.
    Decided,
    /// Others must approve too.
    StillNeeds(BTreeSet<GroupName>),
}

/// Why an answer does not count.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// No such request.
    #[error("there is no request {0}")]
    Unknown(RequestId),
    /// It is over.
    #[error("request {id} is already {state}")]
    Over {
        /// Which.
        id: RequestId,
        /// What it is.
        state: &'static str,
    },
    /// The requester, or whom it acts for.
    #[error("{0} asked for this, or it is asked on their behalf, so they cannot answer it")]
    OwnRequest(UserName),
    /// Not in the groups, or policy does not permit it.
    #[error(
        "{by} cannot answer this request: it takes a member of {groups} whom policy permits `approve` on the target"
    )]
    NotAllowed {
        /// Who tried.
        by: UserName,
        /// Who could.
        groups: String,
    },
    /// Nothing counts that is not recorded.
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
}

struct Ticket {
    request: PendingRequest,
    waiter: Option<oneshot::Sender<Answer>>,
}

/// All requests that are not over, and the last that are.
pub struct Desk {
    tickets: Mutex<HashMap<RequestId, Ticket>>,
    ledger: Ledger,
    /// How long an approval may wait for its use.
    approval_secs_max: u32,
    /// How many requests one task may have open.
    open_requests_max: usize,
}

/// Who answers, by which right.
pub(crate) struct Approver<'a> {
    pub(crate) user: &'a UserName,
    pub(crate) groups: &'a BTreeSet<GroupName>,
    pub(crate) via: &'a str,
}

impl Desk {
    pub(crate) fn new(ledger: Ledger, approval_secs_max: u32, open_requests_max: usize) -> Self {
        Self { tickets: Mutex::new(HashMap::new()), ledger, approval_secs_max, open_requests_max }
    }

    /// Puts back what a restart found in the index.
    pub fn restore(&self, requests: impl IntoIterator<Item = PendingRequest>) {
        let mut tickets = self.lock();
        for request in requests {
            tickets.insert(request.id.clone(), Ticket { request, waiter: None });
        }
    }

    /// Every request that is not over and, newest first, those that ended since the start.
    pub fn requests(&self) -> Vec<PendingRequest> {
        let mut requests: Vec<PendingRequest> = self.lock().values().map(|ticket| ticket.request.clone()).collect();
        requests.sort_by(|a, b| (a.state.is_over(), b.opened, &b.id).cmp(&(b.state.is_over(), a.opened, &a.id)));
        requests
    }

    /// One request.
    pub fn request(&self, id: &RequestId) -> Option<PendingRequest> {
        self.lock().get(id).map(|ticket| ticket.request.clone())
    }

    /// Files a request; `Err(None)` when its task has too many open already.
    pub(crate) fn open(
        &self,
        now: Timestamp,
        request: PendingRequest,
        entry: RequestOpened,
    ) -> Result<Opened, Option<Unrecorded>> {
        let mut tickets = self.lock();
        let same = |ticket: &&Ticket| {
            ticket.request.mode == HoldMode::Refuse
                && ticket.request.digest == request.digest
                && ticket.request.state == RequestState::Open
        };
        if request.mode == HoldMode::Refuse
            && let Some(ticket) = tickets.values().find(same)
        {
            return Ok(Opened { id: ticket.request.id.clone(), answer: None, index: None });
        }
        let open = tickets
            .values()
            .filter(|ticket| ticket.request.task == request.task && ticket.request.state == RequestState::Open);
        if open.count() >= self.open_requests_max {
            return Err(None);
        }
        let index = self.ledger.record(now, entry).map_err(Some)?;
        metrics::counter!("gatehouse_requests_total").increment(1);
        let (sender, answer) = oneshot::channel();
        let waits = request.mode == HoldMode::Wait;
        let id = request.id.clone();
        tickets.insert(id.clone(), Ticket { request, waiter: waits.then_some(sender) });
        Ok(Opened { id, answer: waits.then_some(answer), index: Some(index) })
    }

    pub(crate) fn answer(
        &self,
        now: Timestamp,
        id: &RequestId,
        approver: &Approver<'_>,
        answer: Answer,
        policies: &Policies,
    ) -> Result<Answered, AnswerError> {
        let mut tickets = self.lock();
        let ticket = tickets.get_mut(id).ok_or_else(|| AnswerError::Unknown(id.clone()))?;
        let request = &mut ticket.request;
        if request.state == RequestState::Open && request.expires <= now {
            request.state = RequestState::Expired;
            self.ledger.record(now, RequestEnded { request: id.to_string(), cause: "expired".into() })?;
        }
        if request.state != RequestState::Open {
            return Err(AnswerError::Over { id: id.clone(), state: request.state.as_str() });
        }
        let groups = eligible(request, approver, policies)?;

        let (word, reason) = match &answer {
            Answer::Approved => ("approved", String::new()),
            Answer::Denied { reason, .. } => ("denied", reason.clone()),
        };
        let lapses = now.saturating_add(SignedDuration::from_secs(i64::from(self.approval_secs_max))).unwrap_or(now);
        self.ledger.record(
            now,
            RequestAnswered {
                request: id.to_string(),
                answer: word.into(),
                by: format!("user:{}", approver.user),
                groups: groups.iter().map(GroupName::to_string).collect(),
                reason: reason.clone(),
                via: approver.via.into(),
                expires: matches!(answer, Answer::Approved).then(|| lapses.to_string()),
            },
        )?;
        request.answer_reason = Some(reason);
        if let Answer::Denied { .. } = answer {
            request.state = RequestState::Denied;
        } else {
            request.approvals.extend(groups.into_iter().map(|group| (group, approver.user.clone())));
            let missing: BTreeSet<GroupName> =
                request.hold.groups.iter().filter(|group| !request.approvals.contains_key(*group)).cloned().collect();
            if !missing.is_empty() {
                return Ok(Answered::StillNeeds(missing));
            }
            request.state = RequestState::Approved(lapses);
        }
        if let Some(waiter) = ticket.waiter.take() {
            // A session that went away meanwhile withdrew the request, or is about to.
            let _ = waiter.send(answer);
        }
        Ok(Answered::Decided)
    }

    /// Takes the live approval of exactly this operation, if it covers all that must approve now; it cannot be taken
    /// again. `named` is the request of a client that waits; without it, any that was refused at once.
    pub(crate) fn take(
        &self,
        now: Timestamp,
        digest: &Digest,
        named: Option<&RequestId>,
        needed: &BTreeSet<GroupName>,
    ) -> Option<PendingRequest> {
        let mut tickets = self.lock();
        let ticket = tickets.values_mut().find(|ticket| {
            let request = &ticket.request;
            let right_one = match named {
                Some(id) => request.id == *id,
                None => request.mode == HoldMode::Refuse,
            };
            let live = matches!(request.state, RequestState::Approved(until) if now < until);
            let covers = needed.iter().all(|group| request.approvals.contains_key(group));
            right_one && live && covers && request.digest == *digest
        })?;
        let before = ticket.request.clone();
        ticket.request.state = RequestState::Used;
        Some(before)
    }

    /// Puts an approval back whose use could not be recorded.
    pub(crate) fn put_back(&self, request: PendingRequest) {
        if let Some(ticket) = self.lock().get_mut(&request.id) {
            ticket.request = request;
        }
    }

    /// Ends a request that nobody answered, or whose client is gone.
    pub(crate) fn end(&self, now: Timestamp, id: &RequestId, state: RequestState) -> Result<(), Unrecorded> {
        let mut tickets = self.lock();
        let Some(ticket) = tickets.get_mut(id) else {
            return Ok(());
        };
        if ticket.request.state.is_over() {
            return Ok(());
        }
        let cause = state.as_str().to_string();
        ticket.request.state = state;
        ticket.waiter = None;
        self.ledger.record(now, RequestEnded { request: id.to_string(), cause }).map(|_| ())
    }

    /// Ends what a task has asked for and can no longer use. A client that waits ends its own request.
    pub fn end_task(&self, now: Timestamp, task: &TaskId) {
        let refused = |ticket: &&Ticket| ticket.request.task == *task && ticket.request.mode == HoldMode::Refuse;
        let ids: Vec<RequestId> =
            self.lock().values().filter(refused).map(|ticket| ticket.request.id.clone()).collect();
        for id in ids {
            // The task is over whether or not that can be recorded.
            let _ = self.end(now, &id, RequestState::Withdrawn);
        }
    }

    /// Ends what lapsed and forgets what ended long ago. Meant to be called every second or so.
    pub fn sweep(&self, now: Timestamp) {
        let lapsed: Vec<RequestId> = self
            .lock()
            .values()
            .filter(|ticket| match ticket.request.state {
                RequestState::Open => {
                    ticket.request.expires <= now && ticket.waiter.as_ref().is_none_or(oneshot::Sender::is_canceled)
                }
                RequestState::Approved(until) => until <= now,
                RequestState::Denied | RequestState::Used | RequestState::Withdrawn | RequestState::Expired => false,
            })
            .map(|ticket| ticket.request.id.clone())
            .collect();
        for id in lapsed {
            // It has lapsed whether or not that can be recorded; the next sweep does not find it again.
            let _ = self.end(now, &id, RequestState::Expired);
        }
        // The index remembers what is over.
        self.lock().retain(|_, ticket| !ticket.request.state.is_over());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, Ticket>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that lies on the desk.
pub(crate) struct Opened {
    pub(crate) id: RequestId,
    /// `None` where the client does not wait.
    pub(crate) answer: Option<oneshot::Receiver<Answer>>,
    /// The record of its filing; `None` where it lay there already.
    pub(crate) index: Option<u64>,
}

/// The groups of the hold that this person can answer for.
fn eligible(
    request: &PendingRequest,
    approver: &Approver<'_>,
    policies: &Policies,
) -> Result<BTreeSet<GroupName>, AnswerError> {
    if request.subject.involves(approver.user) {
        return Err(AnswerError::OwnRequest(approver.user.clone()));
    }
    let target = Resource::new(kind::TARGET, request.target.as_str(), [] as [Parent; 0]);
    let groups: BTreeSet<GroupName> = request.hold.groups.intersection(approver.groups).cloned().collect();
    if groups.is_empty() || !policies.may_approve(approver.user, approver.groups, target) {
        let names: Vec<&str> = request.hold.groups.iter().map(GroupName::as_str).collect();
        return Err(AnswerError::NotAllowed { by: approver.user.clone(), groups: names.join(", ") });
    }
    Ok(groups)
}
