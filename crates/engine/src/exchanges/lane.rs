//! One session of exchanges: takes a request, asks the gate, writes what it cleared, and the same with the answer.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use gatehouse_gate::{Account, Grant, Held, Next, Passage, Showing, Stop};
use gatehouse_model::{Blame, Denial, Intent, Reason, Secret, TaskId};
use gatehouse_protocol::{
    CancelKey, Exchanges, Opening, Side, Tag, TargetReady, write_frame, write_frames, write_head,
};
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, IF_RANGE, PROXY_AUTHORIZATION, RANGE, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame};
use hyper::upgrade::OnUpgrade;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::interim::{Hearing, Interim, Told};
use super::outlet::{ClearedBody, Outlet, PARTS_MAX, Part, Parts, Said, WHOLE_BYTES_MAX};
use super::pool::{Asking, Failure, Speaks, TargetClient};
use super::socket::{self, Happened, Speaker};
use super::streams::Received;
use super::{Asked, Busy, Connection, Destination, Key, PAUSE_SECS_MAX, aws};
use crate::TargetAccount;
use crate::aside::{self, HEAVY_BYTES_MIN, Place};
use crate::carry::close_lost;
use crate::disk::Disk;
use crate::listener::Engine;
use crate::login;
use crate::roster::{Seated, Signal};

/// How long a session takes new requests, in seconds: then another is opened, with the credential as it is by then.
const USE_SECS_MAX: u64 = 30;
/// The most of an answer that is looked at at once, in bytes; and of one that is coded, which may become a thousand times as long.
const PART_BYTES_MAX: usize = 64 * 1024;
const CODED_PART_BYTES_MAX: usize = 8 * 1024;
/// What is kept back for its end, which may be in little that comes, and takes as long when it is looked at, in bytes.
const HELD_BYTES_MIN: usize = 4 * HEAVY_BYTES_MIN;
/// Where the carrier says at which address of its own the target is reached.
const BASE: &str = "x-gatehouse-base";

/// Where the target is told who works for whom.
const ON_BEHALF: &str = "x-gatehouse-on-behalf-of";

/// The way to a lane.
#[derive(Clone)]
pub(super) struct Lane {
    jobs: mpsc::Sender<Job>,
}

/// A request that nobody has looked at.
pub(super) struct Order {
    pub(super) request: Request<Received>,
    /// Where answers before its answer go, if its client can hear them.
    pub(super) interims: Option<Told<Response<()>>>,
    pub(super) destination: Destination,
    pub(super) busy: (Busy, Asked),
}

/// The answer to a request; or that request, where its session had ended before it was looked at.
type Answer = Result<Response<ClearedBody>, Box<Order>>;

/// A request, and where its answer goes.
struct Job {
    order: Order,
    answer: oneshot::Sender<Answer>,
    /// Whoever keeps the lane until the next request.
    home: (Arc<Connection>, Key, Lane),
}

pub(super) fn ended() -> Denial {
    Denial::new(Reason::TaskEnded, "the session has ended", "its task or its target changed", "Send the request again")
}

impl Lane {
    /// Opens a session of a task at a target. A client that leaves meanwhile leaves no session that nobody ends.
    pub(super) async fn open(
        engine: &Arc<Engine>,
        protocol: &Arc<dyn Exchanges>,
        task: TaskId,
        target: String,
        peer: SocketAddr,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, Denial> {
        let (engine, protocol) = (engine.clone(), protocol.clone());
        let opening = tokio::spawn(async move {
            let opened = Self::open_for(&engine, &protocol, &task, &target, peer).await;
            drop(place);
            opened
        });
        opening.await.unwrap_or_else(|_| Err(broken(&lost())))
    }

    async fn open_for(
        engine: &Arc<Engine>,
        protocol: &Arc<dyn Exchanges>,
        task: &TaskId,
        target: &str,
        peer: SocketAddr,
    ) -> Result<Self, Denial> {
        let opened = engine.house.now();
        let found = engine.house.target(target).filter(|found| found.protocol == protocol.name());
        let found = found.ok_or_else(|| super::no_target(target, protocol.name()))?;
        let grant = Arc::new(login::admit_to(engine, found, task, &peer.to_string(), &Intent::nothing())?);
        let account = match grant.target().route.account {
            Account::None => None,
            Account::Named(_) | Account::Leased | Account::Shown(_) => {
                Some(engine.account(&grant).await.map_err(|error| {
                    tracing::error!(target, %error, "the credential of a target cannot be had");
                    engine.never_opened(&grant, "the credential of the target could not be had");
                    unreachable(target)
                })?)
            }
        };
        engine.still_granted(&grant)?;
        let tape = engine.tape(&grant, opened)?;
        let session = protocol.session(Opening {
            target: grant.target().name.clone(),
            facts: grant.target().facts.clone(),
            classifier: grant.target().classes.clone(),
            ready: TargetReady { parameters: Vec::new(), cancel: CancelKey(Bytes::new()) },
            parameters: Vec::new(),
            shows_order: true,
            bond: engine.bond(&grant),
            secrets: shown(&grant.target().route.account, account.as_ref()),
            frame_bytes_max: engine.limits.body_bytes_max,
        });
        let seat = engine.roster.seat(&grant, opened, CancelKey(Bytes::copy_from_slice(&engine.house.entropy())));
        let passage = Passage::new(engine.gate.clone(), grant.clone(), session, tape, opened);
        let client = engine.exchanges.of(&grant, Speaks::Any, engine.limits.connect_secs_max);
        let keeper = Keeper { engine: engine.clone(), passage, seat, account, client, grant, was_refused: false };
        let mut keeper = Box::new(keeper);
        // Whoever changed anything in the meantime either found the seat, or is seen here.
        if let Some(denial) = engine.over(&keeper.grant) {
            keeper.close(&denial.message);
            return Err(denial);
        }
        let (jobs, received) = mpsc::channel(1);
        tokio::spawn(keeper.keep(received));
        Ok(Self { jobs })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.jobs.is_closed()
    }

    /// Hands a request over, and waits for its answer.
    pub(super) async fn exchange(self, order: Order, connection: Arc<Connection>, key: Key) -> Answer {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.clone();
        let job = Job { order, answer, home: (connection, key, self) };
        if let Err(mpsc::error::SendError(job)) = jobs.send(job).await {
            return Err(Box::new(job.order));
        }
        // Whoever keeps a session answers all that it took, but for a defect.
        answered.await.unwrap_or_else(|_| Ok(super::problem(&broken(&lost()))))
    }
}

/// A session that a defect ended.
fn lost() -> Stop {
    Stop { blame: Blame::Gateway, cause: "the gateway failed in it".into(), denial: None }
}

/// What a client is told where nothing else is.
fn broken(stop: &Stop) -> Denial {
    let reason = match stop.blame {
        Blame::Client => Reason::NotUnderstood,
        Blame::Target => Reason::Unreachable,
        Blame::Gateway => Reason::Unrecorded,
    };
    let hint = "Send the request again; if it stays so, the operator's log has the cause";
    Denial::new(reason, "there is no answer to this request", "it was broken off before its answer began", hint)
}

/// What of the gateway's own a request shows.
fn shown(account: &Account, held: Option<&TargetAccount>) -> Vec<Secret> {
    let Some(held) = held else { return Vec::new() };
    let mut secrets = vec![held.password.clone()];
    match account {
        Account::Shown(Showing::Basic(user)) => secrets.push(Secret::new(basic(user, held.password.expose()))),
        Account::Shown(Showing::Aws(signing)) => {
            if let Some(keys) = aws::Keys::read(signing, &held.password) {
                secrets.push(Secret::new(keys.secret));
                secrets.extend(keys.token.map(Secret::new));
            }
        }
        Account::Shown(Showing::Bearer | Showing::Header(_) | Showing::Parameter(_))
        | Account::Named(_)
        | Account::Leased
        | Account::None => {}
    }
    secrets
}

/// A user and a password, as RFC 7617 has them.
fn basic(user: &str, password: &[u8]) -> String {
    BASE64.encode([user.as_bytes(), b":", password].concat())
}

fn unreachable(target: &str) -> Denial {
    Denial::new(
        Reason::Unreachable,
        format!("target \"{target}\" cannot be reached"),
        "Gatehouse could not connect to it, or it did not answer as HTTP wants it",
        "Ask the operator of the gateway: its log has the cause",
    )
}

/// What a client sent keeps the gateway from signing it.
fn unsigned() -> Stop {
    let denial = Denial::new(
        Reason::NotUnderstood,
        "the request is not passed on",
        "the gateway cannot prove itself with it: what it would sign is not all ASCII",
        "Write fields that begin with `x-amz-`, and `Content-Type`, in ASCII",
    );
    Stop { blame: Blame::Client, cause: "the request cannot be signed".into(), denial: Some(denial) }
}

/// There was no place for what has to be held back.
fn crowded() -> Stop {
    let denial = Denial::new(
        Reason::Limit,
        "there is no room for what is this long",
        "others on its connection that are as long wait, or are not taken",
        "Send the request on a connection of its own",
    );
    Stop { blame: Blame::Client, cause: "there was no place for what is long".into(), denial: Some(denial) }
}

/// Keeps one session.
struct Keeper {
    engine: Arc<Engine>,
    grant: Arc<Grant>,
    passage: Passage,
    seat: Seated,
    account: Option<TargetAccount>,
    client: TargetClient,
    /// The target said that it does not know whose the last request was.
    was_refused: bool,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        close_lost(&self.engine, &mut self.passage);
    }
}

impl Keeper {
    async fn keep(mut self: Box<Self>, mut jobs: mpsc::Receiver<Job>) {
        let used_until = Instant::now() + Duration::from_secs(USE_SECS_MAX);
        let cause = loop {
            let expires = instant(self.engine.house.now(), self.grant.lease().task.expires);
            let job = tokio::select! {
                biased;
                job = jobs.recv() => job,
                signal = self.seat.signals.recv() => break told(signal).cause,
                () = tokio::time::sleep_until(expires) => break "the task has ended".into(),
                () = tokio::time::sleep_until(used_until) => break "it was open for long enough".into(),
            };
            let Some(job) = job else { break "the client left".into() };
            let home = job.home;
            let Order { request, interims, destination, busy } = job.order;
            let exchange = Exchange::new(self, (job.answer, interims), busy, home.0.clone());
            let Some((keeper, outcome)) = Box::pin(exchange.run(request, destination)).await else { return };
            self = keeper;
            match outcome {
                Ok(()) if self.was_refused => {
                    self.engine.has_another(&self.grant, self.account.as_ref());
                    break "the target did not take the gateway's credential".into();
                }
                Ok(()) if Instant::now() > used_until => break "it was open for long enough".into(),
                Ok(()) => {
                    let (connection, key, lane) = home;
                    connection.give_back(key, lane);
                }
                Err(stop) => {
                    let session = self.grant.session();
                    tracing::info!(%session, cause = stop.cause, "a session of exchanges ended");
                    break stop.cause;
                }
            }
        };
        jobs.close();
        // What came in this moment was not looked at, and is another session's.
        while let Ok(job) = jobs.try_recv() {
            let _ = job.answer.send(Err(Box::new(job.order)));
        }
        self.close(&cause);
    }

    fn close(&mut self, cause: &str) {
        if let Err(error) = self.passage.close(self.engine.house.now(), cause) {
            tracing::error!(%error, "the end of a session could not be recorded");
        }
    }
}

fn instant(now: Timestamp, until: Timestamp) -> Instant {
    Instant::now() + Duration::try_from(until.duration_since(now)).unwrap_or_default()
}

/// What a session is told from outside ends it.
fn told(signal: Option<Signal>) -> Stop {
    let denial = match signal {
        Some(Signal::End(denial) | Signal::Done(denial)) => *denial,
        Some(Signal::Cancel(_)) | None => ended(),
    };
    Stop::by_gateway(denial)
}

fn left() -> Stop {
    Stop { blame: Blame::Client, cause: "the client left".into(), denial: None }
}

/// How far the target is.
enum Upstream {
    Unasked,
    /// Its answer, and what it says before that, if anybody can hear it.
    Asked(Asking, Option<Told<Interim>>),
    Answering(Received),
    /// It agreed to a WebSocket.
    Switching(OnUpgrade),
    Ended,
}

/// A request as it was sent, should its connection be lost before it is answered.
struct Again {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Again {
    /// Whether it may be sent once more (RFC 9110, section 9.2.2; RFC 9113, section 8.7): the target says that it did nothing
    /// with it, or was gone before a word of its answer and may be asked twice.
    fn is_safe_after(&self, error: &Failure) -> bool {
        let causes =
            || std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |cause| cause.source());
        let is_untouched = |cause: &h2::Error| {
            cause.is_remote() && (cause.is_go_away() || cause.reason() == Some(h2::Reason::REFUSED_STREAM))
        };
        if error.is_connect() {
            return false;
        }
        let is_gone = |cause: &hyper::Error| cause.is_incomplete_message() || cause.is_closed() || cause.is_canceled();
        causes().filter_map(|cause| cause.downcast_ref()).any(is_untouched)
            || self.method.is_idempotent()
                && causes().any(|cause| cause.downcast_ref().is_some_and(is_gone) || is_cut(cause))
    }
}

/// A connection was closed on the other side.
fn is_cut(cause: &(dyn std::error::Error + 'static)) -> bool {
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe))
}

/// What happened.
enum Event {
    Moved,
    /// There is a place for what holds back much.
    Large(Option<OwnedSemaphorePermit>),
    Signal(Option<Signal>),
    Answered(Option<gatehouse_gate::Answer>),
    Expired,
    Left,
    Asked(Option<io::Result<Frame<Bytes>>>),
    Interim(Interim),
    Head(Result<Response<Received>, Failure>),
    Said(Option<io::Result<Frame<Bytes>>>),
    Silent,
    Crowded,
}

/// Where an exchange stands when it is carried no further for the moment.
enum Pause {
    /// It is answered.
    Over,
    /// What comes next takes long, and has a place aside of what must not wait for it.
    Heavy(Place),
    /// What was held is answered, and must be read back first, which has a place aside too.
    Answered(Place, Option<gatehouse_gate::Answer>),
    /// It becomes a WebSocket.
    Switched,
}

/// The two sides of a WebSocket.
struct Sockets {
    client: Speaker,
    target: Speaker,
    /// Its connection's place among those of clients.
    _place: oneshot::Sender<()>,
}

/// One request and its answer.
struct Exchange {
    keeper: Box<Keeper>,
    connection: Arc<Connection>,
    /// What the client said and the gate has not taken; how long it must be before the gate looks again.
    client: BytesMut,
    client_needs: usize,
    target: BytesMut,
    target_needs: usize,
    waits: bool,
    held: Option<Box<Held>>,
    body: Option<Received>,
    to_target: Outlet,
    to_client: Outlet,
    upstream: Upstream,
    again: Option<Box<Again>>,
    asked_parts: Option<mpsc::Sender<Part>>,
    answer: Option<oneshot::Sender<Answer>>,
    /// Where answers before the answer go, if the client can hear them.
    interims: Option<Told<Response<()>>>,
    answer_parts: Option<mpsc::Sender<Part>>,
    /// What becomes of the client's connection, should this become a WebSocket.
    upgrade: Option<OnUpgrade>,
    /// Keeps the connection from being taken for one that rests, until the answer was taken.
    busy: Option<Busy>,
    /// The same, until it is answered.
    asked: Asked,
    /// The answer is in a coding, so that little may stand for much.
    is_coded: bool,
    /// Its place among those that hold back much.
    large: Option<OwnedSemaphorePermit>,
    is_answered: bool,
    /// When the client took something last that was there for it; and when it said something, or waits for the gateway.
    taken: Instant,
    said: Instant,
}

impl Exchange {
    fn new(
        keeper: Box<Keeper>,
        (answer, interims): (oneshot::Sender<Answer>, Option<Told<Response<()>>>),
        (busy, asked): (Busy, Asked),
        connection: Arc<Connection>,
    ) -> Self {
        Self {
            asked,
            is_coded: false,
            large: None,
            connection,
            keeper,
            client: BytesMut::new(),
            client_needs: 1,
            target: BytesMut::new(),
            target_needs: 1,
            waits: false,
            held: None,
            body: None,
            to_target: Outlet::default(),
            to_client: Outlet::default(),
            upstream: Upstream::Unasked,
            again: None,
            asked_parts: None,
            answer: Some(answer),
            interims,
            answer_parts: None,
            upgrade: None,
            busy: Some(busy),
            is_answered: false,
            taken: Instant::now(),
            said: Instant::now(),
        }
    }

    /// Carries a request to the end of its answer; nothing if a defect took what keeps the session.
    async fn run(
        mut self,
        mut request: Request<Received>,
        destination: Destination,
    ) -> Option<(Box<Keeper>, Result<(), Stop>)> {
        if request.headers().contains_key(UPGRADE) {
            self.upgrade = Some(hyper::upgrade::on(&mut request));
        }
        let (mut parts, body) = request.into_parts();
        if self.keeper.passage.wants_whole() {
            // A part would be kept back; a server may always answer with all (RFC 9110, section 14.2).
            parts.headers.remove(RANGE);
            parts.headers.remove(IF_RANGE);
        }
        write_request(&parts, &destination, !body.is_end_stream(), &mut self.client);
        if body.is_end_stream() {
            write_head(Tag::End, None, std::iter::empty(), &mut self.client);
        } else {
            self.body = Some(body);
        }
        let mut sockets: Option<Box<Sockets>> = None;
        let outcome = loop {
            let paused = match &mut sockets {
                None => self.carry().await,
                Some(sockets) => self.messages(sockets).await,
            };
            match paused {
                Ok(Pause::Over) => break Ok(()),
                Ok(Pause::Switched) => match self.switch().await {
                    Ok(switched) => sockets = Some(Box::new(switched)),
                    Err(stop) => break Err(stop),
                },
                Ok(Pause::Heavy(place)) => {
                    let (exchange, outcome) = self.aside(place, |exchange| exchange.progress(true)).await?;
                    self = exchange;
                    if let Err(stop) = outcome {
                        break Err(stop);
                    }
                }
                Ok(Pause::Answered(place, answer)) => {
                    let (exchange, outcome) = self.aside(place, move |exchange| exchange.resume(answer)).await?;
                    self = exchange;
                    if let Err(stop) = outcome {
                        break Err(stop);
                    }
                }
                Err(stop) => break Err(stop),
            }
        };
        let outcome = match (outcome, sockets) {
            (Ok(()), None) => Ok(()),
            (Err(stop), None) => Err(self.broken_off(stop).await),
            (outcome, Some(sockets)) => Err(self.part(outcome, *sockets).await),
        };
        Some((self.keeper, outcome))
    }

    /// Does some of it where it keeps nobody; `None` if that panicked.
    async fn aside(
        mut self,
        place: Place,
        work: impl FnOnce(&mut Self) -> Result<(), Stop> + Send + 'static,
    ) -> Option<(Self, Result<(), Stop>)> {
        let work = move || {
            let outcome = work(&mut self);
            (self, outcome)
        };
        aside::work(place, work).await
    }

    /// Answers, as far as it can be, what ends before its answer did.
    async fn broken_off(&mut self, stop: Stop) -> Stop {
        let now = self.keeper.engine.house.now();
        match self.held.take() {
            // Its refusal is the answer.
            Some(held) => drop(self.keeper.passage.withdraw(now, held, stop.denial.clone())),
            None => {
                if let Some(denial) = &stop.denial {
                    self.keeper.passage.last_words(denial);
                }
            }
        }
        let _ = self.release(now);
        let _ = self.flush().await;
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(Ok(super::problem(&broken(&stop))));
        } else if !self.is_answered && stop.blame != Blame::Client {
            self.asked.break_off();
        }
        stop
    }

    async fn carry(&mut self) -> Result<Pause, Stop> {
        loop {
            let before = self.target.len();
            self.progress(false)?;
            self.flush().await?;
            if self.is_answered {
                return self.finish().map(|()| Pause::Over);
            }
            if self.answer.is_none() && matches!(self.upstream, Upstream::Switching(_)) {
                return Ok(Pause::Switched);
            }
            if self.is_heavy(Side::Target) && self.client_has_room() || self.is_heavy(Side::Client) {
                return self.place_aside().await.map(Pause::Heavy);
            }
            if self.target.len() < before {
                // Others of this thread have their turn.
                tokio::task::yield_now().await;
            }
            if self.target_has_news() && self.client_has_room() {
                continue;
            }
            match self.event().await {
                Event::Moved => {}
                Event::Large(place) => self.large = place,
                Event::Signal(signal) => return Err(told(signal)),
                Event::Expired if self.held.is_none() => return Err(told(None)),
                Event::Expired => self.resume(None)?,
                Event::Answered(answer) if self.waits_elsewhere() => {
                    return self.place_aside().await.map(|place| Pause::Answered(place, answer));
                }
                Event::Answered(answer) => self.resume(answer)?,
                Event::Left => return Err(left()),
                Event::Asked(frame) => self.asked(frame)?,
                Event::Interim((status, headers)) => {
                    self.again = None;
                    write_answer(Tag::Interim, status, &headers, &mut self.target);
                }
                Event::Head(Ok(response)) => self.head(response),
                Event::Head(Err(error)) if self.again.as_ref().is_some_and(|again| again.is_safe_after(&error)) => {
                    tracing::debug!(
                        error = with_sources(&error),
                        "a request is sent again, for its connection was lost"
                    );
                    if let Some(again) = self.again.take() {
                        let Again { method, target, mut headers, body } = *again;
                        // A signature is of its time.
                        let uri = self.show(&method, &target, Some(&body), &mut headers)?;
                        self.ask(method, uri, headers, Parts::Whole(Some(body)));
                    }
                }
                Event::Head(Err(error)) => {
                    let error = with_sources(&error);
                    tracing::error!(target = %self.keeper.grant.target().name, %error, "the target cannot be reached");
                    return Err(self.lost());
                }
                Event::Said(frame) => self.said(frame)?,
                Event::Silent => {
                    // Given up before that is said: whoever asks again has another connection.
                    self.upstream = Upstream::Ended;
                    return Err(self.silent());
                }
                Event::Crowded => return Err(crowded()),
            }
        }
    }

    /// What comes next from a side may take so long that others would wait for it.
    fn is_heavy(&self, side: Side) -> bool {
        match side {
            // What is not there in whole is only kept.
            Side::Client => self.body.is_none() && self.client.len() >= HEAVY_BYTES_MIN && self.client_has_news(),
            Side::Target => {
                let passage = &self.keeper.passage;
                let (held, here) = (passage.held_bytes(), self.target.len());
                // What only adds to what is kept back takes no time; what is kept back is looked at when its end is here.
                let is_ended = matches!(self.upstream, Upstream::Ended);
                let is_all = is_ended && held + here >= HEAVY_BYTES_MIN;
                let is_looked_at = is_ended || !passage.keeps_all();
                let is_much = here >= HEAVY_BYTES_MIN || held >= HELD_BYTES_MIN || passage.is_slow();
                let takes_long = self.is_coded || is_all || (is_looked_at && is_much);
                takes_long && passage.edits() && self.target_has_news()
            }
        }
    }

    /// What is held lies on the disk, in part.
    fn waits_elsewhere(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.lies_elsewhere())
    }

    /// Waits for a place for what takes long.
    async fn place_aside(&mut self) -> Result<Place, Stop> {
        let expires = instant(self.keeper.engine.house.now(), self.keeper.grant.lease().task.expires);
        let engine = self.keeper.engine.clone();
        tokio::select! {
            biased;
            signal = self.keeper.seat.signals.recv() => Err(told(signal)),
            place = engine.aside.place() => Ok(place),
            () = tokio::time::sleep_until(expires) => Err(told(None)),
        }
    }

    /// Makes of both connections the two sides of a WebSocket.
    async fn switch(&mut self) -> Result<Sockets, Stop> {
        let place = self.connection.keep_place();
        let max = self.keeper.engine.limits.body_bytes_max;
        let (Some(client), Upstream::Switching(target)) =
            (self.upgrade.take(), std::mem::replace(&mut self.upstream, Upstream::Ended))
        else {
            return Err(socket::ended("a connection did not leave HTTP"));
        };
        self.connection.lead_on();
        let client = Speaker::open(client, Role::Server, max).await?;
        let target = Speaker::open(target, Role::Client, max).await?;
        Ok(Sockets { client, target, _place: place })
    }

    /// Ends both sides of a WebSocket. The session ends with it.
    async fn part(&mut self, outcome: Result<(), Stop>, sockets: Sockets) -> Stop {
        let stop = outcome.err().unwrap_or_else(|| socket::ended("the WebSocket was closed"));
        let now = self.keeper.engine.house.now();
        match (self.held.take(), &stop.denial) {
            (Some(held), denial) => drop(self.keeper.passage.withdraw(now, held, denial.clone())),
            (None, Some(denial)) => self.keeper.passage.last_words(denial),
            (None, None) => {}
        }
        let _ = self.release(now);
        // What is not recorded is not said.
        let last: Vec<Said> = match recorded(&self.keeper.engine.disk, self.to_client.after()).await {
            Ok(()) => std::iter::from_fn(|| self.to_client.next()).collect(),
            Err(_) => Vec::new(),
        };
        // Whoever does not read hears no goodbye, and keeps nobody.
        tokio::join!(sockets.client.shut(last), sockets.target.shut(Vec::new()));
        Stop { denial: None, ..stop }
    }

    /// Carries messages until one side closes, or somebody ends it.
    async fn messages(&mut self, sockets: &mut Sockets) -> Result<Pause, Stop> {
        let Sockets { client, target, _place } = sockets;
        let limits = self.keeper.engine.limits;
        let expires = instant(self.keeper.engine.house.now(), self.keeper.grant.lease().task.expires);
        let pause = Duration::from_secs(PAUSE_SECS_MAX);
        loop {
            self.progress(false)?;
            recorded(&self.keeper.engine.disk, self.to_target.after().max(self.to_client.after())).await?;
            let (client_owed, target_owed) = (client.is_behind(&self.to_client), target.is_behind(&self.to_target));
            // What ends one side ends the other, once that has taken what was said before.
            let is_over = client.is_leaving(&self.to_client) || target.is_leaving(&self.to_target);
            if is_over && !client_owed && !target_owed {
                return Ok(Pause::Over);
            }
            if self.is_heavy(Side::Target) || self.is_heavy(Side::Client) {
                return self.place_aside().await.map(Pause::Heavy);
            }
            // What is asked for now goes nowhere any more.
            let is_held = self.held.is_some() && !is_over;
            let answered_by = self
                .held
                .as_ref()
                .filter(|_| is_held)
                .map(|held| instant(self.keeper.engine.house.now(), held.expires()));
            let until = answered_by.map_or(expires, |answered_by| expires.min(answered_by));
            // While one message waits the next is not read, but whether its client is still there.
            let has_room = if is_held {
                self.client.len() < limits.body_bytes_max
            } else {
                self.to_target.waiting() < limits.outlet_bytes_max
            };
            let hears_client = !is_over && has_room;
            let hears_target = !is_over && self.client_has_room();
            for (side, is_owed) in [(&mut *client, client_owed), (&mut *target, target_owed)] {
                if !is_owed {
                    side.taken = Instant::now();
                }
            }
            let (client_by, target_by) = (client.taken + pause, target.taken + pause);
            let (held, to_client, to_target) = (&mut self.held, &mut self.to_client, &mut self.to_target);
            // In no order, so that no side that talks without end keeps the other from being heard.
            tokio::select! {
                signal = self.keeper.seat.signals.recv() => return Err(told(signal)),
                answer = poll_fn(|cx| held.as_mut().map_or(std::task::Poll::Pending, |held| held.poll_answer(cx))), if is_held => {
                    if self.waits_elsewhere() {
                        return self.place_aside().await.map(|place| Pause::Answered(place, answer));
                    }
                    self.resume(answer)?;
                }
                happened = poll_fn(|cx| target.poll(to_target, hears_target, cx)), if target.is_there => match happened? {
                    Happened::Took => {}
                    Happened::Said(message) => target.is_there &= socket::heard(message, &mut self.target)?,
                },
                happened = poll_fn(|cx| client.poll(to_client, hears_client, cx)), if client.is_there => match happened? {
                    Happened::Took => {}
                    Happened::Said(message) => client.is_there &= socket::heard(message, &mut self.client)?,
                },
                () = tokio::time::sleep_until(until) => match is_held {
                    true => self.resume(None)?,
                    false => return Err(told(None)),
                },
                () = tokio::time::sleep_until(client_by), if client_owed => return Err(socket::ended("a side takes nothing")),
                () = tokio::time::sleep_until(target_by), if target_owed => return Err(socket::ended("a side takes nothing")),
            }
            // What was said last is passed on first.
            self.client_needs = 1;
            self.target_needs = 1;
        }
    }

    /// The request may not be there in whole, though its answer is.
    fn finish(&mut self) -> Result<(), Stop> {
        if self.body.is_none() {
            return Ok(());
        }
        match self.upstream {
            // What was refused is dropped.
            Upstream::Unasked => {
                write_head(Tag::End, None, std::iter::empty(), &mut self.client);
                self.progress(true)
            }
            Upstream::Asked(..) | Upstream::Answering(_) | Upstream::Switching(_) | Upstream::Ended => {
                let cause = "the target answered before it had heard all".into();
                Err(Stop { blame: Blame::Target, cause, denial: None })
            }
        }
    }

    fn lost(&self) -> Stop {
        let denial = unreachable(self.keeper.grant.target().name.as_str());
        Stop { blame: Blame::Target, cause: "the target could not be reached".into(), denial: Some(denial) }
    }

    /// The target was asked, and says nothing for longer than it may.
    fn silent(&self) -> Stop {
        let (target, secs) = (&self.keeper.grant.target().name, self.keeper.engine.limits.http_silence_secs_max);
        let silence = format!("the target said nothing for {secs} s, which is limits.http_silence_secs_max");
        tracing::error!(%target, cause = silence, "the target does not answer");
        let denial = Denial::new(
            Reason::Silent,
            format!("target \"{target}\" does not answer"),
            silence.clone(),
            "Nobody knows whether it did what was asked: look before you ask again, and for less at a time, or have the operator \
             of the gateway raise the limit",
        );
        Stop { blame: Blame::Target, cause: silence, denial: Some(denial) }
    }

    /// Takes all from the buffers that can be taken now; what takes long only where it keeps nobody.
    fn progress(&mut self, is_aside: bool) -> Result<(), Stop> {
        let now = self.keeper.engine.house.now();
        loop {
            let before = (self.client.len(), self.target.len());
            let taken = self.take_from_target(now, is_aside).and_then(|()| self.take_from_client(now, is_aside));
            let shown = self.release(now);
            taken.and(shown)?;
            let is_full = !self.client_has_room();
            if is_full || is_aside || before == (self.client.len(), self.target.len()) {
                return Ok(());
            }
        }
    }

    fn take_from_target(&mut self, now: Timestamp, is_aside: bool) -> Result<(), Stop> {
        let before = self.target.len();
        // Between two pieces of work it is heard what ends it, and others have their turn.
        let most = if is_aside { aside::most(self.keeper.passage.is_slow()) } else { usize::MAX };
        while before - self.target.len() < most
            && self.target_has_news()
            && self.client_has_room()
            && (is_aside || !self.is_heavy(Side::Target))
        {
            let next = self.keeper.passage.advance(now, Side::Target, &mut self.target)?;
            self.waits = false;
            match next {
                Next::Out(frame) => {
                    self.target_needs = 1;
                    frame.map_or(Ok(()), |frame| self.to_target.push(frame)).map_err(Stop::from)?;
                }
                Next::Read { at_least } => self.target_needs = at_least,
                Next::Wait | Next::Survey | Next::Foretell(_) | Next::Hold(_) => break,
            }
        }
        Ok(())
    }

    fn client_has_news(&self) -> bool {
        let waits = self.waits || self.held.is_some();
        !self.client.is_empty() && self.client.len() >= self.client_needs && !waits
    }

    fn target_has_news(&self) -> bool {
        !self.target.is_empty() && self.target.len() >= self.target_needs
    }

    /// What waits for the client is within bounds.
    fn client_has_room(&self) -> bool {
        let max = self.keeper.engine.limits.outlet_bytes_max;
        self.to_client.waiting() + self.keeper.passage.unseen_bytes() < max
    }

    fn take_from_client(&mut self, now: Timestamp, is_aside: bool) -> Result<(), Stop> {
        while self.client_has_news() && (is_aside || !self.is_heavy(Side::Client)) {
            match self.keeper.passage.advance(now, Side::Client, &mut self.client)? {
                Next::Out(frame) => {
                    self.client_needs = 1;
                    frame.map_or(Ok(()), |frame| self.to_target.push(frame)).map_err(Stop::from)?;
                }
                Next::Read { at_least } => self.client_needs = at_least,
                // Nothing is foretold of requests.
                Next::Wait | Next::Survey | Next::Foretell(_) => self.waits = true,
                Next::Hold(held) => {
                    self.client_needs = 1;
                    // What was taken shares its memory, which is let go of only with it.
                    self.client = BytesMut::from(&*self.client);
                    let session = self.keeper.grant.session();
                    tracing::info!(request = %held.request(), %session, "an operation waits for approval");
                    self.held = Some(held);
                    // It may be long until an answer takes its mark along.
                    self.keeper.passage.record_marks(now);
                }
            }
        }
        Ok(())
    }

    fn release(&mut self, now: Timestamp) -> Result<(), Stop> {
        let (mut pushed, to_client) = (Ok(()), &mut self.to_client);
        self.keeper.passage.release(now, |frame| {
            if pushed.is_ok() {
                pushed = to_client.push(frame);
            }
        })?;
        pushed.map_err(Stop::from)
    }

    fn resume(&mut self, answer: Option<gatehouse_gate::Answer>) -> Result<(), Stop> {
        if let Some(held) = self.held.take() {
            let frame = self.keeper.passage.resume(self.keeper.engine.house.now(), held, answer)?;
            frame.map_or(Ok(()), |frame| self.to_target.push(frame)).map_err(Stop::from)?;
        }
        Ok(())
    }

    async fn event(&mut self) -> Event {
        let max = self.keeper.engine.limits.outlet_bytes_max;
        let now = self.keeper.engine.house.now();
        let ends = self.keeper.grant.lease().task.expires;
        let expires = instant(now, self.held.as_ref().map_or(ends, |held| held.expires().min(ends)));
        // A body that is waited for in whole may be as long as what is held; what is only passed on waits for its taker.
        // Past what passes through, only as many hold back more as there are places.
        let held_back = self.keeper.passage.held_bytes() + self.client.len() + self.to_client.waiting();
        if held_back <= 2 * max {
            // Others have the place that it needs no more.
            self.large = None;
        }
        let lacks_place = held_back > 2 * max && self.large.is_none();
        let wants_body = !lacks_place
            && self.to_target.waiting() < max
            && (self.client.len() < max || self.client.len() < self.client_needs);
        let wants_answer = !lacks_place && self.client_has_room() && self.target.len() < max;
        let is_due = matches!(self.upstream, Upstream::Asked(..) | Upstream::Answering(_)) && wants_answer;
        let is_asking = wants_body && self.body.is_some() && self.held.is_none() && !is_due;
        // A client that does not take what it asked for keeps it here.
        let is_slow = !self.to_client.is_empty();
        // What others say meanwhile does not count for it.
        let pause = Duration::from_secs(PAUSE_SECS_MAX);
        let silence = Duration::from_secs(self.keeper.engine.limits.http_silence_secs_max.into());
        if !is_slow {
            self.taken = Instant::now();
        }
        if !is_asking {
            self.said = Instant::now();
        }
        let (taken, said) = (self.taken + pause, self.said + pause);
        let (upstream, held) = (&mut self.upstream, &mut self.held);
        let places = self.connection.large.clone();
        tokio::select! {
            biased;
            signal = self.keeper.seat.signals.recv() => Event::Signal(signal),
            answer = poll_fn(|cx| held.as_mut().map_or(std::task::Poll::Pending, |held| held.poll_answer(cx))) => {
                Event::Answered(answer)
            }
            () = gone(&mut self.answer, &self.answer_parts) => Event::Left,
            () = room(&self.answer_parts), if !self.to_client.is_empty() => Event::Moved,
            () = room(&self.asked_parts), if !self.to_target.is_empty() => Event::Moved,
            place = places.acquire_owned(), if lacks_place => Event::Large(place.ok()),
            event = hear(upstream), if wants_answer => event,
            frame = next(&mut self.body), if wants_body => Event::Asked(frame),
            () = tokio::time::sleep_until(expires) => Event::Expired,
            () = tokio::time::sleep(silence), if is_due => Event::Silent,
            () = tokio::time::sleep_until(taken), if is_slow => Event::Left,
            () = tokio::time::sleep_until(said), if is_asking => Event::Left,
            // What is held for a person has its place, and may have it for long.
            () = tokio::time::sleep(pause), if lacks_place => Event::Crowded,
        }
    }

    /// The client said more.
    fn asked(&mut self, frame: Option<io::Result<Frame<Bytes>>>) -> Result<(), Stop> {
        self.said = Instant::now();
        match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    write_frame(Tag::Body, data, &mut self.client);
                } else {
                    // Nobody judges what comes after a body, so that it does not go on.
                    write_head(Tag::End, None, std::iter::empty(), &mut self.client);
                    self.body = None;
                }
                Ok(())
            }
            Some(Err(_)) => Err(left()),
            None => {
                write_head(Tag::End, None, std::iter::empty(), &mut self.client);
                self.body = None;
                Ok(())
            }
        }
    }

    fn head(&mut self, mut response: Response<Received>) {
        let switching =
            (response.status() == StatusCode::SWITCHING_PROTOCOLS).then(|| hyper::upgrade::on(&mut response));
        let (parts, body) = response.into_parts();
        self.again = None;
        self.is_coded = parts
            .headers
            .get(CONTENT_ENCODING)
            .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        self.keeper.was_refused = parts.status == http::StatusCode::UNAUTHORIZED && self.keeper.account.is_some();
        write_answer(Tag::Response, parts.status, &parts.headers, &mut self.target);
        if let Some(switching) = switching {
            self.upstream = Upstream::Switching(switching);
        } else if body.is_end_stream() {
            write_head(Tag::End, None, std::iter::empty(), &mut self.target);
            self.upstream = Upstream::Ended;
        } else {
            self.upstream = Upstream::Answering(body);
        }
    }

    /// The target said more.
    fn said(&mut self, frame: Option<io::Result<Frame<Bytes>>>) -> Result<(), Stop> {
        match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let most = if self.is_coded { CODED_PART_BYTES_MAX } else { PART_BYTES_MAX };
                    write_frames(Tag::Body, data, most, &mut self.target);
                } else if let Some(trailers) = frame.trailers_ref() {
                    write_end(trailers, &mut self.target);
                    self.upstream = Upstream::Ended;
                }
                // What is complete is passed on at once, with its length.
                if let Upstream::Answering(body) = &self.upstream
                    && body.is_end_stream()
                {
                    write_head(Tag::End, None, std::iter::empty(), &mut self.target);
                    self.upstream = Upstream::Ended;
                }
                Ok(())
            }
            Some(Err(error)) => {
                tracing::warn!(target = %self.keeper.grant.target().name, %error, "the target broke an answer off");
                Err(self.lost())
            }
            None => {
                write_head(Tag::End, None, std::iter::empty(), &mut self.target);
                self.upstream = Upstream::Ended;
                Ok(())
            }
        }
    }

    /// Writes what was cleared, as far as it is taken.
    async fn flush(&mut self) -> Result<(), Stop> {
        self.flush_to_target().await?;
        self.flush_to_client().await
    }

    async fn flush_to_target(&mut self) -> Result<(), Stop> {
        while self.asked_parts.as_ref().is_none_or(|parts| parts.capacity() > 1) {
            match self.to_target.next() {
                None => break,
                Some(Said::Request { method, target, headers, after }) => {
                    recorded(&self.keeper.engine.disk, after).await?;
                    let parts = self.asked_body();
                    let whole = match &parts {
                        Parts::Whole(whole) => whole.clone(),
                        Parts::Coming(..) => None,
                    };
                    let again = whole.map(|body| {
                        let (method, target, headers) = (method.clone(), target.clone(), headers.clone());
                        Box::new(Again { method, target, headers, body })
                    });
                    let mut headers = headers;
                    let body = again.as_ref().map(|again| &*again.body);
                    let uri = self.show(&method, &target, body, &mut headers)?;
                    self.again = again;
                    self.ask(method, uri, headers, parts);
                }
                Some(Said::Part(part)) => give(&self.asked_parts, Some(Frame::data(part))),
                Some(Said::End(trailers)) => {
                    if !trailers.is_empty() {
                        give(&self.asked_parts, Some(Frame::trailers(trailers)));
                    }
                    give(&self.asked_parts, None);
                    self.asked_parts = None;
                }
                Some(Said::Abort | Said::Interim(_) | Said::Response(_) | Said::Message(_) | Said::Close(_)) => {
                    self.asked_parts = None;
                }
            }
        }
        Ok(())
    }

    /// Sends a request to the target.
    fn ask(&mut self, method: Method, uri: Uri, headers: HeaderMap, parts: Parts) {
        let mut request = Request::new(ClearedBody::new(parts, None));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        // It is a matter of this connection, as HTTP/1.1 wants it said (RFC 9110, section 10.1.4). Behind TLS a connection may turn out
        // to be one of HTTP/2, in which nothing may say so.
        let is_plain = self.keeper.grant.target().route.tls == gatehouse_gate::TlsMode::Disable;
        if is_plain && request.headers().contains_key(TE) {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("te"));
        }
        // What the target says before its answer is heard where the client can hear it.
        let heard = self.interims.is_some().then(Told::new);
        let hearing = heard.clone().map(Hearing::new);
        let answer = match request.headers().contains_key(UPGRADE) {
            true => {
                let engine = &self.keeper.engine;
                let client = engine.exchanges.of(&self.keeper.grant, Speaks::Http1, engine.limits.connect_secs_max);
                client.request(request, hearing)
            }
            false => self.keeper.client.request(request, hearing),
        };
        self.upstream = Upstream::Asked(answer, heard);
    }

    fn asked_body(&mut self) -> Parts {
        match self.to_target.rest_of_message(usize::MAX) {
            Some(whole) => Parts::Whole(Some(whole)),
            None => {
                let (sender, parts) = mpsc::channel(PARTS_MAX);
                self.asked_parts = Some(sender);
                Parts::Coming(parts, None)
            }
        }
    }

    async fn flush_to_client(&mut self) -> Result<(), Stop> {
        let after = self.to_client.after();
        recorded(&self.keeper.engine.disk, after).await?;
        while self.answer_parts.as_ref().is_none_or(|parts| parts.capacity() > 1) {
            match self.to_client.next() {
                None => break,
                Some(Said::Response(mut response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    let headers = response.headers_mut();
                    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                    let answer = self.answer.take().ok_or_else(left)?;
                    let response = response.map(|()| ClearedBody::new(Parts::Whole(None), None));
                    answer.send(Ok(response)).map_err(|_| left())?;
                    return Ok(());
                }
                Some(Said::Response(response)) => {
                    let body = match self.to_client.rest_of_message(WHOLE_BYTES_MAX) {
                        Some(whole) => {
                            self.is_answered = true;
                            Parts::Whole(Some(whole))
                        }
                        None => {
                            let (sender, parts) = mpsc::channel(PARTS_MAX);
                            self.answer_parts = Some(sender);
                            Parts::Coming(parts, self.to_client.message_len().map(|(len, _)| len))
                        }
                    };
                    let answer = self.answer.take().ok_or_else(left)?;
                    let busy = self.busy.take();
                    answer.send(Ok(response.map(|()| ClearedBody::new(body, busy)))).map_err(|_| left())?;
                }
                Some(Said::Part(part)) => {
                    self.taken = Instant::now();
                    give(&self.answer_parts, Some(Frame::data(part)));
                }
                Some(Said::End(trailers)) => {
                    if !trailers.is_empty() {
                        give(&self.answer_parts, Some(Frame::trailers(trailers)));
                    }
                    give(&self.answer_parts, None);
                    self.answer_parts = None;
                    self.is_answered = true;
                }
                Some(Said::Abort) => {
                    let cause = "the answer was broken off".into();
                    return Err(Stop { blame: Blame::Target, cause, denial: None });
                }
                Some(Said::Interim(interim)) => {
                    if let Some(interims) = &self.interims {
                        interims.tell(interim);
                    }
                }
                Some(Said::Request { .. } | Said::Message(_) | Said::Close(_)) => {}
            }
        }
        Ok(())
    }

    /// Puts the gateway's own credential where the target wants it, and says where the request goes.
    fn show(&self, method: &Method, target: &str, body: Option<&[u8]>, headers: &mut HeaderMap) -> Result<Uri, Stop> {
        let uri = self.placed(target, headers).ok_or_else(|| self.unproven())?;
        let route = &self.keeper.grant.target().route;
        // Last, for it signs what is there.
        if let (Account::Shown(Showing::Aws(aws)), Some(account)) = (&route.account, &self.keeper.account) {
            let keys = aws::Keys::read(aws, &account.password).ok_or_else(|| self.unproven())?;
            let now = self.keeper.engine.house.now();
            aws::sign_request(aws, keys, (method, &uri, body), headers, now).ok_or_else(unsigned)?;
        }
        Ok(uri)
    }

    /// The same, but for a signature; `None` if what the gateway proves itself by has no place in a request.
    fn placed(&self, target: &str, headers: &mut HeaderMap) -> Option<Uri> {
        let route = &self.keeper.grant.target().route;
        let mut target = target.to_string();
        let mut put = |name: HeaderName, value: &[u8]| {
            let mut value = HeaderValue::from_bytes(value).ok()?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Some(())
        };
        if let (Account::Shown(showing), Some(account)) = (&route.account, &self.keeper.account) {
            let secret = account.password.expose();
            match showing {
                Showing::Bearer => put(AUTHORIZATION, &[b"Bearer ", secret].concat())?,
                Showing::Basic(user) => put(AUTHORIZATION, format!("Basic {}", basic(user, secret)).as_bytes())?,
                Showing::Header(name) => put(HeaderName::from_bytes(name.as_bytes()).ok()?, secret)?,
                Showing::Parameter(name) => {
                    let pair = form_urlencoded::Serializer::new(String::new())
                        .append_pair(name, std::str::from_utf8(secret).ok()?)
                        .finish();
                    target.push(if target.contains('?') { '&' } else { '?' });
                    target.push_str(&pair);
                }
                Showing::Aws(_) => {}
            }
        }
        let subject = &self.keeper.grant.lease().subject;
        if let Some((user, _)) = &subject.on_behalf_of {
            let who = format!("{} for user:{user}", subject.identity);
            headers.insert(HeaderName::from_static(ON_BEHALF), HeaderValue::from_str(&who).ok()?);
        }
        let scheme = if route.tls == gatehouse_gate::TlsMode::Disable { "http" } else { "https" };
        let host = if route.host.contains(':') { format!("[{}]", route.host) } else { route.host.clone() };
        let authority = format!("{host}:{}", route.port);
        Uri::builder().scheme(scheme).authority(authority).path_and_query(target).build().ok()
    }

    /// What the operator gave the gateway to prove itself by cannot be shown as the configuration says.
    fn unproven(&self) -> Stop {
        let name = &self.keeper.grant.target().name;
        tracing::error!(target = %name, "the credential of a target has no place in a request: it is not of the form that it has to be");
        let cause = "the gateway's credential has no place in the request".into();
        Stop { blame: Blame::Gateway, cause, denial: Some(unreachable(name.as_str())) }
    }
}

/// An error with what it came from.
fn with_sources(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Waits until a record is as safe as it must be.
async fn recorded(disk: &Disk, after: Option<u64>) -> Result<(), Stop> {
    let Some(index) = after else { return Ok(()) };
    disk.holds(index).await.map_err(|error| Stop {
        blame: Blame::Gateway,
        cause: format!("a record could not be written to the disk: {error}"),
        denial: Some(Denial::new(
            Reason::Unrecorded,
            "the request cannot be recorded, so it was not passed on",
            "the gateway's disk may be full",
            "Try again later, or tell the operator of the gateway",
        )),
    })
}

/// What there is room for is taken; whoever has left takes nothing.
fn give(parts: &Option<mpsc::Sender<Part>>, part: Part) {
    if let Some(parts) = parts {
        let _ = parts.try_send(part);
    }
}

/// Ready when the client does not wait any more.
async fn gone(answer: &mut Option<oneshot::Sender<Answer>>, parts: &Option<mpsc::Sender<Part>>) {
    match (answer, parts) {
        (Some(answer), _) => answer.closed().await,
        (None, Some(parts)) => parts.closed().await,
        (None, None) => std::future::pending().await,
    }
}

/// Ready when there is room for a part.
async fn room(parts: &Option<mpsc::Sender<Part>>) {
    match parts {
        // Whoever has left takes everything.
        Some(parts) => drop(parts.reserve_many(2).await),
        None => std::future::pending().await,
    }
}

async fn next(body: &mut Option<Received>) -> Option<io::Result<Frame<Bytes>>> {
    match body {
        Some(body) => body.frame().await,
        None => std::future::pending().await,
    }
}

async fn hear(upstream: &mut Upstream) -> Event {
    match upstream {
        Upstream::Asked(answer, Some(heard)) => tokio::select! {
            biased;
            interim = heard.next() => Event::Interim(interim),
            answer = answer => Event::Head(answer),
        },
        Upstream::Asked(answer, None) => Event::Head(answer.await),
        Upstream::Answering(body) => Event::Said(body.frame().await),
        Upstream::Unasked | Upstream::Switching(_) | Upstream::Ended => std::future::pending().await,
    }
}

fn write_answer(tag: Tag, status: StatusCode, headers: &HeaderMap, out: &mut BytesMut) {
    let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    write_head(tag, Some(status.as_str().as_bytes()), fields, out);
}

fn write_end(trailers: &HeaderMap, out: &mut BytesMut) {
    write_head(Tag::End, None, trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())), out);
}

/// Writes a request's head, without what says whose it is.
fn write_request(parts: &http::request::Parts, destination: &Destination, has_body: bool, out: &mut BytesMut) {
    let first = format!("{} {}", parts.method, destination.rest);
    let is_kept = |name: &HeaderName| match *name {
        AUTHORIZATION => !destination.is_own,
        PROXY_AUTHORIZATION => false,
        _ => name.as_str() != BASE,
    };
    let names = parts.headers.iter().filter(|(name, _)| is_kept(name));
    let fields = names.map(|(name, value)| (name.as_str(), value.as_bytes()));
    // In HTTP/2 nothing says that a body is of unknown length.
    let is_unsaid =
        has_body && !parts.headers.contains_key(CONTENT_LENGTH) && !parts.headers.contains_key(TRANSFER_ENCODING);
    let coding = is_unsaid.then_some((TRANSFER_ENCODING.as_str(), b"chunked".as_slice()));
    let taken_for = if destination.is_taken_for_it { "=" } else { "" };
    let base = format!("{taken_for}{}{}", destination.origin, destination.base);
    let base = Some((BASE, base.as_bytes()));
    write_head(Tag::Request, Some(first.as_bytes()), fields.chain(coding).chain(base), out);
}
