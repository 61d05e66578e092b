//! Connections to targets that speak HTTP: kept open, and shared by the sessions of a task on a thread. What a client does to a
//! connection, by a target's limits or by not reading, it does to its own task alone.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::ThreadId;
use std::time::Duration;

use gatehouse_gate::{Grant, Route, TlsMode};
use gatehouse_model::TaskId;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service;

use super::outlet::ClearedBody;
use super::{FIELDS_MAX, HEAD_BYTES_MAX};
use crate::dial;
use crate::tls;
use crate::wire::Wire;

/// How long a connection that nobody needs is kept, in seconds.
const SPARE_SECS_MAX: u64 = 30;
/// How many such connections a thread keeps for a target.
const SPARES_MAX: usize = 64;
/// How much of an answer in HTTP/2 a target may send before it is taken, in bytes, and of how many at a time: one that is not
/// taken leaves room for the others.
const STREAM_BYTES_MAX: u32 = 64 * 1024;
const STREAMS_MAX: u32 = 64;

pub(crate) type TargetClient = Client<Connector, ClearedBody>;

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
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(SPARE_SECS_MAX))
            .pool_max_idle_per_host(SPARES_MAX)
            .http1_max_headers(FIELDS_MAX)
            .http2_max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .http2_initial_stream_window_size(STREAM_BYTES_MAX)
            .http2_initial_connection_window_size(STREAM_BYTES_MAX * STREAMS_MAX)
            .build(Connector { route: Arc::new(target.route.clone()), speaks, connect_secs_max });
        let kept = Kept { route: target.route.clone(), client: client.clone(), used: Instant::now() };
        clients.insert(key, kept);
        client
    }
}

/// Opens connections to one target, whatever address a request names.
#[derive(Clone)]
pub(crate) struct Connector {
    route: Arc<Route>,
    speaks: Speaks,
    connect_secs_max: u32,
}

impl Service<Uri> for Connector {
    type Response = TargetWire;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TargetWire>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (route, speaks, secs) = (self.route.clone(), self.speaks, self.connect_secs_max);
        Box::pin(async move {
            let late = |_| {
                let why = format!("there was no connection within {secs} s, which is limits.connect_secs_max");
                io::Error::new(io::ErrorKind::TimedOut, why)
            };
            tokio::time::timeout(Duration::from_secs(secs.into()), connect(&route, speaks)).await.map_err(late)?
        })
    }
}

async fn connect(route: &Route, speaks: Speaks) -> io::Result<TargetWire> {
    let socket = TcpStream::connect((route.host.as_str(), route.port)).await?;
    socket.set_nodelay(true)?;
    dial::keep_alive(&socket)?;
    if route.tls == TlsMode::Disable {
        return Ok(TargetWire { io: TokioIo::new(Wire::Plain(socket)), is_h2: false });
    }
    let called: &[&[u8]] = match speaks {
        Speaks::Any => &[b"h2", b"http/1.1"],
        Speaks::Http1 => &[b"http/1.1"],
    };
    let (wire, started) = tls::connect(route, socket, called).await.map_err(io::Error::other)?;
    let is_h2 = started.application.as_deref() == Some(b"h2");
    Ok(TargetWire { io: TokioIo::new(wire), is_h2 })
}

/// A connection to a target.
pub(crate) struct TargetWire {
    io: TokioIo<Wire>,
    is_h2: bool,
}

impl Connection for TargetWire {
    fn connected(&self) -> Connected {
        if self.is_h2 { Connected::new().negotiated_h2() } else { Connected::new() }
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
