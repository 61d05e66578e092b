//! Connections to targets that speak HTTP: kept open, and shared by the sessions of a task on a thread. What a client does to a
//! connection, by a target's limits or by not reading, it does to its own task alone.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::ThreadId;
use std::time::Duration;

use gatehouse_gate::{Grant, Route, TlsMode};
use gatehouse_model::TaskId;
use http::{Request, Response, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service;

use super::interim::Hearing;
use super::multiplex::{Multiplexed, Shared};
use super::outlet::ClearedBody;
use super::streams::Received;
use super::{FIELDS_MAX, H2};
use crate::dial;
use crate::tls;
use crate::wire::Wire;

/// How long a connection that nobody needs is kept, in seconds.
pub(super) const SPARE_SECS_MAX: u64 = 30;
/// How many such connections a thread keeps for a target.
const SPARES_MAX: usize = 64;
/// How soon a connection that turned out to be one of HTTP/1.1 is taken by whoever opened it: then another took its request.
const HANDED_OVER: Duration = Duration::from_secs(1);
/// What HTTP/1.1 is called when TLS begins (RFC 7301, section 6).
const HTTP1: &[u8] = b"http/1.1";

/// An answer that is waited for.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Response<Received>, Failure>> + Send>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no connection.
    #[error("the target cannot be connected to")]
    Connect(#[source] io::Error),
    /// By HTTP/1.1.
    #[error(transparent)]
    Http1(#[from] hyper_util::client::legacy::Error),
    /// By HTTP/2.
    #[error("the target or its connection ended the request")]
    Http2(#[source] h2::Error),
    /// The connection broke.
    #[error("the connection to the target broke")]
    Broken(#[source] io::Error),
}

impl Failure {
    /// Nothing was sent, for there was no connection.
    pub(super) fn is_connect(&self) -> bool {
        match self {
            Self::Connect(_) => true,
            Self::Http1(error) => error.is_connect(),
            Self::Http2(_) | Self::Broken(_) => false,
        }
    }
}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Self {
        // What it came from is not among its sources.
        match error.get_io().map(|cause| io::Error::new(cause.kind(), cause.to_string())) {
            Some(cause) => Self::Broken(cause),
            None => Self::Http2(error),
        }
    }
}

/// The way to a target: connections of HTTP/2 that requests share, or one of HTTP/1.1 for each at a time.
#[derive(Clone)]
pub(crate) struct TargetClient {
    http1: Client<Connector, ClearedBody>,
    /// Where TLS tells what is spoken, and it need not be HTTP/1.1.
    negotiated: Option<Arc<Negotiated>>,
}

impl TargetClient {
    /// Sends a request, and hears what is said before its answer.
    pub(super) fn request(&self, mut request: Request<ClearedBody>, hearing: Option<Hearing>) -> Asking {
        let Self { http1, negotiated } = self.clone();
        Box::pin(async move {
            if let Some(negotiated) = negotiated
                && let Some(multiplexed) = negotiated.multiplexed().await?
            {
                return Ok(multiplexed.ask(request, hearing).await?);
            }
            if let Some(hearing) = hearing {
                hyper::ext::on_informational(&mut request, move |interim| {
                    hearing.hear(interim.status(), interim.headers());
                });
            }
            Ok(http1.request(request).await?.map(Received::Http1))
        })
    }
}

/// What a target turned out to speak.
struct Negotiated {
    route: Arc<Route>,
    connect_secs_max: u32,
    shared: Arc<Shared>,
    is_http1: AtomicBool,
    handed_over: Arc<HandedOver>,
}

impl Negotiated {
    /// A connection of HTTP/2; none where the target speaks HTTP/1.1.
    async fn multiplexed(&self) -> Result<Option<Multiplexed>, Failure> {
        self.handed_over.forget();
        if let Some(multiplexed) = self.shared.get().await {
            return Ok(Some(multiplexed));
        }
        if self.is_http1.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let opening = async {
            let (wire, is_h2) = connect(&self.route, &[H2, HTTP1]).await.map_err(Failure::Connect)?;
            if is_h2 {
                return Ok(Some(self.shared.open(wire).await?));
            }
            self.is_http1.store(true, Ordering::Relaxed);
            self.handed_over.give(wire);
            Ok::<_, Failure>(None)
        };
        within(self.connect_secs_max, opening).await.map_err(Failure::Connect)?
    }
}

/// Connections that were opened to find out what a target speaks, and turned out to be of HTTP/1.1.
#[derive(Default)]
struct HandedOver(Mutex<Vec<(Wire, Instant)>>);

impl HandedOver {
    fn give(&self, wire: Wire) {
        let mut wires = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if wires.len() < SPARES_MAX {
            wires.push((wire, Instant::now()));
        }
    }

    fn take(&self) -> Option<Wire> {
        self.forget();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().map(|(wire, _)| wire)
    }

    /// Closes those that nobody took.
    fn forget(&self) {
        let mut wires = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wires.retain(|(_, opened)| opened.elapsed() < HANDED_OVER);
    }
}

/// Which versions of HTTP a connection may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Speaks {
    Any,
    /// The only one that a connection can leave for a WebSocket.
    Http1,
}

/// A connection is of the thread that opened it, for one task at one target.
type Whose = (ThreadId, TaskId, String, Speaks);

/// How a target is reached for a task, and when it was last.
struct Kept {
    route: Route,
    client: TargetClient,
    used: Instant,
}

/// How each target is reached, by thread: a connection is of the thread that opened it.
#[derive(Default)]
pub(crate) struct Targets {
    clients: Mutex<HashMap<Whose, Kept>>,
}

impl Targets {
    /// The client of a target, for a session that was granted; a connection may take so many seconds.
    pub(super) fn of(&self, grant: &Grant, speaks: Speaks, connect_secs_max: u32) -> TargetClient {
        let target = grant.target();
        let key = (std::thread::current().id(), grant.lease().task.id.clone(), target.name.to_string(), speaks);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = clients.get_mut(&key)
            && kept.route == target.route
        {
            kept.used = Instant::now();
            return kept.client.clone();
        }
        // Of one that was not used for so long no connection is left.
        clients.retain(|_, kept| kept.used.elapsed() < Duration::from_secs(2 * SPARE_SECS_MAX));
        let client = client(&target.route, speaks, connect_secs_max);
        let kept = Kept { route: target.route.clone(), client: client.clone(), used: Instant::now() };
        clients.insert(key, kept);
        client
    }
}

fn client(route: &Route, speaks: Speaks, connect_secs_max: u32) -> TargetClient {
    let (route, handed_over) = (Arc::new(route.clone()), Arc::new(HandedOver::default()));
    let http1 = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(SPARE_SECS_MAX))
        .pool_max_idle_per_host(SPARES_MAX)
        .http1_max_headers(FIELDS_MAX)
        .build(Connector { route: route.clone(), connect_secs_max, handed_over: handed_over.clone() });
    let is_open = speaks == Speaks::Any && route.tls != TlsMode::Disable;
    let negotiated = is_open.then(|| {
        let (shared, is_http1) = (Arc::default(), AtomicBool::new(false));
        Arc::new(Negotiated { route, connect_secs_max, shared, is_http1, handed_over })
    });
    TargetClient { http1, negotiated }
}

/// Opens connections of HTTP/1.1 to one target, whatever address a request names.
#[derive(Clone)]
pub(crate) struct Connector {
    route: Arc<Route>,
    connect_secs_max: u32,
    handed_over: Arc<HandedOver>,
}

impl Service<Uri> for Connector {
    type Response = TargetWire;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TargetWire>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (route, secs, handed_over) = (self.route.clone(), self.connect_secs_max, self.handed_over.take());
        Box::pin(async move {
            let wire = match handed_over {
                Some(wire) => wire,
                None => within(secs, connect(&route, &[HTTP1])).await??.0,
            };
            Ok(TargetWire { io: TokioIo::new(wire) })
        })
    }
}

/// What opens a connection, if it does so in time.
async fn within<T>(secs: u32, opening: impl Future<Output = T>) -> io::Result<T> {
    let late = |_| {
        let why = format!("there was no connection within {secs} s, which is limits.connect_secs_max");
        io::Error::new(io::ErrorKind::TimedOut, why)
    };
    tokio::time::timeout(Duration::from_secs(secs.into()), opening).await.map_err(late)
}

/// Opens a connection, and says whether HTTP/2 was chosen for it of what is offered.
async fn connect(route: &Route, offered: &[&[u8]]) -> io::Result<(Wire, bool)> {
    let socket = TcpStream::connect((route.host.as_str(), route.port)).await?;
    socket.set_nodelay(true)?;
    dial::keep_alive(&socket)?;
    if route.tls == TlsMode::Disable {
        return Ok((Wire::Plain(socket), false));
    }
    let (wire, started) = tls::connect(route, socket, offered).await.map_err(io::Error::other)?;
    Ok((wire, started.application.as_deref() == Some(H2)))
}

/// A connection of HTTP/1.1 to a target.
pub(crate) struct TargetWire {
    io: TokioIo<Wire>,
}

impl Connection for TargetWire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for TargetWire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for TargetWire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
