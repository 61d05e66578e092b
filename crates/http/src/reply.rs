//! What a client may see of what its target answers, frame by frame.

use std::sync::Arc;

use bytes::BytesMut;
use gatehouse_model::{Access, Denial, Encoding, Reason, Resource};
use gatehouse_protocol::{
    Breach, Edit, Editor, Field, Frame, Head, HttpFacts, Passed, Tag, Told, write_frame, write_frames, write_head,
};

use crate::answer::{self, Answer};
use crate::body::{self, Kind, Masking, Text};
use crate::coding::Decoder;
use crate::columns::{ANY_TEXT, Columns, HEADER, OPAQUE, TEXT, UNKNOWN};
use crate::json;
use crate::links::{Base, Links, Relinker};
use crate::own::{Own, Owned};
use crate::refusal::REASON_BYTES_MAX;
use crate::rider::{Reader, Rider};
use crate::seal::{Sealed, Seals, Sieve, Watch};

/// Fields that mean nothing after a body, or too much (RFC 9110, section 6.5.1).
const OF_HEADS: [&str; 9] = [
    "authentication-info",
    "content-encoding",
    "content-length",
    "content-location",
    "content-type",
    "link",
    "location",
    "set-cookie",
    "www-authenticate",
];
/// The most that is shown of a body in one frame, in bytes.
const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// What the target says.
enum Answering {
    /// Nothing is due.
    Nothing,
    /// An answer is due.
    Due,
    /// Its body, as it is but for the gateway's own credential; and whether that was planned.
    Raw(Sieve, bool),
    /// Its body, coded, as it is, while it does not hold that.
    Watched(Box<Watch>),
    /// Its body, as it is but for the gateway's own credential and where its links lead.
    Led(Box<Led>),
    /// Its body, masked.
    Masked(Box<Masking>),
    /// The end of an answer without a body.
    Bodiless,
    /// Messages of a WebSocket, and its end.
    Messages,
}

/// A text whose links lead through the gateway.
struct Led {
    decoder: Decoder,
    sieve: Sieve,
    relinker: Relinker,
}

impl Led {
    /// What is seen of the next bytes.
    fn pass(&mut self, seals: &Seals, bytes: &[u8]) -> Result<Vec<u8>, Breach> {
        let Self { decoder, sieve, relinker } = self;
        let mut shown = Vec::new();
        decoder.feed(bytes, |decoded| {
            shown.extend(relinker.pass(&sieve.pass(seals, decoded))?);
            Ok(())
        })?;
        Ok(shown)
    }

    fn finish(&mut self, seals: &Seals) -> Result<Vec<u8>, Breach> {
        let Self { decoder, sieve, relinker } = self;
        let mut shown = Vec::new();
        decoder.finish(|decoded| {
            shown.extend(relinker.pass(&sieve.pass(seals, decoded))?);
            Ok(())
        })?;
        shown.extend(relinker.pass(&sieve.finish())?);
        shown.extend(relinker.finish()?);
        Ok(shown)
    }
}

/// The answers of one session.
pub(crate) struct Replies {
    pub(crate) facts: Arc<HttpFacts>,
    pub(crate) columns: Columns,
    pub(crate) rider: Option<Box<dyn Rider>>,
    pub(crate) seals: Seals,
    bytes_max: usize,
    answering: Answering,
    /// Whether the request asked for the head alone.
    asked_for_head: bool,
    /// Whether it asked for a WebSocket.
    asked_for_socket: bool,
    /// The way by which it came.
    base: Base,
    /// What it said.
    own: Own,
    /// What keeps the gateway's own credential from what is shown of a masked body, which masks may have cut in pieces.
    sieve: Sieve,
    /// Where the target's address in a body leads its client.
    relinker: Option<Relinker>,
    /// Whether the head of what passes as it is says what is true of its very bytes alone.
    is_vouched_for: bool,
}

/// Shows everything.
struct Shown;

impl Editor for Shown {
    fn edit(&mut self, _: Field<'_>, _: &mut Vec<u8>) -> Edit {
        Edit::Keep
    }

    fn offers(&mut self, _: &Access) -> bool {
        true
    }

    fn describes(&mut self, _: &Resource, _: &str) -> Told {
        Told::AsIs
    }
}

impl Replies {
    pub(crate) fn new(
        facts: Arc<HttpFacts>,
        columns: Columns,
        seals: Seals,
        bytes_max: usize,
        rider: Option<Box<dyn Rider>>,
    ) -> Self {
        let answering = Answering::Nothing;
        Self {
            facts,
            columns,
            rider,
            seals,
            bytes_max,
            answering,
            asked_for_head: false,
            asked_for_socket: false,
            base: Base::default(),
            own: Own::Nothing,
            sieve: Sieve::default(),
            relinker: None,
            is_vouched_for: false,
        }
    }

    /// A request went out.
    pub(crate) fn expect(&mut self, method: &str, base: Base, own: Own, is_socket: bool) {
        // What the client says on a WebSocket is not kept to be compared: all may be its own.
        self.own = if is_socket { Own::Anything } else { own };
        self.asked_for_socket = is_socket;
        self.asked_for_head = method == "HEAD";
        self.base = base;
        self.answering = Answering::Due;
    }

    /// How much of an answer waits for the rest of it.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.answering {
            Answering::Masked(masking) => masking.held_bytes(),
            Answering::Watched(watch) => watch.held_bytes(),
            Answering::Nothing
            | Answering::Due
            | Answering::Raw(..)
            | Answering::Led(_)
            | Answering::Bodiless
            | Answering::Messages => 0,
        }
    }

    /// Whether an answer is only kept until its end is there.
    pub(crate) fn keeps_all(&self) -> bool {
        matches!(&self.answering, Answering::Masked(masking) if masking.keeps_all())
    }

    fn links(&self) -> Links<'_> {
        let has_credential = self.facts.credential_header.is_some() || !self.facts.credential_parameters.is_empty();
        let proves_itself = has_credential || self.rider.is_some();
        Links { origin: &self.facts.origin, base: &self.base, proves_itself, rider: self.rider.as_deref() }
    }

    /// Nothing is due; or, of a WebSocket, anything at any time.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self.answering, Answering::Nothing | Answering::Messages)
    }

    /// Whether this has become a WebSocket.
    pub(crate) fn is_messaging(&self) -> bool {
        matches!(self.answering, Answering::Messages)
    }

    /// Whether the client has heard nothing yet of an answer that is due.
    pub(crate) fn is_unbegun(&self) -> bool {
        matches!(self.answering, Answering::Nothing | Answering::Due)
    }

    /// Whether the target may say this now.
    pub(crate) fn is_due(&self, tag: Tag) -> bool {
        match (&self.answering, tag) {
            (Answering::Due, Tag::Response | Tag::Interim)
            | (
                Answering::Raw(..) | Answering::Watched(_) | Answering::Led(_) | Answering::Masked(_),
                Tag::Body | Tag::End,
            )
            | (Answering::Bodiless, Tag::End)
            | (Answering::Messages, Tag::Message | Tag::Close | Tag::End) => true,
            (
                Answering::Nothing
                | Answering::Due
                | Answering::Raw(..)
                | Answering::Watched(_)
                | Answering::Led(_)
                | Answering::Masked(_)
                | Answering::Bodiless
                | Answering::Messages,
                Tag::Request
                | Tag::Response
                | Tag::Interim
                | Tag::Body
                | Tag::End
                | Tag::Abort
                | Tag::Message
                | Tag::Close,
            ) => false,
        }
    }

    /// Moves past a frame and writes what is seen of it; without an editor, all of it is but for the gateway's credential.
    pub(crate) fn show(
        &mut self,
        frame: Frame<'_>,
        editor: Option<&mut dyn Editor>,
        out: &mut BytesMut,
    ) -> Result<Passed, Breach> {
        let is_plain = editor.is_none();
        let mut all = Shown;
        let editor = editor.unwrap_or(&mut all);
        let mut own = std::mem::take(&mut self.own);
        let mut editor = Owned { editor, own: &mut own };
        let mut editor = Sealed { editor: &mut editor, seals: self.seals.clone(), room: Some(self.bytes_max) };
        let shown = self.show_frame(frame, is_plain, &mut editor, out);
        let has_room = editor.room.is_some();
        self.own = own;
        if has_room { shown } else { Err(overrun(self.bytes_max)) }
    }

    fn show_frame(
        &mut self,
        frame: Frame<'_>,
        is_plain: bool,
        editor: &mut Sealed<'_>,
        out: &mut BytesMut,
    ) -> Result<Passed, Breach> {
        match frame.tag {
            Tag::Response | Tag::Interim if is_plain => self.plain_head(frame, editor, out),
            Tag::Response | Tag::Interim => self.masked_head(frame, editor, out),
            Tag::Body => self.body(frame, is_plain, editor, out),
            Tag::End => self.end(frame, editor, out),
            Tag::Message => self.message(frame, is_plain, editor, out),
            Tag::Close => {
                let (code, reason) = frame.content.split_at_checked(2).unwrap_or((b"", b""));
                let mut shown = code.to_vec();
                body::show(TEXT, ANY_TEXT, reason, editor, &mut shown);
                // A frame of the kind has room for no more, and holds whole characters.
                let whole = String::from_utf8_lossy(shown.get(2..).unwrap_or_default()).into_owned();
                shown.truncate(code.len() + whole.floor_char_boundary(REASON_BYTES_MAX).min(shown.len()));
                write_frame(Tag::Close, &shown, out);
                Ok(Passed::Written)
            }
            Tag::Request | Tag::Abort => Err(Breach::target("the target sent what is not due")),
        }
    }

    /// A message of a WebSocket: JSON, or lines of text.
    fn message(
        &mut self,
        frame: Frame<'_>,
        is_plain: bool,
        editor: &mut Sealed<'_>,
        out: &mut BytesMut,
    ) -> Result<Passed, Breach> {
        let (kind, content) = frame.content.split_first().unwrap_or((&b'b', b""));
        let mut shown = vec![*kind];
        match kind {
            _ if is_plain || *kind != b't' && passes_opaque(editor) => {
                shown.extend_from_slice(content);
                self.seals.hide(&mut shown);
            }
            b't' => {
                let is_json = json::walk(content, |_| {}).is_ok();
                if !is_json && json::is_meant(content) {
                    // Some readers make something of it all the same, and nobody knows what.
                    body::show(OPAQUE, ANY_TEXT, content, editor, &mut shown);
                } else {
                    let mut text = Text::new(if is_json { Kind::Json } else { Kind::Lines }, None, self.bytes_max);
                    let reader = &mut Reader { columns: &mut self.columns, rider: None };
                    text.take(content, reader, editor, &mut shown)?;
                    text.finish(reader, editor, &mut shown)?;
                }
                // What stands in several values, or between them, is in none.
                self.seals.hide(&mut shown);
            }
            _ => {
                let what = "a message was kept back: it is no text, and cannot be looked into";
                return Err(Breach::target(what).telling(Denial::new(
                    Reason::Policy,
                    "a message is kept back",
                    "it is no text, and cannot be looked into",
                    "Ask for text; or the operator sets opaque_bodies = \"pass\" for the target",
                )));
            }
        }
        if shown == frame.content {
            return Ok(Passed::AsIs);
        }
        write_frame(Tag::Message, &shown, out);
        Ok(Passed::Written)
    }

    /// The target agreed to a WebSocket.
    fn switched(&mut self) -> Result<(), Breach> {
        if !self.asked_for_socket {
            return Err(Breach::target("the target switched to a protocol that nobody asked for"));
        }
        self.answering = Answering::Messages;
        Ok(())
    }

    fn plain_head(&mut self, frame: Frame<'_>, editor: &mut Sealed<'_>, out: &mut BytesMut) -> Result<Passed, Breach> {
        let answer = Answer::read(frame.tag, frame.content, self.asked_for_head)?;
        if answer.is_switching() {
            self.switched()?;
            let links = self.links();
            return Ok(answer.write_plain(frame.tag, &links, editor, out));
        }
        if let Some(led) = self.led(&answer).filter(|_| frame.tag == Tag::Response) {
            self.answering = Answering::Led(Box::new(led));
            answer.write_masked(frame.tag, &self.links(), editor, out);
            return Ok(Passed::Written);
        }
        let is_coded = answer.coding().is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
        if is_coded && answer.has_body && !self.seals.is_empty() {
            // What is coded may hold the credential, and is looked into for that.
            let decoder = Decoder::new(answer.coding()).ok_or_else(|| unreadable(&answer, &self.seals))?;
            self.answering = Answering::Watched(Box::new(Watch::new(decoder)));
            return Ok(answer.write_plain(frame.tag, &self.links(), editor, out));
        }
        if frame.tag == Tag::Response {
            self.is_vouched_for = answer.vouches();
            self.answering = raw_or_bodiless(&answer, false);
        }
        Ok(answer.write_plain(frame.tag, &self.links(), editor, out))
    }

    fn masked_head(&mut self, frame: Frame<'_>, editor: &mut Sealed<'_>, out: &mut BytesMut) -> Result<Passed, Breach> {
        let answer = Answer::read(frame.tag, frame.content, self.asked_for_head)?;
        if answer.is_switching() {
            self.switched()?;
        } else if frame.tag == Tag::Response {
            match self.masking(&answer, editor)? {
                Some(masking) => self.take_apart(masking),
                None if answer.has_body && !answer.is_untold() && answer.length() != Some(0) => {
                    self.is_vouched_for = answer.vouches();
                    self.answering = raw_or_bodiless(&answer, true);
                    let links = self.links();
                    return Ok(answer.write_plain(frame.tag, &links, editor, out));
                }
                None => self.answering = Answering::Bodiless,
            }
        }
        let links = self.links();
        answer.write_masked(frame.tag, &links, editor, out);
        Ok(Passed::Written)
    }

    /// A body follows that is shown piece by piece.
    fn take_apart(&mut self, masking: Masking) {
        self.answering = Answering::Masked(Box::new(masking));
        self.sieve = Sieve::default();
        self.relinker = self.relinker();
    }

    fn relinker(&self) -> Option<Relinker> {
        self.facts.rewrites_links.then(|| Relinker::new(&self.links(), self.bytes_max)).flatten()
    }

    /// A text that is shown as it is, but for where its links lead.
    fn led(&self, answer: &Answer<'_>) -> Option<Led> {
        let is_text = answer.has_body && !answer.is_partial() && answer.kind() != Kind::Opaque;
        let relinker = is_text.then(|| self.relinker()).flatten()?;
        Some(Led { decoder: Decoder::new(answer.coding())?, sieve: Sieve::default(), relinker })
    }

    /// How a body is masked; `None` for one that is not there, or passes although it cannot be looked into.
    fn masking(&self, answer: &Answer<'_>, editor: &mut dyn Editor) -> Result<Option<Masking>, Breach> {
        if !answer.has_body || answer.length() == Some(0) {
            return Ok(None);
        }
        let kind = answer.kind();
        let masking = Masking::new(answer.content_type(), answer.coding(), self.bytes_max);
        // What rides on HTTP speaks in these alone, and nothing of it passes unread; what went wrong may be told in text.
        let is_of_rider = matches!(answer.essence().as_str(), "application/json" | "text/event-stream")
            || answer.head.first.starts_with(['4', '5']) && answer.essence() == "text/plain";
        let is_readable = kind != Kind::Opaque && !answer.is_partial() && (self.rider.is_none() || is_of_rider);
        if let (Some(masking), true) = (masking, is_readable) {
            if matches!(kind, Kind::Json | Kind::Form | Kind::Parts)
                && answer.length().is_some_and(|length| length > self.bytes_max as u64)
            {
                return Err(too_long(self.bytes_max));
            }
            return Ok(Some(masking));
        }
        // What says nothing of its body has none, most likely; if it has one, that goes no further.
        if passes_opaque(editor) && self.rider.is_none() || answer.is_untold() {
            return Ok(None);
        }
        Err(unreadable(answer, &self.seals))
    }

    fn body(
        &mut self,
        frame: Frame<'_>,
        is_plain: bool,
        editor: &mut Sealed<'_>,
        out: &mut BytesMut,
    ) -> Result<Passed, Breach> {
        match &mut self.answering {
            Answering::Masked(masking) => {
                let mut shown = Vec::new();
                let reader = &mut Reader { columns: &mut self.columns, rider: self.rider.as_deref_mut() };
                masking.feed(frame.content, reader, editor, &mut shown)?;
                if !self.seals.is_empty() {
                    shown = self.sieve.pass(&self.seals, &shown).into();
                }
                let led = self.relinker.as_mut().map(|relinker| relinker.pass(&shown)).transpose()?;
                write_body(led.as_deref().unwrap_or(&shown), out);
                Ok(Passed::Written)
            }
            Answering::Raw(_, was_planned) if !(is_plain || *was_planned && passes_opaque(editor)) => {
                Err(Breach::target("what may be seen changed in the middle of an answer"))
            }
            Answering::Watched(_) | Answering::Led(_) if !is_plain => {
                Err(Breach::target("what may be seen changed in the middle of an answer"))
            }
            Answering::Led(led) => {
                write_body(&led.pass(&self.seals, frame.content)?, out);
                Ok(Passed::Written)
            }
            Answering::Watched(watch) => {
                write_body(&watch.pass(&self.seals, frame.content)?, out);
                Ok(Passed::Written)
            }
            Answering::Raw(..) if self.seals.is_empty() => Ok(Passed::AsIs),
            Answering::Raw(sieve, _) => {
                let shown = sieve.pass(&self.seals, frame.content);
                // The head is gone with what is not true of stars.
                if sieve.has_hidden && self.is_vouched_for {
                    return Err(Breach::target(
                        "the target's answer holds what the gateway proves itself by, and its head says which bytes it has",
                    ));
                }
                write_body(&shown, out);
                Ok(Passed::Written)
            }
            Answering::Nothing | Answering::Due | Answering::Bodiless | Answering::Messages => {
                Err(Breach::target("the target sent what is not due"))
            }
        }
    }

    fn end(&mut self, frame: Frame<'_>, editor: &mut Sealed<'_>, out: &mut BytesMut) -> Result<Passed, Breach> {
        let mut is_changed = false;
        match std::mem::replace(&mut self.answering, Answering::Nothing) {
            Answering::Masked(mut masking) => {
                is_changed = true;
                let mut shown = Vec::new();
                let reader = &mut Reader { columns: &mut self.columns, rider: self.rider.as_deref_mut() };
                masking.finish(reader, editor, &mut shown)?;
                if !self.seals.is_empty() {
                    shown = self.sieve.pass(&self.seals, &shown).into();
                    shown.extend_from_slice(&self.sieve.finish());
                }
                if let Some(mut relinker) = self.relinker.take() {
                    shown = relinker.pass(&shown)?;
                    shown.extend(relinker.finish()?);
                }
                write_body(&shown, out);
            }
            Answering::Raw(mut sieve, _) => {
                is_changed = sieve.has_hidden;
                write_body(&sieve.finish(), out);
            }
            Answering::Watched(mut watch) => write_body(&watch.finish(), out),
            Answering::Led(mut led) => {
                is_changed = true;
                write_body(&led.finish(&self.seals)?, out);
            }
            Answering::Messages => self.answering = Answering::Messages,
            Answering::Nothing | Answering::Due | Answering::Bodiless => {}
        }
        let end = Head::read(Tag::End, frame.content).ok_or_else(|| Breach::target("the answer has no end"))?;
        // What is true of the target's bytes alone is not said behind others.
        let is_of_target = |name: &str| is_changed && (name == "etag" || answer::is_digest(name));
        let is_kept = |name: &str| !(OF_HEADS.contains(&name) || is_of_target(name) || self.seals.is_in_name(name));
        let has_more = end.fields.iter().any(|(name, _)| !is_kept(name));
        if end.fields.is_empty() && out.is_empty() && !has_more {
            return Ok(Passed::AsIs);
        }
        let shown = |(name, value): &(&'_ str, &[u8])| {
            let mut shown = Vec::new();
            body::show(HEADER, ANY_TEXT, value, editor, &mut shown);
            ((*name).to_string(), shown)
        };
        let is_trailer = |(name, _): &&(&str, &[u8])| is_kept(name);
        let trailers: Vec<(String, Vec<u8>)> = end.fields.iter().filter(is_trailer).map(shown).collect();
        write_head(Tag::End, None, trailers.iter().map(|(name, value)| (name.as_str(), value.as_slice())), out);
        Ok(Passed::Written)
    }
}

/// Whether everything is shown as it is.
pub fn shows_all(editor: &mut dyn Editor) -> bool {
    let field = Field { column: UNKNOWN, kind: ANY_TEXT, encoding: Encoding::Text, value: Some(b"") };
    editor.edit(field, &mut Vec::new()) == Edit::Keep
}

/// Whether what cannot be looked into is shown.
fn passes_opaque(editor: &mut dyn Editor) -> bool {
    let field = Field { column: OPAQUE, kind: ANY_TEXT, encoding: Encoding::Text, value: Some(b"") };
    editor.edit(field, &mut Vec::new()) == Edit::Keep
}

fn raw_or_bodiless(answer: &Answer<'_>, was_planned: bool) -> Answering {
    if answer.has_body { Answering::Raw(Sieve::default(), was_planned) } else { Answering::Bodiless }
}

fn write_body(shown: &[u8], out: &mut BytesMut) {
    write_frames(Tag::Body, shown, SHOWN_BYTES_MAX, out);
}

fn unreadable(answer: &Answer<'_>, seals: &Seals) -> Breach {
    let what = if answer.is_partial() {
        "it is a part of something, and what is classified cannot be told from a part".to_string()
    } else {
        let of = answer.content_type().unwrap_or("no content type");
        let coded = answer.coding().map(|coding| format!(", coded as {coding}")).unwrap_or_default();
        let mut what = format!("it is of {of}{coded}, which cannot be looked into").into_bytes();
        // These are the target's own words.
        seals.hide(&mut what);
        String::from_utf8_lossy(&what).into_owned()
    };
    Breach::target(format!("an answer was kept back: {what}")).telling(Denial::new(
        Reason::Policy,
        "the answer is kept back",
        what,
        "Ask for JSON or text, and for all of it; or the operator sets opaque_bodies = \"pass\" for the target",
    ))
}

/// Of a body of very short values the masks are many times as long as it.
fn overrun(bytes_max: usize) -> Breach {
    let what = "the masks of an answer are longer than what they stand for, by more than may be held";
    Breach::target(what).telling(Denial::new(
        Reason::Limit,
        "the answer is kept back",
        format!(
            "its masks are longer than what they stand for, by more than the {bytes_max} bytes of limits.body_bytes_max"
        ),
        "Ask for less at a time",
    ))
}

fn too_long(bytes_max: usize) -> Breach {
    Breach::target("an answer is longer than may be held").telling(Denial::new(
        Reason::Limit,
        "the answer is kept back",
        format!(
            "it is longer than the {bytes_max} bytes of limits.body_bytes_max, and such bodies are masked in whole"
        ),
        "Ask for less at a time",
    ))
}
