//! The head of an answer: what of it goes on, and what is no longer true when its body changes.

use bytes::BytesMut;
use gatehouse_protocol::{Breach, Head, Passed, Tag, write_head};

use crate::body::{self, Kind};
use crate::columns::{ANY_TEXT, HEADER};
use crate::links::Links;
use crate::seal::Sealed;
use crate::tags;

/// Fields of this connection (RFC 9110, section 7.6.1), and one that would lead the client round the gateway.
const OF_CONNECTION: [&str; 9] = [
    "alt-svc",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "sec-websocket-extensions",
    "te",
    "transfer-encoding",
    "upgrade",
];
/// What is said of the bytes of a body, besides digests.
const OF_BYTES: [&str; 6] =
    ["accept-ranges", "content-encoding", "content-length", "want-content-digest", "want-digest", "want-repr-digest"];
/// Digests of a body (RFC 9530, and what came before it), and those of object stores, by how their names begin.
const DIGESTS: [&str; 4] = ["content-digest", "content-md5", "digest", "repr-digest"];
const DIGESTS_OF_STORES: [&str; 2] = ["x-amz-checksum-", "x-goog-hash"];
/// Fields whose values have a form of their own in which nothing personal has a place.
const PLAIN: [&str; 11] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "age",
    "cache-control",
    "content-language",
    "content-type",
    "date",
    "expires",
    "last-modified",
    "retry-after",
    "sec-websocket-accept",
];

/// The name of no coding.
const UNCLEAR: &str = "unclear";

/// Whether a field is the digest of a body.
pub(crate) fn is_digest(name: &str) -> bool {
    DIGESTS.contains(&name) || DIGESTS_OF_STORES.iter().any(|start| name.starts_with(start))
}

/// Whether a field is true of a body as its target has it, to the byte.
fn is_of_bytes(name: &str) -> bool {
    OF_BYTES.contains(&name) || is_digest(name)
}

/// An answer's head, as it goes on.
pub(crate) struct Answer<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) has_body: bool,
}

impl<'a> Answer<'a> {
    pub(crate) fn read(tag: Tag, content: &'a [u8], asked_for_head: bool) -> Result<Self, Breach> {
        let head = Head::read(tag, content).ok_or_else(|| Breach::target("the answer has no head"))?;
        let status: u16 = head.first.parse().map_err(|_| Breach::target("the answer has no status"))?;
        // RFC 9112, section 6.3.
        let has_body = tag == Tag::Response && !asked_for_head && !matches!(status, 101 | 204 | 304);
        Ok(Self { head, has_body })
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::of(self.content_type())
    }

    /// The content type without its parameters, in small letters.
    pub(crate) fn essence(&self) -> String {
        let essence = self.content_type().unwrap_or_default().split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    }

    pub(crate) fn content_type(&self) -> Option<&'a str> {
        self.head.text("content-type")
    }

    /// How its body is coded; a name of no coding where that is said in several ways, or in none that is understood.
    pub(crate) fn coding(&self) -> Option<&'a str> {
        let is_more_than_chunked =
            self.head.all("transfer-encoding").any(|value| !value.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        let is_there = self.head.all("content-encoding").next().is_some();
        match self.head.text("content-encoding") {
            _ if is_more_than_chunked => Some(UNCLEAR),
            Some(coding) => Some(coding),
            None => is_there.then_some(UNCLEAR),
        }
    }

    /// Whether the target goes on with messages.
    pub(crate) fn is_switching(&self) -> bool {
        self.head.first == "101"
    }

    /// Whether it is a part of something, which cannot be told from the part.
    pub(crate) fn is_partial(&self) -> bool {
        self.head.first == "206"
    }

    /// Whether it says neither what its body is nor how long.
    pub(crate) fn is_untold(&self) -> bool {
        self.head.all("content-type").next().is_none() && self.length().is_none() && self.coding().is_none()
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.head.text("content-length").and_then(|length| length.parse().ok())
    }

    /// Whether it says something of its body that is no longer true when a byte of it changes: a digest, or a strong tag.
    pub(crate) fn vouches(&self) -> bool {
        self.head.fields.iter().any(|(name, value)| is_digest(name) || *name == "etag" && !tags::is_weak(value))
    }

    /// Writes it with its fields as the plan says, for a body that may change.
    pub(crate) fn write_masked(&self, tag: Tag, links: &Links<'_>, editor: &mut Sealed<'_>, out: &mut BytesMut) {
        let mut fields: Vec<(&str, Vec<u8>)> = Vec::with_capacity(self.head.fields.len());
        for (name, value) in &self.head.fields {
            let is_dropped = OF_CONNECTION.contains(name) || is_of_bytes(name) || links.hides(name);
            // There are no stars for a name.
            if is_dropped || editor.seals.is_in_name(name) {
                continue;
            }
            let linked = links.changed(name, value);
            let value = linked.as_deref().unwrap_or(value);
            let mut shown = Vec::with_capacity(value.len());
            match *name {
                // What is shown is not to the byte what the target means by it (RFC 9110, section 8.8.1).
                "etag" => {
                    body::show(HEADER, ANY_TEXT, value, editor, &mut shown);
                    shown = tags::weakened(&shown);
                }
                name if PLAIN.contains(&name) => shown.extend_from_slice(value),
                "location" | "content-location" | "link" | "refresh" => show_link(value, editor, &mut shown),
                _ => body::show(HEADER, ANY_TEXT, value, editor, &mut shown),
            }
            editor.seals.hide(&mut shown);
            links.given(name, &mut shown);
            fields.push((name, shown));
        }
        let fields = fields.iter().map(|(name, value)| (*name, value.as_slice()));
        write_head(tag, Some(self.head.first.as_bytes()), fields, out);
    }

    /// Writes it as it is but for what is of the connection, and what the editor changes.
    pub(crate) fn write_plain(
        &self,
        tag: Tag,
        links: &Links<'_>,
        editor: &mut Sealed<'_>,
        out: &mut BytesMut,
    ) -> Passed {
        let mut passed = Passed::AsIs;
        let mut fields: Vec<(&str, Vec<u8>)> = Vec::with_capacity(self.head.fields.len());
        for (name, value) in &self.head.fields {
            // What comes before an answer has no body, and says nothing of one (RFC 9110, section 8.6).
            let is_of_none = tag == Tag::Interim && is_of_bytes(name);
            let is_dropped = OF_CONNECTION.contains(name) || links.hides(name) || is_of_none;
            if is_dropped || editor.seals.is_in_name(name) {
                passed = Passed::Written;
                continue;
            }
            let mut shown = Vec::with_capacity(value.len());
            let linked = links.changed(name, value);
            match *name {
                "content-length" | "content-type" => shown.extend_from_slice(value),
                _ => body::show(HEADER, ANY_TEXT, linked.as_deref().unwrap_or(value), editor, &mut shown),
            }
            editor.seals.hide(&mut shown);
            links.given(name, &mut shown);
            if shown != *value {
                passed = Passed::Written;
            }
            fields.push((name, shown));
        }
        if passed == Passed::Written {
            let fields = fields.iter().map(|(name, value)| (*name, value.as_slice()));
            write_head(tag, Some(self.head.first.as_bytes()), fields, out);
        }
        passed
    }
}

/// Shows a field that holds an address: what is escaped in it is looked at as what it stands for.
fn show_link(value: &[u8], editor: &mut Sealed<'_>, shown: &mut Vec<u8>) {
    let plain: Vec<u8> = percent_decoded(value);
    let mut masked = Vec::with_capacity(plain.len());
    body::show(HEADER, ANY_TEXT, &plain, editor, &mut masked);
    if masked == plain {
        shown.extend_from_slice(value);
    } else {
        // It leads nowhere any more, and has only to be a field.
        shown.extend(masked.iter().map(|byte| if byte.is_ascii_graphic() { *byte } else { b'_' }));
    }
}

pub(crate) fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}
