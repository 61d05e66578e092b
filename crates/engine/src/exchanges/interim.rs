//! Answers before the answer (RFC 9110, section 15.2): what of them is heard from targets, and how clients of HTTP/1.1 are told.
//!
//! hyper says none of them to a client. So they are put between its bytes: it flushes a
//! connection only when nothing that it wrote is left, and until the service has answered that is where they belong.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::sync::Notify;
use tokio::time::Sleep;

use super::Activity;

/// How many of them a request has, and how long they are together, in bytes.
const INTERIMS_MAX: usize = 16;
const INTERIM_BYTES_MAX: usize = 16 * 1024;
/// How long one waits for what was written before it, where the client does not take that; then those of its request are left
/// out, for the answer says all.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// How long one that sends after its answer is listened to, and how much is thrown away at a time, in bytes.
const PARTING: Duration = Duration::from_secs(2);
const THROWN_AT_ONCE: usize = 4096;

/// What one side tells the other of them: mostly nothing, and so without room that is kept for it.
pub(super) struct Told<T>(Arc<Queue<T>>);

struct Queue<T> {
    waiting: Mutex<VecDeque<T>>,
    told: Notify,
}

impl<T> Clone for Told<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Told<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Queue { waiting: Mutex::default(), told: Notify::new() }))
    }

    /// Tells one, if there is room for it: where there is none it is no loss, for the answer says all.
    pub(super) fn tell(&self, one: T) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < INTERIMS_MAX {
            waiting.push_back(one);
            self.0.told.notify_one();
        }
    }

    /// The next that is told.
    pub(super) async fn next(&self) -> T {
        loop {
            let told = self.0.told.notified();
            if let Some(one) = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                return one;
            }
            told.await;
        }
    }
}

/// An answer before the answer, as a target said it.
pub(super) type Interim = (StatusCode, HeaderMap);

/// Hears what a target says before an answer, as far as a request has room for it.
pub(super) struct Hearing {
    told: Told<Interim>,
    left: AtomicUsize,
    room: AtomicUsize,
}

impl Hearing {
    pub(super) fn new(told: Told<Interim>) -> Self {
        Self { told, left: AtomicUsize::new(INTERIMS_MAX), room: AtomicUsize::new(INTERIM_BYTES_MAX) }
    }

    /// Hears one, of either version of HTTP.
    pub(super) fn hear(&self, status: StatusCode, headers: &HeaderMap) {
        // The way of a body is each connection's own.
        let is_of_connection = matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS);
        let len: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let takes = |from: &AtomicUsize, some: usize| {
            from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(some)).is_ok()
        };
        if !is_of_connection && takes(&self.left, 1) && takes(&self.room, len) {
            self.told.tell((status, headers.clone()));
        }
    }
}

/// Where they wait for the connection.
#[derive(Clone, Default)]
pub(super) struct Interims(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    said: BytesMut,
    taken: Option<Waker>,
}

impl Interims {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says one; ready when the connection has it, false if it has no room. To be called by the connection's own service alone.
    pub(super) async fn say(&self, interim: &Response<()>) -> bool {
        write(interim, &mut self.lock().said);
        let taken = poll_fn(|cx| {
            let mut waiting = self.lock();
            waiting.taken = Some(cx.waker().clone());
            if waiting.said.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        let is_taken = tokio::time::timeout(TAKEN_WITHIN, taken).await.is_ok();
        // The answer comes next, and after it this would be another's.
        self.lock().said.clear();
        is_taken
    }

    fn take(&self, out: &mut BytesMut) {
        let mut waiting = self.lock();
        if !waiting.said.is_empty() {
            out.unsplit(waiting.said.split());
            if let Some(taken) = waiting.taken.take() {
                taken.wake();
            }
        }
    }
}

/// Writes a head as RFC 9112 has it.
fn write(interim: &Response<()>, out: &mut BytesMut) {
    let status = interim.status();
    out.put_slice(format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or("")).as_bytes());
    for (name, value) in interim.headers() {
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
}

/// A client's connection, and what is said on it between hyper's own words.
pub(super) struct Spoken<I> {
    io: I,
    interims: Interims,
    /// What is being written, before anything else is.
    begun: BytesMut,
    activity: Arc<Mutex<Activity>>,
    /// When a client that was told everything is no longer listened to.
    parting: Option<Pin<Box<Sleep>>>,
}

impl<I: Read + Write + Unpin> Spoken<I> {
    pub(super) fn new(io: I, interims: Interims, activity: Arc<Mutex<Activity>>) -> Self {
        Self { io, interims, begun: BytesMut::new(), activity, parting: None }
    }

    /// Reads what a client still sends, and throws it away (RFC 9112, section 9.6).
    ///
    /// An answer may come before the whole of its request. To close what still has something to be read resets the
    /// connection, and then many clients see the reset and not the answer.
    fn poll_parting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let parting = self.parting.get_or_insert_with(|| Box::pin(tokio::time::sleep(PARTING)));
        let mut thrown = [MaybeUninit::uninit(); THROWN_AT_ONCE];
        while parting.as_mut().poll(cx).is_pending() {
            let mut thrown = ReadBuf::uninit(&mut thrown);
            match ready!(Pin::new(&mut self.io).poll_read(cx, thrown.unfilled())) {
                Ok(()) if !thrown.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(())
    }

    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.begun.is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.begun))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.begun.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: Read + Unpin> Read for Spoken<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: Read + Write + Unpin> Write for Spoken<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(cx))?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.interims.take(&mut this.begun);
        ready!(this.poll_begun(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.parting.is_none() {
            ready!(self.poll_begun(cx))?;
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        }
        let is_led_on = self.activity.lock().unwrap_or_else(PoisonError::into_inner).is_led_on;
        if is_led_on { Poll::Ready(Ok(())) } else { self.poll_parting(cx).map(Ok) }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(cx))?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::LINK;

    use super::*;

    /// How many are heard of some that have each a value of so many bytes.
    fn heard(lens: impl IntoIterator<Item = usize>) -> usize {
        let told = Told::new();
        let hearing = Hearing::new(told.clone());
        for len in lens {
            let value = HeaderValue::from_str(&"x".repeat(len)).unwrap();
            hearing.hear(StatusCode::EARLY_HINTS, &HeaderMap::from_iter([(LINK, value)]));
        }
        told.0.waiting.lock().unwrap().len()
    }

    #[test]
    fn a_request_has_room_for_so_much() {
        let name = LINK.as_str().len();
        let half = INTERIM_BYTES_MAX / 2 - name;
        assert_eq!(heard([half, half]), 2);
        assert_eq!(heard([half, half, 0]), 2, "its name is too much");
        assert_eq!(heard([half, half + 1]), 1);
        assert_eq!(heard([INTERIM_BYTES_MAX, half]), 1, "what is too long takes no room");
        assert_eq!(heard([0; INTERIMS_MAX]), INTERIMS_MAX);
        assert_eq!(heard([0; INTERIMS_MAX + 1]), INTERIMS_MAX);
    }
}
