//! Carries a WebSocket (RFC 6455): each message is one thing that the gate judges, records and masks, in both directions.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use gatehouse_gate::Stop;
use gatehouse_model::{Blame, Denial, Reason};
use gatehouse_protocol::{Tag, write_frame};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::outlet::Said;

/// How long the two connections may take to leave HTTP.
const SWITCH: Duration = Duration::from_secs(10);
/// How long one that is closed may take to say so.
const GOODBYE: Duration = Duration::from_secs(5);
/// How much may wait to be taken besides one message, in bytes.
const SIGNS_BYTES_MAX: usize = 64 * 1024;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// One side's connection.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The connection of a side that left HTTP.
pub(super) async fn open(upgrade: OnUpgrade, role: Role, bytes_max: usize) -> Result<Socket, Stop> {
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
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), role, Some(config)).await)
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
        Some(Err(error)) => return Err(ended(&error.to_string())),
        None => return Ok(false),
    }
    Ok(true)
}

/// Says what was cleared; false if that was the last word.
pub(super) async fn say(socket: &mut Socket, said: Said) -> Result<bool, Stop> {
    let message = match said {
        Said::Message(message) => match message.split_first() {
            Some((b't', text)) => Message::text(String::from_utf8_lossy(text).into_owned()),
            Some(_) | None => Message::Binary(message.slice(message.len().min(1)..)),
        },
        Said::Close(content) => Message::Close(close_frame(&content)),
        Said::Abort => Message::Close(None),
        Said::Request { .. } | Said::Response(_) | Said::Interim(_) | Said::Part(_) | Said::End(_) => return Ok(true),
    };
    let is_last = message.is_close();
    socket.send(message).await.map_err(|error| ended(&error.to_string()))?;
    Ok(!is_last)
}

fn close_frame(content: &Bytes) -> Option<CloseFrame> {
    let (code, reason) = content.split_at_checked(2)?;
    let code = u16::from_be_bytes(code.try_into().ok()?);
    Some(CloseFrame { code: code.into(), reason: String::from_utf8_lossy(reason).into_owned().into() })
}

/// Tells a side the end, with last words where there are some, and lets it say goodbye.
pub(super) async fn shut(mut socket: Socket, last: Vec<Said>) {
    let goodbye = async {
        for said in last.into_iter().chain([Said::Close(Bytes::new())]) {
            if !matches!(say(&mut socket, said).await, Ok(true)) {
                break;
            }
        }
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}
