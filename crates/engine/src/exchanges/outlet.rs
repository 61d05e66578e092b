//! What turns cleared frames into HTTP again. Nothing else writes to a target or a client here.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use gatehouse_gate::{Cleared, Receipt};
use gatehouse_protocol::{Breach, Frame as Words, Head, Tag};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// How many parts of a body wait for whoever takes them.
pub(super) const PARTS_MAX: usize = 4;
/// How long an answer's body is at most that is given in one piece, in bytes. Of a longer one the parts that were not taken
/// stay with its session, which ends when its client takes nothing, or when its task is over.
pub(super) const WHOLE_BYTES_MAX: usize = 64 * 1024;

/// A part of a body; `None` is its end. A body whose parts stop without that is broken off.
pub(super) type Part = Option<Frame<Bytes>>;
type Polled = Poll<Option<io::Result<Frame<Bytes>>>>;

/// A body that is made of cleared parts.
pub(crate) enum Parts {
    /// All of it, until it is taken.
    Whole(Option<Bytes>),
    /// What comes, and how long that will be, if it is known.
    Coming(mpsc::Receiver<Part>, Option<usize>),
}

/// The body of a request or of an answer.
pub(crate) struct ClearedBody {
    parts: Parts,
    /// Until an answer's is taken, its client's connection does not rest.
    busy: Option<super::Busy>,
    /// It was broken off, and is told so when it is asked again: what came before is written by then, the head too.
    is_breaking: bool,
}

impl ClearedBody {
    pub(super) fn whole(body: Bytes) -> Self {
        Self::new(Parts::Whole(Some(body)), None)
    }

    pub(super) fn new(parts: Parts, busy: Option<super::Busy>) -> Self {
        Self { parts, busy, is_breaking: false }
    }
}

fn broken_off() -> io::Error {
    io::Error::other("the message was broken off")
}

impl Parts {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let part = match self {
            Self::Whole(body) => {
                return Poll::Ready(body.take().filter(|body| !body.is_empty()).map(|body| Ok(Frame::data(body))));
            }
            Self::Coming(parts, left) => {
                let part = std::task::ready!(parts.poll_recv(cx));
                let taken = part.iter().flatten().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
                *left = left.map(|left| left.saturating_sub(taken));
                part
            }
        };
        match part {
            Some(Some(part)) => Poll::Ready(Some(Ok(part))),
            Some(None) => {
                *self = Self::Whole(None);
                Poll::Ready(None)
            }
            None => {
                *self = Self::Whole(None);
                Poll::Ready(Some(Err(broken_off())))
            }
        }
    }

    fn is_at_end(&self) -> bool {
        matches!(self, Self::Whole(body) if body.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Self::Coming(_, Some(left)) => SizeHint::with_exact(*left as u64),
            Self::Coming(_, None) => SizeHint::default(),
        }
    }
}

impl Body for ClearedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if std::mem::take(&mut self.is_breaking) {
            return Poll::Ready(Some(Err(broken_off())));
        }
        let polled = self.parts.poll(cx);
        if matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.is_breaking = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let (Poll::Ready(_), Some(busy)) = (&polled, &self.busy) {
            busy.moved();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_at_end() && !self.is_breaking
    }

    fn size_hint(&self) -> SizeHint {
        self.parts.size()
    }
}

/// Something that was cleared, as HTTP has it.
pub(super) enum Said {
    Request {
        method: Method,
        target: String,
        headers: HeaderMap,
        after: Option<u64>,
    },
    Response(Response<()>),
    Interim(Response<()>),
    Part(Bytes),
    End(HeaderMap),
    Abort,
    /// A message of a WebSocket: `t` or `b`, and that.
    Message(Bytes),
    /// The end of a WebSocket.
    Close(Bytes),
}

/// Takes cleared frames, and gives out what they say.
#[derive(Default)]
pub(super) struct Outlet {
    bytes: BytesMut,
    /// The record that what is said next must wait for.
    after: Option<u64>,
    said: VecDeque<Said>,
    waiting: usize,
    /// Parts that wait are of something larger.
    is_large: bool,
}

impl Outlet {
    pub(super) fn push(&mut self, cleared: Cleared<Bytes>) -> Result<(), Breach> {
        let after = cleared.receipt().and_then(Receipt::awaits_disk);
        self.after = self.after.max(after);
        let frame = cleared.into_frame();
        self.is_large |= frame.len() > WHOLE_BYTES_MAX;
        if self.bytes.is_empty() {
            // What is cleared in one piece is nearly always whole frames.
            let mut rest = frame;
            while let Some(len) = self.take_first(&rest)? {
                let whole = rest.split_to(len);
                self.say(&whole)?;
            }
            self.bytes.extend_from_slice(&rest);
        } else {
            self.bytes.extend_from_slice(&frame);
            while let Some(len) = self.take_first(&self.bytes)? {
                let whole = self.bytes.split_to(len).freeze();
                self.say(&whole)?;
            }
        }
        Ok(())
    }

    fn take_first(&self, bytes: &[u8]) -> Result<Option<usize>, Breach> {
        if bytes.is_empty() {
            return Ok(None);
        }
        Ok(Words::first(bytes, usize::MAX, Breach::client)?.ok().map(|frame| frame.len))
    }

    fn say(&mut self, whole: &Bytes) -> Result<(), Breach> {
        let Ok(Ok(frame)) = Words::first(whole, usize::MAX, Breach::client) else { return Ok(()) };
        let said = match frame.tag {
            Tag::Body => {
                self.waiting += frame.content.len();
                Said::Part(whole.slice_ref(frame.content))
            }
            Tag::Abort => Said::Abort,
            Tag::Message => {
                self.waiting += frame.content.len();
                Said::Message(whole.slice_ref(frame.content))
            }
            Tag::Close => Said::Close(whole.slice_ref(frame.content)),
            Tag::Request | Tag::Response | Tag::Interim | Tag::End => {
                let head = Head::read(frame.tag, frame.content).ok_or_else(|| Breach::client("a head is no head"))?;
                self.head(frame.tag, &head)?
            }
        };
        self.said.push_back(said);
        Ok(())
    }

    fn head(&mut self, tag: Tag, head: &Head<'_>) -> Result<Said, Breach> {
        let mut headers = HeaderMap::with_capacity(head.fields.len());
        for (name, value) in &head.fields {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_bytes(value);
            let (Ok(name), Ok(value)) = (name, value) else { return Err(Breach::client("a field is no field")) };
            headers.append(name, value);
        }
        Ok(match tag {
            Tag::Request => {
                let (method, target) = head.first.split_once(' ').unwrap_or_default();
                let method =
                    Method::from_bytes(method.as_bytes()).map_err(|_| Breach::client("a method is no method"))?;
                Said::Request { method, target: target.into(), headers, after: self.after.take() }
            }
            Tag::Response => Said::Response(answer(head, headers)?),
            Tag::Interim => Said::Interim(answer(head, headers)?),
            Tag::End => Said::End(headers),
            Tag::Body | Tag::Abort | Tag::Message | Tag::Close => Said::Abort,
        })
    }

    pub(super) fn next(&mut self) -> Option<Said> {
        let mut said = self.said.pop_front();
        if let Some(Said::Part(part) | Said::Message(part)) = &mut said {
            self.waiting -= part.len();
            if self.is_large {
                // A part that is not taken keeps what it is a part of.
                *part = Bytes::copy_from_slice(part);
            }
        }
        said
    }

    /// How long a body is that is here in whole, and in how many parts.
    pub(super) fn message_len(&self) -> Option<(usize, usize)> {
        let parts = self.said.iter().position(|said| !matches!(said, Said::Part(_)))?;
        let is_whole = matches!(self.said.get(parts), Some(Said::End(trailers)) if trailers.is_empty());
        let len = |said: &Said| if let Said::Part(part) = said { part.len() } else { 0 };
        is_whole.then(|| (self.said.iter().take(parts).map(len).sum(), parts))
    }

    /// All of a body, if it is here and no longer than that; what was said of it is then taken.
    pub(super) fn rest_of_message(&mut self, bytes_max: usize) -> Option<Bytes> {
        let (_, parts) = self.message_len().filter(|(len, _)| *len <= bytes_max)?;
        let mut whole: Vec<Bytes> = Vec::with_capacity(parts);
        for said in self.said.drain(..=parts) {
            if let Said::Part(part) = said {
                self.waiting -= part.len();
                whole.push(part);
            }
        }
        Some(match whole.len() {
            0 => Bytes::new(),
            1 => whole.swap_remove(0),
            _ => whole.concat().into(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// Whether the last word of a WebSocket waits here.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.said.back(), Some(Said::Close(_) | Said::Abort))
    }

    /// How many bytes of bodies wait here, and of what is kept about each part of them, of which there may be many short ones.
    pub(super) fn waiting(&self) -> usize {
        self.waiting + self.bytes.len() + self.said.len() * size_of::<Said>()
    }

    /// The record that the next word waits for, such as that of a refusal.
    pub(super) fn after(&mut self) -> Option<u64> {
        self.after.take()
    }
}

fn answer(head: &Head<'_>, headers: HeaderMap) -> Result<Response<()>, Breach> {
    let mut response = Response::new(());
    let status = StatusCode::from_bytes(head.first.as_bytes());
    *response.status_mut() = status.map_err(|_| Breach::target("a status is no status"))?;
    *response.headers_mut() = headers;
    Ok(response)
}
