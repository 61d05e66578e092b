//! Carries a WebSocket (RFC 6455): each message is one thing that the gate judges, records and masks, in both directions.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use gatehouse_gate::Stop;
use gatehouse_model::{Blame, Denial, Reason};
use gatehouse_protocol::{Tag, write_frame};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::outlet::{Outlet, Said};

/// How long the two connections may take to leave HTTP.
const SWITCH: Duration = Duration::from_secs(10);
/// How long one that is closed may take to say so.
const GOODBYE: Duration = Duration::from_secs(5);
/// How much may wait to be taken besides one message, in bytes.
const SIGNS_BYTES_MAX: usize = 64 * 1024;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// One side of a WebSocket. It is heard while it is told something: there are some that say much before they take anything.
pub(super) struct Speaker {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    /// It has not said its last word, nor was it told one.
    pub(super) is_there: bool,
    /// When it took something last that was there for it.
    pub(super) taken: Instant,
    /// Something was written that may not have gone yet.
    is_writing: bool,
    /// That is the last word.
    is_last: bool,
}

/// What became of a side.
pub(super) enum Happened {
    /// It took something.
    Took,
    /// It said something.
    Said(Option<Result<Message, Error>>),
}

impl Speaker {
    /// The connection of a side that left HTTP.
    pub(super) async fn open(upgrade: OnUpgrade, role: Role, bytes_max: usize) -> Result<Self, Stop> {
        let upgraded = tokio::time::timeout(SWITCH, upgrade).await;
        let Ok(Ok(upgraded)) = upgraded else { return Err(ended("a connection did not leave HTTP")) };
        let mut config = WebSocketConfig::default();
        config.max_message_size = Some(bytes_max);
        config.max_frame_size = Some(bytes_max);
        config.read_buffer_size = READ_BYTES;
        // What is written goes at once.
        config.write_buffer_size = 0;
        // Whoever asks for signs of life and does not read them is not answered without end.
        config.max_write_buffer_size = bytes_max.saturating_add(SIGNS_BYTES_MAX);
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), role, Some(config)).await;
        Ok(Self { socket, is_there: true, taken: Instant::now(), is_writing: false, is_last: false })
    }

    /// It is told its last word.
    pub(super) fn is_leaving(&self, words: &Outlet) -> bool {
        !self.is_there || self.is_last || words.is_closing()
    }

    /// Whether something is on its way to it.
    pub(super) fn is_behind(&self, words: &Outlet) -> bool {
        self.is_there && (self.is_writing || !words.is_empty())
    }

    /// Tells it what was cleared, as far as it takes that, and hears what it says, if that is wanted.
    pub(super) fn poll(
        &mut self,
        words: &mut Outlet,
        is_heard: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Happened, Stop>> {
        let cut = |error: Error| ended(&error.to_string());
        let mut has_taken = false;
        while self.is_writing || !self.is_last && !words.is_empty() {
            let Poll::Ready(ready) = self.socket.poll_ready_unpin(cx) else { break };
            ready.map_err(cut)?;
            if let Some(message) = (!self.is_last).then(|| words.next()).flatten().map(message) {
                let Some(message) = message else { continue };
                self.is_last = message.is_close();
                self.socket.start_send_unpin(message).map_err(cut)?;
                self.is_writing = true;
            } else {
                let Poll::Ready(flushed) = self.socket.poll_flush_unpin(cx) else { break };
                flushed.map_err(cut)?;
                self.is_writing = false;
                self.is_there &= !self.is_last;
            }
            has_taken = true;
            self.taken = Instant::now();
        }
        if is_heard && let Poll::Ready(said) = self.socket.poll_next_unpin(cx) {
            return Poll::Ready(Ok(Happened::Said(said)));
        }
        if has_taken { Poll::Ready(Ok(Happened::Took)) } else { Poll::Pending }
    }

    /// Tells it the end, with last words where there are some, and lets it say goodbye.
    pub(super) async fn shut(mut self, last: Vec<Said>) {
        let goodbye = async {
            let words = last.into_iter().filter_map(message).chain([Message::Close(None)]);
            for word in words {
                let is_last = word.is_close();
                if self.socket.send(word).await.is_err() || is_last {
                    break;
                }
            }
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
}

/// Why a WebSocket is over, where nobody is to blame.
pub(super) fn ended(cause: &str) -> Stop {
    Stop { blame: Blame::Client, cause: cause.into(), denial: None }
}

fn too_long() -> Denial {
    Denial::new(
        Reason::Limit,
        "a message is too long",
        "it is longer than limits.body_bytes_max",
        "Say it in several messages, or have the operator raise the limit",
    )
}

/// Appends what a side said as a frame; false if that was its last word.
pub(super) fn heard(message: Option<Result<Message, Error>>, out: &mut BytesMut) -> Result<bool, Stop> {
    let kinded = |kind: u8, content: &[u8], out: &mut BytesMut| {
        write_frame(Tag::Message, &[&[kind], content].concat(), out);
    };
    match message {
        Some(Ok(Message::Text(text))) => kinded(b't', text.as_bytes(), out),
        Some(Ok(Message::Binary(bytes))) => kinded(b'b', &bytes, out),
        // Each side's connection is kept alive by itself.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
        Some(Ok(Message::Close(close))) => {
            let content = close.map_or_else(Vec::new, |close| {
                [&u16::from(close.code).to_be_bytes(), close.reason.as_bytes()].concat()
            });
            write_frame(Tag::Close, &content, out);
            return Ok(false);
        }
        Some(Err(error @ Error::Capacity(_))) => {
            return Err(Stop { denial: Some(too_long()), ..ended(&error.to_string()) });
        }
        // Whatever ended it, what it said before is passed on.
        Some(Err(_)) | None => return Ok(false),
    }
    Ok(true)
}

/// What was cleared as a message, if it is one.
fn message(said: Said) -> Option<Message> {
    match said {
        Said::Message(message) => Some(match message.split_first() {
            Some((b't', text)) => Message::text(String::from_utf8_lossy(text).into_owned()),
            Some(_) | None => Message::Binary(message.slice(message.len().min(1)..)),
        }),
        Said::Close(content) => Some(Message::Close(close_frame(&content))),
        Said::Abort => Some(Message::Close(None)),
        Said::Request { .. } | Said::Response(_) | Said::Interim(_) | Said::Part(_) | Said::End(_) => None,
    }
}

fn close_frame(content: &Bytes) -> Option<CloseFrame> {
    let (code, reason) = content.split_at_checked(2)?;
    let code = u16::from_be_bytes(code.try_into().ok()?);
    Some(CloseFrame { code: code.into(), reason: String::from_utf8_lossy(reason).into_owned().into() })
}
