//! Frames of protocol 3.0: one tag byte, a big-endian length that counts itself, and a body.
//!
//! Knows how bytes are cut, not what they mean. See "Message Formats" in PostgreSQL's documentation.

use bytes::{BufMut, BytesMut};
use gatehouse_protocol::Breach;

/// One whole frame at the front of a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) tag: u8,
    pub(crate) body: &'a [u8],
    /// The length of tag, length and body.
    pub(crate) len: usize,
}

/// What a look at the front of a buffer finds.
pub(crate) enum Peek<'a> {
    /// The buffer must reach this length.
    Short(usize),
    Whole(Frame<'a>),
    /// It is longer than what is held whole: its tag and its length.
    Large(u8, usize),
}

const HEADER: usize = 5;

/// Looks at the frame at the front of `buf`; a frame longer than `frame_bytes_max` or with an impossible length is a
/// breach, made by `blame`.
pub(crate) fn peek(buf: &[u8], frame_bytes_max: usize, blame: fn(String) -> Breach) -> Result<Peek<'_>, Breach> {
    match peek_any(buf, frame_bytes_max, blame)? {
        Peek::Large(tag, len) => Err(blame(too_long(tag, len, frame_bytes_max))),
        other @ (Peek::Short(_) | Peek::Whole(_)) => Ok(other),
    }
}

/// What is said of a frame that is longer than it may be.
pub(crate) fn too_long(tag: u8, len: usize, frame_bytes_max: usize) -> String {
    let tag = char::from(tag);
    format!("a frame {tag:?} has {len} bytes, more than limits.frame_bytes_max = {frame_bytes_max}")
}

/// The same where a longer frame may be relayed in parts. For each row: a call would take as long as its work.
#[inline]
pub(crate) fn peek_any(buf: &[u8], frame_bytes_max: usize, blame: fn(String) -> Breach) -> Result<Peek<'_>, Breach> {
    let Some((header, rest)) = buf.split_first_chunk::<HEADER>() else {
        return Ok(Peek::Short(HEADER));
    };
    let [tag, length @ ..] = *header;
    let length = i32::from_be_bytes(length);
    let Some(body) = usize::try_from(length).ok().and_then(|length| length.checked_sub(4)) else {
        return Err(blame(format!("a frame {:?} has the impossible length {length}", char::from(tag))));
    };
    let len = HEADER + body;
    if len > frame_bytes_max {
        return Ok(Peek::Large(tag, len));
    }
    match rest.get(..body) {
        Some(body) => Ok(Peek::Whole(Frame { tag, body, len })),
        None => Ok(Peek::Short(len)),
    }
}

/// The frames of a run that was already inspected. The last one may be cut off: then its tail follows the run.
pub(crate) fn frames(mut run: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let frame = match peek(run, usize::MAX, Breach::target) {
            Ok(Peek::Whole(frame)) => frame,
            Ok(Peek::Short(_) | Peek::Large(..)) => {
                let (&[tag, ..], body) = run.split_first_chunk::<HEADER>()?;
                Frame { tag, body, len: run.len() }
            }
            Err(_) => return None,
        };
        run = run.get(frame.len..).unwrap_or_default();
        Some(frame)
    })
}

/// Reads the fields of a body from its front.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (value, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*value)
    }

    pub(crate) fn i16(&mut self) -> Option<i16> {
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i16::from_be_bytes(*value))
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*value))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.i32().map(i32::cast_unsigned)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (value, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(value)
    }

    /// A string that ends with a zero byte, without it.
    pub(crate) fn cstr(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let value = self.bytes(end)?;
        self.u8()?;
        Some(value)
    }

    /// The same as text; `None` if it is not UTF-8.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.cstr()?).ok()
    }

    /// A value that its length precedes: `Some(None)` is SQL NULL.
    pub(crate) fn value(&mut self) -> Option<Option<&'a [u8]>> {
        let length = self.i32()?;
        if length == -1 {
            return Some(None);
        }
        self.bytes(usize::try_from(length).ok()?).map(Some)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// Writes one frame whose body `fill` writes.
pub(crate) fn write(out: &mut BytesMut, tag: u8, fill: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    write_untagged(out, fill);
}

/// Writes a length and the body that `fill` writes, as the first message of a connection has it.
pub(crate) fn write_untagged(out: &mut BytesMut, fill: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_i32(0);
    fill(out);
    let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX).to_be_bytes();
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length);
    }
}

/// Writes text and its closing zero byte; a zero byte inside would end it early, so it is left out.
pub(crate) fn put_cstr(out: &mut BytesMut, text: &str) {
    out.extend(text.bytes().filter(|&byte| byte != 0));
    out.put_u8(0);
}

/// The head of a message of so many bytes in all, for tests of what is too long.
#[cfg(test)]
pub(crate) fn head_of(kind: u8, length: usize) -> BytesMut {
    let mut head = BytesMut::from(&[kind][..]);
    head.put_u32(u32::try_from(length - 1).expect("a length of the protocol"));
    head
}
