//! Carries one session: reads both sides, asks the gate, writes what it cleared, until one side ends it.
//!
//! One task serves both directions, so that nothing is locked and a slow reader slows its own session only.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gatehouse_gate::{Answer, Cleared, Grant, Held, Next, Passage, Stop};
use gatehouse_model::{Blame, Denial, Operation, Reason};
use gatehouse_protocol::{Side, StreamProtocol, SurveyFacts};
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use crate::aside::{self, HEAVY_BYTES_MIN, Place};
use crate::dial::{self, Reached, WireOutlet};
use crate::listener::Engine;
use crate::login::Identified;
use crate::roster::{Seated, Signal};
use crate::surveyor;

/// How long a session must say nothing before its buffers are given back.
const REST: Duration = Duration::from_secs(1);
/// How long last words may take to reach a client.
const LAST_WORDS_SECS_MAX: u64 = 5;
/// How much more is read of a client whose session ends, to see whether it has left, in bytes.
const FAREWELL_BYTES_MAX: usize = 64 * 1024;

/// Everything that a session needs beside its client.
pub(crate) struct Carried {
    pub(crate) protocol: Arc<dyn StreamProtocol>,
    pub(crate) passage: Passage,
    pub(crate) reached: Reached,
    pub(crate) facts: SurveyFacts,
    pub(crate) opened: Timestamp,
}

/// One side of the session.
struct Peer {
    outlet: WireOutlet,
    /// What was read and not yet taken.
    buf: BytesMut,
    /// The length that the buffer must reach before it is looked at again.
    needs: usize,
    /// It will say nothing more.
    ended: bool,
}

impl Peer {
    fn new(outlet: WireOutlet, buf: BytesMut) -> Self {
        Self { outlet, buf, needs: 1, ended: false }
    }

    /// What was read may hold something that can be taken.
    fn has_news(&self) -> bool {
        self.buf.len() >= self.needs
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.outlet.poll_read(cx, &mut self.buf, self.needs))?;
        self.ended = read == 0;
        Poll::Ready(Ok(()))
    }
}

struct Carrying {
    engine: Arc<Engine>,
    protocol: Arc<dyn StreamProtocol>,
    passage: Passage,
    facts: SurveyFacts,
    client: Peer,
    target: Peer,
    /// The client's side rests until the target has spoken.
    waits_for_target: bool,
    wants_survey: bool,
    /// What a person must decide, and what it would do is not foretold yet.
    to_foretell: Option<Box<Operation>>,
    /// The client ended, and the target was told.
    said_goodbye: bool,
    held: Option<Box<Held>>,
    seat: Seated,
    target_key: gatehouse_protocol::CancelKey,
    alarm: Pin<Box<Sleep>>,
    alarm_at: Timestamp,
    rest: Pin<Box<Sleep>>,
    activity: Activity,
}

/// Whether a session rests, so that its buffers can be given back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// It moved since the clock was last looked at.
    Moved,
    /// It has not moved since; if that stays so, its buffers go.
    Watched,
    /// It has no buffers, and no clock runs.
    Rests,
}

/// What happened.
enum Event {
    Moved(io::Result<()>),
    Answered(Option<Answer>),
    Signal(Signal),
}

/// Why a session is not carried on for the moment.
enum Pause {
    Ended(End),
    /// What comes next takes long, and has a place aside of what must not wait for it.
    Heavy(Place),
}

/// Why a session ends.
enum End {
    Client,
    Target,
    Lost(io::Error),
    /// The work under its task is done.
    Done(Stop),
    Stopped(Stop),
}

/// How much a client hears of an end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Listens,
    /// It says nothing more. Whether it still listens, nobody can tell.
    Silent,
    /// It said that it leaves, or its connection is broken.
    Gone,
}

pub(crate) async fn carry(engine: &Arc<Engine>, client: Identified, carried: Carried) {
    let Carried { protocol, passage, reached, facts, opened } = carried;
    let Identified { mut outlet, read, mut login, .. } = client;
    let cancel = login.cancel_key(engine.house.entropy(), &reached.ready);
    let seat = engine.roster.seat(passage.grant(), opened, cancel.clone());
    let now = engine.house.now();
    let shut = engine.over(passage.grant());
    if shut.is_none() {
        let mut words = BytesMut::new();
        login.accept(&reached.ready, &cancel, &mut words);
        outlet.push(engine.gate.greet(words.freeze()));
    }
    let alarm_at = passage.grant().lease().task.expires;
    let carrying = Carrying {
        engine: engine.clone(),
        protocol,
        passage,
        facts,
        client: Peer::new(outlet, read),
        target: Peer::new(reached.outlet, reached.read),
        waits_for_target: false,
        wants_survey: false,
        to_foretell: None,
        said_goodbye: false,
        held: None,
        seat,
        target_key: reached.ready.cancel,
        alarm: Box::pin(tokio::time::sleep_until(instant(now, alarm_at))),
        alarm_at,
        rest: Box::pin(tokio::time::sleep(REST)),
        activity: Activity::Watched,
    };
    let mut carrying = Box::new(carrying);
    if let Some(denial) = shut {
        return Box::pin(carrying.end(End::Stopped(Stop::by_gateway(denial)))).await;
    }
    let end = loop {
        match carrying.run().await {
            Pause::Ended(end) => break end,
            Pause::Heavy(place) => {
                let work = move || {
                    let outcome = carrying.progress(true);
                    (carrying, outcome)
                };
                let Some((carried, outcome)) = aside::work(place, work).await else { return };
                carrying = carried;
                if let Err(stop) = outcome {
                    break End::Stopped(stop);
                }
            }
        }
    };
    Box::pin(carrying.end(end)).await;
}

impl Carrying {
    async fn run(&mut self) -> Pause {
        loop {
            if self.is_heavy() {
                let engine = self.engine.clone();
                return match self.meanwhile(engine.aside.place()).await {
                    Ok(place) => Pause::Heavy(place),
                    Err(end) => Pause::Ended(end),
                };
            }
            if let Some(end) = self.step().await {
                return Pause::Ended(end);
            }
        }
    }

    /// A frame that was waited for in whole and is long takes long to look at; so do values that a model looks into.
    fn is_heavy(&self) -> bool {
        self.has_heavy_answer() && self.client_has_room()
            || self.client.needs >= HEAVY_BYTES_MIN && self.takes_from_client()
    }

    fn has_heavy_answer(&self) -> bool {
        let is_slow = self.passage.is_slow() && self.passage.edits();
        (is_slow || self.target.needs >= HEAVY_BYTES_MIN) && self.target.has_news()
    }

    /// Takes all that is there, and waits for what comes next.
    async fn step(&mut self) -> Option<End> {
        if let Err(stop) = self.progress(false) {
            return Some(End::Stopped(stop));
        }
        // It may have begun in the middle of what was there, and nobody else would say so.
        if self.is_heavy() {
            return None;
        }
        if self.wants_survey {
            return self.survey().await.err();
        }
        if let Some(operation) = self.to_foretell.take() {
            return self.foretell(&operation).await.err();
        }
        if self.target.ended && !self.target.has_news() {
            // Which of the two closed connections is seen first is chance.
            let client_left = self.said_goodbye || self.passage.client_has_left();
            return Some(if client_left { End::Client } else { End::Target });
        }
        if self.client_is_done() {
            if self.held.is_some() {
                return Some(End::Client);
            }
            // What it asked for is answered all the same.
            self.said_goodbye = true;
            // A target that takes nothing more is given up when the session ends.
            let within = Duration::from_secs(LAST_WORDS_SECS_MAX);
            let _ = tokio::time::timeout(within, self.target.outlet.shut()).await;
        }
        let event = poll_fn(|cx| self.poll_event(cx)).await;
        if self.activity == Activity::Rests {
            self.rest.as_mut().reset(Instant::now() + REST);
        }
        self.activity = Activity::Moved;
        let outcome = match event {
            Event::Moved(Ok(())) => Ok(()),
            Event::Moved(Err(error)) => return Some(End::Lost(error)),
            Event::Answered(answer) => {
                // What it names may have been made anew while it waited.
                if matches!(answer, Some(Answer::Approved))
                    && let Err(end) = self.survey().await
                {
                    return Some(end);
                }
                self.answered(answer)
            }
            Event::Signal(Signal::Cancel(done)) => self.cancel(done),
            Event::Signal(Signal::End(denial)) => Err(Stop::by_gateway(*denial)),
            Event::Signal(Signal::Done(denial)) => return Some(End::Done(Stop::by_gateway(*denial))),
        };
        outcome.err().map(End::Stopped)
    }

    /// The client ended, and all that it said has been passed on, as far as it can be.
    fn client_is_done(&self) -> bool {
        let waits = self.waits_for_target || self.client.has_news();
        self.client.ended && !self.said_goodbye && (self.held.is_some() || !waits && self.target.outlet.is_empty())
    }

    /// Takes all from the buffers that can be taken now; what takes long only where it keeps nobody, and not all of it at once.
    fn progress(&mut self, is_aside: bool) -> Result<(), Stop> {
        if !self.client.has_news() && !self.target.has_news() && self.passage.unseen_bytes() == 0 {
            return Ok(());
        }
        let now = self.engine.house.now();
        loop {
            let taken = self.take_from_target(now, is_aside).and_then(|()| {
                self.renew_facts();
                self.take_from_client(now)
            });
            // Also before the end of the session the client sees what was said until then.
            let shown = self.release(now);
            taken.and(shown)?;
            // What was recorded has made room, and nobody else would say so.
            if is_aside || !self.takes_from_client() {
                return Ok(());
            }
        }
    }

    fn take_from_target(&mut self, now: Timestamp, is_aside: bool) -> Result<(), Stop> {
        let before = self.target.buf.len();
        // Between two pieces of work it is heard what ends it, and others have their turn.
        let most = if is_aside { aside::most(self.passage.is_slow()) } else { usize::MAX };
        while before - self.target.buf.len() < most
            && self.target.has_news()
            && self.client_has_room()
            && (is_aside || !self.has_heavy_answer())
        {
            let next = self.passage.advance(now, Side::Target, &mut self.target.buf)?;
            self.waits_for_target = false;
            match next {
                Next::Out(frame) => {
                    self.target.needs = 1;
                    self.push(frame);
                }
                Next::Read { at_least } => self.target.needs = at_least,
                Next::Wait | Next::Survey | Next::Foretell(_) | Next::Hold(_) => break,
            }
        }
        if self.passage.outdates_survey() {
            self.engine.surveyor.outdated(self.passage.grant());
        }
        Ok(())
    }

    fn take_from_client(&mut self, now: Timestamp) -> Result<(), Stop> {
        while self.takes_from_client() {
            match self.passage.advance(now, Side::Client, &mut self.client.buf)? {
                Next::Out(frame) => {
                    self.client.needs = 1;
                    self.push(frame);
                }
                Next::Read { at_least } => self.client.needs = at_least,
                Next::Wait => self.waits_for_target = true,
                Next::Survey => self.wants_survey = true,
                Next::Foretell(operation) => self.to_foretell = Some(operation),
                Next::Hold(held) => {
                    self.client.needs = 1;
                    tracing::info!(request = %held.request(), session = %self.passage.grant().session(), "an operation waits for approval");
                    self.held = Some(held);
                }
            }
        }
        Ok(())
    }

    /// What waits for the client is within bounds.
    fn client_has_room(&self) -> bool {
        self.client.outlet.len() + self.passage.unseen_bytes() < self.engine.limits.outlet_bytes_max
    }

    /// What is answered here goes to the client, who must take it before it may ask for more.
    fn takes_from_client(&self) -> bool {
        let target_has_room = self.target.outlet.len() < self.engine.limits.outlet_bytes_max;
        self.client_may_go_on() && target_has_room && self.client_has_room()
    }

    fn client_may_go_on(&self) -> bool {
        let rests = self.waits_for_target || self.wants_survey || self.to_foretell.is_some() || self.held.is_some();
        !rests && self.client.has_news()
    }

    fn push(&mut self, to_target: Option<Cleared<Bytes>>) {
        if let Some(frame) = to_target {
            self.target.outlet.push(frame);
        }
    }

    /// Gives the client what is on the recording.
    fn release(&mut self, now: Timestamp) -> Result<(), Stop> {
        let outlet = &mut self.client.outlet;
        self.passage.release(now, |frame| outlet.push(frame))
    }

    /// Facts that grew old are asked for again before the next statement is looked at; newer ones of other sessions
    /// are taken over.
    fn renew_facts(&mut self) {
        if !self.client.has_news() || self.held.is_some() {
            return;
        }
        match self.engine.surveyor.fresh(self.passage.grant()) {
            Some(newest) if surveyor::same(&newest, &self.facts) => {}
            Some(newest) => {
                self.facts = newest.clone();
                self.passage.surveyed(newest);
            }
            None => self.wants_survey = true,
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(signal) = self.seat.signals.poll_recv(cx) {
            return Poll::Ready(Event::Signal(signal.unwrap_or_else(|| Signal::End(Box::new(ended())))));
        }
        // What was read and not taken may wait for the room that a write makes. Where there is none, nothing comes of it,
        // and reading goes on.
        let goes_on = self.client.has_news() || self.target.has_news() || self.client.ended;
        for peer in [&mut self.client, &mut self.target] {
            if !peer.outlet.is_empty()
                && let Poll::Ready(moved) = peer.outlet.poll_write(cx, &self.engine.disk)
                && (goes_on || moved.is_err())
            {
                return Poll::Ready(Event::Moved(moved));
            }
        }
        if let Some(held) = &mut self.held
            && let Poll::Ready(answer) = held.poll_answer(cx)
        {
            return Poll::Ready(Event::Answered(answer));
        }
        if let Poll::Ready(moved) = self.poll_reads(cx) {
            return Poll::Ready(Event::Moved(moved));
        }
        if self.poll_rest(cx) {
            return Poll::Ready(Event::Moved(Ok(())));
        }
        self.poll_alarm(cx)
    }

    /// Gives the buffers back when nothing moved for a while, and puts on the recording what is waited for; true if that
    /// made room. The clock is looked at now and then, not set anew for every statement.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> bool {
        while self.activity != Activity::Rests && self.rest.as_mut().poll(cx).is_ready() {
            self.activity = match self.activity {
                Activity::Moved => {
                    self.rest.as_mut().reset(Instant::now() + REST);
                    Activity::Watched
                }
                Activity::Watched | Activity::Rests => {
                    for peer in [&mut self.client, &mut self.target] {
                        if peer.buf.is_empty() {
                            peer.buf = BytesMut::new();
                        }
                    }
                    if self.passage.record_marks(self.engine.house.now()) {
                        return true;
                    }
                    Activity::Rests
                }
            };
        }
        false
    }

    fn poll_reads(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let limits = &self.engine.limits;
        let target_wanted =
            !self.target.ended && !self.target.has_news() && self.client.outlet.len() < limits.outlet_bytes_max;
        if target_wanted && let Poll::Ready(moved) = self.target.poll_read(cx) {
            return Poll::Ready(moved);
        }
        // While its operation is held or its turn has not come, the client is read so that its end is noticed.
        let rests = self.held.is_some() || self.waits_for_target;
        let has_room = self.client.buf.len() < if rests { limits.outlet_bytes_max } else { usize::MAX };
        let wanted = rests || !self.client.has_news() && self.client_has_room();
        let client_wanted = !self.client.ended && has_room && wanted;
        if client_wanted { self.client.poll_read(cx) } else { Poll::Pending }
    }

    /// The end of the task, or before it that of the wait for a person.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let ends = self.passage.grant().lease().task.expires;
        let at = self.held.as_ref().map_or(ends, |held| held.expires().min(ends));
        if at != self.alarm_at {
            self.alarm_at = at;
            self.alarm.as_mut().reset(instant(self.engine.house.now(), at));
        }
        ready!(self.alarm.as_mut().poll(cx));
        Poll::Ready(if self.held.is_some() {
            Event::Answered(None)
        } else {
            Event::Signal(Signal::End(Box::new(ended())))
        })
    }

    fn answered(&mut self, answer: Option<Answer>) -> Result<(), Stop> {
        if let Some(held) = self.held.take() {
            let frame = self.passage.resume(self.engine.house.now(), held, answer)?;
            self.push(frame);
        }
        Ok(())
    }

    fn cancel(&mut self, done: oneshot::Sender<()>) -> Result<(), Stop> {
        let now = self.engine.house.now();
        if let Some(held) = self.held.take() {
            let frame = self.passage.withdraw(now, held, None)?;
            self.push(frame);
            return Ok(());
        }
        self.cancel_at_target(now, Some(done));
        Ok(())
    }

    /// Asks the target to stop what it runs for this session, once that is on the record.
    fn cancel_at_target(&self, now: Timestamp, done: Option<oneshot::Sender<()>>) {
        match self.passage.cancel(now, &*self.protocol, &self.target_key) {
            Ok(words) => {
                let (engine, grant) = (self.engine.clone(), self.passage.grant().clone());
                let protocol = self.protocol.clone();
                let within = Duration::from_secs(LAST_WORDS_SECS_MAX);
                tokio::spawn(async move {
                    // A target that is slow to hear of it has been told all the same.
                    let _ = tokio::time::timeout(within, cancel_at(&engine, &grant, &*protocol, words)).await;
                    drop(done);
                });
            }
            Err(error) => tracing::error!(%error, "a cancel could not be recorded, so it was not passed"),
        }
    }

    /// Does something on another connection, and hears what this session is told meanwhile.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        let mut work = Box::pin(work);
        loop {
            let signal = tokio::select! {
                biased;
                signal = self.seat.signals.recv() => signal,
                done = &mut work => return Ok(done),
            };
            match signal {
                // What was passed on before may still run.
                Some(Signal::Cancel(done)) => self.cancel(done).map_err(End::Stopped)?,
                Some(Signal::End(denial)) => return Err(End::Stopped(Stop::by_gateway(*denial))),
                Some(Signal::Done(denial)) => return Err(End::Done(Stop::by_gateway(*denial))),
                None => return Err(End::Client),
            }
        }
    }

    /// Says what an operation would do before a person is asked.
    async fn foretell(&mut self, operation: &Operation) -> Result<(), End> {
        let (engine, protocol) = (self.engine.clone(), self.protocol.clone());
        let grant = self.passage.grant().clone();
        let lines = self.meanwhile(engine.foretell(&grant, &*protocol, operation)).await?;
        self.passage.foretold(operation, lines);
        Ok(())
    }

    async fn survey(&mut self) -> Result<(), End> {
        let (engine, protocol) = (self.engine.clone(), self.protocol.clone());
        let grant = self.passage.grant().clone();
        match self.meanwhile(engine.survey(&grant, &*protocol)).await? {
            Ok(facts) => {
                self.facts = facts.clone();
                self.passage.surveyed_now(facts);
                self.wants_survey = false;
                Ok(())
            }
            Err(error) => {
                tracing::error!(target = %grant.target().name, %error, "the target could not be surveyed");
                Err(End::Stopped(Stop {
                    blame: Blame::Target,
                    cause: format!("the target could not be surveyed: {error}"),
                    denial: Some(Denial::new(
                        Reason::Unreachable,
                        "the target cannot be surveyed, so statements cannot be understood",
                        "Gatehouse reads the target's catalog to know what a statement touches",
                        "Try again; if it stays so, the operator's log has the cause",
                    )),
                }))
            }
        }
    }

    async fn end(mut self, end: End) {
        let now = self.engine.house.now();
        if let Some(held) = self.held.take()
            && let Err(stop) = self.passage.withdraw(now, held, None)
        {
            tracing::warn!(cause = %stop.cause, "a held operation could not be withdrawn properly");
        }
        let hearing = match &end {
            End::Done(_) | End::Stopped(_) => self.hearing().await,
            End::Client | End::Target | End::Lost(_) => Hearing::Gone,
        };
        let session = self.passage.grant().session();
        let (must_cancel, cause, denial) = match end {
            End::Client => (false, "the client left".to_string(), None),
            End::Target => (false, "the target closed the connection".to_string(), None),
            End::Lost(error) => (false, format!("the connection was lost: {error}"), None),
            // It left in the moment in which its task was said to be done: nothing was taken from it, unless something still runs.
            End::Done(_) if hearing != Hearing::Listens => {
                (self.passage.awaits_answers(), "the client left".to_string(), None)
            }
            End::Done(stop) => {
                tracing::info!(%session, cause = stop.cause, "the session ended with its task");
                (true, stop.cause, stop.denial)
            }
            End::Stopped(stop) => {
                let blame = match stop.blame {
                    Blame::Client => "client",
                    Blame::Target => "target",
                    Blame::Gateway => "gateway",
                };
                tracing::warn!(%session, blame, cause = stop.cause, "the session was ended");
                (true, stop.cause, stop.denial.filter(|_| hearing != Hearing::Gone))
            }
        };
        if must_cancel {
            // Closing the connection alone would let the target finish what runs.
            self.cancel_at_target(now, None);
        }
        self.take_leave(denial).await;
        if let Err(error) = self.passage.close(self.engine.house.now(), &cause) {
            tracing::error!(%error, "the end of a session could not be recorded");
        }
    }

    /// Whether the client hears what it is told last. What it said before and nobody looked at is read for that, and none of it is
    /// run.
    async fn hearing(&mut self) -> Hearing {
        // What came in this moment is seen once the runtime looks at its sockets, which it does between two turns.
        tokio::task::yield_now().await;
        let read = poll_fn(|cx| Poll::Ready(self.read_farewell(cx))).await;
        if read.is_err() || self.passage.client_has_left() || self.passage.client_leaves(&self.client.buf) {
            Hearing::Gone
        } else if self.client.ended {
            Hearing::Silent
        } else {
            Hearing::Listens
        }
    }

    /// Reads what is there; a client that goes on sending is not waited for.
    fn read_farewell(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let most = self.client.buf.len() + FAREWELL_BYTES_MAX;
        while !self.client.ended && self.client.buf.len() < most {
            match self.client.poll_read(cx) {
                Poll::Ready(read) => read?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Gives the client what is left for it, last words too, and closes both connections.
    async fn take_leave(&mut self, denial: Option<Denial>) {
        let now = self.engine.house.now();
        if let Err(stop) = self.release(now) {
            tracing::warn!(cause = %stop.cause, "not all that was said could be recorded, so it was not shown");
        }
        // What either side has not taken by then it will not take.
        let last = async {
            let drained = self.client.outlet.drain(&self.engine.disk).await;
            // They are on the recording only where the client took what came before them.
            if let Some(denial) = denial.filter(|_| drained.is_ok()) {
                self.passage.last_words(&denial);
                let outlet = &mut self.client.outlet;
                if let Err(stop) = self.passage.release(now, |frame| outlet.push(frame)) {
                    tracing::warn!(cause = %stop.cause, "last words could not be recorded, so they were not shown");
                }
                let _ = self.client.outlet.drain(&self.engine.disk).await;
            }
            self.client.outlet.shut().await;
        };
        let goodbye = async {
            if !self.said_goodbye {
                self.target.outlet.shut().await;
            }
        };
        let last = async { tokio::join!(last, goodbye) };
        let _ = tokio::time::timeout(Duration::from_secs(LAST_WORDS_SECS_MAX), last).await;
    }
}

/// Says on the record that a session is over that a defect ended in the middle of something.
pub(crate) fn close_lost(engine: &Engine, passage: &mut Passage) {
    if !std::thread::panicking() {
        return;
    }
    // What is broken may break again: nobody else's session shall end of it.
    let closing = std::panic::AssertUnwindSafe(|| passage.close(engine.house.now(), "the gateway failed in it"));
    match std::panic::catch_unwind(closing) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the end of a session could not be recorded"),
        Err(_) => tracing::error!("a session that a defect ended could not be closed"),
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        close_lost(&self.engine, &mut self.passage);
    }
}

async fn cancel_at(engine: &Engine, grant: &Grant, protocol: &dyn StreamProtocol, words: Cleared<Bytes>) {
    if let Err(error) = dial::say(grant, protocol, words, &engine.disk).await {
        tracing::warn!(%error, "a cancel could not be sent to the target");
    }
}

fn instant(now: Timestamp, until: Timestamp) -> Instant {
    Instant::now() + Duration::try_from(until.duration_since(now)).unwrap_or_default()
}

fn ended() -> Denial {
    Denial::new(
        Reason::TaskEnded,
        "the task has ended",
        "its time ran out",
        "Start a new task with `gatehouse task start` or `gatehouse run`",
    )
}
