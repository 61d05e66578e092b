//! Admits sessions, decides operations, writes their records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use gatehouse_journal::{
    AccessRecord, BudgetRecord, CancelSent, Fact, LoginRefused, OperationDecided, PoliciesLoaded, RecordingSeal,
    SessionClosed, SessionOpened,
};
use gatehouse_mask::{Classes, Counts};
use gatehouse_model::{
    Access, Action, Bind, Budget, Decision, Denial, Digest, Effect, FactValue, Facts, Hold, Intent, Lease, Operation,
    Origin, Phase, PolicyId, Reason, RequestId, Resource, SessionId, Sha256, Spent, Subject, TargetName, Task,
    TaskAccount, TaskId, Verdict, kind,
};
use gatehouse_policy::Policies;
use jiff::{SignedDuration, Timestamp};

use crate::cleared::{Cleared, Durability, Receipt};
use crate::descriptions::Descriptions;
use crate::desk::{Answer, AnswerError, Answered, Approver, Desk, Terms};
use crate::grant::{Account, Grant, Target};
use crate::kept::Bodies;
use crate::ledger::{Ledger, Unrecorded};
use crate::lockdown::Lockdowns;
use crate::tape::TapeSeal;

/// How long a look at a target's catalog may take.
const LOOK: SignedDuration = SignedDuration::from_secs(60);

/// What the gate limits.
#[derive(Debug, Clone, Copy)]
pub struct GateLimits {
    /// How long an approval waits for its use, in seconds.
    pub approval_secs_max: u32,
    /// How many requests one task may have open.
    pub open_requests_max: usize,
    /// Whether reads, too, wait until their record is on disk.
    pub every_record_to_disk: bool,
}

/// The door. One for the whole gateway.
pub struct Gate {
    policies: ArcSwap<Policies>,
    ledger: Ledger,
    desk: Desk,
    lockdowns: Lockdowns,
    descriptions: Descriptions,
    bodies: Arc<dyn Bodies>,
    limits: GateLimits,
}

/// How a session ended, for its last record.
#[derive(Debug, Clone)]
pub struct SessionEnd {
    /// Why, in a few words.
    pub cause: String,
    /// How many operations it had.
    pub operations: u64,
    /// How many rows the client was sent.
    pub rows: u64,
    /// How many bytes the client was sent.
    pub bytes: u64,
    /// How many values were masked, by class.
    pub masked: Counts,
    /// The classes of columns and fields whose values the client saw as they are.
    pub revealed: BTreeSet<Arc<str>>,
    /// How many answers of the target were waited for, and for how long in all until they began.
    pub waits: (u64, Duration),
    /// Its recording.
    pub recording: Option<TapeSeal>,
}

impl Gate {
    /// A door with these policies in force and this journal behind it, and a place for the bodies of what is held.
    pub fn new(policies: Arc<Policies>, ledger: Ledger, bodies: Arc<dyn Bodies>, limits: GateLimits) -> Self {
        let desk = Desk::new(ledger.clone(), limits.approval_secs_max, limits.open_requests_max);
        let lockdowns = Lockdowns::new(ledger.clone());
        let descriptions = Descriptions::new(ledger.clone());
        Self { policies: ArcSwap::new(policies), ledger, desk, lockdowns, descriptions, bodies, limits }
    }

    /// The policies in force.
    pub fn policies(&self) -> Arc<Policies> {
        self.policies.load_full()
    }

    /// Puts new policies in force for every operation from now on, running sessions' too.
    pub fn adopt(&self, now: Timestamp, policies: Arc<Policies>) -> Result<(), Unrecorded> {
        self.ledger.record(now, policies_loaded(&policies))?;
        self.policies.store(policies);
        Ok(())
    }

    /// The requests and their answers.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Where the bodies of what is held lie.
    pub(crate) fn bodies(&self) -> &dyn Bodies {
        &*self.bodies
    }

    /// What targets say of what they offer.
    pub fn descriptions(&self) -> &Descriptions {
        &self.descriptions
    }

    /// What a person has shut.
    pub fn lockdowns(&self) -> &Lockdowns {
        &self.lockdowns
    }

    /// Why nothing passes under a grant any more, if so it is: its task is over, or a person shut it.
    pub fn shut(&self, grant: &Grant, now: Timestamp) -> Option<Denial> {
        if !grant.is_live(now) {
            return Some(task_ended());
        }
        let (task, target) = (&grant.lease().task, &grant.target().name);
        self.lockdowns.of(&task.identity, task.on_behalf_of.as_ref(), target).map(|lockdown| lockdown.denial())
    }

    /// The journal.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Opens a session: the lease must be live and hold the target, and policy must permit `connect` and what the client
    /// wishes for the session.
    #[expect(clippy::too_many_arguments, reason = "all that a session stands on, each of its own type")]
    pub fn admit(
        &self,
        now: Timestamp,
        session: SessionId,
        lease: Lease,
        target: Arc<Target>,
        account: Arc<TaskAccount>,
        peer: &str,
        wishes: &Intent,
    ) -> Result<Grant, Denial> {
        let refuse = |denial: Denial| {
            let entry = LoginRefused {
                listener: target.protocol.clone(),
                user: lease.subject.identity.to_string(),
                target: target.name.to_string(),
                cause: denial.detail.clone(),
            };
            self.ledger.record(now, entry).err().map_or(denial, |_| unrecorded_denial())
        };
        let grant = Grant::new(session, lease.clone(), target.clone(), account);
        if let Some(denial) = self.shut(&grant, now) {
            return Err(refuse(denial));
        }
        if !lease.task.targets.contains(&target.name) {
            return Err(refuse(Denial::new(
                Reason::Policy,
                format!("task {} is not for target \"{}\"", lease.task.id, target.name),
                "a credential opens only the targets that its task names",
                format!("Start a task with --target {}", target.name),
            )));
        }
        let connect = Access::new(Action::CONNECT, Resource::root(kind::TARGET, target.name.as_str()));
        let policies = self.policies.load();
        let decision = policies.decide(&lease.subject, &connect, &Facts::new());
        match decision.verdict {
            Verdict::Allow => {}
            // A login has no statement that a person could read; a task's access is asked for when the task starts.
            Verdict::Hold | Verdict::Deny => return Err(refuse(policy_denial(&decision, "connect"))),
        }
        if !wishes.accesses.is_empty() {
            let decision = policies.decide_all(&lease.subject, &wishes.accesses, &wishes.facts);
            match decision.verdict {
                Verdict::Allow => {}
                Verdict::Hold | Verdict::Deny => return Err(refuse(policy_denial(&decision, &wishes.statement))),
            }
        }
        self.ledger
            .record(
                now,
                SessionOpened {
                    session: grant.session().to_string(),
                    task: lease.task.id.to_string(),
                    identity: lease.subject.identity.to_string(),
                    on_behalf_of: on_behalf_of(&lease.subject),
                    target: target.name.to_string(),
                    peer: peer.into(),
                    policies: policies.revision().to_string(),
                    api_key: lease.task.origin.key.as_ref().map(ToString::to_string),
                    wishes: (!wishes.accesses.is_empty()).then(|| target.classes.scrub(&wishes.evidence).into_owned()),
                },
            )
            .map_err(|_| unrecorded_denial())?;
        Ok(grant)
    }

    /// Whether policy lets whoever works under a grant do all of this, without asking anybody.
    pub fn permits(&self, grant: &Grant, accesses: &[Access]) -> bool {
        let policies = self.policies.load();
        let allows = |access| policies.decide(&grant.lease().subject, access, &Facts::new()).verdict == Verdict::Allow;
        accesses.iter().all(allows)
    }

    /// The right to read what a target says of itself, for somebody who asks what the gateway would make of a statement:
    /// no session comes of it. Where an account is made for each task, there is none for that.
    pub fn look(
        &self,
        now: Timestamp,
        session: SessionId,
        subject: Subject,
        target: Arc<Target>,
    ) -> Result<Grant, Denial> {
        if target.route.account == Account::Leased {
            return Err(Denial::new(
                Reason::Unreachable,
                format!("nothing is known of target \"{}\" now", target.name),
                "an account is made there for each task, and there is none without",
                "Start a task for it, connect, and ask again",
            ));
        }
        let task = Task {
            id: TaskId::from_random(0),
            identity: subject.identity.clone(),
            on_behalf_of: subject.on_behalf_of.as_ref().map(|(user, _)| user.clone()),
            targets: BTreeSet::from([target.name.clone()]),
            reason: "to read the catalog".into(),
            budget: Budget::default(),
            origin: Origin::default(),
            started: now,
            expires: now + LOOK,
            ended: None,
        };
        let account = Arc::new(TaskAccount::new(Budget::default(), Spent::default(), None));
        let grant = Grant::new(session, Lease { task, subject }, target, account);
        self.shut(&grant, now).map_or(Ok(grant), Err)
    }

    /// Clears the gateway's own words to a client during its login, before anything of a target can be among them.
    pub fn greet(&self, words: Bytes) -> Cleared<Bytes> {
        Cleared::new(words, None)
    }

    /// Records a login that failed before a task was known.
    pub fn login_refused(
        &self,
        now: Timestamp,
        listener: &str,
        user: &str,
        target: &str,
        cause: &str,
    ) -> Result<(), Unrecorded> {
        let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(128).collect::<String>();
        let entry =
            LoginRefused { listener: listener.into(), user: shown(user), target: shown(target), cause: cause.into() };
        self.ledger.record(now, entry).map(|_| ())
    }

    /// Records the end of a session.
    pub fn close(&self, now: Timestamp, grant: &Grant, end: SessionEnd) -> Result<(), Unrecorded> {
        let mut masked: BTreeMap<String, u64> =
            end.masked.classes().iter().map(|(class, count)| (class.to_string(), *count)).collect();
        if end.masked.hidden() > 0 {
            masked.insert("(hidden)".into(), end.masked.hidden());
        }
        for (class, count) in &masked {
            metrics::counter!("gatehouse_values_masked_total", "class" => class.clone()).increment(*count);
        }
        let entry = SessionClosed {
            session: grant.session().to_string(),
            cause: end.cause,
            operations: end.operations,
            rows: end.rows,
            bytes: end.bytes,
            masked,
            revealed: end.revealed.iter().map(ToString::to_string).collect(),
            answers: end.waits.0,
            waited_micros: u64::try_from(end.waits.1.as_micros()).unwrap_or(u64::MAX),
            recording: end.recording.map(|seal| RecordingSeal {
                file: seal.file,
                bytes: seal.bytes,
                sha256: seal.digest.to_string(),
                truncated: seal.cut,
            }),
        };
        self.ledger.record(now, entry).map(|_| ())
    }

    /// Records that a session's client asked to cancel what it runs.
    pub(crate) fn cancelled(&self, now: Timestamp, session: &SessionId) -> Result<(), Unrecorded> {
        self.ledger.record(now, CancelSent { session: session.to_string() }).map(|_| ())
    }

    /// Approves a request on behalf of a person who proved who they are; of a task, as far as the terms go.
    pub fn approve(
        &self,
        now: Timestamp,
        id: &RequestId,
        approver: &Approver<'_>,
        terms: &Terms,
    ) -> Result<Answered, AnswerError> {
        self.desk.answer(now, id, approver, Answer::Approved, terms, &self.policies.load())
    }

    /// Denies a request, likewise.
    pub fn deny(&self, now: Timestamp, id: &RequestId, approver: &Approver<'_>) -> Result<Answered, AnswerError> {
        let answer = Answer::Denied { by: approver.user.clone(), reason: approver.reason.into() };
        self.desk.answer(now, id, approver, answer, &Terms::default(), &self.policies.load())
    }

    /// Writes the record of an operation; what it says may happen only after it is as safe as the receipt says.
    pub(crate) fn record_operation(&self, now: Timestamp, record: &OperationRecord<'_>) -> Result<Receipt, Unrecorded> {
        let index = self.ledger.record(now, record.entry())?;
        let outcome = if record.refused.is_some() { "refused" } else { "passed" };
        operations_counter(&record.grant.target().name, record.decision.verdict, outcome).increment(1);
        let effect = match (record.refused, record.approval) {
            (None, None) => record.intent.effect,
            // What a person decided, or nobody may do, is as weighty as a write.
            (Some(_), _) | (_, Some(_)) => Effect::Write,
        };
        Ok(self.receipt(index, effect))
    }

    /// How safe a record must be before an operation of this effect goes on.
    pub(crate) fn receipt(&self, index: u64, effect: Effect) -> Receipt {
        let weighty = effect == Effect::Write || self.limits.every_record_to_disk;
        Receipt::new(index, if weighty { Durability::Disk } else { Durability::Process })
    }
}

/// Counts operations by what became of them.
pub(crate) fn operations_counter(target: &TargetName, verdict: Verdict, outcome: &'static str) -> metrics::Counter {
    let target = target.to_string();
    metrics::counter!("gatehouse_operations_total", "target" => target, "verdict" => verdict.as_str(), "outcome" => outcome)
}

/// The word for a phase in records.
pub(crate) const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Prepare => "prepare",
        Phase::Run => "run",
    }
}

/// What the record of an operation is made of.
pub(crate) struct OperationRecord<'a> {
    pub(crate) grant: &'a Grant,
    pub(crate) number: u64,
    pub(crate) intent: &'a Intent,
    pub(crate) binds: &'a [String],
    pub(crate) phase: Phase,
    pub(crate) decision: &'a Decision,
    pub(crate) digest: Digest,
    pub(crate) approval: Option<&'a RequestId>,
    pub(crate) refused: Option<&'a str>,
    pub(crate) policies: &'a Policies,
}

impl OperationRecord<'_> {
    /// The record.
    pub(crate) fn entry(&self) -> OperationDecided {
        let Self { grant, number, intent, binds, decision, digest, approval, refused, policies, .. } = self;
        let lease = grant.lease();
        let classes = &grant.target().classes;
        let unclear = intent.unclear.iter().map(|denial| &denial.message);
        OperationDecided {
            session: grant.session().to_string(),
            task: lease.task.id.to_string(),
            identity: lease.subject.identity.to_string(),
            on_behalf_of: on_behalf_of(&lease.subject),
            api_key: lease.task.origin.key.as_ref().map(ToString::to_string),
            target: grant.target().name.to_string(),
            number: *number,
            title: intent.title.clone(),
            statement: classes.scrub(&intent.evidence).into_owned(),
            binds: binds.iter().map(|bind| classes.scrub(bind).into_owned()).collect(),
            digest: digest.to_string(),
            accesses: intent.accesses.iter().map(access_record).collect(),
            facts: facts_record(&intent.facts, &self.grant.target().classes),
            phase: phase(self.phase).into(),
            effect: match intent.effect {
                Effect::Read => "read".into(),
                Effect::Write => "write".into(),
            },
            verdict: decision.verdict.to_string(),
            policies: decision.policies.iter().map(PolicyId::to_string).collect(),
            revision: policies.revision().to_string(),
            reasons: decision.reasons.iter().chain(&decision.hold.reasons).chain(unclear).cloned().collect(),
            approval: approval.map(RequestId::to_string),
            refused: refused.map(str::to_string),
        }
    }
}

/// The record of policies coming into force.
pub(crate) fn policies_loaded(policies: &Policies) -> PoliciesLoaded {
    let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
    PoliciesLoaded {
        revision: policies.revision().to_string(),
        files: policies.sources().iter().map(|source| (source.name.clone(), digest(&source.text))).collect(),
    }
}

/// What an approval binds to: who, under which task, where, what to the letter, and what it means there.
pub(crate) fn digest(grant: &Grant, operation: &Operation) -> Digest {
    let mut hash = grant.digest_begun();
    let mut part = |bytes: &[u8]| digest_part(&mut hash, bytes);
    part(operation.intent.statement.as_bytes());
    part(&(operation.binds.len() as u64).to_be_bytes());
    for bind in &operation.binds {
        match bind {
            Bind::Null => part(b"null"),
            Bind::Text(text) => {
                part(b"text");
                part(text.as_bytes());
            }
            Bind::Binary(bytes) => {
                part(b"binary");
                part(bytes);
            }
        }
    }
    // What is approved within a task's budget is not approved beyond it.
    if operation.intent.accesses.iter().any(|access| access.action == Action::EXCEED) {
        part(b"exceed");
    }
    if operation.state.contains_key(Operation::SESSION_STATE) {
        part(grant.session().as_str().as_bytes());
    }
    for (name, value) in &*operation.state {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    hash.finish()
}

/// The digest of what is held, by that: what its words want and name is part of what is decided, for by another catalog or other
/// classes the same words are something else.
pub(crate) fn digest_held(digest: Digest, operation: &Operation, stands_for: &str) -> Digest {
    let mut hash = Sha256::default();
    let mut part = |bytes: &[u8]| digest_part(&mut hash, bytes);
    part(b"gatehouse held operation 1");
    part(&digest.0);
    part(stands_for.as_bytes());
    let mut wanted: Vec<String> = operation.intent.accesses.iter().map(ToString::to_string).collect();
    wanted.sort();
    wanted.iter().for_each(|access| part(access.as_bytes()));
    hash.finish()
}

/// What the digests of all operations under a grant begin with.
pub(crate) fn begin_digest(lease: &Lease, target: &TargetName) -> Sha256 {
    let mut hash = Sha256::default();
    let mut part = |bytes: &[u8]| digest_part(&mut hash, bytes);
    part(b"gatehouse operation 1");
    part(lease.subject.identity.to_string().as_bytes());
    part(on_behalf_of(&lease.subject).unwrap_or_default().as_bytes());
    part(lease.task.id.as_str().as_bytes());
    part(target.as_str().as_bytes());
    hash
}

pub(crate) fn digest_part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

pub(crate) fn on_behalf_of(subject: &Subject) -> Option<String> {
    subject.on_behalf_of.as_ref().map(|(user, _)| format!("user:{user}"))
}

/// How many of each group must approve, where one is not enough.
pub(crate) fn quorum(hold: &Hold) -> BTreeMap<String, u32> {
    let several = hold.groups.iter().filter(|(_, members)| **members > 1);
    several.map(|(group, members)| (group.to_string(), *members)).collect()
}

/// A budget as records have it.
pub fn budget_record(budget: &Budget) -> Option<BudgetRecord> {
    let Budget { operations, rows, bytes, ref values } = *budget;
    let values = values.iter().map(|(class, figure)| (class.to_string(), *figure)).collect();
    budget.is_limited().then_some(BudgetRecord { operations, rows, bytes, values })
}

pub(crate) fn access_record(access: &Access) -> AccessRecord {
    AccessRecord {
        action: access.action.to_string(),
        resource: access.resource.to_string(),
        within: access.resource.within.iter().map(|parent| format!("{} {}", parent.kind, parent.id)).collect(),
    }
}

pub(crate) fn facts_record(facts: &Facts, classes: &Classes) -> BTreeMap<String, Fact> {
    let value = |value: &FactValue| match value {
        FactValue::Bool(value) => Fact::Bool(*value),
        FactValue::Long(value) => Fact::Integer(*value),
        FactValue::Text(value) => Fact::Text(classes.scrub(value).into_owned()),
        FactValue::Texts(values) => Fact::Texts(values.iter().map(|value| classes.scrub(value).into_owned()).collect()),
    };
    facts.iter().map(|(name, fact)| ((*name).to_string(), value(fact))).collect()
}

/// The reasons that policies give, and which policies; those alone where they give none.
pub(crate) fn cause(reasons: &[&str], policies: &[&str]) -> String {
    let policies = policies.join(", ");
    if reasons.is_empty() {
        format!("policy {policies}")
    } else {
        format!("{} (policy {policies})", reasons.join("; "))
    }
}

/// The denial of an operation by policy, with the remedy that there is.
pub(crate) fn policy_denial(decision: &Decision, title: &str) -> Denial {
    let reasons: Vec<&str> = decision.reasons.iter().map(String::as_str).collect();
    let policies: Vec<&str> = decision.policies.iter().map(PolicyId::as_str).collect();
    let (detail, hint) = if policies.is_empty() {
        (
            reasons.join("; "),
            "Ask an administrator for a policy that permits it; `gatehouse policies ls` shows those in force"
                .to_string(),
        )
    } else {
        (
            cause(&reasons, &policies),
            format!("Do it in another way, or ask who keeps the policy {}", policies.join(", ")),
        )
    };
    let mut denial = Denial::new(Reason::Policy, format!("{title} is denied by policy"), detail, hint);
    denial.policies = decision.policies.iter().cloned().collect();
    denial
}

pub(crate) fn task_ended() -> Denial {
    Denial::new(
        Reason::TaskEnded,
        "the task has ended",
        "its time ran out, it was ended, or it was revoked",
        "Start a new task with `gatehouse task start` or `gatehouse run`",
    )
}

pub(crate) fn unrecorded_denial() -> Denial {
    Denial::new(
        Reason::Unrecorded,
        "the operation cannot be recorded, so it was not passed",
        "the gateway's journal cannot be written; its disk may be full",
        "Try again later, or tell the operator of the gateway",
    )
}
