//! One session's way through the door, in both directions.
//!
//! It holds the protocol's state and turns bytes that were read into frames that may be written. Its caller moves
//! bytes; it never sees one that was not cleared but in its own read buffers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_channel::oneshot;
use gatehouse_journal::{JournalError, RequestEnded, RequestOpened};
use gatehouse_mask::{Counts, Plan};
use gatehouse_model::{
    Access, Action, Bind, Blame, Decision, Denial, Digest, Facts, Operation, Phase, PolicyId, Reason, RequestId,
    Resource, Shape, Verdict, kind,
};
use gatehouse_policy::Policies;
use gatehouse_protocol::{
    Breach, CancelKey, Meaning, Misunderstood, Passed, Protocol, Reply, Session, Side, Step, SurveyFacts,
};
use jiff::{SignedDuration, Timestamp};

use crate::cleared::{Cleared, Durability, Receipt};
use crate::desk::{Answer, HoldMode, PendingRequest, RequestState};
use crate::editor::Masking;
use crate::gate::{self, Gate, OperationRecord, SessionEnd};
use crate::grant::Grant;
use crate::ledger::Unrecorded;
use crate::tape::{Tape, TapeSeal};

/// What comes of looking at what was read.
#[derive(Debug)]
pub enum Next {
    /// More bytes are needed: this many in all.
    Read {
        /// The length that the buffer must reach.
        at_least: usize,
    },
    /// The other side must speak first.
    Wait,
    /// Newer facts about the target are needed: see [`Passage::surveyed`].
    Survey,
    /// Something may be written.
    Out(Outward),
    /// A person must decide first; meanwhile the client hears this.
    Hold(Box<Held>, Outward),
}

/// What may be written, by direction.
#[derive(Debug, Default)]
#[must_use = "what is not written is lost"]
pub struct Outward {
    /// To the client.
    pub to_client: Option<Cleared<Bytes>>,
    /// To the target.
    pub to_target: Option<Cleared<Bytes>>,
}

/// An operation that waits for a person, with everything that will be checked again when the answer comes.
#[derive(Debug)]
#[must_use = "a held operation must be resumed or withdrawn"]
pub struct Held {
    request: RequestId,
    run: Bytes,
    operation: Box<Operation>,
    decision: Decision,
    policies: Arc<Policies>,
    digest: Digest,
    number: u64,
    expires: Timestamp,
    answer: oneshot::Receiver<Answer>,
}

impl Held {
    /// The request that a person can answer.
    pub fn request(&self) -> &RequestId {
        &self.request
    }

    /// When the wait ends in refusal.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Waits for the person. `None` if the request went away.
    pub async fn answer(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

/// Why a session must end.
#[derive(Debug)]
pub struct Stop {
    /// Who is to blame.
    pub blame: Blame,
    /// The cause, for the operator.
    pub cause: String,
    /// What the client is told last.
    pub denial: Option<Denial>,
}

impl From<Breach> for Stop {
    fn from(breach: Breach) -> Self {
        Self { blame: breach.blame, cause: breach.message, denial: breach.denial.map(|denial| *denial) }
    }
}

/// The mask plan of the shape at hand.
struct Planned {
    shape: Arc<Shape>,
    policies: Arc<Policies>,
    plan: Plan,
}

/// One session's way through.
pub struct Passage {
    gate: Arc<Gate>,
    grant: Arc<Grant>,
    protocol: Arc<dyn Protocol>,
    session: Box<dyn Session>,
    tape: Box<dyn Tape>,
    opened: Timestamp,
    operations: u64,
    bytes: u64,
    masked: Counts,
    planned: Option<Planned>,
    /// The policies by which the operation at hand was decided, for its record.
    judged_by: Arc<Policies>,
}

impl Passage {
    /// The way through of a session that was granted.
    pub fn new(
        gate: Arc<Gate>,
        grant: Arc<Grant>,
        protocol: Arc<dyn Protocol>,
        session: Box<dyn Session>,
        tape: Box<dyn Tape>,
        opened: Timestamp,
    ) -> Self {
        let judged_by = gate.policies();
        Self {
            judged_by,
            gate,
            grant,
            protocol,
            session,
            tape,
            opened,
            operations: 0,
            bytes: 0,
            masked: Counts::default(),
            planned: None,
        }
    }

    /// The grant that the session stands on.
    pub fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// The protocol that the session speaks.
    pub fn protocol(&self) -> &Arc<dyn Protocol> {
        &self.protocol
    }

    /// Looks at the front of what one side sent, and takes from `buf` what may be written or was answered.
    pub fn advance(&mut self, now: Timestamp, side: Side, buf: &mut BytesMut) -> Result<Next, Stop> {
        let (len, meaning) = match self.session.inspect(side, buf)? {
            Step::Read { at_least } => return Ok(Next::Read { at_least }),
            Step::Wait => return Ok(Next::Wait),
            Step::Survey => return Ok(Next::Survey),
            Step::Run { len, meaning } => (len, meaning),
        };
        match meaning {
            Meaning::Act(operation) => self.act(now, operation, len, buf),
            Meaning::Misunderstood(unclear) => self.misunderstood(now, &unclear, len, buf),
            Meaning::Plumbing => {
                let run = buf.split_to(len).freeze();
                self.relay(now, side, run, None).map(Next::Out)
            }
            Meaning::Content(shape) => {
                let run = buf.split_to(len).freeze();
                self.content(now, &shape, run).map(Next::Out)
            }
            Meaning::Local => {
                let run = buf.split_to(len).freeze();
                let mut reply = Reply::default();
                self.session.answer(side, &run, &mut reply);
                Ok(Next::Out(self.own_words(now, reply)))
            }
        }
    }

    fn act(&mut self, now: Timestamp, operation: Box<Operation>, len: usize, buf: &mut BytesMut) -> Result<Next, Stop> {
        let policies = self.gate.policies();
        self.judged_by = policies.clone();
        let lease = self.grant.lease();
        let decision = policies.decide_all(&lease.subject, &operation.accesses, &operation.facts);
        let decision = match (decision.verdict, operation.phase) {
            // What is only made known runs nothing; it is held when it is to run.
            (Verdict::Hold, Phase::Prepare) => Decision { verdict: Verdict::Allow, ..decision },
            (Verdict::Allow | Verdict::Hold | Verdict::Deny, _) => decision,
        };
        if decision.verdict != Verdict::Allow && !self.session.is_quiet() {
            return Ok(Next::Wait);
        }
        let digest = gate::digest(&self.grant, &operation);
        let run = buf.split_to(len).freeze();
        if !self.grant.is_live(now) {
            let ended = gate::task_ended();
            return self.refuse(now, &operation, &decision, digest, &run, ended).map(Next::Out);
        }
        match decision.verdict {
            Verdict::Allow => self.clear(now, &operation, &decision, digest, None, run).map(Next::Out),
            Verdict::Deny => {
                let denial = gate::policy_denial(&decision, &operation.title);
                self.refuse(now, &operation, &decision, digest, &run, denial).map(Next::Out)
            }
            Verdict::Hold => self.hold(now, operation, decision, digest, run),
        }
    }

    /// The record first, then the frame.
    fn clear(
        &mut self,
        now: Timestamp,
        operation: &Operation,
        decision: &Decision,
        digest: Digest,
        approval: Option<&RequestId>,
        run: Bytes,
    ) -> Result<Outward, Stop> {
        let receipt = match self.record(now, operation, decision, digest, approval, None) {
            Ok(receipt) => receipt,
            Err(_) => return self.refuse_unrecorded(now, &run),
        };
        self.relay(now, Side::Client, run, Some(receipt))
    }

    fn record(
        &mut self,
        now: Timestamp,
        operation: &Operation,
        decision: &Decision,
        digest: Digest,
        approval: Option<&RequestId>,
        refused: Option<&str>,
    ) -> Result<Receipt, Unrecorded> {
        // What the replay shows before the answer; without room for it there is none for the answer either.
        let word = match (refused, approval) {
            (Some(_), _) => "refused".to_string(),
            (None, Some(request)) => format!("approved ({request})"),
            (None, None) => decision.verdict.to_string(),
        };
        let line = format!("{word} #{} {}", self.operations, self.grant.target().classes.scrub(&operation.evidence));
        self.tape.mark(self.elapsed(now), &line).map_err(|error| Unrecorded(JournalError::Sink(error)))?;
        let receipt = self.gate.record_operation(
            now,
            &OperationRecord {
                grant: &self.grant,
                number: self.operations,
                operation,
                decision,
                digest,
                approval,
                refused,
                policies: &self.judged_by,
            },
        )?;
        self.operations += 1;
        Ok(receipt)
    }

    fn refuse(
        &mut self,
        now: Timestamp,
        operation: &Operation,
        decision: &Decision,
        digest: Digest,
        run: &Bytes,
        denial: Denial,
    ) -> Result<Outward, Stop> {
        match self.record(now, operation, decision, digest, None, Some(&denial.message)) {
            Ok(receipt) => {
                let mut reply = Reply::default();
                self.session.refuse(run, &denial, &mut reply);
                Ok(self.own_words_after(now, reply, Some(receipt)))
            }
            Err(_) => self.refuse_unrecorded(now, run),
        }
    }

    /// While nothing can be recorded the target hears nothing, not even the abort of a transaction: where one would
    /// be due, the session ends, and with it the transaction.
    fn refuse_unrecorded(&mut self, now: Timestamp, run: &Bytes) -> Result<Outward, Stop> {
        let mut reply = Reply::default();
        self.session.refuse(run, &gate::unrecorded_denial(), &mut reply);
        if reply.to_target.is_empty() {
            Ok(self.own_words(now, reply))
        } else {
            Err(Stop {
                blame: Blame::Gateway,
                cause: "an operation inside a transaction could not be recorded".into(),
                denial: Some(gate::unrecorded_denial()),
            })
        }
    }

    fn misunderstood(
        &mut self,
        now: Timestamp,
        unclear: &Misunderstood,
        len: usize,
        buf: &mut BytesMut,
    ) -> Result<Next, Stop> {
        if !self.session.is_quiet() {
            return Ok(Next::Wait);
        }
        self.judged_by = self.gate.policies();
        let run = buf.split_to(len).freeze();
        let operation = Operation {
            title: unclear.title.clone(),
            statement: "".into(),
            // It was not understood, so what is data in it is not known either.
            evidence: format!("({} bytes that were not understood)", run.len()).into(),
            binds: Vec::new(),
            evidence_binds: Vec::new(),
            state: [("run".to_string(), run_digest(&run).to_string())].into(),
            accesses: Vec::new(),
            facts: Facts::new(),
            effect: gatehouse_model::Effect::Read,
            phase: Phase::Run,
        };
        let mut decision = gatehouse_policy::combine([]);
        decision.reasons = [unclear.denial.message.clone()].into();
        let digest = gate::digest(&self.grant, &operation);
        self.refuse(now, &operation, &decision, digest, &run, unclear.denial.clone()).map(Next::Out)
    }

    fn hold(
        &mut self,
        now: Timestamp,
        operation: Box<Operation>,
        decision: Decision,
        digest: Digest,
        run: Bytes,
    ) -> Result<Next, Stop> {
        let target = self.grant.target().clone();
        if target.on_hold == HoldMode::Refuse
            && let Some(used) = self.gate.desk().take(now, &digest, None, &decision.hold.groups)
        {
            return self.pass_approved(now, &operation, decision, digest, used, run).map(Next::Out);
        }
        let request = self.request(now, &operation, &decision, digest);
        let entry = self.request_opened(&operation, &request);
        let expires = request.expires;
        let opened = match self.gate.desk().open(now, request, entry) {
            Ok(opened) => opened,
            Err(Some(_)) => return self.refuse_unrecorded(now, &run).map(Next::Out),
            Err(None) => {
                let denial = too_many_requests();
                return self.refuse(now, &operation, &decision, digest, &run, denial).map(Next::Out);
            }
        };
        let Some(answer) = opened.answer else {
            let mut denial = held_denial(&decision, &opened.id, &operation.title);
            denial.request = Some(opened.id);
            return self.refuse(now, &operation, &decision, digest, &run, denial).map(Next::Out);
        };
        let mut words = BytesMut::new();
        let groups: Vec<String> = decision.hold.groups.iter().map(ToString::to_string).collect();
        let remark = format!(
            "{} waits for approval by {} as request {}; cancel to withdraw it",
            operation.title,
            groups.join(" and "),
            opened.id
        );
        self.session.remark(&remark, &mut words);
        let receipt = opened.index.map(|index| Receipt::new(index, Durability::Disk));
        let outward = self.own_words_after(now, Reply { to_client: words, to_target: BytesMut::new() }, receipt);
        let held = Held {
            request: opened.id,
            run,
            operation,
            decision,
            policies: self.judged_by.clone(),
            digest,
            number: self.operations,
            expires,
            answer,
        };
        Ok(Next::Hold(Box::new(held), outward))
    }

    fn request(&self, now: Timestamp, operation: &Operation, decision: &Decision, digest: Digest) -> PendingRequest {
        let lease = self.grant.lease();
        let target = self.grant.target();
        let secs = match target.on_hold {
            HoldMode::Wait => target.hold_secs_max,
            // Nobody waits, so the person may take as long as an approval may wait for its use.
            HoldMode::Refuse => target.hold_secs_max.max(3600),
        };
        let expires =
            now.saturating_add(SignedDuration::from_secs(i64::from(secs))).unwrap_or(now).min(lease.task.expires);
        PendingRequest {
            id: RequestId::from_random(request_number(&digest, self.grant.session().as_str(), self.operations, now)),
            session: self.grant.session().clone(),
            task: lease.task.id.clone(),
            task_reason: lease.task.reason.clone(),
            subject: lease.subject.clone(),
            target: target.name.clone(),
            title: operation.title.clone(),
            statement: operation.statement.to_string(),
            binds: operation.binds.iter().map(shown_bind).collect(),
            accesses: operation.accesses.iter().map(ToString::to_string).collect(),
            hold: decision.hold.clone(),
            policies: decision.policies.clone(),
            digest,
            mode: target.on_hold,
            opened: now,
            expires,
            state: RequestState::Open,
            approvals: std::collections::BTreeMap::new(),
            answer_reason: None,
            is_exact: true,
        }
    }

    fn request_opened(&self, operation: &Operation, request: &PendingRequest) -> RequestOpened {
        let classes = &self.grant.target().classes;
        RequestOpened {
            request: request.id.to_string(),
            session: request.session.to_string(),
            task: request.task.to_string(),
            identity: request.subject.identity.to_string(),
            on_behalf_of: gate::on_behalf_of(&request.subject),
            target: request.target.to_string(),
            title: request.title.clone(),
            statement: classes.scrub(&operation.evidence).into_owned(),
            binds: operation.evidence_binds.iter().map(|bind| classes.scrub(bind).into_owned()).collect(),
            digest: request.digest.to_string(),
            accesses: operation.accesses.iter().map(gate::access_record).collect(),
            groups: request.hold.groups.iter().map(ToString::to_string).collect(),
            reasons: request.hold.reasons.iter().cloned().collect(),
            policies: request.policies.iter().map(PolicyId::to_string).collect(),
            revision: self.judged_by.revision().to_string(),
            expires: request.expires.to_string(),
            mode: request.mode.as_str().into(),
        }
    }

    /// The person answered: everything is checked again before the operation goes on.
    pub fn resume(&mut self, now: Timestamp, held: Box<Held>, answer: Option<Answer>) -> Result<Outward, Stop> {
        let policies = self.gate.policies();
        let lease = self.grant.lease().clone();
        let now_decided = policies.decide_all(&lease.subject, &held.operation.accesses, &held.operation.facts);
        let Held { request, run, operation, decision, policies: held_by, digest, number, .. } = *held;
        // A refusal is of the decision that held it; what passes was decided anew.
        self.judged_by = held_by;
        let refuse = |passage: &mut Self, state: RequestState, denial: Denial| {
            // Whether or not the end of the request can be recorded, the operation does not pass.
            let _ = passage.gate.desk().end(now, &request, state);
            passage.refuse(now, &operation, &decision, digest, &run, denial)
        };
        match answer {
            None => refuse(self, RequestState::Expired, hold_expired(&request)),
            Some(Answer::Denied { by, reason }) => {
                refuse(self, RequestState::Denied, disapproved(&operation.title, &by.to_string(), &reason))
            }
            Some(Answer::Approved) => {
                if !self.grant.is_live(now) {
                    return refuse(self, RequestState::Withdrawn, gate::task_ended());
                }
                if now_decided.verdict == Verdict::Deny {
                    return refuse(self, RequestState::Withdrawn, gate::policy_denial(&now_decided, &operation.title));
                }
                let same = number == self.operations && gate::digest(&self.grant, &operation) == digest;
                let needed = &now_decided.hold.groups;
                let taken = if same { self.gate.desk().take(now, &digest, Some(&request), needed) } else { None };
                match taken {
                    Some(used) => {
                        self.judged_by = policies;
                        self.pass_approved(now, &operation, now_decided, digest, used, run)
                    }
                    None => refuse(self, RequestState::Expired, hold_expired(&request)),
                }
            }
        }
    }

    /// An approval was taken for this operation, which now passes.
    fn pass_approved(
        &mut self,
        now: Timestamp,
        operation: &Operation,
        decision: Decision,
        digest: Digest,
        used: PendingRequest,
        run: Bytes,
    ) -> Result<Outward, Stop> {
        let id = used.id.clone();
        match self.record(now, operation, &decision, digest, Some(&id), None) {
            Ok(receipt) => {
                let outward = self.relay(now, Side::Client, run, Some(receipt))?;
                // The operation's record names the approval, which ends it as surely as this one.
                let _ = self.gate.ledger().record(now, RequestEnded { request: id.to_string(), cause: "used".into() });
                Ok(outward)
            }
            Err(_) => {
                self.gate.desk().put_back(used);
                self.refuse_unrecorded(now, &run)
            }
        }
    }

    /// The client took a held operation back, or went away.
    pub fn withdraw(&mut self, now: Timestamp, held: Box<Held>) -> Result<Outward, Stop> {
        let _ = self.gate.desk().end(now, &held.request, RequestState::Withdrawn);
        self.judged_by = held.policies.clone();
        let denial = Denial::new(
            Reason::Withdrawn,
            "canceling statement due to user request",
            format!("request {} was withdrawn before a person answered it", held.request),
            "Run the statement again to ask again",
        );
        self.refuse(now, &held.operation, &held.decision, held.digest, &held.run, denial)
    }

    fn content(&mut self, now: Timestamp, shape: &Arc<Shape>, run: Bytes) -> Result<Outward, Stop> {
        self.plan(shape);
        let Some(planned) = &self.planned else {
            return self.relay(now, Side::Target, run, None);
        };
        if planned.plan.is_keep() {
            return self.relay(now, Side::Target, run, None);
        }
        let mut out = BytesMut::with_capacity(run.len());
        let classes = self.grant.target().classes.clone();
        let mut masking = Masking { plan: &planned.plan, classes: &classes, counts: &mut self.masked };
        self.session.rewrite(shape, &run, &mut masking, &mut out)?;
        let frame = out.freeze();
        self.seen(now, &frame)?;
        Ok(Outward { to_client: Some(Cleared::new(frame, None)), to_target: None })
    }

    /// Plans the masks of a shape once, and again when the policies change.
    fn plan(&mut self, shape: &Arc<Shape>) {
        let policies = self.gate.policies();
        let current =
            |planned: &Planned| Arc::ptr_eq(&planned.shape, shape) && Arc::ptr_eq(&planned.policies, &policies);
        if self.planned.as_ref().is_some_and(current) {
            return;
        }
        let subject = &self.grant.lease().subject;
        let may_reveal = |resource: Resource| {
            let access = Access::new(Action::REVEAL, resource);
            policies.decide(subject, &access, &Facts::new()).verdict == Verdict::Allow
        };
        let plan = self.grant.target().classes.plan(shape, &mut |column| may_reveal(column.clone()), &mut |class| {
            may_reveal(Resource::root(kind::CLASS, class.as_str()))
        });
        self.planned = Some(Planned { shape: shape.clone(), policies, plan });
    }

    fn relay(&mut self, now: Timestamp, side: Side, run: Bytes, receipt: Option<Receipt>) -> Result<Outward, Stop> {
        let mut out = BytesMut::new();
        let frame = match self.session.pass(side, &run, &mut out) {
            Passed::AsIs => run,
            Passed::Written => out.freeze(),
        };
        match side {
            Side::Client => Ok(Outward { to_client: None, to_target: Some(Cleared::new(frame, receipt)) }),
            Side::Target => {
                self.seen(now, &frame)?;
                Ok(Outward { to_client: Some(Cleared::new(frame, receipt)), to_target: None })
            }
        }
    }

    /// What comes from the target is shown to the client only once it is on the tape.
    fn seen(&mut self, now: Timestamp, frame: &Bytes) -> Result<(), Stop> {
        self.bytes += frame.len() as u64;
        self.tape.to_client(self.elapsed(now), frame).map_err(|error| Stop {
            blame: Blame::Gateway,
            cause: format!("the recording cannot be written: {error}"),
            denial: Some(gate::unrecorded_denial()),
        })
    }

    fn own_words(&mut self, now: Timestamp, reply: Reply) -> Outward {
        self.own_words_after(now, reply, None)
    }

    /// The gateway's own words hold nothing of the target's, so they pass even where they cannot be taped.
    fn own_words_after(&mut self, now: Timestamp, reply: Reply, receipt: Option<Receipt>) -> Outward {
        let wrap = |bytes: BytesMut| (!bytes.is_empty()).then(|| Cleared::new(bytes.freeze(), receipt));
        self.bytes += reply.to_client.len() as u64;
        let _ = self.tape.to_client(self.elapsed(now), &reply.to_client);
        Outward { to_client: wrap(reply.to_client), to_target: wrap(reply.to_target) }
    }

    fn elapsed(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.opened)).unwrap_or_default()
    }

    /// Newer facts, after [`Next::Survey`].
    pub fn surveyed(&mut self, facts: SurveyFacts) {
        self.session.surveyed(facts);
    }

    /// The bytes that ask the target to cancel what this session runs, once that is recorded.
    pub fn cancel(&self, now: Timestamp, key: &CancelKey) -> Result<Cleared<Bytes>, Unrecorded> {
        self.gate.cancelled(now, self.grant.session())?;
        Ok(Cleared::new(self.protocol.cancel(key), None))
    }

    /// The last message of a session that is ended from this side.
    pub fn last_words(&mut self, now: Timestamp, denial: &Denial) -> Option<Cleared<Bytes>> {
        let mut words = BytesMut::new();
        self.session.end(denial, &mut words);
        self.own_words(now, Reply { to_client: words, to_target: BytesMut::new() }).to_client
    }

    /// Ends the recording and writes the session's last record.
    pub fn close(&mut self, now: Timestamp, cause: &str) -> Result<(), Unrecorded> {
        // Without its seal the session is not closed on the record; a restart seals what it finds.
        let seal: TapeSeal = self.tape.seal().map_err(|error| Unrecorded(JournalError::Sink(error)))?;
        let recording = Some(seal);
        let end = SessionEnd {
            cause: cause.into(),
            operations: self.operations,
            rows: self.session.rows(),
            bytes: self.bytes,
            masked: std::mem::take(&mut self.masked),
            recording,
        };
        self.gate.close(now, &self.grant, end)
    }
}

fn shown_bind(bind: &Bind) -> String {
    match bind {
        Bind::Null => "NULL".into(),
        Bind::Text(text) => format!("'{text}'"),
        Bind::Binary(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn run_digest(run: &Bytes) -> Digest {
    use sha2::Digest as _;
    Digest(sha2::Sha256::digest(run).into())
}

/// A request's id needs only to be unlike any other's; it is no secret.
fn request_number(digest: &Digest, session: &str, number: u64, now: Timestamp) -> u64 {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    hash.update(digest.0);
    hash.update(session);
    hash.update(number.to_be_bytes());
    hash.update(now.as_nanosecond().to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    hash.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head))
}

fn held_denial(decision: &Decision, request: &RequestId, title: &str) -> Denial {
    let groups: Vec<String> = decision.hold.groups.iter().map(ToString::to_string).collect();
    let reasons: Vec<&str> = decision.hold.reasons.iter().map(String::as_str).collect();
    let policies: Vec<&str> = decision.policies.iter().map(PolicyId::as_str).collect();
    let mut denial = Denial::new(
        Reason::Held,
        format!("{title} needs approval by {}: request {request}", groups.join(" and ")),
        format!("{} (policy {})", reasons.join("; "), policies.join(", ")),
        format!(
            "Run exactly the same statement again once `gatehouse approve {request}` was given; it then passes once"
        ),
    );
    denial.policies = decision.policies.iter().cloned().collect();
    denial.request = Some(request.clone());
    denial
}

fn hold_expired(request: &RequestId) -> Denial {
    let mut denial = Denial::new(
        Reason::HoldExpired,
        format!("nobody approved request {request} in time"),
        "the wait for approval has a limit, and it is over",
        "Run the statement again to ask again, and tell an approver",
    );
    denial.request = Some(request.clone());
    denial
}

fn disapproved(title: &str, by: &str, reason: &str) -> Denial {
    Denial::new(
        Reason::Disapproved,
        format!("{title} was refused by {by}"),
        if reason.is_empty() { "no reason was given".to_string() } else { format!("the reason given: {reason}") },
        "Talk to the approver, change the statement, and ask again",
    )
}

fn too_many_requests() -> Denial {
    Denial::new(
        Reason::Limit,
        "the task has too many open requests",
        "limits.open_requests_max was reached",
        "Wait until they are answered, or withdraw some",
    )
}
