//! HTTP/2 with clients (RFC 9113), and what of it is the same with targets.
//!
//! hyper's server has no way to say an answer before the answer (RFC 9110, section 15.2), so the library that it has the protocol
//! from is driven here.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use super::interim::Told;
use super::outlet::ClearedBody;
use super::{Busy, Connection, FIELDS_MAX, GOODBYE, HEAD_BYTES_MAX, STREAM_BYTES_MAX, STREAMS_MAX};

/// How much of what is said waits for the connection, in bytes.
pub(super) const UNSENT_BYTES_MAX: usize = 256 * 1024;
/// What is a matter of connections of HTTP/1.1, and not to be said in HTTP/2 (RFC 9113, section 8.2.2).
const OF_CONNECTIONS: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The body of a request or of a target's answer, as it comes.
pub(super) enum Received {
    Http1(Incoming),
    Http2(Streamed),
}

/// A body that comes by HTTP/2.
pub(super) struct Streamed {
    stream: RecvStream,
    is_over: bool,
    /// Where it is said that the body is waited for, if its client waits for that.
    expected: Option<Told<Response<()>>>,
    /// Of an answer: where it is said that it was heard to its end. Whoever drops it without that has given it up.
    heard: Option<oneshot::Sender<()>>,
}

impl Body for Received {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(io::Error::other),
            Self::Http2(body) => body.poll_frame(cx).map_err(io::Error::other),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.stream.is_end_stream(),
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if let Some(heard) = self.heard.take()
            && (self.is_over || self.stream.is_end_stream())
        {
            let _ = heard.send(());
        }
    }
}

impl Streamed {
    /// The body of a target's answer.
    pub(super) fn answer(stream: RecvStream, heard: oneshot::Sender<()>) -> Self {
        Self { stream, is_over: false, expected: None, heard: Some(heard) }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        // Whoever has said all may need no more of the other side, and then closes the stream (RFC 9113, section 8.1): the library
        // keeps that all was said. What is closed before that is broken off, whatever reason is given.
        if !self.is_over {
            let polled = self.stream.poll_data(cx);
            // Whoever sends without being told waits for nothing.
            if let (Some(told), true) = (self.expected.take(), polled.is_pending()) {
                let mut goes_on = Response::new(());
                *goes_on.status_mut() = StatusCode::CONTINUE;
                told.tell(goes_on);
            }
            if let Some(data) = ready!(polled).transpose()? {
                // What is taken makes room for more.
                self.stream.flow_control().release_capacity(data.len())?;
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            self.is_over = true;
        }
        let trailers = ready!(self.stream.poll_trailers(cx))?;
        // The library counts their bytes alone; over HTTP/1.1 the other library counts them as fields as well.
        let fields = trailers.as_ref().map_or(0, HeaderMap::len);
        if fields > FIELDS_MAX {
            tracing::error!(fields, "a body of HTTP/2 is not taken, for it has more than {FIELDS_MAX} trailers");
            return Poll::Ready(Some(Err(Reason::ENHANCE_YOUR_CALM.into())));
        }
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

/// Sees a connection through to its end.
pub(super) async fn serve<I>(connection: &Arc<Connection>, io: I, within: Duration) -> Result<(), h2::Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(STREAMS_MAX);
    builder.initial_window_size(STREAM_BYTES_MAX).initial_connection_window_size(STREAM_BYTES_MAX * STREAMS_MAX);
    builder.max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    builder.max_send_buffer_size(UNSENT_BYTES_MAX);
    let mut rests = pin!(connection.rests(within));
    let mut client = tokio::select! {
        client = builder.handshake(io) => client?,
        () = rests.as_mut() => return Ok(()),
    };
    tokio::select! {
        outcome = take_requests(connection, &mut client) => return outcome,
        () = rests => {}
    }
    client.graceful_shutdown();
    tokio::time::timeout(GOODBYE, take_requests(connection, &mut client)).await.unwrap_or(Ok(()))
}

/// Takes what a client asks, and has each answered beside the others; ready when the client asks no more.
async fn take_requests<I>(
    connection: &Arc<Connection>,
    client: &mut h2::server::Connection<I, Bytes>,
) -> Result<(), h2::Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    while let Some((request, respond)) = client.accept().await.transpose()? {
        tokio::spawn(answer(connection.clone(), request, respond));
    }
    Ok(())
}

/// Answers a request, and says what comes before its answer.
async fn answer(connection: Arc<Connection>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let is_head = request.method() == Method::HEAD;
    let is_told =
        request.headers().get(EXPECT).is_some_and(|what| what.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let told = Told::new();
    let expected = is_told.then(|| told.clone());
    let request = request.map(|stream| Received::Http2(Streamed { stream, is_over: false, expected, heard: None }));
    let busy = Busy::new(&connection.activity);
    let engine = connection.engine.clone();
    let mut answered = pin!(connection.handle(request, Some(told.clone()), busy));
    let response = loop {
        tokio::select! {
            biased;
            mut interim = told.next() => {
                leave_out_connections(interim.headers_mut());
                if respond.send_informational(interim).is_err() {
                    return;
                }
            }
            // Whoever gave a request up hears no answer.
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
            response = answered.as_mut() => break response,
        }
    };
    let (mut head, body) = response.into_parts();
    leave_out_connections(&mut head.headers);
    if !head.headers.contains_key(DATE) {
        let now = DateTimePrinter::new().timestamp_to_rfc9110_string(&engine.house.now());
        if let Some(now) = now.ok().and_then(|now| HeaderValue::try_from(now).ok()) {
            head.headers.insert(DATE, now);
        }
    }
    let is_whole = body.is_end_stream();
    if let (Some(len), false) = (body.size_hint().exact(), is_whole) {
        head.headers.entry(CONTENT_LENGTH).or_insert(len.into());
    }
    if let Ok(mut stream) = respond.send_response(Response::from_parts(head, ()), is_head || is_whole)
        && !is_head
        && !is_whole
        && send(&mut stream, body).await.is_err()
    {
        // So that nobody takes what came of it for the whole.
        stream.send_reset(Reason::INTERNAL_ERROR);
    }
}

/// Sends a body as fast as it is taken.
pub(super) async fn send(stream: &mut SendStream<Bytes>, mut body: ClearedBody) -> Result<(), io::Error> {
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame.transpose()?,
            reason = poll_fn(|cx| stream.poll_reset(cx)) => return Err(io::Error::other(format!("given up: {reason:?}"))),
        };
        let Some(frame) = frame else { return stream.send_data(Bytes::new(), true).map_err(io::Error::other) };
        let mut data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => return stream.send_trailers(trailers).map_err(io::Error::other),
                Err(_) => continue,
            },
        };
        while !data.is_empty() {
            let room = room(stream, data.len()).await?.min(data.len());
            let part = data.split_to(room);
            let is_last = data.is_empty() && body.is_end_stream();
            stream.send_data(part, is_last).map_err(io::Error::other)?;
            if is_last {
                return Ok(());
            }
        }
    }
}

/// How much the other side takes, of so much; ready when it takes anything.
async fn room(stream: &mut SendStream<Bytes>, wanted: usize) -> io::Result<usize> {
    stream.reserve_capacity(wanted);
    while stream.capacity() == 0 {
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await;
        room.ok_or(io::ErrorKind::ConnectionAborted)?.map_err(io::Error::other)?;
    }
    Ok(stream.capacity())
}

/// Leaves out what is a matter of connections of HTTP/1.1, and what one of them says is that as well.
pub(super) fn leave_out_connections(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_CONNECTIONS.iter().chain(&named) {
        headers.remove(name);
    }
}
