//! The desk where requests lie until a person answers them, and approvals until they are used.
//!
//! Knows who may answer what, and that an answer counts once. No approval counts before it is in the journal; what ends,
//! ends at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;
use gatehouse_journal::{Entry, Fact, RequestAnswered, RequestEnded};
use gatehouse_model::{
    Budget, Digest, GroupName, Hold, PolicyId, RequestId, Resource, SessionId, Subject, TargetName, TaskId, UserName,
    kind,
};
use gatehouse_policy::Policies;
use jiff::{SignedDuration, Timestamp};

use crate::kept::Kept;
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

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// One operation, to the letter.
    Operation(HeldOperation),
    /// A task of one's own.
    Task(AskedTask),
}

/// A held operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldOperation {
    /// The session that waits, or asked.
    pub session: SessionId,
    /// The task.
    pub task: TaskId,
    /// Why the task exists, in the words of who started it.
    pub task_reason: String,
    /// Where.
    pub target: TargetName,
    /// The bind values, readable; in memory only. Of a body that lies elsewhere, how it begins: see [`Desk::whole_request`].
    pub binds: Vec<String>,
    /// What policies could test, as evidence keeps it.
    pub facts: BTreeMap<String, Fact>,
    /// Whether the client waits.
    pub mode: HoldMode,
    /// Statement and bind values are to the letter and whole; after a restart they are those of the evidence.
    pub is_exact: bool,
    /// How long the body is that lies elsewhere, in bytes, where the bind values here are only how it begins.
    pub body_bytes: Option<usize>,
    /// What it would do, and what it waits in, in lines for a person.
    pub impact: Vec<String>,
}

/// A task that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedTask {
    /// Where; whoever approves may leave some out.
    pub targets: BTreeSet<TargetName>,
    /// Why.
    pub reason: String,
    /// For how many seconds; whoever approves may shorten that.
    pub ttl_secs: u32,
    /// How much may be done under it.
    pub budget: Budget,
    /// Who asks, by which way: only they can use the approval.
    pub by: String,
    /// What is granted of that so far, where it is less.
    pub granted: Option<Granted>,
}

/// What is granted of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The targets.
    pub targets: BTreeSet<TargetName>,
    /// For how many seconds.
    pub ttl_secs: u32,
}

impl AskedTask {
    /// What may begin, as far as it is granted.
    pub fn granted(&self) -> Granted {
        let whole = || Granted { targets: self.targets.clone(), ttl_secs: self.ttl_secs };
        self.granted.clone().unwrap_or_else(whole)
    }
}

/// What a person is asked.
#[derive(Debug, Clone)]
pub struct PendingRequest {
    /// Its id.
    pub id: RequestId,
    /// What is asked for.
    pub asked: Asked,
    /// Who asks, and for whom.
    pub subject: Subject,
    /// A word or two for listings.
    pub title: String,
    /// The statement to the letter, or the task in words; in memory only.
    pub statement: String,
    /// What it wants, one access a line.
    pub accesses: Vec<String>,
    /// Who must approve, and why.
    pub hold: Hold,
    /// The policies that hold it.
    pub policies: BTreeSet<PolicyId>,
    /// What the approval binds to.
    pub digest: Digest,
    /// When it was filed.
    pub opened: Timestamp,
    /// When it lapses without an answer.
    pub expires: Timestamp,
    /// Where it stands.
    pub state: RequestState,
    /// Who approved for which group so far.
    pub approvals: BTreeMap<GroupName, BTreeSet<UserName>>,
    /// What the last answer said.
    pub answer_reason: Option<String>,
    /// Who gave it.
    pub answered_by: Option<UserName>,
}

impl PendingRequest {
    /// The targets that it is about.
    pub fn targets(&self) -> Vec<TargetName> {
        match &self.asked {
            Asked::Operation(operation) => vec![operation.target.clone()],
            Asked::Task(task) => task.targets.iter().cloned().collect(),
        }
    }

    /// The task that asks, if one does.
    /// The task that it was asked under; none where one is asked for.
    pub fn task(&self) -> Option<&TaskId> {
        match &self.asked {
            Asked::Operation(operation) => Some(&operation.task),
            Asked::Task(_) => None,
        }
    }

    /// Whether a client waits for the answer on its connection.
    fn is_waited_for(&self) -> bool {
        match &self.asked {
            Asked::Operation(operation) => operation.mode == HoldMode::Wait,
            Asked::Task(_) => false,
        }
    }

    /// Whether it is a live approval of exactly this that covers all that must approve.
    fn permits(&self, now: Timestamp, digest: &Digest, needed: &Hold) -> bool {
        let live = matches!(self.state, RequestState::Approved(until) if now < until);
        let covers = || needed.missing(&self.approvals).groups.is_empty();
        live && self.digest == *digest && covers()
    }

    /// Whoever asks too much has as many open as there may be: under one task, or for tasks of one identity.
    fn counts_with(&self, other: &Self) -> bool {
        match (self.task(), other.task()) {
            (None, None) => {
                let whom = |request: &Self| request.subject.on_behalf_of.as_ref().map(|(user, _)| user.clone());
                self.subject.identity == other.subject.identity && whom(self) == whom(other)
            }
            (mine, others) => mine == others,
        }
    }
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

/// What somebody who approves a task grants of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Only these targets.
    pub targets: Option<BTreeSet<TargetName>>,
    /// Only for so many seconds.
    pub ttl_secs: Option<u32>,
}

impl Terms {
    /// What is left of what was asked for: never more.
    fn narrow(&self, asked: &Asked) -> Result<Asked, AnswerError> {
        let task = match asked {
            Asked::Operation(_) if *self == Self::default() => return Ok(asked.clone()),
            Asked::Operation(_) => {
                return Err(AnswerError::Terms("an operation is approved as it is, or denied".into()));
            }
            Asked::Task(task) => task,
        };
        let whole = task.granted();
        let targets = self.targets.as_ref().unwrap_or(&whole.targets);
        if targets.is_empty() || !targets.is_subset(&whole.targets) {
            let whole: Vec<&str> = whole.targets.iter().map(TargetName::as_str).collect();
            return Err(AnswerError::Terms(format!("the targets that are granted are some of {}", whole.join(", "))));
        }
        let ttl_secs = self.ttl_secs.unwrap_or(whole.ttl_secs);
        if !(1..=whole.ttl_secs).contains(&ttl_secs) {
            let others = if task.granted.is_some() { ", for others granted no more" } else { "" };
            return Err(AnswerError::Terms(format!(
                "the time that is granted is between 1 and {} s{others}",
                whole.ttl_secs
            )));
        }
        let granted = Granted { targets: targets.clone(), ttl_secs };
        let granted = if granted == whole { task.granted.clone() } else { Some(granted) };
        Ok(Asked::Task(AskedTask { granted, ..task.clone() }))
    }
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// It decided the request.
    Decided,
    /// Others must approve too.
    StillNeeds(Hold),
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
    /// Who approved already cannot do so again.
    #[error("{0} approved this already; it takes others too")]
    Again(UserName),
    /// More than what was asked for cannot be granted, nor nothing of it.
    #[error("{0}")]
    Terms(String),
    /// Nothing counts that is not recorded.
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
}

struct Ticket {
    request: PendingRequest,
    waiter: Option<oneshot::Sender<Answer>>,
    /// The body that is decided on, until it is decided: a client that waits has a part in it of its own.
    kept: Option<Arc<Kept>>,
}

impl Ticket {
    /// Whether it is open, for exactly this, and nobody waits for its answer.
    fn is_same(&self, digest: &Digest) -> bool {
        let request = &self.request;
        request.state == RequestState::Open && !request.is_waited_for() && request.digest == *digest
    }

    /// Whether it is that, and whoever decides cannot look at all of it: a restart lost what is in memory alone.
    fn lacks_body(&self, digest: &Digest) -> bool {
        let is_cut = matches!(&self.request.asked, Asked::Operation(operation) if !operation.is_exact);
        is_cut && self.kept.is_none() && self.is_same(digest)
    }
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

/// Who answers.
#[derive(Debug, Clone, Copy)]
pub struct Approver<'a> {
    /// A person who proved who they are.
    pub user: &'a UserName,
    /// Their groups.
    pub groups: &'a BTreeSet<GroupName>,
    /// Through what they answer.
    pub via: &'a str,
    /// Why, in their words.
    pub reason: &'a str,
}

impl Desk {
    pub(crate) fn new(ledger: Ledger, approval_secs_max: u32, open_requests_max: usize) -> Self {
        Self { tickets: Mutex::new(HashMap::new()), ledger, approval_secs_max, open_requests_max }
    }

    /// Puts back what a restart found in the index.
    pub fn restore(&self, requests: impl IntoIterator<Item = PendingRequest>) {
        let mut tickets = self.lock();
        for request in requests {
            tickets.insert(request.id.clone(), Ticket { request, waiter: None, kept: None });
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

    /// One request, with all of its body, where that is still kept. Takes as long as it takes to read that.
    pub fn whole_request(&self, id: &RequestId) -> Option<PendingRequest> {
        let (mut request, kept) = {
            let tickets = self.lock();
            let ticket = tickets.get(id)?;
            (ticket.request.clone(), ticket.kept.clone())
        };
        // What cannot be read is not said to be all, and does not pass either.
        if let (Asked::Operation(operation), Some(Ok(binds))) = (&mut request.asked, kept.map(|kept| kept.shown())) {
            operation.binds = binds;
            operation.is_exact = true;
            operation.body_bytes = None;
        }
        Some(request)
    }

    /// The request that exactly this lies here as, open, where nobody waits for its answer.
    pub(crate) fn lies_open(&self, digest: &Digest) -> Option<RequestId> {
        self.lock().values().find(|ticket| ticket.is_same(digest)).map(|ticket| ticket.request.id.clone())
    }

    /// Files a request, with the body that is decided on, where that lies elsewhere; `Err(None)` when too many are open already.
    pub(crate) fn open(
        &self,
        now: Timestamp,
        request: PendingRequest,
        kept: Option<Arc<Kept>>,
        entry: Entry,
    ) -> Result<Opened, Option<Unrecorded>> {
        let mut tickets = self.lock();
        let waits = request.is_waited_for();
        let is_open = |ticket: &&Ticket| ticket.request.state == RequestState::Open;
        if !waits && let Some(ticket) = tickets.values().find(|ticket| ticket.is_same(&request.digest)) {
            return Ok(Opened { id: ticket.request.id.clone(), answer: None, index: None });
        }
        let beside = tickets.values().filter(is_open).filter(|ticket| ticket.request.counts_with(&request));
        if beside.count() >= self.open_requests_max {
            return Err(None);
        }
        let index = self.ledger.record(now, entry).map_err(Some)?;
        metrics::counter!("gatehouse_requests_total").increment(1);
        let (sender, answer) = oneshot::channel();
        let id = request.id.clone();
        tickets.insert(id.clone(), Ticket { request, waiter: waits.then_some(sender), kept });
        Ok(Opened { id, answer: waits.then_some(answer), index: Some(index) })
    }

    /// Whether exactly this lies here, open, without what a restart lost of it.
    pub(crate) fn lacks_body(&self, digest: &Digest) -> bool {
        self.lock().values().any(|ticket| ticket.lacks_body(digest))
    }

    /// Takes what a restart lost of a request from the same one, which is asked again.
    pub(crate) fn complete(&self, again: PendingRequest, kept: Option<Arc<Kept>>) {
        let mut tickets = self.lock();
        let Some(ticket) = tickets.values_mut().find(|ticket| ticket.lacks_body(&again.digest)) else { return };
        if let (Asked::Operation(lost), Asked::Operation(found)) = (&mut ticket.request.asked, again.asked) {
            lost.binds = found.binds;
            lost.is_exact = found.is_exact;
            lost.body_bytes = found.body_bytes;
            ticket.request.statement = again.statement;
            ticket.kept = kept;
        }
    }

    /// What a person said to exactly this, when they said no to it not long ago.
    pub(crate) fn denied(&self, digest: &Digest) -> Option<PendingRequest> {
        let tickets = self.lock();
        let mut requests = tickets.values().map(|ticket| &ticket.request);
        requests.find(|request| request.state == RequestState::Denied && request.digest == *digest).cloned()
    }

    pub(crate) fn answer(
        &self,
        now: Timestamp,
        id: &RequestId,
        approver: &Approver<'_>,
        answer: Answer,
        terms: &Terms,
        policies: &Policies,
    ) -> Result<Answered, AnswerError> {
        // Dropped after the lock: to let go of a body may be to remove a file.
        let mut let_go: Option<Arc<Kept>> = None;
        let mut tickets = self.lock();
        let ticket = tickets.get_mut(id).ok_or_else(|| AnswerError::Unknown(id.clone()))?;
        let request = &mut ticket.request;
        if request.state == RequestState::Open && request.expires <= now {
            request.state = RequestState::Expired;
            std::mem::swap(&mut let_go, &mut ticket.kept);
            self.ledger.record(now, RequestEnded { request: id.to_string(), cause: "expired".into() })?;
        }
        if request.state != RequestState::Open {
            return Err(AnswerError::Over { id: id.clone(), state: request.state.as_str() });
        }
        let granted = terms.narrow(&request.asked)?;
        let groups = eligible(request, &granted, approver, policies)?;
        if answer == Answer::Approved && groups.iter().all(|group| has_approved(request, group, approver.user)) {
            return Err(AnswerError::Again(approver.user.clone()));
        }
        let lapses = now.saturating_add(SignedDuration::from_secs(i64::from(self.approval_secs_max))).unwrap_or(now);
        self.ledger.record(
            now,
            answer_record(id, approver, &answer, &groups, (granted != request.asked).then_some(&granted), lapses),
        )?;
        request.answer_reason = Some(approver.reason.into());
        request.answered_by = Some(approver.user.clone());
        if let Answer::Denied { .. } = answer {
            request.state = RequestState::Denied;
        } else {
            request.asked = granted;
            for group in groups {
                request.approvals.entry(group).or_default().insert(approver.user.clone());
            }
            let missing = request.hold.missing(&request.approvals);
            if !missing.groups.is_empty() {
                return Ok(Answered::StillNeeds(missing));
            }
            request.state = RequestState::Approved(lapses);
        }
        // It is decided, and nobody looks at it any more.
        std::mem::swap(&mut let_go, &mut ticket.kept);
        if let Some(waiter) = ticket.waiter.take() {
            // A session that went away meanwhile withdrew the request, or is about to.
            let _ = waiter.send(answer);
        }
        Ok(Answered::Decided)
    }

    /// Takes the live approval of exactly this, if it covers all that must approve now; it cannot be taken again. `named`
    /// is the request of a client that waits; without it, any that nobody waits for.
    pub(crate) fn take(
        &self,
        now: Timestamp,
        digest: &Digest,
        named: Option<&RequestId>,
        needed: &Hold,
    ) -> Option<PendingRequest> {
        let mut tickets = self.lock();
        let ticket = tickets.values_mut().find(|ticket| {
            let request = &ticket.request;
            let right_one = match named {
                Some(id) => request.id == *id,
                None => !request.is_waited_for(),
            };
            right_one && request.permits(now, digest, needed)
        })?;
        let before = ticket.request.clone();
        ticket.request.state = RequestState::Used;
        Some(before)
    }

    /// Whether there is an approval of exactly this that can be taken, and that nobody waits for.
    pub(crate) fn has(&self, now: Timestamp, digest: &Digest, needed: &Hold) -> bool {
        let tickets = self.lock();
        let mut requests = tickets.values().map(|ticket| &ticket.request);
        requests.any(|request| !request.is_waited_for() && request.permits(now, digest, needed))
    }

    /// Puts an approval back whose use could not be recorded: as it is now, for who gave it may be gone since.
    pub(crate) fn put_back(&self, request: &PendingRequest) {
        if let Some(ticket) = self.lock().get_mut(&request.id)
            && ticket.request.state == RequestState::Used
        {
            ticket.request.state = request.state.clone();
        }
    }

    /// Ends a request that nobody answered, or whose client is gone.
    pub(crate) fn end(&self, now: Timestamp, id: &RequestId, state: RequestState) -> Result<(), Unrecorded> {
        // Dropped after the lock: to let go of a body may be to remove a file.
        let mut let_go: Option<Arc<Kept>> = None;
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
        std::mem::swap(&mut let_go, &mut ticket.kept);
        self.ledger.record(now, RequestEnded { request: id.to_string(), cause }).map(|_| ())
    }

    /// Takes a request back; false if it is over already.
    pub fn withdraw(&self, now: Timestamp, id: &RequestId) -> Result<bool, Unrecorded> {
        let is_alive = self.request(id).is_some_and(|request| !request.state.is_over());
        self.end(now, id, RequestState::Withdrawn).map(|()| is_alive)
    }

    /// Ends what a task has asked for and can no longer use. A client that waits ends its own request.
    pub fn end_task(&self, now: Timestamp, task: &TaskId) {
        let refused = |ticket: &&Ticket| ticket.request.task() == Some(task) && !ticket.request.is_waited_for();
        let over = self.lock().values().filter(refused).map(|ticket| ticket.request.id.clone()).collect();
        self.withdraw_each(now, over);
    }

    /// Strikes every approval that does not stand any more, and ends the requests that stood on one. Of one that is just
    /// being used it is struck too, so that it does not come back with it.
    pub fn recheck(&self, now: Timestamp, stands: impl Fn(&Asked, &GroupName, &UserName) -> bool) {
        let mut over = Vec::new();
        for ticket in self.lock().values_mut() {
            let PendingRequest { id, asked, approvals, .. } = &mut ticket.request;
            let before: usize = approvals.values().map(BTreeSet::len).sum();
            for (group, users) in approvals.iter_mut() {
                users.retain(|user| stands(asked, group, user));
            }
            if approvals.values().map(BTreeSet::len).sum::<usize>() < before {
                over.push(id.clone());
            }
        }
        self.withdraw_each(now, over);
    }

    /// Ends what a person asked for who is not known any more. A client that waits ends its own request.
    pub fn withdraw_all_of(&self, now: Timestamp, user: &UserName) {
        let is_its = |ticket: &&Ticket| !ticket.request.is_waited_for() && ticket.request.subject.involves(user);
        let over = self.lock().values().filter(is_its).map(|ticket| ticket.request.id.clone()).collect();
        self.withdraw_each(now, over);
    }

    fn withdraw_each(&self, now: Timestamp, ids: Vec<RequestId>) {
        for id in ids {
            // It is over whether or not that can be recorded.
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
        // The index remembers what is over. Whoever does not wait for an answer hears a denial for as long as they could have
        // waited, however often they ask.
        self.lock().retain(|_, ticket| {
            let request = &ticket.request;
            let is_remembered = matches!(request.state, RequestState::Denied | RequestState::Used)
                && (request.task().is_none() || !request.is_waited_for())
                && now < request.expires;
            !request.state.is_over() || is_remembered
        });
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

fn has_approved(request: &PendingRequest, group: &GroupName, user: &UserName) -> bool {
    request.approvals.get(group).is_some_and(|users| users.contains(user))
}

/// The groups of the hold that this person can answer for.
fn eligible(
    request: &PendingRequest,
    granted: &Asked,
    approver: &Approver<'_>,
    policies: &Policies,
) -> Result<BTreeSet<GroupName>, AnswerError> {
    if request.subject.involves(approver.user) {
        return Err(AnswerError::OwnRequest(approver.user.clone()));
    }
    let may = |target: &TargetName| {
        let target = Resource::root(kind::TARGET, target.as_str());
        policies.may_approve(approver.user, approver.groups, target)
    };
    let may_all = match granted {
        Asked::Operation(operation) => may(&operation.target),
        Asked::Task(task) => task.granted().targets.iter().all(may),
    };
    let held_for = request.hold.groups.keys();
    let groups: BTreeSet<GroupName> = held_for.filter(|group| approver.groups.contains(*group)).cloned().collect();
    if groups.is_empty() || !may_all {
        let names: Vec<&str> = request.hold.groups.keys().map(GroupName::as_str).collect();
        return Err(AnswerError::NotAllowed { by: approver.user.clone(), groups: names.join(", ") });
    }
    Ok(groups)
}

fn answer_record(
    id: &RequestId,
    approver: &Approver<'_>,
    answer: &Answer,
    groups: &BTreeSet<GroupName>,
    granted: Option<&Asked>,
    lapses: Timestamp,
) -> RequestAnswered {
    let task = granted.and_then(|granted| match granted {
        Asked::Operation(_) => None,
        Asked::Task(task) => task.granted.as_ref(),
    });
    RequestAnswered {
        request: id.to_string(),
        answer: match answer {
            Answer::Approved => "approved".into(),
            Answer::Denied { .. } => "denied".into(),
        },
        by: format!("user:{}", approver.user),
        groups: groups.iter().map(GroupName::to_string).collect(),
        reason: approver.reason.into(),
        via: approver.via.into(),
        expires: matches!(answer, Answer::Approved).then(|| lapses.to_string()),
        targets: task.map(|task| task.targets.iter().map(TargetName::to_string).collect()).unwrap_or_default(),
        ttl_secs: task.map(|task| task.ttl_secs),
    }
}
