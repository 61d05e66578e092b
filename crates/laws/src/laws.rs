//! The four laws, written once for every protocol of the registry, over recorded sessions.
//!
//! Knows the door and how recorded bytes are fed to it; must not know what the bytes of any protocol mean.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use bytes::{Bytes, BytesMut};
use gatehouse_gate::{
    Account, Bodies, Cleared, Gate, GateLimits, Grant, HoldMode, KeptBody, Ledger, Lockdown, Next, NotKept, Passage,
    Piece, Route, Scope, Stop, Tape, TapeSeal, Target, TargetClasses, TlsMode, Trust,
};
use gatehouse_journal::{Frontier, Journal, Sink, SyncTarget};
use gatehouse_mask::{ClassRule, Classes, PseudonymKey};
use gatehouse_model::{
    AgentName, Budget, Denial, Digest, Identity, Intent, Lease, Origin, Secret, SessionId, Subject, TargetName, Task,
    TaskId,
};
use gatehouse_policy::{Policies, PolicySource};
use gatehouse_protocol::{CancelKey, Carriage, Opening, Protocol, Side, SurveyFacts, TargetReady};
use jiff::Timestamp;

use crate::recorded::{Recording, Recordings};

/// A session may be opened; nothing is permitted in it.
pub const CONNECT_ONLY: &str = "permit (principal, action == Action::\"connect\", resource);";
/// Everything is permitted, and every class is seen unmasked.
pub const EVERYTHING: &str = "permit (principal, action, resource);";
/// Everything is permitted, and no class is seen unmasked.
pub const NOTHING_REVEALED: &str =
    "permit (principal, action, resource);\nforbid (principal, action == Action::\"reveal\", resource);";

/// As the configuration has it by default.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The laws need no clock: no time passes while they hold.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// The laws, for one protocol.
pub struct Laws {
    /// What was recorded of it.
    pub recordings: Recordings,
    denying: Harness,
    allowing: Harness,
    unrecorded: Harness,
    shut: Harness,
    masking: Harness,
}

impl Laws {
    /// Prepares them.
    pub fn of(protocol: &Arc<dyn Protocol>) -> Result<Self> {
        let recordings = Recordings::load(protocol)?;
        let harness = |policies: &str, classes| Harness::new(protocol, &recordings.facts, policies, classes);
        Ok(Self {
            denying: harness(CONNECT_ONLY, Vec::new())?,
            allowing: harness(EVERYTHING, Vec::new())?,
            unrecorded: harness(EVERYTHING, Vec::new())?.with_failing_journal(),
            shut: harness(EVERYTHING, Vec::new())?.with_lockdown(),
            masking: harness(NOTHING_REVEALED, Classes::builtin())?,
            recordings,
        })
    }

    /// Without a policy there is no session.
    pub fn door_is_shut(&self) -> Result<()> {
        let without = Harness::new(&self.denying.protocol, &self.recordings.facts, "", Vec::new())?;
        ensure!(without.admit()?.is_err(), "a session was admitted although no policy permits it");
        Ok(())
    }

    /// Law 1: where nothing is permitted, the target hears nothing that asks for anything.
    pub fn nothing_permitted_nothing_heard(&self, recording: &Recording, chunking: &Chunking) -> Result<()> {
        let played = self.denying.play(recording, Voices::Client, chunking)?;
        self.target_heard_nothing(&played)
    }

    /// Law 2: where everything is permitted and nothing classified, both sides hear what was said.
    pub fn everything_permitted_nothing_changed(&self, recording: &Recording, chunking: &Chunking) -> Result<()> {
        let played = self.allowing.play(recording, Voices::Both, chunking)?;
        // First what was heard: where it differs tells more than that the session stopped.
        same("to the client", &played.to_client, &recording.said_by(Side::Target))?;
        self.target_heard_all(&played, &recording.said_by(Side::Client))?;
        ensure!(played.stopped.is_none(), "the session was stopped: {}", played.stopped.unwrap_or_default());
        Ok(())
    }

    /// Law 3: what cannot be recorded does not pass, and the client is told.
    pub fn nothing_recorded_nothing_heard(&self, recording: &Recording, chunking: &Chunking) -> Result<()> {
        let played = self.unrecorded.play(recording, Voices::Client, chunking)?;
        self.target_heard_nothing(&played)?;
        ensure!(!played.to_client.is_empty(), "the client was told nothing");
        Ok(())
    }

    /// What a person has shut while the session was open does not pass, whatever policy permits, and the client is told.
    pub fn shut_nothing_heard(&self, recording: &Recording, chunking: &Chunking) -> Result<()> {
        let played = self.shut.play(recording, Voices::Client, chunking)?;
        self.target_heard_nothing(&played)?;
        let told = String::from_utf8_lossy(&played.to_client).contains("lockdown");
        ensure!(told, "the client was not told of the lockdown");
        Ok(())
    }

    /// Law 4: however the bytes arrive, the same comes out, on the tape too.
    pub fn chunks_change_nothing(&self, recording: &Recording, chunking: &Chunking) -> Result<()> {
        let whole = self.masking.play(recording, Voices::Both, &Chunking::whole())?;
        let parts = self.masking.play(recording, Voices::Both, chunking)?;
        same("to the client", &parts.to_client, &whole.to_client)?;
        same("to the target", &joined(&parts.to_target), &joined(&whole.to_target))?;
        same("on the tape", &parts.taped, &parts.to_client)?;
        ensure!(parts.stopped == whole.stopped, "stopped by {:?}, not by {:?}", parts.stopped, whole.stopped);
        ensure!(whole.stopped.is_none(), "the session was stopped: {}", whole.stopped.unwrap_or_default());
        Ok(())
    }

    fn target_heard_nothing(&self, played: &Played) -> Result<()> {
        for frame in &played.to_target {
            ensure!(self.recordings.heard.contains(frame), "the target heard \"{}\"", frame.escape_ascii());
        }
        Ok(())
    }

    /// What the client said, in order, and nothing else but what the protocol may add around a frame.
    fn target_heard_all(&self, played: &Played, said: &[u8]) -> Result<()> {
        // How far in what was said the frames so far can reach: an added message may look like one that was said.
        let mut places = BTreeSet::from([0]);
        for frame in &played.to_target {
            let mut next = BTreeSet::new();
            for &place in &places {
                let rest = said.get(place..).unwrap_or_default();
                let readings = self.readings(frame).into_iter().filter(|reading| rest.starts_with(reading));
                next.extend(readings.map(|reading| place + reading.len()));
            }
            let place = places.last().copied().unwrap_or_default();
            ensure!(
                !next.is_empty(),
                "the target heard \"{}\" where the client said \"{}\"",
                frame.escape_ascii(),
                shown(said, place)
            );
            places = next;
        }
        let place = places.last().copied().unwrap_or_default();
        ensure!(places.contains(&said.len()), "the target never heard \"{}\"", shown(said, place));
        Ok(())
    }

    /// The frame as it is, and without what may have been added before or after.
    fn readings<'f>(&self, frame: &'f [u8]) -> Vec<&'f [u8]> {
        let added = self.recordings.added.iter();
        let without = added.flat_map(|added| [frame.strip_prefix(&**added), frame.strip_suffix(&**added)]);
        iter::once(frame).chain(without.flatten()).collect()
    }
}

/// How long the pieces are in which bytes arrive.
#[derive(Debug, Clone)]
pub struct Chunking(Vec<usize>);

impl Chunking {
    /// All that was said until the other side spoke arrives at once.
    pub fn whole() -> Self {
        Self(Vec::new())
    }

    /// Pieces of these lengths, from the first again after the last.
    pub fn of(lengths: impl IntoIterator<Item = usize>) -> Self {
        Self(lengths.into_iter().map(|length| length.max(1)).collect())
    }

    fn lengths(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied().cycle().chain(iter::repeat(usize::MAX))
    }
}

/// Who is heard of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voices {
    /// Both sides.
    Both,
    /// The client alone, for the recorded answers are to statements that do not pass.
    Client,
}

/// What came of a session.
#[derive(Debug, Default)]
pub struct Played {
    /// What the target heard, frame by frame as the gate cleared it.
    pub to_target: Vec<Bytes>,
    /// What the client heard.
    pub to_client: BytesMut,
    /// What the recording shows.
    pub taped: Vec<u8>,
    /// Why the session was stopped before its end.
    pub stopped: Option<String>,
}

/// A real gate before no target at all.
pub struct Harness {
    protocol: Arc<dyn Protocol>,
    facts: SurveyFacts,
    gate: Arc<Gate>,
    target: Arc<Target>,
    disk_is_full: Arc<AtomicBool>,
    journal_fails: bool,
    is_shut: bool,
}

impl Harness {
    /// A gate with these policies before a target with these classes.
    pub fn new(
        protocol: &Arc<dyn Protocol>,
        facts: &SurveyFacts,
        policies: &str,
        classes: Vec<ClassRule>,
    ) -> Result<Self> {
        let source = PolicySource { name: "laws.cedar".into(), text: policies.into() };
        let policies = Policies::load(&[source], &gatehouse_registry::schemas()).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow!("the policies do not load: {}", faults.join("; "))
        })?;
        let classes = Classes::new(classes, BTreeMap::new(), PseudonymKey::new([7; 32]), None)?;
        let disk_is_full = Arc::new(AtomicBool::new(false));
        let disk: Box<dyn Sink> = Box::new(Disk { is_full: disk_is_full.clone() });
        let ledger = Ledger::new(Journal::new(disk, Frontier::new()), Arc::new(|_: u64| {}));
        let limits = GateLimits { approval_secs_max: 60, open_requests_max: 1, every_record_to_disk: false };
        Ok(Self {
            protocol: protocol.clone(),
            facts: facts.clone(),
            gate: Arc::new(Gate::new(Arc::new(policies), ledger, Arc::new(NoBodies), limits)),
            target: Arc::new(target(&**protocol, facts, classes)?),
            disk_is_full,
            journal_fails: false,
            is_shut: false,
        })
    }

    /// The journal fails as soon as a session is open.
    #[must_use]
    pub fn with_failing_journal(mut self) -> Self {
        self.journal_fails = true;
        self
    }

    /// Everything is shut as soon as a session is open.
    #[must_use]
    pub fn with_lockdown(mut self) -> Self {
        self.is_shut = true;
        self
    }

    /// Asks the gate for a session. The inner error is its refusal.
    fn admit(&self) -> Result<Result<Grant, Denial>> {
        self.disk_is_full.store(false, Ordering::Release);
        self.gate.lockdowns().lift(NOW, &Scope::All, "the laws")?;
        let session = SessionId::from_random(1);
        let lease = lease(&self.target.name)?;
        let wishes = match self.protocol.clone().carriage() {
            Carriage::Stream(protocol) => protocol.wishes(&self.target.name, &[]),
            Carriage::Exchanges(_) => Ok(Intent::nothing()),
        };
        let wishes = wishes.map_err(|denial| anyhow!(denial.detail))?;
        Ok(self.gate.admit(NOW, session, lease, self.target.clone(), Arc::default(), "127.0.0.1:1", &wishes))
    }

    /// Feeds a recording to a session and collects what may be written.
    ///
    /// # Errors
    /// When the session does what no session may: it stands still, goes round in circles or holds an operation.
    pub fn play(&self, recording: &Recording, voices: Voices, chunking: &Chunking) -> Result<Played> {
        let mut stage = self.open()?;
        let mut lengths = chunking.lengths();
        for spoken in &recording.spoken {
            if spoken.side == Side::Target && voices == Voices::Client {
                continue;
            }
            let mut rest = spoken.bytes.clone();
            while !rest.is_empty() {
                let length = lengths.next().unwrap_or(usize::MAX).min(rest.len());
                stage.hear(spoken.side, &rest.split_to(length))?;
            }
        }
        stage.end()
    }

    fn open(&self) -> Result<Stage<'_>> {
        let grant = self.admit()?.map_err(|denial| anyhow!("the session was not admitted: {}", denial.detail))?;
        let session = self.protocol.session(Opening {
            target: self.target.name.clone(),
            facts: self.facts.clone(),
            classifier: self.target.classes.clone(),
            ready: TargetReady { parameters: Vec::new(), cancel: CancelKey(Bytes::new()) },
            parameters: Vec::new(),
            shows_order: true,
            secrets: Vec::new(),
            bond: Secret::new(*b"this task at this target"),
            frame_bytes_max: FRAME_BYTES_MAX,
        });
        let tape = MemoryTape::default();
        let taped = tape.0.clone();
        let passage = Passage::new(self.gate.clone(), Arc::new(grant), session, Box::new(tape), NOW);
        self.disk_is_full.store(self.journal_fails, Ordering::Release);
        if self.is_shut {
            let (by, reason) = ("the laws".into(), "a law".into());
            self.gate.lockdowns().begin(Lockdown { scope: Scope::All, by, reason, since: NOW })?;
        }
        Ok(Stage {
            harness: self,
            passage,
            client: Inlet::default(),
            target: Inlet::default(),
            was_surveyed: false,
            taped,
            played: Played::default(),
        })
    }
}

/// One session being played.
struct Stage<'h> {
    harness: &'h Harness,
    passage: Passage,
    client: Inlet,
    target: Inlet,
    /// Facts were given since something last moved.
    was_surveyed: bool,
    taped: Arc<Mutex<Vec<u8>>>,
    played: Played,
}

/// What one side said and the session has not taken.
#[derive(Default)]
struct Inlet {
    buf: BytesMut,
    needs: usize,
}

impl Stage<'_> {
    fn hear(&mut self, side: Side, bytes: &[u8]) -> Result<()> {
        match side {
            Side::Client => self.client.buf.extend_from_slice(bytes),
            Side::Target => self.target.buf.extend_from_slice(bytes),
        }
        // The client goes first: a target answers only what it heard, however early its answer was recorded.
        while self.step(Side::Client)? || self.step(Side::Target)? {}
        Ok(())
    }

    /// True if something moved. Whatever moves takes bytes, so that this ends.
    fn step(&mut self, side: Side) -> Result<bool> {
        let inlet = match side {
            Side::Client => &mut self.client,
            Side::Target => &mut self.target,
        };
        let before = inlet.buf.len();
        if self.played.stopped.is_some() || before < inlet.needs.max(1) {
            return Ok(false);
        }
        match self.passage.advance(NOW, side, &mut inlet.buf) {
            Ok(Next::Out(frame)) => {
                ensure!(inlet.buf.len() < before, "something is written for {side:?}, and nothing was taken");
                inlet.needs = 1;
                self.was_surveyed = false;
                self.collect(frame);
                match self.release() {
                    Ok(()) => Ok(true),
                    Err(stop) => {
                        self.stop(stop);
                        Ok(false)
                    }
                }
            }
            Ok(Next::Read { at_least }) => {
                ensure!(at_least > before, "{at_least} bytes of {side:?} are asked for, and {before} are there");
                inlet.needs = at_least;
                Ok(false)
            }
            Ok(Next::Wait) => Ok(false),
            Ok(Next::Survey) => {
                ensure!(!self.was_surveyed, "the survey is asked for again although nothing moved");
                self.was_surveyed = true;
                self.passage.surveyed(self.harness.facts.clone());
                Ok(true)
            }
            Ok(Next::Hold(_) | Next::Foretell(_)) => bail!("an operation is held, and no policy holds any"),
            Err(stop) => {
                self.stop(stop);
                Ok(false)
            }
        }
    }

    fn stop(&mut self, stop: Stop) {
        if let Some(denial) = &stop.denial {
            self.passage.last_words(denial);
        }
        // Nothing of the target's is among last words, so they are shown whatever becomes of the recording.
        let _ = self.release();
        self.played.stopped = Some(stop.cause);
    }

    fn release(&mut self) -> Result<(), Stop> {
        let heard = &mut self.played.to_client;
        self.passage.release(NOW, |frame| heard.extend_from_slice(&frame.into_frame()))
    }

    fn collect(&mut self, to_target: Option<Cleared<Bytes>>) {
        let frame = to_target.map(Cleared::into_frame).unwrap_or_default();
        if !frame.is_empty() {
            self.played.to_target.push(frame);
        }
    }

    fn end(mut self) -> Result<Played> {
        let closed = self.passage.close(NOW, "the recording ended");
        ensure!(
            closed.is_err() == self.harness.journal_fails,
            "the session's last record must be written exactly where the journal can be"
        );
        self.played.taped = std::mem::take(&mut *self.taped.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(self.played)
    }
}

/// A journal's disk, which may be full. It keeps nothing, so that a harness can play for hours.
struct Disk {
    is_full: Arc<AtomicBool>,
}

impl Sink for Disk {
    fn append(&mut self, _line: &[u8]) -> io::Result<()> {
        if self.is_full.load(Ordering::Acquire) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync_target(&self) -> SyncTarget {
        SyncTarget::memory()
    }
}

/// Where bodies of what is held would lie: no policy of the laws holds anything.
struct NoBodies;

impl Bodies for NoBodies {
    fn keep(&self, _owner: &Identity, _body: &[u8]) -> Result<Box<dyn KeptBody>, NotKept> {
        Err(NotKept::Failed(io::ErrorKind::Unsupported.into()))
    }
}

/// What the client saw.
#[derive(Default)]
struct MemoryTape(Arc<Mutex<Vec<u8>>>);

impl Tape for MemoryTape {
    fn write(&mut self, _at: Duration, pieces: &[Piece<'_>]) -> io::Result<()> {
        let mut taped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in pieces {
            match piece {
                Piece::ToClient(bytes) => taped.extend_from_slice(bytes),
                Piece::Mark(..) => {}
            }
        }
        Ok(())
    }

    fn reserve(&mut self, _bytes: usize) -> io::Result<()> {
        Ok(())
    }

    fn seal(&mut self) -> io::Result<TapeSeal> {
        Ok(TapeSeal { file: "memory".into(), bytes: 0, digest: Digest([0; 32]), cut: false })
    }
}

fn target(protocol: &dyn Protocol, facts: &SurveyFacts, classes: Classes) -> Result<Target> {
    Ok(Target {
        name: TargetName::new("shop")?,
        protocol: protocol.name().into(),
        route: Route {
            host: "127.0.0.1".into(),
            port: 1,
            account: Account::Named("gatehouse".into()),
            database: "shop".into(),
            tls: TlsMode::Disable,
            trust: Trust::System,
            identity: None,
        },
        on_hold: HoldMode::Refuse,
        hold_secs_max: 60,
        transaction_hold_secs_max: 60,
        survey_secs_max: 60,
        shows_order: false,
        classes: Arc::new(TargetClasses(classes)),
        facts: facts.clone(),
    })
}

fn lease(target: &TargetName) -> Result<Lease> {
    let identity = Identity::Agent(AgentName::new("claude")?);
    Ok(Lease {
        task: Task {
            id: TaskId::from_random(1),
            identity: identity.clone(),
            on_behalf_of: None,
            targets: BTreeSet::from([target.clone()]),
            reason: "the laws".into(),
            budget: Budget::default(),
            origin: Origin::default(),
            started: NOW,
            expires: Timestamp::MAX,
            ended: None,
        },
        subject: Subject { identity, groups: BTreeSet::new(), on_behalf_of: None },
    })
}

fn joined(frames: &[Bytes]) -> Vec<u8> {
    frames.iter().flatten().copied().collect()
}

fn same(what: &str, got: &[u8], expected: &[u8]) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    let place = got.iter().zip(expected).take_while(|(got, expected)| got == expected).count();
    bail!("{what} differs at byte {place}: \"{}\" where \"{}\" is due", shown(got, place), shown(expected, place))
}

/// What stands at a place, with a little before it.
fn shown(bytes: &[u8], place: usize) -> String {
    let around = bytes.iter().skip(place.saturating_sub(16)).take(160);
    around.flat_map(|byte| byte.escape_ascii()).map(char::from).collect()
}
