//! One session's way through the door, in both directions.
//!
//! It holds the protocol's state and turns bytes that were read into frames that may be written. Its caller moves
//! bytes; it never sees one that was not cleared but in its own read buffers.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_channel::oneshot;
use gatehouse_journal::{
    CHUNK_BYTES_MAX, JournalError, OperationTemplate, OperationValues, RequestEnded, RequestOpened,
};
use gatehouse_mask::{Classes, Counts, Plan};
use gatehouse_model::{
    Access, Action, Blame, Candidate, CandidateText, ClassName, Decision, Denial, Digest, Effect, Facts, Intent,
    Operation, Phase, PolicyId, Provenance, Reason, Repacks, RequestId, Resource, Secret, Sha256, Shape, ShapeRole,
    Verdict, kind,
};
use gatehouse_policy::Policies;
use gatehouse_protocol::{
    Breach, CancelKey, Meaning, Misunderstood, Parted, Passed, Reply, Session, Side, Started, Step, StreamProtocol,
    SurveyFacts,
};
use jiff::{SignedDuration, Timestamp};

use crate::cleared::{Cleared, Durability, Receipt};
use crate::descriptions::Description;
use crate::desk::{Answer, Asked, HeldOperation, HoldMode, PendingRequest, RequestState};
use crate::editor::Masking;
use crate::gate::{self, Gate, OperationRecord, SessionEnd};
use crate::grant::{Grant, Target};
use crate::judgement::Judgements;
use crate::kept::{self, Kept, NotKept, Waiting, shown_bind};
use crate::ledger::Unrecorded;
use crate::tape::{Piece, Tape, TapeSeal};

/// What comes of looking at what was read. What the client may see of it is given out by [`Passage::release`].
#[derive(Debug)]
#[must_use = "what is not written is lost"]
pub enum Next {
    /// More bytes are needed: this many in all.
    Read {
        /// The length that the buffer must reach.
        at_least: usize,
    },
    /// The other side must speak first.
    Wait,
    /// Newer facts about the target are needed: see [`Passage::surveyed_now`].
    Survey,
    /// The front was taken, and this may be written to the target.
    Out(Option<Cleared<Bytes>>),
    /// A person must decide first.
    Hold(Box<Held>),
    /// A person must, and what it would do is to be foretold for them: see [`Passage::foretold`].
    Foretell(Box<Operation>),
}

/// What is still to come of a frame whose beginning was taken.
#[derive(Debug, Default, Clone, Copy)]
struct Rest {
    bytes: u64,
    /// It goes where the beginning went; else it is dropped.
    goes_on: bool,
}

/// What waits to be put on the recording, and then to be shown.
enum Unseen {
    /// A mark of the recording, and when it was made, since the session began.
    Mark(Duration, String),
    /// The target's, masked: shown only when it is on the recording.
    Theirs(Bytes),
    /// The gateway's own words, which hold nothing of the target's. They are shown even where nothing can be recorded.
    Own(Bytes, Option<Receipt>),
}

/// A statement that ran before in the same transaction. It is put in words when somebody is to read it, which is seldom.
struct Before {
    text: Arc<str>,
    binds: Vec<String>,
    changes: bool,
}

impl Before {
    /// What is long is cut at once, so that little is kept of it.
    fn new(operation: &Operation, classes: &Classes) -> Self {
        let (text, binds) = (&operation.intent.evidence, &operation.evidence_binds);
        let changes = operation.intent.effect == Effect::Write;
        let bytes = text.len() + binds.iter().map(String::len).sum::<usize>();
        if bytes > STATEMENT_CHARS_MAX {
            return Self { text: in_words(text, binds, classes).into(), binds: Vec::new(), changes };
        }
        Self { text: text.clone(), binds: binds.clone(), changes }
    }
}

/// A statement and its values as evidence keeps them, cut to what is shown.
fn in_words(statement: &str, binds: &[String], classes: &Classes) -> String {
    let mut text = classes.scrub(statement).into_owned();
    for (place, bind) in binds.iter().enumerate() {
        // No more is shown.
        if text.len() > STATEMENT_CHARS_MAX * 4 {
            break;
        }
        let before = if place == 0 { " --" } else { "," };
        text.push_str(&format!("{before} ${} = {}", place + 1, classes.scrub(bind)));
    }
    let is_whole = text.chars().count() <= STATEMENT_CHARS_MAX;
    text.chars().take(STATEMENT_CHARS_MAX).chain((!is_whole).then_some('…')).collect()
}

/// Whether the target was surveyed for the operation at the front, because it is to use an approval, or to be asked about.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Resurvey {
    #[default]
    No,
    Asked,
    Done,
}

/// An operation that waits for a person, with everything that will be checked again when the answer comes.
#[derive(Debug)]
#[must_use = "a held operation must be resumed or withdrawn"]
pub struct Held {
    request: RequestId,
    waiting: Waiting,
    operation: Box<Operation>,
    decision: Decision,
    policies: Arc<Policies>,
    digest: Digest,
    /// What its names stood for when it was asked for.
    stands_for: String,
    number: u64,
    expires: Timestamp,
    answer: oneshot::Receiver<Answer>,
}

impl Held {
    /// The request that a person can answer.
    pub fn request(&self) -> &RequestId {
        &self.request
    }

    /// Whether what was read of it lies elsewhere, so that it takes a while until it goes on.
    pub fn lies_elsewhere(&self) -> bool {
        self.waiting.kept.is_some()
    }

    /// When the wait ends in refusal.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The person's answer, once there is one. `None` if the request went away.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        Pin::new(&mut self.answer).poll(cx).map(Result::ok)
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

impl Stop {
    /// What the gateway ends a session with by itself, and for whom.
    pub fn by_gateway(denial: Denial) -> Self {
        let cause = match denial.detail.as_str() {
            "" => denial.message.clone(),
            detail => format!("{}: {detail}", denial.message),
        };
        Self { blame: Blame::Gateway, cause, denial: Some(denial) }
    }
}

impl From<Breach> for Stop {
    fn from(breach: Breach) -> Self {
        Self { blame: breach.blame, cause: breach.message, denial: breach.denial.map(|denial| *denial) }
    }
}

/// How many pseudonyms of one operation's results its task can use afterwards.
const PSEUDONYMS_NOTED_MAX: usize = 2_000;
/// How many earlier statements of its transaction are shown with one that is held, and how much of each, in characters.
const TRANSACTION_STATEMENTS_MAX: usize = 20;
const STATEMENT_CHARS_MAX: usize = 400;
/// How many mask plans one session remembers.
const PLANS_MAX: usize = 8;
/// How many columns of a result the recording says of whether they are masked: what that takes is within the margin below.
const MASKED_TOLD_MAX: usize = 200;
/// Marks that wait for what they announce, in bytes with what it takes to keep them. Less than what any configuration lets
/// wait for a client, so that they never keep the answers from being taken that they wait for.
const MARKS_BYTES_MAX: usize = 4 * 1024;
/// What a recording must have room for before an operation passes, beside its mark, in bytes.
const TAPE_MARGIN_BYTES: usize = 1024;

/// What a client was sent and the task was charged with.
#[derive(Debug, Clone, Copy, Default)]
struct Settled {
    rows: u64,
    bytes: u64,
}

/// What an operation wants besides what its protocol says.
struct More {
    action: Action,
    why: String,
    /// What an approval binds to: a name, and a value.
    binds_to: Option<(String, String)>,
}

/// Of rows, which of their columns are masked as a whole, if any are.
fn masked_mark(shape: &Shape, plan: &Plan) -> Option<String> {
    let masked: Vec<String> = plan.masked().take(MASKED_TOLD_MAX).map(|column| column.to_string()).collect();
    (shape.role == ShapeRole::Rows && !masked.is_empty()).then(|| format!("masked #? {}", masked.join(",")))
}

/// By what name an approval binds to the description of a resource.
fn description_of(resource: &Resource) -> String {
    format!("description of {resource}")
}

/// The mask plan of a shape.
struct Planned {
    shape: Arc<Shape>,
    policies: Arc<Policies>,
    plan: Plan,
    /// What the recording says of the columns that are masked as a whole, before each piece of what is masked by it.
    masked: Option<String>,
    /// The classes that it shows as they are, until that is noted with the first of its content.
    reveals: Vec<Arc<str>>,
}

/// One session's way through.
pub struct Passage {
    gate: Arc<Gate>,
    grant: Arc<Grant>,
    session: Box<dyn Session>,
    tape: Box<dyn Tape>,
    opened: Timestamp,
    operations: u64,
    bytes: u64,
    /// What of that counts for the task already.
    settled: Settled,
    /// Since when an answer of the target is waited for.
    waits_since: Option<Timestamp>,
    /// How many were waited for, and for how long in all until they began.
    waits: (u64, Duration),
    /// Whether the task has a budget, or one that it came from.
    is_limited: bool,
    /// Policy or a person let an operation of this session go on beyond the task's budget.
    exceeds: bool,
    masked: Counts,
    /// The classes of columns whose values went by as they are.
    in_the_clear: BTreeSet<Arc<str>>,
    /// The newest use last.
    planned: Vec<Planned>,
    /// Which classes the subject sees unmasked, under which policies.
    revealed: Option<(Arc<Policies>, BTreeMap<Resource, bool>)>,
    /// Whoever carries the session asks the target aside about what is held, and what was foretold last.
    foretells: bool,
    resurvey: Resurvey,
    foretold: Option<(Digest, Vec<String>)>,
    /// What ran since nothing was open at the target, as evidence keeps it.
    transaction: Vec<Before>,
    /// How many more there were.
    untold: usize,
    judgements: Judgements,
    /// The policies by which the operation at hand was decided, for its record.
    judged_by: Arc<Policies>,
    unseen: Vec<Unseen>,
    unseen_bytes: usize,
    /// Words that wait for the end of a frame that goes by in parts.
    deferred: Vec<Unseen>,
    client_rest: Rest,
    target_rest: Rest,
    passed: Option<metrics::Counter>,
}

impl Passage {
    /// The way through of a session that was granted.
    pub fn new(
        gate: Arc<Gate>,
        grant: Arc<Grant>,
        session: Box<dyn Session>,
        tape: Box<dyn Tape>,
        opened: Timestamp,
    ) -> Self {
        let judged_by = gate.policies();
        Self {
            judged_by,
            gate,
            session,
            tape,
            opened,
            operations: 0,
            bytes: 0,
            settled: Settled::default(),
            waits_since: None,
            waits: (0, Duration::ZERO),
            is_limited: grant.account().is_limited(),
            grant,
            exceeds: false,
            masked: Counts::default(),
            in_the_clear: BTreeSet::new(),
            planned: Vec::new(),
            revealed: None,
            foretells: false,
            resurvey: Resurvey::No,
            foretold: None,
            transaction: Vec::new(),
            untold: 0,
            judgements: Judgements::default(),
            unseen: Vec::new(),
            unseen_bytes: 0,
            deferred: Vec::new(),
            client_rest: Rest::default(),
            target_rest: Rest::default(),
            passed: None,
        }
    }

    /// Whoever carries the session foretells what would be done by what is held (see [`Next::Foretell`]), and has the target
    /// surveyed before a person is asked, and before an approval is used.
    pub fn foretell_holds(&mut self) {
        self.foretells = true;
    }

    /// What an operation would do, in lines for whoever decides it.
    pub fn foretold(&mut self, operation: &Operation, lines: Vec<String>) {
        self.foretold = Some((gate::digest(&self.grant, operation), lines));
    }

    /// The grant that the session stands on.
    pub fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// Looks at the front of what one side sent, and takes from `buf` what may be written or was answered.
    pub fn advance(&mut self, now: Timestamp, side: Side, buf: &mut BytesMut) -> Result<Next, Stop> {
        if self.rest_of(side).bytes > 0 {
            return Ok(self.go_on(side, buf));
        }
        let (len, tail, meaning) = match self.session.inspect(side, buf)? {
            Step::Read { at_least } => return Ok(Next::Read { at_least }),
            Step::Wait => return Ok(Next::Wait),
            Step::Survey => return Ok(Next::Survey),
            Step::Run { len, tail, meaning } => (len, tail, meaning),
        };
        // What is refused or answered here takes its tail with it; what goes on says so below.
        let end = Rest { bytes: tail, goes_on: false };
        match meaning {
            Meaning::Act(operation) => {
                let next = self.act(now, operation, len, tail, buf)?;
                // A tail belongs to what was taken; what waits was not.
                if !matches!(next, Next::Wait) && self.rest_of(side).bytes == 0 {
                    *self.rest_of(side) = end;
                }
                Ok(next)
            }
            Meaning::Misunderstood(unclear) => {
                let next = self.misunderstood(now, &unclear, len, buf)?;
                if !matches!(next, Next::Wait) {
                    *self.rest_of(side) = end;
                }
                Ok(next)
            }
            Meaning::Plumbing => {
                let run = buf.split_to(len).freeze();
                *self.rest_of(side) = Rest { bytes: tail, goes_on: true };
                Ok(Next::Out(self.relay(now, side, run, None)))
            }
            Meaning::Content(shape) => {
                self.plan(&shape);
                if tail > 0 && !self.plan_keeps() {
                    return Ok(Next::Read { at_least: self.session.whole(buf)? });
                }
                let run = buf.split_to(len).freeze();
                self.content(now, &shape, run)?;
                *self.rest_of(side) = Rest { bytes: tail, goes_on: true };
                Ok(Next::Out(None))
            }
            Meaning::Local => {
                *self.rest_of(side) = end;
                let run = buf.split_to(len).freeze();
                let mut reply = Reply::default();
                self.session.answer(side, &run, &mut reply);
                Ok(Next::Out(self.own_words(reply)))
            }
        }
    }

    fn rest_of(&mut self, side: Side) -> &mut Rest {
        match side {
            Side::Client => &mut self.client_rest,
            Side::Target => &mut self.target_rest,
        }
    }

    /// Takes what is there of a frame whose beginning went by.
    fn go_on(&mut self, side: Side, buf: &mut BytesMut) -> Next {
        let rest = self.rest_of(side);
        let here = usize::try_from(rest.bytes).unwrap_or(usize::MAX).min(buf.len());
        if here == 0 {
            return Next::Read { at_least: 1 };
        }
        rest.bytes -= here as u64;
        let (goes_on, is_done) = (rest.goes_on, rest.bytes == 0);
        let part = buf.split_to(here).freeze();
        match side {
            Side::Client => Next::Out(goes_on.then(|| Cleared::new(part, None))),
            Side::Target => {
                if goes_on {
                    self.unseen_bytes += part.len();
                    self.unseen.push(Unseen::Theirs(part));
                }
                if is_done {
                    self.unseen.append(&mut self.deferred);
                }
                Next::Out(None)
            }
        }
    }

    fn decide(&mut self, policies: &Arc<Policies>, intent: &Arc<Intent>) -> Decided {
        let subject = &self.grant.lease().subject;
        let classes = &self.grant.target().classes;
        let decide = || policies.decide_all(subject, &intent.accesses, &intent.facts);
        match self.judgements.of(policies, intent, classes, decide) {
            Some(judgement) => Decided {
                decision: judgement.decision.clone(),
                statement: judgement.statement.clone(),
                template: judgement.template.clone(),
            },
            None => Decided {
                decision: Arc::new(decide()),
                statement: classes.scrub(&intent.evidence).into(),
                template: None,
            },
        }
    }

    fn act(
        &mut self,
        now: Timestamp,
        mut operation: Box<Operation>,
        len: usize,
        tail: u64,
        buf: &mut BytesMut,
    ) -> Result<Next, Stop> {
        let remedy = self.turn_back(&mut operation, buf.get(..len).unwrap_or_default());
        let policies = self.gate.policies();
        self.judged_by = policies.clone();
        let decided = self.decide(&policies, &operation.intent);
        let more = self.wants_more(&operation);
        let (operation, decided) =
            if more.is_empty() { (operation, decided) } else { self.with_more(&policies, operation, more) };
        let verdict = match (decided.decision.verdict, operation.phase) {
            // What is only made known runs nothing; it is held when it is to run.
            (Verdict::Hold, Phase::Prepare) => Verdict::Allow,
            (verdict @ (Verdict::Allow | Verdict::Hold | Verdict::Deny), _) => verdict,
        };
        let shut = self.gate.shut(&self.grant, now);
        // What is refused is answered here, and answers come in the order of what was asked.
        if (verdict != Verdict::Allow || shut.is_some()) && !self.session.is_quiet() {
            return Ok(Next::Wait);
        }
        let digest = gate::digest(&self.grant, &operation);
        let is_of_now = std::mem::take(&mut self.resurvey) == Resurvey::Done;
        if verdict == Verdict::Hold && shut.is_none() && tail == 0 && self.foretells {
            let is_foretold = self.foretold.as_ref().is_some_and(|(of, _)| *of == digest);
            // Where it is approved, nobody is told any more.
            if !is_foretold && !self.is_approved(now, &operation, digest, &decided.decision) {
                return Ok(Next::Foretell(operation));
            }
            // What it names may have been made anew: a request that is bound to what was there could not be used, nor may an
            // approval be that is.
            if !is_of_now {
                self.resurvey = Resurvey::Asked;
                return Ok(Next::Survey);
            }
        }
        let run = buf.split_to(len).freeze();
        if let Some(shut) = shut {
            return self.refuse(now, &operation, &decided.decision, digest, &run, shut).map(Next::Out);
        }
        match verdict {
            Verdict::Allow => self.clear(now, &operation, &decided, digest, tail, run).map(Next::Out),
            Verdict::Hold if tail > 0 => {
                let denial = self.session.unheld(&operation.intent.title);
                self.refuse(now, &operation, &decided.decision, digest, &run, denial).map(Next::Out)
            }
            Verdict::Deny => {
                let unclear = operation.intent.unclear.clone();
                let mut denial =
                    unclear.unwrap_or_else(|| gate::policy_denial(&decided.decision, &operation.intent.title));
                if let Some(remedy) = remedy {
                    denial.hint = remedy.into();
                }
                self.refuse(now, &operation, &decided.decision, digest, &run, denial).map(Next::Out)
            }
            Verdict::Hold => self.hold(now, operation, (*decided.decision).clone(), digest, run),
        }
    }

    /// Pseudonyms that the task was given stand for what they were given for. Where each text that decides which rows there
    /// are is one, nothing is told by it that was not seen already; but for what several tell together, of which the client is told
    /// how it does without.
    fn turn_back(&mut self, operation: &mut Operation, run: &[u8]) -> Option<&'static str> {
        let candidates = operation.candidates.take()?;
        let (target, classes) = (&self.grant.target().name, &self.grant.target().classes);
        let given = self.grant.account().given();
        let value = |candidate: &Candidate| match &candidate.text {
            CandidateText::Known(text) => given.value(target, classes.pseudonym_of(&candidate.classes)?, text),
            CandidateText::Later | CandidateText::Fixed => None,
        };
        let values: Vec<Option<Secret>> = candidates.texts.iter().map(value).collect();
        drop(given);
        let is_given = |(candidate, value): (&Candidate, &Option<Secret>)| {
            !candidate.decides || value.is_some() || candidate.text == CandidateText::Later
        };
        if values.iter().any(Option::is_some) && !self.session.turn_back(run, &values) {
            return None;
        }
        if !candidates.texts.iter().zip(&values).all(is_given) {
            return None;
        }
        let remedy = candidates.remedy;
        operation.intent = candidates.intent;
        remedy
    }

    /// What of the task's budget is used up, if anything is. What is only made known runs nothing, and what only ends
    /// something may always do so.
    fn used_up(&self, operation: &Operation) -> Option<String> {
        let is_judged = self.is_limited && operation.phase == Phase::Run && !operation.intent.only_ends;
        if is_judged { self.grant.account().used_up().or_else(|| self.uncounted(&operation.intent)) } else { None }
    }

    /// Why it is not known how many different values of a class an operation shows, where the task's budget counts them: they
    /// leave their columns, or are written in another form. What is shown of a column is counted when it is.
    fn uncounted(&self, intent: &Intent) -> Option<String> {
        let account = self.grant.account();
        if !account.limits_values() {
            return None;
        }
        let reveals = intent.accesses.iter().filter(|access| access.action == Action::REVEAL);
        let limited = |class: &str| ClassName::new(class).is_ok_and(|class| account.limits(&class));
        let shows = |access: &Access| {
            let Resource { kind, id, within, .. } = &access.resource;
            match *kind {
                kind::CLASS => limited(id),
                _ => within.iter().any(|parent| parent.kind == kind::CLASS && limited(&parent.id)),
            }
        };
        let repacks = match &intent.repacks {
            Repacks::Classes(classes) => classes.iter().any(|class| account.limits(class)),
            Repacks::Unknown => true,
        };
        let is_uncounted = repacks || reveals.into_iter().any(shows);
        is_uncounted
            .then(|| "the task's budget counts different values, and in what this does they cannot be counted".into())
    }

    /// What an operation wants besides what its protocol says, at the target as a whole, and why: `exceed` when the budget is used
    /// up, `changed` where the target describes otherwise what is used.
    fn wants_more(&self, operation: &Operation) -> Vec<More> {
        let exceed = self.used_up(operation).map(|why| More { action: Action::EXCEED, why, binds_to: None });
        let mut more: Vec<More> = exceed.into_iter().collect();
        for access in operation.intent.accesses.iter().filter(|_| operation.phase == Phase::Run) {
            if let Some(Description { accepted, latest: Some(latest) }) =
                self.gate.descriptions().changed(&access.resource)
            {
                let what = access.resource.to_string();
                let why =
                    format!("{what} is not described as it was.\nIt was: {}\nIt is: {}", accepted.text, latest.text);
                let binds_to = Some((description_of(&access.resource), latest.digest.to_string()));
                more.push(More { action: Action::CHANGED, why, binds_to });
            }
        }
        more
    }

    fn with_more(
        &self,
        policies: &Arc<Policies>,
        mut operation: Box<Operation>,
        more: Vec<More>,
    ) -> (Box<Operation>, Decided) {
        let target = self.grant.target();
        let mut intent = Intent::clone(&operation.intent);
        for More { action, why, binds_to } in &more {
            intent.accesses.push(Access::new(*action, Resource::root(kind::TARGET, target.name.as_str())));
            // A person sees both descriptions, and approves what is told now.
            if let Some((name, digest)) = binds_to {
                intent.statement = format!("{}\n{why}", intent.statement).into();
                intent.evidence = format!("{}\n{why}", intent.evidence).into();
                Arc::make_mut(&mut operation.state).insert(name.clone(), digest.clone());
            }
        }
        let mut decision = policies.decide_all(&self.grant.lease().subject, &intent.accesses, &intent.facts);
        let whys = more.into_iter().map(|more| more.why.lines().next().unwrap_or_default().to_string());
        match decision.verdict {
            Verdict::Allow => {}
            Verdict::Hold => decision.hold.reasons.extend(whys),
            Verdict::Deny => decision.reasons.extend(whys),
        }
        let statement = target.classes.scrub(&intent.evidence).into();
        operation.intent = Arc::new(intent);
        (operation, Decided { decision: Arc::new(decision), statement, template: None })
    }

    /// One more operation passed under the task.
    fn count_operation(&mut self, operation: &Operation) {
        if operation.phase == Phase::Run {
            self.masked.note_pseudonyms(PSEUDONYMS_NOTED_MAX);
            if !self.session.is_in_transaction() {
                self.transaction.clear();
                self.untold = 0;
            }
            if self.foretells {
                self.remember_before(operation);
            }
        }
        if operation.phase == Phase::Run && self.is_limited {
            self.grant.account().add_operation();
            // What was let go on is this operation and what is still to come of those before it.
            let is_shown = !self.unseen.iter().any(|piece| matches!(piece, Unseen::Theirs(_)));
            let is_done = self.session.is_quiet() && is_shown;
            self.exceeds = exceeds(&operation.intent) || (self.exceeds && !is_done);
        }
    }

    /// Keeps what whoever decides on a later statement of the transaction should know. Where there is no room for all of it, what
    /// changes something stays.
    fn remember_before(&mut self, operation: &Operation) {
        let before = Before::new(operation, &self.grant.target().classes);
        if self.transaction.len() >= TRANSACTION_STATEMENTS_MAX {
            self.untold += 1;
            let look = self.transaction.iter().position(|before| !before.changes);
            match look.filter(|_| before.changes) {
                Some(look) => drop(self.transaction.remove(look)),
                None => return,
            }
        }
        self.transaction.push(before);
    }

    /// Why what waits to be shown is not shown: it is more than the task's budget has, and neither policy nor a person let the
    /// session go on beyond that.
    fn overdrawn(&self) -> Option<Denial> {
        let target = &self.grant.target().name;
        let theirs = self.unseen.iter().filter_map(|piece| match piece {
            Unseen::Theirs(frame) => Some(frame.len() as u64),
            Unseen::Mark(..) | Unseen::Own(..) => None,
        });
        let theirs: u64 = theirs.sum();
        if !self.is_limited || theirs == 0 || self.exceeds {
            return None;
        }
        let rows = self.session.rows().saturating_sub(self.settled.rows);
        let bytes = theirs + self.bytes.saturating_sub(self.settled.bytes);
        let why = self.grant.account().overdrawn_by(rows, bytes, self.masked.shown())?;
        let exceed = Access::new(Action::EXCEED, Resource::root(kind::TARGET, target.as_str()));
        let decision = self.gate.policies().decide(&self.grant.lease().subject, &exceed, &Facts::new());
        let denial = move || {
            Denial::new(
                Reason::Policy,
                "the result is more than what is left of the task's budget",
                why,
                "Ask for less at a time, or start a task with a larger budget",
            )
        };
        (decision.verdict != Verdict::Allow).then(denial)
    }

    /// What the client was sent counts for the task.
    fn settle(&mut self) {
        if !self.is_limited {
            return;
        }
        let now = Settled { rows: self.session.rows(), bytes: self.bytes };
        let (rows, bytes) = (now.rows.saturating_sub(self.settled.rows), now.bytes.saturating_sub(self.settled.bytes));
        self.grant.account().add_shown(rows, bytes, &self.masked.take_shown());
        self.settled = now;
    }

    /// The record first, then the frame.
    fn clear(
        &mut self,
        now: Timestamp,
        operation: &Operation,
        decided: &Decided,
        digest: Digest,
        tail: u64,
        run: Bytes,
    ) -> Result<Option<Cleared<Bytes>>, Stop> {
        let receipt = if decided.decision.verdict == Verdict::Allow {
            self.record_passing(now, operation, decided, digest)
        } else {
            let allowed = Decision { verdict: Verdict::Allow, ..(*decided.decision).clone() };
            self.record(now, operation, &allowed, digest, None, None)
        };
        match receipt {
            Ok(receipt) => {
                self.count_operation(operation);
                // How long a person took is none of the target's.
                match decided.decision.verdict {
                    Verdict::Allow => drop(self.waits_since.get_or_insert(now)),
                    Verdict::Hold | Verdict::Deny => self.waits_since = Some(now),
                }
                self.client_rest = Rest { bytes: tail, goes_on: true };
                Ok(self.relay(now, Side::Client, run, Some(receipt)))
            }
            Err(_) => self.refuse_unrecorded(&run),
        }
    }

    /// The record of an operation that passes by itself, which is what nearly all of them do.
    fn record_passing(
        &mut self,
        now: Timestamp,
        operation: &Operation,
        decided: &Decided,
        digest: Digest,
    ) -> Result<Receipt, Unrecorded> {
        let intent = &operation.intent;
        let Some(template) = &decided.template else {
            let receipt = self.record(now, operation, &decided.decision, digest, None, None)?;
            self.remember_template(intent, &decided.decision);
            return Ok(receipt);
        };
        let word = passing(operation.phase, decided.decision.verdict);
        self.mark(now, &word, &decided.statement)?;
        let classes = &self.grant.target().classes;
        let binds: Vec<String> = operation.evidence_binds.iter().map(|bind| classes.scrub(bind).into_owned()).collect();
        let values = OperationValues {
            number: self.operations,
            statement: &decided.statement,
            binds: &binds,
            digest: &digest.to_string(),
            phase: gate::phase(operation.phase),
        };
        let index = self.gate.ledger().record_operation(now, template, &values)?;
        self.operations += 1;
        let target = &self.grant.target().name;
        let passed = self.passed.get_or_insert_with(|| gate::operations_counter(target, Verdict::Allow, "passed"));
        passed.increment(1);
        Ok(self.gate.receipt(index, intent.effect))
    }

    fn remember_template(&mut self, intent: &Arc<Intent>, decision: &Decision) {
        let record = OperationRecord {
            grant: &self.grant,
            number: 0,
            intent,
            binds: &[],
            phase: Phase::Run,
            decision,
            digest: Digest([0; 32]),
            approval: None,
            refused: None,
            policies: &self.judged_by,
        };
        // Without a template the next record is made as this one was.
        let template = OperationTemplate::new(record.entry()).ok().map(Arc::new);
        let classes = &self.grant.target().classes;
        let policies = self.judged_by.clone();
        if let Some(judgement) = self.judgements.of(&policies, intent, classes, || decision.clone()) {
            judgement.template = template;
        }
    }

    /// A mark before what it announces; without room for it there is none for the answer either.
    fn mark(&mut self, now: Timestamp, word: &str, statement: &str) -> Result<(), Unrecorded> {
        let number = self.operations;
        let mut line = match self.session.turn() {
            Some(turn) => format!("{word} #{number}.{turn} {statement}"),
            None => format!("{word} #{number} {statement}"),
        };
        // A mark is one chunk: the rest of a longer one would be read as a mark of its own, in the words of whoever asks. The
        // journal has the statement whole.
        line.truncate(line.floor_char_boundary(CHUNK_BYTES_MAX));
        // What it takes to keep a mark is more than what it takes to write its head.
        let room = line.len() + self.unseen_bytes() + TAPE_MARGIN_BYTES;
        self.tape.reserve(room).map_err(|error| Unrecorded(JournalError::Sink(error)))?;
        self.unseen_bytes += line.len();
        self.unseen.push(Unseen::Mark(self.elapsed(now), line));
        Ok(())
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
        // What the replay shows before the answer.
        let word = match (refused, approval) {
            (Some(_), _) => "refused".to_string(),
            (None, Some(request)) => format!("approved ({request})"),
            (None, None) => passing(operation.phase, decision.verdict),
        };
        let evidence = self.grant.target().classes.scrub(&operation.intent.evidence).into_owned();
        self.mark(now, &word, &evidence)?;
        let receipt = self.gate.record_operation(
            now,
            &OperationRecord {
                grant: &self.grant,
                number: self.operations,
                intent: &operation.intent,
                binds: &operation.evidence_binds,
                phase: operation.phase,
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
    ) -> Result<Option<Cleared<Bytes>>, Stop> {
        match self.record(now, operation, decision, digest, None, Some(&denial.message)) {
            Ok(receipt) => {
                let mut reply = Reply::default();
                self.session.refuse(run, &denial, &mut reply);
                Ok(self.own_words_after(reply, Some(receipt)))
            }
            Err(_) => self.refuse_unrecorded(run),
        }
    }

    /// While nothing can be recorded the target hears nothing, not even the abort of a transaction: where one would
    /// be due, the session ends, and with it the transaction.
    fn refuse_unrecorded(&mut self, run: &Bytes) -> Result<Option<Cleared<Bytes>>, Stop> {
        let mut reply = Reply::default();
        self.session.refuse(run, &gate::unrecorded_denial(), &mut reply);
        if reply.to_target.is_empty() {
            Ok(self.own_words(reply))
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
        // What the target was surveyed for came to this.
        self.resurvey = Resurvey::No;
        let run = buf.split_to(len).freeze();
        let intent = Intent {
            title: unclear.title.clone(),
            statement: "".into(),
            // It was not understood, so what is data in it is not known either.
            evidence: format!("({} bytes that were not understood)", run.len()).into(),
            accesses: Vec::new(),
            facts: Facts::new(),
            effect: Effect::Read,
            only_ends: false,
            names: Vec::new(),
            repacks: Repacks::Classes(Vec::new()),
            unclear: Some(unclear.denial.clone()),
        };
        let operation = Operation {
            intent: Arc::new(intent),
            candidates: None,
            binds: Vec::new(),
            evidence_binds: Vec::new(),
            state: Arc::new([("run".to_string(), run_digest(&run).to_string())].into()),
            phase: Phase::Run,
            waits: true,
        };
        let decision = gatehouse_policy::combine([]);
        let digest = gate::digest(&self.grant, &operation);
        self.refuse(now, &operation, &decision, digest, &run, unclear.denial.clone()).map(Next::Out)
    }

    /// Whether an approval lies ready for what nobody waits for.
    fn is_approved(&self, now: Timestamp, operation: &Operation, digest: Digest, decision: &Decision) -> bool {
        if mode(self.grant.target(), operation) != HoldMode::Refuse {
            return false;
        }
        let digest = gate::digest_held(digest, operation, &self.session.stands_for(operation));
        self.gate.desk().has(now, &digest, &decision.hold)
    }

    /// Uses what a person approved, says what came of it when it was asked before, or asks. What the names of the operation stand
    /// for now is known by then.
    fn hold(
        &mut self,
        now: Timestamp,
        operation: Box<Operation>,
        decision: Decision,
        digest: Digest,
        run: Bytes,
    ) -> Result<Next, Stop> {
        let impact = self.impact(&digest);
        let stands_for = self.session.stands_for(&operation);
        let digest = gate::digest_held(digest, &operation, &stands_for);
        let refuses = mode(self.grant.target(), &operation) == HoldMode::Refuse;
        if refuses && let Some(used) = self.gate.desk().take(now, &digest, None, &decision.hold) {
            return self.pass_approved(now, &operation, decision, digest, used, run).map(Next::Out);
        }
        let request = self.request(now, &operation, &decision, digest, impact);
        if refuses && let Some(denial) = self.asked_before(&operation, &decision, &run, &request) {
            return self.refuse(now, &operation, &decision, digest, &run, denial).map(Next::Out);
        }
        self.ask(now, operation, decision, request, stands_for, run)
    }

    /// What a client that does not wait is told where exactly this was denied, or lies open.
    fn asked_before(
        &self,
        operation: &Operation,
        decision: &Decision,
        run: &Bytes,
        request: &PendingRequest,
    ) -> Option<Denial> {
        let (desk, title) = (self.gate.desk(), &operation.intent.title);
        if let Some(denied) = desk.denied(&request.digest) {
            let reason = denied.answer_reason.unwrap_or_default();
            return Some(Denial { request: Some(denied.id), ..disapproved(title, "a person", &reason) });
        }
        let id = desk.lies_open(&request.digest)?;
        // Whoever asks again about what lies there sends no second body, but where a restart lost the first.
        let denial = match self.complete(operation, run, request) {
            Ok(()) => held_denial(decision, &id, title),
            Err(not_kept) => not_kept.denial(title),
        };
        Some(Denial { request: Some(id), ..denial })
    }

    /// Files the request. Its client waits for the answer, or is refused with its id.
    fn ask(
        &mut self,
        now: Timestamp,
        mut operation: Box<Operation>,
        decision: Decision,
        mut request: PendingRequest,
        stands_for: String,
        run: Bytes,
    ) -> Result<Next, Stop> {
        let digest = request.digest;
        let entry = self.request_opened(&operation, &request);
        let expires = request.expires;
        let waiting = match self.let_go(&mut operation, &run) {
            Ok(waiting) => waiting,
            Err(not_kept) => {
                let denial = not_kept.denial(&operation.intent.title);
                return self.refuse(now, &operation, &decision, digest, &run, denial).map(Next::Out);
            }
        };
        if let Some(kept) = &waiting.kept {
            kept::shorten(&mut request, kept);
        }
        let opened = match self.gate.desk().open(now, request, waiting.kept.clone(), entry.into()) {
            Ok(opened) => opened,
            Err(Some(_)) => return self.refuse_unrecorded(&waiting.run).map(Next::Out),
            Err(None) => {
                let denial = too_many_requests();
                return self.refuse(now, &operation, &decision, digest, &waiting.run, denial).map(Next::Out);
            }
        };
        let Some(answer) = opened.answer else {
            let denial = held_denial(&decision, &opened.id, &operation.intent.title);
            return self.refuse(now, &operation, &decision, digest, &waiting.run, denial).map(Next::Out);
        };
        let mut words = BytesMut::new();
        let remark = format!(
            "{} waits for approval by {} as request {}; cancel to withdraw it",
            operation.intent.title,
            decision.hold.who(),
            opened.id
        );
        self.session.remark(&remark, &mut words);
        let receipt = opened.index.map(|index| Receipt::new(index, Durability::Disk));
        // A remark is for the client alone.
        let _ = self.own_words_after(Reply { to_client: words, to_target: BytesMut::new() }, receipt);
        let held = Held {
            request: opened.id,
            waiting,
            operation,
            decision,
            policies: self.judged_by.clone(),
            digest,
            stands_for,
            number: self.operations,
            expires,
            answer,
        };
        Ok(Next::Hold(Box::new(held)))
    }

    /// Has the body of a run lie elsewhere until a person has answered, where its protocol can part it from the rest.
    fn let_go(&self, operation: &mut Operation, run: &Bytes) -> Result<Waiting, NotKept> {
        let whole = || Waiting { run: run.clone(), kept: None };
        let Some(Parted { outline, body }) = self.session.part(run) else { return Ok(whole()) };
        let owner = &self.grant.lease().subject.identity;
        let kept = Kept::take(self.gate.bodies(), owner, operation, &body)?;
        Ok(kept.map_or_else(whole, |kept| Waiting { run: outline, kept: Some(kept) }))
    }

    /// Gives the same request, which lies open, what a restart lost of it: nobody is to decide on what they cannot look at.
    fn complete(&self, operation: &Operation, run: &Bytes, request: &PendingRequest) -> Result<(), NotKept> {
        if !self.gate.desk().lacks_body(&request.digest) {
            return Ok(());
        }
        let (mut operation, mut request) = (operation.clone(), request.clone());
        let Waiting { kept, .. } = self.let_go(&mut operation, run)?;
        if let Some(kept) = &kept {
            kept::shorten(&mut request, kept);
        }
        self.gate.desk().complete(request, kept);
        Ok(())
    }

    /// What waited, as it was: the operation and its run.
    fn restored<'h>(&self, operation: &'h Operation, waiting: &Waiting) -> Result<(Cow<'h, Operation>, Bytes), Denial> {
        let Some(kept) = &waiting.kept else { return Ok((Cow::Borrowed(operation), waiting.run.clone())) };
        let restored = kept.read().and_then(|body| {
            let run = self.session.join(&waiting.run, &body);
            Ok((Operation { binds: kept.binds(body)?, ..operation.clone() }, run))
        });
        match restored {
            Ok((operation, run)) => Ok((Cow::Owned(operation), run)),
            Err(error) => Err(kept::lost(&operation.intent.title, &error)),
        }
    }

    /// What whoever decides should know besides the statement.
    fn impact(&mut self, digest: &Digest) -> Vec<String> {
        let foretold = self.foretold.take().filter(|(of, _)| of == digest);
        let mut lines = foretold.map(|(_, lines)| lines).unwrap_or_default();
        if self.session.is_in_transaction() && !self.transaction.is_empty() {
            let classes = &self.grant.target().classes;
            let told = |before: &Before| in_words(&before.text, &before.binds, classes);
            lines.extend(
                self.transaction.iter().map(|before| format!("before it in its transaction: {}", told(before))),
            );
            if self.untold > 0 {
                lines.push(format!("and {} more before it, which are not listed here", self.untold));
            }
            lines.push("while it waits, what its transaction changed stays locked for others".into());
        }
        lines
    }

    fn request(
        &mut self,
        now: Timestamp,
        operation: &Operation,
        decision: &Decision,
        digest: Digest,
        impact: Vec<String>,
    ) -> PendingRequest {
        let lease = self.grant.lease();
        let target = self.grant.target();
        let mode = mode(target, operation);
        let is_in_transaction = self.session.is_in_transaction() && !self.transaction.is_empty();
        let secs = match mode {
            HoldMode::Wait if is_in_transaction => target.hold_secs_max.min(target.transaction_hold_secs_max),
            HoldMode::Wait => target.hold_secs_max,
            // Nobody waits, so the person may take as long as an approval may wait for its use.
            HoldMode::Refuse => target.hold_secs_max.max(3600),
        };
        let expires =
            now.saturating_add(SignedDuration::from_secs(i64::from(secs))).unwrap_or(now).min(lease.task.expires);
        PendingRequest {
            id: RequestId::from_random(request_number(&digest, self.grant.session().as_str(), self.operations, now)),
            asked: Asked::Operation(HeldOperation {
                session: self.grant.session().clone(),
                task: lease.task.id.clone(),
                task_reason: lease.task.reason.clone(),
                target: target.name.clone(),
                binds: operation.binds.iter().map(shown_bind).collect(),
                facts: gate::facts_record(&operation.intent.facts, &target.classes),
                mode,
                is_exact: true,
                body_bytes: None,
                impact,
            }),
            subject: lease.subject.clone(),
            title: operation.intent.title.clone(),
            statement: operation.intent.statement.to_string(),
            accesses: operation.intent.accesses.iter().map(ToString::to_string).collect(),
            hold: decision.hold.clone(),
            policies: decision.policies.clone(),
            digest,
            opened: now,
            expires,
            state: RequestState::Open,
            approvals: std::collections::BTreeMap::new(),
            answer_reason: None,
            answered_by: None,
        }
    }

    fn request_opened(&self, operation: &Operation, request: &PendingRequest) -> RequestOpened {
        let (target, task) = (self.grant.target(), &self.grant.lease().task);
        let classes = &target.classes;
        RequestOpened {
            request: request.id.to_string(),
            session: self.grant.session().to_string(),
            task: task.id.to_string(),
            identity: request.subject.identity.to_string(),
            on_behalf_of: gate::on_behalf_of(&request.subject),
            target: target.name.to_string(),
            title: request.title.clone(),
            statement: classes.scrub(&operation.intent.evidence).into_owned(),
            binds: operation.evidence_binds.iter().map(|bind| classes.scrub(bind).into_owned()).collect(),
            digest: request.digest.to_string(),
            accesses: operation.intent.accesses.iter().map(gate::access_record).collect(),
            facts: gate::facts_record(&operation.intent.facts, classes),
            groups: request.hold.groups.keys().map(ToString::to_string).collect(),
            quorum: gate::quorum(&request.hold),
            reasons: request.hold.reasons.iter().cloned().collect(),
            policies: request.policies.iter().map(PolicyId::to_string).collect(),
            revision: self.judged_by.revision().to_string(),
            expires: request.expires.to_string(),
            mode: mode(target, operation).as_str().into(),
            impact: match &request.asked {
                Asked::Operation(held) => held.impact.iter().map(|line| classes.scrub(line).into_owned()).collect(),
                Asked::Task(_) => Vec::new(),
            },
        }
    }

    /// The person answered: everything is checked again before the operation goes on.
    pub fn resume(
        &mut self,
        now: Timestamp,
        held: Box<Held>,
        answer: Option<Answer>,
    ) -> Result<Option<Cleared<Bytes>>, Stop> {
        let policies = self.gate.policies();
        let lease = self.grant.lease().clone();
        let now_decided =
            policies.decide_all(&lease.subject, &held.operation.intent.accesses, &held.operation.intent.facts);
        let Held { request, waiting, operation, decision, policies: held_by, digest, stands_for, number, .. } = *held;
        // A refusal is of the decision that held it; what passes was decided anew.
        self.judged_by = held_by;
        let refuse = |passage: &mut Self, state: RequestState, denial: Denial| {
            // Whether or not the end of the request can be recorded, the operation does not pass.
            let _ = passage.gate.desk().end(now, &request, state);
            passage.refuse(now, &operation, &decision, digest, &waiting.run, denial)
        };
        match answer {
            None => refuse(self, RequestState::Expired, hold_expired(&request)),
            Some(Answer::Denied { by, reason }) => {
                refuse(self, RequestState::Denied, disapproved(&operation.intent.title, &by.to_string(), &reason))
            }
            Some(Answer::Approved) => {
                if let Some(shut) = self.gate.shut(&self.grant, now) {
                    return refuse(self, RequestState::Withdrawn, shut);
                }
                // What was approved while there was budget was not approved beyond it.
                if let Some(why) = self.used_up(&operation).filter(|_| !exceeds(&operation.intent)) {
                    let hint = "Ask again to have it decided";
                    let denial = Denial::new(Reason::Policy, "the task's budget was used up meanwhile", why, hint);
                    return refuse(self, RequestState::Withdrawn, denial);
                }
                // What was approved as it was described was not approved as it is described now.
                let is_bound =
                    |more: More| more.binds_to.is_none_or(|(name, digest)| operation.state.get(&name) == Some(&digest));
                if !self.wants_more(&operation).into_iter().all(is_bound) {
                    let (why, hint) =
                        ("what it uses was described otherwise meanwhile", "Ask again to have it decided");
                    let denial = Denial::new(Reason::Policy, "the target changed meanwhile", why, hint);
                    return refuse(self, RequestState::Withdrawn, denial);
                }
                if self.session.stands_for(&operation) != stands_for {
                    let (why, hint) = ("what it names is something else by now", "Ask again to have it decided");
                    let denial = Denial::new(Reason::Policy, "the target changed meanwhile", why, hint);
                    return refuse(self, RequestState::Withdrawn, denial);
                }
                if now_decided.verdict == Verdict::Deny {
                    return refuse(
                        self,
                        RequestState::Withdrawn,
                        gate::policy_denial(&now_decided, &operation.intent.title),
                    );
                }
                let (operation, run) = match self.restored(&operation, &waiting) {
                    Ok(restored) => restored,
                    Err(denial) => return refuse(self, RequestState::Withdrawn, denial),
                };
                let now_digest = gate::digest_held(gate::digest(&self.grant, &operation), &operation, &stands_for);
                let same = number == self.operations && now_digest == digest;
                let needed = &now_decided.hold;
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
    ) -> Result<Option<Cleared<Bytes>>, Stop> {
        let id = used.id.clone();
        match self.record(now, operation, &decision, digest, Some(&id), None) {
            Ok(receipt) => {
                for access in &operation.intent.accesses {
                    if let Some(digest) = operation.state.get(&description_of(&access.resource)) {
                        self.gate.descriptions().accept(now, &access.resource, digest, &id);
                    }
                }
                self.count_operation(operation);
                let outward = self.relay(now, Side::Client, run, Some(receipt));
                // The operation's record names the approval, which ends it as surely as this one.
                let _ = self.gate.ledger().record(now, RequestEnded { request: id.to_string(), cause: "used".into() });
                Ok(outward)
            }
            Err(_) => {
                self.gate.desk().put_back(&used);
                self.refuse_unrecorded(&run)
            }
        }
    }

    /// The client took a held operation back, or went away, or is told why it is not to be.
    pub fn withdraw(
        &mut self,
        now: Timestamp,
        held: Box<Held>,
        told: Option<Denial>,
    ) -> Result<Option<Cleared<Bytes>>, Stop> {
        let _ = self.gate.desk().end(now, &held.request, RequestState::Withdrawn);
        self.judged_by = held.policies.clone();
        let withdrawn = || {
            Denial::new(
                Reason::Withdrawn,
                "canceling statement due to user request",
                format!("request {} was withdrawn before a person answered it", held.request),
                "Ask again to have it decided",
            )
        };
        let denial = told.unwrap_or_else(withdrawn);
        self.refuse(now, &held.operation, &held.decision, held.digest, &held.waiting.run, denial)
    }

    /// Whether the shape at hand is shown as it is.
    fn plan_keeps(&self) -> bool {
        self.planned.last().is_none_or(|planned| planned.plan.is_keep() && planned.shape.role != ShapeRole::Offers)
    }

    /// Shows content by the plan at hand.
    fn content(&mut self, now: Timestamp, shape: &Arc<Shape>, run: Bytes) -> Result<(), Stop> {
        if let Some(planned) = self.planned.last_mut() {
            self.in_the_clear.extend(planned.reveals.drain(..));
        }
        if self.plan_keeps() {
            let nothing_for_target = self.relay(now, Side::Target, run, None);
            debug_assert!(nothing_for_target.is_none(), "content goes to the client");
            return Ok(());
        }
        if let Some(planned) = self.planned.last() {
            let mut out = BytesMut::with_capacity(run.len() + run.len() / 2);
            let classes = &self.grant.target().classes;
            let (policies, subject) = (&planned.policies, &self.grant.lease().subject);
            let permits = |access: &Access| policies.decide(subject, access, &Facts::new()).verdict != Verdict::Deny;
            let told = |resource: &Resource, description: &str| {
                self.gate.descriptions().told(now, resource, description, |text| classes.scrub(text).into_owned())
            };
            let counts = &mut self.masked;
            let mut masking = Masking { plan: &planned.plan, classes, counts, permits: &permits, told: &told };
            self.session.rewrite(shape, &run, &mut masking, &mut out)?;
            if self.masked.has_pseudonyms() {
                let mut given = self.session.texts_are_utf8().then(|| self.grant.account().given());
                self.masked.take_pseudonyms(|class, text, value| {
                    if let Some(given) = &mut given {
                        given.add(&self.grant.target().name, class, text, value);
                    }
                });
            }
            // What is masked in whole shows nothing before its end.
            if !out.is_empty() {
                self.mark_masked(now);
                self.unseen_bytes += out.len();
                self.unseen.push(Unseen::Theirs(out.freeze()));
            }
        }
        Ok(())
    }

    /// Says on the recording which columns of the rows that come next are masked as a whole; what is found in others is not told.
    /// Like what is said of what runs, it takes no room of its own.
    fn mark_masked(&mut self, now: Timestamp) {
        let Some(line) = self.planned.last().and_then(|planned| planned.masked.clone()) else { return };
        // Where there are no turns there are no rows, but fields in any order.
        if self.session.turn().is_some() {
            self.unseen_bytes += line.len();
            self.unseen.push(Unseen::Mark(self.elapsed(now), line));
        }
    }

    /// Brings the mask plan of a shape to the end of what is remembered, and makes it where it is not.
    fn plan(&mut self, shape: &Arc<Shape>) {
        let policies = self.gate.policies();
        let current = |planned: &Planned| {
            Arc::ptr_eq(&planned.policies, &policies) && (Arc::ptr_eq(&planned.shape, shape) || planned.shape == *shape)
        };
        let known = self.planned.iter().rposition(current);
        match known {
            Some(place) if place + 1 == self.planned.len() => {}
            Some(place) => {
                let planned = self.planned.remove(place);
                self.planned.push(planned);
            }
            None => {
                let (plan, reveals) = self.new_plan(shape, &policies);
                if self.planned.len() >= PLANS_MAX {
                    self.planned.remove(0);
                }
                let masked = masked_mark(shape, &plan);
                self.planned.push(Planned { shape: shape.clone(), policies, plan, masked, reveals });
            }
        }
    }

    /// The plan of a shape, and the classes whose values it shows as they are.
    fn new_plan(&mut self, shape: &Shape, policies: &Arc<Policies>) -> (Plan, Vec<Arc<str>>) {
        let subject = &self.grant.lease().subject;
        let revealed = match self.revealed.take() {
            Some((known_by, revealed)) if Arc::ptr_eq(&known_by, policies) => revealed,
            Some(_) | None => BTreeMap::new(),
        };
        let revealed = std::cell::RefCell::new(revealed);
        let may_reveal = |resource: Resource| {
            *revealed.borrow_mut().entry(resource).or_insert_with_key(|resource| {
                let access = Access::new(Action::REVEAL, resource.clone());
                policies.decide(subject, &access, &Facts::new()).verdict == Verdict::Allow
            })
        };
        let (classes, account) = (&self.grant.target().classes, self.grant.account());
        let mut reveals = |column: &Resource| may_reveal(column.clone());
        let mut reveal_class = |class: &ClassName| may_reveal(Resource::root(kind::CLASS, class.as_str()));
        let plan = classes.plan(shape, &mut reveals, &mut reveal_class, &|class| account.limits(class));
        let classes_of = |source: &Resource| {
            let classes = source.within.iter().filter(|parent| parent.kind == kind::CLASS);
            classes.map(|class| class.id.clone()).collect::<Vec<_>>()
        };
        let mut in_the_clear = Vec::new();
        for column in &shape.columns {
            match &column.provenance {
                // Of a document each class is seen by itself.
                Provenance::Copy(source) => {
                    for part in source.by_class() {
                        let classes = classes_of(&part);
                        if !classes.is_empty() && may_reveal(part) {
                            in_the_clear.extend(classes);
                        }
                    }
                }
                Provenance::Derived(sources) => {
                    let parts: Vec<Resource> = sources.iter().flat_map(Resource::by_class).collect();
                    if parts.iter().all(|part| may_reveal(part.clone())) {
                        in_the_clear.extend(parts.iter().flat_map(classes_of));
                    }
                }
                Provenance::Clean | Provenance::Unknown => {}
            }
        }
        let mut revealed = revealed.into_inner();
        // Classes are few; columns may be many, and are asked for again.
        revealed.retain(|resource, _| resource.kind == kind::CLASS);
        self.revealed = Some((policies.clone(), revealed));
        (plan, in_the_clear)
    }

    /// What goes on as it is: to the target at once, to the client when it is on the recording.
    fn relay(&mut self, now: Timestamp, side: Side, run: Bytes, receipt: Option<Receipt>) -> Option<Cleared<Bytes>> {
        if receipt.is_some() {
            self.session.numbered(self.operations.saturating_sub(1));
        }
        let mut out = BytesMut::new();
        let frame = match self.session.pass(side, &run, &mut out) {
            Passed::AsIs => run,
            Passed::Written => out.freeze(),
        };
        match side {
            Side::Client => {
                self.mark_started(now);
                Some(Cleared::new(frame, receipt))
            }
            Side::Target => {
                self.unseen_bytes += frame.len();
                self.unseen.push(Unseen::Theirs(frame));
                None
            }
        }
    }

    /// Says on the recording whose answers come next. It takes no room of its own: what is set aside for the next mark or answer
    /// counts it.
    fn mark_started(&mut self, now: Timestamp) {
        let at = self.elapsed(now);
        let Self { session, unseen, unseen_bytes, .. } = self;
        session.tell_started(&mut |Started { number, turn, is_description }| {
            let word = if is_description { "describe" } else { "run" };
            let line = match number {
                Some(number) => format!("{word} #{number}.{turn}"),
                None => format!("{word} #?.{turn}"),
            };
            *unseen_bytes += line.len();
            unseen.push(Unseen::Mark(at, line));
        });
    }

    /// Whether the client has said that it leaves.
    pub fn client_has_left(&self) -> bool {
        self.session.has_left()
    }

    /// Whether it says so in what was read of it and not taken.
    pub fn client_leaves(&self, buf: &[u8]) -> bool {
        let rest = usize::try_from(self.client_rest.bytes).unwrap_or(usize::MAX);
        buf.get(rest..).is_some_and(|buf| self.session.leaves(buf))
    }

    /// Whether the target may still be at something that it was sent.
    pub fn awaits_answers(&self) -> bool {
        self.session.awaits_answers()
    }

    /// Whether values are looked into by what takes long for each.
    pub fn is_slow(&self) -> bool {
        self.grant.target().classes.recognizes()
    }

    /// Whether what came last is not shown as it is.
    pub fn edits(&self) -> bool {
        !self.plan_keeps()
    }

    /// Whether of what the client asks next nothing would be shown but the whole: values are hidden in it, and they cannot be told
    /// from a part.
    pub fn wants_whole(&mut self) -> bool {
        let Some(shape) = self.session.unparted() else { return false };
        self.plan(&shape);
        !self.plan_keeps()
    }

    /// How many bytes of what was said are kept back until more comes.
    pub fn held_bytes(&self) -> usize {
        self.session.held_bytes()
    }

    /// Whether more of what the target says is only kept, until its end is here.
    pub fn keeps_all(&self) -> bool {
        self.session.keeps_all()
    }

    /// How many bytes wait to be released, with what it takes to keep them.
    pub fn unseen_bytes(&self) -> usize {
        self.unseen_bytes + (self.unseen.len() + self.deferred.len()) * size_of::<Unseen>()
    }

    /// Puts on the recording what the client is about to see, in one piece, and then gives it out. Marks wait for what
    /// they announce, as long as they are few: see [`Passage::record_marks`].
    pub fn release(&mut self, now: Timestamp, show: impl FnMut(Cleared<Bytes>)) -> Result<(), Stop> {
        let only_marks = self.unseen.iter().all(Unseen::is_mark);
        if only_marks && self.unseen_bytes() <= MARKS_BYTES_MAX { Ok(()) } else { self.release_all(now, show) }
    }

    /// Nothing has moved for a while: what is announced may be long in coming, so that marks do not wait for it any longer.
    /// True if there were any, and now there is room again.
    pub fn record_marks(&mut self, now: Timestamp) -> bool {
        if self.unseen.is_empty() || !self.unseen.iter().all(Unseen::is_mark) {
            return false;
        }
        // What cannot be written now is tried again with what follows it.
        self.release_all(now, |_| {}).is_ok() && self.unseen.is_empty()
    }

    fn release_all(&mut self, now: Timestamp, mut show: impl FnMut(Cleared<Bytes>)) -> Result<(), Stop> {
        if let Some(denial) = self.overdrawn() {
            // Nobody saw it, so that neither the recording nor the budget has it.
            self.unseen.retain(Unseen::is_mark);
            self.settled.rows = self.session.rows();
            drop(self.masked.take_shown());
            return Err(Stop { blame: Blame::Client, cause: denial.detail.clone(), denial: Some(denial) });
        }
        let pieces: Vec<Piece<'_>> = self.unseen.iter().map(Unseen::piece).collect();
        let written = self.tape.write(self.elapsed(now), &pieces);
        self.unseen_bytes = 0;
        let unseen = std::mem::take(&mut self.unseen);
        let shows_theirs = unseen.iter().any(|piece| matches!(piece, Unseen::Theirs(_)));
        for piece in unseen {
            match piece {
                Unseen::Mark(..) if written.is_ok() || self.unseen_bytes > MARKS_BYTES_MAX => {}
                Unseen::Mark(at, line) => {
                    self.unseen_bytes += line.len();
                    self.unseen.push(Unseen::Mark(at, line));
                }
                Unseen::Theirs(frame) if written.is_ok() => {
                    self.bytes += frame.len() as u64;
                    show(Cleared::new(frame, None));
                }
                Unseen::Theirs(_) => {}
                Unseen::Own(words, receipt) => {
                    self.bytes += words.len() as u64;
                    show(Cleared::new(words, receipt));
                }
            }
        }
        if let Some(since) = self.waits_since.take_if(|_| shows_theirs) {
            self.waits.0 += 1;
            self.waits.1 += Duration::try_from(now.duration_since(since)).unwrap_or_default();
        }
        self.settle();
        match written {
            Err(error) if shows_theirs => Err(Stop {
                blame: Blame::Gateway,
                cause: format!("the recording cannot be written: {error}"),
                denial: Some(gate::unrecorded_denial()),
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn own_words(&mut self, reply: Reply) -> Option<Cleared<Bytes>> {
        self.own_words_after(reply, None)
    }

    fn own_words_after(&mut self, reply: Reply, receipt: Option<Receipt>) -> Option<Cleared<Bytes>> {
        if !reply.to_client.is_empty() {
            self.unseen_bytes += reply.to_client.len();
            let words = Unseen::Own(reply.to_client.freeze(), receipt);
            // Not in the middle of a frame of the target's.
            if self.target_rest.bytes > 0 { self.deferred.push(words) } else { self.unseen.push(words) }
        }
        (!reply.to_target.is_empty()).then(|| Cleared::new(reply.to_target.freeze(), receipt))
    }

    fn elapsed(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.opened)).unwrap_or_default()
    }

    /// Whether something ran, since this was asked last, after which a survey tells something else.
    pub fn outdates_survey(&mut self) -> bool {
        self.session.outdates_survey()
    }

    /// Newer facts, which somebody else asked for.
    pub fn surveyed(&mut self, facts: SurveyFacts) {
        self.session.surveyed(facts);
    }

    /// Facts that were asked for just now, after [`Next::Survey`].
    pub fn surveyed_now(&mut self, facts: SurveyFacts) {
        if self.resurvey == Resurvey::Asked {
            self.resurvey = Resurvey::Done;
        }
        self.surveyed(facts);
    }

    /// The bytes that ask the target to cancel what this session runs, once that is recorded.
    pub fn cancel(
        &self,
        now: Timestamp,
        protocol: &dyn StreamProtocol,
        key: &CancelKey,
    ) -> Result<Cleared<Bytes>, Unrecorded> {
        self.gate.cancelled(now, self.grant.session())?;
        Ok(Cleared::new(protocol.cancel(key), None))
    }

    /// Adds the last message of a session that is ended from this side, to be released.
    pub fn last_words(&mut self, denial: &Denial) {
        let mut words = BytesMut::new();
        self.session.end(denial, &mut words);
        // The end is for the client alone.
        let _ = self.own_words(Reply { to_client: words, to_target: BytesMut::new() });
    }

    /// Ends the recording and writes the session's last record.
    pub fn close(&mut self, now: Timestamp, cause: &str) -> Result<(), Unrecorded> {
        self.record_marks(now);
        // Without its seal the session is not closed on the record; a restart seals what it finds.
        let seal: TapeSeal = self.tape.seal().map_err(|error| Unrecorded(JournalError::Sink(error)))?;
        let recording = Some(seal);
        let end = SessionEnd {
            cause: cause.into(),
            operations: self.operations,
            waits: self.waits,
            rows: self.session.rows(),
            bytes: self.bytes,
            masked: std::mem::take(&mut self.masked),
            revealed: std::mem::take(&mut self.in_the_clear),
            recording,
        };
        self.gate.close(now, &self.grant, end)
    }
}

impl Unseen {
    fn is_mark(&self) -> bool {
        matches!(self, Self::Mark(..))
    }

    fn piece(&self) -> Piece<'_> {
        match self {
            Self::Mark(at, text) => Piece::Mark(*at, text),
            Self::Theirs(bytes) | Self::Own(bytes, _) => Piece::ToClient(bytes),
        }
    }
}

/// A decision with what its record is made of.
struct Decided {
    decision: Arc<Decision>,
    statement: Arc<str>,
    template: Option<Arc<OperationTemplate>>,
}

/// What happens to an operation that policy holds.
fn mode(target: &Target, operation: &Operation) -> HoldMode {
    if operation.waits { target.on_hold } else { HoldMode::Refuse }
}

/// What a replay says of an operation that goes on: of one that is only prepared nothing comes back but that it is.
fn passing(phase: Phase, verdict: Verdict) -> String {
    match phase {
        Phase::Prepare => "prepare".into(),
        Phase::Run => verdict.to_string(),
    }
}

fn run_digest(run: &Bytes) -> Digest {
    Digest::of(run)
}

/// A request's id needs only to be unlike any other's; it is no secret.
fn request_number(digest: &Digest, session: &str, number: u64, now: Timestamp) -> u64 {
    let mut hash = Sha256::default();
    hash.update(digest.0);
    hash.update(session);
    hash.update(number.to_be_bytes());
    hash.update(now.as_nanosecond().to_be_bytes());
    hash.finish().0.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head))
}

/// Whether an intent wants to go on beyond the task's budget.
fn exceeds(intent: &Intent) -> bool {
    intent.accesses.iter().any(|access| access.action == Action::EXCEED)
}

fn held_denial(decision: &Decision, request: &RequestId, title: &str) -> Denial {
    let reasons: Vec<&str> = decision.hold.reasons.iter().map(String::as_str).collect();
    let policies: Vec<&str> = decision.policies.iter().map(PolicyId::as_str).collect();
    let mut denial = Denial::new(
        Reason::Held,
        format!("{title} needs approval by {}: request {request}", decision.hold.who()),
        gate::cause(&reasons, &policies),
        format!("Ask for exactly the same again once `gatehouse approve {request}` was given; it then passes once"),
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
        "Ask again, and tell an approver",
    );
    denial.request = Some(request.clone());
    denial
}

fn disapproved(title: &str, by: &str, reason: &str) -> Denial {
    Denial::new(
        Reason::Disapproved,
        format!("{title} was refused by {by}"),
        if reason.is_empty() { "no reason was given".to_string() } else { format!("the reason given: {reason}") },
        "Talk to the approver, and ask for something else",
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
