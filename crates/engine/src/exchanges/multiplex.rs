//! HTTP/2 with targets (RFC 9113): connections that the requests of a task on a thread share.
//!
//! hyper's client tells nobody of an answer before the answer (RFC 9110, section 15.2) that comes by HTTP/2, so the library that it
//! has the protocol from is driven here.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, TE};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::counted::counted;
use super::interim::Hearing;
use super::outlet::ClearedBody;
use super::streams::{Received, Streamed, UNSENT_BYTES_MAX, leave_out_connections, send};
use super::{FIELDS_MAX, GOODBYE, HEAD_BYTES_MAX};
use crate::wire::Wire;

/// How long a connection that nobody needs is kept.
const SPARE: Duration = Duration::from_secs(super::pool::SPARE_SECS_MAX);
/// How much of an answer a target may send before it is taken, in bytes.
const ANSWER_BYTES_MAX: u32 = 64 * 1024;
/// How many requests one connection has at a time. There is room for as much of the answer to each, so that one that is not taken
/// keeps no other from being heard; what is asked beside them goes to a further connection.
const ANSWERS_MAX: u32 = 64;
/// How many frames that hold nothing the bodies of a target's answers may have before their connection takes no more requests. The
/// library ends it, and breaks all its answers off, at a hundred and one.
const EMPTY_FRAMES_MAX: usize = 50;

/// Where the connections that take requests are kept. A further one is opened when all have as many as they may.
#[derive(Default)]
pub(super) struct Shared(Mutex<Vec<Open>>);

struct Open {
    requests: SendRequest<Bytes>,
    rest: Arc<Rest>,
}

/// A connection for one request.
pub(super) struct Multiplexed {
    requests: SendRequest<Bytes>,
    in_use: InUse,
    shared: Weak<Shared>,
}

/// A request whose answer has not begun, and its connection. That takes no more if the request is given up before: it may be dead,
/// and whoever asks next is not to wait for it as well. What else runs on it goes on.
struct Unanswered {
    shared: Weak<Shared>,
    rest: Option<Arc<Rest>>,
}

/// Whether a connection rests, and whether it is worn out.
struct Rest {
    requests: Mutex<Requests>,
    /// How many frames of bodies held nothing.
    empty: Arc<AtomicUsize>,
}

/// How many requests a connection has, and when it had the last.
struct Requests {
    active: u32,
    last: Instant,
}

/// A request of a connection: while there is one it does not rest.
struct InUse(Arc<Rest>);

impl Rest {
    fn new() -> Arc<Self> {
        let requests = Mutex::new(Requests { active: 0, last: Instant::now() });
        Arc::new(Self { requests, empty: Arc::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it takes one more.
    fn has_room(&self) -> bool {
        self.lock().active < ANSWERS_MAX && self.empty.load(Ordering::Relaxed) < EMPTY_FRAMES_MAX
    }

    /// When it has rested for long enough, if nothing is asked until then.
    fn until(&self) -> Instant {
        let requests = self.lock();
        if requests.active > 0 { Instant::now() + SPARE } else { requests.last + SPARE }
    }

    fn is_over(&self) -> bool {
        self.until() <= Instant::now()
    }
}

impl InUse {
    fn new(rest: &Arc<Rest>) -> Self {
        rest.lock().active += 1;
        Self(rest.clone())
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut requests = self.0.lock();
        requests.active = requests.active.saturating_sub(1);
        requests.last = Instant::now();
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let (Some(shared), Some(rest)) = (self.shared.upgrade(), self.rest.take()) {
            shared.forget(&rest);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that takes one more request, if there is one: one that its target is about to close takes none.
    pub(super) async fn get(self: &Arc<Self>) -> Option<Multiplexed> {
        loop {
            let mut found = {
                // Whoever gets it is counted while this is held.
                let open = self.lock();
                let open = open.iter().find(|open| open.rest.has_room())?;
                let (requests, in_use) = (open.requests.clone(), InUse::new(&open.rest));
                Multiplexed { requests, in_use, shared: Arc::downgrade(self) }
            };
            if poll_fn(|cx| found.requests.poll_ready(cx)).await.is_ok() {
                return Some(found);
            }
            self.forget(&found.in_use.0);
        }
    }

    /// Begins to speak HTTP/2 on a connection, unless another takes one more request by now.
    pub(super) async fn open(self: &Arc<Self>, wire: Wire) -> Result<Multiplexed, h2::Error> {
        if let Some(found) = self.get().await {
            return Ok(found);
        }
        let mut builder = Builder::new();
        builder.enable_push(false);
        builder.initial_window_size(ANSWER_BYTES_MAX).initial_connection_window_size(ANSWER_BYTES_MAX * ANSWERS_MAX);
        builder.max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
        builder.max_send_buffer_size(UNSENT_BYTES_MAX);
        let rest = Rest::new();
        let wire = counted(wire, rest.empty.clone());
        let (requests, connection) = builder.handshake::<_, Bytes>(wire).await?;
        let shared = Arc::downgrade(self);
        let opened = Multiplexed { requests: requests.clone(), in_use: InUse::new(&rest), shared };
        tokio::spawn(keep(connection, rest.clone(), Arc::downgrade(self)));
        self.lock().push(Open { requests, rest });
        Ok(opened)
    }

    fn forget(&self, rest: &Arc<Rest>) {
        forget(&mut self.lock(), rest);
    }

    /// Takes no more requests for a connection that has rested for long enough, and says whether it has.
    fn lets_go(&self, rest: &Arc<Rest>) -> bool {
        // Whoever gets it is counted while this is held.
        let mut open = self.lock();
        let is_over = rest.is_over();
        if is_over {
            forget(&mut open, rest);
        }
        is_over
    }
}

/// Keeps a connection no longer.
fn forget(open: &mut Vec<Open>, rest: &Arc<Rest>) {
    open.retain(|open| !Arc::ptr_eq(&open.rest, rest));
}

/// Sees a connection through to its end.
async fn keep<W: AsyncRead + AsyncWrite + Unpin>(
    connection: Connection<W, Bytes>,
    rest: Arc<Rest>,
    shared: Weak<Shared>,
) {
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a connection of HTTP/2 to a target ended");
                }
                if let Some(shared) = shared.upgrade() {
                    shared.forget(&rest);
                }
                return;
            }
            () = tokio::time::sleep_until(rest.until()) => {}
        }
        let is_over = match shared.upgrade() {
            Some(shared) => shared.lets_go(&rest),
            None => rest.is_over(),
        };
        if is_over {
            break;
        }
    }
    // Nobody asks anything on it any more, so that it says goodbye by itself.
    let _ = tokio::time::timeout(GOODBYE, connection).await;
}

impl Multiplexed {
    /// Sends a request, and gives its answer, once that begins. What comes before it is heard as well.
    pub(super) async fn ask(
        self,
        request: Request<ClearedBody>,
        hearing: Option<Hearing>,
    ) -> Result<Response<Received>, h2::Error> {
        let Self { mut requests, in_use, shared } = self;
        let (mut head, body) = request.into_parts();
        of_h2(&mut head.headers);
        if let Some(len) = body.size_hint().exact()
            && (len != 0 || !matches!(head.method, Method::GET | Method::HEAD | Method::DELETE))
        {
            head.headers.entry(CONTENT_LENGTH).or_insert(len.into());
        }
        let is_whole = body.is_end_stream();
        let (response, stream) = requests.send_request(Request::from_parts(head, ()), is_whole)?;
        drop(requests);
        let asked = (!is_whole).then_some((stream, body));
        let (answer, answered) = oneshot::channel();
        let mut unanswered = Unanswered { shared, rest: Some(in_use.0.clone()) };
        tokio::spawn(exchange((response, asked), hearing, answer, in_use));
        let answered = answered.await;
        unanswered.rest = None;
        let answered = answered.unwrap_or_else(|_| Err(Reason::INTERNAL_ERROR.into()))?;
        let fields = answered.headers().len();
        if fields > FIELDS_MAX {
            tracing::error!(fields, "an answer of HTTP/2 is not taken, for its head has more than {FIELDS_MAX} fields");
            return Err(Reason::ENHANCE_YOUR_CALM.into());
        }
        Ok(answered)
    }
}

/// Leaves out of a request's head what is not to be said in HTTP/2 (RFC 9113, section 8.2.2).
fn of_h2(headers: &mut HeaderMap) {
    let trailers = headers.get(TE).filter(|what| *what == "trailers").cloned();
    leave_out_connections(headers);
    if let Some(trailers) = trailers {
        headers.insert(TE, trailers);
    }
}

/// Carries a request and its answer, until that was heard. Whatever is dropped before its end tells the target that it was given up.
async fn exchange(
    (mut response, asked): (ResponseFuture, Option<(SendStream<Bytes>, ClearedBody)>),
    hearing: Option<Hearing>,
    mut answer: oneshot::Sender<Result<Response<Received>, h2::Error>>,
    _in_use: InUse,
) {
    let mut asking = pin!(send_all(asked));
    let mut is_asked = false;
    let answered = loop {
        tokio::select! {
            biased;
            // Whoever waited for the answer has left.
            () = answer.closed() => return,
            answered = poll_fn(|cx| poll_answer(&mut response, hearing.as_ref(), cx)) => break answered,
            () = asking.as_mut(), if !is_asked => is_asked = true,
        }
    };
    drop(response);
    let (heard, mut ending) = oneshot::channel();
    let answered = answered.map(|response| response.map(|body| Received::Http2(Streamed::answer(body, heard))));
    if answer.send(answered).is_err() {
        return;
    }
    let ended = if is_asked {
        ending.await
    } else {
        tokio::select! {
            ended = &mut ending => ended,
            () = asking.as_mut() => {
                is_asked = true;
                ending.await
            }
        }
    };
    // A target may answer before it has heard all, and is then told the rest.
    if ended.is_ok() && !is_asked {
        let _ = tokio::time::timeout(GOODBYE, asking).await;
    }
}

/// Sends the body of a request. One that is broken off is not to be taken for the whole.
async fn send_all(asked: Option<(SendStream<Bytes>, ClearedBody)>) {
    if let Some((mut stream, body)) = asked
        && send(&mut stream, body).await.is_err()
    {
        stream.send_reset(Reason::CANCEL);
    }
}

/// Ready with an answer; what came before that is heard first. Without anybody who hears it, it is thrown away as it comes.
fn poll_answer(
    response: &mut ResponseFuture,
    hearing: Option<&Hearing>,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<RecvStream>, h2::Error>> {
    while let Some(Ok(interim)) = ready!(response.poll_informational(cx)) {
        if let Some(hearing) = hearing {
            hearing.hear(interim.status(), interim.headers());
        }
    }
    Pin::new(response).poll(cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_room_for_so_many() {
        let rest = Rest::new();
        let mut in_use: Vec<InUse> = Vec::new();
        while rest.has_room() {
            in_use.push(InUse::new(&rest));
        }
        assert_eq!(in_use.len(), 64);
        in_use.pop();
        assert!(rest.has_room());
        in_use.push(InUse::new(&rest));
        assert!(!rest.has_room());
        drop(in_use);
        rest.empty.store(EMPTY_FRAMES_MAX - 1, Ordering::Relaxed);
        assert!(rest.has_room());
        rest.empty.store(EMPTY_FRAMES_MAX, Ordering::Relaxed);
        assert!(!rest.has_room(), "it is worn out");
    }
}
