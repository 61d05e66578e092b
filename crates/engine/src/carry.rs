//! Carries one session: reads both sides, asks the gate, writes what it cleared, until one side ends it.
//!
//! One task serves both directions, so that nothing is locked and a slow reader slows its own session only.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gatehouse_gate::{Answer, Grant, Held, Next, Outward, Passage, Stop};
use gatehouse_model::{Blame, Denial, Reason};
use gatehouse_protocol::{Side, SurveyFacts};
use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::dial::{self, Reached, WireOutlet, WireReader};
use crate::listener::Engine;
use crate::login::Identified;
use crate::roster::{Seated, Signal};
use crate::surveyor;

/// How long last words may take to reach a client.
const LAST_WORDS_SECS_MAX: u64 = 5;
/// What a read asks for at least, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// Everything that a session needs beside its client.
pub(crate) struct Carriage {
    pub(crate) passage: Passage,
    pub(crate) reached: Reached,
    pub(crate) facts: SurveyFacts,
    pub(crate) opened: Timestamp,
}

/// One direction's input.
struct Inlet {
    reader: WireReader,
    buf: BytesMut,
    /// The length that the buffer must reach before it is looked at again.
    needs: usize,
    ended: bool,
}

impl Inlet {
    fn new(reader: WireReader, buf: BytesMut) -> Self {
        Self { reader, buf, needs: 1, ended: false }
    }

    async fn read(&mut self) -> std::io::Result<()> {
        self.buf.reserve(READ_BYTES.max(self.needs.saturating_sub(self.buf.len())));
        self.ended = self.reader.read_buf(&mut self.buf).await? == 0;
        Ok(())
    }
}

struct Carrying<'a> {
    engine: &'a Arc<Engine>,
    passage: Passage,
    facts: SurveyFacts,
    client: Inlet,
    target: Inlet,
    to_client: WireOutlet,
    to_target: WireOutlet,
    /// The client's side rests until the target has spoken.
    waits_for_target: bool,
    wants_survey: bool,
    held: Option<Box<Held>>,
    seat: Seated,
    target_key: gatehouse_protocol::CancelKey,
}

/// What happened.
enum Event {
    Moved(std::io::Result<()>),
    Answered(Option<Answer>),
    Signal(Signal),
}

/// Why a session ends.
enum End {
    Client,
    Target,
    Lost(std::io::Error),
    Stopped(Stop),
}

pub(crate) async fn carry(engine: &Arc<Engine>, client: Identified, carriage: Carriage) {
    let Carriage { passage, reached, facts, opened } = carriage;
    let Identified { reader, mut outlet, read, mut login, .. } = client;
    let cancel = passage_cancel_key(engine, &passage);
    let seat = engine.roster.seat(passage.grant(), opened, cancel.clone());
    let mut words = BytesMut::new();
    login.accept(&reached.ready, &cancel, &mut words);
    outlet.push(engine.gate.greet(words.freeze()));
    metrics::gauge!("gatehouse_sessions_open").increment(1);
    let mut carrying = Carrying {
        engine,
        passage,
        facts,
        client: Inlet::new(reader, read),
        target: Inlet::new(reached.reader, reached.read),
        to_client: outlet,
        to_target: reached.outlet,
        waits_for_target: false,
        wants_survey: false,
        held: None,
        seat,
        target_key: reached.ready.cancel,
    };
    let end = carrying.run().await;
    carrying.end(end).await;
    metrics::gauge!("gatehouse_sessions_open").decrement(1);
}

fn passage_cancel_key(engine: &Engine, passage: &Passage) -> gatehouse_protocol::CancelKey {
    passage.protocol().cancel_key(engine.house.entropy())
}

impl Carrying<'_> {
    async fn run(&mut self) -> End {
        loop {
            if let Err(stop) = self.progress() {
                return End::Stopped(stop);
            }
            if self.wants_survey {
                if let Err(end) = self.survey().await {
                    return end;
                }
                continue;
            }
            if self.target.ended {
                return End::Target;
            }
            if self.client.ended && self.to_target.is_empty() {
                return End::Client;
            }
            let event = self.event().await;
            let outcome = match event {
                Event::Moved(Ok(())) => Ok(()),
                Event::Moved(Err(error)) => return End::Lost(error),
                Event::Answered(answer) => self.answered(answer),
                Event::Signal(Signal::Cancel) => self.cancel(),
                Event::Signal(Signal::End(denial)) => {
                    let cause = denial.message.clone();
                    Err(Stop { blame: Blame::Gateway, cause, denial: Some(denial) })
                }
            };
            if let Err(stop) = outcome {
                return End::Stopped(stop);
            }
        }
    }

    /// Takes all from the buffers that can be taken now.
    fn progress(&mut self) -> Result<(), Stop> {
        let limit = self.engine.limits.outlet_bytes_max;
        while self.target.buf.len() >= self.target.needs && self.to_client.len() < limit {
            let next = self.passage.advance(self.engine.house.now(), Side::Target, &mut self.target.buf)?;
            self.waits_for_target = false;
            match next {
                Next::Out(outward) => {
                    self.target.needs = 1;
                    self.push(outward);
                }
                Next::Read { at_least } => self.target.needs = at_least,
                Next::Wait | Next::Survey | Next::Hold(..) => break,
            }
        }
        self.renew_facts();
        while self.client_may_go_on() && self.to_target.len() < limit {
            match self.passage.advance(self.engine.house.now(), Side::Client, &mut self.client.buf)? {
                Next::Out(outward) => {
                    self.client.needs = 1;
                    self.push(outward);
                }
                Next::Read { at_least } => self.client.needs = at_least,
                Next::Wait => self.waits_for_target = true,
                Next::Survey => self.wants_survey = true,
                Next::Hold(held, outward) => {
                    self.client.needs = 1;
                    self.push(outward);
                    tracing::info!(request = %held.request(), session = %self.passage.grant().session(), "an operation waits for approval");
                    self.held = Some(held);
                }
            }
        }
        Ok(())
    }

    fn client_may_go_on(&self) -> bool {
        let rests = self.waits_for_target || self.wants_survey || self.held.is_some();
        !rests && self.client.buf.len() >= self.client.needs
    }

    /// Facts that grew old are asked for again before the next statement is looked at; newer ones of other sessions
    /// are taken over.
    fn renew_facts(&mut self) {
        if self.client.buf.len() < self.client.needs || self.held.is_some() {
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

    fn push(&mut self, outward: Outward) {
        if let Some(frame) = outward.to_client {
            self.to_client.push(frame);
        }
        if let Some(frame) = outward.to_target {
            self.to_target.push(frame);
        }
    }

    async fn event(&mut self) -> Event {
        let limit = self.engine.limits.outlet_bytes_max;
        let disk = &self.engine.disk;
        let client_room = !self.client.ended && self.client.buf.len() < self.engine.limits.frame_bytes_max + READ_BYTES;
        let client_wanted = self.held.is_some() || self.waits_for_target || self.client.buf.len() < self.client.needs;
        let target_wanted = self.target.buf.len() < self.target.needs && self.to_client.len() < limit;
        let now = self.engine.house.now();
        let until = self.passage.grant().lease().task.expires;
        let until = self.held.as_ref().map_or(until, |held| held.expires().min(until));
        let expired = self.held.is_some();
        tokio::select! {
            biased;
            signal = self.seat.signals.recv() => match signal {
                Some(signal) => Event::Signal(signal),
                None => Event::Signal(Signal::End(ended())),
            },
            moved = self.to_client.write_some(disk), if !self.to_client.is_empty() => Event::Moved(moved),
            moved = self.to_target.write_some(disk), if !self.to_target.is_empty() => Event::Moved(moved),
            answer = answer_of(&mut self.held), if self.held.is_some() => Event::Answered(answer),
            moved = self.target.read(), if target_wanted => Event::Moved(moved),
            moved = self.client.read(), if client_room && client_wanted => Event::Moved(moved),
            () = tokio::time::sleep_until(instant(now, until)) => {
                if expired { Event::Answered(None) } else { Event::Signal(Signal::End(ended())) }
            }
        }
    }

    fn answered(&mut self, answer: Option<Answer>) -> Result<(), Stop> {
        if let Some(held) = self.held.take() {
            let outward = self.passage.resume(self.engine.house.now(), held, answer)?;
            self.push(outward);
        }
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), Stop> {
        let now = self.engine.house.now();
        if let Some(held) = self.held.take() {
            let outward = self.passage.withdraw(now, held)?;
            self.push(outward);
            return Ok(());
        }
        self.cancel_at_target(now);
        Ok(())
    }

    /// Asks the target to stop what it runs for this session, once that is on the record.
    fn cancel_at_target(&self, now: Timestamp) {
        match self.passage.cancel(now, &self.target_key) {
            Ok(words) => {
                let grant = self.passage.grant().clone();
                let disk = self.engine.disk.clone();
                let within = Duration::from_secs(LAST_WORDS_SECS_MAX);
                tokio::spawn(async move { tokio::time::timeout(within, cancel_at(&grant, words, &disk)).await });
            }
            Err(error) => tracing::error!(%error, "a cancel could not be recorded, so it was not passed"),
        }
    }

    async fn survey(&mut self) -> Result<(), End> {
        let protocol = self.passage.protocol().clone();
        let grant = self.passage.grant().clone();
        let facts = tokio::select! {
            facts = self.engine.survey(&grant, &*protocol) => facts,
            signal = self.seat.signals.recv() => match signal {
                Some(Signal::Cancel) => return Ok(()),
                Some(Signal::End(denial)) => {
                    let cause = denial.message.clone();
                    return Err(End::Stopped(Stop { blame: Blame::Gateway, cause, denial: Some(denial) }));
                }
                None => return Err(End::Client),
            },
        };
        match facts {
            Ok(facts) => {
                self.facts = facts.clone();
                self.passage.surveyed(facts);
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
            && let Err(stop) = self.passage.withdraw(now, held)
        {
            tracing::warn!(cause = %stop.cause, "a held operation could not be withdrawn properly");
        }
        let cause = match &end {
            End::Client => "the client left".to_string(),
            End::Target => "the target closed the connection".to_string(),
            End::Lost(error) => format!("the connection was lost: {error}"),
            End::Stopped(stop) => stop.cause.clone(),
        };
        if let End::Stopped(stop) = &end {
            let blame = match stop.blame {
                Blame::Client => "client",
                Blame::Target => "target",
                Blame::Gateway => "gateway",
            };
            tracing::warn!(session = %self.passage.grant().session(), blame, cause, "the session was ended");
            if let Some(denial) = &stop.denial
                && let Some(words) = self.passage.last_words(now, denial)
            {
                self.to_client.push(words);
            }
        }
        if matches!(end, End::Stopped(_)) {
            // Closing the connection alone would let the target finish what runs.
            self.cancel_at_target(now);
        }
        self.to_target.shut().await;
        // What the client has not taken by then it will not take.
        let last = async {
            let _ = self.to_client.drain(&self.engine.disk).await;
            self.to_client.shut().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(LAST_WORDS_SECS_MAX), last).await;
        if let Err(error) = self.passage.close(self.engine.house.now(), &cause) {
            tracing::error!(%error, "the end of a session could not be recorded");
        }
    }
}

async fn answer_of(held: &mut Option<Box<Held>>) -> Option<Answer> {
    match held {
        Some(held) => held.answer().await,
        None => std::future::pending().await,
    }
}

async fn cancel_at(grant: &Grant, words: gatehouse_gate::Cleared<bytes::Bytes>, disk: &crate::Disk) {
    match dial::connect(grant).await {
        Ok(stream) => {
            let mut outlet = crate::Outlet::new(stream);
            outlet.push(words);
            let sent = outlet.drain(disk).await;
            outlet.shut().await;
            if let Err(error) = sent {
                tracing::warn!(%error, "a cancel could not be sent to the target");
            }
        }
        Err(error) => tracing::warn!(%error, "a cancel could not be sent to the target"),
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
