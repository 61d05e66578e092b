//! Carries HTTP: accepts connections, finds out whose each request is and where it goes, and hands it to a lane.
//!
//! A lane is one session: one identity, one task, one target, one request after the other. A connection that asks for several
//! things at a time has several lanes.

mod aws;
mod counted;
mod interim;
mod lane;
mod multiplex;
mod outlet;
mod pool;
mod socket;
mod streams;
mod tunnel;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use gatehouse_gate::Whereto;
use gatehouse_model::{Denial, Reason, RequestId, Secret, TargetName, TaskId};
use gatehouse_protocol::{ClientCertificate, Exchanges};
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use crate::listener::{Engine, Listener};
use crate::login;
use crate::places::Place;
use crate::tls::ServerTls;
use crate::wire::{Early, Wire};
use crate::{Stranger, TokenSource};

use interim::{Interims, Spoken, Told};
use lane::{Lane, Order};
use outlet::ClearedBody;
pub(crate) use pool::Targets;
use streams::Received;

/// What a client speaks before it is known to which target.
const CARRIED: &str = "http";
/// Where in a target's place the gateway says what became of requests for approval (RFC 8615).
const REQUESTS: &str = "/.well-known/gatehouse/requests/";
/// Where a client finds out who gives tokens for a target: before the target's path (RFC 9728, section 3.1).
const RESOURCES: &str = "/.well-known/oauth-protected-resource";
/// The ways in which clients prove themselves.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"gatehouse\"");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"gatehouse\"");
/// The longest name that a client may call the gateway by, with a port, in bytes: answers may repeat it.
const HOST_BYTES_MAX: usize = 253 + ":65535".len();
/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How many fields a head has at most, and how many trailers a body.
const FIELDS_MAX: usize = 1_000;
/// How many sessions may end before they have looked at a request, until it is refused.
const LANES_TRIED_MAX: usize = 4;
/// How many requests a connection may have at a time.
const STREAMS_MAX: u32 = 32;
/// How much of a request's body in HTTP/2 a client may send before it is taken, in bytes: one that waits for its turn leaves room
/// for the others.
const STREAM_BYTES_MAX: u32 = 256 * 1024;
/// How many requests of a connection may hold back more than what passes through: a body that is judged or masked in whole, and is
/// long.
const LARGE_MAX: usize = 4;
/// How many sessions a connection may have opened at a time.
const OPENINGS_MAX: usize = STREAMS_MAX as usize;
/// How long a client may take nothing, or say nothing in the middle of a request, in seconds.
const PAUSE_SECS_MAX: u64 = 120;
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// What HTTP/2 is called when TLS begins, and how it begins without (RFC 9113, sections 3.2 and 3.4).
const H2: &[u8] = b"h2";
const H2_BEGINS: &[u8; 4] = b"PRI ";
/// How long a connection is kept on which nothing is asked, in seconds.
const REST_SECS_MAX: u64 = 60;
/// How long one that is to end may take for what was asked before.
const GOODBYE: Duration = Duration::from_secs(5);
/// How soon it is looked again whether a connection rests on which something is asked, and on which nothing is.
const LOOK_AGAIN_BUSY: Duration = Duration::from_secs(1);
const LOOK_AGAIN_IDLE: Duration = Duration::from_secs(5);
/// How soon at the least; and how soon it is looked again whether the rest of a beginning is there.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A client's connection.
struct Connection {
    engine: Arc<Engine>,
    /// What is spoken here.
    protocols: Arc<[Arc<dyn Exchanges>]>,
    peer: SocketAddr,
    is_private: bool,
    /// What its addresses begin with.
    scheme: &'static str,
    certificate: Option<Arc<ClientCertificate>>,
    /// For whom and to which target it was opened, inside of a connection to the gateway as a proxy.
    tunnel: Option<Tunnel>,
    /// Lanes that rest, by what opened them.
    lanes: Mutex<HashMap<Key, Vec<Lane>>>,
    /// Connections inside of this one, which keep its place.
    tunnels: Mutex<JoinSet<()>>,
    activity: Arc<Mutex<Activity>>,
    /// Places for what holds back much.
    large: Arc<Semaphore>,
    /// Places for sessions that are being opened: that goes on when its request was given up, so that those would have no limit.
    openings: Arc<Semaphore>,
    /// Its place at the listener.
    place: Arc<Place>,
}

/// What was asked on a connection of late.
#[derive(Clone, Copy)]
struct Activity {
    /// How many answers are not taken to their end.
    active: usize,
    /// How many requests are not answered to their end, whatever is taken of that.
    asked: usize,
    begun: Instant,
    /// When something was asked, answered or taken.
    last: Instant,
    /// Somebody proved who they are.
    is_known: bool,
    /// It no longer carries HTTP, but what was agreed on by it.
    is_led_on: bool,
    /// An answer was broken off; whoever does not take what came of it is not waited for long.
    is_broken: bool,
}

impl Activity {
    fn begin() -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            active: 0,
            asked: 0,
            begun: Instant::now(),
            last: Instant::now(),
            is_known: false,
            is_led_on: false,
            is_broken: false,
        }))
    }
}

/// A request whose answer is not taken to its end; whatever becomes of it, this is dropped.
pub(crate) struct Busy(Arc<Mutex<Activity>>);

impl Busy {
    fn new(activity: &Arc<Mutex<Activity>>) -> Self {
        {
            let mut activity = activity.lock().unwrap_or_else(PoisonError::into_inner);
            activity.active += 1;
            activity.last = Instant::now();
        }
        Self(activity.clone())
    }

    /// More of its answer was taken.
    fn moved(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last = Instant::now();
    }

    /// The same request is at work, until what is given back is dropped.
    fn asked(&self) -> Asked {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).asked += 1;
        Asked(self.0.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut activity = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        activity.active -= 1;
        activity.is_broken &= activity.active > 0;
        activity.last = Instant::now();
    }
}

/// A request that is not answered to its end. It has limits of its own on how long it waits for whom.
struct Asked(Arc<Mutex<Activity>>);

impl Asked {
    /// Its answer has begun, and has no end.
    fn break_off(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_broken = true;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut activity = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        activity.asked -= 1;
        activity.last = Instant::now();
    }
}

/// What a client told the gateway as its proxy.
struct Tunnel {
    proof: Proof,
    target: String,
    /// The host that the client believes to speak to.
    host: String,
}

/// What opens a lane: the proof that a client shows, as a digest, and the target.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    proof: [u8; 32],
    target: String,
    protocol: &'static str,
}

/// Where a request goes.
struct Destination {
    target: String,
    protocol: Arc<dyn Exchanges>,
    /// Where the client reaches it, as the client calls it.
    origin: String,
    /// The client takes that for the target itself.
    is_taken_for_it: bool,
    /// The path under which it does, and what of its own path comes after.
    base: String,
    rest: String,
    /// Whether the request's own `Authorization` was for the gateway.
    is_own: bool,
}

/// Sees a connection through to its end.
pub(crate) async fn serve(
    engine: Arc<Engine>,
    listener: &Listener,
    protocols: &[Arc<dyn Exchanges>],
    stream: TcpStream,
    peer: SocketAddr,
    place: Arc<Place>,
) {
    let within = Duration::from_secs(u64::from(engine.limits.login_secs_max));
    let Begun { wire, certificate, is_h2 } = match tokio::time::timeout(within, begin(listener, stream)).await {
        Ok(Ok(begun)) => begun,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "the connection ended before a request"),
        Err(_) => return tracing::info!(%peer, "the client did not begin within limits.login_secs_max"),
    };
    let is_tls = matches!(wire, Wire::Server(_));
    let connection = Connection {
        engine,
        protocols: protocols.into(),
        peer,
        is_private: is_tls || peer.ip().is_loopback(),
        scheme: if is_tls { "https" } else { "http" },
        certificate,
        tunnel: None,
        lanes: Mutex::default(),
        tunnels: Mutex::default(),
        activity: Activity::begin(),
        large: Arc::new(Semaphore::new(LARGE_MAX)),
        openings: Arc::new(Semaphore::new(OPENINGS_MAX)),
        place,
    };
    connection.serve(TokioIo::new(wire), is_h2).await;
}

/// How a client speaks.
struct Begun {
    wire: Wire,
    certificate: Option<Arc<ClientCertificate>>,
    is_h2: bool,
}

/// Begins TLS, where the client does or must, and finds out which version of HTTP the client speaks.
async fn begin(listener: &Listener, stream: TcpStream) -> std::io::Result<Begun> {
    // As it is now: certificates are renewed while the gateway runs.
    let tls = listener.tls.as_ref().map(|tls| tls.borrow().clone());
    let mut first = [0; H2_BEGINS.len()];
    let mut count = stream.peek(&mut first).await?;
    if let Some(tls) = tls.filter(|_| listener.tls_required || first.first() == Some(&HANDSHAKE)) {
        let (wire, started) = tls.accept(Early::new(BytesMut::new(), stream)).await?;
        return Ok(Begun { wire, certificate: started.client, is_h2: started.application.as_deref() == Some(H2) });
    }
    // Few clients know beforehand that it is HTTP/2, and those say so at once.
    while count > 0 && count < first.len() && H2_BEGINS.starts_with(first.get(..count).unwrap_or_default()) {
        tokio::time::sleep(LOOK_AGAIN).await;
        count = stream.peek(&mut first).await?;
    }
    Ok(Begun { wire: Wire::Plain(stream), certificate: None, is_h2: first == *H2_BEGINS })
}

/// What a client speaks inside of a tunnel to a target.
enum Inside<I> {
    Tls(Box<TlsStream<Early<I>>>),
    /// HTTP as it is: the tunnel is for `http://` or `ws://`. Who can read it is a matter of the connection around it.
    Plain {
        stream: Early<I>,
        is_h2: bool,
    },
}

/// Finds out which of them it is by what the client says first, and begins TLS where the client does.
async fn begin_inside<I>(tls: &ServerTls, mut io: I) -> std::io::Result<Inside<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut read = BytesMut::new();
    // As long as it may be HTTP/2 that its client knows of beforehand.
    while read.len() < H2_BEGINS.len() && H2_BEGINS.starts_with(&read) {
        if io.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let is_tls = read.first() == Some(&HANDSHAKE);
    let is_h2 = read.starts_with(H2_BEGINS);
    let stream = Early::new(read, io);
    match is_tls {
        true => Ok(Inside::Tls(Box::new(tls.stand_in(stream).await?))),
        false => Ok(Inside::Plain { stream, is_h2 }),
    }
}

impl Connection {
    /// Boxed, for a connection may be inside of another.
    fn serve<I>(self, io: I, is_h2: bool) -> Pin<Box<dyn Future<Output = ()> + Send>>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let within = Duration::from_secs(u64::from(self.engine.limits.login_secs_max));
        let interims = Interims::default();
        let io = Spoken::new(io, interims.clone(), self.activity.clone());
        let (peer, connection) = (self.peer, Arc::new(self));
        Box::pin(async move {
            let outcome: Result<(), Box<dyn std::error::Error + Send + Sync>> = match is_h2 {
                true => streams::serve(&connection, TokioIo::new(io), within).await.map_err(Into::into),
                false => connection.serve_http1(io, &interims, within).await.map_err(Into::into),
            };
            if let Err(error) = outcome {
                tracing::debug!(%peer, %error, "a connection ended");
            }
            let tunnels = std::mem::take(&mut *connection.lock(&connection.tunnels));
            tunnels.join_all().await;
        })
    }

    async fn serve_http1<I>(self: &Arc<Self>, io: Spoken<I>, interims: &Interims, within: Duration) -> hyper::Result<()>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let service = service_fn(|request| {
            let (connection, interims) = (self.clone(), interims.clone());
            async move { Ok::<_, Infallible>(connection.answer_http1(request, &interims).await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(within).max_buf_size(HEAD_BYTES_MAX);
        builder.max_headers(FIELDS_MAX);
        let mut served = pin!(builder.serve_connection(io, service).with_upgrades());
        tokio::select! {
            outcome = served.as_mut() => outcome,
            () = self.rests(within) => {
                served.as_mut().graceful_shutdown();
                tokio::time::timeout(GOODBYE, served).await.unwrap_or(Ok(()))
            }
        }
    }

    /// Answers a request, and says what comes before its answer; HTTP/1.0 knows of nothing that does.
    async fn answer_http1(self: Arc<Self>, request: Request<Incoming>, interims: &Interims) -> Response<ClearedBody> {
        let told = (request.version() == Version::HTTP_11).then(Told::new);
        let busy = Busy::new(&self.activity);
        let mut answered = pin!(self.handle(request.map(Received::Http1), told.clone(), busy));
        let Some(told) = told else { return answered.await };
        let mut has_room = true;
        loop {
            tokio::select! {
                biased;
                interim = told.next(), if has_room => has_room = interims.say(&interim).await,
                response = answered.as_mut() => return response,
            }
        }
    }

    /// Somebody proved who they are, so this connection stays.
    fn known(&self) -> Result<(), Denial> {
        self.place.prove()?;
        self.lock(&self.activity).is_known = true;
        Ok(())
    }

    /// Its client spoke of something else than HTTP on it from then on.
    fn lead_on(&self) {
        self.lock(&self.activity).is_led_on = true;
    }

    fn lock<'m, T>(&self, of: &'m Mutex<T>) -> MutexGuard<'m, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when nothing was asked for a while: for a short one, as long as nobody has proved anything. Also when all is
    /// answered, and the client takes none of it.
    async fn rests(&self, within: Duration) {
        loop {
            let Activity { active, asked, begun, last, is_known, is_broken, .. } = *self.lock(&self.activity);
            let ends = match active {
                0 if !is_known => begun + within,
                0 => last + Duration::from_secs(REST_SECS_MAX),
                _ if is_broken => last + GOODBYE,
                _ => last + Duration::from_secs(PAUSE_SECS_MAX),
            };
            if asked == 0 && ends <= Instant::now() {
                return;
            }
            let now = Instant::now();
            let next = match active {
                0 => ends.min(now + LOOK_AGAIN_IDLE),
                _ if asked > 0 => now + LOOK_AGAIN_BUSY,
                _ => ends.min(now + LOOK_AGAIN_BUSY),
            };
            tokio::time::sleep_until(next.max(now + LOOK_AGAIN)).await;
        }
    }

    /// Answers a request; what comes before its answer is told to whoever can say it.
    async fn handle(
        self: Arc<Self>,
        request: Request<Received>,
        interims: Option<Told<Response<()>>>,
        busy: Busy,
    ) -> Response<ClearedBody> {
        let asked = busy.asked();
        if head_len(&request) > HEAD_BYTES_MAX {
            return too_long(format!("its address and its fields may have {HEAD_BYTES_MAX} bytes together"));
        }
        // Of HTTP/2 the library counts the bytes alone.
        if request.headers().len() > FIELDS_MAX {
            return too_long(format!("it may have {FIELDS_MAX} fields"));
        }
        if let Some(refusal) = misframed(&request) {
            return refusal;
        }
        if request.method() == Method::CONNECT {
            return self.connect(request).await;
        }
        if let Some(described) = self.described(&request) {
            return described;
        }
        let (proof, is_own) = match &self.tunnel {
            Some(tunnel) => (tunnel.proof.clone(), false),
            None => Proof::of(request.headers()),
        };
        // Shown twice, or inside of a tunnel as well, it is the gateway's all the same.
        let is_own = is_own || proof.is_in(request.headers().get(AUTHORIZATION));
        let destination = match self.destination(&request, is_own) {
            Ok(destination) => destination,
            Err(refusal) => return *refusal,
        };
        if let Some(id) = destination.rest.strip_prefix(REQUESTS) {
            return self.status(&proof, &destination.target, id).await.unwrap_or_else(|denial| problem(&denial));
        }
        let (target, protocol) = (destination.target.clone(), destination.protocol.name());
        let key = Key { proof: proof.digest(), target, protocol };
        let mut order = Order { request, interims, destination, busy: (busy, asked) };
        for _ in 0..LANES_TRIED_MAX {
            let lane = match self.rested(&key) {
                Some(lane) => lane,
                None => match self.open(proof.clone(), &order.destination).await {
                    Ok(lane) => lane,
                    Err(denial) => return self.told_of_tokens(problem(&denial), &order.destination),
                },
            };
            // A session that rested may end in the very moment in which it is asked.
            match lane.exchange(order, self.clone(), key.clone()).await {
                Ok(answer) => return answer,
                Err(returned) => order = *returned,
            }
        }
        problem(&lane::ended())
    }

    /// What is said of a target to whoever asks for tokens for it (RFC 9728): the same of each, whether it is there or not.
    fn described(&self, request: &Request<Received>) -> Option<Response<ClearedBody>> {
        let at = request.uri().path().strip_prefix(RESOURCES).filter(|_| self.tunnel.is_none())?;
        let mut parts = at.strip_prefix('/')?.split('/');
        let protocol = parts.next().filter(|name| self.protocols.iter().any(|protocol| protocol.name() == *name))?;
        let (target, None) = (TargetName::new(parts.next()?).ok()?, parts.next()) else { return None };
        let TokenSource { resources, issuer } = self.engine.house.token_source()?;
        let described = serde_json::json!({
            "resource": format!("{resources}/{protocol}/{target}"),
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
        });
        Some(json(&described))
    }

    /// Adds where that is said to the answer for somebody who is not known.
    fn told_of_tokens(&self, mut response: Response<ClearedBody>, destination: &Destination) -> Response<ClearedBody> {
        let is_named = !destination.base.is_empty() && TargetName::new(&destination.target).is_ok();
        let source = self.engine.house.token_source().filter(|_| is_named);
        if let (StatusCode::UNAUTHORIZED, Some(source)) = (response.status(), source) {
            let at = format!("{}{RESOURCES}{}", source.resources, destination.base);
            if let Ok(scheme) =
                HeaderValue::from_str(&format!("Bearer realm=\"gatehouse\", resource_metadata=\"{at}\""))
            {
                // In place of the first of them.
                let fields = response.headers_mut();
                fields.insert(WWW_AUTHENTICATE, scheme);
                fields.append(WWW_AUTHENTICATE, BASIC);
            }
        }
        response
    }

    /// Where a request goes: through a tunnel, by the target's own name, or by a path of the gateway's.
    fn destination(
        &self,
        request: &Request<Received>,
        is_own: bool,
    ) -> Result<Destination, Box<Response<ClearedBody>>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let authority = request.uri().authority().map(Authority::as_str);
        let named = authority.or_else(|| request.headers().get(HOST).and_then(|host| host.to_str().ok()));
        let named = named.unwrap_or_default();
        let (host, port) = host_and_port(named);
        let is_short = named.len() <= HOST_BYTES_MAX;
        let origin = named.parse::<Authority>().ok().filter(|named| is_short && !named.as_str().contains('@'));
        let origin = origin.map(|named| format!("{}://{named}", self.scheme)).unwrap_or_default();
        if let Some(tunnel) = &self.tunnel {
            if !host.eq_ignore_ascii_case(&tunnel.host) {
                return Err(Box::new(misdirected(host)));
            }
            return self.at(tunnel.target.clone(), origin, path, is_own);
        }
        if let Some(target) = self.engine.house.named(host, port) {
            return self.at(target, origin, path, is_own);
        }
        let under = |protocol: &Arc<dyn Exchanges>| {
            let rest = path.strip_prefix('/')?.strip_prefix(protocol.name())?.strip_prefix('/')?;
            Some((protocol.clone(), rest))
        };
        let Some((protocol, rest)) = self.protocols.iter().find_map(under) else {
            let hint = match request.version() < Version::HTTP_2 && request.uri().authority().is_some() {
                true => {
                    "`gatehouse targets ls` shows the targets; a host that is none is reached through a tunnel alone, where policy \
                     permits it: `curl --proxytunnel`"
                }
                false => "`gatehouse targets ls` shows the targets",
            };
            let denial = Denial::new(
                Reason::Unknown,
                "there is no target at this address",
                "targets are reached under /PROTOCOL/TARGET/, by their own names, or by the gateway as a proxy",
                hint,
            );
            return Err(Box::new(problem(&denial)));
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (target, rest) = rest.split_at(end);
        let rest = if rest.starts_with('/') { rest.to_string() } else { format!("/{rest}") };
        let base = format!("/{}/{target}", protocol.name());
        Ok(Destination { target: target.into(), protocol, origin, is_taken_for_it: false, base, rest, is_own })
    }

    /// The way to a target that is reached by a name of its own.
    fn at(
        &self,
        target: String,
        origin: String,
        path: &str,
        is_own: bool,
    ) -> Result<Destination, Box<Response<ClearedBody>>> {
        let found = self.engine.house.target(&target);
        let spoken = found.and_then(|found| self.protocols.iter().find(|protocol| protocol.name() == found.protocol));
        let Some(protocol) = spoken.cloned() else { return Err(Box::new(problem(&no_target(&target, "HTTP")))) };
        let is_taken_for_it = self.tunnel.is_some();
        Ok(Destination { target, protocol, origin, is_taken_for_it, base: String::new(), rest: path.into(), is_own })
    }

    /// Serves a client that takes the gateway for a proxy to a host (RFC 9110, section 9.3.6), by standing in for it.
    async fn connect(self: Arc<Self>, request: Request<Received>) -> Response<ClearedBody> {
        if request.version() == Version::HTTP_2 || self.tunnel.is_some() {
            let mut response = problem(&Denial::new(
                Reason::NotUnderstood,
                "the gateway is no proxy here",
                "a connection through it takes a connection of its own, by HTTP/1.1",
                "Ask for it on a connection to the gateway itself",
            ));
            *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
            return response;
        }
        let (proof, _) = Proof::of(request.headers());
        let (host, port) = host_and_port(request.uri().authority().map_or("", Authority::as_str));
        let host = plain_host(host);
        let house = &self.engine.house;
        let target = house.named(&host, port);
        // Whoever proves nothing learns nothing of which hosts there are.
        let task = match self.recognize(&proof, target.as_deref().unwrap_or_default()).await {
            Ok(task) => task,
            Err(denial) => {
                let mut response = problem(&denial);
                if response.status() == StatusCode::UNAUTHORIZED {
                    *response.status_mut() = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
                    response.headers_mut().insert(PROXY_AUTHENTICATE, BASIC);
                }
                return response;
            }
        };
        if let Err(denial) = self.known() {
            return problem(&denial);
        }
        let Some(target) = target else { return self.tunnel(request, &task, &host, port).await };
        let Some(tls) = house.stands_in_for(&host) else { return problem(&no_target(&target, "HTTP")) };
        let inner = Self {
            engine: self.engine.clone(),
            protocols: self.protocols.clone(),
            peer: self.peer,
            is_private: self.is_private,
            scheme: "https",
            certificate: self.certificate.clone(),
            tunnel: Some(Tunnel { proof, target, host }),
            lanes: Mutex::default(),
            tunnels: Mutex::default(),
            activity: Activity::begin(),
            large: self.large.clone(),
            openings: self.openings.clone(),
            place: self.place.clone(),
        };
        let within = Duration::from_secs(u64::from(self.engine.limits.login_secs_max));
        self.lead_on();
        let mut tunnels = self.lock(&self.tunnels);
        tunnels.spawn(async move {
            let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
            match tokio::time::timeout(within, begin_inside(&tls, TokioIo::new(upgraded))).await {
                Ok(Ok(Inside::Tls(stream))) => {
                    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                    inner.serve(TokioIo::new(stream), is_h2).await;
                }
                Ok(Ok(Inside::Plain { stream, is_h2 })) => {
                    let plain = Self { scheme: "http", ..inner };
                    plain.serve(TokioIo::new(stream), is_h2).await;
                }
                Ok(Err(error)) => tracing::debug!(peer = %inner.peer, %error, "nothing began in a tunnel"),
                Err(_) => tracing::debug!(peer = %inner.peer, "nothing began in a tunnel in time"),
            }
        });
        Response::new(ClearedBody::whole(Bytes::new()))
    }

    /// Leads a client to a host that is no target, if policy lets it.
    async fn tunnel(
        &self,
        request: Request<Received>,
        task: &TaskId,
        host: &str,
        port: Option<u16>,
    ) -> Response<ClearedBody> {
        let engine = self.engine.clone();
        let host = host.trim_matches(['[', ']']);
        let port = port.unwrap_or(443);
        let is_ours = engine.house.is_own(host, port);
        let opened = || {
            let lease = engine.house.lease(task).ok_or_else(login::task_over)?;
            let to = if is_ours { Whereto::Own(host, port) } else { Whereto::Elsewhere(host, port) };
            engine.gate.tunnel(engine.house.now(), login::new_session(&engine), lease, to, &self.peer.to_string())
        };
        let tunnel = match opened() {
            Ok(tunnel) => tunnel,
            Err(mut denial) => {
                if !is_ours {
                    denial.hint = format!(
                        "{host} is no target of this gateway: the operator adds it to the `names` of one, or a policy permits \
                         `tunnel` on Host::\"{host}:{port}\""
                    );
                }
                return problem(&denial);
            }
        };
        let mut way = tunnel::Way::new(engine, tunnel);
        let target = match way.dial().await {
            Ok(target) => target,
            Err(denial) => return problem(&denial),
        };
        self.lead_on();
        let mut tunnels = self.lock(&self.tunnels);
        tunnels.spawn(async move {
            if let Ok(client) = hyper::upgrade::on(request).await {
                way.carry(TokioIo::new(client), target).await;
            }
        });
        Response::new(ClearedBody::whole(Bytes::new()))
    }

    /// A lane that is open and has nothing to do.
    fn rested(&self, key: &Key) -> Option<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = lanes.get_mut(key)?;
        rested.retain(Lane::is_open);
        rested.pop()
    }

    /// Keeps this connection's place for as long as what is given back lives.
    fn keep_place(&self) -> oneshot::Sender<()> {
        let (kept, over) = oneshot::channel();
        self.lock(&self.tunnels).spawn(async move {
            // Nobody ever says anything.
            let _ = over.await;
        });
        kept
    }

    fn give_back(&self, key: Key, lane: Lane) {
        let mut lanes = self.lock(&self.lanes);
        lanes.retain(|_, rested| {
            rested.retain(Lane::is_open);
            !rested.is_empty()
        });
        lanes.entry(key).or_default().push(lane);
    }

    /// Finds out whose a request is, and opens a session for it.
    async fn open(&self, proof: Proof, destination: &Destination) -> Result<Lane, Denial> {
        let Destination { target, protocol, .. } = destination;
        let task = self.recognize(&proof, target).await?;
        self.known()?;
        // Whoever closed them is gone.
        let place = self.openings.clone().acquire_owned().await.ok();
        Lane::open(&self.engine, protocol, task, target.clone(), self.peer, place).await
    }

    async fn recognize(&self, proof: &Proof, target: &str) -> Result<TaskId, Denial> {
        let stranger = Stranger {
            user: proof.user.clone(),
            target: target.into(),
            is_private: self.is_private,
            certificate: self.certificate.clone(),
        };
        if proof.secret.is_none() && self.certificate.is_none() {
            return Err(unproven("the request shows nothing that says whose it is"));
        }
        if !self.is_private {
            return Err(unproven("the request came over a connection that others can read"));
        }
        let recognized = self.engine.house.clone().recognize(stranger.clone(), proof.secret.clone()).await;
        recognized.inspect_err(|denial| {
            let breach = gatehouse_protocol::Breach::client(denial.detail.clone());
            login::refused(&self.engine, CARRIED, &stranger.user, target, &breach);
        })
    }

    /// What became of a request that a person is asked about, for the task that asked.
    async fn status(&self, proof: &Proof, target: &str, id: &str) -> Result<Response<ClearedBody>, Denial> {
        let task = self.recognize(proof, target).await?;
        self.known()?;
        let asked = RequestId::parse(id).ok().and_then(|id| self.engine.gate.desk().request(&id));
        let asked = asked.filter(|request| request.task() == Some(&task)).ok_or_else(|| {
            Denial::new(
                Reason::Unknown,
                "there is no such request",
                "it is another task's, or was answered and forgotten",
                "Ask again for what you asked for",
            )
        })?;
        let body = serde_json::json!({
            "request": id,
            "state": asked.state.as_str(),
            "reason": asked.answer_reason,
            "expires": asked.expires.to_string(),
        });
        Ok(json(&body))
    }
}

fn json(body: &serde_json::Value) -> Response<ClearedBody> {
    let mut response = Response::new(ClearedBody::whole(Bytes::from(body.to_string())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn no_target(target: &str, protocol: &str) -> Denial {
    Denial::new(
        Reason::Unknown,
        format!("there is no target \"{target}\" here"),
        format!("the address names a target that speaks {protocol}"),
        "`gatehouse targets ls` shows the targets",
    )
}

fn unproven(why: &str) -> Denial {
    Denial::new(
        Reason::Login,
        "the request is nobody's",
        why,
        "Send the user name and password of a task as Basic credentials, or a token as Bearer, over TLS",
    )
}

/// What a request shows of whose it is.
#[derive(Clone)]
struct Proof {
    user: String,
    secret: Option<Secret>,
}

impl Proof {
    /// What is shown to the gateway, and whether it stands where a target's own would.
    fn of(headers: &HeaderMap) -> (Self, bool) {
        let for_proxy = headers.get(PROXY_AUTHORIZATION);
        let is_own = for_proxy.is_none();
        let shown = for_proxy.or_else(|| headers.get(AUTHORIZATION)).and_then(|value| value.to_str().ok());
        (shown.and_then(Self::read).unwrap_or(Self { user: String::new(), secret: None }), is_own)
    }

    fn read(shown: &str) -> Option<Self> {
        let (scheme, word) = shown.split_once(' ')?;
        let word = word.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self { user: String::new(), secret: Some(Secret::new(word)) });
        }
        let decoded = scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(word).ok()).flatten()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (user, secret) = decoded.split_once(':')?;
        Some(Self { user: user.into(), secret: Some(Secret::new(secret)) })
    }

    /// Whether a field shows the same.
    fn is_in(&self, field: Option<&HeaderValue>) -> bool {
        let shown = field.and_then(|value| value.to_str().ok()).and_then(Self::read);
        shown.is_some_and(|shown| shown.digest() == self.digest())
    }

    fn digest(&self) -> [u8; 32] {
        let secret = self.secret.as_ref().map(Secret::expose).unwrap_or_default();
        let length = (self.user.len() as u64).to_be_bytes();
        Sha256::new_with_prefix(length).chain_update(&self.user).chain_update(secret).finalize().into()
    }
}

/// A host in one form: without the dot at its end; an address as it is usually written, in brackets if it is of version 6.
fn plain_host(host: &str) -> String {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => host.to_ascii_lowercase(),
    }
}

/// A host in small letters without its port, and that.
fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        Some(_) | None => (authority, None),
    }
}

/// How long a head is on the wire, in bytes, but for its first line's version. The readers' own limits are on what they
/// have read at once, which may be more.
fn head_len(request: &Request<Received>) -> usize {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    request.uri().path_and_query().map_or(0, |path| path.as_str().len()) + fields.sum::<usize>()
}

/// The refusal of a request that says in no clear way where it goes, or where it ends (RFC 9112, sections 3.2 and 6.1).
fn misframed(request: &Request<Received>) -> Option<Response<ClearedBody>> {
    let fields = request.headers();
    let hosts: Vec<&HeaderValue> = fields.get_all(HOST).iter().collect();
    let is_host = |host: &&HeaderValue| {
        let host = host.to_str().unwrap_or("@");
        host.is_empty() || host.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@'))
    };
    let wants_host = request.version() == Version::HTTP_11;
    if hosts.len() > 1 || hosts.is_empty() && wants_host || !hosts.iter().all(is_host) {
        let (why, hint) =
            ("it does not say in one `Host` which host it is for", "Send one field `Host`, with a name and a port");
        return Some(problem(&Denial::new(Reason::NotUnderstood, "the request is not passed on", why, hint)));
    }
    let mut codings = fields.get_all(TRANSFER_ENCODING).iter();
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !codings.next().is_none_or(is_plain) || codings.next().is_some() {
        let (why, hint) =
            ("its body is coded for the way in another form than chunks", "Send it with a length, or in chunks alone");
        let mut response = problem(&Denial::new(Reason::NotUnderstood, "the request is not passed on", why, hint));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        return Some(response);
    }
    None
}

fn too_long(why: String) -> Response<ClearedBody> {
    let mut response = problem(&Denial::new(
        Reason::NotUnderstood,
        "the head of the request is too long",
        why,
        "Say it in the body, or in fewer fields",
    ));
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response
}

fn misdirected(host: &str) -> Response<ClearedBody> {
    let mut response = problem(&Denial::new(
        Reason::Unknown,
        format!("{host} is not whom this connection was opened to"),
        "a connection through the gateway is for one host",
        "Open another connection",
    ));
    *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    response
}

/// A refusal before there is a session.
fn problem(denial: &Denial) -> Response<ClearedBody> {
    let status = match denial.reason {
        Reason::Login | Reason::TaskEnded => StatusCode::UNAUTHORIZED,
        Reason::Unknown => StatusCode::NOT_FOUND,
        Reason::Unreachable => StatusCode::BAD_GATEWAY,
        Reason::Silent => StatusCode::GATEWAY_TIMEOUT,
        Reason::Unrecorded | Reason::Full => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Limit => StatusCode::TOO_MANY_REQUESTS,
        Reason::Policy | Reason::Disapproved | Reason::Held | Reason::HoldExpired => StatusCode::FORBIDDEN,
        Reason::Withdrawn | Reason::NotUnderstood | Reason::Syntax => StatusCode::BAD_REQUEST,
    };
    let body = serde_json::json!({
        "type": "about:blank",
        "title": denial.message,
        "status": status.as_u16(),
        "detail": denial.detail,
        "remedy": denial.hint,
        "policies": denial.policies.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    let mut response = Response::new(ClearedBody::whole(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        // In fields of their own, for there are browsers that look at the first of each field alone.
        for scheme in [BEARER, BASIC] {
            response.headers_mut().append(WWW_AUTHENTICATE, scheme);
        }
    }
    response
}
