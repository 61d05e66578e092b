//! HTTP messages as frames: what the carrier of HTTP and the protocols that ride on it say to each other.
//!
//! A library speaks HTTP's own wires. What it read becomes frames, so that a request and its answer go through the gate like
//! everything else, and what the gate cleared becomes HTTP again. A frame is a tag, the length of what follows in four
//! bytes, and that. A head is text: its first line, a line for each field, and an empty line, whose one byte stands for
//! what the message still has: a head whose message is not there in whole is given without it, and the byte is its tail.

use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use gatehouse_model::TargetName;

use crate::{Archive, Breach, Protocol, SurveyFacts};

/// What comes before a frame's content: its tag, and the content's length.
const PREFIX_BYTES: usize = 5;

/// A protocol that is spoken in HTTP messages.
pub trait Exchanges: Protocol {
    /// What its sessions are to know of a target, from what the configuration says of it.
    ///
    /// # Errors
    /// The key of what is not for targets that speak it.
    fn learn(&self, target: &TargetName, described: HttpFacts) -> Result<SurveyFacts, &'static str>;

    /// Makes an HTTP archive of a recording of what was asked of a target.
    fn archive(&self, target: &TargetName) -> Box<dyn Archive>;
}

/// What the configuration says of a target that speaks HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpFacts {
    /// Where it is, such as `https://api.internal`.
    pub origin: String,
    /// What its own document says can be asked for; `None` where there is no document.
    pub endpoints: Option<Vec<Endpoint>>,
    /// The only path at which it is asked, where it is: clients may leave it out.
    pub endpoint: Option<String>,
    /// The paths at which it is asked in GraphQL.
    pub graphql: Vec<String>,
    /// The name of the header that the gateway proves itself by, in small letters.
    pub credential_header: Option<String>,
    /// The names of the parameters of the query by which one proves oneself there: no client's go on.
    pub credential_parameters: Vec<String>,
    /// Whether bodies that cannot be looked into pass.
    pub passes_opaque: bool,
    /// Whether its own address in bodies leads its client through the gateway.
    pub rewrites_links: bool,
    /// Where people look at requests, such as `https://gateway.example/requests`, if there is such a place.
    pub requests: Option<String>,
    /// The names of the fields of requests that policy is shown, in small letters.
    pub headers: Vec<String>,
    /// Whether it takes no notice of the size of letters in paths.
    pub ignores_case: bool,
    /// Whether an escaped slash in a path stays inside of its segment there.
    pub keeps_slashes: bool,
}

/// Something that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The method, in capitals.
    pub method: String,
    /// The path, with `{…}` for what differs.
    pub template: String,
    /// Its name in the document.
    pub operation: Option<Arc<str>>,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// The head of a request: `METHOD TARGET`.
    Request,
    /// The head of an answer: its status.
    Response,
    /// The head of an answer before the answer (RFC 9110, section 15.2).
    Interim,
    /// A part of a body.
    Body,
    /// The end of a message, with its trailers.
    End,
    /// The message is broken off.
    Abort,
    /// A message of a WebSocket (RFC 6455): `t` for text or `b` for anything, and that.
    Message,
    /// The end of a WebSocket: its code in two bytes, and the reason.
    Close,
}

impl Tag {
    const ALL: [Self; 8] =
        [Self::Request, Self::Response, Self::Interim, Self::Body, Self::End, Self::Abort, Self::Message, Self::Close];

    const fn byte(self) -> u8 {
        match self {
            Self::Request => b'Q',
            Self::Response => b'R',
            Self::Interim => b'I',
            Self::Body => b'B',
            Self::End => b'E',
            Self::Abort => b'A',
            Self::Message => b'M',
            Self::Close => b'C',
        }
    }
}

/// A frame that is there in whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub tag: Tag,
    /// How long it is with what comes before its content, in bytes.
    pub len: usize,
    /// What it holds.
    pub content: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the front of `buf`; `Err` in the inner result says how many bytes it takes.
    ///
    /// # Errors
    /// A tag that there is not, or a frame that is longer than `bytes_max`.
    pub fn first(buf: &'a [u8], bytes_max: usize, blame: fn(String) -> Breach) -> Result<Result<Self, usize>, Breach> {
        let Some((&[byte, a, b, c, d], rest)) = buf.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(Err(PREFIX_BYTES));
        };
        let tag = Tag::ALL.into_iter().find(|tag| tag.byte() == byte);
        let tag = tag.ok_or_else(|| blame(format!("there is no frame of the kind {byte:#04x}")))?;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > bytes_max {
            return Err(blame(format!("a frame of {length} bytes is longer than the {bytes_max} that may be held")));
        }
        let len = PREFIX_BYTES + length;
        Ok(rest.get(..length).map(|content| Self { tag, len, content }).ok_or(len))
    }
}

/// The frames of a run, each there in whole; what is cut off at the end is left out.
pub fn frames(mut run: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let frame = Frame::first(run, usize::MAX, Breach::target).ok()?.ok()?;
        run = run.get(frame.len..)?;
        Some(frame)
    })
}

/// Appends a frame.
pub fn write_frame(tag: Tag, content: &[u8], out: &mut BytesMut) {
    begin(tag, content.len(), out);
    out.put_slice(content);
}

/// Appends a content as frames of at most so many bytes each.
pub fn write_frames(tag: Tag, content: &[u8], bytes_max: usize, out: &mut BytesMut) {
    let bytes_max = bytes_max.max(1);
    out.reserve(content.len() + content.len().div_ceil(bytes_max) * PREFIX_BYTES);
    content.chunks(bytes_max).for_each(|part| write_frame(tag, part, out));
}

fn begin(tag: Tag, length: usize, out: &mut BytesMut) {
    out.reserve(PREFIX_BYTES + length);
    out.put_u8(tag.byte());
    // A frame is made of what was held, which is far less.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Appends a head, or the end of a message, which has no first line.
pub fn write_head<'f>(
    tag: Tag,
    first: Option<&[u8]>,
    fields: impl Iterator<Item = (&'f str, &'f [u8])>,
    out: &mut BytesMut,
) {
    let start = out.len() + PREFIX_BYTES;
    begin(tag, 0, out);
    if let Some(first) = first {
        out.put_slice(first);
        out.put_u8(b'\n');
    }
    for (name, value) in fields {
        out.put_slice(name.as_bytes());
        out.put_slice(b": ");
        out.put_slice(value);
        out.put_u8(b'\n');
    }
    out.put_u8(b'\n');
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(place) = out.get_mut(start - length.len()..start) {
        place.copy_from_slice(&length);
    }
}

/// A head, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// The first line; empty for the end of a message.
    pub first: &'a str,
    /// The fields, with names in small letters, in order.
    pub fields: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Head<'a> {
    /// Reads a frame's content; `None` if it is no head.
    pub fn read(tag: Tag, content: &'a [u8]) -> Option<Self> {
        let mut lines = content.strip_suffix(b"\n")?;
        let first = match tag {
            Tag::Request | Tag::Response | Tag::Interim => {
                let (first, rest) = lines.split_at(lines.iter().position(|byte| *byte == b'\n')?);
                lines = rest.get(1..)?;
                std::str::from_utf8(first).ok()?
            }
            Tag::End => "",
            Tag::Body | Tag::Abort | Tag::Message | Tag::Close => return None,
        };
        let mut fields = Vec::with_capacity(16);
        while !lines.is_empty() {
            let (line, rest) = lines.split_at(lines.iter().position(|byte| *byte == b'\n')?);
            lines = rest.get(1..)?;
            let (name, value) = line.split_at(line.windows(2).position(|pair| pair == b": ")?);
            fields.push((std::str::from_utf8(name).ok()?, value.get(2..)?));
        }
        Some(Self { first, fields })
    }

    /// The values of a field.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// The value of a field that is there once, as text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        field(self.all(name))
    }
}

/// The only one of these values, as text.
pub fn field<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<&'a str> {
    match (values.next(), values.next()) {
        (Some(value), None) => std::str::from_utf8(value).ok(),
        (None | Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = BytesMut::new();
        let fields = [("host", b"api".as_slice()), ("x", b"a: b".as_slice()), ("empty", b"".as_slice())];
        write_head(Tag::Request, Some(b"GET /a"), fields.into_iter(), &mut out);
        write_frame(Tag::Body, b"body", &mut out);
        write_head(Tag::End, None, [("t", b"1".as_slice())].into_iter(), &mut out);
        let read: Vec<Frame<'_>> = frames(&out).collect();
        assert_eq!(read.iter().map(|frame| frame.tag).collect::<Vec<_>>(), [Tag::Request, Tag::Body, Tag::End]);
        assert_eq!(read.iter().map(|frame| frame.len).sum::<usize>(), out.len());
        let head = Head::read(Tag::Request, read[0].content).unwrap();
        assert_eq!((head.first, head.fields.as_slice()), ("GET /a", fields.as_slice()));
        assert_eq!((head.text("x"), head.text("none")), (Some("a: b"), None));
        assert_eq!(Head::read(Tag::End, read[2].content).unwrap().text("t"), Some("1"));
        for len in 0..out.len() {
            let _ = frames(&out[..len]).count();
        }
    }

    #[test]
    fn what_is_no_frame_is_a_breach() {
        assert!(Frame::first(b"Z\0\0\0\0", 9, Breach::client).is_err());
        assert!(Frame::first(b"B\0\0\0\x0a", 9, Breach::client).is_err());
        assert_eq!(Frame::first(b"B\0\0\0\x09", 9, Breach::client), Ok(Err(14)));
        assert_eq!(Frame::first(b"B\0", 9, Breach::client), Ok(Err(5)));
    }
}
